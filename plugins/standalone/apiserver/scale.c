/* SPDX-License-Identifier: Apache-2.0 */
/* /scale of custom resources: autoscaling/v1 Scale, mapped to three paths of the object. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission.h"

static void
pointer_of(char buf[256], const char *path)
{
	am_strlcpy(buf, path, 256);
	for (char *p = buf; *p != '\0'; p++)
		if (*p == '.')
			*p = '/';
}

static int64_t
number_at(const struct am_object *object, const char *path)
{
	char pointer[256];

	pointer_of(pointer, path);
	return am_json_int(am_object_text(object), pointer, 0);
}

static void
print_scale(const struct am_resource *res, const struct am_object *object, struct am_buf *out)
{
	struct am_slice text = am_object_text(object);
	char *created = am_json_dup(text, "/metadata/creationTimestamp"), *selector = NULL, pointer[256];

	am_json_addf(out, "{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\",\"metadata\":{\"name\":%s", object->name);
	if (object->ns[0] != '\0')
		am_json_addf(out, ",\"namespace\":%s", object->ns);
	am_json_addf(out, ",\"uid\":%s", object->uid);
	if (object->rv != 0)
		am_buf_addf(out, ",\"resourceVersion\":\"%llu\"", (unsigned long long)object->rv);
	if (created != NULL)
		am_json_addf(out, ",\"creationTimestamp\":%s", created);
	am_buf_adds(out, "},\"spec\":{");
	if (number_at(object, res->scale_spec) != 0)
		am_json_addf(out, "\"replicas\":%l", number_at(object, res->scale_spec));
	am_json_addf(out, "},\"status\":{\"replicas\":%l", number_at(object, res->scale_status));
	if (res->scale_selector != NULL) {
		pointer_of(pointer, res->scale_selector);
		selector = am_json_dup(text, pointer);
		if (selector != NULL)
			am_json_addf(out, ",\"selector\":%s", selector);
	}
	am_buf_adds(out, "}}");
	free(created);
	free(selector);
}

int
am_engine_scale(struct am_engine *engine, const struct am_resource *res, const char *ns, const char *name,
		struct am_buf *out, struct am_failure *failure)
{
	if (!(res->flags & AM_RES_SCALE))
		return am_fail(failure, 404, "NotFound", "the server could not find the requested resource");
	struct am_object *object = am_engine_get(engine, res, ns, name, NULL, failure);
	if (object == NULL)
		return -AMBIENT_E_NOTFOUND;
	print_scale(res, object, out);
	am_object_unref(object);
	return 0;
}

/* The Scale that the request means: the body, or the patch put on the present one, whose revision is *ret_rv. */
static struct am_node *
requested(struct am_engine *engine, const struct am_write *write, struct am_arena *arena, const char **ret_rv,
	  struct am_failure *failure)
{
	struct am_buf now = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *body = am_node_parse(arena, write->body.p, write->body.n, &err), *scale = NULL;

	if (body == NULL) {
		am_fail(failure, 400, "BadRequest", "the object provided cannot be read: %s", err.message);
		return NULL;
	}
	if (write->verb != AM_VERB_PATCH)
		return body;
	if (write->patch == AM_PATCH_STRATEGIC) {
		am_fail(failure, 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media "
			"types for scale include: application/json-patch+json, application/merge-patch+json, "
			"application/apply-patch+yaml");
		return NULL;
	}
	if (am_engine_scale(engine, write->res, write->ns, write->name, &now, failure) == 0)
		scale = am_node_parse(arena, now.data, now.len, &err);
	am_buf_fini(&now);
	if (scale == NULL)
		return NULL;
	*ret_rv = am_node_get_str(am_node_get(scale, "metadata"), "resourceVersion", NULL);
	if (write->patch == AM_PATCH_APPLY)
		return body;
	if (write->patch == AM_PATCH_JSON)
		scale = am_patch_json(arena, scale, body, &err);
	else
		scale = am_patch_merge(arena, scale, body);
	if (scale == NULL)
		am_fail(failure, 422, "Invalid", "the server rejected our request due to an error in our request: %s", err.message);
	return scale;
}

