/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that are started again, against a fake host: from each end, on the same claim, one run at a time. */
#include "tests/unit/agenticsession.h"

#define AGAIN "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Running','ambient-code.io/start-requested-at':'t1'}}}"

static void
ends_with(const char *phase)
{
	if (strcmp(phase, "Completed") == 0) {
		pod(UP);
		(void)settle();
		report("\"state\":\"done\",\"result\":\"first\",\"turns\":3");
		pod(ENDED(0));
	} else if (strcmp(phase, "Failed") == 0) {
		pod(ENDED(1));
	} else if (strcmp(phase, "Timeout") == 0) {
		pod(UP);
		(void)settle();
		fake_host_advance(fake, 66 * AMBIENT_SECOND);
		(void)settle();
	} else {
		fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
		(void)settle();
	}
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), phase);
	if (fake_host_has(fake, AS_POD, "team-a", "s-job-x"))
		fake_host_merge(fake, AS_POD, "team-a", "s-job-x", "{'status':{'phase':'Failed'}}");
}

static const char *const ends[] = { "Completed", "Failed", "Timeout", "Stopped" };

/* 11.5: start from each terminal phase reuses the claim; the terminal phase is left by nothing else. */
START_TEST(behaviour_start_from_each_terminal_phase_reuses_the_claim)
{
	char first[40], claim[64];

	begin();
	submit_named("s", SPEC);
	(void)settle();
	(void)snprintf(first, sizeof(first), "%s", at("/status/runId"));
	(void)snprintf(claim, sizeof(claim), "%s", fake_host_at(fake, AS_PVC, "team-a", "ambient-workspace-s", "/metadata/uid"));
	ends_with(ends[_i]);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'timeout':50}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), ends[_i]);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", AGAIN);
	(void)settle();
	/* The pod of the run before has ended, so the Job made way and the next one is there. */
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_ne(at("/status/runId"), first);
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", AS_RUN_ID), at("/status/runId"));
	ck_assert_str_eq(fake_host_at(fake, AS_PVC, "team-a", "ambient-workspace-s", "/metadata/uid"), claim);
	ck_assert_str_eq(at("/status/runs"), "2");
	ck_assert_str_eq(at("/status/effective/timeout"), "50");
	ck_assert_str_eq(at("/status/completionTime"), "(none)");
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	ck_assert_str_eq(at("/status/results"), "(none)");
	ck_assert_str_eq(at("/status/num_turns"), "(none)");
	ck_assert_str_eq(at("/status/stoppedReason"), "(none)");
	ck_assert_str_eq(at("/status/intent/again"), "(none)");
	ck_assert_str_eq(cond("Completed", "status"), "(none)");
	ck_assert_str_eq(cond("Failed", "status"), "(none)");
	ck_assert_str_eq(cond("Stopped", "status"), "(none)");
	/* Asked once, started once. */
	pod(ENDED(0));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB) - fake_host_calls(fake, "delete", AS_JOB) <= 1, 1);
	end();
}
END_TEST

/* What an earlier release, or somebody, made of the rights of a session is put right by its next run; the objects stay. */
START_TEST(a_run_has_the_rights_of_this_release)
{
	static const struct {
		const char *kind, *name, *spoilt, *pointer, *right;
	} rights[] = {
		{ AS_ROLE, "ambient-session-s-role", "{'rules':[{'apiGroups':['*'],'resources':['*'],'verbs':['*']}]}",
		  "/rules/1/resourceNames/0", "s" },
		{ AS_BINDING, "ambient-session-s-rb", "{'subjects':[{'kind':'Group','name':'system:authenticated'}]}",
		  "/subjects/0/name", "ambient-session-s" },
		{ AS_POLICY, "ambient-session-s", "{'spec':{'podSelector':{},'policyTypes':['Egress']}}", "/spec/policyTypes/0",
		  "Ingress" },
	};
	char uid[64];

	begin_with("{'networkPolicy':true}");
	submit_named("s", SPEC);
	(void)settle();
	ends_with("Completed");
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		fake_host_merge(fake, rights[i].kind, "team-a", rights[i].name, rights[i].spoilt);
	(void)snprintf(uid, sizeof(uid), "%s", fake_host_at(fake, AS_ROLE, "team-a", rights[0].name, "/metadata/uid"));
	fake_host_merge(fake, AS_SESSION, "team-a", "s", AGAIN);
	(void)settle();
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		ck_assert_str_eq(fake_host_at(fake, rights[i].kind, "team-a", rights[i].name, rights[i].pointer), rights[i].right);
	ck_assert_str_eq(fake_host_at(fake, AS_ROLE, "team-a", rights[0].name, "/rules/0/verbs/0"), "get");
	ck_assert_str_eq(fake_host_at(fake, AS_ROLE, "team-a", rights[0].name, "/metadata/uid"), uid);
	end();
}
END_TEST

