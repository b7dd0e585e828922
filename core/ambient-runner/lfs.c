/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that git-lfs keeps beside git.  On the way in the runner fetches the objects of the commit into its own repository
 * and copies them into the agent's, so that the files are whole although the agent has no credentials.  On the way out the work
 * names objects by hash and size, in small files (pointers): each new one must be there before the work is pushed, since it
 * would be a pointer to nothing otherwise.  One that only the agent has is read from its copy, which is hostile: opened step by
 * step without following links, a regular file of exactly that size, copied, and its hash taken of our copy.  git-lfs itself
 * runs in the runner's repository only, with a server that the commit that was cloned names, checked as any URL is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "core/ambient-runner/git_priv.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"

#define LIST_MAX    (32u << 20)
#define POINTER_MAX 1024
#define OBJECTS_MAX 10000
#define CHUNK       1000 /* blobs read by one git */
#define PUSH_CHUNK  32   /* objects on one command line */

struct pointer {
	char oid[65], blob[65];
	int64_t size;
};

struct pointers {
	struct pointer *v;
	size_t n;
};

/* ---- what git-lfs is told */

struct server {
	char remote[2100], url[2100]; /* settings */
	const char *settings[3];
	struct am_giturl where;
};

static bool
is_installed(struct am_git *git)
{
	const char *args[] = {"lfs", "version", NULL};
	struct am_git_run run = {.args = args};

	return am_git_run(git, &run, NULL, NULL) == 0;
}

/* .lfsconfig may name another server; that is asked for credentials only if they are meant for its host. */
static int
find_server(struct am_git *git, const char *objects, const char *commit, const char *url, const struct am_giturl *where,
	    struct server *ret, struct ambient_error *err)
{
	am_auto(am_freep) char *blob = am_xasprintf("--blob=%s:.lfsconfig", commit);
	const char *args[] = {"config", blob, "--get", "lfs.url", NULL};
	struct am_git_run run = {.git_dir = objects, .args = args};
	struct am_run_result result = {0};
	int rc = 0;

	*ret = (struct server){.where = *where};
	(void)snprintf(ret->remote, sizeof(ret->remote), "remote.origin.url=%s", url);
	ret->settings[0] = ret->remote;
	if (am_git_run(git, &run, &result, NULL) < 0)
		return 0;
	am_auto(am_freep) char *named = am_xstrndup(am_buf_str(&result.out), strcspn(am_buf_str(&result.out), "\n"));
	if ((rc = am_runner_giturl_check(named, &ret->where, err)) < 0)
		rc = am_err_prefix(err, "the server for LFS in .lfsconfig");
	(void)snprintf(ret->url, sizeof(ret->url), "lfs.url=%s", named);
	ret->settings[1] = ret->url;
	am_run_result_fini(&result);
	return rc;
}

/* Does a .gitattributes of the commit give files to git-lfs? */
static bool
is_used(struct am_git *git, const char *objects, const char *commit)
{
	const char *args[] = {"grep", "-q", "-F", "-e", "filter=lfs", commit, "--", ":(glob)**/.gitattributes", NULL};
	struct am_git_run run = {.git_dir = objects, .args = args};

	return am_git_run(git, &run, NULL, NULL) == 0;
}

static char *
object_dir(const char *git_dir, const char *oid)
{
	return am_xasprintf("%s/lfs/objects/%.2s/%.2s", git_dir, oid, oid + 2);
}

static char *
object_path(const char *git_dir, const char *oid)
{
	return am_xasprintf("%s/lfs/objects/%.2s/%.2s/%s", git_dir, oid, oid + 2, oid);
}

static bool
is_oid(const char *p)
{
	return strspn(p, "0123456789abcdef") == 64;
}

/* ---- copying */

/* Everything of in, which must have exactly size bytes, into a new file. */
static int
copy_fd(struct am_git *git, int in, const char *to, int64_t size, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf buf = {0};
	int64_t total = 0;
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644), rc = 0;

	if (out < 0)
		return am_err_errno(err, errno, "making \"%s\"", to);
	if (!am_buf_reserve(&buf, 1u << 20))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "no memory for an LFS object");
	while (rc == 0) {
		ssize_t n = pread(in, buf.data, 1u << 20, (off_t)total);

		if (n < 0)
			rc = am_err_errno(err, errno, "reading an LFS object");
		if (n <= 0)
			break;
		if (git->tick != NULL)
			git->tick(git->tick_arg);
		if ((total += n) > size)
			rc = ambient_err(err, AMBIENT_E_INVALID, "it is larger than its pointer says");
		else if ((n = am_write_all(out, buf.data, (size_t)n)) < 0)
			rc = am_err_errno(err, (int)-n, "writing an LFS object");
	}
	if (rc == 0 && total != size)
		rc = ambient_err(err, AMBIENT_E_INVALID, "it is smaller than its pointer says");
	if (close(out) < 0 && rc == 0)
		rc = am_err_errno(err, errno, "writing an LFS object");
	if (rc < 0)
		(void)unlink(to);
	return rc;
}

