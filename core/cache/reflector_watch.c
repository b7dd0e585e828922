/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a collection, by watch requests; and a whole collection at the beginning of one (a stream), which ends
 * with a marked bookmark.  Until that has come the events tell of objects in no order of versions, so the version that a
 * watch would start from stays where it was.
 *
 * A stream that nobody ends is left for a list when nothing has come for a while, and so is one that is refused or cut
 * again and again; what the API server cannot do is not asked of it again for an hour.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/cache/reflector_priv.h"

#define WATCH_MIN      (300 * AM_NS_PER_S)
#define WATCH_GRACE    (30 * AM_NS_PER_S)  /* beyond the time after which the API server should have ended it */
#define SILENCE        (180 * AM_NS_PER_S) /* three missed bookmarks: the connection is dead */
#define VERY_SHORT     AM_NS_PER_S
#define INTERNAL_RESET (60 * AM_NS_PER_S)
#define HEAL_NS        (30 * AM_NS_PER_S)  /* from a lost event to the list that makes good for it */
#define MARKER_NS      (15 * AM_NS_PER_S)  /* a stream that is silent so long has no end */
#define CUTS_MAX       3                   /* streams cut in a row */
#define REFUSED_NS     (3600 * AM_NS_PER_S)
#define CUT_NS         (600 * AM_NS_PER_S)
#define INITIAL_END    "/metadata/annotations/k8s.io~1initial-events-end"

/* Is a failing watch that ends with 500 InternalError to be repeated? */
static bool
internal_retry(struct am_reflector *r)
{
	int64_t t = am_reflector_now(r);

	if (r->opt.internal_retry_ns <= 0)
		return false;
	if (r->internal_last == 0 || t - r->internal_last > INTERNAL_RESET)
		r->internal_first = t;
	r->internal_last = t;
	return t - r->internal_first <= r->opt.internal_retry_ns;
}

/* The API server says why it does not go on; by status line or inside the stream. */
static enum verdict
refusal_verdict(struct am_reflector *r, const struct status *status, int code)
{
	if (code == 410) {
		am_log_debug("cache", "%s: version \"%s\" is too old to watch from", r->opt.path, r->rv);
		return V_LIST;
	}
	am_reflector_trouble(r, "watch", status->message[0] != '\0' ? status->message : "the API server gave no reason");
	if (code == 429)
		return V_WATCH_LATER;
	if (code == 500 && (status->reason[0] == '\0' || strcmp(status->reason, "InternalError") == 0) && internal_retry(r))
		return V_WATCH_LATER;
	return V_LIST;
}

static int
on_error_event(struct am_reflector *r, struct am_slice object, struct ambient_error *err)
{
	struct status status;

	am_cache_status_parse(object, &status);
	r->verdict = refusal_verdict(r, &status, status.code);
	/* Inside a stream, too, the version that it was to start from is too old. */
	if (r->streaming && status.code == 410)
		r->rv_unavailable = true;
	return ambient_err(err, AMBIENT_E_GONE, "the API server ended the watch: %s", status.message);
}

/* Does the object say it otherwise?  Saying nothing, or nothing being wanted, fits. */
static bool
differs(struct am_slice object, const char *pointer, const char *wanted)
{
	struct am_slice value;

	return !am_empty(wanted) && am_json_find(object, pointer, &value) && am_json_type(value) == AMBIENT_T_STRING &&
	       !am_json_str_eq(value, wanted);
}

static bool
kind_fits(const struct am_reflector *r, struct am_slice object)
{
	struct am_slice kind;

	if (!differs(object, "/kind", r->status.kind) && !differs(object, "/apiVersion", r->opt.api_version))
		return true;
	return r->metadata_only && am_json_find(object, "/kind", &kind) && am_json_str_eq(kind, AM_PARTIAL_KIND);
}

static void
advance(struct am_reflector *r, const char *rv)
{
	if (am_empty(rv))
		return;
	am_reflector_set_rv(r, rv);
	am_store_observe(r->store, rv);
}

