/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delete: preconditions, grace (pods), propagation as finalizers, and either the removal or the mark that starts
 * it.  What a finalizer holds is removed by the write that takes the last one away (change.c), or by the janitor.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/janitor.h"

#define ATTEMPTS 200

struct removal {
	struct am_engine *engine;
	const struct am_resource *res;
	const struct am_delete_options *options;
	struct am_arena *arena;
	struct am_object *old;
	struct am_node *object;
	bool marked;    /* deletionTimestamp is set by this call or was before */
	bool changed;
};

/* ---- options ---- */

static const struct {
	const char *name;
	enum am_propagation value;
} propagations[] = {
	{ "Background", AM_PROPAGATION_BACKGROUND },
	{ "Foreground", AM_PROPAGATION_FOREGROUND },
	{ "Orphan", AM_PROPAGATION_ORPHAN },
};

static void
parse_propagation(const struct am_node *body, struct am_delete_options *options, struct am_failure *failure)
{
	const struct am_node *policy = am_node_get(body, "propagationPolicy"), *orphan = am_node_get(body, "orphanDependents");
	const char *text = am_node_text(policy, NULL);
	bool orphans = orphan != NULL && orphan->type == AMBIENT_T_BOOL;

	if (text != NULL && orphans)
		am_failure_cause(failure, "FieldValueInvalid", "propagationPolicy", "Invalid value: \"%.40s\": orphanDependents and "
				 "deletionPropagation cannot be both set", text);
	if (orphans)
		options->propagation = orphan->boolean ? AM_PROPAGATION_ORPHAN : AM_PROPAGATION_BACKGROUND;
	for (size_t i = 0; text != NULL && i < AM_COUNTOF(propagations); i++)
		if (strcmp(propagations[i].name, text) == 0) {
			options->propagation = propagations[i].value;
			return;
		}
	if (text != NULL)
		am_failure_cause(failure, "FieldValueNotSupported", "propagationPolicy", "Unsupported value: \"%.40s\": supported "
				 "values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"", text);
}

static void
parse_dry_run(const struct am_node *list, struct am_delete_options *options, struct am_failure *failure)
{
	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next) {
		if (am_streq(am_node_text(e, NULL), "All"))
			options->dry_run = true;
		else
			am_failure_cause(failure, "FieldValueNotSupported", "dryRun",
					 "Unsupported value: supported values: \"All\"");
	}
}

int
am_delete_options_parse(struct am_arena *arena, struct am_slice body, struct am_delete_options *options,
			struct am_failure *failure)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *node = am_node_parse(arena, body.p, body.n, &err);

	if (node == NULL || node->type != AMBIENT_T_OBJECT)
		return am_fail(failure, 400, "BadRequest", "the options of the delete cannot be read: %s",
			       node == NULL ? err.message : "not a JSON object");
	const char *kind = am_node_get_str(node, "kind", "DeleteOptions");
	if (strcmp(kind, "DeleteOptions") != 0)
		return am_fail(failure, 400, "BadRequest", "decoded object cannot be converted to DeleteOptions: %.80s", kind);
	options->grace = -1;
	if (am_node_get(node, "gracePeriodSeconds") != NULL &&
	    am_node_get(node, "gracePeriodSeconds")->type != AMBIENT_T_NULL &&
	    !am_node_get_int(node, "gracePeriodSeconds", &options->grace))
		return am_fail(failure, 400, "BadRequest", "gracePeriodSeconds must be an integer");
	if (options->grace < -1)
		options->grace = 1;
	const struct am_node *conditions = am_node_get(node, "preconditions");
	options->uid = am_node_get_str(conditions, "uid", NULL);
	options->resource_version = am_node_get_str(conditions, "resourceVersion", NULL);
	parse_propagation(node, options, failure);
	parse_dry_run(am_node_get(node, "dryRun"), options, failure);
	return failure->n_causes > 0 ? am_fail_invalid(failure, "DeleteOptions", "meta.k8s.io", "") : 0;
}

/* ---- what a delete does to the object ---- */

static bool
is(const struct am_resource *res, const char *group, const char *kind)
{
	return strcmp(res->kind, kind) == 0 && strcmp(res->group, group) == 0;
}

static int
check_preconditions(const struct removal *r, struct am_failure *failure)
{
	const char *uid = r->options->uid, *rv = r->options->resource_version;
	char now[24];

	snprintf(now, sizeof(now), "%llu", (unsigned long long)r->old->rv);
	if (!am_empty(uid) && strcmp(uid, r->old->uid) != 0)
		return am_fail_on(failure, 409, "Conflict", r->res, r->old->name, "cannot be deleted: Precondition failed: UID in "
				  "precondition: %.64s, UID in object meta: %s", uid, r->old->uid);
	if (!am_empty(rv) && strcmp(rv, now) != 0)
		return am_fail_on(failure, 409, "Conflict", r->res, r->old->name, "cannot be deleted: Precondition failed: "
				  "ResourceVersion in precondition: %.24s, ResourceVersion in object meta: %s", rv, now);
	return 0;
}

