/* SPDX-License-Identifier: Apache-2.0 */
/* The rfeworkflow plugin and bad input: each gets a sentence, and nothing is lost. */
#include "tests/unit/rfeworkflow.h"

#include <unistd.h>

START_TEST(spec_that_cannot_be_followed)
{
	static const struct {
		const char *spec, *text;
	} rows[] = {
		{ "'title':'t','description':'d'", "spec.umbrellaRepo is missing" },
		{ LEGACY ",'branchName':'main'", "others work on" },
		{ LEGACY ",'branchName':'develop'", "others work on" },
		{ REQUEST ",'branchName':'b','repos':[{'url':'https://h/a','output':{'targetBranch':'c'}}]", "\"c\" beside spec.branchName, \"b\"" },
		{ "'title':'t','description':'d','umbrellaRepo':{'url':'https://git.example/a.git'},'supportingRepos':"
		  "[{'url':'https://GIT.example/a/'}]", "named twice" },
		{ "'request':'r','steps':[{'agent':'team-lead'},{'agent':'team-lead'}]", "two steps are called \"team-lead\"" },
		{ "'request':'r','steps':[{'agent':'documents'}]", "may not be called \"documents\"" },
		{ "'request':'r','documents':{'repo':{'url':'https://git.example/a.git'},'path':'../x'}", "must be a folder inside" },
		{ "'request':'r','documents':{'repo':{'url':'https://git.example/a.git'},'path':'a/.git/b'}", "must be a folder inside" },
		{ "'request':'r','documents':{'repo':{'url':'https://git.example/a.git'},'path':'/etc'}", "must be a folder inside" },
		{ "'request':'r','documents':{'repo':{'url':'https://git.example/a.git'},'path':'a\\nb'}", "without control characters" },
		{ "'request':'r','steps':[{'agent':'../..'}]", "step 1 has no agent" },
		{ "'request':'r','title':'t','description':'d'", "spec.description differs from its alias request" },
		{ LEGACY ",'targetRepoBranch':'b'", "spec.targetRepoBranch has no effect without targetRepoUrl" },
	};

	begin();
	submit_named("w", rows[_i].spec);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("SpecValid", "status"), "False");
	ck_assert_msg(strstr(at("/status/message"), rows[_i].text) != NULL, "%s", at("/status/message"));
	ck_assert_uint_eq(sessions(), 0);
	/* Mended, it goes on by itself. */
	submit_named("w", "'request':'r'");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	end();
}
END_TEST

/* What is missing wakes who waits for it as soon as it is there. */
START_TEST(weakness_12_1_unknown_agent_comes_later)
{
	begin();
	submit_named("w", "'request':'r','steps':[{'agent':'security-officer'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Pending");
	ck_assert_str_eq(cond("Ready", "reason"), "AgentUnknown");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "there is no agent \"security-officer\"; those known: delivery-owner"));
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "team-member"));
	fake_host_put(fake, RFE_CM, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{"
		      "'security-officer.md':'---\\nrole: x\\nname: Sam\\n---\\nBe wary.'}}");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(step(0, "agent"), "Sam");
	ck_assert_int_eq(strncmp(session("w-security-officer-1", "/spec/prompt"), "Be wary.", 8), 0);
	end();
}
END_TEST

/* A file wakes nobody, so it is looked for. */
START_TEST(template_file_that_comes_later)
{
	char dir[] = "/tmp/agents-XXXXXX", conf[64], path[64];
	FILE *f;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(conf, sizeof(conf), ",'agents':'%s'", dir);
	(void)snprintf(path, sizeof(path), "%s/security-officer.md", dir);
	begin_with(conf);
	submit_named("w", "'request':'r','steps':[{'agent':'security-officer'}]");
	ck_assert_int_eq(settle(), 10 * AMBIENT_SECOND);
	ck_assert_str_eq(cond("Ready", "reason"), "AgentUnknown");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "those known: none"));
	/* Also while it is still not there. */
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	ck_assert_int_eq(settle(), 10 * AMBIENT_SECOND);
	f = fopen(path, "w");
	ck_assert(f != NULL && fputs("Be wary.", f) >= 0 && fclose(f) == 0);
	ck_assert_int_eq(settle(), 0);
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_int_eq(strncmp(session("w-security-officer-1", "/spec/prompt"), "Be wary.", 8), 0);
	end();
	(void)unlink(path);
	(void)rmdir(dir);
}
END_TEST

