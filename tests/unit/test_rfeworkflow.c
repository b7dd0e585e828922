/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rfeworkflow plugin against a fake host: the council's walk from request to document, the same with the daemon dying
 * at every write and with a cache that lags, what people do to it meanwhile, and the older shapes.
 */
#include "tests/unit/rfeworkflow.h"

/* ---- the council */

/* From where it is on; each step says "<agent> has spoken". */
static void
walk_on(size_t from)
{
	char name[128], said[128];

	for (size_t i = from; i < 8; i++) {
		(void)settle();
		(void)snprintf(name, sizeof(name), "w-%s-1", council[i]);
		(void)snprintf(said, sizeof(said), "%s has spoken", council[i]);
		ck_assert_str_eq(at("/status/phase"), "Running");
		ck_assert_uint_eq(sessions(), i + 1);
		says(name, said);
	}
	(void)settle();
}

START_TEST(weakness_12_5_council_of_seven_in_their_order)
{
	char name[128];

	begin();
	submit_named("w", REQUEST ",'repos':[{'url':'https://git.example/a.git','branch':'dev'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/currentStep"), "1");
	ck_assert_str_eq(at("/status/currentPhase"), "product-manager");
	ck_assert_str_eq(at("/status/status"), "in_progress");
	ck_assert_str_eq(step(0, "status"), "Running");
	ck_assert_str_eq(step(1, "status"), "Pending");
	ck_assert_str_eq(cond("Ready", "status"), "True");
	walk_on(0);
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/finalRFE"), "synthesis has spoken");
	ck_assert_str_eq(at("/status/progress"), "100");
	ck_assert_str_eq(at("/status/currentStep"), "7");
	ck_assert_str_eq(step(6, "agent"), "Delivery Owner");
	ck_assert_str_eq(step(6, "output"), "delivery-owner has spoken");
	ck_assert_str_eq(step(7, "name"), "(none)");
	ck_assert_str_eq(cond("Completed", "observedGeneration"), at("/metadata/generation"));
	/* Each hears the request and all before it, and nobody after it. */
	for (size_t i = 0; i < 8; i++) {
		const char *prompt;

		(void)snprintf(name, sizeof(name), "w-%s-1", council[i]);
		prompt = session(name, "/spec/prompt");
		ck_assert_ptr_nonnull(strstr(prompt, "log in with what people have"));
		ck_assert_ptr_nonnull(strstr(prompt, "three providers"));
		for (size_t k = 0; k < 7; k++) {
			char said[128];

			(void)snprintf(said, sizeof(said), "%s has spoken", council[k]);
			ck_assert_msg((strstr(prompt, said) != NULL) == (k < i), "%s in the prompt of %s", said, name);
		}
	}
	ck_assert_ptr_nonnull(strstr(session("w-staff-engineer-1", "/spec/prompt"), "You are the Staff Engineer"));
	ck_assert_ptr_null(strstr(session("w-staff-engineer-1", "/spec/prompt"), "description:"));
	end();
}
END_TEST

START_TEST(weakness_12_2_sessions_with_an_owner_of_a_version_that_exists)
{
	static const char *const pointers[] = {
		"/spec/interactive", "/spec/timeout", "/spec/repos/0/input/url", "/spec/repos/0/input/branch",
		"/spec/repos/0/input/authSecret", "/spec/repos/0/url", "/spec/runnerType", "/spec/environmentVariables/AGENT_PERSONA",
		"/spec/environmentVariables/PARENT_RFE", "/spec/environmentVariables/LANG", "/metadata/labels/rfe-workflow",
		"/metadata/labels/rfe-phase", "/metadata/labels/project", "/metadata/ownerReferences/0/kind",
		"/metadata/ownerReferences/0/apiVersion", "/metadata/ownerReferences/0/controller", "/spec/autoPushOnComplete",
		"/spec/repos/1/output/targetBranch",
	};
	/* A timeout of 300 is no default of the new shape. */
	static const char *const values[] = {
		"false", "300", "https://git.example/a.git", "dev", "mine", "(none)", "command", "product-manager", "w", "C", "w",
		"product-manager", "team-a", "RFEWorkflow", "vteam.ambient-code/v1alpha1", "true", "(none)", "notes",
	};

	begin();
	submit_named("w", REQUEST ",'stepTimeout':300,'runnerType':'command','environmentVariables':{'LANG':'C'},'repos':["
		     "{'input':{'url':'https://git.example/a.git','branch':'dev','authSecret':'mine'}},"
		     "{'input':{'url':'https://git.example/b.git'},'output':{'targetBranch':'notes'}}]");
	(void)settle();
	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		ck_assert_msg(strcmp(session("w-product-manager-1", pointers[i]), values[i]) == 0, "%s: %s", pointers[i],
			      session("w-product-manager-1", pointers[i]));
	ck_assert_str_eq(session("w-product-manager-1", "/metadata/ownerReferences/0/uid"), at("/metadata/uid"));
	end();
}
END_TEST

