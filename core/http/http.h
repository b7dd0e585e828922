/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server side of HTTP/1.1, over libmicrohttpd.  A listener has one thread that owns every connection and
 * never blocks, and a pool of workers that run the handler, behind a bounded queue.  A request is answered
 * exactly once: whole, by a source that the HTTP thread pulls from (a thousand watchers need no thread each), or
 * by blocking writes (begin, write, end).  A handler may keep the request and answer it later from any thread.
 *
 * Limits hold before a handler sees anything: connections, size of head and body, idle time, queue.  Requests
 * whose framing is ambiguous (Content-Length beside Transfer-Encoding, repeated or folded ones) are refused.
 *
 * A request may also leave HTTP (101): then its connection is a tunnel with a thread of its own, on top of which
 * a WebSocket can be spoken.
 */
#ifndef AM_HTTP_HTTP_H
#define AM_HTTP_HTTP_H

#include <sys/types.h>

#include <ambient/host.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

struct am_httpd;
struct am_http_request;

/* ---- the listener */

/* Runs on a pool thread and may block.  When it returns without having answered, kept or begun, the answer is 500. */
typedef void am_http_handler_f(void *self, struct am_http_request *request);

struct am_httpd_options {
	const char *name;              /* static; names threads and log records, "apiserver" */
	const char *address;           /* numeric; NULL: "127.0.0.1" */
	uint16_t port;                 /* 0: any */
	const char *cert_pem, *key_pem; /* NULL: plain HTTP.  Copied. */
	const char *client_ca_pem;     /* NULL: client certificates are not asked for */
	int threads;                   /* 0: 4 */
	int queue_max;                 /* requests waiting for a worker, 0: 512; more are answered 429 */
	int connections_max;           /* 0: 2048 */
	size_t body_max;               /* 0: 1 MiB; more is answered 413 */
	int64_t idle_ns;               /* a connection in silence, 0: 90 s */
	struct am_clock *clock;        /* NULL: real */
	am_http_handler_f *handler;
	void *self;
	/* Writes the body of an answer that the listener itself gives (400, 413, 429, 500); NULL: plain text. */
	void (*refusal)(void *self, int status, const char *why, struct am_buf *body, const char **content_type);
};

/* Returns when it listens. */
int am_httpd_start(const struct am_httpd_options *options, struct am_httpd **ret, struct ambient_error *err);
uint16_t am_httpd_port(const struct am_httpd *httpd);
/* Ends sources cleanly, fails writes, waits for handlers, closes every connection, frees.  NULL is fine. */
void am_httpd_stop(struct am_httpd *httpd);
bool am_httpd_stopping(const struct am_httpd *httpd);
int am_httpd_streams(const struct am_httpd *httpd);      /* answers being streamed now */

/* ---- the request; everything borrowed until it is answered */

const char *am_http_method(const struct am_http_request *request);
/* As received, without the scheme and host of a whole URL: "/a%2Fb?c=d". */
const char *am_http_target(const struct am_http_request *request);
struct am_slice am_http_raw_path(const struct am_http_request *request);  /* without the query, still escaped */
const char *am_http_path(struct am_http_request *request);                /* unescaped */
/* The first parameter of that name, unescaped; NULL: absent; "" when it has no value. */
const char *am_http_query(struct am_http_request *request, const char *name);
/* The i-th parameter; false past the end. */
bool am_http_query_at(struct am_http_request *request, size_t i, const char **name, const char **value);
/* Is the word in one of that header's comma-separated lists?  Letters' case does not count. */
bool am_http_header_has(const struct am_http_request *request, const char *name, const char *word);
const char *am_http_header(const struct am_http_request *request, const char *name); /* the first; NULL: absent */
/* Every value of that header in order; return false to end. */
void am_http_header_each(const struct am_http_request *request, const char *name,
			 bool (*fn)(void *arg, const char *value), void *arg);
/* Every header whose name begins so, with the rest of its name; return false to end. */
void am_http_headers_of(const struct am_http_request *request, const char *prefix,
			bool (*fn)(void *arg, const char *rest, const char *value), void *arg);
