/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See jwt.h.  What the head of a token says about algorithm and key is only ever used to choose among our own keys, so
 * "none", a foreign key or a symmetric algorithm with our public key as the secret find nothing to be checked with.
 */
#include "plugins/standalone/apiserver/jwt.h"

#include <dirent.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"

#define KEYS_MAX  64
#define PEM_LIMIT ((size_t)64 * 1024)
#define HALF      32
#define SEEN      1024 /* a power of two */

struct key {
	EVP_PKEY *pkey;
	char kid[33];
	int64_t since; /* wall time: the signing one was made, the others were replaced */
};

struct rest_keys {
	struct am_lock lock; /* guards items, n and seen */
	char *dir;
	struct am_clock *clock;
	int64_t life, keep;
	struct key items[KEYS_MAX]; /* the first one signs */
	size_t n;
	/* Hashes of tokens whose signatures were good, by their first bytes.  Clients show the same token with every
	 * request, and checking a signature costs more than all else that is done for a small one. */
	unsigned char seen[SEEN][32];
};

/* ---- one key */

static bool
set_kid(struct key *key)
{
	unsigned char *der = NULL, digest[32];
	char hex[65];
	int n = i2d_PUBKEY(key->pkey, &der);

	if (n <= 0)
		return false;
	am_sha256(der, (size_t)n, digest);
	am_hex(hex, digest, sizeof(digest));
	(void)am_strlcpy(key->kid, hex, sizeof(key->kid));
	OPENSSL_free(der);
	return true;
}

static bool
is_p256(const EVP_PKEY *pkey)
{
	char name[32];
	size_t n = 0;

	return EVP_PKEY_get_group_name(pkey, name, sizeof(name), &n) == 1 && strcmp(name, "prime256v1") == 0;
}

/* false: absent, or not a key for ES256. */
static bool
read_key(const char *path, bool private, struct key *key)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 };
	struct stat st;
	BIO *bio = NULL;

	*key = (struct key){ 0 };
	if (am_file_read(path, PEM_LIMIT, &text, &err) == 0 && (bio = BIO_new_mem_buf(am_buf_str(&text), -1)) != NULL)
		key->pkey = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	am_buf_fini(&text);
	if (key->pkey == NULL || !is_p256(key->pkey) || !set_kid(key) || stat(path, &st) < 0) {
		EVP_PKEY_free(key->pkey);
		key->pkey = NULL;
		return false;
	}
	key->since = st.st_mtim.tv_sec * AM_NS_PER_S;
	return true;
}

static int
write_key(struct rest_keys *keys, const char *name, const struct key *key, bool private, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", keys->dir, name);
	BIO *bio = BIO_new(BIO_s_mem());
	char *data = NULL;
	int rc = bio == NULL ? 0
		 : private ? PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL)
			   : PEM_write_bio_PUBKEY(bio, key->pkey);
	long n = bio != NULL ? BIO_get_mem_data(bio, &data) : 0;

	rc = rc == 1 ? am_file_write(path, data, (size_t)n, 0600, err)
		     : ambient_err(err, AMBIENT_E_INTERNAL, "cannot write a key for tokens");
	BIO_free(bio);
	return rc;
}

/* ---- the set */

static void
add_key(struct rest_keys *keys, const struct key *key)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(keys->items[i].kid, key->kid) == 0) {
			EVP_PKEY_free(key->pkey);
			return;
		}
	if (keys->n < KEYS_MAX)
		keys->items[keys->n++] = *key;
	else
		EVP_PKEY_free(key->pkey);
}

/* The keys that were replaced; those whose last token is over are removed. */
static void
read_replaced(struct rest_keys *keys)
{
	DIR *dir = opendir(keys->dir);
	int64_t now = am_clock_wall(keys->clock);

	for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
		struct key key;

		if (!am_starts(e->d_name, "token-") || !am_ends(e->d_name, ".pub"))
			continue;
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", keys->dir, e->d_name);

		if (!read_key(path, false, &key)) {
			am_log_warn("apiserver", "%s is no public key for tokens; it is not used", path);
		} else if (now - key.since > keys->keep) {
			EVP_PKEY_free(key.pkey);
			(void)unlink(path);
		} else {
			add_key(keys, &key);
		}
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* The lock is held, or nobody else knows the keys.  The old key verifies on before the new one signs. */
static int
rotate(struct rest_keys *keys, struct ambient_error *err)
{
	struct key key = { .pkey = EVP_EC_gen("P-256"), .since = am_clock_wall(keys->clock) };
	struct key *old = keys->n > 0 ? &keys->items[0] : NULL;
	char name[64];
	int rc = 0;

	if (key.pkey == NULL || !set_kid(&key))
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "cannot make a key for tokens");
	if (rc == 0 && old != NULL) {
		(void)snprintf(name, sizeof(name), "token-%s.pub", old->kid);
		rc = write_key(keys, name, old, false, err);
	}
	if (rc == 0)
		rc = write_key(keys, "token.key", &key, true, err);
	if (rc < 0) {
		EVP_PKEY_free(key.pkey);
		return rc;
	}
	if (old != NULL) {
		old->since = key.since;
		if (keys->n == KEYS_MAX)
			EVP_PKEY_free(keys->items[--keys->n].pkey);
		memmove(keys->items + 1, keys->items, keys->n * sizeof(keys->items[0]));
	}
	keys->items[0] = key;
	keys->n++;
	return 0;
}

