/* SPDX-License-Identifier: Apache-2.0 */
/* See fake_io.h. */
#include "tests/lib/fake_io.h"

#include <ambient/error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

/* Not Check's: fuzz targets run without its runner. */
#define must(cond, ...) ((cond) ? (void)0 : ((void)fprintf(stderr, "fake_io: " __VA_ARGS__), (void)fputc('\n', stderr), abort()))

struct am_transfer {
	struct fake_request *request;
	struct am_http_sink sink;
	struct am_transfer *next;
	bool headed;
};

struct am_timer {
	int64_t at;
	void (*fn)(void *);
	void *arg;
	struct am_timer *next;
};

struct post {
	void (*fn)(void *);
	void *arg;
	struct post *next;
};

struct fake_io {
	struct am_io head; /* first */
	struct fake_request **requests;
	size_t count;
	struct am_transfer *open;    /* oldest first */
	struct am_timer *timers;     /* earliest first, then in the order they were armed */
	pthread_mutex_t lock;        /* posts */
	struct post *posts, **last_post;
	pthread_t owner;
};

static struct fake_io *
fake(struct am_io *io)
{
	return (struct fake_io *)(void *)io;
}

static struct am_transfer *
fake_start(struct am_io *io, const struct am_http_req *req, const struct am_http_sink *sink)
{
	struct am_transfer *t = am_xcalloc(1, sizeof(*t)), **at = &fake(io)->open;
	struct fake_request *r = am_xcalloc(1, sizeof(*r));

	r->method = am_xstrdup(req->method);
	r->path = am_xstrdup(req->path);
	r->body = req->body != NULL ? am_xstrndup(req->body, req->body_len) : NULL;
	r->body_len = req->body_len;
	r->timeout_ns = req->timeout_ns;
	r->idle_ns = req->idle_ns;
	r->watch = req->watch;
	r->open = true;
	r->at = am_clock_boot(io->clock);
	fake(io)->requests = am_xrealloc(fake(io)->requests, fake(io)->count + 1, sizeof(r));
	fake(io)->requests[fake(io)->count++] = r;
	t->request = r;
	t->sink = *sink;
	while (*at != NULL)
		at = &(*at)->next;
	*at = t;
	return t;
}

/* Ends a transfer: it is gone before its owner hears of it, who may start another. */
static void
finish(struct am_io *io, struct am_transfer *t, const struct ambient_error *err)
{
	struct am_transfer **at = &fake(io)->open;
	struct am_http_sink sink = t->sink;

	while (*at != NULL && *at != t)
		at = &(*at)->next;
	must(*at == t, "a transfer was ended that is not open");
	*at = t->next;
	t->request->open = false;
	free(t);
	sink.done(sink.arg, err);
}

static void
fake_cancel(struct am_io *io, struct am_transfer *t)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	(void)ambient_err(&err, AMBIENT_E_CANCELLED, "cancelled");
	t->request->cancelled = true;
	finish(io, t, &err);
}

static struct am_timer *
fake_timer(struct am_io *io, int64_t at_boot, void (*fn)(void *), void *arg)
{
	struct am_timer *timer = am_xcalloc(1, sizeof(*timer)), **at = &fake(io)->timers;

	timer->at = at_boot;
	timer->fn = fn;
	timer->arg = arg;
	while (*at != NULL && (*at)->at <= at_boot)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
	return timer;
}

static void
fake_timer_cancel(struct am_io *io, struct am_timer *timer)
{
	struct am_timer **at = &fake(io)->timers;

	while (*at != NULL && *at != timer)
		at = &(*at)->next;
	must(*at == timer, "a timer was cancelled that is not armed");
	*at = timer->next;
	free(timer);
}

static void
fake_post(struct am_io *io, void (*fn)(void *), void *arg)
{
	struct post *post = am_xcalloc(1, sizeof(*post));

	post->fn = fn;
	post->arg = arg;
	(void)pthread_mutex_lock(&fake(io)->lock);
	*fake(io)->last_post = post;
	fake(io)->last_post = &post->next;
	(void)pthread_mutex_unlock(&fake(io)->lock);
}

static bool
fake_on_thread(struct am_io *io)
{
	return pthread_equal(fake(io)->owner, pthread_self()) != 0;
}

static const struct am_io_ops fake_ops = {
	.start = fake_start, .cancel = fake_cancel, .timer = fake_timer, .timer_cancel = fake_timer_cancel,
	.post = fake_post, .on_thread = fake_on_thread,
};

struct am_io *
fake_io_new(struct am_clock *clock)
{
	struct fake_io *io = am_xcalloc(1, sizeof(*io));

	io->head.ops = &fake_ops;
	io->head.clock = clock;
	io->last_post = &io->posts;
	io->owner = pthread_self();
	(void)pthread_mutex_init(&io->lock, NULL);
	return &io->head;
}

void
fake_io_free(struct am_io *io)
{
	must(fake(io)->open == NULL, "request left open: %s", fake(io)->open->request->path);
	must(fake(io)->timers == NULL, "a timer was left armed");
	must(fake(io)->posts == NULL, "a post was left pending");
	for (size_t i = 0; i < fake(io)->count; i++) {
		free(fake(io)->requests[i]->method);
		free(fake(io)->requests[i]->path);
		free(fake(io)->requests[i]->body);
		free(fake(io)->requests[i]);
	}
	free(fake(io)->requests);
	(void)pthread_mutex_destroy(&fake(io)->lock);
	free(io);
}

