/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache: lists that come as the beginning of a watch, and objects that cannot be read.  Names as in test_reflector.c. */
#include "tests/unit/reflector.h"

static size_t
skipped(void)
{
	struct am_reflector_status status;

	am_reflector_status(r, &status);
	return status.skipped;
}

START_TEST(rule_16_an_object_that_cannot_be_read_does_not_wedge_the_kind)
{
	am_reflector_start(r);
	fake_io_answer(io, 200, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":["
				"{\"metadata\":{}},{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"4\"}},7,{\"x\":\"\xff\"}]}");
	check_watching("5");
	ck_assert_uint_eq(skipped(), 3);
	ck_assert_uint_eq(am_store_count(store), 1);
	fake_io_head(io, 200);
	fake_io_data(io, "{\"type\":\"DELETED\",\"object\":{}}\n"); /* whose deletion?  only a list can tell */
	fake_io_data(io, "garbage\n\xff\xfe\n{\"type\":\"ADDED\",\"object\":7}\n{\"type\":\"NEWS\",\"object\":{}}\n");
	event("ADDED", "b", "6"); /* the rest goes on */
	ck_assert_uint_eq(am_store_count(store), 2);
	check_watching("5");
	ck_assert_uint_eq(skipped(), 8);
	ck_assert_uint_eq(fake_io_timers(io), 1); /* one list heals them all */
	ck_assert_int_eq(fake_io_next_timer(io) / AM_NS_PER_MS, 30000);
	(void)backoff();
	check_listing("6");
	answer_list("9", NULL, "b");
	ck_assert_uint_eq(am_store_count(store), 1);
	ck_assert_uint_eq(fake_io_timers(io), 0);
}
END_TEST

static int complaints;

static void
count_complaints(void *arg, int level, const char *area, const char *text)
{
	complaints += strstr(text, "skipping \"n/a\"") != NULL;
}

START_TEST(rule_16_an_unreadable_object_is_said_once_with_its_name)
{
	start_watching("b");
	fake_io_head(io, 200);
	am_log_set_level(AMBIENT_LOG_WARN);
	am_log_capture(count_complaints, NULL);
	for (int i = 0; i < 5; i++)
		fake_io_data(io, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"},\"x\":1,\"x\":2}}\n");
	am_log_capture(NULL, NULL);
	ck_assert_int_eq(complaints, 1);
	ck_assert_uint_eq(skipped(), 5);
}
END_TEST

/* Of an unreadable object whose name can be read nothing is lost: no list is needed. */
START_TEST(rule_16_the_name_of_an_unreadable_object_is_enough)
{
	start_watching("a b c");
	check_told("a:->10i b:->10i c:->10i ");
	fake_io_head(io, 200);
	/* duplicate keys, a raw NUL, a name with an escaped NUL, a number that is none: each is skipped */
	fake_io_data(io, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"11\"},\"x\":1,\"x\":2}}\n");
	fake_io_data_n(io, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"12\",\"name\":\"a\"},\"x\":\"\0\"}}\n",
		       sizeof("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"12\",\"name\":\"a\"},\"x\":\"\0\"}}\n") - 1);
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"12\"},\"x\":01}}\n");
	fake_io_data(io, "{\"type\":\"DELETED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"13\"},\"x\":1,\"x\":2}}\n");
	check_told("b:10>-m ");
	event("MODIFIED", "c", "14");
	check_told("c:10>14 ");
	ck_assert_uint_eq(skipped(), 4);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	/* A list that cannot read it does not take it for deleted. */
	error_event(410, "Expired");
	(void)backoff();
	fake_io_answer(io, 200, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":["
				"{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"19\"},\"x\":1,\"x\":2},"
				"{\"metadata\":{\"name\":\"c\",\"uid\":\"u\",\"resourceVersion\":\"14\"}}]}");
	check_told("");
	ck_assert_uint_eq(am_store_count(store), 2);
}
END_TEST

