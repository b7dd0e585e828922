/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which credentials.  A repository's own Secret is for the hosts that the repository itself names (or, when the
 * Secret has a list of hosts, for those); the two tokens of the integration Secret are for the hosts that issued them.
 * Whatever another host asks gets nothing, and neither of those two tokens goes over an open network in clear; a
 * repository's own Secret does, where its URL says http.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/git_priv.h"
#include "core/base/file.h"
#include "core/base/mem.h"

static char *
secret_file(const char *dir, const char *name, struct am_redactor *redactor)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, name);
	am_auto(am_buf_fini) struct am_buf value = {0};

	if (am_file_read(path, 64 * 1024, &value, NULL) < 0)
		return NULL;
	while (value.len > 0 && (value.data[value.len - 1] == '\n' || value.data[value.len - 1] == '\r'))
		value.data[--value.len] = '\0';
	if (value.len == 0 || strlen(value.data) != value.len)
		return NULL;
	if (redactor != NULL)
		am_runner_redactor_add(redactor, value.data, value.len);
	return am_buf_steal(&value, NULL);
}

static bool
host_is(const char *host, const char *domain)
{
	return am_streq(host, domain) || (am_ends(host, domain) && host[strlen(host) - strlen(domain) - 1] == '.');
}

static const struct {
	const char *domain;
	enum am_provider provider;
} hosts[] = {
	{"github.com", AM_PROVIDER_GITHUB},
	{"ghe.com", AM_PROVIDER_GITHUB},
	{"gitlab.com", AM_PROVIDER_GITLAB},
};

static const struct {
	const char *variable, *user;
} issuers[] = {
	[AM_PROVIDER_NONE] = {NULL, NULL},
	[AM_PROVIDER_GITHUB] = {"GITHUB_TOKEN", "x-access-token"},
	[AM_PROVIDER_GITLAB] = {"GITLAB_TOKEN", "oauth2"},
};

enum am_provider
am_git_provider(const struct am_repo *repo, const struct am_giturl *where)
{
	/* What the project says is of the host that the repository is cloned from. */
	if (repo->provider != AM_PROVIDER_NONE && am_streq(repo->where.authority, where->authority))
		return repo->provider;
	for (size_t i = 0; i < AM_COUNTOF(hosts); i++)
		if (host_is(where->host, hosts[i].domain))
			return hosts[i].provider;
	return AM_PROVIDER_NONE;
}

static bool
names_host(const char *list, const struct am_giturl *where)
{
	static const char blanks[] = " \t\r\n,";

	for (const char *p = list + strspn(list, blanks); *p != '\0'; p += strspn(p, blanks)) {
		size_t n = strcspn(p, blanks);

		if ((n == strlen(where->host) && strncasecmp(p, where->host, n) == 0) ||
		    (n == strlen(where->authority) && strncasecmp(p, where->authority, n) == 0))
			return true;
		p += n;
	}
	return false;
}

/* Is the Secret in dir meant for that host? */
static bool
secret_is_for(const char *dir, const struct am_repo *repo, const struct am_giturl *where)
{
	am_auto(am_freep) char *list = secret_file(dir, "hosts", NULL);

	if (list != NULL)
		return names_host(list, where);
	return am_streq(where->authority, repo->where.authority) || am_streq(where->authority, repo->push_where.authority);
}

/* User and password for a URL. */
static bool
find_login(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where, char **user, char **password)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/%d", git->cred_dir, repo->credentials);
	static const char *const keys[] = {"token", "password", "GITHUB_TOKEN", "GITLAB_TOKEN"};
	enum am_provider provider = am_git_provider(repo, where);

	*user = *password = NULL;
	if (secret_is_for(dir, repo, where)) {
		*user = secret_file(dir, "username", git->redactor);
		for (size_t i = 0; i < AM_COUNTOF(keys); i++)
			if ((*password = secret_file(dir, keys[i], git->redactor)) != NULL) {
				bool gitlab = provider == AM_PROVIDER_GITLAB || strstr(where->host, "gitlab") != NULL;

				if (*user == NULL)
					*user = am_xstrdup(gitlab ? "oauth2" : "x-access-token");
				return true;
			}
		am_freep(user);
	}
	const char *token = provider != AM_PROVIDER_NONE ? getenv(issuers[provider].variable) : NULL;
	if (am_empty(token) || (where->scheme == AM_SCHEME_HTTP && !am_is_loopback(where->host)))
		return false;
	*user = am_xstrdup(issuers[provider].user);
	*password = am_xstrdup(token);
	return true;
}

