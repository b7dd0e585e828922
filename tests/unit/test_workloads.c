/* SPDX-License-Identifier: Apache-2.0 */
/* The workloads plugin against a fake host: Jobs to each of their ends, and what every namespace gets. */
#include "plugins/standalone/workloads/workloads.h"

#include <string.h>

#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

static struct fake_host *fake;

static void
begin(void)
{
	fake = fake_host_new(&ambient_plugin_v1);
	fake_host_set_fact(fake, "cluster-ca", "-----BEGIN CERTIFICATE-----\nAAAA\n");
	(void)fake_host_create(fake);
}

static void
end(void)
{
	fake_host_free(fake);
}

static void
put_job(const char *spec)
{
	char json[1024];

	(void)snprintf(json, sizeof(json), "{'metadata':{'name':'j','namespace':'n'},'spec':{%s%s'template':{'metadata':"
		       "{'labels':{'a':'b'}},'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
		       spec, spec[0] != '\0' ? "," : "");
	fake_host_put(fake, JOB, json);
}

static int64_t
reconcile(void)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = fake_host_reconcile(fake, "jobs", "n", "j", &result, &err);

	ck_assert_msg(rc == 0, "reconcile: %s", err.message);
	return result.requeue_after;
}

/* The i-th pod's name. */
static const char *
pod(size_t i)
{
	const char *name = fake_host_name(fake, POD, "n", i);

	return name != NULL ? name + 2 : NULL;
}

static void
finish_pod(const char *name, const char *phase, int code)
{
	char json[400];

	(void)snprintf(json, sizeof(json), "{'spec':{'nodeName':'standalone'},'status':{'phase':'%s','containerStatuses':[{"
		       "'name':'c','restartCount':0,'state':{'terminated':{'exitCode':%d,'finishedAt':"
		       "'2026-01-01T00:00:00Z'}}}]}}", phase, code);
	fake_host_merge(fake, POD, "n", name, json);
}

static const char *
job(const char *pointer)
{
	const char *text = fake_host_at(fake, JOB, "n", "j", pointer);

	return text != NULL ? text : "";
}

static bool
has_condition(const char *type)
{
	char at[64];

	for (int i = 0; i < 8; i++) {
		(void)snprintf(at, sizeof(at), "/status/conditions/%d/type", i);
		if (strcmp(job(at), type) == 0) {
			(void)snprintf(at, sizeof(at), "/status/conditions/%d/status", i);
			return strcmp(job(at), "True") == 0;
		}
	}
	return false;
}

START_TEST(job_creates_one_pod_with_owner_labels_and_finalizer)
{
	begin();
	put_job("");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	const char *p = pod(0);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/ownerReferences/0/name"), "j");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/ownerReferences/0/controller"), "true");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/finalizers/0"), TRACKING);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/labels/a"), "b");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/labels/batch.kubernetes.io~1job-name"), "j");
	ck_assert_str_eq(job("/status/active"), "1");
	ck_assert_str_eq(job("/status/startTime"), "2026-01-01T00:00:00Z");
	ck_assert_ptr_nonnull(fake_host_event(fake, "SuccessfulCreate"));
	/* Again: nothing. */
	size_t writes = fake_host_calls(fake, "status", JOB);
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	ck_assert_uint_eq(fake_host_calls(fake, "status", JOB), writes);
	end();
}
END_TEST

START_TEST(job_success_criteria_before_complete)
{
	begin();
	put_job("");
	(void)reconcile();
	finish_pod(pod(0), "Succeeded", 0);
	(void)reconcile();
	ck_assert(has_condition("SuccessCriteriaMet"));
	ck_assert(has_condition("Complete"));
	ck_assert_str_eq(job("/status/conditions/0/type"), "SuccessCriteriaMet");
	ck_assert_str_eq(job("/status/succeeded"), "1");
	ck_assert_str_eq(job("/status/active"), "");
	ck_assert_str_eq(job("/status/completionTime"), "2026-01-01T00:00:00Z");
	ck_assert_str_eq(job("/status/uncountedTerminatedPods"), "{}");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers"), "[]");
	ck_assert_uint_eq(fake_host_events(fake, "Completed"), 1);
	/* A pod that goes later changes nothing. */
	fake_host_remove(fake, POD, "n", pod(0));
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 0);
	ck_assert_str_eq(job("/status/succeeded"), "1");
	end();
}
END_TEST

