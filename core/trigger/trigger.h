/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a changed object to the names that want a reconcile.  A trigger is data: predicates that decide whether a
 * change counts, and a map from the changed object to names.  Both the old and the new state are looked at, so that
 * an owner that lost a child hears of it too.  Immutable once made; runs on the I/O thread, never blocks.
 */
#ifndef AM_TRIGGER_TRIGGER_H
#define AM_TRIGGER_TRIGGER_H

#include "core/cache/cache.h"
#include "core/queue/queue.h"

enum am_trigger_map {
	AM_MAP_SELF,      /* the changed object's own name */
	AM_MAP_OWNER,     /* its controller owner, when that has the group and kind asked for; the version is ignored */
	AM_MAP_NAMESPACE, /* every object of the store in its namespace (a changed Namespace: in that namespace), and a
			   * cluster-scoped object of the store that is named like that namespace */
	AM_MAP_LABEL,     /* the label's value is the name, in the same namespace */
	AM_MAP_ANNOTATION, /* the same; the value may also be "namespace/name" */
	AM_MAP_INDEX,      /* the objects of the store that the index finds for the changed object's name */
	AM_MAP_ALL,        /* every object of the store */
};

struct am_trigger_options {
	enum am_trigger_map map;
	const char *key;         /* LABEL, ANNOTATION: its key; INDEX: the index's name */
	const char *selector;    /* label selector that the old or the new state must match; NULL: any */
	const char *field;       /* field selector, likewise */
	const char *when;        /* an update counts only when one of these changed (when.c); NULL: always */
	const struct am_stores *stores; /* of the reconciled kind: for NAMESPACE, INDEX and ALL, and to see whether it
					 * is in namespaces (OWNER, LABEL, ANNOTATION) */
	bool cluster_scoped;     /* the reconciled kind is, whether the store shows it or not */
	const char *owner_group; /* OWNER: "" for the core group */
	/* OWNER: the kind ("Widget"), or "" while it is not known, when the group has to do.  May be NULL. */
	void (*owner_kind)(void *arg, char buf[128]);
	void *owner_kind_arg;
};
/* Once for each name, whatever the number of ways that led to it.  priority: AM_QUEUE_NORMAL or AM_QUEUE_LOW. */
typedef void am_trigger_f(void *arg, const char *ns, const char *name, int priority);

struct am_trigger;
int am_trigger_new(const struct am_trigger_options *options, struct am_trigger **ret, struct ambient_error *err);
void am_trigger_free(struct am_trigger *trigger);
void am_trigger_run(const struct am_trigger *trigger, const struct am_change *change, am_trigger_f *fn, void *arg);
/* What a change is to those whom it wakes. */
enum am_cause_type am_trigger_cause(const struct am_change *change);
/* "self", "namespace", "label:KEY", "annotation:KEY", "all" of a watch declaration; *key points into text. */
int am_trigger_parse_map(const char *text, enum am_trigger_map *map, const char **key, struct ambient_error *err);

#endif
