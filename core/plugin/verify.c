/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this file be loaded?  Whoever can write to a plugin, or replace it by writing to a directory above it, runs
 * code as the daemon.  So the path is walked from the root, one descriptor after the other and without following
 * links, and every step must belong to root or to this user and be writable by nobody else.  What is read later
 * is read from the descriptor that was judged here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/plugin/plugin_priv.h"

/* The sentence goes behind `plugin "path": `.  upto: the part of the path that st is about. */
static int
judge(const struct stat *st, const char *upto, struct ambient_error *err)
{
	bool sticky_dir = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;

	if (S_ISLNK(st->st_mode)) {
		char real[PATH_MAX];

		if (realpath(upto, real) != NULL)
			return ambient_err(err, AMBIENT_E_FORBIDDEN, "\"%.120s\" is a symbolic link, configure the real path, \"%.120s\"",
					   upto, real);
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "\"%.120s\" is a symbolic link that leads nowhere", upto);
	}
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "\"%.120s\" belongs to uid %u, it must belong to root or to uid %u", upto,
				   (unsigned int)st->st_uid, (unsigned int)geteuid());
	if ((st->st_mode & S_IWOTH) != 0 && !sticky_dir)
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "\"%.120s\" is writable by everybody, run chmod o-w on it", upto);
	if ((st->st_mode & S_IWGRP) != 0 && st->st_gid != getegid() && !sticky_dir)
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "\"%.120s\" is writable by group %u, run chmod g-w on it", upto,
				   (unsigned int)st->st_gid);
	return 0;
}

/*
 * Walks path and judges each step.  Returns a descriptor (O_PATH for directories) of the last one.  With `missing`
 * a part that does not exist is fine, since nobody else can make it; then -1 in *ret_fd.
 */
static int
walk(const char *path, bool missing, int *ret_fd, struct stat *ret_st, struct ambient_error *err)
{
	char upto[PATH_MAX];
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), rc = 0;
	const char *p = path;

	*ret_fd = -1;
	if (fd < 0 || fstat(fd, ret_st) < 0) {
		rc = am_err_errno(err, errno, "\"/\"");
		goto out;
	}
	rc = judge(ret_st, "/", err);
	while (rc == 0) {
		char name[NAME_MAX + 1];

		p += strspn(p, "/");
		size_t n = strcspn(p, "/");
		if (n == 0)
			break;
		if (n > NAME_MAX) {
			rc = ambient_err(err, AMBIENT_E_INVALID, "a part of the path is too long");
			break;
		}
		memcpy(name, p, n);
		name[n] = '\0';
		p += n;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			rc = ambient_err(err, AMBIENT_E_INVALID, "its path has a part \"%s\", configure the real path", name);
			break;
		}
		memcpy(upto, path, (size_t)(p - path));
		upto[p - path] = '\0';
		int next = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0) {
			int saved = errno;

			if (missing && saved == ENOENT) {
				(void)close(fd);
				return 0;
			}
			rc = saved == ENOENT ? ambient_err(err, AMBIENT_E_NOTFOUND, "there is no \"%.200s\"", upto)
					     : am_err_errno(err, saved, "\"%.200s\"", upto);
			break;
		}
		(void)close(fd);
		fd = next;
		if (fstat(fd, ret_st) < 0)
			rc = am_err_errno(err, errno, "\"%.200s\"", upto);
		else
			rc = judge(ret_st, upto, err);
	}
out:
	if (rc == 0)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd);
	return rc;
}

int
am_plugin_verify(const char *path, struct ambient_error *err)
{
	struct ambient_error mine = AMBIENT_ERROR_INIT;
	struct stat st, now;
	int fd = -1, file = -1, rc;

	if (err == NULL)
		err = &mine;
	if (getauxval(AT_SECURE) != 0)
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "a setuid program loads no plugins");
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "plugin \"%.200s\": its path must be absolute", path);
	rc = walk(path, false, &fd, &st, err);
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = ambient_err(err, AMBIENT_E_INVALID, "it is no regular file");
	if (rc == 0) {
		char self[40];

		/* The judged inode itself, opened for reading: not its name, which may mean another by now. */
		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		file = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (file < 0) {
			rc = am_err_errno(err, errno, "it cannot be opened");
		} else if (fstat(file, &now) < 0 || now.st_ino != st.st_ino || now.st_dev != st.st_dev) {
			rc = ambient_err(err, AMBIENT_E_INTERNAL, "it changed while it was opened");
			(void)close(file);
		}
	}
	if (fd >= 0)
		(void)close(fd);
	return rc < 0 ? am_err_prefix(err, "plugin \"%.120s\"", path) : file;
}

static int
verify_entry(const char *entry, struct ambient_error *err)
{
	char part[PATH_MAX], real[PATH_MAX];
	struct stat st;
	int fd, rc;

	if (entry[0] != '/' || strlen(entry) >= sizeof(part))
		return ambient_err(err, AMBIENT_E_FORBIDDEN,
				   "its RUNPATH has \"%.80s\", which is not absolute, link it without -rpath", entry);
	/* Links on the way (/lib) are the system's; what they lead to is judged. */
	(void)am_strlcpy(part, entry, sizeof(part));
	while (realpath(part, real) == NULL) {
		char *slash = strrchr(part, '/');

		if (slash == NULL || slash == part)
			return 0;
		*slash = '\0';
	}
	rc = walk(real, true, &fd, &st, err);
	if (fd >= 0)
		(void)close(fd);
	return rc < 0 ? am_err_prefix(err, "its RUNPATH has \"%.80s\"", entry) : 0;
}

int
am_plugin_verify_runpath(const char *path, const struct plugin_elf *elf, struct ambient_error *err)
{
	const char *const lists[] = { elf->runpath, elf->rpath };

	for (size_t i = 0; i < AM_COUNTOF(lists); i++) {
		for (const char *p = lists[i]; p != NULL && *p != '\0';) {
			size_t n = strcspn(p, ":");
			am_auto(am_freep) char *entry = am_xstrndup(p, n);

			if (verify_entry(entry, err) < 0)
				return am_err_prefix(err, "plugin \"%.100s\"", path);
			p += n + (p[n] == ':');
		}
	}
	return 0;
}
