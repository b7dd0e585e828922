/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Create, update and patch: from a request to a text to store.  The whole is computed against the object as it is;
 * when somebody else was faster it is computed again.  Order: decode, system fields, subresource, prune and default,
 * admission, validation, no-op check, commit.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/quota.h"

#define ATTEMPTS       200
#define NAME_ATTEMPTS  8

struct request {
	const struct am_write *write;
	struct am_object *old;     /* NULL: a create */
	bool generated;            /* the name came from generateName */
	struct am_change change;
	struct am_buf unknown;
};

/* ---- reading the body ---- */

static struct am_node *
parse(struct am_arena *arena, struct am_slice text, bool patch, struct am_failure *failure)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *node = am_node_parse(arena, text.p, text.n, &err);

	if (node == NULL)
		am_fail(failure, 400, "BadRequest", "%s: %s%s", patch ? "error decoding patch" : "the object provided cannot be read",
			strstr(err.message, "appears twice") != NULL ? "strict decoding error: duplicate field: " : "", err.message);
	return node;
}

static int
check_type(struct am_change *change, struct am_node *object)
{
	const struct am_resource *res = change->res;
	char *want = am_arena_printf(change->arena, "%s%s%s", res->group, res->group[0] != '\0' ? "/" : "", res->version);
	const char *version = am_node_get_str(object, "apiVersion", NULL), *kind = am_node_get_str(object, "kind", NULL);

	if (object->type != AMBIENT_T_OBJECT)
		return am_fail(change->failure, 400, "BadRequest", "the body must be a JSON object");
	if (am_empty(kind) && (res->flags & AM_RES_CUSTOM))
		return am_fail(change->failure, 400, "BadRequest", "Object 'Kind' is missing in the body");
	if (!am_empty(kind) && strcmp(kind, res->kind) != 0)
		return am_fail(change->failure, 400, "BadRequest", "the kind in the data (%.100s) does not match the expected kind "
			       "(%s)", kind, res->kind);
	if (!am_empty(version) && strcmp(version, want) != 0)
		return am_fail(change->failure, 400, "BadRequest", "the API version in the data (%.200s) does not match the "
			       "expected API version (%s)", version, want);
	if (am_empty(version) && (res->flags & AM_RES_CUSTOM))
		return am_fail(change->failure, 400, "BadRequest", "Object 'apiVersion' is missing in the body");
	am_node_set(change->arena, object, "apiVersion", am_node_str(change->arena, want));
	am_node_set(change->arena, object, "kind", am_node_str(change->arena, res->kind));
	return 0;
}

/* Go's types know no null: for builtin kinds it is absence. */
static void
strip_nulls(struct am_node *node)
{
	for (struct am_node *m = node->first, *next; m != NULL; m = next) {
		next = m->next;
		if (m->type == AMBIENT_T_NULL && node->type == AMBIENT_T_OBJECT)
			am_node_remove(node, m);
		else if (m->first != NULL)
			strip_nulls(m);
	}
}

/* From the version of the request to the one that is kept. */
static void
to_storage(struct am_change *change)
{
	const struct am_resource *res = change->res, *storage = change->storage;

	if (!(res->flags & AM_RES_CUSTOM))
		strip_nulls(change->object);
	if (res->priv->view != NULL)
		res->priv->view->store(change->arena, change->object);
	else if (storage != NULL && storage != res)
		am_node_set(change->arena, change->object, "apiVersion",
			    am_node_str(change->arena, am_arena_printf(change->arena, "%s%s%s", storage->group,
									storage->group[0] != '\0' ? "/" : "",
									storage->version)));
}

