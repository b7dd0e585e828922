/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a remote to a folder that an agent may ruin.  The remote is fetched into a bare repository of the runner's
 * own; a copy of that (no shared object files) is made in the runner's private part of the volume and moved into
 * the agent's workspace by one rename, so that the runner never writes, follows or executes anything in a place
 * that an agent has touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/git_priv.h"
#include "core/ambient-runner/porcelain.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"

char *
am_git_bare(const struct am_git *git, const struct am_repo *repo)
{
	return am_xasprintf("%s/.ambient/git/%s%s%s.git", git->root, repo->workflow ? "workflows/" : "", repo->name,
			    repo->fresh ? ".new" : "");
}

int
am_git_resolve(struct am_git *git, const char *git_dir, const char *what, char ret[65], struct ambient_error *err)
{
	am_auto(am_freep) char *expression = am_xasprintf("%s^{commit}", what);
	const char *args[] = {"rev-parse", "--quiet", "--verify", "--end-of-options", expression, NULL};
	struct am_git_run run = {.git_dir = git_dir, .args = args, .may_fail = true, .seconds = 60};
	struct am_run_result result = {0};
	int rc = am_git_run(git, &run, &result, err);

	if (rc < 0)
		return rc;
	size_t n = strspn(am_buf_str(&result.out), "0123456789abcdef");
	if (result.exit_code != 0 || (n != 40 && n != 64)) {
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "no commit \"%.80s\"", what);
	} else {
		memcpy(ret, result.out.data, n);
		ret[n] = '\0';
	}
	am_run_result_fini(&result);
	return rc;
}

/* There is nothing in it, so no name could have been right. */
static bool
is_empty(struct am_git *git, struct am_repo *repo, const char *bare, const char *url, const struct am_giturl *where)
{
	const char *args[] = {"ls-remote", "--", url, NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .repo = repo, .where = where, .seconds = 120};
	struct am_run_result result = {0};
	bool empty;

	if (am_git_run(git, &run, &result, NULL) != 0)
		return false;
	empty = result.out.len == 0;
	am_run_result_fini(&result);
	return empty;
}

/* Each attempt is one fetch; a refused connection or a lost one is tried again, a wrong name is not. */
static int
fetch_branch(struct am_git *git, struct am_repo *repo, const char *bare, const char *url, const struct am_giturl *where,
	     const char *branch, struct ambient_error *err)
{
	am_auto(am_freep) char *spec = branch != NULL ? am_xasprintf("+refs/heads/%s:refs/ambient/remote", branch)
						      : am_xstrdup("+HEAD:refs/ambient/remote");
	const char *args[] = {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url, spec, NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .repo = repo, .where = where, .seconds = 1800};
	int rc = am_git_run(git, &run, NULL, err);

	if (rc >= 0)
		return rc;
	if (err != NULL && strstr(err->message, "couldn't find remote ref") != NULL && is_empty(git, repo, bare, url, where))
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the repository \"%.120s\" is empty: push a first commit to it", url);
	if (branch != NULL && err != NULL && strstr(err->message, "couldn't find remote ref") != NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the repository \"%.120s\" has no branch \"%.80s\"", url, branch);
	if (err != NULL && err->code == AMBIENT_E_INVALID) {
		char text[200];

		(void)am_strlcpy(text, err->message, sizeof(text));
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot clone \"%.100s\": %s", url, text);
	}
	return rc;
}

/* Of the branch that the work goes to, where that is wanted and it is there; else of the one to begin from. */
int
am_git_fetch(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err)
{
	struct ambient_error absent = AMBIENT_ERROR_INIT;
	int rc = -AMBIENT_E_NOTFOUND;

	if (repo->proceed)
		rc = fetch_branch(git, repo, bare, repo->push_url, &repo->push_where, repo->push_branch, &absent);
	repo->there = rc >= 0;
	if (rc == -AMBIENT_E_NOTFOUND)
		return fetch_branch(git, repo, bare, repo->url, &repo->where, repo->branch, err);
	return rc < 0 ? ambient_err(err, absent.code, "%s", absent.message) : rc;
}

