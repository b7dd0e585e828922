/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Quantities and limits.  Whether limits hold depends on the machine: control groups of version 2, of version 1, or
 * none that we may write.  That is found out once, at create, by making the directory below which the shims make
 * those of the pods; the Node says what came of it, and nothing is imitated (an address space limit is no memory
 * limit).  The root of the groups' file system is an option, so that a test can give a directory.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- quantities ---- */

double
quantity(const char *text)
{
	static const struct { const char *unit; double factor; } units[] = {
		{ "n", 1e-9 }, { "u", 1e-6 }, { "m", 1e-3 }, { "k", 1e3 }, { "M", 1e6 }, { "G", 1e9 }, { "T", 1e12 }, { "P", 1e15 },
		{ "E", 1e18 }, { "Ki", 1024.0 }, { "Mi", 1048576.0 }, { "Gi", 1073741824.0 }, { "Ti", 1099511627776.0 },
		{ "Pi", 1125899906842624.0 }, { "Ei", 1152921504606846976.0 },
	};
	char *end;
	double n = strtod(text, &end);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].unit) == 0)
			return n * units[i].factor;
	return *end == '\0' ? n : 0;
}

/* As a number or a string, as the API takes both. */
double
quantity_at(const struct ambient_object *obj, const char *pointer)
{
	const char *text = ambient_str(obj, pointer, NULL);

	return text != NULL ? quantity(text) : (double)ambient_int(obj, pointer, 0);
}

/* 9m * 1000 is a little more than 9 in a double, and means 9. */
int64_t
quantity_up(double value)
{
	int64_t whole = value < 9e18 ? (int64_t)value : INT64_MAX;

	return whole + (value - (double)whole > value * 4e-15);
}

int64_t
resources_of(const struct ambient_object *container, const char *list, const char *resource, double unit)
{
	char at[128];

	(void)snprintf(at, sizeof(at), "/resources/%s/%.80s", list, resource);
	return quantity_up(quantity_at(container, at) * unit);
}

/* ---- the machine's control groups ---- */

static int
put(const char *dir, const char *file, const char *value)
{
	char path[PATH_MAX];
	int fd, rc = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		rc = -errno;
	(void)close(fd);
	return rc;
}

/* Our own group: "N:CONTROLLER:PATH" of /proc/self/cgroup, where "" is version 2's. */
static void
own_path(const char *controller, char *out, size_t size)
{
	struct text text = { 0 };

	out[0] = '\0';
	if (file_read("/proc/self/cgroup", 65536, &text) == 0)
		for (char *line = text.p, *end; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
			char *name = memchr(line, ':', (size_t)(end - line)), *path;

			*end = '\0';
			path = name != NULL ? strchr(name + 1, ':') : NULL;
			if (path == NULL)
				continue;
			*path++ = '\0';
			for (char *one = strtok(name + 1, ","); one != NULL; one = strtok(NULL, ","))
				if (strcmp(one, controller) == 0)
					(void)snprintf(out, size, "%s", strcmp(path, "/") == 0 ? "" : path);
			if (controller[0] == '\0' && name[1] == '\0')
				(void)snprintf(out, size, "%s", strcmp(path, "/") == 0 ? "" : path);
		}
	text_fini(&text);
}

