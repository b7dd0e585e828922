/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's status, computed whole from what its containers do.  A terminal phase and the containers' ends are
 * written together, and never taken back.
 */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOST "the process that kept this pod is gone, and its containers with it"

struct verdict {
	const char *phase, *reason, *message;
	bool over, initialized, ready, started, disrupted;
};

bool
status_terminal(const struct ambient_object *pod)
{
	const char *phase = ambient_str(pod, "/status/phase", "");

	return strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
}

static void
judge(const struct ambient_object *pod, const struct local *local, const struct pod_state *state, bool alive,
      struct verdict *v)
{
	size_t inits = ambient_len(pod, "/spec/initContainers"), mains = ambient_len(pod, "/spec/containers");
	size_t ok = 0, ready = 0, begun = 0, waits = 0;

	memset(v, 0, sizeof(*v));
	v->over = state->ended || (local->started && !alive);
	v->initialized = true;
	for (size_t i = 0; i < inits; i++) {
		const struct ambient_object *spec = container_at(pod, "/spec/initContainers", i);
		const struct container_state *c = state_of(state, ambient_str(spec, "/name", ""));

		if (life_sidecar(spec)) {
			v->initialized = v->initialized && c != NULL && c->was_up;
			waits += c == NULL || c->state != C_RUNNING || !c->ready;
		} else {
			v->initialized = v->initialized && c != NULL && c->state == C_EXITED && c->code == 0;
		}
	}
	for (size_t i = 0; i < mains; i++) {
		const struct container_state *c =
			state_of(state, ambient_str(container_at(pod, "/spec/containers", i), "/name", ""));

		ok += c != NULL && c->state == C_EXITED && c->code == 0;
		ready += c != NULL && c->state == C_RUNNING && c->ready;
		/* One that is started again has begun: the phase does not go back. */
		begun += c != NULL && (c->state == C_RUNNING || c->state == C_EXITED || c->state == C_WAITING || c->has_last);
	}
	v->started = local->started;
	v->ready = ready == mains && waits == 0 && !v->over;
	if (!v->over) {
		v->phase = begun > 0 ? "Running" : "Pending";
		return;
	}
	v->phase = ok == mains && !state->deadline && state->evicted == NULL ? "Succeeded" : "Failed";
	if (state->evicted != NULL) {
		v->reason = "Evicted";
		v->message = state->evicted;
	} else if (state->deadline) {
		v->reason = "DeadlineExceeded";
		v->message = "Pod was active on the node longer than the specified deadline";
	} else if (!state->ended) {
		v->reason = "NodeLost";
		v->message = LOST;
	}
	/* Its end was the node's doing, not the program's. */
	v->disrupted = state->evicted != NULL || !state->ended;
}

static void
times(struct text *out, const char *started, const char *finished)
{
	char buf[40];

	if (started[0] != '\0') {
		time_stamp(buf, time_parse(started));
		text_printf(out, ",\"startedAt\":\"%s\"", buf);
	}
	if (finished[0] != '\0') {
		time_stamp(buf, time_parse(finished));
		text_printf(out, ",\"finishedAt\":\"%s\"", buf);
	}
}

static void
add_state(struct text *out, const struct ambient_object *pod, const struct local *local,
	  const struct container_state *c, const char *name, bool init, const struct verdict *v, const struct trouble *t)
{
	bool gone = v->over && c != NULL && c->state != C_EXITED && c->state != C_NONE;
	bool hit, waits = c != NULL && c->state == C_WAITING && !c->wanted;
	char buf[40];

	while (t != NULL && t->next != NULL && strcmp(t->container, name) != 0)
		t = t->next;
	hit = t != NULL && t->reason[0] != '\0' && (t->container[0] == '\0' || strcmp(t->container, name) == 0);
	/* While its image is pulled it is where it would be without. */
	hit = hit && !(t->quiet && t->message[0] == '\0');

	text_puts(out, ",\"state\":{");
	if (c != NULL && c->state == C_EXITED) {
		text_printf(out, "\"terminated\":{\"exitCode\":%d,\"reason\":\"%s\"", c->code, c->reason);
		if (c->message != NULL && c->message[0] != '\0') {
			text_puts(out, ",\"message\":");
			text_json(out, c->message);
		}
		times(out, c->started, c->finished);
		text_printf(out, ",\"containerID\":\"ambient://%s/%s/%d\"}", local->uid, name, c->restart);
	} else if (gone) {
		text_puts(out, "\"terminated\":{\"exitCode\":137,\"reason\":\"ContainerStatusUnknown\",\"message\":\"" LOST "\"");
		times(out, c->started, "");
		text_puts(out, "}");
	} else if (c != NULL && c->state == C_RUNNING) {
		time_stamp(buf, time_parse(c->started));
		text_printf(out, "\"running\":{\"startedAt\":\"%s\"}", buf);
	} else {
		text_puts(out, "\"waiting\":{\"reason\":");
		if (waits) {
			text_puts(out, "\"CrashLoopBackOff\",\"message\":");
			text_json(out, c->note != NULL ? c->note : "");
		} else if (hit) {
			text_json(out, t->reason);
			if (t->message[0] != '\0') {
				text_puts(out, ",\"message\":");
				text_json(out, t->message);
			}
		} else if (v->started && !v->initialized) {
			text_puts(out, "\"PodInitializing\"");
		} else {
			text_puts(out, "\"ContainerCreating\"");
		}
		text_puts(out, "}");
	}
	text_puts(out, "}");
}

