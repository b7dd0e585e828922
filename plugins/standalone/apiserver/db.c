/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database: current state (obj) and history (log) in one SQLite file, written by one thread.  Bodies are JSON
 * without resourceVersion.  The revision is stored once per transaction in meta.rv, so a revision that was given
 * out is never given out again; a new database starts at a number made from the time, so that clients of an
 * older one are told 410 instead of being lied to.
 */
#include <errno.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/db_priv.h"
#include "plugins/standalone/apiserver/seal.h"

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
	[S_PAGES] = "PRAGMA page_count",
	[S_FREE] = "PRAGMA freelist_count",
	[S_RESERVE_HAS] = "SELECT count(*) FROM reserve",
	[S_RESERVE_PUT] = "INSERT INTO reserve(body) VALUES(zeroblob(?1))",
	[S_RESERVE_DROP] = "DELETE FROM reserve",
};

int
am_db_prepare(struct am_db *db)
{
	int rc = SQLITE_OK;

	for (int i = 0; rc == SQLITE_OK && i < S__COUNT; i++)
		rc = sqlite3_prepare_v3(db->handle, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL);
	return rc;
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
am_db_fail(struct am_db *db, const char *what, struct ambient_error *err)
{
	int code = sqlite3_extended_errcode(db->handle), number = sqlite3_system_errno(db->handle);

	db->full = (code & 0xff) == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT));
	return ambient_err(err, db->full ? AMBIENT_E_NOMEM : AMBIENT_E_UNAVAILABLE, "state.db: cannot %s: %s%s", what,
			   sqlite3_errmsg(db->handle), db->full ? "; free some disk space" : "");
}

bool
am_db_full(const struct am_db *db)
{
	return db->full;
}

/* Runs a statement that gives no row. */
int
am_db_run(struct am_db *db, enum am_db_statement s, const char *what, struct ambient_error *err)
{
	int rc = sqlite3_step(db->stmt[s]);

	if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
		sqlite3_reset(db->stmt[s]);
		return 0;
	}
	/* The reset would say the same again, but by then for a statement that is over. */
	int ret = am_db_fail(db, what, err);
	sqlite3_reset(db->stmt[s]);
	return ret;
}

int
am_db_set_meta(struct am_db *db, const char *key, uint64_t value, struct ambient_error *err)
{
	sqlite3_bind_text(db->stmt[S_META], 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->stmt[S_META], 2, (int64_t)value);
	return am_db_run(db, S_META, "write", err);
}

int
am_db_mark(struct am_db *db, int64_t res, uint64_t shape, uint64_t rv, struct ambient_error *err)
{
	char key[2][40];
	int rc = am_db_begin(db, err);

	snprintf(key[0], sizeof(key[0]), "shape.%lld", (long long)res);
	snprintf(key[1], sizeof(key[1]), "shaped.%lld", (long long)res);
	if (rc == 0)
		rc = am_db_set_meta(db, key[0], shape, err);
	if (rc == 0)
		rc = am_db_set_meta(db, key[1], rv, err);
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	am_db_rollback(db);
	return rc;
}

uint64_t
am_db_marked(struct am_db *db, int64_t res, uint64_t shape)
{
	char sql[192];
	int64_t rv;

	snprintf(sql, sizeof(sql), "SELECT b.v FROM meta a, meta b WHERE a.k = 'shape.%lld' AND b.k = 'shaped.%lld' AND a.v = %lld",
		 (long long)res, (long long)res, (long long)shape);
	return am_db_number(db, sql, &rv, NULL) == 0 && rv > 0 ? (uint64_t)rv : UINT64_MAX;
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
	db->full = false;
	return am_db_run(db, S_BEGIN, "begin", err);
}

int
am_db_commit(struct am_db *db, uint64_t rv, struct ambient_error *err)
{
	int rc = rv != db->rv ? am_db_set_meta(db, "rv", rv, err) : 0;

	if (rc == 0)
		rc = am_db_run(db, S_COMMIT, "commit", err);
	if (rc == 0)
		db->rv = rv;
	return rc;
}

