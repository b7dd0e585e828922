/* SPDX-License-Identifier: Apache-2.0 */
/* JSON merge patch (RFC 7386), its inverse, and JSON patch (RFC 6902). */
#include <string.h>

#include "core/data/node.h"

struct am_node *
am_patch_merge(struct am_arena *arena, struct am_node *target, const struct am_node *patch)
{
	if (patch->type != AMBIENT_T_OBJECT)
		return am_node_clone(arena, patch);
	if (target == NULL || target->type != AMBIENT_T_OBJECT)
		target = am_node_object(arena);
	for (const struct am_node *m = patch->first; m != NULL; m = m->next) {
		struct am_node *old = am_node_get(target, m->key);
		if (m->type == AMBIENT_T_NULL) {
			if (old != NULL)
				am_node_remove(target, old);
		} else {
			struct am_node *made = am_patch_merge(arena, old, m);
			if (made != old)
				am_node_set(arena, target, m->key, made);
		}
	}
	return target;
}

struct am_node *
am_patch_diff(struct am_arena *arena, const struct am_node *from, const struct am_node *to)
{
	if (am_node_equal(from, to))
		return NULL;
	if (from == NULL || from->type != AMBIENT_T_OBJECT || to->type != AMBIENT_T_OBJECT)
		return am_node_clone(arena, to);
	struct am_node *patch = am_node_object(arena);
	for (const struct am_node *m = from->first; m != NULL; m = m->next) {
		if (am_node_get(to, m->key) == NULL)
			am_node_set(arena, patch, m->key, am_node_null(arena));
	}
	for (const struct am_node *m = to->first; m != NULL; m = m->next) {
		struct am_node *part = am_patch_diff(arena, am_node_get(from, m->key), m);
		if (part != NULL)
			am_node_set(arena, patch, m->key, part);
	}
	return patch;
}

/* ---- JSON patch ---- */

struct op {
	const char *op, *path;
	struct am_node *target;   /* the whole */
	struct am_arena *arena;
	struct ambient_error *err;
};

/* Splits path into its parent (found in target) and the last token, decoded. */
static struct am_node *
parent_of(const struct op *o, const char *path, char last[512])
{
	const char *slash = strrchr(path, '/');
	char head[2048];

	if (slash == NULL || (size_t)(slash - path) >= sizeof(head) || strlen(slash + 1) >= 512)
		return NULL;
	memcpy(head, path, (size_t)(slash - path));
	head[slash - path] = '\0';
	size_t n = 0;
	for (const char *p = slash + 1; *p != '\0'; p++) {
		if (*p == '~' && (p[1] == '0' || p[1] == '1'))
			last[n++] = *++p == '0' ? '~' : '/';
		else
			last[n++] = *p;
	}
	last[n] = '\0';
	return am_node_at(o->target, head);
}

static int
missing(const struct op *o, const char *path)
{
	return ambient_err(o->err, AMBIENT_E_INVALID, "%s operation does not apply: doc is missing path: %s: missing value", o->op,
			   path);
}

static int
insert(const struct op *o, const char *path, struct am_node *value)
{
	char last[512];
	struct am_node *parent = parent_of(o, path, last);
	uint64_t at;

	if (parent == NULL)
		return missing(o, path);
	if (parent->type == AMBIENT_T_OBJECT) {
		am_node_set(o->arena, parent, last, value);
		return 0;
	}
	if (parent->type != AMBIENT_T_ARRAY)
		return missing(o, path);
	if (strcmp(last, "-") == 0) {
		am_node_append(parent, value);
		return 0;
	}
	if (am_parse_u64(last, &at) < 0 || at > parent->count)
		return ambient_err(o->err, AMBIENT_E_INVALID, "%s operation does not apply: %s: invalid index referenced", o->op, path);
	if (at == parent->count) {
		am_node_append(parent, value);
		return 0;
	}
	struct am_node **link = &parent->first;
	while (at-- > 0)
		link = &(*link)->next;
	value->next = *link;
	*link = value;
	parent->count++;
	return 0;
}