START_TEST(configmap_over_files)
{
	begin();
	fake_host_put(fake, RFE_CM, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{'product-manager.md':'Hum.'}}");
	submit_named("w", REQUEST);
	(void)settle();
	ck_assert_int_eq(strncmp(session("w-product-manager-1", "/spec/prompt"), "Hum.", 4), 0);
	end();
}
END_TEST

START_TEST(two_workflows_on_one_branch)
{
	begin();
	submit_named("w", LEGACY);
	fake_host_advance(fake, AMBIENT_SECOND);
	/* Older by name, younger by time; the URL differs in what does not count. */
	submit_named("a", "'title':'Export of all','description':'d','seed':false,'umbrellaRepo':{'url':'https://git.example/specs'}");
	submit_named("b", LEGACY ",'branchName':'another'");
	fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'metadata':{'creationTimestamp':'2025-01-01T00:00:00Z'}}");
	(void)settle();
	(void)settle_named("a");
	(void)settle_named("b");
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at_of("b", "/status/phase"), "Ready");
	ck_assert_str_eq(at_of("a", "/status/phase"), "Initializing");
	ck_assert_str_eq(cond_of("a", "Ready", "reason"), "BranchInUse");
	ck_assert_ptr_nonnull(strstr(at_of("a", "/status/message"), "RFEWorkflow \"w\""));
	fake_host_merge(fake, RFE_KIND, "team-a", "a", "{'metadata':{'annotations':{'ambient-code.io/run-step':'specify'}}}");
	(void)settle_named("a");
	ck_assert_uint_eq(sessions(), 0);
	/* The first ends: who waits for it is woken, and what was asked for is done. */
	desire("Cancelled");
	(void)settle();
	ck_assert_str_eq(fake_host_queued(fake), "- team-a/a 0");
	(void)settle_named("a");
	ck_assert_str_eq(at_of("a", "/status/phase"), "Running");
	ck_assert_str_eq(at_of("a", "/status/waitsFor"), "(none)");
	end();
}
END_TEST

/* Said where people look, and tried again under the same name. */
START_TEST(session_that_the_api_server_refuses)
{
	static const int codes[] = { AMBIENT_E_INVALID, AMBIENT_E_FORBIDDEN, AMBIENT_E_NOMEM };

	begin();
	submit_named("w", REQUEST);
	fake_host_fail(fake, "create", RFE_SESSION, codes[_i], 2);
	for (int i = 0; i < 2; i++)
		ck_assert_int_lt(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, NULL), 0);
	ck_assert_str_eq(cond("Ready", "reason"), "SessionRefused");
	ck_assert_str_ne(at("/status/message"), "(none)");
	ck_assert_uint_eq(sessions(), 0);
	(void)settle();
	ck_assert_str_eq(step(0, "session"), "w-product-manager-1");
	ck_assert_str_eq(cond("Ready", "reason"), "StepRunning");
	end();
}
END_TEST

/* Any repository that both push to counts, not the first alone. */
START_TEST(two_workflows_with_a_repository_in_common)
{
	begin();
	submit_named("a", "'request':'r','branchName':'b','repos':[{'url':'https://git.example/a.git'},{'url':'https://git.example/lib'}]");
	submit_named("w", "'request':'r','branchName':'b','repos':[{'url':'https://git.example/w.git'},{'url':'https://git.example/lib.git'}]");
	(void)settle_named("a");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "BranchInUse");
	ck_assert_uint_eq(sessions(), 1);
	/* But where it is pushed to, not where it is read from. */
	submit_named("f", "'request':'r','branchName':'b','repos':[{'input':{'url':'https://git.example/a'},'output':{'forkRepo':"
		     "'https://git.example/mine/a'}}]");
	(void)settle_named("f");
	ck_assert_uint_eq(sessions(), 2);
	end();
}
END_TEST

