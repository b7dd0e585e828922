/* SPDX-License-Identifier: Apache-2.0 */
/* core/http over real loopback sockets: limits, framing, streams, pipes, TLS with client certificates, stop. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/lock.h"
#include "core/http/http.h"
#include "tests/lib/unit.h"

struct feed {
	struct am_lock lock;
	struct am_http_request *request;
	int left;         /* messages that may go out */
	bool end;
	atomic_int pulls, dones;
	int64_t wake_in;
};

static struct feed feed;
static atomic_int writes_failed, entered;
static atomic_bool hold;

static ssize_t
feed_pull(void *arg, char *buf, size_t max, int64_t *wake_at)
{
	struct feed *f = arg;
	ssize_t n = 0;

	atomic_fetch_add(&f->pulls, 1);
	am_lock(&f->lock);
	if (f->left > 0) {
		f->left--;
		ck_assert(max >= 6);
		memcpy(buf, "hello\n", 6);
		n = 6;
	} else if (f->end) {
		n = AM_HTTP_END;
	} else if (f->wake_in > 0) {
		*wake_at = am_clock_boot(am_clock_real()) + f->wake_in;
		f->wake_in = 0;
		f->left = 1;
	}
	am_unlock(&f->lock);
	return n;
}

static void
feed_done(void *arg)
{
	struct feed *f = arg;

	am_lock(&f->lock);
	f->request = NULL;
	am_unlock(&f->lock);
	atomic_fetch_add(&f->dones, 1);
}

static void
feed_stop(void *arg)
{
	struct feed *f = arg;

	am_lock(&f->lock);
	f->end = true;
	am_unlock(&f->lock);
}

/* What an observer was told, and the peer's address and headers. */
static struct {
	atomic_int whole, streams, ends, status, headers;
	char address[64];
} seen;

static void
on_moment(void *arg, int status, const struct am_buf *body)
{
	ck_assert_ptr_eq(arg, &seen);
	if (status != 0)
		atomic_store(&seen.status, status);
	atomic_fetch_add(status == 0 ? &seen.ends : body != NULL ? &seen.whole : &seen.streams, 1);
	if (body != NULL && status == 200)
		ck_assert_ptr_nonnull(strstr(am_buf_str(body), "q=looked"));
}

static bool
on_header(void *arg, const char *rest, const char *value)
{
	ck_assert_str_eq(value, "v");
	ck_assert(strcmp(rest, "One") == 0 || strcmp(rest, "two") == 0);
	atomic_fetch_add((atomic_int *)arg, 1);
	return true;
}

static void
look_on(struct am_http_request *r)
{
	am_http_observe(r, on_moment, &seen);
	am_http_address(r, seen.address);
	am_http_headers_of(r, "X-Observe-", on_header, &seen.headers);
}

static void
handler(void *self am_unused_, struct am_http_request *r)
{
	const char *path = am_http_path(r);
	struct am_buf body = { 0 };

	if (am_http_header(r, "X-Observe") != NULL)
		look_on(r);

	if (strcmp(path, "/echo") == 0) {
		struct am_slice in = am_http_body(r);
		const char *q = am_http_query(r, "q");

		am_http_set_header(r, "X-Line", "a\r\nEvil: b");
		am_buf_addf(&body, "%s q=%s n=%zu ", am_http_method(r), q != NULL ? q : "-", in.n);
		am_buf_add(&body, in.p, AM_MIN(in.n, 64));
		am_http_answer(r, 200, "text/plain", &body);
	} else if (strcmp(path, "/feed") == 0) {
		struct am_http_source source = { feed_pull, feed_done, &feed, am_http_query(r, "cut") != NULL ? NULL : feed_stop };

		am_lock(&feed.lock);
		feed.request = r;
		am_unlock(&feed.lock);
		am_http_stream(r, 200, "text/plain", &source);
	} else if (strcmp(path, "/flood") == 0) {
		static char block[32768];

		am_http_begin(r, 200, "application/octet-stream");
		for (int i = 0; i < 100000; i++)
			if (am_http_write(r, block, sizeof(block)) < 0) {
				atomic_fetch_add(&writes_failed, 1);
				break;
			}
		am_http_end(r);
	} else if (strcmp(path, "/big") == 0) {
		am_http_begin(r, 200, "text/plain");
		for (int i = 0; i < 1000; i++) {
			char line[1025];

			memset(line, 'a' + i % 26, 1024);
			ck_assert_int_eq(am_http_write(r, line, 1024), 0);
		}
		am_http_end(r);
	} else if (strcmp(path, "/who") == 0) {
		const struct am_http_peer *peer = am_http_peer(r);

		am_buf_addf(&body, "%d %s %s", peer->state, peer->cn != NULL ? peer->cn : "-",
			    peer->orgs != NULL && peer->orgs[0] != NULL ? peer->orgs[0] : "-");
		am_http_answer(r, 200, "text/plain", &body);
	} else if (strcmp(path, "/hold") == 0) {
		atomic_fetch_add(&entered, 1);
		while (atomic_load(&hold))
			poll(NULL, 0, 5);
		am_http_answer(r, 204, NULL, NULL);
	} else if (strcmp(path, "/nothing") != 0) {
		am_http_answer_text(r, 404, "text/plain", "404 page not found");
	}
}

