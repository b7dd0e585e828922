/* SPDX-License-Identifier: Apache-2.0 */
/* What a path below pods/NAME/proxy means: whom it is for, and the target that is asked for there. */
#include <arpa/inet.h>

#include "plugins/standalone/apiserver/pass.h"

bool
rest_target_parse(const char *text, struct rest_target *ret)
{
	const char *colon = strchr(text, ':'), *last = strrchr(text, ':'), *name = text, *port = NULL;
	uint64_t n = 0;

	memset(ret, 0, sizeof(*ret));
	if (colon != NULL && colon != last) {
		if (!am_starts(text, "http:") && !am_starts(text, "https:"))
			return false;
		ret->tls = am_starts(text, "https:");
		name = colon + 1;
	}
	if (last != NULL)
		port = last + 1;
	size_t len = port != NULL ? (size_t)(last - name) : strlen(name);

	if (len == 0 || len >= sizeof(ret->name) || memchr(name, ':', len) != NULL)
		return false;
	memcpy(ret->name, name, len);
	/* "https:name:" says no port. */
	if (port != NULL && *port != '\0' &&
	    (strspn(port, "0123456789") != strlen(port) || am_parse_u64(port, &n) < 0 || n == 0 || n > UINT16_MAX))
		return false;
	ret->port = (uint16_t)n;
	return true;
}

/* Pods of this machine have addresses of 127.64.0.0/10; no other loopback, and nothing that a link alone knows. */
static bool
v4_ok(uint32_t a)
{
	if (a >> 24 == 127)
		return (a >> 22 & 3) == 1;
	return a >> 24 != 0 && a >> 28 < 14 && a >> 16 != 0xa9fe;
}

bool
rest_target_address_ok(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		return v4_ok(ntohl(v4.s_addr));
	return inet_pton(AF_INET6, address, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_LOOPBACK(&v6) &&
	       !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_MULTICAST(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6) &&
	       !IN6_IS_ADDR_V4COMPAT(&v6);
}

void
rest_add_target(struct am_buf *out, struct am_slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= ' ' || c >= 0x7f || strchr("#\"<>\\^`{|}[]", c) != NULL)
			am_buf_addf(out, "%%%02X", c);
		else
			am_buf_addc(out, (char)c);
	}
}
