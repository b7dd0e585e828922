/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start and stop.  The order is: directories, plugins, the API server among them, the client, the other instances and
 * their servers, watches, lease, workers.  Stopping is the reverse, so that nothing uses what has already gone.
 */
#include "core/ambientd/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ambientd/daemon_priv.h"
#include "core/base/log.h"

#define PROVIDER_PATIENCE (10 * AM_NS_PER_S)
#define REPORT_EVERY      (10 * AM_NS_PER_S)

struct am_daemon *
am_daemon_new(const struct am_daemon_options *options)
{
	struct am_daemon *d = am_xcalloc(1, sizeof(*d));

	d->config = options->config;
	d->sets = options->sets;
	d->durability = options->durability;
	d->clock = am_clock_real();
	d->lock_fd = -1;
	d->beat = am_beat_new();
	return d;
}

void
am_daemon_free(struct am_daemon *d)
{
	if (d == NULL || d->abandoned)
		return;
	am_host_free(d->host);
	am_conf_free(d->file);
	for (size_t i = 0; i < d->old_count; i++)
		am_conf_free(d->old[i]);
	if (d->lock_fd >= 0)
		(void)close(d->lock_fd);
	free(d->own_set);
	free(d->own_sets);
	free(d->old);
	free(d->plugins);
	free(d->state);
	free(d->runtime);
	free(d->socket);
	am_beat_free(d->beat);
	free(d);
}

/* ---- configuration */

static int
print_mistakes(const struct am_conf_file *file)
{
	for (size_t i = 0; i < am_conf_error_count(file); i++)
		(void)fprintf(stderr, "%s\n", am_conf_error(file, i));
	return am_conf_error_count(file) != 0 ? AM_EXIT_CONFIG : AM_EXIT_OK;
}

static void
make_host(struct am_daemon *d)
{
	const struct ambient_conf *cluster = section(d, "cluster"), *runner = section(d, "runner");
	const char *ns = am_conf_str(cluster, "namespace");
	const char *const *namespaces = NULL;
	size_t namespace_count = am_conf_strings(cluster, "namespaces", &namespaces);
	const struct am_host_options options = {
		.clock = d->clock,
		.mode = d->standalone ? "standalone" : "cluster",
		.state = d->state,
		.ns = ns != NULL ? ns : "default",
		.namespaces = { namespaces, namespace_count },
		.runner_image = am_conf_str(runner, "image"),
		.runner_type = am_conf_str(runner, "type"),
		.stream_lists = am_conf_int(section(d, "cluster"), "watchList") != 0,
		.packed_cache = am_conf_int(section(d, "cluster"), "compressCache") != 0,
	};

	d->host = am_host_new(&options);
}

/* Which instance is the API server is known only now: one more override, and the files again. */
static void
set_durability(struct am_daemon *d)
{
	const char *server = am_conf_str(section(d, "cluster"), "server");
	size_t n = 0;

	if (am_empty(server)) {
		am_conf_fail(d->file, NULL, NULL, "--durability is about the API server of a standalone daemon, but \"cluster.server\" "
			     "names none");
		return;
	}
	while (d->sets != NULL && d->sets[n] != NULL)
		n++;
	d->own_set = am_xasprintf("plugins.%s.config.durability=%s", server, d->durability);
	d->own_sets = am_xcalloc(n + 2, sizeof(*d->own_sets));
	for (size_t i = 0; i < n; i++)
		d->own_sets[i] = d->sets[i];
	d->own_sets[n] = d->own_set;
	d->sets = d->own_sets;
	am_conf_free(d->file);
	d->file = am_conf_load(d->config, d->sets);
}

int
am_daemon_configure(struct am_daemon *d)
{
	d->file = am_conf_load(d->config, d->sets);
	if (d->durability != NULL)
		set_durability(d);
	/* Goes on after a mistake, so that those about plugins are seen in the same run. */
	int level = am_log_level_parse(am_conf_str(section(d, "log"), "level"));
	if (level != 0)
		am_log_set_level(level);
	d->standalone = am_streq(am_conf_str(section(d, ""), "mode"), "standalone");
	d->state = daemon_state_dir(d->file);
	d->runtime = daemon_runtime_dir(d->file);
	make_host(d);
	daemon_load_plugins(d);
	return print_mistakes(d->file);
}

int
am_daemon_log_format(const struct am_daemon *d)
{
	return am_log_format_parse(am_conf_str(section(d, "log"), "format"));
}

void
am_daemon_print(struct am_daemon *d)
{
	struct am_buf out = { 0 };

	am_conf_print(d->file, &out);
	(void)fputs(am_buf_str(&out), stdout);
	am_buf_fini(&out);
}

void
am_daemon_cancel(struct am_daemon *d)
{
	__atomic_store_n(&d->cancelled, 1, __ATOMIC_RELEASE);
}

