/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of core/ops over a real socket, with the daemon's answers made up here. */
#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/ops/ops.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/unit.h"

static const char *broken; /* what is wrong with the check "b/watch/v1/pods"; NULL: nothing */
static const char *dead;
static int refreshed;
static struct am_ops *ops;
static struct am_buf body;
static struct ambient_error err;

static void
checks(void *arg, void (*each)(void *, const char *name, const char *problem), void *each_arg)
{
	ck_assert_ptr_eq(arg, &refreshed);
	each(each_arg, "a/plugin", NULL);
	each(each_arg, "b/watch/v1/pods", broken);
	each(each_arg, "lease", NULL);
}

static void
refresh(void *arg am_unused_)
{
	refreshed++;
}

static int
live(void *arg am_unused_, struct ambient_error *e)
{
	return dead != NULL ? ambient_err(e, AMBIENT_E_UNAVAILABLE, "%s", dead) : 0;
}

static const struct am_ops_callbacks callbacks = { .arg = &refreshed, .checks = checks, .refresh = refresh, .live = live };

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	am_buf_add(arg, p, size * n);
	return size * n;
}

/* The status; the page is in body. */
static long
ask(const char *method, const char *path)
{
	char url[256];
	long status = 0;
	CURL *curl = curl_easy_init();

	am_buf_reset(&body);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", am_ops_port(ops), path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	ck_assert_int_eq(curl_easy_perform(curl), CURLE_OK);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	return status;
}

static void
says(const char *path, long status, const char *text)
{
	ck_assert_msg(ask("GET", path) == status, "%s: %s", path, am_buf_str(&body));
	ck_assert_str_eq(am_buf_str(&body), text);
}

static void
setup(void)
{
	ck_assert_msg(am_ops_start("127.0.0.1:0", &callbacks, &ops, &err) == 0, "%s", err.message);
}

static void
teardown(void)
{
	am_ops_stop(ops);
	am_buf_fini(&body);
}

START_TEST(MG4_the_pages)
{
	ck_assert_int_eq(ask("GET", "/metrics"), 200);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&body), "\nprocess_cpu_seconds_total "));
	ck_assert_int_eq(refreshed, 1);
	says("/healthz", 200, "ok\n");
	says("/livez", 200, "ok\n");
	says("/readyz", 200, "ok\n");
	dead = "it is stuck";
	says("/healthz", 503, "it is stuck\n");
	says("/livez", 503, "it is stuck\n");
	says("/readyz", 200, "ok\n");
}
END_TEST

START_TEST(MG4_each_check_and_what_is_wrong_with_it)
{
	says("/readyz?verbose", 200, "[+] a/plugin\n[+] b/watch/v1/pods\n[+] lease\n");
	broken = "b: v1/pods is not synced";
	says("/readyz", 503, "b: v1/pods is not synced\n");
	says("/readyz?verbose=1", 503, "[+] a/plugin\n[-] b/watch/v1/pods: b: v1/pods is not synced\n[+] lease\n");
}
END_TEST

START_TEST(MG4_checks_can_be_left_out_and_asked_for_alone)
{
	broken = "no";
	says("/readyz?exclude=b/watch/v1/pods", 200, "ok\n");
	says("/readyz?exclude=lease&exclude=b%2Fwatch%2Fv1%2Fpods&verbose", 200,
	     "[+] a/plugin\n[+] b/watch/v1/pods: excluded\n[+] lease: excluded\n");
	says("/readyz?exclude=b", 503, "no\n"); /* a whole name, not a beginning */
	says("/readyz/lease", 200, "ok\n");
	says("/readyz/b/watch/v1/pods", 503, "no\n");
	says("/readyz/b/watch/v1/pods?verbose", 503, "[-] b/watch/v1/pods: no\n");
	says("/readyz/b", 404, "there is no such check; /readyz?verbose names them\n");
	says("/readyz/", 404, "there is no such check; /readyz?verbose names them\n");
}
END_TEST

START_TEST(MG4_what_is_no_page_is_said)
{
	says("/", 404, "there are /metrics, /healthz, /livez and /readyz\n");
	says("/metrics/x", 404, "there are /metrics, /healthz, /livez and /readyz\n");
	says("/debug/pprof", 404, "there are /metrics, /healthz, /livez and /readyz\n");
	ck_assert_int_eq(ask("POST", "/metrics"), 405);
	ck_assert_int_eq(ask("DELETE", "/readyz"), 405);
	ck_assert_int_eq(refreshed, 0);
}
END_TEST

