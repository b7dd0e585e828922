/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that carry a Job's finalizer and have no Job that would take it off: the Job is gone, or another one has its
 * name now.  And pods whose labels the selector of their Job no longer matches: they are let go.
 */
#include "workloads.h"

#include <string.h>

int
orphans_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		  struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *pod, *job, *owner;
	const char *uid, *name;
	int rc = ambient_get(call, POD, req->ns, req->name, &pod, err);

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	if (!ambient_finalizer_has(pod, TRACKING))
		return 0;
	owner = ambient_controller_of(pod);
	name = owner != NULL ? ambient_str(owner, "/name", "")
			     : ambient_str(pod, "/metadata/labels/batch.kubernetes.io~1job-name", "");
	if (owner != NULL && strcmp(ambient_str(owner, "/kind", ""), "Job") != 0)
		return 0;
	rc = ambient_get(call, JOB, req->ns, name, &job, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	if (rc == -AMBIENT_E_NOTFOUND)
		return job_untrack(call, pod, NULL, err);
	uid = ambient_str(job, "/metadata/uid", "");
	if (owner != NULL && strcmp(ambient_str(owner, "/uid", ""), uid) != 0)
		return job_untrack(call, pod, NULL, err);
	if (strcmp(ambient_str(job, "/spec/managedBy", JOB_CONTROLLER), JOB_CONTROLLER) != 0 || job_selects(job, pod))
		return 0;
	return job_untrack(call, pod, uid, err);
}
