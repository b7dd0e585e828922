/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spec -> plan.  There are three shapes: the documented one (request, repos), whose council goes on by itself; the one
 * of the umbrella repository (title, description, umbrellaRepo), and the first one (targetRepoUrl, selectedAgents),
 * whose steps a person starts.  In each of them spec.steps replaces the steps.  Everything after this file knows plans
 * only.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <ctype.h>
#include <strings.h>

static const char *const council[] = {
	"product-manager", "solution-architect", "staff-engineer", "product-owner", "team-lead", "team-member",
	"delivery-owner", NULL,
};
/* Names of what is done beside the steps. */
static const char *const ours[] = { "synthesis", "documents", "seed", "jira" };
static const char *const phases[] = { "specify", "plan", "tasks", "implement", NULL };

bool
rfe_same_url(const char *a, const char *b)
{
	const char *url[2] = { a, b };
	size_t n[2];

	for (int i = 0; i < 2; i++) {
		n[i] = strlen(url[i]);
		while (n[i] > 0 && url[i][n[i] - 1] == '/')
			n[i]--;
		if (n[i] > 4 && strncasecmp(url[i] + n[i] - 4, ".git", 4) == 0)
			n[i] -= 4;
	}
	return n[0] == n[1] && strncasecmp(a, b, n[0]) == 0;
}

/* ---- repositories */

static int
add_repo(struct rfe_plan *plan, const struct ambient_object *repo, const char *url, const char *branch, const char *name,
	 struct ambient_error *err)
{
	if (url == NULL || url[0] == '\0')
		return 0;
	if (plan->repos == RFE_REPOS_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "there are more than %d repositories", RFE_REPOS_MAX);
	for (size_t i = 0; i < plan->repos; i++)
		if (rfe_same_url(plan->repo[i].url, url))
			return ambient_err(err, AMBIENT_E_INVALID, "repository \"%.150s\" is named twice", url);
	plan->repo[plan->repos].url = url;
	plan->repo[plan->repos].branch = branch;
	plan->repo[plan->repos].name = name;
	plan->repo[plan->repos++].as_is = repo;
	return 0;
}

/* Lists of {url, branch}, or of repositories as sessions have them. */
static int
add_repos(struct rfe_plan *plan, const struct ambient_object *spec, const char *pointer, bool as_is,
	  struct ambient_error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ambient_len(spec, pointer); i++) {
		const struct ambient_object *repo = ambient_item(spec, pointer, i, NULL);

		rc = add_repo(plan, as_is ? repo : NULL, ambient_str(repo, "/input/url", ambient_str(repo, "/url", "")),
			      ambient_str(repo, "/input/branch", ambient_str(repo, "/branch", NULL)),
			      ambient_str(repo, "/name", ambient_str(repo, "/clonePath", "")), err);
	}
	return rc;
}

/* Of every shape, in whichever they stand. */
static int
read_repos(struct rfe_plan *plan, const struct ambient_object *spec, struct ambient_error *err)
{
	int rc;

	if ((rc = add_repo(plan, NULL, ambient_str(spec, "/umbrellaRepo/url", ""), ambient_str(spec, "/umbrellaRepo/branch", NULL), "",
			   err)) < 0 ||
	    (rc = add_repo(plan, NULL, ambient_str(spec, "/targetRepoUrl", ""), ambient_str(spec, "/targetRepoBranch", NULL), "",
			   err)) < 0 ||
	    (rc = add_repos(plan, spec, "/supportingRepos", false, err)) < 0 ||
	    (rc = add_repos(plan, spec, "/repositories", false, err)) < 0 || (rc = add_repos(plan, spec, "/repos", true, err)) < 0)
		return rc;
	if (plan->shape == RFE_UMBRELLA && plan->repos == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "spec.umbrellaRepo is missing; a request with title and description "
				   "needs the repository that its documents go to");
	return 0;
}

