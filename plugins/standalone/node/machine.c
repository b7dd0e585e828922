/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Node object of this machine.  Whether limits are enforced is said in an annotation, so are the directories that
 * hostPath may show.  A real control plane takes a node that is silent for 40 s for dead; a standalone one does not,
 * and is spared the writes.
 */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BEAT_CLUSTER    (10 * AMBIENT_SECOND)
#define BEAT_STANDALONE (300 * AMBIENT_SECOND)

const char *
machine_arch(const struct utsname *u)
{
	return strcmp(u->machine, "x86_64") == 0 ? "amd64" : strcmp(u->machine, "aarch64") == 0 ? "arm64" : u->machine;
}

static const char *
limits_said(const struct node *node)
{
	return !node->limits_hold ? "unenforced" : node->groups_version == 2 ? "cgroup2" : "cgroup1";
}

static void
annotate(const struct node *node, struct ambient_draft *d)
{
	struct text paths = { 0 };

	for (size_t i = 0; node->host_paths != NULL && node->host_paths[i] != NULL; i++)
		text_printf(&paths, "%s%s", i > 0 ? ":" : "", node->host_paths[i]);
	ambient_draft_set_str(d, "/metadata/annotations/standalone~1limits", limits_said(node));
	ambient_draft_set_str(d, "/metadata/annotations/standalone~1sandbox", node->no_sandbox ? "none" : "bubblewrap");
	ambient_draft_set_str(d, "/metadata/annotations/standalone~1host-paths", text_str(&paths));
	ambient_draft_set_str(d, "/metadata/annotations/standalone~1seccomp", node->filter != NULL ? "filter" : "none");
	ambient_draft_set_str(d, "/metadata/annotations/standalone~1podman", node->podman_count > 0 ? "yes" : "no");
	text_fini(&paths);
}

/* The machine or the configuration is another one than when the Node was made. */
static int
annotate_again(struct node *node, struct ambient_call *call, const struct ambient_object *obj, struct ambient_error *err)
{
	struct ambient_draft *d = ambient_draft_new(call, NODE, NULL, NULL);
	const char *all[] = { "/metadata/annotations/standalone~1limits", "/metadata/annotations/standalone~1sandbox",
			      "/metadata/annotations/standalone~1host-paths", "/metadata/annotations/standalone~1seccomp",
			      "/metadata/annotations/standalone~1podman" };
	bool same = true;

	annotate(node, d);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		same = same && strcmp(ambient_str(ambient_draft_view(d), all[i], ""), ambient_str(obj, all[i], "")) == 0;
	return same ? 0 : ambient_patch(call, NODE, "", node->name, NULL, AMBIENT_PATCH_MERGE,
					ambient_json(ambient_draft_view(d), "", NULL), NULL, err);
}

static int
register_node(struct node *node, struct ambient_call *call, const struct utsname *u, struct ambient_error *err)
{
	struct ambient_draft *d = ambient_draft_new(call, NODE, NULL, node->name);
	int rc;

	ambient_draft_set_str(d, "/metadata/labels/kubernetes.io~1hostname", node->name);
	ambient_draft_set_str(d, "/metadata/labels/kubernetes.io~1os", "linux");
	ambient_draft_set_str(d, "/metadata/labels/kubernetes.io~1arch", machine_arch(u));
	annotate(node, d);
	rc = ambient_create(call, d, NULL, err);
	return rc == -AMBIENT_E_EXISTS ? 0 : rc;
}

