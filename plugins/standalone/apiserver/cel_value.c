/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: made of JSON by its schema, compared, printed.  Objects stay JSON until a member is asked for; lists and maps
 * are turned once per run, shallowly.  Lists of type set and map compare without order, as Kubernetes merges them.
 */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "core/base/map.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/cel_priv.h"

#define SMALL_MAP 8 /* searched without an index */

struct cel_value
cel_error(struct cel_run *run, const char *fmt, ...)
{
	struct am_buf text = { .max = 4096 };
	va_list ap;

	va_start(ap, fmt);
	am_buf_addv(&text, fmt, ap);
	va_end(ap);
	struct cel_value ret = cel_string(run, am_buf_str(&text), text.len);
	ret.kind = CEL_ERROR;
	am_buf_fini(&text);
	return ret;
}

struct cel_value
cel_exceeded(struct cel_run *run)
{
	run->exceeded = true;
	return (struct cel_value){ .kind = CEL_ERROR, .s = AM_SLICE("operation cancelled: actual cost limit exceeded") };
}

struct cel_value
cel_no_overload(void)
{
	return (struct cel_value){ .kind = CEL_ERROR, .s = AM_SLICE("no such overload") };
}

struct cel_value
cel_string(struct cel_run *run, const char *p, size_t n)
{
	char *copy = am_arena_strndup(run->arena, p != NULL ? p : "", n);

	if (copy == NULL)
		return cel_exceeded(run);
	return (struct cel_value){ .kind = CEL_STRING, .s = am_slice(copy, n) };
}

struct cel_value
cel_buf_string(struct cel_run *run, struct am_buf *buf)
{
	struct cel_value ret = buf->failed ? cel_exceeded(run) : cel_string(run, am_buf_str(buf), buf->len);

	am_buf_fini(buf);
	return ret;
}

struct cel_value
cel_some(struct cel_run *run, struct cel_value value)
{
	struct cel_value *copy = cel_items(run, 1);

	if (cel_failed(value) || copy == NULL)
		return cel_failed(value) ? value : cel_exceeded(run);
	*copy = value;
	return (struct cel_value){ .kind = CEL_OPTIONAL, .optional = copy };
}

struct cel_value *
cel_items(struct cel_run *run, size_t n)
{
	return n > SIZE_MAX / sizeof(struct cel_value) - 1 ? NULL :
		am_arena_zalloc(run->arena, AM_MAX(n, (size_t)1) * sizeof(struct cel_value));
}

static struct cel_value
typed_list(struct cel_run *run, const struct cel_value *items, size_t n, const struct am_schema *schema)
{
	struct cel_list *list = am_arena_alloc(run->arena, sizeof(*list));

	if (list == NULL)
		return cel_exceeded(run);
	*list = (struct cel_list){ n, items, schema };
	return (struct cel_value){ .kind = CEL_LIST, .list = list };
}

struct cel_value
cel_list_of(struct cel_run *run, const struct cel_value *items, size_t n)
{
	return typed_list(run, items, n, NULL);
}

/* ---- maps ---- */

/* What a key is looked up by: numbers of equal value are one key. */
static void
key_text(const struct cel_value *key, struct am_buf *out)
{
	switch (key->kind) {
	case CEL_STRING:
		am_buf_addc(out, 's');
		am_buf_add(out, key->s.p, key->s.n);
		break;
	case CEL_INT:
		am_buf_addf(out, "n%lld", (long long)key->i);
		break;
	case CEL_UINT:
		am_buf_addf(out, "n%llu", (unsigned long long)key->u);
		break;
	case CEL_DOUBLE:
		if (key->d == floor(key->d) && fabs(key->d) < 1e18)
			am_buf_addf(out, "n%lld", (long long)key->d);
		else
			am_buf_addf(out, "d%.17g", key->d);
		break;
	case CEL_BOOL:
		am_buf_adds(out, key->b ? "bt" : "bf");
		break;
	default:
		am_buf_addc(out, '?');
	}
}

static void
index_map(struct cel_run *run, struct cel_map *map)
{
	struct am_buf text = { 0 };

	if (map->n <= SMALL_MAP)
		return;
	if (run->n_indexes == run->cap_indexes) {
		run->cap_indexes = run->cap_indexes > 0 ? run->cap_indexes * 2 : 16;
		run->indexes = am_xrealloc((void *)run->indexes, run->cap_indexes, sizeof(*run->indexes));
	}
	map->index = run->indexes[run->n_indexes++] = am_map_new();
	for (size_t i = 0; i < map->n; i++) {
		am_buf_reset(&text);
		key_text(&map->entries[i].key, &text);
		am_map_putn(map->index, am_buf_str(&text), text.len, (void *)(uintptr_t)&map->entries[i]);
	}
	am_buf_fini(&text);
}

