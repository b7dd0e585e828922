/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events, sent one after the other from the I/O thread.  emit decides and queues, and never waits: over 1,000
 * queued the newest is dropped.  An event is tried twelve times, 10 seconds apart (the first wait is random, so
 * that many daemons do not come back together); what the server refuses is dropped at once.
 */
#include <stdlib.h>

#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "core/kube/kube_priv.h"

#define QUEUE_MAX       1000
#define TRIES           12
#define RETRY_NS        (10 * AM_NS_PER_S)
#define SEND_NS         (10 * AM_NS_PER_S)
#define CLOSE_NS        (2 * AM_NS_PER_S)
#define INVOLVED_MAX    4096

struct event {
	struct event *next;
	char *collection;               /* path */
	char *name;
	char *create;                   /* the whole, as JSON */
	char *patch;                    /* NULL: it is new */
	int tries;
};

struct am_recorder {
	struct am_kube *kube;
	char *component, *host;

	/* I/O thread */
	struct event *sending;
	struct am_transfer *transfer;
	struct am_timer *timer;
	int status;
	int64_t retry_after_ms;

	struct am_lock lock;            /* guards the rest */
	struct am_cond cond;
	struct am_correlator *correlator;
	struct event *first, *last;
	size_t queued;
	bool busy;                      /* the I/O thread works on it; else it is to be posted */
	bool closing, stopped;
};

static void
free_event(struct event *event)
{
	if (event == NULL)
		return;
	free(event->collection);
	free(event->name);
	free(event->create);
	free(event->patch);
	free(event);
}

static void
count_dropped(void)
{
	am_metric_add(am_metric(AM_COUNTER, "ambient_events_dropped_total",
				"Events that were not sent: spam, a full queue, or refused.", NULL, NULL), 1);
}

/* ---- I/O thread */

static void send_next(struct am_recorder *recorder);
static void send_event(struct am_recorder *recorder);

static void
retry_due(void *arg)
{
	struct am_recorder *recorder = arg;

	recorder->timer = NULL;
	send_event(recorder);
}

static void
drop(struct am_recorder *recorder)
{
	free_event(recorder->sending);
	recorder->sending = NULL;
	send_next(recorder);
}

static bool
is_closing(struct am_recorder *recorder)
{
	am_lock(&recorder->lock);
	bool closing = recorder->closing;
	am_unlock(&recorder->lock);
	return closing;
}

static void
try_again(struct am_recorder *recorder, const char *why)
{
	struct event *event = recorder->sending;
	struct am_io *io = am_kube_io(recorder->kube);

	if (++event->tries >= TRIES || is_closing(recorder)) {
		am_log_warn("kube", "event \"%s\" is given up: %s", event->name, why);
		count_dropped();
		drop(recorder);
		return;
	}
	int64_t wait = event->tries == 1 ? (int64_t)(am_random_unit() * (double)RETRY_NS) : RETRY_NS;
	wait = AM_MAX(wait, recorder->retry_after_ms * AM_NS_PER_MS);
	recorder->timer = am_io_timer(io, am_clock_boot(io->clock) + wait, retry_due, recorder);
}

static void
on_head(void *arg, int status, const char *content_type, int64_t retry_after_ms)
{
	struct am_recorder *recorder = arg;

	(void)content_type;
	recorder->status = status;
	recorder->retry_after_ms = retry_after_ms;
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	(void)arg, (void)p, (void)n, (void)err;
	return 0;
}

static void
on_done(void *arg, const struct ambient_error *err)
{
	struct am_recorder *recorder = arg;
	struct event *event = recorder->sending;
	int status = recorder->status;

	recorder->transfer = NULL;
	if (err != NULL && err->code == AMBIENT_E_CANCELLED) {
		/* The client goes away; am_recorder_free is waiting or will find it so. */
		free_event(event);
		recorder->sending = NULL;
		am_lock(&recorder->lock);
		recorder->busy = false;
		am_cond_broadcast(&recorder->cond);
		am_unlock(&recorder->lock);
	} else if (err != NULL) {
		try_again(recorder, err->message);
	} else if (status == 404 && event->patch != NULL) {
		/* It has expired there: made anew, with the count that it has. */
		free(event->patch);
		event->patch = NULL;
		send_event(recorder);
	} else if (status == 429 || status >= 500) {
		try_again(recorder, "the server is in trouble");
	} else {
		if (status >= 300 && status != 409) {
			am_log_debug("kube", "event \"%s\" is refused with %d", event->name, status);
			count_dropped();
		}
		drop(recorder);
	}
}

