/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of a workflow that become issues: what is ordered for which request, what is kept of the answer, each refusal,
 * and the same with the daemon dying at every write.
 */
#include "tests/unit/rfeworkflow.h"

#define SPEC "specs/ambient-export-of-all/spec.md"
#define ANSWER(key, created) \
	"{\\\"key\\\":\\\"" key "\\\",\\\"url\\\":\\\"https://jira.example/browse/" key "\\\",\\\"created\\\":" created ",\\\"left\\\":\\\"\\\"}"

static void
wish(const char *what, const char *when)
{
	char patch[900];

	(void)snprintf(patch, sizeof(patch), "{'metadata':{'annotations':{'ambient-code.io/publish-to-jira':'%s',"
		       "'ambient-code.io/publish-requested-at':'%s'}}}", what, when);
	fake_host_merge(fake, RFE_KIND, "team-a", "w", patch);
}

/* As ends(), with texts that have quotes. */
static void
closes(const char *name, const char *phase, const char *more)
{
	char patch[1200];

	(void)snprintf(patch, sizeof(patch), "{'status':{'phase':'%s','completionTime':'2026-01-01T00:00:00Z'%s}}", phase, more);
	for (char *p = patch; *p != '\0'; p++)
		*p = *p == '\'' ? '"' : *p;
	fake_host_merge(fake, RFE_SESSION, "team-a", name, patch);
}

static void
answer(const char *name, const char *text)
{
	char more[900];

	(void)snprintf(more, sizeof(more), ",'results':'%s'", text);
	closes(name, "Completed", more);
}

static const char *
order(const char *name, const char *member)
{
	char pointer[100];

	(void)snprintf(pointer, sizeof(pointer), "/spec/runnerConfig/%s", member);
	return session(name, pointer);
}

START_TEST(a_phase_is_published_and_published_again)
{
	begin();
	submit_named("w", LEGACY ",'parentOutcome':'ABC-9'");
	(void)settle();
	wish("specify", "1");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_str_eq(cond("JiraPublished", "status"), "False");
	ck_assert_str_eq(cond("JiraPublished", "reason"), "Publishing");
	ck_assert_str_eq(session("w-jira-1", "/spec/runnerType"), "jira");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/0/input/url"), "https://git.example/specs.git");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/0/input/branch"), "ambient-export-of-all");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/0/output"), "(none)");
	ck_assert_str_eq(session("w-jira-1", "/spec/autoPushOnComplete"), "false");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/1/input/url"), "(none)");
	ck_assert_str_eq(order("w-jira-1", "path"), SPEC);
	ck_assert_str_eq(order("w-jira-1", "type"), "Feature Request");
	ck_assert_str_eq(order("w-jira-1", "summary"), "Export of all invoices - specify");
	ck_assert_str_eq(order("w-jira-1", "parent"), "ABC-9");
	ck_assert_str_eq(order("w-jira-1", "key"), "(none)");
	ck_assert_str_eq(order("w-jira-1", "attachments/0"), "rfe.md");
	ck_assert_str_eq(order("w-jira-1", "source"), SPEC " on the branch ambient-export-of-all of https://git.example/specs.git");
	answer("w-jira-1", ANSWER("ABC-12", "true"));
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "status"), "True");
	ck_assert_str_eq(cond("JiraPublished", "reason"), "Published");
	ck_assert_str_eq(cond("JiraPublished", "message"), SPEC " is ABC-12, https://jira.example/browse/ABC-12");
	ck_assert_str_eq(at("/status/jiraLinks/0/path"), SPEC);
	ck_assert_str_eq(at("/status/jiraLinks/0/jiraKey"), "ABC-12");
	ck_assert_str_eq(at("/status/jiraLinks/0/url"), "https://jira.example/browse/ABC-12");
	ck_assert_uint_eq(sessions(), 1);
	/* Once is once; again is a change of the same issue, under the same label. */
	(void)settle();
	ck_assert_uint_eq(sessions(), 1);
	wish("specify", "2");
	(void)settle();
	ck_assert_str_eq(order("w-jira-2", "key"), "ABC-12");
	ck_assert_str_eq(order("w-jira-2", "label"), session("w-jira-1", "/spec/runnerConfig/label"));
	answer("w-jira-2", ANSWER("ABC-12", "false"));
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "reason"), "Updated");
	ck_assert_str_eq(at("/status/jiraLinks/1/path"), "(none)");
	/* Tasks have no parent, and implement the plan. */
	wish("plan", "3");
	(void)settle();
	ck_assert_str_eq(order("w-jira-3", "attachments/2"), "research.md");
	answer("w-jira-3", ANSWER("ABC-13", "true"));
	(void)settle();
	wish("tasks", "4");
	(void)settle();
	ck_assert_str_eq(order("w-jira-4", "type"), "Epic");
	ck_assert_str_eq(order("w-jira-4", "parent"), "(none)");
	ck_assert_str_eq(order("w-jira-4", "implements"), "ABC-13");
	ck_assert_str_ne(order("w-jira-4", "label"), order("w-jira-3", "label"));
	end();
}
END_TEST

