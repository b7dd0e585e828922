/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roles and bindings that every cluster has.  At each start what is missing is made, and rules, labels and
 * subjects that somebody took away are given back; what somebody added stays.  The annotation
 * rbac.authorization.kubernetes.io/autoupdate: "false" leaves an object alone.
 *
 * admin, edit and view have no rules of their own: they aggregate others by label, so that a kind that is added
 * later can say who may use it.
 */
#include "plugins/standalone/apiserver/rbac.h"

#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define AGGREGATE  RBAC_GROUP "/aggregate-to-"

#define RULE(groups, resources, verbs) "{\"apiGroups\":[" groups "],\"resources\":[" resources "],\"verbs\":[" verbs "]}"
#define READ    "\"get\",\"list\",\"watch\""
#define WRITE   "\"create\",\"delete\",\"deletecollection\",\"patch\",\"update\""
#define CORE    "\"\""
#define KINDS   "\"configmaps\",\"persistentvolumeclaims\",\"pods\",\"serviceaccounts\",\"services\""
#define STATUS  "\"events\",\"limitranges\",\"namespaces\",\"namespaces/status\",\"persistentvolumeclaims/status\"," \
		"\"pods/log\",\"pods/status\",\"resourcequotas\",\"resourcequotas/status\",\"services/status\""
#define INSIDE  "\"pods/attach\",\"pods/exec\",\"pods/portforward\",\"pods/proxy\""
#define REVIEWS RULE("\"authorization.k8s.io\"", "\"localsubjectaccessreviews\"", "\"create\"")
#define GROUP(name) "{\"apiGroup\":\"" RBAC_GROUP "\",\"kind\":\"Group\",\"name\":\"" name "\"}"

static const struct {
	const char *name, *rules, *aggregates, *label; /* aggregates: selects by that label; label: is selected by it */
	const char *subjects;                          /* NULL: no binding */
} defaults[] = {
	{ "cluster-admin", RULE("\"*\"", "\"*\"", "\"*\"") ",{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}", NULL, NULL,
	  GROUP(REST_MASTERS) },
	{ "admin", "", "admin", NULL, NULL },
	{ "edit", "", "edit", "admin", NULL },
	{ "view", "", "view", "edit", NULL },
	{ "system:aggregate-to-admin",
	  REVIEWS "," RULE("\"" RBAC_GROUP "\"", "\"rolebindings\",\"roles\"", READ "," WRITE), NULL, "admin", NULL },
	{ "system:aggregate-to-edit",
	  RULE(CORE, INSIDE ",\"secrets\"", READ) "," RULE(CORE, "\"serviceaccounts\"", "\"impersonate\"") ","
	  RULE(CORE, KINDS ",\"secrets\"," INSIDE, WRITE) "," RULE(CORE, "\"pods/eviction\",\"serviceaccounts/token\"", "\"create\"") ","
	  RULE(CORE, "\"events\"", WRITE) "," RULE("\"batch\"", "\"cronjobs\",\"jobs\"", WRITE) ","
	  RULE("\"networking.k8s.io\"", "\"networkpolicies\"", WRITE) ","
	  RULE("\"coordination.k8s.io\"", "\"leases\"", READ "," WRITE), NULL, "edit", NULL },
	{ "system:aggregate-to-view",
	  RULE(CORE, KINDS, READ) "," RULE(CORE, STATUS, READ) "," RULE("\"events.k8s.io\"", "\"events\"", READ) ","
	  RULE("\"batch\"", "\"cronjobs\",\"cronjobs/status\",\"jobs\",\"jobs/status\"", READ) ","
	  RULE("\"networking.k8s.io\"", "\"networkpolicies\"", READ), NULL, "view", NULL },
	{ "ambient:aggregate-to-admin", RULE("\"vteam.ambient-code\"", "\"projectsettings\"", WRITE), NULL, "admin", NULL },
	{ "ambient:aggregate-to-edit", RULE("\"vteam.ambient-code\"", "\"agenticsessions\",\"rfeworkflows\"", WRITE), NULL,
	  "edit", NULL },
	{ "ambient:aggregate-to-view",
	  RULE("\"vteam.ambient-code\"", "\"agenticsessions\",\"projectsettings\",\"rfeworkflows\"", READ), NULL, "view", NULL },
	{ "system:discovery",
	  "{\"nonResourceURLs\":[\"/api\",\"/api/*\",\"/apis\",\"/apis/*\",\"/healthz\",\"/livez\",\"/openapi\","
	  "\"/openapi/*\",\"/readyz\",\"/version\",\"/version/\",\"/\",\"/standalone/limits\"],\"verbs\":[\"get\"]}",
	  NULL, NULL, GROUP("system:authenticated") },
	{ "system:public-info-viewer",
	  "{\"nonResourceURLs\":[\"/healthz\",\"/livez\",\"/readyz\",\"/version\",\"/version/\"],\"verbs\":[\"get\"]}", NULL,
	  NULL, GROUP("system:authenticated") "," GROUP("system:unauthenticated") },
	{ "system:basic-user",
	  RULE("\"authorization.k8s.io\"", "\"selfsubjectaccessreviews\",\"selfsubjectrulesreviews\"", "\"create\"") ","
	  RULE("\"authentication.k8s.io\"", "\"selfsubjectreviews\"", "\"create\""), NULL, NULL,
	  GROUP("system:authenticated") },
	{ "system:service-account-issuer-discovery",
	  "{\"nonResourceURLs\":[\"/.well-known/openid-configuration\",\"/.well-known/openid-configuration/\","
	  "\"/openid/v1/jwks\",\"/openid/v1/jwks/\"],\"verbs\":[\"get\"]}", NULL, NULL,
	  GROUP("system:serviceaccounts") },
	/* For whoever runs a reviewer or a metrics collector; bound to nobody. */
	{ "system:auth-delegator",
	  RULE("\"authentication.k8s.io\"", "\"tokenreviews\"", "\"create\"") ","
	  RULE("\"authorization.k8s.io\"", "\"subjectaccessreviews\"", "\"create\""), NULL, NULL, NULL },
	{ "system:monitoring",
	  "{\"nonResourceURLs\":[\"/healthz\",\"/healthz/*\",\"/livez\",\"/livez/*\",\"/metrics\",\"/readyz\",\"/readyz/*\"],"
	  "\"verbs\":[\"get\"]}", NULL, NULL, GROUP("system:monitoring") },
};