/* One that was configured for an earlier run goes with the next; somebody else's of that name does not. */
START_TEST(a_policy_goes_when_none_is_wanted)
{
	begin_with("{'networkPolicy':true}");
	submit_named("s", SPEC);
	(void)settle();
	ends_with("Completed");
	fake_host_destroy(fake);
	fake_host_set_conf(fake, "{'networkPolicy':false}");
	(void)fake_host_create(fake);
	(void)settle();
	ck_assert(fake_host_has(fake, AS_POLICY, "team-a", "ambient-session-s"));
	if (_i == 1)
		fake_host_put(fake, AS_POLICY, "{'metadata':{'name':'ambient-session-s','namespace':'team-a'},'spec':{}}");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", AGAIN);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert(fake_host_has(fake, AS_POLICY, "team-a", "ambient-session-s") == (_i == 1));
	end();
}
END_TEST

START_TEST(start_waits_for_the_pod_of_the_run_before)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	pod(UP);
	(void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	(void)settle();
	/* While it still stops: kept until it has. */
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Running'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopping");
	ck_assert_str_eq(at("/status/intent/again"), "true");
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/runs"), "2");
	/* A pod that outlives its run (a node that does not answer): no second one works in its files. */
	pod(UP);
	(void)settle();
	fake_host_remove(fake, AS_JOB, "team-a", "s-job");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "JobMissing");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", AGAIN);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "Restarting");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "s-job-x"));
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	end();
}
END_TEST

/* What no longer is wanted, and what was no wish for another run. */
static const struct {
	const char *patch, *phase;
} wishes[] = {
	{ "{'spec':{'desiredState':'Running'}}", "Creating" },
	{ AGAIN, "Creating" },
	{ "{'spec':{'prompt':'another'}}", "Completed" },
	{ "{'spec':{'desiredState':'Stopped'}}", "Completed" },
	{ "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Stopped','ambient-code.io/stop-requested-at':'t'}}}",
	  "Completed" },
	{ "{'metadata':{'annotations':{'ambient-code.io/start-requested-at':'t'}}}", "Completed" },
};

START_TEST(only_a_wish_for_running_starts_again)
{
	begin();
	submit_named("s", SPEC);
	(void)settle();
	ends_with("Completed");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", wishes[_i].patch);
	(void)settle();
	ck_assert_msg(strcmp(at("/status/phase"), wishes[_i].phase) == 0, "%s: %s", wishes[_i].patch, at("/status/phase"));
	end();
}
END_TEST

/* An interrupted restart is one restart: one new run id that has a Job, whatever was cut. */
START_TEST(rule_28_crash_while_starting_again)
{
	int at_write = 0;
	bool crashed = true;

	for (; crashed && at_write < 30; at_write++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		begin();
		submit_named("s", SPEC);
		(void)settle();
		ends_with("Completed");
		fake_host_merge(fake, AS_SESSION, "team-a", "s", AGAIN);
		writes_left = at_write;
		crashed = false;
		for (int i = 0; i < 6 && !crashed; i++)
			crashed = fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err) < 0;
		writes_left = -1;
		(void)settle();
		ck_assert_str_eq(at("/status/phase"), "Creating");
		ck_assert_str_eq(at("/status/runs"), "2");
		ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), 2);
		pod(ENDED(0));
		(void)settle();
		ck_assert_str_eq(at("/status/phase"), "Completed");
		end();
	}
	ck_assert_int_ge(at_write, 8);
	ck_assert_int_lt(at_write, 30);
}
END_TEST