/* A cache that does not show the other one: what was claimed is withdrawn before anything was begun. */
START_TEST(two_workflows_that_do_not_see_each_other)
{
	static const char spec[] = "'request':'r','branchName':'b','repos':[{'url':'https://git.example/a.git'}],'synthesis':false,"
				   "'steps':[{'agent':'team-lead'}]";
	struct ambient_result result = { .size = sizeof(result) };

	begin();
	submit_named("w", spec);
	fake_host_remember(fake);
	submit_named("a", spec);
	(void)settle_named("a");
	ck_assert_str_eq(at_of("a", "/status/steps/0/status"), "Running");
	fake_host_lag(fake, true);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "w", &result, NULL), 0);
	fake_host_lag(fake, false);
	ck_assert_uint_eq(sessions(), 1);
	ck_assert_int_eq(result.requeue_after, AMBIENT_SECOND);
	ck_assert_str_eq(cond("Ready", "reason"), "BranchInUse");
	ck_assert_str_eq(at("/status/branchSince"), "(none)");
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	ck_assert_str_eq(at("/status/waitsFor"), "a");
	ck_assert_int_eq(settle(), 0);
	says("a-team-lead-1", "done");
	(void)settle_named("a");
	ck_assert_str_eq(fake_host_queued(fake), "- team-a/w 0");
	(void)settle();
	ck_assert_str_eq(step(0, "session"), "w-team-lead-1");
	end();
}
END_TEST

/* One that was interrupted between its claim and its question asks; who only sees a claim comes back for what becomes of it. */
START_TEST(two_workflows_that_claim_at_once)
{
	static const char spec[] = "'request':'r','branchName':'b','repos':[{'url':'https://git.example/a.git'}],'synthesis':false,"
				   "'steps':[{'agent':'team-lead'}]";
	static const char claim[] = "{'status':{'branchSince':'2026-01-01T00:00:00Z','startTime':'2026-01-01T00:00:00Z','steps':[{'name':"
				    "'team-lead','agent':'team-lead','status':'Pending','session':'%s-team-lead-1','runs':1,"
				    "'startTime':'2026-01-01T00:00:00Z'}]}}";
	static const char *const names[] = { "a", "w" };
	char patch[400];

	begin();
	for (size_t i = 0; i < 2; i++) {
		submit_named(names[i], spec);
		(void)snprintf(patch, sizeof(patch), claim, names[i]);
		fake_host_merge(fake, RFE_KIND, "team-a", names[i], patch);
	}
	/* By the cache "a" is first. */
	ck_assert_int_eq(settle(), 5 * AMBIENT_SECOND);
	ck_assert_str_eq(at("/status/waitsFor"), "a");
	(void)settle_named("a");
	ck_assert_uint_eq(sessions(), 0);
	ck_assert_str_eq(at_of("a", "/status/branchSince"), "(none)");
	(void)settle();
	ck_assert_uint_eq(sessions(), 1);
	ck_assert_str_eq(step(0, "status"), "Running");
	(void)settle_named("a");
	ck_assert_str_eq(cond_of("a", "Ready", "reason"), "BranchInUse");
	ck_assert_uint_eq(sessions(), 1);
	end();
}
END_TEST

START_TEST(deleted_workflow_frees_its_branch)
{
	begin();
	submit_named("a", LEGACY);
	submit_named("w", LEGACY);
	(void)settle_named("a");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "BranchInUse");
	fake_host_remove(fake, RFE_KIND, "team-a", "a");
	(void)settle_named("a");
	ck_assert_str_eq(fake_host_queued(fake), "- team-a/w 0");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	end();
}
END_TEST

