/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LimitRanges: their own defaults and rules, and what they do to pods that are created and to claims, also when they
 * grow: resources that were not said get the namespace's defaults, which an annotation tells, and what is outside the
 * bounds is refused.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/quantity.h"

#define ANNOTATION "kubernetes.io/limit-ranger"

static struct am_node *
items_of(const struct am_node *range)
{
	struct am_node *list = am_node_path(range, "spec", "limits", NULL);

	return list != NULL && list->type == AMBIENT_T_ARRAY ? list->first : NULL;
}

/* ---- the kind ---- */

static void
copy_missing(struct am_change *change, struct am_node *item, const char *to, const char *from)
{
	const struct am_node *source = am_node_get(item, from);

	for (const struct am_node *m = source != NULL ? source->first : NULL; m != NULL; m = m->next)
		if (am_node_get(am_child(change, item, to), m->key) == NULL)
			am_node_set(change->arena, am_child(change, item, to), m->key, am_node_clone(change->arena, m));
}

static void
range_fill(struct am_change *change)
{
	for (struct am_node *i = items_of(change->object); i != NULL; i = i->next) {
		if (strcmp(am_node_get_str(i, "type", ""), "Container") != 0)
			continue;
		copy_missing(change, i, "default", "max");
		copy_missing(change, i, "defaultRequest", "default");
		copy_missing(change, i, "defaultRequest", "min");
	}
}

/* Each of `low` at most the same of `high`. */
static void
check_order(struct am_change *change, const struct am_node *item, const char *low, const char *high, int index)
{
	const struct am_node *a = am_node_get(item, low), *b = am_node_get(item, high);
	struct am_quantity qa, qb;
	char field[160], why[256];

	for (const struct am_node *m = a != NULL ? a->first : NULL; m != NULL; m = m->next) {
		const struct am_node *other = am_node_get(b, m->key);
		if (other == NULL || !am_quantity_of(m, &qa) || !am_quantity_of(other, &qb) || am_quantity_cmp(&qa, &qb) <= 0)
			continue;
		snprintf(field, sizeof(field), "spec.limits[%d].%s[%.60s]", index, low, m->key);
		snprintf(why, sizeof(why), "%s value %.40s is greater than %s value %.40s", low, m->text, high, other->text);
		am_bad(change, field, m, why);
	}
}

static void
range_check(struct am_change *change)
{
	static const char *const maps[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
	static const char *const orders[][2] = { { "min", "max" }, { "min", "defaultRequest" }, { "defaultRequest", "max" },
						 { "defaultRequest", "default" }, { "min", "default" }, { "default", "max" } };
	struct am_map *types = am_map_new();
	char field[160];
	int n = 0;

	for (const struct am_node *i = items_of(change->object); i != NULL; i = i->next, n++) {
		const char *type = am_node_get_str(i, "type", "");
		bool pod = strcmp(type, "Pod") == 0;
		snprintf(field, sizeof(field), "spec.limits[%d].type", n);
		if (*type == '\0')
			am_need(change, field);
		else if (am_map_has(types, type))
			am_failure_cause(change->failure, "FieldValueDuplicate", field, "Duplicate value: \"%.60s\"", type);
		am_map_put(types, type, types);
		for (size_t k = 0; k < AM_COUNTOF(maps); k++) {
			const struct am_node *map = am_node_get(i, maps[k]);
			struct am_quantity q;
			for (const struct am_node *m = map != NULL ? map->first : NULL; m != NULL; m = m->next) {
				snprintf(field, sizeof(field), "spec.limits[%d].%s[%.60s]", n, maps[k], m->key);
				if (!am_quantity_of(m, &q) || q.nano < 0)
					am_bad(change, field, m, "must be a quantity that is not negative, such as 100m or 1Gi");
			}
			snprintf(field, sizeof(field), "spec.limits[%d].%s", n, maps[k]);
			if (pod && (k == 2 || k == 3) && map != NULL && map->count > 0)
				am_forbid(change, field, "may not be specified when `type` is 'Pod'");
		}
		for (size_t k = 0; k < AM_COUNTOF(orders); k++)
			check_order(change, i, orders[k][0], orders[k][1], n);
	}
	am_map_free(types);
}

const struct am_kind am_kind_limit_range = { .fill = range_fill, .check = range_check };

/* ---- defaults ---- */

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Copies what the container does not say; tells which in text. */
static void
merge(struct am_change *change, struct am_node *container, const char *to, const struct am_node *from, const char *what,
      const char *kind, struct am_buf *text)
{
	struct am_node *target = am_child(change, am_child(change, container, "resources"), to);
	const char *set[32];
	size_t n = 0;

	for (const struct am_node *m = from != NULL ? from->first : NULL; m != NULL; m = m->next) {
		if (am_node_get(target, m->key) != NULL || n == AM_COUNTOF(set))
			continue;
		am_node_set(change->arena, target, m->key, am_node_clone(change->arena, m));
		set[n++] = m->key;
	}
	if (target->count == 0)
		am_node_del(am_node_get(container, "resources"), to);
	if (n == 0)
		return;
	qsort(set, n, sizeof(set[0]), by_text);
	am_buf_addf(text, "%s", text->len > 0 ? "; " : "LimitRanger plugin set: ");
	for (size_t i = 0; i < n; i++)
		am_buf_addf(text, "%s%s", i > 0 ? ", " : "", set[i]);
	am_buf_addf(text, " %s for %s %s", what, kind, am_node_get_str(container, "name", ""));
}

static void
set_defaults(struct am_change *change, const struct am_node *range)
{
	static const char *const lists[] = { "containers", "initContainers" }, *const kinds[] = { "container", "init container" };
	struct am_buf text = { .max = 16384 };

	for (const struct am_node *i = items_of(range); i != NULL; i = i->next)
		for (size_t l = 0; strcmp(am_node_get_str(i, "type", ""), "Container") == 0 && l < 2; l++) {
			struct am_node *list = am_node_path(change->object, "spec", lists[l], NULL);
			for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
				merge(change, c, "requests", am_node_get(i, "defaultRequest"), "request", kinds[l], &text);
				merge(change, c, "limits", am_node_get(i, "default"), "limit", kinds[l], &text);
			}
		}
	if (text.len > 0)
		am_node_set(change->arena, am_child(change, am_node_get(change->object, "metadata"), "annotations"), ANNOTATION,
			    am_node_str(change->arena, am_buf_str(&text)));
	am_buf_fini(&text);
}

