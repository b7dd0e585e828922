/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the endpoint share: endpoint.c is its life, who may ask and the table of paths; endpoint_log.c
 * finds and cuts lines of the message log, endpoint_messages.c streams them, endpoint_input.c takes what people say,
 * endpoint_files.c shows the workspace.
 */
#ifndef AM_RUNNER_ENDPOINT_PRIV_H
#define AM_RUNNER_ENDPOINT_PRIV_H

#include "core/ambient-runner/endpoint.h"
#include "core/ambient-runner/keys.h"
#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/http/http.h"

#define AM_TAKEN_MAX     256
#define AM_HTTP_BODY_MAX ((size_t)1 << 20)

struct am_reader;

struct am_endpoint {
	struct am_endpoint_options options; /* its strings are copies */
	struct am_httpd *httpd;
	int log_fd;
	struct am_lock lock; /* guards the rest */
	struct am_cond drained;
	struct am_keys keys;
	const char *state;
	char conversation[129];
	off_t size;
	int64_t seq;
	bool finished, aborting;
	bool looking;     /* a clone is being looked at */
	int64_t asked_at; /* when somebody with a key asked last */
	struct am_reader *readers; /* those that were pulled once */
	int n_readers;
	const char *turn;
	struct am_buf pending;
	bool listening;
	struct am_input *inputs; /* in order; the run's thread has those that were handed out */
	struct am_taken {
		char client[AM_KEY_CLIENT + 1], id[AM_INPUT_ID + 1];
		int64_t seq;
	} taken[AM_TAKEN_MAX]; /* a ring */
	size_t next_taken;
	int input_fd; /* set once */
};

static inline int64_t
am_endpoint_now(void)
{
	return am_clock_boot(am_clock_real());
}

/* {"reason", "message"} */
void am_endpoint_refuse(struct am_http_request *request, int status, const char *reason, const char *fmt, ...)
	am_printf_(4, 5);
/* The parameter, or fallback; -1: it is neither true nor false, and the request was answered. */
int am_endpoint_flag(struct am_http_request *request, const char *name, int fallback);

/* Is the key that was found before still good? */
bool am_endpoint_allowed(struct am_endpoint *endpoint, const struct am_key *key);

/* endpoint_log.c.  Lines are what msglog.c writes: {"seq":N,"time":...,"run":...,"type":... */
/* Where the first line begins whose seq is at least from; size when there is none.  -errno. */
off_t am_endpoint_log_find(int fd, off_t size, int64_t from);
/* Of a log that nobody writes to: where its last whole line ends, and its number. */
void am_endpoint_log_end(int fd, off_t *size, int64_t *seq);
/* A place in the log from which bytes are taken in order. */
struct am_log_cursor {
	int fd;
	off_t at;
	bool partial;   /* pieces of texts too */
	bool inside, skipping; /* of a line */
};
/* Puts bytes of lines before limit (the beginning of a line) into buf, which holds at least 1 KiB.  0 with at < limit:
 * all that was looked at was skipped, call again; -1: the log cannot be read. */
ssize_t am_endpoint_log_take(struct am_log_cursor *cursor, off_t limit, char *buf, size_t max);

/* endpoint_messages.c */
void am_endpoint_messages(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
/* endpoint_files.c */
void am_endpoint_files(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
void am_endpoint_large(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
/* endpoint_git.c */
void am_endpoint_git(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
/* endpoint_input.c */
void am_endpoint_ask_look(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key, const char *repo,
			  bool diff);
void am_endpoint_input(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
/* With the lock: wakes those for whom something may have changed. */
void am_endpoint_wake_readers(struct am_endpoint *endpoint);

#endif
