/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reflector: keeps a store equal to one collection of the API server.  It lists in pages, then watches from the
 * list's version, and lists again when the watch cannot go on.  All of it runs on the I/O thread.
 *
 *     start -> LIST --complete--> WATCH --ends normally, or cannot be started--> WATCH (later, same version)
 *               ^                   |
 *               +---- backoff ------+--410, trouble, very short--
 *
 * Which version is asked for: "0" at first (any state will do), then the last one seen, and the most recent ("") after
 * the API server has said that it does not know that version any more, or not yet.
 *
 * A list is merged into the store as it arrives; what it did not have is dropped at its end.  So memory holds one copy,
 * and readers never see an empty store.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

#define PAGE_SIZE       500
#define VALUE_MAX       (32 * 1024 * 1024) /* one object */
#define REFUSAL_MAX     65536              /* of the body of an error */
#define BACKOFF_BASE    (800 * AM_NS_PER_MS)
#define BACKOFF_MAX     (30 * AM_NS_PER_S)
#define BACKOFF_RESET   (120 * AM_NS_PER_S)
#define RETRY_AFTER_MAX (300 * AM_NS_PER_S)
#define MISSING_NS      (10 * AM_NS_PER_S) /* between looks for a kind that does not exist */
#define WATCH_MIN       (300 * AM_NS_PER_S)
#define WATCH_GRACE     (30 * AM_NS_PER_S) /* beyond the time after which the API server should have ended it */
#define LIST_IDLE       (90 * AM_NS_PER_S)
#define SILENCE         (180 * AM_NS_PER_S) /* three missed bookmarks: the connection is dead */
#define VERY_SHORT      AM_NS_PER_S
#define INTERNAL_RESET  (60 * AM_NS_PER_S)

struct backoff {
	int step;
	int64_t last;
};

/* What to do when the transfer that runs has ended. */
enum verdict { V_NONE, V_LIST, V_WATCH_LATER };

struct am_reflector {
	struct am_io *io;
	struct am_store *store;
	struct am_reflector_options opt;   /* its strings are copies */
	struct am_reflector_status status;
	bool running;

	char *rv;                          /* the last one seen; "" at first */
	bool rv_unavailable;               /* ask for the most recent */
	bool paginated;                    /* the API server cuts lists at "0" in pages: it has no watch cache */
	bool synced;                       /* the first list is complete */
	bool bookmarks;                    /* this API server sends them */
	struct backoff list_backoff, watch_backoff;
	int64_t internal_first, internal_last;

	struct am_timer *timer;            /* backing off */
	struct am_transfer *transfer;
	struct am_framer *framer;          /* of the transfer, or of the last one */
	struct am_buf refusal;
	int http_status;                   /* 0: no head yet */
	int64_t retry_after;
	bool peeked;                       /* the first piece of the body was looked at */

	/* list */
	char *list_rv;                     /* that was asked for */
	char *next_page;                   /* continue token, NULL on the first page */
	bool in_full;                      /* without pages, because a token expired */
	struct am_object **page;           /* items that wait for the kind, which comes behind them */
	size_t page_len, page_cap;

	/* watch */
	int64_t watch_at;
	uint64_t watch_events;
	char *watch_rv;
	enum verdict verdict;
};

static void list_begin(void *arg);
static void watch_begin(void *arg);

/* ---- small things */

static int64_t
now(const struct am_reflector *r)
{
	return am_clock_boot(r->io->clock);
}

static void
set_state(struct am_reflector *r, enum am_reflector_state state)
{
	if (r->status.state != state) {
		r->status.state = state;
		r->status.since = now(r);
	}
}

static void
set_rv(struct am_reflector *r, const char *rv)
{
	free(r->rv);
	r->rv = am_xstrdup(rv);
}

static void
trouble(struct am_reflector *r, const char *doing, const char *text)
{
	(void)snprintf(r->status.error, sizeof(r->status.error), "%s: %.240s", doing, text);
	am_log_warn("cache", "%s: cannot %s: %s", r->opt.path, doing, text);
}

