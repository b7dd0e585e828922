/* SPDX-License-Identifier: Apache-2.0 */
/* See seal.h.  Nonces are random: a key is good for 2^32 writes, which is more than a database of one machine sees. */
#include "plugins/standalone/apiserver/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"

#define KEYS_MAX  32
#define ID_MAX    64
#define KEY_LEN   32
#define NONCE_LEN 12
#define TAG_LEN   16
#define FILE_MAX  ((size_t)64 * 1024)

static const char magic[5] = { '\0', 'A', 'S', 'E', 1 };

struct key {
	char id[ID_MAX + 1];
	unsigned char bytes[KEY_LEN];
};

struct am_seal {
	struct key keys[KEYS_MAX]; /* the first one writes, unless plain */
	size_t n;
	bool plain;
};

/* ---- the key file */

static int
add_key(struct am_seal *seal, const char *path, unsigned line, const char *id, size_t id_len, const char *key,
	size_t key_len, struct ambient_error *err)
{
	struct am_buf bytes = { .max = 256 };
	struct key *k = &seal->keys[seal->n];
	int rc = 0;

	if (seal->n == KEYS_MAX)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s:%u: more than %d keys", path, line, KEYS_MAX);
	else if (id_len > ID_MAX)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s:%u: the key's id is longer than %d bytes", path, line, ID_MAX);
	else if (am_base64_decode(&bytes, key, key_len, false) < 0 || bytes.len != KEY_LEN)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s:%u: a key is 32 bytes in base64; make one with: head -c 32 "
				 "/dev/urandom | base64", path, line);
	for (size_t i = 0; rc == 0 && i < seal->n; i++)
		if (strlen(seal->keys[i].id) == id_len && memcmp(seal->keys[i].id, id, id_len) == 0)
			rc = ambient_err(err, AMBIENT_E_INVALID, "%s:%u: the id \"%s\" is there twice", path, line, seal->keys[i].id);
	if (rc == 0) {
		memcpy(k->id, id, id_len);
		memcpy(k->bytes, bytes.data, KEY_LEN);
		seal->n++;
	}
	if (bytes.data != NULL)
		OPENSSL_cleanse(bytes.data, bytes.cap);
	am_buf_fini(&bytes);
	return rc;
}

/* One line without its end. */
static int
parse_line(struct am_seal *seal, const char *path, unsigned line, const char *p, size_t n, struct ambient_error *err)
{
	const char *end = p + n;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	if (p == end || *p == '#')
		return 0;
	const char *id = p;

	while (p < end && *p != ' ' && *p != '\t')
		p++;
	size_t id_len = (size_t)(p - id);

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == end && id_len == 5 && memcmp(id, "plain", 5) == 0 && seal->n == 0 && !seal->plain) {
		seal->plain = true;
		return 0;
	}
	if (p == end)
		return ambient_err(err, AMBIENT_E_INVALID, "%s:%u: a line is \"ID KEY\", and \"plain\" may stand first", path, line);
	return add_key(seal, path, line, id, id_len, p, (size_t)(end - p), err);
}

