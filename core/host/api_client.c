/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client table: verbs against the API server.  Every write asks the fence first and ends with it, is checked against what the plugin
 * declared, carries the instance as field manager, and is made visible to the instance's own reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/client_priv.h"

static const struct {
	const char *content_type;
} patches[] = {
	[AMBIENT_PATCH_MERGE] = { "application/merge-patch+json" },
	[AMBIENT_PATCH_JSON] = { "application/json-patch+json" },
	[AMBIENT_PATCH_STRATEGIC] = { "application/strategic-merge-patch+json" },
	[AMBIENT_PATCH_APPLY] = { "application/apply-patch+yaml" },
};

static bool
is_read(uint32_t verb)
{
	return verb == AM_VERB_GET || verb == AM_VERB_LIST;
}

int
host_permitted(const struct am_instance *instance, const struct host_target *t, uint32_t verb, struct ambient_error *err)
{
	const struct am_plugin_decl *decl = instance->plugin->decl;

	if (am_plugin_decl_may(decl, t->kind, t->sub, verb) ||
	    (is_read(verb) && t->sub == NULL && am_plugin_decl_watches(decl, t->kind)))
		return 0;
	struct ambient_error said = AMBIENT_ERROR_INIT;
	ambient_err(&said, AMBIENT_E_FORBIDDEN, "plugin \"%s\" does not declare \"may=%s%s%s:%s\"", decl->name, t->kind,
		    t->sub != NULL ? "/" : "", t->sub != NULL ? t->sub : "", am_plugin_verb_name(verb));
	said.flags |= AMBIENT_ERROR_TERMINAL;
	ambient_err_copy(err, &said);
	return -AMBIENT_E_FORBIDDEN;
}

int
host_refuse(struct am_instance *instance, const char *what, const char *kind, const char *ns, const char *name,
	    struct ambient_error *err)
{
	am_metric_add(instance->refused, 1);
	(void)ambient_terminal(err, "instance \"%s\" is read-only: %s of %s \"%s%s%s\" was not sent", instance->name, what, kind,
			       am_empty(ns) ? "" : ns, am_empty(ns) ? "" : "/", name);
	if (err != NULL)
		err->code = AMBIENT_E_FORBIDDEN;
	return -AMBIENT_E_FORBIDDEN;
}

/* May it be sent, and until when? */
static int
fence(struct ambient_call *call, uint32_t verb, int64_t *ret_deadline, struct ambient_error *err)
{
	const struct am_host *host = instance_of(call->host)->host;
	const struct am_host_fence *f = &host->fence;
	const struct am_reconcile *request = call_of(call)->request;
	int64_t until = AM_FOREVER;

	*ret_deadline = call->deadline;
	if (ambient_cancelled(call))
		return ambient_err(err, AMBIENT_E_CANCELLED, "the call was cancelled");
	if (is_read(verb))
		return 0;
	if (f->until != NULL)
		until = f->until(f->arg);
	if (am_clock_boot(host->clock) >= until || (f->holds != NULL && !f->holds(f->arg, request->ns, request->name)))
		return ambient_err(err, AMBIENT_E_CANCELLED, "this replica does not lead any more");
	/* A deadline of 0 is the client's default, a time from now. */
	if (until != AM_FOREVER)
		*ret_deadline = call->deadline != 0 ? AM_MIN(call->deadline, until) : until;
	return 0;
}

/* What the API server answered, for the plugin's eyes and for its cache. */
static int
take_answer(struct ambient_call *call, const struct host_target *t, uint32_t verb, struct am_buf *body,
	    const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_instance *instance = instance_of(call->host);
	struct host_watch *w = t->sub == NULL || strcmp(t->sub, "status") == 0 ? host_watch_of(instance, t->kind) : NULL;
	const char *api_version = NULL, *name = NULL;
	struct ambient_error ignored = AMBIENT_ERROR_INIT; /* a kind that is not known is no failure of the write */
	struct am_object *object = NULL;
	int rc = am_json_check(am_buf_str(body), body->len, err);

	if (rc < 0)
		return am_err_prefix(err, "the API server's answer about %s \"%s\"", t->kind, t->name);
	if (w != NULL && verb != AM_VERB_GET && host_kind(instance, t->kind, &api_version, &name, &ignored) == 0 &&
	    am_object_new_kind(am_buf_str(body), body->len, api_version, name, &object, NULL) == 0) {
		/* The store knows its selection, and hides what a write has moved out of it. */
		struct am_store *store = am_stores_of(w->stores, object->ns);
		if (store != NULL)
			am_store_written(store, object);
		am_object_unref(object);
	}
	if (ret == NULL)
		return 0;
	*ret = am_object_copy(call_of(call)->head.pool, am_buf_str(body), body->len);
	return *ret != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "no memory for %s \"%s\"", t->kind, t->name);
}

