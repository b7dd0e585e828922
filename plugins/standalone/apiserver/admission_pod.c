/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: defaults, what admission adds (node, ServiceAccount, its token volume), validation, and what the standalone
 * node cannot run, refused at once with the field's path rather than later in a log.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"

#define TOKEN_PATH "/var/run/secrets/kubernetes.io/serviceaccount"

static const char *const container_lists[] = { "initContainers", "containers" };

/* ---- defaults ---- */

static void
fill_container(struct am_change *change, struct am_node *container)
{
	const char *image = am_node_get_str(container, "image", "");
	const char *base = strrchr(image, '/');
	const char *tag = strchr(base != NULL ? base : image, ':');
	bool latest = strchr(image, '@') == NULL && (tag == NULL || strcmp(tag, ":latest") == 0);
	struct am_node *ports = am_node_get(container, "ports");

	am_fill_str(change, container, "imagePullPolicy", latest ? "Always" : "IfNotPresent");
	am_fill_str(change, container, "terminationMessagePath", "/dev/termination-log");
	am_fill_str(change, container, "terminationMessagePolicy", "File");
	am_child(change, container, "resources");
	for (struct am_node *p = ports != NULL ? ports->first : NULL; p != NULL; p = p->next)
		am_fill_str(change, p, "protocol", "TCP");
	struct am_node *env = am_node_get(container, "env");
	for (struct am_node *e = env != NULL ? env->first : NULL; e != NULL; e = e->next) {
		struct am_node *ref = am_node_get(am_node_get(e, "valueFrom"), "fieldRef");
		if (ref != NULL)
			am_fill_str(change, ref, "apiVersion", "v1");
	}
}

static void
fill_volume(struct am_change *change, struct am_node *volume)
{
	static const char *const with_mode[] = { "secret", "configMap", "projected", "downwardAPI" };
	struct am_node *sources;

	if (volume->count == 1)
		am_child(change, volume, "emptyDir");
	for (size_t i = 0; i < AM_COUNTOF(with_mode); i++)
		if (am_node_get(volume, with_mode[i]) != NULL)
			am_fill_int(change, am_node_get(volume, with_mode[i]), "defaultMode", 420);
	sources = am_node_get(am_node_get(volume, "projected"), "sources");
	for (struct am_node *s = sources != NULL ? sources->first : NULL; s != NULL; s = s->next)
		if (am_node_get(s, "serviceAccountToken") != NULL)
			am_fill_int(change, am_node_get(s, "serviceAccountToken"), "expirationSeconds", 3600);
}

void
am_pod_fill_spec(struct am_change *change, struct am_node *spec)
{
	struct am_node *volumes = am_node_get(spec, "volumes");

	am_fill_str(change, spec, "restartPolicy", "Always");
	am_fill_int(change, spec, "terminationGracePeriodSeconds", 30);
	am_fill_str(change, spec, "dnsPolicy", "ClusterFirst");
	am_fill_str(change, spec, "schedulerName", "default-scheduler");
	am_child(change, spec, "securityContext");
	for (struct am_node *v = volumes != NULL ? volumes->first : NULL; v != NULL; v = v->next)
		fill_volume(change, v);
	for (size_t i = 0; i < AM_COUNTOF(container_lists); i++) {
		struct am_node *list = am_node_get(spec, container_lists[i]);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			fill_container(change, c);
	}
	const char *account = am_node_get_str(spec, "serviceAccountName", NULL);
	const char *deprecated = am_node_get_str(spec, "serviceAccount", NULL);
	if (am_empty(account) && !am_empty(deprecated))
		am_node_set(change->arena, spec, "serviceAccountName", am_node_str(change->arena, deprecated));
	else if (!am_empty(account))
		am_node_set(change->arena, spec, "serviceAccount", am_node_str(change->arena, account));
}

static void
pod_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");

	am_pod_fill_spec(change, spec);
	am_fill_bool(change, spec, "enableServiceLinks", true);
}

/* ---- admission of a create ---- */

static bool
wants_token(const struct am_node *spec, const struct am_object *account)
{
	const struct am_node *own = am_node_get(spec, "automountServiceAccountToken");

	if (own != NULL && own->type == AMBIENT_T_BOOL)
		return own->boolean;
	return account == NULL || am_json_bool(am_object_text(account), "/automountServiceAccountToken", 1) != 0;
}

