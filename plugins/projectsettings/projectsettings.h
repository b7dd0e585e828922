/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this plugin share.  Three reconcilers, each level-triggered and without memory:
 *
 *   projects.c   "projects": a managed namespace has its ProjectSettings
 *   settings.c   "settings": what a ProjectSettings asks for is there, and nothing that it no longer asks for
 *     access.c     groupAccess -> RoleBindings
 *     limits.c     limitRange, resourceQuota -> LimitRange, ResourceQuota
 *     children.c   whose an object is, and what may be done with it
 *     status.c     conditions
 *   sweep.c      "retention": sessions are counted, those that ended long ago are deleted
 *
 * What is made is owned by the ProjectSettings, so that it goes with it.  What has the right name and is somebody
 * else's is never touched: a condition names it.
 */
#ifndef PROJECTSETTINGS_H
#define PROJECTSETTINGS_H

#include <stdbool.h>

#include <ambient/ambient.h>

#define PS_API      "vteam.ambient-code/v1alpha1"
#define PS_SETTINGS PS_API "/projectsettings"
#define PS_SESSION  PS_API "/agenticsessions"
#define PS_NS       "v1/namespaces"
#define PS_SECRET   "v1/secrets"
#define PS_RANGE    "v1/limitranges"
#define PS_QUOTA    "v1/resourcequotas"
#define PS_BINDING  "rbac.authorization.k8s.io/v1/rolebindings"
#define PS_ROLE     "rbac.authorization.k8s.io/v1/clusterroles"

#define PS_NAME       "projectsettings" /* the only one that a namespace has */
#define PS_RANGE_NAME "ambient-default-limits"
#define PS_QUOTA_NAME "ambient-quota"
#define PS_ROLE_NAME  "ambient-project-" /* and admin, edit or view */

#define PS_MANAGED    "/metadata/labels/ambient-code.io~1managed"
#define PS_CREATED_BY "/metadata/annotations/ambient-code.io~1created-by"

#define PS_ENTRIES_MAX 512 /* of groupAccess */
#define PS_BINDING_MAX 254 /* a name and its NUL */

/* ---- status.c */
enum ps_condition { PS_READY, PS_SPEC_VALID, PS_ACCESS, PS_SECRETS, PS_LIMITS, PS_QUOTAS, PS_CONDITIONS };

/* What this pass has found.  A condition without reason is not said. */
struct ps_status {
	struct ps_cond {
		bool good;
		char reason[64];
		char message[512];
		size_t more; /* problems that did not fit into message */
	} cond[PS_CONDITIONS];
	size_t bindings;
};

/* Says that a condition holds, if nothing was found that speaks against it. */
void ps_good(struct ps_status *st, enum ps_condition which, const char *reason);
/* Says that it does not.  The first reason stays; sentences are joined with "; ". */
void ps_bad(struct ps_status *st, enum ps_condition which, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Works out Ready and writes what changed. */
int ps_status_write(struct ambient_call *call, const struct ambient_object *settings, struct ps_status *st,
		    struct ambient_error *err);
int64_t ps_now(struct ambient_call *call);

/* ---- children.c */
enum ps_whose { PS_NOBODYS, PS_OURS, PS_FOREIGN };

/* 1: the namespace is ours to manage; 0: it is not, or is on its way out. */
int ps_managed(struct ambient_call *call, const char *ns, struct ambient_error *err);
bool ps_owned(const struct ambient_object *o, const struct ambient_object *settings);
/* Whose the object of that name is.  That there is none is asked of the API server: an apply would take over what a
 * cache does not show yet. */
int ps_whose(struct ambient_call *call, const struct ambient_object *settings, const char *kind, const char *name,
	     enum ps_whose *ret, struct ambient_error *err);
/* Deletes exactly what was read.  0 when it is gone already. */
int ps_delete(struct ambient_call *call, const char *kind, const struct ambient_object *o, struct ambient_error *err);

/* ---- access.c */
/* Makes the bindings of all entries that are right, says which are not, and deletes the bindings that no entry asks for.
 * settings with managed false: deletes all. */
int ps_access(struct ambient_call *call, const struct ambient_object *settings, bool managed, struct ps_status *st,
	      struct ambient_error *err);
void ps_binding_name(char out[PS_BINDING_MAX], const char *group, const char *role);

/* ---- limits.c */
int ps_limits(struct ambient_call *call, const struct ambient_object *settings, bool managed, struct ps_status *st,
	      struct ambient_error *err);

/* ---- the reconcilers */
int ps_projects_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
			  struct ambient_result *result, struct ambient_error *err);
int ps_settings_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
			  struct ambient_result *result, struct ambient_error *err);
int ps_retention_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
			   struct ambient_result *result, struct ambient_error *err);

#endif
