/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the wrong type in a builtin kind: a string for a number, a list for an object, a quantity or time that is none.
 * They are the caller's mistake, 400, before any rule looks at the object; the shapes are those of the protobuf tables.
 * null is every type's nothing.  The first value that is wrong is named.  A quantity becomes the text that Go writes for it,
 * whatever it was written as: 1 is "1", "1024Mi" is "1Gi".
 */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/proto.h"
#include "plugins/standalone/apiserver/quantity.h"

#define DEEPEST 24
#define PATH    512

struct walk {
	struct am_arena *arena;
	bool resources;            /* in a map of quantities */
	char path[PATH];
	const char *wanted;        /* not NULL: what the value at path should have been */
	const struct am_node *got;
};

static bool check_message(struct walk *w, const struct rest_proto_message *message, struct am_node *node, int depth);

/* ---- one value */

/* A number as Go reads it into that many bits: no fraction, no exponent. */
static bool
is_integer(const struct am_node *node, int64_t least, int64_t most)
{
	int64_t i;

	return node->type == AMBIENT_T_NUMBER && node->text[strcspn(node->text, ".eE")] == '\0' &&
	       am_parse_i64(node->text, &i) == 0 && i >= least && i <= most;
}

static bool
is_string(const struct am_node *node)
{
	return node->type == AMBIENT_T_STRING;
}

static bool
is_bool(const struct am_node *node)
{
	return node->type == AMBIENT_T_BOOL;
}

static bool
is_int32(const struct am_node *node)
{
	return is_integer(node, INT32_MIN, INT32_MAX);
}

static bool
is_int64(const struct am_node *node)
{
	return is_integer(node, INT64_MIN, INT64_MAX);
}

static bool
is_number(const struct am_node *node)
{
	return node->type == AMBIENT_T_NUMBER;
}

static bool
is_quantity(const struct am_node *node)
{
	struct am_quantity q;

	return am_quantity_of(node, &q);
}

static bool
is_int_or_string(const struct am_node *node)
{
	return is_string(node) || is_int32(node);
}

static bool
is_time(const struct am_node *node)
{
	int64_t at;

	return is_string(node) && am_time_parse(node->text, &at) == 0;
}

/* To the microsecond, neither more nor less. */
static bool
is_micro_time(const struct am_node *node)
{
	const char *dot = is_time(node) ? strchr(node->text, '.') : NULL;

	return dot != NULL && strspn(dot + 1, "0123456789") == 6;
}

static bool
is_object(const struct am_node *node)
{
	return node->type == AMBIENT_T_OBJECT;
}

/* Types that are no messages.  bytes are read by the rules of the two kinds that have them; what is not here is JSON. */
static const struct {
	const char *type, *wanted;
	bool (*is)(const struct am_node *node);
} scalars[] = {
	{ "s", "a string", is_string },
	{ "B", "true or false", is_bool },
	{ "i", "a whole number of 32 bits", is_int32 },
	{ "I", "a whole number of 64 bits", is_int64 },
	{ "d", "a number", is_number },
	{ "q.Quantity", "a quantity", is_quantity },
	{ "q.IntOrString", "a string or a whole number of 32 bits", is_int_or_string },
	{ "m.Time", "a time as in RFC 3339", is_time },
	{ "m.MicroTime", "a time as in RFC 3339, to the microsecond", is_micro_time },
	{ "m.FieldsV1", "an object", is_object },
};

static bool
wrong(struct walk *w, const struct am_node *got, const char *wanted)
{
	w->wanted = wanted;
	w->got = got;
	return false;
}

static void
make_canonical(struct walk *w, struct am_node *node)
{
	struct am_quantity q;
	char text[AM_QUANTITY_TEXT], *copy;

	if (!am_quantity_of(node, &q))
		return;
	if (w->resources)
		am_quantity_to_milli(&q);
	if (is_string(node) && strcmp(node->text, am_quantity_print(&q, text)) == 0)
		return;
	copy = am_arena_strdup(w->arena, am_quantity_print(&q, text));
	if (copy == NULL)
		return;
	node->type = AMBIENT_T_STRING;
	node->text = copy;
	node->len = strlen(copy);
}

