/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/fake_mhd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/str.h"
#include "core/base/util.h"
#include "core/http/http_priv.h"

#define HEADERS_MAX 256
#define EARLY_MAX   ((size_t)96 << 10) /* what a socket takes at once */
#define PATIENCE    (60 * AM_NS_PER_S)
#define MOMENT      AM_NS_PER_MS /* in which a stream has something to say, or has not */

struct MHD_Response {
	int refs;
	char *data;
	size_t n;
	MHD_ContentReaderFreeCallback release_data, release;
	MHD_ContentReaderCallback reader;
	void *arg;
	char content_type[128];
};

struct MHD_Connection {
	struct {
		char *name, *value;
	} headers[HEADERS_MAX];
	size_t n_headers;
	char *method, *target, *version; /* one text, the method's */
	int fd, peer;
	void *context, *socket_context;
	bool suspended; /* guarded by the mutex below */
	struct MHD_Response *response;
	unsigned status;
};

/* What MHD_start_daemon was told. */
struct MHD_Daemon {
	MHD_AccessHandlerCallback access;
	void *access_arg;
	void *(*target)(void *arg, const char *uri, struct MHD_Connection *connection);
	void *target_arg;
	MHD_RequestCompletedCallback completed;
	void *completed_arg;
	MHD_NotifyConnectionCallback connection;
	void *connection_arg;
	int listen_fd;
};

static struct MHD_Daemon the_daemon;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resumed = PTHREAD_COND_INITIALIZER;

/* ---- the library's functions */

void
MHD_set_panic_func(MHD_PanicCallback cb am_unused_, void *arg am_unused_)
{
}

struct MHD_Daemon *
MHD_start_daemon(unsigned flags am_unused_, uint16_t port am_unused_, MHD_AcceptPolicyCallback apc am_unused_,
		 void *apc_arg am_unused_, MHD_AccessHandlerCallback access, void *access_arg, ...)
{
	struct MHD_Daemon *d = &the_daemon;
	enum MHD_OPTION option;
	va_list ap;

	d->access = access;
	d->access_arg = access_arg;
	va_start(ap, access_arg);
	while ((option = va_arg(ap, enum MHD_OPTION)) != MHD_OPTION_END) {
		switch (option) {
		case MHD_OPTION_LISTEN_SOCKET:
			d->listen_fd = va_arg(ap, int);
			break;
		case MHD_OPTION_URI_LOG_CALLBACK:
			d->target = va_arg(ap, void *(*)(void *, const char *, struct MHD_Connection *));
			d->target_arg = va_arg(ap, void *);
			break;
		case MHD_OPTION_NOTIFY_COMPLETED:
			d->completed = va_arg(ap, MHD_RequestCompletedCallback);
			d->completed_arg = va_arg(ap, void *);
			break;
		case MHD_OPTION_NOTIFY_CONNECTION:
			d->connection = va_arg(ap, MHD_NotifyConnectionCallback);
			d->connection_arg = va_arg(ap, void *);
			break;
		case MHD_OPTION_EXTERNAL_LOGGER:
		case MHD_OPTION_UNESCAPE_CALLBACK:
			(void)va_arg(ap, void (*)(void));
			(void)va_arg(ap, void *);
			break;
		case MHD_OPTION_CONNECTION_LIMIT:
		case MHD_OPTION_CONNECTION_TIMEOUT:
		case MHD_OPTION_STRICT_FOR_CLIENT:
			(void)va_arg(ap, unsigned);
			break;
		case MHD_OPTION_CONNECTION_MEMORY_LIMIT:
			(void)va_arg(ap, size_t);
			break;
		case MHD_OPTION_ARRAY:
			(void)va_arg(ap, void *);
			break;
		default:
			am_assert_failed("an option that the fake does not know", __FILE__, __LINE__,
					 "MHD_start_daemon");
		}
	}
	va_end(ap);
	return d;
}

int
MHD_quiesce_daemon(struct MHD_Daemon *d)
{
	return d->listen_fd;
}

void
MHD_stop_daemon(struct MHD_Daemon *d)
{
	memset(d, 0, sizeof(*d));
}

const char *
MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind am_unused_, const char *key)
{
	for (size_t i = 0; i < c->n_headers; i++)
		if (strcasecmp(c->headers[i].name, key) == 0)
			return c->headers[i].value;
	return NULL;
}

int
MHD_get_connection_values(struct MHD_Connection *c, enum MHD_ValueKind kind, MHD_KeyValueIterator fn, void *arg)
{
	size_t i = 0;

	while (i < c->n_headers && fn(arg, kind, c->headers[i].name, c->headers[i].value) == MHD_YES)
		i++;
	return (int)i;
}

const union MHD_ConnectionInfo *
MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType type, ...)
{
	static _Thread_local union MHD_ConnectionInfo info;

	switch (type) {
	case MHD_CONNECTION_INFO_CONNECTION_FD:
		info.connect_fd = c->fd;
		return &info;
	case MHD_CONNECTION_INFO_SOCKET_CONTEXT:
		info.socket_context = c->socket_context;
		return &info;
	default:
		return NULL;
	}
}

