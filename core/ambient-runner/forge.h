/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pull requests of GitHub and merge requests of GitLab, opened by their REST APIs after a push.  What the server says is
 * somebody else's: it is bounded, and of it only an address, checked, and one sentence are kept.  One that is open for the
 * same branches is found and is as good.
 */
#ifndef AM_RUNNER_FORGE_H
#define AM_RUNNER_FORGE_H

#include "core/ambient-runner/git.h"

#define AM_FORGE_URL_MAX 2048

/* Where a request goes, from the two URLs of a repository. */
struct am_forge {
	const struct am_forge_kind *kind;
	char api[700];      /* without "/" at the end */
	char *project;      /* "group/name": what was cloned */
	char *fork;         /* what was pushed to; NULL: the same */
};

/* Pure, but for AMBIENT_GITHUB_API and AMBIENT_GITLAB_API in the environment. */
int am_forge_locate(const struct am_repo *repo, struct am_forge *ret, struct ambient_error *err);
void am_forge_fini(struct am_forge *forge);
/* An address that a person can be given: http or https, bounded, nothing that could end or hide it. */
bool am_forge_url_fits(const char *url);
/* repo was pushed: fills repo->pr_url. */
int am_forge_open(struct am_git *git, struct am_repo *repo, const char *title, const char *text, struct ambient_error *err);

#endif