START_TEST(job_backoff_limit_zero_fails_after_one)
{
	begin();
	put_job("'backoffLimit':0");
	(void)reconcile();
	finish_pod(pod(0), "Failed", 1);
	(void)reconcile();
	ck_assert(has_condition("FailureTarget"));
	ck_assert(has_condition("Failed"));
	ck_assert_str_eq(job("/status/conditions/1/reason"), "BackoffLimitExceeded");
	ck_assert_str_eq(job("/status/failed"), "1");
	ck_assert_str_eq(job("/status/completionTime"), "");
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	ck_assert_ptr_nonnull(strstr(fake_host_event(fake, "BackoffLimitExceeded"), "Warning"));
	end();
}
END_TEST

START_TEST(job_retries_after_10_then_20_seconds)
{
	begin();
	put_job("'backoffLimit':2");
	(void)reconcile();
	finish_pod(pod(0), "Failed", 1);
	ck_assert_int_eq(reconcile(), 10 * AMBIENT_SECOND);
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 2);
	for (size_t i = 0; i < 2; i++)
		finish_pod(pod(i), "Failed", 1);
	ck_assert_int_eq(reconcile(), 10 * AMBIENT_SECOND); /* 20 s from the end at 0, 10 s are gone */
	ck_assert_str_eq(job("/status/failed"), "2");
	end();
}
END_TEST

START_TEST(job_completions_and_parallelism)
{
	begin();
	put_job("'completions':3,'parallelism':2");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 2);
	finish_pod(pod(0), "Succeeded", 0);
	finish_pod(pod(1), "Succeeded", 0);
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 3);
	ck_assert_str_eq(job("/status/active"), "1");
	ck_assert_str_eq(job("/status/succeeded"), "2");
	for (size_t i = 0; i < 3; i++)
		finish_pod(pod(i), "Succeeded", 0);
	(void)reconcile();
	ck_assert(has_condition("Complete"));
	ck_assert_str_eq(job("/status/succeeded"), "3");
	end();
}
END_TEST

START_TEST(job_lost_answer_of_create_makes_no_second_pod)
{
	begin();
	put_job("");
	(void)reconcile();
	char first[64];
	(void)snprintf(first, sizeof(first), "%s", pod(0));
	/* As if the cache did not show it yet: the next create meets the same name. */
	fake_host_merge(fake, POD, "n", first, "{'metadata':{'labels':{'batch.kubernetes.io/controller-uid':'x'}}}");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	ck_assert_str_eq(pod(0), first);
	end();
}
END_TEST

/* The daemon dies at each of the first writes: every pod is counted once, one pod is made. */
START_TEST(job_counts_once_whatever_fails)
{
	static const char *const verbs[] = { "create", "status", "patch" };

	for (size_t v = 0; v < 3; v++) {
		begin();
		put_job("'backoffLimit':0");
		fake_host_fail(fake, verbs[v], "*", AMBIENT_E_UNAVAILABLE, 1);
		for (int round = 0; round < 6; round++) {
			(void)fake_host_reconcile(fake, "jobs", "n", "j", NULL, NULL);
			if (round == 2)
				finish_pod(pod(0), "Failed", 1);
			if (round == 3)
				fake_host_fail(fake, verbs[v], "*", AMBIENT_E_UNAVAILABLE, 1);
		}
		ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
		ck_assert_str_eq(job("/status/failed"), "1");
		ck_assert(has_condition("Failed"));
		end();
	}
}
END_TEST

