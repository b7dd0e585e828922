/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of instances: what wakes a reconciler, several instances of a plugin, workers that wait for the lease or
 * never come back, a configuration that is refused; and what the host knows: facts, runner types, events, metrics.
 */
#include "tests/func/host.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "core/base/counter.h"
#include "core/base/log.h"

/* ---- a reconciler that notes who was asked for */

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static char seen[1024]; /* "n/w n/v " in order; seen_lock */
static sem_t one_more;

static int
note(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
     struct ambient_error *e)
{
	(void)self;
	(void)result;
	(void)e;
	(void)pthread_mutex_lock(&seen_lock);
	size_t n = strlen(seen);
	(void)snprintf(seen + n, sizeof(seen) - n, "%s:%s/%s ", call->host->instance, req->ns, req->name);
	(void)pthread_mutex_unlock(&seen_lock);
	(void)sem_post(&one_more);
	return 0;
}

/* Waits in real time, at most 10 s. */
static void
wait_calls(int n)
{
	for (int i = 0; i < n; i++) {
		struct timespec until;
		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 10;
		ck_assert_msg(sem_timedwait(&one_more, &until) == 0, "call %d of %d did not come; seen: %s", i + 1, n, seen);
	}
}

static bool
was_seen(const char *key)
{
	char padded[256];

	(void)snprintf(padded, sizeof(padded), "%s ", key);
	(void)pthread_mutex_lock(&seen_lock);
	bool yes = strstr(seen, padded) != NULL;
	(void)pthread_mutex_unlock(&seen_lock);
	return yes;
}

static void
begin_life(void)
{
	(void)sem_init(&one_more, 0, 0);
	script = note;
	begin_host();
}

static void
stop_and_free(struct am_instance *instance)
{
	ck_assert(am_instance_stop_workers(instance, am_clock_boot(fake) + 30 * S));
	am_instance_free(instance);
}

static void
end_life(void)
{
	ck_assert(am_instance_stop_workers(inst, am_clock_boot(fake) + 30 * S));
	end_host();
}

/* ---- what wakes it */

