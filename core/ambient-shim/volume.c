/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes in memory.  They are mounted in a mount namespace of the shim's own, from which the containers bind them:
 * nobody else sees them, and the kernel takes them back with the last process of the pod, however that ends.  Who
 * is not root gets the right to mount by a user namespace in which it is the same user.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = am_write_all(fd, text, strlen(text));
	(void)close(fd);
	return rc < 0 ? -1 : 0;
}

static int
own_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	(void)put("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)uid, (unsigned)uid);
	if (put("/proc/self/uid_map", map) < 0)
		return -1;
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	return put("/proc/self/gid_map", map);
}

/* What a container mounts of it (subPath) is there from the start. */
static int
make_sources(struct shim *shim, const char *top, struct ambient_error *err)
{
	size_t n = strlen(top);

	for (size_t i = 0; i < shim->count; i++)
		for (size_t k = 0; k < shim->containers[i].mount_count; k++) {
			const char *source = shim->containers[i].mounts[k].source;

			if (strncmp(source, top, n) != 0 || source[n] != '/')
				continue;
			int rc = am_mkdirs(source, 0777, err);
			if (rc < 0)
				return rc;
		}
	return 0;
}

int
shim_volumes_mount(struct shim *shim, struct ambient_error *err)
{
	int rc = 0;

	if (shim->tmpfs_count == 0)
		return 0;
	if (own_namespace() < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return am_err_errno(err, errno, "cannot mount volumes of medium Memory");
	for (size_t i = 0; i < shim->tmpfs_count && rc == 0; i++) {
		const struct shim_tmpfs *t = &shim->tmpfs[i];
		char options[64] = "mode=1777";

		if (t->size > 0)
			(void)snprintf(options, sizeof(options), "mode=1777,size=%lld", (long long)t->size);
		if (mount("tmpfs", t->path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
			return am_err_errno(err, errno, "cannot mount a volume of medium Memory at \"%s\"", t->path);
		rc = make_sources(shim, t->path, err);
	}
	return rc;
}
