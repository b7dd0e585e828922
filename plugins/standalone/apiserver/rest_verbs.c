/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs on resources: query parameters in, engine, answer out.  What a verb means is the engine's business; here
 * is only how HTTP says it.
 */
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/rest.h"

/* ---- parameters */

static const char *
options_kind(struct rest_call *call)
{
	if (strcmp(call->verb, "patch") == 0)
		return "PatchOptions";
	return strcmp(call->verb, "update") == 0 ? "UpdateOptions" : "CreateOptions";
}

static int
check_manager(struct rest_call *call, const char *manager)
{
	size_t at = 0;

	while (manager[at] != '\0' && (unsigned char)manager[at] >= ' ' && manager[at] != 0x7f)
		at++;
	if (strlen(manager) > 128)
		am_failure_cause(&call->failure, "FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes");
	if (manager[at] != '\0') {
		struct am_buf quoted = { 0 };
		am_json_add_str(&quoted, manager);
		am_failure_cause(&call->failure, "FieldValueInvalid", "fieldManager",
				 "Invalid value: %s: invalid character U+%04X (at position %zu)", am_buf_str(&quoted),
				 (unsigned char)manager[at], at);
		am_buf_fini(&quoted);
	}
	return call->failure.n_causes > 0 ? am_fail_invalid(&call->failure, options_kind(call), "meta.k8s.io", "") : 0;
}

static int
read_options(struct rest_call *call)
{
	const char *dry = am_http_query(call->http, "dryRun");
	const char *fields = rest_query(call, "fieldValidation");
	const char *manager = rest_query(call, "fieldManager");
	const char *include = rest_query(call, "includeObject");

	if (dry != NULL && *dry != '\0') {
		if (strcmp(dry, "All") != 0) {
			am_failure_cause(&call->failure, "FieldValueNotSupported", "dryRun",
					 "Unsupported value: \"%s\": supported values: \"All\"", dry);
			return am_fail_invalid(&call->failure, options_kind(call), "meta.k8s.io", "");
		}
		call->dry_run = true;
	}
	call->fields = AM_FIELDS_WARN;
	if (fields != NULL && strcmp(fields, "Strict") == 0) {
		call->fields = AM_FIELDS_STRICT;
	} else if (fields != NULL && strcmp(fields, "Ignore") == 0) {
		call->fields = AM_FIELDS_IGNORE;
	} else if (fields != NULL && strcmp(fields, "Warn") != 0) {
		am_failure_cause(&call->failure, "FieldValueNotSupported", "fieldValidation",
				 "Unsupported value: \"%s\": supported values: \"Ignore\", \"Strict\", \"Warn\"", fields);
		return am_fail_invalid(&call->failure, options_kind(call), "meta.k8s.io", "");
	}
	call->field_manager = manager;
	if (include != NULL)
		call->include_object = include;
	return manager != NULL ? check_manager(call, manager) : 0;
}

/* A whole number, or *ret as it was when there is none. */
static int
read_number(struct rest_call *call, const char *name, int64_t *ret)
{
	const char *text = rest_query(call, name);

	if (text != NULL && am_parse_i64(text, ret) < 0)
		return am_fail(&call->failure, 400, "BadRequest", "%s: \"%s\" is no whole number", name, text);
	return 0;
}

int
rest_list_query(struct rest_call *call, struct am_list_query *q, int64_t *seconds)
{
	const char *initial = rest_query(call, "sendInitialEvents");

	memset(q, 0, sizeof(*q));
	q->label_selector = rest_query(call, "labelSelector");
	q->field_selector = rest_query(call, "fieldSelector");
	q->resource_version = rest_query(call, "resourceVersion");
	q->resource_version_match = rest_query(call, "resourceVersionMatch");
	q->cont = rest_query(call, "continue");
	q->send_initial_events = initial == NULL ? -1 : rest_query_true(call, "sendInitialEvents");
	*seconds = 0;
	if (read_number(call, "limit", &q->limit) < 0 || read_number(call, "timeoutSeconds", seconds) < 0)
		return -AMBIENT_E_INVALID;
	q->limit = AM_MAX(q->limit, 0);
	return 0;
}

static const char *
plural_dot_group(struct rest_call *call)
{
	return *call->group != '\0' ? am_arena_printf(call->arena, "%s.%s", call->plural, call->group) : call->plural;
}

