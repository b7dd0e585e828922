/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations and descriptor of workloads; it has neither configuration nor state. */
#include "workloads.h"

AMBIENT_DECLARE("name=workloads\0"
		"version=" PACKAGE_VERSION "\0"
		"reconciler=jobs\0"
		"for=batch/v1/jobs\0"
		"index=" BY_OWNER ":/metadata/ownerReferences/*/uid\0"
		"owns=v1/pods\0"
		"watch=v1/pods map=label:batch.kubernetes.io/job-name\0"
		"reconciler=orphans\0"
		"for=v1/pods\0"
		"index=" BY_JOB ":/metadata/labels/batch.kubernetes.io~1controller-uid\0"
		"reconciler=cronjobs\0"
		"for=batch/v1/cronjobs\0"
		"owns=batch/v1/jobs\0"
		"reconciler=serviceaccounts\0"
		"for=v1/namespaces\0"
		"watch=v1/serviceaccounts map=namespace\0"
		"reconciler=rootca\0"
		"for=v1/namespaces\0"
		"watch=v1/configmaps field=metadata.name=kube-root-ca.crt map=namespace\0"
		"may=v1/pods:create,delete,patch\0"
		"may=batch/v1/jobs:get,create,delete\0"
		"may=batch/v1/cronjobs/status:patch,update\0"
		"may=batch/v1/jobs/status:patch,update\0"
		"may=v1/serviceaccounts:create\0"
		"may=v1/configmaps:create,patch");

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	*ret_self = NULL;
	return 0;
}

static const struct ambient_reconciler jobs = { sizeof(jobs), "jobs", jobs_reconcile };
static const struct ambient_reconciler orphans = { sizeof(orphans), "orphans", orphans_reconcile };
static const struct ambient_reconciler cronjobs = { sizeof(cronjobs), "cronjobs", cronjobs_reconcile };
static const struct ambient_reconciler accounts = { sizeof(accounts), "serviceaccounts", accounts_reconcile };
static const struct ambient_reconciler rootca = { sizeof(rootca), "rootca", rootca_reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &jobs, &orphans, &cronjobs, &accounts, &rootca, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.create = create,
	.reconcilers = reconcilers,
};
