/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reconcile.  At most one session of a workflow runs at a time, and it is followed to its end before anything else
 * is begun:
 *
 *   1. the active step's session: has it ended, and how; is it to be stopped?
 *   2. what a person wants: another step (annotation), pause or cancellation (spec.desiredState)
 *   3. the next step: its session is named in status, then created, then the step is Running
 *
 * So whatever the daemon dies between, the next reconcile finds a name and looks for what it names.  A workflow that has
 * ended stays so until a person asks for a step.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#define NONE           ((size_t)-1)
#define UNSURE_FOR     (5 * AMBIENT_SECOND)  /* until a claim of which nothing has come is looked at again */
#define TEMPLATE_AGAIN (10 * AMBIENT_SECOND) /* until a template that is missing is looked for again */

/* What to call the state that it is in. */
static const char *
phase_of(const struct rfe_pass *p)
{
	const struct rfe_status *st = &p->st;
	bool legacy = p->planned && p->plan.shape != RFE_DOCUMENTED;
	bool begun = st->start[0] != '\0';

	if (rfe_is(st, RFE_COMPLETED, KC_TRUE))
		return "Completed";
	if (rfe_is(st, RFE_FAILED, KC_TRUE))
		return "Failed";
	if (rfe_is(st, RFE_CANCELLED, KC_TRUE))
		return "Cancelled";
	if (strcmp(st->cond[RFE_READY].reason, "Paused") == 0)
		return "Paused";
	for (size_t i = 0; i < st->n; i++)
		if (st->step[i].state == RFE_S_RUNNING)
			return "Running";
	if (strcmp(st->cond[RFE_READY].reason, "WaitingForPerson") == 0)
		return "Ready";
	return begun ? "Running" : legacy ? "Initializing" : "Pending";
}

static void
tell_outputs(struct rfe_pass *p)
{
	struct rfe_status *st = &p->st;

	for (size_t i = 0; i < st->n; i++) {
		if (st->step[i].bytes == 0)
			continue;
		rfe_set(st, RFE_OUTPUTS, KC_FALSE, "OutputCut", "step \"%s\" said %lld bytes, of which %zu are kept; the messages of "
			"AgenticSession \"%s\" have more", st->step[i].name, (long long)st->step[i].bytes, strlen(st->step[i].output),
			st->step[i].session);
		return;
	}
	rfe_set(st, RFE_OUTPUTS, KC_TRUE, "Complete", "%s", "");
}

int
rfe_save(struct rfe_pass *p)
{
	const char *branch = p->planned ? p->plan.branch : ambient_str(p->workflow, "/status/branch", NULL);

	if (rfe_status_fit(&p->st, p->call, p->workflow))
		tell_outputs(p);
	return rfe_status_write(p->call, &p->workflow, &p->st, phase_of(p), branch, p->err);
}

int
rfe_say(struct rfe_pass *p, const char *reason, const char *message)
{
	rfe_set(&p->st, RFE_READY, KC_FALSE, reason, "%s", message);
	return rfe_save(p);
}

void
rfe_finish(struct rfe_pass *p, enum rfe_condition how, const char *reason, const char *message)
{
	rfe_set(&p->st, how, KC_TRUE, reason, "%s", message);
	rfe_set(&p->st, RFE_READY, KC_FALSE, reason, "%s", message);
	ambient_time(p->st.completion, p->st.now);
	p->st.waits_for[0] = p->st.branch_since[0] = '\0';
}

/* Who works on the branch has it until it ends, whatever is older.  True: it had not, so far. */
static bool
take_branch(struct rfe_pass *p)
{
	if (p->plan.branch[0] == '\0' || p->plan.repos == 0 || p->st.branch_since[0] != '\0')
		return false;
	ambient_time(p->st.branch_since, p->st.now);
	return true;
}

/* The step that has a session which may not have ended. */
static size_t
active(const struct rfe_status *st)
{
	for (size_t i = 0; i < st->n; i++)
		if (st->step[i].state == RFE_S_RUNNING || (st->step[i].state == RFE_S_PENDING && st->step[i].session[0] != '\0'))
			return i;
	return NONE;
}

