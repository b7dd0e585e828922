/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange over curl: TLS 1.2 or newer, no redirects, no signals.  A watch keeps its connection for itself by
 * the nature of HTTP/1.1; short requests share a pool, or with HTTP/2 a connection.
 *
 * A body goes out together with its head, in one piece when it is small.  When a pooled connection turns out to be dead,
 * curl would send both again on its own; it may only as long as nothing of them was sent: a write that may have reached the
 * server is never sent twice behind the caller's back.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/base/counter.h"
#include "core/base/mem.h"
#include "core/kube/io_priv.h"

#define CONNECT_MS       INT64_C(10000)
#define CERT_S           300L /* how long a connection, or a parsed CA file, may be older than the files */
#define RETRY_AFTER_MAX  INT64_C(86400)
#define IDLE_S           60L  /* kube-apiserver closes idle connections after 90 */

/* ---- the end */

static const double sizes[] = { 64, 256, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 0 };
static const double durations[] = { .005, .025, .1, .25, .5, 1, 2, 4, 8, 15, 30, 60, 0 };

/* The metrics of a method and a status are looked up once. */
static const struct am_tally *
tally_of(const struct am_transfer *t, int status)
{
	struct am_curl_io *io = t->io;
	char code[16] = "<error>";
	const char *labels[] = { "code", code, "method", t->method, "host", io->config->host, NULL };
	const char *verb[] = { "verb", t->method, "host", io->config->host, NULL };
	struct am_tally *tally;

	for (size_t i = 0; i < io->tally_count; i++) {
		if (io->tallies[i].status == status && strcmp(io->tallies[i].method, t->method) == 0)
			return &io->tallies[i];
	}
	if (status != 0)
		(void)snprintf(code, sizeof(code), "%d", status);
	if (io->tally_count == AM_COUNTOF(io->tallies))
		io->tally_count--;
	tally = &io->tallies[io->tally_count++];
	tally->status = status;
	(void)am_strlcpy(tally->method, t->method, sizeof(tally->method));
	tally->total = am_metric(AM_COUNTER, "rest_client_requests_total", "Number of HTTP requests.", labels, NULL);
	tally->seconds = am_metric(AM_HISTOGRAM, "rest_client_request_duration_seconds", "Request latency in seconds.", verb,
				   durations);
	tally->sent = am_metric(AM_HISTOGRAM, "rest_client_request_size_bytes", "Request size in bytes.", verb, sizes);
	tally->received = am_metric(AM_HISTOGRAM, "rest_client_response_size_bytes", "Response size in bytes.", verb, sizes);
	return tally;
}

static void
count(const struct am_transfer *t, bool failed)
{
	const struct am_tally *tally = tally_of(t, failed ? 0 : t->status);
	curl_off_t received = 0;

	am_metric_add(tally->total, 1);
	am_metric_observe(tally->seconds, (double)(am_clock_boot(t->io->head.clock) - t->began) / (double)AM_NS_PER_S);
	(void)curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	am_metric_observe(tally->sent, (double)t->body_len);
	am_metric_observe(tally->received, (double)received);
}

void
am_transfer_end(struct am_transfer *t, const struct ambient_error *err)
{
	struct am_io *io = &t->io->head;

	if (t->over)
		return;
	t->over = true;
	am_io_timer_cancel(io, t->limit);
	am_io_timer_cancel(io, t->idle);
	am_io_timer_cancel(io, t->slot);
	t->limit = t->idle = t->slot = NULL;
	if (!t->attached && t->reserved)
		am_rate_return(&t->io->rate);
	if (t->status == 401)
		am_token_drop(&t->io->token, t->began);
	if (t->status == 401 && t->credential > 0)
		am_exec_drop(t->io->exec, t->credential);
	if (t->attached && (err == NULL || err->code != AMBIENT_E_CANCELLED))
		count(t, err != NULL);
	am_io_add_work(t);
	t->sink.done(t->sink.arg, err);
}