/* Of the repository's output counts what the branch does not say. */
START_TEST(branch_with_forks_and_pull_requests)
{
	begin();
	submit_named("w", REQUEST ",'branchName':'feature','repos':[{'input':{'url':'https://git.example/a.git','branch':'dev'},"
		     "'output':{'forkRepo':'https://git.example/mine/a.git','createPR':true}},"
		     "{'url':'https://git.example/b.git','output':{'targetBranch':'feature'}}]");
	(void)settle();
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/output/forkRepo"), "https://git.example/mine/a.git");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/output/createPR"), "true");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/output/targetBranch"), "feature");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/output/continueBranch"), "true");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/output/ensureBranch"), "(none)");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/0/input/branch"), "dev");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos/1/output/targetBranch"), "feature");
	end();
}
END_TEST

/* A field of another shape is no field that is passed over. */
START_TEST(repositories_of_every_shape)
{
	begin();
	submit_named("w", REQUEST ",'umbrellaRepo':{'url':'https://git.example/a','branch':'dev'},'supportingRepos':[{'url':"
		     "'https://git.example/b'}],'targetRepoUrl':'https://git.example/c','repos':[{'url':'https://git.example/d'}]");
	(void)settle();
	ck_assert_str_eq(session("w-product-manager-1", "/spec/repos"),
			 "[{\"input\":{\"url\":\"https://git.example/a\",\"branch\":\"dev\"}},{\"input\":{\"url\":\"https://git.example/c\"}},"
			 "{\"input\":{\"url\":\"https://git.example/b\"}},{\"input\":{\"url\":\"https://git.example/d\"}}]");
	end();
}
END_TEST

START_TEST(document_is_put_together_without_a_synthesis)
{
	const char *document;

	begin_with(",'synthesis':false");
	submit_named("w", REQUEST ",'steps':[{'agent':'product-manager'},{'name':'risks','agent':'Delivery Owner','prompt':'be brief',"
		     "'timeout':7,'runnerType':'other'}]");
	(void)settle();
	says("w-product-manager-1", "first");
	(void)settle();
	ck_assert_ptr_nonnull(strstr(session("w-risks-1", "/spec/prompt"), "# Your step\n\nbe brief"));
	ck_assert_str_eq(session("w-risks-1", "/spec/timeout"), "7");
	ck_assert_str_eq(session("w-risks-1", "/spec/runnerType"), "other");
	says("w-risks-1", "second");
	(void)settle();
	document = at("/status/finalRFE");
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_ptr_nonnull(strstr(document, "log in with what people have"));
	ck_assert_ptr_nonnull(strstr(document, "## 1. Product Manager\n\nfirst"));
	ck_assert_ptr_nonnull(strstr(document, "## 2. Delivery Owner\n\nsecond"));
	ck_assert_uint_eq(sessions(), 2);
	end();
}
END_TEST

