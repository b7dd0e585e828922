/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply and status: make an object be what a draft says, and send nothing when it already is.
 *
 * The present object comes from the cache when the kind is watched, else from the API server.  "Already is" means that
 * every field of the draft has its value in the object; what others (or defaulting) added is left alone.  What has to
 * change is sent as a merge patch with the resource version that was compared, so that a concurrent change is a
 * conflict and a retry, never a lost update.
 */
#include <string.h>

#include "core/host/client_priv.h"

/* Does `there` have everything of `wanted`?  Lists have to have the same length and order. */
static bool
covers(const struct am_node *there, const struct am_node *wanted)
{
	if (there == NULL && wanted->type == AMBIENT_T_NULL)
		return true; /* a merge patch's way to say that a field is to go */
	if (there == NULL || there->type != wanted->type)
		return false;
	if (wanted->type == AMBIENT_T_OBJECT) {
		for (const struct am_node *m = wanted->first; m != NULL; m = m->next) {
			if (!covers(am_node_get(there, m->key), m))
				return false;
		}
		return true;
	}
	if (wanted->type == AMBIENT_T_ARRAY) {
		const struct am_node *t = there->first;
		if (there->count != wanted->count)
			return false;
		for (const struct am_node *w = wanted->first; w != NULL; w = w->next, t = t->next) {
			if (!covers(t, w))
				return false;
		}
		return true;
	}
	return am_node_equal(there, wanted);
}

/* The merge patch that puts what is missing or different of `wanted` into `there`; NULL: nothing. */
static struct am_node *
missing(struct am_arena *arena, const struct am_node *there, const struct am_node *wanted)
{
	if (covers(there, wanted))
		return NULL;
	if (wanted->type != AMBIENT_T_OBJECT || there == NULL || there->type != AMBIENT_T_OBJECT)
		return am_node_clone(arena, wanted);
	struct am_node *patch = am_node_object(arena);
	for (const struct am_node *m = wanted->first; m != NULL; m = m->next) {
		struct am_node *part = missing(arena, am_node_get(there, m->key), m);
		if (part != NULL)
			am_node_set(arena, patch, m->key, part);
	}
	return patch;
}

/* The controller reference of the reconciled object. */
static int
owner_ref(struct ambient_call *call, const struct am_draft_info *d, struct am_node **ret, struct ambient_error *err)
{
	const struct host_call *c = call_of(call);
	struct am_instance *instance = c->reconciler->instance;
	struct am_object *owner = am_store_get(am_informer_store(c->reconciler->watch->informer), c->request->ns, c->request->name);
	const char *api_version, *kind;

	if (owner == NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the object that would own %s \"%s\" is gone", d->kind, d->name);
	if (owner->ns[0] != '\0' && strcmp(owner->ns, d->ns) != 0) {
		am_object_unref(owner);
		return ambient_terminal(err, "%s \"%s\" is in another namespace than its owner; apply it with NO_OWNER", d->kind, d->name);
	}
	int rc = host_kind(instance, c->reconciler->decl->for_kind, &api_version, &kind, err);
	if (rc == 0) {
		struct am_node *ref = am_node_object(d->arena);
		am_node_set(d->arena, ref, "apiVersion", am_node_str(d->arena, api_version));
		am_node_set(d->arena, ref, "kind", am_node_str(d->arena, kind));
		am_node_set(d->arena, ref, "name", am_node_str(d->arena, owner->name));
		am_node_set(d->arena, ref, "uid", am_node_str(d->arena, owner->uid));
		am_node_set(d->arena, ref, "controller", am_node_bool(d->arena, true));
		am_node_set(d->arena, ref, "blockOwnerDeletion", am_node_bool(d->arena, true));
		*ret = ref;
	}
	am_object_unref(owner);
	return rc;
}

/* As server-side apply merges them, by uid: whoever else owns the object goes on owning it.  Two controllers of one
 * object are refused, as by the API server. */
static int
merge_owner(struct am_draft_info *d, const struct am_node *there, struct am_node *ref, struct ambient_error *err)
{
	const struct am_node *list = am_node_path(there, "metadata", "ownerReferences", NULL);
	const char *uid = am_node_get_str(ref, "uid", "");
	struct am_node *refs = am_node_array(d->arena);
	bool placed = false;

	for (const struct am_node *r = list != NULL ? list->first : NULL; r != NULL; r = r->next) {
		const struct am_node *controller = am_node_get(r, "controller");
		if (strcmp(am_node_get_str(r, "uid", ""), uid) == 0) {
			am_node_append(refs, ref);
			placed = true;
		} else if (controller != NULL && controller->type == AMBIENT_T_BOOL && controller->boolean) {
			return ambient_err(err, AMBIENT_E_EXISTS, "%s \"%s\" is already controlled by %s \"%s\"", d->kind, d->name,
					   am_node_get_str(r, "kind", "?"), am_node_get_str(r, "name", "?"));
		} else {
			am_node_append(refs, am_node_clone(d->arena, r));
		}
	}
	if (!placed)
		am_node_append(refs, ref);
	return am_node_set_at(d->arena, d->root, "/metadata/ownerReferences", refs, err);
}

