/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of runner types of one prompt have in common, on top of runner_host.h. */
#ifndef TESTS_LIB_RUNNER_CLI_H
#define TESTS_LIB_RUNNER_CLI_H

#include "tests/lib/runner_host.h"

struct runner_end_row {
	const char *line; /* the last one; "": none */
	int code, asked;
	const char *tail, *reason;
};
/* The ends that are alike for all; DONE: the line of a turn that went well. */
#define RUNNER_COMMON_ENDS(DONE)                                                                                       \
	{"", 1, 0, "warning\nError: no such option --x\n", "AgentNotStarted"}, {"", 0, 0, "", "AgentNotStarted"},      \
		{DONE, 1, 0, "", "AgentFailed"}, {"", 143, AMBIENT_ASKED_STOP, "", "AgentStopped"},                    \
		{DONE, 0, AMBIENT_ASKED_STOP, "", "AgentStopped"}, {"", 143, AMBIENT_ASKED_TIMEOUT, "", "AgentTimeout"}, \
	{                                                                                                              \
		"", 130, 0, "", "AgentInterrupted"                                                                     \
	}

void runner_start(void); /* command() must succeed */
void runner_lines(const char *const *lines);
struct ambient_outcome runner_end(int code, int asked, const char *tail);
void runner_expect(const char *messages);      /* all since the last call */
void runner_expect_command(const char *part);
/* Settings and a missing secret are refused with their fields; a chat is not. */
void runner_check_refusals(const char *type, const char *key);
/* A model that the program would take for a flag is refused, not left out. */
void runner_check_model(void);
void runner_check_versions(const char *title, const char *program, const char *package, const char *old_out,
			   const char *old, const char *oldest);
/* The row's line and end make a failure of that reason, a sentence, and a result that is an error. */
void runner_check_end(const struct runner_end_row *row);
/* done: the line of a turn that went well.  A chat goes on after what ends a turn only. */
void runner_check_turns(const char *done);
/* What is no JSON, of no known type, or more of both, says nothing and fails nothing. */
void runner_check_ignores(const char *const *more);

#endif
