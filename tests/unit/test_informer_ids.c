/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/cache: what other frameworks check of their queues of changes, stores and shared informers (frameworks.md 5.6, 5.7),
 * where no other test does.  What has no counterpart here is in ADR 12.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define S AM_NS_PER_S

static struct am_clock *test_clock;
static struct am_io *io;
static struct am_informers *set;
static struct am_informer *informer;
static struct am_subscription *subscription;
static struct am_buf told;

static void
note(void *arg, const struct am_change *change)
{
	am_buf_addf(arg, "%s:%s>%s%s%s ", change->name, change->before != NULL ? change->before->rv : "-",
		    change->after != NULL ? change->after->rv : "-", change->initial ? "i" : "", change->missed ? "m" : "");
}

static void
setup(void)
{
	static const struct am_informer_spec spec = { .kind = "v1/pods" };

	am_log_set_level(AMBIENT_LOG_ERROR);
	test_clock = am_clock_fake_new();
	io = fake_io_new(test_clock);
	set = am_informers_new(io);
	ck_assert_int_eq(am_informer_get(set, &spec, &informer, NULL), 0);
	subscription = am_informer_subscribe(informer, note, &told);
}

static void
teardown(void)
{
	am_informer_unsubscribe(subscription);
	am_informer_put(informer);
	am_informers_free(set);
	fake_io_free(io);
	am_clock_fake_free(test_clock);
	am_buf_fini(&told);
}

static void
check_told(const char *expected)
{
	ck_assert_str_eq(am_buf_str(&told), expected);
	am_buf_reset(&told);
}

/* "name=rv" words. */
static void
list(const char *rv, const char *items)
{
	am_auto(am_buf_fini) struct am_buf b = { 0 };

	am_buf_addf(&b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\"},\"items\":[", rv);
	for (const char *p = items; *p != '\0'; p += strspn(p, " ")) {
		size_t name = strcspn(p, "="), n = strcspn(p, " ");

		am_buf_addf(&b, "%s{\"metadata\":{\"name\":\"%.*s\",\"uid\":\"u\",\"resourceVersion\":\"%.*s\"}}", p == items ? "" : ",",
			    (int)name, p, (int)(n - name - 1), p + name + 1);
		p += n;
	}
	am_buf_adds(&b, "]}");
	fake_io_answer(io, 200, am_buf_str(&b));
	if (fake_io_open(io) == 1 && fake_io_last(io)->watch)
		fake_io_head(io, 200);
}

static void
event_uid(const char *type, const char *name, const char *uid, const char *rv)
{
	am_auto(am_freep) char *text = am_xasprintf("{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
						    "\"uid\":\"%s\",\"resourceVersion\":\"%s\"}}}\n", type, name, uid, rv);

	fake_io_data(io, text);
}

static void
event(const char *type, const char *name, const char *rv)
{
	event_uid(type, name, "u", rv);
}

