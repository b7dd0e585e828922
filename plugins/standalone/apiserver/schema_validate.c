/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Validation of a value against a compiled schema, with Kubernetes' messages and field paths.  The work is bounded:
 * the schema's depth, the value's depth, pcre2's match limits, and a count of steps for junctors.
 */
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine.h"
#include "core/base/map.h"
#include "plugins/standalone/apiserver/schema_priv.h"

#define MAX_STEPS 2000000

struct checker {
	struct am_failure *failure;
	struct am_buf path;
	long steps;
	struct am_matcher matcher;
};

const char *
am_schema_path(const struct am_buf *path)
{
	return path->len > 0 ? am_buf_str(path) : "<nil>";
}

static void check(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old);

static const char *
type_name(const struct am_node *node)
{
	int64_t i;

	switch (node->type) {
	case AMBIENT_T_OBJECT:
		return "object";
	case AMBIENT_T_ARRAY:
		return "array";
	case AMBIENT_T_STRING:
		return "string";
	case AMBIENT_T_BOOL:
		return "boolean";
	case AMBIENT_T_NUMBER:
		return am_node_is_int(node, &i) ? "integer" : "number";
	default:
		return "null";
	}
}

/* "Invalid value: <value>: <path> in body <text>". */
static void
invalid(struct checker *c, const struct am_node *node, const char *fmt, const char *arg)
{
	struct am_buf value = { .max = 1024 };
	char text[512];

	if (node->type == AMBIENT_T_OBJECT || node->type == AMBIENT_T_ARRAY)
		am_buf_addf(&value, "\"%s\"", type_name(node));
	else
		am_node_print(node, &value);
	snprintf(text, sizeof(text), "%s%s", fmt, arg);
	am_failure_cause(c->failure, "FieldValueInvalid", am_schema_path(&c->path), "Invalid value: %s: %s in body %s",
			 value.failed ? "\"...\"" : am_buf_str(&value), am_schema_path(&c->path), text);
	am_buf_fini(&value);
}

static void
invalid_type(struct checker *c, const struct am_node *node, const char *expected, const char *shown)
{
	am_failure_cause(c->failure, "FieldValueTypeInvalid", am_schema_path(&c->path),
			 "Invalid value: \"%.200s\": %s in body must be of type %s: \"%.200s\"", shown, am_schema_path(&c->path), expected,
			 shown);
}

/* ---- scalars ---- */

static bool
type_matches(const struct am_schema *s, const struct am_node *node)
{
	int64_t i;

	switch (s->type) {
	case AM_SCHEMA_OBJECT:
		return node->type == AMBIENT_T_OBJECT;
	case AM_SCHEMA_ARRAY:
		return node->type == AMBIENT_T_ARRAY;
	case AM_SCHEMA_STRING:
		return node->type == AMBIENT_T_STRING;
	case AM_SCHEMA_BOOLEAN:
		return node->type == AMBIENT_T_BOOL;
	case AM_SCHEMA_NUMBER:
		return node->type == AMBIENT_T_NUMBER;
	case AM_SCHEMA_INTEGER:
		return am_node_is_int(node, &i) || (node->type == AMBIENT_T_NUMBER &&
						    strcspn(node->text, ".eE") == node->len);
	default:
		return !s->int_or_string || node->type == AMBIENT_T_STRING || am_node_is_int(node, &i);
	}
}

static bool
check_type(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	if (node->type == AMBIENT_T_NULL && s->nullable)
		return true;
	if (node->type == AMBIENT_T_NULL && s->type == AM_SCHEMA_ANY && !s->int_or_string)
		return true;
	if (type_matches(s, node))
		return true;
	invalid_type(c, node, s->int_or_string ? "integer,string" : am_schema_type_names[s->type], type_name(node));
	return false;
}

