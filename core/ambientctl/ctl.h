/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambientctl: what its files share.  One process runs one command: main.c reads the words of the command line by
 * the tables of commands and options, connects, and calls the command, which returns the exit code.
 *
 * Exit codes are part of the interface (ambientctl(1)).
 */
#ifndef CTL_H
#define CTL_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/data/node.h"
#include "core/kube/kube.h"

#define CTL_KIND  "vteam.ambient-code/v1alpha1/agenticsessions"
#define CTL_WORDS 64
#define CTL_GIVEN 160

enum {
	CTL_OK = 0,
	CTL_FAILED = 1,        /* the session failed or was stopped; or anything without a code of its own */
	CTL_USAGE = 2,
	CTL_NOTFOUND = 3,
	CTL_UNREACHABLE = 4,   /* no API server, or none that answers */
	CTL_REFUSED = 5,       /* invalid, forbidden, conflict, exists */
	CTL_TIMEOUT = 124,     /* the session ended in Timeout */
	CTL_INTERRUPTED = 130,
};

struct ctl;

struct ctl_option {
	const char *name;
	char letter;           /* 0: none */
	const char *arg;       /* what it takes, in capitals; NULL: nothing */
	const char *text;
};

struct ctl_command {
	const char *name, *synopsis, *text;
	const struct ctl_option *options; /* ended by one without name */
	int min, max;          /* words after the command */
	bool offline;          /* needs no API server */
	bool on_sessions;      /* its words are names of sessions */
	int (*run)(struct ctl *ctl);
};

struct ctl_given {
	const struct ctl_option *option;
	const char *value;     /* NULL for a switch */
};

struct ctl {
	const struct ctl_command *command;
	const char *words[CTL_WORDS];
	size_t word_count;
	struct ctl_given given[CTL_GIVEN]; /* in the order of the command line */
	size_t given_count;
	struct am_kube *kube;
	char ns[254];
	bool json, color, terminal; /* of standard output */
};

/* ---- args.c */
extern const struct ctl_option ctl_global_options[];
/* NULL: not given. */
const char *ctl_value(const struct ctl *ctl, const char *option);
bool ctl_has(const struct ctl *ctl, const char *option);
/* Which command these words, without the program, are of; NULL: none. */
const struct ctl_command *ctl_find_command(const char *const *words, size_t n);
/* Of the words of a line that is being written: options with a value, as if they were given. */
void ctl_take_options(struct ctl *ctl, const struct ctl_command *command, const char *const *words, size_t n);
/* Reads the words.  Returns 0, or CTL_USAGE after a sentence on standard error; *help is set when help is wanted. */
int ctl_parse(struct ctl *ctl, int argc, char **argv, bool *help);
void ctl_help(const struct ctl_command *command);

/* ---- main.c */
extern const struct ctl_command *const ctl_commands[]; /* ended by NULL */
extern int32_t ctl_interrupted; /* non-zero after SIGINT or SIGTERM; for am_kube_request.cancelled */
int ctl_connect(struct ctl *ctl);
/* The kubeconfig that a standalone daemon of this user, or of this machine, wrote; NULL when there is none. */
char *ctl_standalone_kubeconfig(void);
/* The directory of the standalone API server's state: that of --state-dir, which may name the daemon's, or where the kubeconfig
 * is that says how to reach it.  NULL: there is none. */
char *ctl_standalone_dir(const struct ctl *ctl);
/* Prints "ambientctl: text: the error" and gives the exit code for it. */
int ctl_fail(const struct ambient_error *err, const char *fmt, ...) am_printf_(2, 3);
int ctl_usage(const char *fmt, ...) am_printf_(1, 2);

/* ---- api.c: the session's kind unless said otherwise.  Nodes live in the arena. */
int ctl_get(struct ctl *ctl, struct am_arena *arena, const char *name, struct am_node **ret, struct ambient_error *err);
/* A watch of an object from a version on, for at most so many seconds; event gets each line of the watch. */
int ctl_watch(struct ctl *ctl, const char *kind, const char *name, const char *version, int seconds, const int32_t *cancelled,
	      am_frame_f *event, void *arg, struct ambient_error *err);
