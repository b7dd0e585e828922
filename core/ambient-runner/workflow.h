/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session's workflow: a directory of some repository that says how the agent shall work.  It is not worked on: its files are
 * laid into workspace/workflows/NAME without a history, and nothing of it is pushed.  It is data from outside, to us as to the
 * agent: this side reads one file of it, ambient.json, out of its own repository, bounded, and executes nothing.
 *
 * Made in two steps, since the first may take long and the second is done when no agent works there: fetch, then place.
 */
#ifndef AM_RUNNER_WORKFLOW_H
#define AM_RUNNER_WORKFLOW_H

#include "core/ambient-runner/git.h"

struct am_workflow {
	bool wanted;         /* the session names one; else nothing below is set */
	struct am_repo repo; /* where it comes from */
	char *path;          /* the directory in it; "" its root */
	char *dir;           /* absolute: where the agent works; NULL until it is there */
	char *system_prompt, *startup_prompt; /* of its ambient.json, or NULL */
	const char *status;  /* static: Active, Failed; NULL while unknown */
	char error[320];     /* of Failed */
	int64_t applied_at;  /* wall time, when Active */
};

/* session: the whole object, checked JSON.  One that cannot be used is Failed. */
void am_runner_workflow_parse(struct am_slice session, struct am_workflow *ret);
void am_runner_workflow_fini(struct am_workflow *workflow);
/* Whether both mean the same directory of the same branch. */
bool am_runner_workflow_same(const struct am_workflow *a, const struct am_workflow *b);
/* From the remote to a directory of our own. */
int am_runner_workflow_fetch(struct am_git *git, struct am_workflow *workflow, struct ambient_error *err);
/* From there into the workspace.  One that is there already, of the same origin, is left as the agent has it; another one of
 * that name is moved to workspace/removed. */
int am_runner_workflow_place(struct am_git *git, struct am_workflow *workflow, struct ambient_error *err);

#endif
