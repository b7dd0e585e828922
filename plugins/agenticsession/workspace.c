/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose files a session works in: its own, or those of a session that it continues.  A workspace is a claim that one pod
 * mounts at a time, so a run begins only when no other session of the workspace is admitted or has a pod left.  That is
 * asked under the lock of admit.c, since two that wait for the same may be looked at by two workers.  A session that is
 * deleted leaves its pod for a while, so pods are asked for by the workspace that they mount, whosever they are; who waits
 * says for whom in status.waitsFor, since one that is gone can no longer say whose workspace it was in.
 *
 * status.effective.workspace names the session whose claim it is; that of a continuation of a continuation is the first's.
 */
#include "plugins/agenticsession/agenticsession.h"

/* The session that this one waits for, by name; "" when it waits for none: it is not there, or knows whose workspace is its own. */
static int
waits_for(struct ambient_call *call, const char *ns, const char *name, const char **ret, struct ambient_error *err)
{
	const struct ambient_object *o = NULL;
	int rc = name[0] != '\0' ? ambient_get(call, AS_SESSION, ns, name, &o, err) : -AMBIENT_E_NOTFOUND;

	*ret = rc == 0 && kw_planned(o)[0] == '\0' ? kw_parent(o) : "";
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

/* One goes by single steps and one by double: where there is a ring, they meet in it. */
int
as_ring(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, bool wake, char text[320],
	struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *slow = kw_parent(session), *fast = slow, *next = "";
	size_t n = 0;
	int rc = 0;

	text[0] = '\0';
	do {
		if ((rc = waits_for(call, ns, slow, &slow, err)) < 0 || (rc = waits_for(call, ns, fast, &fast, err)) < 0 ||
		    (rc = waits_for(call, ns, fast, &fast, err)) < 0)
			return rc;
	} while (fast[0] != '\0' && strcmp(slow, fast) != 0);
	if (fast[0] == '\0')
		return 0;
	do {
		if ((rc = waits_for(call, ns, slow, &next, err)) < 0 || (wake && (rc = ambient_enqueue(plugin->host, NULL, ns, slow, 0)) < 0))
			return rc;
		if (n < 240)
			n += (size_t)snprintf(text + n, 320 - n, "%s\"%.60s\" continues \"%.60s\"", n > 0 ? ", " : "", slow, next);
		else if (n < 312)
			n += (size_t)snprintf(text + n, 320 - n, " ...") + 312;
		slow = next;
	} while (slow[0] != '\0' && strcmp(slow, fast) != 0);
	return 0;
}

const char *
as_workspace(const struct as_status *st, const struct ambient_object *session)
{
	const char *own = ambient_str(session, "/metadata/name", "");

	return st->effective != NULL ? ambient_str(st->effective, "/workspace", own) : own;
}

static bool
is_admitted(const struct ambient_object *session)
{
	return strcmp(ambient_str(session, "/status/admission", ""), "Admitted") == 0;
}

static int
of_workspace(struct ambient_call *call, const char *ns, const char *workspace, const struct ambient_list **ret,
	     struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns, .index = "byWorkspace", .value = workspace };

	return ambient_list(call, AS_SESSION, &options, ret, err);
}

/* A pod of another session that mounts the workspace and has not ended; NULL: none.  The session may be gone already. */
static int
pod_there(struct ambient_call *call, const char *ns, const char *workspace, const char *own, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_list *pods = NULL;
	char label[AS_NAME_MAX], selector[160];
	int rc;

	as_name(label, "", workspace, "");
	(void)snprintf(selector, sizeof(selector), AS_WORKSPACE "=%s", label);
	options.selector = selector;
	rc = ambient_list(call, AS_POD, &options, &pods, err);
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, pods); i++) {
		const struct ambient_object *pod = ambient_list_item(call, pods, i);

		if (!as_pod_ended(pod) && strcmp(ambient_str(pod, AS_OF_SESSION, own), own) != 0)
			*ret = pod;
	}
	return rc;
}

static void
waits(struct as_status *st, const char *name)
{
	kc_copy(st->waits_for, sizeof(st->waits_for), name);
	as_set(st, AS_READY, KC_FALSE, "WorkspaceInUse", "waits for session \"%.253s\" to end, which works in the same workspace", name);
}

