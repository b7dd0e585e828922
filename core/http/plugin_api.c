/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's http table: the same server for plugins.  A handler of a plugin answers by blocking writes, and its
 * answer ends when it returns, or agrees to a WebSocket, which goes on in a thread of its own.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "core/http/http_priv.h"

struct ambient_http_listener {
	struct am_httpd *httpd;
	ambient_http_handler_f *handler;
	void *self;
};

/* Lives on the stack of the worker that runs the handler. */
struct ambient_http_request {
	struct am_http_request *request;
	bool begun, left;                  /* left: for a WebSocket */
};

/* On the stack of the WebSocket's thread. */
struct ambient_websocket {
	struct am_ws *ws;
};

struct socket_call {
	ambient_websocket_f *fn;
	void *arg;
};

static void
on_request(void *self, struct am_http_request *request)
{
	struct ambient_http_listener *listener = self;
	struct ambient_http_request r = { request, false, false };

	listener->handler(listener->self, &r);
	if (r.left)
		return;
	if (!r.begun)
		am_http_answer_text(request, 500, "text/plain; charset=utf-8", "the handler gave no answer\n");
	else
		am_http_end(request);
}

static int
make_certificate(const char *address, struct am_buf *cert, struct am_buf *key, struct ambient_error *err)
{
	const char *names[] = { address, NULL };
	unsigned char ip[16];
	bool numeric = inet_pton(AF_INET, address, ip) == 1 || inet_pton(AF_INET6, address, ip) == 1;
	struct am_cert_spec spec = { .cn = address, .server = true };

	if (numeric)
		spec.ips = names;
	else
		spec.dns = names;
	return am_cert_make(&spec, NULL, NULL, cert, key, err);
}

static int
api_listen(const struct ambient_host *host, const struct ambient_http_listen *options, ambient_http_handler_f *handler,
	   void *self, struct ambient_http_listener **ret, struct ambient_error *err)
{
	struct ambient_http_listener *listener = am_xcalloc(1, sizeof(*listener));
	struct am_buf cert = { 0 }, key = { 0 };
	bool self_signed = options->size >= offsetof(struct ambient_http_listen, self_signed) + sizeof(int32_t) &&
			   options->self_signed != 0 && options->cert_pem == NULL;
	int rc = 0;

	if (self_signed)
		rc = make_certificate(options->address != NULL ? options->address : "127.0.0.1", &cert, &key, err);
	if (rc == 0) {
		struct am_httpd_options o = {
			.name = host != NULL && host->instance != NULL ? host->instance : "plugin",
			.address = options->address,
			.port = options->port,
			.cert_pem = self_signed ? am_buf_str(&cert) : options->cert_pem,
			.key_pem = self_signed ? am_buf_str(&key) : options->key_pem,
			.client_ca_pem = options->client_ca_pem,
			.threads = options->threads,
			.body_max = options->body_max,
			.handler = on_request,
			.self = listener,
		};

		listener->handler = handler;
		listener->self = self;
		rc = am_httpd_start(&o, &listener->httpd, err);
	}
	am_buf_fini(&cert);
	am_buf_fini(&key);
	if (rc < 0) {
		free(listener);
		return rc;
	}
	*ret = listener;
	return 0;
}

static uint16_t
api_port(const struct ambient_http_listener *listener)
{
	return am_httpd_port(listener->httpd);
}

static void
api_close(struct ambient_http_listener *listener)
{
	if (listener == NULL)
		return;
	am_httpd_stop(listener->httpd);
	free(listener);
}

static const char *
api_method(const struct ambient_http_request *r)
{
	return am_http_method(r->request);
}

static const char *
api_path(const struct ambient_http_request *r)
{
	return am_http_path(r->request);
}

static const char *
api_query(const struct ambient_http_request *r, const char *name)
{
	return am_http_query(r->request, name);
}

static const char *
api_header(const struct ambient_http_request *r, const char *name)
{
	return am_http_header(r->request, name);
}