/* A Job of that name that is somebody else's is refused, and stays. */
START_TEST(a_foreign_job_is_not_deleted)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	fake_host_put(fake, AS_JOB, "{'metadata':{'name':'s-job','namespace':'team-a'}}");
	submit_named("s", SPEC);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(cond("Ready", "reason"), "NameConflict");
	ck_assert(fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	ck_assert_uint_eq(fake_host_calls(fake, "delete", AS_JOB), 0);
	end();
}
END_TEST

/* Deleted and made again under its name, while what the first one owned still goes: that is waited for, not worked with. */
START_TEST(what_a_deleted_namesake_leaves_is_waited_for)
{
	static const struct { const char *kind, *name, *object; } left[] = {
		{ AS_PVC, "ambient-workspace-s", "'ownerReferences':[{'kind':'AgenticSession','name':'s','uid':'before','controller':true}]" },
		{ AS_PVC, "ambient-workspace-s", "'deletionTimestamp':'2026-01-01T00:00:00Z','finalizers':['kubernetes.io/pvc-protection']" },
		{ AS_SA, "ambient-session-s", "'ownerReferences':[{'kind':'AgenticSession','name':'s','uid':'before','controller':true}]" },
		{ AS_CM, "s-report", "'ownerReferences':[{'kind':'AgenticSession','name':'s','uid':'before','controller':true}]" },
	};
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char json[512];
	int rc = 0;

	begin();
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'team-a',%s}}", left[_i].name, left[_i].object);
	fake_host_put(fake, left[_i].kind, json);
	submit_named("s", SPEC);
	for (int i = 0; i < 3; i++)
		rc = fake_host_reconcile(fake, NULL, "team-a", "s", NULL, &err);
	ck_assert_int_eq(rc, -AMBIENT_E_CONFLICT);
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "Provisioning");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), left[_i].name));
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	fake_host_remove(fake, left[_i].kind, "team-a", left[_i].name);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(fake_host_at(fake, left[_i].kind, "team-a", left[_i].name, "/metadata/ownerReferences/0/uid"), at("/metadata/uid"));
	end();
}
END_TEST

/* ---- the files of another session */

static const char *const continuations[] = {
	"{'metadata':{'name':'s','namespace':'team-a','annotations':{'vteam.ambient-code/parent-session-id':'p'}},'spec':{'prompt':'more'}}",
	"{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'more','environmentVariables':{'PARENT_SESSION_ID':'p'}}}",
};

static const char *
other(const char *name, const char *pointer)
{
	const char *s = fake_host_at(fake, AS_SESSION, "team-a", name, pointer);

	return s != NULL ? s : "(none)";
}

static void
look_at(const char *name)
{
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", name, NULL, NULL), 0);
}

static void
completes(const char *name)
{
	char job[64];

	(void)snprintf(job, sizeof(job), "%s-job", name);
	fake_host_merge(fake, AS_JOB, "team-a", job, "{'status':{'conditions':[{'type':'Complete','status':'True'}]}}");
	look_at(name);
	ck_assert_str_eq(other(name, "/status/phase"), "Completed");
}

/* Whether the plugin asked for a look at the session. */
static bool
was_woken(const char *name)
{
	const char *line;
	bool found = false;

	while ((line = fake_host_queued(fake)) != NULL)
		found = found || strstr(line, name) != NULL;
	return found;
}

START_TEST(weakness_12_2_a_a_continued_session_lends_its_workspace)
{
	begin();
	fake_host_put(fake, AS_SESSION, continuations[_i]);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "ParentMissing");
	submit_named("p", SPEC);
	look_at("p");
	(void)settle();
	/* One claim, one pod: also while the pod of the one that has ended is still there. */
	ck_assert_str_eq(cond("Ready", "reason"), "WorkspaceInUse");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "\"p\""));
	fake_host_put(fake, AS_POD, "{'metadata':{'name':'p-x','namespace':'team-a','labels':{'app':'ambient-code-runner',"
		      "'agentic-session':'p','" AS_WORKSPACE "':'p'},'annotations':{'ambient-code.io/session':'p'}},"
		      "'status':{'phase':'Running'}}");
	completes("p");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "WorkspaceInUse");
	(void)was_woken("");
	fake_host_remove(fake, AS_POD, "team-a", "p-x");
	look_at("p");
	ck_assert(was_woken("/s "));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/effective/continues"), "p");
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName"),
			 "ambient-workspace-p");
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/containers/1"),
				     "\"sessions/p/workspace\""));
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/containers/0/env"),
				     "/workspace/sessions/p\""));
	ck_assert(!fake_host_has(fake, AS_PVC, "team-a", "ambient-workspace-s"));
	/* The other way round: who is continued waits for the continuation, and a third one for both. */
	fake_host_merge(fake, AS_SESSION, "team-a", "p", AGAIN);
	look_at("p");
	ck_assert_str_eq(other("p", "/status/phase"), "Pending");
	ck_assert_ptr_nonnull(strstr(other("p", "/status/message"), "\"s\""));
	completes("s");
	ck_assert(was_woken("/p "));
	look_at("p");
	ck_assert_str_eq(other("p", "/status/phase"), "Creating");
	end();
}
END_TEST

