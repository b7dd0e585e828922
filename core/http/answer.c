/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: whole ones, pulled streams, and pipes (blocking writes, a stream whose source is a bounded buffer).
 *
 * A source that has nothing suspends its connection.  The decision to suspend and the wish to resume meet under
 * request->lock: a resume that comes while the source is being asked is noted as pending, so that none is lost.
 */
#include <stdlib.h>

#include "core/http/http_priv.h"

const char *
am_http_reason(int status)
{
	const char *text = MHD_get_reason_phrase_for((unsigned)status);

	return text != NULL ? text : "Unknown";
}

void
am_http_set_header(struct am_http_request *r, const char *name, const char *value)
{
	if (r->n_headers == AM_HTTP_HEADERS_MAX)
		return;
	/* Room for eight more; few answers need it twice. */
	if (r->n_headers % 8 == 0)
		r->headers = am_xrealloc(r->headers, r->n_headers + 8, sizeof(*r->headers));
	char *copy = am_xstrdup(value);

	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			*p = ' ';
	r->headers[r->n_headers][0] = am_xstrdup(name);
	r->headers[r->n_headers][1] = copy;
	r->n_headers++;
}

/* On the HTTP thread. */
enum MHD_Result
am_http_send(struct am_http_request *r)
{
	struct MHD_Response *response = r->response;

	if (response == NULL)
		return MHD_NO;
	for (size_t i = 0; i < r->n_headers; i++)
		(void)MHD_add_response_header(response, r->headers[i][0], r->headers[i][1]);
	r->response = NULL;
	r->state = AM_HTTP_SENDING;
	enum MHD_Result rc = MHD_queue_response(r->connection, (unsigned)r->status, response);
	MHD_destroy_response(response);
	return rc;
}

void
am_http_decide(struct am_http_request *r, int status, const char *content_type, struct MHD_Response *response)
{
	bool suspended = r->state == AM_HTTP_QUEUED;

	r->status = status;
	r->response = response;
	r->answered = true;
	if (content_type != NULL)
		am_http_set_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	r->state = AM_HTTP_ANSWERED;
	if (suspended)
		MHD_resume_connection(r->connection);
}

void
am_http_let_go(struct am_http_request *r)
{
	struct am_httpd *httpd = r->httpd;

	am_http_request_unref(r);
	am_http_open_done(httpd);
}

void
am_http_answer(struct am_http_request *r, int status, const char *content_type, struct am_buf *body)
{
	static const struct am_buf empty = { 0 };
	struct MHD_Response *response;
	bool queued = r->state == AM_HTTP_QUEUED;

	if (body != NULL && body->failed) {
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
		am_buf_fini(body);
	}
	if (r->observer != NULL)
		r->observer(r->observer_arg, status, body != NULL ? body : &empty);
	if (body == NULL || body->len == 0) {
		response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	} else {
		size_t n;
		char *data = am_buf_steal(body, &n);

		response = MHD_create_response_from_buffer_with_free_callback(n, data, free);
		if (response == NULL)
			free(data);
	}
	am_http_decide(r, status, content_type, response);
	if (queued)
		am_http_let_go(r);
}

void
am_http_answer_text(struct am_http_request *r, int status, const char *content_type, const char *text)
{
	struct am_buf body = { 0 };

	am_buf_adds(&body, text);
	am_http_answer(r, status, content_type, &body);
	am_buf_fini(&body);
}

void
am_http_refuse(struct am_http_request *r, int status, const char *why)
{
	struct am_buf body = { 0 };
	const char *content_type = "text/plain; charset=utf-8";

	if (r->httpd->o.refusal != NULL)
		r->httpd->o.refusal(r->httpd->o.self, status, why, &body, &content_type);
	else
		am_buf_addf(&body, "%s: %s\n", am_http_reason(status), why);
	am_http_answer(r, status, content_type, &body);
	am_buf_fini(&body);
}

/* ---- streams */

/* httpd->lock may be held. */
void
am_http_kick(struct am_http_request *r)
{
	am_lock(&r->lock);
	if (r->suspended) {
		r->suspended = false;
		MHD_resume_connection(r->connection);
	} else {
		r->pending = true;
	}
	if (r->pipe != NULL)
		am_cond_broadcast(&r->pipe->room);
	am_unlock(&r->lock);
}

void
am_http_note(struct am_http_request *r)
{
	struct am_httpd *httpd = r->httpd;

	am_lock(&httpd->wake_lock);
	if (!atomic_exchange(&r->is_awake, true)) {
		am_http_request_ref(r);
		r->next_awake = httpd->awake;
		httpd->awake = r;
	}
	am_unlock(&httpd->wake_lock);
}

void
am_http_resume_noted(struct am_httpd *httpd)
{
	am_lock(&httpd->lock);
	am_cond_signal(&httpd->tick);
	am_unlock(&httpd->lock);
}

/* libmicrohttpd then marks the connection as closed, but with epoll lets go of it only when it next looks at it: when it has been
 * idle for long.  Those that have a time limit of their own it looks at with each turn. */
