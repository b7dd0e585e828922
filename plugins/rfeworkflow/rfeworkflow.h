/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this plugin share.  The way of one reconcile is the reading order:
 *
 *   reconcile.c   what comes next, and which writes come before which
 *   plan.c        spec, in any of its shapes -> steps, repositories, branch
 *   agents.c      the agents' templates: files, and a ConfigMap over them
 *   prompt.c      template + request + context + outputs -> the prompt of a step; the document at the end
 *   session.c     the AgenticSession of a step: made, read, ended
 *   side.c        sessions that are no steps: what seeds the repositories, what publishes a document
 *   seed.c        the files that an umbrella repository begins with
 *   jira.c        which document becomes which issue
 *   branch.c      who else works on the same branch
 *   status.c      the status as a struct, read from and written to the workflow
 *
 * Nothing is kept between two reconciles.  A step's session is named in status before it is made, and each attempt has
 * a name of its own, so that what was begun is found again and nothing is begun twice.
 */
#ifndef RFEWORKFLOW_H
#define RFEWORKFLOW_H

#include <stdbool.h>

#include <ambient/ambient.h>

#include "plugins/kind-shared/conditions.h"
#include "plugins/shared/text.h"

#define RFE_API     "vteam.ambient-code/v1alpha1"
#define RFE_KIND    RFE_API "/rfeworkflows"
#define RFE_SESSION RFE_API "/agenticsessions"
#define RFE_NS      "v1/namespaces"
#define RFE_CM      "v1/configmaps"

#define RFE_MANAGED "/metadata/labels/ambient-code.io~1managed"
#define RFE_RUN     "/metadata/annotations/ambient-code.io~1run-step"
#define RFE_RUN_AT  "/metadata/annotations/ambient-code.io~1run-requested-at"

#define RFE_DO_AGAIN "annotate the workflow with ambient-code.io/run-step=" /* and a step; for people */

#define RFE_JIRA_WISH "/metadata/annotations/ambient-code.io~1publish-to-jira"
#define RFE_JIRA_AT   "/metadata/annotations/ambient-code.io~1publish-requested-at"

#define RFE_AGENTS "ambient-agents" /* ConfigMap of a namespace with templates of its own */

#define RFE_NAME_MAX    64            /* a label value and its NUL */
#define RFE_STEPS_MAX   32
#define RFE_REPOS_MAX   33            /* the umbrella and those that support it */
#define RFE_LINKS_MAX   16            /* documents that are issues */
#define RFE_PATH_MAX    401
#define RFE_OUTPUT_MAX  (32 * 1024)   /* bytes kept of what a step says */
#define RFE_BEFORE_MAX  (256 * 1024)  /* bytes of a prompt that are outputs of other steps */
#define RFE_FILES_MAX   (768 * 1024)  /* bytes of all outputs that are committed */
#define RFE_OBJECT_MAX  (1400 * 1024) /* bytes of a workflow as it is stored: etcd takes 1.5 MiB, and there is metadata we do not see */
#define RFE_TEXT_MAX    (128 * 1024)  /* bytes of a template, a request, a context, the final document */

/* An instance: its configuration. */
struct rfe_plugin {
	const struct ambient_host *host;
	const char *agents;       /* directory */
	const char *seed;         /* directory of what umbrella repositories begin with; "": nothing */
	int64_t step_timeout_s, retries, retry_delay;
	bool synthesis;
};

