/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterRoles with an aggregationRule: their rules are those of the roles that its selectors choose, each rule once,
 * in the order of the roles' names.  Looked at again whenever a ClusterRole changes; since an aggregated role may be
 * chosen itself, this ends when nothing changes any more.
 */
#include "plugins/standalone/apiserver/janitor.h"

#define GROUP  "rbac.authorization.k8s.io"
#define PLURAL "clusterroles"

/* matchLabels and matchExpressions as the text of a label selector; false: it selects nothing. */
static bool
selector_text(const struct am_node *selector, struct am_buf *out)
{
	const struct am_node *labels = am_node_get(selector, "matchLabels"), *all = am_node_get(selector, "matchExpressions");

	for (const struct am_node *l = labels != NULL ? labels->first : NULL; l != NULL; l = l->next)
		am_buf_addf(out, "%s%s=%s", out->len > 0 ? "," : "", l->key, am_node_text(l, ""));
	for (const struct am_node *e = all != NULL ? all->first : NULL; e != NULL; e = e->next) {
		const char *key = am_node_get_str(e, "key", ""), *operator = am_node_get_str(e, "operator", "");
		const struct am_node *values = am_node_get(e, "values");
		bool not = strcmp(operator, "NotIn") == 0 || strcmp(operator, "DoesNotExist") == 0;
		bool exists = am_ends(operator, "Exist") || strcmp(operator, "Exists") == 0;

		am_buf_addf(out, "%s%s%s", out->len > 0 ? "," : "", exists && not ? "!" : "", key);
		if (exists)
			continue;
		if ((!not && strcmp(operator, "In") != 0) || values == NULL || values->count == 0)
			return false;
		am_buf_addf(out, " %s (", not ? "notin" : "in");
		for (const struct am_node *v = values->first; v != NULL; v = v->next)
			am_buf_addf(out, "%s%s", v != values->first ? "," : "", am_node_text(v, ""));
		am_buf_addc(out, ')');
	}
	return true;
}

static void
add_rules(struct am_arena *arena, const struct am_object *role, struct am_node *rules)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *tree = am_node_parse(arena, role->body, role->len, &err);
	const struct am_node *own = am_node_get(tree, "rules");

	for (const struct am_node *r = own != NULL ? own->first : NULL; r != NULL; r = r->next) {
		const struct am_node *have = rules->first;

		while (have != NULL && !am_node_equal(have, r))
			have = have->next;
		if (have == NULL)
			am_node_append(rules, am_node_clone(arena, r));
	}
}

struct aggregation {
	struct am_engine *engine;
	const struct am_list *roles;
	const char *name;
};

static void
add_selected(const struct aggregation *a, struct am_arena *arena, const struct am_node *selector, struct am_node *rules)
{
	const struct am_resource *res = am_engine_resource(a->engine, GROUP, "v1", PLURAL);
	struct am_selector *parsed = NULL;
	struct am_failure failure = { 0 };
	struct am_buf text = { .max = 65536 };

	if (selector_text(selector, &text) && !text.failed &&
	    am_selector_parse(res, am_buf_str(&text), NULL, &parsed, &failure) == 0)
		for (size_t i = 0; i < a->roles->n; i++)
			if (strcmp(a->roles->items[i]->name, a->name) != 0 && am_selector_match(parsed, a->roles->items[i]))
				add_rules(arena, a->roles->items[i], rules);
	am_selector_free(parsed);
	am_failure_fini(&failure);
	am_buf_fini(&text);
	am_resource_unref(res);
}

static int
fill(void *arg, struct am_arena *arena, struct am_node *object)
{
	const struct aggregation *a = arg;
	const struct am_node *selectors = am_node_path(object, "aggregationRule", "clusterRoleSelectors", NULL);
	const struct am_node *have = am_node_get(object, "rules");
	struct am_node *rules = am_node_array(arena);

	if (am_node_get(object, "aggregationRule") == NULL)
		return -AMBIENT_E_EXISTS;
	for (const struct am_node *s = selectors != NULL ? selectors->first : NULL; s != NULL; s = s->next)
		add_selected(a, arena, s, rules);
	if (have != NULL && am_node_equal(have, rules))
		return -AMBIENT_E_EXISTS;
	am_node_set(arena, object, "rules", rules);
	return 0;
}

size_t
am_engine_aggregate(struct am_engine *engine)
{
	size_t steps = 0, before;

	/* Chains are short; a circle of roles grows to the same rules everywhere and ends, too. */
	for (int round = 0; round < 32; round++) {
		struct am_list list = { 0 };
		struct am_slice rule;

		before = steps;
		am_engine_all(engine, GROUP, PLURAL, NULL, &list);
		for (size_t i = 0; i < list.n; i++) {
			struct aggregation a = { engine, &list, list.items[i]->name };
			const struct am_commit commit = { fill, &a };

			if (am_json_find(am_object_text(list.items[i]), "/aggregationRule", &rule))
				steps += am_change_edit(engine, engine->cluster_roles, "", a.name, NULL, &commit, NULL) == 0;
		}
		am_list_fini(&list);
		if (steps == before)
			break;
	}
	return steps;
}
