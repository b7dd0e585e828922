/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories: bounded reads, atomic writes, trees made and removed without following links. */
#ifndef AM_BASE_FILE_H
#define AM_BASE_FILE_H

#include <sys/types.h>

#include "core/base/attr.h"
#include "core/base/buf.h"
#include "core/base/err.h"

int am_file_read(const char *path, size_t max, struct am_buf *out, struct ambient_error *err); /* NOMEM when larger */
/* Writes a temporary file beside it, fsyncs, renames, fsyncs the directory. */
int am_file_write(const char *path, const void *data, size_t n, mode_t mode, struct ambient_error *err);
/* The same without waiting for the disk: for what a crash may take, or what is made anew at each start. */
int am_file_put(const char *path, const void *data, size_t n, mode_t mode, struct ambient_error *err);
int am_mkdirs(const char *path, mode_t mode, struct ambient_error *err);     /* mode of the ones that it makes */
int am_remove_tree(const char *path, struct ambient_error *err);             /* absent is success */
/* The content of a directory: bytes of regular files, following nothing. */
int am_tree_size(const char *path, int64_t *ret, struct ambient_error *err);
/* A lock on a file (flock), made when missing; returns the descriptor, -AMBIENT_E_EXISTS when another has it. */
int am_lock_file(const char *path, struct ambient_error *err);
int am_write_all(int fd, const void *data, size_t n);                        /* 0 or -errno */

#endif