char *
am_git_token(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where)
{
	am_auto(am_freep) char *user = NULL;
	char *token = NULL;

	if (!find_login(git, repo, where, &user, &token))
		return NULL;
	for (const char *p = token; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f) { /* no line of a header is made of it */
			am_freep(&token);
			break;
		}
	return token;
}

char *
am_git_ca_file(const struct am_git *git, const struct am_repo *repo)
{
	char *path = am_xasprintf("%s/%d/ca.crt", git->cred_dir, repo->credentials);

	if (access(path, R_OK) < 0)
		am_freep(&path);
	return path;
}

static int
write_ssh(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where, bool *has_key, bool *has_hosts,
	  struct ambient_error *err)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/%d", git->cred_dir, repo->credentials);
	bool ours = secret_is_for(dir, repo, where);
	/* The keys of hosts are no secrets, and an agent may well speak of a host. */
	const struct {
		const char *from, *to;
		struct am_redactor *redactor;
		bool *has;
	} files[] = {{"ssh-privatekey", "ssh-key", git->redactor, has_key}, {"known_hosts", "known_hosts", NULL, has_hosts}};

	for (size_t i = 0; i < AM_COUNTOF(files) && ours; i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", git->dir, files[i].to);
		am_auto(am_freep) char *value = secret_file(dir, files[i].from, files[i].redactor);

		if (value == NULL)
			continue;
		am_auto(am_freep) char *text = am_xasprintf("%s\n", value);
		int rc = am_file_write(path, text, strlen(text), 0600, err);
		explicit_bzero(text, strlen(text));
		if (rc < 0)
			return rc;
		*files[i].has = true;
	}
	return 0;
}

int
am_git_write_credentials(struct am_git *git, const struct am_repo *repo, const struct am_giturl *where, bool *has_login,
			 bool *has_key, bool *has_hosts, struct ambient_error *err)
{
	am_auto(am_freep) char *login = am_xasprintf("%s/login", git->dir);
	am_auto(am_freep) char *key_file = am_xasprintf("%s/ssh-key", git->dir);
	am_auto(am_freep) char *user = NULL;
	am_auto(am_freep) char *password = NULL;

	*has_login = *has_key = *has_hosts = false;
	(void)unlink(login);
	(void)unlink(key_file);
	if (where->scheme == AM_SCHEME_SSH)
		return write_ssh(git, repo, where, has_key, has_hosts, err);
	if (where->scheme == AM_SCHEME_GIT || !find_login(git, repo, where, &user, &password))
		return 0;
	am_auto(am_buf_fini) struct am_buf text = {0};
	am_buf_addf(&text, "%s\n%s\n%s\n%s\n", where->scheme == AM_SCHEME_HTTPS ? "https" : "http", where->authority,
		    user, password);
	int rc = am_file_write(login, am_buf_str(&text), text.len, 0600, err);
	*has_login = rc == 0;
	return rc;
}

int
am_runner_askpass(const char *prompt)
{
	const char *path = getenv("AMBIENT_ASKPASS_FILE");
	am_auto(am_buf_fini) struct am_buf text = {0};
	char *save = NULL;

	if (am_empty(path) || prompt == NULL || am_file_read(path, 128 * 1024, &text, NULL) < 0)
		return 1;
	char *scheme = strtok_r(text.data, "\n", &save), *authority = strtok_r(NULL, "\n", &save);
	char *user = strtok_r(NULL, "\n", &save), *password = strtok_r(NULL, "\n", &save);
	/* git quotes with ', git-lfs with ". */
	const char *url = strpbrk(prompt, "'\"");
	if (password == NULL || url == NULL)
		return 1;
	/* 'https://user@host:port/...': a redirect to another host, or away from TLS, gets nothing. */
	size_t n = strlen(scheme);
	if (strncasecmp(url + 1, scheme, n) != 0 || strncmp(url + 1 + n, "://", 3) != 0)
		return 1;
	const char *from = url + 1 + n + 3;
	size_t len = strcspn(from, "/'\"");
	const char *at = memrchr(from, '@', len);
	if (at != NULL) {
		len -= (size_t)(at + 1 - from);
		from = at + 1;
	}
	if (len != strlen(authority) || strncasecmp(from, authority, len) != 0)
		return 1;
	if (am_starts(prompt, "Username"))
		(void)puts(user);
	else if (am_starts(prompt, "Password"))
		(void)puts(password);
	else
		return 1;
	return fflush(stdout) == 0 ? 0 : 1;
}
