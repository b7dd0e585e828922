/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy for tests: one thread for each connection, which serves it to its end; bytes pass as they come. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "tests/lib/proxy_fake.h"

#define MAX_CONNECTIONS 32
#define HEAD_MAX        8192

struct proxy_fake {
	struct proxy_fake_options options;
	pthread_mutex_t mutex;        /* guards the rest */
	pthread_cond_t cond;          /* count has grown */
	pthread_t acceptor;
	int listen_fd, port, count, connections;
	bool stop;
	struct link {
		struct proxy_fake *proxy;
		pthread_t thread;
		int fd;
	} links[MAX_CONNECTIONS];
	char target[512], head[HEAD_MAX];
};

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "the fake proxy: %s failed\n", what);
	abort();
}

static bool
take(int fd, void *p, size_t n)
{
	return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static bool
give(int fd, const void *p, size_t n)
{
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static void
note(struct proxy_fake *proxy, const char *target, const char *head)
{
	(void)pthread_mutex_lock(&proxy->mutex);
	proxy->count++;
	(void)pthread_cond_broadcast(&proxy->cond);
	(void)snprintf(proxy->target, sizeof(proxy->target), "%s", target);
	(void)snprintf(proxy->head, sizeof(proxy->head), "%s", head);
	(void)pthread_mutex_unlock(&proxy->mutex);
}

static bool
answer(int fd, int status, const char *headers)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "HTTP/1.1 %d Scripted\r\n%s\r\n", status, headers != NULL ? headers : "");

	return give(fd, text, (size_t)n);
}

/* Is it who may?  The name and password in the head are base64, as they are asked for. */
static bool
known(const struct proxy_fake_options *o, const char *head)
{
	am_auto(am_buf_fini) struct am_buf expected = { 0 };

	if (o->user == NULL)
		return true;
	am_buf_adds(&expected, "Proxy-Authorization: Basic ");
	am_base64_encode(&expected, o->user, strlen(o->user), false);
	am_buf_adds(&expected, "\r\n");
	return strstr(head, am_buf_str(&expected)) != NULL;
}

static bool
http_asks(struct proxy_fake *proxy, int fd)
{
	const struct proxy_fake_options *o = &proxy->options;
	char head[HEAD_MAX] = "", target[512] = "";

	for (size_t n = 0; strstr(head, "\r\n\r\n") == NULL; n++)
		if (n + 1 >= sizeof(head) || !take(fd, head + n, 1))
			return false;
	if (sscanf(head, "CONNECT %500s HTTP/1.1", target) != 1)
		(void)snprintf(target, sizeof(target), "not CONNECT");
	note(proxy, target, head);
	if (!known(o, head))
		return answer(fd, 407, "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n") && false;
	return answer(fd, o->refuse != 0 ? o->refuse : 200, o->headers) && o->refuse == 0;
}

static bool
socks_knows(const struct proxy_fake_options *o, int fd)
{
	unsigned char n[2], method[2] = { 5, o->user != NULL ? 2 : 0 }, offered[255];
	char said[512] = "";

	if (!take(fd, n, 2) || n[0] != 5 || !take(fd, offered, n[1]))
		return false;
	if (memchr(offered, method[1], n[1]) == NULL)
		method[1] = 0xff;
	if (!give(fd, method, 2) || method[1] != 2)
		return method[1] == 0;
	if (!take(fd, n, 2) || !take(fd, said, n[1]))
		return false;
	size_t at = n[1];
	said[at++] = ':';
	if (!take(fd, n, 1) || !take(fd, said + at, n[0]))
		return false;
	unsigned char verdict[2] = { 1, strcmp(said, o->user) != 0 };
	return give(fd, verdict, 2) && verdict[1] == 0;
}

static bool
socks_asks(struct proxy_fake *proxy, int fd)
{
	const struct proxy_fake_options *o = &proxy->options;
	unsigned char head[4], n, port[2], ip[4], reply[10] = { 5, (unsigned char)o->refuse, 0, 1 };
	char host[256] = "", target[512];

	if (!socks_knows(o, fd) || !take(fd, head, 4))
		return false;
	if (head[3] == 3) {
		if (!take(fd, &n, 1) || !take(fd, host, n))
			return false;
	} else {
		if (head[3] != 1 || !take(fd, ip, 4))
			return false;
		(void)snprintf(host, sizeof(host), "%d.%d.%d.%d", ip[0], ip[1], ip[2], ip[3]);
	}
	if (!take(fd, port, 2))
		return false;
	(void)snprintf(target, sizeof(target), "%s:%d", host, port[0] << 8 | port[1]);
	note(proxy, target, "");
	return give(fd, reply, sizeof(reply)) && o->refuse == 0;
}

static int
dial(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				    .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connecting");
	return fd;
}

