/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person types and sees in chat, without a terminal: keys from bytes (keys.c), the text that is being written
 * (edit.c), and the rows at the terminal's lower end that are drawn and wiped (screen.c).  All of it are functions of
 * their arguments, so that unit tests play whole conversations.
 *
 * Texts are UTF-8 and clean: no control characters but line ends and tabs.  Widths are columns of a terminal.
 */
#ifndef CTL_EDIT_H
#define CTL_EDIT_H

#include "core/base/buf.h"

#define CTL_EDIT_MAX    (256 * 1024) /* what a message may have, well below what the runner takes */
#define CTL_HISTORY_MAX 200

/* ---- width.c */
/* The code point at p, at most n bytes away; returns its length.  Bytes that are no UTF-8 are U+FFFD, one by one. */
size_t ctl_utf8(const char *p, size_t n, uint32_t *ret);
unsigned ctl_width(uint32_t c); /* 0, 1 or 2; needs ctl_width_init */
void ctl_width_init(void);
/* Where the character after, or before, that offset begins; what combines belongs to what it combines with. */
size_t ctl_char_next(const char *text, size_t n, size_t at);
size_t ctl_char_before(const char *text, size_t n, size_t at);
/* One row of text from that offset: *to is its end, *width its columns.  Returns where the next row begins. */
size_t ctl_row(const char *text, size_t n, size_t from, unsigned columns, size_t *to, unsigned *width);

/* ---- keys.c */
enum ctl_key {
	CTL_KEY_NONE,
	CTL_KEY_TEXT,          /* what is to be inserted */
	CTL_KEY_ENTER, CTL_KEY_NEWLINE,
	CTL_KEY_LEFT, CTL_KEY_RIGHT, CTL_KEY_UP, CTL_KEY_DOWN, CTL_KEY_HOME, CTL_KEY_END, CTL_KEY_WORD_LEFT, CTL_KEY_WORD_RIGHT,
	CTL_KEY_OLDER, CTL_KEY_NEWER,
	CTL_KEY_BACKSPACE, CTL_KEY_DELETE, CTL_KEY_KILL_END, CTL_KEY_KILL_START, CTL_KEY_KILL_WORD, CTL_KEY_YANK,
	CTL_KEY_INTERRUPT, CTL_KEY_LEAVE, CTL_KEY_REDRAW, CTL_KEY_SUSPEND,
};

typedef void ctl_key_f(void *arg, enum ctl_key key, const char *text, size_t n);

struct ctl_keys {
	char held[32];         /* the beginning of a sequence */
	size_t n;
	bool pasting, cr;      /* between the brackets of a paste; its last byte was a CR */
};

void ctl_keys_feed(struct ctl_keys *keys, const char *p, size_t n, ctl_key_f *key, void *arg);
/* Nothing came for a moment: what is held was an Escape by itself. */
void ctl_keys_idle(struct ctl_keys *keys);

/* ---- edit.c */
struct ctl_edit {
	struct am_buf text;
	size_t at;             /* the cursor, a byte of text */
	unsigned columns;      /* of a row, for up and down */
	struct am_buf killed, draft;
	char *history[CTL_HISTORY_MAX];
	size_t history_count, history_at; /* at == count: the draft */
	bool full;             /* something did not fit */
};

/* True: Enter, and the text is ready to be taken. */
bool ctl_edit_key(struct ctl_edit *edit, enum ctl_key key, const char *text, size_t n);
/* The text, malloc'ed, which history remembers; the line is empty afterwards. */
char *ctl_edit_take(struct ctl_edit *edit);
void ctl_edit_clear(struct ctl_edit *edit);
void ctl_edit_fini(struct ctl_edit *edit);

/* ---- screen.c */
#define CTL_SCREEN_ROWS 64

struct ctl_screen {
	unsigned columns, lines; /* of the terminal */
	unsigned widths[CTL_SCREEN_ROWS], rows, row, column; /* what is drawn below the output, and where the cursor is in it */
	struct am_buf tail;      /* output that has no line end yet: drawn, and printed when it is whole */
};

struct ctl_area {
	const struct ctl_edit *edit;
	const char *prompt;      /* of the first row; the others are indented as far */
	const char *status;      /* one clean line */
	const char *dim, *reset; /* around what is no input */
};

/* Columns for text: the last of the terminal stays free, so that no row wraps by itself. */
unsigned ctl_screen_columns(const struct ctl_screen *screen, const char *prompt);
void ctl_screen_wipe(struct ctl_screen *screen, struct am_buf *out);
/* Output, above what is drawn; it has to be wiped before. */
void ctl_screen_print(struct ctl_screen *screen, const char *text, size_t n, struct am_buf *out);
/* The unfinished line becomes a whole one. */
void ctl_screen_end_line(struct ctl_screen *screen, struct am_buf *out);
void ctl_screen_draw(struct ctl_screen *screen, const struct ctl_area *area, struct am_buf *out);
void ctl_screen_fini(struct ctl_screen *screen);

#endif
