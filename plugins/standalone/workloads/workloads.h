/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workloads: the controllers that a small cluster cannot do without.
 *
 *   plugin.c    declarations, life cycle
 *   jobs.c      a Job's pods and its way to Complete or Failed
 *   jobview.c   what a Job and its pods look like now, as numbers
 *   jobstatus.c writing a Job's status and conditions
 *   accounts.c  the "default" ServiceAccount and the ConfigMap "kube-root-ca.crt" of each namespace
 *
 * Nothing is kept between two calls: everything follows from the objects.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdbool.h>

#include <ambient/ambient.h>

#define JOB        "batch/v1/jobs"
#define POD        "v1/pods"
#define NAMESPACE  "v1/namespaces"
#define ACCOUNT    "v1/serviceaccounts"
#define CONFIGMAP  "v1/configmaps"
#define TRACKING   "batch.kubernetes.io/job-tracking"

struct job_pod {
	const struct ambient_object *obj;
	const char *name, *uid;
	bool tracked;      /* carries our finalizer: not yet counted for good */
	bool deleting, succeeded, failed, ready;
	bool uncounted;    /* is in the Job's status.uncountedTerminatedPods */
};

struct job_view {
	const struct ambient_object *job;
	const char *ns, *name, *uid;
	int64_t parallelism, completions; /* completions -1: any success is enough */
	int64_t backoff_limit, deadline;  /* deadline in seconds, -1: none */
	bool suspend, on_failure;
	struct job_pod *pods;
	size_t count;
	int64_t active, ready, terminating, restarts;
	int64_t succeeded, failed;        /* all that ever ended, counted for good or not */
	int64_t folded_ok, folded_bad;    /* counted for good after this pass */
	size_t uncounted;                 /* still to lose their finalizer */
	int64_t started;                  /* wall ns, 0: not yet */
	int64_t last_failure;             /* wall ns of the newest failed pod, 0: none */
	const char *finished;             /* "Complete" or "Failed" when it is over */
	int64_t finished_at;
	const char *target;               /* "SuccessCriteriaMet" or "FailureTarget" when it is decided */
	const char *target_reason;
};

int jobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		   struct ambient_result *result, struct ambient_error *err);
int accounts_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		       struct ambient_result *result, struct ambient_error *err);
int rootca_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		     struct ambient_result *result, struct ambient_error *err);

/* jobview.c.  The pods that the job controls, and the numbers. */
int job_look(struct ambient_call *call, const struct ambient_object *job, struct job_view *ret,
	     struct ambient_error *err);
bool job_condition(const struct ambient_object *obj, const char *type, const char **reason, int64_t *since);
bool job_tracked(const struct ambient_object *pod);
/* Wall time in ns of an RFC 3339 string, 0 when it is none; and back ("2026-01-01T00:00:00Z"). */
int64_t job_time(const char *text);
void job_stamp(char buf[32], int64_t wall);

/* jobstatus.c */
struct job_change {
	const char *add[2], *reason[2], *message[2]; /* conditions to become True */
	const char *suspended;                       /* "True", "False" or NULL: leave */
	int64_t start;                               /* status.startTime; 0: none, -1: leave */
	bool complete;                               /* sets completionTime */
};
int job_write_status(struct ambient_call *call, const struct job_view *view, const struct job_change *change,
		     struct ambient_error *err);

#endif
