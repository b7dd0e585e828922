/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening what lies below a directory in which somebody hostile may write meanwhile: name by name, each below the one
 * before, never through a link, so that whatever is exchanged on the way, the walk does not leave.
 */
#ifndef AM_RUNNER_BENEATH_H
#define AM_RUNNER_BENEATH_H

#include <sys/stat.h>

#include "core/base/attr.h"
#include "core/base/buf.h"

/* Takes dir.  path: names with "/" between; "" is dir itself.  A descriptor for reading of a directory or a regular file;
 * -EINVAL for a path that is none, -ELOOP for a link, -EACCES for what is neither, or another -errno. */
int am_open_beneath(int dir, const char *path, struct stat *st);
/* The text of a regular file below dir, which stays open; -EFBIG: it is longer than max. */
int am_read_beneath(int dir, const char *path, size_t max, struct am_buf *out);
/* A name that a repository's folder may have: 1 to 64 of letters, digits, "." "_" "-", the first no "." or "-". */
bool am_runner_repo_name_ok(const char *name);

#endif
