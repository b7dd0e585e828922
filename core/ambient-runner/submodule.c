/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submodules.  An agent has no credentials for them, so the runner lays them into the copy before the agent sees it: each is
 * fetched into a bare repository of the runner's own and copied from there, where `git submodule update` would have put it.
 * What names them, .gitmodules, is data of somebody else's: names, paths and URLs are checked as a session's are, their number
 * and depth are bounded, and credentials go to the hosts that they are meant for.  Afterwards a commit of a submodule that
 * nobody else can get keeps the work from being pushed, since it would be broken for everybody.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/git_priv.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"

#define MODULES_MAX 64
#define DEPTH_MAX   8
#define NAME_MAX_   200
#define PATH_MAX_   1024
#define DIFF_MAX    (16u << 20)

struct module {
	char *name, *path, *url; /* url: whole, checked */
	struct am_giturl where;
	char commit[65];
	bool skip; /* it says so itself */
};

/* A repository whose submodules are looked at: where its objects are, and where it stands in the copy. */
struct level {
	const char *objects, *commit, *url;
	const char *worktree; /* "" or "path/to/it", in the copy */
	const char *git_dir;  /* ".git" or ".git/modules/x", in the copy */
	int depth;
};

struct walk {
	struct am_git *git;
	struct am_repo *repo;
	const char *staging;
	int left; /* how many more there may be */
};

static void
module_fini(struct module *m)
{
	free(m->name);
	free(m->path);
	free(m->url);
}

/* Each part is a plain file name of letters, digits, "._-+" and the like: what is made of it has to stay where it belongs. */
static bool
is_plain(const char *s, size_t max)
{
	if (*s == '\0' || *s == '/' || *s == '-' || strlen(s) > max || !am_utf8_valid(s, strlen(s)))
		return false;
	for (const char *p = s; *p != '\0'; p += strspn(p, "/")) {
		size_t n = strcspn(p, "/");

		if (*p == '.' && (n == 1 || (n == 2 && p[1] == '.')))
			return false;
		if (n >= 4 && strncasecmp(p, ".git", 4) == 0 && (n == 4 || !isalnum((unsigned char)p[4])))
			return false;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)p[i] < ' ' || p[i] == 0x7f || p[i] == '\\' || p[i] == ':')
				return false;
		p += n;
	}
	return s[strlen(s) - 1] != '/';
}

static bool
has_file(struct am_git *git, const char *objects, const char *commit, const char *path)
{
	am_auto(am_freep) char *what = am_xasprintf("%s:%s", commit, path);
	const char *args[] = {"cat-file", "-e", what, NULL};
	struct am_git_run run = {.git_dir = objects, .args = args};

	return am_git_run(git, &run, NULL, NULL) == 0;
}

/* The commit that the tree names at path; "" when it names no submodule there. */
static void
find_commit(struct am_git *git, const struct level *level, struct module *m)
{
	const char *args[] = {"ls-tree", "-z", level->commit, "--", m->path, NULL};
	struct am_git_run run = {.git_dir = level->objects, .args = args};
	struct am_run_result result = {0};
	static const char mode[] = "160000 commit ";

	m->commit[0] = '\0';
	if (am_git_run(git, &run, &result, NULL) < 0)
		return;
	const char *p = am_buf_str(&result.out);
	size_t n = am_starts(p, mode) ? strspn(p + sizeof(mode) - 1, "0123456789abcdef") : 0;
	if ((n == 40 || n == 64) && am_streq(p + sizeof(mode) - 1 + n + 1, m->path))
		(void)am_strlcpy(m->commit, p + sizeof(mode) - 1, n + 1);
	am_run_result_fini(&result);
}

static struct module *
find_module(struct module *v, size_t *n, const char *name, size_t len)
{
	for (size_t i = 0; i < *n; i++)
		if (strlen(v[i].name) == len && memcmp(v[i].name, name, len) == 0)
			return &v[i];
	if (*n == MODULES_MAX)
		return NULL;
	v[*n] = (struct module){.name = am_xstrndup(name, len)};
	return &v[(*n)++];
}

