/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes the tar files of backups, one member after the other: nothing here seeks, so that pipes will do. */
#include "core/ambientctl/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"

#define BLOCK 512
#define CHUNK ((size_t)256 * 1024)

/* The fields of a ustar header that are used. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2];
	char user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

static int
failed(struct ambient_error *err, const char *what)
{
	int number = errno;

	ambient_err(err, number == ENOSPC ? AMBIENT_E_NOMEM : AMBIENT_E_INTERNAL, "%s: %s", what, strerror(number));
	err->sys_errno = number;
	return -err->code;
}

static int
ended(FILE *in, struct ambient_error *err)
{
	return ferror(in) ? failed(err, "the archive cannot be read") :
		ambient_err(err, AMBIENT_E_INVALID, "the archive ends before its time: it is not whole");
}

bool
ctl_archive_name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= CTL_ARCHIVE_NAME || name[0] == '/' || name[n - 1] == '/')
		return false;
	for (const char *p = name; p != NULL; p = strchr(p, '/'), p += p != NULL)
		if (*p == '/' || *p == '\0' || *p == '.')
			return false;
	for (const char *p = name; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~' || *p == '\\')
			return false;
	return true;
}

/* ---- hashing */

struct hash {
	EVP_MD_CTX *ctx;
};

static void
hash_begin(struct hash *h)
{
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1)
		abort();
}

static void
hash_end(struct hash *h, char hex[65])
{
	unsigned char out[32];

	(void)EVP_DigestFinal_ex(h->ctx, out, NULL);
	EVP_MD_CTX_free(h->ctx);
	am_hex(hex, out, sizeof(out));
}

/* Copies exactly size bytes; out and h may be NULL. */
static int
copy(FILE *in, FILE *out, int64_t size, struct hash *h, struct ambient_error *err)
{
	char *chunk = malloc(CHUNK);
	int rc = chunk == NULL ? ambient_err(err, AMBIENT_E_NOMEM, "no memory") : 0;

	while (rc == 0 && size > 0) {
		size_t want = (size_t)AM_MIN(size, (int64_t)CHUNK), got = fread(chunk, 1, want, in);
		if (got < want)
			rc = ended(in, err);
		else if (out != NULL && fwrite(chunk, 1, got, out) < got)
			rc = failed(err, "it cannot be written");
		if (rc == 0 && h != NULL)
			(void)EVP_DigestUpdate(h->ctx, chunk, got);
		size -= (int64_t)want;
	}
	free(chunk);
	return rc;
}

int
ctl_archive_hash(const char *path, char hex[65], int64_t *ret_size, struct ambient_error *err)
{
	FILE *in = fopen(path, "rbe");
	struct hash h;
	int rc;

	if (in == NULL || fseeko(in, 0, SEEK_END) < 0) {
		rc = failed(err, path);
		if (in != NULL)
			(void)fclose(in);
		return rc;
	}
	*ret_size = (int64_t)ftello(in);
	rewind(in);
	hash_begin(&h);
	rc = copy(in, NULL, *ret_size, &h, err);
	hash_end(&h, hex);
	(void)fclose(in);
	return rc;
}

/* ---- writing */

static unsigned
checksum(const struct header *h)
{
	struct header copy = *h;
	const unsigned char *p = (const unsigned char *)&copy;
	unsigned sum = 0;

	memset(copy.sum, ' ', sizeof(copy.sum));
	for (size_t i = 0; i < BLOCK; i++)
		sum += p[i];
	return sum;
}

static int
put_header(FILE *out, const char *name, int64_t size, struct ambient_error *err)
{
	struct header h = { .type = '0', .magic = "ustar", .version = "00" };
	char sum[8];

	if (!ctl_archive_name_ok(name) || size > CTL_MEMBER_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" of %lld bytes cannot be put into an archive", name,
				   (long long)size);
	memcpy(h.name, name, strlen(name));
	memcpy(h.mode, "0000600", 8);
	memcpy(h.uid, "0000000", 8);
	memcpy(h.gid, "0000000", 8);
	memcpy(h.mtime, "00000000000", 12);
	snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)size);
	snprintf(sum, sizeof(sum), "%06o", checksum(&h) & 0777777);
	memcpy(h.sum, sum, 7);
	h.sum[7] = ' ';
	return fwrite(&h, 1, BLOCK, out) == BLOCK ? 0 : failed(err, "the archive cannot be written");
}

