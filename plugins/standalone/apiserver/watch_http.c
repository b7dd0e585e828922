/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches: a source over the engine's cursor.  The HTTP thread pulls; an event is taken when the socket has room for
 * it, so a slow peer only lags behind with its cursor, and is ended with a 410 when it falls off the history.  All that
 * is there and fits goes out with one write.
 * Bookmarks go out about once a minute and shortly before the end.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define BOOKMARK_EVERY (60 * AM_NS_PER_S)

struct watch {
	struct rest_server *server;
	struct am_http_request *http;
	struct am_watch *cursor;
	const struct am_resource *res;
	struct rest_text_form form;
	bool bookmarks, over, failed;
	int64_t ends_at, bookmark_at;
	char token[65];            /* the hash of a local user's; "" for others */
	uint64_t said_rv;          /* of the last event or bookmark */
	struct rest_text *text;    /* taken up to `at`; NULL: the next event */
	size_t at;
};

/* With the engine's lock held: only noted, so that a thousand of them cost one signal. */
static void
on_wake(void *arg)
{
	struct watch *w = arg;

	am_http_note(w->http);
	w->server->noted = am_http_listener(w->http);
}

void
rest_watch_woken(void *arg)
{
	struct rest_server *server = arg;

	am_http_resume_noted(server->noted);
}

static struct rest_text *
bookmark(struct watch *w, uint64_t rv, bool initial_end)
{
	struct am_buf out = { 0 }, version = { 0 };
	const char *slash = *w->res->group != '\0' ? "/" : "";
	bool table = w->form.form == REST_TABLE;

	am_buf_addf(&version, "%s%s%s", w->res->group, slash, w->res->version);
	am_buf_adds(&out, "{\"type\":\"BOOKMARK\",\"object\":");
	if (table)
		am_buf_adds(&out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\"");
	else if (w->form.form == REST_PARTIAL || w->form.form == REST_PARTIAL_LIST)
		am_buf_adds(&out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\"");
	else
		am_json_addf(&out, "{\"kind\":%s,\"apiVersion\":%s", w->res->kind, am_buf_str(&version));
	am_json_addf(&out, ",\"metadata\":{\"resourceVersion\":\"%l\"", (int64_t)rv);
	if (!table)
		am_buf_adds(&out, ",\"creationTimestamp\":null");
	if (initial_end)
		am_buf_adds(&out, ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}");
	am_buf_adds(&out, table ? "},\"columnDefinitions\":null,\"rows\":[]}}\n" : "}}}\n");
	am_buf_fini(&version);
	w->said_rv = rv;
	return rest_text_of(&out);
}

static struct rest_text *
last_word(struct watch *w, const struct am_failure *failure)
{
	struct am_buf out = { 0 };

	w->over = true;
	am_buf_adds(&out, "{\"type\":\"ERROR\",\"object\":");
	am_failure_status(failure, &out);
	am_buf_adds(&out, "}\n");
	return rest_text_of(&out);
}

static struct rest_text *
text_of(struct watch *w, const struct am_event *event)
{
	w->said_rv = event->rv;
	if (event->type == AM_EVENT_INITIAL_END)
		return bookmark(w, event->rv, true);
	struct rest_text *text = rest_text_event(w->server, &w->form, w->res, event);
	w->form.columns = false;
	return text;
}

/* Whether there is one; it is in w->text then, unless memory failed. */
static bool
next(struct watch *w)
{
	struct am_failure failure = { 0 };
	struct am_event event;
	int rc;

	if (w->over)
		return false;
	do {
		rc = am_watch_next(w->cursor, &event, &failure);
	} while (rc == 1 && event.type == AM_EVENT_INITIAL_END && !w->bookmarks);
	/* A user who was removed sees nothing more. */
	if (rc == 1 && *w->token != '\0' && !rest_static_alive(w->server->users, w->token))
		w->over = true;
	else if (rc == 1)
		w->text = text_of(w, &event);
	else if (rc < 0 && failure.code != 0)
		w->text = last_word(w, &failure);
	else if (rc < 0)
		w->over = true;
	if (rc < 0)
		am_failure_fini(&failure);
	w->failed = rc != 0 && w->text == NULL && !w->over;
	return w->text != NULL;
}

