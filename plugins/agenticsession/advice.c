/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person can do about a run that ended otherwise than it should.  The message of such an end is what happened, in the words
 * of whoever saw it, and then this: by reason, in one table, so that no reason is left without.
 */
#include "plugins/agenticsession/agenticsession.h"

#define START "start the session again"

static const struct advice {
	const char *reason, *text;
} advices[] = {
	{ "SpecInvalid",               "correct it and " START },
	{ "RunnerTypeUnknown",         "name one that is, or load the plugin, and " START },
	{ "Timeout",                   "raise spec.timeout or ask for less, and " START "; what the agent wrote is in the workspace" },
	{ "CloneFailed",               "check the URL, the branch and the credentials (input.authSecret), and " START },
	{ "InvalidRepository",         "correct it and " START },
	{ "WorkflowFailed",            "correct spec.activeWorkflow and " START },
	{ "NoPrompt",                  "write one and " START },
	{ "PushFailed",                "the work is in the workspace (ambientctl files); make the repository take it, and " START },
	{ "PrerequisiteMissing",       "when it is there, " START },
	{ "PrerequisiteFailed",        "when that is mended, " START },
	{ "DiskFull",                  "free space on it, or give workspaces more (workspaceSize), and " START },
	{ "WorkspaceBusy",             "when that has ended, " START },
	{ "ApiUnreachable",            "when the API server answers pods again, " START },
	{ "ModelAuthenticationFailed", "correct the key in the session's Secret and " START },
	{ "ModelNotFound",             "correct spec.model and " START },
	{ "ModelRateLimited",          "wait, or raise the limit with the provider, and " START },
	{ "ModelUnavailable",          "when the provider answers again, " START },
	{ "ModelUnreachable",          "check the network and " START },
	{ "MaxTurnsReached",           "raise spec.runnerConfig.maxTurns, or " START " to go on" },
	{ "BudgetExhausted",           "raise the limit in spec.runnerConfig, and " START " to go on" },
	{ "TokensExhausted",           "raise the limit in spec.runnerConfig, and " START " to go on" },
	{ NULL,                        "its messages and logs say more (ambientctl messages, ambientctl logs); " START },
};

void
as_advise(char *text, size_t size, const char *reason)
{
	size_t k = 0, n, own;

	/* Some texts say it themselves, where they know more. */
	if (strstr(text, START) != NULL)
		return;
	while (advices[k].reason != NULL && strcmp(advices[k].reason, reason) != 0)
		k++;
	n = strlen(text);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' ' || text[n - 1] == '.'))
		text[--n] = '\0';
	own = strlen(advices[k].text) + 2;
	if (n + own >= size) {
		n = size - 1 - own;
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	(void)snprintf(text + n, size - n, "%s%s", n > 0 ? "; " : "", advices[k].text);
}
