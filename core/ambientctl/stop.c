/* SPDX-License-Identifier: Apache-2.0 */
/* stop, start and delete. */
#include "core/ambientctl/ctl.h"

#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

/* The two ways to wish for something say the same, so that neither contradicts the other later: whoever asks last is heard,
 * also when the operator sees both at once. */
static void
add_wish(struct am_buf *body, bool run)
{
	const char *phase = run ? "Running" : "Stopped";
	char now[32];

	am_time_format(now, am_clock_wall(am_clock_real()), true);
	am_json_addf(body, "{\"metadata\":{\"annotations\":{\"ambient-code.io/desired-phase\":%s,%s:%s}},"
		     "\"spec\":{\"desiredState\":%s}}", phase,
		     run ? "ambient-code.io/start-requested-at" : "ambient-code.io/stop-requested-at", now, phase);
}

static void
print_wish(const char *name, const char *phase, bool run)
{
	if (!run && ctl_terminal(phase))
		(void)printf("session \"%s\" had ended already: %s\n", name, phase);
	else if (!run)
		(void)printf("session \"%s\" is stopping\n", name);
	else if (ctl_terminal(phase) || am_streq(phase, "Stopping"))
		(void)printf("session \"%s\" starts again on its workspace\n", name);
	else
		(void)printf("session \"%s\" had not ended: %s\n", name, phase[0] != '\0' ? phase : "Pending");
}

static int
wish(struct ctl *ctl, bool run)
{
	int worst = CTL_OK;

	for (size_t i = 0; i < ctl->word_count; i++) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		am_auto(am_buf_fini) struct am_buf body = { 0 };
		struct ambient_error err = AMBIENT_ERROR_INIT;
		const char *name = ctl->words[i];
		struct am_node *session;
		int rc;

		add_wish(&body, run);
		rc = ctl_write(ctl, arena, "PATCH", "application/merge-patch+json", name, &body, &session, &err);
		if (rc < 0)
			worst = ctl_fail(&err, "session \"%s\"", name);
		else if (ctl->json)
			ctl_print_json(session);
		else
			print_wish(name, ctl_text(session, "/status/phase"), run);
	}
	return worst;
}

static int
run_stop(struct ctl *ctl)
{
	return wish(ctl, false);
}

static int
run_start(struct ctl *ctl)
{
	return wish(ctl, true);
}

const struct ctl_command ctl_start = {
	.name = "start", .synopsis = "start NAME...", .text = "Run a session that has ended once more, on its workspace.", .min = 1,
	.max = CTL_WORDS, .on_sessions = true, .run = run_start,
};

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
