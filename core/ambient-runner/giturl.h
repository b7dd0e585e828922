/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which repository URLs and branch names the runner hands to git.  They come from whoever may write a session,
 * so everything that git would take for an option, a local path or a program to run is refused here, before
 * git sees it.  Pure functions.
 */
#ifndef AM_RUNNER_GITURL_H
#define AM_RUNNER_GITURL_H

#include "core/base/err.h"
#include "core/base/str.h"

enum am_runner_scheme { AM_SCHEME_HTTPS = 1, AM_SCHEME_HTTP, AM_SCHEME_SSH, AM_SCHEME_GIT };

struct am_giturl {
	enum am_runner_scheme scheme;
	char host[256];      /* lower case, without brackets and port */
	char authority[300]; /* host[:port] as written, lower case */
};

/* https, http, ssh ("ssh://host/x" and "user@host:x"), and git on this machine's loopback only: that protocol
 * knows neither who serves nor who asks.  A password in the URL is refused.  0 or -AMBIENT_E_INVALID. */
int am_runner_giturl_check(const char *url, struct am_giturl *ret, struct ambient_error *err);
/* What a submodule's "./x" and "../x" mean beside base, as git reads them; any other url is a copy of itself.  malloc'ed, and
 * still to be checked. */
char *am_runner_giturl_resolve(const char *base, const char *url);
/* git check-ref-format --branch, and no leading "-".  0 or -AMBIENT_E_INVALID. */
int am_runner_branch_check(const char *branch, struct ambient_error *err);
/* A folder name for a repository: its own when it is fit, else made of the URL's last part. */
void am_runner_repo_name(const char *name, const char *url, char ret[65]);

#endif
