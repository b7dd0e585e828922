/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's http table: the same server for plugins.  A handler of a plugin answers by blocking writes only; its
 * answer ends when it returns.
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
	bool begun;
};

static void
on_request(void *self, struct am_http_request *request)
{
	struct ambient_http_listener *listener = self;
	struct ambient_http_request r = { request, false };

	listener->handler(listener->self, &r);
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
	if (r->begun || status < 200 || status > 599)
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
};
