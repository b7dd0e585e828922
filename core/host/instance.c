/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance: a plugin with one configuration.  Its life goes one way: new, create, servers, watch, workers, and back
 * in reverse.  What failed on the way is kept for the status pages.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/host/host_priv.h"
#include "core/http/http.h"

#define CANCEL_POLL (100 * AM_NS_PER_MS)

static void
fill_table(struct am_instance *instance)
{
	bool all = !instance->provider;

	instance->table = (struct host_table){
		.pub = {
			.size = sizeof(instance->table.pub),
			.abi_major = AMBIENT_ABI_MAJOR,
			.abi_minor = AMBIENT_ABI_MINOR,
			.plugin = instance->plugin->decl->name,
			.instance = instance->name,
			.state_dir = instance->state_dir,
			.log = &host_log_api,
			.conf = &am_conf_api,
			.object = &am_object_api,
			.client = all ? &host_client_api : NULL,
			.cache = all ? &host_cache_api : NULL,
			.queue = all ? &host_queue_api : NULL,
			.event = all ? &host_event_api : NULL,
			.metrics = &host_metrics_api,
			.clock = &host_clock_api,
			.mem = &host_mem_api,
			.spawn = &host_spawn_api,
			.http = &am_http_plugin_api,
			.runner_plan = host_runner_plan,
			.runner_types = host_runner_types,
			.fact = host_fact,
		},
		.instance = instance,
	};
}

static void
move_state(struct am_instance *instance, enum am_plugin_state to)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_lock(&instance->lock);
	if (am_plugin_state_move(&instance->state, to, instance->name, &err) < 0)
		am_log_error("host", "%s", err.message);
	am_unlock(&instance->lock);
}

void
am_instance_set_failed(struct am_instance *instance, const char *why)
{
	am_lock(&instance->lock);
	(void)am_strlcpy(instance->failure, why, sizeof(instance->failure));
	(void)am_plugin_state_move(&instance->state, AM_PLUGIN_FAILED, instance->name, NULL);
	am_unlock(&instance->lock);
}

/* ---- calls into the plugin, named in the log */

static void
enter_plugin(const struct am_instance *instance)
{
	am_log_push("instance", instance->name);
}

static void
leave_plugin(void)
{
	am_log_pop();
}

static int
with_reason(int rc, const char *what, const char *name, struct ambient_error *err)
{
	if (rc >= 0)
		return 0;
	if (err->code == 0)
		(void)ambient_err(err, AMBIENT_E_INTERNAL, "the plugin gave no reason");
	return am_err_prefix(err, "%s of \"%s\"", what, name);
}

/* ---- making */

static bool
may_start(void *arg)
{
	const struct am_host *host = ((const struct host_reconciler *)arg)->instance->host;

	return host->fence.until == NULL || am_clock_boot(host->clock) < host->fence.until(host->fence.arg);
}

static bool
owns(void *arg, const char *ns, const char *name)
{
	const struct am_host_fence *fence = &((const struct host_reconciler *)arg)->instance->host->fence;

	return fence->owns == NULL || fence->owns(fence->arg, ns, name);
}

static void
ended(void *arg, const char *ns, const char *name)
{
	const struct am_host_fence *fence = &((const struct host_reconciler *)arg)->instance->host->fence;

	if (fence->ended != NULL)
		fence->ended(fence->arg, ns, name);
}

static int
make_reconciler(struct am_instance *instance, const struct am_plugin_reconciler *decl,
		const struct am_instance_options *given, struct ambient_error *err)
{
	struct host_reconciler *r = &instance->reconcilers[instance->reconciler_count];
	bool only = instance->plugin->decl->reconciler_count == 1;
	struct am_gvr gvr;
	int rc = am_gvr_parse(decl->for_kind, &gvr, err);

	if (rc < 0)
		return rc;
	*r = (struct host_reconciler){
		.instance = instance,
		.decl = decl,
		.code = am_plugin_reconciler(instance->plugin, decl->name),
		.name = only ? am_xstrdup(instance->name) : am_xasprintf("%s.%s", instance->name, decl->name),
	};
	(void)am_strlcpy(r->group, gvr.group, sizeof(r->group));
	const struct am_controller_options options = {
		.name = r->name,
		.plugin = instance->plugin->decl->name,
		.workers = given->workers,
		.deadline_ns = given->deadline,
		.clock = instance->host->clock,
		.reconcile = host_reconcile,
		.may_start = may_start,
		.owns = owns,
		.ended = ended,
		.arg = r,
	};
	rc = am_controller_new(&options, &r->controller, err);
	if (rc < 0) {
		free(r->name);
		return rc;
	}
	instance->reconciler_count++;
	return 0;
}