int
host_send(struct ambient_call *call, const struct host_target *t, uint32_t verb, const char *method, const char *content_type,
	  const struct am_buf *payload, struct am_buf *body, struct ambient_error *err)
{
	struct am_instance *instance = instance_of(call->host);
	struct am_gvr gvr;
	struct am_buf path = { 0 };
	int64_t deadline = 0;
	int rc = host_permitted(instance, t, verb, err);

	if (rc == 0 && instance->readonly && !is_read(verb))
		rc = host_refuse(instance, am_plugin_verb_name(verb), t->kind, t->ns, t->name, err);
	if (rc == 0)
		rc = fence(call, verb, &deadline, err);
	if (rc == 0)
		rc = am_gvr_parse(t->kind, &gvr, err);
	if (rc < 0)
		return rc;
	am_kube_path(&path, &gvr, t->ns, verb == AM_VERB_CREATE && t->sub == NULL ? NULL : t->name, t->sub);
	bool manages = verb == AM_VERB_CREATE || verb == AM_VERB_UPDATE || verb == AM_VERB_PATCH;
	if (manages) {
		am_buf_adds(&path, "?fieldManager=");
		am_url_escape(&path, instance->name);
	}
	if (!am_empty(t->query)) {
		am_buf_addc(&path, manages ? '&' : '?');
		am_buf_adds(&path, t->query + 1);
	}
	const struct am_kube_request request = {
		.method = method,
		.path = am_buf_str(&path),
		.content_type = content_type,
		.body = payload != NULL ? am_buf_str(payload) : NULL,
		.body_len = payload != NULL ? payload->len : 0,
		.deadline = deadline,
		.cancelled = call->cancelled,
	};
	size_t before = body->len;
	rc = am_kube_do(instance->host->kube, &request, body, err);
	host_meter_request(instance, request.body_len, body->len - before, rc < 0);
	am_buf_fini(&path);
	return rc;
}

static int
verb_get(struct ambient_call *call, const char *kind, const char *ns, const char *name, const struct ambient_object **ret,
	 struct ambient_error *err)
{
	const struct host_target t = { .kind = kind, .ns = ns, .name = name };
	struct am_buf body = { 0 };
	int rc = host_send(call, &t, AM_VERB_GET, "GET", NULL, NULL, &body, err);

	if (rc == 0)
		rc = take_answer(call, &t, AM_VERB_GET, &body, ret, err);
	am_buf_fini(&body);
	return rc;
}

/* apiVersion and kind are filled in: plugins name kinds, not types.  The body of a subresource is a type of its own
 * (TokenRequest), which the plugin has to name. */
static int
print_draft(struct am_instance *instance, struct am_draft_info *d, const char *sub, struct am_buf *out, struct ambient_error *err)
{
	const char *api_version, *name;

	if ((sub == NULL || strcmp(sub, "status") == 0) &&
	    (am_node_get(d->root, "kind") == NULL || am_node_get(d->root, "apiVersion") == NULL)) {
		int rc = host_kind(instance, d->kind, &api_version, &name, err);
		if (rc < 0)
			return rc;
		am_node_set(d->arena, d->root, "apiVersion", am_node_str(d->arena, api_version));
		am_node_set(d->arena, d->root, "kind", am_node_str(d->arena, name));
	}
	am_node_print(d->root, out);
	if (out->failed || am_arena_failed(d->arena))
		return ambient_err(err, AMBIENT_E_NOMEM, "%s \"%s\" is too large", d->kind, d->name);
	return 0;
}

int
host_write(struct ambient_call *call, struct am_draft_info *d, const char *sub, uint32_t verb,
	   const struct ambient_object **ret, struct ambient_error *err)
{
	const struct host_target t = { .kind = d->kind, .ns = d->ns, .name = d->name, .sub = sub };
	struct am_buf payload = { 0 }, body = { 0 };
	int rc = print_draft(instance_of(call->host), d, sub, &payload, err);

	if (rc == 0)
		rc = host_send(call, &t, verb, verb == AM_VERB_CREATE ? "POST" : "PUT", NULL, &payload, &body, err);
	if (rc == 0)
		rc = take_answer(call, &t, verb, &body, ret, err);
	am_buf_fini(&payload);
	am_buf_fini(&body);
	return rc;
}

