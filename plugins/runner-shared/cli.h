/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent as a program of the command line: what runner types of that sort have in common.  All of them find their
 * program in the agent's environment, where the plan put its name, ask it for its version, and tell the failures of
 * a model's API apart.  Those whose program takes one prompt and ends with its answer share the rest as well: their
 * translators say what they see with rs_say and its like, and rs_exited makes usage, result and outcome of it, so that
 * a run that was ended early says as much as it knew.
 */
#ifndef RUNNER_SHARED_CLI_H
#define RUNNER_SHARED_CLI_H

#include "plugins/runner-shared/text.h"

struct rs_cli {
	const char *title;    /* as in messages: "the Codex CLI" */
	const char *type;     /* the runner type */
	const char *program;  /* what it is called when nobody says otherwise */
	const char *variable; /* the agent's variable that says otherwise */
	const char *package;  /* at npm */
	int major, minor;     /* the oldest version that will do */
	int samples;          /* it is told the temperature and the most tokens of an answer: by these variables of the agent */
};
#define RS_TEMPERATURE "AMBIENT_TEMPERATURE"
#define RS_MAX_TOKENS  "AMBIENT_MAX_TOKENS"

/* The options that every type of this sort has; P: the program, API: what baseURL is the URL of. */
#define RS_OPTIONS(P, API)                                                                                             \
	static const struct ambient_option opt_base_url = {                                                            \
		.size = sizeof(struct ambient_option), .name = "baseURL", .type = AMBIENT_OPT_STRING,                  \
		.text = "URL of " API "; unset: the CLI's own default"};                                               \
	static const struct ambient_option opt_cli = {                                                                 \
		.size = sizeof(struct ambient_option), .name = "cli", .type = AMBIENT_OPT_STRING, .def = P,            \
		.text = "the CLI in the runner image: a name looked up in PATH, or an absolute path"};                 \
	static const struct ambient_option opt_idle = {                                                                \
		.size = sizeof(struct ambient_option), .name = "idle", .type = AMBIENT_OPT_DURATION, .def = "15m",     \
		.min = INT64_C(1000000000), .max = INT64_C(86400000000000),                                            \
		.text = "an agent that writes nothing for so long in a batch run is ended"}

#define RS_VERSION_MAX 32
/* An instance: what create got, and, where it drives, what is known of all processes of its run. */
struct rs_instance {
	const struct ambient_host *host;
	const struct ambient_conf *conf;
	int checked, ready;    /* the version is good; the agent was said to be ready */
	char version[RS_VERSION_MAX]; /* "": not known */
	int64_t turns;
	double cost;           /* USD */
};
int rs_create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self,
	      struct ambient_error *err);
void rs_destroy(void *self);

/* ---- plan */

/* Adds the variable that has the name and the value of a Secret's key, without a comma. */
void rs_put_key(struct text *t, const char *secret, const char *key, int optional);
/* The fragment of a type whose key is one variable of the session's secret: the key, the program, the idle time, and
 * base_variable (may be NULL) with the URL.  Or the problems: no secret is named, unknown settings. */
int rs_plan(const struct rs_instance *self, const struct rs_cli *cli, const char *key, const char *base_variable,
	    const struct ambient_plan *in, struct ambient_sink *fragment, struct ambient_sink *problems,
	    struct ambient_error *err);

/* ---- drive */

const char *rs_program(const struct rs_cli *cli);
/* A variable of rs_put_settings, when it is there and a number as JSON has it; else NULL. */
const char *rs_setting(const char *name);
/* 0, or why the program cannot be used: missing (NOTFOUND), too old or another one (UNSUPPORTED).  Blocks at most 20 s; one
 * that has not answered by then is taken for what it should be.  version, if not NULL, gets the version, "" when it is not known. */
int rs_check_version(struct ambient_run *run, const struct rs_cli *cli, char version[RS_VERSION_MAX], struct ambient_error *err);
/* The reason of an outcome for the HTTP status of a model's API; NULL: none. */
const char *rs_api_reason(int64_t status);

/* What is known of a process, whose program takes one prompt. */
#define RS_OPEN_MAX 32
struct rs_run {
	struct rs_instance *instance;
	const struct rs_cli *cli;
	int64_t started;
	int have_result, is_error;
	int64_t turns;         /* of this process */
	int64_t input, output, cache_read, cache_write; /* tokens */
	int have_usage, have_cost;
	double cost;           /* USD */
	char reason[64];       /* of the failure */
	char failure[512];     /* its text */
	char conversation[128];
	struct text piece;  /* pieces of a text that are not whole yet */
	struct text last;   /* what the agent said last */
	char open[RS_OPEN_MAX][64]; /* ids of the last calls that were said */
	unsigned int opened;
};

/* Begins a process: checks the version, the first time, and makes its rs_run, which is run->slot. */
int rs_begin(void *self, struct ambient_run *run, const struct rs_cli *cli, struct ambient_error *err);
/* The directory sub of the agent's state.  INVALID: its path is too long. */
#define RS_PATH_MAX 4096
int rs_state_path(const struct ambient_run *run, const char *sub, char out[RS_PATH_MAX], struct ambient_error *err);
/* Does the CLI still have a conversation?  id: as the CLI names it, hexadecimal with dashes; file: below dir, a pattern of
 * glob(3) with "%s" for the id, or for its first n characters when n is not 0. */
int rs_has_conversation(const char *dir, const char *file, const char *id, size_t n);
/* The run's model as an argument of that flag, if there is one.  INVALID: the program would take it for another flag. */
int rs_add_model(struct ambient_run *run, struct ambient_command *cmd, const char *flag, struct ambient_error *err);
/* The workflow's instructions, if there is one, and the prompt on its standard input, which then ends. */
int rs_prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err);
/* 1: the line is a JSON object, *ret is the caller's to unref; 0: there is nothing to translate; negative: an error. */
int rs_object(struct ambient_run *run, int stream, const char *line, size_t len, int cut,
	      const struct ambient_object **ret, struct ambient_error *err);
int rs_is(const struct ambient_object *obj, const char *pointer, const char *value);

void rs_emit(struct ambient_run *run, const char *type, struct text *fields); /* frees fields */
void rs_emit_text(struct ambient_run *run, const char *type, const char *text, size_t n);
/* The conversation has an id; the first time the agent is ready. */
void rs_session(struct ambient_run *run, const char *id, const char *model);
void rs_say(struct ambient_run *run, const char *text, size_t n);
/* A piece of a text: said as partial, and whole by the next rs_flush. */
void rs_piece(struct ambient_run *run, const char *text, size_t n);
void rs_flush(struct ambient_run *run);
/* A tool call whose input is input at pointer; said once for each id. */
void rs_call(struct ambient_run *run, const char *id, const char *name, const struct ambient_object *input,
	     const char *pointer);
void rs_call_json(struct ambient_run *run, const char *id, const char *name, const char *input);
void rs_returned(struct ambient_run *run, const char *id, const char *text, size_t n, int is_error);
/* The run failed.  status: of the API, 0: it was not reached, negative: something else. */
void rs_failed(struct ambient_run *run, int64_t status, const char *text);
/* Did somebody end the process, or its turn?  Who ends a conversation lets its last turn come to an end. */
int rs_was_ended(const struct ambient_exit *end);
int rs_exited(void *self, struct ambient_run *run, const struct ambient_exit *end, struct ambient_outcome *outcome,
	      struct ambient_error *err);

#endif
