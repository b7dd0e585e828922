/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "gemini-cli" against lines that the Gemini CLI 0.61.0 wrote. */
#include "tests/lib/runner_cli.h"
#include "tests/lib/unit.h"

#include "core/base/file.h"

#define STATS                                                                                                          \
	"\"stats\":{\"total_tokens\":280,\"input_tokens\":200,\"output_tokens\":80,\"cached\":60,\"input\":140,"       \
	"\"duration_ms\":1645,\"tool_calls\":1}"
#define DONE "{\"type\":\"result\",\"status\":\"success\"," STATS "}"
#define FAILED(TEXT)                                                                                                   \
	"{\"type\":\"result\",\"status\":\"error\",\"error\":{\"type\":\"unknown\",\"message\":\"[API Error: " TEXT "]\"}," STATS "}"

static char dir[64];

static void
setup(void)
{
	runner_host_reset(&ambient_plugin_v1);
	runner_spawn_out = "0.61.0\n";
	(void)snprintf(dir, sizeof(dir), "/tmp/gemini-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	runner_run.statedir = dir;
}

static void
teardown(void)
{
	(void)am_remove_tree(dir, NULL);
}

START_TEST(plans)
{
	const char *text = runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"keys\"}");

	ck_assert_ptr_nonnull(strstr(text, "\"secretKeyRef\":{\"name\":\"keys\",\"key\":\"GEMINI_API_KEY\"}"));
	ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"AMBIENT_GEMINI\",\"value\":\"gemini\"}"));
	ck_assert_ptr_nonnull(strstr(text, "\"requiredSecretKeys\":[\"GEMINI_API_KEY\"]"));
	runner_check_refusals("gemini-cli", "GEMINI_API_KEY");
}
END_TEST

START_TEST(command_line)
{
	char path[400];

	runner_check_model();
	runner_run.model = "gemini-2.5-pro";
	runner_run.resume = "11111111-2222-4333-8444-555555555555";
	runner_start();
	runner_expect_command("arg gemini\narg --output-format\narg stream-json\narg --approval-mode\narg yolo\n");
	runner_expect_command("arg --allowed-mcp-server-names\narg none\narg --extensions\narg none\narg --model\narg gemini-2.5-pro\n");
	/* Settings that a former run left are not kept, nor written through a link. */
	(void)snprintf(path, sizeof(path),
		       "cd %s/home/.gemini && ls settings.json && echo keep >../kept && ln -sf ../kept settings.json && mkdir -p "
		       "tmp/w/chats && touch tmp/w/chats/session-2026-11-27T03-02-11111111.jsonl", dir);
	ck_assert_int_eq(system(path), 0);
	(void)runner_end(0, 0, "");
	am_buf_reset(&runner_command);
	runner_start();
	runner_expect_command("arg --resume\narg 11111111-2222-4333-8444-555555555555\n");
	(void)snprintf(path, sizeof(path), "cd %s/home && grep -q keep kept && grep -q gemini-api-key .gemini/settings.json && "
		       "! grep -q modelConfigs .gemini/settings.json", dir);
	ck_assert_int_eq(system(path), 0);
	(void)runner_end(0, 0, "");
	/* llmSettings, as the plan hands them on. */
	ck_assert_int_eq(setenv("AMBIENT_MAX_TOKENS", "77", 1), 0);
	runner_start();
	(void)snprintf(path, sizeof(path), "grep -qF '\"generateContentConfig\":{\"maxOutputTokens\":77}}}]}}' %s/home/.gemini/settings.json", dir);
	ck_assert_int_eq(system(path), 0);
	(void)runner_end(0, 0, "");
	ck_assert_int_eq(unsetenv("AMBIENT_MAX_TOKENS"), 0);
}
END_TEST

START_TEST(cli_missing_or_too_old)
{
	runner_check_versions("the Gemini CLI", "gemini", "@google/gemini-cli", "0.9.0\n", "0.9.0", "0.50.0");
}
END_TEST

