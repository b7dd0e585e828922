/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From openAPIV3Schema to the compiled form, with the rules of structural schemas: a type at every node, no
 * references, and inside allOf, anyOf, oneOf and not only value validation.  Keywords are a table; a keyword that is
 * not in it is refused.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define MAX_DEPTH 64

const char *const am_schema_type_names[AM_SCHEMA_TYPES] = {
	"", "object", "array", "string", "integer", "number", "boolean",
};

struct compiler {
	struct am_arena *arena;
	struct am_schema_set *set;
	struct am_failure *failure;
	struct am_buf path;
	int depth;
	bool junctor; /* inside allOf, anyOf, oneOf, not */
	bool stored;  /* it was taken once, maybe under laxer rules: structure is not judged */
};

static struct am_schema *compile(struct compiler *c, const struct am_node *node);

/* ---- reporting ---- */

static size_t
enter(struct compiler *c, const char *fmt, const char *key)
{
	size_t mark = c->path.len;

	if (key != NULL)
		am_buf_addf(&c->path, "%s%s", fmt, key);
	else
		am_buf_adds(&c->path, fmt);
	return mark;
}

static void
report(struct compiler *c, const char *reason, const char *key, const char *text)
{
	size_t mark = enter(c, ".", key);

	am_failure_cause(c->failure, reason, am_buf_str(&c->path), "%s", text);
	am_buf_cut(&c->path, mark);
}

static void
forbid(struct compiler *c, const char *key, const char *text)
{
	size_t mark = enter(c, ".", key);

	am_failure_cause(c->failure, "FieldValueForbidden", am_buf_str(&c->path), "Forbidden: %s", text);
	am_buf_cut(&c->path, mark);
}

static void *
zalloc(struct compiler *c, size_t n)
{
	void *p = am_arena_zalloc(c->arena, n);

	am_assert(p != NULL); /* the caller's arena has no limit; sizes are bounded by the request's */
	return p;
}

/* ---- keywords ---- */

typedef void keyword_f(struct compiler *c, struct am_schema *s, const struct am_node *value);

