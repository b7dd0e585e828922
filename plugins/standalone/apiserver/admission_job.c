/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: defaults, the selector and labels that tie pods to their Job, what is valid, what may change. */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"

/* ---- defaults ---- */

static void
fill_policy(struct am_change *change, struct am_node *rules)
{
	for (struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next) {
		struct am_node *patterns = am_node_get(r, "onPodConditions");
		for (struct am_node *p = patterns != NULL ? patterns->first : NULL; p != NULL; p = p->next)
			am_fill_str(change, p, "status", "True");
	}
}

void
am_job_fill_spec(struct am_change *change, struct am_node *spec)
{
	bool indexed_limit = am_node_get(spec, "backoffLimitPerIndex") != NULL;
	struct am_node *template = am_child(change, spec, "template");

	if (am_node_get(spec, "completions") == NULL && am_node_get(spec, "parallelism") == NULL)
		am_fill_int(change, spec, "completions", 1);
	am_fill_int(change, spec, "parallelism", 1);
	am_fill_int(change, spec, "backoffLimit", indexed_limit ? INT32_MAX : 6);
	am_fill_str(change, spec, "completionMode", "NonIndexed");
	am_fill_bool(change, spec, "suspend", false);
	am_fill_str(change, spec, "podReplacementPolicy",
		    am_node_get(spec, "podFailurePolicy") != NULL ? "Failed" : "TerminatingOrFailed");
	am_pod_fill_spec(change, am_child(change, template, "spec"));
	fill_policy(change, am_node_path(spec, "podFailurePolicy", "rules", NULL));
}

static void
job_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *metadata = am_node_get(change->object, "metadata");
	const struct am_node *labels = am_node_path(spec, "template", "metadata", "labels", NULL);

	am_job_fill_spec(change, spec);
	am_fill_bool(change, spec, "manualSelector", false);
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

#define MANY_INDEXES   100000
#define LONG_INDEXES   (64 * 1024)
#define MANAGED_BY_MAX 63

static int64_t
int_of(const struct am_node *spec, const char *key, int64_t fallback)
{
	int64_t n;

	return am_node_get_int(spec, key, &n) ? n : fallback;
}

static bool
check_at_least(struct am_change *change, const struct am_node *spec, const char *key, const char *prefix)
{
	char field[192];
	int64_t n;

	if (am_node_get(spec, key) == NULL)
		return true;
	snprintf(field, sizeof(field), "%s.%s", prefix, key);
	if (am_node_get_int(spec, key, &n) && n >= 0 && (n <= INT32_MAX || strcmp(key, "activeDeadlineSeconds") == 0))
		return true;
	am_bad(change, field, am_node_get(spec, key), "must be greater than or equal to 0");
	return false;
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

/* One of the values, or a cause. */
static void
check_enum(struct am_change *change, const struct am_node *object, const char *key, const char *prefix,
	   const char *const *values)
{
	const char *text = am_node_get_str(object, key, "");
	char field[320], list[160] = "";

	snprintf(field, sizeof(field), "%s.%s", prefix, key);
	for (size_t i = 0; values[i] != NULL; i++) {
		if (strcmp(values[i], text) == 0)
			return;
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s\"%s\"", i > 0 ? " " : "", values[i]);
	}
	if (*text == '\0')
		am_failure_cause(change->failure, "FieldValueRequired", field, "Required value: valid values: [%s]", list);
	else
		am_unsupported(change, field, text, values);
}

static void
too_many(struct am_change *change, const char *field, const struct am_node *list, uint32_t max)
{
	if (list != NULL && list->count > max)
		am_failure_cause(change->failure, "FieldValueTooMany", field, "Too many: %u: must have at most %u items",
				 list->count, max);
}

/* ---- indexes ---- */

/* How many are in "1,3-5", or -1 with a sentence. */
static int64_t
count_indexes(const char *text, int64_t completions, char why[160])
{
	int64_t total = 0, before = -1;

	if (*text == '\0')
		return 0;
	for (const char *p = text;; p++) {
		char *end;
		int64_t first = strtoll(p, &end, 10), last = first;
		bool ok = *p >= '0' && *p <= '9';
		if (ok && *end == '-') {
			p = end + 1;
			last = strtoll(p, &end, 10);
			ok = *p >= '0' && *p <= '9' && last > first;
		}
		if (!ok || (*end != ',' && *end != '\0'))
			snprintf(why, 160, "cannot convert string to integer for index or range: \"%.40s\"", p);
		else if (first <= before)
			snprintf(why, 160, "non-increasing order, previous: %lld, current: %lld", (long long)before, (long long)first);
		else if (last >= completions)
			snprintf(why, 160, "too large index: \"%lld\"", (long long)last);
		else {
			total += last - first + 1;
			before = last;
			p = end;
			if (*p == '\0')
				return total;
			continue;
		}
		return -1;
	}
}

