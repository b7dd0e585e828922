/* SPDX-License-Identifier: Apache-2.0 */
/* A Job's status, written whole; the host sends nothing when nothing changes. */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

static void
set_condition(struct ambient_draft *d, const char *type, const char *status, const char *reason, const char *message,
	      const char *now)
{
	const struct ambient_object *view = ambient_draft_view(d);
	size_t n = ambient_len(view, "/status/conditions"), i;
	static const char *const times[] = { "lastProbeTime", "lastTransitionTime" };
	char at[96], field[128];

	if (n == 0)
		ambient_draft_set_json(d, "/status/conditions", "[]");
	for (i = 0; i < n; i++) {
		(void)snprintf(at, sizeof(at), "/status/conditions/%zu/type", i);
		if (strcmp(ambient_str(view, at, ""), type) == 0)
			break;
	}
	(void)snprintf(at, sizeof(at), "/status/conditions/%zu/status", i);
	if (i < n && strcmp(ambient_str(view, at, ""), status) == 0)
		return;
	(void)snprintf(at, sizeof(at), "/status/conditions/%zu", i);
	if (i == n)
		ambient_draft_set_json(d, "/status/conditions/-", "{}");
	else
		ambient_draft_set_json(d, at, "{}");
	(void)snprintf(field, sizeof(field), "%s/type", at);
	ambient_draft_set_str(d, field, type);
	(void)snprintf(field, sizeof(field), "%s/status", at);
	ambient_draft_set_str(d, field, status);
	for (size_t t = 0; t < 2; t++) {
		(void)snprintf(field, sizeof(field), "%s/%s", at, times[t]);
		ambient_draft_set_str(d, field, now);
	}
	(void)snprintf(field, sizeof(field), "%s/reason", at);
	ambient_draft_set_str(d, field, reason);
	(void)snprintf(field, sizeof(field), "%s/message", at);
	ambient_draft_set_str(d, field, message);
}

static void
set_count(struct ambient_draft *d, const char *at, int64_t n)
{
	if (n > 0)
		ambient_draft_set_int(d, at, n);
	else
		ambient_draft_unset(d, at);
}

static void
set_uncounted(struct ambient_draft *d, const struct job_view *v)
{
	ambient_draft_set_json(d, "/status/uncountedTerminatedPods", "{}");
	for (size_t i = 0; i < v->count; i++) {
		const struct job_pod *p = &v->pods[i];
		const char *list = p->fate == JOB_COUNT_OK ? "/status/uncountedTerminatedPods/succeeded"
							   : "/status/uncountedTerminatedPods/failed";
		char at[64];

		if (p->fate != JOB_COUNT_OK && p->fate != JOB_COUNT_FAILED)
			continue;
		if (ambient_type(ambient_draft_view(d), list) != AMBIENT_T_ARRAY)
			ambient_draft_set_json(d, list, "[]");
		(void)snprintf(at, sizeof(at), "%s/-", list);
		ambient_draft_set_str(d, at, p->uid);
	}
}

static int
set_indexes(struct ambient_call *call, struct ambient_draft *d, const struct job_view *v, struct ambient_error *err)
{
	const char *done = job_indexes_text(call, &v->done), *dead = job_indexes_text(call, &v->dead);

	if (done == NULL || dead == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (*done != '\0')
		ambient_draft_set_str(d, "/status/completedIndexes", done);
	else
		ambient_draft_unset(d, "/status/completedIndexes");
	if (v->index_limit >= 0)
		ambient_draft_set_str(d, "/status/failedIndexes", dead);
	return 0;
}

int
job_write_status(struct ambient_call *call, const struct job_view *v, const struct job_change *change,
		 struct ambient_error *err)
{
	struct ambient_draft *d = ambient_draft_from(call, JOB, v->job);
	char now[32], start[32];

	job_stamp(now, call->host->clock->wall(call->host));
	set_count(d, "/status/active", v->active);
	set_count(d, "/status/succeeded", v->folded_ok);
	set_count(d, "/status/failed", v->folded_bad);
	ambient_draft_set_int(d, "/status/ready", v->ready);
	ambient_draft_set_int(d, "/status/terminating", v->terminating);
	set_uncounted(d, v);
	if (v->indexed && set_indexes(call, d, v, err) < 0)
		return -AMBIENT_E_NOMEM;
	if (change->start > 0) {
		job_stamp(start, change->start);
		ambient_draft_set_str(d, "/status/startTime", start);
	}
	if (change->suspended != NULL)
		set_condition(d, "Suspended", change->suspended,
			      strcmp(change->suspended, "True") == 0 ? "JobSuspended" : "JobResumed",
			      strcmp(change->suspended, "True") == 0 ? "Job suspended" : "Job resumed", now);
	for (size_t i = 0; i < 2; i++)
		if (change->add[i] != NULL)
			set_condition(d, change->add[i], "True", change->reason[i], change->message[i], now);
	if (change->complete)
		ambient_draft_set_str(d, "/status/completionTime", now);
	return ambient_status(call, d, err);
}
