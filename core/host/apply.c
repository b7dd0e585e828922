/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apply and status: make an object be what a draft says, and send nothing when it already is.
 *
 * apply is server-side apply with the instance as field manager: a field that a later draft no longer names goes, if
 * nobody else owns it.  It is forced, because the instance decides what its children look like, and it carries the
 * resource version that was compared, so that a concurrent change is a conflict and a retry, never a lost update.
 *
 * Whether something has to be sent is decided here: when the same draft was applied before, by this process, and the
 * object is still the one that came of it or has everything that the draft says (what others or defaulting added does
 * not count).  The first apply of a process is always sent, since the draft may have named more before; the API server
 * writes nothing when nothing changes.
 *
 * status sends what differs as a merge patch.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/util.h"
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
	struct am_object *owner = am_stores_get(c->reconciler->watch->stores, c->request->ns, c->request->name);
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

/* ---- what was applied last */

#define APPLIED_MAX 65536 /* objects of one instance; with more, all are forgotten and sent once more */

struct applied {
	unsigned char digest[16];
	char uid[48], rv[24];
};

static const char *
meta_text(const struct am_node *object, const char *key)
{
	return am_node_text(am_node_path(object, "metadata", key, NULL), "");
}

static bool
applied_before(struct am_instance *instance, const char *key, const struct applied *now, bool *unchanged)
{
	am_lock(&instance->lock);
	const struct applied *last = am_map_get(instance->applied, key);
	bool same = last != NULL && memcmp(last->digest, now->digest, sizeof(now->digest)) == 0 && strcmp(last->uid, now->uid) == 0;
	*unchanged = same && strcmp(last->rv, now->rv) == 0;
	am_unlock(&instance->lock);
	return same;
}

static void
remember(struct am_instance *instance, const char *key, const struct applied *now)
{
	struct applied *copy = am_xcalloc(1, sizeof(*copy));

	*copy = *now;
	am_lock(&instance->lock);
	if (am_map_len(instance->applied) >= APPLIED_MAX) {
		am_map_free(instance->applied);
		instance->applied = am_map_new_owning(free);
	}
	am_map_put(instance->applied, key, copy);
	am_unlock(&instance->lock);
}

