/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RBAC, evaluated on the objects as they are: for each binding whose subjects include the user, the rules of the role
 * that it names.  There is no cache to go stale; a namespace has few bindings, and the one who asks most, the daemon
 * itself, is in system:masters.  Also the guard against giving away what one does not have.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define RBAC "rbac.authorization.k8s.io"

/* ---- rules against an access */

/* Does the array of strings at pointer hold one that equals text, or "*"? */
static bool
list_has(struct am_slice object, const char *pointer, const char *text)
{
	struct am_slice array, v;

	if (!am_json_find(object, pointer, &array) || am_json_type(array) != AMBIENT_T_ARRAY)
		return false;
	for (size_t it = 0; am_json_element(array, &it, &v);)
		if (am_json_str_eq(v, text) || am_json_str_eq(v, "*"))
			return true;
	return false;
}

static bool
list_is_empty(struct am_slice object, const char *pointer)
{
	struct am_slice array;

	return !am_json_find(object, pointer, &array) || am_json_type(array) != AMBIENT_T_ARRAY ||
	       am_json_count(array) == 0;
}

/* The resource, resource/sub, any/sub, or everything. */
static bool
resource_fits(struct am_slice rule, const struct rest_access *a)
{
	char full[256], any[128];

	if (a->sub == NULL)
		return list_has(rule, "/resources", a->plural);
	(void)snprintf(full, sizeof(full), "%s/%s", a->plural, a->sub);
	(void)snprintf(any, sizeof(any), "*/%s", a->sub);
	return list_has(rule, "/resources", full) || list_has(rule, "/resources", any);
}

static bool
path_fits(struct am_slice rule, const char *path)
{
	struct am_slice array, v;
	bool fits = false;

	if (!am_json_find(rule, "/nonResourceURLs", &array) || am_json_type(array) != AMBIENT_T_ARRAY)
		return false;
	for (size_t it = 0; !fits && am_json_element(array, &it, &v);) {
		struct am_buf url = { 0 };

		if (am_json_type(v) == AMBIENT_T_STRING && am_json_unescape(v, &url)) {
			size_t n = url.len;

			fits = strcmp(am_buf_str(&url), path) == 0 ||
			       (n > 0 && url.data[n - 1] == '*' && strncmp(url.data, path, n - 1) == 0);
		}
		am_buf_fini(&url);
	}
	return fits;
}

static bool
rule_fits(struct am_slice rule, const struct rest_access *a)
{
	if (!list_has(rule, "/verbs", a->verb))
		return false;
	if (a->path != NULL)
		return path_fits(rule, a->path);
	return list_has(rule, "/apiGroups", a->group) && resource_fits(rule, a) &&
	       (list_is_empty(rule, "/resourceNames") ||
		(a->name != NULL && list_has(rule, "/resourceNames", a->name)));
}

/* ---- bindings */

static bool
subject_is(struct am_slice subject, const struct rest_user *user, const char *binding_ns)
{
	char *kind = am_json_dup(subject, "/kind"), *name = am_json_dup(subject, "/name");
	char *ns = am_json_dup(subject, "/namespace");
	bool ret = false;

	if (kind != NULL && name != NULL) {
		if (strcmp(kind, "User") == 0) {
			ret = strcmp(name, user->name) == 0;
		} else if (strcmp(kind, "Group") == 0) {
			ret = rest_user_in(user, name);
		} else if (strcmp(kind, "ServiceAccount") == 0) {
			const char *in = !am_empty(ns) ? ns : binding_ns;
			char *full = am_xasprintf("system:serviceaccount:%s:%s", in != NULL ? in : "", name);

			ret = in != NULL && strcmp(full, user->name) == 0;
			free(full);
		}
	}
	free(kind);
	free(name);
	free(ns);
	return ret;
}

static bool
binding_includes(const struct am_object *binding, const struct rest_user *user)
{
	struct am_slice subjects, s;

	if (!am_json_find(am_object_text(binding), "/subjects", &subjects) ||
	    am_json_type(subjects) != AMBIENT_T_ARRAY)
		return false;
	for (size_t it = 0; am_json_element(subjects, &it, &s);)
		if (subject_is(s, user, binding->ns))
			return true;
	return false;
}

