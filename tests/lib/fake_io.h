/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A struct am_io without network and threads, on a fake clock: requests are recorded, answers are given by the test,
 * timers fire when the test moves the clock.  Everything happens on the test's thread, inside these calls; only post
 * may come from other threads.
 */
#ifndef TESTS_LIB_FAKE_IO_H
#define TESTS_LIB_FAKE_IO_H

#include "core/kube/io.h"

struct fake_request {
	char *method, *path, *body;  /* body NULL: none */
	int64_t timeout_ns, idle_ns, at; /* at: boot time of the start */
	bool watch, open, cancelled;
	size_t body_len;
};

struct am_io *fake_io_new(struct am_clock *clock);
/* Fails the test when a request is open, a timer armed or a post pending: the end of a state machine leaves nothing. */
void fake_io_free(struct am_io *io);

size_t fake_io_count(struct am_io *io);                          /* requests so far */
const struct fake_request *fake_io_request(struct am_io *io, size_t i);
size_t fake_io_open(struct am_io *io);                           /* requests that wait for an answer */
const struct fake_request *fake_io_last(struct am_io *io);       /* the last request; NULL: none */
size_t fake_io_timers(struct am_io *io);

/* These answer the oldest open request; they fail the test when there is none. */
void fake_io_answer(struct am_io *io, int status, const char *body);   /* head, body, end */
void fake_io_answer_retry(struct am_io *io, int status, const char *body, int64_t retry_after_ms);
void fake_io_fail(struct am_io *io, int code, int sys_errno);          /* ends it with a transport error */
void fake_io_head(struct am_io *io, int status);
void fake_io_data(struct am_io *io, const char *text);
void fake_io_data_n(struct am_io *io, const char *p, size_t n);
void fake_io_end(struct am_io *io);

/* Runs what was posted. */
void fake_io_run(struct am_io *io);
/* Moves the clock, stopping at each timer on the way and running it and what was posted. */
void fake_io_advance(struct am_io *io, int64_t ns);
/* Moves it straight to the next timer; returns how far, -1 without one. */
int64_t fake_io_next_timer(struct am_io *io);
/* The value of a query parameter of path, decoded, in a static buffer; NULL: absent. */
const char *fake_query(const char *path, const char *name);

#endif