static void
not_allowed(struct rest_call *call)
{
	am_fail(&call->failure, 405, "MethodNotAllowed", "%s is not supported on resources of kind \"%s\"", call->verb,
		plural_dot_group(call));
	rest_answer_failure(call);
}

static void
no_such_subresource(struct rest_call *call)
{
	am_fail(&call->failure, 404, "NotFound", "the server could not find the requested resource");
	rest_answer_failure(call);
}

/* ---- reads */

static void
get_one(struct rest_call *call)
{
	struct am_object *object = am_engine_get(call->server->engine, call->res, call->ns, call->name,
						 rest_query(call, "resourceVersion"), &call->failure);

	if (object == NULL) {
		rest_answer_failure(call);
		return;
	}
	rest_answer_object(call, 200, object);
	am_object_unref(object);
}

static void
list_all(struct rest_call *call)
{
	struct am_list_query query;
	int64_t seconds;
	struct am_list list = { 0 };

	if (rest_list_query(call, &query, &seconds) < 0 ||
	    am_engine_list(call->server->engine, call->res, call->ns, &query, &list, &call->failure) < 0) {
		rest_answer_failure(call);
		return;
	}
	rest_answer_list(call, &list);
	am_list_fini(&list);
}

static void
get_scale(struct rest_call *call)
{
	struct am_buf body = { 0 };

	if (am_engine_scale(call->server->engine, call->res, call->ns, call->name, &body, &call->failure) < 0)
		rest_answer_failure(call);
	else
		rest_answer_json(call, 200, &body);
	am_buf_fini(&body);
}

/* ---- writes */

static void
answer_written(struct rest_call *call, struct am_written *written)
{
	for (size_t i = 0; i < written->n_warnings; i++)
		rest_add_warning(call, written->warnings[i]);
	if (written->scale != NULL) {
		struct am_buf body = { 0 };

		am_buf_adds(&body, written->scale);
		rest_answer_json(call, written->code, &body);
	} else {
		rest_answer_object(call, written->code, written->object);
	}
}

static bool
is_rbac(struct rest_call *call)
{
	return strcmp(call->group, "rbac.authorization.k8s.io") == 0;
}

/* The product of the User-Agent, printable: who writes when no field manager is given. */
static const char *
agent_of(struct rest_call *call)
{
	const char *text = am_http_header(call->http, "User-Agent");
	size_t n = 0;

	if (text == NULL)
		return NULL;
	char *agent = am_arena_strndup(call->arena, text, AM_MIN(strcspn(text, "/"), (size_t)128));
	for (const char *c = agent; c != NULL && *c != '\0'; c++)
		if (*c >= ' ' && *c <= '~')
			agent[n++] = *c;
	if (agent != NULL)
		agent[n] = '\0';
	return agent;
}

/* A PUT or an apply that makes the object is a create, and needs the right to it. */
static int
guard(void *arg, const struct am_node *old, const struct am_node *object, struct am_failure *failure)
{
	struct rest_call *call = arg;
	struct rest_access access = { .verb = "create", .group = call->group, .plural = call->plural, .ns = call->ns,
				      .name = call->name };

	int rc = old == NULL && strcmp(call->verb, "create") != 0 ? rest_require(call, &call->user, &access) : 0;

	return rc == 0 && is_rbac(call) ? rest_escalation_guard(arg, old, object, failure) : rc;
}

static void
write_object(struct rest_call *call, enum am_verb verb, enum am_patch_kind patch, struct am_slice body)
{
	struct am_write w = {
		.verb = verb,
		.res = call->res,
		.ns = call->ns,
		.name = call->name,
		.subresource = call->sub,
		.body = body,
		.patch = patch,
		.fields = call->fields,
		.dry_run = call->dry_run,
		.force = rest_query_true(call, "force"),
		.field_manager = call->field_manager,
		.agent = agent_of(call),
		.user = call->user.name,
	};
	struct am_written written = { 0 };

	if (is_rbac(call) || verb != AM_VERB_CREATE) {
		w.guard = guard;
		w.guard_arg = call;
	}
	if (am_engine_write(call->server->engine, &w, &written, &call->failure) < 0) {
		rest_answer_failure(call);
	} else {
		rest_token_written(call, written.object);
		answer_written(call, &written);
	}
	am_written_fini(&written);
}