/* Reads an object and watches it until look says that it is enough, which gets NULL while there is none.  Goes on while
 * the API server is away; -AMBIENT_E_TIMEOUT when the deadline (boot time) is over. */
int ctl_await(struct ctl *ctl, const char *kind, const char *name, const int32_t *cancelled, int64_t deadline,
	      bool (*look)(void *arg, const struct am_node *object), void *arg, struct ambient_error *err);
/* am_kube_do; what is not found is said with where it was looked for, and what to do. */
int ctl_do(struct ctl *ctl, const struct am_kube_request *what, struct am_buf *answer, struct ambient_error *err);
/* Any path. */
int ctl_read(struct ctl *ctl, struct am_arena *arena, const char *path, struct am_node **ret, struct ambient_error *err);
int ctl_write(struct ctl *ctl, struct am_arena *arena, const char *method, const char *content_type, const char *name,
	      const struct am_buf *body, struct am_node **ret, struct ambient_error *err);
/* "/apis/.../namespaces/NS/agenticsessions[/NAME]" */
void ctl_path(const struct ctl *ctl, struct am_buf *out, const char *kind, const char *name, const char *sub);
const char *ctl_text(const struct am_node *node, const char *pointer); /* "" when absent */
void ctl_age(char buf[16], const char *timestamp);
bool ctl_terminal(const char *phase);
int ctl_exit_of(const char *phase);
/* The condition of that type, or NULL. */
const struct am_node *ctl_condition(const struct am_node *session, const char *type);

/* ---- print.c: what people see.  Control characters of others' texts never reach the terminal. */
void ctl_put_clean(FILE *out, const char *text, bool one_line);
void ctl_add_clean(struct am_buf *out, const char *text, bool one_line);
/* The beginning of n bytes in one line, at most max bytes of whole characters; dots say that there is more. */
void ctl_add_cut(struct am_buf *out, const char *text, size_t n, size_t max);
/* What was printed goes out.  False: it cannot, now or earlier, and there is no use in more; the last time it is said why. */
bool ctl_flush(void);
bool ctl_flush_last(void);
bool ctl_is_read(void); /* false: standard output is a pipe whose reader has gone */
const char *ctl_color(const struct ctl *ctl, const char *name); /* "" without colours */
const char *ctl_phase_color(const struct ctl *ctl, const char *phase);
void ctl_table(const char *const *cells, size_t columns, size_t rows);
void ctl_print_json(const struct am_node *node);
void ctl_print_repos(const struct ctl *ctl, const struct am_node *session);

/* ---- render.c */
/* A message as people read it, in whole lines; nothing for one that is not shown.  chat: what was streamed before, and
 * what the person said, is left out. */
void ctl_render(const struct ctl *ctl, const struct am_node *message, bool chat, struct am_buf *out);
/* Is it the beginning only of a message that was too large for a line? */
bool ctl_is_cut(const struct am_node *message);
/* What a tool is to do, in one line. */
void ctl_render_input(const struct am_node *input, struct am_buf *out);

/* ---- messages.c */
struct ctl_endpoint;
struct ctl_messages {
	struct ctl *ctl;
	const char *session;   /* where messages that were cut are had whole; NULL: nowhere */
	struct ctl_endpoint *endpoint; /* to have them from; NULL: one of its own, opened when it is needed */
	bool own, in_vain;     /* the endpoint is; there is none */
	int64_t last_seq;      /* older ones were printed already */
	size_t plain, plain_shown; /* lines that are no messages: of this reading, and printed so far */
	struct am_buf line;    /* the incomplete last one */
	struct am_buf said;    /* the text of the last message */
	void (*before)(void *arg), (*after)(void *arg); /* around each piece of output; may be NULL */
	void *arg;
};
/* Bytes of the runner's log: JSON lines are messages, others are shown as they are.  False: nobody can read more. */
bool ctl_messages_feed(struct ctl_messages *messages, const char *p, size_t n);
/* The log is read from its start again; what was printed is not printed twice. */
void ctl_messages_again(struct ctl_messages *messages);
void ctl_messages_fini(struct ctl_messages *messages);

