/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON request to somebody's REST API, for forge.c.  An answer is bounded, no redirect is followed (it would take the
 * token elsewhere), and what is only busy (429, 5xx, a lost connection) is asked again a few times, as late as it says.
 * Blocks; one thread.
 */
#ifndef AM_RUNNER_REST_H
#define AM_RUNNER_REST_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct am_rest {
	const char *method, *url;
	const char *token;                /* of the header Authorization: Bearer; NULL: none */
	const char *const *headers;       /* further ones, whole, ended by NULL; or NULL */
	const char *body;                 /* JSON, or NULL */
	const char *ca_file;              /* instead of the system's authorities; or NULL */
	const int32_t *cancelled;
	void (*tick)(void *arg);          /* as am_run's; or NULL */
	void *tick_arg;
};

/* 0 with *status when the server answered at all, whatever it said; *answer is then checked JSON, or empty. */
int am_rest_do(const struct am_rest *rest, int *status, struct am_buf *answer, struct ambient_error *err);

#endif