START_TEST(rule_16_numbers_out_of_range_and_long_names_are_taken)
{
	am_auto(am_buf_fini) struct am_buf name = { 0 };
	struct am_object *object;

	start_watching("");
	fake_io_head(io, 200);
	for (int i = 0; i < 253; i++)
		am_buf_addc(&name, 'a');
	event("ADDED", am_buf_str(&name), "11");
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"n\",\"resourceVersion\":\"12\",\"generation\":"
			 "99999999999999999999},\"spec\":{\"big\":123456789012345678901234567890,\"small\":1e-999}}}\n");
	ck_assert_uint_eq(am_store_count(store), 2);
	ck_assert_uint_eq(skipped(), 0);
	object = am_store_get(store, "", "n");
	ck_assert_ptr_nonnull(strstr(object->json.p, "123456789012345678901234567890"));
	am_object_unref(object);
	/* a name with a NUL in it is none */
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"n\\u0000x\",\"resourceVersion\":\"13\"}}}\n");
	ck_assert_uint_eq(skipped(), 1);
	ck_assert_uint_eq(am_store_count(store), 2);
}
END_TEST

/* The object "a" with 8 MB of data. */
static void
add_big(struct am_buf *out, const char *rv)
{
	am_buf_addf(out, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"annotations\":{\"name\":\"no\"},\"name\":\"a\","
			 "\"resourceVersion\":\"%s\"},\"data\":\"", rv);
	for (int i = 0; i < 1 << 20; i++)
		am_buf_adds(out, "xxxxxxxx");
	am_buf_adds(out, "\"}");
}

START_TEST(rule_16_an_object_of_8_MB_is_skipped_by_its_name)
{
	struct am_buf big = { 0 };

	start_watching("a b");
	check_told("a:->10i b:->10i ");
	fake_io_head(io, 200);
	am_buf_adds(&big, "{\"type\":\"MODIFIED\",\"object\":");
	add_big(&big, "11");
	am_buf_adds(&big, "}\n");
	fake_io_data_n(io, big.data, big.len);
	am_buf_fini(&big);
	event("MODIFIED", "b", "12");
	check_told("b:10>12 ");
	ck_assert_uint_eq(skipped(), 1);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	check_watching("10");
}
END_TEST

/* The list goes on behind it, and what it cannot read it does not take for deleted. */
START_TEST(rule_16_an_object_of_8_MB_in_a_list)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	start_watching("a b");
	check_told("a:->10i b:->10i ");
	error_event(410, "Expired");
	(void)backoff();
	am_buf_adds(&text, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[");
	add_big(&text, "15");
	am_buf_adds(&text, ",{\"metadata\":{\"name\":\"b\",\"uid\":\"u\",\"resourceVersion\":\"16\"}},"
			   "{\"metadata\":{\"name\":\"c\",\"uid\":\"u\",\"resourceVersion\":\"17\"}}]}");
	fake_io_head(io, 200);
	fake_io_data_n(io, text.data, text.len);
	fake_io_end(io);
	check_told("b:10>16 c:->17 ");
	ck_assert_uint_eq(am_store_count(store), 3);
	ck_assert_uint_eq(skipped(), 1);
	check_watching("20");
}
END_TEST

/* ---- lists that come as the beginning of a watch */

static void
start_streaming(void)
{
	make(&(struct am_reflector_options){ .stream = true });
	am_reflector_start(r);
}

static void
check_streaming(const char *rv)
{
	const char *path = fake_io_last(io)->path, *asked;

	ck_assert_uint_eq(fake_io_open(io), 1);
	ck_assert_str_eq(fake_query(path, "sendInitialEvents"), "true");
	ck_assert_str_eq(fake_query(path, "resourceVersionMatch"), "NotOlderThan");
	ck_assert_str_eq(fake_query(path, "allowWatchBookmarks"), "true");
	ck_assert_str_eq(fake_query(path, "watch"), "true");
	asked = fake_query(path, "resourceVersion");
	ck_assert_str_eq(asked != NULL ? asked : "", rv);
}

static void
end_mark(const char *rv, const char *value)
{
	char *text = am_xasprintf("{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"%s\","
				  "\"annotations\":{\"k8s.io/initial-events-end\":\"%s\"}}}}\n", rv, value);

	fake_io_data(io, text);
	free(text);
}

START_TEST(RF19_01_a_stream_is_complete_with_its_mark_and_goes_on_as_a_watch)
{
	char rv[32];

	start_streaming();
	check_streaming("");
	fake_io_head(io, 200);
	event("ADDED", "b", "7");
	event("ADDED", "a", "5");
	end_mark("8", "false"); /* another value means nothing */
	ck_assert_int_eq(syncs, 0);
	am_store_rv(store, rv, sizeof(rv));
	ck_assert_str_eq(rv, "");
	end_mark("9", "true");
	ck_assert_int_eq(syncs, 1);
	check_told("b:->7i a:->5i ");
	am_store_rv(store, rv, sizeof(rv));
	ck_assert_str_eq(rv, "9");
	event("MODIFIED", "a", "11");
	check_told("a:5>11 ");
	ck_assert_uint_eq(fake_io_count(io), 1); /* one request for all of it */
	end_after(2 * S);
	check_watching("11");
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "sendInitialEvents"));
}
END_TEST