START_TEST(MG4_an_address_that_cannot_be_had)
{
	struct am_ops *second = NULL;
	char taken[32];

	(void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", am_ops_port(ops));
	ck_assert_int_lt(am_ops_start(taken, &callbacks, &second, &err), 0);
	ck_assert_msg(strstr(err.message, "127.0.0.1") != NULL, "%s", err.message);
	ck_assert_int_eq(am_ops_start("127.0.0.1", &callbacks, &second, &err), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.message, "\"127.0.0.1\" is no address:port");
	ck_assert_int_eq(am_ops_start("127.0.0.1:70000", &callbacks, &second, &err), -AMBIENT_E_INVALID);
	ck_assert_int_lt(am_ops_start("no.address.invalid:0", &callbacks, &second, &err), 0);
	ck_assert_ptr_null(second);
	says("/healthz", 200, "ok\n"); /* the first one goes on */
}
END_TEST

/* ---- what the service's watchdog is told */

static int said[2]; /* that it is silent, that it answers again */

static void
listen_to(void *arg am_unused_, int level am_unused_, const char *area am_unused_, const char *text)
{
	said[0] += strstr(text, "does not answer") != NULL;
	said[1] += strstr(text, "answers again") != NULL;
}

START_TEST(a_silent_io_thread_is_not_called_alive)
{
	struct am_clock *clock = am_clock_fake_new();
	struct am_io *io = fake_io_new(clock);
	struct am_beat *beat = am_beat_new();

	am_log_capture(listen_to, NULL);
	ck_assert(am_beat(beat) && am_beat(beat)); /* before there is one */
	am_beat_watch(beat, io);
	for (int i = 0; i < 3; i++) {
		ck_assert(am_beat(beat));
		fake_io_run(io);
	}
	ck_assert(am_beat(beat));
	for (int i = 0; i < 3; i++)
		ck_assert(!am_beat(beat)); /* the question is open */
	ck_assert_int_eq(said[0], 1);
	ck_assert_int_eq(said[1], 0);
	fake_io_run(io);
	ck_assert(am_beat(beat));
	ck_assert_int_eq(said[1], 1);
	am_beat_watch(beat, NULL); /* while it stops, whatever is open */
	ck_assert(am_beat(beat) && am_beat(beat));
	fake_io_run(io);
	am_log_capture(NULL, NULL);
	am_beat_free(beat);
	fake_io_free(io);
	am_clock_fake_free(clock);
}
END_TEST

START_TEST(the_watchdogs_interval_is_read_with_care)
{
	static const struct {
		const char *usec, *pid;
		int64_t half;
	} rows[] = {
		{ NULL, NULL, 0 },
		{ "60000000", NULL, 30 * AM_NS_PER_S },
		{ "60000000", "self", 30 * AM_NS_PER_S },
		{ "60000000", "1", 0 }, /* another process is meant */
		{ "60000000", "x", 0 },
		{ "0", NULL, 0 },
		{ "-5", NULL, 0 },
		{ "soon", NULL, 0 },
		{ "9223372036854775807", NULL, INT32_MAX * INT64_C(500000) },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		char self[32];

		(void)snprintf(self, sizeof(self), "%d", (int)getpid());
		(void)unsetenv("WATCHDOG_USEC");
		(void)unsetenv("WATCHDOG_PID");
		if (rows[i].usec != NULL)
			(void)setenv("WATCHDOG_USEC", rows[i].usec, 1);
		if (rows[i].pid != NULL)
			(void)setenv("WATCHDOG_PID", strcmp(rows[i].pid, "self") == 0 ? self : rows[i].pid, 1);
		ck_assert_msg(am_notify_watchdog() == rows[i].half, "%zu: %lld", i, (long long)am_notify_watchdog());
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, MG4_the_pages);
	tcase_add_test(tc, MG4_each_check_and_what_is_wrong_with_it);
	tcase_add_test(tc, MG4_checks_can_be_left_out_and_asked_for_alone);
	tcase_add_test(tc, MG4_what_is_no_page_is_said);
	tcase_add_test(tc, MG4_an_address_that_cannot_be_had);
	tcase_add_test(tc, a_silent_io_thread_is_not_called_alive);
	tcase_add_test(tc, the_watchdogs_interval_is_read_with_care);
}

UNIT_MAIN("ops", cases)