static void
end_with(struct am_transfer *t, int code, int sys_errno, const char *what)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int path_len = (int)strcspn(t->url, "?");
	const char *proxy = t->head_given ? NULL : t->io->config->proxy_name;

	(void)ambient_err(&err, code, "%s %.*s%s%.100s: %s", t->method, AM_MIN(path_len, 160), t->url,
			  proxy != NULL ? " through the proxy " : "", proxy != NULL ? proxy : "", what);
	err.sys_errno = sys_errno;
	am_transfer_end(t, &err);
}

void
am_transfer_cancel(struct am_io *io, struct am_transfer *t)
{
	am_assert(io->ops->on_thread(io));
	end_with(t, AMBIENT_E_CANCELLED, 0, "cancelled");
}

static void
limit_passed(void *arg)
{
	struct am_transfer *t = arg;

	t->limit = NULL;
	end_with(t, AMBIENT_E_TIMEOUT, 0, t->head_given ? "the answer did not end in time" : "no answer in time");
}

/* Moved on lazily: a byte only notes when it came. */
static void
idle_passed(void *arg)
{
	struct am_transfer *t = arg;
	int64_t now = am_clock_boot(t->io->head.clock);

	t->idle = NULL;
	if (t->paused)
		t->last_byte = now;
	if (now - t->last_byte >= t->idle_ns)
		end_with(t, AMBIENT_E_TIMEOUT, 0, "the connection is silent");
	else
		t->idle = am_io_timer(&t->io->head, t->last_byte + t->idle_ns, idle_passed, t);
}

static const struct {
	CURLcode result;
	int code;
	int sys_errno;         /* when curl knows none */
} results[] = {
	{ CURLE_COULDNT_CONNECT, AMBIENT_E_UNAVAILABLE, 0 },
	{ CURLE_GOT_NOTHING, AMBIENT_E_UNAVAILABLE, EPIPE },
	{ CURLE_PARTIAL_FILE, AMBIENT_E_UNAVAILABLE, EPIPE },
	{ CURLE_RECV_ERROR, AMBIENT_E_UNAVAILABLE, ECONNRESET },
	{ CURLE_SEND_ERROR, AMBIENT_E_UNAVAILABLE, ECONNRESET },
	{ CURLE_ABORTED_BY_CALLBACK, AMBIENT_E_UNAVAILABLE, ECONNRESET },
	{ CURLE_HTTP2, AMBIENT_E_UNAVAILABLE, ECONNRESET },
	{ CURLE_HTTP2_STREAM, AMBIENT_E_UNAVAILABLE, ECONNRESET },
	{ CURLE_OPERATION_TIMEDOUT, AMBIENT_E_TIMEOUT, 0 },
	{ CURLE_OUT_OF_MEMORY, AMBIENT_E_NOMEM, 0 },
	{ CURLE_URL_MALFORMAT, AMBIENT_E_INVALID, 0 },
	{ CURLE_UNSUPPORTED_PROTOCOL, AMBIENT_E_INVALID, 0 },
	{ CURLE_SSL_CERTPROBLEM, AMBIENT_E_INVALID, 0 },
	{ CURLE_SSL_CACERT_BADFILE, AMBIENT_E_INVALID, 0 },
};

void
am_transfer_result(struct am_transfer *t, CURLcode result)
{
	int code = AMBIENT_E_UNAVAILABLE;
	int fallback = 0;
	long os_errno = 0;

	if (t->over)
		return;
	if (result == CURLE_OK && t->head_given) {
		am_transfer_end(t, NULL);
		return;
	}
	if (result == CURLE_WRITE_ERROR && t->failed.code != 0) {
		am_transfer_end(t, &t->failed);
		return;
	}
	for (size_t i = 0; i < AM_COUNTOF(results); i++) {
		if (results[i].result == result) {
			code = results[i].code;
			fallback = results[i].sys_errno;
		}
	}
	char what[CURL_ERROR_SIZE];
	if (t->io->config->proxy != NULL && am_proxy_problem(t->easy, result, what, sizeof(what))) {
		end_with(t, AMBIENT_E_UNAVAILABLE, 0, what);
		return;
	}
	(void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_errno);
	/* While connecting curl's errno is the truth; later it is whatever was left there. */
	int sys_errno = result == CURLE_COULDNT_CONNECT ? (int)os_errno : fallback;
	if (result == CURLE_ABORTED_BY_CALLBACK)
		end_with(t, code, sys_errno, "the connection ended without an answer, and the request may have arrived");
	else
		end_with(t, code, sys_errno, t->curl_text[0] != '\0' ? t->curl_text : curl_easy_strerror(result));
}

