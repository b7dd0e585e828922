/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Job's status may become.  A rule speaks up only when what it is about has changed, so that a status that was
 * stored once can still be corrected step by step.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"

struct both { /* before and now */
	const struct am_node *old, *new;
};

static bool
condition_true(const struct am_node *status, const char *type)
{
	const struct am_node *list = am_node_get(status, "conditions");

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
		if (strcmp(am_node_get_str(c, "type", ""), type) == 0)
			return strcmp(am_node_get_str(c, "status", ""), "True") == 0;
	return false;
}

static bool
finished(const struct am_node *status)
{
	return condition_true(status, "Complete") || condition_true(status, "Failed");
}

static bool
flipped(const struct both *s, const char *type)
{
	return condition_true(s->old, type) != condition_true(s->new, type);
}

static bool
changed(const struct both *s, const char *key)
{
	const struct am_node *a = am_node_get(s->old, key), *b = am_node_get(s->new, key);

	return a == NULL || b == NULL ? a != b : !am_node_equal(a, b);
}

static int64_t
number(const struct am_node *status, const char *key)
{
	int64_t n = 0;

	am_node_get_int(status, key, &n);
	return n;
}

static void
invalid(struct am_change *change, const char *field, const char *why)
{
	am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: %s", why);
}

static void
need(struct am_change *change, const char *field, const char *why)
{
	am_failure_cause(change->failure, "FieldValueRequired", field, "Required value: %s", why);
}

/* ---- conditions ---- */