static int
apply_patch(struct request *r, struct am_node *patch)
{
	struct am_change *c = &r->change;
	struct am_buf text = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_type type;
	int rc;

	if (r->old != NULL)
		am_object_print(r->old, c->res, &text);
	struct am_node *target = r->old != NULL ? parse(c->arena, am_slice(text.data, text.len), false, c->failure)
						: am_node_object(c->arena);
	am_buf_fini(&text);
	if (target == NULL)
		return -AMBIENT_E_INTERNAL;
	switch (r->write->patch) {
	case AM_PATCH_MERGE:
		if (patch->type != AMBIENT_T_OBJECT)
			return am_fail(c->failure, 400, "BadRequest", "error decoding patch: a merge patch must be a JSON object");
		c->object = am_patch_merge(c->arena, target, patch);
		return 0;
	case AM_PATCH_JSON:
		if (patch->type != AMBIENT_T_ARRAY)
			return am_fail(c->failure, 400, "BadRequest", "error decoding patch: a JSON patch must be an array of operations");
		for (const struct am_node *op = patch->first; op != NULL; op = op->next)
			if (op->type != AMBIENT_T_OBJECT)
				return am_fail(c->failure, 400, "BadRequest",
					       "error decoding patch: an operation of a JSON patch must be an object");
		if (patch->count > 10000)
			return am_fail(c->failure, 413, "RequestEntityTooLarge", "the allowed maximum operations in a JSON patch is "
				       "10000, got %u", patch->count);
		c->object = am_patch_json(c->arena, target, patch, &err);
		if (c->object == NULL) {
			am_failure_cause(c->failure, "FieldValueInvalid", "patch", "Invalid value: %s", err.message);
			return am_fail(c->failure, 422, "Invalid", "the server rejected our request due to an error in our request");
		}
		return 0;
	case AM_PATCH_STRATEGIC:
		type = am_type_of(c->res);
		c->object = am_patch_strategic(c->arena, target, patch, &type, c->failure);
		return c->object != NULL ? 0 : -AMBIENT_E_INVALID;
	case AM_PATCH_APPLY:
		rc = check_type(c, patch);
		if (rc == 0 && !(c->res->flags & AM_RES_CUSTOM))
			strip_nulls(patch);
		return rc == 0 ? am_apply(c, r->write, target, patch) : rc;
	default:
		return am_fail(c->failure, 415, "UnsupportedMediaType", "this patch type is not served");
	}
}

static int
decode(struct request *r)
{
	struct am_change *c = &r->change;
	struct am_node *body = parse(c->arena, r->write->body, r->write->verb == AM_VERB_PATCH, c->failure);
	int rc;

	if (body == NULL)
		return -AMBIENT_E_INVALID;
	if (r->write->verb == AM_VERB_PATCH) {
		rc = apply_patch(r, body);
		if (rc < 0)
			return rc;
	} else {
		c->object = body;
	}
	rc = check_type(c, c->object);
	if (rc == 0 && !(c->res->flags & AM_RES_CUSTOM))
		rc = am_builtin_types(c->arena, am_node_get_str(c->object, "apiVersion", ""), c->res->kind, c->object,
				      r->write->verb == AM_VERB_PATCH && r->write->patch != AM_PATCH_APPLY, c->failure);
	if (rc == 0) {
		if (!(c->res->flags & AM_RES_CUSTOM))
			am_unknown_builtin(am_node_get_str(c->object, "apiVersion", ""), c->res->kind, c->object, c->unknown);
		to_storage(c);
	}
	return rc == 0 ? am_meta_shape(c) : rc;
}

/* ---- names, versions, system fields ---- */

static void
set_meta(struct am_change *c, const char *key, struct am_node *value)
{
	struct am_node *metadata = am_node_get(c->object, "metadata");

	if (value == NULL)
		am_node_del(metadata, key);
	else
		am_node_set(c->arena, metadata, key, value);
}

static int
check_place(struct request *r)
{
	struct am_change *c = &r->change;
	const struct am_node *metadata = am_node_get(c->object, "metadata");
	const char *ns = am_node_get_str(metadata, "namespace", NULL), *name = am_node_get_str(metadata, "name", NULL);

	if (c->res->flags & AM_RES_NAMESPACED) {
		if (!am_empty(ns) && strcmp(ns, c->ns) != 0)
			return am_fail(c->failure, 400, "BadRequest", "the namespace of the provided object does not match the "
				       "namespace sent on the request");
		set_meta(c, "namespace", am_node_str(c->arena, c->ns));
	}
	if (r->write->name == NULL)
		return 0;
	if (!am_empty(name) && strcmp(name, r->write->name) != 0)
		return am_fail(c->failure, 400, "BadRequest", "the name of the object (%.260s) does not match the name on the URL "
			       "(%.260s)", name, r->write->name);
	set_meta(c, "name", am_node_str(c->arena, r->write->name));
	return 0;
}

static struct am_node *
time_node(struct am_change *c)
{
	char text[32];

	am_time_format(text, c->now, false);
	return am_node_str(c->arena, text);
}

