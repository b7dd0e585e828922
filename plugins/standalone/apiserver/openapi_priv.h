/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of OpenAPI: openapi.c answers requests, openapi_schema.c makes the definitions, openapi_paths.c the paths,
 * openapi_table.c knows what the wire table does not say, openapi_proto.c turns a v2 document into protobuf.
 */
#ifndef AM_APISERVER_OPENAPI_PRIV_H
#define AM_APISERVER_OPENAPI_PRIV_H

#include "plugins/standalone/apiserver/proto.h"
#include "plugins/standalone/apiserver/rest.h"

/* What a document describes: a stored resource (res) or one that can only be created. */
struct openapi_kind {
	const char *group, *version, *kind, *plural;
	bool namespaced;
	const struct am_resource *res;            /* NULL: virtual */
	const struct rest_proto_message *message; /* NULL: custom */
};

struct openapi_kinds {
	struct openapi_kind *kinds; /* ordered by group, version */
	size_t n;
	const struct am_resource **all;
	size_t n_all;
	uint64_t generation;
};

struct openapi_out {
	struct am_buf *out;
	bool v3;
	const struct openapi_kinds *kinds;
	const char *group, *version; /* NULL: all */
};

/* Is the kind in this document? */
bool openapi_has(const struct openapi_out *o, const struct openapi_kind *k);
/* "io.k8s.api.core.v1.Pod", "com.example.v1.Widget". */
void openapi_add_name(const struct openapi_kind *k, struct am_buf *out);
void openapi_add_ref(const struct openapi_out *o, const char *message_name); /* of the table: "m.Status" */
void openapi_add_kind_ref(const struct openapi_out *o, const struct openapi_kind *k, bool list);
void openapi_add_gvk(struct am_buf *out, const struct openapi_kind *k, const char *kind);

void openapi_add_definitions(const struct openapi_out *o); /* the members of definitions, or components.schemas */
void openapi_add_paths(const struct openapi_out *o);       /* the members of paths */

/* openapi_table.c */
const char *openapi_words(const char *message, const char *field); /* NULL: none; field NULL: of the message */

/* A v2 document of our own making as the protobuf form of it. */
void openapi_to_proto(struct am_slice document, struct am_buf *out);

#endif
