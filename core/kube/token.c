/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bearer token that somebody else renews in a file.  It is read again after a minute and when the server
 * refused it; when reading fails the old one goes on, because it is probably still good.
 */
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

#define TOKEN_MAX (64u << 10)

static void
forget(struct am_token *token)
{
	if (token->value != NULL)
		explicit_bzero(token->value, strlen(token->value));
	free(token->value);
	token->value = NULL;
}

/* A header line is built of it: visible ASCII only, white space around it cut. */
static char *
clean(const struct am_buf *buf)
{
	const char *p = am_buf_str(buf);
	size_t n = buf->len;

	while (n > 0 && strchr(" \t\r\n", p[n - 1]) != NULL)
		n--;
	while (n > 0 && strchr(" \t\r\n", p[0]) != NULL)
		p++, n--;
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~')
			return NULL;
	return n > 0 ? am_xstrndup(p, n) : NULL;
}

const char *
am_token_get(struct am_token *token, int64_t now, struct ambient_error *err)
{
	if (token->value != NULL && !token->dropped && now - token->read_at < AM_TOKEN_NS)
		return token->value;

	struct ambient_error why = AMBIENT_ERROR_INIT;
	struct am_buf buf = { 0 };
	char *fresh = NULL;

	if (am_file_read(token->path, TOKEN_MAX, &buf, &why) == 0) {
		fresh = clean(&buf);
		if (fresh == NULL)
			(void)ambient_err(&why, AMBIENT_E_INVALID, "\"%s\" holds no token", token->path);
		if (buf.data != NULL)
			explicit_bzero(buf.data, buf.len);
	}
	am_buf_fini(&buf);
	if (fresh != NULL) {
		forget(token);
		token->value = fresh;
		token->read_at = now;
		token->dropped = false;
		return fresh;
	}
	if (token->value == NULL) {
		ambient_err_copy(err, &why);
		return NULL;
	}
	/* Asked again at the next use, but not said again for each: it would be a line per request. */
	if (!token->dropped)
		am_log_warn("kube", "the token is not renewed, the old one goes on: %s", why.message);
	token->dropped = true;
	return token->value;
}

void
am_token_drop(struct am_token *token, int64_t began)
{
	if (token->value != NULL && token->read_at <= began)
		token->dropped = true;
}

void
am_token_fini(struct am_token *token)
{
	forget(token);
}
