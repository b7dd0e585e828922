/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths of a document: for every kind what its verbs allow, with the query parameters that clients look for
 * before they send them (dryRun, fieldValidation), in the words of OpenAPI v2 or v3.
 */
#include <ctype.h>

#include "plugins/standalone/apiserver/openapi_priv.h"

#define LIST  "allowWatchBookmarks,continue,fieldSelector,labelSelector,limit,resourceVersion,resourceVersionMatch," \
	      "sendInitialEvents,timeoutSeconds,watch"
#define WRITE "dryRun,fieldManager,fieldValidation"
#define DELETE "dryRun,gracePeriodSeconds,orphanDependents,propagationPolicy"

enum where { EVERYWHERE, COLLECTION, ITEM, STATUS, SCALE };
enum body { NOTHING, KIND, PATCH, OPTIONS };
enum answer { A_KIND, A_LIST, A_STATUS, A_SCALE };

static const struct op {
	enum where where;
	const char *method, *action, *id, *parameters;
	enum body body;
	enum answer answer;
} ops[] = {
	{ EVERYWHERE, "get", "list", "list", LIST, NOTHING, A_LIST },
	{ COLLECTION, "get", "list", "list", LIST, NOTHING, A_LIST },
	{ COLLECTION, "post", "post", "create", WRITE, KIND, A_KIND },
	{ COLLECTION, "delete", "deletecollection", "deletecollection", DELETE "," LIST, OPTIONS, A_STATUS },
	{ ITEM, "get", "get", "read", "", NOTHING, A_KIND },
	{ ITEM, "put", "put", "replace", WRITE, KIND, A_KIND },
	{ ITEM, "patch", "patch", "patch", WRITE ",force", PATCH, A_KIND },
	{ ITEM, "delete", "delete", "delete", DELETE, OPTIONS, A_STATUS },
	{ STATUS, "get", "get", "read", "", NOTHING, A_KIND },
	{ STATUS, "put", "put", "replace", WRITE, KIND, A_KIND },
	{ STATUS, "patch", "patch", "patch", WRITE ",force", PATCH, A_KIND },
	{ SCALE, "get", "get", "read", "", NOTHING, A_SCALE },
	{ SCALE, "put", "put", "replace", WRITE, KIND, A_SCALE },
	{ SCALE, "patch", "patch", "patch", WRITE ",force", PATCH, A_SCALE },
};

static bool
has_place(const struct openapi_kind *k, enum where where)
{
	uint32_t flags = k->res != NULL ? k->res->flags : 0;

	switch (where) {
	case EVERYWHERE:
		return k->res != NULL && k->namespaced;
	case STATUS:
		return (flags & AM_RES_STATUS) != 0;
	case SCALE:
		return (flags & AM_RES_SCALE) != 0;
	case ITEM:
		return k->res != NULL;
	default:
		return true;
	}
}

static bool
allows(const struct openapi_kind *k, const struct op *op)
{
	if (k->res == NULL)
		return strcmp(op->action, "post") == 0;
	if (strcmp(op->action, "deletecollection") == 0)
		return (k->res->flags & (AM_RES_NO_DELETECOLLECTION | AM_RES_READ_DELETE)) == 0;
	if ((k->res->flags & AM_RES_READ_DELETE) != 0)
		return strcmp(op->method, "get") == 0 || strcmp(op->method, "delete") == 0;
	return true;
}

static const char *
type_of(const char *name, size_t n)
{
	static const struct {
		const char *name, *type;
	} types[] = {
		{ "allowWatchBookmarks", "boolean" }, { "force", "boolean" },  { "gracePeriodSeconds", "integer" },
		{ "limit", "integer" },               { "watch", "boolean" },  { "orphanDependents", "boolean" },
		{ "sendInitialEvents", "boolean" },   { "timeoutSeconds", "integer" },
	};

	for (size_t i = 0; i < AM_COUNTOF(types); i++)
		if (strlen(types[i].name) == n && strncmp(types[i].name, name, n) == 0)
			return types[i].type;
	return "string";
}

static void
add_parameter(const struct openapi_out *o, const char *name, size_t n, bool in_path)
{
	const char *type = type_of(name, n);

	am_buf_addf(o->out, "{\"name\":\"%.*s\",\"in\":\"%s\"", (int)n, name, in_path ? "path" : "query");
	am_buf_adds(o->out, in_path ? ",\"required\":true" : "");
	am_buf_addf(o->out, o->v3 ? ",\"schema\":{\"type\":\"%s\"}}" : ",\"type\":\"%s\"}", type);
}

/* listCoreV1NamespacedPod */
static void
add_operation_id(const struct openapi_out *o, const struct openapi_kind *k, const struct op *op)
{
	static const char *const suffixes[] = { "ForAllNamespaces", "", "", "Status", "Scale" };
	size_t n = strlen(k->group) - (am_ends(k->group, ".k8s.io") ? strlen(".k8s.io") : 0);
	bool capital = true;

	am_buf_addf(o->out, "\"operationId\":\"%s", op->id);
	am_buf_adds(o->out, n == 0 ? "Core" : "");
	for (size_t i = 0; i < n; i++) {
		char c = k->group[i];

		if (isalnum((unsigned char)c))
			am_buf_addc(o->out, capital ? (char)toupper((unsigned char)c) : c);
		capital = !isalnum((unsigned char)c);
	}
	am_buf_addf(o->out, "%c%s%s%s%s\"", toupper((unsigned char)k->version[0]), k->version + 1,
		    k->namespaced && op->where != EVERYWHERE ? "Namespaced" : "", k->kind, suffixes[op->where]);
}

