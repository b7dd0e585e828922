/* SPDX-License-Identifier: Apache-2.0 */
/*
 * standalone backup, restore, check (check.c): the standalone API server's state in one archive (archive.h): its database, keys,
 * certificates and users.  A backup is taken while the server runs, by SQLite's own means, in one read transaction: it is
 * the state at one revision, and no write waits for it.  A restore is prepared beside the state, verified whole, and put
 * in place by one rename; it tells every client to list again, as they may have seen what the backup does not know.
 */
#include "core/ambientctl/archive.h"
#include "core/ambientctl/standalone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/util.h"

#define APPLICATION_ID INT64_C(0x416d6253)
#define FILES_MAX      1000
#define PAGES          2000 /* copied at a time */
#define SILENCE        (2 * AM_NS_PER_S)

struct member {
	char name[CTL_ARCHIVE_NAME], hex[65];
	int64_t size;
};

struct members {
	struct member *items;
	size_t n;
};

/* ---- progress: for who waits longer than two seconds before a terminal */

struct progress {
	int64_t begun, said;
};

static void
progress_say(struct progress *p, const char *what, int64_t done, int64_t all)
{
	int64_t now = am_clock_boot(am_clock_real());

	if (p->begun == 0)
		p->begun = now;
	if (!isatty(STDERR_FILENO) || now - p->begun < SILENCE || (now - p->said < AM_NS_PER_S / 4 && done < all))
		return;
	p->said = now;
	(void)fprintf(stderr, "\r%s: %lld of %lld MB%s", what, (long long)(done >> 20), (long long)(all >> 20),
		      done >= all ? "\n" : "");
}

/* ---- the database */

int
ctl_db_fail(sqlite3 *db, const char *path, struct ambient_error *err)
{
	return ambient_err(err, AMBIENT_E_INVALID, "%s: %s", path, db != NULL ? sqlite3_errmsg(db) : "no memory");
}

int
ctl_db_open(const char *path, int flags, sqlite3 **ret, struct ambient_error *err)
{
	if (sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
		return ctl_db_fail(*ret, path, err);
	(void)sqlite3_busy_timeout(*ret, 10000);
	return 0;
}

/* The first column of the first row as a text; "" when there is none. */
static int
db_ask(sqlite3 *db, const char *path, const char *sql, char text[64], struct ambient_error *err)
{
	sqlite3_stmt *stmt = NULL;

	text[0] = '\0';
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return ctl_db_fail(db, path, err);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW && sqlite3_column_text(stmt, 0) != NULL)
		am_strlcpy(text, (const char *)sqlite3_column_text(stmt, 0), 64);
	rc = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : ctl_db_fail(db, path, err);
	sqlite3_finalize(stmt);
	return rc;
}

int
ctl_db_number(sqlite3 *db, const char *path, const char *sql, int64_t *ret, struct ambient_error *err)
{
	char text[64];
	int rc = db_ask(db, path, sql, text, err);

	*ret = rc == 0 ? strtoll(text, NULL, 10) : 0;
	return rc;
}

int
ctl_db_is_ours(sqlite3 *db, const char *path, struct ambient_error *err)
{
	int64_t id;
	int rc = ctl_db_number(db, path, "PRAGMA application_id", &id, err);

	return rc < 0 || id == APPLICATION_ID ? rc
		: ambient_err(err, AMBIENT_E_INVALID, "%s is no database of a standalone API server", path);
}

static int
copy_pages(sqlite3 *from, sqlite3 *to, const char *path, struct ambient_error *err)
{
	struct progress progress = { 0 };
	sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
	int rc = backup == NULL ? sqlite3_errcode(to) : SQLITE_OK;

	while (rc == SQLITE_OK && ctl_interrupted == 0) {
		rc = sqlite3_backup_step(backup, PAGES);
		int64_t all = sqlite3_backup_pagecount(backup), left = sqlite3_backup_remaining(backup);
		progress_say(&progress, "copied", (all - left) * 4096, all * 4096);
	}
	(void)sqlite3_backup_finish(backup);
	if (ctl_interrupted != 0)
		return ambient_err(err, AMBIENT_E_CANCELLED, "interrupted");
	return rc == SQLITE_DONE ? 0 : ctl_db_fail(to, path, err);
}

