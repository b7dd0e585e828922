/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of a run, as JSON that reads like the manifests that it makes.  What is there already and belongs to the
 * session is what an interrupted reconcile or an earlier run left, and is kept; only what decides on rights is made again
 * what it should be, since that run may have been of another release.  What belongs to somebody else is refused, so that
 * nobody can lend a session a ServiceAccount or a report of their own making.
 *
 * The pod has two containers.  "runner" holds the session's token and the credentials for git; "agent" sees the
 * workspace, the socket between the two and the variables that its runner type asked for, and nothing else.
 */
#include "plugins/agenticsession/agenticsession.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "plugins/kind-shared/hash.h"

#define BACKSTOP_S 60

void
as_name(char out[AS_NAME_MAX], const char *prefix, const char *session, const char *suffix)
{
	size_t fixed = strlen(prefix) + strlen(suffix), n = strlen(session);

	if (fixed + n < AS_NAME_MAX) {
		(void)snprintf(out, AS_NAME_MAX, "%s%s%s", prefix, session, suffix);
		return;
	}
	n = AS_NAME_MAX - 1 - fixed - 11;
	while (n > 0 && !isalnum((unsigned char)session[n - 1]))
		n--;
	(void)snprintf(out, AS_NAME_MAX, "%s%.*s-%010" PRIx64 "%s", prefix, (int)n, session,
		       kh_adds(KH_FIRST, session) & UINT64_C(0xffffffffff), suffix);
}

/* What is common to all: labels, the annotations that lead back to the session and the run, the owner. */
struct ambient_draft *
as_child(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st, const char *kind,
      const char *api, const char *kind_name, const char *name, const char *app)
{
	const char *owner = ambient_str(session, "/metadata/name", "");
	struct ambient_draft *draft = ambient_draft_new(call, kind, ambient_str(session, "/metadata/namespace", ""), name);
	struct text t = TEXT_INIT;
	char label[AS_NAME_MAX], workspace[AS_NAME_MAX];

	as_name(label, "", owner, "");
	ambient_draft_set_str(draft, "/apiVersion", api);
	ambient_draft_set_str(draft, "/kind", kind_name);
	as_name(workspace, "", as_workspace(st, session), "");
	text_add(&t, "{\"app\":%s,\"agentic-session\":%s,\"" AS_WORKSPACE "\":%s}", app, label, workspace);
	ambient_draft_set_json(draft, "/metadata/labels", t.failed ? "!" : t.p);
	text_fini(&t);
	text_add(&t, "{\"ambient-code.io/session\":%s,\"ambient-code.io/run-id\":%s}", owner, st->run_id);
	ambient_draft_set_json(draft, "/metadata/annotations", t.failed ? "!" : t.p);
	text_fini(&t);
	text_add(&t, "[{\"apiVersion\":\"" AS_API "\",\"kind\":\"AgenticSession\",\"name\":%s,\"uid\":%s,\"controller\":true}]",
		 owner, ambient_str(session, "/metadata/uid", ""));
	ambient_draft_set_json(draft, "/metadata/ownerReferences", t.failed ? "!" : t.p);
	text_fini(&t);
	return draft;
}

/* Puts a text into a draft and frees it; one that ran out of memory becomes a failure of the draft. */
static void
set(struct ambient_draft *draft, const char *pointer, struct text *t)
{
	ambient_draft_set_json(draft, pointer, t->failed ? "!" : t->p);
	text_fini(t);
}

bool
as_owned(const struct ambient_object *o, const struct ambient_object *session)
{
	const struct ambient_object *owner = ambient_controller_of(o);

	return owner != NULL && strcmp(ambient_str(owner, "/uid", ""), ambient_str(session, "/metadata/uid", "-")) == 0;
}

