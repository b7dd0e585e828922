/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a value is taken apart, by kind: custom resources by the x-kubernetes extensions of their schema, builtin ones by
 * the shape of their messages and the tables below, which say what Kubernetes' own types say in their tags.  Lists that
 * no table names are one value, for apply and for strategic merge.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/proto.h"
#include "plugins/standalone/apiserver/schema_priv.h"

/* Sorted by field.  keys: of server-side apply, "" for a set of scalars, NULL: one value.  merge_key: of a strategic
 * merge, likewise. */
static const struct list_rule {
	const char *field, *keys, *merge_key;
} lists[] = {
	{ "b.JobStatus.conditions", NULL, "type" },
	{ "b.PodFailurePolicyOnExitCodesRequirement.values", "", NULL },
	{ "b.UncountedTerminatedPods.failed", "", NULL },
	{ "b.UncountedTerminatedPods.succeeded", "", NULL },
	{ "c.Container.env", "name", "name" },
	{ "c.Container.ports", "containerPort,protocol", "containerPort" },
	{ "c.Container.volumeDevices", "devicePath", "devicePath" },
	{ "c.Container.volumeMounts", "mountPath", "mountPath" },
	{ "c.ContainerRestartRuleOnExitCodes.values", "", NULL },
	{ "c.ContainerStatus.allocatedResourcesStatus", "name", "name" },
	{ "c.ContainerStatus.volumeMounts", "mountPath", "mountPath" },
	{ "c.EphemeralContainerCommon.env", "name", "name" },
	{ "c.EphemeralContainerCommon.ports", "containerPort,protocol", "containerPort" },
	{ "c.EphemeralContainerCommon.volumeDevices", "devicePath", "devicePath" },
	{ "c.EphemeralContainerCommon.volumeMounts", "mountPath", "mountPath" },
	{ "c.NamespaceStatus.conditions", "type", "type" },
	{ "c.NodeSpec.podCIDRs", "", "" },
	{ "c.NodeStatus.addresses", "type", "type" },
	{ "c.NodeStatus.conditions", "type", "type" },
	{ "c.PersistentVolumeClaimStatus.conditions", "type", "type" },
	{ "c.PodSpec.containers", "name", "name" },
	{ "c.PodSpec.ephemeralContainers", "name", "name" },
	{ "c.PodSpec.hostAliases", "ip", "ip" },
	{ "c.PodSpec.imagePullSecrets", "name", "name" },
	{ "c.PodSpec.initContainers", "name", "name" },
	{ "c.PodSpec.resourceClaims", "name", "name" },
	{ "c.PodSpec.schedulingGates", "name", "name" },
	{ "c.PodSpec.topologySpreadConstraints", "topologyKey,whenUnsatisfiable", "topologyKey" },
	{ "c.PodSpec.volumes", "name", "name" },
	{ "c.PodStatus.conditions", "type", "type" },
	{ "c.PodStatus.hostIPs", NULL, "ip" },
	{ "c.PodStatus.podIPs", "ip", "ip" },
	{ "c.PodStatus.resourceClaimStatuses", "name", "name" },
	{ "c.ResourceRequirements.claims", "name", NULL },
	{ "c.ResourceStatus.resources", "resourceID", NULL },
	{ "c.ServiceAccount.secrets", "name", "name" },
	{ "c.ServiceSpec.ports", "port,protocol", "port" },
	{ "c.ServiceStatus.conditions", "type", "type" },
	{ "m.ObjectMeta.finalizers", "", "" },
	{ "m.ObjectMeta.ownerReferences", "uid", "uid" },
	{ "x.CustomResourceDefinitionStatus.conditions", "type", NULL },
};

/* Objects that apply takes as one value: messages, and maps by their field.  Sorted. */
static const char *const atomic[] = {
	"c.ConfigMapKeySelector", "c.FileKeySelector", "c.LocalObjectReference", "c.NodeSelector", "c.NodeSelectorTerm",
	"c.ObjectFieldSelector", "c.ObjectReference", "c.PodSpec.nodeSelector", "c.ResourceFieldSelector", "c.ScopeSelector",
	"c.SecretKeySelector", "c.ServiceSpec.selector", "c.TypedLocalObjectReference", "m.LabelSelector", "m.OwnerReference",
	"r.RoleRef", "r.Subject",
};

static const struct am_type deduced = { .how = AM_HOW_DEDUCED }, leaf = { .how = AM_HOW_LEAF };

static int
rule_cmp(const void *key, const void *rule)
{
	return strcmp(key, ((const struct list_rule *)rule)->field);
}

static int
name_cmp(const void *key, const void *name)
{
	return strcmp(key, *(const char *const *)name);
}

static bool
is_atomic(const char *name)
{
	return bsearch(name, atomic, AM_COUNTOF(atomic), sizeof(atomic[0]), name_cmp) != NULL;
}

/* ---- builtin kinds */

/* Scalars, times and quantities have no message in the table. */
static struct am_type
of_message(const struct rest_proto_message *message)
{
	if (message == NULL)
		return leaf;
	return (struct am_type){ .how = is_atomic(message->name) ? AM_HOW_LEAF : AM_HOW_OBJECT, .message = message };
}

