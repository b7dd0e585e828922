/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the database: is it ours, of which format, how did it end, and what must it be told before the first row.
 *
 * The format: application_id "AmbS", user_version FORMAT.  A file with another application_id or a higher version is
 * left alone and refused; one of an older version is brought forward in one transaction per step, or stays as it was.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "plugins/standalone/apiserver/db_priv.h"

#define APPLICATION_ID 0x416d6253 /* "AmbS" */
#define FORMAT         2
#define EPOCH          1000000

static const char *const schema =
	"CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
	"CREATE TABLE res(id INTEGER PRIMARY KEY AUTOINCREMENT, grp TEXT NOT NULL, plural TEXT NOT NULL,"
	" UNIQUE(grp, plural));"
	"CREATE TABLE obj(id INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" rv INTEGER NOT NULL, mtime INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE UNIQUE INDEX obj_key ON obj(res, ns, name);"
	"CREATE TABLE log(rv INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" op INTEGER NOT NULL, ts INTEGER NOT NULL, body BLOB, prev BLOB);"
	"CREATE TABLE reserve(id INTEGER PRIMARY KEY, body BLOB NOT NULL);";

int
am_db_exec(struct am_db *db, const char *sql, struct ambient_error *err)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : am_db_fail(db, "prepare the file", err);
}

/* The first column of the first row, 0 when there is none. */
int
am_db_number(struct am_db *db, const char *sql, int64_t *ret, struct ambient_error *err)
{
	sqlite3_stmt *stmt = NULL;

	*ret = 0;
	if (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
		return am_db_fail(db, "read the file", err);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : am_db_fail(db, "read the file", err);
}

/* What turns format N into N + 1, at [N]. */
static const char *const migrations[FORMAT] = {
	[1] = "CREATE TABLE reserve(id INTEGER PRIMARY KEY, body BLOB NOT NULL);",
};

/* The format; 0: an empty file; negative: refused. */
static int
identify(struct am_db *db, struct ambient_error *err)
{
	int64_t application, version, tables;
	int rc = am_db_number(db, "PRAGMA application_id", &application, err);

	if (rc == 0)
		rc = am_db_number(db, "PRAGMA user_version", &version, err);
	if (rc == 0)
		rc = am_db_number(db, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (rc == 0 && application == 0 && version == 0 && tables == 0)
		return 0;
	if ((rc < 0 && sqlite3_errcode(db->handle) == SQLITE_NOTADB) || (rc == 0 && application != APPLICATION_ID))
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is a file of another program; move it away or use "
				   "another state directory");
	if (rc < 0)
		return rc;
	if (version > FORMAT)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db has format %lld, this release reads up to %d; use the "
				   "release that wrote it", (long long)version, FORMAT);
	if (version < 1)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is damaged: its format is %lld; restore a copy",
				   (long long)version);
	return (int)version;
}

static int
create(struct am_db *db, int64_t now_ns, struct ambient_error *err)
{
	char sql[256];
	/* 1,000 revisions for each second since 2020: more than a database lives through. */
	int64_t start = AM_MAX((now_ns / AM_NS_PER_S - INT64_C(1577836800)) * 1000, INT64_C(1000));

	snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES('rv', %lld), ('compacted', %lld);"
		 "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", (long long)start, (long long)start,
		 APPLICATION_ID, FORMAT);
	int rc = am_db_exec(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;", err);
	if (rc == 0)
		rc = am_db_exec(db, schema, err);
	return rc == 0 ? am_db_exec(db, sql, err) : rc;
}

static int
migrate(struct am_db *db, int from, struct ambient_error *err)
{
	char sql[64];
	int rc = 0;

	for (int v = from; rc == 0 && v < FORMAT; v++) {
		snprintf(sql, sizeof(sql), "PRAGMA user_version=%d; COMMIT", v + 1);
		rc = am_db_exec(db, "BEGIN IMMEDIATE", err);
		if (rc == 0)
			rc = am_db_exec(db, migrations[v], err);
		if (rc == 0)
			rc = am_db_exec(db, sql, err);
	}
	am_db_rollback(db);
	return rc;
}

/* After an end that was not orderly the pages may not fit together; better said now than met later. */
static int
check_pages(struct am_db *db, struct ambient_error *err)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
		return am_db_fail(db, "check the file", err);
	int rc = sqlite3_step(stmt);
	const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : sqlite3_errmsg(db->handle);
	rc = said != NULL && strcmp(said, "ok") == 0 ? 0 :
		ambient_err(err, AMBIENT_E_INVALID, "state.db is damaged: %s; restore a backup", said != NULL ? said : "no memory");
	sqlite3_finalize(stmt);
	return rc;
}