START_TEST(job_deadline_deletes_pods_then_fails)
{
	begin();
	put_job("'activeDeadlineSeconds':60");
	ck_assert_int_eq(reconcile(), 60 * AMBIENT_SECOND);
	fake_host_merge(fake, POD, "n", pod(0), "{'spec':{'nodeName':'standalone'},'status':{'phase':'Running'}}");
	fake_host_advance(fake, 61 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert(has_condition("FailureTarget"));
	ck_assert(!has_condition("Failed"));
	ck_assert_ptr_nonnull(fake_host_at(fake, POD, "n", pod(0), "/metadata/deletionTimestamp"));
	finish_pod(pod(0), "Failed", 143);
	(void)reconcile();
	ck_assert(has_condition("Failed"));
	ck_assert_str_eq(job("/status/conditions/1/reason"), "DeadlineExceeded");
	end();
}
END_TEST

START_TEST(job_suspend_and_resume)
{
	begin();
	put_job("'suspend':true");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 0);
	ck_assert(has_condition("Suspended"));
	ck_assert_str_eq(job("/status/startTime"), "");
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'suspend':false}}");
	(void)reconcile();
	ck_assert(!has_condition("Suspended"));
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	ck_assert_ptr_nonnull(fake_host_event(fake, "Resumed"));
	end();
}
END_TEST

START_TEST(job_ttl_deletes_it)
{
	begin();
	put_job("'ttlSecondsAfterFinished':30");
	(void)reconcile();
	finish_pod(pod(0), "Succeeded", 0);
	ck_assert_int_eq(reconcile(), 30 * AMBIENT_SECOND);
	fake_host_advance(fake, 31 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert(!fake_host_has(fake, JOB, "n", "j"));
	end();
}
END_TEST

START_TEST(job_gone_releases_its_pods)
{
	begin();
	put_job("");
	(void)reconcile();
	fake_host_remove(fake, JOB, "n", "j");
	(void)reconcile();
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers"), "[]");
	end();
}
END_TEST

START_TEST(job_of_another_manager_is_left_alone)
{
	begin();
	put_job("'managedBy':'example.com/other'");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 0);
	end();
}
END_TEST

/* The clean-up of Jobs that are over is no part of managing them. */
START_TEST(ttl_holds_for_jobs_of_another_manager)
{
	begin();
	put_job("'managedBy':'example.com/other','ttlSecondsAfterFinished':30");
	ck_assert_int_eq(reconcile(), 0);
	fake_host_merge(fake, JOB, "n", "j", "{'status':{'conditions':[{'type':'Failed','status':'True','lastTransitionTime':"
			"'2026-01-01T00:00:00Z'}]}}");
	ck_assert_int_eq(reconcile(), 30 * AMBIENT_SECOND);
	fake_host_advance(fake, 31 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert(!fake_host_has(fake, JOB, "n", "j"));
	end();
}
END_TEST

START_TEST(finalizers_of_the_template_stay)
{
	begin();
	put_job("");
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'template':{'metadata':{'finalizers':['example.com/hold']}}}}");
	(void)reconcile();
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers/0"), "example.com/hold");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers/1"), TRACKING);
	finish_pod(pod(0), "Succeeded", 0);
	(void)reconcile();
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers/0"), "example.com/hold");
	ck_assert_ptr_null(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers/1"));
	end();
}
END_TEST

/* The pod of an index that has not ended; NULL: none. */
static const char *
pod_of(int index)
{
	char want[16];

	(void)snprintf(want, sizeof(want), "%d", index);
	for (size_t i = 0; pod(i) != NULL; i++) {
		const char *have = fake_host_at(fake, POD, "n", pod(i), "/metadata/annotations/batch.kubernetes.io~1job-completion-index");
		const char *phase = fake_host_at(fake, POD, "n", pod(i), "/status/phase");

		if (have != NULL && strcmp(have, want) == 0 && (phase == NULL || strcmp(phase, "Pending") == 0))
			return pod(i);
	}
	return NULL;
}

