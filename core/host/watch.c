/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watches of an instance: its declarations become informers and triggers.  One informer serves every declaration of
 * the same kind and selection; each declaration is one trigger on it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/host_priv.h"

static bool
same(const char *a, const char *b)
{
	return am_empty(a) ? am_empty(b) : am_streq(a, b);
}

struct host_watch *
host_watch_of(struct am_instance *instance, const char *kind)
{
	struct host_watch *best = NULL;

	for (size_t i = 0; i < instance->watch_count; i++) {
		struct host_watch *w = &instance->watches[i];
		bool whole = w->labels == NULL && w->fields == NULL && w->only == NULL;
		if (strcmp(w->kind, kind) == 0 && (best == NULL || whole))
			best = w;
	}
	return best;
}

static bool
keeps(const void *projection, const char *pointer)
{
	return am_projection_keeps(projection, pointer);
}

/* Says what is to be watched; whether and where that can be done, host_watches_open finds out. */
static struct host_watch *
want_watch(struct am_instance *instance, const char *kind, const char *labels, const char *fields, const char *only)
{
	for (size_t i = 0; i < instance->watch_count; i++) {
		struct host_watch *w = &instance->watches[i];
		if (strcmp(w->kind, kind) == 0 && same(w->labels, labels) && same(w->fields, fields) &&
		    (w->only == NULL || same(w->only, only)))
			return w;
	}
	struct host_watch *w = &instance->watches[instance->watch_count++];
	w->kind = am_xstrdup(kind);
	w->labels = am_empty(labels) ? NULL : am_xstrdup(labels);
	w->fields = am_empty(fields) ? NULL : am_xstrdup(fields);
	w->only = am_xstrdup(only);
	/* What is wrong with it, the informer says. */
	if (only != NULL && am_projection_parse(only, &w->projection, NULL) == 0)
		w->readable = (struct am_object_parts){ keeps, w->projection, w->kind, w->only };
	w->stores = am_stores_new();
	return w;
}

static int
link_trigger(struct host_watch *w, struct host_reconciler *r, const struct am_trigger_options *options,
	     struct ambient_error *err)
{
	struct am_trigger *trigger;
	int rc = am_trigger_new(options, &trigger, err);

	if (rc < 0)
		return rc;
	w->links = am_xrealloc(w->links, w->link_count + 1, sizeof(*w->links));
	w->links[w->link_count++] = (struct host_link){trigger, r};
	return 0;
}

static void
for_object_kind(void *arg, char buf[128])
{
	const struct host_reconciler *r = arg;

	buf[0] = '\0';
	if (host_parts(r->watch) > 0)
		am_informer_object_kind(r->watch->parts[0].informer, buf);
}

static struct am_trigger_options
options_of(struct host_reconciler *r, enum am_trigger_map map)
{
	return (struct am_trigger_options){.map = map, .stores = r->watch->stores};
}

static int
add_declared(struct am_instance *instance, struct host_reconciler *r, const struct am_plugin_watch *declared,
	     struct ambient_error *err)
{
	static const enum am_trigger_map maps[] = {
		[AM_PLUGIN_MAP_SELF] = AM_MAP_SELF,   [AM_PLUGIN_MAP_NAMESPACE] = AM_MAP_NAMESPACE,
		[AM_PLUGIN_MAP_LABEL] = AM_MAP_LABEL, [AM_PLUGIN_MAP_ANNOTATION] = AM_MAP_ANNOTATION,
		[AM_PLUGIN_MAP_ALL] = AM_MAP_ALL,     [AM_PLUGIN_MAP_INDEX] = AM_MAP_INDEX,
	};
	struct host_watch *w = want_watch(instance, declared->kind, declared->labels, declared->fields, declared->only);
	struct am_trigger_options options = options_of(r, maps[declared->map]);
	char *index = declared->map == AM_PLUGIN_MAP_INDEX ? host_index_name(instance, declared->map_key) : NULL;
	options.key = index != NULL ? index : declared->map_key;
	options.when = declared->when;
	int rc = link_trigger(w, r, &options, err);
	free(index);
	return rc;
}

