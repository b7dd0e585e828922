/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Job and its pods as numbers.  A pod counts once: it carries a finalizer until its end is recorded, first
 * among status.uncountedTerminatedPods, then, when the finalizer is gone, in status.succeeded or status.failed.
 * The successes of an Indexed Job are recorded as indexes, which cannot be counted twice.
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
job_condition(const struct ambient_object *obj, const char *type, const char **reason, const char **message,
	      int64_t *since)
{
	const struct ambient_object *c = ambient_condition(obj, type);

	if (c == NULL || strcmp(ambient_str(c, "/status", ""), "True") != 0)
		return false;
	if (reason != NULL)
		*reason = ambient_str(c, "/reason", "");
	if (message != NULL)
		*message = ambient_str(c, "/message", "");
	if (since != NULL)
		*since = job_time(ambient_str(c, "/lastTransitionTime", NULL));
	return true;
}

static const char *
label_of(const struct ambient_object *obj, const char *key)
{
	size_t n = ambient_len(obj, "/metadata/labels");

	for (size_t i = 0; i < n; i++) {
		const char *k = NULL;
		const struct ambient_object *value = ambient_item(obj, "/metadata/labels", i, &k);

		if (k != NULL && strcmp(k, key) == 0)
			return ambient_str(value, "", "");
	}
	return NULL;
}

static bool
expression_holds(const struct ambient_object *e, const struct ambient_object *pod)
{
	const char *op = ambient_str(e, "/operator", ""), *value = label_of(pod, ambient_str(e, "/key", ""));
	bool among = false;

	for (size_t i = 0, n = ambient_len(e, "/values"); i < n; i++)
		among |= value != NULL && strcmp(ambient_str(ambient_item(e, "/values", i, NULL), "", ""), value) == 0;
	if (strcmp(op, "In") == 0)
		return among;
	if (strcmp(op, "NotIn") == 0)
		return !among;
	return strcmp(op, "Exists") == 0 ? value != NULL : strcmp(op, "DoesNotExist") == 0 && value == NULL;
}

bool
job_selects(const struct ambient_object *job, const struct ambient_object *pod)
{
	size_t labels = ambient_len(job, "/spec/selector/matchLabels");
	size_t expressions = ambient_len(job, "/spec/selector/matchExpressions");

	for (size_t i = 0; i < labels; i++) {
		const char *key = NULL, *want = ambient_str(ambient_item(job, "/spec/selector/matchLabels", i, &key), "", "");
		const char *have = key != NULL ? label_of(pod, key) : NULL;

		if (have == NULL || strcmp(have, want) != 0)
			return false;
	}
	for (size_t i = 0; i < expressions; i++)
		if (!expression_holds(ambient_item(job, "/spec/selector/matchExpressions", i, NULL), pod))
			return false;
	return labels + expressions > 0;
}

/* ---- one pod */

static int64_t
annotation_number(const struct ambient_object *obj, const char *key, int64_t fallback)
{
	const char *text = NULL;
	char *end;
	long long value;

	for (size_t i = 0, n = ambient_len(obj, "/metadata/annotations"); i < n && text == NULL; i++) {
		const char *k = NULL;
		const struct ambient_object *item = ambient_item(obj, "/metadata/annotations", i, &k);

		if (k != NULL && strcmp(k, key) == 0)
			text = ambient_str(item, "", "");
	}
	if (text == NULL || *text < '0' || *text > '9')
		return fallback;
	value = strtoll(text, &end, 10);
	return *end == '\0' && value <= INT32_MAX ? value : fallback;
}

/* When its last container ended; else when it was no longer ready, when its deletion began, when it was made. */
static int64_t
ended_at(const struct ambient_object *pod, int64_t created)
{
	size_t n = ambient_len(pod, "/status/containerStatuses");
	int64_t latest = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/containerStatuses", i, NULL);
		int64_t t = job_time(ambient_str(c, "/state/terminated/finishedAt", NULL));

		if (t > latest)
			latest = t;
	}
	for (size_t i = 0, m = ambient_len(pod, "/status/conditions"); latest == 0 && i < m; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/conditions", i, NULL);

		if (strcmp(ambient_str(c, "/type", ""), "Ready") == 0 && strcmp(ambient_str(c, "/status", ""), "False") == 0)
			latest = job_time(ambient_str(c, "/lastTransitionTime", NULL));
	}
	if (latest == 0 && (latest = job_time(ambient_str(pod, "/metadata/deletionTimestamp", NULL))) != 0)
		latest -= ambient_int(pod, "/metadata/deletionGracePeriodSeconds", 0) * AMBIENT_SECOND;
	return latest != 0 ? latest : created;
}

