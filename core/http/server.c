/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener: libmicrohttpd's callbacks, limits, start and stop.  Everything here but start and stop runs on the
 * HTTP thread and never blocks.
 *
 * libmicrohttpd ends the process when it is stopped with suspended connections; so stop first makes sure that
 * none is suspended and none will be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/http/http_priv.h"

#define CONNECTION_MEMORY (32 * 1024)
#define TLS_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

static am_noreturn_ void
on_panic(void *cls am_unused_, const char *file, unsigned line, const char *reason)
{
	am_assert_failed(reason != NULL ? reason : "libmicrohttpd", file, (int)line, "libmicrohttpd");
}

static void am_printf_(2, 0)
on_log(void *cls, const char *fmt, va_list ap)
{
	struct am_httpd *httpd = cls;
	char text[512];

	if (!am_log_enabled(AMBIENT_LOG_DEBUG))
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* NOLINT: the library's own format */
	text[strcspn(text, "\n")] = '\0';
	am_log_debug("http", "%s: %s", httpd->o.name, text);
}

/* ---- what libmicrohttpd calls */

static void
on_connection(void *cls am_unused_, struct MHD_Connection *connection am_unused_, void **context,
	      enum MHD_ConnectionNotificationCode code)
{
	struct am_http_conn *conn = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = calloc(1, sizeof(struct am_http_conn));
	} else if (conn != NULL) {
		am_http_peer_fini(&conn->peer);
		free(conn);
		*context = NULL;
	}
}

/*
 * Keeps the target as it came; what it returns becomes *context of on_access.
 *
 * The library would make a record of each parameter; in 0.9.75 it neither answers nor closes when it has no room for
 * them all, at some 500, and forgets *context when the peer leaves.  Parameters are request.c's, so in the library's own
 * copy of the target they are made one.
 */
static void *
on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	struct am_http_request *r = am_http_request_new(cls, connection, target);

	char *p = (char *)(uintptr_t)target;

	for (; *p != '\0'; p++)
		if (*p == '&')
			*p = ' ';
	if (r != NULL)
		r->target_end = p;
	return r;
}

/* Escapes are undone by request.c. */
static size_t
on_unescape(void *cls am_unused_, struct MHD_Connection *connection am_unused_, char *s)
{
	return strlen(s);
}

struct framing {
	int lengths, encodings, hosts;
	bool bad_length, bad_encoding, bad_name, folded;
	uint64_t length;
};

/* libmicrohttpd 0.9.75 puts what a folded line says behind the header's name: "Content-Length:\r\n 5" is to it a header
 * Content-Length5.  Whoever stands in front of us and reads the line as it was meant would disagree with us about where
 * a request ends, or whose it is; no other header gives anybody more than he has by being lost. */
static bool
is_folded(const char *key)
{
	static const char *const names[] = {
		MHD_HTTP_HEADER_CONTENT_LENGTH, MHD_HTTP_HEADER_TRANSFER_ENCODING,
		"Impersonate-User", "Impersonate-Group", "Impersonate-Uid",
	};

	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		size_t n = strlen(names[i]);

		if (strncasecmp(key, names[i], n) == 0 && key[n] != '\0')
			return true;
	}
	return false;
}

/* RFC 9110's token. */
static bool
is_name(const char *key)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	return *key != '\0' && key[strspn(key, allowed)] == '\0';
}

