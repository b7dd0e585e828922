/* SPDX-License-Identifier: Apache-2.0 */
/* Runner type "claude-code" against lines in the shapes that the CLI writes (claude-cli.md 4-7, 10). */
#include "tests/lib/runner_host.h"
#include "tests/lib/unit.h"

#include <unistd.h>

static void
setup(void)
{
	runner_host_reset(&ambient_plugin_v1);
	runner_spawn_out = "2.1.330 (Claude Code)\n";
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
end(int code, int asked, const char *tail)
{
	struct ambient_exit e = {.size = sizeof(e), .code = code, .asked = asked, .stderr_tail = tail};
	struct ambient_outcome o = {.size = sizeof(o)};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &e, &o, &err), 0);
	return o;
}

static void
expect(const char *want)
{
	ck_assert_str_eq(am_buf_str(&runner_messages), want);
	am_buf_reset(&runner_messages);
}

#define INIT                                                                                                           \
	"{\"type\":\"system\",\"subtype\":\"init\",\"cwd\":\"/"                                                        \
	"w\",\"session_id\":\"0a0b\",\"tools\":[\"Bash\"],\"mcp_servers\":[{"                                          \
	"\"name\":\"lab\",\"status\":\"failed\"},{\"name\":\"ok\",\"status\":\"connected\"}],\"model\":\"m1\","        \
	"\"permissionMode\":"                                                                                          \
	"\"acceptEdits\",\"claude_code_version\":\"2.1.330\"}"

START_TEST(plans)
{
	ck_assert_str_eq(runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"keys\"}"),
			 "{\"agentEnv\":[{\"name\":\"ANTHROPIC_API_KEY\",\"valueFrom\":{\"secretKeyRef\":{\"name\":"
			 "\"keys\",\"key\":"
			 "\"ANTHROPIC_API_KEY\"}}},{\"name\":\"AMBIENT_CLAUDE\",\"value\":\"claude\"},{\"name\":"
			 "\"AMBIENT_AGENT_IDLE\","
			 "\"value\":\"900\"}],\"honours\":[\"maxTokens\",\"mcpServers\"],\"requiredSecretKeys\":[\"ANTHROPIC_API_KEY\"]}");
	runner_base_url = "http://h";
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"k\"}"),
				     "{\"name\":\"ANTHROPIC_BASE_URL\",\"value\":\"http://h\"}"));
	runner_base_url = NULL;
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"k\",\"maxTokens\":4000}"),
				     "{\"name\":\"CLAUDE_CODE_MAX_OUTPUT_TOKENS\",\"value\":\"4000\"}"));
	const char *text = runner_plan_text("{\"spec\":{}}", "{}");
	ck_assert_ptr_eq(strstr(text, "problems: [{\"field\":\"spec.anthropicApiKeySecret\""), text);
}
END_TEST

