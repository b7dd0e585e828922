/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CronJob controller: brings status.active in line with the Jobs that are there, removes old ones beyond the
 * history limits, and starts the Job of the last time that is due.  Its name follows from that time, so that a start
 * whose answer was lost is not repeated.  Without spec.timeZone a schedule is read in UTC.
 */
#include "plugins/standalone/shared/cron.h"
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOT_EARLY     (100 * AMBIENT_MILLISECOND) /* the timer's clock and the wall clock are two */
#define MANY          100
#define LONGEST_SLEEP (3600 * AMBIENT_SECOND)     /* the wall clock may be set meanwhile */

struct cron_child {
	const struct ambient_object *job;
	const char *name, *uid, *finished; /* "Complete", "Failed", NULL */
	int64_t started;
};

struct cron_view {
	const struct ambient_object *cj;
	const char *ns, *name, *uid;
	struct cron_child *children;
	size_t count, n_active;
	struct ambient_draft *status;
	struct cron cron;
	struct zone *zone;
	int64_t now; /* seconds */
};

/* ---- what is there */

static struct cron_child *
child_of(struct cron_view *v, const char *uid)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->children[i].uid, uid) == 0)
			return &v->children[i];
	return NULL;
}

static int
by_start(const void *pa, const void *pb)
{
	const struct cron_child *a = pa, *b = pb;

	if (a->started != b->started) /* one that never started is the newest */
		return a->started == 0 ? 1 : b->started == 0 ? -1 : a->started < b->started ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int
look(struct ambient_call *call, struct cron_view *v, const struct ambient_object *cj, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options) };
	const struct ambient_list *list;
	size_t n;
	int rc;

	*v = (struct cron_view){ .cj = cj, .now = call->host->clock->wall(call->host) / AMBIENT_SECOND };
	v->ns = ambient_str(cj, "/metadata/namespace", "");
	v->name = ambient_str(cj, "/metadata/name", "");
	v->uid = ambient_str(cj, "/metadata/uid", "");
	options.ns = v->ns;
	options.index = BY_OWNER;
	options.value = v->uid;
	rc = ambient_list(call, JOB, &options, &list, err);
	if (rc < 0)
		return rc;
	n = ambient_list_count(call, list);
	v->children = call->host->mem->scratch(call, (n + 1) * sizeof(*v->children));
	if (v->children == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		struct cron_child *c = &v->children[v->count];
		const struct ambient_object *owner;

		*c = (struct cron_child){ .job = ambient_list_item(call, list, i) };
		owner = ambient_controller_of(c->job);
		if (owner == NULL || strcmp(ambient_str(owner, "/uid", ""), v->uid) != 0)
			continue;
		c->name = ambient_str(c->job, "/metadata/name", "");
		c->uid = ambient_str(c->job, "/metadata/uid", "");
		c->started = job_time(ambient_str(c->job, "/status/startTime", NULL));
		if (job_condition(c->job, "Complete", NULL, NULL, NULL))
			c->finished = "Complete";
		else if (job_condition(c->job, "Failed", NULL, NULL, NULL))
			c->finished = "Failed";
		v->count++;
	}
	qsort(v->children, v->count, sizeof(*v->children), by_start);
	v->status = ambient_draft_from(call, CRONJOB, cj);
	return v->status != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
}

/* ---- status */

static bool
is_active(const struct cron_view *v, const char *uid)
{
	const struct ambient_object *view = ambient_draft_view(v->status);

	for (size_t i = 0, n = ambient_len(view, "/status/active"); i < n; i++)
		if (strcmp(ambient_str(ambient_item(view, "/status/active", i, NULL), "/uid", ""), uid) == 0)
			return true;
	return false;
}

static void
add_active(struct cron_view *v, const struct ambient_object *job)
{
	static const char *const from[] = { "/metadata/name", "/metadata/namespace", "/metadata/uid", "/metadata/resourceVersion" };
	static const char *const to[] = { "name", "namespace", "uid", "resourceVersion" };
	size_t n = ambient_len(ambient_draft_view(v->status), "/status/active");
	char at[64];

	if (n == 0)
		ambient_draft_set_json(v->status, "/status/active", "[]");
	ambient_draft_set_json(v->status, "/status/active/-", "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\"}");
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(at, sizeof(at), "/status/active/%zu/%s", n, to[i]);
		ambient_draft_set_str(v->status, at, ambient_str(job, from[i], ""));
	}
	v->n_active++;
}