/* Two nodes of one machine share no group: one that stops takes its own away. */
static void
group_name(const struct node *node, char out[32])
{
	uint32_t hash = UINT32_C(2166136261); /* FNV-1a */

	for (const char *p = node->root; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * UINT32_C(16777619);
	(void)snprintf(out, 32, "ambient-%08x", hash);
}

static bool
make_dir(const char *path)
{
	return mkdir(path, 0755) == 0 || errno == EEXIST;
}

/* Below our own group, or where that is not shown (in a container), below the top. */
static void
detect_v1(struct node *node, const char *root)
{
	static const char *const controllers[GROUPS_MAX] = { "memory", "cpu", "pids" };
	char name[32];
	int found = 0;

	group_name(node, name);
	for (size_t i = 0; i < GROUPS_MAX; i++) {
		char own[PATH_MAX], top[PATH_MAX];
		struct stat st;

		own_path(controllers[i], own, sizeof(own));
		if ((size_t)snprintf(top, sizeof(top), "%s/%s%s", root, controllers[i], own) >= sizeof(top) - 32 || stat(top, &st) < 0)
			(void)snprintf(top, sizeof(top), "%s/%s", root, controllers[i]);
		if (stat(top, &st) < 0)
			continue;
		(void)snprintf(top + strlen(top), sizeof(top) - strlen(top), "/%s", name);
		if (!make_dir(top) || access(top, W_OK) < 0)
			continue;
		(void)snprintf(node->groups[i], sizeof(node->groups[i]), "%.500s", top);
		found++;
	}
	node->groups_version = found > 0 ? 1 : 0;
	node->limits_hold = found == GROUPS_MAX;
}

/* Root makes a group at the top.  Others need one that was delegated to them; they move into a leaf of it, since a
 * group that gives controllers on holds no processes. */
static void
detect_v2(struct node *node, const char *root)
{
	static const char all[] = "+memory +cpu +pids";
	char own[PATH_MAX], top[PATH_MAX], base[PATH_MAX], name[32];

	group_name(node, name);
	(void)snprintf(base, sizeof(base), "%.400s/%s", root, name);
	if (make_dir(base)) {
		(void)put(root, "cgroup.subtree_control", all);
	} else {
		own_path("", own, sizeof(own));
		(void)snprintf(top, sizeof(top), "%.200s%.200s/daemon", root, own);
		(void)snprintf(base, sizeof(base), "%.200s%.200s", root, own);
		if (!make_dir(top) || put(top, "cgroup.procs", "0") < 0 || put(base, "cgroup.subtree_control", all) < 0)
			return;
		(void)snprintf(base, sizeof(base), "%.200s%.200s/pods", root, own);
		if (!make_dir(base))
			return;
	}
	if (put(base, "cgroup.subtree_control", all) < 0)
		return;
	(void)snprintf(node->groups[0], sizeof(node->groups[0]), "%.500s", base);
	node->groups_version = 2;
	node->limits_hold = true;
}

void
resources_detect(struct node *node, const char *root)
{
	char path[PATH_MAX];

	if (node->root == NULL || root[0] == '\0' || strlen(root) > 200)
		return;
	(void)snprintf(path, sizeof(path), "%s/cgroup.controllers", root);
	if (access(path, F_OK) == 0)
		detect_v2(node, root);
	else
		detect_v1(node, root);
}

/* After a shim that was killed: what it would have removed. */
static void
drop_group(const char *dir)
{
	struct text text = { 0 };
	char path[PATH_MAX];

	(void)put(dir, "pids.max", "0");
	for (int round = 0; round < 20; round++) {
		bool any = false;

		text.len = 0;
		(void)snprintf(path, sizeof(path), "%.3000s/cgroup.procs", dir);
		if (file_read(path, 1 << 20, &text) < 0)
			break;
		for (char *p = text.p, *end; p != NULL && *p != '\0'; p = *end == '\n' ? end + 1 : end) {
			long pid = strtol(p, &end, 10);

			if (end == p)
				break;
			any = true;
			if (pid > 1)
				(void)kill((pid_t)pid, SIGKILL);
		}
		if (!any)
			break;
		(void)usleep(1000);
	}
	text_fini(&text);
	(void)rmdir(dir);
}

void
resources_forget(const struct node *node, const struct local *local)
{
	for (size_t i = 0; i < GROUPS_MAX; i++) {
		char pod[700], dir[PATH_MAX];
		DIR *d;

		if (node->groups[i][0] == '\0')
			continue;
		(void)snprintf(pod, sizeof(pod), "%s/pod%s", node->groups[i], local->uid);
		d = opendir(pod);
		if (d == NULL)
			continue;
		for (struct dirent *e; (e = readdir(d)) != NULL;)
			if (e->d_name[0] != '.' && e->d_type == DT_DIR) {
				(void)snprintf(dir, sizeof(dir), "%s/%s", pod, e->d_name);
				drop_group(dir);
			}
		(void)closedir(d);
		(void)rmdir(pod);
	}
}

void
resources_leave(const struct node *node)
{
	/* A group that still holds pods stays, for the next daemon on this state. */
	for (size_t i = 0; i < GROUPS_MAX; i++)
		if (node->groups[i][0] != '\0')
			(void)rmdir(node->groups[i]);
}

/* ---- into the specification ---- */

void
resources_add_limits(struct text *out, const struct node *node, const struct ambient_object *container)
{
	text_printf(out, ",\"limits\":{\"memory\":%lld,\"cpu\":%lld,\"cpuRequest\":%lld,\"pids\":%lld}",
		    (long long)resources_of(container, "limits", "memory", 1), (long long)resources_of(container, "limits", "cpu", 1000),
		    (long long)resources_of(container, "requests", "cpu", 1000), (long long)node->pod_pids);
}

void
resources_add_groups(struct text *out, const struct node *node)
{
	text_printf(out, ",\"groups\":{\"version\":%d,\"dirs\":[", node->groups_version);
	for (size_t i = 0; i < GROUPS_MAX && (i == 0 || node->groups_version == 1); i++) {
		text_puts(out, i > 0 ? "," : "");
		text_json(out, node->groups[i]);
	}
	text_puts(out, "]}");
}

static void add_quota(struct text *out, const struct text *paths, int64_t limit, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void
add_quota(struct text *out, const struct text *paths, int64_t limit, const char *fmt, ...)
{
	char message[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	text_printf(out, "%s{\"paths\":[%s],\"limit\":%lld,\"message\":", out->len > 0 ? "," : "", text_str(paths), (long long)limit);
	text_json(out, message);
	text_puts(out, "}");
}

static void
add_path(struct text *paths, const char *dir, const char *part, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, part, name);
	text_puts(paths, paths->len > 0 ? "," : "");
	text_json(paths, path);
}

/* emptyDir.sizeLimit of those on disk; ephemeral-storage of the containers' logs, and of all together. */
void
resources_add_quotas(struct text *out, const struct ambient_object *pod, const struct local *local)
{
	struct text quotas = { 0 }, all = { 0 };
	int64_t total = 0;
	bool every = true;

	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++) {
		const struct ambient_object *v = container_at(pod, "/spec/volumes", i);
		int64_t limit = (int64_t)quantity_at(v, "/emptyDir/sizeLimit");
		const char *name = ambient_str(v, "/name", "");
		struct text path = { 0 };

		if (ambient_type(v, "/emptyDir") == AMBIENT_T_NONE || volumes_in_memory(v))
			continue;
		add_path(&path, local->dir, "volumes", name);
		add_path(&all, local->dir, "volumes", name);
		if (limit > 0)
			add_quota(&quotas, &path, limit, "Usage of EmptyDir volume \"%s\" exceeds the limit \"%s\"", name,
				  ambient_str(v, "/emptyDir/sizeLimit", ""));
		text_fini(&path);
	}
	for (size_t i = 0; i < ambient_len(pod, "/spec/containers"); i++) {
		const struct ambient_object *c = container_at(pod, "/spec/containers", i);
		int64_t limit = resources_of(c, "limits", "ephemeral-storage", 1);
		struct text path = { 0 };

		add_path(&path, local->dir, "containers", ambient_str(c, "/name", ""));
		add_path(&all, local->dir, "containers", ambient_str(c, "/name", ""));
		if (limit > 0)
			add_quota(&quotas, &path, limit, "Container %s exceeded its local ephemeral storage limit \"%s\"",
				  ambient_str(c, "/name", ""), ambient_str(c, "/resources/limits/ephemeral-storage", ""));
		every = every && limit > 0;
		total += limit;
		text_fini(&path);
	}
	if (every && total > 0)
		add_quota(&quotas, &all, total, "Pod ephemeral local storage usage exceeds the total limit of containers %lld", (long long)total);
	text_printf(out, ",\"quotas\":[%s]", text_str(&quotas));
	text_fini(&quotas);
	text_fini(&all);
}
