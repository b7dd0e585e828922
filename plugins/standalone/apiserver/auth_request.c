/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tokens come from: POST serviceaccounts/NAME/token, and Secrets of type kubernetes.io/service-account-token, which
 * are filled after they (or their account) were written.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define TOKEN_LIFE  3600
#define TOKEN_LEAST 600
#define TOKEN_MOST  (INT64_C(1) << 32)
#define EXTENDABLE  3607 /* what kubelets ask for in behalf of programs that may not read their token again */
#define EXTENDED    (INT64_C(365) * 86400)
#define AUDIENCES   32
#define SECRET_TYPE "kubernetes.io/service-account-token"

static const char *const api_audiences[] = { REST_AUDIENCE, NULL };

/* ---- what a token is bound to */

static int
bind_not_found(struct rest_call *call, const char *plural, const char *name)
{
	am_fail(&call->failure, 404, "NotFound", "%s \"%s\" not found", plural, name);
	call->failure.kind = am_xstrdup(plural);
	call->failure.name = am_xstrdup(name);
	return -AMBIENT_E_NOTFOUND;
}

static int
bind_pod(struct rest_call *call, const struct am_object *pod, struct rest_token_claims *c)
{
	am_auto(am_freep) char *account = am_json_dup(am_object_text(pod), "/spec/serviceAccountName");
	am_auto(am_freep) char *node_name = am_json_dup(am_object_text(pod), "/spec/nodeName");

	if (!am_streq(account, call->name))
		return am_fail(&call->failure, 400, "BadRequest",
			       "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount name.",
			       call->name);
	if (am_empty(node_name))
		return 0;
	struct am_object *node = am_engine_peek(call->server->engine, "", "nodes", NULL, node_name);

	if (node != NULL)
		c->node = (struct rest_token_ref){ am_arena_strdup(call->arena, node_name),
						   am_arena_strdup(call->arena, node->uid) };
	am_object_unref(node);
	return 0;
}

static int
bind_to(struct rest_call *call, const struct am_node *ref, struct rest_token_claims *c)
{
	const struct {
		const char *kind, *plural, *ns;
		struct rest_token_ref *out;
	} kinds[] = { { "Pod", "pods", call->ns, &c->pod }, { "Secret", "secrets", call->ns, &c->secret },
		      { "Node", "nodes", NULL, &c->node } };
	const char *kind = am_node_get_str(ref, "kind", ""), *name = am_node_get_str(ref, "name", "");
	const char *version = am_node_get_str(ref, "apiVersion", ""), *uid = am_node_get_str(ref, "uid", "");
	size_t i = 0;

	while (i < AM_COUNTOF(kinds) && strcmp(kinds[i].kind, kind) != 0)
		i++;
	if (i == AM_COUNTOF(kinds) || strcmp(version, "v1") != 0)
		return am_fail(&call->failure, 400, "BadRequest", "cannot bind token to object of type %s, Kind=%s",
			       *version != '\0' ? version : "/", kind);
	struct am_object *object = am_engine_peek(call->server->engine, "", kinds[i].plural, kinds[i].ns, name);
	int rc = 0;

	if (object == NULL)
		return bind_not_found(call, kinds[i].plural, name);
	if (*uid != '\0' && strcmp(uid, object->uid) != 0)
		rc = am_fail(&call->failure, 409, "Conflict",
			     "Operation cannot be fulfilled on %s \"%s\": the UID in the bound object reference (%s) does not match "
			     "the UID in record. The object might have been deleted and then recreated", kinds[i].plural, name, uid);
	else if (strcmp(kind, "Pod") == 0)
		rc = bind_pod(call, object, c);
	*kinds[i].out = (struct rest_token_ref){ am_arena_strdup(call->arena, object->name),
						 am_arena_strdup(call->arena, object->uid) };
	c->bound_kind = kinds[i].kind;
	am_object_unref(object);
	return rc;
}

/* ---- POST serviceaccounts/NAME/token */

static int
invalid(struct rest_call *call)
{
	return am_fail_invalid(&call->failure, "TokenRequest", "authentication.k8s.io", call->name);
}

static int
read_audiences(struct rest_call *call, const struct am_node *audiences, struct rest_token_claims *c)
{
	size_t i = 0;

	c->audiences = api_audiences;
	if (audiences == NULL || audiences->type != AMBIENT_T_ARRAY || audiences->count == 0)
		return 0;
	if (audiences->count > AUDIENCES) {
		am_failure_cause(&call->failure, "FieldValueTooMany", "spec.audiences",
				 "Too many: %u: must have at most %d items", audiences->count, AUDIENCES);
		return invalid(call);
	}
	const char **copy = am_arena_zalloc(call->arena, (audiences->count + 1) * sizeof(char *));

	for (const struct am_node *a = audiences->first; copy != NULL && a != NULL; a = a->next)
		copy[i++] = am_node_text(a, "");
	if (copy != NULL)
		c->audiences = copy;
	return 0;
}

