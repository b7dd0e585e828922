/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of our own to a node or a pod: one request whose answer may be 101, and then bytes both ways.  libcurl
 * dials and does TLS; HTTP is read here, since a body behind a 101 has no form that libcurl knows.
 *
 * Splicing holds one block per direction and reads a side only when the other has taken what came before: that is all
 * the memory and all the back-pressure.  Neither side's protocol is looked at, and so an end is an end for both: a
 * WebSocket says goodbye by itself before it closes.
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

#define CONNECT_TIME  10L                      /* seconds */
#define ANSWER_TIME   (30 * AM_NS_PER_S)       /* to a head */
#define BODY_TIME     (2 * AM_NS_PER_S)
#define LEAVE_TIME    (5 * AM_NS_PER_S)        /* for what a client that has closed still had to say */
#define BLOCK         ((size_t)32 << 10)
#define LOOK_MS       500                      /* how soon a stop is noticed that wakes no descriptor */

struct rest_link {
	CURL *curl;
	curl_socket_t fd;
	struct am_http_request *http;
	struct am_buf head;        /* as it came, parsed in place */
	struct am_buf rest;        /* came with it, and belongs to what follows */
};

/* ---- heads */

static bool
is_token(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", s[i]) != NULL)
			return false;
	return n > 0;
}

/* "Name: value" without its line end. */
static bool
parse_field(char *line, size_t n, struct rest_head *head)
{
	char *colon = memchr(line, ':', n);

	if (colon == NULL || !is_token(line, (size_t)(colon - line)) || head->n == REST_FIELDS_MAX)
		return false;
	char *value = colon + 1, *end = line + n;

	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (const char *p = value; p < end; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	*colon = *end = '\0';
	head->fields[head->n].name = line;
	head->fields[head->n++].value = value;
	return true;
}

static bool
parse_status(const char *line, size_t n, struct rest_head *head)
{
	const char *digits = line + strlen("HTTP/1.1 ");

	if (n < strlen("HTTP/1.1 200") || (!am_starts(line, "HTTP/1.1 ") && !am_starts(line, "HTTP/1.0 ")) ||
	    (n > strlen("HTTP/1.1 200") && digits[3] != ' '))
		return false;
	for (int i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return false;
		head->status = head->status * 10 + digits[i] - '0';
	}
	return head->status >= 100 && head->status < 600;
}

bool
rest_head_parse(char *text, struct rest_head *head)
{
	bool first = true;

	head->n = 0;
	head->status = 0;
	for (char *line = text, *next; *line != '\0'; line = next) {
		char *end = strchr(line, '\n');

		if (end == NULL)
			return false;
		next = end + 1;
		if (end > line && end[-1] == '\r')
			end--;
		*end = '\0';
		if (first ? !parse_status(line, (size_t)(end - line), head) : !parse_field(line, (size_t)(end - line), head))
			return false;
		first = false;
	}
	return !first;
}

const char *
rest_head_get(const struct rest_head *head, const char *name)
{
	for (size_t i = 0; i < head->n; i++)
		if (strcasecmp(head->fields[i].name, name) == 0)
			return head->fields[i].value;
	return NULL;
}

bool
rest_head_is_hop(const char *name)
{
	static const char *const hops[] = { "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate",
					    "Proxy-Authorization", "TE", "Trailer", "Transfer-Encoding", "Upgrade" };

	for (size_t i = 0; i < AM_COUNTOF(hops); i++)
		if (strcasecmp(hops[i], name) == 0)
			return true;
	return false;
}

void
rest_add_field(struct am_buf *out, const char *name, const char *value)
{
	am_buf_addf(out, "%s: ", name);
	for (const char *p = value; *p != '\0'; p++)
		am_buf_addc(out, (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p);
	am_buf_adds(out, "\r\n");
}

/* Browsers have no other place for a token than the list of protocols. */
static bool
add_protocols(void *arg, const char *value)
{
	static const char token[] = "base64url.bearer.authorization.k8s.io.";
	struct am_buf list = { 0 };

	while (*value != '\0') {
		value += strspn(value, ", \t");
		size_t n = strcspn(value, ",");

		if (n > 0 && !am_starts(value, token)) {
			am_buf_adds(&list, list.len > 0 ? ", " : "");
			am_buf_add(&list, value, n);
		}
		value += n;
	}
	if (list.len > 0)
		rest_add_field(arg, "Sec-WebSocket-Protocol", am_buf_str(&list));
	am_buf_fini(&list);
	return true;
}

void
rest_add_websocket(const struct am_http_request *http, struct am_buf *out)
{
	static const char *const fields[] = { "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions" };

	am_buf_adds(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	for (size_t i = 0; i < AM_COUNTOF(fields); i++) {
		const char *value = am_http_header(http, fields[i]);

		if (value != NULL)
			rest_add_field(out, fields[i], value);
	}
	am_http_header_each(http, "Sec-WebSocket-Protocol", add_protocols, out);
}

/* ---- dialling */

static int
on_progress(void *arg, curl_off_t a am_unused_, curl_off_t b am_unused_, curl_off_t c am_unused_, curl_off_t d am_unused_)
{
	return am_http_gone(arg);
}

static void
set_blob(CURL *curl, CURLoption option, char *pem)
{
	struct curl_blob blob = { pem, strlen(pem), CURL_BLOB_NOCOPY };

	curl_easy_setopt(curl, option, &blob);
}

int
rest_link_open(const char *origin, const struct rest_pki *pki, struct am_http_request *http, struct rest_link **ret,
	       struct ambient_error *err)
{
	struct rest_link *link = am_xcalloc(1, sizeof(*link));
	CURL *curl = curl_easy_init();
	CURLcode rc = CURLE_FAILED_INIT;

	link->curl = curl;
	link->http = http;
	if (curl != NULL) {
		curl_easy_setopt(curl, CURLOPT_URL, origin);
		curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIME);
		curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
		if (pki != NULL) {
			set_blob(curl, CURLOPT_SSLCERT_BLOB, pki->kubelet_cert);
			set_blob(curl, CURLOPT_SSLKEY_BLOB, pki->kubelet_key);
		}
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http);
		rc = curl_easy_perform(curl);
	}
	if (rc == CURLE_OK)
		rc = curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &link->fd);
	if (rc != CURLE_OK) {
		rest_link_close(link);
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s", curl_easy_strerror(rc));
	}
	*ret = link;
	return 0;
}