/* Two continuations of one session, and the first is deleted while it runs: the second waits for what is left of it, its pod,
 * and nothing but the end of that wakes it. */
START_TEST(weakness_12_2_a_a_deleted_continuation_lends_its_place)
{
	const char *label;

	begin();
	submit_named("p", SPEC);
	look_at("p");
	completes("p");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'q','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'p'}},'spec':{'prompt':'more'}}");
	look_at("q");
	label = fake_host_at(fake, AS_JOB, "team-a", "q-job", "/spec/template/metadata/labels/ambient-code.io~1workspace");
	ck_assert_str_eq(label, "p");
	fake_host_put(fake, AS_POD, "{'metadata':{'name':'q-x','namespace':'team-a','labels':{'app':'ambient-code-runner',"
		      "'agentic-session':'q','" AS_WORKSPACE "':'p'},'annotations':{'ambient-code.io/session':'q'}},"
		      "'status':{'phase':'Running'}}");
	fake_host_put(fake, AS_SESSION, continuations[_i]);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "WorkspaceInUse");
	ck_assert_str_eq(at("/status/waitsFor"), "q");
	fake_host_remove(fake, AS_SESSION, "team-a", "q");
	(void)was_woken("");
	look_at("q");
	ck_assert(was_woken("/s "));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "WorkspaceInUse");
	ck_assert_str_eq(at("/status/waitsFor"), "q");
	fake_host_remove(fake, AS_POD, "team-a", "q-x");
	look_at("q");
	ck_assert(was_woken("/s "));
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/waitsFor"), "(none)");
	end();
}
END_TEST

START_TEST(a_continuation_of_a_continuation_and_of_oneself)
{
	begin();
	submit_named("p", SPEC);
	look_at("p");
	completes("p");
	fake_host_put(fake, AS_SESSION, continuations[0]);
	(void)settle();
	completes("s");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'t','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'s'}},'spec':{'prompt':'more'}}");
	look_at("t");
	ck_assert_str_eq(other("t", "/status/effective/workspace"), "p");
	ck_assert_str_eq(other("t", "/status/phase"), "Creating");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'u','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'u'}},'spec':{'prompt':'more'}}");
	look_at("u");
	ck_assert_str_eq(other("u", "/status/effective/workspace"), "u");
	ck_assert_str_eq(other("u", "/status/phase"), "Creating");
	/* Two that come at once, the last one looked at first: whose files it works in is not known before the other is planned. */
	completes("t");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'w','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'p'}},'spec':{'prompt':'more'}}");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'x','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'w'}},'spec':{'prompt':'more'}}");
	look_at("x");
	ck_assert_str_eq(other("x", "/status/phase"), "Pending");
	ck_assert_str_eq(other("x", "/status/effective/workspace"), "(none)");
	ck_assert_ptr_nonnull(strstr(other("x", "/status/message"), "continues \"p\" and is not planned yet"));
	look_at("w");
	completes("w");
	look_at("x");
	ck_assert_str_eq(other("x", "/status/effective/workspace"), "p");
	ck_assert_str_eq(other("x", "/status/phase"), "Creating");
	completes("x");
	/* A claim that went with its session is not made anew under the name of another one. */
	fake_host_remove(fake, AS_PVC, "team-a", "ambient-workspace-p");
	fake_host_put(fake, AS_SESSION, "{'metadata':{'name':'v','namespace':'team-a','annotations':"
		      "{'vteam.ambient-code/parent-session-id':'p'}},'spec':{'prompt':'more'}}");
	for (int i = 0; i < 3; i++)
		(void)fake_host_reconcile(fake, NULL, "team-a", "v", NULL, NULL);
	ck_assert(!fake_host_has(fake, AS_PVC, "team-a", "ambient-workspace-p"));
	ck_assert_ptr_nonnull(strstr(other("v", "/status/message"), "ambient-workspace-p"));
	end();
}
END_TEST

