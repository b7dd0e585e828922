/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels: connections that have left HTTP by a 101.
 *
 * libmicrohttpd has an upgrade of its own, but under TLS it moves what is left of its connection's memory at a time:
 * in 0.9.75 four bytes, each a record of its own.  So a tunnel is a request that stays suspended: while it
 * is, libmicrohttpd touches neither its socket nor its TLS session, and the tunnel's thread has both for itself.
 * It writes the 101, and when it is done the request is decided without an answer, which closes the connection.
 * Bytes that a peer sends before it has seen the 101 are lost to libmicrohttpd's buffer; none may do that.
 *
 * A thread per tunnel: there are few, and what they do (poll, copy) needs no sharing.
 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/http/http_priv.h"

#define HEAD_TIME (10 * AM_NS_PER_S)  /* for the peer to take the 101 */

struct am_http_tunnel {
	struct am_httpd *httpd;
	struct am_http_request *request;
	am_http_tunnel_f *fn;
	void *arg;
	int fd;
	gnutls_session_t tls;              /* NULL: plain */
	bool unsent;                       /* the TLS session holds a record that the socket has not taken */
	/* httpd->lock */
	struct am_http_tunnel *next;
	struct am_thread *thread;
	bool ended;
};

/* ---- bytes */

int
am_http_tunnel_fd(const struct am_http_tunnel *t)
{
	return t->fd;
}

bool
am_http_tunnel_early(const struct am_http_tunnel *t)
{
	return t->tls != NULL && gnutls_record_check_pending(t->tls) > 0;
}

static ssize_t
tls_result(ssize_t n)
{
	if (n >= 0)
		return n;
	errno = n == GNUTLS_E_AGAIN ? EAGAIN : n == GNUTLS_E_INTERRUPTED ? EINTR : ECONNRESET;
	/* An end without TLS' own goodbye: who needs to know has an end in his own protocol. */
	return n == GNUTLS_E_PREMATURE_TERMINATION ? 0 : -1;
}

ssize_t
am_http_tunnel_read(struct am_http_tunnel *t, void *buf, size_t n)
{
	/* TLS that has read an end which nobody announced says nothing more, and a last word is still to come. */
	if (am_http_tunnel_stopping(t))
		return 0;
	if (t->tls != NULL)
		return tls_result(gnutls_record_recv(t->tls, buf, n));
	return recv(t->fd, buf, n, MSG_DONTWAIT);
}