/* Makes the part of `there` at pointer ("/spec") what the draft says. */
static int
correct(struct ambient_call *call, const struct ambient_object *there, const char *kind, const char *name,
	struct ambient_draft *draft, const char *pointer, struct ambient_error *err)
{
	const struct ambient_object *wanted = ambient_draft_view(draft);
	const char *now = ambient_json(there, pointer, NULL);
	struct text t = TEXT_INIT;
	int rc;

	if (wanted == NULL || ambient_at(wanted, pointer) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for %s \"%s\"", kind, name);
	/* The server may have the same in another order: then it is sent, and changes nothing. */
	if (now != NULL && strcmp(now, ambient_json(wanted, pointer, NULL)) == 0)
		return 0;
	text_add(&t, "{\"metadata\":{\"resourceVersion\":%s},%s:%o}", ambient_str(there, "/metadata/resourceVersion", ""),
		 pointer + 1, ambient_at(wanted, pointer));
	rc = t.failed ? ambient_err(err, AMBIENT_E_NOMEM, "no memory for %s \"%s\"", kind, name)
		      : ambient_patch(call, kind, ambient_str(there, "/metadata/namespace", ""), name, NULL, AMBIENT_PATCH_MERGE,
				      t.p, NULL, err);
	text_fini(&t);
	return rc;
}

/* Of a session of this name that was deleted: what it owned goes by and by, and must not be worked with meanwhile. */
static bool
is_left_over(const struct ambient_object *o, const struct ambient_object *session)
{
	const struct ambient_object *owner = ambient_controller_of(o);

	return owner != NULL && strcmp(ambient_str(owner, "/kind", ""), "AgenticSession") == 0 &&
	       strcmp(ambient_str(owner, "/name", ""), ambient_str(session, "/metadata/name", "")) == 0;
}

/* Creates, or finds that it is there and ours.  foreign: what to make of one that is not.  part: what has to be as the
 * draft says in one that is ours, or NULL.  -AMBIENT_E_CONFLICT: the one that is there is about to go. */
static int
ensure(struct ambient_call *call, const struct ambient_object *session, const char *kind, const char *name,
       struct ambient_draft *draft, bool foreign_is_fine, const char *part, struct ambient_error *err)
{
	const struct ambient_object *there = NULL;
	const char *ns = ambient_str(session, "/metadata/namespace", "");
	int rc = ambient_create(call, draft, NULL, err);

	if (rc != -AMBIENT_E_EXISTS)
		return rc;
	rc = ambient_get_live(call, kind, ns, name, &there, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_err(err, AMBIENT_E_CONFLICT, "%s \"%s/%s\" came and went", kind, ns, name);
	if (rc < 0)
		return rc;
	if (ambient_deleting(there))
		return ambient_err(err, AMBIENT_E_CONFLICT, "%s \"%s/%s\" is being deleted", kind, ns, name);
	if (as_owned(there, session))
		return part != NULL ? correct(call, there, kind, name, draft, part, err) : 0;
	if (is_left_over(there, session))
		return ambient_err(err, AMBIENT_E_CONFLICT, "%s \"%s/%s\" is of a session of this name that was deleted", kind, ns, name);
	if (foreign_is_fine)
		return 0;
	return ambient_err(err, AMBIENT_E_EXISTS, "%s \"%s/%s\" exists and does not belong to this session; delete it "
			   "or give the session another name", kind, ns, name);
}

/* That of the session that is continued: used, and never made. */
static int
continued_claim(struct ambient_call *call, const struct ambient_object *session, const char *name, struct ambient_error *err)
{
	const struct ambient_object *there = NULL;
	int rc = ambient_get_live(call, AS_PVC, ambient_str(session, "/metadata/namespace", ""), name, &there, err);

	if (rc == 0 && ambient_deleting(there))
		rc = -AMBIENT_E_NOTFOUND;
	if (rc != -AMBIENT_E_NOTFOUND)
		return rc;
	return ambient_err(err, AMBIENT_E_INVALID, "the workspace claim \"%s\" of the session that is continued is not there; it "
			   "went with its session, so make a new session instead of continuing that one", name);
}

static int
ensure_claim(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	     const struct as_status *st, struct ambient_error *err)
{
	const char *chosen = ambient_str(session, "/spec/resourceOverrides/storageClass", "");
	const char *class = chosen[0] != '\0' ? chosen : plugin->storage_class;
	struct ambient_draft *draft;
	struct text t = TEXT_INIT;
	char name[AS_NAME_MAX];

	as_name(name, "ambient-workspace-", as_workspace(st, session), "");
	if (strcmp(as_workspace(st, session), ambient_str(session, "/metadata/name", "")) != 0)
		return continued_claim(call, session, name, err);
	draft = as_child(call, session, st, AS_PVC, "v1", "PersistentVolumeClaim", name, "ambient-workspace");
	text_add(&t, "{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":%s}}",
		 plugin->workspace_size);
	if (class[0] != '\0')
		text_add(&t, ",\"storageClassName\":%s", class);
	text_add(&t, "}");
	set(draft, "/spec", &t);
	/* A claim made beforehand is a workspace to continue in. */
	return ensure(call, session, AS_PVC, name, draft, true, NULL, err);
}

