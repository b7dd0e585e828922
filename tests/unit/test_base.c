/* SPDX-License-Identifier: Apache-2.0 */
/* The foundation: buffers, arenas, maps, numbers with units, names, time, files, hashes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/counter.h"
#include "core/base/err.h"
#include "core/base/file.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/base/slab.h"
#include "core/base/str.h"
#include "core/base/util.h"
#include "tests/lib/unit.h"

START_TEST(buffer_limits_are_sticky)
{
	struct am_buf b = { .max = 5 };
	am_buf_adds(&b, "abc");
	am_buf_adds(&b, "def");
	ck_assert(b.failed);
	ck_assert_str_eq(am_buf_str(&b), "abc");
	am_buf_reset(&b);
	am_buf_addf(&b, "%d", 42);
	ck_assert_str_eq(am_buf_str(&b), "42");
	am_buf_consume(&b, 1);
	ck_assert_str_eq(am_buf_str(&b), "2");
	am_buf_cut(&b, 7);
	ck_assert_str_eq(am_buf_str(&b), "2");
	am_buf_cut(&b, 0);
	ck_assert_str_eq(am_buf_str(&b), "");
	am_buf_fini(&b);
	am_buf_cut(&b, 0);
	ck_assert_str_eq(am_buf_str(&b), "");
}
END_TEST

START_TEST(arena_limit_and_reset)
{
	struct am_arena *a = am_arena_new_limited(1000);
	char *s = am_arena_printf(a, "%s-%d", "x", 7);
	ck_assert_str_eq(s, "x-7");
	ck_assert_ptr_null(am_arena_alloc(a, 2000));
	ck_assert(am_arena_failed(a));
	ck_assert_ptr_null(am_arena_alloc(a, 1));
	am_arena_reset(a);
	ck_assert_ptr_nonnull(am_arena_zalloc(a, 100));
	am_arena_free(a);
}
END_TEST

START_TEST(map_keys_are_the_maps_own_or_borrowed)
{
	char key[] = "key";
	struct am_map *map = am_map_new(), *borrowing = am_map_new_borrowing();
	const char *own = am_map_put(map, key, map);

	ck_assert_ptr_ne(own, key);
	ck_assert_ptr_eq(am_map_put(map, key, key), own);
	for (int i = 0; i < 100; i++) { /* it grows, the keys stay */
		char other[16];

		(void)snprintf(other, sizeof(other), "%d", i);
		(void)am_map_put(map, other, map);
	}
	ck_assert_ptr_eq(am_map_put(map, key, map), own);
	ck_assert_ptr_eq(am_map_put(borrowing, own, map), own);
	ck_assert_ptr_eq(am_map_get(borrowing, key), map);
	ck_assert(am_map_del(borrowing, key));
	ck_assert_str_eq(own, "key");
	am_map_free(borrowing);
	am_map_free(map);
}
END_TEST

/* Against an array that does the same slowly. */
/* What is dropped is handed out again; blocks come only when all others are full, and go when they are empty. */
START_TEST(slab_gives_its_blocks_back)
{
	struct am_slab *slab = am_slab_new();
	static char *things[5000];
	size_t most;

	for (size_t i = 0; i < AM_COUNTOF(things); i++) {
		things[i] = am_slab_alloc(slab, 200);
		ck_assert_uint_eq((uintptr_t)things[i] % 16, 0);
		for (size_t k = 0; k < 200; k++)
			ck_assert_int_eq(things[i][k], 0);
		memset(things[i], (int)(i % 250) + 1, 200);
	}
	most = am_slab_blocks(slab);
	for (size_t i = 0; i < AM_COUNTOF(things); i += 2)
		am_slab_drop(slab, things[i], 200);
	for (size_t i = 0; i < AM_COUNTOF(things); i += 2) {
		things[i] = am_slab_alloc(slab, 200);
		ck_assert_int_eq(things[i][199], 0);
		memset(things[i], (int)(i % 250) + 1, 200);
	}
	ck_assert_uint_eq(am_slab_blocks(slab), most);
	for (size_t i = 0; i < AM_COUNTOF(things); i++) {
		for (size_t k = 0; k < 200; k++)
			ck_assert_int_eq(things[i][k], (char)((int)(i % 250) + 1));
	}
	for (size_t i = 0; i < AM_COUNTOF(things); i++)
		am_slab_drop(slab, things[i], 200);
	ck_assert_uint_le(am_slab_blocks(slab), 1);
	am_slab_drop(slab, NULL, 200);
	am_slab_drop(slab, am_slab_alloc(slab, 1 << 20), 1 << 20);
	am_slab_drop(slab, am_slab_alloc(slab, 0), 0);
	am_slab_free(slab);
	am_slab_free(NULL);
}
END_TEST

