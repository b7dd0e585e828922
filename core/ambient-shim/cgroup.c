/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits by control groups: <dir>/pod<uid>/<container>, below directories that the node found to be ours.  Version
 * 1 has one directory for each controller ("": that one is not there); version 2 one for all, whose controllers the node has
 * enabled.  A container's first process enters them before it executes anything, so nothing it starts is outside.
 * The writes are plain ones to plain files, so a test may give an empty directory for a file system of groups.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"

#define CPU_PERIOD 100000 /* us */

static const char *
pod_dir(const struct shim *shim, size_t i)
{
	const char *uid = strrchr(shim->dir, '/') + 1;

	return am_arena_printf(shim->arena, "%s/pod%s", shim->groups.dirs[i], uid);
}

static int
put(const char *dir, const char *file, int64_t value, const char *format)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, file);
	char text[64];
	int n = snprintf(text, sizeof(text), "%lld", (long long)value), fd, rc;

	if (format != NULL)
		n = snprintf(text, sizeof(text), "%s", format);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = am_write_all(fd, text, (size_t)n);
	(void)close(fd);
	return rc;
}

static int
limit_v1(const char *dir, size_t controller, const struct shim_limits *l)
{
	int rc = 0;

	if (controller == SHIM_V1_MEMORY && l->memory > 0) {
		rc = put(dir, "memory.limit_in_bytes", l->memory, NULL);
		/* Absent where swap is not accounted. */
		(void)put(dir, "memory.memsw.limit_in_bytes", l->memory, NULL);
	}
	if (controller == SHIM_V1_CPU && l->cpu_milli > 0) {
		(void)put(dir, "cpu.cfs_period_us", CPU_PERIOD, NULL);
		rc = put(dir, "cpu.cfs_quota_us", AM_MAX(l->cpu_milli * CPU_PERIOD / 1000, 1000), NULL);
	}
	if (controller == SHIM_V1_CPU && l->cpu_request_milli > 0)
		(void)put(dir, "cpu.shares", AM_MAX(l->cpu_request_milli * 1024 / 1000, 2), NULL);
	if (controller == SHIM_V1_PIDS && l->pids > 0)
		rc = put(dir, "pids.max", l->pids, NULL);
	return rc;
}

static int
limit_v2(const char *dir, const struct shim_limits *l)
{
	char text[64];
	int rc = 0;

	if (l->memory > 0) {
		rc = put(dir, "memory.max", l->memory, NULL);
		(void)put(dir, "memory.swap.max", 0, NULL);
	}
	(void)put(dir, "memory.oom.group", 1, NULL);
	if (l->cpu_milli > 0 && rc == 0) {
		(void)snprintf(text, sizeof(text), "%lld %d", (long long)AM_MAX(l->cpu_milli * CPU_PERIOD / 1000, 1000), CPU_PERIOD);
		rc = put(dir, "cpu.max", 0, text);
	}
	if (l->cpu_request_milli > 0) {
		int64_t shares = AM_MIN(AM_MAX(l->cpu_request_milli * 1024 / 1000, 2), 262144);

		(void)put(dir, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, NULL);
	}
	if (l->pids > 0 && rc == 0)
		rc = put(dir, "pids.max", l->pids, NULL);
	return rc;
}

static void
close_fds(struct shim_container *c)
{
	for (size_t i = 0; i < SHIM_GROUPS_MAX && c->group_fds[i] >= 0; i++) {
		(void)close(c->group_fds[i]);
		c->group_fds[i] = -1;
	}
}

