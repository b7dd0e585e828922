/* SPDX-License-Identifier: Apache-2.0 */
/* See beneath.h. */
#include "core/ambient-runner/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* O_PATH first: opening what is neither file nor directory could wait for ever, or do something. */
static int
open_one(int dir, const char *name, struct stat *st)
{
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	int rc = fstat(fd, st) < 0 ? -errno : S_ISLNK(st->st_mode) ? -ELOOP : 0;
	if (rc == 0 && !S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		rc = -EACCES;
	(void)close(fd);
	if (rc < 0)
		return rc;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* It may be another one by now. */
	if (fstat(fd, st) < 0 || (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))) {
		(void)close(fd);
		return -EACCES;
	}
	return fd;
}

int
am_open_beneath(int dir, const char *path, struct stat *st)
{
	char name[256];

	if (fstat(dir, st) < 0) {
		(void)close(dir);
		return -EIO;
	}
	while (*path != '\0') {
		size_t n = strcspn(path, "/");

		if (n == 0 || n >= sizeof(name) || (n <= 2 && strspn(path, ".") >= n)) {
			(void)close(dir);
			return -EINVAL;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n + (path[n] == '/');
		int fd = S_ISDIR(st->st_mode) ? open_one(dir, name, st) : -ENOTDIR;
		(void)close(dir);
		if (fd < 0)
			return fd;
		dir = fd;
	}
	return dir;
}

int
am_read_beneath(int dir, const char *path, size_t max, struct am_buf *out)
{
	struct stat st;
	int copy = dup(dir), fd = copy < 0 ? -errno : am_open_beneath(copy, path, &st), rc = 0;
	ssize_t n = 1;

	if (fd < 0)
		return fd;
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size > max || !am_buf_reserve(out, (size_t)st.st_size + 1))
		rc = -EFBIG;
	while (rc == 0 && n > 0 && out->len <= max && am_buf_reserve(out, 64 * 1024)) {
		n = read(fd, out->data + out->len, 64 * 1024);
		if (n > 0)
			out->len += (size_t)n, out->data[out->len] = '\0';
	}
	(void)close(fd);
	return rc == 0 && (n < 0 || out->len > max) ? -EIO : rc;
}

bool
am_runner_repo_name_ok(const char *name)
{
	static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t n = strlen(name);

	return n >= 1 && n <= 64 && strspn(name, known) == n && name[0] != '.' && name[0] != '-';
}
