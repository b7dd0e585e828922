/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes, UUIDs, base64, SHA-256: thin over getrandom(2) and libcrypto. */
#ifndef AM_BASE_UTIL_H
#define AM_BASE_UTIL_H

#include "core/base/attr.h"
#include "core/base/buf.h"

void am_random(void *p, size_t n);                    /* getrandom; ends the process if the kernel has none */
uint64_t am_random_u64(void);
double am_random_unit(void);                          /* [0, 1) */
void am_uuid4(char out[37]);
/* Kubernetes' suffix alphabet "bcdfghjklmnpqrstvwxz2456789". */
void am_random_suffix(char *out, size_t n);           /* n characters and a NUL */
void am_base64_encode(struct am_buf *out, const void *p, size_t n, bool url); /* url: no padding */
int am_base64_decode(struct am_buf *out, const char *s, size_t n, bool url);  /* strict; 0 or -AMBIENT_E_INVALID */
void am_sha256(const void *p, size_t n, unsigned char out[32]);
void am_hex(char *out, const unsigned char *p, size_t n); /* 2n + 1 bytes */
/* Constant time. */
bool am_secret_eq(const void *a, const void *b, size_t n);

#endif
