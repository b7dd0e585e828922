/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/control with real workers on a fake clock.  Names follow frameworks.md 5.7.  A call of the scripted reconciler
 * takes its behaviour from `plan`, and one that blocks does so until the test lets it go.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/control/control.h"
#include "tests/lib/unit.h"
#include "tests/lib/eventually.h"

#define S  AM_NS_PER_S
#define MS AM_NS_PER_MS

static struct am_clock *test_clock;
static struct am_controller *c;
static struct am_queue *q;

/* What the next calls do. */
static struct {
	atomic_int rc, terminal, block, obey, retry_after_ms, requeue, prioritized, priority;
	atomic_llong requeue_after;
} plan;
static atomic_int calls, inside, most_inside, ended, gate_open, late_calls, stuck_calls, cancel_seen, turned_away;
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_key[64], last_id[80]; /* last_lock */
static atomic_int last_priority, last_failures;
static atomic_llong last_deadline;

static int
reconcile(void *arg, struct am_reconcile *call, struct ambient_error *err)
{
	int now = atomic_fetch_add(&inside, 1) + 1;
	int most = atomic_load(&most_inside);

	while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
		;
	(void)pthread_mutex_lock(&last_lock);
	(void)snprintf(last_key, sizeof(last_key), "%s/%s", call->ns, call->name);
	(void)snprintf(last_id, sizeof(last_id), "%s", call->id);
	(void)pthread_mutex_unlock(&last_lock);
	last_priority = call->priority;
	last_failures = (int)call->failures;
	last_deadline = call->deadline;
	call->requeue_after = plan.requeue_after;
	call->requeue = plan.requeue;
	call->prioritized = plan.prioritized;
	call->new_priority = plan.priority;
	int rc = plan.rc, terminal = plan.terminal, retry = plan.retry_after_ms;
	atomic_fetch_add(&calls, 1);
	while (plan.block) {
		if (__atomic_load_n(call->cancelled, __ATOMIC_ACQUIRE)) {
			cancel_seen = 1;
			if (plan.obey) {
				rc = -AMBIENT_E_CANCELLED;
				break;
			}
		}
		nap();
	}
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&ended, 1);
	if (rc < 0) {
		(void)ambient_err(err, -rc, "scripted");
		err->retry_after_ms = retry;
		if (terminal)
			err->flags |= AMBIENT_ERROR_TERMINAL;
	}
	return rc;
}

static bool
may_start(void *arg)
{
	bool open = gate_open;

	atomic_fetch_add(&turned_away, !open);
	return open;
}

/* Names that begin with this are another replica's; '\0': none. */
static _Atomic(char) foreign;
static atomic_int told_ended;

static bool
owns(void *arg, const char *ns, const char *name)
{
	return name[0] != foreign;
}

static void
told(void *arg, const char *ns, const char *name)
{
	atomic_fetch_add(&told_ended, 1);
}

static bool
begins_with(void *arg, const char *ns, const char *name)
{
	return name[0] == *(const char *)arg;
}

static void
late(void *arg, const char *ns, const char *name, bool stuck)
{
	ck_assert_str_eq(ns, "ns");
	atomic_fetch_add(stuck ? &stuck_calls : &late_calls, 1);
}

static void
make(int workers)
{
	struct am_controller_options options = { .name = "test", .workers = workers, .clock = test_clock, .reconcile = reconcile,
						 .may_start = may_start, .late = late, .deadline_ns = 100 * S, .owns = owns, .ended = told };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_controller_new(&options, &c, &err) == 0, "%s", err.message);
	q = am_controller_queue(c);
	ck_assert_int_eq(am_controller_start(c, &err), 0);
}

static void
setup(void)
{
	am_log_capture(NULL, NULL);
	am_log_set_level(0);
	test_clock = am_clock_fake_new();
	gate_open = 1;
}

static void
teardown(void)
{
	if (c != NULL) {
		plan.block = 0;
		ck_assert(am_controller_stop(c, AM_FOREVER));
		am_controller_free(c);
	}
	am_clock_fake_free(test_clock);
}

static void
add(const char *name)
{
	am_queue_add(q, "ns", name, AM_QUEUE_NORMAL);
}

static void
count_busy(void *arg, const struct am_queue_view *view)
{
	*(int *)arg += strcmp(view->state, "delayed") != 0;
}