/* From our own repository into a copy that the agent will get; it may be changed there, so nothing is shared. */
static int
copy_object(struct am_git *git, const char *objects, const char *into, const char *oid, struct ambient_error *err)
{
	am_auto(am_freep) char *from = object_path(objects, oid);
	am_auto(am_freep) char *dir = object_dir(into, oid);
	am_auto(am_freep) char *to = object_path(into, oid);
	struct stat st;
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

	if (in < 0 || fstat(in, &st) < 0)
		return in < 0 ? -AMBIENT_E_NOTFOUND : -AMBIENT_E_INTERNAL;
	rc = am_mkdirs(dir, 0755, err);
	if (rc == 0)
		rc = copy_fd(git, in, to, st.st_size, err);
	(void)close(in);
	return rc;
}

static bool
hash_fits(const char *path, int64_t size, const char *oid)
{
	unsigned char hash[32];
	char hex[65];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	void *p = fd >= 0 && size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		(void)close(fd);
	if (size > 0 && p == MAP_FAILED)
		return false;
	am_sha256(size > 0 ? p : "", (size_t)size, hash);
	if (size > 0)
		(void)munmap(p, (size_t)size);
	am_hex(hex, hash, sizeof(hash));
	return am_streq(hex, oid);
}

/* ---- in */

/* A checkout runs git-lfs where .lfsconfig is somebody else's: what is not there yet is asked of nobody and stays a pointer. */
const char *const am_git_lfs_settings[] = {"lfs.url=https://127.0.0.1:1/", "lfs.skipdownloaderrors=true", "lfs.transfer.maxretries=1",
					   "lfs.dialtimeout=1", NULL};

static void
note(struct am_repo *repo, const struct ambient_error *err)
{
	if (repo->error[0] == '\0')
		(void)am_strlcpy(repo->error, err->message, sizeof(repo->error));
}

/* As `git lfs install --local` writes it. */
static int
set_filters(struct am_git *git, const char *git_dir, struct ambient_error *err)
{
	static const char *const filters[][2] = {
		{"filter.lfs.clean", "git-lfs clean -- %f"},
		{"filter.lfs.smudge", "git-lfs smudge -- %f"},
		{"filter.lfs.process", "git-lfs filter-process"},
		{"filter.lfs.required", "true"},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < AM_COUNTOF(filters); i++) {
		const char *args[] = {"config", filters[i][0], filters[i][1], NULL};
		struct am_git_run run = {.git_dir = git_dir, .args = args};

		rc = am_git_run(git, &run, NULL, err);
	}
	return rc;
}

/* Copies what was fetched of the commit's objects; counts the others. */
static int
copy_objects(struct am_git *git, const char *objects, const char *commit, const char *into, size_t *missing,
	     struct ambient_error *err)
{
	const char *args[] = {"lfs", "ls-files", "--long", commit, NULL};
	struct am_git_run run = {.git_dir = objects, .args = args, .out_max = LIST_MAX};
	struct am_run_result result = {0};
	int rc = am_git_run(git, &run, &result, err);

	for (const char *p = am_buf_str(&result.out); rc == 0 && *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		char oid[65];

		if (!is_oid(p))
			continue;
		(void)am_strlcpy(oid, p, sizeof(oid));
		am_auto(am_freep) char *there = object_path(into, oid);
		if (access(there, F_OK) == 0)
			continue;
		rc = copy_object(git, objects, into, oid, err);
		if (rc == -AMBIENT_E_NOTFOUND) {
			(*missing)++;
			rc = 0;
		}
	}
	am_run_result_fini(&result);
	return rc;
}

