/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache: the reflector against scripted answers.  Names follow frameworks.md 5.5; "list RVs" are what it asked for. */
#include "tests/unit/reflector.h"

START_TEST(RF5_rule_02_rule_17_options_of_list_and_watch)
{
	const struct fake_request *w;

	make(&(struct am_reflector_options){ .selector = "app in (a,b)", .field = "spec.nodeName=n" });
	am_reflector_start(r);
	check_listing("0");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "limit"), "500");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "labelSelector"), "app in (a,b)");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "fieldSelector"), "spec.nodeName=n");
	answer_list("10", NULL, "a");
	check_watching("10");
	w = fake_io_last(io);
	ck_assert_str_eq(fake_query(w->path, "watch"), "true");
	ck_assert_str_eq(fake_query(w->path, "allowWatchBookmarks"), "true");
	ck_assert_str_eq(fake_query(w->path, "labelSelector"), "app in (a,b)");
	ck_assert_str_eq(fake_query(w->path, "fieldSelector"), "spec.nodeName=n");
	ck_assert_ptr_null(fake_query(w->path, "limit"));
	for (int i = 0; i < 50; i++) {
		int seconds = atoi(fake_query(fake_io_last(io)->path, "timeoutSeconds"));

		ck_assert_int_ge(seconds, 300);
		ck_assert_int_le(seconds, 600);
		ck_assert_int_gt(fake_io_last(io)->timeout_ns, seconds * S);
		fake_io_head(io, 200);
		end_after(2 * S);
	}
}
END_TEST

START_TEST(RF26_a_minimum_under_five_minutes_is_ignored)
{
	make(&(struct am_reflector_options){ .watch_min_ns = 10 * S });
	start_watching("");
	ck_assert_int_ge(atoi(fake_query(fake_io_last(io)->path, "timeoutSeconds")), 300);
	make(&(struct am_reflector_options){ .watch_min_ns = 1000 * S });
	start_watching("");
	ck_assert_int_ge(atoi(fake_query(fake_io_last(io)->path, "timeoutSeconds")), 1000);
}
END_TEST

START_TEST(rule_01_list_then_watch_keeps_the_store_equal)
{
	struct am_object *o;
	char rv[16];

	start_watching("a b");
	ck_assert_int_eq(syncs, 1);
	check_told("a:->10i b:->10i ");
	o = am_store_get(store, "", "a");
	ck_assert_ptr_nonnull(strstr(o->json.p, "\"apiVersion\":\"v1\",\"kind\":\"Pod\"")); /* though the list left it out */
	am_object_unref(o);
	event("ADDED", "c", "11");
	event("MODIFIED", "a", "12");
	event("DELETED", "b", "13");
	check_told("c:->11 a:10>12 b:13>- ");
	am_store_rv(store, rv, sizeof(rv));
	ck_assert_str_eq(rv, "13");
	ck_assert_uint_eq(am_store_count(store), 2);
}
END_TEST

START_TEST(events_may_be_cut_anywhere)
{
	static const char text[] =
		"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"\\u00e9\\n}\","
		"\"uid\":\"u\",\"resourceVersion\":\"11\"}}}\n"
		"{\"type\":\"DELETED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\","
		"\"uid\":\"u\",\"resourceVersion\":\"12\"}}}\n";

	start_watching("a");
	for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
		fake_io_data_n(io, text, cut);
		fake_io_data_n(io, text + cut, sizeof(text) - 1 - cut);
		ck_assert_uint_eq(am_store_count(store), 1);
		check_watching("10");
	}
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		fake_io_data_n(io, text + i, 1);
	ck_assert_uint_eq(am_store_count(store), 1);
}
END_TEST

START_TEST(RF4_01_rule_03_bookmarks_move_only_the_version)
{
	start_watching("a");
	am_buf_reset(&told);
	event("BOOKMARK", "", "20");
	event("BOOKMARK", "", "30");
	event("BOOKMARK", "", "40");
	check_told("");
	ck_assert_uint_eq(am_store_count(store), 1);
	char rv[32];
	am_store_rv(store, rv, sizeof(rv));
	ck_assert_str_eq(rv, "40"); /* the store is current up to there: what was written before is no longer ahead of it */
	end_after(60 * S);
	check_watching("40");
	ck_assert_int_eq(fake_io_last(io)->idle_ns, 180 * S); /* who sends bookmarks is never silent for long */
}
END_TEST