/* Grows by each use; at least what the API server asked for. */
static int64_t
backoff_next(struct am_reflector *r, struct backoff *b)
{
	int64_t delay = BACKOFF_BASE, t = now(r);

	if (t - b->last > BACKOFF_RESET)
		b->step = 0;
	for (int i = 0; i < b->step && delay < BACKOFF_MAX; i++)
		delay *= 2;
	b->step++;
	b->last = t;
	delay = AM_MIN(delay, BACKOFF_MAX);
	delay += (int64_t)(am_random_unit() * (double)delay);
	return AM_MAX(delay, r->retry_after);
}

static void
later(struct am_reflector *r, int64_t delay, void (*fn)(void *))
{
	if (!r->running)
		return;
	r->timer = am_io_timer(r->io, now(r) + delay, fn, r);
}

/* Lists again after the backoff, or when the API server said. */
static void
list_later(struct am_reflector *r, enum am_reflector_state state)
{
	int64_t delay = backoff_next(r, &r->list_backoff);

	if (state == AM_REFLECTOR_MISSING)
		delay = MISSING_NS + (int64_t)(am_random_unit() * (double)AM_NS_PER_S);
	set_state(r, state);
	later(r, delay, list_begin);
}

static void
watch_later(struct am_reflector *r)
{
	set_state(r, AM_REFLECTOR_BACKOFF);
	later(r, backoff_next(r, &r->watch_backoff), watch_begin);
}

/* ---- requests */

static void
query_add(struct am_buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	am_buf_addc(path, strchr(am_buf_str(path), '?') != NULL ? '&' : '?');
	am_buf_adds(path, name);
	am_buf_addc(path, '=');
	am_url_escape(path, value);
}

static void
request_begin(struct am_reflector *r, struct am_buf *path)
{
	am_buf_adds(path, r->opt.path);
	query_add(path, "labelSelector", r->opt.selector);
	query_add(path, "fieldSelector", r->opt.field);
	am_buf_reset(&r->refusal);
	r->http_status = 0;
	r->retry_after = 0;
	r->verdict = V_NONE;
	r->peeked = false;
}

static void
on_head(void *arg, int status, const char *content_type, int64_t retry_after_ms)
{
	struct am_reflector *r = arg;

	r->http_status = status;
	r->retry_after = AM_MIN(AM_MAX(retry_after_ms, 0), RETRY_AFTER_MAX / AM_NS_PER_MS) * AM_NS_PER_MS;
}

/* API servers say "kind" before the items.  Knowing it then, items go into the store as they come instead of waiting for
 * the list's end; whoever says it later, or has it cut by the network, only makes them wait. */
static void
peek_kind(struct am_reflector *r, const char *p, size_t n)
{
	static const char kind[] = "\"kind\":\"";
	const char *items = memchr(p, '[', n), *at, *end;

	r->peeked = true;
	n = items != NULL ? (size_t)(items - p) : n;
	at = memmem(p, n, kind, sizeof(kind) - 1);
	if (at == NULL)
		return;
	at += sizeof(kind) - 1;
	end = memmem(at, n - (size_t)(at - p), "List\"", 5);
	if (end != NULL && end > at && (size_t)(end - at) < sizeof(r->status.kind) &&
	    memchr(at, '"', (size_t)(end - at)) == NULL) {
		memcpy(r->status.kind, at, (size_t)(end - at));
		r->status.kind[end - at] = '\0';
	}
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	struct am_reflector *r = arg;
	size_t skipped;
	int rc;

	if (r->http_status != 200) {
		am_buf_add(&r->refusal, p, n);
		return 0;
	}
	if (!r->peeked && r->status.kind[0] == '\0' && r->status.state == AM_REFLECTOR_LISTING)
		peek_kind(r, p, n);
	skipped = am_framer_skipped(r->framer);
	rc = am_framer_feed(r->framer, p, n, err);
	r->status.skipped += am_framer_skipped(r->framer) - skipped;
	if (rc == 0 && am_framer_skipped(r->framer) != skipped && r->status.state == AM_REFLECTOR_WATCHING) {
		r->verdict = V_LIST; /* what was skipped may have been a deletion */
		rc = ambient_err(err, AMBIENT_E_NOMEM, "an event is larger than %d bytes", VALUE_MAX);
	}
	return rc;
}

