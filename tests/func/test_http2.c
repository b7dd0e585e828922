/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short requests over HTTP/2 (ADR 52) against a real server of it, http2/main.go, which http2.sh starts: many on one connection,
 * GOAWAY in the middle of them, a stream that is reset, a watch beside them.  The server counts what it has heard.
 */
#include "tests/func/client.h"

#include <errno.h>

#include "core/data/scan.h"

#define N       50
#define FORWARD 20 /* the stream that GOAWAY refuses first */

struct one {
	pthread_t thread;
	const char *method;
	char path[32], text[32];
	int rc;
	struct am_buf answer;
	struct ambient_error err;
	_Atomic bool done;
};

static struct one all[N];

static void
begin_http2(void)
{
	struct am_kube_options options = {.user_agent = "test/1", .qps = -1, .http2 = true};
	const char *from = getenv("AMBIENT_HTTP2_DIR");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_buf_fini) struct am_buf port = {0};
	struct am_kube_config *config;

	ck_assert_msg(from != NULL, "tests/func/http2.sh starts this");
	am_auto(am_freep) char *ca = am_xasprintf("%s/ca.crt", from), *file = am_xasprintf("%s/port", from);
	ck_assert_int_eq(am_file_read(file, 16, &port, NULL), 0);
	am_auto(am_freep) char *server = am_xasprintf("https://127.0.0.1:%s", am_buf_str(&port));
	fake = options.clock = am_clock_fake_new();
	ck_assert_msg(am_kube_config_manual(server, ca, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_msg(am_kube_new(config, &options, &kube, &err) == 0, "%s", err.message);
}

static void
end_http2(void)
{
	for (int i = 0; i < N; i++)
		am_buf_fini(&all[i].answer);
	am_kube_free(kube);
	am_clock_fake_free(fake);
}

/* The clock stands still but for retries; an hour of it is more than they take. */
static int
ask(const char *method, const char *path, const char *body, struct am_buf *answer, struct ambient_error *err)
{
	struct am_kube_request request = {.method = method, .path = path, .body = body, .body_len = body != NULL ? strlen(body) : 0,
					  .deadline = am_clock_boot(fake) + 3600 * S};

	*err = (struct ambient_error)AMBIENT_ERROR_INIT;
	return am_kube_do(kube, &request, answer, err);
}

static void
tell(const char *query)
{
	am_auto(am_freep) char *path = am_xasprintf("/control?%s", query);
	am_auto(am_buf_fini) struct am_buf answer = {0};
	struct ambient_error err;

	ck_assert_msg(ask("GET", path, NULL, &answer, &err) == 0, "%s", err.message);
}

static void
look(struct am_buf *state)
{
	struct ambient_error err;

	am_buf_reset(state);
	ck_assert_msg(ask("GET", "/state", NULL, state, &err) == 0, "%s", err.message);
}

static int
number(const struct am_buf *state, const char *pointer)
{
	return (int)am_json_int(am_slice(am_buf_str(state), state->len), pointer, 0);
}

/* How often the server has heard a request. */
static int
heard(const struct am_buf *state, const struct one *one)
{
	am_auto(am_freep) char *pointer = am_xasprintf("/seen/%s ~1%s", one->method, one->path + 1);

	return number(state, pointer);
}

static void *
thread(void *arg)
{
	struct one *one = arg;

	one->rc = ask(one->method, one->path, am_streq(one->method, "GET") ? NULL : one->text, &one->answer, &one->err);
	one->done = true;
	return NULL;
}

static void
start(int i, const char *method)
{
	struct one *one = &all[i];

	*one = (struct one){.method = method};
	(void)snprintf(one->path, sizeof(one->path), "/object-%d", i);
	(void)snprintf(one->text, sizeof(one->text), "the text of %d", i);
	ck_assert_int_eq(pthread_create(&one->thread, NULL, thread, one), 0);
}

/* The clock moves a little whenever nothing else has happened for a moment: who waits for a retry gets there. */
static void
finish_all(void)
{
	for (int i = 0; i < N; i++) {
		while (!all[i].done) {
			am_clock_fake_advance(fake, S / 20);
			(void)usleep(2000);
		}
		ck_assert_int_eq(pthread_join(all[i].thread, NULL), 0);
	}
}

/* It is the answer to this request, over HTTP/2. */
static void
check_answer(const struct one *one)
{
	struct am_slice json = am_slice(am_buf_str(&one->answer), one->answer.len);

	ck_assert_msg(one->rc == 0, "%s %s: %s", one->method, one->path, one->err.message);
	am_auto(am_freep) char *protocol = am_json_dup(json, "/protocol"), *path = am_json_dup(json, "/path");
	am_auto(am_freep) char *body = am_json_dup(json, "/body");
	ck_assert_str_eq(protocol, "HTTP/2.0");
	ck_assert_str_eq(path, one->path);
	ck_assert_str_eq(body, am_streq(one->method, "GET") ? "" : one->text);
}

/* All of them are under way at once, on the connection that is there. */
START_TEST(fifty_requests_share_a_connection)
{
	am_auto(am_buf_fini) struct am_buf state = {0};

	begin_http2();
	tell("barrier=50");
	for (int i = 0; i < N; i++)
		start(i, i % 2 == 0 ? "GET" : "POST");
	finish_all();
	look(&state);
	ck_assert_int_eq(number(&state, "/peak"), N);
	ck_assert_int_eq(number(&state, "/connections"), 0);
	for (int i = 0; i < N; i++) {
		check_answer(&all[i]);
		ck_assert_int_eq(heard(&state, &all[i]), 1);
	}
	end_http2();
}
END_TEST

/* Those that the server took are answered; the others are asked again on a new connection. */
START_TEST(goaway_loses_no_read)
{
	am_auto(am_buf_fini) struct am_buf state = {0};

	begin_http2();
	tell("barrier=19&goaway=20");
	for (int i = 0; i < N; i++)
		start(i, "GET");
	finish_all();
	look(&state);
	ck_assert_int_ge(number(&state, "/connections"), 1);
	for (int i = 0; i < N; i++) {
		check_answer(&all[i]);
		ck_assert_int_eq(heard(&state, &all[i]), 1);
	}
	end_http2();
}
END_TEST

/* A write that was refused may fail, so that whoever asked decides; it never arrives twice, and is never said to have failed when
 * the server has answered it. */
START_TEST(goaway_repeats_no_write)
{
	am_auto(am_buf_fini) struct am_buf state = {0};
	int good = 0;

	begin_http2();
	tell("barrier=19&goaway=20");
	for (int i = 0; i < N; i++)
		start(i, "POST");
	finish_all();
	look(&state);
	ck_assert_int_ge(number(&state, "/connections"), 1);
	for (int i = 0; i < N; i++) {
		if (all[i].rc == 0)
			check_answer(&all[i]);
		else
			ck_assert_msg(all[i].rc == -AMBIENT_E_UNAVAILABLE, "%s", all[i].err.message);
		ck_assert_int_eq(heard(&state, &all[i]), all[i].rc == 0);
		good += all[i].rc == 0;
	}
	ck_assert_int_ge(good, FORWARD - 1);
	end_http2();
}
END_TEST

/* One stream of fifty: its read is asked again, and no other notices. */
START_TEST(a_read_that_is_reset_is_asked_again)
{
	am_auto(am_buf_fini) struct am_buf state = {0};
	int twice = 0;

	begin_http2();
	tell("barrier=49&reset=1");
	for (int i = 0; i < N; i++)
		start(i, "GET");
	finish_all();
	look(&state);
	ck_assert_int_eq(number(&state, "/connections"), 0);
	for (int i = 0; i < N; i++) {
		check_answer(&all[i]);
		ck_assert_int_ge(heard(&state, &all[i]), 1);
		ck_assert_int_le(heard(&state, &all[i]), 2);
		twice += heard(&state, &all[i]) == 2;
	}
	ck_assert_int_eq(twice, 1);
	end_http2();
}
END_TEST

START_TEST(a_write_that_is_reset_is_an_error)
{
	am_auto(am_buf_fini) struct am_buf state = {0};
	am_auto(am_buf_fini) struct am_buf answer = {0};
	struct one one = {.method = "POST", .path = "/one"};
	struct ambient_error err;

	begin_http2();
	tell("reset=1");
	ck_assert_int_eq(ask("POST", "/one", "{}", &answer, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(err.sys_errno, ECONNRESET);
	ck_assert_msg(strstr(err.message, "POST ") != NULL, "%s", err.message);
	look(&state);
	ck_assert_int_eq(heard(&state, &one), 1);
	ck_assert_int_eq(number(&state, "/connections"), 0);
	end_http2();
}
END_TEST

/* ---- a watch */

struct watcher {
	struct am_transfer *transfer;
	struct am_buf text; /* the I/O thread's until it is over */
	_Atomic int lines;
	_Atomic bool over;
};

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err am_unused_)
{
	struct watcher *watcher = arg;

	am_buf_add(&watcher->text, p, n);
	for (size_t i = 0; i < n; i++)
		watcher->lines += p[i] == '\n';
	return 0;
}

static void
on_done(void *arg, const struct ambient_error *err am_unused_)
{
	((struct watcher *)arg)->over = true;
}

static void
start_watch(void *arg)
{
	static const struct am_http_req req = {.method = "GET", .path = "/watch", .watch = true};
	struct watcher *watcher = arg;
	const struct am_http_sink sink = {.data = on_data, .done = on_done, .arg = watcher};

	watcher->transfer = am_io_start(am_kube_io(kube), &req, &sink);
}

static void
end_watch(void *arg)
{
	am_io_cancel(am_kube_io(kube), ((struct watcher *)arg)->transfer);
}

/* Check's limit ends it if they do not come. */
static void
await_lines(const struct watcher *watcher, int n)
{
	while (watcher->lines < n && !watcher->over)
		(void)usleep(1000);
	ck_assert(!watcher->over);
}

/* It has a connection of its own, of HTTP/1.1, and hears of each request while they share theirs. */
START_TEST(a_watch_beside_fifty_requests)
{
	am_auto(am_buf_fini) struct am_buf state = {0};
	struct watcher watcher = {0};

	begin_http2();
	tell("barrier=50");
	am_io_post(am_kube_io(kube), start_watch, &watcher);
	await_lines(&watcher, 1);
	for (int i = 0; i < N; i++)
		start(i, "POST");
	finish_all();
	await_lines(&watcher, 1 + N);
	look(&state);
	ck_assert_int_eq(number(&state, "/peak"), N);
	ck_assert_int_eq(number(&state, "/connections"), 0);
	for (int i = 0; i < N; i++)
		check_answer(&all[i]);
	am_io_post(am_kube_io(kube), end_watch, &watcher);
	while (!watcher.over)
		(void)usleep(1000);
	ck_assert_int_eq(watcher.lines, 1 + N);
	ck_assert_int_eq(strncmp(am_buf_str(&watcher.text), "{\"protocol\":\"HTTP/1.1\"}\n", 24), 0);
	am_buf_fini(&watcher.text);
	end_http2();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, fifty_requests_share_a_connection);
	tcase_add_test(tc, goaway_loses_no_read);
	tcase_add_test(tc, goaway_repeats_no_write);
	tcase_add_test(tc, a_read_that_is_reset_is_asked_again);
	tcase_add_test(tc, a_write_that_is_reset_is_an_error);
	tcase_add_test(tc, a_watch_beside_fifty_requests);
}

UNIT_MAIN("http2", cases)
