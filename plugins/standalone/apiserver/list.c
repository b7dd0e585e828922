/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get and list.  A list is a snapshot: the table as it is, of which the lock is held for one reference only.  Pages of
 * one list show one revision: while nothing changed since, the live table; else the table with the ring's events
 * undone; else 410 with a token that goes on at the current revision.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/engine_priv.h"

#define TOO_OLD "The resourceVersion for the provided list is too old."
#define TOO_OLD_PAGE "The provided continue parameter is too old to display a consistent list result. You can start a " \
		     "new list without the continue parameter, or use the continue token in this response to retrieve " \
		     "the remainder of the results. Continuing with the provided token results in an inconsistent list " \
		     "- objects that were created, modified, or deleted between the time the first chunk was returned " \
		     "and now may show up in the list."

/* ---- parameters ---- */

int
am_parse_rv(const char *text, uint64_t *ret, struct am_failure *failure)
{
	*ret = 0;
	if (am_empty(text))
		return 0;
	if (am_parse_u64(text, ret) < 0 || *ret > INT64_MAX)
		return am_fail(failure, 400, "BadRequest", "invalid resource version: \"%.100s\": must be a decimal number", text);
	return 0;
}

static void
forbid(struct am_failure *failure, const char *field, const char *why)
{
	am_failure_cause(failure, "FieldValueForbidden", field, "Forbidden: %s", why);
}

