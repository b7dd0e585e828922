/* SPDX-License-Identifier: Apache-2.0 */
/* core/queue with real threads: who blocks, who wakes, and that no name is in two hands.  Meant for the thread sanitizer. */
#include <stdatomic.h>
#include <time.h>

#include "core/base/lock.h"
#include "core/base/util.h"
#include "core/queue/queue_priv.h"
#include "tests/lib/unit.h"

#define MS AM_NS_PER_MS
#define NAMES 500

static struct am_queue *q;
static atomic_int in_hands[NAMES], runs[NAMES], handed, doubles;

static int
number(const struct am_queue_item *item)
{
	return atoi(item->name);
}

static void
add(int i, int priority)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "%d", i);
	am_queue_add(q, "ns", name, priority);
}

static void
consumer(void *arg)
{
	const struct am_queue_item *item;

	while ((item = am_queue_get(q)) != NULL) {
		int i = number(item);

		if (atomic_fetch_add(&in_hands[i], 1) != 0)
			atomic_fetch_add(&doubles, 1);
		atomic_fetch_add(&runs[i], 1);
		atomic_fetch_add(&handed, 1);
		atomic_fetch_sub(&in_hands[i], 1);
		am_queue_done(q, item);
	}
}

struct producer {
	int base, items, rounds;
	bool random;
};

static void
producer(void *arg)
{
	const struct producer *p = arg;

	for (int r = 0; r < p->rounds; r++) {
		for (int i = 0; i < p->items; i++) {
			uint64_t x = am_random_u64();

			if (!p->random)
				add(p->base + i, 0);
			else if (x % 4 == 0)
				am_queue_add_after(q, "ns", "7", (int)(x % 5), (int64_t)(x % 1000000));
			else
				add((int)(x % NAMES), (int)((x >> 20) % 30) - 15);
		}
	}
}

static void
wait_idle(void)
{
	for (int i = 0; i < 20000 && (am_queue_len(q) + am_queue_delayed(q) + am_queue_processing(q)) != 0; i++) {
		struct timespec ts = { 0, 500000 };

		(void)nanosleep(&ts, NULL);
	}
	ck_assert_uint_eq(am_queue_len(q) + am_queue_delayed(q) + am_queue_processing(q), 0);
}

static void
run(bool drain, bool random)
{
	struct producer p[50];
	struct am_thread *producers[50], *consumers[10];

	q = am_queue_new(NULL, am_clock_real());
	for (int i = 0; i < NAMES; i++)
		runs[i] = in_hands[i] = 0;
	handed = doubles = 0;
	for (int i = 0; i < 10; i++)
		consumers[i] = am_thread_new("consumer", 0, consumer, NULL);
	for (int i = 0; i < 50; i++) {
		p[i] = (struct producer){ .base = i * 10, .items = 10, .rounds = random ? 20 : 5, .random = random };
		producers[i] = am_thread_new("producer", 0, producer, &p[i]);
	}
	for (int i = 0; i < 50; i++)
		am_thread_join(producers[i]);
	wait_idle();
	if (drain) {
		ck_assert(am_queue_drain(q, AM_FOREVER));
	} else {
		am_queue_shutdown(q);
	}
	for (int i = 0; i < 10; i++)
		am_thread_join(consumers[i]);
	ck_assert_int_eq(doubles, 0);
	if (!random) {
		for (int i = 0; i < NAMES; i++)
			ck_assert_int_ge(runs[i], 1);
	}
	ck_assert_int_gt(handed, 0);
	add(1, 0);
	ck_assert_uint_eq(am_queue_len(q), 0);
	ck_assert_uint_eq(am_queue_known(q), 0);
	am_queue_free(q);
}

START_TEST(WQ1_01_producers_and_consumers_then_shutdown)
{
	run(false, false);
}
END_TEST

START_TEST(WQ1_02_producers_and_consumers_then_drain)
{
	run(true, false);
}
END_TEST

START_TEST(PQ12_random_adds_never_in_two_hands)
{
	run(true, true);
}
END_TEST

static atomic_int returned;

static void
drainer(void *arg)
{
	atomic_store(&returned, am_queue_drain(q, AM_FOREVER) ? 1 : 2);
}

/* A thread on the fake clock that waits is what "blocked" means here. */
static struct am_clock *fake;