START_TEST(command_line)
{
	runner_run.model = "opus";
	start("{\"maxTurns\":700000}");
	const char *text = am_buf_str(&runner_command);
	static const char *const parts[] = {
		("arg claude\narg -p\narg --input-format\narg stream-json\narg --output-format\narg stream-json\narg "
		 "--verbose\n"),
		"arg --permission-prompt-tool\narg stdio\n",
		"arg --model\narg opus\n",
		"arg --session-id\n",
		"arg --max-turns\narg 700000\n",
		"arg --add-dir\narg /w/workspace/other\narg --add-dir\narg /w/workspace/artifacts\n",
		"env CLAUDE_CONFIG_DIR=/nonexistent\n",
		"env DISABLE_TELEMETRY=1\n",
		"unset CLAUDECODE\n",
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(strstr(text, parts[i]) != NULL, "%s not in %s", parts[i], text);
	ck_assert_ptr_null(strstr(text, "--resume"));
	(void)end(0, 0, "");
}
END_TEST

static const struct {
	const char *config, *field, *part; /* of the refusal; NULL: none */
} settings[] = {
	{"'maxTurns':3,'maxTokens':1000,'maxBudgetUSD':0.5,'permissions':'ask','allowedTools':['Read'],'appendSystemPrompt':'x'",
	 NULL, NULL},
	{"'maxTurns':0", "maxTurns", "above 0"},
	{"'maxTokens':'many'", "maxTokens", "above 0"},
	{"'maxBudgetUSD':-1", "maxBudgetUSD", "above 0"},
	{"'permissions':'never'", "permissions", "\\\"ask\\\" or \\\"allow\\\""},
	{"'allowedTools':'Read'", "allowedTools", "must be a list"},
	{"'disallowedTools':[7]", "disallowedTools", "list of strings"},
	{"'appendSystemPrompt':7", "appendSystemPrompt", "must be a text"},
	{"'maxturns':7", "maxturns", "is no setting"},
};

static const char *
quoted(const char *text)
{
	static char out[1000];
	size_t n = strlen(text);

	ck_assert_uint_lt(n, sizeof(out));
	for (size_t i = 0; i <= n; i++)
		out[i] = text[i] == '\'' ? '"' : text[i];
	return out;
}

START_TEST(settings_are_checked)
{
	char spec[600], want[200];

	(void)snprintf(spec, sizeof(spec), "{'spec':{'runnerConfig':{%s}}}", settings[_i].config);
	const char *text = runner_plan_text(quoted(spec), "{\"secretName\":\"k\",\"interactive\":true}");
	if (settings[_i].field == NULL) {
		ck_assert_msg(strncmp(text, "{\"agentEnv\":[{", 14) == 0, "%s", text);
		return;
	}
	(void)snprintf(want, sizeof(want), "problems: [{\"field\":\"spec.runnerConfig.%s\",\"message\":\"", settings[_i].field);
	ck_assert_msg(strncmp(text, want, strlen(want)) == 0 && strstr(text, settings[_i].part) != NULL, "%s", text);
}
END_TEST

START_TEST(who_asks_needs_a_person)
{
	static const char ask[] = "{\"spec\":{\"runnerConfig\":{\"permissions\":\"ask\"}}}", *const refusal =
		"problems: [{\"field\":\"spec.runnerConfig.permissions\",\"message\":\"is \\\"ask\\\", which needs a person";

	ck_assert_ptr_nonnull(strstr(runner_plan_text(ask, "{\"secretName\":\"k\",\"interactive\":false}"), refusal));
	ck_assert_ptr_nonnull(strstr(runner_plan_text("{\"spec\":{\"stopOnRunFinished\":true,\"runnerConfig\":{\"permissions\":\"ask\"}}}",
						      "{\"secretName\":\"k\",\"interactive\":true}"), refusal));
	ck_assert_ptr_null(strstr(runner_plan_text(ask, "{\"secretName\":\"k\",\"interactive\":true}"), "problems"));
}
END_TEST

START_TEST(mcp_servers_are_the_projects_and_the_sessions)
{
	runner_plan_settings = quoted("{'spec':{'mcpServers':{'custom':{'a':{'command':'pa'},'b':{'command':'pb'},'c':{'url':'u'},"
				      "'d':{'command':'pd'}},'disabled':['d']}}}");
	const char *text = runner_plan_text("{\"spec\":{\"mcpServers\":{\"custom\":{\"a\":{\"command\":\"sa\"}},\"disabled\":[\"c\"]}}}",
					    "{\"secretName\":\"k\"}");
	ck_assert_msg(strstr(text, "{\"name\":\"AMBIENT_CLAUDE_MCP\",\"value\":\"{\\\"mcpServers\\\":{\\\"b\\\":{\\\"command\\\":"
				   "\\\"pb\\\"},\\\"a\\\":{\\\"command\\\":\\\"sa\\\"}}}\"}") != NULL, "%s", text);
	runner_plan_settings = NULL;
	text = runner_plan_text("{\"spec\":{\"mcpServers\":{\"custom\":{\"a\":{\"args\":[]}}}}}", "{\"secretName\":\"k\"}");
	ck_assert_str_eq(text, "problems: [{\"field\":\"spec.mcpServers.custom.a\",\"message\":\"must have a command or a url\"}]");
}
END_TEST

START_TEST(bedrock_and_vertex_by_environment)
{
	const char *text = runner_plan_text("{\"spec\":{\"environmentVariables\":{\"CLAUDE_CODE_USE_BEDROCK\":\"1\"}}}",
					    "{\"secretName\":\"k\"}");
	ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"AWS_ACCESS_KEY_ID\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"k\",\"key\":"
					   "\"AWS_ACCESS_KEY_ID\",\"optional\":true}}}"));
	ck_assert_ptr_null(strstr(text, "ANTHROPIC_API_KEY"));
	text = runner_plan_text("{\"spec\":{\"environmentVariables\":{\"CLAUDE_CODE_USE_VERTEX\":\"true\"}}}", "{\"secretName\":\"k\"}");
	ck_assert_ptr_nonnull(strstr(text, "{\"name\":\"GOOGLE_APPLICATION_CREDENTIALS\",\"value\":\"/run/secrets/vertex/key.json\"}"));
	ck_assert_ptr_nonnull(strstr(text, "\"requiredSecretKeys\":[\"GOOGLE_APPLICATION_CREDENTIALS\"]"));
	ck_assert_ptr_null(strstr(text, "ANTHROPIC_API_KEY"));
	text = runner_plan_text("{\"spec\":{\"environmentVariables\":{\"CLAUDE_CODE_USE_VERTEX\":\"0\"}}}", "{\"secretName\":\"k\"}");
	ck_assert_ptr_nonnull(strstr(text, "\"requiredSecretKeys\":[\"ANTHROPIC_API_KEY\"]"));
}
END_TEST