/* The role that a roleRef names; NULL when there is none. */
static struct am_object *
role_of(struct rest_server *server, struct am_slice ref, const char *binding_ns)
{
	char *kind = am_json_dup(ref, "/kind"), *name = am_json_dup(ref, "/name");
	struct am_object *role = NULL;

	if (kind != NULL && name != NULL && strcmp(kind, "ClusterRole") == 0)
		role = am_engine_peek(server->engine, RBAC, "clusterroles", NULL, name);
	else if (kind != NULL && name != NULL && strcmp(kind, "Role") == 0 && !am_empty(binding_ns))
		role = am_engine_peek(server->engine, RBAC, "roles", binding_ns, name);
	free(kind);
	free(name);
	return role;
}

/* Calls fn for each rule that the user has (in ns, and everywhere), until it returns true. */
struct rule_visit {
	struct rest_server *server;
	const struct rest_user *user;
	bool (*fn)(void *arg, struct am_slice rule, bool cluster);
	void *arg;
};

static bool
visit_role(const struct rule_visit *v, const struct am_object *role, bool cluster)
{
	struct am_slice rules, rule;

	if (!am_json_find(am_object_text(role), "/rules", &rules) || am_json_type(rules) != AMBIENT_T_ARRAY)
		return false;
	for (size_t it = 0; am_json_element(rules, &it, &rule);)
		if (v->fn(v->arg, rule, cluster))
			return true;
	return false;
}

static bool
visit_bindings(const struct rule_visit *v, const char *plural, const char *ns)
{
	struct am_list list = { 0 };
	bool stop = false;

	am_engine_all(v->server->engine, RBAC, plural, ns, &list);
	for (size_t i = 0; i < list.n && !stop; i++) {
		struct am_object *role = NULL;
		struct am_slice ref;

		if (binding_includes(list.items[i], v->user) &&
		    am_json_find(am_object_text(list.items[i]), "/roleRef", &ref))
			role = role_of(v->server, ref, list.items[i]->ns);
		if (role != NULL)
			stop = visit_role(v, role, ns == NULL);
		am_object_unref(role);
	}
	am_list_fini(&list);
	return stop;
}

static bool
visit_rules(const struct rule_visit *v, const char *ns)
{
	return visit_bindings(v, "clusterrolebindings", NULL) ||
	       (!am_empty(ns) && visit_bindings(v, "rolebindings", ns));
}

struct allow {
	const struct rest_access *access;
};

static bool
allows(void *arg, struct am_slice rule, bool cluster)
{
	const struct rest_access *a = ((struct allow *)arg)->access;

	return (a->path == NULL || cluster) && rule_fits(rule, a);
}

bool
rest_allowed(struct rest_server *server, const struct rest_user *user, const struct rest_access *access)
{
	struct allow allow = { access };
	struct rule_visit v = { server, user, allows, &allow };

	return rest_user_in(user, REST_MASTERS) || visit_rules(&v, access->path == NULL ? access->ns : NULL);
}

/* ---- 403 */

int
rest_forbid(struct rest_call *call, const struct rest_user *user, const struct rest_access *a)
{
	const char *name = a->name != NULL ? a->name : "", *where;
	const char *full, *resource;

	if (a->path != NULL)
		return am_fail(&call->failure, 403, "Forbidden", "forbidden: User \"%s\" cannot %s path \"%s\"", user->name,
			       a->verb, a->path);
	full = *a->group != '\0' ? am_arena_printf(call->arena, "%s.%s", a->plural, a->group) : a->plural;
	resource = a->sub != NULL ? am_arena_printf(call->arena, "%s/%s", a->plural, a->sub) : a->plural;
	where = a->ns != NULL ? am_arena_printf(call->arena, " in the namespace \"%s\"", a->ns) : " at the cluster scope";
	am_fail(&call->failure, 403, "Forbidden",
		"%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\"%s", full,
		*name != '\0' ? " \"" : "", name, *name != '\0' ? "\"" : "", user->name, a->verb, resource, a->group, where);
	call->failure.kind = am_xstrdup(a->plural);
	call->failure.group = am_xstrdup(a->group);
	call->failure.name = *name != '\0' ? am_xstrdup(name) : NULL;
	return -AMBIENT_E_FORBIDDEN;
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
	return rest_allowed(call->server, &call->user, &a) ? 0 : rest_forbid(call, &call->user, &a);
}

