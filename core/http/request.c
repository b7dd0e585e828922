/* SPDX-License-Identifier: Apache-2.0 */
/* The request as handlers read it: target, parameters, headers, body.  Nothing here is kept beyond the request. */
#include <poll.h>
#include <netdb.h>
#include <stdlib.h>

#include "core/http/http_priv.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
am_http_unescape(struct am_slice text, bool plus, struct am_buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '%') {
			int hi = text.n - i > 2 ? hex_digit(text.p[i + 1]) : -1;
			int lo = text.n - i > 2 ? hex_digit(text.p[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return false;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		am_buf_addc(out, c);
	}
	return !out->failed;
}

/* A whole URL is as good a target as its path, which a server must take; which host it names is not asked. */
static char *
origin_form(const char *target)
{
	static const char *const schemes[] = { "http://", "https://" };

	for (size_t i = 0; i < AM_COUNTOF(schemes); i++) {
		size_t n = strlen(schemes[i]);

		if (strncasecmp(target, schemes[i], n) != 0)
			continue;
		target += n + strcspn(target + n, "/?");
		return am_xasprintf("%s%s", *target == '/' ? "" : "/", target);
	}
	return strdup(target);
}

struct am_http_request *
am_http_request_new(struct am_httpd *httpd, struct MHD_Connection *connection, const char *target)
{
	struct am_http_request *r = calloc(1, sizeof(*r));
	const union MHD_ConnectionInfo *info;

	if (r == NULL)
		return NULL;
	r->target = origin_form(target);
	if (r->target == NULL) {
		free(r);
		return NULL;
	}
	r->httpd = httpd;
	r->connection = connection;
	r->refs = 1;
	r->method = "GET";
	r->fd = -1;
	r->length = MHD_SIZE_UNKNOWN;
	const char *mark = strchr(r->target, '?');
	r->path = am_slice(r->target, mark != NULL ? (size_t)(mark - r->target) : strlen(r->target));
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	if (info != NULL)
		r->fd = info->connect_fd;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	if (info != NULL)
		r->conn = info->socket_context;
	am_lock_init(&r->lock, "http-request");
	return r;
}

void
am_http_request_ref(struct am_http_request *r)
{
	atomic_fetch_add(&r->refs, 1);
}

void
am_http_request_unref(struct am_http_request *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (r->observer != NULL)
		r->observer(r->observer_arg, 0, NULL);
	if (r->release != NULL)
		r->release(r->attached);
	for (size_t i = 0; i < r->n_params; i++) {
		free(r->params[i].name);
		free(r->params[i].value);
	}
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i][0]);
		free(r->headers[i][1]);
	}
	free(r->headers);
	if (r->response != NULL)
		MHD_destroy_response(r->response);
	if (r->pipe != NULL) {
		am_buf_fini(&r->pipe->buf);
		am_cond_fini(&r->pipe->room);
		free(r->pipe);
	}
	free(r->params);
	free(r->path_plain);
	free(r->target);
	am_buf_fini(&r->body);
	am_lock_fini(&r->lock);
	free(r);
}

const char *
am_http_method(const struct am_http_request *r)
{
	return r->method;
}

const char *
am_http_target(const struct am_http_request *r)
{
	return r->target;
}

struct am_slice
am_http_raw_path(const struct am_http_request *r)
{
	return r->path;
}

const char *
am_http_path(struct am_http_request *r)
{
	if (r->path_plain == NULL) {
		struct am_buf buf = { 0 };

		/* A broken escape leaves the text as it came: no route matches it. */
		if (am_http_unescape(r->path, false, &buf))
			r->path_plain = am_xstrdup(am_buf_str(&buf));
		else
			r->path_plain = am_xstrndup(r->path.p, r->path.n);
		am_buf_fini(&buf);
	}
	return r->path_plain;
}

static char *
unescaped(const char *p, size_t n)
{
	struct am_buf buf = { 0 };
	char *ret = NULL;

	if (am_http_unescape(am_slice(p, n), true, &buf))
		ret = strdup(am_buf_str(&buf));
	else
		ret = strndup(p, n);
	am_buf_fini(&buf);
	return ret;
}

