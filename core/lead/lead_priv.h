/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: sets of shards, what a member's Lease says about them, and the members. */
#ifndef AM_LEAD_PRIV_H
#define AM_LEAD_PRIV_H

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/lead/shards.h"

#define SHARD_ANNOTATION "ambient-code.io/shards"

struct shard_set {
	uint64_t words[AM_SHARDS_MAX / 64];
};

bool shard_in(const struct shard_set *set, int shard);
void shard_put(struct shard_set *set, int shard);
bool shard_set_eq(const struct shard_set *a, const struct shard_set *b);
int shard_set_count(const struct shard_set *set);
/* "0-3,7", "none" for the empty set. */
void shard_set_print(const struct shard_set *set, struct am_buf *out);

/* The annotation of a member's Lease: "v1 of=16 held=0-3,7", and " leaving" of one that takes no more. */
struct shard_claim {
	struct shard_set held;
	bool candidate;          /* may be given shards */
};
void shard_claim_print(int shards, const struct shard_set *held, bool leaving, struct am_buf *out);
/* What cannot be understood (NULL, another version, another number of shards) holds everything and is no candidate: who
 * does not know what another one does leaves everything to it. */
bool shard_claim_parse(const char *text, int shards, struct shard_claim *ret);

/* The same in every process, for ever: a change of it is a change of the version in the annotation. */
int shard_of_key(const char *key, int shards);
/* Whose weight is the highest gets the shard; of equals, whose Lease's name is the last. */
uint64_t shard_weight(const char *identity, int shard);

/* Somebody's Lease, as the lists show it. */
struct shard_member {
	char *lease, *uid, *rv, *identity;
	int64_t observed_at;     /* when this process saw it change */
	int64_t duration;
	struct shard_claim claim;
	bool present, understood;
};
/* Everybody's, the own among them: `own` is the name of that one. */
struct shard_members {
	const char *own;
	int shards;              /* how many there are */
	struct shard_member *items;
	size_t count;
};
/* Takes a list as the API server sent it.  False when it is no list of Leases; then nothing has changed. */
bool shard_members_take(struct shard_members *members, struct am_slice list, int64_t now);
void shard_members_fini(struct shard_members *members);
const struct shard_member *shard_members_own(const struct shard_members *members); /* NULL: it is not there */
/* Does another one hold it, be it expired? */
bool shard_members_hold(const struct shard_members *members, int shard);
/* Does identity come first, of all that live and may be given shards? */
bool shard_members_prefer(const struct shard_members *members, const char *identity, int shard, int64_t now);
/* One that was seen unchanged for its whole duration; never the own one.  NULL: none. */
const struct shard_member *shard_members_expired(const struct shard_members *members, int64_t now);
int shard_members_live(const struct shard_members *members, int64_t now);

#endif
