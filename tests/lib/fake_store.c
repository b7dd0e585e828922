/* SPDX-License-Identifier: Apache-2.0 */
/* The API server and the cache of the fake host: declarations, the store, and the two tables over it. */
#include "tests/lib/fake_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"

/* Declarations */

/* Does a declaration start with prefix, followed by the end, a blank or `stop`? */
static const char *
declared(struct fake_host *fake, const char *prefix, char stop)
{
	const char *p = fake->plugin->decl, *end = p + fake->plugin->decl_len;
	size_t n = strlen(prefix);

	for (; p < end; p += strlen(p) + 1)
		if (strncmp(p, prefix, n) == 0 && (p[n] == '\0' || p[n] == ' ' || p[n] == stop))
			return p + n;
	return NULL;
}

static bool
may_read(struct fake_host *fake, const char *kind)
{
	static const char *const keys[] = { "for", "owns", "watch" };
	char line[256];

	if (fake->plugin == NULL)
		return true;
	for (size_t i = 0; i < AM_COUNTOF(keys); i++) {
		snprintf(line, sizeof(line), "%s=%s", keys[i], kind);
		if (declared(fake, line, ' ') != NULL)
			return true;
	}
	return false;
}

static bool
may(struct fake_host *fake, const char *kind, const char *sub, const char *verb)
{
	const char *p = fake->plugin != NULL ? fake->plugin->decl : NULL, *end;
	char line[256];

	if (fake->plugin == NULL || ((strcmp(verb, "get") == 0 || strcmp(verb, "list") == 0) && may_read(fake, kind)))
		return true;
	snprintf(line, sizeof(line), "%s%s%s:", kind, sub != NULL ? "/" : "", sub != NULL ? sub : "");
	for (end = p + fake->plugin->decl_len; p < end; p += strlen(p) + 1) {
		if (strncmp(p, "may=", 4) != 0)
			continue;
		/* Several grants stand in one line, with spaces between them. */
		for (const char *g = p + 4; *g != '\0'; g += strcspn(g, " "), g += strspn(g, " ")) {
			if (strncmp(g, line, strlen(line)) != 0)
				continue;
			for (const char *v = g + strlen(line); *v != '\0' && *v != ' '; v += strcspn(v, ", "), v += *v == ',')
				if (strcspn(v, ", ") == strlen(verb) && strncmp(v, verb, strlen(verb)) == 0)
					return true;
		}
	}
	return false;
}

/* The verb that the API server sees; "apply" and "status" are patches there. */
static int
enter(struct fake_host *fake, const char *verb, const char *kind, const char *sub, struct ambient_error *err)
{
	const char *api = strcmp(verb, "apply") == 0 || strcmp(verb, "status") == 0 ? "patch" : verb;
	char key[256];

	if (!may(fake, kind, sub, api))
		return ambient_err(err, AMBIENT_E_FORBIDDEN, "the plugin does not declare may=%s%s%s:%s", kind,
				   sub != NULL ? "/" : "", sub != NULL ? sub : "", api);
	for (size_t i = 0; i < fake->fail_count; i++) {
		if (fake->fails[i].left == 0 ||
		    (!am_streq(fake->fails[i].verb, "*") && !am_streq(fake->fails[i].verb, verb)) ||
		    (!am_streq(fake->fails[i].kind, "*") && !am_streq(fake->fails[i].kind, kind)))
			continue;
		fake->fails[i].left--;
		return ambient_err(err, fake->fails[i].code, "%s of %s fails because the test says so", verb, kind);
	}
	snprintf(key, sizeof(key), "%s %s", verb, kind);
	am_map_put(fake->calls, key, (void *)((uintptr_t)am_map_get(fake->calls, key) + 1));
	return 0;
}

/* The store */

static const char *
kind_name(const char *plural)
{
	static const char *const table[][2] = {
		{ "pods", "Pod" }, { "jobs", "Job" }, { "nodes", "Node" }, { "configmaps", "ConfigMap" },
		{ "secrets", "Secret" }, { "serviceaccounts", "ServiceAccount" }, { "namespaces", "Namespace" },
		{ "persistentvolumeclaims", "PersistentVolumeClaim" }, { "roles", "Role" },
		{ "rolebindings", "RoleBinding" }, { "events", "Event" }, { "leases", "Lease" },
		{ "agenticsessions", "AgenticSession" }, { "projectsettings", "ProjectSettings" },
		{ "rfeworkflows", "RFEWorkflow" },
	};

	for (size_t i = 0; i < AM_COUNTOF(table); i++)
		if (strcmp(plural, table[i][0]) == 0)
			return table[i][1];
	return plural;
}