/* What is ready or in hands, at one moment: an item that goes from one to the other is never seen as neither. */
static int
busy(void)
{
	int n = 0;

	am_queue_each(q, SIZE_MAX, count_busy, &n);
	return n;
}

static void
idle(void)
{
	EVENTUALLY(inside == 0 && busy() == 0);
}

static void
check_last(const char *key)
{
	(void)pthread_mutex_lock(&last_lock);
	bool same = strcmp(last_key, key) == 0;
	size_t id = strlen(last_id);
	(void)pthread_mutex_unlock(&last_lock);
	ck_assert_msg(same, "the last call was not for %s", key);
	ck_assert_uint_eq(id, 36); /* CT7 */
}

static double
metric(const char *name, const char *result)
{
	const char *labels[] = { "controller", "test", result != NULL ? "result" : NULL, result, NULL };

	return am_metric_value(am_metric(strstr(name, "seconds") != NULL ? AM_HISTOGRAM : strstr(name, "total") != NULL ?
					 AM_COUNTER : AM_GAUGE, name, "", labels, NULL));
}

START_TEST(CT1_01_called_with_the_request)
{
	make(1);
	am_queue_add(q, "ns", "a", 7);
	EVENTUALLY(ended == 1);
	idle();
	check_last("ns/a");
	ck_assert_int_eq(last_priority, 7);
	ck_assert_int_eq(last_deadline, 1100 * S);
	ck_assert_uint_eq(am_queue_known(q), 0);
}
END_TEST

START_TEST(CT1_02_an_error_is_tried_again_with_backoff)
{
	make(1);
	plan.rc = -AMBIENT_E_UNAVAILABLE;
	am_queue_add(q, "ns", "a", -100);
	EVENTUALLY(ended == 1);
	idle();
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(am_queue_delayed(q), 1);
		ck_assert_int_eq((int)am_queue_failures(q, "ns", "a"), i + 1);
		am_clock_fake_advance(test_clock, (5 << i) * MS);
		EVENTUALLY(ended == i + 2);
		idle();
		ck_assert_int_eq(last_failures, i + 1);
		ck_assert_int_eq(last_priority, -100); /* CT3: kept after an error */
	}
	plan.rc = 0;
	am_clock_fake_advance(test_clock, 80 * MS);
	EVENTUALLY(ended == 6);
	idle();
	ck_assert_uint_eq(am_queue_known(q), 0); /* CT3: reset by success only */
}
END_TEST

START_TEST(CT1_03_a_terminal_error_is_not)
{
	make(1);
	plan.rc = -AMBIENT_E_INVALID;
	plan.terminal = 1;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_uint_eq(am_queue_known(q), 0);
	ck_assert(metric("controller_runtime_terminal_reconcile_errors_total", NULL) == 1);
	ck_assert(metric("controller_runtime_reconcile_errors_total", NULL) == 1);
}
END_TEST

START_TEST(CT3_01_requeue_after_forgets_and_comes_back)
{
	make(1);
	plan.rc = -AMBIENT_E_UNAVAILABLE;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	plan.rc = 0;
	plan.requeue_after = 30 * S;
	am_clock_fake_advance(test_clock, 5 * MS);
	EVENTUALLY(ended == 2);
	idle();
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 0);
	ck_assert_uint_eq(am_queue_delayed(q), 1);
	am_clock_fake_advance(test_clock, 29 * S);
	ck_assert_uint_eq(am_queue_delayed(q), 1);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 3);
}
END_TEST

START_TEST(CT3_02_requeue_comes_back_later_and_later)
{
	make(1);
	plan.requeue = 1;
	am_queue_add(q, "ns", "a", -100);
	EVENTUALLY(ended == 1);
	idle();
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq((int)am_queue_failures(q, "ns", "a"), i + 1);
		am_clock_fake_advance(test_clock, (5 << i) * MS);
		EVENTUALLY(ended == i + 2);
		idle();
		ck_assert_int_eq(last_priority, -100);
	}
	ck_assert(metric("controller_runtime_reconcile_total", "requeue") == 4);
	ck_assert(metric("controller_runtime_reconcile_errors_total", NULL) == 0);
	plan.requeue_after = 1 * S; /* wins, and forgets */
	am_clock_fake_advance(test_clock, 40 * MS);
	EVENTUALLY(ended == 5);
	idle();
	ck_assert_int_eq((int)am_queue_failures(q, "ns", "a"), 0);
	ck_assert(metric("controller_runtime_reconcile_total", "requeue_after") == 1);
}
END_TEST