int
am_seal_parse(const char *path, const char *text, size_t n, struct am_seal **ret, struct ambient_error *err)
{
	struct am_seal *seal = am_xcalloc(1, sizeof(*seal));
	const char *p = text, *end = text + n;
	unsigned line = 1;
	int rc = 0;

	while (rc == 0 && p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		if (eol == NULL)
			eol = end;
		rc = parse_line(seal, path, line++, p, (size_t)(eol - p), err);
		p = eol + (eol < end);
	}
	if (rc == 0 && seal->n == 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s: there is no key in it", path);
	if (rc < 0) {
		am_seal_free(seal);
		return rc;
	}
	*ret = seal;
	return 0;
}

/* Read through one descriptor, so that what was checked is what is read. */
int
am_seal_open(const char *key_file, struct am_seal **ret, struct ambient_error *err)
{
	int fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = ambient_err(err, AMBIENT_E_INVALID, "the key file %s cannot be read: %s", key_file, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX) {
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s is no key file", key_file);
	} else if ((st.st_mode & 077) != 0) {
		rc = ambient_err(err, AMBIENT_E_INVALID, "the key file %s may be read by others; chmod 600 it", key_file);
	} else {
		char *text = am_xcalloc(1, FILE_MAX + 1);
		ssize_t n = read(fd, text, FILE_MAX);

		rc = n < 0 ? ambient_err(err, AMBIENT_E_INVALID, "the key file %s cannot be read: %s", key_file, strerror(errno))
			   : am_seal_parse(key_file, text, (size_t)n, ret, err);
		OPENSSL_cleanse(text, FILE_MAX);
		free(text);
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

void
am_seal_free(struct am_seal *seal)
{
	if (seal == NULL)
		return;
	OPENSSL_cleanse(seal, sizeof(*seal));
	free(seal);
}

/* ---- envelopes */

/* What binds a sealed body to its place. */
static void
add_place(const struct am_seal_row *row, const char *id, struct am_buf *out)
{
	am_buf_add(out, magic, sizeof(magic));
	am_buf_addf(out, "%s%c%lld%c%llu%c%c%s%c%s", id, '\n', (long long)row->res, '\n', (unsigned long long)row->rv, '\n',
		    row->column, row->ns != NULL ? row->ns : "", '\n', row->name);
}

bool
am_seal_is_sealed(const void *body, size_t n)
{
	return n >= sizeof(magic) && memcmp(body, magic, sizeof(magic) - 1) == 0;
}

static size_t
id_of(const void *body, size_t n, const char **ret)
{
	const unsigned char *p = body;

	*ret = (const char *)p + sizeof(magic) + 1;
	return n > sizeof(magic) && (size_t)p[sizeof(magic)] + sizeof(magic) + 1 <= n ? p[sizeof(magic)] : 0;
}

bool
am_seal_is_stale(const struct am_seal *seal, const void *body, size_t n)
{
	const char *id;

	if (seal->plain || !am_seal_is_sealed(body, n))
		return seal->plain == am_seal_is_sealed(body, n);
	size_t len = id_of(body, n, &id);

	return strlen(seal->keys[0].id) != len || memcmp(seal->keys[0].id, id, len) != 0;
}

int
am_seal_encode(const struct am_seal *seal, const struct am_seal_row *row, const void *body, size_t n,
	       struct am_buf *out, struct ambient_error *err)
{
	const struct key *key = &seal->keys[0];
	struct am_buf place = { 0 };
	unsigned char nonce[NONCE_LEN], tag[TAG_LEN];
	int len = 0, last = 0;

	if (seal->plain) {
		am_buf_add(out, body, n);
		return out->failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a body of %zu bytes", n) : 0;
	}
	am_random(nonce, sizeof(nonce));
	add_place(row, key->id, &place);
	am_buf_add(out, magic, sizeof(magic));
	am_buf_addc(out, (char)strlen(key->id));
	am_buf_adds(out, key->id);
	am_buf_add(out, nonce, sizeof(nonce));
	size_t tag_at = out->len;

	am_buf_add(out, tag, sizeof(tag));
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = am_buf_reserve(out, n) && !place.failed && n <= INT32_MAX && ctx != NULL &&
		  EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
		  EVP_EncryptUpdate(ctx, NULL, &len, (const unsigned char *)place.data, (int)place.len) == 1 &&
		  EVP_EncryptUpdate(ctx, (unsigned char *)out->data + out->len, &len, body, (int)n) == 1 &&
		  EVP_EncryptFinal_ex(ctx, (unsigned char *)out->data + out->len + len, &last) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out->data + tag_at) == 1;

	if (ok)
		out->len += (size_t)len + (size_t)last;
	EVP_CIPHER_CTX_free(ctx);
	am_buf_fini(&place);
	return ok ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "\"%s/%s\" cannot be encrypted", row->ns, row->name);
}

static int
open_sealed(const struct key *key, const struct am_seal_row *row, const unsigned char *p, size_t n, struct am_buf *out,
	    struct ambient_error *err)
{
	const unsigned char *nonce = p, *tag = p + NONCE_LEN, *text = tag + TAG_LEN;
	struct am_buf place = { 0 };
	int len = 0, last = 0;

	n -= NONCE_LEN + TAG_LEN;
	add_place(row, key->id, &place);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = am_buf_reserve(out, n + 1) && !place.failed && n <= INT32_MAX && ctx != NULL &&
		  EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key->bytes, nonce) == 1 &&
		  EVP_DecryptUpdate(ctx, NULL, &len, (const unsigned char *)place.data, (int)place.len) == 1 &&
		  EVP_DecryptUpdate(ctx, (unsigned char *)out->data + out->len, &len, text, (int)n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, (void *)(uintptr_t)tag) == 1 &&
		  EVP_DecryptFinal_ex(ctx, (unsigned char *)out->data + out->len + len, &last) == 1;

	if (ok)
		out->len += (size_t)len + (size_t)last;
	if (out->data != NULL)
		out->data[out->len] = '\0';
	EVP_CIPHER_CTX_free(ctx);
	am_buf_fini(&place);
	return ok ? 0 : ambient_err(err, AMBIENT_E_INVALID, "\"%s/%s\" cannot be decrypted with the key \"%s\": it is not the key "
				    "that wrote it, or the row was changed", row->ns, row->name, key->id);
}

int
am_seal_decode(const struct am_seal *seal, const struct am_seal_row *row, const void *body, size_t n,
	       struct am_buf *out, struct ambient_error *err)
{
	const unsigned char *p = body;
	const char *id;
	size_t len = id_of(body, n, &id), head = sizeof(magic) + 1 + len;

	if (p[sizeof(magic) - 1] != 1)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s/%s\" is encrypted in format %d, this release reads 1; use the "
				   "release that wrote it", row->ns, row->name, p[sizeof(magic) - 1]);
	if (len == 0 || n < head + NONCE_LEN + TAG_LEN)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s/%s\" is encrypted and cut off; restore a copy", row->ns, row->name);
	for (size_t i = 0; seal != NULL && i < seal->n; i++)
		if (strlen(seal->keys[i].id) == len && memcmp(seal->keys[i].id, id, len) == 0)
			return open_sealed(&seal->keys[i], row, p + head, n - head, out, err);
	return ambient_err(err, AMBIENT_E_INVALID, "\"%s/%s\" is encrypted with the key \"%.*s\", which %s; give the file that has "
			   "it (option encryptionKeys)", row->ns, row->name, (int)AM_MIN(len, (size_t)ID_MAX), id,
			   seal == NULL ? "is not configured" : "is not in the key file");
}
