/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ServiceAccount tokens: JSON Web Tokens signed with ES256.  Minting is the token subresource; checking pins the
 * algorithm and the key's id, then the claims, then that account and pod still exist with the same uid.
 */
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define TOKEN_MAX   8192
#define TOKEN_LIFE  3600
#define TOKEN_LEAST 600
#define LEEWAY      10
#define SUBJECT     "system:serviceaccount:"

static EVP_PKEY *
load_key(struct rest_server *server)
{
	BIO *bio = BIO_new_mem_buf(server->pki->token_key, -1);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return key;
}

/* The signature as two 32-byte numbers, as JWS wants it, from DER and back. */
static bool
sign(EVP_PKEY *key, const char *text, size_t n, unsigned char out[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char der[128];
	size_t der_len = sizeof(der);
	const unsigned char *p = der;
	ECDSA_SIG *sig = NULL;
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(ctx, der, &der_len, (const unsigned char *)text, n) == 1 &&
		  (sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len)) != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 32) == 32 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 32, 32) == 32;

	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool
verify(EVP_PKEY *key, const char *text, size_t n, const unsigned char raw[64])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
	unsigned char *der = NULL;
	bool ok = false;

	if (ctx != NULL && sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL;
		int len = i2d_ECDSA_SIG(sig, &der);

		ok = len > 0 && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		     EVP_DigestVerify(ctx, der, (size_t)len, (const unsigned char *)text, n) == 1;
	}
	OPENSSL_free(der);
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return ok;
}

int
rest_token_mint(struct rest_server *server, const struct rest_token_claims *c, struct am_buf *out,
		struct ambient_error *err)
{
	struct am_buf head = { 0 }, claims = { 0 };
	unsigned char raw[64];
	char jti[37];
	EVP_PKEY *key = load_key(server);

	am_uuid4(jti);
	am_json_addf(&head, "{\"alg\":\"ES256\",\"kid\":%s,\"typ\":\"JWT\"}", server->pki->token_kid);
	am_buf_adds(&claims, "{\"aud\":[");
	for (size_t i = 0; c->audiences[i] != NULL; i++)
		am_json_addf(&claims, "%j%s", i > 0 ? "," : "", c->audiences[i]);
	am_json_addf(&claims, "],\"exp\":%l,\"iat\":%l,\"iss\":%s,\"jti\":%s,\"kubernetes.io\":{\"namespace\":%s",
		     c->expires, c->issued, REST_AUDIENCE, jti, c->ns);
	if (c->pod != NULL)
		am_json_addf(&claims, ",\"pod\":{\"name\":%s,\"uid\":%s}", c->pod, c->pod_uid);
	am_json_addf(&claims, ",\"serviceaccount\":{\"name\":%s,\"uid\":%s}},\"nbf\":%l,\"sub\":\"" SUBJECT "%j:%j\"}",
		     c->account, c->account_uid, c->issued, c->ns, c->account);
	size_t start = out->len;

	am_base64_encode(out, head.data, head.len, true);
	am_buf_addc(out, '.');
	am_base64_encode(out, claims.data, claims.len, true);
	bool ok = key != NULL && !out->failed && sign(key, out->data + start, out->len - start, raw);
	am_buf_addc(out, '.');
	am_base64_encode(out, raw, sizeof(raw), true);
	EVP_PKEY_free(key);
	am_buf_fini(&head);
	am_buf_fini(&claims);
	return ok ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "the token cannot be signed");
}

/* ---- checking */

static struct am_node *
decode_part(struct am_arena *arena, const char *p, size_t n)
{
	struct am_buf text = { .max = TOKEN_MAX };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *ret = NULL;

	if (am_base64_decode(&text, p, n, true) == 0) {
		char *copy = am_arena_strndup(arena, am_buf_str(&text), text.len);

		if (copy != NULL)
			ret = am_node_parse(arena, copy, text.len, &err);
	}
	am_buf_fini(&text);
	return ret;
}

static bool
audience_fits(const struct am_node *aud, const char *const *audiences)
{
	for (const struct am_node *a = aud != NULL ? aud->first : NULL; a != NULL; a = a->next)
		for (size_t i = 0; audiences[i] != NULL; i++)
			if (am_streq(am_node_text(a, NULL), audiences[i]))
				return true;
	return false;
}

/* Does the object still exist with that uid, and is it not on its way out? */
static bool
lives(struct rest_server *server, const char *plural, const char *ns, const char *name, const char *uid,
      bool may_terminate)
{
	struct am_object *object = am_engine_peek(server->engine, "", plural, ns, name);
	struct am_slice deleted;
	bool ok = object != NULL && strcmp(object->uid, uid) == 0 &&
		  (may_terminate || !am_json_find(am_object_text(object), "/metadata/deletionTimestamp", &deleted));

	am_object_unref(object);
	return ok;
}

