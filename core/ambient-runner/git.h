/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running git on the runner's side: in an environment of our own making (no system, user or template
 * configuration, no hooks, no helpers, no submodules, no prompts, a list of protocols), with a time limit, and
 * with credentials that only a file of mode 0600 in the private directory and the askpass program carry, never
 * argv, a URL or a repository's configuration.  Nothing here ever runs inside a directory that an agent may
 * write to.  Blocks; one thread.
 */
#ifndef AM_RUNNER_GIT_H
#define AM_RUNNER_GIT_H

#include "core/ambient-runner/redact.h"
#include "core/ambient-runner/repos.h"
#include "core/base/spawn.h"

struct am_git {
	char *dir;            /* private, 0700: home, askpass, credentials, scratch */
	char *root;           /* <session dir>; root/.ambient/git holds the bare repositories */
	const char *cred_dir; /* where the credentials of repository i are mounted: cred_dir/<i> */
	struct am_redactor *redactor;
	const int32_t *cancelled;
	void (*tick)(void *arg); /* called every now and then while something takes long; or NULL */
	void *tick_arg;
	int64_t bundle_max; /* bytes; 0: 2 GiB */
};

int am_runner_git_init(struct am_git *git, const char *root, struct am_redactor *redactor, const int32_t *cancelled,
		       struct ambient_error *err);
void am_runner_git_fini(struct am_git *git); /* removes the private directory */

/* Fetches into the bare repository, then makes workspace/<name> when there is none yet.  On a later run of the same
 * session both stay as they are, but for new objects of the remote. */
int am_runner_git_prepare(struct am_git *git, struct am_repo *repo, struct ambient_error *err);
/* One that is `fresh` was prepared beside what is there: puts it in its place, which must be free. */
int am_runner_git_place(struct am_git *git, struct am_repo *repo, struct ambient_error *err);
/* Takes out/<name>.bundle (made by the agent's side, hostile) into the bare repository: fills commit, commits, added,
 * removed, and status "nochanges" or NULL when there is something to push. */
int am_runner_git_import(struct am_git *git, struct am_repo *repo, struct ambient_error *err);
/* Whether the agent's side, which has saved, left no bundle: there is no work. */
bool am_runner_git_untouched(const struct am_git *git, const struct am_repo *repo);
int am_runner_git_push(struct am_git *git, struct am_repo *repo, struct ambient_error *err);

/* The first line of what was pushed; malloc'ed, NULL when there is none. */
char *am_runner_git_subject(struct am_git *git, const struct am_repo *repo);

/* main() of the askpass program: answers only for the host and scheme that the credentials are meant for. */
int am_runner_askpass(const char *prompt);

#endif
