/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a schema structural, node by node: a type everywhere, no structure inside of junctors, lists whose
 * elements can be told apart, metadata left alone, defaults that are what the schema would make of them.  Called by the
 * compiler for each node that is no part of a junctor, when its children are compiled.
 */
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

struct place {
	struct am_failure *failure;
	struct am_buf path;
};

static void am_printf_(4, 5)
say(struct place *p, const char *reason, const char *below, const char *fmt, ...)
{
	size_t mark = p->path.len;
	struct am_buf text = { .max = 2048 };
	va_list ap;

	va_start(ap, fmt);
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	am_buf_adds(&p->path, below);
	am_failure_cause(p->failure, reason, am_buf_str(&p->path), "%s", am_buf_str(&text));
	am_buf_cut(&p->path, mark);
	am_buf_fini(&text);
}

#define FORBIDDEN "FieldValueForbidden"
#define INVALID   "FieldValueInvalid"
#define REQUIRED  "FieldValueRequired"

static const char *
type_of(const struct am_schema *s)
{
	return am_schema_type_names[s->type];
}

static bool
is_scalar(const struct am_schema *s)
{
	return s->int_or_string || (s->type != AM_SCHEMA_ANY && s->type != AM_SCHEMA_OBJECT && s->type != AM_SCHEMA_ARRAY);
}

/* ---- junctors ---- */

/* Exactly [{type: integer}, {type: string}]. */
static bool
is_int_or_string(const struct am_node *list)
{
	static const char *const types[] = { "integer", "string" };
	const struct am_node *e = list != NULL ? list->first : NULL;

	for (size_t i = 0; i < AM_COUNTOF(types); i++, e = e->next)
		if (e == NULL || e->count != 1 || strcmp(am_node_get_str(e, "type", ""), types[i]) != 0)
			return false;
	return e == NULL;
}

static void check_nested(struct place *p, const struct am_node *node);

static void am_printf_(3, 4)
check_below(struct place *p, const struct am_node *node, const char *fmt, ...)
{
	size_t mark = p->path.len;
	va_list ap;

	va_start(ap, fmt);
	am_buf_addv(&p->path, fmt, ap);
	va_end(ap);
	check_nested(p, node);
	am_buf_cut(&p->path, mark);
}

/* skip: a list that is allowed to name types, or NULL. */
static void
check_junctors(struct place *p, const struct am_node *node, const struct am_node *skip)
{
	static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
	const struct am_node *not = am_node_get(node, "not");

	for (size_t k = 0; k < AM_COUNTOF(lists); k++) {
		const struct am_node *list = am_node_get(node, lists[k]);
		size_t i = 0;
		for (const struct am_node *e = list != NULL && list != skip ? list->first : NULL; e != NULL; e = e->next, i++) {
			/* The second idiom: the first one inside of the first element of allOf. */
			if (k == 0 && i == 0 && skip == node && e->count == 1 && is_int_or_string(am_node_get(e, "anyOf")))
				continue;
			check_below(p, e, ".%s[%zu]", lists[k], i);
		}
	}
	if (not != NULL)
		check_below(p, not, ".not");
}

static void
check_nested(struct place *p, const struct am_node *node)
{
	const struct am_node *properties = am_node_get(node, "properties"), *items = am_node_get(node, "items");

	if (!am_empty(am_node_get_str(node, "type", NULL)))
		say(p, FORBIDDEN, ".type", "Forbidden: must be empty to be structural");
	for (const struct am_node *m = properties != NULL ? properties->first : NULL; m != NULL; m = m->next)
		check_below(p, m, ".properties[%s]", m->key);
	if (items != NULL)
		check_below(p, items, ".items");
	check_junctors(p, node, NULL);
}

static void
check_types_in_junctors(struct place *p, const struct am_schema *s, const struct am_node *node)
{
	const struct am_node *any = am_node_get(node, "anyOf");

	if (s->int_or_string && is_int_or_string(any))
		check_junctors(p, node, any);
	else
		check_junctors(p, node, s->int_or_string ? node : NULL);
}

/* ---- types, resources ---- */

static void
check_type(struct place *p, const struct am_schema *s, const struct am_node *node, bool root)
{
	bool given = !am_empty(am_node_get_str(node, "type", NULL));
	const struct am_node *items = am_node_get(node, "items"), *preserve = am_node_get(node, "x-kubernetes-preserve-unknown-fields");

	if (!given && (root || (!s->int_or_string && !s->preserve)))
		say(p, REQUIRED, ".type", root ? "Required value: must not be empty at the root" :
		    "Required value: must not be empty for specified object fields");
	else if (root && s->type != AM_SCHEMA_OBJECT && s->type != AM_SCHEMA_ANY)
		say(p, INVALID, ".type", "Invalid value: \"%s\": must be object at the root", type_of(s));
	if (am_node_get(node, "additionalProperties") != NULL && s->n_properties > 0)
		say(p, FORBIDDEN, ".additionalProperties", "Forbidden: additionalProperties and properties are mutual exclusive");
	if (s->type == AM_SCHEMA_ARRAY && items == NULL && !s->preserve)
		say(p, REQUIRED, ".items", "Required value: must be specified");
	if (preserve != NULL && preserve->type == AMBIENT_T_BOOL && !preserve->boolean)
		say(p, INVALID, ".x-kubernetes-preserve-unknown-fields", "Invalid value: false: must be true or undefined");
	if (s->map_typed && s->type != AM_SCHEMA_OBJECT)
		say(p, INVALID, ".type", "Invalid value: \"%s\": must be object if x-kubernetes-map-type is specified", type_of(s));
}