static const char *
api_body(const struct ambient_http_request *r, size_t *len)
{
	struct am_slice body = am_http_body(r->request);

	if (len != NULL)
		*len = body.n;
	return body.p;
}

static const char *
api_peer_name(const struct ambient_http_request *r)
{
	const struct am_http_peer *peer = am_http_peer(r->request);

	return peer->state == AM_HTTP_PEER_VERIFIED ? peer->cn : NULL;
}

static int
api_begin(struct ambient_http_request *r, int status, const char *content_type)
{
	if (r->begun || r->left || status < 200 || status > 599)
		return -AMBIENT_E_INVALID;
	r->begun = true;
	am_http_begin(r->request, status, content_type);
	return 0;
}

static int
api_write(struct ambient_http_request *r, const char *data, size_t len)
{
	return r->begun ? am_http_write(r->request, data, len) : -AMBIENT_E_INVALID;
}

static int
api_gone(const struct ambient_http_request *r)
{
	return am_http_gone(r->request);
}

static int
api_query_at(const struct ambient_http_request *r, size_t i, const char **name, const char **value)
{
	return am_http_query_at(r->request, i, name, value);
}

static void
on_socket(void *arg, struct am_ws *ws)
{
	struct socket_call *call = arg;
	struct ambient_websocket socket = { ws };

	call->fn(call->arg, ws != NULL ? &socket : NULL);
	free(call);
}

static int
api_ws_accept(struct ambient_http_request *r, const char *const *protocols, ambient_websocket_f *fn, void *arg,
	      struct ambient_error *err)
{
	struct socket_call *call;
	int rc;

	if (r->begun || r->left)
		return ambient_err(err, AMBIENT_E_INVALID, "the request is answered already");
	call = am_xcalloc(1, sizeof(*call));
	*call = (struct socket_call){ fn, arg };
	rc = am_ws_accept(r->request, protocols, on_socket, call, err);
	r->left = rc == 0;
	if (rc < 0)
		free(call);
	return rc;
}

static const char *
api_ws_protocol(const struct ambient_websocket *socket)
{
	return am_ws_protocol(socket->ws);
}

static int
api_ws_wait(struct ambient_websocket *socket, struct pollfd *more, size_t n, int timeout_ms, int want,
	    struct ambient_websocket_message *ret)
{
	struct am_ws_message message = { NULL, 0, false };

	if (n > AM_WS_POLL_MAX)
		return -AMBIENT_E_INVALID;
	int rc = am_ws_wait(socket->ws, more, n, timeout_ms, want != 0, &message);

	if (rc == 1) {
		ret->data = message.data;
		ret->len = message.len;
		if (ret->size >= offsetof(struct ambient_websocket_message, text) + sizeof(ret->text))
			ret->text = message.text;
	}
	return rc;
}

static int
api_ws_send(struct ambient_websocket *socket, const void *head, size_t head_len, const void *data, size_t len)
{
	return am_ws_send(socket->ws, false, head, head_len, data, len);
}

static size_t
api_ws_queued(const struct ambient_websocket *socket)
{
	return am_ws_queued(socket->ws);
}

static void
api_ws_close(struct ambient_websocket *socket, int code, const char *reason)
{
	am_ws_close(socket->ws, code, reason);
}

const struct ambient_http_api am_http_plugin_api = {
	.size = sizeof(struct ambient_http_api),
	.listen = api_listen,
	.port = api_port,
	.close = api_close,
	.method = api_method,
	.path = api_path,
	.query = api_query,
	.header = api_header,
	.body = api_body,
	.peer_name = api_peer_name,
	.begin = api_begin,
	.write = api_write,
	.gone = api_gone,
	.query_at = api_query_at,
	.ws_accept = api_ws_accept,
	.ws_protocol = api_ws_protocol,
	.ws_wait = api_ws_wait,
	.ws_send = api_ws_send,
	.ws_queued = api_ws_queued,
	.ws_close = api_ws_close,
};
