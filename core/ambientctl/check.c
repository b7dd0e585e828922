/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standalone check: is the API server's database whole?  All of SQLite's own check of its pages and indexes, and then what
 * only we know: that revisions fit together and each stored object is JSON.  One read transaction, so that it can be done
 * while the server runs, and nothing is written, not even what an unclean end has left in the write-ahead log.
 */
#include <stdlib.h>
#include <string.h>

#include "core/ambientctl/standalone.h"
#include "core/data/scan.h"

#define SAID_MAX 20

struct check {
	sqlite3 *db;
	const char *path;
	int64_t mistakes, sealed, rows;
};

static void am_printf_(2, 3)
mistake(struct check *c, const char *fmt, ...)
{
	va_list ap;

	if (++c->mistakes > SAID_MAX)
		return;
	va_start(ap, fmt);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "%s: ", c->path);
	ctl_put_clean(stderr, am_buf_str(&text), true);
	(void)fputc('\n', stderr);
}

static int
on_progress(void *arg)
{
	(void)arg;
	return ctl_interrupted != 0;
}

/* fn gets each row. */
static int
each(struct check *c, const char *sql, void (*fn)(struct check *c, sqlite3_stmt *row), struct ambient_error *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		fn(c, stmt);
		rc = SQLITE_OK;
	}
	if ((rc & 0xff) == SQLITE_CORRUPT)
		mistake(c, "%s", sqlite3_errmsg(c->db));
	sqlite3_finalize(stmt);
	if (rc == SQLITE_DONE || (rc & 0xff) == SQLITE_CORRUPT)
		return 0;
	return rc == SQLITE_INTERRUPT ? ambient_err(err, AMBIENT_E_CANCELLED, "interrupted") : ctl_db_fail(c->db, c->path, err);
}

static void
page_row(struct check *c, sqlite3_stmt *row)
{
	const char *said = (const char *)sqlite3_column_text(row, 0);

	if (said == NULL || strcmp(said, "ok") != 0)
		mistake(c, "%s", said != NULL ? said : "no memory");
}

/* Columns: what, namespace, name, revision, text. */
static void
body_row(struct check *c, sqlite3_stmt *row)
{
	const char *text = sqlite3_column_blob(row, 4);
	size_t n = (size_t)sqlite3_column_bytes(row, 4);

	c->rows++;
	if (n > 0 && *text != '{')
		c->sealed++;
	else if (n == 0 || am_json_check(text, n, NULL) < 0)
		mistake(c, "%s %s/%s at revision %lld is no JSON", sqlite3_column_text(row, 0), sqlite3_column_text(row, 1),
			sqlite3_column_text(row, 2), (long long)sqlite3_column_int64(row, 3));
}

static void
revision_row(struct check *c, sqlite3_stmt *row)
{
	int64_t rv = sqlite3_column_int64(row, 0), objects = sqlite3_column_int64(row, 1), history = sqlite3_column_int64(row, 2);

	if (rv <= 0 || objects > rv || history > rv)
		mistake(c, "its revision is %lld, but there are objects up to %lld and history up to %lld", (long long)rv,
			(long long)objects, (long long)history);
}

static void
orphan_row(struct check *c, sqlite3_stmt *row)
{
	mistake(c, "object %s/%s is of resource %lld, which is not there", sqlite3_column_text(row, 0), sqlite3_column_text(row, 1),
		(long long)sqlite3_column_int64(row, 2));
}

static int
look(struct check *c, struct ambient_error *err)
{
	int rc = each(c, "PRAGMA integrity_check(20)", page_row, err);

	/* On damaged pages the rest would only say the same in other words. */
	if (rc < 0 || c->mistakes > 0)
		return rc;
	rc = each(c, "SELECT (SELECT v FROM meta WHERE k = 'rv'), (SELECT coalesce(max(rv), 0) FROM obj), "
		     "(SELECT coalesce(max(rv), 0) FROM log)", revision_row, err);
	if (rc == 0)
		rc = each(c, "SELECT ns, name, res FROM obj WHERE res NOT IN (SELECT id FROM res)", orphan_row, err);
	if (rc == 0)
		rc = each(c, "SELECT 'object', ns, name, rv, body FROM obj", body_row, err);
	if (rc == 0)
		rc = each(c, "SELECT 'event of', ns, name, rv, body FROM log", body_row, err);
	return rc;
}

static int
say(const struct check *c, struct ambient_error *err)
{
	int64_t objects = 0, rv = 0;
	int rc = ctl_db_number(c->db, c->path, "SELECT count(*) FROM obj", &objects, err);

	if (rc == 0)
		rc = ctl_db_number(c->db, c->path, "SELECT v FROM meta WHERE k = 'rv'", &rv, err);
	if (rc < 0)
		return rc;
	(void)printf("%s is whole: %lld objects, %lld events of history, revision %lld", c->path, (long long)objects,
		     (long long)(c->rows - objects), (long long)rv);
	if (c->sealed > 0)
		(void)printf("; %lld of them are encrypted and were not looked into", (long long)c->sealed);
	(void)putchar('\n');
	return 0;
}

int
ctl_standalone_check(const char *database)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct check c = { .path = database };
	int rc = ctl_db_open(database, SQLITE_OPEN_READWRITE, &c.db, &err);

	if (rc == 0) {
		(void)sqlite3_db_config(c.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_progress_handler(c.db, 10000, on_progress, NULL);
		if (sqlite3_exec(c.db, "PRAGMA mmap_size=1073741824; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
			rc = ctl_db_fail(c.db, database, &err);
	}
	if (rc == 0)
		rc = ctl_db_is_ours(c.db, database, &err);
	if (rc == 0)
		rc = look(&c, &err);
	if (rc == 0 && c.mistakes == 0)
		rc = say(&c, &err);
	sqlite3_close(c.db);
	if (rc == 0 && c.mistakes > 0)
		rc = ambient_err(&err, AMBIENT_E_INVALID, "%s is damaged; restore a backup", database);
	return rc < 0 ? ctl_fail(&err, "the check found no whole database") : CTL_OK;
}