/* The only thing that can tell what a lost event was about is a list; the watch goes on meanwhile. */
static void
heal(void *arg)
{
	struct am_reflector *r = arg;

	r->heal = NULL;
	if (r->transfer != NULL) {
		r->verdict = V_LIST;
		am_io_cancel(r->io, r->transfer);
	} else {
		am_io_timer_cancel(r->io, r->timer);
		r->timer = NULL;
		am_reflector_list(r);
	}
}

/* An event that cannot be read.  With the name of its object and what happened nothing is lost. */
static int
lost_event(struct am_reflector *r, const char *text, size_t n, const char *why)
{
	static const struct {
		const char *prefix;
		bool deleted;
	} types[] = { { "{\"type\":\"ADDED\"", false }, { "{\"type\":\"MODIFIED\"", false }, { "{\"type\":\"DELETED\"", true } };
	struct am_salvage who;

	if (am_reflector_skip(r, text, n, why, &who)) {
		for (size_t i = 0; i < AM_COUNTOF(types); i++) {
			size_t len = strlen(types[i].prefix);

			if (n < len || memcmp(text, types[i].prefix, len) != 0)
				continue;
			if (types[i].deleted)
				am_store_remove_name(r->store, who.ns, who.name, who.rv, r->opt.change, r->opt.arg);
			else
				am_store_touch(r->store, who.ns, who.name);
			return 0;
		}
	}
	if (r->heal == NULL)
		r->heal = am_io_timer(r->io, am_reflector_now(r) + HEAL_NS, heal, r);
	return 0;
}

static int
on_oversize(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct am_reflector *r = arg;

	r->watch_events++;
	return lost_event(r, text, n, "it is larger than 4 MiB");
}

static int
on_object_event(struct am_reflector *r, bool deleted, struct am_slice line, struct am_slice json)
{
	struct ambient_error bad = AMBIENT_ERROR_INIT;
	struct am_object *object;
	struct am_salvage who;

	if (!kind_fits(r, json)) {
		(void)am_reflector_skip(r, json.p, json.n, "it is of another kind", &who);
		return 0;
	}
	if (am_reflector_object(r, json, true, &object, &bad) < 0)
		return lost_event(r, line.p, line.n, bad.message);
	if (deleted)
		am_store_remove(r->store, object, r->opt.change, r->opt.arg);
	else
		am_store_upsert(r->store, object, r->streaming && !r->synced, r->opt.change, r->opt.arg);
	if (!r->streaming)
		advance(r, object->rv);
	am_object_unref(object);
	return 0;
}

/* The list that a stream brought is complete; from here on it is a watch. */
static void
stream_complete(struct am_reflector *r, const char *rv)
{
	r->streaming = false;
	r->watch_events = 0;
	r->watch_at = am_reflector_now(r);
	free(r->watch_rv);
	r->watch_rv = am_xstrdup(rv);
	am_reflector_set_state(r, AM_REFLECTOR_WATCHING);
	am_reflector_complete(r, rv);
}

static void
on_bookmark(struct am_reflector *r, struct am_slice object)
{
	am_auto(am_freep) char *rv = am_json_dup(object, "/metadata/resourceVersion");
	am_auto(am_freep) char *end = r->streaming ? am_json_dup(object, INITIAL_END) : NULL;

	r->bookmarks = true;
	if (!r->streaming)
		advance(r, rv);
	else if (am_streq(end, "true") && !am_empty(rv))
		stream_complete(r, rv);
}

/* A stream has no list to learn it from. */
static void
learn_kind(struct am_reflector *r, struct am_slice object)
{
	am_auto(am_freep) char *kind = r->status.kind[0] == '\0' ? am_json_dup(object, "/kind") : NULL;

	if (kind != NULL && strcmp(kind, "Status") != 0)
		am_reflector_set_kind(r, am_slice_of(kind));
}