bool
am_job_check_indexes(struct am_change *change, const struct am_node *text, const char *field, const char *what,
		     int64_t completions, int64_t *ret_total)
{
	char why[160], sentence[256];

	*ret_total = count_indexes(am_node_text(text, ""), completions, why);
	if (*ret_total >= 0)
		return true;
	snprintf(sentence, sizeof(sentence), "error parsing %s: %s", what, why);
	am_bad(change, field, text, sentence);
	*ret_total = 0;
	return false;
}

/* ---- policies ---- */

static bool
names_container(const struct am_node *pod, const char *name)
{
	static const char *const lists[] = { "containers", "initContainers" };

	for (size_t l = 0; l < AM_COUNTOF(lists); l++) {
		const struct am_node *list = am_node_get(pod, lists[l]);
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			if (strcmp(am_node_get_str(c, "name", ""), name) == 0)
				return true;
	}
	return false;
}

static void
check_exit_codes(struct am_change *change, const struct am_node *on, const struct am_node *pod, const char *prefix)
{
	static const char *const operators[] = { "In", "NotIn", NULL };
	const struct am_node *values = am_node_get(on, "values"), *container = am_node_get(on, "containerName");
	bool in = strcmp(am_node_get_str(on, "operator", ""), "In") == 0;
	char field[288];
	int64_t before = INT64_MIN;
	int i = 0;

	check_enum(change, on, "operator", prefix, operators);
	snprintf(field, sizeof(field), "%s.containerName", prefix);
	if (container != NULL && !names_container(pod, am_node_text(container, "")))
		am_bad(change, field, container, "must be one of the container or initContainer names in the pod template");
	snprintf(field, sizeof(field), "%s.values", prefix);
	if (values == NULL || values->count == 0)
		am_bad(change, field, values, "at least one value is required");
	too_many(change, field, values, 255);
	for (const struct am_node *v = values != NULL ? values->first : NULL; v != NULL; v = v->next, i++) {
		char at[304];
		int64_t n;
		snprintf(at, sizeof(at), "%s[%d]", field, i);
		if (!am_node_is_int(v, &n))
			am_bad(change, at, v, "must be an integer");
		else if (in && n == 0)
			am_bad(change, at, v, "must not be 0 for the In operator");
		else if (n == before)
			am_failure_cause(change->failure, "FieldValueDuplicate", at, "Duplicate value: %lld", (long long)n);
		else if (n < before)
			am_bad(change, field, values, "must be ordered");
		else
			before = n;
	}
}

static void
check_failure_rule(struct am_change *change, const struct am_node *rule, const struct am_node *spec, const char *prefix)
{
	static const char *const actions[] = { "Count", "FailIndex", "FailJob", "Ignore", NULL };
	static const char *const statuses[] = { "False", "True", "Unknown", NULL };
	const struct am_node *codes = am_node_get(rule, "onExitCodes"), *conditions = am_node_get(rule, "onPodConditions");
	bool some = conditions != NULL && conditions->count > 0;
	char field[256];
	int i = 0;

	check_enum(change, rule, "action", prefix, actions);
	snprintf(field, sizeof(field), "%s.action", prefix);
	if (am_streq(am_node_get_str(rule, "action", NULL), "FailIndex") && am_node_get(spec, "backoffLimitPerIndex") == NULL)
		am_bad(change, field, am_node_get(rule, "action"), "requires the backoffLimitPerIndex to be set");
	snprintf(field, sizeof(field), "%s.onExitCodes", prefix);
	if (codes != NULL)
		check_exit_codes(change, codes, am_node_path(spec, "template", "spec", NULL), field);
	snprintf(field, sizeof(field), "%s.onPodConditions", prefix);
	too_many(change, field, conditions, 20);
	for (const struct am_node *c = some ? conditions->first : NULL; c != NULL; c = c->next, i++) {
		snprintf(field, sizeof(field), "%s.onPodConditions[%d]", prefix, i);
		check_enum(change, c, "status", field, statuses);
		snprintf(field, sizeof(field), "%s.onPodConditions[%d].type", prefix, i);
		if (am_empty(am_node_get_str(c, "type", NULL)))
			am_need(change, field);
	}
	if ((codes != NULL) == some)
		am_failure_cause(change->failure, "FieldValueInvalid", prefix, "Invalid value: %s",
				 some ? "specifying both OnExitCodes and OnPodConditions is not supported"
				      : "specifying one of OnExitCodes and OnPodConditions is required");
}

