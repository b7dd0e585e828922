/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: defaults, what admission adds (node, ServiceAccount, its token volume), validation, and what the standalone
 * node cannot run, refused at once with the field's path rather than later in a log.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission_pod.h"
#include "plugins/standalone/apiserver/quantity.h"

#define TOKEN_PATH "/var/run/secrets/kubernetes.io/serviceaccount"

static const char *const container_lists[] = { "initContainers", "containers" };

/* ---- defaults ---- */

static void
fill_ref(struct am_change *change, struct am_node *from)
{
	struct am_node *field = am_node_get(from, "fieldRef"), *resource = am_node_get(from, "resourceFieldRef");

	if (field != NULL)
		am_fill_str(change, field, "apiVersion", "v1");
	if (resource != NULL)
		am_fill_str(change, resource, "divisor", "0");
}

static void
fill_life(struct am_change *change, struct am_node *container)
{
	static const char *const probes[] = { "livenessProbe", "readinessProbe", "startupProbe" };
	static const char *const hooks[] = { "postStart", "preStop" };
	static const struct { const char *key; int64_t value; } numbers[] = {
		{ "timeoutSeconds", 1 }, { "periodSeconds", 10 }, { "successThreshold", 1 }, { "failureThreshold", 3 },
	};
	struct am_node *get;

	for (size_t i = 0; i < AM_COUNTOF(probes) + AM_COUNTOF(hooks); i++) {
		bool probe = i < AM_COUNTOF(probes);
		struct am_node *handler = probe ? am_node_get(container, probes[i])
					  : am_node_path(container, "lifecycle", hooks[i - AM_COUNTOF(probes)], NULL);
		for (size_t k = 0; probe && handler != NULL && k < AM_COUNTOF(numbers); k++)
			am_fill_int(change, handler, numbers[k].key, numbers[k].value);
		if ((get = am_node_get(handler, "httpGet")) != NULL) {
			am_fill_str(change, get, "path", "/");
			am_fill_str(change, get, "scheme", "HTTP");
		}
	}
}

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
	for (struct am_node *e = env != NULL ? env->first : NULL; e != NULL; e = e->next)
		fill_ref(change, am_node_get(e, "valueFrom"));
	fill_life(change, container);
}

static void
fill_downward(struct am_change *change, struct am_node *source)
{
	struct am_node *items = am_node_get(source, "items");

	for (struct am_node *i = items != NULL ? items->first : NULL; i != NULL; i = i->next)
		fill_ref(change, i);
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
	fill_downward(change, am_node_get(volume, "downwardAPI"));
	if (am_node_get(volume, "hostPath") != NULL && am_node_path(volume, "hostPath", "type", NULL) == NULL)
		am_node_set(change->arena, am_node_get(volume, "hostPath"), "type", am_node_str(change->arena, ""));
	for (struct am_node *s = sources != NULL ? sources->first : NULL; s != NULL; s = s->next) {
		if (am_node_get(s, "serviceAccountToken") != NULL)
			am_fill_int(change, am_node_get(s, "serviceAccountToken"), "expirationSeconds", 3600);
		fill_downward(change, am_node_get(s, "downwardAPI"));
	}
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

/* On the machine's own network a port of the container is one of the machine. */
static void
fill_host_ports(struct am_change *change, struct am_node *spec)
{
	for (size_t i = 0; i < AM_COUNTOF(container_lists); i++) {
		struct am_node *list = am_node_get(spec, container_lists[i]);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
			struct am_node *ports = am_node_get(c, "ports");
			for (struct am_node *p = ports != NULL ? ports->first : NULL; p != NULL; p = p->next) {
				int64_t port = 0, host = 0;
				if (am_node_get_int(p, "containerPort", &port) && (!am_node_get_int(p, "hostPort", &host) || host == 0))
					am_node_set(change->arena, p, "hostPort", am_node_int(change->arena, port));
			}
		}
	}
}

static void
pod_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec");

	am_pod_fill_spec(change, spec);
	if (am_node_get(spec, "hostNetwork") != NULL && am_node_get(spec, "hostNetwork")->boolean)
		fill_host_ports(change, spec);
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

