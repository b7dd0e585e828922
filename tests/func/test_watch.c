/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way from a socket into a store: an informer over the real I/O thread against a scripted API server that drops,
 * cuts, stalls, forgets and talks nonsense.  Whatever it does, the store ends up equal to it and loses nothing on the
 * way.  Time is a fake clock, moved in small steps while the test waits for the next request.
 */
#include "tests/func/watch.h"

START_TEST(list_then_watch)
{
	begin(FAKE_API_TLS);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")) EVENT("MODIFIED", OBJ("a", "12")) EVENT("DELETED", OBJ("b", "13"))
		      EVENT("BOOKMARK", "{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"20\"}}"), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->ca_data = am_xstrdup(fake_api_ca(api));
	open_kube(config, -1, 0);
	informers = am_informers_new(am_kube_io(kube));
	ck_assert_int_eq(am_informer_get(informers, &(struct am_informer_spec){ .kind = "v1/configmaps" }, &informer, NULL), 0);
	subscription = am_informer_subscribe(informer, on_change, NULL);
	wait_for("a", "12", 2);
	wait_for("b", "", 2);
	ck_assert(asks(1, "resourceVersion=10"));
	end_watch();
	ck_assert_int_eq(deleted, 1);
}
END_TEST

/* However a watch breaks: the next one begins where it was, and nothing is listed again. */
START_TEST(broken_watch_goes_on)
{
	static const unsigned ways[] = { FAKE_API_DROP, FAKE_API_CUT, FAKE_API_HALF, FAKE_API_BYTES | FAKE_API_DROP,
					 FAKE_API_BYTES, FAKE_API_CLOSE };

	breaks("{\"type\":\"MODI", ways[_i]);
}
END_TEST

/* The past is gone: listed again, and what vanished meanwhile is told as missed. */
START_TEST(gone_is_listed_again)
{
	begin(FAKE_API_PLAIN);
	if (_i == 0)
		watch(1, 200, EVENT("ERROR", GONE), 0);
	else
		watch(1, 410, GONE, 0);
	watch(0, 200, "", FAKE_API_STALL);
	list(1, 200, LIST("10", MAP("a", "9") "," MAP("b", "8")), 0);
	list(0, 200, LIST("30", MAP("a", "25")), 0);
	begin_watch();
	wait_for("a", "25", 4);
	ck_assert_str_eq(rv_of("b"), "");
	ck_assert(asks(3, "resourceVersion=30"));
	end_watch();
	ck_assert_int_eq(deleted, 1);
	ck_assert_int_eq(missed, 1);
}
END_TEST

START_TEST(list_is_refused_for_a_while)
{
	begin(FAKE_API_PLAIN);
	watch(0, 200, "", FAKE_API_STALL);
	rule("GET", "*", 1, 429, "Retry-After: 1\r\n", "{}", 0);
	rule("GET", "*", 1, 503, NULL, "starting up", 0);
	rule("GET", "*", 1, 0, NULL, NULL, FAKE_API_DROP);
	rule("GET", "*", 1, 403, NULL, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"no\"}", 0);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("a", "9", 6);
	end_watch();
}
END_TEST