/* Is it in "a, b, c"? */
static bool
names_type(const char *list, const char *item)
{
	size_t n = strlen(item);

	for (const char *p = strstr(list, item); p != NULL; p = strstr(p + 1, item)) {
		if ((p == list || p[-1] == ' ') && (p[n] == ',' || p[n] == '\0'))
			return true;
	}
	return false;
}

static void
enlist(struct am_host *host, struct am_instance *instance)
{
	am_lock(&host->lock);
	host->instances = am_xrealloc(host->instances, host->instance_count + 1, sizeof(struct am_instance *));
	host->instances[host->instance_count++] = instance;
	for (size_t i = 0; i < instance->plugin->runner_count; i++) {
		if (names_type(host->runner_types, instance->plugin->runners[i].type))
			continue;
		char *types = am_xasprintf("%s%s%s", host->runner_types, host->runner_types[0] != '\0' ? ", " : "",
					   instance->plugin->runners[i].type);
		free(host->runner_types);
		host->runner_types = types;
	}
	am_unlock(&host->lock);
}

static void
delist(struct am_host *host, const struct am_instance *instance)
{
	am_lock(&host->lock);
	for (size_t i = 0; i < host->instance_count; i++) {
		if (host->instances[i] != instance)
			continue;
		memmove(&host->instances[i], &host->instances[i + 1],
			(host->instance_count - i - 1) * sizeof(struct am_instance *));
		host->instance_count--;
		break;
	}
	am_unlock(&host->lock);
}

static void
make_readonly(struct am_instance *instance)
{
	const char *const labels[] = { "instance", instance->name, NULL };

	instance->readonly = true;
	instance->refused = am_metric(AM_COUNTER, "ambient_writes_refused_total", "Writes of read-only instances that were not sent",
				      labels, NULL);
}

int
am_instance_new(struct am_host *host, const struct am_instance_options *options, struct am_instance **ret,
		struct ambient_error *err)
{
	struct am_instance *instance = am_xcalloc(1, sizeof(*instance));
	const struct am_plugin_decl *decl = options->plugin->decl;

	instance->host = host;
	instance->name = am_xstrdup(options->name);
	host_meter_init(instance);
	instance->plugin = options->plugin;
	instance->conf = options->conf;
	instance->provider = options->provider;
	const struct am_host_namespaces theirs = { (const char *const *)host->namespaces.names, host->namespaces.count };
	host_namespaces_copy(&instance->namespaces, options->namespaces.count > 0 ? &options->namespaces : &theirs);
	instance->when = options->when != NULL ? am_xstrdup(options->when) : NULL;
	if (options->readonly)
		make_readonly(instance);
	instance->state = AM_PLUGIN_CHECKED;
	am_lock_init(&instance->lock, "instance");
	instance->applied = am_map_new_owning(free);
	if (host->state != NULL)
		instance->state_dir = am_xasprintf("%s/%s", host->state, options->name);
	fill_table(instance);
	instance->reconcilers = am_xcalloc(decl->reconciler_count, sizeof(*instance->reconcilers));
	enlist(host, instance);
	int rc = instance->state_dir != NULL ? am_mkdirs(instance->state_dir, 0700, err) : 0;
	for (size_t i = 0; rc == 0 && !options->provider && i < decl->reconciler_count; i++)
		rc = make_reconciler(instance, &decl->reconcilers[i], options, err);
	if (rc < 0) {
		am_instance_free(instance);
		return rc;
	}
	*ret = instance;
	return 0;
}

void
am_instance_free(struct am_instance *instance)
{
	if (instance == NULL)
		return;
	am_instance_stop(instance);
	if (instance->abandoned)
		return;
	if (instance->created && instance->plugin->table.destroy != NULL) {
		enter_plugin(instance);
		instance->plugin->table.destroy(instance->self);
		leave_plugin();
	}
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		am_controller_free(instance->reconcilers[i].controller);
		free(instance->reconcilers[i].name);
	}
	delist(instance->host, instance);
	am_map_free(instance->applied);
	am_lock_fini(&instance->lock);
	free(instance->reconcilers);
	free(instance->name);
	free(instance->state_dir);
	free(instance->when);
	host_namespaces_fini(&instance->namespaces);
	free(instance);
}

/* ---- the plugin's life */

int
am_instance_check(struct am_host *host, const struct am_plugin *plugin, const char *name, const struct ambient_conf *conf,
		  struct ambient_error *err)
{
	if (plugin->table.check == NULL)
		return 0;
	struct am_instance probe = { .host = host, .plugin = plugin, .provider = true, .name = am_xstrdup(name) };
	fill_table(&probe);
	enter_plugin(&probe);
	int rc = plugin->table.check(&probe.table.pub, conf, err);
	leave_plugin();
	free(probe.name);
	if (rc < 0 && err->code == 0)
		(void)ambient_err(err, AMBIENT_E_INVALID, "the plugin refuses its configuration");
	return rc < 0 ? rc : 0;
}

