/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache: the store, its indexes, and reading one's own writes. */
#include <stdatomic.h>
#include <malloc.h>
#include <string.h>

#include "core/base/lock.h"
#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "tests/lib/unit.h"

static struct am_clock *test_clock;
static struct am_store *store;
static struct am_buf told;

static void
setup(void)
{
	test_clock = am_clock_fake_new();
	store = am_store_new(test_clock);
}

static void
teardown(void)
{
	am_store_free(store);
	am_clock_fake_free(test_clock);
	am_buf_fini(&told);
}

static struct am_object *
make(const char *ns, const char *name, const char *uid, const char *rv, const char *spec)
{
	am_auto(am_buf_fini) struct am_buf json = { 0 };
	struct am_object *o = NULL;

	am_buf_addf(&json, "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%s\"},"
		    "\"spec\":%s}", ns, name, uid, rv, spec);
	ck_assert_int_eq(am_object_new(am_buf_str(&json), json.len, &o, NULL), 0);
	return o;
}

static void
note(void *arg, const struct am_change *change)
{
	am_buf_addf(&told, "%s:%s>%s%s%s ", change->name, change->before != NULL ? change->before->rv : "-",
		    change->after != NULL ? change->after->rv : "-", change->initial ? "i" : "", change->missed ? "m" : "");
}

/* What was told since the last call. */
static void
check_told(const char *expected)
{
	ck_assert_str_eq(am_buf_str(&told), expected);
	am_buf_reset(&told);
}

static void
upsert(const char *name, const char *uid, const char *rv, const char *spec)
{
	struct am_object *o = make("ns", name, uid, rv, spec);

	am_store_upsert(store, o, false, note, NULL);
	am_object_unref(o);
}

static void
event(const char *name, const char *uid, const char *rv)
{
	upsert(name, uid, rv, "{}");
	am_store_observe(store, rv);
}

static void
removed(const char *name, const char *uid, const char *rv)
{
	struct am_object *o = make("ns", name, uid, rv, "{}");

	am_store_remove(store, o, note, NULL);
	am_store_observe(store, rv);
	am_object_unref(o);
}

static void
written(const char *name, const char *uid, const char *rv)
{
	struct am_object *o = make("ns", name, uid, rv, "{}");

	am_store_written(store, o);
	am_object_unref(o);
}

/* The version that readers see, "-" for none. */
static void
check_visible(const char *name, const char *rv)
{
	struct am_object *o = am_store_get(store, "ns", name);

	ck_assert_str_eq(o != NULL ? o->rv : "-", rv);
	am_object_unref(o);
}

static void
check_list(const struct am_store_query *query, const char *names)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct am_objects objects;

	ck_assert_int_eq(am_store_list(store, query, &objects, NULL), 0);
	for (size_t i = 0; i < objects.count; i++)
		am_buf_addf(&out, "%s ", objects.items[i]->name);
	am_objects_fini(&objects);
	ck_assert_str_eq(am_buf_str(&out), names);
}

static void
check_index(const char *index, const char *value, const char *names)
{
	check_list(&(struct am_store_query){ .index = index, .value = value }, names);
}

START_TEST(changes_are_told_with_both_states)
{
	event("a", "u", "1");
	event("a", "u", "2");
	event("a", "u", "2");
	removed("a", "u", "5");
	removed("a", "u", "6");
	check_told("a:->1 a:1>2 a:5>- ");
	ck_assert_uint_eq(am_store_count(store), 0);
	ck_assert_uint_eq(am_store_bytes(store), 0);
}
END_TEST

START_TEST(rule6_replace_drops_what_the_list_does_not_have)
{
	event("a", "u", "1");
	event("b", "u", "2");
	event("c", "u", "3");
	am_store_replace_begin(store);
	upsert("b", "u", "2", "{}");
	upsert("c", "u", "7", "{}");
	am_buf_reset(&told);
	am_store_replace_end(store, "9", note, NULL);
	check_told("a:1>-m ");
	check_list(&(struct am_store_query){ 0 }, "b c ");
	char rv[8];
	am_store_rv(store, rv, sizeof(rv));
	ck_assert_str_eq(rv, "9");
}
END_TEST

START_TEST(rule6_a_list_that_starts_over_forgets_its_first_pages)
{
	am_store_replace_begin(store);
	upsert("a", "u", "1", "{}");
	am_store_replace_begin(store);
	upsert("b", "u", "2", "{}");
	am_buf_reset(&told);
	am_store_replace_end(store, "9", note, NULL);
	check_told("a:1>-m ");
}
END_TEST

