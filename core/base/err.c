/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: names and the two ways in which the core makes them. */
#include "core/base/err.h"

#include <errno.h>

static const struct {
	const char *name;
	bool retry;
} codes[AMBIENT_E__COUNT] = {
	[0] = { "OK", false },
	[AMBIENT_E_INVALID] = { "Invalid", false },
	[AMBIENT_E_NOTFOUND] = { "NotFound", true },
	[AMBIENT_E_EXISTS] = { "AlreadyExists", true },
	[AMBIENT_E_CONFLICT] = { "Conflict", true },
	[AMBIENT_E_GONE] = { "Gone", true },
	[AMBIENT_E_FORBIDDEN] = { "Forbidden", true },
	[AMBIENT_E_UNAUTHORIZED] = { "Unauthorized", true },
	[AMBIENT_E_TIMEOUT] = { "Timeout", true },
	[AMBIENT_E_CANCELLED] = { "Cancelled", true },
	[AMBIENT_E_UNAVAILABLE] = { "Unavailable", true },
	[AMBIENT_E_THROTTLED] = { "Throttled", true },
	[AMBIENT_E_NOMEM] = { "NoMemory", true },
	[AMBIENT_E_UNSUPPORTED] = { "Unsupported", false },
	[AMBIENT_E_INTERNAL] = { "Internal", true },
};

static int
code_of_errno(int e)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
	case ESRCH:
		return AMBIENT_E_NOTFOUND;
	case EEXIST:
		return AMBIENT_E_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return AMBIENT_E_FORBIDDEN;
	case ENOMEM:
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EMFILE:
	case ENFILE:
		return AMBIENT_E_NOMEM;
	case ETIMEDOUT:
		return AMBIENT_E_TIMEOUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case EPIPE:
	case EADDRINUSE:
	case EAGAIN:
		return AMBIENT_E_UNAVAILABLE;
	case EINVAL:
	case ENAMETOOLONG:
	case ELOOP:
		return AMBIENT_E_INVALID;
	default:
		return AMBIENT_E_INTERNAL;
	}
}

int
am_err_errno(struct ambient_error *err, int errnum, const char *fmt, ...)
{
	char text[224], reason[96];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	int rc = ambient_err(err, code_of_errno(errnum), "%s: %s", text, strerror_r(errnum, reason, sizeof(reason)));
	if (err != NULL)
		err->sys_errno = errnum;
	return rc;
}

int
am_err_prefix(struct ambient_error *err, const char *fmt, ...)
{
	char before[sizeof(err->message)];
	va_list ap;

	if (err == NULL)
		return -AMBIENT_E_INTERNAL;
	va_start(ap, fmt);
	int n = vsnprintf(before, sizeof(before), fmt, ap);
	va_end(ap);
	size_t head = n < 0 ? 0 : AM_MIN((size_t)n, sizeof(before) - 3);
	size_t tail = AM_MIN(strlen(err->message), sizeof(err->message) - head - 3);
	memmove(err->message + head + 2, err->message, tail);
	memcpy(err->message, before, head);
	memcpy(err->message + head, ": ", 2);
	err->message[head + 2 + tail] = '\0';
	return -err->code;
}

const char *
am_err_name(int code)
{
	if (code < 0)
		code = -code;
	return code < AMBIENT_E__COUNT ? codes[code].name : "Unknown";
}

bool
am_err_retryable(const struct ambient_error *err)
{
	return (err->flags & AMBIENT_ERROR_TERMINAL) == 0 && err->code > 0 && err->code < AMBIENT_E__COUNT &&
	       codes[err->code].retry;
}
