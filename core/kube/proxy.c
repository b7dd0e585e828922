/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy in front of the API server: of the kubeconfig (proxy-url), else of the environment (HTTPS_PROXY, NO_PROXY), read
 * as client-go reads them, so that what kubectl reaches we reach too.  It is decided once, when the configuration is made:
 * libcurl is told either the one proxy or that there is none, and looks at no environment.
 *
 * Through socks5:// the proxy looks names up, not we: behind it they may mean something else, or anything at all.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "core/base/mem.h"
#include "core/kube/io_priv.h"

static const struct scheme {
	const char *name, *curl, *port;
	bool url;              /* in a kubeconfig too, not in the environment alone */
} schemes[] = {
	{ "http", "http", "80", true },
	{ "https", "https", "443", true },
	{ "socks5", "socks5h", "1080", true },
	{ "socks5h", "socks5h", "1080", false },
};

static const struct scheme *
find_scheme(const char *name, bool environment)
{
	for (size_t i = 0; i < AM_COUNTOF(schemes); i++)
		if (strcasecmp(schemes[i].name, name) == 0 && (environment || schemes[i].url))
			return &schemes[i];
	return NULL;
}

/* ---- NO_PROXY */

struct address {
	unsigned char bytes[16];
	size_t len;            /* 0: it is a name */
};

static struct address
parse_address(const char *text)
{
	struct address a = { 0 };

	if (inet_pton(AF_INET, text, a.bytes) == 1)
		a.len = 4;
	else if (inet_pton(AF_INET6, text, a.bytes) == 1)
		a.len = 16;
	return a;
}

static bool
in_range(const struct address *a, char *range)
{
	char *slash = strchr(range, '/');
	uint64_t bits;

	*slash = '\0';
	const struct address net = parse_address(range);
	if (net.len == 0 || net.len != a->len || am_parse_u64(slash + 1, &bits) < 0 || bits > 8 * net.len)
		return false;
	size_t whole = bits / 8;
	unsigned rest = bits % 8, mask = 0xffu << (8 - rest) & 0xffu;
	return memcmp(a->bytes, net.bytes, whole) == 0 &&
	       (rest == 0 || ((a->bytes[whole] ^ net.bytes[whole]) & mask) == 0);
}

/* "name" is it and all below, ".name" and "*.name" only what is below. */
static bool
in_domain(const char *host, const char *domain)
{
	size_t n = strlen(host), len;

	if (domain[0] == '*' && domain[1] == '.')
		domain++;
	len = strlen(domain);
	if (len == 0 || len > n || strcasecmp(host + n - len, domain) != 0)
		return false;
	return domain[0] == '.' ? n > len : n == len || host[n - len - 1] == '.';
}

/* Takes brackets and a port off the entry; false when the port is another one. */
static bool
take_port(char **entry, const char *port)
{
	char *p = *entry;
	char *colon = strrchr(p, ':');

	if (p[0] == '[' && strchr(p, ']') != NULL) {
		colon = strchr(p, ']');
		*entry = p + 1;
		*colon++ = '\0';
		if (*colon == '\0')
			return true;
	} else if (colon == NULL || parse_address(p).len > 0 || strchr(p, '/') != NULL) {
		return true;
	}
	*colon = '\0';
	return strcmp(colon + 1, port) == 0;
}

static bool
is_listed(char *entry, const char *host, const char *port)
{
	const struct address a = parse_address(host);

	if (strcmp(entry, "*") == 0)
		return true;
	if (!take_port(&entry, port))
		return false;
	if (strchr(entry, '/') != NULL)
		return in_range(&a, entry);
	const struct address b = parse_address(entry);
	if (a.len > 0 || b.len > 0)
		return a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0;
	return in_domain(host, entry);
}

bool
am_no_proxy(const char *list, const char *host, const char *port)
{
	am_auto(am_freep) char *copy = am_xstrdup(list);
	char *rest = copy, *entry;

	while ((entry = strsep(&rest, ", \t")) != NULL)
		if (entry[0] != '\0' && is_listed(entry, host, port))
			return true;
	return false;
}

/* ---- which one */

static const char *
from_environment(const struct am_kube_config *config, const char **ret_name)
{
	static const char *const names[] = { "HTTPS_PROXY", "https_proxy" }, *const none[] = { "NO_PROXY", "no_proxy" };
	const char *url = NULL, *list = NULL;

	for (size_t i = 0; i < AM_COUNTOF(names) && am_empty(url); i++)
		url = getenv(*ret_name = names[i]);
	for (size_t i = 0; i < AM_COUNTOF(none) && am_empty(list); i++)
		list = getenv(none[i]);
	if (am_empty(url) || config->loopback)
		return NULL;
	const char *colon = strrchr(config->host, ':');
	bool v6 = config->host[0] == '[';
	am_auto(am_freep) char *host = am_xstrndup(config->host + v6, (size_t)(colon - config->host) - 2 * v6);
	return list != NULL && am_no_proxy(list, host, colon + 1) ? NULL : url;
}

