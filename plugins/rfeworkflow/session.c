/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AgenticSession of a step: made, read, ended.  It is created and, but for the wish to stop, never changed.  Where
 * the request has a branch, every repository is pushed to it, and work begins from it as soon as it is there.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#include <stdlib.h>

static void
put_repo(struct ambient_draft *draft, const struct rfe_plan *plan, size_t i)
{
	const struct rfe_repo *repo = &plan->repo[i];
	const char *secret = repo->as_is != NULL ? ambient_str(repo->as_is, "/input/authSecret", "") : "";
	char at[64], pointer[96];

	(void)snprintf(at, sizeof(at), "/spec/repos/%zu", i);
#define SET(member, value) \
	((void)snprintf(pointer, sizeof(pointer), "%s" member, at), ambient_draft_set_str(draft, pointer, value))
	ambient_draft_set_json(draft, "/spec/repos/-", "{}");
	SET("/input/url", repo->url);
	if (repo->branch != NULL && repo->branch[0] != '\0')
		SET("/input/branch", repo->branch);
	if (secret[0] != '\0')
		SET("/input/authSecret", secret);
	if (repo->name[0] != '\0')
		SET("/name", repo->name);
	if (repo->as_is != NULL && ambient_at(repo->as_is, "/output") != NULL) {
		(void)snprintf(pointer, sizeof(pointer), "%s/output", at);
		ambient_draft_set_object(draft, pointer, ambient_at(repo->as_is, "/output"));
	}
	if (plan->branch[0] != '\0') {
		SET("/output/targetBranch", plan->branch);
		(void)snprintf(pointer, sizeof(pointer), "%s/output/%s", at,
			       plan->shape == RFE_UMBRELLA ? "ensureBranch" : "continueBranch");
		ambient_draft_set_bool(draft, pointer, 1);
	}
#undef SET
}

static void
put_meta(struct ambient_draft *draft, const struct ambient_object *workflow, const struct rfe_step_plan *step)
{
	const char *name = ambient_str(workflow, "/metadata/name", "");
	char label[RFE_NAME_MAX];

	ambient_draft_set_str(draft, "/apiVersion", RFE_API);
	ambient_draft_set_str(draft, "/kind", "AgenticSession");
	rfe_name(label, ambient_str(workflow, "/metadata/namespace", ""), "");
	ambient_draft_set_str(draft, "/metadata/labels/project", label);
	rfe_name(label, name, "");
	ambient_draft_set_str(draft, "/metadata/labels/rfe-workflow", label);
	ambient_draft_set_str(draft, "/metadata/labels/rfe-phase", step->phase[0] != '\0' ? step->phase : step->name);
	ambient_draft_set_str(draft, "/metadata/labels/agent-persona", step->agent);
	ambient_draft_set_json(draft, "/metadata/ownerReferences", "[{}]");
	ambient_draft_set_str(draft, "/metadata/ownerReferences/0/apiVersion", RFE_API);
	ambient_draft_set_str(draft, "/metadata/ownerReferences/0/kind", "RFEWorkflow");
	ambient_draft_set_str(draft, "/metadata/ownerReferences/0/name", name);
	ambient_draft_set_str(draft, "/metadata/ownerReferences/0/uid", ambient_str(workflow, "/metadata/uid", ""));
	ambient_draft_set_bool(draft, "/metadata/ownerReferences/0/controller", 1);
}

/* Of the step, else of the workflow. */
static void
pass_on(struct ambient_draft *draft, const struct ambient_object *workflow, const struct rfe_step_plan *step)
{
	static const char *const members[] = {
		"/runnerType", "/runnerConfig", "/model", "/anthropicApiKeySecret", "/resourceOverrides", "/environmentVariables",
	};
	const struct ambient_object *spec = ambient_at(workflow, "/spec"), *value;
	char pointer[64];

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		value = step->spec != NULL ? ambient_at(step->spec, members[i]) : NULL;
		if (value == NULL)
			value = ambient_at(spec, members[i]);
		(void)snprintf(pointer, sizeof(pointer), "/spec%s", members[i]);
		if (value != NULL)
			ambient_draft_set_object(draft, pointer, value);
	}
	ambient_draft_set_str(draft, "/spec/environmentVariables/WORKFLOW_PHASE", step->phase[0] != '\0' ? step->phase : step->name);
	ambient_draft_set_str(draft, "/spec/environmentVariables/PARENT_RFE", ambient_str(workflow, "/metadata/name", ""));
	ambient_draft_set_str(draft, "/spec/environmentVariables/AGENT_PERSONA", step->agent);
}

