/* SPDX-License-Identifier: Apache-2.0 */
/* What every namespace has: the ServiceAccount "default", and the cluster's CA for those who talk to it. */
#include "workloads.h"

#include <string.h>

#define CA_MAP "kube-root-ca.crt"

/* 1: there and not going away. */
static int
namespace_alive(struct ambient_call *call, const char *name, struct ambient_error *err)
{
	const struct ambient_object *ns;
	int rc = ambient_get(call, NAMESPACE, "", name, &ns, err);

	if (rc == -AMBIENT_E_NOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	return !ambient_deleting(ns) && strcmp(ambient_str(ns, "/status/phase", "Active"), "Terminating") != 0;
}

/* Somebody else was faster, or the namespace goes away meanwhile: both are fine. */
static int
forgive(int rc)
{
	return rc == -AMBIENT_E_EXISTS || rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

int
accounts_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		   struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *account;
	int rc = namespace_alive(call, req->name, err);

	if (rc <= 0)
		return rc;
	rc = ambient_get(call, ACCOUNT, req->name, "default", &account, err);
	if (rc != -AMBIENT_E_NOTFOUND)
		return rc;
	return forgive(ambient_create(call, ambient_draft_new(call, ACCOUNT, req->name, "default"), NULL, err));
}

int
rootca_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		 struct ambient_result *result, struct ambient_error *err)
{
	const char *ca = call->host->fact != NULL ? call->host->fact(call->host, "cluster-ca") : NULL;
	const struct ambient_object *map;
	struct ambient_draft *draft;
	int rc = namespace_alive(call, req->name, err);

	if (rc <= 0 || ca == NULL)
		return rc;
	rc = ambient_get(call, CONFIGMAP, req->name, CA_MAP, &map, err);
	if (rc == 0 && strcmp(ambient_str(map, "/data/ca.crt", ""), ca) == 0)
		return 0;
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	draft = ambient_draft_new(call, CONFIGMAP, req->name, CA_MAP);
	ambient_draft_set_str(draft, "/data/ca.crt", ca);
	if (rc == 0)
		return forgive(ambient_patch(call, CONFIGMAP, req->name, CA_MAP, NULL, AMBIENT_PATCH_MERGE,
					     ambient_json(ambient_draft_view(draft), "", NULL), NULL, err));
	ambient_draft_set_str(draft, "/metadata/annotations/kubernetes.io~1description",
			      "Contains a CA bundle that can be used to verify the API server.");
	return forgive(ambient_create(call, draft, NULL, err));
}