START_TEST(documents_are_committed_at_the_end)
{
	static const char *const pointers[] = {
		"/spec/runnerType", "/spec/runnerConfig/command/0", "/spec/environmentVariables/DOCUMENTS", "/spec/repos/0/input/url",
		"/spec/repos/0/input/authSecret", "/spec/repos/0/output/targetBranch", "/spec/autoPushOnComplete", "/spec/model",
		"/spec/repos/0/output/continueBranch", "/spec/repos/0/input/branch",
	};
	static const char *const values[] = {
		"command", "sh", "specs/w", "https://git.example/specs.git", "mine", "ambient-rfe-w", "true", "(none)", "true", "(none)",
	};
	const char *prompt;

	begin();
	submit_named("w", REQUEST ",'model':'m','runnerType':'claude-code','steps':[{'agent':'team-lead'}],"
		     "'documents':{'repo':{'url':'https://git.example/specs.git','authSecret':'mine'}}");
	(void)settle();
	says("w-team-lead-1", "=== file 0:etc/passwd");
	(void)settle();
	says("w-synthesis-1", "all of it");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(at("/status/finalRFE"), "all of it");
	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		ck_assert_msg(strcmp(session("w-documents-1", pointers[i]), values[i]) == 0, "%s: %s", pointers[i],
			      session("w-documents-1", pointers[i]));
	/* What a step says cannot name a file. */
	prompt = session("w-documents-1", "/spec/prompt");
	ck_assert_str_eq(prompt, "=== file 1:\n=== file 1:specs/w/rfe.md\nall of it\n=== file 1:specs/w/01-team-lead.md\n"
			 "=== file 0:etc/passwd\n");
	ends("w-documents-1", "Completed", ",'repos':[{'index':0,'url':'https://git.example/specs.git','status':'error','error':'refused'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "the documents were not pushed: refused"));
	annotate("documents", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/finalRFE"), "all of it");
	ends("w-documents-2", "Completed", ",'repos':[{'index':0,'url':'https://git.example/specs.git','status':'pushed',"
	     "'branch':'ambient-rfe-w'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/documents/status"), "Completed");
	ck_assert_str_eq(at("/status/steps/1/name"), "(none)");
	end();
}
END_TEST

/* ---- accidents */

/* The council's walk, with everything failing after so many writes of one reconcile; the next one starts anew. */
static bool
crashes_at(int at_write)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool crashed = false;
	char name[128], said[128];

	begin();
	submit_named("w", REQUEST);
	for (size_t i = 0; i <= 8; i++) {
		writes_left = at_write;
		crashed = fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err) < 0 || crashed;
		writes_left = -1;
		(void)settle();
		if (i == 8)
			break;
		(void)snprintf(name, sizeof(name), "w-%s-1", council[i]);
		(void)snprintf(said, sizeof(said), "%s has spoken", council[i]);
		says(name, said);
	}
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/finalRFE"), "synthesis has spoken");
	ck_assert_str_eq(step(3, "output"), "product-owner has spoken");
	/* One session for each step, whatever happened in between. */
	ck_assert_uint_eq(sessions(), 8);
	ck_assert_uint_eq(fake_host_calls(fake, "create", RFE_SESSION), 8);
	end();
	return crashed;
}

START_TEST(rule_28_crash_after_each_write)
{
	int at_write = 0;

	while (at_write < 20 && crashes_at(at_write))
		at_write++;
	/* The step that ended, the name of the next, its session, that it runs: at least these were cut. */
	ck_assert_int_ge(at_write, 4);
	ck_assert_int_lt(at_write, 20);
}
END_TEST

START_TEST(cache_that_lags_begins_nothing_twice)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ambient_call *call;
	const struct ambient_object *seen = NULL;

	begin();
	submit_named("w", REQUEST);
	call = fake_host_call_begin(fake, NULL, "team-a", "w");
	ck_assert_int_eq(real_cache->get(call, RFE_KIND, "team-a", "w", &seen, &err), 0);
	(void)settle();
	/* The workflow as it was before the session: what is decided by it cannot be written. */
	late = seen;
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err), -AMBIENT_E_CONFLICT);
	ck_assert_uint_eq(sessions(), 1);
	/* The workflow up to date, the session not there yet: it is asked for, and not taken for deleted. */
	ck_assert_int_eq(real_cache->get(call, RFE_KIND, "team-a", "w", &late, &err), 0);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err), 0);
	late = NULL;
	fake_host_call_end(call);
	ck_assert_str_eq(step(0, "status"), "Running");
	ck_assert_str_eq(step(0, "attempts"), "(none)");
	ck_assert_uint_eq(sessions(), 1);
	walk_on(0);
	ck_assert_str_eq(at("/status/phase"), "Completed");
	end();
}
END_TEST

START_TEST(nothing_more_happens_after_the_end)
{
	size_t before;

	begin();
	submit_named("w", REQUEST);
	walk_on(0);
	before = writes();
	fake_host_advance(fake, 3600 * AMBIENT_SECOND);
	desire("Cancelled");
	fake_host_remove(fake, RFE_SESSION, "team-a", "w-team-lead-1");
	ck_assert_int_eq(settle(), 0);
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_uint_eq(writes(), before);
	end();
}
END_TEST