int
shim_cgroup_make(struct shim *shim, struct shim_container *c, struct ambient_error *err)
{
	size_t n = 0;

	for (size_t i = 0; i < shim->groups.count; i++) {
		const char *pod = pod_dir(shim, i), *dir = am_arena_printf(shim->arena, "%s/%s", pod, c->name);
		int rc;

		if (shim->groups.dirs[i][0] == '\0')
			continue;
		if (dir == NULL)
			return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		if ((mkdir(pod, 0700) < 0 && errno != EEXIST) || (mkdir(dir, 0700) < 0 && errno != EEXIST))
			return am_err_errno(err, errno, "cannot make the control group \"%s\"", dir);
		/* In version 2 a group gives its controllers on only when told. */
		if (shim->groups.version == 2)
			(void)put(pod, "cgroup.subtree_control", 0, "+memory +cpu +pids");
		rc = shim->groups.version == 2 ? limit_v2(dir, &c->limits) : limit_v1(dir, i, &c->limits);
		if (rc < 0) {
			close_fds(c);
			return am_err_errno(err, -rc, "cannot set the limits of container \"%s\" in \"%s\"", c->name, dir);
		}
		am_auto(am_freep) char *procs = am_xasprintf("%s/cgroup.procs", dir);
		c->group_fds[n] = open(procs, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (c->group_fds[n] < 0)
			return am_err_errno(err, errno, "cannot open \"%s\"", procs);
		c->group_fds[++n] = -1;
	}
	return 0;
}

/* The number behind "oom_kill" in a group's file. */
static int64_t
oom_kills(const char *dir, const char *file)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, file);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *p;

	if (am_file_read(path, 4096, &text, NULL) < 0)
		return 0;
	p = strstr(am_buf_str(&text), "oom_kill ");
	return p != NULL ? strtoll(p + strlen("oom_kill "), NULL, 10) : 0;
}

bool
shim_cgroup_oom(const struct shim *shim, const struct shim_container *c)
{
	for (size_t i = 0; i < shim->groups.count; i++) {
		am_auto(am_freep) char *dir = am_xasprintf("%s/pod%s/%s", shim->groups.dirs[i], strrchr(shim->dir, '/') + 1, c->name);

		if (oom_kills(dir, shim->groups.version == 2 ? "memory.events" : "memory.oom_control") > 0)
			return true;
	}
	return false;
}

/* Nothing new may come while the rest is killed.  The numbers are those of our own group: what the kernel lists
 * there cannot be somebody else. */
static void
kill_all(const char *dir, int version)
{
	am_auto(am_freep) char *procs = am_xasprintf("%s/cgroup.procs", dir);

	(void)put(dir, "pids.max", 0, NULL);
	if (version == 2 && put(dir, "cgroup.kill", 1, NULL) == 0)
		return;
	for (int round = 0; round < 50; round++) {
		am_auto(am_buf_fini) struct am_buf text = { 0 };
		bool any = false;

		if (am_file_read(procs, 1 << 20, &text, NULL) < 0)
			return;
		for (char *p = text.data, *end; p != NULL && *p != '\0'; p = *end == '\n' ? end + 1 : end) {
			long pid = strtol(p, &end, 10);

			if (end == p)
				break;
			any = true;
			if (pid > 1 && pid != getpid())
				(void)kill((pid_t)pid, SIGKILL);
		}
		if (!any)
			return;
		(void)usleep(2000);
	}
}

void
shim_cgroup_end(struct shim *shim, struct shim_container *c)
{
	close_fds(c);
	for (size_t i = 0; i < shim->groups.count; i++) {
		am_auto(am_freep) char *dir = am_xasprintf("%s/pod%s/%s", shim->groups.dirs[i], strrchr(shim->dir, '/') + 1, c->name);

		if (access(dir, F_OK) < 0)
			continue;
		kill_all(dir, shim->groups.version);
		/* Those that were killed leave a moment later. */
		for (int k = 0; k < 100 && rmdir(dir) < 0 && errno == EBUSY; k++)
			(void)usleep(2000);
	}
}

void
shim_cgroup_close(struct shim *shim)
{
	for (size_t i = 0; i < shim->groups.count; i++)
		if (shim->groups.dirs[i][0] != '\0')
			(void)rmdir(pod_dir(shim, i));
}
