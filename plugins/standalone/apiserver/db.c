/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: current state (obj) and history (log) in one SQLite file, written by one thread.  Bodies are JSON
 * without resourceVersion.  The revision is stored once per transaction in meta.rv, so a revision that was given
 * out is never given out again; a new database starts at a number made from the time, so that clients of an
 * older one are told 410 instead of being lied to.
 *
 * The format: application_id "AmbS", user_version 1.  A file with another application_id or a higher version is
 * left alone and refused.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "plugins/standalone/apiserver/engine_priv.h"
#include "plugins/standalone/apiserver/seal.h"

#define APPLICATION_ID 0x416d6253 /* "AmbS" */
#define USER_VERSION   1

enum statement {
	S_BEGIN, S_COMMIT, S_ROLLBACK, S_META, S_INSERT, S_UPDATE, S_DELETE, S_LOG, S_RES_FIND, S_RES_ADD, S_TRIM_FIND,
	S_TRIM, S__COUNT
};

static const char *const statements[S__COUNT] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_META] = "INSERT INTO meta(k, v) VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET v = ?2",
	[S_INSERT] = "INSERT INTO obj(res, ns, name, rv, mtime, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[S_UPDATE] = "UPDATE obj SET rv = ?2, mtime = ?3, body = ?4 WHERE id = ?1",
	[S_DELETE] = "DELETE FROM obj WHERE id = ?1",
	[S_LOG] = "INSERT INTO log(rv, res, ns, name, op, ts, body, prev) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[S_RES_FIND] = "SELECT id FROM res WHERE grp = ?1 AND plural = ?2",
	[S_RES_ADD] = "INSERT INTO res(grp, plural) VALUES(?1, ?2)",
	[S_TRIM_FIND] = ("SELECT max(rv) FROM (SELECT rv FROM log WHERE rv <= "
			 "(SELECT rv FROM log ORDER BY rv DESC LIMIT 1 OFFSET ?1) AND ts <= ?2 ORDER BY rv LIMIT ?3)"),
	[S_TRIM] = "DELETE FROM log WHERE rv <= ?1",
};

static const char *const schema =
	"CREATE TABLE meta(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
	"CREATE TABLE res(id INTEGER PRIMARY KEY AUTOINCREMENT, grp TEXT NOT NULL, plural TEXT NOT NULL,"
	" UNIQUE(grp, plural));"
	"CREATE TABLE obj(id INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" rv INTEGER NOT NULL, mtime INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE UNIQUE INDEX obj_key ON obj(res, ns, name);"
	"CREATE TABLE log(rv INTEGER PRIMARY KEY, res INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" op INTEGER NOT NULL, ts INTEGER NOT NULL, body BLOB, prev BLOB);";

struct am_db {
	sqlite3 *handle;
	sqlite3_stmt *stmt[S__COUNT];
	uint64_t rv, compacted;
	/* Encryption of the bodies of some resources. */
	const struct am_seal *seal; /* NULL: none */
	const char *const *sealed;  /* their names, ended by NULL */
	bool *is_sealed;            /* by their numbers */
	size_t n_is_sealed;
	struct am_buf body, prev;   /* of the row that is being written or read */
};

static int
fail(struct am_db *db, const char *what, struct ambient_error *err)
{
	int code = sqlite3_extended_errcode(db->handle);
	bool full = (code & 0xff) == SQLITE_FULL;

	return ambient_err(err, full ? AMBIENT_E_NOMEM : AMBIENT_E_UNAVAILABLE, "state.db: cannot %s: %s%s", what,
			   sqlite3_errmsg(db->handle), full ? "; free some disk space" : "");
}

/* Runs a statement that gives no row. */
static int
run(struct am_db *db, enum statement s, const char *what, struct ambient_error *err)
{
	int rc = sqlite3_step(db->stmt[s]);

	sqlite3_reset(db->stmt[s]);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : fail(db, what, err);
}

