/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text that is being written.  It may have several lines; up and down move within it first, and then through what
 * was sent before.  What was begun is kept while one looks there.
 */
#include "core/ambientctl/edit.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

static void
insert(struct ctl_edit *e, const char *text, size_t n)
{
	am_auto(am_buf_fini) struct am_buf clean = { 0 };
	uint32_t c;

	for (size_t i = 0, len; i < n; i += len) {
		len = ctl_utf8(text + i, n - i, &c);
		if (c == 0xfffd && len == 1)
			am_buf_adds(&clean, "\xef\xbf\xbd");
		else if ((c >= 0x20 && c != 0x7f && (c < 0x80 || c > 0x9f)) || c == '\n' || c == '\t')
			am_buf_add(&clean, text + i, len);
	}
	e->full = e->text.len + clean.len > CTL_EDIT_MAX;
	if (e->full || clean.failed || clean.len == 0 || !am_buf_reserve(&e->text, clean.len))
		return;
	memmove(e->text.data + e->at + clean.len, e->text.data + e->at, e->text.len - e->at);
	memcpy(e->text.data + e->at, clean.data, clean.len);
	e->text.len += clean.len;
	e->text.data[e->text.len] = '\0';
	e->at += clean.len;
}

/* Cuts out [from, to); keep: to be put back by the yank key. */
static void
cut(struct ctl_edit *e, size_t from, size_t to, bool keep)
{
	if (from >= to)
		return;
	if (keep) {
		am_buf_reset(&e->killed);
		am_buf_add(&e->killed, e->text.data + from, to - from);
	}
	memmove(e->text.data + from, e->text.data + to, e->text.len - to);
	am_buf_cut(&e->text, e->text.len - (to - from));
	e->at = from;
}

static size_t
line_start(const struct ctl_edit *e)
{
	size_t at = e->at;

	while (at > 0 && e->text.data[at - 1] != '\n')
		at--;
	return at;
}

static size_t
line_end(const struct ctl_edit *e)
{
	size_t at = e->at;

	while (at < e->text.len && e->text.data[at] != '\n')
		at++;
	return at;
}

static bool
in_word(const struct ctl_edit *e, size_t at)
{
	return strchr(" \t\n", e->text.data[at]) == NULL;
}

static size_t
word_left(const struct ctl_edit *e)
{
	size_t at = e->at;

	while (at > 0 && !in_word(e, at - 1))
		at--;
	while (at > 0 && in_word(e, at - 1))
		at--;
	return at;
}

static size_t
word_right(const struct ctl_edit *e)
{
	size_t at = e->at;

	while (at < e->text.len && !in_word(e, at))
		at++;
	while (at < e->text.len && in_word(e, at))
		at++;
	return at;
}

static void
set_text(struct ctl_edit *e, const char *text, size_t n)
{
	am_buf_reset(&e->text);
	am_buf_add(&e->text, text, n);
	e->at = e->text.len;
}

static void
browse(struct ctl_edit *e, bool older)
{
	if (older ? e->history_at == 0 : e->history_at == e->history_count)
		return;
	if (e->history_at == e->history_count) {
		am_buf_reset(&e->draft);
		am_buf_add(&e->draft, am_buf_str(&e->text), e->text.len);
	}
	e->history_at += older ? -(size_t)1 : 1;
	if (e->history_at == e->history_count)
		set_text(e, am_buf_str(&e->draft), e->draft.len);
	else
		set_text(e, e->history[e->history_at], strlen(e->history[e->history_at]));
}

/* The column of the cursor in its row; the rows before and after as *before (SIZE_MAX: none) and *next. */
static unsigned
row_of_cursor(const struct ctl_edit *e, size_t *before, size_t *next, bool *has_next)
{
	const char *text = am_buf_str(&e->text);
	size_t from = 0, to, after, unused;
	unsigned width, column;

	*before = SIZE_MAX;
	for (;;) {
		after = ctl_row(text, e->text.len, from, e->columns, &to, &width);
		bool more = after < e->text.len || (after == e->text.len && after > to);

		if (e->at < after || !more) {
			*next = after;
			*has_next = more;
			(void)ctl_row(text, e->at, from, UINT16_MAX, &unused, &column);
			return column;
		}
		*before = from;
		from = after;
	}
}

