/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of a Job to each of its ends, and the same ways disturbed at every point: the daemon dies after any of its writes, comes
 * back with a cache that is as old as any of them, or hears of several events as one.  The end is that of the undisturbed way:
 * each pod is counted once, none is made twice, and none keeps a finalizer.
 */
#include "plugins/standalone/workloads/workloads.h"

#include <string.h>

#include "tests/lib/walk.h"

static struct fake_host *fake;

static const char *
at(const char *kind, const char *name, const char *pointer)
{
	const char *text = fake_host_at(fake, kind, "n", name, pointer);

	return text != NULL ? text : "";
}

static const char *
pod(size_t i)
{
	const char *name = fake_host_name(fake, POD, "n", i);

	return name != NULL ? name + 2 : NULL;
}

/* ---- the world */

static void
put_job(const char *spec)
{
	char json[1024];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'j','namespace':'n'},'spec':{%s,'template':{'spec':{'restartPolicy':'Never',"
		       "'containers':[{'name':'c','image':'i'}]}}}}", spec);
	fake_host_put(fake, JOB, json);
}

/* Every pod that has not ended does; the first `good` of them well. */
static void
play(size_t good)
{
	char name[128], json[400];

	for (size_t i = 0; pod(i) != NULL; i++) {
		(void)snprintf(name, sizeof(name), "%s", pod(i));
		if (at(POD, name, "/status/phase")[0] != '\0')
			continue;
		int code = at(POD, name, "/metadata/deletionTimestamp")[0] != '\0' ? 143 : good > 0 ? 0 : 1;
		good -= good > 0;
		(void)snprintf(json, sizeof(json), "{'spec':{'nodeName':'standalone'},'status':{'phase':'%s','containerStatuses':[{'name':'c',"
			       "'restartCount':0,'state':{'terminated':{'exitCode':%d,'finishedAt':'2026-01-01T00:00:00Z'}}}]}}",
			       code == 0 ? "Succeeded" : "Failed", code);
		fake_host_merge(fake, POD, "n", name, json);
	}
}

static void s_one(void) { put_job("'backoffLimit':0"); }
static void s_retry(void) { put_job("'backoffLimit':2"); }
static void s_three(void) { put_job("'completions':3,'parallelism':2"); }
static void s_indexed(void) { put_job("'completions':2,'parallelism':2,'completionMode':'Indexed'"); }
static void s_deadline(void) { put_job("'activeDeadlineSeconds':60"); }
static void s_short(void) { put_job("'ttlSecondsAfterFinished':30"); }
static void s_suspended(void) { put_job("'suspend':true"); }
static void s_resume(void) { fake_host_merge(fake, JOB, "n", "j", "{'spec':{'suspend':false}}"); }
static void s_suspend(void) { fake_host_merge(fake, JOB, "n", "j", "{'spec':{'suspend':true}}"); }
static void s_later(void) { fake_host_advance(fake, 61 * AMBIENT_SECOND); }
static void s_good(void) { play(9); }
static void s_bad(void) { play(0); }
static void s_half(void) { play(1); }
static void s_robbed(void) { fake_host_remove(fake, POD, "n", pod(0)); }

static const struct scenario {
	struct walk walk;
	const char *end;  /* a condition that is True; "gone": there is no Job */
	size_t pods;      /* that were made on the way */
} scenarios[] = {
	{ { "one that does well", { s_one, s_good }, 0 }, "Complete", 1 },
	{ { "one that fails", { s_one, s_bad }, 0 }, "Failed", 1 },
	{ { "tried again", { s_retry, s_bad, s_later, s_good }, 1 << 1 }, "Complete", 2 },
	{ { "tried in vain", { s_retry, s_bad, s_later, s_bad, s_later, s_bad }, 1 << 1 | 1 << 3 }, "Failed", 3 },
	{ { "three, two at a time", { s_three, s_good, s_good }, 0 }, "Complete", 3 },
	{ { "one of two fails", { s_three, s_half, s_later, s_good, s_later, s_good }, 1 << 1 }, "Complete", 4 },
	{ { "indexed", { s_indexed, s_half, s_later, s_good }, 1 << 1 }, "Complete", 3 },
	{ { "too late", { s_deadline, s_later, s_bad }, 0 }, "Failed", 1 },
	{ { "suspended at first", { s_suspended, s_resume, s_good }, 0 }, "Complete", 1 },
	{ { "suspended while it runs", { s_one, s_suspend, s_bad, s_resume, s_good }, 0 }, "Complete", 2 },
	{ { "its pod is taken away", { s_retry, s_robbed, s_later, s_good }, 1 << 1 }, "Complete", 2 },
	{ { "deleted after its time", { s_short, s_good, s_later }, 0 }, "gone", 1 },
};
#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---- looking */

static size_t
writes(void)
{
	static const char *const verbs[] = { "create", "update", "patch", "delete", "apply", "status" };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		n += fake_host_calls(fake, verbs[i], JOB) + fake_host_calls(fake, verbs[i], POD);
	return n;
}

static void
settle(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int i = 0; i < 20; i++) {
		size_t before = writes();

		ck_assert_msg(fake_host_reconcile(fake, "jobs", "n", "j", NULL, &err) == 0, "%s", err.message);
		if (before == writes())
			return;
	}
	ck_abort_msg("does not settle: %s", at(JOB, "j", "/status"));
}

