/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ambient-runner jira`: a document of the workspace becomes an issue of Jira, or the issue that it is already.  It runs in
 * the place of an agent, in a container of its own, which alone has the account's token.
 *
 *   jira.c        the order of the requests (rest.h), and what is said about them
 *   jira_text.c   texts: the account, the description, what Jira complains about; no I/O
 *
 * An issue is found again by its key, else by a label that names the document, so that a run which was lost after it had
 * made the issue makes no second one.
 */
#ifndef AM_RUNNER_JIRA_H
#define AM_RUNNER_JIRA_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

#define AM_JIRA_DOCUMENT_MAX    (1 << 20)
#define AM_JIRA_DESCRIPTION_MAX 32000 /* Jira takes 32,767 characters */
#define AM_JIRA_ATTACHMENT_MAX  (10 << 20)
#define AM_JIRA_KEY_MAX         64

struct am_jira {
	char *url;           /* without a slash at the end */
	char *project;
	char *authorization; /* the header's value */
	bool cloud;          /* at atlassian.net */
	int64_t retry_ns;    /* as am_rest's */
};

/* What went wrong, for a condition. */
struct am_jira_error {
	char reason[64];
	char text[400];
};
int am_jira_fail(struct am_jira_error *error, const char *reason, const char *fmt, ...) am_printf_(3, 4); /* returns -1 */

/* ---- jira_text.c */
/* The account, from JIRA_URL, JIRA_PROJECT, JIRA_EMAIL and JIRA_API_TOKEN as given; plain: http is taken for any host. */
int am_jira_account(struct am_jira *jira, const char *url, const char *project, const char *email, const char *token,
		    bool plain, struct am_jira_error *error);
void am_jira_fini(struct am_jira *jira);
bool am_jira_is_key(const char *key);
/* The document without its section "Execution Flow", source above it, cut to what Jira takes. */
void am_jira_description(struct am_buf *out, const char *source, const char *document, size_t n);
/* What Jira says in a body with errorMessages or errors; "" when it says nothing that can be read. */
void am_jira_complaint(char out[240], struct am_slice body);
/* Reason and sentence for an answer that is no success. */
int am_jira_refused(struct am_jira_error *error, const char *what, long status, struct am_slice body, const char *location);

/* ---- jira.c */
int am_runner_jira_main(void);

#endif
