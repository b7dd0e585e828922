/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket: lines of JSON both ways, protocol 1.  The shim greets with {"shim":1,"pid":N}.
 *   {"op":"status"}            -> {"ok":true,"containers":[…],…}
 *   {"op":"stop","graceMs":N}  -> {"ok":true}; without graceMs: the pod's own grace
 *   {"op":"subscribe"}         -> {"ok":true}, then every record of state.jsonl as it is written
 * Anything else is answered by {"ok":false,"error":…}.  The socket lies in a directory of mode 0700.  It is
 * bound through /proc/self/fd, since the path may be longer than a socket's address.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/data/scan.h"

#define LINE_LIMIT 4096

int
shim_control_open(struct shim *shim, struct ambient_error *err)
{
	am_auto(am_freep) char *dir = am_xstrdup(shim->socket);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char *name = strrchr(dir, '/');
	int dir_fd, n, rc = 0;

	*name++ = '\0';
	dir_fd = open(dir[0] != '\0' ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return am_err_errno(err, errno, "cannot open \"%s\"", dir);
	shim->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", dir_fd, name);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path)) {
		rc = ambient_err(err, AMBIENT_E_INVALID, "the socket's name \"%s\" is too long", name);
	} else {
		(void)unlinkat(dir_fd, name, 0);
		if (shim->listen_fd < 0 || bind(shim->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
		    listen(shim->listen_fd, 8) < 0)
			rc = am_err_errno(err, errno, "cannot listen on \"%s\"", shim->socket);
	}
	(void)close(dir_fd);
	return rc;
}

static void
drop(struct shim *shim, size_t i)
{
	(void)close(shim->clients[i].fd);
	am_buf_fini(&shim->clients[i].in);
	shim->clients[i] = shim->clients[--shim->client_count];
}

/* False when the client was dropped: it does not read what we say. */
static bool
say(struct shim *shim, size_t i, const char *line, size_t n)
{
	if (send(shim->clients[i].fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n)
		return true;
	drop(shim, i);
	return false;
}

void
shim_control_accept(struct shim *shim)
{
	int fd = accept4(shim->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char hello[64];

	if (fd < 0)
		return;
	if (shim->client_count == SHIM_CLIENTS_MAX) {
		(void)close(fd);
		return;
	}
	shim->clients[shim->client_count] = (struct shim_client){ .fd = fd, .in = { .max = LINE_LIMIT } };
	int n = snprintf(hello, sizeof(hello), "{\"shim\":%d,\"pid\":%d}\n", SHIM_PROTOCOL_VERSION, (int)getpid());
	(void)say(shim, shim->client_count++, hello, (size_t)n);
}

void
shim_control_tell(struct shim *shim, const char *line, size_t n)
{
	for (size_t i = 0; i < shim->client_count;)
		i += !shim->clients[i].subscribed || say(shim, i, line, n) ? 1 : 0;
}

static bool
answer(struct shim *shim, size_t i, const char *line, size_t n)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct am_slice text = am_slice(line, n);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *op = NULL;
	int64_t grace;

	if (am_json_check(line, n, &err) < 0)
		am_json_addf(&out, "{\"ok\":false,\"error\":%s}\n", err.message);
	else if ((op = am_json_dup(text, "/op")) == NULL)
		am_buf_adds(&out, "{\"ok\":false,\"error\":\"there is no op\"}\n");
	else if (strcmp(op, "status") == 0)
		shim_snapshot(shim, &out);
	else if (strcmp(op, "subscribe") == 0)
		am_buf_adds(&out, "{\"ok\":true}\n");
	else if (strcmp(op, "stop") == 0)
		am_buf_adds(&out, "{\"ok\":true}\n");
	else
		am_json_addf(&out, "{\"ok\":false,\"error\":\"unknown op; known: status, stop, subscribe\"}\n");
	if (!say(shim, i, am_buf_str(&out), out.len))
		return false;
	if (op != NULL && strcmp(op, "subscribe") == 0)
		shim->clients[i].subscribed = true;
	if (op != NULL && strcmp(op, "stop") == 0) {
		int fd = shim->clients[i].fd;

		grace = am_json_int(text, "/graceMs", -1);
		shim_stop(shim, grace >= 0 && grace < INT64_C(1000000000) ? grace * AM_NS_PER_MS : shim->grace);
		/* Telling the subscribers may have dropped this one. */
		return i < shim->client_count && shim->clients[i].fd == fd;
	}
	return true;
}

void
shim_control_read(struct shim *shim, size_t i)
{
	char chunk[LINE_LIMIT];
	ssize_t n = recv(shim->clients[i].fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	struct am_buf *in = &shim->clients[i].in;
	char *nl;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		am_buf_add(in, chunk, (size_t)n);
	if (n <= 0 || in->failed) {
		drop(shim, i);
		return;
	}
	while (in->len > 0 && (nl = memchr(in->data, '\n', in->len)) != NULL) {
		char line[LINE_LIMIT];
		size_t len = (size_t)(nl - in->data);

		memcpy(line, in->data, len);
		am_buf_consume(in, len + 1);
		if (!answer(shim, i, line, len))
			return;
	}
}

void
shim_control_close(struct shim *shim)
{
	while (shim->client_count > 0)
		drop(shim, shim->client_count - 1);
	if (shim->listen_fd >= 0)
		(void)close(shim->listen_fd);
	(void)unlink(shim->socket);
}