/* A copy at one revision: our read transaction keeps what it has seen, so that no step has to begin again. */
static int
copy_database(const char *from_path, const char *to_path, int64_t *ret_rv, struct ambient_error *err)
{
	sqlite3 *from = NULL, *to = NULL;
	int rc = ctl_db_open(from_path, SQLITE_OPEN_READWRITE, &from, err);

	if (rc == 0 && sqlite3_exec(from, "PRAGMA wal_autocheckpoint=0; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
		rc = ctl_db_fail(from, from_path, err);
	if (rc == 0)
		rc = ctl_db_is_ours(from, from_path, err);
	if (rc == 0)
		rc = ctl_db_number(from, from_path, "SELECT v FROM meta WHERE k = 'rv'", ret_rv, err);
	if (rc == 0)
		rc = ctl_db_open(to_path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to, err);
	if (rc == 0)
		rc = copy_pages(from, to, to_path, err);
	sqlite3_close(to);
	sqlite3_close(from);
	return rc;
}

/* ---- backup */

/* What is made anew at each start, or is no state. */
static bool
left_out(const char *name)
{
	size_t n = strlen(name);

	return name[0] == '.' || am_starts(name, "state.db") || am_starts(name, "audit") ||
	       (n > 5 && strcmp(name + n - 5, ".lock") == 0);
}

static int
add_member(struct members *m, const char *name, const char *path, struct ambient_error *err)
{
	if (m->n == FILES_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "there are more than %d files", FILES_MAX);
	m->items = am_xrealloc(m->items, m->n + 1, sizeof(*m->items));
	struct member *item = &m->items[m->n++];

	am_strlcpy(item->name, name, sizeof(item->name));
	return ctl_archive_hash(path, item->hex, &item->size, err);
}

/* The regular files of dir, and of the directories in it. */
static int
add_files(struct members *m, const char *dir, const char *below, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, below);
	DIR *d = opendir(path);
	struct dirent *entry;
	struct stat st;
	int rc = 0;

	if (d == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "%s: %s", path, strerror(errno));
	while (rc == 0 && (entry = readdir(d)) != NULL) {
		am_auto(am_freep) char *name = am_xasprintf("%s%s%s", below, *below != '\0' ? "/" : "", entry->d_name);
		am_auto(am_freep) char *file = am_xasprintf("%s/%s", dir, name);

		if (left_out(entry->d_name) || lstat(file, &st) < 0)
			continue;
		if (S_ISREG(st.st_mode) && ctl_archive_name_ok(name))
			rc = add_member(m, name, file, err);
		else if (S_ISDIR(st.st_mode) && *below == '\0')
			rc = add_files(m, dir, name, err);
	}
	(void)closedir(d);
	return rc;
}

static int
write_archive(FILE *out, const char *dir, const char *copy, const struct members *m, int64_t rv, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf manifest = { 0 };
	char now[32];

	am_time_format(now, am_clock_wall(am_clock_real()), false);
	am_json_addf(&manifest, "{\"format\":%d,\"release\":%s,\"made\":%s,\"revision\":\"%l\",\"files\":[", CTL_ARCHIVE_FORMAT,
		     PACKAGE_VERSION, now, rv);
	for (size_t i = 0; i < m->n; i++)
		am_json_addf(&manifest, "%j{\"name\":%s,\"size\":%l,\"sha256\":%s}", i > 0 ? "," : "", m->items[i].name,
			     m->items[i].size, m->items[i].hex);
	am_buf_adds(&manifest, "]}\n");
	int rc = ctl_archive_put(out, CTL_MANIFEST, manifest.data, manifest.len, err);
	for (size_t i = 0; rc == 0 && i < m->n; i++) {
		am_auto(am_freep) char *path = i == 0 ? am_xstrdup(copy) : am_xasprintf("%s/%s", dir, m->items[i].name);
		rc = ctl_archive_put_file(out, m->items[i].name, path, m->items[i].size, err);
	}
	return rc == 0 ? ctl_archive_end(out, err) : rc;
}

/* Beside the file, or for standard output in the directory for temporary files. */
static int
temporary(const char *target, char **ret, struct ambient_error *err)
{
	const char *tmp = getenv("TMPDIR");

	*ret = am_streq(target, "-") ? am_xasprintf("%s/ambient-backup.XXXXXX", am_empty(tmp) ? "/tmp" : tmp)
				     : am_xasprintf("%s.XXXXXX", target);
	int fd = mkstemp(*ret);

	if (fd < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "%s: %s", *ret, strerror(errno));
	(void)close(fd);
	return 0;
}

static int
backup_to(const char *dir, const char *target, const char *copy, const char *part, int64_t *ret_rv, struct ambient_error *err)
{
	am_auto(am_freep) char *database = am_xasprintf("%s/state.db", dir);
	struct members m = { 0 };
	int rc = copy_database(database, copy, ret_rv, err);
	FILE *out = rc < 0 ? NULL : part != NULL ? fopen(part, "wbe") : stdout;

	if (rc == 0 && out == NULL)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s: %s", part, strerror(errno));
	if (rc == 0)
		rc = add_member(&m, "state.db", copy, err);
	if (rc == 0)
		rc = add_files(&m, dir, "", err);
	if (rc == 0)
		rc = write_archive(out, dir, copy, &m, *ret_rv, err);
	if (rc == 0 && part != NULL && (fsync(fileno(out)) < 0 || rename(part, target) < 0))
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s: %s", target, strerror(errno));
	if (out != NULL && part != NULL)
		(void)fclose(out);
	free(m.items);
	return rc;
}

static void
remove_copy(const char *copy)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

	for (size_t i = 0; copy != NULL && i < AM_COUNTOF(suffixes); i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s%s", copy, suffixes[i]);
		(void)unlink(path);
	}
}

