/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "opencode" against lines that "opencode run --format json" 1.18.33 wrote. */
#include "tests/lib/runner_cli.h"
#include "tests/lib/unit.h"

#define STEP(REASON)                                                                                                   \
	"{\"type\":\"step_finish\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"step-finish\",\"reason\":\"" REASON    \
	"\",\"tokens\":{\"total\":190,\"input\":100,\"output\":40,\"reasoning\":0,\"cache\":{\"write\":20,\"read\":30}}," \
	"\"cost\":0.000984}}"
#define FAILED(DATA) "{\"type\":\"error\",\"sessionID\":\"ses_1\",\"error\":{\"name\":\"APIError\",\"data\":{" DATA "}}}"

static void
setup(void)
{
	runner_host_reset(&ambient_plugin_v1);
	runner_spawn_out = "1.18.33\n";
}

START_TEST(plans)
{
	const char *text = runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"keys\",\"model\":\"openai/gpt-5\"}");

	ck_assert_ptr_nonnull(strstr(text, "\"secretKeyRef\":{\"name\":\"keys\",\"key\":\"OPENAI_API_KEY\"}"));
	ck_assert_ptr_nonnull(strstr(text, "\"requiredSecretKeys\":[\"OPENAI_API_KEY\"]"));
	text = runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"k\",\"model\":\"openai/gpt-5\",\"temperature\":0.3,\"maxTokens\":9}");
	ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"AMBIENT_TEMPERATURE\",\"value\":\"0.3000\"},{\"name\":\"AMBIENT_MAX_TOKENS\","
					   "\"value\":\"9\"}],\"honours\":[\"temperature\",\"maxTokens\"]"));
	runner_check_refusals("opencode", "ANTHROPIC_API_KEY");
	static const char *const models[] = {"", "gpt-5", "nobody/gpt-5", "openai/", "/gpt-5"};
	for (size_t i = 0; i < AM_COUNTOF(models); i++) {
		char effective[100];

		(void)snprintf(effective, sizeof(effective), "{\"secretName\":\"keys\",\"model\":\"%s\"}", models[i]);
		ck_assert_str_eq(runner_plan_text("{\"spec\":{}}", effective),
				 "problems: [{\"field\":\"spec.model\",\"message\":\"must be PROVIDER/MODEL, such as "
				 "anthropic/claude-sonnet-4-5, with one of the providers anthropic, openai, google, mistral, "
				 "openrouter, groq, xai, deepseek\"}]");
	}
}
END_TEST

START_TEST(command_line)
{
	runner_check_model();
	runner_run.model = "anthropic/claude-sonnet-4-5";
	runner_run.resume = "ses_de50727d4ffengMvb9uNrliVhF";
	ck_assert_int_eq(setenv("AMBIENT_OPENCODE_BASE_URL", "http://h/v1", 1), 0);
	runner_start();
	runner_expect_command("arg opencode\narg run\narg --format\narg json\narg --pure\narg --model\narg "
			      "anthropic/claude-sonnet-4-5\narg --session\narg ses_de50727d4ffengMvb9uNrliVhF\n");
	runner_expect_command("env OPENCODE_CONFIG_CONTENT={\"permission\":\"allow\",\"share\":\"disabled\",\"autoupdate\":false,"
			      "\"provider\":{\"anthropic\":{\"options\":{\"baseURL\":\"http://h/v1\"}}}}\n");
	runner_expect_command("env OPENCODE_DISABLE_PROJECT_CONFIG=1\n");
	runner_expect_command("env XDG_DATA_HOME=/nonexistent/opencode/data\n");
	(void)runner_end(0, 0, "");
	/* llmSettings, as the plan hands them on; what is no number goes nowhere. */
	static const struct {
		const char *value, *config, *tokens;
	} settings[] = {{"0.3000", ",\"agent\":{\"build\":{\"temperature\":0.3000}}}\n", "env OPENCODE_EXPERIMENTAL_OUTPUT_TOKEN_MAX=0.3000\n"},
			{"", "\"http://h/v1\"}}}}\n", NULL}, {"1,\"x\":1", "\"http://h/v1\"}}}}\n", NULL}};
	for (size_t i = 0; i < AM_COUNTOF(settings); i++) {
		ck_assert_int_eq(setenv("AMBIENT_TEMPERATURE", settings[i].value, 1), 0);
		ck_assert_int_eq(setenv("AMBIENT_MAX_TOKENS", settings[i].value, 1), 0);
		am_buf_reset(&runner_command);
		runner_start();
		runner_expect_command(settings[i].config);
		ck_assert_int_eq(strstr(am_buf_str(&runner_command), "OUTPUT_TOKEN_MAX") != NULL, settings[i].tokens != NULL);
		(void)runner_end(0, 0, "");
	}
	/* The conversation of another type's run is none that could be continued. */
	runner_run.resume = "01a21aef-2546-7e11-ba14-817ec54fd8a2";
	am_buf_reset(&runner_command);
	runner_start();
	ck_assert_ptr_null(strstr(am_buf_str(&runner_command), "--session"));
	(void)runner_end(0, 0, "");
}
END_TEST

START_TEST(cli_missing_or_too_old)
{
	runner_check_versions("the opencode CLI", "opencode", "opencode-ai", "0.15.2\n", "0.15.2", "1.0.0");
}
END_TEST

