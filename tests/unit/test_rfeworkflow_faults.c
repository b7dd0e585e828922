/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of a workflow from its request to each end, and the same ways disturbed at every point: the daemon dies after
 * any of its writes, comes back with a cache that is as old as any of them, or hears of several events as one.  The end is
 * that of the undisturbed way, to the letter: the status but for its times, and every session that was ever made.
 */
#include "tests/lib/walk.h"
#include "tests/unit/rfeworkflow.h"

#define TWO      "'request':'r','retries':1,'steps':[{'agent':'team-lead'},{'agent':'team-member'}]"
#define PLAIN    TWO ",'synthesis':false"

/* ---- the world */

/* Each session that has not ended does. */
static void
play(const char *phase, const char *more)
{
	char name[RFE_NAME_MAX], said[900];

	for (size_t i = 0; i < sessions(); i++) {
		(void)snprintf(name, sizeof(name), "%.63s", strchr(fake_host_name(fake, RFE_SESSION, "team-a", i), '/') + 1);
		if (strcmp(session(name, "/status/phase"), "(none)") != 0)
			continue;
		if (strcmp(session(name, "/spec/desiredState"), "Stopped") == 0) {
			ends(name, "Stopped", ",'conditions':[{'type':'Ready','status':'False','reason':'UserStopped'}]");
			continue;
		}
		(void)snprintf(said, sizeof(said), ",'results':'%.63s has spoken'%.700s", name, more);
		ends(name, phase, said);
	}
}

static void s_two(void) { submit_named("w", TWO); }
static void s_plain(void) { submit_named("w", PLAIN); }
static void s_cancelled(void) { submit_named("w", PLAIN ",'desiredState':'Cancelled'"); }
static void s_middle(void) { s_plain(); annotate("team-member", "2"); }
static void s_branch(void) { submit_named("w", PLAIN ",'branchName':'b','repos':[{'url':'https://git.example/a.git'}]"); }
static void s_documents(void) { submit_named("w", PLAIN ",'documents':{'repo':{'url':'https://git.example/a.git'}}"); }
static void s_umbrella(void) { submit_named("w", UMBRELLA); }
static void s_manual(void) { submit_named("w", "'request':'r','synthesis':false,'steps':[{'agent':'team-lead'},{'agent':'team-member',"
	"'manual':true}]"); }
static void s_no_agent(void) { submit_named("w", "'request':'r','synthesis':false,'steps':[{'agent':'janitor'}]"); }
static void s_wrong(void) { submit_named("w", PLAIN ",'branchName':'main','repos':[{'url':'https://git.example/a.git'}]"); }
static void s_good(void) { play("Completed", ",'repos':[{'index':0,'url':'https://git.example/a.git','status':'pushed'}]"); }
static void s_seeded(void) { play("Completed", ",'repos':[{'index':0,'url':'https://git.example/specs.git','status':'pushed'},"
	"{'index':1,'url':'https://git.example/billing.git','status':'pushed'}]"); }
