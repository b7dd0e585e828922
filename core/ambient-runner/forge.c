/* SPDX-License-Identifier: Apache-2.0 */
/* See forge.h. */
#include "core/ambient-runner/forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/git_priv.h"
#include "core/ambient-runner/rest.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"

/* One exchange with an API: what every step of opening needs. */
struct talk {
	struct am_git *git;
	struct am_repo *repo;
	struct am_forge forge;
	const char *title, *text;
	char *token, *ca_file;
	char *base;                 /* the branch that it is to go into */
	struct am_rest_answer answer;
};

struct am_forge_kind {
	const char *name, *what;    /* "pull request" */
	const char *override;       /* the variable with another base URL */
	const char *suffix;         /* of a server of one's own */
	const char *projects;       /* path before a project */
	bool nested;                /* a project's path may have more than two parts, and is one escaped part of the URL */
	const char *headers[3];
	const char *link;           /* the member with the address for people */
	int exists;                 /* the status that says that there may be one already */
	int (*create)(struct talk *talk, struct ambient_error *err);
	int (*find)(struct talk *talk, struct ambient_error *err);
};

static int create_github(struct talk *talk, struct ambient_error *err);
static int create_gitlab(struct talk *talk, struct ambient_error *err);
static int find_github(struct talk *talk, struct ambient_error *err);
static int find_gitlab(struct talk *talk, struct ambient_error *err);

static const struct am_forge_kind kinds[] = {
	{.name = "github", .what = "pull request", .override = "AMBIENT_GITHUB_API", .suffix = "/api/v3", .projects = "/repos/",
	 .headers = {"Accept: application/vnd.github+json", "X-GitHub-Api-Version: 2022-11-28", NULL},
	 .link = "/html_url", .exists = 422, .create = create_github, .find = find_github},
	{.name = "gitlab", .what = "merge request", .override = "AMBIENT_GITLAB_API", .suffix = "/api/v4", .projects = "/projects/",
	 .nested = true, .headers = {"Accept: application/json", NULL}, .link = "/web_url", .exists = 409,
	 .create = create_gitlab, .find = find_gitlab},
};

/* ---- where */

static const struct am_forge_kind *
kind_of(const struct am_repo *repo)
{
	enum am_provider provider = am_git_provider(repo, &repo->where);

	/* A name may tell what it is; no token but the repository's own goes there for that. */
	if (provider == AM_PROVIDER_NONE && am_starts(repo->where.host, "github."))
		provider = AM_PROVIDER_GITHUB;
	else if (provider == AM_PROVIDER_NONE && am_starts(repo->where.host, "gitlab."))
		provider = AM_PROVIDER_GITLAB;
	return provider == AM_PROVIDER_NONE ? NULL : &kinds[provider - 1];
}

/* "group/name" of a URL that passed am_runner_giturl_check; NULL when it is none that an API knows. */
static char *
project_of(const char *url, bool nested)
{
	const char *p = strstr(url, "://");

	p = p != NULL ? strchr(p + 3, '/') : strchr(url, ':');
	if (p == NULL)
		return NULL;
	p += strspn(p, ":/");
	size_t n = strcspn(p, "?#"), slashes = 0;
	while (n > 0 && p[n - 1] == '/')
		n--;
	if (n > 4 && memcmp(p + n - 4, ".git", 4) == 0)
		n -= 4;
	for (size_t i = 0; i < n; i++) {
		slashes += p[i] == '/';
		if (p[i] == '%' || (p[i] == '.' && (i == 0 || p[i - 1] == '/')))
			return NULL;
	}
	return n == 0 || slashes < 1 || (slashes > 1 && !nested) ? NULL : am_xstrndup(p, n);
}

static void
make_api(const struct am_repo *repo, const struct am_forge_kind *kind, char ret[700])
{
	const char *host = repo->where.host, *set = getenv(kind->override);
	bool web = repo->where.scheme == AM_SCHEME_HTTPS || repo->where.scheme == AM_SCHEME_HTTP;
	const char *scheme = repo->where.scheme == AM_SCHEME_HTTP ? "http" : "https";
	size_t n;

	if (!am_empty(set))
		n = am_strlcpy(ret, set, 700);
	else if (kind == &kinds[0] && (am_streq(host, "github.com") || am_ends(host, ".ghe.com")))
		n = (size_t)snprintf(ret, 700, "https://api.%s", host);
	else
		n = (size_t)snprintf(ret, 700, "%s://%s%s", scheme, web ? repo->where.authority : host, kind->suffix);
	for (n = AM_MIN(n, (size_t)699); n > 0 && ret[n - 1] == '/'; n--)
		ret[n - 1] = '\0';
}

