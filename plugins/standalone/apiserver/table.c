/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables: what kubectl get prints.  A kind has columns; a column is a name and a way to make a cell from the
 * object's text.  Custom resources bring their columns as JSON paths, those of builtin ones are in table_kinds.c.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/jsonpath.h"
#include "plugins/standalone/apiserver/table_priv.h"

/* ---- custom columns */

static void
date_cell(struct am_clock *clock, struct am_slice v, struct am_buf *out)
{
	struct am_buf text = { 0 };
	int64_t at;
	char age[16];

	if (am_json_type(v) != AMBIENT_T_STRING || !am_json_unescape(v, &text)) {
		am_buf_adds(out, "null");
	} else if (am_time_parse(am_buf_str(&text), &at) < 0) {
		am_json_add_str(out, "<invalid>");
	} else {
		int64_t ns = am_clock_wall(clock) - at;

		am_duration_format(age, ns > 0 ? ns : 0);
		am_json_add_str(out, age);
	}
	am_buf_fini(&text);
}

/* Integers are cut off, as kube-apiserver does it. */
static void
number_cell(struct am_slice v, bool integer, struct am_buf *out)
{
	size_t digits = 0;

	while (digits < v.n && strchr("-0123456789", v.p[digits]) != NULL)
		digits++;
	if (integer && digits < v.n) {
		char *text = am_xstrndup(v.p, v.n);
		double d = strtod(text, NULL);
		free(text);
		if (d > -9e15 && d < 9e15)
			am_buf_addf(out, "%lld", (long long)d);
		else
			am_buf_adds(out, "null");
	} else {
		am_buf_add(out, v.p, v.n);
	}
}

/* A value of another type than the column's is null. */
static void
custom_cell(struct am_clock *clock, const struct am_column *c, struct am_slice object, struct am_buf *out)
{
	struct am_slice v;
	int type = am_jsonpath_find(object, c->path, &v) ? am_json_type(v) : AMBIENT_T_NULL;
	bool integer = strcmp(c->type, "integer") == 0;

	if (type == AMBIENT_T_NULL)
		am_buf_adds(out, "null");
	else if (strcmp(c->type, "date") == 0)
		date_cell(clock, v, out);
	else if (strcmp(c->type, "string") == 0 && type != AMBIENT_T_STRING)
		am_json_add_strn(out, v.p, v.n);
	else if ((integer || strcmp(c->type, "number") == 0) && type == AMBIENT_T_NUMBER)
		number_cell(v, integer, out);
	else if ((strcmp(c->type, "boolean") == 0 && type == AMBIENT_T_BOOL) || strcmp(c->type, "string") == 0)
		am_buf_add(out, v.p, v.n);
	else
		am_buf_adds(out, "null");
}

/* ---- the two halves of a Table */

static void
add_definition(struct am_buf *out, bool first, const char *name, const char *type, const char *format,
	       const char *description, int priority)
{
	am_json_addf(out, "%j{\"name\":%s,\"type\":%s,\"format\":%s,\"description\":%s,\"priority\":%d}",
		     first ? "" : ",", name, type, format != NULL ? format : "",
		     description != NULL ? description : "", priority);
}

void
rest_table_columns(const struct am_resource *res, struct am_buf *out)
{
	const struct table_column *c = table_columns_of(res);

	am_buf_addc(out, '[');
	if (res->n_columns > 0) {
		add_definition(out, true, "Name", "string", "name", "Name of the object", 0);
		for (size_t i = 0; i < res->n_columns; i++) {
			const struct am_column *k = &res->columns[i];

			add_definition(out, false, k->name, k->type, k->format, k->description, k->priority);
		}
	} else {
		for (size_t i = 0; c[i].name != NULL; i++)
			add_definition(out, i == 0, c[i].name, c[i].type, c[i].format, c[i].description,
				       c[i].priority);
	}
	am_buf_addc(out, ']');
}

void
rest_table_row(struct am_clock *clock, const struct am_resource *res, const struct am_object *object,
	       const char *include_object, struct am_buf *out)
{
	const struct table_column *c = table_columns_of(res);
	struct am_buf text = { 0 };
	struct table_input in = { .clock = clock };

	am_object_print(object, res, &text);
	in.object = am_slice(am_buf_str(&text), text.len);
	am_buf_adds(out, "{\"cells\":[");
	if (res->n_columns > 0) {
		am_json_add_str(out, object->name);
		for (size_t i = 0; i < res->n_columns; i++) {
			am_buf_addc(out, ',');
			custom_cell(clock, &res->columns[i], in.object, out);
		}
	} else {
		for (size_t i = 0; c[i].name != NULL; i++) {
			if (i > 0)
				am_buf_addc(out, ',');
			in.path = c[i].path;
			c[i].cell(&in, out);
		}
	}
	am_buf_addc(out, ']');
	if (include_object == NULL || strcmp(include_object, "None") != 0) {
		am_buf_adds(out, ",\"object\":");
		if (am_streq(include_object, "Object"))
			am_buf_add(out, text.data, text.len);
		else
			rest_render(NULL, REST_PARTIAL, NULL, res, object, false, out);
	}
	am_buf_addc(out, '}');
	am_buf_fini(&text);
}