START_TEST(weakness_12_1_failed_step_is_tried_again_and_then_fails_the_workflow)
{
	begin();
	submit_named("w", "'request':'r','retries':2");
	(void)settle();
	ends("w-product-manager-1", "Failed", ",'message':'no words','conditions':[{'type':'Ready','status':'False','reason':'RunnerExit'}]");
	/* A first failure is not the last word; the delay doubles. */
	ck_assert_int_eq(settle(), 10 * AMBIENT_SECOND);
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(step(0, "status"), "Failed");
	ck_assert_str_eq(step(0, "reason"), "RunnerExit");
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)settle();
	ends("w-product-manager-2", "Timeout", "");
	fake_host_merge(fake, RFE_SESSION, "team-a", "w-product-manager-2", "{'status':{'completionTime':'2026-01-01T00:00:10Z'}}");
	ck_assert_int_eq(settle(), 20 * AMBIENT_SECOND);
	fake_host_advance(fake, 20 * AMBIENT_SECOND);
	(void)settle();
	ends("w-product-manager-3", "Failed", ",'message':'no words again'");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "no words again"));
	ck_assert_str_eq(at("/status/status"), "failed");
	ck_assert_ptr_nonnull(fake_host_event(fake, "Failed"));
	ck_assert_uint_eq(sessions(), 3);
	end();
}
END_TEST

START_TEST(retry_that_succeeds)
{
	begin_with(",'retryDelay':'0s'");
	submit_named("w", "'request':'r'");
	(void)settle();
	ends("w-product-manager-1", "Failed", "");
	(void)settle();
	says("w-product-manager-2", "better");
	(void)settle();
	ck_assert_str_eq(step(0, "output"), "better");
	ck_assert_str_eq(step(0, "reason"), "(none)");
	ck_assert_str_eq(step(1, "status"), "Running");
	end();
}
END_TEST

START_TEST(what_cannot_succeed_is_not_tried_again)
{
	static const char *const reasons[] = { "SpecInvalid", "RunnerTypeUnknown", "PrerequisiteFailed", "UserStopped" };
	char more[256];

	begin();
	submit_named("w", "'request':'r','retries':3");
	(void)settle();
	(void)snprintf(more, sizeof(more), ",'message':'%s','conditions':[{'type':'Ready','status':'False','reason':'%s'}]",
		       _i == 3 ? "stopped as asked" : "raise spec.timeout and start the session again", reasons[_i]);
	ends("w-product-manager-1", _i == 3 ? "Stopped" : "Failed", more);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_uint_eq(sessions(), 1);
	/* What to do is said of the workflow, whatever the session says of itself. */
	ck_assert_ptr_nonnull(strstr(at("/status/message"), _i == 3 ?
			      "stopped as asked; annotate the workflow with ambient-code.io/run-step=product-manager" :
			      "raise stepTimeout and annotate the workflow with ambient-code.io/run-step=product-manager"));
	end();
}
END_TEST

START_TEST(session_deleted_by_a_person)
{
	begin_with(",'retryDelay':'0s'");
	submit_named("w", "'request':'r','retries':1");
	(void)settle();
	fake_host_remove(fake, RFE_SESSION, "team-a", "w-product-manager-1");
	(void)settle();
	ck_assert_str_eq(step(0, "session"), "w-product-manager-2");
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "StepFailed"), "was deleted before it ended"));
	fake_host_remove(fake, RFE_SESSION, "team-a", "w-product-manager-2");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(step(0, "reason"), "SessionDeleted");
	end();
}
END_TEST

START_TEST(deleted_workflow_begins_nothing)
{
	begin();
	submit_named("w", REQUEST);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'metadata':{'deletionTimestamp':'2026-01-01T00:00:00Z'}}");
	ck_assert_int_eq(settle(), 0);
	ck_assert_uint_eq(sessions(), 0);
	fake_host_remove(fake, RFE_KIND, "team-a", "w");
	ck_assert_int_eq(settle(), 0);
	ck_assert_uint_eq(writes(), 0);
	end();
}
END_TEST

/* ---- what people want */

START_TEST(pause_and_go_on)
{
	begin();
	submit_named("w", REQUEST);
	(void)settle();
	desire("Paused");
	(void)settle();
	/* What runs goes on. */
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("Ready", "reason"), "Pausing");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/desiredState"), "(none)");
	says("w-product-manager-1", "done");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Paused");
	ck_assert_str_eq(at("/status/status"), "paused");
	ck_assert_uint_eq(sessions(), 1);
	desire("Running");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_uint_eq(sessions(), 2);
	end();
}
END_TEST