static void
check_enum(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	struct am_buf text = { .max = 4096 };

	if (s->enums == NULL)
		return;
	for (const struct am_node *e = s->enums->first; e != NULL; e = e->next)
		if (am_node_equal(e, node))
			return;
	am_buf_adds(&text, "Unsupported value: ");
	am_node_print(node, &text);
	am_buf_adds(&text, ": supported values: ");
	for (const struct am_node *e = s->enums->first; e != NULL; e = e->next) {
		if (e != s->enums->first)
			am_buf_adds(&text, ", ");
		am_node_print(e, &text);
	}
	am_failure_cause(c->failure, "FieldValueNotSupported", am_schema_path(&c->path), "%s",
			 text.failed ? "Unsupported value" : am_buf_str(&text));
	am_buf_fini(&text);
}

static size_t
characters(const struct am_node *node)
{
	size_t n = 0;

	for (size_t i = 0; i < node->len; i++)
		n += ((unsigned char)node->text[i] & 0xc0) != 0x80;
	return n;
}

static void
check_pattern(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	int rc = s->code != NULL ? am_pattern_find(&c->matcher, s->code, node->text, node->len, 0, NULL) : 1;

	if (rc > 0)
		return;
	char *quoted = am_xasprintf("'%s'", s->pattern);
	invalid(c, node, rc < 0 ? "takes too many steps to match " : "should match ", quoted);
	free(quoted);
}

static void
check_string(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	char text[96];

	if (s->max_length >= 0 && characters(node) > (size_t)s->max_length)
		am_failure_cause(c->failure, "FieldValueTooLong", am_schema_path(&c->path), "Too long: may not be more than %lld bytes",
				 (long long)s->max_length);
	if (s->min_length > 0 && characters(node) < (size_t)s->min_length) {
		snprintf(text, sizeof(text), "should be at least %lld chars long", (long long)s->min_length);
		invalid(c, node, text, "");
	}
	check_pattern(c, s, node);
	if (s->format != NULL && *s->format != '\0' && !am_format_ok(s->format, node->text, node->len))
		invalid_type(c, node, s->format, node->text);
}

static bool
integer_fits(const struct am_schema *s, const struct am_node *node)
{
	int64_t i;

	if (s->format == NULL || s->type != AM_SCHEMA_INTEGER)
		return true;
	if (strcmp(s->format, "int32") == 0)
		return am_node_is_int(node, &i) && i >= INT32_MIN && i <= INT32_MAX;
	return strcmp(s->format, "int64") != 0 || am_node_is_int(node, &i);
}

static void
check_number(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	double value = strtod(node->text, NULL);

	if (!integer_fits(s, node))
		invalid_type(c, node, s->format, node->text);
	if (s->has_max && (value > s->max || (s->exclusive_max && value >= s->max)))
		invalid(c, node, s->exclusive_max ? "should be less than " : "should be less than or equal to ", s->max_text);
	if (s->has_min && (value < s->min || (s->exclusive_min && value <= s->min)))
		invalid(c, node, s->exclusive_min ? "should be greater than " : "should be greater than or equal to ",
			s->min_text);
	if (s->has_multiple && fabs(value / s->multiple - round(value / s->multiple)) > 1e-9) {
		char text[64];
		snprintf(text, sizeof(text), "should be a multiple of %g", s->multiple);
		invalid(c, node, text, "");
	}
}

/* ---- containers ---- */

static void
check_counts(struct checker *c, const struct am_node *node, int64_t min, int64_t max, const char *what)
{
	if (max >= 0 && node->count > (uint64_t)max)
		am_failure_cause(c->failure, "FieldValueTooMany", am_schema_path(&c->path), "Too many: %u: must have at most %lld items",
				 node->count, (long long)max);
	if (min > 0 && node->count < (uint64_t)min)
		am_failure_cause(c->failure, "FieldValueInvalid", am_schema_path(&c->path),
				 "Invalid value: %u: %s in body should have at least %lld %s", node->count, am_schema_path(&c->path),
				 (long long)min, what);
}