/* A limit that is said without a request is the request too. */
static void
requests_from_limits(struct am_change *change)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t l = 0; l < AM_COUNTOF(lists); l++) {
		struct am_node *list = am_node_path(change->object, "spec", lists[l], NULL);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			if (am_node_path(c, "resources", "limits", NULL) != NULL)
				copy_missing(change, am_node_get(c, "resources"), "requests", "limits");
	}
}

/* ---- bounds ---- */

struct judge {
	struct am_buf errors; /* sentences */
	size_t n;
};

static void am_printf_(2, 3)
blame(struct judge *j, const char *fmt, ...)
{
	va_list ap;

	if (j->n++ > 0)
		am_buf_adds(&j->errors, ", ");
	va_start(ap, fmt);
	am_buf_addv(&j->errors, fmt, ap);
	va_end(ap);
}

static void
check_min(struct judge *j, const char *type, const struct am_node *bound, const struct am_node *requests,
	  const struct am_node *limits)
{
	struct am_quantity b, req, lim;
	char tb[AM_QUANTITY_TEXT], t[AM_QUANTITY_TEXT];

	if (!am_quantity_of(bound, &b))
		return;
	am_quantity_print(&b, tb);
	if (!am_quantity_of(am_node_get(requests, bound->key), &req))
		blame(j, "minimum %s usage per %s is %s.  No request is specified", bound->key, type, tb);
	else if (am_quantity_cmp(&req, &b) < 0)
		blame(j, "minimum %s usage per %s is %s, but request is %s", bound->key, type, tb, am_quantity_print(&req, t));
	else if (am_quantity_of(am_node_get(limits, bound->key), &lim) && am_quantity_cmp(&lim, &b) < 0)
		blame(j, "minimum %s usage per %s is %s, but limit is %s", bound->key, type, tb, am_quantity_print(&lim, t));
}

/* limits NULL: a claim has only requests. */
static void
check_max(struct judge *j, const char *type, const struct am_node *bound, const struct am_node *requests,
	  const struct am_node *limits, bool claim)
{
	struct am_quantity b, req, lim;
	char tb[AM_QUANTITY_TEXT], t[AM_QUANTITY_TEXT];
	bool has_req = am_quantity_of(am_node_get(requests, bound->key), &req);

	if (!am_quantity_of(bound, &b))
		return;
	am_quantity_print(&b, tb);
	if (!claim && !am_quantity_of(am_node_get(limits, bound->key), &lim))
		blame(j, "maximum %s usage per %s is %s.  No limit is specified", bound->key, type, tb);
	else if (!claim && am_quantity_cmp(&lim, &b) > 0)
		blame(j, "maximum %s usage per %s is %s, but limit is %s", bound->key, type, tb, am_quantity_print(&lim, t));
	else if (claim && !has_req)
		blame(j, "maximum %s usage per %s is %s.  No request is specified", bound->key, type, tb);
	else if (has_req && am_quantity_cmp(&req, &b) > 0)
		blame(j, "maximum %s usage per %s is %s, but request is %s", bound->key, type, tb, am_quantity_print(&req, t));
}

static void
check_ratio(struct judge *j, const char *type, const struct am_node *bound, const struct am_node *requests,
	    const struct am_node *limits)
{
	struct am_quantity b, req, lim;
	char tb[AM_QUANTITY_TEXT];

	if (!am_quantity_of(bound, &b))
		return;
	am_quantity_print(&b, tb);
	if (!am_quantity_of(am_node_get(requests, bound->key), &req) || req.nano == 0)
		blame(j, "%s max limit to request ratio per %s is %s, but no request is specified or request is 0", bound->key,
		      type, tb);
	else if (!am_quantity_of(am_node_get(limits, bound->key), &lim) || lim.nano == 0)
		blame(j, "%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", bound->key, type,
		      tb);
	else if ((long double)lim.nano * 1e9L > (long double)b.nano * (long double)req.nano)
		blame(j, "%s max limit to request ratio per %s is %s, but provided ratio is %f", bound->key, type, tb,
		      (double)((long double)lim.nano / (long double)req.nano));
}