int
rest_keys_open(const struct rest_keys_options *options, struct rest_keys **ret, struct ambient_error *err)
{
	struct rest_keys *keys = am_xcalloc(1, sizeof(*keys));
	am_auto(am_freep) char *path = am_xasprintf("%s/token.key", options->dir);
	struct key key;
	int rc = 0;

	am_lock_init(&keys->lock, "token-keys");
	keys->dir = am_xstrdup(options->dir);
	keys->clock = options->clock;
	keys->life = options->life_ns;
	keys->keep = options->keep_ns;
	if (read_key(path, true, &key))
		add_key(keys, &key);
	else if (access(path, F_OK) == 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s is no P-256 private key; restore it, or remove it to end the "
				 "validity of every token", path);
	else
		rc = rotate(keys, err);
	if (rc < 0) {
		rest_keys_free(keys);
		return rc;
	}
	read_replaced(keys);
	*ret = keys;
	return 0;
}

void
rest_keys_free(struct rest_keys *keys)
{
	if (keys == NULL)
		return;
	for (size_t i = 0; i < keys->n; i++)
		EVP_PKEY_free(keys->items[i].pkey);
	am_lock_fini(&keys->lock);
	free(keys->dir);
	free(keys);
}

int
rest_keys_rotate(struct rest_keys *keys, struct ambient_error *err)
{
	am_lock(&keys->lock);
	int rc = rotate(keys, err);

	am_unlock(&keys->lock);
	return rc;
}

/* A reference to the key that signs, made anew when it has grown old. */
static EVP_PKEY *
signing_key(struct rest_keys *keys, char kid[33])
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_lock(&keys->lock);
	if (keys->life > 0 && am_clock_wall(keys->clock) - keys->items[0].since > keys->life && rotate(keys, &err) < 0)
		am_log_error("apiserver", "the key for tokens is due, but cannot be replaced: %s", err.message);
	EVP_PKEY *pkey = keys->items[0].pkey;

	(void)am_strlcpy(kid, keys->items[0].kid, 33);
	EVP_PKEY_up_ref(pkey);
	am_unlock(&keys->lock);
	return pkey;
}

/* A reference, NULL when there is none of that id that still verifies. */
static EVP_PKEY *
verifying_key(struct rest_keys *keys, const char *kid)
{
	int64_t now = am_clock_wall(keys->clock);
	EVP_PKEY *pkey = NULL;

	am_lock(&keys->lock);
	for (size_t i = 0; i < keys->n && pkey == NULL; i++)
		if (strcmp(keys->items[i].kid, kid) == 0 && (i == 0 || now - keys->items[i].since <= keys->keep))
			pkey = keys->items[i].pkey;
	if (pkey != NULL)
		EVP_PKEY_up_ref(pkey);
	am_unlock(&keys->lock);
	return pkey;
}

static void
add_coordinate(EVP_PKEY *pkey, const char *param, const char *name, struct am_buf *out)
{
	BIGNUM *number = NULL;
	unsigned char bytes[HALF] = { 0 };

	if (EVP_PKEY_get_bn_param(pkey, param, &number) == 1)
		(void)BN_bn2binpad(number, bytes, HALF);
	BN_free(number);
	am_buf_addf(out, ",\"%s\":\"", name);
	am_base64_encode(out, bytes, HALF, true);
	am_buf_addc(out, '"');
}

void
rest_keys_jwks(struct rest_keys *keys, struct am_buf *out)
{
	am_buf_adds(out, "{\"keys\":[");
	am_lock(&keys->lock);
	for (size_t i = 0; i < keys->n; i++) {
		am_json_addf(out, "%j{\"use\":\"sig\",\"kty\":\"EC\",\"kid\":%s,\"crv\":\"P-256\",\"alg\":\"ES256\"",
			     i > 0 ? "," : "", keys->items[i].kid);
		add_coordinate(keys->items[i].pkey, OSSL_PKEY_PARAM_EC_PUB_X, "x", out);
		add_coordinate(keys->items[i].pkey, OSSL_PKEY_PARAM_EC_PUB_Y, "y", out);
		am_buf_addc(out, '}');
	}
	am_unlock(&keys->lock);
	am_buf_adds(out, "]}");
}

/* ---- signatures: two numbers of 32 bytes, as JWS wants them, from DER and back */