START_TEST(a_turn)
{
	runner_start();
	runner_lines((const char *const[]){
		"{\"type\":\"step_start\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"step-start\"}}",
		"{\"type\":\"text\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"text\",\"text\":\"I will add a line.\"}}",
		"{\"type\":\"tool_use\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"tool\",\"tool\":\"bash\",\"callID\":\"toolu_1\","
		"\"state\":{\"status\":\"completed\",\"input\":{\"command\":\"exit 3\"},\"output\":\"(no output)\",\"metadata\":"
		"{\"exit\":3}}}}",
		"{\"type\":\"tool_use\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"tool\",\"tool\":\"read\",\"callID\":\"toolu_2\","
		"\"state\":{\"status\":\"error\",\"input\":{},\"error\":\"no such file\"}}}",
		STEP("tool-calls"),
		"{\"type\":\"reasoning\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"reasoning\",\"text\":\"hm\"}}",
		"{\"type\":\"text\",\"sessionID\":\"ses_1\",\"part\":{\"type\":\"text\",\"text\":\"Done.\"}}", STEP("stop"), NULL});
	runner_expect("session {\"state\":\"agent-ready\",\"text\":\"the agent is ready\",\"model\":\"\",\"agentVersion\":"
		      "\"1.18.33\",\"conversation\":"
		      "\"ses_1\"}\n"
		      "text {\"text\":\"I will add a line.\"}\n"
		      "tool_call {\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{\"command\":\"exit 3\"}}\n"
		      "tool_result {\"id\":\"toolu_1\",\"text\":\"(no output)\",\"isError\":true}\n"
		      "tool_call {\"id\":\"toolu_2\",\"name\":\"read\",\"input\":{}}\n"
		      "tool_result {\"id\":\"toolu_2\",\"text\":\"no such file\",\"isError\":true}\n"
		      "thinking {\"text\":\"hm\"}\n"
		      "text {\"text\":\"Done.\"}\n");
	ck_assert_int_eq(runner_turns, 1);
	ck_assert_int_eq(runner_end(0, 0, "").success, 1);
	runner_expect("usage {\"inputTokens\":200,\"outputTokens\":80,\"cacheReadTokens\":60,\"cacheWriteTokens\":40,\"costUSD\":"
		      "0.001968}\n"
		      "result {\"text\":\"Done.\",\"isError\":false,\"turns\":2,\"durationMs\":5,\"costUSD\":0.001968,"
		      "\"conversation\":\"ses_1\"}\n");
}
END_TEST

START_TEST(the_cost_is_that_of_all_turns)
{
	runner_run.interactive = 1;
	for (int i = 0; i < 2; i++) {
		am_buf_reset(&runner_messages);
		runner_start();
		ck_assert_int_eq(runner_line(STEP("stop")), 0);
		ck_assert_int_eq(runner_end(0, 0, "").success, 1);
	}
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"inputTokens\":100,"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"costUSD\":0.001968}"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"turns\":2,\"durationMs\":5,\"costUSD\":0.001968,"));
}
END_TEST

static const struct runner_end_row rows[] = {
	{FAILED("\"message\":\"invalid x-api-key\",\"statusCode\":401,\"isRetryable\":false"), 1, 0, "", "ModelAuthenticationFailed"},
	{FAILED("\"message\":\"not like this\",\"statusCode\":400"), 1, 0, "", "ModelRequestRejected"},
	{FAILED("\"message\":\"slow down\",\"statusCode\":429"), 1, 0, "", "ModelRateLimited"},
	{FAILED("\"message\":\"away\",\"statusCode\":503"), 1, 0, "", "ModelUnavailable"},
	{FAILED("\"message\":\"Unable to connect\""), 1, 0, "", "ModelUnreachable"},
	{"{\"type\":\"error\",\"error\":{\"name\":\"UnknownError\"}}", 1, 0, "", "AgentFailed"},
	RUNNER_COMMON_ENDS(STEP("stop")),
	{STEP("tool-calls"), 0, 0, "", "AgentNotStarted"}, /* the end never came */
};

START_TEST(ends_are_told_apart)
{
	runner_check_end(&rows[_i]);
}
END_TEST

START_TEST(a_timeout_says_what_the_api_said)
{
	runner_start();
	ck_assert_int_eq(runner_line(FAILED("\"message\":\"slow down\",\"statusCode\":429")), 0);
	ck_assert_str_eq(runner_end(143, AMBIENT_ASKED_TIMEOUT, "").message,
			 "the agent was ended because of a timeout; it said last: slow down");
}
END_TEST

START_TEST(what_is_not_known_is_ignored)
{
	runner_check_ignores((const char *const[]){"{\"type\":\"text\"}", "{\"type\":\"step_start\",\"part\":7}", NULL});
}
END_TEST

START_TEST(a_chat_goes_on_after_a_turn)
{
	runner_check_turns(STEP("stop"));
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, command_line);
	tcase_add_test(tc, cli_missing_or_too_old);
	tcase_add_test(tc, a_chat_goes_on_after_a_turn);
	tcase_add_test(tc, a_turn);
	tcase_add_test(tc, the_cost_is_that_of_all_turns);
	tcase_add_loop_test(tc, ends_are_told_apart, 0, (int)AM_COUNTOF(rows));
	tcase_add_test(tc, a_timeout_says_what_the_api_said);
	tcase_add_test(tc, what_is_not_known_is_ignored);
}

UNIT_MAIN("runner_opencode", cases)
