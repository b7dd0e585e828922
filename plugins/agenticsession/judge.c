/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts -> conditions.  What the runner's container ended with decides before anything that a controller concluded
 * from it; a verdict, once there, stays.  A container that cannot start yet gets startTimeout: registries hiccup and
 * Secrets arrive late, and the kubelet tries again by itself.
 */
#include "plugins/agenticsession/agenticsession.h"

#define LOST_S    60 /* a pod that is still there so long after its time is on a node that does not answer */

#define IMAGE  "check the image and its pull Secret"
#define SECRET "create what is missing"
#define START  "look at the events of the pod"

static const struct waiting {
	const char *reason;
	bool hopeless, secret;
	const char *what_to_do;
} waitings[] = {
	{ "InvalidImageName", true, false, IMAGE },
	{ "ErrImageNeverPull", true, false, IMAGE },
	{ "ErrImagePull", false, false, IMAGE },
	{ "ImagePullBackOff", false, false, IMAGE },
	{ "CreateContainerConfigError", false, true, SECRET },
	{ "CreateContainerError", false, false, START },
	{ "RunContainerError", false, false, START },
	{ "CrashLoopBackOff", false, false, START },
	{ "ContainerCreating", false, true, SECRET }, /* with a message: a volume cannot be made */
};

/* Who takes a pod away, as its condition DisruptionTarget says it. */
static const struct disruption {
	const char *said, *reason, *text;
} disruptions[] = {
	{ "EvictionByEvictionAPI", "PodEvicted", "the pod was evicted from its node" },
	{ "DeletionByTaintManager", "PodEvicted", "the pod was evicted from its node" },
	{ "TerminationByKubelet", "PodEvicted", "the pod was evicted from its node" },
	{ "PreemptionByScheduler", "PodPreempted", "the pod made room for one of higher priority" },
	{ "DeletionByPodGC", "NodeLost", "the pod's node has gone" },
};
#define AGAIN "what the agent wrote is in the workspace; start the session again"

static const struct waiting *
find_waiting(const struct as_container *c)
{
	for (size_t i = 0; c->state == AS_C_WAITING && i < sizeof(waitings) / sizeof(waitings[0]); i++)
		if (strcmp(c->reason, waitings[i].reason) == 0 &&
		    (c->message[0] != '\0' || strcmp(c->reason, "ContainerCreating") != 0))
			return &waitings[i];
	return NULL;
}

static void
fail(struct as_status *st, const char *reason, const char *message)
{
	char text[sizeof(st->cond[0].message)];

	kc_copy(text, sizeof(text), message);
	as_advise(text, sizeof(text), reason);
	as_set(st, AS_FAILED, KC_TRUE, reason, "%s", text);
	as_set(st, AS_READY, KC_FALSE, reason, "%s", text);
	ambient_time(st->completion, st->now);
}

/* The pod was taken away, and did not end by itself.  False: nobody says so. */
static bool
is_disrupted(const struct as_facts *facts, struct as_status *st)
{
	static const struct disruption evicted = { "Evicted", "PodEvicted", "the pod was evicted from its node" };
	const struct disruption *d = NULL;
	const char *more = facts->disruption_message;
	char text[512];

	for (size_t i = 0; i < sizeof(disruptions) / sizeof(disruptions[0]); i++)
		if (strcmp(facts->disruption, disruptions[i].said) == 0)
			d = &disruptions[i];
	if (facts->pod_failed && strcmp(facts->pod_reason, evicted.said) == 0) {
		d = &evicted;
		more = facts->pod_message;
	}
	if (d == NULL)
		return false;
	(void)snprintf(text, sizeof(text), "%s%s%.300s; " AGAIN, d->text, more[0] != '\0' ? ": " : "", more);
	fail(st, d->reason, text);
	return true;
}

/* Is the run past its own timeout, by the wall clock?  *left (may be NULL) gets what is left of it, 0: it has none or
 * has not started. */
static bool
is_late(const struct as_status *st, int64_t *left)
{
	int64_t timeout = st->effective != NULL ? ambient_int(st->effective, "/timeout", 0) : 0, start;

	if (left != NULL)
		*left = 0;
	if (timeout <= 0 || st->start[0] == '\0' || !kc_time_parse(st->start, &start))
		return false;
	if (st->now >= start + timeout * AMBIENT_SECOND)
		return true;
	if (left != NULL)
		*left = start + timeout * AMBIENT_SECOND - st->now;
	return false;
}

