/* SPDX-License-Identifier: Apache-2.0 */
/* The CronJob controller against a fake host whose clock only the test moves; it starts at 2026-01-01T00:00:00Z. */
#include "plugins/standalone/workloads/workloads.h"

#include <string.h>

#include "tests/lib/cut.h"
#include "tests/lib/unit.h"

#define MINUTES_2026 29453760LL /* since 1970, at the start */

static struct fake_host *fake;

static void
begin(const char *spec)
{
	char json[1024];

	fake = fake_host_new(&ambient_plugin_v1);
	(void)fake_host_create(fake);
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'c','namespace':'n','creationTimestamp':'2026-01-01T00:00:00Z'},"
		       "'spec':{%s,'jobTemplate':{'metadata':{'labels':{'a':'b'},'annotations':{'x':'y'}},'spec':{'template':{'spec':{"
		       "'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}}}", spec);
	fake_host_put(fake, CRONJOB, json);
}

static void
end(void)
{
	fake_host_free(fake);
}

/* Returns when it wants to come back, in ms. */
static int64_t
reconcile(void)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = fake_host_reconcile(fake, "cronjobs", "n", "c", &result, &err);

	ck_assert_msg(rc == 0, "reconcile: %s", err.message);
	return result.requeue_after / AMBIENT_MILLISECOND;
}

static void
seconds(int64_t s)
{
	fake_host_advance(fake, s * AMBIENT_SECOND);
}

static size_t
jobs(void)
{
	return fake_host_count(fake, JOB, "n");
}

static const char *
cj(const char *pointer)
{
	const char *text = fake_host_at(fake, CRONJOB, "n", "c", pointer);

	return text != NULL ? text : "";
}

static const char *
job_name(int64_t minutes)
{
	static char name[4][64];
	static int turn;

	turn = (turn + 1) % 4;
	(void)snprintf(name[turn], sizeof(name[0]), "c-%lld", (long long)(MINUTES_2026 + minutes));
	return name[turn];
}

static void
finish(const char *name, const char *condition, const char *time)
{
	char json[400];

	(void)snprintf(json, sizeof(json), "{'status':{'startTime':'%s','completionTime':'%s','conditions':[{'type':'%s',"
		       "'status':'True'}]}}", time, time, condition);
	fake_host_merge(fake, JOB, "n", name, json);
}

START_TEST(a_job_each_minute)
{
	begin("'schedule':'* * * * *'");
	ck_assert_int_eq(reconcile(), 60100);
	ck_assert_uint_eq(jobs(), 0);
	seconds(60);
	ck_assert_int_eq(reconcile(), 60100);
	ck_assert_uint_eq(jobs(), 1);
	const char *name = job_name(1);
	ck_assert(fake_host_has(fake, JOB, "n", name));
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", name, "/metadata/ownerReferences/0/kind"), "CronJob");
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", name, "/metadata/ownerReferences/0/controller"), "true");
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", name, "/metadata/labels/a"), "b");
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", name, "/metadata/annotations/x"), "y");
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", name,
				      "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp"), "2026-01-01T00:01:00Z");
	ck_assert_str_eq(cj("/status/lastScheduleTime"), "2026-01-01T00:01:00Z");
	ck_assert_str_eq(cj("/status/active/0/name"), name);
	ck_assert_str_eq(cj("/status/active/0/apiVersion"), "batch/v1");
	ck_assert_ptr_nonnull(fake_host_event(fake, "SuccessfulCreate"));
	/* Again: nothing more. */
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	finish(name, "Complete", "2026-01-01T00:01:07Z");
	(void)reconcile();
	ck_assert_str_eq(cj("/status/active"), "");
	ck_assert_str_eq(cj("/status/lastSuccessfulTime"), "2026-01-01T00:01:07Z");
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "SawCompletedJob"), "condition: Complete"));
	end();
}
END_TEST

START_TEST(a_lost_answer_makes_no_second_job)
{
	begin("'schedule':'* * * * *'");
	seconds(61);
	fake_host_fail(fake, "status", "*", AMBIENT_E_UNAVAILABLE, 1);
	ck_assert_int_lt(fake_host_reconcile(fake, "cronjobs", "n", "c", NULL, NULL), 0);
	ck_assert_uint_eq(jobs(), 1);
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	ck_assert_str_eq(cj("/status/active/0/name"), job_name(1));
	ck_assert_str_eq(cj("/status/lastScheduleTime"), "2026-01-01T00:01:00Z");
	end();
}
END_TEST

START_TEST(suspended)
{
	begin("'schedule':'* * * * *','suspend':true");
	seconds(180);
	ck_assert_int_eq(reconcile(), 0);
	ck_assert_uint_eq(jobs(), 0);
	fake_host_merge(fake, CRONJOB, "n", "c", "{'spec':{'suspend':false}}");
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1); /* the last one only */
	ck_assert(fake_host_has(fake, JOB, "n", job_name(3)));
	end();
}
END_TEST

