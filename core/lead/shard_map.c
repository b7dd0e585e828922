/* SPDX-License-Identifier: Apache-2.0 */
/* Which shard an object is of, whose a shard is, and how the claims of a member are written.  Pure functions. */
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/lead/lead_priv.h"

#define CLAIM_VERSION "v1"

/* ---- sets */

bool
shard_in(const struct shard_set *set, int shard)
{
	return (set->words[shard / 64] >> (shard % 64) & 1) != 0;
}

void
shard_put(struct shard_set *set, int shard)
{
	set->words[shard / 64] |= UINT64_C(1) << (shard % 64);
}

bool
shard_set_eq(const struct shard_set *a, const struct shard_set *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int
shard_set_count(const struct shard_set *set)
{
	int n = 0;

	for (size_t i = 0; i < AM_COUNTOF(set->words); i++)
		n += __builtin_popcountll(set->words[i]);
	return n;
}

void
shard_set_print(const struct shard_set *set, struct am_buf *out)
{
	bool first = true;

	for (int i = 0; i < AM_SHARDS_MAX; i++) {
		int last = i;

		if (!shard_in(set, i))
			continue;
		while (last + 1 < AM_SHARDS_MAX && shard_in(set, last + 1))
			last++;
		am_buf_addf(out, last > i ? "%s%d-%d" : "%s%d", first ? "" : ",", i, last);
		first = false;
		i = last;
	}
	if (first)
		am_buf_adds(out, "none");
}

/* "0-3,7" of a whole word. */
static bool
set_parse(char *text, int shards, struct shard_set *ret)
{
	char *save = NULL;

	if (strcmp(text, "none") == 0)
		return true;
	if (text[0] == '\0')
		return false;
	for (char *part = strtok_r(text, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
		char *dash = strchr(part, '-');
		uint64_t from, to;

		if (dash != NULL)
			*dash = '\0';
		if (am_parse_u64(part, &from) < 0 || am_parse_u64(dash != NULL ? dash + 1 : part, &to) < 0 || from > to ||
		    to >= (uint64_t)shards)
			return false;
		for (uint64_t i = from; i <= to; i++)
			shard_put(ret, (int)i);
	}
	return true;
}

/* ---- claims */

void
shard_claim_print(int shards, const struct shard_set *held, bool leaving, struct am_buf *out)
{
	am_buf_addf(out, CLAIM_VERSION " of=%d held=", shards);
	shard_set_print(held, out);
	if (leaving)
		am_buf_adds(out, " leaving");
}

static bool
parse(char *text, int shards, struct shard_claim *ret)
{
	char *save = NULL, *version = strtok_r(text, " ", &save), *of = strtok_r(NULL, " ", &save);
	char *held = strtok_r(NULL, " ", &save), *leaving = strtok_r(NULL, " ", &save);
	uint64_t n;

	if (!am_streq(version, CLAIM_VERSION) || of == NULL || !am_starts(of, "of=") || am_parse_u64(of + 3, &n) < 0 ||
	    n != (uint64_t)shards || held == NULL || !am_starts(held, "held=") || !set_parse(held + 5, shards, &ret->held))
		return false;
	ret->candidate = leaving == NULL;
	return leaving == NULL || (strcmp(leaving, "leaving") == 0 && strtok_r(NULL, " ", &save) == NULL);
}

bool
shard_claim_parse(const char *text, int shards, struct shard_claim *ret)
{
	char copy[4 * AM_SHARDS_MAX + 64];

	memset(ret, 0, sizeof(*ret));
	if (text != NULL && am_strlcpy(copy, text, sizeof(copy)) < sizeof(copy) && parse(copy, shards, ret))
		return true;
	memset(&ret->held, 0xff, sizeof(ret->held));
	ret->candidate = false;
	return false;
}

/* ---- hashes */

/* FNV-1a, and the end of SplitMix64, because FNV's high bits know little of the last bytes. */
static uint64_t
mix(uint64_t h)
{
	h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
	return h ^ h >> 31;
}

static uint64_t
fnv(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

int
shard_of_key(const char *key, int shards)
{
	return (int)(mix(fnv(key)) % (uint64_t)shards);
}

uint64_t
shard_weight(const char *identity, int shard)
{
	return mix(fnv(identity) ^ mix((uint64_t)shard + 1));
}
