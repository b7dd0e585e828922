/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 and power cuts at random points: a child writes and says what was acknowledged; after its death everything
 * that was acknowledged is there, the revision has not gone back, and a watch from any acknowledged revision has no gap.
 * And the database's own refusals.  With LONG defined, the first two alone, 500 rounds times AMBIENT_SCALE.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "core/base/lock.h"
#include "core/base/util.h"
#include "tests/lib/vfs_fake.h"
#include "tests/unit/apiserver.h"

#define CM     "v1/configmaps"

static struct fixture f;

static int
rounds(void)
{
#ifdef LONG
	const char *scale = getenv("AMBIENT_SCALE");
	double n = 500 * (scale != NULL ? strtod(scale, NULL) : 1.0);

	return n < 10 ? 10 : (int)n;
#else
	return unit_rounds(30);
#endif
}

static void
open_all(void)
{
	f = (struct fixture){ 0 };
	fixture_open(&f);
	am_engine_close(f.engine);
	f.engine = NULL;
}

static void
done(void)
{
	fixture_close(&f);
}

/* One line per acknowledged write: revision and name. */
struct ack {
	uint64_t rv;
	char name[24];
};

struct child {
	int round, thread, out;
};

static void
child_worker(void *arg)
{
	const struct child *c = arg;
	const struct am_resource *res = resource(&f, CM);

	for (int i = 0; i < 100000; i++) {
		struct am_failure failure = { 0 };
		struct am_written written;
		struct ack ack = { 0 };
		char body[2500];
		snprintf(ack.name, sizeof(ack.name), "r%d-t%d-%d", c->round, c->thread, i);
		/* Of all sizes, from a part of a page to overflow. */
		snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"%0*d\"}}", ack.name, 1 + i * 37 % 2000, i);
		struct am_write write = { .verb = AM_VERB_CREATE, .res = res, .ns = "default", .body = am_slice_of(body) };
		if (am_engine_write(f.engine, &write, &written, &failure) < 0)
			_exit(9);
		ack.rv = written.object->rv;
		if (am_write_all(c->out, &ack, sizeof(ack)) < 0)
			_exit(8);
		am_written_fini(&written);
	}
}

static void
child_main(int round, int out, bool power)
{
	struct child children[3];
	struct am_thread *threads[3];

	if (power) {
		vfs_fake_install();
		vfs_fake_cut_after((unsigned)(am_random_u64() % 400), am_random_u64());
		f.janitor = true;
	}
	fixture_reopen(&f);
	for (int i = 0; i < 3; i++) {
		children[i] = (struct child){ round, i, out };
		threads[i] = am_thread_new("child", 0, child_worker, &children[i]);
	}
	for (int i = 0; i < 3; i++)
		am_thread_join(threads[i]);
	_exit(0);
}

static size_t
read_acks(int fd, struct ack **acks, size_t n)
{
	struct ack ack;

	while (read(fd, &ack, sizeof(ack)) == (ssize_t)sizeof(ack)) {
		*acks = am_xrealloc(*acks, n + 1, sizeof(**acks));
		(*acks)[n++] = ack;
	}
	return n;
}

/* From the revision of some acknowledged write on, the watch brings every later one, once. */
static void
check_watch(const struct ack *acks, size_t n, size_t from)
{
	struct am_watch *w = NULL;
	char rv[32];
	struct am_list_query q = { .send_initial_events = -1, .resource_version = rv };
	const struct am_resource *res = resource(&f, CM);
	struct am_event event;
	size_t want = 0, got = 0;
	uint64_t last = acks[from].rv;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)last);
	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &q, NULL, NULL, &w, &f.failure), 0);
	for (size_t i = 0; i < n; i++)
		want += acks[i].rv > acks[from].rv;
	while (am_watch_next(w, &event, &f.failure) > 0) {
		ck_assert_uint_gt(event.rv, last);
		last = event.rv;
		for (size_t i = 0; i < n; i++)
			got += acks[i].rv == event.rv && strcmp(acks[i].name, event.object->name) == 0;
	}
	ck_assert_int_eq(f.failure.code, 0);
	ck_assert_uint_eq(got, want);
	am_watch_close(w);
	am_resource_unref(res);
}

