/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceAccount tokens: what they claim, and whether that still holds.  A token is good while its account, and the
 * Pod, Secret or Node that it is bound to, exist with the uid that they had; an object that is being deleted counts for
 * another minute.  Tokens in Secrets of type kubernetes.io/service-account-token have no end: they are good while the
 * Secret holds them.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define LEEWAY   10
#define GRACE    (60 * AM_NS_PER_S)
#define SUBJECT  "system:serviceaccount:"
#define EXTRA    "authentication.kubernetes.io/"

/* ---- minting */

static void
add_ref(struct am_buf *out, const char *kind, const struct rest_token_ref *ref)
{
	if (ref->name != NULL)
		am_json_addf(out, ",%s:{\"name\":%s,\"uid\":%s}", kind, ref->name, ref->uid);
}

int
rest_token_mint(struct rest_server *server, const struct rest_token_claims *c, struct am_buf *out,
		struct ambient_error *err)
{
	struct am_buf claims = { .max = REST_JWT_MAX };
	char jti[37];

	am_uuid4(jti);
	am_buf_adds(&claims, "{\"aud\":[");
	for (size_t i = 0; c->audiences[i] != NULL; i++)
		am_json_addf(&claims, "%j%s", i > 0 ? "," : "", c->audiences[i]);
	am_buf_addc(&claims, ']');
	if (c->expires > 0)
		am_json_addf(&claims, ",\"exp\":%l", c->expires);
	am_json_addf(&claims, ",\"iat\":%l,\"iss\":%s,\"jti\":%s,\"kubernetes.io\":{\"namespace\":%s", c->issued,
		     REST_AUDIENCE, jti, c->ns);
	add_ref(&claims, "node", &c->node);
	add_ref(&claims, "pod", &c->pod);
	add_ref(&claims, "secret", &c->secret);
	add_ref(&claims, "serviceaccount", &c->account);
	if (c->warn_after > 0)
		am_json_addf(&claims, ",\"warnafter\":%l", c->warn_after);
	am_json_addf(&claims, "},\"nbf\":%l,\"sub\":\"" SUBJECT "%j:%j\"}", c->issued, c->ns, c->account.name);
	int rc = rest_jwt_sign(server->keys, &claims, out, err);

	am_buf_fini(&claims);
	return rc;
}

/* ---- checking */

struct check {
	struct rest_server *server;
	struct am_arena *arena;
	const struct am_node *claims, *private;
	const char *token, *ns;
	int64_t now;
	struct rest_user *user;
};

static bool
audience_fits(const struct am_node *aud, const char *const *audiences)
{
	for (const struct am_node *a = aud != NULL ? aud->first : NULL; a != NULL; a = a->next)
		for (size_t i = 0; audiences[i] != NULL; i++)
			if (am_streq(am_node_text(a, NULL), audiences[i]))
				return true;
	return false;
}

/* The object that is named, when it has that uid and is not gone for long; the caller's reference. */
static struct am_object *
living(const struct check *c, const char *plural, const char *ns, const struct am_node *ref)
{
	struct am_object *object = am_engine_peek(c->server->engine, "", plural, ns, am_node_get_str(ref, "name", ""));
	int64_t deleted;

	if (object == NULL)
		return NULL;
	am_auto(am_freep) char *when = am_json_dup(am_object_text(object), "/metadata/deletionTimestamp");

	if (strcmp(object->uid, am_node_get_str(ref, "uid", "")) == 0 &&
	    (when == NULL || am_time_parse(when, &deleted) < 0 || c->now < deleted + GRACE))
		return object;
	am_object_unref(object);
	return NULL;
}

static void
add_ref_extra(const struct check *c, const char *kind, const struct am_node *ref)
{
	rest_user_add_extra(c->arena, c->user, am_arena_printf(c->arena, EXTRA "%s-name", kind),
			    am_node_get_str(ref, "name", ""));
	rest_user_add_extra(c->arena, c->user, am_arena_printf(c->arena, EXTRA "%s-uid", kind),
			    am_node_get_str(ref, "uid", ""));
}

/* A token without an end is good while the Secret that it was made for holds it. */
static bool
held_by(const struct check *c, const struct am_object *secret)
{
	am_auto(am_freep) char *text = am_json_dup(am_object_text(secret), "/data/token");
	struct am_buf token = { .max = 2 * REST_JWT_MAX };
	bool ok = text != NULL && am_base64_decode(&token, text, strlen(text), false) == 0 &&
		  token.len == strlen(c->token) && am_secret_eq(token.data, c->token, token.len);

	am_buf_fini(&token);
	return ok;
}

