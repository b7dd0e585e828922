/* SPDX-License-Identifier: Apache-2.0 */
/* See giturl.h. */
#include "core/ambient-runner/giturl.h"

#include <ctype.h>
#include <stdio.h>

#include "core/base/mem.h"

#define URL_MAX 2048

static const struct {
	const char *prefix;
	enum am_runner_scheme scheme;
} schemes[] = {
	{"https://", AM_SCHEME_HTTPS},
	{"http://", AM_SCHEME_HTTP},
	{"ssh://", AM_SCHEME_SSH},
	{"git://", AM_SCHEME_GIT},
};

static int
refuse(struct ambient_error *err, const char *url, const char *why)
{
	/* Only the part before anything that might be a password is repeated. */
	size_t n = strcspn(url, "@?#");

	return ambient_err(err, AMBIENT_E_INVALID, "the repository url \"%.*s%s\" is refused: %s",
			   (int)AM_MIN(n, (size_t)120), url, url[AM_MIN(n, (size_t)120)] != '\0' ? "..." : "", why);
}

/* [user[:password]@]host[:port] */
static int
check_authority(const char *url, const char *p, size_t n, struct am_giturl *ret, struct ambient_error *err)
{
	const char *at = memrchr(p, '@', n);
	size_t hostlen, i;

	if (at != NULL) {
		size_t user = (size_t)(at - p);

		if (memchr(p, ':', user) != NULL)
			return refuse(err, url,
				      "it carries a password; put it into a Secret and name that as authSecret");
		if (user == 0 || *p == '-')
			return refuse(err, url, "the user name is not valid");
		for (i = 0; i < user; i++)
			if (!isalnum((unsigned char)p[i]) && strchr("._-+%", p[i]) == NULL)
				return refuse(err, url, "the user name is not valid");
		n -= user + 1;
		p = at + 1;
	}
	if (n == 0 || n >= sizeof(ret->authority) || *p == '-')
		return refuse(err, url, "the host name is not valid");
	for (i = 0; i < n; i++)
		ret->authority[i] = (char)tolower((unsigned char)p[i]);
	ret->authority[n] = '\0';
	if (*p == '[') {
		const char *close = memchr(p, ']', n);

		if (close == NULL)
			return refuse(err, url, "the host name is not valid");
		hostlen = (size_t)(close - p) - 1;
		if (hostlen == 0 || strspn(p + 1, "0123456789abcdefABCDEF:.") < hostlen)
			return refuse(err, url, "the host name is not valid");
		memcpy(ret->host, ret->authority + 1, hostlen);
		i = hostlen + 2;
	} else {
		for (hostlen = 0; hostlen < n && p[hostlen] != ':'; hostlen++)
			if (!isalnum((unsigned char)p[hostlen]) && strchr(".-_", p[hostlen]) == NULL)
				return refuse(err, url, "the host name is not valid");
		if (hostlen == 0 || hostlen >= sizeof(ret->host))
			return refuse(err, url, "the host name is not valid");
		memcpy(ret->host, ret->authority, hostlen);
		i = hostlen;
	}
	ret->host[hostlen] = '\0';
	if (i == n)
		return 0;
	if (p[i] != ':' || i + 1 == n || n - i > 6)
		return refuse(err, url, "the port is not valid");
	for (i++; i < n; i++)
		if (!isdigit((unsigned char)p[i]))
			return refuse(err, url, "the port is not valid");
	return 0;
}

int
am_runner_giturl_check(const char *url, struct am_giturl *ret, struct ambient_error *err)
{
	struct am_giturl dummy;
	size_t len = url != NULL ? strlen(url) : 0;
	int rc;

	if (ret == NULL)
		ret = &dummy;
	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the repository has no url");
	if (len > URL_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "the repository url is longer than %d bytes", URL_MAX);
	if (*url == '-')
		return refuse(err, url, "it begins with \"-\"");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7f || url[i] == '\\')
			return refuse(err, url, "it holds a character that does not belong into a url");
	if (strstr(url, "::") != NULL && strchr(url, '[') == NULL)
		return refuse(err, url, "remote helpers (\"name::...\") are not allowed");
	for (size_t i = 0; i < AM_COUNTOF(schemes); i++) {
		size_t n = strlen(schemes[i].prefix);
		const char *p = url + n;

		if (strncasecmp(url, schemes[i].prefix, n) != 0)
			continue;
		ret->scheme = schemes[i].scheme;
		size_t host = strcspn(p, "/?#");
		if ((rc = check_authority(url, p, host, ret, err)) < 0)
			return rc;
		if (p[host] != '/' || p[host + 1] == '\0' || p[host + 1] == '-')
			return refuse(err, url, "it has no path to a repository");
		if (ret->scheme == AM_SCHEME_GIT && !am_is_loopback(ret->host))
			return refuse(err, url, "git:// is neither encrypted nor authenticated; use https or ssh");
		return 0;
	}
	if (strstr(url, "://") != NULL)
		return refuse(err, url, "only https, http, ssh and, on loopback, git are allowed");
	/* user@host:path, where git itself looks for the colon before the first slash. */
	const char *colon = strchr(url, ':'), *at = strchr(url, '@');
	if (colon == NULL || at == NULL || at > colon || memchr(url, '/', (size_t)(colon - url)) != NULL)
		return refuse(err, url, "local paths are not allowed; use https, http or ssh");
	if (colon[1] == '\0' || colon[1] == '-')
		return refuse(err, url, "it has no path to a repository");
	ret->scheme = AM_SCHEME_SSH;
	return check_authority(url, url, (size_t)(colon - url), ret, err);
}

