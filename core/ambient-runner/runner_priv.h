/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `ambient-runner run` knows while it runs.  One thread (the reporter has its own) and one way through:
 * prepare -> serve the agent -> publish -> report; whatever goes wrong sets reason and message and ends in
 * finish().
 */
#ifndef AM_RUNNER_PRIV_H
#define AM_RUNNER_PRIV_H

#include "core/ambient-runner/channel.h"
#include "core/ambient-runner/endpoint.h"
#include "core/ambient-runner/git.h"
#include "core/ambient-runner/live.h"
#include "core/ambient-runner/msglog.h"
#include "core/ambient-runner/report.h"
#include "core/ambient-runner/watch.h"
#include "core/ambient-runner/workflow.h"
#include "core/kube/kube.h"

/* Exit codes, platform.md 7.2. */
enum { AM_EXIT_OK = 0, AM_EXIT_FAILED = 1, AM_EXIT_PREREQUISITE = 2, AM_EXIT_SIGNAL = 128 };

struct am_pending {
	char id[AM_INPUT_TO + 1], tool[128];
	bool question;
};

/* What went from the workspace while the agent worked. */
#define AM_REMOVED_MAX 16
struct am_removed {
	char name[65], where[120];
};

struct am_runner {
	/* From the environment. */
	const char *name, *ns, *uid, *run, *type, *report_name, *dir, *socket;
	char *private_dir; /* dir/.ambient */
	int64_t started;   /* boot time */
	struct am_redactor *redactor;
	struct am_kube *kube;
	struct am_buf session; /* the AgenticSession, checked JSON */
	struct am_repos repos;
	struct am_workflow workflow;
	struct am_live *live; /* while the agent works */
	struct am_removed removed[AM_REMOVED_MAX];
	size_t removed_count;
	int64_t generation; /* of status.effective, which is in the workspace; 0: not yet */
	struct am_git git;
	struct am_msglog *log;
	struct am_report report;
	struct am_reporter *reporter;
	struct am_watch *watch;       /* of the session; NULL before it was read */
	struct am_endpoint *endpoint; /* NULL: there is none */
	int listen_fd, lock_fd;
	struct am_channel agent; /* fd -1: not connected */
	/* What the agent's side said last. */
	bool exited, success;
	int agent_code;
	bool timed_out, idle_out;       /* we ended it because of a timeout */
	int64_t judged_late;            /* atomic: the session says so, of this timeout in seconds; 0: it does not */
	struct ambient_error log_error; /* the message log failed: code is set */
	int64_t last_activity;
	/* What people say (input.c). */
	bool said_prompt; /* the agent begins with a turn */
	bool turn;        /* the agent is at work */
	bool said_end;    /* a person has ended the conversation */
	int64_t input_ref;
	struct am_pending pending[64]; /* waits for an answer */
	size_t n_pending;
	int64_t beat_every, beat_at, sent_at; /* the next report is due, whatever goes on; the last one */
	int64_t starts_before, starts; /* of the agent's program, in the runs before and in this one */
	/* Once it was asked to end: by when its work must have been saved (boot time, 0: not asked yet). */
	int64_t grace_ns, save_by;
	bool rescue;        /* the session wants its work pushed, however it ends */
	bool saving;        /* there is work to save: what git does goes on until save_by */
	int32_t git_cancel; /* ends what git does */
};

static inline struct am_slice
am_runner_session(const struct am_runner *runner)
{
	return am_slice(am_buf_str(&runner->session), runner->session.len);
}

/* Set by the signal handler, and when the session says that its run is over: the signal's number. */
extern int32_t am_runner_asked;
extern int am_runner_wake_fd; /* readable after that */

/* 0: nobody has asked this process to end. */
static inline int
am_runner_is_asked(void)
{
	return __atomic_load_n(&am_runner_asked, __ATOMIC_ACQUIRE);
}

/* Records why the run cannot go on; returns the exit code given. */
int am_runner_fail(struct am_runner *runner, int code, const char *reason, const char *fmt, ...) am_printf_(4, 5);
/* Whether it was asked to end and has no time left for what goes on. */
bool am_runner_out_of_time(struct am_runner *runner);
/* Says how far it is: a status message and a report. */
void am_runner_progress(struct am_runner *runner, const char *state, const char *fmt, ...) am_printf_(3, 4);
void am_runner_send_report(struct am_runner *runner);
/* What the agent is doing has changed: a report is due soon. */
void am_runner_hurry(struct am_runner *runner);
/* The agent or a person has said something. */
void am_runner_touch(struct am_runner *runner);
/* A report if one is due: called wherever the runner waits, so that one that is stuck is silent. */
void am_runner_beat(struct am_runner *runner);

/* layout.c: where the agent works, as members of a line to its side: workdir, dirs, instructions, repos. */
void am_runner_add_layout(const struct am_runner *runner, struct am_buf *out);
/* The same for the operator: what became of each repository and of the workflow. */
void am_runner_describe(const struct am_runner *runner, struct am_buf *out);

/* run.c */
int am_runner_catch_signals(void);
int am_runner_connect(struct am_kube **ret, struct ambient_error *err);

/* serve.c.  0, or the exit code with reason and message recorded. */
int am_runner_listen(struct am_runner *runner);
int am_runner_serve(struct am_runner *runner);

/* input.c */
void am_runner_input(struct am_runner *runner);                               /* hands over what was said */
void am_runner_input_taken(struct am_runner *runner, struct am_slice line);   /* the agent's side has it, or not */
void am_runner_input_note(struct am_runner *runner, const char *type, struct am_slice fields); /* what the agent said */
void am_runner_input_turn(struct am_runner *runner, bool running);

#endif
