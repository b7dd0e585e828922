/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's output as CRI log lines, "TIME stdout F text": time at reading, F a whole line, P a part of one
 * that is longer than 16 KiB.  The file is <n>.log; at 10 MiB it becomes <n>.log.1, and so on, five in all.
 * A disk that takes nothing stops the reading, never loses a byte that was read.  A terminal is one stream, stdout.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/str.h"

#define LINE_MAX_BYTES (16 << 10)
#define TAIL_BYTES     512
#define LAST_READ      (64 << 10)
#define LAST_BYTES     2048
#define LAST_LINES     80

struct shim_log {
	char *path;
	int fd;
	bool terminal;                     /* one stream for both */
	size_t size;
	struct am_buf out;                 /* formatted, not yet on disk */
	struct stream {
		int read_fd, child_fd;
		size_t len;
		char line[LINE_MAX_BYTES];
	} stream[2];
	char tail[TAIL_BYTES + 1];
	size_t tail_len;
};

static int
log_open_file(struct shim_log *log)
{
	struct stat st;

	log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (log->fd < 0)
		return -errno;
	log->size = fstat(log->fd, &st) == 0 ? (size_t)st.st_size : 0;
	return 0;
}

struct shim_log *
shim_log_open(const char *dir, int restart, const int terminal[2], struct ambient_error *err)
{
	struct shim_log *log = am_xcalloc(1, sizeof(*log));

	log->fd = -1;
	for (int i = 0; i < 2; i++)
		log->stream[i].read_fd = log->stream[i].child_fd = -1;
	log->path = am_xasprintf("%s/%d.log", dir, restart);
	if (log_open_file(log) < 0) {
		(void)am_err_errno(err, errno, "cannot open \"%s\"", log->path);
		shim_log_close(log);
		return NULL;
	}
	log->terminal = terminal[0] >= 0;
	for (int i = 0; i < (log->terminal ? 1 : 2); i++) {
		int fds[2] = { -1, -1 };

		if (log->terminal) {
			fds[0] = fcntl(terminal[0], F_DUPFD_CLOEXEC, 3);
			fds[1] = fcntl(terminal[1], F_DUPFD_CLOEXEC, 3);
		}
		if (log->terminal ? fds[1] < 0 : pipe2(fds, O_CLOEXEC) < 0) {
			(void)am_err_errno(err, errno, "cannot make a pipe");
			shim_log_close(log);
			return NULL;
		}
		log->stream[i].read_fd = fds[0];
		log->stream[i].child_fd = fds[1];
		(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	}
	return log;
}

int
shim_log_out(const struct shim_log *log)
{
	return log->stream[0].child_fd;
}

int
shim_log_err(const struct shim_log *log)
{
	return log->stream[log->terminal ? 0 : 1].child_fd;
}

void
shim_log_close_child(struct shim_log *log)
{
	for (int i = 0; i < 2; i++) {
		if (log->stream[i].child_fd >= 0)
			(void)close(log->stream[i].child_fd);
		log->stream[i].child_fd = -1;
	}
}

int
shim_log_fd(const struct shim_log *log, int stream)
{
	return log->out.len == 0 ? log->stream[stream].read_fd : -1;
}

static void
rotate(struct shim_log *log)
{
	for (int i = SHIM_LOG_FILES - 1; i > 0; i--) {
		am_auto(am_freep) char *from = i > 1 ? am_xasprintf("%s.%d", log->path, i - 1) : am_xstrdup(log->path);
		am_auto(am_freep) char *to = am_xasprintf("%s.%d", log->path, i);

		(void)rename(from, to);
	}
	(void)close(log->fd);
	(void)log_open_file(log);
}

bool
shim_log_blocked(struct shim_log *log)
{
	while (log->out.len > 0) {
		if (log->fd < 0 && log_open_file(log) < 0)
			return true;
		ssize_t n = write(log->fd, log->out.data, log->out.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		log->size += (size_t)n;
		am_buf_consume(&log->out, (size_t)n);
	}
	if (log->size >= SHIM_LOG_MAX)
		rotate(log);
	return false;
}

static void
format(struct shim_log *log, int stream, const char *stamp, char tag)
{
	struct stream *s = &log->stream[stream];

	am_buf_addf(&log->out, "%s %s %c ", stamp, stream == 0 ? "stdout" : "stderr", tag);
	am_buf_add(&log->out, s->line, s->len);
	am_buf_addc(&log->out, '\n');
	s->len = 0;
}

static void
feed(struct shim_log *log, int stream, const char *p, size_t n, const char *stamp)
{
	struct stream *s = &log->stream[stream];

	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t have = nl != NULL ? (size_t)(nl - p) : n;
		size_t take = AM_MIN(have, LINE_MAX_BYTES - s->len);

		memcpy(s->line + s->len, p, take);
		s->len += take;
		p += take;
		n -= take;
		if (take == have && nl != NULL) {
			format(log, stream, stamp, 'F');
			p++;
			n--;
		} else if (s->len == LINE_MAX_BYTES) {
			format(log, stream, stamp, 'P');
		}
	}
}

static void
remember(struct shim_log *log, const char *p, size_t n)
{
	if (n > TAIL_BYTES) {
		p += n - TAIL_BYTES;
		n = TAIL_BYTES;
	}
	if (log->tail_len + n > TAIL_BYTES) {
		size_t drop = log->tail_len + n - TAIL_BYTES;

		memmove(log->tail, log->tail + drop, log->tail_len - drop);
		log->tail_len -= drop;
	}
	memcpy(log->tail + log->tail_len, p, n);
	log->tail_len += n;
}

void
shim_log_read(struct shim_log *log, int stream, struct am_buf *copy)
{
	struct stream *s = &log->stream[stream];
	char chunk[64 << 10], stamp[48];
	struct timespec now;
	struct tm tm;
	ssize_t n;

	if (s->read_fd < 0)
		return;
	n = read(s->read_fd, chunk, sizeof(chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	(void)snprintf(stamp, sizeof(stamp), "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
		       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec);
	if (n <= 0) {
		if (s->len > 0)
			format(log, stream, stamp, 'F');
		(void)close(s->read_fd);
		s->read_fd = -1;
	} else {
		if (copy != NULL)
			am_buf_add(copy, chunk, (size_t)n);
		if (stream == 1 || log->terminal)
			remember(log, chunk, (size_t)n);
		feed(log, stream, chunk, (size_t)n, stamp);
	}
	(void)shim_log_blocked(log);
}

bool
shim_log_done(const struct shim_log *log)
{
	return log->stream[0].read_fd < 0 && log->stream[1].read_fd < 0 && log->out.len == 0;
}

const char *
shim_log_tail(const struct shim_log *log)
{
	static char line[TAIL_BYTES + 1];
	size_t n = log->tail_len, start;

	while (n > 0 && (log->tail[n - 1] == '\n' || log->tail[n - 1] == '\r'))
		n--;
	for (start = n; start > 0 && log->tail[start - 1] != '\n'; start--)
		;
	memcpy(line, log->tail + start, n - start);
	line[n - start] = '\0';
	return line;
}

/* The end of the file without what stands before each line, its parts joined. */
static void
strip(const char *p, struct am_buf *out)
{
	const char *nl;

	for (; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
		const char *stream = memchr(p, ' ', (size_t)(nl - p));
		const char *tag = stream != NULL ? memchr(stream + 1, ' ', (size_t)(nl - stream - 1)) : NULL;

		if (tag == NULL || nl - tag < 3)
			continue; /* the first one may be cut */
		am_buf_add(out, tag + 3, (size_t)(nl - tag - 3));
		if (tag[1] != 'P')
			am_buf_addc(out, '\n');
	}
}

void
shim_log_last(const char *dir, int restart, struct am_buf *out)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%d.log", dir, restart);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	char chunk[LAST_READ + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), lines = 0;
	struct stat st;
	const char *from;
	ssize_t n = 0;

	if (fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, chunk, LAST_READ, st.st_size > LAST_READ ? st.st_size - LAST_READ : 0);
	if (fd >= 0)
		(void)close(fd);
	if (n <= 0)
		return;
	chunk[n] = '\0';
	strip(chunk, &text);
	from = text.len > LAST_BYTES ? text.data + (text.len - LAST_BYTES) : am_buf_str(&text);
	for (const char *p = am_buf_str(&text) + text.len; p > from; p--)
		if (p[-1] == '\n' && ++lines > LAST_LINES)
			from = p;
	am_buf_adds(out, from);
}

void
shim_log_remove(const char *dir, int restart)
{
	for (int i = 0; i < SHIM_LOG_FILES; i++) {
		am_auto(am_freep) char *path = i == 0 ? am_xasprintf("%s/%d.log", dir, restart)
						      : am_xasprintf("%s/%d.log.%d", dir, restart, i);

		(void)unlink(path);
	}
}

void
shim_log_close(struct shim_log *log)
{
	if (log == NULL)
		return;
	shim_log_close_child(log);
	for (int i = 0; i < 2; i++)
		if (log->stream[i].read_fd >= 0)
			(void)close(log->stream[i].read_fd);
	(void)shim_log_blocked(log);
	if (log->fd >= 0)
		(void)close(log->fd);
	am_buf_fini(&log->out);
	free(log->path);
	free(log);
}