START_TEST(cancel_ends_the_session_and_the_workflow)
{
	begin();
	submit_named("w", REQUEST);
	(void)settle();
	desire("Cancelled");
	(void)settle();
	ck_assert_str_eq(session("w-product-manager-1", "/spec/desiredState"), "Stopped");
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("Ready", "reason"), "StepStopping");
	ck_assert_uint_eq(fake_host_calls(fake, "patch", RFE_SESSION), 1);
	ends("w-product-manager-1", "Stopped", "");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Cancelled");
	ck_assert_str_eq(step(0, "status"), "Cancelled");
	ck_assert_str_eq(step(6, "status"), "Cancelled");
	/* A terminal phase is left by a request only. */
	desire("Running");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Cancelled");
	annotate("product-manager", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(step(0, "session"), "w-product-manager-2");
	end();
}
END_TEST

START_TEST(cancelled_before_it_began)
{
	begin();
	submit_named("w", REQUEST ",'desiredState':'Cancelled'");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Cancelled");
	ck_assert_uint_eq(sessions(), 0);
	end();
}
END_TEST

START_TEST(run_again_from_a_step)
{
	begin();
	submit_named("w", REQUEST);
	walk_on(0);
	annotate("6", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(at("/status/finalRFE"), "(none)");
	ck_assert_str_eq(at("/status/completionTime"), "(none)");
	ck_assert_str_eq(cond("Completed", "status"), "(none)");
	ck_assert_str_eq(step(4, "output"), "team-lead has spoken");
	ck_assert_str_eq(step(5, "session"), "w-team-member-2");
	ck_assert_str_eq(step(6, "output"), "(none)");
	ck_assert_ptr_null(strstr(session("w-team-member-2", "/spec/prompt"), "team-member has spoken"));
	/* The same request counts once. */
	says("w-team-member-2", "otherwise");
	(void)settle();
	ck_assert_str_eq(step(6, "session"), "w-delivery-owner-2");
	/* Another one while a session runs: that is stopped first. */
	annotate("team-lead", "2");
	(void)settle();
	ck_assert_str_eq(session("w-delivery-owner-2", "/spec/desiredState"), "Stopped");
	ck_assert_str_eq(step(4, "status"), "Completed");
	ends("w-delivery-owner-2", "Stopped", "");
	(void)settle();
	ck_assert_str_eq(step(4, "session"), "w-team-lead-2");
	ck_assert_str_eq(step(5, "status"), "Pending");
	ck_assert_uint_eq(fake_host_events(fake, "StepFailed"), 0);
	end();
}
END_TEST

START_TEST(step_that_does_not_exist)
{
	begin();
	submit_named("w", REQUEST);
	walk_on(0);
	annotate("janitor", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "StepUnknown"), "product-manager, solution-architect"));
	ck_assert_uint_eq(fake_host_events(fake, "StepUnknown"), 1);
	end();
}
END_TEST

/* A wrong name is told at once, and stops nobody. */
START_TEST(step_that_does_not_exist_while_another_runs)
{
	begin();
	submit_named("w", REQUEST);
	(void)settle();
	annotate("janitor", "1");
	(void)settle();
	ck_assert_uint_eq(fake_host_events(fake, "StepUnknown"), 1);
	ck_assert_str_eq(session("w-product-manager-1", "/spec/desiredState"), "(none)");
	ck_assert_str_eq(cond("Ready", "reason"), "StepRunning");
	says("w-product-manager-1", "done");
	(void)settle();
	ck_assert_str_eq(step(1, "status"), "Running");
	ck_assert_uint_eq(fake_host_events(fake, "StepUnknown"), 1);
	end();
}
END_TEST