static int
ensure_identity(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
		const char *report, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *owner = ambient_str(session, "/metadata/name", "");
	char sa[AS_NAME_MAX], role[AS_NAME_MAX], binding[AS_NAME_MAX];
	struct ambient_draft *draft;
	struct text t = TEXT_INIT;
	int rc;

	as_name(sa, "ambient-session-", owner, "");
	as_name(role, "ambient-session-", owner, "-role");
	as_name(binding, "ambient-session-", owner, "-rb");
	draft = as_child(call, session, st, AS_SA, "v1", "ServiceAccount", sa, "ambient-runner");
	ambient_draft_set_bool(draft, "/automountServiceAccountToken", 0);
	if ((rc = ensure(call, session, AS_SA, sa, draft, false, NULL, err)) < 0)
		return rc;

	draft = as_child(call, session, st, AS_ROLE, "rbac.authorization.k8s.io/v1", "Role", role, "ambient-runner");
	text_add(&t, "[{\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"],\"resourceNames\":[%s],"
		 "\"verbs\":[\"get\",\"patch\"]},"
		 "{\"apiGroups\":[\"vteam.ambient-code\"],\"resources\":[\"agenticsessions\"],\"resourceNames\":[%s],"
		 "\"verbs\":[\"get\",\"watch\"]}]", report, owner);
	set(draft, "/rules", &t);
	if ((rc = ensure(call, session, AS_ROLE, role, draft, false, "/rules", err)) < 0)
		return rc;

	draft = as_child(call, session, st, AS_BINDING, "rbac.authorization.k8s.io/v1", "RoleBinding", binding,
		      "ambient-runner");
	text_add(&t, "{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Role\",\"name\":%s}", role);
	set(draft, "/roleRef", &t);
	text_add(&t, "[{\"kind\":\"ServiceAccount\",\"name\":%s,\"namespace\":%s}]", sa, ns);
	set(draft, "/subjects", &t);
	return ensure(call, session, AS_BINDING, binding, draft, false, "/subjects", err);
}

/* Nobody calls a runner's pod, but for its endpoint, which asks for a key: the API server, through which people come,
 * has an address that no rule can name.  The pod may call whom it likes, but for where machines of a cloud get their credentials. */
static int
ensure_policy(struct ambient_call *call, const struct ambient_object *session, const struct as_status *st,
	      struct ambient_error *err)
{
	const char *owner = ambient_str(session, "/metadata/name", "");
	char name[AS_NAME_MAX], label[AS_NAME_MAX];
	struct ambient_draft *draft;
	struct text t = TEXT_INIT;