static void
create_or_update(struct rest_call *call, enum am_verb verb)
{
	struct am_slice body;

	if (rest_negotiate_body(call, &body) < 0)
		rest_answer_failure(call);
	else
		write_object(call, verb, AM_PATCH_NONE, body);
}

static int
patch_kind(struct rest_call *call, enum am_patch_kind *ret)
{
	static const struct {
		const char *type;
		enum am_patch_kind kind;
	} kinds[] = {
		{ "application/json-patch+json", AM_PATCH_JSON },
		{ "application/merge-patch+json", AM_PATCH_MERGE },
		{ "application/strategic-merge-patch+json", AM_PATCH_STRATEGIC },
		{ "application/apply-patch+yaml", AM_PATCH_APPLY },
	};
	const char *type = rest_content_type(call);
	bool custom = (call->res->flags & AM_RES_CUSTOM) != 0;

	for (size_t i = 0; i < AM_COUNTOF(kinds); i++)
		if (strcmp(kinds[i].type, type) == 0 && !(custom && kinds[i].kind == AM_PATCH_STRATEGIC)) {
			*ret = kinds[i].kind;
			return 0;
		}
	return am_fail(&call->failure, 415, "UnsupportedMediaType",
		       "the body of the request was in an unknown format - accepted media types include: "
		       "application/json-patch+json, application/merge-patch+json%s, application/apply-patch+yaml",
		       custom ? "" : ", application/strategic-merge-patch+json");
}

static void
patch_object(struct rest_call *call)
{
	enum am_patch_kind kind = AM_PATCH_NONE;

	if (patch_kind(call, &kind) < 0) {
		rest_answer_failure(call);
		return;
	}
	if (kind != AM_PATCH_APPLY && am_http_query(call->http, "force") != NULL) {
		am_failure_cause(&call->failure, "FieldValueForbidden", "force",
				 "Forbidden: may not be specified for non-apply patch");
		am_fail_invalid(&call->failure, "PatchOptions", "meta.k8s.io", "");
		rest_answer_failure(call);
		return;
	}
	struct am_slice body = am_http_body(call->http);

	if (kind == AM_PATCH_APPLY && rest_apply_body(call, &body) < 0)
		rest_answer_failure(call);
	else
		write_object(call, AM_VERB_PATCH, kind, body);
}

/* ---- deletes */

/* The options: the body when there is one, else the query. */
static int
delete_options(struct rest_call *call, struct am_delete_options *options)
{
	static const char *const names[] = { "propagationPolicy", "orphanDependents", "gracePeriodSeconds" };
	struct am_slice body = am_http_body(call->http);
	struct am_buf query = { 0 };

	memset(options, 0, sizeof(*options));
	options->grace = -1;
	if (body.n > 0 && rest_negotiate_body(call, &body) < 0)
		return -AMBIENT_E_INVALID;
	if (body.n == 0) {
		am_buf_adds(&query, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\"");
		for (size_t i = 0; i < AM_COUNTOF(names); i++) {
			const char *v = rest_query(call, names[i]);

			if (v == NULL)
				continue;
			am_json_addf(&query, ",%s:", names[i]);
			if (i == 0)
				am_json_add_str(&query, v);
			else if (i == 1)
				am_buf_adds(&query, rest_query_true(call, names[i]) ? "true" : "false");
			else
				am_buf_adds(&query, strspn(v, "0123456789") == strlen(v) ? v : "\"\"");
		}
		if (call->dry_run)
			am_buf_adds(&query, ",\"dryRun\":[\"All\"]");
		am_buf_addc(&query, '}');
		body = am_slice(am_buf_str(&query), query.len);
	}
	int rc = am_delete_options_parse(call->arena, body, options, &call->failure);

	am_buf_fini(&query);
	options->user = call->user.name;
	if (options->dry_run)
		call->dry_run = true;
	return rc;
}

/* Kinds that answer with the deleted object; the others with a Status. */
static bool
answers_with_object(const struct am_resource *res)
{
	static const char *const plurals[] = { "pods", "namespaces", "services", "serviceaccounts",
					       "persistentvolumeclaims", "resourcequotas", NULL };

	for (size_t i = 0; *res->group == '\0' && plurals[i] != NULL; i++)
		if (strcmp(res->plural, plurals[i]) == 0)
			return true;
	return false;
}

