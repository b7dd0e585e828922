/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of core/queue.  Names follow frameworks.md 5.2 and 5.3. */
#include "tests/unit/queue.h"

static double
metric(const char *name, const char *priority)
{
	const char *labels[] = { "name", "mx", "controller", "mx", priority != NULL ? "priority" : NULL, priority, NULL };

	return am_metric_value(am_metric(strstr(name, "duration") != NULL ? AM_HISTOGRAM :
					 strstr(name, "total") != NULL ? AM_COUNTER : AM_GAUGE, name, "", labels, NULL));
}

static struct am_queue *unnamed;

static void
begin_metered(void)
{
	unnamed = q;
	q = am_queue_new("mx", test_clock);
}

static void
end_metered(void)
{
	am_queue_free(q);
	q = unnamed;
}

START_TEST(MX1_adds_count_what_was_not_wanted_yet)
{
	const struct am_queue_item *item;

	begin_metered();
	add("a");
	add("a");
	ck_assert(metric("workqueue_adds_total", NULL) == 1);
	item = take_named("a");
	add("a");
	add("a");
	ck_assert(metric("workqueue_adds_total", NULL) == 2);
	am_queue_done(q, item);
	later("b", 1 * S); /* counted when it is due */
	ck_assert(metric("workqueue_adds_total", NULL) == 2);
	am_clock_fake_advance(test_clock, 1 * S);
	ck_assert_uint_eq(am_queue_len(q), 2);
	ck_assert(metric("workqueue_adds_total", NULL) == 3);
	end_metered();
}
END_TEST

START_TEST(MX2_depth_is_what_is_ready)
{
	const struct am_queue_item *item;

	begin_metered();
	add("a");
	am_queue_add(q, "ns", "l", AM_QUEUE_LOW);
	later("d", 1 * S);
	ck_assert(metric("workqueue_depth", "0") == 1);
	ck_assert(metric("workqueue_depth", "-100") == 1);
	item = take_named("a");
	add("a"); /* ready only when it is done */
	ck_assert(metric("workqueue_depth", "0") == 0);
	am_queue_done(q, item);
	ck_assert(metric("workqueue_depth", "0") == 1);
	am_queue_shutdown(q);
	ck_assert(metric("workqueue_depth", "0") == 0);
	ck_assert(metric("workqueue_depth", "-100") == 0);
	end_metered();
}
END_TEST

START_TEST(MX3_latency_counts_from_the_first_add)
{
	const struct am_queue_item *item;

	begin_metered();
	add("a");
	am_clock_fake_advance(test_clock, 2 * S);
	add("a");
	am_clock_fake_advance(test_clock, 1 * S);
	item = take_named("a");
	ck_assert_int_eq(item->queued_ns, 3 * S);
	ck_assert(metric("workqueue_queue_duration_seconds", NULL) == 1);
	am_queue_done(q, item);
	end_metered();
}
END_TEST

START_TEST(MX4_work_is_measured_for_each_item)
{
	am_auto(am_buf_fini) struct am_buf page = { 0 };
	const struct am_queue_item *item;

	begin_metered();
	add("a");
	item = take_named("a");
	am_clock_fake_advance(test_clock, 2 * S);
	ck_assert(metric("workqueue_work_duration_seconds", NULL) == 0);
	am_queue_done(q, item);
	ck_assert(metric("workqueue_work_duration_seconds", NULL) == 1);
	am_metric_page(&page);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&page), "workqueue_work_duration_seconds_sum{name=\"mx\",controller=\"mx\"} 2\n"));
	end_metered();
}
END_TEST

START_TEST(MX5_unfinished_work_and_the_longest)
{
	const struct am_queue_item *a, *b;

	begin_metered();
	add("a");
	add("b");
	a = take_named("a");
	am_clock_fake_advance(test_clock, 2 * S);
	b = take_named("b");
	am_clock_fake_advance(test_clock, 1 * S);
	am_queue_refresh_metrics(q);
	ck_assert(metric("workqueue_unfinished_work_seconds", NULL) == 4);
	ck_assert(metric("workqueue_longest_running_processor_seconds", NULL) == 3);
	am_queue_done(q, a);
	am_queue_done(q, b);
	am_queue_refresh_metrics(q);
	ck_assert(metric("workqueue_unfinished_work_seconds", NULL) == 0);
	ck_assert(metric("workqueue_longest_running_processor_seconds", NULL) == 0);
	end_metered();
}
END_TEST

START_TEST(MX6_MX7_retries_count_until_the_shutdown)
{
	begin_metered();
	later("b", 1 * S);
	(void)am_queue_add_backoff(q, "ns", "b", 0);
	(void)am_queue_add_requeue(q, "ns", "b", 0);
	ck_assert(metric("workqueue_retries_total", NULL) == 3);
	am_queue_shutdown(q);
	add("z");
	later("z", 1);
	ck_assert(metric("workqueue_retries_total", NULL) == 3);
	ck_assert(metric("workqueue_adds_total", NULL) == 0);
	end_metered();
}
END_TEST

START_TEST(PQ11_depth_for_each_priority_and_no_more_than_25)
{
	begin_metered();
	for (int i = 1; i <= 40; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%d", i);
		am_queue_add(q, "ns", name, i);
	}
	ck_assert(metric("workqueue_depth", "1") == 1);
	ck_assert(metric("workqueue_depth", "23") == 1);
	ck_assert(metric("workqueue_depth", "exceeded_cardinality_limit") == 17);
	am_queue_add(q, "ns", "n1", 23); /* raised */
	ck_assert(metric("workqueue_depth", "1") == 0);
	ck_assert(metric("workqueue_depth", "23") == 2);
	for (int last = 41; last > 2; last = 2) { /* the highest first, also among those that share a series */
		const struct am_queue_item *item;

		while ((item = take()) != NULL) {
			ck_assert_int_le(item->priority, last);
			last = item->priority;
			am_queue_done(q, item);
		}
	}
	ck_assert(metric("workqueue_depth", "23") == 0);
	ck_assert(metric("workqueue_depth", "exceeded_cardinality_limit") == 0);
	end_metered();
}
END_TEST

START_TEST(MX8_a_queue_without_name_exports_nothing)
{
	am_auto(am_buf_fini) struct am_buf page = { 0 };

	add("a");
	finish("a");
	am_metric_page(&page);
	ck_assert_ptr_null(strstr(am_buf_str(&page), "workqueue"));
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, MX1_adds_count_what_was_not_wanted_yet);
	tcase_add_test(tc, MX2_depth_is_what_is_ready);
	tcase_add_test(tc, MX3_latency_counts_from_the_first_add);
	tcase_add_test(tc, MX4_work_is_measured_for_each_item);
	tcase_add_test(tc, MX5_unfinished_work_and_the_longest);
	tcase_add_test(tc, MX6_MX7_retries_count_until_the_shutdown);
	tcase_add_test(tc, PQ11_depth_for_each_priority_and_no_more_than_25);
	tcase_add_test(tc, MX8_a_queue_without_name_exports_nothing);
}

UNIT_MAIN("queue_metrics", cases)