/* Is it a Scale of this object, and to how many? */
static int
read_scale(const struct am_write *write, const struct am_node *scale, int64_t *ret, struct am_failure *failure)
{
	const char *kind = am_node_get_str(scale, "kind", ""), *version = am_node_get_str(scale, "apiVersion", "");
	const char *name = am_node_get_str(am_node_get(scale, "metadata"), "name", "");
	const struct am_node *replicas = am_node_path(scale, "spec", "replicas", NULL);
	bool apply = write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_APPLY;

	if ((*kind != '\0' || apply) && strcmp(kind, "Scale") != 0)
		return am_fail(failure, 400, "BadRequest", "the kind in the data (%.100s) does not match the expected kind (Scale)", kind);
	if ((*version != '\0' || apply) && strcmp(version, "autoscaling/v1") != 0)
		return am_fail(failure, 400, "BadRequest", "the API version in the data (%.100s) does not match the expected API version "
			       "(autoscaling/v1)", version);
	if (*name != '\0' && strcmp(name, write->name) != 0)
		return am_fail(failure, 400, "BadRequest", "the name of the object (%.260s) does not match the name on the URL (%.260s)",
			       name, write->name);
	*ret = 0;
	if (replicas == NULL && apply)
		am_failure_cause(failure, "FieldValueRequired", "spec.replicas", "Required value");
	else if (replicas != NULL && (!am_node_is_int(replicas, ret) || *ret < 0 || *ret > INT32_MAX))
		am_failure_cause(failure, "FieldValueInvalid", "spec.replicas", "Invalid value: must be an integer from 0 to %d", INT32_MAX);
	return failure->n_causes > 0 ? am_fail_invalid(failure, "Scale", "autoscaling", write->name) : 0;
}

/* The patch of the object that this is: a merge, or what the manager applies. */
static void
print_patch(const struct am_write *write, struct am_arena *arena, int64_t replicas, const char *rv, struct am_buf *out)
{
	const struct am_resource *res = write->res;
	struct am_node *patch = am_node_object(arena);
	char pointer[256];

	pointer_of(pointer, res->scale_spec);
	if (write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_APPLY) {
		am_node_set(arena, patch, "apiVersion", am_node_str(arena, am_arena_printf(arena, "%s/%s", res->group, res->version)));
		am_node_set(arena, patch, "kind", am_node_str(arena, res->kind));
		am_node_set_at(arena, patch, "/metadata/name", am_node_str(arena, write->name), NULL);
	}
	am_node_set_at(arena, patch, pointer, am_node_int(arena, replicas), NULL);
	if (rv != NULL)
		am_node_set_at(arena, patch, "/metadata/resourceVersion", am_node_str(arena, rv), NULL);
	am_node_print(patch, out);
}

int
am_scale_write(struct am_engine *engine, const struct am_write *write, struct am_written *written,
	       struct am_failure *failure)
{
	const struct am_resource *res = write->res;
	const char *shown = NULL;
	int64_t replicas = 0;

	if (!(res->flags & AM_RES_SCALE) || write->name == NULL)
		return am_fail(failure, 404, "NotFound", "the server could not find the requested resource");
	struct am_arena *arena = am_arena_new_limited(16 * 1024 * 1024);
	struct am_node *scale = requested(engine, write, arena, &shown, failure);
	int rc = scale == NULL ? -AMBIENT_E_INVALID : read_scale(write, scale, &replicas, failure);
	const char *rv = am_node_get_str(am_node_get(scale, "metadata"), "resourceVersion", "");
	struct am_buf text = { 0 };
	if (rc == 0) {
		/* The revision that a patch has found is no condition: it is tried again when somebody was faster. */
		print_patch(write, arena, replicas, *rv != '\0' && !am_streq(rv, shown) ? rv : NULL, &text);
		struct am_write inner = *write;
		inner.verb = AM_VERB_PATCH;
		inner.patch = write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_APPLY ? AM_PATCH_APPLY : AM_PATCH_MERGE;
		inner.subresource = NULL;
		inner.through = "scale";
		inner.body = am_slice(text.data, text.len);
		inner.force = write->force && inner.patch == AM_PATCH_APPLY;
		rc = am_engine_write(engine, &inner, written, failure);
	}
	/* A conflict is about the field that the manager wrote. */
	for (size_t i = 0; rc < 0 && i < failure->n_causes; i++)
		if (strcmp(failure->causes[i].field, res->scale_spec) == 0) {
			free(failure->causes[i].field);
			failure->causes[i].field = am_xstrdup(".spec.replicas");
		}
	if (rc == 0) {
		struct am_buf out = { 0 };
		print_scale(res, written->object, &out);
		written->scale = am_buf_steal(&out, NULL);
	}
	am_buf_fini(&text);
	am_arena_free(arena);
	return rc;
}
