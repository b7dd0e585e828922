/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption of stored bodies: AES-256-GCM with the keys of one file.  The first key writes, each of them reads.  What
 * is sealed is bound to its row (resource, namespace, name, revision, column), so that one cannot be put in the place
 * of another, nor an old body in the place of a newer one.
 *
 * The key file, which only its owner may read: a line for each key, "ID KEY", where KEY is 32 bytes in base64; "plain"
 * alone on the first line writes without encryption, to get rid of it; '#' begins a comment.
 *
 * A sealed body, format 1: NUL "ASE" 1, length of the key's id, the id, 12 bytes nonce, 16 bytes tag, the ciphertext.
 * JSON never begins with NUL.
 */
#ifndef AM_APISERVER_SEAL_H
#define AM_APISERVER_SEAL_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct am_seal;

struct am_seal_row {
	int64_t res;
	uint64_t rv;
	const char *ns, *name;
	char column; /* 'b' body, 'p' previous body */
};

int am_seal_open(const char *key_file, struct am_seal **ret, struct ambient_error *err);
/* The same from the file's text; path for messages. */
int am_seal_parse(const char *path, const char *text, size_t n, struct am_seal **ret, struct ambient_error *err);
void am_seal_free(struct am_seal *seal);

bool am_seal_is_sealed(const void *body, size_t n);
/* Would am_seal_encode write it in another way (in clear text, with another key)? */
bool am_seal_is_stale(const struct am_seal *seal, const void *body, size_t n);
int am_seal_encode(const struct am_seal *seal, const struct am_seal_row *row, const void *body, size_t n,
		   struct am_buf *out, struct ambient_error *err);
/* seal may be NULL: then it says what is missing. */
int am_seal_decode(const struct am_seal *seal, const struct am_seal_row *row, const void *body, size_t n,
		   struct am_buf *out, struct ambient_error *err);

#endif