static void
note_success(struct cron_view *v, const struct ambient_object *job)
{
	const char *end = ambient_str(job, "/status/completionTime", NULL);
	const char *last = ambient_str(ambient_draft_view(v->status), "/status/lastSuccessfulTime", NULL);

	if (end != NULL && job_time(end) > job_time(last))
		ambient_draft_set_str(v->status, "/status/lastSuccessfulTime", end);
}

/* status.active keeps what is there and not over. */
static void
refresh_active(struct ambient_call *call, struct cron_view *v)
{
	size_t n = ambient_len(v->cj, "/status/active"), kept = 0;

	for (size_t i = 0; i < v->count; i++) {
		struct cron_child *c = &v->children[i];

		if (c->finished == NULL && !is_active(v, c->uid))
			ambient_event(call, v->cj, "Warning", "UnexpectedJob",
				      "Saw a job that the controller did not create or forgot: %s", c->name);
		else if (c->finished != NULL && strcmp(c->finished, "Complete") == 0)
			note_success(v, c->job);
	}
	ambient_draft_set_json(v->status, "/status/active", "[]");
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *ref = ambient_item(v->cj, "/status/active", i, NULL);
		struct cron_child *c = child_of(v, ambient_str(ref, "/uid", ""));

		if (c == NULL) {
			ambient_event(call, v->cj, "Normal", "MissingJob", "Active job went missing: %s", ambient_str(ref, "/name", ""));
		} else if (c->finished != NULL) {
			ambient_event(call, v->cj, "Normal", "SawCompletedJob", "Saw completed job: %s, condition: %s", c->name,
				      c->finished);
		} else {
			ambient_draft_set_object(v->status, "/status/active/-", ref);
			kept++;
		}
	}
	if (kept == 0)
		ambient_draft_unset(v->status, "/status/active");
	v->n_active = kept;
}

/* ---- Jobs come and go */

static int
delete_job(struct ambient_call *call, const struct cron_view *v, const struct cron_child *c, struct ambient_error *err)
{
	char options[160];
	int rc;

	(void)snprintf(options, sizeof(options),
		       "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"%.64s\"}}", c->uid);
	rc = ambient_delete(call, JOB, v->ns, c->name, options, err);
	if (rc == 0)
		ambient_event(call, v->cj, "Normal", "SuccessfulDelete", "Deleted job %s", c->name);
	return rc == -AMBIENT_E_CONFLICT ? 0 : rc;
}

static int
trim_history(struct ambient_call *call, struct cron_view *v, const char *finished, int64_t limit, struct ambient_error *err)
{
	int64_t have = 0;
	int rc = 0;

	for (size_t i = 0; i < v->count; i++)
		have += v->children[i].finished != NULL && strcmp(v->children[i].finished, finished) == 0;
	for (size_t i = 0; i < v->count && have > limit && rc == 0; i++) {
		if (v->children[i].finished == NULL || strcmp(v->children[i].finished, finished) != 0)
			continue;
		rc = delete_job(call, v, &v->children[i], err);
		have--;
	}
	return rc;
}

static void
stamp_local(const struct cron_view *v, int64_t at, char text[48])
{
	int32_t offset = zone_offset(v->zone, at);
	time_t local = (time_t)(at + offset);
	struct tm tm;
	size_t n;

	(void)gmtime_r(&local, &tm);
	n = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	if (offset == 0)
		(void)snprintf(text + n, 48 - n, "Z");
	else
		(void)snprintf(text + n, 48 - n, "%c%02d:%02d", offset < 0 ? '-' : '+', abs(offset) / 3600, abs(offset) / 60 % 60);
}