static void
key_of(char key[768], const char *kind, const char *ns, const char *name)
{
	snprintf(key, 768, "%s %s %s", kind, ns != NULL ? ns : "", name != NULL ? name : "");
}

struct fake_object *
fake_lookup(struct fake_host *fake, const char *kind, const char *ns, const char *name)
{
	char key[768];

	key_of(key, kind, ns, name);
	return am_map_get(fake->objects, key);
}

/* Takes node (of arena), gives it what a server would, and stores a copy. */
struct fake_object *
fake_store(struct fake_host *fake, const char *kind, struct am_arena *arena, struct am_node *node)
{
	struct am_node *meta = am_node_get(node, "metadata");
	const char *slash = strrchr(kind, '/');
	char key[768], text[64];
	struct fake_object *obj;

	if (meta == NULL) {
		meta = am_node_object(arena);
		am_node_set(arena, node, "metadata", meta);
	}
	am_node_set(arena, node, "apiVersion", am_node_strn(arena, kind, (size_t)(slash - kind)));
	am_node_set(arena, node, "kind", am_node_str(arena, kind_name(slash + 1)));
	snprintf(text, sizeof(text), "%lld", (long long)++fake->revision);
	am_node_set(arena, meta, "resourceVersion", am_node_str(arena, text));
	if (am_node_get(meta, "uid") == NULL) {
		snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012lld", (long long)fake->revision);
		am_node_set(arena, meta, "uid", am_node_str(arena, text));
	}
	if (am_node_get(meta, "generation") == NULL)
		am_node_set(arena, meta, "generation", am_node_int(arena, 1));
	if (am_node_get(meta, "creationTimestamp") == NULL) {
		am_time_format(text, fake->wall, false);
		am_node_set(arena, meta, "creationTimestamp", am_node_str(arena, text));
	}
	obj = fake_object_of(node);
	key_of(key, kind, am_node_get_str(meta, "namespace", ""), am_node_get_str(meta, "name", ""));
	am_map_put(fake->objects, key, obj);
	return obj;
}

void
fake_drop(struct fake_host *fake, const char *kind, const char *ns, const char *name)
{
	char key[768];

	key_of(key, kind, ns, name);
	am_map_del(fake->objects, key);
	fake->revision++;
}

/* An object with a deletionTimestamp and without finalizers is gone, unless it is a pod with grace left. */
bool
fake_finish_delete(struct fake_host *fake, const char *kind, const struct am_node *node)
{
	const struct am_node *meta = am_node_get(node, "metadata");
	const struct am_node *finalizers = am_node_get(meta, "finalizers");
	int64_t grace = 0;

	if (am_node_get(meta, "deletionTimestamp") == NULL || (finalizers != NULL && finalizers->count > 0))
		return false;
	if (am_node_get_int(meta, "deletionGracePeriodSeconds", &grace) && grace > 0)
		return false;
	fake_drop(fake, kind, am_node_get_str(meta, "namespace", ""), am_node_get_str(meta, "name", ""));
	return true;
}

static int
answer(struct ambient_call *call, struct fake_object *obj, const struct ambient_object **ret)
{
	if (ret != NULL)
		*ret = fake_call_hold(fake_of_call(call), obj);
	return 0;
}

static int
not_found(struct ambient_error *err, const char *kind, const char *ns, const char *name)
{
	return ambient_err(err, AMBIENT_E_NOTFOUND, "%s \"%s/%s\" not found", kind, ns != NULL ? ns : "", name);
}

