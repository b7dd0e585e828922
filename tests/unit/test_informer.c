/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache: informers and their subscribers. */
#include <string.h>

#include "core/base/buf.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/cache/cache.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

#define LIST "{\"kind\":\"WidgetList\",\"apiVersion\":\"x.io/v1\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[" \
	     "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"3\"}}]}"
#define EVENT(type, name, rv) "{\"type\":\"" type "\",\"object\":{\"kind\":\"Widget\",\"apiVersion\":\"x.io/v1\",\"metadata\":{" \
	     "\"name\":\"" name "\",\"namespace\":\"n\",\"resourceVersion\":\"" rv "\"}}}\n"

static struct am_clock *test_clock;
static struct am_io *io;
static struct am_informers *set;
static const struct am_informer_spec widgets = { .kind = "x.io/v1/widgets" };

static void
setup(void)
{
	am_log_set_level(AMBIENT_LOG_ERROR);
	test_clock = am_clock_fake_new();
	io = fake_io_new(test_clock);
	set = am_informers_new(io);
}

static void
teardown(void)
{
	am_informers_free(set);
	fake_io_free(io);
	am_clock_fake_free(test_clock);
}

static void
note(void *arg, const struct am_change *change)
{
	am_buf_addf(arg, "%s%s%s ", change->name, change->after == NULL ? "-" : change->before == NULL ? "+" : "*",
		    change->initial ? "i" : "");
}

static struct am_informer *
get(const struct am_informer_spec *spec)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_informer *informer;

	ck_assert_msg(am_informer_get(set, spec, &informer, &err) == 0, "%s", err.message);
	return informer;
}

START_TEST(CA2_01_one_informer_for_everybody_who_asks_for_the_same)
{
	struct am_informer_spec other = widgets;
	struct am_informer *a = get(&widgets), *b = get(&widgets), *c;

	ck_assert_ptr_eq(a, b);
	ck_assert_uint_eq(fake_io_count(io), 1);
	ck_assert_int_eq(strncmp(fake_io_last(io)->path, "/apis/x.io/v1/widgets?", 22), 0);
	other.ns = "n";
	other.selector = "app=x";
	other.field = "metadata.name=y";
	c = get(&other);
	ck_assert_ptr_ne(a, c);
	ck_assert_int_eq(strncmp(fake_io_last(io)->path, "/apis/x.io/v1/namespaces/n/widgets?", 35), 0);
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "labelSelector"), "app=x");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "fieldSelector"), "metadata.name=y");
	am_informer_put(a);
	ck_assert_uint_eq(fake_io_open(io), 2);
	am_informer_put(b);
	ck_assert_uint_eq(fake_io_open(io), 1); /* the last user has gone */
	am_informer_put(c);
}
END_TEST

START_TEST(CA4_parts_are_served_by_an_informer_that_has_all)
{
	struct am_informer_spec parts = widgets, meta = widgets;
	parts.only = "/spec/size";
	meta.only = "metadata";
	struct am_informer *p = get(&parts), *q = get(&parts), *m = get(&meta), *whole = get(&widgets);

	ck_assert_ptr_eq(p, q);
	ck_assert_ptr_ne(p, m);
	ck_assert_ptr_ne(whole, p);
	am_informer_put(p);
	am_informer_put(q);
	am_informer_put(m);
	p = get(&parts);
	ck_assert_ptr_eq(p, whole);
	am_informer_put(p);
	am_informer_put(whole);
}
END_TEST

START_TEST(CA7_02_an_informer_of_parts_stores_no_more)
{
	struct am_informer_spec parts = widgets;
	struct am_object *object;

	parts.only = "/spec/size";
	struct am_informer *p = get(&parts);
	fake_io_answer(io, 200, "{\"kind\":\"WidgetList\",\"apiVersion\":\"x.io/v1\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":["
				"{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"resourceVersion\":\"3\"},\"spec\":{\"size\":1,\"big\":[1,2]}}]}");
	fake_io_head(io, 200);
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Widget\",\"apiVersion\":\"x.io/v1\",\"metadata\":{\"name\":\"b\","
			 "\"namespace\":\"n\",\"resourceVersion\":\"11\"},\"spec\":{\"big\":7},\"status\":{}}}\n");
	object = am_store_get(am_informer_store(p), "n", "a");
	ck_assert_str_eq(object->json.p, "{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\","
					 "\"resourceVersion\":\"3\"},\"spec\":{\"size\":1}}");
	am_object_unref(object);
	object = am_store_get(am_informer_store(p), "n", "b");
	ck_assert_ptr_null(strstr(object->json.p, "big"));
	ck_assert_ptr_null(strstr(object->json.p, "status"));
	am_object_unref(object);
	am_informer_put(p);
}
END_TEST

START_TEST(bad_specs_are_refused)
{
	static const struct am_informer_spec rows[] = { { .kind = "" }, { .kind = "pods" }, { .kind = "v1/pods", .selector = "=" },
							{ .kind = "v1/pods", .field = "x" }, { .kind = "v1/pods", .only = "spec" } };

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_informer *informer;

		ck_assert_int_eq(am_informer_get(set, &rows[i], &informer, &err), -AMBIENT_E_INVALID);
		ck_assert_ptr_null(informer);
	}
}
END_TEST