START_TEST(a_turn)
{
	runner_start();
	runner_lines((const char *const[]){
		"{\"type\":\"init\",\"timestamp\":\"t\",\"session_id\":\"d47f0689-c65d-459a-ba5f-8ab66ed82724\",\"model\":"
		"\"gemini-2.5-pro\"}",
		"{\"type\":\"message\",\"role\":\"user\",\"content\":\"please\"}",
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"I wr\",\"delta\":true}",
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"ite.\",\"delta\":true}",
		"{\"type\":\"tool_use\",\"tool_name\":\"write_file\",\"tool_id\":\"w1\",\"parameters\":{\"file_path\":\"new.txt\"}}",
		"{\"type\":\"tool_result\",\"tool_id\":\"w1\",\"status\":\"success\"}",
		"{\"type\":\"tool_use\",\"tool_name\":\"run_shell_command\",\"tool_id\":\"r1\",\"parameters\":{\"command\":\"x\"}}",
		"{\"type\":\"tool_result\",\"tool_id\":\"r1\",\"status\":\"error\",\"output\":\"no\",\"error\":{\"message\":\"bad\"}}",
		"{\"type\":\"message\",\"role\":\"assistant\",\"content\":\"Written.\",\"delta\":true}", DONE, NULL});
	runner_expect("session {\"state\":\"agent-ready\",\"text\":\"the agent is ready\",\"model\":\"gemini-2.5-pro\","
		      "\"agentVersion\":\"0.61.0\",\"conversation\":\"d47f0689-c65d-459a-ba5f-8ab66ed82724\"}\n"
		      "partial {\"text\":\"I wr\",\"index\":0}\n"
		      "partial {\"text\":\"ite.\",\"index\":0}\n"
		      "text {\"text\":\"I write.\"}\n"
		      "tool_call {\"id\":\"w1\",\"name\":\"write_file\",\"input\":{\"file_path\":\"new.txt\"}}\n"
		      "tool_result {\"id\":\"w1\",\"text\":\"\",\"isError\":false}\n"
		      "tool_call {\"id\":\"r1\",\"name\":\"run_shell_command\",\"input\":{\"command\":\"x\"}}\n"
		      "tool_result {\"id\":\"r1\",\"text\":\"bad\",\"isError\":true}\n"
		      "partial {\"text\":\"Written.\",\"index\":0}\n"
		      "text {\"text\":\"Written.\"}\n");
	ck_assert_int_eq(runner_end(0, 0, "").success, 1);
	runner_expect("usage {\"inputTokens\":200,\"outputTokens\":80,\"cacheReadTokens\":60,\"cacheWriteTokens\":0}\n"
		      "result {\"text\":\"Written.\",\"isError\":false,\"turns\":1,\"durationMs\":5,\"conversation\":"
		      "\"d47f0689-c65d-459a-ba5f-8ab66ed82724\"}\n");
}
END_TEST

static const struct runner_end_row rows[] = {
	{FAILED("{\\\"error\\\":{\\\"code\\\":401,\\\"message\\\":\\\"invalid x-api-key\\\"}}"), 145, 0, "",
	 "ModelAuthenticationFailed"},
	{FAILED("not like this"), 144, 0, "", "ModelRequestRejected"},
	{FAILED("slow down"), 173, 0, "", "ModelRateLimited"},
	{FAILED("away"), 247, 0, "", "ModelUnavailable"},
	{FAILED("terminated"), 1, 0, "", "ModelUnreachable"},
	{FAILED("models/x is not found"), 1, 0, "Warning: x\nError when talking to Gemini API Full report available at: /tmp/r.json "
	 "ModelNotFoundError: models/x is not found\n    at f (file)\n", "ModelNotFound"},
	{FAILED("quota"), 1, 0, "Error when talking to Gemini API Full report available at: /tmp/r.json TerminalQuotaError: quota\n",
	 "ModelRateLimited"},
	{FAILED("terminated"), 1, 0, "Attempt 1 failed: RetryableQuotaError: wait\nError when talking to Gemini API Full report "
	 "available at: /tmp/r.json TypeError: terminated\n", "ModelUnreachable"},
	{"", 41, 0, "Invalid auth method selected.\n", "ModelAuthenticationFailed"},
	{"", 53, 0, "", "MaxTurnsReached"},
	{"{\"type\":\"result\",\"status\":\"error\"}", 1, 0, "", "AgentFailed"},
	RUNNER_COMMON_ENDS(DONE),
};

START_TEST(ends_are_told_apart)
{
	runner_check_end(&rows[_i]);
}
END_TEST

START_TEST(what_is_not_known_is_ignored)
{
	runner_check_ignores((const char *const[]){"{\"type\":\"message\",\"role\":\"assistant\"}", "{\"type\":\"init\"}", NULL});
}
END_TEST

START_TEST(a_chat_goes_on_after_a_turn)
{
	runner_check_turns(DONE);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, command_line);
	tcase_add_test(tc, cli_missing_or_too_old);
	tcase_add_test(tc, a_chat_goes_on_after_a_turn);
	tcase_add_test(tc, a_turn);
	tcase_add_loop_test(tc, ends_are_told_apart, 0, (int)AM_COUNTOF(rows));
	tcase_add_test(tc, what_is_not_known_is_ignored);
}

UNIT_MAIN("runner_gemini_cli", cases)