static bool
wants(const struct rfe_pass *p, const char *state)
{
	return strcmp(ambient_str(p->workflow, "/spec/desiredState", ""), state) == 0;
}

/* Is there a request to run a step that was not followed yet?  text gets what it will be remembered by. */
static bool
asked(const struct rfe_pass *p, char text[160])
{
	const char *step = ambient_str(p->workflow, RFE_RUN, "");

	(void)snprintf(text, 160, "%.80s@%.64s", step, ambient_str(p->workflow, RFE_RUN_AT, ""));
	return step[0] != '\0' && strcmp(text, p->st.run) != 0;
}

/* ---- 1. the session that was begun */

/* Its session has ended, or is gone. */
static int
ended(struct rfe_pass *p, size_t i, const struct ambient_object *session, bool stop)
{
	struct rfe_step *step = &p->st.step[i];
	bool good;

	rfe_session_result(p->call, session, &p->st, step);
	good = step->state == RFE_S_COMPLETED;
	tell_outputs(p);
	rfe_set(&p->st, RFE_READY, KC_FALSE, good ? "StepCompleted" : "StepFailed", "step \"%s\": %s", step->name,
		good ? "completed" : step->message);
	if (good || !stop)
		ambient_event(p->call, p->workflow, good ? "Normal" : "Warning", good ? "StepCompleted" : "StepFailed",
			      "step \"%s\" %s%s", step->name, good ? "completed" : "failed: ", good ? "" : step->message);
	return rfe_save(p);
}

/* What is to be known while the session goes on; NULL: it has just been made. */
static int
goes_on(struct rfe_pass *p, size_t i, const struct ambient_object *session, bool stop)
{
	const struct rfe_step *step = &p->st.step[i];
	const char *waits = rfe_session_waits(session);

	if (stop)
		rfe_set(&p->st, RFE_READY, KC_FALSE, "StepStopping", "ending AgenticSession \"%s\" of step \"%s\"", step->session,
			step->name);
	else if (wants(p, "Paused"))
		rfe_set(&p->st, RFE_READY, KC_TRUE, "Pausing", "pauses as soon as step \"%s\" has ended", step->name);
	else if (waits[0] != '\0')
		rfe_set(&p->st, RFE_READY, KC_FALSE, "StepWaiting", "step \"%s\" waits: AgenticSession \"%s\": %.350s", step->name,
			step->session, waits);
	else
		rfe_set(&p->st, RFE_READY, KC_TRUE, "StepRunning", "step \"%s\" runs as AgenticSession \"%s\"", step->name,
			step->session);
	rfe_jira_waits(p);
	return rfe_save(p);
}

/* Returns 1 while the session goes on. */
static int
follow(struct rfe_pass *p, size_t i, bool stop)
{
	const struct ambient_object *session = NULL;
	struct rfe_step *step = &p->st.step[i];
	int rc = rfe_session_get(p->call, p->workflow, step, &session, p->err);

	if (rc < 0)
		return rc;
	if (session == NULL && step->state == RFE_S_PENDING) {
		if (!stop)
			return 0; /* named, not made yet */
		step->session[0] = '\0';
		return 0;
	}
	if (session == NULL || rfe_session_ended(session))
		return ended(p, i, session, stop);
	if (stop && (rc = rfe_session_stop(p->call, session, p->err)) < 0)
		return rc;
	step->state = RFE_S_RUNNING; /* also when we were interrupted between its creation and saying so */
	return (rc = goes_on(p, i, session, stop)) < 0 ? rc : 1;
}

/* ---- 2. what a person wants */

static size_t
step_named(const struct rfe_pass *p, const char *text)
{
	char name[RFE_NAME_MAX], number[32];

	rfe_slug(name, text);
	for (size_t i = 0; i < p->plan.total; i++) {
		(void)snprintf(number, sizeof(number), "%zu", i + 1);
		if (strcmp(name, p->plan.step[i].name) == 0 || (i < p->plan.n && strcmp(text, number) == 0))
			return i;
	}
	return NONE;
}

