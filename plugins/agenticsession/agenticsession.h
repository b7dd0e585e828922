/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this plugin share.  The way of one reconcile is the reading order:
 *
 *   reconcile.c   the steps, and which writes come before which
 *   expire.c      the deletion of a session that has ended
 *   effective.c   spec + ProjectSettings + configuration -> the values a run uses
 *   changes.c     edits of the spec while a run goes on
 *   workspace.c   whose files it works in, and who else does
 *   admit.c       how many may run at once, and who waits
 *   children.c    the objects of a run
 *   content.c     the pod that shows the files of a session that has ended
 *   observe.c     Job and pod -> facts
 *   podless.c     why a Job has no pod, or a pod no containers
 *   judge.c       facts -> conditions
 *   advice.c      what a person can do about it
 *   phase.c       conditions -> phase
 *   report.c      the runner's report -> status
 *   status.c      the status as a struct, read from and written to the session
 *
 * Nothing is kept between two reconciles but the order of those that wait, which is made anew: whatever must be remembered is in the session's status, written before
 * the step that depends on it.
 */
#ifndef AGENTICSESSION_H
#define AGENTICSESSION_H

#include <stdbool.h>

#include <ambient/ambient.h>

#include "plugins/kind-shared/conditions.h"
#include "plugins/shared/text.h"
#include "plugins/kind-shared/workspace.h"

#define AS_API      "vteam.ambient-code/v1alpha1"
#define AS_SESSION  AS_API "/agenticsessions"
#define AS_SETTINGS AS_API "/projectsettings"
#define AS_NS       "v1/namespaces"
#define AS_POD      "v1/pods"
#define AS_CM       "v1/configmaps"
#define AS_PVC      "v1/persistentvolumeclaims"
#define AS_SA       "v1/serviceaccounts"
#define AS_ROLE     "rbac.authorization.k8s.io/v1/roles"
#define AS_BINDING  "rbac.authorization.k8s.io/v1/rolebindings"
#define AS_JOB      "batch/v1/jobs"
#define AS_POLICY   "networking.k8s.io/v1/networkpolicies"
#define AS_EVENT    "v1/events"

#define AS_MANAGED   "/metadata/labels/ambient-code.io~1managed"
#define AS_RUN_ID    "/metadata/annotations/ambient-code.io~1run-id"
#define AS_OF_SESSION "/metadata/annotations/ambient-code.io~1session"
#define AS_CONTENT   "/metadata/annotations/ambient-code.io~1content-requested"

/* The label of whatever mounts a workspace: the name of the session whose it is, cut like any label. */
#define AS_WORKSPACE "ambient-code.io/workspace"

/* Of each container: the part of the restricted Pod Security Standard that is not the pod's. */
#define AS_LOCKED_DOWN "\"securityContext\":{\"allowPrivilegeEscalation\":false,\"capabilities\":{\"drop\":[\"ALL\"]}}"

/* How long a pod has to end, as Kubernetes has it and when the work is saved: committed and pushed. */
#define AS_GRACE_S        30
#define AS_RESCUE_GRACE_S 90

#define AS_NAME_MAX   64              /* a label value and its NUL */
#define AS_REPOS_MAX  32
#define AS_REPORT_MAX (256 * 1024)
#define AS_RESULT_MAX (10 * 1000)     /* bytes of the result kept in status */
#define AS_PORT       8001            /* of the runner's endpoint */

/* An instance: its configuration. */
struct as_plugin {
	const struct ambient_host *host;
	int64_t timeout_s, start_timeout_s, job_ttl_s, heartbeat_s, content_idle_s, max_running, run_as_user;
	bool network_policy;
	struct as_queue *queue;
	const char *model, *secret, *integrations, *workspace_size, *storage_class, *pull_policy, *github_api, *gitlab_api;
};

/* ---- status.c */
enum as_condition {
	AS_READY, AS_SPEC_VALID, AS_ADMITTED, AS_PVC_READY, AS_SECRETS_READY, AS_JOB_CREATED, AS_POD_SCHEDULED, AS_RUNNER_STARTED,
	AS_RECONCILED, AS_REPORT_VALID, AS_WISH_VALID, AS_COMPLETED, AS_FAILED, AS_STOPPED, AS_CONDITIONS
};