static int
take(const struct op *o, const char *path, struct am_node **ret)
{
	char last[512];
	struct am_node *parent = parent_of(o, path, last), *node = am_node_at(o->target, path);

	if (parent == NULL || node == NULL)
		return missing(o, path);
	am_node_remove(parent, node);
	*ret = node;
	return 0;
}

static int
do_replace(const struct op *o, struct am_node *value)
{
	struct am_node *old = am_node_at(o->target, o->path);

	if (old == NULL)
		return missing(o, o->path);
	return am_node_set_at(o->arena, o->target, o->path, value, o->err);
}

static int
apply_one(struct op *o, const struct am_node *operation, struct am_node **target)
{
	const char *from = am_node_get_str(operation, "from", NULL);
	const struct am_node *given = am_node_get(operation, "value");
	struct am_node *value = given != NULL ? am_node_clone(o->arena, given) : NULL, *moved;
	bool needs_value = strcmp(o->op, "add") == 0 || strcmp(o->op, "replace") == 0 || strcmp(o->op, "test") == 0;

	if (needs_value && value == NULL)
		return ambient_err(o->err, AMBIENT_E_INVALID, "%s operation needs a value", o->op);
	if (strcmp(o->op, "test") == 0) {
		const struct am_node *now = am_node_at(o->target, o->path);
		if (now == NULL ? value->type == AMBIENT_T_NULL : am_node_equal(now, value))
			return 0;
		return ambient_err(o->err, AMBIENT_E_INVALID, "testing value %s failed: test failed", o->path);
	}
	if (o->path[0] == '\0' && value != NULL) {
		*target = value;
		return 0;
	}
	if (strcmp(o->op, "add") == 0)
		return insert(o, o->path, value);
	if (strcmp(o->op, "replace") == 0)
		return do_replace(o, value);
	if (strcmp(o->op, "remove") == 0)
		return take(o, o->path, &moved);
	bool move = strcmp(o->op, "move") == 0;
	if (!move && strcmp(o->op, "copy") != 0)
		return ambient_err(o->err, AMBIENT_E_INVALID, "unexpected kind: %s", o->op);
	if (from == NULL)
		return ambient_err(o->err, AMBIENT_E_INVALID, "%s operation needs from", o->op);
	if (move) {
		size_t n = strlen(from);
		if (strncmp(o->path, from, n) == 0 && o->path[n] == '/')
			return ambient_err(o->err, AMBIENT_E_INVALID, "move operation cannot move %s into itself", from);
		int rc = take(o, from, &moved);
		return rc < 0 ? rc : insert(o, o->path, moved);
	}
	const struct am_node *source = am_node_at(o->target, from);
	return source == NULL ? missing(o, from) : insert(o, o->path, am_node_clone(o->arena, source));
}

struct am_node *
am_patch_json(struct am_arena *arena, struct am_node *target, const struct am_node *patch, struct ambient_error *err)
{
	if (patch->type != AMBIENT_T_ARRAY) {
		(void)ambient_err(err, AMBIENT_E_INVALID, "a JSON patch is a list of operations");
		return NULL;
	}
	for (const struct am_node *e = patch->first; e != NULL; e = e->next) {
		struct op o = { am_node_get_str(e, "op", ""), am_node_get_str(e, "path", NULL), target, arena, err };
		if (o.path == NULL) {
			(void)ambient_err(err, AMBIENT_E_INVALID, "a JSON patch operation needs a path");
			return NULL;
		}
		if (apply_one(&o, e, &target) < 0)
			return NULL;
		if (am_arena_failed(arena)) {
			(void)ambient_err(err, AMBIENT_E_NOMEM, "the patch makes the object too large");
			return NULL;
		}
	}
	return target;
}
