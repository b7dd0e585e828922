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
	fake = fake_host_new(&ambient_plugin_v0);
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
	struct ambient_result result = { sizeof(result), 0 };
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
	tcase_add_test(tc, namespaces_get_account_and_ca);
}

UNIT_MAIN("workloads", cases)
