/* SPDX-License-Identifier: Apache-2.0 */
/* spec.ttlSecondsAfterFinished, against a fake host whose clock only the test moves. */
#include "tests/unit/agenticsession.h"

#define TTL(n) "{'prompt':'do','timeout':60,'ttlSecondsAfterFinished':" #n "}"

static bool
is_there(void)
{
	return fake_host_has(fake, AS_SESSION, "team-a", "s");
}

/* One look, which may be the last one. */
static int64_t
look(void)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(fake_host_reconcile(fake, NULL, "team-a", "s", &result, &err) == 0, "%s", err.message);
	return result.requeue_after;
}

static void
ends_with(const char *phase)
{
	(void)settle();
	if (strcmp(phase, "Completed") == 0) {
		pod(ENDED(0));
	} else if (strcmp(phase, "Failed") == 0) {
		pod(ENDED(1));
	} else if (strcmp(phase, "Timeout") == 0) {
		pod(UP);
		(void)settle();
		fake_host_advance(fake, 66 * AMBIENT_SECOND);
	} else {
		fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	}
	/* Each write wakes it again; Stopped is the third: the Job is deleted first. */
	for (int i = 0; i < 3 && is_there(); i++)
		(void)look();
}

static const char *const ends[] = { "Completed", "Failed", "Timeout", "Stopped" };

START_TEST(expires_after_each_end)
{
	begin();
	submit_named("s", TTL(100));
	ends_with(ends[_i]);
	ck_assert_str_eq(at("/status/phase"), ends[_i]);
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_remove(fake, AS_JOB, "team-a", "s-job");
	ck_assert_int_eq(look(), 100 * AMBIENT_SECOND);
	fake_host_advance(fake, 99 * AMBIENT_SECOND);
	ck_assert_int_eq(look(), AMBIENT_SECOND);
	ck_assert(is_there());
	fake_host_advance(fake, AMBIENT_SECOND);
	ck_assert_int_eq(look(), 0);
	ck_assert(!is_there());
	ck_assert_ptr_nonnull(fake_host_event(fake, "Expired"));
	(void)look();
	ck_assert_uint_eq(fake_host_calls(fake, "delete", AS_SESSION), 1);
	end();
}
END_TEST

START_TEST(zero_is_at_once)
{
	begin();
	submit_named("s", TTL(0));
	(void)settle();
	ck_assert(is_there());
	ends_with(ends[_i]);
	ck_assert(!is_there());
	end();
}
END_TEST

/* Nobody is deleted who did not ask for it, whose owner decides, or who is none of ours; nor before the end. */
START_TEST(who_does_not_expire)
{
	static const char *const sessions[] = {
		"{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'do'}}",
		"{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'do','ttlSecondsAfterFinished':-1}}",
		"{'metadata':{'name':'s','namespace':'team-a','ownerReferences':[{'kind':'RFEWorkflow','name':'w','uid':'u'}]},"
		"'spec':{'prompt':'do','ttlSecondsAfterFinished':1}}",
		"{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'do','ttlSecondsAfterFinished':1}}",
	};

	begin();
	fake_host_put(fake, AS_SESSION, sessions[_i]);
	(void)settle();
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	pod(ENDED(0));
	if (_i == 3)
		fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a'}}");
	(void)settle();
	fake_host_advance(fake, 1000 * 3600 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	if (_i == 3) {
		fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a','labels':{'ambient-code.io/managed':'true'}}}");
		(void)look();
		ck_assert(!is_there());
	}
	end();
}
END_TEST

START_TEST(who_is_started_again_stays)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	submit_named("s", TTL(100));
	ends_with("Completed");
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	/* Due, by a cache that has not heard of the wish yet. */
	fake_host_remember(fake);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Running'}}");
	fake_host_lag(fake, true);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err), -AMBIENT_E_CONFLICT);
	fake_host_lag(fake, false);
	ck_assert(is_there());
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/runs"), "2");
	fake_host_advance(fake, 1000 * AMBIENT_SECOND);
	(void)settle();
	ck_assert(is_there());
	/* It counts from the new end. */
	pod(ENDED(0));
	(void)settle();
	ck_assert(is_there());
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	(void)look();
	ck_assert(!is_there());
	end();
}
END_TEST