static void
set_condition(struct ambient_draft *d, const struct ambient_object *obj, int64_t wall, int64_t beat)
{
	const struct ambient_object *old = NULL;
	const char *last;
	char now[40], text[512];

	for (size_t i = 0; i < ambient_len(obj, "/status/conditions"); i++) {
		const struct ambient_object *c = ambient_item(obj, "/status/conditions", i, NULL);

		if (strcmp(ambient_str(c, "/type", ""), "Ready") == 0 && strcmp(ambient_str(c, "/status", ""), "True") == 0)
			old = c;
	}
	time_stamp(now, wall);
	last = old != NULL ? ambient_str(old, "/lastHeartbeatTime", NULL) : NULL;
	/* Our own write wakes us; it must not be answered by another one. */
	if (last != NULL && wall - time_parse(last) < beat)
		return;
	(void)snprintf(text, sizeof(text),
		       "[{\"type\":\"Ready\",\"status\":\"True\",\"lastHeartbeatTime\":\"%s\",\"lastTransitionTime\":\"%.40s\","
		       "\"reason\":\"KubeletReady\",\"message\":\"the node runs pods as processes\"}]",
		       now, old != NULL ? ambient_str(old, "/lastTransitionTime", now) : now);
	ambient_draft_set_json(d, "/status/conditions", text);
}

static void
set_capacity(struct ambient_draft *d, const char *at)
{
	char path[64], text[48];

	(void)snprintf(path, sizeof(path), "%s/cpu", at);
	(void)snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	ambient_draft_set_str(d, path, text);
	(void)snprintf(path, sizeof(path), "%s/memory", at);
	(void)snprintf(text, sizeof(text), "%lldKi",
		       (long long)sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) / 1024));
	ambient_draft_set_str(d, path, text);
	(void)snprintf(path, sizeof(path), "%s/pods", at);
	(void)snprintf(text, sizeof(text), "%d", SCHEDULE_PODS);
	ambient_draft_set_str(d, path, text);
}

int
machine_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		  struct ambient_result *result, struct ambient_error *err)
{
	struct node *node = self;
	const struct ambient_object *obj;
	struct ambient_draft *d;
	struct utsname u;
	char port[16];
	int rc;

	if (strcmp(req->name, node->name) != 0)
		return 0;
	(void)uname(&u);
	rc = ambient_get(call, NODE, "", node->name, &obj, err);
	if (rc == -AMBIENT_E_NOTFOUND) {
		rc = register_node(node, call, &u, err);
		if (rc == 0)
			rc = ambient_get_live(call, NODE, "", node->name, &obj, err);
	}
	if (rc == 0)
		rc = annotate_again(node, call, obj, err);
	if (rc == 0)
		rc = ambient_get(call, NODE, "", node->name, &obj, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		rc = ambient_get_live(call, NODE, "", node->name, &obj, err);
	if (rc < 0)
		return rc;
	result->requeue_after = node->cluster ? BEAT_CLUSTER : BEAT_STANDALONE;
	d = ambient_draft_from(call, NODE, obj);
	ambient_draft_set_json(d, "/status/addresses", "[{\"type\":\"InternalIP\",\"address\":\"127.0.0.1\"},"
						       "{\"type\":\"Hostname\"}]");
	ambient_draft_set_str(d, "/status/addresses/1/address", node->name);
	(void)snprintf(port, sizeof(port), "%u", node->port);
	ambient_draft_set_json(d, "/status/daemonEndpoints/kubeletEndpoint/Port", port);
	ambient_draft_set_str(d, "/status/nodeInfo/machineID", "");
	ambient_draft_set_str(d, "/status/nodeInfo/systemUUID", "");
	ambient_draft_set_str(d, "/status/nodeInfo/bootID", "");
	ambient_draft_set_str(d, "/status/nodeInfo/kernelVersion", u.release);
	ambient_draft_set_str(d, "/status/nodeInfo/osImage", u.sysname);
	ambient_draft_set_str(d, "/status/nodeInfo/containerRuntimeVersion",
			      node->no_sandbox ? "ambient://none" : "ambient://bubblewrap");
	ambient_draft_set_str(d, "/status/nodeInfo/kubeletVersion", "v1.32.0+ambient");
	ambient_draft_set_str(d, "/status/nodeInfo/kubeProxyVersion", "");
	ambient_draft_set_str(d, "/status/nodeInfo/operatingSystem", "linux");
	ambient_draft_set_str(d, "/status/nodeInfo/architecture", machine_arch(&u));
	set_capacity(d, "/status/capacity");
	set_capacity(d, "/status/allocatable");
	set_condition(d, obj, node->host->clock->wall(node->host), result->requeue_after);
	return ambient_status(call, d, err);
}