/* Replaces `old` by `node`: without sub the status stays, with sub "status" only it changes. */
static int
replace(struct ambient_call *call, const char *kind, const char *sub, struct am_arena *arena,
	const struct fake_object *old, struct am_node *node, const struct ambient_object **ret,
	struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	const char *rv = am_node_text(am_node_at(node, "/metadata/resourceVersion"), NULL);
	const char *uid = am_node_text(am_node_at(node, "/metadata/uid"), NULL);
	struct am_node *next = am_node_clone(arena, am_streq(sub, "status") ? old->node : node);
	const struct am_node *status = am_node_get(am_streq(sub, "status") ? node : old->node, "status");
	int64_t generation = 1;

	if (rv != NULL && !am_streq(rv, am_node_text(am_node_at(old->node, "/metadata/resourceVersion"), "")))
		return ambient_err(err, AMBIENT_E_CONFLICT, "the object has been modified");
	if (uid != NULL && !am_streq(uid, am_node_text(am_node_at(old->node, "/metadata/uid"), "")))
		return ambient_err(err, AMBIENT_E_CONFLICT, "the object has another uid");
	if (status != NULL)
		am_node_set(arena, next, "status", am_node_clone(arena, status));
	else
		am_node_del(next, "status");
	if (am_node_equal(next, old->node))
		return answer(call, (struct fake_object *)(uintptr_t)old, ret);
	(void)am_node_get_int(am_node_get(old->node, "metadata"), "generation", &generation);
	if (!am_node_equal(am_node_get(next, "spec"), am_node_get(old->node, "spec")) &&
	    (am_node_get(next, "spec") != NULL || am_node_get(old->node, "spec") != NULL))
		generation++;
	am_node_set(arena, am_node_get(next, "metadata"), "generation", am_node_int(arena, generation));
	(void)answer(call, fake_store(fake, kind, arena, next), ret);
	(void)fake_finish_delete(fake, kind, next);
	return 0;
}

/* Cache */

struct ambient_list {
	size_t count;
	const struct ambient_object **items;
};

static bool
selected(const struct am_node *node, const char *selector)
{
	const struct am_node *labels = am_node_at(node, "/metadata/labels");
	char term[256];

	for (const char *p = selector; p != NULL && *p != '\0'; p += strcspn(p, ","), p += *p == ',') {
		size_t n = strcspn(p, ",");
		char *eq;

		if (n >= sizeof(term))
			return false;
		memcpy(term, p, n);
		term[n] = '\0';
		eq = strchr(term, '=');
		if (eq == NULL) {
			if (am_node_get(labels, term) == NULL)
				return false;
			continue;
		}
		*eq++ = '\0';
		eq += *eq == '=';
		if (labels == NULL || !am_streq(am_node_get_str(labels, term, NULL), eq))
			return false;
	}
	return true;
}

/* index=NAME:POINTER, and the built-in index "owner" by uid of the controller. */
static bool
indexed(struct fake_host *fake, const struct am_node *node, const char *index, const char *value)
{
	char line[128];
	const char *decl;

	if (index == NULL)
		return true;
	snprintf(line, sizeof(line), "index=%s", index);
	decl = fake->plugin != NULL ? declared(fake, line, ':') : NULL;
	if (decl == NULL || *decl != ':')
		return false;
	const char *star = strstr(decl + 1, "/*/");
	if (star == NULL)
		return am_streq(am_node_text(am_node_at(node, decl + 1), NULL), value);
	snprintf(line, sizeof(line), "%.*s", (int)(star - decl - 1), decl + 1);
	const struct am_node *list = am_node_at(node, line);
	for (const struct am_node *e = list != NULL ? list->first : NULL; e != NULL; e = e->next)
		if (am_streq(am_node_text(am_node_at(e, star + 2), NULL), value))
			return true;
	return false;
}

static int
by_name(const void *a, const void *b)
{
	const struct ambient_object *x = *(const struct ambient_object *const *)a;
	const struct ambient_object *y = *(const struct ambient_object *const *)b;
	int ns = strcmp(ambient_str(x, "/metadata/namespace", ""), ambient_str(y, "/metadata/namespace", ""));

	return ns != 0 ? ns : strcmp(ambient_str(x, "/metadata/name", ""), ambient_str(y, "/metadata/name", ""));
}

/* What the cache shows. */
static const struct am_map *
seen(const struct fake_host *fake)
{
	return fake->lags ? fake->past : fake->objects;
}

void
fake_host_remember(struct fake_host *fake)
{
	const char *key;
	void *value;

	fake_lock(fake);
	am_map_free(fake->past);
	fake->past = am_map_new_owning(fake_object_unref);
	for (size_t it = 0; am_map_next(fake->objects, &it, &key, &value);) {
		__atomic_add_fetch(&((struct fake_object *)value)->refs, 1, __ATOMIC_ACQ_REL);
		am_map_put(fake->past, key, value);
	}
	fake_unlock(fake);
}

