/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Job controller.  A pass looks, decides whether the Job has reached one of its ends, creates or deletes pods,
 * writes the status, and takes the finalizer off the pods whose end that status records; a second pass then counts
 * them for good and, when everything is over, writes Complete or Failed.
 */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

#define RETRY_FIRST (10 * AMBIENT_SECOND)
#define RETRY_CAP   (360 * AMBIENT_SECOND)
#define BURST       500 /* pods made or deleted in one pass */

/* ---- is it over? */

static void
aim(struct job_view *v, const char *target, const char *reason, const char *message)
{
	v->target = target;
	v->target_reason = reason;
	v->target_message = message;
}

static bool
past_backoff_limit(const struct job_view *v)
{
	if (v->failed > v->backoff_limit)
		return true;
	return v->on_failure && (v->backoff_limit == 0 ? v->restarts > 0 : v->restarts >= v->backoff_limit);
}

static void
decide_failure(struct job_view *v, int64_t now)
{
	int64_t dead = job_indexes_total(&v->dead);

	if (v->fail_message != NULL)
		aim(v, "FailureTarget", "PodFailurePolicy", v->fail_message);
	else if (past_backoff_limit(v))
		aim(v, "FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
	else if (v->deadline >= 0 && v->started != 0 && !v->suspend && now - v->started >= v->deadline * AMBIENT_SECOND)
		aim(v, "FailureTarget", "DeadlineExceeded", "Job was active longer than specified deadline");
	else if (v->max_failed >= 0 && dead > v->max_failed)
		aim(v, "FailureTarget", "MaxFailedIndexesExceeded",
		    "Job has exceeded the specified maximal number of failed indexes");
	else if (dead > 0 && dead + v->succeeded >= v->completions)
		aim(v, "FailureTarget", "FailedIndexes", "Job has failed indexes");
}

static void
decide_success(struct ambient_call *call, struct job_view *v)
{
	int rule = v->indexed ? job_policy_success(call, v->job, &v->done, v->completions) : -1;
	char *text;

	if (rule < 0)
		return;
	text = call->host->mem->scratch(call, 64);
	if (text != NULL)
		(void)snprintf(text, 64, "Matched rules at index %d", rule);
	aim(v, "SuccessCriteriaMet", "SuccessPolicy", text != NULL ? text : "Matched rules");
}

static bool
is_complete(const struct job_view *v)
{
	return v->active == 0 && (v->completions >= 0 ? v->succeeded >= v->completions : v->succeeded > 0);
}

/* ---- how many pods */

/* 10 s, 20 s, ... after the newest of so many failures; 0: now. */
static int64_t
wait_after(struct ambient_call *call, int64_t failures, int64_t last)
{
	int64_t delay = RETRY_FIRST, now = call->host->clock->wall(call->host);

	if (failures <= 0)
		return 0;
	for (int64_t i = 1; i < failures && delay < RETRY_CAP; i++)
		delay *= 2;
	if (delay > RETRY_CAP)
		delay = RETRY_CAP;
	return last + delay > now ? last + delay - now : 0;
}

static int64_t
wanted(const struct job_view *v)
{
	int64_t left = v->completions - v->succeeded;

	if (v->suspend)
		return 0;
	if (v->completions < 0) /* after a success the others may finish, none is added */
		return v->succeeded > 0 ? v->active : v->parallelism;
	return left < 0 ? 0 : left < v->parallelism ? left : v->parallelism;
}

static void
come_back(struct ambient_result *result, int64_t wait)
{
	if (wait > 0 && (result->requeue_after == 0 || wait < result->requeue_after))
		result->requeue_after = wait;
}

/* The indexes that somebody has, or had. */
static int
used_indexes(struct ambient_call *call, const struct job_view *v, struct job_indexes *used, struct ambient_error *err)
{
	job_indexes_add_all(call, used, &v->done);
	job_indexes_add_all(call, used, &v->dead);
	for (size_t i = 0; i < v->count; i++) {
		const struct job_pod *p = &v->pods[i];

		if (p->active || (v->replace_failed && p->deleting && !p->succeeded && !p->failed))
			job_indexes_add(call, used, p->index);
	}
	return used->failed ? ambient_err(err, AMBIENT_E_NOMEM, "out of memory") : 0;
}

static int
add_indexed(struct ambient_call *call, struct job_view *v, int64_t n, struct ambient_result *result,
	    struct ambient_error *err)
{
	struct job_indexes used = { 0 };
	int rc = used_indexes(call, v, &used, err);
	size_t range = 0;

	for (int64_t i = 0; rc == 0 && n > 0 && i < v->completions; i++) {
		const struct job_pod *last;
		int64_t number = 0, wait;

		while (range < used.n && used.at[range].last < i)
			range++;
		if (range < used.n && used.at[range].first <= i) {
			i = used.at[range].last;
			continue;
		}
		last = v->index_limit >= 0 ? job_last_failure(v, i) : NULL;
		wait = last != NULL ? wait_after(call, last->failures + last->ignored + 1, last->ended) : 0;
		come_back(result, wait);
		n--;
		if (wait > 0)
			continue;
		rc = job_create_pod(call, v, i, &number, err);
		v->active += rc == 0;
	}
	return rc;
}

static int
add_plain(struct ambient_call *call, struct job_view *v, int64_t n, struct ambient_error *err)
{
	int64_t number = v->succeeded + v->failed;
	int rc = 0;

	for (int64_t i = 0; i < n && rc == 0; i++) {
		rc = job_create_pod(call, v, -1, &number, err);
		v->active += rc == 0;
	}
	return rc;
}

/* Brings the number of active pods to what it should be. */
static int
scale(struct ambient_call *call, struct job_view *v, struct ambient_result *result, struct ambient_error *err)
{
	int64_t want, surplus, wait;

	if (v->target != NULL) /* what a failure stops has failed, what a success makes needless has not */
		return job_delete_active(call, v, v->active, strcmp(v->target, "FailureTarget") == 0, err);
	want = wanted(v);
	surplus = job_surplus(v);
	if (v->active > want || surplus > 0) {
		int64_t n = v->active - want > surplus ? v->active - want : surplus;

		return job_delete_active(call, v, n < BURST ? n : BURST, false, err);
	}
	want -= v->active + (v->replace_failed ? v->terminating : 0);
	if (want <= 0)
		return 0;
	wait = v->index_limit < 0 ? wait_after(call, v->streak, v->last_failure) : 0;
	come_back(result, wait);
	if (wait > 0)
		return 0;
	want = want < BURST ? want : BURST;
	return v->indexed ? add_indexed(call, v, want, result, err) : add_plain(call, v, want, err);
}

/* ---- what is said of it */

/* The last condition, when the target is reached and nothing is left to count. */
static void
conclude(struct job_view *v, size_t leaving, struct job_change *change)
{
	bool ok = v->target != NULL && strcmp(v->target, "SuccessCriteriaMet") == 0;

	if (v->target == NULL || v->active > 0 || v->terminating > 0 || leaving > 0)
		return;
	change->add[1] = ok ? "Complete" : "Failed";
	change->reason[1] = v->target_reason;
	change->message[1] = v->target_message;
	change->complete = ok;
	v->finished = change->add[1];
}

static void
tell(struct ambient_call *call, const struct job_view *v, const struct job_change *change)
{
	if (change->suspended != NULL)
		ambient_event(call, v->job, "Normal", strcmp(change->suspended, "True") == 0 ? "Suspended" : "Resumed",
			      "Job %s", strcmp(change->suspended, "True") == 0 ? "suspended" : "resumed");
	if (change->add[1] == NULL)
		return;
	if (change->complete && v->completions >= 0 && v->succeeded > v->completions)
		ambient_event(call, v->job, "Warning", "TooManySucceededPods",
			      "Too many succeeded pods running after completion count reached");
	if (change->complete)
		ambient_event(call, v->job, "Normal", "Completed", "Job completed");
	else
		ambient_event(call, v->job, "Warning", v->target_reason, "%s", change->message[1]);
}

/* startTime is when the Job last began to run: a suspension leaves it, which also tells that the Job has run before. */
static void
note_suspension(struct ambient_call *call, struct job_view *v, struct job_change *change)
{
	bool was = job_condition(v->job, "Suspended", NULL, NULL, NULL);

	if (v->target == NULL && v->suspend != was)
		change->suspended = v->suspend ? "True" : "False";
	if (!v->suspend && (v->started == 0 || change->suspended != NULL))
		change->start = v->started = call->host->clock->wall(call->host) / AMBIENT_SECOND * AMBIENT_SECOND;
}

static int
untrack_all(struct ambient_call *call, const struct job_view *v, struct ambient_error *err)
{
	int stripped = 0;

	for (size_t i = 0; i < v->count; i++) {
		int rc;

		if (v->pods[i].fate == JOB_KEEP)
			continue;
		rc = job_untrack(call, v->pods[i].obj, NULL, err);
		if (rc == -AMBIENT_E_CONFLICT)
			continue; /* it changed, which wakes us again */
		if (rc < 0)
			return rc;
		stripped++;
	}
	return stripped;
}

/* ---- passes */

/* ttlSecondsAfterFinished holds for every Job that is over, whoever brought it there. */
static int
expire(struct ambient_call *call, const struct ambient_object *job, struct ambient_result *result,
       struct ambient_error *err)
{
	int64_t ttl = ambient_int(job, "/spec/ttlSecondsAfterFinished", -1), now = call->host->clock->wall(call->host);
	int64_t end = 0;
	char options[160];

	if (ttl < 0 || (!job_condition(job, "Complete", NULL, NULL, &end) && !job_condition(job, "Failed", NULL, NULL, &end)))
		return 0;
	end += ttl * AMBIENT_SECOND;
	if (now < end)
		return ambient_requeue_after(result, end - now);
	(void)snprintf(options, sizeof(options),
		       "{\"propagationPolicy\":\"Foreground\",\"preconditions\":{\"uid\":\"%.64s\"}}",
		       ambient_str(job, "/metadata/uid", ""));
	return ambient_delete(call, JOB, ambient_str(job, "/metadata/namespace", ""),
			      ambient_str(job, "/metadata/name", ""), options, err);
}

static int
after_end(struct ambient_call *call, const struct job_view *v, struct ambient_result *result, struct ambient_error *err)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->pods[i].tracked) {
			int rc = job_untrack(call, v->pods[i].obj, NULL, err);
			if (rc < 0)
				return rc;
		}
	return expire(call, v->job, result, err);
}