START_TEST(RF4_02_the_next_watch_starts_from_the_last_event)
{
	start_watching("a");
	event("ADDED", "b", "15");
	event("DELETED", "a", "17");
	end_after(2 * S);
	check_watching("17");
}
END_TEST

START_TEST(RF6_01_a_watch_that_ends_is_begun_again_without_a_list)
{
	start_watching("a");
	event("ADDED", "b", "15");
	end_after(2 * S);
	check_watching("15");
	fake_io_head(io, 200);
	fake_io_advance(io, 2 * S);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, EPIPE);
	check_watching("15");
	fake_io_head(io, 200);
	fake_io_data(io, "{\"type\":\"ADDED\",\"obj"); /* in the middle of an event */
	fake_io_advance(io, 2 * S);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNRESET);
	check_watching("15");
	fake_io_head(io, 200);
	fake_io_advance(io, 200 * S);
	fake_io_fail(io, AMBIENT_E_TIMEOUT, 0);
	check_watching("15");
	struct am_reflector_status status;
	am_reflector_status(r, &status);
	ck_assert_uint_eq(status.lists, 1);
	ck_assert_uint_eq(status.watches, 5);
}
END_TEST

START_TEST(RF6_02_list_error_then_success)
{
	am_reflector_start(r);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, 0);
	(void)backoff();
	check_listing("0");
	refuse(500, "InternalError");
	(void)backoff();
	answer_list("10", NULL, "a");
	check_watching("10");
	ck_assert_int_eq(syncs, 1);
}
END_TEST

START_TEST(RF2_01_a_very_short_watch_without_events_lists_again)
{
	struct am_reflector_status status;

	start_watching("a");
	end_after(S / 2);
	am_reflector_status(r, &status);
	ck_assert_int_eq(status.state, AM_REFLECTOR_BACKOFF);
	ck_assert_ptr_nonnull(strstr(status.error, "very short watch"));
	(void)backoff();
	check_listing("10");
	answer_list("11", NULL, "a");
	fake_io_head(io, 200);
	event("MODIFIED", "a", "12"); /* short, but with an event */
	end_after(S / 2);
	check_watching("12");
}
END_TEST

START_TEST(RF2_02_events_that_repeat_a_version_do_not_make_a_loop)
{
	start_watching("a");
	event("MODIFIED", "a", "10");
	end_after(S / 2);
	(void)backoff();
	check_listing("10");
}
END_TEST

START_TEST(RF3_01_wrong_kinds_are_rejected_and_the_stream_goes_on)
{
	struct am_reflector_status status;

	start_watching("a");
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\","
			 "\"resourceVersion\":\"11\"}}}\n");
	fake_io_data(io, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"n\","
			 "\"resourceVersion\":\"12\"}}}\n");
	fake_io_data(io, "{\"type\":\"FUTURE\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\","
			 "\"resourceVersion\":\"13\"}}}\n");
	event("ADDED", "b", "14");
	ck_assert_uint_eq(am_store_count(store), 2);
	am_reflector_status(r, &status);
	ck_assert_uint_eq(status.skipped, 3);
	check_watching("10"); /* still the same one */
}
END_TEST

START_TEST(RF3_02_a_table_is_no_list)
{
	struct am_reflector_status status;

	am_reflector_start(r);
	fake_io_answer(io, 200, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"5\"},"
				"\"rows\":[]}");
	am_reflector_status(r, &status);
	ck_assert_ptr_nonnull(strstr(status.error, "Table"));
	(void)backoff();
	check_listing("0");
}
END_TEST

START_TEST(RF1_01_stop_before_start_and_while_backing_off)
{
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_count(io), 0);
	am_reflector_start(r);
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
	ck_assert_uint_eq(fake_io_timers(io), 1);
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_timers(io), 0);
	fake_io_advance(io, 600 * S);
	ck_assert_uint_eq(fake_io_count(io), 1);
}
END_TEST