static void
send_event(struct am_recorder *recorder)
{
	struct event *event = recorder->sending;
	const char *headers[] = {
		event->patch != NULL ? "Content-Type: application/merge-patch+json" : "Content-Type: application/json",
		NULL,
	};
	const char *body = event->patch != NULL ? event->patch : event->create;
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct am_http_sink sink = { on_head, on_data, on_done, recorder };

	am_buf_adds(&path, event->collection);
	if (event->patch != NULL) {
		am_buf_addc(&path, '/');
		am_url_escape(&path, event->name);
	}
	struct am_http_req req = {
		.method = event->patch != NULL ? "PATCH" : "POST", .path = am_buf_str(&path), .headers = headers,
		.body = body, .body_len = strlen(body), .timeout_ns = SEND_NS,
	};
	recorder->status = 0;
	recorder->retry_after_ms = 0;
	recorder->transfer = am_io_start(am_kube_io(recorder->kube), &req, &sink);
}

static void
send_next(struct am_recorder *recorder)
{
	am_lock(&recorder->lock);
	struct event *event = recorder->first;
	if (event != NULL) {
		recorder->first = event->next;
		if (recorder->first == NULL)
			recorder->last = NULL;
		recorder->queued--;
	} else {
		recorder->busy = false;
		am_cond_broadcast(&recorder->cond);
	}
	am_unlock(&recorder->lock);
	recorder->sending = event;
	if (event != NULL)
		send_event(recorder);
}

static void
wake(void *arg)
{
	send_next(arg);
}

/* After it, nothing of the recorder is known to the I/O thread. */
static void
stop(void *arg)
{
	struct am_recorder *recorder = arg;
	struct am_io *io = am_kube_io(recorder->kube);

	am_io_timer_cancel(io, recorder->timer);
	recorder->timer = NULL;
	if (recorder->transfer != NULL)
		am_io_cancel(io, recorder->transfer);
	free_event(recorder->sending);
	recorder->sending = NULL;
	am_lock(&recorder->lock);
	recorder->stopped = true;
	am_cond_broadcast(&recorder->cond);
	am_unlock(&recorder->lock);
}

/* ---- any thread */

struct am_recorder *
am_recorder_new(struct am_kube *kube, const char *component, const char *host)
{
	struct am_recorder *recorder = am_xcalloc(1, sizeof(*recorder));

	recorder->kube = kube;
	recorder->component = am_xstrdup(component);
	recorder->host = am_xstrdup(host != NULL ? host : "");
	recorder->correlator = am_correlator_new();
	am_lock_init(&recorder->lock, "recorder");
	am_cond_init(&recorder->cond, am_kube_io(kube)->clock);
	return recorder;
}

void
am_recorder_free(struct am_recorder *recorder)
{
	if (recorder == NULL)
		return;
	struct am_io *io = am_kube_io(recorder->kube);
	int64_t deadline = am_clock_boot(io->clock) + CLOSE_NS;

	am_lock(&recorder->lock);
	recorder->closing = true;
	while (recorder->busy && am_clock_boot(io->clock) < deadline)
		(void)am_cond_wait(&recorder->cond, &recorder->lock, deadline);
	am_unlock(&recorder->lock);
	am_io_post(io, stop, recorder);
	am_lock(&recorder->lock);
	while (!recorder->stopped)
		(void)am_cond_wait(&recorder->cond, &recorder->lock, AM_FOREVER);
	am_unlock(&recorder->lock);

	for (struct event *event = recorder->first, *next; event != NULL; event = next) {
		next = event->next;
		free_event(event);
	}
	am_correlator_free(recorder->correlator);
	am_cond_fini(&recorder->cond);
	am_lock_fini(&recorder->lock);
	free(recorder->component);
	free(recorder->host);
	free(recorder);
}

