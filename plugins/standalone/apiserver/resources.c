/* SPDX-License-Identifier: Apache-2.0 */
/* The table of builtin resources: everything that differs between them, in one place. */
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/resources.h"

static const char *const pod_fields[] = { "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
					  "spec.serviceAccountName", "status.phase", "status.podIP", NULL };
static const char *const job_fields[] = { "status.successful", NULL };
static const char *const job_paths[] = { "/status/succeeded", NULL };
static const char *const secret_fields[] = { "type", NULL };
static const char *const namespace_fields[] = { "status.phase", NULL };
static const char *const node_fields[] = { "spec.unschedulable", NULL };
static const char *const event_fields[] = {
	"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
	"involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
	"reportingComponent", "source", "type", NULL,
};
static const char *const event_paths[] = {
	"/involvedObject/kind", "/involvedObject/namespace", "/involvedObject/name", "/involvedObject/uid",
	"/involvedObject/apiVersion", "/involvedObject/resourceVersion", "/involvedObject/fieldPath", "/reason",
	"/reportingComponent", "/source/component", "/type", NULL,
};
static const char *const new_event_fields[] = {
	"regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
	"regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type", NULL,
};
static const char *const new_event_paths[] = {
	"/involvedObject/kind", "/involvedObject/namespace", "/involvedObject/name", "/involvedObject/uid",
	"/involvedObject/apiVersion", "/involvedObject/resourceVersion", "/involvedObject/fieldPath", "/reason",
	"/reportingComponent", "/type", NULL,
};

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum {
	N = AM_RES_NAMESPACED,
	S = AM_RES_STATUS,
	X = AM_RES_NO_DELETECOLLECTION,
};

const struct am_builtin am_builtins[] = {
	{ "", "v1", "namespaces", "Namespace", NAMES("ns"), NULL, S | X, AM_UNCONDITIONAL, &am_kind_namespace,
	  .fields = namespace_fields },
	{ "", "v1", "nodes", "Node", NAMES("no"), NULL, S, AM_UNCONDITIONAL | AM_CREATE_STATUS, &am_kind_node, .fields = node_fields },
	{ "", "v1", "pods", "Pod", NAMES("po"), NAMES("all"), N | S, AM_UNCONDITIONAL | AM_GENERATION, &am_kind_pod,
	  .fields = pod_fields },
	{ "", "v1", "configmaps", "ConfigMap", NAMES("cm"), NULL, N, AM_UNCONDITIONAL, &am_kind_config_map },
	{ "", "v1", "secrets", "Secret", NULL, NULL, N, AM_UNCONDITIONAL, &am_kind_secret, .fields = secret_fields },
	{ "", "v1", "services", "Service", NAMES("svc"), NAMES("all"), N | S, AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE,
	  &am_kind_service },
	{ "", "v1", "serviceaccounts", "ServiceAccount", NAMES("sa"), NULL, N, AM_UNCONDITIONAL, &am_kind_service_account },
	{ "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", NAMES("pvc"), NULL, N | S, AM_UNCONDITIONAL,
	  &am_kind_claim },
	{ "", "v1", "resourcequotas", "ResourceQuota", NAMES("quota"), NULL, N | S, AM_UNCONDITIONAL,
	  &am_kind_quota },
	{ "", "v1", "limitranges", "LimitRange", NAMES("limits"), NULL, N, AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE,
	  &am_kind_limit_range },
	{ "", "v1", "events", "Event", NAMES("ev"), NULL, N, AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE, &am_kind_event,
	  .fields = event_fields, .paths = event_paths },
	{ "events.k8s.io", "v1", "events", "Event", NAMES("ev"), NULL, N, AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE,
	  &am_kind_event, .fields = new_event_fields, .paths = new_event_paths, .view = &am_view_events, .store_group = "" },
	{ "batch", "v1", "jobs", "Job", NULL, NAMES("all"), N | S, AM_UNCONDITIONAL | AM_GENERATION, &am_kind_job,
	  .fields = job_fields, .paths = job_paths },
	{ "batch", "v1", "cronjobs", "CronJob", NAMES("cj"), NAMES("all"), N | S, AM_UNCONDITIONAL | AM_GENERATION,
	  &am_kind_cronjob },
	{ "coordination.k8s.io", "v1", "leases", "Lease", NULL, NULL, N, AM_CREATE_ON_UPDATE, &am_kind_lease },
	{ "rbac.authorization.k8s.io", "v1", "roles", "Role", NULL, NULL, N, AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE,
	  &am_kind_role },
	{ "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", NULL, NULL, N,
	  AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE, &am_kind_binding },
	{ "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", NULL, NULL, 0,
	  AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE, &am_kind_role },
	{ "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", NULL, NULL, 0,
	  AM_UNCONDITIONAL | AM_CREATE_ON_UPDATE, &am_kind_binding },
	{ "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", NAMES("netpol"), NULL, N,
	  AM_UNCONDITIONAL | AM_GENERATION, &am_kind_network_policy, .singular = "networkpolicy" },
	{ "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", NAMES("crd", "crds"),
	  NAMES("api-extensions"), S, AM_GENERATION, &am_kind_crd },
};
const size_t am_builtin_count = AM_COUNTOF(am_builtins);
