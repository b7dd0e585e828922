/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing: cuts a stream into values without parsing them.  The state machine sees each byte once.  What it cuts out is
 * not yet checked; the receiver runs am_json_check on it.
 *
 * ITEMS knows where it is by depth and by the name of the member at depth 1: the elements of "items" there are handed out
 * one by one, everything else is kept as the envelope, which is small.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/data/plain.h"
#include "core/data/scan.h"

#define ENVELOPE_MAX (1024 * 1024)
#define DEPTH_MAX    (4 * AM_JSON_DEPTH)
#define BEGINNING_MAX ((size_t)64 * 1024) /* what is kept of a value that is too large, for its name */

struct am_framer {
	enum am_frame_mode mode;
	size_t max, skipped;
	am_frame_f *value, *oversize;
	void *arg;
	struct am_buf current;  /* the value under way */
	struct am_buf envelope; /* ITEMS: what is around the items */
	struct am_buf key;      /* ITEMS: the member name at depth 1, while in_key or after */
	int depth;
	bool in_string, escaped, in_key, expect_key, in_items, over, complete;
};

struct am_framer *
am_framer_new(enum am_frame_mode mode, size_t max_value, am_frame_f *value, void *arg)
{
	struct am_framer *f = am_xcalloc(1, sizeof(*f));

	f->mode = mode;
	f->max = max_value;
	f->value = value;
	f->arg = arg;
	f->envelope.max = ENVELOPE_MAX;
	return f;
}

void
am_framer_free(struct am_framer *framer)
{
	if (framer == NULL)
		return;
	am_buf_fini(&framer->current);
	am_buf_fini(&framer->envelope);
	am_buf_fini(&framer->key);
	free(framer);
}

void
am_framer_on_oversize(struct am_framer *framer, am_frame_f *oversize)
{
	framer->oversize = oversize;
}

size_t
am_framer_skipped(const struct am_framer *framer)
{
	return framer->skipped;
}

static void
keep(struct am_framer *f, const char *p, size_t n)
{
	if (f->over)
		return;
	if (f->current.len + n > f->max) {
		f->over = true;
		if (f->current.len < BEGINNING_MAX)
			am_buf_add(&f->current, p, AM_MIN(n, BEGINNING_MAX - f->current.len));
		am_buf_cut(&f->current, BEGINNING_MAX);
		return;
	}
	am_buf_add(&f->current, p, n);
}

static int
hand_out(struct am_framer *f, struct ambient_error *err)
{
	int rc = 0;

	if (f->over || f->current.failed) {
		f->skipped++;
		if (f->oversize != NULL)
			rc = f->oversize(f->arg, am_buf_str(&f->current), f->current.len, err);
	} else if (f->current.len > 0) {
		rc = f->value(f->arg, f->current.data, f->current.len, err);
	}
	f->over = false;
	am_buf_reset(&f->current);
	/* One huge value must not pin its memory for the life of a watch. */
	if (f->current.cap > 256 * 1024)
		am_buf_fini(&f->current);
	return rc;
}

static int
feed_lines(struct am_framer *f, const char *p, size_t n, struct ambient_error *err)
{
	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t take = nl != NULL ? (size_t)(nl - p) : n;
		keep(f, p, take);
		if (nl == NULL)
			break;
		int rc = hand_out(f, err);
		if (rc < 0)
			return rc;
		p += take + 1;
		n -= take + 1;
	}
	return 0;
}

/* Inside a string: copies up to its end. */
static size_t
in_string(struct am_framer *f, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n) {
		if (!f->escaped)
			i += am_json_plain(p + i, p + n);
		if (i == n)
			break;
		char c = p[i++];
		if (f->escaped)
			f->escaped = false;
		else if (c == '\\')
			f->escaped = true;
		else if (c == '"') {
			f->in_string = false;
			break;
		}
	}
	return i;
}

static void
put(struct am_framer *f, const char *p, size_t n)
{
	if (f->in_items && f->depth >= 2)
		keep(f, p, n);
	else
		am_buf_add(&f->envelope, p, n);
	if (f->in_key)
		am_buf_add(&f->key, p, n);
}

static int
too_deep(struct ambient_error *err)
{
	return ambient_err(err, AMBIENT_E_INVALID, "the list is nested too deeply");
}