static int
create_job(struct ambient_call *call, struct cron_view *v, const char *name, int64_t at, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	static const char *const parts[] = { "/metadata/labels", "/metadata/annotations", "/spec" };
	const struct ambient_object *template = ambient_at(v->cj, "/spec/jobTemplate"), *part;
	struct ambient_draft *d = template != NULL ? ambient_draft_new(call, JOB, v->ns, name) : NULL;
	char text[48];

	if (d == NULL)
		return ambient_terminal(err, "the CronJob has no spec.jobTemplate");
	for (size_t i = 0; i < 3; i++)
		if ((part = ambient_at(template, parts[i])) != NULL)
			ambient_draft_set_object(d, parts[i], part);
	stamp_local(v, at, text);
	ambient_draft_set_str(d, "/metadata/annotations/batch.kubernetes.io~1cronjob-scheduled-timestamp", text);
	ambient_draft_set_json(d, "/metadata/ownerReferences", "[{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\","
			       "\"controller\":true,\"blockOwnerDeletion\":true}]");
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/name", v->name);
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/uid", v->uid);
	return ambient_create(call, d, ret, err);
}

/* The Job of that time, if it may run now.  0 also when it may not. */
static int
start(struct ambient_call *call, struct cron_view *v, int64_t at, struct ambient_error *err)
{
	const char *policy = ambient_str(v->cj, "/spec/concurrencyPolicy", "Allow");
	const struct ambient_object *job, *owner;
	char name[96], stamp[32];
	int rc;

	(void)snprintf(name, sizeof(name), "%.63s-%lld", v->name, (long long)(at / 60));
	if (v->n_active > 0 && strcmp(policy, "Forbid") == 0) {
		ambient_event(call, v->cj, "Normal", "JobAlreadyActive",
			      "Not starting job because prior execution is running and concurrency policy is Forbid");
		return 0;
	}
	for (size_t i = 0; i < v->count && strcmp(policy, "Replace") == 0; i++)
		if (v->children[i].finished == NULL && is_active(v, v->children[i].uid) &&
		    (rc = delete_job(call, v, &v->children[i], err)) < 0)
			return rc;
	if (strcmp(policy, "Replace") == 0) {
		ambient_draft_unset(v->status, "/status/active");
		v->n_active = 0;
	}
	rc = create_job(call, v, name, at, &job, err);
	if (rc == -AMBIENT_E_EXISTS) {
		rc = ambient_get_live(call, JOB, v->ns, name, &job, err);
		if (rc < 0)
			return rc;
		owner = ambient_controller_of(job);
		if (owner == NULL || strcmp(ambient_str(owner, "/uid", ""), v->uid) != 0)
			return 0; /* somebody else's */
	} else if (rc < 0) {
		ambient_event(call, v->cj, "Warning", "FailedCreate", "Error creating job: %s", err->message);
		return rc;
	} else {
		ambient_event(call, v->cj, "Normal", "SuccessfulCreate", "Created job %s", name);
	}
	if (!is_active(v, ambient_str(job, "/metadata/uid", "")))
		add_active(v, job);
	job_stamp(stamp, at * AMBIENT_SECOND);
	ambient_draft_set_str(v->status, "/status/lastScheduleTime", stamp);
	return 0;
}

/* ---- when */

/* The last time that is due, 0: none.  *ret_missed: how many were, roughly: a thousand are not counted one by one. */
static int64_t
last_due(const struct cron_view *v, int64_t since, int64_t *ret_missed)
{
	int64_t first, second, due, gap, t;

	*ret_missed = 0;
	if (!cron_next(&v->cron, v->zone, since, &first) || first > v->now)
		return 0;
	*ret_missed = 1;
	if (!cron_next(&v->cron, v->zone, first, &second) || second > v->now)
		return first;
	gap = second - first;
	*ret_missed = (v->now - first) / gap + 1;
	due = first;
	/* From two gaps before now; a schedule that pauses at night may have its last time before that. */
	for (int64_t back = 2; due == first && back < INT64_C(1) << 40; back *= 16) {
		t = v->now - back * gap;
		if (t < first)
			t = first;
		t = first + (t - first) / gap * gap; /* @every counts from the first */
		while (cron_next(&v->cron, v->zone, t, &t) && t <= v->now)
			due = t;
		if (v->now - back * gap <= first)
			break;
	}
	return due;
}

