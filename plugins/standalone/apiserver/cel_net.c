/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses, CIDR ranges and URLs. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

/* ---- addresses ---- */

static const char *
parse_ip(struct am_slice s, struct cel_net *ret)
{
	static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[64];

	memset(ret, 0, sizeof(*ret));
	ret->prefix = -1;
	if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
		return "unable to parse IP";
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (memchr(text, '%', s.n) != NULL)
		return "IP address with zone value is not allowed";
	if (inet_pton(AF_INET, text, ret->address) == 1) {
		ret->family = 4;
		return NULL;
	}
	if (inet_pton(AF_INET6, text, ret->address) != 1)
		return "unable to parse IP";
	ret->family = 6;
	return memcmp(ret->address, mapped, 12) == 0 ? "IPv4-mapped IPv6 address is not allowed" : NULL;
}

static const char *
parse_cidr(struct am_slice s, struct cel_net *ret)
{
	const char *slash = memchr(s.p, '/', s.n);
	const char *problem = slash == NULL ? "no '/'" : parse_ip(am_slice(s.p, (size_t)(slash - s.p)), ret);
	size_t digits = slash != NULL ? s.n - (size_t)(slash - s.p) - 1 : 0;
	int prefix = 0;

	if (problem != NULL)
		return problem;
	if (digits == 0 || digits > 3 || (digits > 1 && slash[1] == '0'))
		return "bad bits after slash";
	for (size_t i = 1; i <= digits; i++) {
		if (!isdigit((unsigned char)slash[i]))
			return "bad bits after slash";
		prefix = prefix * 10 + (slash[i] - '0');
	}
	if (prefix > (ret->family == 4 ? 32 : 128))
		return "prefix length out of range";
	ret->prefix = prefix;
	return NULL;
}

static struct cel_value
net_value(struct cel_run *run, enum cel_kind kind, const struct cel_net *net)
{
	struct cel_net *copy = am_arena_alloc(run->arena, sizeof(*copy));

	if (copy == NULL)
		return cel_exceeded(run);
	*copy = *net;
	return (struct cel_value){ .kind = kind, .net = copy };
}

static void
print_net(const struct cel_net *net, char out[80])
{
	char address[64] = "";

	inet_ntop(net->family == 4 ? AF_INET : AF_INET6, net->address, address, sizeof(address));
	if (net->prefix < 0)
		snprintf(out, 80, "%s", address);
	else
		snprintf(out, 80, "%s/%d", address, net->prefix);
}

static void
mask(struct cel_net *net, int prefix)
{
	int bits = net->family == 4 ? 32 : 128;

	for (int i = prefix; i < bits; i++)
		net->address[i / 8] &= (unsigned char)~(0x80 >> i % 8);
}

FN(to_ip)
{
	struct cel_net net;
	const char *problem = parse_ip(a[0].s, &net);

	if (problem != NULL)
		return cel_error(run, "IP Address \"%.100s\" parse error during conversion from string: %s", a[0].s.p, problem);
	return net_value(run, CEL_IP, &net);
}

FN(is_ip)
{
	struct cel_net net;

	return cel_bool(parse_ip(a[0].s, &net) == NULL);
}

FN(net_text)
{
	char text[80];

	print_net(a[0].net, text);
	return cel_string(run, text, strlen(text));
}

FN(is_canonical)
{
	char text[80];
	struct cel_value v = to_ip(run, e, a);

	if (cel_failed(v))
		return v;
	print_net(v.net, text);
	return cel_bool(am_slice_eq(a[0].s, text));
}

FN(family)
{
	return cel_int(a[0].net->family);
}

static bool
all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static bool
is_unspecified(const struct cel_net *net)
{
	return all_zero(net->address, 16);
}

static bool
is_loopback(const struct cel_net *net)
{
	return net->family == 4 ? net->address[0] == 127 : all_zero(net->address, 15) && net->address[15] == 1;
}

static bool
is_multicast(const struct cel_net *net)
{
	return net->family == 4 ? (net->address[0] & 0xf0) == 0xe0 : net->address[0] == 0xff;
}

static bool
is_local_multicast(const struct cel_net *net)
{
	const unsigned char *p = net->address;

	return net->family == 4 ? p[0] == 224 && p[1] == 0 && p[2] == 0 : p[0] == 0xff && (p[1] & 0x0f) == 0x02;
}