int
am_forge_locate(const struct am_repo *repo, struct am_forge *ret, struct ambient_error *err)
{
	*ret = (struct am_forge){.kind = kind_of(repo)};
	if (ret->kind == NULL)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED,
				   "whether \"%.100s\" is a GitHub or a GitLab is not known; say it as provider of a repository of "
				   "that host in the project's settings", repo->where.host);
	if (!am_streq(repo->where.host, repo->push_where.host))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the work was pushed to \"%.100s\", and a %s needs it on \"%.100s\"",
				   repo->push_where.host, ret->kind->what, repo->where.host);
	make_api(repo, ret->kind, ret->api);
	if (!am_forge_url_fits(ret->api))
		return ambient_err(err, AMBIENT_E_INVALID, "%s is no http or https URL", ret->kind->override);
	ret->project = project_of(repo->url, ret->kind->nested);
	ret->fork = project_of(repo->push_url, ret->kind->nested);
	if (ret->project == NULL || ret->fork == NULL) {
		am_forge_fini(ret);
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "the URL \"%.120s\" names no project of a %s",
				   ret->project == NULL ? repo->url : repo->push_url, ret->kind->name);
	}
	if (strcasecmp(ret->project, ret->fork) == 0)
		am_freep(&ret->fork);
	return 0;
}

void
am_forge_fini(struct am_forge *forge)
{
	am_freep(&forge->project);
	am_freep(&forge->fork);
}

bool
am_forge_url_fits(const char *url)
{
	const char *host;

	if (url == NULL || strlen(url) > AM_FORGE_URL_MAX)
		return false;
	if (am_starts(url, "https://"))
		host = url + 8;
	else if (am_starts(url, "http://"))
		host = url + 7;
	else
		return false;
	size_t n = strcspn(host, "/?#");
	if (n == 0 || memchr(host, '@', n) != NULL)
		return false;
	for (const char *p = url; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("\"'<>\\^`{|}", *p) != NULL)
			return false;
	return true;
}

/* ---- talking */

