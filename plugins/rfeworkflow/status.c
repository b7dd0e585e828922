/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a workflow as a struct.  It is loaded, changed by the other files and written back as a whole; the host
 * sends nothing when nothing changed.  Times in it are those of transitions, never "now", so that looking again at the
 * same world writes nothing.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

static const char *const types[RFE_CONDITIONS] = {
	"Ready", "SpecValid", "OutputsComplete", "Completed", "Failed", "Cancelled", "Seeded", "JiraPublished",
};
static const char *const extras[] = { [RFE_SYNTHESIS] = "/status/synthesis", [RFE_PUBLISH] = "/status/documents" };
#define SEED "/status/seed"
#define JIRA "/status/jira"
#define LINKS "/status/jiraLinks"
static const char *const states[RFE_STATES] = { "Pending", "Running", "Completed", "Failed", "Skipped", "Cancelled" };

/* ---- loading */

static void
load_step(const struct ambient_object *o, struct rfe_step *step)
{
	const char *state = ambient_str(o, "/status", "");

	memset(step, 0, sizeof(*step));
	for (int s = 0; s < RFE_STATES; s++)
		if (strcmp(state, states[s]) == 0)
			step->state = (enum rfe_state)s;
	kc_copy(step->name, sizeof(step->name), ambient_str(o, "/name", ""));
	kc_copy(step->session, sizeof(step->session), ambient_str(o, "/session", ""));
	kc_copy(step->reason, sizeof(step->reason), ambient_str(o, "/reason", ""));
	kc_copy(step->message, sizeof(step->message), ambient_str(o, "/message", ""));
	kc_copy(step->start, sizeof(step->start), ambient_str(o, "/startTime", ""));
	kc_copy(step->completion, sizeof(step->completion), ambient_str(o, "/completionTime", ""));
	step->agent = ambient_str(o, "/agent", "");
	step->output = ambient_str(o, "/output", "");
	step->started = ambient_bool(o, "/requested", 0);
	step->linked = ambient_bool(o, "/linked", 0);
	step->attempts = ambient_int(o, "/attempts", 0);
	step->runs = ambient_int(o, "/runs", 0);
	step->bytes = ambient_int(o, "/outputBytes", 0);
}

/* What is beside the steps. */
static void
load_sides(struct rfe_status *st, const struct ambient_object *workflow)
{
	const struct ambient_object *seed = ambient_at(workflow, SEED), *jira = ambient_at(workflow, JIRA), *link;

	if (seed != NULL)
		load_step(seed, &st->seed);
	if (jira != NULL)
		load_step(jira, &st->jira);
	kc_copy(st->seed.name, sizeof(st->seed.name), "seed");
	kc_copy(st->jira.name, sizeof(st->jira.name), "jira");
	st->seed.kind = RFE_SEED;
	st->jira.kind = RFE_JIRA;
	kc_copy(st->jira_path, sizeof(st->jira_path), ambient_str(workflow, JIRA "/path", ""));
	kc_copy(st->jira_wish, sizeof(st->jira_wish), ambient_str(workflow, "/status/intent/jira", ""));
	for (; st->links < RFE_LINKS_MAX && st->links < ambient_len(workflow, LINKS); st->links++) {
		link = ambient_item(workflow, LINKS, st->links, NULL);
		kc_copy(st->link[st->links].path, RFE_PATH_MAX, ambient_str(link, "/path", ""));
		kc_copy(st->link[st->links].key, RFE_NAME_MAX, ambient_str(link, "/jiraKey", ""));
		kc_copy(st->link[st->links].url, sizeof(st->link[0].url), ambient_str(link, "/url", ""));
	}
}

/* Where the phase is an end and no condition says so, somebody else's operator wrote it: it has ended all the same. */
static void
take_over(struct rfe_status *st)
{
	bool failed = strcmp(st->phase, "Failed") == 0;

	if (!rfe_terminal(st) && (failed || strcmp(st->phase, "Completed") == 0))
		rfe_set(st, failed ? RFE_FAILED : RFE_COMPLETED, KC_TRUE, st->phase, "%s", "");
}

