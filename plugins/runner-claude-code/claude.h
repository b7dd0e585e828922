/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "claude-code": the parts that its files share.  claude.c is the plugin and the command line; plan.c is the plan;
 * translate.c turns the CLI's lines into messages and answers what it asks.
 */
#ifndef CLAUDE_H
#define CLAUDE_H

#include "plugins/runner-shared/cli.h"

#define CC_PENDING_MAX  32
#define CC_TOOLS_MAX    128
#define CC_UNREACHED    "API Error: Conn" /* so an answer that broke off is told of */
#define CC_MCP_VARIABLE "AMBIENT_CLAUDE_MCP" /* from the plan to the command line */

struct cc_run {
	int ask;       /* permission requests wait for a person */
	int announced; /* the first init was seen */
	int64_t max_tokens, tokens; /* 0: no limit; in and out, of all calls of the model */
	int over;                   /* the limit was passed, and the turn interrupted */
	/* The last result. */
	int have_result, is_error;
	int64_t turns, api_status; /* turns: of all results; api_status: 0 unknown */
	int interrupted, cut_short; /* the turn that runs was; the last one was */
	double cost, cost_before; /* USD: of this process so far, of those before it */
	char subtype[64], terminal[64];
	char text[512]; /* the beginning of the error's text */
	struct {
		char *id, *input; /* input: JSON */
		int question;
	} pending[CC_PENDING_MAX];
};

void cc_run_free(struct ambient_run *run);
void cc_uuid(char out[37]);

/* plan.c */
int cc_plan(const struct rs_instance *self, const struct rs_cli *cli, const struct ambient_plan *in,
	    struct ambient_sink *fragment, struct ambient_sink *problems, struct ambient_error *err);

/* translate.c */
int cc_prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err);
int cc_line(void *self, struct ambient_run *run, int stream, const char *line, size_t len, int cut,
	    struct ambient_error *err);
int cc_interrupt(void *self, struct ambient_run *run, struct ambient_error *err);
int cc_answer(void *self, struct ambient_run *run, const char *id, const struct ambient_object *answer,
	      struct ambient_error *err);
int cc_stop(void *self, struct ambient_run *run, struct ambient_error *err);

#endif
