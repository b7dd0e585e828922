/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables: from the image's entry, the cluster, envFrom and env, later ones winning. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list under construction is the text "NAME=value\0…", in which a later name replaces an earlier one. */
static const char *
lookup(const struct text *names, const char *name, size_t n)
{
	const char *found = NULL;

	for (const char *p = text_str(names), *end = p + names->len; p < end; p += strlen(p) + 1)
		if (strncmp(p, name, n) == 0 && p[n] == '=')
			found = p + n + 1;
	return found;
}

static void
put(struct text *names, const char *prefix, const char *name, const char *value)
{
	text_puts(names, prefix);
	text_puts(names, name);
	text_puts(names, "=");
	text_put(names, value, strlen(value) + 1);
}

void
env_expand(const struct text *names, const char *in, struct text *out)
{
	while (*in != '\0') {
		const char *end, *value;

		if (in[0] == '$' && in[1] == '$') {
			text_puts(out, "$");
			in += 2;
			continue;
		}
		end = in[0] == '$' && in[1] == '(' ? strchr(in, ')') : NULL;
		value = end != NULL ? lookup(names, in + 2, (size_t)(end - in - 2)) : NULL;
		if (end != NULL) {
			if (value != NULL)
				text_puts(out, value);
			else
				text_put(out, in, (size_t)(end - in + 1)); /* unknown: left as it is */
			in = end + 1;
		} else {
			text_put(out, in++, 1);
		}
	}
	text_put(out, "", 0);
}

/* Printable ASCII without '=': what newer clusters take. */
static bool
name_ok(const char *name)
{
	if (name[0] == '\0')
		return false;
	for (; *name != '\0'; name++)
		if (*name < 0x20 || *name > 0x7e || *name == '=')
			return false;
	return true;
}

int
find_object(struct ambient_call *call, const char *kind, const char *ns, const char *name, struct trouble *t,
	    const struct ambient_object **ret, struct ambient_error *err)
{
	int rc = ambient_get(call, kind, ns, name, ret, err);
	char id[sizeof(t->missing)];

	(void)snprintf(id, sizeof(id), "%s %.64s/%.256s", kind, ns, name);
	if (rc == -AMBIENT_E_NOTFOUND && strcmp(id, t->missing) != 0)
		rc = ambient_get_live(call, kind, ns, name, ret, err);
	/* Of a name that no object can have, there is none. */
	if (rc == -AMBIENT_E_NOTFOUND || rc == -AMBIENT_E_INVALID) {
		memcpy(t->missing, id, sizeof(id));
		*ret = NULL;
		rc = 0;
	}
	return rc;
}

static const char *
member(const struct ambient_object *map, const char *at, const char *key)
{
	size_t n = ambient_len(map, at);

	for (size_t i = 0; i < n; i++) {
		const char *have = NULL;
		const struct ambient_object *value = ambient_item(map, at, i, &have);

		if (have != NULL && strcmp(have, key) == 0)
			return ambient_str(value, "", "");
	}
	return NULL;
}

/* metadata.labels['k'] -> k */
static bool
subscript(const char *path, const char *prefix, char *key, size_t size)
{
	size_t n = strlen(prefix), len;

	if (strncmp(path, prefix, n) != 0 || strncmp(path + n, "['", 2) != 0)
		return false;
	path += n + 2;
	len = strlen(path);
	if (len < 3 || len - 2 >= size || strcmp(path + len - 2, "']") != 0)
		return false;
	memcpy(key, path, len - 2);
	key[len - 2] = '\0';
	return true;
}

const char *
env_field(const struct ambient_object *pod, const struct local *local, const char *path)
{
	static const char *const plain[][2] = {
		{ "metadata.name", "/metadata/name" }, { "metadata.namespace", "/metadata/namespace" },
		{ "metadata.uid", "/metadata/uid" }, { "spec.nodeName", "/spec/nodeName" },
		{ "spec.serviceAccountName", "/spec/serviceAccountName" },
	};
	char key[320];

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(path, plain[i][0]) == 0)
			return ambient_str(pod, plain[i][1], "");
	if (strcmp(path, "status.podIP") == 0 || strcmp(path, "status.podIPs") == 0)
		return local->ip;
	if (strcmp(path, "status.hostIP") == 0 || strcmp(path, "status.hostIPs") == 0)
		return "127.0.0.1";
	if (subscript(path, "metadata.labels", key, sizeof(key))) {
		const char *value = member(pod, "/metadata/labels", key);
		return value != NULL ? value : "";
	}
	if (subscript(path, "metadata.annotations", key, sizeof(key))) {
		const char *value = member(pod, "/metadata/annotations", key);
		return value != NULL ? value : "";
	}
	return NULL;
}