static int
read_branch(struct rfe_plan *plan, const struct ambient_object *spec, struct ambient_error *err)
{
	static const char *const shared[] = { "main", "master", "develop" };
	const char *branch = ambient_str(spec, "/branchName", ""), *p = plan->title;
	char words[RFE_NAME_MAX], three[RFE_NAME_MAX];
	size_t n = 0;

	if (branch[0] == '\0' && plan->shape == RFE_UMBRELLA) {
		/* As the people's user interface has always proposed it. */
		for (int i = 0; i < 3; i++) {
			p += strcspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
			while (isalnum((unsigned char)*p) && n < sizeof(three) - 2)
				three[n++] = *p++;
			three[n++] = ' ';
			if (n >= sizeof(three) - 2)
				break;
		}
		three[n < sizeof(three) ? n : sizeof(three) - 1] = '\0';
		rfe_slug(words, three);
		(void)snprintf(plan->branch, sizeof(plan->branch), "ambient-%s", words[0] != '\0' ? words : "request");
		return 0;
	}
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (strcmp(branch, shared[i]) == 0)
			return ambient_err(err, AMBIENT_E_INVALID, "spec.branchName is \"%s\", which others work on; name a "
					   "branch of the request's own", branch);
	(void)snprintf(plan->branch, sizeof(plan->branch), "%.244s", branch);
	return 0;
}

/* Work goes to one branch: a repository that says another one beside it contradicts it. */
static int
check_outputs(const struct rfe_plan *plan, struct ambient_error *err)
{
	for (size_t i = 0; plan->branch[0] != '\0' && i < plan->repos; i++) {
		const struct ambient_object *repo = plan->repo[i].as_is;
		const char *target = "";

		if (repo != NULL)
			target = ambient_str(repo, "/output/targetBranch", ambient_str(repo, "/output/branch", ""));
		if (target[0] != '\0' && strcmp(target, plan->branch) != 0)
			return ambient_err(err, AMBIENT_E_INVALID, "repository \"%.150s\" has the output.targetBranch \"%.100s\" beside "
					   "spec.branchName, \"%.100s\"; leave one of the two out", plan->repo[i].url, target, plan->branch);
	}
	return 0;
}

/* ---- steps */

static void
set_limits(const struct rfe_plugin *plugin, struct rfe_step_plan *step, const struct ambient_object *spec)
{
	step->timeout = ambient_int(spec, "/stepTimeout", plugin->step_timeout_s);
	step->retries = ambient_int(spec, "/retries", plugin->retries);
}

static struct rfe_step_plan *
add_step(const struct rfe_plugin *plugin, struct rfe_plan *plan, const struct ambient_object *spec, const char *name,
	 const char *agent, struct ambient_error *err)
{
	struct rfe_step_plan *step = &plan->step[plan->n];

	if (plan->n == RFE_STEPS_MAX) {
		(void)ambient_err(err, AMBIENT_E_INVALID, "there are more than %d steps", RFE_STEPS_MAX);
		return NULL;
	}
	rfe_slug(step->name, name);
	rfe_slug(step->agent, agent);
	if (step->name[0] == '\0' || step->agent[0] == '\0') {
		(void)ambient_err(err, AMBIENT_E_INVALID, "step %zu has no agent", plan->n + 1);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(step->name, ours[i]) == 0) {
			(void)ambient_err(err, AMBIENT_E_INVALID, "a step may not be called \"%s\"; give it another name",
					  step->name);
			return NULL;
		}
	for (size_t i = 0; i < plan->n; i++)
		if (strcmp(plan->step[i].name, step->name) == 0) {
			(void)ambient_err(err, AMBIENT_E_INVALID, "two steps are called \"%s\"; give one of them another name",
					  step->name);
			return NULL;
		}
	step->manual = plan->shape != RFE_DOCUMENTED;
	set_limits(plugin, step, spec);
	plan->n++;
	return step;
}