static void
up_or_down(struct ctl_edit *e, bool up)
{
	size_t before, next, to, at;
	bool has_next;
	unsigned width, column = row_of_cursor(e, &before, &next, &has_next);

	if (up ? before == SIZE_MAX : !has_next) {
		browse(e, up);
		return;
	}
	at = up ? before : next;
	(void)ctl_row(am_buf_str(&e->text), e->text.len, at, column > 0 ? AM_MIN(column, e->columns) : 0, &to, &width);
	e->at = column == 0 ? at : to;
}

void
ctl_edit_clear(struct ctl_edit *e)
{
	am_buf_reset(&e->text);
	am_buf_reset(&e->draft);
	e->at = 0;
	e->history_at = e->history_count;
}

char *
ctl_edit_take(struct ctl_edit *e)
{
	char *text = am_xstrdup(am_buf_str(&e->text));

	if (text[0] != '\0' && (e->history_count == 0 || strcmp(e->history[e->history_count - 1], text) != 0)) {
		if (e->history_count == CTL_HISTORY_MAX) {
			free(e->history[0]);
			memmove(e->history, e->history + 1, (CTL_HISTORY_MAX - 1) * sizeof(e->history[0]));
			e->history_count--;
		}
		e->history[e->history_count++] = am_xstrdup(text);
	}
	ctl_edit_clear(e);
	return text;
}

void
ctl_edit_fini(struct ctl_edit *e)
{
	for (size_t i = 0; i < e->history_count; i++)
		free(e->history[i]);
	am_buf_fini(&e->text);
	am_buf_fini(&e->killed);
	am_buf_fini(&e->draft);
}

/* Enter sends, but behind a backslash it is a line end, as in a shell. */
static bool
enter(struct ctl_edit *e)
{
	if (e->at == 0 || e->at != e->text.len || e->text.data[e->at - 1] != '\\')
		return true;
	cut(e, e->at - 1, e->at, false);
	insert(e, "\n", 1);
	return false;
}

static void
move(struct ctl_edit *e, enum ctl_key key)
{
	const char *text = am_buf_str(&e->text);

	switch (key) {
	case CTL_KEY_LEFT: e->at = ctl_char_before(text, e->text.len, e->at); break;
	case CTL_KEY_RIGHT: e->at = ctl_char_next(text, e->text.len, e->at); break;
	case CTL_KEY_HOME: e->at = line_start(e); break;
	case CTL_KEY_END: e->at = line_end(e); break;
	case CTL_KEY_WORD_LEFT: e->at = word_left(e); break;
	case CTL_KEY_WORD_RIGHT: e->at = word_right(e); break;
	case CTL_KEY_UP: case CTL_KEY_DOWN: up_or_down(e, key == CTL_KEY_UP); break;
	case CTL_KEY_OLDER: case CTL_KEY_NEWER: browse(e, key == CTL_KEY_OLDER); break;
	default: break;
	}
}

bool
ctl_edit_key(struct ctl_edit *e, enum ctl_key key, const char *text, size_t n)
{
	size_t end = line_end(e);

	e->full = false;
	switch (key) {
	case CTL_KEY_TEXT: insert(e, text, n); break;
	case CTL_KEY_ENTER: return enter(e);
	case CTL_KEY_NEWLINE: insert(e, "\n", 1); break;
	case CTL_KEY_BACKSPACE: cut(e, ctl_char_before(am_buf_str(&e->text), e->text.len, e->at), e->at, false); break;
	case CTL_KEY_DELETE: cut(e, e->at, ctl_char_next(am_buf_str(&e->text), e->text.len, e->at), false); break;
	/* At the end of a line the line end itself goes, so that the key pressed again takes line after line. */
	case CTL_KEY_KILL_END: cut(e, e->at, end > e->at ? end : AM_MIN(end + 1, e->text.len), true); break;
	case CTL_KEY_KILL_START: cut(e, line_start(e), e->at, true); break;
	case CTL_KEY_KILL_WORD: cut(e, word_left(e), e->at, true); break;
	case CTL_KEY_YANK: insert(e, am_buf_str(&e->killed), e->killed.len); break;
	default: move(e, key); break;
	}
	return false;
}