static void
request_send(struct am_reflector *r, struct am_buf *path, enum am_frame_mode mode, am_frame_f *value,
	     void (*done)(void *arg, const struct ambient_error *err), int64_t timeout, int64_t idle)
{
	static const char *const headers[] = { "Accept: application/json", NULL };
	struct am_http_req req = { .method = "GET", .path = am_buf_str(path), .headers = headers, .timeout_ns = timeout,
				   .idle_ns = idle, .watch = mode == AM_FRAME_LINES };
	struct am_http_sink sink = { .head = on_head, .data = on_data, .done = done, .arg = r };

	am_framer_free(r->framer);
	r->framer = am_framer_new(mode, VALUE_MAX, value, r);
	r->transfer = am_io_start(r->io, &req, &sink);
}

/* ---- list */

static void
page_drop(struct am_reflector *r)
{
	for (size_t i = 0; i < r->page_len; i++)
		am_object_unref(r->page[i]);
	free(r->page);
	r->page = NULL;
	r->page_len = r->page_cap = 0;
}

static void
store_item(struct am_reflector *r, const struct am_object *object)
{
	am_store_upsert(r->store, object, !r->synced, r->opt.change, r->opt.arg);
}

static void
skip_item(struct am_reflector *r, const struct ambient_error *err)
{
	r->status.skipped++;
	am_log_warn("cache", "%s: skipping an object: %s", r->opt.path, err->message);
}

static int
on_item(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct ambient_error bad = AMBIENT_ERROR_INIT;
	struct am_reflector *r = arg;
	struct am_object *object;
	bool known = r->status.kind[0] != '\0';

	if (!r->running)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped");
	if (am_object_new_kind(text, n, known ? r->opt.api_version : NULL, known ? r->status.kind : NULL, &object, &bad) < 0) {
		skip_item(r, &bad);
		return 0;
	}
	if (known) {
		store_item(r, object);
		am_object_unref(object);
		return 0;
	}
	if (r->page_len == r->page_cap) {
		r->page_cap = r->page_cap != 0 ? 2 * r->page_cap : 64;
		r->page = am_xrealloc(r->page, r->page_cap, sizeof(*r->page));
	}
	r->page[r->page_len++] = object;
	return 0;
}

/* Stores the items that had to wait for the kind. */
static void
page_store(struct am_reflector *r)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_object *object;

	for (size_t i = 0; i < r->page_len; i++) {
		if (am_object_new_kind(r->page[i]->json.p, r->page[i]->json.n, r->opt.api_version,
				       r->status.kind[0] != '\0' ? r->status.kind : NULL, &object, &err) < 0) {
			skip_item(r, &err);
			continue;
		}
		store_item(r, object);
		am_object_unref(object);
	}
	page_drop(r);
}

static bool
learn_kind(struct am_reflector *r, struct am_slice list)
{
	char *kind = am_json_dup(list, "/kind");
	size_t n = kind != NULL ? strlen(kind) : 0;
	bool table = am_streq(kind, "Table");

	if (n > 4 && n < sizeof(r->status.kind) && strcmp(kind + n - 4, "List") == 0) {
		kind[n - 4] = '\0';
		(void)am_strlcpy(r->status.kind, kind, sizeof(r->status.kind));
	}
	free(kind);
	return !table;
}

static void on_list_done(void *arg, const struct ambient_error *err);

static void
list_send(struct am_reflector *r)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	bool fresh = r->list_rv[0] == '\0' || strcmp(r->list_rv, "0") == 0;
	int limit = r->opt.page_size;
	char number[16];

	if (limit == 0)
		limit = fresh || r->paginated ? PAGE_SIZE : 0; /* a limit at a version would bypass the watch cache */
	request_begin(r, &path);
	(void)snprintf(number, sizeof(number), "%d", limit);
	if (limit > 0 && !r->in_full)
		query_add(&path, "limit", number);
	if (r->next_page != NULL)
		query_add(&path, "continue", r->next_page);
	else if (r->list_rv[0] != '\0')
		query_add(&path, "resourceVersion", r->list_rv);
	r->status.lists++;
	request_send(r, &path, AM_FRAME_ITEMS, on_item, on_list_done, 0, LIST_IDLE);
}