/* Appends to have what want has more; true when something was added. */
static bool
add_missing(struct am_arena *arena, struct am_node *object, const char *member, const struct am_node *want)
{
	const struct am_node *all = am_node_get(want, member);
	struct am_node *have = am_node_get(object, member);
	bool changed = false;

	for (const struct am_node *w = all != NULL ? all->first : NULL; w != NULL; w = w->next) {
		const struct am_node *h = have != NULL ? have->first : NULL;

		while (h != NULL && !am_node_equal(h, w))
			h = h->next;
		if (h != NULL)
			continue;
		if (have == NULL || have->type != AMBIENT_T_ARRAY) {
			am_node_set(arena, object, member, am_node_array(arena));
			have = am_node_get(object, member);
		}
		am_node_append(have, am_node_clone(arena, w));
		changed = true;
	}
	return changed;
}

static bool
add_members(struct am_arena *arena, struct am_node *metadata, const char *member, const struct am_node *want)
{
	const struct am_node *all = am_node_get(want, member);
	struct am_node *have = am_node_get(metadata, member);
	bool changed = false;

	if (have == NULL) {
		am_node_set(arena, metadata, member, am_node_object(arena));
		have = am_node_get(metadata, member);
	}
	for (const struct am_node *w = all != NULL ? all->first : NULL; w != NULL; w = w->next)
		if (am_node_get(have, w->key) == NULL) {
			am_node_set(arena, have, w->key, am_node_clone(arena, w));
			changed = true;
		}
	return changed;
}

/* What is there, with what it lacks; NULL when it lacks nothing or wants to be left alone. */
static struct am_node *
completed(struct am_arena *arena, const struct am_object *there, const struct am_node *want, struct ambient_error *err)
{
	struct am_node *object = am_node_parse(arena, there->body, there->len, err);
	struct am_node *metadata = am_node_get(object, "metadata");
	const struct am_node *rule = am_node_get(want, "aggregationRule");
	bool changed;

	if (object == NULL ||
	    strcmp(am_node_get_str(am_node_get(metadata, "annotations"), AUTOUPDATE, ""), "false") == 0)
		return NULL;
	changed = add_missing(arena, object, "rules", want);
	changed = add_missing(arena, object, "subjects", want) || changed;
	changed = add_members(arena, metadata, "labels", am_node_get(want, "metadata")) || changed;
	changed = add_members(arena, metadata, "annotations", am_node_get(want, "metadata")) || changed;
	if (rule != NULL && am_node_get(object, "aggregationRule") == NULL) {
		am_node_set(arena, object, "aggregationRule", am_node_clone(arena, rule));
		changed = true;
	}
	return changed ? object : NULL;
}