static size_t
take(struct watch *w, char *buf, size_t max)
{
	size_t n = AM_MIN(max, w->text->len - w->at);

	memcpy(buf, w->text->data + w->at, n);
	w->at += n;
	if (w->at == w->text->len) {
		rest_text_unref(w->text);
		w->text = NULL;
		w->at = 0;
	}
	return n;
}

/* Nothing else is to be said now: is it time for a bookmark?  It is in w->text then. */
static bool
bookmark_due(struct watch *w, int64_t now)
{
	if (w->over || now < w->bookmark_at)
		return false;
	uint64_t rv = am_watch_rv(w->cursor);

	if (rv >= w->said_rv) {
		w->text = bookmark(w, rv, false);
		w->failed = w->text == NULL;
	}
	w->bookmark_at = now + BOOKMARK_EVERY;
	if (now < w->ends_at - 2 * AM_NS_PER_S)
		w->bookmark_at = AM_MIN(w->bookmark_at, w->ends_at - 2 * AM_NS_PER_S);
	return w->text != NULL;
}

static ssize_t
pull(void *arg, char *buf, size_t max, int64_t *wake_at)
{
	struct watch *w = arg;
	size_t n = 0;

	while (n < max && (w->text != NULL || next(w)))
		n += take(w, buf + n, max - n);
	int64_t now = am_clock_boot(w->server->clock);
	if (n == 0 && bookmark_due(w, now))
		n = take(w, buf, max);
	if (n > 0)
		return (ssize_t)n;
	if (w->failed)
		return AM_HTTP_ABORT;
	if (w->over || now >= w->ends_at)
		return AM_HTTP_END;
	*wake_at = AM_MIN(w->ends_at, w->bookmark_at);
	return 0;
}

/* The event that was begun goes out, no other does. */
static void
stop(void *arg)
{
	struct watch *w = arg;

	w->over = true;
}

static void
done(void *arg)
{
	struct watch *w = arg;

	am_watch_close(w->cursor);
	am_resource_unref(w->res);
	rest_text_unref(w->text);
	free(w);
}

/* The end: what the client asked for, else a random time of half an hour to an hour. */
static int64_t
end_of(int64_t seconds, int64_t now)
{
	if (seconds > 0 && seconds < 100000)
		return now + seconds * AM_NS_PER_S;
	return now + (int64_t)((1800 + 1800 * am_random_unit()) * 1e9);
}

void
rest_watch(struct rest_call *call)
{
	int64_t now = am_clock_boot(call->server->clock), seconds;
	struct am_list_query query;

	if (rest_list_query(call, &query, &seconds) < 0) {
		rest_answer_failure(call);
		return;
	}
	struct watch *w = am_xcalloc(1, sizeof(*w));

	if (call->name != NULL)
		query.field_selector = am_arena_printf(call->arena, "metadata.name=%s%s%s", call->name,
						       query.field_selector != NULL ? "," : "",
						       query.field_selector != NULL ? query.field_selector : "");
	w->server = call->server;
	w->http = call->http;
	w->form.form = call->form;
	w->form.columns = call->form == REST_TABLE;
	const char *token = call->impersonated ? call->real_user.token_hash : call->user.token_hash;

	am_strlcpy(w->token, token != NULL ? token : "", sizeof(w->token));
	am_strlcpy(w->form.include_object, call->include_object, sizeof(w->form.include_object));
	w->bookmarks = rest_query_true(call, "allowWatchBookmarks");
	w->ends_at = end_of(seconds, now);
	w->bookmark_at = AM_FOREVER;
	if (w->bookmarks) {
		w->bookmark_at = now + BOOKMARK_EVERY - (int64_t)(am_random_unit() * 5e9);
		w->bookmark_at = AM_MIN(w->bookmark_at, w->ends_at - AM_MIN(2 * AM_NS_PER_S, (w->ends_at - now) / 2));
	}
	if (am_engine_watch(call->server->engine, call->res, call->ns, &query, on_wake, w, &w->cursor,
			    &call->failure) < 0) {
		free(w);
		rest_answer_failure(call);
		return;
	}
	w->res = call->res;
	call->res = NULL; /* the watch has the reference now */
	struct am_http_source source = { pull, done, w, stop };

	am_http_set_header(call->http, "Cache-Control", "no-cache, private");
	am_http_stream(call->http, 200, "application/json", &source);
}