START_TEST(half_a_list_changes_nothing)
{
	begin(FAKE_API_PLAIN);
	watch(1, 410, GONE, 0);
	watch(0, 200, "", FAKE_API_STALL);
	list(1, 200, LIST("10", MAP("a", "9") "," MAP("b", "8")), 0);
	/* Cut, then no JSON, then a list without a version. */
	list(1, 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{\"resourceVersion\":\"20\"},\"items\":[" MAP("a", "19") ",",
	     FAKE_API_CUT);
	list(1, 200, "<html>", 0);
	list(1, 200, "{\"kind\":\"ConfigMapList\",\"metadata\":{},\"items\":[]}", 0);
	rule("GET", "*", 0, 503, NULL, "{}", 0);
	begin_watch();
	wait_for("b", "8", 6);
	ck_assert_int_eq(deleted, 0);
	end_watch();
}
END_TEST

START_TEST(garbage_in_a_watch)
{
	static const char *const garbage[] = { "not json\n", "{\"type\":\"ADDED\"}\n", "{\"type\":\"ADDED\",\"object\":7}\n",
					       "{\"type\":\"NEWS\",\"object\":{}}\n", "\n\n", "{\"type\":\"ADDED\",\"object\":{\"metadata\":{}}}\n",
					       "\xff\xfe\n" };
	char first[512];

	begin(FAKE_API_PLAIN);
	(void)snprintf(first, sizeof(first), "%s%s", EVENT("ADDED", OBJ("b", "11")), garbage[_i]);
	watch(1, 200, first, 0);
	watch(0, 200, EVENT("ADDED", OBJ("c", "12")), FAKE_API_STALL);
	list(0, 200, LIST("11", MAP("a", "9") "," MAP("b", "11")), 0);
	begin_watch();
	wait_for("c", "12", 3);
	ck_assert_str_eq(rv_of("a"), "9");
	ck_assert_str_eq(rv_of("b"), "11");
	end_watch();
	ck_assert_int_eq(deleted, 0);
}
END_TEST

/* After a bookmark the server is known to speak now and then, so that silence means it is gone. */
START_TEST(silent_watch_is_left)
{
	begin(FAKE_API_PLAIN);
	watch(1, 200, EVENT("BOOKMARK", "{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"15\"}}"), FAKE_API_CLOSE);
	watch(1, 200, EVENT("ADDED", OBJ("b", "16")), FAKE_API_STALL);
	watch(0, 200, EVENT("ADDED", OBJ("c", "17")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("c", "17", 4);
	ck_assert(asks(2, "resourceVersion=15"));
	ck_assert(asks(3, "resourceVersion=16"));
	end_watch();
}
END_TEST

#define END_MARK(rv) EVENT("BOOKMARK", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv "\"," \
		     "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}")

static void
stream(int times, int status, const char *body, unsigned flags)
{
	rule("GET", "/api/v1/configmaps*sendInitialEvents=true*", times, status, NULL, body, flags);
}

/* Whatever happens to a stream, the collection arrives: whole, in bytes, cut, without its end, refused. */
START_TEST(a_list_that_is_streamed)
{
	static const struct {
		int status;
		const char *body;
		unsigned flags;
		bool lists;
	} rows[] = {
		{ 200, EVENT("ADDED", OBJ("a", "5")) END_MARK("9") EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL, false },
		{ 200, EVENT("ADDED", OBJ("a", "5")) END_MARK("9") EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL | FAKE_API_BYTES, false },
		{ 200, EVENT("ADDED", OBJ("a", "5")), FAKE_API_STALL, true },
		{ 200, EVENT("ADDED", OBJ("a", "5")) "{\"type\":\"BOOK", FAKE_API_CUT, true },
		{ 200, EVENT("ADDED", OBJ("a", "5")), FAKE_API_DROP, true },
		{ 422, GONE, 0, true },
		{ 400, "", 0, true },
	};

	begin(FAKE_API_PLAIN);
	streaming.stream = true;
	stream(0, rows[_i].status, rows[_i].body, rows[_i].flags);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "5")), 0);
	begin_watch();
	wait_for("b", "11", 1);
	ck_assert_str_eq(rv_of("a"), "5");
	ck_assert(asks(0, "sendInitialEvents=true"));
	if (!rows[_i].lists)
		ck_assert_int_eq(fake_api_count(api), 1);
	else
		ck_assert(!asks(fake_api_count(api) - 2, "watch="));
	end_watch();
	ck_assert_int_eq(deleted, 0);
}
END_TEST

