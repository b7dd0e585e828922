/* SPDX-License-Identifier: Apache-2.0 */
/* What goes from the workspace goes to workspace/removed, whole: work that nobody pushed is never lost. */
#ifndef AM_RUNNER_ASIDE_H
#define AM_RUNNER_ASIDE_H

#include <stddef.h>

#include "core/base/err.h"

#define AM_ASIDE_MAX 120

/* Moves the entry `name` of the directory dir (borrowed) to root/workspace/removed, by one rename and following nothing, since
 * all of it is the agent's.  where (may be NULL) gets its new name, "removed/NAME-N". */
int am_runner_aside(const char *root, int dir, const char *name, char where[AM_ASIDE_MAX], struct ambient_error *err);

#endif