struct am_slice am_http_body(const struct am_http_request *request);
/* A place for the handler's own data; freed with `release` after the request. */
void am_http_attach(struct am_http_request *request, void *data, void (*release)(void *));
struct am_httpd *am_http_listener(const struct am_http_request *request);

enum am_http_peer_state {
	AM_HTTP_PEER_NONE,     /* no certificate was shown, or the listener asks for none */
	AM_HTTP_PEER_VERIFIED, /* signed by the client CA, valid now, for client use */
	AM_HTTP_PEER_REFUSED   /* shown, but not acceptable: `why` says it */
};
struct am_http_peer {
	enum am_http_peer_state state;
	const char *cn;            /* when verified; "" when it has none */
	const char *const *orgs;   /* its O entries, ended by NULL */
	const char *why;
};
const struct am_http_peer *am_http_peer(const struct am_http_request *request);

/* The peer's address, without a port; "" when it is not known. */
void am_http_address(const struct am_http_request *request, char buf[64]);
/* Looks on: called when the answer is decided, with its body (NULL: it is streamed, or a tunnel), on the thread that answers; and once
 * more with status 0, when the request is over, on any thread: it must not block there. */
typedef void am_http_observer_f(void *arg, int status, const struct am_buf *body);
void am_http_observe(struct am_http_request *request, am_http_observer_f *observer, void *arg);

/* ---- the answer */

/* Before the answer; the name and value are copied; line breaks in a value become spaces. */
void am_http_set_header(struct am_http_request *request, const char *name, const char *value);
/* The whole answer; takes the bytes of body (which becomes empty; NULL: no body). */
void am_http_answer(struct am_http_request *request, int status, const char *content_type, struct am_buf *body);
void am_http_answer_text(struct am_http_request *request, int status, const char *content_type, const char *text);

/* The handler returns, somebody else answers. */
void am_http_keep(struct am_http_request *request);

/* Pulled on the HTTP thread: must not block.  Returns the number of bytes put into buf, 0 for nothing now,
 * AM_HTTP_END for a clean end, AM_HTTP_ABORT to reset.  After 0 it is called again when it is noted and resumed, or
 * when boot time *wake_at (preset to AM_FOREVER) has come.  done is called exactly once, after the last pull. */
#define AM_HTTP_END   ((ssize_t)-1)
#define AM_HTTP_ABORT ((ssize_t)-2)
struct am_http_source {
	ssize_t (*pull)(void *arg, char *buf, size_t max, int64_t *wake_at);
	void (*done)(void *arg);
	void *arg;
	/* The listener stops: what was begun is to be finished, then comes AM_HTTP_END.  Called before each pull from then on.
	 * NULL: the body is cut off, so that the peer sees that it is not whole. */
	void (*stop)(void *arg);
};
/* The headers go out at once. */
void am_http_stream(struct am_http_request *request, int status, const char *content_type,
		    const struct am_http_source *source);
/* From any thread, between am_http_stream and the return of done; cheap when the source is not waiting.  The source is
 * called again after am_http_resume_noted, which costs one signal, however many were noted. */
void am_http_note(struct am_http_request *request);
void am_http_resume_noted(struct am_httpd *httpd);

/* Blocking writes, from one thread, on the pool or (after am_http_keep) elsewhere.  write fails with UNAVAILABLE when
 * the peer has gone and with CANCELLED when the listener stops; end must follow in every case. */
void am_http_begin(struct am_http_request *request, int status, const char *content_type);
int am_http_write(struct am_http_request *request, const char *data, size_t n);
void am_http_end(struct am_http_request *request);
void am_http_abort(struct am_http_request *request); /* instead of end: the peer sees that the body is not whole */
void am_http_set_length(struct am_http_request *request, uint64_t length); /* of the body to come; before begin */
/* Has the peer left, or does the listener stop?  Any thread, while the request is not answered to its end. */
bool am_http_gone(const struct am_http_request *request);

/* ---- tunnels: the connection leaves HTTP */

struct am_http_tunnel;
/* Runs on a thread of its own and may block, but looks at am_http_tunnel_stopping; the connection is closed when it
 * returns.  tunnel is NULL when the peer had left before, and then only arg is to be released. */