static struct event *
make_event(const struct am_recorder *recorder, const char *ns, const struct am_sighting *seen,
	   const struct am_verdict *verdict)
{
	static const struct am_gvr events = { .group = "", .version = "v1", .plural = "events" };
	struct am_buf path = { 0 }, create = { 0 }, patch = { 0 };
	am_auto(am_freep) char *involved = am_xstrndup(seen->involved.p, seen->involved.n);
	struct event *event = am_xcalloc(1, sizeof(*event));
	char first[32], last[32];

	am_time_format(first, verdict->first_wall, false);
	am_time_format(last, seen->wall, false);
	am_kube_path(&path, &events, ns, NULL, NULL);
	am_json_addf(&create,
		     "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":%s,\"namespace\":%s},"
		     "\"involvedObject\":%j,\"reason\":%s,\"message\":%s,\"source\":{\"component\":%s,\"host\":%s},"
		     "\"firstTimestamp\":%s,\"lastTimestamp\":%s,\"count\":%l,\"type\":%s,"
		     "\"reportingComponent\":%s,\"reportingInstance\":%s}",
		     verdict->name, ns, involved, seen->reason, verdict->message, recorder->component, recorder->host,
		     first, last, verdict->count, seen->type, recorder->component, recorder->host);
	if (verdict->count > 1)
		am_json_addf(&patch, "{\"count\":%l,\"lastTimestamp\":%s,\"message\":%s}", verdict->count, last,
			     verdict->message);
	event->name = am_xstrdup(verdict->name);
	event->collection = am_buf_steal(&path, NULL);
	event->create = am_buf_steal(&create, NULL);
	event->patch = verdict->count > 1 ? am_buf_steal(&patch, NULL) : NULL;
	if (event->collection == NULL || event->create == NULL) {
		free_event(event);
		return NULL;
	}
	return event;
}

/* Returns whether the I/O thread must be told. */
static bool
enqueue(struct am_recorder *recorder, struct event *event)
{
	bool tell = false;

	am_lock(&recorder->lock);
	if (event != NULL && recorder->queued < QUEUE_MAX && !recorder->closing) {
		if (recorder->last != NULL)
			recorder->last->next = event;
		else
			recorder->first = event;
		recorder->last = event;
		recorder->queued++;
		tell = !recorder->busy;
		recorder->busy = true;
		event = NULL;
	} else {
		count_dropped();
	}
	am_unlock(&recorder->lock);
	free_event(event);
	return tell;
}

void
am_recorder_emit(struct am_recorder *recorder, const char *involved_json, const char *ns, const char *name,
		 const char *type, const char *reason, const char *message)
{
	struct am_io *io = am_kube_io(recorder->kube);
	struct am_sighting seen = {
		.involved = am_slice_of(involved_json), .name = name, .type = type, .reason = reason, .message = message,
		.wall = am_clock_wall(io->clock), .boot = am_clock_boot(io->clock),
	};
	struct am_verdict verdict;

	if (seen.involved.n > INVOLVED_MAX || am_json_check(seen.involved.p, seen.involved.n, NULL) < 0 ||
	    (strcmp(type, "Normal") != 0 && strcmp(type, "Warning") != 0)) {
		am_log_warn("kube", "event \"%s\" about \"%s\" is malformed and dropped", reason, name);
		count_dropped();
		return;
	}
	am_lock(&recorder->lock);
	bool wanted = am_correlator_see(recorder->correlator, &seen, &verdict);
	am_unlock(&recorder->lock);
	if (!wanted) {
		count_dropped();
		return;
	}
	/* Of objects without a namespace the events live in "default". */
	struct event *event = make_event(recorder, am_empty(ns) ? "default" : ns, &seen, &verdict);
	am_verdict_fini(&verdict);
	if (enqueue(recorder, event))
		am_io_post(io, wake, recorder);
}