START_TEST(declared_watches_wake_whom_they_say)
{
	static const char text[] =
		"name=gadget\0version=1.0.0\0for=" WIDGETS "\0index=byNode:/spec/node\0"
		"watch=v1/pods selector=app=x map=label:widget\0watch=v1/nodes index=byNode\0watch=v1/secrets map=annotation:for\0";
	static const char *const events[] = {
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Node\",\"metadata\":{\"resourceVersion\":\"20\"}}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"node1\",\"uid\":\"n1\","
		"\"resourceVersion\":\"21\"}}}\n", NULL };
	struct fake_api_rule nodes = { .method = "GET", .path = "/api/v1/nodes?*watch=true*", .status = 200, .pieces = events,
				       .flags = FAKE_API_STALL | FAKE_API_WAIT };

	begin_life();
	fake_api_add(api, &nodes);
	rule("GET", "/api/v1/pods?*watch=true*", 0, 200, NULL,
	     "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"n\","
	     "\"uid\":\"p\",\"resourceVersion\":\"20\",\"labels\":{\"app\":\"x\",\"widget\":\"by-label\"}}}}\n", FAKE_API_STALL);
	rule("GET", "/api/v1/secrets?*watch=true*", 0, 200, NULL,
	     "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"namespace\":\"n\","
	     "\"uid\":\"s\",\"resourceVersion\":\"22\",\"annotations\":{\"for\":\"m/by-annotation\"}}}}\n", FAKE_API_STALL);
	serve_kind("/apis/example.com/v1/widgets", "Widget", "{" META("w", "5") ",\"spec\":{\"node\":\"node1\"}}");
	serve_kind("/api/v1/pods", "Pod", "");
	serve_kind("/api/v1/nodes", "Node", "");
	serve_kind("/api/v1/secrets", "Secret", "");
	inst = make_instance("gadget", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	while (!was_seen("gadget:n/w") || !was_seen("gadget:n/by-label") || !was_seen("gadget:m/by-annotation"))
		wait_calls(1);
	/* The selector goes to the API server. */
	bool selected = false;
	for (int i = 0; i < fake_api_count(api); i++)
		selected |= strstr(fake_api_request(api, i)->path, "/pods?") != NULL &&
			    strstr(fake_api_request(api, i)->path, "labelSelector=app%3Dx") != NULL;
	ck_assert(selected);
	/* A node wakes the widgets that the index has under its name. */
	(void)pthread_mutex_lock(&seen_lock);
	seen[0] = '\0';
	(void)pthread_mutex_unlock(&seen_lock);
	fake_api_go(api);
	while (!was_seen("gadget:n/w"))
		wait_calls(1);
	am_auto(am_buf_fini) struct am_buf status = { 0 };
	am_instance_describe(inst, &status);
	ck_assert_ptr_nonnull(strstr(status.data, "instance gadget plugin=gadget version=1.0.0 state=running"));
	ck_assert_ptr_nonnull(strstr(status.data, "watch v1/pods selector=app=x state="));
	end_life();
}
END_TEST

START_TEST(a_change_of_a_child_wakes_its_owner)
{
	begin_life();
	rule("GET", "/api/v1/configmaps?*watch=true*", 0, 200, NULL,
	     "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":\"n\","
	     "\"uid\":\"c\",\"resourceVersion\":\"20\",\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
	     "\"name\":\"owner\",\"uid\":\"o\",\"controller\":true}]}}}\n", FAKE_API_STALL);
	serve_widgets();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	watch_instance(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	while (!was_seen("w:n/w") || !was_seen("w:n/owner"))
		wait_calls(1);
	end_life();
}
END_TEST

START_TEST(SR1_01_the_plugin_may_ask_before_its_workers_run)
{
	begin_life();
	serve_kind("/apis/example.com/v1/widgets", "Widget", "");
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	const struct ambient_host *table = &inst->table.pub;
	ck_assert_int_eq(ambient_enqueue(table, NULL, "n", "early", 0), 0);
	ck_assert_int_eq(ambient_enqueue(table, "widget", "n", "named", 0), 0);
	ck_assert_int_eq(ambient_enqueue(table, "other", "n", "x", 0), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(ambient_enqueue(table, NULL, "n", "later", 60 * S), 0);
	watch_instance(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	wait_calls(2);
	ck_assert_str_eq(seen, "w:n/early w:n/named ");
	am_clock_fake_advance(fake, 61 * S);
	wait_calls(1);
	ck_assert(was_seen("w:n/later"));
	end_life();
}
END_TEST

/* ---- instances */

START_TEST(two_instances_of_a_plugin_share_nothing_but_the_watch)
{
	const struct am_plugin *plugin;
	struct am_instance *other;

	begin_life();
	serve_widgets();
	plugin = plugin_of(declarations, sizeof(declarations) - 1);
	/* Never looked into: what counts is which one came. */
	const struct ambient_conf *eu = (const struct ambient_conf *)(const void *)"eu", *us = (const struct ambient_conf *)(const void *)"us";
	inst = make_instance("widget-eu", plugin, eu);
	other = make_instance("widget-us", plugin, us);
	ck_assert_ptr_eq(inst->self, (const void *)eu);
	ck_assert_ptr_eq(other->self, (const void *)us);
	ck_assert_str_eq(inst->table.pub.plugin, "widget");
	ck_assert_str_eq(inst->table.pub.instance, "widget-eu");
	ck_assert_str_ne(inst->table.pub.state_dir, other->table.pub.state_dir);
	watch_instance(inst);
	watch_instance(other);
	ck_assert(fake_api_wait(api, 4));
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	ck_assert_int_eq(am_instance_start_workers(other, &err), 0);
	wait_calls(2);
	ck_assert(was_seen("widget-eu:n/w"));
	ck_assert(was_seen("widget-us:n/w"));
	ck_assert_int_eq(fake_api_count(api), 4); /* one list and one watch of each kind for both */
	stop_and_free(other);
	ck_assert_int_eq(calls_of_destroy, 1);
	end_life();
	ck_assert_int_eq(calls_of_stop, 2);
	ck_assert_int_eq(calls_of_destroy, 2);
}
END_TEST

START_TEST(a_create_that_fails_is_said_and_nothing_else_is_called)
{
	begin_life();
	serve_widgets();
	create_rc = -AMBIENT_E_UNAVAILABLE;
	const struct am_instance_options options = { .name = "w", .plugin = plugin_of(declarations, sizeof(declarations) - 1) };
	ck_assert_int_eq(am_instance_new(host, &options, &inst, &err), 0);
	ck_assert_int_eq(am_instance_create(inst, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(err.message, "the creation of \"w\": no widgets today");
	end_life();
	ck_assert_int_eq(calls_of_stop + calls_of_destroy, 0);
}
END_TEST

START_TEST(a_refused_configuration_keeps_the_old_one)
{
	const struct ambient_conf *old = (const struct ambient_conf *)(const void *)"old", *new = (const struct ambient_conf *)(const void *)"new";

	begin_life();
	struct am_plugin without = *plugin_of(declarations, sizeof(declarations) - 1);
	without.table.reload = NULL;
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), old);
	reload_rc = -AMBIENT_E_INVALID;
	ck_assert_int_eq(am_instance_reload(inst, new, &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "the reload of \"w\": not this one");
	ck_assert_ptr_eq(inst->conf, old);
	reload_rc = 0;
	ck_assert_int_eq(am_instance_reload(inst, new, &err), 0);
	ck_assert_ptr_eq(inst->conf, new);
	struct am_instance *fixed = make_instance("fixed", &without, old);
	ck_assert_int_eq(am_instance_reload(fixed, new, &err), -AMBIENT_E_UNSUPPORTED);
	ck_assert_str_eq(err.message, "\"fixed\" takes a new configuration only at a restart");
	am_instance_free(fixed);
	end_life();
}
END_TEST

START_TEST(the_api_server_itself_gets_no_client)
{
	const struct am_instance_options options = { .name = "api", .plugin = plugin_of(declarations, sizeof(declarations) - 1), .provider = true };

	begin_life();
	ck_assert_int_eq(am_instance_new(host, &options, &inst, &err), 0);
	const struct ambient_host *table = &inst->table.pub;
	ck_assert(table->client == NULL && table->cache == NULL && table->queue == NULL && table->event == NULL);
	ck_assert(table->log != NULL && table->conf != NULL && table->http != NULL && table->spawn != NULL);
	ck_assert_uint_eq(inst->reconciler_count, 0);
	ck_assert_int_eq(ambient_enqueue(table, NULL, "n", "x", 0), -AMBIENT_E_UNSUPPORTED);
	end_life();
}
END_TEST

START_TEST(SR1_02_a_kind_that_is_missing_is_waited_for_and_named)
{
	begin_life();
	rule("GET", "/apis/example.com/v1/widgets?*", 0, 404, NULL, STATUS(404, "NotFound"), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	for (int i = 0; i < 10000; i++) {
		ck_assert_int_eq(am_instance_ready(inst, &err), -AMBIENT_E_UNAVAILABLE);
		if (strstr(err.message, "no such kind") != NULL)
			break;
		(void)usleep(1000);
	}
	ck_assert_msg(strstr(err.message, "w: example.com/v1/widgets is not synced (no such kind") != NULL, "%s", err.message);
	am_instance_set_failed(inst, "it broke");
	ck_assert_int_eq(am_instance_ready(inst, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(err.message, "w: it broke");
	end_life();
}
END_TEST

static void
note_checks(void *arg, const char *name, const char *problem)
{
	am_buf_addf(arg, "%s: %s\n", name, problem != NULL ? problem : "fine");
}

START_TEST(a_refused_watch_names_the_missing_rule)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	begin_life();
	rule("GET", "/apis/example.com/v1/widgets?*", 0, 403, NULL, STATUS(403, "Forbidden"), 0);
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	for (int i = 0; i < 10000 && (strstr(am_buf_str(&text), "v1/configmaps: fine") == NULL ||
				      strstr(am_buf_str(&text), "(forbidden: ") == NULL); i++) {
		(void)usleep(1000);
		am_buf_reset(&text);
		am_instance_checks(inst, note_checks, &text);
	}
	ck_assert_msg(strstr(am_buf_str(&text), "w/watch/example.com/v1/widgets: w: example.com/v1/widgets is not synced (forbidden: ") !=
		      NULL, "%s", am_buf_str(&text));
	ck_assert_msg(strstr(am_buf_str(&text), "; the account needs a rule with apiGroups [\"example.com\"], resources [\"widgets\"], "
						"verbs [\"list\", \"watch\"]\n") != NULL, "%s", am_buf_str(&text));
	/* Only that one is held up. */
	ck_assert_msg(strstr(am_buf_str(&text), "w/watch/v1/configmaps: fine\n") != NULL, "%s", am_buf_str(&text));
	end_life();
}
END_TEST

/* ---- leadership */

static atomic_bool leads;

static int64_t
until(void *arg)
{
	(void)arg;
	return leads ? AM_FOREVER : 0;
}

START_TEST(no_reconcile_starts_without_the_lease)
{
	begin_life();
	serve_widgets();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	am_host_set_fence(host, &(const struct am_host_fence){ .until = until });
	watch_instance(inst);
	am_instance_pause(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	am_instance_resume(inst); /* resumed, but the fence is closed: the lease ran out in between */
	for (int i = 0; i < 20; i++) {
		am_clock_fake_advance(fake, S);
		(void)usleep(1000);
	}
	ck_assert_str_eq(seen, "");
	leads = true;
	for (int i = 0; i < 5000 && !was_seen("w:n/w"); i++) {
		am_clock_fake_advance(fake, S);
		(void)usleep(1000);
	}
	ck_assert(was_seen("w:n/w"));
	end_life();
}
END_TEST

static atomic_bool ours;
static atomic_int ended_calls;

static bool
owns(void *arg, const char *ns, const char *name)
{
	(void)arg;
	(void)ns;
	(void)name;
	return ours;
}

static void
ended(void *arg, const char *ns, const char *name)
{
	(void)arg;
	ck_assert_str_eq(ns, "n");
	ck_assert_str_eq(name, "w");
	atomic_fetch_add(&ended_calls, 1);
}

static bool
every(void *arg, const char *ns, const char *name)
{
	(void)arg;
	(void)ns;
	(void)name;
	return true;
}

START_TEST(what_another_replica_owns_is_left_alone_until_it_is_ours)
{
	begin_life();
	serve_widgets();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	am_host_set_fence(host, &(const struct am_host_fence){ .owns = owns, .ended = ended });
	struct am_queue *q = am_controller_queue(inst->reconcilers[0].controller);
	watch_instance(inst);
	ck_assert_uint_eq(am_queue_known(q), 0); /* the first list woke nobody */
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	am_queue_add(q, "n", "w", AM_QUEUE_NORMAL); /* a timer of the time when it was ours */
	for (int i = 0; i < 5000 && am_queue_known(q) != 0; i++)
		(void)usleep(1000);
	ck_assert_uint_eq(am_queue_known(q), 0);
	ck_assert_str_eq(seen, "");
	ours = true;
	am_instance_requeue(inst, every, NULL);
	for (int i = 0; i < 5000 && ended_calls == 0; i++)
		(void)usleep(1000);
	ck_assert_int_eq(ended_calls, 1);
	ck_assert(was_seen("w:n/w"));
	ck_assert(!am_instance_busy(inst, every, NULL));
	end_life();
}
END_TEST

/* ---- calls that do not end */

static sem_t let_go;
static atomic_int cancel_seen;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[4096];

static void
keep_log(void *arg, int level, const char *area, const char *text)
{
	(void)arg;
	(void)level;
	(void)area;
	(void)pthread_mutex_lock(&log_lock);
	size_t n = strlen(logged);
	(void)snprintf(logged + n, sizeof(logged) - n, "%s\n", text);
	(void)pthread_mutex_unlock(&log_lock);
}

static bool
was_logged(const char *what)
{
	(void)pthread_mutex_lock(&log_lock);
	bool yes = strstr(logged, what) != NULL;
	(void)pthread_mutex_unlock(&log_lock);
	return yes;
}

static int
hang(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
     struct ambient_error *e)
{
	(void)note(self, call, req, result, e);
	while (sem_wait(&let_go) != 0)
		;
	if (ambient_cancelled(call))
		cancel_seen++;
	return 0;
}

START_TEST(a_call_that_hangs_is_named_and_left_behind)
{
	begin_life();
	(void)sem_init(&let_go, 0, 0);
	serve_widgets();
	script = hang;
	inst = make_instance("widget-eu", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	watch_instance(inst);
	am_log_capture(keep_log, NULL);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	wait_calls(1);
	ck_assert_int_eq(am_instance_ready(inst, &err), 0);
	for (int i = 0; i < 5000 && !was_logged("longer than it may"); i++) {
		am_clock_fake_advance(fake, 10 * S);
		(void)usleep(1000);
	}
	ck_assert_msg(was_logged("longer than it may: asked it to end controller=widget-eu plugin=widget namespace=n name=w"), "%s", logged);
	for (int i = 0; i < 5000 && !was_logged("its worker is replaced"); i++) {
		am_clock_fake_advance(fake, 10 * S);
		(void)usleep(1000);
	}
	ck_assert_msg(was_logged("its worker is replaced, the object is left alone until it does controller=widget-eu plugin=widget"), "%s", logged);
	ck_assert_int_eq(am_instance_ready(inst, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(err.message, "widget-eu: 1 calls are stuck");
	/* Its worker was replaced: others are served. */
	script = note;
	ck_assert_int_eq(ambient_enqueue(&inst->table.pub, NULL, "n", "other", 0), 0);
	wait_calls(1);
	ck_assert(was_seen("widget-eu:n/other"));
	/* Stopped while it still hangs: nothing that it uses is freed, and the plugin is not told lies about its end. */
	ck_assert(!am_instance_stop_workers(inst, am_clock_boot(fake)));
	ck_assert(was_logged("a reconcile does not end: left behind controller=widget-eu plugin=widget namespace=n name=w"));
	am_instance_free(inst);
	ck_assert_int_eq(calls_of_stop + calls_of_destroy, 0);
	(void)sem_post(&let_go);
	for (int i = 0; i < 10000 && cancel_seen == 0; i++)
		(void)usleep(1000);
	ck_assert_int_eq(cancel_seen, 1);
	am_log_capture(NULL, NULL);
	/* A daemon would _exit now; the test has the call back and can put everything away. */
	inst->abandoned = inst->stopped = false;
	end_life();
	ck_assert_int_eq(calls_of_destroy, 1);
}
END_TEST

/* ---- what the host knows */

START_TEST(facts)
{
	begin_life();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	const struct ambient_host *table = &inst->table.pub;
	ck_assert_str_eq(table->fact(table, "mode"), "standalone");
	ck_assert_str_eq(table->fact(table, "server"), fake_api_url(api));
	ck_assert_str_eq(table->fact(table, "namespace"), "ambient");
	ck_assert_str_eq(table->fact(table, "node-name"), "standalone");
	ck_assert_str_eq(table->fact(table, "runner-image"), "image:1");
	ck_assert_str_eq(table->fact(table, "runner-type"), "command");
	ck_assert_ptr_null(table->fact(table, "phase-of-the-moon"));
	end_life();
}
END_TEST

static const char *plan_fragment, *plan_problems;

static int
plan(void *self, const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems, struct ambient_error *e)
{
	(void)self;
	(void)e;
	ck_assert_ptr_nonnull(in->effective);
	/* In two pieces: a sink takes any number. */
	if (plan_fragment != NULL) {
		fragment->put(fragment, plan_fragment, 1);
		fragment->put(fragment, plan_fragment + 1, strlen(plan_fragment) - 1);
	}
	if (plan_problems != NULL)
		problems->put(problems, plan_problems, strlen(plan_problems));
	return 0;
}

START_TEST(runner_plans)
{
	static const char text[] = "name=robots\0version=1.0.0\0runner=robot\0runner=bare\0";
	struct ambient_runner runners[] = {
		{ .size = sizeof(runners[0]), .type = "robot", .plan = plan },
		{ .size = sizeof(runners[0]), .type = "bare" },
	};
	const struct ambient_object *fragment, *problems, *session = NULL;

	begin_life();
	serve_widgets();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	struct host_call call = { .head = { .pub = { .size = sizeof(call.head.pub), .host = &inst->table.pub }, .pool = am_pool_new() } };
	struct ambient_call *c = &call.head.pub;
	ck_assert_int_eq(ambient_parse(c, "{\"spec\":{}}", 11, &session, &err), 0);
	ck_assert_int_eq(host_runner_plan(c, "robot", session, NULL, session, &fragment, &problems, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.message, "there is no runner type \"robot\"; loaded are: none");
	struct am_plugin robots = *plugin_of(text, sizeof(text) - 1);
	robots.reconciler_count = 0;
	robots.runners = runners;
	robots.runner_count = 2;
	struct am_instance *one = make_instance("robots", &robots, NULL), *two = make_instance("robots-too", &robots, NULL);
	ck_assert_str_eq(inst->table.pub.runner_types(&inst->table.pub), "robot, bare");
	ck_assert_int_eq(host_runner_plan(c, "robo", session, NULL, session, &fragment, &problems, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.message, "there is no runner type \"robo\"; loaded are: robot, bare");
	static const struct { const char *type, *fragment, *problems; int rc; const char *image, *field, *message; } rows[] = {
		{ "bare", NULL, NULL, 0, NULL, NULL, NULL },
		{ "robot", NULL, NULL, 0, NULL, NULL, NULL },
		{ "robot", "{\"image\":\"i\"}", NULL, 0, "i", NULL, NULL },
		{ "robot", "{\"image\":\"i\"}", "[{\"field\":\"spec.x\",\"message\":\"m\"}]", 0, NULL, "spec.x", NULL },
		{ "robot", "{half", NULL, -AMBIENT_E_INVALID, NULL, NULL, "the plan of runner type \"robot\"" },
	};
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		plan_fragment = rows[i].fragment;
		plan_problems = rows[i].problems;
		ck_assert_int_eq(host_runner_plan(c, rows[i].type, session, NULL, session, &fragment, &problems, &err), rows[i].rc);
		ck_assert_int_eq(fragment != NULL, rows[i].image != NULL);
		ck_assert_int_eq(problems != NULL, rows[i].field != NULL);
		if (rows[i].image != NULL)
			ck_assert_str_eq(ambient_str(fragment, "/image", ""), rows[i].image);
		if (rows[i].field != NULL)
			ck_assert_str_eq(ambient_str(problems, "/0/field", ""), rows[i].field);
		if (rows[i].message != NULL)
			ck_assert_msg(strstr(err.message, rows[i].message) == err.message, "%s", err.message);
	}
	am_pool_free(call.head.pool);
	am_instance_free(two);
	am_instance_free(one);
	end_life();
}
END_TEST

START_TEST(events_are_about_the_object)
{
	const struct ambient_object *about = NULL;

	begin_life();
	rule("POST", "/api/v1/namespaces/n/events*", 0, 201, NULL, "{}", 0);
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	struct host_call call = { .head = { .pub = { .size = sizeof(call.head.pub), .host = &inst->table.pub }, .pool = am_pool_new() } };
	ck_assert_int_eq(ambient_parse(&call.head.pub, WIDGET("w", "5", ""), strlen(WIDGET("w", "5", "")), &about, &err), 0);
	ambient_event(&call.head.pub, about, "Warning", "Bent", "the %s is bent", "widget");
	for (int i = 0; i < 5000 && fake_api_count(api) == 0; i++) {
		am_clock_fake_advance(fake, S / 10);
		(void)usleep(1000);
	}
	ck_assert_int_ge(fake_api_count(api), 1);
	ck_assert_str_eq(sent(0, "/involvedObject/uid"), "\"u-w\"");
	ck_assert_str_eq(sent(0, "/involvedObject/kind"), "\"Widget\"");
	ck_assert_str_eq(sent(0, "/reason"), "\"Bent\"");
	ck_assert_str_eq(sent(0, "/type"), "\"Warning\"");
	ck_assert_str_eq(sent(0, "/message"), "\"the widget is bent\"");
	am_pool_free(call.head.pool);
	end_life();
}
END_TEST

START_TEST(metrics_log_memory_and_programs)
{
	static const char *const argv[] = { "sh", "-c", "cat; echo $LANG; env | wc -l; exit 3", NULL };
	struct ambient_spawn_options options = { .size = sizeof(options), .argv = argv, .input = "in\n", .input_len = 3 };
	struct ambient_spawn_result result = { .size = sizeof(result) };
	am_auto(am_buf_fini) struct am_buf page = { 0 };

	begin_life();
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	const struct ambient_host *t = &inst->table.pub;
	t->metrics->count(t, "made", 2);
	t->metrics->count(t, "made", -5);          /* counters only grow */
	t->metrics->count(t, "Not A Name", 1);
	t->metrics->gauge(t, "level", 0.5);
	am_metric_page(&page);
	ck_assert_ptr_nonnull(strstr(page.data, "ambient_plugin_made_total{plugin=\"widget\",instance=\"w\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(page.data, "ambient_plugin_level{plugin=\"widget\",instance=\"w\"} 0.5\n"));
	ck_assert_ptr_null(strstr(page.data, "Not A Name"));
	am_log_capture(keep_log, NULL);
	t->log->write(t, 77, "a level that does not exist", (const char *const[]){ "k", "v", NULL });
	am_log_capture(NULL, NULL);
	ck_assert(was_logged("a level that does not exist k=v"));
	void *p = t->mem->alloc(t, 0);
	ck_assert_ptr_nonnull(p);
	t->mem->free(t, p);
	ck_assert_int_eq(t->clock->monotonic(t), am_clock_boot(fake));
	ck_assert_int_eq(t->clock->wall(t), am_clock_wall(fake));
	ck_assert_int_eq(setenv("SECRET", "x", 1), 0); /* is not handed on */
	ck_assert_msg(t->spawn->run(t, &options, &result, &err) == 0, "%s", err.message);
	ck_assert_int_eq(result.exit_code, 3);
	ck_assert_msg(strncmp(result.out, "in\nC.UTF-8\n", 11) == 0, "%s", result.out);
	ck_assert_int_le(atoi(result.out + 11), 6); /* the three, and what a shell adds */
	t->spawn->release(t, &result);
	ck_assert_ptr_null(result.out);
	end_life();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, declared_watches_wake_whom_they_say);
	tcase_add_test(tc, a_change_of_a_child_wakes_its_owner);
	tcase_add_test(tc, SR1_01_the_plugin_may_ask_before_its_workers_run);
	tcase_add_test(tc, two_instances_of_a_plugin_share_nothing_but_the_watch);
	tcase_add_test(tc, a_create_that_fails_is_said_and_nothing_else_is_called);
	tcase_add_test(tc, a_refused_configuration_keeps_the_old_one);
	tcase_add_test(tc, the_api_server_itself_gets_no_client);
	tcase_add_test(tc, SR1_02_a_kind_that_is_missing_is_waited_for_and_named);
	tcase_add_test(tc, a_refused_watch_names_the_missing_rule);
	tcase_add_test(tc, no_reconcile_starts_without_the_lease);
	tcase_add_test(tc, what_another_replica_owns_is_left_alone_until_it_is_ours);
	tcase_add_test(tc, a_call_that_hangs_is_named_and_left_behind);
	tcase_add_test(tc, facts);
	tcase_add_test(tc, runner_plans);
	tcase_add_test(tc, events_are_about_the_object);
	tcase_add_test(tc, metrics_log_memory_and_programs);
}

UNIT_MAIN("host life", cases)