static bool
is_local_unicast(const struct cel_net *net)
{
	const unsigned char *p = net->address;

	return net->family == 4 ? p[0] == 169 && p[1] == 254 : p[0] == 0xfe && (p[1] & 0xc0) == 0x80;
}

static bool
is_global_unicast(const struct cel_net *net)
{
	static const unsigned char broadcast[4] = { 255, 255, 255, 255 };

	return !(net->family == 4 && memcmp(net->address, broadcast, 4) == 0) && !is_unspecified(net) &&
	       !is_loopback(net) && !is_multicast(net) && !is_local_unicast(net);
}

FN(address_kind)
{
	static const struct { const char *name; bool (*is)(const struct cel_net *net); } kinds[] = {
		{ "isUnspecified", is_unspecified }, { "isLoopback", is_loopback },
		{ "isLinkLocalMulticast", is_local_multicast }, { "isLinkLocalUnicast", is_local_unicast },
		{ "isGlobalUnicast", is_global_unicast },
	};

	for (size_t i = 0; i < AM_COUNTOF(kinds); i++)
		if (strcmp(kinds[i].name, e->name) == 0)
			return cel_bool(kinds[i].is(a[0].net));
	return cel_no_overload();
}

FN(to_cidr)
{
	struct cel_net net;
	const char *problem = parse_cidr(a[0].s, &net);

	if (problem != NULL)
		return cel_error(run, "network address parse error during conversion from string: \"%.100s\": %s", a[0].s.p, problem);
	return net_value(run, CEL_CIDR, &net);
}

FN(is_cidr)
{
	struct cel_net net;

	return cel_bool(parse_cidr(a[0].s, &net) == NULL);
}

static bool
is_within(const struct cel_net *range, const struct cel_net *net)
{
	struct cel_net x = *range, y = *net;

	if (x.family != y.family || (y.prefix >= 0 && y.prefix < x.prefix))
		return false;
	mask(&x, range->prefix);
	mask(&y, range->prefix);
	return memcmp(x.address, y.address, 16) == 0;
}

FN(contains_ip)
{
	struct cel_value ip = a[1].kind == CEL_STRING ? to_ip(run, e, &a[1]) : a[1];

	return cel_failed(ip) ? ip : cel_bool(is_within(a[0].net, ip.net));
}

FN(contains_cidr)
{
	struct cel_value range = a[1].kind == CEL_STRING ? to_cidr(run, e, &a[1]) : a[1];

	return cel_failed(range) ? range : cel_bool(is_within(a[0].net, range.net));
}

FN(cidr_ip)
{
	struct cel_net net = *a[0].net;

	net.prefix = -1;
	return net_value(run, CEL_IP, &net);
}

FN(prefix_length)
{
	return cel_int(a[0].net->prefix);
}

FN(masked)
{
	struct cel_net net = *a[0].net;

	mask(&net, net.prefix);
	return net_value(run, CEL_CIDR, &net);
}

/* ---- URLs ---- */

static bool
escapes_fine(struct am_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '%' && (i + 2 >= s.n || !isxdigit((unsigned char)s.p[i + 1]) || !isxdigit((unsigned char)s.p[i + 2])))
			return false;
	return true;
}

static size_t
scheme_length(struct am_slice s)
{
	size_t i = 0;

	while (i < s.n && (isalpha((unsigned char)s.p[i]) || (i > 0 && (isdigit((unsigned char)s.p[i]) || strchr("+-.", s.p[i])))))
		i++;
	return i > 0 && i < s.n && s.p[i] == ':' ? i : 0;
}

/* The port behind the last colon that is not in brackets. */
static struct am_slice
port_of(struct am_slice host)
{
	for (size_t i = host.n; i > 0 && host.p[i - 1] != ']'; i--)
		if (host.p[i - 1] == ':')
			return am_slice(host.p + i, host.n - i);
	return am_slice(NULL, 0);
}