/* The watch breaks because its version is too old: what happens until the list is not seen. */
static void
lose_sight(void)
{
	fake_io_data(io, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n");
	(void)fake_io_next_timer(io);
}

static struct am_store *
the_store(void)
{
	return am_informer_store(informer);
}

START_TEST(DF1_the_order_of_a_key_is_kept_and_two_deletions_are_one)
{
	list("10", "");
	event("ADDED", "a", "11");
	event("MODIFIED", "a", "12");
	event("DELETED", "a", "13");
	event("DELETED", "a", "13");
	event("ADDED", "a", "14");
	check_told("a:->11 a:11>12 a:13>- a:->14 ");
}
END_TEST

START_TEST(DF2_01_SI10_a_missed_deletion_is_told_once_with_the_newest_state)
{
	list("10", "a=5 b=6");
	event("MODIFIED", "a", "11");
	event("DELETED", "b", "12");
	check_told("a:->5i b:->6i a:5>11 b:12>- ");
	lose_sight();
	list("20", "c=19"); /* of b nothing more is told: its deletion was */
	check_told("c:->19 a:11>-m ");
	lose_sight();
	list("21", "c=19");
	check_told("");
}
END_TEST

START_TEST(DF2_02_added_deleted_added_behind_our_back)
{
	list("10", "a=5");
	event("DELETED", "a", "11");
	event("ADDED", "a", "12");
	check_told("a:->5i a:11>- a:->12 ");
	lose_sight();
	list("20", "a=18");
	check_told("a:12>18 ");
}
END_TEST

START_TEST(DF4_01_rule_10_synced_when_the_last_initial_object_is_told)
{
	ck_assert(!am_informer_has_synced(informer));
	fake_io_head(io, 200);
	fake_io_data(io, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"5\"}},"
			 "{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"6\"}}");
	check_told("a:->5i "); /* told as it comes */
	ck_assert(!am_informer_has_synced(informer));
	ck_assert(!am_subscription_has_synced(subscription));
	fake_io_data(io, "]}");
	check_told("b:->6i ");
	ck_assert(!am_informer_has_synced(informer)); /* it could still turn out to be cut */
	fake_io_end(io);
	ck_assert(am_informer_has_synced(informer));
	ck_assert(am_subscription_has_synced(subscription));
}
END_TEST

START_TEST(DF4_02_an_empty_list_syncs_at_once)
{
	list("10", "");
	ck_assert(am_informer_has_synced(informer));
	check_told("");
}
END_TEST

START_TEST(DF9_rule_04_the_version_of_the_store_follows_everything)
{
	static const struct {
		const char *type, *rv;
	} rows[] = { { "ADDED", "11" }, { "MODIFIED", "12" }, { "DELETED", "13" }, { "BOOKMARK", "20" }, { "ADDED", "21" } };
	char rv[32];

	am_store_rv(the_store(), rv, sizeof(rv));
	ck_assert_str_eq(rv, "");
	list("10", "");
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		event(rows[i].type, "a", rows[i].rv);
		am_store_rv(the_store(), rv, sizeof(rv));
		ck_assert_str_eq(rv, rows[i].rv);
	}
	lose_sight();
	list("30", "a=21");
	am_store_rv(the_store(), rv, sizeof(rv));
	ck_assert_str_eq(rv, "30");
}
END_TEST

START_TEST(SI4_after_a_disruption_only_what_changed_is_told)
{
	list("10", "a=5 b=6 c=7");
	check_told("a:->5i b:->6i c:->7i ");
	lose_sight();
	list("20", "a=5 b=15 d=16");
	check_told("b:6>15 d:->16 c:7>-m ");
}
END_TEST

START_TEST(SI5_the_same_version_again_is_no_change)
{
	list("10", "a=5");
	event("MODIFIED", "a", "11");
	event("MODIFIED", "a", "11");
	check_told("a:->5i a:5>11 ");
}
END_TEST