static const char *
message(void)
{
	return job("/status/conditions/1/message");
}

START_TEST(indexed_names_hostnames_and_completed)
{
	begin();
	put_job("'completionMode':'Indexed','completions':4,'parallelism':3");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 3);
	const char *p = pod_of(2);
	ck_assert(strncmp(p, "j-2-", 4) == 0 && strlen(p) == 9);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/spec/hostname"), "j-2");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/metadata/labels/batch.kubernetes.io~1job-completion-index"), "2");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", p, "/spec/containers/0/env/0/name"), "JOB_COMPLETION_INDEX");
	finish_pod(pod_of(0), "Succeeded", 0);
	finish_pod(pod_of(2), "Succeeded", 0);
	(void)reconcile();
	ck_assert_str_eq(job("/status/completedIndexes"), "0,2");
	ck_assert_str_eq(job("/status/succeeded"), "2");
	ck_assert_ptr_nonnull(pod_of(3));
	finish_pod(pod_of(1), "Succeeded", 0);
	finish_pod(pod_of(3), "Succeeded", 0);
	(void)reconcile();
	ck_assert_str_eq(job("/status/completedIndexes"), "0-3");
	ck_assert(has_condition("Complete"));
	end();
}
END_TEST

START_TEST(indexed_failure_is_retried_under_its_index)
{
	begin();
	put_job("'completionMode':'Indexed','completions':2,'parallelism':2");
	(void)reconcile();
	finish_pod(pod_of(1), "Failed", 1);
	ck_assert_int_eq(reconcile(), 10 * AMBIENT_SECOND);
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert_ptr_nonnull(pod_of(1));
	ck_assert_str_eq(job("/status/failed"), "1");
	ck_assert_str_eq(job("/status/failedIndexes"), "");
	end();
}
END_TEST

START_TEST(backoff_limit_per_index)
{
	begin();
	put_job("'completionMode':'Indexed','completions':2,'parallelism':2,'backoffLimitPerIndex':1,'backoffLimit':2147483647");
	(void)reconcile();
	const char *first = pod_of(0);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", first, "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count"), "0");
	finish_pod(pod_of(1), "Succeeded", 0);
	finish_pod(first, "Failed", 1);
	ck_assert_int_eq(reconcile(), 10 * AMBIENT_SECOND);
	/* Its annotation is needed until there is another pod. */
	ck_assert_str_eq(fake_host_at(fake, POD, "n", first, "/metadata/finalizers/0"), TRACKING);
	fake_host_advance(fake, 10 * AMBIENT_SECOND);
	(void)reconcile();
	const char *second = pod_of(0);
	ck_assert_ptr_nonnull(second);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", second, "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count"), "1");
	(void)reconcile();
	ck_assert_str_eq(fake_host_at(fake, POD, "n", first, "/metadata/finalizers"), "[]");
	ck_assert_str_eq(job("/status/failed"), "1");
	finish_pod(second, "Failed", 1);
	(void)reconcile();
	ck_assert_str_eq(job("/status/failedIndexes"), "0");
	ck_assert_str_eq(job("/status/completedIndexes"), "1");
	ck_assert(has_condition("Failed"));
	ck_assert_str_eq(job("/status/conditions/0/reason"), "FailedIndexes");
	ck_assert_str_eq(message(), "Job has failed indexes");
	ck_assert_str_eq(job("/status/failed"), "2");
	end();
}
END_TEST

START_TEST(max_failed_indexes)
{
	begin();
	put_job("'completionMode':'Indexed','completions':4,'parallelism':4,'backoffLimitPerIndex':0,'maxFailedIndexes':1,"
		"'backoffLimit':2147483647");
	(void)reconcile();
	finish_pod(pod_of(0), "Failed", 1);
	(void)reconcile();
	ck_assert(!has_condition("FailureTarget"));
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 4);
	finish_pod(pod_of(2), "Failed", 1);
	(void)reconcile();
	ck_assert(has_condition("FailureTarget"));
	ck_assert_str_eq(job("/status/conditions/0/reason"), "MaxFailedIndexesExceeded");
	ck_assert_str_eq(job("/status/failedIndexes"), "0,2");
	end();
}
END_TEST

