/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document of OpenAPI v2 in the protobuf form that older kubectl asks for.  The JSON is our own, so that only its
 * shape is looked at here: per message a table says which member is which field.  What a table does not name is
 * left out, members that start with x- become vendor extensions, whose values travel as YAML, which JSON is.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/openapi_priv.h"

enum form {
	TEXT,     /* string */
	TEXTS,    /* repeated string */
	INTEGER,
	REAL,
	BOOLEAN,
	ANY,      /* {2: yaml} */
	ANYS,     /* repeated of it */
	MESSAGE,
	MESSAGES, /* an array of them */
	NAMED,    /* {wrap: {1: name, 2: message}} for every member */
	TYPES,    /* {1: string} for a string or an array of strings */
	ITEMS,    /* {1: message} */
	EXTRA,    /* {1: message} or {2: bool} */
	PARAMETERS,
};

struct rule {
	const char *member;
	unsigned number;
	enum form form;
	const struct message *message;
};

struct message {
	const struct rule *rules; /* ended by one without a name */
	unsigned extensions;      /* 0: none */
};

static const struct message schema;
static const struct rule schema_rules[] = {
	{ "$ref", 1, TEXT, NULL }, { "format", 2, TEXT, NULL }, { "title", 3, TEXT, NULL }, { "description", 4, TEXT, NULL },
	{ "default", 5, ANY, NULL }, { "multipleOf", 6, REAL, NULL }, { "maximum", 7, REAL, NULL },
	{ "exclusiveMaximum", 8, BOOLEAN, NULL }, { "minimum", 9, REAL, NULL }, { "exclusiveMinimum", 10, BOOLEAN, NULL },
	{ "maxLength", 11, INTEGER, NULL }, { "minLength", 12, INTEGER, NULL }, { "pattern", 13, TEXT, NULL },
	{ "maxItems", 14, INTEGER, NULL }, { "minItems", 15, INTEGER, NULL }, { "uniqueItems", 16, BOOLEAN, NULL },
	{ "maxProperties", 17, INTEGER, NULL }, { "minProperties", 18, INTEGER, NULL }, { "required", 19, TEXTS, NULL },
	{ "enum", 20, ANYS, NULL }, { "additionalProperties", 21, EXTRA, &schema }, { "type", 22, TYPES, NULL },
	{ "items", 23, ITEMS, &schema }, { "allOf", 24, MESSAGES, &schema }, { "properties", 25, NAMED, &schema },
	{ "readOnly", 27, BOOLEAN, NULL }, { "example", 30, ANY, NULL }, { NULL, 0, TEXT, NULL },
};
static const struct message schema = { schema_rules, 31 };

static const struct rule schema_item_rules[] = { { "", 1, MESSAGE, &schema }, { NULL, 0, TEXT, NULL } };
static const struct message schema_item = { schema_item_rules, 0 };

static const struct rule response_rules[] = { { "description", 1, TEXT, NULL }, { "schema", 2, MESSAGE, &schema_item },
					      { NULL, 0, TEXT, NULL } };
static const struct message response = { response_rules, 5 };
static const struct rule response_value_rules[] = { { "", 1, MESSAGE, &response }, { NULL, 0, TEXT, NULL } };
static const struct message response_value = { response_value_rules, 0 };

static const struct rule query_rules[] = { { "in", 2, TEXT, NULL }, { "description", 3, TEXT, NULL },
					   { "name", 4, TEXT, NULL }, { "type", 6, TEXT, NULL }, { NULL, 0, TEXT, NULL } };
static const struct message query = { query_rules, 23 };
static const struct rule path_parameter_rules[] = { { "required", 1, BOOLEAN, NULL }, { "in", 2, TEXT, NULL },
						    { "description", 3, TEXT, NULL }, { "name", 4, TEXT, NULL },
						    { "type", 5, TEXT, NULL }, { NULL, 0, TEXT, NULL } };
static const struct message path_parameter = { path_parameter_rules, 22 };
static const struct rule body_rules[] = { { "name", 2, TEXT, NULL }, { "in", 3, TEXT, NULL },
					  { "schema", 5, MESSAGE, &schema }, { NULL, 0, TEXT, NULL } };