static char *
part(CURLU *url, CURLUPart which)
{
	char *value = NULL;
	char *copy = curl_url_get(url, which, &value, 0) == CURLUE_OK ? am_xstrdup(value) : NULL;

	curl_free(value);
	return copy;
}

static int
take(struct am_kube_config *config, CURLU *url, bool environment, const char *from, struct ambient_error *err)
{
	am_auto(am_freep) char *scheme = part(url, CURLUPART_SCHEME);
	am_auto(am_freep) char *host = part(url, CURLUPART_HOST);
	am_auto(am_freep) char *port = part(url, CURLUPART_PORT);
	am_auto(am_freep) char *user = part(url, CURLUPART_USER);
	am_auto(am_freep) char *password = part(url, CURLUPART_PASSWORD);
	const struct scheme *known = scheme != NULL ? find_scheme(scheme, environment) : NULL;

	if (known == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "%s: a proxy is reached by http://, https:// or socks5://, not by \"%.40s\"",
				   from, scheme != NULL ? scheme : "");
	if (am_empty(host))
		return ambient_err(err, AMBIENT_E_INVALID, "%s: the proxy has no host; write %s://host:port", from, known->name);
	const char *at = port != NULL ? port : known->port;
	config->proxy_name = am_xasprintf("%s://%s:%s", known->name, host, at);
	config->proxy = am_xasprintf("%s://%s%s%s%s%s:%s", known->curl, user != NULL ? user : "", password != NULL ? ":" : "",
				     password != NULL ? password : "", user != NULL || password != NULL ? "@" : "", host, at);
	return 0;
}

int
am_proxy_decide(struct am_kube_config *config, struct ambient_error *err)
{
	const char *from = "proxy-url";
	bool environment = config->proxy_url == NULL;
	const char *text = environment ? from_environment(config, &from) : config->proxy_url;
	unsigned flags = CURLU_NON_SUPPORT_SCHEME;
	int rc;

	if (text == NULL)
		return 0;
	am_auto(am_freep) char *full = am_xasprintf("%s%s", environment && strstr(text, "://") == NULL ? "http://" : "", text);
	CURLU *url = curl_url();
	if (url == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	/* It may hold a password, so it is not repeated. */
	if (strstr(full, "://") == NULL || curl_url_set(url, CURLUPART_URL, full, flags) != CURLUE_OK)
		rc = ambient_err(err, AMBIENT_E_INVALID, "%s is no address of a proxy; write http://host:port, https://host:port or "
				 "socks5://host:port", from);
	else
		rc = take(config, url, environment, from, err);
	curl_url_cleanup(url);
	return rc;
}

/* ---- what went wrong */

static const struct {
	CURLproxycode code;
	const char *says;
} socks_says[] = {
	{ CURLPX_NO_AUTH, "it wants a user and a password: write them into its address, socks5://USER:PASSWORD@HOST:PORT" },
	{ CURLPX_USER_REJECTED, "it does not accept the user and the password" },
	{ CURLPX_REPLY_NOT_ALLOWED, "it does not allow this connection" },
	{ CURLPX_REPLY_CONNECTION_REFUSED, "it found nothing listening there" },
	{ CURLPX_REPLY_HOST_UNREACHABLE, "it does not reach the host, or does not know its name" },
	{ CURLPX_REPLY_NETWORK_UNREACHABLE, "it does not reach the network" },
	{ CURLPX_REPLY_TTL_EXPIRED, "it waited for the host in vain" },
	{ CURLPX_REPLY_GENERAL_SERVER_FAILURE, "it failed" },
	{ CURLPX_BAD_VERSION, "it does not speak SOCKS 5" },
};

bool
am_proxy_problem(CURL *easy, CURLcode result, char *out, size_t size)
{
	long connect = 0, socks = CURLPX_OK;

	(void)curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connect);
	(void)curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &socks);
	for (size_t i = 0; result == CURLE_PROXY && i < AM_COUNTOF(socks_says); i++)
		if (socks_says[i].code == (CURLproxycode)socks)
			return am_strlcpy(out, socks_says[i].says, size) > 0;
	if (result == CURLE_OK || connect < 300)
		return false;
	const char *advice = connect == 407 ? "; it wants a user and a password: write them into its address, "
					      "http://USER:PASSWORD@HOST:PORT" :
			     connect == 403 ? "; it does not allow this connection" : "";
	(void)snprintf(out, size, "it answered CONNECT with %ld%s", connect, advice);
	return true;
}
