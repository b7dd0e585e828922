/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's side of a change of the workspace (live.h): ends the agent between two turns, lets the runner move what it has to,
 * starts it again in the new layout.  Prompts that come meanwhile are kept.  A type that cannot start its agent again has nothing
 * ended; what the runner moves is then seen by an agent that works.
 */
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define QUEUED_MAX 64
#define SILENT_MAX (600 * AM_NS_PER_S) /* of an agent whose input was ended: a last turn may take long */

static void
say(struct am_agent *agent, const char *t)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};

	am_json_addf(&frame, "{\"t\":%s}", t);
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

struct am_slice
am_agent_frame(const struct am_agent *agent)
{
	const struct am_buf *frame = agent->layout.len > 0 ? &agent->layout : &agent->start;

	return am_slice(am_buf_str(frame), frame->len);
}

void
am_agent_hold(struct am_agent *agent)
{
	if (agent->hold != AM_HOLD_NONE)
		return;
	if (am_agent_by_turns(agent)) {
		agent->hold = AM_HOLD_ASKED;
		am_agent_hold_turn(agent);
	} else if (!AMBIENT_HAS(agent->type, restart) || !agent->run.pub.interactive || agent->asked != AMBIENT_ASKED_NONE ||
	    agent->ended)
		say(agent, "held");
	else
		agent->hold = AM_HOLD_ASKED;
}

void
am_agent_hold_turn(struct am_agent *agent)
{
	if (agent->hold != AM_HOLD_ASKED || agent->pid != 0)
		return;
	agent->hold = AM_HOLD_HELD;
	say(agent, "held");
}

void
am_agent_hold_step(struct am_agent *agent)
{
	int64_t now = am_clock_boot(am_clock_real());

	if (am_agent_by_turns(agent))
		return;
	if (agent->hold == AM_HOLD_ASKED && !agent->in_turn && agent->asked == AMBIENT_ASKED_NONE) {
		/* A prompt that was just written is still answered before the agent ends. */
		agent->hold = AM_HOLD_ENDING;
		agent->end_input = true;
		agent->ending_since = now;
	}
	if (agent->hold == AM_HOLD_ENDING && !agent->exited && agent->term_at == AM_FOREVER && agent->kill_at == AM_FOREVER &&
	    now > AM_MAX(agent->ending_since, agent->last_line) + SILENT_MAX)
		agent->term_at = now;
}

bool
am_agent_hold_ended(struct am_agent *agent)
{
	if (agent->hold != AM_HOLD_ENDING || agent->asked != AMBIENT_ASKED_NONE || agent->ended)
		return false;
	am_agent_sweep();
	if (agent->stdin_fd >= 0)
		(void)close(agent->stdin_fd);
	if (agent->pidfd >= 0)
		(void)close(agent->pidfd);
	am_buf_fini(&agent->out.buf);
	am_buf_fini(&agent->err.buf);
	am_buf_reset(&agent->input);
	agent->stdin_fd = agent->pidfd = -1;
	agent->pid = 0;
	agent->exited = agent->end_input = false;
	agent->term_at = agent->kill_at = agent->drain_until = AM_FOREVER;
	agent->hold = AM_HOLD_HELD;
	say(agent, "held");
	return true;
}

int
am_agent_queue(struct am_agent *agent, const char *text, struct ambient_error *err)
{
	if (agent->queued_count == QUEUED_MAX)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the agent is being started again, and %d messages wait already", QUEUED_MAX);
	agent->queued = am_xrealloc(agent->queued, agent->queued_count + 1, sizeof(*agent->queued));
	agent->queued[agent->queued_count++] = am_xstrdup(text);
	return 0;
}

/* That it cannot be said ends no conversation. */
static void
prompt(struct am_agent *agent, const char *text)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = am_agent_by_turns(agent) ? am_agent_enqueue(agent, text, &err) : am_agent_prompt(agent, text, &err);

	if (rc < 0)
		am_log_warn("agent", "a prompt: %s", err.message);
}

static int
start_again(struct am_agent *agent, struct am_slice frame, struct ambient_error *err)
{
	am_auto(am_freep) char *text = am_json_dup(frame, "/say");
	bool by_turns = am_agent_by_turns(agent); /* the next turn begins there */
	int rc;

	am_agent_layout(agent, frame);
	if (!by_turns && !am_empty(agent->conversation)) {
		free(agent->resume);
		agent->resume = am_xstrdup(agent->conversation);
		agent->run.pub.resume = agent->resume;
	}
	if (!by_turns && (rc = am_agent_spawn(agent, true, err)) < 0)
		return rc;
	agent->hold = AM_HOLD_NONE;
	if (!am_empty(text))
		prompt(agent, text);
	for (size_t i = 0; i < agent->queued_count; i++) {
		prompt(agent, agent->queued[i]);
		free(agent->queued[i]);
	}
	agent->queued_count = 0;
	return 0;
}

void
am_agent_lay_out(struct am_agent *agent, struct am_slice line)
{
	am_buf_reset(&agent->layout);
	am_buf_add(&agent->layout, line.p, line.n);
	if (agent->hold == AM_HOLD_HELD && start_again(agent, am_agent_frame(agent), &agent->live_error) < 0)
		return;
	say(agent, "laidout");
}

void
am_agent_live_fini(struct am_agent *agent)
{
	for (size_t i = 0; i < agent->queued_count; i++)
		free(agent->queued[i]);
	free(agent->queued);
	am_buf_fini(&agent->layout);
}
