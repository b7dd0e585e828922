/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reconcile: the steps, and which writes come before which.
 *
 *   1. the plan (run id, effective values) is written to status before anything of the run exists;
 *   2. the objects that the Job needs, then the Job, which carries the run id;
 *   3. a verdict or the wish to stop is written before the Job is deleted for it;
 *   4. a session that is started again goes back to Pending in one write; the Job and the pods of the run before are gone
 *      before the next Job is made, since both work in the same files.
 *
 * So whatever the daemon dies between, the next reconcile finds in status what was decided and in the cluster what
 * was done, and goes on.  The Job's name is the session's, and it is only created, never changed: two daemons cannot
 * both start a run.
 */
#include "plugins/agenticsession/agenticsession.h"

#include <sys/random.h>

#define LINGER (10 * AMBIENT_SECOND) /* for the agent's container to end after the runner's */
#define QUOTA_SOON (5 * AMBIENT_SECOND)
#define QUOTA_LATE AMBIENT_MINUTE

struct pass {
	const struct as_plugin *plugin;
	struct ambient_call *call;
	const struct ambient_object *session;
	const char *ns, *name;
	struct as_status st;
	struct as_facts facts;
	struct ambient_result *result;
	struct ambient_error *err;
};

static int
save(struct pass *p)
{
	int rc = as_status_write(p->call, &p->session, &p->st, p->err);

	/* A race that was lost, not an error: the watch is about to say that the session is gone. */
	if (rc == -AMBIENT_E_NOTFOUND)
		rc = ambient_err(p->err, AMBIENT_E_CONFLICT, "session \"%s/%s\" was deleted meanwhile", p->ns, p->name);
	return rc;
}

static int
refused(struct pass *p, const char *reason, const char *message)
{
	char text[sizeof(p->st.cond[0].message)];

	kc_copy(text, sizeof(text), message);
	as_set(&p->st, AS_SPEC_VALID, KC_FALSE, reason, "%s", text);
	as_advise(text, sizeof(text), reason);
	as_set(&p->st, AS_FAILED, KC_TRUE, reason, "%s", text);
	as_set(&p->st, AS_READY, KC_FALSE, reason, "%s", text);
	ambient_time(p->st.completion, p->st.now);
	return save(p);
}

