/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "jira": what the account may be, what becomes of a document, what Jira complains about, and the plugin. */
#include "core/ambient-runner/jira.h"
#include "core/base/mem.h"
#include "tests/lib/runner_host.h"
#include "tests/lib/unit.h"

static const struct {
	const char *url, *project, *email, *token;
	bool plain;
	const char *header; /* or, without a colon, a part of the sentence */
} accounts[] = {
	{ "https://jira.example.com", "ABC", NULL, "t0ken", false, "Bearer t0ken" },
	{ "https://jira.example.com/jira//", "A_1", "me@x", "t0ken", false, "Bearer t0ken" },
	{ "https://x.atlassian.net", "ABC", "me@x", "t", false, "Basic bWVAeDp0" },
	{ "https://X.ATLASSIAN.NET.evil.example", "ABC", "me@x", "t", false, "Bearer t" },
	{ "https://evilatlassian.net", "ABC", "me@x", "t", false, "Bearer t" },
	{ "https://x.atlassian.net:443/", "ABC", NULL, "me@x:t", false, "Basic bWVAeDp0" },
	{ "https://x.atlassian.net", "ABC", NULL, "t", false, "JIRA_EMAIL" },
	{ "http://127.0.0.1:80", "ABC", NULL, "t", false, "Bearer t" },
	{ "http://[::1]:80/x", "ABC", NULL, "t", false, "Bearer t" },
	{ "http://jira.example.com", "ABC", NULL, "t", false, "plain http" },
	{ "http://127.0.0.1.evil.example", "ABC", NULL, "t", false, "plain http" },
	{ "http://jira.example.com", "ABC", NULL, "t", true, "Bearer t" },
	{ NULL, "ABC", NULL, "t", false, "no JIRA_URL" },
	{ "", "ABC", NULL, "t", false, "no JIRA_URL" },
	{ "file:///etc/passwd", "ABC", NULL, "t", false, "no https URL" },
	{ "https://", "ABC", NULL, "t", false, "no https URL" },
	{ "https://me:pw@jira.example.com", "ABC", NULL, "t", false, "no https URL" },
	{ "https://jira.example.com?x=", "ABC", NULL, "t", false, "no https URL" },
	{ "https://jira.example.com/#", "ABC", NULL, "t", false, "no https URL" },
	{ "https://jira.example.com\r\nX: y", "ABC", NULL, "t", false, "no https URL" },
	{ "https://jira.example.com", "abc\" OR 1=1", NULL, "t", false, "JIRA_PROJECT" },
	{ "https://jira.example.com", NULL, NULL, "t", false, "JIRA_PROJECT" },
	{ "https://jira.example.com", "ABC", NULL, "t\r\nX: y", false, "JIRA_API_TOKEN" },
	{ "https://jira.example.com", "ABC", NULL, "", false, "JIRA_API_TOKEN" },
	{ "https://jira.example.com", "ABC", "a b", "t", false, "JIRA_EMAIL" },
};

START_TEST(account_is_used_for_its_server_only)
{
	struct am_jira_error error = {0};
	struct am_jira jira;
	int rc = am_jira_account(&jira, accounts[_i].url, accounts[_i].project, accounts[_i].email, accounts[_i].token,
				 accounts[_i].plain, &error);

	if (am_starts(accounts[_i].header, "Bearer ") || am_starts(accounts[_i].header, "Basic ")) {
		ck_assert_msg(rc == 0, "%s", error.text);
		ck_assert_str_eq(jira.authorization, accounts[_i].header);
		ck_assert(!am_ends(jira.url, "/"));
	} else {
		ck_assert_int_lt(rc, 0);
		ck_assert_str_eq(error.reason, "JiraNotConfigured");
		ck_assert_msg(strstr(error.text, accounts[_i].header) != NULL, "%s", error.text);
		/* No part of the Secret is said. */
		ck_assert_ptr_null(strstr(error.text, "evil"));
	}
	am_jira_fini(&jira);
}
END_TEST