START_TEST(settings_become_arguments)
{
	char dir[] = "/tmp/claude-test-XXXXXX", path[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	runner_run.tmpdir = dir;
	ck_assert_int_eq(setenv("AMBIENT_CLAUDE_MCP", "{\"mcpServers\":{}}", 1), 0);
	start("{\"maxBudgetUSD\":0.25,\"appendSystemPrompt\":\"be brief\",\"allowedTools\":[\"Read\",\"Bash(git log *)\"],"
	      "\"disallowedTools\":[\"WebFetch\"]}");
	static const char *const parts[] = {
		"arg --max-budget-usd\narg 0.250000000\n", "arg --append-system-prompt\narg be brief\n",
		"arg --allowedTools=Read\narg --allowedTools=Bash(git log *)\narg --disallowedTools=WebFetch\n",
		"unset AMBIENT_CLAUDE_MCP\narg --mcp-config\narg /tmp/claude-test-",
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		ck_assert_msg(strstr(am_buf_str(&runner_command), parts[i]) != NULL, "%s not in %s", parts[i],
			      am_buf_str(&runner_command));
	(void)snprintf(path, sizeof(path), "%s/mcp.json", dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(unsetenv("AMBIENT_CLAUDE_MCP"), 0);
	(void)end(0, 0, "");
}
END_TEST

START_TEST(a_limit_of_tokens_ends_the_turn)
{
	start("{\"maxTokens\":180}");
	(void)runner_line("{\"type\":\"stream_event\",\"event\":{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":100,"
			  "\"cache_creation_input_tokens\":20,\"cache_read_input_tokens\":30}}}}");
	ck_assert_str_eq(am_buf_str(&runner_input), "");
	(void)runner_line("{\"type\":\"stream_event\",\"event\":{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":40}}}");
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input), "\"subtype\":\"interrupt\""));
	expect("status {\"text\":\"the limit of tokens is reached; the turn is ended\"}\n");
	am_buf_reset(&runner_input);
	(void)runner_line("{\"type\":\"stream_event\",\"event\":{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":40}}}");
	ck_assert_str_eq(am_buf_str(&runner_input), ""); /* once */
	(void)runner_line("{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}");
	struct ambient_outcome o = end(0, 0, "");
	ck_assert_int_eq(o.success, 0);
	ck_assert_str_eq(o.reason, "TokensExhausted");
	ck_assert_str_eq(o.message, "the run took more than the 180 tokens of spec.runnerConfig.maxTokens");
}
END_TEST

