/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one verb of the client table that can say everything: lists and collections, any subresource, dry runs, how strictly
 * fields are validated, an apply that is not forced.  Permission and fence are those of the other verbs.
 */
#include <stdio.h>
#include <string.h>

#include "core/host/client_priv.h"

static const struct {
	const char *name, *method;
	uint32_t verb;
	bool named;      /* of one object, not of a collection */
	bool writes;
} verbs[] = {
	{ "get", "GET", AM_VERB_GET, true, false },
	{ "list", "GET", AM_VERB_LIST, false, false },
	{ "create", "POST", AM_VERB_CREATE, false, true },
	{ "update", "PUT", AM_VERB_UPDATE, true, true },
	{ "patch", "PATCH", AM_VERB_PATCH, true, true },
	{ "delete", "DELETE", AM_VERB_DELETE, true, true },
	{ "deletecollection", "DELETE", AM_VERB_DELETECOLLECTION, false, true },
};

static void
query_add(struct am_buf *out, const char *name, const char *value)
{
	if (am_empty(value))
		return;
	am_buf_addf(out, "&%s=", name);
	am_url_escape(out, value);
}

static void
query_make(const struct ambient_ask *ask, bool writes, struct am_buf *out)
{
	char number[16];

	if (writes && (ask->flags & AMBIENT_ASK_DRY_RUN) != 0)
		query_add(out, "dryRun", "All");
	if (writes && (ask->flags & AMBIENT_ASK_FORCE) != 0)
		query_add(out, "force", "true");
	query_add(out, "fieldValidation", ask->validation);
	query_add(out, "labelSelector", ask->selector);
	query_add(out, "fieldSelector", ask->fields);
	query_add(out, "continue", ask->token);
	(void)snprintf(number, sizeof(number), "%d", ask->limit);
	query_add(out, "limit", ask->limit > 0 ? number : NULL);
}

/* Reads as much of it as the plugin's size says that there is. */
static int
take(const struct ambient_ask *from, struct ambient_ask *ask, size_t *ret_verb, struct ambient_error *err)
{
	memset(ask, 0, sizeof(*ask));
	memcpy(ask, from, AM_MIN(from->size, sizeof(*ask)));
	for (size_t i = 0; i < AM_COUNTOF(verbs); i++) {
		if (!am_streq(verbs[i].name, ask->verb))
			continue;
		*ret_verb = i;
		if (am_empty(ask->kind) || (verbs[i].named && am_empty(ask->name)))
			return ambient_terminal(err, "to %s it takes a kind and a name", ask->verb);
		if (!verbs[i].named && !am_empty(ask->name) && am_empty(ask->sub))
			return ambient_terminal(err, "to %s it takes no name; \"%.100s\" was given", ask->verb, ask->name);
		if (verbs[i].verb == AM_VERB_PATCH && (ask->patch < AMBIENT_PATCH_MERGE || ask->patch > AMBIENT_PATCH_APPLY))
			return ambient_terminal(err, "%d is no type of patch", ask->patch);
		return 0;
	}
	return ambient_terminal(err, "\"%.40s\" is no verb; use get, list, create, update, patch, delete or deletecollection",
				ask->verb != NULL ? ask->verb : "");
}

int
host_ask(struct ambient_call *call, const struct ambient_ask *from, const struct ambient_object **ret,
	 struct ambient_error *err)
{
	struct am_buf query = { 0 }, payload = { 0 }, body = { 0 };
	struct ambient_ask ask;
	size_t v = 0;
	int rc = take(from, &ask, &v, err);

	if (rc < 0)
		return rc;
	query_make(&ask, verbs[v].writes, &query);
	const struct host_target t = { .kind = ask.kind, .ns = ask.ns, .name = ask.name != NULL ? ask.name : "", .sub = ask.sub,
				       .query = am_buf_str(&query) };
	bool dry = !verbs[v].writes || (ask.flags & AMBIENT_ASK_DRY_RUN) != 0;
	am_buf_add(&payload, ask.body != NULL ? ask.body : "", ask.body != NULL ? ask.len : 0);
	if (query.failed || payload.failed)
		rc = ambient_err(err, AMBIENT_E_NOMEM, "no memory for a request of %zu bytes", ask.len);
	if (rc == 0)
		rc = host_send(call, &t, verbs[v].verb, verbs[v].method,
			       verbs[v].verb == AM_VERB_PATCH ? host_patch_type(ask.patch) : NULL, ask.body != NULL ? &payload : NULL,
			       &body, err);
	/* What is only tried changes nothing, and of a collection the answer names no object. */
	if (rc == 0)
		rc = host_answer(call, &t, dry || verbs[v].verb == AM_VERB_DELETECOLLECTION ? AM_VERB_GET : verbs[v].verb, &body, ret, err);
	am_buf_fini(&query);
	am_buf_fini(&payload);
	am_buf_fini(&body);
	return rc;
}
