/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What git prints for programs, read: names of files are an agent's, names of branches a remote's, and a long output may be
 * cut anywhere.  Pure functions; a record that is not whole, or none that is known, is left out.
 */
#ifndef AM_RUNNER_PORCELAIN_H
#define AM_RUNNER_PORCELAIN_H

#include "core/base/buf.h"
#include "core/base/map.h"
#include "core/base/str.h"

#define AM_PORCELAIN_FILES 5000

/* A map of "git diff --numstat -z --no-renames" by path, for the next. */
struct am_map *am_porcelain_numstat(struct am_slice text);
/* Appends members of an array, an object for each file of "git status --porcelain=v2 -z --no-renames", at most
 * AM_PORCELAIN_FILES.  False: there were more, or the last one is not whole. */
bool am_porcelain_status(struct am_slice text, const struct am_map *counts, struct am_buf *out);
/* The branch that HEAD stands for in "git ls-remote --symref URL HEAD"; malloc'ed, NULL: none that can be used. */
char *am_porcelain_default_branch(const char *text);

#endif
