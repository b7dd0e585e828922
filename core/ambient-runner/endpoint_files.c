/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /v1/files: what lies in the session's workspace, and /v1/large: what was too large for a line of messages.  The
 * agent writes to the workspace while it is read (beneath.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/beneath.h"
#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define PATH_BYTES  4096
#define ENTRIES_MAX 10000

/* ---- opening */

static void
refuse(struct am_http_request *request, const char *path, int error)
{
	static const struct {
		int error, status;
		const char *reason, *why;
	} answers[] = {
		{EINVAL, 400, "BadRequest", "is no path within the workspace; it is written like src/main.c, without . and .."},
		{ENOENT, 404, "NotFound", "does not exist"},
		{ENOTDIR, 404, "NotFound", "does not exist: a name before the last one is no directory"},
		{ELOOP, 403, "Link", "is a link, or behind one; links are not followed"},
		{EACCES, 403, "NotReadable", "is no file or directory that can be read"},
	};

	for (size_t i = 0; i < AM_COUNTOF(answers); i++)
		if (answers[i].error == error) {
			am_endpoint_refuse(request, answers[i].status, answers[i].reason, "\"%.200s\" %s", path, answers[i].why);
			return;
		}
	am_endpoint_refuse(request, 500, "NotReadable", "\"%.200s\" cannot be read: %s", path, strerror(error));
}

/* ---- a directory */

struct entry {
	char *name;
	struct stat st;
};

static int
by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* *n is what was there, at most ENTRIES_MAX of it. */
static struct entry *
read_entries(DIR *dir, size_t *n, bool *truncated)
{
	struct entry *entries = NULL;
	struct dirent *d;

	*n = 0;
	*truncated = false;
	while (!*truncated && (d = readdir(dir)) != NULL) {
		struct entry e;

		if (am_streq(d->d_name, ".") || am_streq(d->d_name, "..") ||
		    fstatat(dirfd(dir), d->d_name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*truncated = *n == ENTRIES_MAX;
		if (*truncated)
			break;
		if ((*n & (*n - 1)) == 0)
			entries = am_xrealloc(entries, AM_MAX(*n * 2, (size_t)16), sizeof(*entries));
		e.name = am_xstrdup(d->d_name);
		entries[(*n)++] = e;
	}
	if (*n > 0)
		qsort(entries, *n, sizeof(*entries), by_name);
	return entries;
}

static void
add_entry(struct am_buf *body, const struct entry *e)
{
	const char *type = S_ISREG(e->st.st_mode)   ? "file"
			   : S_ISDIR(e->st.st_mode) ? "directory"
			   : S_ISLNK(e->st.st_mode) ? "symlink"
						    : "other";
	char mode[8], time[32];

	(void)snprintf(mode, sizeof(mode), "%04o", (unsigned)e->st.st_mode & 07777);
	am_time_format(time, (int64_t)e->st.st_mtim.tv_sec * AM_NS_PER_S, false);
	am_json_addf(body, "{\"name\":%s,\"type\":%s,\"size\":%l,\"mode\":%s,\"mtime\":%s}", e->name, type, (int64_t)e->st.st_size,
		     mode, time);
}

/* Takes fd. */
static void
send_directory(struct am_http_request *request, int fd)
{
	struct am_buf body = {0};
	DIR *dir = fdopendir(fd);
	bool truncated;
	size_t n;

	if (dir == NULL) {
		(void)close(fd);
		refuse(request, "", EIO);
		return;
	}
	struct entry *entries = read_entries(dir, &n, &truncated);
	(void)closedir(dir);
	am_buf_adds(&body, "{\"entries\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			am_buf_addc(&body, ',');
		add_entry(&body, &entries[i]);
		free(entries[i].name);
	}
	free(entries);
	am_json_addf(&body, "],\"truncated\":%b}\n", (int)truncated);
	am_http_answer(request, 200, "application/json", &body);
	am_buf_fini(&body);
}

/* ---- a file */

struct file {
	struct am_endpoint *endpoint;
	struct am_key key;
	int fd;
	off_t at, end;
};

static ssize_t
pull(void *arg, char *buf, size_t max, int64_t *wake_at am_unused_)
{
	struct file *file = arg;
	size_t want = (size_t)AM_MIN((off_t)max, file->end - file->at);
	ssize_t n;

	if (want == 0)
		return AM_HTTP_END;
	if (!am_endpoint_allowed(file->endpoint, &file->key))
		return AM_HTTP_ABORT;
	do
		n = pread(file->fd, buf, want, file->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0) /* it has become shorter than was promised */
		return AM_HTTP_ABORT;
	file->at += n;
	return n;
}

static void
done(void *arg)
{
	struct file *file = arg;

	(void)close(file->fd);
	free(file);
}

/* One range of bytes: 1 and what it is, 0 for none that is understood (then all is sent), -1 for one that is not there. */
static int
range_of(const char *header, off_t size, off_t *from, off_t *end)
{
	int64_t a = 0, b = (int64_t)size - 1;
	char text[64], *dash;

	if (header == NULL || !am_starts(header, "bytes=") || strlen(header) - 6 >= sizeof(text))
		return 0;
	memcpy(text, header + 6, strlen(header) - 5);
	if ((dash = strchr(text, '-')) == NULL)
		return 0;
	*dash = '\0';
	if (text[0] == '\0') { /* the last ones */
		if (am_parse_i64(dash + 1, &b) < 0 || b < 0)
			return 0;
		a = AM_MAX((int64_t)size - b, 0);
		b = b == 0 ? -1 : (int64_t)size - 1;
	} else if (am_parse_i64(text, &a) < 0 || a < 0 || (dash[1] != '\0' && (am_parse_i64(dash + 1, &b) < 0 || b < a))) {
		return 0;
	}
	if (a >= size || b < a)
		return -1;
	*from = (off_t)a;
	*end = (off_t)AM_MIN(b, (int64_t)size - 1) + 1;
	return 1;
}

/* Takes fd. */
static void
send_file(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key, int fd, off_t size,
	  const char *type)
{
	struct file *file = am_xcalloc(1, sizeof(*file));
	char text[96];

	*file = (struct file){.endpoint = endpoint, .key = *key, .fd = fd, .end = size};
	int range = range_of(am_http_header(request, "Range"), size, &file->at, &file->end);
	am_http_set_header(request, "Accept-Ranges", "bytes");
	am_http_set_header(request, "Cache-Control", "no-store");
	/* What an agent wrote is nothing that a browser should run. */
	am_http_set_header(request, "X-Content-Type-Options", "nosniff");
	am_http_set_header(request, "Content-Security-Policy", "sandbox");
	if (range != 0) {
		if (range > 0)
			(void)snprintf(text, sizeof(text), "bytes %lld-%lld/%lld", (long long)file->at, (long long)file->end - 1,
				       (long long)size);
		else
			(void)snprintf(text, sizeof(text), "bytes */%lld", (long long)size);
		am_http_set_header(request, "Content-Range", text);
	}
	if (range < 0) {
		done(file);
		am_endpoint_refuse(request, 416, "NoSuchRange", "the file has %lld bytes", (long long)size);
		return;
	}
	const struct am_http_source source = {pull, done, file, NULL};
	am_http_set_length(request, (uint64_t)(file->end - file->at));
	am_http_stream(request, range > 0 ? 206 : 200, type, &source);
}

/* ---- requests */

static int
open_root(const struct am_endpoint *endpoint, const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", endpoint->options.dir, name);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void
am_endpoint_files(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key)
{
	const char *path = am_http_query(request, "path");
	struct stat st;

	if (path == NULL)
		path = "";
	if (strlen(path) >= PATH_BYTES) {
		refuse(request, path, EINVAL);
		return;
	}
	int fd = open_root(endpoint, "workspace");
	if (fd == -ENOENT) {
		am_endpoint_refuse(request, 404, "NotFound", "there are no files yet: no run of the session has come to its workspace");
		return;
	}
	if (fd >= 0)
		fd = am_open_beneath(fd, path, &st);
	if (fd < 0)
		refuse(request, path, -fd);
	else if (S_ISDIR(st.st_mode))
		send_directory(request, fd);
	else
		send_file(endpoint, request, key, fd, st.st_size, "application/octet-stream");
}

void
am_endpoint_large(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key)
{
	const char *text = am_http_query(request, "seq");
	int64_t seq;
	struct stat st;

	if (am_parse_i64(text != NULL ? text : "", &seq) < 0 || seq < 1) {
		am_endpoint_refuse(request, 400, "BadRequest", "seq must be the number of a message");
		return;
	}
	am_auto(am_freep) char *path = am_xasprintf("large/%lld.json", (long long)seq);
	int fd = open_root(endpoint, ".ambient");
	if (fd >= 0)
		fd = am_open_beneath(fd, path, &st);
	if (fd >= 0 && !S_ISREG(st.st_mode)) {
		(void)close(fd);
		fd = -ENOENT;
	}
	if (fd < 0)
		am_endpoint_refuse(request, 404, "NotFound", "message %lld has no file of its own", (long long)seq);
	else
		send_file(endpoint, request, key, fd, st.st_size, "application/json");
}
