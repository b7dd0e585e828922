/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The specification: one JSON object, written by the node plugin of the same release.  Version 2 when a container has
 * "podman", which a shim that knows only version 1 would leave out, 3 when one is "held", 4 with "shareProcessNamespace" "user"
 * or when a container has "groups"; else 1.
 *
 *   {"version":1, "dir":"/…/pods/<uid>", "socket":"/…/sock", "hostname":"p", "sandbox":"bwrap"|"none",
 *    "bwrap":"/usr/bin/bwrap", "restartPolicy":"Never"|"OnFailure"|"Always", "grace":30, "deadline":0,
 *    "elapsedMs":0, "backoffMs":10000, "seccompFilter":"/…/seccomp.bpf", "tmpfs":[{"path","size"}…], "groups":{"version":0|1|2,"dirs":[…]},
 *    "quotas":[{"paths":[…],"limit":bytes,"message"}…], "measureMs":10000,
 *    "shareProcessNamespace":true, "user":number, "stage":"/run/…", "initContainers":[C…], "containers":[C…]}
 *   elapsedMs: how much of the deadline had gone before
 *   seccompFilter: the pod's is that of containers with "seccomp" that name none of their own
 *   user: who its containers are outside (and their group); stage: a directory that everybody may pass
 *   groups.dirs of version 1: those of memory, cpu and pids, "" for one that is not there
 *   C = {"name", "argv":[…], "env":["A=b",…], "cwd", "mounts":[{"source","target","readOnly"}…], "root",
 *        "terminationPath", "fallback", "uid", "gid", "groups":[number…], "readOnlyRoot", "seccomp", "seccompFilter", "seccompProfile",
 *        "unconfined", "sidecar",
 *        "stopSignal":number, "limits":{"memory":bytes,"cpu":milli,"cpuRequest":milli,"pids"}, "startup":P, "liveness":P, "readiness":P,
 *        "postStart":A, "preStop":A, "image", "imageID", "of", "podman":{"path", "options":[…], "args":[…], "image"}}
 *     or, when the rest comes later (define.c), {"name", "held":true, "sidecar"}
 *   A = {"exec":[…]} | {"tcp":{"host","port"}} | {"http":{"host","port","path","headers":["A: b"…]}} | {"sleep":seconds}
 *   P = A and {"delay","period","timeout","success","failure","grace"}
 *
 * Seconds where no unit is said.  Names become file names and are checked; everything else goes to bubblewrap
 * as separate words, where nothing interprets it.
 */
#include "core/ambient-shim/shim.h"

#include <signal.h>
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

static bool
truth(const struct am_node *object, const char *key)
{
	const struct am_node *b = am_node_get(object, key);

	return b != NULL && b->type == AMBIENT_T_BOOL && b->boolean;
}

/* A number of at most max units; false: it is there and out of range. */
static bool
number(const struct am_node *object, const char *key, int64_t max, int64_t unit, int64_t *ret)
{
	int64_t n;

	if (!am_node_get_int(object, key, &n))
		return am_node_get(object, key) == NULL;
	*ret = n * unit;
	return n >= 0 && n <= max;
}

#define SECONDS_MAX 1000000
#define BYTES_MAX   (INT64_MAX / 4)

static bool
parse_action(struct shim *shim, const struct am_node *node, struct shim_action *a)
{
	const struct am_node *part;

	if (node == NULL)
		return true;
	if ((part = am_node_get(node, "exec")) != NULL) {
		a->kind = SHIM_EXEC;
		a->argv = words(shim, part);
		return a->argv != NULL && a->argv[0] != NULL;
	}
	if (am_node_get(node, "sleep") != NULL) {
		a->kind = SHIM_SLEEP;
		return number(node, "sleep", SECONDS_MAX, AM_NS_PER_S, &a->sleep);
	}
	part = am_node_get(node, "http");
	a->kind = part != NULL ? SHIM_HTTP : SHIM_TCP;
	part = part != NULL ? part : am_node_get(node, "tcp");
	a->host = copy(shim, part, "host", NULL);
	a->path = copy(shim, part, "path", "/");
	a->headers = words(shim, am_node_get(part, "headers"));
	if (a->headers == NULL || a->host == NULL || !number(part, "port", 65535, 1, &a->port))
		return false;
	for (size_t i = 0; a->headers[i] != NULL; i++)
		if (strpbrk(a->headers[i], "\r\n") != NULL)
			return false;
	return strpbrk(a->path, "\r\n ") == NULL;
}