static int
backup(struct ctl *ctl, const char *dir, const char *target)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *copy = NULL, *part = NULL;
	int64_t rv = 0;

	if (am_streq(target, "-") && ctl->terminal)
		return ctl_usage("an archive is nothing for a terminal; name a file, or send it into one");
	if (!am_streq(target, "-") && access(target, F_OK) == 0 && !ctl_has(ctl, "force"))
		return ctl_usage("%s is there already; name another file, or say --force", target);
	int rc = temporary(target, &copy, &err);
	if (rc == 0 && !am_streq(target, "-"))
		rc = temporary(target, &part, &err);
	if (rc == 0)
		rc = backup_to(dir, target, copy, part, &rv, &err);
	remove_copy(copy);
	if (rc < 0 && part != NULL)
		(void)unlink(part);
	if (rc < 0)
		return ctl_fail(&err, "no backup was made");
	(void)fprintf(am_streq(target, "-") ? stderr : stdout, "backup at revision %lld written to %s\n", (long long)rv,
		      am_streq(target, "-") ? "standard output" : target);
	return CTL_OK;
}

/* ---- restore */

static int
read_manifest(FILE *in, struct members *m, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	char name[CTL_ARCHIVE_NAME];
	int64_t size, format = 0;
	int rc = ctl_archive_next(in, name, &size, err);

	if (rc == 0 && strcmp(name, CTL_MANIFEST) != 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "this is no backup: it begins with \"%s\"", name);
	if (rc == 0)
		rc = ctl_archive_take(in, size, &text, err);
	if (rc < 0)
		return rc;
	struct am_arena *arena = am_arena_new();
	const struct am_node *root = am_node_parse(arena, text.data, text.len, err);
	const struct am_node *files = am_node_get(root, "files");

	if (root == NULL || !am_node_get_int(root, "format", &format) || files == NULL || files->first == NULL)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the archive's table of contents cannot be read");
	else if (format > CTL_ARCHIVE_FORMAT)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the archive has format %lld, this release reads up to %d; use the release "
				 "that wrote it", (long long)format, CTL_ARCHIVE_FORMAT);
	for (const struct am_node *file = rc == 0 ? files->first : NULL; rc == 0 && file != NULL; file = file->next) {
		struct member item = { .size = -1 };
		const char *said = am_node_get_str(file, "name", ""), *hex = am_node_get_str(file, "sha256", "");

		if (m->n == FILES_MAX || !ctl_archive_name_ok(said) || strlen(hex) != 64 ||
		    !am_node_get_int(file, "size", &item.size) || item.size < 0) {
			rc = ambient_err(err, AMBIENT_E_INVALID, "the archive's table of contents is not one of a backup");
			break;
		}
		am_strlcpy(item.name, said, sizeof(item.name));
		am_strlcpy(item.hex, hex, sizeof(item.hex));
		m->items = am_xrealloc(m->items, m->n + 1, sizeof(*m->items));
		m->items[m->n++] = item;
	}
	am_arena_free(arena);
	return rc;
}