START_TEST(spec_is_changed_between_steps)
{
	begin();
	submit_named("w", REQUEST ",'synthesis':false,'steps':[{'agent':'team-lead'},{'agent':'team-member'}]");
	(void)settle();
	says("w-team-lead-1", "one");
	(void)settle();
	fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'spec':{'request':'another','steps':[{'agent':'team-lead'},"
			"{'agent':'team-member'},{'agent':'product-owner'}]}}");
	says("w-team-member-1", "two");
	(void)settle();
	ck_assert_str_eq(step(0, "output"), "one");
	ck_assert_str_eq(step(2, "session"), "w-product-owner-1");
	ck_assert_ptr_nonnull(strstr(session("w-product-owner-1", "/spec/prompt"), "another"));
	end();
}
END_TEST

/* ---- older shapes */

/* weakness_12_4_branch_is_shown too: clients did not show it. */
START_TEST(umbrella_shape_waits_for_a_person)
{
	begin();
	submit_named("w", LEGACY);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at("/status/currentPhase"), "specify");
	ck_assert_str_eq(at("/status/status"), "in_progress");
	ck_assert_str_eq(step(3, "name"), "implement");
	ck_assert_str_eq(at("/status/branch"), "ambient-export-of-all");
	ck_assert_uint_eq(sessions(), 0);
	annotate("specify", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/0/input/branch"), "trunk");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/0/output/targetBranch"), "ambient-export-of-all");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/1/output/targetBranch"), "ambient-export-of-all");
	ck_assert_str_eq(session("w-specify-1", "/spec/autoPushOnComplete"), "true");
	ck_assert_str_eq(session("w-specify-1", "/metadata/labels/rfe-phase"), "specify");
	ck_assert_ptr_nonnull(strstr(session("w-specify-1", "/spec/prompt"), "specs/ambient-export-of-all"));
	ends("w-specify-1", "Completed", ",'results':'wrote it','repos':[{'index':0,'url':'https://git.example/specs.git',"
	     "'status':'pushed'},{'index':1,'url':'https://git.example/billing.git','status':'nochanges'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at("/status/progress"), "25");
	ck_assert_uint_eq(sessions(), 1);
	/* What was pushed is told; each step begins from the branch where it is there, and a pull request has a base. */
	annotate("plan", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/pushed/0"), "https://git.example/specs.git");
	ck_assert_str_eq(session("w-plan-1", "/spec/repos/0/input/branch"), "trunk");
	ck_assert_str_eq(session("w-plan-1", "/spec/repos/0/output/ensureBranch"), "true");
	ck_assert_str_eq(session("w-plan-1", "/spec/repos/1/input/branch"), "(none)");
	says("w-plan-1", "planned");
	(void)settle();
	/* A person may pass over a step: they may have written its document themselves. */
	annotate("implement", "1");
	(void)settle();
	ck_assert_str_eq(step(2, "status"), "Skipped");
	says("w-implement-1", "built");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_uint_eq(sessions(), 3);
	end();
}
END_TEST

/* Older clients made the sessions themselves, with labels. */
START_TEST(session_that_a_person_made_for_a_step)
{
	begin();
	submit_named("w", LEGACY);
	(void)settle();
	fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'mine','namespace':'team-a','labels':{'rfe-workflow':'w',"
		      "'rfe-phase':'specify'}},'spec':{'prompt':'p'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(step(0, "session"), "mine");
	ck_assert_str_eq(step(0, "linked"), "true");
	ends("mine", "Failed", ",'message':'no words'");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "no words"));
	fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'mine-2','namespace':'team-a','labels':{'rfe-workflow':'w',"
		      "'rfe-phase':'specify'}},'spec':{'prompt':'p'}}");
	fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'other','namespace':'team-a','labels':{'rfe-workflow':'x',"
		      "'rfe-phase':'plan'}},'spec':{'prompt':'p'}}");
	(void)settle();
	says("mine-2", "specified");
	(void)settle();
	ck_assert_str_eq(step(0, "status"), "Completed");
	ck_assert_str_eq(step(0, "output"), "specified");
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at("/status/currentPhase"), "plan");
	ck_assert_uint_eq(sessions(), 3);
	/* And the next one by the annotation. */
	annotate("plan", "1");
	(void)settle();
	ck_assert_str_eq(step(1, "session"), "w-plan-1");
	ck_assert_str_eq(step(1, "linked"), "(none)");
	end();
}
END_TEST

START_TEST(council_is_the_selected_agents)
{
	begin();
	submit_named("w", REQUEST ",'selectedAgents':['Team Lead','product-manager']");
	(void)settle();
	ck_assert_str_eq(step(0, "name"), "team-lead");
	ck_assert_str_eq(step(1, "name"), "product-manager");
	ck_assert_str_eq(step(2, "name"), "(none)");
	ck_assert_str_eq(step(0, "status"), "Running");
	ck_assert_ptr_nonnull(strstr(session("w-team-lead-1", "/spec/prompt"), "You are the Team Lead"));
	end();
}
END_TEST

