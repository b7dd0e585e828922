/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin in another process.  The parent has the host's tables and a descriptor whose callbacks talk to a child;
 * the child maps the plugin's file and hands it a table of which each function asks the parent.  What crosses the
 * socket is JSON, each message behind its length as four bytes, the most significant first.  Objects cross as
 * copies.  One message is under way at a time: the parent asks for a callback, answers what that asks for, and
 * gets {"op":"done"} at its end.  A proof that the interface can be cut here, not a feature.
 */
#ifndef TESTS_PROXY_H
#define TESTS_PROXY_H

#include <ambient/ambient.h>

#include "core/data/node.h"

/* Both end the process when the other side is gone or talks nonsense; recv returns NULL at the end of input. */
void wire_send(int fd, const struct am_node *message);
struct am_node *wire_recv(int fd, struct am_arena *arena);
/* {"op": op}; text NULL is null. */
struct am_node *wire_op(struct am_arena *arena, const char *op);
void wire_put(struct am_arena *arena, struct am_node *message, const char *key, const char *text);
void wire_put_int(struct am_arena *arena, struct am_node *message, const char *key, int64_t i);
const char *wire_str(const struct am_node *message, const char *key); /* NULL: absent or null */
int64_t wire_int(const struct am_node *message, const char *key);
/* "code", "message" and what else an error has; get returns -code. */
void wire_put_error(struct am_arena *arena, struct am_node *message, int rc, const struct ambient_error *err);
int wire_get_error(const struct am_node *message, struct ambient_error *err);

/* The child's side; never returns. */
void proxy_child(int fd, const char *so);
/* The parent's side: starts a child (this program with --child) for the file.  The descriptor is valid for good. */
const struct ambient_plugin *proxy_start(const char *so);
void proxy_stop(void);
size_t proxy_messages(void); /* how many have crossed */

#endif
