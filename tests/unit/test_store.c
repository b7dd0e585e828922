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

START_TEST(rule_06_replace_drops_what_the_list_does_not_have)
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

START_TEST(rule_06_a_list_that_starts_over_forgets_its_first_pages)
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

START_TEST(rule_07_same_name_new_uid_is_one_change)
{
	event("a", "u1", "1");
	event("a", "u2", "2");
	check_told("a:->1 a:1>2 ");
}
END_TEST

/* Behind a restored API server versions come again, for other objects. */
START_TEST(rule_07_same_version_new_uid_is_a_change)
{
	event("a", "u1", "5");
	event("a", "u2", "5");
	check_told("a:->5 a:5>5 ");
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

START_TEST(ST1_01_index_before_and_after_with_many_values)
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

START_TEST(ST1_02_an_index_forgets_values_that_nobody_has)
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

START_TEST(RW1_01_a_write_is_visible_at_once_and_told_once)
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

START_TEST(RW1_02_rule_26_a_created_object_is_visible_before_the_watch_has_it)
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

START_TEST(RW1_03_rule_25_what_the_watch_never_shows_goes_away)
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

START_TEST(RW1_04_a_late_answer_does_not_go_back)
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

/* While the removal is told, the answers to the writes before it come in. */
static void
answer_late(void *arg, const struct am_change *change)
{
	const char *rv = arg;

	ck_assert_ptr_null(change->after);
	written("a", "u", rv);
	check_visible("a", "-");
}

START_TEST(RW1_11_an_answer_while_a_removal_is_told_raises_nothing)
{
	char second[] = "2", fifth[] = "5";
	struct am_object *last;

	event("a", "u", "1");
	last = make("ns", "a", "u", "3", "{}");
	am_store_remove(store, last, answer_late, second);
	am_object_unref(last);
	event("a", "u", "4");
	am_store_remove_name(store, "ns", "a", "6", answer_late, fifth);
	ck_assert_uint_eq(am_store_count(store), 0);
}
END_TEST

START_TEST(RW1_09_a_late_answer_does_not_go_back_behind_a_list_under_way)
{
	am_store_replace_begin(store);
	upsert("a", "u1", "9", "{}"); /* its end, which will say how current it is, has not come */
	written("a", "u1", "7");
	check_visible("a", "9");
}
END_TEST

START_TEST(RW1_05_rule_22_an_own_deletion_is_visible_at_once)
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

START_TEST(RW1_06_a_tombstone_does_not_last)
{
	event("a", "u1", "1");
	am_store_deleted(store, "ns", "a", "u1");
	am_clock_fake_advance(test_clock, 29 * AM_NS_PER_S);
	check_visible("a", "-");
	am_clock_fake_advance(test_clock, 1 * AM_NS_PER_S);
	check_visible("a", "1");
}
END_TEST

START_TEST(RW1_07_indexes_follow_what_readers_see)
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

START_TEST(RW1_08_a_list_from_before_the_write_does_not_undo_it)
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

/* ---- packed texts and parts of objects */

/* As an object of the platform looks: much is the same in all of them. */
static struct am_object *
session(int i, int rv)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_object *object;
	char *text = am_xasprintf(
		"{\"apiVersion\":\"vteam.ambient-code/v1alpha1\",\"kind\":\"AgenticSession\",\"metadata\":{\"name\":\"session-%06d\","
		"\"namespace\":\"team-%d\",\"uid\":\"%08x-1b4d-4c5e-9f10-%012x\",\"resourceVersion\":\"%d\",\"generation\":2,"
		"\"creationTimestamp\":\"2026-01-01T00:%02d:%02dZ\",\"labels\":{\"app\":\"x\"}},\"spec\":{\"prompt\":\"fix issue %d in the parser\","
		"\"repos\":[{\"url\":\"https://git.example.com/team/repo-%d.git\",\"branch\":\"main\"}],\"interactive\":false,\"timeout\":300,"
		"\"llmSettings\":{\"model\":\"sonnet\",\"temperature\":0.7,\"maxTokens\":4000}},\"status\":{\"phase\":\"Running\",\"conditions\":["
		"{\"type\":\"Ready\",\"status\":\"True\",\"reason\":\"Started\",\"message\":\"the pod runs\",\"lastTransitionTime\":"
		"\"2026-01-01T00:%02d:%02dZ\",\"observedGeneration\":2}],\"jobName\":\"session-%06d-job\"}}",
		i, i % 7, i * 2654435761U, i * 40503U, rv, i / 60 % 60, i % 60, i, i % 11, i / 60 % 60, i % 60, i);

	ck_assert_msg(am_object_new(text, strlen(text), &object, &err) == 0, "%s", err.message);
	free(text);
	return object;
}

