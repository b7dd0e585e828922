/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people do to sessions beside waiting for their end: edits, looking at the files, starting again, continuing another one,
 * standing in line.  Each way is disturbed at every point, as the ways to each end are in test_agenticsession_faults: the daemon dies
 * after any of its writes, comes back with a cache that is as old as any of them, or hears of several events as one.  The end
 * of every session in it is that of the undisturbed way, but for its times and the ids of its runs.
 */
#include <stdlib.h>

#include "tests/lib/walk.h"
#include "tests/unit/agenticsession.h"

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
	struct walk walk;
	const char *conf, *phase, *reconciled, *other; /* of s; of t, or "(none)" */
	size_t jobs;
} scenarios[] = {
	{ { "an edit that is heard of", { p_begin, p_up, p_timeout, p_heard, p_end }, 1 << 1 },
	  NULL, "Completed", "SpecApplied", "(none)", 1 },
	{ { "an edit that comes too late", { p_begin, p_up, p_timeout, p_end }, 1 << 1 },
	  NULL, "Completed", "NotApplied", "(none)", 1 },
	{ { "an edit for the next run", { p_begin, p_up, p_model, p_end, p_start, p_up, p_end }, 1 << 1 | 1 << 2 },
	  NULL, "Completed", "SpecApplied", "(none)", 2 },
	{ { "other repositories", { p_chat, p_up, p_repos, p_heard, p_end }, 1 << 1 },
	  NULL, "Completed", "SpecApplied", "(none)", 1 },
	{ { "edited before the pod", { p_chat, p_repos, p_up, p_heard, p_end }, 1 << 2 },
	  NULL, "Completed", "SpecApplied", "(none)", 1 },
	{ { "the files are looked at", { p_begin, p_end, p_look, p_looked, p_look_again }, 0 },
	  NULL, "Completed", "SpecApplied", "(none)", 1 },
	{ { "looked at, and started again", { p_begin, p_end, p_look, p_start, p_up, p_end }, 1 << 4 },
	  NULL, "Completed", "SpecApplied", "(none)", 2 },
	{ { "continued at once", { p_begin, p_up, p_heir, p_end, p_other_up, p_other_end }, 1 << 1 | 1 << 2 | 1 << 4 },
	  NULL, "Completed", "SpecApplied", "Completed", 2 },
	{ { "continued while it is looked at", { p_begin, p_end, p_look, p_heir, p_other_up, p_other_end }, 1 << 4 },
	  NULL, "Completed", "SpecApplied", "Completed", 2 },
	{ { "started while it is continued", { p_begin, p_end, p_heir, p_other_up, p_start, p_other_end, p_up, p_end }, 1 << 3 | 1 << 4 | 1 << 6 },
	  NULL, "Completed", "SpecApplied", "Completed", 3 },
	{ { "in line", { p_begin, p_up, p_other, p_end, p_other_up, p_other_end }, 1 << 1 | 1 << 4 },
	  "{'maxRunning':1}", "Completed", "SpecApplied", "Completed", 2 },
	{ { "stopped in line", { p_begin, p_other, p_other_stop, p_end }, 1 << 2 },
	  "{'maxRunning':1}", "Completed", "SpecApplied", "Stopped", 1 },
	{ { "back in line", { p_begin, p_other, p_other_stop, p_other_start, p_end, p_other_up, p_other_end }, 1 << 5 },
	  "{'maxRunning':1}", "Completed", "SpecApplied", "Completed", 2 },
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
pass(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool well = true;

	for (size_t i = 0; i < SESSIONS; i++)
		if (fake_host_has(fake, AS_SESSION, "team-a", names[i]))
			well = fake_host_reconcile(fake, NULL, "team-a", names[i], NULL, &err) == 0 && well;
	while (fake_host_queued(fake) != NULL)
		; /* whom it wakes is looked at in any case */
	return well;
}

static void
come_to_rest(void)
{
	for (int i = 0; i < 30; i++) {
		size_t before = all_writes();

		ck_assert_msg(pass(), "a look fails: %s", at("/status"));
		if (before == all_writes())
			return;
	}
	ck_abort_msg("does not come to rest: %s", at("/status"));
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
			n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %s %s\n", names[i], parts[k], of(names[i], parts[k]));
		for (int k = 0; k < AS_CONDITIONS; k++) {
			static const char *const members[] = { "type", "status", "reason" };

			for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++) {
				char pointer[80];

				(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/%s", k, members[m]);
				n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s ", of(names[i], pointer));
			}
		}
		(void)snprintf(job, sizeof(job), "%s-job", names[i]);
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "\nJob %s\n", fake_host_has(fake, AS_JOB, "team-a", job) ?
				      fake_host_at(fake, AS_JOB, "team-a", job, "/spec/activeDeadlineSeconds") : "(none)");
		ck_assert_uint_lt(n, WALK_END_SIZE);
	}
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %zu\n", kinds[k], fake_host_count(fake, kinds[k], "team-a"));
	ck_assert_uint_lt(n, WALK_END_SIZE);
}

static struct fake_host *
start(const struct walk *walk)
{
	begin_with(((const struct scenario *)walk)->conf);
	return fake;
}

static void
finish(const struct walk *walk, enum disturbance how, int n, char out[WALK_END_SIZE])
{
	const struct scenario *s = (const struct scenario *)walk;

	dump(out);
	ck_assert_msg(strcmp(at("/status/phase"), s->phase) == 0 && strcmp(cond("Reconciled", "reason"), s->reconciled) == 0 &&
		      strcmp(of("t", "/status/phase"), s->other) == 0, "%s (%d, %d): %s\n%s", walk->name, how, n, at("/status"),
		      of("t", "/status"));
	/* One Job for each run, and no more; one that died between its write and hearing of it may try once more and be refused. */
	ck_assert_msg(fake_host_calls(fake, "create", AS_JOB) <= s->jobs + (how == OLD_CACHE), "%s (%d, %d): %zu Jobs", walk->name, how, n,
		      fake_host_calls(fake, "create", AS_JOB));
	end();
}

static const struct walker walker = { start, pass, come_to_rest, finish, 8, 40 };

START_TEST(rule_28_crash_after_each_write)
{
	walk_at_each_write(&walker, &scenarios[_i].walk, CRASH);
}
END_TEST

START_TEST(cache_as_old_as_any_write)
{
	walk_at_each_write(&walker, &scenarios[_i].walk, OLD_CACHE);
}
END_TEST

START_TEST(coalesced_events)
{
	walk_blind(&walker, &scenarios[_i].walk);
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
