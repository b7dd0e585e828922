/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server, the way to it and the world can do to a watch, each by its name (tests/lint/behaviours.txt: XF, XB).
 * An informer over the real I/O thread has to end up with what the server holds: no event lost, no object twice,
 * nothing listed that need not be.
 */
#include "tests/func/watch.h"

#include "core/base/counter.h"
#include "core/base/log.h"

#define TOO_LARGE                                                                                                      \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Timeout\",\"message\":\"Too large resource "         \
	"version: 100, current: 5\","                                                                                  \
	"\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large resource "           \
	"version\"}]},\"code\":504}"
#define BUSY                                                                                                           \
	"{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"TooManyRequests\",\"message\":\"busy\",\"code\":"    \
	"429}"

/* ---- the server, and the way to it */

START_TEST(XF01_dropped_in_the_middle_of_an_event)
{
	breaks("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"meta", FAKE_API_DROP);
}
END_TEST

START_TEST(XF02_half_a_JSON_and_a_clean_end)
{
	breaks("{\"type\":\"MODIFIED\",\"object\":", 0);
}
END_TEST

START_TEST(XF03_one_byte_at_a_time)
{
	begin(FAKE_API_PLAIN);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")) EVENT("MODIFIED", OBJ("b", "12")) EVENT("DELETED", OBJ("a", "13")),
	      FAKE_API_BYTES | FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), FAKE_API_BYTES);
	begin_watch();
	wait_for("b", "12", 2);
	wait_for("a", "", 2);
	ck_assert_int_eq(fake_api_count(api), 2);
	end_watch();
}
END_TEST

/* No version is asked for any more: whatever the server has is what there is. */
START_TEST(XF04_01_410_on_a_list)
{
	begin(FAKE_API_PLAIN);
	watch(1, 200, EVENT("ERROR", GONE), 0);
	watch(0, 200, "", FAKE_API_STALL);
	list(1, 200, LIST("10", MAP("a", "9")), 0);
	list(1, 410, GONE, 0);
	list(0, 200, LIST("30", MAP("a", "25")), 0);
	begin_watch();
	wait_for("a", "25", 5);
	ck_assert(asks(2, "resourceVersion=10"));
	ck_assert(!asks(3, "resourceVersion="));
	ck_assert(asks(4, "resourceVersion=30"));
	end_watch();
	ck_assert_int_eq(deleted, 0);
}
END_TEST

START_TEST(XF04_02_410_on_a_page)
{
	begin(FAKE_API_PLAIN);
	watch(0, 200, "", FAKE_API_STALL);
	rule("GET", "/api/v1/configmaps*continue=next*", 1, 410, NULL, GONE, 0);
	list(1, 200,
	     "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"10\",\"continue\":"
	     "\"next\"},\"items\":[" MAP("a", "9") "," MAP("gone", "8") "]}",
	     0);
	list(0, 200, LIST("30", MAP("a", "25") "," MAP("b", "26")), 0);
	begin_watch();
	wait_for("b", "26", 4);
	ck_assert_str_eq(rv_of("a"), "25");
	ck_assert_str_eq(rv_of("gone"), "");
	ck_assert(!asks(2, "continue=") && !asks(2, "limit="));
	ck_assert(asks(3, "resourceVersion=30"));
	end_watch();
}
END_TEST

static void
too_old(int status, const char *body, const char *last)
{
	begin(FAKE_API_PLAIN);
	watch(1, status, body, 0);
	watch(0, 200, "", FAKE_API_STALL);
	list(1, 200, LIST("10", MAP("a", "9") "," MAP("b", "8")), 0);
	list(0, 200, LIST("30", MAP("a", "25")), 0);
	begin_watch();
	wait_for("a", "25", 4);
	ck_assert_str_eq(rv_of("b"), "");
	ck_assert(asks(2, last) && !asks(2, "watch="));
	end_watch();
	ck_assert_int_eq(missed, 1);
}

