/* SPDX-License-Identifier: Apache-2.0 */
/* The core's own options, and what must hold between them.  The rows are also the manual. */
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/conf/conf_priv.h"

#define ROW(...) &(const struct ambient_option){ sizeof(struct ambient_option), __VA_ARGS__ }
#define MS INT64_C(1000000)
#define S  (1000 * MS)

#define NAMESPACES_MAX 256 /* each costs a connection for each kind */

static const struct ambient_option *const root_rows[] = {
	ROW("mode", AMBIENT_OPT_STRING, 0, "cluster", 0, 0,
	    "\"standalone\": this machine alone, with an API server of its own; \"cluster\": a Kubernetes cluster.", NULL),
	ROW("state", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "Directory of what must survive a restart.", NULL),
	ROW("runtime", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "Directory of sockets and private copies; must not be mounted noexec.",
	    NULL),
	ROW("cache", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "Directory of what can be made again.", NULL),
	ROW("plugin_dir", AMBIENT_OPT_PATH, 0, AM_PKGLIBDIR "/plugins", 0, 0,
	    "Where plugins without a path are looked for, as <plugin>.so.", NULL),
	ROW("drain", AMBIENT_OPT_DURATION, AMBIENT_OPT_RELOAD, "30s", 0, 3600 * S,
	    "How long stopping waits for running calls of plugins.", NULL),
	NULL,
};

static const struct ambient_option *const log_rows[] = {
	ROW("level", AMBIENT_OPT_STRING, AMBIENT_OPT_RELOAD, "info", 0, 0, "\"error\", \"warn\", \"info\" or \"debug\".", NULL),
	ROW("format", AMBIENT_OPT_STRING, 0, "auto", 0, 0,
	    "\"text\", \"json\", \"journald\", or \"auto\": journald under systemd, else text.", NULL),
	NULL,
};

static const struct ambient_option *const cluster_rows[] = {
	ROW("server", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	    "The instance that is the API server; excludes every other way to a cluster.", NULL),
	ROW("kubeconfig", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	    "A kubeconfig file.  Its users may be credential plugins (exec) that need nobody at a terminal; its proxy-url, http://, https:// or socks5://, wins over HTTPS_PROXY and NO_PROXY.", NULL),
	ROW("context", AMBIENT_OPT_STRING, 0, NULL, 0, 0, "The context to use of that file, instead of its current one.", NULL),
	ROW("incluster", AMBIENT_OPT_BOOL, 0, "false", 0, 0, "Use the service account of the pod that this runs in.", NULL),
	ROW("http2", AMBIENT_OPT_BOOL, 0, "false", 0, 0,
	    "Let short requests share one connection by HTTP/2, where the API server speaks it; watches have a connection each.", NULL),
	ROW("requestsPerSecond", AMBIENT_OPT_INT, 0, "50", 0, 1000000,
	    "How many requests may be sent each second in the long run, watches apart; 0: as many as the API server takes.  "
	    "Without effect with \"server\".", NULL),
	ROW("requestBurst", AMBIENT_OPT_INT, 0, "100", 1, 1000000, "How many of them may be sent at once after a pause.", NULL),
	ROW("watchList", AMBIENT_OPT_BOOL, 0, "true", 0, 0,
	    "Ask for whole collections as the beginning of a watch, which costs the API server least; where it cannot do that, they "
	    "are listed.", NULL),
	ROW("compressCache", AMBIENT_OPT_BOOL, 0, "true", 0, 0,
	    "Keep cached objects compressed where a kind has 96 or more: a third of the memory, a microsecond more for each read of one.",
	    NULL),
	ROW("namespaces", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	    "The only namespaces whose objects are watched, each by itself, so that Roles in them are enough; unset: all, by one watch of "
	    "each kind.  Kinds that are in no namespace are watched regardless.  At most 256.", NULL),
	ROW("namespace", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	    "The daemon's own namespace, for its lease; unset: the service account's, else \"default\".", NULL),
	NULL,
};

static const struct ambient_option *const lease_rows[] = {
	ROW("enabled", AMBIENT_OPT_BOOL, 0, "true", 0, 0,
	    "Elect a leader among the replicas of this daemon; standalone never does.", NULL),
	ROW("name", AMBIENT_OPT_STRING, 0, "ambient", 0, 0, "Name of the Lease object.", NULL),
	ROW("namespace", AMBIENT_OPT_STRING, 0, NULL, 0, 0, "Its namespace; unset: the daemon's own.", NULL),
	ROW("identity", AMBIENT_OPT_STRING, 0, NULL, 0, 0, "Who this replica is; unset: host name and a random part.", NULL),
	ROW("duration", AMBIENT_OPT_DURATION, 0, "15s", 1 * S, 3600 * S, "How long others wait for a silent leader.", NULL),
	ROW("renew", AMBIENT_OPT_DURATION, 0, "10s", 100 * MS, 3600 * S,
	    "How long a leader tries to renew before it gives up; less than duration.", NULL),
	ROW("retry", AMBIENT_OPT_DURATION, 0, "2s", 10 * MS, 3600 * S, "Between two tries; less than renew.", NULL),
	ROW("shards", AMBIENT_OPT_INT, 0, "0", 0, 256,
	    "0: one replica, the leader, reconciles everything.  More: all replicas do, each what is in its namespaces, which are "
	    "hashed to so many shards; several times the number of replicas, and the same in each of them.", NULL),
	NULL,
};