START_TEST(metadata_alone_is_asked_for)
{
	begin(FAKE_API_PLAIN);
	only = "metadata";
	watch(0, 200, EVENT("ADDED", "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"name\":\"b\","
				     "\"namespace\":\"n\",\"resourceVersion\":\"11\"}}")
			EVENT("ADDED", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"c\",\"namespace\":\"n\","
				       "\"resourceVersion\":\"12\"},\"data\":{\"secret\":\"x\"}}"), FAKE_API_STALL);
	list(0, 200, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"10\"},"
		     "\"items\":[{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"name\":\"a\","
		     "\"namespace\":\"n\",\"resourceVersion\":\"9\"}}]}", 0);
	begin_watch();
	wait_for("c", "12", 2);
	ck_assert_str_eq(rv_of("a"), "9");
	ck_assert_str_eq(rv_of("b"), "11");
	ck_assert_str_eq(fake_api_header(fake_api_request(api, 0), "Accept"),
			 "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
	ck_assert_str_eq(fake_api_header(fake_api_request(api, 1), "Accept"),
			 "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json");
	/* Of who did not listen no more is kept either. */
	struct am_object *c = am_store_get(am_informer_store(informer), "n", "c");
	ck_assert_ptr_null(strstr(c->json.p, "secret"));
	am_object_unref(c);
	char kind[128];
	am_informer_object_kind(informer, kind);
	ck_assert_str_ne(kind, "PartialObjectMetadata");
	end_watch();
}
END_TEST

START_TEST(metadata_alone_is_asked_for_once_where_it_is_not_acceptable)
{
	begin(FAKE_API_PLAIN);
	only = "metadata";
	watch(0, 200, "", FAKE_API_STALL);
	list(1, 406, "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"NotAcceptable\",\"code\":406}", 0);
	list(0, 200, LIST("10", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"a\",\"resourceVersion\":\"9\"},"
				"\"data\":{\"secret\":\"x\"}}"), 0);
	begin_watch();
	wait_for("a", "9", 3);
	ck_assert_ptr_nonnull(strstr(fake_api_header(fake_api_request(api, 0), "Accept"), "as=PartialObjectMetadataList"));
	ck_assert_str_eq(fake_api_header(fake_api_request(api, 1), "Accept"), "application/json");
	ck_assert_str_eq(fake_api_header(fake_api_request(api, 2), "Accept"), "application/json");
	struct am_object *a = am_store_get(am_informer_store(informer), "n", "a");
	ck_assert_ptr_null(strstr(a->json.p, "secret"));
	am_object_unref(a);
	end_watch();
}
END_TEST

START_TEST(large_list)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	begin(FAKE_API_PLAIN);
	step = 0;
	am_buf_adds(&body, "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[");
	for (int i = 0; i < 5000; i++)
		am_buf_addf(&body, "%s{\"metadata\":{\"name\":\"m%d\",\"namespace\":\"n\",\"uid\":\"%d\",\"resourceVersion\":\"%d\"},"
				   "\"data\":{\"x\":\"%0200d\"}}", i > 0 ? "," : "", i, i, i, i);
	am_buf_adds(&body, "]}");
	watch(0, 200, "", FAKE_API_STALL);
	list(0, 200, body.data, 0);
	begin_watch();
	wait_for("m4999", "4999", 2);
	ck_assert_uint_eq(am_store_count(am_informer_store(informer)), 5000);
	end_watch();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, list_then_watch);
	tcase_add_loop_test(tc, broken_watch_goes_on, 0, 6);
	tcase_add_loop_test(tc, gone_is_listed_again, 0, 2);
	tcase_add_test(tc, list_is_refused_for_a_while);
	tcase_add_test(tc, half_a_list_changes_nothing);
	tcase_add_loop_test(tc, garbage_in_a_watch, 0, 7);
	tcase_add_test(tc, silent_watch_is_left);
	tcase_add_loop_test(tc, a_list_that_is_streamed, 0, 7);
	tcase_add_test(tc, metadata_alone_is_asked_for);
	tcase_add_test(tc, metadata_alone_is_asked_for_once_where_it_is_not_acceptable);
	tcase_add_test(tc, large_list);
}

UNIT_MAIN("watch", cases)