START_TEST(XF04_03_410_instead_of_a_watch)
{
	too_old(410, GONE, "resourceVersion=10");
}
END_TEST

START_TEST(XF04_04_410_in_the_middle_of_a_watch)
{
	too_old(200, EVENT("MODIFIED", OBJ("a", "11")) EVENT("ERROR", GONE), "resourceVersion=11");
}
END_TEST

/* A list, then a watch, is refused; how long it waits is the server's to say, or the backoff's. */
static void
busy(const char *header, int64_t least)
{
	begin(FAKE_API_PLAIN);
	rule("GET", "/api/v1/configmaps*watch=true*", 1, 429, header, BUSY, 0);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL);
	rule("GET", "/api/v1/configmaps*", 1, 429, header, BUSY, 0);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	int64_t began = am_clock_boot(fake);
	begin_watch();
	wait_for("b", "11", 4);
	ck_assert_int_eq(fake_api_count(api),
			 4); /* list, list, watch, watch: the watch's refusal is no reason to list */
	ck_assert(!asks(1, "watch=") && asks(2, "watch=") && asks(3, "resourceVersion=10"));
	ck_assert_msg(am_clock_boot(fake) - began >= least, "after %lld ms",
		      (long long)((am_clock_boot(fake) - began) / AM_NS_PER_MS));
	end_watch();
}

START_TEST(XF05_01_429_with_retry_after)
{
	busy("Retry-After: 7\r\n", 14 * S);
}
END_TEST

START_TEST(XF05_02_429_without_retry_after)
{
	busy(NULL, 1600 * AM_NS_PER_MS);
}
END_TEST

/* A connection that is accepted and then silent is given up, and another one is made. */
START_TEST(XF06_a_TLS_handshake_that_stalls)
{
	begin(FAKE_API_TLS);
	fake_api_mute(api, 1);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->ca_data = am_xstrdup(fake_api_ca(api));
	open_kube(config, -1, 0);
	informers = am_informers_new(am_kube_io(kube));
	ck_assert_int_eq(
		am_informer_get(informers, &(struct am_informer_spec){.kind = "v1/configmaps"}, &informer, NULL), 0);
	subscription = am_informer_subscribe(informer, on_change, NULL);
	wait_for("b", "11", 2);
	ck_assert_str_eq(rv_of("a"), "9");
	ck_assert_int_ge(fake_api_request(api, 0)->connection, 1);
	end_watch();
}
END_TEST