static void
check_conditions(struct am_change *change, const struct both *s)
{
	static const char *const terminal[] = { "Failed", "Complete", "FailureTarget" };
	static const struct {
		const char *a, *b, *text;
	} exclusive[] = {
		{ "Complete", "Failed", "cannot set Complete=True and Failed=true conditions" },
		{ "Complete", "FailureTarget", "cannot set Complete=True and FailureTarget=true conditions" },
		{ "SuccessCriteriaMet", "Failed", "cannot set SuccessCriteriaMet=True and Failed=true conditions" },
		{ "SuccessCriteriaMet", "FailureTarget", "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions" },
	};
	char text[96];

	for (size_t i = 0; i < AM_COUNTOF(exclusive); i++)
		if ((flipped(s, exclusive[i].a) || flipped(s, exclusive[i].b)) && condition_true(s->new, exclusive[i].a) &&
		    condition_true(s->new, exclusive[i].b))
			invalid(change, "status.conditions", exclusive[i].text);
	if (flipped(s, "Failed") && condition_true(s->new, "Failed") && !condition_true(s->new, "FailureTarget"))
		invalid(change, "status.conditions",
			"cannot set Failed=True condition without the FailureTarget=true condition");
	if ((flipped(s, "Complete") || flipped(s, "SuccessCriteriaMet")) && condition_true(s->new, "Complete") &&
	    !condition_true(s->new, "SuccessCriteriaMet"))
		invalid(change, "status.conditions",
			"cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
	for (size_t i = 0; i < AM_COUNTOF(terminal); i++) {
		snprintf(text, sizeof(text), "cannot disable the terminal %s=True condition", terminal[i]);
		if (condition_true(s->old, terminal[i]) && !condition_true(s->new, terminal[i]))
			invalid(change, "status.conditions", text);
	}
	if (condition_true(s->old, "SuccessCriteriaMet") && !condition_true(s->new, "SuccessCriteriaMet"))
		invalid(change, "status.conditions", "cannot disable the SuccessCriteriaMet=True condition");
	if (condition_true(s->old, "Complete") && !condition_true(s->old, "SuccessCriteriaMet") &&
	    condition_true(s->new, "SuccessCriteriaMet"))
		invalid(change, "status.conditions",
			"cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
}

/* ---- times ---- */

/* Suspended before, and said to be resumed now: then the Job starts anew. */
static bool
resumes(const struct both *s)
{
	const struct am_node *list = am_node_get(s->new, "conditions");

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
		if (strcmp(am_node_get_str(c, "type", ""), "Suspended") == 0)
			return condition_true(s->old, "Suspended") && strcmp(am_node_get_str(c, "status", ""), "False") == 0;
	return false;
}

static void
check_times(struct am_change *change, const struct both *s)
{
	const char *start = am_node_get_str(s->new, "startTime", ""), *end = am_node_get_str(s->new, "completionTime", "");
	const struct am_node *suspend = am_node_path(change->object, "spec", "suspend", NULL);
	bool complete = condition_true(s->new, "Complete"), about_end = flipped(s, "Complete") || changed(s, "completionTime");
	bool finishes = finished(s->old) != finished(s->new), suspended = suspend != NULL && suspend->boolean;
	const struct am_node *completions = am_node_path(change->object, "spec", "completions", NULL);
	int64_t from, to, n;
	bool nothing = am_node_is_int(completions, &n) && n == 0; /* it is over before it runs */

	if (about_end && *end != '\0' && !complete)
		invalid(change, "status.completionTime", "cannot set completionTime when there is no Complete=True condition");
	if (about_end && *end == '\0' && complete)
		need(change, "status.completionTime", "completionTime is required for Complete jobs");
	if ((changed(s, "startTime") || changed(s, "completionTime")) && am_time_parse(start, &from) == 0 &&
	    am_time_parse(end, &to) == 0 && to < from)
		invalid(change, "status.completionTime", "completionTime cannot be set before startTime");
	if ((finishes || changed(s, "startTime")) && finished(s->new) && *start == '\0' && !(suspended && nothing))
		need(change, "status.startTime", "startTime is required for finished job");
	if (*end != '\0' && changed(s, "completionTime") && am_node_get(s->old, "completionTime") != NULL)
		invalid(change, "status.completionTime", "completionTime cannot be mutated");
	if (changed(s, "startTime") && am_node_get(s->old, "startTime") != NULL && !suspended && !resumes(s))
		need(change, "status.startTime", "startTime cannot be removed for unsuspended job");
}

/* ---- counts ---- */

static void
check_counts(struct am_change *change, const struct both *s)
{
	static const char *const counts[] = { "active", "succeeded", "failed", "ready", "terminating" };
	const struct am_node *spec = am_node_get(change->object, "spec"), *now = s->new;
	bool elastic = strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") == 0 &&
		       number(spec, "completions") == number(spec, "parallelism");
	bool finishes = finished(s->old) != finished(now);
	char field[64];

	for (size_t i = 0; i < AM_COUNTOF(counts); i++) {
		snprintf(field, sizeof(field), "status.%s", counts[i]);
		if (number(now, counts[i]) < 0)
			am_bad(change, field, am_node_get(now, counts[i]), "must be greater than or equal to 0");
	}
	if ((finishes || changed(s, "active")) && finished(now) && number(now, "active") > 0)
		am_bad(change, "status.active", am_node_get(now, "active"), "active>0 is invalid for finished job");
	if ((finishes || changed(s, "terminating")) && finished(now) && number(now, "terminating") > 0)
		am_bad(change, "status.terminating", am_node_get(now, "terminating"), "terminating>0 is invalid for finished job");
	if ((changed(s, "ready") || changed(s, "active")) && number(now, "ready") > number(now, "active"))
		am_bad(change, "status.ready", am_node_get(now, "ready"), "cannot set more ready pods than active");
	if (number(now, "failed") < number(s->old, "failed"))
		am_bad(change, "status.failed", am_node_get(now, "failed"), "cannot decrease the failed counter");
	if (number(now, "succeeded") < number(s->old, "succeeded") && !elastic)
		am_bad(change, "status.succeeded", am_node_get(now, "succeeded"), "cannot decrease the succeeded counter");
}

static void
check_uncounted(struct am_change *change, const struct both *s)
{
	static const char *const lists[] = { "succeeded", "failed" };
	const struct am_node *uncounted = am_node_get(s->new, "uncountedTerminatedPods");
	struct am_map *seen = am_map_new();
	uint32_t total = 0;
	char field[96];

	for (size_t l = 0; l < AM_COUNTOF(lists); l++) {
		const struct am_node *list = am_node_get(uncounted, lists[l]);
		int i = 0;
		for (const struct am_node *u = list != NULL ? list->first : NULL; u != NULL; u = u->next, i++, total++) {
			const char *uid = am_node_text(u, "");
			snprintf(field, sizeof(field), "status.uncountedTerminatedPods.%s[%d]", lists[l], i);
			if (*uid == '\0')
				am_bad(change, field, u, "must not be empty");
			else if (am_map_has(seen, uid))
				am_failure_cause(change->failure, "FieldValueDuplicate", field, "Duplicate value: \"%.64s\"", uid);
			am_map_put(seen, uid, seen);
		}
	}
	am_map_free(seen);
	if ((finished(s->old) != finished(s->new) || changed(s, "uncountedTerminatedPods")) && finished(s->new) && total > 0)
		am_bad(change, "status.uncountedTerminatedPods", uncounted, "uncountedTerminatedPods needs to be empty for finished job");
}

/* ---- indexes ---- */

/* The first index that both texts name, -1: none.  Both are well-formed. */
static int64_t
common_index(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0') {
		char *end_a, *end_b;
		int64_t first_a = strtoll(a, &end_a, 10), last_a = first_a, first_b = strtoll(b, &end_b, 10), last_b = first_b;
		if (*end_a == '-')
			last_a = strtoll(end_a + 1, &end_a, 10);
		if (*end_b == '-')
			last_b = strtoll(end_b + 1, &end_b, 10);
		if (first_a <= last_b && first_b <= last_a)
			return AM_MAX(first_a, first_b);
		if (last_a < last_b)
			a = *end_a == ',' ? end_a + 1 : "";
		else
			b = *end_b == ',' ? end_b + 1 : "";
	}
	return -1;
}

static void
check_indexes(struct am_change *change, const struct both *s)
{
	const struct am_node *spec = am_node_get(change->object, "spec");
	const struct am_node *done = am_node_get(s->new, "completedIndexes"), *dead = am_node_get(s->new, "failedIndexes");
	bool about_done = changed(s, "completedIndexes"), about_dead = changed(s, "failedIndexes"), ok = true;
	int64_t completions = number(spec, "completions"), total;
	char text[96];

	if (about_done && done != NULL && done->len > 0 && strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") != 0) {
		am_bad(change, "status.completedIndexes", done,
		       "cannot set non-empty completedIndexes when non-indexed completion mode");
		return;
	}
	if (about_dead && dead != NULL && am_node_get(spec, "backoffLimitPerIndex") == NULL) {
		am_bad(change, "status.failedIndexes", dead, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
		return;
	}
	if (am_node_get(spec, "completions") == NULL)
		return;
	if (about_done && done != NULL)
		ok &= am_job_check_indexes(change, done, "status.completedIndexes", "completedIndexes", completions, &total);
	if (about_dead && dead != NULL)
		ok &= am_job_check_indexes(change, dead, "status.failedIndexes", "failedIndexes", completions, &total);
	if (!ok || !(about_done || about_dead))
		return;
	total = common_index(am_node_text(done, ""), am_node_text(dead, ""));
	snprintf(text, sizeof(text), "failedIndexes and completedIndexes overlap at index: %lld", (long long)total);
	if (total >= 0)
		am_bad(change, "status.failedIndexes", dead, text);
}

void
am_job_check_status(struct am_change *change)
{
	struct both s = { am_node_get(change->old, "status"), am_node_get(change->object, "status") };

	if (s.new == NULL || (s.old != NULL && am_node_equal(s.new, s.old)))
		return;
	check_counts(change, &s);
	check_uncounted(change, &s);
	check_conditions(change, &s);
	check_times(change, &s);
	check_indexes(change, &s);
}