void
am_db_rollback(struct am_db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		(void)am_db_run(db, S_ROLLBACK, "roll back", NULL);
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
		return am_db_fail(db, "read", err);
	sqlite3_bind_text(add, 1, group, -1, SQLITE_STATIC);
	sqlite3_bind_text(add, 2, plural, -1, SQLITE_STATIC);
	rc = am_db_run(db, S_RES_ADD, "write", err);
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
		rc = am_db_run(db, S_INSERT, "write", err);
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
	return rc == 0 ? am_db_run(db, S_UPDATE, "write", err) : rc;
}

int
am_db_delete(struct am_db *db, int64_t id, struct ambient_error *err)
{
	sqlite3_bind_int64(db->stmt[S_DELETE], 1, id);
	return am_db_run(db, S_DELETE, "write", err);
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
	return rc == 0 ? am_db_run(db, S_LOG, "write", err) : rc;
}

/* ---- reading at start ---- */

int
am_db_each_res(struct am_db *db, int (*fn)(void *arg, int64_t id, const char *group, const char *plural), void *arg,
	       struct ambient_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc;

	if (sqlite3_prepare_v2(db->handle, "SELECT id, grp, plural FROM res ORDER BY id", -1, &s, NULL) != SQLITE_OK)
		return am_db_fail(db, "read", err);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *group = (const char *)sqlite3_column_text(s, 1), *plural = (const char *)sqlite3_column_text(s, 2);

		note_res(db, sqlite3_column_int64(s, 0), group, plural);
		if (fn(arg, sqlite3_column_int64(s, 0), group, plural) < 0)
			break;
	}
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : am_db_fail(db, "read", err);
}

static int
each_row(struct am_db *db, const char *sql, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc, ret = 0;

	if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
		return am_db_fail(db, "read", err);
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
	return rc == SQLITE_DONE ? 0 : am_db_fail(db, "read", err);
}

int
am_db_each_object(struct am_db *db, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	return each_row(db, "SELECT id, res, ns, name, rv, mtime, body, NULL, 0 FROM obj ORDER BY res, ns, name", fn, arg,
			err);
}

int
am_db_each_log(struct am_db *db, const struct am_db_range *range, am_db_row_f *fn, void *arg, struct ambient_error *err)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "SELECT 0, res, ns, name, rv, ts, body, prev, op FROM log WHERE rv > %lld AND rv <= %lld "
		 "AND %lld IN (0, res) ORDER BY rv", (long long)range->after, (long long)range->upto, (long long)range->res);
	return each_row(db, sql, fn, arg, err);
}

int
am_db_log_start(struct am_db *db, size_t rows, uint64_t *ret, struct ambient_error *err)
{
	char sql[128];
	int64_t rv;

	snprintf(sql, sizeof(sql), "SELECT rv FROM log ORDER BY rv DESC LIMIT 1 OFFSET %zu", rows);
	int rc = am_db_number(db, sql, &rv, err);
	*ret = (uint64_t)rv;
	return rc;
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
		return am_db_fail(db, "read", err);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if (is_sealed(db, sqlite3_column_int64(s, 1)))
			note_stale(db, s, stale);
	sqlite3_finalize(s);
	return rc == SQLITE_DONE ? 0 : am_db_fail(db, "read", err);
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
		rc = am_db_fail(r->db, "encrypt", err);
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
		return am_db_fail(db, "encrypt", err);
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
	rc = am_db_exec(db, "PRAGMA secure_delete=ON;", err);
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
	if (rc == 0 && (objects.clear || history.clear))
		rc = am_db_rewrite(db, err);
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
	rc = am_db_run(db, S_TRIM, "trim its history", err);
	*ret_left = rc == 0 && sqlite3_changes(db->handle) >= batch;
	if (rc == 0)
		rc = am_db_set_meta(db, "compacted", upto, err);
	if (rc == 0)
		rc = am_db_commit(db, db->rv, err);
	if (rc < 0)
		am_db_rollback(db);
	else
		db->compacted = upto;
	return rc;
}