static void
check_resource_fields(struct place *p, const struct am_node *node)
{
	static const struct { const char *key, *type, *below; } fields[] = {
		{ "apiVersion", "string", ".properties[apiVersion].type" }, { "kind", "string", ".properties[kind].type" },
		{ "metadata", "object", ".properties[metadata].type" },
	};

	for (size_t i = 0; i < AM_COUNTOF(fields); i++) {
		const struct am_node *field = am_node_path(node, "properties", fields[i].key, NULL);
		const char *type = am_node_get_str(field, "type", "");
		if (field != NULL && strcmp(type, fields[i].type) != 0)
			say(p, INVALID, fields[i].below, "Invalid value: \"%.60s\": must be %s", type, fields[i].type);
	}
}

static void
check_embedded(struct place *p, const struct am_schema *s, const struct am_node *node)
{
	if (!s->embedded)
		return;
	if (s->type == AM_SCHEMA_ANY)
		say(p, REQUIRED, ".type", "Required value: must be object if x-kubernetes-embedded-resource is true");
	else if (s->type != AM_SCHEMA_OBJECT)
		say(p, INVALID, ".type", "Invalid value: \"%s\": must be object if x-kubernetes-embedded-resource is true", type_of(s));
	if (s->n_properties == 0 && !s->preserve)
		say(p, REQUIRED, ".properties", "Required value: must not be empty if x-kubernetes-embedded-resource is true without "
		    "x-kubernetes-preserve-unknown-fields");
	check_resource_fields(p, node);
}

/* ---- lists ---- */

static void
check_map_key(struct place *p, const struct am_schema *s, const char *key)
{
	const struct am_schema *property = am_schema_property_of(s->items, key);
	char below[160];
	bool required = false;

	snprintf(below, sizeof(below), ".items.properties[%.100s].", key);
	size_t n = strlen(below);
	if (property == NULL) {
		say(p, INVALID, ".x-kubernetes-list-map-keys", "Invalid value: \"%.100s\": entries must all be names of item properties",
		    key);
		return;
	}
	for (size_t i = 0; i < s->items->n_required; i++)
		required |= strcmp(s->items->required[i], key) == 0;
	if (!is_scalar(property)) {
		snprintf(below + n, sizeof(below) - n, "type");
		say(p, INVALID, below, "Invalid value: \"%s\": must be a scalar type if parent array's x-kubernetes-list-type is map",
		    type_of(property));
	}
	if (property->fallback == NULL && !required) {
		snprintf(below + n, sizeof(below) - n, "default");
		say(p, REQUIRED, below, "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or "
		    "be a required property");
	}
	if (property->nullable) {
		snprintf(below + n, sizeof(below) - n, "nullable");
		say(p, FORBIDDEN, below, "Forbidden: this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
	}
}

static void
check_map_list(struct place *p, const struct am_schema *s)
{
	if (s->n_map_keys == 0)
		say(p, REQUIRED, ".x-kubernetes-list-map-keys", "Required value: must not be empty if x-kubernetes-list-type is map");
	if (s->items->nullable)
		say(p, FORBIDDEN, ".items.nullable", "Forbidden: cannot be nullable when x-kubernetes-list-type is map");
	if (s->items->type != AM_SCHEMA_OBJECT) {
		say(p, INVALID, ".items.type", "Invalid value: \"%s\": must be object if parent array's x-kubernetes-list-type is map",
		    type_of(s->items));
		return;
	}
	for (size_t i = 0; i < s->n_map_keys; i++) {
		for (size_t k = 0; k < i; k++)
			if (strcmp(s->map_keys[i], s->map_keys[k]) == 0)
				say(p, INVALID, ".x-kubernetes-list-map-keys", "Invalid value: \"%.100s\": must not contain duplicate entries",
				    s->map_keys[i]);
		check_map_key(p, s, s->map_keys[i]);
	}
}

static void
check_set(struct place *p, const struct am_schema *s)
{
	if (s->items->nullable)
		say(p, FORBIDDEN, ".items.nullable", "Forbidden: cannot be nullable when x-kubernetes-list-type is set");
	if (s->items->type == AM_SCHEMA_OBJECT && !s->items->atomic_map)
		say(p, INVALID, ".items.x-kubernetes-map-type",
		    "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set");
	if (s->items->type == AM_SCHEMA_ARRAY && s->items->list_type != AM_LIST_ATOMIC)
		say(p, INVALID, ".items.x-kubernetes-list-type",
		    "Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set");
}

static void
check_list(struct place *p, const struct am_schema *s)
{
	if (s->list_typed && s->type != AM_SCHEMA_ARRAY)
		say(p, INVALID, ".type", "Invalid value: \"%s\": must be array if x-kubernetes-list-type is specified", type_of(s));
	if (s->n_map_keys > 0 && s->list_type != AM_LIST_MAP)
		say(p, REQUIRED, ".x-kubernetes-list-type", "Required value: must be map if x-kubernetes-list-map-keys is non-empty");
	if (s->items != NULL && s->list_type == AM_LIST_MAP)
		check_map_list(p, s);
	if (s->items != NULL && s->list_type == AM_LIST_SET)
		check_set(p, s);
}

/* ---- the root ---- */

/* Of metadata a schema may say what name and generateName look like; the rest is not its business. */
static void
check_metadata(struct place *p, const struct am_node *node)
{
	const struct am_node *metadata = am_node_path(node, "properties", "metadata", NULL);
	const struct am_node *properties = am_node_get(metadata, "properties");
	bool more = false;
	char below[160];

	for (const struct am_node *m = metadata != NULL ? metadata->first : NULL; m != NULL; m = m->next)
		more |= strcmp(m->key, "type") != 0 && strcmp(m->key, "properties") != 0;
	for (const struct am_node *m = properties != NULL ? properties->first : NULL; m != NULL; m = m->next) {
		more |= strcmp(m->key, "name") != 0 && strcmp(m->key, "generateName") != 0;
		if (am_node_get(m, "default") != NULL) {
			snprintf(below, sizeof(below), ".properties[metadata].properties[%.60s].default", m->key);
			say(p, FORBIDDEN, below, "Forbidden: must not be set in top-level metadata");
		}
	}
	if (more)
		say(p, FORBIDDEN, ".properties[metadata]", "Forbidden: must not specify anything other than name and generateName, but "
		    "metadata is implicitly specified");
}

static void
check_nested_metadata(struct place *p, const struct am_node *node)
{
	static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
	bool there = am_node_path(node, "properties", "metadata", NULL) != NULL;
	char below[96];

	for (size_t k = 0; k < AM_COUNTOF(lists); k++) {
		const struct am_node *list = am_node_get(node, lists[k]);
		int i = 0;
		for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next, i++) {
			if (am_node_path(e, "properties", "metadata", NULL) == NULL)
				continue;
			snprintf(below, sizeof(below), ".%s[%d].properties[metadata]", lists[k], i);
			say(p, FORBIDDEN, below, "Forbidden: must not be specified in a nested context");
			if (!there)
				say(p, REQUIRED, ".properties[metadata]", "Required value: because it is defined in %s%s", am_buf_str(&p->path),
				    below);
		}
	}
}

