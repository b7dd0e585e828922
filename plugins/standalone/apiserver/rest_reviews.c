/* SPDX-License-Identifier: Apache-2.0 */
/* Reviews: questions about identity and rights that are answered and not stored. */
#include "plugins/standalone/apiserver/rest.h"

#define AUTHZ "authorization.k8s.io"
#define AUTHN "authentication.k8s.io"
#define AUDIENCES 32

static int
bad_review(struct rest_call *call, const char *kind, const char *group, const char *field, const char *why)
{
	am_failure_cause(&call->failure, "FieldValueInvalid", field, "Invalid value: null: %s", why);
	return am_fail_invalid(&call->failure, kind, group, "");
}

/* The access that a spec asks about. */
static int
read_access(struct rest_call *call, const char *kind, const struct am_node *spec, struct rest_access *a)
{
	const struct am_node *r = am_node_get(spec, "resourceAttributes"), *p = am_node_get(spec, "nonResourceAttributes");
	bool has_r = r != NULL && r->type == AMBIENT_T_OBJECT, has_p = p != NULL && p->type == AMBIENT_T_OBJECT;
	const char *ns;

	memset(a, 0, sizeof(*a));
	if (has_r == has_p)
		return bad_review(call, kind, AUTHZ, "spec.resourceAttributes",
				  "exactly one of nonResourceAttributes or resourceAttributes must be specified");
	if (has_p) {
		a->verb = am_node_get_str(p, "verb", "");
		a->path = am_node_get_str(p, "path", "");
		return 0;
	}
	a->verb = am_node_get_str(r, "verb", "");
	a->group = am_node_get_str(r, "group", "");
	a->plural = am_node_get_str(r, "resource", "");
	a->sub = am_node_get_str(r, "subresource", NULL);
	a->name = am_node_get_str(r, "name", NULL);
	ns = am_node_get_str(r, "namespace", NULL);
	a->ns = am_empty(ns) ? NULL : ns;
	if (am_empty(a->sub))
		a->sub = NULL;
	if (am_empty(a->name))
		a->name = NULL;
	return 0;
}

/* Reviews have no names: whoever gives one means something else. */
static int
check_metadata(struct rest_call *call, const char *kind, const struct am_node *body, bool local)
{
	static const char *const free_members[] = { "creationTimestamp", "managedFields" };
	const struct am_node *metadata = am_node_get(body, "metadata");

	for (const struct am_node *m = metadata != NULL ? metadata->first : NULL; m != NULL; m = m->next) {
		bool empty = m->type == AMBIENT_T_NULL || am_empty(am_node_text(m, "x"));

		for (size_t i = 0; i < AM_COUNTOF(free_members); i++)
			empty = empty || strcmp(m->key, free_members[i]) == 0;
		if (empty || (local && strcmp(m->key, "namespace") == 0))
			continue;
		am_failure_cause(&call->failure, "FieldValueInvalid", "metadata", "Invalid value: \"%.100s\": must be empty%s",
				 m->key, local ? " except for namespace" : "");
		return am_fail_invalid(&call->failure, kind, AUTHZ, "");
	}
	return 0;
}

/* The body with another status. */
static void
answer_review(struct rest_call *call, const struct am_node *body, const char *kind, const char *group, const char *status)
{
	struct am_buf out = { 0 };
	const struct am_node *spec = am_node_get(body, "spec"), *metadata = am_node_get(body, "metadata");

	am_json_addf(&out, "{\"kind\":%s,\"apiVersion\":\"%j/v1\",\"metadata\":", kind, group);
	if (metadata != NULL && metadata->type == AMBIENT_T_OBJECT)
		am_node_print(metadata, &out);
	else
		am_buf_adds(&out, "{\"creationTimestamp\":null}");
	if (spec != NULL) {
		am_buf_adds(&out, ",\"spec\":");
		am_node_print(spec, &out);
	}
	am_json_addf(&out, ",\"status\":%j}", status);
	rest_answer_json(call, 201, &out);
}

static void
answer_access(struct rest_call *call, const struct am_node *body, const char *kind, const struct rest_user *user,
	      const struct rest_access *access)
{
	struct am_buf status = { 0 }, reason = { 0 };
	bool ok = rest_decide(call->server, user, access, &reason);

	am_json_addf(&status, "{\"allowed\":%b", (int)ok);
	if (reason.len > 0)
		am_json_addf(&status, ",\"reason\":%s", am_buf_str(&reason));
	am_buf_addc(&status, '}');
	answer_review(call, body, kind, AUTHZ, am_buf_str(&status));
	am_buf_fini(&status);
	am_buf_fini(&reason);
}