#define POLICY(action, code) \
	"'podFailurePolicy':{'rules':[{'action':'" action "','onExitCodes':{'operator':'In','values':[" code "]}}]}"

START_TEST(row_192_pod_failure_policy_fails_the_job)
{
	begin();
	put_job("'backoffLimit':6,'parallelism':2,'completions':2," POLICY("FailJob", "42"));
	(void)reconcile();
	finish_pod(pod(0), "Failed", 42);
	(void)reconcile();
	ck_assert(has_condition("FailureTarget"));
	ck_assert_str_eq(job("/status/conditions/0/reason"), "PodFailurePolicy");
	ck_assert_ptr_nonnull(strstr(job("/status/conditions/0/message"), "failed with exit code 42 matching FailJob rule at index 0"));
	(void)reconcile();
	ck_assert(has_condition("Failed"));
	ck_assert_str_eq(job("/status/failed"), "2");
	end();
}
END_TEST

START_TEST(pod_failure_policy_ignores)
{
	begin();
	put_job("'backoffLimit':0," POLICY("Ignore", "42"));
	(void)reconcile();
	finish_pod(pod(0), "Failed", 42);
	(void)reconcile();
	ck_assert(!has_condition("FailureTarget"));
	ck_assert_str_eq(job("/status/failed"), "");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers"), "[]");
	fake_host_advance(fake, 11 * AMBIENT_SECOND);
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 2);
	end();
}
END_TEST

START_TEST(pod_failure_policy_fails_the_index)
{
	begin();
	put_job("'completionMode':'Indexed','completions':2,'parallelism':2,'backoffLimitPerIndex':5,'backoffLimit':2147483647,"
		POLICY("FailIndex", "42"));
	(void)reconcile();
	finish_pod(pod_of(1), "Failed", 42);
	(void)reconcile();
	ck_assert_str_eq(job("/status/failedIndexes"), "1");
	ck_assert_ptr_null(pod_of(1));
	ck_assert(!has_condition("FailureTarget"));
	end();
}
END_TEST

START_TEST(pod_failure_policy_reads_conditions)
{
	begin();
	put_job("'backoffLimit':0,'podFailurePolicy':{'rules':[{'action':'Ignore','onPodConditions':[{'type':'DisruptionTarget',"
		"'status':'True'}]}]}");
	(void)reconcile();
	fake_host_merge(fake, POD, "n", pod(0), "{'status':{'phase':'Failed','conditions':[{'type':'DisruptionTarget','status':'True'}]}}");
	(void)reconcile();
	ck_assert(!has_condition("FailureTarget"));
	ck_assert_str_eq(job("/status/failed"), "");
	end();
}
END_TEST

START_TEST(success_policy_ends_it_early)
{
	begin();
	put_job("'completionMode':'Indexed','completions':4,'parallelism':4,'successPolicy':{'rules':[{'succeededIndexes':'2-3',"
		"'succeededCount':1}]}");
	(void)reconcile();
	finish_pod(pod_of(0), "Succeeded", 0);
	(void)reconcile();
	ck_assert(!has_condition("SuccessCriteriaMet"));
	finish_pod(pod_of(3), "Succeeded", 0);
	(void)reconcile();
	ck_assert(has_condition("SuccessCriteriaMet"));
	ck_assert_str_eq(job("/status/conditions/0/reason"), "SuccessPolicy");
	ck_assert_str_eq(job("/status/conditions/0/message"), "Matched rules at index 0");
	for (int i = 0; i < 3 && !has_condition("Complete"); i++)
		(void)reconcile();
	ck_assert(has_condition("Complete"));
	ck_assert_str_eq(job("/status/completedIndexes"), "0,3");
	ck_assert_str_eq(job("/status/failed"), "");
	end();
}
END_TEST