static bool
cancelled(const struct am_daemon *d)
{
	return __atomic_load_n(&d->cancelled, __ATOMIC_ACQUIRE) != 0;
}

/* ---- the API server and the client */

static int
make_instance(struct am_daemon *d, struct daemon_plugin *p, struct ambient_error *err)
{
	const struct am_instance_options options = {
		.name = p->conf->name,
		.plugin = p->plugin,
		.conf = p->options,
		.workers = (int)p->conf->workers,
		.deadline = p->conf->deadline,
		.readonly = p->conf->readonly,
		.when = p->conf->when,
		.namespaces = { p->conf->namespaces, p->conf->namespace_count },
		.provider = p == d->provider,
	};
	int rc = am_instance_new(d->host, &options, &p->instance, err);

	return rc < 0 ? am_err_prefix(err, "instance \"%s\"", p->conf->name) : 0;
}

static int
start_provider(struct am_daemon *d, struct ambient_error *err)
{
	int rc = make_instance(d, d->provider, err);

	if (rc == 0)
		rc = am_instance_create(d->provider->instance, err);
	if (rc == 0)
		rc = am_instance_start_servers(d->provider->instance, err);
	return rc;
}

static int
open_config(struct am_daemon *d, struct am_kube_config **ret, struct ambient_error *err)
{
	const struct ambient_conf *cluster = section(d, "cluster");
	const char *file = am_conf_str(cluster, "kubeconfig");

	if (d->provider != NULL) {
		const char *path = am_instance_kubeconfig(d->provider->instance);
		if (path == NULL)
			return ambient_err(err, AMBIENT_E_INTERNAL, "\"%s\" offers no kubeconfig", d->provider->conf->name);
		return am_kube_config_file(path, NULL, ret, err);
	}
	if (am_conf_int(cluster, "incluster") != 0)
		return am_kube_config_incluster(ret, err);
	if (file != NULL)
		return am_kube_config_file(file, am_conf_str(cluster, "context"), ret, err);
	return am_kube_config_default(NULL, NULL, ret, err);
}

static int
connect_client(struct am_daemon *d, struct ambient_error *err)
{
	int64_t qps = d->provider != NULL ? 0 : am_conf_int(section(d, "cluster"), "requestsPerSecond");
	const struct am_kube_options options = {
		.user_agent = "ambientd/" PACKAGE_VERSION,
		.clock = d->clock,
		.qps = qps == 0 ? -1 : (double)qps,
		.burst = (int)am_conf_int(section(d, "cluster"), "requestBurst"),
		.http2 = am_conf_int(section(d, "cluster"), "http2") != 0,
	};
	struct am_kube_config *config;
	int rc = open_config(d, &config, err);

	if (rc < 0)
		return rc;
	/* The client takes the configuration; what the host needs of it is asked for first, through a second look. */
	struct am_kube_config *facts;
	rc = open_config(d, &facts, err);
	if (rc < 0) {
		am_kube_config_free(config);
		return rc;
	}
	rc = am_kube_new(config, &options, &d->kube, err);
	if (rc == 0)
		rc = am_host_connect(d->host, d->kube, facts, err);
	if (d->kube != NULL)
		am_beat_watch(d->beat, am_kube_io(d->kube));
	am_kube_config_free(facts);
	return rc;
}

static int
wait_provider(struct am_daemon *d, struct ambient_error *err)
{
	const struct am_kube_request request = {
		.method = "GET",
		.path = "/readyz",
		.accept = "*/*",
		.deadline = am_clock_boot(d->clock) + PROVIDER_PATIENCE,
		.cancelled = &d->cancelled,
	};
	struct am_buf body = { 0 };
	int rc = am_kube_do(d->kube, &request, &body, err);

	am_buf_fini(&body);
	if (rc < 0)
		return am_err_prefix(err, "the API server \"%s\" did not become ready", d->provider->conf->name);
	am_log_info("ambientd", "the API server \"%s\" answers", d->provider->conf->name);
	return 0;
}

/* ---- the others */

static int
start_instances(struct am_daemon *d, struct ambient_error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->plugin_count; i++) {
		struct daemon_plugin *p = &d->plugins[i];
		if (p == d->provider)
			continue;
		rc = make_instance(d, p, err);
		if (rc == 0)
			rc = am_instance_create(p->instance, err);
		if (rc == 0)
			rc = am_instance_start_servers(p->instance, err);
	}
	for (size_t i = 0; rc == 0 && i < d->plugin_count; i++) {
		if (&d->plugins[i] != d->provider)
			rc = am_instance_watch(d->plugins[i].instance, err);
	}
	return rc;
}

/* Each instance starts to work as soon as its own watches are complete; one that waits for a kind that does not exist
 * holds up nobody else. */