/* One that is none of the steps. */
static void
set_extra(const struct rfe_plugin *plugin, struct rfe_step_plan *step, const struct ambient_object *spec, enum rfe_kind kind,
	  const char *name)
{
	rfe_slug(step->name, name);
	rfe_slug(step->agent, name);
	step->kind = kind;
	set_limits(plugin, step, spec);
}

static int
steps_of_spec(const struct rfe_plugin *plugin, struct rfe_plan *plan, const struct ambient_object *spec,
	      struct ambient_error *err)
{
	for (size_t i = 0; i < ambient_len(spec, "/steps"); i++) {
		const struct ambient_object *one = ambient_item(spec, "/steps", i, NULL);
		const char *agent = ambient_str(one, "/agent", "");
		struct rfe_step_plan *step = add_step(plugin, plan, spec, ambient_str(one, "/name", agent), agent, err);

		if (step == NULL)
			return -AMBIENT_E_INVALID;
		step->spec = one;
		step->manual = ambient_bool(one, "/manual", 0);
		step->timeout = ambient_int(one, "/timeout", step->timeout);
		step->retries = ambient_int(one, "/retries", step->retries);
	}
	return 0;
}

/* The seven, or those that were selected in their place. */
static int
steps_of_council(const struct rfe_plugin *plugin, struct rfe_plan *plan, const struct ambient_object *spec,
		 struct ambient_error *err)
{
	size_t n = ambient_len(spec, "/selectedAgents");
	const char *agent;

	for (size_t i = 0; i < n; i++) {
		agent = ambient_str(ambient_item(spec, "/selectedAgents", i, NULL), "", "");
		if (add_step(plugin, plan, spec, agent, agent, err) == NULL)
			return -AMBIENT_E_INVALID;
	}
	for (size_t i = 0; n == 0 && council[i] != NULL; i++)
		if (add_step(plugin, plan, spec, council[i], council[i], err) == NULL)
			return -AMBIENT_E_INVALID;
	return 0;
}

/* In the first shape each of the selected agents works at each phase; a person starts the phases. */
static int
steps_of_phases(const struct rfe_plugin *plugin, struct rfe_plan *plan, const struct ambient_object *spec,
		struct ambient_error *err)
{
	size_t agents = ambient_len(spec, "/selectedAgents");
	struct rfe_step_plan *step;
	char name[2 * RFE_NAME_MAX], agent[RFE_NAME_MAX];

	for (size_t i = 0; phases[i] != NULL; i++) {
		if (plan->shape == RFE_FIRST && strcmp(phases[i], "implement") == 0)
			break;
		if (agents == 0 || plan->shape != RFE_FIRST) {
			if ((step = add_step(plugin, plan, spec, phases[i], phases[i], err)) == NULL)
				return -AMBIENT_E_INVALID;
			continue;
		}
		for (size_t k = 0; k < agents; k++) {
			rfe_slug(agent, ambient_str(ambient_item(spec, "/selectedAgents", k, NULL), "", ""));
			(void)snprintf(name, sizeof(name), "%s-%s", phases[i], agent);
			if ((step = add_step(plugin, plan, spec, name, agent, err)) == NULL)
				return -AMBIENT_E_INVALID;
			rfe_slug(step->phase, phases[i]);
			step->manual = k == 0;
		}
	}
	return 0;
}

static int
read_steps(const struct rfe_plugin *plugin, struct rfe_plan *plan, const struct ambient_object *spec,
	   struct ambient_error *err)
{
	bool synthesis = plan->shape == RFE_DOCUMENTED && plugin->synthesis;
	int rc = 0;

