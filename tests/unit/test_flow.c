/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a watch to a reconcile: a reflector and its store on fake I/O, a trigger, a queue and a controller with a real
 * worker.  Rules that no part of them can keep alone.
 */
#include <malloc.h>
#include <stdatomic.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/control/control.h"
#include "core/trigger/trigger.h"
#include "tests/unit/reflector.h"
#include "tests/lib/eventually.h"

static struct am_controller *controller;
static struct am_queue *queue;
static struct am_trigger *trigger;
static atomic_int block, calls, inside, after_s;
static atomic_int seen[8]; /* the version that each of the first calls found in the store; 0: none */

static int
reconcile(void *arg, struct am_reconcile *call, struct ambient_error *err)
{
	atomic_store(&inside, 1);
	while (block)
		nap();
	struct am_object *object = am_store_get(store, call->ns, call->name);

	if (calls < (int)AM_COUNTOF(seen))
		seen[calls] = object != NULL ? atoi(object->rv) : 0;
	am_object_unref(object);
	call->requeue_after = after_s * S;
	atomic_store(&inside, 0);
	atomic_fetch_add(&calls, 1);
	return 0;
}

static void
enqueue(void *arg, const char *ns, const char *name, int priority)
{
	am_queue_add_for(queue, ns, name, priority, 0, &(struct am_cause){.type = AM_CAUSE_CHANGED});
}

static void
on_change(void *arg, const struct am_change *change)
{
	am_trigger_run(trigger, change, enqueue, NULL);
}

static void
begin(const struct am_trigger_options *options)
{
	struct am_controller_options co = {.name = "flow", .workers = 1, .clock = test_clock, .reconcile = reconcile};
	struct am_reflector_options ro = {.path = "/api/v1/pods", .api_version = "v1", .change = on_change};

	ck_assert_int_eq(am_controller_new(&co, &controller, NULL), 0);
	queue = am_controller_queue(controller);
	ck_assert_int_eq(am_trigger_new(options, &trigger, NULL), 0);
	am_reflector_free(r);
	r = am_reflector_new(io, store, &ro);
}

static void
finish(void)
{
	block = 0;
	ck_assert(am_controller_stop(controller, AM_FOREVER));
	am_controller_free(controller);
	am_trigger_free(trigger);
}

/* The queue has names only: whatever happened while one waited, its run finds the last of it. */
START_TEST(rule_44_a_run_reads_what_is_there_when_it_begins)
{
	begin(&(struct am_trigger_options){.map = AM_MAP_SELF});
	start_watching("a b");
	event("MODIFIED", "a", "11");
	event("MODIFIED", "a", "12");
	event("DELETED", "b", "13");
	ck_assert_uint_eq(am_queue_len(queue), 2);
	ck_assert_int_eq(am_controller_start(controller, NULL), 0);
	EVENTUALLY(calls == 2);
	ck_assert_int_eq(seen[0], 12); /* raised by its changes; so was b by its end */
	ck_assert_int_eq(seen[1], 0);
	finish();
}
END_TEST

/* A reconcile that hangs holds up its own name.  The stream is read on, and a million events are no more than their
 * names. */
START_TEST(rule_14_who_blocks_does_not_block_the_stream)
{
	am_auto(am_buf_fini) struct am_buf text = {0};

	block = 1;
	begin(&(struct am_trigger_options){.map = AM_MAP_SELF});
	start_watching("a");
	ck_assert_int_eq(am_controller_start(controller, NULL), 0);
	EVENTUALLY(inside == 1);
	size_t settled = 0;
	int rv = 100;
	for (int round = 0; round < 20; round++) {
		am_buf_reset(&text);
		for (int i = 0; i < 5000; i++)
			am_buf_addf(&text,
				    "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\","
				    "\"metadata\":{\"name\":\"p%d\","
				    "\"uid\":\"u\",\"resourceVersion\":\"%d\"}}}\n",
				    i % 100, rv++);
		fake_io_data(io, am_buf_str(&text));
		ck_assert_uint_eq(am_queue_len(queue), 100);
		if (round == 1)
			settled = mallinfo2().uordblks;
	}
	ck_assert_uint_eq(am_store_count(store), 101);
	struct am_reflector_status status;
	am_reflector_status(r, &status);
	ck_assert_uint_ge(status.events, 100000);
	ck_assert_uint_le(mallinfo2().uordblks, settled + (256 << 10));
	block = 0;
	EVENTUALLY(calls == 101);
	finish();
}
END_TEST

/* Kinds are not seen at one time: a child before its owner wakes a name that is not there, which is done, not an error.
 */
START_TEST(rule_11_a_child_before_its_owner_is_normal)
{
	static const char child[] =
		"{\"metadata\":{\"name\":\"c\",\"namespace\":\"\",\"uid\":\"c\",\"resourceVersion\":\"9\","
		"\"ownerReferences\":["
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"late\",\"uid\":\"u\",\"controller\":true}]}}";
	struct am_stores *stores = am_stores_new();
	struct am_trigger *owners;
	struct am_object *object;

	begin(&(struct am_trigger_options){.map = AM_MAP_SELF});
	start_watching("");
	ck_assert_int_eq(am_controller_start(controller, NULL), 0);
	am_stores_fill(stores, &(struct am_stores_item){ NULL, store }, 1);
	ck_assert_int_eq(
		am_trigger_new(&(struct am_trigger_options){.map = AM_MAP_OWNER, .owner_group = "", .stores = stores},
			       &owners, NULL),
		0);
	ck_assert_int_eq(am_object_new(child, strlen(child), &object, NULL), 0);
	am_trigger_run(owners, &(struct am_change){.ns = "", .name = "c", .after = object}, enqueue, NULL);
	EVENTUALLY(calls == 1);
	ck_assert_int_eq(seen[0], 0);
	ck_assert_uint_eq(am_queue_failures(queue, "", "late"), 0);
	event("ADDED", "late", "11"); /* and is run again when it comes */
	EVENTUALLY(calls == 2);
	ck_assert_int_eq(seen[1], 11);
	am_object_unref(object);
	am_trigger_free(owners);
	am_stores_free(stores);
	finish();
}
END_TEST

/* "Come back after a minute" is at the latest: an event brings it at once, and the minute begins anew. */
START_TEST(rule_46_requeue_after_is_at_the_latest)
{
	after_s = 60;
	begin(&(struct am_trigger_options){.map = AM_MAP_SELF});
	start_watching("a");
	ck_assert_int_eq(am_controller_start(controller, NULL), 0);
	EVENTUALLY(calls == 1 && am_queue_delayed(queue) == 1);
	am_clock_fake_advance(test_clock, 30 * S);
	event("MODIFIED", "a", "11");
	EVENTUALLY(calls == 2 && am_queue_delayed(queue) == 1);
	am_clock_fake_advance(test_clock, 59 * S);
	ck_assert_uint_eq(am_queue_delayed(queue), 1);
	ck_assert_int_eq(calls, 2);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(calls == 3);
	finish();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rule_44_a_run_reads_what_is_there_when_it_begins);
	tcase_add_test(tc, rule_14_who_blocks_does_not_block_the_stream);
	tcase_add_test(tc, rule_11_a_child_before_its_owner_is_normal);
	tcase_add_test(tc, rule_46_requeue_after_is_at_the_latest);
}

UNIT_MAIN("flow", cases)