/* The branch that the remote's HEAD stands for.  It is asked once for each clone. */
static void
find_default_branch(struct am_git *git, struct am_repo *repo, const char *bare)
{
	const char *args[] = {"ls-remote", "--symref", "--", repo->url, "HEAD", NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .repo = repo, .where = &repo->where, .seconds = 20};
	am_auto(am_freep) char *path = am_xasprintf("%s/ambient-default", bare);
	am_auto(am_buf_fini) struct am_buf known = {0};
	struct am_run_result result = {0};

	if (repo->default_branch != NULL || repo->workflow)
		return;
	if (am_file_read(path, 300, &known, NULL) == 0) {
		repo->default_branch = am_xstrdup(am_buf_str(&known));
	} else if (am_git_run(git, &run, &result, NULL) == 0) {
		repo->default_branch = am_porcelain_default_branch(am_buf_str(&result.out));
		am_run_result_fini(&result);
		if (repo->default_branch != NULL)
			(void)am_file_put(path, repo->default_branch, strlen(repo->default_branch), 0600, NULL);
	}
}

/* A self-contained working copy at `staging`, on `branch`, with the remote's plain URL. */
static int
make_copy(struct am_git *git, struct am_repo *repo, const char *bare, const char *staging, const char *branch,
	  struct ambient_error *err)
{
	am_auto(am_freep) char *ref = am_xasprintf("refs/heads/%s", branch);
	am_auto(am_freep) char *track = am_xasprintf("refs/remotes/origin/%s", branch);
	am_auto(am_freep) char *dot_git = am_xasprintf("%s/.git", staging);
	am_auto(am_freep) char *merge = am_xasprintf("branch.%s.merge", branch);
	am_auto(am_freep) char *remote = am_xasprintf("branch.%s.remote", branch);
	am_auto(am_freep) char *worktree = am_xasprintf("--work-tree=%s", staging);
	const struct {
		const char *git_dir;
		const char *args[9];
	} steps[] = {
		{NULL, {"init", "--quiet", "--template=", "--", staging}},
		{dot_git,
		 {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", bare,
		  "refs/ambient/base:refs/ambient/base"}},
		{dot_git, {"update-ref", track, "refs/ambient/base"}},
		{dot_git, {"update-ref", ref, "refs/ambient/base"}},
		{dot_git, {"update-ref", "-d", "refs/ambient/base"}},
		{dot_git, {"symbolic-ref", "HEAD", ref}},
		{dot_git, {"config", "remote.origin.url", repo->url}},
		{dot_git, {"config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"}},
		{dot_git, {"config", remote, "origin"}},
		{dot_git, {"config", merge, ref}},
		{dot_git, {worktree, "reset", "--quiet", "--hard"}},
	};

	/* The last step fills in files. */
	const struct am_git_source source = {.objects = bare, .commit = repo->base, .url = repo->url, .where = &repo->where};
	for (size_t i = 0; i < AM_COUNTOF(steps); i++) {
		struct am_git_run run = {.git_dir = steps[i].git_dir, .args = steps[i].args};
		int rc = 0;

		if (i + 1 == AM_COUNTOF(steps)) {
			am_git_lfs_place(git, repo, &source, dot_git);
			run.settings = am_git_lfs_settings;
			run.download = true;
		}
		if ((rc = am_git_run(git, &run, NULL, err)) < 0)
			return rc;
	}
	am_git_submodules_place(git, repo, bare, staging);
	return 0;
}

