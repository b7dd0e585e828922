/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategic merge patch of builtin kinds: lists whose elements have a key are merged by it, some lists of strings
 * are sets, everything else is replaced.  Which list is which depends on the field's name, and for a few names on
 * the kind, as in Kubernetes' types.  Directives: $patch (delete, replace, merge), $deleteFromPrimitiveList,
 * $setElementOrder (order is kept as it is, so it is only read past), $retainKeys.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission.h"

#define DEPTH 64

struct merge {
	struct am_arena *arena;
	const char *kind;
	struct am_failure *failure;
};

static const struct {
	const char *field, *key; /* key NULL: a set of scalars */
	const char *kind;        /* NULL: wherever the field is */
} lists[] = {
	{ "containers", "name", NULL },
	{ "initContainers", "name", NULL },
	{ "ephemeralContainers", "name", NULL },
	{ "env", "name", NULL },
	{ "volumes", "name", NULL },
	{ "volumeMounts", "mountPath", NULL },
	{ "volumeDevices", "devicePath", NULL },
	{ "imagePullSecrets", "name", NULL },
	{ "hostAliases", "ip", NULL },
	{ "topologySpreadConstraints", "topologyKey", NULL },
	{ "ports", "port", "Service" },
	{ "ports", "containerPort", NULL },
	{ "conditions", "type", NULL },
	{ "ownerReferences", "uid", NULL },
	{ "secrets", "name", "ServiceAccount" },
	{ "podIPs", "ip", NULL },
	{ "hostIPs", "ip", NULL },
	{ "addresses", "type", "Node" },
	{ "taints", "key", "Node" },
	{ "podCIDRs", NULL, "Node" },
	{ "finalizers", NULL, NULL },
};

/* false: the list is atomic. */
static bool
list_rule(const struct merge *m, const char *field, const char **key)
{
	for (size_t i = 0; i < AM_COUNTOF(lists); i++) {
		if (strcmp(lists[i].field, field) != 0 || (lists[i].kind != NULL && strcmp(lists[i].kind, m->kind) != 0))
			continue;
		*key = lists[i].key;
		return true;
	}
	return false;
}

static struct am_node *merge_object(struct merge *m, struct am_node *target, const struct am_node *patch, int depth);

static bool
is_directive(const char *key)
{
	return key[0] == '$';
}

/* A copy of a patch's value without its directives. */
static struct am_node *
plain(struct merge *m, const struct am_node *value, int depth)
{
	struct am_node *copy;

	if (depth > DEPTH)
		return am_node_null(m->arena);
	if (value->type == AMBIENT_T_OBJECT)
		return merge_object(m, am_node_object(m->arena), value, depth + 1);
	if (value->type != AMBIENT_T_ARRAY)
		return am_node_clone(m->arena, value);
	copy = am_node_array(m->arena);
	for (const struct am_node *e = value->first; e != NULL; e = e->next)
		if (am_node_get(e, "$patch") == NULL)
			am_node_append(copy, plain(m, e, depth + 1));
	return copy;
}

static struct am_node *
find_by_key(struct am_node *list, const char *key, const struct am_node *value)
{
	for (struct am_node *e = list->first; e != NULL; e = e->next) {
		const struct am_node *have = am_node_get(e, key);
		if (have != NULL && am_node_equal(have, value))
			return e;
	}
	return NULL;
}

static struct am_node *
find_equal(struct am_node *list, const struct am_node *value)
{
	for (struct am_node *e = list->first; e != NULL; e = e->next)
		if (am_node_equal(e, value))
			return e;
	return NULL;
}

static void
merge_keyed(struct merge *m, struct am_node *target, const struct am_node *patch, const char *key, int depth)
{
	for (const struct am_node *e = patch->first; e != NULL; e = e->next) {
		const struct am_node *value = am_node_get(e, key);
		const char *directive = am_node_get_str(e, "$patch", "merge");
		if (strcmp(directive, "replace") == 0)
			continue; /* handled for the whole list */
		if (value == NULL) {
			am_fail(m->failure, 400, "BadRequest", "map: does not contain declared merge key: %s", key);
			return;
		}
		struct am_node *have = find_by_key(target, key, value);
		if (strcmp(directive, "delete") == 0) {
			if (have != NULL)
				am_node_remove(target, have);
		} else if (have != NULL) {
			(void)merge_object(m, have, e, depth + 1);
		} else {
			am_node_append(target, plain(m, e, depth + 1));
		}
	}
}

