/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations, options and life cycle of node. */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT_MAX 400 /* what is in it has room for so long a path of its own */

AMBIENT_DECLARE("name=node\0"
		"version=" PACKAGE_VERSION "\0"
		"reconciler=pods\0"
		"for=v1/pods\0"
		"watch=v1/secrets map=namespace\0"
		"watch=v1/configmaps map=namespace\0"
		"watch=v1/persistentvolumeclaims map=namespace\0"
		"reconciler=node\0"
		"for=v1/nodes\0"
		"reconciler=claims\0"
		"for=v1/persistentvolumeclaims\0"
		"may=v1/pods:delete,patch\0"
		"may=v1/pods/status:patch,update\0"
		"may=v1/nodes:create,get,patch\0"
		"may=v1/nodes/status:patch,update\0"
		"may=v1/persistentvolumeclaims:get,patch\0"
		"may=v1/persistentvolumeclaims/status:patch,update\0"
		"may=v1/secrets:get\0"
		"may=v1/configmaps:get\0"
		"may=v1/serviceaccounts/token:create");

static const struct ambient_option image_match = { sizeof(image_match), "match", AMBIENT_OPT_STRING,
	AMBIENT_OPT_REQUIRED, NULL, 0, 0, "pattern of the image's name, with * and ?", NULL };
static const struct ambient_option image_path = { sizeof(image_path), "path", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	"PATH of its containers", NULL };
static const struct ambient_option image_root = { sizeof(image_root), "root", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	"a directory to take /usr, /bin, /lib and /opt from, instead of the machine's", NULL };
static const struct ambient_option image_binds = { sizeof(image_binds), "binds", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"paths of the machine that its containers see read-only: \"/opt/x\", or \"/opt/x:/usr/local/x\"", NULL };
static const struct ambient_option image_entrypoint = { sizeof(image_entrypoint), "entrypoint", AMBIENT_OPT_STRINGS, 0,
	NULL, 0, 0, "what runs when the container gives no command", NULL };
static const struct ambient_option image_env = { sizeof(image_env), "env", AMBIENT_OPT_MAP, 0, NULL, 0, 0,
	"environment variables of its containers", NULL };
static const struct ambient_option *const image_options[] = { &image_match, &image_path, &image_root, &image_binds,
	&image_entrypoint, &image_env, NULL };

static const struct ambient_option opt_images = { sizeof(opt_images), "images", AMBIENT_OPT_GROUPS, 0, NULL, 0, 0,
	"which programs of this machine stand for an image; the first match counts", image_options };
static const struct ambient_option podman_match = { sizeof(podman_match), "match", AMBIENT_OPT_STRING, 0, "*", 0, 0,
	"pattern of the image's name, with * and ?", NULL };
static const struct ambient_option podman_path = { sizeof(podman_path), "path", AMBIENT_OPT_PATH, 0, "/usr/bin/podman", 0, 0,
	"the program podman", NULL };
static const struct ambient_option podman_args = { sizeof(podman_args), "options", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"options before podman's command, for example \"--root\", \"/srv/containers\"", NULL };
static const struct ambient_option podman_network = { sizeof(podman_network), "network", AMBIENT_OPT_STRING, 0, "host", 0, 0,
	"\"host\": the machine's, as every pod here; or \"none\"", NULL };
static const struct ambient_option podman_pull = { sizeof(podman_pull), "pull", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	"\"Always\", \"IfNotPresent\" or \"Never\", whatever imagePullPolicy the containers say; unset: that holds", NULL };
static const struct ambient_option *const podman_options[] = { &podman_match, &podman_path, &podman_args, &podman_network,
	&podman_pull, NULL };
static const struct ambient_option opt_podman = { sizeof(opt_podman), "podman", AMBIENT_OPT_GROUPS, 0, NULL, 0, 0,
	"images that podman pulls and runs, if none of \"images\" matches; the first match counts", podman_options };

static const struct ambient_option opt_sandbox = { sizeof(opt_sandbox), "sandbox", AMBIENT_OPT_STRING, 0, "bwrap", 0, 0,
	"\"bwrap\" (bubblewrap), or \"none\": containers are plain processes and see everything", NULL };
static const struct ambient_option opt_bwrap = { sizeof(opt_bwrap), "bwrap", AMBIENT_OPT_PATH, 0, "/usr/bin/bwrap", 0, 0,
	"the program bubblewrap", NULL };
static const struct ambient_option opt_shim = { sizeof(opt_shim), "shim", AMBIENT_OPT_PATH, 0,
	AM_LIBEXECDIR "/ambient-shim", 0, 0, "the program ambient-shim", NULL };
