/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of the spec while a run goes on, against a fake host: each field by its class, and what is said of it until it is in effect. */
#include <stdlib.h>

#include "tests/unit/agenticsession.h"

#define CHAT "{'initialPrompt':'hi','repos':[{'url':'https://h/a.git'},{'url':'https://h/b.git'}]}"

static void
edit(const char *spec)
{
	char json[2000];

	/* A server counts what was written to the spec. */
	(void)snprintf(json, sizeof(json), "{'metadata':{'generation':%ld},'spec':%s}", strtol(at("/metadata/generation"), NULL, 10) + 1, spec);
	fake_host_merge(fake, AS_SESSION, "team-a", "s", json);
	(void)settle();
}

static void
running(const char *spec)
{
	begin();
	submit_named("s", spec);
	(void)settle();
	pod(UP);
	report("\"state\":\"running\",\"specGeneration\":1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(cond("Reconciled", "reason"), "SpecApplied");
}

static void
reconciled_is(const char *reason, const char *part)
{
	ck_assert_str_eq(cond("Reconciled", "reason"), reason);
	ck_assert_str_eq(cond("Reconciled", "status"), strcmp(reason, "SpecApplied") == 0 ? "True" : "False");
	ck_assert_msg(strstr(cond("Reconciled", "message"), part) != NULL, "\"%s\" is not in \"%s\"", part, cond("Reconciled", "message"));
}

/* The runner says what it has. */
static void
acknowledge(const char *more)
{
	char json[1000];

	(void)snprintf(json, sizeof(json), "\"state\":\"running\",\"reconciled\":{\"generation\":%s%s}", at("/status/effective/generation"), more);
	report(json);
	(void)settle();
}

static const struct edit_case {
	const char *spec, *edit, *said; /* what waits for the next run; NULL: nothing */
} edit_cases[] = {
	{ SPEC, "{'prompt':'other'}", "spec.prompt: " },
	{ SPEC, "{'initialPrompt':'do'}", NULL }, /* an alias of the same */
	{ SPEC, "{'model':'m','runnerConfig':{'x':1}}", "spec.runnerConfig, spec.model: " },
	{ SPEC, "{'llmSettings':{'model':'m','temperature':0.5}}", "spec.model, spec.llmSettings.temperature: " },
	{ SPEC, "{'environmentVariables':{'A':'b'}}", "spec.environmentVariables: " },
	{ SPEC, "{'interactive':true}", "spec.interactive: " },
	{ SPEC, "{'anthropicApiKeySecret':'k'}", "spec.anthropicApiKeySecret: " },
	{ SPEC, "{'repos':[{'input':{'url':'https://git.example/a.git','branch':'b'},'output':{'targetBranch':'other'}}]}",
	  "spec.repos[0].input.branch, spec.repos[0].output.targetBranch: " },
	{ SPEC, "{'repos':[{'input':{'url':'https://git.example/b.git'},'output':{'targetBranch':'fix'}}]}", "spec.repos[0].input.url: " },
	{ SPEC, "{'repos':[{'input':{'url':'https://git.example/a.git'},'output':{'targetBranch':'fix'}},{'url':'https://h/c'}]}",
	  "spec.repos[1]" },
	{ SPEC, "{'activeWorkflow':{'gitUrl':'https://h/w.git'}}", "spec.activeWorkflow: " },
	{ SPEC, "{'displayName':'x','userContext':{'userId':'u'},'project':'p','ttlSecondsAfterFinished':9}", NULL },
	{ SPEC, "{'desiredState':'Running'}", NULL },
	{ CHAT, "{'interactive':false}", "spec.interactive" },
	{ CHAT, "{'initialPrompt':'ho'}", "spec.initialPrompt: " },
	{ CHAT, "{'timeout':77}", NULL }, /* a chat has none */
};

/* 2.10: the condition names exactly what was edited, and the run keeps what it has. */
START_TEST(behaviour_11_5_spec_change_waits)
{
	const struct edit_case *c = &edit_cases[_i];
	char before[2000];

	running(c->spec);
	(void)snprintf(before, sizeof(before), "%s", at("/status/effective/repos"));
	edit(c->edit);
	ck_assert_str_eq(at("/status/phase"), "Running");
	if (c->said == NULL) {
		reconciled_is("SpecApplied", "");
	} else {
		reconciled_is("SpecChanged", c->said);
		ck_assert_int_eq(strncmp(cond("Reconciled", "message"), c->said, strlen(c->said)), 0);
		ck_assert_ptr_nonnull(strstr(cond("Reconciled", "message"), "ambientctl start s"));
	}
	ck_assert_str_eq(at("/status/effective/repos"), before);
	ck_assert_str_eq(at("/status/effective/generation"), "1");
	ck_assert_str_eq(at("/status/effective/edited"), "(none)");
	end();
}
END_TEST

/* The spec is edited after the run was planned.  What goes into the Job is as the spec was when that was made, what the runner
 * reads as it was then, and of the rest it is said that it waits. */
START_TEST(an_edit_before_it_is_read_is_no_edit)
{
	const char *env;

	begin();
	submit_named("s", SPEC);
	/* Planned, and no Job yet: another daemon, or one that waits for the pod of the run before. */
	fake_host_fail(fake, "create", AS_JOB, AMBIENT_E_UNAVAILABLE, 1);
	while (fake_host_reconcile(fake, NULL, "team-a", "s", NULL, NULL) == 0)
		;
	ck_assert(!fake_host_has(fake, AS_JOB, "team-a", "s-job"));
	edit("{'environmentVariables':{'A':'1'},'prompt':'other','model':'m','runnerConfig':{'x':1}}");
	env = fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/template/spec/containers/1/env");
	ck_assert_ptr_nonnull(strstr(env, "\"AMBIENT_ENV_A\""));
	reconciled_is("SpecChanged", "spec.model: ");
	ck_assert_ptr_null(strstr(cond("Reconciled", "message"), "prompt"));
	edit("{'model':null}");
	reconciled_is("Applying", "waiting for the runner to begin");
	edit("{'model':'m'}");
	pod(UP);
	report("\"state\":\"preparing\",\"specGeneration\":1");
	(void)settle();
	reconciled_is("SpecChanged", "spec.prompt, spec.model: ");
	report("\"state\":\"preparing\",\"specGeneration\":4");
	(void)settle();
	reconciled_is("SpecChanged", "spec.model: ");
	ck_assert_ptr_null(strstr(cond("Reconciled", "message"), "prompt"));
	/* What is edited after that waits, whatever the runner's next report says. */
	edit("{'prompt':'a third'}");
	report("\"state\":\"running\",\"specGeneration\":4");
	(void)settle();
	reconciled_is("SpecChanged", "spec.prompt, spec.model: ");
	/* All of it taken back but what was read. */
	edit("{'prompt':'other','model':null}");
	reconciled_is("SpecApplied", "");
	end();
}
END_TEST

/* The deadline moves, the Job's with it. */
START_TEST(behaviour_11_5_spec_change_of_the_timeout)
{
	running(SPEC);
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/activeDeadlineSeconds"), "420");
	edit("{'timeout':600,'model':'m'}");
	ck_assert_str_eq(at("/status/effective/timeout"), "600");
	ck_assert_str_eq(at("/status/effective/model"), "claude-sonnet-4-5");
	ck_assert_str_eq(at("/status/effective/generation"), "2");
	ck_assert_str_eq(fake_host_at(fake, AS_JOB, "team-a", "s-job", "/spec/activeDeadlineSeconds"), "960");
	reconciled_is("SpecChanged", "spec.model: ");
	ck_assert_ptr_null(strstr(cond("Reconciled", "message"), "timeout"));
	edit("{'model':null}");
	reconciled_is("Applying", "the runner");
	acknowledge("");
	reconciled_is("SpecApplied", "");
	fake_host_advance(fake, 400 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	edit("{'timeout':30}");
	ck_assert_str_eq(at("/status/phase"), "Timeout");
	reconciled_is("SpecApplied", "the run ended by the timeout that it was edited to, 30 s");
	end();
}
END_TEST

START_TEST(an_edit_that_comes_too_late)
{
	running(SPEC);
	edit("{'timeout':600}");
	reconciled_is("Applying", "the runner");
	pod("{'phase':'Succeeded','containerStatuses':[{'name':'runner','state':{'terminated':{'exitCode':0}}}]}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	reconciled_is("NotApplied", "the next one begins with it");
	end();
}
END_TEST

/* What is edited is taken; another default of the project meanwhile is no edit. */
START_TEST(only_what_was_edited_is_taken)
{
	running("{'initialPrompt':'hi','inactivityTimeout':50,'repos':[{'url':'https://h/a.git'}]}");
	fake_host_put(fake, AS_SETTINGS, "{'metadata':{'name':'projectsettings','namespace':'team-a'},'spec':{'defaultModel':'m',"
		      "'gitCredentialsSecret':'g','inactivityTimeoutSeconds':9}}");
	edit("{'activeWorkflow':null}");
	reconciled_is("SpecApplied", "");
	edit("{'inactivityTimeout':60}");
	ck_assert_str_eq(at("/status/effective/inactivityTimeout"), "60");
	ck_assert_str_eq(at("/status/effective/model"), "claude-sonnet-4-5");
	ck_assert_str_eq(at("/status/effective/repos/0/authSecret"), "");
	reconciled_is("Applying", "");
	end();
}
END_TEST

START_TEST(weakness_12_1_j_repositories_are_acknowledged)
{
	char before[40];

	running(CHAT);
	edit("{'repos':[{'url':'https://h/b.git','branch':'dev'},{'url':'https://h/c.git'}],'mainRepoIndex':1}");
	ck_assert_str_eq(at("/status/effective/repos/0/name"), "b");
	ck_assert_str_eq(at("/status/effective/repos/0/branch"), "dev");
	ck_assert_str_eq(at("/status/effective/repos/1/name"), "c");
	ck_assert_str_eq(at("/status/effective/repos/2"), "(none)");
	ck_assert_str_eq(at("/status/effective/mainRepoIndex"), "1");
	reconciled_is("Applying", "");
	(void)snprintf(before, sizeof(before), "%s", at("/metadata/resourceVersion"));
	(void)settle();
	ck_assert_str_eq(at("/metadata/resourceVersion"), before);
	/* It is of this edit only what says so. */
	report("\"state\":\"running\",\"reconciled\":{\"generation\":1,\"repos\":[{\"name\":\"a\",\"status\":\"Ready\"}]}");
	(void)settle();
	reconciled_is("Applying", "");
	ck_assert_str_eq(at("/status/reconciledRepos/0/status"), "Cloning");
	acknowledge(",\"repos\":[{\"name\":\"b\",\"status\":\"Ready\",\"at\":\"2026-01-01T00:01:00Z\"},{\"name\":\"c\",\"status\":\"Failed\","
		    "\"error\":\"no branch ghp_0123456789\"},{\"name\":\"x\",\"url\":\"u\",\"status\":\"Ready\"}]");
	reconciled_is("CloneFailed", "c: no branch ghp_**********; it is tried again");
	ck_assert_str_eq(at("/status/reconciledRepos/0/status"), "Ready");
	ck_assert_str_eq(at("/status/reconciledRepos/0/clonedAt"), "2026-01-01T00:01:00Z");
	ck_assert_str_eq(at("/status/reconciledRepos/1/url"), "https://h/c.git");
	ck_assert_str_eq(at("/status/reconciledRepos/2"), "(none)");
	acknowledge(",\"repos\":[{\"name\":\"b\",\"status\":\"Removed\",\"where\":\"removed/b-1\"},{\"name\":\"b\",\"status\":\"Ready\"},"
		    "{\"name\":\"a\",\"status\":\"Removed\",\"where\":\"removed/a-1\"},{\"name\":\"e vil\",\"status\":\"Removed\",\"where\":\"x\"},"
		    "{\"name\":\"c\",\"status\":\"Failed\",\"error\":\"no\"}]");
	ck_assert_str_eq(at("/status/reconciledRepos/0/status"), "Ready");
	ck_assert_str_eq(at("/status/reconciledRepos/2/status"), "Removed");
	ck_assert_str_eq(at("/status/reconciledRepos/3/name"), "a");
	ck_assert_str_eq(at("/status/reconciledRepos/3/message"), "its files are kept in workspace/removed/a-1");
	ck_assert_str_eq(at("/status/reconciledRepos/4"), "(none)");
	acknowledge(",\"repos\":[{\"name\":\"b\",\"status\":\"Ready\"},{\"name\":\"c\",\"status\":\"Ready\"}]");
	reconciled_is("SpecApplied", "");
	/* Taken back. */
	edit(CHAT);
	edit("{'mainRepoIndex':null}");
	ck_assert_str_eq(at("/status/effective/repos/0/name"), "a");
	ck_assert_str_eq(at("/status/effective/repos/0/branch"), "main");
	ck_assert_str_eq(at("/status/effective/mainRepoIndex"), "0");
	reconciled_is("Applying", "");
	end();
}
END_TEST

/* A pod that runs gets no other Secret; what is mounted is used. */
START_TEST(a_secret_that_is_not_mounted_waits)
{
	running("{'initialPrompt':'hi','repos':[{'input':{'url':'https://h/a.git','authSecret':'one'}}],'interactive':true}");
	edit("{'repos':[{'input':{'url':'https://h/a.git','authSecret':'one'}},{'input':{'url':'https://h/b.git','authSecret':'two'}},"
	     "{'input':{'url':'https://h/c.git','authSecret':'one'}},{'url':'https://h/d.git'}]}");
	reconciled_is("SpecChanged", "spec.repos[1].input.authSecret: ");
	ck_assert_str_eq(at("/status/effective/repos/1/name"), "c");
	ck_assert_str_eq(at("/status/effective/repos/1/credentials"), "0");
	ck_assert_str_eq(at("/status/effective/repos/2/name"), "d");
	ck_assert_str_eq(at("/status/effective/repos/2/credentials"), "-1");
	ck_assert_str_eq(at("/status/effective/repos/3"), "(none)");
	ck_assert_str_eq(at("/status/effective/generation"), "2");
	(void)settle();
	ck_assert_str_eq(at("/status/effective/generation"), "2");
	/* Another edit beside it is taken all the same, and the one that waits is still said. */
	edit("{'inactivityTimeout':60}");
	reconciled_is("SpecChanged", "spec.repos[1].input.authSecret: ");
	ck_assert_str_eq(at("/status/effective/inactivityTimeout"), "60");
	edit("{'repos':[{'input':{'url':'https://h/a.git','authSecret':'one'}}]}");
	ck_assert_str_eq(at("/status/effective/repos/1"), "(none)");
	reconciled_is("Applying", "");
	end();
}
END_TEST

/* Only the path is another one; and the pod does not exist yet when it is edited. */
START_TEST(weakness_12_1_j_path_of_a_workflow_before_the_pod)
{
	begin();
	submit_named("s", "{'initialPrompt':'hi','activeWorkflow':{'gitUrl':'https://h/w.git','path':'a'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Creating");
	edit("{'activeWorkflow':{'path':'b'}}");
	ck_assert_str_eq(at("/status/effective/activeWorkflow/path"), "b");
	reconciled_is("Applying", "");
	pod(UP);
	(void)settle();
	reconciled_is("Applying", "");
	acknowledge(",\"workflow\":{\"status\":\"Active\",\"at\":\"2026-01-01T00:01:00Z\"}");
	reconciled_is("SpecApplied", "");
	ck_assert_str_eq(at("/status/reconciledWorkflow/path"), "b");
	ck_assert_str_eq(at("/status/reconciledWorkflow/status"), "Active");
	ck_assert_str_eq(at("/status/reconciledWorkflow/appliedAt"), "2026-01-01T00:01:00Z");
	edit("{'activeWorkflow':null}");
	ck_assert_str_eq(at("/status/effective/activeWorkflow"), "(none)");
	reconciled_is("Applying", "");
	acknowledge("");
	reconciled_is("SpecApplied", "");
	end();
}
END_TEST

START_TEST(an_edit_that_cannot_be_run_is_said)
{
	running(CHAT);
	edit("{'repos':[{'url':'file:///etc'}],'timeout':5}");
	reconciled_is("SpecInvalid", "spec.repos[0].input.url: must be an https");
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(at("/status/effective/repos/1/name"), "b");
	edit(CHAT);
	reconciled_is("SpecApplied", "");
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, behaviour_11_5_spec_change_waits, 0, sizeof(edit_cases) / sizeof(edit_cases[0]));
	tcase_add_test(tc, an_edit_before_it_is_read_is_no_edit);
	tcase_add_test(tc, behaviour_11_5_spec_change_of_the_timeout);
	tcase_add_test(tc, an_edit_that_comes_too_late);
	tcase_add_test(tc, only_what_was_edited_is_taken);
	tcase_add_test(tc, weakness_12_1_j_repositories_are_acknowledged);
	tcase_add_test(tc, a_secret_that_is_not_mounted_waits);
	tcase_add_test(tc, weakness_12_1_j_path_of_a_workflow_before_the_pod);
	tcase_add_test(tc, an_edit_that_cannot_be_run_is_said);
}

UNIT_MAIN("agenticsession_changes", cases)
