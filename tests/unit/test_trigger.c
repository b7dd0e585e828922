/* SPDX-License-Identifier: Apache-2.0 */
/* core/trigger: which names a change wakes.  Names follow frameworks.md 5.7. */
#include <string.h>

#include "core/base/buf.h"
#include "core/cache/cache_priv.h"
#include "core/queue/queue.h"
#include "core/trigger/trigger.h"
#include "tests/lib/unit.h"

static struct am_clock *test_clock;
static struct am_store *store;
static struct am_stores *stores;
static struct am_trigger *trigger;

static struct am_object *
object(const char *ns, const char *name, const char *rv, const char *more)
{
	am_auto(am_buf_fini) struct am_buf json = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_object *o;

	am_buf_addf(&json, "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"resourceVersion\":\"%s\",\"uid\":\"u\"%s}}", ns,
		    name, rv, more);
	ck_assert_msg(am_object_new(am_buf_str(&json), json.len, &o, &err) == 0, "%s", err.message);
	return o;
}

static void
stored(const char *ns, const char *name, const char *more)
{
	struct am_object *o = object(ns, name, "1", more);

	am_store_upsert(store, o, false, NULL, NULL);
	am_object_unref(o);
}

static void
setup(void)
{
	test_clock = am_clock_fake_new();
	store = am_store_new(test_clock);
	stores = am_stores_new();
	am_stores_fill(stores, &(struct am_stores_item){ NULL, store }, 1);
}

static void
teardown(void)
{
	am_trigger_free(trigger);
	am_stores_free(stores);
	am_store_free(store);
	am_clock_fake_free(test_clock);
}

static void
make(struct am_trigger_options options)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_trigger_free(trigger);
	options.stores = stores;
	ck_assert_msg(am_trigger_new(&options, &trigger, &err) == 0, "%s", err.message);
}

static void
note(void *arg, const char *ns, const char *name, int priority)
{
	am_buf_addf(arg, "%s/%s%s ", ns, name, priority == AM_QUEUE_LOW ? "!" : "");
}

static void
run(const struct am_object *before, const struct am_object *after, bool initial, const char *expected)
{
	const struct am_object *any = after != NULL ? after : before;
	struct am_change change = { .ns = any->ns, .name = any->name, .before = before, .after = after, .initial = initial };
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	am_trigger_run(trigger, &change, note, &out);
	ck_assert_str_eq(am_buf_str(&out), expected);
}

#define O(ns, name, more) object(ns, name, "1", more)
#define REF(version, kind, name, controller) \
	"{\"apiVersion\":\"" version "\",\"kind\":\"" kind "\",\"name\":\"" name "\",\"uid\":\"x\",\"controller\":" controller "}"

START_TEST(HD1_the_object_itself_once)
{
	struct am_object *a = O("n", "a", ""), *a2 = object("n", "a", "2", "");

	make((struct am_trigger_options){ .map = AM_MAP_SELF });
	run(NULL, a, false, "n/a ");
	run(a, a2, false, "n/a ");
	run(a, NULL, false, "n/a ");
	am_object_unref(a);
	am_object_unref(a2);
}
END_TEST

START_TEST(HD4_rule_48_low_priority_for_the_initial_list_and_unchanged_versions)
{
	struct am_object *a = O("n", "a", ""), *a2 = object("n", "a", "2", "");

	make((struct am_trigger_options){ .map = AM_MAP_SELF });
	run(NULL, a, true, "n/a! ");
	run(a, a, false, "n/a! ");
	run(a, a2, false, "n/a ");
	am_object_unref(a);
	am_object_unref(a2);
}
END_TEST

START_TEST(rule_13_a_change_is_told_as_what_it_is)
{
	struct am_object *a = O("n", "a", ""), *a2 = object("n", "a", "2", "");
	const struct {
		struct am_change change;
		enum am_cause_type cause;
	} rows[] = {
		{ { .after = a, .initial = true }, AM_CAUSE_LISTED },
		{ { .after = a }, AM_CAUSE_ADDED },
		{ { .before = a, .after = a2 }, AM_CAUSE_CHANGED },
		{ { .before = a, .after = a }, AM_CAUSE_RESYNC }, /* rule 13 */
		{ { .before = a }, AM_CAUSE_DELETED },
		{ { .before = a, .missed = true }, AM_CAUSE_DELETED },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++)
		ck_assert_int_eq((int)am_trigger_cause(&rows[i].change), (int)rows[i].cause);
	am_object_unref(a);
	am_object_unref(a2);
}
END_TEST