static void
continues(const char *name, const char *parent)
{
	char json[400];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','namespace':'team-a','annotations':"
		       "{'vteam.ambient-code/parent-session-id':'%s'}},'spec':{'prompt':'more'}}", name, parent);
	fake_host_put(fake, AS_SESSION, json);
}

/* None of them is ever planned: each says who waits for whom, and they go on when one is let out.  Who only leads into the ring
 * says the same. */
START_TEST(sessions_that_continue_each_other)
{
	static const char *const names[] = { "s", "b", "c" };
	size_t n = (size_t)_i + 2;

	begin();
	for (size_t i = 0; i < n; i++)
		continues(names[i], names[(i + 1) % n]);
	continues("outside", "s");
	/* The first one was looked at before the ring was closed. */
	fake_host_remove(fake, AS_SESSION, "team-a", names[n - 1]);
	look_at("s");
	ck_assert_ptr_nonnull(strstr(other("s", "/status/message"), n == 2 ? "is not there" : "is not planned yet"));
	continues(names[n - 1], "s");
	(void)was_woken("");
	look_at(names[n - 1]);
	ck_assert(was_woken("team-a/s "));
	for (size_t i = 0; i < n; i++) {
		look_at(names[i]);
		(void)was_woken("");
		look_at(names[i]);
		ck_assert(!was_woken("")); /* once */
		ck_assert_str_eq(other(names[i], "/status/phase"), "Pending");
		ck_assert_ptr_nonnull(strstr(other(names[i], "/status/message"), n == 2 ? "\"s\" continues \"b\"" : "\"b\" continues \"c\""));
		ck_assert_ptr_nonnull(strstr(other(names[i], "/status/message"), n == 2 ? "\"b\" continues \"s\"" : "\"c\" continues \"s\""));
		ck_assert_ptr_nonnull(strstr(other(names[i], "/status/message"), "let one of them continue another one or none"));
	}
	ck_assert_str_eq(cond("Ready", "reason"), "ParentRing");
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "ParentRing"), "Warning ParentRing team-a/s "));
	look_at("outside");
	ck_assert_ptr_nonnull(strstr(other("outside", "/status/message"), "continues \"s\", so that none of them can begin"));
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'vteam.ambient-code/parent-session-id':null}}}");
	look_at("s");
	ck_assert_str_eq(at("/status/phase"), "Creating");
	completes("s");
	look_at(names[n - 1]);
	ck_assert_str_eq(other(names[n - 1], "/status/phase"), "Creating");
	end();
}
END_TEST

/* It has no effect, and that is said once. */
START_TEST(a_word_that_is_no_desired_phase)
{
	begin();
	submit_named("s", SPEC);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Paused'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(cond("DesiredPhaseValid", "status"), "False");
	ck_assert_str_eq(cond("DesiredPhaseValid", "message"), "the annotation ambient-code.io/desired-phase says \"Paused\", which has no effect; "
			 "the words that are known are Running and Stopped");
	(void)settle();
	ck_assert_uint_eq(fake_host_events(fake, "DesiredPhaseUnknown"), 1);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'stopped'}}}");
	(void)settle();
	ck_assert_ptr_nonnull(strstr(cond("DesiredPhaseValid", "message"), "\"stopped\""));
	ck_assert_uint_eq(fake_host_events(fake, "DesiredPhaseUnknown"), 2);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Stopped'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopped");
	ck_assert_str_eq(cond("DesiredPhaseValid", "status"), "True");
	end();
}
END_TEST

