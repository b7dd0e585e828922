/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster shows of a run: its Job and its pod, reduced to the facts that decide. */
#include "plugins/agenticsession/agenticsession.h"

static void
read_container(const struct ambient_object *pod, const char *name, struct as_container *c)
{
	c->reason = c->message = c->started = c->ended = "";
	for (size_t i = 0; i < ambient_len(pod, "/status/containerStatuses"); i++) {
		const struct ambient_object *s = ambient_item(pod, "/status/containerStatuses", i, NULL);

		if (strcmp(ambient_str(s, "/name", ""), name) != 0)
			continue;
		if (ambient_type(s, "/state/terminated") == AMBIENT_T_OBJECT) {
			c->state = AS_C_TERMINATED;
			c->exit_code = ambient_int(s, "/state/terminated/exitCode", -1);
			c->reason = ambient_str(s, "/state/terminated/reason", "");
			c->message = ambient_str(s, "/state/terminated/message", "");
			c->started = ambient_str(s, "/state/terminated/startedAt", "");
			c->ended = ambient_str(s, "/state/terminated/finishedAt", "");
		} else if (ambient_type(s, "/state/running") == AMBIENT_T_OBJECT) {
			c->state = AS_C_RUNNING;
			c->started = ambient_str(s, "/state/running/startedAt", "");
		} else if (ambient_type(s, "/state/waiting") == AMBIENT_T_OBJECT) {
			c->state = AS_C_WAITING;
			c->reason = ambient_str(s, "/state/waiting/reason", "");
			c->message = ambient_str(s, "/state/waiting/message", "");
		}
	}
}

/* The node's own agent says Ready and ContainersReady alike of pods without gates.  Who says otherwise is the controller that has
 * not heard of the node for a while: it takes Ready back and leaves the rest as it was. */
static void
read_conditions(const struct ambient_object *pod, struct as_facts *facts)
{
	bool unready = false, containers_ready = false;

	for (size_t i = 0; i < ambient_len(pod, "/status/conditions"); i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/conditions", i, NULL);
		const char *type = ambient_str(c, "/type", ""), *reason = ambient_str(c, "/reason", "");
		bool is_true = strcmp(ambient_str(c, "/status", ""), "True") == 0;

		if (strcmp(type, "PodScheduled") == 0 && !is_true && strcmp(reason, "Unschedulable") == 0) {
			/* Standalone the pod has the name of its only node from the beginning. */
			facts->unschedulable = true;
			facts->scheduled = false;
			facts->pod_message = ambient_str(c, "/message", "");
		} else if (strcmp(type, "DisruptionTarget") == 0 && is_true) {
			facts->disruption = reason;
			facts->disruption_message = ambient_str(c, "/message", "");
		} else if (strcmp(type, "Ready") == 0) {
			unready = !is_true;
		} else if (strcmp(type, "ContainersReady") == 0) {
			containers_ready = is_true;
		}
	}
	facts->node_silent = (unready && containers_ready) || strcmp(facts->pod_reason, "NodeLost") == 0 ||
			     strcmp(ambient_str(pod, "/status/phase", ""), "Unknown") == 0;
}

static void
read_pod(const struct ambient_object *pod, struct as_facts *facts)
{
	facts->pod = pod;
	facts->pod_failed = strcmp(ambient_str(pod, "/status/phase", ""), "Failed") == 0;
	facts->pod_deleting = ambient_deleting(pod);
	facts->pod_reason = ambient_str(pod, "/status/reason", "");
	facts->pod_message = ambient_str(pod, "/status/message", "");
	facts->node = ambient_str(pod, "/spec/nodeName", "");
	facts->scheduled = facts->node[0] != '\0';
	facts->disruption = facts->disruption_message = "";
	facts->unschedulable = false;
	facts->pod_gone_by = 0;
	if (facts->pod_deleting)
		(void)kc_time_parse(ambient_str(pod, "/metadata/deletionTimestamp", ""), &facts->pod_gone_by);
	read_conditions(pod, facts);
	read_container(pod, "runner", &facts->runner);
	read_container(pod, "agent", &facts->agent);
}

static void
read_job(const struct ambient_object *job, struct as_facts *facts)
{
	facts->job = AS_JOB_ACTIVE;
	facts->job_deleting = ambient_deleting(job);
	for (size_t i = 0; i < ambient_len(job, "/status/conditions"); i++) {
		const struct ambient_object *c = ambient_item(job, "/status/conditions", i, NULL);
		const char *type = ambient_str(c, "/type", "");

		if (strcmp(ambient_str(c, "/status", ""), "True") != 0)
			continue;
		if (strcmp(type, "Complete") == 0)
			facts->job = AS_JOB_COMPLETE;
		if (strcmp(type, "Failed") == 0)
			facts->job = AS_JOB_FAILED;
		else if (strcmp(type, "FailureTarget") != 0)
			continue;
		facts->job_reason = ambient_str(c, "/reason", "");
		facts->job_message = ambient_str(c, "/message", "");
	}
}

static bool
is_of_run(const struct ambient_object *o, const struct as_status *st)
{
	return st->run_id[0] != '\0' && strcmp(ambient_str(o, AS_RUN_ID, ""), st->run_id) == 0;
}

bool
as_pod_ended(const struct ambient_object *pod)
{
	const char *phase = ambient_str(pod, "/status/phase", "");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

static void
read_asked(const struct ambient_object *session, struct as_facts *facts)
{
	const char *cpu = ambient_str(session, "/spec/resourceOverrides/cpu", "");
	const char *memory = ambient_str(session, "/spec/resourceOverrides/memory", "");

	if (cpu[0] != '\0' || memory[0] != '\0')
		(void)snprintf(facts->asked, sizeof(facts->asked), "; spec.resourceOverrides asks for %s%.20s%s%s%.20s", cpu[0] != '\0' ? "cpu " : "", cpu,
			       cpu[0] != '\0' && memory[0] != '\0' ? " and " : "", memory[0] != '\0' ? "memory " : "", memory);
}

int
as_observe(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
	   struct as_facts *facts, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *name = ambient_str(session, "/metadata/name", "");
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_object *job = NULL, *item;
	const struct ambient_list *pods = NULL;
	char label[AS_NAME_MAX], job_name[AS_NAME_MAX], selector[160];
	int rc;

	memset(facts, 0, sizeof(*facts));
	facts->job_reason = facts->job_message = facts->pod_reason = facts->pod_message = facts->node = "";
	facts->disruption = facts->disruption_message = facts->no_pod = "";
	read_asked(session, facts);
	read_container(session, "", &facts->runner);
	read_container(session, "", &facts->agent);
	as_name(job_name, "", name, "-job");
	rc = ambient_get(call, AS_JOB, ns, job_name, &job, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	if (rc == 0 && ambient_owner_at(job, session) >= 0) {
		facts->job_object = job;
		if (is_of_run(job, st))
			read_job(job, facts);
	}
	as_name(label, "", name, "");
	(void)snprintf(selector, sizeof(selector), "app=ambient-code-runner,agentic-session=%s", label);
	options.selector = selector;
	if ((rc = ambient_list(call, AS_POD, &options, &pods, err)) < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, pods); i++) {
		item = ambient_list_item(call, pods, i);
		if (!is_of_run(item, st)) {
			if (!as_pod_ended(item))
				facts->earlier = item;
			continue;
		}
		/* One run has one pod; should there be a second, the one that ran tells what happened. */
		if (facts->pod == NULL || facts->runner.state == AS_C_NONE || facts->runner.state == AS_C_WAITING)
			read_pod(item, facts);
	}
	return 0;
}