void
rest_link_close(struct rest_link *link)
{
	if (link == NULL)
		return;
	if (link->curl != NULL)
		curl_easy_cleanup(link->curl);
	am_buf_fini(&link->head);
	am_buf_fini(&link->rest);
	free(link);
}

/* As recv; 0 is the end. */
static ssize_t
link_read(struct rest_link *link, void *buf, size_t n)
{
	size_t got = 0;
	CURLcode rc = curl_easy_recv(link->curl, buf, n, &got);

	if (rc == CURLE_OK)
		return (ssize_t)got;
	errno = rc == CURLE_AGAIN ? EAGAIN : ECONNRESET;
	return -1;
}

static ssize_t
link_write(struct rest_link *link, const void *buf, size_t n)
{
	size_t sent = 0;
	CURLcode rc = curl_easy_send(link->curl, buf, n, &sent);

	if (rc == CURLE_OK && sent > 0)
		return (ssize_t)sent;
	errno = rc == CURLE_AGAIN || rc == CURLE_OK ? EAGAIN : ECONNRESET;
	return -1;
}

/* ---- one request */

/* Waits a moment; false when it is time to give up. */
static bool
wait_for(const struct rest_link *link, short events, int64_t until)
{
	struct pollfd p = { .fd = link->fd, .events = events };

	if (am_http_gone(link->http) || am_clock_boot(am_clock_real()) >= until)
		return false;
	(void)poll(&p, 1, 100);
	return true;
}

static int
send_all(struct rest_link *link, const char *p, size_t n, int64_t until, struct ambient_error *err)
{
	while (n > 0) {
		ssize_t k = link_write(link, p, n);

		if (k > 0) {
			p += k;
			n -= (size_t)k;
		} else if (errno != EAGAIN) {
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the connection was closed");
		} else if (!wait_for(link, POLLOUT, until)) {
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the request is not taken");
		}
	}
	return 0;
}

/* The length of a head with its empty line; 0: not whole yet. */
static size_t
head_length(const struct am_buf *text)
{
	for (size_t i = 0; i + 1 < text->len; i++)
		if (text->data[i] == '\n' && text->data[i + 1] == '\n')
			return i + 2;
		else if (text->data[i] == '\n' && i + 2 < text->len && text->data[i + 1] == '\r' && text->data[i + 2] == '\n')
			return i + 3;
	return 0;
}

