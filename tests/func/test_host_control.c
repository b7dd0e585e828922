/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reconciles through a real host: a read-only instance, what a result asks for, why an object was reconciled, caches that
 * are full before there is a lease.
 */
#include "tests/func/host.h"
#include "tests/lib/eventually.h"

#include <stdatomic.h>

#include "core/base/counter.h"
#include "core/base/log.h"

static atomic_int calls, asked_requeue, asked_priority;
static char first_said[512];

static struct am_queue *
queue(void)
{
	return am_controller_queue(inst->reconcilers[0].controller);
}

static void
begin_with(int (*fn)(void *, struct ambient_call *, const struct ambient_request *, struct ambient_result *, struct ambient_error *),
	   bool readonly)
{
	const struct am_instance_options options = { .name = "w", .plugin = plugin_of(declarations, sizeof(declarations) - 1),
						     .workers = 1, .readonly = readonly, .deadline = 7 * S };

	script = fn;
	serve_widgets();
	ck_assert_msg(am_instance_new(host, &options, &inst, &err) == 0, "%s", err.message);
	ck_assert_msg(am_instance_create(inst, &err) == 0, "%s", err.message);
	watch_instance(inst);
	ck_assert(fake_api_wait(api, 4)); /* two lists, two watches */
}

static void
finish(void)
{
	ck_assert(am_instance_stop_workers(inst, am_clock_boot(fake) + 30 * S));
	end_host();
}

/* ---- read-only */

static int
writes(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
       struct ambient_error *e)
{
	const struct ambient_object *widget;
	struct ambient_draft *d;

	(void)self;
	(void)result;
	ck_assert_int_eq(ambient_get(call, WIDGETS, req->ns, req->name, &widget, e), 0); /* it sees what is there */
	ambient_event(call, widget, "Normal", "Seen", "seen");
	d = ambient_draft_new(call, CONFIGMAPS, "n", "c");
	ambient_draft_set_str(d, "/data/region", "eu");
	int rc = ambient_create(call, d, NULL, e);
	ck_assert_int_eq(rc, -AMBIENT_E_FORBIDDEN);
	(void)snprintf(first_said, sizeof(first_said), "%s", e->message);
	ck_assert_int_eq(ambient_patch(call, WIDGETS, "n", "w", NULL, AMBIENT_PATCH_MERGE, "{}", NULL, e), -AMBIENT_E_FORBIDDEN);
	ck_assert_int_eq(ambient_delete(call, WIDGETS, "n", "w", NULL, e), -AMBIENT_E_FORBIDDEN);
	d = ambient_draft_new(call, CONFIGMAPS, "n", "c");
	ambient_draft_set_str(d, "/data/region", "eu");
	rc = ambient_apply(call, d, e);
	ck_assert_int_eq(rc, -AMBIENT_E_FORBIDDEN);
	atomic_fetch_add(&calls, 1);
	return rc;
}

START_TEST(a_read_only_instance_sees_everything_and_writes_nothing)
{
	const char *labels[] = { "instance", "w", NULL };
	am_auto(am_buf_fini) struct am_buf said = { 0 };

	am_log_set_level(0);
	begin_host();
	begin_with(writes, true);
	int before = fake_api_count(api);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1 && am_queue_processing(queue()) == 0);
	ck_assert_int_eq(fake_api_count(api), before);
	ck_assert_str_eq(first_said, "instance \"w\" is read-only: create of v1/configmaps \"n/c\" was not sent");
	/* create, patch, delete, apply, and the event */
	ck_assert(am_metric_value(am_metric(AM_COUNTER, "ambient_writes_refused_total", "", labels, NULL)) == 5);
	ck_assert_uint_eq(am_queue_known(queue()), 0); /* no use in trying again */
	am_instance_describe(inst, &said);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&said), "state=running readonly\n"));
	finish();
}
END_TEST

/* ---- predicates of the configuration */

