/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a kind ("v1/configmaps") to what its objects call themselves ("v1", "ConfigMap").  The kinds that every cluster
 * has are a table; others are known from their watch, or asked for once by discovery.
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/host_priv.h"

#define SCOPE_PATIENCE (5 * AM_NS_PER_S)

static const struct {
	const char *kind, *name;
	bool cluster_scoped;
} known[] = {
	{ "v1/configmaps", "ConfigMap", false },
	{ "v1/events", "Event", false },
	{ "v1/namespaces", "Namespace", true },
	{ "v1/nodes", "Node", true },
	{ "v1/persistentvolumeclaims", "PersistentVolumeClaim", false },
	{ "v1/pods", "Pod", false },
	{ "v1/secrets", "Secret", false },
	{ "v1/serviceaccounts", "ServiceAccount", false },
	{ "v1/services", "Service", false },
	{ "batch/v1/cronjobs", "CronJob", false },
	{ "batch/v1/jobs", "Job", false },
	{ "coordination.k8s.io/v1/leases", "Lease", false },
	{ "networking.k8s.io/v1/networkpolicies", "NetworkPolicy", false },
	{ "rbac.authorization.k8s.io/v1/clusterrolebindings", "ClusterRoleBinding", true },
	{ "rbac.authorization.k8s.io/v1/clusterroles", "ClusterRole", true },
	{ "rbac.authorization.k8s.io/v1/rolebindings", "RoleBinding", false },
	{ "rbac.authorization.k8s.io/v1/roles", "Role", false },
};

static struct host_kind *
remember(struct am_host *host, const char *kind, const struct am_gvr *gvr, const char *name)
{
	struct host_kind *k = am_map_get(host->kinds, kind);

	if (k != NULL)
		return k;
	k = am_xcalloc(1, sizeof(*k));
	k->api_version = gvr->group[0] != '\0' ? am_xasprintf("%s/%s", gvr->group, gvr->version) : am_xstrdup(gvr->version);
	k->kind = am_xstrdup(name);
	am_map_put(host->kinds, kind, k);
	return k;
}

/* Remembers every kind of the answer to GET /apis/GROUP/VERSION. */
static void
learn(struct am_host *host, const struct am_gvr *gvr, struct am_slice document)
{
	struct am_slice resources, resource;
	size_t it = 0;

	if (!am_json_find(document, "/resources", &resources))
		return;
	while (am_json_element(resources, &it, &resource)) {
		char *plural = am_json_dup(resource, "/name"), *kind = am_json_dup(resource, "/kind");
		if (plural != NULL && kind != NULL && strchr(plural, '/') == NULL) {
			char *full = gvr->group[0] != '\0' ? am_xasprintf("%s/%s/%s", gvr->group, gvr->version, plural)
							   : am_xasprintf("%s/%s", gvr->version, plural);
			struct host_kind *k = remember(host, full, gvr, kind);
			k->cluster_scoped = am_json_bool(resource, "/namespaced", 1) == 0;
			k->scope_known = true;
			free(full);
		}
		free(plural);
		free(kind);
	}
}

static int
discover(struct am_host *host, const char *kind, const struct am_gvr *gvr, int64_t deadline, struct ambient_error *err)
{
	char *path = gvr->group[0] != '\0' ? am_xasprintf("/apis/%s/%s", gvr->group, gvr->version)
					   : am_xasprintf("/api/%s", gvr->version);
	const struct am_kube_request request = { .method = "GET", .path = path, .max = 4 << 20, .deadline = deadline };
	struct am_buf body = { 0 };
	int rc = am_kube_do(host->kube, &request, &body, err);

	if (rc == 0)
		rc = am_json_check(am_buf_str(&body), body.len, err);
	if (rc == 0) {
		am_lock(&host->lock);
		learn(host, gvr, am_slice(am_buf_str(&body), body.len));
		am_unlock(&host->lock);
	}
	free(path);
	am_buf_fini(&body);
	return rc < 0 ? am_err_prefix(err, "cannot find out about \"%s\"", kind) : 0;
}

static const struct host_kind *
remembered(struct am_host *host, const char *kind)
{
	am_lock(&host->lock);
	const struct host_kind *k = am_map_get(host->kinds, kind);
	am_unlock(&host->lock);
	return k;
}

/* What is remembered stays; only the first one who asks has the I/O thread say what a watch has seen. */
static const struct host_kind *
recall(struct am_instance *instance, const char *kind, const struct am_gvr *gvr)
{
	struct am_host *host = instance->host;
	const struct host_kind *k = remembered(host, kind);
	char name[128] = "";

	if (k != NULL)
		return k;
	for (size_t i = 0; i < AM_COUNTOF(known); i++) {
		if (strcmp(known[i].kind, kind) == 0)
			(void)am_strlcpy(name, known[i].name, sizeof(name));
	}
	const struct host_watch *w = name[0] == '\0' ? host_watch_of(instance, kind) : NULL;
	if (w != NULL && host_parts(w) > 0)
		am_informer_object_kind(w->parts[0].informer, name);
	am_lock(&host->lock);
	if (name[0] != '\0')
		(void)remember(host, kind, gvr, name);
	k = am_map_get(host->kinds, kind);
	am_unlock(&host->lock);
	return k;
}

int
host_kind(struct am_instance *instance, const char *kind, const char **api_version, const char **name, struct ambient_error *err)
{
	struct am_gvr gvr;
	int rc = am_gvr_parse(kind, &gvr, err);

	if (rc < 0)
		return rc;
	const struct host_kind *k = recall(instance, kind, &gvr);
	if (k == NULL) {
		rc = discover(instance->host, kind, &gvr, 0, err);
		if (rc < 0)
			return rc;
		k = recall(instance, kind, &gvr);
	}
	if (k == NULL)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the API server has no kind \"%s\"; is its CustomResourceDefinition applied",
				   kind);
	*api_version = k->api_version;
	*name = k->kind;
	return 0;
}

/* True: it is known. */
static bool
scope_of(struct am_host *host, const char *kind, bool *cluster_scoped)
{
	for (size_t i = 0; i < AM_COUNTOF(known); i++) {
		if (strcmp(known[i].kind, kind) == 0) {
			*cluster_scoped = known[i].cluster_scoped;
			return true;
		}
	}
	am_lock(&host->lock);
	const struct host_kind *k = am_map_get(host->kinds, kind);
	bool is = k != NULL && k->scope_known;
	*cluster_scoped = is && k->cluster_scoped;
	am_unlock(&host->lock);
	return is;
}

int
host_kind_scope(struct am_host *host, const char *kind, bool *cluster_scoped, struct ambient_error *err)
{
	struct am_gvr gvr;
	int rc = am_gvr_parse(kind, &gvr, err);

	if (rc < 0 || scope_of(host, kind, cluster_scoped))
		return rc;
	rc = discover(host, kind, &gvr, am_clock_boot(host->clock) + SCOPE_PATIENCE, err);
	if (rc == 0 && !scope_of(host, kind, cluster_scoped))
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "the API server has no kind \"%s\"", kind);
	return rc;
}