START_TEST(first_shape_has_phases_of_the_selected_agents)
{
	begin();
	submit_named("w", "'title':'t','description':'d','targetRepoUrl':'https://git.example/a.git','targetRepoBranch':'b',"
		     "'selectedAgents':['Team Lead','Product Owner']");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(step(5, "name"), "tasks-product-owner");
	annotate("specify-team-lead", "1");
	(void)settle();
	ck_assert_str_eq(session("w-specify-team-lead-1", "/spec/repos/0/input/branch"), "b");
	ck_assert_str_eq(session("w-specify-team-lead-1", "/metadata/labels/rfe-phase"), "specify");
	ck_assert_ptr_nonnull(strstr(session("w-specify-team-lead-1", "/spec/prompt"), "# This phase"));
	says("w-specify-team-lead-1", "x");
	(void)settle();
	/* The second agent of the phase goes on by itself, the next phase does not. */
	says("w-specify-product-owner-1", "y");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at("/status/currentPhase"), "plan-team-lead");
	end();
}
END_TEST

START_TEST(a_clone_path_names_the_repository)
{
	begin();
	submit_named("w", "'title':'t','description':'d','seed':false,'repositories':[{'url':'https://git.example/a.git','clonePath':'specs'},"
		     "{'url':'https://git.example/b.git'}]");
	(void)settle();
	annotate("specify", "1");
	(void)settle();
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/0/name"), "specs");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/1/name"), "(none)");
	end();
}
END_TEST

/* As a status of the documents is, which this operator did not write: the council is not called together again. */
START_TEST(what_had_ended_elsewhere_has_ended)
{
	static const char *const phases[] = { "Completed", "Failed" };
	char json[1024];

	begin();
	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'w','namespace':'team-a'},'spec':{" REQUEST "},'status':{'phase':'%s','currentStep':7,"
		       "'steps':[{'stepNumber':1,'agent':'Product Manager','status':'Completed','output':'said'}],'finalRFE':'document'}}", phases[_i]);
	fake_host_put(fake, RFE_KIND, json);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), phases[_i]);
	ck_assert_str_eq(at("/status/finalRFE"), "document");
	ck_assert_str_eq(step(0, "output"), "said");
	ck_assert_uint_eq(sessions(), 0);
	annotate("delivery-owner", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_uint_eq(sessions(), 1);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_clone_path_names_the_repository);
	tcase_add_loop_test(tc, what_had_ended_elsewhere_has_ended, 0, 2);
	tcase_add_test(tc, weakness_12_5_council_of_seven_in_their_order);
	tcase_add_test(tc, weakness_12_2_sessions_with_an_owner_of_a_version_that_exists);
	tcase_add_test(tc, branch_with_forks_and_pull_requests);
	tcase_add_test(tc, repositories_of_every_shape);
	tcase_add_test(tc, document_is_put_together_without_a_synthesis);
	tcase_add_test(tc, documents_are_committed_at_the_end);
	tcase_add_test(tc, rule_28_crash_after_each_write);
	tcase_add_test(tc, cache_that_lags_begins_nothing_twice);
	tcase_add_test(tc, nothing_more_happens_after_the_end);
	tcase_add_test(tc, weakness_12_1_failed_step_is_tried_again_and_then_fails_the_workflow);
	tcase_add_test(tc, retry_that_succeeds);
	tcase_add_loop_test(tc, what_cannot_succeed_is_not_tried_again, 0, 4);
	tcase_add_test(tc, session_deleted_by_a_person);
	tcase_add_test(tc, deleted_workflow_begins_nothing);
	tcase_add_test(tc, pause_and_go_on);
	tcase_add_test(tc, cancel_ends_the_session_and_the_workflow);
	tcase_add_test(tc, cancelled_before_it_began);
	tcase_add_test(tc, run_again_from_a_step);
	tcase_add_test(tc, step_that_does_not_exist);
	tcase_add_test(tc, step_that_does_not_exist_while_another_runs);
	tcase_add_test(tc, spec_is_changed_between_steps);
	tcase_add_test(tc, umbrella_shape_waits_for_a_person);
	tcase_add_test(tc, session_that_a_person_made_for_a_step);
	tcase_add_test(tc, council_is_the_selected_agents);
	tcase_add_test(tc, first_shape_has_phases_of_the_selected_agents);
}

UNIT_MAIN("rfeworkflow", cases)