START_TEST(CT3_03_priority_is_kept_or_what_the_result_says)
{
	make(1);
	plan.requeue_after = 1 * S;
	am_queue_add(q, "ns", "a", -100);
	EVENTUALLY(ended == 1);
	idle();
	plan.prioritized = 1;
	plan.priority = 42;
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 2);
	idle();
	ck_assert_int_eq(last_priority, -100); /* kept */
	plan.prioritized = 0;
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 3);
	idle();
	ck_assert_int_eq(last_priority, 42); /* said */
	plan.requeue_after = 0;
	plan.requeue = 1;
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 4);
	idle();
	ck_assert_int_eq(last_priority, 42);
	plan.prioritized = 1;
	plan.priority = 7;
	plan.rc = -AMBIENT_E_INTERNAL; /* an error beats the result, priority and all */
	am_clock_fake_advance(test_clock, 5 * MS);
	EVENTUALLY(ended == 5);
	idle();
	am_clock_fake_advance(test_clock, 10 * MS);
	EVENTUALLY(ended == 6);
	ck_assert_int_eq(last_priority, 42);
}
END_TEST

START_TEST(CT3_04_rule_47_an_error_beats_requeue_after)
{
	make(1);
	plan.rc = -AMBIENT_E_INTERNAL;
	plan.requeue_after = 1000 * S;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 1);
	am_clock_fake_advance(test_clock, 5 * MS);
	EVENTUALLY(ended == 2);
}
END_TEST

START_TEST(CT3_05_retry_after_of_the_api_server_is_honoured)
{
	make(1);
	plan.rc = -AMBIENT_E_THROTTLED;
	plan.retry_after_ms = 7000;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	am_clock_fake_advance(test_clock, 6 * S);
	ck_assert_uint_eq(am_queue_delayed(q), 1);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 2);
}
END_TEST

START_TEST(CT4_result_label_per_outcome)
{
	static const char *const results[] = { "error", "requeue_after", "requeue", "success" };
	am_auto(am_buf_fini) struct am_buf page = { 0 };

	make(1);
	am_metric_page(&page);
	for (size_t i = 0; i < AM_COUNTOF(results); i++) { /* all four are there from the start */
		am_auto(am_buf_fini) struct am_buf line = { 0 };

		am_buf_addf(&line, "controller_runtime_reconcile_total{controller=\"test\",result=\"%s\"} 0", results[i]);
		ck_assert_msg(strstr(am_buf_str(&page), am_buf_str(&line)) != NULL, "%s", am_buf_str(&line));
	}
	add("a");
	EVENTUALLY(ended == 1);
	plan.requeue_after = 1 * S;
	add("b");
	EVENTUALLY(ended == 2);
	plan.rc = -AMBIENT_E_CONFLICT;
	add("c");
	EVENTUALLY(ended == 3);
	idle();
	ck_assert(metric("controller_runtime_reconcile_total", "success") == 1);
	ck_assert(metric("controller_runtime_reconcile_total", "requeue_after") == 1);
	ck_assert(metric("controller_runtime_reconcile_total", "error") == 1);
	ck_assert(metric("controller_runtime_reconcile_time_seconds", NULL) == 3);
	ck_assert(metric("controller_runtime_active_workers", NULL) == 0);
	ck_assert(metric("controller_runtime_max_concurrent_reconciles", NULL) == 1);
}
END_TEST

static atomic_int logged[5];

static void
captured(void *arg, int level, const char *area, const char *text)
{
	if (strcmp(area, "control") == 0)
		atomic_fetch_add(&logged[level], 1);
}

START_TEST(rule_32_a_conflict_is_not_logged_above_debug)
{
	am_log_set_level(AMBIENT_LOG_DEBUG);
	am_log_capture(captured, NULL);
	make(1);
	plan.rc = -AMBIENT_E_CONFLICT;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_int_eq(logged[AMBIENT_LOG_ERROR] + logged[AMBIENT_LOG_WARN] + logged[AMBIENT_LOG_INFO], 0);
	ck_assert_int_eq(logged[AMBIENT_LOG_DEBUG], 1);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 1);
	plan.rc = -AMBIENT_E_INTERNAL;
	am_clock_fake_advance(test_clock, 5 * MS);
	EVENTUALLY(ended == 2);
	idle();
	ck_assert_int_eq(logged[AMBIENT_LOG_ERROR], 1);
	am_log_capture(NULL, NULL);
}
END_TEST

