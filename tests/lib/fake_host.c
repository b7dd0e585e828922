/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake_host.h: everything but the store and what reads and writes it.  One lock guards the store and all records; objects are immutable and reference counted, so
 * that what a call got stays valid while the store moves on.
 */
#include "tests/lib/fake_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/spawn.h"
#include "core/base/str.h"

/* Queue, events, log, clock, memory, facts, plans */

static int
queue_add(const struct ambient_host *host, const char *reconciler, const char *ns, const char *name, int64_t delay_ns)
{
	struct fake_host *fake = fake_of_host(host);

	fake_lock(fake);
	if (fake->queue_tail - fake->queue_head < AM_COUNTOF(fake->queue))
		fake->queue[fake->queue_tail++ % AM_COUNTOF(fake->queue)] =
			am_arena_printf(fake->arena, "%s %s/%s %lld", reconciler != NULL ? reconciler : "-",
					ns != NULL ? ns : "", name, (long long)(delay_ns / AM_NS_PER_MS));
	fake_unlock(fake);
	return 0;
}

static void
event_emit(struct ambient_call *call, const struct ambient_object *about, const char *type, const char *reason,
	   const char *text)
{
	struct fake_host *fake = fake_of_call(call)->fake;

	fake_lock(fake);
	fake->events[fake->event_count++ % AM_COUNTOF(fake->events)] =
		am_arena_printf(fake->arena, "%s %s %s/%s %s", type, reason, ambient_str(about, "/metadata/namespace", ""),
				ambient_str(about, "/metadata/name", ""), text);
	fake_unlock(fake);
}

static int
log_enabled(const struct ambient_host *host, int level)
{
	(void)host;
	(void)level;
	return 1;
}

static void
log_write(const struct ambient_host *host, int level, const char *text, const char *const *fields)
{
	static const char *const names[] = { "?", "error", "warn", "info", "debug" };
	struct fake_host *fake = fake_of_host(host);

	fake_lock(fake);
	am_buf_addf(&fake->log, "%s %s", names[level >= 1 && level <= 4 ? level : 0], text);
	for (size_t i = 0; fields != NULL && fields[i] != NULL && fields[i + 1] != NULL; i += 2)
		am_buf_addf(&fake->log, " %s=%s", fields[i], fields[i + 1]);
	am_buf_addc(&fake->log, '\n');
	fake_unlock(fake);
}

static int64_t
clock_monotonic(const struct ambient_host *host)
{
	return __atomic_load_n(&fake_of_host(host)->boot, __ATOMIC_ACQUIRE);
}

static int64_t
clock_wall(const struct ambient_host *host)
{
	return __atomic_load_n(&fake_of_host(host)->wall, __ATOMIC_ACQUIRE);
}

static void *
mem_alloc(const struct ambient_host *host, size_t n)
{
	(void)host;
	return calloc(1, n);
}

static void
mem_free(const struct ambient_host *host, void *p)
{
	(void)host;
	free(p);
}

static void *
mem_scratch(struct ambient_call *call, size_t n)
{
	return am_arena_zalloc(fake_call_arena(fake_of_call(call)), n);
}

/* Programs are run for real. */
static int
spawn_run(const struct ambient_host *host, const struct ambient_spawn_options *options,
	  struct ambient_spawn_result *result, struct ambient_error *err)
{
	struct am_spawn spec = { .argv = options->argv, .envp = options->envp, .cwd = options->cwd, .fds = { -1, -1, -1 } };
	struct am_run_result run = { 0 };
	int rc = am_run(&spec, options->input, options->input_len, 64 << 10, options->timeout_ns, options->cancelled, &run, err);

	if (rc == 0) {
		result->exit_code = run.exit_code;
		result->timed_out = run.timed_out;
		result->out = am_xstrdup(am_buf_str(&run.out));
		result->err = am_xstrdup(am_buf_str(&run.err));
		result->out_len = run.out.len;
		result->err_len = run.err.len;
	}
	am_run_result_fini(&run);
	return rc;
}

static void
spawn_release(const struct ambient_host *host, struct ambient_spawn_result *result)
{
	free(result->out);
	free(result->err);
}

static const char *
fact(const struct ambient_host *host, const char *name)
{
	return am_map_get(fake_of_host(host)->facts, name);
}

static const char *
runner_types(const struct ambient_host *host)
{
	return fake_of_host(host)->plan_type != NULL ? fake_of_host(host)->plan_type : "";
}