static void
self_access(struct rest_call *call, const struct am_node *body)
{
	struct rest_access access;

	if (check_metadata(call, "SelfSubjectAccessReview", body, false) < 0 ||
	    read_access(call, "SelfSubjectAccessReview", am_node_get(body, "spec"), &access) < 0)
		rest_answer_failure(call);
	else
		answer_access(call, body, "SelfSubjectAccessReview", &call->user, &access);
}

/* A user as a spec of a review describes one. */
static void
read_user(struct rest_call *call, const struct am_node *spec, struct rest_user *user)
{
	const struct am_node *groups = am_node_get(spec, "groups");

	memset(user, 0, sizeof(*user));
	user->name = am_node_get_str(spec, "user", "");
	user->uid = am_node_get_str(spec, "uid", NULL);
	for (const struct am_node *g = groups != NULL ? groups->first : NULL; g != NULL; g = g->next)
		if (rest_user_add_group(call->arena, user, am_node_text(g, "")) < 0)
			break;
}

static void
subject_access(struct rest_call *call, const struct am_node *body)
{
	const struct am_node *spec = am_node_get(body, "spec");
	bool local = strcmp(call->plural, "localsubjectaccessreviews") == 0;
	const char *kind = local ? "LocalSubjectAccessReview" : "SubjectAccessReview";
	struct rest_access access;
	struct rest_user user;

	if (check_metadata(call, kind, body, local) < 0 || read_access(call, kind, spec, &access) < 0) {
		rest_answer_failure(call);
		return;
	}
	if (local && (access.path != NULL || access.ns == NULL || call->ns == NULL || strcmp(access.ns, call->ns) != 0)) {
		am_fail(&call->failure, 400, "BadRequest", "spec.resourceAttributes.namespace must match namespace: %s",
			call->ns != NULL ? call->ns : "");
		rest_answer_failure(call);
		return;
	}
	read_user(call, spec, &user);
	if (*user.name == '\0' && user.n_groups == 0) {
		am_failure_cause(&call->failure, "FieldValueInvalid", "spec.user",
				 "Invalid value: \"\": at least one of user or group must be specified");
		am_fail_invalid(&call->failure, kind, AUTHZ, "");
		rest_answer_failure(call);
		return;
	}
	answer_access(call, body, kind, &user, &access);
}

static void
self_rules(struct rest_call *call, const struct am_node *body)
{
	const char *ns = am_node_get_str(am_node_get(body, "spec"), "namespace", "");
	struct am_buf resource = { 0 }, paths = { 0 }, status = { 0 };

	if (*ns == '\0') {
		am_fail(&call->failure, 400, "BadRequest", "no namespace on request");
		rest_answer_failure(call);
		return;
	}
	rest_rules_of(call->server, &call->user, ns, &resource, &paths);
	am_json_addf(&status, "{\"resourceRules\":%j,\"nonResourceRules\":%j,\"incomplete\":false}", am_buf_str(&resource),
		     am_buf_str(&paths));
	answer_review(call, body, "SelfSubjectRulesReview", AUTHZ, am_buf_str(&status));
	am_buf_fini(&resource);
	am_buf_fini(&paths);
	am_buf_fini(&status);
}

/* Values of one key stand together, however they came. */
static void
add_extra(const struct rest_user *user, struct am_buf *out)
{
	bool first = true;

	am_buf_adds(out, ",\"extra\":{");
	for (size_t i = 0; i < user->n_extra; i++) {
		size_t k = 0;

		while (strcmp(user->extra[2 * k], user->extra[2 * i]) != 0)
			k++;
		if (k < i)
			continue;
		am_json_addf(out, "%j%s:[%s", first ? "" : ",", user->extra[2 * i], user->extra[2 * i + 1]);
		for (k = i + 1; k < user->n_extra; k++)
			if (strcmp(user->extra[2 * k], user->extra[2 * i]) == 0)
				am_json_addf(out, ",%s", user->extra[2 * k + 1]);
		am_buf_addc(out, ']');
		first = false;
	}
	am_buf_addc(out, '}');
}

void
rest_user_print(const struct rest_user *user, struct am_buf *out)
{
	am_json_addf(out, "{\"username\":%s", user->name);
	if (user->uid != NULL)
		am_json_addf(out, ",\"uid\":%s", user->uid);
	am_buf_adds(out, ",\"groups\":[");
	for (size_t i = 0; i < user->n_groups; i++)
		am_json_addf(out, "%j%s", i > 0 ? "," : "", user->groups[i]);
	am_buf_addc(out, ']');
	if (user->n_extra > 0)
		add_extra(user, out);
	am_buf_addc(out, '}');
}