static void
check_match(const struct am_list_query *q, bool watch, struct am_failure *failure)
{
	const char *match = q->resource_version_match;

	if (watch && q->send_initial_events < 0)
		forbid(failure, "resourceVersionMatch",
		       "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	else if (am_empty(q->resource_version) && !watch)
		forbid(failure, "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (!am_empty(q->cont))
		forbid(failure, "resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
	if (strcmp(match, "Exact") != 0 && strcmp(match, "NotOlderThan") != 0)
		am_failure_cause(failure, "FieldValueNotSupported", "resourceVersionMatch",
				 "Unsupported value: \"%.60s\": supported values: \"Exact\", \"NotOlderThan\", \"\"", match);
	else if (strcmp(match, "Exact") == 0 && am_streq(q->resource_version, "0"))
		forbid(failure, "resourceVersionMatch",
		       "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	else if (watch && strcmp(match, "NotOlderThan") != 0)
		forbid(failure, "resourceVersionMatch",
		       "resourceVersionMatch must be NotOlderThan when sendInitialEvents is provided");
}

int
am_query_check(const struct am_list_query *q, bool watch, struct am_failure *failure)
{
	if (!am_empty(q->resource_version_match))
		check_match(q, watch, failure);
	if (!watch && q->send_initial_events >= 0)
		forbid(failure, "sendInitialEvents", "sendInitialEvents is forbidden for list");
	if (watch && q->send_initial_events >= 0 && am_empty(q->resource_version_match))
		forbid(failure, "resourceVersionMatch",
		       "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (failure->n_causes > 0)
		return am_fail_invalid(failure, "ListOptions", "meta.k8s.io", "");
	return 0;
}

/* Each holds a thread that could answer others, so that few may; an answered write is visible, so that none need. */
#define WAITERS_MAX 2

int
am_wait_rv(struct am_engine *engine, uint64_t rv, struct am_failure *failure)
{
	int64_t deadline = am_clock_boot(am_clock_real()) + engine->options.wait_ns;

	am_lock(&engine->lock);
	bool in_time = engine->waiters < WAITERS_MAX;
	engine->waiters++;
	while (engine->rv < rv && in_time)
		in_time = am_cond_wait(&engine->changed, &engine->lock, deadline);
	engine->waiters--;
	uint64_t now = engine->rv;
	am_unlock(&engine->lock);
	if (now >= rv)
		return 0;
	am_failure_cause(failure, "ResourceVersionTooLarge", "", "Too large resource version");
	int rc = am_fail(failure, 504, "Timeout", "Timeout: Too large resource version: %llu, current: %llu",
			 (unsigned long long)rv, (unsigned long long)now);
	failure->retry_after = 1;
	return rc;
}

/* ---- one object ---- */

struct am_object *
am_engine_get(struct am_engine *engine, const struct am_resource *res, const char *ns, const char *name,
	      const char *resource_version, struct am_failure *failure)
{
	uint64_t rv;

	if (am_parse_rv(resource_version, &rv, failure) < 0 || (rv > 0 && am_wait_rv(engine, rv, failure) < 0))
		return NULL;
	am_lock(&engine->lock);
	struct am_object *object = am_object_ref(am_store_peek(res->store, ns, name));
	am_unlock(&engine->lock);
	if (object == NULL)
		am_fail_not_found(failure, res, name);
	return am_object_opened(object);
}

/* ---- tokens ---- */

struct token {
	int64_t rv;    /* -1: whatever is current */
	char *ns, *name;
};

static void
token_fini(struct token *token)
{
	free(token->ns);
	free(token->name);
}

/* The page begins behind the object of that name. */
static char *
token_make(int64_t rv, const char *ns, const char *name)
{
	struct am_buf json = { 0 }, out = { 0 };
	char *start = am_xasprintf("%s/%s", ns, name);

	am_json_addf(&json, "{\"v\":\"meta.k8s.io/v1\",\"rv\":%l,\"start\":", rv);
	am_buf_addf(&json, "\"%s\\u0000\"}", start);
	am_base64_encode(&out, json.data, json.len, true);
	free(start);
	am_buf_fini(&json);
	return am_buf_steal(&out, NULL);
}

static bool
token_split(struct token *token, const char *start, size_t n)
{
	const char *slash = memchr(start, '/', n);

	if (slash == NULL || n < 2 || start[n - 1] != '\0')
		return false;
	token->ns = am_xstrndup(start, (size_t)(slash - start));
	token->name = am_xstrndup(slash + 1, n - 1 - (size_t)(slash + 1 - start));
	return true;
}

static int
token_parse(const char *text, struct token *token, struct am_failure *failure)
{
	struct am_buf json = { .max = 8192 }, start = { 0 };
	struct am_slice value;
	bool ok = am_base64_decode(&json, text, strlen(text), true) == 0 && json.len > 0 &&
		  am_json_check(json.data, json.len, NULL) == 0;
	struct am_slice all = am_slice(json.data, json.len);

	ok = ok && am_json_find(all, "/v", &value) && am_json_str_eq(value, "meta.k8s.io/v1");
	token->rv = ok ? am_json_int(all, "/rv", 0) : 0;
	ok = ok && token->rv != 0 && am_json_find(all, "/start", &value) && am_json_type(value) == AMBIENT_T_STRING &&
	     am_json_unescape(value, &start) && token_split(token, start.data, start.len);
	am_buf_fini(&json);
	am_buf_fini(&start);
	return ok ? 0 : am_fail(failure, 400, "BadRequest", "invalid continue token: continue key is not valid");
}

/* ---- the table as it was ---- */

/* Undoes the events after rv, the last one first, in a table of our own.  NULL: they are not all there, or do not say
 * what they replaced.  The lock is held. */
static struct am_sorted *
as_of(const struct am_store *store, uint64_t rv)
{
	uint64_t sequence;

	if (!am_ring_seek(&store->ring, rv, &sequence))
		return NULL;
	struct am_sorted *then = am_sorted_ref(store->objects);
	for (uint64_t i = store->ring.head; i-- > sequence;) {
		const struct am_ring_event *event = am_ring_at(&store->ring, i);
		bool added = event->type == AM_EVENT_ADDED;
		/* Events that were read back from disk do not know the revision of what they replaced. */
		if (!added && (event->old == NULL || event->old->rv == event->rv)) {
			am_sorted_unref(then);
			return NULL;
		}
		am_object_unref(am_sorted_put(&then, event->object->ns, event->object->name,
					      added ? NULL : am_object_ref(event->old)));
	}
	return then;
}

/* ---- selecting and cutting ---- */

static void
cut(struct am_list *list, size_t at)
{
	while (list->n > at)
		am_object_unref(list->items[--list->n]);
}

static void
add(struct am_list *list, size_t *cap, struct am_object *object)
{
	if (list->n == *cap) {
		*cap = AM_MAX(2 * *cap, (size_t)64);
		list->items = am_xrealloc(list->items, *cap, sizeof(*list->items));
	}
	list->items[list->n++] = am_object_ref(object);
}

/* The page behind token (NULL: from the start).  Needs no lock. */
static void
select_page(const struct am_sorted *table, const char *ns, const struct token *token, const struct am_selector *selector,
	    int64_t limit, struct am_list *list)
{
	struct am_cursor c = am_sorted_seek(table, ns != NULL ? ns : "", "", false);
	struct am_object *object;
	size_t cap = selector != NULL || limit > 0 || ns != NULL ? 0 : am_sorted_count(table);

	list->remaining = -1;
	if (cap > 0)
		list->items = am_xcalloc(cap, sizeof(*list->items));
	if (token != NULL && (ns == NULL || strcmp(token->ns, ns) >= 0))
		c = am_sorted_seek(table, token->ns, token->name, true);
	while (limit <= 0 || list->n < (size_t)limit) {
		object = am_sorted_next(table, &c);
		if (object == NULL || (ns != NULL && strcmp(object->ns, ns) != 0))
			return;
		if (am_selector_match(selector, object))
			add(list, &cap, object);
	}
	struct am_cursor rest = c;
	object = am_sorted_next(table, &rest);
	if (object == NULL || (ns != NULL && strcmp(object->ns, ns) != 0))
		return;
	const struct am_object *last = list->items[list->n - 1];
	list->cont = token_make((int64_t)list->rv, last->ns, last->name);
	if (selector != NULL)
		return;
	/* No text has a byte that sorts behind this one. */
	size_t end = ns != NULL ? am_sorted_rank(table, am_sorted_seek(table, ns, "\xff", false)) : am_sorted_count(table);
	list->remaining = (int64_t)(end - am_sorted_rank(table, c));
}

static int
expired(struct am_failure *failure, const struct token *token)
{
	if (token == NULL)
		return am_fail(failure, 410, "Expired", TOO_OLD);
	int rc = am_fail(failure, 410, "Expired", TOO_OLD_PAGE);
	failure->cont = token_make(-1, token->ns, token->name);
	return rc;
}

/* exact: the revision to show, 0: the current one. */
static int
snapshot(struct am_engine *engine, const struct am_resource *res, uint64_t exact, const struct token *token,
	 struct am_list *list, struct am_sorted **ret, struct am_failure *failure)
{
	struct am_store *store = res->store;

	am_lock(&engine->lock);
	list->rv = exact == 0 ? engine->rv : exact;
	if (exact == 0 || (exact >= store->rv && exact <= engine->rv))
		*ret = am_sorted_ref(store->objects);
	else
		*ret = exact <= engine->rv ? as_of(store, exact) : NULL;
	am_unlock(&engine->lock);
	return *ret != NULL ? 0 : expired(failure, token);
}

static int
list_page(struct am_engine *engine, const struct am_resource *res, const char *ns, const struct am_list_query *q,
	  const struct am_selector *selector, struct am_list *list, struct am_failure *failure)
{
	struct token token = { 0 };
	struct am_sorted *table = NULL;
	uint64_t rv = 0, exact = 0;
	bool paged = !am_empty(q->cont);
	int rc = am_parse_rv(q->resource_version, &rv, failure);

	if (rc == 0 && paged && rv != 0)
		rc = am_fail(failure, 400, "BadRequest", "specifying resource version is not allowed when using continue");
	if (rc == 0 && paged)
		rc = token_parse(q->cont, &token, failure);
	if (rc == 0 && rv > 0)
		rc = am_wait_rv(engine, rv, failure);
	if (paged)
		exact = token.rv > 0 ? (uint64_t)token.rv : 0;
	else if (rv > 0 && (am_streq(q->resource_version_match, "Exact") ||
			    (q->limit > 0 && am_empty(q->resource_version_match))))
		exact = rv;
	if (rc == 0)
		rc = snapshot(engine, res, exact, paged ? &token : NULL, list, &table, failure);
	if (rc == 0)
		select_page(table, ns, paged ? &token : NULL, selector, q->limit, list);
	am_sorted_unref(table);
	token_fini(&token);
	return rc;
}

int
am_engine_list(struct am_engine *engine, const struct am_resource *res, const char *ns,
	       const struct am_list_query *query, struct am_list *list, struct am_failure *failure)
{
	struct am_selector *selector = NULL;

	*list = (struct am_list){ .remaining = -1 };
	int rc = am_query_check(query, false, failure);
	if (rc == 0)
		rc = am_selector_parse(res, query->label_selector, query->field_selector, &selector, failure);
	if (rc == 0)
		rc = list_page(engine, res, ns, query, selector, list, failure);
	am_selector_free(selector);
	if (rc < 0)
		am_list_fini(list);
	return rc;
}

void
am_list_fini(struct am_list *list)
{
	cut(list, 0);
	free(list->items);
	free(list->cont);
	*list = (struct am_list){ .remaining = -1 };
}

void
am_engine_all(struct am_engine *engine, const char *group, const char *plural, const char *ns, struct am_list *list)
{
	*list = (struct am_list){ .remaining = -1 };
	am_lock(&engine->lock);
	const struct am_store *store = am_store_find(engine, group, plural);
	struct am_sorted *table = store != NULL ? am_sorted_ref(store->objects) : NULL;
	list->rv = engine->rv;
	am_unlock(&engine->lock);
	if (table != NULL)
		select_page(table, ns, NULL, NULL, 0, list);
	am_sorted_unref(table);
}
