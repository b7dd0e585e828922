/* SPDX-License-Identifier: Apache-2.0 */
/* See repos.h.  Which alias wins is written in the tables; the operator has refused contradictions before. */
#include "core/ambient-runner/repos.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/data/scan.h"

/* The first of the NULL-ended pointers that holds a non-empty string; malloc'ed. */
static char *
first_str(struct am_slice json, const char *const *pointers)
{
	for (; *pointers != NULL; pointers++) {
		char *s = am_json_dup(json, *pointers);

		if (!am_empty(s))
			return s;
		free(s);
	}
	return NULL;
}

static const char *const repo_url[] = {"/input/url", "/url", NULL};
static const char *const repo_branch[] = {"/input/branch", "/branch", NULL};
static const char *const out_url[] = {"/output/forkRepo", "/output/url", NULL};
static const char *const out_target[] = {"/output/targetBranch", "/output/branch", NULL};
static const char *const out_branch[] = {"/output/pushBranch", "/output/targetBranch", "/output/branch", NULL};
static const char *const repo_name[] = {"/name", NULL};
/* One repository in the spec itself. */
static const char *const flat_url[] = {"/spec/inputRepo", "/spec/input/repo", NULL};
static const char *const flat_branch[] = {"/spec/inputBranch", "/spec/input/branch", NULL};
static const char *const flat_out_url[] = {"/spec/outputRepo", "/spec/output/repo", NULL};
static const char *const flat_out_branch[] = {"/spec/outputBranch", "/spec/output/branch", NULL};

/* 1, 0, or -1 when it is not there or no boolean. */
static int
tri_bool(struct am_slice json, const char *pointer)
{
	struct am_slice value;

	if (!am_json_find(json, pointer, &value) || am_json_type(value) != AMBIENT_T_BOOL)
		return -1;
	return *value.p == 't';
}

static void
check_repo(struct am_repo *repo, const char *session_name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	repo->usable = am_runner_giturl_check(repo->url, &repo->where, &err) == 0 &&
		       (repo->branch == NULL || am_runner_branch_check(repo->branch, &err) == 0);
	if (repo->usable && repo->push_url == NULL)
		repo->push_url = am_xstrdup(repo->url);
	if (repo->push_branch == NULL)
		repo->push_branch = am_xasprintf("sessions/%s", session_name);
	repo->usable = repo->usable && am_runner_giturl_check(repo->push_url, &repo->push_where, &err) == 0 &&
		       am_runner_branch_check(repo->push_branch, &err) == 0 &&
		       (repo->pr_base == NULL || am_runner_branch_check(repo->pr_base, &err) == 0);
	if (!repo->usable) {
		(void)am_strlcpy(repo->error, err.message, sizeof(repo->error));
		repo->status = "error";
	}
}

static void
unique_name(const struct am_repos *repos, struct am_repo *repo)
{
	char base[65];

	memcpy(base, repo->name, sizeof(base));
	for (unsigned suffix = 2; suffix < AM_REPOS_MAX + 2; suffix++) {
		bool taken = false;

		for (size_t i = 0; i < repos->n; i++)
			taken = taken || strcasecmp(repos->v[i].name, repo->name) == 0;
		if (!taken)
			return;
		(void)snprintf(repo->name, sizeof(repo->name), "%.55s-%u", base, suffix);
	}
}

static void
add_listed(struct am_repos *repos, struct am_slice item, int index, int auto_push, const char *session_name)
{
	am_auto(am_freep) char *name = first_str(item, repo_name);
	struct am_repo *repo = &repos->v[repos->n];
	struct am_slice output;

	repo->index = repo->credentials = index;
	repo->url = first_str(item, repo_url);
	repo->branch = first_str(item, repo_branch);
	repo->push_url = first_str(item, out_url);
	repo->push_branch = first_str(item, out_branch);
	/* With a branch of its own to push to, the target is where the request goes. */
	am_auto(am_freep) char *target = first_str(item, out_target);
	repo->create_pr = tri_bool(item, "/output/createPR") == 1 || tri_bool(item, "/output/createPullRequest") == 1;
	if (target != NULL && repo->push_branch != NULL && !am_streq(target, repo->push_branch))
		repo->pr_base = am_xstrdup(target);
	else if (repo->branch != NULL)
		repo->pr_base = am_xstrdup(repo->branch);
	bool has_output = am_json_find(item, "/output", &output) && am_json_type(output) == AMBIENT_T_OBJECT &&
			  am_json_count(output) > 0;
	int own = tri_bool(item, "/autoPush");
	repo->push = own >= 0 ? own : auto_push >= 0 ? auto_push : has_output;
	repo->ensure = repo->push_branch != NULL && tri_bool(item, "/output/ensureBranch") == 1;
	repo->proceed = repo->ensure || (repo->push_branch != NULL && tri_bool(item, "/output/continueBranch") == 1);
	am_runner_repo_name(name, repo->url != NULL ? repo->url : "", repo->name);
	unique_name(repos, repo);
	check_repo(repo, session_name);
	repos->n++;
}

