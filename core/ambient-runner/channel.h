/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket between the runner and the agent's side: one JSON object a line, {"t": what, ...}, in both
 * directions, protocol 1 (doc/messages.md).  The runner trusts nothing that comes: a line is bounded, must be
 * UTF-8 and JSON without duplicate keys, and must be an object with a "t"; the first one that is not ends the
 * connection.  Reading and writing never block; what cannot be sent is queued, bounded.  One thread.
 */
#ifndef AM_RUNNER_CHANNEL_H
#define AM_RUNNER_CHANNEL_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/str.h"

#define AM_RUNNER_PROTOCOL   1
#define AM_RUNNER_LINE_MAX   (16u << 20)
#define AM_RUNNER_QUEUE_HIGH (4u << 20) /* above it a side stops making more */

struct am_channel {
	int fd;
	struct am_buf in, out;
	size_t taken;   /* of in: lines that were handed out */
	size_t scanned; /* of in: no newline before here */
	size_t line_max;
	bool eof;
};

void am_runner_channel_init(struct am_channel *channel, int fd);
void am_runner_channel_fini(struct am_channel *channel); /* closes fd */
/* Reads what is there.  0, or an error; the end of input sets eof. */
int am_runner_channel_read(struct am_channel *channel, struct ambient_error *err);
/* 1: *line (borrowed until the next read or next) is a checked object and t is its "t", cut to its size;
 * 0: none yet; else the peer broke the protocol. */
int am_runner_channel_next(struct am_channel *channel, struct am_slice *line, char t[32], struct ambient_error *err);
/* Queues one object (without newline) and tries to send. */
void am_runner_channel_send(struct am_channel *channel, const char *json, size_t n);
/* Sends what it can; an error when the peer has gone. */
int am_runner_channel_flush(struct am_channel *channel, struct ambient_error *err);
static inline bool
am_runner_channel_full(const struct am_channel *channel)
{
	return channel->out.len > AM_RUNNER_QUEUE_HIGH;
}

#endif