START_TEST(a_model_that_is_a_flag_is_refused)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_run.model = "--yolo";
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "spec.model: \"--yolo\" is no name of a model");
	ck_assert_ptr_null(runner_run.slot);
}
END_TEST

START_TEST(cli_missing_or_too_old)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_spawn_out = NULL;
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err),
			 -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(
		err.message,
		"the Claude Code CLI is missing: there is no program \"claude\"; install it into the runner's image "
		"with \"npm install -g @anthropic-ai/claude-code\"");
	runner_spawn_out = "1.0.88 (Claude Code)\n";
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err),
			 -AMBIENT_E_UNSUPPORTED);
	ck_assert_str_eq(err.message,
			 "the Claude Code CLI is too old: \"claude\" is version 1.0.88, at least 2.0.0 is needed");
	runner_spawn_out = "hello\n";
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err),
			 -AMBIENT_E_UNSUPPORTED);
}
END_TEST

START_TEST(a_turn)
{
	start("{}");
	ck_assert_int_eq(runner_line(INIT), 0);
	ck_assert_int_eq(runner_line(INIT), 0); /* repeated at every turn, said once */
	ck_assert_str_eq(runner_conversation, "0a0b");
	expect("session {\"state\":\"agent-ready\",\"text\":\"the agent is "
	       "ready\",\"model\":\"m1\",\"agentVersion\":\"2.1.330\","
	       "\"permissionMode\":\"acceptEdits\",\"conversation\":\"0a0b\"}\n"
	       "status {\"text\":\"MCP server \\\"lab\\\" is not usable: failed\"}\n");
	(void)runner_line("{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"index\":1,"
			  "\"delta\":{\"type\":\"text_delta\","
			  "\"text\":\"I w\"}},\"session_id\":\"0a0b\"}");
	(void)runner_line("{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"index\":1,"
			  "\"delta\":{\"type\":"
			  "\"input_json_delta\",\"partial_json\":\"{\"}}}");
	expect("partial {\"text\":\"I w\",\"index\":1}\n");
	/* One line per content block; the order of members is nothing to rely on. */
	(void)runner_line("{\"message\":{\"id\":\"m\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
			  "\"signature\":\"x\"}]},\"type\":"
			  "\"assistant\"}");
	(void)runner_line("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I "
			  "will\\n\"}]},\"parent_tool_use_id\":null}");
	(void)runner_line("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\","
			  "\"name\":\"Bash\",\"input\":{"
			  "\"command\":\"ls\",\"n\":1.0}}]},\"parent_tool_use_id\":\"p1\"}");
	expect("thinking {\"text\":\"hm\"}\ntext {\"text\":\"I will\\n\"}\n"
	       "tool_call "
	       "{\"id\":\"t1\",\"name\":\"Bash\",\"input\":{\"command\":\"ls\",\"n\":1.0},\"parent\":\"p1\"}\n");
	(void)runner_line("{\"type\":\"user\",\"message\":{\"content\":[{\"tool_use_id\":\"t1\",\"type\":\"tool_"
			  "result\",\"content\":\"out\"}]}}");
	(void)runner_line(
		"{\"type\":\"user\",\"message\":{\"content\":[{\"tool_use_id\":\"t2\",\"type\":\"tool_result\",\"is_"
		"error\":true,\"content\":["
		"{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"b\"}]}]}}");
	(void)runner_line(
		"{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"a person's\"}]}}");
	(void)runner_line("{\"type\":\"user\",\"isSynthetic\":true,\"message\":{\"content\":[{\"type\":\"text\","
			  "\"text\":\"resume\"}]}}");
	expect("tool_result {\"id\":\"t1\",\"text\":\"out\",\"isError\":false}\n"
	       "tool_result {\"id\":\"t2\",\"text\":\"a[not text]b\",\"isError\":true}\nstatus "
	       "{\"text\":\"resume\"}\n");
	(void)runner_line("{\"total_cost_usd\":0.001306,\"usage\":{\"input_tokens\":100,\"output_tokens\":40,\"cache_"
			  "read_input_tokens\":30,"
			  "\"cache_creation_input_tokens\":20},\"permission_denials\":[{}],\"is_error\":false,\"num_"
			  "turns\":2,\"subtype\":\"success\","
			  "\"result\":\"done\",\"type\":\"result\",\"duration_ms\":206,\"duration_api_ms\":29,\"session_id\":\"0a0c\","
			  "\"queued_turn_count\":0}");
	expect("usage "
	       "{\"inputTokens\":100,\"outputTokens\":40,\"cacheReadTokens\":30,\"cacheWriteTokens\":20,\"costUSD\":0."
	       "001306}\n"
	       "result "
	       "{\"text\":\"done\",\"isError\":false,\"turns\":2,\"durationMs\":206,\"durationApiMs\":29,\"costUSD\":0.001306,\"subtype\":"
	       "\"success\","
	       "\"denials\":1,\"conversation\":\"0a0c\"}\n");
	ck_assert_int_eq(runner_turns, 1);
	ck_assert_str_eq(runner_conversation, "0a0c");
	ck_assert_int_eq(end(0, 0, "").success, 1);
}
END_TEST

START_TEST(what_is_not_known_is_ignored)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{}");
	static const char *const lines[] = {"",
					    "   ",
					    "not json",
					    "{\"type\":\"tool_progress\"}",
					    "{\"type\":\"brand_new\",\"x\":[]}",
					    "{}",
					    "{\"type\":7}",
					    "{\"type\":\"assistant\"}",
					    "{\"type\":\"assistant\",\"message\":{\"content\":\"s\"}}",
					    "{\"type\":\"user\",\"message\":{\"content\":[7,null]}}",
					    "{\"type\":\"system\",\"subtype\":\"new\"}",
					    "{\"type\":\"control_response\",\"response\":{}}",
					    "{\"type\":\"control_cancel_request\",\"request_id\":\"x\"}"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(runner_line(lines[i]) == 0, "%s", lines[i]);
	expect("");
	ck_assert_str_eq(am_buf_str(&runner_input), "");
	ck_assert_int_lt(runner_line("{\"type\":\"assistant\""), 0);
	ck_assert_int_lt(runner_type->line(runner_self, &runner_run, AMBIENT_STDOUT, "{\"a\":1}", 7, 1, &err),
			 0); /* cut */
	ck_assert_int_eq(end(0, 0, "").success, 0);
}
END_TEST

#define ASK                                                                                                            \
	"{\"type\":\"control_request\",\"request_id\":\"q1\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":" \
	"\"Write\",\"input\":{"                                                                                        \
	"\"file_path\":\"/x\"},\"tool_use_id\":\"t1\"}}"
#define QUESTION                                                                                                       \
	"{\"type\":\"control_request\",\"request_id\":\"q2\",\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":" \
	"\"AskUserQuestion\",\"input\":{\"questions\":[{\"question\":\"Which color?\"}] }}}"

START_TEST(a_batch_allows_and_answers_no_questions)
{
	start("{}");
	ck_assert_int_eq(runner_line(ASK), 0);
	expect("permission "
	       "{\"id\":\"q1\",\"tool\":\"Write\",\"input\":{\"file_path\":\"/x\"},\"decision\":\"allow\"}\n");
	ck_assert_str_eq(am_buf_str(&runner_input),
			 "{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\",\"request_id\":\"q1\","
			 "\"response\":{\"behavior\":\"allow\",\"updatedInput\":{\"file_path\":\"/x\"}}}}\n");
	am_buf_reset(&runner_input);
	ck_assert_int_eq(runner_line(QUESTION), 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input), "\"behavior\":\"deny\""));
	am_buf_reset(&runner_input);
	ck_assert_int_eq(runner_line("{\"type\":\"control_request\",\"request_id\":\"h\",\"request\":{\"subtype\":"
				     "\"hook_callback\"}}"),
			 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input), "\"subtype\":\"error\",\"request_id\":\"h\""));
	(void)end(0, 0, "");
}
END_TEST