static atomic_int of_w, of_x;

static int
counts_names(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
       struct ambient_error *e)
{
	(void)self, (void)call, (void)result, (void)e;
	atomic_fetch_add(strcmp(req->name, "w") == 0 ? &of_w : &of_x, 1);
	return 0;
}

#define WIDGET_EVENT(type, name, rv, more)                                                                 \
	"{\"type\":\"" type "\",\"object\":{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"  \
	"\"namespace\":\"n\",\"name\":\"" name "\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" rv "\"" more "}}}\n"

/* x comes behind w's change: when x has been reconciled, w's has been passed over. */
START_TEST(PD1_05_a_predicate_of_the_configuration_holds_for_the_reconciled_kind)
{
	static const char *const pieces[] = {
		"{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"resourceVersion\":\"11\"}}}\n",
		WIDGET_EVENT("MODIFIED", "w", "12", ",\"labels\":{\"a\":\"b\"}") WIDGET_EVENT("ADDED", "x", "13", ""),
		WIDGET_EVENT("MODIFIED", "w", "14", ",\"generation\":2"),
		NULL,
	};
	const struct fake_api_rule events = { .path = "/apis/example.com/v1/widgets?*watch=*", .times = 1, .status = 200,
					      .pieces = pieces, .flags = FAKE_API_WAIT | FAKE_API_STALL };
	const struct am_instance_options options = { .name = "w", .plugin = plugin_of(declarations, sizeof(declarations) - 1),
						     .workers = 1, .when = "generation" };

	begin_host();
	fake_api_add(api, &events);
	script = counts_names;
	serve_widgets();
	ck_assert_msg(am_instance_new(host, &options, &inst, &err) == 0, "%s", err.message);
	ck_assert_msg(am_instance_create(inst, &err) == 0, "%s", err.message);
	watch_instance(inst);
	ck_assert(fake_api_wait(api, 4));
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(of_w > 0 && am_queue_known(queue()) == 0);
	int before = of_w;
	fake_api_go(api);
	EVENTUALLY(of_x == 1);
	ck_assert_int_eq(of_w, before);
	fake_api_go(api);
	EVENTUALLY(of_w == before + 1);
	finish();
}
END_TEST

/* ---- results */

static int
asks(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
     struct ambient_error *e)
{
	(void)self;
	(void)req;
	(void)e;
	ck_assert_int_eq(call->deadline, am_clock_boot(fake) + 7 * S); /* as configured */
	atomic_fetch_add(&calls, 1);
	if (asked_priority != 0)
		ambient_prioritize(result, asked_priority);
	return asked_requeue != 0 ? ambient_requeue(result) : 0;
}

static void
note_priority(void *arg, const struct am_queue_view *view)
{
	*(int *)arg = view->priority;
}

START_TEST(CT3_07_results_go_from_the_plugin_to_the_queue)
{
	int priority = 0;

	begin_host();
	begin_with(asks, false);
	asked_requeue = 1;
	asked_priority = 12;
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1 && am_queue_processing(queue()) == 0);
	ck_assert_uint_eq(am_queue_failures(queue(), "n", "w"), 1);
	ck_assert(am_queue_look(queue(), "n", "w", note_priority, &priority));
	ck_assert_int_eq(priority, 12);
	asked_requeue = asked_priority = 0;
	am_clock_fake_advance(fake, 5 * AM_NS_PER_MS);
	EVENTUALLY(calls == 2 && am_queue_processing(queue()) == 0);
	ck_assert_uint_eq(am_queue_known(queue()), 0);
	finish();
}
END_TEST

