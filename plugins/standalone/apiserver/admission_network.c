/* SPDX-License-Identifier: Apache-2.0 */
/* Services and NetworkPolicies: nothing acts on them here, so they are stored with a warning; what a cluster would refuse
 * is refused all the same, so that what is exported from here applies there. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/admission_pod.h"

static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

static void
service_fill(struct am_change *change)
{
	struct am_node *spec = am_child(change, change->object, "spec"), *ports = am_node_get(spec, "ports");

	am_fill_str(change, spec, "type", "ClusterIP");
	am_fill_str(change, spec, "sessionAffinity", "None");
	for (struct am_node *p = ports != NULL ? ports->first : NULL; p != NULL; p = p->next) {
		const struct am_node *port = am_node_get(p, "port");
		am_fill_str(change, p, "protocol", "TCP");
		if (port != NULL && am_node_get(p, "targetPort") == NULL)
			am_node_set(change->arena, p, "targetPort", am_node_clone(change->arena, port));
	}
}

static void
service_create(struct am_change *change)
{
	am_node_set(change->arena, change->object, "status", am_node_object(change->arena));
	am_node_set(change->arena, am_node_get(change->object, "status"), "loadBalancer", am_node_object(change->arena));
	am_change_warn(change, "standalone: nothing routes to Services");
}

/* At most 15 letters, digits and dashes, one letter at least. */
static bool
is_port_name(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= 15 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n &&
	       strpbrk(name, "abcdefghijklmnopqrstuvwxyz") != NULL && name[0] != '-' && name[n - 1] != '-' && strstr(name, "--") == NULL;
}

static void
check_port(struct am_change *change, const struct am_node *p, int i, bool named)
{
	const char *name = am_node_get_str(p, "name", "");
	const struct am_node *target = am_node_get(p, "targetPort");
	char at[48], field[64];
	int64_t n = 0;

	(void)snprintf(at, sizeof(at), "spec.ports[%d]", i);
	(void)snprintf(field, sizeof(field), "%s.name", at);
	if (*name == '\0' && named)
		am_need(change, field);
	else if (*name != '\0' && am_name_problem(name, 1) != NULL)
		am_bad(change, field, am_node_get(p, "name"), am_name_problem(name, 1));
	(void)snprintf(field, sizeof(field), "%s.port", at);
	if (!am_node_get_int(p, "port", &n) || n < 1 || n > 65535)
		am_bad(change, field, am_node_int(change->arena, n), "must be between 1 and 65535, inclusive");
	(void)snprintf(field, sizeof(field), "%s.targetPort", at);
	if (target == NULL || target->type != AMBIENT_T_STRING) {
		int64_t to = n;

		/* 0 is the port itself. */
		if (target != NULL && am_node_is_int(target, &to) && to == 0)
			to = n;
		if (to < 1 || to > 65535)
			am_bad(change, field, am_node_int(change->arena, to), "must be between 1 and 65535, inclusive");
	} else if (!is_port_name(target->text)) {
		am_bad(change, field, target, "must contain at least one letter (a-z), and only letters, digits and single dashes");
	}
	am_pod_check_choice(change, p, "protocol", at, protocols);
}

