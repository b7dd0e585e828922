/* SPDX-License-Identifier: Apache-2.0 */
/* CronJobs: defaults, and what is valid; a schedule that its controller could not read is refused here. */
#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/shared/cron.h"

static void
cronjob_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");

	am_fill_str(change, spec, "concurrencyPolicy", "Allow");
	am_fill_bool(change, spec, "suspend", false);
	am_fill_int(change, spec, "successfulJobsHistoryLimit", 3);
	am_fill_int(change, spec, "failedJobsHistoryLimit", 1);
	am_job_fill_spec(change, am_child(change, am_child(change, spec, "jobTemplate"), "spec"));
}

static void
cronjob_create(struct am_change *change)
{
	am_node_set(change->arena, change->object, "status", am_node_object(change->arena));
}

static void
check_schedule(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *schedule = am_node_get(spec, "schedule");
	const char *text = am_node_text(schedule, ""), *before = am_node_text(am_node_path(change->old, "spec", "schedule", NULL), "");
	struct cron cron;
	char why[256];

	if (*text == '\0') {
		am_need(change, "spec.schedule");
		return;
	}
	if (strstr(text, "TZ") != NULL && (change->old == NULL || strcmp(text, before) != 0))
		am_bad(change, "spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
	else if (!cron_parse(text, &cron, why, sizeof(why)))
		am_bad(change, "spec.schedule", schedule, why);
}

static void
check_zone(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *name = am_node_get(spec, "timeZone");
	struct zone *zone;
	char why[300];

	if (name == NULL || (change->old != NULL && am_same_at(change->old, change->object, "/spec/timeZone")))
		return;
	if (name->type != AMBIENT_T_STRING || name->len == 0) {
		am_bad(change, "spec.timeZone", name, "timeZone must be nil or non-empty string");
		return;
	}
	if (strcasecmp(name->text, "Local") == 0)
		am_bad(change, "spec.timeZone", name,
		       "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
	zone = zone_load(name->text, why, sizeof(why));
	if (zone == NULL)
		am_bad(change, "spec.timeZone", name, why);
	zone_free(zone);
}

static void
check_numbers(struct am_change *change, const struct am_node *spec)
{
	static const char *const keys[] = { "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit" };
	char field[64];

	for (size_t i = 0; i < AM_COUNTOF(keys); i++) {
		int64_t n = 0;
		snprintf(field, sizeof(field), "spec.%s", keys[i]);
		if (am_node_get(spec, keys[i]) != NULL && (!am_node_get_int(spec, keys[i], &n) || n < 0))
			am_bad(change, field, am_node_get(spec, keys[i]), "must be greater than or equal to 0");
	}
}

static void
cronjob_check(struct am_change *change)
{
	static const char *const policies[] = { "Allow", "Forbid", "Replace", NULL }, *const manual[] = { "nil", "false", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec"), *job = am_node_path(spec, "jobTemplate", "spec", NULL);
	const struct am_node *metadata = am_node_get(change->object, "metadata"), *flag = am_node_get(job, "manualSelector");
	const char *policy = am_node_get_str(spec, "concurrencyPolicy", "");
	bool known = false;

	for (size_t i = 0; policies[i] != NULL; i++)
		known |= strcmp(policies[i], policy) == 0;
	if (!known)
		am_unsupported(change, "spec.concurrencyPolicy", policy, policies);
	check_schedule(change, spec);
	check_zone(change, spec);
	check_numbers(change, spec);
	am_job_check_spec(change, job, "spec.jobTemplate.spec");
	if (am_node_get(job, "selector") != NULL)
		am_bad(change, "spec.jobTemplate.spec.selector", am_node_get(job, "selector"), "`selector` will be auto-generated");
	if (flag != NULL && flag->boolean)
		am_unsupported(change, "spec.jobTemplate.spec.manualSelector", "true", manual);
	/* "-" and the minutes since 1970 must still fit into the name of a Job. */
	if (change->old == NULL && strlen(am_node_get_str(metadata, "name", "")) > 52)
		am_bad(change, "metadata.name", am_node_get(metadata, "name"), "must be no more than 52 characters");
}

const struct am_kind am_kind_cronjob = { .fill = cronjob_fill, .create = cronjob_create, .check = cronjob_check };
