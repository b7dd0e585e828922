/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP endpoint of a session's pod (doc/messages.md, "The endpoint"): messages out, and what a person says in.
 * It lives beside the run: requests are served by its own threads whatever the main thread does, and nothing that
 * happens here can end or block the run.  Whoever asks shows a key that the session names (keys.h); only /healthz is
 * for everybody.
 *
 * Functions may be called from any thread.
 */
#ifndef AM_RUNNER_ENDPOINT_H
#define AM_RUNNER_ENDPOINT_H

#include <sys/types.h>

#include "core/base/err.h"
#include "core/base/str.h"

struct am_endpoint;

struct am_endpoint_options {
	const char *address; /* "10.1.2.3:8001", "[fd00::1]:8001" */
	const char *dir;     /* the session's, absolute */
	const char *run;     /* its id */
	bool interactive;
	bool content;        /* of a session that has ended: nobody is there to hear */
};

int am_endpoint_start(const struct am_endpoint_options *options, struct am_endpoint **ret, struct ambient_error *err);
uint16_t am_endpoint_port(const struct am_endpoint *endpoint);
/* The session as it is now: who may ask.  p NULL: it is gone, nobody may. */
void am_endpoint_session(struct am_endpoint *endpoint, struct am_slice session);
/* The message log holds whole lines up to size; the last one has this number. */
void am_endpoint_written(struct am_endpoint *endpoint, off_t size, int64_t seq);
/* preparing, running, pushing, done; static. */
void am_endpoint_state(struct am_endpoint *endpoint, const char *state);
void am_endpoint_conversation(struct am_endpoint *endpoint, const char *id);
/* Nothing more will be written: readers end when they have everything.  Waits for them, at most so long. */
void am_endpoint_finish(struct am_endpoint *endpoint, int64_t timeout_ns);
void am_endpoint_free(struct am_endpoint *endpoint); /* NULL is fine, as it is for all of these */

#endif