static void
seed_anew(struct rfe_status *st)
{
	st->seed.state = RFE_S_PENDING;
	st->seed.session[0] = st->seed.reason[0] = st->seed.message[0] = '\0';
	st->seed.attempts = 0;
}

/* It has not ended. */
static void
reopen(struct rfe_status *st)
{
	for (int c = RFE_COMPLETED; c <= RFE_CANCELLED; c++)
		rfe_unset(st, (enum rfe_condition)c);
	st->completion[0] = '\0';
}

/* From step i on all is to be done; what comes before and never was is passed over. */
static void
restart(struct rfe_pass *p, size_t i)
{
	struct rfe_status *st = &p->st;

	for (size_t k = 0; k < st->n; k++) {
		struct rfe_step *step = &st->step[k];

		if (k < i) {
			if (step->state != RFE_S_COMPLETED)
				step->state = RFE_S_SKIPPED;
			continue;
		}
		step->state = RFE_S_PENDING;
		step->session[0] = step->reason[0] = step->message[0] = step->start[0] = step->completion[0] = '\0';
		step->output = "";
		step->attempts = step->bytes = 0;
		step->started = k == i;
		step->linked = false;
	}
	if (st->seed.state == RFE_S_FAILED)
		seed_anew(st);
	reopen(st);
	st->final = "";
	tell_outputs(p);
}

/* The repositories are to be seeded, again if they were; a request that had ended ends again when they are. */
static int
run_seed(struct rfe_pass *p)
{
	seed_anew(&p->st);
	reopen(&p->st);
	rfe_set(&p->st, RFE_SEEDED, KC_FALSE, "SeedRequested", "seeding was asked for");
	rfe_set(&p->st, RFE_READY, KC_FALSE, "SeedRequested", "seeding was asked for");
	return rfe_save(p);
}

static bool
is_seed(const struct rfe_pass *p, const char *wanted)
{
	return p->plan.seed.timeout > 0 && strcmp(wanted, p->plan.seed.name) == 0;
}

