/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: a verified client certificate (CN and O), else a bearer token, else nobody.  Whatever is shown and not
 * acceptable is 401, never anonymous.  Impersonation is a second step, after a check that it is granted.
 */
#include <strings.h>

#include "plugins/standalone/apiserver/rest.h"

#define LIST_MAX 64

static const char **
append(struct am_arena *arena, const char **list, size_t n, size_t more)
{
	const char **copy = am_arena_zalloc(arena, (n + more + 1) * sizeof(char *));

	if (copy != NULL && n > 0)
		memcpy(copy, list, n * sizeof(char *));
	return copy;
}

int
rest_user_add_group(struct am_arena *arena, struct rest_user *user, const char *group)
{
	const char **copy = group != NULL && user->n_groups < LIST_MAX ? append(arena, user->groups, user->n_groups, 1)
								       : NULL;

	if (copy == NULL)
		return -AMBIENT_E_NOMEM;
	copy[user->n_groups++] = group;
	user->groups = copy;
	return 0;
}

int
rest_user_add_audience(struct am_arena *arena, struct rest_user *user, const char *audience)
{
	const char **copy = user->n_audiences < LIST_MAX ? append(arena, user->audiences, user->n_audiences, 1) : NULL;

	if (copy == NULL)
		return -AMBIENT_E_NOMEM;
	copy[user->n_audiences++] = audience;
	user->audiences = copy;
	return 0;
}

void
rest_user_add_extra(struct am_arena *arena, struct rest_user *user, const char *key, const char *value)
{
	const char **copy = user->n_extra < LIST_MAX ? append(arena, user->extra, 2 * user->n_extra, 2) : NULL;

	if (copy == NULL)
		return;
	copy[2 * user->n_extra] = key;
	copy[2 * user->n_extra + 1] = value;
	user->n_extra++;
	user->extra = copy;
}

bool
rest_user_in(const struct rest_user *user, const char *group)
{
	for (size_t i = 0; i < user->n_groups; i++)
		if (strcmp(user->groups[i], group) == 0)
			return true;
	return false;
}

static int
unauthorized(struct rest_call *call, const char *why)
{
	am_log_debug("apiserver", "401 for %s %s: %s", am_http_method(call->http), call->path, why);
	return am_fail(&call->failure, 401, "Unauthorized", "Unauthorized");
}

static int
by_certificate(struct rest_call *call, const struct am_http_peer *peer)
{
	if (peer->cn[0] == '\0')
		return unauthorized(call, "the client certificate has no CN");
	call->user.name = am_arena_strdup(call->arena, peer->cn);
	for (size_t i = 0; peer->orgs[i] != NULL; i++)
		if (rest_user_add_group(call->arena, &call->user, am_arena_strdup(call->arena, peer->orgs[i])) < 0)
			return unauthorized(call, "the client certificate has too many groups");
	return rest_user_add_group(call->arena, &call->user, "system:authenticated");
}

/* ---- impersonation: every part of the other identity is asked for by itself */

#define AUTHN "authentication.k8s.io"

struct other {
	struct rest_call *call;
	struct rest_user user;
	bool failed;
};

static bool
may_be(struct other *o, const char *group, const char *plural, const char *sub, const char *name)
{
	struct rest_access access = { .verb = "impersonate", .group = group, .plural = plural, .sub = sub, .name = name };

	o->failed = o->failed || rest_require(o->call, &o->call->user, &access) < 0;
	return !o->failed;
}

static bool
too_many(struct other *o, const char *what)
{
	o->failed = true;
	am_fail(&o->call->failure, 400, "BadRequest", "too many %s are impersonated", what);
	return false;
}

static bool
add_group(void *arg, const char *value)
{
	struct other *o = arg;

	if (!may_be(o, "", "groups", NULL, value))
		return false;
	return rest_user_add_group(o->call->arena, &o->user, am_arena_strdup(o->call->arena, value)) == 0 ||
	       too_many(o, "groups");
}

static bool
add_extra(void *arg, const char *escaped, const char *value)
{
	struct other *o = arg;
	struct am_buf key = { .max = 256 };
	size_t before = o->user.n_extra;

	if (!am_http_unescape(am_slice_of(escaped), false, &key) || key.len == 0 || !am_utf8_valid(key.data, key.len)) {
		o->failed = true;
		am_fail(&o->call->failure, 400, "BadRequest", "the header Impersonate-Extra-%.100s has no usable name", escaped);
	} else {
		for (char *p = key.data; *p != '\0'; p++)
			*p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
		if (may_be(o, AUTHN, "userextras", am_arena_strdup(o->call->arena, am_buf_str(&key)), value)) {
			rest_user_add_extra(o->call->arena, &o->user, am_arena_strdup(o->call->arena, am_buf_str(&key)),
					    am_arena_strdup(o->call->arena, value));
			if (o->user.n_extra == before)
				(void)too_many(o, "extras");
		}
	}
	am_buf_fini(&key);
	return !o->failed;
}

static bool
note_one(void *arg, const char *rest am_unused_, const char *value am_unused_)
{
	*(bool *)arg = true;
	return false;
}

