/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions and roles that the configuration names are applied at each start: made when missing, changed when what
 * the file says differs.  Each option takes one kind from its files and no other.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "plugins/standalone/apiserver/rbac.h"

#define FILE_MAX ((size_t)8 << 20)

static const struct kind {
	const char *option, *group, *plural, *kind;
} kinds[] = {
	[REST_FILES_CRDS] = { "crds", "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition" },
	[REST_FILES_ROLES] = { "roles", RBAC_GROUP, "clusterroles", "ClusterRole" },
};

struct apply {
	struct rest_server *server;
	const struct kind *kind;
	const struct am_resource *res;
	const char *path;
};

static int
write_one(struct apply *a, enum am_verb verb, const char *name, struct am_slice body, struct am_failure *failure)
{
	struct am_write w = { .verb = verb, .res = a->res, .name = name, .body = body, .user = REST_MASTERS,
			      .field_manager = "ambient" };
	struct am_written written = { 0 };

	if (verb == AM_VERB_PATCH)
		w.patch = AM_PATCH_MERGE;
	int rc = am_engine_write(a->server->engine, &w, &written, failure);

	am_written_fini(&written);
	return rc;
}

static int
apply_document(void *arg, const char *json, size_t n, struct ambient_error *err)
{
	struct apply *a = arg;
	struct am_slice body = am_slice(json, n);
	struct am_failure failure = { 0 };
	char *kind = am_json_dup(body, "/kind"), *name = am_json_dup(body, "/metadata/name");
	int rc;

	if (!am_streq(kind, a->kind->kind) || name == NULL) {
		rc = ambient_err(err, AMBIENT_E_INVALID, "\"%s\" holds a %s; only a %s is taken", a->path,
				 kind != NULL ? kind : "document without kind", a->kind->kind);
	} else {
		struct am_object *there = am_engine_peek(a->server->engine, a->kind->group, a->kind->plural, NULL, name);

		rc = there == NULL ? write_one(a, AM_VERB_CREATE, NULL, body, &failure)
				   : write_one(a, AM_VERB_PATCH, name, body, &failure);
		if (rc < 0)
			ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is refused: %s", a->path, failure.message);
		am_object_unref(there);
	}
	am_failure_fini(&failure);
	free(kind);
	free(name);
	return rc;
}

static int
apply_file(struct apply *a, const char *path, struct ambient_error *err)
{
	struct am_buf text = { 0 };
	int rc = am_file_read(path, FILE_MAX, &text, err);

	a->path = path;
	if (rc == 0)
		rc = am_yaml_to_json(am_buf_str(&text), text.len, apply_document, a, err);
	if (rc < 0 && strstr(err->message, path) == NULL)
		am_err_prefix(err, "\"%s\"", path);
	am_buf_fini(&text);
	return rc;
}

static int
is_yaml(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	       (am_ends(e->d_name, ".yaml") || am_ends(e->d_name, ".yml") || am_ends(e->d_name, ".json"));
}

static int
apply_directory(struct apply *a, const char *path, struct ambient_error *err)
{
	struct dirent **names;
	int n = scandir(path, &names, is_yaml, alphasort), rc = 0;

	if (n < 0)
		return am_err_errno(err, errno, "cannot read the directory \"%s\"", path);
	for (int i = 0; i < n; i++) {
		char *file = am_xasprintf("%s/%s", path, names[i]->d_name);

		if (rc == 0)
			rc = apply_file(a, file, err);
		free(file);
		free(names[i]);
	}
	free(names);
	return rc;
}

int
rest_apply_files(struct rest_server *server, enum rest_files which, const char *const *paths, struct ambient_error *err)
{
	struct apply a = { .server = server, .kind = &kinds[which] };
	int rc = 0;

	a.res = am_engine_resource(server->engine, a.kind->group, "v1", a.kind->plural);
	if (a.res == NULL)
		return ambient_err(err, AMBIENT_E_INTERNAL, "the engine does not serve %s", a.kind->plural);
	for (size_t i = 0; rc == 0 && paths[i] != NULL; i++) {
		struct stat st;

		if (stat(paths[i], &st) < 0)
			rc = am_err_errno(err, errno, "cannot read \"%s\", named in %s", paths[i], a.kind->option);
		else if (S_ISDIR(st.st_mode))
			rc = apply_directory(&a, paths[i], err);
		else
			rc = apply_file(&a, paths[i], err);
	}
	am_resource_unref(a.res);
	return rc;
}
