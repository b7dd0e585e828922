/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From path and method to a resource, a name and a verb, then through authentication and authorization to the
 * code that answers.  The rules are those of Kubernetes' RequestInfo.
 */
#include "plugins/standalone/apiserver/rest.h"

#define PARTS_MAX 16

void
rest_refusal(void *self am_unused_, int status, const char *why, struct am_buf *body, const char **content_type)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 400, "BadRequest" }, { 413, "RequestEntityTooLarge" }, { 429, "TooManyRequests" },
		{ 503, "ServiceUnavailable" },
	};
	struct am_failure failure = { 0 };
	const char *reason = "InternalError";

	for (size_t i = 0; i < AM_COUNTOF(reasons); i++)
		if (reasons[i].status == status)
			reason = reasons[i].reason;
	if (status == 413)
		am_fail(&failure, status, reason, "Request entity too large: limit is %zu", REST_BODY_MAX);
	else
		am_fail(&failure, status, reason, "%s", why);
	if (status == 429)
		failure.retry_after = 1;
	am_failure_status(&failure, body);
	*content_type = "application/json";
	am_failure_fini(&failure);
}

const char *
rest_query(struct rest_call *call, const char *name)
{
	const char *v = am_http_query(call->http, name);

	return v != NULL && *v != '\0' ? v : NULL;
}

bool
rest_query_true(struct rest_call *call, const char *name)
{
	const char *v = am_http_query(call->http, name);

	return v != NULL && strcasecmp(v, "false") != 0 && strcmp(v, "0") != 0; /* Python writes "False" */
}

/* /api/v1/namespaces/NS/pods/NAME/proxy: what follows is the pod's own. */
static bool
is_proxy(const struct rest_call *call)
{
	static const char *const want[] = { "api", "v1", "namespaces", NULL, "pods", NULL, "proxy" };

	if (call->n_parts != AM_COUNTOF(want))
		return false;
	for (size_t i = 0; i < AM_COUNTOF(want); i++)
		if (want[i] != NULL && strcmp(want[i], call->parts[i]) != 0)
			return false;
	return true;
}

/* "/a/b//c/" -> "a", "b", "c".  A segment that does not unescape, or has a slash in it, fits nothing. */
static bool
split(struct rest_call *call)
{
	struct am_slice path = am_http_raw_path(call->http);
	size_t at = 0;

	call->parts = am_arena_zalloc(call->arena, (PARTS_MAX + 1) * sizeof(char *));
	if (call->parts == NULL)
		return false;
	while (at < path.n) {
		size_t end = at;
		struct am_buf part = { 0 };

		while (end < path.n && path.p[end] != '/')
			end++;
		if (end > at) {
			bool ok = call->n_parts < PARTS_MAX &&
				  am_http_unescape(am_slice(path.p + at, end - at), false, &part) &&
				  strchr(am_buf_str(&part), '/') == NULL && am_utf8_valid(part.data, part.len);

			if (ok)
				call->parts[call->n_parts++] = am_arena_strdup(call->arena, am_buf_str(&part));
			am_buf_fini(&part);
			if (!ok)
				return false;
		}
		at = end + 1;
		if (is_proxy(call)) {
			call->proxied = am_slice(path.p + end, path.n - end);
			break;
		}
	}
	return !am_arena_failed(call->arena);
}

static const char *
verb_of(const char *method)
{
	static const struct {
		const char *method, *verb;
	} verbs[] = {
		{ "GET", "get" },       { "HEAD", "get" },    { "POST", "create" },
		{ "PUT", "update" },    { "PATCH", "patch" }, { "DELETE", "delete" },
	};

	for (size_t i = 0; i < AM_COUNTOF(verbs); i++)
		if (strcmp(verbs[i].method, method) == 0)
			return verbs[i].verb;
	return NULL;
}

/* The name in fieldSelector=metadata.name=x, which lists and watches carry for authorization. */
static const char *
name_of_selector(struct rest_call *call)
{
	const char *s = rest_query(call, "fieldSelector");

	if (s == NULL || !am_starts(s, "metadata.name=") || strchr(s, ',') != NULL)
		return NULL;
	s += strlen("metadata.name=");
	return *s == '=' ? s + 1 : s;
}