/* ---- SelfSubjectRulesReview */

struct collect {
	struct am_buf *resource, *non_resource;
};

static void
copy_list(struct am_slice rule, const char *member, struct am_buf *out)
{
	struct am_slice v;
	char pointer[32];

	(void)snprintf(pointer, sizeof(pointer), "/%s", member);
	if (am_json_find(rule, pointer, &v)) {
		am_json_addf(out, "%j%s:", out->data[out->len - 1] == '{' ? "" : ",", member);
		am_buf_add(out, v.p, v.n);
	}
}

static bool
collect_rule(void *arg, struct am_slice rule, bool cluster)
{
	struct collect *c = arg;
	bool urls = !list_is_empty(rule, "/nonResourceURLs");
	struct am_buf *out = urls ? c->non_resource : c->resource;

	if (urls && !cluster)
		return false;
	am_buf_adds(out, out->data[out->len - 1] == '[' ? "{" : ",{");
	copy_list(rule, "verbs", out);
	copy_list(rule, urls ? "nonResourceURLs" : "apiGroups", out);
	if (!urls) {
		copy_list(rule, "resources", out);
		copy_list(rule, "resourceNames", out);
	}
	am_buf_addc(out, '}');
	return false;
}

void
rest_rules_of(struct rest_server *server, const struct rest_user *user, const char *ns, struct am_buf *resource,
	      struct am_buf *non_resource)
{
	struct collect c = { resource, non_resource };
	struct rule_visit v = { server, user, collect_rule, &c };

	am_buf_addc(resource, '[');
	am_buf_addc(non_resource, '[');
	if (rest_user_in(user, REST_MASTERS)) {
		am_buf_adds(resource, "{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"]}");
		am_buf_adds(non_resource, "{\"verbs\":[\"*\"],\"nonResourceURLs\":[\"*\"]}");
	}
	visit_rules(&v, ns);
	am_buf_addc(resource, ']');
	am_buf_addc(non_resource, ']');
}

/* ---- the guard: nobody grants more than he has */

/* Is each combination of the rule covered by what the user has?  Asked one by one, as rules are unions. */
static bool
covers_rule(struct rest_call *call, const struct am_node *rule, const char *ns)
{
	static const struct am_node none = { .text = NULL };
	const struct am_node *verbs = am_node_get(rule, "verbs"), *groups = am_node_get(rule, "apiGroups");
	const struct am_node *resources = am_node_get(rule, "resources"), *names = am_node_get(rule, "resourceNames");
	const struct am_node *urls = am_node_get(rule, "nonResourceURLs");

	for (const struct am_node *v = verbs != NULL ? verbs->first : NULL; v != NULL; v = v->next) {
		for (const struct am_node *u = urls != NULL ? urls->first : NULL; u != NULL; u = u->next) {
			struct rest_access a = { .verb = am_node_text(v, ""), .path = am_node_text(u, "") };

			if (!rest_allowed(call->server, &call->user, &a))
				return false;
		}
		for (const struct am_node *g = groups != NULL ? groups->first : NULL; g != NULL; g = g->next)
			for (const struct am_node *r = resources != NULL ? resources->first : NULL; r != NULL; r = r->next) {
				const struct am_node *n = names != NULL && names->first != NULL ? names->first : &none;

				for (; n != NULL; n = n->next) {
					char *plural = am_arena_strdup(call->arena, am_node_text(r, ""));
					char *slash = plural != NULL ? strchr(plural, '/') : NULL;
					struct rest_access a = { .verb = am_node_text(v, ""), .ns = ns,
								 .group = am_node_text(g, ""), .plural = plural,
								 .name = n == &none ? NULL : am_node_text(n, "") };

					if (slash != NULL) {
						*slash = '\0';
						a.sub = slash + 1;
					}
					if (plural == NULL || !rest_allowed(call->server, &call->user, &a))
						return false;
				}
			}
	}
	return true;
}

static int
attempt(struct rest_call *call, struct am_failure *failure, const char *name)
{
	am_fail(failure, 403, "Forbidden",
		"%s.%s \"%s\" is forbidden: user \"%s\" is attempting to grant RBAC permissions not currently held", call->plural,
		RBAC, name, call->user.name);
	failure->kind = am_xstrdup(call->plural);
	failure->group = am_xstrdup(RBAC);
	failure->name = am_xstrdup(name);
	return -AMBIENT_E_FORBIDDEN;
}