static int
check_claims(struct rest_server *server, struct am_arena *arena, const struct am_node *claims,
	     const char *const *audiences, struct rest_user *user, struct ambient_error *err)
{
	static const char *const api[] = { REST_AUDIENCE, NULL };
	int64_t now = am_clock_wall(server->clock) / AM_NS_PER_S, exp, nbf;
	const char *ns = am_node_text(am_node_path(claims, "kubernetes.io", "namespace", NULL), NULL);
	const struct am_node *sa = am_node_path(claims, "kubernetes.io", "serviceaccount", NULL);
	const struct am_node *pod = am_node_path(claims, "kubernetes.io", "pod", NULL);
	const char *account = am_node_get_str(sa, "name", NULL), *uid = am_node_get_str(sa, "uid", NULL);
	const char *sub = am_node_get_str(claims, "sub", "");

	if (strcmp(am_node_get_str(claims, "iss", ""), REST_AUDIENCE) != 0 || ns == NULL || account == NULL || uid == NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is not one of this server");
	if (!am_node_get_int(claims, "exp", &exp) || !am_node_get_int(claims, "nbf", &nbf) || now > exp + LEEWAY ||
	    now < nbf - LEEWAY)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token has expired");
	if (!audience_fits(am_node_get(claims, "aud"), audiences != NULL ? audiences : api))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is for another audience");
	if (!am_streq(sub, am_arena_printf(arena, SUBJECT "%s:%s", ns, account)))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "subject and account of the token differ");
	if (!lives(server, "serviceaccounts", ns, account, uid, false))
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the service account has been deleted");
	memset(user, 0, sizeof(*user));
	user->name = sub;
	user->uid = uid;
	if (pod != NULL) {
		const char *pod_name = am_node_get_str(pod, "name", ""), *pod_uid = am_node_get_str(pod, "uid", "");

		if (!lives(server, "pods", ns, pod_name, pod_uid, true))
			return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the pod of the token has been deleted");
		rest_user_add_extra(arena, user, "authentication.kubernetes.io/pod-name", pod_name);
		rest_user_add_extra(arena, user, "authentication.kubernetes.io/pod-uid", pod_uid);
	}
	rest_user_add_extra(arena, user, "authentication.kubernetes.io/credential-id",
			    am_arena_printf(arena, "JTI=%s", am_node_get_str(claims, "jti", "")));
	if (rest_user_add_group(arena, user, "system:serviceaccounts") < 0 ||
	    rest_user_add_group(arena, user, am_arena_printf(arena, "system:serviceaccounts:%s", ns)) < 0 ||
	    rest_user_add_group(arena, user, "system:authenticated") < 0)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	return 0;
}