START_TEST(CT2_a_second_start_errors)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_controller *bad;

	make(1);
	ck_assert_int_eq(am_controller_start(c, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(err.message, "controller \"test\" was already started");
	ck_assert_int_eq(am_controller_new(&(struct am_controller_options){ .name = "x" }, &bad, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_controller_new(&(struct am_controller_options){ .name = "x", .clock = test_clock, .workers = -1,
			 .reconcile = reconcile }, &bad, &err), -AMBIENT_E_INVALID);
	ck_assert_ptr_null(bad);
}
END_TEST

START_TEST(CT6_as_many_calls_as_workers_and_never_two_of_a_name)
{
	char name[16];

	make(3);
	plan.block = 1;
	for (int i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		add(name);
	}
	EVENTUALLY(inside == 3);
	ck_assert_uint_eq(am_queue_len(q), 2);
	plan.block = 0;
	EVENTUALLY(ended == 5);
	ck_assert_int_eq(most_inside, 3);
	plan.block = 1;
	add("x");
	EVENTUALLY(inside == 1);
	add("x"); /* comes back after, not beside */
	ck_assert_uint_eq(am_queue_len(q), 0);
	plan.block = 0;
	EVENTUALLY(ended == 7);
}
END_TEST

/* ---- shared with other replicas */

START_TEST(what_is_not_ours_is_dropped)
{
	make(1);
	foreign = 'x';
	add("x1");
	add("a1");
	EVENTUALLY(told_ended == 1);
	idle();
	check_last("ns/a1");
	ck_assert_uint_eq(am_queue_known(q), 0);
	foreign = '\0';
	add("x1");
	EVENTUALLY(told_ended == 2);
	check_last("ns/x1");
}
END_TEST

START_TEST(what_is_added_while_it_is_dropped_is_not_lost)
{
	make(2);
	for (int i = 0; i < 2000; i++) { /* ours again and added, beside a worker that takes it for another's */
		int before = told_ended;

		foreign = 'x';
		add("x");
		foreign = '\0';
		add("x");
		EVENTUALLY(told_ended > before);
		idle();
	}
}
END_TEST

START_TEST(a_name_that_is_given_away_runs_out)
{
	char x = 'x', a = 'a';

	make(2);
	plan.block = 1;
	plan.obey = 1;
	add("x1");
	EVENTUALLY(inside == 1);
	foreign = 'x'; /* from here on none of them starts, so that the first "no" is final */
	add("x1");
	add("x2");
	EVENTUALLY(am_queue_len(q) == 0);
	ck_assert(am_controller_busy(c, begins_with, &x));
	ck_assert(!am_controller_busy(c, begins_with, &a));
	am_controller_cancel(c, begins_with, &a);
	ck_assert_int_eq(cancel_seen, 0);
	am_controller_cancel(c, begins_with, &x);
	EVENTUALLY(told_ended == 1);
	ck_assert(!am_controller_busy(c, begins_with, &x));
	idle();
	ck_assert_int_eq(calls, 1);
	ck_assert_uint_eq(am_queue_known(q), 0);
}
END_TEST

/* ---- deadlines */

START_TEST(CT1_04_deadline_sets_the_flag_and_tells)
{
	struct am_controller_status status;

	make(1);
	plan.block = 1;
	plan.obey = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 99 * S);
	ck_assert_int_eq(late_calls, 0);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(ended == 1);
	ck_assert_int_eq(cancel_seen, 1);
	EVENTUALLY(late_calls == 1);
	idle();
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 1);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 1); /* that is its fault: backoff */
	am_controller_status(c, &status);
	ck_assert_int_eq(status.stuck, 0);
	ck_assert_str_eq(status.last_error, "ns/a: scripted");
	ck_assert_int_eq(stuck_calls, 0);
}
END_TEST

START_TEST(CT1_05_a_call_that_ends_in_time_is_no_timeout)
{
	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 99 * S);
	plan.block = 0;
	EVENTUALLY(ended == 1);
	idle();
	am_clock_fake_advance(test_clock, 500 * S);
	ck_assert_int_eq(late_calls + stuck_calls, 0);
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 0);
}
END_TEST