static int
runner_plan(struct ambient_call *call, const char *type, const struct ambient_object *session,
	    const struct ambient_object *settings, const struct ambient_object *effective,
	    const struct ambient_object **fragment, const struct ambient_object **problems, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;

	(void)session;
	(void)settings;
	(void)effective;
	*fragment = *problems = NULL;
	if (!am_streq(type, fake->plan_type))
		return ambient_err(err, AMBIENT_E_NOTFOUND, "there is no runner type \"%s\"; loaded: %s", type,
				   runner_types(call->host));
	if (fake->plan_problems != NULL)
		return ambient_parse(call, fake->plan_problems, strlen(fake->plan_problems), problems, err);
	return ambient_parse(call, fake->plan_fragment, strlen(fake->plan_fragment), fragment, err);
}

/* Configuration */

static const struct ambient_option *
option(const struct ambient_conf *conf, const char *name, int type)
{
	for (size_t i = 0; conf->options != NULL && conf->options[i] != NULL; i++)
		if (am_streq(conf->options[i]->name, name) && (type == 0 || conf->options[i]->type == type))
			return conf->options[i];
	return NULL;
}

static const char *
conf_str(const struct ambient_conf *conf, const char *name, const char *fallback)
{
	const struct ambient_option *o = option(conf, name, 0);

	if (o == NULL || (o->type != AMBIENT_OPT_STRING && o->type != AMBIENT_OPT_PATH))
		return fallback;
	return am_node_text(am_node_get(conf->node, name), o->def != NULL ? o->def : fallback);
}

static int64_t
conf_integer(const struct ambient_conf *conf, const char *name, int64_t fallback)
{
	const struct ambient_option *o = option(conf, name, 0);
	const struct am_node *node = am_node_get(conf->node, name);
	const char *text = am_node_text(node, o != NULL ? o->def : NULL);
	int64_t value;

	if (o == NULL)
		return fallback;
	if (node != NULL && node->type == AMBIENT_T_BOOL)
		return node->boolean;
	if (node != NULL && am_node_is_int(node, &value))
		return value;
	if (text == NULL)
		return fallback;
	if (o->type == AMBIENT_OPT_BOOL)
		return am_streq(text, "true");
	if (o->type == AMBIENT_OPT_DURATION)
		return am_parse_duration(text, &value) == 0 ? value : fallback;
	if (o->type == AMBIENT_OPT_SIZE)
		return am_parse_size(text, &value) == 0 ? value : fallback;
	return am_parse_i64(text, &value) == 0 ? value : fallback;
}

static double
conf_real(const struct ambient_conf *conf, const char *name, double fallback)
{
	const struct am_node *node = am_node_get(conf->node, name);

	return node != NULL && node->type == AMBIENT_T_NUMBER ? strtod(node->text, NULL) : fallback;
}

static size_t
conf_count(const struct ambient_conf *conf, const char *name)
{
	const struct am_node *node = am_node_get(conf->node, name);

	return option(conf, name, 0) != NULL && node != NULL ? node->count : 0;
}

static int
conf_entry(const struct ambient_conf *conf, const char *name, size_t i, const char **key, const char **value)
{
	const struct am_node *node = am_node_get(conf->node, name);

	if (option(conf, name, 0) == NULL || node == NULL || i >= node->count)
		return -AMBIENT_E_NOTFOUND;
	for (node = node->first; i > 0; i--)
		node = node->next;
	if (key != NULL)
		*key = node->key;
	*value = am_node_text(node, "");
	return 0;
}

static const struct ambient_conf *
conf_group(const struct ambient_conf *conf, const char *name, size_t i)
{
	const struct ambient_option *o = option(conf, name, AMBIENT_OPT_GROUPS);
	const struct am_node *node = am_node_get(conf->node, name);
	struct ambient_conf *sub;

	if (o == NULL || node == NULL || i >= node->count)
		return NULL;
	for (node = node->first; i > 0; i--)
		node = node->next;
	sub = am_arena_zalloc(conf->arena, sizeof(*sub));
	*sub = (struct ambient_conf){ node, o->sub, conf->arena };
	return sub;
}

static const struct ambient_log_api log_api = { sizeof(log_api), log_enabled, log_write };
static const struct ambient_conf_api conf_api = {
	sizeof(conf_api), conf_str, conf_integer, conf_real, conf_count, conf_entry, conf_group
};
static const struct ambient_queue_api queue_api = { sizeof(queue_api), queue_add };
static const struct ambient_event_api event_api = { sizeof(event_api), event_emit };
static const struct ambient_clock_api clock_api = { sizeof(clock_api), clock_monotonic, clock_wall };
static const struct ambient_spawn_api spawn_api = { sizeof(spawn_api), spawn_run, spawn_release };
static const struct ambient_mem_api mem_api = { sizeof(mem_api), mem_alloc, mem_free, mem_scratch };