int
rest_user_of_token(struct rest_server *server, struct am_arena *arena, const char *token,
		   const char *const *audiences, struct rest_user *ret, struct ambient_error *err)
{
	const char *dot = strchr(token, '.'), *dot2 = dot != NULL ? strchr(dot + 1, '.') : NULL;
	struct am_buf raw = { .max = 128 };
	EVP_PKEY *key = NULL;
	bool ok = false;

	if (strlen(token) > TOKEN_MAX || dot2 == NULL || strchr(dot2 + 1, '.') != NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is no signed JWT");
	struct am_node *head = decode_part(arena, token, (size_t)(dot - token));

	/* One algorithm, one key: what the token says about them must be that. */
	if (head != NULL && strcmp(am_node_get_str(head, "alg", ""), "ES256") == 0 &&
	    strcmp(am_node_get_str(head, "kid", ""), server->pki->token_kid) == 0 &&
	    am_base64_decode(&raw, dot2 + 1, strlen(dot2 + 1), true) == 0 && raw.len == 64 &&
	    (key = load_key(server)) != NULL)
		ok = verify(key, token, (size_t)(dot2 - token), (const unsigned char *)raw.data);
	EVP_PKEY_free(key);
	am_buf_fini(&raw);
	if (!ok)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the signature of the token is not this server's");
	struct am_node *claims = decode_part(arena, dot + 1, (size_t)(dot2 - dot - 1));

	if (claims == NULL)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token has no claims");
	return check_claims(server, arena, claims, audiences, ret, err);
}

/* ---- POST serviceaccounts/NAME/token */

static int
bind_to(struct rest_call *call, const struct am_node *ref, struct rest_token_claims *c)
{
	const char *kind = am_node_get_str(ref, "kind", ""), *name = am_node_get_str(ref, "name", "");
	const char *uid = am_node_get_str(ref, "uid", "");

	if (strcmp(kind, "Pod") != 0) {
		am_failure_cause(&call->failure, "FieldValueNotSupported", "spec.boundObjectRef.kind",
				 "Unsupported value: \"%s\": supported values: \"Pod\"", kind);
		return am_fail_invalid(&call->failure, "TokenRequest", "authentication.k8s.io", call->name);
	}
	struct am_object *pod = am_engine_peek(call->server->engine, "", "pods", call->ns, name);

	if (pod == NULL)
		return am_fail(&call->failure, 404, "NotFound", "pods \"%s\" not found", name);
	char *account = am_json_dup(am_object_text(pod), "/spec/serviceAccountName");
	int rc = 0;

	if (*uid != '\0' && strcmp(uid, pod->uid) != 0)
		rc = am_fail(&call->failure, 409, "Conflict",
			     "Operation cannot be fulfilled on pods \"%s\": the UID in the bound object reference (%s) does "
			     "not match the UID in record. The object might have been deleted and then recreated",
			     name, uid);
	else if (!am_streq(account, call->name))
		rc = am_fail(&call->failure, 400, "BadRequest",
			     "cannot bind token for serviceaccount \"%s\" to pod running with different serviceaccount name.",
			     call->name);
	free(account);
	c->pod = am_arena_strdup(call->arena, pod->name);
	c->pod_uid = am_arena_strdup(call->arena, pod->uid);
	am_object_unref(pod);
	return rc;
}

static int
read_spec(struct rest_call *call, const struct am_node *spec, struct rest_token_claims *c)
{
	static const char *const api[] = { REST_AUDIENCE, NULL };
	const struct am_node *audiences = am_node_get(spec, "audiences"), *ref = am_node_get(spec, "boundObjectRef");
	int64_t seconds = TOKEN_LIFE;

	c->audiences = api;
	if (audiences != NULL && audiences->type == AMBIENT_T_ARRAY && audiences->count > 0 && audiences->count < 32) {
		const char **copy = am_arena_zalloc(call->arena, (audiences->count + 1) * sizeof(char *));
		size_t i = 0;

		for (const struct am_node *a = audiences->first; copy != NULL && a != NULL; a = a->next)
			copy[i++] = am_node_text(a, "");
		if (copy != NULL)
			c->audiences = copy;
	}
	(void)am_node_get_int(spec, "expirationSeconds", &seconds);
	if (seconds < TOKEN_LEAST || seconds > (INT64_C(1) << 32)) {
		am_failure_cause(&call->failure, "FieldValueInvalid", "spec.expirationSeconds",
				 "Invalid value: %lld: may not specify a duration %s", (long long)seconds,
				 seconds < TOKEN_LEAST ? "less than 10 minutes" : "larger than 2^32 seconds");
		return am_fail_invalid(&call->failure, "TokenRequest", "authentication.k8s.io", call->name);
	}
	c->expires = c->issued + seconds;
	return ref != NULL && ref->type == AMBIENT_T_OBJECT ? bind_to(call, ref, c) : 0;
}

void
rest_token_create(struct rest_call *call, const struct am_node *body)
{
	struct am_engine *engine = call->server->engine;
	const struct am_node *spec = am_node_get(body, "spec");
	struct rest_token_claims c = { .ns = call->ns, .account = call->name };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf token = { 0 }, answer = { 0 };
	char expires[32];
	struct am_object *account = am_engine_get(engine, call->res, call->ns, call->name, NULL, &call->failure);

	if (account == NULL) {
		rest_answer_failure(call);
		return;
	}
	c.account_uid = account->uid;
	c.issued = am_clock_wall(call->server->clock) / AM_NS_PER_S;
	if (read_spec(call, spec, &c) < 0) {
		rest_answer_failure(call);
	} else if (rest_token_mint(call->server, &c, &token, &err) < 0) {
		am_fail(&call->failure, 500, "InternalError", "Internal error occurred: %s", err.message);
		rest_answer_failure(call);
	} else {
		am_time_format(expires, c.expires * AM_NS_PER_S, false);
		am_json_addf(&answer,
			     "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"metadata\":{"
			     "\"name\":%s,\"namespace\":%s},\"spec\":{\"audiences\":[",
			     call->name, call->ns);
		for (size_t i = 0; c.audiences[i] != NULL; i++)
			am_json_addf(&answer, "%j%s", i > 0 ? "," : "", c.audiences[i]);
		am_json_addf(&answer, "],\"expirationSeconds\":%l", c.expires - c.issued);
		if (c.pod != NULL)
			am_json_addf(&answer, ",\"boundObjectRef\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":%s,\"uid\":%s}",
				     c.pod, c.pod_uid);
		am_json_addf(&answer, "},\"status\":{\"token\":%s,\"expirationTimestamp\":%s}}", am_buf_str(&token), expires);
		rest_answer_json(call, 201, &answer);
	}
	am_buf_fini(&token);
	am_object_unref(account);
}

void
rest_token_jwks(struct rest_server *server, struct am_buf *out)
{
	EVP_PKEY *key = load_key(server);
	BIGNUM *x = NULL, *y = NULL;
	unsigned char bytes[32];

	am_json_addf(out, "{\"keys\":[{\"use\":\"sig\",\"kty\":\"EC\",\"kid\":%s,\"crv\":\"P-256\",\"alg\":\"ES256\"",
		     server->pki->token_kid);
	if (key != NULL && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1) {
		BN_bn2binpad(x, bytes, 32);
		am_buf_adds(out, ",\"x\":\"");
		am_base64_encode(out, bytes, 32, true);
		BN_bn2binpad(y, bytes, 32);
		am_buf_adds(out, "\",\"y\":\"");
		am_base64_encode(out, bytes, 32, true);
		am_buf_addc(out, '"');
	}
	am_buf_adds(out, "}]}");
	BN_free(x);
	BN_free(y);
	EVP_PKEY_free(key);
}
