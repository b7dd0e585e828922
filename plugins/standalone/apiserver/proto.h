/* SPDX-License-Identifier: Apache-2.0 */
/* The table of proto_table.c, which proto.c reads bodies with and openapi.c describes builtin kinds with. */
#ifndef AM_APISERVER_PROTO_H
#define AM_APISERVER_PROTO_H

#include "core/base/attr.h"

struct rest_proto_message {
	const char *name, *fields;
};
extern const struct rest_proto_message rest_proto_messages[];
extern const size_t rest_proto_message_count;

/* One field of a message's text. */
struct rest_proto_field {
	unsigned number;
	char json[64], type[64]; /* type without its marks */
	bool always, pointer, repeated, map, wrapped_list, in_line;
};
/* Reads the field at *at (a message's `fields`) and moves on; false at the end. */
bool rest_proto_next(const char **at, struct rest_proto_field *field);
const struct rest_proto_message *rest_proto_find(const char *name);
/* "c.Pod" for "v1" and "Pod"; NULL when it is not in the table. */
const struct rest_proto_message *rest_proto_of_kind(const char *api_version, const char *kind);

#endif
