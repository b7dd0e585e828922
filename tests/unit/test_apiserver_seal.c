/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption at rest: the key file, envelopes, and a database whose files hold no clear text of what is secret. */
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/seal.h"
#include "tests/unit/apiserver.h"

#define KEY_A "a MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"
#define KEY_B "b QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=\n"
#define OTHER_A "a YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=\n"
#define MARK  "c2VjcmV0LW1hcmstMTIzNDU2" /* "secret-mark-123456" */

static struct fixture f;

START_TEST(key_file_lines)
{
	static const struct {
		const char *text, *want; /* want NULL: it is fine */
	} rows[] = {
		{ KEY_A, NULL },
		{ "# c\n\n  " KEY_A KEY_B, NULL },
		{ "plain\n" KEY_A, NULL },
		{ "a MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", NULL },
		{ "", "k: there is no key in it" },
		{ "plain\n", "k: there is no key in it" },
		{ "a\n", "k:1: a line is \"ID KEY\"" },
		{ KEY_A "plain\n", "k:2: a line is \"ID KEY\"" },
		{ "\na MDEy\n", "k:2: a key is 32 bytes in base64" },
		{ "a not base64\n", "k:1: a key is 32 bytes in base64" },
		{ KEY_A KEY_A, "k:2: the id \"a\" is there twice" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_seal *seal = NULL;
		int rc = am_seal_parse("k", rows[i].text, strlen(rows[i].text), &seal, &err);

		ck_assert_msg((rc == 0) == (rows[i].want == NULL), "%zu: %s", i, err.message);
		if (rc < 0)
			ck_assert_msg(strncmp(err.message, rows[i].want, strlen(rows[i].want)) == 0, "%zu: %s", i, err.message);
		am_seal_free(seal);
	}
}
END_TEST

START_TEST(envelopes_belong_to_their_place)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_seal *seal = NULL;
	struct am_buf sealed = { 0 }, out = { 0 };
	static const struct am_seal_row good = { 3, 77, "ns", "n", 'b' };
	const struct am_seal_row others[] = {
		{ 4, 77, "ns", "n", 'b' }, { 3, 78, "ns", "n", 'b' }, { 3, 77, "nt", "n", 'b' }, { 3, 77, "ns", "m", 'b' },
		{ 3, 77, "ns", "n", 'p' },
	};

	ck_assert_int_eq(am_seal_parse("k", KEY_A KEY_B, strlen(KEY_A KEY_B), &seal, &err), 0);
	ck_assert_int_eq(am_seal_encode(seal, &good, "{\"a\":1}", 7, &sealed, &err), 0);
	ck_assert(am_seal_is_sealed(sealed.data, sealed.len) && !am_seal_is_sealed("{}", 2));
	ck_assert(!am_seal_is_stale(seal, sealed.data, sealed.len) && am_seal_is_stale(seal, "{}", 2));
	ck_assert_int_eq(am_seal_decode(seal, &good, sealed.data, sealed.len, &out, &err), 0);
	ck_assert_str_eq(am_buf_str(&out), "{\"a\":1}");
	for (size_t i = 0; i < AM_COUNTOF(others); i++)
		ck_assert_int_lt(am_seal_decode(seal, &others[i], sealed.data, sealed.len, &out, &err), 0);
	/* Every byte counts, and no cut is read beyond its end. */
	for (size_t i = 0; i < sealed.len; i++) {
		char *copy = malloc(sealed.len);

		memcpy(copy, sealed.data, sealed.len);
		copy[i] ^= 1;
		if (am_seal_is_sealed(copy, sealed.len))
			ck_assert_msg(am_seal_decode(seal, &good, copy, sealed.len, &out, &err) < 0, "byte %zu", i);
		free(copy);
		copy = malloc(i + 1);
		memcpy(copy, sealed.data, i);
		if (am_seal_is_sealed(copy, i))
			ck_assert_msg(am_seal_decode(seal, &good, copy, i, &out, &err) < 0, "%zu bytes", i);
		free(copy);
	}
	sealed.data[4] = 2;
	ck_assert_int_lt(am_seal_decode(seal, &good, sealed.data, sealed.len, &out, &err), 0);
	ck_assert_msg(strstr(err.message, "format 2, this release reads 1") != NULL, "%s", err.message);
	am_seal_free(seal);
	am_buf_fini(&sealed);
	am_buf_fini(&out);
}
END_TEST