static void
list_begin(void *arg)
{
	struct am_reflector *r = arg;

	r->timer = NULL;
	set_state(r, AM_REFLECTOR_LISTING);
	free(r->list_rv);
	r->list_rv = am_xstrdup(r->rv_unavailable ? "" : r->rv[0] == '\0' ? "0" : r->rv);
	free(r->next_page);
	r->next_page = NULL;
	r->in_full = false;
	am_store_replace_begin(r->store);
	list_send(r);
}

static void
list_complete(struct am_reflector *r, const char *rv)
{
	am_store_replace_end(r->store, rv, r->opt.change, r->opt.arg);
	set_rv(r, rv);
	r->rv_unavailable = false;
	r->synced = true;
	r->status.error[0] = '\0';
	if (r->opt.synced != NULL)
		r->opt.synced(r->opt.arg);
	if (r->running)
		watch_begin(r);
}

/* One page is there. */
static void
list_page(struct am_reflector *r)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char *rv, *next;
	struct am_slice list;

	if (am_framer_end(r->framer, &list, &err) < 0 || !learn_kind(r, list)) {
		page_drop(r);
		trouble(r, "list", err.code != 0 ? err.message : "the API server answered with a Table, which is not supported");
		list_later(r, AM_REFLECTOR_BACKOFF);
		return;
	}
	page_store(r);
	rv = am_json_dup(list, "/metadata/resourceVersion");
	next = am_json_dup(list, "/metadata/continue");
	free(r->next_page);
	r->next_page = NULL;
	if (am_empty(rv)) {
		trouble(r, "list", "the list has no resourceVersion");
		list_later(r, AM_REFLECTOR_BACKOFF);
	} else if (!am_empty(next)) {
		if (strcmp(r->list_rv, "0") == 0)
			r->paginated = true;
		r->next_page = am_xstrdup(next);
		list_send(r);
	} else {
		list_complete(r, rv);
	}
	free(rv);
	free(next);
}

static void
list_refused(struct am_reflector *r)
{
	struct status status;
	int code = r->http_status;

	am_cache_status_parse(am_slice(am_buf_str(&r->refusal), r->refusal.len), &status);
	if (code == 410 && r->next_page != NULL && !r->in_full) {
		/* The token is too old: all at once, and what the pages had is void. */
		free(r->next_page);
		r->next_page = NULL;
		r->in_full = true;
		am_store_replace_begin(r->store);
		list_send(r);
		return;
	}
	if ((code == 410 || status.too_large_rv) && !r->rv_unavailable) {
		r->rv_unavailable = true;
		list_begin(r);
		return;
	}
	if (status.message[0] == '\0')
		(void)snprintf(status.message, sizeof(status.message), "the API server answered %d", code);
	trouble(r, "list", status.message);
	list_later(r, code == 404 ? AM_REFLECTOR_MISSING :
		      code == 401 || code == 403 ? AM_REFLECTOR_FORBIDDEN : AM_REFLECTOR_BACKOFF);
}

static void
on_list_done(void *arg, const struct ambient_error *err)
{
	struct am_reflector *r = arg;

	r->transfer = NULL;
	if (r->running && err == NULL && r->http_status == 200) {
		list_page(r);
		return;
	}
	page_drop(r);
	if (!r->running)
		return;
	if (err == NULL) {
		list_refused(r);
	} else {
		trouble(r, "list", err->message);
		list_later(r, AM_REFLECTOR_BACKOFF);
	}
}

/* ---- watch */

/* Is a failing watch that ends with 500 InternalError to be repeated? */
static bool
internal_retry(struct am_reflector *r)
{
	int64_t t = now(r);

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
	trouble(r, "watch", status->message[0] != '\0' ? status->message : "the API server gave no reason");
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
	return ambient_err(err, AMBIENT_E_GONE, "the API server ended the watch: %s", status.message);
}