/* What writes the files: its input is a line that is the mark, then for each file a line of mark and path, and its text. */
static const char writer[] =
	"set -e; IFS= read -r mark; mkdir -p -- \"$DOCUMENTS\"; awk -v mark=\"$mark\" '"
	"index($0, mark) == 1 { if (file) close(file); file = substr($0, length(mark) + 1); printf \"\" > file; next } "
	"{ print > file }'; echo \"wrote $DOCUMENTS\"";

static void
put_writer(struct ambient_draft *draft, const struct rfe_documents *d)
{
	ambient_draft_set_str(draft, "/spec/runnerType", "command");
	ambient_draft_set_json(draft, "/spec/runnerConfig/command", "[\"sh\",\"-c\"]");
	ambient_draft_set_str(draft, "/spec/runnerConfig/command/-", writer);
	ambient_draft_set_str(draft, "/spec/environmentVariables/DOCUMENTS", d->path);
	ambient_draft_set_json(draft, "/spec/repos", "[{}]");
	ambient_draft_set_str(draft, "/spec/repos/0/input/url", d->url);
	if (d->base[0] != '\0')
		ambient_draft_set_str(draft, "/spec/repos/0/input/branch", d->base);
	if (d->secret[0] != '\0')
		ambient_draft_set_str(draft, "/spec/repos/0/input/authSecret", d->secret);
	ambient_draft_set_str(draft, "/spec/repos/0/output/targetBranch", d->branch);
	ambient_draft_set_bool(draft, "/spec/repos/0/output/continueBranch", 1);
	if (d->create_pr)
		ambient_draft_set_bool(draft, "/spec/repos/0/output/createPR", 1);
	ambient_draft_set_bool(draft, "/spec/autoPushOnComplete", 1);
}

static void
put_repos(struct ambient_draft *draft, const struct rfe_plan *plan)
{
	if (plan->repos > 0)
		ambient_draft_set_json(draft, "/spec/repos", "[]");
	for (size_t i = 0; i < plan->repos; i++)
		put_repo(draft, plan, i);
	if (plan->branch[0] != '\0')
		ambient_draft_set_bool(draft, "/spec/autoPushOnComplete", 1);
}

/* What writes the files of a template that are not there, from the same input as the one above.  A repository that has
 * all three folders was seeded before, by us or by others. */
static const char seeder[] =
	"set -e; IFS= read -r mark; there=; [ \"$(git symbolic-ref --quiet --short HEAD)\" != \"$BRANCH\" ] || "
	"there=\"; the branch $BRANCH was there already\"; "
	"if [ -d .claude/commands ] && [ -d .claude/agents ] && [ -d .specify ]; then cat >/dev/null; "
	"echo \"seeded before$there\"; exit 0; fi; "
	"awk -v mark=\"$mark\" -v there=\"$there\" '"
	"function q(s) { gsub(/\\047/, \"\\047\\\"\\047\\\"\\047\", s); return \"\\047\" s \"\\047\" } "
	"index($0, mark) == 1 { if (file) close(file); file = substr($0, length(mark) + 1); all++; "
	"if (system(\"[ -e \" q(file) \" ] || [ -L \" q(file) \" ]\") == 0) { kept++; file = \"\"; next } "
	"dir = file; sub(\"/[^/]*$\", \"\", dir); if (system(\"mkdir -p -- \" q(dir))) exit 1; printf \"\" > file; next } "
	"file { print > file } "
	"END { printf \"seeded: %d files written, %d were there%s\\n\", all - kept, kept, there }'; "
	"chmod 755 .specify/scripts/bash/*";

static void
put_seeder(struct ambient_draft *draft, const struct rfe_plan *plan)
{
	ambient_draft_set_str(draft, "/spec/runnerType", "command");
	ambient_draft_set_json(draft, "/spec/runnerConfig/command", "[\"sh\",\"-c\"]");
	ambient_draft_set_str(draft, "/spec/runnerConfig/command/-", seeder);
	ambient_draft_set_str(draft, "/spec/environmentVariables/BRANCH", plan->branch);
	put_repos(draft, plan);
}