START_TEST(RF1_02_stop_while_listing_and_while_watching_then_go_on)
{
	am_reflector_start(r);
	fake_io_head(io, 200);
	fake_io_data(io, "{\"kind\":\"PodList\",\"items\":[{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"4\"}},");
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_open(io), 0);
	ck_assert(fake_io_last(io)->cancelled);
	am_reflector_start(r);
	check_listing("0");
	answer_list("10", NULL, "a");
	fake_io_head(io, 200);
	event("ADDED", "b", "12");
	am_reflector_stop(r);
	am_reflector_stop(r);
	ck_assert_uint_eq(fake_io_open(io), 0);
	am_reflector_start(r); /* goes on where it was */
	am_reflector_start(r);
	check_watching("12");
}
END_TEST

/* ---- refusals */

START_TEST(RF7_connection_refused_backs_off_and_does_not_list)
{
	int ms;

	start_watching("a");
	end_after(2 * S);
	for (int i = 0, base = 800; i < 8; i++, base = AM_MIN(2 * base, 30000)) {
		fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNREFUSED);
		ms = backoff();
		ck_assert_int_ge(ms, base);
		ck_assert_int_lt(ms, 2 * base);
		check_watching("10");
	}
	fake_io_head(io, 200);
	event("ADDED", "b", "11");
}
END_TEST

START_TEST(RF8_01_429_on_watch_start_backs_off_and_does_not_list)
{
	struct am_reflector_status status;

	start_watching("a");
	end_after(2 * S);
	refuse(429, "TooManyRequests");
	(void)backoff();
	check_watching("10");
	fake_io_answer_retry(io, 429, "", 45000);
	ck_assert_int_ge(backoff(), 45000); /* the API server said when */
	check_watching("10");
	am_reflector_status(r, &status);
	ck_assert_uint_eq(status.lists, 1);
}
END_TEST

START_TEST(RF8_02_an_absurd_retry_after_is_cut)
{
	am_reflector_start(r);
	fake_io_answer_retry(io, 429, "", INT64_MAX);
	ck_assert_int_le(backoff(), 300000);
	check_listing("0");
	fake_io_answer_retry(io, 429, "", (int64_t)3600 * 1000);
	ck_assert_int_eq(backoff(), 300000);
	check_listing("0");
	fake_io_answer_retry(io, 429, "", -5);
	ck_assert_int_le(backoff(), 4000);
}
END_TEST

START_TEST(RF9_429_inside_the_stream)
{
	start_watching("a");
	event("ADDED", "b", "12");
	error_event(429, "TooManyRequests");
	(void)backoff();
	check_watching("12");
}
END_TEST

START_TEST(RF10_01_internal_error_gives_up_at_once_by_default)
{
	start_watching("a");
	error_event(500, "InternalError");
	(void)backoff();
	check_listing("10");
}
END_TEST

START_TEST(RF10_02_internal_error_is_retried_within_its_budget)
{
	make(&(struct am_reflector_options){ .internal_retry_ns = 5 * S });
	start_watching("a");
	error_event(500, "InternalError");
	(void)backoff();
	check_watching("10");
	fake_io_head(io, 200);
	error_event(500, "InternalError");
	(void)backoff();
	check_watching("10");
	fake_io_head(io, 200);
	fake_io_advance(io, 5 * S);
	error_event(500, "InternalError"); /* the window is over */
	(void)backoff();
	check_listing("10");
	answer_list("11", NULL, "a");
	fake_io_head(io, 200);
	fake_io_advance(io, 61 * S); /* after a minute a new window begins */
	error_event(500, "InternalError");
	(void)backoff();
	check_watching("11");
}
END_TEST

START_TEST(RF15_01_rule_15_410_in_the_stream_lists_at_the_last_version_first)
{
	start_watching("a");
	event("ADDED", "b", "12");
	error_event(410, "Expired");
	(void)backoff();
	check_listing("12");
	refuse(410, "Expired");
	check_listing(""); /* at once */
	answer_list("20", NULL, "a");
	check_watching("20");
	ck_assert_uint_eq(am_store_count(store), 1);
	check_told("a:->10i b:->12 a:10>20 b:12>-m ");
}
END_TEST

