/* SPDX-License-Identifier: Apache-2.0 */
/* core/http's tunnels and WebSockets over real loopback sockets, plain and under TLS: handshake, frames good and bad,
 * limits, back-pressure, heartbeat by a fake clock, close, stop. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/lock.h"
#include "core/base/mem.h"
#include "core/http/http.h"
#include "tests/lib/unit.h"

#define KEY   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HELLO "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" \
	      "Sec-WebSocket-Version: 13\r\n" KEY "Sec-WebSocket-Protocol: v9, two\r\n\r\n"

static atomic_int begun, ended, lost;
static atomic_size_t taken;
static atomic_bool hold;
static atomic_int last_rc;

/* How many messages much is: more than fits anywhere. */
static int
flood(void)
{
	return unit_rounds(4096);
}

/* Sends every message back as binary behind a mark; "flood" makes it send much, "bye" makes it close. */
static void
serve(void *arg am_unused_, struct am_ws *ws)
{
	struct am_ws_message m;
	int rc;

	if (ws == NULL) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	atomic_fetch_add(&begun, 1);
	while ((rc = am_ws_wait(ws, NULL, 0, atomic_load(&hold) ? 5 : 20, !atomic_load(&hold), &m)) >= 0) {
		if (rc == 0)
			continue;
		atomic_fetch_add(&taken, m.len);
		if (m.text && m.len == 5 && memcmp(m.data, "flood", 5) == 0) {
			static char block[16384];

			for (int i = 0; i < flood(); i++) {
				if (am_ws_send(ws, false, "f", 1, block, sizeof(block)) < 0)
					break;
				ck_assert_uint_le(am_ws_queued(ws), 2 * sizeof(block) + 64);
				while (am_ws_queued(ws) > sizeof(block) && am_ws_wait(ws, NULL, 0, 100, false, &m) >= 0)
					;
			}
		} else if (m.text && m.len == 3 && memcmp(m.data, "bye", 3) == 0) {
			am_ws_close(ws, 4001, "as you wish");
			break;
		} else if (m.len < 100) {
			ck_assert_int_eq(am_ws_send(ws, m.text, m.text ? "t" : "b", 1, m.data, m.len), 0);
		}
	}
	atomic_store(&last_rc, rc);
	atomic_fetch_add(&ended, 1);
}

static void
handler(void *self am_unused_, struct am_http_request *r)
{
	static const char *const protocols[] = { "one", "two", NULL };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (am_ws_accept(r, protocols, serve, NULL, &err) < 0)
		am_http_answer_text(r, err.code == AMBIENT_E_INVALID ? 400 : 503, "text/plain", err.message);
}