static void
kind_widget(void *arg, char buf[128])
{
	strcpy(buf, "Widget");
}

START_TEST(HD2_rule_08_the_owner_by_group_and_kind_of_old_and_new)
{
	static const struct { const char *refs, *wakes; } rows[] = {
		{ "", "" },
		{ ",\"ownerReferences\":[]", "" },
		{ ",\"ownerReferences\":null", "" },
		{ ",\"ownerReferences\":[" REF("x.io/v1", "Widget", "w", "true") "]", "n/w " },
		{ ",\"ownerReferences\":[" REF("x.io/v2", "Widget", "w", "true") "]", "n/w " }, /* any version */
		{ ",\"ownerReferences\":[" REF("x.io/v1", "Widget", "w", "false") "]", "" },
		{ ",\"ownerReferences\":[" REF("y.io/v1", "Widget", "w", "true") "]", "" },
		{ ",\"ownerReferences\":[" REF("v1", "Widget", "w", "true") "]", "" },
		{ ",\"ownerReferences\":[" REF("x.io/v1/z", "Widget", "w", "true") "]", "" }, /* a bad version is tolerated */
		{ ",\"ownerReferences\":[" REF("x.io/v1", "Gadget", "w", "true") "]", "" },
		{ ",\"ownerReferences\":[" REF("x.io/v1", "Widget", "../w", "true") "]", "" },
		{ ",\"ownerReferences\":[7,{}," REF("a/v1", "B", "c", "false") "," REF("x.io/v1", "Widget", "w", "true") "]", "n/w " },
	};
	struct am_object *old = O("n", "c", ",\"ownerReferences\":[" REF("x.io/v1", "Widget", "old", "true") "]");
	struct am_object *new = object("n", "c", "2", ",\"ownerReferences\":[" REF("x.io/v1", "Widget", "new", "true") "]");

	make((struct am_trigger_options){ .map = AM_MAP_OWNER, .owner_group = "x.io", .owner_kind = kind_widget });
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_object *o = O("n", "c", rows[i].refs);

		run(NULL, o, false, rows[i].wakes);
		run(o, NULL, false, rows[i].wakes);
		am_object_unref(o);
	}
	run(old, new, false, "n/new n/old ");
	make((struct am_trigger_options){ .map = AM_MAP_OWNER, .owner_group = "x.io", .cluster_scoped = true });
	run(NULL, new, false, "/new ");
	make((struct am_trigger_options){ .map = AM_MAP_OWNER, .owner_group = "" });
	run(NULL, new, false, "");
	/* the store of the reconciled kind shows that it is in no namespace */
	stored("", "new", "");
	make((struct am_trigger_options){ .map = AM_MAP_OWNER, .owner_group = "x.io" });
	run(old, new, false, "/new n/old ");
	am_object_unref(old);
	am_object_unref(new);
}
END_TEST

START_TEST(HD3_label_of_old_and_new)
{
	struct am_object *old = O("n", "p", ",\"labels\":{\"a/s\":\"one\"}"), *new = object("n", "p", "2", ",\"labels\":{\"a/s\":\"two\"}");
	struct am_object *none = O("n", "q", ""), *wide = O("", "node", ",\"labels\":{\"a/s\":\"one\"}");

	make((struct am_trigger_options){ .map = AM_MAP_LABEL, .key = "a/s" });
	run(old, new, false, "n/two n/one ");
	run(NULL, none, false, "");
	run(NULL, wide, false, ""); /* in which namespace? */
	make((struct am_trigger_options){ .map = AM_MAP_LABEL, .key = "a/s", .cluster_scoped = true });
	run(NULL, old, false, "/one ");
	am_object_unref(old);
	am_object_unref(new);
	am_object_unref(none);
	am_object_unref(wide);
}
END_TEST