static void
check_root(struct place *p, const struct am_schema *s, const struct am_node *node)
{
	if (s->nullable)
		say(p, FORBIDDEN, ".nullable", "Forbidden: nullable cannot be true at the root");
	if (am_node_get(node, "additionalProperties") != NULL)
		say(p, FORBIDDEN, ".additionalProperties", "Forbidden: must not be used at the root");
	check_resource_fields(p, node);
	check_metadata(p, node);
	check_nested_metadata(p, node);
}

/* ---- defaults ---- */

static void
check_default(struct place *p, struct am_arena *arena, const struct am_schema *s, bool root)
{
	struct am_failure inner = { 0 };
	struct am_buf text = { .max = 1024 };

	if (s->fallback == NULL)
		return;
	struct am_node *pruned = am_node_clone(arena, s->fallback);
	am_schema_prune_value(s, pruned, root);
	if (!am_node_equal(pruned, s->fallback)) {
		am_node_print(s->fallback, &text);
		say(p, INVALID, ".default", "Invalid value: %s: must not have unknown fields",
		    text.failed ? "\"...\"" : am_buf_str(&text));
	}
	for (size_t i = 0; root && i < 2; i++)
		if (am_node_get(s->fallback, i == 0 ? "apiVersion" : "kind") == NULL)
			say(p, REQUIRED, i == 0 ? ".default.apiVersion" : ".default.kind", "Required value");
	am_schema_validate(s, s->fallback, NULL, &inner);
	for (size_t i = 0; i < inner.n_causes; i++) {
		struct am_buf below = { 0 };
		const char *field = inner.causes[i].field;
		bool self = strcmp(field, "<nil>") == 0;
		am_buf_addf(&below, ".default%s%s", self || *field == '[' ? "" : ".", self ? "" : field);
		say(p, inner.causes[i].reason, am_buf_str(&below), "%s", inner.causes[i].message);
		am_buf_fini(&below);
	}
	am_failure_fini(&inner);
	am_buf_fini(&text);
}

void
am_schema_check_structure(struct am_arena *arena, const struct am_schema *s, const struct am_node *node, const char *path,
			  bool root, struct am_failure *failure)
{
	struct place p = { .failure = failure };

	am_buf_adds(&p.path, path);
	check_type(&p, s, node, root);
	check_types_in_junctors(&p, s, node);
	check_embedded(&p, s, node);
	check_list(&p, s);
	if (root)
		check_root(&p, s, node);
	check_default(&p, arena, s, root);
	am_buf_fini(&p.path);
}