/* The watchdog sleeps until the first call's deadline, and is not woken for the second's. */
START_TEST(a_call_behind_one_that_has_ended_has_its_own_deadline)
{
	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 60 * S);
	plan.block = 0;
	EVENTUALLY(ended == 1);
	idle();
	plan.block = 1;
	plan.obey = 1;
	add("b");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 99 * S); /* past the first's */
	ck_assert_int_eq(late_calls, 0);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(late_calls == 1);
	EVENTUALLY(ended == 2);
	idle();
}
END_TEST

START_TEST(CT1_06_its_own_cancelled_error_is_an_error)
{
	make(1);
	plan.rc = -AMBIENT_E_CANCELLED;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 1);
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 0);
}
END_TEST

/* frameworks.md 5.7: a timeout of the reconciler's own is its error, and none of ours. */
START_TEST(CT1_07_its_own_timeout_is_an_error)
{
	make(1);
	plan.rc = -AMBIENT_E_TIMEOUT;
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 1);
	ck_assert(metric("controller_runtime_reconcile_errors_total", NULL) == 1);
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 0);
	ck_assert_int_eq(late_calls, 0);
}
END_TEST

START_TEST(CT1_08_a_call_that_was_cancelled_from_outside_is_no_timeout)
{
	make(1);
	plan.block = 1;
	plan.obey = 1;
	plan.rc = -AMBIENT_E_CANCELLED;
	add("a");
	EVENTUALLY(inside == 1);
	am_controller_pause(c);
	ck_assert(am_controller_wait_idle(c, AM_FOREVER));
	am_clock_fake_advance(test_clock, 500 * S);
	ck_assert_int_eq(cancel_seen, 1);
	ck_assert_int_eq(late_calls + stuck_calls, 0);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 0);
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 0);
	ck_assert(metric("controller_runtime_reconcile_errors_total", NULL) == 0);
}
END_TEST

START_TEST(CT1_09_a_late_success_is_a_success)
{
	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 100 * S);
	EVENTUALLY(late_calls == 1);
	plan.block = 0;
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_uint_eq(am_queue_known(q), 0);
	ck_assert(metric("controller_runtime_reconcile_total", "success") == 1);
	ck_assert(metric("controller_runtime_reconcile_timeouts_total", NULL) == 1);
	plan.block = 1; /* the worker's next call has a deadline of its own */
	add("b");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 100 * S);
	EVENTUALLY(late_calls == 2);
	ck_assert_int_eq(stuck_calls, 0);
	plan.block = 0;
	EVENTUALLY(ended == 2);
}
END_TEST

START_TEST(CT1_10_at_twice_the_deadline_the_worker_is_replaced_and_the_name_held)
{
	struct am_controller_status status;

	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 100 * S);
	EVENTUALLY(late_calls == 1);
	add("b");
	am_clock_fake_advance(test_clock, 99 * S);
	ck_assert_int_eq(stuck_calls, 0);
	am_clock_fake_advance(test_clock, 1 * S);
	EVENTUALLY(stuck_calls == 1);
	EVENTUALLY(calls == 2); /* the new worker does the rest */
	check_last("ns/b");
	add("a");
	ck_assert_uint_eq(am_queue_len(q), 0); /* held */
	am_controller_status(c, &status);
	ck_assert_int_eq(status.stuck, 1);
	ck_assert_int_eq(status.active, 2);
	ck_assert(metric("ambient_controller_stuck_reconciles", NULL) == 1);
	plan.block = 0;
	EVENTUALLY(ended == 3); /* a again, once the first call has come back */
	idle();
	am_controller_status(c, &status);
	ck_assert_int_eq(status.stuck, 0);
	ck_assert_int_eq(most_inside, 2);
	ck_assert(metric("ambient_controller_stuck_reconciles", NULL) == 0);
	ck_assert(metric("ambient_controller_stuck_reconciles_total", NULL) == 1);
}
END_TEST

/* What a reconciler says carries whose and which call it is. */
static int
talk(void *arg, struct am_reconcile *call, struct ambient_error *err)
{
	am_log_info("test-plugin", "hello");
	(void)snprintf(last_id, sizeof(last_id), "reconcileID=%s", call->id);
	atomic_fetch_add(&ended, 1);
	return 0;
}

