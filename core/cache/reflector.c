/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reflector: keeps a store equal to one collection of the API server.  It lists in pages, or has the list streamed
 * to it as the beginning of a watch, then watches from the list's version, and lists again when the watch cannot go on.
 *
 *     start -> STREAM --its end comes--------------+
 *      |         |  \--cannot, or never ends--+    v
 *      +-> LIST <------------------------------+   WATCH --ends normally, or cannot be started--> WATCH (later)
 *           ^ \--complete-----------------------+   |
 *           +--- backoff -------------------------------+--410, trouble, very short--> STREAM or LIST
 *
 * Which version is asked for: "0" at first (any state will do; "" by a stream), then the last one seen, and the most
 * recent ("") after the API server has said that it does not know that version any more, or not yet.
 *
 * A list is merged into the store as it arrives; what it did not have is dropped at its end.  So memory holds one copy,
 * and readers never see an empty store.  An object that cannot be read stops neither: it is counted and left out, and
 * where nobody can tell what happened to whom, a list heals it half a minute later.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/cache/reflector_priv.h"

#define REFUSAL_MAX     65536              /* of the body of an error */
#define BACKOFF_BASE    (800 * AM_NS_PER_MS)
#define BACKOFF_MAX     (30 * AM_NS_PER_S)
#define BACKOFF_RESET   (120 * AM_NS_PER_S)
#define RETRY_AFTER_MAX (300 * AM_NS_PER_S)
#define MISSING_NS      (10 * AM_NS_PER_S) /* between looks for a kind that does not exist */
#define TRIM_BYTES      (4 << 20)          /* a list of less leaves little behind */
#define COMPLAINTS_MAX  1024               /* names remembered; then they may be said again */

/* ---- small things */

int64_t
am_reflector_now(const struct am_reflector *r)
{
	return am_clock_boot(r->io->clock);
}

void
am_reflector_set_state(struct am_reflector *r, enum am_reflector_state state)
{
	if (r->status.state != state) {
		r->status.state = state;
		r->status.since = am_reflector_now(r);
	}
}

void
am_reflector_set_rv(struct am_reflector *r, const char *rv)
{
	free(r->rv);
	r->rv = am_xstrdup(rv);
}

void
am_reflector_trouble(struct am_reflector *r, const char *doing, const char *text)
{
	(void)snprintf(r->status.error, sizeof(r->status.error), "%s: %.240s", doing, text);
	am_log_warn("cache", "%s: cannot %s: %s", r->opt.path, doing, text);
}

/* Grows by each use; at least what the API server asked for. */
static int64_t
backoff_next(struct am_reflector *r, struct backoff *b)
{
	int64_t delay = BACKOFF_BASE, t = am_reflector_now(r);

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
	r->timer = am_io_timer(r->io, am_reflector_now(r) + delay, fn, r);
}

static void
sync_now(void *arg)
{
	struct am_reflector *r = arg;

	r->timer = NULL;
	if (r->opt.stream && am_reflector_now(r) >= r->no_stream_until)
		am_reflector_stream(r);
	else
		am_reflector_list(r);
}

void
am_reflector_sync_later(struct am_reflector *r, enum am_reflector_state state)
{
	int64_t delay = backoff_next(r, &r->list_backoff);

	if (state == AM_REFLECTOR_MISSING)
		delay = MISSING_NS + (int64_t)(am_random_unit() * (double)AM_NS_PER_S);
	am_reflector_set_state(r, state);
	later(r, delay, sync_now);
}

void
am_reflector_watch_later(struct am_reflector *r, void (*begin)(void *))
{
	am_reflector_set_state(r, AM_REFLECTOR_BACKOFF);
	later(r, backoff_next(r, &r->watch_backoff), begin);
}

bool
am_reflector_want_all(struct am_reflector *r)
{
	if (r->http_status != 406 || !r->metadata_only)
		return false;
	am_log_info("cache", "%s: the API server has no metadata alone, asking for whole objects", r->opt.path);
	r->metadata_only = false;
	return true;
}

void
am_reflector_refused(struct am_reflector *r, int code, const struct status *status)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "the API server answered %d", code);
	am_reflector_trouble(r, "list", status->message[0] != '\0' ? status->message : text);
	am_reflector_sync_later(r, code == 404 ? AM_REFLECTOR_MISSING :
				   code == 401 || code == 403 ? AM_REFLECTOR_FORBIDDEN : AM_REFLECTOR_BACKOFF);
}

bool
am_reflector_skip(struct am_reflector *r, const char *text, size_t n, const char *why, struct am_salvage *ret)
{
	const char *labels[] = { "resource", r->opt.path, NULL };
	bool named = am_cache_salvage(text, n, ret);
	am_auto(am_freep) char *key = am_xasprintf("%s%s%s", ret->ns, ret->ns[0] != '\0' ? "/" : "", ret->name);

	r->status.skipped++;
	am_metric_add(am_metric(AM_COUNTER, "ambient_cache_skipped_objects_total", "Objects that could not be read.", labels, NULL), 1);
	if (am_map_has(r->complained, key))
		return named;
	if (am_map_len(r->complained) >= COMPLAINTS_MAX) {
		am_map_free(r->complained);
		r->complained = am_map_new();
	}
	am_map_put(r->complained, key, r);
	am_log_warn("cache", "%s: skipping %s%s%s, which cannot be read: %s", r->opt.path, named ? "\"" : "an object", key,
		    named ? "\"" : "", why);
	return named;
}

/* ---- requests */