static void
answer_deleted(struct rest_call *call, const struct am_written *written)
{
	struct am_buf body = { 0 };

	for (size_t i = 0; i < written->n_warnings; i++)
		rest_add_warning(call, written->warnings[i]);
	if (!written->gone || answers_with_object(call->res)) {
		rest_answer_object(call, written->code, written->object);
		return;
	}
	am_json_addf(&body, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\","
			    "\"details\":{\"name\":%s",
		     written->object->name);
	if (*call->group != '\0')
		am_json_addf(&body, ",\"group\":%s", call->group);
	am_json_addf(&body, ",\"kind\":%s,\"uid\":%s}}", call->plural, written->object->uid);
	rest_answer_json(call, 200, &body);
}

static void
delete_one(struct rest_call *call)
{
	struct am_delete_options options;
	struct am_written written = { 0 };

	if (delete_options(call, &options) < 0 ||
	    am_engine_delete(call->server->engine, call->res, call->ns, call->name, &options, &written,
			     &call->failure) < 0)
		rest_answer_failure(call);
	else
		answer_deleted(call, &written);
	am_written_fini(&written);
}

static void
delete_many(struct rest_call *call)
{
	struct am_delete_options options;
	struct am_list_query query;
	int64_t seconds;
	struct am_list deleted = { .remaining = -1 };

	if ((call->res->flags & AM_RES_NO_DELETECOLLECTION) != 0) {
		not_allowed(call);
		return;
	}
	if (rest_list_query(call, &query, &seconds) < 0 || delete_options(call, &options) < 0 ||
	    am_engine_delete_collection(call->server->engine, call->res, call->ns, &query, &options, &deleted,
					&call->failure) < 0)
		rest_answer_failure(call);
	else
		rest_answer_list(call, &deleted);
	am_list_fini(&deleted);
}

/* ---- dispatch */

/* Unknown fields of what is not stored: taken out, and told or refused as fieldValidation asks. */
static int
judge_unknown(struct rest_call *call, const char *kind, const char *api_version, struct am_node *node)
{
	struct am_buf unknown = { .max = 16 << 10 };
	const char *how = rest_query(call, "fieldValidation");
	char *save = NULL;
	int rc = 0;

	am_unknown_builtin(api_version, kind, node, &unknown);
	if (unknown.len > 0 && am_streq(how, "Strict")) {
		am_buf_cut(&unknown, unknown.len - 1);
		for (char *p = unknown.data; (p = strchr(p, '\n')) != NULL;)
			*p = ';';
		rc = am_fail(&call->failure, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
			     kind, api_version, kind, unknown.data);
	} else if (unknown.len > 0 && !am_streq(how, "Ignore")) {
		for (char *p = strtok_r(unknown.data, "\n", &save); p != NULL; p = strtok_r(NULL, "\n", &save))
			rest_add_warning(call, p);
	}
	am_buf_fini(&unknown);
	return rc;
}

/* A create of what is not stored: reviews and tokens. */
static void
create_unstored(struct rest_call *call, const char *kind, const char *api_version,
		void (*create)(struct rest_call *call, const struct am_node *body))
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_slice body;
	struct am_node *node;

	if (strcmp(call->verb, "create") != 0) {
		not_allowed(call);
		return;
	}
	if (rest_negotiate_answer(call, false) < 0 || rest_negotiate_body(call, &body) < 0) {
		rest_answer_failure(call);
		return;
	}
	node = am_node_parse(call->arena, body.p, body.n, &err);
	if (node == NULL || node->type != AMBIENT_T_OBJECT) {
		am_fail(&call->failure, 400, "BadRequest", "the body is no object: %s", err.message);
		rest_answer_failure(call);
		return;
	}
	const char *got_kind = am_node_get_str(node, "kind", kind);
	const char *got_version = am_node_get_str(node, "apiVersion", api_version);

	if (strcmp(got_kind, kind) != 0 || strcmp(got_version, api_version) != 0) {
		am_fail(&call->failure, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s in version \"%s\"",
			got_kind, got_version, kind, api_version);
		rest_answer_failure(call);
		return;
	}
	if (am_builtin_types(call->arena, api_version, kind, node, false, &call->failure) < 0 ||
	    judge_unknown(call, kind, api_version, node) < 0)
		rest_answer_failure(call);
	else
		create(call, node);
}

