/* SPDX-License-Identifier: Apache-2.0 */
/* core/queue, on one thread: order, collapsing, delays, backoff, turns, causes.  Names follow frameworks.md 5.2 and 5.3. */
#include "tests/unit/queue.h"

START_TEST(WQ3_duplicates_before_get_count_once)
{
	add("a");
	add("a");
	add("a");
	ck_assert_uint_eq(am_queue_len(q), 1);
	finish("a");
	ck_assert_ptr_null(take());
	ck_assert_uint_eq(am_queue_len(q), 0);
}
END_TEST

START_TEST(WQ2_added_while_processing_comes_once_more)
{
	const struct am_queue_item *item;

	add("a");
	item = take_named("a");
	add("a");
	add("a");
	ck_assert_ptr_null(take()); /* never in parallel */
	am_queue_done(q, item);
	finish("a");
	ck_assert_ptr_null(take());
}
END_TEST

START_TEST(WQ4_readd_then_done_then_done_leaves_it_empty)
{
	const struct am_queue_item *item;

	add("foo");
	item = take_named("foo");
	add("foo");
	am_queue_done(q, item);
	ck_assert_uint_eq(am_queue_len(q), 1);
	finish("foo");
	ck_assert_uint_eq(am_queue_len(q), 0);
	ck_assert_uint_eq(am_queue_processing(q), 0);
}
END_TEST

START_TEST(WQ5_repeated_add_keeps_the_place)
{
	add("a");
	add("b");
	add("a");
	ck_assert_uint_eq(am_queue_len(q), 2);
	finish("a");
	finish("b");
}
END_TEST

START_TEST(WQ11_rule_45_finished_items_are_forgotten)
{
	char name[16];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		add(name);
		finish(name);
	}
	ck_assert_uint_eq(am_queue_known(q), 0);
	am_queue_add_backoff(q, "ns", "x", 0);
	am_clock_fake_advance(test_clock, 5 * MS);
	finish("x");
	ck_assert_uint_eq(am_queue_known(q), 1); /* its failures */
	am_queue_forget(q, "ns", "x");
	ck_assert_uint_eq(am_queue_known(q), 0);
}
END_TEST

START_TEST(WQ12_get_on_shut_queue_returns_at_once)
{
	add("a");
	am_queue_shutdown(q);
	ck_assert_ptr_null(am_queue_get(q));
	add("b");
	later("c", 1);
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "d", 0), 0);
	ck_assert_uint_eq(am_queue_len(q) + am_queue_delayed(q), 0);
	ck_assert_uint_eq(am_queue_known(q), 0);
}
END_TEST

START_TEST(WQ8_what_was_to_come_back_does_not_after_a_shutdown)
{
	const struct am_queue_item *item;

	add("a");
	item = take_named("a");
	add("a");
	am_queue_shutdown(q);
	am_queue_done(q, item);
	ck_assert_uint_eq(am_queue_len(q), 0);
	ck_assert_uint_eq(am_queue_known(q), 0);
	ck_assert_ptr_null(am_queue_get(q));
}
END_TEST

START_TEST(WQ7_WQ10_drain_hands_out_what_is_ready_and_what_comes_back)
{
	const struct am_queue_item *a;

	add("a");
	add("b");
	later("c", 10 * MS);
	a = take_named("a");
	add("a");
	ck_assert(!am_queue_drain(q, 1)); /* a deadline in the past: only begins to drain */
	add("d");
	finish("b");
	am_queue_done(q, a);
	finish("a");
	ck_assert(am_queue_drain(q, 1));
	ck_assert_ptr_null(am_queue_get(q));
}
END_TEST

START_TEST(keys_of_namespaced_and_cluster_scoped_objects_differ)
{
	const struct am_queue_item *item;

	am_queue_add(q, NULL, "x", 0);
	am_queue_add(q, "", "x", 0);
	am_queue_add(q, "x", "x", 0);
	ck_assert_uint_eq(am_queue_len(q), 2);
	item = take();
	ck_assert_str_eq(item->ns, "");
	ck_assert_str_eq(item->name, "x");
	am_queue_done(q, item);
	item = take();
	ck_assert_str_eq(item->ns, "x");
	ck_assert_str_eq(item->name, "x");
	am_queue_done(q, item);
}
END_TEST