static bool
is_api_audience(const char *const *audiences)
{
	for (size_t i = 0; audiences[i] != NULL; i++)
		if (strcmp(audiences[i], REST_AUDIENCE) == 0)
			return true;
	return false;
}

/* When it ends, and what the answer says about that. */
static int
read_expiry(struct rest_call *call, const struct am_node *spec, struct rest_token_claims *c, int64_t *ret_seconds)
{
	int64_t seconds = TOKEN_LIFE, most = call->server->token_life_max / AM_NS_PER_S;

	(void)am_node_get_int(spec, "expirationSeconds", &seconds);
	if (seconds < TOKEN_LEAST || seconds > TOKEN_MOST) {
		am_failure_cause(&call->failure, "FieldValueInvalid", "spec.expirationSeconds",
				 "Invalid value: %lld: may not specify a duration %s", (long long)seconds,
				 seconds < TOKEN_LEAST ? "less than 10 minutes" : "larger than 2^32 seconds");
		return invalid(call);
	}
	if (most > 0 && seconds > most) {
		rest_add_warning(call, am_arena_printf(call->arena, "requested expiration of %lld seconds shortened to %lld seconds",
						       (long long)seconds, (long long)most));
		seconds = most;
	}
	*ret_seconds = seconds;
	c->expires = c->issued + seconds;
	if (call->server->token_extend && seconds == EXTENDABLE && c->pod.name != NULL && is_api_audience(c->audiences)) {
		c->warn_after = c->expires;
		c->expires = c->issued + EXTENDED;
	}
	return 0;
}

static int
read_request(struct rest_call *call, const struct am_node *body, struct rest_token_claims *c, int64_t *ret_seconds)
{
	const struct am_node *spec = am_node_get(body, "spec"), *ref = am_node_get(spec, "boundObjectRef");
	const struct am_node *metadata = am_node_get(body, "metadata");
	const char *dry = am_http_query(call->http, "dryRun");

	/* Nothing is stored anyway; but a misspelt wish is told. */
	if (!am_empty(dry) && strcmp(dry, "All") != 0) {
		am_failure_cause(&call->failure, "FieldValueNotSupported", "dryRun",
				 "Unsupported value: \"%.100s\": supported values: \"All\"", dry);
		return am_fail_invalid(&call->failure, "CreateOptions", "meta.k8s.io", "");
	}
	if (!am_empty(am_node_get_str(metadata, "name", NULL)) &&
	    strcmp(am_node_get_str(metadata, "name", ""), call->name) != 0)
		return am_fail(&call->failure, 400, "BadRequest",
			       "the name of the object (%s) does not match the name on the URL (%s)",
			       am_node_get_str(metadata, "name", ""), call->name);
	if (!am_empty(am_node_get_str(metadata, "namespace", NULL)) &&
	    strcmp(am_node_get_str(metadata, "namespace", ""), call->ns) != 0)
		return am_fail(&call->failure, 400, "BadRequest",
			       "the namespace of the provided object does not match the namespace sent on the request");
	int rc = read_audiences(call, am_node_get(spec, "audiences"), c);

	if (rc == 0 && ref != NULL && ref->type == AMBIENT_T_OBJECT)
		rc = bind_to(call, ref, c);
	return rc == 0 ? read_expiry(call, spec, c, ret_seconds) : rc;
}

static void
answer_request(struct rest_call *call, const struct rest_token_claims *c, int64_t seconds, const struct am_buf *token)
{
	struct am_buf answer = { 0 };
	char issued[32], expires[32];
	const struct rest_token_ref *ref = c->bound_kind == NULL ? NULL : c->bound_kind[0] == 'P' ? &c->pod
					   : c->bound_kind[0] == 'S' ? &c->secret : &c->node;

	am_time_format(issued, c->issued * AM_NS_PER_S, false);
	am_time_format(expires, (c->issued + seconds) * AM_NS_PER_S, false);
	am_json_addf(&answer,
		     "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"metadata\":{\"name\":%s,"
		     "\"namespace\":%s,\"creationTimestamp\":%s},\"spec\":{\"audiences\":[",
		     call->name, call->ns, issued);
	for (size_t i = 0; c->audiences[i] != NULL; i++)
		am_json_addf(&answer, "%j%s", i > 0 ? "," : "", c->audiences[i]);
	am_json_addf(&answer, "],\"expirationSeconds\":%l,\"boundObjectRef\":", seconds);
	if (ref != NULL)
		am_json_addf(&answer, "{\"kind\":%s,\"apiVersion\":\"v1\",\"name\":%s,\"uid\":%s}", c->bound_kind, ref->name, ref->uid);
	else
		am_buf_adds(&answer, "null");
	am_json_addf(&answer, "},\"status\":{\"token\":%s,\"expirationTimestamp\":%s}}", am_buf_str(token), expires);
	rest_answer_json(call, 201, &answer);
}