void
fake_host_lag(struct fake_host *fake, bool on)
{
	am_assert(!on || fake->past != NULL);
	fake->lags = on;
}

static int
cache_get(struct ambient_call *call, const char *kind, const char *ns, const char *name,
	  const struct ambient_object **ret, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct fake_object *obj;
	char key[768];
	int rc;

	if (!may_read(fake, kind))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the plugin does not declare for, owns or watch of %s", kind);
	fake_lock(fake);
	key_of(key, kind, ns, name);
	obj = am_map_get(seen(fake), key);
	rc = obj != NULL ? answer(call, obj, ret) : not_found(err, kind, ns, name);
	fake_unlock(fake);
	return rc;
}

static int
cache_list(struct ambient_call *call, const char *kind, const struct ambient_list_options *options,
	   const struct ambient_list **ret, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct ambient_list *list = am_arena_zalloc(fake_call_arena(fake_of_call(call)), sizeof(*list));
	char prefix[768];
	const char *key;
	void *value;

	if (!may_read(fake, kind))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the plugin does not declare for, owns or watch of %s", kind);
	snprintf(prefix, sizeof(prefix), "%s %s%s", kind, options != NULL && options->ns != NULL ? options->ns : "",
		 options != NULL && !am_empty(options->ns) ? " " : "");
	fake_lock(fake);
	list->items = am_arena_zalloc(fake_call_arena(fake_of_call(call)), (am_map_len(seen(fake)) + 1) * sizeof(*list->items));
	for (size_t it = 0; am_map_next(seen(fake), &it, &key, &value);) {
		const struct fake_object *obj = value;

		if (am_starts(key, prefix) && (options == NULL || (selected(obj->node, options->selector) &&
		    indexed(fake, obj->node, options->index, options->value))))
			list->items[list->count++] = fake_call_hold(fake_of_call(call), value);
	}
	fake_unlock(fake);
	qsort(list->items, list->count, sizeof(*list->items), by_name);
	*ret = list;
	return 0;
}

static size_t
cache_count(const struct ambient_list *list)
{
	return list->count;
}

static const struct ambient_object *
cache_item(const struct ambient_list *list, size_t i)
{
	return i < list->count ? list->items[i] : NULL;
}

/* Client */

static int
client_get(struct ambient_call *call, const char *kind, const char *ns, const char *name,
	   const struct ambient_object **ret, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct fake_object *obj;
	int rc;

	fake_lock(fake);
	rc = enter(fake, "get", kind, NULL, err);
	obj = fake_lookup(fake, kind, ns, name);
	if (rc == 0)
		rc = obj != NULL ? answer(call, obj, ret) : not_found(err, kind, ns, name);
	fake_unlock(fake);
	return rc;
}

static int
token_answer(struct ambient_call *call, struct am_draft_info *draft, const struct ambient_object **ret)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct fake_object *obj;
	int64_t life = 3600;
	char text[32], when[32];

	(void)am_node_get_int(am_node_get(draft->root, "spec"), "expirationSeconds", &life);
	snprintf(text, sizeof(text), "token-%lld", (long long)++fake->revision);
	am_time_format(when, fake->wall + life * AM_NS_PER_S, false);
	am_node_set_at(draft->arena, draft->root, "/status/token", am_node_str(draft->arena, text), NULL);
	am_node_set_at(draft->arena, draft->root, "/status/expirationTimestamp", am_node_str(draft->arena, when), NULL);
	obj = fake_object_of(draft->root);
	(void)answer(call, obj, ret);
	fake_object_unref(obj);
	return 0;
}