static void
check_object(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old)
{
	size_t mark = c->path.len;

	check_counts(c, node, s->min_properties, s->max_properties, "properties");
	for (size_t i = 0; i < s->n_required; i++) {
		if (am_node_get(node, s->required[i]) != NULL)
			continue;
		am_buf_addf(&c->path, "%s%s", mark > 0 ? "." : "", s->required[i]);
		am_failure_cause(c->failure, "FieldValueRequired", am_schema_path(&c->path), "Required value");
		am_buf_cut(&c->path, mark);
	}
	for (const struct am_node *m = node->first; m != NULL; m = m->next) {
		const struct am_schema *property = am_schema_property_of(s, m->key);
		if (property == NULL)
			property = s->additional;
		if (property == NULL)
			continue;
		am_buf_addf(&c->path, "%s%s", mark > 0 ? "." : "", m->key);
		check(c, property, m, am_node_get(old, m->key));
		am_buf_cut(&c->path, mark);
	}
}

/* The identity of an element of a list of type map: its keys as an object's text. */
static void
print_identity(const struct am_schema *s, const struct am_node *element, struct am_buf *out)
{
	if (s->list_type == AM_LIST_SET) {
		am_node_print(element, out);
		return;
	}
	am_buf_addc(out, '{');
	for (size_t k = 0; k < s->n_map_keys; k++) {
		const struct am_node *value = am_node_get(element, s->map_keys[k]);
		if (k > 0)
			am_buf_addc(out, ',');
		am_json_add_str(out, s->map_keys[k]);
		am_buf_addc(out, ':');
		if (value != NULL)
			am_node_print(value, out);
		else
			am_buf_adds(out, "null");
	}
	am_buf_addc(out, '}');
}

static void
check_duplicates(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	struct am_map *seen = am_map_new();
	struct am_buf text = { 0 };
	size_t i = 0;

	for (const struct am_node *e = node->first; e != NULL; e = e->next, i++) {
		am_buf_reset(&text);
		print_identity(s, e, &text);
		if (am_map_getn(seen, am_buf_str(&text), text.len) != NULL) {
			size_t mark = c->path.len;
			am_buf_addf(&c->path, "[%zu]", i);
			am_failure_cause(c->failure, "FieldValueDuplicate", am_schema_path(&c->path), "Duplicate value: %.500s",
					 am_buf_str(&text));
			am_buf_cut(&c->path, mark);
		}
		am_map_putn(seen, am_buf_str(&text), text.len, seen);
	}
	am_buf_fini(&text);
	am_map_free(seen);
}

/* The elements of a list of type map by their keys; NULL: they correspond to nothing. */
static struct am_map *
by_identity(const struct am_schema *s, const struct am_node *list)
{
	struct am_buf text = { 0 };

	if (s->list_type != AM_LIST_MAP || list == NULL || list->type != AMBIENT_T_ARRAY)
		return NULL;
	struct am_map *map = am_map_new();
	for (const struct am_node *e = list->first; e != NULL; e = e->next) {
		am_buf_reset(&text);
		print_identity(s, e, &text);
		am_map_putn(map, am_buf_str(&text), text.len, (void *)(uintptr_t)e);
	}
	am_buf_fini(&text);
	return map;
}

static void
check_array(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old)
{
	size_t mark = c->path.len, i = 0;
	struct am_map *before = by_identity(s, old);
	struct am_buf text = { 0 };

	check_counts(c, node, s->min_items, s->max_items, "items");
	for (const struct am_node *e = node->first; s->items != NULL && e != NULL; e = e->next, i++) {
		const struct am_node *was = NULL;
		if (before != NULL) {
			am_buf_reset(&text);
			print_identity(s, e, &text);
			was = am_map_getn(before, am_buf_str(&text), text.len);
		}
		am_buf_addf(&c->path, "[%zu]", i);
		check(c, s->items, e, was);
		am_buf_cut(&c->path, mark);
	}
	if (s->list_type != AM_LIST_ATOMIC)
		check_duplicates(c, s, node);
	am_buf_fini(&text);
	am_map_free(before);
}