static int
check_namespace(const struct removal *r, struct am_failure *failure)
{
	static const char *const fixed[] = { "default", "kube-system", "kube-public" };

	if (!is(r->res, "", "Namespace"))
		return 0;
	for (size_t i = 0; i < AM_COUNTOF(fixed); i++)
		if (strcmp(r->old->name, fixed[i]) == 0)
			return am_fail_on(failure, 403, "Forbidden", r->res, r->old->name,
					  "is forbidden: this namespace may not be deleted");
	if (r->old->flags & AM_OBJ_DELETING)
		return am_fail_on(failure, 409, "Conflict", r->res, r->old->name, "cannot be deleted: The system is ensuring all "
				  "content is removed from this namespace.  Upon completion, this namespace will automatically "
				  "be purged by the system.");
	return 0;
}

/* Seconds that the object is given; only pods get any. */
static int64_t
grace_of(const struct removal *r)
{
	const struct am_node *spec = am_node_get(r->object, "spec");
	const char *phase = am_node_get_str(am_node_get(r->object, "status"), "phase", "");
	int64_t grace = 30;

	if (!is(r->res, "", "Pod"))
		return 0;
	if (r->options->grace == 0 || am_empty(am_node_get_str(spec, "nodeName", NULL)) || strcmp(phase, "Succeeded") == 0 ||
	    strcmp(phase, "Failed") == 0)
		return 0;
	if (r->options->grace > 0)
		return r->options->grace;
	am_node_get_int(spec, "terminationGracePeriodSeconds", &grace);
	return AM_MAX(grace, (int64_t)0);
}

static enum am_propagation
propagation_of(const struct removal *r)
{
	if (r->options->propagation != AM_PROPAGATION_DEFAULT)
		return r->options->propagation;
	if (r->old->flags & AM_OBJ_ORPHAN)
		return AM_PROPAGATION_ORPHAN;
	if (r->old->flags & AM_OBJ_FOREGROUND)
		return AM_PROPAGATION_FOREGROUND;
	return is(r->res, "batch", "Job") ? AM_PROPAGATION_ORPHAN : AM_PROPAGATION_BACKGROUND;
}

static void
set_propagation(struct removal *r)
{
	static const char *const names[] = { "foregroundDeletion", "orphan" };
	enum am_propagation p = propagation_of(r);
	const char *want = p == AM_PROPAGATION_FOREGROUND ? names[0] : p == AM_PROPAGATION_ORPHAN ? names[1] : NULL;
	size_t before = am_meta_finalizers(r->object);

	for (size_t i = 0; i < AM_COUNTOF(names); i++)
		if (want == NULL || strcmp(want, names[i]) != 0)
			r->changed |= am_meta_remove_finalizer(r->object, names[i]);
	if (want != NULL)
		am_meta_add_finalizer(r->arena, r->object, want);
	r->changed |= am_meta_finalizers(r->object) != before;
}

/* What the kinds with a life of their own add when their deletion begins. */
static void
begin_kind(struct removal *r, int64_t now)
{
	if (is(r->res, "", "Namespace")) {
		struct am_node *status = am_node_get(r->object, "status");
		if (status == NULL) {
			am_node_set(r->arena, r->object, "status", am_node_object(r->arena));
			status = am_node_get(r->object, "status");
		}
		am_node_set(r->arena, status, "phase", am_node_str(r->arena, "Terminating"));
	} else if (is(r->res, "apiextensions.k8s.io", "CustomResourceDefinition")) {
		am_meta_add_finalizer(r->arena, r->object, "customresourcecleanup.apiextensions.k8s.io");
		am_janitor_set_condition(r->arena, r->object, "Terminating", "True", "InstanceDeletionPending",
			"CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", now);
	}
}

static void
mark(struct removal *r)
{
	struct am_node *metadata = am_node_get(r->object, "metadata");
	int64_t grace = grace_of(r), before = 0, generation;
	bool deleting = am_node_get(metadata, "deletionTimestamp") != NULL;
	char text[32];
	int64_t now = am_clock_wall(r->engine->clock);

	am_node_get_int(metadata, "deletionGracePeriodSeconds", &before);
	if (deleting && grace >= before)
		return;
	r->changed = true;
	am_time_format(text, now + (deleting ? 0 : grace * AM_NS_PER_S), false);
	if (!deleting) {
		begin_kind(r, now);
		am_node_set(r->arena, metadata, "deletionTimestamp", am_node_str(r->arena, text));
		if (r->res->priv->generation && am_node_get_int(metadata, "generation", &generation))
			am_node_set(r->arena, metadata, "generation", am_node_int(r->arena, generation + 1));
	}
	am_node_set(r->arena, metadata, "deletionGracePeriodSeconds", am_node_int(r->arena, grace));
}

static bool
holds(const struct removal *r)
{
	const struct am_node *spec = is(r->res, "", "Namespace") ? am_node_path(r->object, "spec", "finalizers", NULL) : NULL;
	bool crd = is(r->res, "apiextensions.k8s.io", "CustomResourceDefinition");

	return am_meta_finalizers(r->object) > 0 || (spec != NULL && spec->count > 0) || crd || grace_of(r) > 0;
}

