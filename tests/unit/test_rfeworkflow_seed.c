/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before the first step of a workflow with an umbrella repository: the session that seeds it, what that is
 * told, what becomes of it, and the same with the daemon dying at every write.
 */
#include "tests/unit/rfeworkflow.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPOS(umbrella, billing) \
	",'repos':[{'index':0,'url':'https://git.example/specs.git','status':'" umbrella "'},{'index':1," \
	"'url':'https://git.example/billing.git','status':'" billing "'"
#define PUSHED ",'results':'seeded: 20 files written, 0 were there'" REPOS("pushed", "pushed") "}]"

START_TEST(repositories_are_seeded_before_a_person_starts_a_step)
{
	static const char *const pointers[] = {
		"/spec/runnerType", "/spec/runnerConfig/command/0", "/spec/environmentVariables/BRANCH", "/spec/repos/0/input/url",
		"/spec/repos/0/input/branch", "/spec/repos/0/output/targetBranch", "/spec/repos/0/output/ensureBranch",
		"/spec/repos/1/input/url", "/spec/repos/1/output/targetBranch", "/spec/repos/1/output/ensureBranch",
		"/spec/autoPushOnComplete", "/spec/interactive", "/metadata/labels/rfe-phase", "/metadata/ownerReferences/0/kind",
	};
	static const char *const values[] = {
		"command", "sh", "ambient-export-of-all", "https://git.example/specs.git", "trunk", "ambient-export-of-all", "true",
		"https://git.example/billing.git", "ambient-export-of-all", "true", "true", "false", "seed", "RFEWorkflow",
	};

	begin();
	submit_named("w", UMBRELLA);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Initializing");
	ck_assert_str_eq(cond("Seeded", "status"), "False");
	ck_assert_str_eq(cond("Seeded", "reason"), "Seeding");
	ck_assert_str_eq(at("/status/seed/session"), "w-seed-1");
	ck_assert_str_eq(at("/status/startTime"), "(none)");
	for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
		ck_assert_msg(strcmp(session("w-seed-1", pointers[i]), values[i]) == 0, "%s: %s", pointers[i],
			      session("w-seed-1", pointers[i]));
	/* Nothing else begins meanwhile, whoever asks. */
	annotate("specify", "1");
	(void)settle();
	ck_assert_uint_eq(sessions(), 1);
	ends("w-seed-1", "Completed", PUSHED);
	(void)settle();
	ck_assert_str_eq(cond("Seeded", "status"), "True");
	ck_assert_str_eq(cond("Seeded", "reason"), "Seeded");
	ck_assert_ptr_nonnull(strstr(cond("Seeded", "message"), "https://git.example/specs.git: seeded: 20 files written"));
	ck_assert_str_eq(at("/status/phase"), "Running");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/1/input/branch"), "(none)");
	ck_assert_str_eq(session("w-specify-1", "/spec/repos/1/output/ensureBranch"), "true");
	ck_assert_str_eq(step(0, "name"), "specify");
	ck_assert_uint_eq(fake_host_events(fake, "Seeded"), 1);
	end();
}
END_TEST

static bool
has_file(const char *prompt, const char *path)
{
	char line[300];

	(void)snprintf(line, sizeof(line), "\n=== file 0:%s\n", path);
	return strstr(prompt, line) != NULL;
}