void
rfe_status_load(struct rfe_status *st, struct ambient_call *call, const struct ambient_object *workflow)
{
	const struct ambient_host *host = call->host;
	const struct ambient_object *extra;

	memset(st, 0, sizeof(*st));
	st->now = AMBIENT_HAS(host->clock, wall) ? host->clock->wall(host) : 0;
	st->generation = ambient_int(workflow, "/metadata/generation", 0);
	kc_copy(st->phase, sizeof(st->phase), ambient_str(workflow, "/status/phase", ""));
	kc_copy(st->start, sizeof(st->start), ambient_str(workflow, "/status/startTime", ""));
	kc_copy(st->completion, sizeof(st->completion), ambient_str(workflow, "/status/completionTime", ""));
	kc_copy(st->run, sizeof(st->run), ambient_str(workflow, "/status/intent/run", ""));
	kc_copy(st->waits_for, sizeof(st->waits_for), ambient_str(workflow, "/status/waitsFor", ""));
	kc_copy(st->branch_since, sizeof(st->branch_since), ambient_str(workflow, "/status/branchSince", ""));
	st->final = ambient_str(workflow, "/status/finalRFE", "");
	for (size_t i = 0; i < ambient_len(workflow, "/status/steps") && st->n < RFE_STEPS_MAX; i++)
		load_step(ambient_item(workflow, "/status/steps", i, NULL), &st->step[st->n++]);
	for (int kind = RFE_SYNTHESIS; kind <= RFE_PUBLISH; kind++) {
		if ((extra = ambient_at(workflow, extras[kind])) == NULL)
			continue;
		load_step(extra, &st->step[st->n]);
		st->step[st->n++].kind = (enum rfe_kind)kind;
	}
	load_sides(st, workflow);
	for (size_t i = 0; i < ambient_len(workflow, "/status/pushed") && i < RFE_REPOS_MAX; i++)
		kc_copy(st->pushed[st->n_pushed++], sizeof(st->pushed[0]),
		     ambient_str(ambient_item(workflow, "/status/pushed", i, NULL), "", ""));
	kc_load(st->cond, types, RFE_CONDITIONS, workflow);
	take_over(st);
}

void
rfe_status_follow(struct rfe_status *st, const struct rfe_plan *plan)
{
	struct rfe_step old[RFE_STEPS_MAX + 2];
	size_t had = st->n;

	memcpy(old, st->step, sizeof(old));
	memset(st->step, 0, sizeof(st->step));
	for (size_t i = 0; i < plan->total; i++) {
		struct rfe_step *step = &st->step[i];

		kc_copy(step->name, sizeof(step->name), plan->step[i].name);
		step->agent = plan->step[i].agent;
		step->output = "";
		step->kind = plan->step[i].kind;
		for (size_t k = 0; k < had; k++)
			if (old[k].kind == step->kind && strcmp(old[k].name, step->name) == 0)
				*step = old[k];
	}
	st->n = plan->total;
}

/* ---- reading and changing */

void
rfe_set(struct rfe_status *st, enum rfe_condition which, enum kc_truth status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kc_set(&st->cond[which], status, st->now, st->generation, reason, fmt, ap);
	va_end(ap);
}

void
rfe_unset(struct rfe_status *st, enum rfe_condition which)
{
	memset(&st->cond[which], 0, sizeof(st->cond[which]));
}

bool
rfe_is(const struct rfe_status *st, enum rfe_condition which, enum kc_truth status)
{
	return st->cond[which].status == status;
}

bool
rfe_terminal(const struct rfe_status *st)
{
	return rfe_is(st, RFE_COMPLETED, KC_TRUE) || rfe_is(st, RFE_FAILED, KC_TRUE) || rfe_is(st, RFE_CANCELLED, KC_TRUE);
}

static bool
passed(const struct rfe_step *step)
{
	return step->state == RFE_S_COMPLETED || step->state == RFE_S_SKIPPED;
}

size_t
rfe_next(const struct rfe_status *st)
{
	size_t i = 0;

	while (i < st->n && passed(&st->step[i]))
		i++;
	return i;
}

/* ---- writing */

