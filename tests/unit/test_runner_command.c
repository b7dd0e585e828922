/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "command": plan, command line, lines and outcomes. */
#include "tests/lib/runner_host.h"
#include "tests/lib/unit.h"

static void
setup(void)
{
	runner_host_reset(&ambient_plugin_v1);
}

static void
start(const char *config)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_run.config = runner_object(config);
	ck_assert_msg(runner_type->command(runner_self, &runner_run, runner_host_command(), &err) == 0, "%s",
		      err.message);
}

static struct ambient_outcome
end(int code, int signal_, int asked, const char *tail)
{
	struct ambient_exit e = {
		.size = sizeof(e), .code = code, .signal = signal_, .asked = asked, .stderr_tail = tail};
	struct ambient_outcome o = {.size = sizeof(o)};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &e, &o, &err), 0);
	return o;
}

START_TEST(plans)
{
	static const char make[] = "{\"spec\":{\"runnerConfig\":{\"command\":[\"make\"]}}}";

	ck_assert_str_eq(runner_plan_text(make, "{}"), "{\"agentEnv\":[],\"honours\":[\"temperature\",\"maxTokens\"]}");
	ck_assert_str_eq(runner_plan_text(make, "{\"model\":\"m \\\"x\",\"temperature\":0.7,\"maxTokens\":4000}"),
			 "{\"agentEnv\":[{\"name\":\"LLM_MODEL\",\"value\":\"m \\\"x\"},{\"name\":\"LLM_TEMPERATURE\",\"value\":"
			 "\"0.7000\"},{\"name\":\"LLM_MAX_TOKENS\",\"value\":\"4000\"}],\"honours\":[\"temperature\",\"maxTokens\"]}");
	ck_assert_ptr_nonnull(strstr(runner_plan_text(make, "{\"temperature\":0}"), "\"value\":\"0.0000\""));
	ck_assert_ptr_nonnull(strstr(runner_plan_text(make, "{\"temperature\":2}"), "\"value\":\"2.0000\""));
	ck_assert_str_eq(runner_plan_text("{\"spec\":{\"runnerConfig\":{\"command\":[\"make\"],\"comand\":[\"x\"]}}}", "{}"),
			 "problems: [{\"field\":\"spec.runnerConfig.comand\",\"message\":\"is no setting of runner type "
			 "\\\"command\\\", which has command\"}]");
	static const char *const bad[] = {"{}", "{\"command\":[]}", "{\"command\":\"make\"}", "{\"command\":[1]}",
					  "{\"command\":[\"\"]}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char session[200];

		(void)snprintf(session, sizeof(session), "{\"spec\":{\"runnerConfig\":%s}}", bad[i]);
		const char *text = runner_plan_text(session, "{}");
		ck_assert_ptr_eq(strstr(text, "problems: [{\"field\":\"spec.runnerConfig.command\""), text);
	}
}
END_TEST

START_TEST(starts_and_ends_its_input)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{\"command\":[\"sh\",\"-c\",\"echo \\\"$PROMPT\\\"\"]}");
	ck_assert_str_eq(am_buf_str(&runner_command),
			 "arg sh\narg -c\narg echo \"$PROMPT\"\nenv AMBIENT_PROMPT_FILE=/dev/null\nenv PROMPT=\n");
	ck_assert_int_eq(runner_type->prompt(runner_self, &runner_run, "do\nit", 5, &err), 0);
	ck_assert_str_eq(am_buf_str(&runner_input), "do\nit<end>");
	ck_assert_int_eq(end(0, 0, 0, "").exit_code, 0);
}
END_TEST

START_TEST(lines_become_messages)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{\"command\":[\"x\"]}");
	ck_assert_int_eq(runner_line("a \"b\" \\ \x01 \xff \xc3\xa9 \xed\xa0\x80"), 0);
	ck_assert_int_eq(runner_type->line(runner_self, &runner_run, AMBIENT_STDERR, "e", 1, 0, &err), 0);
	ck_assert_int_eq(runner_line("last"), 0);
	ck_assert_int_eq(runner_line("  "), 0);
	(void)end(0, 0, 0, "");
	ck_assert_str_eq(
		am_buf_str(&runner_messages),
		"text {\"text\":\"a \\\"b\\\" \\\\ \\u0001 \xef\xbf\xbd \xc3\xa9 "
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}\n"
		"text {\"text\":\"e\",\"stream\":\"stderr\"}\ntext {\"text\":\"last\"}\ntext {\"text\":\"  \"}\n"
		"result {\"text\":\"last\",\"isError\":false,\"turns\":1,\"durationMs\":5}\n");
}
END_TEST

START_TEST(long_lines_are_several_messages)
{
	static char text[200001];

	start("{\"command\":[\"x\"]}");
	for (size_t i = 0; i < 200000; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	ck_assert_int_eq(runner_line(text), 0);
	size_t n = 0;
	for (const char *p = am_buf_str(&runner_messages); (p = strstr(p, "text {")) != NULL; p++)
		n++;
	ck_assert_uint_eq(n, 4);
	(void)end(0, 0, 0, "");
	/* As a result it is cut, between characters, and says so. */
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\xc3\xa9\\n[cut here: 9900 of 200000 bytes]\",\"isError\""));
	ck_assert_ptr_null(strstr(am_buf_str(&runner_messages), "\xef\xbf\xbd"));
}
END_TEST

START_TEST(outcomes)
{
	static const struct {
		int code, signal_, asked, success, exit_code;
		const char *tail, *reason, *message;
	} rows[] = {
		{0, 0, 0, 1, 0, "", "", ""},
		{1, 0, 0, 0, 1, "a\nboom\n", "AgentFailed", "the command ended with exit code 1: boom"},
		{2, 0, 0, 0, 2, "", "PrerequisiteMissing", "the command ended with exit code 2"},
		{77, 0, 0, 0, 1, "", "AgentFailed", "the command ended with exit code 77"},
		{137, 9, 0, 0, 1, "", "AgentFailed", "the command was killed by signal 9"},
		{143, 15, AMBIENT_ASKED_STOP, 0, 1, "", "AgentStopped", "the command was ended"},
		{0, 0, AMBIENT_ASKED_TIMEOUT, 0, 1, "", "AgentTimeout", "the command was ended"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start("{\"command\":[\"x\"]}");
		struct ambient_outcome o = end(rows[i].code, rows[i].signal_, rows[i].asked, rows[i].tail);

		ck_assert_int_eq(o.success, rows[i].success);
		ck_assert_int_eq(o.exit_code, rows[i].exit_code);
		ck_assert_str_eq(o.reason, rows[i].reason);
		ck_assert_str_eq(o.message, rows[i].message);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, starts_and_ends_its_input);
	tcase_add_test(tc, lines_become_messages);
	tcase_add_test(tc, long_lines_are_several_messages);
	tcase_add_test(tc, outcomes);
}

UNIT_MAIN("runner_command", cases)
