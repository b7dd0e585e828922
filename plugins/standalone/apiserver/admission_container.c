/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container may say: names, environment, ports, mounts, resources, probes, hooks, security.  Everything that
 * kube-apiserver refuses is refused with its words; what only this node cannot do is "Forbidden".
 */
#include "core/base/util.h"
#include "plugins/standalone/apiserver/admission.h"
#include "plugins/standalone/apiserver/admission_pod.h"
#include "plugins/standalone/apiserver/quantity.h"

#define AT(...)  am_arena_printf(change->arena, __VA_ARGS__)
#define EACH(i, list) const struct am_node *i = (list) != NULL ? (list)->first : NULL; i != NULL; i = i->next

/* ---- what several need ---- */

void
am_pod_check_number(struct am_change *change, const struct am_node *object, const char *key, const char *at, int64_t min,
		    int64_t max)
{
	const struct am_node *value = am_node_get(object, key);
	int64_t n;

	if (value == NULL || value->type == AMBIENT_T_NULL || (am_node_is_int(value, &n) && n >= min && n <= max))
		return;
	am_bad(change, AT("%s.%s", at, key), value, min == 0 && max >= INT32_MAX && strncmp(key, "runAs", 5) != 0 ?
	       "must be greater than or equal to 0" : AT("must be between %lld and %lld, inclusive", (long long)min, (long long)max));
}

void
am_pod_check_choice(struct am_change *change, const struct am_node *object, const char *key, const char *at,
		    const char *const *choices)
{
	const char *value = am_node_get_str(object, key, "");

	for (size_t i = 0; choices[i] != NULL; i++)
		if (strcmp(choices[i], value) == 0)
			return;
	if (*value != '\0')
		am_unsupported(change, AT("%s.%s", at, key), value, choices);
}

void
am_pod_check_unique(struct am_change *change, struct am_map *seen, const char *value, const char *at)
{
	if (am_map_has(seen, value))
		am_failure_cause(change->failure, "FieldValueDuplicate", at, "Duplicate value: \"%.100s\"", value);
	am_map_put(seen, value, seen);
}

bool
am_pod_path_climbs(const char *path)
{
	for (const char *p = path; *p != '\0'; p += strcspn(p, "/"), p += *p == '/')
		if (strcspn(p, "/") == 2 && strncmp(p, "..", 2) == 0)
			return true;
	return false;
}

/* ---- fieldRef, resourceFieldRef ---- */

/* Which paths there are at all, for the words of the refusal. */
static bool
subscripted(const char *path)
{
	static const char *const maps[] = { "metadata.annotations['", "metadata.labels['" };
	size_t n = strlen(path);

	for (size_t i = 0; i < AM_COUNTOF(maps); i++) {
		size_t k = strlen(maps[i]);
		if (strncmp(path, maps[i], k) == 0 && n > k + 2 && strcmp(path + n - 2, "']") == 0)
			return true;
	}
	return false;
}

void
am_pod_check_field_ref(struct am_change *change, const struct am_node *ref, const char *at, bool volume)
{
	static const char *const in_env[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
					      "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
					      "status.podIPs", NULL };
	static const char *const in_volumes[] = { "metadata.annotations", "metadata.labels", "metadata.name",
						  "metadata.namespace", "metadata.uid", NULL };
	const char *path = am_node_get_str(ref, "fieldPath", "");
	const char *const *mine = volume ? in_volumes : in_env, *const *other = volume ? in_env : in_volumes;
	char *field = AT("%s.fieldPath", at);

	if (*path == '\0') {
		am_need(change, field);
		return;
	}
	for (size_t i = 0; mine[i] != NULL; i++)
		if (strcmp(mine[i], path) == 0)
			return;
	if (subscripted(path))
		return;
	for (size_t i = 0; other[i] != NULL; i++)
		if (strcmp(other[i], path) == 0) {
			am_unsupported(change, field, path, mine);
			return;
		}
	am_bad(change, field, am_node_get(ref, "fieldPath"), AT("error converting fieldPath: field label not supported: %.100s", path));
}