/* The end of the instance before. */
static void
add_last(struct text *out, const struct local *local, const struct container_state *c, const char *name)
{
	bool waiting = c != NULL && c->state == C_WAITING;
	const char *message;

	text_puts(out, ",\"lastState\":{");
	if (c != NULL && (c->has_last || waiting)) {
		message = waiting ? c->message : c->last_message;
		text_printf(out, "\"terminated\":{\"exitCode\":%d,\"reason\":\"%s\"", waiting ? c->code : c->last_code,
			    waiting ? c->reason : c->last_reason);
		if (message != NULL && message[0] != '\0') {
			text_puts(out, ",\"message\":");
			text_json(out, message);
		}
		times(out, waiting ? c->started : c->last_started, waiting ? c->finished : c->last_finished);
		text_printf(out, ",\"containerID\":\"ambient://%s/%s/%d\"}", local->uid, name, waiting ? c->restart : c->restart - 1);
	}
	text_puts(out, "}");
}

static void
add_container(struct text *out, struct node *node, const struct ambient_object *pod, const struct local *local,
	      const struct ambient_object *spec, bool init, const struct pod_state *state, const struct verdict *v,
	      const struct trouble *t)
{
	const char *name = ambient_str(spec, "/name", ""), *image = ambient_str(spec, "/image", "");
	const struct container_state *c = state_of(state, name);
	bool running = c != NULL && c->state == C_RUNNING && !v->over, sidecar = init && life_sidecar(spec);
	bool ran = c != NULL && c->state != C_NONE;

	text_puts(out, "{\"name\":");
	text_json(out, name);
	text_puts(out, ",\"image\":");
	text_json(out, ran && c->image != NULL ? c->image : image);
	text_puts(out, ",\"imageID\":");
	text_json(out, !ran ? "" : c->image_id != NULL ? c->image_id : "standalone:host");
	text_printf(out, ",\"ready\":%s,\"started\":%s,\"restartCount\":%d",
		    (init && !sidecar ? c != NULL && c->state == C_EXITED && c->code == 0 : running && c->ready) ? "true" : "false",
		    running && c->up ? "true" : "false", c != NULL ? c->restart : 0);
	if (ran)
		text_printf(out, ",\"containerID\":\"ambient://%s/%s/%d\"", local->uid, name, c->restart);
	add_state(out, pod, local, c, name, init, v, t);
	add_last(out, local, c, name);
	text_puts(out, "}");
}

static void
add_containers(struct ambient_draft *d, struct node *node, const struct ambient_object *pod, const struct local *local,
	       const char *list, const char *at, const struct pod_state *state, const struct verdict *v,
	       const struct trouble *t)
{
	struct text out = { 0 };
	size_t n = ambient_len(pod, list);

	if (n == 0)
		return;
	text_puts(&out, "[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			text_puts(&out, ",");
		add_container(&out, node, pod, local, container_at(pod, list, i), strcmp(list, "/spec/initContainers") == 0,
			      state, v, t);
	}
	text_puts(&out, "]");
	if (!out.failed)
		ambient_draft_set_json(d, at, text_str(&out));
	text_fini(&out);
}

static void
add_condition(struct text *out, const struct ambient_object *pod, const char *type, bool yes, const char *reason,
	      const char *message, const char *now)
{
	size_t n = ambient_len(pod, "/status/conditions");
	const char *since = now, *status = yes ? "True" : "False";

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/conditions", i, NULL);

		if (strcmp(ambient_str(c, "/type", ""), type) == 0 && strcmp(ambient_str(c, "/status", ""), status) == 0)
			since = ambient_str(c, "/lastTransitionTime", now);
	}
	text_printf(out, "%s{\"type\":\"%s\",\"status\":\"%s\",\"lastProbeTime\":null,\"lastTransitionTime\":\"%s\"",
		    out->len > 1 ? "," : "", type, status, since);
	if (reason != NULL)
		text_printf(out, ",\"reason\":\"%s\"", reason);
	if (message != NULL) {
		text_puts(out, ",\"message\":");
		text_json(out, message);
	}
	text_puts(out, "}");
}

/* Conditions of others (readiness gates, a DisruptionTarget that is not ours) are kept as they are. */
static void
keep_others(struct text *out, const struct ambient_object *pod, bool disrupted)
{
	static const char *const ours[] = { "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady",
		"PodScheduled" };
	size_t n = ambient_len(pod, "/status/conditions");

	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(pod, "/status/conditions", i, NULL);
		const char *type = ambient_str(c, "/type", ""), *json;
		bool mine = disrupted && strcmp(type, "DisruptionTarget") == 0;
		size_t len = 0;

		for (size_t k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			mine = mine || strcmp(ours[k], type) == 0;
		json = mine ? NULL : ambient_json(c, "", &len);
		if (json != NULL) {
			text_puts(out, out->len > 1 ? "," : "");
			text_put(out, json, len);
		}
	}
}

