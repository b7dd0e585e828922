/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 at random points: a child writes and says what was acknowledged; after its death everything that was
 * acknowledged is there, the revision has not gone back, and a watch from any acknowledged revision has no gap.
 * And the database's own refusals.
 */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "core/base/lock.h"
#include "core/base/util.h"
#include "tests/unit/apiserver.h"

#define CM     "v1/configmaps"
#define ROUNDS 30

static struct fixture f;

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
		char body[128];
		snprintf(ack.name, sizeof(ack.name), "r%d-t%d-%d", c->round, c->thread, i);
		snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"v\"}}", ack.name);
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
child_main(int round, int out)
{
	struct child children[3];
	struct am_thread *threads[3];

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

START_TEST(row_205_kill_9_loses_nothing)
{
	struct ack *acks = NULL;
	size_t n = 0;
	uint64_t highest = 0;

	f.ring = 65536;
	for (int round = 0; round < ROUNDS; round++) {
		int fds[2];
		size_t before = n;
		ck_assert_int_eq(pipe(fds), 0);
		pid_t pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0) {
			close(fds[0]);
			child_main(round, fds[1]);
		}
		close(fds[1]);
		/* Let it get to work, then pull the plug: the moment is random, what must hold is not. */
		struct ack first;
		ck_assert_int_eq(read(fds[0], &first, sizeof(first)), sizeof(first));
		acks = am_xrealloc(acks, n + 1, sizeof(*acks));
		acks[n++] = first;
		usleep((useconds_t)(am_random_u64() % 20000));
		kill(pid, SIGKILL);
		n = read_acks(fds[0], &acks, n);
		close(fds[0]);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		fixture_reopen(&f);
		for (size_t i = before; i < n; i++) {
			struct am_object *object = am_engine_peek(f.engine, "", "configmaps", "default", acks[i].name);
			ck_assert_msg(object != NULL, "%s was acknowledged and is gone", acks[i].name);
			ck_assert_uint_eq(object->rv, acks[i].rv);
			ck_assert_uint_gt(acks[i].rv, highest);
			am_object_unref(object);
		}
		for (size_t i = before; i < n; i++)
			highest = AM_MAX(highest, acks[i].rv);
		ck_assert_uint_ge(am_engine_rv(f.engine), highest);
		if (n - before > 1)
			check_watch(acks + before, n - before, (size_t)(am_random_u64() % (n - before)));
		fixture_clear(&f);
		am_engine_close(f.engine);
		f.engine = NULL;
	}
	ck_assert_uint_gt(n, ROUNDS);
	free(acks);
}
END_TEST

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

static void
cases(TCase *tc)
{
	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_205_kill_9_loses_nothing);
	tcase_add_test(tc, a_newer_and_a_foreign_database_are_refused);
	tcase_add_test(tc, the_format_before_is_brought_forward);
	tcase_add_test(tc, a_damaged_row_is_refused);
	tcase_add_test(tc, a_new_database_starts_above_an_old_one);
}

UNIT_MAIN("apiserver_kill", cases)
