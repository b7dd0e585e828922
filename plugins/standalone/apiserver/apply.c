/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-side apply.  A manager's last apply is what it owns; what it owned, applies no longer and nobody else owns is
 * taken out; to change what somebody else owns is a conflict, unless it is forced, and then ownership moves.  Equal
 * values are owned together.
 *
 * Ownership is tracked from the first apply of an object on: what is there then belongs to "before-first-apply".  Until
 * then other writes cost nothing; from then on each of them takes over what it changes.  An object that nobody ever
 * applied therefore has no managedFields.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"

#define LAST_APPLIED    "kubectl.kubernetes.io/last-applied-configuration"
#define ANNOTATIONS_MAX (256 * 1024)

struct applying {
	struct am_change *change;
	struct am_arena *arena;
	const struct am_write *write;
	struct am_type type;
	struct am_node *live, *config, *merged;
	bool fresh;                     /* nothing is there yet */
	const char *version;            /* "g/v" of the request */
	char now[32];
	struct am_managers managers;    /* all but the one who applies */
	struct am_manager mine, before; /* now, and by the last apply (set NULL: none) */
	const struct am_paths *applied; /* config's set, system fields and all */
};

static const char *
version_of(struct am_change *c)
{
	return am_arena_printf(c->arena, "%s%s%s", c->res->group, c->res->group[0] != '\0' ? "/" : "", c->res->version);
}

/* ---- which fields count */

/* Fields of the system are nobody's. */
static const struct am_paths *
system_paths(struct am_arena *arena)
{
	static const char *const root[] = { "f:apiVersion", "f:kind" };
	static const char *const meta[] = { "f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid",
					    "f:clusterName", "f:generation", "f:managedFields", "f:resourceVersion" };
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * (AM_COUNTOF(root) + 1));
	const struct am_paths **below = am_arena_alloc(arena, sizeof(*below) * AM_COUNTOF(meta));

	if (kids == NULL || below == NULL)
		return NULL;
	for (size_t i = 0; i < AM_COUNTOF(meta); i++)
		below[i] = am_paths_make(arena, am_slice_of(meta[i]), AM_PATH_IN, NULL, 0);
	for (size_t i = 0; i < AM_COUNTOF(root); i++)
		kids[i] = am_paths_make(arena, am_slice_of(root[i]), AM_PATH_IN, NULL, 0);
	kids[AM_COUNTOF(root)] = am_paths_make(arena, AM_SLICE("f:metadata"), AM_PATH_IN, below, AM_COUNTOF(meta));
	return am_arena_failed(arena) ? NULL : am_paths_make(arena, AM_SLICE(""), 0, kids, AM_COUNTOF(root) + 1);
}

/* What a write through this subresource can own.  A status write owns what it says of metadata, even where that is not
 * stored, as upstream has it. */
static const struct am_paths *
ownable(struct am_change *c, const struct am_paths *paths)
{
	static const char *const status[] = { "f:status", NULL }, *const with_meta[] = { "f:status", "f:metadata", NULL };

	paths = am_paths_minus(c->arena, paths, system_paths(c->arena));
	if (am_streq(c->subresource, "status"))
		return am_paths_choose(c->arena, paths, with_meta, true);
	if (c->subresource == NULL && (c->res->flags & AM_RES_STATUS) && !c->res->priv->create_status)
		return am_paths_choose(c->arena, paths, status, false);
	return paths;
}

/* The applied object without what this subresource does not write. */
static void
restrict_config(struct am_change *c, struct am_node *config)
{
	static const char *const kept[] = { "apiVersion", "kind", "metadata", "status" };

	if (c->subresource == NULL) {
		if ((c->res->flags & AM_RES_STATUS) && !c->res->priv->create_status)
			am_node_del(config, "status");
		return;
	}
	for (struct am_node *m = config->first, *next; m != NULL; m = next) {
		bool keep = false;
		next = m->next;
		for (size_t i = 0; i < AM_COUNTOF(kept); i++)
			keep |= strcmp(m->key, kept[i]) == 0;
		if (!keep)
			am_node_remove(config, m);
	}
}

/* ---- the request */