static void
put_session(int i, int rv)
{
	struct am_object *object = session(i, rv);

	am_store_upsert(store, object, false, note, NULL);
	am_object_unref(object);
}

static void
check_session(const char *json, int i, int rv)
{
	struct am_object *object = session(i, rv);

	ck_assert_str_eq(json, object->json.p);
	am_object_unref(object);
}

START_TEST(packed_objects_read_as_they_were)
{
	struct am_objects found;
	size_t plain = 0;

	am_store_set_packed(store, 0);
	ck_assert_int_eq(am_store_add_index(store, "phase", "/status/phase", NULL), 0);
	ck_assert_int_eq(am_store_add_index(store, "repo", "/spec/repos/*/url", NULL), 0);
	for (int i = 0; i < 2000; i++) {
		struct am_object *object = session(i, 1000 + i);
		plain += object->json.n;
		am_object_unref(object);
		put_session(i, 1000 + i);
	}
	ck_assert_uint_lt(am_store_bytes(store), plain / 4);
	for (int i = 0; i < 2000; i += 97) {
		char name[32], ns[16];

		(void)snprintf(name, sizeof(name), "session-%06d", i);
		(void)snprintf(ns, sizeof(ns), "team-%d", i % 7);
		struct am_object *object = am_store_get(store, ns, name);
		check_session(object->json.p, i, 1000 + i);
		ck_assert_str_eq(object->name, name);
		ck_assert_int_eq(object->generation, 2);
		am_object_unref(object);
	}
	ck_assert_int_eq(am_store_list(store, &(struct am_store_query){ .index = "repo", .value = "https://git.example.com/team/repo-3.git" },
				       &found, NULL), 0);
	ck_assert_uint_eq(found.count, 182);
	ck_assert_ptr_nonnull(strstr(found.items[0]->json.p, "repo-3.git"));
	am_objects_fini(&found);
	/* A change takes it out of the index where it was. */
	put_session(3, 9000);
	ck_assert_int_eq(am_store_list(store, &(struct am_store_query){ .index = "phase", .value = "Running" }, &found, NULL), 0);
	ck_assert_uint_eq(found.count, 2000);
	am_objects_fini(&found);
	am_store_replace_begin(store);
	am_store_replace_end(store, "9999", NULL, NULL);
	ck_assert_uint_eq(am_store_count(store), 0);
	ck_assert_uint_eq(am_store_bytes(store), 0);
}
END_TEST

static int texts;

static void
note_texts(void *arg, const struct am_change *change)
{
	if (change->before != NULL)
		check_session(change->before->json.p, 9, 1009);
	if (change->after != NULL)
		check_session(change->after->json.p, 9, 5000);
	texts++;
}

START_TEST(packed_objects_are_told_with_their_texts)
{
	struct am_object *object;

	am_store_set_packed(store, 0);
	for (int i = 0; i < 10; i++)
		put_session(i, 1000 + i);
	object = session(9, 5000);
	am_store_upsert(store, object, false, note_texts, NULL);
	am_object_unref(object);
	ck_assert_int_eq(texts, 1);
	/* What was opened once lives on by itself. */
	object = am_store_get(store, "team-2", "session-000009");
	am_store_remove(store, object, NULL, NULL);
	check_session(object->json.p, 9, 5000);
	am_object_unref(object);
}
END_TEST

/* A dictionary is worth its memory for many objects only; what was packed can still be read when few are left. */
START_TEST(few_objects_are_left_as_they_are)
{
	struct am_object *object = session(0, 1000);
	size_t plain = object->json.n;
	char ns[16], name[32];

	am_object_unref(object);
	am_store_set_packed(store, 100);
	for (int i = 0; i < 100; i++)
		put_session(i, 1000 + i);
	ck_assert_uint_gt(am_store_bytes(store), 99 * (plain - 8));
	for (int i = 100; i < 400; i++)
		put_session(i, 1000 + i);
	/* Those that came first, too. */
	ck_assert_uint_lt(am_store_bytes(store), 400 * plain / 4);
	for (int i = 10; i < 400; i++) {
		object = session(i, 2000 + i);
		am_store_remove(store, object, NULL, NULL);
		am_object_unref(object);
	}
	for (int i = 0; i < 10; i++) {
		put_session(i, 3000 + i);
		(void)snprintf(ns, sizeof(ns), "team-%d", i % 7);
		(void)snprintf(name, sizeof(name), "session-%06d", i);
		object = am_store_get(store, ns, name);
		check_session(object->json.p, i, 3000 + i);
		am_object_unref(object);
	}
	ck_assert_uint_gt(am_store_bytes(store), 9 * (plain - 8));
}
END_TEST