START_TEST(annotation_may_name_the_namespace)
{
	struct am_object *a = O("n", "p", ",\"annotations\":{\"k\":\"one\"}"), *b = O("", "p", ",\"annotations\":{\"k\":\"m/two\"}");
	struct am_object *c = O("n", "p", ",\"annotations\":{\"k\":\"m/two/three\"}"), *d = O("n", "p", ",\"annotations\":{\"k\":\"\"}");

	make((struct am_trigger_options){ .map = AM_MAP_ANNOTATION, .key = "k" });
	run(NULL, a, false, "n/one ");
	run(NULL, b, false, "m/two ");
	run(NULL, c, false, "");
	run(NULL, d, false, "");
	am_object_unref(a);
	am_object_unref(b);
	am_object_unref(c);
	am_object_unref(d);
}
END_TEST

START_TEST(namespace_index_and_all_look_into_the_store)
{
	struct am_object *pod = O("n1", "p", ""), *ns = O("", "n2", ""), *secret = O("n1", "s", "");

	stored("n1", "a", ",\"labels\":{\"s\":\"s\"}");
	stored("n1", "b", "");
	stored("n2", "c", ",\"labels\":{\"s\":\"s\"}");
	stored("", "n2", "");
	make((struct am_trigger_options){ .map = AM_MAP_NAMESPACE });
	run(NULL, pod, false, "n1/a n1/b ");
	run(NULL, ns, false, "/n2 n2/c ");
	ck_assert_int_eq(am_store_add_index(store, "bySecret", "/metadata/labels/s", NULL), 0);
	make((struct am_trigger_options){ .map = AM_MAP_INDEX, .key = "bySecret" });
	run(NULL, secret, false, "n1/a ");
	run(NULL, pod, false, "");
	make((struct am_trigger_options){ .map = AM_MAP_ALL });
	run(NULL, pod, true, "n1/a! n1/b! n2/c! /n2! ");
	am_object_unref(pod);
	am_object_unref(ns);
	am_object_unref(secret);
}
END_TEST

/* From one state to another, and whether each predicate lets it pass. */
START_TEST(PD1_01_when_an_update_counts)
{
	static const struct { const char *before, *after, *when; bool passes; } rows[] = {
		{ ",\"generation\":1", ",\"generation\":1", "generation", false },
		{ ",\"generation\":1", ",\"generation\":2", "generation", true },
		{ ",\"generation\":1", ",\"generation\":2", "labels", false },
		{ ",\"labels\":{\"a\":\"1\"}", ",\"labels\":{\"a\":\"1\"}", "labels", false },
		{ ",\"labels\":{\"a\":\"1\"}", ",\"labels\":{\"a\":\"2\"}", "labels", true },
		{ ",\"labels\":{\"a\":\"1\"}", "", "labels", true },
		{ "", ",\"labels\":{\"a\":\"1\"}", "labels", true },
		{ "", "", "labels", false },
		{ ",\"labels\":{\"a\":\"1\"}", ",\"labels\":{\"a\":\"2\"}", "annotations,generation", false },
		{ ",\"annotations\":{\"a\":\"1\"}", ",\"annotations\":{\"a\":\"2\"}", "annotations", true },
		{ ",\"labels\":{\"a/b\":\"1\",\"c\":\"1\"}", ",\"labels\":{\"a/b\":\"2\",\"c\":\"1\"}", "/metadata/labels/a~1b", true },
		{ ",\"labels\":{\"a/b\":\"1\",\"c\":\"1\"}", ",\"labels\":{\"a/b\":\"2\",\"c\":\"1\"}", "/metadata/labels/c", false },
		{ ",\"labels\":{\"a/b\":\"1\",\"c\":\"1\"}", ",\"labels\":{\"a/b\":\"2\",\"c\":\"1\"}", "generation,/metadata/labels/a~1b", true },
		/* one that is asked to end is never hidden */
		{ "", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "labels", true },
		{ ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "labels", false },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_object *before = object("n", "a", "1", rows[i].before), *after = object("n", "a", "2", rows[i].after);

		make((struct am_trigger_options){ .map = AM_MAP_SELF, .when = rows[i].when });
		run(before, after, false, rows[i].passes ? "n/a " : "");
		run(NULL, after, false, "n/a "); /* what comes, and what goes */
		run(NULL, after, true, "n/a! ");
		run(before, NULL, false, "n/a ");
		run(after, after, false, ""); /* a resync */
		am_object_unref(before);
		am_object_unref(after);
	}
}
END_TEST