START_TEST(RF15_02_410_as_the_answer_to_the_watch)
{
	start_watching("a");
	end_after(2 * S);
	refuse(410, "Gone");
	(void)backoff();
	check_listing("10");
}
END_TEST

START_TEST(RF17_other_errors_in_the_stream_list_again)
{
	start_watching("a b");
	error_event(500, "StoreReadError");
	(void)backoff();
	check_listing("10");
	answer_list("20", NULL, "b");
	ck_assert_uint_eq(am_store_count(store), 1);
}
END_TEST

START_TEST(RF14_01_list_versions_after_410)
{
	am_reflector_start(r);
	check_listing("0");
	answer_list("10", NULL, "a");
	fake_io_head(io, 200);
	end_after(1);
	(void)backoff();
	check_listing("10");
	refuse(410, "Expired");
	check_listing("");
	answer_list("11", NULL, "a");
	fake_io_head(io, 200);
	end_after(1);
	(void)backoff();
	check_listing("11"); /* and the memory of it is gone */
}
END_TEST

START_TEST(RF14_02_410_twice_backs_off)
{
	start_watching("a");
	end_after(1);
	(void)backoff();
	refuse(410, "Expired");
	check_listing("");
	refuse(410, "Expired");
	(void)backoff();
	check_listing("");
}
END_TEST

static void
too_large(const char *text)
{
	fake_io_answer(io, 504, text);
}

START_TEST(RF14_03_too_large_version_by_cause_and_by_words)
{
	static const char cause[] = "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\",\"message\":\"x\",\"details\":"
		"{\"causes\":[{\"reason\":\"Other\"},{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large resource version\"}]}}";
	static const char words[] = "{\"kind\":\"Status\",\"code\":504,\"reason\":\"Timeout\","
		"\"message\":\"Timeout: Too large resource version: 30, current: 20\"}";
	static const char *const rvs[] = { "30", "40" };

	am_reflector_start(r);
	check_listing("0");
	answer_list("20", NULL, "a");
	for (int i = 0; i < 2; i++) {
		fake_io_head(io, 200);
		end_after(1);
		(void)backoff();
		check_listing(i == 0 ? "20" : "30");
		too_large(i == 0 ? cause : words);
		check_listing("");
		answer_list(rvs[i], NULL, "a");
	}
	check_watching("40");
	fake_io_head(io, 200);
	end_after(1);
	(void)backoff();
	refuse(504, "Timeout"); /* just slow */
	(void)backoff();
	check_listing("40");
	too_large(words);
	check_listing("");
}
END_TEST

START_TEST(rule_18_404_pauses_and_looks_again)
{
	struct am_reflector_status status;

	am_reflector_start(r);
	for (int i = 0; i < 20; i++) {
		fake_io_answer(io, 404, "404 page not found\n");
		am_reflector_status(r, &status);
		ck_assert_int_eq(status.state, AM_REFLECTOR_MISSING);
		int ms = backoff();
		ck_assert_int_ge(ms, 10000);
		ck_assert_int_le(ms, 11000);
	}
	answer_list("10", NULL, "a");
	check_watching("10");
}
END_TEST

/* A kind that appears is not waited for: whoever learns of it says so. */
START_TEST(rule_18_a_missing_kind_is_looked_for_at_once_when_told)
{
	am_reflector_start(r);
	fake_io_answer(io, 404, "404 page not found\n");
	am_reflector_retry(r);
	answer_list("10", NULL, "a");
	check_watching("10");
	am_reflector_retry(r); /* nothing to retry: the watch goes on */
	check_watching("10");
}
END_TEST

