/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs and CronJobs: defaults, the selector and labels that tie pods to their Job, what may change, status rules. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission.h"

/* ---- defaults ---- */

static void
fill_spec(struct am_change *change, struct am_node *spec)
{
	bool indexed_limit = am_node_get(spec, "backoffLimitPerIndex") != NULL;
	struct am_node *template = am_child(change, spec, "template");

	if (am_node_get(spec, "completions") == NULL && am_node_get(spec, "parallelism") == NULL)
		am_fill_int(change, spec, "completions", 1);
	am_fill_int(change, spec, "parallelism", 1);
	am_fill_int(change, spec, "backoffLimit", indexed_limit ? INT32_MAX : 6);
	am_fill_str(change, spec, "completionMode", "NonIndexed");
	am_fill_bool(change, spec, "suspend", false);
	am_fill_bool(change, spec, "manualSelector", false);
	am_fill_str(change, spec, "podReplacementPolicy",
		    am_node_get(spec, "podFailurePolicy") != NULL ? "Failed" : "TerminatingOrFailed");
	am_pod_fill_spec(change, am_child(change, template, "spec"));
}

static void
job_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *metadata = am_node_get(change->object, "metadata");
	const struct am_node *labels = am_node_path(spec, "template", "metadata", "labels", NULL);

	fill_spec(change, spec);
	if (change->old == NULL && labels != NULL && am_node_get(metadata, "labels") == NULL)
		am_node_set(change->arena, metadata, "labels", am_node_clone(change->arena, labels));
}

static void
job_create(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");
	struct am_node *metadata = am_node_get(change->object, "metadata");
	const char *uid = am_node_get_str(metadata, "uid", ""), *name = am_node_get_str(metadata, "name", "");
	const struct am_node *manual = am_node_get(spec, "manualSelector");

	am_node_set(change->arena, change->object, "status", am_node_object(change->arena));
	if (manual != NULL && manual->boolean)
		return;
	struct am_node *labels = am_child(change, am_child(change, am_child(change, spec, "template"), "metadata"), "labels");
	const struct { const char *key, *value; } pairs[] = {
		{ "batch.kubernetes.io/controller-uid", uid }, { "batch.kubernetes.io/job-name", name },
		{ "controller-uid", uid }, { "job-name", name },
	};
	for (size_t i = 0; i < AM_COUNTOF(pairs); i++)
		am_node_set(change->arena, labels, pairs[i].key, am_node_str(change->arena, pairs[i].value));
	am_node_set(change->arena, am_child(change, am_child(change, spec, "selector"), "matchLabels"), pairs[0].key,
		    am_node_str(change->arena, uid));
}

/* ---- validation ---- */

static void
check_at_least(struct am_change *change, const struct am_node *spec, const char *key, const char *prefix)
{
	char field[128];
	int64_t n;

	if (am_node_get(spec, key) == NULL)
		return;
	snprintf(field, sizeof(field), "%s.%s", prefix, key);
	if (!am_node_get_int(spec, key, &n) || n < 0)
		am_bad(change, field, am_node_get(spec, key), "must be greater than or equal to 0");
}

/* What the node refuses in a pod is told early, as a warning: the Job itself is fine. */
static void
check_template(struct am_change *change, const struct am_node *spec, const char *field)
{
	struct am_failure *outer = change->failure, inner = { 0 };

	change->failure = &inner;
	am_pod_check_spec(change, spec, field);
	change->failure = outer;
	for (size_t i = 0; i < inner.n_causes; i++) {
		const struct am_cause *c = &inner.causes[i];
		if (strcmp(c->reason, "FieldValueForbidden") == 0)
			am_change_warn(change, "%s: %s", c->field, c->message);
		else
			am_failure_cause(outer, c->reason, c->field, "%s", c->message);
	}
	am_failure_fini(&inner);
}

