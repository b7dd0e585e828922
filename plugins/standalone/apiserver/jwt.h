/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed tokens: compact JWS with ES256 and no other algorithm.  A set of keys has one that signs and others that
 * only verify, until every token that they have signed is over; each key is known by the hash of its public half.
 *
 * In <state>/pki: token.key signs; token-KID.pub are those that were replaced.
 */
#ifndef AM_APISERVER_JWT_H
#define AM_APISERVER_JWT_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/data/node.h"

#define REST_JWT_MAX 8192

struct rest_keys;

struct rest_keys_options {
	const char *dir;         /* exists; holds the files */
	struct am_clock *clock;
	int64_t life_ns;         /* a signing key older than this is replaced; 0: never */
	int64_t keep_ns;         /* how long a replaced key verifies: the longest life of a token */
};

int rest_keys_open(const struct rest_keys_options *options, struct rest_keys **ret, struct ambient_error *err);
void rest_keys_free(struct rest_keys *keys);
/* Replaces the signing key now, whatever its age. */
int rest_keys_rotate(struct rest_keys *keys, struct ambient_error *err);
/* The public halves, as a JSON Web Key Set. */
void rest_keys_jwks(struct rest_keys *keys, struct am_buf *out);

/* Appends the token with these claims (JSON). */
int rest_jwt_sign(struct rest_keys *keys, const struct am_buf *claims, struct am_buf *out, struct ambient_error *err);
/* The claims of a token that one of the keys has signed; UNAUTHORIZED otherwise. */
struct am_node *rest_jwt_verify(struct rest_keys *keys, struct am_arena *arena, const char *token,
				struct ambient_error *err);

#endif
