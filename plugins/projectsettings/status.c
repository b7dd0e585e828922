/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions: found during a pass, written once at its end.  Ready is True when none of the others is False. */
#include <stdlib.h>

#include "plugins/projectsettings/projectsettings.h"

static const char *const types[PS_CONDITIONS] = {
	[PS_READY] = "Ready",          [PS_SPEC_VALID] = "SpecValid",   [PS_ACCESS] = "GroupAccessReady",
	[PS_SECRETS] = "SecretsReady", [PS_LIMITS] = "LimitRangeReady", [PS_QUOTAS] = "ResourceQuotaReady",
};

int64_t
ps_now(struct ambient_call *call)
{
	return AMBIENT_HAS(call->host->clock, wall) ? call->host->clock->wall(call->host) : 0;
}

void
ps_good(struct ps_status *st, enum ps_condition which, const char *reason)
{
	struct ps_cond *c = &st->cond[which];

	if (c->reason[0] != '\0')
		return;
	c->good = true;
	(void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
}

/* What the API server said may have been cut in the middle of a character. */
static void
drop_half_character(char *text)
{
	size_t n = strlen(text), lead = n;

	while (lead > 0 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
		lead--;
	if (lead == 0)
		return;
	unsigned char first = (unsigned char)text[--lead];
	size_t whole = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
	if (n - lead < whole)
		text[lead] = '\0';
}

void
ps_bad(struct ps_status *st, enum ps_condition which, const char *reason, const char *fmt, ...)
{
	struct ps_cond *c = &st->cond[which];
	size_t used = strlen(c->message);
	char text[480];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	drop_half_character(text);
	if (c->reason[0] == '\0')
		(void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
	if (used + strlen(text) + 32 < sizeof(c->message)) /* with room for how many more there are */
		(void)snprintf(c->message + used, sizeof(c->message) - used, "%s%s", used > 0 ? "; " : "", text);
	else
		c->more++;
}

/* What a pass no longer speaks of is taken away; conditions of others stay. */
static void
drop_unsaid(struct ambient_draft *draft, const struct ambient_object *settings, const struct ps_status *st)
{
	char pointer[64];

	for (size_t i = ambient_len(settings, "/status/conditions"); i-- > 0;) {
		const char *type = ambient_str(ambient_item(settings, "/status/conditions", i, NULL), "/type", "");

		for (int k = 0; k < PS_CONDITIONS; k++)
			if (st->cond[k].reason[0] == '\0' && strcmp(types[k], type) == 0) {
				(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%zu", i);
				ambient_draft_unset(draft, pointer);
			}
	}
}

static void
conclude(struct ps_status *st)
{
	struct ps_cond *ready = &st->cond[PS_READY];

	for (int k = PS_READY + 1; k < PS_CONDITIONS; k++) {
		struct ps_cond *c = &st->cond[k];
		size_t used = strlen(c->message);

		if (c->more > 0)
			(void)snprintf(c->message + used, sizeof(c->message) - used, "; and %zu more", c->more);
		if (c->reason[0] != '\0' && !c->good && ready->reason[0] == '\0')
			*ready = *c;
	}
	ps_good(st, PS_READY, "Applied");
}

int
ps_status_write(struct ambient_call *call, const struct ambient_object *settings, struct ps_status *st,
		struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_from(call, PS_SETTINGS, settings);
	const struct ambient_object *before = ambient_condition(settings, types[PS_READY]);
	const struct ps_cond *ready = &st->cond[PS_READY];
	int rc = 0;

	conclude(st);
	ambient_draft_set_int(draft, "/status/observedGeneration", ambient_int(settings, "/metadata/generation", 0));
	ambient_draft_set_int(draft, "/status/groupBindingsCreated", (int64_t)st->bindings);
	if (st->cond[PS_LIMITS].reason[0] != '\0')
		ambient_draft_set_bool(draft, "/status/limitRangeReady", st->cond[PS_LIMITS].good);
	else if (ambient_type(settings, "/status/limitRangeReady") != AMBIENT_T_NONE)
		ambient_draft_unset(draft, "/status/limitRangeReady");
	drop_unsaid(draft, settings, st);
	for (int k = 0; k < PS_CONDITIONS && rc >= 0; k++) {
		const struct ps_cond *c = &st->cond[k];

		if (c->reason[0] != '\0')
			rc = ambient_condition_set(call, draft, settings, types[k], c->good ? "True" : "False", c->reason,
						   c->message, err);
	}
	if (rc >= 0)
		rc = ambient_status(call, draft, err);
	if (rc == 0 && (before == NULL ? !ready->good : strcmp(ambient_str(before, "/reason", ""), ready->reason) != 0))
		ambient_event(call, settings, ready->good ? "Normal" : "Warning", ready->reason, "%s",
			      ready->good ? "everything that was asked for is in place" : ready->message);
	return rc;
}
