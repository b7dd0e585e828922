/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No more space: on a full disk, and at the quota, what ends things is still written, everything else is refused with
 * a sentence, nothing is lost, and it goes on by itself.
 */
#include <sys/stat.h>

#include "plugins/standalone/apiserver/engine_priv.h"
#include "tests/lib/vfs_fake.h"
#include "tests/unit/apiserver.h"

#define CM "v1/configmaps"

static struct fixture f;

static void
open_all(void)
{
	vfs_fake_install();
	f = (struct fixture){ .clock = am_clock_fake_new() };
	fixture_open(&f);
	make_widgets(&f);
}

static void
done(void)
{
	vfs_fake_capacity(0);
	fixture_close(&f);
}

static int
make_map(const char *name, size_t size)
{
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	text[size] = '\0';
	int code = create(&f, CM, "default", "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"%s\"}}", name, text);
	free(text);
	return code;
}

static void
make_widget(const char *name, const char *more)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"
				"\"name\":\"%s\"%s},\"spec\":{\"size\":1}}", name, more), 201);
}

/* Returns how many were acknowledged before the first refusal. */
static int
fill_up(const char *prefix, size_t size)
{
	char name[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "%s-%d", prefix, i);
		if (make_map(name, size) != 201)
			return i;
	}
	ck_abort_msg("the disk is never full");
}

static void
check_filled(const char *prefix, int n)
{
	char name[32];

	for (int i = 0; i <= n; i++) {
		snprintf(name, sizeof(name), "%s-%d", prefix, i);
		ck_assert_int_eq(stored(&f, "", "configmaps", "default", name, "/metadata/name") != NULL, i < n);
	}
}

static int
set_status(const char *name, int replicas)
{
	return patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", name, "status", "{\"status\":{\"replicas\":%d}}", replicas);
}

/* What still goes, and what does not. */
static void
check_admission(int code, const char *sentence)
{
	static const struct am_delete_options at_once = { .grace = -1 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_lt(am_engine_healthy(f.engine, &err), 0);
	ck_assert_msg(strstr(err.message, sentence) != NULL, "%s", err.message);
	ck_assert_int_eq(set_status("ends", 7), 200);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "ends", "/status/replicas"), "7");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "ends", NULL, "{\"spec\":{\"size\":2}}"), code);
	ck_assert_msg(strstr(f.failure.message, sentence) != NULL, "%s", f.failure.message);
	ck_assert_msg(strstr(f.failure.message, "database space exceeded") != NULL, "%s", f.failure.message);
	ck_assert_int_eq(make_map("late", 10), code);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "ends", NULL,
			       "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"), 200);
	ck_assert_int_eq(delete(&f, WIDGET_KIND, "default", "held", at_once), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "held", NULL, "{\"metadata\":{\"finalizers\":null}}"),
			 200);
	ck_assert(stored(&f, "example.com", "widgets", "default", "held", "") == NULL);
	ck_assert_int_eq(create(&f, "coordination.k8s.io/v1/leases", "default",
				"{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"me\"}}"), 201);
	int events = 0;
	while (events < 1000 && create(&f, "v1/events", "default",
				       "{\"metadata\":{\"generateName\":\"e-\"},\"involvedObject\":{\"namespace\":\"default\"},"
				       "\"reason\":\"R\",\"message\":\"m\"}") == 201)
		events++;
	ck_assert_int_gt(events, 10);
	ck_assert_int_lt(events, 1000);
	ck_assert_int_eq(f.failure.code, code);
}

static void
check_goes_on(void)
{
	am_engine_look(f.engine);
	ck_assert_int_eq(am_engine_healthy(f.engine, NULL), 0);
	ck_assert_int_eq(make_map("again", 10), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "ends", NULL, "{\"spec\":{\"size\":3}}"), 200);
}

static void
reopen(void)
{
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
}

