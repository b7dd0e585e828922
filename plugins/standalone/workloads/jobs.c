/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Job controller.  A pass looks, creates or deletes pods, writes the status, and takes the finalizer off the
 * pods whose end that status records; a second pass then counts them for good and, when everything is over,
 * writes Complete or Failed.  A pod's name follows from the Job's uid and a number, so that a create whose
 * answer was lost cannot be repeated under another name.
 */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

#define RETRY_FIRST (10 * AMBIENT_SECOND)
#define RETRY_CAP   (360 * AMBIENT_SECOND)
#define BURST       500 /* pods made in one pass */

static void
pod_name(char name[64], const struct job_view *v, int64_t number)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint64_t hash = UINT64_C(14695981039346656037);
	char text[96], suffix[6];

	(void)snprintf(text, sizeof(text), "%s/%lld", v->uid, (long long)number);
	for (const char *p = text; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
	hash ^= hash >> 29;
	for (size_t i = 0; i < 5; i++, hash /= 27)
		suffix[i] = letters[hash % 27];
	suffix[5] = '\0';
	(void)snprintf(name, 64, "%.57s-%s", v->name, suffix);
}

static bool
taken(const struct job_view *v, const char *name)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->pods[i].name, name) == 0)
			return true;
	return false;
}

static int
create_pod(struct ambient_call *call, struct job_view *v, int64_t *number, struct ambient_error *err)
{
	static const char *const labels[] = { "batch.kubernetes.io~1controller-uid", "controller-uid",
		"batch.kubernetes.io~1job-name", "job-name" };
	const struct ambient_object *template = ambient_at(v->job, "/spec/template"), *part;
	struct ambient_draft *d;
	char name[64], at[96];
	int rc;

	do
		pod_name(name, v, (*number)++);
	while (taken(v, name));
	d = ambient_draft_new(call, POD, v->ns, name);
	if (d == NULL || template == NULL)
		return ambient_terminal(err, "the Job has no spec.template");
	if ((part = ambient_at(template, "/metadata/labels")) != NULL)
		ambient_draft_set_object(d, "/metadata/labels", part);
	if ((part = ambient_at(template, "/metadata/annotations")) != NULL)
		ambient_draft_set_object(d, "/metadata/annotations", part);
	if ((part = ambient_at(template, "/spec")) != NULL)
		ambient_draft_set_object(d, "/spec", part);
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(at, sizeof(at), "/metadata/labels/%s", labels[i]);
		ambient_draft_set_str(d, at, i < 2 ? v->uid : v->name);
	}
	ambient_draft_set_json(d, "/metadata/finalizers", "[\"" TRACKING "\"]");
	ambient_draft_set_json(d, "/metadata/ownerReferences",
			       "[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"controller\":true,"
			       "\"blockOwnerDeletion\":true}]");
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/name", v->name);
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/uid", v->uid);
	rc = ambient_create(call, d, NULL, err);
	if (rc == -AMBIENT_E_EXISTS)
		return 0; /* an earlier create whose answer was lost; the cache will show it */
	if (rc == 0) {
		ambient_event(call, v->job, "Normal", "SuccessfulCreate", "Created pod: %s", name);
	} else if (rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN) {
		ambient_event(call, v->job, "Warning", "FailedCreate", "Error creating: %s", err->message);
	}
	return rc;
}

static int
delete_pod(struct ambient_call *call, const struct job_view *v, const struct job_pod *p, struct ambient_error *err)
{
	char options[160];
	int rc;

	(void)snprintf(options, sizeof(options),
		       "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"%.64s\"}}", p->uid);
	rc = ambient_delete(call, POD, v->ns, p->name, options, err);
	if (rc == 0)
		ambient_event(call, v->job, "Normal", "SuccessfulDelete", "Deleted pod: %s", p->name);
	return rc == -AMBIENT_E_CONFLICT ? 0 : rc;
}

/* Deletes up to n active pods, those that are not ready first. */
static int
delete_active(struct ambient_call *call, struct job_view *v, int64_t n, struct ambient_error *err)
{
	for (int ready = 0; ready < 2; ready++) {
		for (size_t i = v->count; i > 0 && n > 0; i--) {
			struct job_pod *p = &v->pods[i - 1];
			int rc;

			if (p->deleting || p->succeeded || p->failed || p->ready != (ready == 1))
				continue;
			rc = delete_pod(call, v, p, err);
			if (rc < 0)
				return rc;
			p->deleting = true;
			v->active--;
			v->ready -= p->ready;
			v->terminating++;
			n--;
		}
	}
	return 0;
}