/* Only the time limit is ever set, and nothing here is idle. */
enum MHD_Result
MHD_set_connection_option(struct MHD_Connection *c, enum MHD_CONNECTION_OPTION option, ...)
{
	(void)c;
	return option == MHD_CONNECTION_OPTION_TIMEOUT ? MHD_YES : MHD_NO;
}

void
MHD_suspend_connection(struct MHD_Connection *c)
{
	pthread_mutex_lock(&mutex);
	c->suspended = true;
	pthread_mutex_unlock(&mutex);
}

void
MHD_resume_connection(struct MHD_Connection *c)
{
	pthread_mutex_lock(&mutex);
	c->suspended = false;
	pthread_cond_signal(&resumed);
	pthread_mutex_unlock(&mutex);
}

static struct MHD_Response *
response_new(void)
{
	struct MHD_Response *r = am_xcalloc(1, sizeof(*r));

	r->refs = 1;
	return r;
}

struct MHD_Response *
MHD_create_response_from_buffer(size_t n, void *data, enum MHD_ResponseMemoryMode mode am_unused_)
{
	struct MHD_Response *r = response_new();

	r->data = data;
	r->n = n;
	return r;
}

struct MHD_Response *
MHD_create_response_from_buffer_with_free_callback(size_t n, void *data, MHD_ContentReaderFreeCallback release)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(n, data, MHD_RESPMEM_MUST_FREE);

	r->release_data = release;
	return r;
}

struct MHD_Response *
MHD_create_response_from_callback(uint64_t size am_unused_, size_t block am_unused_, MHD_ContentReaderCallback reader,
				  void *arg, MHD_ContentReaderFreeCallback release)
{
	struct MHD_Response *r = response_new();

	r->reader = reader;
	r->arg = arg;
	r->release = release;
	return r;
}

enum MHD_Result
MHD_add_response_header(struct MHD_Response *r, const char *name, const char *value)
{
	/* What would break the answer's head. */
	am_assert(name[strcspn(name, "\r\n: ")] == '\0' && value[strcspn(value, "\r\n")] == '\0');
	if (strcasecmp(name, "Content-Type") == 0)
		am_strlcpy(r->content_type, value, sizeof(r->content_type));
	return MHD_YES;
}

enum MHD_Result
MHD_queue_response(struct MHD_Connection *c, unsigned status, struct MHD_Response *r)
{
	am_assert(c->response == NULL && status >= 100 && status < 600);
	r->refs++;
	c->response = r;
	c->status = status;
	return MHD_YES;
}

void
MHD_destroy_response(struct MHD_Response *r)
{
	if (--r->refs > 0)
		return;
	if (r->release_data != NULL)
		r->release_data(r->data);
	if (r->release != NULL)
		r->release(r->arg);
	free(r);
}

/* ---- the request's head */

static bool
next_line(const char **p, const char *end, struct am_slice *line)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));

	if (nl == NULL)
		return false;
	*line = am_slice(*p, (size_t)(nl - *p));
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	*p = nl + 1;
	return memchr(line->p, '\0', line->n) == NULL;
}

static bool
request_line(struct MHD_Connection *c, struct am_slice line)
{
	const char *sp = memchr(line.p, ' ', line.n);
	const char *last = sp != NULL ? memrchr(line.p, ' ', line.n) : NULL;

	if (sp == NULL || last == sp || sp == line.p || last - line.p + 6 > (ptrdiff_t)line.n ||
	    strncmp(last + 1, "HTTP/", 5) != 0)
		return false;
	/* As the library does: cut up where it stands. */
	c->method = am_xstrndup(line.p, line.n);
	c->target = c->method + (sp + 1 - line.p);
	c->version = c->method + (last + 1 - line.p);
	c->target[-1] = c->version[-1] = '\0';
	return true;
}

static bool
header_line(struct MHD_Connection *c, struct am_slice line)
{
	const char *colon = memchr(line.p, ':', line.n), *value, *end = line.p + line.n;

	if (line.p[0] == ' ' || line.p[0] == '\t') { /* the one before goes on */
		if (c->n_headers == 0)
			return false;
		char **at = &c->headers[c->n_headers - 1].value;
		char *longer = am_xasprintf("%s%.*s", *at, (int)line.n, line.p);

		free(*at);
		*at = longer;
		return true;
	}
	if (colon == NULL || c->n_headers == HEADERS_MAX - 1)
		return false;
	for (value = colon + 1; value < end && (*value == ' ' || *value == '\t'); value++)
		;
	c->headers[c->n_headers].name = am_xstrndup(line.p, (size_t)(colon - line.p));
	c->headers[c->n_headers++].value = am_xstrndup(value, (size_t)(end - value));
	return true;
}

/* Whether the library would hand it on; *body: what is behind the head. */
static bool
read_head(struct MHD_Connection *c, const char *p, size_t n, const char *extra, struct am_slice *body)
{
	const char *end = p + n;
	struct am_slice line;

	if (!next_line(&p, end, &line) || !request_line(c, line))
		return false;
	if (extra != NULL && !header_line(c, am_slice_of(extra)))
		return false;
	while (next_line(&p, end, &line)) {
		if (line.n == 0) {
			*body = am_slice(p, (size_t)(end - p));
			return true;
		}
		if (!header_line(c, line))
			return false;
	}
	return false;
}