static void
has_started(const struct as_facts *facts, struct as_status *st)
{
	if (st->start[0] == '\0') {
		if (facts->runner.started[0] != '\0')
			(void)snprintf(st->start, sizeof(st->start), "%.39s", facts->runner.started);
		else
			ambient_time(st->start, st->now);
	}
	as_set(st, AS_SECRETS_READY, KC_TRUE, "AllRequiredSecretsFound", "%s", "");
	as_set(st, AS_RUNNER_STARTED, KC_TRUE, "ContainerRunning", "%s", "");
}

static void
runner_ended(const struct as_facts *facts, struct as_status *st)
{
	const struct as_container *c = &facts->runner;
	const char *told = st->report != NULL ? ambient_str(st->report, "/message", "") : "", *reason;
	char text[512];

	/* Whether anybody saw it run or not.  One that it could not start has for a kubelet begun in 1970. */
	if (c->started[0] != '\0' && strncmp(c->started, "1970-", 5) != 0)
		has_started(facts, st);
	if (c->exit_code == 0) {
		as_set(st, AS_COMPLETED, KC_TRUE, "Success", "%s", told);
		as_set(st, AS_READY, KC_FALSE, "Completed", "%s", told);
		ambient_time(st->completion, st->now);
		return;
	}
	if (c->message[0] != '\0')
		(void)snprintf(text, sizeof(text), "%.500s", c->message);
	else if (told[0] != '\0')
		(void)snprintf(text, sizeof(text), "%.500s", told);
	else
		(void)snprintf(text, sizeof(text), "the runner ended with exit code %lld%s%s%s",
			       (long long)c->exit_code, c->reason[0] != '\0' ? " (" : "", c->reason,
			       c->reason[0] != '\0' ? ")" : "");
	as_redact(text);
	reason = st->report != NULL ? ambient_str(st->report, "/reason", "") : "";
	if (strcmp(reason, "Inactivity") == 0 && ambient_bool(st->effective, "/interactive", 0)) {
		/* A chat that nobody continued has not failed. */
		as_set(st, AS_STOPPED, KC_TRUE, "Inactivity", "%s", text);
		as_set(st, AS_READY, KC_FALSE, "Inactivity", "%s", text);
		(void)snprintf(st->stopped_reason, sizeof(st->stopped_reason), "inactivity");
		ambient_time(st->completion, st->now);
		return;
	}
	if (c->exit_code > 128 && strcmp(c->reason, "OOMKilled") != 0 && is_disrupted(facts, st))
		return;
	if (facts->pod_deleting && c->exit_code > 128) {
		if (strcmp(facts->job_reason, "DeadlineExceeded") == 0)
			fail(st, "Timeout", facts->job_message);
		else
			fail(st, "PodDeleted", "the pod was deleted before the run ended; " AGAIN);
		return;
	}
	if (strcmp(c->reason, "OOMKilled") == 0) {
		reason = "OOMKilled";
		(void)snprintf(text, sizeof(text), "the runner (exit code %lld) used more memory than its container may have; raise the "
			       "limits that the project gives to containers, or work on smaller repositories", (long long)c->exit_code);
	} else if (facts->agent.state == AS_C_TERMINATED && strcmp(facts->agent.reason, "OOMKilled") == 0) {
		/* The runner can only say that its agent was lost. */
		reason = "OOMKilled";
		(void)snprintf(text, sizeof(text), "the agent used more memory than its container may have; give it more in "
			       "spec.resourceOverrides.memory and start the session again");
	}
	/* The runner keeps the time too; it is believed when the time is really up. */
	if (reason[0] == '\0' || (strcmp(reason, "Timeout") == 0 && !is_late(st, NULL)))
		reason = c->exit_code == 2 ? "PrerequisiteFailed" : "RunnerExit";
	fail(st, reason, text);
}

