/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triggers.  A change passes the predicates or not; then its old and its new state are each mapped to names, and the
 * names are told once each.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/trigger/trigger_priv.h"

#define NAME_MAX_LEN 253

struct am_trigger {
	struct am_trigger_options opt; /* strings are copies */
	struct am_selector *labels, *fields;
	struct am_when *when;
};

/* One run: what was told already, and to whom to tell. */
struct run {
	const struct am_trigger *trigger;
	struct am_map *told;
	am_trigger_f *fn;
	void *arg;
	int priority;
};

/* Names that could not be an object's come from labels, annotations and owner references: from outside. */
static void
tell(struct run *run, const char *ns, const char *name)
{
	size_t n = strlen(name);
	char *key;

	if (n == 0 || n > NAME_MAX_LEN || strlen(ns) > NAME_MAX_LEN || strchr(name, '/') != NULL)
		return;
	key = am_xasprintf("%s/%s", ns, name);
	if (!am_map_has(run->told, key)) {
		am_map_put(run->told, key, run);
		run->fn(run->arg, ns, name, run->priority);
	}
	free(key);
}

/* ---- maps */

static void
map_self(struct run *run, const struct am_object *object)
{
	tell(run, object->ns, object->name);
}

/* Is the reconciled object of that name in no namespace?  What is not in the store yet wakes itself when it comes. */
static bool
is_cluster_scoped(const struct run *run, const char *name)
{
	const struct am_trigger_options *opt = &run->trigger->opt;
	struct am_object *there =
		!opt->cluster_scoped && opt->stores != NULL ? am_stores_get(opt->stores, "", name) : NULL;

	am_object_unref(there);
	return opt->cluster_scoped || there != NULL;
}

static bool
group_is(const char *api_version, const char *group)
{
	const char *slash = strchr(api_version, '/');
	size_t n = slash != NULL ? (size_t)(slash - api_version) : 0;

	if (slash != NULL && strchr(slash + 1, '/') != NULL)
		return false;
	return strlen(group) == n && strncmp(api_version, group, n) == 0;
}

static void
map_owner_ref(struct run *run, const struct am_object *object, struct am_slice ref)
{
	const struct am_trigger_options *opt = &run->trigger->opt;
	am_auto(am_freep) char *version = am_json_dup(ref, "/apiVersion");
	am_auto(am_freep) char *kind = am_json_dup(ref, "/kind");
	am_auto(am_freep) char *name = am_json_dup(ref, "/name");
	char wanted[128] = "";

	if (version == NULL || kind == NULL || name == NULL || am_json_bool(ref, "/controller", 0) != 1)
		return;
	if (opt->owner_kind != NULL)
		opt->owner_kind(opt->owner_kind_arg, wanted);
	if (group_is(version, opt->owner_group) && (wanted[0] == '\0' || strcmp(kind, wanted) == 0))
		tell(run, is_cluster_scoped(run, name) ? "" : object->ns, name);
}

static void
map_owner(struct run *run, const struct am_object *object)
{
	struct am_slice refs, ref;

	if (!am_json_find(object->json, "/metadata/ownerReferences", &refs) || am_json_type(refs) != AMBIENT_T_ARRAY)
		return;
	for (size_t it = 0; am_json_element(refs, &it, &ref);)
		map_owner_ref(run, object, ref);
}

static void
tell_list(struct run *run, const struct am_store_query *query)
{
	struct am_objects objects;

	if (am_stores_list(run->trigger->opt.stores, query, &objects, NULL) < 0)
		return;
	for (size_t i = 0; i < objects.count; i++)
		tell(run, objects.items[i]->ns, objects.items[i]->name);
	am_objects_fini(&objects);
}

static void
map_namespace(struct run *run, const struct am_object *object)
{
	const char *ns = object->ns[0] != '\0' ? object->ns : object->name;
	struct am_object *same = am_stores_get(run->trigger->opt.stores, "", ns);

	if (same != NULL)
		tell(run, "", ns);
	am_object_unref(same);
	tell_list(run, &(struct am_store_query){.ns = ns, .names = true});
}

static void
tell_value(struct run *run, const struct am_object *object, const char *value, bool qualified)
{
	const char *slash = qualified ? strchr(value, '/') : NULL;

	if (slash != NULL) {
		am_auto(am_freep) char *ns = am_xstrndup(value, (size_t)(slash - value));

		tell(run, ns, slash + 1);
	} else if (is_cluster_scoped(run, value)) {
		tell(run, "", value);
	} else if (object->ns[0] != '\0') { /* else nobody says in which namespace */
		tell(run, object->ns, value);
	}
}

static void
map_label(struct run *run, const struct am_object *object)
{
	am_auto(am_freep) char *value = am_object_label(object, run->trigger->opt.key);

	if (value != NULL)
		tell_value(run, object, value, false);
}

static void
map_annotation(struct run *run, const struct am_object *object)
{
	am_auto(am_freep) char *value = am_object_annotation(object, run->trigger->opt.key);

	if (value != NULL)
		tell_value(run, object, value, true);
}

static void
map_index(struct run *run, const struct am_object *object)
{
	tell_list(run,
		  &(struct am_store_query){.ns = object->ns, .index = run->trigger->opt.key, .value = object->name, .names = true});
}