static bool
sign(EVP_PKEY *key, const char *text, size_t n, unsigned char out[2 * HALF])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char der[128];
	size_t der_len = sizeof(der);
	const unsigned char *p = der;
	ECDSA_SIG *sig = NULL;
	bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(ctx, der, &der_len, (const unsigned char *)text, n) == 1 &&
		  (sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len)) != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, HALF) == HALF &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + HALF, HALF) == HALF;

	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool
verify(EVP_PKEY *key, const char *text, size_t n, const unsigned char raw[2 * HALF])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, HALF, NULL), *s = BN_bin2bn(raw + HALF, HALF, NULL);
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

/* ---- tokens */

/* The slot of a token; true when it is in it. */
static bool
was_seen(struct rest_keys *keys, const unsigned char digest[32], bool note)
{
	size_t slot = (digest[0] | (size_t)digest[1] << 8) & (SEEN - 1);

	am_lock(&keys->lock);
	bool seen = memcmp(keys->seen[slot], digest, 32) == 0;

	if (note)
		memcpy(keys->seen[slot], digest, 32);
	am_unlock(&keys->lock);
	return seen;
}

/* The key is one that verifies now: what it has signed once, it has signed. */
static bool
verify_once(struct rest_keys *keys, EVP_PKEY *key, const char *token, size_t n, const unsigned char raw[2 * HALF])
{
	unsigned char digest[32];

	am_sha256(token, strlen(token), digest);
	if (was_seen(keys, digest, false))
		return true;
	bool ok = verify(key, token, n, raw);

	if (ok)
		(void)was_seen(keys, digest, true);
	return ok;
}

int
rest_jwt_sign(struct rest_keys *keys, const struct am_buf *claims, struct am_buf *out, struct ambient_error *err)
{
	struct am_buf head = { 0 };
	unsigned char raw[2 * HALF];
	char kid[33];
	EVP_PKEY *key = signing_key(keys, kid);
	size_t start = out->len;

	am_json_addf(&head, "{\"alg\":\"ES256\",\"kid\":%s,\"typ\":\"JWT\"}", kid);
	am_base64_encode(out, head.data, head.len, true);
	am_buf_addc(out, '.');
	am_base64_encode(out, claims->data, claims->len, true);
	bool ok = !claims->failed && !out->failed && sign(key, out->data + start, out->len - start, raw);

	am_buf_addc(out, '.');
	am_base64_encode(out, raw, ok ? sizeof(raw) : 0, true);
	EVP_PKEY_free(key);
	am_buf_fini(&head);
	if (ok && out->len - start > REST_JWT_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "the token would have %zu bytes, more than %d", out->len - start,
				   REST_JWT_MAX);
	return ok ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "the token cannot be signed");
}

static struct am_node *
decode_part(struct am_arena *arena, const char *p, size_t n)
{
	struct am_buf text = { .max = REST_JWT_MAX };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *ret = NULL;

	if (am_base64_decode(&text, p, n, true) == 0) {
		char *copy = am_arena_strndup(arena, am_buf_str(&text), text.len);

		if (copy != NULL)
			ret = am_node_parse(arena, copy, text.len, &err);
	}
	am_buf_fini(&text);
	return ret != NULL && ret->type == AMBIENT_T_OBJECT ? ret : NULL;
}

struct am_node *
rest_jwt_verify(struct rest_keys *keys, struct am_arena *arena, const char *token, struct ambient_error *err)
{
	size_t n = strnlen(token, REST_JWT_MAX + 1);
	const char *dot = n <= REST_JWT_MAX ? strchr(token, '.') : NULL, *dot2 = dot != NULL ? strchr(dot + 1, '.') : NULL;
	struct am_buf raw = { .max = 128 };
	EVP_PKEY *key = NULL;
	bool ok = false;

	if (dot2 == NULL || strchr(dot2 + 1, '.') != NULL) {
		ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the token is no signed JWT");
		return NULL;
	}
	const struct am_node *head = decode_part(arena, token, (size_t)(dot - token));

	if (head != NULL && strcmp(am_node_get_str(head, "alg", ""), "ES256") == 0 && am_node_get(head, "crit") == NULL &&
	    am_base64_decode(&raw, dot2 + 1, strlen(dot2 + 1), true) == 0 && raw.len == 2 * HALF &&
	    (key = verifying_key(keys, am_node_get_str(head, "kid", ""))) != NULL)
		ok = verify_once(keys, key, token, (size_t)(dot2 - token), (const unsigned char *)raw.data);
	EVP_PKEY_free(key);
	am_buf_fini(&raw);
	struct am_node *claims = ok ? decode_part(arena, dot + 1, (size_t)(dot2 - dot - 1)) : NULL;

	if (claims == NULL)
		ambient_err(err, AMBIENT_E_UNAUTHORIZED, "the signature of the token is not this server's");
	return claims;
}