typedef void am_http_tunnel_f(void *arg, struct am_http_tunnel *tunnel);
/* Answers 101 with the headers that were set; by the handler, or after am_http_keep by any thread.  UNAVAILABLE, THROTTLED, NOMEM: nothing was answered, fn never runs. */
int am_http_upgrade(struct am_http_request *request, am_http_tunnel_f *fn, void *arg, struct ambient_error *err);
/* Whether an upgrade would have room now; THROTTLED, UNAVAILABLE. */
int am_http_may_upgrade(struct am_http_request *request, struct ambient_error *err);
/* To poll; its other ends are these functions.  At the listener's stop it reads as ended. */
int am_http_tunnel_fd(const struct am_http_tunnel *tunnel);
/* Bytes that are here already: read at once, whatever poll says. */
bool am_http_tunnel_early(const struct am_http_tunnel *tunnel);
ssize_t am_http_tunnel_read(struct am_http_tunnel *tunnel, void *buf, size_t n);        /* as recv, never blocks */
ssize_t am_http_tunnel_write(struct am_http_tunnel *tunnel, const void *buf, size_t n); /* as send, never blocks */
bool am_http_tunnel_stopping(const struct am_http_tunnel *tunnel);

/* ---- WebSocket over a tunnel: one thread owns it */

#define AM_WS_MESSAGE_MAX ((size_t)1 << 20)

struct am_ws;
typedef void am_ws_f(void *arg, struct am_ws *ws); /* as am_http_tunnel_f */
/* Agrees to a WebSocket and to the first of the peer's protocols that is in the list (ended by NULL).  INVALID: this
 * is no WebSocket handshake that we take, the message says why.  On failure nothing was answered. */
int am_ws_accept(struct am_http_request *request, const char *const *protocols, am_ws_f *fn, void *arg,
		 struct ambient_error *err);
const char *am_ws_protocol(const struct am_ws *ws);

struct am_ws_message {
	const char *data;  /* until the next call */
	size_t len;
	bool text;         /* valid UTF-8 */
};
struct pollfd;
#define AM_WS_POLL_MAX 8
/* Drives the connection (sends what is queued, answers pings, pings itself) until a message is there (1), or one of
 * n more descriptors is ready, what was queued has been sent, or timeout_ms (-1: none) is over (0), or the connection
 * is (-AMBIENT_E_UNAVAILABLE).
 * want false: messages stay where they are, so that the peer feels it. */
int am_ws_wait(struct am_ws *ws, struct pollfd *more, size_t n, int timeout_ms, bool want, struct am_ws_message *ret);
/* Queues one message made of two parts.  Who sends much waits while am_ws_queued is much. */
int am_ws_send(struct am_ws *ws, bool text, const void *head, size_t head_len, const void *data, size_t len);
size_t am_ws_queued(const struct am_ws *ws);
void am_ws_close(struct am_ws *ws, int code, const char *reason); /* then return from fn; without it: 1000 */

/* ---- helpers */

/* Appends the bytes behind %XX (and ' ' for '+', when plus is set); false when an escape is broken. */
bool am_http_unescape(struct am_slice text, bool plus, struct am_buf *out);
const char *am_http_reason(int status);                    /* "Not Found" */

/* Certificates: ECDSA P-256, PEM, made with libcrypto. */
struct am_cert_spec {
	const char *cn;
	const char *const *orgs;       /* ended by NULL; or NULL */
	const char *const *dns;        /* subject alternative names */
	const char *const *ips;
	int64_t not_before, not_after; /* wall time, ns; both 0: five minutes ago, a year from now */
	bool ca, server, client;
};
/* Signed by the CA; self-signed when ca_cert is NULL.  What is appended to cert and key is PEM. */
int am_cert_make(const struct am_cert_spec *spec, const char *ca_cert, const char *ca_key, struct am_buf *cert,
		 struct am_buf *key, struct ambient_error *err);
/* Wall time at which it ends. */
int am_cert_expiry(const char *cert, int64_t *ret, struct ambient_error *err);
/* Does key belong to cert, and (ca not NULL) has ca signed it? */
bool am_cert_matches(const char *cert, const char *key, const char *ca);

/* ---- the host's http table for plugins (include/ambient/host.h); logs go through the host that listens. */
extern const struct ambient_http_api am_http_plugin_api;

#endif