static bool
host_fine(struct am_slice host)
{
	struct am_slice port = port_of(host);

	for (size_t i = 0; i < host.n; i++)
		if ((unsigned char)host.p[i] <= ' ' || strchr("<>\"\\^`{|}", host.p[i]) != NULL)
			return false;
	for (size_t i = 0; i < port.n; i++)
		if (!isdigit((unsigned char)port.p[i]))
			return false;
	bool open = host.n > 0 && host.p[0] == '[', closed = memchr(host.p, ']', host.n) != NULL;
	size_t name = port.p != NULL ? (size_t)(port.p - host.p) - 1 : host.n;
	return open == closed && escapes_fine(host) && (open || memchr(host.p, ':', name) == NULL);
}

static void
split_authority(struct am_slice rest, struct cel_url *u)
{
	size_t n = 0;

	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	u->host = am_slice(rest.p, n);
	u->path = am_slice(rest.p + n, rest.n - n);
	for (size_t i = n; i > 0; i--)
		if (rest.p[i - 1] == '@') {
			u->host = am_slice(rest.p + i, n - i);
			break;
		}
}

static bool
parse_url(struct am_slice s, struct cel_url *u)
{
	size_t scheme = scheme_length(s);

	*u = (struct cel_url){ s, AM_SLICE(""), AM_SLICE(""), AM_SLICE(""), AM_SLICE("") };
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	if (s.n == 0 || (scheme == 0 && s.p[0] != '/'))
		return false;
	u->scheme = am_slice(s.p, scheme);
	struct am_slice rest = scheme > 0 ? am_slice(s.p + scheme + 1, s.n - scheme - 1) : s;
	u->path = rest;
	if (scheme > 0 && rest.n >= 2 && rest.p[0] == '/' && rest.p[1] == '/')
		split_authority(am_slice(rest.p + 2, rest.n - 2), u);
	const char *query = u->path.n > 0 ? memchr(u->path.p, '?', u->path.n) : NULL;
	if (query != NULL) {
		u->query = am_slice(query + 1, (size_t)(u->path.p + u->path.n - query) - 1);
		u->path.n = (size_t)(query - u->path.p);
	}
	if (scheme > 0 && rest.n > 0 && rest.p[0] != '/') { /* opaque: mailto:somebody */
		u->path = am_slice("", 0);
		return true;
	}
	return host_fine(u->host) && escapes_fine(u->path);
}

bool
cel_url_ok(struct am_slice text)
{
	struct cel_url u;

	return parse_url(text, &u);
}

FN(to_url)
{
	struct cel_url *u = am_arena_alloc(run->arena, sizeof(*u));

	if (u == NULL || !cel_charge(run, cel_scan_cost(a[0].s.n)))
		return cel_exceeded(run);
	if (!parse_url(a[0].s, u))
		return cel_error(run, "URL parse error during conversion from string: parse \"%.200s\": invalid URI for request",
				 a[0].s.p);
	return (struct cel_value){ .kind = CEL_URL, .url = u };
}

FN(is_url)
{
	return cel_charge(run, cel_scan_cost(a[0].s.n)) ? cel_bool(cel_url_ok(a[0].s)) : cel_exceeded(run);
}

FN(url_scheme)
{
	struct cel_value v = cel_string(run, a[0].url->scheme.p, a[0].url->scheme.n);

	for (char *p = (char *)(uintptr_t)v.s.p; !cel_failed(v) && *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return v;
}

FN(url_host)
{
	return cel_string(run, a[0].url->host.p, a[0].url->host.n);
}

FN(url_hostname)
{
	struct am_slice host = a[0].url->host, port = port_of(host);

	if (port.p != NULL)
		host.n -= port.n + 1;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = am_slice(host.p + 1, host.n - 2);
	return cel_string(run, host.p, host.n);
}

FN(url_port)
{
	struct am_slice port = port_of(a[0].url->host);

	return cel_string(run, port.p, port.n);
}

/* What a path may hold as it is; the rest is written with percent signs. */
FN(url_path)
{
	struct am_buf out = { 0 };
	struct am_slice path = a[0].url->path;

	for (size_t i = 0; i < path.n; i++) {
		unsigned char c = (unsigned char)path.p[i];

		if (isalnum(c) || strchr("-_.~$&+,/:;=@%!'()*[]", c) != NULL)
			am_buf_addc(&out, (char)c);
		else
			am_buf_addf(&out, "%%%02X", c);
	}
	return cel_buf_string(run, &out);
}

static bool
unescape(struct cel_run *run, struct am_slice s, struct cel_value *ret)
{
	char text[3] = "";
	struct am_buf out = { 0 };

	if (!escapes_fine(s))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			memcpy(text, s.p + i + 1, 2);
			am_buf_addc(&out, (char)strtol(text, NULL, 16));
			i += 2;
		} else {
			am_buf_addc(&out, s.p[i] == '+' ? ' ' : s.p[i]);
		}
	}
	*ret = cel_buf_string(run, &out);
	return am_utf8_valid(ret->s.p, ret->s.n);
}

