/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "codex" against lines that "codex exec --json" 0.169.0 wrote. */
#include "tests/lib/runner_cli.h"
#include "tests/lib/unit.h"

#define THREAD "{\"type\":\"thread.started\",\"thread_id\":\"01a21aef-2546-7e11-ba14-817ec54fd8a2\"}"
#define USAGE                                                                                                          \
	"{\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":200,\"cached_input_tokens\":60,"                     \
	"\"cache_write_input_tokens\":0,\"output_tokens\":80,\"reasoning_output_tokens\":4}}"

static void
setup(void)
{
	runner_host_reset(&ambient_plugin_v1);
	runner_spawn_out = "codex-cli 0.169.0\n";
}

START_TEST(plans)
{
	ck_assert_str_eq(runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"keys\"}"),
			 "{\"agentEnv\":[{\"name\":\"OPENAI_API_KEY\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"keys\","
			 "\"key\":\"OPENAI_API_KEY\"}}},{\"name\":\"AMBIENT_CODEX\",\"value\":\"codex\"},"
			 "{\"name\":\"AMBIENT_AGENT_IDLE\",\"value\":\"900\"}],\"requiredSecretKeys\":[\"OPENAI_API_KEY\"]}");
	runner_check_refusals("codex", "OPENAI_API_KEY");
}
END_TEST

START_TEST(command_line)
{
	char dir[] = "/tmp/codex-test-XXXXXX", path[200];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	runner_run.statedir = dir;
	runner_check_model();
	runner_run.model = "gpt-5";
	runner_run.resume = "01a21aef-2546-7e11-ba14-817ec54fd8a2";
	runner_start();
	runner_expect_command("arg codex\narg exec\narg --json\narg --skip-git-repo-check\n"
			      "arg --dangerously-bypass-approvals-and-sandbox\n");
	runner_expect_command("base_url=\"https://api.openai.com/v1\"}\narg -m\narg gpt-5\narg -\n");
	(void)runner_end(0, 0, "");
	/* With the thread's file it goes on. */
	(void)snprintf(path, sizeof(path), "mkdir -p %s/codex/sessions/2026/11/27 && touch "
		       "%s/codex/sessions/2026/11/27/rollout-2026-11-27T02-56-50-%s.jsonl", dir, dir, runner_run.resume);
	ck_assert_int_eq(system(path), 0);
	am_buf_reset(&runner_command);
	runner_start();
	runner_expect_command("arg exec\narg resume\narg 01a21aef-2546-7e11-ba14-817ec54fd8a2\narg --json\n");
	(void)runner_end(0, 0, "");
	runner_run.resume = "../*";
	am_buf_reset(&runner_command);
	runner_start();
	runner_expect_command("arg exec\narg --json\n");
	(void)runner_end(0, 0, "");
	(void)snprintf(path, sizeof(path), "rm -rf %s", dir);
	ck_assert_int_eq(system(path), 0);
}
END_TEST

START_TEST(cli_missing_or_too_old)
{
	runner_check_versions("the Codex CLI", "codex", "@openai/codex", "codex-cli 0.99.1\n", "0.99.1", "0.100.0");
}
END_TEST

START_TEST(a_turn)
{
	runner_start();
	runner_lines((const char *const[]){
		THREAD,
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_0\",\"type\":\"error\",\"message\":\"Model metadata for "
		"`gpt-5` not found.\"}}",
		"{\"type\":\"turn.started\"}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_1\",\"type\":\"reasoning\",\"text\":\"hmm\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_2\",\"type\":\"agent_message\",\"text\":\"I will add a "
		"line.\"}}",
		"{\"type\":\"item.started\",\"item\":{\"id\":\"item_3\",\"type\":\"command_execution\",\"command\":"
		"\"/bin/bash -lc 'make'\",\"aggregated_output\":\"\",\"exit_code\":null,\"status\":\"in_progress\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_3\",\"type\":\"command_execution\",\"command\":"
		"\"/bin/bash -lc 'make'\",\"aggregated_output\":\"no\\n\",\"exit_code\":2,\"status\":\"failed\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_4\",\"type\":\"file_change\",\"changes\":[{\"path\":"
		"\"/w/a.c\",\"kind\":\"update\"}],\"status\":\"completed\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"item_5\",\"type\":\"agent_message\",\"text\":\"Done.\"}}",
		USAGE, NULL});
	runner_expect("session {\"state\":\"agent-ready\",\"text\":\"the agent is ready\",\"model\":\"\",\"agentVersion\":"
		      "\"0.169.0\",\"conversation\":"
		      "\"01a21aef-2546-7e11-ba14-817ec54fd8a2\"}\n"
		      "status {\"text\":\"Model metadata for `gpt-5` not found.\"}\n"
		      "thinking {\"text\":\"hmm\"}\n"
		      "text {\"text\":\"I will add a line.\"}\n"
		      "tool_call {\"id\":\"item_3\",\"name\":\"shell\",\"input\":{\"command\":\"/bin/bash -lc 'make'\"}}\n"
		      "tool_result {\"id\":\"item_3\",\"text\":\"no\\n\",\"isError\":true}\n"
		      "tool_call {\"id\":\"item_4\",\"name\":\"edit\",\"input\":{\"changes\":[{\"path\":\"/w/a.c\",\"kind\":"
		      "\"update\"}]}}\n"
		      "tool_result {\"id\":\"item_4\",\"text\":\"completed\",\"isError\":false}\n"
		      "text {\"text\":\"Done.\"}\n");
	ck_assert_int_eq(runner_turns, 1);
	ck_assert_int_eq(runner_end(0, 0, "").success, 1);
	runner_expect("usage {\"inputTokens\":200,\"outputTokens\":80,\"cacheReadTokens\":60,\"cacheWriteTokens\":0}\n"
		      "result {\"text\":\"Done.\",\"isError\":false,\"turns\":1,\"durationMs\":5,\"conversation\":"
		      "\"01a21aef-2546-7e11-ba14-817ec54fd8a2\"}\n");
	ck_assert_str_eq(runner_conversation, "01a21aef-2546-7e11-ba14-817ec54fd8a2");
}
END_TEST

