/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification: one JSON object, written by the node plugin of the same release.
 *
 *   {"version":1, "dir":"/…/pods/<uid>", "socket":"/…/sock", "hostname":"p", "sandbox":"bwrap"|"none",
 *    "bwrap":"/usr/bin/bwrap", "restartPolicy":"Never"|"OnFailure"|"Always", "grace":30, "deadline":0,
 *    "backoffMs":10000, "initContainers":[C…], "containers":[C…]}
 *   C = {"name", "argv":[…], "env":["A=b",…], "cwd", "mounts":[{"source","target","readOnly"}…], "root",
 *        "terminationPath", "uid", "gid", "readOnlyRoot"}
 *
 * Seconds where no unit is said.  Names become file names and are checked; everything else goes to bubblewrap
 * as separate words, where nothing interprets it.
 */
#include "core/ambient-shim/shim.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/data/node.h"

static const char *
copy(struct shim *shim, const struct am_node *object, const char *key, const char *fallback)
{
	const char *s = am_node_get_str(object, key, fallback);

	return s != NULL ? am_arena_strdup(shim->arena, s) : NULL;
}

static const char *const *
words(struct shim *shim, const struct am_node *array)
{
	size_t n = array != NULL && array->type == AMBIENT_T_ARRAY ? array->count : 0, i = 0;
	const char **list = am_arena_zalloc(shim->arena, (n + 1) * sizeof(*list));

	if (list == NULL)
		return NULL;
	for (const struct am_node *e = n > 0 ? array->first : NULL; e != NULL; e = e->next) {
		if (e->type != AMBIENT_T_STRING || strlen(e->text) != e->len)
			return NULL;
		list[i++] = am_arena_strdup(shim->arena, e->text);
	}
	return list;
}

/* A path that bubblewrap may be told to make: absolute, without "..". */
static bool
clean_path(const char *path)
{
	if (path == NULL || path[0] != '/')
		return false;
	for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2)
		if (p[-1] == '/' && (p[2] == '/' || p[2] == '\0'))
			return false;
	return true;
}

static int
by_target(const void *a, const void *b)
{
	const struct shim_mount *x = a, *y = b;

	return strcmp(x->target, y->target);
}

static int
parse_mounts(struct shim *shim, struct shim_container *c, const struct am_node *list, struct ambient_error *err)
{
	size_t i = 0;

	if (list == NULL || list->type != AMBIENT_T_ARRAY || list->count == 0)
		return 0;
	c->mounts = am_arena_zalloc(shim->arena, list->count * sizeof(*c->mounts));
	if (c->mounts == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	for (const struct am_node *m = list->first; m != NULL; m = m->next, i++) {
		const struct am_node *ro = am_node_get(m, "readOnly");

		c->mounts[i].source = copy(shim, m, "source", NULL);
		c->mounts[i].target = copy(shim, m, "target", NULL);
		c->mounts[i].read_only = ro != NULL && ro->type == AMBIENT_T_BOOL && ro->boolean;
		if (!clean_path(c->mounts[i].source) || !clean_path(c->mounts[i].target) ||
		    strcmp(c->mounts[i].target, "/") == 0)
			return ambient_err(err, AMBIENT_E_INVALID,
					   "container \"%s\": mounts[%zu] needs absolute paths without \"..\"", c->name, i);
	}
	c->mount_count = i;
	qsort(c->mounts, i, sizeof(*c->mounts), by_target);
	return 0;
}

static int
parse_container(struct shim *shim, struct shim_container *c, const struct am_node *node, bool init,
		struct ambient_error *err)
{
	const struct am_node *ro = am_node_get(node, "readOnlyRoot");

	c->name = copy(shim, node, "name", "");
	if (am_name_problem(c->name, 1) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no name of a container", c->name);
	c->init = init;
	c->argv = words(shim, am_node_get(node, "argv"));
	c->env = words(shim, am_node_get(node, "env"));
	if (c->argv == NULL || c->argv[0] == NULL || c->env == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": argv and env are lists of strings", c->name);
	for (size_t i = 0; c->env[i] != NULL; i++)
		if (strchr(c->env[i], '=') == NULL || c->env[i][0] == '=')
			return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": env[%zu] is not NAME=value",
					   c->name, i);
	c->cwd = copy(shim, node, "cwd", "/");
	c->root = copy(shim, node, "root", NULL);
	c->termination_path = copy(shim, node, "terminationPath", "/dev/termination-log");
	if (!clean_path(c->cwd) || !clean_path(c->termination_path) || (c->root != NULL && !clean_path(c->root)))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": paths are absolute, without \"..\"", c->name);
	c->uid = c->gid = -1;
	(void)am_node_get_int(node, "uid", &c->uid);
	(void)am_node_get_int(node, "gid", &c->gid);
	c->read_only_root = ro != NULL && ro->type == AMBIENT_T_BOOL && ro->boolean;
	c->child_fd = c->status_fd = c->status_code = -1;
	return parse_mounts(shim, c, am_node_get(node, "mounts"), err);
}