struct cel_value
cel_map_of(struct cel_run *run, const struct cel_entry *entries, size_t n)
{
	struct cel_map *map = am_arena_zalloc(run->arena, sizeof(*map));

	if (map == NULL)
		return cel_exceeded(run);
	map->n = n;
	map->entries = entries;
	index_map(run, map);
	return (struct cel_value){ .kind = CEL_MAP, .map = map };
}

static bool
same_key(const struct cel_value *a, const struct cel_value *b)
{
	if (a->kind == CEL_STRING || b->kind == CEL_STRING)
		return a->kind == b->kind && a->s.n == b->s.n && memcmp(a->s.p, b->s.p, a->s.n) == 0;
	if (a->kind == CEL_BOOL || b->kind == CEL_BOOL)
		return a->kind == b->kind && a->b == b->b;
	return cel_compare(a, b) == 0;
}

const struct cel_entry *
cel_map_find(const struct cel_map *map, const struct cel_value *key)
{
	if (map->index != NULL) {
		struct am_buf text = { 0 };

		key_text(key, &text);
		const struct cel_entry *found = am_map_getn(map->index, am_buf_str(&text), text.len);
		am_buf_fini(&text);
		return found;
	}
	for (size_t i = 0; i < map->n; i++)
		if (same_key(&map->entries[i].key, key))
			return &map->entries[i];
	return NULL;
}

/* ---- from JSON ---- */

static struct cel_value
remember(struct cel_run *run, const struct am_node *node, struct cel_value value)
{
	struct cel_value *copy = cel_failed(value) ? NULL : cel_items(run, 1);

	if (copy == NULL)
		return cel_failed(value) ? value : cel_exceeded(run);
	*copy = value;
	am_map_putn(run->memo, &node, sizeof(node), copy);
	return value;
}

static struct cel_value
array_value(struct cel_run *run, const struct am_node *node, const struct am_schema *schema)
{
	const struct cel_value *known = am_map_getn(run->memo, &node, sizeof(node));
	size_t i = 0;

	if (known != NULL)
		return *known;
	struct cel_value *items = cel_items(run, node->count);
	if (items == NULL)
		return cel_exceeded(run);
	for (const struct am_node *e = node->first; e != NULL; e = e->next)
		items[i++] = cel_from_node(run, e, schema->items, schema->items->embedded);
	return run->exceeded ? cel_exceeded(run) : remember(run, node, typed_list(run, items, i, schema));
}

static struct cel_value
map_value(struct cel_run *run, const struct am_node *node, const struct am_schema *inner)
{
	const struct cel_value *known = am_map_getn(run->memo, &node, sizeof(node));
	size_t i = 0;

	if (known != NULL)
		return *known;
	struct cel_entry *entries = am_arena_alloc(run->arena, AM_MAX(node->count, 1u) * sizeof(*entries));
	if (entries == NULL)
		return cel_exceeded(run);
	for (const struct am_node *m = node->first; m != NULL; m = m->next) {
		entries[i].key = (struct cel_value){ .kind = CEL_STRING, .s = am_slice(m->key, m->key_len) };
		entries[i++].value = cel_from_node(run, m, inner, inner->embedded);
	}
	return run->exceeded ? cel_exceeded(run) : remember(run, node, cel_map_of(run, entries, i));
}

static struct cel_value
object_value(struct cel_run *run, const struct am_node *node, const struct am_schema *schema, bool root)
{
	struct cel_object *object = am_arena_alloc(run->arena, sizeof(*object));

	if (object == NULL)
		return cel_exceeded(run);
	*object = (struct cel_object){ node, schema, root };
	return (struct cel_value){ .kind = CEL_OBJECT, .object = object };
}

static struct cel_value
string_value(struct cel_run *run, const struct am_node *node, const struct am_schema *schema)
{
	const char *format = schema->format != NULL ? schema->format : "";
	struct am_slice text = am_slice(node->text, node->len);
	struct cel_value ret = { .kind = CEL_STRING, .s = text };
	struct am_buf bytes = { 0 };
	char *day;

	if (strcmp(format, "byte") == 0) {
		if (am_base64_decode(&bytes, text.p, text.n, false) < 0) {
			am_buf_fini(&bytes);
			return cel_error(run, "Invalid byte formatted string %.100s", node->text);
		}
		ret = cel_buf_string(run, &bytes);
		ret.kind = cel_failed(ret) ? CEL_ERROR : CEL_BYTES;
	} else if (strcmp(format, "duration") == 0) {
		ret.kind = CEL_DURATION;
		if (cel_duration_parse(text, &ret.i) < 0 && am_parse_duration(node->text, &ret.i) < 0)
			return cel_error(run, "Invalid duration %.100s", node->text);
	} else if (strcmp(format, "date") == 0) {
		day = am_arena_printf(run->arena, "%.10sT00:00:00Z", node->text);
		if (day == NULL || cel_time_parse(am_slice_of(day), &ret) < 0)
			return cel_error(run, "Invalid date formatted string %.100s", node->text);
	} else if (strcmp(format, "date-time") == 0) {
		if (cel_time_parse(text, &ret) < 0)
			return cel_error(run, "Invalid date-time formatted string %.100s", node->text);
	}
	return ret;
}