static void
run_pod(const char *name)
{
	fake_host_merge(fake, POD, "n", name, "{'spec':{'nodeName':'standalone'},'status':{'phase':'Running'}}");
}

START_TEST(suspension_deletes_pods_uncounted)
{
	begin();
	put_job("'parallelism':2,'completions':2");
	(void)reconcile();
	run_pod(pod(0));
	run_pod(pod(1));
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'suspend':true}}");
	(void)reconcile();
	ck_assert_str_eq(job("/status/active"), "");
	ck_assert_str_eq(job("/status/terminating"), "2");
	ck_assert_str_eq(job("/status/startTime"), "2026-01-01T00:00:00Z");
	finish_pod(pod(0), "Failed", 143);
	finish_pod(pod(1), "Failed", 143);
	(void)reconcile();
	ck_assert_str_eq(job("/status/failed"), "");
	ck_assert(has_condition("Suspended"));
	ck_assert_ptr_nonnull(fake_host_event(fake, "Suspended"));
	fake_host_advance(fake, 100 * AMBIENT_SECOND);
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'suspend':false}}");
	(void)reconcile();
	ck_assert_str_eq(job("/status/active"), "2");
	ck_assert_str_eq(job("/status/startTime"), "2026-01-01T00:01:40Z");
	end();
}
END_TEST

/* A pod that is being deleted is replaced at once, or when it has ended. */
START_TEST(pod_replacement_policies)
{
	static const struct {
		const char *policy;
		size_t pods;
		const char *failed;
	} want[] = { { "TerminatingOrFailed", 2, "1" }, { "Failed", 1, "" } };

	for (size_t i = 0; i < 2; i++) {
		char spec[64];

		begin();
		(void)snprintf(spec, sizeof(spec), "'podReplacementPolicy':'%s'", want[i].policy);
		put_job(spec);
		(void)reconcile();
		char first[64];
		(void)snprintf(first, sizeof(first), "%s", pod(0));
		run_pod(first);
		fake_host_merge(fake, POD, "n", first, "{'metadata':{'deletionTimestamp':'2026-01-01T00:00:30Z',"
				"'deletionGracePeriodSeconds':30}}");
		(void)reconcile();
		fake_host_advance(fake, 11 * AMBIENT_SECOND);
		(void)reconcile();
		ck_assert_uint_eq(fake_host_count(fake, POD, "n"), want[i].pods);
		ck_assert_str_eq(job("/status/failed"), want[i].failed);
		ck_assert_str_eq(job("/status/terminating"), "1");
		end();
	}
}
END_TEST

START_TEST(parallelism_goes_down_and_up)
{
	begin();
	put_job("'parallelism':3,'completions':9");
	(void)reconcile();
	for (size_t i = 0; i < 3; i++)
		run_pod(pod(i));
	fake_host_merge(fake, POD, "n", pod(1), "{'status':{'conditions':[{'type':'Ready','status':'True'}]}}");
	char ready[64];
	(void)snprintf(ready, sizeof(ready), "%s", pod(1));
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'parallelism':1}}");
	(void)reconcile();
	ck_assert_str_eq(job("/status/active"), "1");
	ck_assert_str_eq(job("/status/ready"), "1");
	ck_assert_ptr_null(fake_host_at(fake, POD, "n", ready, "/metadata/deletionTimestamp"));
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'parallelism':4}}");
	(void)reconcile();
	ck_assert_str_eq(job("/status/active"), "4");
	ck_assert_str_eq(job("/status/failed"), "");
	end();
}
END_TEST

START_TEST(elastic_indexed_job)
{
	begin();
	put_job("'completionMode':'Indexed','completions':4,'parallelism':4");
	(void)reconcile();
	finish_pod(pod_of(0), "Succeeded", 0);
	finish_pod(pod_of(3), "Succeeded", 0);
	(void)reconcile();
	ck_assert_str_eq(job("/status/succeeded"), "2");
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'completions':2,'parallelism':2}}");
	(void)reconcile();
	ck_assert_str_eq(job("/status/completedIndexes"), "0");
	ck_assert_str_eq(job("/status/succeeded"), "1");
	ck_assert_str_eq(job("/status/active"), "1");
	ck_assert_ptr_nonnull(pod_of(1));
	end();
}
END_TEST

