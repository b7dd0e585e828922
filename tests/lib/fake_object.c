/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of objects in the fake store, and how a call gets at them: through the object table of core/data. */
#include "tests/lib/fake_priv.h"

#include <stdlib.h>

struct fake_object *
fake_object_of(const struct am_node *node)
{
	struct fake_object *obj = am_xcalloc(1, sizeof(*obj));

	obj->arena = am_arena_new();
	obj->node = am_node_clone(obj->arena, node);
	am_node_print(obj->node, &obj->text);
	obj->refs = 1;
	return obj;
}

void
fake_object_unref(void *p)
{
	struct fake_object *obj = p;

	if (obj == NULL || __atomic_sub_fetch(&obj->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	am_arena_free(obj->arena);
	am_buf_fini(&obj->text);
	free(obj);
}

const struct ambient_object *
fake_call_hold(struct fake_call *call, struct fake_object *obj)
{
	__atomic_add_fetch(&obj->refs, 1, __ATOMIC_ACQ_REL);
	return am_object_borrow(call->head.pool, am_buf_str(&obj->text), obj->text.len, fake_object_unref, obj);
}

struct am_arena *
fake_call_arena(struct fake_call *call)
{
	return am_pool_arena(call->head.pool);
}
