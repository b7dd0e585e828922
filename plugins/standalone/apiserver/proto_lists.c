/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the lists and objects of builtin kinds are put together, as Kubernetes' own types say in their tags: by apply, by
 * strategic merge, and for clients in OpenAPI.  What no row names is replaced as one value.  Both tables are sorted.
 */
#include "core/base/str.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/proto.h"

static const struct rest_proto_list lists[] = {
	{ "b.JobStatus", "conditions", "type", "merge", NULL, false },
	{ "b.PodFailurePolicyOnExitCodesRequirement", "values", NULL, NULL, NULL, true },
	{ "b.UncountedTerminatedPods", "failed", NULL, NULL, NULL, true },
	{ "b.UncountedTerminatedPods", "succeeded", NULL, NULL, NULL, true },
	{ "c.Container", "env", "name", "merge", "name", false },
	{ "c.Container", "ports", "containerPort", "merge", "containerPort,protocol", false },
	{ "c.Container", "volumeDevices", "devicePath", "merge", "devicePath", false },
	{ "c.Container", "volumeMounts", "mountPath", "merge", "mountPath", false },
	{ "c.ContainerRestartRuleOnExitCodes", "values", NULL, NULL, NULL, true },
	{ "c.ContainerStatus", "allocatedResourcesStatus", "name", "merge", "name", false },
	{ "c.ContainerStatus", "volumeMounts", "mountPath", "merge", "mountPath", false },
	{ "c.EphemeralContainerCommon", "env", "name", "merge", "name", false },
	{ "c.EphemeralContainerCommon", "ports", "containerPort", "merge", "containerPort,protocol", false },
	{ "c.EphemeralContainerCommon", "volumeDevices", "devicePath", "merge", "devicePath", false },
	{ "c.EphemeralContainerCommon", "volumeMounts", "mountPath", "merge", "mountPath", false },
	{ "c.NamespaceStatus", "conditions", "type", "merge", "type", false },
	{ "c.NodeSpec", "podCIDRs", NULL, "merge", NULL, true },
	{ "c.NodeStatus", "addresses", "type", "merge", "type", false },
	{ "c.NodeStatus", "conditions", "type", "merge", "type", false },
	{ "c.PersistentVolumeClaimStatus", "conditions", "type", "merge", "type", false },
	{ "c.PodSpec", "containers", "name", "merge", "name", false },
	{ "c.PodSpec", "ephemeralContainers", "name", "merge", "name", false },
	{ "c.PodSpec", "hostAliases", "ip", "merge", "ip", false },
	{ "c.PodSpec", "imagePullSecrets", "name", "merge", "name", false },
	{ "c.PodSpec", "initContainers", "name", "merge", "name", false },
	{ "c.PodSpec", "resourceClaims", "name", "merge,retainKeys", "name", false },
	{ "c.PodSpec", "schedulingGates", "name", "merge", "name", false },
	{ "c.PodSpec", "topologySpreadConstraints", "topologyKey", "merge", "topologyKey,whenUnsatisfiable", false },
	{ "c.PodSpec", "volumes", "name", "merge,retainKeys", "name", false },
	{ "c.PodStatus", "conditions", "type", "merge", "type", false },
	{ "c.PodStatus", "hostIPs", "ip", "merge", NULL, false },
	{ "c.PodStatus", "podIPs", "ip", "merge", "ip", false },
	{ "c.PodStatus", "resourceClaimStatuses", "name", "merge,retainKeys", "name", false },
	{ "c.ResourceRequirements", "claims", NULL, NULL, "name", false },
	{ "c.ResourceStatus", "resources", NULL, NULL, "resourceID", false },
	{ "c.ServiceAccount", "secrets", "name", "merge", "name", false },
	{ "c.ServiceSpec", "ports", "port", "merge", "port,protocol", false },
	{ "c.ServiceStatus", "conditions", "type", "merge", "type", false },
	{ "m.ObjectMeta", "finalizers", NULL, "merge", NULL, true },
	{ "m.ObjectMeta", "ownerReferences", "uid", "merge", "uid", false },
	{ "x.CustomResourceDefinitionStatus", "conditions", NULL, NULL, "type", false },
	{ "x.JSONSchemaProps", "x-kubernetes-validations", "rule", "merge", "rule", false },
};

static const struct {
	const char *message, *field;
} atomics[] = {
	{ "c.ConfigMapKeySelector", NULL },
	{ "c.FileKeySelector", NULL },
	{ "c.LocalObjectReference", NULL },
	{ "c.NodeSelector", NULL },
	{ "c.NodeSelectorTerm", NULL },
	{ "c.ObjectFieldSelector", NULL },
	{ "c.ObjectReference", NULL },
	{ "c.PodSpec", "nodeSelector" },
	{ "c.ResourceFieldSelector", NULL },
	{ "c.ScopeSelector", NULL },
	{ "c.SecretKeySelector", NULL },
	{ "c.ServiceSpec", "selector" },
	{ "c.TypedLocalObjectReference", NULL },
	{ "m.LabelSelector", NULL },
	{ "m.OwnerReference", NULL },
	{ "r.RoleRef", NULL },
	{ "r.Subject", NULL },
};

static int
field_cmp(const char *message_a, const char *field_a, const char *message_b, const char *field_b)
{
	int c = strcmp(message_a, message_b);

	return c != 0 ? c : strcmp(field_a, field_b);
}

const struct rest_proto_list *
rest_proto_list_of(const char *message, const char *field)
{
	size_t low = 0, high = AM_COUNTOF(lists);

	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = field_cmp(message, field, lists[middle].message, lists[middle].field);
		if (c == 0)
			return &lists[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool
rest_proto_is_atomic(const char *message, const char *field)
{
	size_t low = 0, high = AM_COUNTOF(atomics);

	field = field != NULL ? field : "";
	while (low < high) {
		size_t middle = (low + high) / 2;
		const char *of = atomics[middle].field != NULL ? atomics[middle].field : "";
		int c = field_cmp(message, field, atomics[middle].message, of);
		if (c == 0)
			return true;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
