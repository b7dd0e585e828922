/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What most reconcilers write by hand otherwise: conditions, finalizers, owner references, create-or-update, copies of
 * Secrets.  All of it is inline and made of the tables in host.h, so that it runs wherever those do: in the daemon,
 * behind a proxy, over a test's fake host (doc/adr/0066).
 *
 * Each function belongs to the thread of its call; objects, drafts and strings are borrowed, what comes back belongs to
 * the call.  Those that take a kind talk to the API server: they block until the call's deadline at most, need the
 * may= that is named, and fail as the verbs of host.h do.  Every write of an object that is there carries its resource
 * version, so that a change that was not seen is a CONFLICT and a retry; when nothing changes nothing is sent.
 * The others never block.
 */
#ifndef AMBIENT_HELPERS_H
#define AMBIENT_HELPERS_H

#include <stdio.h>
#include <string.h>

#include <ambient/error.h>
#include <ambient/host.h>
#include <ambient/object.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Has somebody asked for its deletion?  Then make no children of it any more. */
static inline int
ambient_deleting(const struct ambient_object *obj)
{
	return ambient_type(obj, "/metadata/deletionTimestamp") == AMBIENT_T_STRING;
}

/* ---- conditions */

/* The condition of that type in /status/conditions, or NULL. */
static inline const struct ambient_object *
ambient_condition(const struct ambient_object *obj, const char *type)
{
	size_t i, n = ambient_type(obj, "/status/conditions") == AMBIENT_T_ARRAY ? ambient_len(obj, "/status/conditions") : 0;

	for (i = 0; i < n; i++) {
		const struct ambient_object *c = ambient_item(obj, "/status/conditions", i, NULL);

		if (c != NULL && strcmp(ambient_str(c, "/type", ""), type) == 0)
			return c;
	}
	return NULL;
}

/* status: "True", "False", "Unknown"; a condition that is not there is none of them. */
static inline int
ambient_condition_is(const struct ambient_object *obj, const char *type, const char *status)
{
	const struct ambient_object *c = ambient_condition(obj, type);

	return c != NULL && strcmp(ambient_str(c, "/status", ""), status) == 0;
}

/* Writes wall_ns (since 1970) as "2026-01-31T23:59:59Z". */
static inline void
ambient_time(char out[32], int64_t wall_ns)
{
	/* Years begin in March here, so that the day that not every year has is a year's last. */
	long long s = wall_ns >= 0 ? wall_ns / INT64_C(1000000000) : 0, days = s / 86400 + 719468, era = days / 146097;
	long long doe = days - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	long long doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	long long month = mp < 10 ? mp + 3 : mp - 9;

	s %= 86400;
	(void)snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)(yoe + era * 400 + (month <= 2)) % 10000u,
		       (unsigned)month % 100u, (unsigned)(doy - (153 * mp + 2) / 5 + 1) % 100u, (unsigned)(s / 3600) % 100u,
		       (unsigned)(s / 60 % 60) % 100u, (unsigned)(s % 60) % 100u);
}