/* Runs a child until it is killed, or until its power goes; returns the number of acknowledged writes. */
static size_t
run_child(int round, bool power, struct ack **acks, size_t n)
{
	int fds[2], status;

	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		child_main(round, fds[1], power);
	}
	close(fds[1]);
	if (!power) {
		/* Let it get to work, then pull the plug: the moment is random, what must hold is not. */
		struct ack first;
		ck_assert_int_eq(read(fds[0], &first, sizeof(first)), sizeof(first));
		*acks = am_xrealloc(*acks, n + 1, sizeof(**acks));
		(*acks)[n++] = first;
		usleep((useconds_t)(am_random_u64() % 20000));
		kill(pid, SIGKILL);
	}
	n = read_acks(fds[0], acks, n);
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (power)
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == VFS_FAKE_CUT, "status %d", status);
	return n;
}

static void
check_acks(const struct ack *acks, size_t from, size_t n, uint64_t *highest)
{
	for (size_t i = from; i < n; i++) {
		struct am_object *object = am_engine_peek(f.engine, "", "configmaps", "default", acks[i].name);
		ck_assert_msg(object != NULL, "%s was acknowledged and is gone", acks[i].name);
		ck_assert_uint_eq(object->rv, acks[i].rv);
		ck_assert_uint_gt(acks[i].rv, *highest);
		am_object_unref(object);
	}
	for (size_t i = from; i < n; i++)
		*highest = AM_MAX(*highest, acks[i].rv);
	ck_assert_uint_ge(am_engine_rv(f.engine), *highest);
	if (n - from > 1)
		check_watch(acks + from, n - from, (size_t)(am_random_u64() % (n - from)));
}

static void
pull_the_plug(bool power)
{
	struct ack *acks = NULL;
	size_t n = 0;
	uint64_t highest = 0;
	int max = rounds();

	for (int round = 0; round < max; round++) {
		size_t before = n;
		n = run_child(round, power, &acks, n);
		f.ring = 65536;
		fixture_reopen(&f);
		check_acks(acks, before, n, &highest);
		fixture_clear(&f);
		am_engine_close(f.engine);
		f.engine = NULL;
	}
	ck_assert_uint_gt(n, (size_t)max);
	free(acks);
}

START_TEST(row_205_kill_9_loses_nothing)
{
	pull_the_plug(false);
}
END_TEST

START_TEST(a_power_cut_loses_nothing)
{
	pull_the_plug(true);
}
END_TEST

#ifndef LONG
static void
run_sql(const char *sql)
{
	char path[96];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", f.dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static const char *
refusal(void)
{
	static struct ambient_error err;
	struct am_engine_options options = { .dir = f.dir };

	err = (struct ambient_error)AMBIENT_ERROR_INIT;
	ck_assert_int_lt(am_engine_open(&options, &f.engine, &err), 0);
	return err.message;
}

static void
remove_database(void)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm" };
	char path[96];

	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f.dir, names[i]);
		unlink(path);
	}
}

START_TEST(a_newer_and_a_foreign_database_are_refused)
{
	static const char *const foreign =
		"state.db is a file of another program; move it away or use another state directory";
	struct ambient_error err;
	char path[96];

	run_sql("PRAGMA user_version=3");
	ck_assert_str_eq(refusal(), "state.db has format 3, this release reads up to 2; use the release that wrote it");
	run_sql("PRAGMA user_version=2; PRAGMA application_id=7");
	ck_assert_str_eq(refusal(), foreign);
	run_sql("PRAGMA user_version=0; PRAGMA application_id=0");
	ck_assert_str_eq(refusal(), foreign);
	snprintf(path, sizeof(path), "%s/state.db", f.dir);
	ck_assert_int_eq(am_file_write(path, "#!/bin/sh\necho this is no database, whatever its name says\n", 58, 0600, &err), 0);
	ck_assert_str_eq(refusal(), foreign);
}
END_TEST