/* A TTL is about the session and no part of a run: it may change at any time. */
START_TEST(the_ttl_may_change_at_any_time)
{
	begin();
	submit_named("s", TTL(100));
	(void)settle();
	pod(UP);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'ttlSecondsAfterFinished':20000}}");
	(void)settle();
	ck_assert_str_eq(cond("Reconciled", "status"), "True");
	pod(ENDED(0));
	(void)settle();
	fake_host_remove(fake, AS_JOB, "team-a", "s-job");
	/* The wall clock may be set meanwhile: nobody sleeps longer than an hour. */
	ck_assert_int_eq(look(), 3600 * AMBIENT_SECOND);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'ttlSecondsAfterFinished':null}}");
	ck_assert_int_eq(look(), 0);
	fake_host_advance(fake, 20000 * AMBIENT_SECOND);
	(void)look();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'ttlSecondsAfterFinished':20000}}");
	ck_assert(is_there());
	(void)look();
	ck_assert(!is_there());
	end();
}
END_TEST

/* The claim goes with the session that made it: not while another one works on its files. */
START_TEST(a_workspace_in_use_stays)
{
	bool woken = false;
	const char *line;

	begin();
	submit_named("s", TTL(100));
	ends_with("Completed");
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'child','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'s'}},'spec':{'prompt':'more'}}");
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "child", NULL, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, AS_SESSION, "team-a", "child", "/status/effective/workspace"), "s");
	fake_host_advance(fake, 1000 * AMBIENT_SECOND);
	(void)look();
	ck_assert(is_there());
	while (fake_host_queued(fake) != NULL)
		;
	fake_host_merge(fake, AS_SESSION, "team-a", "child", "{'spec':{'desiredState':'Stopped'}}");
	for (int i = 0; i < 4; i++)
		(void)fake_host_reconcile(fake, NULL, "team-a", "child", NULL, NULL);
	ck_assert_str_eq(fake_host_at(fake, AS_SESSION, "team-a", "child", "/status/phase"), "Stopped");
	while ((line = fake_host_queued(fake)) != NULL)
		woken = woken || strstr(line, "/s ") != NULL;
	ck_assert(woken);
	(void)look();
	ck_assert(!is_there());
	end();
}
END_TEST

/* One that was made a moment ago, and whoever continues one that continues it: neither has a plan yet. */
START_TEST(a_workspace_that_is_asked_for_stays)
{
	static const char *const young[] = {
		"{'metadata':{'name':'young','namespace':'team-a','annotations':{'vteam.ambient-code/parent-session-id':'s'}},'spec':{'prompt':'x'}}",
		"{'metadata':{'name':'young','namespace':'team-a'},'spec':{'prompt':'x','environmentVariables':{'PARENT_SESSION_ID':'child'}}}",
		"{'metadata':{'name':'young','namespace':'team-a'},'spec':{'prompt':'x','desiredState':'Running'},'status':{'phase':'Completed',"
		"'completionTime':'2025-01-01T00:00:00Z','effective':{'workspace':'s'}}}",
	};

	begin();
	submit_named("s", TTL(100));
	ends_with("Completed");
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'child','namespace':'team-a'},'status':{'phase':'Completed',"
		      "'completionTime':'2025-01-01T00:00:00Z','effective':{'workspace':'s'}}}");
	fake_host_put(fake, AS_SESSION, young[_i]);
	fake_host_advance(fake, 1000 * AMBIENT_SECOND);
	(void)look();
	ck_assert(is_there());
	fake_host_remove(fake, AS_SESSION, "team-a", "young");
	(void)look();
	ck_assert(!is_there());
	end();
}
END_TEST

/* The daemon dies after any write on the way to the end. */
START_TEST(rule_28_crash_before_it_expires)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int n = 0;

	for (bool cut_off = true; cut_off && n < 20; n++) {
		begin();
		submit_named("s", TTL(0));
		(void)settle();
		pod(ENDED(0));
		writes_left = n;
		cut_off = fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err) < 0;
		writes_left = -1;
		(void)look();
		ck_assert(!is_there());
		ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), 1);
		end();
	}
	ck_assert_int_ge(n, 2);
	ck_assert_int_lt(n, 20);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, expires_after_each_end, 0, 4);
	tcase_add_loop_test(tc, zero_is_at_once, 0, 4);
	tcase_add_loop_test(tc, who_does_not_expire, 0, 4);
	tcase_add_test(tc, who_is_started_again_stays);
	tcase_add_test(tc, the_ttl_may_change_at_any_time);
	tcase_add_test(tc, a_workspace_in_use_stays);
	tcase_add_loop_test(tc, a_workspace_that_is_asked_for_stays, 0, 3);
	tcase_add_test(tc, rule_28_crash_before_it_expires);
}

UNIT_MAIN("agenticsession_expire", cases)
