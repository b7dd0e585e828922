/* SPDX-License-Identifier: Apache-2.0 */
/* See workflow.h. */
#include "core/ambient-runner/workflow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/aside.h"
#include "core/ambient-runner/git_priv.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define SETTINGS_MAX (64 * 1024)               /* of ambient.json */
#define PROMPT_MAX   (32 * 1024)               /* of each prompt in it */
#define SIZE_MAX_    (INT64_C(256) << 20)      /* of all its files */

static int
failed(struct am_workflow *workflow, const char *text)
{
	workflow->status = "Failed";
	(void)am_strlcpy(workflow->error, text, sizeof(workflow->error));
	return -AMBIENT_E_INVALID;
}

void
am_runner_workflow_parse(struct am_slice session, struct am_workflow *ret)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_repo *repo = &ret->repo;
	struct am_slice plan;

	memset(ret, 0, sizeof(*ret));
	if (!am_json_find(session, "/status/effective/activeWorkflow", &plan) || am_json_type(plan) != AMBIENT_T_OBJECT)
		return;
	ret->wanted = true;
	repo->workflow = true;
	repo->index = -1;
	repo->credentials = (int)am_json_int(plan, "/credentials", -1);
	repo->url = am_json_dup(plan, "/gitUrl");
	repo->branch = am_json_dup(plan, "/branch");
	ret->path = am_json_dup(plan, "/path");
	am_auto(am_freep) char *name = am_json_dup(plan, "/name");
	if (ret->path == NULL)
		ret->path = am_xstrdup("");
	if (repo->url == NULL)
		repo->url = am_xstrdup("");
	am_runner_repo_name(name, repo->url, repo->name);
	repo->usable = am_runner_giturl_check(repo->url, &repo->where, &err) == 0 &&
		       (repo->branch == NULL || am_runner_branch_check(repo->branch, &err) == 0);
	if (!repo->usable)
		(void)failed(ret, err.message);
}

void
am_runner_workflow_fini(struct am_workflow *workflow)
{
	free(workflow->repo.url);
	free(workflow->repo.branch);
	free(workflow->path);
	free(workflow->dir);
	free(workflow->system_prompt);
	free(workflow->startup_prompt);
	memset(workflow, 0, sizeof(*workflow));
}

bool
am_runner_workflow_same(const struct am_workflow *a, const struct am_workflow *b)
{
	return a->wanted == b->wanted && (!a->wanted || (am_streq(a->repo.url, b->repo.url) && am_streq(a->repo.branch, b->repo.branch) &&
							 am_streq(a->path, b->path) && am_streq(a->repo.name, b->repo.name)));
}

/* ---- fetching */

static char *
staging(const struct am_git *git)
{
	return am_xasprintf("%s/.ambient/staging-workflow", git->root);
}

/* One text of ambient.json. */
static int
read_prompt(struct am_slice json, const char *pointer, char **ret, struct ambient_error *err)
{
	struct am_slice value;

	if (!am_json_find(json, pointer, &value) || am_json_type(value) == AMBIENT_T_NULL)
		return 0;
	if (am_json_type(value) != AMBIENT_T_STRING || value.n > PROMPT_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "%s of the workflow's ambient.json must be a text of at most %d bytes",
				   pointer + 1, PROMPT_MAX);
	*ret = am_json_dup(json, pointer);
	if (am_empty(*ret))
		am_freep(ret);
	return 0;
}

static int
read_settings(struct am_git *git, const char *bare, const char *tree, struct am_workflow *workflow, struct ambient_error *err)
{
	static const char *const files[] = {".ambient/ambient.json", "ambient.json"};

	am_freep(&workflow->system_prompt);
	am_freep(&workflow->startup_prompt);
	for (size_t i = 0; i < AM_COUNTOF(files); i++) {
		am_auto(am_freep) char *object = am_xasprintf("%s%s%s", tree, tree[strlen(tree) - 1] == ':' ? "" : "/", files[i]);
		const char *size[] = {"cat-file", "-s", object, NULL}, *show[] = {"cat-file", "blob", object, NULL};
		struct am_git_run run = {.git_dir = bare, .args = size, .may_fail = true};
		struct am_run_result result = {0};
		int rc = am_git_run(git, &run, &result, err);

		if (rc < 0)
			return rc;
		int64_t bytes = result.exit_code == 0 ? strtoll(am_buf_str(&result.out), NULL, 10) : -1;
		am_run_result_fini(&result);
		if (bytes < 0)
			continue;
		if (bytes > SETTINGS_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "the workflow's ambient.json has %lld bytes, more than %d",
					   (long long)bytes, SETTINGS_MAX);
		memset(&result, 0, sizeof(result));
		run.args = show;
		run.may_fail = false;
		if ((rc = am_git_run(git, &run, &result, err)) < 0)
			return rc;
		struct am_slice json = am_slice(am_buf_str(&result.out), result.out.len);
		if (am_json_check(json.p, json.n, err) < 0 || am_json_type(json) != AMBIENT_T_OBJECT)
			rc = ambient_err(err, AMBIENT_E_INVALID, "the workflow's ambient.json is no JSON object");
		else if ((rc = read_prompt(json, "/systemPrompt", &workflow->system_prompt, err)) == 0)
			rc = read_prompt(json, "/startupPrompt", &workflow->startup_prompt, err);
		am_run_result_fini(&result);
		return rc;
	}
	return 0;
}