/* ---- delays */

START_TEST(DQ1_appears_only_after_its_delay)
{
	later("a", 50 * MS);
	ck_assert_ptr_null(take());
	am_clock_fake_advance(test_clock, 49 * MS);
	ck_assert_ptr_null(take());
	am_clock_fake_advance(test_clock, 1 * MS);
	finish("a");
}
END_TEST

START_TEST(DQ2_the_earlier_deadline_wins)
{
	later("a", 50 * MS);
	later("a", 70 * MS);
	am_clock_fake_advance(test_clock, 50 * MS);
	finish("a");
	am_clock_fake_advance(test_clock, 20 * MS);
	ck_assert_ptr_null(take());

	later("a", 50 * MS);
	later("a", 30 * MS);
	ck_assert_uint_eq(am_queue_delayed(q), 1);
	am_clock_fake_advance(test_clock, 30 * MS);
	finish("a");
	am_clock_fake_advance(test_clock, 20 * MS);
	ck_assert_ptr_null(take());

	later("a", 10 * MS);
	am_clock_fake_advance(test_clock, 10 * MS);
	finish("a");
}
END_TEST

START_TEST(DQ3_fire_in_time_order)
{
	later("one", 1000 * MS);
	later("two", 500 * MS);
	am_clock_fake_advance(test_clock, 500 * MS);
	finish("two");
	ck_assert_ptr_null(take());
	am_clock_fake_advance(test_clock, 500 * MS);
	finish("one");
}
END_TEST

START_TEST(DQ4_mixed_delays_keep_heap_order)
{
	later("foo", 1 * S);
	later("bar", 500 * MS);
	later("baz", 250 * MS);
	am_clock_fake_advance(test_clock, 2 * S);
	finish("baz");
	finish("bar");
	finish("foo");
}
END_TEST

START_TEST(DQ5_no_delay_is_now)
{
	later("a", 0);
	later("b", -5);
	finish("a");
	finish("b");
	ck_assert_uint_eq(am_queue_delayed(q), 0);
}
END_TEST

START_TEST(DQ6_time_alone_brings_nothing)
{
	for (int i = 0; i < 10; i++) {
		am_clock_fake_advance(test_clock, 10 * S);
		ck_assert_ptr_null(take());
	}
}
END_TEST

START_TEST(DQ7_shutdown_with_delayed_items)
{
	later("a", 10 * MS);
	later("b", 20 * MS);
	am_queue_shutdown(q);
	am_clock_fake_advance(test_clock, 1 * S);
	ck_assert_ptr_null(am_queue_get(q));
	ck_assert_uint_eq(am_queue_known(q), 0);
}
END_TEST

START_TEST(DQ_random_delays_come_out_sorted)
{
	char name[24];
	int64_t last = -1;

	srand(7);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(name, sizeof(name), "%d", rand() % 100000);
		later(name, atoi(name) * MS + 1);
	}
	am_clock_fake_advance(test_clock, 200 * S);
	for (const struct am_queue_item *item; (item = take()) != NULL;) {
		ck_assert_int_le(last, atoi(item->name));
		last = atoi(item->name);
		am_queue_done(q, item);
	}
	ck_assert_int_gt(last, 0);
}
END_TEST

/* ---- backoff */

static int64_t
fail_once(const char *name)
{
	int64_t delay = am_queue_add_backoff(q, "ns", name, 0);

	am_clock_fake_advance(test_clock, delay - 1);
	ck_assert_ptr_null(take());
	am_clock_fake_advance(test_clock, 1);
	finish(name);
	return delay;
}

START_TEST(RL1_doubles_counts_and_forgets_per_item)
{
	am_queue_set_limits(q, &(struct am_queue_limits){ .base_ns = 1 * MS, .max_ns = 1000 * S });
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(fail_once("one"), (1 << i) * MS);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "one"), 5);
	ck_assert_int_eq(fail_once("two"), 1 * MS);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "two"), 1);
	am_queue_forget(q, "ns", "one");
	ck_assert_uint_eq(am_queue_failures(q, "ns", "one"), 0);
	ck_assert_int_eq(fail_once("one"), 1 * MS);
}
END_TEST