void
am_pod_check_resource_ref(struct am_change *change, const struct am_node *ref, const char *at, bool volume)
{
	static const char *const resources[] = { "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
						 "requests.ephemeral-storage", "requests.memory", NULL };
	static const char *const cpu[] = { "", "0", "1m", "1", NULL };
	static const char *const bytes[] = { "", "0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi",
					     "1Ei", NULL };
	const char *resource = am_node_get_str(ref, "resource", ""), *divisor = am_node_get_str(ref, "divisor", "");
	bool is_cpu = strstr(resource, ".cpu") != NULL, known = false;

	if (volume && am_empty(am_node_get_str(ref, "containerName", NULL)))
		am_need(change, AT("%s.containerName", at));
	if (*resource == '\0')
		am_need(change, AT("%s.resource", at));
	am_pod_check_choice(change, ref, "resource", at, resources);
	for (const char *const *d = is_cpu ? cpu : bytes; *d != NULL; d++)
		known |= strcmp(*d, divisor) == 0;
	if (!known)
		am_bad(change, AT("%s.divisor", at), am_node_get(ref, "divisor"), is_cpu ?
		       "only divisor's values 1m and 1 are supported with the cpu resource" :
		       "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory "
		       "resource");
}

/* ---- environment ---- */

static void
check_key_ref(struct am_change *change, const struct am_node *ref, const char *at)
{
	const char *name = am_node_get_str(ref, "name", ""), *problem = am_name_problem(name, 2);

	if (problem != NULL)
		am_bad(change, AT("%s.name", at), am_node_get(ref, "name"), problem);
	if (am_empty(am_node_get_str(ref, "key", NULL)))
		am_need(change, AT("%s.key", at));
}