int
am_instance_create(struct am_instance *instance, struct ambient_error *err)
{
	enter_plugin(instance);
	int rc = instance->plugin->table.create(&instance->table.pub, instance->conf, &instance->self, err);
	leave_plugin();
	rc = with_reason(rc, "the creation", instance->name, err);
	if (rc < 0)
		return rc;
	am_lock(&instance->host->lock);
	instance->created = true;
	am_unlock(&instance->host->lock);
	move_state(instance, AM_PLUGIN_CREATED);
	return 0;
}

int
am_instance_reload(struct am_instance *instance, const struct ambient_conf *conf, struct ambient_error *err)
{
	if (instance->plugin->table.reload == NULL)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "\"%s\" takes a new configuration only at a restart", instance->name);
	enter_plugin(instance);
	int rc = instance->plugin->table.reload(instance->self, conf, err);
	leave_plugin();
	rc = with_reason(rc, "the reload", instance->name, err);
	if (rc == 0)
		instance->conf = conf;
	return rc;
}

int
am_instance_start_servers(struct am_instance *instance, struct ambient_error *err)
{
	for (size_t i = 0; i < instance->plugin->server_count; i++) {
		const struct ambient_server *s = &instance->plugin->servers[i];
		enter_plugin(instance);
		int rc = s->start(instance->self, err);
		leave_plugin();
		rc = with_reason(rc, "the start", instance->name, err);
		if (rc < 0)
			return rc;
		instance->servers_started = i + 1;
	}
	/* It has no watches to wait for and no workers. */
	if (instance->provider)
		move_state(instance, AM_PLUGIN_RUNNING);
	return 0;
}

const char *
am_instance_kubeconfig(const struct am_instance *instance)
{
	for (size_t i = 0; i < instance->servers_started; i++) {
		const struct ambient_server *s = &instance->plugin->servers[i];
		if (s->kubeconfig != NULL)
			return s->kubeconfig(instance->self);
	}
	return NULL;
}

int
am_instance_watch(struct am_instance *instance, struct ambient_error *err)
{
	int rc = host_watches_open(instance, err);

	return rc < 0 ? am_err_prefix(err, "the watches of \"%s\"", instance->name) : 0;
}

/* Until the deadline, or until it may be worth looking again for a kind that nobody knew. */
static int
wait_definitions(struct am_instance *instance, struct host_watch *w, int64_t deadline, const int32_t *cancelled,
		 struct ambient_error *err)
{
	struct am_host *host = instance->host;
	struct am_reflector_status status;
	bool stop = false;

	am_lock(&host->lock);
	for (int64_t now = am_clock_boot(host->clock); now < deadline && !stop && w->looked == host->definitions_seen;
	     now = am_clock_boot(host->clock)) {
		(void)am_cond_wait(&host->definitions_changed, &host->lock, AM_MIN(deadline, now + CANCEL_POLL));
		stop = cancelled != NULL && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE) != 0;
	}
	am_unlock(&host->lock);
	if (stop)
		return ambient_err(err, AMBIENT_E_CANCELLED, "stopped waiting for \"%s\"", w->kind);
	host_watch_problem(instance, w, &status);
	return ambient_err(err, AMBIENT_E_TIMEOUT, "it is not known whether \"%s\" is in namespaces: %s", w->kind, status.error);
}

static int
wait_watch(struct am_instance *instance, struct host_watch *w, int64_t deadline, const int32_t *cancelled,
	   struct ambient_error *err)
{
	size_t n = host_parts(w);
	int rc = n == 0 ? wait_definitions(instance, w, deadline, cancelled, err) : 0;

	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = am_subscription_wait(w->parts[i].subscription, deadline, cancelled, err);
		if (rc < 0 && w->parts[i].ns != NULL)
			rc = am_err_prefix(err, "namespace \"%s\"", w->parts[i].ns);
	}
	return rc;
}

int
am_instance_wait_synced(struct am_instance *instance, int64_t deadline, const int32_t *cancelled, struct ambient_error *err)
{
	for (size_t i = 0; i < instance->watch_count; i++) {
		int rc = wait_watch(instance, &instance->watches[i], deadline, cancelled, err);
		if (rc < 0)
			return am_err_prefix(err, "\"%s\" waits for %s", instance->name, instance->watches[i].kind);
	}
	return 0;
}