static int
put_padding(FILE *out, int64_t size, struct ambient_error *err)
{
	static const char zeros[BLOCK];
	size_t n = (size_t)((BLOCK - size % BLOCK) % BLOCK);

	return fwrite(zeros, 1, n, out) == n ? 0 : failed(err, "the archive cannot be written");
}

int
ctl_archive_put(FILE *out, const char *name, const void *data, size_t n, struct ambient_error *err)
{
	int rc = put_header(out, name, (int64_t)n, err);

	if (rc == 0 && fwrite(data, 1, n, out) < n)
		rc = failed(err, "the archive cannot be written");
	return rc == 0 ? put_padding(out, (int64_t)n, err) : rc;
}

int
ctl_archive_put_file(FILE *out, const char *name, const char *path, int64_t size, struct ambient_error *err)
{
	FILE *in = fopen(path, "rbe");
	int rc = in == NULL ? failed(err, path) : put_header(out, name, size, err);

	if (rc == 0)
		rc = copy(in, out, size, NULL, err);
	if (in != NULL)
		(void)fclose(in);
	return rc == 0 ? put_padding(out, size, err) : rc;
}

int
ctl_archive_end(FILE *out, struct ambient_error *err)
{
	static const char zeros[2 * BLOCK];

	return fwrite(zeros, 1, sizeof(zeros), out) == sizeof(zeros) && fflush(out) == 0 ? 0
		: failed(err, "the archive cannot be written");
}

/* ---- reading */

static bool
octal(const char *p, size_t n, int64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i + 1 < n; i++) {
		if (p[i] < '0' || p[i] > '7')
			return false;
		*ret = *ret * 8 + (p[i] - '0');
	}
	return p[n - 1] == '\0' || p[n - 1] == ' ';
}

int
ctl_archive_next(FILE *in, char name[CTL_ARCHIVE_NAME], int64_t *ret_size, struct ambient_error *err)
{
	struct header h;
	int64_t sum;

	if (fread(&h, 1, BLOCK, in) < BLOCK)
		return ended(in, err);
	if (memcmp(h.magic, "ustar", 6) != 0 || !octal(h.sum, 7, &sum) || sum != (int64_t)checksum(&h))
		return ambient_err(err, AMBIENT_E_INVALID, "this is no backup, or a damaged one");
	if (h.type != '0' || h.name[sizeof(h.name) - 1] != '\0' || h.prefix[0] != '\0' || !ctl_archive_name_ok(h.name) ||
	    !octal(h.size, sizeof(h.size), ret_size))
		return ambient_err(err, AMBIENT_E_INVALID, "the archive has a member that no backup has");
	memcpy(name, h.name, sizeof(h.name));
	return 0;
}

static int
skip_padding(FILE *in, int64_t size, struct ambient_error *err)
{
	return copy(in, NULL, (BLOCK - size % BLOCK) % BLOCK, NULL, err);
}

int
ctl_archive_take(FILE *in, int64_t size, struct am_buf *out, struct ambient_error *err)
{
	char *at = size <= CTL_MANIFEST_MAX ? malloc((size_t)size + 1) : NULL;
	int rc = at == NULL ? ambient_err(err, AMBIENT_E_INVALID, "the archive's table of contents is too large") : 0;

	if (rc == 0 && fread(at, 1, (size_t)size, in) < (size_t)size)
		rc = ended(in, err);
	if (rc == 0)
		am_buf_add(out, at, (size_t)size);
	free(at);
	return rc == 0 ? skip_padding(in, size, err) : rc;
}

int
ctl_archive_take_file(FILE *in, int64_t size, const char *path, char hex[65], struct ambient_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
	struct hash h;
	int rc;

	if (out == NULL) {
		rc = failed(err, path);
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	hash_begin(&h);
	rc = copy(in, out, size, &h, err);
	hash_end(&h, hex);
	if (rc == 0 && (fflush(out) != 0 || fsync(fd) < 0))
		rc = failed(err, path);
	(void)fclose(out);
	return rc == 0 ? skip_padding(in, size, err) : rc;
}
