/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.ttlSecondsAfterFinished: so long after its end a session is deleted, with all that it owns, its workspace too.
 *
 * It is deleted as it was read: one that somebody has changed since, maybe to start it again, has another version and stays.
 * Who has an owner goes with the owner, and a workspace in which another session works is not taken away from under it.
 */
#include "plugins/agenticsession/agenticsession.h"

#define LONGEST_SLEEP (60 * AMBIENT_MINUTE) /* the wall clock may be set meanwhile */

int
as_expire(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, int64_t *again,
	  struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *name = ambient_str(session, "/metadata/name", "");
	int64_t ttl = ambient_int(session, "/spec/ttlSecondsAfterFinished", -1), left;
	bool used = false;
	char options[256];
	int rc;

	if (ttl < 0 || ambient_len(session, "/metadata/ownerReferences") > 0 || !kc_time_parse(st->completion, &left))
		return 0;
	left += ttl * AMBIENT_SECOND - st->now;
	if (left > 0) {
		left = left < LONGEST_SLEEP ? left : LONGEST_SLEEP;
		*again = *again == 0 || left < *again ? left : *again;
		return 0;
	}
	if ((rc = as_workspace_used(call, session, st, &used, err)) < 0 || used)
		return rc;
	(void)snprintf(options, sizeof(options), "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"%.64s\","
		       "\"resourceVersion\":\"%.64s\"}}", ambient_str(session, "/metadata/uid", ""),
		       ambient_str(session, "/metadata/resourceVersion", ""));
	rc = ambient_delete(call, AS_SESSION, ns, name, options, err);
	if (rc == 0)
		ambient_event(call, session, "Normal", "Expired", "deleted %lld s after its end, as ttlSecondsAfterFinished says",
			      (long long)ttl);
	return rc;
}