void
am_reflector_query(struct am_buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	am_buf_addc(path, strchr(am_buf_str(path), '?') != NULL ? '&' : '?');
	am_buf_adds(path, name);
	am_buf_addc(path, '=');
	am_url_escape(path, value);
}

void
am_reflector_request(struct am_reflector *r, struct am_buf *path)
{
	am_buf_adds(path, r->opt.path);
	am_reflector_query(path, "labelSelector", r->opt.selector);
	am_reflector_query(path, "fieldSelector", r->opt.field);
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

/* Of metadata alone nobody says what it is the metadata of. */
void
am_reflector_set_kind(struct am_reflector *r, struct am_slice kind)
{
	if (kind.n > 0 && kind.n < sizeof(r->status.kind) && !am_slice_eq(kind, AM_PARTIAL_KIND)) {
		memcpy(r->status.kind, kind.p, kind.n);
		r->status.kind[kind.n] = '\0';
	}
}

int
am_reflector_object(const struct am_reflector *r, struct am_slice text, bool checked, struct am_object **ret,
		    struct ambient_error *err)
{
	const struct am_object_form form = {
		/* Metadata alone brings a type of its own with it; the kind is known then only if all was sent instead. */
		.api_version = r->status.kind[0] == '\0' ? NULL : r->opt.api_version,
		.kind = r->status.kind[0] == '\0' ? NULL : r->status.kind,
		.projection = r->projection,
		.checked = checked,
	};

	return am_object_new_form(text.p, text.n, &form, ret, err);
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
	if (end != NULL && end > at && memchr(at, '"', (size_t)(end - at)) == NULL)
		am_reflector_set_kind(r, am_slice(at, (size_t)(end - at)));
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	struct am_reflector *r = arg;

	r->last_event = am_reflector_now(r);
	if (r->http_status != 200) {
		am_buf_add(&r->refusal, p, n);
		return 0;
	}
	if (!r->peeked && r->status.kind[0] == '\0' && r->status.state == AM_REFLECTOR_LISTING && !r->streaming)
		peek_kind(r, p, n);
	return am_framer_feed(r->framer, p, n, err);
}

void
am_reflector_send(struct am_reflector *r, struct am_buf *path, enum am_frame_mode mode, am_frame_f *value,
		  am_frame_f *oversize,
	     void (*done)(void *arg, const struct ambient_error *err), int64_t timeout, int64_t idle)
{
	static const char *const accepts[] = {
		"Accept: application/json",
		"Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
		"Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
	};
	const char *const headers[] = { accepts[!r->metadata_only ? 0 : mode == AM_FRAME_LINES ? 1 : 2], NULL };
	struct am_http_req req = { .method = "GET", .path = am_buf_str(path), .headers = headers, .timeout_ns = timeout,
				   .idle_ns = idle, .watch = mode == AM_FRAME_LINES };
	struct am_http_sink sink = { .head = on_head, .data = on_data, .done = done, .arg = r };

	am_framer_free(r->framer);
	r->framer = am_framer_new(mode, VALUE_MAX, value, r);
	am_framer_on_oversize(r->framer, oversize);
	r->transfer = am_io_start(r->io, &req, &sink);
}

/* ---- the end of a list */

void
am_reflector_complete(struct am_reflector *r, const char *rv)
{
	am_store_replace_end(r->store, rv, r->opt.change, r->opt.arg);
	/* What reading the list took lies between objects that stay: whole pages of it that nobody would give back. */
	if (am_store_bytes(r->store) >= TRIM_BYTES)
		(void)malloc_trim(0);
	am_reflector_set_rv(r, rv);
	r->rv_unavailable = false;
	r->synced = true;
	r->cuts = 0;
	r->status.error[0] = '\0';
	if (r->opt.synced != NULL)
		r->opt.synced(r->opt.arg);
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
	r->opt.only = am_xstrdup(options->only);
	/* Whoever chose it has had it checked. */
	if (options->only != NULL)
		am_assert(am_projection_parse(options->only, &r->projection, NULL) == 0);
	r->metadata_only = am_streq(options->only, AM_ONLY_METADATA);
	r->opt.field = am_empty(options->field) ? NULL : am_xstrdup(options->field);
	r->rv = am_xstrdup("");
	r->complained = am_map_new();
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
		am_reflector_watch(r);
	else
		sync_now(r);
}

void
am_reflector_retry(struct am_reflector *r)
{
	bool waits = r->status.state == AM_REFLECTOR_MISSING || r->status.state == AM_REFLECTOR_FORBIDDEN;

	if (!r->running || !waits || r->timer == NULL)
		return;
	am_io_timer_cancel(r->io, r->timer);
	sync_now(r);
}

void
am_reflector_stop(struct am_reflector *r)
{
	if (!r->running)
		return;
	r->running = false;
	am_io_timer_cancel(r->io, r->timer);
	am_io_timer_cancel(r->io, r->heal);
	am_io_timer_cancel(r->io, r->marker);
	r->timer = r->heal = r->marker = NULL;
	if (r->transfer != NULL)
		am_io_cancel(r->io, r->transfer);
	am_reflector_page_drop(r);
	am_reflector_set_state(r, AM_REFLECTOR_STOPPED);
}

void
am_reflector_free(struct am_reflector *r)
{
	if (r == NULL)
		return;
	am_reflector_stop(r);
	am_framer_free(r->framer);
	am_buf_fini(&r->refusal);
	am_map_free(r->complained);
	free(r->rv);
	free(r->list_rv);
	free(r->next_page);
	free(r->watch_rv);
	am_projection_free(r->projection);
	free((void *)(uintptr_t)r->opt.only);
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