START_TEST(map_against_a_model)
{
	enum { KEYS = 300 };
	bool there[KEYS] = { false };
	struct am_map *map = am_map_new();
	size_t live = 0;
	for (int i = 0; i < 20000; i++) {
		unsigned k = (unsigned)(am_random_u64() % KEYS);
		char key[16];
		(void)snprintf(key, sizeof(key), "key-%u", k);
		if (am_random_u64() % 2) {
			live += !there[k];
			am_map_put(map, key, &there[k]);
			there[k] = true;
		} else {
			ck_assert_int_eq(am_map_del(map, key), there[k]);
			live -= there[k];
			there[k] = false;
		}
		ck_assert_uint_eq(am_map_len(map), live);
	}
	size_t it = 0, seen = 0;
	const char *key;
	void *value;
	while (am_map_next(map, &it, &key, &value)) {
		ck_assert(*(bool *)value);
		seen++;
	}
	ck_assert_uint_eq(seen, live);
	am_map_free(map);
}
END_TEST

START_TEST(numbers_with_units)
{
	int64_t v;
	ck_assert(am_parse_duration("1h30m", &v) == 0 && v == 5400 * AM_NS_PER_S);
	ck_assert(am_parse_duration("0.5s", &v) == 0 && v == 500 * AM_NS_PER_MS);
	ck_assert(am_parse_duration("0", &v) == 0 && v == 0);
	ck_assert(am_parse_duration("10", &v) < 0);
	ck_assert(am_parse_duration("-1s", &v) < 0);
	ck_assert(am_parse_duration("1s ", &v) < 0);
	ck_assert(am_parse_duration("99999999999999d", &v) < 0);
	ck_assert(am_parse_size("64MiB", &v) == 0 && v == 64 << 20);
	ck_assert(am_parse_size("512k", &v) == 0 && v == 512000);
	ck_assert(am_parse_size("7", &v) == 0 && v == 7);
	ck_assert(am_parse_size("7x", &v) < 0);
	ck_assert(am_parse_i64("-9223372036854775808", &v) == 0 && v == INT64_MIN);
	ck_assert(am_parse_i64("9223372036854775808", &v) < 0);
	ck_assert(am_parse_i64("+1", &v) < 0);
}
END_TEST

START_TEST(names_and_globs)
{
	ck_assert_ptr_null(am_name_problem("a-1", 1));
	ck_assert_ptr_nonnull(am_name_problem("A", 1));
	ck_assert_ptr_nonnull(am_name_problem("-a", 1));
	ck_assert_ptr_null(am_name_problem("a.b-c.d", 2));
	ck_assert_ptr_nonnull(am_name_problem("a..b", 2));
	ck_assert_ptr_null(am_name_problem("", 3));
	ck_assert_ptr_null(am_name_problem("example.com/Key_1", 4));
	ck_assert_ptr_nonnull(am_name_problem("/x", 4));
	ck_assert(am_glob("a*c?", "abbbcd"));
	ck_assert(!am_glob("a*c?", "abbbc"));
	ck_assert(am_glob("*", ""));
	static const char *const words[] = { "level", "format", NULL };
	ck_assert_str_eq(am_suggest("levle", words), "level");
	ck_assert_ptr_null(am_suggest("zzzzzz", words));
	ck_assert(am_utf8_valid("\xc3\xa9", 2));
	ck_assert(!am_utf8_valid("\xc0\x80", 2));
	ck_assert(!am_utf8_valid("\xed\xa0\x80", 3));
}
END_TEST

START_TEST(loopback_by_its_names)
{
	static const char *const here[] = { "localhost", "127.0.0.1", "127.255.0.9", "::1", "[::1]" };
	static const char *const elsewhere[] = { "", "128.0.0.1", "localhost.example.com", "127.0.0.1.example.com", "127.0.0.256",
						 "127.0.0.1:80", "0.0.0.0", "::", "[::2]", "example.com" };

	for (size_t i = 0; i < AM_COUNTOF(here); i++)
		ck_assert_msg(am_is_loopback(here[i]), "%s", here[i]);
	for (size_t i = 0; i < AM_COUNTOF(elsewhere); i++)
		ck_assert_msg(!am_is_loopback(elsewhere[i]), "%s", elsewhere[i]);
}
END_TEST

