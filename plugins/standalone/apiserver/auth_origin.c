/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that a browser sends in behalf of a page of another site.  A browser shows a client certificate whether or not
 * the page has anything to do with us, and opens WebSockets to whom a page likes; so what changes something, or leaves
 * HTTP, is refused when the browser says that it is another's doing.  What only reads is answered: no answer of ours, nor
 * of a pod, lets a page of another site look at it (rest_is_cors).  Programs that are no browsers say none of this, or
 * name the server itself as the origin.
 */
#include "plugins/standalone/apiserver/rest.h"

/* "https://host:port" names the server that was asked; the scheme may be another's, where something stands before us. */
static bool
is_own(const char *origin, const char *host)
{
	const char *authority = strstr(origin, "://");

	return authority != NULL && host != NULL && strcasecmp(authority + 3, host) == 0;
}

/* Fetch metadata says it best, and also behind a proxy of the person's own, which changes the host. */
static bool
is_foreign(const struct am_http_request *http)
{
	const char *site = am_http_header(http, "Sec-Fetch-Site"), *origin = am_http_header(http, "Origin");

	if (site != NULL)
		return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
	return origin != NULL && !is_own(origin, am_http_header(http, "Host"));
}

int
rest_check_origin(struct rest_call *call)
{
	const char *method = am_http_method(call->http), *origin = am_http_header(call->http, "Origin");
	bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;

	if ((reads && !am_http_header_has(call->http, "Connection", "upgrade")) || !is_foreign(call->http))
		return 0;
	call->decision = "a browser that shows a page of another site";
	return am_fail(&call->failure, 403, "Forbidden",
		       "the request comes from a browser that shows a page of another site (%.200s); only pages of this server itself "
		       "may have it sent", origin != NULL ? origin : "which is not named");
}

bool
rest_is_cors(const char *field)
{
	return strncasecmp(field, "Access-Control-", strlen("Access-Control-")) == 0;
}