START_TEST(forbidden_is_a_state_of_its_own)
{
	struct am_reflector_status status;

	am_reflector_start(r);
	refuse(403, "Forbidden");
	am_reflector_status(r, &status);
	ck_assert_int_eq(status.state, AM_REFLECTOR_FORBIDDEN);
	ck_assert_str_eq(status.error, "list: scripted");
	(void)backoff();
	answer_list("10", NULL, "");
	am_reflector_status(r, &status);
	ck_assert_int_eq(status.state, AM_REFLECTOR_WATCHING);
	ck_assert_str_eq(status.error, "");
	ck_assert_str_eq(status.kind, "Pod");
}
END_TEST

START_TEST(RF25_backoff_of_lists_grows_and_is_forgotten_after_two_minutes)
{
	am_reflector_start(r);
	for (int i = 0, base = 800; i < 8; i++, base = AM_MIN(2 * base, 30000)) {
		refuse(500, "InternalError");
		int ms = backoff();
		ck_assert_int_ge(ms, base);
		ck_assert_int_lt(ms, 2 * base);
	}
	answer_list("10", NULL, "");
	fake_io_head(io, 200);
	fake_io_advance(io, 121 * S);
	error_event(500, "X");
	ck_assert_int_lt(backoff(), 1600);
}
END_TEST

/* ---- pages */

START_TEST(RF12_01_pages_until_there_are_no_more)
{
	make(&(struct am_reflector_options){ .page_size = 4 });
	am_reflector_start(r);
	check_listing("0");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "limit"), "4");
	answer_list("10", "C 1/=", "a b c d");
	check_listing(""); /* no version beside a token */
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "continue"), "C 1/=");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "limit"), "4");
	ck_assert_int_eq(syncs, 0);
	answer_list("10", "C2", "e f g h");
	answer_list("10", NULL, "i j");
	ck_assert_int_eq(syncs, 1);
	ck_assert_uint_eq(am_store_count(store), 10);
	check_watching("10");
}
END_TEST

START_TEST(RF12_02_a_list_at_a_version_is_not_paged)
{
	start_watching("a");
	end_after(1);
	(void)backoff();
	check_listing("10");
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "limit"));
}
END_TEST

/* A limit makes a version mean exactly that one, unless the API server is told otherwise. */
START_TEST(RF12_04_pages_at_a_version_are_not_of_the_past)
{
	make(&(struct am_reflector_options){ .page_size = 4 });
	am_reflector_start(r);
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "resourceVersionMatch"));
	answer_list("10", NULL, "a");
	fake_io_head(io, 200);
	error_event(410, "Expired");
	(void)backoff();
	check_listing("10");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "limit"), "4");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "resourceVersionMatch"), "NotOlderThan");
	answer_list("20", "next", "a b c d");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "continue"), "next");
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "resourceVersionMatch"));
	answer_list("20", NULL, "e");
	check_watching("20");
	ck_assert_uint_eq(am_store_count(store), 5);
}
END_TEST

START_TEST(RF12_03_pages_at_version_0_mean_that_there_is_no_watch_cache)
{
	am_reflector_start(r);
	answer_list("10", "C1", "a");
	answer_list("10", NULL, "b");
	fake_io_head(io, 200);
	end_after(1);
	(void)backoff();
	check_listing("10");
	ck_assert_str_eq(fake_query(fake_io_last(io)->path, "limit"), "500");
}
END_TEST

START_TEST(RF13_RF14_04_an_expired_token_makes_one_full_list)
{
	make(&(struct am_reflector_options){ .page_size = 4 });
	am_reflector_start(r);
	check_listing("0");
	answer_list("10", NULL, "old");
	fake_io_head(io, 200);
	end_after(1);
	(void)backoff();
	check_listing("10");
	answer_list("11", "C1", "a b");
	check_listing("");
	refuse(410, "Expired");
	check_listing("10");
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "limit"));
	ck_assert_ptr_null(fake_query(fake_io_last(io)->path, "continue"));
	am_buf_reset(&told);
	answer_list("12", NULL, "b c"); /* a was deleted between page one and this */
	check_watching("12");
	check_told("b:11>12 c:->12 old:10>-m a:11>-m ");
}
END_TEST

