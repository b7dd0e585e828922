/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pod may start here: what a scheduler would look at, on a machine that is the whole cluster.  A pod holds
 * what it requests from the moment it is let in until its end; one that does not fit waits as Pending with
 * PodScheduled False, and is looked at again when another one ends; so with the ports of the machine (hostPort) that it
 * names, of which nothing is allocated: pods share the machine's network.  In a real cluster the scheduler has decided.
 */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what it asks for ---- */

/* Of the containers together, or of one init container with the sidecars before it, whatever is more. */
static int64_t
requested(const struct ambient_object *pod, const char *resource, double unit)
{
	int64_t mains = 0, sidecars = 0, most = 0;

	for (size_t i = 0; i < ambient_len(pod, "/spec/initContainers"); i++) {
		const struct ambient_object *c = container_at(pod, "/spec/initContainers", i);
		int64_t n = resources_of(c, "requests", resource, unit);

		if (life_sidecar(c))
			sidecars += n;
		most = n + (life_sidecar(c) ? 0 : sidecars) > most ? n + (life_sidecar(c) ? 0 : sidecars) : most;
	}
	for (size_t i = 0; i < ambient_len(pod, "/spec/containers"); i++)
		mains += resources_of(container_at(pod, "/spec/containers", i), "requests", resource, unit);
	return mains + sidecars > most ? mains + sidecars : most;
}

int64_t
schedule_capacity(enum share share)
{
	return share == SHARE_CPU ? (int64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000
	     : share == SHARE_MEMORY ? (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) : SCHEDULE_PODS;
}

/* A resource that no machine of ours has: hugepages, devices. */
static const char *
unknown_resource(const struct ambient_object *pod)
{
	static const char *const lists[] = { "/spec/initContainers", "/spec/containers" };

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(pod, lists[k]); i++) {
			const struct ambient_object *c = container_at(pod, lists[k], i);

			for (size_t r = 0; r < ambient_len(c, "/resources/limits"); r++) {
				const char *name = "";

				(void)ambient_item(c, "/resources/limits", r, &name);
				if (strcmp(name, "cpu") != 0 && strcmp(name, "memory") != 0 && strcmp(name, "ephemeral-storage") != 0)
					return name;
			}
		}
	return NULL;
}

/* ---- where it wants to be ---- */

static const char *
label(const struct ambient_object *node, const char *key)
{
	for (size_t i = 0; i < ambient_len(node, "/metadata/labels"); i++) {
		const char *have = "";
		const struct ambient_object *value = ambient_item(node, "/metadata/labels", i, &have);

		if (strcmp(have, key) == 0)
			return ambient_str(value, "", "");
	}
	return NULL;
}

static bool
expression(const struct ambient_object *node, const struct ambient_object *e, bool field)
{
	const char *op = ambient_str(e, "/operator", "");
	const char *have = field ? ambient_str(node, "/metadata/name", NULL) : label(node, ambient_str(e, "/key", ""));
	bool in = false;

	for (size_t i = 0; have != NULL && i < ambient_len(e, "/values"); i++)
		in = in || strcmp(ambient_str(ambient_item(e, "/values", i, NULL), "", ""), have) == 0;
	if (strcmp(op, "In") == 0)
		return in;
	if (strcmp(op, "NotIn") == 0)
		return !in;
	if (strcmp(op, "Exists") == 0)
		return have != NULL;
	if (strcmp(op, "DoesNotExist") == 0)
		return have == NULL;
	if (have == NULL || ambient_len(e, "/values") != 1)
		return false;
	int64_t a = strtoll(have, NULL, 10), b = strtoll(ambient_str(ambient_item(e, "/values", 0, NULL), "", ""), NULL, 10);
	return strcmp(op, "Gt") == 0 ? a > b : strcmp(op, "Lt") == 0 && a < b;
}

