/* SPDX-License-Identifier: Apache-2.0 */
/* Slices and small string questions.  A slice borrows; it is not NUL-terminated. */
#ifndef AM_BASE_STR_H
#define AM_BASE_STR_H

#include <string.h>

#include "core/base/attr.h"

struct am_slice {
	const char *p;
	size_t n;
};

#define AM_SLICE(lit) ((struct am_slice){ "" lit, sizeof(lit) - 1 })
static inline struct am_slice
am_slice(const char *p, size_t n) { return (struct am_slice){ p, n }; }
static inline struct am_slice
am_slice_of(const char *s) { return (struct am_slice){ s, s != NULL ? strlen(s) : 0 }; }
static inline bool
am_slice_eq(struct am_slice s, const char *lit) { return strlen(lit) == s.n && memcmp(s.p, lit, s.n) == 0; }

static inline bool
am_streq(const char *a, const char *b) { return a != NULL && b != NULL && strcmp(a, b) == 0; }
bool am_starts(const char *s, const char *prefix);
bool am_ends(const char *s, const char *suffix);
bool am_empty(const char *s);                              /* NULL or "" */
size_t am_strlcpy(char *dst, const char *src, size_t size);/* as the BSD function */
/* Strict: the whole string is a number in range, no sign for unsigned, no space.  0 or -AMBIENT_E_INVALID. */
int am_parse_i64(const char *s, int64_t *ret);
int am_parse_u64(const char *s, uint64_t *ret);
/* "1h30m", "500ms", "30s" -> ns; "64MiB", "512k", "1Gi" -> bytes (k M G decimal, Ki Mi Gi [B] binary). */
int am_parse_duration(const char *s, int64_t *ret_ns);
int am_parse_size(const char *s, int64_t *ret_bytes);
/* Is that host of a URL this machine, by its address or as "localhost"?  IPv6 with or without brackets. */
bool am_is_loopback(const char *host);
bool am_utf8_valid(const char *p, size_t n);
/* Kubernetes names: kind 1 = DNS label (63), 2 = DNS subdomain (253), 3 = label value, 4 = qualified name.
 * NULL when fine, else a static sentence in Kubernetes' words. */
const char *am_name_problem(const char *s, int kind);
/* Restartable glob: * and ? only. */
bool am_glob(const char *pattern, const char *s);
/* The closest of the NULL-ended candidates within edit distance 3, or NULL: for "did you mean". */
const char *am_suggest(const char *word, const char *const *candidates);

#endif
