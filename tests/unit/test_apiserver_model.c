/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations by several threads against what must always hold: revisions grow strictly, a watch from any
 * revision replays to the state, a page list shows one moment, a write that is answered is visible.
 */
#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/base/util.h"
#include "tests/unit/apiserver.h"

#define CM      "v1/configmaps"
#define NAMES   24
#define STEPS   1500
#define THREADS 4

static struct fixture f;
static const struct am_resource *res;

static void
open_all(void)
{
	/* Few as they are, they are packed as soon as every watch has read them. */
	f = (struct fixture){ .janitor = true, .ring = 16384, .pack_from = 1 };
	fixture_open(&f);
	res = resource(&f, CM);
}

static void
done(void)
{
	am_resource_unref(res);
	fixture_close(&f);
}

/* One random write; the revision that it made, 0 when it was refused. */
static uint64_t
step(uint64_t *random)
{
	struct am_failure failure = { 0 };
	struct am_written written = { 0 };
	char name[16], body[600];

	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	unsigned r = (unsigned)(*random >> 33);
	snprintf(name, sizeof(name), "n%u", r % NAMES);
	snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"%s\",\"labels\":{\"l\":\"%u\"}},\"data\":{\"v\":\"%u\",\"text\":\"%0300d\"}}", name,
		 r / 100 % 3, r / 7 % 5, 0);
	struct am_write write = { .res = res, .ns = "default", .body = am_slice_of(body) };
	struct am_delete_options options = { .grace = -1 };
	switch (r / NAMES % 4) {
	case 0:
		write.verb = AM_VERB_CREATE;
		am_engine_write(f.engine, &write, &written, &failure);
		break;
	case 1:
		write.verb = AM_VERB_UPDATE;
		write.name = name;
		am_engine_write(f.engine, &write, &written, &failure);
		break;
	case 2:
		write.verb = AM_VERB_PATCH;
		write.patch = AM_PATCH_MERGE;
		write.name = name;
		am_engine_write(f.engine, &write, &written, &failure);
		break;
	default:
		am_engine_delete(f.engine, res, "default", name, &options, &written, &failure);
		break;
	}
	uint64_t rv = written.object != NULL ? written.object->rv : 0;
	am_written_fini(&written);
	am_failure_fini(&failure);
	return rv;
}

static void
worker(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg * 77 + 5, last = 0;

	for (int i = 0; i < STEPS; i++) {
		uint64_t rv = step(&random);
		if (rv != 0 && am_engine_rv(f.engine) < rv)
			abort();
		last = AM_MAX(last, rv);
	}
	if (last == 0)
		abort();
}

static void
run_workers(void)
{
	struct am_thread *threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = am_thread_new("worker", 0, worker, (void *)i);
	for (int i = 0; i < THREADS; i++)
		am_thread_join(threads[i]);
}

/* Applies a watch's events to a map name -> object; checks their order. */
static size_t
replay(struct am_watch *w, struct am_map *state, uint64_t last)
{
	struct am_event event;
	size_t n = 0;
	bool live = last != 0;

	while (am_watch_next(w, &event, &f.failure) > 0) {
		if (live)
			ck_assert_uint_gt(event.rv, last);
		last = event.rv;
		ck_assert_uint_eq(event.object->rv, event.rv);
		bool there = am_map_has(state, event.object->name);
		ck_assert_msg(there == (event.type != AM_EVENT_ADDED), "%s %d", event.object->name, event.type);
		if (event.type == AM_EVENT_DELETED)
			am_object_unref(am_map_take(state, event.object->name));
		else {
			am_object_unref(am_map_get(state, event.object->name));
			am_map_put(state, event.object->name, am_object_ref(event.object));
		}
		n++;
	}
	ck_assert_int_eq(f.failure.code, 0);
	return n;
}

static void
same_text(const struct am_object *a, const struct am_object *b)
{
	struct am_object *mine = am_object_open(a), *yours = am_object_open(b);

	ck_assert_str_eq(mine->body, yours->body);
	am_object_unref(mine);
	am_object_unref(yours);
}

/* Compares with the store and empties the map. */
static void
check_equal(struct am_map *state, const char *labels)
{
	struct am_list list;
	struct am_list_query q = { .label_selector = labels, .send_initial_events = -1 };
	const char *key;
	void *value;

	ck_assert_int_eq(am_engine_list(f.engine, res, "default", &q, &list, &f.failure), 0);
	ck_assert_uint_eq(list.n, am_map_len(state));
	for (size_t i = 0; i < list.n; i++) {
		struct am_object *mine = am_map_get(state, list.items[i]->name);
		ck_assert(mine != NULL);
		same_text(mine, list.items[i]);
	}
	am_list_fini(&list);
	for (size_t it = 0; am_map_next(state, &it, &key, &value);)
		am_object_unref(value);
	am_map_free(state);
}

static struct am_watch *
watch_at(uint64_t rv, const char *labels)
{
	char text[32];
	struct am_watch *w = NULL;
	struct am_list_query q = { .label_selector = labels, .send_initial_events = -1, .resource_version = text };

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	ck_assert_int_eq(am_engine_watch(f.engine, res, "default", &q, NULL, NULL, &w, &f.failure), 0);
	return w;
}