static int
system_fields_create(struct request *r)
{
	static const char *const wiped[] = { "deletionTimestamp", "deletionGracePeriodSeconds", "generation" };
	struct am_change *c = &r->change;
	const struct am_node *metadata = am_node_get(c->object, "metadata");
	char uid[37];

	/* An update that creates: its version is ignored, but a uid says which object was meant. */
	const char *meant = am_node_get_str(metadata, "uid", "");
	if (r->write->verb == AM_VERB_UPDATE && *meant != '\0')
		return am_fail(c->failure, 409, "Conflict", "Operation cannot be fulfilled on %s%s%s \"%s\": Precondition failed: UID in "
			       "precondition: %.64s, UID in object meta: ", c->res->plural, c->res->group[0] != '\0' ? "." : "",
			       c->res->group, r->write->name, meant);
	if (r->write->verb == AM_VERB_UPDATE)
		set_meta(c, "resourceVersion", NULL);
	else if (am_node_get(metadata, "resourceVersion") != NULL)
		return am_fail(c->failure, 500, "", "resourceVersion should not be set on objects to be created");
	for (size_t i = 0; i < AM_COUNTOF(wiped); i++)
		set_meta(c, wiped[i], NULL);
	if (am_empty(am_node_get_str(metadata, "name", NULL)) && !am_empty(am_node_get_str(metadata, "generateName", NULL))) {
		r->generated = true;
		am_meta_generate_name(c, am_node_get_str(metadata, "generateName", ""));
	}
	am_uuid4(uid);
	set_meta(c, "uid", am_node_str(c->arena, uid));
	set_meta(c, "creationTimestamp", time_node(c));
	if (c->res->priv->generation)
		set_meta(c, "generation", am_node_int(c->arena, 1));
	if ((c->res->flags & AM_RES_STATUS) && !c->res->priv->create_status)
		am_node_del(c->object, "status");
	return 0;
}

static int
check_versions(struct request *r)
{
	struct am_change *c = &r->change;
	const struct am_node *metadata = am_node_get(c->object, "metadata");
	const char *rv = am_node_get_str(metadata, "resourceVersion", ""), *uid = am_node_get_str(metadata, "uid", "");
	char now[24];

	snprintf(now, sizeof(now), "%llu", (unsigned long long)r->old->rv);
	if (*uid != '\0' && strcmp(uid, r->old->uid) != 0)
		return am_fail_on(c->failure, 409, "Conflict", c->res, r->old->name, "cannot be updated: Precondition failed: "
				  "UID in precondition: %.64s, UID in object meta: %s", uid, r->old->uid);
	if (*rv == '\0' && !c->res->priv->unconditional && r->write->verb == AM_VERB_UPDATE) {
		am_failure_cause(c->failure, "FieldValueInvalid", "metadata.resourceVersion",
				 "Invalid value: 0x0: must be specified for an update");
		return am_fail_invalid(c->failure, c->res->kind, c->res->group, r->old->name);
	}
	if (*rv != '\0' && strcmp(rv, now) != 0) {
		am_fail_on(c->failure, 409, "Conflict", c->res, r->old->name, "x");
		char *message = am_xasprintf("Operation cannot be fulfilled on %s%s%s \"%s\": the object has been modified; please "
					     "apply your changes to the latest version and try again", c->res->plural,
					     c->res->group[0] != '\0' ? "." : "", c->res->group, r->old->name);
		free(c->failure->message);
		c->failure->message = message;
		return -AMBIENT_E_CONFLICT;
	}
	return 0;
}

static struct am_node *
clone_or_null(struct am_arena *arena, const struct am_node *node)
{
	return node != NULL ? am_node_clone(arena, node) : NULL;
}

static void
set_or_del(struct am_change *c, struct am_node *parent, const char *key, const struct am_node *value)
{
	if (value == NULL)
		am_node_del(parent, key);
	else
		am_node_set(c->arena, parent, key, am_node_clone(c->arena, value));
}

