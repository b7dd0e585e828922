/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of a status that is a struct: read from JSON, changed, written back in the order in which they were first
 * set.  A transition time moves only when the status of a condition does.
 */
#include "plugins/kind-shared/conditions.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const truths[] = { [KC_UNSET] = "", [KC_FALSE] = "False", [KC_TRUE] = "True", [KC_UNKNOWN] = "Unknown" };

void
kc_copy(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size)
		for (n = size - 1; n > 0 && ((unsigned char)src[n] & 0xc0) == 0x80; n--)
			;
	memmove(dst, src, n);
	dst[n] = '\0';
}

bool
kc_time_parse(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest == NULL || (*rest != 'Z' && *rest != '.'))
		return false;
	*ret_ns = (int64_t)timegm(&tm) * AMBIENT_SECOND;
	if (*rest == '.')
		for (int64_t unit = AMBIENT_SECOND / 10; *++rest >= '0' && *rest <= '9'; unit /= 10)
			*ret_ns += (*rest - '0') * unit;
	return true;
}

static void
load_one(struct kc_cond *cond, const struct ambient_object *c)
{
	const char *status = ambient_str(c, "/status", "");

	for (int s = KC_FALSE; s <= KC_UNKNOWN; s++)
		if (strcmp(status, truths[s]) == 0)
			cond->status = (enum kc_truth)s;
	kc_copy(cond->reason, sizeof(cond->reason), ambient_str(c, "/reason", ""));
	kc_copy(cond->message, sizeof(cond->message), ambient_str(c, "/message", ""));
	kc_copy(cond->since, sizeof(cond->since), ambient_str(c, "/lastTransitionTime", ""));
	cond->generation = ambient_int(c, "/observedGeneration", 0);
}

void
kc_load(struct kc_cond *all, const char *const *types, size_t n, const struct ambient_object *object)
{
	memset(all, 0, n * sizeof(*all));
	for (size_t i = 0; i < ambient_len(object, "/status/conditions"); i++) {
		const struct ambient_object *c = ambient_item(object, "/status/conditions", i, NULL);

		for (size_t k = 0; k < n; k++)
			if (strcmp(ambient_str(c, "/type", ""), types[k]) == 0)
				load_one(&all[k], c);
	}
}

/* What programs said may be lines, and may end with one; a condition is shown in one. */
static void
one_line(char *text)
{
	size_t n = strlen(text);

	while (n > 0 && (unsigned char)text[n - 1] <= ' ')
		text[--n] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

void
kc_set(struct kc_cond *cond, enum kc_truth status, int64_t now_ns, int64_t generation, const char *reason, const char *fmt,
       va_list ap)
{
	char message[1024]; /* an argument may be the message that is replaced */

	(void)vsnprintf(message, sizeof(message), fmt, ap);
	one_line(message);
	if (cond->status != status)
		ambient_time(cond->since, now_ns);
	cond->status = status;
	cond->generation = generation;
	kc_copy(cond->reason, sizeof(cond->reason), reason);
	kc_copy(cond->message, sizeof(cond->message), message);
}

void
kc_put(struct ambient_draft *draft, const struct kc_cond *all, const char *const *types, size_t n)
{
	char at[64];
	size_t to = 0;

	ambient_draft_set_json(draft, "/status/conditions", "[]");
	for (size_t k = 0; k < n; k++) {
		const char *const members[][2] = {
			{ "type", types[k] },          { "status", truths[all[k].status] }, { "reason", all[k].reason },
			{ "message", all[k].message }, { "lastTransitionTime", all[k].since },
		};

		if (all[k].status == KC_UNSET)
			continue;
		ambient_draft_set_json(draft, "/status/conditions/-", "{}");
		for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
			(void)snprintf(at, sizeof(at), "/status/conditions/%zu/%s", to, members[i][0]);
			ambient_draft_set_str(draft, at, members[i][1]);
		}
		(void)snprintf(at, sizeof(at), "/status/conditions/%zu/observedGeneration", to++);
		ambient_draft_set_int(draft, at, all[k].generation);
	}
}