static int
structural(struct am_framer *f, char c, struct ambient_error *err)
{
	int rc = 0;

	switch (c) {
	case '{':
	case '[':
		if (f->complete)
			return ambient_err(err, AMBIENT_E_INVALID, "there is more after the list");
		if (f->depth == 0 && c == '[')
			return ambient_err(err, AMBIENT_E_INVALID, "the list is no JSON object");
		if (f->depth == 1 && c == '[' && am_slice_eq(am_slice(am_buf_str(&f->key), f->key.len), "\"items\"")) {
			put(f, "[", 1);
			f->in_items = true;
		} else {
			put(f, &c, 1);
		}
		f->depth++;
		f->expect_key = f->depth == 1;
		return f->depth > DEPTH_MAX ? too_deep(err) : 0;
	case '}':
	case ']':
		if (f->depth == 0)
			return ambient_err(err, AMBIENT_E_INVALID, "the list has a closing bracket too many");
		if (f->in_items && f->depth == 2 && c == ']') {
			rc = hand_out(f, err);
			f->in_items = false;
			f->depth--;
			put(f, &c, 1);
			return rc;
		}
		put(f, &c, 1);
		f->depth--;
		f->complete = f->depth == 0;
		return 0;
	case ',':
		if (f->in_items && f->depth == 2)
			return hand_out(f, err);
		put(f, &c, 1);
		f->expect_key = f->depth == 1;
		return 0;
	default:
		if ((c == ' ' || c == '\n' || c == '\t' || c == '\r') && f->in_items && f->depth == 2)
			return 0;
		if (f->depth == 0 && c != ' ' && c != '\n' && c != '\t' && c != '\r')
			return ambient_err(err, AMBIENT_E_INVALID, "the list is no JSON object");
		put(f, &c, 1);
		return 0;
	}
}

/* Inside an item, which is most of a list: goes on to its last bracket, or as far as the text does. */
static size_t
in_item(struct am_framer *f, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && f->depth > 2) {
		char c = p[i];

		if (f->in_string) {
			i += in_string(f, p + i, n - i);
			continue;
		}
		if (c == '"')
			f->in_string = true;
		else if (c == '}' || c == ']')
			f->depth--;
		else if ((c == '{' || c == '[') && ++f->depth > DEPTH_MAX)
			break;
		i++;
	}
	keep(f, p, i);
	return i;
}

static int
feed_items(struct am_framer *f, const char *p, size_t n, struct ambient_error *err)
{
	while (n > 0) {
		size_t took = 1;
		if (f->in_items && f->depth > 2) {
			took = in_item(f, p, n);
			if (f->depth > DEPTH_MAX)
				return too_deep(err);
		} else if (f->in_string) {
			took = in_string(f, p, n);
			put(f, p, took);
			if (!f->in_string)
				f->in_key = false;
		} else if (*p == '"') {
			f->in_string = true;
			f->in_key = f->expect_key && f->depth == 1;
			if (f->in_key)
				am_buf_reset(&f->key);
			f->expect_key = false;
			put(f, p, 1);
		} else {
			int rc = structural(f, *p, err);
			if (rc < 0)
				return rc;
		}
		p += took;
		n -= took;
		if (f->envelope.failed || f->key.len > 4096)
			return ambient_err(err, AMBIENT_E_NOMEM, "the list has more than %d bytes around its items", ENVELOPE_MAX);
	}
	return 0;
}

int
am_framer_feed(struct am_framer *framer, const char *p, size_t n, struct ambient_error *err)
{
	return framer->mode == AM_FRAME_LINES ? feed_lines(framer, p, n, err) : feed_items(framer, p, n, err);
}

int
am_framer_end(struct am_framer *framer, struct am_slice *remainder, struct ambient_error *err)
{
	if (framer->mode == AM_FRAME_LINES) {
		if (framer->current.len > 0 || framer->over)
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the stream ended in the middle of an event");
		return 0;
	}
	if (!framer->complete)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the list ended before its end");
	if (remainder != NULL)
		*remainder = am_slice(am_buf_str(&framer->envelope), framer->envelope.len);
	return am_json_check(am_buf_str(&framer->envelope), framer->envelope.len, err);
}
