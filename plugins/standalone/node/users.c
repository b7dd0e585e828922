/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user of its own for each namespace (uidRange): the number is below uids/ in the state directory, one file for a
 * namespace, which people may read.  It is given once: a namespace that goes and comes back has it again, and nobody
 * else gets it, whatever was left on disk.
 *
 * Invariant: no two files have the same number; they are made under the lock, and only by a daemon that has the state
 * directory's.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UID_FIRST 1000
#define UID_LAST  INT64_C(4294967293)

/* -1: there is none. */
static int64_t
read_one(const struct node *node, const char *ns)
{
	struct text text = { 0 };
	char path[1024], *end;
	int64_t n = -1;

	(void)snprintf(path, sizeof(path), "%s/uids/%s", node->root, ns);
	if (file_read(path, 64, &text) == 0) {
		n = strtoll(text_str(&text), &end, 10);
		n = end != text_str(&text) && n > 0 && n <= UID_LAST ? n : -1;
	}
	text_fini(&text);
	return n;
}

/* A number of the range that is in no file; -1: there is none. */
static int64_t
free_one(const struct node *node)
{
	size_t n = (size_t)(node->uid_last - node->uid_first + 1);
	bool *taken = calloc(n, sizeof(*taken));
	int64_t found = -1;
	char path[1024];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/uids", node->root);
	dir = opendir(path);
	for (struct dirent *e; taken != NULL && dir != NULL && (e = readdir(dir)) != NULL;) {
		int64_t uid = e->d_name[0] != '.' ? read_one(node, e->d_name) : -1;

		if (uid >= node->uid_first && uid <= node->uid_last)
			taken[uid - node->uid_first] = true;
	}
	for (size_t i = 0; taken != NULL && dir != NULL && i < n && found < 0; i++)
		found = taken[i] ? -1 : node->uid_first + (int64_t)i;
	if (dir != NULL)
		(void)closedir(dir);
	free(taken);
	return found;
}

/* What a power cut may not take back: files on disk may belong to that number from now on. */
static int
settle(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = fd >= 0 && fsync(fd) == 0 ? 0 : -errno;

	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static int
give(struct node *node, const char *ns, int64_t *ret, struct ambient_error *err)
{
	char path[1024], dir[1024], number[32];
	int rc;

	(void)snprintf(dir, sizeof(dir), "%s/uids", node->root);
	rc = make_dirs(dir);
	*ret = rc == 0 ? free_one(node) : -1;
	if (rc == 0 && *ret < 0)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "every number of uidRange is a namespace's: make it larger, or remove files of "
				   "namespaces that are gone, and what these left on disk, from \"%s\"", dir);
	(void)snprintf(path, sizeof(path), "%s/uids/%s", node->root, ns);
	(void)snprintf(number, sizeof(number), "%lld\n", (long long)*ret);
	rc = rc == 0 ? file_write(path, number, strlen(number), 0644) : rc;
	rc = rc == 0 ? settle(path) : rc;
	rc = rc == 0 ? settle(dir) : rc;
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write \"%s\": %s", path, strerror(-rc)) : 0;
}

int
users_get(struct node *node, const char *ns, int64_t *ret, struct ambient_error *err)
{
	int rc = 0;

	*ret = -1;
	if (node->uid_last == 0)
		return 0;
	if (ns[0] == '\0' || ns[0] == '.' || strchr(ns, '/') != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%.100s\" is no namespace", ns);
	pthread_mutex_lock(&node->uid_lock);
	*ret = read_one(node, ns);
	if (*ret < 0)
		rc = give(node, ns, ret, err);
	pthread_mutex_unlock(&node->uid_lock);
	return rc;
}

int
users_range(const char *text, int64_t *first, int64_t *last, struct ambient_error *err)
{
	char *end;

	*first = *last = 0;
	if (text == NULL || text[0] == '\0')
		return 0;
	*first = strtoll(text, &end, 10);
	*last = *end == '-' ? strtoll(end + 1, &end, 10) : -1;
	if (*end != '\0' || strspn(text, "0123456789-") != strlen(text) || *first < UID_FIRST || *last > UID_LAST || *last < *first ||
	    *last - *first >= 1 << 24)
		return ambient_err(err, AMBIENT_E_INVALID, "uidRange is \"FIRST-LAST\", numbers of users from %d on that the machine gives to "
				   "nobody else, not \"%.60s\"", UID_FIRST, text);
	if (geteuid() != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "uidRange needs a daemon that runs as root; user %u can run pods as himself only",
				   (unsigned)geteuid());
	return 0;
}

int
users_prepare(struct ambient_error *err)
{
	struct stat st;

	if (mkdir(USERS_STAGE, 0711) < 0 && errno != EEXIST)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make \"%s\", which uidRange needs: %s", USERS_STAGE, strerror(errno));
	if (lstat(USERS_STAGE, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\", which uidRange needs, is no directory that only root may write", USERS_STAGE);
	(void)chmod(USERS_STAGE, 0711);
	return 0;
}

int
users_own(const char *dir, int64_t user, mode_t others)
{
	if (user > 0 && lchown(dir, (uid_t)user, (gid_t)user) < 0)
		return -errno;
	return chmod(dir, user > 0 ? 0770 : others) < 0 ? -errno : 0;
}
