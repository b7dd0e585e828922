/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a git bundle, read by us because it comes from an agent. */
#ifndef AM_RUNNER_BUNDLE_H
#define AM_RUNNER_BUNDLE_H

#include "core/base/err.h"

/* *pack: where the pack begins in p; head: the id of its HEAD.  0 or -AMBIENT_E_INVALID. */
int am_runner_bundle_header(const char *p, size_t n, size_t *pack, char head[65], struct ambient_error *err);

#endif
