/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types of expressions: where they come from (a schema, a function's signature), when one can stand for another, how
 * they are called in messages.  The letters of a signature: b bool, i int, u uint, d double, s string, y bytes,
 * t timestamp, D duration, n null, * anything, A and B parameters, T and a type: the type of that, ? and a type: an
 * optional, [ and a type: a list, { and two types: a map; Q quantity, P IP address, C CIDR, U URL, F named format,
 * V semantic version.
 */
#include <ctype.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

static const struct {
	char letter;
	const char *name; /* NULL: it has no name of its own */
} kinds[CEL_KINDS] = {
	[CEL_ERROR] = { 0, "!error!" },
	[CEL_DYN] = { '*', "dyn" },
	[CEL_NULL] = { 'n', "null_type" },
	[CEL_BOOL] = { 'b', "bool" },
	[CEL_INT] = { 'i', "int" },
	[CEL_UINT] = { 'u', "uint" },
	[CEL_DOUBLE] = { 'd', "double" },
	[CEL_STRING] = { 's', "string" },
	[CEL_BYTES] = { 'y', "bytes" },
	[CEL_TIMESTAMP] = { 't', "google.protobuf.Timestamp" },
	[CEL_DURATION] = { 'D', "google.protobuf.Duration" },
	[CEL_LIST] = { 0, "list" },
	[CEL_MAP] = { 0, "map" },
	[CEL_OBJECT] = { 0, "object" },
	[CEL_TYPE] = { 0, "type" },
	[CEL_OPTIONAL] = { 0, "optional_type" },
	[CEL_QUANTITY] = { 'Q', "kubernetes.Quantity" },
	[CEL_IP] = { 'P', "net.IP" },
	[CEL_CIDR] = { 'C', "net.CIDR" },
	[CEL_URL] = { 'U', "kubernetes.URL" },
	[CEL_FORMAT] = { 'F', "kubernetes.NamedFormat" },
	[CEL_SEMVER] = { 'V', "kubernetes.Semver" },
	[CEL_PARAM] = { 0, "dyn" },
};

#define SIMPLE(k) [k] = { .kind = k }
const struct cel_type cel_simple[CEL_KINDS] = {
	SIMPLE(CEL_ERROR), SIMPLE(CEL_DYN), SIMPLE(CEL_NULL), SIMPLE(CEL_BOOL), SIMPLE(CEL_INT), SIMPLE(CEL_UINT),
	SIMPLE(CEL_DOUBLE), SIMPLE(CEL_STRING), SIMPLE(CEL_BYTES), SIMPLE(CEL_TIMESTAMP), SIMPLE(CEL_DURATION),
	[CEL_LIST] = { .kind = CEL_LIST, .a = &cel_simple[CEL_DYN] },
	[CEL_MAP] = { .kind = CEL_MAP, .a = &cel_simple[CEL_DYN], .b = &cel_simple[CEL_DYN] },
	SIMPLE(CEL_OBJECT),
	[CEL_TYPE] = { .kind = CEL_TYPE, .a = &cel_simple[CEL_DYN] },
	[CEL_OPTIONAL] = { .kind = CEL_OPTIONAL, .a = &cel_simple[CEL_DYN] },
	SIMPLE(CEL_QUANTITY), SIMPLE(CEL_IP), SIMPLE(CEL_CIDR), SIMPLE(CEL_URL), SIMPLE(CEL_FORMAT),
	SIMPLE(CEL_SEMVER),
};

static const struct cel_type params[2] = { { .kind = CEL_PARAM, .param = 0 }, { .kind = CEL_PARAM, .param = 1 } };

const char *
cel_kind_name(enum cel_kind kind)
{
	return kinds[kind].name;
}

const struct cel_type *
cel_type_named(const char *name)
{
	for (int k = CEL_DYN; k < CEL_PARAM; k++)
		if (k != CEL_OBJECT && k != CEL_DYN && strcmp(kinds[k].name, name) == 0)
			return &cel_simple[k];
	return NULL;
}

const struct cel_type *
cel_type_new(struct am_arena *arena, enum cel_kind kind, const struct cel_type *a, const struct cel_type *b)
{
	struct cel_type *t = am_arena_zalloc(arena, sizeof(*t));

	am_assert(t != NULL);
	*t = (struct cel_type){ .kind = kind, .a = a, .b = b };
	return t;
}

/* ---- from a schema ---- */

/* The members that every resource has, whatever its schema says. */
static const struct am_schema text_schema = {
	.type = AM_SCHEMA_STRING, .min_length = -1, .max_length = -1, .min_items = -1, .max_items = -1, .min_properties = -1,
	.max_properties = -1, .fewest = 2, .most = CEL_REQUEST_MAX - 2,
};
static const struct am_schema_property meta_properties[] = { { "name", &text_schema }, { "generateName", &text_schema } };
static const struct am_schema meta_schema = {
	.type = AM_SCHEMA_OBJECT, .properties = meta_properties, .n_properties = AM_COUNTOF(meta_properties),
	.min_length = -1, .max_length = -1, .min_items = -1, .max_items = -1, .min_properties = -1, .max_properties = -1,
	.fewest = 2,
};

static const struct cel_type *
object_type(struct am_arena *arena, const struct am_schema *schema, bool root)
{
	struct cel_type *t = am_arena_zalloc(arena, sizeof(*t));

	am_assert(t != NULL);
	*t = (struct cel_type){ .kind = CEL_OBJECT, .schema = schema, .root = root };
	return t;
}

static const struct cel_type *
string_type(const struct am_schema *schema)
{
	const char *format = schema->format != NULL ? schema->format : "";

	if (strcmp(format, "byte") == 0)
		return &cel_simple[CEL_BYTES];
	if (strcmp(format, "duration") == 0)
		return &cel_simple[CEL_DURATION];
	if (strcmp(format, "date") == 0 || strcmp(format, "date-time") == 0)
		return &cel_simple[CEL_TIMESTAMP];
	return &cel_simple[CEL_STRING];
}

static const struct cel_type *
container_type(struct am_arena *arena, const struct am_schema *schema, enum cel_kind kind, const struct am_schema *inner)
{
	const struct cel_type *element = cel_type_of_schema(arena, inner, inner->embedded);

	if (element == NULL)
		return NULL;
	struct cel_type *t = am_arena_zalloc(arena, sizeof(*t));
	am_assert(t != NULL);
	t->kind = kind;
	t->schema = schema;
	t->a = kind == CEL_LIST ? element : &cel_simple[CEL_STRING];
	t->b = kind == CEL_MAP ? element : NULL;
	return t;
}

const struct cel_type *
cel_type_of_schema(struct am_arena *arena, const struct am_schema *schema, bool root)
{
	if (schema->int_or_string)
		return &cel_simple[CEL_DYN];
	if (root)
		return object_type(arena, schema, true);
	switch (schema->type) {
	case AM_SCHEMA_ARRAY:
		return schema->items != NULL ? container_type(arena, schema, CEL_LIST, schema->items) : NULL;
	case AM_SCHEMA_OBJECT:
		/* Of additionalProperties: true nothing is known, so nothing can be seen. */
		if (schema->additional != NULL && schema->additional->anything)
			return object_type(arena, schema, false);
		return schema->additional != NULL ? container_type(arena, schema, CEL_MAP, schema->additional)
						  : object_type(arena, schema, false);
	case AM_SCHEMA_STRING:
		return string_type(schema);
	case AM_SCHEMA_INTEGER:
		return &cel_simple[CEL_INT];
	case AM_SCHEMA_NUMBER:
		return &cel_simple[CEL_DOUBLE];
	case AM_SCHEMA_BOOLEAN:
		return &cel_simple[CEL_BOOL];
	default:
		return NULL;
	}
}

bool
cel_schema_visible(const struct am_schema *schema, bool root)
{
	if (schema->int_or_string || root)
		return true;
	if (schema->type == AM_SCHEMA_ARRAY)
		return schema->items != NULL && cel_schema_visible(schema->items, schema->items->embedded);
	if (schema->type == AM_SCHEMA_OBJECT && schema->additional != NULL && !schema->additional->anything)
		return cel_schema_visible(schema->additional, schema->additional->embedded);
	return schema->type != AM_SCHEMA_ANY;
}

/* ---- names of properties ---- */

bool
cel_reserved(const char *name)
{
	static const char *const words[] = { "true", "false", "null", "in", "as", "break", "const", "continue", "else",
					     "for", "function", "if", "import", "let", "loop", "package", "namespace",
					     "return", "var", "void", "while" };

	for (size_t i = 0; i < AM_COUNTOF(words); i++)
		if (strcmp(words[i], name) == 0)
			return true;
	return false;
}

/* How expressions write a property; "" when they cannot. */
static const char *
escaped(struct am_arena *arena, const char *property)
{
	static const struct { const char *from, *to; } escapes[] = {
		{ "__", "__underscores__" }, { ".", "__dot__" }, { "-", "__dash__" }, { "/", "__slash__" },
	};
	struct am_buf out = { 0 };

	if (cel_reserved(property))
		return am_arena_printf(arena, "__%s__", property);
	if (isdigit((unsigned char)*property))
		return "";
	if (strpbrk(property, ".-/") == NULL && strstr(property, "__") == NULL)
		return property;
	while (*property != '\0') {
		size_t i = 0;

		while (i < AM_COUNTOF(escapes) && !am_starts(property, escapes[i].from))
			i++;
		if (i < AM_COUNTOF(escapes)) {
			am_buf_adds(&out, escapes[i].to);
			property += strlen(escapes[i].from);
		} else {
			am_buf_addc(&out, *property++);
		}
	}
	const char *ret = am_arena_strndup(arena, am_buf_str(&out), out.len);
	am_buf_fini(&out);
	return ret;
}

void
cel_index(struct am_arena *arena, struct am_schema *s)
{
	size_t n = 0;

	if (s->n_properties == 0)
		return;
	/* A word of the language has two names: the grammar takes it as a member's. */
	struct am_schema_name *names = am_arena_zalloc(arena, 2 * s->n_properties * sizeof(*names));
	am_assert(names != NULL);
	for (size_t i = 0; i < s->n_properties; i++) {
		const struct am_schema_property *p = &s->properties[i];

		names[n++] = (struct am_schema_name){ escaped(arena, p->name), p };
		if (cel_reserved(p->name))
			names[n++] = (struct am_schema_name){ p->name, p };
	}
	qsort(names, n, sizeof(*names), am_schema_name_cmp);
	s->written = names;
	s->n_written = n;
}

const struct am_schema *
cel_of_resource(const char *name)
{
	if (strcmp(name, "apiVersion") == 0 || strcmp(name, "kind") == 0)
		return &text_schema;
	return strcmp(name, "metadata") == 0 ? &meta_schema : NULL;
}

static const struct am_schema_property *
find_written(const struct am_schema *schema, const char *name)
{
	const struct am_schema_name key = { .name = name }, *found;

	if (schema->written != NULL) {
		found = bsearch(&key, schema->written, schema->n_written, sizeof(key), am_schema_name_cmp);
		return found != NULL ? found->property : NULL;
	}
	for (size_t i = 0; i < schema->n_properties; i++) /* of meta_schema */
		if (strcmp(schema->properties[i].name, name) == 0)
			return &schema->properties[i];
	return NULL;
}

/* The schema of a member by the name that an expression uses; ret_field gets the property's own name. */
const struct am_schema *
cel_field(const struct am_schema *schema, bool root, const char *name, const char **ret_field)
{
	const struct am_schema_property *property;

	*ret_field = name;
	if (root && cel_of_resource(name) != NULL)
		return cel_of_resource(name);
	property = schema != NULL && *name != '\0' ? find_written(schema, name) : NULL;
	if (property == NULL)
		return NULL;
	*ret_field = property->name;
	return property->schema;
}

/* ---- relations ---- */

bool
cel_type_equal(const struct cel_type *a, const struct cel_type *b)
{
	if (a == b)
		return true;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case CEL_LIST:
	case CEL_OPTIONAL:
		return cel_type_equal(a->a, b->a);
	case CEL_MAP:
		return cel_type_equal(a->a, b->a) && cel_type_equal(a->b, b->b);
	case CEL_OBJECT:
		return a->schema == b->schema && a->root == b->root;
	case CEL_PARAM:
		return a->param == b->param;
	default:
		return true;
	}
}

static bool
bind(const struct cel_type *param, const struct cel_type *from, const struct cel_type *bound[2])
{
	const struct cel_type *unbound[2] = { NULL, NULL }, **now = &bound[param->param];

	if (*now == NULL || ((*now)->kind == CEL_NULL && cel_assign(from, *now, unbound))) {
		*now = from;
		return true;
	}
	if (cel_assign(*now, from, unbound)) {
		/* [] and {} know less than what they meet. */
		if (from->kind == CEL_DYN)
			*now = from;
		return true;
	}
	if (!cel_assign(from, *now, unbound))
		return false;
	*now = from;
	return true;
}

bool
cel_assign(const struct cel_type *to, const struct cel_type *from, const struct cel_type *bound[2])
{
	if (to->kind == CEL_PARAM)
		return bind(to, from, bound);
	if (to->kind == CEL_DYN || from->kind == CEL_DYN)
		return true;
	if (from->kind == CEL_NULL)
		return to->kind == CEL_NULL || to->kind == CEL_OBJECT || to->kind == CEL_TIMESTAMP ||
		       to->kind == CEL_DURATION || (to->kind >= CEL_OPTIONAL && to->kind <= CEL_SEMVER);
	if (to->kind != from->kind)
		return false;
	switch (to->kind) {
	case CEL_LIST:
	case CEL_OPTIONAL:
		return cel_assign(to->a, from->a, bound);
	case CEL_MAP:
		return cel_assign(to->a, from->a, bound) && cel_assign(to->b, from->b, bound);
	case CEL_OBJECT:
		return to->schema == from->schema && to->root == from->root;
	default:
		return true;
	}
}

const struct cel_type *
cel_substitute(struct am_arena *arena, const struct cel_type *type, const struct cel_type *const bound[2])
{
	if (type->kind == CEL_PARAM)
		return bound[type->param] != NULL ? bound[type->param] : &cel_simple[CEL_DYN];
	if (type->kind == CEL_LIST || type->kind == CEL_OPTIONAL || type->kind == CEL_TYPE)
		return cel_type_new(arena, type->kind, cel_substitute(arena, type->a, bound), NULL);
	if (type->kind == CEL_MAP)
		return cel_type_new(arena, CEL_MAP, cel_substitute(arena, type->a, bound),
				    cel_substitute(arena, type->b, bound));
	return type;
}

void
cel_type_print(const struct cel_type *type, struct am_buf *out)
{
	static const struct { enum cel_kind kind; const char *open; } with[] = {
		{ CEL_LIST, "list(" }, { CEL_OPTIONAL, "optional_type(" }, { CEL_TYPE, "type(" },
	};

	if (type->kind == CEL_MAP) {
		am_buf_adds(out, "map(");
		cel_type_print(type->a, out);
		am_buf_adds(out, ", ");
		cel_type_print(type->b, out);
		am_buf_addc(out, ')');
		return;
	}
	for (size_t i = 0; i < AM_COUNTOF(with); i++)
		if (with[i].kind == type->kind) {
			am_buf_adds(out, with[i].open);
			cel_type_print(type->a, out);
			am_buf_addc(out, ')');
			return;
		}
	am_buf_adds(out, type->kind == CEL_NULL ? "null" : type->kind == CEL_TIMESTAMP ? "timestamp" :
			 type->kind == CEL_DURATION ? "duration" : kinds[type->kind].name);
}

/* ---- signatures ---- */

const struct cel_type *
cel_sig_type(struct am_arena *arena, const char **sig)
{
	char c = *(*sig)++;
	const struct cel_type *a;

	switch (c) {
	case 'A':
	case 'B':
		return &params[c - 'A'];
	case '[':
		return cel_type_new(arena, CEL_LIST, cel_sig_type(arena, sig), NULL);
	case '?':
		return cel_type_new(arena, CEL_OPTIONAL, cel_sig_type(arena, sig), NULL);
	case 'T':
		return cel_type_new(arena, CEL_TYPE, cel_sig_type(arena, sig), NULL);
	case '{':
		a = cel_sig_type(arena, sig);
		return cel_type_new(arena, CEL_MAP, a, cel_sig_type(arena, sig));
	default:
		for (int k = 0; k < CEL_KINDS; k++)
			if (kinds[k].letter == c)
				return &cel_simple[k];
		am_assert(false); /* the tables are ours */
	}
}

static const char *
skip_type(const char *sig)
{
	char c = *sig++;

	if (c == '[' || c == '?' || c == 'T')
		return skip_type(sig);
	return c == '{' ? skip_type(skip_type(sig)) : sig;
}

size_t
cel_sig_args(const char *sig, bool *method)
{
	size_t n = 0;

	*method = false;
	while (*sig != '>') {
		if (*sig == '.') {
			*method = true;
			sig++;
		} else {
			sig = skip_type(sig);
			n++;
		}
	}
	return n;
}

bool
cel_sig_letter(char letter, enum cel_kind kind)
{
	return kinds[kind].letter == letter;
}

static bool
takes(char c, enum cel_kind kind)
{
	if (c == '*' || c == 'A' || c == 'B')
		return true;
	if (c == '[')
		return kind == CEL_LIST;
	if (c == '{')
		return kind == CEL_MAP || kind == CEL_OBJECT;
	if (c == '?')
		return kind == CEL_OPTIONAL;
	if (c == 'T')
		return kind == CEL_TYPE;
	return cel_sig_letter(c, kind);
}

bool
cel_sig_takes(const char *sig, const struct cel_value *args)
{
	for (size_t i = 0; *sig != '>'; i++) {
		if (*sig == '.')
			sig++;
		if (*sig == '>')
			break;
		if (!takes(*sig, args[i].kind))
			return false;
		sig = skip_type(sig);
	}
	return true;
}