static bool
replaces_list(const struct am_node *patch)
{
	for (const struct am_node *e = patch->first; e != NULL; e = e->next)
		if (strcmp(am_node_get_str(e, "$patch", ""), "replace") == 0)
			return true;
	return false;
}

static void
merge_member(struct merge *m, struct am_node *target, const struct am_node *value, int depth)
{
	const char *key = NULL;
	struct am_node *have = am_node_get(target, value->key);

	if (value->type == AMBIENT_T_NULL) {
		am_node_del(target, value->key);
	} else if (value->type == AMBIENT_T_OBJECT && have != NULL && have->type == AMBIENT_T_OBJECT) {
		(void)merge_object(m, have, value, depth + 1);
	} else if (value->type == AMBIENT_T_ARRAY && have != NULL && have->type == AMBIENT_T_ARRAY &&
		   !replaces_list(value) && list_rule(m, value->key, &key)) {
		if (key != NULL) {
			merge_keyed(m, have, value, key, depth);
			return;
		}
		for (const struct am_node *e = value->first; e != NULL; e = e->next)
			if (find_equal(have, e) == NULL)
				am_node_append(have, am_node_clone(m->arena, e));
	} else {
		am_node_set(m->arena, target, value->key, plain(m, value, depth));
	}
}

static void
delete_from_list(struct am_node *target, const struct am_node *directive)
{
	struct am_node *list = am_node_get(target, directive->key + strlen("$deleteFromPrimitiveList/"));

	for (const struct am_node *e = directive->first; list != NULL && e != NULL; e = e->next) {
		struct am_node *have = find_equal(list, e);
		if (have != NULL)
			am_node_remove(list, have);
	}
}

static void
retain_keys(struct am_node *target, const struct am_node *keys)
{
	for (struct am_node *m = target->first, *next; m != NULL; m = next) {
		bool keep = false;
		next = m->next;
		for (const struct am_node *e = keys->first; e != NULL; e = e->next)
			keep |= am_streq(am_node_text(e, NULL), m->key);
		if (!keep)
			am_node_remove(target, m);
	}
}

static struct am_node *
merge_object(struct merge *m, struct am_node *target, const struct am_node *patch, int depth)
{
	const char *directive = am_node_get_str(patch, "$patch", "merge");

	if (depth > DEPTH) {
		am_fail(m->failure, 400, "BadRequest", "the patch is nested too deep");
		return target;
	}
	if (strcmp(directive, "replace") == 0 || strcmp(directive, "delete") == 0)
		while (target->first != NULL)
			am_node_remove(target, target->first);
	if (strcmp(directive, "delete") == 0)
		return target;
	for (const struct am_node *p = patch->first; p != NULL; p = p->next) {
		if (!is_directive(p->key))
			continue;
		if (am_starts(p->key, "$deleteFromPrimitiveList/"))
			delete_from_list(target, p);
		else if (strcmp(p->key, "$retainKeys") == 0)
			retain_keys(target, p);
	}
	for (const struct am_node *p = patch->first; p != NULL; p = p->next)
		if (!is_directive(p->key))
			merge_member(m, target, p, depth);
	return target;
}

struct am_node *
am_patch_strategic(struct am_arena *arena, struct am_node *target, const struct am_node *patch, const char *kind,
		   struct am_failure *failure)
{
	struct merge m = { arena, kind, failure };

	if (patch->type != AMBIENT_T_OBJECT) {
		am_fail(failure, 400, "BadRequest", "a strategic merge patch must be a JSON object");
		return NULL;
	}
	target = merge_object(&m, target, patch, 0);
	return failure->code != 0 ? NULL : target;
}
