/* SPDX-License-Identifier: Apache-2.0 */
/* What a version of a definition says besides its schema: deprecation, columns, the paths of scale and of selectable
 * fields. */
#include "plugins/standalone/apiserver/crd.h"
#include "plugins/standalone/apiserver/jsonpath.h"

#define WARNING_MAX    256
#define SELECTABLE_MAX 8
#define COLUMN         "additionalPrinterColumns[%d]."

struct place {
	struct am_change *change;
	const struct am_crd_shared *shared;
	const struct am_node *version;
	int i;
	bool above; /* the part that is looked at is kept above the versions */
	char field[160];
};

/* ---- what versions share ---- */

static bool
alike(const struct am_node *a, const struct am_node *b)
{
	/* An empty list is none. */
	bool none_a = a == NULL || (a->type == AMBIENT_T_ARRAY && a->count == 0);
	bool none_b = b == NULL || (b->type == AMBIENT_T_ARRAY && b->count == 0);

	return none_a || none_b ? none_a == none_b : am_node_equal(a, b);
}

static bool
all_alike(const struct am_node *versions, const char *key)
{
	const struct am_node *first = versions != NULL ? versions->first : NULL;

	for (const struct am_node *v = first; v != NULL; v = v->next)
		if (!alike(am_node_get(first, key), am_node_get(v, key)))
			return false;
	return true;
}

struct am_crd_shared
am_crd_shared_by(const struct am_node *versions)
{
	struct am_crd_shared shared = {
		.schema = all_alike(versions, "schema"), .subresources = all_alike(versions, "subresources"),
		.columns = all_alike(versions, "additionalPrinterColumns"), .selectable = all_alike(versions, "selectableFields"),
	};

	for (const struct am_node *v = versions != NULL ? versions->first : NULL; v != NULL; v = v->next)
		shared.status |= am_node_path(v, "subresources", "status", NULL) != NULL;
	return shared;
}

void
am_crd_schema_path(const struct am_crd_shared *shared, int i, char *path, size_t n)
{
	if (shared != NULL && shared->schema)
		snprintf(path, n, "spec.validation.openAPIV3Schema");
	else
		snprintf(path, n, "spec.versions[%d].schema.openAPIV3Schema", i);
}

/* The place for messages; valid until the next one. */
static const char *am_printf_(2, 3)
at(struct place *p, const char *fmt, ...)
{
	va_list ap;
	int n = p->above ? snprintf(p->field, sizeof(p->field), "spec.") :
			   snprintf(p->field, sizeof(p->field), "spec.versions[%d].", p->i);

	va_start(ap, fmt);
	vsnprintf(p->field + n, sizeof(p->field) - (size_t)n, fmt, ap);
	va_end(ap);
	return p->field;
}

static void
check_deprecation(struct place *p)
{
	const struct am_node *flag = am_node_get(p->version, "deprecated"), *warning = am_node_get(p->version, "deprecationWarning");
	const char *field = at(p, "deprecationWarning");

	if (warning == NULL || warning->type != AMBIENT_T_STRING)
		return;
	if (flag == NULL || !flag->boolean)
		am_bad(p->change, field, warning, "can only be set for deprecated versions");
	if (warning->len == 0)
		am_bad(p->change, field, warning, "must not be an empty string");
	if (warning->len > WARNING_MAX)
		am_bad(p->change, field, warning, "must be <= 256 characters long");
	for (size_t i = 0; i < warning->len; i++)
		if ((unsigned char)warning->text[i] < ' ' || warning->text[i] == 0x7f) {
			am_bad(p->change, field, warning, am_arena_printf(p->change->arena, "must only contain printable UTF-8 characters; "
									 "non-printable character found at index %zu", i));
			return;
		}
}

/* ---- columns ---- */