static const struct message body_parameter = { body_rules, 6 };

static const struct rule operation_rules[] = {
	{ "description", 3, TEXT, NULL }, { "operationId", 5, TEXT, NULL }, { "produces", 6, TEXTS, NULL },
	{ "consumes", 7, TEXTS, NULL }, { "parameters", 8, PARAMETERS, NULL }, { "responses", 9, NAMED, &response_value },
	{ NULL, 0, TEXT, NULL },
};
static const struct message operation = { operation_rules, 13 };

static const struct rule path_rules[] = {
	{ "get", 2, MESSAGE, &operation }, { "put", 3, MESSAGE, &operation }, { "post", 4, MESSAGE, &operation },
	{ "delete", 5, MESSAGE, &operation }, { "patch", 8, MESSAGE, &operation }, { "parameters", 9, PARAMETERS, NULL },
	{ NULL, 0, TEXT, NULL },
};
static const struct message path_item = { path_rules, 10 };

static const struct rule info_rules[] = { { "title", 1, TEXT, NULL }, { "version", 2, TEXT, NULL },
					  { NULL, 0, TEXT, NULL } };
static const struct message info = { info_rules, 7 };

static const struct rule document_rules[] = {
	{ "swagger", 1, TEXT, NULL }, { "info", 2, MESSAGE, &info }, { "paths", 8, NAMED, &path_item },
	{ "definitions", 9, NAMED, &schema }, { NULL, 0, TEXT, NULL },
};
static const struct message document_message = { document_rules, 16 };

/* ---- the wire */

static void
add_varint(struct am_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		am_buf_addc(out, (char)(v | 0x80));
	am_buf_addc(out, (char)v);
}

static void
add_tag(struct am_buf *out, unsigned number, unsigned wire)
{
	add_varint(out, (uint64_t)number << 3 | wire);
}

static void
add_bytes(struct am_buf *out, unsigned number, const char *p, size_t n)
{
	add_tag(out, number, 2);
	add_varint(out, n);
	am_buf_add(out, p, n);
}

static void
add_buf(struct am_buf *out, unsigned number, struct am_buf *part)
{
	add_bytes(out, number, am_buf_str(part), part->len);
	am_buf_fini(part);
}

static void
add_text(struct am_buf *out, unsigned number, struct am_slice v)
{
	struct am_buf text = { 0 };

	am_json_unescape(v, &text);
	add_buf(out, number, &text);
}

static void
add_boolean(struct am_buf *out, unsigned number, struct am_slice v)
{
	add_tag(out, number, 0);
	add_varint(out, am_slice_eq(v, "true") ? 1 : 0);
}

static void
add_any(struct am_buf *out, unsigned number, struct am_slice v)
{
	struct am_buf any = { 0 }, yaml = { 0 };

	am_buf_add(&yaml, v.p, v.n);
	am_buf_addc(&yaml, '\n');
	add_buf(&any, 2, &yaml);
	add_buf(out, number, &any);
}

/* ---- messages */

static void add_members(struct am_buf *out, const struct message *m, struct am_slice v);

static void
add_message(struct am_buf *out, unsigned number, const struct message *m, struct am_slice v)
{
	struct am_buf part = { 0 };

	/* A message of one rule without a name is wrapped around the value itself. */
	if (*m->rules[0].member == '\0')
		add_message(&part, m->rules[0].number, m->rules[0].message, v);
	else
		add_members(&part, m, v);
	add_buf(out, number, &part);
}

static void
add_named(struct am_buf *out, const struct rule *rule, struct am_slice v)
{
	/* Paths keep their extensions first. */
	unsigned wrap = rule->message == &path_item ? 2 : 1;
	struct am_buf all = { 0 };
	struct am_slice key, value;

	for (size_t it = 0; am_json_member(v, &it, &key, &value);) {
		struct am_buf one = { 0 };

		add_text(&one, 1, am_slice(key.p - 1, key.n + 2));
		add_message(&one, 2, rule->message, value);
		add_buf(&all, wrap, &one);
	}
	add_buf(out, rule->number, &all);
}

