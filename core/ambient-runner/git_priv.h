/* SPDX-License-Identifier: Apache-2.0 */
/* One run of git and its credentials, for the files beside git.c. */
#ifndef AM_RUNNER_GIT_PRIV_H
#define AM_RUNNER_GIT_PRIV_H

#include "core/ambient-runner/git.h"

struct am_git_run {
	const char *git_dir;           /* NULL: none */
	const char *const *args;       /* ended by NULL; the first one is the command's name */
	const struct am_repo *repo;    /* whose credentials, with where */
	const struct am_giturl *where; /* NULL: no network, no credentials */
	const char *input;
	size_t input_len;
	int input_fd; /* its standard input, when has_input_fd; borrowed */
	bool has_input_fd;
	const char *const *settings; /* further "name=value" beside our own, ended by NULL; or NULL */
	bool download;               /* git-lfs may fetch what is missing, which it does not otherwise */
	size_t out_max;              /* of what it prints; 0: 256 KiB.  What is over it is dropped */
	int seconds;   /* 0: 600 */
	bool may_fail; /* a non-zero exit is the caller's to judge */
};

/* A failed git is an error with its own words, cleaned; *result (may be NULL) is filled on 0 only. */
int am_git_run(struct am_git *git, const struct am_git_run *run, struct am_run_result *result,
	       struct ambient_error *err);
char *am_git_bare(const struct am_git *git, const struct am_repo *repo); /* malloc'ed path */
/* Brings the branch of the remote to refs/ambient/remote. */
int am_git_fetch(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err);
/* The commit that a ref or expression names; -AMBIENT_E_NOTFOUND when there is none. */
int am_git_resolve(struct am_git *git, const char *git_dir, const char *what, char ret[65], struct ambient_error *err);

/* submodule.c.  Lays the submodules of a commit of the bare repository into the copy at staging, which no agent has seen yet.
 * One that cannot be had is no error: the sentence about the first of them goes into repo->error. */
void am_git_submodules_place(struct am_git *git, struct am_repo *repo, const char *bare, const char *staging);
/* Whether each commit of a submodule that the work names can be had by others, too. */
int am_git_submodules_check(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err);

/* lfs.c.  Of a commit in a repository of ours: the files that LFS keeps, for the copy whose git_dir it is and which is not checked
 * out yet.  What cannot be had stays a pointer, and repo->error says so. */
struct am_git_source {
	const char *objects, *commit, *url;
	const struct am_giturl *where;
};
void am_git_lfs_place(struct am_git *git, struct am_repo *repo, const struct am_git_source *source, const char *git_dir);
extern const char *const am_git_lfs_settings[]; /* of the checkout after it, which is to ask nobody */
/* Whether all objects that the work names are on the server that it is pushed to: from the agent's copy, if need be. */
int am_git_lfs_publish(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err);
/* A directory below root, each step opened without following a link; -1 with errno. */
int am_git_open_dir(const char *root, const char *path);

/* login.c */
/* What git said went wrong, in one line. */
void am_git_explain(const struct am_git *git, const struct am_buf *text, char *ret, size_t size);
int am_git_write_credentials(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where, bool *has_login,
			     bool *has_key, bool *has_hosts, struct ambient_error *err);
/* What the host's API takes as a bearer's token; NULL when there is none.  malloc'ed, like the next. */
char *am_git_token(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where);
char *am_git_ca_file(const struct am_git *git, const struct am_repo *repo); /* NULL: the system's authorities */
/* What answers at a host, as far as that is certain. */
enum am_provider am_git_provider(const struct am_repo *repo, const struct am_giturl *where);

#endif
