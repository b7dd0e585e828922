/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of what selects and repels: maps of labels, selectors, taints and tolerations.  `field` is always the path of
 * what is looked at, for messages. */
#include <stdio.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission_pod.h"

static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };

static void
check_expression(struct am_change *change, const struct am_node *e, const char *field)
{
	const char *operator = am_node_get_str(e, "operator", ""), *key = am_node_get_str(e, "key", "");
	const struct am_node *values = am_node_get(e, "values");
	bool some = values != NULL && values->count > 0, set = am_streq(operator, "In") || am_streq(operator, "NotIn");
	const char *problem = am_name_problem(key, 4);
	char path[160];

	if (problem != NULL) {
		(void)snprintf(path, sizeof(path), "%s.key", field);
		am_bad(change, path, am_node_str(change->arena, key), problem);
	}
	(void)snprintf(path, sizeof(path), "%s.values", field);
	if (set && !some)
		am_failure_cause(change->failure, "FieldValueRequired", path,
				 "Required value: must be specified when `operator` is 'In' or 'NotIn'");
	else if (some && (am_streq(operator, "Exists") || am_streq(operator, "DoesNotExist")))
		am_forbid(change, path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
	(void)snprintf(path, sizeof(path), "%s.operator", field);
	if (!set && strcmp(operator, "Exists") != 0 && strcmp(operator, "DoesNotExist") != 0)
		am_bad(change, path, am_node_str(change->arena, operator), "not a valid selector operator");
	int i = 0;
	for (const struct am_node *v = set && some ? values->first : NULL; v != NULL; v = v->next, i++) {
		problem = v->type == AMBIENT_T_STRING && v->len > 0 ? am_name_problem(v->text, 3) : NULL;
		(void)snprintf(path, sizeof(path), "%s.values[%d]", field, i);
		if (problem != NULL)
			am_bad(change, path, v, problem);
	}
}

void
am_check_selector(struct am_change *change, const struct am_node *selector, const char *field)
{
	const struct am_node *expressions = am_node_get(selector, "matchExpressions");
	char path[128];
	int i = 0;

	(void)snprintf(path, sizeof(path), "%s.matchLabels", field);
	am_check_labels(change->failure, am_node_get(selector, "matchLabels"), path);
	for (const struct am_node *e = expressions != NULL ? expressions->first : NULL; e != NULL; e = e->next, i++) {
		(void)snprintf(path, sizeof(path), "%s.matchExpressions[%d]", field, i);
		check_expression(change, e, path);
	}
}

/* One of the effects; may_miss: or none. */
static void
check_effect(struct am_change *change, const struct am_node *of, const char *field, bool may_miss)
{
	const char *effect = am_node_get_str(of, "effect", "");
	char path[96];

	(void)snprintf(path, sizeof(path), "%s.effect", field);
	if (*effect == '\0' && !may_miss)
		am_need(change, path);
	for (size_t i = 0; *effect != '\0'; i++) {
		if (effects[i] == NULL)
			am_unsupported(change, path, effect, effects);
		if (effects[i] == NULL || strcmp(effects[i], effect) == 0)
			break;
	}
}

void
am_check_tolerations(struct am_change *change, const struct am_node *list, const char *field)
{
	static const char *const operators[] = { "Equal", "Exists", NULL };
	char path[128];
	int i = 0;

	for (const struct am_node *t = list != NULL ? list->first : NULL; t != NULL; t = t->next, i++) {
		const char *key = am_node_get_str(t, "key", ""), *operator = am_node_get_str(t, "operator", "");
		const char *problem = *key != '\0' ? am_name_problem(key, 4) : NULL, *value = am_node_get_str(t, "value", "");
		int64_t seconds;

		(void)snprintf(path, sizeof(path), "%s[%d].key", field, i);
		if (problem != NULL)
			am_bad(change, path, am_node_get(t, "key"), problem);
		(void)snprintf(path, sizeof(path), "%s[%d].operator", field, i);
		if (*key == '\0' && strcmp(operator, "Exists") != 0)
			am_bad(change, path, am_node_str(change->arena, operator),
			       "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
		else if (*operator != '\0' && strcmp(operator, "Equal") != 0 && strcmp(operator, "Exists") != 0)
			am_unsupported(change, path, operator, operators);
		else if (strcmp(operator, "Exists") == 0 && *value != '\0')
			am_bad(change, path, am_node_get(t, "operator"), "value must be empty when `operator` is 'Exists'");
		(void)snprintf(path, sizeof(path), "%s[%d].effect", field, i);
		if (am_node_get_int(t, "tolerationSeconds", &seconds) && strcmp(am_node_get_str(t, "effect", ""), "NoExecute") != 0)
			am_bad(change, path, am_node_str(change->arena, am_node_get_str(t, "effect", "")),
			       "effect must be 'NoExecute' when `tolerationSeconds` is set");
		(void)snprintf(path, sizeof(path), "%s[%d]", field, i);
		check_effect(change, t, path, true);
	}
}

/* As kube-apiserver calls their place. */
void
am_check_taints(struct am_change *change, const struct am_node *list)
{
	char path[96];
	int i = 0;

	for (const struct am_node *t = list != NULL ? list->first : NULL; t != NULL; t = t->next, i++) {
		const char *key = am_node_get_str(t, "key", ""), *problem = am_name_problem(key, 4);

		(void)snprintf(path, sizeof(path), "metadata.taints[%d].key", i);
		if (problem != NULL)
			am_bad(change, path, am_node_str(change->arena, key), problem);
		(void)snprintf(path, sizeof(path), "metadata.taints[%d]", i);
		check_effect(change, t, path, false);
	}
}
