/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a Job has no pod.  A quota, a limit range or an admission rule refuses the pod, not the Job: nothing in the Job's
 * status says so, only an Event of the Job controller, which goes on trying.  Events are not watched, there are too many of
 * them.  Those of one Job are read when it has had no pod for PATIENCE, and again whenever it has been without for twice as
 * long, so that one who waits for hours costs next to nothing.  The pod itself, once it is made, is seen by its watch.
 */
#include "plugins/agenticsession/agenticsession.h"

#define PATIENCE (5 * AMBIENT_SECOND)
#define LONGEST  (10 * AMBIENT_MINUTE)

static const char *
time_of(const struct ambient_object *event)
{
	const char *last = ambient_str(event, "/lastTimestamp", "");

	return last[0] != '\0' ? last : ambient_str(event, "/series/lastObservedTime", ambient_str(event, "/eventTime", ""));
}

int
as_podless(struct ambient_call *call, struct as_facts *facts, int64_t now, struct ambient_error *err)
{
	const struct ambient_object *job = facts->job_object, *list = NULL;
	struct ambient_ask ask = { .size = sizeof(ask), .verb = "list", .kind = AS_EVENT, .limit = 50 };
	const char *last = "";
	char fields[128];
	int64_t made = now;
	int rc;

	if (facts->job != AS_JOB_ACTIVE || facts->job_deleting || facts->pod != NULL)
		return 0;
	(void)kc_time_parse(ambient_str(job, "/metadata/creationTimestamp", ""), &made);
	if (now < made + PATIENCE) {
		facts->ask_again = made + PATIENCE - now;
		return 0;
	}
	facts->ask_again = now - made < LONGEST ? now - made : LONGEST;
	(void)snprintf(fields, sizeof(fields), "involvedObject.uid=%.64s,reason=FailedCreate", ambient_str(job, "/metadata/uid", ""));
	ask.fields = fields;
	ask.ns = ambient_str(job, "/metadata/namespace", "");
	rc = ambient_ask(call, &ask, &list, err);
	/* Roles of an older release do not allow it: then nobody says why. */
	if (rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_UNSUPPORTED)
		return 0;
	for (size_t i = 0; rc == 0 && i < ambient_len(list, "/items"); i++) {
		const struct ambient_object *event = ambient_item(list, "/items", i, NULL);

		if (strcmp(time_of(event), last) < 0)
			continue;
		last = time_of(event);
		facts->no_pod = ambient_str(event, "/message", "");
	}
	return rc;
}