START_TEST(RL2_01_never_over_the_maximum)
{
	for (int i = 0; i < 1000; i++)
		(void)fail_once("a");
	ck_assert_int_eq(fail_once("a"), 1000 * S);
	am_queue_set_limits(q, &(struct am_queue_limits){ .base_ns = INT64_MAX - 1, .max_ns = 1000 * S });
	ck_assert_int_eq(fail_once("b"), 1000 * S);
	ck_assert_int_eq(fail_once("b"), 1000 * S);
}
END_TEST

START_TEST(RL2_02_sequence_of_the_defaults)
{
	static const int64_t ms[] = { 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 81920, 163840,
				      327680, 655360, 1000000, 1000000 };

	for (size_t i = 0; i < AM_COUNTOF(ms); i++)
		ck_assert_int_eq(fail_once("a"), ms[i] * MS);
}
END_TEST

START_TEST(RL3_fast_tries_then_slow_ones)
{
	am_queue_set_limits(q, &(struct am_queue_limits){ .fast_ns = 5 * MS, .slow_ns = 10 * S, .fast = 3 });
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fail_once("a"), 5 * MS);
	ck_assert_int_eq(fail_once("a"), 10 * S);
	ck_assert_int_eq(fail_once("a"), 10 * S);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 5);
	ck_assert_int_eq(fail_once("b"), 5 * MS);
	am_queue_forget(q, "ns", "a");
	ck_assert_int_eq(fail_once("a"), 5 * MS);
}
END_TEST

START_TEST(RL4_the_largest_of_several_wins)
{
	am_queue_set_limits(q, &(struct am_queue_limits){ .base_ns = 1 * MS, .max_ns = 1000 * S, .fast_ns = 5 * MS,
							  .slow_ns = 3 * S, .fast = 4 });
	static const int64_t ms[] = { 5, 5, 5, 8, 3000, 3000 };
	for (size_t i = 0; i < AM_COUNTOF(ms); i++)
		ck_assert_int_eq(fail_once("a"), ms[i] * MS);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), AM_COUNTOF(ms));
}
END_TEST

START_TEST(RL5_never_more_than_the_longest_wait)
{
	am_queue_set_limits(q, &(struct am_queue_limits){ .base_ns = 1 * S, .max_ns = 1000 * S, .max_wait_ns = 3 * S });
	static const int64_t s[] = { 1, 2, 3, 3 };
	for (size_t i = 0; i < AM_COUNTOF(s); i++)
		ck_assert_int_eq(fail_once("a"), s[i] * S);
	am_queue_forget(q, "ns", "a");
	ck_assert_int_eq(fail_once("a"), 1 * S);
}
END_TEST

START_TEST(RL6_an_early_wake_does_not_count)
{
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), 5 * MS);
	am_clock_fake_advance(test_clock, 5 * MS);
	finish("a");
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), 10 * MS);
	/* a chatty object: woken each millisecond, fails each time */
	for (int i = 1; i < 10; i++) {
		am_clock_fake_advance(test_clock, 1 * MS);
		add("a");
		finish("a");
		ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), (10 - i) * MS);
		ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 2);
	}
	am_clock_fake_advance(test_clock, 1 * MS);
	finish("a");
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), 20 * MS);
	ck_assert_uint_eq(am_queue_failures(q, "ns", "a"), 3);
}
END_TEST

START_TEST(RQ1_backoff_while_processing)
{
	const struct am_queue_item *item;

	add("a");
	item = take_named("a");
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), 5 * MS);
	am_queue_done(q, item);
	ck_assert_ptr_null(take());
	am_clock_fake_advance(test_clock, 5 * MS);
	finish("a");
}
END_TEST

/* ---- priorities */

START_TEST(PQ1_higher_first_fifo_inside)
{
	am_queue_add(q, "ns", "low1", AM_QUEUE_LOW);
	add("a");
	am_queue_add(q, "ns", "low2", AM_QUEUE_LOW);
	add("b");
	am_queue_add(q, "ns", "high", 10);
	finish("high");
	finish("a");
	finish("b");
	finish("low1");
	finish("low2");
}
END_TEST