/* The request is told to be none of ours, and followed with that. */
static void
unknown_step(struct rfe_pass *p, const char *text)
{
	char names[300] = "";
	size_t len = 0;

	(void)snprintf(p->st.run, sizeof(p->st.run), "%s", text);
	if (p->plan.seed.timeout > 0)
		len += (size_t)snprintf(names, sizeof(names), "%s, ", p->plan.seed.name);
	for (size_t k = 0; k < p->plan.total && len < sizeof(names); k++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", k > 0 ? ", " : "", p->plan.step[k].name);
	ambient_event(p->call, p->workflow, "Warning", "StepUnknown", "there is no step \"%.63s\"; those are: %s",
		      ambient_str(p->workflow, RFE_RUN, ""), names);
}

/* Is the session that runs to be stopped for what a person wants?  A wrong name costs nobody's work, and seeding comes
 * when the step has ended. */
static bool
is_to_stop(struct rfe_pass *p)
{
	const char *wanted = ambient_str(p->workflow, RFE_RUN, "");
	char text[160];

	if (wants(p, "Cancelled"))
		return true;
	if (!p->planned || !asked(p, text))
		return false;
	if (step_named(p, wanted) != NONE)
		return true;
	if (!is_seed(p, wanted))
		unknown_step(p, text);
	return false;
}

static int
run_step(struct rfe_pass *p, const char *text)
{
	const char *wanted = ambient_str(p->workflow, RFE_RUN, "");
	size_t i = step_named(p, wanted);

	(void)snprintf(p->st.run, sizeof(p->st.run), "%s", text);
	if (i == NONE && is_seed(p, wanted))
		return run_seed(p);
	if (i == NONE) {
		unknown_step(p, text);
		return rfe_save(p);
	}
	restart(p, i);
	rfe_set(&p->st, RFE_READY, KC_FALSE, "StepRequested", "step \"%s\" was asked for", p->st.step[i].name);
	ambient_event(p->call, p->workflow, "Normal", "StepRequested", "step \"%s\" was asked for", p->st.step[i].name);
	return rfe_save(p);
}

static int
cancel(struct rfe_pass *p)
{
	for (size_t i = 0; i < p->st.n; i++)
		if (p->st.step[i].state == RFE_S_PENDING || p->st.step[i].state == RFE_S_FAILED)
			p->st.step[i].state = RFE_S_CANCELLED;
	rfe_finish(p, RFE_CANCELLED, "Cancelled", "cancelled as asked; spec.desiredState: Running and the annotation "
		   "ambient-code.io/run-step begin it again");
	return rfe_save(p);
}

/* ---- 3. the next step */

/* The final document, of the session that wrote it or put together.  -AMBIENT_E_NOMEM. */
static int
make_final(struct rfe_pass *p)
{
	for (size_t i = 0; i < p->st.n; i++)
		if (p->st.step[i].kind == RFE_SYNTHESIS)
			p->st.final = p->st.step[i].output;
	if (p->st.final[0] == '\0')
		p->st.final = rfe_assemble(p->call, &p->plan, &p->st);
	if (p->st.final != NULL)
		return 0;
	p->st.final = "";
	return ambient_err(p->err, AMBIENT_E_NOMEM, "out of memory");
}

/* What the step's session is told.  -AMBIENT_E_NOTFOUND: a template is missing. */
static int
make_prompt(struct rfe_pass *p, size_t i, char **prompt)
{
	const struct rfe_step_plan *what = &p->plan.step[i];
	struct rfe_agent agent, phase;
	int rc = 0;

	if (what->kind == RFE_PUBLISH) {
		if ((rc = make_final(p)) < 0)
			return rc;
		*prompt = rfe_documents_prompt(p->call, &p->plan, &p->st);
	} else {
		rc = rfe_agent_find(p->plugin, p->call, p->ns, what->agent, &agent, p->err);
		if (rc == 0 && what->phase[0] != '\0')
			rc = rfe_agent_find(p->plugin, p->call, p->ns, what->phase, &phase, p->err);
		if (rc < 0)
			return rc;
		/* The id ends with this function, that of the plan does not. */
		p->st.step[i].agent = agent.name == agent.id ? what->agent : agent.name;
		*prompt = rfe_prompt(p->call, &p->plan, &p->st, i, &agent, what->phase[0] != '\0' ? &phase : NULL);
	}
	return *prompt != NULL ? 0 : ambient_err(p->err, AMBIENT_E_NOMEM, "out of memory");
}

static int
branch_in_use(struct rfe_pass *p, const char *owner)
{
	char text[512];

	kc_copy(p->st.waits_for, sizeof(p->st.waits_for), owner);
	(void)snprintf(text, sizeof(text), "branch \"%.100s\" is worked on by RFEWorkflow \"%s\"; waiting until that has ended",
		       p->plan.branch, owner);
	return rfe_say(p, "BranchInUse", text);
}

/* Whether the branch that was just claimed is ours alone.  1: it is not; the claim was withdrawn. */
static int
confirm_branch(struct rfe_pass *p, struct rfe_step *step)
{
	char owner[254];
	int rc = rfe_branch_contested(p->plugin, p->call, p->workflow, &p->plan, owner, p->err);

	if (rc < 0 || owner[0] == '\0')
		return rc;
	if (step->kind == RFE_STEP && strcmp(p->st.start, step->start) == 0)
		p->st.start[0] = '\0';
	step->session[0] = step->start[0] = p->st.branch_since[0] = '\0';
	step->runs--;
	if ((rc = branch_in_use(p, owner)) < 0 || (rc = ambient_requeue_after(p->result, AMBIENT_SECOND)) < 0)
		return rc;
	return 1;
}

/* The next attempt has a name, which is saved.  *claims: the branch with it. */
static int
name_session(struct rfe_pass *p, const struct rfe_step_plan *what, struct rfe_step *step, bool pushes, bool *claims)
{
	char number[RFE_NAME_MAX + 32];

	step->state = RFE_S_PENDING;
	step->runs++;
	(void)snprintf(number, sizeof(number), "-%s-%lld", step->name, (long long)step->runs);
	rfe_name(step->session, p->name, number);
	ambient_time(step->start, p->st.now);
	step->completion[0] = '\0';
	if (p->st.start[0] == '\0' && what->kind <= RFE_PUBLISH)
		memcpy(p->st.start, step->start, sizeof(p->st.start));
	*claims = pushes && take_branch(p);
	if (what->kind <= RFE_PUBLISH)
		rfe_set(&p->st, RFE_READY, KC_FALSE, "StepStarting", "step \"%s\" starts", step->name);
	return rfe_save(p);
}

/* To people; it is tried again with growing delays. */
static void
tell_refused(struct rfe_pass *p, const struct rfe_step_plan *what, struct rfe_step *step, const struct ambient_error *said)
{
	struct ambient_error hidden = AMBIENT_ERROR_INIT, *err = p->err;
	bool taken = said->code == AMBIENT_E_EXISTS;

	if (taken)
		step->session[0] = '\0'; /* the next attempt has another name */
	p->err = &hidden;
	if (what->kind == RFE_JIRA) {
		rfe_set(&p->st, RFE_JIRA_DONE, KC_FALSE, "SessionRefused", "%.500s", said->message);
		(void)rfe_save(p);
	} else {
		(void)rfe_say(p, taken ? "NameConflict" : "SessionRefused", said->message);
	}
	p->err = err;
}

int
rfe_begin(struct rfe_pass *p, const struct rfe_step_plan *what, struct rfe_step *step, const char *prompt)
{
	struct ambient_error said = AMBIENT_ERROR_INIT;
	bool pushes = what->kind != RFE_PUBLISH && what->kind != RFE_JIRA;
	bool named = step->session[0] != '\0' && step->state == RFE_S_PENDING;
	bool claims = pushes && named && p->st.branch_since[0] != '\0'; /* interrupted, it may not have asked */
	int rc;

	if (!named && (rc = name_session(p, what, step, pushes, &claims)) < 0)
		return rc;
	if (claims && (rc = confirm_branch(p, step)) != 0)
		return rc;
	rc = rfe_session_create(p->call, p->workflow, &p->plan, what, step, prompt, &said);
	/* The last is what an API server says of an object that is too large for it. */
	if (rc == -AMBIENT_E_EXISTS || rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_NOMEM)
		tell_refused(p, what, step, &said);
	if (rc < 0) {
		ambient_err_copy(p->err, &said);
		return rc;
	}
	step->state = RFE_S_RUNNING;
	ambient_event(p->call, p->workflow, "Normal", "StepStarted", "step \"%s\" runs as AgenticSession \"%s\"", step->name,
		      step->session);
	return 0;
}

/* A ConfigMap that is made or mended wakes us; a file of the daemon's machine wakes nobody and is looked for. */
static int
wait_for_template(struct rfe_pass *p, const char *reason)
{
	int rc = rfe_say(p, reason, p->err->message);

	return rc < 0 ? rc : ambient_requeue_after(p->result, TEMPLATE_AGAIN);
}

static int
begin_session(struct rfe_pass *p, size_t i)
{
	char *prompt = NULL;
	int rc = make_prompt(p, i, &prompt);

	if (rc == -AMBIENT_E_NOTFOUND || rc == -AMBIENT_E_INVALID)
		return wait_for_template(p, rc == -AMBIENT_E_INVALID ? "AgentInvalid" : "AgentUnknown");
	if (rc < 0 || (rc = rfe_begin(p, &p->plan.step[i], &p->st.step[i], prompt)) != 0)
		return rc < 0 ? rc : 0;
	return goes_on(p, i, NULL, false);
}

/* Would the same fail again, however often it is tried? */
static bool
hopeless(const struct rfe_step *step)
{
	static const char *const reasons[] = { "SpecInvalid", "RunnerTypeUnknown", "PrerequisiteFailed", "UserStopped" };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(step->reason, reasons[i]) == 0)
			return true;
	return false;
}

