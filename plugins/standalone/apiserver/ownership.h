/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns which field: what server-side apply is made of.  From below:
 *
 *   paths.c    sets of paths into an object, read from and written as FieldsV1
 *   types.c    how a value of a kind is taken apart: which lists are sets, which are merged by key, what is one value
 *   typed.c    over a value and its type: its set of paths, comparing, merging, removing
 *   managed.c  the entries of metadata.managedFields
 *   apply.c    the rules: merge, removal of what is no longer applied, conflicts; and what other writes take over
 *
 * Everything lives in the arena of the change.  When the arena runs dry results are short; am_arena_failed of it is
 * asked before anything is stored.
 */
#ifndef AM_APISERVER_OWNERSHIP_H
#define AM_APISERVER_OWNERSHIP_H

#include "plugins/standalone/apiserver/admission.h"

/* ---- paths.c ---- */

/* A set of paths as a tree; immutable, parts are shared between sets.  NULL is the empty set, and no node is without
 * both a bit and children. */
struct am_paths {
	struct am_slice name; /* of this step as FieldsV1 spells it: f:spec, k:{"name":"a"}, v:"x", i:0; the root has none */
	uint32_t in;          /* is the path that ends here in the set?  A comparison says why: AM_PATH_* */
	uint32_t n;
	const struct am_paths *const *kids; /* sorted by name */
};

enum { AM_PATH_IN = 1, AM_PATH_ADDED = 1, AM_PATH_MODIFIED = 2, AM_PATH_REMOVED = 4 };

/* Takes kids, of which n are not NULL, in any order.  NULL when nothing would be in it. */
const struct am_paths *am_paths_make(struct am_arena *arena, struct am_slice name, uint32_t in,
				     const struct am_paths **kids, size_t n);
/* false: this is no FieldsV1. */
bool am_paths_parse(struct am_arena *arena, const struct am_node *fields, const struct am_paths **ret);
struct am_node *am_paths_print(struct am_arena *arena, const struct am_paths *paths);
const struct am_paths *am_paths_union(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b);
const struct am_paths *am_paths_minus(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b);
const struct am_paths *am_paths_common(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b);
/* Those for which one of bits is set, as a plain set. */
const struct am_paths *am_paths_only(struct am_arena *arena, const struct am_paths *paths, uint32_t bits);
bool am_paths_equal(const struct am_paths *a, const struct am_paths *b);
const struct am_paths *am_paths_kid(const struct am_paths *paths, struct am_slice name);
/* Without, or with nothing but, the children of the root with one of these names (ended by NULL). */
const struct am_paths *am_paths_choose(struct am_arena *arena, const struct am_paths *paths, const char *const *names,
				       bool keep);
/* Calls fn with each path as messages spell it: .spec.ports[name="a"].port */
void am_paths_each(const struct am_paths *paths, void (*fn)(void *arg, const char *path), void *arg);
/* Names of steps: of a member, of an element by its value, of one by its keys (an object of scalars).  Empty when the
 * value cannot name a step. */
struct am_slice am_path_of_field(struct am_arena *arena, const struct am_node *member);
struct am_slice am_path_of_scalar(struct am_arena *arena, const struct am_node *value);
struct am_slice am_path_of_keys(struct am_arena *arena, const struct am_node *keys);

/* ---- types.c ---- */

enum am_how {
	AM_HOW_LEAF,    /* a scalar, or taken as one value */
	AM_HOW_OBJECT,  /* by member */
	AM_HOW_SET,     /* a list of scalars, by value */
	AM_HOW_KEYED,   /* a list of objects, by the values of keys */
	AM_HOW_DEDUCED  /* nothing is known: objects by member, all else as one value */
};

struct rest_proto_message;

struct am_type {
	enum am_how how;
	const struct am_schema *schema;             /* of a custom resource */
	const struct rest_proto_message *message;   /* of a builtin one: its own, or that of its elements or members */
	bool map, list;                             /* message is of the members, of the elements */
	bool root;                                  /* of an object with apiVersion, kind and metadata */
	const char *keys;                           /* KEYED builtin: "containerPort,protocol", sorted */
	/* Strategic merge: the key by which elements are merged, "" for a set, NULL: the list is replaced. */
	const char *merge_key;
};