/* ---- a whole database */

static char key_path[96];

static void
write_keys(const char *text)
{
	ck_assert_int_eq(am_file_put(key_path, text, strlen(text), 0600, NULL), 0);
	f.key_file = key_path;
}

static void
open_all(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new() };
	strcpy(f.dir, "/tmp/ambient-engine-XXXXXX");
	ck_assert(mkdtemp(f.dir) != NULL);
	snprintf(key_path, sizeof(key_path), "%s/keys", f.dir);
}

static void
restart(void)
{
	if (f.engine != NULL)
		am_engine_close(f.engine);
	f.engine = NULL;
	fixture_reopen(&f);
}

/* The sentence with which it refuses to start. */
static const char *
refused(void)
{
	static struct ambient_error err;
	struct am_engine_options options = { .dir = f.dir, .clock = f.clock, .no_janitor = true, .key_file = f.key_file };

	err = (struct ambient_error)AMBIENT_ERROR_INIT;
	fixture_clear(&f);
	if (f.engine != NULL)
		am_engine_close(f.engine);
	f.engine = NULL;
	ck_assert_int_lt(am_engine_open(&options, &f.engine, &err), 0);
	return err.message;
}

static void
done(void)
{
	fixture_clear(&f);
	am_engine_close(f.engine);
	am_remove_tree(f.dir, NULL);
	am_clock_fake_free(f.clock);
}

/* How often text stands in the database's files. */
static size_t
count_in_files(const char *text)
{
	static const char *const names[] = { "state.db", "state.db-wal", "state.db-shm" };
	size_t found = 0, len = strlen(text);

	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		char path[128];
		struct am_buf data = { 0 };

		snprintf(path, sizeof(path), "%s/%s", f.dir, names[i]);
		if (am_file_read(path, (size_t)256 << 20, &data, NULL) == 0)
			for (const char *p = data.data; (p = memmem(p, data.len - (size_t)(p - data.data), text, len)) != NULL; p++)
				found++;
		am_buf_fini(&data);
	}
	return found;
}

static void
make_secrets(const char *prefix)
{
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(create(&f, "v1/secrets", "default", "{\"metadata\":{\"name\":\"%s%d\",\"labels\":{\"l\":\"1\"}},\"data\":"
					"{\"k\":\"" MARK "\"}}", prefix, i), 201);
		char name[32];

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", name, NULL,
				       "{\"metadata\":{\"labels\":{\"l\":\"2\"}}}"), 200);
	}
	ck_assert_int_eq(create(&f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"k\":\"open-mark\"}}",
				prefix), 201);
}

START_TEST(secrets_are_not_in_the_files)
{
	write_keys(KEY_A);
	restart();
	make_secrets("s");
	ck_assert_int_eq(delete(&f, "v1/secrets", "default", "s3", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_uint_eq(count_in_files(MARK), 0);
	ck_assert_uint_gt(count_in_files("open-mark"), 0);
	restart();
	ck_assert_uint_eq(count_in_files(MARK), 0);
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/data/k"), "\"" MARK "\"");
	ck_assert_ptr_null(stored(&f, "", "secrets", "default", "s3", ""));
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/metadata/labels/l"), "\"2\"");
}
END_TEST

static void
no_wake(void *arg am_unused_)
{
}