static void
self_subject(struct rest_call *call, const struct am_node *body)
{
	struct am_buf status = { 0 };

	am_buf_adds(&status, "{\"userInfo\":");
	rest_user_print(&call->user, &status);
	am_buf_addc(&status, '}');
	answer_review(call, body, "SelfSubjectReview", AUTHN, am_buf_str(&status));
	am_buf_fini(&status);
}

static void
add_strings(const char *const *list, struct am_buf *out)
{
	am_buf_addc(out, '[');
	for (size_t i = 0; list[i] != NULL; i++)
		am_json_addf(out, "%j%s", i > 0 ? "," : "", list[i]);
	am_buf_addc(out, ']');
}

/* The audiences that were asked for and that the token is for. */
static const char **
both(struct am_arena *arena, const char *const *wanted, const struct rest_user *user)
{
	static const char *const api[] = { REST_AUDIENCE, NULL };
	const char *const *own = user->audiences != NULL ? (const char *const *)user->audiences : api;
	const char **ret = am_arena_zalloc(arena, (AUDIENCES + 1) * sizeof(char *));
	size_t n = 0;

	for (size_t i = 0; ret != NULL && wanted[i] != NULL && n < AUDIENCES; i++)
		for (size_t k = 0; own[k] != NULL; k++)
			if (strcmp(wanted[i], own[k]) == 0) {
				ret[n++] = wanted[i];
				break;
			}
	return ret;
}

static void
token_review(struct rest_call *call, const struct am_node *body)
{
	static const char *const api[] = { REST_AUDIENCE, NULL };
	const struct am_node *spec = am_node_get(body, "spec"), *audiences = am_node_get(spec, "audiences");
	const char *token = am_node_get_str(spec, "token", "");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf status = { 0 };
	struct rest_user user;
	const char *const *wanted = api;

	if (*token == '\0' || (audiences != NULL && audiences->count > AUDIENCES)) {
		am_fail(&call->failure, 400, "BadRequest", *token == '\0' ? "token is required for TokenReview in authentication"
									 : "spec.audiences has more than %d entries", AUDIENCES);
		rest_answer_failure(call);
		return;
	}
	if (audiences != NULL && audiences->type == AMBIENT_T_ARRAY && audiences->count > 0) {
		const char **copy = am_arena_zalloc(call->arena, (audiences->count + 1) * sizeof(char *));
		size_t i = 0;

		for (const struct am_node *a = audiences->first; copy != NULL && a != NULL; a = a->next)
			copy[i++] = am_node_text(a, "");
		wanted = (const char *const *)copy;
	}
	if (wanted != NULL && rest_user_of_token(call->server, call->arena, token, wanted, &user, &err) == 0) {
		const char **shared = both(call->arena, wanted, &user);

		am_buf_adds(&status, "{\"authenticated\":true,\"user\":");
		rest_user_print(&user, &status);
		am_buf_adds(&status, ",\"audiences\":");
		add_strings(shared != NULL ? (const char *const *)shared : wanted, &status);
		am_buf_addc(&status, '}');
	} else {
		am_json_addf(&status, "{\"authenticated\":false,\"user\":{},\"error\":%s}", err.message);
	}
	answer_review(call, body, "TokenReview", AUTHN, am_buf_str(&status));
	am_buf_fini(&status);
}

const struct rest_virtual rest_virtuals[] = {
	{ AUTHN, "v1", "selfsubjectreviews", "SelfSubjectReview", "selfsubjectreview", false, self_subject },
	{ AUTHN, "v1", "tokenreviews", "TokenReview", "tokenreview", false, token_review },
	{ AUTHZ, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", "localsubjectaccessreview", true,
	  subject_access },
	{ AUTHZ, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "selfsubjectaccessreview", false,
	  self_access },
	{ AUTHZ, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", "selfsubjectrulesreview", false, self_rules },
	{ AUTHZ, "v1", "subjectaccessreviews", "SubjectAccessReview", "subjectaccessreview", false, subject_access },
	{ NULL, NULL, NULL, NULL, NULL, false, NULL },
};

const struct rest_virtual *
rest_virtual_find(const char *group, const char *version, const char *plural)
{
	for (const struct rest_virtual *v = rest_virtuals; v->group != NULL; v++)
		if (strcmp(v->group, group) == 0 && strcmp(v->version, version) == 0 && strcmp(v->plural, plural) == 0)
			return v;
	return NULL;
}