static void
check_value_from(struct am_change *change, const struct am_node *env, const char *at)
{
	const struct am_node *from = am_node_get(env, "valueFrom");
	int sources = 0;

	for (EACH(m, from)) {
		char *field = AT("%s.valueFrom.%.60s", at, m->key);
		sources++;
		if (strcmp(m->key, "fieldRef") == 0)
			am_pod_check_field_ref(change, m, field, false);
		else if (strcmp(m->key, "resourceFieldRef") == 0)
			am_pod_check_resource_ref(change, m, field, false);
		else if (strcmp(m->key, "configMapKeyRef") == 0 || strcmp(m->key, "secretKeyRef") == 0)
			check_key_ref(change, m, field);
	}
	if (from == NULL)
		return;
	if (sources == 0)
		am_bad(change, AT("%s.valueFrom", at), NULL,
		       "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
	else if (!am_empty(am_node_get_str(env, "value", NULL)))
		am_bad(change, AT("%s.valueFrom", at), NULL, "may not be specified when `value` is not empty");
	else if (sources > 1)
		am_bad(change, AT("%s.valueFrom", at), NULL, "may not have more than one field specified at a time");
}

/* Any printable ASCII but "=": what servers from 1.32 on take. */
static bool
env_name_ok(const char *name)
{
	for (; *name != '\0'; name++)
		if (*name < ' ' || *name > '~' || *name == '=')
			return false;
	return true;
}

static void
check_env(struct am_change *change, const struct am_node *container, const char *at)
{
	int i = 0;

	for (EACH(e, am_node_get(container, "env"))) {
		char *field = AT("%s.env[%d]", at, i++);
		const char *name = am_node_get_str(e, "name", "");
		if (*name == '\0')
			am_need(change, AT("%s.name", field));
		else if (!env_name_ok(name))
			am_bad(change, AT("%s.name", field), am_node_get(e, "name"),
			       "a valid environment variable name must consist only of printable ASCII characters other than '='");
		check_value_from(change, e, field);
	}
	i = 0;
	for (EACH(e, am_node_get(container, "envFrom"))) {
		const struct am_node *map = am_node_get(e, "configMapRef"), *secret = am_node_get(e, "secretRef");
		char *field = AT("%s.envFrom[%d]", at, i++);
		const struct am_node *ref = map != NULL ? map : secret;
		if (map == NULL && secret == NULL)
			am_bad(change, field, NULL, "must specify one of: `configMapRef` or `secretRef`");
		else if (map != NULL && secret != NULL)
			am_bad(change, field, NULL, "may not have more than one field specified at a time");
		else if (am_name_problem(am_node_get_str(ref, "name", ""), 2) != NULL)
			am_bad(change, AT("%s.%s.name", field, ref->key), am_node_get(ref, "name"),
			       am_name_problem(am_node_get_str(ref, "name", ""), 2));
		if (!env_name_ok(am_node_get_str(e, "prefix", "")))
			am_bad(change, AT("%s.prefix", field), am_node_get(e, "prefix"),
			       "a valid environment variable name must consist only of printable ASCII characters other than '='");
	}
}

/* ---- ports, mounts ---- */

static const char *
port_name_problem(const char *name)
{
	size_t n = strlen(name);
	bool letter = false;

	if (n > 15)
		return "must be no more than 15 characters";
	for (size_t i = 0; i < n; i++) {
		bool alpha = name[i] >= 'a' && name[i] <= 'z';
		if (!alpha && !(name[i] >= '0' && name[i] <= '9') && name[i] != '-')
			return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
		letter |= alpha;
	}
	if (!letter)
		return "must contain at least one letter (a-z)";
	if (strstr(name, "--") != NULL)
		return "must not contain consecutive hyphens";
	return name[0] == '-' || name[n - 1] == '-' ? "must not begin or end with a hyphen" : NULL;
}

static void
check_ports(struct am_change *change, const struct am_node *container, struct am_pod_names *names, const char *at)
{
	static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };
	struct am_map *own = am_map_new();
	int i = 0;

	for (EACH(p, am_node_get(container, "ports"))) {
		const char *name = am_node_get_str(p, "name", ""), *problem = *name != '\0' ? port_name_problem(name) : NULL;
		char *field = AT("%s.ports[%d]", at, i++);
		int64_t host = 0;
		if (problem != NULL)
			am_bad(change, AT("%s.name", field), am_node_get(p, "name"), problem);
		else if (*name != '\0')
			am_pod_check_unique(change, own, name, AT("%s.name", field));
		if (am_node_get(p, "containerPort") == NULL)
			am_need(change, AT("%s.containerPort", field));
		am_pod_check_number(change, p, "containerPort", field, 1, 65535);
		if (am_node_get_int(p, "hostPort", &host) && host != 0) {
			am_pod_check_number(change, p, "hostPort", field, 1, 65535);
			am_pod_check_unique(change, names->host_ports, AT("%s/%s/%lld", am_node_get_str(p, "protocol", "TCP"),
				am_node_get_str(p, "hostIP", ""), (long long)host), AT("%s.hostPort", field));
		}
		am_pod_check_choice(change, p, "protocol", field, protocols);
	}
	am_map_free(own);
}

static void
check_sub_path(struct am_change *change, const struct am_node *mount, const char *key, const char *at)
{
	const char *path = am_node_get_str(mount, key, "");

	if (*path == '/')
		am_bad(change, AT("%s.%s", at, key), am_node_get(mount, key), "must be a relative path");
	else if (am_pod_path_climbs(path))
		am_bad(change, AT("%s.%s", at, key), am_node_get(mount, key), "must not contain '..'");
}