static struct am_httpd *
start(struct am_httpd_options *o)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_httpd *httpd = NULL;

	atomic_store(&begun, 0);
	atomic_store(&ended, 0);
	atomic_store(&lost, 0);
	atomic_store(&taken, 0);
	atomic_store(&hold, false);
	o->name = "test";
	o->handler = handler;
	int rc = am_httpd_start(o, &httpd, &err);
	ck_assert_msg(rc == 0, "%s", err.message);
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
put(int fd, const void *p, size_t n)
{
	ck_assert_int_eq(send(fd, p, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Exactly n bytes, or fewer when the peer ends. */
static size_t
get(int fd, void *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		struct pollfd poll_fd = { fd, POLLIN, 0 };
		ssize_t k;

		if (poll(&poll_fd, 1, 20000) <= 0 || (k = recv(fd, (char *)p + have, n - have, 0)) <= 0)
			break;
		have += (size_t)k;
	}
	return have;
}

static const char *
head(int fd)
{
	static char buf[4096];
	size_t n = 0;

	while (n < sizeof(buf) - 1 && get(fd, buf + n, 1) == 1) {
		buf[++n] = '\0';
		if (n >= 4 && memcmp(buf + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	return buf;
}

static int
shake(struct am_httpd *httpd)
{
	int fd = dial(httpd);

	put(fd, HELLO, strlen(HELLO));
	const char *a = head(fd);
	ck_assert_msg(strstr(a, "HTTP/1.1 101 ") == a, "%s", a);
	ck_assert_msg(strstr(a, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL, "%s", a);
	ck_assert_msg(strstr(a, "Sec-WebSocket-Protocol: two\r\n") != NULL, "%s", a);
	ck_assert_msg(strcasestr(a, "Upgrade: websocket\r\n") != NULL && strcasestr(a, "Connection: Upgrade\r\n") != NULL,
		      "%s", a);
	return fd;
}

/* A masked frame; b0: FIN and opcode. */
static size_t
frame(unsigned char *out, unsigned char b0, const void *data, size_t n)
{
	static const unsigned char mask[4] = { 1, 2, 3, 4 };
	size_t at = 0;

	out[at++] = b0;
	if (n < 126) {
		out[at++] = (unsigned char)(0x80 | n);
	} else if (n < 65536) {
		out[at++] = 0x80 | 126;
		out[at++] = (unsigned char)(n >> 8);
		out[at++] = (unsigned char)n;
	} else {
		out[at++] = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			out[at++] = (unsigned char)((uint64_t)n >> (8 * i));
	}
	memcpy(out + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < n; i++)
		out[at++] = ((const unsigned char *)data)[i] ^ mask[i % 4];
	return at;
}

static void
put_frame(int fd, unsigned char b0, const void *data, size_t n)
{
	unsigned char *buf = am_xcalloc(1, n + 16);

	put(fd, buf, frame(buf, b0, data, n));
	free(buf);
}

/* The next frame that is no ping; its opcode, -1 at the end. */
static int
get_frame(int fd, char *data, size_t size, size_t *len)
{
	unsigned char h[10];

	do {
		size_t n, more;

		if (get(fd, h, 2) != 2)
			return -1;
		ck_assert_uint_eq(h[1] & 0x80, 0);
		n = h[1];
		more = n == 126 ? 2 : n == 127 ? 8 : 0;
		ck_assert_uint_eq(get(fd, h + 2, more), more);
		if (more > 0)
			n = 0;
		for (size_t i = 0; i < more; i++)
			n = n << 8 | h[2 + i];
		ck_assert_uint_lt(n, size);
		ck_assert_uint_eq(get(fd, data, n), n);
		data[n] = '\0';
		*len = n;
	} while ((h[0] & 0xf) == 9);
	return h[0] & 0xf;
}

static void
expect(int fd, int opcode, const char *text)
{
	char data[65536];
	size_t n = 0;

	ck_assert_int_eq(get_frame(fd, data, sizeof(data), &n), opcode);
	ck_assert_str_eq(data, text);
}

/* A close frame with that code (0: without), then the end. */
/* The peer's close, and ours in answer. */
static void
answer_close(int fd, int code)
{
	char data[256];
	size_t n = 0;
	unsigned char close_ok[16];

	int opcode = get_frame(fd, data, sizeof(data), &n);

	ck_assert_msg(opcode == 8, "opcode %d instead of a close with %d (%d served)", opcode, code, atomic_load(&begun));
	ck_assert_int_eq(n < 2 ? 0 : (unsigned char)data[0] << 8 | (unsigned char)data[1], code);
	(void)!send(fd, close_ok, frame(close_ok, 0x88, data, n < 2 ? 0 : 2), MSG_NOSIGNAL);
}

static void
expect_end(int fd)
{
	char data[256];
	size_t n = 0;

	ck_assert_int_eq(get_frame(fd, data, sizeof(data), &n), -1);
	close(fd);
}

static void
expect_close(int fd, int code)
{
	answer_close(fd, code);
	expect_end(fd);
}

static void
wait_for(atomic_int *n, int at_least)
{
	for (int i = 0; i < 4000 && atomic_load(n) < at_least; i++)
		poll(NULL, 0, 5);
	ck_assert_int_ge(atomic_load(n), at_least);
}

START_TEST(messages_go_both_ways)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = shake(h);
	unsigned char two[64];

	put_frame(fd, 0x81, "hi", 2);
	expect(fd, 1, "thi");
	put_frame(fd, 0x82, "\xff", 1);
	expect(fd, 2, "b\xff");
	/* In fragments, with a ping between them, byte by byte; then two at once. */
	put_frame(fd, 0x01, "ab", 2);
	put_frame(fd, 0x89, "p", 1);
	unsigned char rest[32];
	size_t n = frame(rest, 0x80, "cd", 2);
	for (size_t i = 0; i < n; i++)
		put(fd, rest + i, 1);
	expect(fd, 10, "p");
	expect(fd, 1, "tabcd");
	n = frame(two, 0x82, "1", 1);
	n += frame(two + n, 0x82, "2", 1);
	put(fd, two, n);
	expect(fd, 2, "b1");
	expect(fd, 2, "b2");
	put_frame(fd, 0x81, "bye", 3);
	expect_close(fd, 4001);
	wait_for(&ended, 1);
	am_httpd_stop(h);
}
END_TEST

START_TEST(handshakes_are_checked)
{
	static const char *const bad[] = {
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: two\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" KEY "Sec-WebSocket-Protocol: two\r\n",
		"Connection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "Sec-WebSocket-Protocol: two\r\n",
		"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nSec-WebSocket-Version: 13\r\n" KEY "Sec-WebSocket-Protocol: two\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "Sec-WebSocket-Protocol: tw\r\n",
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY,
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n"
		"Sec-WebSocket-Protocol: two\r\n",
	};
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);

	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		char text[1024];
		int fd = dial(h);

		snprintf(text, sizeof(text), "GET /ws HTTP/1.1\r\nHost: x\r\n%s\r\n", bad[i]);
		put(fd, text, strlen(text));
		const char *a = head(fd);
		ck_assert_msg(strstr(a, " 400 ") != NULL, "%s: %s", bad[i], a);
		close(fd);
	}
	ck_assert_int_eq(atomic_load(&begun), 0);
	am_httpd_stop(h);
}
END_TEST

START_TEST(bad_frames_are_closed_with_their_code)
{
	static const unsigned char unmasked[] = { 0x81, 0x02, 'h', 'i' };
	static const unsigned char rsv[] = { 0xc1, 0x80, 1, 2, 3, 4 };
	static const unsigned char huge[] = { 0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 'x' };
	static const unsigned char over_long[] = { 0x82, 0xfe, 0, 1, 1, 2, 3, 4, 'x' };
	static const unsigned char big_ping[] = { 0x89, 0xfe, 0, 200, 1, 2, 3, 4 };
	static const unsigned char lone[] = { 0x80, 0x80, 1, 2, 3, 4 };
	static const unsigned char utf8[] = { 0x81, 0x81, 1, 2, 3, 4, 0xff ^ 1 };
	static const struct {
		const unsigned char *p;
		size_t n;
		int code;
	} bad[] = {
		{ unmasked, sizeof(unmasked), 1002 }, { rsv, sizeof(rsv), 1002 },   { huge, sizeof(huge), 1009 },
		{ over_long, sizeof(over_long), 0 }, { big_ping, sizeof(big_ping), 0 }, { lone, sizeof(lone), 1002 },
		{ utf8, sizeof(utf8), 1007 },
	};
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);

	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		int fd = shake(h);

		put(fd, bad[i].p, bad[i].n);
		answer_close(fd, bad[i].code);
		/* Who broke the rules is not understood any more: its answer is waited for until it ends, or for 2 s. */
		if (i > 0)
			shutdown(fd, SHUT_WR);
		expect_end(fd);
	}
	wait_for(&ended, (int)AM_COUNTOF(bad));
	am_httpd_stop(h);
}
END_TEST

/* 64 MiB to a reader that takes its time: serve() itself looks at what is queued. */
START_TEST(a_slow_reader_is_waited_for)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = shake(h);
	char data[65536];
	size_t n = 0, total = 0;

	put_frame(fd, 0x81, "flood", 5);
	poll(NULL, 0, 100);
	for (int i = 0; i < flood(); i++) {
		ck_assert_int_eq(get_frame(fd, data, sizeof(data), &n), 2);
		total += n;
	}
	ck_assert_uint_eq(total, (unsigned)flood() * 16385u);
	put_frame(fd, 0x81, "bye", 3);
	expect_close(fd, 4001);
	am_httpd_stop(h);
}
END_TEST