/* The document's repository to read, and what is to be made of it; pushes nothing. */
static void
put_order(struct ambient_draft *draft, const struct rfe_order *o)
{
	const char *const texts[][2] = {
		{ "path", o->path }, { "type", o->type }, { "summary", o->summary }, { "label", o->label }, { "source", o->source },
		{ "key", o->key }, { "parent", o->parent }, { "implements", o->implements },
	};
	char pointer[64];

	ambient_draft_set_str(draft, "/spec/runnerType", "jira");
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/spec/runnerConfig/%s", texts[i][0]);
		if (texts[i][1][0] != '\0')
			ambient_draft_set_str(draft, pointer, texts[i][1]);
	}
	ambient_draft_set_json(draft, "/spec/runnerConfig/attachments", "[]");
	for (size_t i = 0; o->attachments[i] != NULL; i++)
		ambient_draft_set_str(draft, "/spec/runnerConfig/attachments/-", o->attachments[i]);
	ambient_draft_set_json(draft, "/spec/repos", "[{}]");
	ambient_draft_set_str(draft, "/spec/repos/0/input/url", o->url);
	ambient_draft_set_str(draft, "/spec/repos/0/input/branch", o->branch);
	if (o->secret[0] != '\0')
		ambient_draft_set_str(draft, "/spec/repos/0/input/authSecret", o->secret);
	ambient_draft_set_bool(draft, "/spec/autoPushOnComplete", 0);
}

static bool
owned(const struct ambient_object *o, const struct ambient_object *workflow)
{
	const struct ambient_object *owner = ambient_controller_of(o);

	return owner != NULL && strcmp(ambient_str(owner, "/uid", ""), ambient_str(workflow, "/metadata/uid", "-")) == 0;
}

int
rfe_session_create(struct ambient_call *call, const struct ambient_object *workflow, const struct rfe_plan *plan,
		   const struct rfe_step_plan *what, const struct rfe_step *step, const char *prompt, struct ambient_error *err)
{
	const char *ns = ambient_str(workflow, "/metadata/namespace", ""), *name = step->session;
	struct ambient_draft *draft = ambient_draft_new(call, RFE_SESSION, ns, name);
	const struct ambient_object *there = NULL;
	char display[254];
	int rc;

	put_meta(draft, workflow, what);
	ambient_draft_set_str(draft, "/spec/prompt", prompt);
	ambient_draft_set_bool(draft, "/spec/interactive", 0);
	ambient_draft_set_int(draft, "/spec/timeout", what->timeout);
	(void)snprintf(display, sizeof(display), "%.120s - %.100s",
		       plan->title[0] != '\0' ? plan->title : ambient_str(workflow, "/metadata/name", ""), step->agent);
	ambient_draft_set_str(draft, "/spec/displayName", display);
	if (what->kind == RFE_PUBLISH) {
		put_writer(draft, &plan->documents);
	} else if (what->kind == RFE_SEED) {
		put_seeder(draft, plan);
	} else if (what->kind == RFE_JIRA) {
		put_order(draft, &plan->order);
	} else {
		put_repos(draft, plan);
		pass_on(draft, workflow, what);
	}
	rc = ambient_create(call, draft, NULL, err);
	if (rc != -AMBIENT_E_EXISTS)
		return rc;
	/* Of an interrupted reconcile, or somebody's. */
	rc = ambient_get_live(call, RFE_SESSION, ns, name, &there, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_err(err, AMBIENT_E_CONFLICT, "AgenticSession \"%s/%s\" came and went", ns, name);
	if (rc < 0 || owned(there, workflow))
		return rc;
	return ambient_err(err, AMBIENT_E_EXISTS, "AgenticSession \"%s/%s\" exists and does not belong to this workflow; another "
			   "name is tried", ns, name);
}

static bool
is_linked(const struct ambient_object *session, const struct ambient_object *workflow)
{
	char label[RFE_NAME_MAX];

	rfe_name(label, ambient_str(workflow, "/metadata/name", ""), "");
	return strcmp(ambient_str(session, "/metadata/labels/rfe-workflow", ""), label) == 0;
}

int
rfe_session_linked(struct ambient_call *call, const struct ambient_object *workflow, const char *step,
		   const struct ambient_object **ret, struct ambient_error *err)
{
	struct ambient_list_options options = {
		.size = sizeof(options), .ns = ambient_str(workflow, "/metadata/namespace", ""),
	};
	char label[RFE_NAME_MAX], selector[2 * RFE_NAME_MAX + 40];
	const struct ambient_list *list = NULL;
	int rc;

	*ret = NULL;
	rfe_name(label, ambient_str(workflow, "/metadata/name", ""), "");
	(void)snprintf(selector, sizeof(selector), "rfe-workflow=%s,rfe-phase=%s", label, step);
	options.selector = selector;
	if ((rc = ambient_list(call, RFE_SESSION, &options, &list, err)) < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, list); i++) {
		const struct ambient_object *one = ambient_list_item(call, list, i);

		if (owned(one, workflow) || (rfe_session_ended(one) && strcmp(ambient_str(one, "/status/phase", ""), "Completed") != 0))
			continue;
		if (*ret == NULL || strcmp(ambient_str(one, "/metadata/creationTimestamp", ""),
					   ambient_str(*ret, "/metadata/creationTimestamp", "")) > 0)
			*ret = one;
	}
	return 0;
}

