/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for runner types in unit tests: it keeps what they emit, write and ask to be started as lines of text, and
 * has the real object table.  One run at a time.
 */
#ifndef TESTS_LIB_RUNNER_HOST_H
#define TESTS_LIB_RUNNER_HOST_H

#include <ambient/plugin.h>

#include "core/base/buf.h"

extern struct ambient_run runner_run; /* fill in before a callback */
extern struct am_buf runner_messages; /* "type {fields}\n" each */
extern struct am_buf runner_input;    /* bytes for the agent; "<end>" at the end of input */
extern struct am_buf runner_command;  /* "arg X\n", "env N=V\n", "unset N\n" */
extern char runner_conversation[128];
extern int runner_turns;             /* calls of turn_done */
extern int runner_spawn_late;        /* and none of them ends in time */
extern const char *runner_spawn_out; /* what every program that is run says; NULL: it does not exist */

void runner_host_reset(const struct ambient_plugin *plugin);
extern void *runner_self;
extern const struct ambient_runner *runner_type;
struct ambient_command *runner_host_command(void);
/* One line of the agent's standard output. */
int runner_line(const char *text);
const struct ambient_object *runner_object(const char *json); /* freed by reset */
/* The plan half: the fragment, or "problems: ..."; static. */
extern const char *runner_plan_settings; /* of the ProjectSettings; NULL: there is none */
extern const char *runner_base_url;      /* the option baseURL; NULL: not set */
const char *runner_plan_text(const char *session, const char *effective);

#endif