/* A step that waits for a person: has one made a session for it, as older clients do? */
static int
wait_for_person(struct rfe_pass *p, size_t i)
{
	struct rfe_step *step = &p->st.step[i];
	const struct ambient_object *session = NULL;
	char text[700], failed[540] = "";
	int rc = rfe_session_linked(p->call, p->workflow, step->name, &session, p->err);

	if (rc < 0)
		return rc;
	if (session != NULL && strlen(ambient_str(session, "/metadata/name", "")) < sizeof(step->session)) {
		step->state = RFE_S_RUNNING;
		step->linked = true;
		(void)snprintf(step->session, sizeof(step->session), "%s", ambient_str(session, "/metadata/name", ""));
		(void)snprintf(step->start, sizeof(step->start), "%.39s", ambient_str(session, "/metadata/creationTimestamp", ""));
		step->completion[0] = '\0';
		if (p->st.start[0] == '\0')
			memcpy(p->st.start, step->start, sizeof(p->st.start));
		(void)take_branch(p);
		return goes_on(p, i, session, false);
	}
	if (step->message[0] != '\0')
		(void)snprintf(failed, sizeof(failed), "; before: %s", step->message);
	(void)snprintf(text, sizeof(text), "step \"%s\" waits for a person; annotate with ambient-code.io/run-step=%s to start it%s",
		       step->name, step->name, failed);
	return rfe_say(p, "WaitingForPerson", text);
}

