/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status of a definition.  Names are first come, first served within a group: a definition has what it was given
 * until it goes or asks for something else, and is told which of its wishes somebody else has.  The names of builtin
 * kinds are taken for ever.  Established never goes back.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/crd.h"
#include "plugins/standalone/apiserver/janitor.h"

struct taken {
	struct am_map *resources, *kinds;
};

static void
take(struct am_map *map, const char *name)
{
	if (!am_empty(name))
		am_map_put(map, name, map);
}

/* ---- what others have ---- */

static void
take_builtin(struct am_engine *engine, const char *group, struct taken *taken)
{
	size_t n;
	const struct am_resource **list = am_engine_resources(engine, &n, NULL);

	for (size_t i = 0; i < n; i++) {
		const struct am_resource *r = list[i];
		if ((r->flags & AM_RES_CUSTOM) || strcmp(r->group, group) != 0)
			continue;
		take(taken->resources, r->plural);
		take(taken->resources, r->singular);
		for (size_t k = 0; r->short_names != NULL && r->short_names[k] != NULL; k++)
			take(taken->resources, r->short_names[k]);
		take(taken->kinds, r->kind);
		take(taken->kinds, r->list_kind);
	}
	am_resources_free(list, n);
}

static void
take_accepted(struct am_arena *arena, const struct am_object *crd, struct taken *taken)
{
	struct am_slice text;

	if (!am_json_find(am_object_text(crd), "/status/acceptedNames", &text))
		return;
	const struct am_node *names = am_node_parse(arena, text.p, text.n, NULL), *shorts = am_node_get(names, "shortNames");
	take(taken->resources, am_node_get_str(names, "plural", NULL));
	take(taken->resources, am_node_get_str(names, "singular", NULL));
	for (const struct am_node *e = shorts != NULL ? shorts->first : NULL; e != NULL; e = e->next)
		take(taken->resources, am_node_text(e, NULL));
	take(taken->kinds, am_node_get_str(names, "kind", NULL));
	take(taken->kinds, am_node_get_str(names, "listKind", NULL));
}

static void
take_others(struct am_crd_verdict *v, const char *group, const char *name, struct taken *taken)
{
	struct am_cursor c = { 0, 0 };

	am_lock(&v->engine->lock);
	struct am_sorted *list = am_sorted_ref(v->engine->crds->objects);
	am_unlock(&v->engine->lock);
	for (struct am_object *crd; (crd = am_sorted_next(list, &c)) != NULL;) {
		struct am_slice its;
		if (strcmp(crd->name, name) != 0 && am_json_find(am_object_text(crd), "/spec/group", &its) &&
		    am_json_str_eq(its, group))
			take_accepted(v->arena, crd, taken);
	}
	am_sorted_unref(list);
	take_builtin(v->engine, group, taken);
}

/* ---- what this one gets ---- */

/* One name: what it asks for when it is free, else what it had; the last conflict is the one that is told. */
static void
grant(struct am_crd_verdict *v, struct am_node *accepted, const struct am_node *wanted, const char *key,
      const struct am_map *taken, const char *reason)
{
	const char *name = am_node_get_str(wanted, key, "");

	if (*name == '\0' || !am_map_has(taken, name)) {
		if (*name != '\0' || am_node_get(accepted, key) != NULL)
			am_node_set(v->arena, accepted, key, am_node_str(v->arena, name));
		return;
	}
	v->conflict = reason;
	v->message = am_arena_printf(v->arena, "\"%.250s\" is already in use", name);
}

/* All of the short names or none. */
static void
grant_short_names(struct am_crd_verdict *v, struct am_node *accepted, const struct am_node *wanted, const struct am_map *taken)
{
	const struct am_node *list = am_node_get(wanted, "shortNames");
	struct am_buf text = { .max = 4096 };
	size_t n = 0;

	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next)
		if (am_map_has(taken, am_node_text(e, "")))
			am_buf_addf(&text, "%s\"%s\" is already in use", n++ > 0 ? ", " : "", am_node_text(e, ""));
	if (n == 0 && list != NULL) {
		am_node_set(v->arena, accepted, "shortNames", am_node_clone(v->arena, list));
	} else if (n == 0) {
		am_node_del(accepted, "shortNames");
	} else {
		v->conflict = "ShortNamesConflict";
		v->message = am_arena_printf(v->arena, n > 1 ? "[%s]" : "%s", am_buf_str(&text));
	}
	am_buf_fini(&text);
}