static int
read_head(struct rest_link *link, int64_t until, struct rest_head *ret, struct ambient_error *err)
{
	char block[4096];
	size_t n;

	/* What came behind a head that said nothing yet begins this one. */
	struct am_buf old = link->head;

	link->head = link->rest;
	link->rest = old;
	while ((n = head_length(&link->head)) == 0) {
		ssize_t k = link->head.len < REST_HEAD_MAX ? link_read(link, block, sizeof(block)) : 0;

		if (k > 0)
			am_buf_add(&link->head, block, (size_t)k);
		else if (k == 0 && link->head.len >= REST_HEAD_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "the head of the answer is too large");
		else if (k == 0 || errno != EAGAIN)
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the connection was closed without an answer");
		else if (!wait_for(link, POLLIN, until))
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "there is no answer in time");
	}
	am_buf_reset(&link->rest);
	am_buf_add(&link->rest, link->head.data + n, link->head.len - n);
	/* The empty line goes, and a NUL inside would hide what follows. */
	size_t end = n - (link->head.data[n - 2] == '\r' ? 2 : 1);

	link->head.data[end] = '\0';
	if (link->head.failed || link->rest.failed || strlen(link->head.data) != end || !rest_head_parse(link->head.data, ret))
		return ambient_err(err, AMBIENT_E_INVALID, "the answer is no HTTP/1.1");
	return 0;
}

int
rest_link_ask(struct rest_link *link, const struct am_buf *request, struct rest_head *ret, struct ambient_error *err)
{
	int64_t until = am_clock_boot(am_clock_real()) + ANSWER_TIME;
	int rc = request->failed ? ambient_err(err, AMBIENT_E_NOMEM, "there is no memory for the request")
				 : send_all(link, request->data, request->len, until, err);

	do /* 100 Continue and its like say nothing yet */
		rc = rc < 0 ? rc : read_head(link, until, ret, err);
	while (rc == 0 && ret->status < 200 && ret->status != 101);
	return rc;
}

void
rest_link_body(struct rest_link *link, const struct rest_head *head, size_t max, struct am_buf *out)
{
	int64_t until = am_clock_boot(am_clock_real()) + BODY_TIME;
	const char *length = rest_head_get(head, "Content-Length");
	uint64_t want = max;
	char block[4096];

	if (length != NULL && am_parse_u64(length, &want) < 0)
		want = max;
	want = AM_MIN(want, (uint64_t)max);
	am_buf_add(out, am_buf_str(&link->rest), AM_MIN(link->rest.len, (size_t)want));
	while (out->len < want && !out->failed) {
		ssize_t k = link_read(link, block, AM_MIN(sizeof(block), (size_t)want - out->len));

		if (k > 0)
			am_buf_add(out, block, (size_t)k);
		else if (k == 0 || errno != EAGAIN || !wait_for(link, POLLIN, until))
			break;
	}
}

/* ---- bytes both ways */

struct way {
	char *data;
	size_t at, len;
};

enum moved { MOVED_NOTHING, MOVED_SOME, MOVED_LAST, MOVED_REFUSED };

typedef ssize_t read_f(void *side, void *buf, size_t n);
typedef ssize_t write_f(void *side, const void *buf, size_t n);

static enum moved
move(struct way *w, read_f *from, void *source, write_f *to, void *sink)
{
	bool moved = false;

	if (w->at == w->len) {
		ssize_t n = from(source, w->data, BLOCK);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return MOVED_LAST;
		w->at = 0;
		w->len = n > 0 ? (size_t)n : 0;
		moved = n > 0;
	}
	if (w->at < w->len) {
		ssize_t n = to(sink, w->data + w->at, w->len - w->at);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return MOVED_REFUSED;
		w->at += n > 0 ? (size_t)n : 0;
		moved |= n > 0;
	}
	return moved ? MOVED_SOME : MOVED_NOTHING;
}

static ssize_t
tunnel_read(void *side, void *buf, size_t n)
{
	return am_http_tunnel_read(side, buf, n);
}

static ssize_t
tunnel_write(void *side, const void *buf, size_t n)
{
	return am_http_tunnel_write(side, buf, n);
}

static ssize_t
side_read(void *side, void *buf, size_t n)
{
	return link_read(side, buf, n);
}

static ssize_t
side_write(void *side, const void *buf, size_t n)
{
	return link_write(side, buf, n);
}

