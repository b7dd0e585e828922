/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workloads: the controllers that a small cluster cannot do without.
 *
 *   plugin.c     declarations, life cycle
 *   jobs.c       a Job's way from its first pod to Complete or Failed
 *   jobview.c    what a Job and its pods look like now, as numbers
 *   jobpods.c    making, deleting, adopting and releasing its pods
 *   jobpolicy.c  podFailurePolicy and successPolicy
 *   jobstatus.c  writing a Job's status and conditions
 *   indexes.c    sets of completion indexes
 *   orphans.c    pods that have lost their Job, or left it
 *   cronjobs.c   CronJobs; their schedules are read by ../shared/cron.c
 *   accounts.c   the "default" ServiceAccount and the ConfigMap "kube-root-ca.crt" of each namespace
 *
 * Nothing is kept between two calls: everything follows from the objects.
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdbool.h>

#include <ambient/ambient.h>

#define JOB        "batch/v1/jobs"
#define CRONJOB    "batch/v1/cronjobs"
#define POD        "v1/pods"
#define NAMESPACE  "v1/namespaces"
#define ACCOUNT    "v1/serviceaccounts"
#define CONFIGMAP  "v1/configmaps"
#define TRACKING   "batch.kubernetes.io/job-tracking"
#define JOB_CONTROLLER "kubernetes.io/job-controller"
#define BY_JOB     "byJob" /* index of pods by the Job's uid in their labels */
#define BY_OWNER   "byOwner" /* index of Jobs by the uids of their owners */
#define A_INDEX    "batch.kubernetes.io/job-completion-index"
#define A_FAILURES "batch.kubernetes.io/job-index-failure-count"
#define A_IGNORED  "batch.kubernetes.io/job-index-ignored-failure-count"

/* ---- indexes.c */

/* Ascending ranges that neither touch nor overlap; memory is the call's. */
struct job_indexes {
	struct job_range {
		int64_t first, last;
	} *at;
	size_t n, cap;
	bool failed; /* out of memory: what was added is lost */
};
/* "1,3-5,7"; what is not below completions, or makes no sense, is left out. */
void job_indexes_parse(struct ambient_call *call, struct job_indexes *set, const char *text, int64_t completions);
void job_indexes_add(struct ambient_call *call, struct job_indexes *set, int64_t index);
void job_indexes_add_all(struct ambient_call *call, struct job_indexes *set, const struct job_indexes *other);
bool job_indexes_has(const struct job_indexes *set, int64_t index);
int64_t job_indexes_total(const struct job_indexes *set);
int64_t job_indexes_common(const struct job_indexes *a, const struct job_indexes *b); /* how many are in both */
/* NULL: out of memory. */
const char *job_indexes_text(struct ambient_call *call, const struct job_indexes *set);

/* ---- jobpolicy.c */

enum job_verdict { JOB_COUNT, JOB_IGNORE, JOB_FAIL_INDEX, JOB_FAIL_JOB };
/* What podFailurePolicy says of a pod that failed.  JOB_FAIL_JOB: *ret_message says why. */
enum job_verdict job_policy_verdict(struct ambient_call *call, const struct ambient_object *job,
				    const struct ambient_object *pod, const char **ret_message);
/* The first rule of successPolicy that these indexes satisfy; -1: none. */
int job_policy_success(struct ambient_call *call, const struct ambient_object *job, const struct job_indexes *done,
		       int64_t completions);

/* ---- jobview.c */

/* What becomes of a tracked pod in this pass. */
enum job_fate {
	JOB_KEEP,         /* it runs, or its end is still needed */
	JOB_COUNT_OK,     /* into status.uncountedTerminatedPods, then its finalizer goes */
	JOB_COUNT_FAILED,
	JOB_RELEASE,      /* its finalizer goes, nothing is counted */
};

struct job_pod {
	const struct ambient_object *obj;
	const char *name, *uid;
	int64_t index;               /* completion index, -1: none or not below completions */
	int64_t failures, ignored;   /* of its index before it, as its annotations say */
	int64_t ended, created;      /* wall ns; ended 0: not yet */
	bool tracked;                /* carries our finalizer: not yet counted for good */
	bool deleting, succeeded, failed, active, ready;
	bool surplus;                /* see job_surplus */
	bool listed_ok, listed_bad;  /* is in the Job's status.uncountedTerminatedPods */
	enum job_verdict verdict;    /* when failed */
	enum job_fate fate;
};

