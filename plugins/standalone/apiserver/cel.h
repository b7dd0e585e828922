/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Common Expression Language as Kubernetes uses it in x-kubernetes-validations: an expression is parsed, checked
 * against the types of the structural schema that it is written at, and then evaluated on JSON values.  What is
 * accepted, computed and refused follows the environment of kube-apiserver 1.34.  Every size is bounded: the text, the
 * depth, the steps of an evaluation (counted as Kubernetes counts cost) and its memory.
 *
 * A compiled program is immutable and may be evaluated by any thread; a struct cel_run belongs to one.
 */
#ifndef AM_APISERVER_CEL_H
#define AM_APISERVER_CEL_H

#include "core/data/node.h"
#include "plugins/standalone/apiserver/schema.h"

#define CEL_CALL_COST   UINT64_C(1000000)  /* of one evaluation */
#define CEL_OBJECT_COST UINT64_C(10000000) /* of all that belong to one object */

enum cel_kind { CEL_ERROR, CEL_DYN, CEL_NULL, CEL_BOOL, CEL_INT, CEL_UINT, CEL_DOUBLE, CEL_STRING, CEL_BYTES,
		CEL_TIMESTAMP, CEL_DURATION, CEL_LIST, CEL_MAP, CEL_OBJECT, CEL_TYPE, CEL_OPTIONAL, CEL_QUANTITY, CEL_IP,
		CEL_CIDR, CEL_URL, CEL_FORMAT, CEL_SEMVER, CEL_PARAM, CEL_KINDS };

struct cel_program;
struct cel_run;
struct am_schema;

/* The program lives in arena, its patterns in set.  self is the schema of the value that the expression sees as self
 * and oldSelf; root: that value is a whole resource; optional_old: oldSelf is an optional.  NULL with a sentence in
 * problem, which for a mistake in the text has Kubernetes' form. */
struct cel_compile {
	struct am_arena *arena;
	struct am_schema_set *set;
	const struct am_schema *self;
	bool root, optional_old;
	bool stored; /* the text is stored already: what newer releases take is fine */
};
const struct cel_program *cel_compile(const struct cel_compile *with, struct am_slice text, struct am_buf *problem);
enum cel_kind cel_program_kind(const struct cel_program *program); /* of its result */
bool cel_program_uses_old(const struct cel_program *program);
/* What an evaluation costs at most, estimated from the schema as Kubernetes does it (cel_cost.c); UINT64_MAX: nothing
 * bounds it. */
uint64_t cel_program_estimate(const struct cel_program *program);
/* How often such a value fits into one object; schema is measured. */
uint64_t cel_schema_cardinality(const struct am_schema *schema);
/* Notes how small and how large a value can be, what is below schema being measured. */
void cel_schema_measure(struct am_arena *arena, struct am_schema *schema, bool root);
/* Whether rules may look at such a value at all. */
bool cel_schema_visible(const struct am_schema *schema, bool root);

struct cel_run *cel_run_new(void);
void cel_run_free(struct cel_run *run);
/* What an evaluation came to; text is valid until the next one. */
struct cel_outcome {
	enum cel_kind kind;   /* ERROR: text says why */
	bool truth;           /* BOOL */
	bool exceeded;        /* it cost more than limit */
	struct am_slice text; /* STRING, ERROR */
	uint64_t cost;
};
/* old NULL: there is none. */
void cel_run_eval(struct cel_run *run, const struct cel_program *program, const struct am_node *self,
		  const struct am_node *old, uint64_t limit, struct cel_outcome *outcome);
/* The value of the last evaluation, printed as the tests write it. */
void cel_run_print(const struct cel_run *run, struct am_buf *out);

#endif