static bool
parse_probe(struct shim *shim, const struct am_node *node, struct shim_probe *p)
{
	if (node == NULL)
		return true;
	p->period = 10 * AM_NS_PER_S;
	p->timeout = AM_NS_PER_S;
	p->success = 1;
	p->failure = 3;
	p->grace = -1;
	return parse_action(shim, node, &p->action) && number(node, "delay", SECONDS_MAX, AM_NS_PER_S, &p->delay) &&
	       number(node, "period", SECONDS_MAX, AM_NS_PER_S, &p->period) &&
	       number(node, "timeout", SECONDS_MAX, AM_NS_PER_S, &p->timeout) &&
	       number(node, "success", SECONDS_MAX, 1, &p->success) && number(node, "failure", SECONDS_MAX, 1, &p->failure) &&
	       number(node, "grace", SECONDS_MAX, AM_NS_PER_S, &p->grace) && p->period > 0 && p->timeout > 0 &&
	       p->action.kind != SHIM_SLEEP;
}

static int
parse_life(struct shim *shim, struct shim_container *c, const struct am_node *node, struct ambient_error *err)
{
	static const char *const probes[SHIM_PROBES] = { "startup", "liveness", "readiness" };
	const struct am_node *limits = am_node_get(node, "limits");
	int64_t stop = SIGTERM;
	bool ok = true;

	for (int i = 0; i < SHIM_PROBES; i++)
		ok = ok && parse_probe(shim, am_node_get(node, probes[i]), &c->probes[i]);
	ok = ok && parse_action(shim, am_node_get(node, "postStart"), &c->post_start) &&
	     parse_action(shim, am_node_get(node, "preStop"), &c->pre_stop);
	if (!ok)
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": a probe or hook is malformed", c->name);
	c->fallback = truth(node, "fallback");
	if (!number(node, "stopSignal", SIGRTMAX, 1, &stop) || stop == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": stopSignal is out of range", c->name);
	c->stop_signal = (int)stop;
	if (!number(limits, "memory", BYTES_MAX, 1, &c->limits.memory) || !number(limits, "cpu", 1 << 24, 1, &c->limits.cpu_milli) ||
	    !number(limits, "cpuRequest", 1 << 24, 1, &c->limits.cpu_request_milli) ||
	    !number(limits, "pids", 1 << 22, 1, &c->limits.pids))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": limits are out of range", c->name);
	return 0;
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
		c->mounts[i].source = copy(shim, m, "source", NULL);
		c->mounts[i].target = copy(shim, m, "target", NULL);
		c->mounts[i].read_only = truth(m, "readOnly");
		if (!clean_path(c->mounts[i].source) || !clean_path(c->mounts[i].target) ||
		    strcmp(c->mounts[i].target, "/") == 0)
			return ambient_err(err, AMBIENT_E_INVALID,
					   "container \"%s\": mounts[%zu] needs absolute paths without \"..\"", c->name, i);
	}
	c->mount_count = i;
	qsort(c->mounts, i, sizeof(*c->mounts), by_target);
	return 0;
}

