/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Job and its pods as numbers.  A pod counts once: it carries a finalizer until its end is recorded, first
 * among status.uncountedTerminatedPods, then, when the finalizer is gone, in status.succeeded or status.failed.
 */
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t
job_time(const char *text)
{
	struct tm tm = { 0 };

	if (text == NULL || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
				   &tm.tm_min, &tm.tm_sec) != 6)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * AMBIENT_SECOND;
}

void
job_stamp(char buf[32], int64_t wall)
{
	time_t t = (time_t)(wall / AMBIENT_SECOND);
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

bool
job_condition(const struct ambient_object *obj, const char *type, const char **reason, int64_t *since)
{
	size_t n = ambient_len(obj, "/status/conditions");

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(obj, "/status/conditions", i, NULL);

		if (c == NULL || strcmp(ambient_str(c, "/type", ""), type) != 0 ||
		    strcmp(ambient_str(c, "/status", ""), "True") != 0)
			continue;
		if (reason != NULL)
			*reason = ambient_str(c, "/reason", "");
		if (since != NULL)
			*since = job_time(ambient_str(c, "/lastTransitionTime", NULL));
		return true;
	}
	return false;
}

bool
job_tracked(const struct ambient_object *pod)
{
	size_t n = ambient_len(pod, "/metadata/finalizers");

	for (size_t i = 0; i < n; i++) {
		char at[64];

		(void)snprintf(at, sizeof(at), "/metadata/finalizers/%zu", i);
		if (strcmp(ambient_str(pod, at, ""), TRACKING) == 0)
			return true;
	}
	return false;
}

static bool
controlled_by(const struct ambient_object *pod, const char *uid)
{
	size_t n = ambient_len(pod, "/metadata/ownerReferences");

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *ref = ambient_item(pod, "/metadata/ownerReferences", i, NULL);

		if (ref != NULL && ambient_bool(ref, "/controller", 0) && strcmp(ambient_str(ref, "/uid", ""), uid) == 0)
			return true;
	}
	return false;
}

static bool
listed(const struct ambient_object *job, const char *list, const char *uid)
{
	char at[96];
	size_t n;

	(void)snprintf(at, sizeof(at), "/status/uncountedTerminatedPods/%s", list);
	n = ambient_len(job, at);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(at, sizeof(at), "/status/uncountedTerminatedPods/%s/%zu", list, i);
		if (strcmp(ambient_str(job, at, ""), uid) == 0)
			return true;
	}
	return false;
}

/* When its last container ended; the deletion, or now, when no container says. */
static int64_t
ended_at(struct ambient_call *call, const struct ambient_object *pod)
{
	size_t n = ambient_len(pod, "/status/containerStatuses");
	int64_t latest = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/containerStatuses", i, NULL);
		int64_t t = job_time(ambient_str(c, "/state/terminated/finishedAt", NULL));

		if (t > latest)
			latest = t;
	}
	if (latest == 0)
		latest = job_time(ambient_str(pod, "/metadata/deletionTimestamp", NULL));
	return latest != 0 ? latest : call->host->clock->wall(call->host);
}

static void
look_at_pod(struct ambient_call *call, struct job_view *v, const struct ambient_object *obj)
{
	struct job_pod *p = &v->pods[v->count++];
	const char *phase = ambient_str(obj, "/status/phase", "Pending");
	size_t n = ambient_len(obj, "/status/containerStatuses");

	p->obj = obj;
	p->name = ambient_str(obj, "/metadata/name", "");
	p->uid = ambient_str(obj, "/metadata/uid", "");
	p->tracked = job_tracked(obj);
	p->deleting = ambient_type(obj, "/metadata/deletionTimestamp") == AMBIENT_T_STRING;
	p->succeeded = strcmp(phase, "Succeeded") == 0;
	/* Deleted without grace: nobody will report its end any more. */
	p->failed = strcmp(phase, "Failed") == 0 ||
		    (p->deleting && !p->succeeded && ambient_int(obj, "/metadata/deletionGracePeriodSeconds", 1) == 0);
	p->ready = job_condition(obj, "Ready", NULL, NULL);
	p->uncounted = listed(v->job, "succeeded", p->uid) || listed(v->job, "failed", p->uid);
	for (size_t i = 0; i < n; i++)
		v->restarts += ambient_int(ambient_item(obj, "/status/containerStatuses", i, NULL), "/restartCount", 0);
	if (p->failed) {
		int64_t t = ended_at(call, obj);

		if (t > v->last_failure)
			v->last_failure = t;
	}
	if (p->succeeded || p->failed)
		return;
	v->active += !p->deleting;
	v->terminating += p->deleting;
	v->ready += !p->deleting && p->ready;
}