/* {1: {2: {3: query}}}, with 4 for a path's, {1: {1: body}} for the body. */
static void
add_parameters(struct am_buf *out, unsigned number, struct am_slice array)
{
	struct am_slice v, in;

	for (size_t it = 0; am_json_element(array, &it, &v);) {
		struct am_buf parameter = { 0 }, kind = { 0 }, item = { 0 };

		if (!am_json_find(v, "/in", &in))
			continue;
		if (am_json_str_eq(in, "body")) {
			add_message(&parameter, 1, &body_parameter, v);
		} else {
			bool in_path = am_json_str_eq(in, "path");

			add_message(&kind, in_path ? 4 : 3, in_path ? &path_parameter : &query, v);
			add_buf(&parameter, 2, &kind);
		}
		add_buf(&item, 1, &parameter);
		add_buf(out, number, &item);
	}
}

static void
add_each(struct am_buf *out, const struct rule *rule, struct am_slice array)
{
	struct am_slice v;

	for (size_t it = 0; am_json_element(array, &it, &v);) {
		if (rule->form == TEXTS)
			add_text(out, rule->number, v);
		else if (rule->form == ANYS)
			add_any(out, rule->number, v);
		else
			add_message(out, rule->number, rule->message, v);
	}
}

static void
add_types(struct am_buf *out, unsigned number, struct am_slice v)
{
	static const struct rule each = { "", 1, TEXTS, NULL };
	struct am_buf types = { 0 };

	if (am_json_type(v) == AMBIENT_T_STRING)
		add_text(&types, 1, v);
	else
		add_each(&types, &each, v);
	add_buf(out, number, &types);
}

static void
add_member(struct am_buf *out, const struct rule *rule, struct am_slice v)
{
	bool array = am_json_type(v) == AMBIENT_T_ARRAY, object = am_json_type(v) == AMBIENT_T_OBJECT;
	struct am_buf part = { 0 };
	double real;

	switch (rule->form) {
	case TEXT:
		add_text(out, rule->number, v);
		break;
	case INTEGER:
		add_tag(out, rule->number, 0);
		add_varint(out, (uint64_t)am_json_int(v, "", 0));
		break;
	case REAL:
		real = strtod(v.p, NULL); /* ends at what follows the number in the document */
		add_tag(out, rule->number, 1);
		am_buf_add(out, &real, sizeof(real));
		break;
	case BOOLEAN:
		add_boolean(out, rule->number, v);
		break;
	case ANY:
		add_any(out, rule->number, v);
		break;
	case TEXTS:
	case ANYS:
	case MESSAGES:
		if (array)
			add_each(out, rule, v);
		break;
	case MESSAGE:
		add_message(out, rule->number, rule->message, v);
		break;
	case NAMED:
		add_named(out, rule, v);
		break;
	case TYPES:
		add_types(out, rule->number, v);
		break;
	case ITEMS:
	case EXTRA:
		if (object)
			add_message(&part, 1, rule->message, v);
		else if (rule->form == EXTRA)
			add_boolean(&part, 2, v);
		add_buf(out, rule->number, &part);
		break;
	case PARAMETERS:
		add_parameters(out, rule->number, v);
		break;
	}
}

static void
add_members(struct am_buf *out, const struct message *m, struct am_slice v)
{
	struct am_slice key, value;

	if (am_json_type(v) != AMBIENT_T_OBJECT)
		return;
	for (size_t it = 0; am_json_member(v, &it, &key, &value);) {
		if (m->extensions != 0 && key.n > 2 && memcmp(key.p, "x-", 2) == 0) {
			struct am_buf named = { 0 };

			add_text(&named, 1, am_slice(key.p - 1, key.n + 2));
			add_any(&named, 2, value);
			add_buf(out, m->extensions, &named);
			continue;
		}
		for (const struct rule *r = m->rules; r->member != NULL; r++)
			if (am_slice_eq(key, r->member)) {
				add_member(out, r, value);
				break;
			}
	}
}

void
openapi_to_proto(struct am_slice document, struct am_buf *out)
{
	add_members(out, &document_message, document);
}
