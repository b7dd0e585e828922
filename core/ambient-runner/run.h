/* SPDX-License-Identifier: Apache-2.0 */
/* The two sides of a session's pod, and what shows its files afterwards; each returns the exit code of the process. */
#ifndef AM_RUNNER_RUN_H
#define AM_RUNNER_RUN_H

int am_runner_run_main(void);
int am_runner_agent_main(void);
int am_runner_content_main(void);
/* A helper of the agent's side and of content: prints the state of a clone (look.c). */
int am_runner_look_main(int argc, char **argv);

#endif