/* A watch that begins before what memory holds reads sealed bodies from the disk, the old ones of relabelled objects too. */
START_TEST(history_is_read_back)
{
	struct am_failure failure = { 0 };
	struct am_watch *watch = NULL;
	struct am_event event;
	char rv[32];
	int added = 0, deleted = 0;

	f.ring = 8;
	write_keys(KEY_A);
	restart();
	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)am_engine_rv(f.engine));
	make_secrets("s");
	restart();
	const struct am_resource *res = resource(&f, "v1/secrets");
	const struct am_list_query query = { .resource_version = rv, .label_selector = "l=1", .send_initial_events = -1 };

	ck_assert_int_eq(am_engine_watch(f.engine, res, NULL, &query, no_wake, NULL, &watch, &failure), 0);
	for (int rc; (rc = am_watch_next(watch, &event, &failure)) != 0;) {
		ck_assert_msg(rc == 1, "%s", failure.message);
		ck_assert_str_eq(at(event.object, "/data/k"), "\"" MARK "\"");
		added += event.type == AM_EVENT_ADDED;
		deleted += event.type == AM_EVENT_DELETED;
	}
	ck_assert_int_eq(added, 20);
	ck_assert_int_eq(deleted, 20);
	am_watch_close(watch);
	am_resource_unref(res);
	am_failure_fini(&failure);
}
END_TEST

START_TEST(a_key_encrypts_what_was_there)
{
	restart();
	make_secrets("s");
	ck_assert_int_eq(delete(&f, "v1/secrets", "default", "s3", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_uint_gt(count_in_files(MARK), 0);
	write_keys(KEY_A);
	restart();
	ck_assert_uint_eq(count_in_files(MARK), 0);
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/data/k"), "\"" MARK "\"");
	/* Another key takes over; the first one only reads, then it is needed no more. */
	write_keys(KEY_B KEY_A);
	restart();
	write_keys(KEY_B);
	restart();
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/data/k"), "\"" MARK "\"");
	/* And back to clear text. */
	write_keys("plain\n" KEY_B);
	restart();
	f.key_file = NULL;
	restart();
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/data/k"), "\"" MARK "\"");
}
END_TEST

START_TEST(wrong_keys_do_not_start)
{
	write_keys(KEY_A);
	restart();
	make_secrets("s");
	write_keys(OTHER_A);
	ck_assert_ptr_nonnull(strstr(refused(), "cannot be decrypted with the key \"a\""));
	write_keys(KEY_B);
	ck_assert_ptr_nonnull(strstr(refused(), "encrypted with the key \"a\", which is not in the key file"));
	f.key_file = NULL;
	ck_assert_ptr_nonnull(strstr(refused(), "encrypted with the key \"a\", which is not configured"));
	write_keys("");
	ck_assert_ptr_nonnull(strstr(refused(), "there is no key in it"));
	write_keys(KEY_A);
	ck_assert_int_eq(chmod(key_path, 0644), 0);
	ck_assert_ptr_nonnull(strstr(refused(), "may be read by others; chmod 600 it"));
	ck_assert_int_eq(unlink(key_path), 0);
	ck_assert_ptr_nonnull(strstr(refused(), "cannot be read: No such file"));
	write_keys(KEY_A);
	restart();
	ck_assert_str_eq(stored(&f, "", "secrets", "default", "s4", "/data/k"), "\"" MARK "\"");
}
END_TEST

START_TEST(a_swapped_row_is_noticed)
{
	sqlite3 *db = NULL;
	char path[128];

	write_keys(KEY_A);
	restart();
	make_secrets("s");
	am_engine_close(f.engine);
	f.engine = NULL;
	snprintf(path, sizeof(path), "%s/state.db", f.dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "UPDATE obj SET body = (SELECT body FROM obj WHERE name = 's1') WHERE name = 's2'", NULL,
				      NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	ck_assert_ptr_nonnull(strstr(refused(), "\"default/s2\" cannot be decrypted"));
	fixture_clear(&f);
	am_remove_tree(f.dir, NULL);
	ck_assert_int_eq(mkdir(f.dir, 0700), 0);
	write_keys(KEY_A);
	restart();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, key_file_lines);
	tcase_add_test(tc, envelopes_belong_to_their_place);
	tcase_add_test(tc, secrets_are_not_in_the_files);
	tcase_add_test(tc, history_is_read_back);
	tcase_add_test(tc, a_key_encrypts_what_was_there);
	tcase_add_test(tc, wrong_keys_do_not_start);
	tcase_add_test(tc, a_swapped_row_is_noticed);
}

UNIT_MAIN("apiserver_seal", cases)
