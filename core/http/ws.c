/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket (RFC 6455), server side: wslay frames over a tunnel.  The thread that owns the connection drives it with
 * am_ws_wait; nothing happens in between.  wslay demands masks, checks UTF-8, limits messages, answers pings and
 * closes with 1002, 1007 or 1009; a peer that says nothing, not even a pong, for 90 s has gone.
 *
 * Reading stops while a message waits for its reader, so that at most one message and what one read of wslay's
 * holds (4 KiB) are in memory.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <wslay/wslay.h>

#include "core/base/util.h"
#include "core/http/http_priv.h"

#define PING_EVERY  (30 * AM_NS_PER_S)
#define SILENCE     (90 * AM_NS_PER_S)
#define FAREWELL    (2 * AM_NS_PER_S)  /* for the peer's own close */
#define GUID        "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define PROTOCOL_MAX 64

struct message {
	struct message *next;
	size_t len;
	bool text;
	char data[];
};

struct am_ws {
	struct am_http_tunnel *tunnel;
	struct am_clock *clock;
	wslay_event_context_ptr wslay;
	char protocol[PROTOCOL_MAX];
	struct message *first, **last, *current;
	struct am_buf scratch;
	bool broken, stopped;              /* stopped: the listener closes; a last word is still possible */
	int64_t heard_at, ping_at;
};

/* What accept leaves for the tunnel's thread. */
struct accepted {
	am_ws_f *fn;
	void *arg;
	struct am_clock *clock;
	char protocol[PROTOCOL_MAX];
};

/* ---- handshake */

static void
accept_key(const char *key, struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	am_buf_addf(&text, "%s%s", key, GUID);
	if (EVP_Digest(text.data, text.len, digest, &n, EVP_sha1(), NULL) == 1)
		am_base64_encode(out, digest, n, false);
}

static bool
key_ok(const char *key)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };

	return key != NULL && strlen(key) == 24 && am_base64_decode(&bytes, key, 24, false) == 0 && bytes.len == 16;
}

struct choice {
	const char *const *known;
	const char *chosen;
};

static bool
choose(void *arg, const char *value)
{
	struct choice *c = arg;

	while (*value != '\0' && c->chosen == NULL) {
		value += strspn(value, ", \t");
		size_t n = strcspn(value, ", \t");

		for (size_t i = 0; c->known[i] != NULL; i++)
			if (strlen(c->known[i]) == n && strncmp(c->known[i], value, n) == 0)
				c->chosen = c->known[i];
		value += n;
	}
	return c->chosen == NULL;
}

static int
check_handshake(struct am_http_request *r, const char *const *protocols, const char **protocol,
		struct ambient_error *err)
{
	struct choice choice = { protocols, NULL };
	const char *version = am_http_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_VERSION);

	if (strcmp(am_http_method(r), "GET") != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "a WebSocket is opened by GET");
	if (!am_http_header_has(r, MHD_HTTP_HEADER_UPGRADE, "websocket") ||
	    !am_http_header_has(r, MHD_HTTP_HEADER_CONNECTION, "upgrade"))
		return ambient_err(err, AMBIENT_E_INVALID,
				   "Upgrade request required: send Connection: Upgrade and Upgrade: websocket");
	if (version == NULL || strcmp(version, "13") != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "Sec-WebSocket-Version must be 13");
	if (!key_ok(am_http_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_KEY)))
		return ambient_err(err, AMBIENT_E_INVALID, "Sec-WebSocket-Key must be the base64 of 16 bytes");
	am_http_header_each(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_PROTOCOL, choose, &choice);
	if (choice.chosen == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "Sec-WebSocket-Protocol offers none that is spoken here, such as %s",
				   protocols[0]);
	*protocol = choice.chosen;
	return 0;
}

/* ---- what wslay calls */

static ssize_t
on_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags am_unused_, void *arg)
{
	struct am_ws *ws = arg;
	ssize_t n;

	if (ws->first != NULL) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	do
		n = am_http_tunnel_read(ws->tunnel, buf, len);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		ws->heard_at = am_clock_boot(ws->clock);
		return n;
	}
	ws->stopped = n == 0 && am_http_tunnel_stopping(ws->tunnel);
	ws->broken = !ws->stopped && (n == 0 || errno != EAGAIN);
	wslay_event_set_error(ctx, ws->broken ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
	return -1;
}