/* Only the part that the subresource may write comes from the request. */
static int
restrict_to_subresource(struct am_change *c)
{
	static const char *const editable[] = { "labels", "annotations", "finalizers", "ownerReferences" };
	struct am_node *request = c->object, *base = am_node_clone(c->arena, c->old);

	if (c->subresource == NULL) {
		if (c->res->flags & AM_RES_STATUS)
			set_or_del(c, c->object, "status", am_node_get(c->old, "status"));
		if (strcmp(c->res->kind, "Namespace") == 0 && c->res->group[0] == '\0')
			set_or_del(c, am_child(c, c->object, "spec"), "finalizers",
				   am_node_path(c->old, "spec", "finalizers", NULL));
		return 0;
	}
	if (strcmp(c->subresource, "status") == 0) {
		set_or_del(c, base, "status", am_node_get(request, "status"));
		for (size_t i = 0; !(c->res->flags & AM_RES_CUSTOM) && i < AM_COUNTOF(editable); i++)
			set_or_del(c, am_node_get(base, "metadata"), editable[i], am_node_path(request, "metadata", editable[i], NULL));
	} else if (strcmp(c->subresource, "finalize") == 0) {
		set_or_del(c, am_child(c, base, "spec"), "finalizers", am_node_path(request, "spec", "finalizers", NULL));
	} else {
		return am_fail(c->failure, 404, "NotFound", "the server could not find the requested resource");
	}
	c->object = base;
	return 0;
}

static void
system_fields_update(struct request *r)
{
	static const char *const kept[] = { "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp",
					    "deletionGracePeriodSeconds", "generation", "generateName" };
	struct am_change *c = &r->change;
	const struct am_node *before = am_node_get(c->old, "metadata");

	for (size_t i = 0; i < AM_COUNTOF(kept); i++)
		set_meta(c, kept[i], clone_or_null(c->arena, am_node_get(before, kept[i])));
	set_meta(c, "resourceVersion", NULL);
}

static bool
counts_for_generation(const struct am_change *c, const char *key)
{
	if (!(c->res->flags & AM_RES_CUSTOM))
		return strcmp(key, "spec") == 0;
	return strcmp(key, "metadata") != 0 && strcmp(key, "apiVersion") != 0 && strcmp(key, "kind") != 0 &&
	       !(strcmp(key, "status") == 0 && (c->res->flags & AM_RES_STATUS));
}

static void
bump_generation(struct am_change *c)
{
	int64_t generation = 0;
	bool changed = false;

	if (!c->res->priv->generation)
		return;
	for (const struct am_node *m = c->object->first; m != NULL; m = m->next)
		if (counts_for_generation(c, m->key) && !am_node_equal(m, am_node_get(c->old, m->key)))
			changed = true;
	for (const struct am_node *m = c->old->first; m != NULL; m = m->next)
		if (counts_for_generation(c, m->key) && am_node_get(c->object, m->key) == NULL)
			changed = true;
	if (!changed)
		return;
	am_node_get_int(am_node_get(c->old, "metadata"), "generation", &generation);
	set_meta(c, "generation", am_node_int(c->arena, generation + 1));
}

/* ---- shape, admission, validation ---- */

static void
note_unknown(void *arg, const char *path)
{
	am_buf_addf(arg, "unknown field \"%s\"\n", path);
}

/* What stands inside as an object has to be one. */
static int
check_embedded(struct am_change *c, const struct am_schema *schema)
{
	struct am_buf path = { 0 };
	int rc = 0;

	if (am_schema_embedded_misfit(schema, c->object, &path))
		rc = am_fail(c->failure, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: %s has the wrong type",
			     c->res->kind, c->res->version, c->res->kind, am_buf_str(&path));
	am_buf_fini(&path);
	return rc;
}

static int
shape(struct am_change *c)
{
	const struct am_resource *storage = c->storage;
	const struct am_schema *schema = c->res->priv->schema;

	if (schema != NULL) {
		int rc = check_embedded(c, schema);

		if (rc < 0)
			return rc;
		am_schema_prune(schema, c->object, note_unknown, c->unknown);
		am_schema_default(c->arena, schema, c->object);
		if (storage != NULL && storage != c->res && storage->priv->schema != NULL) {
			am_schema_prune(storage->priv->schema, c->object, NULL, NULL);
			am_schema_default(c->arena, storage->priv->schema, c->object);
		}
	} else if (c->res->priv->kind != NULL && c->res->priv->kind->fill != NULL) {
		c->res->priv->kind->fill(c);
	}
	return 0;
}