size_t
fake_io_count(struct am_io *io)
{
	return fake(io)->count;
}

const struct fake_request *
fake_io_request(struct am_io *io, size_t i)
{
	must(i < fake(io)->count, "there were only %zu requests", fake(io)->count);
	return fake(io)->requests[i];
}

const struct fake_request *
fake_io_last(struct am_io *io)
{
	return fake(io)->count != 0 ? fake(io)->requests[fake(io)->count - 1] : NULL;
}

size_t
fake_io_open(struct am_io *io)
{
	size_t n = 0;

	for (const struct am_transfer *t = fake(io)->open; t != NULL; t = t->next)
		n++;
	return n;
}

size_t
fake_io_timers(struct am_io *io)
{
	size_t n = 0;

	for (const struct am_timer *t = fake(io)->timers; t != NULL; t = t->next)
		n++;
	return n;
}

static struct am_transfer *
oldest(struct am_io *io)
{
	must(fake(io)->open != NULL, "no request waits for an answer");
	return fake(io)->open;
}

static void
head_of(struct am_transfer *t, int status, int64_t retry_after_ms)
{
	t->headed = true;
	if (t->sink.head != NULL)
		t->sink.head(t->sink.arg, status, "application/json", retry_after_ms);
}

void
fake_io_head(struct am_io *io, int status)
{
	head_of(oldest(io), status, 0);
}

void
fake_io_data_n(struct am_io *io, const char *p, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_transfer *t = oldest(io);
	const struct fake_request *request = t->request;
	int rc;

	must(t->headed, "data before the head");
	/* A copy of the exact size, so that a sanitizer sees a read beyond it. */
	char *copy = malloc(n != 0 ? n : 1);
	must(copy != NULL, "no memory");
	memcpy(copy, p, n);
	rc = t->sink.data != NULL ? t->sink.data(t->sink.arg, copy, n, &err) : 0;
	free(copy);
	if (rc < 0 && request->open)
		finish(io, t, &err);
}

void
fake_io_data(struct am_io *io, const char *text)
{
	fake_io_data_n(io, text, strlen(text));
}

void
fake_io_end(struct am_io *io)
{
	finish(io, oldest(io), NULL);
}

void
fake_io_answer_retry(struct am_io *io, int status, const char *body, int64_t retry_after_ms)
{
	struct am_transfer *t = oldest(io);
	const struct fake_request *request = t->request;

	head_of(t, status, retry_after_ms);
	if (body != NULL)
		fake_io_data(io, body);
	if (request->open) /* else data ended it */
		finish(io, t, NULL);
}

void
fake_io_answer(struct am_io *io, int status, const char *body)
{
	fake_io_answer_retry(io, status, body, 0);
}

void
fake_io_fail(struct am_io *io, int code, int sys_errno)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	(void)ambient_err(&err, code, "%s", sys_errno != 0 ? strerror(sys_errno) : "transport");
	err.sys_errno = sys_errno;
	finish(io, oldest(io), &err);
}

void
fake_io_run(struct am_io *io)
{
	for (;;) {
		struct post *post;

		(void)pthread_mutex_lock(&fake(io)->lock);
		post = fake(io)->posts;
		if (post != NULL) {
			fake(io)->posts = post->next;
			if (post->next == NULL)
				fake(io)->last_post = &fake(io)->posts;
		}
		(void)pthread_mutex_unlock(&fake(io)->lock);
		if (post == NULL)
			return;
		post->fn(post->arg);
		free(post);
	}
}

static void
fire(struct am_io *io)
{
	struct am_timer *timer = fake(io)->timers;

	fake(io)->timers = timer->next;
	timer->fn(timer->arg);
	free(timer);
}

void
fake_io_advance(struct am_io *io, int64_t ns)
{
	int64_t end = am_clock_boot(io->clock) + ns;

	fake_io_run(io);
	while (fake(io)->timers != NULL && fake(io)->timers->at <= end) {
		int64_t step = fake(io)->timers->at - am_clock_boot(io->clock);

		if (step > 0)
			am_clock_fake_advance(io->clock, step);
		fire(io);
		fake_io_run(io);
	}
	if (end > am_clock_boot(io->clock))
		am_clock_fake_advance(io->clock, end - am_clock_boot(io->clock));
}

int64_t
fake_io_next_timer(struct am_io *io)
{
	int64_t step;

	if (fake(io)->timers == NULL)
		return -1;
	step = AM_MAX(fake(io)->timers->at - am_clock_boot(io->clock), 0);
	am_clock_fake_advance(io->clock, step);
	fire(io);
	fake_io_run(io);
	return step;
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

const char *
fake_query(const char *path, const char *name)
{
	static char value[512];
	size_t n = strlen(name), len = 0;
	const char *p = strchr(path, '?');

	while (p != NULL) {
		p++;
		if (strncmp(p, name, n) == 0 && p[n] == '=') {
			for (p += n + 1; *p != '\0' && *p != '&' && len + 1 < sizeof(value); p++) {
				if (*p == '%' && p[1] != '\0' && p[2] != '\0') {
					value[len++] = (char)(hex(p[1]) << 4 | hex(p[2]));
					p += 2;
				} else {
					value[len++] = *p;
				}
			}
			value[len] = '\0';
			return value;
		}
		p = strchr(p, '&');
	}
	return NULL;
}