int
as_workspace_free(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		  struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *own = ambient_str(session, "/metadata/name", "");
	const char *workspace = as_workspace(st, session);
	const struct ambient_object *pod = NULL;
	const struct ambient_list *list = NULL;
	int rc = of_workspace(call, ns, workspace, &list, err);

	*ret = false;
	st->waits_for[0] = '\0';
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *other = ambient_list_item(call, list, i);
		const char *name = ambient_str(other, "/metadata/name", "");
		bool shown = false;

		if (strcmp(name, own) == 0)
			continue;
		rc = as_content_away(call, other, &shown, err);
		if (rc == 0 && (shown || is_admitted(other))) {
			waits(st, name);
			return 0;
		}
	}
	if (rc < 0 || (rc = pod_there(call, ns, workspace, own, &pod, err)) < 0)
		return rc;
	*ret = pod == NULL;
	if (pod != NULL)
		waits(st, ambient_str(pod, AS_OF_SESSION, ""));
	return 0;
}

int
as_workspace_busy(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st, bool *ret,
		  struct ambient_error *err)
{
	const char *own = ambient_str(session, "/metadata/name", "");
	const struct ambient_list *list = NULL;
	int rc = of_workspace(call, ambient_str(session, "/metadata/namespace", ""), as_workspace(st, session), &list, err);

	*ret = false;
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++)
		*ret = *ret || (is_admitted(ambient_list_item(call, list, i)) &&
				strcmp(ambient_str(ambient_list_item(call, list, i), "/metadata/name", ""), own) != 0);
	return rc;
}

/* One that continues the session and has no plan yet, which would say in whose workspace. */
static int
unplanned(struct ambient_call *call, const char *ns, const char *parent, bool *ret, struct ambient_error *err)
{
	static const char *const indexes[] = { "byParent", "byParentVariable" };
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < sizeof(indexes) / sizeof(indexes[0]); k++) {
		struct ambient_list_options options = { .size = sizeof(options), .ns = ns, .index = indexes[k], .value = parent };
		const struct ambient_list *list = NULL;

		rc = ambient_list(call, AS_SESSION, &options, &list, err);
		for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
			const struct ambient_object *o = ambient_list_item(call, list, i);

			*ret = *ret || (strcmp(kw_parent(o), parent) == 0 && kw_planned(o)[0] == '\0' && !kw_is_over(o));
		}
	}
	return rc;
}

int
as_workspace_used(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		  struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *own = ambient_str(session, "/metadata/name", "");
	const struct ambient_list *list = NULL;
	int rc;

	*ret = false;
	if (strcmp(as_workspace(st, session), own) != 0)
		return 0;
	rc = of_workspace(call, ns, own, &list, err);
	if (rc == 0)
		rc = unplanned(call, ns, own, ret, err);
	for (size_t i = 0; rc == 0 && !*ret && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *other = ambient_list_item(call, list, i);
		const char *name = ambient_str(other, "/metadata/name", "");

		if (strcmp(name, own) == 0)
			continue;
		*ret = !kw_is_over(other);
		if (!*ret)
			rc = unplanned(call, ns, name, ret, err);
	}
	return rc;
}

int
as_workspace_wake(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
		  const struct as_status *st, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *own = ambient_str(session, "/metadata/name", "");
	const struct ambient_list *list = NULL;
	int rc = of_workspace(call, ns, as_workspace(st, session), &list, err);

	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *other = ambient_list_item(call, list, i);
		const char *name = ambient_str(other, "/metadata/name", "");

		/* Whose workspace it is may have waited for that with its own end. */
		if (strcmp(name, own) != 0 && (strcmp(ambient_str(other, "/status/phase", ""), "Pending") == 0 ||
					       strcmp(name, as_workspace(st, session)) == 0))
			rc = ambient_enqueue(plugin->host, NULL, ns, name, 0);
	}
	return rc;
}

int
as_workspace_gone(const struct as_plugin *plugin, struct ambient_call *call, const char *ns, const char *name,
		  struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns, .index = "byWaitsFor", .value = name };
	const struct ambient_list *list = NULL;
	int rc = ambient_list(call, AS_SESSION, &options, &list, err);

	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, list); i++)
		rc = ambient_enqueue(plugin->host, NULL, ns, ambient_str(ambient_list_item(call, list, i), "/metadata/name", ""), 0);
	return rc;
}
