/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-runner: both sides of a session's pod.  `run` holds credentials and never runs what an agent left; `agent`
 * holds nothing and runs the agent; `content` shows what a session left; `jira` takes an agent's place and publishes a document.  As "askpass" (a link that
 * `run` makes) it answers git's questions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ambient/runner.h>

#include "core/ambient-runner/git.h"
#include "core/ambient-runner/jira.h"
#include "core/ambient-runner/run.h"
#include "core/base/log.h"

static const char usage[] = "usage: ambient-runner run | agent | content | jira | --version | --help\n"
			    "\n"
			    "Started by the operator in a session's pod; see ambient-runner(1).\n";

static const struct {
	const char *name;
	int (*main)(void);
} sides[] = {
	{"run", am_runner_run_main},
	{"agent", am_runner_agent_main},
	{"content", am_runner_content_main},
	{"jira", am_runner_jira_main},
};

static int
check_contract(void)
{
	const char *contract = getenv("AMBIENT_RUNNER_CONTRACT");
	uint64_t n;

	if (contract != NULL && am_parse_u64(contract, &n) == 0 && n == AMBIENT_RUNNER_CONTRACT)
		return 0;
	(void)fprintf(stderr,
		      "ambient-runner: AMBIENT_RUNNER_CONTRACT is \"%s\", but this program knows contract %d only; use "
		      "the image "
		      "that belongs to the operator's version\n",
		      contract != NULL ? contract : "", AMBIENT_RUNNER_CONTRACT);
	return 2;
}

int
main(int argc, char **argv)
{
	const char *name = argv[0] != NULL ? strrchr(argv[0], '/') : NULL, *level = getenv("AMBIENT_LOG");
	int (*side)(void) = NULL;

	if (name != NULL && am_streq(name + 1, "askpass"))
		return am_runner_askpass(argc > 1 ? argv[1] : NULL);
	if (argc == 2 && am_streq(argv[1], "--version"))
		return printf("ambient-runner %s (contract %d)\n", PACKAGE_VERSION, AMBIENT_RUNNER_CONTRACT) < 0;
	if (argc == 2 && (am_streq(argv[1], "--help") || am_streq(argv[1], "-h")))
		return fputs(usage, stdout) < 0;
	if (argc > 2 && am_streq(argv[1], "look"))
		return am_runner_look_main(argc, argv);
	for (size_t i = 0; argc == 2 && i < AM_COUNTOF(sides); i++)
		if (am_streq(argv[1], sides[i].name))
			side = sides[i].main;
	if (side == NULL) {
		(void)fputs(usage, stderr);
		return 2;
	}
	int rc = check_contract();
	if (rc != 0)
		return rc;
	am_log_init(AM_LOG_AUTO,
		    level != NULL && am_log_level_parse(level) != 0 ? am_log_level_parse(level) : AMBIENT_LOG_WARN);
	rc = side();
	am_log_fini();
	return rc;
}
