/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes in the workspace while the agent works: repositories that come, go or move to another branch, another workflow,
 * other limits of time.  The operator writes what is wanted to status.effective, with a generation; this is the way from there to
 * the report that says that it is so:
 *
 *   1. what is new is cloned by a thread of its own, into places that no agent sees, while the agent goes on;
 *   2. the agent's side is asked to hold: it ends the agent between two turns (or leaves it alone, where the runner type cannot
 *      start it again);
 *   3. what goes is moved to workspace/removed, what is new is moved in, each by one rename;
 *   4. the agent's side is told of the new layout, starts the agent again, which goes on with its conversation, and says so.
 *
 * A clone that fails is said and tried again with growing delays; everything else goes on meanwhile.  All but the thread's part
 * happens in the runner's loop.
 */
#ifndef AM_RUNNER_LIVE_H
#define AM_RUNNER_LIVE_H

#include <stdbool.h>

struct am_runner;
struct am_live;

struct am_live *am_runner_live_new(struct am_runner *runner);
/* Ends what is under way, and waits for it; what is in the workspace stays.  NULL is fine. */
void am_runner_live_free(struct am_live *live);
/* Readable when a clone has ended; -1: there is none. */
int am_runner_live_fd(const struct am_live *live);
/* Does what is due.  True: the session was written since, look at its limits of time again. */
bool am_runner_live_tick(struct am_live *live);
/* What the agent's side says: "held", "laidout". */
void am_runner_live_hear(struct am_live *live, const char *t);

#endif