void
am_git_lfs_place(struct am_git *git, struct am_repo *repo, const struct am_git_source *source, const char *git_dir)
{
	const char *args[] = {"lfs", "fetch", "origin", source->commit, NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct server server;
	size_t missing = 0;
	int rc;

	if (!is_used(git, source->objects, source->commit))
		return;
	if (!is_installed(git)) {
		if (ambient_err(&err, AMBIENT_E_NOTFOUND, "files of \"%.100s\" that LFS keeps are there as pointers only: git-lfs is not "
				"installed in the runner's image", source->url) < 0)
			note(repo, &err);
		return;
	}
	rc = find_server(git, source->objects, source->commit, source->url, source->where, &server, &err);
	struct am_git_run run = {.git_dir = source->objects, .args = args, .settings = server.settings, .repo = repo,
				 .where = &server.where, .seconds = 1800};
	if (rc == 0 && (rc = am_git_run(git, &run, NULL, &err)) < 0)
		rc = am_err_prefix(&err, "files of \"%.60s\" that LFS keeps are there as pointers only", source->url);
	if (rc < 0)
		note(repo, &err);
	/* What there is is laid out, whatever is missing. */
	if ((rc = copy_objects(git, source->objects, source->commit, git_dir, &missing, &err)) < 0 ||
	    (rc = set_filters(git, git_dir, &err)) < 0)
		note(repo, &err);
}

/* ---- out */

static bool
parse_pointer(const char *p, size_t n, struct pointer *ret)
{
	static const char version[] = "version https://git-lfs.github.com/spec/v1\n";
	am_auto(am_freep) char *text = am_xstrndup(p, n);
	const char *oid = am_starts(text, version) ? strstr(text, "\noid sha256:") : NULL, *size = strstr(text, "\nsize ");

	if (oid == NULL || size == NULL || !is_oid(oid + 12))
		return false;
	(void)am_strlcpy(ret->oid, oid + 12, sizeof(ret->oid));
	am_auto(am_freep) char *number = am_xstrndup(size + 6, strcspn(size + 6, "\n"));
	return am_parse_i64(number, &ret->size) == 0 && ret->size >= 0;
}

/* "<id> <type> <size>\n<data>\n" of git cat-file --batch. */
static int
collect(const struct am_buf *out, struct pointers *ret, struct ambient_error *err)
{
	const char *p = am_buf_str(out), *end = p + out->len;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p)), *sp = eol != NULL ? memrchr(p, ' ', (size_t)(eol - p)) : NULL;
		int64_t size = sp != NULL ? strtoll(sp + 1, NULL, 10) : -1;
		struct pointer pointer = {0};

		if (size < 0 || size > end - eol - 1)
			return ambient_err(err, AMBIENT_E_INTERNAL, "git cat-file printed half of an object");
		if (size < POINTER_MAX && parse_pointer(eol + 1, (size_t)size, &pointer)) {
			if (ret->n == OBJECTS_MAX)
				return ambient_err(err, AMBIENT_E_INVALID, "the work has more than %d new LFS objects", OBJECTS_MAX);
			(void)am_strlcpy(pointer.blob, p, AM_MIN(strspn(p, "0123456789abcdef") + 1, sizeof(pointer.blob)));
			ret->v = am_xrealloc(ret->v, ret->n + 1, sizeof(*ret->v));
			ret->v[ret->n++] = pointer;
		}
		p = eol + 1 + size + 1;
	}
	return 0;
}

/* The pointers among the blobs of list ("<id> <path>" a line). */
static int
read_blobs(struct am_git *git, const char *objects, const char *list, struct pointers *ret, struct ambient_error *err)
{
	const char *args[] = {"cat-file", "--batch", NULL};
	int rc = 0;

	while (rc == 0 && *list != '\0') {
		am_auto(am_buf_fini) struct am_buf input = {0};
		struct am_run_result result = {0};

		for (int i = 0; i < CHUNK && *list != '\0'; i++) {
			am_buf_add(&input, list, strspn(list, "0123456789abcdef"));
			am_buf_addc(&input, '\n');
			list += strcspn(list, "\n");
			list += *list == '\n';
		}
		struct am_git_run run = {.git_dir = objects, .args = args, .input = am_buf_str(&input), .input_len = input.len,
					 .out_max = CHUNK * (POINTER_MAX + 128)};
		if ((rc = am_git_run(git, &run, &result, err)) == 0)
			rc = collect(&result.out, ret, err);
		am_run_result_fini(&result);
	}
	return rc;
}

/* From the agent's copy. */
static int
take_object(struct am_git *git, const struct am_repo *repo, const char *bare, const struct pointer *o, struct ambient_error *err)
{
	am_auto(am_freep) char *copy = am_xasprintf("workspace/%s/.git", repo->name);
	am_auto(am_freep) char *there = object_dir(copy, o->oid);
	am_auto(am_freep) char *dir = object_dir(bare, o->oid);
	am_auto(am_freep) char *to = object_path(bare, o->oid);
	am_auto(am_freep) char *incoming = am_xasprintf("%s/lfs/incoming", bare);
	int at = am_git_open_dir(git->root, there), in, rc;
	struct stat st;

	in = at >= 0 ? openat(at, o->oid, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	if (at >= 0)
		(void)close(at);
	if (in < 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "it is not there");
	(void)unlink(incoming);
	if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		rc = ambient_err(err, AMBIENT_E_INVALID, "it is no regular file");
	else if ((rc = am_mkdirs(dir, 0700, err)) == 0)
		rc = copy_fd(git, in, incoming, o->size, err);
	(void)close(in);
	if (rc == 0 && !hash_fits(incoming, o->size, o->oid))
		rc = ambient_err(err, AMBIENT_E_INVALID, "it is not what its hash says");
	if (rc == 0 && rename(incoming, to) < 0)
		rc = am_err_errno(err, errno, "keeping an LFS object");
	(void)unlink(incoming);
	return rc;
}

/* The server of the repository that was cloned may have it: of another branch, say. */
static int
download_object(struct am_git *git, struct am_repo *repo, const char *bare, const struct server *server, const struct pointer *o)
{
	am_auto(am_freep) char *text = am_xasprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %lld\n", o->oid,
						    (long long)o->size);
	am_auto(am_freep) char *to = object_path(bare, o->oid);
	const char *args[] = {"lfs", "smudge", NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .settings = server->settings, .repo = repo, .where = &server->where,
				 .input = text, .input_len = strlen(text), .download = true, .out_max = 1, .seconds = 600};

	(void)am_git_run(git, &run, NULL, NULL);
	return access(to, F_OK) == 0 ? 0 : -AMBIENT_E_NOTFOUND;
}