START_TEST(files_of_the_template_the_agents_and_the_namespace)
{
	static const char *const files[] = {
		".claude/commands/speckit.specify.md", ".claude/commands/speckit.plan.md", ".claude/commands/speckit.tasks.md",
		".claude/commands/speckit.implement.md", ".specify/scripts/bash/documents.sh", ".specify/templates/spec-template.md",
		".specify/templates/plan-template.md", ".specify/templates/tasks-template.md", ".specify/memory/constitution.md",
		".claude/agents/product-manager.md", ".claude/agents/delivery-owner.md", ".claude/agents/security-officer.md",
		"specs/ambient-export-of-all/README.md",
	};
	const char *prompt;

	begin();
	fake_host_put(fake, RFE_CM, "{'metadata':{'name':'ambient-agents','namespace':'team-a'},'data':{'security-officer.md':'Be wary.',"
		      "'product-manager.md':'Ours.','specify.md':'not one','../x.md':'no','.hidden.md':'no','a b.md':'no'}}");
	submit_named("w", UMBRELLA);
	(void)settle();
	prompt = session("w-seed-1", "/spec/prompt");
	ck_assert_msg(strncmp(prompt, "=== file 0:\n", 12) == 0, "%.40s", prompt);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		ck_assert_msg(has_file(prompt, files[i]), "%s is missing in:\n%s", files[i], prompt);
	ck_assert_ptr_nonnull(strstr(prompt, "security-officer.md\nBe wary.\n"));
	ck_assert_ptr_nonnull(strstr(prompt, "product-manager.md\nOurs.\n"));
	ck_assert(!has_file(prompt, ".claude/agents/specify.md") && !has_file(prompt, ".claude/agents/synthesis.md"));
	ck_assert_ptr_null(strstr(prompt, "../x.md"));
	ck_assert_ptr_null(strstr(prompt, ".hidden"));
	ck_assert_ptr_null(strstr(prompt, "a b.md"));
	end();
}
END_TEST

static void
put(const char *dir, const char *name, const char *text, size_t n)
{
	char path[300];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, n, f), n);
	(void)fclose(f);
}

/* What a directory of people's own may hold. */
START_TEST(directories_of_ones_own)
{
	static const struct {
		const char *name, *text;
		size_t n;
		const char *sentence; /* NULL: it is taken */
	} cases[] = {
		{ "a.txt", "x", 1, "there is nothing in" },
		{ "a.md", "x\0y", 3, "\"a.md\" of what umbrella repositories begin with is no text" },
		{ "a.md", "=== file 0:\n=== file 2:", 23, NULL },
		{ "speckit.a.md", "", 0, NULL },
	};
	char dir[] = "/tmp/rfe-seed-XXXXXX", conf[300], memory[100];
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(conf, sizeof(conf), ",'seed':'%s'", dir);
	(void)snprintf(memory, sizeof(memory), "%s/memory", dir);
	(void)mkdir(memory, 0755);
	put(memory, cases[_i].name, cases[_i].text, cases[_i].n);
	begin_with(conf);
	submit_named("w", UMBRELLA);
	if (cases[_i].sentence != NULL) {
		ck_assert_int_lt(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err), 0);
		ck_assert_str_eq(cond("Seeded", "reason"), "SeedTemplateInvalid");
		ck_assert_ptr_nonnull(strstr(at("/status/message"), cases[_i].sentence));
		ck_assert_uint_eq(sessions(), 0);
		/* It is looked at again, and goes on when it is mended. */
		put(memory, "b.md", "y", 1);
		put(memory, cases[_i].name, "z", 1);
	}
	(void)settle();
	ck_assert_uint_eq(sessions(), 1);
	if (cases[_i].n == 23)
		ck_assert_msg(strncmp(session("w-seed-1", "/spec/prompt"), "=== file 1:\n", 12) == 0, "a text can name a file");
	if (cases[_i].n == 0)
		ck_assert(has_file(session("w-seed-1", "/spec/prompt"), ".specify/memory/a.md"));
	end();
	(void)snprintf(conf, sizeof(conf), "%s/%s", memory, cases[_i].name);
	(void)unlink(conf);
	(void)snprintf(conf, sizeof(conf), "%s/b.md", memory);
	(void)unlink(conf);
	(void)rmdir(memory);
	(void)rmdir(dir);
}
END_TEST