static void
judge_names(struct am_crd_verdict *v, const struct am_node *root, const struct taken *taken)
{
	const struct am_node *wanted = am_node_path(root, "spec", "names", NULL), *categories = am_node_get(wanted, "categories");
	const struct am_node *had = am_node_path(root, "status", "acceptedNames", NULL);
	struct am_node *accepted = had != NULL ? am_node_clone(v->arena, had) : am_node_object(v->arena);

	grant(v, accepted, wanted, "plural", taken->resources, "PluralConflict");
	grant(v, accepted, wanted, "singular", taken->resources, "SingularConflict");
	grant_short_names(v, accepted, wanted, taken->resources);
	grant(v, accepted, wanted, "kind", taken->kinds, "KindConflict");
	grant(v, accepted, wanted, "listKind", taken->kinds, "ListKindConflict");
	if (categories != NULL)
		am_node_set(v->arena, accepted, "categories", am_node_clone(v->arena, categories));
	else
		am_node_del(accepted, "categories");
	for (int i = 0; i < 2; i++) { /* these two are always there */
		const char *key = i == 0 ? "plural" : "kind";
		if (am_node_get(accepted, key) == NULL)
			am_node_set(v->arena, accepted, key, am_node_str(v->arena, ""));
	}
	v->accepted = accepted;
}

struct am_crd_verdict *
am_crd_judge(struct am_engine *engine, const struct am_object *crd)
{
	struct am_arena *arena = am_arena_new();
	struct am_crd_verdict *v = am_xcalloc(1, sizeof(*v));
	const struct am_node *root = am_node_parse(arena, crd->body, crd->len, NULL);
	struct taken taken = { am_map_new(), am_map_new() };

	*v = (struct am_crd_verdict){ .engine = engine, .arena = arena };
	take_others(v, am_node_get_str(am_node_get(root, "spec"), "group", ""), crd->name, &taken);
	if (root != NULL)
		judge_names(v, root, &taken);
	v->served = root != NULL && (v->conflict == NULL || am_crd_established(crd));
	am_map_free(taken.resources);
	am_map_free(taken.kinds);
	if (root != NULL)
		return v;
	am_crd_verdict_free(v);
	return NULL;
}

void
am_crd_verdict_free(struct am_crd_verdict *v)
{
	if (v == NULL)
		return;
	am_arena_free(v->arena);
	free(v);
}

/* ---- conditions ---- */

/* Only groups that are Kubernetes' own have it. */
static bool
edit_approval(struct am_arena *arena, struct am_node *object, int64_t now)
{
	static const struct { const char *status, *reason; } states[] = {
		[AM_CRD_APPROVED] = { "True", "ApprovedAnnotation" },
		[AM_CRD_UNAPPROVED] = { "False", "UnapprovedAnnotation" },
		[AM_CRD_APPROVAL_MISSING] = { "False", "MissingAnnotation" },
		[AM_CRD_APPROVAL_INVALID] = { "False", "InvalidAnnotation" },
	};
	char message[1024];

	if (!am_crd_group_protected(am_node_get_str(am_node_get(object, "spec"), "group", "")))
		return false;
	enum am_crd_approval state = am_crd_approval_of(object, message, sizeof(message));
	return am_janitor_set_condition(arena, object, "KubernetesAPIApprovalPolicyConformant", states[state].status,
					states[state].reason, message, now);
}

static bool
condition_is_true(const struct am_node *object, const char *name)
{
	const struct am_node *list = am_node_path(object, "status", "conditions", NULL);

	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next)
		if (strcmp(am_node_get_str(e, "type", ""), name) == 0)
			return strcmp(am_node_get_str(e, "status", ""), "True") == 0;
	return false;
}

int
am_crd_edit_status(void *verdict, struct am_arena *arena, struct am_node *object)
{
	struct am_crd_verdict *v = verdict;
	int64_t now = am_clock_wall(v->engine->clock);
	bool fine = v->conflict == NULL;
	bool changed = am_janitor_set_condition(arena, object, "NamesAccepted", fine ? "True" : "False",
						fine ? "NoConflicts" : v->conflict, fine ? "no conflicts found" : v->message, now);

	if (fine)
		changed |= am_janitor_set_condition(arena, object, "Established", "True", "InitialNamesAccepted",
						    "the initial names have been accepted", now);
	else if (!condition_is_true(object, "Established"))
		changed |= am_janitor_set_condition(arena, object, "Established", "False", "NotAccepted",
						    "not all names are accepted", now);
	changed |= edit_approval(arena, object, now);
	struct am_node *status = am_node_get(object, "status"), *accepted = am_node_get(status, "acceptedNames");
	if (accepted == NULL || !am_node_equal(accepted, v->accepted)) {
		am_node_set(arena, status, "acceptedNames", am_node_clone(arena, v->accepted));
		changed = true;
	}
	return changed ? 0 : -AMBIENT_E_EXISTS;
}