/* Adds value to the list of its key. */
static size_t
add_parameter(struct cel_run *run, struct cel_entry *entries, size_t n, struct cel_value key, struct cel_value value)
{
	size_t i = 0;

	while (i < n && cel_compare(&entries[i].key, &key) != 0)
		i++;
	const struct cel_list *before = i < n ? entries[i].value.list : NULL;
	struct cel_value *items = cel_items(run, (before != NULL ? before->n : 0) + 1);
	if (items == NULL)
		return n;
	if (before != NULL)
		memcpy(items, before->items, before->n * sizeof(*items));
	items[before != NULL ? before->n : 0] = value;
	struct cel_value list = cel_list_of(run, items, (before != NULL ? before->n : 0) + 1);
	if (!cel_failed(list))
		entries[i] = (struct cel_entry){ key, list };
	return i == n && !cel_failed(list) ? n + 1 : n;
}

FN(url_query)
{
	struct am_slice q = a[0].url->query;
	size_t parts = 1, n = 0;

	for (size_t i = 0; i < q.n; i++)
		parts += q.p[i] == '&';
	struct cel_entry *entries = am_arena_alloc(run->arena, parts * sizeof(*entries));
	if (entries == NULL || !cel_charge(run, cel_scan_cost(q.n) + parts * parts / 8))
		return cel_exceeded(run);
	while (q.n > 0) {
		const char *end = memchr(q.p, '&', q.n);
		struct am_slice part = am_slice(q.p, end != NULL ? (size_t)(end - q.p) : q.n), value = am_slice("", 0);
		const char *equals = part.n > 0 ? memchr(part.p, '=', part.n) : NULL;
		struct cel_value k, v;

		q = end != NULL ? am_slice(end + 1, q.n - part.n - 1) : am_slice("", 0);
		if (part.n == 0 || memchr(part.p, ';', part.n) != NULL)
			continue;
		if (equals != NULL) {
			value = am_slice(equals + 1, part.n - (size_t)(equals - part.p) - 1);
			part.n = (size_t)(equals - part.p);
		}
		if (unescape(run, part, &k) && unescape(run, value, &v) && !cel_failed(k) && !cel_failed(v))
			n = add_parameter(run, entries, n, k, v);
	}
	return cel_map_of(run, entries, n);
}

#define ADDRESS(name) { name, "P.>b", address_kind }

const struct cel_fn cel_net_fns[] = {
	{ "ip", "s>P", to_ip }, { "isIP", "s>b", is_ip }, { "ip.isCanonical", "s>b", is_canonical },
	{ "string", "P>s", net_text }, { "string", "C>s", net_text }, { "family", "P.>i", family },
	ADDRESS("isUnspecified"), ADDRESS("isLoopback"), ADDRESS("isLinkLocalMulticast"), ADDRESS("isLinkLocalUnicast"),
	ADDRESS("isGlobalUnicast"),
	{ "cidr", "s>C", to_cidr }, { "isCIDR", "s>b", is_cidr }, { "containsIP", "C.s>b", contains_ip },
	{ "containsIP", "C.P>b", contains_ip }, { "containsCIDR", "C.s>b", contains_cidr },
	{ "containsCIDR", "C.C>b", contains_cidr }, { "ip", "C.>P", cidr_ip }, { "prefixLength", "C.>i", prefix_length },
	{ "masked", "C.>C", masked },
	{ "url", "s>U", to_url }, { "isURL", "s>b", is_url }, { "getScheme", "U.>s", url_scheme },
	{ "getHost", "U.>s", url_host }, { "getHostname", "U.>s", url_hostname }, { "getPort", "U.>s", url_port },
	{ "getEscapedPath", "U.>s", url_path }, { "getQuery", "U.>{s[s", url_query },
	{ NULL, NULL, NULL },
};
