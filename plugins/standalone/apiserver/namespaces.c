/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a namespace: nothing new is let in (the writer checks), everything in it is deleted, and when nothing is
 * left the finalizer "kubernetes" goes, and with it the namespace.  What finalizers hold keeps it waiting, which its
 * conditions say.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/janitor.h"

bool
am_janitor_set_condition(struct am_arena *arena, struct am_node *object, const char *type, const char *status,
			 const char *reason, const char *message, int64_t now)
{
	struct am_node *state = am_node_get(object, "status"), *list, *c = NULL;
	char time[32];

	if (state == NULL) {
		am_node_set(arena, object, "status", am_node_object(arena));
		state = am_node_get(object, "status");
	}
	list = am_node_get(state, "conditions");
	if (list == NULL || list->type != AMBIENT_T_ARRAY) {
		am_node_set(arena, state, "conditions", am_node_array(arena));
		list = am_node_get(state, "conditions");
	}
	for (struct am_node *e = list->first; e != NULL; e = e->next)
		if (strcmp(am_node_get_str(e, "type", ""), type) == 0)
			c = e;
	if (c != NULL && strcmp(am_node_get_str(c, "status", ""), status) == 0 &&
	    strcmp(am_node_get_str(c, "reason", ""), reason) == 0 && strcmp(am_node_get_str(c, "message", ""), message) == 0)
		return false;
	bool flips = c == NULL || strcmp(am_node_get_str(c, "status", ""), status) != 0;
	if (c == NULL) {
		c = am_node_object(arena);
		am_node_append(list, c);
		am_node_set(arena, c, "type", am_node_str(arena, type));
	}
	am_time_format(time, now, false);
	am_node_set(arena, c, "status", am_node_str(arena, status));
	if (flips)
		am_node_set(arena, c, "lastTransitionTime", am_node_str(arena, time));
	am_node_set(arena, c, "reason", am_node_str(arena, reason));
	am_node_set(arena, c, "message", am_node_str(arena, message));
	return true;
}

struct state {
	struct am_engine *engine;
	size_t left, held;
	struct am_buf text;
};

static int
finish(void *arg, struct am_arena *arena, struct am_node *object)
{
	struct am_node *spec = am_node_get(object, "spec");

	return am_node_del(spec, "finalizers") ? 0 : -AMBIENT_E_EXISTS;
}

static int
report(void *arg, struct am_arena *arena, struct am_node *object)
{
	struct state *s = arg;
	int64_t now = am_clock_wall(s->engine->clock);
	bool changed = false;

	changed |= am_janitor_set_condition(arena, object, "NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered",
					    "All resources successfully discovered", now);
	changed |= am_janitor_set_condition(arena, object, "NamespaceDeletionGroupVersionParsingFailure", "False",
					    "ParsedGroupVersions", "All legacy kube types successfully parsed", now);
	changed |= am_janitor_set_condition(arena, object, "NamespaceDeletionContentFailure", "False", "ContentDeleted",
					    "All content successfully deleted, may be waiting on finalization", now);
	changed |= am_janitor_set_condition(arena, object, "NamespaceContentRemaining", "True", "SomeResourcesRemain",
					    am_buf_str(&s->text), now);
	changed |= am_janitor_set_condition(arena, object, "NamespaceFinalizersRemaining", s->held > 0 ? "True" : "False",
					    s->held > 0 ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
					    s->held > 0 ? "Some content in the namespace has finalizers remaining"
							: "All content-preserving finalizers finished", now);
	return changed ? 0 : -AMBIENT_E_EXISTS;
}

/* Every namespaced resource; the list of stores only grows, at its head. */
static size_t
empty_all(struct am_engine *engine, const char *name, struct state *s)
{
	size_t steps = 0;

	am_lock(&engine->lock);
	struct am_store *store = engine->stores;
	am_unlock(&engine->lock);
	am_buf_adds(&s->text, "Some resources are remaining: ");
	size_t start = s->text.len;
	for (; store != NULL; store = store->next) {
		size_t left, held;
		am_lock(&engine->lock);
		bool namespaced = store->namespaced;
		am_unlock(&engine->lock);
		if (!namespaced)
			continue;
		steps += am_janitor_empty(engine, store, name, &left, &held);
		s->left += left;
		s->held += held;
		if (left > 0)
			am_buf_addf(&s->text, "%s%s%s%s has %zu resource instances", s->text.len > start ? ", " : "", store->plural,
				    store->group[0] != '\0' ? "." : "", store->group, left);
	}
	return steps;
}

size_t
am_janitor_namespace(struct am_engine *engine, const char *name)
{
	struct state s = { .engine = engine };
	struct am_object *ns = am_engine_peek(engine, "", "namespaces", NULL, name);
	struct am_commit done = { finish, NULL }, wait = { report, &s };

	if (ns == NULL || !(ns->flags & AM_OBJ_DELETING)) {
		am_object_unref(ns);
		return 0;
	}
	size_t steps = empty_all(engine, name, &s);
	steps += am_change_edit(engine, engine->namespaces, "", name, ns->uid, s.left == 0 ? &done : &wait, NULL) == 0;
	am_buf_fini(&s.text);
	am_object_unref(ns);
	return steps;
}