static int
verb_create(struct ambient_call *call, struct ambient_draft *draft, const char *sub, const struct ambient_object **ret,
	    struct ambient_error *err)
{
	struct am_draft_info d;
	int rc = am_draft_open(draft, &d, err);

	return rc < 0 ? rc : host_write(call, &d, sub, AM_VERB_CREATE, ret, err);
}

static int
verb_update(struct ambient_call *call, struct ambient_draft *draft, const char *sub, const struct ambient_object **ret,
	    struct ambient_error *err)
{
	struct am_draft_info d;
	int rc = am_draft_open(draft, &d, err);

	if (rc < 0)
		return rc;
	if (am_node_path(d.root, "metadata", "resourceVersion", NULL) == NULL)
		return ambient_terminal(err, "an update of %s \"%s\" needs its resourceVersion: start from draft_from", d.kind, d.name);
	return host_write(call, &d, sub, AM_VERB_UPDATE, ret, err);
}

int
host_patch(struct ambient_call *call, const struct host_target *t, int type, const char *text, size_t len,
	   const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_buf payload = { 0 }, body = { 0 };

	if (type < AMBIENT_PATCH_MERGE || type > AMBIENT_PATCH_APPLY)
		return ambient_terminal(err, "%d is no type of patch", type);
	am_buf_add(&payload, text, len);
	int rc = payload.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for a patch of %zu bytes", len)
				: host_send(call, t, AM_VERB_PATCH, "PATCH", patches[type].content_type, &payload, &body, err);
	if (rc == 0)
		rc = take_answer(call, t, AM_VERB_PATCH, &body, ret, err);
	am_buf_fini(&payload);
	am_buf_fini(&body);
	return rc;
}

static int
verb_patch(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *sub, int type,
	   const char *text, size_t len, const struct ambient_object **ret, struct ambient_error *err)
{
	const struct host_target t = { .kind = kind, .ns = ns, .name = name, .sub = sub };

	return host_patch(call, &t, type, text, len, ret, err);
}

const char *
host_patch_type(int type)
{
	return patches[type].content_type;
}

/* A DELETE is answered with a Status when the object is gone, with the object when it still ends. */
static void
note_deletion(struct ambient_call *call, const struct host_target *t, const struct am_buf *body)
{
	struct am_instance *instance = instance_of(call->host);
	struct host_watch *w = host_watch_of(instance, t->kind);
	struct am_slice text = am_slice(am_buf_str(body), body->len), kind;
	struct am_object *object = NULL;
	struct am_store *store = w != NULL ? am_stores_of(w->stores, t->ns != NULL ? t->ns : "") : NULL;

	if (store == NULL || am_json_check(text.p, text.n, NULL) < 0)
		return;
	if (am_json_find(text, "/kind", &kind) && am_json_str_eq(kind, "Status")) {
		char *uid = am_json_dup(text, "/details/uid");
		am_store_deleted(store, t->ns != NULL ? t->ns : "", t->name, uid);
		free(uid);
	} else if (am_object_new_kind(text.p, text.n, NULL, NULL, &object, NULL) == 0) {
		if (am_object_deleting(object))
			am_store_written(store, object);
		am_object_unref(object);
	}
}

int
host_answer(struct ambient_call *call, const struct host_target *t, uint32_t verb, struct am_buf *body,
	    const struct ambient_object **ret, struct ambient_error *err)
{
	if (verb == AM_VERB_DELETE && t->sub == NULL)
		note_deletion(call, t, body);
	return take_answer(call, t, verb == AM_VERB_DELETE ? AM_VERB_GET : verb, body, ret, err);
}

static int
verb_remove(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *options,
	    struct ambient_error *err)
{
	static const char background[] = "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"propagationPolicy\":\"Background\"}";
	const struct host_target t = { .kind = kind, .ns = ns, .name = name };
	struct am_buf payload = { 0 }, body = { 0 };

	am_buf_adds(&payload, options != NULL ? options : background);
	int rc = host_send(call, &t, AM_VERB_DELETE, "DELETE", NULL, &payload, &body, err);
	if (rc == 0)
		note_deletion(call, &t, &body);
	am_buf_fini(&payload);
	am_buf_fini(&body);
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

const struct ambient_client_api host_client_api = {
	.size = sizeof(host_client_api),
	.get = verb_get,
	.create = verb_create,
	.update = verb_update,
	.patch = verb_patch,
	.remove = verb_remove,
	.apply = host_apply,
	.status = host_status,
	.ask = host_ask,
};