int64_t
rfe_retry_in(const struct rfe_pass *p, const struct rfe_step_plan *what, const struct rfe_step *step)
{
	int64_t at, doubled = step->attempts > 1 ? step->attempts - 1 : 0;

	if (step->attempts > what->retries || hopeless(step))
		return -1;
	if (!kc_time_parse(step->completion, &at))
		return 0;
	at += p->plugin->retry_delay << (doubled < 10 ? doubled : 10);
	return at > p->st.now ? at - p->st.now : 0;
}

void
rfe_do_again(char *text, const char *step)
{
	char advice[sizeof(RFE_DO_AGAIN) + RFE_NAME_MAX + 2];
	int n = snprintf(advice, sizeof(advice), "; " RFE_DO_AGAIN "%s", step);

	if (strstr(text, RFE_DO_AGAIN) != NULL)
		return;
	kc_copy(text, sizeof(((struct kc_cond *)NULL)->message) - (size_t)n, text);
	(void)strcat(text, advice);
}

static int
after_failure(struct rfe_pass *p, size_t i)
{
	struct rfe_step *step = &p->st.step[i];
	int64_t in = rfe_retry_in(p, &p->plan.step[i], step);
	char text[700];

	if (in < 0) {
		(void)snprintf(text, sizeof(text), "step \"%s\" failed: %s", step->name, step->message);
		rfe_do_again(text, step->name);
		rfe_finish(p, RFE_FAILED, "StepFailed", text);
		return rfe_save(p);
	}
	return in > 0 ? ambient_requeue_after(p->result, in) : begin_session(p, i);
}

static int
all_done(struct rfe_pass *p)
{
	int rc = make_final(p);

	if (rc < 0)
		return rc;
	rfe_finish(p, RFE_COMPLETED, "Success", "all steps completed");
	return rfe_save(p);
}

static int
advance(struct rfe_pass *p)
{
	size_t i = rfe_next(&p->st);
	char owner[254];
	bool unsure;
	int rc;

	if (i == p->st.n && (p->plan.seed.timeout == 0 || p->st.seed.state == RFE_S_COMPLETED))
		return all_done(p);
	if (wants(p, "Paused"))
		return rfe_say(p, "Paused", "paused as asked; spec.desiredState: Running goes on");
	if ((rc = rfe_branch_owner(p->plugin, p->call, p->workflow, &p->plan, owner, &unsure, p->err)) < 0)
		return rc;
	if (owner[0] != '\0') {
		if (unsure)
			(void)ambient_requeue_after(p->result, UNSURE_FOR);
		return branch_in_use(p, owner);
	}
	p->st.waits_for[0] = '\0';
	if ((rc = rfe_seed(p)) != 0)
		return rc < 0 ? rc : 0;
	if (p->st.step[i].state == RFE_S_FAILED && p->st.step[i].linked) {
		/* Whoever made that session may make another. */
		p->st.step[i].state = RFE_S_PENDING;
		p->st.step[i].linked = false;
		p->st.step[i].session[0] = '\0';
	}
	if (p->st.step[i].state == RFE_S_FAILED)
		return after_failure(p, i);
	return p->plan.step[i].manual && !p->st.step[i].started ? wait_for_person(p, i) : begin_session(p, i);
}