/* One that had ended and is run again is older, and has begun before; still the branch is with who works on it. */
START_TEST(workflow_that_is_run_again_waits_for_who_has_the_branch)
{
	static const char spec[] = "'request':'r','branchName':'b','repos':[{'url':'https://git.example/a.git'}],'synthesis':false,"
				   "'steps':[{'agent':'team-lead'},{'agent':'team-member'}]";

	begin();
	submit_named("w", spec);
	submit_named("a", spec);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", "{'metadata':{'creationTimestamp':'2025-01-01T00:00:00Z'}}");
	(void)settle();
	ck_assert_str_ne(at("/status/branchSince"), "(none)");
	says("w-team-lead-1", "done");
	(void)settle();
	says("w-team-member-1", "done");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(at("/status/branchSince"), "(none)");
	fake_host_advance(fake, AMBIENT_SECOND);
	(void)settle_named("a");
	ck_assert_uint_eq(sessions(), 3);
	annotate("team-lead", "1");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "BranchInUse");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "RFEWorkflow \"a\""));
	/* Between two of its steps, too. */
	says("a-team-lead-1", "done");
	(void)settle_named("a");
	(void)settle();
	ck_assert_str_eq(at_of("a", "/status/steps/1/status"), "Running");
	ck_assert_str_eq(cond("Ready", "reason"), "BranchInUse");
	says("a-team-member-1", "done");
	(void)settle_named("a");
	ck_assert_str_eq(at_of("a", "/status/phase"), "Completed");
	(void)settle();
	ck_assert_str_eq(step(0, "session"), "w-team-lead-2");
	ck_assert_str_eq(step(0, "status"), "Running");
	end();
}
END_TEST

/* What is derived from a name fits, and two long names do not meet. */
START_TEST(weakness_12_1_names_of_63_and_253_characters)
{
	size_t lengths[] = { 63, 253 };
	char name[256];

	for (size_t i = 0; i < 2; i++) {
		begin();
		memset(name, 'x', sizeof(name));
		name[lengths[i]] = '\0';
		submit_named(name, REQUEST);
		name[lengths[i] - 1] = 'y';
		submit_named(name, REQUEST);
		(void)settle_named(name);
		name[lengths[i] - 1] = 'x';
		(void)settle_named(name);
		ck_assert_uint_eq(sessions(), 2);
		ck_assert_uint_le(strlen(at_of(name, "/status/steps/0/session")), 63);
		ck_assert_uint_le(strlen(session(at_of(name, "/status/steps/0/session"), "/metadata/labels/rfe-workflow")), 63);
		ck_assert_str_eq(at_of(name, "/status/phase"), "Running");
		end();
	}
}
END_TEST

START_TEST(output_of_ten_megabytes)
{
	size_t big = 10 * 1024 * 1024;
	char *patch = malloc(big + 200), *end_of;
	const char *output;

	begin();
	submit_named("w", REQUEST);
	(void)settle();
	end_of = patch + sprintf(patch, "{\"status\":{\"phase\":\"Completed\",\"results\":\"");
	for (size_t i = 0; i < big / 2; i++) {
		*end_of++ = (char)0xc3; /* two bytes each, so that a cut can go wrong */
		*end_of++ = (char)0xa4;
	}
	memcpy(end_of, "\"}}", 4);
	fake_host_merge(fake, RFE_SESSION, "team-a", "w-product-manager-1", patch);
	free(patch);
	(void)settle();
	output = step(0, "output");
	ck_assert_uint_lt(strlen(output), RFE_OUTPUT_MAX + 100);
	ck_assert_ptr_nonnull(strstr(output, "\n[cut here: 32768 of 10485760 bytes]"));
	ck_assert_str_eq(step(0, "outputBytes"), "10485760");
	ck_assert_str_eq(cond("OutputsComplete", "status"), "False");
	ck_assert_str_eq(cond("OutputsComplete", "reason"), "OutputCut");
	ck_assert_ptr_nonnull(strstr(cond("OutputsComplete", "message"), "w-product-manager-1"));
	/* It goes on, and the next is told that something is missing. */
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_ptr_nonnull(strstr(session("w-solution-architect-1", "/spec/prompt"), "[cut here: 32768 of 10485760 bytes]"));
	end();
}
END_TEST