/* The Job ended, and no container says how. */
static void
job_ended(const struct as_facts *facts, struct as_status *st)
{
	char text[512];

	if (facts->job == AS_JOB_COMPLETE) {
		as_set(st, AS_COMPLETED, KC_TRUE, "Success", "%s", "");
		as_set(st, AS_READY, KC_FALSE, "Completed", "%s", "");
		ambient_time(st->completion, st->now);
	} else if (strcmp(facts->job_reason, "DeadlineExceeded") == 0) {
		const struct kc_cond *ready = &st->cond[AS_READY];

		/* One that never started has what it waited for to say. */
		(void)snprintf(text, sizeof(text), "%.150s%s%.300s", facts->job_message,
			       st->start[0] == '\0' && ready->message[0] != '\0' ? "; the run had not started: " : "",
			       st->start[0] == '\0' ? ready->message : "");
		fail(st, "Timeout", text);
	} else if (is_disrupted(facts, st)) {
		return;
	} else if (facts->pod != NULL && facts->pod_failed) {
		(void)snprintf(text, sizeof(text), "the pod failed%s%s%s%.300s", facts->pod_reason[0] != '\0' ? ": " : "",
			       facts->pod_reason, facts->pod_message[0] != '\0' ? ": " : "", facts->pod_message);
		fail(st, "PodFailed", text);
	} else if (facts->pod == NULL) {
		fail(st, "PodMissing", "the pod was deleted or evicted before it ended; " AGAIN);
	} else {
		(void)snprintf(text, sizeof(text), "the Job failed: %.100s: %.300s", facts->job_reason,
			       facts->job_message);
		fail(st, facts->job_reason[0] != '\0' ? facts->job_reason : "JobFailed", text);
	}
}

static bool
names_secret(const char *text)
{
	return strstr(text, "ecret \"") != NULL || strstr(text, "Secret ") != NULL;
}

/* How much of it, at most so much, is to be shown before what follows. */
static int
trimmed(const char *text, size_t most)
{
	size_t n = strnlen(text, most);

	while (n > 0 && ((unsigned char)text[n - 1] <= ' ' || text[n - 1] == '.'))
		n--;
	return (int)n;
}

static int64_t
cannot_start(const struct as_plugin *plugin, const struct as_facts *facts, const struct waiting *w,
	     const struct as_container *c, struct as_status *st)
{
	int64_t since = st->now, limit = plugin->start_timeout_s * AMBIENT_SECOND, left;
	/* A node that has only one word for all of the pod says which one it means. */
	bool named = strstr(c->message, "container \"") != NULL, secret = w->secret && names_secret(c->message), over;
	const char *reason = secret ? "SecretMissing" : c->reason;
	char text[512];

	(void)kc_time_parse(ambient_str(facts->pod, "/metadata/creationTimestamp", ""), &since);
	over = w->hopeless || st->now >= since + limit;
	(void)snprintf(text, sizeof(text), "%s%.*s%s; %s, %s", named ? "" : c == &facts->runner ? "runner container: " : "agent container: ",
		       trimmed(c->message[0] != '\0' ? c->message : c->reason, 300), c->message[0] != '\0' ? c->message : c->reason,
		       strcmp(w->what_to_do, START) == 0 ? facts->asked : "", w->what_to_do,
		       over ? "then start the session again" : "the session goes on by itself");
	as_redact(text);
	as_set(st, AS_RUNNER_STARTED, KC_FALSE, reason, "%s", text);
	if (secret)
		as_set(st, AS_SECRETS_READY, KC_FALSE, "SecretMissing", "%s", text);
	if (over) {
		fail(st, reason, text);
		return 0;
	}
	as_set(st, AS_READY, KC_FALSE, reason, "%s", text);
	left = since + limit - st->now;
	return facts->ask_again > 0 && facts->ask_again < left ? facts->ask_again : left;
}

/* A runner reports, whatever it does, until it has said how it ended.  One that has missed two of these reports is stuck, or
 * cannot reach the API server: that is said, and nothing is ended for it.  Twice the default is well below the minute in
 * which it must be seen, so that what lies between, a queue or a busy API server, has its time. */
bool
as_silent(const struct as_plugin *plugin, const struct as_status *st, int64_t *ret_again)
{
	const char *beat = st->report != NULL ? ambient_str(st->report, "/heartbeatAt", "") : "";
	int64_t last, silence = 2 * plugin->heartbeat_s * AMBIENT_SECOND;

	*ret_again = 0;
	if (beat[0] == '\0' || strcmp(ambient_str(st->report, "/state", ""), "done") == 0 || !kc_time_parse(beat, &last))
		return false;
	if (last > st->now) /* its node's clock is ahead of ours */
		last = st->now;
	if (st->now >= last + silence)
		return true;
	*ret_again = last + silence - st->now;
	return false;
}

