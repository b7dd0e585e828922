/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole collection by list requests: pages, what an expired page means, and items that go into the store one by one
 * as they arrive.  See reflector.c for which version is asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cache/reflector_priv.h"

#define PAGE_SIZE 500
#define LIST_IDLE (90 * AM_NS_PER_S)

void
am_reflector_page_drop(struct am_reflector *r)
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

/* What the store has of it stays as it is. */
static void
skip_item(struct am_reflector *r, const char *text, size_t n, const char *why)
{
	struct am_salvage who;

	if (am_reflector_skip(r, text, n, why, &who))
		am_store_touch(r->store, who.ns, who.name);
}

static int
on_oversize(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	skip_item(arg, text, n, "it is larger than 4 MiB");
	return 0;
}

static int
on_item(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	struct ambient_error bad = AMBIENT_ERROR_INIT;
	struct am_reflector *r = arg;
	struct am_object *object;
	bool known = r->status.kind[0] != '\0' || r->metadata_only;

	if (!r->running)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped");
	if (am_reflector_object(r, am_slice(text, n), false, &object, &bad) < 0) {
		skip_item(r, text, n, bad.message);
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
		if (am_reflector_object(r, r->page[i]->json, true, &object, &err) < 0) {
			skip_item(r, r->page[i]->json.p, r->page[i]->json.n, err.message);
			continue;
		}
		store_item(r, object);
		am_object_unref(object);
	}
	am_reflector_page_drop(r);
}

static bool
learn_kind(struct am_reflector *r, struct am_slice list)
{
	char *kind = am_json_dup(list, "/kind");
	size_t n = kind != NULL ? strlen(kind) : 0;
	bool table = am_streq(kind, "Table");

	if (n > 4 && strcmp(kind + n - 4, "List") == 0)
		am_reflector_set_kind(r, am_slice(kind, n - 4));
	free(kind);
	return !table;
}

static void on_list_done(void *arg, const struct ambient_error *err);

static void
list_send(struct am_reflector *r)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	bool fresh = r->list_rv[0] == '\0' || strcmp(r->list_rv, "0") == 0;
	int limit = r->opt.page_size;
	char number[16];

	if (limit == 0)
		limit = fresh || r->paginated ? PAGE_SIZE : 0; /* a limit at a version would bypass the watch cache */
	am_reflector_request(r, &path);
	(void)snprintf(number, sizeof(number), "%d", limit);
	if (limit > 0 && !r->in_full)
		am_reflector_query(&path, "limit", number);
	if (r->next_page != NULL)
		am_reflector_query(&path, "continue", r->next_page);
	else if (r->list_rv[0] != '\0')
		am_reflector_query(&path, "resourceVersion", r->list_rv);
	/* With a limit, a version alone means exactly that one: the past, from which no watch might go on. */
	if (limit > 0 && !r->in_full && r->next_page == NULL && !fresh)
		am_reflector_query(&path, "resourceVersionMatch", "NotOlderThan");
	r->status.lists++;
	am_reflector_send(r, &path, AM_FRAME_ITEMS, on_item, on_oversize, on_list_done, 0, LIST_IDLE);
}

void
am_reflector_list(void *arg)
{
	struct am_reflector *r = arg;

	r->timer = NULL;
	am_io_timer_cancel(r->io, r->heal);
	r->heal = NULL;
	am_reflector_set_state(r, AM_REFLECTOR_LISTING);
	free(r->list_rv);
	r->list_rv = am_xstrdup(r->rv_unavailable ? "" : r->rv[0] == '\0' ? "0" : r->rv);
	free(r->next_page);
	r->next_page = NULL;
	r->in_full = false;
	am_store_replace_begin(r->store);
	list_send(r);
}

/* One page is there. */
static void
list_page(struct am_reflector *r)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char *rv, *next;
	struct am_slice list;

	if (am_framer_end(r->framer, &list, &err) < 0 || !learn_kind(r, list)) {
		am_reflector_page_drop(r);
		am_reflector_trouble(r, "list",
				     err.code != 0 ? err.message
						   : "the API server answered with a Table, which is not supported");
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
		return;
	}
	page_store(r);
	rv = am_json_dup(list, "/metadata/resourceVersion");
	next = am_json_dup(list, "/metadata/continue");
	free(r->next_page);
	r->next_page = NULL;
	if (am_empty(rv)) {
		am_reflector_trouble(r, "list", "the list has no resourceVersion");
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
	} else if (!am_empty(next)) {
		if (strcmp(r->list_rv, "0") == 0)
			r->paginated = true;
		r->next_page = am_xstrdup(next);
		list_send(r);
	} else {
		am_reflector_complete(r, rv);
		if (r->running)
			am_reflector_watch(r);
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
	if (am_reflector_want_all(r)) {
		am_reflector_list(r);
		return;
	}
	if ((code == 410 || status.too_large_rv) && !r->rv_unavailable) {
		r->rv_unavailable = true;
		am_reflector_list(r);
		return;
	}
	am_reflector_refused(r, code, &status);
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
	am_reflector_page_drop(r);
	if (!r->running)
		return;
	if (err == NULL) {
		list_refused(r);
	} else {
		am_reflector_trouble(r, "list", err->message);
		am_reflector_sync_later(r, AM_REFLECTOR_BACKOFF);
	}
}