/* ---- junctors ---- */

/* Number of causes that the value has under s; they are kept when keep is set. */
static size_t
try(struct checker *c, const struct am_schema *s, const struct am_node *node, struct am_failure *keep)
{
	struct am_failure *outer = c->failure, inner = { 0 };

	c->failure = keep != NULL ? keep : &inner;
	check(c, s, node, NULL);
	size_t n = c->failure->n_causes;
	am_failure_fini(&inner);
	c->failure = outer;
	return n;
}

static void
junctor_failed(struct checker *c, const char *text)
{
	am_failure_cause(c->failure, "FieldValueInvalid", am_schema_path(&c->path), "Invalid value: \"\": \"%s\" must %s", am_schema_path(&c->path), text);
}

static void
take_causes(struct am_failure *to, struct am_failure *from)
{
	for (size_t i = 0; i < from->n_causes; i++)
		am_failure_cause(to, from->causes[i].reason, from->causes[i].field, "%s", from->causes[i].message);
}

static void
check_any_of(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	struct am_failure best = { 0 };

	for (size_t i = 0; i < s->any_of.n; i++) {
		struct am_failure mine = { 0 };
		size_t n = try(c, s->any_of.items[i], node, &mine);
		if (n == 0) {
			am_failure_fini(&best);
			return;
		}
		if (best.n_causes == 0 || n < best.n_causes) {
			am_failure_fini(&best);
			best = mine;
		} else {
			am_failure_fini(&mine);
		}
	}
	junctor_failed(c, "validate at least one schema (anyOf)");
	take_causes(c->failure, &best);
	am_failure_fini(&best);
}

static void
check_junctors(struct checker *c, const struct am_schema *s, const struct am_node *node)
{
	size_t valid = 0;

	for (size_t i = 0; i < s->all_of.n; i++)
		check(c, s->all_of.items[i], node, NULL);
	if (s->any_of.n > 0)
		check_any_of(c, s, node);
	for (size_t i = 0; i < s->one_of.n; i++)
		valid += try(c, s->one_of.items[i], node, NULL) == 0;
	if (s->one_of.n > 0 && valid == 0)
		junctor_failed(c, "validate one and only one schema (oneOf). Found none valid");
	else if (s->one_of.n > 0 && valid > 1)
		junctor_failed(c, "validate one and only one schema (oneOf). Found more than one valid");
	if (s->not_ != NULL && try(c, s->not_, node, NULL) == 0)
		junctor_failed(c, "not validate the schema (not)");
}

static void
check(struct checker *c, const struct am_schema *s, const struct am_node *node, const struct am_node *old)
{
	if (++c->steps > MAX_STEPS || (old != NULL && am_node_equal(old, node)))
		return;
	if (!check_type(c, s, node) || (node->type == AMBIENT_T_NULL && s->nullable))
		return;
	check_enum(c, s, node);
	if (node->type == AMBIENT_T_STRING)
		check_string(c, s, node);
	else if (node->type == AMBIENT_T_NUMBER)
		check_number(c, s, node);
	else if (node->type == AMBIENT_T_OBJECT)
		check_object(c, s, node, old);
	else if (node->type == AMBIENT_T_ARRAY)
		check_array(c, s, node, old);
	check_junctors(c, s, node);
}

void
am_schema_validate(const struct am_schema *schema, const struct am_node *root, const struct am_node *old,
		   struct am_failure *failure)
{
	struct checker c = { .failure = failure };

	check(&c, schema, root, old);
	if (c.steps > MAX_STEPS)
		am_failure_cause(failure, "FieldValueInvalid", "<nil>",
				 "Invalid value: the object is too large to be checked against its schema");
	am_matcher_fini(&c.matcher);
	am_buf_fini(&c.path);
	am_schema_check_embedded(schema, root, failure);
	am_schema_rules_check(schema, root, old, failure);
}