static struct am_type
of_field(const struct rest_proto_message *owner, const struct rest_proto_field *field)
{
	const struct rest_proto_message *message = rest_proto_find(field->type);
	char name[128];

	(void)snprintf(name, sizeof(name), "%s.%s", owner->name, field->json);
	if (field->map)
		return (struct am_type){ .how = is_atomic(name) ? AM_HOW_LEAF : AM_HOW_OBJECT, .message = message, .map = true };
	if (!field->repeated)
		return of_message(message);
	const struct list_rule *rule = bsearch(name, lists, AM_COUNTOF(lists), sizeof(lists[0]), rule_cmp);
	struct am_type type = { .how = AM_HOW_LEAF, .message = message, .list = true };
	if (rule == NULL)
		return type;
	type.merge_key = rule->merge_key;
	if (rule->keys != NULL) {
		type.how = rule->keys[0] == '\0' ? AM_HOW_SET : AM_HOW_KEYED;
		type.keys = rule->keys;
	}
	return type;
}

/* ---- custom resources */

static struct am_type
of_schema(const struct am_schema *schema)
{
	struct am_type type = { .how = AM_HOW_LEAF, .schema = schema };

	if (schema->type == AM_SCHEMA_OBJECT && !schema->atomic_map)
		type.how = AM_HOW_OBJECT;
	else if (schema->type == AM_SCHEMA_ARRAY && schema->list_type != AM_LIST_ATOMIC)
		type.how = schema->list_type == AM_LIST_SET ? AM_HOW_SET : AM_HOW_KEYED;
	else if (schema->type == AM_SCHEMA_ANY && schema->preserve)
		type.how = AM_HOW_DEDUCED;
	return type;
}

static bool
custom_member(const struct am_schema *schema, const char *name, struct am_type *ret)
{
	const struct am_schema *property = am_schema_property_of(schema, name);

	if (property != NULL) {
		*ret = of_schema(property);
		return true;
	}
	*ret = schema->additional != NULL ? of_schema(schema->additional) : deduced;
	return false;
}

/* ---- both */

struct am_type
am_type_of(const struct am_resource *res)
{
	char version[160];

	if (res->priv->schema != NULL)
		return (struct am_type){ .how = AM_HOW_OBJECT, .schema = res->priv->schema, .root = true };
	(void)snprintf(version, sizeof(version), "%s%s%s", res->group, res->group[0] != '\0' ? "/" : "", res->version);
	return (struct am_type){ .how = AM_HOW_OBJECT, .message = rest_proto_of_kind(version, res->kind), .root = true };
}

bool
am_type_member(const struct am_type *type, const struct am_node *member, struct am_type *ret)
{
	const struct rest_proto_message *owner;
	struct rest_proto_field field;

	if (type->root && strcmp(member->key, "metadata") == 0) {
		*ret = of_message(rest_proto_find("m.ObjectMeta"));
		return true;
	}
	if (type->root && (strcmp(member->key, "apiVersion") == 0 || strcmp(member->key, "kind") == 0)) {
		*ret = leaf;
		return true;
	}
	if (type->schema != NULL)
		return custom_member(type->schema, member->key, ret);
	if (type->map) {
		*ret = of_message(type->message);
		return false;
	}
	if (rest_proto_field_of(type->message, member->key, &owner, &field)) {
		*ret = of_field(owner, &field);
		return true;
	}
	*ret = deduced;
	return false;
}

struct am_type
am_type_element(const struct am_type *type)
{
	if (type->schema != NULL)
		return type->schema->items != NULL ? of_schema(type->schema->items) : deduced;
	return type->list ? of_message(type->message) : deduced;
}

bool
am_type_open(const struct am_type *type)
{
	if (type->schema != NULL)
		return type->schema->preserve || type->schema->embedded || type->schema->additional != NULL;
	return type->map || type->message == NULL;
}

static int
key_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *
am_type_keys(struct am_arena *arena, const struct am_type *type)
{
	size_t n = type->schema != NULL ? type->schema->n_map_keys : 1;
	const char **keys;
	char *list;

	for (const char *c = type->keys; type->schema == NULL && c != NULL && (c = strchr(c, ',')) != NULL; c++)
		n++;
	keys = am_arena_zalloc(arena, sizeof(*keys) * (n + 1));
	list = am_arena_strdup(arena, type->keys != NULL ? type->keys : "");
	if (keys == NULL || list == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		keys[i] = type->schema != NULL ? type->schema->map_keys[i] : strsep(&list, ",");
	qsort(keys, n, sizeof(*keys), key_cmp);
	return keys;
}

const struct am_node *
am_type_key_default(struct am_arena *arena, const struct am_type *type, const char *key)
{
	if (type->schema != NULL) {
		const struct am_schema *property =
			type->schema->items != NULL ? am_schema_property_of(type->schema->items, key) : NULL;
		return property != NULL ? property->fallback : NULL;
	}
	return strcmp(key, "protocol") == 0 ? am_node_str(arena, "TCP") : NULL;
}