/* What runs goes on: who wants the files of the template has no quarrel with the step. */
START_TEST(seeding_asked_for_while_a_step_runs)
{
	begin();
	submit_named("w", UMBRELLA);
	(void)settle();
	ends("w-seed-1", "Completed", PUSHED);
	annotate("specify", "1");
	(void)settle();
	ck_assert_str_eq(step(0, "status"), "Running");
	annotate("seed", "2");
	(void)settle();
	ck_assert_str_eq(session("w-specify-1", "/spec/desiredState"), "(none)");
	ck_assert_uint_eq(sessions(), 2);
	ends("w-specify-1", "Completed", ",'results':'specified'");
	(void)settle();
	ck_assert_str_eq(step(0, "status"), "Completed");
	ck_assert_str_eq(at("/status/seed/session"), "w-seed-2");
	end();
}
END_TEST

START_TEST(repositories_that_were_seeded_before)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	submit_named("w", UMBRELLA);
	(void)settle();
	ends("w-seed-1", "Completed", ",'results':'seeded before; the branch x was there already'" REPOS("nochanges", "nochanges") "}]");
	(void)settle();
	ck_assert_str_eq(cond("Seeded", "reason"), "AlreadySeeded");
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(at("/status/pushed/1"), "https://git.example/billing.git");
	ck_assert_uint_eq(sessions(), 1);
	/* Asked for again, it is not Ready from the first write on. */
	annotate("seed", "1");
	writes_left = 1;
	(void)fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err);
	writes_left = -1;
	ck_assert_str_eq(at("/status/phase"), "Initializing");
	ck_assert_str_eq(cond("Ready", "reason"), "SeedRequested");
	end();
}
END_TEST