static bool
look(void)
{
	return fake_host_reconcile(fake, "jobs", "n", "j", NULL, NULL) == 0;
}

static bool
has_ended_as(const char *type)
{
	char pointer[64];

	if (strcmp(type, "gone") == 0)
		return !fake_host_has(fake, JOB, "n", "j");
	for (int i = 0; i < 8; i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/type", i);
		if (strcmp(at(JOB, "j", pointer), type) != 0)
			continue;
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%d/status", i);
		return strcmp(at(JOB, "j", pointer), "True") == 0;
	}
	return false;
}

/* What is counted and said, and the pods that there are. */
static void
dump(char *out)
{
	static const char *const parts[] = { "active", "ready", "succeeded", "failed", "terminating", "completedIndexes", "failedIndexes",
		"uncountedTerminatedPods", "conditions/0/type", "conditions/0/reason", "conditions/0/message", "conditions/1/type",
		"conditions/1/reason", "conditions/1/message", "conditions/2/type", "conditions/2/reason" };
	char pointer[64];
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/status/%s", parts[i]);
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "%s %s\n", parts[i], at(JOB, "j", pointer));
	}
	for (size_t i = 0; pod(i) != NULL; i++)
		n += (size_t)snprintf(out + n, WALK_END_SIZE - n, "pod %s %s\n", at(POD, pod(i), "/status/phase"),
				      at(POD, pod(i), "/metadata/finalizers"));
	ck_assert_uint_lt(n, WALK_END_SIZE);
}

static struct fake_host *
begin(const struct walk *walk)
{
	(void)walk;
	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_fact(fake, "cluster-ca", "-----BEGIN CERTIFICATE-----\nAAAA\n");
	cut_install(fake_host_table(fake));
	(void)fake_host_create(fake);
	return fake;
}

static void
end(const struct walk *walk, enum disturbance how, int n, char out[WALK_END_SIZE])
{
	const struct scenario *s = (const struct scenario *)walk;
	size_t made = fake_host_events(fake, "SuccessfulCreate");

	dump(out);
	ck_assert_msg(has_ended_as(s->end), "%s (%d, %d): %s", walk->name, how, n, at(JOB, "j", "/status"));
	/* What was made and not told counts too, but a second one would be told. */
	ck_assert_msg(made <= s->pods && (how != UNDISTURBED || made == s->pods), "%s (%d, %d): %zu pods were made", walk->name, how, n, made);
	fake_host_free(fake);
}

static const struct walker walker = { begin, look, settle, end, 1, 20 };

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

UNIT_MAIN("workloads_faults", cases)