/* Sentences about unknown fields become warnings, or under Strict the refusal. */
static int
judge_unknown(struct am_change *c)
{
	if (c->unknown->len == 0 || c->fields == AM_FIELDS_IGNORE)
		return 0;
	char *list = am_arena_strndup(c->arena, c->unknown->data, c->unknown->len - 1), *save = NULL;
	if (c->fields == AM_FIELDS_WARN) {
		for (char *s = strtok_r(list, "\n", &save); s != NULL; s = strtok_r(NULL, "\n", &save))
			am_change_warn(c, "%s", s);
		return 0;
	}
	struct am_buf text = { .max = 16384 };
	for (char *s = strtok_r(list, "\n", &save); s != NULL; s = strtok_r(NULL, "\n", &save))
		am_buf_addf(&text, "%s%s", text.len > 0 ? ", " : "", s);
	int rc = am_fail(c->failure, 400, "BadRequest",
			 "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s", c->res->kind,
			 c->res->version, c->res->kind, am_buf_str(&text));
	am_buf_fini(&text);
	return rc;
}

static int
validate(struct request *r)
{
	struct am_change *c = &r->change;
	const struct am_kind *kind = c->res->priv->kind;
	const struct am_node *metadata = am_node_get(c->object, "metadata");
	bool status = am_streq(c->subresource, "status");

	am_meta_check(c);
	if (c->res->priv->schema != NULL)
		am_schema_validate(c->res->priv->schema, c->object, c->old, c->failure);
	if (kind != NULL && kind->check != NULL && c->subresource == NULL)
		kind->check(c);
	if (kind != NULL && kind->check_status != NULL && status)
		kind->check_status(c);
	if (c->failure->n_causes > 0)
		return am_fail_invalid(c->failure, c->res->kind, c->res->group, am_node_get_str(metadata, "name", ""));
	if (c->failure->code != 0)
		return -AMBIENT_E_INVALID;
	if (r->write->guard != NULL)
		return r->write->guard(r->write->guard_arg, c->old, c->object, c->failure);
	return 0;
}

/* ---- namespaces that end, definitions that end ---- */

static int
namespace_missing(struct am_failure *failure, const char *ns)
{
	int rc = am_fail(failure, 404, "NotFound", "namespaces \"%s\" not found", ns);

	failure->kind = am_xstrdup("namespaces");
	failure->name = am_xstrdup(ns);
	return rc;
}

static int
namespace_ends(struct am_failure *failure, const struct am_resource *res, const char *ns, const char *name)
{
	int rc = am_fail_on(failure, 403, "Forbidden", res, name,
			    "is forbidden: unable to create new content in namespace %s because it is being terminated", ns);

	am_failure_cause(failure, "NamespaceTerminating", "metadata.namespace", "namespace %s is being terminated", ns);
	return rc;
}

static int
check_namespace(struct am_change *c, const char *name)
{
	if (!(c->res->flags & AM_RES_NAMESPACED))
		return 0;
	struct am_object *ns = am_engine_peek(c->engine, "", "namespaces", NULL, c->ns);
	bool there = ns != NULL, ends = there && (ns->flags & AM_OBJ_DELETING);
	am_object_unref(ns);
	if (!there)
		return namespace_missing(c->failure, c->ns);
	return ends ? namespace_ends(c->failure, c->res, c->ns, name) : 0;
}

int
am_change_refused(const struct am_op *op, const struct am_resource *res, struct am_failure *failure)
{
	switch (op->result) {
	case AM_OP_RETRY:
		return 1;
	case AM_OP_NO_NAMESPACE:
		return namespace_missing(failure, op->ns);
	case AM_OP_NAMESPACE_ENDS:
		return namespace_ends(failure, res, op->ns, op->name);
	case AM_OP_REFUSED:
		return am_fail_on(failure, 403, "Forbidden", res, op->name,
				  "is forbidden: create not allowed while custom resource definition is terminating");
	case AM_OP_NO_SPACE:
		return am_fail_space(op->store->engine, failure);
	default:
		if (op->err.code == AMBIENT_E_NOMEM)
			return am_fail_space(op->store->engine, failure);
		return am_fail(failure, 500, "InternalError", "Internal error occurred: %s", op->err.message);
	}
}

static int
already_exists(struct request *r, const char *ns, const char *name)
{
	struct am_change *c = &r->change;
	struct am_object *there = am_engine_peek(c->engine, c->res->store->group, c->res->plural, ns, name);
	bool deleting = there != NULL && (there->flags & AM_OBJ_DELETING);

	am_object_unref(there);
	int rc = am_fail_on(c->failure, 409, "AlreadyExists", c->res, name, "already exists%s",
			    r->generated ? ", the server was not able to generate a unique name for the object" : "");
	if (r->generated)
		c->failure->retry_after = 1;
	if (deleting) {
		char *message = am_xasprintf("object is being deleted: %s", c->failure->message);
		free(c->failure->message);
		c->failure->message = message;
	}
	return rc;
}