/* A plugin that is newer than its host finds a smaller result. */
START_TEST(results_of_an_older_host_are_not_written_beyond)
{
	struct {
		size_t size;
		int64_t requeue_after;
		int64_t beyond[2];
	} old = { 16, 0, { 77, 77 } };
	struct ambient_result *result = (struct ambient_result *)(void *)&old;

	ambient_prioritize(result, 5);
	ck_assert_int_eq(ambient_requeue(result), 0);
	ck_assert_int_eq(old.requeue_after, AMBIENT_SECOND);
	ck_assert_int_eq(old.beyond[0], 77);
	ck_assert_int_eq(old.beyond[1], 77);
}
END_TEST

/* ---- why did this run? */

static int
counts(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
       struct ambient_error *e)
{
	(void)self;
	(void)call;
	(void)req;
	(void)result;
	(void)e;
	atomic_fetch_add(&calls, 1);
	return 0;
}

static bool
explained(const char *part)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	am_instance_explain(inst, NULL, "n", "w", NULL, &out);
	return strstr(am_buf_str(&out), part) != NULL;
}

START_TEST(an_object_and_its_children_are_causes)
{
	static const char *const events[] = {
		"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"20\"}}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":\"n\","
		"\"uid\":\"c\",\"resourceVersion\":\"21\",\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"name\":\"w\",\"uid\":\"u-w\",\"controller\":true}]}}}\n", NULL };
	struct fake_api_rule maps = { .method = "GET", .path = "/api/v1/configmaps?*watch=true*", .status = 200, .pieces = events,
				      .flags = FAKE_API_STALL | FAKE_API_WAIT };
	am_auto(am_buf_fini) struct am_buf none = { 0 };

	begin_host();
	fake_api_add(api, &maps);
	begin_with(counts, false);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1 && am_queue_processing(queue()) == 0);
	ck_assert(explained("\"state\":\"idle\""));
	ck_assert(explained("\"causes\":[{\"run\":1,\"cause\":\"listed\",\"age\":0,\"count\":1,\"kind\":\"" WIDGETS
			    "\",\"newResourceVersion\":\"5\"}]"));
	fake_api_go(api);
	EVENTUALLY(calls == 2 && am_queue_processing(queue()) == 0);
	ck_assert(explained("\"causes\":[{\"run\":2,\"cause\":\"added\",\"age\":0,\"count\":1,\"kind\":\"" CONFIGMAPS
			    "\",\"object\":\"n/c\",\"newResourceVersion\":\"21\"},{\"run\":1,\"cause\":\"listed\""));
	am_instance_explain(inst, "other", "n", "w", NULL, &none);
	am_instance_explain(inst, NULL, "n", "unknown", NULL, &none);
	ck_assert_uint_eq(none.len, 0);
	ck_assert(am_instance_has_controller(inst, "w"));
	ck_assert(!am_instance_has_controller(inst, "other"));
	finish();
}
END_TEST

/* ---- when an update counts */

#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define GENERATION(rv, n) \
	"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\",\"uid\":\"u-w\"," \
	"\"resourceVersion\":\"" rv "\",\"generation\":" n "}}"
#define CHILD(rv, data) \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\",\"namespace\":\"n\",\"uid\":\"c\"," \
	"\"resourceVersion\":\"" rv "\",\"ownerReferences\":[{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"name\":\"w\"," \
	"\"uid\":\"u-w\",\"controller\":true}]},\"data\":{" data "}}"
#define SECRET(rv, labels) \
	"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\",\"uid\":\"s\"," \
	"\"resourceVersion\":\"" rv "\",\"labels\":{" labels "}}}"

/* Nothing to anybody; what stands behind it in a stream waits for the test. */
#define BOOKMARK(api_version, kind, rv) \
	EVENT("BOOKMARK", "{\"apiVersion\":\"" api_version "\",\"kind\":\"" kind "\",\"metadata\":{\"resourceVersion\":\"" rv "\"}}")

static void
stream(const char *path, const char *const *pieces)
{
	const struct fake_api_rule r = { .method = "GET", .path = path, .status = 200, .pieces = pieces,
					 .flags = FAKE_API_WAIT | FAKE_API_STALL };

	fake_api_add(api, &r);
}

