/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands of standalone share: the database's file, seen from outside of its server. */
#ifndef AM_AMBIENTCTL_STANDALONE_H
#define AM_AMBIENTCTL_STANDALONE_H

#include <sqlite3.h>

#include "core/ambientctl/ctl.h"

/* ---- standalone.c */
int ctl_db_fail(sqlite3 *db, const char *path, struct ambient_error *err);
int ctl_db_open(const char *path, int flags, sqlite3 **ret, struct ambient_error *err); /* *ret is closed also after a failure */
int ctl_db_number(sqlite3 *db, const char *path, const char *sql, int64_t *ret, struct ambient_error *err);
int ctl_db_is_ours(sqlite3 *db, const char *path, struct ambient_error *err);

/* ---- check.c: says what is wrong with the database; an exit code. */
int ctl_standalone_check(const char *database);

#endif