START_TEST(time_there_and_back)
{
	char text[32], age[16];
	int64_t v;
	am_time_format(text, INT64_C(1767225600) * AM_NS_PER_S + 1500, true);
	ck_assert_str_eq(text, "2026-01-01T00:00:00.000001Z");
	ck_assert(am_time_parse(text, &v) == 0 && v == INT64_C(1767225600) * AM_NS_PER_S + 1000);
	ck_assert(am_time_parse("2026-01-01T01:00:00+01:00", &v) == 0 && v == INT64_C(1767225600) * AM_NS_PER_S);
	ck_assert(am_time_parse("2026-13-01T00:00:00Z", &v) < 0);
	ck_assert(am_time_parse("2026-01-01", &v) < 0);
	static const struct { int64_t s; const char *want; } ages[] = {
		{ 200, "3m20s" }, { 729 * 86400, "729d" }, { 730 * 86400, "2y" }, { 731 * 86400, "2y1d" }, { 2921 * 86400, "8y" },
	};
	for (size_t i = 0; i < AM_COUNTOF(ages); i++) {
		am_duration_format(age, ages[i].s * AM_NS_PER_S);
		ck_assert_str_eq(age, ages[i].want);
	}
}
END_TEST

struct waiter {
	struct am_lock lock;
	struct am_cond cond;
	struct am_clock *clock;
	int64_t deadline;
	bool timed_out;
};

static void
wait_for_deadline(void *arg)
{
	struct waiter *w = arg;
	am_lock(&w->lock);
	while (am_cond_wait(&w->cond, &w->lock, w->deadline))
		;
	w->timed_out = true;
	am_unlock(&w->lock);
}

START_TEST(the_fake_clock_ends_waits)
{
	struct waiter w = { .clock = am_clock_fake_new() };
	am_lock_init(&w.lock, "test");
	am_cond_init(&w.cond, w.clock);
	w.deadline = am_clock_boot(w.clock) + 10 * AM_NS_PER_S;
	struct am_thread *t = am_thread_new("waiter", 0, wait_for_deadline, &w);
	ck_assert(am_clock_fake_wait_waiters(w.clock, 1));
	am_clock_fake_advance(w.clock, 9 * AM_NS_PER_S);
	am_lock(&w.lock);
	ck_assert(!w.timed_out);
	am_unlock(&w.lock);
	am_clock_fake_advance(w.clock, AM_NS_PER_S);
	am_thread_join(t);
	ck_assert(w.timed_out);
	am_cond_fini(&w.cond);
	am_lock_fini(&w.lock);
	am_clock_fake_free(w.clock);
}
END_TEST

START_TEST(files_and_trees)
{
	char dir[] = "/tmp/ambient-base-XXXXXX", path[128];
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 };
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/a/b/c", dir);
	ck_assert_int_eq(am_mkdirs(path, 0700, &err), 0);
	(void)snprintf(path, sizeof(path), "%s/a/f", dir);
	ck_assert_int_eq(am_file_write(path, "hello", 5, 0600, &err), 0);
	ck_assert_int_eq(am_file_read(path, 10, &text, &err), 0);
	ck_assert_str_eq(am_buf_str(&text), "hello");
	ck_assert_int_eq(am_file_read(path, 4, &text, &err), -AMBIENT_E_NOMEM);
	int fd = am_lock_file(path, &err);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(am_lock_file(path, &err), -AMBIENT_E_EXISTS);
	(void)close(fd);
	/* A link out of the tree is removed, not followed. */
	char outside[] = "/tmp/ambient-outside-XXXXXX";
	(void)close(mkstemp(outside));
	(void)snprintf(path, sizeof(path), "%s/link", dir);
	ck_assert_int_eq(symlink(outside, path), 0);
	ck_assert_int_eq(am_remove_tree(dir, &err), 0);
	struct stat st;
	ck_assert_int_ne(stat(dir, &st), 0);
	ck_assert_int_eq(stat(outside, &st), 0);
	(void)unlink(outside);
	ck_assert_int_eq(am_file_read("/nonexistent/x", 10, &text, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.message, "cannot read \"/nonexistent/x\": No such file or directory");
	am_buf_fini(&text);
}
END_TEST

START_TEST(base64_is_strict)
{
	for (size_t n = 0; n < 40; n++) {
		unsigned char raw[40];
		struct am_buf text = { 0 }, back = { 0 };
		am_random(raw, n);
		for (int url = 0; url < 2; url++) {
			am_buf_reset(&text);
			am_buf_reset(&back);
			am_base64_encode(&text, raw, n, url);
			ck_assert_int_eq(am_base64_decode(&back, am_buf_str(&text), text.len, url), 0);
			ck_assert_uint_eq(back.len, n);
			ck_assert(n == 0 || memcmp(back.data, raw, n) == 0);
		}
		am_buf_fini(&text);
		am_buf_fini(&back);
	}
	struct am_buf out = { 0 };
	ck_assert_int_lt(am_base64_decode(&out, "YQ", 2, false), 0);
	ck_assert_int_lt(am_base64_decode(&out, "YR==", 4, false), 0);
	ck_assert_int_lt(am_base64_decode(&out, "Y Q=", 4, false), 0);
	am_buf_fini(&out);
}
END_TEST