/* Everything behind the version. */
static void
parse_resource(struct rest_call *call, const char *const *p, size_t n, const char *method)
{
	bool watch_path = false;

	call->verb = verb_of(method);
	if (n > 0 && strcmp(p[0], "watch") == 0) {
		watch_path = true;
		p++;
		n--;
	}
	if (n == 0)
		return;
	call->is_resource = true;
	if (strcmp(p[0], "namespaces") == 0 && n > 2 && strcmp(p[2], "status") != 0 && strcmp(p[2], "finalize") != 0) {
		call->ns = p[1];
		p += 2;
		n -= 2;
	} else if (strcmp(p[0], "namespaces") == 0 && n > 1) {
		call->ns = NULL;
	}
	call->plural = p[0];
	if (n > 1)
		call->name = p[1];
	if (n > 2)
		call->sub = p[2];
	if (n > 3)
		call->sub = am_arena_printf(call->arena, "%s/%s", p[2], p[3]);
	if (call->verb == NULL)
		return;
	if (strcmp(call->verb, "get") == 0) {
		if (watch_path || (call->name == NULL && rest_query_true(call, "watch")))
			call->verb = "watch";
		else if (call->name == NULL)
			call->verb = "list";
		if (call->name == NULL && strcmp(call->verb, "get") != 0)
			call->selected_name = name_of_selector(call);
	} else if (strcmp(call->verb, "delete") == 0 && call->name == NULL) {
		call->verb = "deletecollection";
	}
}

static void
parse(struct rest_call *call)
{
	const char *const *p = (const char *const *)call->parts;
	const char *method = am_http_method(call->http);

	if (call->n_parts >= 3 && strcmp(p[0], "api") == 0) {
		call->group = "";
		call->version = p[1];
		parse_resource(call, p + 2, call->n_parts - 2, method);
	} else if (call->n_parts >= 4 && strcmp(p[0], "apis") == 0) {
		call->group = p[1];
		call->version = p[2];
		parse_resource(call, p + 3, call->n_parts - 3, method);
	} else {
		call->verb = verb_of(method);
		/* For RBAC the verb of a path is the method in lower case. */
		if (strcmp(method, "POST") == 0)
			call->verb = "post";
		else if (strcmp(method, "PUT") == 0)
			call->verb = "put";
	}
}

/* ---- paths that are no resources */

static void
answer_version(struct rest_call *call)
{
	struct am_buf body = { 0 };

	am_json_addf(&body,
		     "{\"major\":\"1\",\"minor\":\"32\",\"gitVersion\":%s,\"gitCommit\":\"\",\"gitTreeState\":\"clean\","
		     "\"buildDate\":\"1970-01-01T00:00:00Z\",\"goVersion\":\"none\",\"compiler\":\"cc\","
		     "\"platform\":\"linux/amd64\"}",
		     REST_VERSION);
	rest_answer_json(call, 200, &body);
}

static void
answer_health(struct rest_call *call)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const char *check = call->parts[0];
	bool excluded = am_streq(rest_query(call, "exclude"), "storage");
	bool ok = excluded || am_engine_healthy(call->server->engine, &err) == 0;
	struct am_buf body = { 0 };

	if (strcmp(check, "readyz") == 0 && atomic_load(&call->server->ready) == 0)
		ok = false;
	if (call->n_parts > 1 && strcmp(call->parts[1], "ping") != 0 && strcmp(call->parts[1], "storage") != 0) {
		rest_answer_not_found_path(call);
		return;
	}
	if (ok && (!rest_query_true(call, "verbose") || call->n_parts > 1)) {
		am_buf_adds(&body, "ok");
	} else {
		am_buf_adds(&body, "[+]ping ok\n");
		if (!excluded && err.code == 0)
			am_buf_adds(&body, "[+]storage ok\n");
		else if (!excluded)
			am_buf_addf(&body, "[-]storage failed: %s\n", err.code == AMBIENT_E_NOMEM ? err.message : "reason withheld");
		am_buf_addf(&body, "%s check %s\n", check, ok ? "passed" : "failed");
	}
	am_http_set_header(call->http, "Cache-Control", "no-cache, private");
	am_http_answer(call->http, ok ? 200 : 500, "text/plain; charset=utf-8", &body);
}

static void
answer_openid(struct rest_call *call)
{
	struct am_buf body = { 0 };
	bool v6 = strchr(call->server->address, ':') != NULL;

	am_json_addf(&body,
		     "{\"issuer\":%s,\"jwks_uri\":\"https://%j%j%j:%d/openid/v1/jwks\",\"response_types_supported\":"
		     "[\"id_token\"],\"subject_types_supported\":[\"public\"],"
		     "\"id_token_signing_alg_values_supported\":[\"ES256\"]}",
		     REST_AUDIENCE, v6 ? "[" : "", call->server->address, v6 ? "]" : "", (int)call->server->port);
	am_http_answer(call->http, 200, "application/json", &body);
}

static void
answer_jwks(struct rest_call *call)
{
	struct am_buf body = { 0 };

	if (call->n_parts != 3 || strcmp(call->parts[2], "jwks") != 0) {
		rest_answer_not_found_path(call);
		return;
	}
	rest_keys_jwks(call->server->keys, &body);
	am_http_answer(call->http, 200, "application/jwk-set+json", &body);
}