/* Each stream has one update that counts, behind some that do not; they begin when the instance has seen the lists. */
START_TEST(PD1_04_declared_predicates_reach_every_trigger)
{
	static const char text[] = "name=gadget\0version=1.0.0\0for=" WIDGETS " when=generation\0owns=" CONFIGMAPS " when=/data/x\0"
				   "watch=" SECRETS " when=labels\0";

	static const char *const widgets[] = {
		BOOKMARK("example.com/v1", "Widget", "10"),
		EVENT("MODIFIED", GENERATION("11", "1")) EVENT("MODIFIED", GENERATION("12", "1")) EVENT("MODIFIED", GENERATION("13", "2")),
		NULL,
	};
	static const char *const children[] = {
		BOOKMARK("v1", "ConfigMap", "20"),
		EVENT("MODIFIED", CHILD("21", "\"x\":\"1\",\"y\":\"2\"")) EVENT("MODIFIED", CHILD("22", "\"x\":\"3\"")), NULL,
	};
	static const char *const secrets[] = {
		BOOKMARK("v1", "Secret", "30"),
		EVENT("MODIFIED", SECRET("31", "\"a\":\"1\"")) EVENT("MODIFIED", SECRET("32", "\"a\":\"2\"")), NULL,
	};

	begin_host();
	stream("/apis/example.com/v1/widgets?*watch=true*", widgets);
	stream("/api/v1/configmaps?*watch=true*", children);
	stream("/api/v1/secrets?*watch=true*", secrets);
	serve_kind("/apis/example.com/v1/widgets", "Widget", GENERATION("10", "1"));
	serve_kind("/api/v1/configmaps", "ConfigMap", CHILD("20", "\"x\":\"1\""));
	serve_kind("/api/v1/secrets", "Secret", SECRET("30", "\"a\":\"1\""));
	inst = make_instance("gadget", plugin_of(text, sizeof(text) - 1), NULL);
	watch_instance(inst);
	for (int i = 0; i < 3; i++)
		fake_api_go(api);
	EVENTUALLY(explained("\"oldResourceVersion\":\"12\",\"newResourceVersion\":\"13\""));
	EVENTUALLY(explained("\"oldResourceVersion\":\"21\",\"newResourceVersion\":\"22\""));
	EVENTUALLY(explained("\"oldResourceVersion\":\"31\",\"newResourceVersion\":\"32\""));
	ck_assert(!explained("\"newResourceVersion\":\"11\""));
	ck_assert(!explained("\"newResourceVersion\":\"12\""));
	ck_assert(!explained("\"newResourceVersion\":\"21\""));
	ck_assert(!explained("\"newResourceVersion\":\"31\""));
	finish();
}
END_TEST

/* ---- warm standby */

START_TEST(CT5_01_caches_are_full_before_the_lease)
{
	begin_host();
	begin_with(counts, false);
	am_instance_pause(inst); /* as the daemon does it until it leads */
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(am_queue_len(queue()) == 1); /* its sources run */
	ck_assert(am_instance_warm(inst));
	ck_assert_uint_eq(am_store_count(am_informer_store(inst->watches[0].parts[0].informer)), 1);
	ck_assert_int_eq(am_instance_ready(inst, &err), 0);
	am_clock_fake_advance(fake, 60 * S);
	ck_assert_int_eq(calls, 0);
	ck_assert(explained("\"paused\":true"));
	int before = fake_api_count(api);
	am_instance_resume(inst); /* the lease */
	EVENTUALLY(calls == 1);
	am_instance_pause(inst); /* lost, and won again */
	am_queue_add(queue(), "n", "w", AM_QUEUE_NORMAL);
	am_instance_resume(inst);
	EVENTUALLY(calls == 2);
	ck_assert_int_eq(fake_api_count(api), before); /* nothing is listed for it */
	finish();
}
END_TEST