/* 11.5: stop from Pending (before anything is made), Creating and Running; asked twice it is one stop. */
START_TEST(behaviour_11_5_stop_from_each_phase_behaviour_11_5_stop_idempotent)
{
	size_t deletes;

	begin();
	if (_i == 0)
		fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a'}}");
	submit_named("s", SPEC);
	(void)settle();
	if (_i == 2) {
		pod(UP);
		(void)settle();
	}
	ck_assert_str_eq(at("/status/phase"), _i == 0 ? "Pending" : _i == 1 ? "Creating" : "Running");
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'spec':{'desiredState':'Stopped'}}");
	(void)settle();
	fake_host_merge(fake, AS_SESSION, "team-a", "s",
			"{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Stopped'}}}");
	(void)settle();
	if (_i == 2)
		fake_host_remove(fake, AS_POD, "team-a", "s-job-x");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopped");
	ck_assert_str_eq(at("/status/stoppedReason"), "user");
	deletes = fake_host_calls(fake, "delete", AS_JOB);
	ck_assert_uint_eq(deletes, _i == 0 ? 0 : 1);
	fake_host_merge(fake, AS_SESSION, "team-a", "s",
			"{'metadata':{'annotations':{'ambient-code.io/stop-requested-at':'again'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Stopped");
	ck_assert_uint_eq(fake_host_events(fake, "Stopped"), 1);
	end();
}
END_TEST

/* 11.5: what nobody has looked at is Pending. */
START_TEST(behaviour_11_5_empty_status)
{
	begin();
	fake_host_put(fake, AS_NS, "{'metadata':{'name':'team-a'}}");
	fake_host_put(fake, AS_SESSION, _i == 0 ? "{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'x'}}"
						: "{'metadata':{'name':'s','namespace':'team-a'},'spec':{'prompt':'x'},'status':{'phase':''}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	end();
}
END_TEST

/* ---- what the operator of the older platform left */

#define THEN "'startTime':'2025-11-01T10:00:00Z','completionTime':'2025-11-01T10:05:00Z'"
#define THEIRS(reason, message) \
	"'observedGeneration':1,'conditions':[{'type':'Ready','status':'False','reason':'" reason "','message':'" message "'}," \
	"{'type':'JobCreated','status':'True','reason':'JobCreated'},{'type':'RunnerStarted','status':'True','reason':'ContainerRunning'}]"

static const struct {
	const char *annotations, *status, *phase, *condition, *reason, *message;
} left[] = {
	{ "{}", "{'phase':'Completed'," THEN ",'message':'done','result':'text'}", "Completed", "Completed", "Completed", "done" },
	{ "{}", "{'phase':'Completed'," THEN "," THEIRS("Completed", "it ended") "}", "Completed", "Completed", "Completed", "it ended" },
	{ "{}", "{'phase':'Failed'," THEN "," THEIRS("RunnerExit", "exit 1") "}", "Failed", "Failed", "RunnerExit", "exit 1" },
	{ "{}", "{'phase':'Error','message':'no Job'}", "Failed", "Failed", "Error", "no Job" },
	{ "{}", "{'phase':'Timeout'," THEN "," THEIRS("Late", "too late") "}", "Timeout", "Failed", "Timeout", "too late" },
	{ "{}", "{'phase':'Stopped'," THEN ",'stoppedReason':'user'}", "Stopped", "Stopped", "Stopped", "" },
	/* its annotation was not taken back, or stood when the end came */
	{ "{'ambient-code.io/desired-phase':'Running'}", "{'phase':'Completed'," THEN "}", "Completed", "Completed", "Completed", "" },
	{ "{'ambient-code.io/desired-phase':'Running','ambient-code.io/start-requested-at':'2025-11-01T10:00:00Z'}",
	  "{'phase':'Failed'," THEN "}", "Failed", "Failed", "Failed", "" },
	/* served before by this operator while the project was none, then given its status back */
	{ "{}", "{'phase':'Completed'," THEN "," THEIRS("NamespaceNotManaged", "no project") "}", "Completed", "Completed", "Completed", "" },
};

static void
leave(const char *annotations, const char *status)
{
	char json[2048];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'s','namespace':'team-a','uid':'u','annotations':%s},'spec':" SPEC ",'status':%s}",
		       annotations, status);
	fake_host_put(fake, AS_SESSION, json);
}