static void
check_mounts(struct am_change *change, const struct am_node *container, const struct am_pod_names *names, const char *at)
{
	struct am_map *seen = am_map_new();
	int i = 0;

	for (EACH(m, am_node_get(container, "volumeMounts"))) {
		const char *name = am_node_get_str(m, "name", ""), *path = am_node_get_str(m, "mountPath", "");
		char *field = AT("%s.volumeMounts[%d]", at, i++);
		if (*name == '\0')
			am_need(change, AT("%s.name", field));
		if (!am_map_has(names->volumes, name))
			am_failure_cause(change->failure, "FieldValueNotFound", AT("%s.name", field), "Not found: \"%.63s\"", name);
		if (*path == '\0')
			am_need(change, AT("%s.mountPath", field));
		else if (am_map_has(seen, path))
			am_bad(change, AT("%s.mountPath", field), am_node_get(m, "mountPath"), "must be unique");
		am_map_put(seen, path, seen);
		check_sub_path(change, m, "subPath", field);
		check_sub_path(change, m, "subPathExpr", field);
		if (!am_empty(am_node_get_str(m, "subPath", NULL)) && !am_empty(am_node_get_str(m, "subPathExpr", NULL)))
			am_bad(change, AT("%s.subPathExpr", field), am_node_get(m, "subPathExpr"),
			       "subPathExpr and subPath are mutually exclusive");
		if (strcmp(am_node_get_str(m, "mountPropagation", "None"), "None") != 0)
			am_forbid(change, AT("%s.mountPropagation", field), "mount propagation is not supported by the standalone node");
	}
	am_map_free(seen);
}

/* ---- resources ---- */

