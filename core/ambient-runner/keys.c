/* SPDX-License-Identifier: Apache-2.0 */
/* See keys.h. */
#include "core/ambient-runner/keys.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/util.h"
#include "core/data/scan.h"

#define PREFIX     "access.ambient-code.io/"
#define AHEAD_MAX  (24 * 3600 * AM_NS_PER_S)
#define CLOCK_SKEW (300 * AM_NS_PER_S) /* of the two clocks */
#define HASH_TEXT  64

static bool
parse_client(const char *name, char out[AM_KEY_CLIENT + 1])
{
	size_t n = strlen(name);

	if (n < 1 || n > AM_KEY_CLIENT || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != n)
		return false;
	memcpy(out, name, n + 1);
	return true;
}

static bool
parse_hash(const char *text, unsigned char out[32])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < HASH_TEXT; i++) {
		const char *at = text[i] != '\0' ? strchr(digits, text[i]) : NULL;

		if (at == NULL)
			return false;
		out[i / 2] = (unsigned char)(i % 2 == 0 ? (at - digits) << 4 : out[i / 2] | (at - digits));
	}
	return true;
}

static bool
parse_value(const char *value, int64_t wall, struct am_key *key)
{
	char expiry[40];

	if (!parse_hash(value, key->hash) || value[HASH_TEXT] != ' ')
		return false;
	value += HASH_TEXT + 1;
	size_t n = strcspn(value, " ");
	if (n >= sizeof(expiry))
		return false;
	memcpy(expiry, value, n);
	expiry[n] = '\0';
	key->read_only = am_streq(value + n, " read");
	if ((value[n] != '\0' && !key->read_only) || am_time_parse(expiry, &key->expires) < 0)
		return false;
	return key->expires > wall && key->expires - wall <= AHEAD_MAX + CLOCK_SKEW;
}

void
am_runner_keys_parse(struct am_slice session, int64_t wall, struct am_keys *ret)
{
	struct am_slice annotations, name, value;

	ret->n = 0;
	if (!am_json_find(session, "/metadata/annotations", &annotations) ||
	    am_json_type(annotations) != AMBIENT_T_OBJECT)
		return;
	for (size_t it = 0; ret->n < AM_KEYS_MAX && am_json_member(annotations, &it, &name, &value);) {
		am_auto(am_buf_fini) struct am_buf key = {0};
		am_auto(am_buf_fini) struct am_buf text = {0};

		if (am_json_type(value) != AMBIENT_T_STRING || name.n > 300 || value.n > 300)
			continue;
		/* The scanner leaves the quotes off a name; they are around it. */
		if (!am_json_unescape(am_slice(name.p - 1, name.n + 2), &key) || !am_json_unescape(value, &text))
			continue;
		if (am_starts(am_buf_str(&key), PREFIX) && strlen(am_buf_str(&text)) == text.len &&
		    parse_client(am_buf_str(&key) + strlen(PREFIX), ret->v[ret->n].client) &&
		    parse_value(am_buf_str(&text), wall, &ret->v[ret->n]))
			ret->n++;
	}
}

const struct am_key *
am_runner_keys_find(const struct am_keys *keys, const char *secret, int64_t wall)
{
	const struct am_key *found = NULL;
	unsigned char hash[32];

	if (secret == NULL || strlen(secret) != AM_KEY_TEXT || strspn(secret, "0123456789abcdef") != AM_KEY_TEXT)
		return NULL;
	am_sha256(secret, AM_KEY_TEXT, hash);
	for (size_t i = 0; i < keys->n; i++)
		if (am_secret_eq(keys->v[i].hash, hash, sizeof(hash)) && keys->v[i].expires > wall)
			found = &keys->v[i];
	return found;
}

bool
am_runner_keys_hold(const struct am_keys *keys, const struct am_key *key)
{
	for (size_t i = 0; i < keys->n; i++)
		if (am_streq(keys->v[i].client, key->client) &&
		    am_secret_eq(keys->v[i].hash, key->hash, sizeof(key->hash)))
			return true;
	return false;
}
