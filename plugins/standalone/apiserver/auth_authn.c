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

struct groups {
	struct rest_call *call;
	struct rest_user *user;
	bool failed;
};

static bool
add_impersonated_group(void *arg, const char *value)
{
	struct groups *g = arg;
	struct rest_access access = { .verb = "impersonate", .group = "", .plural = "groups", .name = value };

	if (rest_require(g->call, &g->call->user, &access) < 0) {
		g->failed = true;
	} else if (rest_user_add_group(g->call->arena, g->user, am_arena_strdup(g->call->arena, value)) < 0) {
		am_fail(&g->call->failure, 400, "BadRequest", "too many groups are impersonated");
		g->failed = true;
	}
	return !g->failed;
}

static int
impersonate(struct rest_call *call)
{
	const char *name = am_http_header(call->http, "Impersonate-User");
	struct rest_user user = { 0 };
	struct groups groups = { call, &user, false };
	struct rest_access access = { .verb = "impersonate", .group = "", .plural = "users", .name = name };
	const char *account = "system:serviceaccount:";

	if (name == NULL || *name == '\0') {
		if (am_http_header(call->http, "Impersonate-Group") != NULL ||
		    am_http_header(call->http, "Impersonate-Uid") != NULL)
			return am_fail(&call->failure, 400, "BadRequest",
				       "requested groups or uid without impersonating a user");
		return 0;
	}
	user.name = am_arena_strdup(call->arena, name);
	if (am_starts(user.name, account) && strchr(user.name + strlen(account), ':') != NULL) {
		const char *ns = user.name + strlen(account), *colon = strchr(ns, ':');

		access.ns = am_arena_strndup(call->arena, ns, (size_t)(colon - ns));
		access.plural = "serviceaccounts";
		access.name = colon + 1;
	}
	if (rest_require(call, &call->user, &access) < 0)
		return -AMBIENT_E_FORBIDDEN;
	am_http_header_each(call->http, "Impersonate-Group", add_impersonated_group, &groups);
	if (groups.failed)
		return -AMBIENT_E_FORBIDDEN;
	if (access.ns != NULL && user.n_groups == 0) {
		(void)rest_user_add_group(call->arena, &user, "system:serviceaccounts");
		(void)rest_user_add_group(call->arena, &user,
					  am_arena_printf(call->arena, "system:serviceaccounts:%s", access.ns));
	}
	if (strcmp(user.name, REST_ANONYMOUS) != 0)
		(void)rest_user_add_group(call->arena, &user, "system:authenticated");
	call->user = user;
	return 0;
}

int
rest_authenticate(struct rest_call *call)
{
	const struct am_http_peer *peer = am_http_peer(call->http);
	const char *header = am_http_header(call->http, "Authorization");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = 0;

	if (peer->state == AM_HTTP_PEER_REFUSED)
		return unauthorized(call, peer->why != NULL ? peer->why : "the client certificate is not acceptable");
	if (peer->state == AM_HTTP_PEER_VERIFIED) {
		rc = by_certificate(call, peer);
	} else if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
		const char *token = header + 7;

		while (*token == ' ')
			token++;
		if (rest_user_of_token(call->server, call->arena, token, NULL, &call->user, &err) < 0)
			return unauthorized(call, err.message);
	} else if (header != NULL) {
		return unauthorized(call, "only Bearer tokens are taken");
	} else {
		call->user.name = REST_ANONYMOUS;
		rc = rest_user_add_group(call->arena, &call->user, "system:unauthenticated");
	}
	if (rc < 0)
		return call->failure.code != 0 ? rc : unauthorized(call, "no memory");
	return impersonate(call);
}
