/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the API server that are kept packed: what is packed and when, and that nobody who reads, selects, writes or collects
 * can tell. */
#include "plugins/standalone/apiserver/engine_priv.h"
#include "tests/unit/apiserver.h"

#define CM   "v1/configmaps"
#define MANY 300

static struct fixture f;
static const struct am_resource *res;

static void
open_all(void)
{
	f = (struct fixture){ .ring = 4096 };
	fixture_open(&f);
	res = resource(&f, CM);
}

static void
done(void)
{
	am_resource_unref(res);
	fixture_close(&f);
}

static void
put_map(int i, const char *owner)
{
	char name[32];

	snprintf(name, sizeof(name), "map-%04d", i);
	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"half\":\"%d\"}%s},\"data\":{\"number\":\"%d\","
				"\"text\":\"%0900d\"}}", name, i % 2, owner, i, 0), 201);
}

static struct am_watch *
watch(const char *rv, const char *labels)
{
	struct am_watch *w = NULL;
	struct am_list_query q = { .label_selector = labels, .send_initial_events = -1, .resource_version = rv };

	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &q, NULL, NULL, &w, &f.failure), 0);
	return w;
}

/* Of the table. */
static size_t
packed(void)
{
	struct am_list list;
	size_t n = 0;

	am_engine_all(f.engine, "", "configmaps", NULL, &list);
	for (size_t i = 0; i < list.n; i++)
		n += list.items[i]->body == NULL;
	am_list_fini(&list);
	return n;
}

static int
number_of(const struct am_object *object)
{
	struct am_object *open = am_object_open(object);
	am_auto(am_freep) char *text = am_json_dup(am_object_text(open), "/data/number");

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(open->body), open->len);
	int n = atoi(text);
	am_object_unref(open);
	return n;
}

START_TEST(what_a_watch_has_not_read_stays_as_it_is)
{
	struct am_watch *w = watch("", NULL);
	struct am_event event;
	int n = 0;

	while (am_watch_next(w, &event, &f.failure) > 0)
		;
	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	ck_assert_uint_eq(packed(), 0);
	while (am_watch_next(w, &event, &f.failure) > 0)
		ck_assert_int_eq(number_of(event.object), n++);
	ck_assert_int_eq(n, MANY);
	for (int i = MANY; i < 2 * MANY; i++) {
		put_map(i, "");
		ck_assert_int_eq(am_watch_next(w, &event, &f.failure), 1);
	}
	am_engine_janitor_run(f.engine);
	/* All but the last few, and those that came before there was a dictionary. */
	ck_assert_uint_gt(packed(), 2 * MANY - 32);
	am_watch_close(w);
}
END_TEST

START_TEST(few_objects_are_left_as_they_are)
{
	for (int i = 0; i < 90; i++)
		put_map(i, "");
	am_engine_janitor_run(f.engine);
	ck_assert_uint_eq(packed(), 0);
}
END_TEST

START_TEST(nobody_who_reads_can_tell)
{
	struct am_list_query labels = { .label_selector = "half=1", .send_initial_events = -1 };
	struct am_list_query field = { .field_selector = "metadata.name=map-0007", .send_initial_events = -1 };
	struct am_list_query pages = { .limit = 7, .send_initial_events = -1 };
	struct am_list list;
	struct am_event event;
	char rv[32];
	int n = 0;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)am_engine_rv(f.engine));
	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	am_engine_janitor_run(f.engine);
	ck_assert_uint_gt(packed(), MANY / 2);
	for (int i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "map-%04d", i);
		struct am_object *object = am_engine_get(f.engine, res, "default", name, NULL, &f.failure);
		ck_assert_ptr_nonnull(object->body);
		ck_assert_int_eq(number_of(object), i);
		ck_assert_str_eq(object->name, name);
		ck_assert_str_eq(am_object_label(object, "half"), i % 2 ? "1" : "0");
		struct am_object *same = am_engine_by_uid(f.engine, object->uid);
		ck_assert_str_eq(same->body, object->body);
		am_object_unref(same);
		am_object_unref(object);
	}
	ck_assert_int_eq(am_engine_list(f.engine, res, "default", &labels, &list, &f.failure), 0);
	ck_assert_uint_eq(list.n, MANY / 2);
	for (size_t i = 0; i < list.n; i++)
		ck_assert_int_eq(number_of(list.items[i]), 2 * (int)i + 1);
	am_list_fini(&list);
	ck_assert_int_eq(am_engine_list(f.engine, res, "default", &field, &list, &f.failure), 0);
	ck_assert_uint_eq(list.n, 1);
	am_list_fini(&list);
	ck_assert_int_eq(am_engine_list(f.engine, res, "default", &pages, &list, &f.failure), 0);
	ck_assert_uint_eq(list.n, 7);
	am_list_fini(&list);
	/* From the beginning again, with a selector: out of packed history. */
	struct am_watch *w = watch(rv, "half=0");
	for (; am_watch_next(w, &event, &f.failure) > 0; n += 2)
		ck_assert_int_eq(number_of(event.object), n);
	ck_assert_int_eq(n, MANY);
	am_watch_close(w);
	/* And as initial events. */
	w = watch("0", NULL);
	for (n = 0; am_watch_next(w, &event, &f.failure) > 0; n++)
		ck_assert_int_eq(number_of(event.object), n);
	ck_assert_int_eq(n, MANY);
	am_watch_close(w);
}
END_TEST

