/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a report says of the files that the agent works in: the branches of a clone, how many files there are in artifacts.  They are
 * the agent's, which may change them meanwhile: no link is followed (beneath.h), no git is run, and how much is looked at is bounded.
 */
#ifndef AM_RUNNER_SURVEY_H
#define AM_RUNNER_SURVEY_H

#include <stdint.h>

#include "core/base/buf.h"

#define AM_SURVEY_BRANCHES 20    /* of a clone, by name; those beyond are left out */
#define AM_SURVEY_BYTES    2000  /* of their names together */
#define AM_SURVEY_FILES    10000 /* entries that are looked at */

/* Adds members of an object, each with a comma before it: "branches", a sorted list of names that git would take, and
 * "currentBranch" when the clone is on one.  root: the session's directory; repo: a folder of the workspace.  Nothing when there is no
 * clone. */
void am_survey_branches(const char *root, const char *repo, struct am_buf *out);
/* Files below artifacts, in at most 16 layers of directories; -1: it is not there. */
int64_t am_survey_artifacts(const char *root);

#endif