static int
start_workers(struct am_daemon *d, struct ambient_error *err)
{
	int64_t report = am_clock_boot(d->clock) + REPORT_EVERY;

	for (bool all = false; !all && !cancelled(d);) {
		int64_t now = am_clock_boot(d->clock);
		all = true;
		for (size_t i = 0; i < d->plugin_count; i++) {
			struct daemon_plugin *p = &d->plugins[i];
			if (p->running || p == d->provider)
				continue;
			int rc = am_instance_wait_synced(p->instance, now + AM_NS_PER_S, &d->cancelled, err);
			if (rc == 0)
				rc = am_instance_start_workers(p->instance, err);
			else if (rc == -AMBIENT_E_TIMEOUT || rc == -AMBIENT_E_CANCELLED) {
				if (now >= report)
					am_log_warn("ambientd", "%s", err->message);
				all = false;
				continue;
			}
			if (rc < 0)
				return rc;
			p->running = true;
		}
		if (now >= report)
			report = now + REPORT_EVERY;
		am_host_await_kinds(d->host);
	}
	return 0;
}

static int
start_ops(struct am_daemon *d, struct ambient_error *err)
{
	const struct ambient_conf *ops = section(d, "ops");
	const char *listen = am_conf_str(ops, "listen"), *socket = am_conf_str(ops, "socket");
	const struct am_ops_callbacks callbacks = { d, daemon_checks, daemon_refresh, daemon_status, daemon_top, daemon_cache, daemon_explain,
						    daemon_live };
	int rc = 0;

	if (!am_empty(listen)) {
		rc = am_ops_start(listen, &callbacks, &d->ops, err);
		if (rc == 0)
			am_log_info("ambientd", "health and metrics on \"%s\", port %u", listen, am_ops_port(d->ops));
	}
	if (rc == 0) {
		d->socket = socket != NULL ? am_xstrdup(socket) : am_xasprintf("%s/ambientd.sock", d->runtime);
		rc = am_admin_start(d->socket, &callbacks, &d->admin, err);
	}
	return rc;
}

static int
start(struct am_daemon *d, struct ambient_error *err)
{
	int rc = daemon_make_dirs(d, err);

	if (rc == 0)
		rc = start_ops(d, err);
	if (rc == 0 && d->provider != NULL)
		rc = start_provider(d, err);
	if (rc == 0)
		rc = connect_client(d, err);
	if (rc == 0 && d->provider != NULL)
		rc = wait_provider(d, err);
	if (rc == 0)
		rc = start_instances(d, err);
	if (rc == 0)
		rc = daemon_lease_start(d, err);
	if (rc < 0)
		return rc;
	atomic_store(&d->serving, true);
	return start_workers(d, err);
}

int
am_daemon_start(struct am_daemon *d)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_log_info("ambientd", "ambientd %s, %s, state in %s", PACKAGE_VERSION, d->standalone ? "standalone" : "cluster", d->state);
	if (start(d, &err) < 0 && !cancelled(d)) {
		am_log_error("ambientd", "%s", err.message);
		return AM_EXIT_FAILURE;
	}
	if (!cancelled(d)) {
		am_log_info("ambientd", "ready");
		am_notify("READY=1\nSTATUS=ready");
	}
	return AM_EXIT_OK;
}

void
am_daemon_stop(struct am_daemon *d)
{
	int64_t deadline = am_clock_boot(d->clock) + am_conf_int(section(d, ""), "drain");

	am_beat_watch(d->beat, NULL);
	am_notify("STOPPING=1");
	am_log_info("ambientd", "stopping");
	atomic_store(&d->stopping, true);
	daemon_lease_leave(d);
	for (size_t i = d->plugin_count; i-- > 0;) {
		if (d->plugins[i].instance != NULL)
			am_instance_pause(d->plugins[i].instance);
	}
	for (size_t i = d->plugin_count; i-- > 0;) {
		if (d->plugins[i].instance != NULL && !am_instance_stop_workers(d->plugins[i].instance, deadline))
			d->abandoned = true;
	}
	/* The fence stays: once the lease is given back, a call that was left behind writes no more. */
	daemon_lease_stop(d);
	atomic_store(&d->serving, false);
	am_admin_stop(d->admin);
	am_ops_stop(d->ops);
	for (size_t i = d->plugin_count; i-- > 0;) {
		if (&d->plugins[i] != d->provider)
			am_instance_free(d->plugins[i].instance);
	}
	if (!d->abandoned) {
		daemon_lease_free(d);
		am_host_disconnect(d->host);
		am_kube_free(d->kube);
	}
	if (d->provider != NULL)
		am_instance_free(d->provider->instance);
	am_log_info("ambientd", "stopped");
}

bool
am_daemon_alive(struct am_daemon *d)
{
	return am_beat(d->beat);
}

bool
am_daemon_abandoned(const struct am_daemon *d)
{
	return d->abandoned;
}