static int
check_config(struct applying *a)
{
	struct am_change *c = a->change;
	const struct am_node *metadata = am_node_get(a->config, "metadata");
	struct am_buf problems = { .max = 32768 };
	int rc = 0;

	am_typed_check(a->arena, &a->type, a->config, &problems);
	if (problems.len > 0) {
		problems.data[problems.len - 1] = '\0';
		bool several = strchr(problems.data, '\n') != NULL;
		rc = am_fail(c->failure, 500, "", "failed to create typed patch object (%s/%s; %s/%s, Kind=%s): %s%s",
			     am_node_get_str(metadata, "namespace", ""), a->write->name, c->res->group, c->res->version, c->res->kind,
			     several ? "errors:\n" : "", problems.data);
	}
	am_buf_fini(&problems);
	return rc;
}

/* What the object says of itself must fit to what is there. */
static int
check_identity(struct applying *a, struct am_node *metadata)
{
	struct am_change *c = a->change;
	const char *uid = am_node_get_str(metadata, "uid", NULL), *now = am_node_get_str(am_node_get(a->live, "metadata"), "uid", "");

	if (a->fresh && am_node_get(metadata, "name") == NULL)
		return am_fail(c->failure, 400, "BadRequest", "the name of the object (%s based on URL) was undeterminable: name must "
			       "be provided", a->write->name);
	if (uid != NULL && a->fresh)
		return am_fail(c->failure, 409, "Conflict", "Operation cannot be fulfilled on %s%s%s \"%s\": uid mismatch: the provided "
			       "object specified uid %.64s, and no existing object was found", c->res->plural,
			       c->res->group[0] != '\0' ? "." : "", c->res->group, a->write->name, uid);
	if (uid != NULL && strcmp(uid, now) != 0) {
		am_failure_cause(c->failure, "FieldValueInvalid", "metadata.uid", "Invalid value: \"%.64s\": field is immutable", uid);
		return am_fail_invalid(c->failure, c->res->kind, c->res->group, a->write->name);
	}
	if (a->fresh)
		am_node_del(metadata, "resourceVersion");
	return 0;
}

/* Names are the URL's; what stands in the body was or will be compared with it. */
static int
read_config(struct applying *a)
{
	struct am_change *c = a->change;
	struct am_node *metadata = am_node_get(a->config, "metadata");

	if (metadata != NULL && metadata->type != AMBIENT_T_OBJECT && metadata->type != AMBIENT_T_NULL)
		return am_fail(c->failure, 400, "BadRequest", "metadata of a %s must be an object", c->res->kind);
	if (metadata == NULL || metadata->type == AMBIENT_T_NULL) {
		metadata = am_node_object(a->arena);
		am_node_set(a->arena, a->config, "metadata", metadata);
	}
	const struct am_node *managed = am_node_get(metadata, "managedFields");
	if (managed != NULL && managed->type != AMBIENT_T_NULL)
		return am_fail(c->failure, 400, "BadRequest", "metadata.managedFields must be nil");
	am_node_del(metadata, "managedFields");
	restrict_config(c, a->config);
	int rc = check_identity(a, metadata);
	if (rc == 0)
		rc = check_config(a);
	if (rc < 0)
		return rc;
	if (am_node_get(metadata, "name") == NULL)
		am_node_set(a->arena, metadata, "name", am_node_str(a->arena, a->write->name));
	if ((c->res->flags & AM_RES_NAMESPACED) && am_node_get(metadata, "namespace") == NULL)
		am_node_set(a->arena, metadata, "namespace", am_node_str(a->arena, c->ns));
	return 0;
}

/* What each owns, by the schema of the version that it wrote: lists and maps may have become one value since. */
static void
reconcile_managers(struct am_change *c, struct am_managers *managers)
{
	for (size_t i = 0; i < managers->n && c->res->priv->schema != NULL; i++) {
		struct am_manager *m = &managers->entries[i];
		const char *slash = strrchr(m->api_version, '/');
		const struct am_resource *res = slash == NULL ? NULL :
			am_engine_resource(c->engine, c->res->group, slash + 1, c->res->plural);

		if (res == NULL)
			continue;
		struct am_type type = am_type_of(res);
		m->set = am_typed_reconcile(c->arena, &type, m->set);
		am_resource_unref(res);
	}
}