/* What is there to be refused in words of our own. */
static void
not_implemented(struct rest_call *call)
{
	am_fail(&call->failure, 501, "NotImplemented", "%s is not implemented by the standalone server", call->sub);
	rest_answer_failure(call);
}

/* Subresources with code of their own; true when it was one. */
static bool
special_subresource(struct rest_call *call)
{
	static const char *const absent[] = { "ephemeralcontainers", "resize", "binding", NULL };
	bool core = *call->group == '\0';

	if (call->sub == NULL || !core)
		return false;
	if (strcmp(call->plural, "pods") == 0) {
		if (strcmp(call->sub, "log") == 0 && strcmp(call->verb, "get") == 0) {
			rest_logs(call);
			return true;
		}
		if (rest_is_connect(call)) {
			if (strcmp(call->verb, "get") == 0 || strcmp(call->verb, "create") == 0)
				rest_connect(call);
			else
				not_allowed(call);
			return true;
		}
		if (call->proxied.p != NULL) {
			rest_proxy(call);
			return true;
		}
		for (size_t i = 0; absent[i] != NULL; i++)
			if (strcmp(call->sub, absent[i]) == 0) {
				not_implemented(call);
				return true;
			}
	}
	if (strcmp(call->plural, "pods") == 0 && strcmp(call->sub, "eviction") == 0 && strcmp(call->verb, "create") == 0) {
		create_unstored(call, "Eviction", "policy/v1", rest_evict);
		return true;
	}
	if (strcmp(call->plural, "serviceaccounts") == 0 && strcmp(call->sub, "token") == 0) {
		create_unstored(call, "TokenRequest", "authentication.k8s.io/v1", rest_token_create);
		return true;
	}
	return false;
}

/* Is the subresource one that the engine serves? */
static bool
known_subresource(struct rest_call *call)
{
	if (call->sub == NULL)
		return true;
	if (strcmp(call->sub, "status") == 0)
		return (call->res->flags & AM_RES_STATUS) != 0;
	if (strcmp(call->sub, "scale") == 0)
		return (call->res->flags & AM_RES_SCALE) != 0;
	return strcmp(call->sub, "finalize") == 0 && strcmp(call->plural, "namespaces") == 0 && *call->group == '\0';
}

static void
stored_verb(struct rest_call *call)
{
	const char *verb = call->verb;
	bool named = call->name != NULL;

	if (strcmp(verb, "get") == 0 && call->sub != NULL && strcmp(call->sub, "scale") == 0)
		get_scale(call);
	else if (strcmp(verb, "get") == 0)
		get_one(call);
	else if (strcmp(verb, "list") == 0)
		list_all(call);
	else if (strcmp(verb, "watch") == 0 && call->sub == NULL)
		rest_watch(call);
	else if (strcmp(verb, "create") == 0 && !named)
		create_or_update(call, AM_VERB_CREATE);
	else if (strcmp(verb, "update") == 0 && named)
		create_or_update(call, AM_VERB_UPDATE);
	else if (strcmp(verb, "patch") == 0 && named)
		patch_object(call);
	else if (strcmp(verb, "delete") == 0 && call->sub == NULL)
		delete_one(call);
	else if (strcmp(verb, "deletecollection") == 0 && call->sub == NULL)
		delete_many(call);
	else
		not_allowed(call);
}

void
rest_verb(struct rest_call *call)
{
	const struct rest_virtual *v = rest_virtual_find(call->group, call->version, call->plural);

	if (v != NULL) {
		if (call->name != NULL)
			not_allowed(call);
		else
			create_unstored(call, v->kind, rest_api_version(call, v->group, v->version), v->create);
		return;
	}
	/* A namespaced resource has no object on the cluster path, a cluster-scoped one none in a namespace. */
	bool namespaced = (call->res->flags & AM_RES_NAMESPACED) != 0;

	if ((!namespaced && call->ns != NULL) || (namespaced && call->ns == NULL && call->name != NULL)) {
		no_such_subresource(call);
		return;
	}
	if (namespaced && call->ns == NULL && strcmp(call->verb, "create") == 0) {
		not_allowed(call);
		return;
	}
	if (special_subresource(call))
		return;
	if (!known_subresource(call)) {
		no_such_subresource(call);
		return;
	}
	if (rest_negotiate_answer(call, true) < 0 || read_options(call) < 0)
		rest_answer_failure(call);
	else
		stored_verb(call);
}