static int
on_event(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct ambient_error bad = AMBIENT_ERROR_INIT;
	struct am_reflector *r = arg;
	struct am_slice line = am_slice(text, n), type, object;

	if (!r->running)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped");
	r->watch_events++;
	if (am_json_check(text, n, &bad) < 0)
		return lost_event(r, text, n, bad.message);
	if (!am_json_find(line, "/type", &type) || !am_json_find(line, "/object", &object) ||
	    am_json_type(type) != AMBIENT_T_STRING || am_json_type(object) != AMBIENT_T_OBJECT)
		return lost_event(r, text, n, "it is no event of a watch");
	r->status.events++;
	if (am_json_str_eq(type, "ERROR"))
		return on_error_event(r, object, err);
	if (r->streaming)
		learn_kind(r, object);
	if (am_json_str_eq(type, "BOOKMARK")) {
		on_bookmark(r, object);
		return 0;
	}
	if (am_json_str_eq(type, "ADDED") || am_json_str_eq(type, "MODIFIED"))
		return on_object_event(r, false, line, object);
	if (am_json_str_eq(type, "DELETED"))
		return on_object_event(r, true, line, object);
	return lost_event(r, text, n, "it is of an unknown type");
}

static void on_watch_done(void *arg, const struct ambient_error *err);

/* Silence of a watch that began as a stream, and a stream without an end. */
static void
marker_passed(void *arg)
{
	struct am_reflector *r = arg;
	int64_t limit = r->streaming ? MARKER_NS : SILENCE;

	r->marker = NULL;
	if (am_reflector_now(r) - r->last_event < limit) {
		r->marker = am_io_timer(r->io, r->last_event + limit, marker_passed, r);
		return;
	}
	if (r->streaming) {
		am_reflector_trouble(r, "list", "the API server does not say where a streamed list ends; listing instead");
		r->no_stream_until = am_reflector_now(r) + REFUSED_NS;
		r->verdict = V_LIST_NOW;
	}
	am_io_cancel(r->io, r->transfer);
}

static void
begin(struct am_reflector *r)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	int64_t least = AM_MAX(r->opt.watch_min_ns, WATCH_MIN) << r->cuts; /* what was cut may need longer */
	int64_t limit = least + (int64_t)(am_random_unit() * (double)least);
	char number[24];

	r->timer = NULL;
	am_reflector_set_state(r, r->streaming ? AM_REFLECTOR_LISTING : AM_REFLECTOR_WATCHING);
	am_reflector_request(r, &path);
	am_reflector_query(&path, "watch", "true");
	am_reflector_query(&path, "allowWatchBookmarks", "true");
	if (r->streaming) {
		am_reflector_query(&path, "sendInitialEvents", "true");
		am_reflector_query(&path, "resourceVersionMatch", "NotOlderThan");
	}
	if (!r->streaming || (r->rv[0] != '\0' && !r->rv_unavailable))
		am_reflector_query(&path, "resourceVersion", r->rv);
	(void)snprintf(number, sizeof(number), "%lld", (long long)(limit / AM_NS_PER_S));
	am_reflector_query(&path, "timeoutSeconds", number);
	r->watch_at = r->last_event = am_reflector_now(r);
	r->watch_events = 0;
	free(r->watch_rv);
	r->watch_rv = am_xstrdup(r->rv);
	r->status.watches++;
	if (r->streaming)
		r->marker = am_io_timer(r->io, r->watch_at + MARKER_NS, marker_passed, r);
	am_reflector_send(r, &path, AM_FRAME_LINES, on_event, on_oversize, on_watch_done, limit + WATCH_GRACE,
			  r->bookmarks && !r->streaming ? SILENCE : 0);
}

void
am_reflector_watch(void *arg)
{
	begin(arg);
}

void
am_reflector_stream(void *arg)
{
	struct am_reflector *r = arg;

	am_io_timer_cancel(r->io, r->heal);
	r->heal = NULL;
	r->streaming = true;
	am_store_replace_begin(r->store);
	begin(r);
}

/* It was a watch, and it ended without being told why. */
static void
watch_ended(struct am_reflector *r)
{
	bool short_lived = am_reflector_now(r) - r->watch_at < VERY_SHORT;

	if (short_lived && (r->watch_events == 0 || strcmp(r->watch_rv, r->rv) == 0)) {
		am_reflector_trouble(r, "watch", "a very short watch: the API server closed it at once");
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
		return;
	}
	r->status.error[0] = '\0';
	am_reflector_watch(r);
}