/* What the operator worked out when the run started; there is nothing left to decide. */
static void
add_planned(struct am_repos *repos, struct am_slice item, const char *session_name)
{
	am_auto(am_freep) char *name = first_str(item, repo_name);
	struct am_repo *repo = &repos->v[repos->n];

	repo->index = (int)am_json_int(item, "/index", (int64_t)repos->n);
	repo->credentials = (int)am_json_int(item, "/credentials", repo->index);
	repo->url = am_json_dup(item, "/url");
	repo->branch = first_str(item, (const char *const[]){"/branch", NULL});
	repo->push_url = first_str(item, (const char *const[]){"/pushUrl", NULL});
	repo->push_branch = first_str(item, (const char *const[]){"/pushBranch", NULL});
	repo->push = tri_bool(item, "/push") == 1;
	repo->ensure = repo->push_branch != NULL && tri_bool(item, "/ensureBranch") == 1;
	repo->proceed = repo->ensure || (repo->push_branch != NULL && tri_bool(item, "/continueBranch") == 1);
	repo->create_pr = tri_bool(item, "/createPR") == 1;
	repo->pr_base = first_str(item, (const char *const[]){"/prBase", NULL});
	am_auto(am_freep) char *provider = am_json_dup(item, "/provider");
	repo->provider = am_streq(provider, "github")	? AM_PROVIDER_GITHUB
			 : am_streq(provider, "gitlab") ? AM_PROVIDER_GITLAB
							: AM_PROVIDER_NONE;
	am_runner_repo_name(name, repo->url != NULL ? repo->url : "", repo->name);
	unique_name(repos, repo);
	check_repo(repo, session_name);
	repos->n++;
}

int
am_runner_repos_parse(struct am_slice session, const char *session_name, struct am_repos *ret,
		      struct ambient_error *err)
{
	struct am_slice list, item;
	size_t it = 0;
	int index = 0, auto_push = tri_bool(session, "/spec/autoPushOnComplete");

	memset(ret, 0, sizeof(*ret));
	ret->v = am_xcalloc(AM_REPOS_MAX, sizeof(*ret->v));
	bool planned = am_json_find(session, "/status/effective/repos", &list) && am_json_type(list) == AMBIENT_T_ARRAY;
	while (planned && ret->n < AM_REPOS_MAX && am_json_element(list, &it, &item))
		add_planned(ret, item, session_name);
	if (!planned && am_json_find(session, "/spec/repos", &list) && am_json_type(list) == AMBIENT_T_ARRAY)
		for (; am_json_element(list, &it, &item); index++) {
			if (ret->n == AM_REPOS_MAX)
				return ambient_err(err, AMBIENT_E_INVALID,
						   "the session names more than %d repositories", AM_REPOS_MAX);
			add_listed(ret, item, index, auto_push, session_name);
		}
	char *flat = ret->n == 0 && !planned ? first_str(session, flat_url) : NULL;
	if (flat != NULL) {
		struct am_repo *repo = &ret->v[ret->n++];

		repo->url = flat;
		repo->branch = first_str(session, flat_branch);
		repo->push_url = first_str(session, flat_out_url);
		repo->push_branch = first_str(session, flat_out_branch);
		repo->push = auto_push >= 0 ? auto_push : repo->push_url != NULL || repo->push_branch != NULL;
		am_runner_repo_name(NULL, flat, repo->name);
		check_repo(repo, session_name);
	}
	if (ret->n == 0)
		return 0;
	int64_t main_index =
		am_json_int(session, "/status/effective/mainRepoIndex", am_json_int(session, "/spec/mainRepoIndex", 0));
	ret->main = main_index >= 0 && main_index < (int64_t)ret->n ? (size_t)main_index : 0;
	ret->v[ret->main].main = true;
	if (!ret->v[ret->main].usable)
		return ambient_err(err, AMBIENT_E_INVALID, "%s", ret->v[ret->main].error);
	return 0;
}

void
am_runner_repos_fini(struct am_repos *repos)
{
	for (size_t i = 0; i < repos->n; i++) {
		free(repos->v[i].url);
		free(repos->v[i].branch);
		free(repos->v[i].push_url);
		free(repos->v[i].push_branch);
		free(repos->v[i].pr_base);
		free(repos->v[i].default_branch);
	}
	free(repos->v);
	memset(repos, 0, sizeof(*repos));
}

char *
am_runner_session_prompt(struct am_slice session)
{
	static const char *const prompts[] = {"/spec/prompt", "/spec/initialPrompt", NULL};

	return first_str(session, prompts);
}

bool
am_runner_session_interactive(struct am_slice session)
{
	static const char *const new_prompt[] = {"/spec/initialPrompt", NULL};
	struct am_slice list, item;
	size_t it = 0;
	int value;

	if ((value = tri_bool(session, "/status/effective/interactive")) >= 0 ||
	    (value = tri_bool(session, "/spec/interactive")) >= 0)
		return value != 0;
	char *prompt = first_str(session, new_prompt);
	bool is_new = prompt != NULL;
	free(prompt);
	if (am_json_find(session, "/spec/repos", &list) && am_json_type(list) == AMBIENT_T_ARRAY)
		while (am_json_element(list, &it, &item)) {
			struct am_slice url;

			is_new = is_new || am_json_find(item, "/url", &url);
		}
	return is_new;
}

bool
am_runner_session_chat(struct am_slice session)
{
	return am_runner_session_interactive(session) && am_json_bool(session, "/spec/stopOnRunFinished", 0) != 1;
}

int64_t
am_runner_session_timeout(struct am_slice session)
{
	int64_t value = am_json_int(session, "/status/effective/timeout", -1);

	if (value < 0)
		value = am_json_int(session, "/spec/timeout", 0);
	if (am_runner_session_interactive(session) && am_json_int(session, "/status/effective/timeout", -1) < 0)
		return 0;
	return value > 0 && value < 10 * 365 * 86400 ? value : 0;
}

int64_t
am_runner_session_idle(struct am_slice session)
{
	int64_t value = am_json_int(session, "/status/effective/inactivityTimeout",
				    am_json_int(session, "/spec/inactivityTimeout", 0));

	return value > 0 && value < 365 * 86400 && am_runner_session_interactive(session) ? value : 0;
}