static int
open_reconciler(struct am_instance *instance, struct host_reconciler *r, struct ambient_error *err)
{
	r->watch = want_watch(instance, r->decl->for_kind, NULL, NULL, NULL);
	struct am_trigger_options self = options_of(r, AM_MAP_SELF);
	self.when = instance->when != NULL ? instance->when : r->decl->for_when;
	int rc = link_trigger(r->watch, r, &self, err);
	for (size_t i = 0; rc == 0 && i < r->decl->owns_count; i++) {
		struct host_watch *w = want_watch(instance, r->decl->owns[i], NULL, NULL, NULL);
		struct am_trigger_options owner = options_of(r, AM_MAP_OWNER);
		owner.owner_group = r->group;
		owner.when = r->decl->owns_when[i];
		owner.owner_kind = for_object_kind;
		owner.owner_kind_arg = r;
		rc = link_trigger(w, r, &owner, err);
	}
	for (size_t i = 0; rc == 0 && i < r->decl->watch_count; i++)
		rc = add_declared(instance, r, &r->decl->watches[i], err);
	return rc;
}

/* Names that a change wakes, and why. */
struct waking {
	const struct host_reconciler *reconciler;
	const struct host_watch *watch;
	const struct am_change *change;
	struct am_cause cause;
};

static void
enqueue(void *arg, const char *ns, const char *name, int priority)
{
	const struct waking *w = arg;
	const struct am_host_fence *fence = &w->reconciler->instance->host->fence;
	struct am_cause cause = w->cause;
	bool itself = w->watch == w->reconciler->watch && strcmp(ns, w->change->ns) == 0 &&
		      strcmp(name, w->change->name) == 0;

	/* What is not ours is looked at when it becomes ours: am_instance_requeue, after the store has changed. */
	if (fence->owns != NULL && !fence->owns(fence->arg, ns, name))
		return;
	/* Annotations may name what nobody here sees. */
	if (am_stores_of(w->reconciler->watch->stores, ns) == NULL)
		return;
	cause.ns = itself ? NULL : w->change->ns;
	cause.name = itself ? NULL : w->change->name;
	am_queue_add_for(am_controller_queue(w->reconciler->controller), ns, name, priority, 0, &cause);
}

void
host_watch_changed(void *arg, const struct am_change *change)
{
	const struct host_watch *w = arg;
	const struct am_object *before = change->before, *after = change->after;
	struct waking waking = {.watch = w, .change = change};

	waking.cause = (struct am_cause){
		.type = am_trigger_cause(change),
		.kind = w->kind,
		.old_rv = before != NULL ? before->rv : NULL,
		.new_rv = after != NULL ? after->rv : NULL,
	};
	for (size_t i = 0; i < w->link_count; i++) {
		waking.reconciler = w->links[i].reconciler;
		am_trigger_run(w->links[i].trigger, change, enqueue, &waking);
	}
}

int
host_watches_open(struct am_instance *instance, struct ambient_error *err)
{
	size_t most = 0;

	for (size_t i = 0; i < instance->reconciler_count; i++) {
		const struct am_plugin_reconciler *d = instance->reconcilers[i].decl;
		most += 1 + d->owns_count + d->watch_count;
	}
	/* Pointers into the array are kept, so it never moves. */
	instance->watches = am_xcalloc(most, sizeof(*instance->watches));
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < instance->reconciler_count; i++)
		rc = open_reconciler(instance, &instance->reconcilers[i], err);
	for (size_t i = 0; rc == 0 && i < instance->watch_count; i++)
		rc = host_parts_make(instance, &instance->watches[i], host_parts_answered(instance), err);
	for (size_t i = 0; rc == 0 && i < instance->watch_count; i++)
		host_parts_show(&instance->watches[i]);
	if (rc < 0)
		host_watches_close(instance);
	return rc;
}

void
host_watches_close(struct am_instance *instance)
{
	for (size_t i = 0; i < instance->watch_count; i++) {
		struct host_watch *w = &instance->watches[i];
		for (size_t j = 0; j < w->made; j++) {
			if (w->parts[j].subscription != NULL)
				am_informer_unsubscribe(w->parts[j].subscription);
			w->parts[j].subscription = NULL;
		}
	}
	for (size_t i = 0; i < instance->watch_count; i++) {
		struct host_watch *w = &instance->watches[i];
		for (size_t j = 0; j < w->link_count; j++)
			am_trigger_free(w->links[j].trigger);
		host_parts_close(w);
		free(w->links);
		free(w->kind);
		free(w->labels);
		free(w->fields);
		free(w->only);
		am_projection_free(w->projection);
	}
	free(instance->watches);
	instance->watches = NULL;
	instance->watch_count = 0;
}