START_TEST(output_that_the_runner_has_cut)
{
	begin();
	submit_named("w", REQUEST);
	(void)settle();
	says("w-product-manager-1", _i == 0 ? "much\\n[cut here: 4 of 10485760 bytes]" :
	     "much\\n[cut here: 4 of more than 10485760 bytes]");
	(void)settle();
	ck_assert_str_eq(step(0, "outputBytes"), "10485760");
	ck_assert_str_eq(cond("OutputsComplete", "reason"), "OutputCut");
	says("w-solution-architect-1", "much\\n[cut here: 4 of 10485760 bytes] and more");
	(void)settle();
	ck_assert_str_eq(step(1, "outputBytes"), "(none)");
	/* Said again without a cut, all is complete. */
	annotate("product-manager", "1");
	(void)settle();
	ends("w-staff-engineer-1", "Stopped", "");
	(void)settle();
	ck_assert_str_eq(cond("OutputsComplete", "status"), "True");
	end();
}
END_TEST

/* All that is before a step stays within bounds, whatever the steps say. */
START_TEST(prompt_is_bounded)
{
	char spec[4096], name[64], said[100];
	size_t n = (size_t)sprintf(spec, "'request':'r','synthesis':false,'steps':[");
	char *patch = malloc(64 * 1024), *end_of;

	for (int i = 0; i < 32; i++)
		n += (size_t)sprintf(spec + n, "%s{'name':'s%d','agent':'team-lead'}", i > 0 ? "," : "", i);
	(void)sprintf(spec + n, "]");
	begin();
	submit_named("w", spec);
	(void)settle();
	for (int i = 0; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "w-s%d-1", i);
		end_of = patch + sprintf(patch, "{\"status\":{\"phase\":\"Completed\",\"results\":\"step %d ", i);
		memset(end_of, 'x', 32 * 1024);
		memcpy(end_of + 32 * 1024, "\"}}", 4);
		fake_host_merge(fake, RFE_SESSION, "team-a", name, patch);
		(void)settle();
	}
	free(patch);
	ck_assert_uint_lt(strlen(session("w-s31-1", "/spec/prompt")), RFE_BEFORE_MAX + 16 * 1024);
	(void)snprintf(said, sizeof(said), "step %d xxx", 30);
	ck_assert_ptr_nonnull(strstr(session("w-s31-1", "/spec/prompt"), said));
	end();
}
END_TEST

/* As etcd counts it: an agent that prints what needs six bytes of JSON for one must not make the status unwritable. */
START_TEST(weakness_12_1_outputs_fit_into_one_object)
{
	static const char *const bytes[] = { "<", "\\u0001", "x" };
	char spec[4096], name[64], *patch = malloc(31 * (10000 * 6 + 200)), *end_of = patch;
	size_t n = (size_t)sprintf(spec, "'request':'r','synthesis':false,'steps':["), all;

	ck_assert_ptr_nonnull(patch);
	end_of += sprintf(patch, "{\"status\":{\"steps\":[");
	for (int i = 0; i < 32; i++)
		n += (size_t)sprintf(spec + n, "%s{'name':'s%d','agent':'team-lead'}", i > 0 ? "," : "", i);
	(void)sprintf(spec + n, "]");
	/* All but the last have spoken. */
	for (int i = 0; i < 31; i++) {
		end_of += sprintf(end_of, "{\"name\":\"s%d\",\"status\":\"Completed\",\"output\":\"step %d ", i, i);
		for (int k = 0; k < 10000; k++)
			end_of = stpcpy(end_of, bytes[_i]);
		end_of = stpcpy(end_of, "\"},");
	}
	(void)strcpy(end_of, "{\"name\":\"s31\",\"status\":\"Pending\"}]}}");
	begin();
	submit_named("w", spec);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", patch);
	free(patch);
	(void)settle();
	says("w-s31-1", "step 31");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	all = rfe_stored(at("/status/finalRFE"));
	for (size_t i = 0; i < 32; i++) {
		(void)snprintf(name, sizeof(name), "step %zu", i);
		ck_assert_int_eq(strncmp(step(i, "output"), name, strlen(name)), 0);
		all += rfe_stored(step(i, "output"));
	}
	ck_assert_uint_lt(all, RFE_OBJECT_MAX);
	/* Nothing is lost where there is no need, and what is lost is told. */
	ck_assert_int_eq(strlen(step(30, "output")) > 10000, _i == 2);
	ck_assert_str_eq(step(30, "outputBytes"), _i == 2 ? "(none)" : "10008");
	ck_assert_str_eq(cond("OutputsComplete", "status"), _i == 2 ? "True" : "False");
	end();
}
END_TEST