static void
check_spec(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	static const char *const counts[] = { "parallelism", "completions", "backoffLimit", "activeDeadlineSeconds",
					      "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes" };
	static const char *const policies[] = { "OnFailure", "Never", NULL }, *const modes[] = { "NonIndexed", "Indexed", NULL };
	const struct am_node *pod = am_node_path(spec, "template", "spec", NULL);
	const char *policy = am_node_get_str(pod, "restartPolicy", ""), *mode = am_node_get_str(spec, "completionMode", "");
	char field[128];

	for (size_t i = 0; i < AM_COUNTOF(counts); i++)
		check_at_least(change, spec, counts[i], prefix);
	snprintf(field, sizeof(field), "%s.completionMode", prefix);
	if (strcmp(mode, "NonIndexed") != 0 && strcmp(mode, "Indexed") != 0)
		am_unsupported(change, field, mode, modes);
	snprintf(field, sizeof(field), "%s.completions", prefix);
	if (strcmp(mode, "Indexed") == 0 && am_node_get(spec, "completions") == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: when completion mode is Indexed");
	snprintf(field, sizeof(field), "%s.template.spec.restartPolicy", prefix);
	if (strcmp(policy, "Always") == 0 || *policy == '\0')
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: valid values: \"OnFailure\", \"Never\"");
	else if (strcmp(policy, "OnFailure") != 0 && strcmp(policy, "Never") != 0)
		am_unsupported(change, field, policy, policies);
	snprintf(field, sizeof(field), "%s.template.spec", prefix);
	check_template(change, pod, field);
}

static void
job_check(struct am_change *change)
{
	static const char *const fixed[] = { "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex",
					     "managedBy", "successPolicy" };
	char pointer[64], field[64];
	const struct am_node *metadata = am_node_get(change->object, "metadata"), *spec = am_node_get(change->object, "spec");
	const char *name = am_node_get_str(metadata, "name", "");

	if (change->old == NULL) {
		check_spec(change, spec, "spec");
		/* Its pods' job-name label must hold it. */
		if (strlen(name) > 63)
			am_bad(change, "metadata.name", am_node_get(metadata, "name"), "must be no more than 63 characters");
		return;
	}
	for (size_t i = 0; i < AM_COUNTOF(fixed); i++) {
		snprintf(pointer, sizeof(pointer), "/spec/%s", fixed[i]);
		snprintf(field, sizeof(field), "spec.%s", fixed[i]);
		am_immutable(change, pointer, field);
	}
	am_immutable(change, "/spec/template", "spec.template");
	if (strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") != 0)
		am_immutable(change, "/spec/completions", "spec.completions");
	check_at_least(change, spec, "parallelism", "spec");
	check_at_least(change, spec, "backoffLimit", "spec");
	check_at_least(change, spec, "activeDeadlineSeconds", "spec");
	check_at_least(change, spec, "ttlSecondsAfterFinished", "spec");
}

/* ---- status ---- */

static bool
condition_true(const struct am_node *object, const char *type)
{
	const struct am_node *list = am_node_path(object, "status", "conditions", NULL);

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
		if (strcmp(am_node_get_str(c, "type", ""), type) == 0)
			return strcmp(am_node_get_str(c, "status", ""), "True") == 0;
	return false;
}

static void
invalid_status(struct am_change *change, const char *field, const char *why)
{
	am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: %s", why);
}

static void
check_counts_grow(struct am_change *change)
{
	static const char *const counts[] = { "failed", "succeeded" };
	char field[64];

	for (size_t i = 0; i < AM_COUNTOF(counts); i++) {
		int64_t before = 0, now = 0;
		am_node_get_int(am_node_get(change->old, "status"), counts[i], &before);
		am_node_get_int(am_node_get(change->object, "status"), counts[i], &now);
		snprintf(field, sizeof(field), "status.%s", counts[i]);
		if (now < before && strcmp(am_node_get_str(am_node_get(change->object, "spec"), "completionMode", ""), "Indexed"))
			invalid_status(change, field, "cannot decrease");
	}
}

static void
job_check_status(struct am_change *change)
{
	const struct am_node *status = am_node_get(change->object, "status"), *before = am_node_get(change->old, "status");
	bool complete = condition_true(change->object, "Complete"), failed = condition_true(change->object, "Failed");
	const char *start = am_node_get_str(status, "startTime", ""), *end = am_node_get_str(status, "completionTime", "");
	int64_t active = 0, from, to;

	if (status == NULL || (before != NULL && am_node_equal(status, before)))
		return;
	if (complete && failed)
		invalid_status(change, "status.conditions", "cannot set Complete=True and Failed=true conditions");
	if (complete && !condition_true(change->object, "SuccessCriteriaMet"))
		invalid_status(change, "status.conditions", "cannot set Complete=True condition without the SuccessCriteriaMet=true "
			       "condition");
	if (failed && !condition_true(change->object, "FailureTarget"))
		invalid_status(change, "status.conditions", "cannot set Failed=True condition without the FailureTarget=true "
			       "condition");
	if ((complete || failed) && *start == '\0')
		am_failure_cause(change->failure, "FieldValueRequired", "status.startTime",
				 "Required value: startTime is required for finished job");
	if (complete && *end == '\0')
		am_failure_cause(change->failure, "FieldValueRequired", "status.completionTime",
				 "Required value: completionTime is required for Complete jobs");
	if (!complete && *end != '\0')
		invalid_status(change, "status.completionTime", "cannot set completionTime when there is no Complete=True condition");
	if (*start != '\0' && *end != '\0' && am_time_parse(start, &from) == 0 && am_time_parse(end, &to) == 0 && to < from)
		invalid_status(change, "status.completionTime", "completionTime cannot be set before startTime");
	am_node_get_int(status, "active", &active);
	if ((complete || failed) && active > 0)
		invalid_status(change, "status.active", "active>0 is invalid for finished job");
	if (condition_true(change->old, "Complete") && !complete)
		invalid_status(change, "status.conditions", "cannot disable the terminal Complete=True condition");
	if (condition_true(change->old, "Failed") && !failed)
		invalid_status(change, "status.conditions", "cannot disable the terminal Failed=True condition");
	check_counts_grow(change);
}

const struct am_kind am_kind_job = {
	.fill = job_fill, .create = job_create, .check = job_check, .check_status = job_check_status,
};

/* ---- CronJob ---- */

static void
cronjob_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");
	struct am_node *job = am_child(change, am_child(change, spec, "jobTemplate"), "spec");

	am_fill_str(change, spec, "concurrencyPolicy", "Allow");
	am_fill_bool(change, spec, "suspend", false);
	am_fill_int(change, spec, "successfulJobsHistoryLimit", 3);
	am_fill_int(change, spec, "failedJobsHistoryLimit", 1);
	am_pod_fill_spec(change, am_child(change, am_child(change, job, "template"), "spec"));
}

