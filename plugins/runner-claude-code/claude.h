/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runner type "claude-code": the parts that its files share.  claude.c is the plugin, its plan and the command line;
 * translate.c turns the CLI's lines into messages and answers what it asks; text.c writes JSON.
 */
#ifndef CLAUDE_H
#define CLAUDE_H

#include <ambient/ambient.h>

/* JSON in the making.  Out of memory: failed, and what was to be added is dropped. */
struct cc_text {
	char *p;
	size_t len, cap;
	int failed;
};
void cc_put(struct cc_text *t, const char *s);
void cc_putn(struct cc_text *t, const char *s, size_t n);
void cc_string(struct cc_text *t, const char *s); /* with quotes; NULL is "" */
void cc_stringn(struct cc_text *t, const char *s, size_t n);
void cc_number(struct cc_text *t, int64_t n);
void cc_json(struct cc_text *t, const struct ambient_object *obj, const char *pointer, const char *fallback);
void cc_fini(struct cc_text *t);

#define CC_PENDING_MAX 32

struct cc_run {
	int64_t started;
	int ask;       /* permission requests wait for a person */
	int announced; /* the first init was seen */
	/* The last result. */
	int have_result, is_error;
	int64_t turns, api_status; /* turns: of all results; api_status: 0 unknown */
	char subtype[64], terminal[64], api_error[64];
	char text[512]; /* the beginning of the error's text */
	struct {
		char *id, *input; /* input: JSON */
		int question;
	} pending[CC_PENDING_MAX];
};

void cc_run_free(struct ambient_run *run);
void cc_uuid(char out[37]);

/* translate.c */
int cc_prompt(void *self, struct ambient_run *run, const char *text, size_t len, struct ambient_error *err);
int cc_line(void *self, struct ambient_run *run, int stream, const char *line, size_t len, int cut,
	    struct ambient_error *err);
int cc_interrupt(void *self, struct ambient_run *run, struct ambient_error *err);
int cc_answer(void *self, struct ambient_run *run, const char *id, const struct ambient_object *answer,
	      struct ambient_error *err);
int cc_stop(void *self, struct ambient_run *run, struct ambient_error *err);

#endif