static int
exec(struct am_db *db, const char *sql, struct ambient_error *err)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, "prepare the file", err);
}

/* The first column of the first row, 0 when there is none. */
static int
number(struct am_db *db, const char *sql, int64_t *ret, struct ambient_error *err)
{
	sqlite3_stmt *stmt = NULL;

	*ret = 0;
	if (sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL) != SQLITE_OK)
		return fail(db, "read the file", err);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : fail(db, "read the file", err);
}

static int
set_meta(struct am_db *db, const char *key, uint64_t value, struct ambient_error *err)
{
	sqlite3_bind_text(db->stmt[S_META], 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->stmt[S_META], 2, (int64_t)value);
	return run(db, S_META, "write", err);
}

/* 1: a file of ours; 0: an empty one; negative: refused. */
static int
identify(struct am_db *db, struct ambient_error *err)
{
	int64_t application, version, tables;
	int rc = number(db, "PRAGMA application_id", &application, err);

	if (rc == 0)
		rc = number(db, "PRAGMA user_version", &version, err);
	if (rc == 0)
		rc = number(db, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (rc < 0)
		return rc;
	if (application == 0 && version == 0 && tables == 0)
		return 0;
	if (application != APPLICATION_ID)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is a database of another program; move it away or use "
				   "another state directory");
	if (version > USER_VERSION)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db has format %lld, this release reads up to %d; use the "
				   "release that wrote it", (long long)version, USER_VERSION);
	return 1;
}

static int
create(struct am_db *db, int64_t now_ns, struct ambient_error *err)
{
	char sql[256];
	/* 1,000 revisions for each second since 2020: more than a database lives through. */
	int64_t start = AM_MAX((now_ns / AM_NS_PER_S - INT64_C(1577836800)) * 1000, INT64_C(1000));

	snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES('rv', %lld), ('compacted', %lld);"
		 "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;", (long long)start, (long long)start,
		 APPLICATION_ID, USER_VERSION);
	int rc = exec(db, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; BEGIN IMMEDIATE;", err);
	if (rc == 0)
		rc = exec(db, schema, err);
	return rc == 0 ? exec(db, sql, err) : rc;
}

static int
prepare(struct am_db *db, bool full_sync, int64_t now_ns, struct ambient_error *err)
{
	int64_t rv, compacted, last;

	sqlite3_busy_timeout(db->handle, 5000);
	int known = identify(db, err);
	if (known < 0)
		return known;
	int rc = known == 0 ? create(db, now_ns, err) : 0;
	if (rc == 0)
		rc = exec(db, full_sync ? "PRAGMA synchronous=FULL;" : "PRAGMA synchronous=NORMAL;", err);
	if (rc == 0)
		/* A small cache: objects are read from our own memory, never from here. */
		rc = exec(db, "PRAGMA journal_mode=WAL; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0;"
			  "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-2048;", err);
	for (int i = 0; rc == 0 && i < S__COUNT; i++)
		if (sqlite3_prepare_v3(db->handle, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL) != SQLITE_OK)
			rc = fail(db, "prepare its statements", err);
	if (rc == 0)
		rc = number(db, "SELECT v FROM meta WHERE k = 'rv'", &rv, err);
	if (rc == 0)
		rc = number(db, "SELECT v FROM meta WHERE k = 'compacted'", &compacted, err);
	if (rc == 0)
		rc = number(db, "SELECT coalesce(max(rv), 0) FROM log", &last, err);
	if (rc < 0)
		return rc;
	if (rv <= 0 || last > rv)
		return ambient_err(err, AMBIENT_E_INVALID, "state.db is damaged: its revision is %lld, its history ends at %lld; "
				   "restore a copy", (long long)rv, (long long)last);
	db->rv = (uint64_t)rv;
	db->compacted = (uint64_t)compacted;
	if (known == 0 || full_sync)
		return 0;
	/* Without full sync the last transactions may be gone: never give their revisions out again. */
	db->rv += 1000000;
	return set_meta(db, "rv", db->rv, err);
}