START_TEST(template_that_is_too_long)
{
	char *json = malloc(RFE_TEXT_MAX + 400), *end_of;

	begin();
	ck_assert_ptr_nonnull(json);
	end_of = json + sprintf(json, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{'team-lead.md':'");
	memset(end_of, 'x', RFE_TEXT_MAX + 1);
	(void)strcpy(end_of + RFE_TEXT_MAX + 1, "'}}");
	fake_host_put(fake, RFE_CM, json);
	free(json);
	submit_named("w", "'request':'r','steps':[{'agent':'team-lead'}]");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "AgentInvalid");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "\"team-lead.md\" of ConfigMap \"ambient-agents\" has 131073 bytes"));
	ck_assert_uint_eq(sessions(), 0);
	fake_host_put(fake, RFE_CM, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{'team-lead.md':'Lead.'}}");
	(void)settle();
	ck_assert_int_eq(strncmp(session("w-team-lead-1", "/spec/prompt"), "Lead.", 5), 0);
	end();
}
END_TEST

START_TEST(foreign_session_of_that_name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'w-product-manager-1','namespace':'team-a'},'spec':{'prompt':'mine'}}");
	submit_named("w", REQUEST);
	ck_assert_int_eq(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(cond("Ready", "reason"), "NameConflict");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "does not belong to this workflow"));
	ck_assert_str_eq(session("w-product-manager-1", "/spec/prompt"), "mine");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(step(0, "session"), "w-product-manager-2");
	ck_assert_str_eq(step(0, "attempts"), "(none)");
	ck_assert_str_eq(session("w-product-manager-1", "/spec/prompt"), "mine");
	end();
}
END_TEST

START_TEST(namespace_that_is_not_managed)
{
	begin();
	fake_host_put(fake, RFE_NS, "{'metadata':{'name':'team-a'}}");
	submit_named("w", REQUEST);
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "NamespaceNotManaged");
	ck_assert_uint_eq(sessions(), 0);
	fake_host_put(fake, RFE_NS, "{'metadata':{'name':'team-a','labels':{'ambient-code.io/managed':'true'}}}");
	(void)settle();
	ck_assert_uint_eq(sessions(), 1);
	end();
}
END_TEST

START_TEST(directory_of_templates_that_is_not_there)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_conf(fake, "{\"agents\":\"/nonexistent\"}");
	ck_assert_int_eq(ambient_plugin_v1.check(fake_host_table(fake), fake_host_conf(fake), &err), -AMBIENT_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.message, "\"/nonexistent\", cannot be read"));
	fake_host_free(fake);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, spec_that_cannot_be_followed, 0, 12);
	tcase_add_test(tc, weakness_12_1_unknown_agent_comes_later);
	tcase_add_test(tc, template_file_that_comes_later);
	tcase_add_test(tc, configmap_over_files);
	tcase_add_test(tc, two_workflows_on_one_branch);
	tcase_add_test(tc, workflow_that_is_run_again_waits_for_who_has_the_branch);
	tcase_add_loop_test(tc, weakness_12_1_outputs_fit_into_one_object, 0, 3);
	tcase_add_test(tc, template_that_is_too_long);
	tcase_add_loop_test(tc, session_that_the_api_server_refuses, 0, 3);
	tcase_add_test(tc, two_workflows_with_a_repository_in_common);
	tcase_add_test(tc, two_workflows_that_do_not_see_each_other);
	tcase_add_test(tc, two_workflows_that_claim_at_once);
	tcase_add_test(tc, deleted_workflow_frees_its_branch);
	tcase_add_test(tc, weakness_12_1_names_of_63_and_253_characters);
	tcase_add_test(tc, output_of_ten_megabytes);
	tcase_add_loop_test(tc, output_that_the_runner_has_cut, 0, 2);
	tcase_add_test(tc, prompt_is_bounded);
	tcase_add_test(tc, foreign_session_of_that_name);
	tcase_add_test(tc, namespace_that_is_not_managed);
	tcase_add_test(tc, directory_of_templates_that_is_not_there);
}

UNIT_MAIN("rfeworkflow_input", cases)