static bool
mounts_token(const struct am_node *container)
{
	const struct am_node *mounts = am_node_get(container, "volumeMounts");

	for (const struct am_node *m = mounts != NULL ? mounts->first : NULL; m != NULL; m = m->next)
		if (am_streq(am_node_get_str(m, "mountPath", NULL), TOKEN_PATH))
			return true;
	return false;
}

static struct am_node *
list_of(struct am_change *change, struct am_node *parent, const char *key)
{
	struct am_node *list = am_node_get(parent, key);

	if (list == NULL || list->type != AMBIENT_T_ARRAY) {
		am_node_set(change->arena, parent, key, am_node_array(change->arena));
		list = am_node_get(parent, key);
	}
	return list;
}

static struct am_node *
from_text(struct am_change *change, const char *text)
{
	struct am_node *node = am_node_parse(change->arena, text, strlen(text), NULL);

	return node != NULL ? node : am_node_object(change->arena);
}

static void
mount_token(struct am_change *change, struct am_node *spec)
{
	char suffix[6];
	bool used = false;

	am_random_suffix(suffix, 5);
	const char *name = am_arena_printf(change->arena, "kube-api-access-%s", suffix);
	const char *mount = am_arena_printf(change->arena, "{\"name\":\"%s\",\"readOnly\":true,\"mountPath\":\"%s\"}", name,
					    TOKEN_PATH);
	for (size_t i = 0; i < AM_COUNTOF(container_lists); i++) {
		struct am_node *list = am_node_get(spec, container_lists[i]);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
			if (mounts_token(c))
				continue;
			am_node_append(list_of(change, c, "volumeMounts"), from_text(change, mount));
			used = true;
		}
	}
	if (!used)
		return;
	am_node_append(list_of(change, spec, "volumes"), from_text(change, am_arena_printf(change->arena,
		"{\"name\":\"%s\",\"projected\":{\"defaultMode\":420,\"sources\":["
		"{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
		"{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},"
		"{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\","
		"\"fieldPath\":\"metadata.namespace\"}}]}}]}}", name)));
}

static void
admit_account(struct am_change *change, struct am_node *spec)
{
	const char *name = am_node_get_str(spec, "serviceAccountName", am_node_get_str(spec, "serviceAccount", NULL));
	bool given = !am_empty(name);

	if (!given)
		name = "default";
	am_node_set(change->arena, spec, "serviceAccountName", am_node_str(change->arena, name));
	am_node_set(change->arena, spec, "serviceAccount", am_node_str(change->arena, name));
	struct am_object *account = am_engine_peek(change->engine, "", "serviceaccounts", change->ns, name);
	/* "default" is made a moment after its namespace; nobody needs to wait for it here. */
	if (account == NULL && strcmp(name, "default") != 0)
		am_fail_on(change->failure, 403, "Forbidden", change->res,
			   am_node_get_str(am_node_get(change->object, "metadata"), "name", ""),
			   "is forbidden: error looking up service account %s/%s: serviceaccount \"%s\" not found", change->ns, name,
			   name);
	if (wants_token(spec, account))
		mount_token(change, spec);
	am_object_unref(account);
}

static void
pod_create(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *condition = am_node_object(change->arena);
	struct am_node *status = am_child(change, change->object, "status");
	char now[32];

	am_time_format(now, change->now, false);
	am_fill_str(change, spec, "nodeName", change->engine->node_name);
	admit_account(change, spec);
	am_node_set(change->arena, status, "phase", am_node_str(change->arena, "Pending"));
	am_node_set(change->arena, condition, "type", am_node_str(change->arena, "PodScheduled"));
	am_node_set(change->arena, condition, "status", am_node_str(change->arena, "True"));
	am_node_set(change->arena, condition, "lastProbeTime", am_node_null(change->arena));
	am_node_set(change->arena, condition, "lastTransitionTime", am_node_str(change->arena, now));
	am_node_append(list_of(change, status, "conditions"), condition);
	am_node_set(change->arena, status, "qosClass", am_node_str(change->arena, "BestEffort"));
}

/* ---- validation ---- */

