/* SPDX-License-Identifier: Apache-2.0 */
/* How many sessions run at once, against a fake host: the limit over all and in a project, order, and who is woken. */
#include "tests/unit/agenticsession.h"

#include <pthread.h>

static void
submit(const char *ns, const char *name, const char *created)
{
	char json[512];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'%s','creationTimestamp':'%s'},'spec':{'prompt':'do'}}",
		       name, ns, created);
	fake_host_put(fake, AS_SESSION, json);
}

static const char *
of(const char *ns, const char *name, const char *pointer)
{
	const char *s = fake_host_at(fake, AS_SESSION, ns, name, pointer);

	return s != NULL ? s : "(none)";
}

static void
turn(const char *ns, const char *name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < 20; i++) {
		size_t before = writes();

		ck_assert_msg(fake_host_reconcile(fake, NULL, ns, name, NULL, &err) == 0, "%s", err.message);
		if (before == writes())
			return;
	}
	ck_abort_msg("%s/%s does not settle", ns, name);
}

/* Reconciles whom the plugin woke; how many those were. */
static int
woken(void)
{
	const char *line;
	int n = 0;

	for (; (line = fake_host_queued(fake)) != NULL; n++) {
		char ns[64], name[64];

		ck_assert_int_eq(sscanf(line, "%*s %63[^/]/%63s", ns, name), 2);
		turn(ns, name);
	}
	return n;
}

static void
complete(const char *ns, const char *name)
{
	char job[80];

	(void)snprintf(job, sizeof(job), "%s-job", name);
	fake_host_merge(fake, AS_JOB, ns, job, "{'status':{'conditions':[{'type':'Complete','status':'True'}]}}");
	turn(ns, name);
	ck_assert_str_eq(of(ns, name, "/status/phase"), "Completed");
}

static void
managed(const char *ns)
{
	char json[160];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','labels':{'ambient-code.io/managed':'true'}}}", ns);
	fake_host_put(fake, AS_NS, json);
}

START_TEST(first_come_first_served)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };

	begin_with("{'maxRunning':2}");
	/* Seen in another order than they came in. */
	for (int i = 4; i >= 0; i--) {
		char when[32];

		(void)snprintf(when, sizeof(when), "2026-01-01T00:00:0%dZ", i);
		submit("team-a", names[i], when);
	}
	for (int i = 0; i < 5; i++)
		turn("team-a", names[i]);
	ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), 2);
	ck_assert_str_eq(of("team-a", "a", "/status/phase"), "Creating");
	ck_assert_str_eq(of("team-a", "b", "/status/admission"), "Admitted");
	ck_assert_str_eq(of("team-a", "c", "/status/phase"), "Pending");
	ck_assert_str_eq(of("team-a", "c", "/status/admission"), "Waiting");
	ck_assert_ptr_nonnull(strstr(of("team-a", "c", "/status/message"), "place 1 "));
	ck_assert_ptr_nonnull(strstr(of("team-a", "e", "/status/message"), "place 3 "));
	ck_assert_ptr_nonnull(strstr(of("team-a", "e", "/status/message"), "at most 2 sessions"));
	ck_assert_str_eq(of("team-a", "e", "/status/runId"), "(none)");
	/* Nobody is let in out of turn, whoever looks again. */
	turn("team-a", "e");
	ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), 2);
	(void)woken();
	complete("team-a", "b");
	ck_assert_str_eq(of("team-a", "b", "/status/admission"), "(none)");
	turn("team-a", "e");
	ck_assert_str_eq(of("team-a", "e", "/status/phase"), "Pending");
	ck_assert_int_ge(woken(), 1);
	ck_assert_str_eq(of("team-a", "c", "/status/phase"), "Creating");
	ck_assert_str_eq(of("team-a", "d", "/status/phase"), "Pending");
	/* The others heard that they moved up. */
	ck_assert_ptr_nonnull(strstr(of("team-a", "d", "/status/message"), "place 1 "));
	ck_assert_ptr_nonnull(strstr(of("team-a", "e", "/status/message"), "place 2 "));
	/* One that is deleted makes room, too; the server deletes its Job. */
	fake_host_remove(fake, AS_SESSION, "team-a", "a");
	turn("team-a", "a");
	(void)woken();
	ck_assert_str_eq(of("team-a", "d", "/status/phase"), "Creating");
	end();
}
END_TEST

START_TEST(a_project_has_its_own_limit)
{
	begin_with(_i == 0 ? "{}" : "{'maxRunning':3}");
	managed("team-b");
	fake_host_put(fake, AS_SETTINGS, "{'metadata':{'name':'projectsettings','namespace':'team-a'},'spec':{'maxRunning':1}}");
	submit("team-a", "a1", "2026-01-01T00:00:00Z");
	submit("team-a", "a2", "2026-01-01T00:00:01Z");
	submit("team-b", "b1", "2026-01-01T00:00:02Z");
	turn("team-a", "a1");
	turn("team-a", "a2");
	turn("team-b", "b1");
	/* Who waits for a project does not hold up another one. */
	ck_assert_str_eq(of("team-b", "b1", "/status/phase"), "Creating");
	ck_assert_str_eq(of("team-a", "a2", "/status/phase"), "Pending");
	ck_assert_ptr_nonnull(strstr(of("team-a", "a2", "/status/message"), "at most 1 sessions run at once in this project"));
	complete("team-a", "a1");
	(void)woken();
	ck_assert_str_eq(of("team-a", "a2", "/status/phase"), "Creating");
	/* Raised: the watch of the settings wakes the project. */
	submit("team-a", "a3", "2026-01-01T00:00:03Z");
	turn("team-a", "a3");
	ck_assert_str_eq(of("team-a", "a3", "/status/phase"), "Pending");
	fake_host_merge(fake, AS_SETTINGS, "team-a", "projectsettings", "{'spec':{'maxRunning':2}}");
	turn("team-a", "a3");
	ck_assert_str_eq(of("team-a", "a3", "/status/phase"), "Creating");
	ck_assert_str_eq(of("team-a", "a3", "/status/conditions/2/type"), "Admitted");
	ck_assert_str_eq(of("team-a", "a3", "/status/conditions/2/status"), "True");
	end();
}
END_TEST

