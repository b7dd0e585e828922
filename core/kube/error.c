/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an HTTP answer to an error.  The body is a Status as a rule, or from a pod behind the proxy an object with a
 * sentence in it; but proxies in between answer with anything, so it is bounded and cleaned before it gets near a log.
 */
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

#define STATUS_MAX (1u << 20)

static const struct {
	int status;
	int code;
	const char *text;
} answers[] = {
	{ 400, AMBIENT_E_INVALID, "bad request" },
	{ 401, AMBIENT_E_UNAUTHORIZED, "unauthorized" },
	{ 403, AMBIENT_E_FORBIDDEN, "forbidden" },
	{ 404, AMBIENT_E_NOTFOUND, "not found" },
	{ 405, AMBIENT_E_UNSUPPORTED, "method not allowed" },
	{ 406, AMBIENT_E_UNSUPPORTED, "not acceptable" },
	{ 408, AMBIENT_E_TIMEOUT, "request timeout" },
	{ 409, AMBIENT_E_CONFLICT, "conflict" },
	{ 410, AMBIENT_E_GONE, "gone" },
	{ 413, AMBIENT_E_NOMEM, "request entity too large" },
	{ 415, AMBIENT_E_UNSUPPORTED, "unsupported media type" },
	{ 422, AMBIENT_E_INVALID, "unprocessable entity" },
	{ 429, AMBIENT_E_THROTTLED, "too many requests" },
	{ 500, AMBIENT_E_INTERNAL, "internal server error" },
	{ 502, AMBIENT_E_UNAVAILABLE, "bad gateway" },
	{ 503, AMBIENT_E_UNAVAILABLE, "service unavailable" },
	{ 504, AMBIENT_E_TIMEOUT, "gateway timeout" },
};

static int
code_of(int status, const char *reason, const char **ret_text)
{
	*ret_text = status >= 300 && status < 400 ? "redirects are not followed" : "unexpected status";
	if (status == 409 && am_streq(reason, "AlreadyExists"))
		return AMBIENT_E_EXISTS;
	for (size_t i = 0; i < AM_COUNTOF(answers); i++) {
		if (answers[i].status == status) {
			*ret_text = answers[i].text;
			return answers[i].code;
		}
	}
	if (status >= 500)
		return AMBIENT_E_UNAVAILABLE;
	return status >= 300 ? AMBIENT_E_INVALID : AMBIENT_E_INTERNAL;
}

/* Copies what can be shown: control characters become spaces, a cut does not split a UTF-8 sequence. */
static void
copy_shown(char *dst, size_t size, const char *src)
{
	size_t n = am_strlcpy(dst, src, size);

	if (n >= size) {
		n = size - 1;
		while (n > 0 && ((unsigned char)dst[n - 1] & 0xC0) == 0x80)
			n--;
		if (n > 0 && (unsigned char)dst[n - 1] >= 0xC0)
			n--;
		dst[n] = '\0';
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)dst[i] < ' ' || dst[i] == 0x7f)
			dst[i] = ' ';
	while (n > 0 && dst[n - 1] == ' ')
		dst[--n] = '\0';
}

int
am_kube_error(struct ambient_error *err, int http_status, const char *body, size_t n)
{
	am_auto(am_freep) char *reason = NULL;
	am_auto(am_freep) char *message = NULL;
	am_auto(am_freep) char *field = NULL;
	int64_t retry_after = 0;
	bool status_body = n > 0 && n <= STATUS_MAX && body[0] == '{' && am_json_check(body, n, NULL) == 0;
	struct am_slice text = am_slice(body, n);
	struct am_slice kind;

	if (status_body && am_json_find(text, "/kind", &kind) && am_json_str_eq(kind, "Status")) {
		reason = am_json_dup(text, "/reason");
		message = am_json_dup(text, "/message");
		field = am_json_dup(text, "/details/causes/0/field");
		retry_after = am_json_int(text, "/details/retryAfterSeconds", 0);
	} else if (status_body && !am_json_find(text, "/kind", NULL)) {
		reason = am_json_dup(text, "/reason");
		message = am_json_dup(text, "/message");
	}
	const char *fallback;
	int code = code_of(http_status, reason, &fallback);

	if (err == NULL)
		return -code;
	(void)ambient_err(err, code, "the server answered %d: %s", http_status, fallback);
	err->http_status = http_status;
	if (message != NULL && message[0] != '\0') {
		copy_shown(err->message, sizeof(err->message), message);
	} else if (!status_body && n > 0 && n <= 200 && body[0] != '<' && am_utf8_valid(body, n)) {
		/* Plain text, such as "404 page not found". */
		am_auto(am_freep) char *plain = am_xstrndup(body, n);

		(void)snprintf(err->message, sizeof(err->message), "the server answered %d: ", http_status);
		size_t at = strlen(err->message);
		copy_shown(err->message + at, sizeof(err->message) - at, plain);
	}
	if (reason != NULL)
		copy_shown(err->reason, sizeof(err->reason), reason);
	if (field != NULL)
		copy_shown(err->where, sizeof(err->where), field);
	if (retry_after > 0)
		err->retry_after_ms = AM_MIN(retry_after, INT64_C(86400)) * 1000;
	return -code;
}
