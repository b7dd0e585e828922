/* SPDX-License-Identifier: Apache-2.0 */
/* See watch.h.  The state machine lives on the I/O thread; lock guards what the loop takes: state, fresh, gone. */
#include "core/ambient-runner/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "core/base/err.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

#define SESSION_KIND "vteam.ambient-code/v1alpha1/agenticsessions"
#define SESSION_MAX  ((size_t)16 << 20)
#define EVENT_MAX    ((size_t)16 << 20)
#define WATCH_NS     (300 * AM_NS_PER_S) /* and up to as much again */
#define GRACE_NS     (30 * AM_NS_PER_S)
#define SILENCE_NS   (180 * AM_NS_PER_S) /* once the API server has shown that it sends bookmarks, one a minute */
#define GET_NS       (30 * AM_NS_PER_S)
#define BACKOFF_NS   (500 * AM_NS_PER_MS)
#define BACKOFF_MAX  (30 * AM_NS_PER_S)
#define WAIT_MAX_MS  60000
#define SHORT_NS     AM_NS_PER_S

struct am_watch {
	struct am_watch_options options;
	char *ns, *name, *uid;
	/* The I/O thread's. */
	struct am_transfer *transfer;
	struct am_timer *timer;
	struct am_framer *framer; /* while it watches */
	struct am_buf body;       /* of a GET */
	char *version;            /* of the state that is known */
	int status, failures;
	int64_t retry_after_ms, began, events;
	bool watching, bookmarks, stopped;

	int fd;
	struct am_lock lock;
	struct am_cond cond;
	struct am_buf state;
	bool fresh, gone, ended;
};

static void start_get(void *arg);
static void start_watch(struct am_watch *w);

static int64_t
now(const struct am_watch *w)
{
	return am_clock_boot(w->options.io->clock);
}

/* ---- a state */

static void
publish(struct am_watch *w, struct am_slice session)
{
	uint64_t one = 1;

	am_lock(&w->lock);
	am_buf_reset(&w->state);
	if (session.p != NULL)
		am_buf_add(&w->state, session.p, session.n);
	w->gone = session.p == NULL;
	w->fresh = true;
	am_unlock(&w->lock);
	(void)!write(w->fd, &one, sizeof(one));
	if (w->options.change != NULL)
		w->options.change(w->options.arg, session);
}

/* A state that is known already, as after each new beginning, is not told again.  Another session of that name means that
 * ours is gone; it is watched from its version on all the same. */
static void
take_state(struct am_watch *w, struct am_slice session)
{
	am_auto(am_freep) char *version = am_json_dup(session, "/metadata/resourceVersion");
	am_auto(am_freep) char *uid = am_json_dup(session, "/metadata/uid");

	if (version != NULL && am_streq(version, w->version))
		return;
	free(w->version);
	w->version = am_xstrdup(version != NULL ? version : "");
	publish(w, am_empty(w->uid) || am_streq(uid, w->uid) ? session : am_slice(NULL, 0));
}

/* ---- the next step */

static void
later(struct am_watch *w, const char *why)
{
	int64_t wait = BACKOFF_NS << AM_MIN(w->failures, 10);

	w->failures++;
	wait = AM_MIN(wait, BACKOFF_MAX);
	wait = wait / 2 + (int64_t)(am_random_unit() * (double)(wait / 2));
	if (w->retry_after_ms > 0)
		wait = AM_MAX(wait, AM_MIN(w->retry_after_ms, (int64_t)WAIT_MAX_MS) * AM_NS_PER_MS);
	am_log_debug("runner", "the session cannot be watched: %s; again in %lld ms", why,
		     (long long)(wait / AM_NS_PER_MS));
	w->timer = am_io_timer(w->options.io, now(w) + wait, start_get, w);
}

static void
on_head(void *arg, int status, const char *content_type am_unused_, int64_t retry_after_ms)
{
	struct am_watch *w = arg;

	w->status = status;
	w->retry_after_ms = retry_after_ms;
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	struct am_watch *w = arg;

	if (w->watching && w->status == 200)
		return am_framer_feed(w->framer, p, n, err);
	if (w->body.len + n > SESSION_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "the answer is longer than %zu bytes", SESSION_MAX);
	am_buf_add(&w->body, p, n);
	return w->body.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for the session") : 0;
}

static void
got(struct am_watch *w, const struct ambient_error *err)
{
	struct am_slice session = am_slice(am_buf_str(&w->body), w->body.len);
	char text[64];

	if (err == NULL && w->status == 404) {
		publish(w, am_slice(NULL, 0));
		later(w, "it does not exist");
		return;
	}
	if (err != NULL || w->status != 200 || am_json_check(session.p, session.n, NULL) < 0) {
		(void)snprintf(text, sizeof(text), "the API server answered %d", w->status);
		later(w, err != NULL ? err->message : text);
		return;
	}
	take_state(w, session);
	start_watch(w);
}

static void
watch_ended(struct am_watch *w, const struct ambient_error *err)
{
	char text[64];

	if (w->status == 200 && (w->events > 0 || now(w) - w->began >= SHORT_NS)) {
		w->failures = 0;
		start_get(w);
		return;
	}
	(void)snprintf(text, sizeof(text), "the API server answered %d", w->status);
	later(w, err != NULL ? err->message : text);
}