static enum MHD_Result
look_at_framing(void *cls, enum MHD_ValueKind kind am_unused_, const char *key, const char *value)
{
	struct framing *f = cls;

	f->folded = f->folded || is_folded(key);
	f->bad_name = f->bad_name || !is_name(key);
	if (value == NULL)
		value = "";
	if (strcasecmp(key, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		f->lengths++;
		if (am_parse_u64(value, &f->length) < 0)
			f->bad_length = true;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		f->encodings++;
		if (strcasecmp(value, "chunked") != 0)
			f->bad_encoding = true;
	} else if (strcasecmp(key, MHD_HTTP_HEADER_HOST) == 0) {
		f->hosts++;
	}
	return MHD_YES;
}

/* To libmicrohttpd a NUL ends the target, and what follows it is lost.  It cuts the request line up in place, so that the
 * version stands right behind the target unless there was more.  (A version that the library made up is elsewhere.) */
static bool
is_cut(const struct am_http_request *r, const char *version)
{
	uintptr_t end = (uintptr_t)r->target_end, at = (uintptr_t)version;

	return at > end + 1 && at - end < CONNECTION_MEMORY;
}

static bool
has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* The head is there.  Refuses at once what must not be read; otherwise notes what to say after the body. */
static enum MHD_Result
on_head(struct am_http_request *r, const char *version)
{
	struct framing f = { 0 };
	size_t body_max = r->httpd->o.body_max;
	const char *why = NULL;
	int status = MHD_HTTP_BAD_REQUEST;

	MHD_get_connection_values(r->connection, MHD_HEADER_KIND, look_at_framing, &f);
	if (f.lengths > 0 && f.encodings > 0)
		why = "both Content-Length and Transfer-Encoding are given";
	else if (f.lengths > 1 || f.encodings > 1)
		why = "Content-Length or Transfer-Encoding is given more than once";
	else if (f.bad_length)
		why = "Content-Length is not a number";
	else if (f.bad_encoding)
		why = "the only Transfer-Encoding taken is chunked";
	else if (f.folded)
		why = "a header goes on in another line, or something stands between its name and the colon";
	else if (f.bad_name)
		why = "a header's name has a character that names do not have";
	else if (r->target[0] != '/' && strcmp(r->method, "CONNECT") != 0 && strcmp(r->target, "*") != 0)
		why = "the target of the request is neither a path nor a URL";
	else if (has_control(r->target) || is_cut(r, version))
		why = "the target of the request has a control character";
	else if (f.hosts > 1 || (f.hosts == 0 && strcmp(version, MHD_HTTP_VERSION_1_1) == 0))
		why = "exactly one Host header is needed";
	if (why == NULL && f.length > body_max) {
		r->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
		if (f.length > body_max + AM_HTTP_DRAIN_MAX || am_http_header(r, MHD_HTTP_HEADER_EXPECT) != NULL) {
			status = r->refuse;
			why = "the body is too large";
		}
	}
	r->state = AM_HTTP_BODY;
	if (why == NULL)
		return MHD_YES;
	am_http_set_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	am_http_refuse(r, status, why);
	return am_http_send(r);
}

static enum MHD_Result
on_body(struct am_http_request *r, const char *data, size_t n)
{
	if (r->refuse == 0 && r->body.len + n > r->httpd->o.body_max) {
		r->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
		am_buf_fini(&r->body);
	}
	if (r->refuse != 0) {
		r->drained += n;
		return r->drained <= r->httpd->o.body_max + AM_HTTP_DRAIN_MAX ? MHD_YES : MHD_NO;
	}
	am_buf_add(&r->body, data, n);
	if (r->body.failed)
		r->refuse = MHD_HTTP_SERVICE_UNAVAILABLE;
	return MHD_YES;
}

/* The whole request is there: to a worker. */
static enum MHD_Result
on_whole(struct am_http_request *r)
{
	if (r->refuse == MHD_HTTP_CONTENT_TOO_LARGE) {
		am_http_refuse(r, r->refuse, "the body is too large");
	} else if (r->refuse != 0) {
		am_http_refuse(r, r->refuse, "there is no memory for the body");
	} else if (!am_http_pool_add(r->httpd, r)) {
		am_http_set_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "1");
		if (atomic_load(&r->httpd->stopping))
			am_http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the server stops");
		else
			am_http_refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, "too many requests are waiting");
	} else {
		return MHD_YES;
	}
	return am_http_send(r);
}