	as_name(name, "ambient-session-", owner, "");
	as_name(label, "", owner, "");
	draft = as_child(call, session, st, AS_POLICY, "networking.k8s.io/v1", "NetworkPolicy", name, "ambient-runner");
	text_add(&t, "{\"podSelector\":{\"matchLabels\":{\"agentic-session\":%s}},"
		 "\"policyTypes\":[\"Ingress\",\"Egress\"],\"ingress\":[{\"ports\":[{\"protocol\":\"TCP\",\"port\":%d}]}],"
		 "\"egress\":[{\"to\":["
		 "{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"169.254.0.0/16\"]}},"
		 "{\"ipBlock\":{\"cidr\":\"::/0\",\"except\":[\"fe80::/10\",\"fd00:ec2::254/128\"]}},"
		 "{\"namespaceSelector\":{}}]}]}", label, (int64_t)AS_PORT);
	set(draft, "/spec", &t);
	return ensure(call, session, AS_POLICY, name, draft, false, "/spec", err);
}

/* Of an earlier run, which was configured to have one. */
static int
drop_policy(struct ambient_call *call, const struct ambient_object *session, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", "");
	const struct ambient_object *there = NULL;
	char name[AS_NAME_MAX], options[200];
	int rc;

	as_name(name, "ambient-session-", ambient_str(session, "/metadata/name", ""), "");
	rc = ambient_get_live(call, AS_POLICY, ns, name, &there, err);
	if (rc < 0 || !as_owned(there, session) || ambient_deleting(there))
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	(void)snprintf(options, sizeof(options), "{\"preconditions\":{\"uid\":\"%.64s\"}}", ambient_str(there, "/metadata/uid", ""));
	return ambient_delete(call, AS_POLICY, ns, name, options, err);
}

int
as_provision(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	     const struct as_status *st, struct ambient_error *err)
{
	struct ambient_draft *draft;
	char report[AS_NAME_MAX];
	int rc;

	as_name(report, "", ambient_str(session, "/metadata/name", ""), "-report");
	if ((rc = ensure_claim(plugin, call, session, st, err)) < 0 ||
	    (rc = ensure_identity(call, session, st, report, err)) < 0)
		return rc;
	if (plugin->network_policy)
		rc = ensure_policy(call, session, st, err);
	else if (st->runs > 1)
		rc = drop_policy(call, session, err);
	if (rc < 0)
		return rc;
	draft = as_child(call, session, st, AS_CM, "v1", "ConfigMap", report, "ambient-code-runner");
	return ensure(call, session, AS_CM, report, draft, false, NULL, err);
}

/* ---- the Job */
struct pod {
	const struct as_plugin *plugin;
	const struct ambient_object *session, *effective, *fragment;
	const struct as_status *st;
	const char *name, *ns, *type, *image;
	struct text *t;
};

static bool
has_member(const struct ambient_object *o, const char *pointer, const char *name)
{
	const char *key;

	for (size_t i = 0; i < ambient_len(o, pointer); i++) {
		(void)ambient_item(o, pointer, i, &key);
		if (strcmp(key, name) == 0)
			return true;
	}
	return false;
}

/* The Secret whose files are in /run/secrets/git/i; "" when there is none. */
static const char *
git_secret(const struct pod *pod, size_t i)
{
	return ambient_str(ambient_item(pod->effective, "/gitSecrets", i, NULL), "", "");
}

/* What an account is, for who talks to the API server from a pod. */
void
as_add_account_volume(struct text *t)
{
	text_add(t, "{\"name\":\"api\",\"projected\":{\"sources\":["
		 "{\"serviceAccountToken\":{\"path\":\"token\",\"expirationSeconds\":3600}},"
		 "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
		 "{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"fieldPath\":\"metadata.namespace\"}}]}}"
		 "]}}");
}