/* What the release before wrote is read, brought forward once, and then as any other. */
START_TEST(the_format_before_is_brought_forward)
{
	char path[512];
	const char *top = getenv("top_srcdir");
	struct am_buf sql = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	snprintf(path, sizeof(path), "%s/tests/upgrade/state-1.sql", top != NULL ? top : ".");
	ck_assert_msg(am_file_read(path, 1 << 20, &sql, &err) == 0, "%s", err.message);
	remove_database();
	run_sql(am_buf_str(&sql));
	am_buf_fini(&sql);
	for (int i = 0; i < 2; i++) {
		fixture_reopen(&f);
		ck_assert_str_eq(stored(&f, "", "configmaps", "default", "kept", "/data/k"), "\"v1\"");
		ck_assert_uint_gt(am_engine_rv(f.engine), 217665000005u);
		am_engine_look(f.engine);
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "kept", NULL, "{\"data\":{\"turn\":\"%d\"}}", i), 200);
		fixture_clear(&f);
		am_engine_close(f.engine);
		f.engine = NULL;
	}
}
END_TEST

START_TEST(a_damaged_row_is_refused)
{
	run_sql("UPDATE obj SET body = '{' WHERE name = 'default'");
	ck_assert(strstr(refusal(), "state.db is damaged: row ") != NULL);
}
END_TEST

START_TEST(a_new_database_starts_above_an_old_one)
{
	fixture_reopen(&f);
	uint64_t rv = am_engine_rv(f.engine);
	am_engine_close(f.engine);
	f.engine = NULL;
	ck_assert_uint_gt(rv, UINT64_C(100000000000));
	remove_database();
	f.clock = am_clock_fake_new();
	am_clock_fake_set_wall(f.clock, am_clock_wall(am_clock_real()) + 60 * AM_NS_PER_S);
	fixture_reopen(&f);
	ck_assert_uint_gt(am_engine_rv(f.engine), rv);
}
END_TEST

/* ---- disks that fail ---- */

static int
make_map(const char *name)
{
	return create(&f, CM, "default", "{\"metadata\":{\"name\":\"%s\"}}", name);
}

/* A disk that cannot be written for a while: each write says so, health too; then it goes on, with all that was there. */
START_TEST(a_disk_that_refuses_for_a_while)
{
	static const int codes[] = { SQLITE_IOERR_WRITE, SQLITE_READONLY, SQLITE_IOERR_FSYNC };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	vfs_fake_install();
	fixture_reopen(&f);
	ck_assert_int_eq(make_map("before"), 201);
	vfs_fake_refuse(codes[_i]);
	ck_assert_int_eq(make_map("refused"), 500);
	ck_assert_msg(strstr(f.failure.message, "state.db: cannot ") != NULL, "%s", f.failure.message);
	ck_assert_int_lt(am_engine_healthy(f.engine, &err), 0);
	ck_assert_int_eq(make_map("refused"), 500);
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "before", "/metadata/name"), "\"before\"");
	ck_assert(stored(&f, "", "configmaps", "default", "refused", "") == NULL);
	vfs_fake_refuse(0);
	ck_assert_int_eq(make_map("after"), 201);
	ck_assert_int_eq(am_engine_healthy(f.engine, &err), 0);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	ck_assert(stored(&f, "", "configmaps", "default", "before", "") != NULL);
	ck_assert(stored(&f, "", "configmaps", "default", "refused", "") == NULL);
	ck_assert(stored(&f, "", "configmaps", "default", "after", "") != NULL);
}
END_TEST