/* ---- words.c: what texts and names are made of */
void rfe_putf(struct text *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* At most max bytes of s, cut between characters and with a mark where it was; returns whether it was. */
bool rfe_put_cut(struct text *b, const char *s, size_t max);
/* How many bytes s takes when the API server stores it: as Go writes JSON, which has six for some characters. */
size_t rfe_stored(const char *s);
/* How many bytes of s, whole characters, take at most max there. */
size_t rfe_stored_prefix(const char *s, size_t max);
/* The text, which then lives as long as the call; NULL when there was no memory.  The buffer is empty after it. */
char *rfe_take(struct text *b, struct ambient_call *call);
/* Lower case, digits, and a dash for each run of anything else, none at the ends; at most 63 bytes. */
void rfe_slug(char out[RFE_NAME_MAX], const char *text);
/* prefix, suffix and, where they are longer together than 63 bytes, a hash of all between what fits. */
void rfe_name(char out[RFE_NAME_MAX], const char *prefix, const char *suffix);

/* ---- agents.c */
struct rfe_agent {
	char id[RFE_NAME_MAX];
	const char *name; /* for people: of the template's head, which lives as long as the call, else `id` */
	const char *body; /* what it is told; lives as long as the call */
};
/* -AMBIENT_E_NOTFOUND: there is no such template; the message lists those that are.  -AMBIENT_E_INVALID: it is too long. */
int rfe_agent_find(const struct rfe_plugin *plugin, struct ambient_call *call, const char *ns, const char *wanted,
		   struct rfe_agent *ret, struct ambient_error *err);

/* ---- plan.c */
enum rfe_shape { RFE_DOCUMENTED, RFE_UMBRELLA, RFE_FIRST };
/* After the steps come, where they are wanted, one session that writes the document and one that commits it. */
enum rfe_kind { RFE_STEP, RFE_SYNTHESIS, RFE_PUBLISH, RFE_SEED, RFE_JIRA };

struct rfe_repo {
	const char *url, *branch;             /* branch NULL: the session's default */
	const char *name;                     /* "" : of its url */
	const struct ambient_object *as_is;   /* the element of spec.repos; NULL: made of url and branch */
};

struct rfe_step_plan {
	char name[RFE_NAME_MAX];
	char agent[RFE_NAME_MAX];             /* id of the template */
	char phase[RFE_NAME_MAX];             /* id of a second template, "" : none */
	const struct ambient_object *spec;    /* the element of spec.steps, or NULL */
	enum rfe_kind kind;
	bool manual;
	int64_t timeout, retries;
};

/* Where the document and the outputs are committed. */
struct rfe_documents {
	const char *url, *base, *secret; /* url NULL: nowhere */
	const char *branch, *path;
	bool create_pr;
};

/* A document that is to become an issue; members of the call, "" where there is nothing. */
struct rfe_order {
	const char *url, *branch, *secret;    /* where it is */
	const char *path, *type, *summary, *label, *source;
	const char *key, *parent, *implements;/* issues */
	const char *const *attachments;       /* names beside it, ended by NULL */
};

struct rfe_plan {
	enum rfe_shape shape;
	struct rfe_step_plan step[RFE_STEPS_MAX + 2];
	size_t n, total;                      /* of kind RFE_STEP, and all */
	struct rfe_step_plan seed;            /* timeout 0: none */
	struct rfe_order order;               /* of the session that publishes; made by rfe_jira */
	struct rfe_documents documents;
	struct rfe_repo repo[RFE_REPOS_MAX];
	size_t repos;
	const char *title, *request, *context;
	char branch[256];                     /* "" : none; work goes there */
};
/* 0, or -AMBIENT_E_INVALID with a sentence for a person. */
int rfe_plan_read(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
		  struct rfe_plan *plan, struct ambient_error *err);
/* Are two URLs of one repository?  Case, a ".git" and a slash at the end do not count. */
bool rfe_same_url(const char *a, const char *b);

/* ---- status.c */
enum rfe_condition {
	RFE_READY, RFE_SPEC_VALID, RFE_OUTPUTS, RFE_COMPLETED, RFE_FAILED, RFE_CANCELLED, RFE_SEEDED, RFE_JIRA_DONE, RFE_CONDITIONS
};
enum rfe_state { RFE_S_PENDING, RFE_S_RUNNING, RFE_S_COMPLETED, RFE_S_FAILED, RFE_S_SKIPPED, RFE_S_CANCELLED, RFE_STATES };

struct rfe_step {
	char name[RFE_NAME_MAX], session[RFE_NAME_MAX], reason[64], message[512];
	const char *agent, *output;           /* live as long as the call */
	enum rfe_state state;
	enum rfe_kind kind;
	bool started;                         /* a person asked for this step */
	bool linked;                          /* its session is one that a person made for it */
	int64_t attempts;                     /* failed ones since it was last asked for */
	int64_t runs;                         /* sessions ever made for it */
	int64_t bytes;                        /* of an output that was cut: all of them */
	char start[40], completion[40];
};

struct rfe_status {
	char phase[16], start[40], completion[40];
	char run[160];                        /* the request to run a step that was last followed */
	char waits_for[254];                  /* the workflow that has the branch */
	char branch_since[40];                /* since when this one has it; "": it has not */
	struct rfe_step step[RFE_STEPS_MAX + 2];
	size_t n;
	struct rfe_step seed, jira;
	char jira_path[RFE_PATH_MAX];         /* that `jira` publishes, or has published */
	char jira_wish[300];                  /* the request to publish that was last followed */
	struct {
		char path[RFE_PATH_MAX], key[RFE_NAME_MAX], url[300];
	} link[RFE_LINKS_MAX];                /* documents that are issues */
	size_t links;
	const char *final;
	char pushed[RFE_REPOS_MAX][512];      /* URLs of repositories that have the branch by now */
	size_t n_pushed;
	struct kc_cond cond[RFE_CONDITIONS];
	int64_t generation, now;
};
void rfe_status_load(struct rfe_status *st, struct ambient_call *call, const struct ambient_object *workflow);
/* The steps become those of the plan; what has the name of one keeps what became of it. */
void rfe_status_follow(struct rfe_status *st, const struct rfe_plan *plan);
void rfe_set(struct rfe_status *st, enum rfe_condition which, enum kc_truth status, const char *reason, const char *fmt,
	     ...) __attribute__((format(printf, 5, 6)));
void rfe_unset(struct rfe_status *st, enum rfe_condition which);
bool rfe_is(const struct rfe_status *st, enum rfe_condition which, enum kc_truth status);
bool rfe_terminal(const struct rfe_status *st);
/* Has everything before been done or passed over?  Index of the first step that has not; n: all have. */
size_t rfe_next(const struct rfe_status *st);
/* Cuts what the steps said, and the document, to what the API server takes for one object with this spec; returns whether
 * it had to. */
bool rfe_status_fit(struct rfe_status *st, struct ambient_call *call, const struct ambient_object *workflow);
/* Writes what changed; *workflow becomes the object as written.  phase: what it is in now; branch: that it works on, NULL or
 * "": none. */
int rfe_status_write(struct ambient_call *call, const struct ambient_object **workflow, struct rfe_status *st,
		     const char *phase, const char *branch, struct ambient_error *err);

/* ---- prompt.c */
/* NULL when there is no memory. */
char *rfe_prompt(struct ambient_call *call, const struct rfe_plan *plan, const struct rfe_status *st, size_t step,
		 const struct rfe_agent *agent, const struct rfe_agent *phase);
/* The files that are committed, as the program that writes them reads them. */
char *rfe_documents_prompt(struct ambient_call *call, const struct rfe_plan *plan, const struct rfe_status *st);
/* The document made of the outputs as they are. */
char *rfe_assemble(struct ambient_call *call, const struct rfe_plan *plan, const struct rfe_status *st);

/* ---- session.c */
int rfe_session_create(struct ambient_call *call, const struct ambient_object *workflow, const struct rfe_plan *plan,
		       const struct rfe_step_plan *what, const struct rfe_step *step, const char *prompt, struct ambient_error *err);
/* The step's session: NULL when it is gone, by the API server itself. */
int rfe_session_get(struct ambient_call *call, const struct ambient_object *workflow, const struct rfe_step *step,
		    const struct ambient_object **ret, struct ambient_error *err);
/* The newest session that a person has made for a step, by the labels of older clients, and that has not failed; NULL: there
 * is none. */
int rfe_session_linked(struct ambient_call *call, const struct ambient_object *workflow, const char *step,
		       const struct ambient_object **ret, struct ambient_error *err);
/* Asks it to stop, once. */
int rfe_session_stop(struct ambient_call *call, const struct ambient_object *session, struct ambient_error *err);
bool rfe_session_ended(const struct ambient_object *session);
/* What one that does not run yet says that it waits for; "": it runs, or says nothing.  NULL is nothing. */
const char *rfe_session_waits(const struct ambient_object *session);
/* Its message, in which what it advises about itself has become what is to be done with the workflow. */
void rfe_session_told(char *out, size_t size, const struct ambient_object *session, const struct rfe_step *step);
/* Copies what became of a session that has ended (NULL: that was deleted) into its step. */
void rfe_session_result(struct ambient_call *call, const struct ambient_object *session, struct rfe_status *st,
			struct rfe_step *step);

/* ---- branch.c */
/* Writes the name of the workflow that has the branch to owner; "" when nobody else has.  *unsure: that one has said so and
 * begun nothing yet, and may withdraw without a word to us. */
int rfe_branch_owner(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
		     const struct rfe_plan *plan, char owner[254], bool *unsure, struct ambient_error *err);
/* The same of those that claim it as well, by the API server itself; asked by one that has written its claim. */
int rfe_branch_contested(const struct rfe_plugin *plugin, struct ambient_call *call, const struct ambient_object *workflow,
			 const struct rfe_plan *plan, char owner[254], struct ambient_error *err);
/* Wakes those that wait for this one. */
int rfe_branch_free(struct ambient_call *call, const char *ns, const char *name, struct ambient_error *err);

/* ---- seed.c */
/* The files as the program that writes them reads them; NULL, and err says why. */
char *rfe_seed_prompt(const struct rfe_plugin *plugin, struct ambient_call *call, const char *ns, const struct rfe_plan *plan,
		      struct ambient_error *err);

/* ---- reconcile.c */
/* What one reconcile knows. */
struct rfe_pass {
	const struct rfe_plugin *plugin;
	struct ambient_call *call;
	const struct ambient_object *workflow;
	const char *ns, *name;
	struct rfe_status st;
	struct rfe_plan plan;
	bool planned;
	struct ambient_result *result;
	struct ambient_error *err;
};
int rfe_save(struct rfe_pass *p);
/* Ready is False for that reason; saves. */
int rfe_say(struct rfe_pass *p, const char *reason, const char *message);
/* Names the step's session in status, creates it and calls the step Running; the caller saves that.  1: not now, which was
 * said. */
int rfe_begin(struct rfe_pass *p, const struct rfe_step_plan *what, struct rfe_step *step, const char *prompt);
/* How long to wait before what failed is tried again; 0: no longer; negative: it is not to be tried again. */
int64_t rfe_retry_in(const struct rfe_pass *p, const struct rfe_step_plan *what, const struct rfe_step *step);
/* Appends how what has failed is done again, unless the text says so, and leaves of it what a condition has room for. */
void rfe_do_again(char *text, const char *step);
/* The workflow ends that way. */
void rfe_finish(struct rfe_pass *p, enum rfe_condition how, const char *reason, const char *message);

/* ---- jira.c */
/* Publishes what a person asked for, or goes on with it.  0: there is nothing to do; 1: a session is at it. */
int rfe_jira(struct rfe_pass *p);
/* Says that a publication waits, where one does. */
void rfe_jira_waits(struct rfe_pass *p);
/* What became of the session that published. */
void rfe_jira_told(struct rfe_pass *p, const struct ambient_object *session);

/* ---- side.c */
/* Its session goes on, or has just been made (NULL); saves.  1, or an error. */
int rfe_side_goes_on(struct rfe_pass *p, struct rfe_step *step, const struct ambient_object *session);
/* Does a session of that kind go on?  1: yes, and nothing else is begun; 0: no; else an error. */
int rfe_side_follow(struct rfe_pass *p, bool stop);
/* Sees to it that the repositories are seeded.  0: they are, or need not be; 1: not yet. */
int rfe_seed(struct rfe_pass *p);

int rfe_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
		  struct ambient_error *err);

#endif