/* want false: nothing is read, so that the sender's socket fills up. */
START_TEST(a_sender_can_be_held)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int fd = shake(h);
	unsigned char *buf = am_xcalloc(1, 65536 + 16);
	size_t n = frame(buf, 0x82, buf + 16, 60000), sent = 0, at = 0;
	struct pollfd p = { fd, POLLOUT, 0 };

	atomic_store(&hold, true);
	wait_for(&begun, 1);
	poll(NULL, 0, 50);
	while (sent < ((size_t)64 << 20) && poll(&p, 1, 300) > 0) {
		ssize_t k = send(fd, buf + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (k <= 0)
			break;
		sent += (size_t)k;
		at = (at + (size_t)k) % n;
	}
	ck_assert_uint_lt(sent, (size_t)64 << 20);
	ck_assert_uint_le(atomic_load(&taken), 120000);
	atomic_store(&hold, false);
	for (int i = 0; i < 4000 && atomic_load(&taken) + 2 * n < sent; i++)
		poll(NULL, 0, 5);
	ck_assert_uint_ge(atomic_load(&taken) + 2 * n, sent);
	close(fd);
	free(buf);
	wait_for(&ended, 1);
	am_httpd_stop(h);
}
END_TEST

START_TEST(silence_is_the_end)
{
	struct am_clock *clock = am_clock_fake_new();
	struct am_httpd_options o = { .clock = clock };
	struct am_httpd *h = start(&o);
	int fd = shake(h);
	unsigned char two[2];

	wait_for(&begun, 1);
	am_clock_fake_advance(clock, 31 * AM_NS_PER_S);
	/* A ping; with an answer it lives on. */
	ck_assert_uint_eq(get(fd, two, 2), 2);
	ck_assert_uint_eq(two[0], 0x89);
	put_frame(fd, 0x8a, "", 0);
	put_frame(fd, 0x81, "hi", 2);
	expect(fd, 1, "thi");
	ck_assert_int_eq(atomic_load(&ended), 0);
	am_clock_fake_advance(clock, 91 * AM_NS_PER_S);
	wait_for(&ended, 1);
	close(fd);
	am_httpd_stop(h);
	am_clock_fake_free(clock);
}
END_TEST