struct as_status {
	char phase[16];
	char run_id[40];
	char start[40], completion[40]; /* RFC 3339, "" while unset */
	char stopped_reason[16];        /* user or inactivity */
	char job[AS_NAME_MAX], pod[256];
	char admission[12];             /* Waiting, Admitted, "" when it has ended */
	char queued[40];                /* since when it wants to run */
	char intent[16], intent_spec[16], intent_annotation[128];
	char content[40];               /* the request for its files that was served last */
	char waits_for[254];            /* the session whose end frees the workspace; "" when it waits for none */
	char again[8];                  /* "true": to be started once more when it has ended */
	char told[64];                  /* Ready's reason as it was read */
	struct kc_cond cond[AS_CONDITIONS];
	const struct ambient_object *effective; /* NULL until a run was planned */
	const struct ambient_object *report;    /* made by as_report_read, or NULL: unchanged */
	bool forget;           /* what the run before reported goes with the next write */
	int64_t runs;          /* how many were planned */
	int64_t generation;    /* of the session as read */
	int64_t now;           /* wall clock */
};

/* Back to Pending, for another run of the same session. */
void as_status_renew(struct as_status *st);
void as_status_load(struct as_status *st, const struct ambient_object *session, int64_t now);
/* Sets a condition; its lastTransitionTime moves only when its status changes. */
void as_set(struct as_status *st, enum as_condition which, enum kc_truth status, const char *reason,
	    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool as_is(const struct as_status *st, enum as_condition which, enum kc_truth status);
/* Derives the phase and writes what changed.  *session becomes the object as written. */
int as_status_write(struct ambient_call *call, const struct ambient_object **session, struct as_status *st,
		    struct ambient_error *err);

/* ---- phase.c */
const char *as_phase(const struct as_status *st);
bool as_terminal(const struct as_status *st);

/* ---- observe.c */
enum as_job { AS_JOB_ABSENT, AS_JOB_ACTIVE, AS_JOB_COMPLETE, AS_JOB_FAILED };
enum as_state { AS_C_NONE, AS_C_WAITING, AS_C_RUNNING, AS_C_TERMINATED };

struct as_container {
	enum as_state state;
	int64_t exit_code;
	const char *reason, *message; /* "" when there is none */
	const char *started, *ended;  /* RFC 3339 or "" */
};

struct as_facts {
	enum as_job job;
	const struct ambient_object *job_object; /* the session's Job, of whatever run */
	const struct ambient_object *earlier;    /* a pod of an earlier run that has not ended; NULL: none */
	const char *job_reason, *job_message;    /* of its end, or of the one that it is being brought to */
	bool job_deleting;
	const struct ambient_object *pod; /* NULL: there is none */
	bool pod_failed, pod_deleting, scheduled, unschedulable;
	bool node_silent;                 /* the cluster no longer hears of the pod's node */
	int64_t pod_gone_by;              /* when a pod that is being deleted was to have ended */
	const char *pod_reason, *pod_message, *node;
	const char *disruption, *disruption_message; /* who takes the pod away, and why; "" for nobody */
	const char *no_pod;               /* why the Job has none, as far as somebody said; "" when nobody did */
	char asked[96];                   /* what spec.resourceOverrides asks for, to be put behind a message; "" for nothing */
	int64_t ask_again;                /* when to ask for that, from now; 0: at the next change */
	struct as_container runner, agent;
};
bool as_pod_ended(const struct ambient_object *pod);
/* What the cluster shows of the run st->run_id.  A Job of another run counts as absent and is in job_object; one that
 * is not the session's is not looked at. */
int as_observe(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
	       struct as_facts *facts, struct ambient_error *err);

/* ---- podless.c */
/* Sets facts->no_pod and ask_again for a Job that has had no pod for a while. */
int as_podless(struct ambient_call *call, struct as_facts *facts, int64_t now, struct ambient_error *err);
/* The same of a pod whose containers have been about to be made for a while: sets the runner's message. */
int as_unmounted(struct ambient_call *call, struct as_facts *facts, int64_t now, struct ambient_error *err);

/* ---- judge.c */
/* Whether the pod should have ended long ago and has not; text becomes a sentence about it.  *ret_again: from now, when that
 * will be so; 0: it is so, or will not be. */
bool as_lost(const struct as_facts *facts, int64_t now, char text[512], int64_t *ret_again);
/* Whether the runner has missed its reports; *ret_again: from now, when that will be so, 0: it is, or is not looked at. */
bool as_silent(const struct as_plugin *plugin, const struct as_status *st, int64_t *ret_again);
/* Turns facts into conditions.  Returns when to look again, in nanoseconds; 0: when something changes. */
int64_t as_judge(const struct as_plugin *plugin, const struct as_facts *facts, struct as_status *st);

/* ---- advice.c */
/* Puts behind the text of an end what a person can do about it. */
void as_advise(char *text, size_t size, const char *reason);

/* ---- effective.c */
/* 0, or -AMBIENT_E_INVALID with the field in err->where and a sentence in err->message. */
int as_effective(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
		 const struct ambient_object *settings, const struct ambient_object **ret,
		 struct ambient_error *err);

/* ---- changes.c */
/* The fingerprint of each field that the user wrote, as a JSON object: what status.effective was worked out from. */
void as_fields(const struct ambient_object *session, struct text *t);
/* The Job is about to be made: what it takes from the spec itself is as the spec is now. */
int as_changes_made(struct ambient_call *call, const struct ambient_object *session, struct as_status *st,
		    struct ambient_error *err);
/* What was edited since: takes into st->effective what takes effect while the run goes on, says the rest in Reconciled. */
int as_changes(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	       struct as_status *st, struct ambient_error *err);

/* ---- workspace.c */
/* Which sessions that wait for each other this one leads to, as text: a continues b, b continues a; "" for none.  wake: looks
 * again at each of them. */
int as_ring(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, bool wake, char text[320],
	    struct ambient_error *err);
/* The session whose claim the run uses. */
const char *as_workspace(const struct as_status *st, const struct ambient_object *session);
/* Whether nobody else works there; if not, the condition Ready and status.waitsFor say who.  Between as_admit_begin and _end. */
int as_workspace_free(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		      struct ambient_error *err);
/* Whether another session that has not ended works there, or is to. */
int as_workspace_used(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		      struct ambient_error *err);
/* Does another session work there? */
int as_workspace_busy(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st, bool *ret,
		      struct ambient_error *err);
/* This session no longer works there: wakes those that wait for it. */
int as_workspace_wake(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
		      const struct as_status *st, struct ambient_error *err);
/* The same of one that is gone, or a pod of it. */
int as_workspace_gone(const struct as_plugin *plugin, struct ambient_call *call, const char *ns, const char *name,
		      struct ambient_error *err);

/* ---- admit.c */
struct as_queue *as_queue_new(void);
void as_queue_free(struct as_queue *queue);
/* Between the two nobody else is admitted; the write that admits comes between them, too. */
void as_admit_begin(const struct as_plugin *plugin);
void as_admit_end(const struct as_plugin *plugin);
/* May the session run now?  If not, the conditions say its place. */
int as_admit(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	     struct as_status *st, bool *ret, struct ambient_error *err);
/* This session has ended or gone: wakes those that can run instead. */
int as_admit_others(const struct as_plugin *plugin, struct ambient_call *call, const char *ns, const char *name,
		    struct ambient_error *err);

/* ---- children.c */
/* prefix + session + suffix, cut to 63 bytes with a hash of the name where it is longer. */
void as_name(char out[AS_NAME_MAX], const char *prefix, const char *session, const char *suffix);
/* Makes everything that the Job needs; what exists and belongs to the session is left alone.
 * -AMBIENT_E_EXISTS: an object of that name belongs to somebody else; the message names it. */
int as_provision(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
		 const struct as_status *st, struct ambient_error *err);
int as_create_job(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
		  const struct as_status *st, const struct ambient_object *fragment, struct ambient_error *err);
/* Where the timeout was edited meanwhile, the Job's own deadline follows. */
int as_move_deadline(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *job,
		     const struct as_status *st, struct ambient_error *err);
int as_delete_job(struct ambient_call *call, const struct ambient_object *job, struct ambient_error *err);

/* For pods that talk to the API server: the token of the session's account; what a namespace of restricted pods asks for. */
void as_add_account_volume(struct text *t);
void as_add_pod_security(const struct as_plugin *plugin, struct text *t);
/* A pod or another object of the session's, with labels, annotations and owner; put JSON under /spec. */
struct ambient_draft *as_child(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
			       const char *kind, const char *api, const char *kind_name, const char *name, const char *app);
bool as_owned(const struct ambient_object *o, const struct ambient_object *session);

/* ---- content.c */
/* The session has ended: makes the pod that was asked for, and removes one that has ended or must make way. */
int as_content(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	       struct as_status *st, struct ambient_error *err);
/* A run wants the workspace: sends the pod of that session away; *there: it still is. */
int as_content_away(struct ambient_call *call, const struct ambient_object *session, bool *there, struct ambient_error *err);

/* ---- report.c */
/* The report of this run as {"fields": what goes into status, "reason", "message"}; *ret is NULL when there is none
 * (yet) or it is no report of this run.  live: asks the API server instead of the cache. */
int as_report_read(struct ambient_call *call, const struct ambient_object *session, struct as_status *st,
		   bool live, const struct ambient_object **ret, struct ambient_error *err);
/* Blanks what looks like a credential, in place. */
void as_redact(char *text);

/* ---- expire.c */
/* Deletes a session that ended long enough ago; *again becomes when that will be, if that is sooner (0: never). */
int as_expire(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, int64_t *again,
	      struct ambient_error *err);

/* ---- reconcile.c */
int as_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		 struct ambient_result *result, struct ambient_error *err);

#endif