static bool
covers_rules(struct rest_call *call, const struct am_node *rules)
{
	for (const struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next)
		if (!covers_rule(call, r, call->ns))
			return false;
	return true;
}

int
rest_escalation_guard(void *arg, const struct am_node *old, const struct am_node *object, struct am_failure *failure)
{
	struct rest_call *call = arg;
	bool binding = am_ends(call->plural, "bindings");
	const char *name = am_node_text(am_node_path(object, "metadata", "name", NULL), "");
	struct rest_access a = { .verb = binding ? "bind" : "escalate", .group = RBAC, .ns = call->ns };
	const struct am_node *rules = am_node_get(object, "rules"), *ref = am_node_get(object, "roleRef");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool ok;

	if (rest_user_in(&call->user, REST_MASTERS))
		return 0;
	if (!binding) {
		if (old != NULL && rules != NULL && am_node_get(old, "rules") != NULL &&
		    am_node_equal(am_node_get(old, "rules"), rules))
			return 0;
		a.plural = call->plural;
		a.name = name;
		return rest_allowed(call->server, &call->user, &a) || covers_rules(call, rules)
			       ? 0 : attempt(call, failure, name);
	}
	if (old != NULL && ref != NULL && am_node_get(object, "subjects") != NULL && am_node_get(old, "subjects") != NULL &&
	    am_node_equal(am_node_get(old, "subjects"), am_node_get(object, "subjects")))
		return 0;
	a.plural = strcmp(am_node_get_str(ref, "kind", ""), "Role") == 0 ? "roles" : "clusterroles";
	a.name = am_node_get_str(ref, "name", "");
	if (rest_allowed(call->server, &call->user, &a))
		return 0;
	struct am_object *role = am_engine_peek(call->server->engine, RBAC, a.plural,
						strcmp(a.plural, "roles") == 0 ? call->ns : NULL, a.name);

	if (role == NULL) {
		am_fail(failure, 404, "NotFound", "%s.%s \"%s\" not found", a.plural, RBAC, a.name);
		return -AMBIENT_E_NOTFOUND;
	}
	const struct am_node *tree = am_node_parse(call->arena, role->body, role->len, &err);

	ok = tree != NULL && covers_rules(call, am_node_get(tree, "rules"));
	/* The tree borrows nothing from the object once it was parsed into the arena. */
	am_object_unref(role);
	return ok ? 0 : attempt(call, failure, name);
}

/* ---- what exists from the first start */

#define RULE(groups, resources, verbs) "{\"apiGroups\":[" groups "],\"resources\":[" resources "],\"verbs\":[" verbs "]}"
#define READ  "\"get\",\"list\",\"watch\""
#define WRITE "\"create\",\"delete\",\"deletecollection\",\"patch\",\"update\""
#define PLAIN "\"configmaps\",\"persistentvolumeclaims\",\"pods\",\"serviceaccounts\",\"services\""