static int64_t
restarts_of(const struct ambient_object *pod)
{
	static const char *const lists[] = { "/status/initContainerStatuses", "/status/containerStatuses" };
	int64_t sum = 0;

	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0, n = ambient_len(pod, lists[l]); i < n; i++)
			sum += ambient_int(ambient_item(pod, lists[l], i, NULL), "/restartCount", 0);
	return sum;
}

static void
look_at_pod(struct ambient_call *call, struct job_view *v, const struct ambient_object *obj, bool adopted)
{
	struct job_pod *p = &v->pods[v->count++];
	const char *phase = ambient_str(obj, "/status/phase", "Pending");
	bool forced;

	p->obj = obj;
	p->name = ambient_str(obj, "/metadata/name", "");
	p->uid = ambient_str(obj, "/metadata/uid", "");
	p->created = job_time(ambient_str(obj, "/metadata/creationTimestamp", NULL));
	p->tracked = adopted || ambient_finalizer_has(obj, TRACKING);
	p->deleting = ambient_deleting(obj);
	p->succeeded = strcmp(phase, "Succeeded") == 0;
	/* Deleted without grace: nobody will report its end any more. */
	forced = p->deleting && ambient_int(obj, "/metadata/deletionGracePeriodSeconds", 1) == 0;
	p->failed = strcmp(phase, "Failed") == 0 || (p->deleting && !p->succeeded && (forced || !v->replace_failed));
	p->active = !p->succeeded && !p->failed && !p->deleting;
	p->ready = job_condition(obj, "Ready", NULL, NULL, NULL);
	p->index = v->indexed ? annotation_number(obj, A_INDEX, -1) : -1;
	if (p->index >= v->completions)
		p->index = -1;
	if (v->index_limit >= 0) {
		p->failures = annotation_number(obj, A_FAILURES, 0);
		p->ignored = annotation_number(obj, A_IGNORED, 0);
	}
	if (p->succeeded || p->failed)
		p->ended = ended_at(obj, p->created);
	if (p->failed && p->tracked) {
		const char *message = NULL;

		p->verdict = job_policy_verdict(call, v->job, obj, &message);
		if (v->fail_message == NULL)
			v->fail_message = message;
	}
	if (p->active && (strcmp(phase, "Running") == 0 || strcmp(phase, "Pending") == 0))
		v->restarts += restarts_of(obj);
	v->active += p->active;
	v->ready += p->active && p->ready;
	v->terminating += p->deleting && !p->succeeded && strcmp(phase, "Failed") != 0 && !forced;
}

/* ---- all of them */

static const char **
uids_of(struct ambient_call *call, const struct ambient_object *job, const char *list, size_t *ret_n)
{
	size_t n = ambient_len(job, list);
	const char **uids = call->host->mem->scratch(call, (n + 1) * sizeof(*uids));

	*ret_n = uids != NULL ? n : 0;
	for (size_t i = 0; i < *ret_n; i++)
		uids[i] = ambient_str(ambient_item(job, list, i, NULL), "", "");
	return uids;
}

static bool
among(const char *const *uids, size_t n, const char *uid)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(uids[i], uid) == 0)
			return true;
	return false;
}