/* The user's name, and for a service account the namespace that it is in. */
static const char *
become(struct other *o, const char *name)
{
	static const char account[] = "system:serviceaccount:";
	struct rest_call *call = o->call;
	struct rest_access access = { .verb = "impersonate", .group = "", .plural = "users", .name = name };
	const char *ns, *colon;

	o->user.name = am_arena_strdup(call->arena, name);
	ns = am_starts(o->user.name, account) ? o->user.name + strlen(account) : NULL;
	colon = ns != NULL ? strchr(ns, ':') : NULL;
	if (colon != NULL) {
		access.ns = am_arena_strndup(call->arena, ns, (size_t)(colon - ns));
		access.plural = "serviceaccounts";
		access.name = colon + 1;
	}
	o->failed = rest_require(call, &call->user, &access) < 0;
	return access.ns;
}

static void
add_usual_groups(struct other *o, const char *account_ns)
{
	struct am_arena *arena = o->call->arena;

	if (account_ns != NULL && o->user.n_groups == 0) {
		(void)rest_user_add_group(arena, &o->user, "system:serviceaccounts");
		(void)rest_user_add_group(arena, &o->user, am_arena_printf(arena, "system:serviceaccounts:%s", account_ns));
	}
	if (strcmp(o->user.name, REST_ANONYMOUS) == 0) {
		if (!rest_user_in(&o->user, "system:unauthenticated"))
			(void)rest_user_add_group(arena, &o->user, "system:unauthenticated");
	} else if (!rest_user_in(&o->user, "system:unauthenticated") && !rest_user_in(&o->user, "system:authenticated")) {
		(void)rest_user_add_group(arena, &o->user, "system:authenticated");
	}
}

static int
impersonate(struct rest_call *call)
{
	const char *name = am_http_header(call->http, "Impersonate-User");
	const char *uid = am_http_header(call->http, "Impersonate-Uid");
	struct other o = { .call = call };
	bool extras = false;

	if (name == NULL || *name == '\0') {
		am_http_headers_of(call->http, "Impersonate-Extra-", note_one, &extras);
		if (am_http_header(call->http, "Impersonate-Group") != NULL || uid != NULL || extras)
			return am_fail(&call->failure, 400, "BadRequest",
				       "requested groups, uid or extra without impersonating a user");
		return 0;
	}
	const char *account_ns = become(&o, name);

	if (!o.failed)
		am_http_header_each(call->http, "Impersonate-Group", add_group, &o);
	if (!o.failed)
		am_http_headers_of(call->http, "Impersonate-Extra-", add_extra, &o);
	if (!o.failed && uid != NULL && *uid != '\0' && may_be(&o, AUTHN, "uids", NULL, uid))
		o.user.uid = am_arena_strdup(call->arena, uid);
	if (o.failed)
		return -AMBIENT_E_FORBIDDEN;
	add_usual_groups(&o, account_ns);
	call->real_user = call->user;
	call->impersonated = true;
	call->user = o.user;
	return 0;
}

int
rest_user_of_token(struct rest_server *server, struct am_arena *arena, const char *token,
		   const char *const *audiences, struct rest_user *ret, struct ambient_error *err)
{
	bool for_api = audiences == NULL;

	if (!rest_static_find(server->users, arena, token, ret))
		return rest_token_check(server, arena, token, audiences, ret, err);
	for (size_t i = 0; !for_api && audiences[i] != NULL; i++)
		for_api = strcmp(audiences[i], REST_AUDIENCE) == 0;
	return for_api ? 0 : ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is for another audience");
}

/*
 * The bearer token, up to the next space.  Another scheme, or no token behind the word, says nothing about who asks,
 * as with a kube-apiserver: it is nobody's request then, and not a refused one.
 */
static const char *
shown_token(struct rest_call *call)
{
	const char *header = am_http_header(call->http, "Authorization");
	size_t n;

	if (header == NULL)
		return NULL;
	header += strspn(header, " ");
	if (strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	n = strcspn(header + 7, " ");
	return n > 0 ? am_arena_strndup(call->arena, header + 7, n) : NULL;
}

int
rest_authenticate(struct rest_call *call)
{
	const struct am_http_peer *peer = am_http_peer(call->http);
	const char *token = shown_token(call);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = 0;

	if (peer->state == AM_HTTP_PEER_REFUSED)
		return unauthorized(call, peer->why != NULL ? peer->why : "the client certificate is not acceptable");
	if (peer->state == AM_HTTP_PEER_VERIFIED) {
		rc = by_certificate(call, peer);
	} else if (token != NULL) {
		if (rest_user_of_token(call->server, call->arena, token, NULL, &call->user, &err) < 0)
			return unauthorized(call, err.message);
	} else {
		call->user.name = REST_ANONYMOUS;
		rc = rest_user_add_group(call->arena, &call->user, "system:unauthenticated");
	}
	if (rc < 0)
		return call->failure.code != 0 ? rc : unauthorized(call, "no memory");
	return impersonate(call);
}
