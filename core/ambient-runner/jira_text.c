/* SPDX-License-Identifier: Apache-2.0 */
/* See jira.h.  What comes from outside here: a Secret, a document of a repository, bodies of Jira. */
#include "core/ambient-runner/jira.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"

int
am_jira_fail(struct am_jira_error *error, const char *reason, const char *fmt, ...)
{
	va_list ap;

	(void)am_strlcpy(error->reason, reason, sizeof(error->reason));
	va_start(ap, fmt);
	(void)vsnprintf(error->text, sizeof(error->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* ---- the account */

static bool
printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

/* Host of a URL that begins with http:// or https://; false: it is none that can be used. */
static bool
host_of(const char *url, char host[256])
{
	const char *p = strstr(url, "://"), *end;

	if (p == NULL)
		return false;
	p += 3;
	end = p + strcspn(p, "/?#");
	if (memchr(p, '@', (size_t)(end - p)) != NULL || *end == '?' || *end == '#' || strpbrk(end, "?#") != NULL)
		return false;
	if (*p != '[')
		end = p + strcspn(p, ":/");
	else if (memchr(p, ']', (size_t)(end - p)) != NULL)
		end = (const char *)memchr(p, ']', (size_t)(end - p)) + 1;
	if (end == p || end - p > 255)
		return false;
	memcpy(host, p, (size_t)(end - p));
	host[end - p] = '\0';
	return true;
}

static int
check_url(const char *url, bool plain, char host[256], struct am_jira_error *error)
{
	bool secure = url != NULL && strncasecmp(url, "https://", 8) == 0;

	if (am_empty(url))
		return am_jira_fail(error, "JiraNotConfigured", "there is no JIRA_URL in the project's Secret");
	if (!printable(url) || (!secure && strncasecmp(url, "http://", 7) != 0) || !host_of(url, host))
		return am_jira_fail(error, "JiraNotConfigured",
				    "JIRA_URL is no https URL of a server; write it like https://jira.example.com");
	if (!secure && !plain && !am_is_loopback(host))
		return am_jira_fail(error, "JiraNotConfigured",
				    "JIRA_URL is plain http, which would show the token to the network; use https, or set "
				    "plainHTTP of plugin runner-jira");
	return 0;
}

static bool
is_project(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 40 && isupper((unsigned char)s[0]) &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

static void
set_authorization(struct am_jira *jira, const char *email, const char *token)
{
	am_auto(am_buf_fini) struct am_buf pair = {0}, header = {0};

	if (!jira->cloud) {
		am_buf_addf(&header, "Bearer %s", token);
	} else {
		/* A token that is a pair already is taken as it is. */
		if (!am_empty(email))
			am_buf_addf(&pair, "%s:", email);
		am_buf_adds(&pair, token);
		am_buf_adds(&header, "Basic ");
		am_base64_encode(&header, pair.data, pair.len, false);
	}
	jira->authorization = am_xstrdup(am_buf_str(&header));
}

int
am_jira_account(struct am_jira *jira, const char *url, const char *project, const char *email, const char *token,
		bool plain, struct am_jira_error *error)
{
	char host[256];
	size_t n;

	memset(jira, 0, sizeof(*jira));
	if (check_url(url, plain, host, error) < 0)
		return -1;
	if (am_empty(project) || !is_project(project))
		return am_jira_fail(error, "JiraNotConfigured",
				    "JIRA_PROJECT in the project's Secret is no key of a Jira project, such as ABC");
	if (am_empty(token) || !printable(token) || (email != NULL && !printable(email)))
		return am_jira_fail(error, "JiraNotConfigured",
				    "JIRA_API_TOKEN or JIRA_EMAIL in the project's Secret is empty or has blanks in it");
	jira->cloud = am_streq(host, "atlassian.net") || am_ends(host, ".atlassian.net");
	if (jira->cloud && am_empty(email) && strchr(token, ':') == NULL)
		return am_jira_fail(error, "JiraNotConfigured", "atlassian.net wants JIRA_EMAIL beside JIRA_API_TOKEN in the "
				    "project's Secret");
	for (n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
		;
	jira->url = am_xstrndup(url, n);
	jira->project = am_xstrdup(project);
	set_authorization(jira, email, token);
	return 0;
}

void
am_jira_fini(struct am_jira *jira)
{
	free(jira->url);
	free(jira->project);
	free(jira->authorization);
	memset(jira, 0, sizeof(*jira));
}

bool
am_jira_is_key(const char *key)
{
	const char *dash = strrchr(key, '-');
	char project[AM_JIRA_KEY_MAX];

	if (dash == NULL || strlen(key) >= AM_JIRA_KEY_MAX || dash[1] == '\0' || strspn(dash + 1, "0123456789") != strlen(dash + 1))
		return false;
	memcpy(project, key, (size_t)(dash - key));
	project[dash - key] = '\0';
	return is_project(project);
}

/* ---- the description */

/* The level of a heading of Markdown, 0: it is none. */
static size_t
heading(const char *line, size_t n)
{
	size_t level = 0;

	while (level < n && line[level] == '#')
		level++;
	return level > 0 && level < n && level <= 6 && line[level] == ' ' ? level : 0;
}

static bool
is_flow(const char *line, size_t n, size_t level)
{
	static const char name[] = "execution flow";
	size_t at = level;

	while (at < n && line[at] == ' ')
		at++;
	return n - at >= sizeof(name) - 1 && strncasecmp(line + at, name, sizeof(name) - 1) == 0;
}

void
am_jira_description(struct am_buf *out, const char *source, const char *document, size_t n)
{
	size_t start = out->len, level, skipped = 0;
	bool fenced = false;

	if (!am_empty(source))
		am_buf_addf(out, "Source: %s\n\n", source);
	for (size_t at = 0; at < n;) {
		const char *line = document + at, *end = memchr(line, '\n', n - at);
		size_t len = end != NULL ? (size_t)(end - line) + 1 : n - at;

		level = fenced ? 0 : heading(line, len);
		if (len >= 3 && (strncmp(line, "```", 3) == 0 || strncmp(line, "~~~", 3) == 0))
			fenced = !fenced;
		if (level > 0 && (skipped == 0 || level <= skipped))
			skipped = is_flow(line, len, level) ? level : 0;
		if (skipped == 0)
			am_buf_add(out, line, len);
		at += len;
	}
	size_t all = out->len - start, keep = AM_JIRA_DESCRIPTION_MAX;

	if (all <= keep)
		return;
	while (keep > 0 && ((unsigned char)out->data[start + keep] & 0xc0) == 0x80)
		keep--;
	am_buf_cut(out, start + keep);
	am_buf_addf(out, "\n[cut here: %zu of %zu bytes]", keep, all);
}

/* ---- answers that are no success */

static void
append_text(char out[240], struct am_slice value)
{
	am_auto(am_freep) char *text = am_json_dup(value, "");
	size_t at = strlen(out);

	if (am_empty(text) || at > 200)
		return;
	if (at > 0)
		at += (size_t)snprintf(out + at, 240 - at, "; ");
	for (const char *p = text; *p != '\0' && at < 239; p++)
		out[at++] = (unsigned char)*p < ' ' || *p == 0x7f ? ' ' : *p;
	out[at] = '\0';
}

void
am_jira_complaint(char out[240], struct am_slice body)
{
	struct am_slice list, key, value;
	size_t it = 0;

	out[0] = '\0';
	if (am_json_check(body.p, body.n, NULL) < 0 || am_json_type(body) != AMBIENT_T_OBJECT)
		return;
	if (am_json_find(body, "/errorMessages", &list) && am_json_type(list) == AMBIENT_T_ARRAY)
		while (am_json_element(list, &it, &value))
			append_text(out, value);
	it = 0;
	if (am_json_find(body, "/errors", &list) && am_json_type(list) == AMBIENT_T_OBJECT)
		while (am_json_member(list, &it, &key, &value))
			append_text(out, value);
}

int
am_jira_refused(struct am_jira_error *error, const char *what, long status, struct am_slice body, const char *location)
{
	static const struct {
		long low, high;
		const char *reason, *advice;
	} table[] = {
		{300, 399, "JiraRedirected", "it sends elsewhere, where the token does not go; set JIRA_URL to the address that it means"},
		{401, 401, "JiraUnauthorized", "it does not know the account; check JIRA_API_TOKEN, and JIRA_EMAIL, in the project's Secret"},
		{403, 403, "JiraForbidden", "the account may not do that; give it the permission in Jira"},
		{404, 404, "JiraNotFound", "it is not there, or the account may not see it; check JIRA_URL and JIRA_PROJECT"},
		{429, 429, "JiraRateLimited", "it has too many requests; ask again later"},
		{400, 499, "JiraRejected", "it does not take the request"},
		{500, 599, "JiraUnavailable", "it is out of order; ask again later"},
	};
	char said[240];

	am_jira_complaint(said, body);
	for (size_t i = 0; i < AM_COUNTOF(table); i++)
		if (status >= table[i].low && status <= table[i].high)
			return am_jira_fail(error, table[i].reason, "%s: Jira answers %ld: %s%s%s%s%s", what, status, table[i].advice,
					    said[0] != '\0' ? "; it says: " : "", said, status < 400 ? ": " : "",
					    status < 400 ? location : "");
	return am_jira_fail(error, "JiraAnswerInvalid", "%s: Jira answers %ld, which means nothing here; is JIRA_URL a Jira?", what,
			    status);
}