static enum MHD_Result
on_access(void *cls am_unused_, struct MHD_Connection *connection am_unused_, const char *url am_unused_,
	  const char *method, const char *version, const char *data, size_t *n, void **context)
{
	struct am_http_request *r = *context;

	if (r == NULL || r->conn == NULL)
		return MHD_NO; /* there was no memory */
	switch (r->state) {
	case AM_HTTP_HEAD:
		r->method = method;
		return on_head(r, version);
	case AM_HTTP_BODY:
		if (*n == 0)
			return on_whole(r);
		size_t got = *n;

		*n = 0;
		return on_body(r, data, got);
	case AM_HTTP_QUEUED:
		return MHD_YES;
	case AM_HTTP_ANSWERED:
		return am_http_send(r);
	case AM_HTTP_SENDING:
		return MHD_YES;
	}
	return MHD_NO;
}

static void
on_completed(void *cls am_unused_, struct MHD_Connection *connection am_unused_, void **context,
	     enum MHD_RequestTerminationCode code)
{
	struct am_http_request *r = *context;

	*context = NULL;
	if (r == NULL)
		return;
	am_lock(&r->lock);
	r->gone = true;
	if (r->pipe != NULL) {
		if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
			r->pipe->broken = true;
		am_cond_broadcast(&r->pipe->room);
	}
	am_unlock(&r->lock);
	/* An answer that was decided and never queued. */
	struct MHD_Response *response = r->response;

	r->response = NULL;
	if (response != NULL)
		MHD_destroy_response(response);
	am_http_request_unref(r);
}

/* ---- start and stop */

static int
listen_socket(const struct am_httpd_options *o, uint16_t *ret_port, struct ambient_error *err)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&ss;
	socklen_t len;
	int one = 1;

	if (inet_pton(AF_INET, o->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(o->port);
		len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, o->address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(o->port);
		len = sizeof(*v6);
	} else {
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no numeric address to listen on", o->address);
	}
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return am_err_errno(err, errno, "%s: no socket", o->name);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
		int e = errno;

		close(fd);
		am_err_errno(err, e, "%s: cannot listen on %s port %u", o->name, o->address, o->port);
		if (e == EADDRINUSE) {
			ambient_err(err, AMBIENT_E_EXISTS,
				    "%s: port %u of %s is in use by another program; configure another port",
				    o->name, o->port, o->address);
			err->sys_errno = e;
		}
		return -err->code;
	}
	*ret_port = ntohs(ss.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return fd;
}

static void
defaults(struct am_httpd_options *o)
{
	if (o->name == NULL)
		o->name = "http";
	if (o->address == NULL)
		o->address = "127.0.0.1";
	if (o->threads <= 0)
		o->threads = 4;
	if (o->queue_max <= 0)
		o->queue_max = 512;
	if (o->connections_max <= 0)
		o->connections_max = 2048;
	if (o->body_max == 0)
		o->body_max = (size_t)1 << 20;
	if (o->idle_ns <= 0)
		o->idle_ns = 90 * AM_NS_PER_S;
}

static struct MHD_Daemon *
start_daemon(struct am_httpd *httpd, int fd)
{
	const struct am_httpd_options *o = &httpd->o;
	struct MHD_OptionItem tls[5] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	int64_t idle_s = AM_MAX(o->idle_ns / AM_NS_PER_S, 1);

	if (o->cert_pem != NULL) {
		size_t n = 0;

		flags |= MHD_USE_TLS;
		/* The option array's type is void *; libmicrohttpd only reads. */
		tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->cert_pem };
		tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key_pem };
		tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
						    (void *)(uintptr_t)TLS_PRIORITY };
		if (o->client_ca_pem != NULL)
			tls[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_TRUST, 0,
							    (void *)(uintptr_t)o->client_ca_pem };
		tls[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	}
	return MHD_start_daemon(flags, 0, NULL, NULL, on_access, httpd,
				MHD_OPTION_EXTERNAL_LOGGER, on_log, httpd,
				MHD_OPTION_LISTEN_SOCKET, fd,
				MHD_OPTION_URI_LOG_CALLBACK, on_target, httpd,
				MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, httpd,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd,
				MHD_OPTION_NOTIFY_CONNECTION, on_connection, httpd,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->connections_max,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)idle_s,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				MHD_OPTION_STRICT_FOR_CLIENT, 1,
				MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