START_TEST(CT7_log_lines_name_controller_object_and_call)
{
	struct am_controller_options options = { .name = "test", .workers = 1, .clock = test_clock, .reconcile = talk };

	char words[1024] = "";
	FILE *out = tmpfile();

	ck_assert_int_eq(dup2(fileno(out), STDERR_FILENO), STDERR_FILENO); /* each test has a process of its own */
	am_log_set_level(AMBIENT_LOG_INFO);
	ck_assert_int_eq(am_controller_new(&options, &c, NULL), 0);
	q = am_controller_queue(c);
	ck_assert_int_eq(am_controller_start(c, NULL), 0);
	add("a");
	EVENTUALLY(ended == 1);
	idle();
	ck_assert_int_gt((int)pread(fileno(out), words, sizeof(words) - 1, 0), 0);
	ck_assert_msg(strstr(words, "hello") != NULL && strstr(words, "controller=test") != NULL &&
		      strstr(words, "namespace=ns") != NULL && strstr(words, "name=a") != NULL && strstr(words, last_id) != NULL,
		      "%s lacks %s or another", words, last_id);
	(void)fclose(out);
}
END_TEST

/* What the watchdog says names controller, plugin and object, and how long. */
static char said[3][256];
static atomic_int said_count;

static void
hear(void *arg, int level, const char *area, const char *text)
{
	int i = strcmp(area, "control") == 0 && level <= AMBIENT_LOG_WARN ? atomic_fetch_add(&said_count, 1) : 3;

	if (i < 3)
		(void)snprintf(said[i], sizeof(said[i]), "%s", text);
}

START_TEST(CT1_11_the_watchdog_names_plugin_object_and_age)
{
	am_log_set_level(AMBIENT_LOG_WARN);
	am_log_capture(hear, NULL);
	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_clock_fake_advance(test_clock, 100 * S);
	EVENTUALLY(late_calls == 1);
	am_clock_fake_advance(test_clock, 100 * S);
	EVENTUALLY(stuck_calls == 1);
	plan.block = 0;
	EVENTUALLY(ended == 1);
	idle();
	am_log_capture(NULL, NULL);
	ck_assert_int_eq(said_count, 2);
	ck_assert_ptr_nonnull(strstr(said[0], "a reconcile runs for 100s, longer than it may: asked it to end"));
	ck_assert_ptr_nonnull(strstr(said[1], "a reconcile does not end after 3m20s: its worker is replaced"));
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(strstr(said[i], "plugin=test") != NULL && strstr(said[i], "namespace=ns") != NULL &&
			      strstr(said[i], "name=a") != NULL, "%s", said[i]);
	}
}
END_TEST

/* ---- why did this run? */

static void
check_explained_elsewhere(const char *name, const char *elsewhere, const char *part)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	ck_assert(am_controller_explain(c, "ns", name, elsewhere, &out));
	ck_assert_msg(strstr(am_buf_str(&out), part) != NULL, "%s\nis not in\n%s", part, am_buf_str(&out));
}

static void
check_explained(const char *name, const char *part)
{
	check_explained_elsewhere(name, NULL, part);
}

