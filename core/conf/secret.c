/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets.  The configuration names where one is, "file:PATH" or "env:NAME", and never holds it.  The bytes are
 * kept outside of the arena and wiped with their generation.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/str.h"
#include "core/conf/conf_priv.h"

struct conf_secret {
	struct conf_secret *next;
	size_t len;
	char text[];
};

static const char *
keep(struct am_conf_file *file, const char *text, size_t len)
{
	struct conf_secret *secret = am_xcalloc(1, sizeof(*secret) + len + 1);

	memcpy(secret->text, text, len);
	secret->len = len;
	secret->next = file->secrets;
	file->secrets = secret;
	return secret->text;
}

static const char *
from_file(struct am_conf_file *file, const char *name, const char *dir, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_auto(am_freep) char *path = NULL;
	const char *ret = NULL;

	path = name[0] == '/' ? am_xstrdup(name) : am_xasprintf("%s/%s", dir != NULL ? dir : ".", name);
	if (am_file_read(path, CONF_SECRET_MAX, &text, err) < 0)
		return NULL;
	size_t n = text.len;
	while (n > 0 && (text.data[n - 1] == '\n' || text.data[n - 1] == '\r'))
		n--;
	if (n == 0)
		(void)ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is empty", path);
	else if (memchr(text.data, '\0', n) != NULL)
		(void)ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no text", path);
	else
		ret = keep(file, text.data, n);
	explicit_bzero(text.data, text.len);
	return ret;
}

const char *
conf_secret(struct am_conf_file *file, const char *reference, const char *dir, struct ambient_error *err)
{
	if (am_starts(reference, "file:") && reference[5] != '\0')
		return from_file(file, reference + 5, dir, err);
	if (am_starts(reference, "env:") && reference[4] != '\0') {
		const char *v = getenv(reference + 4);

		if (!am_empty(v))
			return keep(file, v, strlen(v));
		(void)ambient_err(err, AMBIENT_E_NOTFOUND, "the environment has no variable \"%s\"", reference + 4);
		return NULL;
	}
	(void)ambient_err(err, AMBIENT_E_INVALID, "write \"file:PATH\" or \"env:NAME\", never the secret itself");
	return NULL;
}

void
conf_secrets_wipe(struct am_conf_file *file)
{
	while (file->secrets != NULL) {
		struct conf_secret *secret = file->secrets;

		file->secrets = secret->next;
		explicit_bzero(secret->text, secret->len);
		free(secret);
	}
}
