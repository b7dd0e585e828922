/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody grants more than he has.  A role that is written, or that is bound, is taken apart into single permissions
 * (one verb on one resource, or on one path); each must be covered by a rule that the writer has where the role will
 * hold.  The verbs "escalate" on the role and "bind" on what is bound lift that.  How many permissions are looked at is
 * bounded, since a body of three megabytes can multiply to billions.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rbac.h"

#define CHECKS_MAX  200000
#define MISSING_MAX 100 /* that are listed */

struct missing {
	const char *group, *resource, *name, *url;
	struct am_buf verbs;
};

struct guard {
	struct rest_rules rules;
	struct missing items[MISSING_MAX];
	size_t n, checks;
	bool ok;
};

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void
add_quoted(struct am_buf *out, const char *text)
{
	am_buf_addf(out, "%s\"%.200s\"", out->len > 0 ? " " : "", text);
}

static void
lacks(struct guard *guard, const char *verb, const struct missing *what)
{
	size_t i = 0;

	guard->ok = false;
	while (i < guard->n && !(same(guard->items[i].group, what->group) && same(guard->items[i].name, what->name) &&
				 same(guard->items[i].resource, what->resource) && same(guard->items[i].url, what->url)))
		i++;
	if (i == MISSING_MAX)
		return;
	if (i == guard->n)
		guard->items[guard->n++] = *what;
	if (guard->items[i].verbs.len < 2000)
		add_quoted(&guard->items[i].verbs, verb);
}

static bool
covered(struct guard *guard, const struct rest_access *a)
{
	for (size_t i = 0; i < guard->rules.n; i++) {
		const struct rest_rules_item *item = &guard->rules.items[i];

		if (a->path != NULL && !item->cluster)
			continue;
		for (size_t k = 0; k < item->role->n; k++)
			if (rbac_rule_fits(&item->role->rules[k], a))
				return true;
	}
	return false;
}

static void
check_one(struct guard *guard, const char *verb, const struct missing *what)
{
	char plural[256];
	const char *slash = what->resource != NULL ? strchr(what->resource, '/') : NULL;
	struct rest_access a = { .verb = verb, .group = what->group, .plural = what->resource, .name = what->name,
				 .path = what->url };

	if (guard->checks++ >= CHECKS_MAX)
		guard->ok = false;
	if (guard->checks > CHECKS_MAX)
		return;
	if (slash != NULL) {
		if ((size_t)(slash - what->resource) >= sizeof(plural)) {
			lacks(guard, verb, what);
			return;
		}
		(void)am_strlcpy(plural, what->resource, (size_t)(slash - what->resource) + 1);
		a.plural = plural;
		a.sub = slash + 1;
	}
	if (!covered(guard, &a))
		lacks(guard, verb, what);
}

/* One verb of a rule on everything that it names. */
static void
check_verb(struct guard *guard, const struct rbac_rule *rule, const char *verb)
{
	uint32_t u = 0, g = 0;

	for (const char *url = NULL; (url = rbac_rule_next(rule, RBAC_URLS, url, &u)) != NULL;)
		check_one(guard, verb, &(struct missing){ .url = url });
	for (const char *group = NULL; (group = rbac_rule_next(rule, RBAC_GROUPS, group, &g)) != NULL;) {
		uint32_t r = 0;

		for (const char *res = NULL; (res = rbac_rule_next(rule, RBAC_RESOURCES, res, &r)) != NULL;) {
			struct missing what = { .group = group, .resource = res };
			uint32_t n = 0;

			if (rule->n[RBAC_NAMES] == 0)
				check_one(guard, verb, &what);
			while ((what.name = rbac_rule_next(rule, RBAC_NAMES, what.name, &n)) != NULL &&
			       guard->checks <= CHECKS_MAX)
				check_one(guard, verb, &what);
			if (guard->checks > CHECKS_MAX)
				return;
		}
	}
}

static void
check_rules(struct guard *guard, const struct rbac_role *role)
{
	for (size_t i = 0; i < role->n; i++) {
		uint32_t v = 0;

		for (const char *verb = NULL;
		     guard->checks <= CHECKS_MAX && (verb = rbac_rule_next(&role->rules[i], RBAC_VERBS, verb, &v)) != NULL;)
			check_verb(guard, &role->rules[i], verb);
	}
}

static void
say(const struct guard *guard, struct am_buf *out)
{
	if (guard->checks > CHECKS_MAX)
		am_buf_addf(out, "\nmore than %d single permissions, which are not all looked at", CHECKS_MAX);
	for (size_t i = 0; i < guard->n; i++) {
		const struct missing *m = &guard->items[i];

		if (m->url != NULL)
			am_buf_addf(out, "\n{NonResourceURLs:[\"%.200s\"]", m->url);
		else
			am_buf_addf(out, "\n{APIGroups:[\"%.200s\"], Resources:[\"%.200s\"]", m->group, m->resource);
		if (m->name != NULL)
			am_buf_addf(out, ", ResourceNames:[\"%.200s\"]", m->name);
		am_buf_addf(out, ", Verbs:[%s]}", am_buf_str(&m->verbs));
	}
}