/* s as far as it may be that long where it is stored; *ret_bytes, of a step, says how long it was. */
static const char *
cut_to(struct ambient_call *call, const char *s, size_t share, int64_t *ret_bytes)
{
	struct text b = { 0 };
	char *cut;

	if (rfe_stored(s) <= share)
		return s;
	if (ret_bytes != NULL && *ret_bytes == 0)
		*ret_bytes = (int64_t)strlen(s);
	(void)rfe_put_cut(&b, s, rfe_stored_prefix(s, share - 64)); /* and the mark */
	return (cut = rfe_take(&b, call)) != NULL ? cut : "";
}

bool
rfe_status_fit(struct rfe_status *st, struct ambient_call *call, const struct ambient_object *workflow)
{
	/* What kubectl notes in an annotation is a second copy of spec. */
	size_t fixed = rfe_stored(ambient_json(workflow, "/spec", NULL)) + rfe_stored(ambient_json(workflow, "/metadata", NULL));
	size_t all = rfe_stored(st->final), room = fixed + 64 * 1024 < RFE_OBJECT_MAX ? RFE_OBJECT_MAX - fixed : 64 * 1024, share;

	for (size_t i = 0; i < st->n; i++)
		all += rfe_stored(st->step[i].output);
	if (all <= room)
		return false;
	share = room / (st->n + 1);
	for (size_t i = 0; i < st->n; i++)
		st->step[i].output = cut_to(call, st->step[i].output, share, &st->step[i].bytes);
	st->final = cut_to(call, st->final, share, NULL);
	return true;
}

static void
put_step(struct ambient_draft *draft, const char *at, const struct rfe_step *step, int64_t number)
{
	const struct {
		const char *member, *value;
	} texts[] = {
		{ "name", step->name },     { "agent", step->agent },         { "status", states[step->state] },
		{ "session", step->session }, { "reason", step->reason },     { "message", step->message },
		{ "output", step->output }, { "startTime", step->start },     { "completionTime", step->completion },
	};
	const struct {
		const char *member;
		int64_t value;
	} numbers[] = {
		{ "stepNumber", number }, { "attempts", step->attempts }, { "runs", step->runs }, { "outputBytes", step->bytes },
	};
	char pointer[64];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "%s/%s", at, texts[i].member);
		if (texts[i].value != NULL && texts[i].value[0] != '\0')
			ambient_draft_set_str(draft, pointer, texts[i].value);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "%s/%s", at, numbers[i].member);
		if (numbers[i].value != 0)
			ambient_draft_set_int(draft, pointer, numbers[i].value);
	}
	(void)snprintf(pointer, sizeof(pointer), "%s/requested", at);
	if (step->started)
		ambient_draft_set_bool(draft, pointer, 1);
	(void)snprintf(pointer, sizeof(pointer), "%s/linked", at);
	if (step->linked)
		ambient_draft_set_bool(draft, pointer, 1);
}

static void
put_sides(struct ambient_draft *draft, const struct rfe_status *st)
{
	char at[64], pointer[96];

	ambient_draft_unset(draft, SEED);
	if (st->seed.runs > 0)
		put_step(draft, SEED, &st->seed, 0);
	ambient_draft_unset(draft, JIRA);
	if (st->jira.runs > 0)
		put_step(draft, JIRA, &st->jira, 0);
	if (st->jira.runs > 0)
		ambient_draft_set_str(draft, JIRA "/path", st->jira_path);
	ambient_draft_unset(draft, LINKS);
	if (st->links > 0)
		ambient_draft_set_json(draft, LINKS, "[]");
	for (size_t i = 0; i < st->links; i++) {
		const char *const members[][2] = {
			{ "path", st->link[i].path }, { "jiraKey", st->link[i].key }, { "url", st->link[i].url },
		};

		ambient_draft_set_json(draft, LINKS "/-", "{}");
		(void)snprintf(at, sizeof(at), LINKS "/%zu", i);
		for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++) {
			(void)snprintf(pointer, sizeof(pointer), "%s/%s", at, members[k][0]);
			ambient_draft_set_str(draft, pointer, members[k][1]);
		}
	}
}