START_TEST(forbid_waits_and_then_runs)
{
	begin("'schedule':'* * * * *','concurrencyPolicy':'Forbid'");
	seconds(60);
	(void)reconcile();
	seconds(60);
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	ck_assert_ptr_nonnull(fake_host_event(fake, "JobAlreadyActive"));
	finish(job_name(1), "Complete", "2026-01-01T00:02:01Z");
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 2);
	ck_assert(fake_host_has(fake, JOB, "n", job_name(2)));
	end();
}
END_TEST

START_TEST(replace_deletes_the_old_one)
{
	begin("'schedule':'* * * * *','concurrencyPolicy':'Replace'");
	seconds(60);
	(void)reconcile();
	seconds(60);
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	ck_assert(fake_host_has(fake, JOB, "n", job_name(2)));
	ck_assert_str_eq(cj("/status/active/0/name"), job_name(2));
	ck_assert_str_eq(cj("/status/active/1/name"), "");
	end();
}
END_TEST

START_TEST(allow_runs_side_by_side)
{
	begin("'schedule':'* * * * *'");
	for (int i = 0; i < 3; i++) {
		seconds(60);
		(void)reconcile();
	}
	ck_assert_uint_eq(jobs(), 3);
	ck_assert_str_eq(cj("/status/active/2/name"), job_name(3));
	end();
}
END_TEST

START_TEST(starting_deadline)
{
	begin("'schedule':'0 * * * *','startingDeadlineSeconds':30");
	seconds(3600 + 40);
	int64_t wait = reconcile();
	ck_assert_uint_eq(jobs(), 0);
	ck_assert_int_eq(wait, (3600 - 40) * 1000 + 100);
	seconds(3560);
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	end();
}
END_TEST

START_TEST(more_than_a_hundred_missed)
{
	begin("'schedule':'* * * * *'");
	seconds(60 * 500 + 20);
	(void)reconcile();
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "TooManyMissedTimes"), "too many missed start times"));
	ck_assert_uint_eq(jobs(), 1);
	ck_assert(fake_host_has(fake, JOB, "n", job_name(500)));
	end();
}
END_TEST

/* The last one that is due lies before a long pause. */
START_TEST(missed_before_a_pause)
{
	begin("'schedule':'* 9-10 * * *'");
	seconds(3600 * 22);
	(void)reconcile();
	ck_assert(fake_host_has(fake, JOB, "n", job_name(10 * 60 + 59)));
	end();
}
END_TEST

START_TEST(every_counts_from_the_last)
{
	begin("'schedule':'@every 90s'");
	ck_assert_int_eq(reconcile(), 90100);
	seconds(91);
	ck_assert_int_eq(reconcile(), 89100);
	ck_assert_str_eq(cj("/status/lastScheduleTime"), "2026-01-01T00:01:30Z");
	seconds(90 * 7 + 3);
	(void)reconcile();
	ck_assert_str_eq(cj("/status/lastScheduleTime"), "2026-01-01T00:12:00Z");
	end();
}
END_TEST

START_TEST(time_zone)
{
	begin("'schedule':'30 1 * * *','timeZone':'Europe/Berlin'");
	seconds(1800);
	(void)reconcile();
	ck_assert_uint_eq(jobs(), 1);
	ck_assert_str_eq(fake_host_at(fake, JOB, "n", job_name(30),
				      "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp"), "2026-01-01T01:30:00+01:00");
	end();
	begin("'schedule':'30 1 * * *','timeZone':'No/Where'");
	(void)reconcile();
	ck_assert_ptr_nonnull(fake_host_event(fake, "UnknownTimeZone"));
	end();
	begin("'schedule':'30 1 * *'");
	(void)reconcile();
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "UnparseableSchedule"), "expected exactly 5 fields, found 4"));
	end();
}
END_TEST

START_TEST(history_limits)
{
	begin("'schedule':'* * * * *','successfulJobsHistoryLimit':2,'failedJobsHistoryLimit':0");
	for (int i = 1; i <= 4; i++) {
		char time[32];

		seconds(60);
		(void)reconcile();
		(void)snprintf(time, sizeof(time), "2026-01-01T00:%02d:10Z", i);
		finish(job_name(i), i == 2 ? "Failed" : "Complete", time);
		(void)reconcile();
	}
	ck_assert_uint_eq(jobs(), 2);
	ck_assert(fake_host_has(fake, JOB, "n", job_name(3)));
	ck_assert(fake_host_has(fake, JOB, "n", job_name(4)));
	ck_assert_str_eq(cj("/status/lastSuccessfulTime"), "2026-01-01T00:04:10Z");
	end();
}
END_TEST

