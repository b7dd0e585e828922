/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent's program writes, line by line, into the runner type that this is linked with; the host drops nothing
 * that is no JSON but dies of it. */
#include "core/base/file.h"
#include "tests/lib/runner_host.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Some types write their settings there; it goes with the process. */
static char state[] = "/tmp/fuzz-runner-XXXXXX";

static void
remove_state(void)
{
	(void)am_remove_tree(state, NULL);
}

static const char *
state_dir(void)
{
	static int made;

	if (!made && (mkdtemp(state) == NULL || atexit(remove_state) != 0))
		abort();
	made = 1;
	return state;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ambient_exit end = {.size = sizeof(end), .code = size > 0 ? data[0] : 0, .stderr_tail = "last\nwords\n"};
	struct ambient_outcome outcome = {.size = sizeof(outcome)};
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	runner_host_reset(&ambient_plugin_v1);
	runner_spawn_out = "agent 9.9.9\n";
	runner_run.statedir = state_dir();
	if (runner_type->command(runner_self, &runner_run, runner_host_command(), &err) < 0)
		abort();
	for (char *line = text, *next; line != NULL && line <= text + size; line = next) {
		size_t n = strcspn(line, "\n");

		next = line + n < text + size ? line + n + 1 : NULL;
		line[n] = '\0';
		(void)runner_type->line(runner_self, &runner_run, *line == '!' ? AMBIENT_STDERR : AMBIENT_STDOUT, line, n,
					0, &err);
	}
	if (runner_type->exited(runner_self, &runner_run, &end, &outcome, &err) < 0 || runner_run.slot != NULL)
		abort();
	if (!outcome.success && (outcome.reason[0] == '\0' || outcome.message[0] == '\0'))
		abort();
	free(text);
	return 0;
}