static void
check_mounts(struct am_change *change, const struct am_node *container, const struct am_node *spec, const char *field)
{
	const struct am_node *mounts = am_node_get(container, "volumeMounts"), *volumes = am_node_get(spec, "volumes");
	char path[320];
	int i = 0;

	for (const struct am_node *m = mounts != NULL ? mounts->first : NULL; m != NULL; m = m->next, i++) {
		const char *name = am_node_get_str(m, "name", "");
		bool found = false;
		for (const struct am_node *v = volumes != NULL ? volumes->first : NULL; v != NULL; v = v->next)
			found |= am_streq(am_node_get_str(v, "name", NULL), name);
		snprintf(path, sizeof(path), "%s.volumeMounts[%d].name", field, i);
		if (!found)
			am_failure_cause(change->failure, "FieldValueNotFound", path, "Not found: \"%.63s\"", name);
		snprintf(path, sizeof(path), "%s.volumeMounts[%d].mountPath", field, i);
		if (am_empty(am_node_get_str(m, "mountPath", NULL)))
			am_need(change, path);
		const char *propagation = am_node_get_str(m, "mountPropagation", "None");
		snprintf(path, sizeof(path), "%s.volumeMounts[%d].mountPropagation", field, i);
		if (strcmp(propagation, "None") != 0)
			am_forbid(change, path, "mount propagation is not supported by the standalone node");
	}
}

static void
check_security(struct am_change *change, const struct am_node *context, const char *field)
{
	const struct am_node *privileged = am_node_get(context, "privileged");
	const struct am_node *add = am_node_path(context, "capabilities", "add", NULL);
	char path[320];

	snprintf(path, sizeof(path), "%s.securityContext.privileged", field);
	if (privileged != NULL && privileged->boolean)
		am_forbid(change, path, "privileged containers are not supported by the standalone node");
	snprintf(path, sizeof(path), "%s.securityContext.capabilities.add", field);
	if (add != NULL && add->count > 0)
		am_forbid(change, path, "added capabilities are not supported by the standalone node");
	snprintf(path, sizeof(path), "%s.securityContext.procMount", field);
	if (strcmp(am_node_get_str(context, "procMount", "Default"), "Default") != 0)
		am_forbid(change, path, "an unmasked /proc is not supported by the standalone node");
}

static void
check_container(struct am_change *change, const struct am_node *container, const struct am_node *spec, struct am_map *names,
		const char *field)
{
	const char *name = am_node_get_str(container, "name", "");
	const struct am_node *env = am_node_get(container, "env");
	char path[320];
	int i = 0;

	snprintf(path, sizeof(path), "%s.name", field);
	const char *problem = *name != '\0' ? am_name_problem(name, 1) : NULL;
	if (*name == '\0')
		am_need(change, path);
	else if (problem != NULL)
		am_bad(change, path, am_node_get(container, "name"), problem);
	else if (am_map_has(names, name))
		am_failure_cause(change->failure, "FieldValueDuplicate", path, "Duplicate value: \"%s\"", name);
	am_map_put(names, name, names);
	snprintf(path, sizeof(path), "%s.image", field);
	if (am_empty(am_node_get_str(container, "image", NULL)))
		am_need(change, path);
	for (const struct am_node *e = env != NULL ? env->first : NULL; e != NULL; e = e->next, i++) {
		snprintf(path, sizeof(path), "%s.env[%d].name", field, i);
		if (am_empty(am_node_get_str(e, "name", NULL)))
			am_need(change, path);
	}
	check_mounts(change, container, spec, field);
	check_security(change, am_node_get(container, "securityContext"), field);
}