/* A pod that names no secrets for its images has those of its account: their names, and nothing else that stands there. */
static void
copy_pull_secrets(struct am_change *change, struct am_node *spec, const struct am_object *account)
{
	const struct am_node *own = am_node_get(spec, "imagePullSecrets");
	const struct am_slice text = am_object_text(account);
	const struct am_node *theirs = am_node_get(am_node_parse(change->arena, text.p, text.n, NULL), "imagePullSecrets");

	if ((own != NULL && own->count > 0) || theirs == NULL || theirs->count == 0)
		return;
	am_node_set(change->arena, spec, "imagePullSecrets", am_node_array(change->arena));
	for (const struct am_node *s = theirs->first; s != NULL; s = s->next) {
		struct am_node *copy = am_node_object(change->arena);
		const char *name = am_node_get_str(s, "name", NULL);

		if (name != NULL)
			am_node_set(change->arena, copy, "name", am_node_str(change->arena, name));
		am_node_append(am_node_get(spec, "imagePullSecrets"), copy);
	}
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
	if (account != NULL)
		copy_pull_secrets(change, spec, account);
	am_object_unref(account);
}

const char *
am_pod_node_says(struct am_change *change, const char *annotation)
{
	struct am_object *node = am_engine_peek(change->engine, "", "nodes", NULL, change->engine->node_name);
	const char *value = "";

	if (node != NULL) {
		const struct am_slice text = am_object_text(node);
		value = am_node_get_str(am_node_path(am_node_parse(change->arena, text.p, text.n, NULL), "metadata", "annotations",
						     NULL), annotation, "");
	}
	am_object_unref(node);
	return value;
}

/* A class of runtime stands for a kind of sandbox; the node has one. */
static void
admit_runtime(struct am_change *change, const struct am_node *spec)
{
	const char *class = am_node_get_str(spec, "runtimeClassName", NULL);
	const char *sandbox = class != NULL ? am_pod_node_says(change, "standalone/sandbox") : "";

	if (class == NULL || (strcmp(class, "standalone-bwrap") == 0 && strcmp(sandbox, "bubblewrap") == 0) ||
	    (strcmp(class, "standalone-none") == 0 && strcmp(sandbox, "none") == 0))
		return;
	am_fail_on(change->failure, 403, "Forbidden", change->res,
		   am_node_get_str(am_node_get(change->object, "metadata"), "name", ""),
		   "is forbidden: pod rejected: RuntimeClass \"%.100s\" not found", class);
}

static void
pod_create(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *condition = am_node_object(change->arena);
	struct am_node *status = am_child(change, change->object, "status");
	const struct am_node *gates = am_node_get(spec, "schedulingGates");
	char now[32];

	am_time_format(now, change->now, false);
	am_fill_str(change, spec, "nodeName", change->engine->node_name);
	admit_account(change, spec);
	admit_runtime(change, spec);
	am_node_set(change->arena, status, "phase", am_node_str(change->arena, "Pending"));
	am_node_set(change->arena, condition, "type", am_node_str(change->arena, "PodScheduled"));
	am_node_set(change->arena, condition, "status", am_node_str(change->arena, gates != NULL && gates->count > 0 ? "False" : "True"));
	if (gates != NULL && gates->count > 0) {
		am_node_set(change->arena, condition, "reason", am_node_str(change->arena, "SchedulingGated"));
		am_node_set(change->arena, condition, "message",
			    am_node_str(change->arena, "Scheduling is blocked due to non-empty scheduling gates"));
	}
	am_node_set(change->arena, condition, "lastProbeTime", am_node_null(change->arena));
	am_node_set(change->arena, condition, "lastTransitionTime", am_node_str(change->arena, now));
	am_node_append(list_of(change, status, "conditions"), condition);
}

/* ---- validation ---- */

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

static bool
asks_filter(const struct am_node *object)
{
	return am_streq(am_node_text(am_node_path(object, "securityContext", "seccompProfile", "type", NULL), NULL), "RuntimeDefault");
}

