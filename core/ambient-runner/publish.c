/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the agent's side back to the remote.  The bundle is hostile: it is opened without following links, must be
 * a regular file of bounded size, is copied before it is looked at, its header is read by us, and its pack goes
 * through index-pack --strict, which checks every object (also for paths and submodule URLs made to attack a
 * later clone).  What is pushed is one commit id, by our own configuration, to the URL that the session names.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/bundle.h"
#include "core/ambient-runner/git_priv.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#define HEADER_MAX (1 << 20)

static bool
is_hex(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr("0123456789abcdef", p[i]) == NULL || p[i] == '\0')
			return false;
	return n > 0;
}

/* "# v2 git bundle\n", lines "-<id> ..." and "<id> <ref>", an empty line, the pack. */
int
am_runner_bundle_header(const char *p, size_t n, size_t *pack, char head[65], struct ambient_error *err)
{
	static const char magic[] = "# v2 git bundle\n";
	size_t at = sizeof(magic) - 1;

	head[0] = '\0';
	if (n < at || memcmp(p, magic, at) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the agent's bundle is no git bundle of version 2");
	while (at < n && p[at] != '\n') {
		const char *end = memchr(p + at, '\n', n - at);
		size_t len = end != NULL ? (size_t)(end - p) - at : 0, id = 40;

		if (end == NULL)
			break;
		if (p[at] == '-') {
			if (len < 41 || !is_hex(p + at + 1, 40))
				return ambient_err(err, AMBIENT_E_INVALID,
						   "the header of the agent's bundle is damaged");
		} else {
			if (len < id + 2 || !is_hex(p + at, id) || p[at + id] != ' ')
				return ambient_err(err, AMBIENT_E_INVALID,
						   "the header of the agent's bundle is damaged");
			if (len == id + 5 && memcmp(p + at + id + 1, "HEAD", 4) == 0) {
				memcpy(head, p + at, id);
				head[id] = '\0';
			}
		}
		at += len + 1;
	}
	if (at >= n)
		return ambient_err(err, AMBIENT_E_INVALID, "the header of the agent's bundle does not end");
	if (head[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "the agent's bundle has no HEAD");
	*pack = at + 1;
	return 0;
}

/* out/<name>.bundle, a regular file that is not too large; its descriptor. */
static int
open_bundle(const struct am_git *git, const struct am_repo *repo, struct ambient_error *err)
{
	am_auto(am_freep) char *out = am_xasprintf("%s/out", git->root);
	am_auto(am_freep) char *name = am_xasprintf("%s.bundle", repo->name);
	struct stat st;
	int in = -1, rc = 0;

	int dir = open(out, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir >= 0) {
		in = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		int saved = errno;
		(void)close(dir);
		errno = saved;
	}
	if (in < 0)
		return errno == ENOENT ? ambient_err(err, AMBIENT_E_NOTFOUND, "the agent's side left no bundle")
				       : am_err_errno(err, errno, "the agent's bundle is refused");
	if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		rc = ambient_err(err, AMBIENT_E_INVALID, "the agent's bundle is refused: it is no regular file");
	else if (st.st_size > git->bundle_max)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the agent's bundle is refused: %lld bytes are more than %lld",
				 (long long)st.st_size, (long long)git->bundle_max);
	if (rc == 0)
		return in;
	(void)close(in);
	return rc;
}

/* Copies an agent's bundle to the private directory: of the header, head; the rest to the returned descriptor. */
static int
take_bundle(struct am_git *git, const struct am_repo *repo, char head[65], int *ret_fd, struct ambient_error *err)
{
	am_auto(am_freep) char *copy = am_xasprintf("%s/.ambient/incoming.pack", git->root);
	am_auto(am_buf_fini) struct am_buf buf = {0};
	int in = open_bundle(git, repo, err), to = -1, rc = AM_MIN(in, 0);
	size_t pack = 0;
	int64_t total = 0;

	*ret_fd = -1;
	if (rc < 0)
		return rc;
	if (!am_buf_reserve(&buf, HEADER_MAX))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "no memory for the agent's bundle");
	while (rc == 0 && buf.len < HEADER_MAX) {
		ssize_t n = pread(in, buf.data + buf.len, HEADER_MAX - buf.len, (off_t)buf.len);

		if (n < 0)
			rc = am_err_errno(err, errno, "reading the agent's bundle");
		if (n <= 0)
			break;
		buf.len += (size_t)n;
	}
	if (rc == 0)
		rc = am_runner_bundle_header(am_buf_str(&buf), buf.len, &pack, head, err);
	(void)unlink(copy);
	if (rc == 0 && (to = open(copy, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		rc = am_err_errno(err, errno, "making \"%s\"", copy);
	for (off_t at = (off_t)pack; rc == 0;) {
		ssize_t n = pread(in, buf.data, HEADER_MAX, at);

		if (n < 0)
			rc = am_err_errno(err, errno, "reading the agent's bundle");
		if (n <= 0)
			break;
		if (git->tick != NULL)
			git->tick(git->tick_arg);
		if ((total += n) > git->bundle_max)
			rc = ambient_err(err, AMBIENT_E_INVALID,
					 "the agent's bundle is refused: it grows while it is read");
		else if ((n = am_write_all(to, buf.data, (size_t)n)) < 0)
			rc = am_err_errno(err, (int)-n, "copying the agent's bundle");
		at = (off_t)pack + total;
	}
	buf.len = 0;
	(void)close(in);
	(void)unlink(copy);
	if (rc == 0 && lseek(to, 0, SEEK_SET) < 0)
		rc = am_err_errno(err, errno, "the agent's bundle");
	if (rc < 0 && to >= 0)
		(void)close(to);
	*ret_fd = rc < 0 ? -1 : to;
	return rc;
}

bool
am_runner_git_untouched(const struct am_git *git, const struct am_repo *repo)
{
	am_auto(am_freep) char *bundle = am_xasprintf("%s/out/%s.bundle", git->root, repo->name);
	struct stat st;

	return lstat(bundle, &st) < 0 && errno == ENOENT;
}

/* git's standard input is a descriptor here, so that a large pack never is in memory. */
static int
index_pack(struct am_git *git, const char *bare, int fd, struct ambient_error *err)
{
	am_auto(am_freep) char *limit = am_xasprintf("--max-input-size=%lld", (long long)git->bundle_max);
	const char *args[] = {"index-pack", "--stdin", "--fix-thin", "--strict", limit, NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .input_fd = fd, .has_input_fd = true, .seconds = 1200};

	return am_git_run(git, &run, NULL, err);
}

static int
count(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err)
{
	am_auto(am_freep) char *range = am_xasprintf("%s..%s", repo->base, repo->commit);
	const char *revs[] = {"rev-list", "--count", range, "--", NULL};
	const char *stat[] = {
		"diff-tree",  "-r", "--shortstat", "--no-ext-diff", "--no-textconv", "--no-renames", repo->base,
		repo->commit, "--", NULL};
	struct am_git_run run = {.git_dir = bare, .args = revs};
	struct am_run_result result = {0};
	int rc = am_git_run(git, &run, &result, err);

	if (rc < 0)
		return rc;
	repo->commits = strtoll(am_buf_str(&result.out), NULL, 10);
	am_run_result_fini(&result);
	memset(&result, 0, sizeof(result));
	run.args = stat;
	if ((rc = am_git_run(git, &run, &result, err)) < 0)
		return rc;
	const char *p = am_buf_str(&result.out), *plus = strstr(p, " insertion"), *minus = strstr(p, " deletion");
	for (int i = 0; i < 2; i++) {
		const char *end = i == 0 ? plus : minus, *from = end;

		while (from != NULL && from > p && from[-1] >= '0' && from[-1] <= '9')
			from--;
		if (end != NULL)
			*(i == 0 ? &repo->added : &repo->removed) = strtoll(from, NULL, 10);
	}
	am_run_result_fini(&result);
	return 0;
}

int
am_runner_git_import(struct am_git *git, struct am_repo *repo, struct ambient_error *err)
{
	am_auto(am_freep) char *bare = am_git_bare(git, repo);
	char head[65];
	int fd = -1, rc;

	rc = take_bundle(git, repo, head, &fd, err);
	if (rc == -AMBIENT_E_NOTFOUND) {
		repo->status = "nochanges";
		(void)am_strlcpy(repo->commit, repo->base, sizeof(repo->commit));
		return 0;
	}
	if (rc < 0)
		return rc;
	rc = index_pack(git, bare, fd, err);
	(void)close(fd);
	if (rc < 0)
		return am_err_prefix(err, "the agent's bundle is refused");
	const char *walk[] = {"rev-list", "--objects", "--quiet", head, "--not", "refs/ambient/base", "--", NULL};
	struct am_git_run run = {.git_dir = bare, .args = walk};
	if ((rc = am_git_resolve(git, bare, head, repo->commit, err)) < 0 ||
	    (rc = am_git_run(git, &run, NULL, err)) < 0)
		return am_err_prefix(err, "the agent's bundle is not complete");
	const char *keep[] = {"update-ref", "refs/ambient/work", repo->commit, NULL};
	run.args = keep;
	if ((rc = am_git_run(git, &run, NULL, err)) < 0 || (rc = count(git, repo, bare, err)) < 0)
		return rc;
	if (am_streq(repo->commit, repo->base))
		repo->status = "nochanges";
	return 0;
}

/* The first line that begins with that, without it; empty: there is none. */
static struct am_slice
line_of(const struct am_buf *text, const char *begin)
{
	const char *p = am_buf_str(text);

	for (size_t n; *p != '\0'; p += n + (p[n] == '\n')) {
		n = strcspn(p, "\n");
		if (am_starts(p, begin))
			return am_slice(p + strlen(begin), n - strlen(begin));
	}
	return am_slice("", 0);
}

/* Git's error is that some reference was not pushed.  Why stands in what it prints of each, "!\tFROM:TO\t[WHY] (MORE)", and in
 * what the server's hooks say. */
static int
push_refused(struct am_git *git, const struct am_repo *repo, const struct am_run_result *result, struct ambient_error *err)
{
	struct am_slice line = line_of(&result->out, "!\t"), said = line_of(&result->err, "remote: ");
	const char *why = line.n > 0 ? memchr(line.p, '\t', line.n) : NULL;
	char text[200], hook[200];
	bool behind;

	am_git_explain(git, &result->err, text, sizeof(text));
	if (why != NULL)
		am_runner_redact_cut(git->redactor, why + 1, (size_t)(line.p + line.n - why - 1), text, sizeof(text));
	am_runner_redact_cut(git->redactor, said.p, said.n, hook, sizeof(hook));
	behind = strstr(text, "fetch first") != NULL || strstr(text, "non-fast-forward") != NULL;
	return ambient_err(err, AMBIENT_E_INVALID, "pushing \"%.60s\" was refused: %s%s%s", repo->push_branch, text,
			   behind ? ": the branch has commits that this work does not build on; name another output.targetBranch"
			   : hook[0] != '\0' ? ": " : "", behind ? "" : hook);
}

int
am_runner_git_push(struct am_git *git, struct am_repo *repo, struct ambient_error *err)
{
	am_auto(am_freep) char *bare = am_git_bare(git, repo);
	am_auto(am_freep) char *spec = am_xasprintf("%s:refs/heads/%s", repo->commit, repo->push_branch);
	const char *args[] = {"push", "--no-verify", "--porcelain", "--no-signed", "--", repo->push_url, spec, NULL};
	struct am_git_run run = {
		.git_dir = bare, .args = args, .repo = repo, .where = &repo->push_where, .seconds = 1200, .may_fail = true};
	struct am_run_result result = {0};
	int rc = repo->rescued ? 0 : am_git_submodules_check(git, repo, bare, err);

	if (rc == 0)
		rc = am_git_lfs_publish(git, repo, bare, err);
	if (rc < 0 && !repo->rescued)
		return rc;
	/* Better rescued without than not at all. */
	if (rc < 0 && err != NULL)
		(void)am_strlcpy(repo->error, err->message, sizeof(repo->error));
	rc = am_git_run(git, &run, &result, err);
	if (rc < 0)
		return am_err_prefix(err, "pushing \"%.60s\"", repo->push_branch);
	if (result.exit_code != 0)
		rc = push_refused(git, repo, &result, err);
	am_run_result_fini(&result);
	if (rc < 0)
		return rc;
	repo->status = "pushed";
	return 0;
}

char *
am_runner_git_subject(struct am_git *git, const struct am_repo *repo)
{
	am_auto(am_freep) char *bare = am_git_bare(git, repo);
	const char *args[] = {"log", "-1", "--format=%s", "--no-show-signature", repo->commit, "--", NULL};
	struct am_git_run run = {.git_dir = bare, .args = args};
	struct am_run_result result = {0};
	char *subject = NULL;

	if (am_git_run(git, &run, &result, NULL) < 0)
		return NULL;
	size_t n = strcspn(am_buf_str(&result.out), "\n");
	if (n > 0 && n < 1000 && am_utf8_valid(result.out.data, n))
		subject = am_xstrndup(result.out.data, n);
	am_run_result_fini(&result);
	return subject;
}