static int
untrack(struct ambient_call *call, const char *ns, const struct ambient_object *pod, struct ambient_error *err)
{
	size_t n = ambient_len(pod, "/metadata/finalizers");
	struct ambient_draft *patch = ambient_draft_new(call, POD, NULL, NULL);
	int rc;

	ambient_draft_set_str(patch, "/metadata/uid", ambient_str(pod, "/metadata/uid", ""));
	ambient_draft_set_str(patch, "/metadata/resourceVersion", ambient_str(pod, "/metadata/resourceVersion", ""));
	ambient_draft_set_json(patch, "/metadata/finalizers", "[]");
	for (size_t i = 0; i < n; i++) {
		char at[64];
		const char *finalizer;

		(void)snprintf(at, sizeof(at), "/metadata/finalizers/%zu", i);
		finalizer = ambient_str(pod, at, "");
		if (strcmp(finalizer, TRACKING) != 0)
			ambient_draft_set_str(patch, "/metadata/finalizers/-", finalizer);
	}
	rc = ambient_patch(call, POD, ns, ambient_str(pod, "/metadata/name", ""), NULL, AMBIENT_PATCH_MERGE,
			   ambient_json(ambient_draft_view(patch), "", NULL), NULL, err);
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

/* What the Job has to become, once its numbers allow or forbid more. */
static void
decide(struct ambient_call *call, struct job_view *v, struct job_change *change)
{
	int64_t now = call->host->clock->wall(call->host);
	const char *message = NULL;

	if (v->target != NULL)
		return;
	if (v->failed > v->backoff_limit ||
	    (v->on_failure && (v->backoff_limit == 0 ? v->restarts > 0 : v->restarts >= v->backoff_limit))) {
		v->target = "FailureTarget";
		v->target_reason = "BackoffLimitExceeded";
		message = "Job has reached the specified backoff limit";
	} else if (v->deadline >= 0 && v->started != 0 && !v->suspend && now - v->started >= v->deadline * AMBIENT_SECOND) {
		v->target = "FailureTarget";
		v->target_reason = "DeadlineExceeded";
		message = "Job was active longer than specified deadline";
	} else if (v->completions >= 0 ? v->succeeded >= v->completions && v->active == 0
				       : v->succeeded > 0 && v->active == 0) {
		v->target = "SuccessCriteriaMet";
		v->target_reason = "CompletionsReached";
		message = "Reached expected number of succeeded pods";
	}
	if (v->target != NULL) {
		change->add[0] = v->target;
		change->reason[0] = v->target_reason;
		change->message[0] = message;
	}
}

/* The wait before a failed pod is replaced: 10 s, 20 s, ... from the newest failure; 0: now. */
static int64_t
retry_wait(struct ambient_call *call, const struct job_view *v)
{
	int64_t delay = RETRY_FIRST, now = call->host->clock->wall(call->host);

	if (v->failed == 0 || v->last_failure == 0)
		return 0;
	for (int64_t i = 1; i < v->failed && delay < RETRY_CAP; i++)
		delay *= 2;
	if (delay > RETRY_CAP)
		delay = RETRY_CAP;
	return v->last_failure + delay > now ? v->last_failure + delay - now : 0;
}

/* Brings the number of active pods to what it should be. */
static int
scale(struct ambient_call *call, struct job_view *v, struct ambient_result *result, struct ambient_error *err)
{
	int64_t want = v->parallelism, number = v->succeeded + v->failed, wait;
	int rc = 0;

	if (v->suspend || v->target != NULL)
		want = 0;
	else if (v->completions >= 0 && v->completions - v->succeeded < want)
		want = v->completions - v->succeeded;
	else if (v->completions < 0 && v->succeeded > 0)
		want = v->active < want ? v->active : want; /* the others may finish, none is added */
	if (v->active > want)
		return delete_active(call, v, v->active - want, err);
	/* A pod that is still ending holds its place: its replacement must not run beside it. */
	want -= v->terminating;
	if (v->active >= want)
		return 0;
	wait = retry_wait(call, v);
	if (wait > 0) {
		result->requeue_after = wait;
		return 0;
	}
	for (int64_t i = 0; i < BURST && v->active < want && rc == 0; i++) {
		rc = create_pod(call, v, &number, err);
		v->active += rc == 0;
	}
	return rc;
}

/* The last condition, when the target is reached and nothing is left to count. */
static void
conclude(struct ambient_call *call, struct job_view *v, struct job_change *change)
{
	bool ok = v->target != NULL && strcmp(v->target, "SuccessCriteriaMet") == 0;

	if (v->target == NULL || v->active > 0 || v->terminating > 0 || v->uncounted > 0)
		return;
	change->add[1] = ok ? "Complete" : "Failed";
	change->reason[1] = v->target_reason;
	change->message[1] = ok ? "Reached expected number of succeeded pods"
				: strcmp(v->target_reason, "DeadlineExceeded") == 0
				      ? "Job was active longer than specified deadline"
				      : "Job has reached the specified backoff limit";
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
	if (change->complete)
		ambient_event(call, v->job, "Normal", "Completed", "Job completed");
	else
		ambient_event(call, v->job, "Warning", v->target_reason, "%s", change->message[1]);
}

static int
after_end(struct ambient_call *call, const struct job_view *v, struct ambient_result *result, struct ambient_error *err)
{
	int64_t ttl = ambient_int(v->job, "/spec/ttlSecondsAfterFinished", -1);
	int64_t now = call->host->clock->wall(call->host);
	char options[160];

	for (size_t i = 0; i < v->count; i++)
		if (v->pods[i].tracked) {
			int rc = untrack(call, v->ns, v->pods[i].obj, err);
			if (rc < 0)
				return rc;
		}
	if (ttl < 0)
		return 0;
	if (now < v->finished_at + ttl * AMBIENT_SECOND)
		return ambient_requeue_after(result, v->finished_at + ttl * AMBIENT_SECOND - now);
	(void)snprintf(options, sizeof(options),
		       "{\"propagationPolicy\":\"Foreground\",\"preconditions\":{\"uid\":\"%.64s\"}}", v->uid);
	return ambient_delete(call, JOB, v->ns, v->name, options, err);
}

/* Returns 1 when another pass has something to do. */
static int
pass(struct ambient_call *call, const struct ambient_object *job, struct ambient_result *result,
     struct ambient_error *err)
{
	struct job_change change = { .start = -1 };
	struct job_view v;
	int64_t now = call->host->clock->wall(call->host);
	int rc = job_look(call, job, &v, err), stripped = 0;

	if (rc < 0)
		return rc;
	if (v.finished != NULL)
		return after_end(call, &v, result, err);
	if (v.suspend && !job_condition(job, "Suspended", NULL, NULL))
		change.suspended = "True";
	else if (!v.suspend && job_condition(job, "Suspended", NULL, NULL))
		change.suspended = "False";
	if (!v.suspend && (v.started == 0 || change.suspended != NULL))
		change.start = v.started = now / AMBIENT_SECOND * AMBIENT_SECOND;
	else if (v.suspend && v.started != 0 && change.suspended != NULL)
		change.start = 0;
	if (!v.suspend)
		decide(call, &v, &change);
	rc = scale(call, &v, result, err);
	if (rc < 0)
		return rc;
	conclude(call, &v, &change);
	rc = job_write_status(call, &v, &change, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return 0; /* deleted meanwhile: its pods are released when the watch has told us */
	if (rc < 0)
		return rc;
	tell(call, &v, &change);
	for (size_t i = 0; i < v.count; i++) {
		const struct job_pod *p = &v.pods[i];

		if (!p->tracked || !(p->succeeded || p->failed))
			continue;
		rc = untrack(call, v.ns, p->obj, err);
		if (rc < 0)
			return rc;
		stripped++;
	}
	if (v.deadline >= 0 && v.started != 0 && v.finished == NULL && !v.suspend) {
		int64_t left = v.started + v.deadline * AMBIENT_SECOND - now;

		if (left > 0 && (result->requeue_after == 0 || left < result->requeue_after))
			result->requeue_after = left;
	}
	return stripped > 0 || v.finished != NULL ? 1 : 0;
}

/* The Job is gone, or going: its pods must not wait for us. */
static int
release_pods(struct ambient_call *call, const char *ns, const char *name, const char *uid, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_list *list;
	char selector[160];
	int rc;

	if (uid != NULL)
		(void)snprintf(selector, sizeof(selector), "batch.kubernetes.io/controller-uid=%s", uid);
	else
		(void)snprintf(selector, sizeof(selector), "batch.kubernetes.io/job-name=%.63s", name);
	options.selector = selector;
	rc = ambient_list(call, POD, &options, &list, err);
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *pod = ambient_list_item(call, list, i);

		if (job_tracked(pod))
			rc = untrack(call, ns, pod, err);
	}
	return rc;
}

int
jobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
	       struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *job;
	int rc = 1;

	/* Each pass reads what the one before wrote; three are enough to come to rest. */
	for (int i = 0; i < 3 && rc > 0; i++) {
		const char *manager;

		rc = ambient_get(call, JOB, req->ns, req->name, &job, err);
		if (rc == -AMBIENT_E_NOTFOUND)
			return release_pods(call, req->ns, req->name, NULL, err);
		if (rc < 0)
			return rc;
		manager = ambient_str(job, "/spec/managedBy", "kubernetes.io/job-controller");
		if (strcmp(manager, "kubernetes.io/job-controller") != 0)
			return 0;
		if (ambient_type(job, "/metadata/deletionTimestamp") == AMBIENT_T_STRING)
			return release_pods(call, req->ns, req->name, ambient_str(job, "/metadata/uid", ""), err);
		if (strcmp(ambient_str(job, "/spec/completionMode", "NonIndexed"), "NonIndexed") != 0) {
			ambient_event(call, job, "Warning", "Unsupported", "completionMode Indexed is not supported yet");
			return ambient_terminal(err, "completionMode \"Indexed\" is not supported yet");
		}
		rc = pass(call, job, result, err);
	}
	return rc < 0 ? rc : 0;
}