START_TEST(links_of_the_spec_count_more)
{
	begin();
	submit_named("w", LEGACY ",'jiraLinks':[{'path':'" SPEC "','jiraKey':'OLD-1'}]");
	(void)settle();
	wish(SPEC, "1");
	(void)settle();
	ck_assert_str_eq(order("w-jira-1", "key"), "OLD-1");
	end();
}
END_TEST

START_TEST(where_a_document_is_on_the_web)
{
	static const struct {
		const char *url, *source;
	} cases[] = {
		{ "https://github.com/o/r.git", "https://github.com/o/r/blob/b/specs/b/spec.md" },
		{ "https://gitlab.com/o/r", "https://gitlab.com/o/r/-/blob/b/specs/b/spec.md" },
		{ "https://github.com.evil/o/r", "specs/b/spec.md on the branch b of https://github.com.evil/o/r" },
	};
	char spec[400];

	begin();
	(void)snprintf(spec, sizeof(spec), "'title':'t','description':'d','branchName':'b','seed':false,'umbrellaRepo':{'url':'%s'}",
		       cases[_i].url);
	submit_named("w", spec);
	(void)settle();
	wish("specify", "1");
	(void)settle();
	ck_assert_str_eq(order("w-jira-1", "source"), cases[_i].source);
	end();
}
END_TEST

/* The council's documents are where they are committed; a workflow that has ended publishes too, and stays ended. */
START_TEST(the_documents_of_a_council)
{
	begin();
	submit_named("w", REQUEST ",'steps':[{'agent':'team-lead'}],'synthesis':false,'documents':{'repo':{'url':"
		     "'https://git.example/shelf.git','authSecret':'mine'},'branch':'requests','path':'specs/own'}");
	(void)settle();
	/* While a step runs it waits, and says so. */
	wish("ideate", "1");
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "reason"), "Waiting");
	ck_assert_uint_eq(sessions(), 1);
	says("w-team-lead-1", "words");
	(void)settle();
	ck_assert_str_eq(at("/status/jira/session"), "w-jira-1");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/0/input/authSecret"), "mine");
	ck_assert_str_eq(session("w-jira-1", "/spec/repos/0/input/branch"), "requests");
	ck_assert_str_eq(order("w-jira-1", "path"), "specs/own/rfe.md");
	ck_assert_str_eq(order("w-jira-1", "summary"), "log in with what people have - ideate");
	ends("w-jira-1", "Failed", ",'message':'there is no document','conditions':[{'type':'Ready','status':'False','reason':"
	     "'DocumentMissing'}]");
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "reason"), "DocumentMissing");
	ends("w-documents-1", "Completed", ",'repos':[{'index':0,'url':'https://git.example/shelf.git','status':'pushed','branch':'requests'}]");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	wish("ideate", "2");
	(void)settle();
	ck_assert_str_eq(at("/status/phase"), "Completed");
	ck_assert_str_eq(cond("Ready", "reason"), "Success");
	answer("w-jira-2", ANSWER("ABC-1", "true"));
	(void)settle();
	ck_assert_str_eq(at("/status/jiraLinks/0/jiraKey"), "ABC-1");
	ck_assert_str_eq(at("/status/phase"), "Completed");
	end();
}
END_TEST