static void
add_volumes(struct pod *pod)
{
	struct text *t = pod->t;
	char claim[AS_NAME_MAX];

	as_name(claim, "ambient-workspace-", as_workspace(pod->st, pod->session), "");
	text_add(t, "[{\"name\":\"workspace\",\"persistentVolumeClaim\":{\"claimName\":%s}},"
		 "{\"name\":\"run\",\"emptyDir\":{}},", claim);
	as_add_account_volume(t);
	for (size_t i = 0; i < ambient_len(pod->effective, "/gitSecrets"); i++) {
		char name[32];

		if (git_secret(pod, i)[0] == '\0')
			continue;
		(void)snprintf(name, sizeof(name), "git-%zu", i);
		text_add(t, ",{\"name\":%s,\"secret\":{\"secretName\":%s}}", name, git_secret(pod, i));
	}
	for (size_t i = 0; i < ambient_len(pod->fragment, "/volumes"); i++)
		text_add(t, ",%o", ambient_item(pod->fragment, "/volumes", i, NULL));
	text_add(t, "]");
}

/* What both containers are told. */
static void
add_common_env(struct pod *pod)
{
	char dir[300];

	(void)snprintf(dir, sizeof(dir), "/workspace/sessions/%s", as_workspace(pod->st, pod->session));
	text_add(pod->t, "{\"name\":\"AMBIENT_RUNNER_CONTRACT\",\"value\":\"1\"},"
		 "{\"name\":\"AMBIENT_RUNNER_TYPE\",\"value\":%s},{\"name\":\"AMBIENT_RUN_ID\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_SESSION_DIR\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_SOCKET\",\"value\":\"/run/ambient/agent.sock\"}", pod->type, pod->st->run_id, dir);
}

static void
add_runner(struct pod *pod)
{
	static const char *const optional[] = { "GITHUB_TOKEN", "GITLAB_TOKEN", "GIT_USER_NAME", "GIT_USER_EMAIL" };
	struct text *t = pod->t;
	char report[AS_NAME_MAX], name[32], path[64];

	as_name(report, "", pod->name, "-report");
	text_add(t, "{\"name\":\"runner\",\"image\":%s,\"imagePullPolicy\":%s,\"command\":[\"ambient-runner\"],"
		 "\"args\":[\"run\"]," AS_LOCKED_DOWN ",\"env\":[", pod->image, pod->plugin->pull_policy);
	add_common_env(pod);
	text_add(t, ",{\"name\":\"AMBIENT_SESSION_NAME\",\"value\":%s},{\"name\":\"AMBIENT_SESSION_NAMESPACE\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_SESSION_UID\",\"value\":%s},{\"name\":\"AMBIENT_REPORT\",\"value\":%s},"
		 "{\"name\":\"AMBIENT_POD_IP\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"status.podIP\"}}},"
		 "{\"name\":\"AMBIENT_ENDPOINT\",\"value\":\"[$(AMBIENT_POD_IP)]:%d\"},{\"name\":\"AMBIENT_HEARTBEAT\",\"value\":\"%ds\"}",
		 pod->name, pod->ns, ambient_str(pod->session, "/metadata/uid", ""), report, (int64_t)AS_PORT, pod->plugin->heartbeat_s);
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		text_add(t, ",{\"name\":%s,\"valueFrom\":{\"secretKeyRef\":{\"name\":%s,\"key\":%s,\"optional\":true}}}",
			 optional[i], pod->plugin->integrations, optional[i]);
	if (ambient_bool(pod->effective, "/rescue", 0))
		text_add(t, ",{\"name\":\"AMBIENT_GRACE\",\"value\":\"%ds\"}", (int64_t)AS_RESCUE_GRACE_S);
	if (pod->plugin->github_api[0] != '\0')
		text_add(t, ",{\"name\":\"AMBIENT_GITHUB_API\",\"value\":%s}", pod->plugin->github_api);
	if (pod->plugin->gitlab_api[0] != '\0')
		text_add(t, ",{\"name\":\"AMBIENT_GITLAB_API\",\"value\":%s}", pod->plugin->gitlab_api);
	text_add(t, "],\"ports\":[{\"name\":\"messages\",\"containerPort\":%d}],\"volumeMounts\":["
		 "{\"name\":\"workspace\",\"mountPath\":\"/workspace\"},"
		 "{\"name\":\"run\",\"mountPath\":\"/run/ambient\"},"
		 "{\"name\":\"api\",\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true}",
		 (int64_t)AS_PORT);
	for (size_t i = 0; i < ambient_len(pod->effective, "/gitSecrets"); i++) {
		if (git_secret(pod, i)[0] == '\0')
			continue;
		(void)snprintf(name, sizeof(name), "git-%zu", i);
		(void)snprintf(path, sizeof(path), "/run/secrets/git/%zu", i);
		text_add(t, ",{\"name\":%s,\"mountPath\":%s,\"readOnly\":true}", name, path);
	}
	text_add(t, "]}");
}