static bool
is_warm(struct am_instance *instance, struct host_watch *w)
{
	size_t n = host_parts(w);
	struct am_reflector_status status;

	if (n == 0) {
		host_watch_problem(instance, w, &status);
		return status.state == AM_REFLECTOR_MISSING || status.state == AM_REFLECTOR_FORBIDDEN;
	}
	for (size_t i = 0; i < n; i++) {
		if (am_subscription_has_synced(w->parts[i].subscription))
			continue;
		am_informer_status(w->parts[i].informer, &status);
		if (status.state != AM_REFLECTOR_MISSING && status.state != AM_REFLECTOR_FORBIDDEN)
			return false;
	}
	return true;
}

bool
am_instance_warm(struct am_instance *instance)
{
	for (size_t i = 0; i < instance->watch_count; i++) {
		if (!is_warm(instance, &instance->watches[i]))
			return false;
	}
	return true;
}

int
am_instance_start_workers(struct am_instance *instance, struct ambient_error *err)
{
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		int rc = am_controller_start(instance->reconcilers[i].controller, err);
		if (rc < 0)
			return am_err_prefix(err, "the workers of \"%s\"", instance->reconcilers[i].name);
	}
	move_state(instance, AM_PLUGIN_RUNNING);
	return 0;
}

void
am_instance_pause(struct am_instance *instance)
{
	for (size_t i = 0; i < instance->reconciler_count; i++)
		am_controller_pause(instance->reconcilers[i].controller);
}

void
am_instance_resume(struct am_instance *instance)
{
	for (size_t i = 0; i < instance->reconciler_count; i++)
		am_controller_resume(instance->reconcilers[i].controller);
}

bool
am_instance_busy(struct am_instance *instance, am_instance_which_f *which, void *arg)
{
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		if (am_controller_busy(instance->reconcilers[i].controller, which, arg))
			return true;
	}
	return false;
}

void
am_instance_cancel(struct am_instance *instance, am_instance_which_f *which, void *arg)
{
	for (size_t i = 0; i < instance->reconciler_count; i++)
		am_controller_cancel(instance->reconcilers[i].controller, which, arg);
}

void
am_instance_requeue(struct am_instance *instance, am_instance_which_f *which, void *arg)
{
	static const struct am_store_query everything;
	struct am_objects found;

	for (size_t i = 0; i < instance->reconciler_count; i++) {
		struct host_reconciler *r = &instance->reconcilers[i];
		if (r->watch == NULL || am_stores_list(r->watch->stores, &everything, &found, NULL) < 0)
			continue;
		for (size_t j = 0; j < found.count; j++) {
			const struct am_object *o = found.items[j];
			if (which(arg, o->ns, o->name))
				am_queue_add(am_controller_queue(r->controller), o->ns, o->name, AM_QUEUE_NORMAL);
		}
		am_objects_fini(&found);
	}
}

bool
am_instance_stop_workers(struct am_instance *instance, int64_t deadline)
{
	if (am_instance_state(instance) == AM_PLUGIN_RUNNING)
		move_state(instance, AM_PLUGIN_DRAINING);
	for (size_t i = 0; i < instance->reconciler_count; i++) {
		if (!am_controller_stop(instance->reconcilers[i].controller, deadline))
			instance->abandoned = true;
	}
	return !instance->abandoned;
}

void
am_instance_unwatch(struct am_instance *instance)
{
	host_watches_close(instance);
}

void
am_instance_stop(struct am_instance *instance)
{
	if (instance->stopped)
		return;
	instance->stopped = true;
	/* A call that does not end goes on using everything: the promises of stop and destroy cannot be kept to it. */
	if (instance->abandoned)
		return;
	am_instance_unwatch(instance);
	if (am_instance_state(instance) == AM_PLUGIN_RUNNING)
		move_state(instance, AM_PLUGIN_DRAINING);
	enter_plugin(instance);
	for (; instance->servers_started > 0; instance->servers_started--) {
		const struct ambient_server *s = &instance->plugin->servers[instance->servers_started - 1];
		if (s->stop != NULL)
			s->stop(instance->self);
	}
	if (instance->created && instance->plugin->table.stop != NULL)
		instance->plugin->table.stop(instance->self);
	leave_plugin();
	if (instance->created && am_instance_state(instance) != AM_PLUGIN_FAILED)
		move_state(instance, AM_PLUGIN_STOPPED);
}

/* ---- status */

const char *
am_instance_name(const struct am_instance *instance)
{
	return instance->name;
}

enum am_plugin_state
am_instance_state(const struct am_instance *instance)
{
	/* The lock is not part of the value. */
	struct am_lock *lock = &((struct am_instance *)(uintptr_t)instance)->lock;

	am_lock(lock);
	enum am_plugin_state state = instance->state;
	am_unlock(lock);
	return state;
}