static int
take_member(FILE *in, const struct member *item, const char *dir, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, item->name), *parent = am_xstrdup(path);
	char name[CTL_ARCHIVE_NAME], hex[65];
	int64_t size;
	int rc = ctl_archive_next(in, name, &size, err);

	if (rc == 0 && (strcmp(name, item->name) != 0 || size != item->size))
		rc = ambient_err(err, AMBIENT_E_INVALID, "the archive is damaged: \"%s\" is where \"%s\" should be", name, item->name);
	*strrchr(parent, '/') = '\0';
	if (rc == 0)
		rc = am_mkdirs(parent, 0700, err);
	if (rc == 0)
		rc = ctl_archive_take_file(in, size, path, hex, err);
	if (rc == 0 && strcmp(hex, item->hex) != 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the archive is damaged: \"%s\" is not what was saved", name);
	return rc;
}

/*
 * Whole?  Then its revisions begin above all that were ever given out, made from the time as a new database's are, and
 * its history is over: whoever has seen a later state than this one lists again.
 */
static int
settle_database(const char *dir, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/state.db", dir);
	sqlite3 *db = NULL;
	char said[64], sql[512];
	int64_t rv, now = (am_clock_wall(am_clock_real()) / AM_NS_PER_S - INT64_C(1577836800)) * 1000;
	int rc = ctl_db_open(path, SQLITE_OPEN_READWRITE, &db, err);

	if (rc == 0)
		rc = ctl_db_is_ours(db, path, err);
	if (rc == 0)
		rc = db_ask(db, path, "PRAGMA quick_check(1)", said, err);
	if (rc == 0 && strcmp(said, "ok") != 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "the archive's database is damaged: %s", said);
	if (rc == 0)
		rc = ctl_db_number(db, path, "SELECT v FROM meta WHERE k = 'rv'", &rv, err);
	if (rc == 0) {
		rv = AM_MAX(rv + 1000000, now);
		snprintf(sql, sizeof(sql), "BEGIN; UPDATE meta SET v = %lld WHERE k IN ('rv', 'compacted'); DELETE FROM log; COMMIT",
			 (long long)rv);
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
			rc = ctl_db_fail(db, path, err);
	}
	if (sqlite3_close(db) != SQLITE_OK && rc == 0)
		rc = ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be closed", path);
	return rc;
}

/* root restores for the user of the daemon. */
static int
give_away(const struct members *m, const char *state, const char *dir, struct ambient_error *err)
{
	struct stat st;

	am_auto(am_freep) char *lock = am_xasprintf("%s/lock", state);

	if (stat(state, &st) < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "%s: %s", state, strerror(errno));
	if (st.st_uid == geteuid())
		return 0;
	bool ok = lchown(lock, st.st_uid, st.st_gid) == 0 && lchown(dir, st.st_uid, st.st_gid) == 0;
	for (size_t i = 0; i < m->n && ok; i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, m->items[i].name);
		char *slash = strrchr(path, '/');

		ok = lchown(path, st.st_uid, st.st_gid) == 0;
		*slash = '\0';
		ok = ok && lchown(path, st.st_uid, st.st_gid) == 0;
	}
	return ok ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "%s cannot be given to the user of %s: %s", dir, state, strerror(errno));
}

/* Puts it in place; what was there is kept beside it. */
static int
put_in_place(const char *from, const char *to, struct ambient_error *err)
{
	am_auto(am_freep) char *old = am_xasprintf("%s.before-%lld-%d", to, (long long)(am_clock_wall(am_clock_real()) / AM_NS_PER_S),
						 (int)getpid());

	if (rmdir(to) < 0 && errno != ENOENT) {
		if (rename(to, old) < 0)
			return ambient_err(err, AMBIENT_E_INTERNAL, "%s: %s", to, strerror(errno));
		(void)fprintf(stderr, "ambientctl: what was there is now %s\n", old);
	}
	return rename(from, to) == 0 ? 0 : ambient_err(err, AMBIENT_E_INTERNAL, "%s: %s", to, strerror(errno));
}

