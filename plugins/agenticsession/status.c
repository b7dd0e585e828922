/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a session as a struct.  It is loaded, changed by the other files, and written back as a whole; the
 * host sends nothing when nothing changed.  Times in it come from events (a container's start, a transition),
 * never from "now", so that looking again at the same world writes nothing.
 */
#include "plugins/agenticsession/agenticsession.h"

static const char *const types[AS_CONDITIONS] = {
	"Ready", "SpecValid", "Admitted", "PVCReady", "SecretsReady", "JobCreated", "PodScheduled", "RunnerStarted",
	"Reconciled", "ReportValid", "DesiredPhaseValid", "Completed", "Failed", "Stopped",
};

/* The strings of status: where, and in which member. */
#define FIELD(pointer, member) { pointer, offsetof(struct as_status, member), sizeof(((struct as_status *)0)->member) }
static const struct field {
	const char *pointer;
	size_t offset, size;
} fields[] = {
	FIELD("/status/phase", phase),
	FIELD("/status/runId", run_id),
	FIELD("/status/startTime", start),
	FIELD("/status/completionTime", completion),
	FIELD("/status/stoppedReason", stopped_reason),
	FIELD("/status/jobName", job),
	FIELD("/status/runnerPodName", pod),
	FIELD("/status/intent/state", intent),
	FIELD("/status/intent/spec", intent_spec),
	FIELD("/status/intent/annotation", intent_annotation),
	FIELD("/status/intent/again", again),
	FIELD("/status/contentRequested", content),
	FIELD("/status/admission", admission),
	FIELD("/status/queuedAt", queued),
	FIELD("/status/waitsFor", waits_for),
};

/* What a report says of its run only; the conversation outlives the run. */
static const char *const reported[] = {
	"/status/results", "/status/result", "/status/repos", "/status/is_error", "/status/num_turns",
	"/status/total_cost_usd", "/status/duration_ms", "/status/usage", "/status/reconciledRepos",
	"/status/reconciledWorkflow", "/status/cost", "/status/repoStatuses", "/status/has_workspace_changes",
	"/status/subtype", "/status/duration_api_ms", "/status/agentStatus",
};

/* ---- what the operator of the older platform left */

/* How it called the ends, and the condition that says so here. */
static const struct {
	const char *phase;
	enum as_condition which;
} ends[] = {
	{ "Completed", AS_COMPLETED }, { "Failed", AS_FAILED },   { "Error", AS_FAILED },
	{ "Timeout", AS_FAILED },      { "Stopped", AS_STOPPED },
};

/* It left its annotation behind: only who asked after the end still wants another run. */
static void
forget_old_wish(struct as_status *st, const struct ambient_object *session)
{
	char wish[KW_WISH_MAX];
	int64_t asked, ended;

	kw_wish(session, wish);
	if (strncmp(wish, "Running@", 8) != 0 || !kc_time_parse(st->completion, &ended) ||
	    (kc_time_parse(wish + 8, &asked) && asked > ended))
		return;
	kc_copy(st->intent_annotation, sizeof(st->intent_annotation), wish);
	kc_copy(st->intent, sizeof(st->intent), "Running");
}

static void
end_as(struct as_status *st, const struct ambient_object *session, const char *phase, enum as_condition which)
{
	struct kc_cond *ready = &st->cond[AS_READY], *end = &st->cond[which];
	bool theirs = ready->status == KC_FALSE && ready->reason[0] != '\0' && strcmp(ready->reason, "NamespaceNotManaged") != 0;
	char reason[sizeof(ready->reason)], message[sizeof(ready->message)];

	/* The phase is derived from it. */
	kc_copy(reason, sizeof(reason), theirs && strcmp(phase, "Timeout") != 0 ? ready->reason : phase);
	kc_copy(message, sizeof(message), theirs && ready->message[0] != '\0' ? ready->message : ambient_str(session, "/status/message", ""));
	if (st->completion[0] == '\0')
		ambient_time(st->completion, st->now);
	as_set(st, which, KC_TRUE, reason, "%s", message);
	as_set(st, AS_READY, KC_FALSE, reason, "%s", message);
	kc_copy(end->since, sizeof(end->since), st->completion);
	forget_old_wish(st, session);
}

/* A status without the id of a run was not written of a run of ours.  What had ended there has ended; of what was going on
 * there nothing is followed, and if it is not to stop it begins here. */
static void
take_over(struct as_status *st, const struct ambient_object *session)
{
	static const enum as_condition of_a_run[] = { AS_JOB_CREATED, AS_POD_SCHEDULED, AS_RUNNER_STARTED };

	if (as_terminal(st))
		return;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(st->phase, ends[i].phase) == 0) {
			end_as(st, session, ends[i].phase, ends[i].which);
			return;
		}
	for (size_t i = 0; i < sizeof(of_a_run) / sizeof(of_a_run[0]); i++)
		memset(&st->cond[of_a_run[i]], 0, sizeof(st->cond[0]));
	st->start[0] = st->completion[0] = '\0';
	if (strcmp(st->phase, "Stopping") == 0 && !as_is(st, AS_STOPPED, KC_FALSE))
		as_set(st, AS_STOPPED, KC_FALSE, "Stopping", "%s", "ending the run");
}

void
as_status_load(struct as_status *st, const struct ambient_object *session, int64_t now)
{
	memset(st, 0, sizeof(*st));
	st->now = now;
	st->generation = ambient_int(session, "/metadata/generation", 0);
	st->effective = ambient_at(session, "/status/effective");
	st->runs = ambient_int(session, "/status/runs", 0);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		kc_copy((char *)st + fields[i].offset, fields[i].size, ambient_str(session, fields[i].pointer, ""));
	kc_load(st->cond, types, AS_CONDITIONS, session);
	if (st->run_id[0] == '\0')
		take_over(st, session);
	kc_copy(st->told, sizeof(st->told), st->cond[AS_READY].reason);
}

