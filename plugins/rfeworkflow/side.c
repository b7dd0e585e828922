/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that are none of the steps.  They keep to the order of the steps' sessions: named in status, then created,
 * then Running, and nothing else of the workflow is begun before they have ended.  What became of one is told by a
 * condition of its own.
 */
#include "plugins/rfeworkflow/rfeworkflow.h"

#define TOLD_MAX 450

/* What a person reads while it goes on: a session that cannot start yet says what it waits for. */
static void
tell_waiting(char out[TOLD_MAX], const struct rfe_step *step, const struct ambient_object *session)
{
	const char *waits = rfe_session_waits(session);

	(void)snprintf(out, TOLD_MAX, "AgenticSession \"%s\" is at it%s%.350s", step->session, waits[0] != '\0' ? ": " : "", waits);
}

static void
tell_seed(struct rfe_pass *p, const struct rfe_step *step)
{
	bool good = step->state == RFE_S_COMPLETED;

	if (good)
		rfe_set(&p->st, RFE_SEEDED, KC_TRUE, strncmp(step->output, "seeded before", 13) == 0 ? "AlreadySeeded" : "Seeded",
			"branch \"%.100s\" of %.150s: %.150s", p->plan.branch, p->planned ? p->plan.repo[0].url : "", step->output);
	else
		rfe_set(&p->st, RFE_SEEDED, KC_FALSE, step->reason[0] != '\0' ? step->reason : "SeedFailed", "%s", step->message);
	ambient_event(p->call, p->workflow, good ? "Normal" : "Warning", good ? "Seeded" : "SeedFailed", "%s",
		      p->st.cond[RFE_SEEDED].message);
}

int
rfe_side_goes_on(struct rfe_pass *p, struct rfe_step *step, const struct ambient_object *session)
{
	bool seeds = step->kind == RFE_SEED;
	char text[TOLD_MAX];
	int rc;

	step->state = RFE_S_RUNNING;
	tell_waiting(text, step, session);
	if (seeds)
		rfe_set(&p->st, RFE_READY, KC_FALSE, "Seeding", "%s", text);
	rfe_set(&p->st, seeds ? RFE_SEEDED : RFE_JIRA_DONE, KC_FALSE, seeds ? "Seeding" : "Publishing", "%s", text);
	if (seeds)
		rfe_jira_waits(p);
	rc = rfe_save(p);
	return rc < 0 ? rc : 1;
}

static int
follow(struct rfe_pass *p, struct rfe_step *step, bool stop)
{
	const struct ambient_object *session = NULL;
	int rc;

	if (step->session[0] == '\0' || (step->state != RFE_S_RUNNING && step->state != RFE_S_PENDING))
		return 0;
	if ((rc = rfe_session_get(p->call, p->workflow, step, &session, p->err)) < 0)
		return rc;
	if (session == NULL && step->state == RFE_S_PENDING)
		return 0; /* named, not made yet */
	if (session != NULL && !rfe_session_ended(session)) {
		rc = stop ? rfe_session_stop(p->call, session, p->err) : 0;
		return rc < 0 ? rc : rfe_side_goes_on(p, step, session);
	}
	rfe_session_result(p->call, session, &p->st, step);
	if (step->kind == RFE_SEED)
		tell_seed(p, step);
	else
		rfe_jira_told(p, session);
	return rfe_save(p);
}

int
rfe_side_follow(struct rfe_pass *p, bool stop)
{
	int rc = follow(p, &p->st.seed, stop);

	/* A publication is short, and what it has begun is better ended. */
	return rc != 0 ? rc : follow(p, &p->st.jira, false);
}

int
rfe_seed(struct rfe_pass *p)
{
	const struct rfe_step_plan *what = &p->plan.seed;
	struct rfe_step *step = &p->st.seed;
	char *prompt, text[600];
	int64_t in;
	int rc;

	if (what->timeout == 0 || step->state == RFE_S_COMPLETED)
		return 0;
	if (step->state == RFE_S_FAILED && (in = rfe_retry_in(p, what, step)) != 0) {
		if (in > 0)
			return ambient_requeue_after(p->result, in) < 0 ? -AMBIENT_E_INVALID : 1;
		(void)snprintf(text, sizeof(text), "the repositories could not be seeded: %s", step->message);
		rfe_do_again(text, step->name);
		rfe_finish(p, RFE_FAILED, "SeedFailed", text);
		return (rc = rfe_save(p)) < 0 ? rc : 1;
	}
	step->agent = "seed";
	prompt = rfe_seed_prompt(p->plugin, p->call, p->ns, &p->plan, p->err);
	if (prompt == NULL && p->err->code == AMBIENT_E_INVALID) {
		(void)snprintf(text, sizeof(text), "%s", p->err->message);
		rfe_set(&p->st, RFE_SEEDED, KC_FALSE, "SeedTemplateInvalid", "%s", text);
		(void)rfe_say(p, "SeedTemplateInvalid", text);
		return -AMBIENT_E_INVALID; /* files of the daemon's machine wake nobody: tried again */
	}
	if (prompt == NULL)
		return -AMBIENT_E_NOMEM;
	if ((rc = rfe_begin(p, what, step, prompt)) != 0)
		return rc;
	return rfe_side_goes_on(p, step, NULL);
}