/* What cannot be read before the mark is counted, and keeps neither the others nor the mark back. */
START_TEST(rule_16_a_stream_with_garbage_is_complete_all_the_same)
{
	am_auto(am_buf_fini) struct am_buf big = { 0 };

	start_streaming();
	fake_io_head(io, 200);
	event("ADDED", "b", "7");
	fake_io_data(io, "garbage\n{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"d\",\"resourceVersion\":\"6\"},"
			 "\"x\":1,\"x\":2}}\n");
	am_buf_adds(&big, "{\"type\":\"ADDED\",\"object\":");
	add_big(&big, "5");
	am_buf_adds(&big, "}\n");
	fake_io_data_n(io, big.data, big.len);
	event("ADDED", "c", "8");
	end_mark("9", "true");
	ck_assert_int_eq(syncs, 1);
	check_told("b:->7i c:->8i ");
	ck_assert_uint_eq(skipped(), 3);
	event("MODIFIED", "b", "11");
	check_told("b:7>11 ");
}
END_TEST

START_TEST(RF19_02_the_kind_of_an_empty_stream_is_the_marks)
{
	struct am_reflector_status status;

	start_streaming();
	fake_io_head(io, 200);
	end_mark("9", "true");
	ck_assert_int_eq(syncs, 1);
	am_reflector_status(r, &status);
	ck_assert_str_eq(status.kind, "Pod");
	ck_assert_int_eq(status.state, AM_REFLECTOR_WATCHING);
}
END_TEST

/* In a list, a watch and a stream alike. */
START_TEST(RF18_parts_are_taken_of_each_object)
{
	static const char *const names[] = { "streamed", "watched", "listed" };

	make(&(struct am_reflector_options){ .stream = true, .only = "/spec/a" });
	am_reflector_start(r);
	fake_io_head(io, 200);
	for (int i = 0; i < 3; i++) {
		am_auto(am_buf_fini) struct am_buf text = { 0 };

		am_buf_adds(&text, i < 2 ? "{\"type\":\"ADDED\",\"object\":" : "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[");
		am_buf_addf(&text, "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"%d\"},"
				   "\"spec\":{\"a\":1,\"b\":2},\"status\":{}}", names[i], 5 + 6 * i);
		am_buf_adds(&text, i < 2 ? "}\n" : "]}");
		if (i == 1)
			end_mark("10", "true");
		if (i == 2) {
			error_event(410, "Expired");
			(void)backoff();
			refuse(422, "Invalid");
			fake_io_head(io, 200);
		}
		fake_io_data(io, am_buf_str(&text));
		struct am_object *o = am_store_get(store, "", names[i]);
		ck_assert_ptr_nonnull(o);
		ck_assert_ptr_nonnull(strstr(o->json.p, "\"spec\":{\"a\":1}}"));
		am_object_unref(o);
	}
}
END_TEST

/* A server that has no metadata alone says 406: it is asked for whole objects at once, and no more of them is kept. */
START_TEST(RF18_where_metadata_alone_is_not_acceptable_all_is_asked_for)
{
	static const char whole[] = "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[{\"metadata\":{"
				    "\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"5\"},\"spec\":{\"b\":2}}]}";

	make(&(struct am_reflector_options){ .stream = _i == 0, .only = "metadata" });
	am_reflector_start(r);
	size_t asked = fake_io_count(io);
	refuse(406, "NotAcceptable");
	ck_assert_uint_eq(fake_io_count(io), asked + 1);
	ck_assert_int_eq(fake_io_open(io), 1);
	if (_i == 0) { /* the stream again, which it then cannot do either */
		ck_assert_ptr_nonnull(strstr(fake_io_last(io)->path, "sendInitialEvents=true"));
		refuse(422, "Invalid");
	}
	ck_assert_ptr_null(strstr(fake_io_last(io)->path, "watch="));
	fake_io_answer(io, 200, whole);
	struct am_object *o = am_store_get(store, "", "a");
	ck_assert_ptr_nonnull(o);
	ck_assert_ptr_null(strstr(o->json.p, "spec"));
	ck_assert_ptr_nonnull(strstr(o->json.p, "\"kind\":\"Pod\""));
	am_object_unref(o);
	refuse(406, "NotAcceptable"); /* whoever says it again has another reason */
	ck_assert_int_eq(fake_io_open(io), 0);
}
END_TEST