/* status.succeeded and status.failed, the uncounted, and the newly ended. */
static int
count(struct ambient_call *call, struct job_view *v, struct ambient_error *err)
{
	size_t n_ok, n_bad;
	const char **ok = uids_of(call, v->job, "/status/uncountedTerminatedPods/succeeded", &n_ok);
	const char **bad = uids_of(call, v->job, "/status/uncountedTerminatedPods/failed", &n_bad);

	if (ok == NULL || bad == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	v->folded_ok = ambient_int(v->job, "/status/succeeded", 0) + (int64_t)n_ok;
	v->folded_bad = ambient_int(v->job, "/status/failed", 0) + (int64_t)n_bad;
	v->succeeded = v->folded_ok;
	v->failed = v->folded_bad;
	for (size_t i = 0; i < v->count; i++) {
		struct job_pod *p = &v->pods[i];

		if (!p->tracked)
			continue;
		p->listed_ok = among(ok, n_ok, p->uid);
		p->listed_bad = among(bad, n_bad, p->uid);
		v->folded_ok -= p->listed_ok;
		v->folded_bad -= p->listed_bad;
		if (p->listed_ok || p->listed_bad)
			continue;
		v->succeeded += p->succeeded;
		v->failed += p->failed && p->verdict != JOB_IGNORE && (!v->indexed || p->index >= 0);
	}
	return 0;
}

/* Succeeded and failed indexes: those that the status knows, and those of pods that ended since. */
static int
count_indexes(struct ambient_call *call, struct job_view *v, struct ambient_error *err)
{
	job_indexes_parse(call, &v->done, ambient_str(v->job, "/status/completedIndexes", NULL), v->completions);
	if (v->index_limit >= 0)
		job_indexes_parse(call, &v->dead, ambient_str(v->job, "/status/failedIndexes", NULL), v->completions);
	for (size_t i = 0; i < v->count; i++) {
		const struct job_pod *p = &v->pods[i];

		if (!p->tracked || p->index < 0)
			continue;
		if (p->succeeded)
			job_indexes_add(call, &v->done, p->index);
		else if (p->failed && v->index_limit >= 0 && v->target == NULL &&
			 (p->verdict == JOB_FAIL_INDEX || (p->verdict != JOB_IGNORE && p->failures >= v->index_limit)))
			job_indexes_add(call, &v->dead, p->index);
	}
	v->succeeded = v->folded_ok = job_indexes_total(&v->done);
	return v->done.failed || v->dead.failed ? ambient_err(err, AMBIENT_E_NOMEM, "out of memory") : 0;
}

/* Failures since the last success: what the wait before the next pod grows by. */
static void
count_streak(struct job_view *v)
{
	int64_t last_ok = 0;

	for (size_t i = 0; i < v->count; i++)
		if (v->pods[i].succeeded && v->pods[i].ended > last_ok)
			last_ok = v->pods[i].ended;
	for (size_t i = 0; i < v->count; i++) {
		const struct job_pod *p = &v->pods[i];

		/* What we deleted ourselves has no finalizer, and is no failure. */
		if (!p->failed || p->ended <= last_ok || (p->deleting && !p->tracked))
			continue;
		v->streak++;
		if (p->ended > v->last_failure)
			v->last_failure = p->ended;
	}
}

static void
read_job(struct job_view *v, const struct ambient_object *job)
{
	static const char *const ends[] = { "Complete", "Failed" };
	static const char *const targets[] = { "SuccessCriteriaMet", "FailureTarget" };

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
	v->indexed = strcmp(ambient_str(job, "/spec/completionMode", ""), "Indexed") == 0;
	v->index_limit = v->indexed ? ambient_int(job, "/spec/backoffLimitPerIndex", -1) : -1;
	v->max_failed = ambient_int(job, "/spec/maxFailedIndexes", -1);
	v->replace_failed = strcmp(ambient_str(job, "/spec/podReplacementPolicy", ""), "Failed") == 0 ||
			    ambient_type(job, "/spec/podFailurePolicy") == AMBIENT_T_OBJECT;
	v->on_failure = strcmp(ambient_str(job, "/spec/template/spec/restartPolicy", ""), "OnFailure") == 0;
	v->started = job_time(ambient_str(job, "/status/startTime", NULL));
	for (size_t i = 0; i < 2; i++) {
		if (job_condition(job, ends[i], NULL, NULL, NULL))
			v->finished = ends[i];
		if (job_condition(job, targets[i], &v->target_reason, &v->target_message, NULL))
			v->target = targets[i];
	}
}

/* 1: ours.  A pod that matches and has no controller is adopted, unless it or the Job is on its way out. */
static int
claim(struct ambient_call *call, struct job_view *v, const struct ambient_object *pod, bool *adopted,
      struct ambient_error *err)
{
	const struct ambient_object *owner = ambient_controller_of(pod), *job;
	int rc;

	if (owner != NULL)
		return strcmp(ambient_str(owner, "/uid", ""), v->uid) == 0;
	if (!job_selects(v->job, pod) || ambient_deleting(pod))
		return 0;
	rc = ambient_get_live(call, JOB, v->ns, v->name, &job, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	if (strcmp(ambient_str(job, "/metadata/uid", ""), v->uid) != 0 || ambient_deleting(job))
		return 0;
	rc = job_adopt(call, job, pod, err);
	*adopted = rc == 0;
	return rc < 0 ? rc : 1;
}

int
job_look(struct ambient_call *call, const struct ambient_object *job, struct job_view *v, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options) };
	const struct ambient_list *list;
	size_t n;
	int rc;

	read_job(v, job);
	options.ns = v->ns;
	if (!ambient_bool(job, "/spec/manualSelector", 0)) {
		options.index = BY_JOB;
		options.value = v->uid;
	}
	rc = ambient_list(call, POD, &options, &list, err);
	if (rc < 0)
		return rc;
	n = ambient_list_count(call, list);
	v->pods = call->host->mem->scratch(call, (n + 1) * sizeof(*v->pods));
	if (v->pods == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *pod = ambient_list_item(call, list, i);
		bool adopted = false;

		rc = claim(call, v, pod, &adopted, err);
		if (rc < 0)
			return rc;
		if (rc > 0)
			look_at_pod(call, v, pod, adopted);
	}
	count_streak(v);
	rc = count(call, v, err);
	return rc == 0 && v->indexed ? count_indexes(call, v, err) : rc;
}

