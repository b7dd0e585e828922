/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Definitions of kinds: builtin ones from the wire table, which has every field with its type, custom ones from
 * their own schemas.  A document of one group-version has its kinds, their lists, and whatever these refer to.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/openapi_priv.h"

static const struct {
	const char *prefix, *name;
} packages[] = {
	{ "an.", "io.k8s.api.authentication.v1." },
	{ "as.", "io.k8s.api.autoscaling.v1." },
	{ "az.", "io.k8s.api.authorization.v1." },
	{ "b.", "io.k8s.api.batch.v1." },
	{ "c.", "io.k8s.api.core.v1." },
	{ "co.", "io.k8s.api.coordination.v1." },
	{ "e.", "io.k8s.api.events.v1." },
	{ "m.", "io.k8s.apimachinery.pkg.apis.meta.v1." },
	{ "n.", "io.k8s.api.networking.v1." },
	{ "r.", "io.k8s.api.rbac.v1." },
	{ "s3.", "io.k8s.api.scheduling.v1alpha3." },
	{ "x.", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1." },
};

/* Types with a JSON form of their own. */
static const struct {
	const char *type, *name, *v2, *v3;
} specials[] = {
	{ "m.Time", "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "\"type\":\"string\",\"format\":\"date-time\"", NULL },
	{ "m.MicroTime", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
	  "\"type\":\"string\",\"format\":\"date-time\"", NULL },
	{ "m.Duration", "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", "\"type\":\"string\"", NULL },
	{ "m.FieldsV1", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "\"type\":\"object\"", NULL },
	{ "q.Quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity", "\"type\":\"string\"",
	  "\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]" },
	{ "q.IntOrString", "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
	  "\"type\":\"string\",\"format\":\"int-or-string\"",
	  "\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]" },
	{ "q.RawExtension", "io.k8s.apimachinery.pkg.runtime.RawExtension", "\"type\":\"object\"", NULL },
	{ "x.JSON", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
	  "\"description\":\"Any JSON value\"", NULL },
	{ "x.JSONSchemaPropsOrArray", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
	  "\"description\":\"A schema, or a list of schemas\"", NULL },
	{ "x.JSONSchemaPropsOrBool", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
	  "\"description\":\"A schema, or a boolean\"", NULL },
	{ "x.JSONSchemaPropsOrStringArray",
	  "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
	  "\"description\":\"A schema, or a list of strings\"", NULL },
};

static const struct {
	const char *type, *schema;
} scalars[] = {
	{ "s", "\"type\":\"string\"" },
	{ "B", "\"type\":\"boolean\"" },
	{ "i", "\"type\":\"integer\",\"format\":\"int32\"" },
	{ "I", "\"type\":\"integer\",\"format\":\"int64\"" },
	{ "d", "\"type\":\"number\",\"format\":\"double\"" },
	{ "bytes", "\"type\":\"string\",\"format\":\"byte\"" },
};

static const char *
scalar_of(const char *type)
{
	for (size_t i = 0; i < AM_COUNTOF(scalars); i++)
		if (strcmp(scalars[i].type, type) == 0)
			return scalars[i].schema;
	return NULL;
}

static int
special_of(const char *type)
{
	for (size_t i = 0; i < AM_COUNTOF(specials); i++)
		if (strcmp(specials[i].type, type) == 0)
			return (int)i;
	return -1;
}

/* ---- names and references */

bool
openapi_has(const struct openapi_out *o, const struct openapi_kind *k)
{
	return o->group == NULL || (strcmp(k->group, o->group) == 0 && strcmp(k->version, o->version) == 0);
}

static void
add_message_name(struct am_buf *out, const char *type)
{
	int special = special_of(type);

	if (special >= 0) {
		am_buf_adds(out, specials[special].name);
		return;
	}
	for (size_t i = 0; i < AM_COUNTOF(packages); i++)
		if (am_starts(type, packages[i].prefix)) {
			am_buf_adds(out, packages[i].name);
			am_buf_adds(out, type + strlen(packages[i].prefix));
			return;
		}
}

/* The group reversed, as schema names go. */
void
openapi_add_name(const struct openapi_kind *k, struct am_buf *out)
{
	const char *end = k->group + strlen(k->group);

	if (k->message != NULL) {
		add_message_name(out, k->message->name);
		return;
	}
	while (end > k->group) {
		const char *start = end;

		while (start > k->group && start[-1] != '.')
			start--;
		am_buf_add(out, start, (size_t)(end - start));
		end = start > k->group ? start - 1 : start;
		am_buf_addc(out, '.');
	}
	am_buf_addf(out, "%s.%s", k->version, k->kind);
}

static const char *
refs(const struct openapi_out *o)
{
	return o->v3 ? "{\"$ref\":\"#/components/schemas/" : "{\"$ref\":\"#/definitions/";
}

void
openapi_add_ref(const struct openapi_out *o, const char *message_name)
{
	am_buf_adds(o->out, refs(o));
	add_message_name(o->out, message_name);
	am_buf_adds(o->out, "\"}");
}

void
openapi_add_kind_ref(const struct openapi_out *o, const struct openapi_kind *k, bool list)
{
	am_buf_adds(o->out, refs(o));
	openapi_add_name(k, o->out);
	am_buf_adds(o->out, list ? "List\"}" : "\"}");
}

void
openapi_add_gvk(struct am_buf *out, const struct openapi_kind *k, const char *kind)
{
	am_json_addf(out, "{\"group\":%s,\"kind\":%s,\"version\":%s}", k->group, kind, k->version);
}

/* The last member of a schema, and its end. */
static void
end_schema(struct am_buf *out, const struct openapi_kind *k, const char *kind)
{
	am_buf_adds(out, ",\"x-kubernetes-group-version-kind\":[");
	openapi_add_gvk(out, k, kind);
	am_buf_adds(out, "]}");
}

/* ---- fields of the table */

/* The type of one value: a scalar or a reference. */
static void
add_type(const struct openapi_out *o, const char *type)
{
	const char *scalar = scalar_of(type);

	if (scalar != NULL)
		am_buf_addf(o->out, "{%s}", scalar);
	else
		openapi_add_ref(o, type);
}

static void
add_list_rules(const struct openapi_out *o, const char *message, const char *field)
{
	const struct rest_proto_list *rule = rest_proto_list_of(message, field);

	if (rule != NULL && rule->map_keys != NULL) {
		am_buf_adds(o->out, ",\"x-kubernetes-list-map-keys\":[\"");
		for (const char *p = rule->map_keys; *p != '\0'; p++)
			if (*p == ',')
				am_buf_adds(o->out, "\",\"");
			else
				am_buf_addc(o->out, *p);
		am_buf_adds(o->out, "\"],\"x-kubernetes-list-type\":\"map\"");
	} else {
		am_json_addf(o->out, ",\"x-kubernetes-list-type\":%s", rule != NULL && rule->set ? "set" : "atomic");
	}
	if (rule != NULL && rule->merge_key != NULL)
		am_json_addf(o->out, ",\"x-kubernetes-patch-merge-key\":%s", rule->merge_key);
	if (rule != NULL && rule->strategy != NULL)
		am_json_addf(o->out, ",\"x-kubernetes-patch-strategy\":%s", rule->strategy);
}

static void
add_field(const struct openapi_out *o, const char *message, const struct rest_proto_field *f)
{
	const char *words = openapi_words(message, f->json), *scalar = scalar_of(f->type);
	bool list = f->repeated && !f->map, wrapped = f->wrapped_list && !f->map;

	am_json_addf(o->out, "%s:{", f->json);
	if (words != NULL)
		am_json_addf(o->out, "\"description\":%s,", words);
	if (list || wrapped) {
		am_buf_adds(o->out, "\"type\":\"array\",\"items\":");
		add_type(o, f->type);
		add_list_rules(o, message, f->json);
	} else if (f->map) {
		am_buf_adds(o->out, "\"type\":\"object\",\"additionalProperties\":");
		if (f->wrapped_list)
			am_buf_adds(o->out, "{\"type\":\"array\",\"items\":");
		add_type(o, f->type);
		am_buf_adds(o->out, f->wrapped_list ? ",\"x-kubernetes-list-type\":\"atomic\"}" : "");
		if (rest_proto_is_atomic(message, f->json))
			am_buf_adds(o->out, ",\"x-kubernetes-map-type\":\"atomic\"");
	} else if (scalar != NULL) {
		am_buf_adds(o->out, scalar);
	} else if (o->v3) {
		am_buf_adds(o->out, "\"allOf\":[");
		openapi_add_ref(o, f->type);
		am_buf_addc(o->out, ']');
	} else {
		am_buf_adds(o->out, "\"$ref\":\"#/definitions/");
		add_message_name(o->out, f->type);
		am_buf_addc(o->out, '"');
	}
	am_buf_addc(o->out, '}');
}

/* The fields of a message and of those merged into it; message and field names as JSON shows them. */
static void
each_field(const struct rest_proto_message *m,
	   void (*fn)(void *arg, const struct rest_proto_message *m, const struct rest_proto_field *f), void *arg)
{
	const char *at = m->fields;
	struct rest_proto_field f;

	while (rest_proto_next(&at, &f)) {
		const struct rest_proto_message *merged = f.in_line ? rest_proto_find(f.type) : NULL;

		if (merged != NULL)
			each_field(merged, fn, arg);
		else
			fn(arg, m, &f);
	}
}

struct fields {
	const struct openapi_out *o;
	bool any;
};

static void
field_property(void *arg, const struct rest_proto_message *m, const struct rest_proto_field *f)
{
	struct fields *fields = arg;

	am_buf_adds(fields->o->out, fields->any ? "," : "");
	add_field(fields->o, m->name, f);
	fields->any = true;
}

static void
field_required(void *arg, const struct rest_proto_message *m am_unused_, const struct rest_proto_field *f)
{
	struct fields *fields = arg;

	if (!f->always || f->pointer)
		return;
	am_json_addf(fields->o->out, "%j%s", fields->any ? "," : ",\"required\":[", f->json);
	fields->any = true;
}

static const char type_properties[] =
	"\"apiVersion\":{\"type\":\"string\",\"description\":\"Group and version of this object's schema\"},"
	"\"kind\":{\"type\":\"string\",\"description\":\"Kind of this object, in CamelCase\"}";

/* k: the kind that the message is, or NULL. */
static void
add_message(const struct openapi_out *o, const struct rest_proto_message *m, const struct openapi_kind *k)
{
	const char *words = openapi_words(m->name, NULL);
	struct fields fields = { o, false };

	am_buf_adds(o->out, "{\"type\":\"object\"");
	if (words != NULL)
		am_json_addf(o->out, ",\"description\":%s", words);
	am_buf_adds(o->out, ",\"properties\":{");
	if (k != NULL || strcmp(m->name, "m.Status") == 0 || strcmp(m->name, "m.DeleteOptions") == 0) {
		am_buf_adds(o->out, type_properties);
		fields.any = true;
	}
	each_field(m, field_property, &fields);
	am_buf_addc(o->out, '}');
	fields.any = false;
	each_field(m, field_required, &fields);
	if (fields.any)
		am_buf_addc(o->out, ']');
	if (rest_proto_is_atomic(m->name, NULL))
		am_buf_adds(o->out, ",\"x-kubernetes-map-type\":\"atomic\"");
	if (k != NULL)
		end_schema(o->out, k, k->kind);
	else
		am_buf_addc(o->out, '}');
}

/* ---- which messages a document needs */

struct closure {
	bool *wanted;                    /* per message */
	const struct openapi_kind **as;  /* per message: the kind that it is */
	bool special[AM_COUNTOF(specials)];
};

static void want(struct closure *c, const char *type);

static void
want_field(void *arg, const struct rest_proto_message *m am_unused_, const struct rest_proto_field *f)
{
	want(arg, f->type);
}

static void
want(struct closure *c, const char *type)
{
	const struct rest_proto_message *m = rest_proto_find(type);
	int special = special_of(type);

	if (special >= 0)
		c->special[special] = true;
	if (m == NULL || c->wanted[m - rest_proto_messages])
		return;
	c->wanted[m - rest_proto_messages] = true;
	each_field(m, want_field, c);
}

/* ---- custom resources */

/* What OpenAPI v2 cannot say, as its clients need it: a value that may be of several types has none. */
static void
simplify(struct am_node *schema, bool root)
{
	static const char *const unsaid[] = { "oneOf", "anyOf", "allOf", "not", "nullable", "default" };
	static const char *const structure[] = { "type", "properties", "items", "additionalProperties" };
	const struct am_node *any = am_node_get(schema, "x-kubernetes-int-or-string");
	const struct am_node *null = am_node_get(schema, "nullable");
	const struct am_node *free_form = am_node_get(schema, "x-kubernetes-preserve-unknown-fields");
	bool open = !root && ((null != NULL && null->boolean) || (free_form != NULL && free_form->boolean));

	for (size_t i = 0; i < AM_COUNTOF(structure); i++)
		if (open || (i == 0 && any != NULL && any->boolean))
			am_node_del(schema, structure[i]);
	for (size_t i = 0; i < AM_COUNTOF(unsaid); i++)
		am_node_del(schema, unsaid[i]);
	for (struct am_node *m = schema->first; m != NULL; m = m->next) {
		if (strcmp(m->key, "properties") == 0) {
			for (struct am_node *p = m->first; p != NULL; p = p->next)
				simplify(p, false);
		} else if ((strcmp(m->key, "items") == 0 || strcmp(m->key, "additionalProperties") == 0) &&
			   m->type == AMBIENT_T_OBJECT) {
			simplify(m, false);
		}
	}
}

/* What a value that may be a number or a text is, said once more in the words that every reader of schemas knows. */
static void
spell_out(struct am_arena *arena, struct am_node *schema)
{
	static const char types[] = "[{\"type\":\"integer\"},{\"type\":\"string\"}]";
	const struct am_node *any = am_node_get(schema, "x-kubernetes-int-or-string");
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (any != NULL && any->boolean && am_node_get(schema, "anyOf") == NULL && am_node_get(schema, "allOf") == NULL)
		am_node_set(arena, schema, "anyOf", am_node_parse(arena, types, sizeof(types) - 1, &err));
	for (struct am_node *m = schema->first; m != NULL; m = m->next) {
		if (strcmp(m->key, "properties") == 0) {
			for (struct am_node *p = m->first; p != NULL; p = p->next)
				spell_out(arena, p);
		} else if ((strcmp(m->key, "items") == 0 || strcmp(m->key, "additionalProperties") == 0) &&
			   m->type == AMBIENT_T_OBJECT) {
			spell_out(arena, m);
		}
	}
}

/* The schema of a definition, with apiVersion, kind and metadata as every object has them. */
static void
add_custom(const struct openapi_out *o, const struct openapi_kind *k)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const char *text = k->res->schema != NULL ? k->res->schema : "{\"type\":\"object\"}";
	struct am_arena *arena = am_arena_new();
	struct am_node *schema = am_node_parse(arena, text, strlen(text), &err);

	if (schema == NULL || schema->type != AMBIENT_T_OBJECT)
		schema = am_node_object(arena);
	if (o->v3)
		spell_out(arena, schema);
	else
		simplify(schema, true);
	am_buf_addf(o->out, "{\"properties\":{%s,\"metadata\":", type_properties);
	if (o->v3) {
		am_buf_adds(o->out, "{\"description\":\"Standard object metadata\",\"allOf\":[");
		openapi_add_ref(o, "m.ObjectMeta");
		am_buf_adds(o->out, "]}");
	} else {
		openapi_add_ref(o, "m.ObjectMeta");
	}
	struct am_node *properties = am_node_get(schema, "properties");

	for (const struct am_node *p = properties != NULL ? properties->first : NULL; p != NULL; p = p->next) {
		if (strcmp(p->key, "apiVersion") == 0 || strcmp(p->key, "kind") == 0 || strcmp(p->key, "metadata") == 0)
			continue;
		am_json_addf(o->out, ",%s:", p->key);
		am_node_print(p, o->out);
	}
	am_buf_addc(o->out, '}');
	am_node_del(schema, "properties");
	for (const struct am_node *m = schema->first; m != NULL; m = m->next) {
		am_json_addf(o->out, ",%s:", m->key);
		am_node_print(m, o->out);
	}
	end_schema(o->out, k, k->kind);
	am_arena_free(arena);
}

