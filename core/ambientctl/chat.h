/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of chat: the link to the runner (link.c: two threads, which never touch the terminal), the terminal
 * (term.c), the conversation (talk.c: what was asked, streamed and answered), and the loops with and without a terminal
 * (chat.c, plain.c), which run on the main thread and own everything but the link's inside.
 */
#ifndef CTL_CHAT_H
#define CTL_CHAT_H

#include <poll.h>

#include "core/ambientctl/ctl.h"
#include "core/ambientctl/edit.h"

/* ---- link.c */
enum ctl_event_kind {
	CTL_EVENT_MESSAGE,     /* text: the line */
	CTL_EVENT_WAITING,     /* text: why there is nobody to talk to yet */
	CTL_EVENT_UP,          /* the runner answers, or its agent has started; text: its status.  What follows are messages */
	CTL_EVENT_AWAY,        /* text: what happened; it is tried again */
	CTL_EVENT_SENT,        /* text: the id */
	CTL_EVENT_REFUSED,     /* id: which; text: why it was not taken */
	CTL_EVENT_OVER,        /* text: the sentence, code: the exit code; nothing follows */
};

struct ctl_event {
	struct ctl_event *next;
	enum ctl_event_kind kind;
	int code;
	char id[32];
	size_t n;
	char text[];
};

struct ctl_link;

/* Messages from that number on; 0: only new ones; below 0: the last so many and new ones.  wake_fd gets a byte when there
 * is something new to take. */
struct ctl_link *ctl_link_open(struct ctl *ctl, struct ctl_endpoint *endpoint, int64_t from, int wake_fd);
struct ctl_event *ctl_link_next(struct ctl_link *link); /* NULL: nothing now; to be freed */
/* Sends a body, ahead of others when it is urgent.  Takes the text. */
void ctl_link_send(struct ctl_link *link, const char *id, struct am_buf *body, bool urgent);
/* How many bodies that were not urgent have not arrived, or not that it is known. */
size_t ctl_link_unheard(struct ctl_link *link);
void ctl_link_close(struct ctl_link *link); /* NULL is fine */

/* ---- talk.c */
#define CTL_ASKS_MAX 16

struct ctl_ask {
	char *id;
	char *text;            /* of a permission: what is to be done; of questions: the JSON of them */
	size_t at;             /* which of the questions */
	struct am_buf answers; /* to those before it, members of JSON */
	bool question;
};

struct ctl_talk {
	const struct ctl *ctl;
	const char *client;    /* our id in what the runner writes of us */
	struct ctl_ask asks[CTL_ASKS_MAX];
	size_t ask_count;
	struct am_buf streamed; /* pieces of the text whose whole is to come */
	bool begun;            /* something came that can be understood by itself */
	bool broken_off;       /* the line of streamed was ended before its whole text came */
	bool running;          /* a turn is */
	bool preparing;        /* the agent has not started: whether a turn runs is not known */
	bool asked;            /* something new is asked, to be shown by ctl_talk_prompt */
	bool failed;           /* the last turn */
	bool text_only;        /* what the agent says and nothing else */
};

/* The runner's status: whether the agent is there, and a turn is running. */
void ctl_talk_status(struct ctl_talk *talk, const char *status);
/* What is to be printed of a message; incomplete lines are those of a text that streams. */
void ctl_talk_message(struct ctl_talk *talk, const char *line, size_t n, struct am_buf *out);
/* What is asked now, in whole lines. */
void ctl_talk_prompt(const struct ctl_talk *talk, struct am_buf *out);
/* How it can be answered; "" when nothing is asked. */
const char *ctl_talk_hint(const struct ctl_talk *talk);
/* The body that a text makes: an answer, or a message; id is made.  False: said says why it cannot be sent. */
bool ctl_talk_say(struct ctl_talk *talk, const char *text, char id[32], struct am_buf *body, struct am_buf *said);
/* A body of another type: "interrupt" or "end". */
void ctl_talk_order(const char *type, char id[32], struct am_buf *body);
void ctl_talk_fini(struct ctl_talk *talk);

/* ---- term.c: the terminal, which is given back however the program ends, short of SIGKILL. */
int ctl_term_enter(struct ambient_error *err); /* raw mode, pastes in brackets */
void ctl_term_leave(void);
void ctl_term_size(unsigned *columns, unsigned *lines);
void ctl_term_suspend(void); /* returns when the person comes back; raw again */

/* ---- chat.c */
struct ctl_signals {
	int wake[2];           /* link and signals write, the loop reads */
};
/* A pipe that wakes the loop, and the signals that do; they set ctl_interrupted, but for SIGWINCH. */
int ctl_signals_open(struct ctl_signals *signals, struct ambient_error *err);
void ctl_signals_drain(const struct ctl_signals *signals);
void ctl_signals_close(struct ctl_signals *signals);
extern int32_t ctl_resized;
/* Waits for input or the pipe.  Returns revents of the input. */
int ctl_wait(const struct ctl_signals *signals, bool input, int timeout_ms);

/* ---- plain.c */
/* Lines in, texts out, until standard input has ended and the turn is over. */
int ctl_chat_plain(struct ctl *ctl, struct ctl_link *link, struct ctl_talk *talk, const struct ctl_signals *signals);

#endif