/* Whatever the size of what fills it, and wherever in the files it happens. */
START_TEST(a_full_disk_lets_things_end)
{
	static const size_t sizes[] = { 100, 3000, 60000, 900000 };

	am_engine_look(f.engine);
	make_widget("ends", "");
	make_widget("held", ",\"finalizers\":[\"example.com/f\"]");
	vfs_fake_capacity(vfs_fake_used() + 3000000 / (_i + 1));
	int n = fill_up("fill", sizes[_i]);
	ck_assert_int_eq(f.failure.code, 507);
	check_admission(507, "the disk that holds state.db is full");
	/* Not only once: what ends may take its time. */
	for (int i = 0; i < 1000; i++)
		ck_assert_msg(set_status("ends", i % 50) == 200, "%d: %s", i, f.failure.message);
	ck_assert_int_le(vfs_fake_used(), 40000000);
	check_filled("fill", n);
	am_engine_look(f.engine);
	ck_assert_int_eq(make_map("late", 10), 507);
	vfs_fake_capacity(0);
	check_goes_on();
	reopen();
	check_filled("fill", n);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "ends", "/status/replicas"), "49");
}
END_TEST

/* Full already when it starts: it serves, lets things end, and makes its reserve when it can. */
START_TEST(a_full_disk_at_the_start)
{
	am_engine_look(f.engine);
	make_widget("ends", "");
	fixture_clear(&f);
	am_engine_close(f.engine);
	f.engine = NULL;
	vfs_fake_capacity(9000000);
	fixture_reopen(&f);
	am_engine_look(f.engine);
	ck_assert_int_lt(am_engine_healthy(f.engine, NULL), 0);
	ck_assert_int_eq(make_map("late", 10), 507);
	ck_assert_int_eq(set_status("ends", 3), 200);
	vfs_fake_capacity(0);
	check_goes_on();
}
END_TEST

static int64_t
size_of(const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", f.dir, name);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_size;
}

/* However much is written, the write-ahead log begins again; and what was deleted is given back to the disk. */
START_TEST(the_files_stay_as_small_as_what_is_in_them)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char name[32];

	am_engine_look(f.engine);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "m-%d", i);
		ck_assert_int_eq(make_map(name, 60000), 201);
	}
	ck_assert_int_lt(size_of("state.db-wal"), 12 << 20);
	ck_assert_int_gt(size_of("state.db"), 48 << 20);
	for (int i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "m-%d", i);
		ck_assert_int_eq(delete(&f, CM, "default", name, (struct am_delete_options){ .grace = -1 }), 200);
	}
	ck_assert_int_eq(am_engine_compact(f.engine, 0, &err), 0);
	for (int i = 0; i < 100; i++)
		am_engine_checkpoint(f.engine, false);
	ck_assert_int_lt(size_of("state.db"), 26 << 20);
	ck_assert_int_lt(size_of("state.db-wal"), 12 << 20);
	ck_assert_int_eq(am_engine_healthy(f.engine, NULL), 0);
}
END_TEST

static void
note_change(void *arg, bool exceeded)
{
	int *told = arg;

	told[exceeded]++;
}

START_TEST(the_quota_lets_things_end)
{
	int told[2] = { 0, 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_engine_options options = { .dir = f.dir, .clock = f.clock, .no_janitor = true, .quota = 8 << 20,
					     .space_changed = note_change, .space_arg = told };

	make_widget("ends", "");
	make_widget("held", ",\"finalizers\":[\"example.com/f\"]");
	fixture_clear(&f);
	am_engine_close(f.engine);
	ck_assert_int_eq(am_engine_open(&options, &f.engine, &err), 0);
	int n = 0;
	char name[32];
	do {
		snprintf(name, sizeof(name), "fill-%d", n);
		am_engine_look(f.engine);
	} while (make_map(name, 500000) == 201 && ++n < 100);
	ck_assert_int_lt(n, 20);
	ck_assert_int_eq(f.failure.code, 500);
	ck_assert_str_eq(f.failure.reason, "InternalError");
	ck_assert(strstr(f.failure.message, "etcdserver: mvcc: database space exceeded") != NULL);
	check_admission(500, "has reached its quota");
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "fill-%d", i);
		ck_assert_int_eq(delete(&f, CM, "default", name, (struct am_delete_options){ .grace = -1 }), 200);
	}
	ck_assert_int_eq(am_engine_compact(f.engine, 0, &err), 0);
	check_goes_on();
	ck_assert_int_eq(told[1], 1);
	ck_assert_int_eq(told[0], 1);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_loop_test(tc, a_full_disk_lets_things_end, 0, 4);
	tcase_add_test(tc, a_full_disk_at_the_start);
	tcase_add_test(tc, the_files_stay_as_small_as_what_is_in_them);
	tcase_add_test(tc, the_quota_lets_things_end);
}

UNIT_MAIN("apiserver_space", cases)