int
rfe_session_get(struct ambient_call *call, const struct ambient_object *workflow, const struct rfe_step *step,
		const struct ambient_object **ret, struct ambient_error *err)
{
	const char *ns = ambient_str(workflow, "/metadata/namespace", "");
	int rc = ambient_get(call, RFE_SESSION, ns, step->session, ret, err);

	/* "Deleted" is a verdict: let the API server itself say so, not a cache. */
	if (rc == -AMBIENT_E_NOTFOUND)
		rc = ambient_get_live(call, RFE_SESSION, ns, step->session, ret, err);
	if (rc == -AMBIENT_E_NOTFOUND || (rc == 0 && !owned(*ret, workflow) && !(step->linked && is_linked(*ret, workflow)))) {
		*ret = NULL;
		return 0;
	}
	return rc;
}

int
rfe_session_stop(struct ambient_call *call, const struct ambient_object *session, struct ambient_error *err)
{
	int rc;

	if (strcmp(ambient_str(session, "/spec/desiredState", ""), "Stopped") == 0)
		return 0;
	rc = ambient_patch(call, RFE_SESSION, ambient_str(session, "/metadata/namespace", ""),
			   ambient_str(session, "/metadata/name", ""), NULL, AMBIENT_PATCH_MERGE,
			   "{\"spec\":{\"desiredState\":\"Stopped\"}}", NULL, err);
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

bool
rfe_session_ended(const struct ambient_object *session)
{
	static const char *const ends[] = { "Completed", "Failed", "Timeout", "Stopped" };
	const char *phase = ambient_str(session, "/status/phase", "");

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(phase, ends[i]) == 0)
			return true;
	return false;
}

const char *
rfe_session_waits(const struct ambient_object *session)
{
	const char *phase = session != NULL ? ambient_str(session, "/status/phase", "") : "";

	return strcmp(phase, "Pending") == 0 || strcmp(phase, "Creating") == 0 ? ambient_str(session, "/status/message", "") : "";
}

static bool
was_pushed(const struct rfe_status *st, const char *url)
{
	for (size_t i = 0; i < st->n_pushed; i++)
		if (rfe_same_url(st->pushed[i], url))
			return true;
	return false;
}

/* Which repositories have the branch of the request by now. */
static void
note_pushes(struct rfe_status *st, enum rfe_kind kind, const struct ambient_object *session)
{
	if (kind == RFE_PUBLISH || kind == RFE_JIRA)
		return;
	for (size_t i = 0; i < ambient_len(session, "/status/repos"); i++) {
		const struct ambient_object *repo = ambient_item(session, "/status/repos", i, NULL);
		const char *url = ambient_str(repo, "/url", ""), *status = ambient_str(repo, "/status", "");

		/* What seeds sees to it that the branch is there, and has nothing to push where it was. */
		if (strcmp(status, "pushed") != 0 && (kind != RFE_SEED || strcmp(status, "nochanges") != 0))
			continue;
		if (!was_pushed(st, url) && st->n_pushed < RFE_REPOS_MAX && strlen(url) < sizeof(st->pushed[0]))
			(void)snprintf(st->pushed[st->n_pushed++], sizeof(st->pushed[0]), "%s", url);
	}
}

/* Is the work where it belongs, now or since before?  *why gets the words of a repository where it is not. */
static bool
is_published(const struct ambient_object *session, const char **why)
{
	size_t n = ambient_len(session, "/status/repos");

	*why = "the session does not say why";
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *repo = ambient_item(session, "/status/repos", i, NULL);
		const char *status = ambient_str(repo, "/status", "");

		if (strcmp(status, "pushed") == 0 || strcmp(status, "nochanges") == 0)
			continue;
		*why = ambient_str(repo, "/error", *why);
		return false;
	}
	return n > 0;
}

