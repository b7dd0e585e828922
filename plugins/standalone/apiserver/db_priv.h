/* SPDX-License-Identifier: Apache-2.0 */
/* What the database's own files share: db.c reads and writes rows, db_open.c knows the format, db_space.c the room. */
#ifndef AM_APISERVER_DB_PRIV_H
#define AM_APISERVER_DB_PRIV_H

#include <sqlite3.h>

#include "plugins/standalone/apiserver/engine_priv.h"

enum am_db_statement {
	S_BEGIN, S_COMMIT, S_ROLLBACK, S_META, S_INSERT, S_UPDATE, S_DELETE, S_LOG, S_RES_FIND, S_RES_ADD, S_TRIM_FIND,
	S_TRIM, S_PAGES, S_FREE, S_RESERVE_HAS, S_RESERVE_PUT, S_RESERVE_DROP, S__COUNT
};

struct am_db {
	sqlite3 *handle;
	sqlite3_stmt *stmt[S__COUNT];
	uint64_t rv, compacted;
	size_t room;    /* bytes by which the file may grow before anybody has to look again */
	bool full;      /* what failed last did so for want of space */
	int64_t page;   /* bytes */
	int frames;     /* in the write-ahead log */
	int carried;    /* of those, carried over by the last checkpoint */
	/* Encryption of the bodies of some resources. */
	const struct am_seal *seal; /* NULL: none */
	const char *const *sealed;  /* their names, ended by NULL */
	bool *is_sealed;            /* by their numbers */
	size_t n_is_sealed;
	struct am_buf body, prev;   /* of the row that is being written or read */
};

int am_db_prepare(struct am_db *db); /* its statements; an SQLite code */
/* Says what SQLite said about the last call. */
int am_db_fail(struct am_db *db, const char *what, struct ambient_error *err);
int am_db_run(struct am_db *db, enum am_db_statement s, const char *what, struct ambient_error *err);
int am_db_exec(struct am_db *db, const char *sql, struct ambient_error *err);
/* The first column of the first row, 0 when there is none. */
int am_db_number(struct am_db *db, const char *sql, int64_t *ret, struct ambient_error *err);
int am_db_set_meta(struct am_db *db, const char *key, uint64_t value, struct ambient_error *err);
int am_db_space_init(struct am_db *db, struct ambient_error *err);

#endif