/* A term without expressions matches nothing. */
static bool
term(const struct ambient_object *node, const struct ambient_object *t)
{
	static const char *const lists[] = { "/matchExpressions", "/matchFields" };
	bool any = false;

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < ambient_len(t, lists[k]); i++) {
			if (!expression(node, ambient_item(t, lists[k], i, NULL), k == 1))
				return false;
			any = true;
		}
	return any;
}

static bool
wanted_here(const struct ambient_object *pod, const struct ambient_object *node)
{
	static const char terms[] = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
	bool match = ambient_len(pod, terms) == 0;

	for (size_t i = 0; i < ambient_len(pod, "/spec/nodeSelector"); i++) {
		const char *key = "", *have;
		const struct ambient_object *value = ambient_item(pod, "/spec/nodeSelector", i, &key);

		have = label(node, key);
		if (have == NULL || strcmp(have, ambient_str(value, "", "")) != 0)
			return false;
	}
	for (size_t i = 0; i < ambient_len(pod, terms) && !match; i++)
		match = term(node, ambient_item(pod, terms, i, NULL));
	return match;
}

/* ---- ports of the machine ---- */

static void
add_ports(struct host_ports *out, const struct ambient_object *container)
{
	for (size_t i = 0; i < ambient_len(container, "/ports"); i++) {
		const struct ambient_object *p = ambient_item(container, "/ports", i, NULL);
		int64_t port = ambient_int(p, "/hostPort", 0);
		struct host_port *more;

		if (port <= 0 || port > 65535)
			continue;
		more = realloc(out->list, (out->count + 1) * sizeof(*more));
		if (more == NULL)
			return;
		out->list = more;
		more += out->count++;
		more->port = (int)port;
		(void)snprintf(more->protocol, sizeof(more->protocol), "%s", ambient_str(p, "/protocol", "TCP"));
		(void)snprintf(more->ip, sizeof(more->ip), "%s", ambient_str(p, "/hostIP", ""));
	}
}

/* Of all that run together. */
static struct host_ports
ports_of(const struct ambient_object *pod)
{
	struct host_ports ports = { 0 };

	for (size_t i = 0; i < ambient_len(pod, "/spec/containers"); i++)
		add_ports(&ports, container_at(pod, "/spec/containers", i));
	for (size_t i = 0; i < ambient_len(pod, "/spec/initContainers"); i++)
		if (life_sidecar(container_at(pod, "/spec/initContainers", i)))
			add_ports(&ports, container_at(pod, "/spec/initContainers", i));
	return ports;
}

static bool
any_address(const char *ip)
{
	return ip[0] == '\0' || strcmp(ip, "0.0.0.0") == 0;
}

static bool
collide(const struct host_port *a, const struct host_port *b)
{
	return a->port == b->port && strcmp(a->protocol, b->protocol) == 0 &&
	       (any_address(a->ip) || any_address(b->ip) || strcmp(a->ip, b->ip) == 0);
}

/* Does another pod have one of them?  The lock is held. */
static bool
ports_taken(const struct node *node, const struct local *but, const struct host_ports *ports)
{
	for (const struct local *l = node->pods; l != NULL; l = l->next)
		for (size_t i = 0; l != but && i < l->ports.count; i++)
			for (size_t k = 0; k < ports->count; k++)
				if (collide(&l->ports.list[i], &ports->list[k]))
					return true;
	return false;
}

void
schedule_forget(struct local *local)
{
	free(local->ports.list);
	local->ports = (struct host_ports){ 0 };
}

/* The lock is held. */
static void
hold_ports(struct local *local, struct host_ports *ports)
{
	schedule_forget(local);
	local->ports = *ports;
	*ports = (struct host_ports){ 0 };
}

/* ---- room ---- */

/* What the others hold; the lock is held. */
static int64_t
held(const struct node *node, const struct local *but, enum share share)
{
	int64_t sum = 0;

	for (const struct local *l = node->pods; l != NULL; l = l->next)
		if (l != but)
			sum += l->share[share];
	return sum;
}