/* 11.5: a terminal status is left by a start only, whoever wrote it. */
START_TEST(what_had_ended_elsewhere_has_ended)
{
	begin();
	leave(left[_i].annotations, left[_i].status);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), left[_i].phase);
	ck_assert_str_eq(cond(left[_i].condition, "status"), "True");
	ck_assert_str_eq(cond(left[_i].condition, "reason"), left[_i].reason);
	ck_assert_str_eq(cond("Ready", "reason"), left[_i].reason);
	ck_assert_str_eq(at("/status/message"), left[_i].message);
	ck_assert_str_eq(at("/status/completionTime"), strstr(left[_i].status, THEN) != NULL ? "2025-11-01T10:05:00Z" : "2026-01-01T00:00:00Z");
	ck_assert_str_eq(cond(left[_i].condition, "lastTransitionTime"), at("/status/completionTime"));
	ck_assert_str_eq(at("/status/result"), _i == 0 ? "text" : "(none)");
	ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), 0);
	/* It is started again as any other is. */
	fake_host_merge(fake, AS_SESSION, "team-a", "s", "{'metadata':{'annotations':{'ambient-code.io/desired-phase':'Running',"
			"'ambient-code.io/start-requested-at':'2026-01-01T00:00:00Z'}}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	ck_assert_str_eq(at("/status/completionTime"), "(none)");
	end();
}
END_TEST

/* Who asked for another run after the end is not forgotten. */
START_TEST(a_start_that_was_asked_for_elsewhere)
{
	begin();
	leave("{'ambient-code.io/desired-phase':'Running','ambient-code.io/start-requested-at':'2025-11-01T10:06:00Z'}",
	      "{'phase':'Completed'," THEN "}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	end();
}
END_TEST

/* Nothing is known of a run that somebody else began: it begins here, and its Job makes way.  What was to stop stops. */
START_TEST(what_went_on_elsewhere)
{
	static const char *const phases[] = { "Pending", "Creating", "Running", "Stopping" };
	char status[1024];

	begin();
	fake_host_put(fake, AS_JOB, "{'metadata':{'name':'s-job','namespace':'team-a','ownerReferences':[{'uid':'u'}]},'spec':{},"
		      "'status':{'active':1}}");
	(void)snprintf(status, sizeof(status), "{'phase':'%s','startTime':'2025-11-01T10:00:00Z'," THEIRS("Theirs", "") "}", phases[_i]);
	leave("{}", status);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), _i < 3 ? "Creating" : "Stopped");
	ck_assert_uint_eq(fake_host_calls(fake, "create", AS_JOB), _i < 3 ? 1 : 0);
	ck_assert_uint_eq(fake_host_calls(fake, "delete", AS_JOB), 1);
	if (_i == 3)
		return end();
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	ck_assert_str_eq(cond("RunnerStarted", "status"), "(none)");
	pod(UP);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, what_had_ended_elsewhere_has_ended, 0, sizeof(left) / sizeof(left[0]));
	tcase_add_test(tc, a_start_that_was_asked_for_elsewhere);
	tcase_add_loop_test(tc, what_went_on_elsewhere, 0, 4);
	tcase_add_loop_test(tc, behaviour_11_5_stop_from_each_phase_behaviour_11_5_stop_idempotent, 0, 3);
	tcase_add_loop_test(tc, behaviour_11_5_empty_status, 0, 2);
	tcase_add_loop_test(tc, sessions_that_continue_each_other, 0, 2);
	tcase_add_test(tc, a_word_that_is_no_desired_phase);
	tcase_add_loop_test(tc, weakness_12_2_a_a_continued_session_lends_its_workspace, 0, 2);
	tcase_add_loop_test(tc, what_a_deleted_namesake_leaves_is_waited_for, 0, 4);
	tcase_add_loop_test(tc, weakness_12_2_a_a_deleted_continuation_lends_its_place, 0, 2);
	tcase_add_test(tc, a_continuation_of_a_continuation_and_of_oneself);
	tcase_add_loop_test(tc, behaviour_start_from_each_terminal_phase_reuses_the_claim, 0, 4);
	tcase_add_test(tc, start_waits_for_the_pod_of_the_run_before);
	tcase_add_test(tc, a_run_has_the_rights_of_this_release);
	tcase_add_loop_test(tc, a_policy_goes_when_none_is_wanted, 0, 2);
	tcase_add_loop_test(tc, only_a_wish_for_running_starts_again, 0, sizeof(wishes) / sizeof(wishes[0]));
	tcase_add_test(tc, rule_28_crash_while_starting_again);
	tcase_add_test(tc, a_foreign_job_is_not_deleted);
}

UNIT_MAIN("agenticsession_again", cases)