static int
client_create(struct ambient_call *call, struct ambient_draft *d, const char *sub, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_draft_info info, *draft = &info;
	struct am_node *meta;
	const char *ns, *name;
	char generated[300];
	int rc = am_draft_open(d, &info, err);

	if (rc < 0)
		return rc;
	meta = am_node_get(draft->root, "metadata");
	ns = am_node_get_str(meta, "namespace", "");
	name = am_node_get_str(meta, "name", NULL);
	fake_lock(fake);
	rc = enter(fake, "create", draft->kind, sub, err);
	if (rc == 0 && am_streq(sub, "token")) {
		rc = fake_lookup(fake, draft->kind, ns, name) != NULL ? token_answer(call, draft, ret)
								   : not_found(err, draft->kind, ns, name);
	} else if (rc == 0) {
		if (name == NULL && am_node_get_str(meta, "generateName", NULL) != NULL) {
			snprintf(generated, sizeof(generated), "%sg%04lld", am_node_get_str(meta, "generateName", ""),
				 (long long)fake->revision);
			am_node_set(draft->arena, meta, "name", am_node_str(draft->arena, generated));
			name = generated;
		}
		if (name == NULL)
			rc = ambient_err(err, AMBIENT_E_INVALID, "metadata.name: required");
		else if (fake_lookup(fake, draft->kind, ns, name) != NULL)
			rc = ambient_err(err, AMBIENT_E_EXISTS, "%s \"%s\" already exists", draft->kind, name);
		else
			rc = answer(call, fake_store(fake, draft->kind, draft->arena, draft->root), ret);
	}
	fake_unlock(fake);
	return rc;
}

static int
client_update(struct ambient_call *call, struct ambient_draft *d, const char *sub, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_draft_info info, *draft = &info;
	const struct am_node *meta;
	struct fake_object *old;
	const char *ns, *name;
	int rc = am_draft_open(d, &info, err);

	if (rc < 0)
		return rc;
	meta = am_node_get(draft->root, "metadata");
	ns = am_node_get_str(meta, "namespace", "");
	name = am_node_get_str(meta, "name", "");
	fake_lock(fake);
	rc = enter(fake, "update", draft->kind, sub, err);
	old = fake_lookup(fake, draft->kind, ns, name);
	if (rc == 0 && old == NULL)
		rc = not_found(err, draft->kind, ns, name);
	else if (rc == 0 && am_node_get(meta, "resourceVersion") == NULL)
		rc = ambient_err(err, AMBIENT_E_INVALID, "metadata.resourceVersion: must be specified for an update");
	else if (rc == 0)
		rc = replace(call, draft->kind, sub, draft->arena, old, draft->root, ret, err);
	fake_unlock(fake);
	return rc;
}

static int
client_patch(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *sub, int type,
	     const char *body, size_t len, const struct ambient_object **ret, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_arena *arena = fake_call_arena(fake_of_call(call));
	struct am_node *patch = am_node_parse(arena, body, len, err), *next;
	struct fake_object *old;
	int rc;

	if (patch == NULL)
		return -err->code;
	fake_lock(fake);
	rc = enter(fake, "patch", kind, sub, err);
	old = fake_lookup(fake, kind, ns, name);
	if (rc == 0 && old == NULL)
		rc = not_found(err, kind, ns, name);
	if (rc == 0) {
		next = am_node_clone(arena, old->node);
		next = type == AMBIENT_PATCH_JSON ? am_patch_json(arena, next, patch, err)
						  : am_patch_merge(arena, next, patch);
		rc = next != NULL ? replace(call, kind, sub, arena, old, next, ret, err) : -err->code;
	}
	fake_unlock(fake);
	return rc;
}