START_TEST(a_person_is_asked)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_run.interactive = 1;
	start("{\"permissions\":\"ask\"}");
	ck_assert_int_eq(runner_line(ASK), 0);
	ck_assert_int_eq(runner_line(QUESTION), 0);
	expect("permission {\"id\":\"q1\",\"tool\":\"Write\",\"input\":{\"file_path\":\"/x\"}}\n"
	       "question {\"id\":\"q2\",\"text\":\"Which color?\",\"questions\":[{\"question\":\"Which color?\"}]}\n");
	ck_assert_str_eq(am_buf_str(&runner_input), "");
	/* Nothing is allowed by what is not understood. */
	static const char *const unclear[] = {"{}", "{\"behavior\":\"Deny\"}", "{\"behaviour\":\"deny\"}", "{\"answers\":{}}"};
	for (size_t i = 0; i < sizeof(unclear) / sizeof(unclear[0]); i++)
		ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q1", runner_object(unclear[i]), &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q2", runner_object("{\"behavior\":\"allow\"}"), &err),
			 -AMBIENT_E_INVALID);
	ck_assert_str_eq(am_buf_str(&runner_input), "");
	ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q1",
					     runner_object("{\"behavior\":\"deny\",\"message\":\"no\"}"), &err),
			 0);
	ck_assert_ptr_nonnull(
		strstr(am_buf_str(&runner_input), "\"response\":{\"behavior\":\"deny\",\"message\":\"no\"}"));
	am_buf_reset(&runner_input);
	ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q2",
					     runner_object("{\"answers\":{\"Which color?\":\"Blue\"}}"), &err),
			 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input),
				     "\"updatedInput\":{\"questions\":[{\"question\":\"Which color?\"}],\"answers\":{"
				     "\"Which color?\":\"Blue\"}}"));
	ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q2", runner_object("{}"), &err),
			 -AMBIENT_E_NOTFOUND);
	/* Withdrawn by the CLI: there is nothing to answer. */
	ck_assert_int_eq(runner_line(ASK), 0);
	ck_assert_int_eq(runner_line("{\"type\":\"control_cancel_request\",\"request_id\":\"q1\"}"), 0);
	ck_assert_int_eq(runner_type->answer(runner_self, &runner_run, "q1", runner_object("{}"), &err),
			 -AMBIENT_E_NOTFOUND);
	/* More requests than are kept are refused, not forgotten. */
	am_buf_reset(&runner_input);
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(runner_line(ASK), 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input), "too many requests"));
	(void)end(0, 0, "");
}
END_TEST