/* What a list that does not come means for who waits for it: rule and answer, and whether to stand for election. */
START_TEST(CT5_02_what_no_wait_helps_is_not_waited_for)
{
	static const struct { int status; const char *body; unsigned flags; bool warm; } rows[] = {
		{ 404, STATUS(404, "NotFound"), 0, true },
		{ 403, STATUS(403, "Forbidden"), 0, true },
		{ 0, NULL, FAKE_API_STALL, false },
	};

	am_log_set_level(0);
	begin_host();
	rule("GET", "/apis/example.com/v1/widgets?*", 0, rows[_i].status, NULL, rows[_i].body, (int)rows[_i].flags);
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	ck_assert(fake_api_wait(api, 3));
	if (rows[_i].warm)
		EVENTUALLY(am_instance_warm(inst));
	else
		ck_assert(!am_instance_warm(inst));
	ck_assert_int_eq(am_instance_wait_synced(inst, 0, NULL, &err), -AMBIENT_E_TIMEOUT);
	finish();
}
END_TEST

/* ---- start, stop, a lease won and lost, in any order */

static atomic_int inside, holding, deaf, cancelled_calls, overlaps;

/* Stays as long as it is held; ends early when it is asked to, unless it is deaf. */
static int
stays(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
      struct ambient_error *e)
{
	(void)self, (void)req, (void)result;
	if (atomic_fetch_add(&inside, 1) != 0)
		atomic_fetch_add(&overlaps, 1);
	while (holding && (deaf || !ambient_cancelled(call)))
		nap();
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&calls, 1);
	if (!ambient_cancelled(call))
		return 0;
	atomic_fetch_add(&cancelled_calls, 1);
	return ambient_err(e, AMBIENT_E_CANCELLED, "the lease is lost");
}

static void
stand_by(void)
{
	begin_host();
	begin_with(stays, false);
	am_instance_pause(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(am_queue_len(queue()) == 1);
}

/* Nobody works: not at once, and not when some time has passed (less than it takes for a silent watch to be begun anew). */
static void
nobody_begins(void)
{
	int before = calls;

	for (int i = 0; i < 20; i++) {
		am_clock_fake_advance(fake, S / 2);
		nap();
	}
	ck_assert_int_eq(inside, 0);
	ck_assert_int_eq(calls, before);
}

START_TEST(CT5_05_without_a_lease_workers_begin_at_once)
{
	begin_host();
	begin_with(stays, false);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1);
	finish();
}
END_TEST

START_TEST(CT5_06_a_lease_that_is_there_before_the_workers)
{
	begin_host();
	begin_with(stays, false);
	am_instance_pause(inst);
	am_instance_resume(inst);
	nobody_begins(); /* not started yet */
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1);
	finish();
}
END_TEST

START_TEST(CT5_07_lost_or_won_twice_is_lost_or_won)
{
	stand_by();
	am_instance_pause(inst);
	nobody_begins();
	am_instance_resume(inst);
	am_instance_resume(inst);
	EVENTUALLY(calls == 1);
	am_instance_pause(inst);
	am_queue_add(queue(), "n", "w", AM_QUEUE_NORMAL);
	nobody_begins();
	finish();
}
END_TEST

START_TEST(CT5_08_a_stop_while_it_stands_by_drops_what_waits)
{
	stand_by();
	ck_assert(am_instance_stop_workers(inst, am_clock_boot(fake) + 30 * S));
	ck_assert_uint_eq(am_queue_known(queue()), 0);
	am_instance_resume(inst); /* a lease that comes too late */
	nobody_begins();
	ck_assert_int_eq(calls, 0);
	finish();
}
END_TEST