/* ---- commit ---- */

static int
finish(struct removal *r, struct am_written *written, struct am_failure *failure)
{
	bool gone = am_change_may_go(r->res->store, r->object);
	struct am_buf raw = { 0 };

	am_change_print(r->object, &raw);
	struct am_op op = { .kind = gone ? AM_OP_DELETE : AM_OP_UPDATE, .store = r->res->store, .ns = r->old->ns,
			    .name = r->old->name, .old = r->old, .raw = raw.data, .len = raw.len };
	int rc = 0;
	written->code = 200;
	written->gone = gone;
	if (r->options->dry_run) {
		written->object = am_object_new(raw.data, raw.len, r->old->rv, 0, 0);
	} else if (!gone && !r->changed) {
		written->object = am_object_ref(r->old);
	} else {
		am_writer_run(r->engine->writer, &op);
		written->object = op.object;
		if (op.result != AM_OP_DONE)
			rc = am_change_refused(&op, r->res, failure);
	}
	am_buf_fini(&raw);
	return rc;
}

/* An object that nothing holds goes at once, in the state that it was in. */
static int
remove_now(struct removal *r, struct am_written *written, struct am_failure *failure)
{
	struct am_buf raw = { 0 };

	am_object_raw(r->old, &raw);
	struct am_op op = { .kind = AM_OP_DELETE, .store = r->res->store, .ns = r->old->ns, .name = r->old->name,
			    .old = r->old, .raw = raw.data, .len = raw.len };
	int rc = 0;
	written->code = 200;
	written->gone = true;
	if (r->options->dry_run) {
		written->object = am_object_ref(r->old);
	} else {
		am_writer_run(r->engine->writer, &op);
		written->object = op.object;
		if (op.result != AM_OP_DONE)
			rc = am_change_refused(&op, r->res, failure);
	}
	am_buf_fini(&raw);
	return rc;
}

static int
one_try(struct removal *r, struct am_written *written, struct am_failure *failure)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = check_preconditions(r, failure);

	if (rc == 0)
		rc = check_namespace(r, failure);
	if (rc < 0)
		return rc;
	struct am_buf raw = { 0 };
	am_object_raw(r->old, &raw);
	r->object = am_node_parse(r->arena, raw.data, raw.len, &err);
	am_buf_fini(&raw);
	if (r->object == NULL)
		return am_fail(failure, 500, "InternalError", "Internal error occurred: %s", err.message);
	set_propagation(r);
	if (!holds(r))
		return remove_now(r, written, failure);
	mark(r);
	return finish(r, written, failure);
}

int
am_engine_delete(struct am_engine *engine, const struct am_resource *res, const char *ns, const char *name,
		 const struct am_delete_options *options, struct am_written *written, struct am_failure *failure)
{
	int rc = 1;

	*written = (struct am_written){ 0 };
	for (int i = 0; rc == 1 && i < ATTEMPTS; i++) {
		struct removal r = { .engine = engine, .res = res, .options = options };
		am_failure_fini(failure);
		r.old = am_engine_peek(engine, res->store->group, res->plural, ns, name);
		if (r.old == NULL)
			return am_fail_not_found(failure, res, name);
		r.arena = am_arena_new();
		rc = one_try(&r, written, failure);
		am_arena_free(r.arena);
		am_object_unref(r.old);
	}
	if (rc == 1)
		rc = am_fail(failure, 500, "ServerTimeout", "the object changes too quickly, try again");
	if (rc == 0 && is(res, "batch", "Job") && options->propagation == AM_PROPAGATION_DEFAULT) {
		written->warnings = am_xcalloc(1, sizeof(*written->warnings));
		written->warnings[0] = am_xstrdup("child pods are preserved by default when jobs are deleted; set propagationPolicy="
						  "Background to remove them or set propagationPolicy=Orphan to suppress this warning");
		written->n_warnings = 1;
	}
	return rc;
}

int
am_engine_delete_collection(struct am_engine *engine, const struct am_resource *res, const char *ns,
			    const struct am_list_query *query, const struct am_delete_options *options,
			    struct am_list *deleted, struct am_failure *failure)
{
	struct am_list list;
	int rc = am_engine_list(engine, res, ns, query, &list, failure);

	*deleted = (struct am_list){ .remaining = -1 };
	if (rc < 0)
		return rc;
	deleted->items = am_xcalloc(list.n + 1, sizeof(*deleted->items));
	for (size_t i = 0; rc == 0 && i < list.n; i++) {
		struct am_written written;
		rc = am_engine_delete(engine, res, list.items[i]->ns, list.items[i]->name, options, &written, failure);
		if (rc == 0)
			deleted->items[deleted->n++] = am_object_ref(written.object);
		if (rc == -AMBIENT_E_NOTFOUND) {
			am_failure_fini(failure);
			rc = 0;
		}
		am_written_fini(&written);
	}
	am_list_fini(&list);
	deleted->rv = am_engine_rv(engine);
	if (rc < 0)
		am_list_fini(deleted);
	return rc;
}