static void
check_success_rule(struct am_change *change, const struct am_node *rule, int64_t completions, const char *prefix)
{
	const struct am_node *indexes = am_node_get(rule, "succeededIndexes"), *count = am_node_get(rule, "succeededCount");
	int64_t total = 0, n = int_of(rule, "succeededCount", 0);
	char field[256], why[128];

	if (indexes == NULL && count == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", prefix,
				 "Required value: at least one of succeededCount or succeededIndexes must be specified");
	snprintf(field, sizeof(field), "%s.succeededIndexes", prefix);
	if (indexes != NULL && indexes->len > LONG_INDEXES)
		am_failure_cause(change->failure, "FieldValueTooLong", field, "Too long: may not be more than %d bytes", LONG_INDEXES);
	else if (indexes != NULL)
		(void)am_job_check_indexes(change, indexes, field, "succeededIndexes", completions, &total);
	if (count == NULL || !check_at_least(change, rule, "succeededCount", prefix))
		return;
	snprintf(field, sizeof(field), "%s.succeededCount", prefix);
	snprintf(why, sizeof(why), "must be less than or equal to %lld (the number of specified completions)", (long long)completions);
	if (n > completions)
		am_bad(change, field, count, why);
	snprintf(why, sizeof(why), "must be less than or equal to %lld (the number of indexes in the specified succeededIndexes "
		 "field)", (long long)total);
	if (indexes != NULL && n > total)
		am_bad(change, field, count, why);
}

static void
check_policies(struct am_change *change, const struct am_node *spec, bool indexed, const char *prefix)
{
	static const char *const replacements[] = { "Failed", "TerminatingOrFailed", NULL };
	const struct am_node *failure = am_node_get(spec, "podFailurePolicy"), *success = am_node_get(spec, "successPolicy");
	const struct am_node *rules = am_node_get(failure, "rules");
	char field[192];
	int i = 0;

	snprintf(field, sizeof(field), "%s.podFailurePolicy.rules", prefix);
	too_many(change, field, rules, 20);
	for (const struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next, i++) {
		snprintf(field, sizeof(field), "%s.podFailurePolicy.rules[%d]", prefix, i);
		check_failure_rule(change, r, spec, field);
	}
	if (failure != NULL && strcmp(am_node_get_str(spec, "podReplacementPolicy", ""), "Failed") != 0) {
		static const char *const only[] = { "Failed", NULL };
		snprintf(field, sizeof(field), "%s.podReplacementPolicy", prefix);
		am_unsupported(change, field, am_node_get_str(spec, "podReplacementPolicy", ""), only);
	} else {
		check_enum(change, spec, "podReplacementPolicy", prefix, replacements);
	}
	if (success == NULL)
		return;
	snprintf(field, sizeof(field), "%s.successPolicy", prefix);
	if (!indexed) {
		am_bad(change, field, success, "requires indexed completion mode");
		return;
	}
	rules = am_node_get(success, "rules");
	snprintf(field, sizeof(field), "%s.successPolicy.rules", prefix);
	if (rules == NULL || rules->count == 0)
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: at least one rules must be specified when the successPolicy is specified");
	too_many(change, field, rules, 20);
	i = 0;
	for (const struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next, i++) {
		snprintf(field, sizeof(field), "%s.successPolicy.rules[%d]", prefix, i);
		check_success_rule(change, r, int_of(spec, "completions", 0), field);
	}
}

/* ---- modes ---- */

static void
at_most(struct am_change *change, const struct am_node *spec, const char *key, const char *prefix, int64_t max,
	const char *when)
{
	char field[192], why[192];

	snprintf(field, sizeof(field), "%s.%s", prefix, key);
	snprintf(why, sizeof(why), "must be less than or equal to %lld%s", (long long)max, when);
	if (int_of(spec, key, 0) > max)
		am_bad(change, field, am_node_get(spec, key), why);
}

