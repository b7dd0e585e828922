/* SPDX-License-Identifier: Apache-2.0 */
/* What the API server takes and refuses of Jobs and CronJobs: specs, changes, status. */
#include "tests/unit/apiserver.h"

#define JOB "batch/v1/jobs"
#define CRONJOB "batch/v1/cronjobs"

static struct fixture f;

static void
open_all(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new() };
	fixture_open(&f);
}

static void
done(void)
{
	fixture_close(&f);
}

#define TEMPLATE "\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"

static int
make_job(const char *name, const char *extra)
{
	return create(&f, JOB, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s%s" TEMPLATE "}}", name, extra,
		      *extra != '\0' ? "," : "");
}

#define INDEXED "\"completionMode\":\"Indexed\",\"completions\":3"
#define RULE(text) "\"podFailurePolicy\":{\"rules\":[" text "]}"

START_TEST(refused_job_specs)
{
	static const struct {
		const char *spec, *field, *why;
	} rows[] = {
		{ "\"parallelism\":-1", "spec.parallelism", "must be greater than or equal to 0" },
		{ "\"completions\":-1", "spec.completions", "must be greater than or equal to 0" },
		{ "\"ttlSecondsAfterFinished\":-1", "spec.ttlSecondsAfterFinished", "must be greater than" },
		{ "\"completionMode\":\"Odd\"", "spec.completionMode", "supported values: \"NonIndexed\", \"Indexed\"" },
		{ "\"completionMode\":\"Indexed\",\"parallelism\":1", "spec.completions", "when completion mode is Indexed" },
		{ INDEXED ",\"parallelism\":100001", "spec.parallelism", "must be less than or equal to 100000" },
		{ INDEXED ",\"backoffLimitPerIndex\":1,\"maxFailedIndexes\":4", "spec.maxFailedIndexes", "to completions" },
		{ INDEXED ",\"maxFailedIndexes\":1", "spec.backoffLimitPerIndex", "when maxFailedIndexes is specified" },
		{ "\"backoffLimitPerIndex\":1", "spec.backoffLimitPerIndex", "requires indexed completion mode" },
		{ "\"managedBy\":\"me\"", "spec.managedBy", "must be a domain-prefixed path" },
		{ "\"podReplacementPolicy\":\"Odd\"", "spec.podReplacementPolicy", "supported values: \"Failed\", \"TerminatingOrFailed\"" },
		{ RULE("{\"action\":\"Ignore\"}"), "spec.podFailurePolicy.rules[0]", "one of OnExitCodes and OnPodConditions is required" },
		{ RULE("{\"action\":\"Odd\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[1]}}"),
		  "spec.podFailurePolicy.rules[0].action", "\"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"" },
		{ RULE("{\"action\":\"FailIndex\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[1]}}"),
		  "spec.podFailurePolicy.rules[0].action", "requires the backoffLimitPerIndex to be set" },
		{ RULE("{\"action\":\"FailJob\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[0]}}"),
		  "spec.podFailurePolicy.rules[0].onExitCodes.values[0]", "must not be 0 for the In operator" },
		{ RULE("{\"action\":\"FailJob\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[3,2]}}"),
		  "spec.podFailurePolicy.rules[0].onExitCodes.values", "must be ordered" },
		{ RULE("{\"action\":\"FailJob\",\"onExitCodes\":{\"operator\":\"In\",\"values\":[2,2]}}"),
		  "spec.podFailurePolicy.rules[0].onExitCodes.values[1]", "Duplicate value: 2" },
		{ RULE("{\"action\":\"FailJob\",\"onExitCodes\":{\"containerName\":\"x\",\"operator\":\"In\",\"values\":[2]}}"),
		  "spec.podFailurePolicy.rules[0].onExitCodes.containerName", "must be one of the container or initContainer names" },
		{ "\"podReplacementPolicy\":\"TerminatingOrFailed\"," RULE("{\"action\":\"Ignore\",\"onPodConditions\":[{\"type\":\"X\"}]}"),
		  "spec.podReplacementPolicy", "supported values: \"Failed\"" },
		{ "\"successPolicy\":{\"rules\":[{\"succeededCount\":1}]}", "spec.successPolicy", "requires indexed completion mode" },
		{ INDEXED ",\"successPolicy\":{\"rules\":[]}", "spec.successPolicy.rules", "at least one rules" },
		{ INDEXED ",\"successPolicy\":{\"rules\":[{}]}", "spec.successPolicy.rules[0]", "at least one of succeededCount" },
		{ INDEXED ",\"successPolicy\":{\"rules\":[{\"succeededIndexes\":\"0-3\"}]}",
		  "spec.successPolicy.rules[0].succeededIndexes", "error parsing succeededIndexes: too large index: \"3\"" },
		{ INDEXED ",\"successPolicy\":{\"rules\":[{\"succeededIndexes\":\"1,0\"}]}",
		  "spec.successPolicy.rules[0].succeededIndexes", "non-increasing order, previous: 1, current: 0" },
		{ INDEXED ",\"successPolicy\":{\"rules\":[{\"succeededIndexes\":\"1\",\"succeededCount\":2}]}",
		  "spec.successPolicy.rules[0].succeededCount", "must be less than or equal to 1 (the number of indexes" },
		{ "\"manualSelector\":true", "spec.selector", "Required value" },
		{ "\"manualSelector\":true,\"selector\":{\"matchLabels\":{\"a\":\"b\"}}", "spec.template.metadata.labels",
		  "`selector` does not match template `labels`" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(make_job("j", rows[i].spec) == 422, "%s: %d", rows[i].spec, f.written.code);
		ck_assert_msg(strcmp(field(&f, 0), rows[i].field) == 0, "%s: %s", rows[i].spec, field(&f, 0));
		ck_assert_msg(strstr(f.failure.message, rows[i].why) != NULL ||
			      strstr(f.failure.causes[0].message, rows[i].why) != NULL, "%s: %s", rows[i].spec, f.failure.message);
	}
	ck_assert_int_eq(make_job("long", RULE("{\"action\":\"Ignore\",\"onPodConditions\":[{\"type\":\"X\"}]}")), 201);
	ck_assert_str_eq(answer(&f, "/spec/podReplacementPolicy"), "\"Failed\"");
	ck_assert_str_eq(answer(&f, "/spec/podFailurePolicy/rules/0/onPodConditions/0/status"), "\"True\"");
	ck_assert_int_eq(make_job("i", INDEXED ",\"backoffLimitPerIndex\":1"), 201);
	ck_assert_str_eq(answer(&f, "/spec/backoffLimit"), "2147483647");
	ck_assert_int_eq(make_job("a-name-that-leaves-no-room-for-an-index-and-is-too-long-for-it", INDEXED), 422);
	ck_assert_str_eq(field(&f, 0), "metadata.name");
}
END_TEST

static int
change(const char *name, const char *text)
{
	return patch(&f, AM_PATCH_MERGE, JOB, "default", name, NULL, "{\"spec\":{%s}}", text);
}

START_TEST(what_may_change)
{
	ck_assert_int_eq(make_job("plain", ""), 201);
	ck_assert_int_eq(change("plain", "\"completions\":2"), 422);
	ck_assert_int_eq(change("plain", "\"completionMode\":\"Indexed\""), 422);
	ck_assert_int_eq(change("plain", "\"managedBy\":\"a.io/b\""), 422);
	ck_assert_int_eq(change("plain", "\"template\":{\"spec\":{\"nodeSelector\":{\"a\":\"b\"}}}"), 422);
	ck_assert_int_eq(change("plain", "\"activeDeadlineSeconds\":5,\"backoffLimit\":3,\"ttlSecondsAfterFinished\":9"), 200);
	ck_assert_int_eq(make_job("idx", INDEXED ",\"parallelism\":3"), 201);
	ck_assert_int_eq(change("idx", "\"completions\":2"), 422);
	ck_assert_ptr_nonnull(strstr(f.failure.message, "can only be modified in tandem with spec.parallelism"));
	ck_assert_int_eq(change("idx", "\"completions\":2,\"parallelism\":2"), 200);
	ck_assert_int_eq(make_job("held", "\"suspend\":true"), 201);
	ck_assert_int_eq(change("held", "\"template\":{\"spec\":{\"nodeSelector\":{\"a\":\"b\"},\"tolerations\":[{\"key\":\"k\"}]}}"), 200);
	ck_assert_int_eq(change("held", "\"template\":{\"spec\":{\"dnsPolicy\":\"None\"}}"), 422);
}
END_TEST

static int
status(const char *text)
{
	return patch(&f, AM_PATCH_MERGE, JOB, "default", "s", "status", "{\"status\":%s}", text);
}

#define T(type) "{\"type\":\"" type "\",\"status\":\"True\"}"
#define START "\"startTime\":\"2026-01-01T00:00:10Z\""

START_TEST(row_195_status_rules)
{
	static const struct {
		const char *status, *field, *why;
	} rows[] = {
		{ "{\"active\":-1}", "status.active", "must be greater than or equal to 0" },
		{ "{\"ready\":1}", "status.ready", "cannot set more ready pods than active" },
		{ "{" START ",\"conditions\":[" T("Failed") "]}", "status.conditions", "without the FailureTarget=true condition" },
		{ "{\"conditions\":[" T("FailureTarget") "," T("Failed") "]}", "status.startTime", "startTime is required for finished job" },
		{ "{" START ",\"conditions\":[" T("SuccessCriteriaMet") "," T("Complete") "]}", "status.completionTime",
		  "completionTime is required for Complete jobs" },
		{ "{" START ",\"completionTime\":\"2026-01-01T00:00:11Z\"}", "status.completionTime",
		  "cannot set completionTime when there is no Complete=True condition" },
		{ "{" START ",\"completionTime\":\"2026-01-01T00:00:09Z\",\"conditions\":[" T("SuccessCriteriaMet") "," T("Complete") "]}",
		  "status.completionTime", "completionTime cannot be set before startTime" },
		{ "{" START ",\"conditions\":[" T("SuccessCriteriaMet") "," T("FailureTarget") "]}", "status.conditions",
		  "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions" },
		{ "{" START ",\"active\":1,\"conditions\":[" T("FailureTarget") "," T("Failed") "]}", "status.active",
		  "active>0 is invalid for finished job" },
		{ "{" START ",\"terminating\":1,\"conditions\":[" T("FailureTarget") "," T("Failed") "]}", "status.terminating",
		  "terminating>0 is invalid for finished job" },
		{ "{" START ",\"uncountedTerminatedPods\":{\"failed\":[\"u\"]},\"conditions\":[" T("FailureTarget") "," T("Failed") "]}",
		  "status.uncountedTerminatedPods", "needs to be empty for finished job" },
		{ "{\"uncountedTerminatedPods\":{\"failed\":[\"u\"],\"succeeded\":[\"u\"]}}", "status.uncountedTerminatedPods.failed[0]",
		  "Duplicate value" },
		{ "{\"completedIndexes\":\"0\"}", "status.completedIndexes", "when non-indexed completion mode" },
		{ "{\"failedIndexes\":\"\"}", "status.failedIndexes", "when backoffLimitPerIndex is null" },
	};

	ck_assert_int_eq(make_job("s", ""), 201);
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(status(rows[i].status) == 422, "%s: %d", rows[i].status, f.written.code);
		ck_assert_msg(strcmp(field(&f, 0), rows[i].field) == 0, "%s: %s", rows[i].status, field(&f, 0));
		ck_assert_msg(strstr(f.failure.message, rows[i].why) != NULL, "%s: %s", rows[i].status, f.failure.message);
	}
	ck_assert_int_eq(status("{" START ",\"failed\":2,\"succeeded\":1}"), 200);
	ck_assert_int_eq(status("{\"failed\":1}"), 422);
	ck_assert_int_eq(status("{\"succeeded\":0}"), 422);
	ck_assert_int_eq(status("{\"startTime\":null}"), 422);
	/* Only who tells that it is resumed may begin anew. */
	ck_assert_int_eq(status("{\"startTime\":\"2026-01-01T00:00:40Z\"}"), 422);
	ck_assert_int_eq(status("{\"conditions\":[" T("FailureTarget") "]}"), 200);
	ck_assert_int_eq(status("{\"conditions\":[]}"), 422);
	ck_assert_int_eq(status("{\"conditions\":[" T("FailureTarget") "," T("Failed") "]}"), 200);
	ck_assert_int_eq(status("{\"conditions\":[" T("FailureTarget") "]}"), 422);
}
END_TEST

START_TEST(status_of_indexes)
{
	ck_assert_int_eq(make_job("s", INDEXED ",\"backoffLimitPerIndex\":1"), 201);
	ck_assert_int_eq(status("{\"completedIndexes\":\"0-\"}"), 422);
	ck_assert_int_eq(status("{\"completedIndexes\":\"3\"}"), 422);
	ck_assert_int_eq(status("{\"completedIndexes\":\"0,1\",\"failedIndexes\":\"1-2\"}"), 422);
	ck_assert_ptr_nonnull(strstr(f.failure.message, "failedIndexes and completedIndexes overlap at index: 1"));
	ck_assert_int_eq(status("{\"completedIndexes\":\"0,1\",\"failedIndexes\":\"2\"}"), 200);
}
END_TEST

static int
make_cron(const char *name, const char *spec, const char *job)
{
	return create(&f, CRONJOB, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s,\"jobTemplate\":{\"spec\":{%s" TEMPLATE "}}}}",
		      name, spec, job);
}

START_TEST(unknown_fields)
{
	static const char odd[] = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"odd\":1,\"template\":{\"spec\":{\"restartPolicy\":\"Never\","
				  "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\",\"comand\":[\"x\"]}]}}},\"more\":{\"a\":1}}";

	ck_assert_int_eq(create(&f, JOB, "default", odd, "warned"), 201);
	ck_assert_uint_eq(f.written.n_warnings, 3);
	ck_assert_str_eq(f.written.warnings[0], "unknown field \"spec.odd\"");
	ck_assert_str_eq(f.written.warnings[1], "unknown field \"spec.template.spec.containers[0].comand\"");
	ck_assert_str_eq(f.written.warnings[2], "unknown field \"more\"");
	ck_assert_str_eq(answer(&f, "/spec/odd"), "");
	ck_assert_str_eq(answer(&f, "/more"), "");
	const struct am_resource *res = resource(&f, JOB);
	char body[512];
	snprintf(body, sizeof(body), odd, "strict");
	struct am_write write = { .verb = AM_VERB_CREATE, .res = res, .ns = "default", .body = am_slice(body, strlen(body)),
				  .fields = AM_FIELDS_STRICT };
	fixture_clear(&f);
	ck_assert_int_lt(am_engine_write(f.engine, &write, &f.written, &f.failure), 0);
	ck_assert_int_eq(f.failure.code, 400);
	ck_assert_ptr_nonnull(strstr(f.failure.message, "strict decoding error: unknown field \"spec.odd\", unknown field "
						       "\"spec.template.spec.containers[0].comand\", unknown field \"more\""));
	write.fields = AM_FIELDS_IGNORE;
	fixture_clear(&f);
	ck_assert_int_eq(am_engine_write(f.engine, &write, &f.written, &f.failure), 0);
	ck_assert_uint_eq(f.written.n_warnings, 0);
	ck_assert_str_eq(answer(&f, "/spec/odd"), "");
	am_resource_unref(res);
}
END_TEST

START_TEST(cronjobs)
{
	static const struct {
		const char *spec, *job, *field, *why;
	} rows[] = {
		{ "\"suspend\":false", "", "spec.schedule", "Required value" },
		{ "\"schedule\":\"x\"", "", "spec.schedule", "expected exactly 5 fields, found 1: [x]" },
		{ "\"schedule\":\"TZ=UTC * * * * *\"", "", "spec.schedule", "cannot use TZ or CRON_TZ in schedule" },
		{ "\"schedule\":\"* * * * *\",\"timeZone\":\"\"", "", "spec.timeZone", "timeZone must be nil or non-empty string" },
		{ "\"schedule\":\"* * * * *\",\"timeZone\":\"No/Where\"", "", "spec.timeZone", "unknown time zone No/Where" },
		{ "\"schedule\":\"* * * * *\",\"timeZone\":\"../etc\"", "", "spec.timeZone", "unknown time zone" },
		{ "\"schedule\":\"* * * * *\",\"concurrencyPolicy\":\"Odd\"", "", "spec.concurrencyPolicy", "Unsupported value" },
		{ "\"schedule\":\"* * * * *\",\"startingDeadlineSeconds\":-1", "", "spec.startingDeadlineSeconds", "greater than" },
		{ "\"schedule\":\"* * * * *\",\"failedJobsHistoryLimit\":-1", "", "spec.failedJobsHistoryLimit", "greater than" },
		{ "\"schedule\":\"* * * * *\"", "\"selector\":{},", "spec.jobTemplate.spec.selector", "will be auto-generated" },
		{ "\"schedule\":\"* * * * *\"", "\"parallelism\":-1,", "spec.jobTemplate.spec.parallelism", "greater than" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(make_cron("c", rows[i].spec, rows[i].job) == 422, "%s: %d", rows[i].spec, f.written.code);
		ck_assert_msg(strcmp(field(&f, 0), rows[i].field) == 0, "%s: %s", rows[i].spec, field(&f, 0));
		ck_assert_msg(strstr(f.failure.message, rows[i].why) != NULL, "%s: %s", rows[i].spec, f.failure.message);
	}
	ck_assert_int_eq(make_cron("a-name-of-fifty-three-characters-which-is-one-too-man", "\"schedule\":\"@daily\"", ""), 422);
	ck_assert_int_eq(make_cron("c", "\"schedule\":\"*/5 * * * mon-fri\",\"timeZone\":\"Europe/Berlin\"", ""), 201);
	ck_assert_str_eq(answer(&f, "/spec/concurrencyPolicy"), "\"Allow\"");
	ck_assert_str_eq(answer(&f, "/spec/successfulJobsHistoryLimit"), "3");
	ck_assert_str_eq(answer(&f, "/spec/failedJobsHistoryLimit"), "1");
	ck_assert_str_eq(answer(&f, "/spec/jobTemplate/spec/template/spec/dnsPolicy"), "\"ClusterFirst\"");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, refused_job_specs);
	tcase_add_test(tc, what_may_change);
	tcase_add_test(tc, row_195_status_rules);
	tcase_add_test(tc, status_of_indexes);
	tcase_add_test(tc, unknown_fields);
	tcase_add_test(tc, cronjobs);
}

UNIT_MAIN("apiserver-jobs", cases)
