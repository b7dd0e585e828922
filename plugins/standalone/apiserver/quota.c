/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ResourceQuotas.  A create (or a claim or Service that grows) takes what it uses from each quota that it falls under, in
 * the same transaction: its operation carries the updates of the quotas' status.used, and all of them are stored or
 * none.  So two creates can never both get the last of it.  What deletes and ends of pods give back is counted anew by the
 * janitor from what is there; its write too is based on the quota as it was before it looked.
 */
#include "plugins/standalone/apiserver/quota.h"

#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/janitor.h"
#include "plugins/standalone/apiserver/quantity.h"

#define ITEMS 96

struct usage {
	struct usage_item {
		char name[200];
		struct am_quantity q;
	} items[ITEMS];
	size_t n;
};

static const char *const plain_counts[] = { "configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas",
					    "secrets", "services" };
/* If one of these is limited, every container must say it. */
static const char *const must_say[] = { "cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory" };

static void am_printf_(3, 4)
use(struct usage *u, const struct am_quantity *q, const char *fmt, ...)
{
	char name[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->items[i].name, name) == 0) {
			am_quantity_add(&u->items[i].q, q);
			return;
		}
	if (u->n == ITEMS)
		return;
	am_strlcpy(u->items[u->n].name, name, sizeof(name));
	u->items[u->n++].q = *q;
}

static const struct am_quantity *
used(const struct usage *u, const char *name)
{
	static const struct am_quantity none = { 0, AM_QUANTITY_DECIMAL };

	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->items[i].name, name) == 0)
			return &u->items[i].q;
	return &none;
}

/* ---- what an object uses ---- */

static bool
is_sidecar(const struct am_node *container)
{
	return am_streq(am_node_get_str(container, "restartPolicy", NULL), "Always");
}

/* The sum over what runs side by side, or more if an init container takes more. */
static void
pod_resources(struct usage *u, const struct am_node *spec, const char *which)
{
	static const char *const lists[] = { "initContainers", "containers" };
	struct usage *sum = am_xcalloc(2, sizeof(*sum)), *peak = sum + 1;
	struct am_quantity q;

	for (size_t l = 0; l < AM_COUNTOF(lists); l++) {
		const struct am_node *list = am_node_get(spec, lists[l]);
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
			const struct am_node *map = am_node_path(c, "resources", which, NULL);
			for (const struct am_node *m = map != NULL ? map->first : NULL; m != NULL; m = m->next) {
				if (!am_quantity_of(m, &q))
					continue;
				if (l == 1 || is_sidecar(c)) {
					use(sum, &q, "%.150s", m->key);
					continue;
				}
				am_quantity_add(&q, used(sum, m->key));
				if (am_quantity_cmp(&q, used(peak, m->key)) > 0) {
					struct am_quantity more = { q.nano - used(peak, m->key)->nano, q.form };
					use(peak, &more, "%.150s", m->key);
				}
			}
		}
	}
	for (size_t i = 0; i < peak->n; i++)
		if (am_quantity_cmp(&peak->items[i].q, used(sum, peak->items[i].name)) > 0) {
			struct am_quantity more = { peak->items[i].q.nano - used(sum, peak->items[i].name)->nano, peak->items[i].q.form };
			use(sum, &more, "%s", peak->items[i].name);
		}
	for (size_t i = 0; i < sum->n; i++) {
		const char *name = sum->items[i].name;
		use(u, &sum->items[i].q, "%s.%s", which, name);
		if (strcmp(which, "requests") == 0 && (strcmp(name, "cpu") == 0 || strcmp(name, "memory") == 0 ||
						       strcmp(name, "ephemeral-storage") == 0 || am_starts(name, "hugepages-")))
			use(u, &sum->items[i].q, "%s", name);
	}
	free(sum);
}