static const struct ambient_option *const ops_rows[] = {
	ROW("listen", AMBIENT_OPT_STRING, 0, "127.0.0.1:8081", 0, 0,
	    "Address and port of health and metrics; \"\" for none, port 0 for any.", NULL),
	ROW("socket", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "The admin socket; unset: <runtime>/ambientd.sock.", NULL),
	NULL,
};

static const struct ambient_option *const runner_rows[] = {
	ROW("image", AMBIENT_OPT_STRING, AMBIENT_OPT_RELOAD, NULL, 0, 0, "Image of the two containers of a session's pod.", NULL),
	ROW("type", AMBIENT_OPT_STRING, AMBIENT_OPT_RELOAD, "claude-code", 0, 0,
	    "Runner type of sessions that name none, in projects that name none.", NULL),
	NULL,
};

const struct conf_section conf_sections[] = {
	{ "", root_rows, "Outside of any group." },
	{ "log", log_rows, "Logging." },
	{ "cluster", cluster_rows, "The API server that is reconciled against." },
	{ "lease", lease_rows, "Leader election." },
	{ "ops", ops_rows, "Health, metrics and administration." },
	{ "runner", runner_rows, "How sessions are run." },
	{ NULL, NULL, NULL },
};

const struct ambient_option *const conf_instance_rows[] = {
	ROW("plugin", AMBIENT_OPT_STRING, 0, NULL, 0, 0, "The plugin; unset: the instance's name.", NULL),
	ROW("path", AMBIENT_OPT_PATH, 0, NULL, 0, 0, "Its file; unset: <plugin_dir>/<plugin>.so.", NULL),
	ROW("workers", AMBIENT_OPT_INT, 0, "0", 0, 256, "Threads of each of its reconcilers; 0: as many as processors, at most 4.",
	    NULL),
	ROW("deadline", AMBIENT_OPT_DURATION, 0, "5m", 1 * S, 24 * 3600 * S,
	    "How long one reconcile may take: then it is asked to end; at twice that its worker is replaced.", NULL),
	ROW("readonly", AMBIENT_OPT_BOOL, 0, "false", 0, 0,
	    "true: it reconciles, but each of its writes is refused and counted.", NULL),
	ROW("when", AMBIENT_OPT_STRING, 0, NULL, 0, 0,
	    "An update of an object that it reconciles counts only when one of these has changed: \"generation\", \"labels\", "
	    "\"annotations\" and JSON Pointers, with commas between; unset: as the plugin declares.", NULL),
	ROW("namespaces", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	    "The only namespaces whose objects it sees, instead of \"cluster.namespaces\"; unset: those.", NULL),
	ROW("isolation", AMBIENT_OPT_STRING, 0, "none", 0, 0, "\"none\": in the daemon; \"process\": in a child of its own.", NULL),
	ROW("enabled", AMBIENT_OPT_BOOL, 0, "true", 0, 0, "false: as if it were not there.", NULL),
	NULL,
};

/* ---- between options */

static void
check_words(struct am_conf_file *file)
{
	const struct ambient_conf *root = am_conf_section(file, ""), *log = am_conf_section(file, "log");
	const char *mode = am_conf_str(root, "mode"), *level = am_conf_str(log, "level"),
		   *format = am_conf_str(log, "format");

	if (!am_streq(mode, "standalone") && !am_streq(mode, "cluster"))
		am_conf_fail(file, root, "mode", "\"mode\" must be \"standalone\" or \"cluster\", not \"%.40s\"", mode);
	if (am_log_level_parse(level) == 0)
		am_conf_fail(file, log, "level",
			     "\"log.level\" must be \"error\", \"warn\", \"info\" or \"debug\", not \"%.40s\"", level);
	if (am_log_format_parse(format) < 0)
		am_conf_fail(file, log, "format",
			     "\"log.format\" must be \"auto\", \"text\", \"json\" or \"journald\", not \"%.40s\"", format);
}