/* Who owned what until now; what nobody did belongs to whoever came before. */
static void
read_managers(struct applying *a)
{
	struct am_node *metadata = am_node_get(a->live, "metadata");
	const struct am_node *list = am_node_get(metadata, "managedFields");

	if (!am_managers_parse(a->arena, list, &a->managers))
		a->managers = (struct am_managers){ 0 };
	reconcile_managers(a->change, &a->managers);
	am_node_del(metadata, "managedFields");
	if (a->managers.n == 0 && !a->fresh) {
		struct am_manager before = { "before-first-apply", "Update", a->version, a->mine.subresource, a->now, NULL };
		const struct am_paths *all = am_typed_compare(a->arena, &a->type, am_node_object(a->arena), a->live);
		before.set = ownable(a->change, am_paths_only(a->arena, all, AM_PATH_ADDED));
		am_managers_put(a->arena, &a->managers, &before);
	}
	const struct am_manager *there = am_managers_find(&a->managers, &a->mine);
	if (there != NULL) {
		a->before = *there;
		struct am_manager gone = a->mine;
		gone.set = NULL;
		am_managers_put(a->arena, &a->managers, &gone);
	}
}

/* ---- merge */

static void
merge(struct applying *a)
{
	const struct am_paths *owned;

	a->applied = am_typed_set(a->arena, &a->type, a->config);
	a->mine.set = ownable(a->change, a->applied);
	a->merged = am_typed_merge(a->arena, &a->type, a->live, a->config);
	if (a->before.set == NULL)
		return;
	owned = a->applied;
	for (size_t i = 0; i < a->managers.n; i++)
		owned = am_paths_union(a->arena, owned, a->managers.entries[i].set);
	owned = am_typed_close(a->arena, &a->type, owned);
	am_typed_remove(a->arena, &a->type, a->merged,
			am_paths_minus(a->arena, am_typed_close(a->arena, &a->type, a->before.set), owned));
}

/* ---- conflicts */

struct conflicts {
	struct am_failure *failure;
	struct am_buf text, who; /* text: the paths of one manager, a line each */
	size_t n;
};

static void
add_conflict(void *arg, const char *path)
{
	struct conflicts *conflicts = arg;

	am_failure_cause(conflicts->failure, "FieldManagerConflict", path, "conflict with %s", am_buf_str(&conflicts->who));
	am_buf_addf(&conflicts->text, "\n- %s", path);
	conflicts->n++;
}

static void
describe_manager(const struct am_manager *m, struct am_buf *out)
{
	am_buf_reset(out);
	am_json_add_str(out, m->name);
	if (m->subresource[0] != '\0') {
		am_buf_adds(out, " with subresource ");
		am_json_add_str(out, m->subresource);
	}
	if (strcmp(m->operation, "Update") == 0)
		am_buf_addf(out, " using %s", m->api_version);
}

/* As upstream sorts them: by name, and of one name those with a subresource first. */
static int
conflict_cmp(const void *a, const void *b)
{
	const struct am_manager *x = *(const struct am_manager *const *)a, *y = *(const struct am_manager *const *)b;
	int c = strcmp(x->name, y->name);

	if (c == 0)
		c = strcmp(x->operation, y->operation);
	if (c == 0 && strcmp(x->operation, "Update") == 0)
		c = strcmp(x->api_version, y->api_version);
	if (c == 0)
		c = (x->subresource[0] == '\0') - (y->subresource[0] == '\0');
	return c != 0 ? c : strcmp(x->subresource, y->subresource);
}

/* What kubectl had applied from its own side before, and nobody has changed since, it may change from this side. */
static const struct am_paths *
applied_by_client(struct applying *a)
{
	const char *text = am_node_get_str(am_node_path(a->live, "metadata", "annotations", NULL), LAST_APPLIED, NULL);
	struct am_node *last = text != NULL && strcmp(a->mine.name, "kubectl") == 0
				       ? am_node_parse(a->arena, text, strlen(text), NULL)
				       : NULL;

	if (last == NULL || last->type != AMBIENT_T_OBJECT)
		return NULL;
	const struct am_paths *differs = am_typed_compare(a->arena, &a->type, a->live, last);
	return am_paths_minus(a->arena, am_typed_set(a->arena, &a->type, last),
			      am_paths_only(a->arena, differs, AM_PATH_MODIFIED | AM_PATH_ADDED));
}