static void
kw_type(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	const char *name = am_node_text(value, "");

	for (int t = AM_SCHEMA_OBJECT; t < AM_SCHEMA_TYPES; t++)
		if (strcmp(name, am_schema_type_names[t]) == 0)
			s->type = (enum am_schema_type)t;
	if (s->type == AM_SCHEMA_ANY && *name != '\0')
		report(c, "FieldValueNotSupported", "type",
		       "Unsupported value: supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"");
}

static void
kw_properties(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	struct am_schema_property *list = zalloc(c, AM_MAX(value->count, 1u) * sizeof(*list));
	size_t n = 0;

	if (value->type != AMBIENT_T_OBJECT) {
		report(c, "FieldValueInvalid", "properties", "Invalid value: must be an object");
		return;
	}
	for (const struct am_node *m = value->first; m != NULL; m = m->next) {
		size_t mark = enter(c, ".properties[", m->key);
		am_buf_addc(&c->path, ']');
		list[n].name = m->key;
		list[n].schema = compile(c, m);
		n += list[n].schema != NULL;
		am_buf_cut(&c->path, mark);
	}
	s->properties = list;
	s->n_properties = n;
}

static const struct am_schema anything = {
	.anything = true, .preserve = true, .nullable = true, .min_length = -1, .max_length = -1, .min_items = -1, .max_items = -1,
	.min_properties = -1, .max_properties = -1,
};

static void
kw_additional(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	if (value->type == AMBIENT_T_BOOL) {
		if (value->boolean)
			s->additional = &anything;
		return;
	}
	size_t mark = enter(c, ".additionalProperties", NULL);
	s->additional = compile(c, value);
	am_buf_cut(&c->path, mark);
}

static void
kw_items(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	size_t mark = enter(c, ".items", NULL);

	if (value->type == AMBIENT_T_ARRAY)
		am_failure_cause(c->failure, "FieldValueForbidden", am_buf_str(&c->path),
				 "Forbidden: items must be a schema object and not an array");
	else
		s->items = compile(c, value);
	am_buf_cut(&c->path, mark);
}

static void
junctors(struct compiler *c, struct am_schema_list *list, const char *key, const struct am_node *value)
{
	bool outer = c->junctor;

	if (value->type != AMBIENT_T_ARRAY) {
		report(c, "FieldValueInvalid", key, "Invalid value: must be an array");
		return;
	}
	list->items = zalloc(c, AM_MAX(value->count, 1u) * sizeof(*list->items));
	c->junctor = true;
	size_t i = 0;
	for (const struct am_node *e = value->first; e != NULL; e = e->next, i++) {
		size_t mark = enter(c, ".", key);
		am_buf_addf(&c->path, "[%zu]", i);
		const struct am_schema *schema = compile(c, e);
		if (schema != NULL)
			list->items[list->n++] = schema;
		am_buf_cut(&c->path, mark);
	}
	c->junctor = outer;
}

static void
kw_all_of(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	junctors(c, &s->all_of, "allOf", value);
}

static void
kw_any_of(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	junctors(c, &s->any_of, "anyOf", value);
}

static void
kw_one_of(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	junctors(c, &s->one_of, "oneOf", value);
}

static void
kw_not(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	bool outer = c->junctor;
	size_t mark = enter(c, ".not", NULL);

	c->junctor = true;
	s->not_ = compile(c, value);
	c->junctor = outer;
	am_buf_cut(&c->path, mark);
}

static size_t
strings(struct compiler *c, const char ***ret, const char *key, const struct am_node *value)
{
	size_t n = 0;

	*ret = zalloc(c, AM_MAX(value->count, 1u) * sizeof(**ret));
	for (const struct am_node *e = value->type == AMBIENT_T_ARRAY ? value->first : NULL; e != NULL; e = e->next) {
		if (e->type == AMBIENT_T_STRING)
			(*ret)[n++] = e->text;
		else
			report(c, "FieldValueInvalid", key, "Invalid value: must be an array of strings");
	}
	return n;
}

static void
kw_required(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	s->n_required = strings(c, &s->required, "required", value);
}

static void
kw_map_keys(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	s->n_map_keys = strings(c, &s->map_keys, "x-kubernetes-list-map-keys", value);
}

static void
kw_enum(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	if (value->type == AMBIENT_T_ARRAY && value->count > 0)
		s->enums = value;
}

static void
kw_default(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	s->fallback = value;
}

static void
kw_pattern(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	const char *problem;
	char text[256];

	s->pattern = am_node_text(value, "");
	if (*s->pattern == '\0')
		return;
	s->code = am_schema_pattern(c->set, s->pattern, strlen(s->pattern), &problem);
	if (s->code == NULL) {
		snprintf(text, sizeof(text), "Invalid value: must be a valid regular expression, but isn't: %.150s", problem);
		report(c, "FieldValueInvalid", "pattern", text);
	}
}

static void
kw_format(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	s->format = am_node_text(value, "");
}

static void
bound(struct compiler *c, const char *key, const struct am_node *value, bool *has, double *ret, const char **text)
{
	if (value->type != AMBIENT_T_NUMBER) {
		report(c, "FieldValueInvalid", key, "Invalid value: must be a number");
		return;
	}
	*has = true;
	*ret = strtod(value->text, NULL);
	if (text != NULL)
		*text = value->text;
}

static void
kw_minimum(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	bound(c, "minimum", value, &s->has_min, &s->min, &s->min_text);
}

static void
kw_maximum(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	bound(c, "maximum", value, &s->has_max, &s->max, &s->max_text);
}

static void
kw_multiple(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	bound(c, "multipleOf", value, &s->has_multiple, &s->multiple, NULL);
	if (s->has_multiple && !(s->multiple > 0)) {
		s->has_multiple = false;
		report(c, "FieldValueInvalid", "multipleOf", "Invalid value: must be greater than 0");
	}
}

static void
kw_list_type(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	const char *name = am_node_text(value, "");

	s->list_typed = true;
	if (strcmp(name, "set") == 0)
		s->list_type = AM_LIST_SET;
	else if (strcmp(name, "map") == 0)
		s->list_type = AM_LIST_MAP;
	else if (strcmp(name, "atomic") != 0)
		report(c, "FieldValueNotSupported", "x-kubernetes-list-type",
		       "Unsupported value: supported values: \"atomic\", \"map\", \"set\"");
}

static void
kw_map_type(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	const char *name = am_node_text(value, "");

	s->map_typed = true;
	s->atomic_map = strcmp(name, "atomic") == 0;
	if (!s->atomic_map && strcmp(name, "granular") != 0)
		report(c, "FieldValueNotSupported", "x-kubernetes-map-type",
		       "Unsupported value: supported values: \"atomic\", \"granular\"");
}

static void
kw_unique(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	if (value->boolean)
		forbid(c, "uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
}

static void
kw_rules(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
	s->rule_nodes = value;
}

static void
kw_ignored(struct compiler *c, struct am_schema *s, const struct am_node *value)
{
}

#define FLAG(name, field)                                                                       \
	static void name(struct compiler *c, struct am_schema *s, const struct am_node *value)  \
	{                                                                                       \
		s->field = value->type == AMBIENT_T_BOOL && value->boolean;                     \
	}
#define SIZE(name, field)                                                                       \
	static void name(struct compiler *c, struct am_schema *s, const struct am_node *value)  \
	{                                                                                       \
		if (!am_node_is_int(value, &s->field) || s->field < 0)                          \
			report(c, "FieldValueInvalid", value->key, "Invalid value: must be an integer that is at least 0"); \
	}
FLAG(kw_nullable, nullable)
FLAG(kw_preserve, preserve)
FLAG(kw_embedded, embedded)
FLAG(kw_int_or_string, int_or_string)
FLAG(kw_exclusive_min, exclusive_min)
FLAG(kw_exclusive_max, exclusive_max)
SIZE(kw_min_length, min_length)
SIZE(kw_max_length, max_length)
SIZE(kw_min_items, min_items)
SIZE(kw_max_items, max_items)
SIZE(kw_min_properties, min_properties)
SIZE(kw_max_properties, max_properties)

/* VALUE: allowed inside a junctor.  FLAGGED: false is. */
enum { VALUE = 1, FLAGGED = 2, UNDEFINED = 4 };

static const struct keyword {
	const char *name;
	keyword_f *fn;
	int flags;
} keywords[] = {
	{ "type", kw_type, 0 },
	{ "properties", kw_properties, VALUE },
	{ "additionalProperties", kw_additional, UNDEFINED },
	{ "items", kw_items, VALUE },
	{ "required", kw_required, VALUE },
	{ "enum", kw_enum, VALUE },
	{ "default", kw_default, UNDEFINED },
	{ "pattern", kw_pattern, VALUE },
	{ "format", kw_format, VALUE },
	{ "minimum", kw_minimum, VALUE },
	{ "maximum", kw_maximum, VALUE },
	{ "exclusiveMinimum", kw_exclusive_min, VALUE },
	{ "exclusiveMaximum", kw_exclusive_max, VALUE },
	{ "multipleOf", kw_multiple, VALUE },
	{ "minLength", kw_min_length, VALUE },
	{ "maxLength", kw_max_length, VALUE },
	{ "minItems", kw_min_items, VALUE },
	{ "maxItems", kw_max_items, VALUE },
	{ "minProperties", kw_min_properties, VALUE },
	{ "maxProperties", kw_max_properties, VALUE },
	{ "nullable", kw_nullable, FLAGGED },
	{ "allOf", kw_all_of, VALUE },
	{ "anyOf", kw_any_of, VALUE },
	{ "oneOf", kw_one_of, VALUE },
	{ "not", kw_not, VALUE },
	{ "uniqueItems", kw_unique, VALUE },
	{ "x-kubernetes-preserve-unknown-fields", kw_preserve, FLAGGED },
	{ "x-kubernetes-embedded-resource", kw_embedded, FLAGGED },
	{ "x-kubernetes-int-or-string", kw_int_or_string, FLAGGED },
	{ "x-kubernetes-list-type", kw_list_type, UNDEFINED },
	{ "x-kubernetes-list-map-keys", kw_map_keys, UNDEFINED },
	{ "x-kubernetes-map-type", kw_map_type, UNDEFINED },
	{ "x-kubernetes-validations", kw_rules, 0 },
	{ "description", kw_ignored, 0 },
	{ "title", kw_ignored, 0 },
	{ "example", kw_ignored, VALUE },
	{ "externalDocs", kw_ignored, VALUE },
};

static void
one_keyword(struct compiler *c, struct am_schema *s, const struct am_node *member)
{
	for (size_t i = 0; i < AM_COUNTOF(keywords); i++) {
		if (strcmp(keywords[i].name, member->key) != 0)
			continue;
		int flags = keywords[i].flags;
		/* Types are judged with the whole node, for the idioms beside x-kubernetes-int-or-string. */
		bool fine = (flags & VALUE) || keywords[i].fn == kw_type || ((flags & FLAGGED) && !member->boolean);
		if (c->junctor && !fine)
			forbid(c, member->key, flags & FLAGGED ? "must be false to be structural" :
			       flags & UNDEFINED ? "must be undefined to be structural" : "must be empty to be structural");
		else if (member->type != AMBIENT_T_NULL)
			keywords[i].fn(c, s, member);
		return;
	}
	char text[128];
	snprintf(text, sizeof(text), "%.60s is not supported", member->key);
	forbid(c, member->key, text);
}

/* ---- a node ---- */

int
am_schema_name_cmp(const void *a, const void *b)
{
	return strcmp(((const struct am_schema_name *)a)->name, ((const struct am_schema_name *)b)->name);
}

static void
index_properties(struct compiler *c, struct am_schema *s)
{
	struct am_schema_name *names;

	if (s->n_properties <= AM_SCHEMA_FEW)
		return;
	names = zalloc(c, s->n_properties * sizeof(*names));
	for (size_t i = 0; i < s->n_properties; i++)
		names[i] = (struct am_schema_name){ s->properties[i].name, &s->properties[i] };
	qsort(names, s->n_properties, sizeof(*names), am_schema_name_cmp);
	s->by_name = names;
}

static struct am_schema *
compile(struct compiler *c, const struct am_node *node)
{
	struct am_schema *s = zalloc(c, sizeof(*s));

	if (node->type != AMBIENT_T_OBJECT) {
		am_failure_cause(c->failure, "FieldValueInvalid", am_buf_str(&c->path), "Invalid value: must be an object");
		return NULL;
	}
	if (c->depth >= MAX_DEPTH) {
		am_failure_cause(c->failure, "FieldValueForbidden", am_buf_str(&c->path), "Forbidden: nested too deep");
		return NULL;
	}
	s->min_length = s->max_length = s->min_items = s->max_items = s->min_properties = s->max_properties = -1;
	c->depth++;
	for (const struct am_node *m = node->first; m != NULL; m = m->next)
		one_keyword(c, s, m);
	index_properties(c, s);
	s->has_embedded = s->embedded || (s->additional != NULL && s->additional->has_embedded) ||
			  (s->items != NULL && s->items->has_embedded);
	for (size_t i = 0; i < s->n_properties; i++)
		s->has_embedded |= s->properties[i].schema != NULL && s->properties[i].schema->has_embedded;
	if (!c->junctor && !c->stored)
		am_schema_check_structure(c->arena, s, node, am_buf_str(&c->path), c->depth == 1, c->failure);
	c->depth--;
	return s;
}

static const struct am_schema *
compile_all(struct compiler *c, const struct am_node *openapi, const char *path, const struct am_schema_past *past)
{
	size_t before = c->failure->n_causes;

	am_buf_adds(&c->path, path);
	struct am_schema *schema = compile(c, openapi);
	am_buf_fini(&c->path);
	if (c->failure->n_causes == before)
		am_schema_rules_compile(c->arena, c->set, schema, path, c->stored, past, c->failure);
	return c->failure->n_causes > before ? NULL : schema;
}

const struct am_schema *
am_schema_compile(struct am_arena *arena, struct am_schema_set *set, const struct am_node *openapi, const char *path,
		  const struct am_schema_past *past, struct am_failure *failure)
{
	struct compiler c = { .arena = arena, .set = set, .failure = failure };

	return compile_all(&c, openapi, path, past);
}

const struct am_schema *
am_schema_compile_stored(struct am_arena *arena, struct am_schema_set *set, const struct am_node *openapi,
			 struct am_failure *failure)
{
	struct compiler c = { .arena = arena, .set = set, .failure = failure, .stored = true };

	return compile_all(&c, openapi, "schema", NULL);
}

const struct am_schema *
am_schema_property_of(const struct am_schema *schema, const char *name)
{
	if (schema->by_name != NULL) {
		const struct am_schema_name key = { .name = name }, *found =
			bsearch(&key, schema->by_name, schema->n_properties, sizeof(key), am_schema_name_cmp);

		return found != NULL ? found->property->schema : NULL;
	}
	for (size_t i = 0; i < schema->n_properties; i++)
		if (strcmp(schema->properties[i].name, name) == 0)
			return schema->properties[i].schema;
	return NULL;
}