static bool
among(const char *text, const char *const *list)
{
	for (size_t i = 0; list[i] != NULL; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

static void
check_column(struct place *p, const struct am_node *column, int k)
{
	static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
	static const char *const formats[] = { "byte", "date", "date-time", "double", "float", "int32", "int64", "password", NULL };
		const char *type = am_node_get_str(column, "type", ""), *format = am_node_get_str(column, "format", "");
	const char *path = am_node_get_str(column, "jsonPath", "");

	if (am_empty(am_node_get_str(column, "name", NULL)))
		am_need(p->change, at(p, COLUMN "name", k));
	if (*type == '\0')
		am_failure_cause(p->change->failure, "FieldValueRequired", at(p, COLUMN "type", k),
				 "Required value: must be one of boolean,date,integer,number,string");
	else if (!among(type, types))
		am_bad(p->change, at(p, COLUMN "type", k), am_node_get(column, "type"),
		       "must be one of boolean,date,integer,number,string");
	if (*format != '\0' && !among(format, formats))
		am_bad(p->change, at(p, COLUMN "format", k), am_node_get(column, "format"),
		       "must be one of byte,date,date-time,double,float,int32,int64,password");
	if (*path == '\0')
		am_need(p->change, at(p, COLUMN "JSONPath", k));
	else if (*path != '.')
		am_bad(p->change, at(p, COLUMN "JSONPath", k), am_node_get(column, "jsonPath"),
		       "must be a simple json path starting with .");
	else if (!am_jsonpath_ok(path))
		am_change_warn(p->change, "column \"%s\" of version \"%s\" is always empty: \"%.200s\" is no JSON path",
			       am_node_get_str(column, "name", ""), am_node_get_str(p->version, "name", ""), path);
}

/* ---- scale ---- */

static void
check_scale_path(struct place *p, const struct am_node *scale, const char *key, bool in_spec, bool in_status)
{
	const struct am_node *value = am_node_get(scale, key);
	const char *path = am_node_text(value, "");
	const char *field = at(p, "subresources.scale.%s", key);

	if (*path == '\0')
		am_need(p->change, field);
	else if (*path != '.')
		am_bad(p->change, field, value, "must be a simple json path starting with .");
	else if (!(in_spec && am_starts(path, ".spec.")) && !(in_status && am_starts(path, ".status.")))
		am_bad(p->change, field, value, in_spec && in_status ? "should be a json path under either .spec or .status" :
		       in_spec ? "should be a json path under .spec" : "should be a json path under .status");
	else if (strlen(path) > AM_SCALE_PATH_MAX || strpbrk(path, "[]*\"'\\/~") != NULL)
		am_bad(p->change, field, value, "must name its steps by dots only");
}

static void
check_scale(struct place *p)
{
	const struct am_node *scale = am_node_path(p->version, "subresources", "scale", NULL);

	if (scale == NULL)
		return;
	check_scale_path(p, scale, "specReplicasPath", true, false);
	check_scale_path(p, scale, "statusReplicasPath", false, true);
	if (!am_empty(am_node_get_str(scale, "labelSelectorPath", NULL)))
		check_scale_path(p, scale, "labelSelectorPath", true, true);
}

/* ---- selectable fields ---- */

/* Why that path names nothing that can be selected by; NULL when it does. */
static const char *
selectable_problem(struct am_change *change, const struct am_node *schema, const char *path)
{
	static const char *const types[] = { "string", "boolean", "integer", NULL };

	if (*path != '.')
		return am_arena_printf(change->arena, "is an invalid path: expected [ or . but got: %.60s", path);
	if (strpbrk(path, "[]") != NULL)
		return "is an invalid path: array notation is not allowed";
	if (strcmp(path, ".metadata") == 0 || am_starts(path, ".metadata."))
		return "must not point to fields in metadata";
	while (*path == '.') {
		size_t n = strcspn(path + 1, ".");
		const char *key = am_arena_strndup(change->arena, path + 1, n);
		schema = am_node_path(schema, "properties", key, NULL);
		if (schema == NULL)
			return "is an invalid path: does not refer to a valid field";
		path += 1 + n;
	}
	if (!among(am_node_get_str(schema, "type", ""), types))
		return "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
	return NULL;
}

static void
check_selectable(struct place *p)
{
	const struct am_node *list = am_node_get(p->version, "selectableFields");
	const struct am_node *schema = am_node_path(p->version, "schema", "openAPIV3Schema", NULL);
	int k = 0;

	/* kube-apiserver looks for the schema only where it keeps the fields. */
	if (list != NULL && list->count > 0 && p->above != p->shared->schema) {
		am_bad(p->change, at(p, "selectableFields"), NULL, p->above ?
		       "versions of different schemas may not all have the same selectable fields" :
		       "versions of the same schema must have the same selectable fields");
		return;
	}
	for (const struct am_node *f = list != NULL ? list->first : NULL; f != NULL; f = f->next, k++) {
		const struct am_node *value = am_node_get(f, "jsonPath");
		const char *path = am_node_text(value, ""), *field = at(p, "selectableFields[%d].jsonPath", k), *problem;
		if (*path == '\0') {
			am_need(p->change, field);
			continue;
		}
		if ((problem = selectable_problem(p->change, schema, path)) != NULL) {
			am_bad(p->change, field, value, problem);
			continue;
		}
		for (const struct am_node *e = list->first; e != f; e = e->next)
			if (strcmp(am_node_get_str(e, "jsonPath", ""), path) == 0) {
				am_failure_cause(p->change->failure, "FieldValueDuplicate", field, "Duplicate value: \"%.200s\"", path);
				break;
			}
	}
	if (k > SELECTABLE_MAX)
		am_failure_cause(p->change->failure, "FieldValueTooMany", at(p, "selectableFields"),
				 "Too many: %d: must have at most %d items", k, SELECTABLE_MAX);
}

/* ---- the schema, where there is a status subresource ---- */

/* Status is written alone, so nothing may be said about the whole that it could break. */
static void
check_root(struct place *p)
{
	static const char *const not_allowed[] = { "allOf", "anyOf", "oneOf", "not", "default", "enum", "minProperties", "maxProperties",
		"additionalProperties", "nullable", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
		"x-kubernetes-list-type", "x-kubernetes-map-type", NULL };
	const struct am_node *schema = am_node_path(p->version, "schema", "openAPIV3Schema", NULL);
	const char *type = am_node_get_str(schema, "type", "");
	char field[128];

	if (p->above ? !p->shared->status : am_node_path(p->version, "subresources", "status", NULL) == NULL)
		return;
	am_crd_schema_path(p->shared, p->i, field, sizeof(field));
	if (*type != '\0' && strcmp(type, "object") != 0)
		am_bad(p->change, at(p, p->above ? "validation.openAPIV3Schema.type" : "schema.openAPIV3Schema.type"),
		       am_node_get(schema, "type"),
		       "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled");
	for (const struct am_node *m = schema != NULL ? schema->first : NULL; m != NULL; m = m->next)
		if (among(m->key, not_allowed)) {
			am_failure_cause(p->change->failure, "FieldValueInvalid", field,
					 "Invalid value: \"%s\": is not allowed at the root of the schema if the status subresource is enabled",
					 m->key);
			return;
		}
}

static void
check_columns(struct place *p)
{
	const struct am_node *columns = am_node_get(p->version, "additionalPrinterColumns");
	int k = 0;

	for (const struct am_node *c = columns != NULL ? columns->first : NULL; c != NULL; c = c->next)
		check_column(p, c, k++);
}

void
am_crd_check_version(struct am_change *change, const struct am_crd_shared *shared, const struct am_node *version, int i)
{
	const struct {
		void (*check)(struct place *p);
		bool above;
	} parts[] = {
		{ check_deprecation, false }, { check_columns, shared->columns }, { check_root, shared->schema },
		{ check_scale, shared->subresources }, { check_selectable, shared->selectable },
	};
	struct place p = { .change = change, .shared = shared, .version = version, .i = i };

	for (size_t k = 0; k < AM_COUNTOF(parts); k++) {
		p.above = parts[k].above;
		if (!p.above || i == 0)
			parts[k].check(&p);
	}
}