static int
conflict_failure(struct applying *a, const struct am_paths *taken, const struct am_paths *allowed)
{
	struct conflicts conflicts = { .failure = a->change->failure };
	const struct am_manager **sorted = am_arena_alloc(a->arena, sizeof(*sorted) * (a->managers.n + 1));
	struct am_buf message = { .max = 65536 };

	for (size_t i = 0; sorted != NULL && i < a->managers.n; i++)
		sorted[i] = &a->managers.entries[i];
	if (sorted != NULL && a->managers.n > 1)
		qsort(sorted, a->managers.n, sizeof(*sorted), conflict_cmp);
	for (size_t i = 0; sorted != NULL && i < a->managers.n; i++) {
		const struct am_paths *both = am_paths_common(a->arena, sorted[i]->set, taken);
		size_t before = conflicts.n;
		describe_manager(sorted[i], &conflicts.who);
		am_buf_reset(&conflicts.text);
		am_paths_each(am_paths_minus(a->arena, both, allowed), add_conflict, &conflicts);
		if (conflicts.n > before)
			am_buf_addf(&message, "%sconflicts with %s:%s", message.len > 0 ? "\n" : "", am_buf_str(&conflicts.who),
				    am_buf_str(&conflicts.text));
	}
	int rc = 0;
	if (conflicts.n > 0) {
		const struct am_cause *only = a->change->failure->causes;
		char *text = conflicts.n == 1 ? am_xasprintf("Apply failed with 1 conflict: %s: %s", only->message, only->field)
					      : am_xasprintf("Apply failed with %zu conflicts: %s", conflicts.n, am_buf_str(&message));
		rc = am_fail(a->change->failure, 409, "Conflict", "%s", text);
		free(text);
	}
	am_buf_fini(&conflicts.text);
	am_buf_fini(&conflicts.who);
	am_buf_fini(&message);
	return rc;
}

/* Ownership of what changes moves; what goes is nobody's any more. */
static void
take(struct am_arena *arena, struct am_managers *managers, const struct am_paths *lost)
{
	for (size_t i = managers->n; i-- > 0;) {
		struct am_manager m = managers->entries[i];
		m.set = am_paths_minus(arena, m.set, lost);
		am_managers_put(arena, managers, &m);
	}
}

/* ---- kubectl's annotation */

/* Where kubectl has left its annotation, it stays true, so that one can go back to applying from the client. */
static void
update_annotation(struct applying *a)
{
	struct am_node *annotations = am_node_path(a->merged, "metadata", "annotations", NULL);
	struct am_buf text = { .max = ANNOTATIONS_MAX };
	size_t total = 0;

	if (strcmp(a->mine.name, "kubectl") != 0 ||
	    am_node_get_str(am_node_path(a->live, "metadata", "annotations", NULL), LAST_APPLIED, NULL) == NULL)
		return;
	struct am_node *config = am_node_clone(a->arena, a->config);
	am_node_del(am_node_path(config, "metadata", "annotations", NULL), LAST_APPLIED);
	am_node_print(config, &text);
	am_buf_addc(&text, '\n');
	if (annotations == NULL) {
		annotations = am_node_object(a->arena);
		am_node_set(a->arena, am_node_get(a->merged, "metadata"), "annotations", annotations);
	}
	am_node_set(a->arena, annotations, LAST_APPLIED, am_node_strn(a->arena, am_buf_str(&text), text.len));
	for (const struct am_node *m = annotations->first; m != NULL; m = m->next)
		total += m->key_len + m->len;
	if (text.failed || total > ANNOTATIONS_MAX)
		am_node_del(annotations, LAST_APPLIED);
	am_buf_fini(&text);
}

/* ---- apply */

/* The subresource, as managedFields have it. */
static const char *
through(const struct am_change *change, const struct am_write *write)
{
	if (change->subresource != NULL)
		return change->subresource;
	return write->through != NULL ? write->through : "";
}