/* resourceFieldRef: requests.X and limits.X, rounded up; no limit: the machine's. */
void
env_resource(const struct ambient_object *pod, const struct ambient_object *own, const struct ambient_object *ref,
	     char *out, size_t size)
{
	static const char *const lists[] = { "/spec/containers", "/spec/initContainers" };
	const char *resource = ambient_str(ref, "/resource", ""), *name = ambient_str(ref, "/containerName", "");
	const struct ambient_object *container = own;
	double value, by = quantity_at(ref, "/divisor");
	char at[160];

	for (size_t k = 0; k < 2 && name[0] != '\0'; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k]); i++)
			if (strcmp(ambient_str(container_at(pod, lists[k], i), "/name", ""), name) == 0)
				container = container_at(pod, lists[k], i);
	(void)snprintf(at, sizeof(at), "/resources/%.120s", resource);
	/* Only the first dot parts the list from the resource. */
	if (strchr(at, '.') != NULL)
		*strchr(at, '.') = '/';
	value = container != NULL ? quantity_at(container, at) : 0;
	if (value <= 0 && strcmp(resource, "limits.cpu") == 0)
		value = (double)schedule_capacity(SHARE_CPU) / 1000;
	else if (value <= 0 && strcmp(resource, "limits.memory") == 0)
		value = (double)schedule_capacity(SHARE_MEMORY);
	(void)snprintf(out, size, "%lld", (long long)quantity_up(value / (by > 0 ? by : 1)));
}

/* All of a config map or a secret. */
static int
add_from(struct ambient_call *call, const struct ambient_object *pod, const struct ambient_object *from, bool secret,
	 struct text *names, struct trouble *t, struct ambient_error *err)
{
	const char *ns = ambient_str(pod, "/metadata/namespace", "");
	const char *name = ambient_str(from, secret ? "/secretRef/name" : "/configMapRef/name", "");
	const char *prefix = ambient_str(from, "/prefix", "");
	bool optional = ambient_bool(from, secret ? "/secretRef/optional" : "/configMapRef/optional", 0);
	const struct ambient_object *obj;
	int rc = find_object(call, secret ? SECRET : CONFMAP, ns, name, t, &obj, err);

	if (rc < 0)
		return rc;
	if (obj == NULL) {
		if (!optional)
			trouble_set(t, "CreateContainerConfigError", true, "%s \"%s\" not found",
				    secret ? "secret" : "configmap", name);
		return 0;
	}
	for (size_t i = 0; i < ambient_len(obj, "/data"); i++) {
		const char *key = "";
		const struct ambient_object *value = ambient_item(obj, "/data", i, &key);
		struct text plain = { 0 };

		if (!name_ok(key)) {
			ambient_event(call, pod, "Warning", "InvalidEnvironmentVariableNames",
				      "key \"%.64s\" of %s \"%s\" is no name of a variable and was left out", key,
				      secret ? "secret" : "configmap", name);
			continue;
		}
		if (!secret)
			put(names, prefix, key, ambient_str(value, "", ""));
		else if (base64_decode(ambient_str(value, "", ""), &plain) == 0)
			put(names, prefix, key, text_str(&plain));
		text_fini(&plain);
	}
	return 0;
}

static int
add_key_ref(struct ambient_call *call, const struct ambient_object *pod, const char *name,
	    const struct ambient_object *ref, bool secret, struct text *names, struct trouble *t,
	    struct ambient_error *err)
{
	const char *ns = ambient_str(pod, "/metadata/namespace", ""), *key = ambient_str(ref, "/key", "");
	const char *object = ambient_str(ref, "/name", ""), *value;
	bool optional = ambient_bool(ref, "/optional", 0);
	const struct ambient_object *obj;
	struct text plain = { 0 };
	int rc = find_object(call, secret ? SECRET : CONFMAP, ns, object, t, &obj, err);

	if (rc < 0)
		return rc;
	value = obj != NULL ? member(obj, "/data", key) : NULL;
	if (value == NULL && !optional) {
		if (obj == NULL)
			trouble_set(t, "CreateContainerConfigError", true, "%s \"%s\" not found",
				    secret ? "secret" : "configmap", object);
		else
			trouble_set(t, "CreateContainerConfigError", true, "couldn't find key %s in %s %s/%s", key,
				    secret ? "Secret" : "ConfigMap", ns, object);
		return 0;
	}
	if (value == NULL)
		return 0;
	if (!secret)
		put(names, "", name, value);
	else if (base64_decode(value, &plain) == 0)
		put(names, "", name, text_str(&plain));
	text_fini(&plain);
	return 0;
}