START_TEST(keys_of_issues)
{
	static const char *const good[] = {"A-1", "ABC-12", "A_B2-999"};
	static const char *const bad[] = {"", "-1", "ABC", "ABC-", "abc-1", "ABC-1x", "ABC-1/../2", "AB C-1", "1A-1", "A-1?x=y"};

	for (size_t i = 0; i < AM_COUNTOF(good); i++)
		ck_assert_msg(am_jira_is_key(good[i]), "%s", good[i]);
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(!am_jira_is_key(bad[i]), "%s", bad[i]);
}
END_TEST

static const struct {
	const char *document, *description;
} documents[] = {
	{ "# S\n\nText.\n", "Source: here\n\n# S\n\nText.\n" },
	{ "# S\n## Execution Flow (main)\n```\n# no heading\n1. x\n```\nmore\n### Deeper\nmore\n## Next\nkept\n",
	  "Source: here\n\n# S\n## Next\nkept\n" },
	{ "# S\n## execution flow\nx\n# T\n", "Source: here\n\n# S\n# T\n" },
	{ "# S\n#Execution Flow\n## Not Execution Flow\nx\n", "Source: here\n\n# S\n#Execution Flow\n## Not Execution Flow\nx\n" },
	{ "```\n## Execution Flow\n```\nkept", "Source: here\n\n```\n## Execution Flow\n```\nkept" },
	{ "## Execution Flow\n## Execution Flow again\nx", "Source: here\n\n" },
	{ "", "Source: here\n\n" },
};

START_TEST(description_of_a_document)
{
	am_auto(am_buf_fini) struct am_buf out = {0};

	am_jira_description(&out, "here", documents[_i].document, strlen(documents[_i].document));
	ck_assert_str_eq(am_buf_str(&out), documents[_i].description);
}
END_TEST

START_TEST(description_is_cut_between_characters)
{
	am_auto(am_buf_fini) struct am_buf in = {0}, out = {0};

	am_buf_adds(&in, "x");
	while (in.len < 40001)
		am_buf_adds(&in, "\xe2\x82\xac");
	am_jira_description(&out, NULL, in.data, in.len);
	ck_assert_uint_lt(out.len, AM_JIRA_DESCRIPTION_MAX + 60);
	ck_assert_ptr_nonnull(strstr(out.data, "\xe2\x82\xac\n[cut here: 31999 of 40003 bytes]"));
}
END_TEST

static const struct {
	long status;
	const char *body, *reason, *part;
} answers[] = {
	{ 401, "<html>login</html>", "JiraUnauthorized", "JIRA_API_TOKEN" },
	{ 403, "", "JiraForbidden", "permission" },
	{ 404, "{\"errorMessages\":[\"no such\"],\"errors\":{}}", "JiraNotFound", "it says: no such" },
	{ 400, "{\"errorMessages\":[],\"errors\":{\"issuetype\":\"none of that\",\"x\":\"two\\nlines\"}}", "JiraRejected",
	  "it says: none of that; two lines" },
	{ 429, "", "JiraRateLimited", "later" },
	{ 500, "{\"errorMessages\":[1,{}],\"errors\":[]}", "JiraUnavailable", "later" },
	{ 302, "", "JiraRedirected", "set JIRA_URL to the address that it means: elsewhere" },
	{ 200, "", "JiraAnswerInvalid", "200" },
	{ 999, "", "JiraAnswerInvalid", "999" },
};

START_TEST(answers_are_told_apart)
{
	struct am_jira_error error;

	ck_assert_int_lt(am_jira_refused(&error, "asking", answers[_i].status, am_slice_of(answers[_i].body), "elsewhere"), 0);
	ck_assert_str_eq(error.reason, answers[_i].reason);
	ck_assert_msg(strstr(error.text, answers[_i].part) != NULL, "%s", error.text);
}
END_TEST

START_TEST(complaints_are_bounded)
{
	am_auto(am_buf_fini) struct am_buf body = {0};
	char said[240];

	am_buf_adds(&body, "{\"errorMessages\":[\"");
	for (int i = 0; i < 500; i++)
		am_buf_adds(&body, "\\u001b[31m");
	am_buf_adds(&body, "\",\"more\"]}");
	am_jira_complaint(said, am_slice(body.data, body.len));
	ck_assert_uint_lt(strlen(said), sizeof(said));
	ck_assert_ptr_null(strchr(said, 27));
}
END_TEST

/* ---- the plugin */