START_TEST(other_items)
{
	runner_start();
	runner_lines((const char *const[]){
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"i1\",\"type\":\"mcp_tool_call\",\"server\":\"lab\",\"tool\":"
		"\"add\",\"arguments\":{\"a\":1},\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"2\"}]},\"status\":"
		"\"completed\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"i2\",\"type\":\"mcp_tool_call\",\"server\":\"lab\",\"tool\":"
		"\"sub\",\"error\":{\"message\":\"gone\"},\"status\":\"failed\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"i3\",\"type\":\"web_search\",\"query\":\"c\"}}",
		"{\"type\":\"item.completed\",\"item\":{\"id\":\"i4\",\"type\":\"todo_list\",\"items\":[]}}", NULL});
	runner_expect("tool_call {\"id\":\"i1\",\"name\":\"lab/add\",\"input\":{\"a\":1}}\n"
		      "tool_result {\"id\":\"i1\",\"text\":\"2\",\"isError\":false}\n"
		      "tool_call {\"id\":\"i2\",\"name\":\"lab/sub\",\"input\":{}}\n"
		      "tool_result {\"id\":\"i2\",\"text\":\"gone\",\"isError\":true}\n"
		      "tool_call {\"id\":\"i3\",\"name\":\"web_search\",\"input\":{\"query\":\"c\"}}\n"
		      "tool_result {\"id\":\"i3\",\"text\":\"\",\"isError\":false}\n");
	(void)runner_end(1, 0, "");
}
END_TEST

static const struct runner_end_row rows[] = {
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"We\u2019re currently experiencing high demand, which may cause "
	 "temporary errors.\"}}",
	 1, 0, "", "ModelUnavailable"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"Selected model is at capacity. Please try a different model.\"}}", 1, 0, "",
	 "ModelUnavailable"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"Quota exceeded. Check your plan and billing details.\"}}", 1, 0, "",
	 "ModelRateLimited"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"unexpected status 401 Unauthorized: invalid x-api-key, url: "
	 "http://127.0.0.1:39101/v1/responses\"}}",
	 1, 0, "", "ModelAuthenticationFailed"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"exceeded retry limit, last status: 429 Too Many Requests\"}}", 1,
	 0, "", "ModelRateLimited"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"unexpected status 503 Service Unavailable: away, url: "
	 "http://127.0.0.1:39101/v1/responses\"}}",
	 1, 0, "", "ModelUnavailable"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"{\\\"error\\\": {\\\"message\\\": \\\"not like this\\\", "
	 "\\\"type\\\": \\\"invalid_request_error\\\"}}\"}}",
	 1, 0, "", "ModelRequestRejected"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"stream disconnected before completion: Transport error: network "
	 "error: error decoding response body\"}}",
	 1, 0, "", "ModelUnreachable"},
	{"{\"type\":\"turn.failed\",\"error\":{\"message\":\"something else\"}}", 1, 0, "", "AgentFailed"},
	{"{\"type\":\"turn.failed\"}", 1, 0, "", "AgentFailed"},
	RUNNER_COMMON_ENDS(USAGE),
};

START_TEST(ends_are_told_apart)
{
	runner_check_end(&rows[_i]);
}
END_TEST

START_TEST(what_is_not_known_is_ignored)
{
	runner_check_ignores((const char *const[]){"{\"type\":\"item.updated\",\"item\":{\"type\":\"todo_list\"}}",
						   "{\"type\":\"item.completed\"}", "{\"type\":\"item.completed\",\"item\":7}",
						   "{\"type\":\"thread.started\"}", NULL});
}
END_TEST

START_TEST(a_chat_goes_on_after_a_turn)
{
	runner_check_turns(USAGE);
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
	tcase_add_test(tc, other_items);
	tcase_add_loop_test(tc, ends_are_told_apart, 0, (int)AM_COUNTOF(rows));
	tcase_add_test(tc, what_is_not_known_is_ignored);
}

UNIT_MAIN("runner_codex", cases)