START_TEST(PD1_02_another_incarnation_always_counts)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	static const char text[] = "{\"metadata\":{\"namespace\":\"n\",\"name\":\"a\",\"uid\":\"other\",\"resourceVersion\":\"9\",\"generation\":1}}";
	struct am_object *g1 = O("n", "a", ",\"generation\":1"), *again;

	ck_assert_int_eq(am_object_new(text, strlen(text), &again, &err), 0);
	make((struct am_trigger_options){ .map = AM_MAP_SELF, .when = "generation" });
	run(g1, again, false, "n/a ");
	am_object_unref(g1);
	am_object_unref(again);
}
END_TEST

START_TEST(PD1_03_selectors_look_at_both_states)
{
	struct am_object *in = O("n", "a", ",\"labels\":{\"app\":\"x\"}"), *out = object("n", "a", "2", "");

	make((struct am_trigger_options){ .map = AM_MAP_SELF, .selector = "app=x" });
	run(NULL, in, false, "n/a ");
	run(NULL, out, false, "");
	run(in, out, false, "n/a ");
	run(out, in, false, "n/a ");
	make((struct am_trigger_options){ .map = AM_MAP_SELF, .field = "metadata.name=b" });
	run(NULL, in, false, "");
	am_object_unref(in);
	am_object_unref(out);
}
END_TEST

START_TEST(options_and_maps_are_checked)
{
	static const struct { const char *text; int map; const char *key; } rows[] = {
		{ "self", AM_MAP_SELF, NULL }, { "namespace", AM_MAP_NAMESPACE, NULL }, { "all", AM_MAP_ALL, NULL },
		{ "label:app.io/x", AM_MAP_LABEL, "app.io/x" }, { "annotation:a:b", AM_MAP_ANNOTATION, "a:b" },
		{ "index:byX", AM_MAP_INDEX, "byX" }, { "owner", AM_MAP_OWNER, NULL },
	};
	static const char *const bad[] = { "", "selfish", "label", "label:", "self:x", "none" };
	static const struct am_trigger_options wrong[] = { { .map = AM_MAP_LABEL }, { .map = AM_MAP_ALL }, { .map = AM_MAP_OWNER },
							   { .map = AM_MAP_SELF, .selector = "=" }, { .map = AM_MAP_SELF, .when = "spec" },
							   { .map = AM_MAP_SELF, .when = "labels," } };
	enum am_trigger_map map;
	const char *key;

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_int_eq(am_trigger_parse_map(rows[i].text, &map, &key, NULL), 0);
		ck_assert_int_eq((int)map, rows[i].map);
		ck_assert((key == NULL) == (rows[i].key == NULL));
		if (key != NULL)
			ck_assert_str_eq(key, rows[i].key);
	}
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_int_eq(am_trigger_parse_map(bad[i], &map, &key, NULL), -AMBIENT_E_INVALID);
	for (size_t i = 0; i < AM_COUNTOF(wrong); i++) {
		ck_assert_int_eq(am_trigger_new(&wrong[i], &trigger, NULL), -AMBIENT_E_INVALID);
		ck_assert_ptr_null(trigger);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, HD1_the_object_itself_once);
	tcase_add_test(tc, HD2_rule_08_the_owner_by_group_and_kind_of_old_and_new);
	tcase_add_test(tc, HD3_label_of_old_and_new);
	tcase_add_test(tc, HD4_rule_48_low_priority_for_the_initial_list_and_unchanged_versions);
	tcase_add_test(tc, rule_13_a_change_is_told_as_what_it_is);
	tcase_add_test(tc, annotation_may_name_the_namespace);
	tcase_add_test(tc, namespace_index_and_all_look_into_the_store);
	tcase_add_test(tc, PD1_01_when_an_update_counts);
	tcase_add_test(tc, PD1_02_another_incarnation_always_counts);
	tcase_add_test(tc, PD1_03_selectors_look_at_both_states);
	tcase_add_test(tc, options_and_maps_are_checked);
}

UNIT_MAIN("trigger", cases)