/* path: what the user calls it, "cluster" or "plugins.NAME". */
static void
check_namespaces(struct am_conf_file *file, const struct ambient_conf *conf, const char *path)
{
	size_t n = am_conf_strings(conf, "namespaces", NULL);

	if (n == 0 && am_conf_given(conf, "namespaces"))
		am_conf_fail(file, conf, "namespaces", "\"%s.namespaces\" names none; remove it to watch all of them", path);
	if (n > NAMESPACES_MAX)
		am_conf_fail(file, conf, "namespaces",
			     "\"%s.namespaces\" has %zu names, at most %d can be watched one by one; remove it to watch all of them", path, n,
			     NAMESPACES_MAX);
	const char *const *names = NULL;
	(void)am_conf_strings(conf, "namespaces", &names);
	for (size_t i = 0; i < n && n <= NAMESPACES_MAX; i++) {
		if (am_name_problem(names[i], 1) != NULL)
			am_conf_fail(file, conf, "namespaces", "\"%.80s\" in \"%s.namespaces\" cannot name a namespace: %s", names[i], path,
				     am_name_problem(names[i], 1));
		for (size_t j = 0; j < i; j++) {
			if (am_streq(names[i], names[j]))
				am_conf_fail(file, conf, "namespaces", "\"%s\" is in \"%s.namespaces\" twice", names[i], path);
		}
	}
}

static void
check_cluster(struct am_conf_file *file)
{
	const struct ambient_conf *cluster = am_conf_section(file, "cluster");
	const char *server = am_conf_str(cluster, "server");
	bool incluster = am_conf_int(cluster, "incluster") != 0, kubeconfig = am_conf_given(cluster, "kubeconfig");

	if ((server != NULL) + incluster + kubeconfig > 1)
		am_conf_fail(file, cluster, server != NULL ? "server" : "kubeconfig",
			     "\"cluster\" takes one of \"server\", \"kubeconfig\" and \"incluster\", not several");
	if (am_conf_given(cluster, "context") && !kubeconfig)
		am_conf_fail(file, cluster, "context", "\"cluster.context\" needs \"cluster.kubeconfig\"");
	if (server != NULL) {
		bool found = false;

		for (size_t i = 0; i < file->instance_count; i++)
			found = found || (am_streq(file->instances[i].pub.name, server) && file->instances[i].pub.enabled);
		if (!found)
			am_conf_fail(file, cluster, "server", "\"cluster.server\" names \"%.60s\", but \"plugins\" has no such enabled instance",
				     server);
	}
	if (am_streq(am_conf_str(am_conf_section(file, ""), "mode"), "standalone") && server == NULL)
		am_conf_fail(file, am_conf_section(file, ""), "mode",
			     "\"mode\" is standalone, then \"cluster.server\" must name the plugin that is the API server");
}

static void
check_shards(struct am_conf_file *file, const struct ambient_conf *lease)
{
	const char *name = am_conf_str(lease, "name");

	if (am_streq(am_conf_str(am_conf_section(file, ""), "mode"), "standalone"))
		am_conf_fail(file, lease, "shards", "\"lease.shards\" is for replicas in a cluster; a standalone daemon is alone: remove it");
	if (am_conf_int(lease, "enabled") == 0)
		am_conf_fail(file, lease, "shards", "\"lease.shards\" needs \"lease.enabled\", or every replica would reconcile everything");
	/* A shard's owner writes its lease, then reads all of them; both have to succeed now and then. */
	if (am_conf_int(lease, "renew") <= 3 * am_conf_int(lease, "retry"))
		am_conf_fail(file, lease, "retry", "with \"lease.shards\", \"lease.renew\" must be more than 3 times \"lease.retry\"");
	if (name == NULL || strlen(name) > 50 || am_name_problem(name, 1) != NULL)
		am_conf_fail(file, lease, "name",
			     "with \"lease.shards\", \"lease.name\" must be a DNS label of at most 50 characters, not \"%.60s\"",
			     name != NULL ? name : "");
}

static void
check_lease(struct am_conf_file *file)
{
	const struct ambient_conf *lease = am_conf_section(file, "lease");
	int64_t duration = am_conf_int(lease, "duration"), renew = am_conf_int(lease, "renew"),
		retry = am_conf_int(lease, "retry");

	if (renew >= duration)
		am_conf_fail(file, lease, "renew", "\"lease.renew\" must be less than \"lease.duration\"");
	/* The jitter of a retry is up to 120 %. */
	if (retry * 6 / 5 >= renew)
		am_conf_fail(file, lease, "retry", "\"lease.renew\" must be more than 1.2 times \"lease.retry\"");
	if (am_conf_int(lease, "shards") != 0)
		check_shards(file, lease);
}

void
conf_check_core(struct am_conf_file *file)
{
	check_words(file);
	check_cluster(file);
	check_namespaces(file, am_conf_section(file, "cluster"), "cluster");
	for (size_t i = 0; i < file->instance_count; i++)
		check_namespaces(file, file->instances[i].own, am_arena_printf(file->arena, "plugins.%s", file->instances[i].pub.name));
	check_lease(file);
}