#define COST(DOLLARS)                                                                                                  \
	"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"r\",\"total_cost_usd\":" DOLLARS "}"

START_TEST(cost_and_its_limit_are_of_all_processes)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{\"maxBudgetUSD\":0.75}");
	(void)runner_line(COST("0.25"));
	(void)runner_line(COST("0.5"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"costUSD\":0.5}"));
	am_buf_reset(&runner_messages);
	am_buf_reset(&runner_command);
	ck_assert_int_eq(runner_type->restart(runner_self, &runner_run, runner_host_command(), &err), 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_command), "arg --max-budget-usd\narg 0.250000000\n"));
	(void)runner_line(COST("0.125"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"costUSD\":0.625}"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"costUSD\":0.625,\"subtype\""));
	/* What is spent is no longer there: no limit would be the opposite. */
	(void)runner_line(COST("0.25"));
	am_buf_reset(&runner_command);
	ck_assert_int_eq(runner_type->restart(runner_self, &runner_run, runner_host_command(), &err), 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_command), "arg --max-budget-usd\narg 0.000000001\n"));
	(void)end(0, 0, "");
}
END_TEST

START_TEST(an_interrupted_turn_says_so)
{
	static const char cut[] = "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,\"errors\":"
				  "[\"[ede_diagnostic] x\"]}";
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{}");
	ck_assert_int_eq(runner_type->interrupt(runner_self, &runner_run, &err), 0);
	(void)runner_line(cut);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "result {\"text\":\"the turn was interrupted\",\"isError\":true"));
	ck_assert_str_eq(end(1, 0, "").reason, "AgentInterrupted");
	am_buf_reset(&runner_messages);
	start("{}");
	(void)runner_line(cut);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "ede_diagnostic"));
	ck_assert_str_eq(end(1, 0, "").reason, "AgentFailed");
}
END_TEST

