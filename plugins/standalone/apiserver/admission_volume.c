/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the volumes of a pod may say.  hostPath is a matter of the node's option "hostPaths", which the node tells in an
 * annotation of its Node; it looks again, with the links resolved, when the pod starts.
 */
#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission_pod.h"
#include "plugins/standalone/apiserver/quantity.h"

#define AT(...)  am_arena_printf(change->arena, __VA_ARGS__)
#define EACH(i, list) const struct am_node *i = (list) != NULL ? (list)->first : NULL; i != NULL; i = i->next

#define TOKEN_SECONDS_MIN 600

static void
check_mode(struct am_change *change, const struct am_node *object, const char *key, const char *at)
{
	const struct am_node *mode = am_node_get(object, key);
	int64_t n;

	if (mode != NULL && (!am_node_is_int(mode, &n) || n < 0 || n > 0777))
		am_bad(change, AT("%s.%s", at, key), mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

/* A file below the volume. */
static void
check_path(struct am_change *change, const struct am_node *object, const char *at)
{
	const char *path = am_node_get_str(object, "path", "");
	char *field = AT("%s.path", at);

	if (*path == '\0')
		am_need(change, field);
	else if (*path == '/')
		am_bad(change, field, am_node_get(object, "path"), "must be a relative path");
	else if (am_pod_path_climbs(path))
		am_bad(change, field, am_node_get(object, "path"), "must not contain '..'");
	else if (strncmp(path, "..", 2) == 0)
		am_bad(change, field, am_node_get(object, "path"), "must not start with '..'");
}

/* paths: where the files of a projected volume must not meet; NULL elsewhere. */
static void
check_keys(struct am_change *change, const struct am_node *source, const char *at, struct am_map *paths)
{
	int i = 0;

	for (EACH(k, am_node_get(source, "items"))) {
		char *field = AT("%s.items[%d]", at, i++);
		const char *path = am_node_get_str(k, "path", "");
		if (am_empty(am_node_get_str(k, "key", NULL)))
			am_need(change, AT("%s.key", field));
		check_path(change, k, field);
		check_mode(change, k, "mode", field);
		if (paths != NULL && am_map_has(paths, path))
			am_bad(change, AT("%s.path", field), am_node_get(k, "path"), "conflicting duplicate paths");
		if (paths != NULL)
			am_map_put(paths, path, paths);
	}
}

static void
check_downward(struct am_change *change, const struct am_node *source, const char *at)
{
	int i = 0;

	for (EACH(k, am_node_get(source, "items"))) {
		const struct am_node *field = am_node_get(k, "fieldRef"), *resource = am_node_get(k, "resourceFieldRef");
		char *item = AT("%s.items[%d]", at, i++);
		check_path(change, k, item);
		check_mode(change, k, "mode", item);
		if (field != NULL && resource != NULL)
			am_bad(change, item, NULL, "fieldRef and resourceFieldRef can not be specified simultaneously");
		else if (field != NULL)
			am_pod_check_field_ref(change, field, AT("%s.fieldRef", item), true);
		else if (resource != NULL)
			am_pod_check_resource_ref(change, resource, AT("%s.resourceFieldRef", item), true);
		else
			am_failure_cause(change->failure, "FieldValueRequired", item,
					 "Required value: one of fieldRef and resourceFieldRef is required");
	}
}

static void
check_token(struct am_change *change, const struct am_node *token, const char *at)
{
	int64_t seconds = TOKEN_SECONDS_MIN;

	check_path(change, token, at);
	if (am_node_get_int(token, "expirationSeconds", &seconds) && seconds < TOKEN_SECONDS_MIN)
		am_bad(change, AT("%s.expirationSeconds", at), am_node_get(token, "expirationSeconds"),
		       "may not specify a duration less than 10 minutes");
	else if (seconds > (int64_t)UINT32_MAX + 1)
		am_bad(change, AT("%s.expirationSeconds", at), am_node_get(token, "expirationSeconds"),
		       "may not specify a duration larger than 2^32 seconds");
}

static void
check_projected(struct am_change *change, const struct am_node *projected, const char *at)
{
	struct am_map *paths = am_map_new();
	int i = 0;

	check_mode(change, projected, "defaultMode", at);
	for (EACH(s, am_node_get(projected, "sources"))) {
		char *source = AT("%s.sources[%d]", at, i++);
		int found = 0;
		for (EACH(m, s)) {
			char *field = AT("%s.%.60s", source, m->key);
			if (++found > 1)
				am_forbid(change, field, "may not specify more than 1 volume type");
			else if (strcmp(m->key, "secret") == 0 || strcmp(m->key, "configMap") == 0) {
				if (am_empty(am_node_get_str(m, "name", NULL)))
					am_need(change, AT("%s.name", field));
				check_keys(change, m, field, paths);
			} else if (strcmp(m->key, "downwardAPI") == 0)
				check_downward(change, m, field);
			else if (strcmp(m->key, "serviceAccountToken") == 0)
				check_token(change, m, field);
			else
				am_forbid(change, field, "this source is not supported by the standalone node");
		}
	}
	am_map_free(paths);
}

static bool
below_an_allowed(const char *list, const char *path)
{
	for (const char *p = list; *p != '\0'; p += strcspn(p, ":"), p += *p == ':') {
		size_t n = strcspn(p, ":");
		while (n > 1 && p[n - 1] == '/')
			n--;
		if (strncmp(path, p, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1))
			return true;
	}
	return false;
}

static void
check_host_path(struct am_change *change, const struct am_node *volume, const char *at)
{
	static const char *const types[] = { "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
					     "Socket", NULL };
	const char *path = am_node_get_str(volume, "path", "");

	am_pod_check_choice(change, volume, "type", at, types);
	if (*path == '\0')
		am_need(change, AT("%s.path", at));
	else if (am_pod_path_climbs(path))
		am_bad(change, AT("%s.path", at), am_node_get(volume, "path"), "must not contain '..'");
	else if (!below_an_allowed(am_pod_node_says(change, "standalone/host-paths"), path))
		am_forbid(change, at, "the path is not below a directory of \"hostPaths\" in the configuration of plugin \"node\"");
}

static void
check_source(struct am_change *change, const struct am_node *m, const char *at)
{
	static const char *const media[] = { "Memory", NULL };
	struct am_quantity size;

	if (strcmp(m->key, "emptyDir") == 0) {
		const struct am_node *limit = am_node_get(m, "sizeLimit");
		if (limit != NULL && limit->type != AMBIENT_T_NULL && (!am_quantity_of(limit, &size) || size.nano < 0))
			am_bad(change, AT("%s.sizeLimit", at), limit, "must be a quantity greater than or equal to 0");
		am_pod_check_choice(change, m, "medium", at, media);
	} else if (strcmp(m->key, "secret") == 0 || strcmp(m->key, "configMap") == 0) {
		const char *name = strcmp(m->key, "secret") == 0 ? "secretName" : "name";
		if (am_empty(am_node_get_str(m, name, NULL)))
			am_need(change, AT("%s.%s", at, name));
		check_mode(change, m, "defaultMode", at);
		check_keys(change, m, at, NULL);
	} else if (strcmp(m->key, "downwardAPI") == 0) {
		check_mode(change, m, "defaultMode", at);
		check_downward(change, m, at);
	} else if (strcmp(m->key, "projected") == 0) {
		check_projected(change, m, at);
	} else if (strcmp(m->key, "persistentVolumeClaim") == 0) {
		if (am_empty(am_node_get_str(m, "claimName", NULL)))
			am_need(change, AT("%s.claimName", at));
	} else if (strcmp(m->key, "hostPath") == 0) {
		check_host_path(change, m, at);
	} else {
		am_forbid(change, at, "this type of volume is not supported by the standalone node");
	}
}

void
am_pod_check_volumes(struct am_change *change, const struct am_node *spec, struct am_pod_names *names, const char *at)
{
	int i = 0;

	for (EACH(v, am_node_get(spec, "volumes"))) {
		const char *name = am_node_get_str(v, "name", ""), *problem = *name != '\0' ? am_name_problem(name, 1) : NULL;
		char *field = AT("%s.volumes[%d]", at, i++);
		int found = 0;
		if (*name == '\0')
			am_need(change, AT("%s.name", field));
		else if (problem != NULL)
			am_bad(change, AT("%s.name", field), am_node_get(v, "name"), problem);
		am_pod_check_unique(change, names->volumes, name, AT("%s.name", field));
		for (EACH(m, v)) {
			if (strcmp(m->key, "name") == 0 || m->type == AMBIENT_T_NULL)
				continue;
			if (++found > 1)
				am_forbid(change, AT("%s.%.60s", field, m->key), "may not specify more than 1 volume type");
			else
				check_source(change, m, AT("%s.%.60s", field, m->key));
		}
	}
}
