/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A managed namespace has a ProjectSettings: one that is missing is made, and made again when it is deleted.  Where the
 * label goes, the object goes too, unless a user has written into it: the annotation says that it was made here, the
 * generation 1 that its spec is still what was made.
 */
#include "plugins/projectsettings/projectsettings.h"

#define NOTHING_YET "{\"groupAccess\":[]}"
#define MISSING_FOR (10 * AMBIENT_SECOND) /* that a definition which was removed is looked for again */

/* The first thing that a user does with it is kubectl apply, which warns of objects that do not say what was applied last. */
#define LAST_APPLIED "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
#define AS_APPLIED   "{\"apiVersion\":\"" PS_API "\",\"kind\":\"ProjectSettings\",\"metadata\":{\"annotations\":{}," \
		     "\"name\":\"" PS_NAME "\",\"namespace\":\"%s\"},\"spec\":" NOTHING_YET "}\n"

static int
make(struct ambient_call *call, const char *ns, struct ambient_result *result, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_new(call, PS_SETTINGS, ns, PS_NAME);
	char applied[512];

	(void)snprintf(applied, sizeof(applied), AS_APPLIED, ns);
	ambient_draft_set_str(draft, "/apiVersion", PS_API);
	ambient_draft_set_str(draft, "/kind", "ProjectSettings");
	ambient_draft_set_str(draft, PS_CREATED_BY, "ambient");
	ambient_draft_set_str(draft, LAST_APPLIED, applied);
	ambient_draft_set_json(draft, "/spec", NOTHING_YET);

	int rc = ambient_create(call, draft, NULL, err);

	/* The namespace has gone, of which we are told, or the definition, of whose return we are not. */
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_requeue_after(result, MISSING_FOR);
	return rc == -AMBIENT_E_EXISTS ? 0 : rc; /* somebody was faster */
}

int
ps_projects_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		      struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *settings = NULL;
	int managed = ps_managed(call, req->name, err);
	int rc = managed < 0 ? managed : ambient_get(call, PS_SETTINGS, req->name, PS_NAME, &settings, err);

	if (managed < 0 || (rc < 0 && rc != -AMBIENT_E_NOTFOUND))
		return rc;
	if (managed > 0)
		return rc == 0 ? 0 : make(call, req->name, result, err);
	if (rc == -AMBIENT_E_NOTFOUND || ambient_str(settings, PS_CREATED_BY, "")[0] == '\0' ||
	    ambient_int(settings, "/metadata/generation", 0) != 1)
		return 0;
	return ps_delete(call, PS_SETTINGS, settings, err);
}