static bool
check_value(struct walk *w, const char *type, struct am_node *node, int depth)
{
	const struct rest_proto_message *message = rest_proto_find(type);

	if (node->type == AMBIENT_T_NULL)
		return true;
	if (message != NULL)
		return node->type == AMBIENT_T_OBJECT ? check_message(w, message, node, depth + 1) : wrong(w, node, "an object");
	for (size_t i = 0; i < AM_COUNTOF(scalars); i++) {
		if (strcmp(scalars[i].type, type) != 0)
			continue;
		if (!scalars[i].is(node))
			return wrong(w, node, scalars[i].wanted);
		if (scalars[i].is == is_quantity)
			make_canonical(w, node);
	}
	return true;
}

/* ---- fields */

static bool
check_list(struct walk *w, const char *type, struct am_node *list, int depth)
{
	size_t length = strlen(w->path);
	int i = 0;

	if (list->type == AMBIENT_T_NULL)
		return true;
	if (list->type != AMBIENT_T_ARRAY)
		return wrong(w, list, "a list");
	for (struct am_node *e = list->first; e != NULL; e = e->next) {
		(void)snprintf(w->path + length, PATH - length, "[%d]", i++);
		if (!check_value(w, type, e, depth))
			return false;
	}
	w->path[length] = '\0';
	return true;
}

static bool
check_map(struct walk *w, const struct rest_proto_field *field, struct am_node *map, int depth)
{
	size_t length = strlen(w->path);

	if (map->type == AMBIENT_T_NULL)
		return true;
	if (map->type != AMBIENT_T_OBJECT)
		return wrong(w, map, "an object");
	w->resources = strcmp(field->type, "q.Quantity") == 0;
	for (struct am_node *m = map->first; m != NULL; m = m->next) {
		(void)snprintf(w->path + length, PATH - length, "[%.100s]", m->key);
		if (!(field->wrapped_list ? check_list(w, field->type, m, depth) : check_value(w, field->type, m, depth)))
			return false;
	}
	w->resources = false;
	w->path[length] = '\0';
	return true;
}

static bool
check_message(struct walk *w, const struct rest_proto_message *message, struct am_node *node, int depth)
{
	size_t length = strlen(w->path);

	if (depth > DEEPEST)
		return true;
	for (struct am_node *m = node->first; m != NULL; m = m->next) {
		const struct rest_proto_message *owner;
		struct rest_proto_field f;

		if (!rest_proto_field_of(message, m->key, &owner, &f))
			continue; /* unknown.c's */
		(void)snprintf(w->path + length, PATH - length, "%s%.100s", length > 0 ? "." : "", m->key);
		if (!(f.map ? check_map(w, &f, m, depth) : f.repeated || f.wrapped_list ? check_list(w, f.type, m, depth)
		      : check_value(w, f.type, m, depth)))
			return false;
		w->path[length] = '\0';
	}
	return true;
}

int
am_builtin_types(struct am_arena *arena, const char *api_version, const char *kind, struct am_node *object, bool patched,
		 struct am_failure *failure)
{
	static const char *const names[] = {
		[AMBIENT_T_BOOL] = "true or false", [AMBIENT_T_NUMBER] = "the number ", [AMBIENT_T_STRING] = "the string ",
		[AMBIENT_T_ARRAY] = "a list", [AMBIENT_T_OBJECT] = "an object",
	};
	const struct rest_proto_message *message = rest_proto_of_kind(api_version, kind);
	struct walk w = { .arena = arena };
	char text[96] = "";

	if (message == NULL || strcmp(kind, "CustomResourceDefinition") == 0 || check_message(&w, message, object, 0))
		return 0;
	if (w.got->type == AMBIENT_T_STRING)
		(void)snprintf(text, sizeof(text), "\"%.60s\"", w.got->text);
	else if (w.got->type == AMBIENT_T_NUMBER)
		(void)snprintf(text, sizeof(text), "%.60s", w.got->text);
	if (!patched)
		return am_fail(failure, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: %s should be %s, not %s%s",
			       kind, api_version, kind, w.path, w.wanted, names[w.got->type], text);
	am_failure_cause(failure, "FieldValueInvalid", "patch", "Invalid value: %s would be %s%s, not %s", w.path,
			 names[w.got->type], text, w.wanted);
	return am_fail_invalid(failure, "", "", "");
}
