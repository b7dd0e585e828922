/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a value is taken apart, by kind: custom resources by the x-kubernetes extensions of their schema, builtin ones by
 * the shape of their messages and the tables of proto_lists.c.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/proto.h"
#include "plugins/standalone/apiserver/schema_priv.h"

static const struct am_type deduced = { .how = AM_HOW_DEDUCED }, leaf = { .how = AM_HOW_LEAF };

/* ---- builtin kinds */

/* Scalars, times and quantities have no message in the table. */
static struct am_type
of_message(const struct rest_proto_message *message)
{
	if (message == NULL)
		return leaf;
	return (struct am_type){ .how = rest_proto_is_atomic(message->name, NULL) ? AM_HOW_LEAF : AM_HOW_OBJECT, .message = message };
}

static struct am_type
of_list(const struct rest_proto_message *owner, const struct rest_proto_field *field, const struct rest_proto_message *message)
{
	const struct rest_proto_list *rule = rest_proto_list_of(owner->name, field->json);
	struct am_type type = { .how = AM_HOW_LEAF, .message = message, .list = true };

	if (rule == NULL)
		return type;
	if (rule->strategy != NULL)
		type.merge_key = rule->merge_key != NULL ? rule->merge_key : "";
	type.keys = rule->map_keys;
	if (rule->set || rule->map_keys != NULL)
		type.how = rule->set ? AM_HOW_SET : AM_HOW_KEYED;
	return type;
}

static struct am_type
of_field(const struct rest_proto_message *owner, const struct rest_proto_field *field)
{
	const struct rest_proto_message *message = rest_proto_find(field->type);
	enum am_how how = rest_proto_is_atomic(owner->name, field->json) ? AM_HOW_LEAF : AM_HOW_OBJECT;

	if (field->map)
		return (struct am_type){ .how = how, .message = message, .map = true };
	return field->repeated ? of_list(owner, field, message) : of_message(message);
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