static void
check_volumes(struct am_change *change, const struct am_node *spec, const char *field)
{
	static const char *const known[] = { "emptyDir", "secret", "configMap", "projected", "downwardAPI",
					     "persistentVolumeClaim" };
	const struct am_node *volumes = am_node_get(spec, "volumes");
	struct am_map *names = am_map_new();
	char path[320];
	int i = 0;

	for (const struct am_node *v = volumes != NULL ? volumes->first : NULL; v != NULL; v = v->next, i++) {
		const char *name = am_node_get_str(v, "name", "");
		bool ok = false;
		snprintf(path, sizeof(path), "%s.volumes[%d].name", field, i);
		if (*name == '\0')
			am_need(change, path);
		else if (am_map_has(names, name))
			am_failure_cause(change->failure, "FieldValueDuplicate", path, "Duplicate value: \"%.63s\"", name);
		am_map_put(names, name, names);
		for (size_t k = 0; k < AM_COUNTOF(known); k++)
			ok |= am_node_get(v, known[k]) != NULL;
		for (const struct am_node *m = v->first; !ok && m != NULL; m = m->next) {
			if (strcmp(m->key, "name") == 0)
				continue;
			snprintf(path, sizeof(path), "%s.volumes[%d].%.60s", field, i, m->key);
			am_forbid(change, path, "this type of volume is not supported by the standalone node");
		}
	}
	am_map_free(names);
}

static void
check_refused(struct am_change *change, const struct am_node *spec, const char *field)
{
	static const char *const flags[] = { "hostPID", "hostIPC" };
	static const char *const members[] = { "ephemeralContainers", "overhead", "resourceClaims" };
	char path[128];

	for (size_t i = 0; i < AM_COUNTOF(flags); i++) {
		const struct am_node *flag = am_node_get(spec, flags[i]);
		snprintf(path, sizeof(path), "%s.%s", field, flags[i]);
		if (flag != NULL && flag->boolean)
			am_forbid(change, path, "host namespaces are not supported by the standalone node");
	}
	for (size_t i = 0; i < AM_COUNTOF(members); i++) {
		const struct am_node *member = am_node_get(spec, members[i]);
		snprintf(path, sizeof(path), "%s.%s", field, members[i]);
		if (member != NULL && member->count > 0)
			am_forbid(change, path, "not supported by the standalone node");
	}
	const struct am_node *sysctls = am_node_path(spec, "securityContext", "sysctls", NULL);
	snprintf(path, sizeof(path), "%s.securityContext.sysctls", field);
	if (sysctls != NULL && sysctls->count > 0)
		am_forbid(change, path, "not supported by the standalone node");
}

void
am_pod_check_spec(struct am_change *change, const struct am_node *spec, const char *field)
{
	const struct am_node *containers = am_node_get(spec, "containers");
	struct am_map *names = am_map_new();
	char path[160];

	if (containers == NULL || containers->type != AMBIENT_T_ARRAY || containers->count == 0) {
		snprintf(path, sizeof(path), "%s.containers", field);
		am_need(change, path);
	}
	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		const struct am_node *list = am_node_get(spec, container_lists[l]);
		int i = 0;
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next, i++) {
			snprintf(path, sizeof(path), "%s.%s[%d]", field, container_lists[l], i);
			check_container(change, c, spec, names, path);
		}
	}
	am_map_free(names);
	check_volumes(change, spec, field);
	check_refused(change, spec, field);
}

/* The spec without what an update may change. */
static struct am_node *
frozen(struct am_change *change, const struct am_node *object)
{
	struct am_node *spec = am_node_clone(change->arena, am_node_get(object, "spec"));

	am_node_del(spec, "activeDeadlineSeconds");
	am_node_del(spec, "tolerations");
	am_node_del(spec, "terminationGracePeriodSeconds");
	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		struct am_node *list = am_node_get(spec, container_lists[l]);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			am_node_del(c, "image");
	}
	return spec;
}

static void
pod_check(struct am_change *change)
{
	static const char *const policies[] = { "Never", "OnFailure", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec");
	const char *policy = am_node_get_str(spec, "restartPolicy", "");

	if (change->old != NULL && am_node_get(change->old, "spec") != NULL) {
		if (!am_node_equal(frozen(change, change->old), frozen(change, change->object)))
			am_forbid(change, "spec", "pod updates may not change fields other than `spec.containers[*].image`,"
				  "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
				  "existing tolerations),`spec.terminationGracePeriodSeconds`");
		return;
	}
	am_pod_check_spec(change, spec, "spec");
	if (strcmp(policy, "Never") != 0 && strcmp(policy, "OnFailure") != 0)
		am_unsupported(change, "spec.restartPolicy", policy, policies);
}

const struct am_kind am_kind_pod = { .fill = pod_fill, .create = pod_create, .check = pod_check };