/* ---- encryption ---- */

void
am_db_set_seal(struct am_db *db, const struct am_seal *seal, const char *const *resources)
{
	db->seal = seal;
	db->sealed = resources;
}

/* A resource and its number are known from now on. */
static void
note_res(struct am_db *db, int64_t id, const char *group, const char *plural)
{
	char name[512];
	bool sealed = false;

	if (db->seal == NULL || id <= 0 || id > 1000000)
		return;
	snprintf(name, sizeof(name), "%s%s%s", plural, *group != '\0' ? "." : "", group);
	for (size_t i = 0; db->sealed[i] != NULL; i++)
		sealed = sealed || strcmp(db->sealed[i], name) == 0;
	if ((size_t)id >= db->n_is_sealed) {
		db->is_sealed = am_xrealloc(db->is_sealed, (size_t)id + 1, sizeof(bool));
		memset(db->is_sealed + db->n_is_sealed, 0, (size_t)id + 1 - db->n_is_sealed);
		db->n_is_sealed = (size_t)id + 1;
	}
	db->is_sealed[id] = sealed;
}

static bool
is_sealed(const struct am_db *db, int64_t res)
{
	return res > 0 && (size_t)res < db->n_is_sealed && db->is_sealed[res];
}

/* Binds a body as it is to be stored; scratch lives until the statement was run. */
static int
bind_body(struct am_db *db, sqlite3_stmt *s, int at, const struct am_db_row *row, char column, struct am_buf *scratch,
	  struct ambient_error *err)
{
	const void *body = column == 'p' ? row->prev : row->body;
	size_t len = column == 'p' ? row->prev_len : row->len;
	const struct am_seal_row place = { row->res, row->rv, row->ns, row->name, column };

	if (body != NULL && is_sealed(db, row->res)) {
		am_buf_reset(scratch);
		int rc = am_seal_encode(db->seal, &place, body, len, scratch, err);
		if (rc < 0)
			return rc;
		body = scratch->data;
		len = scratch->len;
	}
	if (body != NULL)
		sqlite3_bind_blob64(s, at, body, len, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, at);
	return 0;
}

/* Puts the clear text of a body that was read in its place. */
static int
open_body(struct am_db *db, const struct am_db_row *row, char column, const void **body, size_t *len,
	  struct am_buf *scratch, struct ambient_error *err)
{
	const struct am_seal_row place = { row->res, row->rv, row->ns, row->name, column };

	if (*body == NULL || !am_seal_is_sealed(*body, *len))
		return 0;
	am_buf_reset(scratch);
	int rc = am_seal_decode(db->seal, &place, *body, *len, scratch, err);
	if (rc < 0)
		return am_err_prefix(err, "state.db");
	*body = am_buf_str(scratch);
	*len = scratch->len;
	return 0;
}