START_TEST(RF18_a_watch_of_metadata_alone_may_be_refused_too)
{
	make(&(struct am_reflector_options){ .only = "metadata" });
	am_reflector_start(r);
	fake_io_answer(io, 200, "{\"kind\":\"PartialObjectMetadataList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[]}");
	refuse(406, "NotAcceptable");
	ck_assert_int_eq(fake_io_open(io), 1);
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "resourceVersion"), "20"); /* goes on from there */
}
END_TEST

START_TEST(RF20_01_what_is_refused_is_listed_and_remembered)
{
	start_streaming();
	refuse(422, "Invalid");
	check_listing("0"); /* at once, in the same session */
	answer_list("10", NULL, "a");
	fake_io_head(io, 200);
	check_watching("10");
	error_event(410, "Expired");
	(void)backoff();
	check_listing("10"); /* not asked again */
	answer_list("20", NULL, "a");
	fake_io_head(io, 200);
	fake_io_advance(io, 3600 * S);
	while (fake_io_open(io) == 0) /* the watch's own time has passed meanwhile */
		(void)fake_io_next_timer(io);
	fake_io_head(io, 200);
	error_event(410, "Expired");
	(void)backoff();
	check_streaming("20"); /* an hour later it is */
}
END_TEST

START_TEST(RF20_02_the_troubles_of_a_server_are_not_remembered)
{
	start_streaming();
	refuse(500, "InternalError");
	check_listing("0");
	answer_list("10", NULL, "a");
	fake_io_head(io, 200);
	error_event(410, "Expired");
	(void)backoff();
	check_streaming("10");
}
END_TEST

START_TEST(RF21_what_changes_before_the_mark_has_its_last_state)
{
	struct am_object *object;

	start_streaming();
	fake_io_head(io, 200);
	event("ADDED", "a", "5");
	event("ADDED", "b", "6");
	event("MODIFIED", "a", "8");
	event("DELETED", "b", "9");
	end_mark("10", "true");
	ck_assert_uint_eq(am_store_count(store), 1);
	object = am_store_get(store, "", "a");
	ck_assert_str_eq(object->rv, "8");
	am_object_unref(object);
}
END_TEST

START_TEST(RF22_01_refused_connections_and_429_are_tried_again_as_streams)
{
	start_streaming();
	for (int i = 0; i < 3; i++) {
		if (i == 1)
			refuse(429, "TooManyRequests");
		else
			fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
		(void)backoff();
		check_streaming("");
	}
	fake_io_head(io, 200);
	error_event(429, "TooManyRequests");
	(void)backoff();
	check_streaming("");
	fake_io_head(io, 200);
	end_mark("3", "true");
	ck_assert_int_eq(syncs, 1);
	ck_assert_uint_eq(fake_io_count(io), 5); /* never a list */
}
END_TEST

START_TEST(RF22_02_410_starts_clean)
{
	start_streaming();
	fake_io_head(io, 200);
	end_mark("9", "true");
	event("ADDED", "old", "10");
	error_event(410, "Expired");
	(void)backoff();
	check_streaming("10");
	refuse(410, "Expired");
	check_streaming("");
	fake_io_head(io, 200);
	event("ADDED", "partial", "11");
	error_event(410, "Expired");
	(void)backoff();
	check_streaming("");
	fake_io_head(io, 200);
	event("ADDED", "new", "12");
	ck_assert_uint_eq(am_store_count(store), 3); /* until it is complete nothing goes */
	end_mark("13", "true");
	ck_assert_uint_eq(am_store_count(store), 1);
	ck_assert_int_eq(syncs, 2);
}
END_TEST

START_TEST(RF22_03_a_stream_that_is_cut_gets_more_time_and_then_is_a_list)
{
	long first, second;

	start_streaming();
	first = atol(fake_query(fake_io_last(io)->path, "timeoutSeconds"));
	ck_assert_int_le(first, 600);
	fake_io_head(io, 200);
	event("ADDED", "a", "5");
	fake_io_end(io);
	(void)backoff();
	check_streaming("");
	second = atol(fake_query(fake_io_last(io)->path, "timeoutSeconds"));
	ck_assert_int_ge(second, 600);
	fake_io_head(io, 200);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, EPIPE);
	(void)backoff();
	check_streaming("");
	fake_io_head(io, 200);
	fake_io_end(io);
	check_listing("0");
	answer_list("10", NULL, "b");
	ck_assert_uint_eq(am_store_count(store), 1); /* what the pieces had is not left behind */
	check_watching("10");
}
END_TEST

