/* SPDX-License-Identifier: Apache-2.0 */
/* ObjectMeta: its shape, its rules, names made from generateName, finalizers. */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/schema.h"

#define GENERATED_BASE  58

enum shape { STRING, NUMBER, STRING_MAP, STRINGS, OBJECTS, DROPPED };

static const struct {
	const char *name;
	enum shape shape;
} members[] = {
	{ "name", STRING },
	{ "generateName", STRING },
	{ "namespace", STRING },
	{ "uid", STRING },
	{ "resourceVersion", STRING },
	{ "generation", NUMBER },
	{ "creationTimestamp", STRING },
	{ "deletionTimestamp", STRING },
	{ "deletionGracePeriodSeconds", NUMBER },
	{ "labels", STRING_MAP },
	{ "annotations", STRING_MAP },
	{ "ownerReferences", OBJECTS },
	{ "finalizers", STRINGS },
	{ "managedFields", DROPPED },
	{ "selfLink", DROPPED },
};

static bool
all_of(const struct am_node *container, int type)
{
	for (const struct am_node *e = container->first; e != NULL; e = e->next)
		if (e->type != type)
			return false;
	return true;
}

static bool
fits(enum shape shape, const struct am_node *node)
{
	switch (shape) {
	case STRING:
		return node->type == AMBIENT_T_STRING;
	case NUMBER:
		return node->type == AMBIENT_T_NUMBER;
	case STRING_MAP:
		return node->type == AMBIENT_T_OBJECT && all_of(node, AMBIENT_T_STRING);
	case STRINGS:
		return node->type == AMBIENT_T_ARRAY && all_of(node, AMBIENT_T_STRING);
	case OBJECTS:
		return node->type == AMBIENT_T_ARRAY && all_of(node, AMBIENT_T_OBJECT);
	case DROPPED:
		return true;
	}
	return false;
}

bool
am_meta_is_member(const char *key)
{
	for (size_t i = 0; i < AM_COUNTOF(members); i++)
		if (strcmp(members[i].name, key) == 0)
			return true;
	return false;
}

const char *
am_meta_misfit(const struct am_node *metadata)
{
	for (size_t i = 0; i < AM_COUNTOF(members); i++) {
		const struct am_node *m = am_node_get(metadata, members[i].name);
		if (m != NULL && m->type != AMBIENT_T_NULL && !fits(members[i].shape, m))
			return members[i].name;
	}
	return NULL;
}

static int
shape_member(struct am_change *change, struct am_node *metadata, struct am_node *m)
{
	for (size_t i = 0; i < AM_COUNTOF(members); i++) {
		if (strcmp(members[i].name, m->key) != 0)
			continue;
		if (strcmp(m->key, "managedFields") == 0)
			change->sent = m;
		bool empty = m->type == AMBIENT_T_NULL || members[i].shape == DROPPED ||
			     ((m->type == AMBIENT_T_OBJECT || m->type == AMBIENT_T_ARRAY) && m->count == 0) ||
			     (m->type == AMBIENT_T_STRING && m->len == 0);
		if (empty)
			am_node_remove(metadata, m);
		else if (!fits(members[i].shape, m))
			return am_fail(change->failure, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: json: "
				       "metadata.%s has the wrong type", change->res->kind, change->res->version, change->res->kind,
				       m->key);
		return 0;
	}
	am_buf_addf(change->unknown, "unknown field \"metadata.%s\"\n", m->key);
	am_node_remove(metadata, m);
	return 0;
}

int
am_meta_shape(struct am_change *change)
{
	struct am_node *metadata = am_node_get(change->object, "metadata");
	int rc = 0;

	if (metadata == NULL || metadata->type == AMBIENT_T_NULL) {
		am_node_set(change->arena, change->object, "metadata", am_node_object(change->arena));
		return 0;
	}
	if (metadata->type != AMBIENT_T_OBJECT)
		return am_fail(change->failure, 400, "BadRequest", "metadata of a %s must be an object", change->res->kind);
	for (struct am_node *m = metadata->first, *next; rc == 0 && m != NULL; m = next) {
		next = m->next;
		rc = shape_member(change, metadata, m);
	}
	return rc;
}

/* ---- rules ---- */

static bool
is_group(const struct am_resource *res, const char *group)
{
	return strcmp(res->group, group) == 0;
}

static const char *
path_segment_problem(const char *name)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "may not be '.' or '..'";
	return strpbrk(name, "/%") != NULL ? "may not contain '/' or '%'" : NULL;
}

static const char *
name_problem(const struct am_resource *res, const char *name)
{
	if (is_group(res, "rbac.authorization.k8s.io"))
		return path_segment_problem(name);
	if (res->group[0] == '\0' && (strcmp(res->plural, "namespaces") == 0 || strcmp(res->plural, "services") == 0))
		return am_name_problem(name, 1);
	return am_name_problem(name, 2);
}