/* Whether the namespace is one of ours. */
static int
managed(struct pass *p, bool *ret)
{
	const struct ambient_object *ns = NULL;
	int rc = ambient_get(p->call, AS_NS, "", p->ns, &ns, p->err);

	*ret = rc == 0 && strcmp(ambient_str(ns, AS_MANAGED, ""), "true") == 0;
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

/* Running or Stopped: of spec.desiredState and the annotation, the one that was seen to change last.  An annotation
 * counts as changed when its value or its time of request does; both new at once: the annotation, since somebody
 * asked for it after writing the spec.  Who says Running of a session that has ended, or is about to, wants another
 * run; that is kept until the run is planned. */
static void
read_intent(struct pass *p)
{
	bool over = as_terminal(&p->st) || as_is(&p->st, AS_STOPPED, KC_FALSE), asked = false;
	struct as_status *st = &p->st;
	const char *spec = ambient_str(p->session, "/spec/desiredState", "");
	char annotation[KW_WISH_MAX];
	bool stop;

	kw_wish(p->session, annotation);
	stop = strncmp(annotation, "Stopped@", 8) == 0;
	if (strcmp(spec, st->intent_spec) != 0) {
		asked = strcmp(spec, "Running") == 0 || (spec[0] == '\0' && strcmp(st->intent_spec, "Stopped") == 0);
		(void)snprintf(st->intent_spec, sizeof(st->intent_spec), "%.15s", spec);
		(void)snprintf(st->intent, sizeof(st->intent), "%.15s", spec[0] != '\0' ? spec : "Running");
	}
	if (strcmp(annotation, st->intent_annotation) != 0) {
		kc_copy(st->intent_annotation, sizeof(st->intent_annotation), annotation);
		if (annotation[0] != '\0')
			(void)snprintf(st->intent, sizeof(st->intent), "%s", stop ? "Stopped" : "Running");
		asked = annotation[0] != '\0' ? !stop : asked;
	}
	if (strcmp(st->intent, "Stopped") == 0)
		st->again[0] = '\0';
	else if (asked && over)
		(void)snprintf(st->again, sizeof(st->again), "true");
}

/* A word in the annotation that nobody knows changes nothing; whoever wrote it thinks that it does. */
static void
judge_wish(struct pass *p)
{
	const char *word = kw_unknown_wish(p->session);
	char before[sizeof(p->st.cond[0].message)];

	kc_copy(before, sizeof(before), p->st.cond[AS_WISH_VALID].message);
	if (word[0] != '\0') {
		as_set(&p->st, AS_WISH_VALID, KC_FALSE, "UnknownWord", "the annotation ambient-code.io/desired-phase says \"%.60s\", which has no "
		       "effect; the words that are known are Running and Stopped", word);
		if (strcmp(before, p->st.cond[AS_WISH_VALID].message) != 0)
			ambient_event(p->call, p->session, "Warning", "DesiredPhaseUnknown", "%s", p->st.cond[AS_WISH_VALID].message);
	} else if (as_is(&p->st, AS_WISH_VALID, KC_FALSE)) {
		as_set(&p->st, AS_WISH_VALID, KC_TRUE, "Valid", "%s", "");
	}
}

static bool
wants_stop(const struct pass *p)
{
	return strcmp(p->st.intent, "Stopped") == 0;
}

static int
new_run_id(struct pass *p)
{
	unsigned char bytes[8];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return ambient_err(p->err, AMBIENT_E_UNAVAILABLE, "the kernel gives no random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(p->st.run_id + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

static int
begin_run(struct pass *p)
{
	bool admitted = false, alone = false;
	int rc = as_workspace_free(p->call, p->session, &p->st, &alone, p->err);

	if (rc < 0)
		return rc;
	if (!alone) { /* not in the queue meanwhile: it could not use its place */
		p->st.admission[0] = '\0';
		return save(p);
	}
	rc = as_admit(p->plugin, p->call, p->session, &p->st, &admitted, p->err);

	if (rc < 0)
		return rc;
	if (!admitted)
		return save(p);
	as_set(&p->st, AS_READY, KC_FALSE, "Provisioning", "%s", "creating what the run needs");
	if ((rc = new_run_id(p)) < 0)
		return rc;
	as_name(p->st.job, "", p->name, "-job");
	p->st.runs++;
	return save(p);
}

/* What a session may ask of its agent, and how a runner type says in its fragment's "honours" that it does it. */
static const struct {
	const char *path, *effective, *list, *name; /* where in status.effective, or what in the session is not empty */
} asked[] = {
	{ "spec.llmSettings.temperature", "/temperature", NULL, "temperature" },
	{ "spec.llmSettings.maxTokens", "/maxTokens", NULL, "maxTokens" },
	{ "spec.mcpServers.custom", NULL, "/spec/mcpServers/custom", "mcpServers" },
	{ "spec.mcpServers.disabled", NULL, "/spec/mcpServers/disabled", "mcpServers" },
};

static bool
honours(const struct ambient_object *fragment, const char *name)
{
	for (size_t i = 0; fragment != NULL && i < ambient_len(fragment, "/honours"); i++)
		if (strcmp(ambient_str(ambient_item(fragment, "/honours", i, NULL), "", ""), name) == 0)
			return true;
	return false;
}

static void
add_path(char *text, size_t size, const char *before, const char *path)
{
	size_t n = strlen(text);

	(void)snprintf(text + n, size - n, "%s%s", before, path);
}

/* What only a chat has, or what it has not; 300 seconds are what clients of the newer shape write into all of theirs. */
static void
add_unused_of_mode(char *text, size_t size, const struct ambient_object *spec, const struct ambient_object *effective)
{
	const char *before = text[0] != '\0' ? "; in a session that is not interactive: " : "without effect in a session that is not interactive: ";
	int64_t timeout = ambient_int(spec, "/timeout", 0);

	if (ambient_bool(effective, "/interactive", 0)) {
		if (timeout > 0 && timeout != 300)
			add_path(text, size, text[0] != '\0' ? "; in a chat: " : "without effect in a chat: ", "spec.timeout");
		return;
	}
	if (ambient_int(spec, "/inactivityTimeout", 0) > 0) {
		add_path(text, size, before, "spec.inactivityTimeout");
		before = ", ";
	}
	if (ambient_bool(spec, "/stopOnRunFinished", 0))
		add_path(text, size, before, "spec.stopOnRunFinished");
}

/* A request is opened after a push, which autoPush or autoPushOnComplete may have turned off. */
static void
add_unused_of_push(char *text, size_t size, const struct ambient_object *effective)
{
	const char *before = text[0] != '\0' ? "; where nothing is pushed: " : "without effect where nothing is pushed: ";
	char path[64];

	for (size_t i = 0; i < ambient_len(effective, "/repos"); i++) {
		const struct ambient_object *repo = ambient_item(effective, "/repos", i, NULL);

		if (!ambient_bool(repo, "/createPR", 0) || ambient_bool(repo, "/push", 0))
			continue;
		(void)snprintf(path, sizeof(path), "spec.repos[%zu].output.createPR", i);
		add_path(text, size, before, path);
		before = ", ";
	}
}

/* No error: older clients write these into every session.  But nobody shall think that it has an effect. */
static void
say_unused(struct pass *p, const char *type, const struct ambient_object *fragment)
{
	char text[480] = "", before[128];

	(void)snprintf(before, sizeof(before), "without effect with runner type \"%.63s\": ", type);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		bool set = asked[i].effective != NULL ? ambient_type(p->st.effective, asked[i].effective) != AMBIENT_T_NONE
						      : ambient_len(p->session, asked[i].list) > 0;

		if (set && !honours(fragment, asked[i].name))
			add_path(text, sizeof(text), text[0] != '\0' ? ", " : before, asked[i].path);
	}
	add_unused_of_mode(text, sizeof(text), ambient_at(p->session, "/spec"), p->st.effective);
	add_unused_of_push(text, sizeof(text), p->st.effective);
	as_set(&p->st, AS_SPEC_VALID, KC_TRUE, "Valid", "%s", text);
}

/* Whom it continues is not there, or not planned; if it never will be, since they wait for each other, that is said of each. */
static int
no_parent(struct pass *p)
{
	char text[512], ring[320];
	int rc;

	kc_copy(text, sizeof(text), p->err->message);
	rc = as_ring(p->plugin, p->call, p->session, strcmp(p->st.told, "ParentRing") != 0, ring, p->err);
	if (rc < 0)
		return rc;
	p->st.effective = NULL;
	p->st.admission[0] = p->st.waits_for[0] = '\0';
	if (ring[0] != '\0')
		as_set(&p->st, AS_READY, KC_FALSE, "ParentRing", "%s, so that none of them can begin; let one of them continue another one or none "
		       "(annotation vteam.ambient-code/parent-session-id), and they go on", ring);
	else
		as_set(&p->st, AS_READY, KC_FALSE, "ParentMissing", "%s", text);
	return save(p);
}

/* Step 1: what will run, and under which id. */
static int
plan(struct pass *p, const struct ambient_object **fragment)
{
	const struct ambient_object *settings = NULL, *problems = NULL;
	const struct ambient_host *host = p->call->host;
	const char *type;
	char text[512];
	int rc = ambient_get(p->call, AS_SETTINGS, p->ns, "projectsettings", &settings, p->err);

	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	/* A run that was planned keeps its values, whatever the spec says by now. */
	if (p->st.run_id[0] == '\0' || p->st.effective == NULL) {
		rc = as_effective(p->plugin, p->call, p->session, settings, &p->st.effective, p->err);
		if (rc == -AMBIENT_E_INVALID) {
			(void)snprintf(text, sizeof(text), "%s", p->err->message);
			return refused(p, "SpecInvalid", text);
		}
		if (rc == -AMBIENT_E_NOTFOUND)
			return no_parent(p);
		if (rc < 0)
			return rc;
	}
	if (!AMBIENT_HAS(host, runner_plan))
		return ambient_err(p->err, AMBIENT_E_UNSUPPORTED, "this host knows no runner types");
	type = ambient_str(p->st.effective, "/runnerType", "");
	rc = host->runner_plan(p->call, type, p->session, settings, p->st.effective, fragment, &problems, p->err);
	if (rc == -AMBIENT_E_NOTFOUND) {
		const char *loaded = AMBIENT_HAS(host, runner_types) ? host->runner_types(host) : NULL;

		(void)snprintf(text, sizeof(text), "runner type \"%s\" is not loaded; those that are: %.300s", type,
			       loaded != NULL && loaded[0] != '\0' ? loaded : "none");
		return refused(p, "RunnerTypeUnknown", text);
	}
	if (rc < 0)
		return rc;
	if (problems != NULL && ambient_len(problems, "") > 0) {
		(void)snprintf(text, sizeof(text), "%.200s: %.280s", ambient_str(problems, "/0/field", "spec.runnerConfig"),
			       ambient_str(problems, "/0/message", "is not what the runner type takes"));
		return refused(p, "SpecInvalid", text);
	}
	say_unused(p, type, *fragment);
	if ((rc = as_changes(p->plugin, p->call, p->session, &p->st, p->err)) < 0 || p->st.run_id[0] != '\0')
		return rc;
	as_admit_begin(p->plugin);
	rc = begin_run(p);
	as_admit_end(p->plugin);
	return rc;
}

/* A run that was planned in another pass, maybe by a daemon that died: its Job may have been made, and have gone, in what
 * this cache has not heard of yet. */
static int
is_current(struct pass *p)
{
	const struct ambient_object *live = NULL;
	int rc = ambient_get_live(p->call, AS_SESSION, p->ns, p->name, &live, p->err);

	if (rc == -AMBIENT_E_NOTFOUND || (rc == 0 && strcmp(ambient_str(live, "/metadata/resourceVersion", ""),
							     ambient_str(p->session, "/metadata/resourceVersion", "")) != 0))
		return ambient_err(p->err, AMBIENT_E_CONFLICT, "session \"%s/%s\" is not as the cache has it", p->ns, p->name);
	return rc;
}

/* An object of the run is refused: said where those look who must act or wait.  Unlike a pod, what we make ourselves stays
 * behind an end: room comes when a session is deleted.  Nobody tells when a quota has room again (ADR
 * 75), so the server is asked whenever the session has waited for twice as long; all else is tried with growing delays. */
static int
not_made(struct pass *p, int rc)
{
	struct ambient_error hidden = AMBIENT_ERROR_INIT;
	struct ambient_error *err = p->err;
	int64_t since = p->st.now, again;
	char text[512];

	kc_copy(text, sizeof(text), err->message);
	if (rc == -AMBIENT_E_FORBIDDEN && strstr(text, "exceeded quota") != NULL) {
		as_set(&p->st, AS_READY, KC_FALSE, "QuotaExceeded", "%.400s; it goes on when sessions of the project are deleted, or with a larger quota", text);
		if ((rc = save(p)) < 0)
			return rc;
		(void)kc_time_parse(p->st.queued, &since);
		again = p->st.now - since;
		return ambient_requeue_after(p->result, again < QUOTA_SOON ? QUOTA_SOON : again > QUOTA_LATE ? QUOTA_LATE : again);
	}
	if (rc == -AMBIENT_E_CONFLICT)
		as_set(&p->st, AS_READY, KC_FALSE, "Provisioning", "waiting for what is in the way: %.400s", text);
	else
		as_set(&p->st, AS_READY, KC_FALSE, rc == -AMBIENT_E_EXISTS ? "NameConflict" : "JobCreationFailed", "%s", text);
	p->err = &hidden;
	(void)save(p);
	p->err = err;
	return rc;
}

/* Step 2.  A Job of an earlier run makes way first. */
static int
provision(struct pass *p)
{
	const struct ambient_object *fragment = NULL;
	bool planned_before = p->st.run_id[0] != '\0', shown = false;
	int rc = planned_before ? is_current(p) : 0;

	if (rc == 0)
		rc = plan(p, &fragment);
	if (rc < 0 || as_terminal(&p->st) || p->st.run_id[0] == '\0')
		return rc;
	if (p->facts.job_object != NULL)
		return as_delete_job(p->call, p->facts.job_object, p->err);
	if (p->facts.earlier != NULL) {
		as_set(&p->st, AS_READY, KC_FALSE, "Restarting", "waiting for pod \"%s\" of the run before to end; it works in "
		       "the same files", ambient_str(p->facts.earlier, "/metadata/name", ""));
		return save(p);
	}
	if ((rc = as_content_away(p->call, p->session, &shown, p->err)) < 0)
		return rc;
	if (shown) {
		as_set(&p->st, AS_READY, KC_FALSE, "Restarting", "%s", "waiting for the pod that shows the session's files to end");
		return save(p);
	}
	rc = as_provision(p->plugin, p->call, p->session, &p->st, p->err);
	if (rc == 0) {
		as_set(&p->st, AS_PVC_READY, KC_TRUE, "Created", "%s", "");
		rc = as_create_job(p->plugin, p->call, p->session, &p->st, fragment, p->err);
	}
	if (rc == 0)
		rc = as_changes_made(p->call, p->session, &p->st, p->err);
	if (rc == -AMBIENT_E_EXISTS || rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_CONFLICT)
		return not_made(p, rc);
	if (rc < 0)
		return rc;
	as_set(&p->st, AS_JOB_CREATED, KC_TRUE, "JobCreated", "Job \"%s\"", p->st.job);
	as_set(&p->st, AS_READY, KC_FALSE, "Creating", "waiting for the pod of Job \"%s\"", p->st.job);
	return save(p);
}

static int
stopped(struct pass *p)
{
	as_set(&p->st, AS_STOPPED, KC_TRUE, "UserStopped", "%s", "stopped as asked");
	as_set(&p->st, AS_READY, KC_FALSE, "UserStopped", "%s", "stopped as asked");
	(void)snprintf(p->st.stopped_reason, sizeof(p->st.stopped_reason), "user");
	ambient_time(p->st.completion, p->st.now);
	return save(p);
}

/* How long from now a run that is over, since `since`, has to end by itself; 0: its Job is to go now.  A runner that can hear of
 * it does so, and its pod stays with its log as long as the Job does; without one nothing is there that could end. */
static int64_t
has_time_to_end(const struct pass *p, int64_t since)
{
	const struct as_facts *f = &p->facts;
	bool rescue = p->st.effective != NULL && ambient_bool(p->st.effective, "/rescue", 0);
	int64_t end = since + LINGER, again;

	if (f->job != AS_JOB_ACTIVE || f->pod_deleting || f->node_silent)
		return 0;
	if (f->runner.state == AS_C_RUNNING && !as_silent(p->plugin, &p->st, &again))
		end += (rescue ? AS_RESCUE_GRACE_S : AS_GRACE_S) * AMBIENT_SECOND;
	else if (f->runner.state != AS_C_TERMINATED)
		return 0;
	return p->st.now < end ? end - p->st.now : 0;
}

/* Step 3, the wish: said first, for the runner too; then the pod has ended, or its Job goes and the pod with it. */
static int
stop(struct pass *p)
{
	const struct ambient_object *job = p->facts.job_object;
	char text[512];
	int64_t again, since = p->st.now, left;
	int rc;

	if ((rc = as_report_read(p->call, p->session, &p->st, false, &p->st.report, p->err)) < 0)
		return rc;
	if (p->facts.pod != NULL ? as_pod_ended(p->facts.pod) : job == NULL) {
		rc = as_report_read(p->call, p->session, &p->st, true, &p->st.report, p->err);
		return rc < 0 ? rc : stopped(p);
	}
	if (!as_is(&p->st, AS_STOPPED, KC_FALSE)) {
		as_set(&p->st, AS_STOPPED, KC_FALSE, "Stopping", "%s", "ending the run");
		as_set(&p->st, AS_READY, KC_FALSE, "Stopping", "%s", "ending the run");
	}
	if (as_lost(&p->facts, p->st.now, text, &again))
		as_set(&p->st, AS_READY, KC_FALSE, "NodeLost", "%s; the session is Stopped then", text);
	if (again > 0)
		(void)ambient_requeue_after(p->result, again);
	if ((rc = save(p)) < 0 || job == NULL || ambient_deleting(job))
		return rc;
	(void)kc_time_parse(p->st.cond[AS_STOPPED].since, &since);
	left = has_time_to_end(p, since);
	return left > 0 ? ambient_requeue_after(p->result, left) : as_delete_job(p->call, job, p->err);
}

/* A Job that goes on after the end is ended. */
static int
end_job(struct pass *p, int64_t *again)
{
	int64_t ended = p->st.now;

	if (p->facts.job != AS_JOB_ACTIVE || p->facts.job_deleting)
		return 0;
	(void)kc_time_parse(p->st.completion, &ended);
	*again = has_time_to_end(p, ended);
	return *again > 0 ? 0 : as_delete_job(p->call, p->facts.job_object, p->err);
}

/* Its files, for those who ask; noted is what was served. */
static int
show(struct pass *p)
{
	int rc = as_content(p->plugin, p->call, p->session, &p->st, p->err);

	return rc < 0 ? rc : save(p);
}

/* After the end the verdict stands, and only the runner's last report may still come.  The cache may be older than what the
 * server was asked for at the end: a report that is not the last one says nothing new. */
static int
finish(struct pass *p)
{
	int64_t again = 0;
	bool ours = false;
	int rc = as_report_read(p->call, p->session, &p->st, false, &p->st.report, p->err);

	if (rc == 0 && p->st.report != NULL && strcmp(ambient_str(p->st.report, "/state", ""), "done") != 0)
		p->st.report = NULL;
	if (rc < 0 || (rc = save(p)) < 0 ||
	    (rc = as_admit_others(p->plugin, p->call, p->ns, p->name, p->err)) < 0 ||
	    (rc = as_workspace_wake(p->plugin, p->call, p->session, &p->st, p->err)) < 0 || (rc = end_job(p, &again)) < 0 ||
	    (rc = managed(p, &ours)) < 0 ||
	    (ours && (rc = show(p)) < 0) || (ours && (rc = as_expire(p->call, p->session, &p->st, &again, p->err)) < 0))
		return rc;
	return again > 0 ? ambient_requeue_after(p->result, again) : 0;
}

/* Without these a run could not report; whoever deletes one of them may have deleted more. */
static int
mend(struct pass *p)
{
	static const struct {
		const char *kind, *prefix, *suffix;
	} needed[] = {
		{ AS_CM, "", "-report" },
		{ AS_SA, "ambient-session-", "" },
		{ AS_ROLE, "ambient-session-", "-role" },
		{ AS_BINDING, "ambient-session-", "-rb" },
	};
	const struct ambient_object *there = NULL;
	char name[AS_NAME_MAX];

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		as_name(name, needed[i].prefix, p->name, needed[i].suffix);
		int rc = ambient_get(p->call, needed[i].kind, p->ns, name, &there, p->err);

		if (rc == -AMBIENT_E_NOTFOUND)
			return as_provision(p->plugin, p->call, p->session, &p->st, p->err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The run has ended while the runner had not said that an edit is in effect.  Of a batch session it is the timeout, which we
 * keep as well: where that ended the run, nobody needs to hear of it from the runner. */
static void
edit_at_end(struct pass *p)
{
	if (strcmp(p->st.cond[AS_RECONCILED].reason, "Applying") != 0)
		return;
	if (as_is(&p->st, AS_FAILED, KC_TRUE) && strcmp(p->st.cond[AS_FAILED].reason, "Timeout") == 0 &&
	    ambient_bool(p->st.effective, "/edited", 0))
		as_set(&p->st, AS_RECONCILED, KC_TRUE, "SpecApplied", "the run ended by the timeout that it was edited to, %lld s",
		       (long long)ambient_int(p->st.effective, "/timeout", 0));
	else
		as_set(&p->st, AS_RECONCILED, KC_FALSE, "NotApplied", "%s",
		       "the run ended before the edit was in effect; the next one begins with it");
}

/* The Job was created: follow it. */
static int
follow(struct pass *p)
{
	const struct ambient_object *job = NULL;
	int64_t again;
	int rc;

	if (p->facts.job == AS_JOB_ABSENT) {
		/* "Deleted" is a verdict: let the API server itself say so, not a cache. */
		rc = ambient_get_live(p->call, AS_JOB, p->ns, p->st.job, &job, p->err);
		if (rc == 0 && strcmp(ambient_str(job, AS_RUN_ID, ""), p->st.run_id) == 0)
			return ambient_requeue_after(p->result, AMBIENT_SECOND);
		if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
			return rc;
	}
	bool over = p->facts.runner.state == AS_C_TERMINATED || p->facts.job != AS_JOB_ACTIVE;

	if (!over && (rc = mend(p)) < 0)
		return rc;
	if (!as_is(&p->st, AS_RUNNER_STARTED, KC_TRUE) && ((rc = as_podless(p->call, &p->facts, p->st.now, p->err)) < 0 ||
							   (rc = as_unmounted(p->call, &p->facts, p->st.now, p->err)) < 0))
		return rc;
	/* The runner's last report and its end travel apart: at the end the server is asked. */
	if ((rc = as_report_read(p->call, p->session, &p->st, over, &p->st.report, p->err)) < 0)
		return rc;
	if (!over && (rc = as_changes(p->plugin, p->call, p->session, &p->st, p->err)) < 0)
		return rc;
	again = as_judge(p->plugin, &p->facts, &p->st);
	if (as_terminal(&p->st))
		edit_at_end(p);
	if ((rc = save(p)) < 0)
		return rc;
	if (as_terminal(&p->st))
		return finish(p);
	if (p->facts.job == AS_JOB_ACTIVE && (rc = as_move_deadline(p->plugin, p->call, p->facts.job_object, &p->st, p->err)) < 0)
		return rc;
	return again > 0 ? ambient_requeue_after(p->result, again) : 0;
}

/* Another run on the same workspace.  Its own write wakes it again. */
static int
start_again(struct pass *p)
{
	as_status_renew(&p->st);
	as_set(&p->st, AS_READY, KC_FALSE, "Restarting", "%s", "starting again as asked");
	return save(p);
}

static int
unmanaged(struct pass *p)
{
	int rc;

	as_set(&p->st, AS_READY, KC_FALSE, "NamespaceNotManaged",
	       "namespace \"%s\" is not labelled ambient-code.io/managed=true; the session goes on when it is", p->ns);
	if (p->st.run_id[0] == '\0')
		p->st.admission[0] = '\0';
	rc = save(p);
	return rc < 0 ? rc : as_admit_others(p->plugin, p->call, p->ns, p->name, p->err);
}

int
as_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	     struct ambient_error *err)
{
	struct pass p = { .plugin = self, .call = call, .ns = req->ns, .name = req->name, .result = result, .err = err };
	bool ours = false;
	int rc = ambient_get(call, AS_SESSION, req->ns, req->name, &p.session, err);

	if (rc == -AMBIENT_E_NOTFOUND) { /* what it owned goes with it */
		rc = as_admit_others(p.plugin, call, req->ns, req->name, err);
		return rc < 0 ? rc : as_workspace_gone(p.plugin, call, req->ns, req->name, err);
	}
	if (rc < 0)
		return rc;
	if (ambient_deleting(p.session))
		return as_admit_others(p.plugin, call, req->ns, req->name, err);
	as_status_load(&p.st, p.session, AMBIENT_HAS(call->host->clock, wall) ? call->host->clock->wall(call->host) : 0);
	if ((rc = as_observe(call, p.session, &p.st, &p.facts, err)) < 0)
		return rc;
	read_intent(&p);
	judge_wish(&p);
	if (as_terminal(&p.st))
		return p.st.again[0] != '\0' ? start_again(&p) : finish(&p);
	/* The Job may be there although the status does not say so: we were interrupted between the two. */
	if (p.facts.job != AS_JOB_ABSENT && !as_is(&p.st, AS_JOB_CREATED, KC_TRUE)) {
		as_set(&p.st, AS_PVC_READY, KC_TRUE, "Created", "%s", "");
		as_set(&p.st, AS_JOB_CREATED, KC_TRUE, "JobCreated", "Job \"%s\"", p.st.job);
	}
	if (as_is(&p.st, AS_STOPPED, KC_FALSE))
		return stop(&p);
	if (as_is(&p.st, AS_JOB_CREATED, KC_TRUE)) {
		bool ended = p.facts.runner.state == AS_C_TERMINATED || p.facts.job == AS_JOB_COMPLETE;

		return wants_stop(&p) && !ended ? stop(&p) : follow(&p);
	}
	if (wants_stop(&p))
		return stopped(&p);
	if ((rc = managed(&p, &ours)) < 0)
		return rc;
	return ours ? provision(&p) : unmanaged(&p);
}
