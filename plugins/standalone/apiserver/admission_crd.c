/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for a CustomResourceDefinition itself: names, versions, structural schemas, paths. */
#include <ctype.h>

#include "plugins/standalone/apiserver/admission.h"

static void
crd_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *names = am_child(change, spec, "names");
	const char *kind = am_node_get_str(names, "kind", "");
	char *singular = am_arena_strdup(change->arena, kind);

	for (char *p = singular; p != NULL && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (*kind != '\0') {
		am_fill_str(change, names, "singular", singular);
		am_fill_str(change, names, "listKind", am_arena_printf(change->arena, "%sList", kind));
	}
	am_fill_str(change, am_child(change, spec, "conversion"), "strategy", "None");
}

static bool
flag(const struct am_node *node, const char *key)
{
	const struct am_node *member = am_node_get(node, key);

	return member != NULL && member->type == AMBIENT_T_BOOL && member->boolean;
}

static void
crd_create(struct am_change *change)
{
	const struct am_node *versions = am_node_path(change->object, "spec", "versions", NULL);
	struct am_node *status = am_child(change, change->object, "status"), *stored = am_node_array(change->arena);

	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next)
		if (flag(v, "storage"))
			am_node_append(stored, am_node_str(change->arena, am_node_get_str(v, "name", "")));
	am_node_set(change->arena, status, "storedVersions", stored);
}

static void
check_names(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *names = am_node_get(spec, "names");
	const char *group = am_node_get_str(spec, "group", ""), *plural = am_node_get_str(names, "plural", "");
	const char *name = am_node_get_str(am_node_get(change->object, "metadata"), "name", ""), *problem;
	const char *want = am_arena_printf(change->arena, "%s.%s", plural, group);
	const struct am_node *approved = am_node_path(change->object, "metadata", "annotations", "api-approved.kubernetes.io",
						      NULL);

	if (*group == '\0')
		am_need(change, "spec.group");
	else if ((problem = am_name_problem(group, 2)) != NULL || strchr(group, '.') == NULL)
		am_bad(change, "spec.group", am_node_get(spec, "group"),
		       problem != NULL ? problem : "should be a domain with at least one dot");
	if (*plural == '\0')
		am_need(change, "spec.names.plural");
	else if ((problem = am_name_problem(plural, 1)) != NULL)
		am_bad(change, "spec.names.plural", am_node_get(names, "plural"), problem);
	if (am_empty(am_node_get_str(names, "kind", NULL)))
		am_need(change, "spec.names.kind");
	if (want != NULL && strcmp(name, want) != 0)
		am_bad(change, "metadata.name", am_node_str(change->arena, name),
		       am_arena_printf(change->arena, "must be spec.names.plural+\".\"+spec.group"));
	if ((am_ends(group, ".k8s.io") || am_ends(group, ".kubernetes.io")) && approved == NULL)
		am_failure_cause(change->failure, "FieldValueRequired",
				 "metadata.annotations[api-approved.kubernetes.io]",
				 "Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\"");
}

