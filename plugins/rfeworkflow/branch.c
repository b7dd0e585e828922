/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One branch of one repository is for one workflow of a project at a time.  Whoever works on it has it, else the oldest,
 * else the first by name; it is free again when that one has ended or is gone.  Nothing is locked: who has it is worked
 * out from the workflows themselves, so that no claim can be left behind.  That a workflow has begun some time is no claim:
 * one that had ended and is run again waits for whoever came after it.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

static bool
over(const struct ambient_object *o)
{
	const char *phase = ambient_str(o, "/status/phase", "");

	return strcmp(phase, "Completed") == 0 || strcmp(phase, "Failed") == 0 || strcmp(phase, "Cancelled") == 0 ||
	       ambient_type(o, "/metadata/deletionTimestamp") == AMBIENT_T_STRING;
}

/* Is a before b? */
static bool
before(const struct ambient_object *a, const struct ambient_object *b)
{
	const char *since[2] = { ambient_str(a, "/status/branchSince", ""), ambient_str(b, "/status/branchSince", "") };
	int order = strcmp(since[0], since[1]);

	if ((since[0][0] == '\0') != (since[1][0] == '\0'))
		return since[0][0] != '\0';
	if (order == 0)
		order = strcmp(ambient_str(a, "/metadata/creationTimestamp", ""), ambient_str(b, "/metadata/creationTimestamp", ""));
	if (order == 0)
		order = strcmp(ambient_str(a, "/metadata/name", ""), ambient_str(b, "/metadata/name", ""));
	return order < 0;
}

int
rfe_branch_owner(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
		 const struct rfe_plan *plan, char owner[254], struct ambient_error *err)
{
	struct ambient_list_options options = {
		.size = sizeof(options), .ns = ambient_str(workflow, "/metadata/namespace", ""),
	};
	const struct ambient_object *first = workflow, *other;
	const struct ambient_list *list = NULL;
	struct ambient_error invalid = AMBIENT_ERROR_INIT;
	struct rfe_plan theirs;
	int rc;

	owner[0] = '\0';
	if (plan->branch[0] == '\0' || plan->repos == 0)
		return 0;
	if ((rc = ambient_list(call, RFE_KIND, &options, &list, err)) < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, list); i++) {
		other = ambient_list_item(call, list, i);
		if (strcmp(ambient_str(other, "/metadata/uid", ""), ambient_str(workflow, "/metadata/uid", "")) == 0 || over(other) ||
		    rfe_plan_read(plugin, call, other, &theirs, &invalid) < 0 || theirs.repos == 0 ||
		    strcmp(theirs.branch, plan->branch) != 0 || !rfe_same_url(theirs.repo[0].url, plan->repo[0].url))
			continue;
		if (before(other, first))
			first = other;
	}
	if (first != workflow)
		(void)snprintf(owner, 254, "%s", ambient_str(first, "/metadata/name", ""));
	return 0;
}

int
rfe_branch_free(struct ambient_call *call, const char *ns, const char *name, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns, .index = "byWaitsFor", .value = name };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(call, RFE_KIND, &options, &list, err);

	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++)
		(void)ambient_enqueue(call->host, NULL, ns, ambient_str(ambient_list_item(call, list, i), "/metadata/name", ""), 0);
	return rc;
}
