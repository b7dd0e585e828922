/* SPDX-License-Identifier: Apache-2.0 */
/* The sorted table against a plain one: whatever is put and removed, in which order, and whoever holds an older one. */
#include "plugins/standalone/apiserver/engine_priv.h"
#include "tests/lib/unit.h"

#define KEYS  900
#define HELD  4

/* What must be there: the revision of each key, 0: nothing. */
struct model {
	uint64_t rv[KEYS];
	struct am_sorted *table;
};

static uint64_t seed;

static uint64_t
roll(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* Keys ascend with their number, over seven namespaces. */
static void
key_of(size_t i, char ns[16], char name[16])
{
	snprintf(ns, 32, "ns-%zu", i / 130);
	snprintf(name, 32, "n-%04zu", i);
}

static struct am_object *
make(size_t i, uint64_t rv)
{
	char ns[32], name[32], raw[128];

	key_of(i, ns, name);
	snprintf(raw, sizeof(raw), "{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\"}}", ns, name);
	return am_object_new(raw, strlen(raw), rv, 0, 0);
}

static void
check_model(const struct model *m)
{
	struct am_cursor c = { 0, 0 };
	size_t rank = 0, total = 0;
	char ns[32], name[32];

	for (size_t i = 0; i < KEYS; i++) {
		key_of(i, ns, name);
		struct am_cursor at = am_sorted_seek(m->table, ns, name, false), behind = am_sorted_seek(m->table, ns, name, true);
		struct am_object *object = am_sorted_peek(m->table, ns, name);
		ck_assert_uint_eq(am_sorted_rank(m->table, at), rank);
		ck_assert_int_eq(object != NULL, m->rv[i] != 0);
		if (object != NULL) {
			ck_assert_uint_eq(object->rv, m->rv[i]);
			ck_assert_ptr_eq(am_sorted_next(m->table, &c), object);
			rank++;
			total++;
		}
		ck_assert_uint_eq(am_sorted_rank(m->table, behind), rank);
	}
	ck_assert_ptr_null(am_sorted_next(m->table, &c));
	ck_assert_uint_eq(am_sorted_count(m->table), total);
}

START_TEST(what_was_put_is_there_in_order)
{
	struct model now = { .table = am_sorted_new() }, held[HELD] = { 0 };
	const uint64_t steps = (uint64_t)unit_rounds(20000);
	char ns[32], name[32];

	seed = 88172645463325252u + (uint64_t)_i;
	for (uint64_t step = 1; step <= steps; step++) {
		/* It grows in order, then by chance, then it is emptied. */
		size_t i = step <= KEYS && _i % 2 == 0 ? (size_t)step - 1 : (size_t)roll(KEYS);
		bool put = roll(100) < (step < steps * 3 / 4 ? 60u : 20u);
		key_of(i, ns, name);
		struct am_object *old = am_sorted_put(&now.table, ns, name, put ? make(i, step) : NULL);
		ck_assert_uint_eq(old != NULL ? old->rv : 0, now.rv[i]);
		am_object_unref(old);
		now.rv[i] = put ? step : 0;
		if (roll(500) == 0) {
			struct model *h = &held[roll(HELD)];
			if (h->table != NULL) {
				check_model(h);
				am_sorted_unref(h->table);
			}
			*h = now;
			am_sorted_ref(now.table);
			check_model(&now);
		}
	}
	check_model(&now);
	am_sorted_unref(now.table);
	for (int h = 0; h < HELD; h++) {
		if (held[h].table != NULL)
			check_model(&held[h]);
		am_sorted_unref(held[h].table);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_loop_test(tc, what_was_put_is_there_in_order, 0, 4);
}

UNIT_MAIN("apiserver_sorted", cases)