/* Objects that became different get a dictionary of their own; the old ones keep theirs. */
START_TEST(packing_learns_again)
{
	am_store_set_packed(store, 0);
	for (int i = 0; i < 20; i++)
		put_session(i, 1000 + i);
	for (int i = 0; i < 3000; i++) {
		struct am_object *object;
		char *text = am_xasprintf("{\"metadata\":{\"name\":\"other-%d\",\"resourceVersion\":\"%d\"},\"data\":{\"%016llx\":\"%016llx%016llx\","
					  "\"certificate\":\"MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJRTESMBAGA1UE"
					  "ChMJQmFsdGltb3JlMRMwEQYDVQQLEwpDeWJlclRydXN0MSIwIAYDVQQDExlCYWx0aW1vcmUg%016llx\"}}", i, 5000 + i,
					  i * 0x9E3779B97F4A7C15ULL, i * 0xC2B2AE3D27D4EB4FULL, i * 0x165667B19E3779F9ULL, i * 0x27D4EB2F165667C5ULL);

		ck_assert_int_eq(am_object_new(text, strlen(text), &object, NULL), 0);
		free(text);
		am_store_upsert(store, object, false, NULL, NULL);
		am_object_unref(object);
	}
	struct am_object *first = am_store_get(store, "team-3", "session-000010"), *last = am_store_get(store, "", "other-2999");
	check_session(first->json.p, 10, 1010);
	ck_assert_ptr_nonnull(strstr(last->json.p, "MIIDdz"));
	am_object_unref(first);
	am_object_unref(last);
}
END_TEST

START_TEST(CA7_01_rule_19_projections_keep_what_they_name)
{
	static const struct {
		const char *only, *kept;
	} rows[] = {
		{ "metadata", "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"kind\":\"K\"}" },
		{ "/spec/size", "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"size\":1.50},\"kind\":\"K\"}" },
		{ "/spec/list/*/name,/spec/a~1b",
		  "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"list\":[{\"name\":\"1\"},{},{\"name\":\"3\"}],"
		  "\"a/b\":true},\"kind\":\"K\"}" },
		{ "/spec/size/below,/status/none",
		  "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"size\":null},\"kind\":\"K\"}" },
		{ "/spec/*/deep", "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"size\":null,\"list\":[],"
				  "\"a/b\":null,\"map\":{\"deep\":[1,{\"b\":2}]}},\"kind\":\"K\"}" },
	};
	static const char text[] = "{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"y\"}},\"spec\":{\"size\":1.50,\"list\":["
				   "{\"name\":\"1\",\"x\":2},{},{\"name\":\"3\"}],\"a/b\":true,\"map\":{\"deep\":[1,{\"b\":2}],\"no\":1}},\"kind\":\"K\"}";

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_object_form form = { 0 };
		struct am_projection *projection;
		struct am_object *object, *again;

		ck_assert_msg(am_projection_parse(rows[i].only, &projection, &err) == 0, "%s", err.message);
		form.projection = projection;
		ck_assert_msg(am_object_new_form(text, strlen(text), &form, &object, &err) == 0, "%s", err.message);
		ck_assert_str_eq(object->json.p, rows[i].kept);
		/* rule 19: applied again it is the same */
		ck_assert_int_eq(am_object_new_form(object->json.p, object->json.n, &form, &again, &err), 0);
		ck_assert_str_eq(again->json.p, rows[i].kept);
		am_object_unref(object);
		am_object_unref(again);
		am_projection_free(projection);
	}
}
END_TEST

