/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May he?  A question is answered from the compiled table (rbac.h): the grants of the user, then of each of his
 * groups.  Rules are a union, so the first that fits decides.  system:masters is asked nothing.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rbac.h"

#define REASON_MAX 2048

static bool
applies(const struct rbac_grant *grant, const struct rest_access *a)
{
	return grant->ns == NULL || (a->path == NULL && a->ns != NULL && strcmp(grant->ns, a->ns) == 0);
}

static void
say_missing(const struct rbac_grant *grant, struct am_buf *reason)
{
	bool cluster = strcmp(grant->role_kind, "Role") != 0;

	am_buf_addf(reason, "%s%s." RBAC_GROUP " \"%s\" not found", reason->len > 0 ? ", " : "",
		    cluster ? "clusterrole" : "role", grant->role_name);
}

static void
say_allowed(const struct rbac_grant *grant, char kind, const char *subject, struct am_buf *reason)
{
	am_buf_reset(reason);
	am_buf_addf(reason, "RBAC: allowed by %s \"%s%s%s\" of %s \"%s\" to %s \"%s\"",
		    grant->ns == NULL ? "ClusterRoleBinding" : "RoleBinding", grant->binding, grant->ns != NULL ? "/" : "",
		    grant->ns != NULL ? grant->ns : "", grant->role_kind, grant->role_name, kind == 'u' ? "User" : "Group",
		    subject);
}

static bool
subject_may(const struct rbac_table *table, char kind, const char *subject, const struct rest_access *a,
	    struct am_buf *reason)
{
	for (const struct rbac_grant *g = rbac_table_grants(table, kind, subject); g != NULL; g = g->next) {
		if (!applies(g, a))
			continue;
		if (g->role == NULL && reason != NULL)
			say_missing(g, reason);
		for (size_t i = 0; g->role != NULL && i < g->role->n; i++)
			if (rbac_rule_fits(&g->role->rules[i], a)) {
				if (reason != NULL)
					say_allowed(g, kind, subject, reason);
				return true;
			}
	}
	return false;
}

bool
rest_decide(struct rest_server *server, const struct rest_user *user, const struct rest_access *a, struct am_buf *reason)
{
	struct am_buf missing = { .max = REASON_MAX };
	struct am_buf *notes = reason != NULL ? &missing : NULL;

	if (rest_user_in(user, REST_MASTERS))
		return true;
	struct rbac_table *table = rest_rbac_table(server->rbac);
	bool ok = subject_may(table, 'u', user->name, a, notes);

	for (size_t i = 0; !ok && i < user->n_groups; i++)
		ok = subject_may(table, 'g', user->groups[i], a, notes);
	rest_rbac_table_unref(server->rbac, table);
	if (reason != NULL && missing.len > 0)
		am_buf_addf(reason, ok ? "%s" : strstr(missing.data, ", ") != NULL ? "RBAC: [%s]" : "RBAC: %s",
			    am_buf_str(&missing));
	am_buf_fini(&missing);
	return ok;
}

bool
rest_allowed(struct rest_server *server, const struct rest_user *user, const struct rest_access *access)
{
	return rest_decide(server, user, access, NULL);
}

/* ---- 403 */

static int
forbid_resource(struct rest_call *call, const struct rest_user *user, const struct rest_access *a, const char *why)
{
	const char *name = a->name != NULL ? a->name : "";
	const char *full = *a->group != '\0' ? am_arena_printf(call->arena, "%s.%s", a->plural, a->group) : a->plural;
	const char *resource = a->sub != NULL ? am_arena_printf(call->arena, "%s/%s", a->plural, a->sub) : a->plural;
	const char *where = a->ns != NULL ? am_arena_printf(call->arena, " in the namespace \"%s\"", a->ns)
					  : " at the cluster scope";

	am_fail(&call->failure, 403, "Forbidden",
		"%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\"%s%s%s", full,
		*name != '\0' ? " \"" : "", name, *name != '\0' ? "\"" : "", user->name, a->verb, resource, a->group, where,
		*why != '\0' ? ": " : "", why);
	call->failure.kind = am_xstrdup(a->plural);
	call->failure.group = am_xstrdup(a->group);
	call->failure.name = *name != '\0' ? am_xstrdup(name) : NULL;
	return -AMBIENT_E_FORBIDDEN;
}

/* Fills the failure; why may be "". */
static int
forbid(struct rest_call *call, const struct rest_user *user, const struct rest_access *a, const char *why)
{
	if (a->path == NULL)
		return forbid_resource(call, user, a, why);
	return am_fail(&call->failure, 403, "Forbidden", "forbidden: User \"%s\" cannot %s path \"%s\"%s%s", user->name,
		       a->verb, a->path, *why != '\0' ? ": " : "", why);
}