START_TEST(errors_have_prefixes)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	ck_assert_int_eq(ambient_err(&err, AMBIENT_E_CONFLICT, "changed"), -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(am_err_prefix(&err, "pod \"%s\"", "a"), -AMBIENT_E_CONFLICT);
	ck_assert_str_eq(err.message, "pod \"a\": changed");
	char longest[400];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	(void)am_err_prefix(&err, "%s", longest);
	ck_assert_uint_lt(strlen(err.message), sizeof(err.message));
	ck_assert_int_eq(ambient_terminal(&err, "no"), -AMBIENT_E_INVALID);
	ck_assert(!am_err_retryable(&err));
}
END_TEST

START_TEST(errors_stop_where_their_owners_struct_ends)
{
	/* As a plugin has it whose header knew no `where` yet: what follows on its stack is something else. */
	struct ambient_error err, said = AMBIENT_ERROR_INIT, none = AMBIENT_ERROR_INIT;
	size_t short_of_it = offsetof(struct ambient_error, where);

	memset(&err, 'x', sizeof(err));
	err.size = short_of_it;
	ck_assert_int_eq(ambient_terminal(&err, "never"), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "never");
	ck_assert_uint_eq(err.size, short_of_it);
	ck_assert_int_eq(err.where[0], 'x');

	(void)ambient_err(&said, AMBIENT_E_CONFLICT, "changed");
	(void)snprintf(said.where, sizeof(said.where), "/spec");
	ck_assert_int_eq(ambient_err_copy(&err, &said), -AMBIENT_E_CONFLICT);
	ck_assert_str_eq(err.message, "changed");
	ck_assert_uint_eq(err.size, short_of_it);
	ck_assert_int_eq(err.where[0], 'x');
	ck_assert_int_eq(ambient_err_copy(NULL, &said), -AMBIENT_E_CONFLICT);

	/* The other way round: nothing of what was said before stays behind the shorter one. */
	ck_assert_int_eq(ambient_err_copy(&said, &err), -AMBIENT_E_CONFLICT);
	ck_assert_str_eq(said.where, "");
	ck_assert_uint_eq(said.size, sizeof(said));
	ambient_err_clear(&said);
	ck_assert_mem_eq(&said, &none, sizeof(none));
}
END_TEST

START_TEST(metrics_page)
{
	static const double buckets[] = { 0.1, 1, 0 };
	const char *const labels[] = { "c", "a\"b", NULL };
	struct am_buf page = { 0 };
	am_metric_add(am_metric(AM_COUNTER, "t_total", "T.", labels, NULL), 2);
	am_metric_observe(am_metric(AM_HISTOGRAM, "h_seconds", "H.", NULL, buckets), 0.5);
	am_metric_page(&page);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&page), "# TYPE t_total counter\nt_total{c=\"a\\\"b\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(am_buf_str(&page), "h_seconds_bucket{le=\"0.1\"} 0\nh_seconds_bucket{le=\"1\"} 1\n"
							"h_seconds_bucket{le=\"+Inf\"} 1\nh_seconds_sum 0.5\nh_seconds_count 1\n"));
	am_buf_fini(&page);
}
END_TEST

static void
capture(void *arg, int level am_unused_, const char *area, const char *text)
{
	am_buf_addf(arg, "[%s] %s\n", area, text);
}

START_TEST(logging_honours_the_level)
{
	struct am_buf got = { 0 };
	am_log_set_level(AMBIENT_LOG_INFO);
	ck_assert(!am_log_enabled(AMBIENT_LOG_DEBUG));
	am_log_capture(capture, &got);
	am_log_info("base", "hello %d", 1);
	am_log_capture(NULL, NULL);
	ck_assert_str_eq(am_buf_str(&got), "[base] hello 1\n");
	am_buf_fini(&got);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, buffer_limits_are_sticky);
	tcase_add_test(tc, arena_limit_and_reset);
	tcase_add_test(tc, slab_gives_its_blocks_back);
	tcase_add_test(tc, map_against_a_model);
	tcase_add_test(tc, map_keys_are_the_maps_own_or_borrowed);
	tcase_add_test(tc, numbers_with_units);
	tcase_add_test(tc, names_and_globs);
	tcase_add_test(tc, loopback_by_its_names);
	tcase_add_test(tc, time_there_and_back);
	tcase_add_test(tc, the_fake_clock_ends_waits);
	tcase_add_test(tc, files_and_trees);
	tcase_add_test(tc, base64_is_strict);
	tcase_add_test(tc, errors_have_prefixes);
	tcase_add_test(tc, errors_stop_where_their_owners_struct_ends);
	tcase_add_test(tc, metrics_page);
	tcase_add_test(tc, logging_honours_the_level);
}

UNIT_MAIN("base", cases)