static int
parse_containers(struct shim *shim, const struct am_node *root, struct ambient_error *err)
{
	static const char *const keys[] = { "initContainers", "containers" };

	shim->containers = am_arena_zalloc(shim->arena, SHIM_CONTAINERS_MAX * sizeof(*shim->containers));
	for (size_t k = 0; k < AM_COUNTOF(keys); k++) {
		const struct am_node *list = am_node_get(root, keys[k]);

		for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next) {
			if (shim->count == SHIM_CONTAINERS_MAX)
				return ambient_err(err, AMBIENT_E_INVALID, "a pod has at most %d containers",
						   SHIM_CONTAINERS_MAX);
			int rc = parse_container(shim, &shim->containers[shim->count], e, k == 0, err);
			if (rc < 0)
				return rc;
			for (size_t i = 0; i < shim->count; i++)
				if (strcmp(shim->containers[i].name, shim->containers[shim->count].name) == 0)
					return ambient_err(err, AMBIENT_E_INVALID, "two containers are called \"%s\"",
							   shim->containers[i].name);
			shim->count++;
		}
		if (k == 0)
			shim->init_count = shim->count;
	}
	return shim->count > shim->init_count ? 0 : ambient_err(err, AMBIENT_E_INVALID, "the pod has no containers");
}

int
shim_spec_parse(struct shim *shim, const char *text, size_t n, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *scratch = am_arena_new();
	const struct am_node *root = am_node_parse(scratch, text, n, err);
	int64_t version = 0, grace = 30, deadline = 0, backoff = 10000;
	const char *policy, *sandbox;

	if (root == NULL)
		return am_err_prefix(err, "specification");
	if (!am_node_get_int(root, "version", &version) || version < 1)
		return ambient_err(err, AMBIENT_E_INVALID, "the specification has no version");
	if (version > SHIM_SPEC_VERSION)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED,
				   "the specification has version %d, this ambient-shim knows up to %d; install the newer one",
				   (int)version, SHIM_SPEC_VERSION);
	shim->dir = copy(shim, root, "dir", NULL);
	shim->socket = copy(shim, root, "socket", NULL);
	shim->hostname = copy(shim, root, "hostname", "pod");
	shim->bwrap = copy(shim, root, "bwrap", "/usr/bin/bwrap");
	if (!clean_path(shim->dir) || !clean_path(shim->socket) || !clean_path(shim->bwrap))
		return ambient_err(err, AMBIENT_E_INVALID, "dir, socket and bwrap are absolute paths");
	sandbox = am_node_get_str(root, "sandbox", "bwrap");
	if (!am_streq(sandbox, "bwrap") && !am_streq(sandbox, "none"))
		return ambient_err(err, AMBIENT_E_INVALID, "sandbox is \"bwrap\" or \"none\", not \"%s\"", sandbox);
	shim->sandbox = am_streq(sandbox, "none") ? SHIM_NONE : SHIM_BWRAP;
	policy = am_node_get_str(root, "restartPolicy", "Never");
	shim->restart = am_streq(policy, "Always") ? SHIM_ALWAYS
			: am_streq(policy, "OnFailure") ? SHIM_ON_FAILURE : SHIM_NEVER;
	(void)am_node_get_int(root, "grace", &grace);
	(void)am_node_get_int(root, "deadline", &deadline);
	(void)am_node_get_int(root, "backoffMs", &backoff);
	if (grace < 0 || grace > 1000000 || deadline < 0 || deadline > INT32_MAX || backoff < 1 || backoff > 300000)
		return ambient_err(err, AMBIENT_E_INVALID, "grace, deadline or backoffMs is out of range");
	shim->grace = grace * AM_NS_PER_S;
	shim->deadline = deadline * AM_NS_PER_S;
	shim->backoff = backoff * AM_NS_PER_MS;
	int rc = parse_containers(shim, root, err);
	if (rc == 0 && am_arena_failed(shim->arena))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	return rc;
}