/* Has the runner cut it?  Then how long it was, by the mark at its end; else 0. */
static int64_t
cut_by_runner(const char *output)
{
	size_t n = strlen(output);
	const char *tail = output + (n > 80 ? n - 80 : 0), *mark = strstr(tail, "\n[cut here: ");
	unsigned long long kept, all;
	int used = 0;

	if (mark == NULL ||
	    (sscanf(mark, "\n[cut here: %llu of %llu bytes]%n", &kept, &all, &used) < 2 &&
	     sscanf(mark, "\n[cut here: %llu of more than %llu bytes]%n", &kept, &all, &used) < 2) ||
	    used == 0 || mark[used] != '\0' || all > INT64_MAX)
		return 0;
	return (int64_t)all;
}

static void
keep_output(struct ambient_call *call, struct rfe_step *step, const char *output)
{
	struct text b = { 0 };

	step->output = output;
	step->bytes = cut_by_runner(output);
	if (strlen(output) <= RFE_OUTPUT_MAX)
		return;
	(void)rfe_put_cut(&b, output, RFE_OUTPUT_MAX);
	step->bytes = (int64_t)strlen(output);
	if ((step->output = rfe_take(&b, call)) == NULL)
		step->output = "";
}

void
rfe_session_told(char *out, size_t size, const struct ambient_object *session, const struct rfe_step *step)
{
	const char *told = ambient_str(session, "/status/message", "");
	bool jira = step->kind == RFE_JIRA;
	const char *const words[][2] = {
		{ "start the session again", jira ? "ask for it once more (ambient-code.io/publish-requested-at)" : RFE_DO_AGAIN },
		{ "spec.timeout", "stepTimeout" },
	};
	struct text b = { 0 };

	while (*told != '\0') {
		size_t k = 0;

		while (k < 2 && strncmp(told, words[k][0], strlen(words[k][0])) != 0)
			k++;
		text_put(&b, k < 2 ? words[k][1] : told, k < 2 ? strlen(words[k][1]) : 1);
		if (k == 0 && !jira)
			text_puts(&b, step->name);
		told += k < 2 ? strlen(words[k][0]) : 1;
	}
	kc_copy(out, size, b.p != NULL ? b.p : "");
	free(b.p);
}

void
rfe_session_result(struct ambient_call *call, const struct ambient_object *session, struct rfe_status *st,
		   struct rfe_step *step)
{
	const char *phase = session != NULL ? ambient_str(session, "/status/phase", "") : "", *told;
	bool pushes = step->kind == RFE_PUBLISH || step->kind == RFE_SEED;
	char name[RFE_NAME_MAX], words[400];

	memcpy(name, step->session, sizeof(name));
	(void)snprintf(step->completion, sizeof(step->completion), "%.39s",
		       session != NULL ? ambient_str(session, "/status/completionTime", "") : "");
	if (step->completion[0] == '\0')
		ambient_time(step->completion, st->now);
	if (session != NULL)
		note_pushes(st, step->kind, session);
	if (strcmp(phase, "Completed") == 0 && pushes && !is_published(session, &told)) {
		step->state = RFE_S_FAILED;
		step->attempts++;
		(void)snprintf(step->reason, sizeof(step->reason), "%s",
			       step->kind == RFE_SEED ? "SeedNotPushed" : "DocumentsNotPushed");
		kc_copy(words, sizeof(words), told);
		(void)snprintf(step->message, sizeof(step->message), "the %s not pushed: %s",
			       step->kind == RFE_SEED ? "branch was" : "documents were", words);
		return;
	}
	if (strcmp(phase, "Completed") == 0) {
		step->state = RFE_S_COMPLETED;
		step->reason[0] = step->message[0] = '\0';
		keep_output(call, step, ambient_str(session, "/status/results", ambient_str(session, "/status/result", "")));
		return;
	}
	step->state = RFE_S_FAILED;
	step->attempts++;
	if (session == NULL) {
		(void)snprintf(step->reason, sizeof(step->reason), "SessionDeleted");
		(void)snprintf(step->message, sizeof(step->message), "AgenticSession \"%s\" was deleted before it ended", name);
		return;
	}
	const struct ambient_object *ready = ambient_condition(session, "Ready");
	(void)snprintf(step->reason, sizeof(step->reason), "%.63s", ready != NULL ? ambient_str(ready, "/reason", "") : "");
	if (step->reason[0] == '\0')
		(void)snprintf(step->reason, sizeof(step->reason), "Session%.50s", phase);
	rfe_session_told(words, sizeof(words), session, step);
	(void)snprintf(step->message, sizeof(step->message), "AgenticSession \"%s\" ended as %.20s%s%s", name, phase,
		       words[0] != '\0' ? ": " : "", words);
}