START_TEST(errors_have_the_reasons_of_a_report)
{
	static const struct {
		const char *word, *text, *reason;
	} rows[] = {
		{"authentication_failed", "Invalid API key", "ModelAuthenticationFailed"},
		{"server_error", "API Error: 529 too much", "ModelUnavailable"},
		{"server_error", "API Error: Connection closed mid-response", "ModelUnreachable"},
		{"unknown", "API Error: 400 not like this", "ModelRequestRejected"},
		{"model_not_found", "There is an issue", "ModelNotFound"},
		{"rate_limit", "slow down", "ModelRateLimited"},
		{"brand_new", "x", "AgentFailed"},
	};

	start("{}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char line[300], want[300];

		(void)snprintf(line, sizeof(line), "{\"type\":\"assistant\",\"error\":\"%s\",\"message\":{\"content\":[{\"type\":"
			       "\"text\",\"text\":\"%s\"}]}}", rows[i].word, rows[i].text);
		(void)snprintf(want, sizeof(want), "error {\"text\":\"%s\",\"reason\":\"%s\"}\n", rows[i].text, rows[i].reason);
		(void)runner_line(line);
		expect(want);
	}
	(void)end(0, 0, "");
}
END_TEST

START_TEST(prompts_interrupts_and_stop)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	start("{}");
	ck_assert_int_eq(runner_type->prompt(runner_self, &runner_run, "say \"hi\"\n\xff", 10, &err), 0);
	ck_assert_ptr_nonnull(strstr(
		am_buf_str(&runner_input),
		"{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\\n\xef\xbf\xbd\"}"));
	ck_assert_int_eq(am_buf_str(&runner_input)[runner_input.len - 1], '\n');
	am_buf_reset(&runner_input);
	ck_assert_int_eq(runner_type->stop(runner_self, &runner_run, &err), 0);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_input),
				     "\"request\":{\"subtype\":\"interrupt\",\"cancel_queued\":true}}\n<end>"));
	(void)end(0, 0, "");
}
END_TEST

static const struct {
	const char *result;
	int code, asked;
	const char *tail, *reason;
} ends[] = {
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":401,\"terminal_reason\":"
	 "\"api_error\",\"result\":\"e\"}",
	 1, 0, "", "ModelAuthenticationFailed"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":429,\"terminal_reason\":"
	 "\"api_error\",\"result\":\"e\"}",
	 1, 0, "", "ModelRateLimited"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":529,\"terminal_reason\":"
	 "\"api_error\",\"result\":\"e\"}",
	 1, 0, "", "ModelUnavailable"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":404,\"result\":\"e\"}", 1,
	 0, "", "ModelNotFound"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":413,\"result\":\"e\"}", 1,
	 0, "", "ModelRequestRejected"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"api_error_status\":null,\"terminal_reason\":"
	 "\"api_error\",\"result\":\"e\"}",
	 1, 0, "", "ModelUnreachable"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"API Error: Connection closed mid-response. The "
	 "response above may be incomplete.\"}",
	 1, 0, "", "ModelUnreachable"},
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":true,\"result\":\"Not logged in \\u00b7 Please run "
	 "/login\"}",
	 1, 0, "", "ModelAuthenticationFailed"},
	{"{\"type\":\"result\",\"subtype\":\"error_max_turns\",\"is_error\":true,\"errors\":[\"Reached maximum number "
	 "of turns (1)\"]}",
	 1, 0, "", "MaxTurnsReached"},
	{"{\"type\":\"result\",\"subtype\":\"error_max_budget_usd\",\"is_error\":true}", 1, 0, "", "BudgetExhausted"},
	{"{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true}", 1, 0, "", "AgentFailed"},
	{"{\"type\":\"result\",\"subtype\":\"success\"}", 0, 0, "", "AgentFailed"}, /* is_error absent: not believed */
	{"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}", 1, 0, "", "AgentFailed"},
	{"", 1, 0, "error: unknown option '--x'\nmore\n", "AgentNotStarted"},
	{"", 0, 0, "", "AgentNotStarted"},
	{"", 143, AMBIENT_ASKED_STOP, "", "AgentStopped"},
	{"", 143, AMBIENT_ASKED_TIMEOUT, "", "AgentTimeout"},
};