static void
watch_refused(struct am_reflector *r)
{
	struct status status;

	if (am_reflector_want_all(r)) {
		am_reflector_watch(r);
		return;
	}
	am_cache_status_parse(am_slice(am_buf_str(&r->refusal), r->refusal.len), &status);
	if (status.message[0] == '\0')
		(void)snprintf(status.message, sizeof(status.message), "the API server answered %d", r->http_status);
	if (refusal_verdict(r, &status, r->http_status) == V_WATCH_LATER)
		am_reflector_watch_later(r, am_reflector_watch);
	else
		am_reflector_sync_later(r, r->http_status == 404 ? AM_REFLECTOR_MISSING :
			      r->http_status == 401 || r->http_status == 403 ? AM_REFLECTOR_FORBIDDEN : AM_REFLECTOR_BACKOFF);
}

/* What it cannot do it is not asked again soon, but for its own troubles. */
static void
stream_refused(struct am_reflector *r)
{
	struct status status;
	int code = r->http_status;

	am_cache_status_parse(am_slice(am_buf_str(&r->refusal), r->refusal.len), &status);
	if (am_reflector_want_all(r)) {
		am_reflector_stream(r);
	} else if ((code == 410 || status.too_large_rv) && !r->rv_unavailable) {
		r->rv_unavailable = true;
		am_reflector_stream(r);
	} else if (code == 429) {
		am_reflector_trouble(r, "list", status.message[0] != '\0' ? status.message : "too many requests");
		am_reflector_watch_later(r, am_reflector_stream);
	} else if (code == 401 || code == 403 || code == 404) {
		am_reflector_refused(r, code, &status);
	} else {
		am_log_debug("cache", "%s: no streamed lists: %d %s", r->opt.path, code, status.message);
		if (code < 500)
			r->no_stream_until = am_reflector_now(r) + REFUSED_NS;
		am_reflector_list(r);
	}
}

/* A stream that ended before its list did. */
static void
stream_ended(struct am_reflector *r, const struct ambient_error *err)
{
	if (r->verdict == V_LIST_NOW || (r->verdict == V_LIST && !r->rv_unavailable)) {
		am_reflector_list(r);
	} else if (r->verdict == V_LIST) {
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
	} else if (r->verdict == V_WATCH_LATER) {
		am_reflector_watch_later(r, am_reflector_stream);
	} else if (r->http_status == 0 && err != NULL) {
		am_reflector_trouble(r, "list", err->message);
		am_reflector_watch_later(r, am_reflector_stream);
	} else if (r->http_status != 200) {
		stream_refused(r);
	} else if (++r->cuts < CUTS_MAX) {
		am_reflector_trouble(r, "list", err != NULL ? err->message : "a streamed list ended before its end");
		am_reflector_watch_later(r, am_reflector_stream);
	} else {
		r->cuts = 0;
		r->no_stream_until = am_reflector_now(r) + CUT_NS;
		am_reflector_list(r);
	}
}

static void
on_watch_done(void *arg, const struct ambient_error *err)
{
	struct am_reflector *r = arg;
	bool streaming = r->streaming;

	r->transfer = NULL;
	r->streaming = false;
	am_io_timer_cancel(r->io, r->marker);
	r->marker = NULL;
	if (!r->running)
		return;
	if (streaming) {
		stream_ended(r, err);
	} else if (r->verdict == V_LIST) {
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
	} else if (r->verdict == V_WATCH_LATER) {
		am_reflector_watch_later(r, am_reflector_watch);
	} else if (r->http_status == 0 && err != NULL) {
		am_reflector_trouble(r, "watch", err->message); /* nobody there: the version is as good as before */
		am_reflector_watch_later(r, am_reflector_watch);
	} else if (r->http_status != 200) {
		watch_refused(r);
	} else {
		watch_ended(r);
	}
}