/* For tests */

struct fake_host *
fake_host_new(const struct ambient_plugin *plugin)
{
	struct fake_host *fake = am_xcalloc(1, sizeof(*fake));
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&fake->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	fake->plugin = plugin;
	fake->arena = am_arena_new();
	fake->objects = am_map_new_owning(fake_object_unref);
	fake->facts = am_map_new();
	fake->calls = am_map_new();
	fake->boot = 1000 * AM_NS_PER_S;
	(void)am_time_parse("2026-01-01T00:00:00Z", &fake->wall);
	fake->conf = (struct ambient_conf){
		am_node_object(fake->arena), plugin != NULL ? plugin->options : NULL, fake->arena
	};
	fake->host = (struct ambient_host){
		.size = sizeof(fake->host), .abi_major = AMBIENT_ABI_MAJOR, .abi_minor = AMBIENT_ABI_MINOR,
		.plugin = "test", .instance = "test", .log = &log_api, .conf = &conf_api, .object = &am_object_api,
		.client = &fake_client_api, .cache = &fake_cache_api, .queue = &queue_api, .event = &event_api,
		.clock = &clock_api, .mem = &mem_api, .spawn = &spawn_api,
		.runner_plan = runner_plan, .runner_types = runner_types,
		.fact = fact,
	};
	return fake;
}

void
fake_host_free(struct fake_host *fake)
{
	fake_host_destroy(fake);
	am_map_free(fake->objects);
	am_map_free(fake->past);
	am_map_free(fake->facts);
	am_map_free(fake->calls);
	am_buf_fini(&fake->log);
	am_arena_free(fake->arena);
	pthread_mutex_destroy(&fake->lock);
	free(fake);
}

void
fake_host_set_state_dir(struct fake_host *fake, const char *dir)
{
	fake->host.state_dir = dir;
}

/* JSON for people who write C: single quotes become double ones. */
static struct am_node *
parse(struct am_arena *arena, const char *json)
{
	char *text = am_arena_strdup(arena, json);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *node;

	if (strchr(json, '"') == NULL)
		for (char *p = text; *p != '\0'; p++)
			if (*p == '\'')
				*p = '"';
	node = am_node_parse(arena, text, strlen(text), &err);
	if (node == NULL) {
		fprintf(stderr, "fake host: %s in: %s\n", err.message, json);
		abort();
	}
	return node;
}

void
fake_host_set_conf(struct fake_host *fake, const char *json)
{
	fake->conf.node = parse(fake->arena, json);
}

void
fake_host_set_fact(struct fake_host *fake, const char *name, const char *value)
{
	am_map_put(fake->facts, name, am_arena_strdup(fake->arena, value));
}

struct ambient_host *
fake_host_table(struct fake_host *fake)
{
	return &fake->host;
}

const struct ambient_conf *
fake_host_conf(struct fake_host *fake)
{
	return &fake->conf;
}

void *
fake_host_create(struct fake_host *fake)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (fake->plugin->create(&fake->host, &fake->conf, &fake->self, &err) < 0) {
		fprintf(stderr, "fake host: create: %s\n", err.message);
		abort();
	}
	return fake->self;
}

void
fake_host_destroy(struct fake_host *fake)
{
	if (fake->self == NULL)
		return;
	if (fake->plugin->stop != NULL)
		fake->plugin->stop(fake->self);
	if (fake->plugin->destroy != NULL)
		fake->plugin->destroy(fake->self);
	fake->self = NULL;
}

struct ambient_call *
fake_host_call_begin(struct fake_host *fake, const char *owner_kind, const char *ns, const char *name)
{
	struct fake_call *call = am_xcalloc(1, sizeof(*call));
	struct am_arena *arena;

	call->head.pool = am_pool_new();
	arena = fake_call_arena(call);
	call->head.pub = (struct ambient_call){ sizeof(call->head.pub), &fake->host, 0, &fake->cancelled };
	call->fake = fake;
	call->owner_kind = owner_kind != NULL ? am_arena_strdup(arena, owner_kind) : NULL;
	call->owner_ns = am_arena_strdup(arena, ns != NULL ? ns : "");
	call->owner_name = am_arena_strdup(arena, name != NULL ? name : "");
	return &call->head.pub;
}

void
fake_host_call_end(struct ambient_call *c)
{
	struct fake_call *call = fake_of_call(c);

	am_pool_free(call->head.pool);
	free(call);
}

