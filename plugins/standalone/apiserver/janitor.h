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

#endif