static int
client_remove(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *options,
	      struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_arena *arena = fake_call_arena(fake_of_call(call));
	struct fake_object *old;
	struct am_node *o = NULL, *next;
	const char *uid, *rv;
	char text[32];
	int64_t grace = am_streq(kind, "v1/pods") ? 30 : 0;
	int rc;

	fake_lock(fake);
	rc = enter(fake, "delete", kind, NULL, err);
	old = fake_lookup(fake, kind, ns, name);
	if (rc < 0 || old == NULL) {
		fake_unlock(fake);
		return rc;
	}
	if (options != NULL && (o = am_node_parse(arena, options, strlen(options), err)) == NULL) {
		fake_unlock(fake);
		return -err->code;
	}
	uid = am_node_text(am_node_at(o, "/preconditions/uid"), NULL);
	if (uid != NULL && !am_streq(uid, am_node_text(am_node_at(old->node, "/metadata/uid"), NULL))) {
		fake_unlock(fake);
		return ambient_err(err, AMBIENT_E_CONFLICT, "the uid in the precondition does not match");
	}
	rv = am_node_text(am_node_at(o, "/preconditions/resourceVersion"), NULL);
	if (rv != NULL && !am_streq(rv, am_node_text(am_node_at(old->node, "/metadata/resourceVersion"), NULL))) {
		fake_unlock(fake);
		return ambient_err(err, AMBIENT_E_CONFLICT, "the resource version in the precondition does not match");
	}
	(void)am_node_get_int(am_node_get(old->node, "spec"), "terminationGracePeriodSeconds", &grace);
	if (o != NULL)
		(void)am_node_get_int(o, "gracePeriodSeconds", &grace);
	if (am_streq(kind, "v1/pods") && am_empty(am_node_text(am_node_at(old->node, "/spec/nodeName"), NULL)))
		grace = 0;
	next = am_node_clone(arena, old->node);
	am_time_format(text, fake->wall + grace * AM_NS_PER_S, false);
	am_node_set(arena, am_node_get(next, "metadata"), "deletionTimestamp", am_node_str(arena, text));
	am_node_set(arena, am_node_get(next, "metadata"), "deletionGracePeriodSeconds", am_node_int(arena, grace));
	fake_store(fake, kind, arena, next);
	(void)fake_finish_delete(fake, kind, next);
	fake_unlock(fake);
	return 0;
}

/* Objects are merged, everything else is replaced. */
static void
merge(struct am_arena *arena, struct am_node *into, const struct am_node *from)
{
	for (const struct am_node *m = from->first; m != NULL; m = m->next) {
		struct am_node *have = am_node_get(into, m->key);

		if (have != NULL && have->type == AMBIENT_T_OBJECT && m->type == AMBIENT_T_OBJECT)
			merge(arena, have, m);
		else
			am_node_set(arena, into, m->key, am_node_clone(arena, m));
	}
}

static void
set_owner(struct fake_call *call, struct am_arena *arena, struct am_node *root)
{
	struct fake_object *owner = call->owner_kind != NULL
		? fake_lookup(call->fake, call->owner_kind, call->owner_ns, call->owner_name) : NULL;
	struct am_node *ref, *refs;

	if (owner == NULL)
		return;
	ref = am_node_object(arena);
	am_node_set(arena, ref, "apiVersion", am_node_str(arena, am_node_get_str(owner->node, "apiVersion", "")));
	am_node_set(arena, ref, "kind", am_node_str(arena, am_node_get_str(owner->node, "kind", "")));
	am_node_set(arena, ref, "name", am_node_str(arena, call->owner_name));
	am_node_set(arena, ref, "uid", am_node_str(arena, am_node_text(am_node_at(owner->node, "/metadata/uid"), "")));
	am_node_set(arena, ref, "controller", am_node_bool(arena, true));
	am_node_set(arena, ref, "blockOwnerDeletion", am_node_bool(arena, true));
	refs = am_node_array(arena);
	am_node_append(refs, ref);
	am_node_set_at(arena, root, "/metadata/ownerReferences", refs, NULL);
}

static void
noop(struct fake_host *fake, const char *verb, const char *kind)
{
	char key[256];

	snprintf(key, sizeof(key), "%s %s", verb, kind);
	am_map_put(fake->calls, key, (void *)((uintptr_t)am_map_get(fake->calls, key) - 1));
	snprintf(key, sizeof(key), "noop %s", kind);
	am_map_put(fake->calls, key, (void *)((uintptr_t)am_map_get(fake->calls, key) + 1));
}

static int
client_apply(struct ambient_call *call, struct ambient_draft *d, uint32_t flags, const struct ambient_object **ret,
	     struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_draft_info info, *draft = &info;
	struct fake_object *old;
	struct am_node *next;
	const char *ns, *name;
	int rc = am_draft_open(d, &info, err);

	if (rc < 0)
		return rc;
	ns = am_node_text(am_node_at(draft->root, "/metadata/namespace"), "");
	name = am_node_text(am_node_at(draft->root, "/metadata/name"), "");
	fake_lock(fake);
	rc = enter(fake, "apply", draft->kind, NULL, err);
	if (rc == 0) {
		if ((flags & AMBIENT_APPLY_NO_OWNER) == 0)
			set_owner(fake_of_call(call), draft->arena, draft->root);
		old = fake_lookup(fake, draft->kind, ns, name);
		next = old != NULL ? am_node_clone(draft->arena, old->node) : draft->root;
		if (old != NULL)
			merge(draft->arena, next, draft->root);
		if (old != NULL && am_node_equal(next, old->node)) {
			noop(fake, "apply", draft->kind);
			rc = answer(call, old, ret);
		} else if (old != NULL) {
			rc = replace(call, draft->kind, NULL, draft->arena, old, next, ret, err);
		} else {
			rc = answer(call, fake_store(fake, draft->kind, draft->arena, next), ret);
		}
	}
	fake_unlock(fake);
	return rc;
}