/* ---- the two ways to a finished tree ---- */

static int
prepare_create(struct request *r)
{
	struct am_change *c = &r->change;
	const struct am_kind *kind = c->res->priv->kind;
	int rc;

	if (c->res->flags & AM_RES_READ_DELETE)
		return am_fail_on(c->failure, 403, "Forbidden", c->res, "",
				  "is forbidden: create not allowed while custom resource definition is terminating");
	rc = decode(r);
	if (rc == 0)
		rc = check_place(r);
	if (rc == 0)
		rc = check_namespace(c, am_node_get_str(am_node_get(c->object, "metadata"), "name", ""));
	if (rc == 0)
		rc = system_fields_create(r);
	if (rc < 0)
		return rc;
	rc = shape(c);
	if (rc < 0)
		return rc;
	if (kind != NULL && kind->create != NULL)
		kind->create(c);
	rc = am_limits_admit(c);
	if (rc < 0)
		return rc;
	rc = judge_unknown(c);
	am_apply_track(c, r->write);
	return rc == 0 ? validate(r) : rc;
}

static int
prepare_update(struct request *r)
{
	struct am_change *c = &r->change;
	struct am_buf raw = { 0 };
	int rc = decode(r);

	if (rc == 0)
		rc = check_place(r);
	if (rc == 0)
		rc = check_versions(r);
	if (rc < 0)
		return rc;
	am_object_raw(r->old, &raw);
	c->old = parse(c->arena, am_slice(raw.data, raw.len), false, c->failure);
	am_buf_fini(&raw);
	if (c->old == NULL)
		return -AMBIENT_E_INTERNAL;
	rc = restrict_to_subresource(c);
	if (rc < 0)
		return rc;
	system_fields_update(r);
	rc = shape(c);
	if (rc == 0)
		rc = am_limits_admit(c);
	if (rc == 0)
		rc = judge_unknown(c);
	if (rc < 0)
		return rc;
	bump_generation(c);
	am_apply_track(c, r->write);
	return validate(r);
}

/* ---- storing ---- */

void
am_change_print(struct am_node *object, struct am_buf *out)
{
	struct am_node *metadata = am_node_get(object, "metadata");

	am_node_del(metadata, "resourceVersion");
	am_node_print(object, out);
}

bool
am_change_may_go(const struct am_store *store, const struct am_node *object)
{
	const struct am_node *metadata = am_node_get(object, "metadata"), *hold;
	int64_t grace = 0;

	if (am_node_get(metadata, "deletionTimestamp") == NULL || am_meta_finalizers(object) > 0)
		return false;
	am_node_get_int(metadata, "deletionGracePeriodSeconds", &grace);
	hold = store == store->engine->namespaces ? am_node_path(object, "spec", "finalizers", NULL) : NULL;
	return grace == 0 && (hold == NULL || hold->count == 0);
}

static int
answer(struct request *r, struct am_written *written, struct am_object *object, int code)
{
	written->object = object;
	written->code = code;
	written->warnings = r->change.warnings;
	written->n_warnings = r->change.n_warnings;
	r->change.warnings = NULL;
	r->change.n_warnings = 0;
	return 0;
}

