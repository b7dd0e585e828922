/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scopes of ResourceQuotas: which objects lie in one, which limits go with it, which operators its selector takes.
 * A quota with scopes is about pods, or about claims, and about nothing else.
 */
#include "core/base/util.h"
#include "plugins/standalone/apiserver/quantity.h"
#include "plugins/standalone/apiserver/quota.h"

#define EACH(i, list)                                                                                                  \
	const struct am_node *i = (list) != NULL ? (list)->first : NULL;                                               \
	i != NULL;                                                                                                     \
	i = i->next

/* ---- limits ---- */

const struct am_quota_resource *
am_quota_resource(const char *name)
{
	static const struct am_quota_resource known[] = {
		{ "pods", AM_QUOTA_OF_POD_COUNT, true },
		{ "cpu", AM_QUOTA_OF_POD, false },
		{ "memory", AM_QUOTA_OF_POD, false },
		{ "requests.cpu", AM_QUOTA_OF_POD, false },
		{ "requests.memory", AM_QUOTA_OF_POD, false },
		{ "limits.cpu", AM_QUOTA_OF_POD, false },
		{ "limits.memory", AM_QUOTA_OF_POD, false },
		{ "ephemeral-storage", 0, false },
		{ "requests.ephemeral-storage", 0, false },
		{ "limits.ephemeral-storage", 0, false },
		{ "persistentvolumeclaims", AM_QUOTA_OF_CLAIM, true },
		{ "requests.storage", AM_QUOTA_OF_CLAIM, false },
		{ "configmaps", 0, true },
		{ "replicationcontrollers", 0, true },
		{ "resourcequotas", 0, true },
		{ "secrets", 0, true },
		{ "services", 0, true },
		{ "services.loadbalancers", 0, true },
		{ "services.nodeports", 0, true },
	};
	static const struct am_quota_resource huge_pages = { "hugepages-", 0, false };

	for (size_t i = 0; i < AM_COUNTOF(known); i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return am_starts(name, "hugepages-") || am_starts(name, "requests.hugepages-") ? &huge_pages : NULL;
}

/* ---- what an object has of it ---- */

static bool
ends_by_itself(const struct am_node *pod)
{
	return am_node_path(pod, "spec", "activeDeadlineSeconds", NULL) != NULL;
}

static bool
is_best_effort(const struct am_node *pod)
{
	static const char *const lists[] = { "initContainers", "containers" }, *const maps[] = { "requests", "limits" };
	struct am_quantity q;

	for (size_t l = 0; l < 4; l++)
		for (EACH(c, am_node_path(pod, "spec", lists[l % 2], NULL)))
			for (EACH(m, am_node_path(c, "resources", maps[l / 2], NULL)))
				if ((strcmp(m->key, "cpu") == 0 || strcmp(m->key, "memory") == 0) &&
				    am_quantity_of(m, &q) && q.nano > 0)
					return false;
	return true;
}

/* Some affinity or anti-affinity looks at pods of other namespaces. */
static bool
looks_across(const struct am_node *pod)
{
	static const char *const kinds[] = { "podAffinity", "podAntiAffinity" };
	static const char *const lists[] = { "requiredDuringSchedulingIgnoredDuringExecution",
					    "preferredDuringSchedulingIgnoredDuringExecution" };

	for (size_t i = 0; i < 4; i++)
		for (EACH(t, am_node_path(pod, "spec", "affinity", kinds[i % 2], lists[i / 2], NULL))) {
			const struct am_node *term = i / 2 == 0 ? t : am_node_get(t, "podAffinityTerm");
			const struct am_node *named = am_node_get(term, "namespaces");
			if ((named != NULL && named->count > 0) || am_node_get(term, "namespaceSelector") != NULL)
				return true;
		}
	return false;
}

/* ---- the scopes ---- */

struct scope {
	const char *name;
	bool (*has)(const struct am_node *object); /* NULL: it is about a class */
	const char *class;                         /* the key of spec that names it */
	bool inverse;
	unsigned of; /* the limits that go with it */
};

#define PODS (AM_QUOTA_OF_POD_COUNT | AM_QUOTA_OF_POD)

static const struct scope scopes[] = {
	{ "Terminating", ends_by_itself, NULL, false, PODS },
	{ "NotTerminating", ends_by_itself, NULL, true, PODS },
	{ "BestEffort", is_best_effort, NULL, false, AM_QUOTA_OF_POD_COUNT },
	{ "NotBestEffort", is_best_effort, NULL, true, PODS },
	{ "PriorityClass", NULL, "priorityClassName", false, PODS },
	{ "CrossNamespacePodAffinity", looks_across, NULL, false, PODS },
	{ "VolumeAttributesClass", NULL, "volumeAttributesClassName", false, AM_QUOTA_OF_CLAIM },
};

static const struct scope *
find(const char *name)
{
	for (size_t i = 0; i < AM_COUNTOF(scopes); i++)
		if (strcmp(scopes[i].name, name) == 0)
			return &scopes[i];
	return NULL;
}

/* Whether the object lies in the scope, as far as a selector's operator asks.  kind: AM_QUOTA_OF_* of the object. */
static bool
in_scope(const struct am_node *object, unsigned kind, const char *name, const char *operator,
	 const struct am_node * values)
{
	const struct scope *scope = find(name);
	bool listed = false;
	const char *class;

	if (scope == NULL || (scope->of & kind) == 0)
		return false;
	if (scope->has != NULL)
		return scope->has(object) != scope->inverse;
	class = am_node_get_str(am_node_get(object, "spec"), scope->class, "");
	for (EACH(v, values))
		listed |= am_streq(am_node_text(v, NULL), class);
	if (strcmp(operator, "In") == 0)
		return listed;
	if (strcmp(operator, "NotIn") == 0)
		return !listed;
	return (strcmp(operator, "DoesNotExist") == 0) == (*class == '\0');
}

bool
am_quota_covers(const struct am_node *quota, const char *group, const char *plural, const struct am_node *object)
{
	const struct am_node *list = am_node_path(quota, "spec", "scopes", NULL);
	const struct am_node *selector = am_node_path(quota, "spec", "scopeSelector", "matchExpressions", NULL);
	unsigned kind = 0;

	if (group[0] == '\0' && strcmp(plural, "pods") == 0)
		kind = PODS;
	else if (group[0] == '\0' && strcmp(plural, "persistentvolumeclaims") == 0)
		kind = AM_QUOTA_OF_CLAIM;
	for (EACH(s, list))
		if (!in_scope(object, kind, am_node_text(s, ""), "Exists", NULL))
			return false;
	for (EACH(s, selector))
		if (!in_scope(object, kind, am_node_get_str(s, "scopeName", ""), am_node_get_str(s, "operator", ""),
			      am_node_get(s, "values")))
			return false;
	return true;
}

/* ---- validation ---- */

/* Every limit of the server's own must be one that the scope can be about. */
static void
check_limits(struct am_change *change, const struct scope *scope, const char *field, const struct am_node *said)
{
	for (EACH(m, am_node_path(change->object, "spec", "hard", NULL))) {
		const struct am_quota_resource *known = am_quota_resource(m->key);
		if (known != NULL && (known->of & scope->of) == 0)
			am_bad(change, field, said, "unsupported scope applied to resource");
	}
}

/* names: the scopes that were said, as keys. */
static void
check_pairs(struct am_change *change, const struct am_map *names, const char *field, const struct am_node *said)
{
	static const char *const pairs[][2] = { { "BestEffort", "NotBestEffort" }, { "Terminating", "NotTerminating" } };

	for (size_t i = 0; i < AM_COUNTOF(pairs); i++)
		if (am_map_has(names, pairs[i][0]) && am_map_has(names, pairs[i][1]))
			am_bad(change, field, said, "conflicting scopes");
}

static void
check_list(struct am_change *change, const struct am_node *list)
{
	struct am_map *names = am_map_new();

	for (EACH(s, list)) {
		const struct scope *scope = find(am_node_text(s, ""));
		if (scope == NULL)
			am_bad(change, "spec.scopes", list, "unsupported scope");
		else
			check_limits(change, scope, "spec.scopes", list);
		am_map_put(names, am_node_text(s, ""), names);
	}
	check_pairs(change, names, "spec.scopes", list);
	am_map_free(names);
}

static void
check_operator(struct am_change *change, const struct scope *scope, const struct am_node *expression, const char *at)
{
	const struct am_node *node = am_node_get(expression, "operator"), *values = am_node_get(expression, "values");
	const char *operator= am_node_text(node, "");
	bool lists = strcmp(operator, "In") == 0 || strcmp(operator, "NotIn") == 0;
	char field[96];

	snprintf(field, sizeof(field), "%s.operator", at);
	if (scope != NULL && scope->has != NULL && strcmp(operator, "Exists") != 0)
		am_bad(change, field, node,
		       "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
		       "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
		       "ResourceQuotaScopeNotBestEffort or "
		       "ResourceQuotaScopeCrossNamespacePodAffinity");
	if (!lists && strcmp(operator, "Exists") != 0 && strcmp(operator, "DoesNotExist") != 0) {
		am_bad(change, field, node, "not a valid selector operator");
		return;
	}
	snprintf(field, sizeof(field), "%s.values", at);
	if (lists && (values == NULL || values->count == 0))
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: must be at least one value when "
				 "`operator` is 'In' or 'NotIn' for scope selector");
	else if (!lists && values != NULL && values->count > 0)
		am_bad(change, field, values,
		       "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
}

static void
check_selector(struct am_change *change, const struct am_node *selector)
{
	static const char at[] = "spec.scopeSelector.matchExpressions";
	struct am_map *names = am_map_new();
	char field[96];

	for (EACH(e, am_node_get(selector, "matchExpressions"))) {
		const struct am_node *name = am_node_get(e, "scopeName");
		const struct scope *scope = find(am_node_text(name, ""));
		snprintf(field, sizeof(field), "%s.scopeName", at);
		if (scope == NULL)
			am_bad(change, field, name, "unsupported scope");
		else
			check_limits(change, scope, at, selector);
		check_operator(change, scope, e, at);
		am_map_put(names, am_node_text(name, ""), names);
	}
	check_pairs(change, names, at, selector);
	am_map_free(names);
}

void
am_quota_check_scopes(struct am_change *change)
{
	const struct am_node *spec = am_node_get(change->object, "spec"), *list = am_node_get(spec, "scopes");

	check_list(change, list);
	if (am_node_get(spec, "scopeSelector") != NULL)
		check_selector(change, am_node_get(spec, "scopeSelector"));
	if (change->old != NULL && !am_same_at(change->old, change->object, "/spec/scopes"))
		am_bad(change, "spec.scopes", list, "field is immutable");
}
