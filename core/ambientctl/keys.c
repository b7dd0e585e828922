/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys from the bytes of a terminal: control characters, the sequences of xterm and its kin for the others, and pastes
 * in brackets, which are text whatever is in them.  A sequence may come in pieces; one that is not known is swallowed
 * whole, so that its end is never taken for text.
 */
#include "core/ambientctl/edit.h"

#include <string.h>

#define ESC        0x1b
#define PASTE_END  "\033[201~"

static const struct {
	unsigned char byte;
	enum ctl_key key;
} controls[] = {
	{ 0x01, CTL_KEY_HOME }, { 0x02, CTL_KEY_LEFT }, { 0x03, CTL_KEY_INTERRUPT }, { 0x04, CTL_KEY_LEAVE },
	{ 0x05, CTL_KEY_END }, { 0x06, CTL_KEY_RIGHT }, { 0x08, CTL_KEY_BACKSPACE }, { '\n', CTL_KEY_NEWLINE },
	{ 0x0b, CTL_KEY_KILL_END }, { 0x0c, CTL_KEY_REDRAW }, { '\r', CTL_KEY_ENTER }, { 0x0e, CTL_KEY_NEWER },
	{ 0x10, CTL_KEY_OLDER }, { 0x15, CTL_KEY_KILL_START }, { 0x17, CTL_KEY_KILL_WORD }, { 0x19, CTL_KEY_YANK },
	{ 0x1a, CTL_KEY_SUSPEND }, { 0x7f, CTL_KEY_BACKSPACE },
};

static const struct {
	const char *sequence; /* behind the Escape */
	enum ctl_key key;
} sequences[] = {
	{ "[A", CTL_KEY_UP }, { "[B", CTL_KEY_DOWN }, { "[C", CTL_KEY_RIGHT }, { "[D", CTL_KEY_LEFT },
	{ "OA", CTL_KEY_UP }, { "OB", CTL_KEY_DOWN }, { "OC", CTL_KEY_RIGHT }, { "OD", CTL_KEY_LEFT },
	{ "[H", CTL_KEY_HOME }, { "[F", CTL_KEY_END }, { "OH", CTL_KEY_HOME }, { "OF", CTL_KEY_END },
	{ "[1~", CTL_KEY_HOME }, { "[4~", CTL_KEY_END }, { "[7~", CTL_KEY_HOME }, { "[8~", CTL_KEY_END },
	{ "[3~", CTL_KEY_DELETE }, { "[1;5C", CTL_KEY_WORD_RIGHT }, { "[1;5D", CTL_KEY_WORD_LEFT },
	{ "[1;3C", CTL_KEY_WORD_RIGHT }, { "[1;3D", CTL_KEY_WORD_LEFT }, { "b", CTL_KEY_WORD_LEFT }, { "f", CTL_KEY_WORD_RIGHT },
	{ "\r", CTL_KEY_NEWLINE }, { "\n", CTL_KEY_NEWLINE }, { "\x7f", CTL_KEY_KILL_WORD }, { "[13;2u", CTL_KEY_NEWLINE },
	{ "[27;2;13~", CTL_KEY_NEWLINE },
};

/* How long the sequence at p is; 0: not whole yet. */
static size_t
sequence_length(const char *p, size_t n)
{
	if (n < 2)
		return 0;
	if (p[1] == 'O')
		return n < 3 ? 0 : 3;
	if (p[1] != '[')
		return 2;
	for (size_t i = 2; i < n; i++)
		if (p[i] >= 0x40 && p[i] <= 0x7e)
			return i + 1;
		else if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] > 0x7e)
			return i; /* broken off */
	return 0;
}

/* What a paste holds is text: line ends of any kind are one, other control characters are nothing. */
static void
put_pasted(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg)
{
	size_t from = 0;

	for (size_t i = 0; i <= n; i++) {
		unsigned char c = i < n ? (unsigned char)p[i] : 0;

		if (i < n && (c >= 0x20 || c == '\t') && c != 0x7f) {
			keys->cr = false;
			continue;
		}
		if (i > from)
			key(arg, CTL_KEY_TEXT, p + from, i - from);
		if (i < n && (c == '\r' || (c == '\n' && !keys->cr)))
			key(arg, CTL_KEY_NEWLINE, NULL, 0);
		if (i < n)
			keys->cr = c == '\r';
		from = i + 1;
	}
}

/* Bytes at the end that begin a character whose rest has not come. */
static size_t
held_back(const char *p, size_t n)
{
	for (size_t i = 1; i < 4 && i <= n; i++) {
		unsigned char c = (unsigned char)p[n - i];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if ((c & 0xc0) != 0x80)
			return need > i ? i : 0;
	}
	return 0;
}

/* Returns how many bytes were taken; 0: more are needed. */
static size_t
take_pasted(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg)
{
	const size_t len = sizeof(PASTE_END) - 1;
	const char *esc = memchr(p, ESC, n);
	size_t before = esc != NULL ? (size_t)(esc - p) : n - held_back(p, n);

	if (before > 0 || esc == NULL) {
		put_pasted(keys, p, before, key, arg);
		return before;
	}
	if (memcmp(p, PASTE_END, AM_MIN(n, len)) != 0)
		return 1;
	if (n < len)
		return 0;
	keys->pasting = false;
	return len;
}

static size_t
take_escape(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg)
{
	size_t len = sequence_length(p, n);

	if (len == 0)
		return n >= sizeof(keys->held) ? n : 0;
	if (len == 6 && memcmp(p + 1, "[200~", 5) == 0) {
		keys->pasting = true;
		keys->cr = false;
		return len;
	}
	for (size_t i = 0; i < AM_COUNTOF(sequences); i++)
		if (strlen(sequences[i].sequence) == len - 1 && memcmp(sequences[i].sequence, p + 1, len - 1) == 0)
			key(arg, sequences[i].key, NULL, 0);
	return len;
}

static size_t
take_text(const char *p, size_t n, ctl_key_f *key, void *arg)
{
	size_t i = 0;

	while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != 0x7f)
		i++;
	if (i == n)
		i -= held_back(p, n);
	if (i > 0)
		key(arg, CTL_KEY_TEXT, p, i);
	return i;
}

static size_t
take(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg)
{
	if (keys->pasting)
		return take_pasted(keys, p, n, key, arg);
	if (p[0] == ESC)
		return take_escape(keys, p, n, key, arg);
	for (size_t i = 0; i < AM_COUNTOF(controls); i++)
		if (controls[i].byte == (unsigned char)p[0]) {
			key(arg, controls[i].key, NULL, 0);
			return 1;
		}
	return (unsigned char)p[0] < 0x20 ? 1 : take_text(p, n, key, arg);
}

void
ctl_keys_feed(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg)
{
	am_auto(am_buf_fini) struct am_buf all = { 0 };
	size_t at = 0, took;

	am_buf_add(&all, keys->held, keys->n);
	am_buf_add(&all, p, n);
	keys->n = 0;
	while (at < all.len && (took = take(keys, all.data + at, all.len - at, key, arg)) > 0)
		at += took;
	if (all.len - at <= sizeof(keys->held)) {
		keys->n = all.len - at;
		if (keys->n > 0)
			memcpy(keys->held, all.data + at, keys->n);
	}
}

void
ctl_keys_idle(struct ctl_keys *keys)
{
	if (!keys->pasting)
		keys->n = 0;
}