START_TEST(PQ3_PQ4_raised_goes_behind_its_new_equals_and_is_not_lowered)
{
	am_queue_add(q, "ns", "x", AM_QUEUE_LOW);
	am_queue_add(q, "ns", "y", AM_QUEUE_LOW);
	add("a");
	add("x");
	am_queue_add(q, "ns", "x", AM_QUEUE_LOW);
	add("b");
	finish("a");
	finish("x");
	finish("b");
	finish("y");
}
END_TEST

START_TEST(PQ6_delay_now_beats_later_due_enters_as_newest)
{
	am_queue_add_after(q, "ns", "high", 10, 10 * MS);
	am_queue_add(q, "ns", "low", AM_QUEUE_LOW);
	finish("low"); /* a delayed high one does not block it */
	later("a", 10 * MS);
	add("a");
	finish("a");
	later("due", 5 * MS);
	am_clock_fake_advance(test_clock, 4 * MS);
	add("early");
	am_clock_fake_advance(test_clock, 20 * MS);
	finish("high");
	finish("early");
	finish("due");
	ck_assert_ptr_null(take());
}
END_TEST

START_TEST(PQ10_added_while_processing_with_priority)
{
	const struct am_queue_item *item;

	am_queue_add(q, "ns", "a", AM_QUEUE_LOW);
	item = take_named("a");
	am_queue_add(q, "ns", "b", 0);
	am_queue_add(q, "ns", "a", AM_QUEUE_LOW);
	am_queue_add(q, "ns", "a", 5);
	am_queue_done(q, item);
	item = take_named("a");
	ck_assert_int_eq(item->priority, 5);
	am_queue_done(q, item);
	finish("b");
}
END_TEST

START_TEST(PQ2_under_processing_not_handed_out_until_done)
{
	const struct am_queue_item *item;

	am_queue_add(q, "ns", "a", 5);
	item = take_named("a");
	am_queue_add(q, "ns", "a", 9);
	add("b");
	finish("b"); /* nobody waits behind the locked one */
	ck_assert_ptr_null(take());
	am_queue_done(q, item);
	finish("a");
}
END_TEST

START_TEST(PQ5_negative_and_default_priorities)
{
	am_queue_add(q, "ns", "deep", -1000000);
	am_queue_add(q, "ns", "low", AM_QUEUE_LOW);
	add("normal");
	am_queue_add(q, "ns", "one", 1);
	finish("one");
	finish("normal");
	finish("low");
	finish("deep");
}
END_TEST

START_TEST(PQ7_of_backoff_and_delay_the_smaller_forget_resets)
{
	(void)am_queue_add_backoff(q, "ns", "a", 0);
	later("a", 1 * S);
	am_clock_fake_advance(test_clock, 5 * MS);
	finish("a");
	(void)am_queue_add_backoff(q, "ns", "a", 0);
	later("a", 3 * MS);
	am_clock_fake_advance(test_clock, 3 * MS);
	finish("a");
	am_queue_forget(q, "ns", "a");
	ck_assert_int_eq(am_queue_add_backoff(q, "ns", "a", 0), 5 * MS);
}
END_TEST

START_TEST(PQ13_adds_keep_their_order)
{
	char name[16];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		add(name);
	}
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		finish(name);
	}
}
END_TEST

/* ---- fairness */

static void
add_many(const char *ns, int n, int priority)
{
	char name[24];

	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s-%d", ns, i);
		am_queue_add(q, ns, name, priority);
	}
}

/* Hands out n items and counts those of ns. */
static int
share_of(const char *ns, int n)
{
	int count = 0;

	for (int i = 0; i < n; i++) {
		const struct am_queue_item *item = take();

		ck_assert_ptr_nonnull(item);
		count += strcmp(item->ns, ns) == 0;
		am_queue_done(q, item);
	}
	return count;
}

START_TEST(PQ14_01_ten_thousand_names_do_not_starve_ten)
{
	add_many("big", 10000, 0);
	ck_assert_int_eq(share_of("big", 100), 100);
	add_many("small", 10, 0);
	ck_assert_int_eq(share_of("small", 20), 10); /* one for one */
	am_queue_add(q, "late", "a", 0);
	ck_assert_int_eq(share_of("late", 2), 1);
}
END_TEST

