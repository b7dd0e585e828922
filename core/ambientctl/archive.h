/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive of a backup: a tar file (ustar, regular files only), so that anybody can look into it.  The first member,
 * CTL_MANIFEST, is JSON and names the format, and every other member in order, with its size and SHA-256; nothing is
 * taken from a member's header but the proof that it is the one that the manifest announced.
 */
#ifndef CTL_ARCHIVE_H
#define CTL_ARCHIVE_H

#include <stdint.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/err.h"

#define CTL_MANIFEST        "ambient-backup.json"
#define CTL_ARCHIVE_FORMAT  1
#define CTL_ARCHIVE_NAME    100                          /* bytes of a name, with its NUL */
#define CTL_MANIFEST_MAX    (1024 * 1024)
#define CTL_MEMBER_MAX      ((INT64_C(8) << 30) - 1)     /* what a tar header can say */

/* A relative path that stays below where it begins, and is no part of the machinery of paths. */
bool ctl_archive_name_ok(const char *name);
int ctl_archive_hash(const char *path, char hex[65], int64_t *ret_size, struct ambient_error *err);
/* A member from memory, or from a file of exactly that size. */
int ctl_archive_put(FILE *out, const char *name, const void *data, size_t n, struct ambient_error *err);
int ctl_archive_put_file(FILE *out, const char *name, const char *path, int64_t size, struct ambient_error *err);
int ctl_archive_end(FILE *out, struct ambient_error *err);
/* Reads the next header. */
int ctl_archive_next(FILE *in, char name[CTL_ARCHIVE_NAME], int64_t *ret_size, struct ambient_error *err);
/* Takes its content: into memory, or into a new file of mode 0600 whose hash it gives. */
int ctl_archive_take(FILE *in, int64_t size, struct am_buf *out, struct ambient_error *err);
int ctl_archive_take_file(FILE *in, int64_t size, const char *path, char hex[65], struct ambient_error *err);

#endif
