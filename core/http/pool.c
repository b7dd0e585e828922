/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers behind a bounded queue, and the ticker, one thread that wakes waiting sources when something is there for them
 * or at the time that they asked for, and sends each suspended stream a heartbeat, without which a peer that has left
 * would never be noticed.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/http/http_priv.h"

bool
am_http_pool_add(struct am_httpd *httpd, struct am_http_request *r)
{
	am_lock(&httpd->lock);
	if (atomic_load(&httpd->stopping) || httpd->queued >= httpd->o.queue_max) {
		am_unlock(&httpd->lock);
		return false;
	}
	r->state = AM_HTTP_QUEUED;
	am_http_request_ref(r); /* the answering side's */
	MHD_suspend_connection(r->connection);
	r->next_queued = NULL;
	if (httpd->queue_tail != NULL)
		httpd->queue_tail->next_queued = r;
	else
		httpd->queue_head = r;
	httpd->queue_tail = r;
	httpd->queued++;
	httpd->open++;
	am_cond_signal(&httpd->work);
	am_unlock(&httpd->lock);
	return true;
}

/* One suspended request less. */
void
am_http_open_done(struct am_httpd *httpd)
{
	am_lock(&httpd->lock);
	httpd->open--;
	if (httpd->open == 0)
		am_cond_broadcast(&httpd->idle);
	am_unlock(&httpd->lock);
}

static void
run_handler(struct am_httpd *httpd, struct am_http_request *r)
{
	/* The answering side's reference may be dropped by whoever keeps the request: hold one for what follows. */
	am_http_request_ref(r);
	httpd->o.handler(httpd->o.self, r);
	if (!r->kept && !r->answered)
		am_http_refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the handler gave no answer");
	am_http_request_unref(r);
}

static void
worker(void *arg)
{
	struct am_httpd *httpd = arg;

	am_lock(&httpd->lock);
	for (;;) {
		struct am_http_request *r = httpd->queue_head;

		if (r == NULL) {
			if (atomic_load(&httpd->stopping))
				break;
			am_cond_wait(&httpd->work, &httpd->lock, AM_FOREVER);
			continue;
		}
		httpd->queue_head = r->next_queued;
		if (httpd->queue_head == NULL)
			httpd->queue_tail = NULL;
		httpd->queued--;
		am_unlock(&httpd->lock);
		if (atomic_load(&httpd->stopping))
			am_http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the server stops");
		else
			run_handler(httpd, r);
		am_lock(&httpd->lock);
	}
	am_unlock(&httpd->lock);
}

/* ---- streams */

void
am_http_stream_add(struct am_httpd *httpd, struct am_http_request *r)
{
	am_lock(&httpd->lock);
	r->next_stream = httpd->stream_list;
	if (r->next_stream != NULL)
		r->next_stream->link_stream = &r->next_stream;
	r->link_stream = &httpd->stream_list;
	httpd->stream_list = r;
	httpd->streams++;
	am_unlock(&httpd->lock);
}

void
am_http_stream_del(struct am_httpd *httpd, struct am_http_request *r)
{
	am_lock(&httpd->lock);
	if (r->link_stream != NULL) {
		*r->link_stream = r->next_stream;
		if (r->next_stream != NULL)
			r->next_stream->link_stream = r->link_stream;
		r->link_stream = NULL;
		httpd->streams--;
		if (httpd->streams == 0)
			am_cond_broadcast(&httpd->idle);
	}
	am_unlock(&httpd->lock);
}

void
am_http_tick_at(struct am_httpd *httpd, int64_t at)
{
	am_lock(&httpd->lock);
	if (at < httpd->tick_at) {
		httpd->tick_at = at;
		am_cond_signal(&httpd->tick);
	}
	am_unlock(&httpd->lock);
}

/* All that was noted, in one list, which nobody else sees. */
static struct am_http_request *
take_awake(struct am_httpd *httpd)
{
	am_lock(&httpd->wake_lock);
	struct am_http_request *list = httpd->awake;
	httpd->awake = NULL;
	am_unlock(&httpd->wake_lock);
	return list;
}

/* The next one of that list; r may be noted again from here on, before it is kicked. */
static struct am_http_request *
leave_awake(struct am_http_request *r)
{
	struct am_http_request *next = r->next_awake;

	atomic_store(&r->is_awake, false);
	return next;
}

void
am_http_forget_awake(struct am_httpd *httpd)
{
	for (struct am_http_request *r = take_awake(httpd), *next; r != NULL; r = next) {
		next = leave_awake(r);
		am_http_request_unref(r);
	}
}

static void
ticker(void *arg)
{
	struct am_httpd *httpd = arg;

	am_lock(&httpd->lock);
	while (!atomic_load(&httpd->stopping)) {
		struct am_http_request *awake = take_awake(httpd), *next;

		if (awake != NULL) {
			am_unlock(&httpd->lock);
			for (; awake != NULL; awake = next) {
				next = leave_awake(awake);
				am_http_kick(awake);
				am_http_request_unref(awake);
			}
			am_lock(&httpd->lock);
			continue;
		}
		int64_t now = am_clock_boot(httpd->clock);

		if (now < httpd->tick_at) {
			am_cond_wait(&httpd->tick, &httpd->lock, httpd->tick_at);
			continue;
		}
		httpd->tick_at = AM_FOREVER;
		for (struct am_http_request *r = httpd->stream_list; r != NULL; r = r->next_stream) {
			am_lock(&r->lock);
			bool waits = r->suspended;
			/* As long as it is suspended the connection is there, and with it the descriptor. */
			if (waits && r->beat_at <= now && !am_http_fd_gone(r->fd))
				r->beat_at = am_http_next_beat(now);
			int64_t at = AM_MIN(r->wake_at, r->beat_at);
			am_unlock(&r->lock);
			if (!waits)
				continue;
			if (at <= now)
				am_http_kick(r);
			else if (at < httpd->tick_at)
				httpd->tick_at = at;
		}
	}
	am_unlock(&httpd->lock);
}

int
am_http_pool_start(struct am_httpd *httpd, struct ambient_error *err)
{
	httpd->workers = am_xcalloc((size_t)httpd->o.threads, sizeof(struct am_thread *));
	for (int i = 0; i < httpd->o.threads; i++) {
		httpd->workers[i] = am_thread_new("http-worker", 0, worker, httpd);
		if (httpd->workers[i] == NULL)
			return am_err_errno(err, errno, "%s: no thread", httpd->o.name);
	}
	httpd->ticker = am_thread_new("http-ticker", 0, ticker, httpd);
	if (httpd->ticker == NULL)
		return am_err_errno(err, errno, "%s: no thread", httpd->o.name);
	return 0;
}

/* After `stopping` is set. */
void
am_http_pool_stop(struct am_httpd *httpd)
{
	am_lock(&httpd->lock);
	am_cond_broadcast(&httpd->work);
	am_cond_broadcast(&httpd->tick);
	am_unlock(&httpd->lock);
	for (int i = 0; i < httpd->o.threads; i++)
		am_thread_join(httpd->workers[i]);
	free(httpd->workers);
	am_thread_join(httpd->ticker);
}
