/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groupAccess -> RoleBindings of groups to the ClusterRoles ambient-project-admin, -edit and -view.
 *
 * What is granted is made before what is revoked is deleted, so that one whose role changes is never without; but no
 * grant that fails holds a revocation up.  An entry that cannot be told apart from another, or says what is none of the
 * three roles, grants nothing: the condition GroupAccessReady names its path.  A group has one role.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "plugins/kind-shared/hash.h"
#include "plugins/projectsettings/projectsettings.h"

struct grant {
	const char *group, *role;
	size_t index;                /* in groupAccess */
	char name[PS_BINDING_MAX];
};

static bool
is_role(const char *role)
{
	return strcmp(role, "admin") == 0 || strcmp(role, "edit") == 0 || strcmp(role, "view") == 0;
}

/* <group>-<role>; where that is no name of an object, or too long, cut, with a hash of the group. */
void
ps_binding_name(char out[PS_BINDING_MAX], const char *group, const char *role)
{
	size_t n = strlen(group), tail = strlen(role) + 1;
	bool plain = n + tail < PS_BINDING_MAX;

	for (const char *p = group; *p != '\0'; p++)
		plain = plain && (isalnum((unsigned char)*p) || strchr("-_.:@", *p) != NULL);
	if (plain) {
		(void)snprintf(out, PS_BINDING_MAX, "%s-%.8s", group, role);
		return;
	}
	if (n > PS_BINDING_MAX - 32)
		n = PS_BINDING_MAX - 32;
	(void)snprintf(out, PS_BINDING_MAX, "%.*s-%016" PRIx64 "-%.8s", (int)n, group, kh_adds(KH_FIRST, group), role);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)out[i]) && strchr("-_.:@", out[i]) == NULL)
			out[i] = '-';
}

/* NULL: the entry stands; *ret_other is the earlier one that it is in the way of, or itself. */
static const char *
problem(const struct grant *grants, size_t n, const struct grant *g, size_t *ret_other)
{
	*ret_other = g->index;
	if (g->group[0] == '\0')
		return "names no group";
	if (!is_role(g->role))
		return "is none of admin, edit and view";
	for (size_t i = 0; i < n; i++) {
		*ret_other = grants[i].index;
		if (strcmp(grants[i].group, g->group) == 0)
			return strcmp(grants[i].role, g->role) == 0 ? "" : "gives the group another role than";
		if (strcmp(grants[i].name, g->name) == 0)
			return "needs a binding of the same name as";
	}
	return NULL;
}

/* The entries that hold; says what is wrong with the others. */
static size_t
read_grants(const struct ambient_object *settings, struct grant *grants, struct ps_status *st)
{
	size_t all = ambient_len(settings, "/spec/groupAccess"), n = 0, other;

	for (size_t i = 0; i < all && i < PS_ENTRIES_MAX; i++) {
		const struct ambient_object *entry = ambient_item(settings, "/spec/groupAccess", i, NULL);
		struct grant *g = &grants[n];

		*g = (struct grant){ .group = ambient_str(entry, "/groupName", ""), .role = ambient_str(entry, "/role", ""),
				     .index = i };
		ps_binding_name(g->name, g->group, g->role);

		const char *wrong = problem(grants, n, g, &other);

		if (wrong == NULL)
			n++;
		else if (other == i)
			ps_bad(st, PS_ACCESS, "EntryInvalid", "spec.groupAccess[%zu].%s %s", i,
			       g->group[0] == '\0' ? "groupName" : "role", wrong);
		else if (wrong[0] != '\0') /* the same twice does no harm */
			ps_bad(st, PS_ACCESS, "EntryConflict", "spec.groupAccess[%zu] (\"%.64s\") %s spec.groupAccess[%zu], which "
			       "holds", i, g->group, wrong, other);
	}
	if (all > PS_ENTRIES_MAX)
		ps_bad(st, PS_ACCESS, "EntryInvalid", "spec.groupAccess[%d] and what follows: there may be %d entries at most",
		       PS_ENTRIES_MAX, PS_ENTRIES_MAX);
	return n;
}

