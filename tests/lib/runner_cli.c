/* SPDX-License-Identifier: Apache-2.0 */
/* See runner_cli.h. */
#include "tests/lib/runner_cli.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

void
runner_start(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(runner_type->command(runner_self, &runner_run, runner_host_command(), &err) == 0, "%s", err.message);
}

void
runner_lines(const char *const *lines)
{
	for (; *lines != NULL; lines++)
		ck_assert_msg(runner_line(*lines) == 0, "%s", *lines);
}

struct ambient_outcome
runner_end(int code, int asked, const char *tail)
{
	struct ambient_exit e = {.size = sizeof(e), .code = code, .asked = asked, .stderr_tail = tail};
	struct ambient_outcome o = {.size = sizeof(o)};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &e, &o, &err), 0);
	return o;
}

void
runner_expect(const char *messages)
{
	ck_assert_str_eq(am_buf_str(&runner_messages), messages);
	am_buf_reset(&runner_messages);
}

void
runner_expect_command(const char *part)
{
	ck_assert_msg(strstr(am_buf_str(&runner_command), part) != NULL, "%s not in %s", part, am_buf_str(&runner_command));
}

void
runner_check_refusals(const char *type, const char *key)
{
	char want[400];

	/* A chat is taken: its program is started for each prompt. */
	ck_assert_int_eq(runner_type->one_prompt, 1);
	ck_assert_ptr_null(strstr(runner_plan_text("{\"spec\":{}}", "{\"secretName\":\"k\",\"interactive\":true,\"model\":\"anthropic/b\"}"),
				  "problems"));
	(void)snprintf(want, sizeof(want),
		       "problems: [{\"field\":\"spec.runnerConfig.maxTurns\",\"message\":\"is no setting of runner type \\\"%s\\\", "
		       "which has none\"}]", type);
	ck_assert_str_eq(runner_plan_text("{\"spec\":{\"runnerConfig\":{\"maxTurns\":3}}}",
					  "{\"secretName\":\"k\",\"model\":\"anthropic/b\"}"), want);
	(void)snprintf(want, sizeof(want),
		       "problems: [{\"field\":\"spec.anthropicApiKeySecret\",\"message\":\"no Secret with %s is named here, in "
		       "the project's settings or in the configuration\"}]", key);
	ck_assert_str_eq(runner_plan_text("{\"spec\":{}}", "{\"model\":\"anthropic/b\"}"), want);
}

void
runner_check_model(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_run.model = "--help";
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "spec.model: \"--help\" is no name of a model");
	ck_assert_ptr_null(strstr(am_buf_str(&runner_command), "help"));
	runner_run.host->mem->free(runner_run.host, runner_run.slot);
	runner_run.slot = NULL;
	am_buf_reset(&runner_command);
}

void
runner_check_versions(const char *title, const char *program, const char *package, const char *old_out, const char *old,
		      const char *oldest)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char want[400];

	runner_spawn_out = NULL;
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), -AMBIENT_E_NOTFOUND);
	(void)snprintf(want, sizeof(want),
		       "%s is missing: there is no program \"%s\"; install it into the runner's image with \"npm install -g "
		       "%s\"", title, program, package);
	ck_assert_str_eq(err.message, want);
	runner_spawn_out = old_out;
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), -AMBIENT_E_UNSUPPORTED);
	(void)snprintf(want, sizeof(want), "%s is too old: \"%s\" is version %s, at least %s is needed", title, program, old,
		       oldest);
	ck_assert_str_eq(err.message, want);
	runner_spawn_out = "hello\n";
	ck_assert_int_eq(runner_type->command(runner_self, &runner_run, runner_host_command(), &err), -AMBIENT_E_UNSUPPORTED);
	(void)snprintf(want, sizeof(want), "\"%s --version\" does not answer like %s (exit code 0)", program, title);
	ck_assert_str_eq(err.message, want);
	/* A machine that is busy is no reason to end a run. */
	runner_spawn_late = 1;
	runner_start();
	(void)runner_end(0, 0, "");
}

