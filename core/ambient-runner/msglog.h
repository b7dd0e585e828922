/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message log: .ambient/messages.jsonl is the truth about what a session did, and each line goes to standard
 * output too.  It takes what an agent says, hostile until shown otherwise: the type must be known, the fields an
 * object; they are redacted, numbered and bounded.  seq goes on where the file ends, also after a crash in the
 * middle of a line.  One thread.
 */
#ifndef AM_RUNNER_MSGLOG_H
#define AM_RUNNER_MSGLOG_H

#include <sys/types.h>

#include "core/ambient-runner/redact.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"

struct am_msglog;

struct am_msglog_options {
	const char *dir; /* made when missing; holds messages.jsonl and large/ */
	const char *run;
	const struct am_redactor *redactor;
	struct am_clock *clock;
	int stdout_fd; /* -1: none */
	int64_t max;   /* bytes of this run, 0: 64 MiB; then only what is not output is kept */
};

int am_runner_msglog_open(const struct am_msglog_options *options, struct am_msglog **ret, struct ambient_error *err);
/* Told, at once and after each line, how far the file holds whole lines and the number of the last one. */
void am_runner_msglog_listen(struct am_msglog *log, void (*written)(void *arg, off_t size, int64_t seq), void *arg);
void am_runner_msglog_close(struct am_msglog *log); /* fsyncs; NULL is fine */
/* fields: a checked JSON object.  -AMBIENT_E_INVALID: not a message, nothing was written.  Any other error means that
 * the log cannot be written (a full disk): the run must end. */
int am_runner_msglog_add(struct am_msglog *log, const char *type, struct am_slice fields, struct ambient_error *err);
/* The runner's own words: type "session" with state, "status" or "error" with reason. */
int am_runner_msglog_say(struct am_msglog *log, const char *type, const char *key, const char *value, const char *text,
			 struct ambient_error *err);
/* To be called now and then: syncs at most once a second. */
void am_runner_msglog_tick(struct am_msglog *log);
int64_t am_runner_msglog_seq(const struct am_msglog *log); /* of the last message */
bool am_runner_message_type_known(const char *type);

#endif
