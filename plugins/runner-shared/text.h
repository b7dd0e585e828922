/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in the making, for runner types.  A runner type links nothing of ours, so these sources are compiled into each
 * plugin that wants them, as its own.
 */
#ifndef RUNNER_SHARED_TEXT_H
#define RUNNER_SHARED_TEXT_H

#include "plugins/shared/text.h"

void rs_string(struct text *t, const char *s); /* with quotes; NULL is "" */
void rs_stringn(struct text *t, const char *s, size_t n);
void rs_number(struct text *t, int64_t n);
/* The part of obj at pointer as it was received, or fallback. */
void rs_json(struct text *t, const struct ambient_object *obj, const char *pointer, const char *fallback);

/* Says one problem of a plan. */
void rs_problem(struct ambient_sink *problems, const char *field, const char *message);
/* Whether spec.runnerConfig has a setting that the type does not; then that was said.  known is ended by NULL. */
int rs_unknown_setting(const struct ambient_plan *in, const char *type, const char *const *known, struct ambient_sink *problems);

/* The last line that a program complained with, at most 300 bytes of it. */
const char *rs_last_words(const char *stderr_tail, size_t *n);

/* A variable of the agent with a comma before it; nothing for an empty value. */
void rs_put_env(struct text *t, const char *name, const char *value);
/* llmSettings of a plan as variables of those names, where they are set. */
void rs_put_settings(struct text *env, const struct ambient_plan *in, const char *temperature, const char *max_tokens);

#endif
