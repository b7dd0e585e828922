/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of secrets, config maps, the downward API and tokens, in kubelet's way: the files of one generation lie
 * in ..<number>/, ..data points at it, and every name at the top is a link through ..data.  Swapping ..data
 * changes all of them at once; who has an old file open keeps it.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void
payload_add(struct payload *p, const char *path, const char *data, size_t len, int mode)
{
	struct payload_file *f;

	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->files[i].path, path) == 0)
			return; /* the first source wins, as in a projected volume that says a path twice */
	if (p->count == p->cap) {
		size_t cap = p->cap != 0 ? p->cap * 2 : 8;
		struct payload_file *grown = realloc(p->files, cap * sizeof(*grown));

		if (grown == NULL) {
			p->failed = true;
			return;
		}
		p->files = grown;
		p->cap = cap;
	}
	f = &p->files[p->count];
	f->path = strdup(path);
	f->data = malloc(len + 1);
	if (f->path == NULL || f->data == NULL) {
		free(f->path);
		free(f->data);
		p->failed = true;
		return;
	}
	memcpy(f->data, data, len);
	f->data[len] = '\0';
	f->len = len;
	f->mode = mode;
	p->count++;
}

void
payload_free(struct payload *p)
{
	for (size_t i = 0; i < p->count; i++) {
		explicit_bzero(p->files[i].data, p->files[i].len);
		free(p->files[i].data);
		free(p->files[i].path);
	}
	free(p->files);
	memset(p, 0, sizeof(*p));
}

bool
payload_path_ok(const char *path)
{
	size_t n = strlen(path);

	if (n == 0 || n > 1024 || path[0] == '/' || strncmp(path, "..", 2) == 0)
		return false;
	for (const char *p = path; *p != '\0'; p += strcspn(p, "/"), p += *p == '/')
		if (strcspn(p, "/") == 0 || (strcspn(p, "/") == 2 && strncmp(p, "..", 2) == 0))
			return false;
	return path[n - 1] != '/';
}

/* Is the generation behind ..data exactly this? */
static bool
same(const char *dir, const struct payload *p)
{
	char list[PATH_MAX], path[PATH_MAX];
	struct text have = { 0 };
	size_t names = 0, tops = 0;
	bool equal = true;
	DIR *d;

	for (size_t i = 0; i < p->count && equal; i++) {
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/..data/%s", dir, p->files[i].path);
		have.len = 0;
		equal = file_read(path, 4 << 20, &have) == 0 && have.len == p->files[i].len &&
			memcmp(text_str(&have), p->files[i].data, have.len) == 0 && stat(path, &st) == 0 &&
			(int)(st.st_mode & 0777) == p->files[i].mode;
	}
	text_fini(&have);
	/* Names that are no longer wanted show as a different number of entries at the top. */
	(void)snprintf(list, sizeof(list), "%s/..data", dir);
	d = opendir(list);
	if (d == NULL)
		return false;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		names += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)closedir(d);
	for (size_t i = 0; i < p->count; i++) {
		size_t n = strcspn(p->files[i].path, "/"), j;

		for (j = 0; j < i; j++)
			if (strncmp(p->files[j].path, p->files[i].path, n) == 0 && strcspn(p->files[j].path, "/") == n)
				break;
		tops += j == i;
	}
	return equal && names == tops;
}

static int
write_generation(const char *at, const struct payload *p)
{
	char path[PATH_MAX];
	int rc = mkdir(at, 0755) < 0 ? -errno : 0;

	(void)chmod(at, 0755);
	for (size_t i = 0; i < p->count && rc == 0; i++) {
		char *slash;

		if ((size_t)snprintf(path, sizeof(path), "%s/%s", at, p->files[i].path) >= sizeof(path))
			return -ENAMETOOLONG;
		slash = strrchr(path, '/');
		for (char *q = path + strlen(at) + 1; q < slash; q++)
			if (*q == '/' || q + 1 == slash) {
				char *end = *q == '/' ? q : q + 1, keep = *end;

				*end = '\0';
				if (mkdir(path, 0755) < 0 && errno != EEXIST)
					rc = -errno;
				(void)chmod(path, 0755);
				*end = keep;
			}
		if (rc == 0)
			rc = file_write(path, p->files[i].data, p->files[i].len, p->files[i].mode);
		if (rc == 0 && p->owner > 0 && lchown(path, (uid_t)p->owner, (gid_t)p->owner) < 0)
			rc = -errno;
	}
	return rc;
}

/* Links at the top for what is there, none for what is not; generations other than `now` go. */
static void
tidy(const char *dir, const char *now, const struct payload *p)
{
	char path[PATH_MAX], to[PATH_MAX];
	DIR *d;

	for (size_t i = 0; i < p->count; i++) {
		int n = (int)strcspn(p->files[i].path, "/");

		(void)snprintf(path, sizeof(path), "%s/%.*s", dir, n, p->files[i].path);
		(void)snprintf(to, sizeof(to), "..data/%.*s", n, p->files[i].path);
		(void)!symlink(to, path);
	}
	d = opendir(dir);
	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strcmp(e->d_name, "..data") == 0 ||
		    strcmp(e->d_name, now) == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (strncmp(e->d_name, "..", 2) == 0)
			(void)remove_tree(path);
		else if (stat(path, &st) < 0)
			(void)unlink(path);
	}
	(void)closedir(d);
}

int
payload_write(const char *dir, const struct payload *p)
{
	char at[PATH_MAX], link[PATH_MAX], final[PATH_MAX], name[64];
	struct timespec now;
	int rc;

	if (p->failed)
		return -ENOMEM;
	if (same(dir, p))
		return 1;
	rc = make_dirs(dir);
	if (rc < 0)
		return rc;
	(void)chmod(dir, 0755);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)snprintf(name, sizeof(name), "..%lld_%09ld", (long long)now.tv_sec, now.tv_nsec);
	if ((size_t)snprintf(at, sizeof(at), "%s/%s", dir, name) >= sizeof(at) - 16)
		return -ENAMETOOLONG;
	rc = write_generation(at, p);
	if (rc == 0) {
		(void)snprintf(link, sizeof(link), "%s/..data_tmp", dir);
		(void)snprintf(final, sizeof(final), "%s/..data", dir);
		(void)unlink(link);
		if (symlink(name, link) < 0 || rename(link, final) < 0)
			rc = -errno;
	}
	if (rc < 0) {
		(void)remove_tree(at);
		return rc;
	}
	tidy(dir, name, p);
	return 0;
}
