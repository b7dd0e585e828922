/* SPDX-License-Identifier: Apache-2.0 */
/* See giturl.h. */
#include "plugins/kind-shared/giturl.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define WORD       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."
#define BRANCH_MAX 200 /* bytes; git makes a file of each part */

#define SHAPE "must be an https, http or ssh URL, or user@host:path"
#define HOST  "has no usable host"

/* [p, end) is made of these characters and does not begin with "-". */
static bool
is_of(const char *p, const char *end, const char *characters)
{
	return p < end && *p != '-' && strspn(p, characters) >= (size_t)(end - p);
}

/* host[:port], the host in brackets where it is an IPv6 address */
static const char *
host_problem(const char *p, const char *end, bool port)
{
	const char *colon;

	if (p >= end)
		return HOST;
	if (*p == '[') {
		const char *close = memchr(p, ']', (size_t)(end - p));

		if (close == NULL || !port || !is_of(p + 1, close, "0123456789abcdefABCDEF:."))
			return HOST;
		colon = close + 1;
	} else {
		colon = port ? memchr(p, ':', (size_t)(end - p)) : NULL;
		colon = colon != NULL ? colon : end;
		if (!is_of(p, colon, WORD "-"))
			return HOST;
	}
	if (colon != end && (*colon != ':' || end - colon > 6 || !is_of(colon + 1, end, "0123456789")))
		return "has no usable port";
	return NULL;
}

/* It neither hides nor proves anything, so nothing may be on the way. */
static bool
is_here(const char *host, const char *end)
{
	size_t n = strcspn(host, host[0] == '[' ? "]" : ":");

	if (host[0] == '[')
		return strncmp(host, "[::1]", 5) == 0;
	n = n < (size_t)(end - host) ? n : (size_t)(end - host);
	return (n == 9 && strncmp(host, "localhost", n) == 0) ||
	       (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") >= n);
}

static const char *
path_problem(const char *path)
{
	return path[0] == '\0' || path[0] == '-' ? "has no path to a repository" : NULL;
}

/* [user@]host */
static const char *
authority_problem(const char *p, const char *end, bool url, const char **ret_host)
{
	const char *at = memchr(p, '@', (size_t)(end - p));

	*ret_host = p;
	if (at == NULL)
		return host_problem(p, end, url);
	if (memchr(p, ':', (size_t)(at - p)) != NULL)
		return "must not contain a password; name a Secret in input.authSecret instead";
	if (!is_of(p, at, WORD "+%-"))
		return "has no usable user";
	*ret_host = at + 1;
	return host_problem(at + 1, end, url);
}

const char *
kg_url_problem(const char *url)
{
	static const char *const schemes[] = { "https://", "http://", "ssh://", "git://" };
	const char *rest = NULL, *end, *host, *problem;

	if (url[0] == '-')
		return "must not begin with \"-\"";
	for (const char *p = url; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '\\')
			return "must not contain blanks, control characters, backslashes or what is no ASCII";
	if (strstr(url, "::") != NULL && strchr(url, '[') == NULL)
		return SHAPE;
	for (size_t i = 0; rest == NULL && i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			rest = url + strlen(schemes[i]);
	if (rest == NULL) { /* user@host:path */
		end = strchr(url, ':');
		if (end == NULL || strstr(url, "://") != NULL || memchr(url, '/', (size_t)(end - url)) != NULL ||
		    memchr(url, '@', (size_t)(end - url)) == NULL)
			return SHAPE;
		problem = authority_problem(url, end, false, &host);
		return problem != NULL ? problem : path_problem(end + 1);
	}
	end = rest + strcspn(rest, "/?#");
	if ((problem = authority_problem(rest, end, true, &host)) != NULL)
		return problem;
	if (strncmp(url, "git://", 6) == 0 && !is_here(host, end))
		return "is neither encrypted nor authenticated; git:// is for this machine only, use https or ssh";
	return path_problem(*end == '/' ? end + 1 : "");
}

const char *
kg_branch_problem(const char *branch)
{
	static const char *const never[] = { "..", "//", "/.", "@{", ".lock/" };
	size_t n = strlen(branch);
	bool bad = n == 0 || n > BRANCH_MAX || strchr("-/.", branch[0]) != NULL || strchr("/.", branch[n - 1]) != NULL ||
		   strcmp(branch, "@") == 0 || strcmp(branch, "HEAD") == 0 || strpbrk(branch, " ~^:?*[\\") != NULL ||
		   (n >= 5 && strcmp(branch + n - 5, ".lock") == 0);

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		bad = bad || strstr(branch, never[i]) != NULL;
	for (const char *p = branch; *p != '\0'; p++)
		bad = bad || (unsigned char)*p < ' ' || *p == 0x7f;
	return bad ? "is no name that git takes for a branch" : NULL;
}
