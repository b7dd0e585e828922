/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a line on the socket asks for, and descriptors beside bytes.  A line comes from the daemon's user only, yet
 * all of it is checked: a shim may be older or newer than who talks to it.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/str.h"
#include "core/data/node.h"

static bool
truth(const struct am_node *node, const char *key)
{
	const struct am_node *v = am_node_get(node, key);

	return v != NULL && v->type == AMBIENT_T_BOOL && v->boolean;
}

/* NULL unless it is a list of one string or more, none of which has a NUL inside. */
static const char *const *
words(struct am_arena *arena, const struct am_node *list)
{
	const char **out;
	size_t i = 0;

	if (list == NULL || list->type != AMBIENT_T_ARRAY || list->count == 0)
		return NULL;
	out = am_arena_zalloc(arena, (list->count + 1) * sizeof(*out));
	for (const struct am_node *e = out != NULL ? list->first : NULL; e != NULL; e = e->next) {
		if (e->type != AMBIENT_T_STRING || strlen(e->text) != e->len)
			return NULL;
		out[i++] = e->text;
	}
	return out;
}

int
shim_op_parse(struct am_arena *arena, const char *line, size_t n, struct shim_op *ret, struct ambient_error *err)
{
	static const struct {
		const char *name;
		int kind;
	} known[] = { { "status", SHIM_OP_STATUS }, { "subscribe", SHIM_OP_SUBSCRIBE }, { "stop", SHIM_OP_STOP },
		      { "exec", SHIM_OP_EXEC }, { "attach", SHIM_OP_ATTACH }, { "input-ended", SHIM_OP_INPUT_ENDED },
		      { "deadline", SHIM_OP_DEADLINE }, { "hold", SHIM_OP_HOLD }, { "define", SHIM_OP_DEFINE } };
	const struct am_node *root = am_node_parse(arena, line, n, err);
	const char *op;

	*ret = (struct shim_op){ .kind = SHIM_OP_NONE, .grace = -1 };
	if (root == NULL)
		return -AMBIENT_E_INVALID;
	op = am_node_get_str(root, "op", NULL);
	if (op == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "there is no op");
	for (size_t i = 0; i < AM_COUNTOF(known); i++)
		if (am_streq(op, known[i].name))
			ret->kind = known[i].kind;
	(void)am_node_get_int(root, "graceMs", &ret->grace);
	(void)am_node_get_int(root, "seconds", &ret->seconds);
	ret->container = am_node_get_str(root, "container", NULL);
	ret->argv = words(arena, am_node_get(root, "argv"));
	ret->tty = truth(root, "tty");
	ret->std[0] = truth(root, "stdin");
	ret->std[1] = truth(root, "stdout");
	ret->std[2] = truth(root, "stderr");
	if (ret->kind == SHIM_OP_NONE)
		return ambient_err(err, AMBIENT_E_INVALID,
				   "unknown op; known: status, stop, subscribe, exec, attach, input-ended, deadline, hold, define");
	if (ret->kind == SHIM_OP_EXEC && (ret->container == NULL || ret->argv == NULL))
		return ambient_err(err, AMBIENT_E_INVALID, "exec needs a container and argv, a list of strings");
	if ((ret->kind == SHIM_OP_ATTACH || ret->kind == SHIM_OP_HOLD || ret->kind == SHIM_OP_DEFINE) && ret->container == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "%s needs a container", op);
	if (ret->kind == SHIM_OP_DEADLINE && (ret->seconds < 1 || ret->seconds > INT32_MAX))
		return ambient_err(err, AMBIENT_E_INVALID, "deadline needs seconds between 1 and %d", INT32_MAX);
	return 0;
}

bool
shim_send(int socket, const void *data, size_t n, int fd)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(sizeof(int))]; } control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)data, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
}

/* Descriptors beyond max are closed, and the message counts as broken. */
static bool
take_fds(struct msghdr *msg, int *fds, size_t max)
{
	bool whole = (msg->msg_flags & MSG_CTRUNC) == 0;
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (n < max)
				fds[n++] = fd;
			else
				(void)close(fd);
			whole = whole && n <= max;
		}
	}
	return whole;
}

ssize_t
shim_recv(int socket, void *buf, size_t size, int *fds, size_t max)
{
	union { struct cmsghdr head; char space[CMSG_SPACE(SHIM_FDS_MAX * sizeof(int))]; } control;
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	for (size_t i = 0; i < max; i++)
		fds[i] = -1;
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 || take_fds(&msg, fds, max))
		return n;
	for (size_t i = 0; i < max; i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
		fds[i] = -1;
	}
	errno = EPROTO;
	return -1;
}