static bool
kind_fits(const struct am_reflector *r, struct am_slice object)
{
	char *kind = am_json_dup(object, "/kind"), *version = am_json_dup(object, "/apiVersion");
	bool fits = (kind == NULL || r->status.kind[0] == '\0' || strcmp(kind, r->status.kind) == 0) &&
		    (version == NULL || r->opt.api_version == NULL || strcmp(version, r->opt.api_version) == 0);

	free(kind);
	free(version);
	return fits;
}

static void
advance(struct am_reflector *r, const char *rv)
{
	if (am_empty(rv))
		return;
	set_rv(r, rv);
	am_store_observe(r->store, rv);
}

static int
on_object_event(struct am_reflector *r, bool deleted, struct am_slice json, struct ambient_error *err)
{
	struct ambient_error bad = AMBIENT_ERROR_INIT;
	struct am_object *object;

	if (!kind_fits(r, json)) {
		(void)ambient_err(&bad, AMBIENT_E_INVALID, "an event of another kind");
		skip_item(r, &bad);
		return 0;
	}
	if (am_object_new_kind(json.p, json.n, r->opt.api_version, r->status.kind[0] != '\0' ? r->status.kind : NULL, &object,
			       &bad) < 0) {
		skip_item(r, &bad);
		r->verdict = V_LIST; /* it may have been a deletion: only a list can tell */
		return ambient_err(err, AMBIENT_E_INVALID, "an event cannot be read: %.200s", bad.message);
	}
	if (deleted)
		am_store_remove(r->store, object, r->opt.change, r->opt.arg);
	else
		am_store_upsert(r->store, object, false, r->opt.change, r->opt.arg);
	advance(r, object->rv);
	am_object_unref(object);
	return 0;
}

static int
on_event(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct am_reflector *r = arg;
	struct am_slice line = am_slice(text, n), type, object;
	char *rv;

	if (!r->running)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped");
	if (am_json_check(text, n, err) < 0 || !am_json_find(line, "/type", &type) || !am_json_find(line, "/object", &object) ||
	    am_json_type(type) != AMBIENT_T_STRING || am_json_type(object) != AMBIENT_T_OBJECT) {
		r->status.skipped++;
		r->verdict = V_LIST;
		return ambient_err(err, AMBIENT_E_INVALID, "an event of the watch is no JSON event");
	}
	r->watch_events++;
	r->status.events++;
	if (am_json_str_eq(type, "ERROR"))
		return on_error_event(r, object, err);
	if (am_json_str_eq(type, "BOOKMARK")) {
		r->bookmarks = true;
		rv = am_json_dup(object, "/metadata/resourceVersion");
		advance(r, rv);
		free(rv);
		return 0;
	}
	if (am_json_str_eq(type, "ADDED") || am_json_str_eq(type, "MODIFIED"))
		return on_object_event(r, false, object, err);
	if (am_json_str_eq(type, "DELETED"))
		return on_object_event(r, true, object, err);
	r->status.skipped++;
	return 0;
}

static void on_watch_done(void *arg, const struct ambient_error *err);

static void
watch_begin(void *arg)
{
	struct am_reflector *r = arg;
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	int64_t least = AM_MAX(r->opt.watch_min_ns, WATCH_MIN);
	int64_t limit = least + (int64_t)(am_random_unit() * (double)least);
	char number[24];

	r->timer = NULL;
	set_state(r, AM_REFLECTOR_WATCHING);
	request_begin(r, &path);
	query_add(&path, "watch", "true");
	query_add(&path, "allowWatchBookmarks", "true");
	query_add(&path, "resourceVersion", r->rv);
	(void)snprintf(number, sizeof(number), "%lld", (long long)(limit / AM_NS_PER_S));
	query_add(&path, "timeoutSeconds", number);
	r->watch_at = now(r);
	r->watch_events = 0;
	free(r->watch_rv);
	r->watch_rv = am_xstrdup(r->rv);
	r->status.watches++;
	request_send(r, &path, AM_FRAME_LINES, on_event, on_watch_done, limit + WATCH_GRACE, r->bookmarks ? SILENCE : 0);
}