START_TEST(rule7_same_name_new_uid_is_one_change)
{
	event("a", "u1", "1");
	event("a", "u2", "2");
	check_told("a:->1 a:1>2 ");
}
END_TEST

START_TEST(lists_by_namespace_and_selector)
{
	struct am_selector *s;
	struct am_object *o;

	upsert("a", "u", "1", "{}");
	upsert("b", "u", "2", "{}");
	o = make("other", "c", "u", "3", "{}");
	am_store_upsert(store, o, false, note, NULL);
	am_object_unref(o);
	check_list(&(struct am_store_query){ 0 }, "a b c ");
	check_list(&(struct am_store_query){ .ns = "" }, "a b c ");
	check_list(&(struct am_store_query){ .ns = "ns" }, "a b ");
	check_list(&(struct am_store_query){ .ns = "none" }, "");
	ck_assert_int_eq(am_selector_fields("metadata.name=b", &s, NULL), 0);
	check_list(&(struct am_store_query){ .ns = "ns", .selector = s }, "b ");
	am_selector_free(s);
}
END_TEST

START_TEST(ST1_index_before_and_after_with_many_values)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_objects objects;

	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	upsert("a", "u", "1", "{\"host\":\"h1\",\"tags\":[\"x\",\"y\",\"x\"]}");
	upsert("b", "u", "2", "{\"host\":\"h1\",\"tags\":[\"y\"]}");
	upsert("c", "u", "3", "{\"port\":80}");
	check_index("host", "h1", "a b ");
	ck_assert_int_eq(am_store_add_index(store, "tag", "/spec/tags/*", NULL), 0); /* after start */
	ck_assert_int_eq(am_store_add_index(store, "port", "/spec/port", NULL), 0);
	check_index("tag", "x", "a ");
	check_index("tag", "y", "a b ");
	check_index("port", "80", "c ");
	upsert("a", "u", "4", "{\"host\":\"h2\",\"tags\":[\"z\"]}"); /* values move */
	check_index("host", "h1", "b ");
	check_index("host", "h2", "a ");
	check_index("tag", "x", "");
	check_index("tag", "z", "a ");
	removed("b", "u", "5");
	check_index("tag", "y", "");
	check_list(&(struct am_store_query){ .ns = "other", .index = "tag", .value = "z" }, "");
	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0); /* the same again */
	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/other", &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(err.message, "index \"host\" is already by \"/spec/host\", not by \"/spec/other\"");
	ck_assert_int_eq(am_store_add_index(store, "x", "spec", &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_store_add_index(store, "", "/spec", &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_store_list(store, &(struct am_store_query){ .index = "none", .value = "x" }, &objects, &err),
			 -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(am_store_list(store, &(struct am_store_query){ .index = "", .value = "ns" }, &objects, &err),
			 -AMBIENT_E_UNSUPPORTED);
}
END_TEST

START_TEST(ST1_an_index_forgets_values_that_nobody_has)
{
	size_t before = 0, slack = 64 * 1024;

	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	for (int i = 0; i < 20000; i++) {
		char spec[64], rv[16];

		if (i == 100)
			before = mallinfo2().uordblks;
		(void)snprintf(spec, sizeof(spec), "{\"host\":\"a-host-of-its-own-%d\"}", i);
		(void)snprintf(rv, sizeof(rv), "%d", i + 1);
		upsert("a", "u", rv, spec);
		am_buf_reset(&told);
	}
	check_index("host", "a-host-of-its-own-19999", "a ");
	check_index("host", "a-host-of-its-own-19998", "");
	ck_assert_uint_le(mallinfo2().uordblks, before + slack); /* the sanitizers say 0 to both */
}
END_TEST

START_TEST(ST2_replace_rebuilds_the_indexes)
{
	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	upsert("a", "u", "1", "{\"host\":\"h1\"}");
	upsert("b", "u", "2", "{\"host\":\"h1\"}");
	am_store_replace_begin(store);
	upsert("a", "u", "3", "{\"host\":\"h2\"}");
	upsert("c", "u", "4", "{\"host\":\"h1\"}");
	am_store_replace_end(store, "9", note, NULL);
	check_index("host", "h1", "c ");
	check_index("host", "h2", "a ");
}
END_TEST

/* ---- reading one's own writes */

START_TEST(RW1_a_write_is_visible_at_once_and_told_once)
{
	event("a", "u", "1");
	check_told("a:->1 ");
	written("a", "u", "5");
	check_visible("a", "5");
	check_told("");
	event("a", "u", "3"); /* older than ours */
	check_visible("a", "5");
	check_told("a:1>3 ");
	event("a", "u", "5");
	check_visible("a", "5");
	check_told("a:3>5 ");
	event("a", "u", "6");
	check_visible("a", "6");
}
END_TEST

START_TEST(RW1_a_created_object_is_visible_before_the_watch_has_it)
{
	event("x", "u", "1");
	written("a", "u", "5");
	check_visible("a", "5");
	check_list(&(struct am_store_query){ 0 }, "x a ");
	ck_assert_uint_eq(am_store_count(store), 2);
	event("x", "u", "4");
	check_visible("a", "5");
	event("a", "u", "5");
	check_told("x:->1 x:1>4 a:->5 ");
}
END_TEST

START_TEST(RW1_what_the_watch_never_shows_goes_away)
{
	event("x", "u", "1");
	written("a", "u", "5"); /* say, it does not match the selector */
	am_store_observe(store, "4");
	check_visible("a", "5");
	am_store_observe(store, "5"); /* rule 25: a bookmark is enough */
	check_visible("a", "-");
	ck_assert_uint_eq(am_store_count(store), 1);
}
END_TEST

START_TEST(RW1_a_late_answer_does_not_go_back)
{
	event("a", "u", "7");
	written("a", "u", "5");
	check_visible("a", "7");
	written("a", "u", "9");
	written("a", "u", "8");
	check_visible("a", "9");
	removed("b", "u", "10");
	written("b", "u", "10"); /* created and deleted before we heard of our own creation */
	check_visible("b", "-");
}
END_TEST

START_TEST(RW1_an_own_deletion_is_visible_at_once)
{
	event("a", "u1", "1");
	am_store_deleted(store, "ns", "a", "u1");
	check_visible("a", "-");
	check_list(&(struct am_store_query){ .ns = "ns" }, "");
	event("a", "u1", "2"); /* an older event */
	check_visible("a", "-");
	written("a", "u1", "3"); /* the late answer to an earlier write */
	check_visible("a", "-");
	event("a", "u2", "4"); /* somebody made it anew */
	check_visible("a", "4");
	am_store_deleted(store, "ns", "a", "u1"); /* not that one */
	check_visible("a", "4");
	am_store_deleted(store, "ns", "a", NULL);
	check_visible("a", "-");
	written("a", "u3", "6"); /* we made it anew */
	check_visible("a", "6");
	removed("a", "u2", "5");
	check_visible("a", "6");
	event("a", "u3", "6");
	check_visible("a", "6");
	check_told("a:->1 a:1>2 a:2>4 a:5>- a:->6 ");
}
END_TEST

START_TEST(RW1_a_tombstone_does_not_last)
{
	event("a", "u1", "1");
	am_store_deleted(store, "ns", "a", "u1");
	am_clock_fake_advance(test_clock, 29 * AM_NS_PER_S);
	check_visible("a", "-");
	am_clock_fake_advance(test_clock, 1 * AM_NS_PER_S);
	check_visible("a", "1");
}
END_TEST

START_TEST(RW1_indexes_follow_what_readers_see)
{
	struct am_object *o = make("ns", "a", "u", "5", "{\"host\":\"h2\"}");

	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	upsert("a", "u", "1", "{\"host\":\"h1\"}");
	am_store_written(store, o);
	am_object_unref(o);
	check_index("host", "h1", "");
	check_index("host", "h2", "a ");
	upsert("a", "u", "3", "{\"host\":\"h3\"}");
	check_index("host", "h2", "a ");
	upsert("a", "u", "6", "{\"host\":\"h3\"}");
	check_index("host", "h2", "");
	check_index("host", "h3", "a ");
}
END_TEST

START_TEST(RW1_a_list_from_before_the_write_does_not_undo_it)
{
	event("a", "u", "1");
	am_store_replace_begin(store);
	written("n", "u", "8");
	written("a", "u", "9");
	upsert("a", "u", "1", "{}");
	am_store_replace_end(store, "5", note, NULL);
	check_visible("a", "9");
	check_visible("n", "8");
	am_store_replace_begin(store);
	am_store_replace_end(store, "10", note, NULL);
	check_visible("a", "-");
	check_visible("n", "-");
}
END_TEST

START_TEST(a_restored_api_server_wins)
{
	event("a", "u", "100");
	written("a", "u", "105");
	am_store_replace_begin(store);
	upsert("a", "u", "40", "{}");
	am_store_replace_end(store, "50", note, NULL); /* the history was replaced by an older one */
	check_visible("a", "40");
	check_told("a:->100 a:100>40 ");
}
END_TEST

START_TEST(a_written_object_that_left_the_selection_is_hidden)
{
	struct am_selector *s;
	struct am_object *o;

	ck_assert_int_eq(am_selector_fields("/spec/on=true", &s, NULL), 0);
	am_store_set_filter(store, "ns", s, NULL);
	upsert("a", "u", "1", "{\"on\":true}");
	o = make("ns", "a", "u", "5", "{\"on\":false}");
	am_store_written(store, o);
	am_object_unref(o);
	check_visible("a", "-");
	o = make("ns", "b", "u", "6", "{\"on\":false}");
	am_store_written(store, o);
	am_object_unref(o);
	check_visible("b", "-");
	o = make("elsewhere", "c", "u", "7", "{\"on\":true}");
	am_store_written(store, o);
	am_object_unref(o);
	ck_assert_uint_eq(am_store_count(store), 0);
	upsert("a", "u", "8", "{\"on\":true}");
	check_visible("a", "8");
}
END_TEST

/* ---- readers while the I/O thread writes */

static atomic_bool stop;
static atomic_int torn;

static void
reader(void *arg)
{
	while (!atomic_load(&stop)) {
		struct am_object *o = am_store_get(store, "ns", "a");
		struct am_objects objects;

		if (o != NULL && strstr(o->json.p, o->rv) == NULL)
			atomic_fetch_add(&torn, 1);
		am_object_unref(o);
		if (am_store_list(store, &(struct am_store_query){ .index = "host", .value = "h" }, &objects, NULL) == 0)
			am_objects_fini(&objects);
	}
}

START_TEST(ST1_concurrent_readers)
{
	struct am_thread *threads[4];
	char rv[16];

	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	for (int i = 0; i < 4; i++)
		threads[i] = am_thread_new("reader", 0, reader, NULL);
	for (int i = 1; i < 2000; i++) {
		struct am_object *o;

		(void)snprintf(rv, sizeof(rv), "%d", i);
		o = make("ns", "a", "u", rv, "{\"host\":\"h\"}");
		if (i % 7 == 0)
			am_store_remove(store, o, NULL, NULL);
		else if (i % 5 == 0)
			am_store_written(store, o);
		else
			am_store_upsert(store, o, false, NULL, NULL);
		am_object_unref(o);
		am_store_observe(store, rv);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++)
		am_thread_join(threads[i]);
	ck_assert_int_eq(torn, 0);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, changes_are_told_with_both_states);
	tcase_add_test(tc, rule6_replace_drops_what_the_list_does_not_have);
	tcase_add_test(tc, rule6_a_list_that_starts_over_forgets_its_first_pages);
	tcase_add_test(tc, rule7_same_name_new_uid_is_one_change);
	tcase_add_test(tc, lists_by_namespace_and_selector);
	tcase_add_test(tc, ST1_index_before_and_after_with_many_values);
	tcase_add_test(tc, ST1_concurrent_readers);
	tcase_add_test(tc, ST1_an_index_forgets_values_that_nobody_has);
	tcase_add_test(tc, ST2_replace_rebuilds_the_indexes);
	tcase_add_test(tc, RW1_a_write_is_visible_at_once_and_told_once);
	tcase_add_test(tc, RW1_a_created_object_is_visible_before_the_watch_has_it);
	tcase_add_test(tc, RW1_what_the_watch_never_shows_goes_away);
	tcase_add_test(tc, RW1_a_late_answer_does_not_go_back);
	tcase_add_test(tc, RW1_an_own_deletion_is_visible_at_once);
	tcase_add_test(tc, RW1_a_tombstone_does_not_last);
	tcase_add_test(tc, RW1_indexes_follow_what_readers_see);
	tcase_add_test(tc, RW1_a_list_from_before_the_write_does_not_undo_it);
	tcase_add_test(tc, a_restored_api_server_wins);
	tcase_add_test(tc, a_written_object_that_left_the_selection_is_hidden);
}

UNIT_MAIN("store", cases)