static int
add_env(struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	const struct ambient_object *container, const struct ambient_object *env, struct text *names, struct trouble *t,
	struct ambient_error *err)
{
	const char *name = ambient_str(env, "/name", ""), *path, *value;
	const struct ambient_object *ref;
	struct text expanded = { 0 };
	char number[32];

	if (!name_ok(name)) {
		trouble_set(t, "CreateContainerConfigError", false, "\"%.64s\" is no name of a variable", name);
		return 0;
	}
	if ((ref = ambient_at(env, "/valueFrom/secretKeyRef")) != NULL)
		return add_key_ref(call, pod, name, ref, true, names, t, err);
	if ((ref = ambient_at(env, "/valueFrom/configMapKeyRef")) != NULL)
		return add_key_ref(call, pod, name, ref, false, names, t, err);
	if ((ref = ambient_at(env, "/valueFrom/resourceFieldRef")) != NULL) {
		env_resource(pod, container, ref, number, sizeof(number));
		put(names, "", name, number);
		return 0;
	}
	if ((path = ambient_str(env, "/valueFrom/fieldRef/fieldPath", NULL)) != NULL) {
		value = env_field(pod, local, path);
		if (value == NULL)
			trouble_set(t, "CreateContainerConfigError", false, "fieldPath \"%.100s\" is not supported", path);
		else
			put(names, "", name, value);
		return 0;
	}
	env_expand(names, ambient_str(env, "/value", ""), &expanded);
	put(names, "", name, text_str(&expanded));
	text_fini(&expanded);
	return 0;
}

/* KUBERNETES_SERVICE_HOST and its kin from "https://host:port". */
static void
add_server(struct node *node, struct text *names)
{
	const char *url = node->host->fact != NULL ? node->host->fact(node->host, "server") : NULL;
	const char *host = url != NULL ? strstr(url, "://") : NULL, *colon;
	char name[256], port[16] = "443";
	size_t n;

	if (host == NULL)
		return;
	host += 3;
	n = strcspn(host, "/");
	colon = host[0] == '[' ? strchr(host, ']') : memchr(host, ':', n);
	if (colon != NULL && *colon == ']')
		colon = colon[1] == ':' ? colon + 1 : NULL;
	if (colon != NULL) {
		(void)snprintf(port, sizeof(port), "%.*s", (int)(n - (size_t)(colon + 1 - host)), colon + 1);
		n = (size_t)(colon - host);
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, host);
	put(names, "", "KUBERNETES_SERVICE_HOST", name);
	put(names, "", "KUBERNETES_SERVICE_PORT", port);
	put(names, "", "KUBERNETES_SERVICE_PORT_HTTPS", port);
}

int
env_build(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	  const struct ambient_object *container, const struct image *image, struct text *out, struct text *names,
	  struct trouble *t, struct ambient_error *err)
{
	bool first = true;
	int rc = 0;

	/* An image of podman's says these itself. */
	if (image != NULL) {
		put(names, "", "PATH", image->path != NULL ? image->path : "/usr/local/bin:/usr/bin:/bin");
		put(names, "", "HOME", "/tmp");
		put(names, "", "HOSTNAME", ambient_str(pod, "/spec/hostname", ambient_str(pod, "/metadata/name", "")));
	}
	for (size_t i = 0; image != NULL && image->env != NULL && image->env[i] != NULL; i++)
		text_put(names, image->env[i], strlen(image->env[i]) + 1);
	add_server(node, names);
	for (size_t i = 0; i < ambient_len(container, "/envFrom") && rc == 0 && t->reason[0] == '\0'; i++) {
		const struct ambient_object *from = ambient_item(container, "/envFrom", i, NULL);

		rc = add_from(call, pod, from, ambient_at(from, "/secretRef") != NULL, names, t, err);
	}
	for (size_t i = 0; i < ambient_len(container, "/env") && rc == 0 && t->reason[0] == '\0'; i++)
		rc = add_env(call, pod, local, container, ambient_item(container, "/env", i, NULL), names, t, err);
	if (rc < 0 || t->reason[0] != '\0')
		return rc;
	text_puts(out, "[");
	for (const char *p = text_str(names), *end = p + names->len; p < end; p += strlen(p) + 1) {
		const char *eq = strchr(p, '=');

		/* Only the last of a name counts. */
		if (eq == NULL || lookup(names, p, (size_t)(eq - p)) != eq + 1)
			continue;
		text_puts(out, first ? "" : ",");
		text_json(out, p);
		first = false;
	}
	text_puts(out, "]");
	return 0;
}
