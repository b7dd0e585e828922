/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod that shows the messages and files of a session that has ended: the runner's endpoint, for reading, with the
 * workspace mounted read-only.  Somebody asks for it by an annotation that holds the time of asking; it goes by itself
 * when nobody reads, and is sent away when a run wants the workspace, which only one node may have.
 *
 * Which request was served last is in the session's status, so that none is served twice; it is noted after the pod was
 * made, since a pod that is there says itself what it was made for.
 */
#include "plugins/agenticsession/agenticsession.h"

#define OLD    (10 * AMBIENT_MINUTE) /* whoever asked so long ago has gone */
#define AHEAD  (5 * AMBIENT_MINUTE)  /* of clocks */
#define LONGEST_S (24 * 3600)        /* no key lasts longer */

static int
find(struct ambient_call *call, const struct ambient_object *session, const struct ambient_object **ret, struct ambient_error *err)
{
	char name[AS_NAME_MAX];

	as_name(name, "", ambient_str(session, "/metadata/name", ""), "-content");
	int rc = ambient_get(call, AS_POD, ambient_str(session, "/metadata/namespace", ""), name, ret, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		*ret = NULL;
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

static int
send_away(struct ambient_call *call, const struct ambient_object *pod, struct ambient_error *err)
{
	char options[160];
	int rc;

	if (ambient_deleting(pod))
		return 0;
	(void)snprintf(options, sizeof(options), "{\"preconditions\":{\"uid\":\"%.64s\"}}", ambient_str(pod, "/metadata/uid", ""));
	rc = ambient_delete(call, AS_POD, ambient_str(pod, "/metadata/namespace", ""), ambient_str(pod, "/metadata/name", ""),
			    options, err);
	return rc == -AMBIENT_E_NOTFOUND || rc == -AMBIENT_E_CONFLICT ? 0 : rc;
}

int
as_content_away(struct ambient_call *call, const struct ambient_object *session, bool *there, struct ambient_error *err)
{
	const struct ambient_object *pod = NULL;
	int rc = find(call, session, &pod, err);

	*there = rc == 0 && pod != NULL && as_owned(pod, session);
	return *there ? send_away(call, pod, err) : rc;
}

/* A request that was not served yet, and is of now. */
static bool
is_new(const char *asked, const struct as_status *st)
{
	int64_t at, before;

	if (strlen(asked) >= sizeof(st->content) || !kc_time_parse(asked, &at) || at < st->now - OLD || at > st->now + AHEAD)
		return false;
	return !kc_time_parse(st->content, &before) || at > before;
}

static void
add_container(const struct as_plugin *plugin, const struct ambient_object *session, const struct as_status *st, const char *image,
	      struct text *t)
{
	char dir[300];

	(void)snprintf(dir, sizeof(dir), "/workspace/sessions/%s", as_workspace(st, session));
	text_add(t, "{\"name\":\"content\",\"image\":%s,\"imagePullPolicy\":%s,\"command\":[\"ambient-runner\"],"
		 "\"args\":[\"content\"]," AS_LOCKED_DOWN ",\"env\":[{\"name\":\"AMBIENT_RUNNER_CONTRACT\",\"value\":\"1\"},"
		 "{\"name\":\"AMBIENT_SESSION_NAME\",\"value\":%s},{\"name\":\"AMBIENT_SESSION_NAMESPACE\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_SESSION_UID\",\"value\":%s},{\"name\":\"AMBIENT_SESSION_DIR\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_POD_IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},"
		 "{\"name\":\"AMBIENT_ENDPOINT\",\"value\":\"[$(AMBIENT_POD_IP)]:%d\"},", image, plugin->pull_policy,
		 ambient_str(session, "/metadata/name", ""), ambient_str(session, "/metadata/namespace", ""),
		 ambient_str(session, "/metadata/uid", ""), dir, (int64_t)AS_PORT);
	text_add(t, "{\"name\":\"AMBIENT_CONTENT_IDLE\",\"value\":\"%ds\"}],\"ports\":[{\"name\":\"messages\",\"containerPort\":%d}],"
		 "\"readinessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":%d},\"periodSeconds\":1,\"timeoutSeconds\":5,"
		 "\"failureThreshold\":30},\"volumeMounts\":[{\"name\":\"workspace\",\"mountPath\":\"/workspace\",\"readOnly\":true},"
		 "{\"name\":\"api\",\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true}]}",
		 plugin->content_idle_s, (int64_t)AS_PORT, (int64_t)AS_PORT);
}

static int
make_pod(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
	 const char *asked, struct ambient_error *err)
{
	const char *image = AMBIENT_HAS(call->host, fact) ? call->host->fact(call->host, "runner-image") : NULL;
	char name[AS_NAME_MAX], sa[AS_NAME_MAX], claim[AS_NAME_MAX];
	struct text t = TEXT_INIT;
	int rc;

	if (image == NULL || image[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "no runner image is configured; set runner.image");
	as_name(name, "", ambient_str(session, "/metadata/name", ""), "-content");
	as_name(sa, "ambient-session-", ambient_str(session, "/metadata/name", ""), "");
	as_name(claim, "ambient-workspace-", as_workspace(st, session), "");
	struct ambient_draft *draft = as_child(call, session, st, AS_POD, "v1", "Pod", name, "ambient-content");
	ambient_draft_set_str(draft, AS_CONTENT, asked);
	text_add(&t, "{\"restartPolicy\":\"Never\",\"automountServiceAccountToken\":false,\"enableServiceLinks\":false,"
		 "\"activeDeadlineSeconds\":%d,\"terminationGracePeriodSeconds\":5,\"serviceAccountName\":%s", (int64_t)LONGEST_S, sa);
	as_add_pod_security(plugin, &t);
	text_add(&t, ",\"volumes\":[{\"name\":\"workspace\",\"persistentVolumeClaim\":{\"claimName\":%s,\"readOnly\":true}},", claim);
	as_add_account_volume(&t);
	text_add(&t, "],\"containers\":[");
	add_container(plugin, session, st, image, &t);
	text_add(&t, "]}");
	ambient_draft_set_json(draft, "/spec", t.failed ? "!" : t.p);
	text_fini(&t);
	rc = ambient_create(call, draft, NULL, err);
	return rc == -AMBIENT_E_EXISTS ? 0 : rc; /* of ours the cache is about to tell; another's stays */
}

/* Whoever asked looks at the session. */
static void
cannot(struct ambient_call *call, const struct ambient_object *session, const char *why)
{
	ambient_event(call, session, "Warning", "ContentUnavailable", "the session's files cannot be shown: %s", why);
}

static const char *
why_failed(const struct ambient_object *pod)
{
	const char *said = ambient_str(pod, "/status/message", "");

	return said[0] != '\0' ? said : "their pod failed; the operator's log and the node's tell more";
}

static int
serve(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, struct as_status *st,
      const char *asked, struct ambient_error *err)
{
	bool busy = false;
	int rc = as_workspace_busy(call, session, st, &busy, err);

	if (rc == 0 && busy)
		cannot(call, session, "another session works in the same workspace; its messages and files are there");
	if (rc < 0)
		return rc;
	if (!busy) {
		rc = as_provision(plugin, call, session, st, err);
		rc = rc == 0 ? make_pod(plugin, call, session, st, asked, err) : rc;
		if (rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN || rc == -AMBIENT_E_EXISTS)
			cannot(call, session, err->message);
		else if (rc < 0)
			return rc;
	}
	kc_copy(st->content, sizeof(st->content), asked);
	return 0;
}

int
as_content(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session, struct as_status *st,
	   struct ambient_error *err)
{
	const char *asked = ambient_str(session, AS_CONTENT, "");
	const struct ambient_object *pod = NULL;
	bool busy = false;
	int rc = find(call, session, &pod, err);

	if (rc < 0)
		return rc;
	if (pod == NULL)
		return is_new(asked, st) ? serve(plugin, call, session, st, asked, err) : 0;
	if (!as_owned(pod, session))
		return 0;
	if (st->content[0] == '\0' || is_new(ambient_str(pod, AS_CONTENT, ""), st))
		kc_copy(st->content, sizeof(st->content), ambient_str(pod, AS_CONTENT, ""));
	/* One that runs serves who asks meanwhile; who asks while it goes gets the next one. */
	if (!as_pod_ended(pod)) {
		if (ambient_deleting(pod))
			return 0;
		if (is_new(asked, st))
			kc_copy(st->content, sizeof(st->content), asked);
		rc = as_workspace_busy(call, session, st, &busy, err);
		return rc == 0 && busy ? send_away(call, pod, err) : rc;
	}
	if (strcmp(ambient_str(pod, "/status/phase", ""), "Failed") == 0)
		cannot(call, session, why_failed(pod));
	return send_away(call, pod, err);
}