static int
client_status(struct ambient_call *call, struct ambient_draft *d, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_draft_info info, *draft = &info;
	const struct am_node *status, *had;
	struct fake_object *old;
	const char *ns, *name;
	int rc = am_draft_open(d, &info, err);

	if (rc < 0)
		return rc;
	ns = am_node_text(am_node_at(draft->root, "/metadata/namespace"), "");
	name = am_node_text(am_node_at(draft->root, "/metadata/name"), "");
	status = am_node_get(draft->root, "status");
	fake_lock(fake);
	rc = enter(fake, "status", draft->kind, "status", err);
	old = fake_lookup(fake, draft->kind, ns, name);
	if (rc == 0 && old == NULL)
		rc = not_found(err, draft->kind, ns, name);
	if (rc == 0) {
		had = am_node_get(old->node, "status");
		if ((had == NULL && status == NULL) || (had != NULL && status != NULL && am_node_equal(had, status)))
			noop(fake, "status", draft->kind);
		rc = replace(call, draft->kind, "status", draft->arena, old, draft->root, ret, err);
	}
	fake_unlock(fake);
	return rc;
}

/* "a.b=c,...", as a field selector. */
static bool
of_fields(const struct am_node *node, const char *fields)
{
	char pointer[260], term[256];

	for (const char *p = fields; p != NULL && *p != '\0'; p += strcspn(p, ","), p += *p == ',') {
		char *eq;

		snprintf(term, sizeof(term), "%.*s", (int)strcspn(p, ","), p);
		if ((eq = strchr(term, '=')) == NULL)
			return false;
		*eq++ = '\0';
		snprintf(pointer, sizeof(pointer), "/%s", term);
		for (char *c = pointer; *c != '\0'; c++)
			if (*c == '.')
				*c = '/';
		if (!am_streq(am_node_text(am_node_at(node, pointer), NULL), eq))
			return false;
	}
	return true;
}

/* Of "list" only. */
static int
client_ask(struct ambient_call *call, const struct ambient_ask *ask, const struct ambient_object **ret, struct ambient_error *err)
{
	struct fake_host *fake = fake_of_call(call)->fake;
	struct am_arena *arena = fake_call_arena(fake_of_call(call));
	struct am_node *list = am_node_object(arena), *items = am_node_array(arena);
	struct fake_object *obj;
	char prefix[512];
	const char *key;
	void *value;
	int rc;

	if (!am_streq(ask->verb, "list"))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the fake host asks for lists only");
	snprintf(prefix, sizeof(prefix), "%s %s%s", ask->kind, am_empty(ask->ns) ? "" : ask->ns, am_empty(ask->ns) ? "" : " ");
	fake_lock(fake);
	rc = enter(fake, "list", ask->kind, NULL, err);
	for (size_t it = 0; rc == 0 && am_map_next(fake->objects, &it, &key, &value);)
		if (am_starts(key, prefix) && selected(((struct fake_object *)value)->node, ask->selector) &&
		    of_fields(((struct fake_object *)value)->node, ask->fields))
			am_node_append(items, am_node_clone(arena, ((struct fake_object *)value)->node));
	fake_unlock(fake);
	if (rc < 0)
		return rc;
	am_node_set(arena, list, "items", items);
	obj = fake_object_of(list);
	(void)answer(call, obj, ret);
	fake_object_unref(obj);
	return 0;
}

const struct ambient_cache_api fake_cache_api = { sizeof(fake_cache_api), cache_get, cache_list, cache_count, cache_item };
const struct ambient_client_api fake_client_api = {
	sizeof(fake_client_api), client_get, client_create, client_update, client_patch, client_remove, client_apply,
	client_status, client_ask
};