/* The object as it is, as a tree in the call's arena. */
static int
present(struct ambient_call *call, const struct am_draft_info *d, bool live, struct am_node **ret, struct ambient_error *err)
{
	const struct ambient_object *object = NULL;
	bool watched = host_watch_of(instance_of(call->host), d->kind) != NULL;
	int rc = watched && !live ? host_cache_api.get(call, d->kind, d->ns, d->name, &object, err)
				  : host_client_api.get(call, d->kind, d->ns, d->name, &object, err);

	if (rc < 0)
		return rc;
	struct am_slice text = am_object_text(object);
	*ret = am_node_parse(d->arena, text.p, text.n, err);
	return *ret != NULL ? 0 : -err->code;
}

static int
send_patch(struct ambient_call *call, const struct am_draft_info *d, const char *sub, const struct am_node *there,
	   struct am_node *patch, const struct ambient_object **ret, struct ambient_error *err)
{
	const struct host_target t = { .kind = d->kind, .ns = d->ns, .name = d->name, .sub = sub };
	const char *rv = am_node_text(am_node_path(there, "metadata", "resourceVersion", NULL), NULL);
	struct am_buf text = { 0 };

	if (rv != NULL && am_node_set_at(d->arena, patch, "/metadata/resourceVersion", am_node_str(d->arena, rv), err) < 0)
		return -err->code;
	am_node_print(patch, &text);
	int rc = host_patch(call, &t, AMBIENT_PATCH_MERGE, am_buf_str(&text), text.len, ret, err);
	am_buf_fini(&text);
	return rc;
}

static void
give_present(struct ambient_call *call, const struct am_node *there, const struct ambient_object **ret)
{
	struct am_buf text = { 0 };

	if (ret == NULL)
		return;
	am_node_print(there, &text);
	*ret = am_object_copy(call_of(call)->head.pool, am_buf_str(&text), text.len);
	am_buf_fini(&text);
}

int
host_apply(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	struct am_draft_info d;
	struct am_node *there = NULL, *owner = NULL;

	err = err != NULL ? err : &own;
	int rc = am_draft_open(draft, &d, err);
	if (rc == 0 && (flags & AMBIENT_APPLY_NO_OWNER) == 0)
		rc = owner_ref(call, &d, &owner, err);
	if (rc < 0)
		return rc;
	(void)am_node_del(am_node_get(d.root, "metadata"), "resourceVersion");
	rc = present(call, &d, false, &there, err);
	if (rc == -AMBIENT_E_NOTFOUND) {
		if (owner != NULL && (rc = merge_owner(&d, NULL, owner, err)) < 0)
			return rc;
		rc = host_write(call, &d, NULL, AM_VERB_CREATE, ret, err);
		if (rc != -AMBIENT_E_EXISTS)
			return rc;
		rc = present(call, &d, true, &there, err);
	}
	if (rc == 0 && owner != NULL)
		rc = merge_owner(&d, there, am_node_clone(d.arena, owner), err);
	if (rc < 0)
		return rc;
	struct am_node *patch = missing(d.arena, there, d.root);
	if (patch == NULL) {
		give_present(call, there, ret);
		return 0;
	}
	return send_patch(call, &d, NULL, there, patch, ret, err);
}

int
host_status(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object **ret, struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	struct am_draft_info d;
	struct am_node *there = NULL;

	err = err != NULL ? err : &own;
	int rc = am_draft_open(draft, &d, err);
	if (rc == 0)
		rc = present(call, &d, false, &there, err);
	if (rc < 0)
		return rc;
	const struct am_node *wanted = am_node_get(d.root, "status");
	const char *drafted = am_node_text(am_node_path(d.root, "metadata", "resourceVersion", NULL), NULL);
	const char *now = am_node_text(am_node_path(there, "metadata", "resourceVersion", NULL), NULL);
	if (wanted == NULL)
		return ambient_terminal(err, "the status of %s \"%s\" is empty", d.kind, d.name);
	if (drafted != NULL && now != NULL && strcmp(drafted, now) != 0)
		return ambient_err(err, AMBIENT_E_CONFLICT, "%s \"%s\" has changed meanwhile", d.kind, d.name);
	/* A draft of the object itself says everything, also what is to go; a new one says what it names. */
	const struct am_node *status = am_node_get(there, "status");
	struct am_node *part = drafted != NULL ? am_patch_diff(d.arena, status, wanted) : missing(d.arena, status, wanted);
	if (part == NULL) {
		give_present(call, there, ret);
		return 0;
	}
	struct am_node *patch = am_node_object(d.arena);
	am_node_set(d.arena, patch, "status", part);
	return send_patch(call, &d, "status", there, patch, ret, err);
}