static int
check_bound(const struct check *c, bool endless, struct ambient_error *err)
{
	static const struct {
		const char *kind, *plural;
		bool cluster;
	} kinds[] = { { "pod", "pods", false }, { "secret", "secrets", false }, { "node", "nodes", true } };
	const struct am_node *pod = am_node_get(c->private, "pod");

	for (size_t i = 0; i < AM_COUNTOF(kinds); i++) {
		const struct am_node *ref = am_node_get(c->private, kinds[i].kind);
		bool held = true;

		if (ref == NULL)
			continue;
		/* Beside a pod the node is only told. */
		if (!kinds[i].cluster || pod == NULL) {
			struct am_object *object = living(c, kinds[i].plural, kinds[i].cluster ? NULL : c->ns, ref);

			if (object == NULL)
				return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the %s of the token has been deleted", kinds[i].kind);
			held = !endless || kinds[i].cluster || pod != NULL || held_by(c, object);
			am_object_unref(object);
		}
		if (!held)
			return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the secret of the token holds another one");
		if (strcmp(kinds[i].kind, "secret") != 0)
			add_ref_extra(c, kinds[i].kind, ref);
	}
	return 0;
}

static int
check_time(const struct check *c, bool *ret_endless, struct ambient_error *err)
{
	int64_t now = c->now / AM_NS_PER_S, exp = 0, nbf;
	bool has_exp = am_node_get(c->claims, "exp") != NULL;

	*ret_endless = !has_exp;
	if (!has_exp && am_node_get(c->private, "secret") == NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token has no end");
	if ((has_exp && !am_node_get_int(c->claims, "exp", &exp)) || !am_node_get_int(c->claims, "nbf", &nbf))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the times of the token cannot be read");
	if (has_exp && now > exp + LEEWAY)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token has expired");
	if (now < nbf - LEEWAY)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is not valid yet");
	return 0;
}

static int
fill_user(const struct check *c, const char *sub, const char *uid, struct ambient_error *err)
{
	struct rest_user *user = c->user;
	int64_t warn;

	memset(user, 0, sizeof(*user));
	user->name = sub;
	user->uid = uid;
	rest_user_add_extra(c->arena, user, EXTRA "credential-id",
			    am_arena_printf(c->arena, "JTI=%s", am_node_get_str(c->claims, "jti", "")));
	if (am_node_get_int(c->private, "warnafter", &warn) && c->now / AM_NS_PER_S > warn)
		user->stale = true;
	if (rest_user_add_group(c->arena, user, "system:serviceaccounts") < 0 ||
	    rest_user_add_group(c->arena, user, am_arena_printf(c->arena, "system:serviceaccounts:%s", c->ns)) < 0 ||
	    rest_user_add_group(c->arena, user, "system:authenticated") < 0)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	return 0;
}

int
rest_token_check(struct rest_server *server, struct am_arena *arena, const char *token, const char *const *audiences,
		 struct rest_user *user, struct ambient_error *err)
{
	static const char *const api[] = { REST_AUDIENCE, NULL };
	struct check c = { .server = server, .arena = arena, .token = token, .user = user,
			   .now = am_clock_wall(server->clock) };
	bool endless;

	c.claims = rest_jwt_verify(server->keys, arena, token, err);
	if (c.claims == NULL)
		return -AMBIENT_E_UNAUTHORIZED;
	c.private = am_node_get(c.claims, "kubernetes.io");
	c.ns = am_node_get_str(c.private, "namespace", NULL);
	const struct am_node *sa = am_node_get(c.private, "serviceaccount");
	const char *account = am_node_get_str(sa, "name", NULL), *uid = am_node_get_str(sa, "uid", NULL);
	const char *sub = am_node_get_str(c.claims, "sub", "");

	if (strcmp(am_node_get_str(c.claims, "iss", ""), REST_AUDIENCE) != 0 || c.ns == NULL || account == NULL || uid == NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is not one of this server");
	int rc = check_time(&c, &endless, err);

	if (rc < 0)
		return rc;
	if (!audience_fits(am_node_get(c.claims, "aud"), audiences != NULL ? audiences : api))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is for another audience");
	if (!am_streq(sub, am_arena_printf(arena, SUBJECT "%s:%s", c.ns, account)))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "subject and account of the token differ");
	struct am_object *object = living(&c, "serviceaccounts", c.ns, sa);

	if (object == NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the service account has been deleted");
	am_object_unref(object);
	rc = fill_user(&c, sub, uid, err);
	if (rc == 0)
		rc = check_bound(&c, endless, err);
	if (rc == 0)
		for (const struct am_node *a = am_node_get(c.claims, "aud")->first; a != NULL; a = a->next)
			(void)rest_user_add_audience(arena, user, am_node_text(a, ""));
	return rc;
}