/* Returns 1 when another pass has something to do. */
static int
pass(struct ambient_call *call, const struct ambient_object *job, struct ambient_result *result,
     struct ambient_error *err)
{
	struct job_change change = { 0 };
	struct ambient_error scaling = AMBIENT_ERROR_INIT;
	struct job_view v;
	int64_t now = call->host->clock->wall(call->host);
	int rc = job_look(call, job, &v, err), scaled;
	const char *had;

	if (rc < 0)
		return rc;
	if (v.finished != NULL)
		return after_end(call, &v, result, err);
	had = v.target;
	note_suspension(call, &v, &change);
	if (v.target == NULL)
		decide_failure(&v, now);
	if (v.target == NULL)
		decide_success(call, &v);
	scaled = scale(call, &v, result, &scaling);
	if (v.target == NULL && scaled == 0 && is_complete(&v))
		aim(&v, "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods");
	if (v.target != had) {
		change.add[0] = v.target;
		change.reason[0] = v.target_reason;
		change.message[0] = v.target_message;
		change.suspended = NULL;
	}
	if (scaled == 0)
		conclude(&v, job_settle(&v), &change);
	else
		(void)job_settle(&v);
	rc = job_write_status(call, &v, &change, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return 0; /* deleted meanwhile: its pods are released when the watch has told us */
	if (rc < 0)
		return rc;
	tell(call, &v, &change);
	rc = untrack_all(call, &v, err);
	if (rc < 0)
		return rc;
	if (v.deadline >= 0 && v.started != 0 && v.finished == NULL && !v.suspend)
		come_back(result, v.started + v.deadline * AMBIENT_SECOND - now);
	if (scaled == -AMBIENT_E_FORBIDDEN) {
		/* A quota that may soon have room: later and later, but never later than a minute. */
		int64_t age = v.started != 0 && now > v.started ? now - v.started : 0;

		come_back(result, age < AMBIENT_SECOND ? AMBIENT_SECOND : age < AMBIENT_MINUTE ? age : AMBIENT_MINUTE);
	} else if (scaled < 0 && rc == 0) {
		ambient_err_copy(err, &scaling);
		return scaled;
	}
	return rc > 0 || v.finished != NULL ? 1 : 0;
}

/* The Job is gone, or going: its pods must not wait for us. */
static int
release_pods(struct ambient_call *call, const char *ns, const char *name, const char *uid, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_list *list;
	char selector[160];
	int rc;

	if (uid != NULL) {
		options.index = BY_JOB;
		options.value = uid;
	} else {
		(void)snprintf(selector, sizeof(selector), "batch.kubernetes.io/job-name=%.63s", name);
		options.selector = selector;
	}
	rc = ambient_list(call, POD, &options, &list, err);
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *pod = ambient_list_item(call, list, i);

		if (ambient_finalizer_has(pod, TRACKING))
			rc = job_untrack(call, pod, NULL, err);
	}
	return rc;
}

int
jobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
	       struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *job;
	bool deleting;
	int rc = 1;

	/* Each pass reads what the one before wrote; three are enough to come to rest. */
	for (int i = 0; i < 3 && rc > 0; i++) {
		rc = ambient_get(call, JOB, req->ns, req->name, &job, err);
		if (rc == -AMBIENT_E_NOTFOUND)
			return release_pods(call, req->ns, req->name, NULL, err);
		if (rc < 0)
			return rc;
		deleting = ambient_deleting(job);
		if (strcmp(ambient_str(job, "/spec/managedBy", JOB_CONTROLLER), JOB_CONTROLLER) != 0)
			return deleting ? 0 : expire(call, job, result, err);
		if (deleting)
			return release_pods(call, req->ns, req->name, ambient_str(job, "/metadata/uid", ""), err);
		rc = pass(call, job, result, err);
	}
	return rc < 0 ? rc : 0;
}
