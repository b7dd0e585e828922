/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chat with an agent whose program takes one prompt and ends with its answer: between two turns there is no process,
 * and the next prompt starts one that goes on with the conversation.  Prompts that come during a turn wait in their
 * order.  The chat is over when a person ends it, when the runner says so or has gone, or when the runner type says that
 * it cannot go on.
 */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/file.h"
#include "core/base/mem.h"

#define WAITING_COUNT 32
#define WAITING_MAX   (32u << 20)
#define PROMPT_MAX    (16u << 20)

bool
am_agent_by_turns(const struct am_agent *agent)
{
	return agent->run.pub.interactive && agent->type->size > offsetof(struct ambient_runner, one_prompt) &&
	       agent->type->one_prompt != 0;
}

int
am_agent_enqueue(struct am_agent *agent, const char *prompt, struct ambient_error *err)
{
	size_t n = strlen(prompt) + 1;

	if (n == 1)
		return 0;
	if (agent->waiting_count == WAITING_COUNT || agent->waiting.len + n > WAITING_MAX)
		return ambient_err(err, AMBIENT_E_NOMEM, "the prompts that wait for the agent are too many or too long");
	am_buf_add(&agent->waiting, prompt, n);
	agent->waiting_count++;
	return 0;
}

/* The first of those that wait; NULL: the chat is over. */
static char *
next_prompt(struct am_agent *agent)
{
	am_agent_hear(agent);
	am_agent_hold_turn(agent);
	while (agent->waiting_count == 0 || agent->hold == AM_HOLD_HELD) {
		if (agent->ending || agent->ended || agent->runner_gone || am_agent_asked != 0)
			return NULL;
		am_agent_wait(agent);
	}
	if (agent->ending)
		return NULL;
	char *prompt = am_xstrdup(agent->waiting.data);
	am_buf_consume(&agent->waiting, strlen(prompt) + 1);
	agent->waiting_count--;
	return prompt;
}

/* As before the first start, but for the conversation. */
static void
forget_process(struct am_agent *agent)
{
	am_agent_command_fini(&agent->command);
	if (agent->stdin_fd >= 0)
		(void)close(agent->stdin_fd);
	if (agent->pidfd >= 0)
		(void)close(agent->pidfd);
	agent->stdin_fd = agent->pidfd = -1;
	agent->pid = 0;
	agent->status = 0;
	agent->exited = agent->end_input = agent->interrupted = false;
	am_buf_reset(&agent->input);
	am_buf_reset(&agent->stderr_tail);
	if (agent->conversation != NULL) {
		free(agent->resume);
		agent->resume = am_xstrdup(agent->conversation);
		agent->run.pub.resume = agent->resume;
	}
}

/* However the last turn ended: the agent has nothing to do. */
static void
say_idle(struct am_agent *agent)
{
	static const char frame[] = "{\"t\":\"turn\"}";

	if (agent->waiting_count == 0)
		am_runner_channel_send(&agent->runner, frame, sizeof(frame) - 1);
}

int
am_agent_turns(struct am_agent *agent, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf first = {0};
	int rc = am_file_read(agent->prompt_file, PROMPT_MAX, &first, err);

	if (rc < 0)
		return rc;
	if ((rc = am_agent_enqueue(agent, am_buf_str(&first), err)) < 0)
		return rc;
	/* A chat that ends before anything was asked has done all that it was asked. */
	agent->outcome = (struct ambient_outcome){.size = sizeof(agent->outcome), .success = 1, .again = 1};
	while (rc == 0 && agent->outcome.again && !agent->runner_gone) {
		char *prompt = next_prompt(agent);

		if (prompt == NULL)
			break;
		rc = am_agent_once(agent, prompt, err);
		free(prompt);
		forget_process(agent);
		say_idle(agent);
	}
	/* A person who ends a conversation has got what they wanted of it, whatever its last turn came to. */
	if (rc == 0 && agent->ended && agent->outcome.again)
		agent->outcome = (struct ambient_outcome){.size = sizeof(agent->outcome), .success = 1};
	return rc;
}
