/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of the shim's log files, "TIME stream F|P text", and where in the files to begin: for the last lines by reading
 * backwards, for a time by bisection, since lines stand in the order of their times.  Nothing of the files is kept, so
 * nothing of it can be stale.  Invariant: a span begins where a line begins.  What is written after a clock was set back
 * stands in a place where a search by time may miss it; what a search finds is looked at line by line all the same.
 */
#include "node.h"

#include <string.h>
#include <unistd.h>

#define BLOCK    (64 << 10)
#define HEAD     128             /* more than what stands before a line's text */
#define LINE_MAX (20 << 10)      /* more than a line of a file has */

struct log_line
log_parse(const char *p, size_t n)
{
	const char *stream = memchr(p, ' ', n), *tag, *end = p + n;

	if (stream == NULL || (tag = memchr(stream + 1, ' ', (size_t)(end - stream - 1))) == NULL || end - tag < 3)
		return (struct log_line){ .text = p, .len = n, .whole = true };
	return (struct log_line){ .text = tag + 3, .len = (size_t)(end - tag - 3), .stamp_len = (size_t)(stream - p),
				  .stream = tag - stream > 4 ? stream[4] : 0, .whole = tag[1] != 'P' };
}

/* 0: it has none. */
static int64_t
time_of(const char *p, size_t stamp_len)
{
	char stamp[48];

	if (stamp_len == 0 || stamp_len >= sizeof(stamp))
		return 0;
	memcpy(stamp, p, stamp_len);
	stamp[stamp_len] = '\0';
	return time_parse(stamp);
}

bool
log_wanted(const struct log_filter *filter, const char *p, const struct log_line *line)
{
	int64_t time;

	if (filter->only != 0 && line->stream != filter->only)
		return false;
	time = filter->since != 0 ? time_of(p, line->stamp_len) : 0;
	return time == 0 || time >= filter->since;
}

/* ---- by time ---- */

/* The time of the first line that begins at from or later (the file's own first line begins at 0); 0: none does before end. */
static int64_t
time_after(int fd, off_t from, off_t end, off_t *begin)
{
	char buf[LINE_MAX + HEAD], *p = buf;
	ssize_t n = pread(fd, buf, end - from < (off_t)sizeof(buf) ? (size_t)(end - from) : sizeof(buf), from);

	if (n <= 0)
		return 0;
	if (from > 0) {
		p = memchr(buf, '\n', (size_t)n);
		if (p == NULL || ++p == buf + n)
			return 0;
	}
	*begin = from + (p - buf);
	n -= p - buf;
	return time_of(p, log_parse(p, n < HEAD ? (size_t)n : HEAD).stamp_len);
}

void
log_since(struct log_span *spans, size_t n, int64_t since)
{
	off_t begin = 0, low = 0, high;
	struct log_span *s;
	int64_t time;

	while (n > 0 && ((time = time_after(spans[n - 1].fd, 0, spans[n - 1].end, &begin)) == 0 || time >= since))
		n--;
	if (n == 0)
		return;
	s = &spans[n - 1];
	high = s->end;

	/* What begins at low is too old, or the first line; what begins after high need not be. */
	while (high - low > BLOCK) {
		off_t middle = low + (high - low) / 2;

		time = time_after(s->fd, middle, high, &begin);
		if (time != 0 && time < since)
			low = begin;
		else
			high = middle;
	}
	s->from = low;
	while (--n > 0)
		spans[n - 1].from = spans[n - 1].end;
}

/* ---- by number ---- */

/* The line at p, of which there are n bytes here and len in all. */
static bool
one_more(const struct log_filter *filter, const char *p, size_t n, size_t len)
{
	struct log_line line;

	n = n < HEAD ? n : HEAD;
	line = log_parse(p, n < len ? n : len);
	return line.whole && log_wanted(filter, p, &line);
}

/* Backwards through one span, until more whole lines than wanted are found: the span begins after the first of them. */
static bool
last_of(struct log_span *s, const struct log_filter *filter, int64_t *wanted)
{
	char buf[BLOCK + HEAD];
	off_t after = -1; /* where the line that is looked for ends; -1: no end is found yet */

	for (off_t at = s->end; at > s->from;) {
		size_t size = at - s->from < BLOCK ? (size_t)(at - s->from) : BLOCK;
		size_t most = s->end - at < HEAD ? size + (size_t)(s->end - at) : size + HEAD;
		ssize_t n;

		at -= (off_t)size;
		n = pread(s->fd, buf, most, at);
		if (n < (ssize_t)size)
			return true; /* it was cut short meanwhile: nothing is known of it */
		for (size_t k = size + 1; k-- > 0;) {
			if (k > 0 ? buf[k - 1] != '\n' : at > s->from)
				continue;
			if (after >= 0 && one_more(filter, buf + k, (size_t)n - k, (size_t)(after - 1 - at) - k) && --*wanted < 0) {
				s->from = after;
				return true;
			}
			after = at + (off_t)k;
		}
	}
	return false;
}

void
log_tail(struct log_span *spans, size_t n, const struct log_filter *filter, int64_t lines)
{
	while (n > 0 && !last_of(&spans[n - 1], filter, &lines))
		n--;
	while (n > 1) {
		n--;
		spans[n - 1].from = spans[n - 1].end;
	}
}