/*
 * Revisions.  Without full sync the last transactions may be gone after an unclean end: their revisions are never
 * given out again, and who has seen one of them must list again, so all that is older counts as compacted.
 */
static int
settle(struct am_db *db, bool full_sync, bool unclean, struct ambient_error *err)
{
	int64_t rv, compacted, last, relaxed;
	int rc = am_db_number(db, "SELECT v FROM meta WHERE k = 'rv'", &rv, err);

	if (rc == 0)
		rc = am_db_number(db, "SELECT v FROM meta WHERE k = 'compacted'", &compacted, err);
	if (rc == 0)
		rc = am_db_number(db, "SELECT v FROM meta WHERE k = 'relaxed'", &relaxed, err);
	if (rc == 0)
		rc = am_db_number(db, "SELECT coalesce(max(rv), 0) FROM log", &last, err);
	if (rc < 0)
		return rc;
	if (rv <= 0 || last > rv)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is damaged: its revision is %lld, its history ends at %lld; "
				   "restore a backup", (long long)rv, (long long)last);
	if (relaxed != 0 && unclean)
		compacted = rv += EPOCH;
	db->rv = (uint64_t)rv;
	db->compacted = (uint64_t)compacted;
	if ((relaxed == 0) == full_sync && !(relaxed != 0 && unclean))
		return 0;
	rc = am_db_begin(db, err);
	if (rc == 0)
		rc = am_db_set_meta(db, "rv", db->rv, err);
	if (rc == 0)
		rc = am_db_set_meta(db, "compacted", db->compacted, err);
	if (rc == 0)
		rc = am_db_set_meta(db, "relaxed", full_sync ? 0 : 1, err);
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	am_db_rollback(db);
	return rc;
}

static int
prepare(struct am_db *db, bool full_sync, bool unclean, int64_t now_ns, struct ambient_error *err)
{
	sqlite3_busy_timeout(db->handle, 5000);
	int format = identify(db, err);
	if (format < 0)
		return format;
	int rc = format == 0 ? create(db, now_ns, err) : unclean ? check_pages(db, err) : 0;
	if (rc == 0 && format > 0)
		rc = migrate(db, format, err);
	if (rc == 0)
		rc = am_db_exec(db, full_sync ? "PRAGMA synchronous=FULL;" : "PRAGMA synchronous=NORMAL;", err);
	if (rc == 0)
		/* A small cache: objects are read from our own memory, never from here.  The write-ahead log keeps its size: it
		 * is overwritten from its start after each checkpoint, on space that nobody can take away. */
		rc = am_db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0;"
			  "PRAGMA journal_size_limit=-1; PRAGMA cache_size=-2048; PRAGMA secure_delete=FAST;", err);
	if (rc == 0 && am_db_prepare(db) != SQLITE_OK)
		rc = am_db_fail(db, "prepare its statements", err);
	if (rc == 0)
		rc = settle(db, full_sync, unclean, err);
	if (rc == 0)
		rc = am_db_space_init(db, err);
	return rc;
}

int
am_db_open(const char *dir, bool full_sync, int64_t now_ns, struct am_db **ret, struct ambient_error *err)
{
	struct am_db *db = am_xcalloc(1, sizeof(*db));
	char *path = am_xasprintf("%s/state.db", dir), *wal = am_xasprintf("%s-wal", path);
	struct stat st;
	/* An orderly close leaves none. */
	bool unclean = stat(wal, &st) == 0 && st.st_size > 0;
	mode_t mask = umask(0077);
	int rc = sqlite3_open_v2(path, &db->handle,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s: cannot open: %s", path,
				 db->handle != NULL ? sqlite3_errmsg(db->handle) : "no memory");
	else
		rc = prepare(db, full_sync, unclean, now_ns, err);
	umask(mask);
	free(path);
	free(wal);
	if (rc < 0) {
		am_db_close(db);
		return rc;
	}
	*ret = db;
	return 0;
}

void
am_db_close(struct am_db *db)
{
	if (db == NULL)
		return;
	for (int i = 0; i < S__COUNT; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->handle);
	am_buf_fini(&db->body);
	am_buf_fini(&db->prev);
	free(db->is_sealed);
	free(db);
}

