/* SPDX-License-Identifier: Apache-2.0 */
/* ResourceQuotas: what a write takes from them, stored together with it; see quota.c. */
#ifndef AM_APISERVER_QUOTA_H
#define AM_APISERVER_QUOTA_H

#include "plugins/standalone/apiserver/admission.h"

struct am_charge {
	struct am_charge_item {
		struct am_object *quota;
		struct am_buf raw;
		struct am_op op;
	} *items; /* one for each quota that something is taken from */
	size_t n;
};

/* What the finished object of change takes from the quotas of its namespace, as operations that go with its own.
 * 403 when one of them has not enough left. */
int am_quota_charge(struct am_change *change, struct am_charge *charge);
void am_charge_fini(struct am_charge *charge);
/* quota_scope.c: whether the object lies in all scopes of the quota. */
bool am_quota_covers(const struct am_node *quota, const char *group, const char *plural, const struct am_node *object);
/* What may be said in spec.scopes and spec.scopeSelector, together with spec.hard. */
void am_quota_check_scopes(struct am_change *change);

/* A limit whose name is the server's own; NULL: none of these. */
struct am_quota_resource {
	const char *name;
	unsigned of; /* AM_QUOTA_OF_*: what a scope must be about to go with it */
	bool whole;  /* is counted in ones */
};
enum { AM_QUOTA_OF_POD_COUNT = 1, AM_QUOTA_OF_POD = 2, AM_QUOTA_OF_CLAIM = 4 };
const struct am_quota_resource *am_quota_resource(const char *name);
/* Whether quotas are to be counted anew, and in which namespace.  engine->lock held. */
bool am_quota_concerns(struct am_engine *engine, const struct am_store *store, const struct am_object *old,
		       const struct am_object *object, const char **ret_ns);
/* Counts anew; returns how many quotas changed. */
size_t am_quota_refresh(struct am_engine *engine, const char *ns);

#endif
