/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes in memory, and the way to volumes for a user who may not pass the state directory.
 *
 * Volumes in memory.  They are mounted in a mount namespace of the shim's own, from which the containers bind them:
 * nobody else sees them, and the kernel takes them back with the last process of the pod, however that ends.  Who
 * is not root gets the right to mount by a user namespace in which it is the same user.
 *
 * A pod whose containers are another user than the shim: what they mount is bound in an empty file system of the same
 * namespace, below a directory that everybody may pass.  Nobody outside has that way.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

	if (shim->tmpfs_count == 0 && shim->user < 0)
		return 0;
	if (own_namespace() < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return am_err_errno(err, errno, "cannot mount the pod's volumes");
	if (shim->user >= 0 && mount("tmpfs", shim->stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=4m") < 0)
		return am_err_errno(err, errno, "cannot mount the pod's volumes at \"%s\"", shim->stage);
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

/* Binds source anew at <stage>/<container>.<name>. */
static int
stage(struct shim *shim, const struct shim_container *c, const char *name, const char *source, const char **ret,
      struct ambient_error *err)
{
	const char *at = am_arena_printf(shim->arena, "%s/%s.%s", shim->stage, c->name, name);
	struct stat st;
	int fd;

	*ret = source;
	if (shim->user < 0 || source == NULL)
		return 0;
	if (at == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (stat(source, &st) < 0)
		return am_err_errno(err, errno, "cannot mount \"%s\"", source);
	(void)umount2(at, MNT_DETACH);
	(void)(unlink(at) < 0 && rmdir(at) < 0);
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(at, 0755) < 0)
			return am_err_errno(err, errno, "cannot make \"%s\"", at);
	} else {
		fd = open(at, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return am_err_errno(err, errno, "cannot make \"%s\"", at);
		(void)close(fd);
	}
	if (mount(source, at, NULL, MS_BIND | MS_REC, NULL) < 0)
		return am_err_errno(err, errno, "cannot mount \"%s\"", source);
	*ret = at;
	return 0;
}

int
shim_volumes_stage(struct shim *shim, struct shim_container *c, struct ambient_error *err)
{
	const char *dir = shim_container_dir(shim, c), *log = am_arena_printf(shim->arena, "%s/termination-log", dir);
	const char *links = am_arena_printf(shim->arena, "%s/root", dir);
	mode_t before = umask(022);
	char number[24];
	int rc = stage(shim, c, "root", c->root, &c->root_at, err);

	c->links_at = links;
	if (rc == 0)
		rc = stage(shim, c, "termination", log, &c->termination_at, err);
	if (rc == 0 && c->sandbox == SHIM_NONE && shim->user >= 0)
		rc = am_mkdirs(links, 0755, err);
	if (rc == 0 && c->sandbox == SHIM_NONE)
		rc = stage(shim, c, "links", links, &c->links_at, err);
	for (size_t i = 0; i < c->mount_count && rc == 0; i++) {
		(void)snprintf(number, sizeof(number), "%zu", i);
		rc = stage(shim, c, number, c->mounts[i].source, &c->mounts[i].at, err);
	}
	(void)umask(before);
	return rc;
}

uid_t
shim_user(const struct shim *shim)
{
	return shim->user >= 0 ? (uid_t)shim->user : geteuid();
}

gid_t
shim_group(const struct shim *shim)
{
	return shim->user >= 0 ? (gid_t)shim->user : getegid();
}

int
shim_become_user(const struct shim *shim, const struct shim_container *c)
{
	size_t count = c != NULL ? c->group_count : 0;
	uid_t uid = shim_user(shim);
	gid_t gid = shim_group(shim), none[1] = { 0 };

	if (shim->user < 0)
		return c != NULL && c->groups != NULL ? setgroups(c->group_count, c->groups) : 0;
	if (setgroups(count, count > 0 ? c->groups : none) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -1;
	/* Else his own files below /proc are root's. */
	return prctl(PR_SET_DUMPABLE, 1);
}