static void
add_body_schema(const struct openapi_out *o, const struct openapi_kind *k, const struct op *op)
{
	if (op->body == PATCH)
		am_buf_adds(o->out, "{\"type\":\"object\"}");
	else if (op->body == OPTIONS)
		openapi_add_ref(o, "m.DeleteOptions");
	else if (op->where == SCALE)
		openapi_add_ref(o, "as.Scale");
	else
		openapi_add_kind_ref(o, k, false);
}

/* Media types of the body, of which v3 repeats the schema for each. */
static void
add_body(const struct openapi_out *o, const struct openapi_kind *k, const struct op *op)
{
	static const char *const patches[] = { "application/json-patch+json", "application/merge-patch+json",
					       "application/apply-patch+yaml", "application/strategic-merge-patch+json" };
	static const char *const plain[] = { "application/json", "application/yaml" };
	bool custom = k->res != NULL && (k->res->flags & AM_RES_CUSTOM) != 0;
	const char *const *types = op->body == PATCH ? patches : plain;
	size_t n = op->body == PATCH ? AM_COUNTOF(patches) - (custom ? 1 : 0) : AM_COUNTOF(plain);

	am_buf_adds(o->out, o->v3 ? ",\"requestBody\":{\"content\":{" : ",\"consumes\":[");
	for (size_t i = 0; i < n; i++) {
		am_buf_addf(o->out, "%s\"%s\"", i > 0 ? "," : "", types[i]);
		if (o->v3) {
			am_buf_adds(o->out, ":{\"schema\":");
			add_body_schema(o, k, op);
			am_buf_addc(o->out, '}');
		}
	}
	am_buf_adds(o->out, o->v3 ? "}}" : "]");
}

static void
add_answer(const struct openapi_out *o, const struct openapi_kind *k, const struct op *op)
{
	am_buf_addf(o->out, ",\"responses\":{\"%s\":{\"description\":\"OK\",%s",
		    strcmp(op->method, "post") == 0 ? "201" : "200",
		    o->v3 ? "\"content\":{\"application/json\":{\"schema\":" : "\"schema\":");
	if (op->answer == A_SCALE)
		openapi_add_ref(o, "as.Scale");
	else if (op->answer == A_STATUS)
		openapi_add_ref(o, "m.Status");
	else
		openapi_add_kind_ref(o, k, op->answer == A_LIST);
	am_buf_adds(o->out, o->v3 ? "}}}}" : "}}");
}

static void
add_operation(const struct openapi_out *o, const struct openapi_kind *k, const struct op *op)
{
	bool any = false;

	am_buf_addf(o->out, "\"%s\":{", op->method);
	add_operation_id(o, k, op);
	am_buf_adds(o->out, ",\"parameters\":[");
	for (const char *p = op->parameters; *p != '\0';) {
		size_t n = strcspn(p, ",");

		am_buf_adds(o->out, any ? "," : "");
		add_parameter(o, p, n, false);
		any = true;
		p += n + (p[n] == ',');
	}
	if (op->body != NOTHING && !o->v3) {
		am_buf_addf(o->out, "%s{\"name\":\"body\",\"in\":\"body\",\"schema\":", any ? "," : "");
		add_body_schema(o, k, op);
		am_buf_addc(o->out, '}');
	}
	am_buf_addc(o->out, ']');
	if (op->body != NOTHING)
		add_body(o, k, op);
	add_answer(o, k, op);
	am_json_addf(o->out, ",\"x-kubernetes-action\":%s,\"x-kubernetes-group-version-kind\":", op->action);
	if (op->where == SCALE)
		am_buf_adds(o->out, "{\"group\":\"autoscaling\",\"kind\":\"Scale\",\"version\":\"v1\"}");
	else
		openapi_add_gvk(o->out, k, k->kind);
	am_buf_addc(o->out, '}');
}

static void
add_path(const struct openapi_out *o, const struct openapi_kind *k, enum where where, bool *first)
{
	static const char *const tails[] = { "", "", "/{name}", "/{name}/status", "/{name}/scale" };
	bool in_namespace = k->namespaced && where != EVERYWHERE;

	if (!has_place(k, where))
		return;
	am_buf_addf(o->out, "%s\"/%s%s/%s/%s%s%s\":{\"parameters\":[", *first ? "" : ",", *k->group != '\0' ? "apis/" : "api",
		    k->group, k->version, in_namespace ? "namespaces/{namespace}/" : "", k->plural, tails[where]);
	*first = false;
	if (in_namespace)
		add_parameter(o, "namespace", strlen("namespace"), true);
	if (where >= ITEM) {
		am_buf_adds(o->out, in_namespace ? "," : "");
		add_parameter(o, "name", strlen("name"), true);
	}
	am_buf_addc(o->out, ']');
	for (size_t i = 0; i < AM_COUNTOF(ops); i++)
		if (ops[i].where == where && allows(k, &ops[i])) {
			am_buf_addc(o->out, ',');
			add_operation(o, k, &ops[i]);
		}
	am_buf_addc(o->out, '}');
}

void
openapi_add_paths(const struct openapi_out *o)
{
	bool first = true;

	for (size_t i = 0; i < o->kinds->n; i++)
		if (openapi_has(o, &o->kinds->kinds[i]))
			for (enum where where = EVERYWHERE; where <= SCALE; where++)
				add_path(o, &o->kinds->kinds[i], where, &first);
}
