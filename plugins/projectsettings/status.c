/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions: found during a pass, written once at its end.  Ready is True when none of the others is False. */
#include <stdlib.h>
#include <time.h>

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
ps_time(char out[40], int64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / AMBIENT_SECOND);
	struct tm tm;

	if (gmtime_r(&s, &tm) == NULL || strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
}

bool
ps_time_parse(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest == NULL || (*rest != 'Z' && *rest != '.'))
		return false;
	*ret_ns = (int64_t)timegm(&tm) * AMBIENT_SECOND;
	return true;
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
	if (c->reason[0] == '\0')
		(void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
	if (used + strlen(text) + 32 < sizeof(c->message)) /* with room for how many more there are */
		(void)snprintf(c->message + used, sizeof(c->message) - used, "%s%s", used > 0 ? "; " : "", text);
	else
		c->more++;
}

/* An answer of the API server may be cut in the middle of a character. */
static void
whole_characters(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && ((unsigned char)text[n - 1] & 0x80) != 0)
		text[n - 1] = '\0';
}

static const struct ambient_object *
condition(const struct ambient_object *o, const char *type)
{
	for (size_t i = 0; i < ambient_len(o, "/status/conditions"); i++) {
		const struct ambient_object *c = ambient_item(o, "/status/conditions", i, NULL);

		if (strcmp(ambient_str(c, "/type", ""), type) == 0)
			return c;
	}
	return NULL;
}

static void
add(struct ambient_draft *draft, size_t i, const char *type, const struct ps_cond *c, const struct ambient_object *before,
    int64_t generation, int64_t now)
{
	const struct ambient_object *old = condition(before, type);
	const char *status = c->good ? "True" : "False";
	char pointer[80], since[40];
	size_t base = (size_t)snprintf(pointer, sizeof(pointer), "/status/conditions/%zu", i);

	ps_time(since, now);
	if (old != NULL && strcmp(ambient_str(old, "/status", ""), status) == 0)
		(void)snprintf(since, sizeof(since), "%s", ambient_str(old, "/lastTransitionTime", since));
	ambient_draft_set_json(draft, "/status/conditions/-", "{}");
	const struct {
		const char *member, *value;
	} texts[] = { { "/type", type }, { "/status", status }, { "/reason", c->reason }, { "/message", c->message },
		      { "/lastTransitionTime", since } };

	for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
		(void)snprintf(pointer + base, sizeof(pointer) - base, "%s", texts[k].member);
		ambient_draft_set_str(draft, pointer, texts[k].value);
	}
	(void)snprintf(pointer + base, sizeof(pointer) - base, "/observedGeneration");
	ambient_draft_set_int(draft, pointer, generation);
}

static void
conclude(struct ps_status *st)
{
	struct ps_cond *ready = &st->cond[PS_READY];

	for (int k = PS_READY + 1; k < PS_CONDITIONS; k++) {
		struct ps_cond *c = &st->cond[k];
		size_t used = strlen(c->message);

		whole_characters(c->message);
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
	const struct ambient_object *before = condition(settings, types[PS_READY]);
	const struct ps_cond *ready = &st->cond[PS_READY];
	int64_t generation = ambient_int(settings, "/metadata/generation", 0), now = ps_now(call);
	size_t n = 0;

	conclude(st);
	ambient_draft_set_int(draft, "/status/observedGeneration", generation);
	ambient_draft_set_int(draft, "/status/groupBindingsCreated", (int64_t)st->bindings);
	if (st->cond[PS_LIMITS].reason[0] != '\0')
		ambient_draft_set_bool(draft, "/status/limitRangeReady", st->cond[PS_LIMITS].good);
	else if (ambient_type(settings, "/status/limitRangeReady") != AMBIENT_T_NONE)
		ambient_draft_unset(draft, "/status/limitRangeReady");
	ambient_draft_set_json(draft, "/status/conditions", "[]");
	for (int k = 0; k < PS_CONDITIONS; k++)
		if (st->cond[k].reason[0] != '\0')
			add(draft, n++, types[k], &st->cond[k], settings, generation, now);

	int rc = ambient_status(call, draft, err);

	if (rc == 0 && (before == NULL ? !ready->good : strcmp(ambient_str(before, "/reason", ""), ready->reason) != 0))
		ambient_event(call, settings, ready->good ? "Normal" : "Warning", ready->reason, "%s",
			      ready->good ? "everything that was asked for is in place" : ready->message);
	return rc;
}