struct job_view {
	const struct ambient_object *job;
	const char *ns, *name, *uid;
	int64_t parallelism, completions; /* completions -1: any success is enough */
	int64_t backoff_limit, deadline;  /* deadline in seconds, -1: none */
	int64_t index_limit, max_failed;  /* backoffLimitPerIndex, maxFailedIndexes; -1: none */
	bool suspend, on_failure, indexed;
	bool replace_failed;              /* podReplacementPolicy Failed: a pod is replaced when it has ended */
	struct job_pod *pods;
	size_t count;
	int64_t active, ready, terminating, restarts;
	int64_t succeeded, failed;        /* all that ever ended, counted for good or not */
	int64_t folded_ok, folded_bad;    /* counted for good after this pass */
	struct job_indexes done, dead;    /* succeeded and failed indexes; dead only with index_limit */
	int64_t streak, last_failure;     /* failures since the last success, and wall ns of the newest */
	int64_t started;                  /* wall ns, 0: not yet */
	const char *fail_message;         /* podFailurePolicy asks to fail the Job */
	const char *finished;             /* "Complete" or "Failed" when it is over */
	const char *target;               /* "SuccessCriteriaMet" or "FailureTarget" when it is decided */
	const char *target_reason, *target_message;
};

/* The pods that the job controls, those that it adopts on the way, and the numbers. */
int job_look(struct ambient_call *call, const struct ambient_object *job, struct job_view *ret,
	     struct ambient_error *err);
/* Sets each pod's fate, once it is known whether the Job has a target; returns how many leave. */
size_t job_settle(struct job_view *v);
/* The newest failed pod of an index that nothing replaces yet; NULL: none. */
struct job_pod *job_last_failure(struct job_view *v, int64_t index);
bool job_condition(const struct ambient_object *obj, const char *type, const char **reason, const char **message,
		   int64_t *since);
/* 1: the labels match spec.selector. */
bool job_selects(const struct ambient_object *job, const struct ambient_object *pod);
/* Wall time in ns of an RFC 3339 string, 0 when it is none; and back ("2026-01-01T00:00:00Z"). */
int64_t job_time(const char *text);
void job_stamp(char buf[32], int64_t wall);

/* ---- jobpods.c */

/* index -1: none.  number: where to begin to look for a free name, advanced. */
int job_create_pod(struct ambient_call *call, struct job_view *v, int64_t index, int64_t *number,
		   struct ambient_error *err);
/* Deletes up to n active pods, the least useful ones first; counted: their end counts as a failure. */
int job_delete_active(struct ambient_call *call, struct job_view *v, int64_t n, bool counted, struct ambient_error *err);
/* Marks the active pods that have an index that is out of range, or that another one has too; returns how many. */
int64_t job_surplus(struct job_view *v);
int job_adopt(struct ambient_call *call, const struct ambient_object *job, const struct ambient_object *pod,
	      struct ambient_error *err);
/* Takes our finalizer off; disown: and the owner reference with this uid. */
int job_untrack(struct ambient_call *call, const struct ambient_object *pod, const char *disown,
		struct ambient_error *err);

/* ---- jobstatus.c */

struct job_change {
	const char *add[2], *reason[2], *message[2]; /* conditions to become True */
	const char *suspended;                       /* "True", "False" or NULL: leave */
	int64_t start;                               /* status.startTime; 0: leave */
	bool complete;                               /* sets completionTime */
};
int job_write_status(struct ambient_call *call, const struct job_view *view, const struct job_change *change,
		     struct ambient_error *err);

int jobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		   struct ambient_result *result, struct ambient_error *err);
int orphans_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		      struct ambient_result *result, struct ambient_error *err);
int cronjobs_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		       struct ambient_result *result, struct ambient_error *err);
int accounts_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		       struct ambient_result *result, struct ambient_error *err);
int rootca_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		     struct ambient_result *result, struct ambient_error *err);

#endif
