/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of tables share: columns, and the cells of builtin kinds. */
#ifndef AM_APISERVER_TABLE_PRIV_H
#define AM_APISERVER_TABLE_PRIV_H

#include "plugins/standalone/apiserver/rest.h"

struct table_input {
	struct am_clock *clock;
	struct am_slice object;
	const char *path;
};

/* Appends one JSON value. */
typedef void table_cell_f(const struct table_input *in, struct am_buf *out);

struct table_column {
	const char *name, *type, *format, *description;
	int priority;
	table_cell_f *cell;
	const char *path; /* JSON pointer, for the general cells */
};

/* table_kinds.c: ended by one without name; for every kind that has no columns of its own: name and age. */
const struct table_column *table_columns_of(const struct am_resource *res);

/* table_pods.c */
table_cell_f table_pod_ready, table_pod_status, table_pod_restarts, table_pod_gates;
/* table_kinds.c: "3d" since the time at that pointer; false: there is none. */
bool table_age_at(const struct table_input *in, const char *path, char buf[16]);
/* Is the condition of that type "True"? */
bool table_condition(struct am_slice object, const char *type);

#endif
