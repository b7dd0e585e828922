/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O thread: one curl multi handle, timers and posted functions.  Callbacks run on it and must not block
 * or take longer than 5 ms.  State machines (reflector, elector) are driven only from here, so that they need no
 * locks; unit tests drive the same state machines with a fake one (tests/lib/fake_io.c) and a fake clock.
 */
#ifndef AM_KUBE_IO_H
#define AM_KUBE_IO_H

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

struct am_io;
struct am_timer;
struct am_transfer;

/* What goes out.  Borrowed for the duration of start(). */
struct am_http_req {
	const char *method;
	const char *path;               /* with query, "/api/v1/pods?limit=500" */
	const char *const *headers;     /* "Name: value", ended by NULL; or NULL */
	const char *body;
	size_t body_len;
	int64_t timeout_ns;             /* of the whole; 0: none (watch) */
	int64_t deadline;               /* boot time: not sent later, by then it has ended; 0: none */
	int64_t idle_ns;                /* no byte for so long: TIMEOUT; 0: none */
	bool watch;                     /* a connection of its own; not limited by the request rate */
	bool pausable;                  /* its sink may return AM_HTTP_PAUSE */
	bool urgent;                    /* not limited by the request rate: a lease must not wait behind workers */
};

/* What data returns when it cannot take the piece now: the transfer waits for resume, which hands over the same
 * bytes again.  Only of the real one, and only for sinks that need it. */
#define AM_HTTP_PAUSE 1

/* done is always called exactly once, also after cancel (with CANCELLED), never from within start, and is the last
 * call.  From any of these it is allowed to start and cancel transfers, this one too. */
struct am_http_sink {
	/* Status line and headers are there; retry_after_ms is 0 without the header.  May be NULL. */
	void (*head)(void *arg, int status, const char *content_type, int64_t retry_after_ms);
	/* A piece of the body.  Negative ends the transfer with that error. */
	int (*data)(void *arg, const char *p, size_t n, struct ambient_error *err);
	/* err is NULL when the body ended normally, whatever the status; else the transport's trouble, where
	 * err->sys_errno is ECONNREFUSED, ECONNRESET or EPIPE (unexpected end) when that is known. */
	void (*done)(void *arg, const struct ambient_error *err);
	void *arg;
};

/* Never returns NULL from start: what is wrong with the request is told by done. */
struct am_io_ops {
	struct am_transfer *(*start)(struct am_io *io, const struct am_http_req *req, const struct am_http_sink *sink);
	void (*cancel)(struct am_io *io, struct am_transfer *transfer); /* done follows before cancel returns */
	struct am_timer *(*timer)(struct am_io *io, int64_t at_boot, void (*fn)(void *), void *arg);
	void (*timer_cancel)(struct am_io *io, struct am_timer *timer); /* NULL is fine; not after it fired */
	/* The only one that any thread may call: runs fn on the I/O thread soon. */
	void (*post)(struct am_io *io, void (*fn)(void *), void *arg);
	bool (*on_thread)(struct am_io *io);
	void (*resume)(struct am_io *io, struct am_transfer *transfer); /* after AM_HTTP_PAUSE; may be NULL in fakes */
};

/* Head of every implementation. */
struct am_io {
	const struct am_io_ops *ops;
	struct am_clock *clock;
};

static inline struct am_transfer *
am_io_start(struct am_io *io, const struct am_http_req *req, const struct am_http_sink *sink) { return io->ops->start(io, req, sink); }
static inline void
am_io_cancel(struct am_io *io, struct am_transfer *t) { io->ops->cancel(io, t); }
static inline struct am_timer *
am_io_timer(struct am_io *io, int64_t at, void (*fn)(void *), void *arg) { return io->ops->timer(io, at, fn, arg); }
static inline void
am_io_timer_cancel(struct am_io *io, struct am_timer *t) { if (t != NULL) io->ops->timer_cancel(io, t); }
static inline void
am_io_post(struct am_io *io, void (*fn)(void *), void *arg) { io->ops->post(io, fn, arg); }
/* fn(arg) on the I/O thread: at once when this is it, else soon. */
static inline void
am_io_run(struct am_io *io, void (*fn)(void *), void *arg)
{
	if (io->ops->on_thread(io))
		fn(arg);
	else
		am_io_post(io, fn, arg);
}

#endif