/* What is stored again, e.g. in another shape. */
START_TEST(what_is_written_of_a_packed_one_is_what_was_read)
{
	struct am_buf a = { 0 }, b = { 0 };

	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	struct am_object *plain = am_engine_get(f.engine, res, "default", "map-0005", NULL, &f.failure);
	am_engine_janitor_run(f.engine);
	const struct am_object *small = am_store_peek(res->store, "default", "map-0005");
	ck_assert(small->body == NULL);
	am_object_raw(plain, &a);
	am_object_raw(small, &b);
	ck_assert_str_eq(am_buf_str(&a), am_buf_str(&b));
	ck_assert_ptr_null(strstr(am_buf_str(&a), "resourceVersion"));
	struct am_object *later = am_object_with_rv(small, 12345);
	ck_assert_uint_eq(later->rv, 12345);
	ck_assert_ptr_nonnull(strstr(later->body, "\"resourceVersion\":\"12345\""));
	ck_assert_int_eq(number_of(later), 5);
	am_object_unref(later);
	am_object_unref(plain);
	am_buf_fini(&a);
	am_buf_fini(&b);
}
END_TEST

/* An event and the next one of the same object have one copy of what is between them. */
START_TEST(what_was_replaced_soon_after_is_there_once)
{
	const struct am_ring *ring = &res->store->ring;

	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	uint64_t at = ring->head;
	for (int i = 0; i < 30; i++) {
		const char *name = i % 2 ? "map-0007" : "map-0008";

		ck_assert_int_eq(update(&f, CM, "default", name, NULL, "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"number\":\"%d\","
					"\"text\":\"%0900d\"}}", name, i, 0), 200);
	}
	put_map(MANY, "");
	am_engine_janitor_run(f.engine); /* behind what the writer does after its answer */
	ck_assert_uint_gt(ring->packed, at + 8);
	for (uint64_t i = at; i + 2 < AM_MIN(ring->packed, at + 30); i++) {
		ck_assert(am_ring_at(ring, i)->object->body == NULL);
		ck_assert_ptr_eq(am_ring_at(ring, i + 2)->old, am_ring_at(ring, i)->object);
	}
}
END_TEST

static size_t
selected(const char *labels)
{
	struct am_list_query query = { .label_selector = labels, .send_initial_events = -1 };
	struct am_list list;

	ck_assert_int_eq(am_engine_list(f.engine, res, "default", &query, &list, &f.failure), 0);
	size_t n = list.n;
	am_list_fini(&list);
	return n;
}

START_TEST(selectors_of_labels_open_what_may_match)
{
	static const struct {
		const char *labels;
		size_t n;
	} cases[] = {
		{ "half=1", MANY / 2 }, { "half in (0,1)", MANY }, { "half notin (0)", MANY / 2 }, { "half!=0", MANY / 2 },
		{ "half", MANY }, { "!half", 0 }, { "!whole", MANY }, { "whole", 0 }, { "whole=1", 0 }, { "half=2", 0 },
		{ "half>0", MANY / 2 }, { "half<1", MANY / 2 }, { "half=1,half=0", 0 }, { "whole!=1", MANY }, { "whole notin (0,1)", MANY },
		{ "half,!whole", MANY }, { "half=", 0 },
	};
	struct am_list all;
	size_t one = 0, none = 0;

	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	am_engine_janitor_run(f.engine);
	ck_assert_uint_gt(packed(), MANY / 2);
	for (size_t i = 0; i < AM_COUNTOF(cases); i++)
		ck_assert_msg(selected(cases[i].labels) == cases[i].n, "%s: %zu", cases[i].labels, selected(cases[i].labels));
	am_engine_all(f.engine, "", "configmaps", NULL, &all);
	for (size_t i = 0; i < all.n; i++) {
		uint64_t bits = all.items[i]->label_bits;

		if (all.items[i]->body != NULL)
			continue;
		one += (am_label_bits("half", "1") & ~bits) == 0;
		none += bits == 0 || bits == UINT64_MAX;
	}
	am_list_fini(&all);
	ck_assert_uint_eq(none, 0);
	/* The bits of the one half may be among those of the other, by chance one time in 32; hashes differ in each process. */
	ck_assert(one < packed() || (am_label_bits("half", "1") & ~am_label_bits("half", "0")) == 0);
}
END_TEST