START_TEST(SI12_another_uid_is_told_as_one_update)
{
	list("10", "a=5");
	lose_sight();
	fake_io_answer(io, 200, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[{\"metadata\":{\"name\":\"a\",\"uid\":\"v\","
				"\"resourceVersion\":\"15\"}}]}");
	check_told("a:->5i a:5>15 ");
}
END_TEST

START_TEST(SI3_01_two_subscriptions_of_one_function_are_two)
{
	struct am_subscription *again = am_informer_subscribe(informer, note, &told);

	list("10", "a=5");
	check_told("a:->5i a:->5i ");
	am_informer_unsubscribe(again);
	event("MODIFIED", "a", "11");
	check_told("a:5>11 ");
	am_informer_unsubscribe(NULL);
}
END_TEST

START_TEST(CA3_lists_by_namespace_selector_and_index)
{
	static const char items[] =
		"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":["
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"labels\":{\"app\":\"x\"},\"resourceVersion\":\"1\"},\"spec\":{\"nodeName\":\"one\"}},"
		"{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\",\"labels\":{\"app\":\"y\"},\"resourceVersion\":\"2\"},\"spec\":{\"nodeName\":\"one\"}},"
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"m\",\"labels\":{\"app\":\"x\"},\"resourceVersion\":\"3\"},\"spec\":{\"nodeName\":\"two\"}}]}";
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_selector *app;
	struct am_objects found;

	fake_io_answer(io, 200, items);
	ck_assert_int_eq(am_selector_labels("app=x", &app, NULL), 0);
	ck_assert_int_eq(am_store_add_index(the_store(), "node", "/spec/nodeName", NULL), 0);
	const struct {
		struct am_store_query query;
		size_t count;
	} rows[] = {
		{ { 0 }, 3 },
		{ { .ns = "n" }, 2 },
		{ { .ns = "nowhere" }, 0 },
		{ { .selector = app }, 2 },
		{ { .ns = "n", .selector = app }, 1 },
		{ { .index = "node", .value = "one" }, 2 },
		{ { .index = "node", .value = "one", .ns = "m" }, 0 },
		{ { .index = "node", .value = "one", .selector = app }, 1 },
		{ { .index = "node", .value = "three" }, 0 },
	};
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_int_eq(am_store_list(the_store(), &rows[i].query, &found, &err), 0);
		ck_assert_msg(found.count == rows[i].count, "row %zu: %zu", i, found.count);
		am_objects_fini(&found);
	}
	ck_assert_int_eq(am_store_list(the_store(), &(struct am_store_query){ .index = "image", .value = "x" }, &found, &err),
			 -AMBIENT_E_UNSUPPORTED);
	ck_assert_str_eq(err.message, "there is no index \"image\"");
	am_selector_free(app);
}
END_TEST

START_TEST(CA5_an_informer_that_was_put_back_starts_anew)
{
	static const struct am_informer_spec spec = { .kind = "v1/secrets" };
	struct am_informer *other;

	list("10", "");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(am_informer_get(set, &spec, &other, NULL), 0);
		ck_assert(!am_informer_has_synced(other));
		ck_assert_uint_eq(am_store_count(am_informer_store(other)), 0);
		ck_assert_int_eq(strncmp(fake_io_last(io)->path, "/api/v1/secrets?", 16), 0);
		ck_assert(!fake_io_last(io)->watch);
		ck_assert_uint_eq(fake_io_open(io), 2);
		am_informer_put(other);
		ck_assert_uint_eq(fake_io_open(io), 1); /* nothing of it is left */
	}
}
END_TEST

/* A kind that goes and comes back: nobody spins meanwhile, and what became different is told then. */
START_TEST(rule_18_a_kind_that_goes_and_comes_back)
{
	struct am_reflector_status status;

	list("10", "a=5 b=6");
	event("DELETED", "a", "11");
	event("DELETED", "b", "12");
	lose_sight();
	for (int i = 0; i < 3; i++) {
		fake_io_answer(io, 404, "404 page not found\n");
		am_informer_status(informer, &status);
		ck_assert_int_eq(status.state, AM_REFLECTOR_MISSING);
		ck_assert_int_ge(fake_io_next_timer(io), 10 * S);
	}
	fake_io_answer(io, 404, "404 page not found\n");
	am_buf_reset(&told);
	am_informers_retry(set); /* its definition has appeared */
	list("40", "a=39");
	check_told("a:->39 ");
	am_informer_status(informer, &status);
	ck_assert_int_eq(status.state, AM_REFLECTOR_WATCHING);
}
END_TEST

/* ---- subscribers that come and go while a source says random things */

enum { NAMES = 20, STEPS = 4000, FOLLOWERS = 8 };

struct follower {
	struct am_subscription *subscription;
	int rv[NAMES]; /* as told; 0: gone */
};

static int
number_of(const char *name)
{
	return atoi(name + 1);
}

static void
follow(void *arg, const struct am_change *change)
{
	struct follower *f = arg;
	int i = number_of(change->name);

	/* An unbroken sequence: what was before is what was told last. */
	if (change->before != NULL && change->after != NULL)
		ck_assert_int_eq(atoi(change->before->rv), f->rv[i]);
	if (change->before == NULL)
		ck_assert_int_eq(f->rv[i], 0);
	f->rv[i] = change->after != NULL ? atoi(change->after->rv) : 0;
}

static void
check_follower(const struct follower *f, const int *truth)
{
	for (int i = 0; i < NAMES; i++)
		ck_assert_msg(f->rv[i] == truth[i], "p%d is told to be at %d, it is at %d", i, f->rv[i], truth[i]);
}

static void
random_list(const int *truth, int rv)
{
	am_auto(am_buf_fini) struct am_buf items = { 0 };
	char number[16];

	for (int i = 0; i < NAMES; i++)
		if (truth[i] != 0)
			am_buf_addf(&items, "%sp%d=%d", items.len > 0 ? " " : "", i, truth[i]);
	(void)snprintf(number, sizeof(number), "%d", rv);
	list(number, am_buf_str(&items));
}

/* Whether the watch sees a change or loses it and lists, whoever subscribes when: all end up with the truth. */
START_TEST(SI8_SI11_followers_of_a_random_source_converge)
{
	struct follower followers[FOLLOWERS] = { 0 };
	int truth[NAMES] = { 0 }, rv = 10;
	unsigned seed = 20261126;

	list("10", "");
	for (int step = 0; step < STEPS; step++) {
		seed = seed * 1103515245U + 12345U;
		int i = (int)(seed >> 16) % NAMES, what = (int)(seed >> 8) % 16;
		struct follower *f = &followers[(seed >> 20) % FOLLOWERS];
		char name[16], version[16];

		rv++;
		(void)snprintf(name, sizeof(name), "p%d", i);
		(void)snprintf(version, sizeof(version), "%d", rv);
		if (what < 8) {
			event(truth[i] == 0 ? "ADDED" : "MODIFIED", name, version);
			truth[i] = rv;
		} else if (what < 11 && truth[i] != 0) {
			event("DELETED", name, version);
			truth[i] = 0;
		} else if (what == 11) {
			lose_sight();
			truth[i] = truth[i] == 0 ? rv : 0;
			random_list(truth, rv);
		} else if (what == 12 && f->subscription == NULL) {
			*f = (struct follower){ 0 };
			f->subscription = am_informer_subscribe(informer, follow, f);
		} else if (what == 13 && f->subscription != NULL) {
			check_follower(f, truth);
			am_informer_unsubscribe(f->subscription);
			f->subscription = NULL;
		}
	}
	for (int i = 0; i < FOLLOWERS; i++) {
		if (followers[i].subscription != NULL)
			check_follower(&followers[i], truth);
		am_informer_unsubscribe(followers[i].subscription);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, DF1_the_order_of_a_key_is_kept_and_two_deletions_are_one);
	tcase_add_test(tc, DF2_01_SI10_a_missed_deletion_is_told_once_with_the_newest_state);
	tcase_add_test(tc, DF2_02_added_deleted_added_behind_our_back);
	tcase_add_test(tc, DF4_01_rule_10_synced_when_the_last_initial_object_is_told);
	tcase_add_test(tc, DF4_02_an_empty_list_syncs_at_once);
	tcase_add_test(tc, DF9_rule_04_the_version_of_the_store_follows_everything);
	tcase_add_test(tc, SI4_after_a_disruption_only_what_changed_is_told);
	tcase_add_test(tc, SI5_the_same_version_again_is_no_change);
	tcase_add_test(tc, SI12_another_uid_is_told_as_one_update);
	tcase_add_test(tc, SI3_01_two_subscriptions_of_one_function_are_two);
	tcase_add_test(tc, CA3_lists_by_namespace_selector_and_index);
	tcase_add_test(tc, CA5_an_informer_that_was_put_back_starts_anew);
	tcase_add_test(tc, rule_18_a_kind_that_goes_and_comes_back);
	tcase_add_test(tc, SI8_SI11_followers_of_a_random_source_converge);
}

UNIT_MAIN("informer-ids", cases)
