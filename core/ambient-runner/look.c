/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ambient-runner look REPOSITORY BASE [diff]`: the state of an agent's clone as one JSON object on standard output.
 * The clone is the agent's, and so is whatever its configuration, hooks and attributes name; so git is not run in it but
 * in a repository of our own, made for the moment, that borrows the clone's objects, index and files: what could make git
 * start something is in a configuration that it never reads.
 *
 * It runs where there is nothing to be had: in the agent's container, or in the pod that shows the files of a session that
 * has ended.  Never on the side that holds credentials: git reads files of the clone by their names, which an agent at work
 * could exchange for links between two looks.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/beneath.h"
#include "core/ambient-runner/porcelain.h"
#include "core/ambient-runner/run.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/data/scan.h"

#define OUTPUT_MAX ((size_t)1 << 20)
#define GIT_NS     (15 * AM_NS_PER_S)
#define INDEX_MAX  ((size_t)64 << 20)

struct look {
	const char *dir, *repo; /* the session's; below its workspace */
	char *tree, *own;       /* the working copy; our repository */
	int dot_git;
	char branch[256], commit[65], base[65];
};

/* ---- reading the clone */

static bool
is_id(const char *text, char ret[65])
{
	size_t n = strspn(text, "0123456789abcdef");

	if ((n != 40 && n != 64) || (text[n] != '\0' && !isspace((unsigned char)text[n])))
		return false;
	memcpy(ret, text, n);
	ret[n] = '\0';
	return true;
}

/* Loose, or packed: "<id> <ref>" in a line. */
static bool
resolve(int git_dir, const char *ref, char ret[65])
{
	am_auto(am_buf_fini) struct am_buf loose = {0};
	am_auto(am_buf_fini) struct am_buf packed = {0};

	if (am_read_beneath(git_dir, ref, 4096, &loose) == 0)
		return is_id(am_buf_str(&loose), ret);
	if (am_read_beneath(git_dir, "packed-refs", INDEX_MAX, &packed) < 0)
		return false;
	for (const char *line = am_buf_str(&packed); *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t id = strcspn(line, " \n"), n = strlen(ref);

		if (line[id] == ' ' && strncmp(line + id + 1, ref, n) == 0 && (line[id + 1 + n] == '\n' || line[id + 1 + n] == '\0'))
			return is_id(line, ret);
	}
	return false;
}

static void
read_head(struct look *look)
{
	am_auto(am_buf_fini) struct am_buf head = {0};
	static const char mark[] = "ref: refs/heads/";

	if (am_read_beneath(look->dot_git, "HEAD", 4096, &head) < 0)
		return;
	if (!am_starts(am_buf_str(&head), mark)) {
		(void)is_id(am_buf_str(&head), look->commit);
		return;
	}
	head.data[strcspn(head.data, "\r\n")] = '\0';
	if (am_strlcpy(look->branch, head.data + strlen(mark), sizeof(look->branch)) < sizeof(look->branch))
		(void)resolve(look->dot_git, head.data + strlen("ref: "), look->commit);
}

/* ---- a repository of our own */

static int
put(const struct look *look, const char *name, const char *text, size_t n, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", look->own, name);

	return am_file_put(path, text, n, 0600, err);
}

/* What of the clone is data and no more. */
static int
borrow(const struct look *look, const char *name, size_t max, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	int rc = am_read_beneath(look->dot_git, name, max, &text);

	if (rc == -ENOENT || rc == -ENOTDIR)
		return 0;
	if (rc < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" of the clone cannot be read: %s", name, strerror(-rc));
	return put(look, name, am_buf_str(&text), text.len, err);
}

static int
make_own(struct look *look, struct ambient_error *err)
{
	static const char *const dirs[] = {"objects", "refs", "info"};
	bool sha256 = strlen(look->commit) == 64;
	char text[256];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(dirs); i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", look->own, dirs[i]);

		rc = am_mkdirs(path, 0700, err);
	}
	(void)snprintf(text, sizeof(text), "[core]\n\trepositoryformatversion = %d\n%s", sha256 ? 1 : 0,
		       sha256 ? "[extensions]\n\tobjectformat = sha256\n" : "");
	if (rc < 0 || (rc = put(look, "config", text, strlen(text), err)) < 0)
		return rc;
	(void)snprintf(text, sizeof(text), "%s\n", look->commit[0] != '\0' ? look->commit : "ref: refs/heads/none");
	if ((rc = put(look, "HEAD", text, strlen(text), err)) < 0 || (rc = borrow(look, "index", INDEX_MAX, err)) < 0 ||
	    (rc = borrow(look, "shallow", OUTPUT_MAX, err)) < 0)
		return rc;
	return borrow(look, "info/exclude", OUTPUT_MAX, err);
}

/* Its output, at most OUTPUT_MAX of it. */
static int
git(const struct look *look, const char *const *args, struct am_run_result *result, struct ambient_error *err)
{
	static const char *const settings[] = {"core.hooksPath=/dev/null", "core.fsmonitor=false",       "status.renames=false",
					       "core.quotePath=false",     "submodule.recurse=false",    "core.attributesFile=/dev/null",
					       "core.excludesFile=/dev/null"};
	am_auto(am_freep) char *path = am_xasprintf("PATH=%s", getenv("PATH") != NULL ? getenv("PATH") : "/usr/local/bin:/usr/bin:/bin");
	am_auto(am_freep) char *home = am_xasprintf("HOME=%s", look->own);
	am_auto(am_freep) char *git_dir = am_xasprintf("GIT_DIR=%s", look->own);
	am_auto(am_freep) char *tree = am_xasprintf("GIT_WORK_TREE=%s", look->tree);
	am_auto(am_freep) char *objects = am_xasprintf("GIT_OBJECT_DIRECTORY=%s/.git/objects", look->tree);
	const char *env[] = {path, home, git_dir, tree, objects, "LC_ALL=C.UTF-8", "GIT_CONFIG_NOSYSTEM=1",
			     "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1",
			     "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat", NULL};
	const char *argv[40];
	size_t n = 0;

	argv[n++] = "git";
	for (size_t i = 0; i < AM_COUNTOF(settings); i++) {
		argv[n++] = "-c";
		argv[n++] = settings[i];
	}
	const char *what = *args;
	for (; *args != NULL && n + 1 < AM_COUNTOF(argv); args++)
		argv[n++] = *args;
	argv[n] = NULL;
	struct am_spawn spawn = {.argv = argv, .envp = env, .cwd = look->tree, .fds = {-1, -1, -1}};
	int rc = am_run(&spawn, NULL, 0, OUTPUT_MAX, GIT_NS, NULL, result, err);
	if (rc == 0 && result->timed_out)
		rc = ambient_err(err, AMBIENT_E_TIMEOUT, "git %s took longer than %lld seconds", what, (long long)(GIT_NS / AM_NS_PER_S));
	else if (rc == 0 && result->exit_code != 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "git %s: %.*s", what, (int)strcspn(am_buf_str(&result->err), "\n"),
				 am_buf_str(&result->err));
	return rc;
}

/* ---- the answer */

/* Of each file that has changed, how many lines. */
static int
count_lines(const struct look *look, struct am_map **counts, struct ambient_error *err)
{
	static const char *const args[] = {"diff", "--numstat", "-z", "--no-renames", "--no-ext-diff", "--no-textconv",
					   "--ignore-submodules=all", "HEAD", NULL};
	struct am_run_result result = {0};
	int rc = look->commit[0] != '\0' ? git(look, args, &result, err) : 0;

	*counts = am_porcelain_numstat(rc == 0 ? am_slice(am_buf_str(&result.out), result.out.len) : am_slice("", 0));
	am_run_result_fini(&result);
	return rc;
}

static int
add_files(const struct look *look, struct am_buf *out, struct ambient_error *err)
{
	static const char *const args[] = {"status", "--porcelain=v2", "-z", "--untracked-files=normal", "--no-renames",
					   "--ignore-submodules=all", NULL};
	struct am_run_result result = {0};
	struct am_map *counts;
	int rc = count_lines(look, &counts, err);

	if (rc == 0 && (rc = git(look, args, &result, err)) == 0) {
		am_buf_adds(out, ",\"files\":[");
		bool whole = am_porcelain_status(am_slice(am_buf_str(&result.out), result.out.len), counts, out);
		am_json_addf(out, "],\"truncated\":%b", (int)(!whole || result.out.len >= OUTPUT_MAX));
	}
	am_run_result_fini(&result);
	am_map_free(counts);
	return rc;
}

static int
add_ahead(const struct look *look, struct am_buf *out, struct ambient_error *err)
{
	am_auto(am_freep) char *range = am_xasprintf("%s..%s", look->base, look->commit);
	const char *args[] = {"rev-list", "--count", range, NULL};
	struct am_run_result result = {0};

	if (look->base[0] == '\0' || look->commit[0] == '\0')
		return 0;
	int rc = git(look, args, &result, err);
	if (rc == 0)
		am_json_addf(out, ",\"base\":%s,\"ahead\":%l", look->base, (int64_t)strtoll(am_buf_str(&result.out), NULL, 10));
	am_run_result_fini(&result);
	return rc;
}

static int
add_diff(const struct look *look, struct am_buf *out, struct ambient_error *err)
{
	static const char *const args[] = {"diff", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "HEAD", NULL};
	struct am_run_result result = {0};
	int rc = look->commit[0] != '\0' ? git(look, args, &result, err) : 0;

	if (rc == 0) {
		am_buf_adds(out, ",\"diff\":");
		am_json_add_strn(out, am_buf_str(&result.out), result.out.len);
		am_json_addf(out, ",\"diffTruncated\":%b", (int)(result.out.len >= OUTPUT_MAX));
	}
	am_run_result_fini(&result);
	return rc;
}

static int
open_clone(struct look *look, struct ambient_error *err)
{
	am_auto(am_freep) char *below = am_xasprintf("workspace/%s/.git", look->repo);
	am_auto(am_freep) char *bare = am_xasprintf(".ambient/git/%s.git", look->repo);
	int dir = open(look->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (dir < 0)
		return am_err_errno(err, errno, "opening \"%s\"", look->dir);
	/* The runner's own repository is there where no agent is. */
	int own = look->base[0] == '\0' ? am_open_beneath(dup(dir), bare, &st) : -1;
	if (own >= 0) {
		(void)resolve(own, "refs/ambient/base", look->base);
		(void)close(own);
	}
	look->dot_git = am_open_beneath(dir, below, &st);
	if (look->dot_git >= 0 && !S_ISDIR(st.st_mode)) {
		(void)close(look->dot_git);
		look->dot_git = -ENOTDIR;
	}
	return look->dot_git < 0 ? ambient_err(err, AMBIENT_E_NOTFOUND, "there is no clone \"%s\" in the workspace", look->repo) : 0;
}

static int
answer(struct look *look, bool diff, struct am_buf *out, struct ambient_error *err)
{
	int rc;

	read_head(look);
	if ((rc = make_own(look, err)) < 0)
		return rc;
	am_json_addf(out, "{\"repo\":%s,\"branch\":%s,\"commit\":%s", look->repo, look->branch, look->commit);
	if ((rc = add_ahead(look, out, err)) < 0 || (rc = add_files(look, out, err)) < 0 || (diff && (rc = add_diff(look, out, err)) < 0))
		return rc;
	am_buf_adds(out, "}\n");
	return out->failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for the answer") : 0;
}

int
am_runner_look_main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	struct look look = {.dir = getenv("AMBIENT_SESSION_DIR"), .repo = argc > 2 ? argv[2] : "", .dot_git = -1};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf out = {0};
	int rc;

	if (argc < 4 || argc > 5 || am_empty(look.dir) || !am_runner_repo_name_ok(look.repo))
		return 2;
	(void)is_id(argv[3], look.base);
	look.tree = am_xasprintf("%s/workspace/%s", look.dir, look.repo);
	look.own = am_xasprintf("%s/ambient-look-XXXXXX", am_empty(tmp) ? "/tmp" : tmp);
	if (mkdtemp(look.own) == NULL)
		rc = am_err_errno(&err, errno, "making \"%s\"", look.own);
	else if ((rc = open_clone(&look, &err)) == 0)
		rc = answer(&look, argc == 5 && am_streq(argv[4], "diff"), &out, &err);
	if (rc < 0) {
		am_buf_reset(&out);
		am_json_addf(&out, "{\"error\":%s}\n", err.message);
	}
	(void)am_write_all(STDOUT_FILENO, out.data, out.len);
	(void)am_remove_tree(look.own, NULL);
	if (look.dot_git >= 0)
		(void)close(look.dot_git);
	free(look.tree);
	free(look.own);
	return rc < 0 ? 1 : 0;
}
