/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One branch of one repository is for one workflow of a project at a time.  Whoever works on it has it, else the oldest,
 * else the first by name; it is free again when that one has ended or is gone.  Nothing is locked: who has it is worked
 * out from the workflows themselves, so that no claim can be left behind.  That a workflow has begun some time is no claim:
 * one that had ended and is run again waits for whoever came after it.
 *
 * A cache may show none of that yet.  So a claim is written, and only then all others are read from the API server: of two
 * that claim at the same time at least one sees the other, and who sees another withdraws.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#define PAGE 20 /* workflows with their outputs; each may have 1.5 MB */

static bool
over(const struct ambient_object *o)
{
	const char *phase = ambient_str(o, "/status/phase", "");

	return strcmp(phase, "Completed") == 0 || strcmp(phase, "Failed") == 0 || strcmp(phase, "Cancelled") == 0 || ambient_deleting(o);
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

static const char *
pushed_to(const struct rfe_repo *repo)
{
	const char *fork = "";

	if (repo->as_is != NULL)
		fork = ambient_str(repo->as_is, "/output/forkRepo", ambient_str(repo->as_is, "/output/url", ""));
	return fork[0] != '\0' ? fork : repo->url;
}

/* Would both push to one branch of one repository? */
static bool
is_rival(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
	 const struct rfe_plan *plan, const struct ambient_object *other)
{
	struct ambient_error invalid = AMBIENT_ERROR_INIT;
	struct rfe_plan theirs;

	if (strcmp(ambient_str(other, "/metadata/uid", ""), ambient_str(workflow, "/metadata/uid", "")) == 0 || over(other) ||
	    rfe_plan_read(plugin, call, other, &theirs, &invalid) < 0 || strcmp(theirs.branch, plan->branch) != 0)
		return false;
	for (size_t i = 0; i < plan->repos; i++)
		for (size_t k = 0; k < theirs.repos; k++)
			if (rfe_same_url(pushed_to(&theirs.repo[k]), pushed_to(&plan->repo[i])))
				return true;
	return false;
}

/* Has it named a session and not said that it runs?  Then it may be about to withdraw. */
static bool
is_beginning(const struct ambient_object *o)
{
	const struct ambient_object *seed = ambient_at(o, "/status/seed");
	size_t n = ambient_len(o, "/status/steps");

	for (size_t i = 0; i <= n; i++) {
		const struct ambient_object *step = i < n ? ambient_item(o, "/status/steps", i, NULL) : seed;

		if (step != NULL && ambient_str(step, "/session", "")[0] != '\0' && strcmp(ambient_str(step, "/status", ""), "Pending") == 0)
			return true;
	}
	return false;
}

int
rfe_branch_owner(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
		 const struct rfe_plan *plan, char owner[254], bool *unsure, struct ambient_error *err)
{
	struct ambient_list_options options = {
		.size = sizeof(options), .ns = ambient_str(workflow, "/metadata/namespace", ""),
	};
	const struct ambient_object *first = workflow, *other;
	const struct ambient_list *list = NULL;
	int rc;

	owner[0] = '\0';
	*unsure = false;
	if (plan->branch[0] == '\0' || plan->repos == 0)
		return 0;
	if ((rc = ambient_list(call, RFE_KIND, &options, &list, err)) < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, list); i++) {
		other = ambient_list_item(call, list, i);
		if (is_rival(plugin, call, workflow, plan, other) && before(other, first))
			first = other;
	}
	if (first == workflow)
		return 0;
	(void)snprintf(owner, 254, "%s", ambient_str(first, "/metadata/name", ""));
	*unsure = is_beginning(first);
	return 0;
}

int
rfe_branch_contested(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
		     const struct rfe_plan *plan, char owner[254], struct ambient_error *err)
{
	struct ambient_ask ask = {
		.size = sizeof(ask), .verb = "list", .kind = RFE_KIND, .ns = ambient_str(workflow, "/metadata/namespace", ""),
		.limit = PAGE,
	};
	const struct ambient_object *page = NULL, *other;
	int rc;

	owner[0] = '\0';
	do {
		if ((rc = ambient_ask(call, &ask, &page, err)) < 0)
			return rc;
		for (size_t i = 0; i < ambient_len(page, "/items"); i++) {
			other = ambient_item(page, "/items", i, NULL);
			if (ambient_str(other, "/status/branchSince", "")[0] == '\0' || !is_rival(plugin, call, workflow, plan, other))
				continue;
			(void)snprintf(owner, 254, "%s", ambient_str(other, "/metadata/name", ""));
			return 0;
		}
		ask.token = ambient_str(page, "/metadata/continue", "");
	} while (ask.token[0] != '\0');
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