START_TEST(seeding_that_fails_is_told_and_can_be_asked_for_again)
{
	static const struct {
		const char *phase, *more, *reason, *sentence;
	} cases[] = {
		{ "Failed", ",'message':'no branch trunk','conditions':[{'type':'Ready','status':'False','reason':'CloneFailed'}]",
		  "CloneFailed", "no branch trunk" },
		{ "Completed", ",'results':'seeded: 1 files written, 0 were there'" REPOS("pushed", "error") ",'error':'refused by a rule'}]",
		  "SeedNotPushed", "refused by a rule" },
		{ "Completed", ",'results':'seeded'", "SeedNotPushed", "does not say why" },
	};

	begin_with(",'retryDelay':0");
	submit_named("w", UMBRELLA ",'retries':1");
	(void)settle();
	ends("w-seed-1", cases[_i].phase, cases[_i].more);
	(void)settle();
	ck_assert_uint_eq(sessions(), 2);
	ends("w-seed-2", cases[_i].phase, cases[_i].more);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Failed");
	ck_assert_str_eq(cond("Failed", "reason"), "SeedFailed");
	ck_assert_str_eq(cond("Seeded", "status"), "False");
	ck_assert_str_eq(cond("Seeded", "reason"), cases[_i].reason);
	ck_assert_msg(strstr(cond("Seeded", "message"), cases[_i].sentence) != NULL, "%s", cond("Seeded", "message"));
	ck_assert_msg(strstr(at("/status/message"), cases[_i].sentence) != NULL, "%s", at("/status/message"));
	annotate("seed", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Initializing");
	ck_assert_str_eq(at("/status/seed/session"), "w-seed-3");
	ends("w-seed-3", "Completed", PUSHED);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(cond("Seeded", "status"), "True");
	ck_assert_str_eq(cond("Failed", "status"), "(none)");
	end();
}
END_TEST

/* A session that cannot start says what it waits for; the workflow passes it on. */
START_TEST(what_the_session_waits_for_is_told)
{
	begin();
	submit_named("w", UMBRELLA);
	(void)settle();
	fake_host_merge(fake, RFE_SESSION, "team-a", "w-seed-1", "{'status':{'phase':'Creating','message':'Secret x is missing'}}");
	(void)settle();
	ck_assert_ptr_nonnull(strstr(cond("Seeded", "message"), "Secret x is missing"));
	/* Deleted by somebody: one failure, and a new one is made. */
	fake_host_remove(fake, RFE_SESSION, "team-a", "w-seed-1");
	fake_host_advance(fake, 60 * AMBIENT_SECOND);
	(void)settle();
	fake_host_advance(fake, 60 * AMBIENT_SECOND);
	(void)settle();
	ck_assert_str_eq(at("/status/seed/session"), "w-seed-2");
	ck_assert_str_eq(at("/status/phase"), "Initializing");
	end();
}
END_TEST

START_TEST(cancelled_while_it_is_seeded)
{
	begin();
	submit_named("w", UMBRELLA);
	(void)settle();
	desire("Cancelled");
	(void)settle();
	ck_assert_str_eq(session("w-seed-1", "/spec/desiredState"), "Stopped");
	ends("w-seed-1", "Stopped", "");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Cancelled");
	ck_assert_uint_eq(sessions(), 1);
	end();
}
END_TEST

START_TEST(who_seeds_and_who_does_not)
{
	begin();
	submit_named("w", LEGACY);
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(cond("Seeded", "status"), "(none)");
	submit_named("a", REQUEST ",'seed':true");
	(void)settle_named("a");
	ck_assert_ptr_nonnull(strstr(at_of("a", "/status/message"), "spec.seed needs a repository and spec.branchName"));
	submit_named("b", REQUEST ",'seed':true,'branchName':'own','repos':[{'url':'https://git.example/b.git'}]");
	(void)settle_named("b");
	ck_assert_str_eq(at_of("b", "/status/seed/session"), "b-seed-1");
	submit_named("c", REQUEST ",'steps':[{'agent':'team-lead','name':'seed'}]");
	(void)settle_named("c");
	ck_assert_ptr_nonnull(strstr(at_of("c", "/status/message"), "may not be called \"seed\""));
	end();
}
END_TEST

/* Everything fails after so many writes of one reconcile; the next one starts anew. */
static bool
crashes_at(int at_write, bool fails)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool crashed = false;

	begin_with(",'retryDelay':0");
	submit_named("w", UMBRELLA ",'retries':1");
	for (int i = 0; i < 3; i++) {
		writes_left = at_write;
		crashed = fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err) < 0 || crashed;
		writes_left = -1;
		(void)settle();
		if (i == 0)
			ends("w-seed-1", fails ? "Failed" : "Completed", fails ? ",'message':'no'" : PUSHED);
		if (i == 1 && fails)
			ends("w-seed-2", "Completed", PUSHED);
	}
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(cond("Seeded", "status"), "True");
	ck_assert_uint_eq(sessions(), fails ? 2 : 1);
	ck_assert_uint_eq(fake_host_calls(fake, "create", RFE_SESSION), fails ? 2 : 1);
	end();
	return crashed;
}

START_TEST(rule_28_crash_after_each_write_of_seeding)
{
	int at_write = 0;

	while (at_write < 20 && crashes_at(at_write, _i == 1))
		at_write++;
	/* Its name, the session, that it runs: at least these were cut. */
	ck_assert_int_ge(at_write, 3);
	ck_assert_int_lt(at_write, 20);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, repositories_are_seeded_before_a_person_starts_a_step);
	tcase_add_test(tc, files_of_the_template_the_agents_and_the_namespace);
	tcase_add_loop_test(tc, directories_of_ones_own, 0, 4);
	tcase_add_test(tc, seeding_asked_for_while_a_step_runs);
	tcase_add_test(tc, repositories_that_were_seeded_before);
	tcase_add_loop_test(tc, seeding_that_fails_is_told_and_can_be_asked_for_again, 0, 3);
	tcase_add_test(tc, what_the_session_waits_for_is_told);
	tcase_add_test(tc, cancelled_while_it_is_seeded);
	tcase_add_test(tc, who_seeds_and_who_does_not);
	tcase_add_loop_test(tc, rule_28_crash_after_each_write_of_seeding, 0, 2);
}

UNIT_MAIN("rfeworkflow_seed", cases)