static int
restore_into(FILE *in, const char *state, const char *temp, const char *dir, struct ambient_error *err)
{
	struct members m = { 0 };
	struct progress progress = { 0 };
	int64_t all = 0, done = 0;
	int rc = read_manifest(in, &m, err);

	for (size_t i = 0; i < m.n; i++)
		all += m.items[i].size;
	for (size_t i = 0; rc == 0 && i < m.n; i++) {
		rc = ctl_interrupted != 0 ? ambient_err(err, AMBIENT_E_CANCELLED, "interrupted") : take_member(in, &m.items[i], temp, err);
		progress_say(&progress, "restored", done += m.items[i].size, all);
	}
	if (rc == 0)
		rc = settle_database(temp, err);
	if (rc == 0)
		rc = give_away(&m, state, temp, err);
	if (rc == 0)
		rc = put_in_place(temp, dir, err);
	free(m.items);
	return rc;
}

static bool
is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	bool empty = true;

	while (d != NULL && (entry = readdir(d)) != NULL)
		empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	if (d != NULL)
		(void)closedir(d);
	return empty;
}

static int
restore(struct ctl *ctl, const char *source)
{
	const char *state = ctl_value(ctl, "state-dir");
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (state == NULL)
		return ctl_usage("say where to restore to, with --state-dir DIR: the daemon's state directory");
	am_auto(am_freep) char *lock = am_xasprintf("%s/lock", state), *dir = am_xasprintf("%s/apiserver", state);
	am_auto(am_freep) char *temp = am_xasprintf("%s/apiserver.restore-%d", state, (int)getpid());
	if (!is_empty(dir) && !ctl_has(ctl, "force"))
		return ctl_usage("%s is not empty; --force puts what is there aside", dir);
	int rc = am_mkdirs(state, 0700, &err);
	int fd = rc == 0 ? am_lock_file(lock, &err) : -1;
	if (rc == 0 && fd < 0)
		rc = fd == -AMBIENT_E_EXISTS ? ambient_err(&err, AMBIENT_E_EXISTS, "an ambientd runs on \"%s\"; stop it first", state) : fd;
	FILE *in = rc < 0 ? NULL : am_streq(source, "-") ? stdin : fopen(source, "rbe");
	if (rc == 0 && in == NULL)
		rc = ambient_err(&err, AMBIENT_E_NOTFOUND, "%s: %s", source, strerror(errno));
	if (rc == 0)
		rc = am_mkdirs(temp, 0700, &err);
	if (rc == 0) {
		rc = restore_into(in, state, temp, dir, &err);
		if (rc < 0)
			(void)am_remove_tree(temp, NULL);
	}
	if (in != NULL && in != stdin)
		(void)fclose(in);
	if (fd >= 0)
		(void)close(fd);
	if (rc < 0)
		return ctl_fail(&err, "nothing was restored");
	(void)printf("restored to %s; start ambientd\n", state);
	return CTL_OK;
}

/* ---- the command */

static int
run(struct ctl *ctl)
{
	am_auto(am_freep) char *dir = NULL, *database = NULL;

	bool check = am_streq(ctl->words[0], "check");

	if (am_streq(ctl->words[0], "restore") && ctl->word_count == 2)
		return restore(ctl, ctl->words[1]);
	if (ctl->word_count != (check ? 1 : 2) || (!check && !am_streq(ctl->words[0], "backup")))
		return ctl_usage("usage: ambientctl standalone backup FILE|-, ambientctl standalone restore FILE|- --state-dir DIR, "
				 "or ambientctl standalone check");
	dir = ctl_standalone_dir(ctl);
	database = dir != NULL ? am_xasprintf("%s/state.db", dir) : NULL;
	if (database == NULL || access(database, F_OK) != 0) {
		(void)fprintf(stderr, "ambientctl: there is no state of a standalone API server%s%s; say where it is with --state-dir\n",
			      dir != NULL ? " in " : "", dir != NULL ? dir : "");
		return CTL_UNREACHABLE;
	}
	return check ? ctl_standalone_check(database) : backup(ctl, dir, ctl->words[1]);
}

static const struct ctl_option options[] = {
	{ "state-dir", 0, "DIR", "the state directory of the daemon" },
	{ "force", 0, NULL, "backup: write over the file; restore: put aside what is there" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_standalone = {
	.name = "standalone", .synopsis = "standalone backup|restore FILE|- [--state-dir DIR], or standalone check",
	.text = "Save the standalone API server's state, bring it back, or look whether it is whole.", .options = options, .min = 1,
	.max = 2,
	.offline = true, .run = run,
};