static bool
check_amount(struct am_change *change, const struct am_node *amount, const char *at, struct am_quantity *ret)
{
	if (!am_quantity_of(amount, ret)) {
		am_bad(change, at, amount, "quantities must match the regular expression "
		       "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
		return false;
	}
	if (ret->nano < 0)
		am_bad(change, at, amount, "must be greater than or equal to 0");
	return ret->nano >= 0;
}

static void
check_resource_list(struct am_change *change, const struct am_node *resources, const char *list, const char *at)
{
	static const char *const standard[] = { "cpu", "memory", "ephemeral-storage" };
	struct am_quantity q;

	for (EACH(r, am_node_get(resources, list))) {
		char *field = AT("%s.resources.%s", at, list);
		bool known = strncmp(r->key, "hugepages-", 10) == 0 || strchr(r->key, '/') != NULL;
		for (size_t i = 0; i < AM_COUNTOF(standard); i++)
			known |= strcmp(r->key, standard[i]) == 0;
		if (!known)
			am_failure_cause(change->failure, "FieldValueInvalid", AT("%s[%.100s]", field, r->key),
					 "Invalid value: \"%.100s\": must be a standard resource type or fully qualified", r->key);
		(void)check_amount(change, r, AT("%s[%.100s]", field, r->key), &q);
	}
}

static void
check_resources(struct am_change *change, const struct am_node *container, const char *at)
{
	const struct am_node *resources = am_node_get(container, "resources"), *limits = am_node_get(resources, "limits");
	struct am_quantity limit, request;
	char text[AM_QUANTITY_TEXT];

	check_resource_list(change, resources, "limits", at);
	check_resource_list(change, resources, "requests", at);
	for (EACH(r, am_node_get(resources, "requests")))
		if (am_quantity_of(r, &request) && am_quantity_of(am_node_get(limits, r->key), &limit) &&
		    am_quantity_cmp(&request, &limit) > 0)
			am_bad(change, AT("%s.resources.requests", at), r, AT("must be less than or equal to %.100s limit of %s", r->key,
			       am_quantity_print(&limit, text)));
}

/* ---- probes and hooks ---- */

static void
check_port(struct am_change *change, const struct am_node *action, const char *at)
{
	const struct am_node *port = am_node_get(action, "port");
	const char *name = am_node_text(port, NULL), *problem;
	int64_t n;

	if (port == NULL)
		am_need(change, AT("%s.port", at));
	else if (name == NULL && (!am_node_is_int(port, &n) || n < 1 || n > 65535))
		am_bad(change, AT("%s.port", at), port, "must be between 1 and 65535, inclusive");
	else if (name != NULL && (problem = port_name_problem(name)) != NULL)
		am_bad(change, AT("%s.port", at), port, problem);
}

/* One of exec, httpGet, tcpSocket and what else there is. */
static void
check_handler(struct am_change *change, const struct am_node *handler, const char *at)
{
	static const char *const schemes[] = { "HTTP", "HTTPS", NULL };
	static const char *const kinds[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep" };
	const struct am_node *action;
	int found = 0;

	for (size_t k = 0; k < AM_COUNTOF(kinds); k++) {
		char *field = AT("%s.%s", at, kinds[k]);
		if ((action = am_node_get(handler, kinds[k])) == NULL)
			continue;
		if (++found > 1)
			am_forbid(change, field, "may not specify more than 1 handler type");
		if (k == 0 && (am_node_get(action, "command") == NULL || am_node_get(action, "command")->count == 0))
			am_need(change, AT("%s.command", field));
		if (k >= 1 && k <= 3)
			check_port(change, action, field);
		if (k == 1) {
			am_pod_check_choice(change, action, "scheme", field, schemes);
			if (am_streq(am_node_get_str(action, "scheme", NULL), "HTTPS"))
				am_forbid(change, AT("%s.scheme", field), "probes and hooks by HTTPS are not supported by the standalone node");
		}
		if (k == 3)
			am_forbid(change, field, "gRPC probes are not supported by the standalone node");
	}
	if (found == 0)
		am_failure_cause(change->failure, "FieldValueRequired", at, "Required value: must specify a handler type");
}

static void
check_probe(struct am_change *change, const struct am_node *container, const char *key, const char *at)
{
	static const char *const numbers[] = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
					       "failureThreshold" };
	const struct am_node *probe = am_node_get(container, key);
	char *field = AT("%s.%s", at, key);
	int64_t n = 1;

	if (probe == NULL)
		return;
	check_handler(change, probe, field);
	for (size_t i = 0; i < AM_COUNTOF(numbers); i++)
		am_pod_check_number(change, probe, numbers[i], field, 0, INT32_MAX);
	if (strcmp(key, "readinessProbe") != 0 && am_node_get_int(probe, "successThreshold", &n) && n != 1)
		am_bad(change, AT("%s.successThreshold", field), am_node_get(probe, "successThreshold"), "must be 1");
	if (strcmp(key, "readinessProbe") == 0 && am_node_get(probe, "terminationGracePeriodSeconds") != NULL)
		am_bad(change, AT("%s.terminationGracePeriodSeconds", field), am_node_get(probe, "terminationGracePeriodSeconds"),
		       "must not be set for readinessProbes");
	else
		am_pod_check_number(change, probe, "terminationGracePeriodSeconds", field, 1, INT32_MAX);
}

static void
check_life(struct am_change *change, const struct am_node *container, bool plain_init, const char *at)
{
	static const char *const probes[] = { "livenessProbe", "readinessProbe", "startupProbe" };
	static const char *const hooks[] = { "postStart", "preStop" };
	const struct am_node *lifecycle = am_node_get(container, "lifecycle");

	if (plain_init && lifecycle != NULL && lifecycle->count > 0)
		am_forbid(change, AT("%s.lifecycle", at), "may not be set for init containers without restartPolicy=Always");
	for (size_t i = 0; i < AM_COUNTOF(probes); i++) {
		if (plain_init && am_node_get(container, probes[i]) != NULL)
			am_forbid(change, AT("%s.%s", at, probes[i]), "may not be set for init containers without restartPolicy=Always");
		else
			check_probe(change, container, probes[i], at);
	}
	for (size_t i = 0; i < AM_COUNTOF(hooks); i++)
		if (am_node_get(lifecycle, hooks[i]) != NULL)
			check_handler(change, am_node_get(lifecycle, hooks[i]), AT("%s.lifecycle.%s", at, hooks[i]));
}

/* ---- security ---- */

void
am_pod_check_security(struct am_change *change, const struct am_node *context, const char *at)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };
	static const char *const ids[] = { "runAsUser", "runAsGroup", "fsGroup" };
	const struct am_node *privileged = am_node_get(context, "privileged"), *seccomp = am_node_get(context, "seccompProfile");
	const struct am_node *add = am_node_path(context, "capabilities", "add", NULL);

	for (size_t i = 0; i < AM_COUNTOF(ids); i++)
		am_pod_check_number(change, context, ids[i], at, 0, INT32_MAX);
	if (privileged != NULL && privileged->boolean)
		am_forbid(change, AT("%s.privileged", at), "privileged containers are not supported by the standalone node");
	if (add != NULL && add->count > 0)
		am_forbid(change, AT("%s.capabilities.add", at), "added capabilities are not supported by the standalone node");
	if (strcmp(am_node_get_str(context, "procMount", "Default"), "Default") != 0)
		am_forbid(change, AT("%s.procMount", at), "an unmasked /proc is not supported by the standalone node");
	if (am_node_get(context, "windowsOptions") != NULL)
		am_forbid(change, AT("%s.windowsOptions", at), "windows options cannot be set for a linux pod");
	if (seccomp != NULL && am_empty(am_node_get_str(seccomp, "type", NULL)))
		am_need(change, AT("%s.seccompProfile.type", at));
	am_pod_check_choice(change, seccomp, "type", AT("%s.seccompProfile", at), types);
	if (am_streq(am_node_get_str(seccomp, "type", NULL), "Localhost") && am_node_get(seccomp, "localhostProfile") == NULL)
		am_failure_cause(change->failure, "FieldValueRequired", AT("%s.seccompProfile.localhostProfile", at),
				 "Required value: must be set when seccomp type is Localhost");
	else if (am_streq(am_node_get_str(seccomp, "type", NULL), "Localhost"))
		check_sub_path(change, seccomp, "localhostProfile", AT("%s.seccompProfile", at));
	else if (am_node_get(seccomp, "localhostProfile") != NULL)
		am_bad(change, AT("%s.seccompProfile.localhostProfile", at), seccomp, "can only be set when seccomp type is Localhost");
}