START_TEST(a_list_that_is_cut_is_no_list)
{
	char *text = list_text("20", NULL, "b");

	start_watching("a");
	end_after(1);
	(void)backoff();
	fake_io_head(io, 200);
	fake_io_data_n(io, text, strlen(text) - 2);
	fake_io_end(io); /* politely */
	free(text);
	ck_assert_int_eq(syncs, 1);
	ck_assert_uint_eq(am_store_count(store), 2); /* b is there, and nothing was dropped */
	(void)backoff();
	check_listing("10");
	fake_io_head(io, 200);
	fake_io_data(io, "{\"kind\":\"PodList\",\"items\":[");
	fake_io_fail(io, AMBIENT_E_UNAVAILABLE, ECONNRESET);
	ck_assert_uint_eq(am_store_count(store), 2);
	(void)backoff();
	answer_list("21", NULL, "c");
	ck_assert_uint_eq(am_store_count(store), 1);
}
END_TEST

START_TEST(the_first_list_cut_leaves_nothing_to_the_next)
{
	char *text = list_text("20", NULL, "a b");

	am_reflector_start(r);
	fake_io_head(io, 200);
	fake_io_data_n(io, text, 5); /* so that its kind is not seen early: the items wait for it */
	fake_io_data_n(io, text + 5, strlen(text) - 7);
	fake_io_end(io);
	free(text);
	ck_assert_uint_eq(am_store_count(store), 0);
	(void)backoff();
	answer_list("21", NULL, "b");
	ck_assert_uint_eq(am_store_count(store), 1);
	check_told("b:->21i ");
}
END_TEST