START_TEST(ends_are_told_apart)
{
	start("{}");
	ck_assert_int_eq(runner_line(ends[_i].result), 0);
	struct ambient_outcome o = end(ends[_i].code, ends[_i].asked, ends[_i].tail);
	ck_assert_int_eq(o.success, 0);
	ck_assert_int_eq(o.exit_code, 1);
	ck_assert_str_eq(o.reason, ends[_i].reason);
	ck_assert_str_ne(o.message, "");
	ck_assert_ptr_null(strchr(o.message, '\n'));
}
END_TEST

START_TEST(api_errors_and_retries_are_said)
{
	start("{}");
	(void)runner_line("{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":1,\"max_retries\":10,\"retry_"
			  "delay_ms\":588,\"error_status\":529,"
			  "\"error\":\"overloaded\"}");
	(void)runner_line("{\"type\":\"system\",\"subtype\":\"api_retry\",\"attempt\":2,\"max_retries\":10,\"retry_"
			  "delay_ms\":600,\"error_status\":null}");
	(void)runner_line("{\"type\":\"assistant\",\"error\":\"rate_limit\",\"message\":{\"model\":\"<synthetic>\","
			  "\"content\":[{\"type\":\"text\",\"text\":"
			  "\"API Error: 429\"}]}}");
	(void)runner_line(
		"{\"type\":\"system\",\"subtype\":\"permission_denied\",\"tool_name\":\"Write\",\"message\":\"no\"}");
	expect("status {\"text\":\"the model's API failed (529 overloaded); attempt 1 of 10, next in 588 ms\"}\n"
	       "status {\"text\":\"the model's API failed (0 unknown); attempt 2 of 10, next in 600 ms\"}\n"
	       "error {\"text\":\"API Error: 429\",\"reason\":\"ModelRateLimited\"}\n"
	       "status {\"text\":\"permission denied for Write: no\"}\n");
	(void)end(1, 0, "");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, plans);
	tcase_add_test(tc, command_line);
	tcase_add_loop_test(tc, settings_are_checked, 0, (int)(sizeof(settings) / sizeof(settings[0])));
	tcase_add_test(tc, who_asks_needs_a_person);
	tcase_add_test(tc, mcp_servers_are_the_projects_and_the_sessions);
	tcase_add_test(tc, bedrock_and_vertex_by_environment);
	tcase_add_test(tc, settings_become_arguments);
	tcase_add_test(tc, a_limit_of_tokens_ends_the_turn);
	tcase_add_test(tc, a_model_that_is_a_flag_is_refused);
	tcase_add_test(tc, cli_missing_or_too_old);
	tcase_add_test(tc, a_turn);
	tcase_add_test(tc, what_is_not_known_is_ignored);
	tcase_add_test(tc, a_batch_allows_and_answers_no_questions);
	tcase_add_test(tc, a_person_is_asked);
	tcase_add_test(tc, cost_and_its_limit_are_of_all_processes);
	tcase_add_test(tc, an_interrupted_turn_says_so);
	tcase_add_test(tc, errors_have_the_reasons_of_a_report);
	tcase_add_test(tc, prompts_interrupts_and_stop);
	tcase_add_loop_test(tc, ends_are_told_apart, 0, (int)(sizeof(ends) / sizeof(ends[0])));
	tcase_add_test(tc, api_errors_and_retries_are_said);
}

UNIT_MAIN("runner_claude", cases)