static void
check_name(struct am_change *change, const struct am_node *metadata)
{
	const struct am_node *name = am_node_get(metadata, "name");
	const char *problem;

	if (name == NULL || name->len == 0) {
		am_failure_cause(change->failure, "FieldValueRequired", "metadata.name",
				 "Required value: name or generateName is required");
		return;
	}
	problem = name_problem(change->res, name->text);
	if (problem != NULL)
		am_bad(change, "metadata.name", name, problem);
}

static bool
has_string(const struct am_node *array, const char *text)
{
	for (const struct am_node *e = array != NULL ? array->first : NULL; e != NULL; e = e->next)
		if (am_streq(am_node_text(e, NULL), text))
			return true;
	return false;
}

/* Those of Kubernetes itself have no group; those of others must, on the kinds whose validation has always said so. */
static void
check_finalizer_group(struct am_change *change, const struct am_node *finalizer, int i)
{
	static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion" };
	const struct am_resource *res = change->res;
	char field[48];

	if ((res->flags & AM_RES_CUSTOM) || strchr(finalizer->text, '/') != NULL || is_group(res, "coordination.k8s.io") ||
	    is_group(res, "apiextensions.k8s.io") || (is_group(res, "") && strcmp(res->plural, "events") == 0))
		return;
	for (size_t k = 0; k < AM_COUNTOF(standard); k++)
		if (strcmp(standard[k], finalizer->text) == 0)
			return;
	(void)snprintf(field, sizeof(field), "metadata.finalizers[%d]", i);
	am_bad(change, field, finalizer, "name is neither a standard finalizer name nor is it fully qualified");
}

static void
check_new_finalizers(struct am_change *change, const struct am_node *metadata)
{
	const struct am_node *now = am_node_get(metadata, "finalizers");
	const struct am_node *before = am_node_path(change->old, "metadata", "finalizers", NULL);
	bool deleting = am_node_path(change->old, "metadata", "deletionTimestamp", NULL) != NULL;
	int i = 0;

	for (const struct am_node *e = now != NULL ? now->first : NULL; e != NULL; e = e->next, i++) {
		if (has_string(before, e->text))
			continue;
		check_finalizer_group(change, e, i);
		if (deleting)
			am_forbid(change, "metadata.finalizers", "no new finalizers can be added if the object is being deleted");
	}
}

void
am_meta_check(struct am_change *change)
{
	const struct am_node *metadata = am_node_get(change->object, "metadata");

	if (change->old == NULL)
		check_name(change, metadata);
	if (!(change->res->flags & AM_RES_NAMESPACED) && am_node_get(metadata, "namespace") != NULL)
		am_forbid(change, "metadata.namespace", "not allowed on this type");
	am_meta_check_rules(change->failure, "metadata", metadata);
	check_new_finalizers(change, metadata);
}

/* ---- names ---- */

int
am_meta_generate_name(struct am_change *change, const char *base)
{
	char name[GENERATED_BASE + 6];
	size_t n = AM_MIN(strlen(base), (size_t)GENERATED_BASE);

	memcpy(name, base, n);
	am_random_suffix(name + n, 5);
	am_node_set(change->arena, am_node_get(change->object, "metadata"), "name", am_node_str(change->arena, name));
	return 0;
}

/* ---- finalizers ---- */

size_t
am_meta_finalizers(const struct am_node *object)
{
	const struct am_node *list = am_node_path(object, "metadata", "finalizers", NULL);

	return list != NULL ? list->count : 0;
}

bool
am_meta_remove_finalizer(struct am_node *object, const char *finalizer)
{
	struct am_node *metadata = am_node_get(object, "metadata"), *list = am_node_get(metadata, "finalizers");
	bool found = false;

	for (struct am_node *e = list != NULL ? list->first : NULL, *next; e != NULL; e = next) {
		next = e->next;
		if (!am_streq(am_node_text(e, NULL), finalizer))
			continue;
		am_node_remove(list, e);
		found = true;
	}
	if (found && list->count == 0)
		am_node_del(metadata, "finalizers");
	return found;
}

void
am_meta_add_finalizer(struct am_arena *arena, struct am_node *object, const char *finalizer)
{
	struct am_node *metadata = am_node_get(object, "metadata"), *list = am_node_get(metadata, "finalizers");

	if (has_string(list, finalizer))
		return;
	if (list == NULL) {
		am_node_set(arena, metadata, "finalizers", am_node_array(arena));
		list = am_node_get(metadata, "finalizers");
	}
	am_node_append(list, am_node_str(arena, finalizer));
}