int
rest_require(struct rest_call *call, const struct rest_user *user, const struct rest_access *access)
{
	struct am_buf reason = { 0 };
	bool ok = rest_decide(call->server, user, access, &reason);

	if (ok)
		call->decision = am_arena_strdup(call->arena, am_buf_str(&reason));
	int rc = ok ? 0 : forbid(call, user, access, am_buf_str(&reason));

	am_buf_fini(&reason);
	return rc;
}

int
rest_authorize(struct rest_call *call)
{
	struct rest_access a = { .verb = call->verb };

	if (call->is_resource) {
		a.group = call->group;
		a.plural = call->plural;
		a.sub = call->sub;
		a.ns = call->ns;
		a.name = call->name != NULL ? call->name : call->selected_name;
		/* A namespace object is, for RBAC, in the namespace that it is. */
		if (*a.group == '\0' && strcmp(a.plural, "namespaces") == 0)
			a.ns = call->name;
	} else {
		a.path = call->path;
	}
	int rc = rest_require(call, &call->user, &a);

	/* A WebSocket begins with a GET; but whoever runs something in a pod does more than read. */
	if (rc == 0 && rest_is_connect(call) && strcmp(a.verb, "create") != 0) {
		a.verb = "create";
		rc = rest_require(call, &call->user, &a);
	}
	return rc;
}

/* ---- every rule of a user */

static void
add_grants(const struct rbac_table *table, char kind, const char *subject, const char *ns, struct rest_rules *rules)
{
	for (const struct rbac_grant *g = rbac_table_grants(table, kind, subject); g != NULL; g = g->next) {
		size_t i = 0;

		if (g->role == NULL || (g->ns != NULL && (ns == NULL || strcmp(g->ns, ns) != 0)))
			continue;
		/* The same role by another subject or binding of his adds nothing; only its reach may differ. */
		while (i < rules->n && (rules->items[i].role != g->role || rules->items[i].cluster != (g->ns == NULL)))
			i++;
		if (i < rules->n)
			continue;
		rules->items = am_xrealloc(rules->items, rules->n + 1, sizeof(*rules->items));
		rules->items[rules->n++] = (struct rest_rules_item){ g->role, g->ns == NULL };
	}
}

void
rest_rules_get(struct rest_server *server, const struct rest_user *user, const char *ns, struct rest_rules *rules)
{
	*rules = (struct rest_rules){ .rbac = server->rbac, .table = rest_rbac_table(server->rbac) };
	add_grants(rules->table, 'u', user->name, ns, rules);
	for (size_t i = 0; i < user->n_groups; i++)
		add_grants(rules->table, 'g', user->groups[i], ns, rules);
}

void
rest_rules_fini(struct rest_rules *rules)
{
	free(rules->items);
	rest_rbac_table_unref(rules->rbac, rules->table);
	*rules = (struct rest_rules){ 0 };
}

/* ---- SelfSubjectRulesReview */

static void
print_list(const struct rbac_rule *rule, enum rbac_list list, bool always, struct am_buf *out)
{
	uint32_t i = 0;

	if (rule->n[list] == 0 && !always)
		return;
	am_json_addf(out, "%j%s:[", out->data[out->len - 1] == '{' ? "" : ",", rbac_list_names[list]);
	for (const char *s = NULL; (s = rbac_rule_next(rule, list, s, &i)) != NULL;)
		am_json_addf(out, "%j%s", i > 1 ? "," : "", s);
	am_buf_addc(out, ']');
}

static void
print_rule(const struct rbac_rule *rule, bool cluster, struct am_buf *resource, struct am_buf *paths)
{
	bool urls = rule->n[RBAC_URLS] > 0;
	struct am_buf *out = urls ? paths : resource;

	if (urls && !cluster)
		return;
	am_buf_adds(out, out->data[out->len - 1] == '[' ? "{" : ",{");
	print_list(rule, RBAC_VERBS, true, out);
	for (int k = urls ? RBAC_URLS : RBAC_GROUPS; k <= (urls ? RBAC_URLS : RBAC_NAMES); k++)
		print_list(rule, (enum rbac_list)k, false, out);
	am_buf_addc(out, '}');
}

void
rest_rules_of(struct rest_server *server, const struct rest_user *user, const char *ns, struct am_buf *resource,
	      struct am_buf *non_resource)
{
	struct rest_rules rules;

	am_buf_addc(resource, '[');
	am_buf_addc(non_resource, '[');
	if (rest_user_in(user, REST_MASTERS)) {
		am_buf_adds(resource, "{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}");
		am_buf_adds(non_resource, "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}");
	}
	rest_rules_get(server, user, ns, &rules);
	for (size_t i = 0; i < rules.n; i++)
		for (size_t k = 0; k < rules.items[i].role->n; k++)
			print_rule(&rules.items[i].role->rules[k], rules.items[i].cluster, resource, non_resource);
	rest_rules_fini(&rules);
	am_buf_addc(resource, ']');
	am_buf_addc(non_resource, ']');
}
