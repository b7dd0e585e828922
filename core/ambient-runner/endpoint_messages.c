/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/messages.  A reader is a source that the HTTP thread pulls from: it copies the log's bytes as long as there
 * are some, sends an empty line now and then while there are none, and ends when the run has said its last, its key is
 * taken back, or, without follow, it has all that was there when it came.
 */
#include <stdlib.h>

#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/mem.h"

#define HEARTBEAT (15 * AM_NS_PER_S)

struct am_reader {
	struct am_endpoint *endpoint;
	struct am_http_request *request;
	struct am_key key;
	struct am_log_cursor cursor;
	off_t end;     /* -1: follow */
	int64_t beat;  /* boot time of the next empty line */
	bool stopping; /* the listener does */
	/* The endpoint's lock guards these. */
	bool linked;
	struct am_reader *next, **prev;
};

void
am_endpoint_wake_readers(struct am_endpoint *endpoint)
{
	am_lock_assert(&endpoint->lock);
	for (struct am_reader *r = endpoint->readers; r != NULL; r = r->next)
		am_http_note(r->request);
	if (endpoint->readers != NULL)
		am_http_resume_noted(endpoint->httpd);
}

/* It is known from its first pull on: before, there is nothing to wake. */
static void
link_reader(struct am_reader *r)
{
	struct am_endpoint *e = r->endpoint;

	am_lock_assert(&e->lock);
	if (r->linked)
		return;
	r->linked = true;
	r->prev = &e->readers;
	r->next = e->readers;
	if (r->next != NULL)
		r->next->prev = &r->next;
	e->readers = r;
}

static ssize_t
pull(void *arg, char *buf, size_t max, int64_t *wake_at)
{
	struct am_reader *r = arg;
	struct am_endpoint *e = r->endpoint;
	int64_t now = am_endpoint_now(), left = r->key.expires - am_clock_wall(am_clock_real());

	am_lock(&e->lock);
	link_reader(r);
	off_t limit = r->end >= 0 ? r->end : e->size;
	bool over = e->finished, aborting = e->aborting;
	bool allowed = left > 0 && am_runner_keys_hold(&e->keys, &r->key);
	am_unlock(&e->lock);
	if (!allowed || r->stopping)
		return r->cursor.inside ? AM_HTTP_ABORT : AM_HTTP_END;
	ssize_t n = am_endpoint_log_take(&r->cursor, limit, buf, max);
	if (n > 0) {
		r->beat = now + HEARTBEAT;
		return n;
	}
	if (n < 0 || (aborting && r->cursor.at < limit))
		return AM_HTTP_ABORT;
	if (r->cursor.at < limit) { /* much was left out; others have their turn now */
		*wake_at = now;
		return 0;
	}
	if (r->end >= 0 || over)
		return AM_HTTP_END;
	if (now >= r->beat && !r->cursor.inside) {
		r->beat = now + HEARTBEAT;
		buf[0] = '\n';
		return 1;
	}
	*wake_at = AM_MIN(r->beat, now + left);
	return 0;
}

/* A reader comes again and asks from the message that it has not: no need to finish a long one. */
static void
stop(void *arg)
{
	((struct am_reader *)arg)->stopping = true;
}

static void
done(void *arg)
{
	struct am_reader *r = arg;
	struct am_endpoint *e = r->endpoint;

	am_lock(&e->lock);
	if (r->linked) {
		*r->prev = r->next;
		if (r->next != NULL)
			r->next->prev = r->prev;
	}
	if (--e->n_readers == 0)
		am_cond_signal(&e->drained);
	am_unlock(&e->lock);
	free(r);
}

void
am_endpoint_messages(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key)
{
	int follow = am_endpoint_flag(request, "follow", 0), partial = follow < 0 ? -1 : am_endpoint_flag(request, "partial", 1);
	const char *text = am_http_query(request, "from");
	int64_t from = 1;

	if (follow < 0 || partial < 0)
		return;
	if (text != NULL && (am_parse_i64(text, &from) < 0 || from < 0)) {
		am_endpoint_refuse(request, 400, "BadRequest", "from=\"%.40s\" is no number of a message", text);
		return;
	}
	am_lock(&endpoint->lock);
	off_t size = endpoint->size;
	am_unlock(&endpoint->lock);
	off_t at = am_endpoint_log_find(endpoint->log_fd, size, from);
	if (at < 0) {
		am_endpoint_refuse(request, 500, "LogUnreadable", "the message log cannot be read: %s", strerror((int)-at));
		return;
	}
	struct am_reader *r = am_xcalloc(1, sizeof(*r));
	*r = (struct am_reader){.endpoint = endpoint,
				.request = request,
				.key = *key,
				.cursor = {.fd = endpoint->log_fd, .at = at, .partial = partial},
				.end = follow ? -1 : size,
				.beat = am_endpoint_now() + HEARTBEAT};
	am_lock(&endpoint->lock);
	endpoint->n_readers++;
	am_unlock(&endpoint->lock);
	const struct am_http_source source = {pull, done, r, stop};
	am_http_set_header(request, "Cache-Control", "no-store");
	am_http_stream(request, 200, "application/x-ndjson", &source);
}