static const struct {
	const char *name, *rules, *subjects; /* subjects NULL: no binding */
} defaults[] = {
	{ "cluster-admin", RULE("\"*\"", "\"*\"", "\"*\"") ",{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}",
	  "{\"apiGroup\":\"" RBAC "\",\"kind\":\"Group\",\"name\":\"" REST_MASTERS "\"}" },
	{ "admin",
	  RULE("\"\"", PLAIN ",\"secrets\",\"serviceaccounts/token\"", READ "," WRITE) ","
	  RULE("\"\"", "\"pods/log\",\"pods/status\",\"events\",\"namespaces\",\"resourcequotas\",\"limitranges\"", READ) ","
	  RULE("\"batch\"", "\"cronjobs\",\"jobs\"", READ "," WRITE) ","
	  RULE("\"" RBAC "\"", "\"roles\",\"rolebindings\"", READ "," WRITE), NULL },
	{ "edit",
	  RULE("\"\"", PLAIN ",\"secrets\"", READ "," WRITE) ","
	  RULE("\"\"", "\"pods/log\",\"pods/status\",\"events\",\"namespaces\"", READ) ","
	  RULE("\"batch\"", "\"cronjobs\",\"jobs\"", READ "," WRITE), NULL },
	{ "view",
	  RULE("\"\"", PLAIN ",\"pods/log\",\"pods/status\",\"events\",\"namespaces\"", READ) ","
	  RULE("\"batch\"", "\"cronjobs\",\"jobs\"", READ), NULL },
	{ "system:discovery",
	  "{\"nonResourceURLs\":[\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/healthz\",\"/livez\",\"/openapi\","
	  "\"/openapi/*\",\"/readyz\",\"/version\",\"/version/\",\"/\",\"/standalone/limits\","
	  "\"/.well-known/openid-configuration\",\"/openid/v1/jwks\"],\"verbs\":[\"get\"]}",
	  "{\"apiGroup\":\"" RBAC "\",\"kind\":\"Group\",\"name\":\"system:authenticated\"}" },
	{ "system:public-info-viewer",
	  "{\"nonResourceURLs\":[\"/healthz\",\"/livez\",\"/readyz\",\"/version\",\"/version/\"],\"verbs\":[\"get\"]}",
	  "{\"apiGroup\":\"" RBAC "\",\"kind\":\"Group\",\"name\":\"system:authenticated\"},"
	  "{\"apiGroup\":\"" RBAC "\",\"kind\":\"Group\",\"name\":\"system:unauthenticated\"}" },
	{ "system:basic-user",
	  RULE("\"authorization.k8s.io\"", "\"selfsubjectaccessreviews\",\"selfsubjectrulesreviews\"", "\"create\"") ","
	  RULE("\"authentication.k8s.io\"", "\"selfsubjectreviews\"", "\"create\""),
	  "{\"apiGroup\":\"" RBAC "\",\"kind\":\"Group\",\"name\":\"system:authenticated\"}" },
};

static int
make_default(struct rest_server *server, const char *plural, const char *name, struct am_buf *body,
	     struct ambient_error *err)
{
	struct am_object *there = am_engine_peek(server->engine, RBAC, plural, NULL, name);
	struct am_failure failure = { 0 };
	struct am_written written = { 0 };
	int rc = 0;

	if (there == NULL) {
		struct am_write w = { .verb = AM_VERB_CREATE, .user = REST_MASTERS,
				      .body = am_slice(am_buf_str(body), body->len) };

		w.res = am_engine_resource(server->engine, RBAC, "v1", plural);
		if (w.res == NULL)
			rc = ambient_err(err, AMBIENT_E_INTERNAL, "the engine does not serve %s", plural);
		else if (am_engine_write(server->engine, &w, &written, &failure) < 0)
			rc = ambient_err(err, AMBIENT_E_INTERNAL, "cannot make the %s \"%s\": %s", plural, name,
					 failure.message);
		am_resource_unref(w.res);
	}
	am_object_unref(there);
	am_written_fini(&written);
	am_failure_fini(&failure);
	am_buf_reset(body);
	return rc;
}

int
rest_rbac_bootstrap(struct rest_server *server, struct ambient_error *err)
{
	struct am_buf body = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(defaults); i++) {
		am_json_addf(&body,
			     "{\"kind\":\"ClusterRole\",\"apiVersion\":\"" RBAC "/v1\",\"metadata\":{\"name\":%s,\"labels\":"
			     "{\"kubernetes.io/bootstrapping\":\"rbac-defaults\"}},\"rules\":[%j]}",
			     defaults[i].name, defaults[i].rules);
		rc = make_default(server, "clusterroles", defaults[i].name, &body, err);
		if (rc < 0 || defaults[i].subjects == NULL)
			continue;
		am_json_addf(&body,
			     "{\"kind\":\"ClusterRoleBinding\",\"apiVersion\":\"" RBAC "/v1\",\"metadata\":{\"name\":%s,"
			     "\"labels\":{\"kubernetes.io/bootstrapping\":\"rbac-defaults\"}},\"roleRef\":{\"apiGroup\":"
			     "\"" RBAC "\",\"kind\":\"ClusterRole\",\"name\":%s},\"subjects\":[%j]}",
			     defaults[i].name, defaults[i].name, defaults[i].subjects);
		rc = make_default(server, "clusterrolebindings", defaults[i].name, &body, err);
	}
	am_buf_fini(&body);
	return rc;
}
