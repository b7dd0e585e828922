/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may talk to the endpoint.  Whoever may change the session puts the hash of a secret of his own into its
 * annotations and shows the secret itself with each request:
 *
 *   access.ambient-code.io/<client>: "<SHA-256 of the secret in hex> <expiry, RFC 3339>[ read]"
 *
 * Pure functions.  What is not well formed, has expired, or claims to last longer than a day is not there.  A lookup
 * takes the same time for every secret that is wrong.
 */
#ifndef AM_RUNNER_KEYS_H
#define AM_RUNNER_KEYS_H

#include "core/base/str.h"

#define AM_KEYS_MAX   32
#define AM_KEY_CLIENT 40 /* characters of a client's name */
#define AM_KEY_TEXT   64 /* characters of a secret: 32 bytes in hex */

struct am_key {
	char client[AM_KEY_CLIENT + 1];
	unsigned char hash[32];
	int64_t expires; /* wall time, ns */
	bool read_only;
};

struct am_keys {
	struct am_key v[AM_KEYS_MAX];
	size_t n;
};

/* session: the whole object, checked JSON.  Those beyond AM_KEYS_MAX are not taken. */
void am_runner_keys_parse(struct am_slice session, int64_t wall, struct am_keys *ret);
/* NULL: no such key, or it has expired by now. */
const struct am_key *am_runner_keys_find(const struct am_keys *keys, const char *secret, int64_t wall);
/* Is this key, as it was found before, still there? */
bool am_runner_keys_hold(const struct am_keys *keys, const struct am_key *key);

#endif