static struct cel_value
unknown_value(struct cel_run *run, const struct am_node *node)
{
	return node->type == AMBIENT_T_NULL ? cel_null() : object_value(run, node, NULL, false);
}

static struct cel_value
invalid_data(struct cel_run *run, const char *expected)
{
	return cel_error(run, "invalid data, expected %s", expected);
}

/* Not under a schema: a value that only compares. */
struct cel_value
cel_from_node(struct cel_run *run, const struct am_node *node, const struct am_schema *schema, bool root)
{
	int64_t i;

	if (node->type == AMBIENT_T_NULL)
		return schema->nullable ? cel_null() :
			cel_error(run, "invalid data, got null for schema with nullable=false");
	if (schema->int_or_string) {
		if (node->type == AMBIENT_T_STRING)
			return (struct cel_value){ .kind = CEL_STRING, .s = am_slice(node->text, node->len) };
		return am_node_is_int(node, &i) ? cel_int(i) :
			invalid_data(run, "XIntOrString value to be either a string or integer");
	}
	if (root)
		return node->type == AMBIENT_T_OBJECT ? object_value(run, node, schema, true) : invalid_data(run, "a map");
	switch (schema->type) {
	case AM_SCHEMA_OBJECT:
		if (node->type != AMBIENT_T_OBJECT)
			return invalid_data(run, "a map for the provided schema with type=object");
		if (schema->additional != NULL && !schema->additional->anything)
			return map_value(run, node, schema->additional);
		return object_value(run, node, schema, false);
	case AM_SCHEMA_ARRAY:
		if (node->type != AMBIENT_T_ARRAY || schema->items == NULL)
			return invalid_data(run, "an array for the provided schema with type=array");
		return array_value(run, node, schema);
	case AM_SCHEMA_STRING:
		return node->type == AMBIENT_T_STRING ? string_value(run, node, schema) : invalid_data(run, "string");
	case AM_SCHEMA_NUMBER:
		return node->type == AMBIENT_T_NUMBER ? cel_double(strtod(node->text, NULL)) : invalid_data(run, "float");
	case AM_SCHEMA_INTEGER:
		return am_node_is_int(node, &i) ? cel_int(i) : invalid_data(run, "int");
	case AM_SCHEMA_BOOLEAN:
		return node->type == AMBIENT_T_BOOL ? cel_bool(node->boolean) : invalid_data(run, "bool");
	default:
		return unknown_value(run, node);
	}
}

/* ---- comparing ---- */

static int
order(double a, double b)
{
	if (isnan(a) || isnan(b))
		return 2;
	return a < b ? -1 : a > b;
}

static int
order_int_uint(int64_t a, uint64_t b)
{
	if (a < 0 || b > (uint64_t)INT64_MAX)
		return -1;
	return a < (int64_t)b ? -1 : a > (int64_t)b;
}

static int
compare_numbers(const struct cel_value *a, const struct cel_value *b)
{
	if (a->kind == CEL_INT)
		return b->kind == CEL_INT ? (a->i < b->i ? -1 : a->i > b->i) :
		       b->kind == CEL_UINT ? order_int_uint(a->i, b->u) : order((double)a->i, b->d);
	if (a->kind == CEL_UINT)
		return b->kind == CEL_INT ? -order_int_uint(b->i, a->u) :
		       b->kind == CEL_UINT ? (a->u < b->u ? -1 : a->u > b->u) : order((double)a->u, b->d);
	return b->kind == CEL_INT ? order(a->d, (double)b->i) :
	       b->kind == CEL_UINT ? order(a->d, (double)b->u) : order(a->d, b->d);
}

static bool
is_number(const struct cel_value *v)
{
	return v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_DOUBLE;
}

static int
compare_bytes(struct am_slice a, struct am_slice b)
{
	int c = memcmp(a.p, b.p, AM_MIN(a.n, b.n));

	return c != 0 ? (c < 0 ? -1 : 1) : a.n < b.n ? -1 : a.n > b.n;
}

