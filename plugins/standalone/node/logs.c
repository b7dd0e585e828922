/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs: GET /containerLogs/NAMESPACE/POD/CONTAINER.  The files hold lines "TIME stream F|P text"
 * (core/ambient-shim/log.c); the time is cut off again unless asked for, the parts of a long line are joined.  Where to
 * begin is found without reading what comes before it (loglines.c).  Following ends when the container has ended and
 * everything was sent.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 5
#define CHUNK     (64 << 10)

struct reading {
	struct node *node;
	struct ambient_http_request *request;
	const struct ambient_http_api *http;
	char dir[512], container[64], base[700]; /* base: the path of the newest file */
	int restart;
	/* what was asked for */
	bool follow, timestamps;
	struct log_filter filter;
	int64_t tail, limit;                     /* -1: not given */
	/* on the way */
	int64_t sent;
	bool middle, broken;                     /* inside a line of parts; nobody listens, or the limit is reached */
	struct text line, out;
};

static void
flush(struct reading *r)
{
	if (r->out.len > 0 && !r->broken && r->http->write(r->request, r->out.p, r->out.len) < 0)
		r->broken = true;
	r->out.len = 0;
}

static void
emit(struct reading *r, const char *p, size_t n)
{
	if (r->broken)
		return;
	if (r->limit >= 0 && r->sent + (int64_t)n > r->limit)
		n = (size_t)(r->limit - r->sent);
	text_put(&r->out, p, n);
	r->sent += (int64_t)n;
	if (r->out.len >= CHUNK || (r->limit >= 0 && r->sent >= r->limit))
		flush(r);
	if (r->limit >= 0 && r->sent >= r->limit)
		r->broken = true;
}

static void
print_line(struct reading *r, const char *p, size_t n)
{
	struct log_line line = log_parse(p, n);

	if (!log_wanted(&r->filter, p, &line))
		return;
	if (r->timestamps && !r->middle) {
		emit(r, p, line.stamp_len);
		emit(r, " ", 1);
	}
	emit(r, line.text, line.len);
	if (line.whole)
		emit(r, "\n", 1);
	r->middle = !line.whole;
}

/* What is new in fd, line by line, up to limit (-1: all); a line without its newline waits for the rest. */
static void
pump(struct reading *r, int fd, off_t limit)
{
	char chunk[CHUNK];
	ssize_t n;

	while (!r->broken) {
		off_t left = limit < 0 ? CHUNK : limit - lseek(fd, 0, SEEK_CUR);

		n = left > 0 ? read(fd, chunk, left < CHUNK ? (size_t)left : CHUNK) : 0;
		if (n <= 0)
			return;
		const char *p = chunk, *end = chunk + n, *nl;

		for (; p < end && (nl = memchr(p, '\n', (size_t)(end - p))) != NULL; p = nl + 1) {
			if (r->line.len > 0) {
				text_put(&r->line, p, (size_t)(nl - p));
				print_line(r, r->line.p, r->line.len);
				r->line.len = 0;
			} else {
				print_line(r, p, (size_t)(nl - p));
			}
		}
		if (r->line.len < (1 << 20))
			text_put(&r->line, p, (size_t)(end - p));
	}
}