START_TEST(who_waits_can_be_stopped_and_comes_back_last)
{
	begin_with("{'maxRunning':1}");
	submit("team-a", "a", "2026-01-01T00:00:00Z");
	submit("team-a", "b", "2026-01-01T00:00:01Z");
	submit("team-a", "c", "2026-01-01T00:00:02Z");
	turn("team-a", "a");
	turn("team-a", "b");
	turn("team-a", "c");
	fake_host_merge(fake, AS_SESSION, "team-a", "b", "{'spec':{'desiredState':'Stopped'}}");
	turn("team-a", "b");
	ck_assert_str_eq(of("team-a", "b", "/status/phase"), "Stopped");
	(void)woken();
	ck_assert_ptr_nonnull(strstr(of("team-a", "c", "/status/message"), "place 1 "));
	fake_host_advance(fake, 60 * AMBIENT_SECOND);
	fake_host_merge(fake, AS_SESSION, "team-a", "b", "{'spec':{'desiredState':'Running'}}");
	turn("team-a", "b");
	ck_assert_str_eq(of("team-a", "b", "/status/phase"), "Pending");
	ck_assert_ptr_nonnull(strstr(of("team-a", "b", "/status/message"), "place 2 "));
	/* The daemon dies: what it knew of the order is made anew. */
	fake_host_destroy(fake);
	(void)fake_host_create(fake);
	turn("team-a", "c");
	turn("team-a", "b");
	turn("team-a", "a");
	ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), 1);
	complete("team-a", "a");
	(void)woken();
	ck_assert_str_eq(of("team-a", "c", "/status/phase"), "Creating");
	ck_assert_str_eq(of("team-a", "b", "/status/phase"), "Pending");
	end();
}
END_TEST

/* Neither what cannot run nor what may not keeps a place. */
START_TEST(a_refused_session_and_an_unmanaged_one_leave_the_queue)
{
	begin_with("{'maxRunning':1}");
	managed("team-b");
	submit("team-a", "a", "2026-01-01T00:00:00Z");
	submit("team-b", "b", "2026-01-01T00:00:01Z");
	submit("team-a", "c", "2026-01-01T00:00:02Z");
	submit("team-a", "d", "2026-01-01T00:00:03Z");
	turn("team-a", "a");
	turn("team-b", "b");
	turn("team-a", "c");
	turn("team-a", "d");
	fake_host_merge(fake, AS_NS, "", "team-b", "{'metadata':{'labels':{'ambient-code.io/managed':'false'}}}");
	turn("team-b", "b");
	ck_assert_str_eq(of("team-b", "b", "/status/admission"), "(none)");
	fake_host_merge(fake, AS_SESSION, "team-a", "c", "{'spec':{'prompt':''}}");
	turn("team-a", "c");
	ck_assert_str_eq(of("team-a", "c", "/status/phase"), "Failed");
	complete("team-a", "a");
	(void)woken();
	ck_assert_str_eq(of("team-a", "d", "/status/phase"), "Creating");
	end();
}
END_TEST

#define MANY 48

static void *
worker(void *arg)
{
	int first = *(int *)arg;

	for (int i = first; i < MANY; i += 4) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%02d", i);
		for (int k = 0; k < 6; k++)
			(void)fake_host_reconcile(fake, NULL, "team-a", name, NULL, NULL);
	}
	return NULL;
}

START_TEST(four_workers_do_not_give_a_place_away_twice)
{
	pthread_t threads[4];
	int first[4];

	begin_with("{'maxRunning':7}");
	for (int i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%02d", i);
		submit("team-a", name, "2026-01-01T00:00:00Z");
	}
	for (int i = 0; i < 4; i++) {
		first[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, worker, &first[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), 7);
	end();
}
END_TEST

/* All of many run, never more than the limit at once, and only who can use it is woken. */
START_TEST(many_sessions_through_few_places)
{
	int done = 0, wakes = 0;

	begin_with("{'maxRunning':5}");
	for (int i = 0; i < 200; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%03d", i);
		submit("team-a", name, "2026-01-01T00:00:00Z");
		turn("team-a", name);
	}
	for (; done < 200; done++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%03d", done);
		ck_assert_str_eq(of("team-a", name, "/status/phase"), "Creating");
		ck_assert_uint_eq(fake_host_count(fake, AS_JOB, "team-a"), (size_t)(done + 5 < 200 ? done + 5 : 200));
		complete("team-a", name);
		wakes += woken();
	}
	/* Each that ends is looked at a few times, and wakes the next one and tells five their place each time. */
	ck_assert_int_le(wakes, 200 * 24);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, first_come_first_served);
	tcase_add_loop_test(tc, a_project_has_its_own_limit, 0, 2);
	tcase_add_test(tc, who_waits_can_be_stopped_and_comes_back_last);
	tcase_add_test(tc, a_refused_session_and_an_unmanaged_one_leave_the_queue);
	tcase_add_loop_test(tc, four_workers_do_not_give_a_place_away_twice, 0, 10);
	tcase_add_test(tc, many_sessions_through_few_places);
}

UNIT_MAIN("agenticsession_admit", cases)
