/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people do to sessions beside waiting for their end: edits, looking at the files, starting again, continuing another one,
 * standing in line.  Each way is disturbed at every point, as the ways to each end are in test_agenticsession_faults: the daemon dies
 * after any of its writes, comes back with a cache that is as old as any of them, or hears of several events as one.  The end
 * of every session in it is that of the undisturbed way, but for its times and the ids of its runs.
 */
#include <stdlib.h>

#include "tests/unit/agenticsession.h"

#define STEPS    9
#define LOOKS    4 /* of a daemon with an old cache */
#define END_SIZE (64 * 1024)
#define CHAT     "{'initialPrompt':'hi','repos':[{'url':'https://h/a.git'},{'url':'https://h/b.git'}]}"
#define OTHERS   "{'repos':[{'url':'https://h/b.git','branch':'dev'},{'url':'https://h/c.git'}],'mainRepoIndex':1}"

static const char *const names[] = { "s", "t" };
#define SESSIONS (sizeof(names) / sizeof(names[0]))

static const char *
of(const char *session, const char *pointer)
{
	const char *s = fake_host_at(fake, AS_SESSION, "team-a", session, pointer);

	return s != NULL ? s : "(none)";
}

/* ---- the world */

static void
pod_of(const char *session, const char *status)
{
	char json[2048], job[80];

	(void)snprintf(job, sizeof(job), "%s-job", session);
	ck_assert_msg(fake_host_has(fake, AS_JOB, "team-a", job), "%s has no Job: %s", session, of(session, "/status"));
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s-x','namespace':'team-a','labels':{'app':'ambient-code-runner',"
		       "'agentic-session':'%s','ambient-code.io/workspace':'%s'},'annotations':{'ambient-code.io/session':'%s',"
		       "'ambient-code.io/run-id':'%s'}},'spec':{'nodeName':'n1'},'status':%s}", job, session,
		       fake_host_at(fake, AS_JOB, "team-a", job, "/metadata/labels/ambient-code.io~1workspace"), session,
		       fake_host_at(fake, AS_JOB, "team-a", job, AS_RUN_ID), status);
	fake_host_put(fake, AS_POD, json);
}

/* As a server counts them. */
static void
edit(const char *spec)
{
	char json[1000];

	(void)snprintf(json, sizeof(json), "{'metadata':{'generation':%ld},'spec':%s}", strtol(at("/metadata/generation"), NULL, 10) + 1, spec);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", json);
}

static void
ask_for_files(int second)
{
	char when[40], patch[160];

	ambient_time(when, fake_host_wall(fake) + second * AMBIENT_SECOND);
	(void)snprintf(patch, sizeof(patch), "{'metadata':{'annotations':{'ambient-code.io/content-requested':'%s'}}}", when);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", patch);
}

#define OVER "{'phase':'Succeeded','containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':0,'reason':'Completed'," \
	     "'startedAt':'2026-01-01T00:00:05Z'}}},{'name':'agent','state':{'terminated':{'exitCode':0}}}]}"

static void p_begin(void) { submit_named("s", SPEC); }
static void p_chat(void) { submit_named("s", CHAT); }
static void p_up(void) { pod_of("s", UP); report("\"state\":\"running\",\"specGeneration\":1"); }
static void p_end(void) { pod_of("s", OVER); }
static void p_timeout(void) { edit("{'timeout':600}"); }
static void p_model(void) { edit("{'model':'m'}"); }
static void p_repos(void) { edit(OTHERS); }
static void p_heard(void) { char text[100]; (void)snprintf(text, sizeof(text), "\"state\":\"running\",\"reconciled\":{\"generation\":%s}",
	at("/status/effective/generation")); report(text); }
static void p_look(void) { ask_for_files(0); }
static void p_look_again(void) { ask_for_files(1); }
static void p_looked(void) { fake_host_merge(fake, AS_POD, "team-a", "s-content", "{'status':{'phase':'Succeeded'}}"); }
static void p_start(void) { fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':"
	"'Running','ambient-code.io/start-requested-at':'t1'}}}"); }
static void p_other(void) { submit_named("t", SPEC); }
static void p_heir(void) { fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'t','namespace':'team-a','annotations':{"
	"'vteam.ambient-code/parent-session-id':'s'}},'spec':{'prompt':'more'}}"); }
static void p_other_up(void) { pod_of("t", UP); }
static void p_other_end(void) { pod_of("t", OVER); }
static void p_other_stop(void) { fake_host_merge(fake, AS_SESSION, "team-a", "t", "{'spec':{'desiredState':'Stopped'}}"); }
static void p_other_start(void) { fake_host_merge(fake, AS_SESSION, "team-a", "t", "{'spec':{'desiredState':'Running'}}"); }