/* Who has one name waiting at a time is not ahead of who has many: nor behind. */
START_TEST(PQ14_02_who_comes_back_at_once_takes_turns)
{
	int shares[2] = { 0, 0 };

	add_many("big", 1000, 0);
	am_queue_add(q, "one", "x", 0);
	for (int i = 0; i < 200; i++) {
		const struct am_queue_item *item = take();
		bool one = strcmp(item->ns, "one") == 0;

		shares[one]++;
		if (one)
			am_queue_add(q, "one", "x", 0);
		am_queue_done(q, item);
	}
	ck_assert_int_ge(shares[1], 90);
	ck_assert_int_ge(shares[0], 90);
}
END_TEST

/* A backlog at a low priority is not held against its owner at a higher one. */
START_TEST(PQ14_03_rounds_are_counted_for_each_priority)
{
	add_many("first", 5000, AM_QUEUE_LOW);
	add_many("second", 50, 0);
	am_queue_add(q, "first", "urgent", 0);
	ck_assert_int_eq(share_of("first", 2), 1);
}
END_TEST

START_TEST(PQ14_04_three_namespaces_in_turn_each_in_its_order)
{
	static const char *const expected[] = { "a-0", "b-0", "c-0", "a-1", "b-1", "a-2" };

	add_many("a", 3, 0);
	add_many("b", 2, 0);
	add_many("c", 1, 0);
	for (size_t i = 0; i < AM_COUNTOF(expected); i++) {
		const struct am_queue_item *item = take();

		ck_assert_str_eq(item->name, expected[i]);
		am_queue_done(q, item);
	}
}
END_TEST

/* ---- causes */

static void
tell_causes(void *arg, const struct am_queue_view *view)
{
	for (size_t i = 0; i < view->cause_count; i++) {
		const struct am_cause_view *c = &view->causes[i];

		am_buf_addf(arg, "%s:%s:%s:%d-%d:x%d:run%d:%d:%d ", am_cause_word(c->type), c->kind,
			    c->object != NULL ? c->object : "", (int)c->old_rv, (int)c->new_rv, (int)c->count, (int)c->run,
			    (int)(c->age_ns / S), (int)(c->delay_ns / S));
	}
}

static void
check_causes(const char *name, const char *expected)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	ck_assert(am_queue_look(q, "ns", name, tell_causes, &out));
	ck_assert_str_eq(am_buf_str(&out), expected);
}

START_TEST(causes_of_each_kind_newest_first)
{
	const struct am_cause listed = { .type = AM_CAUSE_LISTED, .kind = "v1/pods", .new_rv = "5" };
	const struct am_cause owned = { .type = AM_CAUSE_CHANGED, .kind = "v1/secrets", .ns = "ns", .name = "s", .old_rv = "7",
					.new_rv = "9" };
	const struct am_cause odd = { .type = AM_CAUSE_DELETED, .old_rv = "99999999999999999999999", .new_rv = "x" };

	ck_assert(!am_queue_look(q, "ns", "a", tell_causes, NULL));
	am_queue_add_for(q, "ns", "a", AM_QUEUE_LOW, 0, &listed);
	am_clock_fake_advance(test_clock, 1 * S);
	am_queue_add_for(q, "ns", "a", 0, 0, &owned);
	check_causes("a", "changed:v1/secrets:ns/s:7-9:x1:run1:0:0 listed:v1/pods::0-5:x1:run1:1:0 ");
	finish("a");
	later("a", 30 * S);
	am_queue_add_for(q, "ns", "a", 0, 0, &odd);
	check_causes("a", "deleted:::0-0:x1:run2:0:0 requeue after:::0-0:x1:run2:0:30 changed:v1/secrets:ns/s:7-9:x1:run1:0:0 "
			  "listed:v1/pods::0-5:x1:run1:1:0 ");
	finish("a");
	(void)am_queue_add_backoff(q, "ns", "b", 0);
	check_causes("b", "backoff:::0-0:x1:run1:0:0 ");
}
END_TEST