static void
put_steps(struct ambient_draft *draft, const struct rfe_status *st)
{
	char at[40];

	ambient_draft_set_json(draft, "/status/steps", "[]");
	for (int kind = RFE_SYNTHESIS; kind <= RFE_PUBLISH; kind++)
		ambient_draft_unset(draft, extras[kind]);
	for (size_t i = 0; i < st->n; i++) {
		if (st->step[i].kind != RFE_STEP) {
			put_step(draft, extras[st->step[i].kind], &st->step[i], 0);
			continue;
		}
		ambient_draft_set_json(draft, "/status/steps/-", "{}");
		(void)snprintf(at, sizeof(at), "/status/steps/%zu", i);
		put_step(draft, at, &st->step[i], (int64_t)i + 1);
	}
	put_sides(draft, st);
	ambient_draft_unset(draft, "/status/pushed");
	for (size_t i = 0; i < st->n_pushed; i++) {
		if (i == 0)
			ambient_draft_set_json(draft, "/status/pushed", "[]");
		ambient_draft_set_str(draft, "/status/pushed/-", st->pushed[i]);
	}
}

/* The words of the first shape's clients for the same thing. */
static const char *
older_word(const char *phase)
{
	static const char *const words[][2] = {
		{ "Pending", "draft" },   { "Initializing", "draft" }, { "Paused", "paused" }, { "Completed", "completed" },
		{ "Failed", "failed" },   { "Cancelled", "failed" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(words[i][0], phase) == 0)
			return words[i][1];
	return "in_progress";
}

static void
put_progress(struct ambient_draft *draft, const struct rfe_status *st)
{
	size_t n = 0, next = rfe_next(st), done = 0;

	for (size_t i = 0; i < st->n; i++) {
		n += st->step[i].kind == RFE_STEP;
		done += passed(&st->step[i]);
	}
	if (st->n == 0)
		return;
	ambient_draft_set_int(draft, "/status/currentStep", (int64_t)(next < n ? next + 1 : n));
	ambient_draft_set_str(draft, "/status/currentPhase", next < st->n ? st->step[next].name : "completed");
	ambient_draft_set_int(draft, "/status/progress", (int64_t)(done * 100 / st->n));
}

int
rfe_status_write(struct ambient_call *call, const struct ambient_object **workflow, struct rfe_status *st,
		 const char *phase, const char *branch, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_from(call, RFE_KIND, *workflow);
	const struct ambient_object *written = NULL;
	const struct kc_cond *ready = &st->cond[RFE_READY];
	const struct {
		const char *pointer, *value;
	} texts[] = {
		{ "/status/phase", phase },           { "/status/message", ready->message },  { "/status/startTime", st->start },
		{ "/status/completionTime", st->completion }, { "/status/intent/run", st->run }, { "/status/intent/jira", st->jira_wish },
		{ "/status/waitsFor", st->waits_for }, { "/status/branchSince", st->branch_since },
		{ "/status/finalRFE", st->final },    { "/status/status", older_word(phase) },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].value[0] != '\0')
			ambient_draft_set_str(draft, texts[i].pointer, texts[i].value);
		else if (ambient_type(*workflow, texts[i].pointer) != AMBIENT_T_NONE)
			ambient_draft_unset(draft, texts[i].pointer);
	}
	ambient_draft_set_int(draft, "/status/observedGeneration", st->generation);
	if (branch != NULL && branch[0] != '\0')
		ambient_draft_set_str(draft, "/status/branch", branch);
	else
		ambient_draft_unset(draft, "/status/branch");
	put_steps(draft, st);
	put_progress(draft, st);
	kc_put(draft, st->cond, types, RFE_CONDITIONS);

	int rc = AMBIENT_CALL_(call, client, status, err, call, draft, &written, err);

	/* A race that was lost, not an error: the watch is about to say that the workflow is gone. */
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_err(err, AMBIENT_E_CONFLICT, "the workflow was deleted meanwhile");
	if (rc < 0)
		return rc;
	if (written != NULL)
		*workflow = written;
	if (strcmp(st->phase, phase) != 0)
		ambient_event(call, *workflow, strcmp(phase, "Failed") == 0 ? "Warning" : "Normal", phase, "%s%s%s", phase,
			      ready->message[0] != '\0' ? ": " : "", ready->message);
	kc_copy(st->phase, sizeof(st->phase), phase);
	return 0;
}