START_TEST(row_130_replay_from_any_revision_is_the_state)
{
	uint64_t start = am_engine_rv(f.engine), random = 3;
	struct am_watch *all = watch_at(start, NULL), *some = watch_at(start, "l=1");

	run_workers();
	struct am_map *state = am_map_new(), *selected = am_map_new();
	ck_assert_uint_gt(replay(all, state, start), 100);
	check_equal(state, NULL);
	replay(some, selected, start);
	check_equal(selected, "l=1");
	am_watch_close(some);
	am_watch_close(all);

	for (int i = 0; i < 20; i++) {
		struct am_list list;
		struct am_list_query q = { .send_initial_events = -1 };
		ck_assert_int_eq(am_engine_list(f.engine, res, "default", &q, &list, &f.failure), 0);
		state = am_map_new();
		for (size_t k = 0; k < list.n; k++)
			am_map_put(state, list.items[k]->name, am_object_ref(list.items[k]));
		uint64_t rv = list.rv;
		am_list_fini(&list);
		for (int k = 0; k < 30; k++)
			step(&random);
		struct am_watch *w = watch_at(rv, NULL);
		replay(w, state, rv);
		check_equal(state, NULL);
		am_watch_close(w);
	}
}
END_TEST

START_TEST(a_list_at_an_old_revision_is_what_was_there)
{
	uint64_t random = 11;

	for (int i = 0; i < 200; i++)
		step(&random);
	for (int i = 0; i < 20; i++) {
		struct am_list before, then;
		char rv[32];
		struct am_list_query q = { .send_initial_events = -1 };
		ck_assert_int_eq(am_engine_list(f.engine, res, "default", &q, &before, &f.failure), 0);
		for (int k = 0; k < 25; k++)
			step(&random);
		snprintf(rv, sizeof(rv), "%llu", (unsigned long long)before.rv);
		q.resource_version = rv;
		q.resource_version_match = "Exact";
		ck_assert_int_eq(am_engine_list(f.engine, res, "default", &q, &then, &f.failure), 0);
		ck_assert_uint_eq(then.rv, before.rv);
		ck_assert_uint_eq(then.n, before.n);
		for (size_t k = 0; k < then.n; k++)
			same_text(then.items[k], before.items[k]);
		am_list_fini(&before);
		am_list_fini(&then);
	}
}
END_TEST

/* ---- rows 102 and 206: many writers of one object ---- */

static _Atomic(int) won, lost;
static char update_body[256];

static void
put_worker(void *arg)
{
	struct am_failure failure = { 0 };
	struct am_written written;
	struct am_write write = { .verb = AM_VERB_UPDATE, .res = res, .ns = "default", .name = "one" };
	char body[300];

	snprintf(body, sizeof(body), "%s\"w\":\"%d\"}}", update_body, (int)(intptr_t)arg);
	write.body = am_slice_of(body);
	int rc = am_engine_write(f.engine, &write, &written, &failure);
	if (rc == 0)
		won++;
	else if (failure.code == 409)
		lost++;
	am_written_fini(&written);
	am_failure_fini(&failure);
}

START_TEST(row_206_one_of_many_wins)
{
	struct am_thread *threads[20];

	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"one\"}}"), 201);
	snprintf(update_body, sizeof(update_body), "{\"metadata\":{\"name\":\"one\",\"resourceVersion\":\"%llu\"},\"data\":{",
		 (unsigned long long)f.written.object->rv);
	won = lost = 0;
	for (intptr_t i = 0; i < 20; i++)
		threads[i] = am_thread_new("put", 0, put_worker, (void *)i);
	for (int i = 0; i < 20; i++)
		am_thread_join(threads[i]);
	ck_assert_int_eq(won, 1);
	ck_assert_int_eq(lost, 19);
}
END_TEST

static void
patch_worker(void *arg)
{
	struct am_failure failure = { 0 };
	struct am_written written;
	struct am_write write = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_MERGE, .res = res, .ns = "default", .name = "one" };
	char body[128];

	snprintf(body, sizeof(body), "{\"metadata\":{\"labels\":{\"l%d\":\"1\"}}}", (int)(intptr_t)arg);
	write.body = am_slice_of(body);
	if (am_engine_write(f.engine, &write, &written, &failure) == 0)
		won++;
	am_written_fini(&written);
	am_failure_fini(&failure);
}

START_TEST(row_102_parallel_patches_all_land)
{
	struct am_thread *threads[20];

	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"one\"}}"), 201);
	won = 0;
	for (intptr_t i = 0; i < 20; i++)
		threads[i] = am_thread_new("patch", 0, patch_worker, (void *)i);
	for (int i = 0; i < 20; i++)
		am_thread_join(threads[i]);
	ck_assert_int_eq(won, 20);
	struct am_object *object = am_engine_peek(f.engine, "", "configmaps", "default", "one");
	ck_assert_uint_eq(object->n_labels, 20);
	am_object_unref(object);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_130_replay_from_any_revision_is_the_state);
	tcase_add_test(tc, a_list_at_an_old_revision_is_what_was_there);
	tcase_add_test(tc, row_206_one_of_many_wins);
	tcase_add_test(tc, row_102_parallel_patches_all_land);
}

UNIT_MAIN("apiserver_model", cases)