/* Returns when to look again, 0: not at all. */
static int64_t
say_silence(const struct as_plugin *plugin, struct as_status *st)
{
	int64_t again;

	if (as_silent(plugin, st, &again))
		as_set(st, AS_READY, KC_FALSE, "RunnerSilent",
		       "the runner has reported nothing since %.39s: it is stuck or cannot reach the API server; stop the session if "
		       "that does not change", ambient_str(st->report, "/heartbeatAt", ""));
	return again;
}

/* The agent's container ended before the runner had heard of it, which goes on waiting for it: no connection broke that it
 * could notice.  Sure when it says that it still prepares and said so after that end; both are of one machine's clock. */
static bool
agent_is_lost(const struct as_facts *facts, struct as_status *st)
{
	const struct as_container *c = &facts->agent;
	int64_t ended, said;
	char text[512];

	if (c->state != AS_C_TERMINATED || st->report == NULL || strcmp(ambient_str(st->report, "/state", ""), "preparing") != 0 ||
	    !kc_time_parse(c->ended, &ended) || !kc_time_parse(ambient_str(st->report, "/heartbeatAt", ""), &said) ||
	    said < ended + AMBIENT_SECOND)
		return false;
	if (strcmp(c->reason, "OOMKilled") == 0)
		(void)snprintf(text, sizeof(text), "the agent's container used more memory than it may have before the agent began%s; give it more in "
			       "spec.resourceOverrides.memory and start the session again", facts->asked);
	else
		(void)snprintf(text, sizeof(text), "the agent's container ended before the runner had work for it, with exit code %lld%s%s%s%s%.*s%s",
			       (long long)c->exit_code, c->reason[0] != '\0' ? " (" : "", c->reason, c->reason[0] != '\0' ? ")" : "",
			       c->message[0] != '\0' ? ": " : "", trimmed(c->message, 300), c->message, facts->asked);
	as_redact(text);
	fail(st, strcmp(c->reason, "OOMKilled") == 0 ? c->reason : c->exit_code == 2 ? "PrerequisiteFailed" : "AgentLost", text);
	return true;
}

static void
started(const struct as_facts *facts, struct as_status *st)
{
	has_started(facts, st);
	as_set(st, AS_READY, KC_TRUE, "Running", "%s", "");
}

static int64_t
has_no_pod(const struct as_facts *facts, struct as_status *st)
{
	bool quota = strstr(facts->no_pod, "exceeded quota") != NULL;
	char text[512];

	if (as_is(st, AS_RUNNER_STARTED, KC_TRUE))
		return 0; /* it had one: the Job is about to say how that ended */
	if (facts->no_pod[0] == '\0') {
		as_set(st, AS_READY, KC_FALSE, "Creating", "waiting for the pod of Job \"%s\"", st->job);
		return facts->ask_again;
	}
	(void)snprintf(text, sizeof(text), "the Job cannot make its pod: %.*s%s; %s", trimmed(facts->no_pod, 300), facts->no_pod, facts->asked,
		       quota ? "it goes on when others of the project end, or with a larger quota" :
		       facts->asked[0] != '\0' ? "it is tried again; stop the session and start it with what the project allows" : "it is tried again");
	as_redact(text);
	as_set(st, AS_POD_SCHEDULED, KC_FALSE, quota ? "QuotaExceeded" : "PodCreationFailed", "%s", text);
	as_set(st, AS_READY, KC_FALSE, quota ? "QuotaExceeded" : "PodCreationFailed", "%s", text);
	return facts->ask_again;
}

/* A pod that is being deleted still has its time, and its runner the last word.  One whose time has long been over is on a
 * node that does not answer: nothing more will be heard of it, though it may still run. */
bool
as_lost(const struct as_facts *facts, int64_t now, char text[512], int64_t *ret_again)
{
	int64_t end = facts->pod_gone_by + LOST_S * AMBIENT_SECOND;

	*ret_again = 0;
	if (facts->pod_gone_by == 0)
		return false;
	if (now < end) {
		*ret_again = end - now;
		return false;
	}
	(void)snprintf(text, 512, "node \"%.100s\" does not answer: pod \"%.100s\" should have ended and has not.  When the node is "
		       "certain to be off, delete the pod by force (kubectl delete pod --force)", facts->node,
		       ambient_str(facts->pod, "/metadata/name", ""));
	return true;
}