START_TEST(what_others_did_to_its_jobs)
{
	begin("'schedule':'* * * * *'");
	seconds(60);
	(void)reconcile();
	fake_host_remove(fake, JOB, "n", job_name(1));
	(void)reconcile();
	ck_assert_ptr_nonnull(fake_host_event(fake, "MissingJob"));
	ck_assert_str_eq(cj("/status/active"), "");
	ck_assert_uint_eq(jobs(), 0); /* that time was served */
	end();
}
END_TEST

START_TEST(a_foreign_job_of_that_name)
{
	begin("'schedule':'* * * * *'");
	char json[160];
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'n'}}", job_name(1));
	fake_host_put(fake, JOB, json);
	seconds(60);
	(void)reconcile();
	ck_assert_str_eq(cj("/status/active"), "");
	ck_assert_uint_eq(jobs(), 1);
	end();
}
END_TEST

/* Five minutes, of which each run ends well, fails, or is still going on: the daemon dies at the n-th write of each look, and then looks
 * again, or first with a cache that has not heard of what was written.  What is there at the end. */
static bool
five_minutes(const char *spec, int n, bool old_cache, char out[2048])
{
	static const char *const ends[] = { "Complete", "Failed", NULL, "Complete", "Complete" };
	bool disturbed = false;
	size_t len = 0;

	begin(spec);
	cut_install(fake_host_table(fake));
	fake_host_destroy(fake);
	(void)fake_host_create(fake);
	for (int minute = 1; minute <= 5; minute++) {
		seconds(60);
		writes_left = n;
		disturbed = (fake_host_reconcile(fake, "cronjobs", "n", "c", NULL, NULL) < 0 && writes_left == 0) || disturbed;
		writes_left = -1;
		if (old_cache)
			fake_host_remember(fake);
		(void)reconcile();
		fake_host_destroy(fake);
		(void)fake_host_create(fake);
		fake_host_lag(fake, old_cache);
		for (int i = 0; i < 3; i++) /* with an old cache some of what it tries fails */
			(void)fake_host_reconcile(fake, "cronjobs", "n", "c", NULL, NULL);
		fake_host_lag(fake, false);
		(void)reconcile();
		if (ends[minute - 1] != NULL && fake_host_has(fake, JOB, "n", job_name(minute)))
			finish(job_name(minute), ends[minute - 1], "2026-01-01T00:04:30Z");
		(void)reconcile();
	}
	for (size_t i = 0; i < jobs(); i++)
		len += (size_t)snprintf(out + len, 2048 - len, "%s\n", fake_host_name(fake, JOB, "n", i));
	(void)snprintf(out + len, 2048 - len, "%s %s %s", cj("/status/active/0/name"), cj("/status/active/1/name"), cj("/status/lastScheduleTime"));
	end();
	return disturbed;
}

START_TEST(rule_28_crash_after_each_write_and_old_caches)
{
	static const char *const specs[] = { "'schedule':'* * * * *'", "'schedule':'* * * * *','concurrencyPolicy':'Forbid'",
		"'schedule':'* * * * *','concurrencyPolicy':'Replace'", "'schedule':'* * * * *','successfulJobsHistoryLimit':1,"
		"'failedJobsHistoryLimit':0" };
	char want[2048], got[2048];
	bool disturbed = true;
	int n;

	(void)five_minutes(specs[_i], -1, false, want);
	for (n = 0; n < 20 && disturbed; n++)
		for (int old_cache = 0; old_cache < 2; old_cache++) {
			disturbed = five_minutes(specs[_i], n, old_cache != 0, got);
			ck_assert_msg(strcmp(want, got) == 0, "%s, write %d, %d: %s\ninstead of %s", specs[_i], n, old_cache, got, want);
		}
	ck_assert_int_gt(n, 2);
	ck_assert_int_lt(n, 20);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_job_each_minute);
	tcase_add_test(tc, a_lost_answer_makes_no_second_job);
	tcase_add_test(tc, suspended);
	tcase_add_test(tc, forbid_waits_and_then_runs);
	tcase_add_test(tc, replace_deletes_the_old_one);
	tcase_add_test(tc, allow_runs_side_by_side);
	tcase_add_test(tc, starting_deadline);
	tcase_add_test(tc, more_than_a_hundred_missed);
	tcase_add_test(tc, missed_before_a_pause);
	tcase_add_test(tc, every_counts_from_the_last);
	tcase_add_test(tc, time_zone);
	tcase_add_test(tc, history_limits);
	tcase_add_test(tc, what_others_did_to_its_jobs);
	tcase_add_test(tc, a_foreign_job_of_that_name);
	tcase_add_loop_test(tc, rule_28_crash_after_each_write_and_old_caches, 0, 4);
}

UNIT_MAIN("cronjobs", cases)