	if (ambient_len(spec, "/steps") > 0)
		rc = steps_of_spec(plugin, plan, spec, err);
	else if (plan->shape != RFE_DOCUMENTED)
		rc = steps_of_phases(plugin, plan, spec, err);
	else
		rc = steps_of_council(plugin, plan, spec, err);
	plan->total = plan->n;
	if (rc < 0)
		return rc;
	if (ambient_bool(spec, "/synthesis", synthesis))
		set_extra(plugin, &plan->step[plan->total++], spec, RFE_SYNTHESIS, "synthesis");
	if (plan->documents.url != NULL)
		set_extra(plugin, &plan->step[plan->total++], spec, RFE_PUBLISH, "documents");
	if (plugin->seed[0] == '\0' || !ambient_bool(spec, "/seed", plan->shape == RFE_UMBRELLA))
		return 0;
	if (plan->repos == 0 || plan->branch[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "spec.seed needs a repository and spec.branchName, the branch that is seeded");
	set_extra(plugin, &plan->seed, spec, RFE_SEED, "seed");
	return 0;
}

/* Is it a folder inside the repository? */
static bool
is_inside(const char *path)
{
	if (path[0] == '/' || path[0] == '-' || path[0] == '\0')
		return false;
	for (const char *p = path; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false; /* a line of the writer's input names the file */
	for (const char *p = path; *p != '\0'; p += strcspn(p, "/"), p += *p == '/') {
		size_t n = strcspn(p, "/");

		if (n == 0 || p[0] == '.')
			return false; /* "..", ".git", "a//b" */
	}
	return true;
}

static int
read_documents(struct ambient_call *call, struct rfe_plan *plan, const struct ambient_object *workflow,
	       const struct ambient_object *spec, struct ambient_error *err)
{
	struct rfe_documents *d = &plan->documents;
	struct text path = { 0 }, branch = { 0 };
	char name[RFE_NAME_MAX];

	d->url = ambient_str(spec, "/documents/repo/url", NULL);
	if (d->url == NULL)
		return 0;
	rfe_name(name, ambient_str(workflow, "/metadata/name", ""), "");
	rfe_putf(&path, "specs/%s", name);
	rfe_putf(&branch, "ambient-rfe-%s", name);
	d->base = ambient_str(spec, "/documents/repo/branch", "");
	d->secret = ambient_str(spec, "/documents/repo/authSecret", "");
	d->path = ambient_str(spec, "/documents/path", rfe_take(&path, call));
	d->branch = ambient_str(spec, "/documents/branch", rfe_take(&branch, call));
	d->create_pr = ambient_bool(spec, "/documents/createPR", 0);
	if (d->path == NULL || d->branch == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (!is_inside(d->path))
		return ambient_err(err, AMBIENT_E_INVALID, "spec.documents.path is \"%.200s\"; it must be a folder inside the repository, "
				   "without control characters and parts that begin with a dot", d->path);
	return 0;
}

int
rfe_plan_read(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
	      struct rfe_plan *plan, struct ambient_error *err)
{
	const struct ambient_object *spec = ambient_at(workflow, "/spec");
	int rc;

	memset(plan, 0, sizeof(*plan));
	if (spec == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "there is no spec");
	plan->request = ambient_str(spec, "/request", "");
	plan->title = ambient_str(spec, "/title", "");
	plan->context = ambient_str(spec, "/context", "");
	if (plan->request[0] != '\0' && strcmp(ambient_str(spec, "/description", plan->request), plan->request) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "spec.description differs from its alias request; set one of the two");
	if (ambient_str(spec, "/targetRepoUrl", "")[0] == '\0' && ambient_str(spec, "/targetRepoBranch", "")[0] != '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "spec.targetRepoBranch has no effect without targetRepoUrl; set both or none");
	if (plan->request[0] == '\0') {
		plan->request = ambient_str(spec, "/description", "");
		plan->shape = ambient_str(spec, "/targetRepoUrl", "")[0] != '\0' ? RFE_FIRST : RFE_UMBRELLA;
	}
	if (plan->request[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "there is neither a request nor a description");
	if ((rc = read_repos(plan, spec, err)) < 0 || (rc = read_branch(plan, spec, err)) < 0 || (rc = check_outputs(plan, err)) < 0 ||
	    (rc = read_documents(call, plan, workflow, spec, err)) < 0)
		return rc;
	return read_steps(plugin, plan, spec, err);
}