START_TEST(items_of_a_kind_that_is_known_do_not_wait)
{
	static const char head[] = "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":["
				   "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"4\"}},";
	struct am_object *o;

	am_reflector_start(r);
	fake_io_head(io, 200);
	fake_io_data(io, head);
	ck_assert_uint_eq(am_store_count(store), 1);
	ck_assert_int_eq(syncs, 0);
	o = am_store_get(store, "", "a");
	ck_assert_ptr_nonnull(strstr(o->json.p, "\"kind\":\"Pod\""));
	am_object_unref(o);
}
END_TEST

START_TEST(RF16_01_a_relist_of_the_same_keeps_the_objects)
{
	struct am_object *before, *after;

	start_watching("a b");
	before = am_store_get(store, "", "a");
	am_buf_reset(&told);
	end_after(1);
	(void)backoff();
	answer_list("10", NULL, "a b");
	after = am_store_get(store, "", "a");
	ck_assert_ptr_eq(before, after);
	check_told("");
	am_object_unref(before);
	am_object_unref(after);
}
END_TEST

/* Bytes in use by this process; 0 where the allocator does not say (sanitizers). */
static size_t
in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

START_TEST(RF16_02_the_memory_of_a_list_is_released)
{
	enum { ITEMS = 2000 };
	struct am_buf b = { 0 };
	size_t start = in_use(), slack = 256 * 1024;

	if (start == 0)
		return;
	am_buf_adds(&b, "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[");
	for (int i = 0; i < ITEMS; i++)
		am_buf_addf(&b, "%s{\"metadata\":{\"name\":\"p%d\",\"uid\":\"u\",\"resourceVersion\":\"9\"},\"x\":\"%02000d\"}", i > 0 ? "," : "", i, i);
	am_buf_adds(&b, "]}");
	am_reflector_start(r);
	fake_io_answer(io, 200, b.data);
	am_buf_fini(&b);
	am_buf_fini(&told);
	ck_assert_uint_eq(am_store_count(store), ITEMS);
	/* Nothing of the answer is kept beside the objects ... */
	ck_assert_uint_le(in_use() - start, am_store_bytes(store) + ITEMS * 400 + slack);
	fake_io_head(io, 200);
	error_event(410, "Expired");
	(void)backoff();
	answer_list("20", NULL, "p0");
	am_buf_fini(&told);
	/* ... and nothing of an object beside the store. */
	ck_assert_uint_eq(am_store_count(store), 1);
	ck_assert_uint_le(in_use(), start + slack);
}
END_TEST

START_TEST(a_list_without_version_or_with_garbage_is_refused)
{
	static const char *const rows[] = { "", "{}", "[]", "{\"items\":[]}", "{\"metadata\":{},\"items\":[]}", "<html>",
		"{\"metadata\":{\"resourceVersion\":5},\"items\":[]}", "{\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[}" };

	am_reflector_start(r);
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		fake_io_answer(io, 200, rows[i]);
		(void)backoff();
		check_listing("0");
	}
	ck_assert_int_eq(syncs, 0);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, rule_01_list_then_watch_keeps_the_store_equal);
	tcase_add_test(tc, events_may_be_cut_anywhere);
	tcase_add_test(tc, RF1_01_stop_before_start_and_while_backing_off);
	tcase_add_test(tc, RF1_02_stop_while_listing_and_while_watching_then_go_on);
	tcase_add_test(tc, RF2_01_a_very_short_watch_without_events_lists_again);
	tcase_add_test(tc, RF2_02_events_that_repeat_a_version_do_not_make_a_loop);
	tcase_add_test(tc, RF3_01_wrong_kinds_are_rejected_and_the_stream_goes_on);
	tcase_add_test(tc, RF3_02_a_table_is_no_list);
	tcase_add_test(tc, RF4_01_rule_03_bookmarks_move_only_the_version);
	tcase_add_test(tc, RF4_02_the_next_watch_starts_from_the_last_event);
	tcase_add_test(tc, RF5_rule_02_rule_17_options_of_list_and_watch);
	tcase_add_test(tc, RF6_01_a_watch_that_ends_is_begun_again_without_a_list);
	tcase_add_test(tc, RF6_02_list_error_then_success);
	tcase_add_test(tc, RF7_connection_refused_backs_off_and_does_not_list);
	tcase_add_test(tc, RF8_01_429_on_watch_start_backs_off_and_does_not_list);
	tcase_add_test(tc, RF8_02_an_absurd_retry_after_is_cut);
	tcase_add_test(tc, RF9_429_inside_the_stream);
	tcase_add_test(tc, RF10_01_internal_error_gives_up_at_once_by_default);
	tcase_add_test(tc, RF10_02_internal_error_is_retried_within_its_budget);
	tcase_add_test(tc, RF12_01_pages_until_there_are_no_more);
	tcase_add_test(tc, RF12_02_a_list_at_a_version_is_not_paged);
	tcase_add_test(tc, RF12_04_pages_at_a_version_are_not_of_the_past);
	tcase_add_test(tc, RF12_03_pages_at_version_0_mean_that_there_is_no_watch_cache);
	tcase_add_test(tc, RF13_RF14_04_an_expired_token_makes_one_full_list);
	tcase_add_test(tc, RF14_01_list_versions_after_410);
	tcase_add_test(tc, RF14_02_410_twice_backs_off);
	tcase_add_test(tc, RF14_03_too_large_version_by_cause_and_by_words);
	tcase_add_test(tc, RF15_01_rule_15_410_in_the_stream_lists_at_the_last_version_first);
	tcase_add_test(tc, RF15_02_410_as_the_answer_to_the_watch);
	tcase_add_test(tc, RF16_01_a_relist_of_the_same_keeps_the_objects);
	tcase_add_test(tc, RF16_02_the_memory_of_a_list_is_released);
	tcase_add_test(tc, RF17_other_errors_in_the_stream_list_again);
	tcase_add_test(tc, RF25_backoff_of_lists_grows_and_is_forgotten_after_two_minutes);
	tcase_add_test(tc, RF26_a_minimum_under_five_minutes_is_ignored);
	tcase_add_test(tc, a_list_that_is_cut_is_no_list);
	tcase_add_test(tc, items_of_a_kind_that_is_known_do_not_wait);
	tcase_add_test(tc, the_first_list_cut_leaves_nothing_to_the_next);
	tcase_add_test(tc, a_list_without_version_or_with_garbage_is_refused);
	tcase_add_test(tc, forbidden_is_a_state_of_its_own);
	tcase_add_test(tc, rule_18_404_pauses_and_looks_again);
	tcase_add_test(tc, rule_18_a_missing_kind_is_looked_for_at_once_when_told);
}

UNIT_MAIN("reflector", cases)