START_TEST(wishes_that_cannot_be_followed)
{
	static const struct {
		const char *spec, *wish, *part;
	} cases[] = {
		{ LEGACY, "deploy", "neither a phase (specify, plan, tasks, ideate) nor the path" },
		{ LEGACY, "../x.md", "neither a phase" },
		{ LEGACY, "/etc/x.md", "neither a phase" },
		{ LEGACY, "specs/.git/x.md", "neither a phase" },
		{ LEGACY, "-x.md", "neither a phase" },
		{ LEGACY, "a//b.md", "neither a phase" },
		{ LEGACY, ".md", "neither a phase" },
		{ REQUEST ",'desiredState':'Paused'", "specify", "has no branch that its documents lie on" },
	};

	begin();
	submit_named("w", cases[_i].spec);
	(void)settle();
	wish(cases[_i].wish, "1");
	(void)settle();
	(void)settle();
	ck_assert_uint_eq(sessions(), 0);
	ck_assert_str_eq(cond("JiraPublished", "reason"), "DocumentUnknown");
	ck_assert_msg(strstr(cond("JiraPublished", "message"), cases[_i].part) != NULL, "%s", cond("JiraPublished", "message"));
	ck_assert_uint_eq(fake_host_events(fake, "JiraNotPublished"), 1);
	end();
}
END_TEST

START_TEST(failures_are_told)
{
	static const struct {
		const char *phase, *more, *reason, *part;
	} cases[] = {
		{ "Failed", ",'message':'making the issue: Jira answers 403','conditions':[{'type':'Ready','status':'False',"
		  "'reason':'JiraForbidden'}]", "JiraForbidden", "publishing " SPEC ": making the issue: Jira answers 403" },
		{ "Completed", ",'results':'hello'", "JiraAnswerInvalid", "does not say what it has done" },
		{ "Completed", "", "JiraAnswerInvalid", "does not say" },
		{ "Completed", ",'results':'{\\\"key\\\":\\\"../x\\\",\\\"url\\\":\\\"https://h\\\"}'", "JiraAnswerInvalid", "which issue" },
		{ "Completed", ",'results':'{\\\"key\\\":\\\"A-1\\\",\\\"url\\\":\\\"javascript:x\\\"}'", "JiraAnswerInvalid", "which issue" },
		{ "Stopped", "", "SessionStopped", "ended as Stopped" },
	};

	begin();
	submit_named("w", LEGACY);
	(void)settle();
	wish("specify", "1");
	(void)settle();
	closes("w-jira-1", cases[_i].phase, cases[_i].more);
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "status"), "False");
	ck_assert_str_eq(cond("JiraPublished", "reason"), cases[_i].reason);
	ck_assert_msg(strstr(cond("JiraPublished", "message"), cases[_i].part) != NULL, "%s", cond("JiraPublished", "message"));
	ck_assert_str_eq(at("/status/jiraLinks/0/path"), "(none)");
	/* It is not tried again by itself, and the request goes on. */
	ck_assert_uint_eq(sessions(), 1);
	ck_assert_str_eq(at("/status/phase"), "Ready");
	wish("specify", "2");
	(void)settle();
	ck_assert_uint_eq(sessions(), 2);
	end();
}
END_TEST

START_TEST(what_could_not_be_attached_is_told)
{
	begin();
	submit_named("w", LEGACY);
	(void)settle();
	wish("plan", "1");
	(void)settle();
	fake_host_merge(fake, RFE_SESSION, "team-a", "w-jira-1", "{'status':{'phase':'Creating','message':'Secret x is missing'}}");
	(void)settle();
	ck_assert_ptr_nonnull(strstr(cond("JiraPublished", "message"), "Secret x is missing"));
	answer("w-jira-1", "{\\\"key\\\":\\\"A-1\\\",\\\"url\\\":\\\"https://h/browse/A-1\\\",\\\"created\\\":true,"
	       "\\\"left\\\":\\\"research.md: it is too large\\\"}");
	(void)settle();
	ck_assert_str_eq(cond("JiraPublished", "status"), "True");
	ck_assert_str_eq(cond("JiraPublished", "reason"), "PublishedInPart");
	ck_assert_ptr_nonnull(strstr(cond("JiraPublished", "message"), "not done: research.md: it is too large"));
	end();
}
END_TEST