void
as_status_renew(struct as_status *st)
{
	for (int k = 0; k < AS_CONDITIONS; k++)
		if (k != AS_READY && k != AS_PVC_READY && k != AS_WISH_VALID)
			memset(&st->cond[k], 0, sizeof(st->cond[k]));
	st->run_id[0] = st->start[0] = st->completion[0] = st->stopped_reason[0] = st->job[0] = st->pod[0] = '\0';
	st->again[0] = '\0';
	ambient_time(st->queued, st->now);
	st->effective = NULL;
	st->forget = true;
}

void
as_set(struct as_status *st, enum as_condition which, enum kc_truth status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kc_set(&st->cond[which], status, st->now, st->generation, reason, fmt, ap);
	va_end(ap);
}

bool
as_is(const struct as_status *st, enum as_condition which, enum kc_truth status)
{
	return st->cond[which].status == status;
}

/* What is no trouble while a run goes its way. */
static bool
is_calm(const char *reason)
{
	static const char *const calm[] = { "Provisioning", "Creating", "Restarting", "Stopping", "MaxRunning", "WorkspaceInUse" };

	for (size_t i = 0; i < sizeof(calm) / sizeof(calm[0]); i++)
		if (strcmp(reason, calm[i]) == 0)
			return true;
	return false;
}

/* A phase that is another one, and within a phase what now keeps the run from going on. */
static void
tell(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, const char *phase_before)
{
	const struct kc_cond *ready = &st->cond[AS_READY];
	bool bad = strcmp(st->phase, "Failed") == 0 || strcmp(st->phase, "Timeout") == 0;

	if (strcmp(phase_before, st->phase) != 0)
		ambient_event(call, session, bad ? "Warning" : "Normal", bad ? ready->reason : st->phase, "%s%s%s", st->phase,
			      ready->message[0] != '\0' ? ": " : "", ready->message);
	else if (!as_terminal(st) && ready->status == KC_FALSE && strcmp(ready->reason, st->told) != 0 && !is_calm(ready->reason))
		ambient_event(call, session, "Warning", ready->reason, "%s", ready->message);
	kc_copy(st->told, sizeof(st->told), ready->reason);
}

int
as_status_write(struct ambient_call *call, const struct ambient_object **session, struct as_status *st,
		struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_from(call, AS_SESSION, *session);
	const struct ambient_object *written = NULL, *member;
	char before[sizeof(st->phase)], pointer[128];
	const char *key;

	kc_copy(before, sizeof(before), ambient_str(*session, "/status/phase", ""));
	kc_copy(st->phase, sizeof(st->phase), as_phase(st));
	if (as_terminal(st) || st->run_id[0] != '\0')
		st->waits_for[0] = '\0';
	if (as_terminal(st))
		st->admission[0] = '\0';
	else if (st->run_id[0] != '\0')
		kc_copy(st->admission, sizeof(st->admission), "Admitted");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *value = (const char *)st + fields[i].offset;

		if (value[0] != '\0')
			ambient_draft_set_str(draft, fields[i].pointer, value);
		else if (ambient_type(*session, fields[i].pointer) != AMBIENT_T_NONE)
			ambient_draft_unset(draft, fields[i].pointer);
	}
	ambient_draft_set_str(draft, "/status/message", st->cond[AS_READY].message);
	ambient_draft_set_int(draft, "/status/observedGeneration", st->generation);
	if (st->runs > 0)
		ambient_draft_set_int(draft, "/status/runs", st->runs);
	if (st->effective != NULL)
		ambient_draft_set_object(draft, "/status/effective", st->effective);
	else if (ambient_type(*session, "/status/effective") != AMBIENT_T_NONE)
		ambient_draft_unset(draft, "/status/effective");
	for (size_t i = 0; st->forget && i < sizeof(reported) / sizeof(reported[0]); i++)
		if (ambient_type(*session, reported[i]) != AMBIENT_T_NONE)
			ambient_draft_unset(draft, reported[i]);
	for (size_t i = 0; st->report != NULL && i < ambient_len(st->report, "/fields"); i++) {
		member = ambient_item(st->report, "/fields", i, &key);
		if (as_terminal(st) && strcmp(key, "agentStatus") == 0)
			continue; /* there is no agent any more, whatever was heard of it last */
		(void)snprintf(pointer, sizeof(pointer), "/status/%s", key);
		ambient_draft_set_object(draft, pointer, member);
	}
	if (st->report != NULL && st->effective != NULL && ambient_type(st->effective, "/activeWorkflow") == AMBIENT_T_NONE &&
	    ambient_type(*session, "/status/reconciledWorkflow") != AMBIENT_T_NONE)
		ambient_draft_unset(draft, "/status/reconciledWorkflow");
	if ((as_terminal(st) || (st->report != NULL && ambient_type(st->report, "/fields/agentStatus") == AMBIENT_T_NONE)) &&
	    ambient_type(*session, "/status/agentStatus") != AMBIENT_T_NONE)
		ambient_draft_unset(draft, "/status/agentStatus");
	kc_put(draft, st->cond, types, AS_CONDITIONS);

	int rc = AMBIENT_CALL_(call, client, status, err, call, draft, &written, err);

	if (rc < 0)
		return rc;
	if (written != NULL)
		*session = written;
	tell(call, *session, st, before);
	return 0;
}