int
cel_compare(const struct cel_value *a, const struct cel_value *b)
{
	if (is_number(a) && is_number(b))
		return compare_numbers(a, b);
	if (a->kind != b->kind)
		return -2;
	switch (a->kind) {
	case CEL_STRING:
	case CEL_BYTES:
		return compare_bytes(a->s, b->s);
	case CEL_BOOL:
		return (int)a->b - (int)b->b;
	case CEL_DURATION:
		return a->i < b->i ? -1 : a->i > b->i;
	case CEL_TIMESTAMP:
		return a->i != b->i ? (a->i < b->i ? -1 : 1) : a->nsec < b->nsec ? -1 : a->nsec > b->nsec;
	default:
		return -2;
	}
}

/* Each of a list of type set is in the other, in any order; of type map: the one with the same keys is equal. */
static const struct cel_value *
counterpart(const struct cel_list *in, const struct cel_value *of, const struct am_schema *schema)
{
	for (size_t i = 0; i < in->n; i++) {
		const struct cel_value *v = &in->items[i];
		bool same = true;

		if (schema->list_type == AM_LIST_SET)
			same = cel_compare(v, of) == 0;
		else if (v->kind != CEL_OBJECT || of->kind != CEL_OBJECT)
			return NULL;
		for (size_t k = 0; same && schema->list_type == AM_LIST_MAP && k < schema->n_map_keys; k++) {
			const struct am_node *x = am_node_get(v->object->node, schema->map_keys[k]);
			const struct am_node *y = am_node_get(of->object->node, schema->map_keys[k]);

			same = x != NULL && y != NULL ? am_node_equal(x, y) : x == y;
		}
		if (same)
			return v;
	}
	return NULL;
}

static int
equal_lists(struct cel_run *run, const struct cel_list *a, const struct cel_list *b)
{
	bool ordered = a->schema == NULL || a->schema->list_type == AM_LIST_ATOMIC;

	if (a->n != b->n)
		return 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct cel_value *other = &b->items[i];

		if (!ordered) {
			/* Searching is work that Kubernetes does not count: it is counted here, so that it is bounded. */
			if (!cel_charge(run, b->n / 64))
				return -1;
			other = counterpart(b, &a->items[i], a->schema);
		}
		int same = other == NULL ? 0 : cel_equal(run, &a->items[i], other);
		if (same != 1)
			return same;
	}
	return 1;
}

static int
equal_maps(struct cel_run *run, const struct cel_map *a, const struct cel_map *b)
{
	if (a->n != b->n)
		return 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct cel_entry *other = cel_map_find(b, &a->entries[i].key);
		int same = other == NULL ? 0 : cel_equal(run, &a->entries[i].value, &other->value);

		if (same != 1)
			return same;
	}
	return 1;
}

static const struct am_schema *
member_schema(const struct cel_object *object, const char *key)
{
	const char *field;

	if (object->root && (strcmp(key, "metadata") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "apiVersion") == 0))
		return cel_field(object->schema, true, key, &field);
	return object->schema != NULL ? am_schema_property_of(object->schema, key) : NULL;
}

/* Members that the schema knows compare as what it says; others as JSON. */
static int
equal_objects(struct cel_run *run, const struct cel_object *a, const struct cel_object *b)
{
	if (a->node->type != AMBIENT_T_OBJECT || b->node->type != AMBIENT_T_OBJECT || a->schema == NULL || b->schema == NULL)
		return am_node_equal(a->node, b->node);
	if (a->node->count != b->node->count)
		return 0;
	if (!cel_charge(run, a->node->count / 64))
		return -1;
	for (const struct am_node *m = a->node->first; m != NULL; m = m->next) {
		const struct am_node *other = am_node_get(b->node, m->key);
		const struct am_schema *sa = member_schema(a, m->key), *sb = member_schema(b, m->key);
		int same;

		if (other == NULL)
			return 0;
		if (sa == NULL || sb == NULL) {
			same = am_node_equal(m, other);
		} else {
			struct cel_value x = cel_from_node(run, m, sa, sa->embedded), y = cel_from_node(run, other, sb, sb->embedded);
			same = cel_equal(run, &x, &y);
		}
		if (same != 1)
			return same;
	}
	return 1;
}