static void
check_item(struct judge *j, const struct am_node *item, const struct am_node *requests, const struct am_node *limits)
{
	const char *type = am_node_get_str(item, "type", "");
	const struct am_node *min = am_node_get(item, "min"), *max = am_node_get(item, "max");
	const struct am_node *ratio = am_node_get(item, "maxLimitRequestRatio");
	bool claim = strcmp(type, "PersistentVolumeClaim") == 0;

	for (const struct am_node *m = min != NULL ? min->first : NULL; m != NULL; m = m->next)
		check_min(j, type, m, requests, claim ? NULL : limits);
	for (const struct am_node *m = max != NULL ? max->first : NULL; m != NULL; m = m->next)
		check_max(j, type, m, requests, limits, claim);
	for (const struct am_node *m = ratio != NULL && !claim ? ratio->first : NULL; m != NULL; m = m->next)
		check_ratio(j, type, m, requests, limits);
}

/* The pod as a whole: the sum over its containers, at least what one of its init containers takes. */
static struct am_node *
pod_total(struct am_change *change, const char *which)
{
	const struct am_node *spec = am_node_get(change->object, "spec"), *list = am_node_get(spec, "containers");
	struct am_node *total = am_node_object(change->arena);
	struct am_quantity sum, q;
	char text[AM_QUANTITY_TEXT];

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
		const struct am_node *map = am_node_path(c, "resources", which, NULL);
		for (const struct am_node *m = map != NULL ? map->first : NULL; m != NULL; m = m->next) {
			if (!am_quantity_of(m, &q))
				continue;
			if (am_quantity_of(am_node_get(total, m->key), &sum))
				am_quantity_add(&q, &sum);
			am_node_set(change->arena, total, m->key, am_node_str(change->arena, am_quantity_print(&q, text)));
		}
	}
	list = am_node_get(spec, "initContainers");
	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
		const struct am_node *map = am_node_path(c, "resources", which, NULL);
		for (const struct am_node *m = map != NULL ? map->first : NULL; m != NULL; m = m->next)
			if (am_quantity_of(m, &q) && (!am_quantity_of(am_node_get(total, m->key), &sum) || am_quantity_cmp(&q, &sum) > 0))
				am_node_set(change->arena, total, m->key, am_node_str(change->arena, am_quantity_print(&q, text)));
	}
	return total;
}

static void
check_pod(struct am_change *change, const struct am_node *range, struct judge *j)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (const struct am_node *i = items_of(range); i != NULL; i = i->next) {
		const char *type = am_node_get_str(i, "type", "");
		for (size_t l = 0; strcmp(type, "Container") == 0 && l < 2; l++) {
			const struct am_node *list = am_node_path(change->object, "spec", lists[l], NULL);
			for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
				check_item(j, i, am_node_path(c, "resources", "requests", NULL), am_node_path(c, "resources", "limits", NULL));
		}
		if (strcmp(type, "Pod") == 0)
			check_item(j, i, pod_total(change, "requests"), pod_total(change, "limits"));
	}
}

int
am_limits_admit(struct am_change *change)
{
	bool pod = strcmp(change->res->kind, "Pod") == 0, claim = strcmp(change->res->kind, "PersistentVolumeClaim") == 0;
	struct judge j = { .errors = { .max = 8192 } };
	struct am_list list;
	int rc = 0;

	/* What a pod's containers take is settled when it is made; a claim may grow.  What is going away may go. */
	if ((!pod && !claim) || change->res->group[0] != '\0' || change->subresource != NULL ||
	    (pod && change->old != NULL) || am_node_path(change->old, "metadata", "deletionTimestamp", NULL) != NULL)
		return 0;
	if (pod)
		requests_from_limits(change);
	am_engine_all(change->engine, "", "limitranges", change->ns, &list);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < list.n; i++) {
			const struct am_slice text = am_object_text(list.items[i]);
			const struct am_node *range = am_node_parse(change->arena, text.p, text.n, NULL);
			if (pod && pass == 0)
				set_defaults(change, range);
			else if (pod)
				check_pod(change, range, &j);
			for (const struct am_node *it = claim && pass == 1 ? items_of(range) : NULL; it != NULL; it = it->next)
				if (strcmp(am_node_get_str(it, "type", ""), "PersistentVolumeClaim") == 0)
					check_item(&j, it, am_node_path(change->object, "spec", "resources", "requests", NULL), NULL);
		}
	am_list_fini(&list);
	if (j.n > 0)
		rc = am_fail_on(change->failure, 403, "Forbidden", change->res,
				am_node_get_str(am_node_get(change->object, "metadata"), "name", ""), j.n > 1 ? "is forbidden: [%s]"
				: "is forbidden: %s", am_buf_str(&j.errors));
	am_buf_fini(&j.errors);
	return rc;
}