static int
apply(struct ambient_call *call, const char *ns, const struct grant *g, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_new(call, PS_BINDING, ns, g->name);
	char role[64];

	(void)snprintf(role, sizeof(role), PS_ROLE_NAME "%.8s", g->role);
	ambient_draft_set_str(draft, PS_MANAGED, "true");
	ambient_draft_set_str(draft, "/metadata/annotations/ambient-code.io~1groupName", g->group);
	ambient_draft_set_str(draft, "/metadata/annotations/ambient-code.io~1role", g->role);
	ambient_draft_set_str(draft, "/roleRef/apiGroup", "rbac.authorization.k8s.io");
	ambient_draft_set_str(draft, "/roleRef/kind", "ClusterRole");
	ambient_draft_set_str(draft, "/roleRef/name", role);
	ambient_draft_set_json(draft, "/subjects", "[{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Group\"}]");
	ambient_draft_set_str(draft, "/subjects/0/name", g->group);
	return ambient_apply(call, draft, err);
}

/* A roleRef cannot be changed: a binding of ours with another one is deleted first. */
static int
drop_other_role(struct ambient_call *call, const char *ns, const struct grant *g, struct ambient_error *err)
{
	const struct ambient_object *o = NULL;
	const char *role;
	int rc = ambient_get(call, PS_BINDING, ns, g->name, &o, err);

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	role = ambient_str(o, "/roleRef/name", "");
	if (strcmp(ambient_str(o, "/roleRef/kind", ""), "ClusterRole") == 0 &&
	    strncmp(role, PS_ROLE_NAME, strlen(PS_ROLE_NAME)) == 0 && strcmp(role + strlen(PS_ROLE_NAME), g->role) == 0)
		return 0;
	return ps_delete(call, PS_BINDING, o, err);
}

static int
grant(struct ambient_call *call, const struct ambient_object *settings, const struct grant *g, struct ps_status *st,
      struct ambient_error *err)
{
	const char *ns = ambient_str(settings, "/metadata/namespace", "");
	enum ps_whose whose;
	int rc = ps_whose(call, settings, PS_BINDING, g->name, &whose, err);

	if (rc == 0 && whose == PS_FOREIGN) {
		ps_bad(st, PS_ACCESS, "NameConflict", "spec.groupAccess[%zu]: there is a RoleBinding \"%.100s\" that was not made "
		       "for it; delete one of the two", g->index, g->name);
		return 0;
	}
	if (rc == 0 && whose == PS_OURS)
		rc = drop_other_role(call, ns, g, err);
	if (rc == 0)
		rc = apply(call, ns, g, err);
	if (rc == 0)
		st->bindings++;
	else if (rc != -AMBIENT_E_CONFLICT)
		ps_bad(st, PS_ACCESS, "BindingFailed", "spec.groupAccess[%zu]: %.300s", g->index, err->message);
	return rc;
}

static int
prune(struct ambient_call *call, const struct ambient_object *settings, const struct grant *grants, size_t n,
      struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options),
						.ns = ambient_str(settings, "/metadata/namespace", "") };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(call, PS_BINDING, &options, &list, err), first = 0;

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, list); i++) {
		const struct ambient_object *o = ambient_list_item(call, list, i);
		const char *name = ambient_str(o, "/metadata/name", "");
		struct ambient_error own = AMBIENT_ERROR_INIT;
		size_t k = 0;

		if (!ps_owned(o, settings))
			continue;
		while (k < n && strcmp(grants[k].name, name) != 0)
			k++;
		if (k < n || (rc = ps_delete(call, PS_BINDING, o, &own)) == 0 || first < 0)
			continue;
		first = rc;
		ambient_err_copy(err, &own);
	}
	return first;
}

int
ps_access(struct ambient_call *call, const struct ambient_object *settings, bool managed, struct ps_status *st,
	  struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	struct grant *grants = calloc(PS_ENTRIES_MAX, sizeof(*grants));
	size_t n;
	int first = 0, rc;

	if (grants == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	n = managed ? read_grants(settings, grants, st) : 0;
	for (size_t i = 0; i < n; i++)
		if ((rc = grant(call, settings, &grants[i], st, &own)) < 0 && first == 0) {
			first = rc;
			ambient_err_copy(err, &own);
		}
	rc = prune(call, settings, grants, n, &own);
	free(grants);
	if (rc < 0) {
		ambient_err_copy(err, &own); /* a right that stays is worse than one that is missing */
		ps_bad(st, PS_ACCESS, "RevocationFailed", "%.300s", own.message);
		return rc;
	}
	ps_good(st, PS_ACCESS, "Applied");
	return first;
}