/* 1: try again. */
static int
commit(struct request *r, struct am_buf *raw, struct am_written *written)
{
	struct am_change *c = &r->change;
	const struct am_node *metadata = am_node_get(c->object, "metadata");
	const char *name = am_node_get_str(metadata, "name", "");
	int code = r->old == NULL ? 201 : 200;

	if (raw->failed || raw->len > AM_OBJECT_MAX)
		return am_fail(c->failure, 413, "RequestEntityTooLarge", "Request entity too large: limit is %d", AM_OBJECT_MAX);
	if (r->write->dry_run) {
		struct am_object *there = r->old == NULL ? am_engine_peek(c->engine, c->res->store->group, c->res->plural, c->ns, name)
							 : NULL;
		am_object_unref(there);
		if (there != NULL)
			return already_exists(r, c->ns, name);
		struct am_charge dry;
		int refused = am_quota_charge(c, &dry);
		am_charge_fini(&dry);
		if (refused < 0)
			return refused;
		return answer(r, written, am_object_new(raw->data, raw->len, r->old != NULL ? r->old->rv : 0, 0, c->now), code);
	}
	struct am_op op = { .kind = AM_OP_CREATE, .store = c->res->store, .ns = c->ns, .name = name, .old = r->old,
			    .raw = raw->data, .len = raw->len };
	if (r->old != NULL)
		op.kind = am_change_may_go(c->res->store, c->object) ? AM_OP_DELETE : AM_OP_UPDATE;
	struct am_charge charge;
	int rc = am_quota_charge(c, &charge);
	if (rc == 0) {
		op.with = charge.n > 0 ? &charge.items[0].op : NULL;
		am_writer_run(c->engine->writer, &op);
	}
	am_charge_fini(&charge);
	if (rc < 0)
		return rc;
	if (op.result == AM_OP_DONE)
		return answer(r, written, op.object, code);
	if (op.result == AM_OP_EXISTS)
		return r->write->verb != AM_VERB_CREATE ? 1 : already_exists(r, c->ns, name);
	return am_change_refused(&op, c->res, c->failure);
}

/* That somebody wrote the same again is no change, though it would move the time of his entry. */
static bool
same_but_for_times(struct am_change *c)
{
	struct am_node *metadata = am_node_get(c->object, "metadata"), *fields = am_node_get(metadata, "managedFields");
	const struct am_node *before = am_node_path(c->old, "metadata", "managedFields", NULL);

	if (!am_managed_same(fields, before))
		return false;
	if (fields != NULL)
		am_node_set(c->arena, metadata, "managedFields", am_node_clone(c->arena, before));
	if (am_node_equal(c->object, c->old))
		return true;
	if (fields != NULL)
		am_node_set(c->arena, metadata, "managedFields", fields);
	return false;
}

static bool
unchanged(struct request *r, const struct am_buf *raw)
{
	const struct am_object *old = r->old;

	if (old == NULL)
		return false;
	if (raw->len == old->len - old->rv_len && memcmp(raw->data, old->body, old->rv_at) == 0 &&
	    memcmp(raw->data + old->rv_at, old->body + old->rv_at + old->rv_len, raw->len - old->rv_at) == 0)
		return true;
	return same_but_for_times(&r->change) && !am_change_may_go(r->change.res->store, r->change.object);
}

static int
attempt(struct request *r, struct am_written *written)
{
	struct am_change *c = &r->change;
	struct am_buf raw = { .max = AM_OBJECT_MAX + 4096 };
	int rc = r->old != NULL ? prepare_update(r) : prepare_create(r);

	if (rc == 0 && am_arena_failed(c->arena))
		rc = am_fail(c->failure, 413, "RequestEntityTooLarge", "the object takes too much memory");
	if (rc == 0) {
		am_change_print(c->object, &raw);
		rc = unchanged(r, &raw) ? answer(r, written, am_object_ref(r->old), 200) : commit(r, &raw, written);
	}
	am_buf_fini(&raw);
	return rc;
}

static void
free_warnings(char **warnings, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(warnings[i]);
	free(warnings);
}

static int
one_try(struct am_engine *engine, const struct am_write *write, struct am_written *written, bool *generated,
	struct am_failure *failure)
{
	struct request r = { .write = write };

	r.unknown.max = 64 * 1024;
	if (write->name != NULL)
		r.old = am_engine_peek(engine, write->res->store->group, write->res->plural, write->ns, write->name);
	bool apply = write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_APPLY;
	bool upsert = write->subresource == NULL &&
		      (apply || (write->verb == AM_VERB_UPDATE && write->res->priv->create_on_update));
	if (r.old == NULL && write->verb != AM_VERB_CREATE && !upsert)
		return am_fail_not_found(failure, write->res, write->name);
	if (r.old != NULL && write->verb == AM_VERB_CREATE) {
		am_object_unref(r.old);
		r.old = NULL;
	}
	r.change = (struct am_change){
		.engine = engine, .res = write->res, .storage = am_store_storage(write->res->store), .arena = am_arena_new_limited(256 * 1024 * 1024), .failure = failure,
		.ns = write->res->flags & AM_RES_NAMESPACED && write->ns != NULL ? write->ns : "",
		.subresource = write->subresource, .now = am_clock_wall(engine->clock), .fields = write->fields,
		.unknown = &r.unknown,
	};
	int rc = attempt(&r, written);
	*generated = r.generated;
	free_warnings(r.change.warnings, r.change.n_warnings);
	am_arena_free(r.change.arena);
	am_resource_unref(r.change.storage);
	am_buf_fini(&r.unknown);
	am_object_unref(r.old);
	return rc;
}