/* ---- one request */

static bool
resumed_within(struct MHD_Connection *c, int64_t ns)
{
	int64_t until = am_clock_wall(am_clock_real()) + ns;
	struct timespec ts = { .tv_sec = until / AM_NS_PER_S, .tv_nsec = until % AM_NS_PER_S };
	int rc = 0;

	pthread_mutex_lock(&mutex);
	while (c->suspended && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&resumed, &mutex, &ts);
	bool ret = !c->suspended;
	pthread_mutex_unlock(&mutex);
	return ret;
}

/* A request that is never answered, or a stream that outlives its peer, ends the test here. */
static void
await(struct MHD_Connection *c)
{
	am_assert(resumed_within(c, PATIENCE));
}

static enum MHD_Result
call_access(struct MHD_Connection *c, const char *data, size_t n)
{
	size_t left = n;
	enum MHD_Result rc =
		the_daemon.access(the_daemon.access_arg, c, c->target, c->method, c->version, data, &left, &c->context);

	am_assert(rc != MHD_YES || left == 0 || c->response != NULL);
	return rc;
}

static enum MHD_RequestTerminationCode
pull(struct MHD_Connection *c, struct am_clock *clock, struct am_buf *out)
{
	struct MHD_Response *r = c->response;
	char block[16 << 10];

	if (r->reader == NULL) {
		am_buf_add(out, r->data, r->n);
		return MHD_REQUEST_TERMINATED_COMPLETED_OK;
	}
	for (;;) {
		ssize_t n = r->reader(r->arg, out->len, block, sizeof(block));

		am_assert(n <= (ssize_t)sizeof(block));
		if (n == MHD_CONTENT_READER_END_OF_STREAM)
			return MHD_REQUEST_TERMINATED_COMPLETED_OK;
		if (n < 0)
			return MHD_REQUEST_TERMINATED_WITH_ERROR;
		am_buf_add(out, block, (size_t)n);
		if (n == 0 && !resumed_within(c, MOMENT)) {
			(void)shutdown(c->peer, SHUT_RDWR);
			am_clock_fake_advance(clock, AM_HTTP_HEARTBEAT);
			await(c);
		}
	}
}

static void
converse(struct MHD_Connection *c, struct am_slice body, struct am_clock *clock, struct fake_mhd_answer *ret)
{
	enum MHD_RequestTerminationCode code = MHD_REQUEST_TERMINATED_WITH_ERROR;
	size_t half = body.n / 2;

	c->context = the_daemon.target(the_daemon.target_arg, c->target, c);
	enum MHD_Result rc = call_access(c, NULL, 0);
	if (rc == MHD_YES && c->response == NULL && half > 0)
		rc = call_access(c, body.p, half);
	if (rc == MHD_YES && c->response == NULL && body.n > half)
		rc = call_access(c, body.p + half, body.n - half);
	if (rc == MHD_YES && c->response == NULL)
		rc = call_access(c, NULL, 0);
	while (rc == MHD_YES && c->response == NULL) {
		await(c);
		rc = call_access(c, NULL, 0);
	}
	if (rc == MHD_YES) {
		ret->status = c->status;
		am_strlcpy(ret->content_type, c->response->content_type, sizeof(ret->content_type));
		code = pull(c, clock, &ret->body);
	}
	the_daemon.completed(the_daemon.completed_arg, c, &c->context, code);
	if (c->response != NULL)
		MHD_destroy_response(c->response);
}

static void
open_sockets(struct MHD_Connection *c, const struct am_buf *early)
{
	int fds[2];

	am_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	c->fd = fds[0];
	c->peer = fds[1];
	if (early == NULL)
		return;
	size_t n = AM_MIN(early->len, EARLY_MAX);

	am_assert(send(c->peer, early->data, n, MSG_DONTWAIT) == (ssize_t)n);
	(void)shutdown(c->peer, SHUT_WR);
}

void
fake_mhd_serve(const struct fake_mhd_request *q, struct fake_mhd_answer *ret)
{
	struct MHD_Connection c = { .fd = -1, .peer = -1 };
	struct am_slice body;

	*ret = (struct fake_mhd_answer){ 0 };
	ret->request = read_head(&c, q->bytes, q->n, q->header, &body);
	if (ret->request) {
		open_sockets(&c, q->early);
		the_daemon.connection(the_daemon.connection_arg, &c, &c.socket_context, MHD_CONNECTION_NOTIFY_STARTED);
		converse(&c, body, q->clock, ret);
		the_daemon.connection(the_daemon.connection_arg, &c, &c.socket_context, MHD_CONNECTION_NOTIFY_CLOSED);
		(void)close(c.fd);
		(void)close(c.peer);
	}
	for (size_t i = 0; i < c.n_headers; i++) {
		free(c.headers[i].name);
		free(c.headers[i].value);
	}
	free(c.method);
}