/* It was a watch, and it ended without being told why. */
static void
watch_ended(struct am_reflector *r)
{
	bool short_lived = now(r) - r->watch_at < VERY_SHORT;

	if (short_lived && (r->watch_events == 0 || strcmp(r->watch_rv, r->rv) == 0)) {
		trouble(r, "watch", "a very short watch: the API server closed it at once");
		list_later(r, AM_REFLECTOR_BACKOFF);
		return;
	}
	r->status.error[0] = '\0';
	watch_begin(r);
}

static void
watch_refused(struct am_reflector *r)
{
	struct status status;

	am_cache_status_parse(am_slice(am_buf_str(&r->refusal), r->refusal.len), &status);
	if (status.message[0] == '\0')
		(void)snprintf(status.message, sizeof(status.message), "the API server answered %d", r->http_status);
	if (refusal_verdict(r, &status, r->http_status) == V_WATCH_LATER)
		watch_later(r);
	else
		list_later(r, r->http_status == 404 ? AM_REFLECTOR_MISSING :
			      r->http_status == 401 || r->http_status == 403 ? AM_REFLECTOR_FORBIDDEN : AM_REFLECTOR_BACKOFF);
}

static void
on_watch_done(void *arg, const struct ambient_error *err)
{
	struct am_reflector *r = arg;

	r->transfer = NULL;
	if (!r->running)
		return;
	if (r->verdict == V_LIST) {
		list_later(r, AM_REFLECTOR_BACKOFF);
	} else if (r->verdict == V_WATCH_LATER) {
		watch_later(r);
	} else if (r->http_status == 0 && err != NULL) {
		trouble(r, "watch", err->message); /* nobody there: the version is as good as before */
		watch_later(r);
	} else if (r->http_status != 200) {
		watch_refused(r);
	} else {
		watch_ended(r);
	}
}

/* ---- life */

struct am_reflector *
am_reflector_new(struct am_io *io, struct am_store *store, const struct am_reflector_options *options)
{
	struct am_reflector *r = am_xcalloc(1, sizeof(*r));

	r->io = io;
	r->store = store;
	r->opt = *options;
	r->opt.path = am_xstrdup(options->path);
	r->opt.api_version = am_xstrdup(options->api_version);
	r->opt.selector = am_empty(options->selector) ? NULL : am_xstrdup(options->selector);
	r->opt.field = am_empty(options->field) ? NULL : am_xstrdup(options->field);
	r->rv = am_xstrdup("");
	r->refusal.max = REFUSAL_MAX;
	r->list_backoff.last = r->watch_backoff.last = INT64_MIN / 2;
	return r;
}

void
am_reflector_start(struct am_reflector *r)
{
	if (r->running)
		return;
	r->running = true;
	if (r->rv[0] != '\0' && !r->rv_unavailable)
		watch_begin(r);
	else
		list_begin(r);
}

void
am_reflector_retry(struct am_reflector *r)
{
	bool waits = r->status.state == AM_REFLECTOR_MISSING || r->status.state == AM_REFLECTOR_FORBIDDEN;

	if (!r->running || !waits || r->timer == NULL)
		return;
	am_io_timer_cancel(r->io, r->timer);
	list_begin(r);
}

void
am_reflector_stop(struct am_reflector *r)
{
	if (!r->running)
		return;
	r->running = false;
	am_io_timer_cancel(r->io, r->timer);
	r->timer = NULL;
	if (r->transfer != NULL)
		am_io_cancel(r->io, r->transfer);
	page_drop(r);
	set_state(r, AM_REFLECTOR_STOPPED);
}

void
am_reflector_free(struct am_reflector *r)
{
	if (r == NULL)
		return;
	am_reflector_stop(r);
	am_framer_free(r->framer);
	am_buf_fini(&r->refusal);
	free(r->rv);
	free(r->list_rv);
	free(r->next_page);
	free(r->watch_rv);
	free((void *)(uintptr_t)r->opt.path);
	free((void *)(uintptr_t)r->opt.api_version);
	free((void *)(uintptr_t)r->opt.selector);
	free((void *)(uintptr_t)r->opt.field);
	free(r);
}

void
am_reflector_status(const struct am_reflector *r, struct am_reflector_status *ret)
{
	*ret = r->status;
}