/* .gitmodules, read by git itself: "submodule.NAME.KEY\nVALUE\0".  *more: it names more than there is room for. */
static size_t
read_modules(struct am_git *git, const struct level *level, struct module v[MODULES_MAX], bool *more)
{
	am_auto(am_freep) char *blob = am_xasprintf("--blob=%s:.gitmodules", level->commit);
	const char *args[] = {"config", blob, "-z", "--list", NULL};
	struct am_git_run run = {.git_dir = level->objects, .args = args};
	struct am_run_result result = {0};
	size_t n = 0;

	*more = false;
	if (!has_file(git, level->objects, level->commit, ".gitmodules") || am_git_run(git, &run, &result, NULL) < 0)
		return 0;
	const char *p = am_buf_str(&result.out), *end = p + result.out.len;
	for (; p < end; p += strlen(p) + 1) {
		size_t key_n = strcspn(p, "\n");
		const char *dot = memrchr(p, '.', key_n), *value = p[key_n] == '\n' ? p + key_n + 1 : "";

		if (!am_starts(p, "submodule.") || dot <= p + 10)
			continue;
		struct module *m = find_module(v, &n, p + 10, (size_t)(dot - p) - 10);
		*more = *more || m == NULL;
		char **field = m == NULL ? NULL : strncmp(dot, ".path\n", 6) == 0 ? &m->path : strncmp(dot, ".url\n", 5) == 0 ? &m->url : NULL;
		if (field != NULL) {
			free(*field);
			*field = am_xstrdup(value);
		} else if (m != NULL && strncmp(dot, ".update\n", 8) == 0) {
			m->skip = am_streq(value, "none");
		}
	}
	am_run_result_fini(&result);
	return n;
}

/* Makes the URL whole and looks at everything that is named. */
static int
check_module(const struct level *level, struct module *m, struct ambient_error *err)
{
	if (m->path == NULL || m->url == NULL || !is_plain(m->name, NAME_MAX_) || !is_plain(m->path, PATH_MAX_))
		return ambient_err(err, AMBIENT_E_INVALID, "the submodule \"%.80s\" is refused: its name or its path is none that may be used",
				   m->name);
	char *url = am_runner_giturl_resolve(level->url, m->url);
	free(m->url);
	m->url = url;
	if (am_runner_giturl_check(url, &m->where, err) < 0)
		return am_err_prefix(err, "the submodule \"%.80s\"", m->name);
	return 0;
}

/* ---- the runner's own repository of a submodule */

static char *
mirror_path(const struct am_git *git, const struct am_repo *repo, const char *url)
{
	unsigned char hash[32];
	char hex[65];

	am_sha256(url, strlen(url), hash);
	am_hex(hex, hash, sizeof(hash));
	return am_xasprintf("%s/.ambient/git/%s.modules/%.32s.git", git->root, repo->name, hex);
}