/* The list alone says that there is one: empty, it takes the shim's groups away. */
static int
parse_groups_of(struct shim *shim, struct shim_container *c, const struct am_node *list, struct ambient_error *err)
{
	gid_t *groups;

	if (list == NULL)
		return 0;
	if (list->type != AMBIENT_T_ARRAY || list->count > SHIM_GIDS_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": groups is a list of at most %d numbers", c->name, SHIM_GIDS_MAX);
	groups = am_arena_zalloc(shim->arena, (list->count + 1) * sizeof(*groups));
	if (groups == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	for (const struct am_node *e = list->first; e != NULL; e = e->next) {
		int64_t n;

		if (!am_node_is_int(e, &n) || n < 0 || n >= UINT32_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": groups[%zu] is no number of a group", c->name,
					   c->group_count);
		groups[c->group_count++] = (gid_t)n;
	}
	c->groups = groups;
	return 0;
}

static int
parse_podman(struct shim *shim, struct shim_container *c, const struct am_node *node, struct ambient_error *err)
{
	c->sandbox = shim->sandbox;
	if (node == NULL)
		return 0;
	c->sandbox = SHIM_PODMAN;
	c->podman.path = copy(shim, node, "path", NULL);
	c->podman.image = copy(shim, node, "image", NULL);
	c->podman.options = words(shim, am_node_get(node, "options"));
	c->podman.args = words(shim, am_node_get(node, "args"));
	if (!clean_path(c->podman.path) || c->podman.options == NULL || c->podman.args == NULL ||
	    !am_starts(c->podman.image != NULL ? c->podman.image : "", "sha256:"))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": podman is malformed", c->name);
	for (size_t i = 0; i < c->mount_count; i++)
		if (strchr(c->mounts[i].source, ':') != NULL || strchr(c->mounts[i].target, ':') != NULL)
			return ambient_err(err, AMBIENT_E_INVALID,
					   "container \"%s\": podman mounts no path with a colon: \"%s\"", c->name,
					   c->mounts[i].source);
	return 0;
}

static int
parse_container(struct shim *shim, struct shim_container *c, const struct am_node *node, bool init,
		struct ambient_error *err)
{
	int rc;