/* In a pod "$" begins what is replaced; a session's values are as they are written. */
static void
add_own_variable(struct text *t, const char *name, const char *value)
{
	struct text whole = TEXT_INIT;

	for (const char *end; *value != '\0'; value = end) {
		char part[256];
		size_t n = strcspn(value, "$");

		n = n < sizeof(part) ? n : sizeof(part) - 1;
		memcpy(part, value, n);
		part[n] = '\0';
		text_add(&whole, "%j", n > 0 ? part : "$$");
		end = value + (n > 0 ? n : 1);
	}
	text_add(t, ",{\"name\":\"AMBIENT_ENV_%j\",\"value\":%s}", name, whole.p != NULL ? whole.p : "");
	t->failed |= whole.failed;
	text_fini(&whole);
}

/* The plan's variables, then the session's own, which win; and the list of all their names.  The latter are meant for the agent
 * alone: under their own names they would be those of the program that drives it, which a PATH or a TMPDIR could break. */
static void
add_agent_env(struct pod *pod)
{
	struct text names = TEXT_INIT, *t = pod->t;
	const char *key, *comma = "";

	for (size_t i = 0; i < ambient_len(pod->fragment, "/agentEnv"); i++) {
		const struct ambient_object *var = ambient_item(pod->fragment, "/agentEnv", i, NULL);

		key = ambient_str(var, "/name", "");
		if (has_member(pod->session, "/spec/environmentVariables", key))
			continue;
		text_add(t, ",%o", var);
		text_add(&names, "%j%j", comma, key);
		comma = ",";
	}
	for (size_t i = 0; i < ambient_len(pod->session, "/spec/environmentVariables"); i++) {
		const struct ambient_object *value = ambient_item(pod->session, "/spec/environmentVariables", i, &key);

		add_own_variable(t, key, ambient_str(value, "", ""));
		text_add(&names, "%j%j", comma, key);
		comma = ",";
	}
	text_add(t, ",{\"name\":\"AMBIENT_AGENT_ENV\",\"value\":%s}", names.p != NULL ? names.p : "");
	t->failed |= names.failed;
	text_fini(&names);
}

static void
add_resources(struct pod *pod)
{
	const char *cpu = ambient_str(pod->session, "/spec/resourceOverrides/cpu", "");
	const char *memory = ambient_str(pod->session, "/spec/resourceOverrides/memory", "");
	const struct ambient_object *planned = ambient_at(pod->fragment, "/resources");
	static const char *const halves[] = { "requests", "limits" };

	if (cpu[0] == '\0' && memory[0] == '\0') {
		if (planned != NULL)
			text_add(pod->t, ",\"resources\":%o", planned);
		return;
	}
	text_add(pod->t, ",\"resources\":{");
	for (int i = 0; i < 2; i++) {
		text_add(pod->t, "%j%s:{", i > 0 ? "," : "", halves[i]);
		if (cpu[0] != '\0')
			text_add(pod->t, "\"cpu\":%s%j", cpu, memory[0] != '\0' ? "," : "");
		if (memory[0] != '\0')
			text_add(pod->t, "\"memory\":%s", memory);
		text_add(pod->t, "}");
	}
	text_add(pod->t, "}");
}