static void
cronjob_create(struct am_change *change)
{
	am_node_set(change->arena, change->object, "status", am_node_object(change->arena));
}

static void
cronjob_check(struct am_change *change)
{
	static const char *const policies[] = { "Allow", "Forbid", "Replace", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec");
	const char *schedule = am_node_get_str(spec, "schedule", ""), *policy = am_node_get_str(spec, "concurrencyPolicy", "");
	bool known = false;

	for (size_t i = 0; policies[i] != NULL; i++)
		known |= strcmp(policies[i], policy) == 0;
	if (!known)
		am_unsupported(change, "spec.concurrencyPolicy", policy, policies);
	if (*schedule == '\0')
		am_need(change, "spec.schedule");
	else if (strstr(schedule, "TZ=") != NULL)
		am_bad(change, "spec.schedule", am_node_get(spec, "schedule"), "cannot use TZ or CRON_TZ in schedule, use timeZone "
		       "field instead");
	const struct am_node *job = am_node_path(spec, "jobTemplate", "spec", NULL);
	const struct am_node *pod = am_node_path(job, "template", "spec", NULL);
	if (strcmp(am_node_get_str(pod, "restartPolicy", "Always"), "Always") == 0)
		am_failure_cause(change->failure, "FieldValueRequired", "spec.jobTemplate.spec.template.spec.restartPolicy",
				 "Required value: valid values: \"OnFailure\", \"Never\"");
	check_template(change, pod, "spec.jobTemplate.spec.template.spec");
}

const struct am_kind am_kind_cronjob = { .fill = cronjob_fill, .create = cronjob_create, .check = cronjob_check };