/* A write that would block is tried again with the same bytes, as TLS demands and callers do anyway. */
ssize_t
am_http_tunnel_write(struct am_http_tunnel *t, const void *buf, size_t n)
{
	if (t->tls == NULL)
		return send(t->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	ssize_t rc = t->unsent ? gnutls_record_send(t->tls, NULL, 0) : gnutls_record_send(t->tls, buf, n);

	t->unsent = rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED;
	return tls_result(rc);
}

bool
am_http_tunnel_stopping(const struct am_http_tunnel *t)
{
	return atomic_load(&t->httpd->stopping);
}

/* ---- life */

static bool
write_all(struct am_http_tunnel *t, const char *p, size_t n)
{
	int64_t until = am_clock_boot(am_clock_real()) + HEAD_TIME;

	while (n > 0 && am_clock_boot(am_clock_real()) < until) {
		struct pollfd out = { .fd = t->fd, .events = POLLOUT };
		ssize_t k = am_http_tunnel_write(t, p, n);

		if (k > 0) {
			p += k;
			n -= (size_t)k;
		} else if (k < 0 && errno != EAGAIN && errno != EINTR) {
			return false;
		} else {
			(void)poll(&out, 1, 100);
		}
	}
	return n == 0;
}

static bool
write_head(struct am_http_tunnel *t)
{
	const struct am_http_request *r = t->request;
	am_auto(am_buf_fini) struct am_buf head = { 0 };

	am_buf_adds(&head, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n");
	for (size_t i = 0; i < r->n_headers; i++)
		am_buf_addf(&head, "%s: %s\r\n", r->headers[i][0], r->headers[i][1]);
	am_buf_adds(&head, "\r\n");
	return !head.failed && write_all(t, head.data, head.len);
}

static void
tunnel_main(void *arg)
{
	struct am_http_tunnel *t = arg;
	struct am_httpd *httpd = t->httpd;
	struct am_http_request *r = t->request;

	if (r->observer != NULL)
		r->observer(r->observer_arg, MHD_HTTP_SWITCHING_PROTOCOLS, NULL);
	bool open = write_head(t);

	t->fn(t->arg, open ? t : NULL);
	if (open && t->tls != NULL)
		(void)gnutls_bye(t->tls, GNUTLS_SHUT_WR);
	am_lock(&httpd->lock);
	/* From here on stop does not touch the descriptor. */
	t->ended = true;
	httpd->tunnels--;
	am_unlock(&httpd->lock);
	am_http_decide(r, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, NULL);
	am_http_let_go(r);
}

/* Takes those out of the list that have ended; httpd->lock is held. */
static struct am_http_tunnel *
take_ended(struct am_httpd *httpd)
{
	struct am_http_tunnel *list = NULL;

	for (struct am_http_tunnel **link = &httpd->tunnel_list; *link != NULL;) {
		struct am_http_tunnel *t = *link;

		if (t->ended) {
			*link = t->next;
			t->next = list;
			list = t;
		} else {
			link = &t->next;
		}
	}
	return list;
}

static void
join(struct am_http_tunnel *list)
{
	while (list != NULL) {
		struct am_http_tunnel *t = list;

		list = t->next;
		am_thread_join(t->thread);
		free(t);
	}
}

/* The listener's lock is held. */
static int
check_room(struct am_httpd *httpd, struct ambient_error *err)
{
	if (atomic_load(&httpd->stopping))
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the server stops");
	if (httpd->tunnels >= AM_HTTP_TUNNELS_MAX)
		return ambient_err(err, AMBIENT_E_THROTTLED, "%d connections are upgraded already; try again later", httpd->tunnels);
	return 0;
}

int
am_http_may_upgrade(struct am_http_request *r, struct ambient_error *err)
{
	am_lock(&r->httpd->lock);
	int rc = check_room(r->httpd, err);

	am_unlock(&r->httpd->lock);
	return rc;
}

int
am_http_upgrade(struct am_http_request *r, am_http_tunnel_f *fn, void *arg, struct ambient_error *err)
{
	const union MHD_ConnectionInfo *info = r->httpd->o.cert_pem == NULL ? NULL :
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	struct am_httpd *httpd = r->httpd;
	struct am_http_tunnel *t = am_xcalloc(1, sizeof(*t)), *ended;
	int rc = 0;

	am_assert(!r->begun && !r->answered && r->state == AM_HTTP_QUEUED);
	*t = (struct am_http_tunnel){ .httpd = httpd, .request = r, .fn = fn, .arg = arg, .fd = r->fd,
				      .tls = info != NULL ? info->tls_session : NULL };
	am_lock(&httpd->lock);
	ended = take_ended(httpd);
	rc = check_room(httpd, err);
	if (rc == 0)
		t->thread = am_thread_new("http-tunnel", 0, tunnel_main, t);
	if (rc == 0 && t->thread == NULL)
		rc = ambient_err(err, AMBIENT_E_NOMEM, "there is no thread for another connection");
	if (rc == 0) {
		r->kept = true;
		httpd->tunnels++;
		t->next = httpd->tunnel_list;
		httpd->tunnel_list = t;
	}
	am_unlock(&httpd->lock);
	join(ended);
	if (rc < 0)
		free(t);
	return rc;
}

/* Who reads sees an end, and can still write a last word. */
void
am_http_tunnels_stop(struct am_httpd *httpd)
{
	for (struct am_http_tunnel *t = httpd->tunnel_list; t != NULL; t = t->next)
		if (!t->ended)
			(void)shutdown(t->fd, SHUT_RD);
}

void
am_http_tunnels_join(struct am_httpd *httpd)
{
	am_lock(&httpd->lock);
	struct am_http_tunnel *ended = take_ended(httpd);
	am_unlock(&httpd->lock);
	join(ended);
	am_assert(httpd->tunnel_list == NULL);
}