START_TEST(CA7_01_projections_know_what_they_keep)
{
	static const struct {
		const char *only, *pointer;
		bool keeps;
	} rows[] = {
		{ "metadata", "", true },
		{ "metadata", "/kind", true },
		{ "metadata", "/metadata/labels/a~1b", true },
		{ "metadata", "/spec", false },
		{ "metadata", "/metadatas", false },
		{ "/spec/size,/status/items/*/name", "/spec", true },
		{ "/spec/size,/status/items/*/name", "/spec/size", true },
		{ "/spec/size,/status/items/*/name", "/spec/size/deep/in", true },
		{ "/spec/size,/status/items/*/name", "/spec/color", false },
		{ "/spec/size,/status/items/*/name", "/status/items/0", true },
		{ "/spec/size,/status/items/*/name", "/status/items/12/name", true },
		{ "/spec/size,/status/items/*/name", "/status/items/12/image", false },
		{ "/spec/a~1b,/spec/~0", "/spec/a~1b", true },
		{ "/spec/a~1b,/spec/~0", "/spec/a/b", false },
		{ "/spec/a~1b,/spec/~0", "/spec/~0/x", true },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_projection *projection;

		ck_assert_int_eq(am_projection_parse(rows[i].only, &projection, NULL), 0);
		ck_assert_msg(am_projection_keeps(projection, rows[i].pointer) == rows[i].keeps, "%s %s", rows[i].only, rows[i].pointer);
		am_projection_free(projection);
	}
}
END_TEST

START_TEST(projections_refused)
{
	static const char *const bad[] = { "", "spec", "/", "/a//b", "/a,", ",/a", "/a/", "metadata,/a", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q" };

	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_projection *projection;

		ck_assert_msg(am_projection_parse(bad[i], &projection, &err) == -AMBIENT_E_INVALID, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(err.message, "JSON Pointers"));
	}
}
END_TEST

START_TEST(ST1_03_concurrent_readers)
{
	static const char spec[] = "{\"host\":\"h\",\"text\":\"long enough to be worth packing, which begins at two hundred bytes with all that is "
				   "around it: a name, a namespace, a uid, a version, and these words that say nothing else\"}";
	struct am_thread *threads[4];
	char rv[16];

	if (_i == 1)
		am_store_set_packed(store, 0);
	ck_assert_int_eq(am_store_add_index(store, "host", "/spec/host", NULL), 0);
	for (int i = 0; i < 4; i++)
		threads[i] = am_thread_new("reader", 0, reader, NULL);
	for (int i = 1; i < 2000; i++) {
		struct am_object *o;

		(void)snprintf(rv, sizeof(rv), "%d", i);
		o = make("ns", "a", "u", rv, spec);
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
	tcase_add_test(tc, rule_06_replace_drops_what_the_list_does_not_have);
	tcase_add_test(tc, rule_06_a_list_that_starts_over_forgets_its_first_pages);
	tcase_add_test(tc, rule_07_same_name_new_uid_is_one_change);
	tcase_add_test(tc, rule_07_same_version_new_uid_is_a_change);
	tcase_add_test(tc, lists_by_namespace_and_selector);
	tcase_add_test(tc, ST1_01_index_before_and_after_with_many_values);
	tcase_add_test(tc, packed_objects_read_as_they_were);
	tcase_add_test(tc, packed_objects_are_told_with_their_texts);
	tcase_add_test(tc, few_objects_are_left_as_they_are);
	tcase_add_test(tc, packing_learns_again);
	tcase_add_test(tc, CA7_01_rule_19_projections_keep_what_they_name);
	tcase_add_test(tc, CA7_01_projections_know_what_they_keep);
	tcase_add_test(tc, projections_refused);
	tcase_add_loop_test(tc, ST1_03_concurrent_readers, 0, 2); /* plain, packed */
	tcase_add_test(tc, ST1_02_an_index_forgets_values_that_nobody_has);
	tcase_add_test(tc, ST2_replace_rebuilds_the_indexes);
	tcase_add_test(tc, RW1_01_a_write_is_visible_at_once_and_told_once);
	tcase_add_test(tc, RW1_02_rule_26_a_created_object_is_visible_before_the_watch_has_it);
	tcase_add_test(tc, RW1_03_rule_25_what_the_watch_never_shows_goes_away);
	tcase_add_test(tc, RW1_04_a_late_answer_does_not_go_back);
	tcase_add_test(tc, RW1_05_rule_22_an_own_deletion_is_visible_at_once);
	tcase_add_test(tc, RW1_06_a_tombstone_does_not_last);
	tcase_add_test(tc, RW1_07_indexes_follow_what_readers_see);
	tcase_add_test(tc, RW1_08_a_list_from_before_the_write_does_not_undo_it);
	tcase_add_test(tc, RW1_09_a_late_answer_does_not_go_back_behind_a_list_under_way);
	tcase_add_test(tc, RW1_11_an_answer_while_a_removal_is_told_raises_nothing);
	tcase_add_test(tc, a_restored_api_server_wins);
	tcase_add_test(tc, a_written_object_that_left_the_selection_is_hidden);
}

UNIT_MAIN("store", cases)
