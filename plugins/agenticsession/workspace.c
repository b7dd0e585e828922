/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose files a session works in: its own, or those of a session that it continues.  A workspace is a claim that one pod
 * mounts at a time, so a run begins only when no other session of the workspace is admitted or has a pod left.  That is
 * asked under the lock of admit.c, since two that wait for the same may be looked at by two workers.
 *
 * status.effective.workspace names the session whose claim it is; that of a continuation of a continuation is the first's.
 */
#include "plugins/agenticsession/agenticsession.h"

#define PARENT "/metadata/annotations/vteam.ambient-code~1parent-session-id"

const char *
as_parent(const struct ambient_object *session)
{
	const char *parent = ambient_str(session, PARENT, ambient_str(session, "/spec/environmentVariables/PARENT_SESSION_ID", ""));

	/* Who restarts a session by the older clients names the session itself. */
	return strcmp(parent, ambient_str(session, "/metadata/name", "")) == 0 ? "" : parent;
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

/* A pod of another session that mounts the workspace and has not ended; NULL: none. */
static int
pod_of(struct ambient_call *call, const char *ns, const char *session, const struct ambient_object **ret, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_list *pods = NULL;
	char label[AS_NAME_MAX], selector[160];
	int rc;

	as_name(label, "", session, "");
	(void)snprintf(selector, sizeof(selector), "app=ambient-code-runner,agentic-session=%s", label);
	options.selector = selector;
	rc = ambient_list(call, AS_POD, &options, &pods, err);
	for (size_t i = 0; rc == 0 && i < ambient_list_count(call, pods); i++)
		if (!as_pod_ended(ambient_list_item(call, pods, i)))
			*ret = ambient_list_item(call, pods, i);
	return rc;
}

int
as_workspace_free(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		  struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *own = ambient_str(session, "/metadata/name", "");
	const struct ambient_object *pod = NULL;
	const struct ambient_list *list = NULL;
	int rc = of_workspace(call, ns, as_workspace(st, session), &list, err);

	*ret = true;
	for (size_t i = 0; rc == 0 && *ret && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *other = ambient_list_item(call, list, i);
		const char *name = ambient_str(other, "/metadata/name", "");

		if (strcmp(name, own) == 0 || (!is_admitted(other) && (rc = pod_of(call, ns, name, &pod, err)) < 0))
			continue;
		bool shown = false;

		if ((rc = as_content_away(call, other, &shown, err)) < 0)
			break;
		*ret = !is_admitted(other) && pod == NULL && !shown;
		if (!*ret)
			as_set(st, AS_READY, KC_FALSE, "WorkspaceInUse", "waits for session \"%.253s\" to end, which works in the "
			       "same workspace", name);
	}
	return rc;
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

int
as_workspace_used(struct ambient_call *call, const struct ambient_object *session, struct as_status *st, bool *ret,
		  struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *own = ambient_str(session, "/metadata/name", "");
	const struct ambient_list *list = NULL;
	int rc = strcmp(as_workspace(st, session), own) == 0 ? of_workspace(call, ns, own, &list, err) : 0;

	*ret = false;
	for (size_t i = 0; rc == 0 && list != NULL && i < ambient_list_count(call, list); i++) {
		const struct ambient_object *other = ambient_list_item(call, list, i);

		*ret = *ret || (strcmp(ambient_str(other, "/metadata/name", ""), own) != 0 &&
				ambient_str(other, "/status/completionTime", "")[0] == '\0');
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