/* ---- what becomes of each */

struct job_pod *
job_last_failure(struct job_view *v, int64_t index)
{
	struct job_pod *last = NULL;

	for (size_t i = 0; i < v->count; i++) {
		struct job_pod *p = &v->pods[i];

		if (p->index != index)
			continue;
		if (p->active)
			return NULL;
		if (p->failed && p->tracked &&
		    (last == NULL || (last->failures + last->ignored <= p->failures + p->ignored && p->ended >= last->ended)))
			last = p;
	}
	return last;
}

/* Its annotations are what the next pod of its index counts on from. */
static bool
is_needed(struct job_view *v, const struct job_pod *p)
{
	return v->index_limit >= 0 && p->index >= 0 && !job_indexes_has(&v->done, p->index) &&
	       !job_indexes_has(&v->dead, p->index) && job_last_failure(v, p->index) == p;
}

static enum job_fate
fate_of(struct job_view *v, const struct job_pod *p)
{
	bool fails = v->target != NULL && strcmp(v->target, "FailureTarget") == 0;

	if (!p->tracked)
		return JOB_KEEP;
	if (p->listed_bad)
		return JOB_COUNT_FAILED;
	if (p->succeeded)
		return v->indexed ? JOB_RELEASE : JOB_COUNT_OK;
	if (v->target == NULL && p->failed && is_needed(v, p))
		return JOB_KEEP;
	if (p->failed || fails)
		return p->verdict == JOB_IGNORE || (v->indexed && p->index < 0) ? JOB_RELEASE : JOB_COUNT_FAILED;
	return v->target != NULL ? JOB_RELEASE : JOB_KEEP;
}

/* The uids in the status shall stay below some 20 KB. */
#define UNCOUNTED_MAX 500

size_t
job_settle(struct job_view *v)
{
	size_t leaving = 0;

	for (size_t i = 0; i < v->count; i++) {
		struct job_pod *p = &v->pods[i];

		p->fate = fate_of(v, p);
		if (p->fate != JOB_KEEP && ++leaving > UNCOUNTED_MAX && !p->listed_ok && !p->listed_bad)
			p->fate = JOB_KEEP;
	}
	return leaving;
}
