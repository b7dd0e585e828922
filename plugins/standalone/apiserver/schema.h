/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structural schemas of custom resources (apiextensions.k8s.io/v1): compiled once per version of a definition, then
 * used to prune, to default and to validate.  A schema that says something that is not evaluated here is
 * refused when it is compiled, never ignored.  Compiled schemas are immutable and may be used by any thread.
 */
#ifndef AM_APISERVER_SCHEMA_H
#define AM_APISERVER_SCHEMA_H

#include "core/data/node.h"

struct am_schema;
struct am_schema_set; /* the patterns of several schemas, freed together */
struct am_failure;

struct am_schema_set *am_schema_set_new(void) am_nodiscard_;
void am_schema_set_free(struct am_schema_set *set);

/* What a schema replaces: it is the same, and the versions of the definition that is stored, whose rules may use what is
 * too new for others. */
struct am_schema_past {
	bool unchanged;
	const struct am_node *versions;
};

/* Everything is allocated in arena, which outlives the schema.  Problems become causes of failure with fields below
 * path; NULL only then.  past NULL: there was none. */
const struct am_schema *am_schema_compile(struct am_arena *arena, struct am_schema_set *set, const struct am_node *openapi,
					  const char *path, const struct am_schema_past *past, struct am_failure *failure);
/* As am_schema_compile, of what an earlier release may have taken: its structure is not judged again. */
const struct am_schema *am_schema_compile_stored(struct am_arena *arena, struct am_schema_set *set,
						 const struct am_node *openapi, struct am_failure *failure);

/* Drops what the schema does not specify; apiVersion, kind and metadata of the root stay (see meta.c).  Each dropped
 * field's path goes to unknown, which may be NULL. */
void am_schema_prune(const struct am_schema *schema, struct am_node *root,
		     void (*unknown)(void *arg, const char *path), void *arg);
void am_schema_default(struct am_arena *arena, const struct am_schema *schema, struct am_node *root);
/* Adds causes to failure.  Where old (may be NULL) holds an equal value at the same place, it is not looked at:
 * what was stored under a laxer schema may stay.  In a list the place is the keys of one of type map; other lists are
 * one value. */
void am_schema_validate(const struct am_schema *schema, const struct am_node *root, const struct am_node *old,
			struct am_failure *failure);
/* schema_format.c: unknown formats accept everything. */
bool am_format_ok(const char *format, const char *text, size_t n);
/* meta_rules.c, for embedded resources: what their metadata may be. */
void am_meta_check_embedded(struct am_failure *failure, const char *path, const struct am_node *metadata);
/* Whether something in root that is an object with apiVersion, kind and metadata has one of these of a wrong type; its place
 * goes to path. */
bool am_schema_embedded_misfit(const struct am_schema *schema, const struct am_node *root, struct am_buf *path);
/* meta.c, for embedded resources: whether metadata has such a member, and which of them has a value of the wrong type (NULL:
 * none). */
bool am_meta_is_member(const char *key);
const char *am_meta_misfit(const struct am_node *metadata);

#endif