/* ---- logs.c */
/* The option "from": the number of the first message; 1 without it. */
int ctl_from(const struct ctl *ctl, int64_t *ret);
/* Says that the session has no such thing, and as what it waits for, or why it ended, tells more: its phase and message.
 * CTL_FAILED. */
int ctl_say_why(const char *name, const char *what, const struct am_node *session);
/* Streams a container's log into data; AMBIENT_E_INVALID while the container waits to start. */
int ctl_stream_log(struct ctl *ctl, const char *pod, const char *container, bool follow,
		   int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err);

/* ---- endpoint.c: the HTTP endpoint of a session's runner, or of the pod that serves the files of one that has ended, by
 * way of the API server's proxy.  Who may change the session may talk to it: the hash of a key that is made here is an
 * annotation of the session, the key itself goes with each request. */
struct ctl_endpoint {
	struct ctl *ctl;
	const char *session;
	char id[16], header[96], annotation[64];
	char pod[254];         /* "" until one is chosen */
	const int32_t *cancelled;
	bool read_only, named; /* named: the annotation was written */
};

/* Makes a key and names it in the session. */
int ctl_endpoint_open(struct ctl_endpoint *endpoint, struct ctl *ctl, const char *session, bool read_only,
		      const int32_t *cancelled, struct ambient_error *err);
/* Its time is prolonged. */
int ctl_endpoint_renew(struct ctl_endpoint *endpoint, struct ambient_error *err);
/* Takes the annotation away; tries that for a few seconds, also after an interrupt. */
void ctl_endpoint_close(struct ctl_endpoint *endpoint);
/* path: "/v1/...".  A key that the other side has not heard of yet is offered again for some seconds. */
int ctl_endpoint_do(struct ctl_endpoint *endpoint, const char *method, const char *path, const struct am_buf *body,
		    struct am_buf *answer, struct ambient_error *err);
int ctl_endpoint_stream(struct ctl_endpoint *endpoint, const char *path, int (*data)(void *arg, const char *p, size_t n),
			void *arg, struct ambient_error *err);

/* ---- large.c: messages that were too large for a line */
/* The line, which was checked, as it were with all of the message. */
int ctl_fetch_cut(struct ctl_endpoint *endpoint, const char *line, size_t n, struct am_buf *whole, struct ambient_error *err);

/* ---- clones.c: `repos SESSION`, and of one repository.  The exit code. */
int ctl_clones(struct ctl *ctl, const char *session, const char *name);

/* ---- content.c */
/* Entries of a directory of the workspace, in the arena; 1: there are more of them. */
int ctl_read_directory(struct ctl_endpoint *endpoint, const char *path, struct am_arena *arena, struct am_node **ret,
		       struct ambient_error *err);
/* Opens the endpoint of a session, for reading, wherever it is served; waits for that.  CTL_OK, or an exit code after a
 * sentence. */
int ctl_reach(struct ctl_endpoint *endpoint, struct ctl *ctl, const char *session);

/* ---- follow.c */
/* Shows phases and messages of a session until it has ended; the exit code says how.  session: its state to start
 * from, so that no phase since then is missed; NULL: as it is now. */
int ctl_follow(struct ctl *ctl, const char *name, const struct am_node *session, bool phases, bool messages);

/* ---- admin.c: the daemon's admin socket.  For the options of commands that use it. */
extern const struct ctl_option ctl_admin_options[];
/* Asks the daemon of this machine; out gets what it answers behind the line that says "ok". */
int ctl_admin(const struct ctl *ctl, const char *command, struct am_buf *out, struct ambient_error *err);

/* ---- the commands */
extern const struct ctl_command ctl_run, ctl_get_command, ctl_describe, ctl_logs, ctl_messages_command, ctl_chat, ctl_files, ctl_start, ctl_stop, ctl_repos, ctl_workflow,
	ctl_delete, ctl_explain, ctl_top, ctl_cache, ctl_user, ctl_plugin, ctl_standalone, ctl_completion, ctl_complete, ctl_version;

/* ---- rbac.c */
int ctl_plugin_rbac(const char *const *files, size_t n);

#endif
