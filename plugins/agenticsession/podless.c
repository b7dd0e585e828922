/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a Job has no pod, or a pod no containers.  A quota, a limit range or an admission rule refuses the pod, not the Job: nothing in
 * the Job's status says so, only an Event of the Job controller, which goes on trying.  Nor does a kubelet that cannot mount a Secret say
 * so anywhere but in an Event of the pod.  Events are not watched, there are too many of them.  Those of one object are read when it
 * has waited for PATIENCE, and again whenever it has waited for twice as long, so that one who waits for hours costs next to
 * nothing.  What it waits for, once it is made, is seen by its watch.
 */
#include "plugins/agenticsession/agenticsession.h"

#define PATIENCE (5 * AMBIENT_SECOND)
#define LONGEST  (10 * AMBIENT_MINUTE)
#define RETRIES  (150 * AMBIENT_SECOND) /* a kubelet tries to mount at least every 122 s: what it said before, it says no more */

static const char *
time_of(const struct ambient_object *event)
{
	const char *last = ambient_str(event, "/lastTimestamp", "");

	return last[0] != '\0' ? last : ambient_str(event, "/series/lastObservedTime", ambient_str(event, "/eventTime", ""));
}

/* The last event of an object with that reason; NULL: there is none, or nobody may know, or it is too early to ask. */
static int
last_event(struct ambient_call *call, struct as_facts *facts, const struct ambient_object *of, const char *reason, int64_t now,
	   const struct ambient_object **ret, struct ambient_error *err)
{
	struct ambient_ask ask = { .size = sizeof(ask), .verb = "list", .kind = AS_EVENT, .limit = 50 };
	const struct ambient_object *list = NULL;
	const char *last = "";
	char fields[128];
	int64_t made = now;
	int rc;

	*ret = NULL;
	(void)kc_time_parse(ambient_str(of, "/metadata/creationTimestamp", ""), &made);
	if (now < made + PATIENCE) {
		facts->ask_again = made + PATIENCE - now;
		return 0;
	}
	facts->ask_again = now - made < LONGEST ? now - made : LONGEST;
	(void)snprintf(fields, sizeof(fields), "involvedObject.uid=%.64s,reason=%s", ambient_str(of, "/metadata/uid", ""), reason);
	ask.fields = fields;
	ask.ns = ambient_str(of, "/metadata/namespace", "");
	rc = ambient_ask(call, &ask, &list, err);
	/* Roles of an older release do not allow it: then nobody says why. */
	if (rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_UNSUPPORTED)
		return 0;
	for (size_t i = 0; rc == 0 && i < ambient_len(list, "/items"); i++) {
		const struct ambient_object *event = ambient_item(list, "/items", i, NULL);

		if (strcmp(time_of(event), last) < 0)
			continue;
		last = time_of(event);
		*ret = event;
	}
	return rc;
}

int
as_podless(struct ambient_call *call, struct as_facts *facts, int64_t now, struct ambient_error *err)
{
	const struct ambient_object *event = NULL;
	int rc;

	if (facts->job != AS_JOB_ACTIVE || facts->job_deleting || facts->pod != NULL)
		return 0;
	rc = last_event(call, facts, facts->job_object, "FailedCreate", now, &event, err);
	if (event != NULL)
		facts->no_pod = ambient_str(event, "/message", "");
	return rc;
}

int
as_unmounted(struct ambient_call *call, struct as_facts *facts, int64_t now, struct ambient_error *err)
{
	struct as_container *c = &facts->runner;
	const struct ambient_object *event = NULL;
	int64_t said = 0;
	int rc;

	if (facts->job != AS_JOB_ACTIVE || facts->pod == NULL || facts->pod_deleting || c->state != AS_C_WAITING || c->message[0] != '\0' ||
	    strcmp(c->reason, "ContainerCreating") != 0)
		return 0;
	rc = last_event(call, facts, facts->pod, "FailedMount", now, &event, err);
	if (event != NULL && kc_time_parse(time_of(event), &said) && now < said + RETRIES)
		c->message = ambient_str(event, "/message", "");
	return rc;
}