struct am_type am_type_of(const struct am_resource *res);
/* false: the type does not declare it by name. *ret is AM_HOW_DEDUCED then, or the type of a map's values. */
bool am_type_member(const struct am_type *type, const struct am_node *member, struct am_type *ret);
struct am_type am_type_element(const struct am_type *type);
/* May it have members that it does not declare? */
bool am_type_open(const struct am_type *type);
/* The keys of a KEYED list, sorted; ended by NULL. */
const char *const *am_type_keys(struct am_arena *arena, const struct am_type *type);
/* What a key that an element lacks counts as, or NULL. */
const struct am_node *am_type_key_default(struct am_arena *arena, const struct am_type *type, const char *key);

/* ---- typed.c ---- */

/* How value is to be taken apart after all: lists with elements that have no key, and values of another type than the
 * schema says, are one value. */
const struct am_paths *am_typed_set(struct am_arena *arena, const struct am_type *type, const struct am_node *value);
/* Which paths were added, modified, removed (bits).  Either may be NULL. */
const struct am_paths *am_typed_compare(struct am_arena *arena, const struct am_type *type, const struct am_node *old,
					const struct am_node *value);
/* A new tree: what config says over what live says. */
struct am_node *am_typed_merge(struct am_arena *arena, const struct am_type *type, const struct am_node *live,
			       const struct am_node *config);
/* Takes the values at these paths out of value. */
void am_typed_remove(struct am_arena *arena, const struct am_type *type, struct am_node *value,
		     const struct am_paths *paths);
/* The set with every declared field in it below which something is in it. */
const struct am_paths *am_typed_close(struct am_arena *arena, const struct am_type *type, const struct am_paths *paths);
/* The set as the type takes values apart now: of a list or map that has become one value, that it is owned instead of its
 * parts.  What has become several stays owned as one, until somebody writes it. */
const struct am_paths *am_typed_reconcile(struct am_arena *arena, const struct am_type *type, const struct am_paths *paths);
/* Is this fit to be applied?  A sentence per problem, each on a line, goes to problems. */
void am_typed_check(struct am_arena *arena, const struct am_type *type, const struct am_node *value,
		    struct am_buf *problems);

/* ---- strategic.c ---- */

/* target is changed in place.  NULL with failure (400) when the patch is no good. */
struct am_node *am_patch_strategic(struct am_arena *arena, struct am_node *target, const struct am_node *patch,
				   const struct am_type *type, struct am_failure *failure);

/* ---- managed.c ---- */

#define AM_MANAGED_UPDATES 10 /* entries of writes that are no applies; older ones are put together */

struct am_manager {
	const char *name, *operation, *api_version, *subresource, *time; /* "" when absent */
	const struct am_paths *set;
};

struct am_managers {
	struct am_manager *entries;
	size_t n, cap;
};

/* false: this is no list of entries. */
bool am_managers_parse(struct am_arena *arena, const struct am_node *list, struct am_managers *ret);
/* NULL when there is none. */
struct am_node *am_managers_print(struct am_arena *arena, struct am_managers *managers);
/* The entry of who; NULL when there is none. */
struct am_manager *am_managers_find(struct am_managers *managers, const struct am_manager *who);
/* Puts entry in the place of the one of the same manager; an entry without fields goes. */
void am_managers_put(struct am_arena *arena, struct am_managers *managers, const struct am_manager *entry);
void am_managers_cap(struct am_arena *arena, struct am_managers *managers);
/* The same list but for times? */
bool am_managed_same(const struct am_node *a, const struct am_node *b);

/* ---- apply.c ---- */

/* Merges config into live (an empty object: nothing is there yet) and works out who owns what then: sets
 * change->object, change->managed. */
int am_apply(struct am_change *change, const struct am_write *write, struct am_node *live, struct am_node *config);
/* What any other write means for those who own fields; change->object is finished.  Sets its managedFields. */
void am_apply_track(struct am_change *change, const struct am_write *write);

#endif