static void
map_all(struct run *run, const struct am_object *object)
{
	tell_list(run, &(struct am_store_query){.names = true});
}

static const struct {
	const char *name;
	bool key; /* "name:KEY" */
	bool store;
	void (*fn)(struct run *run, const struct am_object *object);
} maps[] = {
	[AM_MAP_SELF] = {"self", false, false, map_self},
	[AM_MAP_OWNER] = {"owner", false, false, map_owner},
	[AM_MAP_NAMESPACE] = {"namespace", false, true, map_namespace},
	[AM_MAP_LABEL] = {"label", true, false, map_label},
	[AM_MAP_ANNOTATION] = {"annotation", true, false, map_annotation},
	[AM_MAP_INDEX] = {"index", true, true, map_index},
	[AM_MAP_ALL] = {"all", false, true, map_all},
};

int
am_trigger_parse_map(const char *text, enum am_trigger_map *map, const char **key, struct ambient_error *err)
{
	for (size_t i = 0; i < AM_COUNTOF(maps); i++) {
		size_t n = strlen(maps[i].name);

		if (strncmp(text, maps[i].name, n) != 0)
			continue;
		if (maps[i].key ? text[n] == ':' && text[n + 1] != '\0' : text[n] == '\0') {
			*map = (enum am_trigger_map)i;
			*key = maps[i].key ? text + n + 1 : NULL;
			return 0;
		}
	}
	return ambient_err(
		err, AMBIENT_E_INVALID,
		"map \"%.100s\" is none of self, owner, namespace, label:KEY, annotation:KEY, index:NAME, all", text);
}

/* ---- life */

int
am_trigger_new(const struct am_trigger_options *options, struct am_trigger **ret, struct ambient_error *err)
{
	struct am_trigger *trigger;
	int rc = 0;

	*ret = NULL;
	if (maps[options->map].key && am_empty(options->key))
		return ambient_err(err, AMBIENT_E_INVALID, "map \"%s\" needs a key", maps[options->map].name);
	if (maps[options->map].store && options->stores == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "map \"%s\" needs the store of the reconciled kind",
				   maps[options->map].name);
	if (options->map == AM_MAP_OWNER && options->owner_group == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "map \"owner\" needs the group of the reconciled kind");
	trigger = am_xcalloc(1, sizeof(*trigger));
	trigger->opt = *options;
	trigger->opt.key = am_xstrdup(options->key);
	trigger->opt.owner_group = am_xstrdup(options->owner_group);
	trigger->opt.selector = trigger->opt.field = trigger->opt.when = NULL;
	if (!am_empty(options->selector))
		rc = am_selector_labels(options->selector, &trigger->labels, err);
	if (rc == 0 && !am_empty(options->field))
		rc = am_selector_fields(options->field, &trigger->fields, err);
	if (rc == 0 && !am_empty(options->when))
		rc = am_when_new(options->when, &trigger->when, err);
	if (rc < 0) {
		am_trigger_free(trigger);
		return rc;
	}
	*ret = trigger;
	return 0;
}

void
am_trigger_free(struct am_trigger *trigger)
{
	if (trigger == NULL)
		return;
	am_selector_free(trigger->labels);
	am_selector_free(trigger->fields);
	am_when_free(trigger->when);
	free((void *)(uintptr_t)trigger->opt.key);
	free((void *)(uintptr_t)trigger->opt.owner_group);
	free(trigger);
}

/* ---- running */

static bool
wanted(const struct am_trigger *trigger, const struct am_object *object)
{
	return object != NULL && am_selector_match(trigger->labels, object) &&
	       am_selector_match(trigger->fields, object);
}

static bool
passes(const struct am_trigger *trigger, const struct am_change *change)
{
	const struct am_object *before = change->before, *after = change->after;

	if (!am_when_passes(trigger->when, change))
		return false;
	return wanted(trigger, before) || wanted(trigger, after);
}

enum am_cause_type
am_trigger_cause(const struct am_change *change)
{
	const struct am_object *before = change->before, *after = change->after;

	if (after == NULL)
		return AM_CAUSE_DELETED;
	if (change->initial)
		return AM_CAUSE_LISTED;
	if (before == NULL)
		return AM_CAUSE_ADDED;
	return strcmp(before->rv, after->rv) == 0 ? AM_CAUSE_RESYNC : AM_CAUSE_CHANGED;
}

void
am_trigger_run(const struct am_trigger *trigger, const struct am_change *change, am_trigger_f *fn, void *arg)
{
	const struct am_object *before = change->before, *after = change->after;
	enum am_cause_type cause = am_trigger_cause(change);
	struct run run = {.trigger = trigger, .fn = fn, .arg = arg, .priority = AM_QUEUE_NORMAL};

	if (!passes(trigger, change))
		return;
	if (cause == AM_CAUSE_LISTED || cause == AM_CAUSE_RESYNC)
		run.priority = AM_QUEUE_LOW;
	run.told = am_map_new();
	if (after != NULL)
		maps[trigger->opt.map].fn(&run, after);
	if (before != NULL)
		maps[trigger->opt.map].fn(&run, before);
	am_map_free(run.told);
}
