/* SPDX-License-Identifier: Apache-2.0 */
/* Which container of a pod is meant, and where its node is: the same for its log and for what runs inside it. */
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

const struct am_node *
rest_pod_get(struct rest_call *call)
{
	struct am_object *object = am_engine_get(call->server->engine, call->res, call->ns, call->name, NULL, &call->failure);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_node *pod = object != NULL ? am_node_parse(call->arena, object->body, object->len, &err) : NULL;

	if (object != NULL && pod == NULL)
		am_fail(&call->failure, 500, "InternalError", "Internal error occurred: %s", err.message);
	am_object_unref(object);
	return pod;
}

/* Names of one list of containers, "a b"; counts them, looks for one. */
static size_t
container_names(const struct am_node *list, const char *wanted, struct am_buf *names, const char **first, bool *found)
{
	size_t n = 0;

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next, n++) {
		const char *name = am_node_get_str(c, "name", "");

		am_buf_addf(names, "%s%s", n > 0 ? " " : "", name);
		if (n == 0 && first != NULL)
			*first = name;
		if (wanted != NULL && strcmp(name, wanted) == 0)
			*found = true;
	}
	return n;
}

int
rest_pod_container(struct rest_call *call, const struct am_node *pod, const char **ret)
{
	const char *wanted = rest_query(call, "container"), *first = NULL;
	struct am_buf names = { 0 }, init = { 0 };
	bool found = false;
	size_t n = container_names(am_node_path(pod, "spec", "containers", NULL), wanted, &names, &first, &found);
	size_t n_init = container_names(am_node_path(pod, "spec", "initContainers", NULL), wanted, &init, NULL, &found);
	int rc = 0;

	if (wanted == NULL && n == 1) {
		*ret = first;
	} else if (wanted == NULL) {
		rc = am_fail(&call->failure, 400, "BadRequest",
			     "a container name must be specified for pod %s, choose one of: [%s]%s%s%s", call->name,
			     am_buf_str(&names), n_init > 0 ? " or one of the init containers: [" : "",
			     n_init > 0 ? am_buf_str(&init) : "", n_init > 0 ? "]" : "");
	} else if (!found) {
		rc = am_fail(&call->failure, 400, "BadRequest", "container %s is not valid for pod %s", wanted, call->name);
	} else {
		*ret = wanted;
	}
	am_buf_fini(&names);
	am_buf_fini(&init);
	return rc;
}

const struct am_node *
rest_pod_status_of(const struct am_node *pod, const char *container)
{
	static const char *const lists[] = { "containerStatuses", "initContainerStatuses" };

	for (size_t i = 0; i < AM_COUNTOF(lists); i++) {
		const struct am_node *list = am_node_path(pod, "status", lists[i], NULL);

		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			if (strcmp(am_node_get_str(c, "name", ""), container) == 0)
				return c;
	}
	return NULL;
}

int
rest_pod_node(struct rest_call *call, const struct am_node *pod, struct am_buf *url)
{
	const char *node = am_node_text(am_node_path(pod, "spec", "nodeName", NULL), "");
	struct am_object *object = NULL;
	char *address = NULL;
	struct am_slice list, v, type;
	int64_t port = 0;

	if (*node == '\0')
		return am_fail(&call->failure, 400, "BadRequest", "pod %s does not have a host assigned", call->name);
	object = am_engine_peek(call->server->engine, "", "nodes", NULL, node);
	if (object != NULL) {
		port = am_json_int(am_object_text(object), "/status/daemonEndpoints/kubeletEndpoint/Port", 0);
		if (am_json_find(am_object_text(object), "/status/addresses", &list))
			for (size_t it = 0; address == NULL && am_json_element(list, &it, &v);)
				if (am_json_find(v, "/type", &type) && am_json_str_eq(type, "InternalIP"))
					address = am_json_dup(v, "/address");
	}
	if (address != NULL && port > 0 && port < 65536)
		am_buf_addf(url, "https://%s:%lld", address, (long long)port);
	else
		am_fail(&call->failure, 503, "ServiceUnavailable",
			"node \"%s\" of pod \"%s\" has not told where it can be reached", node, call->name);
	free(address);
	am_object_unref(object);
	return url->len > 0 ? 0 : -AMBIENT_E_UNAVAILABLE;
}

void
rest_add_escaped(struct am_buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '-' ||
		    *p == '.' || *p == '_')
			am_buf_addc(out, (char)*p);
		else
			am_buf_addf(out, "%%%02X", *p);
}
