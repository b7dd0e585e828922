/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: requests, sets of shards, what a member's Lease says about them, and the members. */
#ifndef AM_LEAD_PRIV_H
#define AM_LEAD_PRIV_H

#include <stdatomic.h>

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/lead/shards.h"

#define SHARD_ANNOTATION "ambient-code.io/shards"

enum lead_verb { LEAD_GET, LEAD_LIST, LEAD_CREATE, LEAD_UPDATE, LEAD_DELETE };

/* One request under way at a time; I/O thread.  The owner sets what stands first. */
struct lead_ask {
	struct am_io *io;
	const char *ns;               /* of the leases */
	void (*done)(void *arg, int op, const struct ambient_error *err); /* err NULL: there is an answer, whatever it says */
	void *arg;

	int op;                       /* the owner's name for what is under way; 0: nothing is */
	enum lead_verb verb;
	struct am_transfer *transfer;
	int status;                   /* of the last answer; 0: none */
	struct am_buf body;           /* its max is the owner's */
	int64_t sent_at;              /* when the last request was sent, or earlier */
	atomic_uint refused;          /* bits: verbs that were answered with 403 last */
};
void lead_ask(struct lead_ask *ask, int op, enum lead_verb verb, const char *path, const struct am_buf *body, int64_t timeout_ns);
void lead_ask_drop(struct lead_ask *ask); /* done is not called any more */
bool lead_ask_succeeded(const struct lead_ask *ask, const struct ambient_error *err);
/* What right is missing, by the last answers; false: none.  Any thread. */
bool lead_ask_refused(const struct lead_ask *ask, struct am_buf *out);

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