START_TEST(selectors_of_fields_open_what_they_look_into)
{
	struct am_list_query query = { .field_selector = "type=ambient.example/odd", .send_initial_events = -1 };
	const struct am_resource *secrets = resource(&f, "v1/secrets");
	struct am_list list;

	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(create(&f, "v1/secrets", "default", "{\"metadata\":{\"name\":\"s-%d\"},\"type\":\"ambient.example/%s\","
					"\"stringData\":{\"text\":\"%0500d\"}}", i, i % 3 == 0 ? "odd" : "even", 0), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(am_engine_list(f.engine, secrets, "default", &query, &list, &f.failure), 0);
	ck_assert_uint_eq(list.n, MANY / 3);
	am_list_fini(&list);
	am_resource_unref(secrets);
}
END_TEST

/* What was read before it was packed may be written after; what somebody else has written since may not. */
START_TEST(a_write_meets_the_object_that_it_was_prepared_against)
{
	put_map(0, "");
	struct am_object *before = am_engine_get(f.engine, res, "default", "map-0000", NULL, &f.failure);
	for (int i = 1; i < MANY; i++)
		put_map(i, "");
	am_engine_janitor_run(f.engine);
	struct am_store *store = res->store;
	ck_assert(am_store_peek(store, "default", "map-0000")->body == NULL);
	ck_assert_ptr_nonnull(before->body);
	struct am_buf raw = { 0 };
	am_object_raw(before, &raw);
	struct am_op op = { .kind = AM_OP_UPDATE, .store = store, .ns = "default", .name = "map-0000", .old = before, .raw = raw.data,
			    .len = raw.len };
	am_writer_run(f.engine->writer, &op);
	ck_assert_int_eq(op.result, AM_OP_DONE);
	am_object_unref(op.object);
	am_writer_run(f.engine->writer, &op);
	ck_assert_int_eq(op.result, AM_OP_RETRY);
	am_buf_fini(&raw);
	am_object_unref(before);
	for (int i = 1; i < MANY; i += 11) {
		char name[32];

		snprintf(name, sizeof(name), "map-%04d", i);
		ck_assert_int_eq(update(&f, CM, "default", name, NULL, "{\"metadata\":{\"name\":\"%s\"},\"data\":{\"number\":\"%d\"}}", name,
					i + 10000), 200);
		ck_assert_int_eq(number_of(f.written.object), i + 10000);
	}
}
END_TEST

/* The indexes by uid and by owner follow. */
START_TEST(dependents_go_with_their_owner)
{
	char owner[300];

	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"owner\"},\"data\":{\"number\":\"1\",\"text\":\"%0900d\"}}", 0), 201);
	snprintf(owner, sizeof(owner), ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"owner\",\"uid\":\"%s\"}]",
		 f.written.object->uid);
	for (int i = 0; i < MANY; i++)
		put_map(i, i % 2 ? owner : "");
	am_engine_janitor_run(f.engine);
	ck_assert_uint_gt(packed(), MANY / 2);
	struct am_delete_options options = { .grace = -1 };
	fixture_clear(&f);
	ck_assert_int_eq(am_engine_delete(f.engine, res, "default", "owner", &options, &f.written, &f.failure), 0);
	am_engine_janitor_run(f.engine);
	struct am_list list;
	am_engine_all(f.engine, "", "configmaps", NULL, &list);
	ck_assert_uint_eq(list.n, MANY / 2);
	for (size_t i = 0; i < list.n; i++)
		ck_assert_int_eq(number_of(list.items[i]), 2 * (int)i);
	am_list_fini(&list);
}
END_TEST

START_TEST(what_is_loaded_is_packed_too)
{
	for (int i = 0; i < MANY; i++)
		put_map(i, "");
	am_resource_unref(res);
	am_engine_close(f.engine);
	fixture_reopen(&f); /* runs the janitor */
	res = resource(&f, CM);
	ck_assert_uint_gt(packed(), MANY - 32);
	struct am_object *object = am_engine_get(f.engine, res, "default", "map-0123", NULL, &f.failure);
	ck_assert_int_eq(number_of(object), 123);
	am_object_unref(object);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, what_a_watch_has_not_read_stays_as_it_is);
	tcase_add_test(tc, few_objects_are_left_as_they_are);
	tcase_add_test(tc, nobody_who_reads_can_tell);
	tcase_add_test(tc, what_is_written_of_a_packed_one_is_what_was_read);
	tcase_add_test(tc, what_was_replaced_soon_after_is_there_once);
	tcase_add_test(tc, selectors_of_fields_open_what_they_look_into);
	tcase_add_test(tc, selectors_of_labels_open_what_may_match);
	tcase_add_test(tc, a_write_meets_the_object_that_it_was_prepared_against);
	tcase_add_test(tc, dependents_go_with_their_owner);
	tcase_add_test(tc, what_is_loaded_is_packed_too);
}

UNIT_MAIN("apiserver_packing", cases)