/* Schedulers end their sentences. */
static void
unschedulable(const struct as_facts *facts, struct as_status *st)
{
	char why[330];
	size_t n;

	kc_copy(why, sizeof(why), facts->pod_message);
	n = strlen(why);
	if (n > 0 && why[n - 1] == '.')
		why[n - 1] = '\0';
	as_set(st, AS_READY, KC_FALSE, "Unschedulable", "no node takes the pod: %s%s; it goes on by itself when one does, or stop it, ask for "
	       "less in spec.resourceOverrides and start it again", why, facts->asked);
}

/* What the containers, the pod and the Job say; the run's own deadline comes after it. */
static int64_t
look(const struct as_plugin *plugin, const struct as_facts *facts, struct as_status *st)
{
	const struct waiting *w;
	char text[512];
	int64_t again;

	if (facts->pod != NULL) {
		(void)snprintf(st->pod, sizeof(st->pod), "%s", ambient_str(facts->pod, "/metadata/name", ""));
		if (facts->scheduled)
			as_set(st, AS_POD_SCHEDULED, KC_TRUE, "Scheduled", "on node \"%s\"", facts->node);
		else if (facts->unschedulable)
			as_set(st, AS_POD_SCHEDULED, KC_FALSE, "Unschedulable", "%s", facts->pod_message);
	}
	if (facts->runner.state == AS_C_TERMINATED) {
		runner_ended(facts, st);
		return 0;
	}
	if (facts->job == AS_JOB_ABSENT) {
		fail(st, "JobMissing", "the Job was deleted before it ended; " AGAIN);
		return 0;
	}
	if (facts->pod_gone_by != 0 && facts->job != AS_JOB_COMPLETE && !facts->pod_failed) {
		if (as_lost(facts, st->now, text, &again)) {
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ", then start the session again");
			fail(st, "NodeLost", text);
		}
		return again;
	}
	if (facts->job == AS_JOB_COMPLETE || facts->job == AS_JOB_FAILED || (facts->pod != NULL && facts->pod_failed)) {
		job_ended(facts, st);
		return 0;
	}
	if (facts->pod == NULL)
		return has_no_pod(facts, st);
	if (facts->unschedulable) {
		unschedulable(facts, st);
		return 0;
	}
	if ((w = find_waiting(&facts->runner)) != NULL)
		return cannot_start(plugin, facts, w, &facts->runner, st);
	if ((w = find_waiting(&facts->agent)) != NULL)
		return cannot_start(plugin, facts, w, &facts->agent, st);
	if (facts->runner.state == AS_C_RUNNING && facts->agent.state != AS_C_WAITING) {
		started(facts, st);
		if (agent_is_lost(facts, st))
			return 0;
		if (!facts->node_silent)
			return say_silence(plugin, st);
		as_set(st, AS_READY, KC_FALSE, "NodeNotReady", "node \"%.100s\" does not answer; the run goes on if it comes back, and "
		       "is given up when the cluster gives up the node", facts->node);
		return 0;
	}
	if (!as_is(st, AS_RUNNER_STARTED, KC_TRUE))
		as_set(st, AS_READY, KC_FALSE, "Creating", "%s", "waiting for the containers to start");
	return facts->ask_again;
}

/* Measured from status.startTime on the wall clock, the only time that outlives this process; the Job's own
 * deadline is the backstop should that clock be set back. */
static int64_t
deadline(struct as_status *st)
{
	char text[128];
	int64_t left;

	if (!is_late(st, &left))
		return left;
	(void)snprintf(text, sizeof(text), "the run took longer than its timeout of %lld s",
		       (long long)ambient_int(st->effective, "/timeout", 0));
	fail(st, "Timeout", text);
	return 0;
}

int64_t
as_judge(const struct as_plugin *plugin, const struct as_facts *facts, struct as_status *st)
{
	int64_t again = look(plugin, facts, st), left;

	if (as_terminal(st))
		return 0;
	left = deadline(st);
	return again == 0 || (left != 0 && left < again) ? left : again;
}
