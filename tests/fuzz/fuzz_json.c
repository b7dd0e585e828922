/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON read without a tree: the gate takes what jansson takes, every value that is found in a good text is good itself,
 * counts and pointers agree with what walking finds, strings survive writing, and frames do not depend on how the bytes
 * came.
 */
#include <jansson.h>
#include <stdlib.h>

#include "core/base/str.h"
#include "core/data/node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The two may differ on what each says that it limits: depth, numbers, a NUL in a key.  Between tokens a NUL is the end
 * of the text to jansson. */
static void
against_jansson(const char *text, size_t n, bool good)
{
	json_error_t why;
	json_t *tree = json_loadb(text, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (good && tree == NULL)
		am_assert(json_error_code(&why) == json_error_numeric_overflow ||
			  json_error_code(&why) == json_error_null_byte_in_key);
	if (!good && tree != NULL && memchr(text, '\0', n) == NULL) {
		am_assert(am_json_check(text, n, &err) < 0);
		am_assert(strstr(err.message, "deep") != NULL);
	}
	json_decref(tree);
}

static void
string_survives(struct am_slice value)
{
	struct am_buf plain = { 0 }, text = { 0 }, again = { 0 };

	am_assert(am_json_unescape(value, &plain) && am_utf8_valid(am_buf_str(&plain), plain.len));
	am_json_add_strn(&text, am_buf_str(&plain), plain.len);
	am_assert(am_json_check(text.data, text.len, NULL) == 0);
	am_assert(am_json_unescape(am_slice(text.data, text.len), &again));
	am_assert(again.len == plain.len && memcmp(am_buf_str(&again), am_buf_str(&plain), plain.len) == 0);
	am_buf_fini(&plain);
	am_buf_fini(&text);
	am_buf_fini(&again);
}

/* "/key" with what RFC 6901 escapes; false when no pointer can say the key: it is too long, or has a NUL in it. */
static bool
pointer_to(struct am_slice key, struct am_buf *out)
{
	struct am_buf quoted = { 0 }, plain = { 0 };

	am_buf_addf(&quoted, "\"%.*s\"", (int)key.n, key.p);
	am_assert(am_json_unescape(am_slice(quoted.data, quoted.len), &plain));
	bool ok = plain.len <= AM_JSON_TOKEN && (plain.len == 0 || memchr(plain.data, '\0', plain.len) == NULL);
	am_buf_addc(out, '/');
	for (size_t i = 0; i < plain.len; i++)
		if (plain.data[i] == '~' || plain.data[i] == '/')
			am_buf_adds(out, plain.data[i] == '~' ? "~0" : "~1");
		else
			am_buf_addc(out, plain.data[i]);
	am_buf_fini(&quoted);
	am_buf_fini(&plain);
	return ok;
}

static void
same_place(struct am_slice text, const char *pointer, struct am_slice value)
{
	struct am_slice found;

	am_assert(am_json_find(text, pointer, &found) && found.p == value.p && found.n == value.n);
}

static void
walk(struct am_slice text, int depth)
{
	struct am_slice key, value;
	size_t n = 0;
	int type = am_json_type(text);

	am_assert(am_json_check(text.p, text.n, NULL) == 0);
	if (type == AMBIENT_T_STRING)
		string_survives(text);
	for (size_t it = 0; type == AMBIENT_T_OBJECT && am_json_member(text, &it, &key, &value); n++) {
		struct am_buf pointer = { 0 };

		if (n < 16 && pointer_to(key, &pointer))
			same_place(text, pointer.data, value);
		am_buf_fini(&pointer);
		if (depth < 8 && n < 64)
			walk(value, depth + 1);
	}
	for (size_t it = 0; type == AMBIENT_T_ARRAY && am_json_element(text, &it, &value); n++) {
		char pointer[32];

		(void)snprintf(pointer, sizeof(pointer), "/%zu", n);
		if (n < 16)
			same_place(text, pointer, value);
		if (depth < 8 && n < 64)
			walk(value, depth + 1);
	}
	am_assert(am_json_count(text) == n);
}

struct frames {
	bool good;         /* the whole is JSON */
	struct am_buf out; /* all that came, and how it ended */
};

static int
on_value(void *arg, const char *text, size_t n, struct ambient_error *err am_unused_)
{
	struct frames *f = arg;

	am_assert(!f->good || am_json_check(text, n, NULL) == 0);
	am_buf_add(&f->out, text, n);
	am_buf_addc(&f->out, '\n');
	return 0;
}

static void
framed(struct frames *f, enum am_frame_mode mode, const char *p, size_t n, size_t step)
{
	struct am_framer *framer = am_framer_new(mode, 4096, on_value, f);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_slice rest = { 0 };
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i += step)
		rc = am_framer_feed(framer, p + i, n - i < step ? n - i : step, &err);
	if (rc == 0)
		rc = am_framer_end(framer, &rest, &err);
	if (rc == 0 && f->good && mode == AM_FRAME_ITEMS)
		am_assert(am_json_check(rest.p, rest.n, NULL) == 0);
	am_buf_addf(&f->out, "%d %zu ", rc, am_framer_skipped(framer));
	am_buf_add(&f->out, rest.p, rest.n);
	am_framer_free(framer);
}

static void
frames(enum am_frame_mode mode, const char *p, size_t n, bool good)
{
	const size_t steps[] = {n > 0 ? n : 1, 1, 7};
	struct frames f[3] = {{ .good = good && mode == AM_FRAME_ITEMS }};

	for (size_t i = 0; i < AM_COUNTOF(f); i++) {
		f[i].good = f[0].good;
		framed(&f[i], mode, p, n, steps[i]);
		am_assert(f[i].out.len == f[0].out.len && memcmp(f[i].out.data, f[0].out.data, f[0].out.len) == 0);
	}
	for (size_t i = 0; i < AM_COUNTOF(f); i++)
		am_buf_fini(&f[i].out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	bool good = am_json_check(text, size, NULL) == 0;

	against_jansson(text, size, good);
	if (good) {
		size_t from = strspn(text, " \t\r\n"), to = size;

		while (strchr(" \t\r\n", text[to - 1]) != NULL)
			to--;
		walk(am_slice(text + from, to - from), 0);
	}
	frames(AM_FRAME_LINES, text, size, good);
	frames(AM_FRAME_ITEMS, text, size, good);
	return 0;
}