static struct am_httpd *
start(struct am_httpd_options *o)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_httpd *httpd = NULL;

	memset(&feed, 0, sizeof(feed));
	am_lock_init(&feed.lock, "feed");
	atomic_store(&hold, false);
	o->name = "test";
	o->handler = handler;
	int rc = am_httpd_start(o, &httpd, &err);
	ck_assert_msg(rc == 0, "%s", err.message);
	ck_assert_uint_ne(am_httpd_port(httpd), 0);
	return httpd;
}

static int
dial(struct am_httpd *httpd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(am_httpd_port(httpd)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static void
say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until `until` is seen, the peer closes, or 10 s pass. */
static const char *
hear(int fd, const char *until)
{
	static char buf[65536];
	size_t n = 0;

	buf[0] = '\0';
	for (int i = 0; i < 10000 && n < sizeof(buf) - 1; i++) {
		struct pollfd p = { fd, POLLIN, 0 };

		if (poll(&p, 1, 10000) <= 0)
			break;
		ssize_t k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);
		if (k <= 0)
			break;
		n += (size_t)k;
		buf[n] = '\0';
		if (until != NULL && strstr(buf, until) != NULL)
			break;
	}
	return buf;
}

static const char *
ask(struct am_httpd *httpd, const char *text)
{
	int fd = dial(httpd);

	say(fd, text);
	const char *ret = hear(fd, NULL);
	close(fd);
	return ret;
}

static void
wait_for(atomic_int *n, int at_least)
{
	for (int i = 0; i < 4000 && atomic_load(n) < at_least; i++)
		poll(NULL, 0, 5);
	ck_assert_int_ge(atomic_load(n), at_least);
}

START_TEST(answers_whole)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	const char *a = ask(h, "POST /ec%68o?p=1&q=a%20b%2Fc+d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			       "Content-Length: 5\r\n\r\nhello");

	ck_assert_msg(strstr(a, "HTTP/1.1 200 OK\r\n") == a, "%s", a);
	ck_assert_ptr_nonnull(strstr(a, "POST q=a b/c d n=5 hello"));
	ck_assert_ptr_null(strstr(a, "\nEvil:"));
	ck_assert_ptr_nonnull(strstr(ask(h, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 404 "));
	ck_assert_ptr_nonnull(strstr(ask(h, "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 500 "));
	/* Two on one connection. */
	int fd = dial(h);
	say(fd, "GET /echo?q=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, "n=0 "), "q=1"));
	say(fd, "GET /echo?q=2 HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, "n=0 "), "q=2"));
	close(fd);
	am_httpd_stop(h);
}
END_TEST

/* An observer is told of every way to answer, and when the request is over. */
START_TEST(observers_see_every_answer)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd;

	ck_assert_ptr_nonnull(strstr(ask(h, "GET /echo?q=looked HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Observe: 1\r\n"
					    "X-Observe-One: v\r\nx-observe-two: v\r\n\r\n"), "q=looked"));
	wait_for(&seen.ends, 1);
	ck_assert_int_eq(atomic_load(&seen.whole), 1);
	ck_assert_int_eq(atomic_load(&seen.status), 200);
	ck_assert_int_eq(atomic_load(&seen.headers), 2);
	ck_assert_str_eq(seen.address, "127.0.0.1");
	/* Also of the answer that the listener gives for a handler that gave none. */
	ck_assert_ptr_nonnull(strstr(ask(h, "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Observe: 1\r\n\r\n"), " 500 "));
	wait_for(&seen.ends, 2);
	ck_assert_int_eq(atomic_load(&seen.whole), 2);
	ck_assert_int_eq(atomic_load(&seen.status), 500);
	fd = dial(h);
	say(fd, "GET /feed HTTP/1.1\r\nHost: x\r\nX-Observe: 1\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, "\r\n\r\n"), "200 OK"));
	wait_for(&seen.streams, 1);
	ck_assert_int_eq(atomic_load(&seen.ends), 2);
	close(fd);
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&seen.ends), 3);
}
END_TEST

/* A body over the limit is answered 413, whether its length is told or not, also while the peer still sends. */
START_TEST(limits_bodies)
{
	struct am_httpd_options o = { .body_max = 1000 };
	struct am_httpd *h = start(&o);
	static char big[200000];
	int fd = dial(h);

	memset(big, 'x', sizeof(big) - 1);
	say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 199999\r\n\r\n");
	say(fd, big);
	ck_assert_ptr_nonnull(strstr(hear(fd, "large"), " 413 "));
	close(fd);
	fd = dial(h);
	say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n30d3f\r\n");
	say(fd, big);
	say(fd, "\r\n0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, "large"), " 413 "));
	close(fd);
	ck_assert_ptr_nonnull(strstr(ask(h, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
				     " 413 "));
	/* A head over the limit. */
	fd = dial(h);
	say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nX: ");
	(void)!send(fd, big, sizeof(big) - 1, MSG_NOSIGNAL);
	const char *a = hear(fd, "\r\n\r\n");
	ck_assert_msg(a[0] == '\0' || strstr(a, " 431 ") != NULL, "%s", a);
	close(fd);
	am_httpd_stop(h);
}
END_TEST

START_TEST(refuses_ambiguous_framing)
{
	static const char *const pairs[] = {
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
		"Content-Length: 5\r\nContent-Length: 6\r\n",
		"Content-Length: 5\r\nContent-Length: 5\r\n",
		"Content-Length: +5\r\n",
		"Content-Length: 5, 5\r\n",
		"Content-Length : 5\r\n",
		"Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
		"Transfer-Encoding: chunked, gzip\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Host: y\r\n",
		/* Folded: the library puts the second line behind the name of the first. */
		"Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n",
		"Transfer-Encoding: \r\n\tchunked\r\n",
		"Content-Length: 5\r\n 6\r\n",
		"Impersonate-User:\r\n jane\r\n",
		"X Y: 1\r\n",
	};
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);

	for (size_t i = 0; i < AM_COUNTOF(pairs); i++) {
		char text[512];

		snprintf(text, sizeof(text),
			 "POST /echo HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nGET /echo?q=smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
			 pairs[i]);
		const char *a = ask(h, text);
		ck_assert_msg(strstr(a, " 400 ") != NULL || a[0] == '\0', "%s: %s", pairs[i], a);
		ck_assert_msg(strstr(a, "smuggled") == NULL, "%s: %s", pairs[i], a);
	}
	am_httpd_stop(h);
}
END_TEST

START_TEST(whole_urls_are_targets_too)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);

	ck_assert(strstr(ask(h, "GET http://elsewhere:1/echo?q=whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "whole") != NULL);
	ck_assert(strstr(ask(h, "GET HTTPS://elsewhere/echo?q=whole HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "whole") != NULL);
	ck_assert(strstr(ask(h, "GET elsewhere:443 HTTP/1.1\r\nHost: x\r\n\r\n"), " 400 ") != NULL);
	ck_assert(strstr(ask(h, "GET echo HTTP/1.1\r\nHost: x\r\n\r\n"), " 400 ") != NULL);
	am_httpd_stop(h);
}
END_TEST

START_TEST(control_characters_in_the_target)
{
	static const char nul[] = "GET /echo?q=\0x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = dial(h);

	ck_assert_int_eq(send(fd, nul, sizeof(nul) - 1, MSG_NOSIGNAL), sizeof(nul) - 1);
	const char *a = hear(fd, NULL); /* libmicrohttpd 1.0 closes by itself, without a word */
	ck_assert_msg(strstr(a, " 400 ") != NULL || a[0] == '\0', "%s", a);
	close(fd);
	ck_assert(strstr(ask(h, "GET /echo?q=\x01 HTTP/1.1\r\nHost: x\r\n\r\n"), " 400 ") != NULL);
	ck_assert(strstr(ask(h, "GET /echo?q=whole HTTP/1.0\r\nHost: x\r\n\r\n"), "whole") != NULL);
	am_httpd_stop(h);
}
END_TEST

START_TEST(slow_peer_is_closed)
{
	struct am_httpd_options o = { .idle_ns = AM_NS_PER_S };
	struct am_httpd *h = start(&o);
	int fd = dial(h);

	say(fd, "GET /echo HTTP/1.1\r\nHo");
	ck_assert_str_eq(hear(fd, NULL), "");
	close(fd);
	am_httpd_stop(h);
}
END_TEST

START_TEST(full_queue_is_429)
{
	struct am_httpd_options o = { .threads = 1, .queue_max = 1 };
	struct am_httpd *h = start(&o);
	int a = dial(h), b = dial(h), c = dial(h);
	const char *text = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";

	atomic_store(&entered, 0);
	atomic_store(&hold, true);
	say(a, text);
	wait_for(&entered, 1);
	say(b, text);
	poll(NULL, 0, 50);
	say(c, text);
	const char *r = hear(c, "\r\n\r\n");
	ck_assert_msg(strstr(r, " 429 ") != NULL && strstr(r, "Retry-After: 1") != NULL, "%s", r);
	atomic_store(&hold, false);
	ck_assert_ptr_nonnull(strstr(hear(a, "\r\n\r\n"), " 204 "));
	ck_assert_ptr_nonnull(strstr(hear(b, "\r\n\r\n"), " 204 "));
	close(a);
	close(b);
	close(c);
	am_httpd_stop(h);
}
END_TEST

static void
resume(struct am_http_request *r)
{
	am_http_note(r);
	am_http_note(r); /* twice is once */
	am_http_resume_noted(am_http_listener(r));
}

START_TEST(stream_waits_and_wakes)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = dial(h);

	say(fd, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n");
	/* The head comes before anything is there to send. */
	ck_assert_ptr_nonnull(strstr(hear(fd, "\r\n\r\n"), "200 OK"));
	for (int i = 0; i < 50; i++) {
		am_lock(&feed.lock);
		feed.left = 1;
		resume(feed.request);
		am_unlock(&feed.lock);
		ck_assert_ptr_nonnull(strstr(hear(fd, "hello\n\r\n"), "hello"));
	}
	/* A wish to be woken by time. */
	am_lock(&feed.lock);
	feed.wake_in = 20 * AM_NS_PER_MS;
	resume(feed.request);
	am_unlock(&feed.lock);
	ck_assert_ptr_nonnull(strstr(hear(fd, "hello\n\r\n"), "hello"));
	ck_assert_int_lt(atomic_load(&feed.pulls), 400); /* it does not spin */
	am_lock(&feed.lock);
	feed.end = true;
	resume(feed.request);
	am_unlock(&feed.lock);
	ck_assert_ptr_nonnull(strstr(hear(fd, "0\r\n\r\n"), "0\r\n\r\n"));
	wait_for(&feed.dones, 1);
	/* The connection lives on. */
	say(fd, "GET /echo?q=after HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(hear(fd, "n=0 "), "q=after"));
	close(fd);
	ck_assert_int_eq(am_httpd_streams(h), 0);
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&feed.dones), 1);
}
END_TEST

/* Nobody writes to it, yet a heartbeat notices that the peer has left. */
START_TEST(heartbeat_notices_gone_peer)
{
	struct am_clock *clock = am_clock_fake_new();
	struct am_httpd_options o = { .clock = clock };
	struct am_httpd *h = start(&o);
	int fd = dial(h);

	say(fd, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, "\r\n\r\n");
	wait_for(&feed.pulls, 1);
	close(fd);
	for (int i = 0; i < 200 && atomic_load(&feed.dones) == 0; i++) {
		am_clock_fake_advance(clock, 16 * AM_NS_PER_S);
		poll(NULL, 0, 10);
	}
	ck_assert_int_eq(atomic_load(&feed.dones), 1);
	am_httpd_stop(h);
	am_clock_fake_free(clock);
}
END_TEST

/* Woken all the time, with nothing to be sent, as a watch that selects one of many objects is. */
START_TEST(heartbeat_is_not_put_off)
{
	struct am_clock *clock = am_clock_fake_new();
	struct am_httpd_options o = { .clock = clock };
	struct am_httpd *h = start(&o);
	int fd = dial(h), pulls = 1;

	say(fd, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, "\r\n\r\n");
	wait_for(&feed.pulls, pulls);
	/* Who is there is not woken to be asked. */
	for (int i = 0; i < 30; i++) {
		am_clock_fake_advance(clock, AM_NS_PER_S);
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(atomic_load(&feed.pulls), pulls);
	close(fd);
	for (int i = 0; i < 30 && atomic_load(&feed.dones) == 0; i++) {
		am_clock_fake_advance(clock, AM_NS_PER_S);
		am_lock(&feed.lock);
		if (feed.request != NULL)
			resume(feed.request);
		am_unlock(&feed.lock);
		for (int k = 0; k < 200 && atomic_load(&feed.pulls) == pulls && atomic_load(&feed.dones) == 0; k++)
			poll(NULL, 0, 5);
		pulls = atomic_load(&feed.pulls);
	}
	ck_assert_int_eq(atomic_load(&feed.dones), 1);
	am_httpd_stop(h);
	am_clock_fake_free(clock);
}
END_TEST

START_TEST(stop_ends_streams_cleanly)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = dial(h);

	say(fd, "GET /feed HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, "\r\n\r\n");
	wait_for(&feed.pulls, 1);
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&feed.dones), 1);
	ck_assert_ptr_nonnull(strstr(hear(fd, "0\r\n\r\n"), "0\r\n\r\n"));
	close(fd);
}
END_TEST

/* Whoever serves what has an end, a file, must not let a part of it look whole. */
START_TEST(stop_cuts_off_a_source_that_cannot_finish)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = dial(h);
	char buf[256];
	size_t got = 0;

	say(fd, "GET /feed?cut=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(fd, "\r\n\r\n");
	wait_for(&feed.pulls, 1);
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&feed.dones), 1);
	for (ssize_t n; got < sizeof(buf) - 1 && (n = recv(fd, buf + got, sizeof(buf) - 1 - got, 0)) > 0;)
		got += (size_t)n;
	buf[got] = '\0';
	ck_assert_ptr_null(strstr(buf, "0\r\n\r\n"));
	close(fd);
}
END_TEST

START_TEST(pipe_carries_and_notices)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = dial(h), slow = dial(h);
	size_t got = 0;
	char buf[8192];

	say(fd, "GET /big HTTP/1.0\r\n\r\n");
	for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) > 0;)
		got += (size_t)n;
	ck_assert_uint_gt(got, 1024 * 1000);
	close(fd);
	/* A peer that does not read blocks its own writer only; when it goes, the writer is told. */
	atomic_store(&writes_failed, 0);
	say(slow, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(ask(h, "GET /echo?q=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "q=1"));
	close(slow);
	wait_for(&writes_failed, 1);
	/* And so is one whose listener stops. */
	slow = dial(h);
	say(slow, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(slow, "\r\n\r\n");
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&writes_failed), 2);
	close(slow);
}
END_TEST

START_TEST(port_in_use_is_said)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o), *other = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	o.port = am_httpd_port(h);
	ck_assert_int_eq(am_httpd_start(&o, &other, &err), -AMBIENT_E_EXISTS);
	ck_assert_ptr_nonnull(strstr(err.message, "in use"));
	o.address = "localhost";
	ck_assert_int_eq(am_httpd_start(&o, &other, &err), -AMBIENT_E_INVALID);
	am_httpd_stop(h);
}
END_TEST

/* ---- TLS */

static size_t
collect(char *p, size_t size, size_t n, void *arg)
{
	am_buf_add(arg, p, size * n);
	return size * n;
}

static void
set_blob(CURL *curl, CURLoption option, const char *pem)
{
	struct curl_blob blob = { (void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY };

	curl_easy_setopt(curl, option, &blob);
}

static CURLcode
fetch(struct am_httpd *h, const char *path, const char *ca, const char *cert, const char *key, struct am_buf *out)
{
	CURL *curl = curl_easy_init();
	char url[128];

	snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", am_httpd_port(h), path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	set_blob(curl, CURLOPT_CAINFO_BLOB, ca);
	if (cert != NULL) {
		set_blob(curl, CURLOPT_SSLCERT_BLOB, cert);
		set_blob(curl, CURLOPT_SSLKEY_BLOB, key);
	}
	CURLcode rc = curl_easy_perform(curl);
	curl_easy_cleanup(curl);
	return rc;
}

START_TEST(client_certificates)
{
	static const char *const ips[] = { "127.0.0.1", NULL };
	static const char *const orgs[] = { "system:masters", "other", NULL };
	struct am_cert_spec ca_spec = { .cn = "ca", .ca = true };
	struct am_cert_spec server_spec = { .cn = "server", .ips = ips, .server = true };
	struct am_cert_spec client_spec = { .cn = "system:ambient:host", .orgs = orgs, .client = true };
	int64_t now = am_clock_wall(am_clock_real());
	struct am_cert_spec old_spec = { .cn = "old", .client = true, .not_before = now - 7200 * AM_NS_PER_S,
					 .not_after = now - 3600 * AM_NS_PER_S };
	struct am_buf ca = { 0 }, ca_key = { 0 }, cert = { 0 }, key = { 0 }, out = { 0 };
	struct am_buf other_ca = { 0 }, other_key = { 0 };
	struct am_buf c[4] = { { 0 } }, k[4] = { { 0 } };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t expiry;

	ck_assert_int_eq(am_cert_make(&ca_spec, NULL, NULL, &ca, &ca_key, &err), 0);
	ca_spec.cn = "ca2";
	ck_assert_int_eq(am_cert_make(&ca_spec, NULL, NULL, &other_ca, &other_key, &err), 0);
	ck_assert_int_eq(am_cert_make(&server_spec, ca.data, ca_key.data, &cert, &key, &err), 0);
	ck_assert_int_eq(am_cert_make(&client_spec, ca.data, ca_key.data, &c[0], &k[0], &err), 0);
	ck_assert_int_eq(am_cert_make(&old_spec, ca.data, ca_key.data, &c[1], &k[1], &err), 0);
	ck_assert_int_eq(am_cert_make(&client_spec, other_ca.data, other_key.data, &c[2], &k[2], &err), 0);
	ck_assert_int_eq(am_cert_make(&server_spec, ca.data, ca_key.data, &c[3], &k[3], &err), 0);
	ck_assert(am_cert_matches(cert.data, key.data, ca.data));
	ck_assert(!am_cert_matches(cert.data, k[0].data, ca.data));
	ck_assert(!am_cert_matches(cert.data, key.data, other_ca.data));
	ck_assert_int_eq(am_cert_expiry(c[1].data, &expiry, &err), 0);
	ck_assert_int_lt(expiry, now);

	struct am_httpd_options o = { .cert_pem = cert.data, .key_pem = key.data, .client_ca_pem = ca.data };
	struct am_httpd *h = start(&o);

	ck_assert_int_eq(fetch(h, "/who", ca.data, NULL, NULL, &out), CURLE_OK);
	ck_assert_str_eq(am_buf_str(&out), "0 - -");
	am_buf_reset(&out);
	ck_assert_int_eq(fetch(h, "/who", ca.data, c[0].data, k[0].data, &out), CURLE_OK);
	ck_assert_str_eq(am_buf_str(&out), "1 system:ambient:host system:masters");
	am_buf_reset(&out);
	/* Expired, of another CA, not for clients: shown, and refused. */
	for (int i = 1; i < 4; i++) {
		CURLcode rc = fetch(h, "/who", ca.data, c[i].data, k[i].data, &out);

		ck_assert_msg(rc == CURLE_OK && strncmp(am_buf_str(&out), "2 - -", 5) == 0, "%d: %d %s", i, rc,
			      am_buf_str(&out));
		am_buf_reset(&out);
	}
	ck_assert_int_ne(fetch(h, "/who", other_ca.data, NULL, NULL, &out), CURLE_OK);
	am_buf_reset(&out);
	/* Bytes survive TLS in a stream. */
	ck_assert_int_eq(fetch(h, "/big", ca.data, NULL, NULL, &out), CURLE_OK);
	ck_assert_uint_eq(out.len, 1024 * 1000);
	am_httpd_stop(h);
	struct am_buf *all[] = { &ca, &ca_key, &cert, &key, &out, &other_ca, &other_key, &c[0], &c[1], &c[2], &c[3],
				 &k[0], &k[1], &k[2], &k[3] };

	for (size_t i = 0; i < AM_COUNTOF(all); i++)
		am_buf_fini(all[i]);
}
END_TEST

static void
plugin_handler(void *self am_unused_, struct ambient_http_request *r)
{
	const char *q = am_http_plugin_api.query(r, "q");

	if (q == NULL)
		return;
	am_http_plugin_api.begin(r, 201, "text/plain");
	am_http_plugin_api.write(r, q, strlen(q));
	am_http_plugin_api.write(r, am_http_plugin_api.peer_name(r) == NULL ? "!" : "?", 1);
}

START_TEST(plugin_table)
{
	struct ambient_http_listen o = { .size = sizeof(o), .address = "127.0.0.1", .self_signed = 1 };
	struct ambient_http_listener *listener = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf out = { 0 };
	CURL *curl = curl_easy_init();
	char url[128];
	long status = 0;

	ck_assert_int_eq(am_http_plugin_api.listen(NULL, &o, plugin_handler, NULL, &listener, &err), 0);
	for (int i = 0; i < 2; i++) {
		snprintf(url, sizeof(url), "https://127.0.0.1:%u/x%s", am_http_plugin_api.port(listener),
			 i == 0 ? "?q=hi%20you" : "");
		curl_easy_setopt(curl, CURLOPT_URL, url);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out);
		ck_assert_int_eq(curl_easy_perform(curl), CURLE_OK);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		ck_assert_int_eq(status, i == 0 ? 201 : 500);
	}
	ck_assert_int_eq(strncmp(am_buf_str(&out), "hi you!", 7), 0);
	curl_easy_cleanup(curl);
	am_http_plugin_api.close(listener);
	am_buf_fini(&out);
}
END_TEST

START_TEST(unescapes_strictly)
{
	struct am_buf b = { 0 };

	ck_assert(am_http_unescape(am_slice_of("a%2Fb+c"), false, &b));
	ck_assert_str_eq(b.data, "a/b+c");
	ck_assert(!am_http_unescape(am_slice_of("a%2"), false, &b));
	ck_assert(!am_http_unescape(am_slice_of("%"), false, &b));
	ck_assert(!am_http_unescape(am_slice_of("%zz"), false, &b));
	ck_assert(!am_http_unescape(am_slice_of("%00"), false, &b));
	am_buf_fini(&b);
}
END_TEST

static void
cases(TCase *tc)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	tcase_add_test(tc, answers_whole);
	tcase_add_test(tc, observers_see_every_answer);
	tcase_add_test(tc, limits_bodies);
	tcase_add_test(tc, refuses_ambiguous_framing);
	tcase_add_test(tc, whole_urls_are_targets_too);
	tcase_add_test(tc, control_characters_in_the_target);
	tcase_add_test(tc, slow_peer_is_closed);
	tcase_add_test(tc, full_queue_is_429);
	tcase_add_test(tc, stream_waits_and_wakes);
	tcase_add_test(tc, heartbeat_notices_gone_peer);
	tcase_add_test(tc, heartbeat_is_not_put_off);
	tcase_add_test(tc, stop_ends_streams_cleanly);
	tcase_add_test(tc, stop_cuts_off_a_source_that_cannot_finish);
	tcase_add_test(tc, pipe_carries_and_notices);
	tcase_add_test(tc, port_in_use_is_said);
	tcase_add_test(tc, client_certificates);
	tcase_add_test(tc, plugin_table);
	tcase_add_test(tc, unescapes_strictly);
}

UNIT_MAIN("http", cases)