static void
check_indexed(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	static const char high[] = " when completions are above 100000 and used with backoff limit per index";
	const struct am_node *failed = am_node_get(spec, "maxFailedIndexes");
	char field[192];

	snprintf(field, sizeof(field), "%s.completions", prefix);
	if (am_node_get(spec, "completions") == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: when completion mode is Indexed");
	at_most(change, spec, "parallelism", prefix, MANY_INDEXES, " when completion mode is Indexed");
	snprintf(field, sizeof(field), "%s.maxFailedIndexes", prefix);
	if (failed != NULL && am_node_get(spec, "completions") != NULL &&
	    int_of(spec, "maxFailedIndexes", 0) > int_of(spec, "completions", 0))
		am_bad(change, field, failed, "must be less than or equal to completions");
	at_most(change, spec, "maxFailedIndexes", prefix, MANY_INDEXES, "");
	if (int_of(spec, "completions", 0) <= MANY_INDEXES || am_node_get(spec, "backoffLimitPerIndex") == NULL)
		return;
	if (failed == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: must be specified when completions is above %d", MANY_INDEXES);
	at_most(change, spec, "parallelism", prefix, 10000, high);
	at_most(change, spec, "maxFailedIndexes", prefix, 10000, high);
}

static void
check_plain(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	static const char *const only_indexed[] = { "backoffLimitPerIndex", "maxFailedIndexes" };
	char field[192];

	for (size_t i = 0; i < AM_COUNTOF(only_indexed); i++) {
		snprintf(field, sizeof(field), "%s.%s", prefix, only_indexed[i]);
		if (am_node_get(spec, only_indexed[i]) != NULL)
			am_bad(change, field, am_node_get(spec, only_indexed[i]), "requires indexed completion mode");
	}
}

static void
check_restart_policy(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	static const char *const policies[] = { "OnFailure", "Never", NULL };
	const struct am_node *node = am_node_path(spec, "template", "spec", "restartPolicy", NULL);
	const char *policy = am_node_text(node, "");
	char field[192];

	snprintf(field, sizeof(field), "%s.template.spec.restartPolicy", prefix);
	if (strcmp(policy, "Always") == 0 || *policy == '\0')
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: valid values: \"OnFailure\", \"Never\"");
	else if (strcmp(policy, "OnFailure") != 0 && strcmp(policy, "Never") != 0)
		am_unsupported(change, field, policy, policies);
	else if (am_node_get(spec, "podFailurePolicy") != NULL && strcmp(policy, "Never") != 0)
		am_bad(change, field, node, "only \"Never\" is supported when podFailurePolicy is specified");
}

static void
check_manager(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	const struct am_node *node = am_node_get(spec, "managedBy");
	const char *text = am_node_text(node, ""), *slash = strchr(text, '/');
	char field[192];

	if (node == NULL)
		return;
	snprintf(field, sizeof(field), "%s.managedBy", prefix);
	if (slash == NULL || slash == text || slash[1] == '\0')
		am_bad(change, field, node, "must be a domain-prefixed path (such as \"acme.io/foo\")");
	if (node->len > MANAGED_BY_MAX)
		am_failure_cause(change->failure, "FieldValueTooLong", field, "Too long: may not be more than %d bytes",
				 MANAGED_BY_MAX);
}

void
am_job_check_spec(struct am_change *change, const struct am_node *spec, const char *prefix)
{
	char labels[96];

	(void)snprintf(labels, sizeof(labels), "%s.template.labels", prefix);
	am_check_labels(change->failure, am_node_path(spec, "template", "metadata", "labels", NULL), labels);
	static const char *const counts[] = { "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
					      "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes" };
	static const char *const modes[] = { "NonIndexed", "Indexed", NULL };
	bool indexed = strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") == 0;
	char field[192];

	for (size_t i = 0; i < AM_COUNTOF(counts); i++)
		(void)check_at_least(change, spec, counts[i], prefix);
	snprintf(field, sizeof(field), "%s.backoffLimitPerIndex", prefix);
	if (am_node_get(spec, "maxFailedIndexes") != NULL && am_node_get(spec, "backoffLimitPerIndex") == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field,
				 "Required value: when maxFailedIndexes is specified");
	check_manager(change, spec, prefix);
	check_enum(change, spec, "completionMode", prefix, modes);
	if (indexed)
		check_indexed(change, spec, prefix);
	else
		check_plain(change, spec, prefix);
	check_policies(change, spec, indexed, prefix);
	check_restart_policy(change, spec, prefix);
	snprintf(field, sizeof(field), "%s.template.spec", prefix);
	if (change->old == NULL)
		check_template(change, am_node_path(spec, "template", "spec", NULL), field);
}

/* ---- what only a Job has ---- */

static void
check_name(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *metadata = am_node_get(change->object, "metadata");
	const char *name = am_node_get_str(metadata, "name", "");
	int64_t completions = int_of(spec, "completions", 0);
	char host[320], why[400];

	/* Its pods' job-name label must hold it, and an index their hostname. */
	if (strlen(name) > 63)
		am_bad(change, "metadata.name", am_node_get(metadata, "name"), "must be no more than 63 characters");
	snprintf(host, sizeof(host), "%.253s-%lld", name, (long long)(completions - 1));
	snprintf(why, sizeof(why), "will not able to create pod with invalid DNS label: %s", host);
	if (strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") == 0 && completions > 0 && am_name_problem(host, 1) != NULL)
		am_bad(change, "metadata.name", am_node_get(metadata, "name"), why);
}

/* A selector that somebody chose must be there and match the template. */
static void
check_selector(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *manual = am_node_get(spec, "manualSelector"), *selector = am_node_get(spec, "selector");
	const struct am_node *labels = am_node_path(spec, "template", "metadata", "labels", NULL);
	const struct am_node *wanted = am_node_get(selector, "matchLabels");

	if (manual == NULL || !manual->boolean)
		return;
	if (selector == NULL)
		am_need(change, "spec.selector");
	for (const struct am_node *m = wanted != NULL ? wanted->first : NULL; m != NULL; m = m->next)
		if (!am_streq(am_node_get_str(labels, m->key, NULL), am_node_text(m, NULL))) {
			am_bad(change, "spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
			return;
		}
}

/* The template without what may change while a Job is suspended and has never run. */
static struct am_node *
unscheduled(struct am_change *change, const struct am_node *object)
{
	static const char *const spec_keys[] = { "nodeSelector", "tolerations", "schedulingGates" };
	struct am_node *template = am_node_clone(change->arena, am_node_path(object, "spec", "template", NULL));
	struct am_node *spec = am_node_get(template, "spec"), *affinity = am_node_get(spec, "affinity");

	am_node_del(template, "metadata");
	for (size_t i = 0; i < AM_COUNTOF(spec_keys); i++)
		am_node_del(spec, spec_keys[i]);
	if (affinity != NULL)
		am_node_del(affinity, "nodeAffinity");
	if (affinity != NULL && affinity->count == 0)
		am_node_del(spec, "affinity");
	return template;
}

static void
check_changes(struct am_change *change, const struct am_node *spec)
{
	static const char *const fixed[] = { "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex",
					     "managedBy", "successPolicy" };
	const struct am_node *suspended = am_node_path(change->old, "spec", "suspend", NULL);
	bool free = suspended != NULL && suspended->boolean && am_node_path(change->old, "status", "startTime", NULL) == NULL;
	char pointer[64], field[64];

	for (size_t i = 0; i < AM_COUNTOF(fixed); i++) {
		snprintf(pointer, sizeof(pointer), "/spec/%s", fixed[i]);
		snprintf(field, sizeof(field), "spec.%s", fixed[i]);
		am_immutable(change, pointer, field);
	}
	if (!free || !am_node_equal(unscheduled(change, change->old), unscheduled(change, change->object)))
		am_immutable(change, "/spec/template", "spec.template");
	if (strcmp(am_node_get_str(spec, "completionMode", ""), "Indexed") != 0)
		am_immutable(change, "/spec/completions", "spec.completions");
	else if (!am_same_at(change->old, change->object, "/spec/completions") && am_node_get(spec, "completions") != NULL &&
		 int_of(spec, "completions", 0) != int_of(spec, "parallelism", 1))
		am_bad(change, "spec.completions", am_node_get(spec, "completions"), "can only be modified in tandem with "
		       "spec.parallelism");
}

static void
job_check(struct am_change *change)
{
	const struct am_node *spec = am_node_get(change->object, "spec");

	am_job_check_spec(change, spec, "spec");
	check_selector(change, spec);
	if (change->old == NULL)
		check_name(change, spec);
	else
		check_changes(change, spec);
}

const struct am_kind am_kind_job = {
	.fill = job_fill, .create = job_create, .check = job_check, .check_status = am_job_check_status,
};
