/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: see proxy.h. */
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "tests/thirdparty/proxy/proxy.h"

enum { MESSAGE_MAX = 16 << 20 };

static void
die(const char *what)
{
	fprintf(stderr, "proxy: %s\n", what);
	_exit(3);
}

void
wire_send(int fd, const struct am_node *message)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	am_buf_add(&text, "\0\0\0", 4);
	am_node_print(message, &text);
	if (text.failed || text.len > MESSAGE_MAX)
		die("a message is too large");
	for (int i = 0; i < 4; i++)
		text.data[i] = (char)((text.len - 4) >> (24 - 8 * i));
	if (am_write_all(fd, text.data, text.len) < 0)
		die("the other side is gone");
}

static size_t
read_full(int fd, char *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, p + done, n - done);

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

struct am_node *
wire_recv(int fd, struct am_arena *arena)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	unsigned char head[4];
	size_t got = read_full(fd, (char *)head, sizeof(head)), n = 0;

	if (got == 0)
		return NULL;
	for (int i = 0; i < 4; i++)
		n = n << 8 | head[i];
	if (got < sizeof(head) || n > MESSAGE_MAX)
		die("no message");
	char *text = am_arena_alloc(arena, n);
	if (text == NULL || read_full(fd, text, n) < n)
		die("half a message");
	struct am_node *message = am_node_parse(arena, text, n, &err);
	if (message == NULL)
		die(err.message);
	return message;
}

struct am_node *
wire_op(struct am_arena *arena, const char *op)
{
	struct am_node *message = am_node_object(arena);

	wire_put(arena, message, "op", op);
	return message;
}

void
wire_put(struct am_arena *arena, struct am_node *message, const char *key, const char *text)
{
	am_node_set(arena, message, key, text != NULL ? am_node_str(arena, text) : am_node_null(arena));
}

void
wire_put_int(struct am_arena *arena, struct am_node *message, const char *key, int64_t i)
{
	am_node_set(arena, message, key, am_node_int(arena, i));
}

const char *
wire_str(const struct am_node *message, const char *key)
{
	return am_node_get_str(message, key, NULL);
}

int64_t
wire_int(const struct am_node *message, const char *key)
{
	int64_t i = 0;

	(void)am_node_get_int(message, key, &i);
	return i;
}

void
wire_put_error(struct am_arena *arena, struct am_node *message, int rc, const struct ambient_error *err)
{
	wire_put_int(arena, message, "code", -rc);
	if (rc == 0)
		return;
	wire_put(arena, message, "message", err->message);
	wire_put(arena, message, "reason", err->reason);
	wire_put(arena, message, "where", err->where);
	wire_put_int(arena, message, "flags", err->flags);
	wire_put_int(arena, message, "status", err->http_status);
	wire_put_int(arena, message, "retryAfterMs", err->retry_after_ms);
}

int
wire_get_error(const struct am_node *message, struct ambient_error *err)
{
	int code = (int)wire_int(message, "code");

	if (code == 0)
		return 0;
	(void)ambient_err(err, code, "%s", am_node_get_str(message, "message", ""));
	if (err == NULL)
		return -code;
	(void)am_strlcpy(err->reason, am_node_get_str(message, "reason", ""), sizeof(err->reason));
	(void)am_strlcpy(err->where, am_node_get_str(message, "where", ""), sizeof(err->where));
	err->flags = (uint32_t)wire_int(message, "flags");
	err->http_status = (int32_t)wire_int(message, "status");
	err->retry_after_ms = wire_int(message, "retryAfterMs");
	return -code;
}