static void s_bad(void) { play("Failed", ",'message':'no words','conditions':[{'type':'Ready','status':'False','reason':'RunnerExit'}]"); }
static void s_later(void) { fake_host_advance(fake, 60 * AMBIENT_SECOND); }
static void s_pause(void) { desire("Paused"); }
static void s_resume(void) { desire("Running"); }
static void s_cancel(void) { desire("Cancelled"); }
static void s_first(void) { annotate("team-lead", "1"); }
static void s_second(void) { annotate("team-member", "2"); }
static void s_typo(void) { annotate("janitor", "3"); }
static void s_specify(void) { annotate("specify", "1"); }
static void s_implement(void) { annotate("implement", "2"); }
static void s_rob(void) { fake_host_remove(fake, RFE_SESSION, "team-a", "w-team-lead-1"); }
static void s_edit(void) { fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'spec':{'steps':[{'agent':'team-lead'},{'agent':"
	"'product-owner'}]}}"); }
static void s_mend(void) { fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'spec':{'branchName':'b'}}"); }
static void s_agent(void) { fake_host_put(fake, RFE_CM, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{"
	"'janitor.md':'Sweep.'}}"); }
static void s_unlabel(void) { fake_host_put(fake, RFE_NS, "{'metadata':{'name':'team-a'}}"); }
static void s_label(void) { fake_host_put(fake, RFE_NS, "{'metadata':{'name':'team-a','labels':{'ambient-code.io/managed':'true'}}}"); }
static void s_other(void) { submit_named("a", PLAIN ",'branchName':'b','repos':[{'url':'https://git.example/a.git'}]");
	fake_host_merge(fake, RFE_KIND, "team-a", "a", "{'metadata':{'creationTimestamp':'2025-01-01T00:00:00Z'}}"); (void)settle_named("a"); }
static void s_other_ends(void) { fake_host_remove(fake, RFE_KIND, "team-a", "a"); }
static void s_person(void) { fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'mine','namespace':'team-a','labels':{'rfe-workflow':"
	"'w','rfe-phase':'specify'},'creationTimestamp':'2026-01-01T00:00:00Z'},'spec':{'prompt':'x'}}"); }

static const struct scenario {
	struct walk walk;
	const char *phase, *reason; /* of Ready */
	size_t sessions;
} scenarios[] = {
	{ { "to the end", { s_two, s_good, s_good, s_good }, 0 }, "Completed", "Success", 3 },
	{ { "with documents", { s_documents, s_good, s_good, s_good }, 0 }, "Completed", "Success", 3 },
	{ { "on a branch", { s_branch, s_good, s_good }, 0 }, "Completed", "Success", 2 },
	{ { "fails once", { s_two, s_bad, s_later, s_good, s_good, s_good }, 1 << 1 }, "Completed", "Success", 4 },
	{ { "fails for good", { s_two, s_bad, s_later, s_bad }, 1 << 1 }, "Failed", "StepFailed", 2 },
	{ { "its session is deleted", { s_plain, s_rob, s_later, s_good, s_good }, 0 }, "Completed", "Success", 2 },
	{ { "paused", { s_plain, s_pause, s_good, s_resume, s_good }, 1 << 1 | 1 << 2 }, "Completed", "Success", 2 },
	{ { "paused and at rest", { s_plain, s_pause, s_good }, 1 << 1 }, "Paused", "Paused", 1 },
	{ { "cancelled", { s_plain, s_cancel, s_good }, 0 }, "Cancelled", "Cancelled", 1 },
	{ { "cancelled before it began", { s_cancelled }, 0 }, "Cancelled", "Cancelled", 0 },
	{ { "done again", { s_plain, s_good, s_good, s_first, s_good, s_good }, 0 }, "Completed", "Success", 4 },
	{ { "another step while one runs", { s_plain, s_good, s_first, s_good, s_good, s_good }, 0 }, "Completed", "Success", 4 },
	{ { "two wishes", { s_plain, s_good, s_good, s_first, s_second, s_good, s_good }, 0 }, "Completed", "Success", 4 },
	{ { "no such step", { s_plain, s_typo, s_good, s_good }, 1 << 0 }, "Completed", "Success", 2 },
	{ { "from the middle on", { s_middle, s_good }, 0 }, "Completed", "Success", 1 },
	{ { "edited", { s_plain, s_edit, s_good, s_good }, 1 << 1 }, "Completed", "Success", 2 },
	{ { "a spec that is mended", { s_wrong, s_mend, s_good, s_good }, 1 << 0 }, "Completed", "Success", 2 },
	{ { "an agent that comes", { s_no_agent, s_agent, s_good }, 1 << 0 }, "Completed", "Success", 1 },
	{ { "no label for a while", { s_plain, s_unlabel, s_good, s_label, s_good }, 1 << 1 | 1 << 2 }, "Completed", "Success", 2 },
	{ { "a branch that another has", { s_other, s_branch, s_other_ends, s_good, s_good }, 1 << 0 | 1 << 1 }, "Completed", "Success", 3 },
	{ { "a step that waits for a person", { s_manual, s_good }, 0 }, "Ready", "WaitingForPerson", 1 },
	{ { "a step that a person starts", { s_manual, s_good, s_second, s_good }, 1 << 1 }, "Completed", "Success", 2 },
	{ { "seeded, then waiting", { s_umbrella, s_seeded }, 0 }, "Ready", "WaitingForPerson", 1 },
	{ { "seeded, then done by persons", { s_umbrella, s_seeded, s_specify, s_seeded, s_implement, s_seeded }, 1 << 1 }, "Completed", "Success", 3 },
	{ { "a session that a person made", { s_umbrella, s_seeded, s_person, s_seeded }, 1 << 1 }, "Ready", "WaitingForPerson", 2 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- looking */

static size_t
put(char *out, size_t n, const char *pointer)
{
	n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %s\n", pointer, at(pointer));
	ck_assert_uint_lt(n, WALK_END_SIZE);
	return n;
}

static size_t
put_step(char *out, size_t n, const char *step)
{
	static const char *const members[] = {
		"name", "agent", "status", "session", "reason", "message", "output", "attempts", "runs", "requested", "linked",
	};
	char pointer[96];

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/%s/%s", step, members[i]);
		n = put(out, n, pointer);
	}
	return n;
}

/* All that there is at the end but for the moments when it was seen, and every session that was made. */
static void
dump(char *out)
{
	static const char *const parts[] = {
		"/status/phase", "/status/message", "/status/status", "/status/currentStep", "/status/currentPhase", "/status/progress",
		"/status/finalRFE", "/status/branch", "/status/waitsFor", "/status/intent", "/status/pushed", "/status/observedGeneration",
	};
	static const char *const steps[] = { "seed", "steps/0", "steps/1", "steps/2", "steps/3", "synthesis", "documents" };
	static const char *const types[] = { "Ready", "SpecValid", "OutputsComplete", "Completed", "Failed", "Cancelled", "Seeded" };
	char name[RFE_NAME_MAX];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		n = put(out, n, parts[i]);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		n = put_step(out, n, steps[i]);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %s %s %s\n", types[i], cond(types[i], "status"), cond(types[i], "reason"),
				      cond(types[i], "message"));
	for (size_t i = 0; i < sessions(); i++) {
		(void)snprintf(name, sizeof(name), "%.63s", strchr(fake_host_name(fake, RFE_SESSION, "team-a", i), '/') + 1);
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %s %s\n", name, session(name, "/spec"), session(name, "/metadata/labels"));
	}
	ck_assert_uint_lt(n, WALK_END_SIZE);
	ck_assert_msg(strcmp(at("/status/phase"), "Completed") != 0 || (strcmp(at("/status/startTime"), "(none)") != 0 &&
		      strcmp(at("/status/completionTime"), "(none)") != 0 && strcmp(at("/status/branchSince"), "(none)") == 0),
		      "a workflow that has ended: %s", at("/status"));
}

static bool
look(void)
{
	return fake_host_reconcile(fake, NULL, "team-a", "w", NULL, NULL) == 0;
}

static void
come_to_rest(void)
{
	(void)settle();
}

static struct fake_host *
start(const struct walk *walk)
{
	(void)walk;
	begin();
	return fake;
}

static void
finish(const struct walk *walk, enum disturbance how, int n, char out[WALK_END_SIZE])
{
	const struct scenario *s = (const struct scenario *)walk;

	dump(out);
	ck_assert_msg(strcmp(at("/status/phase"), s->phase) == 0 && strcmp(cond("Ready", "reason"), s->reason) == 0 &&
		      sessions() == s->sessions, "%s (%d, %d): %zu sessions, %s, %s: %s", walk->name, how, n, sessions(), at("/status/phase"),
		      cond("Ready", "reason"), at("/status/message"));
	ck_assert_msg(fake_host_calls(fake, "create", RFE_SESSION) <= s->sessions + 1, "%s (%d, %d): a session was made twice", walk->name,
		      how, n);
	end();
}

static const struct walker walker = { start, look, come_to_rest, finish, 1, 20 };

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

UNIT_MAIN("rfeworkflow_faults", cases)