/* The for= of the reconciler: the first one after its reconciler= line, or the first at all. */
static void
for_kind(struct fake_host *fake, const char *reconciler, char kind[256])
{
	const char *p = fake->plugin->decl, *end = p + fake->plugin->decl_len;
	bool here = reconciler == NULL;

	kind[0] = '\0';
	for (; p < end; p += strlen(p) + 1) {
		if (am_starts(p, "reconciler="))
			here = reconciler == NULL || strcmp(p + strlen("reconciler="), reconciler) == 0;
		if (here && am_starts(p, "for=")) {
			am_strlcpy(kind, p + strlen("for="), 256);
			kind[strcspn(kind, " ")] = '\0';
			return;
		}
	}
}

int
fake_host_reconcile(struct fake_host *fake, const char *reconciler, const char *ns, const char *name,
		    struct ambient_result *result, struct ambient_error *err)
{
	struct ambient_result own_result = { .size = sizeof(own_result) };
	struct ambient_error own_err = AMBIENT_ERROR_INIT;
	struct ambient_request req = { sizeof(req), ns != NULL ? ns : "", name };
	const struct ambient_reconciler *r = NULL;
	struct ambient_call *call;
	char kind[256];
	int rc;

	for (size_t i = 0; fake->plugin->reconcilers[i] != NULL; i++)
		if (reconciler == NULL || am_streq(fake->plugin->reconcilers[i]->name, reconciler)) {
			r = fake->plugin->reconcilers[i];
			break;
		}
	if (r == NULL) {
		fprintf(stderr, "fake host: no reconciler \"%s\"\n", reconciler != NULL ? reconciler : "");
		abort();
	}
	for_kind(fake, reconciler, kind);
	call = fake_host_call_begin(fake, kind[0] != '\0' ? kind : NULL, ns, name);
	if (result != NULL)
		result->requeue_after = 0;
	rc = r->reconcile(fake->self, call, &req, result != NULL ? result : &own_result, err != NULL ? err : &own_err);
	fake_host_call_end(call);
	return rc;
}

void
fake_host_put(struct fake_host *fake, const char *kind, const char *json)
{
	struct am_arena *arena = am_arena_new();

	fake_lock(fake);
	(void)fake_store(fake, kind, arena, parse(arena, json));
	fake_unlock(fake);
	am_arena_free(arena);
}

void
fake_host_merge(struct fake_host *fake, const char *kind, const char *ns, const char *name, const char *patch)
{
	struct am_arena *arena = am_arena_new();
	struct fake_object *old;
	struct am_node *next;

	fake_lock(fake);
	old = fake_lookup(fake, kind, ns, name);
	if (old == NULL) {
		fprintf(stderr, "fake host: merge: no %s %s/%s\n", kind, ns, name);
		abort();
	}
	next = am_patch_merge(arena, am_node_clone(arena, old->node), parse(arena, patch));
	(void)fake_store(fake, kind, arena, next);
	(void)fake_finish_delete(fake, kind, next);
	fake_unlock(fake);
	am_arena_free(arena);
}

void
fake_host_remove(struct fake_host *fake, const char *kind, const char *ns, const char *name)
{
	fake_lock(fake);
	fake_drop(fake, kind, ns, name);
	fake_unlock(fake);
}

bool
fake_host_has(struct fake_host *fake, const char *kind, const char *ns, const char *name)
{
	bool has;

	fake_lock(fake);
	has = fake_lookup(fake, kind, ns, name) != NULL;
	fake_unlock(fake);
	return has;
}

static const char *
keep(struct fake_host *fake, const char *text)
{
	const char **slot = &fake->answers[fake->answer++ % AM_COUNTOF(fake->answers)];

	*slot = am_arena_strdup(fake->arena, text);
	return *slot;
}

const char *
fake_host_at(struct fake_host *fake, const char *kind, const char *ns, const char *name, const char *pointer)
{
	const struct am_node *node;
	struct fake_object *obj;
	struct am_buf text = { 0 };
	const char *ret = NULL;

	fake_lock(fake);
	obj = fake_lookup(fake, kind, ns, name);
	node = obj != NULL ? am_node_at(obj->node, pointer) : NULL;
	if (node != NULL && node->type == AMBIENT_T_STRING) {
		ret = keep(fake, node->text);
	} else if (node != NULL) {
		am_node_print(node, &text);
		ret = keep(fake, am_buf_str(&text));
		am_buf_fini(&text);
	}
	fake_unlock(fake);
	return ret;
}