	c->name = copy(shim, node, "name", "");
	if (am_name_problem(c->name, 1) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no name of a container", c->name);
	c->init = init;
	c->child_fd = c->mount_fd = c->status_fd = c->status_code = c->group_fds[0] = c->input_fd = c->terminal = -1;
	c->sidecar = c->init && truth(node, "sidecar");
	c->held = truth(node, "held");
	if (c->held)
		return 0;
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
	c->read_only_root = truth(node, "readOnlyRoot");
	c->filter_path = truth(node, "seccomp") ? copy(shim, node, "seccompFilter", shim->filter_path) : NULL;
	c->unconfined = truth(node, "unconfined");
	c->profile = copy(shim, node, "seccompProfile", NULL);
	if (c->profile != NULL && !clean_path(c->profile))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\": seccompProfile is an absolute path", c->name);
	if (truth(node, "seccomp") && !clean_path(c->filter_path))
		return ambient_err(err, AMBIENT_E_INVALID, "container \"%s\" has seccomp, and neither it nor the pod a seccompFilter",
				   c->name);
	c->tty = truth(node, "tty");
	c->input = truth(node, "stdin");
	c->input_once = truth(node, "stdinOnce");
	c->of = copy(shim, node, "of", NULL);
	c->image = copy(shim, node, "image", NULL);
	c->image_id = copy(shim, node, "imageID", NULL);
	rc = parse_life(shim, c, node, err);
	rc = rc < 0 ? rc : parse_mounts(shim, c, am_node_get(node, "mounts"), err);
	rc = rc < 0 ? rc : parse_groups_of(shim, c, am_node_get(node, "groups"), err);
	return rc < 0 ? rc : parse_podman(shim, c, am_node_get(node, "podman"), err);
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

static int
parse_tmpfs(struct shim *shim, const struct am_node *list, struct ambient_error *err)
{
	for (const struct am_node *t = list != NULL ? list->first : NULL; t != NULL; t = t->next) {
		struct shim_tmpfs *to = &shim->tmpfs[shim->tmpfs_count];

		if (shim->tmpfs_count == SHIM_TMPFS_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "a pod has at most %d volumes in memory", SHIM_TMPFS_MAX);
		to->path = copy(shim, t, "path", NULL);
		if (!clean_path(to->path) || !number(t, "size", BYTES_MAX, 1, &to->size))
			return ambient_err(err, AMBIENT_E_INVALID, "tmpfs[%zu] is malformed", shim->tmpfs_count);
		shim->tmpfs_count++;
	}
	return 0;
}

static int
parse_groups(struct shim *shim, const struct am_node *node, struct ambient_error *err)
{
	const char *const *dirs = words(shim, am_node_get(node, "dirs"));
	int64_t version = 0;

	if (!number(node, "version", 2, 1, &version) || dirs == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "groups is malformed");
	shim->groups.version = (int)version;
	for (size_t i = 0; version > 0 && dirs[i] != NULL; i++) {
		if (shim->groups.count == SHIM_GROUPS_MAX || (dirs[i][0] != '\0' && !clean_path(dirs[i])))
			return ambient_err(err, AMBIENT_E_INVALID, "groups.dirs is malformed");
		shim->groups.dirs[shim->groups.count++] = dirs[i];
	}
	return 0;
}

static int
parse_quotas(struct shim *shim, const struct am_node *root, struct ambient_error *err)
{
	const struct am_node *list = am_node_get(root, "quotas");
	size_t n = list != NULL && list->type == AMBIENT_T_ARRAY ? list->count : 0;

	shim->measure = 10 * AM_NS_PER_S;
	if (!number(root, "measureMs", 3600000, AM_NS_PER_MS, &shim->measure) || shim->measure == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "measureMs is out of range");
	shim->quotas = am_arena_zalloc(shim->arena, (n + 1) * sizeof(*shim->quotas));
	for (const struct am_node *q = n > 0 && shim->quotas != NULL ? list->first : NULL; q != NULL; q = q->next) {
		struct shim_quota *to = &shim->quotas[shim->quota_count++];

		to->paths = words(shim, am_node_get(q, "paths"));
		to->message = copy(shim, q, "message", "the pod keeps too much on disk");
		if (to->paths == NULL || !number(q, "limit", BYTES_MAX, 1, &to->limit))
			return ambient_err(err, AMBIENT_E_INVALID, "a quota is malformed");
	}
	return 0;
}

int
shim_spec_container(struct shim *shim, struct shim_container *c, const char *text, size_t n, bool init,
		    struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *scratch = am_arena_new();
	const struct am_node *node = am_node_parse(scratch, text, n, err);
	int rc = node != NULL ? parse_container(shim, c, node, init, err) : -AMBIENT_E_INVALID;

	if (rc == 0 && am_arena_failed(shim->arena))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	return rc;
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
	shim->filter_path = copy(shim, root, "seccompFilter", NULL);
	if (shim->filter_path != NULL && !clean_path(shim->filter_path))
		return ambient_err(err, AMBIENT_E_INVALID, "seccompFilter is an absolute path");
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
	if (!number(root, "elapsedMs", INT64_C(1000) * INT32_MAX, AM_NS_PER_MS, &shim->elapsed))
		return ambient_err(err, AMBIENT_E_INVALID, "elapsedMs is out of range");
	shim->backoff = backoff * AM_NS_PER_MS;
	shim->share = truth(root, "shareProcessNamespace");
	shim->user = -1;
	shim->stage = copy(shim, root, "stage", NULL);
	if (!number(root, "user", UINT32_MAX - 1, 1, &shim->user) || (shim->user >= 0 && (!clean_path(shim->stage) || shim->user == 0)))
		return ambient_err(err, AMBIENT_E_INVALID, "user is the number of one who is not root, and comes with an absolute stage");
	int rc = parse_containers(shim, root, err);
	rc = rc < 0 ? rc : parse_tmpfs(shim, am_node_get(root, "tmpfs"), err);
	rc = rc < 0 ? rc : parse_groups(shim, am_node_get(root, "groups"), err);
	rc = rc < 0 ? rc : parse_quotas(shim, root, err);
	if (rc == 0 && am_arena_failed(shim->arena))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	return rc;
}