START_TEST(WQ7_drain_waits_for_done)
{
	const struct am_queue_item *item;
	struct am_thread *thread;

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	returned = 0;
	add(1, 0);
	item = am_queue_get(q);
	thread = am_thread_new("drainer", 0, drainer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	ck_assert_int_eq(returned, 0);
	am_queue_done(q, item);
	am_thread_join(thread);
	ck_assert_int_eq(returned, 1);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

START_TEST(WQ7_a_drain_hears_of_the_last_done)
{
	const struct am_queue_item *item;
	struct am_thread *thread;

	q = am_queue_new(NULL, am_clock_real());
	returned = 0;
	add(1, 0);
	item = am_queue_get(q);
	thread = am_thread_new("drainer", 0, drainer, NULL);
	(void)nanosleep(&(struct timespec){ 0, 20 * MS }, NULL); /* by now it waits; and when not, nothing is shown */
	am_queue_done(q, item);
	am_thread_join(thread);
	ck_assert_int_eq(returned, 1);
	am_queue_free(q);
}
END_TEST

START_TEST(WQ10_a_getter_waits_for_what_comes_back_during_a_drain)
{
	const struct am_queue_item *item;
	struct am_thread *threads[2];

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	returned = 0;
	for (int i = 0; i < NAMES; i++)
		runs[i] = in_hands[i] = 0;
	add(1, 0);
	item = am_queue_get(q);
	add(1, 0);
	threads[0] = am_thread_new("drainer", 0, drainer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	threads[1] = am_thread_new("consumer", 0, consumer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 2));
	am_queue_done(q, item);
	for (int i = 0; i < 2; i++)
		am_thread_join(threads[i]);
	ck_assert_int_eq(returned, 1);
	ck_assert_int_eq(runs[1], 1);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

START_TEST(WQ8_shutdown_does_not_wait)
{
	const struct am_queue_item *item;

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	add(1, 0);
	item = am_queue_get(q);
	am_queue_shutdown(q);
	ck_assert_ptr_null(am_queue_get(q));
	ck_assert_uint_eq(am_queue_processing(q), 1);
	am_queue_done(q, item);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

START_TEST(WQ9_shutdown_releases_a_drainer)
{
	const struct am_queue_item *item;
	struct am_thread *thread;

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	returned = 0;
	add(1, 0);
	item = am_queue_get(q);
	thread = am_thread_new("drainer", 0, drainer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	am_queue_shutdown(q);
	am_thread_join(thread);
	ck_assert_int_eq(returned, 2);
	am_queue_done(q, item);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

START_TEST(WQ6_PQ8_getters_wait_for_what_they_may_have)
{
	const struct am_queue_item *item;
	struct am_thread *thread;

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	for (int i = 0; i < NAMES; i++)
		runs[i] = in_hands[i] = 0;
	doubles = handed = 0;
	add(1, 0);
	item = am_queue_get(q);
	add(1, 0);
	thread = am_thread_new("consumer", 0, consumer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 1)); /* blocked: the only name is in our hands */
	ck_assert_int_eq(handed, 0);
	am_queue_done(q, item);
	ck_assert(am_queue_drain(q, AM_FOREVER));
	am_thread_join(thread);
	ck_assert_int_eq(runs[1], 1);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

START_TEST(DQ1_a_waiting_getter_wakes_at_the_deadline)
{
	struct am_thread *threads[3];

	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	for (int i = 0; i < NAMES; i++)
		runs[i] = in_hands[i] = 0;
	for (int i = 0; i < 3; i++)
		threads[i] = am_thread_new("consumer", 0, consumer, NULL);
	ck_assert(am_clock_fake_wait_waiters(fake, 3));
	for (int i = 0; i < 6; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		am_queue_add_after(q, "ns", name, 0, (60 - i) * MS);
	}
	am_clock_fake_advance(fake, 54 * MS);
	ck_assert_int_eq(runs[5], 0);
	for (int i = 0; i < 6; i++) {
		ck_assert(am_clock_fake_wait_waiters(fake, 3));
		am_clock_fake_advance(fake, 1 * MS);
	}
	ck_assert(am_clock_fake_wait_waiters(fake, 3));
	wait_idle();
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(runs[i], 1);
	am_queue_shutdown(q);
	for (int i = 0; i < 3; i++)
		am_thread_join(threads[i]);
	am_queue_free(q);
	am_clock_fake_free(fake);
}
END_TEST

/* On the real clock nothing looks by itself: who waits for ever has to be woken for what is due sooner. */
START_TEST(DQ1_a_getter_without_a_deadline_hears_of_a_delay)
{
	struct am_thread *thread;

	q = am_queue_new(NULL, am_clock_real());
	for (int i = 0; i < NAMES; i++)
		runs[i] = in_hands[i] = 0;
	thread = am_thread_new("consumer", 0, consumer, NULL);
	for (bool waits = false; !waits;) {
		am_lock(&q->lock);
		waits = q->getters == 1; /* it lets go of the lock only to wait */
		am_unlock(&q->lock);
	}
	am_queue_add_after(q, "ns", "1", 0, 200 * MS); /* time enough to wait again before it is due */
	for (int i = 0; i < 20000 && runs[1] == 0; i++)
		(void)nanosleep(&(struct timespec){ 0, 500000 }, NULL);
	ck_assert_int_eq(runs[1], 1);
	am_queue_shutdown(q);
	am_thread_join(thread);
	am_queue_free(q);
}
END_TEST

START_TEST(PQ9_add_get_shutdown_never_deadlocks)
{
	for (int round = 0; round < 50; round++) {
		struct am_thread *threads[20];

		q = am_queue_new(NULL, am_clock_real());
		for (int i = 0; i < 20; i++)
			threads[i] = am_thread_new("consumer", 0, consumer, NULL);
		for (int i = 0; i < 40; i++)
			add(i, i % 3);
		am_queue_shutdown(q);
		for (int i = 0; i < 20; i++)
			am_thread_join(threads[i]);
		am_queue_free(q);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, WQ1_01_producers_and_consumers_then_shutdown);
	tcase_add_test(tc, WQ1_02_producers_and_consumers_then_drain);
	tcase_add_test(tc, WQ6_PQ8_getters_wait_for_what_they_may_have);
	tcase_add_test(tc, WQ7_drain_waits_for_done);
	tcase_add_test(tc, WQ7_a_drain_hears_of_the_last_done);
	tcase_add_test(tc, WQ10_a_getter_waits_for_what_comes_back_during_a_drain);
	tcase_add_test(tc, WQ8_shutdown_does_not_wait);
	tcase_add_test(tc, WQ9_shutdown_releases_a_drainer);
	tcase_add_test(tc, DQ1_a_waiting_getter_wakes_at_the_deadline);
	tcase_add_test(tc, DQ1_a_getter_without_a_deadline_hears_of_a_delay);
	tcase_add_test(tc, PQ9_add_get_shutdown_never_deadlocks);
	tcase_add_test(tc, PQ12_random_adds_never_in_two_hands);
}

UNIT_MAIN("queue_threads", cases)