static bool
pass(int from, int to)
{
	char piece[16384];
	ssize_t n = recv(from, piece, sizeof(piece), 0);

	return n > 0 && give(to, piece, (size_t)n);
}

/* Until one of the two is through. */
static void
carry(struct proxy_fake *proxy, int fd)
{
	int server = dial(proxy->options.to_port);
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = server, .events = POLLIN } };
	bool ok = true;

	while (ok && poll(p, 2, -1) > 0) {
		if (p[0].revents != 0)
			ok = pass(fd, server);
		if (ok && p[1].revents != 0)
			ok = pass(server, fd);
	}
	(void)close(server);
}

static void *
serve(void *arg)
{
	struct link *link = arg;
	struct proxy_fake *proxy = link->proxy;
	char byte;

	if (proxy->options.mute) {
		note(proxy, "", "");
		while (recv(link->fd, &byte, 1, 0) > 0)
			continue;
	} else if (proxy->options.mode == PROXY_FAKE_SOCKS ? socks_asks(proxy, link->fd) : http_asks(proxy, link->fd)) {
		carry(proxy, link->fd);
	}
	(void)shutdown(link->fd, SHUT_RDWR); /* closed at the end, so that nobody else gets the number meanwhile */
	return NULL;
}

static void *
accept_all(void *arg)
{
	struct proxy_fake *proxy = arg;
	int fd;

	while ((fd = accept(proxy->listen_fd, NULL, NULL)) >= 0) {
		(void)pthread_mutex_lock(&proxy->mutex);
		must(proxy->connections < MAX_CONNECTIONS, "number of connections");
		struct link *link = &proxy->links[proxy->connections++];
		*link = (struct link){ .proxy = proxy, .fd = fd };
		must(pthread_create(&link->thread, NULL, serve, link) == 0, "thread");
		if (proxy->stop)
			(void)shutdown(fd, SHUT_RDWR);
		(void)pthread_mutex_unlock(&proxy->mutex);
	}
	return NULL;
}

struct proxy_fake *
proxy_fake_new(const struct proxy_fake_options *options)
{
	struct proxy_fake *proxy = am_xcalloc(1, sizeof(*proxy));
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	proxy->options = *options;
	(void)pthread_mutex_init(&proxy->mutex, NULL);
	(void)pthread_cond_init(&proxy->cond, NULL);
	proxy->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(proxy->listen_fd >= 0 && bind(proxy->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	     listen(proxy->listen_fd, 32) == 0 && getsockname(proxy->listen_fd, (struct sockaddr *)&addr, &len) == 0, "listen");
	proxy->port = ntohs(addr.sin_port);
	must(pthread_create(&proxy->acceptor, NULL, accept_all, proxy) == 0, "thread");
	return proxy;
}

void
proxy_fake_free(struct proxy_fake *proxy)
{
	(void)pthread_mutex_lock(&proxy->mutex);
	proxy->stop = true;
	for (int i = 0; i < proxy->connections; i++)
		(void)shutdown(proxy->links[i].fd, SHUT_RDWR);
	(void)pthread_mutex_unlock(&proxy->mutex);
	(void)shutdown(proxy->listen_fd, SHUT_RDWR);
	(void)pthread_join(proxy->acceptor, NULL);
	(void)close(proxy->listen_fd);
	for (int i = 0; i < proxy->connections; i++) {
		(void)pthread_join(proxy->links[i].thread, NULL);
		(void)close(proxy->links[i].fd);
	}
	(void)pthread_cond_destroy(&proxy->cond);
	(void)pthread_mutex_destroy(&proxy->mutex);
	free(proxy);
}

int
proxy_fake_port(const struct proxy_fake *proxy)
{
	return proxy->port;
}

int
proxy_fake_count(struct proxy_fake *proxy)
{
	(void)pthread_mutex_lock(&proxy->mutex);
	int n = proxy->count;
	(void)pthread_mutex_unlock(&proxy->mutex);
	return n;
}

bool
proxy_fake_wait(struct proxy_fake *proxy)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	(void)pthread_mutex_lock(&proxy->mutex);
	while (proxy->count == 0 && rc == 0)
		rc = pthread_cond_timedwait(&proxy->cond, &proxy->mutex, &until);
	(void)pthread_mutex_unlock(&proxy->mutex);
	return rc == 0;
}

static const char *
copy(struct proxy_fake *proxy, const char *from, char *to, size_t size)
{
	(void)pthread_mutex_lock(&proxy->mutex);
	(void)snprintf(to, size, "%s", from);
	(void)pthread_mutex_unlock(&proxy->mutex);
	return to;
}

const char *
proxy_fake_target(struct proxy_fake *proxy)
{
	static char target[512];

	return copy(proxy, proxy->target, target, sizeof(target));
}

const char *
proxy_fake_head(struct proxy_fake *proxy)
{
	static char head[HEAD_MAX];

	return copy(proxy, proxy->head, head, sizeof(head));
}