/* ---- all of it */

static int
managed(struct rfe_pass *p, bool *ret)
{
	const struct ambient_object *ns = NULL;
	int rc = ambient_get(p->call, RFE_NS, "", p->ns, &ns, p->err);

	*ret = rc == 0 && strcmp(ambient_str(ns, RFE_MANAGED, ""), "true") == 0;
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

static int
make_plan(struct rfe_pass *p)
{
	int rc = rfe_plan_read(p->plugin, p->call, p->workflow, &p->plan, p->err);

	if (rc == -AMBIENT_E_INVALID) {
		rfe_set(&p->st, RFE_SPEC_VALID, KC_FALSE, "SpecInvalid", "%s", p->err->message);
		return 0;
	}
	if (rc < 0)
		return rc;
	p->planned = true;
	rfe_set(&p->st, RFE_SPEC_VALID, KC_TRUE, "Valid", "%s", "");
	return 0;
}

/* Nothing of it runs. */
static int
idle(struct rfe_pass *p)
{
	char request[160], text[512];
	bool ours;
	int rc;

	if ((rc = managed(p, &ours)) < 0)
		return rc;
	if (!ours) {
		(void)snprintf(text, sizeof(text), "namespace \"%s\" is not labelled ambient-code.io/managed=true", p->ns);
		return rfe_terminal(&p->st) ? 0 : rfe_say(p, "NamespaceNotManaged", text);
	}
	if (asked(p, request) && p->planned && !wants(p, "Cancelled")) {
		rfe_status_follow(&p->st, &p->plan);
		if ((rc = run_step(p, request)) < 0)
			return rc;
	}
	if (p->planned && (rc = rfe_jira(p)) != 0)
		return rc < 0 ? rc : 0;
	if (rfe_terminal(&p->st))
		return rfe_branch_free(p->call, p->ns, p->name, p->err);
	if (wants(p, "Cancelled"))
		return cancel(p);
	if (!p->planned)
		return rfe_say(p, "SpecInvalid", p->st.cond[RFE_SPEC_VALID].message);
	rfe_status_follow(&p->st, &p->plan);
	return advance(p);
}

/* A session that is no step goes on: who has asked for a step meanwhile reads for what it waits. */
static int
beside(struct rfe_pass *p)
{
	char request[160], text[400];

	if (p->st.jira.state != RFE_S_RUNNING || !p->planned || !asked(p, request))
		return 0;
	(void)snprintf(text, sizeof(text), "step \"%.63s\" begins when AgenticSession \"%s\" has ended, which publishes a document",
		       ambient_str(p->workflow, RFE_RUN, ""), p->st.jira.session);
	return rfe_say(p, "StepWaiting", text);
}

int
rfe_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	      struct ambient_error *err)
{
	struct rfe_pass p = { .plugin = self, .call = call, .ns = req->ns, .name = req->name, .result = result, .err = err };
	size_t i;
	int rc = ambient_get(call, RFE_KIND, req->ns, req->name, &p.workflow, err);

	if (rc == -AMBIENT_E_NOTFOUND) /* what it owned goes with it */
		return rfe_branch_free(call, req->ns, req->name, err);
	if (rc < 0)
		return rc;
	if (ambient_deleting(p.workflow))
		return 0;
	rfe_status_load(&p.st, call, p.workflow);
	if ((rc = make_plan(&p)) < 0)
		return rc;
	i = active(&p.st);
	if (i != NONE) {
		rc = follow(&p, i, is_to_stop(&p));
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	if ((rc = rfe_side_follow(&p, wants(&p, "Cancelled"))) != 0)
		return rc < 0 ? rc : beside(&p);
	return idle(&p);
}