START_TEST(CT5_09_a_stop_before_the_caches_are_full)
{
	int32_t stop = 1;

	begin_host();
	rule("GET", "/apis/example.com/v1/widgets?*", 0, 200, NULL, NULL, FAKE_API_STALL);
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
	script = stays;
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	ck_assert_int_eq(am_instance_wait_synced(inst, AM_FOREVER, &stop, &err), -AMBIENT_E_CANCELLED);
	ck_assert(!am_instance_warm(inst));
	finish();
	ck_assert_int_eq(calls, 0);
	ck_assert_int_eq(calls_of_destroy, 1);
}
END_TEST

START_TEST(CT5_10_what_the_loss_cut_off_comes_back_and_did_not_fail)
{
	stand_by();
	holding = 1;
	am_instance_resume(inst);
	EVENTUALLY(inside == 1);
	am_instance_pause(inst);
	EVENTUALLY(cancelled_calls == 1 && am_queue_len(queue()) == 1);
	ck_assert_uint_eq(am_queue_failures(queue(), "n", "w"), 0);
	nobody_begins();
	holding = 0;
	am_instance_resume(inst);
	EVENTUALLY(calls == 2);
	finish();
}
END_TEST

START_TEST(CT5_11_won_again_before_the_old_call_has_ended)
{
	const struct am_instance_options options = { .name = "w", .plugin = plugin_of(declarations, sizeof(declarations) - 1), .workers = 2 };

	begin_host();
	script = stays;
	serve_widgets();
	ck_assert_msg(am_instance_new(host, &options, &inst, &err) == 0, "%s", err.message);
	ck_assert_int_eq(am_instance_create(inst, &err), 0);
	watch_instance(inst);
	holding = deaf = 1;
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(inside == 1);
	am_instance_pause(inst);
	am_instance_resume(inst);
	am_queue_add(queue(), "n", "w", AM_QUEUE_NORMAL);
	am_clock_fake_advance(fake, S);
	for (int i = 0; i < 20; i++)
		nap();
	ck_assert_int_eq(inside, 1); /* the other worker does not take the same name */
	holding = 0;
	EVENTUALLY(calls == 2);
	ck_assert_int_eq(overlaps, 0);
	finish();
}
END_TEST

START_TEST(CT5_12_a_lease_that_comes_and_goes)
{
	stand_by();
	for (int i = 0; i < 200; i++) {
		am_instance_resume(inst);
		if (i % 3 == 0)
			am_queue_add(queue(), "n", "w", AM_QUEUE_NORMAL);
		am_instance_pause(inst);
	}
	/* A worker may have taken the name before the last pause, and not be inside yet. */
	EVENTUALLY(am_queue_processing(queue()) == 0);
	int before = calls;
	am_queue_add(queue(), "n", "w", AM_QUEUE_NORMAL);
	nobody_begins();
	am_instance_resume(inst);
	EVENTUALLY(calls > before);
	ck_assert_int_eq(overlaps, 0);
	finish();
}
END_TEST

START_TEST(CT5_13_a_second_start_is_refused_and_changes_nothing)
{
	stand_by();
	ck_assert_int_lt(am_instance_start_workers(inst, &err), 0);
	nobody_begins();
	am_instance_resume(inst);
	EVENTUALLY(calls == 1);
	finish();
}
END_TEST

START_TEST(CT5_15_what_changes_while_it_stands_by_is_worked_on_then)
{
	static const char *const pieces[] = {
		"{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"resourceVersion\":\"11\"}}}\n",
		WIDGET_EVENT("ADDED", "x", "13", ""), NULL,
	};
	const struct fake_api_rule events = { .path = "/apis/example.com/v1/widgets?*watch=*", .times = 1, .status = 200,
					      .pieces = pieces, .flags = FAKE_API_WAIT | FAKE_API_STALL };

	begin_host();
	fake_api_add(api, &events);
	begin_with(counts_names, false);
	am_instance_pause(inst);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	fake_api_go(api);
	EVENTUALLY(am_queue_len(queue()) == 2);
	nobody_begins();
	ck_assert_int_eq(of_w + of_x, 0);
	am_instance_resume(inst);
	EVENTUALLY(of_w == 1 && of_x == 1);
	finish();
}
END_TEST

