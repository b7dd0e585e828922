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

#include "core/base/buf.h"
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
/* Is the agent at work ("running", "idle"; static), and what waits for an answer: members of a JSON array. */
void am_endpoint_turn(struct am_endpoint *endpoint, const char *turn, const char *pending);

/* ---- what people say; all but listen by one thread, the run's */

#define AM_INPUT_ID 64
#define AM_INPUT_TO 128

/* LOOK: nobody says anything, the agent's side is asked for the state of a clone. */
enum am_input_kind { AM_INPUT_MESSAGE, AM_INPUT_INTERRUPT, AM_INPUT_ANSWER, AM_INPUT_END, AM_INPUT_LOOK };
struct am_http_request;
struct am_input {
	enum am_input_kind kind;
	char id[AM_INPUT_ID + 1], client[41];
	char *text;        /* of a message */
	char *to, *answer; /* of an answer: what is answered; a JSON object.  to of a look: the repository */
	bool diff;         /* of a look */
	int64_t ref, seq;  /* the run's own */
	/* The endpoint's. */
	struct am_http_request *request;
	struct am_input *next;
	bool handed;
};

/* Somebody is there who hears; no longer: what was not taken yet is refused. */
void am_endpoint_listen(struct am_endpoint *endpoint, bool yes);
int am_endpoint_input_fd(const struct am_endpoint *endpoint); /* readable when there is something; -1 without endpoint */
/* The next that was not handed out; it stays the endpoint's until one of the two below. */
struct am_input *am_endpoint_input_next(struct am_endpoint *endpoint);
struct am_input *am_endpoint_input_find(struct am_endpoint *endpoint, int64_t ref); /* among those handed out */
void am_endpoint_input_taken(struct am_endpoint *endpoint, struct am_input *input, int64_t seq);
void am_endpoint_input_answered(struct am_endpoint *endpoint, struct am_input *input, struct am_buf *json); /* of a look */
void am_endpoint_input_refused(struct am_endpoint *endpoint, struct am_input *input, const char *reason,
			       const char *message);

/* Nothing more will be written: readers end when they have everything.  Waits for them, at most so long. */
void am_endpoint_finish(struct am_endpoint *endpoint, int64_t timeout_ns);
/* How long nobody with a key has asked for anything, and nothing is being sent. */
int64_t am_endpoint_idle(const struct am_endpoint *endpoint);
void am_endpoint_free(struct am_endpoint *endpoint); /* NULL is fine, as it is for all of these */

#endif