/* "Thu, 01 Jan 2026 00:00:00 +0000", as Kubernetes writes it into this event. */
static void
mail_stamp(char text[40], int64_t at)
{
	time_t t = (time_t)at;
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(text, 40, "%a, %d %b %Y %H:%M:%S +0000", &tm);
}

static int
schedule(struct ambient_call *call, struct cron_view *v, struct ambient_result *result, struct ambient_error *err)
{
	int64_t last = job_time(ambient_str(v->cj, "/status/lastScheduleTime", NULL)) / AMBIENT_SECOND;
	int64_t since = last != 0 ? last : job_time(ambient_str(v->cj, "/metadata/creationTimestamp", NULL)) / AMBIENT_SECOND;
	int64_t deadline = ambient_int(v->cj, "/spec/startingDeadlineSeconds", -1), missed, due, next;
	int64_t from = deadline >= 0 && v->now - deadline > since ? v->now - deadline : since, wait;
	char text[40];
	int rc = 0;

	/* With a deadline of an @every the times still count from the last one. */
	due = last_due(v, v->cron.every > 0 ? since : from, &missed);
	if (missed > MANY)
		ambient_event(call, v->cj, "Warning", "TooManyMissedTimes", "too many missed start times. Set or decrease "
			      ".spec.startingDeadlineSeconds or check clock skew");
	if (due != 0 && deadline >= 0 && due + deadline < v->now) {
		mail_stamp(text, due);
		ambient_event(call, v->cj, "Warning", "MissSchedule", "Missed scheduled time to start a job: %s", text);
	} else if (due != 0 && due != last) {
		rc = start(call, v, due, err);
	}
	if (!cron_next(&v->cron, v->zone, v->cron.every == 0 ? v->now : due != 0 ? due : since, &next))
		return rc;
	wait = next * AMBIENT_SECOND - call->host->clock->wall(call->host) + NOT_EARLY;
	result->requeue_after = wait < NOT_EARLY ? NOT_EARLY : wait < LONGEST_SLEEP ? wait : LONGEST_SLEEP;
	return rc;
}

/* false: the schedule or the zone is none, which its events say. */
static bool
read_schedule(struct ambient_call *call, struct cron_view *v)
{
	const char *text = ambient_str(v->cj, "/spec/schedule", ""), *zone = ambient_str(v->cj, "/spec/timeZone", NULL);
	char why[300];

	if (zone != NULL && (v->zone = zone_load(zone, why, sizeof(why))) == NULL) {
		ambient_event(call, v->cj, "Warning", "UnknownTimeZone", "invalid timeZone: \"%.100s\": %s", zone, why);
		return false;
	}
	if (cron_parse(text, &v->cron, why, sizeof(why)))
		return true;
	ambient_event(call, v->cj, "Warning", "UnparseableSchedule", "unparseable schedule: \"%.100s\" : %s", text, why);
	return false;
}

int
cronjobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		   struct ambient_result *result, struct ambient_error *err)
{
	struct ambient_error starting = AMBIENT_ERROR_INIT;
	const struct ambient_object *cj;
	struct cron_view v;
	int rc = ambient_get(call, CRONJOB, req->ns, req->name, &cj, err), started = 0;

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	rc = look(call, &v, cj, err);
	if (rc < 0)
		return rc;
	refresh_active(call, &v);
	if (!ambient_deleting(cj)) {
		if (!ambient_bool(cj, "/spec/suspend", 0) && read_schedule(call, &v))
			started = schedule(call, &v, result, &starting);
		rc = trim_history(call, &v, "Complete", ambient_int(cj, "/spec/successfulJobsHistoryLimit", 3), err);
		if (rc == 0)
			rc = trim_history(call, &v, "Failed", ambient_int(cj, "/spec/failedJobsHistoryLimit", 1), err);
	}
	zone_free(v.zone);
	if (rc == 0)
		rc = ambient_status(call, v.status, err);
	if (rc == 0 && started < 0) {
		ambient_err_copy(err, &starting);
		rc = started;
	}
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}