#define ORDER "\"runnerConfig\":{\"path\":\"specs/x/spec.md\",\"summary\":\"s\",\"label\":\"ambient-1\",\"type\":\"Epic\"}"

START_TEST(plans)
{
	runner_host_reset(&ambient_plugin_v1);
	ck_assert_str_eq(runner_plan_text("{\"spec\":{" ORDER "}}", "{}"),
			 "{\"agentEnv\":["
#define KEY(name, more) \
	"{\"name\":\"" name "\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"ambient-non-vertex-integrations\",\"key\":\"" name "\"" more "}}},"
			 KEY("JIRA_API_TOKEN", "") KEY("JIRA_PROJECT", "") KEY("JIRA_EMAIL", ",\"optional\":true") KEY("JIRA_URL", "")
			 "{\"name\":\"AMBIENT_JIRA_RETRY_MS\",\"value\":\"1000\"},{\"name\":\"AMBIENT_JIRA\",\"value\":\"ambient-runner\"}],"
			 "\"requiredSecretKeys\":[\"JIRA_API_TOKEN\",\"JIRA_PROJECT\"]}");
	/* Who may write sessions cannot send the token elsewhere. */
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{\"environmentVariables\":{\"JIRA_URL\":\"https://evil\"}," ORDER "}}", "{}"),
				     "problems: [{\"field\":\"spec.environmentVariables\""));
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{}}", "{}"), "problems: [{\"field\":\"spec.runnerConfig\""));
	ck_assert_str_eq(runner_plan_text("{\"spec\":{\"runnerConfig\":{\"url\":\"https://evil\"}}}", "{}"),
			 "problems: [{\"field\":\"spec.runnerConfig.url\",\"message\":\"is no setting of runner type \\\"jira\\\", which has "
			 "path, type, summary, label, source, key, parent, implements and attachments\"}]");
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{" ORDER "}}", "{\"interactive\":true}"),
				     "problems: [{\"field\":\"spec.interactive\""));
}
END_TEST

static struct ambient_outcome
run_with(const char *said, int code)
{
	struct ambient_outcome outcome = {.size = sizeof(outcome)};
	struct ambient_exit end = {.size = sizeof(end), .code = code, .stderr_tail = ""};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_host_reset(&ambient_plugin_v1);
	runner_run.config = runner_object("{\"path\":\"a.md\"}");
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), 0);
	ck_assert_int_eq(runner_type->prompt(runner_self, &runner_run, "Publish a.md.", 13, &err), 0);
	ck_assert_str_eq(am_buf_str(&runner_command), "arg ambient-runner\narg jira\n");
	ck_assert_str_eq(am_buf_str(&runner_input), "{\"path\":\"a.md\"}<end>");
	if (said[0] != '\0')
		(void)runner_line(said);
	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &end, &outcome, &err), 0);
	return outcome;
}

START_TEST(outcomes)
{
	static const char done[] = "{\"key\":\"ABC-1\",\"url\":\"https://h/browse/ABC-1\",\"created\":true,\"left\":\"\"}";
	struct ambient_outcome outcome = run_with(done, 0);

	ck_assert_int_eq(outcome.success, 1);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "result {\"text\":\"{\\\"key\\\":\\\"ABC-1\\\""));
	outcome = run_with("{\"reason\":\"JiraForbidden\",\"text\":\"it may not\"}", 1);
	ck_assert_int_eq(outcome.success, 0);
	ck_assert_str_eq(outcome.reason, "JiraForbidden");
	ck_assert_str_eq(outcome.message, "it may not");
	outcome = run_with("", 127);
	ck_assert_str_eq(outcome.reason, "AgentNotStarted");
	outcome = run_with("{}", 0);
	ck_assert_int_eq(outcome.success, 0);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, account_is_used_for_its_server_only, 0, AM_COUNTOF(accounts));
	tcase_add_test(tc, keys_of_issues);
	tcase_add_loop_test(tc, description_of_a_document, 0, AM_COUNTOF(documents));
	tcase_add_test(tc, description_is_cut_between_characters);
	tcase_add_loop_test(tc, answers_are_told_apart, 0, AM_COUNTOF(answers));
	tcase_add_test(tc, complaints_are_bounded);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, outcomes);
}

UNIT_MAIN("runner_jira", cases)