static int
open_file(const struct reading *r, int age)
{
	char path[720];

	if (age == 0)
		(void)snprintf(path, sizeof(path), "%s", r->base);
	else
		(void)snprintf(path, sizeof(path), "%s.%d", r->base, age);
	return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool
same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

static size_t
open_once(const struct reading *r, struct log_span *spans)
{
	size_t n = 0;
	struct stat st;

	for (int age = 0; age < FILES_MAX; age++) {
		int fd = open_file(r, age);

		if (fd < 0)
			continue;
		/* Renamed while we went from new to old: seen already. */
		if ((n > 0 && same_file(fd, spans[n - 1].fd)) || fstat(fd, &st) < 0) {
			(void)close(fd);
			continue;
		}
		/* The newest grows while it is read: all that is looked for ends at the same place. */
		spans[n++] = (struct log_span){ .fd = fd, .end = st.st_size };
	}
	for (size_t i = 0; i < n / 2; i++) {
		struct log_span other = spans[i];

		spans[i] = spans[n - 1 - i];
		spans[n - 1 - i] = other;
	}
	return n;
}

static void
close_all(struct log_span *spans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(spans[i].fd);
}

/* From the oldest to the newest, all opened before the first is read.  Of a program that writes very fast some may be
 * renamed twice meanwhile: then once more. */
static size_t
open_all(const struct reading *r, struct log_span *spans)
{
	for (int i = 0;; i++) {
		size_t n = open_once(r, spans);
		int newest = n > 0 ? open_file(r, 0) : -1;
		bool still = newest < 0 || same_file(newest, spans[n - 1].fd);

		if (newest >= 0)
			(void)close(newest);
		if (still || i == 5)
			return n;
		close_all(spans, n);
	}
}

/* The file that follows fd's: the one that is a rotation younger.  -1: fd is the newest. */
static int
next_file(const struct reading *r, int fd)
{
	struct stat mine, st;

	if (fstat(fd, &mine) < 0)
		return -1;
	for (int age = 0; age < FILES_MAX; age++) {
		int other = open_file(r, age);

		if (other < 0)
			continue;
		if (fstat(other, &st) == 0 && st.st_ino == mine.st_ino) {
			(void)close(other);
			return age == 0 ? -1 : open_file(r, age - 1);
		}
		(void)close(other);
	}
	return open_file(r, FILES_MAX - 1); /* ours was dropped: go on with the oldest */
}

static void
follow(struct reading *r, int *fd)
{
	int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), next;
	char dir[600], events[4096];
	bool ended = false;

	(void)snprintf(dir, sizeof(dir), "%s/containers/%s", r->dir, r->container);
	if (notify >= 0) {
		(void)inotify_add_watch(notify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
		(void)inotify_add_watch(notify, r->dir, IN_MODIFY | IN_DELETE);
	}
	while (!r->broken) {
		struct pollfd p = { .fd = notify, .events = POLLIN };

		/* Asked before reading: what is written until the end was recorded is read below. */
		ended = state_has_exit(r->node, r->dir, r->container, r->restart);
		pump(r, *fd, -1);
		while (!r->broken && (next = next_file(r, *fd)) >= 0) {
			pump(r, *fd, -1);
			(void)close(*fd);
			*fd = next;
			pump(r, *fd, -1);
		}
		flush(r);
		if (ended || r->http->gone(r->request))
			break;
		(void)poll(&p, notify >= 0 ? 1 : 0, 1000);
		while (notify >= 0 && read(notify, events, sizeof(events)) > 0)
			;
	}
	if (notify >= 0)
		(void)close(notify);
}

static void
stream(struct reading *r)
{
	struct log_span spans[FILES_MAX];
	size_t n = open_all(r, spans);

	if (r->filter.since != 0)
		log_since(spans, n, r->filter.since);
	if (r->tail >= 0)
		log_tail(spans, n, &r->filter, r->tail);
	for (size_t i = 0; i < n; i++)
		if (lseek(spans[i].fd, spans[i].from, SEEK_SET) >= 0)
			pump(r, spans[i].fd, spans[i].end);
	flush(r);
	if (r->follow && n > 0)
		follow(r, &spans[n - 1].fd);
	flush(r);
	close_all(spans, n);
	text_fini(&r->line);
	text_fini(&r->out);
}

/* 0, or -1 when the value is no number from min up. */
static int
number(struct reading *r, const char *name, int64_t min, int64_t *ret)
{
	const char *s = r->http->query(r->request, name);
	char *end;

	if (s == NULL || s[0] == '\0')
		return 0;
	errno = 0;
	*ret = strtoll(s, &end, 10);
	return errno != 0 || *end != '\0' || *ret < min ? -1 : 0;
}

static int
read_query(struct reading *r)
{
	static const struct { const char *name; char only; } streams[] = { { "All", 0 }, { "Stdout", 'o' }, { "Stderr", 'e' } };
	const char *stream = r->http->query(r->request, "stream");
	bool known = stream == NULL;
	int64_t seconds = 0;
	const char *when = r->http->query(r->request, "sinceTime");

	r->tail = r->limit = -1;
	r->follow = server_truth(r->node, r->request, "follow");
	r->timestamps = server_truth(r->node, r->request, "timestamps");
	if (number(r, "tailLines", 0, &r->tail) < 0 || number(r, "limitBytes", 1, &r->limit) < 0 ||
	    number(r, "sinceSeconds", 1, &seconds) < 0)
		return -1;
	if (seconds > 0)
		r->filter.since = r->node->host->clock->wall(r->node->host) - seconds * AMBIENT_SECOND;
	if (when != NULL && when[0] != '\0' && (r->filter.since = time_parse(when)) == 0)
		return -1;
	for (size_t i = 0; stream != NULL && i < sizeof(streams) / sizeof(streams[0]); i++)
		if (strcmp(stream, streams[i].name) == 0) {
			r->filter.only = streams[i].only;
			known = true;
		}
	return known ? 0 : -1;
}

/* The newest instance that has a file, or the one that ended before what is now: while the next one is waited for, that is
 * the newest. */
static int
find_restart(struct reading *r, bool previous)
{
	char dir[600];
	int newest = -1;
	DIR *d;

	(void)snprintf(dir, sizeof(dir), "%s/containers/%s", r->dir, r->container);
	d = opendir(dir);
	if (d == NULL)
		return -1;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		char *end;
		long n = strtol(e->d_name, &end, 10);

		if (end != e->d_name && strcmp(end, ".log") == 0 && n > newest && n < INT_MAX)
			newest = (int)n;
	}
	(void)closedir(d);
	return newest >= 0 && previous && !state_waits(r->node, r->dir, r->container) ? newest - 1 : newest;
}

void
logs_handle(struct node *node, struct ambient_http_request *request)
{
	struct reading r = { .node = node, .request = request, .http = node->host->http };
	const char *path = r.http->path(request);
	char ns[64], pod[256], text[600];
	bool known;

	if (sscanf(path, "/containerLogs/%63[^/]/%255[^/]/%63[^/]", ns, pod, r.container) != 3 || r.container[0] == '.') {
		server_refuse(node, request, 404, "not found\n");
		return;
	}
	if (read_query(&r) < 0) {
		server_refuse(node, request, 400, "tailLines, limitBytes, sinceSeconds, sinceTime or stream is out of range\n");
		return;
	}
	known = server_find(node, ns, pod, r.dir, sizeof(r.dir));
	r.restart = known ? find_restart(&r, server_truth(node, request, "previous")) : -1;
	if (r.restart < 0) {
		if (server_truth(node, request, "previous"))
			(void)snprintf(text, sizeof(text), "previous terminated container \"%s\" in pod \"%s\" not found", r.container,
				       pod);
		else
			(void)snprintf(text, sizeof(text), "container \"%s\" in pod \"%s\" is waiting to start: ContainerCreating",
				       r.container, pod);
		server_refuse(node, request, 400, text);
		return;
	}
	(void)snprintf(r.base, sizeof(r.base), "%s/containers/%s/%d.log", r.dir, r.container, r.restart);
	if (r.http->begin(request, 200, "text/plain") == 0)
		stream(&r);
}