static void
fill(const struct ambient_object *pod, int64_t share[SHARES])
{
	share[SHARE_CPU] = requested(pod, "cpu", 1000);
	share[SHARE_MEMORY] = requested(pod, "memory", 1);
	share[SHARE_PODS] = 1;
}

void
schedule_hold(struct node *node, const struct ambient_object *pod, struct local *local)
{
	struct host_ports ports = ports_of(pod);
	int64_t share[SHARES];

	fill(pod, share);
	pthread_mutex_lock(&node->lock);
	memcpy(local->share, share, sizeof(share));
	hold_ports(local, &ports);
	pthread_mutex_unlock(&node->lock);
}

/* Who waited is looked at again. */
void
schedule_release(struct node *node, struct local *local)
{
	bool had = false;

	pthread_mutex_lock(&node->lock);
	for (int i = 0; i < SHARES; i++) {
		had = had || local->share[i] > 0;
		local->share[i] = 0;
	}
	schedule_forget(local);
	for (struct local *l = node->pods; had && l != NULL; l = l->next)
		if (l->unscheduled)
			(void)ambient_enqueue(node->host, "pods", l->ns, l->name, 0);
	pthread_mutex_unlock(&node->lock);
}

bool
schedule_lacks(const struct trouble *t)
{
	return strcmp(t->reason, UNSCHEDULABLE) == 0 || strcmp(t->reason, GATED) == 0;
}

int
schedule_check(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	       struct trouble *t, struct ambient_error *err)
{
	static const char *const names[SHARES] = { "Insufficient cpu", "Insufficient memory", "Too many pods" };
	const struct ambient_object *machine = NULL;
	const char *unknown = unknown_resource(pod);
	struct host_ports ports;
	int64_t share[SHARES];
	int rc;

	if (node->cluster)
		return 0;
	fill(pod, share);
	if (ambient_len(pod, "/spec/schedulingGates") > 0)
		trouble_set(t, GATED, true, "Scheduling is blocked due to non-empty scheduling gates");
	if (ambient_len(pod, "/spec/nodeSelector") > 0 || ambient_at(pod, "/spec/affinity/nodeAffinity") != NULL) {
		rc = ambient_get(call, NODE, "", node->name, &machine, err);
		if (rc < 0)
			return rc;
		if (!wanted_here(pod, machine))
			trouble_set(t, UNSCHEDULABLE, true,
				    "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
	}
	if (unknown != NULL)
		trouble_set(t, UNSCHEDULABLE, true, "0/1 nodes are available: 1 Insufficient %.100s.", unknown);
	if (node->strict_limits && !node->limits_hold)
		for (size_t i = 0; i < ambient_len(pod, "/spec/containers"); i++)
			if (ambient_len(container_at(pod, "/spec/containers", i), "/resources/limits") > 0)
				trouble_set(t, UNSCHEDULABLE, true,
					    "0/1 nodes are available: 1 node cannot enforce limits (no control groups that it may write) and is "
					    "configured with strictLimits.");
	ports = ports_of(pod);
	pthread_mutex_lock(&node->lock);
	if (t->reason[0] == '\0' && ports_taken(node, local, &ports))
		trouble_set(t, UNSCHEDULABLE, true,
			    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.");
	for (int i = 0; i < SHARES && t->reason[0] == '\0'; i++)
		if (share[i] > 0 && held(node, local, (enum share)i) + share[i] > schedule_capacity((enum share)i))
			trouble_set(t, UNSCHEDULABLE, true, "0/1 nodes are available: 1 %s.", names[i]);
	local->unscheduled = t->reason[0] != '\0';
	if (!local->unscheduled) {
		memcpy(local->share, share, sizeof(share));
		hold_ports(local, &ports);
	}
	pthread_mutex_unlock(&node->lock);
	free(ports.list);
	return 0;
}
