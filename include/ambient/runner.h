/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner type knows one kind of agent.  It has two halves that never meet in one process:
 *
 * plan   in the daemon: a pure function from session and settings to a fragment of the pod.  It may only log.
 * drive  in the agent's container, inside `ambient-runner agent`, which owns the agent's process, its pipes,
 *        deadlines and the loop; the runner type only says what to start, and translates: prompts into bytes
 *        for the agent's standard input, its output lines into messages.  All callbacks of one run come from
 *        one thread and must not block.
 *
 * The environment of the agent container carries AMBIENT_RUNNER_CONTRACT; this header is contract 1.
 */
#ifndef AMBIENT_RUNNER_H
#define AMBIENT_RUNNER_H

#include <stddef.h>
#include <stdint.h>

#include <ambient/error.h>
#include <ambient/object.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AMBIENT_RUNNER_CONTRACT 1

/* Takes bytes; the host copies them.  One JSON text in as many pieces as one likes. */
struct ambient_sink {
	size_t size;
	void (*put)(struct ambient_sink *sink, const char *text, size_t len);
};

struct ambient_plan {
	size_t size;
	const struct ambient_object *session;  /* the AgenticSession */
	const struct ambient_object *settings; /* the ProjectSettings, or NULL */
	const struct ambient_object *effective;/* resolved values: model, timeout, secretName, ...; never NULL */
};

/* One run, as the drive half sees it.  Borrowed; valid until exited() returns. */
struct ambient_run {
	size_t size;
	const struct ambient_host *host;
	const struct ambient_object *session;  /* the AgenticSession's spec is under /spec */
	const struct ambient_object *config;   /* spec.runnerConfig, or {} */
	const char *run_id;                    /* a new one for every execution */
	const char *workdir;                   /* absolute; where the agent starts */
	const char *statedir;                  /* absolute; survives restarts of the session; the agent's own */
	const char *tmpdir;
	const char *prompt_file;               /* the first prompt as a file */
	const char *model;                     /* "" when not chosen */
	const char *resume;                    /* id of the conversation to continue, or "" */
	int32_t interactive;                   /* 0: end after the first result */
	void *slot;                            /* the runner type's own; starts NULL */
	const char *const *dirs;               /* absolute, ended by NULL: where it may work beside workdir */
	const char *instructions;              /* for its system prompt, or "" */
};

/* What to start.  Setters copy. */
struct ambient_command;
struct ambient_host;
struct ambient_command_api {
	size_t size;
	void (*arg)(struct ambient_command *cmd, const char *arg);                      /* argv, in order */
	void (*env)(struct ambient_command *cmd, const char *name, const char *value);  /* NULL value: remove */
	void (*cwd)(struct ambient_command *cmd, const char *path);
	void (*merge_stderr)(struct ambient_command *cmd, int yes); /* lines of both arrive as stdout's */
};
/* The environment starts as: PATH, HOME, TMPDIR, LANG, TERM=dumb, USER, the container's AMBIENT_* and the
 * variables that the plan named in "agentEnv". */

enum { AMBIENT_STDOUT = 1, AMBIENT_STDERR = 2 };

struct ambient_exit {
	size_t size;
	int32_t code;     /* exit status, or 128 + signal */
	int32_t signal;   /* 0 unless killed by one */
	int32_t asked;    /* AMBIENT_ASKED_*: did we end it */
	const char *stderr_tail; /* at most 8 KiB, cut at a line */
};
/* END: a person ended the conversation; the agent's input was ended, what it was doing it finished.
 * INTERRUPT: only a type of one prompt (below) hears of it so. */
enum { AMBIENT_ASKED_NONE = 0, AMBIENT_ASKED_STOP, AMBIENT_ASKED_TIMEOUT, AMBIENT_ASKED_END, AMBIENT_ASKED_INTERRUPT };

/* How it ended; zeroed by the host before exited(). */
struct ambient_outcome {
	size_t size;
	int32_t success;        /* 1: the agent did what it was asked */
	int32_t exit_code;      /* for the runner process: 0 success, 1 failure, 2 missing prerequisite */
	char reason[64];        /* CamelCase for a condition, e.g. "AgentFailed" */
	char message[512];      /* a sentence for a person */
	int32_t again;          /* 1: of a type of one prompt: the conversation can go on with another prompt */
};

struct ambient_runner {
	size_t size;
	const char *type; /* as declared with runner= */

	/* Plan half.  Writes one JSON object to fragment, or an array of {"field","message"} to problems:
	 *   {"image": "...", "agentEnv": [EnvVar...], "requiredSecretKeys": ["ANTHROPIC_API_KEY"],
	 *    "resources": {...}, "volumes": [...], "volumeMounts": [...], "honours": ["temperature", "maxTokens", "mcpServers"]};
	 * all optional.  honours: which of these settings of the session it uses; of the others people are told that they have no
	 * effect. */
	int (*plan)(void *self, const struct ambient_plan *in, struct ambient_sink *fragment,
		    struct ambient_sink *problems, struct ambient_error *err);

	/* Drive half. */
	int (*command)(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err);
	/* A prompt: the first one after the start, later ones from a person.  Writes to the agent with
	 * host->message->write; a runner type whose agent takes one prompt only ends its input. */
	int (*prompt)(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err);
	/* A line without its newline, NUL-terminated; at most 8 MiB, longer ones are cut and `cut` is 1. */
	int (*line)(void *self, struct ambient_run *run, int stream, const char *line, size_t len, int cut,
		    struct ambient_error *err);
	/* Ends the current turn, keeps the conversation.  NULL: SIGINT. */
	int (*interrupt)(void *self, struct ambient_run *run, struct ambient_error *err);
	/* A person's answer to a permission or question message. */
	int (*answer)(void *self, struct ambient_run *run, const char *id, const struct ambient_object *answer,
		      struct ambient_error *err);
	/* Asked to end: the host waits 5 s, then SIGTERM, then SIGKILL.  NULL: SIGTERM at once. */
	int (*stop)(void *self, struct ambient_run *run, struct ambient_error *err);
	/* The process has ended and all its output was delivered. */
	int (*exited)(void *self, struct ambient_run *run, const struct ambient_exit *exit,
		      struct ambient_outcome *outcome, struct ambient_error *err);
	/* 1: the program takes one prompt and ends with its answer.  In an interactive session the host starts it for each
	 * prompt, from command() to exited(), with run->resume the conversation so far, as long as the outcome says `again`;
	 * prompts that come meanwhile wait.  An interrupt is SIGINT, 5 s later SIGTERM, 5 s later SIGKILL. */
	int32_t one_prompt;
	/* The agent's input has been ended between two turns, and it has gone, since workdir, dirs or instructions are
	 * others now: composes the command that goes on with the conversation run->resume.  The slot stays, exited() is not
	 * called for the process that went.  NULL: such an agent is left alone. */
	int (*restart)(void *self, struct ambient_run *run, struct ambient_command *cmd, struct ambient_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
