/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database's room on the disk.  So that a full disk does not stop the last writes, three things are kept:
 *
 *   the write-ahead log   has WAL_KEPT bytes from the start; they are overwritten again and again, never given back
 *   the file              is made larger before a transaction is begun that may need it, so that what was committed can
 *                         always be carried over from the write-ahead log, which then starts from its beginning
 *   the table "reserve"   holds RESERVE bytes inside the file: emptied, its pages take what must still be written
 *
 * All of it lies in the database's own files: space that was set free for it in any other way would be taken by
 * whoever is filling the disk.  It goes through SQLite's own file handles, as a second descriptor would drop its locks
 * when it is closed.
 */
#include "plugins/standalone/apiserver/db_priv.h"

#define CHUNK      (1024 * 1024)      /* the file grows by this */
#define RESERVE    (4 * 1024 * 1024)
#define WAL_KEPT   (8 * 1024 * 1024)
#define WAL_CHECK  1000               /* frames after which what was committed is carried over */
#define VACUUM     256                /* pages at a time */
#define COMFORT    RESERVE            /* what must be free beside it before all is as usual again */

static int
on_commit(void *arg, sqlite3 *handle, const char *name, int frames)
{
	struct am_db *db = arg;

	(void)handle;
	(void)name;
	if (frames < db->frames)
		db->carried = 0;
	db->frames = frames;
	return SQLITE_OK;
}

int
am_db_space_init(struct am_db *db, struct ambient_error *err)
{
	int chunk = CHUNK;

	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	(void)sqlite3_wal_hook(db->handle, on_commit, db);
	return am_db_number(db, "PRAGMA page_size", &db->page, err);
}

static int64_t
ask(struct am_db *db, enum am_db_statement s)
{
	int64_t n = sqlite3_step(db->stmt[s]) == SQLITE_ROW ? sqlite3_column_int64(db->stmt[s], 0) : 0;

	sqlite3_reset(db->stmt[s]);
	return n;
}

int64_t
am_db_used(struct am_db *db)
{
	return (ask(db, S_PAGES) - ask(db, S_FREE)) * db->page;
}

static int
no_room(struct am_db *db, struct ambient_error *err)
{
	db->full = true;
	return ambient_err(err, AMBIENT_E_NOMEM, "state.db: cannot grow: the disk is full; free some disk space");
}

int
am_db_room(struct am_db *db, size_t bytes, struct ambient_error *err)
{
	if (bytes <= db->room) {
		db->room -= bytes;
		return 0;
	}
	int64_t size = ask(db, S_PAGES) * db->page + (int64_t)bytes + CHUNK;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_SIZE_HINT, &size) != SQLITE_OK)
		return no_room(db, err);
	db->room = CHUNK;
	return 0;
}

void
am_db_checkpoint(struct am_db *db, bool truncate)
{
	(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
					NULL, NULL);
	db->carried = db->frames;
	/* The file was cut to its pages. */
	db->room = 0;
}

void
am_db_breathe(struct am_db *db)
{
	if (db->frames - db->carried >= WAL_CHECK)
		am_db_checkpoint(db, false);
}

void
am_db_vacuum(struct am_db *db)
{
	char sql[64];

	/* A quarter of the file may lie waiting for the next storm. */
	if (ask(db, S_FREE) * 4 <= AM_MAX(ask(db, S_PAGES), INT64_C(4096)))
		return;
	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", VACUUM);
	(void)sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	db->room = 0;
}

int
am_db_rewrite(struct am_db *db, struct ambient_error *err)
{
	int none = 0, chunk = CHUNK;

	/* Cut to a whole chunk the file would keep old pages behind its end. */
	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &none);
	int rc = am_db_exec(db, "VACUUM;", err);

	am_db_checkpoint(db, true);
	(void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
	return rc;
}

/* ---- the reserve ---- */

static int
keep_wal(struct am_db *db, struct ambient_error *err)
{
	static const char zeros[64 * 1024];
	sqlite3_file *wal = NULL;
	sqlite3_int64 size = 0;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) != SQLITE_OK || wal == NULL ||
	    wal->pMethods == NULL || wal->pMethods->xFileSize(wal, &size) != SQLITE_OK)
		return 0;
	/* Behind the last frame: SQLite reads frames as long as their checksums go on. */
	for (; size < WAL_KEPT; size += (sqlite3_int64)sizeof(zeros))
		if (wal->pMethods->xWrite(wal, zeros, (int)sizeof(zeros), size) != SQLITE_OK)
			return no_room(db, err);
	return 0;
}

int
am_db_reserve_make(struct am_db *db, struct ambient_error *err)
{
	bool there = ask(db, S_RESERVE_HAS) > 0;
	int rc = keep_wal(db, err);

	if (rc < 0 || there)
		return rc;
	rc = am_db_room(db, RESERVE + COMFORT, err);
	if (rc == 0)
		rc = am_db_begin(db, err);
	if (rc == 0) {
		sqlite3_bind_int(db->stmt[S_RESERVE_PUT], 1, RESERVE);
		rc = am_db_run(db, S_RESERVE_PUT, "set its reserve aside", err);
	}
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	am_db_rollback(db);
	/* Carries over, and gives back what was only asked for to see whether it is there. */
	am_db_checkpoint(db, false);
	return rc;
}

int
am_db_reserve_open(struct am_db *db, struct ambient_error *err)
{
	am_db_checkpoint(db, false);
	int rc = am_db_begin(db, err);

	if (rc == 0)
		rc = am_db_run(db, S_RESERVE_DROP, "open its reserve", err);
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	am_db_rollback(db);
	return rc;
}
