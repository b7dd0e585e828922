/* SPDX-License-Identifier: Apache-2.0 */
/* The two sides of a session's pod; each returns the exit code of the process. */
#ifndef AM_RUNNER_RUN_H
#define AM_RUNNER_RUN_H

int am_runner_run_main(void);
int am_runner_agent_main(void);

#endif