/* ---- curl's callbacks */

static int64_t
parse_retry_after(struct am_transfer *t, const char *value)
{
	uint64_t seconds;

	if (am_parse_u64(value, &seconds) == 0)
		return (int64_t)AM_MIN(seconds, (uint64_t)RETRY_AFTER_MAX) * 1000;
	time_t date = curl_getdate(value, NULL);
	if (date < 0)
		return 0;
	int64_t left = (int64_t)date - am_clock_wall(t->io->head.clock) / AM_NS_PER_S;
	return left <= 0 ? 1 : AM_MIN(left, RETRY_AFTER_MAX) * 1000;
}

/* The value of a header line of that name, trimmed; false when it is another one or too long to matter. */
static bool
header_value(const char *line, size_t n, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
		return false;
	line += len + 1;
	n -= len + 1;
	while (n > 0 && isspace((unsigned char)line[0]))
		line++, n--;
	while (n > 0 && isspace((unsigned char)line[n - 1]))
		n--;
	if (n >= size)
		return false;
	memcpy(out, line, n);
	out[n] = '\0';
	return true;
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	struct am_transfer *t = arg;
	char value[96];

	(void)size;
	t->last_byte = am_clock_boot(t->io->head.clock);
	if (t->over)
		return 0;
	if (t->head_given) /* trailers */
		return n;
	if (n > 9 && strncmp(line, "HTTP/", 5) == 0) {
		long status = 0;

		(void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		t->status = (int)status;
		t->retry_after_ms = 0;
		t->content_type[0] = '\0';
	} else if (header_value(line, n, "Retry-After", value, sizeof(value))) {
		t->retry_after_ms = parse_retry_after(t, value);
	} else if (header_value(line, n, "Content-Type", value, sizeof(value))) {
		(void)am_strlcpy(t->content_type, value, sizeof(t->content_type));
	} else if (n > 9 && strncasecmp(line, "Warning: ", 9) == 0) {
		am_warning_take(&t->io->warnings, line + 9, n - 9);
	} else if ((n == 2 || n == 1) && line[n - 1] == '\n' && t->status >= 200) {
		t->head_given = true;
		if (t->sink.head != NULL)
			t->sink.head(t->sink.arg, t->status, t->content_type, t->retry_after_ms);
	}
	return t->over ? 0 : n;
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct am_transfer *t = arg;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	(void)size;
	t->last_byte = am_clock_boot(t->io->head.clock);
	if (t->over)
		return CURL_WRITEFUNC_ERROR;
	if (n == 0)
		return 0;
	int rc = t->sink.data(t->sink.arg, p, n, &err);
	if (t->over)
		return CURL_WRITEFUNC_ERROR;
	if (rc == AM_HTTP_PAUSE) {
		t->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (rc < 0) {
		t->failed = err;
		if (t->failed.code == 0)
			t->failed.code = -rc;
		return CURL_WRITEFUNC_ERROR;
	}
	return n;
}

/* Right before a request with a body is sent, for the first time or again.  What counts as sent is whole records of TLS: of
 * one that was cut the server can make nothing. */
static int
on_begin(void *arg, char *server, char *own, int server_port, int own_port)
{
	struct am_transfer *t = arg;
	long sent = 0;

	(void)server;
	(void)own;
	(void)server_port;
	(void)own_port;
	(void)curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
	return sent > 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* A peer that is gone without a word is noticed within a minute. */
static int
on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	int probes = 3;
	unsigned int user_timeout_ms = 45000;

	(void)arg;
	(void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
	return CURL_SOCKOPT_OK;
}

/* ---- the start */

static void
set_blob(CURL *easy, CURLoption blob_option, CURLoption file_option, char *data, const char *file)
{
	if (data != NULL) {
		struct curl_blob blob = { data, strlen(data), CURL_BLOB_NOCOPY };
		(void)curl_easy_setopt(easy, blob_option, &blob);
	} else if (file != NULL) {
		(void)curl_easy_setopt(easy, file_option, file);
	}
}

static void
set_ca(struct am_transfer *t, CURLoption blob_option, CURLoption file_option)
{
	const struct am_kube_config *config = t->io->config;
	const char *text = am_ca_get(&t->io->ca);

	/* The text is part of what a pooled connection is known by: after a change none of before is used again. */
	if (text != NULL) {
		struct curl_blob blob = { (char *)(uintptr_t)text, strlen(text), CURL_BLOB_COPY };
		(void)curl_easy_setopt(t->easy, blob_option, &blob);
	} else {
		set_blob(t->easy, blob_option, file_option, config->ca_data, config->ca_file);
	}
}

static void
set_tls(struct am_transfer *t)
{
	const struct am_kube_config *config = t->io->config;
	CURL *easy = t->easy;

	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
	(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
	set_ca(t, CURLOPT_CAINFO_BLOB, CURLOPT_CAINFO);
	if (config->ca_data != NULL || config->ca_file != NULL)
		(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	set_blob(easy, CURLOPT_SSLCERT_BLOB, CURLOPT_SSLCERT, config->cert_data, config->cert_file);
	set_blob(easy, CURLOPT_SSLKEY_BLOB, CURLOPT_SSLKEY, config->key_data, config->key_file);
	(void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, CERT_S);
	(void)curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CERT_S);
}

/* Its certificate may be the system's or the cluster's: client-go knows the cluster's alone. */
static void
set_proxy(struct am_transfer *t)
{
	const struct am_kube_config *config = t->io->config;
	CURL *easy = t->easy;

	(void)curl_easy_setopt(easy, CURLOPT_PROXY, config->proxy);
	/* What is for the server is not for the proxy, and the other way round. */
	(void)curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	(void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (!am_starts(config->proxy, "https:"))
		return;
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYPEER, config->insecure ? 0L : 1L);
	(void)curl_easy_setopt(easy, CURLOPT_PROXY_SSL_VERIFYHOST, config->insecure ? 0L : 2L);
	set_ca(t, CURLOPT_PROXY_CAINFO_BLOB, CURLOPT_PROXY_CAINFO);
}

static void
set_options(struct am_transfer *t, const struct am_http_req *req)
{
	const struct am_kube_config *config = t->io->config;
	CURL *easy = t->easy;
	bool plain = am_starts(config->server, "http://");

	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->curl_text);
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
	(void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* More than 64 KiB that come and go with each request make malloc tidy up each time. */
	(void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
	/* Whatever lasts has a connection of its own: one that is slow to read holds up no other (ADR 52). */
	bool shared = t->io->http2 && !plain && !req->watch && !req->pausable;
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(shared ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	(void)curl_easy_setopt(easy, CURLOPT_PIPEWAIT, shared ? 1L : 0L);
	(void)curl_easy_setopt(easy, CURLOPT_SHARE, shared ? NULL : t->io->alone);
	(void)curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_S);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	(void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	if (!config->loopback)
		(void)curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	(void)curl_easy_setopt(easy, CURLOPT_NOPROXY, config->proxy != NULL ? "" : "*");
	if (config->proxy != NULL)
		set_proxy(t);
	if (!plain)
		set_tls(t);
}

/* The URL says the name that the certificate must have; the connection goes to the real address. */
static char *
make_url(struct am_transfer *t, const char *path)
{
	const struct am_kube_config *config = t->io->config;

	if (config->tls_server_name == NULL)
		return am_xasprintf("%s%s", config->server, path);
	const char *prefix = config->server + strlen("https://") + strlen(config->host);
	const char *port = strrchr(config->host, ':');
	am_auto(am_freep) char *route = am_xasprintf("%s%s:%s", config->tls_server_name, port, config->host);
	t->connect_to = curl_slist_append(NULL, route);
	(void)curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
	return am_xasprintf("https://%s%s%s%s", config->tls_server_name, port, prefix, path);
}

static bool
add_header(struct am_transfer *t, const char *line)
{
	if (strpbrk(line, "\r\n") != NULL)
		return false;
	struct curl_slist *more = curl_slist_append(t->headers, line);
	if (more != NULL)
		t->headers = more;
	return more != NULL;
}

static bool
add_bearer(struct am_transfer *t, const char *token)
{
	char *line = am_xasprintf("Authorization: Bearer %s", token);
	bool ok = add_header(t, line);

	explicit_bzero(line, strlen(line));
	free(line);
	return ok;
}

static bool
set_headers(struct am_transfer *t, const struct am_http_req *req, struct ambient_error *err)
{
	const char *token = t->io->config->token;
	bool ok = add_header(t, t->io->user_agent) && add_header(t, "Expect:");
	bool accept = false;
	bool type = req->body == NULL;

	for (size_t i = 0; ok && req->headers != NULL && req->headers[i] != NULL; i++) {
		accept = accept || strncasecmp(req->headers[i], "Accept:", 7) == 0;
		type = type || strncasecmp(req->headers[i], "Content-Type:", 13) == 0;
		ok = add_header(t, req->headers[i]);
	}
	for (char *const *line = t->io->config->impersonate; ok && line != NULL && *line != NULL; line++)
		ok = add_header(t, *line);
	ok = ok && (accept || add_header(t, "Accept: application/json"));
	ok = ok && (type || add_header(t, "Content-Type: application/json"));
	if (ok && t->io->token.path != NULL) {
		token = am_token_get(&t->io->token, t->began, err);
		if (token == NULL)
			return false;
	}
	if (ok && token != NULL)
		ok = add_bearer(t, token);
	if (!ok)
		(void)ambient_err(err, AMBIENT_E_INVALID, "a header holds a line break");
	return ok;
}

static bool
set_request(struct am_transfer *t, const struct am_http_req *req, struct ambient_error *err)
{
	bool method_ok = req->method[0] != '\0' && strlen(req->method) < sizeof(t->method);

	for (const char *p = req->method; *p != '\0'; p++)
		method_ok = method_ok && *p >= 'A' && *p <= 'Z';
	if (!method_ok || req->path[0] != '/') {
		(void)ambient_err(err, AMBIENT_E_INVALID, "\"%.16s %.120s\" is no request", req->method, req->path);
		return false;
	}
	if (!set_headers(t, req, err))
		return false;
	if (curl_easy_setopt(t->easy, CURLOPT_URL, t->url) != CURLE_OK) {
		(void)ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		return false;
	}
	(void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	if (req->body != NULL) {
		t->body = malloc(req->body_len + 1);
		if (t->body == NULL) {
			(void)ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
			return false;
		}
		memcpy(t->body, req->body, req->body_len);
		t->body_len = req->body_len;
		(void)curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
		(void)curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body);
		(void)curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_begin);
		(void)curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	} else {
		(void)curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
	}
	(void)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->method);
	return true;
}

static void
slot_reached(void *arg)
{
	struct am_transfer *t = arg;

	t->slot = NULL;
	am_io_add_work(t);
}

struct am_transfer *
am_transfer_start(struct am_io *head, const struct am_http_req *req, const struct am_http_sink *sink)
{
	struct am_curl_io *io = AM_CONTAINER(head, struct am_curl_io, head);
	struct am_transfer *t = am_xcalloc(1, sizeof(*t));

	am_assert(head->ops->on_thread(head));
	t->io = io;
	t->sink = *sink;
	t->began = t->last_byte = am_clock_boot(head->clock);
	t->failed.size = sizeof(t->failed);
	t->next = io->transfers;
	if (t->next != NULL)
		t->next->prev = t;
	io->transfers = t;

	(void)am_strlcpy(t->method, req->method, sizeof(t->method));
	t->easy = io->spare_count > 0 ? io->spares[--io->spare_count] : curl_easy_init();
	t->url = make_url(t, req->path);
	if (t->easy == NULL)
		(void)ambient_err(&t->failed, AMBIENT_E_NOMEM, "out of memory");
	else if (set_request(t, req, &t->failed))
		set_options(t, req);

	t->idle_ns = req->idle_ns;
	/* Timers come before work: what waits for its slot in a process that is suspended is not sent when it wakes up. */
	int64_t limit = req->timeout_ns > 0 ? t->began + req->timeout_ns : AM_FOREVER;
	if (req->deadline > 0)
		limit = AM_MIN(limit, req->deadline);
	if (limit != AM_FOREVER)
		t->limit = am_io_timer(head, limit, limit_passed, t);
	if (t->idle_ns > 0)
		t->idle = am_io_timer(head, t->began + t->idle_ns, idle_passed, t);
	t->reserved = !req->watch && !req->urgent;
	int64_t wait = t->reserved ? am_rate_reserve(&io->rate, t->began) : 0;
	if (wait > 0)
		t->slot = am_io_timer(head, t->began + wait, slot_reached, t);
	else
		am_io_add_work(t);
	return t;
}

void
am_transfer_resume(struct am_io *head, struct am_transfer *t)
{
	am_assert(head->ops->on_thread(head));
	if (!t->paused)
		return;
	t->resume = true;
	am_io_add_work(t);
}

/* ---- work */

/* A handle without options serves the next transfer. */
static void
let_go(struct am_curl_io *io, CURL *easy)
{
	if (easy == NULL || io->spare_count == AM_COUNTOF(io->spares)) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	io->spares[io->spare_count++] = easy;
}

static void
release(struct am_transfer *t)
{
	if (t->attached)
		(void)curl_multi_remove_handle(t->io->multi, t->easy);
	let_go(t->io, t->easy);
	for (struct curl_slist *h = t->headers; h != NULL; h = h->next)
		if (am_starts(h->data, "Authorization:"))
			explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	if (t->prev != NULL)
		t->prev->next = t->next;
	else
		t->io->transfers = t->next;
	if (t->next != NULL)
		t->next->prev = t->prev;
	free(t->url);
	free(t->body);
	free(t);
}

/* Who the plugin says that we are.  False: not yet, or t has ended. */
static bool
identify(struct am_transfer *t)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_credential *credential;
	int rc = am_exec_get(t->io->exec, &credential, &t->credential, &err);

	t->asked = rc == 0;
	if (rc < 0)
		am_transfer_end(t, &err);
	if (rc <= 0)
		return false;
	if (credential->cert != NULL) {
		struct curl_blob cert = { credential->cert, strlen(credential->cert), CURL_BLOB_COPY };
		struct curl_blob key = { credential->key, strlen(credential->key), CURL_BLOB_COPY };

		(void)curl_easy_setopt(t->easy, CURLOPT_SSLCERT_BLOB, &cert);
		(void)curl_easy_setopt(t->easy, CURLOPT_SSLKEY_BLOB, &key);
	}
	if (credential->token != NULL && !add_bearer(t, credential->token)) {
		end_with(t, AMBIENT_E_NOMEM, 0, "out of memory");
		return false;
	}
	return true;
}

void
am_transfers_credential(void *arg)
{
	struct am_curl_io *io = arg;

	for (struct am_transfer *t = io->transfers; t != NULL; t = t->next)
		if (t->asked && !t->over)
			am_io_add_work(t);
}

static void
attach(struct am_transfer *t)
{
	if (t->io->exec != NULL && !identify(t))
		return;
	if (curl_multi_add_handle(t->io->multi, t->easy) == CURLM_OK)
		t->attached = true;
	else
		end_with(t, AMBIENT_E_NOMEM, 0, "libcurl takes no more transfers");
}

void
am_transfer_work(struct am_transfer *t)
{
	if (t->over) {
		release(t);
	} else if (t->failed.code != 0) {
		am_transfer_end(t, &t->failed);
	} else if (!t->attached) {
		attach(t);
	} else if (t->resume) {
		t->resume = t->paused = false;
		t->last_byte = am_clock_boot(t->io->head.clock);
		(void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
	}
}
