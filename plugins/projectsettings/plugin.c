/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations and descriptor of projectsettings; it has neither configuration nor state. */
#include "plugins/projectsettings/projectsettings.h"

/* Bindings of sessions change all the time and are none of ours. */
#define NOT_OF_SESSIONS "selector=app!=ambient-runner"
#define MADE            "when=labels,annotations,/metadata/ownerReferences,/spec,/subjects map=namespace"

AMBIENT_DECLARE("name=projectsettings\0"
		"version=" PACKAGE_VERSION "\0"
		"reconciler=projects\0"
		"for=" PS_NS " when=labels\0"
		"watch=" PS_SETTINGS " when=generation map=namespace\0"
		"reconciler=settings\0"
		"for=" PS_SETTINGS " when=generation\0"
		"watch=" PS_NS " when=labels map=namespace\0"
		"watch=" PS_BINDING " " NOT_OF_SESSIONS " " MADE "\0"
		"watch=" PS_RANGE " " MADE "\0"
		"watch=" PS_QUOTA " " MADE "\0"
		"watch=" PS_SECRET " only=metadata when=labels map=namespace\0"
		"reconciler=retention\0"
		"for=" PS_SETTINGS " when=generation\0"
		"watch=" PS_NS " when=labels map=namespace\0"
		"watch=" PS_SESSION " when=/status/phase map=namespace\0"
		"may=" PS_SETTINGS ":create,delete\0"
		"may=" PS_SETTINGS "/status:patch\0"
		"may=" PS_SETTINGS "/finalizers:update\0"
		"may=" PS_SESSION ":delete\0"
		"may=" PS_BINDING ":get,create,patch,delete\0"
		"may=" PS_RANGE ":get,create,patch,delete\0"
		"may=" PS_QUOTA ":get,create,patch,delete\0"
		"may=" PS_ROLE "[" PS_ROLE_NAME "admin," PS_ROLE_NAME "edit," PS_ROLE_NAME "view]:bind\0");

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	*ret_self = NULL;
	return 0;
}

static const struct ambient_reconciler projects = { sizeof(projects), "projects", ps_projects_reconcile };
static const struct ambient_reconciler settings = { sizeof(settings), "settings", ps_settings_reconcile };
static const struct ambient_reconciler retention = { sizeof(retention), "retention", ps_retention_reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &projects, &settings, &retention, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.create = create,
	.reconcilers = reconcilers,
};
