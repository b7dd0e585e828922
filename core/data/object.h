/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object sub-table of the plugin interface, over JSON text: every host uses this one (the daemon, ambient-runner,
 * the fake host of the tests).
 *
 * A pool owns what one call reads and makes: decoded strings, views, drafts, and references to cached bytes.  A pool
 * belongs to one thread, except the small ones behind kept objects (ambient_ref), which lock.
 */
#ifndef AM_DATA_OBJECT_H
#define AM_DATA_OBJECT_H

#include <ambient/host.h>

#include "core/data/node.h"

struct am_pool;

/* A host's call starts with this, so that object functions find the pool. */
struct am_call_head {
	struct ambient_call pub;
	struct am_pool *pool;
};

extern const struct ambient_object_api am_object_api;

struct am_pool *am_pool_new(void) am_nodiscard_;
void am_pool_free(struct am_pool *pool);
struct am_arena *am_pool_arena(struct am_pool *pool);

/* An object over text that passed am_json_check and stays valid until release(owner), which the pool calls when it is
 * freed.  release NULL: the text outlives the pool. */
const struct ambient_object *am_object_borrow(struct am_pool *pool, const char *text, size_t n, void (*release)(void *),
					      void *owner);
/* What there is of an object of which only parts are kept.  What is outside of them reads as absent, and is noted. */
struct am_object_parts {
	bool (*kept)(const void *arg, const char *pointer);
	const void *arg;
	const char *kind, *only;       /* for the sentence: "v1/pods", "metadata" */
};
/* The same as am_object_borrow; parts has to live as long as the pool. */
const struct ambient_object *am_object_borrow_parts(struct am_pool *pool, const char *text, size_t n,
						    const struct am_object_parts *parts, void (*release)(void *), void *owner);
/* The first read of what was left out, as a sentence without its subject: "read \"/spec\" of ..."; NULL: none. */
const char *am_pool_left_out(const struct am_pool *pool);
/* Copies text, which must have passed am_json_check. */
const struct ambient_object *am_object_copy(struct am_pool *pool, const char *text, size_t n);
/* Checks and copies; NULL pool: the object is the caller's (ambient_unref). */
int am_object_parse(struct am_pool *pool, const char *text, size_t n, const struct ambient_object **ret,
		    struct ambient_error *err);
struct am_slice am_object_text(const struct ambient_object *obj);

struct am_draft_info {
	const char *kind, *ns, *name; /* "" when unset */
	struct am_node *root;         /* in the pool's arena; may be changed */
	struct am_arena *arena;
};
/* 0, or the first failure of a setter. */
int am_draft_open(struct ambient_draft *draft, struct am_draft_info *ret, struct ambient_error *err);

#endif