START_TEST(like_causes_in_a_row_are_one)
{
	for (int i = 1; i <= 1000; i++) {
		char old[12], new[12];

		(void)snprintf(old, sizeof(old), "%d", i);
		(void)snprintf(new, sizeof(new), "%d", i + 1);
		am_queue_add_for(q, "ns", "a", 0, 0, &(struct am_cause){ .type = AM_CAUSE_CHANGED, .kind = "v1/pods", .ns = "ns",
								       .name = "p", .old_rv = old, .new_rv = new });
	}
	check_causes("a", "changed:v1/pods:ns/p:1-1001:x1000:run1:0:0 ");
	am_queue_add_for(q, "ns", "a", 0, 0, &(struct am_cause){ .type = AM_CAUSE_CHANGED, .kind = "v1/pods", .ns = "ns", .name = "q" });
	finish("a");
	add("a"); /* another run is another cause */
	finish("a");
	add("a");
	check_causes("a", "request:::0-0:x1:run3:0:0 request:::0-0:x1:run2:0:0 changed:v1/pods:ns/q:0-0:x1:run1:0:0 "
			  "changed:v1/pods:ns/p:1-1001:x1000:run1:0:0 ");
}
END_TEST

START_TEST(the_last_eight_causes_are_kept)
{
	am_auto(am_buf_fini) struct am_buf expected = { 0 };

	for (int i = 1; i <= 21; i++) {
		add("a");
		finish("a");
	}
	for (int i = 21; i > 13; i--)
		am_buf_addf(&expected, "request:::0-0:x1:run%d:0:0 ", i);
	check_causes("a", am_buf_str(&expected));
}
END_TEST

START_TEST(causes_outlive_the_run_but_not_four_thousand_others)
{
	char name[16];

	add("a");
	finish("a");
	ck_assert_uint_eq(am_queue_known(q), 0);
	for (int i = 0; i < 4095; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		add(name);
		finish(name);
	}
	check_causes("a", "request:::0-0:x1:run1:0:0 ");
	add("a"); /* it is the youngest again */
	finish("a");
	add("z");
	finish("z");
	check_causes("a", "request:::0-0:x1:run2:0:0 request:::0-0:x1:run1:0:0 ");
	ck_assert(!am_queue_look(q, "ns", "n0", tell_causes, NULL));
	am_queue_shutdown(q);
	ck_assert(!am_queue_look(q, "ns", "a", tell_causes, NULL));
}
END_TEST

static void
tell_error(void *arg, const struct am_queue_view *view)
{
	am_buf_addf(arg, "%s %s %d %d %d", view->state, view->error != NULL ? view->error : "-", (int)view->failures,
		    (int)(view->backoff_ns / MS), (int)(view->worked_ns / S));
}

START_TEST(look_tells_error_backoff_and_length)
{
	static const char *const expected[] = { "processing it broke 0 0 2", "delayed it broke 1 5 2", "idle - 0 0 2" };
	const struct am_queue_item *item;
	struct am_buf out = { 0 };

	add("a");
	item = take_named("a");
	am_clock_fake_advance(test_clock, 2 * S);
	am_queue_note_error(q, item, "it broke");
	for (int i = 0; i < 3; i++) {
		if (i == 1) {
			(void)am_queue_add_backoff(q, "ns", "a", 0);
			am_queue_done(q, item);
		} else if (i == 2) {
			am_clock_fake_advance(test_clock, 5 * MS);
			item = take_named("a");
			am_clock_fake_advance(test_clock, 2 * S);
			am_queue_forget(q, "ns", "a");
			am_queue_done(q, item);
		}
		ck_assert(am_queue_look(q, "ns", "a", tell_error, &out));
		ck_assert_str_eq(am_buf_str(&out), expected[i]);
		am_buf_reset(&out);
	}
	am_buf_fini(&out);
}
END_TEST

START_TEST(CT3_06_a_requeue_backs_off_like_a_failure)
{
	ck_assert_int_eq(am_queue_add_requeue(q, "ns", "a", 0), 5 * MS);
	check_causes("a", "requeue:::0-0:x1:run1:0:0 ");
	am_clock_fake_advance(test_clock, 5 * MS);
	finish("a");
	ck_assert_int_eq(am_queue_add_requeue(q, "ns", "a", 0), 10 * MS);
}
END_TEST

static void
view(void *arg, const struct am_queue_view *view)
{
	am_buf_addf(arg, "%s:%s:%d ", view->name, view->state, (int)(view->in_ns / S));
}

