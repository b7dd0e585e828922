/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions -> phase: one table, first match wins, and nothing else decides. */
#include "plugins/agenticsession/agenticsession.h"

static const struct rule {
	enum as_condition which;
	enum kc_truth status;
	const char *reason; /* NULL: any */
	const char *phase;
	bool terminal;
} rules[] = {
	{ AS_COMPLETED,      KC_TRUE,  NULL,       "Completed", true },
	{ AS_FAILED,         KC_TRUE,  "Timeout",  "Timeout",   true },
	{ AS_FAILED,         KC_TRUE,  NULL,       "Failed",    true },
	{ AS_STOPPED,        KC_TRUE,  NULL,       "Stopped",   true },
	{ AS_STOPPED,        KC_FALSE, "Stopping", "Stopping",  false },
	{ AS_RUNNER_STARTED, KC_TRUE,  NULL,       "Running",   false },
	{ AS_JOB_CREATED,    KC_TRUE,  NULL,       "Creating",  false },
};

static const struct rule *
find(const struct as_status *st)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct kc_cond *c = &st->cond[rules[i].which];

		if (c->status == rules[i].status &&
		    (rules[i].reason == NULL || strcmp(c->reason, rules[i].reason) == 0))
			return &rules[i];
	}
	return NULL;
}

const char *
as_phase(const struct as_status *st)
{
	const struct rule *rule = find(st);

	return rule != NULL ? rule->phase : "Pending";
}

bool
as_terminal(const struct as_status *st)
{
	const struct rule *rule = find(st);

	return rule != NULL && rule->terminal;
}