static int
refuse(struct rest_call *call, const struct guard *guard, struct am_failure *failure, const char *name)
{
	struct am_buf groups = { 0 }, list = { .max = 65536 };

	for (size_t i = 0; i < call->user.n_groups; i++)
		add_quoted(&groups, call->user.groups[i]);
	say(guard, &list);
	am_fail(failure, 403, "Forbidden",
		"%s." RBAC_GROUP " \"%s\" is forbidden: user \"%s\" (groups=[%s]) is attempting to grant RBAC permissions not "
		"currently held:%s",
		call->plural, name, call->user.name, am_buf_str(&groups), am_buf_str(&list));
	failure->kind = am_xstrdup(call->plural);
	failure->group = am_xstrdup(RBAC_GROUP);
	failure->name = am_xstrdup(name);
	am_buf_fini(&groups);
	am_buf_fini(&list);
	return -AMBIENT_E_FORBIDDEN;
}

/* Does the caller hold everything in object's rules? */
static int
require_rules(struct rest_call *call, struct am_slice object, const char *name, struct am_failure *failure)
{
	struct guard *guard = am_xcalloc(1, sizeof(*guard));
	struct rbac_role role;
	char *text;

	guard->ok = true;
	rest_rules_get(call->server, &call->user, call->ns, &guard->rules);
	rbac_role_compile(object, &role, &text);
	check_rules(guard, &role);
	int rc = guard->ok ? 0 : refuse(call, guard, failure, name);

	for (size_t i = 0; i < guard->n; i++)
		am_buf_fini(&guard->items[i].verbs);
	rest_rules_fini(&guard->rules);
	free((void *)(uintptr_t)role.rules);
	free(text);
	free(guard);
	return rc;
}

static bool
unchanged(const struct am_node *old, const struct am_node *object, const char *member)
{
	const struct am_node *a = am_node_get(old, member), *b = am_node_get(object, member);

	return a == NULL || b == NULL ? a == b : am_node_equal(a, b);
}

static int
guard_role(struct rest_call *call, const struct am_node *old, const struct am_node *object, const char *name,
	   struct am_failure *failure)
{
	static const char everything[] = "{\"rules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]},"
					 "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}]}";
	const struct rest_access escalate = { .verb = "escalate", .group = RBAC_GROUP, .ns = call->ns,
					      .plural = call->plural, .name = name };
	const struct am_node *aggregation = am_node_get(object, "aggregationRule");
	struct am_buf text = { 0 };
	int rc = 0;

	if (old != NULL && unchanged(old, object, "rules") && unchanged(old, object, "aggregationRule"))
		return 0;
	if (rest_allowed(call->server, &call->user, &escalate))
		return 0;
	/* What an aggregated role will contain is for others to say: only who may do everything makes one. */
	if (aggregation != NULL && aggregation->type == AMBIENT_T_OBJECT &&
	    (old == NULL || !unchanged(old, object, "aggregationRule")))
		rc = require_rules(call, am_slice_of(everything), name, failure);
	if (rc < 0 && failure->code == 403)
		rc = am_fail_on(failure, 403, "Forbidden", call->res, name,
				"is forbidden: must have cluster-admin privileges to use the aggregationRule");
	am_node_print(object, &text);
	if (rc == 0)
		rc = require_rules(call, am_slice(am_buf_str(&text), text.len), name, failure);
	am_buf_fini(&text);
	return rc;
}

static int
guard_binding(struct rest_call *call, const struct am_node *old, const struct am_node *object, const char *name,
	      struct am_failure *failure)
{
	const struct am_node *ref = am_node_get(object, "roleRef");
	bool local = strcmp(am_node_get_str(ref, "kind", ""), "Role") == 0;
	const struct rest_access bind = { .verb = "bind", .group = RBAC_GROUP, .ns = call->ns,
					  .plural = local ? "roles" : "clusterroles",
					  .name = am_node_get_str(ref, "name", "") };

	if (old != NULL && unchanged(old, object, "subjects") && unchanged(old, object, "roleRef"))
		return 0;
	if (rest_allowed(call->server, &call->user, &bind))
		return 0;
	struct am_object *role = am_engine_peek(call->server->engine, RBAC_GROUP, bind.plural, local ? call->ns : NULL,
						bind.name);

	if (role == NULL) {
		am_fail(failure, 404, "NotFound", "%s." RBAC_GROUP " \"%s\" not found", bind.plural, bind.name);
		failure->kind = am_xstrdup(bind.plural);
		failure->group = am_xstrdup(RBAC_GROUP);
		failure->name = am_xstrdup(bind.name);
		return -AMBIENT_E_NOTFOUND;
	}
	int rc = require_rules(call, am_object_text(role), name, failure);

	am_object_unref(role);
	return rc;
}

int
rest_escalation_guard(void *arg, const struct am_node *old, const struct am_node *object, struct am_failure *failure)
{
	struct rest_call *call = arg;
	const char *name = am_node_text(am_node_path(object, "metadata", "name", NULL), "");

	if (rest_user_in(&call->user, REST_MASTERS))
		return 0;
	return am_ends(call->plural, "bindings") ? guard_binding(call, old, object, name, failure)
						 : guard_role(call, old, object, name, failure);
}