/* Another roleRef cannot be written over this one: the binding is made anew. */
static int
drop_foreign(struct rest_server *server, const struct am_resource *res, struct am_object **there,
	     const struct am_node *want, struct am_failure *failure)
{
	const struct am_delete_options options = { .grace = -1, .user = REST_MASTERS };
	am_auto(am_freep) char *role = *there != NULL ? am_json_dup(am_object_text(*there), "/roleRef/name") : NULL;
	struct am_written written = { 0 };

	if (role == NULL || strcmp(role, am_node_get_str(am_node_get(want, "roleRef"), "name", "")) == 0)
		return 0;
	int rc = am_engine_delete(server->engine, res, NULL, (*there)->name, &options, &written, failure);

	am_written_fini(&written);
	am_object_unref(*there);
	*there = NULL;
	return rc;
}

static int
reconcile(struct rest_server *server, const char *plural, const char *name, struct am_buf *body,
	  struct ambient_error *err)
{
	struct am_arena *arena = am_arena_new();
	const struct am_resource *res = am_engine_resource(server->engine, RBAC_GROUP, "v1", plural);
	struct am_object *there = am_engine_peek(server->engine, RBAC_GROUP, plural, NULL, name);
	struct am_node *want = am_node_parse(arena, am_buf_str(body), body->len, err), *object = NULL;
	struct am_failure failure = { 0 };
	struct am_written written = { 0 };
	int rc = want == NULL || res == NULL ? -AMBIENT_E_INTERNAL : drop_foreign(server, res, &there, want, &failure);

	if (rc == 0)
		object = there == NULL ? want : completed(arena, there, want, err);
	if (rc == 0 && object != NULL) {
		am_buf_reset(body);
		am_node_print(object, body);
		const struct am_write w = { .verb = there == NULL ? AM_VERB_CREATE : AM_VERB_UPDATE, .res = res,
					    .name = there == NULL ? NULL : name, .user = REST_MASTERS,
					    .body = am_slice(am_buf_str(body), body->len) };

		rc = am_engine_write(server->engine, &w, &written, &failure);
	}
	if (rc < 0)
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "cannot make the %s \"%s\": %s", plural, name,
				 failure.message != NULL ? failure.message : "not served");
	am_object_unref(there);
	am_resource_unref(res);
	am_written_fini(&written);
	am_failure_fini(&failure);
	am_arena_free(arena);
	am_buf_reset(body);
	return rc;
}

static void
add_head(struct am_buf *body, const char *kind, const char *name, const char *label)
{
	am_json_addf(body, "{\"kind\":%s,\"apiVersion\":\"" RBAC_GROUP "/v1\",\"metadata\":{\"name\":%s,\"annotations\":{\""
		     AUTOUPDATE "\":\"true\"},\"labels\":{\"kubernetes.io/bootstrapping\":\"rbac-defaults\"", kind, name);
	if (label != NULL)
		am_json_addf(body, ",\"" AGGREGATE "%j\":\"true\"", label);
	am_buf_adds(body, "}}");
}

int
rest_rbac_bootstrap(struct rest_server *server, struct ambient_error *err)
{
	struct am_buf body = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(defaults); i++) {
		const char *name = defaults[i].name;

		add_head(&body, "ClusterRole", name, defaults[i].label);
		if (defaults[i].aggregates != NULL)
			am_json_addf(&body, ",\"aggregationRule\":{\"clusterRoleSelectors\":[{\"matchLabels\":{\"" AGGREGATE
				     "%j\":\"true\"}}]}", defaults[i].aggregates);
		am_json_addf(&body, ",\"rules\":[%j]}", defaults[i].rules);
		rc = reconcile(server, "clusterroles", name, &body, err);
		if (rc < 0 || defaults[i].subjects == NULL)
			continue;
		add_head(&body, "ClusterRoleBinding", name, NULL);
		am_json_addf(&body, ",\"roleRef\":{\"apiGroup\":\"" RBAC_GROUP "\",\"kind\":\"ClusterRole\",\"name\":%s},"
			     "\"subjects\":[%j]}", name, defaults[i].subjects);
		rc = reconcile(server, "clusterrolebindings", name, &body, err);
	}
	am_buf_fini(&body);
	if (rc == 0)
		am_engine_aggregate(server->engine);
	return rc;
}
