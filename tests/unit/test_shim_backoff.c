/* SPDX-License-Identifier: Apache-2.0 */
/* When a container that ends is started again; time is a fake clock's. */
#include "core/ambient-shim/shim.h"
#include "tests/lib/unit.h"

#define S AM_NS_PER_S

static struct am_clock *hands;

/* One run of that many seconds, then the wait, in seconds. */
static int64_t
run_and_wait(int *tries, int64_t seconds)
{
	int64_t begun = am_clock_boot(hands), delay;

	am_clock_fake_advance(hands, seconds * S);
	delay = shim_backoff(tries, 10 * S, am_clock_boot(hands) - begun);
	am_clock_fake_advance(hands, delay);
	return delay / S;
}

/* kubelet's doBackOff: at once the first time, then 10 s, doubled up to 5 min. */
START_TEST(at_once_then_ten_seconds_doubled)
{
	static const int64_t waits[] = { 0, 10, 20, 40, 80, 160, 300, 300, 300 };
	int tries = 0;

	hands = am_clock_fake_new();
	for (size_t i = 0; i < AM_COUNTOF(waits); i++)
		ck_assert_int_eq(run_and_wait(&tries, 1), waits[i]);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(run_and_wait(&tries, 0), 300);
	am_clock_fake_free(hands);
}
END_TEST

/* Ten minutes are not more than ten minutes. */
START_TEST(a_run_of_more_than_ten_minutes_begins_anew)
{
	int tries = 0;

	hands = am_clock_fake_new();
	for (int i = 0; i < 5; i++)
		(void)run_and_wait(&tries, 1);
	ck_assert_int_eq(run_and_wait(&tries, 600), 160);
	ck_assert_int_eq(run_and_wait(&tries, 601), 0);
	ck_assert_int_eq(run_and_wait(&tries, 1), 10);
	am_clock_fake_free(hands);
}
END_TEST

START_TEST(how_it_is_said)
{
	static const struct { int64_t delay; const char *text; } rows[] = {
		{ 20 * AM_NS_PER_MS, "20ms" }, { 10 * S, "10s" }, { 80 * S, "1m20s" }, { 300 * S, "5m0s" },
	};
	char text[32];

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		shim_backoff_text(text, rows[i].delay);
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, at_once_then_ten_seconds_doubled);
	tcase_add_test(tc, a_run_of_more_than_ten_minutes_begins_anew);
	tcase_add_test(tc, how_it_is_said);
}

UNIT_MAIN("shim_backoff", cases)