static void
add_agent(struct pod *pod)
{
	static const struct { const char *sub, *path; } mounts[] = {
		{ "workspace", NULL }, { "out", NULL }, { ".claude", "/app/.claude" },
	};
	struct text *t = pod->t;
	char sub[320], path[340];

	text_add(t, ",{\"name\":\"agent\",\"image\":%s,\"imagePullPolicy\":%s,\"command\":[\"ambient-runner\"],"
		 "\"args\":[\"agent\"]," AS_LOCKED_DOWN ",\"env\":[", ambient_str(pod->fragment, "/image", pod->image),
		 pod->plugin->pull_policy);
	add_common_env(pod);
	add_agent_env(pod);
	text_add(t, "]");
	add_resources(pod);
	text_add(t, ",\"volumeMounts\":[{\"name\":\"run\",\"mountPath\":\"/run/ambient\"}");
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		(void)snprintf(sub, sizeof(sub), "sessions/%s/%s", as_workspace(pod->st, pod->session), mounts[i].sub);
		(void)snprintf(path, sizeof(path), "/workspace/%s", sub);
		text_add(t, ",{\"name\":\"workspace\",\"subPath\":%s,\"mountPath\":%s}", sub,
			 mounts[i].path != NULL ? mounts[i].path : path);
	}
	for (size_t i = 0; i < ambient_len(pod->fragment, "/volumeMounts"); i++)
		text_add(t, ",%o", ambient_item(pod->fragment, "/volumeMounts", i, NULL));
	text_add(t, "]}");
}

/* The restricted Pod Security Standard, with AS_LOCKED_DOWN of each container.  The group owns the volumes, so that both
 * containers can write what the other one made. */
void
as_add_pod_security(const struct as_plugin *plugin, struct text *t)
{
	int64_t user = plugin->run_as_user;

	text_add(t, ",\"securityContext\":{\"seccompProfile\":{\"type\":\"RuntimeDefault\"}");
	if (user > 0)
		text_add(t, ",\"runAsNonRoot\":true,\"runAsUser\":%d,\"runAsGroup\":%d,\"fsGroup\":%d,"
			 "\"fsGroupChangePolicy\":\"OnRootMismatch\"", user, user, user);
	text_add(t, "}");
}

/* The Job's own deadline comes this much after ours. */
static int64_t
backstop(const struct as_plugin *plugin, const struct as_status *st)
{
	int64_t timeout = st->effective != NULL ? ambient_int(st->effective, "/timeout", 0) : 0;

	return timeout > 0 ? timeout + plugin->start_timeout_s + BACKSTOP_S : 0;
}

static void
add_spec(struct pod *pod)
{
	const char *priority = ambient_str(pod->session, "/spec/resourceOverrides/priorityClass", "");
	char label[AS_NAME_MAX], sa[AS_NAME_MAX], workspace[AS_NAME_MAX];
	struct text *t = pod->t;

	as_name(label, "", pod->name, "");
	as_name(workspace, "", as_workspace(pod->st, pod->session), "");
	as_name(sa, "ambient-session-", pod->name, "");
	text_add(t, "{\"backoffLimit\":0,\"ttlSecondsAfterFinished\":%d", pod->plugin->job_ttl_s);
	if (backstop(pod->plugin, pod->st) > 0)
		text_add(t, ",\"activeDeadlineSeconds\":%d", backstop(pod->plugin, pod->st));
	text_add(t, ",\"template\":{\"metadata\":{\"labels\":{\"app\":\"ambient-code-runner\",\"agentic-session\":%s,"
		 "\"" AS_WORKSPACE "\":%s},"
		 "\"annotations\":{\"ambient-code.io/session\":%s,\"ambient-code.io/run-id\":%s}},"
		 "\"spec\":{\"restartPolicy\":\"Never\",\"automountServiceAccountToken\":false,\"enableServiceLinks\":false,"
		 "\"serviceAccountName\":%s", label, workspace, pod->name, pod->st->run_id, sa);
	as_add_pod_security(pod->plugin, t);
	if (ambient_bool(pod->effective, "/rescue", 0))
		text_add(t, ",\"terminationGracePeriodSeconds\":%d", (int64_t)AS_RESCUE_GRACE_S);
	if (priority[0] != '\0')
		text_add(t, ",\"priorityClassName\":%s", priority);
	text_add(t, ",\"volumes\":");
	add_volumes(pod);
	text_add(t, ",\"containers\":[");
	add_runner(pod);
	add_agent(pod);
	text_add(t, "]}}}");
}

