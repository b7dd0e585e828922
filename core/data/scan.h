/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON text without making a tree.  The text must have passed am_json_check once; after that the
 * scanner trusts it and never reads beyond its end.  Values are slices of the text, without the white space
 * around them.
 */
#ifndef AM_DATA_SCAN_H
#define AM_DATA_SCAN_H

#include <ambient/object.h> /* AMBIENT_T_* */

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

#define AM_JSON_DEPTH 128
#define AM_JSON_TOKEN 512 /* bytes of one step of a pointer; what has a longer name is not found by one */

/* RFC 8259, UTF-8 valid, no NUL inside strings unless escaped, no duplicate keys, depth at most AM_JSON_DEPTH. */
int am_json_check(const char *text, size_t n, struct ambient_error *err);
int am_json_type(struct am_slice value);
/* pointer is RFC 6901, "" is the whole. */
bool am_json_find(struct am_slice text, const char *pointer, struct am_slice *ret);
/* for (size_t it = 0; am_json_member(obj, &it, &key, &value);): key without its quotes, still escaped. */
bool am_json_member(struct am_slice object, size_t *it, struct am_slice *key, struct am_slice *value);
bool am_json_element(struct am_slice array, size_t *it, struct am_slice *value);
size_t am_json_count(struct am_slice container);
/* Appends the unescaped bytes of a string value. */
bool am_json_unescape(struct am_slice string, struct am_buf *out);
bool am_json_str_eq(struct am_slice string, const char *s);
/* The decoded string at pointer, malloc'ed; NULL when absent or not a string. */
char *am_json_dup(struct am_slice text, const char *pointer);
int64_t am_json_int(struct am_slice text, const char *pointer, int64_t fallback); /* exact integers only */
int am_json_bool(struct am_slice text, const char *pointer, int fallback);

/* Writing. */
void am_json_add_str(struct am_buf *out, const char *s);                 /* with quotes; invalid UTF-8 becomes U+FFFD */
void am_json_add_strn(struct am_buf *out, const char *s, size_t n);
void am_json_add_double(struct am_buf *out, double d);                   /* shortest decimal that reads back equal */
/* printf-like for small documents: %s string with quotes, %j raw JSON (const char *), %d int, %l int64_t,
 * %b bool, %% percent; everything else is copied. */
void am_json_addf(struct am_buf *out, const char *fmt, ...);

/* Framing of streams: feed bytes, get one value at a time. */
struct am_framer;
/* LINES: one value per line (watch).  ITEMS: the elements of the top-level member "items" of one object (list);
 * the rest of the object, with "items":[] in it, comes last as the remainder. */
enum am_frame_mode { AM_FRAME_LINES, AM_FRAME_ITEMS };
typedef int am_frame_f(void *arg, const char *text, size_t n, struct ambient_error *err);
struct am_framer *am_framer_new(enum am_frame_mode mode, size_t max_value, am_frame_f *value, void *arg);
void am_framer_free(struct am_framer *framer);
/* Called with the beginning of each value that is over max_value, in its place. */
void am_framer_on_oversize(struct am_framer *framer, am_frame_f *oversize);
/* Values over max_value are skipped and counted.  A negative return of the callback, or text that is no JSON,
 * ends with that error. */
int am_framer_feed(struct am_framer *framer, const char *p, size_t n, struct ambient_error *err);
/* End of input.  ITEMS: *remainder (borrowed) gets the envelope.  Incomplete input is -AMBIENT_E_UNAVAILABLE. */
int am_framer_end(struct am_framer *framer, struct am_slice *remainder, struct ambient_error *err);
size_t am_framer_skipped(const struct am_framer *framer);

#endif
