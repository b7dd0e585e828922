/* SPDX-License-Identifier: Apache-2.0 */
/* What the janitor's files share: gc.c owns the queue, namespaces.c and crd.c the work on their kind. */
#ifndef AM_APISERVER_JANITOR_H
#define AM_APISERVER_JANITOR_H

#include "plugins/standalone/apiserver/admission.h"

/* Steps return how much they did; they are called again when something changes. */
size_t am_janitor_namespace(struct am_engine *engine, const char *name);
size_t am_janitor_definition(struct am_engine *engine, const char *name);
/* Deletes every object of the store in that namespace (NULL: all) that is not being deleted yet; *ret_left: how many
 * are still there, *ret_held: of these, how many a finalizer holds. */
size_t am_janitor_empty(struct am_engine *engine, struct am_store *store, const char *ns, size_t *ret_left,
			size_t *ret_held);
bool am_janitor_set_condition(struct am_arena *arena, struct am_node *object, const char *type, const char *status,
			      const char *reason, const char *message, int64_t now);

/* crd_status.c: what a definition's status says. */
struct am_crd_verdict {
	struct am_engine *engine;
	struct am_arena *arena;
	const char *conflict, *message;  /* NULL: every name is fine */
	const struct am_node *accepted;  /* the names that it has: of those asked for, the free ones; else what it had */
	bool served;
};
/* Whether it may have the names that it asks for; NULL: it cannot be read. */
struct am_crd_verdict *am_crd_judge(struct am_engine *engine, const struct am_object *crd);
void am_crd_verdict_free(struct am_crd_verdict *verdict);
/* An am_commit with the verdict. */
int am_crd_edit_status(void *verdict, struct am_arena *arena, struct am_node *object);

#endif
