/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of builtin kinds: proto.c reads bodies with them, types.c and OpenAPI know the kinds' shapes from them. */
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

/* proto_lists.c: which lists are not atomic, and how they merge. */
struct rest_proto_list {
	const char *message, *field;
	const char *merge_key; /* of strategic merge; NULL with a strategy: a set of scalars */
	const char *strategy;  /* NULL: replaced as a whole */
	const char *map_keys;  /* of server-side apply, comma separated; NULL: no map */
	bool set;
};
const struct rest_proto_list *rest_proto_list_of(const char *message, const char *field);
bool rest_proto_is_atomic(const char *message, const char *field); /* field NULL: the whole message */

#endif