int
am_db_open(const char *dir, bool full_sync, int64_t now_ns, struct am_db **ret, struct ambient_error *err)
{
	struct am_db *db = am_xcalloc(1, sizeof(*db));
	char *path = am_xasprintf("%s/state.db", dir);
	mode_t mask = umask(0077);
	int rc = sqlite3_open_v2(path, &db->handle,
				 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (rc != SQLITE_OK)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s: cannot open: %s", path,
				 db->handle != NULL ? sqlite3_errmsg(db->handle) : "no memory");
	else
		rc = prepare(db, full_sync, now_ns, err);
	umask(mask);
	free(path);
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

uint64_t
am_db_rv(const struct am_db *db)
{
	return db->rv;
}

uint64_t
am_db_compacted(const struct am_db *db)
{
	return db->compacted;
}

int
am_db_begin(struct am_db *db, struct ambient_error *err)
{
	return run(db, S_BEGIN, "begin", err);
}

int
am_db_commit(struct am_db *db, uint64_t rv, struct ambient_error *err)
{
	int rc = rv != db->rv ? set_meta(db, "rv", rv, err) : 0;

	if (rc == 0)
		rc = run(db, S_COMMIT, "commit", err);
	if (rc == 0)
		db->rv = rv;
	return rc;
}

void
am_db_rollback(struct am_db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		(void)run(db, S_ROLLBACK, "roll back", NULL);
}

int
am_db_res(struct am_db *db, const char *group, const char *plural, int64_t *ret_id, struct ambient_error *err)
{
	sqlite3_stmt *find = db->stmt[S_RES_FIND], *add = db->stmt[S_RES_ADD];

	sqlite3_bind_text(find, 1, group, -1, SQLITE_STATIC);
	sqlite3_bind_text(find, 2, plural, -1, SQLITE_STATIC);
	int rc = sqlite3_step(find);
	*ret_id = rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
	sqlite3_reset(find);
	if (rc == SQLITE_ROW)
		note_res(db, *ret_id, group, plural);
	if (rc == SQLITE_ROW)
		return 0;
	if (rc != SQLITE_DONE)
		return fail(db, "read", err);
	sqlite3_bind_text(add, 1, group, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 2, plural, -1, SQLITE_STATIC);
	rc = run(db, S_RES_ADD, "write", err);
	*ret_id = sqlite3_last_insert_rowid(db->handle);
	note_res(db, *ret_id, group, plural);
	return rc;
}

int
am_db_insert(struct am_db *db, struct am_db_row *row, struct ambient_error *err)
{
	sqlite3_stmt *s = db->stmt[S_INSERT];

	sqlite3_bind_int64(s, 1, row->res);
	sqlite3_bind_text(s, 2, row->ns, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 3, row->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 4, (int64_t)row->rv);
	sqlite3_bind_int64(s, 5, row->mtime);
	int rc = bind_body(db, s, 6, row, 'b', &db->body, err);
	if (rc == 0)
		rc = run(db, S_INSERT, "write", err);
	row->id = sqlite3_last_insert_rowid(db->handle);
	return rc;
}

int
am_db_update(struct am_db *db, const struct am_db_row *row, struct ambient_error *err)
{
	sqlite3_stmt *s = db->stmt[S_UPDATE];

	sqlite3_bind_int64(s, 1, row->id);
	sqlite3_bind_int64(s, 2, (int64_t)row->rv);
	sqlite3_bind_int64(s, 3, row->mtime);
	int rc = bind_body(db, s, 4, row, 'b', &db->body, err);
	return rc == 0 ? run(db, S_UPDATE, "write", err) : rc;
}

int
am_db_delete(struct am_db *db, int64_t id, struct ambient_error *err)
{
	sqlite3_bind_int64(db->stmt[S_DELETE], 1, id);
	return run(db, S_DELETE, "write", err);
}

int
am_db_log(struct am_db *db, const struct am_db_row *row, struct ambient_error *err)
{
	sqlite3_stmt *s = db->stmt[S_LOG];

	sqlite3_bind_int64(s, 1, (int64_t)row->rv);
	sqlite3_bind_int64(s, 2, row->res);
	sqlite3_bind_text(s, 3, row->ns, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 4, row->name, -1, SQLITE_STATIC);
	sqlite3_bind_int(s, 5, row->op);
	sqlite3_bind_int64(s, 6, row->mtime);
	int rc = bind_body(db, s, 7, row, 'b', &db->body, err);
	if (rc == 0)
		rc = bind_body(db, s, 8, row, 'p', &db->prev, err);
	return rc == 0 ? run(db, S_LOG, "write", err) : rc;
}

/* ---- reading at start ---- */

int
am_db_each_res(struct am_db *db, int (*fn)(void *arg, int64_t id, const char *group, const char *plural), void *arg,
	       struct ambient_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (sqlite3_prepare_v2(db->handle, "SELECT id, grp, plural FROM res ORDER BY id", -1, &s, NULL) != SQLITE_OK)
		return fail(db, "read", err);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *group = (const char *)sqlite3_column_text(s, 1), *plural = (const char *)sqlite3_column_text(s, 2);

		note_res(db, sqlite3_column_int64(s, 0), group, plural);
		if (fn(arg, sqlite3_column_int64(s, 0), group, plural) < 0)
			break;
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : fail(db, "read", err);
}

static int
each_row(struct am_db *db, const char *sql, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc, ret = 0;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
		return fail(db, "read", err);
	while (ret == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct am_db_row row = {
			.id = sqlite3_column_int64(s, 0), .res = sqlite3_column_int64(s, 1),
			.ns = (const char *)sqlite3_column_text(s, 2), .name = (const char *)sqlite3_column_text(s, 3),
			.rv = (uint64_t)sqlite3_column_int64(s, 4), .mtime = sqlite3_column_int64(s, 5),
			.body = sqlite3_column_blob(s, 6), .len = (size_t)sqlite3_column_bytes(s, 6),
			.prev = sqlite3_column_blob(s, 7), .prev_len = (size_t)sqlite3_column_bytes(s, 7),
			.op = sqlite3_column_int(s, 8),
		};
		ret = open_body(db, &row, 'b', &row.body, &row.len, &db->body, err);
		if (ret == 0)
			ret = open_body(db, &row, 'p', &row.prev, &row.prev_len, &db->prev, err);
		if (ret == 0)
			ret = fn(arg, &row, err);
	}
	sqlite3_finalize(s);
	if (ret < 0)
		return ret;
	return rc == SQLITE_DONE ? 0 : fail(db, "read", err);
}

int
am_db_each_object(struct am_db *db, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	return each_row(db, "SELECT id, res, ns, name, rv, mtime, body, NULL, 0 FROM obj ORDER BY res, ns, name", fn, arg,
			err);
}

int
am_db_each_log(struct am_db *db, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	return each_row(db, "SELECT 0, res, ns, name, rv, ts, body, prev, op FROM log ORDER BY rv", fn, arg, err);
}

/* ---- what was written without the key, or with an older one ---- */

struct stale {
	int64_t *keys; /* of obj: id; of log: rv */
	size_t n;
	bool clear;    /* some were in clear text */
};

static void
note_stale(struct am_db *db, sqlite3_stmt *s, struct stale *stale)
{
	bool found = false;

	for (int column = 2; column <= 3; column++) {
		const void *body = sqlite3_column_blob(s, column);
		size_t n = (size_t)sqlite3_column_bytes(s, column);

		if (body == NULL || !am_seal_is_stale(db->seal, body, n))
			continue;
		found = true;
		stale->clear = stale->clear || !am_seal_is_sealed(body, n);
	}
	if (!found)
		return;
	stale->keys = am_xrealloc(stale->keys, stale->n + 1, sizeof(*stale->keys));
	stale->keys[stale->n++] = sqlite3_column_int64(s, 0);
}

static int
find_stale(struct am_db *db, const char *sql, struct stale *stale, struct ambient_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
		return fail(db, "read", err);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (is_sealed(db, sqlite3_column_int64(s, 1)))
			note_stale(db, s, stale);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : fail(db, "read", err);
}

struct reseal {
	struct am_db *db;
	sqlite3_stmt *write;
	bool log;
	struct am_buf body, prev;
};

static int
reseal_row(void *arg, const struct am_db_row *row, struct ambient_error *err)
{
	struct reseal *r = arg;
	sqlite3_stmt *s = r->write;

	sqlite3_bind_int64(s, 1, r->log ? (int64_t)row->rv : row->id);
	int rc = bind_body(r->db, s, 2, row, 'b', &r->body, err);
	if (rc == 0 && r->log)
		rc = bind_body(r->db, s, 3, row, 'p', &r->prev, err);
	if (rc == 0 && sqlite3_step(s) != SQLITE_DONE)
		rc = fail(r->db, "encrypt", err);
	sqlite3_reset(s);
	return rc;
}

static int
reseal_table(struct am_db *db, bool log, const struct stale *stale, struct ambient_error *err)
{
	struct reseal r = { .db = db, .log = log };
	int rc = 0;

	if (sqlite3_prepare_v2(db->handle, log ? "UPDATE log SET body = ?2, prev = ?3 WHERE rv = ?1"
					       : "UPDATE obj SET body = ?2 WHERE id = ?1", -1, &r.write, NULL) != SQLITE_OK)
		return fail(db, "encrypt", err);
	for (size_t i = 0; rc == 0 && i < stale->n; i++) {
		char sql[160];

		snprintf(sql, sizeof(sql), log ? "SELECT 0, res, ns, name, rv, ts, body, prev, op FROM log WHERE rv = %lld"
					       : "SELECT id, res, ns, name, rv, mtime, body, NULL, 0 FROM obj WHERE id = %lld",
			 (long long)stale->keys[i]);
		rc = each_row(db, sql, reseal_row, &r, err);
	}
	sqlite3_finalize(r.write);
	am_buf_fini(&r.body);
	am_buf_fini(&r.prev);
	return rc;
}

int
am_db_reseal(struct am_db *db, size_t *ret_n, struct ambient_error *err)
{
	struct stale objects = { 0 }, history = { 0 };
	int rc = 0;

	*ret_n = 0;
	if (db->seal == NULL)
		return 0;
	rc = exec(db, "PRAGMA secure_delete=ON;", err);
	if (rc == 0)
		rc = find_stale(db, "SELECT id, res, body, NULL FROM obj", &objects, err);
	if (rc == 0)
		rc = find_stale(db, "SELECT rv, res, body, prev FROM log", &history, err);
	if (rc == 0 && objects.n + history.n > 0) {
		rc = am_db_begin(db, err);
		if (rc == 0)
			rc = reseal_table(db, false, &objects, err);
		if (rc == 0)
			rc = reseal_table(db, true, &history, err);
		if (rc == 0)
			rc = am_db_commit(db, db->rv, err);
		if (rc < 0)
			am_db_rollback(db);
	}
	/* The clear text is still in free pages and in the write-ahead log. */
	if (rc == 0 && (objects.clear || history.clear)) {
		rc = exec(db, "VACUUM;", err);
		am_db_checkpoint(db, true);
	}
	*ret_n = objects.n + history.n;
	free(objects.keys);
	free(history.keys);
	return rc;
}

/* ---- upkeep ---- */

int
am_db_trim(struct am_db *db, int64_t keep, int64_t older_than_ns, int batch, bool *ret_left, struct ambient_error *err)
{
	sqlite3_stmt *find = db->stmt[S_TRIM_FIND];

	*ret_left = false;
	sqlite3_bind_int64(find, 1, keep);
	sqlite3_bind_int64(find, 2, older_than_ns);
	sqlite3_bind_int(find, 3, batch);
	uint64_t upto = sqlite3_step(find) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(find, 0) : 0;
	sqlite3_reset(find);
	if (upto == 0)
		return 0;
	int rc = am_db_begin(db, err);
	if (rc < 0)
		return rc;
	sqlite3_bind_int64(db->stmt[S_TRIM], 1, (int64_t)upto);
	rc = run(db, S_TRIM, "trim its history", err);
	*ret_left = rc == 0 && sqlite3_changes(db->handle) >= batch;
	if (rc == 0)
		rc = set_meta(db, "compacted", upto, err);
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	if (rc < 0)
		am_db_rollback(db);
	else
		db->compacted = upto;
	return rc;
}

void
am_db_checkpoint(struct am_db *db, bool truncate)
{
	(void)sqlite3_wal_checkpoint_v2(db->handle, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
					NULL, NULL);
	if (truncate)
		(void)sqlite3_exec(db->handle, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
}