/* A page that the disk gives back otherwise than it was written. */
START_TEST(a_corrupted_page_is_refused_and_nothing_is_written)
{
	char path[96];
	struct am_buf before = { 0 }, after = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	static const char junk[4096] = "no page";

	fixture_reopen(&f);
	for (int i = 0; i < 300; i++) {
		char name[16];
		snprintf(name, sizeof(name), "m%d", i);
		ck_assert_int_eq(make_map(name), 201);
	}
	fixture_clear(&f);
	am_engine_close(f.engine);
	f.engine = NULL;
	snprintf(path, sizeof(path), "%s/state.db", f.dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	for (int page = 4; page < 24; page++)
		ck_assert_int_eq(pwrite(fd, junk, sizeof(junk), page * 4096), sizeof(junk));
	close(fd);
	ck_assert_int_eq(am_file_read(path, 1 << 30, &before, &err), 0);
	const char *said = refusal();
	ck_assert_msg(strstr(said, "state.db") != NULL && (strstr(said, "malformed") != NULL || strstr(said, "damaged") != NULL),
		      "%s", said);
	ck_assert_int_eq(am_file_read(path, 1 << 30, &after, &err), 0);
	ck_assert(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
	am_buf_fini(&before);
	am_buf_fini(&after);
}
END_TEST

/* Wall time is for display: revisions, history and what is acknowledged do not follow it. */
START_TEST(a_clock_that_is_set_back)
{
	int64_t now = am_clock_wall(am_clock_real());

	f.clock = am_clock_fake_new();
	am_clock_fake_set_wall(f.clock, now);
	fixture_reopen(&f);
	ck_assert_int_eq(make_map("today"), 201);
	uint64_t rv = am_engine_rv(f.engine);
	am_clock_fake_set_wall(f.clock, now - 86400 * 365 * AM_NS_PER_S);
	ck_assert_int_eq(make_map("last-year"), 201);
	ck_assert_uint_eq(am_engine_rv(f.engine), rv + 1);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	ck_assert_uint_ge(am_engine_rv(f.engine), rv + 1);
	struct ack acks[2] = { { rv, "today" }, { rv + 1, "last-year" } };
	check_watch(acks, 2, 0);
}
END_TEST

/* With durability "process" the last writes may be gone after an unclean end: no revision comes twice. */
START_TEST(an_unclean_end_begins_an_epoch)
{
	struct am_engine_options options = { .dir = f.dir, .no_janitor = true, .survive_process_only = true };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char text[32];
	struct am_watch *w = NULL;
	struct am_event event;
	uint64_t rv = 0;
	int status;

	for (int unclean = 0; unclean < 2; unclean++) {
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			if (am_engine_open(&options, &f.engine, &err) < 0)
				_exit(1);
			make_map(unclean ? "b" : "a");
			fixture_clear(&f);
			if (!unclean)
				am_engine_close(f.engine);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		ck_assert_int_eq(am_engine_open(&options, &f.engine, &err), 0);
		uint64_t now = am_engine_rv(f.engine);
		if (unclean)
			ck_assert_uint_ge(now, rv + 1000000);
		else
			rv = now;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
		const struct am_resource *res = resource(&f, CM);
		struct am_list_query query = { .send_initial_events = -1, .resource_version = text };
		ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &query, NULL, NULL, &w, &f.failure), 0);
		ck_assert_int_eq(am_watch_next(w, &event, &f.failure), unclean ? -AMBIENT_E_GONE : 0);
		am_watch_close(w);
		am_resource_unref(res);
		fixture_clear(&f);
		am_engine_close(f.engine);
		f.engine = NULL;
	}
}
END_TEST
#endif

static void
cases(TCase *tc)
{
	tcase_set_timeout(tc, 240 + 4 * rounds());
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_205_kill_9_loses_nothing);
	tcase_add_test(tc, a_power_cut_loses_nothing);
#ifndef LONG
	tcase_add_loop_test(tc, a_disk_that_refuses_for_a_while, 0, 3);
	tcase_add_test(tc, a_corrupted_page_is_refused_and_nothing_is_written);
	tcase_add_test(tc, a_clock_that_is_set_back);
	tcase_add_test(tc, an_unclean_end_begins_an_epoch);
	tcase_add_test(tc, a_newer_and_a_foreign_database_are_refused);
	tcase_add_test(tc, the_format_before_is_brought_forward);
	tcase_add_test(tc, a_damaged_row_is_refused);
	tcase_add_test(tc, a_new_database_starts_above_an_old_one);
#endif
}

#ifdef LONG
#define TITLE "apiserver_kill_long"
#else
#define TITLE "apiserver_kill"
#endif
UNIT_MAIN(TITLE, cases)