static int
check_request(const struct am_write *write, struct am_failure *failure)
{
	size_t manager = write->field_manager != NULL ? strlen(write->field_manager) : 0;

	if (write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_STRATEGIC && (write->res->flags & AM_RES_CUSTOM))
		return am_fail(failure, 415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted "
			       "media types include: application/json-patch+json, application/merge-patch+json, "
			       "application/apply-patch+yaml");
	bool apply = write->verb == AM_VERB_PATCH && write->patch == AM_PATCH_APPLY;
	if (apply && manager == 0)
		am_failure_cause(failure, "FieldValueRequired", "fieldManager", "Required value: is required for apply patch");
	if (write->verb == AM_VERB_PATCH && !apply && write->force)
		am_failure_cause(failure, "FieldValueForbidden", "force",
				 "Forbidden: may not be specified for non-apply patch");
	if (manager > 128)
		am_failure_cause(failure, "FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes");
	if (failure->n_causes > 0)
		return am_fail_invalid(failure, "PatchOptions", "meta.k8s.io", "");
	return 0;
}

int
am_engine_write(struct am_engine *engine, const struct am_write *write, struct am_written *written,
		struct am_failure *failure)
{
	int rc = check_request(write, failure), names = 0;

	*written = (struct am_written){ 0 };
	if (rc < 0)
		return rc;
	if (am_streq(write->subresource, "scale"))
		return am_scale_write(engine, write, written, failure);
	for (int i = 0; i < ATTEMPTS; i++) {
		bool generated = false;
		am_failure_fini(failure);
		rc = one_try(engine, write, written, &generated, failure);
		if (rc == -AMBIENT_E_EXISTS && generated && ++names < NAME_ATTEMPTS)
			continue;
		if (rc != 1)
			return rc;
	}
	rc = am_fail(failure, 500, "ServerTimeout", "the object changes too quickly, try again");
	failure->retry_after = 1;
	return rc;
}

void
am_written_fini(struct am_written *written)
{
	am_object_unref(written->object);
	free(written->scale);
	free_warnings(written->warnings, written->n_warnings);
	*written = (struct am_written){ 0 };
}

/* ---- the engine's own writes ---- */

/* 1: again. */
static int
edit_once(struct am_engine *engine, struct am_store *store, const char *ns, const char *name, const char *uid,
	  const struct am_commit *commit_fn, struct ambient_error *err)
{
	struct am_object *old = am_engine_peek(engine, store->group, store->plural, ns, name);
	struct am_buf raw = { 0 };

	if (old == NULL || (uid != NULL && strcmp(old->uid, uid) != 0)) {
		am_object_unref(old);
		return ambient_err(err, AMBIENT_E_NOTFOUND, "\"%s\" is gone", name);
	}
	struct am_arena *arena = am_arena_new();
	am_object_raw(old, &raw);
	struct am_node *object = am_node_parse(arena, raw.data, raw.len, err);
	int rc = object == NULL ? -AMBIENT_E_INTERNAL : commit_fn->edit(commit_fn->arg, arena, object);
	if (rc == 0) {
		am_buf_reset(&raw);
		am_change_print(object, &raw);
		struct am_op op = { .store = store, .ns = old->ns, .name = old->name, .old = old, .raw = raw.data, .len = raw.len };
		op.kind = am_change_may_go(store, object) ? AM_OP_DELETE : AM_OP_UPDATE;
		am_writer_run(engine->writer, &op);
		am_object_unref(op.object);
		if (op.result != AM_OP_DONE)
			rc = op.result == AM_OP_RETRY ? 1 : ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s", op.err.message);
	}
	am_buf_fini(&raw);
	am_arena_free(arena);
	am_object_unref(old);
	return rc;
}

int
am_change_edit(struct am_engine *engine, struct am_store *store, const char *ns, const char *name, const char *uid,
	       const struct am_commit *commit_fn, struct ambient_error *err)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		int rc = edit_once(engine, store, ns, name, uid, commit_fn, err);
		if (rc != 1)
			return rc;
	}
	return ambient_err(err, AMBIENT_E_CONFLICT, "\"%s\" changes too quickly", name);
}