START_TEST(matching_orphans_are_adopted_and_strangers_let_go)
{
	begin();
	put_job("'parallelism':1,'completions':1");
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'selector':{'matchLabels':{'a':'b'}}}}");
	(void)reconcile();
	char name[64];
	(void)snprintf(name, sizeof(name), "%s", pod(0));
	fake_host_merge(fake, POD, "n", name, "{'metadata':{'ownerReferences':null,'finalizers':null}}");
	(void)reconcile();
	ck_assert_str_eq(fake_host_at(fake, POD, "n", name, "/metadata/ownerReferences/0/name"), "j");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", name, "/metadata/ownerReferences/0/controller"), "true");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", name, "/metadata/finalizers/0"), TRACKING);
	ck_assert_str_eq(job("/status/active"), "1");
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 1);
	fake_host_merge(fake, POD, "n", name, "{'metadata':{'labels':null}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "orphans", "n", name, NULL, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", name, "/metadata/ownerReferences"), "[]");
	ck_assert_str_eq(fake_host_at(fake, POD, "n", name, "/metadata/finalizers"), "[]");
	(void)reconcile();
	ck_assert_uint_eq(fake_host_count(fake, POD, "n"), 2);
	end();
}
END_TEST

START_TEST(pods_of_a_former_job_lose_the_finalizer)
{
	begin();
	put_job("");
	(void)reconcile();
	fake_host_merge(fake, POD, "n", pod(0), "{'metadata':{'ownerReferences':[{'apiVersion':'batch/v1','kind':'Job','name':'j',"
			"'uid':'another','controller':true}]}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "orphans", "n", pod(0), NULL, NULL), 0);
	ck_assert_str_eq(fake_host_at(fake, POD, "n", pod(0), "/metadata/finalizers"), "[]");
	end();
}
END_TEST

START_TEST(on_failure_sums_restarts)
{
	begin();
	put_job("'backoffLimit':2");
	fake_host_merge(fake, JOB, "n", "j", "{'spec':{'template':{'spec':{'restartPolicy':'OnFailure'}}}}");
	(void)reconcile();
	fake_host_merge(fake, POD, "n", pod(0), "{'spec':{'nodeName':'standalone'},'status':{'phase':'Running',"
			"'containerStatuses':[{'name':'c','restartCount':2,'state':{'running':{}}}]}}");
	(void)reconcile();
	ck_assert(has_condition("FailureTarget"));
	ck_assert_str_eq(job("/status/conditions/0/reason"), "BackoffLimitExceeded");
	end();
}
END_TEST

/* Sets of indexes against an array of booleans. */
START_TEST(indexes_are_a_set)
{
	begin();
	struct ambient_call *call = fake_host_call_begin(fake, JOB, "n", "j");
	unsigned seed = 7;

	for (int round = 0; round < 200; round++) {
		struct job_indexes set = { 0 }, again = { 0 };
		bool model[40] = { false };
		int64_t total = 0;

		for (int i = 0; i < 30; i++) {
			seed = seed * 1103515245 + 12345;
			int k = (int)(seed >> 16) % 40;
			job_indexes_add(call, &set, k);
			model[k] = true;
		}
		for (int k = 0; k < 40; k++) {
			ck_assert_int_eq(job_indexes_has(&set, k), model[k]);
			total += model[k];
		}
		ck_assert_int_eq(job_indexes_total(&set), total);
		job_indexes_parse(call, &again, job_indexes_text(call, &set), 40);
		ck_assert_str_eq(job_indexes_text(call, &again), job_indexes_text(call, &set));
		ck_assert_int_eq(job_indexes_common(&again, &set), total);
	}
	struct job_indexes odd = { 0 };
	job_indexes_parse(call, &odd, "9,1-3,x,5-,4-2,-1,7-99,,2", 8);
	ck_assert_str_eq(job_indexes_text(call, &odd), "1-3,7");
	fake_host_call_end(call);
	end();
}
END_TEST

START_TEST(namespaces_get_account_and_ca)
{
	begin();
	fake_host_put(fake, NAMESPACE, "{'metadata':{'name':'n'},'status':{'phase':'Active'}}");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(fake_host_reconcile(fake, "serviceaccounts", "", "n", NULL, NULL), 0);
		ck_assert_int_eq(fake_host_reconcile(fake, "rootca", "", "n", NULL, NULL), 0);
	}
	ck_assert(fake_host_has(fake, ACCOUNT, "n", "default"));
	ck_assert_uint_eq(fake_host_calls(fake, "create", ACCOUNT), 1);
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, CONFIGMAP, "n", "kube-root-ca.crt", "/data/ca.crt"), "BEGIN"));
	fake_host_merge(fake, CONFIGMAP, "n", "kube-root-ca.crt", "{'data':{'ca.crt':'forged'}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "rootca", "", "n", NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(fake_host_at(fake, CONFIGMAP, "n", "kube-root-ca.crt", "/data/ca.crt"), "BEGIN"));
	fake_host_put(fake, NAMESPACE, "{'metadata':{'name':'t'},'status':{'phase':'Terminating'}}");
	ck_assert_int_eq(fake_host_reconcile(fake, "serviceaccounts", "", "t", NULL, NULL), 0);
	ck_assert(!fake_host_has(fake, ACCOUNT, "t", "default"));
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, job_creates_one_pod_with_owner_labels_and_finalizer);
	tcase_add_test(tc, job_success_criteria_before_complete);
	tcase_add_test(tc, job_backoff_limit_zero_fails_after_one);
	tcase_add_test(tc, job_retries_after_10_then_20_seconds);
	tcase_add_test(tc, job_completions_and_parallelism);
	tcase_add_test(tc, job_lost_answer_of_create_makes_no_second_pod);
	tcase_add_test(tc, job_counts_once_whatever_fails);
	tcase_add_test(tc, job_deadline_deletes_pods_then_fails);
	tcase_add_test(tc, job_suspend_and_resume);
	tcase_add_test(tc, job_ttl_deletes_it);
	tcase_add_test(tc, job_gone_releases_its_pods);
	tcase_add_test(tc, job_of_another_manager_is_left_alone);
	tcase_add_test(tc, ttl_holds_for_jobs_of_another_manager);
	tcase_add_test(tc, finalizers_of_the_template_stay);
	tcase_add_test(tc, indexed_names_hostnames_and_completed);
	tcase_add_test(tc, indexed_failure_is_retried_under_its_index);
	tcase_add_test(tc, backoff_limit_per_index);
	tcase_add_test(tc, max_failed_indexes);
	tcase_add_test(tc, row_192_pod_failure_policy_fails_the_job);
	tcase_add_test(tc, pod_failure_policy_ignores);
	tcase_add_test(tc, pod_failure_policy_fails_the_index);
	tcase_add_test(tc, pod_failure_policy_reads_conditions);
	tcase_add_test(tc, success_policy_ends_it_early);
	tcase_add_test(tc, suspension_deletes_pods_uncounted);
	tcase_add_test(tc, pod_replacement_policies);
	tcase_add_test(tc, parallelism_goes_down_and_up);
	tcase_add_test(tc, elastic_indexed_job);
	tcase_add_test(tc, matching_orphans_are_adopted_and_strangers_let_go);
	tcase_add_test(tc, pods_of_a_former_job_lose_the_finalizer);
	tcase_add_test(tc, on_failure_sums_restarts);
	tcase_add_test(tc, indexes_are_a_set);
	tcase_add_test(tc, namespaces_get_account_and_ca);
}

UNIT_MAIN("workloads", cases)
