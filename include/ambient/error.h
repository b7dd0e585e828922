/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a call fails.  Every fallible function returns 0 or the negative of one of the codes below and
 * fills a struct ambient_error that the caller owns.  Nothing here allocates, so an error can be
 * reported when memory is short; nothing here is shared, so it is safe on any thread.
 *
 * Messages follow one style: lower case, no full stop, names in double quotes, what + where + what to do.
 */
#ifndef AMBIENT_ERROR_H
#define AMBIENT_ERROR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	AMBIENT_E_INVALID = 1,  /* the request is wrong; the same request will fail again */
	AMBIENT_E_NOTFOUND,     /* absent from a synced cache, or 404 */
	AMBIENT_E_EXISTS,       /* 409 AlreadyExists */
	AMBIENT_E_CONFLICT,     /* 409 Conflict: read again, try again */
	AMBIENT_E_GONE,         /* 410: the resource version is too old */
	AMBIENT_E_FORBIDDEN,    /* 403, or not declared by the plugin */
	AMBIENT_E_UNAUTHORIZED, /* 401 */
	AMBIENT_E_TIMEOUT,      /* a deadline passed */
	AMBIENT_E_CANCELLED,    /* the daemon stops, or lost its lease */
	AMBIENT_E_UNAVAILABLE,  /* the other side is not there, or not ready */
	AMBIENT_E_THROTTLED,    /* 429; retry_after_ms says when */
	AMBIENT_E_NOMEM,        /* memory, disk or a limit of size */
	AMBIENT_E_UNSUPPORTED,  /* not offered by this host, or an undeclared kind */
	AMBIENT_E_INTERNAL,     /* a bug on one side */
	AMBIENT_E__COUNT
};

#define AMBIENT_ERROR_TERMINAL 0x1u /* trying again is pointless until the object changes */

/* Owned by the caller, usually on its stack; size first, so that it may grow at its end. */
struct ambient_error {
	size_t size;
	int32_t code;           /* one of AMBIENT_E_*, 0 while unset */
	int32_t http_status;    /* of the API's answer, or 0 */
	int32_t sys_errno;      /* of the system call, or 0 */
	uint32_t flags;         /* AMBIENT_ERROR_* */
	int64_t retry_after_ms; /* 0: unknown */
	char reason[64];        /* Kubernetes' reason, e.g. "Conflict" */
	char message[320];      /* one sentence, see above */
	char where[64];         /* a field path or file:line, may be empty */
};

#define AMBIENT_ERROR_INIT { sizeof(struct ambient_error), 0, 0, 0, 0, 0, {0}, {0}, {0} }

/* Makes err say nothing, as far as its owner's struct reaches: one that was built against an older header has less room
 * than this one.  A size of 0 is that of version 1.0. */
static inline void
ambient_err_clear(struct ambient_error *err)
{
	size_t size = err->size != 0 && err->size < sizeof(*err) ? err->size : sizeof(*err), owner = err->size;

	memset(err, 0, size);
	err->size = owner != 0 ? owner : size;
}

/* err (when it is not NULL) says what from says.  Returns -from->code. */
static inline int
ambient_err_copy(struct ambient_error *err, const struct ambient_error *from)
{
	if (err != NULL && err != from) {
		size_t room, size = from->size != 0 && from->size < sizeof(*err) ? from->size : sizeof(*err);

		ambient_err_clear(err);
		room = err->size;
		memcpy(err, from, size < room ? size : room);
		err->size = room;
	}
	return -from->code;
}

/* Fills err (when it is not NULL) and returns -code.  Longer messages are cut. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 0)))
#endif
static inline int
ambient_verr(struct ambient_error *err, int code, const char *fmt, va_list ap)
{
	if (err != NULL) {
		ambient_err_clear(err);
		err->code = code;
		(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	}
	return -code;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int
ambient_err(struct ambient_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = ambient_verr(err, code, fmt, ap);
	va_end(ap);
	return rc;
}

/* As ambient_err with AMBIENT_E_INVALID, and the daemon does not try again until the object changes. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline int
ambient_terminal(struct ambient_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = ambient_verr(err, AMBIENT_E_INVALID, fmt, ap);
	va_end(ap);
	if (err != NULL)
		err->flags |= AMBIENT_ERROR_TERMINAL;
	return rc;
}

#ifdef __cplusplus
}
#endif
#endif