char *
am_runner_giturl_resolve(const char *base, const char *url)
{
	size_t n = strlen(base);
	char between = '/';

	if (!am_starts(url, "./") && !am_starts(url, "../"))
		return am_xstrdup(url);
	if (n > 0 && base[n - 1] == '/')
		n--;
	for (;;) {
		if (am_starts(url, "../")) {
			const char *slash = memrchr(base, '/', n), *colon = memrchr(base, ':', n);

			url += 3;
			if (slash == NULL && colon == NULL)
				n = 0;
			else
				n = (size_t)((slash != NULL ? slash : colon) - base);
			if (slash == NULL && colon != NULL)
				between = ':';
		} else if (am_starts(url, "./")) {
			url += 2;
		} else {
			break;
		}
	}
	char *out = am_xasprintf("%.*s%c%s", (int)n, base, between, url);
	size_t len = strlen(out);
	if (len > 0 && out[len - 1] == '/')
		out[len - 1] = '\0';
	return out;
}

int
am_runner_branch_check(const char *branch, struct ambient_error *err)
{
	size_t len = branch != NULL ? strlen(branch) : 0;
	const char *why = NULL;

	if (len == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the branch has no name");
	if (len > 200)
		why = "it is longer than 200 bytes";
	else if (*branch == '-')
		why = "it begins with \"-\"";
	else if (*branch == '/' || branch[len - 1] == '/' || branch[len - 1] == '.' || am_streq(branch, "@") ||
		 am_streq(branch, "HEAD"))
		why = "git allows no such branch name";
	else if (strstr(branch, "..") != NULL || strstr(branch, "//") != NULL || strstr(branch, "@{") != NULL ||
		 strstr(branch, "/.") != NULL || *branch == '.' || strstr(branch, ".lock/") != NULL ||
		 am_ends(branch, ".lock"))
		why = "git allows no such branch name";
	for (size_t i = 0; i < len && why == NULL; i++)
		if ((unsigned char)branch[i] <= ' ' || branch[i] == 0x7f || strchr("~^:?*[\\", branch[i]) != NULL)
			why = "it holds a character that git does not allow";
	if (why == NULL && !am_utf8_valid(branch, len))
		why = "it is not valid UTF-8";
	if (why != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "the branch \"%.80s\" is refused: %s", branch, why);
	return 0;
}

static size_t
copy_name(const char *p, size_t n, size_t max, char ret[65])
{
	size_t len = 0;

	for (size_t i = 0; i < n && len < max; i++) {
		bool ok = isalnum((unsigned char)p[i]) || p[i] == '_' || (len > 0 && strchr(".-", p[i]) != NULL);

		if (ok || len > 0)
			ret[len++] = ok ? p[i] : '-';
	}
	ret[len] = '\0';
	return len;
}

void
am_runner_repo_name(const char *name, const char *url, char ret[65])
{
	size_t n, max = 64;

	if (am_empty(name)) {
		n = strlen(url);
		max = 60; /* leaves room for a number */
		while (n > 0 && url[n - 1] == '/')
			n--;
		if (n > 4 && memcmp(url + n - 4, ".git", 4) == 0)
			n -= 4;
		size_t from = n;
		while (from > 0 && strchr("/:", url[from - 1]) == NULL)
			from--;
		name = url + from;
		n -= from;
	} else {
		n = strlen(name);
	}
	if (copy_name(name, n, max, ret) == 0 || am_streq(ret, "artifacts") || am_streq(ret, "workflows") ||
	    am_streq(ret, "removed")) {
		char base[65];

		memcpy(base, ret, sizeof(base));
		(void)snprintf(ret, 65, "repo%s%.50s", base[0] != '\0' ? "-" : "", base);
	}
}