START_TEST(RF23_stopped_before_the_mark_it_starts_anew_and_after_it_goes_on)
{
	start_streaming();
	fake_io_head(io, 200);
	event("ADDED", "a", "5");
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	am_reflector_start(r);
	check_streaming("");
	fake_io_head(io, 200);
	event("ADDED", "a", "5");
	end_mark("9", "true");
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	am_reflector_start(r);
	check_watching("9");
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "sendInitialEvents"));
}
END_TEST

START_TEST(RF24_a_stream_whose_end_never_comes_is_left_for_a_list)
{
	start_streaming();
	fake_io_head(io, 200);
	event("ADDED", "a", "5");
	fake_io_advance(io, 10 * S);
	event("ADDED", "b", "6"); /* slow is not silent */
	fake_io_advance(io, 10 * S);
	ck_assert_uint_eq(fake_io_count(io), 1);
	fake_io_advance(io, 5 * S);
	check_listing("0");
	ck_assert(fake_io_request(io, 0)->cancelled);
	answer_list("10", NULL, "a b");
	check_told("a:->5i b:->6i a:5>10i b:6>10i ");
	fake_io_head(io, 200);
	error_event(410, "Expired");
	(void)backoff();
	check_listing("10"); /* remembered */
}
END_TEST

START_TEST(a_stream_that_has_become_a_watch_is_left_when_it_is_silent)
{
	start_streaming();
	fake_io_head(io, 200);
	end_mark("9", "true");
	fake_io_advance(io, 170 * S);
	event("ADDED", "a", "10");
	fake_io_advance(io, 179 * S);
	ck_assert_uint_eq(fake_io_count(io), 1);
	fake_io_advance(io, 2 * S);
	check_watching("10");
	ck_assert_uint_eq(fake_io_count(io), 2);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rule_16_an_object_that_cannot_be_read_does_not_wedge_the_kind);
	tcase_add_test(tc, rule_16_an_unreadable_object_is_said_once_with_its_name);
	tcase_add_test(tc, rule_16_the_name_of_an_unreadable_object_is_enough);
	tcase_add_test(tc, rule_16_numbers_out_of_range_and_long_names_are_taken);
	tcase_add_test(tc, rule_16_an_object_of_8_MB_is_skipped_by_its_name);
	tcase_add_test(tc, rule_16_an_object_of_8_MB_in_a_list);
	tcase_add_test(tc, RF19_01_a_stream_is_complete_with_its_mark_and_goes_on_as_a_watch);
	tcase_add_test(tc, rule_16_a_stream_with_garbage_is_complete_all_the_same);
	tcase_add_test(tc, RF19_02_the_kind_of_an_empty_stream_is_the_marks);
	tcase_add_loop_test(tc, RF18_where_metadata_alone_is_not_acceptable_all_is_asked_for, 0, 2);
	tcase_add_test(tc, RF18_a_watch_of_metadata_alone_may_be_refused_too);
	tcase_add_test(tc, RF18_parts_are_taken_of_each_object);
	tcase_add_test(tc, RF20_01_what_is_refused_is_listed_and_remembered);
	tcase_add_test(tc, RF20_02_the_troubles_of_a_server_are_not_remembered);
	tcase_add_test(tc, RF21_what_changes_before_the_mark_has_its_last_state);
	tcase_add_test(tc, RF22_01_refused_connections_and_429_are_tried_again_as_streams);
	tcase_add_test(tc, RF22_02_410_starts_clean);
	tcase_add_test(tc, RF22_03_a_stream_that_is_cut_gets_more_time_and_then_is_a_list);
	tcase_add_test(tc, RF23_stopped_before_the_mark_it_starts_anew_and_after_it_goes_on);
	tcase_add_test(tc, RF24_a_stream_whose_end_never_comes_is_left_for_a_list);
	tcase_add_test(tc, a_stream_that_has_become_a_watch_is_left_when_it_is_silent);
}

UNIT_MAIN("reflector-stream", cases)