static void
check_schema(struct am_change *change, const struct am_node *version, int i)
{
	const struct am_node *openapi = am_node_path(version, "schema", "openAPIV3Schema", NULL);
	struct am_schema_set *set = am_schema_set_new();
	char field[96];

	snprintf(field, sizeof(field), "spec.versions[%d].schema.openAPIV3Schema", i);
	if (openapi == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", field, "Required value: schemas are required");
	else
		(void)am_schema_compile(change->arena, set, openapi, field, change->failure);
	am_schema_set_free(set);
}

static void
check_paths(struct am_change *change, const struct am_node *version, int i)
{
	static const struct { const char *key, *prefix; } paths[] = {
		{ "specReplicasPath", ".spec." }, { "statusReplicasPath", ".status." },
	};
	const struct am_node *scale = am_node_path(version, "subresources", "scale", NULL);
	const struct am_node *fields = am_node_get(version, "selectableFields");
	char field[128];

	for (size_t k = 0; scale != NULL && k < AM_COUNTOF(paths); k++) {
		const char *path = am_node_get_str(scale, paths[k].key, "");
		snprintf(field, sizeof(field), "spec.versions[%d].subresources.scale.%s", i, paths[k].key);
		if (!am_starts(path, paths[k].prefix) || strpbrk(path, "[]*\"'") != NULL || strlen(path) > 200)
			am_failure_cause(change->failure, "FieldValueInvalid", field,
					 "Invalid value: should be a json path under %s", paths[k].prefix);
	}
	snprintf(field, sizeof(field), "spec.versions[%d].selectableFields", i);
	if (fields != NULL && fields->count > 8)
		am_failure_cause(change->failure, "FieldValueTooMany", field, "Too many: %u: must have at most 8 items",
				 fields->count);
	for (const struct am_node *f = fields != NULL ? fields->first : NULL; f != NULL; f = f->next) {
		const char *path = am_node_get_str(f, "jsonPath", "");
		if (*path != '.' || am_starts(path, ".metadata") || strpbrk(path, "[]*\"'") != NULL)
			am_failure_cause(change->failure, "FieldValueInvalid", field, "Invalid value: \"%.100s\": is not a simple path",
					 path);
	}
}

static void
check_versions(struct am_change *change, const struct am_node *spec)
{
	const struct am_node *versions = am_node_get(spec, "versions");
	struct am_map *names = am_map_new();
	char field[64];
	int i = 0, storage = 0;

	if (versions == NULL || versions->type != AMBIENT_T_ARRAY || versions->count == 0)
		am_need(change, "spec.versions");
	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next, i++) {
		const char *name = am_node_get_str(v, "name", "");
		snprintf(field, sizeof(field), "spec.versions[%d].name", i);
		if (*name == '\0')
			am_need(change, field);
		else if (am_name_problem(name, 1) != NULL)
			am_bad(change, field, am_node_get(v, "name"), am_name_problem(name, 1));
		else if (am_map_has(names, name))
			am_failure_cause(change->failure, "FieldValueDuplicate", field, "Duplicate value: \"%s\"", name);
		am_map_put(names, name, names);
		storage += flag(v, "storage");
		check_schema(change, v, i);
		check_paths(change, v, i);
	}
	if (i > 0 && storage != 1)
		am_failure_cause(change->failure, "FieldValueInvalid", "spec.versions",
				 "Invalid value: must have exactly one version marked as storage version");
	const struct am_node *stored = am_node_path(change->object, "status", "storedVersions", NULL);
	for (const struct am_node *e = stored != NULL ? stored->first : NULL; e != NULL; e = e->next)
		if (!am_map_has(names, am_node_text(e, "")))
			am_failure_cause(change->failure, "FieldValueInvalid", "status.storedVersions",
					 "Invalid value: \"%s\": must appear in spec.versions", am_node_text(e, ""));
	am_map_free(names);
}

static void
crd_check(struct am_change *change)
{
	static const char *const scopes[] = { "Cluster", "Namespaced", NULL }, *const strategies[] = { "None", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec");
	const char *scope = am_node_get_str(spec, "scope", "");
	const char *strategy = am_node_get_str(am_node_get(spec, "conversion"), "strategy", "");

	check_names(change, spec);
	if (*scope == '\0')
		am_need(change, "spec.scope");
	else if (strcmp(scope, "Cluster") != 0 && strcmp(scope, "Namespaced") != 0)
		am_unsupported(change, "spec.scope", scope, scopes);
	if (strcmp(strategy, "None") != 0)
		am_unsupported(change, "spec.conversion.strategy", strategy, strategies);
	if (flag(spec, "preserveUnknownFields"))
		am_bad(change, "spec.preserveUnknownFields", am_node_get(spec, "preserveUnknownFields"),
		       "cannot set to true, set x-preserve-unknown-fields to true in spec.versions[*].schema instead");
	check_versions(change, spec);
	am_immutable(change, "/spec/group", "spec.group");
	am_immutable(change, "/spec/scope", "spec.scope");
	am_immutable(change, "/spec/names/plural", "spec.names.plural");
	am_immutable(change, "/spec/names/kind", "spec.names.kind");
}

const struct am_kind am_kind_crd = { .fill = crd_fill, .create = crd_create, .check = crd_check };