static int
equal_net(const struct cel_net *a, const struct cel_net *b)
{
	return a->family == b->family && a->prefix == b->prefix && memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

int
cel_equal(struct cel_run *run, const struct cel_value *a, const struct cel_value *b)
{
	if (run->exceeded || !cel_charge(run, 0))
		return -1;
	if (is_number(a) && is_number(b))
		return compare_numbers(a, b) == 0;
	if (a->kind != b->kind)
		return 0;
	switch (a->kind) {
	case CEL_NULL:
		return 1;
	case CEL_LIST:
		return equal_lists(run, a->list, b->list);
	case CEL_MAP:
		return equal_maps(run, a->map, b->map);
	case CEL_OBJECT:
		return equal_objects(run, a->object, b->object);
	case CEL_TYPE:
		return a->type->kind == b->type->kind;
	case CEL_OPTIONAL:
		if (a->optional == NULL || b->optional == NULL)
			return a->optional == b->optional;
		return cel_equal(run, a->optional, b->optional);
	case CEL_QUANTITY:
		return *a->quantity == *b->quantity;
	case CEL_IP:
	case CEL_CIDR:
		return equal_net(a->net, b->net);
	case CEL_URL:
		return compare_bytes(a->url->text, b->url->text) == 0;
	case CEL_FORMAT:
		return a->format == b->format;
	case CEL_SEMVER:
		return cel_semver_order(a->semver, b->semver) == 0;
	default:
		return cel_compare(a, b) == 0;
	}
}

bool
cel_same_elements(const struct cel_list *list)
{
	for (size_t i = 1; i < list->n; i++)
		if (list->items[i].kind != list->items[0].kind)
			return false;
	return true;
}

/* ---- printing, as the tests write values ---- */

static void
print_list(const struct cel_list *list, struct am_buf *out)
{
	am_buf_addc(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		am_buf_adds(out, i > 0 ? ", " : "");
		cel_print(&list->items[i], out);
	}
	am_buf_addc(out, ']');
}

static void
print_map(const struct cel_map *map, struct am_buf *out)
{
	am_buf_addc(out, '{');
	for (size_t i = 0; i < map->n; i++) {
		am_buf_adds(out, i > 0 ? ", " : "");
		cel_print(&map->entries[i].key, out);
		am_buf_adds(out, ": ");
		cel_print(&map->entries[i].value, out);
	}
	am_buf_addc(out, '}');
}

static void
print_optional(const struct cel_value *inner, struct am_buf *out)
{
	if (inner == NULL) {
		am_buf_adds(out, "none");
		return;
	}
	am_buf_adds(out, "optional(");
	cel_print(inner, out);
	am_buf_addc(out, ')');
}

static void
print_double(double d, struct am_buf *out)
{
	size_t mark = out->len;

	cel_double_print(d, out);
	if (!out->failed && strpbrk(out->data + mark, ".eIN") == NULL)
		am_buf_adds(out, ".0");
}

static void
print_bytes(struct am_slice bytes, struct am_buf *out)
{
	am_buf_adds(out, "bytes(");
	for (size_t i = 0; i < bytes.n; i++)
		am_buf_addf(out, "%02x", (unsigned char)bytes.p[i]);
	am_buf_addc(out, ')');
}

void
cel_print(const struct cel_value *v, struct am_buf *out)
{
	switch (v->kind) {
	case CEL_ERROR:
		am_buf_addf(out, "error: %.*s", (int)v->s.n, v->s.p);
		break;
	case CEL_NULL:
		am_buf_adds(out, "null");
		break;
	case CEL_BOOL:
		am_buf_adds(out, v->b ? "true" : "false");
		break;
	case CEL_INT:
		am_buf_addf(out, "%lld", (long long)v->i);
		break;
	case CEL_UINT:
		am_buf_addf(out, "%lluu", (unsigned long long)v->u);
		break;
	case CEL_DOUBLE:
		print_double(v->d, out);
		break;
	case CEL_STRING:
		am_json_add_strn(out, v->s.p, v->s.n);
		break;
	case CEL_BYTES:
		print_bytes(v->s, out);
		break;
	case CEL_TIMESTAMP:
		am_buf_adds(out, "timestamp(");
		cel_time_print(v, out);
		am_buf_addc(out, ')');
		break;
	case CEL_DURATION:
		am_buf_addf(out, "duration(%lldns)", (long long)v->i);
		break;
	case CEL_LIST:
		print_list(v->list, out);
		break;
	case CEL_MAP:
		print_map(v->map, out);
		break;
	case CEL_OPTIONAL:
		print_optional(v->optional, out);
		break;
	case CEL_TYPE:
		am_buf_addf(out, "type(%s)", cel_kind_name(v->type->kind));
		break;
	case CEL_OBJECT:
		am_node_print(v->object->node, out);
		break;
	default:
		am_buf_addf(out, "<%s>", cel_kind_name(v->kind));
	}
}