int
am_apply(struct am_change *change, const struct am_write *write, struct am_node *live, struct am_node *config)
{
	struct applying a = {
		.change = change, .arena = change->arena, .write = write, .type = am_type_of(change->res), .live = live,
		.config = config, .fresh = live->count == 0, .version = version_of(change),
	};
	uint32_t bits = AM_PATH_ADDED | AM_PATH_MODIFIED;

	am_time_format(a.now, change->now, false);
	a.mine = (struct am_manager){ write->field_manager, "Apply", a.version,
				      through(change, write), "", NULL };
	int rc = read_config(&a);
	if (rc < 0)
		return rc;
	read_managers(&a);
	merge(&a);
	const struct am_paths *differs = am_typed_compare(a.arena, &a.type, live, a.merged);
	const struct am_paths *taken = ownable(change, am_paths_only(a.arena, differs, bits));
	rc = write->force ? 0 : conflict_failure(&a, taken, applied_by_client(&a));
	if (rc < 0)
		return rc;
	take(a.arena, &a.managers, ownable(change, am_paths_only(a.arena, differs, bits | AM_PATH_REMOVED)));
	bool changed = !am_node_equal(live, a.merged);
	a.mine.time = changed || a.before.set == NULL ? a.now : a.before.time;
	am_managers_put(a.arena, &a.managers, &a.mine);
	update_annotation(&a);
	change->managed = am_managers_print(a.arena, &a.managers);
	change->object = a.merged;
	return 0;
}

/* ---- other writes */

static void
set_managed(struct am_change *c, struct am_node *list)
{
	struct am_node *metadata = am_node_get(c->object, "metadata");

	if (list != NULL)
		am_node_set(c->arena, metadata, "managedFields", list);
	else
		am_node_del(metadata, "managedFields");
}

/* [] and [{}] are how somebody says that nobody shall own anything. */
static bool
is_reset(const struct am_node *list)
{
	return list != NULL && list->type == AMBIENT_T_ARRAY &&
	       (list->count == 0 || (list->count == 1 && list->first->type == AMBIENT_T_OBJECT && list->first->count == 0));
}

static const char *
manager_name(const struct am_write *write)
{
	return !am_empty(write->field_manager) ? write->field_manager : !am_empty(write->agent) ? write->agent : "unknown";
}

void
am_apply_track(struct am_change *change, const struct am_write *write)
{
	const struct am_node *stored = am_node_path(change->old, "metadata", "managedFields", NULL);
	struct am_type type = am_type_of(change->res);
	struct am_managers managers = { 0 };
	char now[32];

	if (write->patch == AM_PATCH_APPLY) {
		set_managed(change, change->managed);
		return;
	}
	bool own = change->subresource == NULL;
	if (own && is_reset(change->sent)) {
		set_managed(change, NULL);
		return;
	}
	if (!(own && am_managers_parse(change->arena, change->sent, &managers) && managers.n > 0) &&
	    !am_managers_parse(change->arena, stored, &managers))
		managers = (struct am_managers){ 0 };
	if (managers.n == 0) {
		set_managed(change, NULL);
		return;
	}
	reconcile_managers(change, &managers);
	const struct am_paths *differs = am_typed_compare(change->arena, &type, change->old, change->object);
	differs = am_paths_minus(change->arena, differs, system_paths(change->arena));
	am_time_format(now, change->now, false);
	struct am_manager mine = { manager_name(write), "Update", version_of(change), through(change, write), now, NULL };
	const struct am_paths *gained = am_paths_only(change->arena, differs, AM_PATH_ADDED | AM_PATH_MODIFIED);
	const struct am_manager *there = am_managers_find(&managers, &mine);
	const struct am_paths *kept = there != NULL ? am_paths_minus(change->arena, there->set,
			am_paths_only(change->arena, differs, AM_PATH_REMOVED)) : NULL;
	if (there != NULL && gained == NULL)
		mine.time = there->time;
	take(change->arena, &managers, am_paths_only(change->arena, differs, ~0u));
	mine.set = am_paths_union(change->arena, kept, gained);
	am_managers_put(change->arena, &managers, &mine);
	am_managers_cap(change->arena, &managers);
	set_managed(change, am_managers_print(change->arena, &managers));
}