static ssize_t
cut(struct am_http_request *r)
{
	(void)MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, 1U);
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t
on_pull(void *cls, uint64_t pos am_unused_, char *buf, size_t max)
{
	struct am_http_request *r = cls;
	struct am_httpd *httpd = r->httpd;

	for (;;) {
		int64_t wake_at = AM_FOREVER;

		am_lock(&r->lock);
		r->pending = false;
		am_unlock(&r->lock);
		/* A pipe hands over what is in it; its writer learns of the stop by itself. */
		if (atomic_load(&httpd->stopping) && r->pipe == NULL) {
			if (r->source.stop == NULL)
				return cut(r);
			r->source.stop(r->source.arg);
		}
		ssize_t n = r->source.pull(r->source.arg, buf, max, &wake_at);

		if (n > 0)
			return n;
		if (n == AM_HTTP_END)
			return MHD_CONTENT_READER_END_OF_STREAM;
		int64_t now = am_clock_boot(httpd->clock);

		/* A peer that has left is noticed when something is sent, or else now and then. */
		if (n < 0 || (now >= r->beat_at && am_http_fd_gone(r->fd)))
			return cut(r);
		am_lock(&r->lock);
		if (r->pending) {
			am_unlock(&r->lock);
			continue;
		}
		r->wake_at = wake_at;
		/* Not with each pull: who is woken again and again for nothing would never be looked at. */
		if (r->beat_at == AM_FOREVER || now >= r->beat_at)
			r->beat_at = am_http_next_beat(now);
		r->suspended = true;
		MHD_suspend_connection(r->connection);
		int64_t at = AM_MIN(r->wake_at, r->beat_at);
		am_unlock(&r->lock);
		am_http_tick_at(httpd, at);
		return 0;
	}
}

/* The response is no longer needed: sent, failed, or never sent. */
static void
on_stream_end(void *cls)
{
	struct am_http_request *r = cls;

	if (r->source.done != NULL)
		r->source.done(r->source.arg);
	am_http_stream_del(r->httpd, r);
	am_http_request_unref(r);
}

static void
start_stream(struct am_http_request *r, int status, const char *content_type, const struct am_http_source *source)
{
	struct MHD_Response *response;

	r->source = *source;
	r->wake_at = r->beat_at = AM_FOREVER;
	r->streaming = true;
	am_http_request_ref(r); /* the response's */
	am_http_stream_add(r->httpd, r);
	response = MHD_create_response_from_callback(r->length, 16 * 1024, on_pull, r, on_stream_end);
	if (response == NULL)
		on_stream_end(r);
	if (r->observer != NULL)
		r->observer(r->observer_arg, status, NULL);
	am_http_decide(r, status, content_type, response);
}

void
am_http_stream(struct am_http_request *r, int status, const char *content_type, const struct am_http_source *source)
{
	start_stream(r, status, content_type, source);
	am_http_let_go(r);
}

/* ---- pipes */

static ssize_t
pipe_pull(void *arg, char *buf, size_t max, int64_t *wake_at am_unused_)
{
	struct am_http_request *r = arg;
	struct am_http_pipe *pipe = r->pipe;
	ssize_t ret = 0;

	am_lock(&r->lock);
	if (pipe->buf.len > 0) {
		size_t n = AM_MIN(max, pipe->buf.len);

		memcpy(buf, pipe->buf.data, n);
		am_buf_consume(&pipe->buf, n);
		am_cond_broadcast(&pipe->room);
		ret = (ssize_t)n;
	} else if (pipe->ended) {
		ret = pipe->broken ? AM_HTTP_ABORT : AM_HTTP_END;
	}
	am_unlock(&r->lock);
	return ret;
}

void
am_http_begin(struct am_http_request *r, int status, const char *content_type)
{
	struct am_http_source source = { pipe_pull, NULL, r, NULL };

	am_assert(!r->begun && !r->answered);
	r->pipe = am_xcalloc(1, sizeof(*r->pipe));
	am_cond_init(&r->pipe->room, am_clock_real());
	r->begun = true;
	start_stream(r, status, content_type, &source);
}

int
am_http_write(struct am_http_request *r, const char *data, size_t n)
{
	struct am_http_pipe *pipe = r->pipe;
	int rc = 0;

	while (n > 0 && rc == 0) {
		am_lock(&r->lock);
		while (pipe->buf.len >= AM_HTTP_PIPE_MAX && !r->gone && !atomic_load(&r->httpd->stopping))
			if (!am_cond_wait(&pipe->room, &r->lock, am_clock_boot(am_clock_real()) + AM_NS_PER_S) &&
			    am_http_fd_gone(r->fd))
				break;
		if (r->gone || pipe->broken || (pipe->buf.len >= AM_HTTP_PIPE_MAX && am_http_fd_gone(r->fd))) {
			rc = -AMBIENT_E_UNAVAILABLE;
		} else if (atomic_load(&r->httpd->stopping)) {
			rc = -AMBIENT_E_CANCELLED;
		} else {
			size_t k = AM_MIN(n, AM_HTTP_PIPE_MAX - pipe->buf.len);

			am_buf_add(&pipe->buf, data, k);
			if (pipe->buf.failed)
				rc = -AMBIENT_E_NOMEM;
			data += k;
			n -= k;
		}
		if (rc < 0 && rc != -AMBIENT_E_CANCELLED)
			pipe->broken = true;
		am_unlock(&r->lock);
		if (rc == 0)
			am_http_kick(r);
	}
	return rc;
}

void
am_http_set_length(struct am_http_request *r, uint64_t length)
{
	r->length = length;
}

void
am_http_abort(struct am_http_request *r)
{
	am_lock(&r->lock);
	r->pipe->broken = true;
	am_unlock(&r->lock);
	am_http_end(r);
}

void
am_http_end(struct am_http_request *r)
{
	am_lock(&r->lock);
	r->pipe->ended = true;
	am_unlock(&r->lock);
	am_http_kick(r);
	am_http_let_go(r);
}

bool
am_http_gone(const struct am_http_request *request)
{
	struct am_http_request *r = (struct am_http_request *)(uintptr_t)request;

	/* The lock keeps the descriptor open: it is closed after on_completed, which takes it too. */
	am_lock(&r->lock);
	bool gone = r->gone || atomic_load(&r->httpd->stopping) || am_http_fd_gone(r->fd);
	am_unlock(&r->lock);
	return gone;
}
