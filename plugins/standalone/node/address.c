/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of pods.  All pods are in the machine's network, but each has an address of its own, so that the same port
 * can be that of many: one of 127.64.0.0/10, where the kernel takes every address for the machine's, or of podCIDR.
 * A kube-apiserver does not pass requests on to loopback addresses, so beside one podCIDR is what makes pods/proxy work.
 *
 * Invariant: no two pods of a node have the same address; it is given under the lock.
 */
#include "node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* No shorter range: so many pods that it is used up are not on one machine. */
#define PREFIX_MIN 8
#define PREFIX_MAX 16

/* What the API servers pass requests on to: no other loopback, nothing that only a link knows, no group. */
static bool
is_for_pods(uint32_t first, uint32_t size)
{
	uint32_t last = first + size - 1;

	if (last >> 24 == 0 || last >> 28 >= 14 || (first <= 0xa9feffff && last >= 0xa9fe0000))
		return false;
	return last < 0x7f000000 || first > 0x7fffffff || (first >= 0x7f400000 && last <= 0x7f7fffff);
}

int
addresses_range(const char *text, uint32_t *first, uint32_t *size, struct ambient_error *err)
{
	const char *slash = strchr(text, '/');
	char address[INET_ADDRSTRLEN] = "", *end = NULL;
	struct in_addr in;
	long prefix = slash != NULL && slash[1] >= '1' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : 0;

	if (slash != NULL && (size_t)(slash - text) < sizeof(address))
		memcpy(address, text, (size_t)(slash - text));
	if (prefix < PREFIX_MIN || prefix > PREFIX_MAX || *end != '\0' || inet_pton(AF_INET, address, &in) != 1)
		return ambient_err(err, AMBIENT_E_INVALID, "podCIDR is a range of IPv4 addresses with a prefix from %d to %d, as in "
				   "\"198.18.0.0/16\", not \"%.60s\"", PREFIX_MIN, PREFIX_MAX, text);
	*size = UINT32_C(1) << (32 - prefix);
	*first = ntohl(in.s_addr) & ~(*size - 1);
	if (*first != ntohl(in.s_addr)) {
		in.s_addr = htonl(*first);
		return ambient_err(err, AMBIENT_E_INVALID, "podCIDR \"%.60s\" does not begin at its range's first address; that is \"%s/%ld\"",
				   text, inet_ntop(AF_INET, &in, address, sizeof(address)), prefix);
	}
	if (!is_for_pods(*first, *size))
		return ambient_err(err, AMBIENT_E_INVALID, "podCIDR \"%.60s\" has addresses that no request is passed on to; loopback "
				   "addresses for pods are those of 127.64.0.0/10", text);
	return 0;
}

/* A pod that could not listen would say so of an address; here somebody reads what to do. */
int
addresses_prepare(const struct node *node, struct ambient_error *err)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(node->addresses + node->address_count / 2 + 1) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;
	char text[INET_ADDRSTRLEN];

	if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "podCIDR: no pod can listen on %s (%s): make the whole range this machine's own, "
				 "for example with \"ip route add local RANGE dev lo\"", inet_ntop(AF_INET, &sa.sin_addr, text, sizeof(text)),
				 strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

static bool
is_taken(const struct node *node, const struct local *except, const char *ip)
{
	const struct local *other = node->pods;

	while (other != NULL && (other == except || strcmp(other->ip, ip) != 0))
		other = other->next;
	return other != NULL;
}

void
address_give(const struct node *node, struct local *l)
{
	uint32_t hash = 2166136261u;

	for (const char *p = l->uid; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	for (;; hash++) {
		uint32_t a = node->addresses + hash % node->address_count;

		/* Those that look like a network's own confuse people and programs. */
		if ((a & 0xff) == 0 || (a & 0xff) == 0xff)
			continue;
		(void)snprintf(l->ip, sizeof(l->ip), "%u.%u.%u.%u", a >> 24, a >> 16 & 0xff, a >> 8 & 0xff, a & 0xff);
		if (!is_taken(node, l, l->ip))
			return;
	}
}