static void
add_list(const struct openapi_out *o, const struct openapi_kind *k)
{
	am_buf_addc(o->out, '"');
	openapi_add_name(k, o->out);
	am_json_addf(o->out, "List\":{\"type\":\"object\",\"description\":\"A list of %j\",\"properties\":{%j,\"items\":"
			     "{\"type\":\"array\",\"items\":",
		     k->kind, type_properties);
	openapi_add_kind_ref(o, k, false);
	am_buf_adds(o->out, "},\"metadata\":");
	openapi_add_ref(o, "m.ListMeta");
	am_buf_adds(o->out, "},\"required\":[\"items\"]");
	end_schema(o->out, k, k->res->list_kind);
}

/* ---- a document's definitions */

static void
add_key(const struct openapi_out *o, const char *type, bool *first)
{
	am_buf_adds(o->out, *first ? "\"" : ",\"");
	add_message_name(o->out, type);
	am_buf_adds(o->out, "\":");
	*first = false;
}

void
openapi_add_definitions(const struct openapi_out *o)
{
	static const char *const always[] = { "m.DeleteOptions", "m.ListMeta", "m.ObjectMeta", "m.Status" };
	struct closure c = { .wanted = am_xcalloc(rest_proto_message_count, sizeof(bool)),
			     .as = am_xcalloc(rest_proto_message_count, sizeof(*c.as)) };
	struct openapi_kind scale = { "autoscaling", "v1", "Scale", NULL, true, NULL, rest_proto_find("as.Scale") };
	bool first = true;

	for (size_t i = 0; i < AM_COUNTOF(always); i++)
		want(&c, always[i]);
	for (size_t i = 0; i < o->kinds->n; i++) {
		const struct openapi_kind *k = &o->kinds->kinds[i];

		if (!openapi_has(o, k))
			continue;
		if (k->message != NULL) {
			want(&c, k->message->name);
			c.as[k->message - rest_proto_messages] = k;
		}
		if (k->res != NULL && (k->res->flags & AM_RES_SCALE) != 0) {
			want(&c, scale.message->name);
			c.as[scale.message - rest_proto_messages] = &scale;
		}
	}
	for (size_t i = 0; i < rest_proto_message_count; i++)
		if (c.wanted[i] && special_of(rest_proto_messages[i].name) < 0) {
			add_key(o, rest_proto_messages[i].name, &first);
			add_message(o, &rest_proto_messages[i], c.as[i]);
		}
	for (size_t i = 0; i < AM_COUNTOF(specials); i++)
		if (c.special[i]) {
			add_key(o, specials[i].type, &first);
			am_buf_addf(o->out, "{%s}", o->v3 && specials[i].v3 != NULL ? specials[i].v3 : specials[i].v2);
		}
	for (size_t i = 0; i < o->kinds->n; i++) {
		const struct openapi_kind *k = &o->kinds->kinds[i];

		if (!openapi_has(o, k) || k->res == NULL)
			continue;
		if (k->message == NULL) {
			am_buf_adds(o->out, ",\"");
			openapi_add_name(k, o->out);
			am_buf_adds(o->out, "\":");
			add_custom(o, k);
		}
		am_buf_addc(o->out, ',');
		add_list(o, k);
	}
	free(c.wanted);
	free(c.as);
}