void
runner_check_end(const struct runner_end_row *row)
{
	runner_start();
	ck_assert_int_eq(runner_line(row->line), 0);
	struct ambient_outcome o = runner_end(row->code, row->asked, row->tail);
	ck_assert_int_eq(o.success, 0);
	ck_assert_int_eq(o.exit_code, 1);
	ck_assert_str_eq(o.reason, row->reason);
	ck_assert_str_ne(o.message, "");
	ck_assert_ptr_null(strchr(o.message, '\n'));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "result {\"text\":\"\",\"isError\":true"));
}

/* In a chat: does it go on after that end? */
static void
check_again(const char *line, int code, int signal, int asked, int want)
{
	struct ambient_exit e = {.size = sizeof(e), .code = code, .signal = signal, .asked = asked, .stderr_tail = ""};
	struct ambient_outcome o = {.size = sizeof(o)};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_start();
	ck_assert_int_eq(runner_line(line), 0);
	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &e, &o, &err), 0);
	ck_assert_msg(o.again == want, "%s, code %d, signal %d, asked %d", line, code, signal, asked);
}

void
runner_check_turns(const char *done)
{
	struct ambient_exit e = {.size = sizeof(e), .code = 0, .stderr_tail = ""};
	struct ambient_outcome o = {.size = offsetof(struct ambient_outcome, again), .again = 7};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_run.interactive = 1;
	check_again(done, 0, 0, AMBIENT_ASKED_NONE, 1);
	check_again(done, 1, 0, AMBIENT_ASKED_NONE, 1);
	check_again("", 130, 2, AMBIENT_ASKED_INTERRUPT, 1);
	check_again("", 143, 15, AMBIENT_ASKED_INTERRUPT, 1);
	check_again("", 1, 0, AMBIENT_ASKED_NONE, 0);
	check_again(done, 137, 9, AMBIENT_ASKED_NONE, 0);
	check_again(done, 0, 0, AMBIENT_ASKED_STOP, 0);
	check_again(done, 0, 0, AMBIENT_ASKED_TIMEOUT, 0);
	/* An interrupt that came too late took nothing away; the turns of all processes are counted. */
	am_buf_reset(&runner_messages);
	runner_start();
	ck_assert_int_eq(runner_line(done), 0);
	e.asked = AMBIENT_ASKED_INTERRUPT;
	/* A host that does not know of it is not written beyond its struct. */
	ck_assert_int_eq(runner_type->exited(runner_self, &runner_run, &e, &o, &err), 0);
	ck_assert_int_eq(o.success, 1);
	ck_assert_int_eq(o.again, 7);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&runner_messages), "\"isError\":false,\"turns\":6"));
	runner_run.interactive = 0;
	check_again(done, 0, 0, AMBIENT_ASKED_NONE, 0);
}

void
runner_check_ignores(const char *const *more)
{
	static const char *const lines[] = {"", "   ", "not json", "{}", "{\"type\":7}", "{\"type\":\"brand_new\",\"x\":[]}",
					    "[1]", NULL};
	struct ambient_error err = AMBIENT_ERROR_INIT;

	runner_start();
	runner_lines(lines);
	runner_lines(more);
	runner_expect("");
	ck_assert_int_lt(runner_line("{\"type\":\"item"), 0);
	ck_assert_int_lt(runner_type->line(runner_self, &runner_run, AMBIENT_STDOUT, "{\"a\":1}", 7, 1, &err), 0);
	ck_assert_int_eq(runner_type->line(runner_self, &runner_run, AMBIENT_STDERR, "oops", 4, 0, &err), 0);
	runner_expect("status {\"text\":\"oops\"}\n");
	ck_assert_int_eq(runner_end(0, 0, "").success, 0);
}