START_TEST(what_a_run_asked_for_is_a_cause_of_the_next)
{
	am_auto(am_buf_fini) struct am_buf none = { 0 };

	make(1);
	ck_assert(!am_controller_explain(c, "ns", "a", NULL, &none));
	plan.rc = -AMBIENT_E_UNAVAILABLE;
	am_queue_add_for(q, "ns", "a", 0, 0, &(struct am_cause){ .type = AM_CAUSE_CHANGED, .kind = "v1/pods", .ns = "ns", .name = "p",
						       .old_rv = "7", .new_rv = "8" });
	EVENTUALLY(ended == 1);
	idle();
	check_explained("a", "{\"controller\":\"test\",\"namespace\":\"ns\",\"name\":\"a\",\"state\":\"delayed\",\"for\":5,"
			     "\"paused\":false,\"priority\":0,\"failures\":1,\"runs\":1,\"backoff\":5,\"started\":0,\"took\":0,"
			     "\"error\":\"scripted\",\"causes\":[{\"run\":2,\"cause\":\"backoff\",\"age\":0,\"count\":1,\"delay\":5},"
			     "{\"run\":1,\"cause\":\"changed\",\"age\":0,\"count\":1,\"kind\":\"v1/pods\",\"object\":\"ns/p\","
			     "\"oldResourceVersion\":\"7\",\"newResourceVersion\":\"8\"}]}");
	plan.retry_after_ms = 7000;
	am_clock_fake_advance(test_clock, 5 * MS);
	EVENTUALLY(ended == 2);
	idle();
	check_explained("a", "[{\"run\":3,\"cause\":\"retry after\",\"age\":0,\"count\":1,\"delay\":7000}");
	plan.terminal = 1;
	am_clock_fake_advance(test_clock, 7 * S);
	EVENTUALLY(ended == 3);
	idle();
	check_explained("a", "\"state\":\"idle\"");
	check_explained_elsewhere("a", "b leads", ",\"elsewhere\":\"b leads\",\"causes\":[");
	check_explained("a", "\"error\":\"scripted\""); /* failed for good: that is why it is idle */
	plan.rc = plan.terminal = 0;
	plan.requeue_after = 30 * S;
	add("a");
	EVENTUALLY(ended == 4);
	idle();
	check_explained("a", "[{\"run\":5,\"cause\":\"requeue after\",\"age\":0,\"count\":1,\"delay\":30000},"
			     "{\"run\":4,\"cause\":\"request\",");
	am_buf_fini(&none);
	ck_assert(am_controller_explain(c, "ns", "a", NULL, &none));
	ck_assert_ptr_null(strstr(am_buf_str(&none), "\"error\"")); /* forgotten by a success */
}
END_TEST

START_TEST(what_a_pause_cut_off_is_put_back)
{
	make(1);
	plan.block = 1;
	plan.obey = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_controller_pause(c);
	ck_assert(am_controller_wait_idle(c, AM_FOREVER));
	EVENTUALLY(am_queue_len(q) == 1);
	check_explained("a", "\"paused\":true");
	check_explained("a", "[{\"run\":2,\"cause\":\"put back\"");
	plan.block = 0;
}
END_TEST

/* ---- lease, pause, stop */

START_TEST(rule_49_no_call_starts_behind_a_closed_gate)
{
	gate_open = 0;
	make(2);
	add("a");
	add("b");
	/* Nothing is lost; what a worker was turned away with is put back. */
	EVENTUALLY(turned_away > 0 && am_queue_len(q) == 2);
	ck_assert_int_eq(calls, 0);
	gate_open = 1;
	EVENTUALLY((am_controller_kick(c), ended == 2)); /* more than once: the other worker may just be turned away */
	gate_open = 0;
	turned_away = 0;
	add("c");
	EVENTUALLY(turned_away > 0 && am_queue_len(q) == 1);
	ck_assert_int_eq(calls, 2);
	gate_open = 1;
	EVENTUALLY((am_clock_fake_advance(test_clock, 250 * MS), ended == 3)); /* or it is seen by itself */
}
END_TEST

START_TEST(CT5_03_pause_keeps_collecting_and_resume_goes_on)
{
	struct am_controller_status status;

	make(2);
	plan.block = 1;
	plan.obey = 1;
	add("a");
	EVENTUALLY(inside == 1);
	am_controller_pause(c);
	ck_assert(am_controller_wait_idle(c, AM_FOREVER));
	ck_assert_int_eq(cancel_seen, 1);
	add("b");
	EVENTUALLY(am_queue_len(q) == 2); /* a came back at once: it did not fail */
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 0);
	ck_assert_int_eq(calls, 1);
	am_controller_status(c, &status);
	ck_assert(status.paused);
	plan.block = 0;
	am_controller_resume(c);
	EVENTUALLY(ended == 3);
}
END_TEST

START_TEST(CT5_04_paused_before_start)
{
	struct am_controller_options options = { .name = "test", .workers = 1, .clock = test_clock, .reconcile = reconcile };

	ck_assert_int_eq(am_controller_new(&options, &c, NULL), 0);
	q = am_controller_queue(c);
	am_controller_pause(c);
	ck_assert_int_eq(am_controller_start(c, NULL), 0);
	add("a");
	ck_assert(am_clock_fake_wait_waiters(test_clock, 2));
	ck_assert_int_eq(calls, 0);
	am_controller_resume(c);
	EVENTUALLY(ended == 1);
}
END_TEST