/* ---- the container ---- */

static void
check_name_and_image(struct am_change *change, const struct am_node *container, struct am_pod_names *names, const char *at)
{
	const char *name = am_node_get_str(container, "name", ""), *image = am_node_get_str(container, "image", "");
	const char *problem = *name != '\0' ? am_name_problem(name, 1) : NULL;
	size_t n = strlen(image);

	if (*name == '\0')
		am_need(change, AT("%s.name", at));
	else if (problem != NULL)
		am_bad(change, AT("%s.name", at), am_node_get(container, "name"), problem);
	else
		am_pod_check_unique(change, names->containers, name, AT("%s.name", at));
	if (n == 0)
		am_need(change, AT("%s.image", at));
	else if (strchr(" \t\r\n", image[0]) != NULL || strchr(" \t\r\n", image[n - 1]) != NULL)
		am_bad(change, AT("%s.image", at), am_node_get(container, "image"), "must not have leading or trailing whitespace");
}

void
am_pod_check_container(struct am_change *change, const struct am_node *container, struct am_pod_names *names, bool init,
		       const char *at)
{
	static const char *const pulls[] = { "Always", "IfNotPresent", "Never", NULL };
	static const char *const messages[] = { "FallbackToLogsOnError", "File", NULL };
	static const char *const restarts[] = { "Always", NULL };
	const char *restart = am_node_get_str(container, "restartPolicy", "");

	check_name_and_image(change, container, names, at);
	am_pod_check_choice(change, container, "imagePullPolicy", at, pulls);
	am_pod_check_choice(change, container, "terminationMessagePolicy", at, messages);
	if (!init && *restart != '\0')
		am_forbid(change, AT("%s.restartPolicy", at), "may not be set for non-init containers");
	else
		am_pod_check_choice(change, container, "restartPolicy", at, restarts);
	check_env(change, container, at);
	check_ports(change, container, names, at);
	check_mounts(change, container, names, at);
	check_resources(change, container, at);
	check_life(change, container, init && *restart == '\0', at);
	am_pod_check_security(change, am_node_get(container, "securityContext"), AT("%s.securityContext", at));
}