/* An hour of sleep, and a wall clock that goes back a day: the watch is begun anew where it was, and that is all. */
START_TEST(XF07_the_clock_jumps)
{
	begin(FAKE_API_PLAIN);
	watch(1, 200, EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL);
	watch(0, 200, EVENT("ADDED", OBJ("c", "12")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("b", "11", 2);
	am_clock_fake_set_wall(fake, INT64_C(1600000000) * S);
	am_clock_fake_advance(fake, 3600 * S);
	wait_for("c", "12", 3);
	ck_assert_int_eq(fake_api_count(api), 3);
	ck_assert(asks(2, "watch=true") && asks(2, "resourceVersion=11"));
	end_watch();
	ck_assert_int_eq(deleted, 0);
}
END_TEST

/* The server came back from a backup: its versions are lower than those that we know.  It wins. */
START_TEST(XF08_a_restart_with_a_lower_version)
{
	begin(FAKE_API_PLAIN);
	rule("GET", "/api/v1/configmaps*watch=true*resourceVersion=100*", 1, 200, NULL, "", FAKE_API_DROP);
	rule("GET", "/api/v1/configmaps*resourceVersion=100*", 2, 504, NULL, TOO_LARGE, 0);
	rule("GET", "/api/v1/configmaps*watch=true*", 0, 200, NULL, EVENT("MODIFIED", OBJ("a", "6")), FAKE_API_STALL);
	list(1, 200, LIST("100", MAP("a", "99") "," MAP("b", "98")), 0);
	list(0, 200, LIST("5", MAP("a", "4")), 0);
	begin_watch();
	wait_for("a", "6", 5);
	ck_assert_str_eq(rv_of("b"), "");
	ck_assert(asks(fake_api_count(api) - 1, "resourceVersion=5&") ||
		  asks(fake_api_count(api) - 1, "resourceVersion=5"));
	end_watch();
	ck_assert_int_eq(missed, 1);
}
END_TEST

/* Whatever version is asked for is too old, again and again: backoff keeps the requests apart. */
START_TEST(XF09_a_storm_of_410)
{
	begin(FAKE_API_PLAIN);
	watch(6, 410, GONE, 0);
	watch(0, 200, EVENT("ADDED", OBJ("b", "11")), FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	int64_t began = am_clock_boot(fake);
	begin_watch();
	wait_for("b", "11", 14);
	ck_assert_int_eq(fake_api_count(api), 14); /* a list for each watch */
	ck_assert_int_ge(am_clock_boot(fake) - began, 10 * S);
	end_watch();
	ck_assert_int_eq(deleted, 0);
}
END_TEST

/* ---- what the world may send */

static _Atomic int complaints;
static const char *complaint;

static void
listen_to(void *arg, int level, const char *area, const char *text)
{
	(void)arg;
	(void)level;
	(void)area;
	if (strstr(text, "skipping") != NULL && strstr(text, complaint) != NULL)
		complaints++;
}

static double
counted(void)
{
	static const char *const labels[] = {"resource", "/api/v1/configmaps", NULL};

	return am_metric_value(am_metric(AM_COUNTER, "ambient_cache_skipped_objects_total", "", labels, NULL));
}

/* It comes in a watch, twice: said once by `name`, counted each time, and what comes behind it arrives. */
static void
skipped(const char *bad, const char *name)
{
	am_auto(am_freep) char *body =
		am_xasprintf("%s%s%s%s", EVENT("ADDED", OBJ("b", "11")), bad, bad, EVENT("ADDED", OBJ("c", "20")));

	complaint = name;
	am_log_set_level(AMBIENT_LOG_WARN);
	am_log_capture(listen_to, NULL);
	begin(FAKE_API_PLAIN);
	step = 0; /* whatever is too large for a pipe takes its real time */
	watch(0, 200, body, FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("c", "20", 2);
	ck_assert_str_eq(rv_of("a"), "9");
	ck_assert_str_eq(rv_of("b"), "11");
	ck_assert_uint_eq(am_store_count(am_informer_store(informer)), 3);
	ck_assert_int_eq(complaints, 1);
	ck_assert(counted() > 1.5 && counted() < 2.5);
	ck_assert_int_eq(fake_api_count(api), 2);
	end_watch();
	am_log_capture(NULL, NULL);
}

START_TEST(XB01_garbage_in_a_watch)
{
	skipped("\xff\xfe{]not json\n", "an object");
}
END_TEST

START_TEST(XB02_an_object_of_8_MB)
{
	am_auto(am_buf_fini) struct am_buf big = {0};

	am_buf_adds(&big, "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\","
			  "\"metadata\":{\"name\":\"a\",\"namespace\":\"n\","
			  "\"uid\":\"a\",\"resourceVersion\":\"12\"},\"data\":{\"x\":\"");
	for (int i = 0; i < 8 << 10; i++)
		am_buf_addf(&big, "%01024d", i);
	am_buf_adds(&big, "\"}}}\n");
	skipped(am_buf_str(&big), "\"n/a\"");
}
END_TEST

START_TEST(XB03_names_with_NUL)
{
	skipped("{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
		"\"a\\u0000b\",\"namespace\":\"n\","
		"\"resourceVersion\":\"12\"}}}\n",
		"an object");
}
END_TEST

/* The event of an object with a name of n bytes. */
static void
added(char event[1024], char name[600], size_t n)
{
	memset(name, 'x', n);
	name[n] = '\0';
	(void)snprintf(event, 1024,
		       "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{"
		       "\"name\":\"%s\",\"namespace\":\"n\",\"uid\":\"l\",\"resourceVersion\":\"12\"}}}\n",
		       name);
}

/* The longest name that there may be is none that is skipped; a longer one than any server takes is. */
START_TEST(XB04_names_of_253_bytes)
{
	char name[600], event[1024];

	added(event, name, 253);
	begin(FAKE_API_PLAIN);
	watch(0, 200, event, FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for(name, "12", 2);
	ck_assert_uint_eq(am_store_count(am_informer_store(informer)), 2);
	ck_assert(counted() < 0.5);
	end_watch();
	added(event, name, 599);
	skipped(event, "skipping");
}
END_TEST

START_TEST(XB05_a_key_twice)
{
	skipped("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{"
		"\"name\":\"a\",\"namespace\":\"n\","
		"\"resourceVersion\":\"12\"},\"data\":{\"k\":\"1\",\"k\":\"2\"}}}\n",
		"\"n/a\"");
}
END_TEST

/* What no machine can hold is text to us, and stays as it came; what is no number at all is skipped. */
START_TEST(XB06_numbers_out_of_range)
{
	static const char taken[] = "\"x\":[99999999999999999999999999,-1e-999,1e999,0.70]";

	begin(FAKE_API_PLAIN);
	watch(0, 200,
	      "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
	      "\"b\",\"namespace\":\"n\","
	      "\"generation\":99999999999999999999,\"resourceVersion\":\"12\"},"
	      "\"x\":[99999999999999999999999999,-1e-999,1e999,0.70]}}\n",
	      FAKE_API_STALL);
	list(0, 200, LIST("10", MAP("a", "9")), 0);
	begin_watch();
	wait_for("b", "12", 2);
	struct am_object *object = am_store_get(am_informer_store(informer), "n", "b");
	ck_assert_ptr_nonnull(strstr(object->json.p, taken));
	ck_assert_int_ge(object->generation, 0);
	am_object_unref(object);
	ck_assert(counted() < 0.5);
	end_watch();
	skipped("{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{"
		"\"name\":\"a\",\"namespace\":\"n\","
		"\"resourceVersion\":\"12\"},\"x\":0x10}}\n",
		"\"n/a\"");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, XF01_dropped_in_the_middle_of_an_event);
	tcase_add_test(tc, XF02_half_a_JSON_and_a_clean_end);
	tcase_add_test(tc, XF03_one_byte_at_a_time);
	tcase_add_test(tc, XF04_01_410_on_a_list);
	tcase_add_test(tc, XF04_02_410_on_a_page);
	tcase_add_test(tc, XF04_03_410_instead_of_a_watch);
	tcase_add_test(tc, XF04_04_410_in_the_middle_of_a_watch);
	tcase_add_test(tc, XF05_01_429_with_retry_after);
	tcase_add_test(tc, XF05_02_429_without_retry_after);
	tcase_add_test(tc, XF06_a_TLS_handshake_that_stalls);
	tcase_add_test(tc, XF07_the_clock_jumps);
	tcase_add_test(tc, XF08_a_restart_with_a_lower_version);
	tcase_add_test(tc, XF09_a_storm_of_410);
	tcase_add_test(tc, XB01_garbage_in_a_watch);
	tcase_add_test(tc, XB02_an_object_of_8_MB);
	tcase_add_test(tc, XB03_names_with_NUL);
	tcase_add_test(tc, XB04_names_of_253_bytes);
	tcase_add_test(tc, XB05_a_key_twice);
	tcase_add_test(tc, XB06_numbers_out_of_range);
}

UNIT_MAIN("faults", cases)