static const struct scenario {
	const char *name, *conf;
	void (*steps[STEPS])(void);
	const char *phase, *reconciled, *other; /* of s; of t, or "(none)" */
	size_t jobs;
	unsigned blind; /* after which steps a look may be left out */
} scenarios[] = {
	{ "an edit that is heard of", NULL, { p_begin, p_up, p_timeout, p_heard, p_end }, "Completed", "SpecApplied", "(none)", 1, 1 << 1 },
	{ "an edit that comes too late", NULL, { p_begin, p_up, p_timeout, p_end }, "Completed", "NotApplied", "(none)", 1, 1 << 1 },
	{ "an edit for the next run", NULL, { p_begin, p_up, p_model, p_end, p_start, p_up, p_end }, "Completed", "SpecApplied", "(none)", 2,
	  1 << 1 | 1 << 2 },
	{ "other repositories", NULL, { p_chat, p_up, p_repos, p_heard, p_end }, "Completed", "SpecApplied", "(none)", 1, 1 << 1 },
	{ "edited before the pod", NULL, { p_chat, p_repos, p_up, p_heard, p_end }, "Completed", "SpecApplied", "(none)", 1, 1 << 2 },
	{ "the files are looked at", NULL, { p_begin, p_end, p_look, p_looked, p_look_again }, "Completed", "SpecApplied", "(none)", 1, 0 },
	{ "looked at, and started again", NULL, { p_begin, p_end, p_look, p_start, p_up, p_end }, "Completed", "SpecApplied", "(none)", 2, 1 << 4 },
	{ "continued at once", NULL, { p_begin, p_up, p_heir, p_end, p_other_up, p_other_end }, "Completed", "SpecApplied", "Completed", 2,
	  1 << 1 | 1 << 2 | 1 << 4 },
	{ "continued while it is looked at", NULL, { p_begin, p_end, p_look, p_heir, p_other_up, p_other_end }, "Completed", "SpecApplied",
	  "Completed", 2, 1 << 4 },
	{ "started while it is continued", NULL, { p_begin, p_end, p_heir, p_other_up, p_start, p_other_end, p_up, p_end }, "Completed",
	  "SpecApplied", "Completed", 3, 1 << 3 | 1 << 4 | 1 << 6 },
	{ "in line", "{'maxRunning':1}", { p_begin, p_up, p_other, p_end, p_other_up, p_other_end }, "Completed", "SpecApplied", "Completed", 2,
	  1 << 1 | 1 << 4 },
	{ "stopped in line", "{'maxRunning':1}", { p_begin, p_other, p_other_stop, p_end }, "Completed", "SpecApplied", "Stopped", 1, 1 << 2 },
	{ "back in line", "{'maxRunning':1}", { p_begin, p_other, p_other_stop, p_other_start, p_end, p_other_up, p_other_end }, "Completed",
	  "SpecApplied", "Completed", 2, 1 << 5 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- looking */

static size_t
all_writes(void)
{
	return writes() + fake_host_calls(fake, "create", AS_POD) + fake_host_calls(fake, "delete", AS_POD);
}

/* Looks at each session; false: something failed. */
static bool
pass(struct ambient_error *err)
{
	bool well = true;

	for (size_t i = 0; i < SESSIONS; i++)
		if (fake_host_has(fake, AS_SESSION, "team-a", names[i]))
			well = fake_host_reconcile(fake, NULL, "team-a", names[i], NULL, err) == 0 && well;
	while (fake_host_queued(fake) != NULL)
		; /* whom it wakes is looked at in any case */
	return well;
}

static void
come_to_rest(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < 30; i++) {
		size_t before = all_writes();

		ck_assert_msg(pass(&err), "%s", err.message);
		if (before == all_writes())
			return;
	}
	ck_abort_msg("does not come to rest: %s", at("/status"));
}

static void
restart_daemon(void)
{
	fake_host_destroy(fake);
	(void)fake_host_create(fake);
}

enum disturbance { UNDISTURBED, CRASH, OLD_CACHE, BLIND };

/* The first look after each step; false: nothing was cut off. */
static bool
look(enum disturbance how, int n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool cut_off;

	writes_left = how == CRASH || how == OLD_CACHE ? n : -1;
	cut_off = !pass(&err) && writes_left == 0;
	writes_left = -1;
	if (how == CRASH)
		restart_daemon();
	if (how == OLD_CACHE)
		fake_host_remember(fake);
	come_to_rest();
	if (how != OLD_CACHE)
		return cut_off;
	/* A daemon that has just started, whose cache has not heard of what the last one wrote; what it tries may fail. */
	restart_daemon();
	fake_host_lag(fake, true);
	for (int i = 0; i < LOOKS; i++)
		(void)pass(&err);
	fake_host_lag(fake, false);
	come_to_rest();
	return cut_off;
}

/* All that is left but times and ids. */
static void
dump(char *out)
{
	static const char *const parts[] = {
		"/status/phase", "/status/message", "/status/startTime", "/status/runs", "/status/admission", "/status/waitsFor", "/status/stoppedReason",
		"/status/intent", "/status/contentRequested", "/status/observedGeneration", "/status/effective", "/status/reconciledRepos",
	};
	static const char *const kinds[] = { AS_JOB, AS_PVC, AS_CM, AS_SA, AS_ROLE, AS_BINDING, AS_POD };
	char job[80];
	size_t n = 0;

	for (size_t i = 0; i < SESSIONS; i++) {
		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
			n += (size_t)snprintf(out + n, END_SIZE - n, "%s %s %s\n", names[i], parts[k], of(names[i], parts[k]));
		for (int k = 0; k < AS_CONDITIONS; k++) {
			static const char *const members[] = { "type", "status", "reason" };

			for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++) {
				char pointer[80];

				(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/%s", k, members[m]);
				n += (size_t)snprintf(out + n, END_SIZE - n, "%s ", of(names[i], pointer));
			}
		}
		(void)snprintf(job, sizeof(job), "%s-job", names[i]);
		n += (size_t)snprintf(out + n, END_SIZE - n, "\nJob %s\n", fake_host_has(fake, AS_JOB, "team-a", job) ?
				      fake_host_at(fake, AS_JOB, "team-a", job, "/spec/activeDeadlineSeconds") : "(none)");
		ck_assert_uint_lt(n, END_SIZE);
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		n += (size_t)snprintf(out + n, END_SIZE - n, "%s %zu\n", kinds[k], fake_host_count(fake, kinds[k], "team-a"));
	ck_assert_uint_lt(n, END_SIZE);
}

/* n: the write at which it is cut off, or the steps after which nobody looks. */
static bool
run_scenario(const struct scenario *s, enum disturbance how, int n, char *out)
{
	bool disturbed = false;

	begin_with(s->conf);
	for (size_t i = 0; i < STEPS && s->steps[i] != NULL; i++) {
		s->steps[i]();
		if (how != BLIND || (n & 1 << i) == 0)
			disturbed = look(how, n) || disturbed;
	}
	dump(out);
	ck_assert_msg(strcmp(at("/status/phase"), s->phase) == 0 && strcmp(cond("Reconciled", "reason"), s->reconciled) == 0 &&
		      strcmp(of("t", "/status/phase"), s->other) == 0, "%s (%d, %d): %s\n%s", s->name, how, n, at("/status"), of("t", "/status"));
	/* One Job for each run, and no more; one that died between its write and hearing of it may try once more and be refused. */
	ck_assert_msg(fake_host_calls(fake, "create", AS_JOB) <= s->jobs + (how == OLD_CACHE), "%s (%d, %d): %zu Jobs", s->name, how, n,
		      fake_host_calls(fake, "create", AS_JOB));
	end();
	return disturbed;
}

static bool
same_end(const struct scenario *s, enum disturbance how, int n)
{
	static char want[END_SIZE], got[END_SIZE];
	bool disturbed;
	size_t at_byte;

	(void)run_scenario(s, UNDISTURBED, 0, want);
	disturbed = run_scenario(s, how, n, got);
	for (at_byte = 0; want[at_byte] != '\0' && want[at_byte] == got[at_byte];)
		at_byte++;
	at_byte -= at_byte < 60 ? at_byte : 60;
	ck_assert_msg(strcmp(want, got) == 0, "%s (%d, %d): ends as\n%.300s\ninstead of\n%.300s", s->name, how, n, got + at_byte,
		      want + at_byte);
	return disturbed;
}

static void
at_each_write(const struct scenario *s, enum disturbance how)
{
	int n = 0;

	while (n < 40 && same_end(s, how, n))
		n++;
	ck_assert_int_ge(n, 8);
	ck_assert_int_lt(n, 40);
}

START_TEST(rule_28_crash_after_each_write)
{
	at_each_write(&scenarios[_i], CRASH);
}
END_TEST

START_TEST(cache_as_old_as_any_write)
{
	at_each_write(&scenarios[_i], OLD_CACHE);
}
END_TEST

START_TEST(coalesced_events)
{
	unsigned all = scenarios[_i].blind;

	for (unsigned some = all; some != 0; some = (some - 1) & all)
		(void)same_end(&scenarios[_i], BLIND, (int)some);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, rule_28_crash_after_each_write, 0, SCENARIOS);
	tcase_add_loop_test(tc, cache_as_old_as_any_write, 0, SCENARIOS);
	tcase_add_loop_test(tc, coalesced_events, 0, SCENARIOS);
}

UNIT_MAIN("agenticsession_scenarios", cases)