static size_t
each(struct fake_host *fake, const char *kind, const char *ns, const char *names[], size_t max)
{
	char prefix[768];
	const char *key;
	void *value;
	size_t n = 0;

	snprintf(prefix, sizeof(prefix), "%s %s%s", kind, ns != NULL ? ns : "", am_empty(ns) ? "" : " ");
	for (size_t it = 0; am_map_next(fake->objects, &it, &key, &value);)
		if (am_starts(key, prefix)) {
			if (n < max)
				names[n] = key + strlen(kind) + 1;
			n++;
		}
	return n;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t
fake_host_count(struct fake_host *fake, const char *kind, const char *ns)
{
	size_t n;

	fake_lock(fake);
	n = each(fake, kind, ns, NULL, 0);
	fake_unlock(fake);
	return n;
}

const char *
fake_host_name(struct fake_host *fake, const char *kind, const char *ns, size_t i)
{
	const char *names[256], *ret = NULL;
	size_t n;

	fake_lock(fake);
	n = AM_MIN(each(fake, kind, ns, names, AM_COUNTOF(names)), AM_COUNTOF(names));
	qsort(names, n, sizeof(names[0]), by_text);
	if (i < n) {
		char *copy = am_arena_strdup(fake->arena, names[i]);

		*strchr(copy, ' ') = '/';
		ret = keep(fake, copy);
	}
	fake_unlock(fake);
	return ret;
}

void
fake_host_fail(struct fake_host *fake, const char *verb, const char *kind, int code, int times)
{
	fake_lock(fake);
	am_assert(fake->fail_count < FAKE_MAX);
	am_strlcpy(fake->fails[fake->fail_count].verb, verb, sizeof(fake->fails[0].verb));
	fake->fails[fake->fail_count].kind = am_arena_strdup(fake->arena, kind);
	fake->fails[fake->fail_count].code = code;
	fake->fails[fake->fail_count++].left = times;
	fake_unlock(fake);
}

size_t
fake_host_calls(struct fake_host *fake, const char *verb, const char *kind)
{
	char key[256];
	size_t n;

	snprintf(key, sizeof(key), "%s %s", verb, kind);
	fake_lock(fake);
	n = (size_t)(uintptr_t)am_map_get(fake->calls, key);
	fake_unlock(fake);
	return n;
}

static bool
is_event(const char *event, const char *reason)
{
	const char *p = strchr(event, ' ') + 1;

	return strncmp(p, reason, strlen(reason)) == 0 && p[strlen(reason)] == ' ';
}

const char *
fake_host_event(struct fake_host *fake, const char *reason)
{
	const char *ret = NULL;

	fake_lock(fake);
	for (size_t i = AM_MIN(fake->event_count, AM_COUNTOF(fake->events)); i > 0 && ret == NULL; i--)
		if (is_event(fake->events[i - 1], reason))
			ret = fake->events[i - 1];
	fake_unlock(fake);
	return ret;
}

size_t
fake_host_events(struct fake_host *fake, const char *reason)
{
	size_t n = 0;

	fake_lock(fake);
	for (size_t i = 0; i < AM_MIN(fake->event_count, AM_COUNTOF(fake->events)); i++)
		n += is_event(fake->events[i], reason);
	fake_unlock(fake);
	return n;
}

const char *
fake_host_log(struct fake_host *fake)
{
	const char *ret;

	fake_lock(fake);
	ret = keep(fake, am_buf_str(&fake->log));
	fake_unlock(fake);
	return ret;
}

const char *
fake_host_queued(struct fake_host *fake)
{
	const char *ret = NULL;

	fake_lock(fake);
	if (fake->queue_head != fake->queue_tail)
		ret = fake->queue[fake->queue_head++ % AM_COUNTOF(fake->queue)];
	fake_unlock(fake);
	return ret;
}

void
fake_host_set_plan(struct fake_host *fake, const char *type, const char *fragment, const char *problems)
{
	fake_lock(fake);
	fake->plan_type = am_arena_strdup(fake->arena, type);
	fake->plan_fragment = fragment != NULL ? am_arena_strdup(fake->arena, fragment) : NULL;
	fake->plan_problems = problems != NULL ? am_arena_strdup(fake->arena, problems) : NULL;
	fake_unlock(fake);
}

void
fake_host_advance(struct fake_host *fake, int64_t ns)
{
	__atomic_add_fetch(&fake->boot, ns, __ATOMIC_ACQ_REL);
	__atomic_add_fetch(&fake->wall, ns, __ATOMIC_ACQ_REL);
}

int64_t
fake_host_wall(struct fake_host *fake)
{
	return clock_wall(&fake->host);
}
