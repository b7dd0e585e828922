/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to somebody's REST API, for forge.c and jira.c.  An answer is bounded, no redirect is followed (it would take
 * the token elsewhere), and what is only busy (429, 5xx, a lost connection) is asked again a few times, as late as it says.
 * A request that may have made something is repeated only where it was surely not done.  Blocks; one thread.
 */
#ifndef AM_RUNNER_REST_H
#define AM_RUNNER_REST_H

#include "core/base/buf.h"
#include "core/base/err.h"

struct am_rest {
	const char *method, *base, *path; /* the URL is base and path */
	const char *authorization;        /* the value of the header; NULL: none */
	const char *const *headers;       /* further ones, whole, ended by NULL; or NULL */
	const char *body;                 /* JSON, or NULL */
	const char *file_name, *file;     /* multipart/form-data with this file instead; or NULL */
	size_t file_size;
	const char *ca_file;              /* instead of the system's authorities; or NULL */
	bool direct;                      /* no proxy, whatever the environment says */
	bool once;                        /* it makes something that must not be there twice */
	int64_t retry_ns;                 /* before the second attempt, doubled before the next; 0: half a second */
	const int32_t *cancelled;
	void (*tick)(void *arg);          /* as am_run's; or NULL */
	void *tick_arg;
};

struct am_rest_answer {
	int status;
	struct am_buf body;               /* checked JSON, or empty */
	char location[200];               /* the host that a redirect leads to */
};
void am_rest_answer_fini(struct am_rest_answer *answer);

/* 0 when the server answered at all, whatever it said; *answer is zeroed or one of before.  UNAVAILABLE: it did not.
 * INVALID: what it answered is too large, or a success that is no JSON.  CANCELLED. */
int am_rest_do(const struct am_rest *rest, struct am_rest_answer *answer, struct ambient_error *err);

#endif