static void
on_done(void *arg, const struct ambient_error *err)
{
	struct am_watch *w = arg;
	bool watching = w->watching;

	w->transfer = NULL;
	w->watching = false;
	am_framer_free(w->framer);
	w->framer = NULL;
	if (w->stopped)
		return;
	if (watching)
		watch_ended(w, err);
	else
		got(w, err);
}

static void
send(struct am_watch *w, const char *path, bool watching, int64_t timeout, int64_t idle)
{
	const struct am_http_req request = {.method = "GET",
					    .path = path,
					    .timeout_ns = timeout,
					    .idle_ns = idle,
					    .watch = watching};
	const struct am_http_sink sink = {.head = on_head, .data = on_data, .done = on_done, .arg = w};

	w->watching = watching;
	w->status = 0;
	w->retry_after_ms = 0;
	am_buf_reset(&w->body);
	w->transfer = am_io_start(w->options.io, &request, &sink);
}

static void
start_get(void *arg)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	struct am_watch *w = arg;
	struct am_gvr gvr;

	w->timer = NULL;
	(void)am_gvr_parse(SESSION_KIND, &gvr, NULL);
	am_kube_path(&path, &gvr, w->ns, w->name, NULL);
	send(w, am_buf_str(&path), false, GET_NS, 0);
}

/* Any error, 410 among them, is answered by a new beginning. */
static int
on_event(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct am_watch *w = arg;
	struct am_slice line = am_slice(text, n), type, object;

	if (am_json_check(text, n, NULL) < 0 || !am_json_find(line, "/type", &type) ||
	    !am_json_find(line, "/object", &object) || am_json_type(type) != AMBIENT_T_STRING)
		return ambient_err(err, AMBIENT_E_INVALID, "the API server sent what is no event of a watch");
	if (am_json_str_eq(type, "ERROR"))
		return ambient_err(err, AMBIENT_E_GONE, "the API server ended the watch");
	w->events++;
	if (am_json_str_eq(type, "BOOKMARK"))
		w->bookmarks = true;
	else if (am_json_str_eq(type, "DELETED"))
		publish(w, am_slice(NULL, 0));
	else
		take_state(w, object);
	return 0;
}

static void
start_watch(struct am_watch *w)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	int64_t limit = WATCH_NS + (int64_t)(am_random_unit() * (double)WATCH_NS);
	struct am_gvr gvr;

	(void)am_gvr_parse(SESSION_KIND, &gvr, NULL);
	am_kube_path(&path, &gvr, w->ns, NULL, NULL);
	am_buf_adds(&path, "?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3D");
	am_url_escape(&path, w->name);
	am_buf_adds(&path, "&resourceVersion=");
	am_url_escape(&path, w->version);
	am_buf_addf(&path, "&timeoutSeconds=%lld", (long long)(limit / AM_NS_PER_S));
	w->framer = am_framer_new(AM_FRAME_LINES, EVENT_MAX, on_event, w);
	w->began = now(w);
	w->events = 0;
	send(w, am_buf_str(&path), true, limit + GRACE_NS, w->bookmarks ? SILENCE_NS : 0);
}

/* ---- its life */

static void
begin(void *arg)
{
	struct am_watch *w = arg;

	if (am_empty(w->version))
		start_get(w);
	else
		start_watch(w);
}

struct am_watch *
am_runner_watch_new(const struct am_watch_options *options, struct am_slice first)
{
	struct am_watch *w = am_xcalloc(1, sizeof(*w));

	w->options = *options;
	w->ns = am_xstrdup(options->ns);
	w->name = am_xstrdup(options->name);
	w->uid = am_xstrdup(options->uid);
	w->version = first.p != NULL ? am_json_dup(first, "/metadata/resourceVersion") : NULL;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	am_lock_init(&w->lock, "session-watch");
	am_cond_init(&w->cond, am_clock_real());
	am_io_run(options->io, begin, w);
	return w;
}

int
am_runner_watch_fd(const struct am_watch *watch)
{
	return watch->fd;
}

bool
am_runner_watch_take(struct am_watch *watch, struct am_buf *session, bool *gone)
{
	uint64_t count;

	am_lock(&watch->lock);
	(void)!read(watch->fd, &count, sizeof(count));
	bool fresh = watch->fresh;
	if (fresh) {
		am_buf_reset(session);
		am_buf_add(session, am_buf_str(&watch->state), watch->state.len);
		*gone = watch->gone;
	}
	watch->fresh = false;
	am_unlock(&watch->lock);
	return fresh;
}

static void
stop(void *arg)
{
	struct am_watch *w = arg;

	w->stopped = true;
	am_io_timer_cancel(w->options.io, w->timer);
	if (w->transfer != NULL)
		am_io_cancel(w->options.io, w->transfer);
	am_lock(&w->lock);
	w->ended = true;
	am_cond_signal(&w->cond);
	am_unlock(&w->lock);
}

void
am_runner_watch_free(struct am_watch *watch)
{
	if (watch == NULL)
		return;
	am_io_run(watch->options.io, stop, watch);
	am_lock(&watch->lock);
	while (!watch->ended)
		(void)am_cond_wait(&watch->cond, &watch->lock, AM_FOREVER);
	am_unlock(&watch->lock);
	if (watch->fd >= 0)
		(void)close(watch->fd);
	am_buf_fini(&watch->body);
	am_buf_fini(&watch->state);
	am_cond_fini(&watch->cond);
	am_lock_fini(&watch->lock);
	free(watch->version);
	free(watch->ns);
	free(watch->name);
	free(watch->uid);
	free(watch);
}
