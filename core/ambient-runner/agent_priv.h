/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ambient-runner agent`: the untrusted side.  It shares user, files and environment with the agent that it starts,
 * so it keeps nothing that the agent may not have, and nobody believes it anything.  One thread, one poll loop; the
 * runner type's callbacks run on it.
 */
#ifndef AM_RUNNER_AGENT_PRIV_H
#define AM_RUNNER_AGENT_PRIV_H

#include <ambient/plugin.h>
#include <sys/types.h>

#include "core/ambient-runner/channel.h"
#include "core/ambient-runner/redact.h"
#include "core/data/object.h"

#define AM_AGENT_LINE_MAX (8u << 20)

struct am_agent;

struct am_agent_host {
	struct ambient_host pub;
	struct am_agent *agent;
};

struct am_agent_run {
	struct ambient_run pub;
	struct am_agent *agent;
};

/* What the runner type asks to be started. */
struct ambient_command {
	char **argv, **env; /* both ended by NULL */
	size_t argc, envc;
	char *cwd;
	bool merge_stderr;
};

struct am_stream {
	int fd, which;
	struct am_buf buf;
	size_t scanned;
	bool skipping; /* the rest of a line that was too long */
};

/* The way of an agent whose workspace is to change: see live.h. */
enum am_hold {
	AM_HOLD_NONE,
	AM_HOLD_ASKED,  /* waits for the end of the turn */
	AM_HOLD_ENDING, /* its input was ended */
	AM_HOLD_HELD,   /* there is no process */
};

struct am_agent {
	struct am_channel runner;
	struct am_redactor *redactor;
	struct am_buf start; /* the start frame */
	struct am_buf layout; /* the newest frame with where it works, when it was not that one */
	enum am_hold hold;
	bool in_turn;
	int64_t ending_since;
	char **queued; /* prompts that came while it was held */
	size_t queued_count;
	struct ambient_error live_error; /* it could not be started again: code is set */
	struct am_agent_host host;
	struct am_agent_run run;
	const struct ambient_plugin *plugin;
	const struct ambient_runner *type;
	void *self;
	char **dirs; /* ended by NULL */
	char *instructions;
	char *workdir, *statedir, *tmpdir, *prompt_file, *model, *resume, *run_id, *conversation;
	const struct ambient_object *session, *config;
	/* The process. */
	struct ambient_command command;
	pid_t pid; /* 0: none */
	int pidfd, stdin_fd;
	struct am_stream out, err;
	struct am_buf input, stderr_tail;
	bool end_input, exited, runner_gone;
	bool ended; /* a person ended the conversation */
	struct am_stream look; /* of the process that looks at a clone; fd -1: none */
	int64_t look_ref;
	int status; /* of waitpid */
	int asked;  /* AMBIENT_ASKED_* */
	int64_t term_at, kill_at, idle_ns, last_line, last_read, drain_until;
	struct ambient_outcome outcome;
	/* Of the session, whether there is a process or not. */
	bool ending;          /* it was asked to stop */
	/* Of a turn, where each has a process of its own. */
	bool interrupted;
	struct am_buf waiting; /* prompts that were not given yet, each with a NUL behind it */
	size_t waiting_count;
};

static inline struct am_agent *
am_agent_of(struct ambient_run *run)
{
	return ((struct am_agent_run *)(void *)run)->agent;
}

/* agent_host.c */
void am_agent_host_init(struct am_agent *agent);
void am_agent_fields(struct am_agent *agent, const char *type, const char *fields, size_t n);
void am_agent_command_fini(struct ambient_command *command);
void am_agent_env_set(struct ambient_command *command, const char *name, const char *value);
/* The environment as runner.h promises it. */
void am_agent_env_init(struct am_agent *agent);

#define AM_AGENT_DIRS_MAX 64
/* agent.c: where the agent works, from the members of a line. */
void am_agent_layout(struct am_agent *agent, struct am_slice frame);
void am_agent_layout_fini(struct am_agent *agent);

/* What create() reads: the defaults of its own table. */
const struct ambient_conf *am_agent_conf(const struct ambient_option *const *options);

/* agent_load.c: finds the runner type's plugin and makes an instance of it. */
int am_agent_load(struct am_agent *agent, const char *type, struct ambient_error *err);

/* agent_proc.c: from the start to the end of the process, with all its output. */
/* prompt: NULL: the session's. */
int am_agent_start(struct am_agent *agent, const char *prompt, struct ambient_error *err);
int am_agent_loop(struct am_agent *agent, struct ambient_error *err);
/* What the runner has said and was read already. */
void am_agent_hear(struct am_agent *agent);
/* One wait for the process, its pipes and the runner, and what came of it. */
void am_agent_wait(struct am_agent *agent);
void am_agent_stop(struct am_agent *agent, int asked);
/* Kills every process that descends from this one. */
void am_agent_sweep(void);

/* agent_turns.c: a chat whose agent's program takes one prompt: a process for each turn. */
bool am_agent_by_turns(const struct am_agent *agent);
int am_agent_turns(struct am_agent *agent, struct ambient_error *err);
int am_agent_enqueue(struct am_agent *agent, const char *prompt, struct ambient_error *err);
/* From the start of the process to its end; prompt as above. */
int am_agent_once(struct am_agent *agent, const char *prompt, struct ambient_error *err);

/* The process again, with the command of the type's restart(). */
int am_agent_spawn(struct am_agent *agent, bool again, struct ambient_error *err);
int am_agent_prompt(struct am_agent *agent, const char *text, struct ambient_error *err);

/* agent_live.c */
void am_agent_hold(struct am_agent *agent);
void am_agent_lay_out(struct am_agent *agent, struct am_slice line);
/* The turn of an agent that has a process for each has ended, or there is none. */
void am_agent_hold_turn(struct am_agent *agent);
/* Goes on with a hold; called in each round of the loop. */
void am_agent_hold_step(struct am_agent *agent);
/* The process has ended and all was read.  Whether that is what was wanted: then there is none, and the loop goes on. */
bool am_agent_hold_ended(struct am_agent *agent);
int am_agent_queue(struct am_agent *agent, const char *text, struct ambient_error *err); /* for when it goes on */
struct am_slice am_agent_frame(const struct am_agent *agent); /* what names the repositories */
void am_agent_live_fini(struct am_agent *agent);

/* agent_save.c: commits and bundles what the agent left in each repository, and says so. */
void am_agent_save(struct am_agent *agent);

extern int32_t am_agent_asked; /* a signal's number */
extern int am_agent_wake_fd;

#endif
