/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pruning and defaulting.  Defaults apply where the parent exists; null for a member that is not nullable counts as
 * absent.
 */
#include "plugins/standalone/apiserver/schema_priv.h"

struct pruner {
	void (*unknown)(void *arg, const char *path);
	void *arg;
	struct am_buf path;
	const struct am_node *root; /* its metadata is no schema's business */
	bool any_metadata;          /* nor is that of embedded resources here */
};

static void prune(struct pruner *p, const struct am_schema *s, struct am_node *node, bool resource);

static bool
is_resource_field(const char *key)
{
	return strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "metadata") == 0;
}

static void
prune_member(struct pruner *p, const struct am_schema *s, struct am_node *parent, struct am_node *member)
{
	const struct am_schema *property = am_schema_property_of(s, member->key);
	size_t mark = p->path.len;

	if (property == NULL)
		property = s->additional;
	am_buf_addf(&p->path, "%s%s", mark > 0 ? "." : "", member->key);
	if (property != NULL) {
		prune(p, property, member, property->embedded);
	} else if (!s->preserve) {
		if (p->unknown != NULL)
			p->unknown(p->arg, am_buf_str(&p->path));
		am_node_remove(parent, member);
	}
	am_buf_cut(&p->path, mark);
}

/* Of an embedded resource. */
static void
prune_metadata(struct pruner *p, struct am_node *metadata)
{
	size_t mark = p->path.len;

	if (metadata->type == AMBIENT_T_NULL)
		metadata->type = AMBIENT_T_OBJECT; /* an empty one */
	for (struct am_node *m = metadata->first, *next; metadata->type == AMBIENT_T_OBJECT && m != NULL; m = next) {
		next = m->next;
		if (am_meta_is_member(m->key))
			continue;
		am_buf_addf(&p->path, "%smetadata.%s", mark > 0 ? "." : "", m->key);
		if (p->unknown != NULL)
			p->unknown(p->arg, am_buf_str(&p->path));
		am_buf_cut(&p->path, mark);
		am_node_remove(metadata, m);
	}
}

static void
prune(struct pruner *p, const struct am_schema *s, struct am_node *node, bool resource)
{
	if (node->type == AMBIENT_T_OBJECT) {
		for (struct am_node *m = node->first, *next; m != NULL; m = next) {
			next = m->next;
			if (!(resource && is_resource_field(m->key)))
				prune_member(p, s, node, m);
			else if (node != p->root && !p->any_metadata && strcmp(m->key, "metadata") == 0)
				prune_metadata(p, m);
		}
	} else if (node->type == AMBIENT_T_ARRAY && s->items != NULL) {
		size_t i = 0, mark = p->path.len;
		for (struct am_node *e = node->first; e != NULL; e = e->next, i++) {
			am_buf_addf(&p->path, "[%zu]", i);
			prune(p, s->items, e, s->items->embedded);
			am_buf_cut(&p->path, mark);
		}
	}
}

void
am_schema_prune(const struct am_schema *schema, struct am_node *root, void (*unknown)(void *arg, const char *path),
		void *arg)
{
	struct pruner p = { .unknown = unknown, .arg = arg, .root = root };

	if (root->type == AMBIENT_T_OBJECT)
		prune(&p, schema, root, true);
	am_buf_fini(&p.path);
}

void
am_schema_prune_value(const struct am_schema *schema, struct am_node *value, bool resource)
{
	struct pruner p = { .any_metadata = true };

	prune(&p, schema, value, resource || schema->embedded);
	am_buf_fini(&p.path);
}

static void
fill(struct am_arena *arena, const struct am_schema *s, struct am_node *node)
{
	for (size_t i = 0; i < s->n_properties; i++) {
		const struct am_schema_property *property = &s->properties[i];
		struct am_node *member = am_node_get(node, property->name);
		const struct am_node *fallback = property->schema->fallback;

		if (member != NULL && member->type == AMBIENT_T_NULL && !property->schema->nullable) {
			am_node_remove(node, member);
			member = NULL;
		}
		if (member == NULL && fallback != NULL) {
			member = am_node_clone(arena, fallback);
			am_node_set(arena, node, property->name, member);
			member = am_node_get(node, property->name);
		}
		if (member != NULL)
			am_schema_default(arena, property->schema, member);
	}
}

void
am_schema_default(struct am_arena *arena, const struct am_schema *schema, struct am_node *root)
{
	if (root->type == AMBIENT_T_OBJECT) {
		fill(arena, schema, root);
		for (struct am_node *m = root->first, *next; schema->additional != NULL && m != NULL; m = next) {
			next = m->next;
			if (am_schema_property_of(schema, m->key) != NULL)
				continue;
			if (m->type == AMBIENT_T_NULL && !schema->additional->nullable)
				am_node_remove(root, m);
			else
				am_schema_default(arena, schema->additional, m);
		}
	} else if (root->type == AMBIENT_T_ARRAY && schema->items != NULL) {
		for (struct am_node *e = root->first; e != NULL; e = e->next)
			am_schema_default(arena, schema->items, e);
	}
}