static void
check_addresses(struct am_change *change, const struct am_node *spec)
{
	const char *ip = am_node_get_str(spec, "clusterIP", "");
	unsigned char bytes[16];

	if (*ip != '\0' && strcmp(ip, "None") != 0 && inet_pton(AF_INET, ip, bytes) != 1 && inet_pton(AF_INET6, ip, bytes) != 1)
		am_bad(change, "spec.clusterIPs[0]", am_node_get(spec, "clusterIP"), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

static void
service_check(struct am_change *change)
{
	static const char *const types[] = { "ClusterIP", "ExternalName", "LoadBalancer", "NodePort", NULL };
	static const char *const affinities[] = { "ClientIP", "None", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec"), *ports = am_node_get(spec, "ports");
	bool outside = am_streq(am_node_get_str(spec, "type", ""), "ExternalName");
	int i = 0;

	am_pod_check_choice(change, spec, "type", "spec", types);
	am_pod_check_choice(change, spec, "sessionAffinity", "spec", affinities);
	am_check_labels(change->failure, am_node_get(spec, "selector"), "spec.selector");
	check_addresses(change, spec);
	if ((ports == NULL || ports->count == 0) && !outside && !am_streq(am_node_get_str(spec, "clusterIP", ""), "None"))
		am_need(change, "spec.ports");
	for (const struct am_node *p = ports != NULL ? ports->first : NULL; p != NULL; p = p->next)
		check_port(change, p, i++, ports->count > 1);
}

const struct am_kind am_kind_service = { .create = service_create, .fill = service_fill, .check = service_check };

static void
network_policy_create(struct am_change *change)
{
	am_change_warn(change, "standalone: nothing enforces NetworkPolicies");
}

/* "10.0.0.0/8" */
static bool
is_network(const char *text)
{
	char address[64];
	unsigned char bytes[16];
	const char *slash = strchr(text, '/');
	uint64_t bits;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address) || am_parse_u64(slash + 1, &bits) < 0)
		return false;
	(void)am_strlcpy(address, text, (size_t)(slash - text) + 1);
	return (inet_pton(AF_INET, address, bytes) == 1 && bits <= 32) || (inet_pton(AF_INET6, address, bytes) == 1 && bits <= 128);
}

static void
check_peer(struct am_change *change, const struct am_node *peer, const char *at)
{
	const struct am_node *block = am_node_get(peer, "ipBlock"), *pods = am_node_get(peer, "podSelector");
	const struct am_node *spaces = am_node_get(peer, "namespaceSelector");
	char field[112];

	if (peer->count == 0 || (block == NULL && pods == NULL && spaces == NULL)) {
		am_need(change, at);
		return;
	}
	(void)snprintf(field, sizeof(field), "%s.podSelector", at);
	am_check_selector(change, pods, field);
	(void)snprintf(field, sizeof(field), "%s.namespaceSelector", at);
	am_check_selector(change, spaces, field);
	if (block == NULL)
		return;
	const char *cidr = am_node_get_str(block, "cidr", "");

	if (pods != NULL || spaces != NULL)
		am_forbid(change, at, "may not specify both ipBlock and another peer");
	(void)snprintf(field, sizeof(field), "%s.ipBlock.cidr", at);
	if (*cidr == '\0')
		am_need(change, field);
	else if (!is_network(cidr))
		am_bad(change, field, am_node_get(block, "cidr"), "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

static void
check_policy_port(struct am_change *change, const struct am_node *p, const char *at)
{
	const struct am_node *port = am_node_get(p, "port"), *protocol = am_node_get(p, "protocol");
	char field[96];
	int64_t n;

	(void)snprintf(field, sizeof(field), "%s.protocol", at);
	if (protocol != NULL && protocol->type == AMBIENT_T_STRING && protocol->len == 0)
		am_unsupported(change, field, "", protocols);
	am_pod_check_choice(change, p, "protocol", at, protocols);
	(void)snprintf(field, sizeof(field), "%s.port", at);
	if (port != NULL && am_node_is_int(port, &n) && (n < 1 || n > 65535))
		am_bad(change, field, port, "must be between 1 and 65535, inclusive");
	else if (port != NULL && port->type == AMBIENT_T_STRING && !is_port_name(port->text))
		am_bad(change, field, port, "must contain at least one letter (a-z), and only letters, digits and single dashes");
}

/* The rules of one direction; peers: "from" or "to". */
static void
check_policy_rules(struct am_change *change, const struct am_node *spec, const char *direction, const char *peers)
{
	const struct am_node *rules = am_node_get(spec, direction);
	char at[80];
	int i = 0;

	for (const struct am_node *r = rules != NULL ? rules->first : NULL; r != NULL; r = r->next, i++) {
		const struct am_node *ports = am_node_get(r, "ports"), *list = am_node_get(r, peers);
		int k = 0;

		for (const struct am_node *p = ports != NULL ? ports->first : NULL; p != NULL; p = p->next) {
			(void)snprintf(at, sizeof(at), "spec.%s[%d].ports[%d]", direction, i, k++);
			check_policy_port(change, p, at);
		}
		k = 0;
		for (const struct am_node *p = list != NULL ? list->first : NULL; p != NULL; p = p->next) {
			(void)snprintf(at, sizeof(at), "spec.%s[%d].%s[%d]", direction, i, peers, k++);
			check_peer(change, p, at);
		}
	}
}

static void
network_policy_check(struct am_change *change)
{
	static const char *const types[] = { "Egress", "Ingress", NULL };
	const struct am_node *spec = am_node_get(change->object, "spec"), *list = am_node_get(spec, "policyTypes");
	char at[40];
	int i = 0;

	am_check_selector(change, am_node_get(spec, "podSelector"), "spec.podSelector");
	for (const struct am_node *t = list != NULL ? list->first : NULL; t != NULL; t = t->next, i++) {
		(void)snprintf(at, sizeof(at), "spec.policyTypes[%d]", i);
		if (!am_streq(am_node_text(t, NULL), "Ingress") && !am_streq(am_node_text(t, NULL), "Egress"))
			am_unsupported(change, at, am_node_text(t, ""), types);
	}
	check_policy_rules(change, spec, "ingress", "from");
	check_policy_rules(change, spec, "egress", "to");
}

const struct am_kind am_kind_network_policy = { .create = network_policy_create, .check = network_policy_check };