START_TEST(each_tells_what_the_queue_holds)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	const struct am_queue_item *item;

	add("a");
	add("b");
	later("c", 7 * S);
	item = take_named("a");
	am_clock_fake_advance(test_clock, 2 * S);
	add("a");
	am_queue_each(q, 10, view, &out);
	ck_assert_str_eq(am_buf_str(&out), "a:processing, again:2 b:ready:2 c:delayed:5 ");
	am_queue_done(q, item);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, WQ2_added_while_processing_comes_once_more);
	tcase_add_test(tc, WQ3_duplicates_before_get_count_once);
	tcase_add_test(tc, WQ4_readd_then_done_then_done_leaves_it_empty);
	tcase_add_test(tc, WQ5_repeated_add_keeps_the_place);
	tcase_add_test(tc, WQ7_WQ10_drain_hands_out_what_is_ready_and_what_comes_back);
	tcase_add_test(tc, WQ8_what_was_to_come_back_does_not_after_a_shutdown);
	tcase_add_test(tc, WQ11_rule_45_finished_items_are_forgotten);
	tcase_add_test(tc, WQ12_get_on_shut_queue_returns_at_once);
	tcase_add_test(tc, keys_of_namespaced_and_cluster_scoped_objects_differ);
	tcase_add_test(tc, DQ1_appears_only_after_its_delay);
	tcase_add_test(tc, DQ2_the_earlier_deadline_wins);
	tcase_add_test(tc, DQ3_fire_in_time_order);
	tcase_add_test(tc, DQ4_mixed_delays_keep_heap_order);
	tcase_add_test(tc, DQ5_no_delay_is_now);
	tcase_add_test(tc, DQ6_time_alone_brings_nothing);
	tcase_add_test(tc, DQ7_shutdown_with_delayed_items);
	tcase_add_test(tc, DQ_random_delays_come_out_sorted);
	tcase_add_test(tc, RL1_doubles_counts_and_forgets_per_item);
	tcase_add_test(tc, RL2_01_never_over_the_maximum);
	tcase_add_test(tc, RL2_02_sequence_of_the_defaults);
	tcase_add_test(tc, RL3_fast_tries_then_slow_ones);
	tcase_add_test(tc, RL4_the_largest_of_several_wins);
	tcase_add_test(tc, RL5_never_more_than_the_longest_wait);
	tcase_add_test(tc, RL6_an_early_wake_does_not_count);
	tcase_add_test(tc, RQ1_backoff_while_processing);
	tcase_add_test(tc, PQ1_higher_first_fifo_inside);
	tcase_add_test(tc, PQ3_PQ4_raised_goes_behind_its_new_equals_and_is_not_lowered);
	tcase_add_test(tc, PQ6_delay_now_beats_later_due_enters_as_newest);
	tcase_add_test(tc, PQ10_added_while_processing_with_priority);
	tcase_add_test(tc, PQ2_under_processing_not_handed_out_until_done);
	tcase_add_test(tc, PQ5_negative_and_default_priorities);
	tcase_add_test(tc, PQ7_of_backoff_and_delay_the_smaller_forget_resets);
	tcase_add_test(tc, PQ13_adds_keep_their_order);
	tcase_add_test(tc, PQ14_01_ten_thousand_names_do_not_starve_ten);
	tcase_add_test(tc, PQ14_02_who_comes_back_at_once_takes_turns);
	tcase_add_test(tc, PQ14_03_rounds_are_counted_for_each_priority);
	tcase_add_test(tc, PQ14_04_three_namespaces_in_turn_each_in_its_order);
	tcase_add_test(tc, causes_of_each_kind_newest_first);
	tcase_add_test(tc, like_causes_in_a_row_are_one);
	tcase_add_test(tc, the_last_eight_causes_are_kept);
	tcase_add_test(tc, causes_outlive_the_run_but_not_four_thousand_others);
	tcase_add_test(tc, look_tells_error_backoff_and_length);
	tcase_add_test(tc, CT3_06_a_requeue_backs_off_like_a_failure);
	tcase_add_test(tc, each_tells_what_the_queue_holds);
}

UNIT_MAIN("queue", cases)
