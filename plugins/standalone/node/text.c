/* SPDX-License-Identifier: Apache-2.0 */
/* Times and files, and what they need of texts: what the plugin needs of libc, once. */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void
text_printf(struct text *t, const char *fmt, ...)
{
	char *line = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&line, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	text_put(t, line, (size_t)n);
	free(line);
}

const char *
text_str(const struct text *t)
{
	return t->p != NULL ? t->p : "";
}

int64_t
time_parse(const char *s)
{
	struct tm tm = { 0 };
	int64_t ns = 0, unit = AMBIENT_SECOND / 10, zone = 0;
	int used = 0, h, m;

	if (s == NULL || sscanf(s, "%4d-%2d-%2d%*1[Tt]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
				&tm.tm_min, &tm.tm_sec, &used) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	s += used;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
			ns += (*s - '0') * unit;
	if ((*s == '+' || *s == '-') && sscanf(s + 1, "%2d:%2d", &h, &m) == 2)
		zone = (h * 3600 + m * 60) * (*s == '+' ? 1 : -1);
	return ((int64_t)timegm(&tm) - zone) * AMBIENT_SECOND + ns;
}

void
time_stamp(char buf[40], int64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / AMBIENT_SECOND);
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(buf, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

int
base64_decode(const char *s, struct text *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t acc = 0;
	int bits = 0;

	for (; *s != '\0' && *s != '='; s++) {
		const char *p = strchr(alphabet, *s);

		if (*s == '\n' || *s == '\r')
			continue;
		if (p == NULL)
			return -AMBIENT_E_INVALID;
		acc = acc << 6 | (uint32_t)(p - alphabet);
		bits += 6;
		if (bits >= 8) {
			char c = (char)(acc >> (bits - 8) & 0xff);

			bits -= 8;
			text_put(out, &c, 1);
		}
	}
	text_put(out, "", 0);
	return out->failed ? -AMBIENT_E_NOMEM : 0;
}

int
file_read(const char *path, size_t max, struct text *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc;

	if (fd < 0)
		return -errno;
	rc = file_read_fd(fd, max, out);
	(void)close(fd);
	return rc;
}

int
file_read_fd(int fd, size_t max, struct text *out)
{
	char chunk[16384];
	ssize_t n;
	int rc = 0;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0 && rc == 0) {
		text_put(out, chunk, (size_t)n);
		if (out->len > max)
			rc = -EFBIG;
	}
	if (n < 0)
		rc = -errno;
	text_put(out, "", 0);
	return out->failed ? -ENOMEM : rc;
}

int
file_write(const char *path, const char *data, size_t n, int mode)
{
	char *tmp = NULL;
	int fd, rc = 0;

	if (asprintf(&tmp, "%s.new", path) < 0)
		return -ENOMEM;
	(void)unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
	if (fd < 0) {
		rc = -errno;
		free(tmp);
		return rc;
	}
	for (size_t done = 0; done < n && rc == 0;) {
		ssize_t w = write(fd, data + done, n - done);

		if (w < 0 && errno != EINTR)
			rc = -errno;
		else if (w > 0)
			done += (size_t)w;
	}
	if (rc == 0 && fchmod(fd, (mode_t)mode) < 0)
		rc = -errno;
	(void)close(fd);
	if (rc == 0 && rename(tmp, path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(tmp);
	free(tmp);
	return rc;
}

int
make_dirs(const char *path)
{
	char *copy = strdup(path);
	int rc = 0;

	if (copy == NULL)
		return -ENOMEM;
	for (char *p = copy + 1; rc == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			rc = -errno;
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return rc;
}

static int
remove_at(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	DIR *dir;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return unlinkat(parent, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	/* What an agent made may be deep on purpose. */
	if (depth > 2000) {
		(void)close(fd);
		return -ELOOP;
	}
	(void)fchmod(fd, 0700);
	dir = fdopendir(fd);
	if (dir == NULL) {
		(void)close(fd);
		return -ENOMEM;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		int one;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		one = remove_at(fd, e->d_name, depth + 1);
		if (one < 0)
			rc = one;
	}
	(void)closedir(dir);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = rc < 0 ? rc : -errno;
	return rc;
}

int
remove_tree(const char *path)
{
	return remove_at(AT_FDCWD, path, 0);
}
