/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A change on its way into the store, and the rules of the builtin kinds for it.  A change lives on the stack of
 * one call, works on trees in one arena, and may be computed several times when somebody else was faster.
 */
#ifndef AM_APISERVER_ADMISSION_H
#define AM_APISERVER_ADMISSION_H

#include "plugins/standalone/apiserver/engine_priv.h"

struct am_change {
	struct am_engine *engine;
	const struct am_resource *res;
	const struct am_resource *storage; /* the version that bodies are kept in; a reference */
	struct am_arena *arena;
	struct am_failure *failure;
	const char *ns, *subresource; /* ns "" for cluster-scoped; subresource NULL: the main resource */
	struct am_node *object;       /* what is to be stored */
	const struct am_node *old;    /* what is stored; NULL: a create */
	int64_t now;                  /* wall time */
	enum am_field_validation fields;
	struct am_buf *unknown;       /* sentences about unknown fields, one per line */
	const struct am_node *sent;   /* metadata.managedFields of the request; NULL: none */
	struct am_node *managed;      /* what an apply makes of it */
	char **warnings;
	size_t n_warnings;
};

/* Rules of a builtin kind; each member may be NULL.  Problems become causes of change->failure. */
struct am_kind {
	void (*fill)(struct am_change *change);    /* defaults; creates and updates */
	void (*create)(struct am_change *change);  /* what only a create does: allocated and derived values */
	void (*check)(struct am_change *change);   /* validation; creates and updates of the main resource */
	void (*check_status)(struct am_change *change);
};

extern const struct am_kind am_kind_namespace, am_kind_pod, am_kind_job, am_kind_cronjob, am_kind_secret,
	am_kind_config_map, am_kind_service_account, am_kind_service, am_kind_claim, am_kind_lease, am_kind_event,
	am_kind_role, am_kind_binding, am_kind_crd, am_kind_node, am_kind_quota, am_kind_limit_range,
	am_kind_network_policy;

void am_change_warn(struct am_change *change, const char *fmt, ...) am_printf_(2, 3);

/* meta_rules.c: what labels (in selectors, too), annotations, owners and finalizers may be; path: of the metadata. */
void am_check_labels(struct am_failure *failure, const struct am_node *labels, const char *field);
void am_meta_check_rules(struct am_failure *failure, const char *path, const struct am_node *metadata);

/* Little helpers for rules: field is the path for messages. */
void am_need(struct am_change *change, const char *field);                          /* Required value */
void am_bad(struct am_change *change, const char *field, const struct am_node *value, const char *why);
void am_forbid(struct am_change *change, const char *field, const char *why);
void am_unsupported(struct am_change *change, const char *field, const char *value, const char *const *supported);
/* The member as an object, made when it is missing. */
struct am_node *am_child(struct am_change *change, struct am_node *parent, const char *key);
void am_fill_str(struct am_change *change, struct am_node *parent, const char *key, const char *value);
void am_fill_int(struct am_change *change, struct am_node *parent, const char *key, int64_t value);
void am_fill_bool(struct am_change *change, struct am_node *parent, const char *key, bool value);
/* A cause "field is immutable" when the values at pointer differ. */
void am_immutable(struct am_change *change, const char *pointer, const char *field);
bool am_same_at(const struct am_node *a, const struct am_node *b, const char *pointer);

/* admission_select.c */
void am_check_selector(struct am_change *change, const struct am_node *selector, const char *field);
void am_check_tolerations(struct am_change *change, const struct am_node *list, const char *field);
void am_check_taints(struct am_change *change, const struct am_node *list);

/* admission_pod.c, used for Job and CronJob templates too. */
void am_pod_fill_spec(struct am_change *change, struct am_node *spec);
void am_pod_check_spec(struct am_change *change, const struct am_node *spec, const char *field);

/* admission_job.c, used for CronJobs too; prefix is the path of spec. */
void am_job_fill_spec(struct am_change *change, struct am_node *spec);
void am_job_check_spec(struct am_change *change, const struct am_node *spec, const char *prefix);
/* "1,3-5", ascending and below completions; else a cause.  *ret_total: how many. */
bool am_job_check_indexes(struct am_change *change, const struct am_node *text, const char *field, const char *what,
			  int64_t completions, int64_t *ret_total);
/* limits.c: defaults and bounds of the namespace's LimitRanges; 403. */
int am_limits_admit(struct am_change *change);
/* admission_jobstatus.c */
void am_job_check_status(struct am_change *change);

/* unknown.c: takes out what a builtin kind does not have, and notes it, a sentence a line. */
void am_unknown_builtin(const char *api_version, const char *kind, struct am_node *object, struct am_buf *unknown);
/* typecheck.c: is every field of a builtin kind of its type?  400, or 422 when a patch made it so.  Quantities become canonical. */
int am_builtin_types(struct am_arena *arena, const char *api_version, const char *kind, struct am_node *object, bool patched,
		     struct am_failure *failure);

/* meta.c */
/* Drops unknown members of metadata and checks types; 400 for a shape that cannot be. */
int am_meta_shape(struct am_change *change);
void am_meta_check(struct am_change *change);
int am_meta_generate_name(struct am_change *change, const char *base);
bool am_meta_remove_finalizer(struct am_node *object, const char *finalizer);
void am_meta_add_finalizer(struct am_arena *arena, struct am_node *object, const char *finalizer);
size_t am_meta_finalizers(const struct am_node *object);

/* views.c: events.k8s.io shows core events under other names. */
struct am_event_view {
	void (*show)(struct am_arena *arena, struct am_node *object);
	void (*store)(struct am_arena *arena, struct am_node *object);
};
extern const struct am_event_view am_view_events;

/* change.c */
struct am_commit { /* one write of the engine itself: change the tree of what is there */
	/* Changes object in place; 0, or -AMBIENT_E_* to leave things as they are. */
	int (*edit)(void *arg, struct am_arena *arena, struct am_node *object);
	void *arg;
};
/* Reads, edits, stores without admission; again when somebody was faster.  Removes the object when it is being
 * deleted and nothing holds it any more.  NOTFOUND when it is not there (or has another uid, if uid is given). */
int am_change_edit(struct am_engine *engine, struct am_store *store, const char *ns, const char *name,
		   const char *uid, const struct am_commit *commit, struct ambient_error *err);
/* Whether nothing keeps a deleted object any more. */
bool am_change_may_go(const struct am_store *store, const struct am_node *object);
/* The text to store: without resourceVersion. */
void am_change_print(struct am_node *object, struct am_buf *out);
/* scale.c */
int am_scale_write(struct am_engine *engine, const struct am_write *write, struct am_written *written,
		   struct am_failure *failure);
/* What an operation's refusal means to a client; 1: prepare it again. */
int am_change_refused(const struct am_op *op, const struct am_resource *res, struct am_failure *failure);

#endif