START_TEST(MG2_01_stop_waits_for_calls_and_drops_the_queue)
{
	make(1);
	plan.block = 1;
	plan.obey = 1;
	add("a");
	EVENTUALLY(inside == 1);
	add("b");
	ck_assert(am_controller_stop(c, AM_FOREVER));
	ck_assert_int_eq(ended, 1);
	ck_assert_int_eq(calls, 1);
	ck_assert_uint_eq(am_queue_known(q), 0);
	add("c");
	ck_assert_uint_eq(am_queue_len(q), 0);
}
END_TEST

START_TEST(MG2_02_stop_leaves_behind_what_does_not_end)
{
	make(1);
	plan.block = 1;
	add("a");
	EVENTUALLY(inside == 1);
	ck_assert(!am_controller_stop(c, am_clock_boot(test_clock)));
	ck_assert_int_eq(ended, 0);
	am_controller_free(c); /* must not pull the floor from under it */
	plan.block = 0;
	EVENTUALLY(ended == 1);
	ck_assert(am_controller_stop(c, AM_FOREVER)); /* and may be asked again */
}
END_TEST

START_TEST(MG6_never_started)
{
	struct am_controller_options options = { .name = "test", .clock = test_clock, .reconcile = reconcile };

	ck_assert_int_eq(am_controller_new(&options, &c, NULL), 0);
	ck_assert_str_eq(am_controller_name(c), "test");
	am_controller_free(c);
	ck_assert_int_eq(am_controller_new(&options, &c, NULL), 0);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, CT1_01_called_with_the_request);
	tcase_add_test(tc, CT1_02_an_error_is_tried_again_with_backoff);
	tcase_add_test(tc, CT1_03_a_terminal_error_is_not);
	tcase_add_test(tc, CT1_04_deadline_sets_the_flag_and_tells);
	tcase_add_test(tc, CT1_05_a_call_that_ends_in_time_is_no_timeout);
	tcase_add_test(tc, a_call_behind_one_that_has_ended_has_its_own_deadline);
	tcase_add_test(tc, CT1_06_its_own_cancelled_error_is_an_error);
	tcase_add_test(tc, CT1_07_its_own_timeout_is_an_error);
	tcase_add_test(tc, CT1_08_a_call_that_was_cancelled_from_outside_is_no_timeout);
	tcase_add_test(tc, CT1_09_a_late_success_is_a_success);
	tcase_add_test(tc, CT1_10_at_twice_the_deadline_the_worker_is_replaced_and_the_name_held);
	tcase_add_test(tc, CT2_a_second_start_errors);
	tcase_add_test(tc, CT3_01_requeue_after_forgets_and_comes_back);
	tcase_add_test(tc, CT3_04_rule_47_an_error_beats_requeue_after);
	tcase_add_test(tc, CT3_02_requeue_comes_back_later_and_later);
	tcase_add_test(tc, CT3_03_priority_is_kept_or_what_the_result_says);
	tcase_add_test(tc, CT7_log_lines_name_controller_object_and_call);
	tcase_add_test(tc, CT1_11_the_watchdog_names_plugin_object_and_age);
	tcase_add_test(tc, what_a_run_asked_for_is_a_cause_of_the_next);
	tcase_add_test(tc, what_a_pause_cut_off_is_put_back);
	tcase_add_test(tc, CT3_05_retry_after_of_the_api_server_is_honoured);
	tcase_add_test(tc, CT4_result_label_per_outcome);
	tcase_add_test(tc, CT5_03_pause_keeps_collecting_and_resume_goes_on);
	tcase_add_test(tc, CT5_04_paused_before_start);
	tcase_add_test(tc, what_is_not_ours_is_dropped);
	tcase_add_test(tc, what_is_added_while_it_is_dropped_is_not_lost);
	tcase_add_test(tc, a_name_that_is_given_away_runs_out);
	tcase_add_test(tc, CT6_as_many_calls_as_workers_and_never_two_of_a_name);
	tcase_add_test(tc, rule_49_no_call_starts_behind_a_closed_gate);
	tcase_add_test(tc, MG2_01_stop_waits_for_calls_and_drops_the_queue);
	tcase_add_test(tc, MG2_02_stop_leaves_behind_what_does_not_end);
	tcase_add_test(tc, MG6_never_started);
	tcase_add_test(tc, rule_32_a_conflict_is_not_logged_above_debug);
}

UNIT_MAIN("controller", cases)