static int
gather(struct am_git *git, struct am_repo *repo, const char *bare, const struct server *server, const struct pointers *all,
       const char *list, struct ambient_error *err)
{
	int64_t total = 0;

	for (size_t i = 0; i < all->n; i++) {
		const struct pointer *o = &all->v[i];
		am_auto(am_freep) char *ours = object_path(bare, o->oid);
		struct ambient_error why = AMBIENT_ERROR_INIT;

		if (o->size > git->bundle_max || (total += o->size) > git->bundle_max)
			return ambient_err(err, AMBIENT_E_INVALID, "the work's new LFS objects have more than %lld bytes",
					   (long long)git->bundle_max);
		if (access(ours, F_OK) == 0 || take_object(git, repo, bare, o, &why) == 0 ||
		    download_object(git, repo, bare, server, o) == 0)
			continue;
		const char *line = strstr(list, o->blob), *name = line != NULL ? line + strspn(line, "0123456789abcdef") : "";
		name += *name == ' ';
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the LFS object of \"%.*s\" (sha256 %.12s, %lld bytes) cannot be had from the agent's "
				   "copy: %s; nor from the server", (int)AM_MIN(strcspn(name, "\n"), (size_t)80), name, o->oid,
				   (long long)o->size, why.message);
	}
	return 0;
}

static int
upload(struct am_git *git, struct am_repo *repo, const char *bare, const struct server *server, const struct pointers *all,
       struct ambient_error *err)
{
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < all->n; at += PUSH_CHUNK) {
		const char *args[PUSH_CHUNK + 5] = {"lfs", "push", "--object-id", "origin"};
		struct am_git_run run = {.git_dir = bare, .args = args, .settings = server->settings, .repo = repo,
					 .where = &server->where, .seconds = 1800};

		for (size_t i = 0; i < PUSH_CHUNK && at + i < all->n; i++)
			args[4 + i] = all->v[at + i].oid;
		if ((rc = am_git_run(git, &run, NULL, err)) < 0)
			rc = am_err_prefix(err, "pushing the LFS objects was refused");
	}
	return rc;
}

int
am_git_lfs_publish(struct am_git *git, struct am_repo *repo, const char *bare, struct ambient_error *err)
{
	am_auto(am_freep) char *not_base = am_xasprintf("^%s", repo->base);
	const char *args[] = {"rev-list", "--objects", "--filter=combine:object:type=blob+blob:limit=1024", "--filter-provided-objects",
			      repo->commit, not_base, "--", NULL};
	struct am_git_run run = {.git_dir = bare, .args = args, .out_max = LIST_MAX};
	struct am_run_result result = {0};
	struct pointers all = {0};
	struct server from, to;
	int rc;

	if (!is_used(git, bare, repo->commit))
		return 0;
	if ((rc = am_git_run(git, &run, &result, err)) < 0)
		return rc;
	if (result.out.len == LIST_MAX)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the work has too many new files to look for LFS objects");
	else
		rc = read_blobs(git, bare, am_buf_str(&result.out), &all, err);
	if (rc == 0 && all.n > 0 && !is_installed(git))
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "the work has new LFS objects, and git-lfs is not installed in the runner's image");
	/* Which server it is says the commit that was cloned, not the agent's. */
	if (rc == 0 && all.n > 0 && (rc = find_server(git, bare, repo->base, repo->url, &repo->where, &from, err)) == 0 &&
	    (rc = find_server(git, bare, repo->base, repo->push_url, &repo->push_where, &to, err)) == 0 &&
	    (rc = gather(git, repo, bare, &from, &all, am_buf_str(&result.out), err)) == 0)
		rc = upload(git, repo, bare, &to, &all, err);
	am_run_result_fini(&result);
	free(all.v);
	return rc;
}
