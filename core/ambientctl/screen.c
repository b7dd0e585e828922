/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal's lower end: the unfinished line of the output, a line that says how things are, and the input.  What
 * is finished is printed above and belongs to the terminal, its scrolling and its wrapping; the rows below are wiped
 * before and drawn again after each output.  No row fills the last column, so that a row is a row of the terminal;
 * after a terminal became narrower, one that was drawn is as many as its width takes.
 */
#include "core/ambientctl/edit.h"

#include <string.h>

#define TAIL_MAX (64 * 1024)

unsigned
ctl_screen_columns(const struct ctl_screen *s, const char *prompt)
{
	unsigned indent = (unsigned)strlen(prompt);

	return s->columns > indent + 2 ? s->columns - indent - 1 : 1;
}

/* Rows that the unfinished output, and that the input may have. */
static unsigned
rows_for(const struct ctl_screen *s)
{
	return AM_MIN(AM_MAX((s->lines - 1) / 3, 1U), CTL_SCREEN_ROWS / 3U);
}

void
ctl_screen_wipe(struct ctl_screen *s, struct am_buf *out)
{
	unsigned columns = AM_MAX(s->columns, 1U), up = s->column / columns;

	if (s->rows == 0)
		return;
	for (unsigned i = 0; i < s->row; i++)
		up += s->widths[i] > 0 ? (s->widths[i] + columns - 1) / columns : 1;
	am_buf_addc(out, '\r');
	if (up > 0)
		am_buf_addf(out, "\033[%uA", up);
	/* A terminal that is told to clear all of itself, from its first column, may keep what was there as output. */
	am_buf_adds(out, "\033[K\033[C\033[J\r");
	s->rows = s->row = s->column = 0;
}

void
ctl_screen_print(struct ctl_screen *s, const char *text, size_t n, struct am_buf *out)
{
	const char *end = n > 0 ? memrchr(text, '\n', n) : NULL;
	size_t whole = end != NULL ? (size_t)(end - text) + 1 : 0;

	if (whole > 0) {
		am_buf_add(out, am_buf_str(&s->tail), s->tail.len);
		am_buf_add(out, text, whole);
		am_buf_reset(&s->tail);
	}
	am_buf_add(&s->tail, text + whole, n - whole);
	if (s->tail.len > TAIL_MAX)
		ctl_screen_end_line(s, out);
}

void
ctl_screen_end_line(struct ctl_screen *s, struct am_buf *out)
{
	if (s->tail.len == 0)
		return;
	am_buf_add(out, s->tail.data, s->tail.len);
	am_buf_addc(out, '\n');
	am_buf_reset(&s->tail);
}

static void
begin_row(struct ctl_screen *s, struct am_buf *out)
{
	if (s->rows > 0)
		am_buf_addc(out, '\n');
	s->rows++;
}

/* A row's text; tabs as the columns that they count for. */
static void
add_row(struct am_buf *out, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\t')
			am_buf_adds(out, "    ");
		else
			am_buf_addc(out, p[i]);
}

static size_t
count_rows(const char *text, size_t n, unsigned columns)
{
	size_t rows = 1, from = 0, to;
	unsigned width;

	for (;; rows++) {
		size_t next = ctl_row(text, n, from, columns, &to, &width);

		if (next >= n && next == to)
			return rows;
		from = next;
	}
}

/* The last rows of the unfinished line; whole it is seen when it is printed. */
static void
draw_tail(struct ctl_screen *s, struct am_buf *out)
{
	unsigned columns = ctl_screen_columns(s, ""), width;
	size_t rows = count_rows(am_buf_str(&s->tail), s->tail.len, columns), from = 0, to;

	for (size_t i = 0; s->tail.len > 0 && s->lines > 3 && i < rows; i++) {
		size_t next = ctl_row(s->tail.data, s->tail.len, from, columns, &to, &width);

		if (i + rows_for(s) >= rows) {
			begin_row(s, out);
			add_row(out, s->tail.data + from, to - from);
			s->widths[s->rows - 1] = width;
		}
		from = next;
	}
}

static void
draw_status(struct ctl_screen *s, const struct ctl_area *area, struct am_buf *out)
{
	size_t to;

	if (area->status[0] == '\0' || s->lines < 3)
		return;
	begin_row(s, out);
	(void)ctl_row(area->status, strlen(area->status), 0, ctl_screen_columns(s, ""), &to, &s->widths[s->rows - 1]);
	am_buf_adds(out, area->dim);
	add_row(out, area->status, to);
	am_buf_adds(out, area->reset);
}

/* The row of the input that the cursor is in, and its column there. */
static size_t
find_cursor(const struct ctl_edit *edit, unsigned columns, unsigned *column)
{
	const char *text = am_buf_str(&edit->text);
	size_t row = 0, from = 0, to, next, unused;
	unsigned width;

	for (;; row++, from = next) {
		next = ctl_row(text, edit->text.len, from, columns, &to, &width);
		bool more = next < edit->text.len || next > to;

		if (edit->at < next || !more)
			break;
	}
	(void)ctl_row(text, edit->at, from, UINT16_MAX, &unused, column);
	return row;
}

/* As many rows as there is room for, among them the cursor's. */
static void
draw_input(struct ctl_screen *s, const struct ctl_area *area, struct am_buf *out)
{
	const char *text = am_buf_str(&area->edit->text);
	unsigned columns = ctl_screen_columns(s, area->prompt), indent = (unsigned)strlen(area->prompt), column, width;
	size_t rows = count_rows(text, area->edit->text.len, columns), room = rows_for(s), from = 0, to;
	size_t cursor = find_cursor(area->edit, columns, &column), first = cursor >= room ? cursor - room + 1 : 0;
	unsigned up = 0;

	for (size_t i = 0; i < rows && i < first + room; i++) {
		size_t next = ctl_row(text, area->edit->text.len, from, columns, &to, &width);

		if (i >= first) {
			begin_row(s, out);
			if (i == 0)
				am_buf_adds(out, area->prompt);
			else
				am_buf_addf(out, "%*s", (int)indent, "");
			add_row(out, text + from, to - from);
			s->widths[s->rows - 1] = width + indent;
			s->row = i <= cursor ? s->rows - 1 : s->row;
			up += i > cursor;
		}
		from = next;
	}
	s->column = indent + column;
	if (up > 0)
		am_buf_addf(out, "\033[%uA", up);
	am_buf_addc(out, '\r');
	if (s->column > 0)
		am_buf_addf(out, "\033[%uC", s->column);
}

void
ctl_screen_draw(struct ctl_screen *s, const struct ctl_area *area, struct am_buf *out)
{
	ctl_screen_wipe(s, out);
	draw_tail(s, out);
	draw_status(s, area, out);
	draw_input(s, area, out);
}

void
ctl_screen_fini(struct ctl_screen *s)
{
	am_buf_fini(&s->tail);
}
