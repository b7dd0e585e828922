/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message log as readers of it see it: a file that only grows, of which they know how far it holds whole lines.
 * Every reader is only an offset, so a thousand cost a thousand offsets; which offset a number has is found by halving,
 * since the numbers of lines only grow.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/message.h>

#include "core/ambient-runner/endpoint_priv.h"

#define CHUNK      ((size_t)16 * 1024)
#define NEAR       ((off_t)64 * 1024) /* below it lines are walked */
#define HEAD       ((size_t)256)      /* up to "type", a line is shorter */
#define SKIP_TURNS 64                 /* chunks that are looked through at once */

static ssize_t
read_at(int fd, char *buf, size_t n, off_t at)
{
	ssize_t got;

	do
		got = pread(fd, buf, n, at);
	while (got < 0 && errno == EINTR);
	return got;
}

/* The beginning of the line after the one that at is in; limit when there is none. */
static off_t
next_line(int fd, off_t at, off_t limit)
{
	char buf[CHUNK];

	while (at < limit) {
		ssize_t n = read_at(fd, buf, (size_t)AM_MIN((off_t)sizeof(buf), limit - at), at);
		const char *end = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;

		if (n <= 0)
			return -(n < 0 ? errno : EIO);
		if (end != NULL)
			return at + (end - buf) + 1;
		at += n;
	}
	return limit;
}

static int64_t
seq_at(int fd, off_t at)
{
	static const char head[] = "{\"seq\":";
	char buf[48];
	ssize_t n = read_at(fd, buf, sizeof(buf) - 1, at);

	if (n <= (ssize_t)sizeof(head) || memcmp(buf, head, sizeof(head) - 1) != 0)
		return -1;
	buf[n] = '\0';
	return strtoll(buf + sizeof(head) - 1, NULL, 10);
}

off_t
am_endpoint_log_find(int fd, off_t size, int64_t from)
{
	off_t low = 0, high = size, best = size; /* low: a line's beginning; from is in [low, high) or at best */

	while (high - low > NEAR) {
		off_t middle = next_line(fd, low + (high - low) / 2 - 1, high);

		if (middle < 0)
			return middle;
		if (middle >= high) {
			high = low + (high - low) / 2;
		} else if (seq_at(fd, middle) < from) {
			low = middle;
		} else {
			best = middle;
			high = low + (high - low) / 2;
		}
	}
	while (low < best && seq_at(fd, low) < from)
		if ((low = next_line(fd, low, best)) < 0)
			return low;
	return low;
}

void
am_endpoint_log_end(int fd, off_t *size, int64_t *seq)
{
	off_t at = lseek(fd, 0, SEEK_END);

	*size = 0;
	*seq = 0;
	/* What follows the last line break was torn by a crash. */
	while (at > 0 && *size == 0) {
		char buf[CHUNK];
		size_t want = (size_t)AM_MIN((off_t)sizeof(buf), at);
		ssize_t n = read_at(fd, buf, want, at - (off_t)want);
		const char *end = n == (ssize_t)want ? memrchr(buf, '\n', want) : NULL;

		if (n != (ssize_t)want)
			return;
		if (end != NULL)
			*size = at - (off_t)want + (end - buf) + 1;
		at -= (off_t)want;
	}
	/* The last line is walked to from where at least one begins; the first of these steps may be within one. */
	for (at = AM_MAX(*size - 2 * (off_t)AMBIENT_MESSAGE_MAX, 0); at >= 0 && at < *size; at = next_line(fd, at, *size))
		*seq = AM_MAX(seq_at(fd, at), *seq);
}

/* Is this the beginning of a line that is left out? */
static bool
is_partial(const char *line, size_t n)
{
	static const char member[] = ",\"type\":\"", value[] = "partial\"";
	const char *type = memmem(line, AM_MIN(n, HEAD), member, sizeof(member) - 1);

	if (type == NULL)
		return false;
	type += sizeof(member) - 1;
	return (size_t)(line + n - type) >= sizeof(value) - 1 && memcmp(type, value, sizeof(value) - 1) == 0;
}

/* Leaves the bytes of lines that are wanted in buf; returns how many.  *used: how many of the n were looked at; the
 * head of a line that is not whole is left for the next time, unless nothing follows. */
static size_t
sift(struct am_log_cursor *c, char *buf, size_t n, bool last, size_t *used)
{
	size_t from = 0, to = 0;

	while (from < n) {
		const char *end = memchr(buf + from, '\n', n - from);
		size_t piece = end != NULL ? (size_t)(end - (buf + from)) + 1 : n - from;

		if (!c->inside) {
			if (end == NULL && piece < HEAD && !last)
				break;
			c->skipping = is_partial(buf + from, piece);
		}
		c->inside = end == NULL;
		if (!c->skipping) {
			memmove(buf + to, buf + from, piece);
			to += piece;
		}
		from += piece;
	}
	*used = from;
	return to;
}

ssize_t
am_endpoint_log_take(struct am_log_cursor *c, off_t limit, char *buf, size_t max)
{
	for (int turn = 0; turn < SKIP_TURNS && c->at < limit; turn++) {
		size_t want = (size_t)AM_MIN((off_t)max, limit - c->at), used, kept;
		ssize_t n = read_at(c->fd, buf, want, c->at);

		if (n <= 0)
			return -1;
		if (c->partial) {
			c->inside = buf[n - 1] != '\n';
			used = kept = (size_t)n;
		} else {
			kept = sift(c, buf, (size_t)n, c->at + n >= limit, &used);
		}
		c->at += (off_t)used;
		if (kept > 0)
			return (ssize_t)kept;
	}
	return 0;
}
