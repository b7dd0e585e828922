/* SPDX-License-Identifier: Apache-2.0 */
/* stop and delete. */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

#include "core/base/mem.h"

static int
run_stop(struct ctl *ctl)
{
	int worst = CTL_OK;

	for (size_t i = 0; i < ctl->word_count; i++) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		am_auto(am_buf_fini) struct am_buf body = { 0 };
		struct ambient_error err = AMBIENT_ERROR_INIT;
		const char *name = ctl->words[i];
		struct am_node *session;
		int rc;

		am_buf_adds(&body, "{\"spec\":{\"desiredState\":\"Stopped\"}}");
		rc = ctl_write(ctl, arena, "PATCH", "application/merge-patch+json", name, &body, &session, &err);
		if (rc < 0)
			worst = ctl_fail(&err, "session \"%s\"", name);
		else if (ctl->json)
			ctl_print_json(session);
		else if (ctl_terminal(ctl_text(session, "/status/phase")))
			(void)printf("session \"%s\" had ended already: %s\n", name, ctl_text(session, "/status/phase"));
		else
			(void)printf("session \"%s\" is stopping\n", name);
	}
	return worst;
}

const struct ctl_command ctl_stop = {
	.name = "stop", .synopsis = "stop NAME...", .text = "End a session; its workspace stays.", .min = 1,
	.max = CTL_WORDS, .on_sessions = true, .run = run_stop,
};

static int
run_delete(struct ctl *ctl)
{
	int worst = CTL_OK;

	for (size_t i = 0; i < ctl->word_count; i++) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		struct ambient_error err = AMBIENT_ERROR_INIT;
		const char *name = ctl->words[i];
		struct am_node *answer;

		if (ctl_write(ctl, arena, "DELETE", NULL, name, NULL, &answer, &err) < 0)
			worst = ctl_fail(&err, "session \"%s\"", name);
		else if (ctl->json)
			ctl_print_json(answer);
		else
			(void)printf("session \"%s\" deleted, with its workspace\n", name);
	}
	return worst;
}

const struct ctl_command ctl_delete = {
	.name = "delete", .synopsis = "delete NAME...", .text = "Delete a session and its workspace.", .min = 1,
	.max = CTL_WORDS, .on_sessions = true, .run = run_delete,
};