static bool
is_over(const struct am_node *pod)
{
	const char *phase = am_node_get_str(am_node_get(pod, "status"), "phase", "");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

static void
claim_usage(struct usage *u, const struct am_node *object)
{
	const char *class = am_node_get_str(am_node_get(object, "spec"), "storageClassName", "");
	struct am_quantity one, q;

	am_quantity_int(1, &one);
	if (*class != '\0')
		use(u, &one, "%.120s.storageclass.storage.k8s.io/persistentvolumeclaims", class);
	if (!am_quantity_of(am_node_path(object, "spec", "resources", "requests", "storage", NULL), &q))
		return;
	use(u, &q, "requests.storage");
	if (*class != '\0')
		use(u, &q, "%.120s.storageclass.storage.k8s.io/requests.storage", class);
}

static void
service_usage(struct usage *u, const struct am_node *object)
{
	const struct am_node *spec = am_node_get(object, "spec"), *ports = am_node_get(spec, "ports");
	const char *type = am_node_get_str(spec, "type", "");
	bool balanced = strcmp(type, "LoadBalancer") == 0;
	struct am_quantity n;

	am_quantity_int(ports != NULL ? ports->count : 0, &n);
	if (balanced || strcmp(type, "NodePort") == 0)
		use(u, &n, "services.nodeports");
	am_quantity_int(1, &n);
	if (balanced)
		use(u, &n, "services.loadbalancers");
}

static void
usage_of(struct usage *u, const char *group, const char *plural, const struct am_node *object)
{
	struct am_quantity one;

	u->n = 0;
	am_quantity_int(1, &one);
	use(u, &one, "count/%.80s%s%.100s", plural, group[0] != '\0' ? "." : "", group);
	if (group[0] != '\0')
		return;
	for (size_t i = 0; i < AM_COUNTOF(plain_counts); i++)
		if (strcmp(plain_counts[i], plural) == 0)
			use(u, &one, "%s", plural);
	if (strcmp(plural, "pods") == 0 && !is_over(object)) {
		use(u, &one, "pods");
		pod_resources(u, am_node_get(object, "spec"), "requests");
		pod_resources(u, am_node_get(object, "spec"), "limits");
	} else if (strcmp(plural, "persistentvolumeclaims") == 0) {
		claim_usage(u, object);
	} else if (strcmp(plural, "services") == 0) {
		service_usage(u, object);
	}
}

/* ---- counting what is there ---- */

static void
sum_store(struct am_engine *engine, const char *ns, const char *group, const char *plural, const struct am_node *quota,
	  struct usage *sum)
{
	struct usage *one = am_xcalloc(1, sizeof(*one));
	struct am_list list;

	am_engine_all(engine, group, plural, ns, &list);
	for (size_t i = 0; i < list.n; i++) {
		struct am_arena *arena = am_arena_new();
		struct am_object *open = am_object_open(list.items[i]);
		const struct am_node *object = am_node_parse(arena, open->body, open->len, NULL);
		if (object != NULL && am_quota_covers(quota, group, plural, object)) {
			usage_of(one, group, plural, object);
			for (size_t k = 0; k < one->n; k++)
				use(sum, &one->items[k].q, "%s", one->items[k].name);
		}
		am_object_unref(open);
		am_arena_free(arena);
	}
	am_list_fini(&list);
	free(one);
}

/* Which objects a limit is about. */
static void
subject_of(const char *key, char group[128], char plural[96])
{
	group[0] = '\0';
	if (am_starts(key, "count/")) {
		const char *dot = strchr(key + 6, '.');
		snprintf(plural, 96, "%.*s", (int)(dot != NULL ? dot - key - 6 : 90), key + 6);
		am_strlcpy(group, dot != NULL ? dot + 1 : "", 128);
		return;
	}
	if (strcmp(key, "requests.storage") == 0 || strstr(key, ".storageclass.storage.k8s.io/") != NULL)
		am_strlcpy(plural, "persistentvolumeclaims", 96);
	else if (am_starts(key, "services."))
		am_strlcpy(plural, "services", 96);
	else
		am_strlcpy(plural, "pods", 96);
	for (size_t i = 0; i < AM_COUNTOF(plain_counts); i++)
		if (strcmp(plain_counts[i], key) == 0)
			am_strlcpy(plural, key, 96);
}

/* status.used of the quota, from what is in its namespace. */
static struct am_node *
recount(struct am_engine *engine, struct am_arena *arena, const struct am_node *quota)
{
	const struct am_node *hard = am_node_path(quota, "spec", "hard", NULL);
	const char *ns = am_node_get_str(am_node_get(quota, "metadata"), "namespace", "");
	struct usage *sum = am_xcalloc(1, sizeof(*sum));
	struct am_map *seen = am_map_new();
	struct am_node *result = am_node_object(arena);
	char group[128], plural[96], text[AM_QUANTITY_TEXT], key[256];

	for (const struct am_node *m = hard != NULL ? hard->first : NULL; m != NULL; m = m->next) {
		subject_of(m->key, group, plural);
		snprintf(key, sizeof(key), "%s/%s", group, plural);
		if (!am_map_has(seen, key))
			sum_store(engine, ns, group, plural, quota, sum);
		am_map_put(seen, key, seen);
	}
	for (const struct am_node *m = hard != NULL ? hard->first : NULL; m != NULL; m = m->next)
		am_node_set(arena, result, m->key, am_node_str(arena, am_quantity_print(used(sum, m->key), text)));
	am_map_free(seen);
	free(sum);
	return result;
}

static void
set_status(struct am_arena *arena, struct am_node *quota, struct am_node *in_use)
{
	const struct am_node *hard = am_node_path(quota, "spec", "hard", NULL);
	struct am_node *status = am_node_object(arena);

	am_node_set(arena, status, "hard", hard != NULL ? am_node_clone(arena, hard) : am_node_object(arena));
	am_node_set(arena, status, "used", in_use);
	am_node_set(arena, quota, "status", status);
}

static int
refresh(void *arg, struct am_arena *arena, struct am_node *quota)
{
	struct am_node *before = am_node_get(quota, "status");

	set_status(arena, quota, recount(arg, arena, quota));
	return before != NULL && am_node_equal(before, am_node_get(quota, "status")) ? -AMBIENT_E_EXISTS : 0;
}

size_t
am_quota_refresh(struct am_engine *engine, const char *ns)
{
	struct am_commit commit = { refresh, engine };
	struct am_list list;
	size_t steps = 0;

	am_engine_all(engine, "", "resourcequotas", ns, &list);
	for (size_t i = 0; i < list.n; i++)
		steps += am_change_edit(engine, engine->quotas, ns, list.items[i]->name, list.items[i]->uid, &commit, NULL) == 0;
	am_list_fini(&list);
	return steps;
}

bool
am_quota_concerns(struct am_engine *engine, const struct am_store *store, const struct am_object *old,
		  const struct am_object *object, const char **ret_ns)
{
	const struct am_object *first;
	struct am_cursor at;

	if (!store->namespaced)
		return false;
	*ret_ns = object != NULL ? object->ns : old->ns;
	if (store == engine->quotas)
		return object != NULL;
	/* Creates are charged when they are made; of what grows or ends, only these count by more than their number. */
	if (old == NULL || (object != NULL && (store->group[0] != '\0' || (strcmp(store->plural, "pods") != 0 &&
			    strcmp(store->plural, "services") != 0 && strcmp(store->plural, "persistentvolumeclaims") != 0))))
		return false;
	at = am_sorted_seek(engine->quotas->objects, *ret_ns, "", false);
	first = am_sorted_next(engine->quotas->objects, &at);
	return first != NULL && strcmp(first->ns, *ret_ns) == 0;
}

/* ---- charging a write ---- */

static int
by_key(const void *a, const void *b)
{
	return strcmp((*(const struct am_node *const *)a)->key, (*(const struct am_node *const *)b)->key);
}

/* The limits of a quota, by name. */
static const struct am_node **
limits_of(struct am_arena *arena, const struct am_node *quota, size_t *ret_n)
{
	const struct am_node *hard = am_node_path(quota, "spec", "hard", NULL), **list;
	size_t n = 0;

	list = am_arena_zalloc(arena, ((hard != NULL ? hard->count : 0) + 1) * sizeof(*list));
	for (const struct am_node *m = hard != NULL && list != NULL ? hard->first : NULL; m != NULL; m = m->next)
		list[n++] = m;
	qsort(list, n, sizeof(*list), by_key);
	*ret_n = n;
	return list;
}

static bool
says(const struct am_node *container, const char *key)
{
	const char *dot = strchr(key, '.');
	bool limit = am_starts(key, "limits.");

	return am_node_path(container, "resources", limit ? "limits" : "requests", dot != NULL ? dot + 1 : key, NULL) != NULL;
}

/* "must specify limits.cpu for: a,b; ..." */
static int
check_said(struct am_change *c, const struct am_node *quota, const char *name)
{
	static const char *const lists[] = { "containers", "initContainers" };
	const struct am_node *hard = am_node_path(quota, "spec", "hard", NULL);
	struct am_buf text = { .max = 8192 };
	int rc = 0;

	for (size_t i = 0; i < AM_COUNTOF(must_say); i++) {
		size_t n = 0;
		for (size_t l = 0; am_node_get(hard, must_say[i]) != NULL && l < 2; l++) {
			const struct am_node *list = am_node_path(c->object, "spec", lists[l], NULL);
			for (const struct am_node *k = list != NULL ? list->first : NULL; k != NULL; k = k->next) {
				if (says(k, must_say[i]))
					continue;
				if (n++ == 0)
					am_buf_addf(&text, "%s%s for: ", text.len > 0 ? "; " : "", must_say[i]);
				am_buf_addf(&text, "%s%s", n > 1 ? "," : "", am_node_get_str(k, "name", ""));
			}
		}
	}
	if (text.len > 0)
		rc = am_fail_on(c->failure, 403, "Forbidden", c->res, name, "is forbidden: failed quota: %s: must specify %s",
				am_node_get_str(am_node_get(quota, "metadata"), "name", ""), am_buf_str(&text));
	am_buf_fini(&text);
	return rc;
}

/* Adds delta to *in_use; 1: something of this quota is used, 0: nothing, negative: too much. */
static int
charge_one(struct am_change *c, const struct am_node *quota, const struct usage *delta, const char *name,
	   struct am_node *in_use)
{
	struct am_buf wanted = { .max = 4096 }, have = { .max = 4096 }, max = { .max = 4096 };
	char text[AM_QUANTITY_TEXT];
	size_t n;
	const struct am_node **limits = limits_of(c->arena, quota, &n);
	int rc = 0;

	for (size_t i = 0; i < n; i++) {
		const struct am_quantity *by = used(delta, limits[i]->key);
		struct am_quantity sum = { 0, AM_QUANTITY_DECIMAL }, hard = { 0, AM_QUANTITY_DECIMAL };
		if (by->nano == 0)
			continue;
		(void)am_quantity_of(am_node_get(in_use, limits[i]->key), &sum);
		const struct am_quantity before = sum;
		am_quantity_add(&sum, by);
		(void)am_quantity_of(limits[i], &hard);
		if (by->nano > 0 && am_quantity_cmp(&sum, &hard) > 0) {
			const char *comma = wanted.len > 0 ? "," : "";
			am_buf_addf(&wanted, "%s%s=%s", comma, limits[i]->key, am_quantity_print(by, text));
			am_buf_addf(&have, "%s%s=%s", comma, limits[i]->key, am_quantity_print(&before, text));
			am_buf_addf(&max, "%s%s=%s", comma, limits[i]->key, am_quantity_print(&hard, text));
		}
		am_node_set(c->arena, in_use, limits[i]->key, am_node_str(c->arena, am_quantity_print(&sum, text)));
		rc = 1;
	}
	if (wanted.len > 0)
		rc = am_fail_on(c->failure, 403, "Forbidden", c->res, name,
				"is forbidden: exceeded quota: %s, requested: %s, used: %s, limited: %s",
				am_node_get_str(am_node_get(quota, "metadata"), "name", ""), am_buf_str(&wanted), am_buf_str(&have),
				am_buf_str(&max));
	am_buf_fini(&wanted);
	am_buf_fini(&have);
	am_buf_fini(&max);
	return rc;
}

/* What status.used says, as far as it speaks of every limit; else what is there. */
static struct am_node *
known_usage(struct am_change *c, const struct am_node *quota)
{
	const struct am_node *hard = am_node_path(quota, "spec", "hard", NULL), *said = am_node_path(quota, "status", "used", NULL);

	for (const struct am_node *m = hard != NULL ? hard->first : NULL; m != NULL; m = m->next)
		if (am_node_get(said, m->key) == NULL)
			return recount(c->engine, c->arena, quota);
	return said != NULL ? am_node_clone(c->arena, said) : am_node_object(c->arena);
}

static int
charge_quota(struct am_change *c, struct am_object *stored, const struct usage *delta, const char *name,
	     struct am_charge *charge)
{
	bool pod = c->res->group[0] == '\0' && strcmp(c->res->plural, "pods") == 0;
	struct am_buf raw = { 0 };
	struct am_node *quota, *in_use;
	struct am_charge_item *item;
	int rc;

	am_object_raw(stored, &raw);
	quota = am_node_parse(c->arena, raw.data, raw.len, NULL);
	am_buf_fini(&raw);
	if (quota == NULL || !am_quota_covers(quota, c->res->group, c->res->plural, c->object))
		return 0;
	rc = pod && c->old == NULL ? check_said(c, quota, name) : 0;
	if (rc < 0)
		return rc;
	in_use = known_usage(c, quota);
	rc = charge_one(c, quota, delta, name, in_use);
	if (rc <= 0)
		return rc;
	set_status(c->arena, quota, in_use);
	item = &charge->items[charge->n++];
	*item = (struct am_charge_item){ .quota = am_object_ref(stored) };
	am_change_print(quota, &item->raw);
	item->op = (struct am_op){ .kind = AM_OP_UPDATE, .store = c->engine->quotas,
				   .ns = item->quota->ns, .name = item->quota->name, .old = item->quota, .raw = item->raw.data,
				   .len = item->raw.len };
	return 0;
}

int
am_quota_charge(struct am_change *c, struct am_charge *charge)
{
	const char *name = am_node_get_str(am_node_get(c->object, "metadata"), "name", "");
	struct usage *delta, *before;
	struct am_list quotas;
	int rc = 0;

	*charge = (struct am_charge){ 0 };
	if (!(c->res->flags & AM_RES_NAMESPACED) || c->subresource != NULL ||
	    (c->old != NULL && strcmp(c->res->plural, "persistentvolumeclaims") != 0 && strcmp(c->res->plural, "services") != 0))
		return 0;
	am_engine_all(c->engine, "", "resourcequotas", c->ns, &quotas);
	if (quotas.n > 0) {
		charge->items = am_xcalloc(quotas.n, sizeof(*charge->items));
		delta = am_xcalloc(2, sizeof(*delta));
		before = delta + 1;
		usage_of(delta, c->res->store->group, c->res->plural, c->object);
		if (c->old != NULL)
			usage_of(before, c->res->store->group, c->res->plural, c->old);
		for (size_t i = 0; i < before->n; i++) {
			struct am_quantity less = { -before->items[i].q.nano, before->items[i].q.form };
			use(delta, &less, "%s", before->items[i].name);
		}
		for (size_t i = 0; rc == 0 && i < quotas.n; i++)
			rc = charge_quota(c, quotas.items[i], delta, name, charge);
		free(delta);
	}
	am_list_fini(&quotas);
	for (size_t i = 0; i + 1 < charge->n; i++)
		charge->items[i].op.with = &charge->items[i + 1].op;
	return rc;
}

void
am_charge_fini(struct am_charge *charge)
{
	for (size_t i = 0; i < charge->n; i++) {
		am_object_unref(charge->items[i].op.object);
		am_object_unref(charge->items[i].quota);
		am_buf_fini(&charge->items[i].raw);
	}
	free(charge->items);
	*charge = (struct am_charge){ 0 };
}

/* ---- the kind ---- */

static void
quota_create(struct am_change *change)
{
	set_status(change->arena, change->object, recount(change->engine, change->arena, change->object));
}

/* Names without a slash are the server's own, and what is counted is whole. */
static void
check_limit(struct am_change *change, const struct am_node *limit)
{
	const struct am_quota_resource *known = am_quota_resource(limit->key);
	struct am_quantity q;
	char field[320];

	snprintf(field, sizeof(field), "spec.hard[%.260s]", limit->key);
	if (known == NULL && strchr(limit->key, '/') == NULL)
		am_failure_cause(change->failure, "FieldValueInvalid", field,
				 "Invalid value: \"%.200s\": must be a standard resource for quota", limit->key);
	if (!am_quantity_of(limit, &q))
		am_bad(change, field, limit, "must be a quantity such as 10, 500m or 2Gi");
	else if (q.nano < 0)
		am_bad(change, field, limit, "must be greater than or equal to 0");
	else if (known != NULL && known->whole && q.nano % (1000 * 1000 * 1000) != 0)
		am_bad(change, field, limit, "must be an integer");
}

static void
quota_check(struct am_change *change)
{
	const struct am_node *hard = am_node_path(change->object, "spec", "hard", NULL);

	for (const struct am_node *m = hard != NULL ? hard->first : NULL; m != NULL; m = m->next)
		check_limit(change, m);
	am_quota_check_scopes(change);
}

const struct am_kind am_kind_quota = { .create = quota_create, .check = quota_check };