static ssize_t
on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags am_unused_, void *arg)
{
	struct am_ws *ws = arg;
	ssize_t n;

	do
		n = am_http_tunnel_write(ws->tunnel, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		wslay_event_set_error(ctx, errno == EAGAIN ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
	return n;
}

static void
on_message(wslay_event_context_ptr ctx am_unused_, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
	struct am_ws *ws = user;

	if (wslay_is_ctrl_frame(arg->opcode))
		return;
	struct message *m = am_xcalloc(1, sizeof(*m) + arg->msg_length + 1);

	m->len = arg->msg_length;
	m->text = arg->opcode == WSLAY_TEXT_FRAME;
	if (m->len > 0)
		memcpy(m->data, arg->msg, m->len);
	*ws->last = m;
	ws->last = &m->next;
}

/* ---- driving */

static void
flush(struct am_ws *ws)
{
	if (!ws->broken && wslay_event_want_write(ws->wslay) != 0 && wslay_event_send(ws->wslay) != 0)
		ws->broken = true;
}

static bool
over(const struct am_ws *ws)
{
	return ws->broken || ws->stopped || (wslay_event_want_read(ws->wslay) == 0 && wslay_event_want_write(ws->wslay) == 0);
}

/* Pings when it is time; how long it may be waited until it is time again. */
static int64_t
heartbeat(struct am_ws *ws, bool want)
{
	const struct wslay_event_msg ping = { WSLAY_PING, NULL, 0 };
	int64_t now = am_clock_boot(ws->clock);

	/* Whom we do not listen to cannot be silent. */
	if (!want)
		ws->heard_at = now;
	if (now >= ws->heard_at + SILENCE)
		ws->broken = true;
	if (now >= ws->ping_at) {
		ws->ping_at = now + PING_EVERY;
		(void)wslay_event_queue_msg(ws->wslay, &ping);
		flush(ws);
	}
	return ws->ping_at - now;
}

static bool
take(struct am_ws *ws, struct am_ws_message *ret)
{
	struct message *m = ws->first;

	free(ws->current);
	ws->current = m;
	if (m == NULL)
		return false;
	ws->first = m->next;
	if (ws->first == NULL)
		ws->last = &ws->first;
	*ret = (struct am_ws_message){ m->data, m->len, m->text };
	return true;
}

/* One poll; true when one of the caller's descriptors is ready. */
static bool
poll_once(struct am_ws *ws, struct pollfd *more, size_t n, int timeout, bool want)
{
	struct pollfd p[1 + AM_WS_POLL_MAX];
	bool read = want && wslay_event_want_read(ws->wslay) != 0, ready = false;
	bool early = read && am_http_tunnel_early(ws->tunnel);

	p[0] = (struct pollfd){ .fd = am_http_tunnel_fd(ws->tunnel),
				.events = (short)((read ? POLLIN : POLLRDHUP) |
						  (wslay_event_want_write(ws->wslay) != 0 ? POLLOUT : 0)) };
	for (size_t i = 0; i < n; i++)
		p[1 + i] = more[i];
	if (poll(p, 1 + n, early ? 0 : timeout) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		more[i].revents = p[1 + i].revents;
		ready = ready || more[i].revents != 0;
	}
	if ((p[0].revents & POLLOUT) != 0)
		flush(ws);
	/* What wslay cannot parse it answers with a close by itself. */
	if (early || (read && (p[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0))
		(void)wslay_event_recv(ws->wslay);
	else if (!read && (p[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
		ws->broken = !(ws->stopped = am_http_tunnel_stopping(ws->tunnel));
	flush(ws);
	return ready;
}

int
am_ws_wait(struct am_ws *ws, struct pollfd *more, size_t n, int timeout_ms, bool want, struct am_ws_message *ret)
{
	int64_t until = timeout_ms < 0 ? AM_FOREVER : am_clock_boot(am_clock_real()) + timeout_ms * AM_NS_PER_MS;

	am_assert(n <= AM_WS_POLL_MAX);
	for (size_t i = 0; i < n; i++)
		more[i].revents = 0;
	bool queued = am_ws_queued(ws) > 0 || wslay_event_want_write(ws->wslay) != 0;

	flush(ws);
	for (;;) {
		if (want && take(ws, ret))
			return 1;
		if (over(ws))
			return -AMBIENT_E_UNAVAILABLE;
		/* Who waits for room has it. */
		if (queued && wslay_event_want_write(ws->wslay) == 0)
			return 0;
		int64_t beat = heartbeat(ws, want);
		int64_t left = until == AM_FOREVER ? AM_FOREVER : AM_MAX(until - am_clock_boot(am_clock_real()), 0);
		int timeout = (int)(AM_MIN(AM_MIN(left, beat), PING_EVERY) / AM_NS_PER_MS) + (left > 0 ? 1 : 0);

		if (poll_once(ws, more, n, timeout, want && ws->first == NULL))
			return want && take(ws, ret) ? 1 : 0;
		if (left == 0 && !(want && ws->first != NULL))
			return over(ws) ? -AMBIENT_E_UNAVAILABLE : 0;
	}
}

int
am_ws_send(struct am_ws *ws, bool text, const void *head, size_t head_len, const void *data, size_t len)
{
	am_buf_reset(&ws->scratch);
	am_buf_add(&ws->scratch, head, head_len);
	am_buf_add(&ws->scratch, data, len);
	struct wslay_event_msg msg = { text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME,
				       (const uint8_t *)am_buf_str(&ws->scratch), ws->scratch.len };

	if (ws->broken || ws->scratch.failed || wslay_event_queue_msg(ws->wslay, &msg) != 0)
		return -AMBIENT_E_UNAVAILABLE;
	flush(ws);
	return ws->broken ? -AMBIENT_E_UNAVAILABLE : 0;
}

size_t
am_ws_queued(const struct am_ws *ws)
{
	return wslay_event_get_queued_msg_length(ws->wslay);
}

void
am_ws_close(struct am_ws *ws, int code, const char *reason)
{
	size_t n = reason != NULL ? AM_MIN(strlen(reason), 120) : 0;

	(void)wslay_event_queue_close(ws->wslay, (uint16_t)code, (const uint8_t *)reason, n);
	flush(ws);
}

const char *
am_ws_protocol(const struct am_ws *ws)
{
	return ws->protocol;
}

/* After our close: what still comes is read and dropped until the peer's close or its end, since closing a socket with
 * unread bytes in it would take our last words from the peer. */
static void
farewell(struct am_ws *ws)
{
	int64_t until = am_clock_boot(am_clock_real()) + FAREWELL;
	struct am_ws_message ignored;
	char chunk[4096];

	am_ws_close(ws, am_http_tunnel_stopping(ws->tunnel) ? 1001 : 1000, NULL);
	while (wslay_event_get_close_received(ws->wslay) == 0 && am_clock_boot(am_clock_real()) < until) {
		struct pollfd p = { .fd = am_http_tunnel_fd(ws->tunnel), .events = POLLIN };

		if (am_ws_wait(ws, NULL, 0, 50, true, &ignored) >= 0)
			continue;
		/* A peer that broke the rules is no longer understood, only heard. */
		if (ws->stopped || (poll(&p, 1, 50) > 0 && am_http_tunnel_read(ws->tunnel, chunk, sizeof(chunk)) <= 0))
			break;
	}
}

static void
ws_main(void *arg, struct am_http_tunnel *tunnel)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv, .send_callback = on_send, .on_msg_recv_callback = on_message,
	};
	struct accepted *a = arg;
	struct am_ws ws = { .tunnel = tunnel, .clock = a->clock };

	ws.last = &ws.first;
	if (tunnel == NULL || wslay_event_context_server_init(&ws.wslay, &callbacks, &ws) != 0) {
		a->fn(a->arg, NULL);
		free(a);
		return;
	}
	wslay_event_config_set_max_recv_msg_length(ws.wslay, AM_WS_MESSAGE_MAX);
	am_strlcpy(ws.protocol, a->protocol, sizeof(ws.protocol));
	ws.heard_at = am_clock_boot(ws.clock);
	ws.ping_at = ws.heard_at + PING_EVERY;
	a->fn(a->arg, &ws);
	farewell(&ws);
	wslay_event_context_free(ws.wslay);
	for (struct message *m = ws.first, *next; m != NULL; m = next) {
		next = m->next;
		free(m);
	}
	free(ws.current);
	am_buf_fini(&ws.scratch);
	free(a);
}

int
am_ws_accept(struct am_http_request *r, const char *const *protocols, am_ws_f *fn, void *arg, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf key = { 0 };
	const char *protocol = NULL;
	int rc = check_handshake(r, protocols, &protocol, err);

	if (rc < 0)
		return rc;
	struct accepted *a = am_xcalloc(1, sizeof(*a));

	a->fn = fn;
	a->arg = arg;
	a->clock = r->httpd->clock;
	am_strlcpy(a->protocol, protocol, sizeof(a->protocol));
	accept_key(am_http_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_KEY), &key);
	size_t headers = r->n_headers;

	am_http_set_header(r, MHD_HTTP_HEADER_UPGRADE, "websocket");
	am_http_set_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_ACCEPT, am_buf_str(&key));
	am_http_set_header(r, MHD_HTTP_HEADER_SEC_WEBSOCKET_PROTOCOL, protocol);
	rc = am_http_upgrade(r, ws_main, a, err);
	if (rc < 0) {
		for (; r->n_headers > headers; r->n_headers--) {
			free(r->headers[r->n_headers - 1][0]);
			free(r->headers[r->n_headers - 1][1]);
		}
		free(a);
	}
	return rc;
}