/* The last of what the other side had said before its end. */
static void
send_last(const struct way *w, struct am_http_tunnel *tunnel)
{
	int64_t until = am_clock_boot(am_clock_real()) + LEAVE_TIME;
	size_t at = w->at;

	while (at < w->len && am_clock_boot(am_clock_real()) < until) {
		struct pollfd p = { .fd = am_http_tunnel_fd(tunnel), .events = POLLOUT };
		ssize_t n = am_http_tunnel_write(tunnel, w->data + at, w->len - at);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return;
		else
			(void)poll(&p, 1, 100);
	}
}

struct splice {
	struct rest_link *link;
	struct am_http_tunnel *tunnel;
	struct way in, out;        /* from and to the client */
	bool deaf;                 /* the other side takes nothing any more, and may still have said something */
	int64_t over_at;           /* since when an end is near */
};

/* Waits until one side can go on; false when an end has been near for too long. */
static bool
wait_for_sides(struct splice *s)
{
	int64_t now = am_clock_boot(am_clock_real());
	bool in_full = s->in.at < s->in.len, out_full = s->out.at < s->out.len;
	int client = (in_full || s->deaf ? 0 : POLLIN) | (out_full ? POLLOUT : 0);
	int other = (out_full ? 0 : POLLIN) | (in_full && !s->deaf ? POLLOUT : 0);

	if (s->over_at != AM_FOREVER && now - s->over_at > LEAVE_TIME)
		return false;
	if (s->over_at == AM_FOREVER && in_full)
		client |= POLLRDHUP;
	/* Of whom nothing is wanted may have hung up, which poll would not cease to say. */
	struct pollfd p[2] = {
		{ .fd = client != 0 ? am_http_tunnel_fd(s->tunnel) : -1, .events = (short)client },
		{ .fd = other != 0 ? s->link->fd : -1, .events = (short)other },
	};

	(void)poll(p, 2, LOOK_MS);
	if ((p[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 && (p[0].revents & (POLLIN | POLLOUT)) == 0)
		return false;
	if ((p[0].revents & POLLRDHUP) != 0)
		s->over_at = now;
	return true;
}

static void
splice(struct splice *s)
{
	while (!am_http_tunnel_stopping(s->tunnel)) {
		enum moved in = s->deaf ? MOVED_NOTHING : move(&s->in, tunnel_read, s->tunnel, side_write, s->link);

		if (in == MOVED_LAST)
			return;
		if (in == MOVED_REFUSED)
			s->deaf = true;
		enum moved out = move(&s->out, side_read, s->link, tunnel_write, s->tunnel);

		if (out == MOVED_LAST || out == MOVED_REFUSED)
			return;
		if (s->deaf)
			s->over_at = out == MOVED_SOME || in == MOVED_REFUSED ? am_clock_boot(am_clock_real()) : s->over_at;
		else if (in == MOVED_SOME)
			s->over_at = AM_FOREVER;
		if (in != MOVED_SOME && out != MOVED_SOME && (s->deaf || !am_http_tunnel_early(s->tunnel)) &&
		    !wait_for_sides(s))
			return;
	}
}

void
rest_link_splice(struct rest_link *link, struct am_http_tunnel *tunnel)
{
	struct splice s = { .link = link, .tunnel = tunnel, .in = { .data = am_xcalloc(1, BLOCK) },
			    .out = { .data = am_xcalloc(1, BLOCK), .len = link->rest.len }, .over_at = AM_FOREVER };

	am_assert(link->rest.len <= BLOCK);
	memcpy(s.out.data, am_buf_str(&link->rest), link->rest.len);
	splice(&s);
	send_last(&s.out, tunnel);
	free(s.in.data);
	free(s.out.data);
}

static void
pass(void *arg, struct am_http_tunnel *tunnel)
{
	struct rest_link *link = arg;

	if (tunnel != NULL)
		rest_link_splice(link, tunnel);
	rest_link_close(link);
}

int
rest_link_upgrade(struct am_http_request *http, struct rest_link *link, const struct rest_head *head,
		  struct am_failure *failure)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_http_set_header(http, "Upgrade", "websocket");
	for (size_t i = 0; i < head->n; i++)
		if (strncasecmp(head->fields[i].name, "Sec-WebSocket-", strlen("Sec-WebSocket-")) == 0 ||
		    strcasecmp(head->fields[i].name, "Set-Cookie") == 0)
			am_http_set_header(http, head->fields[i].name, head->fields[i].value);
	if (am_http_upgrade(http, pass, link, &err) == 0)
		return 0;
	if (err.code == AMBIENT_E_THROTTLED)
		return am_fail(failure, 429, "TooManyRequests", "%s", err.message);
	return am_fail(failure, 503, "ServiceUnavailable", "%s", err.message);
}