/* *ret is the repository, which has the commit then: of a branch, or asked for by its id, as git does. */
static int
fetch_module(struct am_git *git, struct am_repo *repo, const struct module *m, char **ret, struct ambient_error *err)
{
	char *mirror = *ret = mirror_path(git, repo, m->url), id[65];
	am_auto(am_freep) char *parent = am_xstrndup(mirror, (size_t)(strrchr(mirror, '/') - mirror));
	const char *init[] = {"init", "--quiet", "--bare", "--template=", "--", mirror, NULL};
	const char *specs[] = {"+refs/heads/*:refs/heads/*", m->commit};
	struct am_git_run run = {.args = init};
	int rc;

	if ((rc = am_mkdirs(parent, 0700, err)) < 0 || (rc = am_git_run(git, &run, NULL, err)) < 0)
		return rc;
	for (size_t i = 0; i < AM_COUNTOF(specs) && am_git_resolve(git, mirror, m->commit, id, NULL) < 0; i++) {
		const char *args[] = {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", m->url, specs[i], NULL};
		struct am_git_run fetch = {.git_dir = mirror, .args = args, .repo = repo, .where = &m->where, .seconds = 1800};

		if ((rc = am_git_run(git, &fetch, NULL, err)) < 0 && i == 0)
			return am_err_prefix(err, "the submodule \"%.80s\" cannot be cloned from \"%.100s\"", m->name, m->url);
	}
	/* Under a name it can be copied from there, whatever branches still lead to it. */
	am_auto(am_freep) char *ref = am_xasprintf("refs/ambient/at/%s", m->commit);
	const char *keep[] = {"update-ref", ref, m->commit, NULL};
	struct am_git_run name = {.git_dir = mirror, .args = keep};
	if (am_git_resolve(git, mirror, m->commit, id, NULL) < 0 || am_git_run(git, &name, NULL, NULL) < 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the submodule \"%.80s\" is at commit %.12s, which \"%.100s\" does not have",
				   m->name, m->commit, m->url);
	return 0;
}

/* ---- into the copy */

/* "../../" from a path of the copy to its top. */
static char *
up_from(const char *path)
{
	am_auto(am_buf_fini) struct am_buf out = {0};

	for (const char *p = path; *p != '\0'; p += strcspn(p, "/"), p += *p == '/')
		am_buf_adds(&out, "../");
	return am_xstrdup(am_buf_str(&out));
}

/* worktree/.git, where git left an empty directory for it: opened step by step, and there is no file of that name yet. */
static int
write_link(const char *staging, const char *worktree, const char *git_dir, struct ambient_error *err)
{
	am_auto(am_freep) char *up = up_from(worktree);
	am_auto(am_freep) char *text = am_xasprintf("gitdir: %s%s\n", up, git_dir);
	int dir = am_git_open_dir(staging, worktree), fd = -1, rc = 0;

	if (dir >= 0)
		fd = openat(dir, ".git", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		rc = am_err_errno(err, errno, "making \"%s/.git\"", worktree);
	else if ((rc = am_write_all(fd, text, strlen(text))) < 0)
		rc = am_err_errno(err, -rc, "making \"%s/.git\"", worktree);
	if (fd >= 0)
		(void)close(fd);
	if (dir >= 0)
		(void)close(dir);
	return rc;
}

static int
copy_module(struct walk *walk, const struct level *into, const struct module *m, const char *mirror, const char *worktree,
	    const char *git_dir, struct ambient_error *err)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/%s", walk->staging, git_dir);
	am_auto(am_freep) char *super = am_xasprintf("%s/%s", walk->staging, into->git_dir);
	am_auto(am_freep) char *tree = am_xasprintf("--work-tree=%s/%s", walk->staging, worktree);
	am_auto(am_freep) char *up = up_from(git_dir);
	am_auto(am_freep) char *core_tree = am_xasprintf("%s%s", up, worktree);
	am_auto(am_freep) char *url_key = am_xasprintf("submodule.%s.url", m->name);
	am_auto(am_freep) char *active_key = am_xasprintf("submodule.%s.active", m->name);
	am_auto(am_freep) char *keep = am_xasprintf("refs/ambient/at/%s:refs/ambient/base", m->commit);
	am_auto(am_freep) char *parent = am_xstrndup(dir, (size_t)(strrchr(dir, '/') - dir));
	const struct {
		const char *git_dir;
		const char *args[9];
	} steps[] = {
		{NULL, {"init", "--quiet", "--bare", "--template=", "--", dir}},
		{dir, {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", mirror, "+refs/heads/*:refs/remotes/origin/*", keep}},
		{dir, {"update-ref", "--no-deref", "HEAD", m->commit}},
		{dir, {"update-ref", "-d", "refs/ambient/base"}},
		{dir, {"config", "core.bare", "false"}},
		{dir, {"config", "core.worktree", core_tree}},
		{dir, {"config", "remote.origin.url", m->url}},
		{dir, {"config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"}},
		{super, {"config", url_key, m->url}},
		{super, {"config", active_key, "true"}},
		{dir, {tree, "reset", "--quiet", "--hard", m->commit}},
	};
	int rc = am_mkdirs(parent, 0755, err);

	if (rc == 0)
		rc = write_link(walk->staging, worktree, git_dir, err);
	const struct am_git_source source = {.objects = mirror, .commit = m->commit, .url = m->url, .where = &m->where};
	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(steps); i++) {
		struct am_git_run run = {.git_dir = steps[i].git_dir, .args = steps[i].args};

		if (i + 1 == AM_COUNTOF(steps)) {
			am_git_lfs_place(walk->git, walk->repo, &source, dir);
			run.settings = am_git_lfs_settings;
			run.download = true;
		}

		rc = am_git_run(walk->git, &run, NULL, err);
	}
	return rc;
}

static void
note(struct walk *walk, const struct ambient_error *err)
{
	if (walk->repo->error[0] == '\0')
		(void)am_strlcpy(walk->repo->error, err->message, sizeof(walk->repo->error));
}

/* A name that is the beginning of another one would have the one repository inside the other. */
static bool
is_nested(const struct module *v, size_t n, const struct module *m)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(v[i].name);

		if (&v[i] != m && strncmp(v[i].name, m->name, len) == 0 && m->name[len] == '/')
			return true;
	}
	return false;
}

static int
too_many(struct ambient_error *err)
{
	return ambient_err(err, AMBIENT_E_INVALID, "there are more than %d submodules, or more than %d in one another; those are left out",
			   MODULES_MAX, DEPTH_MAX);
}

static void place_level(struct walk *walk, const struct level *level);

static int
place_module(struct walk *walk, const struct level *level, struct module *m, struct ambient_error *err)
{
	am_auto(am_freep) char *mirror = NULL;
	int rc = check_module(level, m, err);

	if (rc < 0)
		return rc;
	find_commit(walk->git, level, m);
	if (m->commit[0] == '\0')
		return 0; /* named, and not in this commit */
	if (walk->left-- <= 0 || level->depth == DEPTH_MAX)
		return too_many(err);
	if ((rc = fetch_module(walk->git, walk->repo, m, &mirror, err)) < 0)
		return rc;
	am_auto(am_freep) char *worktree =
		am_xasprintf("%s%s%s", level->worktree, level->worktree[0] != '\0' ? "/" : "", m->path);
	am_auto(am_freep) char *git_dir = am_xasprintf("%s/modules/%s", level->git_dir, m->name);
	if ((rc = copy_module(walk, level, m, mirror, worktree, git_dir, err)) < 0)
		return am_err_prefix(err, "the submodule \"%.80s\"", m->name);
	struct level next = {.objects = mirror, .commit = m->commit, .url = m->url, .worktree = worktree, .git_dir = git_dir,
			     .depth = level->depth + 1};
	place_level(walk, &next);
	return 0;
}

static void
place_level(struct walk *walk, const struct level *level)
{
	struct ambient_error many = AMBIENT_ERROR_INIT;
	struct module v[MODULES_MAX];
	bool more;
	size_t n = read_modules(walk->git, level, v, &more);

	if (more && too_many(&many) < 0)
		note(walk, &many);
	for (size_t i = 0; i < n; i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		int rc = 0;

		if (is_nested(v, n, &v[i]))
			rc = ambient_err(&err, AMBIENT_E_INVALID, "the submodule \"%.80s\" is refused: its name lies in another one's",
					 v[i].name);
		else if (!v[i].skip)
			rc = place_module(walk, level, &v[i], &err);
		if (rc < 0)
			note(walk, &err);
	}
	for (size_t i = 0; i < n; i++)
		module_fini(&v[i]);
}

void
am_git_submodules_place(struct am_git *git, struct am_repo *repo, const char *bare, const char *staging)
{
	struct walk walk = {.git = git, .repo = repo, .staging = staging, .left = MODULES_MAX};
	struct level top = {.objects = bare, .commit = repo->base, .url = repo->url, .worktree = "", .git_dir = ".git"};

	place_level(&walk, &top);
}

/* ---- afterwards */

/* ":oldmode newmode old new status\0path\0" of git diff-tree: the path when the new one is a submodule. */
static const char *
next_changed(const char **p, const char *end, char commit[65])
{
	while (*p < end && **p == ':') {
		const char *mode = strchr(*p, ' '), *path = *p + strlen(*p) + 1;
		bool is_module = mode != NULL && am_starts(mode + 1, "160000 ");
		const char *old = is_module ? strchr(mode + 1, ' ') : NULL, *new = old != NULL ? strchr(old + 1, ' ') : NULL;

		if (path >= end)
			break;
		*p = path + strlen(path) + 1;
		if (new == NULL)
			continue;
		(void)am_strlcpy(commit, new + 1, AM_MIN(strspn(new + 1, "0123456789abcdef") + 1, (size_t)65));
		return path;
	}
	return NULL;
}

int
am_git_submodules_check(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err)
{
	const char *args[] = {"diff-tree", "-r", "-z", "--no-renames", "--raw", repo->base, repo->commit, "--", NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .out_max = DIFF_MAX};
	struct level top = {.objects = bare, .commit = repo->commit, .url = repo->url};
	struct am_run_result result = {0};
	struct module v[MODULES_MAX];
	char commit[65];
	bool more;
	size_t n = read_modules(git, &top, v, &more);
	int rc = n > 0 ? am_git_run(git, &run, &result, err) : 0;

	if (result.out.len == DIFF_MAX)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the work changes too much to look for its submodules");
	const char *p = am_buf_str(&result.out), *end = p + result.out.len, *path;
	while (rc == 0 && n > 0 && (path = next_changed(&p, end, commit)) != NULL) {
		am_auto(am_freep) char *mirror = NULL;
		struct module *m = NULL;

		for (size_t i = 0; i < n && m == NULL; i++)
			m = am_streq(v[i].path, path) ? &v[i] : NULL;
		if (m == NULL) /* as git does: nothing says where it comes from */
			continue;
		(void)am_strlcpy(m->commit, commit, sizeof(m->commit));
		if ((rc = check_module(&top, m, err)) == 0 && (rc = fetch_module(git, repo, m, &mirror, err)) < 0)
			rc = am_err_prefix(err, "the work is not pushed, since nobody could check it out (push the submodule's own work first, as a "
					   "repository of the session)");
	}
	am_run_result_fini(&result);
	for (size_t i = 0; i < n; i++)
		module_fini(&v[i]);
	return rc;
}