/* Sets one field of the condition at index i of the draft, unless it is so. */
static inline int
ambient_condition_put_(struct ambient_draft *draft, const struct ambient_object *now, size_t i, const char *field,
		       const char *value)
{
	char pointer[96];

	if (now != NULL && strcmp(ambient_str(now, field, "\n"), value) == 0)
		return 0;
	(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%zu%s", i, field);
	ambient_draft_set_str(draft, pointer, value);
	return 1;
}

/* Sets a condition in the draft of an object's status; ambient_status sends it.  about: the object as it was read when
 * this was found out.  Others' conditions stay.  lastTransitionTime moves only when status does, observedGeneration is
 * about's generation (not the present one).  reason: CamelCase; message: for people, may be "".
 * 1: something is different now, 0: nothing, INVALID (terminal): no such status, or no type or reason. */
static inline int
ambient_condition_set(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object *about,
		      const char *type, const char *status, const char *reason, const char *message, struct ambient_error *err)
{
	const struct ambient_object *view = ambient_draft_view(draft), *now = NULL;
	int64_t generation = ambient_int(about, "/metadata/generation", 0);
	char pointer[96], when[32];
	size_t i = 0, n;
	int changed, moved;

	if (strcmp(status, "True") != 0 && strcmp(status, "False") != 0 && strcmp(status, "Unknown") != 0)
		return ambient_terminal(err, "a condition cannot be \"%.40s\"; use True, False or Unknown", status);
	if (*type == '\0' || *reason == '\0')
		return ambient_terminal(err, "condition \"%.60s\" needs a type and a reason", type);
	if (view == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for a condition");
	if (ambient_type(view, "/status/conditions") != AMBIENT_T_ARRAY) {
		if (ambient_type(about, "/status/conditions") == AMBIENT_T_ARRAY)
			ambient_draft_set_object(draft, "/status/conditions", ambient_at(about, "/status/conditions"));
		else
			ambient_draft_set_json(draft, "/status/conditions", "[]");
		view = ambient_draft_view(draft);
		if (view == NULL || ambient_type(view, "/status/conditions") != AMBIENT_T_ARRAY)
			return ambient_terminal(err, "the draft's /status can have no conditions");
	}
	for (n = ambient_len(view, "/status/conditions"); i < n; i++) {
		now = ambient_item(view, "/status/conditions", i, NULL);
		if (now == NULL || strcmp(ambient_str(now, "/type", ""), type) == 0)
			break;
		now = NULL;
	}
	if (now == NULL)
		ambient_draft_set_json(draft, "/status/conditions/-", "{}");
	changed = ambient_condition_put_(draft, now, i, "/type", type);
	moved = ambient_condition_put_(draft, now, i, "/status", status);
	if (moved || ambient_str(now, "/lastTransitionTime", "")[0] == '\0') {
		ambient_time(when, AMBIENT_HAS(call->host->clock, wall) ? call->host->clock->wall(call->host) : 0);
		changed |= ambient_condition_put_(draft, NULL, i, "/lastTransitionTime", when);
	}
	changed |= ambient_condition_put_(draft, now, i, "/reason", reason);
	changed |= ambient_condition_put_(draft, now, i, "/message", message);
	if (generation > 0 && (now == NULL || ambient_int(now, "/observedGeneration", 0) != generation)) {
		(void)snprintf(pointer, sizeof(pointer), "/status/conditions/%zu/observedGeneration", i);
		ambient_draft_set_int(draft, pointer, generation);
		changed = 1;
	}
	return changed;
}

/* ---- finalizers */

static inline int
ambient_finalizer_has(const struct ambient_object *obj, const char *name)
{
	size_t i, n = ambient_len(obj, "/metadata/finalizers");

	for (i = 0; i < n; i++) {
		const struct ambient_object *f = ambient_item(obj, "/metadata/finalizers", i, NULL);

		if (f != NULL && strcmp(ambient_str(f, "", ""), name) == 0)
			return 1;
	}
	return 0;
}

/* *obj with the finalizers add[] behind its own and without those in del[]; both end with NULL.  *obj becomes what the
 * server answered. */
static inline int
ambient_finalizers_write_(struct ambient_call *call, const char *kind, const struct ambient_object **obj, const char *const *add,
			  const char *const *del, struct ambient_error *err)
{
	const char *ns = ambient_str(*obj, "/metadata/namespace", ""), *name = ambient_str(*obj, "/metadata/name", "");
	struct ambient_draft *patch = ambient_draft_new(call, kind, NULL, NULL);
	const struct ambient_object *view;
	size_t i, k, n = ambient_len(*obj, "/metadata/finalizers");

	ambient_draft_set_str(patch, "/metadata/resourceVersion", ambient_str(*obj, "/metadata/resourceVersion", NULL));
	ambient_draft_set_json(patch, "/metadata/finalizers", "[]");
	for (i = 0; i < n; i++) {
		const char *f = ambient_str(ambient_item(*obj, "/metadata/finalizers", i, NULL), "", "");

		for (k = 0; del[k] != NULL && strcmp(del[k], f) != 0; k++)
			;
		if (del[k] == NULL)
			ambient_draft_set_str(patch, "/metadata/finalizers/-", f);
	}
	for (k = 0; add[k] != NULL; k++)
		ambient_draft_set_str(patch, "/metadata/finalizers/-", add[k]);
	view = ambient_draft_view(patch);
	if (view == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for the finalizers of %s \"%s\"", kind, name);
	return ambient_patch(call, kind, ns, name, NULL, AMBIENT_PATCH_MERGE, ambient_json(view, "", NULL), obj, err);
}

/* Makes sure that *obj has the finalizer name ("example.com/disk"); do it before making what it stands for.  *obj is what
 * is there now.  Needs may=KIND:patch.  INVALID (terminal): it is being deleted, and takes no new ones. */
static inline int
ambient_finalizer_add(struct ambient_call *call, const char *kind, const struct ambient_object **obj, const char *name,
		      struct ambient_error *err)
{
	const char *const add[] = { name, NULL }, *const none[] = { NULL };

	if (ambient_finalizer_has(*obj, name))
		return 0;
	if (ambient_deleting(*obj))
		return ambient_terminal(err, "%s \"%s\" is being deleted, it can get no finalizer \"%.100s\"", kind,
					ambient_str(*obj, "/metadata/name", ""), name);
	return ambient_finalizers_write_(call, kind, obj, add, none, err);
}

/* Takes this one finalizer away; make it the last write.  That *obj is gone altogether is success.  Needs may=KIND:patch. */
static inline int
ambient_finalizer_remove(struct ambient_call *call, const char *kind, const struct ambient_object **obj, const char *name,
			 struct ambient_error *err)
{
	const char *const del[] = { name, NULL }, *const none[] = { NULL };
	int rc;

	if (!ambient_finalizer_has(*obj, name))
		return 0;
	rc = ambient_finalizers_write_(call, kind, obj, none, del, err);
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

#define AMBIENT_FINALIZERS_MAX 16

/* One thing that has to be undone before the object may go. */
struct ambient_finalizer {
	size_t size;
	const char *name;
	/* Undoes it; may have been called before.  0: done; 1: not yet, somebody will wake this reconciler; negative: failed. */
	int (*finalize)(void *self, struct ambient_call *call, const struct ambient_object *obj, struct ambient_error *err);
};

/* Keeps an object's finalizers: for one that lives, all of them are put there, by one patch.  Of one that is being
 * deleted each that is still there is asked in the order of all[] (ended by NULL, at most 16), and the names of those
 * that are done are taken away by one patch; one that fails keeps its own name only, and the first failure is returned.
 * 0: it lives, go on; 1: it is being deleted, there is nothing more to do.  Needs may=KIND:patch. */
static inline int
ambient_finalize(struct ambient_call *call, const char *kind, const struct ambient_object **obj,
		 const struct ambient_finalizer *const *all, void *self, struct ambient_error *err)
{
	const char *names[AMBIENT_FINALIZERS_MAX + 1] = { NULL }, *const none[] = { NULL };
	struct ambient_error one = AMBIENT_ERROR_INIT;
	int deleting = ambient_deleting(*obj), failed = 0, rc;
	size_t i, n = 0;

	for (i = 0; all[i] != NULL; i++) {
		if (i >= AMBIENT_FINALIZERS_MAX)
			return ambient_terminal(err, "%s: more than %d finalizers", kind, AMBIENT_FINALIZERS_MAX);
		if (ambient_finalizer_has(*obj, all[i]->name) != deleting)
			continue;
		rc = deleting ? all[i]->finalize(self, call, *obj, &one) : 0;
		if (rc == 0)
			names[n++] = all[i]->name;
		if (rc >= 0 || failed < 0)
			continue;
		failed = rc;
		ambient_err_copy(err, &one);
	}
	rc = n == 0 ? 0 : ambient_finalizers_write_(call, kind, obj, deleting ? none : names, deleting ? names : none,
						    failed < 0 ? &one : err);
	if (failed < 0)
		return failed;
	if (deleting && rc == -AMBIENT_E_NOTFOUND)
		rc = 0;
	return rc < 0 ? rc : deleting;
}

/* ---- owner references */

enum { AMBIENT_OWNER_CONTROLLER = 1 }; /* the owner is the controller: it is woken by owns=, and there is but one */

/* The reference to the controller of obj, or NULL. */
static inline const struct ambient_object *
ambient_controller_of(const struct ambient_object *obj)
{
	size_t i, n = ambient_len(obj, "/metadata/ownerReferences");

	for (i = 0; i < n; i++) {
		const struct ambient_object *ref = ambient_item(obj, "/metadata/ownerReferences", i, NULL);

		if (ref != NULL && ambient_bool(ref, "/controller", 0))
			return ref;
	}
	return NULL;
}

/* Where among obj's owner references that to owner is; -1: nowhere.  The uid decides: one of the same name that came
 * later is another. */
static inline int
ambient_owner_at(const struct ambient_object *obj, const struct ambient_object *owner)
{
	const char *uid = ambient_str(owner, "/metadata/uid", "");
	size_t i, n = ambient_len(obj, "/metadata/ownerReferences");

	for (i = 0; i < n; i++) {
		const struct ambient_object *ref = ambient_item(obj, "/metadata/ownerReferences", i, NULL);

		if (ref != NULL && *uid != '\0' && strcmp(ambient_str(ref, "/uid", ""), uid) == 0)
			return (int)i;
	}
	return -1;
}

/* Puts a reference to owner into a draft, for what ambient_apply does not own by itself: another owner than the
 * reconciled object, or one of several.  Others stay, and one that is there is brought up to date.  Send the draft by
 * ambient_update, ambient_create or ambient_apply_with(AMBIENT_APPLY_NO_OWNER).
 * INVALID (terminal): the owner is in another namespace, or of a namespace while the draft is of none; EXISTS: somebody
 * else is the controller. */
static inline int
ambient_owner_set(struct ambient_draft *draft, const struct ambient_object *owner, uint32_t flags, struct ambient_error *err)
{
	static const char *const fields[][2] = { { "apiVersion", "/apiVersion" }, { "kind", "/kind" },
						 { "name", "/metadata/name" }, { "uid", "/metadata/uid" } };
	const struct ambient_object *view = ambient_draft_view(draft), *other;
	const char *ns = ambient_str(owner, "/metadata/namespace", ""), *owner_name = ambient_str(owner, "/metadata/name", "");
	char pointer[96];
	size_t i;
	int at;

	if (view == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for an owner reference");
	if (*ns != '\0' && strcmp(ns, ambient_str(view, "/metadata/namespace", "")) != 0)
		return ambient_terminal(err, "\"%s\" of namespace \"%s\" cannot own what is not in that namespace", owner_name, ns);
	at = ambient_owner_at(view, owner);
	other = ambient_controller_of(view);
	if ((flags & AMBIENT_OWNER_CONTROLLER) != 0 && other != NULL &&
	    strcmp(ambient_str(other, "/uid", ""), ambient_str(owner, "/metadata/uid", "")) != 0)
		return ambient_err(err, AMBIENT_E_EXISTS, "\"%s\" is already controlled by %s \"%s\"",
				   ambient_str(view, "/metadata/name", ""), ambient_str(other, "/kind", "?"),
				   ambient_str(other, "/name", "?"));
	if (at < 0) {
		at = (int)ambient_len(view, "/metadata/ownerReferences");
		if (ambient_type(view, "/metadata/ownerReferences") != AMBIENT_T_ARRAY)
			ambient_draft_set_json(draft, "/metadata/ownerReferences", "[]");
		ambient_draft_set_json(draft, "/metadata/ownerReferences/-", "{}");
	}
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		(void)snprintf(pointer, sizeof(pointer), "/metadata/ownerReferences/%d/%s", at, fields[i][0]);
		ambient_draft_set_str(draft, pointer, ambient_str(owner, fields[i][1], NULL));
	}
	(void)snprintf(pointer, sizeof(pointer), "/metadata/ownerReferences/%d/blockOwnerDeletion", at);
	ambient_draft_set_bool(draft, pointer, 1);
	if ((flags & AMBIENT_OWNER_CONTROLLER) != 0) {
		(void)snprintf(pointer, sizeof(pointer), "/metadata/ownerReferences/%d/controller", at);
		ambient_draft_set_bool(draft, pointer, 1);
	}
	return 0;
}

/* Takes the reference to owner out of a draft; 1: there was one. */
static inline int
ambient_owner_remove(struct ambient_draft *draft, const struct ambient_object *owner)
{
	const struct ambient_object *view = ambient_draft_view(draft);
	int at = view != NULL ? ambient_owner_at(view, owner) : -1;
	char pointer[64];

	if (at < 0)
		return 0;
	(void)snprintf(pointer, sizeof(pointer), "/metadata/ownerReferences/%d", at);
	if (draft != NULL)
		draft->api->unset(draft, pointer);
	return 1;
}

/* ---- create or update */

/* As ambient_apply, with AMBIENT_APPLY_* flags; ret, which may be NULL, gets the object as it is now. */
static inline int
ambient_apply_with(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags, const struct ambient_object **ret,
		   struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, apply, err, call, draft, flags, ret, err);
}

enum { AMBIENT_UNCHANGED = 0, AMBIENT_CREATED, AMBIENT_UPDATED };

/* Changes the draft into what the object should be.  present: the object, or NULL when it is to be made. */
typedef int ambient_mutate_f(void *arg, struct ambient_draft *draft, const struct ambient_object *present,
			     struct ambient_error *err);

/* For objects that several write and that cannot be said whole, which ambient_apply wants: reads the object, lets mutate
 * change it, and sends the whole of it only when that made a difference.  Not for a kind of which only parts are kept
 * (only=).  Its status is left alone: see ambient_status.  Returns AMBIENT_UNCHANGED, _CREATED or _UPDATED; CONFLICT:
 * somebody was faster; INVALID (terminal): mutate has changed name or namespace.  Needs may=KIND:create,update, and get
 * for a kind that is not watched.  ret, which may be NULL, gets the object as it is now. */
static inline int
ambient_create_or_update(struct ambient_call *call, const char *kind, const char *ns, const char *name, ambient_mutate_f *mutate,
			 void *arg, const struct ambient_object **ret, struct ambient_error *err)
{
	const struct ambient_object *present = NULL, *before, *after;
	struct ambient_draft *draft;
	int rc = ambient_get(call, kind, ns, name, &present, err);

	if (rc == -AMBIENT_E_UNSUPPORTED)
		rc = ambient_get_live(call, kind, ns, name, &present, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	draft = rc == 0 ? ambient_draft_from(call, kind, present) : ambient_draft_new(call, kind, ns, name);
	before = ambient_draft_view(draft);
	rc = draft == NULL || before == NULL ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for %s \"%s\"", kind, name)
					     : mutate(arg, draft, present, err);
	if (rc < 0)
		return rc;
	after = ambient_draft_view(draft);
	if (after != NULL && (strcmp(ambient_str(after, "/metadata/name", ""), name) != 0 ||
			      strcmp(ambient_str(after, "/metadata/namespace", ""), ns != NULL ? ns : "") != 0))
		return ambient_terminal(err, "%s \"%s\" must keep its name and namespace", kind, name);
	if (present == NULL) {
		rc = ambient_create(call, draft, ret, err);
		if (rc == -AMBIENT_E_EXISTS)
			return ambient_err(err, AMBIENT_E_CONFLICT, "%s \"%s\" was created meanwhile", kind, name);
		return rc < 0 ? rc : AMBIENT_CREATED;
	}
	if (after != NULL && strcmp(ambient_json(before, "", NULL), ambient_json(after, "", NULL)) == 0) {
		if (ret != NULL)
			*ret = present;
		return AMBIENT_UNCHANGED;
	}
	rc = ambient_update(call, draft, ret, err);
	return rc < 0 ? rc : AMBIENT_UPDATED;
}

/* ---- copies of Secrets */

#define AMBIENT_SECRETS     "v1/secrets"
#define AMBIENT_COPIED_BY   "ambient-code.io/copied-by"      /* label: the instance that made the copy */
#define AMBIENT_COPIED_FROM "vteam.ambient-code/copied-from" /* annotation: namespace/name of the source */

struct ambient_secret_copy {
	size_t size;
	const char *from_ns, *from;         /* the source */
	const char *ns, *name;              /* the copy; name NULL: as the source */
	const struct ambient_object *owner; /* when it is of the same namespace the copy goes with it; NULL: none */
};

static inline int
ambient_secret_read_(struct ambient_call *call, const char *ns, const char *name, const struct ambient_object **ret,
		     struct ambient_error *err)
{
	int rc = ambient_get(call, AMBIENT_SECRETS, ns, name, ret, err);

	/* Where only metadata is kept there is no type. */
	if (rc == -AMBIENT_E_UNSUPPORTED || (rc == 0 && ambient_str(*ret, "/type", "")[0] == '\0'))
		rc = ambient_get_live(call, AMBIENT_SECRETS, ns, name, ret, err);
	return rc;
}

/* Is it a copy that this instance made (of from, unless NULL)? */
static inline int
ambient_secret_is_copy_(struct ambient_call *call, const struct ambient_object *secret, const char *from)
{
	return strcmp(ambient_str(secret, "/metadata/labels/ambient-code.io~1copied-by", ""), call->host->instance) == 0 &&
	       (from == NULL || strcmp(ambient_str(secret, "/metadata/annotations/vteam.ambient-code~1copied-from", ""), from) == 0);
}

/* What was decided by looking at one object does not hit another of its name. */
static inline int
ambient_secret_delete_(struct ambient_call *call, const struct ambient_object *secret, struct ambient_error *err)
{
	struct ambient_draft *options = ambient_draft_new(call, AMBIENT_SECRETS, NULL, NULL);
	const struct ambient_object *view;

	ambient_draft_set_json(options, "", "{}");
	ambient_draft_set_str(options, "/preconditions/uid", ambient_str(secret, "/metadata/uid", ""));
	view = ambient_draft_view(options);
	if (view == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory to delete a Secret");
	return ambient_delete(call, AMBIENT_SECRETS, ambient_str(secret, "/metadata/namespace", ""),
			      ambient_str(secret, "/metadata/name", ""), ambient_json(view, "", NULL), err);
}

static inline struct ambient_draft *
ambient_secret_draft_(struct ambient_call *call, const struct ambient_secret_copy *copy, const char *name, const char *from,
		      const struct ambient_object *source, const struct ambient_object *there)
{
	struct ambient_draft *draft = ambient_draft_new(call, AMBIENT_SECRETS, copy->ns, name);

	ambient_draft_set_str(draft, "/metadata/labels/ambient-code.io~1copied-by", call->host->instance);
	ambient_draft_set_str(draft, "/metadata/annotations/vteam.ambient-code~1copied-from", from);
	ambient_draft_set_str(draft, "/type", ambient_str(source, "/type", "Opaque"));
	if (ambient_type(source, "/data") == AMBIENT_T_OBJECT)
		ambient_draft_set_object(draft, "/data", ambient_at(source, "/data"));
	/* A copy may have several owners, and apply takes away what is not named again. */
	if (there != NULL && ambient_type(there, "/metadata/ownerReferences") == AMBIENT_T_ARRAY)
		ambient_draft_set_object(draft, "/metadata/ownerReferences", ambient_at(there, "/metadata/ownerReferences"));
	return draft;
}

/* Makes copy->ns/copy->name a copy of the source: its data and type, marked with AMBIENT_COPIED_BY and _FROM.  Call it in
 * each reconcile: it follows the source, and puts right what somebody changed.  Who watches Secrets is woken by both; who
 * does not reads them from the API server.  The source is never written.
 * NOTFOUND: there is no source (the copy stays: see ambient_secret_prune); EXISTS: there is a Secret of that name that
 * is not this instance's copy of this source; INVALID (terminal): a token of a ServiceAccount is worth nothing elsewhere,
 * or the copy would be its own source.  Needs may=v1/secrets:get,create,patch,delete; get where it is not watched, delete
 * for a source that came back with another type. */
static inline int
ambient_secret_copy(struct ambient_call *call, const struct ambient_secret_copy *copy, struct ambient_error *err)
{
	const char *name = copy->name != NULL ? copy->name : copy->from;
	const struct ambient_object *source, *there = NULL;
	struct ambient_draft *draft;
	char from[320];
	int rc;

	(void)snprintf(from, sizeof(from), "%s/%s", copy->from_ns, copy->from);
	if (strcmp(copy->from_ns, copy->ns) == 0 && strcmp(copy->from, name) == 0)
		return ambient_terminal(err, "Secret \"%s\" cannot be a copy of itself", from);
	rc = ambient_secret_read_(call, copy->from_ns, copy->from, &source, err);
	if (rc < 0)
		return rc;
	if (strcmp(ambient_str(source, "/type", ""), "kubernetes.io/service-account-token") == 0)
		return ambient_terminal(err, "Secret \"%s\" is a ServiceAccount's token, which is not copied", from);
	rc = ambient_secret_read_(call, copy->ns, name, &there, err);
	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	if (rc == -AMBIENT_E_NOTFOUND)
		there = NULL;
	if (there != NULL && !ambient_secret_is_copy_(call, there, from))
		return ambient_err(err, AMBIENT_E_EXISTS, "Secret \"%s/%s\" is there and is no copy of \"%s\" that \"%s\" made",
				   copy->ns, name, from, call->host->instance);
	if (there != NULL && strcmp(ambient_str(there, "/type", ""), ambient_str(source, "/type", "Opaque")) != 0) {
		rc = ambient_secret_delete_(call, there, err); /* a type cannot be changed */
		if (rc < 0)
			return rc;
		there = NULL;
	}
	draft = ambient_secret_draft_(call, copy, name, from, source, there);
	if (copy->owner != NULL && strcmp(ambient_str(copy->owner, "/metadata/namespace", ""), copy->ns) == 0) {
		rc = ambient_owner_set(draft, copy->owner, 0, err);
		if (rc < 0)
			return rc;
	}
	return ambient_apply_with(call, draft, AMBIENT_APPLY_NO_OWNER, NULL, err);
}

/* Those of a list of Secrets that this instance copied and that keep[] (names, ended by NULL) does not have. */
static inline int
ambient_secret_prune_one_(struct ambient_call *call, const struct ambient_object *secret, const char *const *keep,
			  struct ambient_error *err)
{
	const char *name = ambient_str(secret, "/metadata/name", "");

	for (; *keep != NULL; keep++) {
		if (strcmp(*keep, name) == 0)
			return 0;
	}
	return ambient_secret_is_copy_(call, secret, NULL) ? ambient_secret_delete_(call, secret, err) : 0;
}

/* Deletes the copies that this instance has made in namespace ns, but for those named in keep (ended by NULL).  Other
 * Secrets are not touched.  Needs may=v1/secrets:delete, and list where they are not watched. */
static inline int
ambient_secret_prune(struct ambient_call *call, const char *ns, const char *const *keep, struct ambient_error *err)
{
	struct ambient_list_options options = { sizeof(options), ns, NULL, NULL, NULL };
	struct ambient_ask ask;
	const struct ambient_list *list;
	const struct ambient_object *live;
	char selector[96];
	size_t i;
	int rc;

	(void)snprintf(selector, sizeof(selector), "%s=%s", AMBIENT_COPIED_BY, call->host->instance);
	options.selector = selector;
	rc = ambient_list(call, AMBIENT_SECRETS, &options, &list, err);
	for (i = 0; rc == 0 && i < ambient_list_count(call, list); i++)
		rc = ambient_secret_prune_one_(call, ambient_list_item(call, list, i), keep, err);
	if (rc != -AMBIENT_E_UNSUPPORTED)
		return rc;
	memset(&ask, 0, sizeof(ask));
	ask.size = sizeof(ask);
	ask.verb = "list";
	ask.kind = AMBIENT_SECRETS;
	ask.ns = ns;
	ask.selector = selector;
	rc = ambient_ask(call, &ask, &live, err);
	for (i = 0; rc == 0 && i < ambient_len(live, "/items"); i++)
		rc = ambient_secret_prune_one_(call, ambient_item(live, "/items", i, NULL), keep, err);
	return rc;
}

#ifdef __cplusplus
}
#endif
#endif
