/* SPDX-License-Identifier: Apache-2.0 */
/* The table of proto_table.c: proto.c reads bodies with it, types.c knows the shape of builtin kinds from it. */
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
/* The field of that name, also of messages that are merged into it; *owner is the message whose text has it. */
bool rest_proto_field_of(const struct rest_proto_message *message, const char *name,
			 const struct rest_proto_message **owner, struct rest_proto_field *field);
/* "c.Pod" for "v1" and "Pod"; NULL when it is not in the table. */
const struct rest_proto_message *rest_proto_of_kind(const char *api_version, const char *kind);

#endif
