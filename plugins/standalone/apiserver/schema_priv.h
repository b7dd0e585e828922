/* SPDX-License-Identifier: Apache-2.0 */
/* The compiled form of a schema, shared by the schema files only. */
#ifndef AM_APISERVER_SCHEMA_PRIV_H
#define AM_APISERVER_SCHEMA_PRIV_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "plugins/standalone/apiserver/schema.h"

enum am_schema_type { AM_SCHEMA_ANY, AM_SCHEMA_OBJECT, AM_SCHEMA_ARRAY, AM_SCHEMA_STRING, AM_SCHEMA_INTEGER,
		      AM_SCHEMA_NUMBER, AM_SCHEMA_BOOLEAN, AM_SCHEMA_TYPES };
extern const char *const am_schema_type_names[AM_SCHEMA_TYPES];
enum am_list_type { AM_LIST_ATOMIC, AM_LIST_SET, AM_LIST_MAP };

struct am_schema_property {
	const char *name;
	const struct am_schema *schema;
};

/* A property by one of its names. */
struct am_schema_name {
	const char *name;
	const struct am_schema_property *property;
};
#define AM_SCHEMA_FEW 8 /* properties that are looked through; of more there is an index */

struct am_schema_list {
	const struct am_schema **items;
	size_t n;
};

enum am_rule_reason { AM_RULE_INVALID, AM_RULE_FORBIDDEN, AM_RULE_REQUIRED, AM_RULE_DUPLICATE, AM_RULE_REASONS };
const char *am_rule_reason_name(enum am_rule_reason reason); /* static */

struct cel_program;

struct am_rule {
	const struct cel_program *program, *message_program; /* the latter or NULL */
	const char *text, *message;                          /* message: "" when there is none */
	const char *field;                                   /* what its fieldPath adds to the path, "" for nothing */
	enum am_rule_reason reason;
	bool transition, optional_old;
};

struct am_schema {
	enum am_schema_type type;
	enum am_list_type list_type;
	bool anything; /* what additionalProperties: true stands for */
	bool list_typed, map_typed; /* it says of which type the list or map is */
	bool int_or_string, preserve, embedded, nullable, atomic_map;
	bool exclusive_min, exclusive_max, has_min, has_max, has_multiple;
	double min, max, multiple;
	int64_t min_length, max_length, min_items, max_items, min_properties, max_properties; /* -1: none */
	const struct am_schema_property *properties;
	size_t n_properties, n_written;
	const struct am_schema_name *by_name, *written; /* sorted: by their own names, when there are many; by those in expressions */
	const struct am_schema *additional, *items, *not_;
	struct am_schema_list all_of, any_of, one_of;
	const char **required, **map_keys;
	size_t n_required, n_map_keys;
	const struct am_node *enums;      /* array, or NULL */
	const struct am_node *fallback;   /* default, or NULL */
	const char *format, *pattern;
	const pcre2_code *code;
	const char *min_text, *max_text;  /* as written, for messages */
	const struct am_node *rule_nodes; /* as written, or NULL */
	const struct am_rule *rules;
	size_t n_rules;
	bool has_rules, has_embedded;     /* here or below */
	uint64_t fewest, most;            /* bytes in JSON; elements or characters, 0 for what has neither: see cel_cost.c */
};

int am_schema_name_cmp(const void *a, const void *b);
const struct am_schema *am_schema_property_of(const struct am_schema *schema, const char *name);

/* schema_validate.c: for messages; the root has no path and is "<nil>". */
const char *am_schema_path(const struct am_buf *path);
/* schema_rules.c: compiles the rules in schema, whose other parts are ready.  Problems become causes.  stored: they are
 * not judged again; past as for am_schema_compile. */
void am_schema_rules_compile(struct am_arena *arena, struct am_schema_set *set, struct am_schema *schema, const char *path,
			     bool stored, const struct am_schema_past *past, struct am_failure *failure);
/* schema_costs.c: what rules cost at most.  Begins as zeros. */
struct am_rule_costs {
	bool unchanged; /* each of them was taken before */
	uint64_t sum;
	struct {
		const char *path;
		uint64_t cost;
	} worst[4];
	size_t n;
};
/* path: of the rule; repeats: how often it may run on one object. */
void am_rule_costs_add(struct am_rule_costs *costs, struct am_arena *arena, const struct am_rule *rule, uint64_t repeats,
		       const char *path, struct am_failure *failure);
/* path: of the schema. */
void am_rule_costs_judge(const struct am_rule_costs *costs, const char *path, struct am_failure *failure);
/* schema_rules_run.c: after everything else was checked; failure holds what was found. */
void am_schema_rules_check(const struct am_schema *schema, const struct am_node *root, const struct am_node *old,
			   struct am_failure *failure);

/* schema_embedded.c: what objects inside of the object say of themselves. */
void am_schema_check_embedded(const struct am_schema *schema, const struct am_node *root, struct am_failure *failure);

/* schema_pattern.c: NULL with a static sentence in problem.  A pattern of a set is freed with it. */
pcre2_code *am_schema_pattern(struct am_schema_set *set, const char *p, size_t n, const char **problem);
pcre2_code *am_pattern_compile(const char *p, size_t n, const char **problem) am_nodiscard_;
/* All matches of one change, whose steps are counted together.  Begins as zeros and stays where it is. */
struct am_matcher {
	pcre2_match_context *context;
	uint64_t steps;
	size_t at; /* where the last step was */
};
void am_matcher_fini(struct am_matcher *m);
/* 1 with the bytes of the match in ret (may be NULL), 0, or -1 when this or an earlier match took too many steps. */
int am_pattern_find(struct am_matcher *m, const pcre2_code *code, const char *text, size_t n, size_t from, size_t ret[2]);
/* schema_structure.c: the rules for a node that is no part of a junctor. */
void am_schema_check_structure(struct am_arena *arena, const struct am_schema *s, const struct am_node *node, const char *path,
			       bool root, struct am_failure *failure);
/* schema_shape.c: as am_schema_prune, for a value that is no whole object unless resource says so. */
void am_schema_prune_value(const struct am_schema *schema, struct am_node *value, bool resource);

#endif