/* What a server says of an error, on one line. */
static void
words_of(const struct talk *talk, char *ret, size_t size)
{
	static const char *const pointers[] = {"/errors/0/message", "/message/0", "/message", "/error_description", "/error"};
	struct am_slice json = am_slice(am_buf_str(&talk->answer.body), talk->answer.body.len);

	ret[0] = '\0';
	for (size_t i = 0; i < AM_COUNTOF(pointers) && ret[0] == '\0' && json.n > 0; i++) {
		am_auto(am_freep) char *s = am_json_dup(json, pointers[i]);

		if (s != NULL)
			am_runner_redact_cut(talk->git->redactor, s, strlen(s), ret, size);
	}
	for (char *p = ret; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
}

static int
refused(const struct talk *talk, struct ambient_error *err)
{
	static const struct {
		int status;
		const char *why;
	} known[] = {
		{401, "the token is not valid"},
		{403, "the token does not allow it, or too much was asked for"},
		{404, "the project is not there, or the token does not see it"},
		{429, "too much was asked for"},
	};
	const char *why = talk->answer.status >= 500	 ? "the server failed"
			  : talk->answer.status >= 300 && talk->answer.status < 400 ? "the project has moved; name its new address"
								      : "the server refused it";
	char words[200];

	for (size_t i = 0; i < AM_COUNTOF(known); i++)
		if (known[i].status == talk->answer.status)
			why = known[i].why;
	words_of(talk, words, sizeof(words));
	return ambient_err(err, AMBIENT_E_UNAVAILABLE, "%s (%d)%s%s", why, talk->answer.status, words[0] != '\0' ? ": " : "", words);
}

/* path is below the API's base.  An error when the server could not be asked. */
static int
ask(struct talk *talk, const char *method, const char *path, const char *body, struct ambient_error *err)
{
	am_auto(am_freep) char *bearer = am_xasprintf("Bearer %s", talk->token);
	struct am_rest rest = {.method = method, .base = talk->forge.api, .path = path, .authorization = bearer,
			       .headers = talk->forge.kind->headers, .body = body, .ca_file = talk->ca_file,
			       .cancelled = talk->git->cancelled, .tick = talk->git->tick, .tick_arg = talk->git->tick_arg};
	int rc = am_rest_do(&rest, &talk->answer, err);

	explicit_bzero(bearer, strlen(bearer));
	return rc;
}

static struct am_slice
answer_of(const struct talk *talk)
{
	return am_slice(am_buf_str(&talk->answer.body), talk->answer.body.len);
}

/* "/repos/o/r" or "/projects/g%2Fr" of a project. */
static void
add_project(const struct talk *talk, struct am_buf *out, const char *project)
{
	am_buf_adds(out, talk->forge.kind->projects);
	for (const char *p = project; *p != '\0';) {
		size_t n = talk->forge.kind->nested ? strlen(p) : strcspn(p, "/");
		am_auto(am_freep) char *part = am_xstrndup(p, n);

		am_url_escape(out, part);
		p += n;
		if (*p == '/') {
			am_buf_addc(out, '/');
			p++;
		}
	}
}

/* Reads the project; what it is asked for is one member. */
static int
get_project(struct talk *talk, const char *project, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = {0};

	add_project(talk, &path, project);
	int rc = ask(talk, "GET", am_buf_str(&path), NULL, err);
	if (rc == 0 && talk->answer.status != 200)
		rc = refused(talk, err);
	return rc;
}

/* Without a branch of the session's own it goes where the project's default one is. */
static int
find_base(struct talk *talk, struct ambient_error *err)
{
	int rc;

	if (talk->repo->pr_base != NULL) {
		talk->base = am_xstrdup(talk->repo->pr_base);
		return 0;
	}
	if ((rc = get_project(talk, talk->forge.project, err)) < 0)
		return rc;
	talk->base = am_json_dup(answer_of(talk), "/default_branch");
	return talk->base != NULL ? am_runner_branch_check(talk->base, err)
				  : ambient_err(err, AMBIENT_E_INVALID, "the server does not say which branch is the default");
}

/* Keeps the address at pointer of the answer. */
static int
keep_url(struct talk *talk, const char *pointer, struct ambient_error *err)
{
	am_auto(am_freep) char *url = am_json_dup(answer_of(talk), pointer);

	if (!am_forge_url_fits(url))
		return ambient_err(err, AMBIENT_E_INVALID, "the server's answer names no address of the %s", talk->forge.kind->what);
	(void)am_strlcpy(talk->repo->pr_url, url, sizeof(talk->repo->pr_url));
	return 0;
}

/* ---- GitHub */

/* "owner:branch"; the owner is that of the fork where there is one. */
static char *
github_head(const struct talk *talk)
{
	const char *of = talk->forge.fork != NULL ? talk->forge.fork : talk->forge.project;

	return am_xasprintf("%.*s:%s", (int)strcspn(of, "/"), of, talk->repo->push_branch);
}

static int
create_github(struct talk *talk, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	am_auto(am_buf_fini) struct am_buf body = {0};
	am_auto(am_freep) char *head = github_head(talk);

	add_project(talk, &path, talk->forge.project);
	am_buf_adds(&path, "/pulls");
	am_json_addf(&body, "{\"title\":%s,\"body\":%s,\"head\":%s,\"base\":%s}", talk->title, talk->text,
		     talk->forge.fork != NULL ? head : talk->repo->push_branch, talk->base);
	return ask(talk, "POST", am_buf_str(&path), am_buf_str(&body), err);
}

static int
find_github(struct talk *talk, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	am_auto(am_freep) char *head = github_head(talk);

	add_project(talk, &path, talk->forge.project);
	am_buf_adds(&path, "/pulls?state=open&per_page=1&head=");
	am_url_escape(&path, head);
	am_buf_adds(&path, "&base=");
	am_url_escape(&path, talk->base);
	int rc = ask(talk, "GET", am_buf_str(&path), NULL, err);
	return rc < 0 ? rc : talk->answer.status != 200 ? refused(talk, err) : keep_url(talk, "/0/html_url", err);
}

/* ---- GitLab */

static int
create_gitlab(struct talk *talk, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	am_auto(am_buf_fini) struct am_buf body = {0};
	int64_t target = 0;
	int rc;

	if (talk->forge.fork != NULL) {
		if ((rc = get_project(talk, talk->forge.project, err)) < 0)
			return rc;
		if ((target = am_json_int(answer_of(talk), "/id", 0)) <= 0)
			return ambient_err(err, AMBIENT_E_INVALID, "the server does not say the number of the project");
	}
	add_project(talk, &path, talk->forge.fork != NULL ? talk->forge.fork : talk->forge.project);
	am_buf_adds(&path, "/merge_requests");
	am_json_addf(&body, "{\"title\":%s,\"description\":%s,\"source_branch\":%s,\"target_branch\":%s", talk->title,
		     talk->text, talk->repo->push_branch, talk->base);
	if (target > 0)
		am_json_addf(&body, ",\"target_project_id\":%l", target);
	am_buf_addc(&body, '}');
	return ask(talk, "POST", am_buf_str(&path), am_buf_str(&body), err);
}

/* Forks of others may have a branch of the same name: the one from where we pushed to is meant. */
static int
find_gitlab(struct talk *talk, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = {0};
	struct am_slice item;
	size_t it = 0;
	int64_t source;
	char pointer[32];
	int rc;

	if ((rc = get_project(talk, talk->forge.fork != NULL ? talk->forge.fork : talk->forge.project, err)) < 0)
		return rc;
	source = am_json_int(answer_of(talk), "/id", 0);
	add_project(talk, &path, talk->forge.project);
	am_buf_adds(&path, "/merge_requests?state=opened&per_page=100&source_branch=");
	am_url_escape(&path, talk->repo->push_branch);
	am_buf_adds(&path, "&target_branch=");
	am_url_escape(&path, talk->base);
	if ((rc = ask(talk, "GET", am_buf_str(&path), NULL, err)) < 0)
		return rc;
	if (talk->answer.status != 200)
		return refused(talk, err);
	if (answer_of(talk).n > 0 && am_json_type(answer_of(talk)) == AMBIENT_T_ARRAY)
		for (int i = 0; am_json_element(answer_of(talk), &it, &item); i++) {
			(void)snprintf(pointer, sizeof(pointer), "/%d/web_url", i);
			if (am_json_int(item, "/source_project_id", 0) == source)
				return keep_url(talk, pointer, err);
		}
	return ambient_err(err, AMBIENT_E_NOTFOUND, "the server has no open merge request of that branch");
}

/* ---- the whole */

static int
negotiate(struct talk *talk, struct ambient_error *err)
{
	const struct am_forge_kind *kind = talk->forge.kind;
	struct ambient_error first = AMBIENT_ERROR_INIT;
	int rc;

	if ((rc = find_base(talk, err)) < 0)
		return rc;
	if (talk->forge.fork == NULL && am_streq(talk->base, talk->repo->push_branch))
		return ambient_err(err, AMBIENT_E_INVALID, "the work was pushed to \"%.80s\" itself, which it would go into; name "
				   "another output.targetBranch", talk->base);
	if ((rc = kind->create(talk, err)) < 0)
		return rc;
	if (talk->answer.status == 200 || talk->answer.status == 201)
		return keep_url(talk, kind->link, err);
	if (talk->answer.status != kind->exists)
		return refused(talk, err);
	/* Why it was refused, unless that was because there is one. */
	rc = refused(talk, &first);
	if (kind->find(talk, NULL) == 0)
		return 0;
	ambient_err_copy(err, &first);
	return rc;
}

int
am_forge_open(struct am_git *git, struct am_repo *repo, const char *title, const char *text, struct ambient_error *err)
{
	struct talk talk = {.git = git, .repo = repo, .title = title, .text = text};
	char what[32] = "pull request";
	int rc = am_forge_locate(repo, &talk.forge, err);

	if (rc == 0) {
		(void)am_strlcpy(what, talk.forge.kind->what, sizeof(what));
		talk.token = am_git_token(git, repo, &repo->where);
		talk.ca_file = am_git_ca_file(git, repo);
		rc = talk.token != NULL ? negotiate(&talk, err)
					: ambient_err(err, AMBIENT_E_UNAUTHORIZED,
						      "there is no token for it; put one into the repository's Secret as \"token\"");
	}
	if (rc < 0)
		rc = am_err_prefix(err, "the work was pushed, but no %s was opened", what);
	am_forge_fini(&talk.forge);
	if (talk.token != NULL)
		explicit_bzero(talk.token, strlen(talk.token));
	free(talk.token);
	free(talk.ca_file);
	free(talk.base);
	am_rest_answer_fini(&talk.answer);
	return rc;
}