static void
parse_params(struct am_http_request *r)
{
	const char *p = r->target + r->path.n;

	/* As many as the head has room for: a command to execute must not lose its end. */
	r->max_params = 1;
	for (const char *q = p; *q != '\0'; q++)
		r->max_params += *q == '&';
	r->params = calloc(r->max_params, sizeof(*r->params));
	if (r->params == NULL || *p != '?')
		return;
	p++;
	while (*p != '\0' && r->n_params < r->max_params) {
		size_t n = strcspn(p, "&");
		const char *eq = memchr(p, '=', n);
		size_t name_len = eq != NULL ? (size_t)(eq - p) : n;

		if (name_len > 0) {
			struct am_http_param *param = &r->params[r->n_params];

			param->name = unescaped(p, name_len);
			param->value = eq != NULL ? unescaped(eq + 1, n - name_len - 1) : strdup("");
			if (param->name == NULL || param->value == NULL) {
				free(param->name);
				free(param->value);
				memset(param, 0, sizeof(*param));
				return;
			}
			r->n_params++;
		}
		p += n;
		if (*p == '&')
			p++;
	}
}

bool
am_http_query_at(struct am_http_request *r, size_t i, const char **name, const char **value)
{
	if (r->params == NULL)
		parse_params(r);
	if (i >= r->n_params)
		return false;
	*name = r->params[i].name;
	*value = r->params[i].value;
	return true;
}

const char *
am_http_query(struct am_http_request *r, const char *name)
{
	const char *n, *v;

	for (size_t i = 0; am_http_query_at(r, i, &n, &v); i++)
		if (strcmp(n, name) == 0)
			return v;
	return NULL;
}

const char *
am_http_header(const struct am_http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct each {
	const char *name;
	bool (*fn)(void *arg, const char *value);
	void *arg;
};

static enum MHD_Result
each_header(void *cls, enum MHD_ValueKind kind am_unused_, const char *key, const char *value)
{
	struct each *each = cls;

	if (strcasecmp(key, each->name) != 0)
		return MHD_YES;
	return each->fn(each->arg, value != NULL ? value : "") ? MHD_YES : MHD_NO;
}

void
am_http_header_each(const struct am_http_request *r, const char *name, bool (*fn)(void *, const char *), void *arg)
{
	struct each each = { name, fn, arg };

	MHD_get_connection_values(r->connection, MHD_HEADER_KIND, each_header, &each);
}

struct each_prefix {
	const char *prefix;
	bool (*fn)(void *arg, const char *rest, const char *value);
	void *arg;
};

static enum MHD_Result
each_prefixed(void *cls, enum MHD_ValueKind kind am_unused_, const char *key, const char *value)
{
	struct each_prefix *each = cls;
	size_t n = strlen(each->prefix);

	if (strncasecmp(key, each->prefix, n) != 0)
		return MHD_YES;
	return each->fn(each->arg, key + n, value != NULL ? value : "") ? MHD_YES : MHD_NO;
}

void
am_http_headers_of(const struct am_http_request *r, const char *prefix,
		   bool (*fn)(void *, const char *, const char *), void *arg)
{
	struct each_prefix each = { prefix, fn, arg };

	MHD_get_connection_values(r->connection, MHD_HEADER_KIND, each_prefixed, &each);
}

struct search {
	const char *word;
	bool found;
};

static bool
search_list(void *arg, const char *value)
{
	struct search *s = arg;
	size_t len = strlen(s->word);

	while (*value != '\0' && !s->found) {
		value += strspn(value, ", \t");
		size_t n = strcspn(value, ",");
		const char *next = value + n;

		while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
			n--;
		s->found = n == len && strncasecmp(value, s->word, n) == 0;
		value = next;
	}
	return !s->found;
}

bool
am_http_header_has(const struct am_http_request *r, const char *name, const char *word)
{
	struct search s = { word, false };

	am_http_header_each(r, name, search_list, &s);
	return s.found;
}

struct am_slice
am_http_body(const struct am_http_request *r)
{
	return am_slice(am_buf_str(&r->body), r->body.len);
}

void
am_http_attach(struct am_http_request *r, void *data, void (*release)(void *))
{
	am_assert(r->release == NULL);
	r->attached = data;
	r->release = release;
}

void
am_http_observe(struct am_http_request *r, am_http_observer_f *observer, void *arg)
{
	am_assert(r->observer == NULL);
	r->observer = observer;
	r->observer_arg = arg;
}

void
am_http_address(const struct am_http_request *r, char buf[64])
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info != NULL ? info->client_addr : NULL;
	socklen_t len = sa != NULL && sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (sa == NULL || getnameinfo(sa, len, buf, 64, NULL, 0, NI_NUMERICHOST) != 0)
		buf[0] = '\0';
}

struct am_httpd *
am_http_listener(const struct am_http_request *r)
{
	return r->httpd;
}

const struct am_http_peer *
am_http_peer(const struct am_http_request *r)
{
	return am_http_peer_of(r->conn, r->connection);
}

bool
am_http_fd_gone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return fd < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0);
}

void
am_http_keep(struct am_http_request *r)
{
	r->kept = true;
}