START_TEST(SI2_early_and_late_subscribers)
{
	am_auto(am_buf_fini) struct am_buf early = { 0 };
	am_auto(am_buf_fini) struct am_buf late = { 0 };
	struct am_informer *informer = get(&widgets);
	struct am_subscription *one = am_informer_subscribe(informer, note, &early), *two;
	char kind[128];

	ck_assert(!am_subscription_has_synced(one));
	ck_assert(!am_informer_has_synced(informer));
	am_informer_object_kind(informer, kind);
	ck_assert_str_eq(kind, "");
	fake_io_answer(io, 200, LIST);
	ck_assert_str_eq(am_buf_str(&early), "a+i ");
	ck_assert(am_subscription_has_synced(one));
	ck_assert(am_informer_has_synced(informer));
	am_informer_object_kind(informer, kind);
	ck_assert_str_eq(kind, "Widget");
	fake_io_head(io, 200);
	fake_io_data(io, EVENT("ADDED", "b", "11"));
	two = am_informer_subscribe(informer, note, &late);
	ck_assert(am_subscription_has_synced(two));
	fake_io_data(io, EVENT("MODIFIED", "a", "12") EVENT("DELETED", "b", "13"));
	ck_assert_str_eq(am_buf_str(&early), "a+i b+ a* b- ");
	ck_assert_str_eq(am_buf_str(&late), "a+i b+i a* b- ");
	am_informer_unsubscribe(one);
	fake_io_data(io, EVENT("ADDED", "c", "14"));
	ck_assert_str_eq(am_buf_str(&early), "a+i b+ a* b- ");
	ck_assert_str_eq(am_buf_str(&late), "a+i b+i a* b- c+ ");
	am_informer_unsubscribe(two);
	am_informer_put(informer);
}
END_TEST

static struct am_subscription *self;

static void
leave(void *arg, const struct am_change *change)
{
	note(arg, change);
	am_informer_unsubscribe(self);
}

START_TEST(SI3_02_a_subscriber_may_leave_from_its_own_callback)
{
	am_auto(am_buf_fini) struct am_buf one = { 0 };
	am_auto(am_buf_fini) struct am_buf two = { 0 };
	struct am_informer *informer = get(&widgets);
	struct am_subscription *other;

	self = am_informer_subscribe(informer, leave, &one);
	other = am_informer_subscribe(informer, note, &two);
	fake_io_answer(io, 200, LIST);
	fake_io_head(io, 200);
	fake_io_data(io, EVENT("ADDED", "b", "11"));
	ck_assert_str_eq(am_buf_str(&one), "a+i ");
	ck_assert_str_eq(am_buf_str(&two), "a+i b+ ");
	am_informer_unsubscribe(other);
	am_informer_put(informer);
}
END_TEST

START_TEST(CA1_rule_24_the_wait_says_what_it_waits_for)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_informer *informer = get(&widgets);
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct am_subscription *sub = am_informer_subscribe(informer, note, &out);
	int32_t cancelled = 1;

	fake_io_answer(io, 403, "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"not for you\"}");
	ck_assert_int_eq(am_subscription_wait(sub, 0, NULL, &err), -AMBIENT_E_TIMEOUT);
	ck_assert_str_eq(err.message, "the objects of \"x.io/v1/widgets\" did not arrive in time: forbidden, list: not for you");
	ck_assert_int_eq(am_subscription_wait(sub, AM_FOREVER, &cancelled, &err), -AMBIENT_E_CANCELLED);
	(void)fake_io_next_timer(io);
	fake_io_answer(io, 200, LIST);
	ck_assert_int_eq(am_subscription_wait(sub, 0, NULL, &err), 0);
	am_informer_unsubscribe(sub);
	am_informer_put(informer);
}
END_TEST

/* Another thread asks, the test's thread is the I/O thread. */
static struct am_informer *theirs;
static struct am_subscription *their_sub;
static struct am_buf their_out;
static int their_rc;

static void
other_thread(void *arg)
{
	struct am_reflector_status status;

	if (am_informer_get(set, &widgets, &theirs, NULL) < 0)
		return;
	their_sub = am_informer_subscribe(theirs, note, &their_out);
	their_rc = am_subscription_wait(their_sub, AM_FOREVER, NULL, NULL);
	am_informer_status(theirs, &status);
	their_rc += (int)status.lists;
	am_informer_unsubscribe(their_sub);
	am_informer_put(theirs);
	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
}

START_TEST(informers_are_asked_for_on_any_thread)
{
	int done = 0, answered = 0;
	struct am_thread *thread = am_thread_new("other", 0, other_thread, &done);

	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		fake_io_run(io);
		if (!answered && fake_io_open(io) == 1) {
			fake_io_answer(io, 200, LIST);
			answered = 1;
		}
	}
	am_thread_join(thread);
	ck_assert_int_eq(their_rc, 1);
	ck_assert_str_eq(am_buf_str(&their_out), "a+i ");
	am_buf_fini(&their_out);
}
END_TEST

static void
count_users(void *arg, struct am_informer *informer, int users)
{
	struct am_reflector_status status;

	am_informer_status(informer, &status);
	*(int *)arg += users;
}

START_TEST(each_tells_the_informers_and_their_users)
{
	struct am_informer *a = get(&widgets), *b = get(&widgets);
	int users = 0;

	am_informers_each(set, count_users, &users);
	ck_assert_int_eq(users, 2);
	am_informer_put(a);
	am_informer_put(b);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, CA2_01_one_informer_for_everybody_who_asks_for_the_same);
	tcase_add_test(tc, CA4_parts_are_served_by_an_informer_that_has_all);
	tcase_add_test(tc, CA7_02_an_informer_of_parts_stores_no_more);
	tcase_add_test(tc, bad_specs_are_refused);
	tcase_add_test(tc, SI2_early_and_late_subscribers);
	tcase_add_test(tc, SI3_02_a_subscriber_may_leave_from_its_own_callback);
	tcase_add_test(tc, CA1_rule_24_the_wait_says_what_it_waits_for);
	tcase_add_test(tc, informers_are_asked_for_on_any_thread);
	tcase_add_test(tc, each_tells_the_informers_and_their_users);
}

UNIT_MAIN("informer", cases)