/* The daemon starts an instance's workers when this says so: tests/func/ambientd.sh. */
START_TEST(MG5_every_cache_is_waited_for_and_named)
{
	static const char *const pieces[] = {
		"{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[",
		"{" META("c", "19") "}]}", NULL };
	const struct fake_api_rule late = { .method = "GET", .path = "/api/v1/configmaps?*", .times = 1, .status = 200, .pieces = pieces,
					    .flags = FAKE_API_WAIT };

	begin_host();
	rule("GET", "/api/v1/configmaps?*watch=true*", 0, 200, NULL, "", FAKE_API_STALL);
	fake_api_add(api, &late);
	serve_widgets();
	script = stays;
	inst = make_instance("w", plugin_of(declarations, sizeof(declarations) - 1), NULL);
	ck_assert_int_eq(am_instance_watch(inst, &err), 0);
	const struct host_watch *widgets = host_watch_of(inst, WIDGETS);
	EVENTUALLY(widgets->part_count == 1 && am_subscription_has_synced(widgets->parts[0].subscription));
	ck_assert_int_eq(am_instance_wait_synced(inst, 0, NULL, &err), -AMBIENT_E_TIMEOUT);
	ck_assert_msg(strstr(err.message, "\"w\" waits for " CONFIGMAPS) != NULL, "%s", err.message);
	ck_assert_int_eq(am_instance_ready(inst, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_msg(strstr(err.message, "w: " CONFIGMAPS " is not synced") != NULL, "%s", err.message);
	ck_assert_int_eq(calls, 0);
	fake_api_go(api);
	ck_assert_int_eq(am_instance_wait_synced(inst, AM_FOREVER, NULL, &err), 0);
	ck_assert_int_eq(am_instance_ready(inst, &err), 0);
	ck_assert_int_eq(am_instance_start_workers(inst, &err), 0);
	EVENTUALLY(calls == 1);
	finish();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, PD1_05_a_predicate_of_the_configuration_holds_for_the_reconciled_kind);
	tcase_add_test(tc, a_read_only_instance_sees_everything_and_writes_nothing);
	tcase_add_test(tc, CT3_07_results_go_from_the_plugin_to_the_queue);
	tcase_add_test(tc, results_of_an_older_host_are_not_written_beyond);
	tcase_add_test(tc, an_object_and_its_children_are_causes);
	tcase_add_test(tc, PD1_04_declared_predicates_reach_every_trigger);
	tcase_add_loop_test(tc, CT5_02_what_no_wait_helps_is_not_waited_for, 0, 3);
	tcase_add_test(tc, CT5_01_caches_are_full_before_the_lease);
	tcase_add_test(tc, CT5_05_without_a_lease_workers_begin_at_once);
	tcase_add_test(tc, CT5_06_a_lease_that_is_there_before_the_workers);
	tcase_add_test(tc, CT5_07_lost_or_won_twice_is_lost_or_won);
	tcase_add_test(tc, CT5_08_a_stop_while_it_stands_by_drops_what_waits);
	tcase_add_test(tc, CT5_09_a_stop_before_the_caches_are_full);
	tcase_add_test(tc, CT5_10_what_the_loss_cut_off_comes_back_and_did_not_fail);
	tcase_add_test(tc, CT5_11_won_again_before_the_old_call_has_ended);
	tcase_add_test(tc, CT5_12_a_lease_that_comes_and_goes);
	tcase_add_test(tc, CT5_13_a_second_start_is_refused_and_changes_nothing);
	tcase_add_test(tc, CT5_15_what_changes_while_it_stands_by_is_worked_on_then);
	tcase_add_test(tc, MG5_every_cache_is_waited_for_and_named);
}

UNIT_MAIN("host_control", cases)
