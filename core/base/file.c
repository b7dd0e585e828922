/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories. */
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"

#define TREE_DEPTH 256

int
am_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int
am_file_read(const char *path, size_t max, struct am_buf *out, struct ambient_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return am_err_errno(err, errno, "cannot read \"%s\"", path);
	size_t start = out->len;
	for (;;) {
		if (!am_buf_reserve(out, 16384))
			break;
		ssize_t n = read(fd, out->data + out->len, 16384);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int e = errno;
			(void)close(fd);
			return am_err_errno(err, e, "cannot read \"%s\"", path);
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		out->data[out->len] = '\0';
		if (out->len - start > max)
			break;
	}
	(void)close(fd);
	if (out->failed || out->len - start > max)
		return ambient_err(err, AMBIENT_E_NOMEM, "\"%s\" is larger than %zu bytes", path, max);
	return 0;
}

static int
sync_directory_of(const char *path)
{
	char *copy = am_xstrdup(path), *slash = strrchr(copy, '/');
	const char *dir = ".";

	if (slash != NULL) {
		*slash = '\0';
		dir = slash == copy ? "/" : copy;
	}
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) < 0 ? -errno : 0;
	(void)close(fd);
	return rc;
}

static int
write_file(const char *path, const void *data, size_t n, mode_t mode, bool durable, struct ambient_error *err)
{
	char *tmp = am_xasprintf("%s.tmp-XXXXXX", path);
	int fd = mkostemp(tmp, O_CLOEXEC), e = 0;

	if (fd < 0) {
		e = errno;
		free(tmp);
		return am_err_errno(err, e, "cannot write \"%s\"", path);
	}
	if (fchmod(fd, mode) < 0)
		e = errno;
	if (e == 0)
		e = -am_write_all(fd, data, n);
	if (e == 0 && durable && fsync(fd) < 0)
		e = errno;
	if (close(fd) < 0 && e == 0)
		e = errno;
	if (e == 0 && rename(tmp, path) < 0)
		e = errno;
	if (e == 0 && durable)
		e = -sync_directory_of(path);
	if (e != 0)
		(void)unlink(tmp);
	free(tmp);
	return e != 0 ? am_err_errno(err, e, "cannot write \"%s\"", path) : 0;
}

int
am_file_write(const char *path, const void *data, size_t n, mode_t mode, struct ambient_error *err)
{
	return write_file(path, data, n, mode, true, err);
}

int
am_file_put(const char *path, const void *data, size_t n, mode_t mode, struct ambient_error *err)
{
	return write_file(path, data, n, mode, false, err);
}

int
am_mkdirs(const char *path, mode_t mode, struct ambient_error *err)
{
	char *copy = am_xstrdup(path);
	int e = 0;

	for (char *p = copy + (copy[0] == '/'); e == 0; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		if (copy[0] != '\0' && mkdir(copy, mode) < 0 && errno != EEXIST)
			e = errno;
		*p = c;
		if (c == '\0')
			break;
	}
	struct stat st;
	if (e == 0 && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		e = ENOTDIR;
	free(copy);
	return e != 0 ? am_err_errno(err, e, "cannot make the directory \"%s\"", path) : 0;
}

static int
remove_at(int dir, const char *name, int depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth > TREE_DEPTH)
		return -ELOOP;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && fchmodat(dir, name, 0700, 0) == 0)
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)fchmod(fd, 0700);
	DIR *d = fdopendir(fd);
	if (d == NULL) {
		int e = errno;
		(void)close(fd);
		return -e;
	}
	int rc = 0;
	for (struct dirent *ent; rc == 0 && (ent = readdir(d)) != NULL;) {
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			rc = remove_at(dirfd(d), ent->d_name, depth + 1);
	}
	(void)closedir(d);
	if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = -errno;
	return rc;
}

int
am_remove_tree(const char *path, struct ambient_error *err)
{
	int rc = remove_at(AT_FDCWD, path, 0);

	return rc < 0 ? am_err_errno(err, -rc, "cannot remove \"%s\"", path) : 0;
}

static int
size_at(int dir, const char *name, int64_t *total, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 && depth <= TREE_DEPTH ? fdopendir(fd) : NULL;

	if (d == NULL) {
		int e = fd >= 0 && depth > TREE_DEPTH ? ELOOP : errno;
		if (fd >= 0)
			(void)close(fd);
		return -e;
	}
	for (struct dirent *ent; (ent = readdir(d)) != NULL;) {
		struct stat st;
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
		    fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode))
			*total += st.st_size;
		else if (S_ISDIR(st.st_mode))
			(void)size_at(dirfd(d), ent->d_name, total, depth + 1);
	}
	(void)closedir(d);
	return 0;
}

int
am_tree_size(const char *path, int64_t *ret, struct ambient_error *err)
{
	*ret = 0;
	int rc = size_at(AT_FDCWD, path, ret, 0);
	return rc < 0 ? am_err_errno(err, -rc, "cannot measure \"%s\"", path) : 0;
}

int
am_lock_file(const char *path, struct ambient_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return am_err_errno(err, errno, "cannot open the lock \"%s\"", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int e = errno;
		(void)close(fd);
		if (e == EWOULDBLOCK)
			return ambient_err(err, AMBIENT_E_EXISTS, "\"%s\" is locked by another process", path);
		return am_err_errno(err, e, "cannot lock \"%s\"", path);
	}
	return fd;
}