/* What is said and has no effect here, once per pod. */
static void
warn(struct am_change *change, const struct am_node *spec, const char *field)
{
	static const char *const ignored[][2] = {
		{ "imagePullSecrets", "ignored: images stand for programs of this machine and are not pulled" }, /* without podman */
		{ "priorityClassName", "ignored: pods of this node have no priorities" },
	};
	bool limits = false, filter = asks_filter(spec);

	for (size_t i = 0; i < AM_COUNTOF(ignored); i++) {
		const struct am_node *member = am_node_get(spec, ignored[i][0]);
		if (i == 0 && strcmp(am_pod_node_says(change, "standalone/podman"), "yes") == 0)
			continue;
		if (member != NULL && (member->count > 0 || member->len > 0))
			am_change_warn(change, "%s.%s: %s", field, ignored[i][0], ignored[i][1]);
	}
	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		const struct am_node *list = am_node_get(spec, container_lists[l]);
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			limits |= am_node_path(c, "resources", "limits", NULL) != NULL && am_node_path(c, "resources", "limits", NULL)->count > 0;
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			filter |= asks_filter(c);
	}
	if (filter && strcmp(am_pod_node_says(change, "standalone/seccomp"), "none") == 0)
		am_change_warn(change, "%s.securityContext.seccompProfile: RuntimeDefault adds nothing: the node has no sandbox, or is built "
			       "without libseccomp", field);
	if (limits && strcmp(am_pod_node_says(change, "standalone/limits"), "unenforced") == 0)
		am_change_warn(change, "%s.containers[*].resources.limits: not enforced: the node has no control groups that it may write",
			       field);
}

static void
check_placing(struct am_change *change, const struct am_node *spec, const char *field)
{
	static const char *const policies[] = { "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None", NULL };
	const struct am_node *servers = am_node_path(spec, "dnsConfig", "nameservers", NULL);
	const char *names[] = { "hostname", "subdomain" }, *problem;
	char path[192];

	am_pod_check_choice(change, spec, "dnsPolicy", field, policies);
	snprintf(path, sizeof(path), "%s.dnsConfig.nameservers", field);
	if (am_streq(am_node_get_str(spec, "dnsPolicy", NULL), "None") && (servers == NULL || servers->count == 0))
		am_failure_cause(change->failure, "FieldValueRequired", path,
				 "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (servers != NULL && servers->count > 3)
		am_bad(change, path, servers, "must not have more than 3 nameservers");
	am_pod_check_number(change, spec, "activeDeadlineSeconds", field, 1, INT32_MAX);
	am_pod_check_number(change, spec, "terminationGracePeriodSeconds", field, 0, INT64_MAX);
	for (size_t i = 0; i < AM_COUNTOF(names); i++) {
		const char *name = am_node_get_str(spec, names[i], "");
		snprintf(path, sizeof(path), "%s.%s", field, names[i]);
		if (*name != '\0' && (problem = am_name_problem(name, 1)) != NULL)
			am_bad(change, path, am_node_get(spec, names[i]), problem);
	}
}

void
am_pod_check_spec(struct am_change *change, const struct am_node *spec, const char *field)
{
	struct am_pod_names names = { am_map_new(), am_map_new(), am_map_new() };
	const struct am_node *containers = am_node_get(spec, "containers");
	char path[192];

	if (containers == NULL || containers->type != AMBIENT_T_ARRAY || containers->count == 0) {
		snprintf(path, sizeof(path), "%s.containers", field);
		am_need(change, path);
	}
	am_pod_check_volumes(change, spec, &names, field);
	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		const struct am_node *list = am_node_get(spec, container_lists[l]);
		int i = 0;
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next, i++) {
			snprintf(path, sizeof(path), "%s.%s[%d]", field, container_lists[l], i);
			am_pod_check_container(change, c, &names, l == 0, path);
		}
	}
	am_map_free(names.containers);
	am_map_free(names.volumes);
	am_map_free(names.host_ports);
	snprintf(path, sizeof(path), "%s.securityContext", field);
	am_pod_check_security(change, am_node_get(spec, "securityContext"), path);
	snprintf(path, sizeof(path), "%s.tolerations", field);
	am_check_tolerations(change, am_node_get(spec, "tolerations"), path);
	snprintf(path, sizeof(path), "%s.nodeSelector", field);
	am_check_labels(change->failure, am_node_get(spec, "nodeSelector"), path);
	check_placing(change, spec, field);
	check_refused(change, spec, field);
	if (change->old == NULL)
		warn(change, spec, field);
}

/* The spec without what an update may change. */
static struct am_node *
frozen(struct am_change *change, const struct am_node *object)
{
	struct am_node *spec = am_node_clone(change->arena, am_node_get(object, "spec"));

	am_node_del(spec, "activeDeadlineSeconds");
	am_node_del(spec, "tolerations");
	am_node_del(spec, "schedulingGates");
	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		struct am_node *list = am_node_get(spec, container_lists[l]);
		for (struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			am_node_del(c, "image");
	}
	return spec;
}