/* Is there a workspace/<name>, whatever it is?  Then it is the agent's. */
static int
occupied(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
move_in(const struct am_git *git, const struct am_repo *repo, const char *staging, struct ambient_error *err)
{
	am_auto(am_freep) char *workspace = am_xasprintf("%s/workspace", git->root);
	int dir = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

	if (dir < 0)
		return am_err_errno(err, errno, "opening \"%s\"", workspace);
	if (renameat2(AT_FDCWD, staging, dir, repo->name, RENAME_NOREPLACE) < 0 && errno != EEXIST)
		rc = am_err_errno(err, errno, "moving the clone to \"%s/%s\"", workspace, repo->name);
	(void)close(dir);
	return rc;
}

int
am_runner_git_prepare(struct am_git *git, struct am_repo *repo, struct ambient_error *err)
{
	am_auto(am_freep) char *bare = am_git_bare(git, repo);
	am_auto(am_freep) char *parent = am_xasprintf("%s/.ambient/git", git->root);
	am_auto(am_freep) char *staging = am_xasprintf("%s/.ambient/staging-%s", git->root, repo->name);
	am_auto(am_freep) char *workspace = am_xasprintf("%s/workspace", git->root);
	const char *init[] = {"init", "--quiet", "--bare", "--template=", "--", bare, NULL};
	struct am_git_run run = {.args = init};
	int rc;

	if ((rc = am_mkdirs(parent, 0700, err)) < 0 || (rc = am_mkdirs(workspace, 0755, err)) < 0)
		return rc;
	/* What an earlier attempt left is not trusted to be whole. */
	if (repo->fresh && (rc = am_remove_tree(bare, err)) < 0)
		return rc;
	/* init on an existing repository changes nothing. */
	if ((rc = am_git_run(git, &run, NULL, err)) < 0 || (rc = am_git_fetch(git, repo, bare, err)) < 0)
		return rc;
	/* What the work is compared with stays what the first run cloned. */
	if (am_git_resolve(git, bare, "refs/ambient/base", repo->base, NULL) < 0) {
		const char *keep[] = {"update-ref", "refs/ambient/base", "refs/ambient/remote", NULL};
		struct am_git_run ref = {.git_dir = bare, .args = keep};

		if ((rc = am_git_run(git, &ref, NULL, err)) < 0 ||
		    (rc = am_git_resolve(git, bare, "refs/ambient/base", repo->base, err)) < 0)
			return rc;
	}
	int dir = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return am_err_errno(err, errno, "opening \"%s\"", workspace);
	find_default_branch(git, repo, bare);
	bool exists = !repo->fresh && occupied(dir, repo->name);
	(void)close(dir);
	if (!exists) {
		const char *named = repo->there ? repo->push_branch : repo->branch, *home = repo->default_branch;
		const char *branch = named != NULL ? named : home != NULL ? home : "main";

		if ((rc = am_remove_tree(staging, err)) < 0 ||
		    (rc = make_copy(git, repo, bare, staging, branch, err)) < 0 ||
		    (!repo->fresh && (rc = move_in(git, repo, staging, err)) < 0)) {
			(void)am_remove_tree(staging, NULL);
			return rc;
		}
	}
	repo->cloned = !repo->fresh;
	repo->cloned_at = am_clock_wall(am_clock_real());
	return 0;
}

int
am_runner_git_place(struct am_git *git, struct am_repo *repo, struct ambient_error *err)
{
	am_auto(am_freep) char *made = am_git_bare(git, repo);
	am_auto(am_freep) char *staging = am_xasprintf("%s/.ambient/staging-%s", git->root, repo->name);
	int rc;

	repo->fresh = false;
	am_auto(am_freep) char *bare = am_git_bare(git, repo);
	/* What was in the working copy of an earlier one has all its objects itself. */
	if ((rc = am_remove_tree(bare, err)) < 0)
		return rc;
	if (rename(made, bare) < 0)
		return am_err_errno(err, errno, "moving the clone of \"%s\" to its place", repo->name);
	if ((rc = move_in(git, repo, staging, err)) < 0)
		return rc;
	repo->cloned = true;
	return 0;
}
