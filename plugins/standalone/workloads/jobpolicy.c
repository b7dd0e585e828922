/* SPDX-License-Identifier: Apache-2.0 */
/* What a Job's own rules say of a failed pod, and of the indexes that have succeeded. */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

#define RULES "/spec/podFailurePolicy/rules"

static const char *
say(struct ambient_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static const char *
say(struct ambient_call *call, const char *fmt, ...)
{
	char *text = call->host->mem->scratch(call, 512);
	va_list ap;

	if (text == NULL)
		return "podFailurePolicy matched";
	va_start(ap, fmt);
	(void)vsnprintf(text, 512, fmt, ap);
	va_end(ap);
	return text;
}

static bool
code_matches(const struct ambient_object *on, int64_t code)
{
	bool in = strcmp(ambient_str(on, "/operator", ""), "In") == 0, found = false;
	size_t n = ambient_len(on, "/values");

	for (size_t i = 0; i < n; i++)
		found |= ambient_int(ambient_item(on, "/values", i, NULL), "", -1) == code;
	return found == in;
}

/* The first container that ended badly with a code that the rule means. */
static const struct ambient_object *
match_exit_codes(const struct ambient_object *rule, const struct ambient_object *pod)
{
	static const char *const lists[] = { "/status/containerStatuses", "/status/initContainerStatuses" };
	const struct ambient_object *on = ambient_at(rule, "/onExitCodes");
	const char *name = ambient_str(on, "/containerName", NULL);

	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0, n = ambient_len(pod, lists[l]); i < n; i++) {
			const struct ambient_object *c = ambient_item(pod, lists[l], i, NULL);
			int64_t code = ambient_int(c, "/state/terminated/exitCode", 0);

			if (code != 0 && (name == NULL || strcmp(name, ambient_str(c, "/name", "")) == 0) &&
			    code_matches(on, code))
				return c;
		}
	return NULL;
}

static const char *
match_conditions(const struct ambient_object *rule, const struct ambient_object *pod)
{
	for (size_t i = 0, n = ambient_len(pod, "/status/conditions"); i < n; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/conditions", i, NULL);
		const char *type = ambient_str(c, "/type", ""), *status = ambient_str(c, "/status", "");

		for (size_t k = 0, m = ambient_len(rule, "/onPodConditions"); k < m; k++) {
			const struct ambient_object *want = ambient_item(rule, "/onPodConditions", k, NULL);

			if (strcmp(type, ambient_str(want, "/type", "")) == 0 &&
			    strcmp(status, ambient_str(want, "/status", "True")) == 0)
				return type;
		}
	}
	return NULL;
}

enum job_verdict
job_policy_verdict(struct ambient_call *call, const struct ambient_object *job, const struct ambient_object *pod,
		   const char **ret_message)
{
	const char *ns = ambient_str(pod, "/metadata/namespace", ""), *name = ambient_str(pod, "/metadata/name", "");

	for (size_t i = 0, n = ambient_len(job, RULES); i < n; i++) {
		const struct ambient_object *rule = ambient_item(job, RULES, i, NULL), *container = NULL;
		const char *action = ambient_str(rule, "/action", "Count"), *condition = NULL;

		if (ambient_type(rule, "/onExitCodes") == AMBIENT_T_OBJECT)
			container = match_exit_codes(rule, pod);
		else
			condition = match_conditions(rule, pod);
		if (container == NULL && condition == NULL)
			continue;
		if (strcmp(action, "Ignore") == 0)
			return JOB_IGNORE;
		if (strcmp(action, "FailIndex") == 0)
			return JOB_FAIL_INDEX;
		if (strcmp(action, "FailJob") != 0)
			return JOB_COUNT;
		*ret_message = container != NULL
			? say(call, "Container %s for pod %s/%s failed with exit code %lld matching FailJob rule at index %zu",
			      ambient_str(container, "/name", ""), ns, name,
			      (long long)ambient_int(container, "/state/terminated/exitCode", 0), i)
			: say(call, "Pod %s/%s has condition %s matching FailJob rule at index %zu", ns, name, condition, i);
		return JOB_FAIL_JOB;
	}
	return JOB_COUNT;
}

int
job_policy_success(struct ambient_call *call, const struct ambient_object *job, const struct job_indexes *done,
		   int64_t completions)
{
	if (done->n == 0)
		return -1;
	for (size_t i = 0, n = ambient_len(job, "/spec/successPolicy/rules"); i < n; i++) {
		const struct ambient_object *rule = ambient_item(job, "/spec/successPolicy/rules", i, NULL);
		const char *indexes = ambient_str(rule, "/succeededIndexes", NULL);
		int64_t have = job_indexes_total(done), need = ambient_int(rule, "/succeededCount", -1);

		if (indexes != NULL) {
			struct job_indexes wanted = { 0 };

			job_indexes_parse(call, &wanted, indexes, completions);
			have = job_indexes_common(&wanted, done);
			need = need >= 0 ? need : job_indexes_total(&wanted);
			if (wanted.n == 0 || wanted.failed)
				continue;
		}
		if (need >= 0 && have >= need)
			return (int)i;
	}
	return -1;
}