static const struct ambient_option opt_name = { sizeof(opt_name), "name", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	"name of the Node; unset: the daemon's, else \"standalone\"", NULL };
static const struct ambient_option opt_port = { sizeof(opt_port), "port", AMBIENT_OPT_INT, 0, "0", 0, 65535,
	"port of the log endpoint on 127.0.0.1; 0: any", NULL };
static const struct ambient_option opt_groups = { sizeof(opt_groups), "cgroups", AMBIENT_OPT_STRING, 0, "/sys/fs/cgroup", 0, 0,
	"where the control groups are, which enforce limits; \"\": none, and limits are not enforced", NULL };
static const struct ambient_option opt_strict = { sizeof(opt_strict), "strictLimits", AMBIENT_OPT_BOOL, 0, "false", 0, 0,
	"pods with limits wait as long as the machine cannot enforce them; else they run with a warning", NULL };
static const struct ambient_option opt_pids = { sizeof(opt_pids), "podPids", AMBIENT_OPT_INT, 0, "4096", 16, 4194304,
	"how many processes and threads a container may have", NULL };
static const struct ambient_option opt_paths = { sizeof(opt_paths), "hostPaths", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"directories that volumes of type hostPath may show, with all below them; unset: none", NULL };
static const struct ambient_option opt_seccomp = { sizeof(opt_seccomp), "seccompDefault", AMBIENT_OPT_BOOL, 0, "true", 0, 0,
	"containers that say nothing of seccompProfile run under the filter of RuntimeDefault; else without one", NULL };
static const struct ambient_option opt_profiles = { sizeof(opt_profiles), "seccompProfiles", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	"directory of the files that seccompProfile Localhost names; unset: none", NULL };
static const struct ambient_option opt_uids = { sizeof(opt_uids), "uidRange", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	"\"FIRST-LAST\": numbers of users, one for each namespace, whose pods are that user outside of their sandbox; only as root; unset: "
	"pods are the daemon's user", NULL };
static const struct ambient_option opt_cidr = { sizeof(opt_cidr), "podCIDR", AMBIENT_OPT_STRING, 0, POD_CIDR, 0, 0,
	"range of the pods' addresses, all of them this machine's own; beside a kube-apiserver, which passes no request on to a loopback "
	"address, one that is none", NULL };
static const struct ambient_option opt_token = { sizeof(opt_token), "tokenMaxAge", AMBIENT_OPT_DURATION, 0, "24h", AMBIENT_SECOND,
	24 * 60 * AMBIENT_MINUTE, "how long a token of a pod's volume is used; it is renewed earlier when 80 % of its life are over", NULL };
static const struct ambient_option *const options[] = { &opt_images, &opt_podman, &opt_sandbox, &opt_bwrap, &opt_shim, &opt_name,
	&opt_port, &opt_groups, &opt_strict, &opt_pids, &opt_paths, &opt_seccomp, &opt_profiles, &opt_uids, &opt_cidr, &opt_token, NULL };

static char **
strings(const struct ambient_host *host, const struct ambient_conf *conf, const char *name, bool map)
{
	size_t n = host->conf->count(conf, name), k = 0;
	char **list = calloc(n + 1, sizeof(*list));

	for (size_t i = 0; list != NULL && i < n; i++) {
		const char *key = "", *value = "";

		if (host->conf->entry(conf, name, i, &key, &value) < 0)
			continue;
		if (!map)
			list[k] = strdup(value);
		else if (asprintf(&list[k], "%s=%s", key, value) < 0)
			list[k] = NULL;
		k += list[k] != NULL;
	}
	return list;
}

static char *
copy(const struct ambient_host *host, const struct ambient_conf *conf, const char *name, const char *fallback)
{
	const char *value = host->conf->str(conf, name, fallback);

	return value != NULL && value[0] != '\0' ? strdup(value) : NULL;
}

