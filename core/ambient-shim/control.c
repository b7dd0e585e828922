/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket: lines of JSON both ways, protocol 4.  The shim greets with {"shim":4,"pid":N}.
 *   {"op":"status"}            -> {"ok":true,"containers":[…],…}
 *   {"op":"stop","graceMs":N}  -> {"ok":true}; without graceMs: the pod's own grace
 *   {"op":"subscribe"}         -> {"ok":true}, then every record of state.jsonl as it is written
 *   {"op":"exec","container":C,"argv":[…],"stdin":B,"stdout":B,"stderr":B} -> {"ok":true}, {"exit":N} at its end; with the
 *     line go the descriptors of those that are true, in this order; with "tty":true none, and the answer brings the
 *     terminal's master.  One a connection; it is killed when the connection ends.  Since protocol 2.
 *   {"op":"attach","container":C,"stdin":B,"stdout":B,"stderr":B} -> {"ok":true}, {"exit":N} at the container's end; with the
 *     line go the descriptors for stdout and stderr, with the answer comes one for the input, if wanted and there is one
 *   {"op":"input-ended"}       -> {"ok":true}; who is attached writes no more
 *   {"op":"deadline","seconds":N} -> {"ok":true}; the pod's deadline, counted as that of its specification.  Since protocol 3.
 *   {"op":"hold","container":C} -> {"ok":true}; it ends, if it runs, whatever the policy is started again, and waits for:
 *   {"op":"define","container":C} -> {"ok":true}; with the line goes a memory file, the container as in a specification.  Both
 *     since protocol 4.
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
close_fds(struct shim_client *client)
{
	for (size_t i = 0; i < client->fd_count; i++)
		(void)close(client->fds[i]);
	client->fd_count = 0;
}

static void
drop(struct shim *shim, size_t i)
{
	shim_exec_abandon(shim, shim->clients[i].fd);
	shim_attach_abandon(shim, shim->clients[i].fd);
	close_fds(&shim->clients[i]);
	(void)close(shim->clients[i].fd);
	am_buf_fini(&shim->clients[i].in);
	shim->clients[i] = shim->clients[--shim->client_count];
}

/* False when the client was dropped: it does not read what we say.  fd goes along; -1: none. */
static bool
say(struct shim *shim, size_t i, const char *line, size_t n, int fd)
{
	if (shim_send(shim->clients[i].fd, line, n, fd))
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
	shim->clients[shim->client_count] = (struct shim_client){ .fd = fd, .in = { .max = SHIM_LINE_MAX } };
	int n = snprintf(hello, sizeof(hello), "{\"shim\":%d,\"pid\":%d}\n", SHIM_PROTOCOL_VERSION, (int)getpid());
	(void)say(shim, shim->client_count++, hello, (size_t)n, -1);
}

void
shim_control_tell(struct shim *shim, const char *line, size_t n)
{
	for (size_t i = 0; i < shim->client_count;)
		i += !shim->clients[i].subscribed || say(shim, i, line, n, -1) ? 1 : 0;
}

void
shim_control_tell_one(struct shim *shim, int fd, const char *line, size_t n)
{
	for (size_t i = 0; i < shim->client_count; i++)
		if (shim->clients[i].fd == fd) {
			(void)say(shim, i, line, n, -1);
			return;
		}
}

/* False when the client was dropped. */
static bool
answer(struct shim *shim, size_t i, const char *line, size_t n)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct shim_client *client = &shim->clients[i];
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc, fd = client->fd, master = -1;
	struct shim_op op;

	rc = shim_op_parse(arena, line, n, &op, &err);
	if (rc == 0 && op.kind == SHIM_OP_EXEC)
		rc = shim_exec_start(shim, &op, fd, client->fds, client->fd_count, &master, &err);
	else if (rc == 0 && op.kind == SHIM_OP_ATTACH)
		rc = shim_attach_start(shim, &op, fd, client->fds, client->fd_count, &master, &err);
	else if (rc == 0 && op.kind == SHIM_OP_INPUT_ENDED)
		shim_attach_input_ended(shim, fd);
	else if (rc == 0 && op.kind == SHIM_OP_DEADLINE)
		shim->deadline = op.seconds * AM_NS_PER_S;
	else if (rc == 0 && op.kind == SHIM_OP_HOLD)
		rc = shim_define_hold(shim, op.container, &err);
	else if (rc == 0 && op.kind == SHIM_OP_DEFINE)
		rc = shim_define(shim, op.container, client->fds, client->fd_count, &err);
	close_fds(client);
	if (rc < 0)
		am_json_addf(&out, "{\"ok\":false,\"error\":%s}\n", err.message);
	else if (op.kind == SHIM_OP_STATUS)
		shim_snapshot(shim, &out);
	else
		am_buf_adds(&out, "{\"ok\":true}\n");
	bool said = say(shim, i, am_buf_str(&out), out.len, master);

	if (master >= 0)
		(void)close(master);
	if (!said)
		return false;
	client->subscribed = client->subscribed || op.kind == SHIM_OP_SUBSCRIBE;
	if (rc == 0 && op.kind == SHIM_OP_STOP) {
		shim_stop(shim, op.grace >= 0 && op.grace < INT64_C(1000000000) ? op.grace * AM_NS_PER_MS : shim->grace);
		/* Telling the subscribers may have dropped this one. */
		return i < shim->client_count && shim->clients[i].fd == fd;
	}
	return true;
}

/* What has come; false when the client is to be dropped. */
static bool
take(struct shim_client *client)
{
	char chunk[4096];
	int fds[SHIM_FDS_MAX];
	ssize_t n = shim_recv(client->fd, chunk, sizeof(chunk), fds, SHIM_FDS_MAX);

	if (n < 0 && errno == EAGAIN)
		return true;
	for (size_t i = 0; i < SHIM_FDS_MAX && fds[i] >= 0; i++) {
		if (client->fd_count < SHIM_FDS_MAX) {
			client->fds[client->fd_count++] = fds[i];
			continue;
		}
		(void)close(fds[i]);
		n = -1;
	}
	if (n > 0)
		am_buf_add(&client->in, chunk, (size_t)n);
	return n > 0 && !client->in.failed;
}

void
shim_control_read(struct shim *shim, size_t i)
{
	struct am_buf *in = &shim->clients[i].in;
	char *nl;

	if (!take(&shim->clients[i])) {
		drop(shim, i);
		return;
	}
	while (in->len > 0 && (nl = memchr(in->data, '\n', in->len)) != NULL) {
		size_t len = (size_t)(nl - in->data);
		am_auto(am_freep) char *line = am_xstrndup(in->data, len);

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
