/* SPDX-License-Identifier: Apache-2.0 */
/* The pod that shows the files of a session that has ended, against a fake host: asked for, served once, out of the way. */
#include "tests/unit/agenticsession.h"

static const char *const ends[] = { "Completed", "Failed", "Stopped" };

static void
ended(const char *phase)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	if (strcmp(phase, "Stopped") == 0) {
		fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
		(void)settle();
		fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	} else {
		pod(strcmp(phase, "Completed") == 0 ? ENDED(0) : ENDED(1));
	}
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), phase);
	if (fake_host_has(fake, AS_POD, "team-a", "s-job-x"))
		fake_host_merge(fake, AS_POD, "team-a", "s-job-x", "{'status':{'phase':'Failed'}}");
}

static void
ask(const char *when)
{
	char patch[160];

	(void)snprintf(patch, sizeof(patch), "{'metadata':{'annotations':{'ambient-code.io/content-requested':'%s'}}}", when);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", patch);
	(void)settle();
}

static bool
shown(void)
{
	return fake_host_has(fake, AS_POD, "team-a", "s-content");
}

static const char *
content(const char *pointer)
{
	const char *s = fake_host_at(fake, AS_POD, "team-a", "s-content", pointer);

	return s != NULL ? s : "(none)";
}

/* Of the fake clock: seconds after it began. */
static const char *
now_and(int seconds)
{
	static char text[40];
	int64_t wall = fake_host_table(fake)->clock->wall(fake_host_table(fake));

	ambient_time(text, wall + seconds * AMBIENT_SECOND);
	return text;
}

START_TEST(who_asks_is_shown_the_files)
{
	ended(ends[_i]);
	ck_assert(!shown());
	ask(now_and(0));
	ck_assert(shown());
	ck_assert_str_eq(content("/metadata/labels/app"), "ambient-content");
	ck_assert_str_eq(content("/metadata/labels/agentic-session"), "s");
	ck_assert_str_eq(content("/metadata/ownerReferences/0/kind"), "AgenticSession");
	ck_assert_str_eq(content("/spec/serviceAccountName"), "ambient-session-s");
	ck_assert_str_eq(content("/spec/volumes/0/persistentVolumeClaim/claimName"), "ambient-workspace-s");
	ck_assert_str_eq(content("/spec/volumes/0/persistentVolumeClaim/readOnly"), "true");
	ck_assert_str_eq(content("/spec/containers/0/volumeMounts/0/readOnly"), "true");
	ck_assert_str_eq(content("/spec/containers/0/args/0"), "content");
	ck_assert_str_eq(content("/spec/containers/0/securityContext/allowPrivilegeEscalation"), "false");
	ck_assert_str_eq(content("/spec/securityContext/runAsNonRoot"), "true");
	ck_assert_str_eq(content("/spec/automountServiceAccountToken"), "false");
	/* Nothing but the session's own right: no Secret, no variable of one. */
	ck_assert_str_eq(content("/spec/containers/1"), "(none)");
	ck_assert_str_eq(content("/spec/volumes/2"), "(none)");
	ck_assert_str_eq(at("/status/phase"), ends[_i]);
	/* It ends by itself, and what was served is not served again. */
	fake_host_merge(fake, AS_POD, "team-a", "s-content", "{'status':{'phase':'Succeeded'}}");
	(void)settle();
	ck_assert(!shown());
	(void)settle();
	ck_assert(!shown());
	ask(now_and(1));
	ck_assert(shown());
	end();
}
END_TEST

START_TEST(two_requests_in_one_second_are_two)
{
	char first[40], second[40];

	ended("Completed");
	(void)snprintf(first, sizeof(first), "%.19s.100000Z", now_and(0));
	(void)snprintf(second, sizeof(second), "%.19s.100001Z", now_and(0));
	ask(first);
	ck_assert(shown());
	fake_host_merge(fake, AS_POD, "team-a", "s-content", "{'status':{'phase':'Succeeded'}}");
	(void)settle();
	ck_assert(!shown());
	ask(second);
	ck_assert(shown());
	ck_assert_str_eq(at("/status/contentRequested"), second);
	/* One that fails is told of: whoever waits for it would wait for good. */
	fake_host_merge(fake, AS_POD, "team-a", "s-content", "{'status':{'phase':'Failed','message':'no room'}}");
	(void)settle();
	ck_assert(!shown());
	ck_assert_uint_ge(fake_host_events(fake, "ContentUnavailable"), 1);
	ck_assert(strstr(fake_host_event(fake, "ContentUnavailable"), "no room") != NULL);
	end();
}
END_TEST

START_TEST(what_is_no_request_of_now_is_not_served)
{
	ended("Completed");
	const char *const bad[] = { "", "yes", "2026-13-01T00:00:00Z", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z",
				    "2026-01-01T00:00:00.00000000000000000000000000Z" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ask(bad[i]);
		ck_assert_msg(!shown(), "%s", bad[i]);
	}
	end();
}
END_TEST

START_TEST(nothing_is_shown_while_it_runs)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	ask(now_and(0));
	ck_assert(!shown());
	end();
}
END_TEST

/* 12.2: one claim, one pod; the run wins. */
START_TEST(weakness_12_2_c_it_makes_way_for_a_run)
{
	char first[40];

	ended("Completed");
	(void)snprintf(first, sizeof(first), "%s", at("/status/runId"));
	ask(now_and(0));
	ck_assert(shown());
	/* Its going takes a while: a finalizer stands for the kubelet that ends it. */
	fake_host_merge(fake, AS_POD, "team-a", "s-content", "{'metadata':{'finalizers':['test/held']}}");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Running',"
			"'ambient-code.io/start-requested-at':'t1'}}}");
	(void)settle();
	if (shown()) { /* where the fake keeps what has a finalizer */
		ck_assert_str_eq(at("/status/phase"), "Pending");
		ck_assert_str_eq(cond("Ready", "reason"), "Restarting");
		ck_assert(strstr(at("/status/message"), "files") != NULL);
		ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
		fake_host_remove(fake, AS_POD, "team-a", "s-content");
		(void)settle();
	}
	ck_assert(!shown());
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_ne(at("/status/runId"), first);
	/* The request of before stays answered. */
	(void)settle();
	ck_assert(!shown());
	end();
}
END_TEST

START_TEST(a_pod_of_somebody_else_is_left_alone)
{
	ended("Completed");
	fake_host_put(fake, AS_POD, "{'metadata':{'name':'s-content','namespace':'team-a'},'status':{'phase':'Failed'}}");
	ask(now_and(0));
	ck_assert(shown());
	ck_assert_str_eq(content("/metadata/labels/app"), "(none)");
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, who_asks_is_shown_the_files, 0, (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(tc, two_requests_in_one_second_are_two);
	tcase_add_test(tc, what_is_no_request_of_now_is_not_served);
	tcase_add_test(tc, nothing_is_shown_while_it_runs);
	tcase_add_test(tc, weakness_12_2_c_it_makes_way_for_a_run);
	tcase_add_test(tc, a_pod_of_somebody_else_is_left_alone);
}

UNIT_MAIN("agenticsession_content", cases)
