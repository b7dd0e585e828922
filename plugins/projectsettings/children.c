/* SPDX-License-Identifier: Apache-2.0 */
/* Whose an object is, and deleting it. */
#include "plugins/projectsettings/projectsettings.h"

int
ps_managed(struct ambient_call *call, const char *ns, struct ambient_error *err)
{
	const struct ambient_object *o = NULL;
	int rc = ambient_get(call, PS_NS, "", ns, &o, err);

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	return !ambient_deleting(o) && strcmp(ambient_str(o, PS_MANAGED, ""), "true") == 0;
}

/* What the operator of the older platform made: no owner, but its label, and a binding of one group to one of our roles
 * that is named after both. */
static bool
inherited(const struct ambient_object *o)
{
	const char *role = ambient_str(o, "/roleRef/name", ""), *group = ambient_str(o, "/subjects/0/name", "");
	char name[PS_BINDING_MAX];

	if (strcmp(ambient_str(o, PS_MANAGED, ""), "true") != 0 || ambient_len(o, "/subjects") != 1 ||
	    strcmp(ambient_str(o, "/subjects/0/kind", ""), "Group") != 0 ||
	    strcmp(ambient_str(o, "/roleRef/kind", ""), "ClusterRole") != 0 ||
	    strncmp(role, PS_ROLE_NAME, strlen(PS_ROLE_NAME)) != 0)
		return false;
	ps_binding_name(name, group, role + strlen(PS_ROLE_NAME));
	return strcmp(name, ambient_str(o, "/metadata/name", "")) == 0;
}

bool
ps_owned(const struct ambient_object *o, const struct ambient_object *settings)
{
	const struct ambient_object *owner = ambient_controller_of(o);

	if (owner == NULL)
		return inherited(o);
	return strcmp(ambient_str(owner, "/uid", ""), ambient_str(settings, "/metadata/uid", "-")) == 0;
}

int
ps_whose(struct ambient_call *call, const struct ambient_object *settings, const char *kind, const char *name,
	 enum ps_whose *ret, struct ambient_error *err)
{
	const char *ns = ambient_str(settings, "/metadata/namespace", "");
	const struct ambient_object *o = NULL;
	int rc = ambient_get(call, kind, ns, name, &o, err);

	if (rc == -AMBIENT_E_NOTFOUND)
		rc = ambient_get_live(call, kind, ns, name, &o, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	*ret = rc == -AMBIENT_E_NOTFOUND ? PS_NOBODYS : ps_owned(o, settings) ? PS_OURS : PS_FOREIGN;
	return 0;
}

int
ps_delete(struct ambient_call *call, const char *kind, const struct ambient_object *o, struct ambient_error *err)
{
	char options[256];

	if (ambient_deleting(o))
		return 0;
	(void)snprintf(options, sizeof(options), "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"%.64s\","
		       "\"resourceVersion\":\"%.64s\"}}", ambient_str(o, "/metadata/uid", ""),
		       ambient_str(o, "/metadata/resourceVersion", ""));
	return ambient_delete(call, kind, ambient_str(o, "/metadata/namespace", ""), ambient_str(o, "/metadata/name", ""),
			      options, err);
}