/* The files of one tree, without a history. */
static int
check_out(struct am_git *git, const char *bare, const char *tree, struct ambient_error *err)
{
	am_auto(am_freep) char *stage = staging(git);
	am_auto(am_freep) char *worktree = am_xasprintf("--work-tree=%s", stage);
	const char *read[] = {worktree, "read-tree", "--reset", tree, NULL};
	const char *write[] = {worktree, "checkout-index", "--all", "--force", "--quiet", NULL};
	struct am_git_run run = {.git_dir = bare, .args = read};
	int64_t size = 0;
	int rc;

	if ((rc = am_remove_tree(stage, err)) < 0 || (rc = am_mkdirs(stage, 0755, err)) < 0 ||
	    (rc = am_git_run(git, &run, NULL, err)) < 0)
		return rc;
	run.args = write;
	if ((rc = am_git_run(git, &run, NULL, err)) < 0 || (rc = am_tree_size(stage, &size, err)) < 0)
		return rc;
	if (size > SIZE_MAX_)
		return ambient_err(err, AMBIENT_E_INVALID, "the workflow's files have %lld bytes, more than %lld", (long long)size,
				   (long long)SIZE_MAX_);
	return 0;
}

int
am_runner_workflow_fetch(struct am_git *git, struct am_workflow *workflow, struct ambient_error *err)
{
	am_auto(am_freep) char *bare = am_git_bare(git, &workflow->repo);
	am_auto(am_freep) char *parent = am_xasprintf("%s/.ambient/git/workflows", git->root);
	const char *init[] = {"init", "--quiet", "--bare", "--template=", "--", bare, NULL};
	struct am_git_run run = {.args = init};
	char commit[65] = "";
	int rc;

	if ((rc = am_mkdirs(parent, 0700, err)) < 0 || (rc = am_git_run(git, &run, NULL, err)) < 0 ||
	    (rc = am_git_fetch(git, &workflow->repo, bare, err)) < 0 ||
	    (rc = am_git_resolve(git, bare, "refs/ambient/remote", commit, err)) < 0)
		return rc;
	am_auto(am_freep) char *path = am_xstrdup(workflow->path);
	for (size_t n = strlen(path); n > 0 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	am_auto(am_freep) char *tree = am_xasprintf("%s:%s", commit, path);
	const char *type[] = {"cat-file", "-t", tree, NULL};
	struct am_run_result result = {0};
	run = (struct am_git_run){.git_dir = bare, .args = type, .may_fail = true};
	if ((rc = am_git_run(git, &run, &result, err)) < 0)
		return rc;
	bool is_tree = result.exit_code == 0 && am_starts(am_buf_str(&result.out), "tree");
	am_run_result_fini(&result);
	if (!is_tree)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the workflow's repository has no directory \"%.200s\" on branch \"%.60s\"", path,
				   workflow->repo.branch != NULL ? workflow->repo.branch : "HEAD");
	if ((rc = read_settings(git, bare, tree, workflow, err)) < 0)
		return rc;
	return check_out(git, bare, tree, err);
}

/* ---- placing */

/* What lies in workspace/workflows/NAME, as text; the agent cannot change it. */
static void
origin_of(const struct am_workflow *workflow, struct am_buf *out)
{
	am_json_addf(out, "{\"name\":%s,\"gitUrl\":%s,\"branch\":%s,\"path\":%s}\n", workflow->repo.name, workflow->repo.url,
		     workflow->repo.branch != NULL ? workflow->repo.branch : "", workflow->path);
}

/* The agent's own directory, followed by nothing but its name. */
static int
open_workflows(const struct am_git *git, struct ambient_error *err)
{
	am_auto(am_freep) char *workspace = am_xasprintf("%s/workspace", git->root);
	int dir = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;

	if (dir >= 0) {
		(void)mkdirat(dir, "workflows", 0755);
		fd = openat(dir, "workflows", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	int saved = errno;
	if (dir >= 0)
		(void)close(dir);
	return fd >= 0 ? fd : am_err_errno(err, saved, "opening \"%s/workflows\"", workspace);
}

int
am_runner_workflow_place(struct am_git *git, struct am_workflow *workflow, struct ambient_error *err)
{
	am_auto(am_freep) char *record = am_xasprintf("%s/.ambient/workflow-%s.json", git->root, workflow->repo.name);
	am_auto(am_freep) char *stage = staging(git);
	am_auto(am_buf_fini) struct am_buf before = {0};
	am_auto(am_buf_fini) struct am_buf now = {0};
	const char *name = workflow->repo.name;
	struct stat st;
	int rc = 0, dir = open_workflows(git, err);

	if (dir < 0)
		return dir;
	origin_of(workflow, &now);
	(void)am_file_read(record, 64 * 1024, &before, NULL);
	bool there = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && (!am_streq(am_buf_str(&before), am_buf_str(&now)) || !S_ISDIR(st.st_mode))) {
		rc = am_runner_aside(git->root, dir, name, NULL, err);
		there = rc < 0;
	}
	if (rc == 0 && !there) {
		/* Said first: should we die between the two, a directory that is not there is laid out again. */
		rc = am_file_write(record, am_buf_str(&now), now.len, 0600, err);
		if (rc == 0 && renameat2(AT_FDCWD, stage, dir, name, RENAME_NOREPLACE) < 0)
			rc = am_err_errno(err, errno, "moving the workflow to \"workspace/workflows/%s\"", name);
	}
	(void)close(dir);
	if (rc < 0)
		return rc;
	(void)am_remove_tree(stage, NULL);
	free(workflow->dir);
	workflow->dir = am_xasprintf("%s/workspace/workflows/%s", git->root, name);
	workflow->status = "Active";
	workflow->error[0] = '\0';
	workflow->applied_at = am_clock_wall(am_clock_real());
	return 0;
}