int
as_create_job(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	      const struct as_status *st, const struct ambient_object *fragment, struct ambient_error *err)
{
	const struct ambient_object *there = NULL;
	struct text t = TEXT_INIT;
	struct pod pod = {
		.plugin = plugin, .session = session, .effective = st->effective, .fragment = fragment, .st = st,
		.name = ambient_str(session, "/metadata/name", ""), .ns = ambient_str(session, "/metadata/namespace", ""),
		.type = ambient_str(st->effective, "/runnerType", ""),
		.image = AMBIENT_HAS(call->host, fact) ? call->host->fact(call->host, "runner-image") : NULL, .t = &t,
	};
	struct ambient_draft *draft;
	int rc;

	if (pod.image == NULL || pod.image[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "no runner image is configured; set runner.image");
	draft = as_child(call, session, st, AS_JOB, "batch/v1", "Job", st->job, "ambient-code-runner");
	add_spec(&pod);
	set(draft, "/spec", &t);
	rc = ensure(call, session, AS_JOB, st->job, draft, false, NULL, err);
	if (rc < 0)
		return rc;
	/* Ours, but of which run? */
	rc = ambient_get(call, AS_JOB, pod.ns, st->job, &there, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		rc = ambient_get_live(call, AS_JOB, pod.ns, st->job, &there, err);
	if (rc == 0 && strcmp(ambient_str(there, AS_RUN_ID, ""), st->run_id) != 0)
		rc = ambient_err(err, AMBIENT_E_CONFLICT, "Job \"%s/%s\" is of an earlier run", pod.ns, st->job);
	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

int
as_move_deadline(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *job,
		 const struct as_status *st, struct ambient_error *err)
{
	int64_t wanted = backstop(plugin, st);
	struct text t = TEXT_INIT;
	int rc;

	if (wanted == 0 || ambient_int(job, "/spec/activeDeadlineSeconds", 0) == wanted)
		return 0;
	text_add(&t, "{\"metadata\":{\"uid\":%s},\"spec\":{\"activeDeadlineSeconds\":%d}}", ambient_str(job, "/metadata/uid", ""), wanted);
	if (t.failed)
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	else
		rc = ambient_patch(call, AS_JOB, ambient_str(job, "/metadata/namespace", ""), ambient_str(job, "/metadata/name", ""),
				   NULL, AMBIENT_PATCH_MERGE, t.p, NULL, err);
	text_fini(&t);
	/* Another Job of that name, or none any more: the watch is about to say so. */
	return rc == -AMBIENT_E_CONFLICT || rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

int
as_delete_job(struct ambient_call *call, const struct ambient_object *job, struct ambient_error *err)
{
	struct text t = TEXT_INIT;
	int rc;

	if (ambient_deleting(job))
		return 0;
	text_add(&t, "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":%s}}",
		 ambient_str(job, "/metadata/uid", ""));
	if (t.failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	rc = ambient_delete(call, AS_JOB, ambient_str(job, "/metadata/namespace", ""),
			    ambient_str(job, "/metadata/name", ""), t.p, err);
	text_fini(&t);
	return rc == -AMBIENT_E_CONFLICT ? 0 : rc; /* another Job of that name: not the one that we meant */
}