START_TEST(as_many_documents_as_can_be)
{
	char path[40], when[20], name[40];

	begin();
	submit_named("w", LEGACY);
	(void)settle();
	for (int i = 0; i <= RFE_LINKS_MAX; i++) {
		(void)snprintf(path, sizeof(path), "notes/%d.md", i);
		(void)snprintf(when, sizeof(when), "%d", i);
		(void)snprintf(name, sizeof(name), "w-jira-%d", i + 1);
		wish(path, when);
		(void)settle();
		if (i == RFE_LINKS_MAX)
			break;
		ck_assert_str_eq(order(name, "type"), "Feature");
		answer(name, ANSWER("ABC-1", "true"));
		(void)settle();
	}
	ck_assert_str_eq(cond("JiraPublished", "reason"), "TooManyDocuments");
	ck_assert_uint_eq(sessions(), RFE_LINKS_MAX);
	ck_assert_str_eq(at("/status/jiraLinks/15/path"), "notes/15.md");
	end();
}
END_TEST

static bool
crashes_at(int at_write)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool crashed = false;

	begin();
	submit_named("w", LEGACY);
	(void)settle();
	wish("specify", "1");
	for (int i = 0; i < 2; i++) {
		writes_left = at_write;
		crashed = fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err) < 0 || crashed;
		writes_left = -1;
		(void)settle();
		if (i == 0)
			answer("w-jira-1", ANSWER("ABC-12", "true"));
	}
	ck_assert_str_eq(cond("JiraPublished", "reason"), "Published");
	ck_assert_str_eq(at("/status/jiraLinks/0/jiraKey"), "ABC-12");
	ck_assert_str_eq(at("/status/jiraLinks/1/jiraKey"), "(none)");
	ck_assert_str_eq(at("/status/phase"), "Ready");
	ck_assert_uint_eq(sessions(), 1);
	ck_assert_uint_eq(fake_host_calls(fake, "create", RFE_SESSION), 1);
	end();
	return crashed;
}

START_TEST(rule_28_crash_after_each_write_of_publishing)
{
	int at_write = 0;

	while (at_write < 20 && crashes_at(at_write))
		at_write++;
	ck_assert_int_ge(at_write, 3);
	ck_assert_int_lt(at_write, 20);
}
END_TEST

START_TEST(step_that_is_asked_for_meanwhile)
{
	begin();
	submit_named("w", LEGACY);
	(void)settle();
	wish("specify", "1");
	(void)settle();
	annotate("plan", "1");
	(void)settle();
	ck_assert_str_eq(cond("Ready", "reason"), "StepWaiting");
	ck_assert_ptr_nonnull(strstr(at("/status/message"), "step \"plan\" begins when AgenticSession \"w-jira-1\" has ended"));
	ends("w-jira-1", "Failed", "");
	(void)settle();
	ck_assert_str_eq(step(1, "session"), "w-plan-1");
	ck_assert_str_eq(cond("Ready", "reason"), "StepRunning");
	end();
}
END_TEST

START_TEST(name_that_somebody_else_has)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin();
	submit_named("w", LEGACY);
	(void)settle();
	fake_host_put(fake, RFE_SESSION, "{'metadata':{'name':'w-jira-1','namespace':'team-a'},'spec':{'prompt':'p'}}");
	wish("specify", "1");
	ck_assert_int_lt(fake_host_reconcile(fake, NULL, "team-a", "w", NULL, &err), 0);
	ck_assert_str_eq(cond("JiraPublished", "reason"), "SessionRefused");
	ck_assert_str_eq(cond("Ready", "reason"), "WaitingForPerson");
	(void)settle();
	wish("specify", "2");
	(void)settle();
	ck_assert_str_eq(order("w-jira-2", "path"), SPEC);
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_phase_is_published_and_published_again);
	tcase_add_test(tc, links_of_the_spec_count_more);
	tcase_add_loop_test(tc, where_a_document_is_on_the_web, 0, 3);
	tcase_add_test(tc, the_documents_of_a_council);
	tcase_add_loop_test(tc, wishes_that_cannot_be_followed, 0, 8);
	tcase_add_loop_test(tc, failures_are_told, 0, 6);
	tcase_add_test(tc, what_could_not_be_attached_is_told);
	tcase_add_test(tc, as_many_documents_as_can_be);
	tcase_add_test(tc, rule_28_crash_after_each_write_of_publishing);
	tcase_add_test(tc, step_that_is_asked_for_meanwhile);
	tcase_add_test(tc, name_that_somebody_else_has);
}

UNIT_MAIN("rfeworkflow_jira", cases)