/* The object as it is, as a tree in the call's arena. */
static int
present(struct ambient_call *call, const struct am_draft_info *d, bool live, struct am_node **ret, struct ambient_error *err)
{
	const struct ambient_object *object = NULL;
	const struct host_watch *w = host_watch_of(instance_of(call->host), d->kind);
	bool watched = w != NULL && w->projection == NULL && am_stores_of(w->stores, d->ns) != NULL;
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

/* ---- apply */

struct apply {
	struct ambient_call *call;
	struct am_draft_info d;
	struct am_node *owner, *there, *body; /* body: what is sent, without resourceVersion */
	const char *key;
	struct applied now;
};

/* Apply names what is to be there; what is to be absent is said in another way. */
static void
strip_nulls(struct am_node *node)
{
	for (struct am_node *m = node->first, *next; m != NULL; m = next) {
		next = m->next;
		if (m->type == AMBIENT_T_NULL && node->type == AMBIENT_T_OBJECT)
			am_node_remove(node, m);
		else
			strip_nulls(m);
	}
}

/* The nulls of the draft for which there is something, as a merge patch; NULL: none. */
static struct am_node *
removals(struct am_arena *arena, const struct am_node *there, const struct am_node *wanted)
{
	struct am_node *patch = NULL;

	for (const struct am_node *m = wanted->type == AMBIENT_T_OBJECT ? wanted->first : NULL; m != NULL; m = m->next) {
		const struct am_node *present = am_node_get(there, m->key);
		if (present == NULL)
			continue;
		struct am_node *part = m->type == AMBIENT_T_NULL ? am_node_null(arena) : removals(arena, present, m);
		if (part == NULL)
			continue;
		if (patch == NULL)
			patch = am_node_object(arena);
		am_node_set(arena, patch, m->key, part);
	}
	return patch;
}

static int
make_body(struct apply *a, struct ambient_error *err)
{
	struct am_arena *arena = a->d.arena;
	const char *api_version, *kind;
	struct am_buf text = { 0 };
	unsigned char digest[32];
	int rc = host_kind(instance_of(a->call->host), a->d.kind, &api_version, &kind, err);

	if (rc < 0)
		return rc;
	a->body = am_node_clone(arena, a->d.root);
	strip_nulls(a->body);
	am_node_set(arena, a->body, "apiVersion", am_node_str(arena, api_version));
	am_node_set(arena, a->body, "kind", am_node_str(arena, kind));
	if (a->owner != NULL) {
		struct am_node *refs = am_node_array(arena);
		am_node_append(refs, am_node_clone(arena, a->owner));
		rc = am_node_set_at(arena, a->body, "/metadata/ownerReferences", refs, err);
	}
	am_node_print(a->body, &text);
	if (rc == 0 && (text.failed || am_arena_failed(arena)))
		rc = ambient_err(err, AMBIENT_E_NOMEM, "%s \"%s\" is too large", a->d.kind, a->d.name);
	am_sha256(am_buf_str(&text), text.len, digest);
	memcpy(a->now.digest, digest, sizeof(a->now.digest));
	am_buf_fini(&text);
	a->key = am_arena_printf(arena, "%s\n%s\n%s", a->d.kind, a->d.ns, a->d.name);
	return rc < 0 || a->key != NULL ? rc : ambient_err(err, AMBIENT_E_NOMEM, "no memory for %s \"%s\"", a->d.kind, a->d.name);
}

static void
note_version(struct apply *a, const char *uid, const char *rv)
{
	(void)am_strlcpy(a->now.uid, uid, sizeof(a->now.uid));
	(void)am_strlcpy(a->now.rv, rv, sizeof(a->now.rv));
}

static int
send_apply(struct apply *a, const struct ambient_object **ret, struct ambient_error *err)
{
	const struct host_target t = { .kind = a->d.kind, .ns = a->d.ns, .name = a->d.name, .query = "&force=true" };
	const struct ambient_object *answer = NULL;
	struct am_buf text = { 0 };
	int rc = 0;

	if (a->there != NULL)
		rc = am_node_set_at(a->d.arena, a->body, "/metadata/resourceVersion",
				    am_node_str(a->d.arena, meta_text(a->there, "resourceVersion")), err);
	else
		rc = host_permitted(instance_of(a->call->host), &t, AM_VERB_CREATE, err);
	am_node_print(a->body, &text);
	if (rc == 0)
		rc = host_patch(a->call, &t, AMBIENT_PATCH_APPLY, am_buf_str(&text), text.len, &answer, err);
	am_buf_fini(&text);
	if (rc < 0)
		return rc;
	note_version(a, ambient_str(answer, "/metadata/uid", ""), ambient_str(answer, "/metadata/resourceVersion", ""));
	remember(instance_of(a->call->host), a->key, &a->now);
	if (ret != NULL)
		*ret = answer;
	return 0;
}

/* It is not there: apply makes it.  Somebody may have been faster; then it is looked at again. */
static int
apply_new(struct apply *a, const struct ambient_object **ret, struct ambient_error *err)
{
	struct ambient_error other = AMBIENT_ERROR_INIT;
	int rc = send_apply(a, ret, err);

	if (rc != -AMBIENT_E_INVALID && rc != -AMBIENT_E_CONFLICT && rc != -AMBIENT_E_EXISTS)
		return rc;
	return present(a->call, &a->d, true, &a->there, &other) == 0 ? 1 : rc;
}

/* 1: it is what it should be. */
static int
is_applied(struct apply *a, struct ambient_error *err)
{
	struct am_instance *instance = instance_of(a->call->host);
	bool unchanged;
	int rc = a->owner != NULL ? merge_owner(&a->d, a->there, am_node_clone(a->d.arena, a->owner), err) : 0;

	if (rc < 0)
		return rc;
	note_version(a, meta_text(a->there, "uid"), meta_text(a->there, "resourceVersion"));
	if (!applied_before(instance, a->key, &a->now, &unchanged))
		return 0;
	if (!unchanged && !covers(a->there, a->d.root))
		return 0;
	remember(instance, a->key, &a->now);
	return 1;
}

int
host_apply(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	struct apply a = { .call = call };

	err = err != NULL ? err : &own;
	int rc = am_draft_open(draft, &a.d, err);
	if (rc == 0 && (flags & AMBIENT_APPLY_NO_OWNER) == 0)
		rc = owner_ref(call, &a.d, &a.owner, err);
	if (rc < 0)
		return rc;
	(void)am_node_del(am_node_get(a.d.root, "metadata"), "resourceVersion");
	rc = make_body(&a, err);
	if (rc == 0)
		rc = present(call, &a.d, false, &a.there, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		rc = apply_new(&a, ret, err);
	if (rc < 0 || a.there == NULL)
		return rc;
	struct am_node *gone = removals(a.d.arena, a.there, a.d.root);
	const struct ambient_object *answer = NULL;
	rc = gone != NULL ? send_patch(call, &a.d, NULL, a.there, gone, &answer, err) : 0;
	if (rc == 0 && answer != NULL) {
		struct am_slice text = am_object_text(answer);
		a.there = am_node_parse(a.d.arena, text.p, text.n, err);
		rc = a.there != NULL ? 0 : -err->code;
	}
	if (rc == 0)
		rc = is_applied(&a, err);
	if (rc == 0)
		return send_apply(&a, ret, err);
	if (rc > 0)
		give_present(call, a.there, ret);
	return rc < 0 ? rc : 0;
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
