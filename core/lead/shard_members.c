/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of a group, as lists of their Leases show them.  How long one has been silent is counted from when this
 * process saw its Lease change, by the own clock; times that others wrote are never looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/lead/lead_priv.h"

#define MEMBERS_MAX      1024
#define DURATION_DEFAULT 15    /* seconds, of a Lease that does not say */
#define DURATION_MAX     86400
#define CLAIM_POINTER    "/metadata/annotations/ambient-code.io~1shards"

static void
member_fini(struct shard_member *m)
{
	free(m->lease);
	free(m->uid);
	free(m->rv);
	free(m->identity);
}

static bool
is_own(const struct shard_members *ms, const struct shard_member *m)
{
	return am_streq(m->lease, ms->own);
}

static bool
expired(const struct shard_members *ms, const struct shard_member *m, int64_t now)
{
	return !is_own(ms, m) && m->observed_at + m->duration <= now;
}

static struct shard_member *
find(struct shard_members *ms, const char *lease)
{
	for (size_t i = 0; i < ms->count; i++) {
		if (am_streq(ms->items[i].lease, lease))
			return &ms->items[i];
	}
	return NULL;
}

/* What identifies a Lease, and one state of it.  Without any of it it could be neither recognised nor removed. */
static bool
has_names(struct am_slice lease)
{
	static const char *const pointers[] = { "/metadata/name", "/metadata/uid", "/metadata/resourceVersion" };

	for (size_t i = 0; i < AM_COUNTOF(pointers); i++) {
		am_auto(am_freep) char *value = am_json_dup(lease, pointers[i]);
		if (am_empty(value))
			return false;
	}
	return true;
}

static void
take_claim(struct shard_members *ms, struct shard_member *m, struct am_slice lease)
{
	am_auto(am_freep) char *text = am_json_dup(lease, CLAIM_POINTER);
	bool understood = shard_claim_parse(text, ms->shards, &m->claim);

	if (m->understood && !understood)
		am_log_warn("lead", "lease %s says \"%.100s\", which is not of %d shards and this version: everything is left to it",
			    m->lease, text != NULL ? text : "", ms->shards);
	m->understood = understood;
}

static void
take(struct shard_members *ms, struct am_slice lease, int64_t now)
{
	am_auto(am_freep) char *name = am_json_dup(lease, "/metadata/name");
	char *uid = am_json_dup(lease, "/metadata/uid"), *rv = am_json_dup(lease, "/metadata/resourceVersion");
	int64_t seconds = am_json_int(lease, "/spec/leaseDurationSeconds", DURATION_DEFAULT);
	struct shard_member *m = find(ms, name);

	if (m == NULL) {
		m = &ms->items[ms->count++];
		*m = (struct shard_member){ .lease = am_xstrdup(name), .understood = true };
	}
	if (!am_streq(m->uid, uid) || !am_streq(m->rv, rv))
		m->observed_at = now;
	free(m->uid);
	free(m->rv);
	free(m->identity);
	m->uid = uid;
	m->rv = rv;
	m->identity = am_json_dup(lease, "/spec/holderIdentity");
	if (m->identity == NULL)
		m->identity = am_xstrdup("");
	m->duration = AM_MAX(1, AM_MIN(seconds, DURATION_MAX)) * AM_NS_PER_S;
	m->present = true;
	take_claim(ms, m, lease);
}

static bool
check(struct am_slice text, struct am_slice *ret_items)
{
	struct am_slice item;

	if (am_json_check(text.p, text.n, NULL) < 0 || !am_json_find(text, "/items", ret_items) ||
	    am_json_type(*ret_items) != AMBIENT_T_ARRAY || am_json_count(*ret_items) > MEMBERS_MAX)
		return false;
	for (size_t it = 0; am_json_element(*ret_items, &it, &item);) {
		if (!has_names(item))
			return false;
	}
	return true;
}

bool
shard_members_take(struct shard_members *ms, struct am_slice list, int64_t now)
{
	struct am_slice items, item;
	size_t kept = 0;

	if (!check(list, &items))
		return false;
	ms->items = am_xrealloc(ms->items, ms->count + am_json_count(items) + 1, sizeof(*ms->items));
	for (size_t i = 0; i < ms->count; i++)
		ms->items[i].present = false;
	for (size_t it = 0; am_json_element(items, &it, &item);)
		take(ms, item, now);
	for (size_t i = 0; i < ms->count; i++) {
		if (ms->items[i].present)
			ms->items[kept++] = ms->items[i];
		else
			member_fini(&ms->items[i]);
	}
	ms->count = kept;
	return true;
}

void
shard_members_fini(struct shard_members *ms)
{
	for (size_t i = 0; i < ms->count; i++)
		member_fini(&ms->items[i]);
	free(ms->items);
	ms->items = NULL;
	ms->count = 0;
}

const struct shard_member *
shard_members_own(const struct shard_members *ms)
{
	for (size_t i = 0; i < ms->count; i++) {
		if (is_own(ms, &ms->items[i]))
			return &ms->items[i];
	}
	return NULL;
}

bool
shard_members_hold(const struct shard_members *ms, int shard)
{
	for (size_t i = 0; i < ms->count; i++) {
		if (!is_own(ms, &ms->items[i]) && shard_in(&ms->items[i].claim.held, shard))
			return true;
	}
	return false;
}

bool
shard_members_prefer(const struct shard_members *ms, const char *identity, int shard, int64_t now)
{
	uint64_t own = shard_weight(identity, shard);

	for (size_t i = 0; i < ms->count; i++) {
		const struct shard_member *m = &ms->items[i];
		if (is_own(ms, m) || !m->claim.candidate || expired(ms, m, now))
			continue;
		uint64_t weight = shard_weight(m->identity, shard);
		if (weight > own || (weight == own && strcmp(m->lease, ms->own) > 0))
			return false;
	}
	return true;
}

const struct shard_member *
shard_members_expired(const struct shard_members *ms, int64_t now)
{
	for (size_t i = 0; i < ms->count; i++) {
		if (expired(ms, &ms->items[i], now))
			return &ms->items[i];
	}
	return NULL;
}

int
shard_members_live(const struct shard_members *ms, int64_t now)
{
	int live = 0;

	for (size_t i = 0; i < ms->count; i++)
		live += !expired(ms, &ms->items[i], now);
	return live;
}