static void
free_strings(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

static void
free_images(struct node *node)
{
	for (size_t i = 0; i < node->image_count; i++) {
		struct image *m = node->images[i];

		free(m->match);
		free(m->path);
		free(m->root);
		free_strings(m->binds);
		free_strings(m->entrypoint);
		free_strings(m->env);
		free(m);
	}
	free(node->images);
	for (size_t i = 0; i < node->podman_count; i++) {
		struct podman *p = node->podmen[i];

		free(p->match);
		free(p->path);
		free(p->network);
		free(p->pull);
		free_strings(p->options);
		free(p);
	}
	free(node->podmen);
}

static int
read_images(struct node *node, const struct ambient_conf *conf, struct ambient_error *err)
{
	const struct ambient_host *host = node->host;
	size_t n = host->conf->count(conf, "images");

	node->images = calloc(n + 1, sizeof(*node->images));
	for (size_t i = 0; node->images != NULL && i < n; i++) {
		const struct ambient_conf *group = host->conf->group(conf, "images", i);
		struct image *m = calloc(1, sizeof(*m));

		if (m == NULL || group == NULL) {
			free(m);
			return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		}
		m->match = copy(host, group, "match", "");
		m->path = copy(host, group, "path", NULL);
		m->root = copy(host, group, "root", NULL);
		m->binds = strings(host, group, "binds", false);
		m->entrypoint = strings(host, group, "entrypoint", false);
		m->env = strings(host, group, "env", true);
		node->images[node->image_count++] = m;
		if (m->match == NULL)
			return ambient_err(err, AMBIENT_E_INVALID, "images[%zu].match is empty", i);
	}
	return node->images != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
}

static int
read_podmen(struct node *node, const struct ambient_conf *conf, struct ambient_error *err)
{
	const struct ambient_host *host = node->host;
	size_t n = host->conf->count(conf, "podman");

	node->podmen = calloc(n + 1, sizeof(*node->podmen));
	for (size_t i = 0; node->podmen != NULL && i < n; i++) {
		const struct ambient_conf *group = host->conf->group(conf, "podman", i);
		struct podman *p = calloc(1, sizeof(*p));

		if (p == NULL || group == NULL) {
			free(p);
			return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		}
		p->match = copy(host, group, "match", "*");
		p->path = copy(host, group, "path", "/usr/bin/podman");
		p->network = copy(host, group, "network", "host");
		p->pull = copy(host, group, "pull", NULL);
		p->options = strings(host, group, "options", false);
		node->podmen[node->podman_count++] = p;
		if (p->match == NULL || p->path == NULL || p->network == NULL || p->options == NULL)
			return ambient_err(err, AMBIENT_E_INVALID, "podman[%zu]: match, path and network are not empty", i);
		/* It may be installed later; its pods say so until then. */
		if (access(p->path, X_OK) < 0)
			ambient_log(host, AMBIENT_LOG_WARN, "podman[%zu]: the program \"%s\" is missing: install podman, or set its path", i,
				    p->path);
	}
	return node->podmen != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
}

static bool
one_of(const char *word, const char *const *words)
{
	while (*words != NULL && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

static int
check_podman(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	static const char *const policies[] = { "", "Always", "IfNotPresent", "Never", NULL }, *const networks[] = { "host", "none", NULL };

	for (size_t i = 0; i < host->conf->count(conf, "podman"); i++) {
		const struct ambient_conf *group = host->conf->group(conf, "podman", i);
		const char *pull = host->conf->str(group, "pull", ""), *network = host->conf->str(group, "network", "host");

		if (!one_of(pull, policies))
			return ambient_err(err, AMBIENT_E_INVALID, "podman[%zu].pull is \"Always\", \"IfNotPresent\" or \"Never\", not \"%s\"",
					   i, pull);
		if (!one_of(network, networks))
			return ambient_err(err, AMBIENT_E_INVALID, "podman[%zu].network is \"host\" or \"none\", not \"%s\": in another one "
					   "the pod's address would lead nowhere", i, network);
		if (host->conf->count(group, "options") > 32)
			return ambient_err(err, AMBIENT_E_INVALID, "podman[%zu].options has more than 32 words", i);
	}
	return 0;
}

static int
check(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	const char *sandbox = host->conf->str(conf, "sandbox", "bwrap");

	if (strcmp(sandbox, "bwrap") != 0 && strcmp(sandbox, "none") != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "sandbox is \"bwrap\" or \"none\", not \"%s\"", sandbox);
	for (size_t i = 0; i < host->conf->count(conf, "hostPaths"); i++) {
		const char *key = NULL, *path = "";

		if (host->conf->entry(conf, "hostPaths", i, &key, &path) == 0 && (path[0] != '/' || strchr(path, ':') != NULL))
			return ambient_err(err, AMBIENT_E_INVALID, "hostPaths: \"%s\" is no absolute path without a colon", path);
	}
	for (size_t i = 0; i < host->conf->count(conf, "images"); i++) {
		const struct ambient_conf *group = host->conf->group(conf, "images", i);

		for (size_t k = 0; k < host->conf->count(group, "binds"); k++) {
			const char *key = NULL, *bind = "";

			if (host->conf->entry(group, "binds", k, &key, &bind) == 0 && bind[0] != '/')
				return ambient_err(err, AMBIENT_E_INVALID, "images[%zu].binds: \"%s\" is not absolute", i, bind);
		}
	}
	int64_t first, last;
	int rc = users_range(host->conf->str(conf, "uidRange", NULL), &first, &last, err);
	if (rc == 0) {
		uint32_t address, count;
		rc = addresses_range(host->conf->str(conf, "podCIDR", POD_CIDR), &address, &count, err);
	}
	return rc < 0 ? rc : check_podman(host, conf, err);
}

static void
destroy(void *self)
{
	struct node *node = self;

	local_free_all(node);
	free_images(node);
	free(node->name);
	free(node->shim);
	free(node->bwrap);
	free(node->root);
	free(node->filter);
	free(node->profiles);
	free_strings(node->host_paths);
	pthread_mutex_destroy(&node->uid_lock);
	pthread_cond_destroy(&node->pull_ended);
	pthread_mutex_destroy(&node->lock);
	free(node);
}

static void
stop(void *self)
{
	struct node *node = self;

	/* The shims stay: pods outlive the daemon. */
	pull_stop(node);
	server_stop(node);
	watch_stop(node);
	resources_leave(node);
}

/* What the configuration says of it, but for lists. */
static void
read_options(struct node *node, const struct ambient_conf *conf)
{
	const struct ambient_host *host = node->host;
	const char *fact = host->fact != NULL ? host->fact(host, "node-name") : NULL;
	const char *mode = host->fact != NULL ? host->fact(host, "mode") : NULL;

	node->name = copy(host, conf, "name", fact != NULL ? fact : "standalone");
	node->shim = copy(host, conf, "shim", AM_LIBEXECDIR "/ambient-shim");
	node->bwrap = copy(host, conf, "bwrap", "/usr/bin/bwrap");
	node->no_sandbox = strcmp(host->conf->str(conf, "sandbox", "bwrap"), "none") == 0;
	node->cluster = mode != NULL && strcmp(mode, "cluster") == 0;
	node->strict_limits = host->conf->integer(conf, "strictLimits", 0) != 0;
	node->seccomp_default = host->conf->integer(conf, "seccompDefault", 1) != 0;
	node->profiles = copy(host, conf, "seccompProfiles", NULL);
	node->pod_pids = host->conf->integer(conf, "podPids", 4096);
	node->host_paths = strings(host, conf, "hostPaths", false);
	node->token_use = host->conf->integer(conf, "tokenMaxAge", 24 * 60 * AMBIENT_MINUTE);
	node->port = (uint16_t)host->conf->integer(conf, "port", 0);
}

static int
make_pods_dir(const struct node *node, struct ambient_error *err)
{
	char path[600];
	int rc;

	(void)snprintf(path, sizeof(path), "%s/pods", node->root);
	rc = make_dirs(path);
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make \"%s\": %s", path, strerror(-rc)) : 0;
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct node *node;
	int rc = check(host, conf, err);

	if (rc < 0)
		return rc;
	if (host->state_dir == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "a node needs a state directory");
	node = calloc(1, sizeof(*node));
	if (node == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	node->host = host;
	node->wake[0] = node->wake[1] = -1;
	pthread_mutex_init(&node->lock, NULL);
	pthread_mutex_init(&node->uid_lock, NULL);
	pthread_cond_init(&node->pull_ended, NULL);
	node->root = realpath(host->state_dir, NULL);
	if (node->root == NULL)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot use the state directory \"%s\": %s", host->state_dir,
				 strerror(errno));
	else if (strlen(node->root) > ROOT_MAX)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the path of the state directory has more than %d bytes: \"%.100s...\"", ROOT_MAX,
				 node->root);
	read_options(node, conf);
	resources_detect(node, host->conf->str(conf, "cgroups", "/sys/fs/cgroup"));
	if (rc == 0 && (node->name == NULL || node->shim == NULL || node->bwrap == NULL))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (rc == 0 && access(node->shim, X_OK) < 0)
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "the program \"%s\" is missing: install it, or set \"shim\"", node->shim);
	if (rc == 0)
		rc = users_range(host->conf->str(conf, "uidRange", NULL), &node->uid_first, &node->uid_last, err);
	if (rc == 0 && node->uid_last > 0)
		rc = users_prepare(err);
	if (rc == 0)
		rc = addresses_range(host->conf->str(conf, "podCIDR", POD_CIDR), &node->addresses, &node->address_count, err);
	if (rc == 0)
		rc = addresses_prepare(node, err);
	if (rc == 0)
		rc = read_images(node, conf, err);
	if (rc == 0)
		rc = read_podmen(node, conf, err);
	if (rc == 0)
		rc = make_pods_dir(node, err);
	if (rc == 0) {
		seccomp_prepare(node);
		local_load(node);
		rc = server_start(node, err);
	}
	if (rc == 0)
		rc = watch_start(node, err);
	if (rc < 0) {
		stop(node);
		destroy(node);
		return rc;
	}
	*ret_self = node;
	return 0;
}

static const struct ambient_reconciler pods = { sizeof(pods), "pods", pod_reconcile };
static const struct ambient_reconciler machine = { sizeof(machine), "node", machine_reconcile };
static const struct ambient_reconciler claims = { sizeof(claims), "claims", claim_reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &pods, &machine, &claims, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.check = check,
	.create = create,
	.stop = stop,
	.destroy = destroy,
	.reconcilers = reconcilers,
};