void
rest_token_create(struct rest_call *call, const struct am_node *body)
{
	struct rest_token_claims c = { .ns = call->ns };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf token = { 0 };
	int64_t seconds = 0;
	struct am_object *account = am_engine_get(call->server->engine, call->res, call->ns, call->name, NULL, &call->failure);

	if (account == NULL) {
		rest_answer_failure(call);
		return;
	}
	c.account = (struct rest_token_ref){ account->name, account->uid };
	c.issued = am_clock_wall(call->server->clock) / AM_NS_PER_S;
	if (read_request(call, body, &c, &seconds) < 0) {
		rest_answer_failure(call);
	} else if (rest_token_mint(call->server, &c, &token, &err) < 0) {
		if (err.code == AMBIENT_E_INVALID)
			am_fail(&call->failure, 400, "BadRequest", "%s", err.message);
		else
			am_fail(&call->failure, 500, "InternalError", "Internal error occurred: %s", err.message);
		rest_answer_failure(call);
	} else {
		answer_request(call, &c, seconds, &token);
	}
	am_buf_fini(&token);
	am_object_unref(account);
}

/* ---- Secrets that hold a token */

static void
add_base64(struct am_buf *out, const char *member, const char *text)
{
	am_buf_addf(out, "%s\"%s\":\"", out->data[out->len - 1] == '{' ? "" : ",", member);
	am_base64_encode(out, text, strlen(text), false);
	am_buf_addc(out, '"');
}

static void
store_token(struct rest_server *server, const struct am_object *secret, const struct am_object *account)
{
	struct rest_token_claims c = { .ns = secret->ns, .audiences = api_audiences,
				       .account = { account->name, account->uid }, .secret = { secret->name, secret->uid },
				       .issued = am_clock_wall(server->clock) / AM_NS_PER_S };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_failure failure = { 0 };
	struct am_written written = { 0 };
	struct am_buf token = { 0 }, patch = { 0 };
	const struct am_resource *res = am_engine_resource(server->engine, "", "v1", "secrets");

	if (res != NULL && rest_token_mint(server, &c, &token, &err) == 0) {
		am_json_addf(&patch, "{\"metadata\":{\"uid\":%s,\"annotations\":{\"kubernetes.io/service-account.uid\":%s}},\"data\":{",
			     secret->uid, account->uid);
		add_base64(&patch, "ca.crt", server->pki->ca);
		add_base64(&patch, "namespace", secret->ns);
		add_base64(&patch, "token", am_buf_str(&token));
		am_buf_adds(&patch, "}}");
		const struct am_write w = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_MERGE, .res = res, .ns = secret->ns,
					    .name = secret->name, .body = am_slice(am_buf_str(&patch), patch.len),
					    .user = REST_MASTERS, .field_manager = "token-controller" };

		if (am_engine_write(server->engine, &w, &written, &failure) < 0)
			am_log_warn("apiserver", "no token is put into the Secret \"%s/%s\": %s", secret->ns, secret->name,
				    failure.message);
	}
	am_resource_unref(res);
	am_written_fini(&written);
	am_failure_fini(&failure);
	am_buf_fini(&token);
	am_buf_fini(&patch);
}

static void
fill_secret(struct rest_server *server, const struct am_object *secret, const char *only)
{
	struct am_slice text = am_object_text(secret), token;
	am_auto(am_freep) char *type = am_json_dup(text, "/type");

	if (!am_streq(type, SECRET_TYPE) || am_json_find(text, "/data/token", &token))
		return;
	am_auto(am_freep) char *name = am_json_dup(text, "/metadata/annotations/kubernetes.io~1service-account.name");
	struct am_object *account = name != NULL && (only == NULL || strcmp(only, name) == 0)
					    ? am_engine_peek(server->engine, "", "serviceaccounts", secret->ns, name) : NULL;

	if (account != NULL)
		store_token(server, secret, account);
	am_object_unref(account);
}

void
rest_token_written(struct rest_call *call, const struct am_object *object)
{
	struct am_list list = { 0 };

	if (*call->group != '\0' || object == NULL || call->dry_run)
		return;
	if (strcmp(call->plural, "secrets") == 0) {
		fill_secret(call->server, object, NULL);
	} else if (strcmp(call->plural, "serviceaccounts") == 0 && strcmp(call->verb, "create") == 0) {
		am_engine_all(call->server->engine, "", "secrets", object->ns, &list);
		for (size_t i = 0; i < list.n; i++) {
			struct am_object *secret = am_object_open(list.items[i]);

			fill_secret(call->server, secret, object->name);
			am_object_unref(secret);
		}
		am_list_fini(&list);
	}
}
