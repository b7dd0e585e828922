/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate authority in a file, which somebody else replaces.  Each connection is verified with what the file says
 * when it is made: a look at the file's metadata tells whether it is to be read again.  While it cannot be read, or is
 * only half written, the old text goes on.  A large bundle of many authorities is left to curl, which parses it once for
 * all connections and reads it again after five minutes.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

#define CA_MAX (64u << 10)

static size_t
occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what))
		n++;
	return n;
}

static bool
is_whole(const char *text)
{
	size_t begun = occurrences(text, "-----BEGIN "), ended = occurrences(text, "-----END ");

	return begun > 0 && begun == ended;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void
read_again(struct am_ca *ca)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	struct ambient_error why = AMBIENT_ERROR_INIT;
	int rc = am_file_read(ca->path, CA_MAX, &text, &why);

	if (rc == 0 && !is_whole(am_buf_str(&text)))
		rc = ambient_err(&why, AMBIENT_E_INVALID, "\"%s\" holds no whole certificate", ca->path);
	if (rc == 0) {
		if (ca->text != NULL)
			am_log_info("kube", "the certificate authority in \"%s\" has changed", ca->path);
		free(ca->text);
		ca->text = am_buf_steal(&text, NULL);
	} else if (rc == -AMBIENT_E_NOMEM) {
		free(ca->text);
		ca->text = NULL;
	} else if (ca->text != NULL) {
		am_log_warn("kube", "the certificate authority is not renewed, the old one goes on: %s", why.message);
	}
}

const char *
am_ca_get(struct am_ca *ca)
{
	struct stat now;

	if (ca->path == NULL || stat(ca->path, &now) < 0)
		return ca->text;
	if (!same_file(&now, &ca->seen)) {
		ca->seen = now;
		read_again(ca);
	}
	return ca->text;
}

void
am_ca_fini(struct am_ca *ca)
{
	free(ca->text);
	ca->text = NULL;
}