/* A deadline is set or lowered, never raised or taken back. */
static void
check_new_deadline(struct am_change *change)
{
	static const char key[] = "activeDeadlineSeconds", field[] = "spec.activeDeadlineSeconds";
	const struct am_node *spec = am_node_get(change->object, "spec");
	int64_t old, now;

	am_pod_check_number(change, spec, key, "spec", 1, INT32_MAX);
	if (!am_node_get_int(am_node_get(change->old, "spec"), key, &old))
		return;
	if (!am_node_get_int(spec, key, &now))
		am_bad(change, field, am_node_null(change->arena),
		       "must not update from a positive integer to nil value");
	else if (now > old)
		am_bad(change, field, am_node_get(spec, key), "must be less than or equal to previous value");
}

/* Tolerations may come, and the seconds of one may change. */
static void
check_new_tolerations(struct am_change *change)
{
	const struct am_node *old = am_node_path(change->old, "spec", "tolerations", NULL);
	const struct am_node *now = am_node_path(change->object, "spec", "tolerations", NULL);

	for (const struct am_node *o = old != NULL ? old->first : NULL; o != NULL; o = o->next) {
		struct am_node *want = am_node_clone(change->arena, o);
		bool found = false;

		am_node_del(want, "tolerationSeconds");
		for (const struct am_node *n = now != NULL ? now->first : NULL; n != NULL && !found; n = n->next) {
			struct am_node *have = am_node_clone(change->arena, n);

			am_node_del(have, "tolerationSeconds");
			found = am_node_equal(want, have);
		}
		if (found)
			continue;
		am_forbid(change, "spec.tolerations",
			  "existing toleration can not be modified except its tolerationSeconds");
		return;
	}
}

/* Gates only go. */
static void
check_new_gates(struct am_change *change)
{
	const struct am_node *old = am_node_path(change->old, "spec", "schedulingGates", NULL);
	const struct am_node *now = am_node_path(change->object, "spec", "schedulingGates", NULL);
	char path[64];
	int i = 0;

	for (const struct am_node *n = now != NULL ? now->first : NULL; n != NULL; n = n->next, i++) {
		const char *name = am_node_get_str(n, "name", "");
		const struct am_node *o = old != NULL ? old->first : NULL;

		while (o != NULL && strcmp(am_node_get_str(o, "name", ""), name) != 0)
			o = o->next;
		if (o != NULL)
			continue;
		snprintf(path, sizeof(path), "spec.schedulingGates[%d].name", i);
		am_forbid(change, path, am_arena_printf(change->arena, "only deletion is allowed, but found new scheduling gate '%s'", name));
	}
}

/* kubelet's three classes, from the CPU and memory of all containers. */
static const char *
qos_class(const struct am_node *spec)
{
	static const char *const counted[] = { "cpu", "memory" };
	bool any = false, all = true;

	for (size_t l = 0; l < AM_COUNTOF(container_lists); l++) {
		const struct am_node *list = am_node_get(spec, container_lists[l]);
		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			for (size_t r = 0; r < AM_COUNTOF(counted); r++) {
				struct am_quantity limit = { 0 }, request = { 0 };
				(void)am_quantity_of(am_node_path(c, "resources", "limits", counted[r], NULL), &limit);
				(void)am_quantity_of(am_node_path(c, "resources", "requests", counted[r], NULL), &request);
				any |= limit.nano > 0 || request.nano > 0;
				all &= limit.nano > 0 && limit.nano == request.nano;
			}
	}
	return !any ? "BestEffort" : all ? "Guaranteed" : "Burstable";
}

static void
pod_check(struct am_change *change)
{
	static const char *const policies[] = { "Always", "OnFailure", "Never", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec");

	if (change->old != NULL && am_node_get(change->old, "spec") != NULL) {
		check_new_deadline(change);
		check_new_tolerations(change);
		check_new_gates(change);
		if (!am_node_equal(frozen(change, change->old), frozen(change, change->object)))
			am_forbid(change, "spec", "pod updates may not change fields other than `spec.containers[*].image`,"
				  "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "
				  "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
				  "previously negative)");
		return;
	}
	am_pod_check_spec(change, spec, "spec");
	/* Not earlier: LimitRanges have had their say now. */
	am_node_set(change->arena, am_child(change, change->object, "status"), "qosClass",
		    am_node_str(change->arena, qos_class(spec)));
	am_pod_check_choice(change, spec, "restartPolicy", "spec", policies);
}

const struct am_kind am_kind_pod = { .fill = pod_fill, .create = pod_create, .check = pod_check };