START_TEST(stop_says_goodbye)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);
	int a = shake(h), b = shake(h);

	wait_for(&begun, 2);
	am_httpd_stop(h);
	ck_assert_int_eq(atomic_load(&ended), 2);
	for (int i = 0; i < 2; i++) {
		char data[256];
		size_t n = 0;
		int fd = i == 0 ? a : b;

		ck_assert_int_eq(get_frame(fd, data, sizeof(data), &n), 8);
		ck_assert_int_eq((unsigned char)data[0] << 8 | (unsigned char)data[1], 1001);
		close(fd);
	}
}
END_TEST

START_TEST(many_come_and_vanish)
{
	struct am_httpd_options o = { 0 };
	struct am_httpd *h = start(&o);

	for (int i = 0; i < 300; i++) {
		int fd = i % 3 == 0 ? dial(h) : shake(h);

		if (i % 3 == 0)
			put(fd, HELLO, strlen(HELLO));
		if (i % 3 == 1)
			put(fd, "\x81", 1);
		close(fd);
	}
	for (int i = 0; i < 4000 && atomic_load(&ended) + atomic_load(&lost) < 300; i++)
		poll(NULL, 0, 5);
	ck_assert_int_eq(atomic_load(&ended) + atomic_load(&lost), 300);
	am_httpd_stop(h);
}
END_TEST

/* Under TLS the descriptor is one end of a pair that the HTTP thread serves. */
START_TEST(under_tls)
{
	struct am_buf cert = { 0 }, key = { 0 };
	struct am_cert_spec spec = { .cn = "localhost", .server = true };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char buf[65536];

	ck_assert_int_eq(am_cert_make(&spec, NULL, NULL, &cert, &key, &err), 0);
	struct am_httpd_options o = { .cert_pem = am_buf_str(&cert), .key_pem = am_buf_str(&key) };
	struct am_httpd *h = start(&o);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	int fd = dial(h), n = 0;
	size_t total = 0, want = (unsigned)flood() * (16385u + 4u);

	SSL_set_fd(ssl, fd);
	ck_assert_int_eq(SSL_connect(ssl), 1);
	ck_assert_int_gt(SSL_write(ssl, HELLO, (int)strlen(HELLO)), 0);
	for (n = 0; n < 4 || memcmp(buf + n - 4, "\r\n\r\n", 4) != 0; n++)
		ck_assert_int_eq(SSL_read(ssl, buf + n, 1), 1);
	n = (int)frame((unsigned char *)buf, 0x81, "flood", 5);
	ck_assert_int_eq(SSL_write(ssl, buf, n), n);
	while (total < want && (n = SSL_read(ssl, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	ck_assert_uint_eq(total, want);
	n = (int)frame((unsigned char *)buf, 0x81, "bye", 3);
	ck_assert_int_eq(SSL_write(ssl, buf, n), n);
	ck_assert_int_eq(SSL_read(ssl, buf, 2), 2);
	ck_assert_int_eq((unsigned char)buf[0], 0x88);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	wait_for(&ended, 1);
	am_httpd_stop(h);
	am_buf_fini(&cert);
	am_buf_fini(&key);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, messages_go_both_ways);
	tcase_add_test(tc, handshakes_are_checked);
	tcase_add_test(tc, bad_frames_are_closed_with_their_code);
	tcase_add_test(tc, a_slow_reader_is_waited_for);
	tcase_add_test(tc, a_sender_can_be_held);
	tcase_add_test(tc, silence_is_the_end);
	tcase_add_test(tc, stop_says_goodbye);
	tcase_add_test(tc, many_come_and_vanish);
	tcase_add_test(tc, under_tls);
}

UNIT_MAIN("http_ws", cases)