/* status.succeeded and status.failed, the uncounted, and the newly ended. */
static void
count(struct job_view *v)
{
	size_t ok = ambient_len(v->job, "/status/uncountedTerminatedPods/succeeded");
	size_t bad = ambient_len(v->job, "/status/uncountedTerminatedPods/failed");

	v->folded_ok = ambient_int(v->job, "/status/succeeded", 0) + (int64_t)ok;
	v->folded_bad = ambient_int(v->job, "/status/failed", 0) + (int64_t)bad;
	v->succeeded = v->folded_ok;
	v->failed = v->folded_bad;
	for (size_t i = 0; i < v->count; i++) {
		struct job_pod *p = &v->pods[i];

		if (!p->tracked || !(p->succeeded || p->failed))
			continue;
		v->uncounted++;
		if (p->uncounted && p->succeeded)
			v->folded_ok--;
		else if (p->uncounted)
			v->folded_bad--;
		else if (p->succeeded)
			v->succeeded++;
		else
			v->failed++;
	}
}

int
job_look(struct ambient_call *call, const struct ambient_object *job, struct job_view *v, struct ambient_error *err)
{
	static const char *const ends[] = { "Complete", "Failed" };
	static const char *const targets[] = { "SuccessCriteriaMet", "FailureTarget" };
	struct ambient_list_options options = { .size = sizeof(options) };
	const struct ambient_list *list;
	char selector[160];
	size_t n;
	int rc;

	*v = (struct job_view){ .job = job };
	v->ns = ambient_str(job, "/metadata/namespace", "");
	v->name = ambient_str(job, "/metadata/name", "");
	v->uid = ambient_str(job, "/metadata/uid", "");
	v->parallelism = ambient_int(job, "/spec/parallelism", 1);
	v->completions = ambient_int(job, "/spec/completions",
				     ambient_type(job, "/spec/parallelism") == AMBIENT_T_NUMBER ? -1 : 1);
	v->backoff_limit = ambient_int(job, "/spec/backoffLimit", 6);
	v->deadline = ambient_int(job, "/spec/activeDeadlineSeconds", -1);
	v->suspend = ambient_bool(job, "/spec/suspend", 0);
	v->on_failure = strcmp(ambient_str(job, "/spec/template/spec/restartPolicy", ""), "OnFailure") == 0;
	v->started = job_time(ambient_str(job, "/status/startTime", NULL));
	for (size_t i = 0; i < 2; i++) {
		if (job_condition(job, ends[i], NULL, &v->finished_at))
			v->finished = ends[i];
		if (job_condition(job, targets[i], &v->target_reason, NULL))
			v->target = targets[i];
	}
	(void)snprintf(selector, sizeof(selector), "batch.kubernetes.io/controller-uid=%s", v->uid);
	options.ns = v->ns;
	options.selector = selector;
	rc = ambient_list(call, POD, &options, &list, err);
	if (rc < 0)
		return rc;
	n = ambient_list_count(call, list);
	v->pods = call->host->mem->scratch(call, (n + 1) * sizeof(*v->pods));
	if (v->pods == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *pod = ambient_list_item(call, list, i);

		if (controlled_by(pod, v->uid))
			look_at_pod(call, v, pod);
	}
	count(v);
	return 0;
}