/* Readiness gates that the conditions of others do not open, as kubelet tells them; empty: none. */
static void
closed_gates(const struct ambient_object *pod, struct text *out)
{
	for (size_t i = 0; i < ambient_len(pod, "/spec/readinessGates"); i++) {
		const char *gate = ambient_str(container_at(pod, "/spec/readinessGates", i), "/conditionType", ""), *status = NULL;

		for (size_t k = 0; k < ambient_len(pod, "/status/conditions"); k++) {
			const struct ambient_object *c = container_at(pod, "/status/conditions", k);

			if (strcmp(ambient_str(c, "/type", ""), gate) == 0)
				status = ambient_str(c, "/status", "");
		}
		if (status != NULL && strcmp(status, "True") == 0)
			continue;
		text_puts(out, out->len > 0 ? ", " : "");
		if (status == NULL)
			text_printf(out, "corresponding condition of pod readiness gate \"%s\" does not exist.", gate);
		else
			text_printf(out, "the status of pod readiness gate \"%s\" is not \"True\", but %s", gate, status);
	}
}

static void
add_conditions(struct ambient_draft *d, const struct ambient_object *pod, const struct verdict *v, int64_t wall)
{
	bool done = v->over && strcmp(v->phase, "Succeeded") == 0;
	const char *why = done ? "PodCompleted" : v->over ? "PodFailed" : v->ready ? NULL : "ContainersNotReady";
	struct text out = { 0 }, gates = { 0 };
	char now[40];

	time_stamp(now, wall);
	text_puts(&out, "[");
	add_condition(&out, pod, "PodReadyToStartContainers", v->started && !v->over, NULL, NULL, now);
	add_condition(&out, pod, "Initialized", v->initialized, v->initialized ? done ? "PodCompleted" : NULL
		      : "ContainersNotInitialized", NULL, now);
	closed_gates(pod, &gates);
	if (v->ready && gates.len > 0)
		add_condition(&out, pod, "Ready", false, "ReadinessGatesNotReady", text_str(&gates), now);
	else
		add_condition(&out, pod, "Ready", v->ready, why, NULL, now);
	text_fini(&gates);
	add_condition(&out, pod, "ContainersReady", v->ready, why, NULL, now);
	add_condition(&out, pod, "PodScheduled", true, NULL, NULL, now);
	if (v->disrupted)
		add_condition(&out, pod, "DisruptionTarget", true, "TerminationByKubelet", v->message, now);
	keep_others(&out, pod, v->disrupted);
	text_puts(&out, "]");
	if (!out.failed)
		ambient_draft_set_json(d, "/status/conditions", text_str(&out));
	text_fini(&out);
}

/* It is not on this node yet: nothing but the reason why. */
static int
write_unscheduled(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct trouble *t,
		  struct ambient_error *err)
{
	struct ambient_draft *d = ambient_draft_from(call, POD, pod);
	struct text out = { 0 };
	char now[40];

	time_stamp(now, node->host->clock->wall(node->host));
	text_puts(&out, "[");
	add_condition(&out, pod, "PodScheduled", false, t->reason, t->message, now);
	keep_others(&out, pod, false);
	text_puts(&out, "]");
	ambient_draft_set_str(d, "/status/phase", "Pending");
	if (!out.failed)
		ambient_draft_set_json(d, "/status/conditions", text_str(&out));
	text_fini(&out);
	return ambient_status(call, d, err);
}

int
status_write(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	     const struct pod_state *state, bool alive, const struct trouble *t, struct ambient_error *err)
{
	struct ambient_draft *d;
	struct verdict v;
	char buf[64];

	if (status_terminal(pod))
		return 0;
	if (t != NULL && schedule_lacks(t))
		return write_unscheduled(node, call, pod, t, err);
	judge(pod, local, state, alive, &v);
	d = ambient_draft_from(call, POD, pod);
	ambient_draft_set_str(d, "/status/phase", v.phase);
	if (v.reason != NULL) {
		ambient_draft_set_str(d, "/status/reason", v.reason);
		ambient_draft_set_str(d, "/status/message", v.message);
	}
	ambient_draft_set_str(d, "/status/hostIP", "127.0.0.1");
	ambient_draft_set_json(d, "/status/hostIPs", "[{\"ip\":\"127.0.0.1\"}]");
	if (v.started) {
		ambient_draft_set_str(d, "/status/podIP", local->ip);
		(void)snprintf(buf, sizeof(buf), "[{\"ip\":\"%s\"}]", local->ip);
		ambient_draft_set_json(d, "/status/podIPs", buf);
	}
	time_stamp(buf, local->accepted);
	ambient_draft_set_str(d, "/status/startTime", buf);
	add_conditions(d, pod, &v, node->host->clock->wall(node->host));
	add_containers(d, node, pod, local, "/spec/initContainers", "/status/initContainerStatuses", state, &v, t);
	add_containers(d, node, pod, local, "/spec/containers", "/status/containerStatuses", state, &v, t);
	return ambient_status(call, d, err);
}