static const struct route {
	const char *first, *second;
	bool prefix;
	void (*answer)(struct rest_call *call);
} routes[] = {
	{ "version", NULL, false, answer_version },
	{ "healthz", NULL, true, answer_health },
	{ "livez", NULL, true, answer_health },
	{ "readyz", NULL, true, answer_health },
	{ "api", NULL, true, rest_discover },
	{ "apis", NULL, true, rest_discover },
	{ "openapi", NULL, true, rest_openapi },
	{ ".well-known", "openid-configuration", false, answer_openid },
	{ "openid", "v1", true, answer_jwks }, /* and nothing else below it */
	{ "standalone", "limits", false, rest_limits },
};

static const struct route *
find_route(struct rest_call *call)
{
	for (size_t i = 0; i < AM_COUNTOF(routes); i++) {
		const struct route *r = &routes[i];
		size_t n = r->second != NULL ? 2 : 1;

		if (call->n_parts < n || strcmp(call->parts[0], r->first) != 0 ||
		    (r->second != NULL && strcmp(call->parts[1], r->second) != 0) || (!r->prefix && call->n_parts > n))
			continue;
		return r;
	}
	return NULL;
}

/* "/": the paths there are. */
static void
answer_root(struct rest_call *call)
{
	struct am_buf body = { 0 };

	am_buf_adds(&body, "{\"paths\":[");
	for (size_t i = 0; i < AM_COUNTOF(routes); i++)
		am_buf_addf(&body, "%s\"/%s%s%s\"", i > 0 ? "," : "", routes[i].first,
			    routes[i].second != NULL ? "/" : "", routes[i].second != NULL ? routes[i].second : "");
	am_buf_adds(&body, "]}");
	rest_answer_json(call, 200, &body);
}

static void
serve_path(struct rest_call *call)
{
	const struct route *route = find_route(call);
	const char *method = am_http_method(call->http);

	if (route == NULL && call->n_parts > 0) {
		rest_answer_not_found_path(call);
	} else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		am_fail(&call->failure, 405, "MethodNotAllowed",
			"the server does not allow this method on the requested resource");
		rest_answer_failure(call);
	} else if (route == NULL) {
		answer_root(call);
	} else {
		route->answer(call);
	}
}

static void
serve_resource(struct rest_call *call)
{
	call->res = am_engine_resource(call->server->engine, call->group, call->version, call->plural);
	if (call->res != NULL && call->res->deprecation != NULL)
		rest_add_warning(call, call->res->deprecation);
	if (call->res != NULL || rest_virtual_find(call->group, call->version, call->plural) != NULL) {
		rest_verb(call);
		return;
	}
	/* A group-version that exists answers with a Status, any other path with plain text. */
	size_t n;
	const struct am_resource **all = am_engine_resources(call->server->engine, &n, NULL);
	bool known = false;

	for (size_t i = 0; i < n && !known; i++)
		known = strcmp(all[i]->group, call->group) == 0 && strcmp(all[i]->version, call->version) == 0;
	am_resources_free(all, n);
	if (!known) {
		rest_answer_not_found_path(call);
		return;
	}
	am_fail(&call->failure, 404, "NotFound", "the server could not find the requested resource");
	rest_answer_failure(call);
}

static void
serve(struct rest_call *call)
{
	if (!split(call)) {
		am_fail(&call->failure, 400, "BadRequest", "the path of the request is not well formed");
		rest_answer_failure(call);
		return;
	}
	parse(call);
	/* OPTIONS is no verb of the API's, and yet a pod's to answer: for who may do all. */
	if (call->verb == NULL && call->proxied.p != NULL && strcmp(am_http_method(call->http), "OPTIONS") == 0)
		call->verb = "";
	if (call->verb == NULL) {
		am_fail(&call->failure, 405, "MethodNotAllowed",
			"the server does not allow this method on the requested resource");
		rest_answer_failure(call);
		return;
	}
	bool may = rest_authenticate(call) == 0 && rest_check_origin(call) == 0 && rest_authorize(call) == 0;

	rest_audit_begin(call, may);
	if (!may) {
		rest_answer_failure(call);
		return;
	}
	if (call->is_resource)
		serve_resource(call);
	else
		serve_path(call);
}

void
rest_serve(void *self, struct am_http_request *request)
{
	struct rest_call call = { .server = self, .http = request, .include_object = "Metadata" };

	call.arena = am_arena_new_limited((size_t)96 << 20);
	call.path = am_http_path(request);
	rest_audit_id(&call);
	serve(&call);
	am_resource_unref(call.res);
	am_failure_fini(&call.failure);
	am_arena_free(call.arena);
}