static void
free_httpd(struct am_httpd *httpd)
{
	am_cond_fini(&httpd->work);
	am_cond_fini(&httpd->idle);
	am_cond_fini(&httpd->tick);
	am_http_forget_awake(httpd);
	am_lock_fini(&httpd->wake_lock);
	am_lock_fini(&httpd->lock);
	free((char *)(uintptr_t)httpd->o.cert_pem);
	free((char *)(uintptr_t)httpd->o.key_pem);
	free((char *)(uintptr_t)httpd->o.client_ca_pem);
	free(httpd);
}

int
am_httpd_start(const struct am_httpd_options *options, struct am_httpd **ret, struct ambient_error *err)
{
	struct am_httpd *httpd = am_xcalloc(1, sizeof(*httpd));

	httpd->o = *options;
	defaults(&httpd->o);
	httpd->o.cert_pem = am_xstrdup(options->cert_pem);
	httpd->o.key_pem = am_xstrdup(options->key_pem);
	httpd->o.client_ca_pem = am_xstrdup(options->client_ca_pem);
	httpd->clock = options->clock != NULL ? options->clock : am_clock_real();
	am_lock_init(&httpd->lock, "httpd");
	am_lock_init(&httpd->wake_lock, "httpd-wake");
	am_cond_init(&httpd->work, httpd->clock);
	am_cond_init(&httpd->idle, am_clock_real());
	am_cond_init(&httpd->tick, httpd->clock);
	httpd->tick_at = AM_FOREVER;
	MHD_set_panic_func(on_panic, NULL);

	int fd = listen_socket(&httpd->o, &httpd->port, err);
	if (fd < 0) {
		free_httpd(httpd);
		return fd;
	}
	int rc = am_http_pool_start(httpd, err);
	if (rc == 0) {
		httpd->daemon = start_daemon(httpd, fd);
		if (httpd->daemon == NULL)
			rc = ambient_err(err, AMBIENT_E_INVALID, "%s: the HTTP server does not start%s", httpd->o.name,
					 httpd->o.cert_pem != NULL ? "; are certificate and key a pair" : "");
	}
	if (rc < 0) {
		close(fd);
		atomic_store(&httpd->stopping, true);
		am_http_pool_stop(httpd);
		free_httpd(httpd);
		return rc;
	}
	*ret = httpd;
	return 0;
}

uint16_t
am_httpd_port(const struct am_httpd *httpd)
{
	return httpd->port;
}

bool
am_httpd_stopping(const struct am_httpd *httpd)
{
	return atomic_load(&httpd->stopping);
}

int
am_httpd_streams(const struct am_httpd *httpd)
{
	struct am_httpd *h = (struct am_httpd *)(uintptr_t)httpd;

	am_lock(&h->lock);
	int n = h->streams;
	am_unlock(&h->lock);
	return n;
}

void
am_httpd_stop(struct am_httpd *httpd)
{
	if (httpd == NULL)
		return;
	int64_t until = am_clock_boot(am_clock_real()) + 3 * AM_NS_PER_S;
	int fd = MHD_quiesce_daemon(httpd->daemon);

	/* The daemon's thread lets go of the socket some time later: refuse newcomers now, close when it has ended. */
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	am_lock(&httpd->lock);
	atomic_store(&httpd->stopping, true);
	am_cond_broadcast(&httpd->work);
	am_cond_broadcast(&httpd->tick);
	for (struct am_http_request *r = httpd->stream_list; r != NULL; r = r->next_stream)
		am_http_kick(r);
	am_http_tunnels_stop(httpd);
	/* Handlers and keepers must end by themselves: without them a connection would stay suspended. */
	while (httpd->open > 0)
		am_cond_wait(&httpd->idle, &httpd->lock, AM_FOREVER);
	/* Sources were told; give slow peers a moment for the last bytes. */
	while (httpd->streams > 0)
		if (!am_cond_wait(&httpd->idle, &httpd->lock, until))
			break;
	am_unlock(&httpd->lock);
	am_http_pool_stop(httpd);
	am_http_tunnels_join(httpd);
	MHD_stop_daemon(httpd->daemon);
	if (fd >= 0)
		close(fd);
	am_assert(httpd->streams == 0);
	free_httpd(httpd);
}
