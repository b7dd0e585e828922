/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values that a run uses, worked out once when it starts: aliases become canonical fields, what is unset gets
 * the project's or the configured default, repositories get a name, a branch and a place to push to.  An alias
 * that is set to something else than its canonical field is refused, since either could be meant.
 * doc/compat.md is this file as a table.
 */
#include "plugins/agenticsession/agenticsession.h"
#include "plugins/kind-shared/giturl.h"

#include <ctype.h>
#include <strings.h>

#define LONGEST_OWN_BRANCH 180 /* of a session's name; a longer one is cut as in the names of what the session owns */
#define NAME_MAX_BYTES     64 /* of a directory of the workspace, as the runner makes it */
#define NEW_SHAPE_TIMEOUT  300 /* what clients of the newer shape write when nobody chose a timeout */

/* Directories of a workspace that no repository may have. */
static const char *const reserved[] = { "artifacts", "workflows", "removed" };

struct repo {
	const char *name, *url, *branch, *auth, *push_url, *push_branch, *pr_base, *provider;
	bool push, create_pr, ensure, proceed;
};

static int refuse(struct ambient_error *err, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int
refuse(struct ambient_error *err, const char *where, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	int rc = ambient_err(err, AMBIENT_E_INVALID, "%s: %s", where, text);

	(void)snprintf(err->where, sizeof(err->where), "%s", where);
	return rc;
}

/* "/output/forkRepo" below "spec.repos[1]" -> "spec.repos[1].output.forkRepo". */
static void
field_name(char out[128], const char *base, const char *pointer)
{
	size_t n = (size_t)snprintf(out, 128, "%s%s", base, pointer);

	for (size_t i = strlen(base); i < n && i < 127; i++)
		if (out[i] == '/')
			out[i] = '.';
}

/* The one of two fields that is set; "" when none is. */
static int
either(const struct ambient_object *o, const char *base, const char *canonical, const char *alias, const char **ret,
       struct ambient_error *err)
{
	const char *a = ambient_str(o, canonical, ""), *b = ambient_str(o, alias, "");
	char name[128], other[128];

	*ret = a[0] != '\0' ? a : b;
	if (a[0] == '\0' || b[0] == '\0' || strcmp(a, b) == 0)
		return 0;
	field_name(name, base, alias);
	field_name(other, base, canonical);
	return refuse(err, name, "differs from its alias \"%s\"; set one of the two", other);
}

static bool
is_object_name(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return n > 0 && name[n] == '\0' && n <= 253 && isalnum((unsigned char)name[0]) && isalnum((unsigned char)name[n - 1]);
}

/* A name goes into paths of requests. */
static int
check_object_name(struct ambient_error *err, const char *base, const char *field, const char *name)
{
	char where[128];

	if (name[0] == '\0' || is_object_name(name))
		return 0;
	field_name(where, base, field);
	return refuse(err, where, "%s", "is no name that an object can have");
}

static char *
scratch(struct ambient_call *call, size_t n)
{
	return AMBIENT_HAS(call->host->mem, scratch) ? call->host->mem->scratch(call, n) : NULL;
}

static bool
is_reserved(const char *name)
{
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(name, reserved[i]) == 0)
			return true;
	return false;
}

/* The directory that a repository gets: the last part of its URL, made unique among those before it. */
static const char *
repo_name(struct ambient_call *call, const struct repo *before, size_t n, const char *url)
{
	char base[61] = "", *out = scratch(call, 80); /* with a number a name that the runner takes: 64 bytes */
	const char *end = url + strlen(url), *p;
	size_t len = 0, suffix = 1;

	while (end > url && end[-1] == '/')
		end--;
	if (end - url > 4 && strncmp(end - 4, ".git", 4) == 0)
		end -= 4;
	for (p = end; p > url && p[-1] != '/' && p[-1] != ':'; p--)
		;
	for (; p < end && len < sizeof(base) - 1; p++, len++)
		base[len] = isalnum((unsigned char)*p) || (len > 0 && strchr("._-", *p) != NULL) ? *p : '_';
	if (len == 0)
		(void)snprintf(base, sizeof(base), "repo");
	if (out == NULL)
		return NULL;
	for (bool taken = true; taken; suffix++) {
		(void)snprintf(out, 80, suffix == 1 ? "%s" : "%s-%zu", base, suffix);
		taken = before != NULL && is_reserved(out);
		for (size_t i = 0; i < n; i++)
			taken = taken || strcasecmp(before[i].name, out) == 0;
	}
	return out;
}

static int
check_url(struct ambient_error *err, const char *base, const char *field, const char *url)
{
	const char *problem = kg_url_problem(url);
	char where[128];

	if (problem == NULL)
		return 0;
	field_name(where, base, field);
	return refuse(err, where, "%s", problem);
}

static int
check_branch(struct ambient_error *err, const char *base, const char *field, const char *branch)
{
	const char *problem = kg_branch_problem(branch);
	char where[128];

	if (problem == NULL)
		return 0;
	field_name(where, base, field);
	return refuse(err, where, "%s", problem);
}

static bool
wants_pr(const struct ambient_object *item)
{
	return ambient_bool(item, "/output/createPR", 0) || ambient_bool(item, "/output/createPullRequest", 0);
}

/* Whether to push: the repository's own word, then the session's, then whether the documented output half is there
 * (the older output.url and output.branch alone never meant a push). */
static bool
wants_push(const struct ambient_object *spec, const struct ambient_object *item)
{
	if (ambient_type(item, "/autoPush") == AMBIENT_T_BOOL)
		return ambient_bool(item, "/autoPush", 0);
	if (ambient_type(spec, "/autoPushOnComplete") == AMBIENT_T_BOOL)
		return ambient_bool(spec, "/autoPushOnComplete", 0);
	return ambient_str(item, "/output/targetBranch", "")[0] != '\0' ||
	       ambient_str(item, "/output/forkRepo", "")[0] != '\0' ||
	       ambient_str(item, "/output/pushBranch", "")[0] != '\0' || wants_pr(item) ||
	       ambient_bool(item, "/output/ensureBranch", 0);
}

/* host[:port] of a URL that kg_url_problem let pass. */
static const char *
authority(const char *url, size_t *n)
{
	const char *p = strstr(url, "://"), *at;

	p = p != NULL ? p + 3 : url;
	*n = strcspn(p, p == url ? ":" : "/?#");
	if ((at = memchr(p, '@', *n)) != NULL) {
		*n -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	return p;
}

/* Which API the host of a repository has: only the project's settings say it, since a token goes there for that. */
static const char *
provider_of(const struct ambient_object *settings, const char *url)
{
	const struct ambient_object *known = settings != NULL ? ambient_at(settings, "/spec/repositories") : NULL;
	size_t n, m;
	const char *host = authority(url, &n);

	for (size_t i = 0; known != NULL && i < ambient_len(known, ""); i++) {
		const struct ambient_object *item = ambient_item(known, "", i, NULL);
		const char *provider = ambient_str(item, "/provider", ""), *other = authority(ambient_str(item, "/url", ""), &m);

		if (provider[0] != '\0' && n == m && strncasecmp(host, other, n) == 0)
			return provider;
	}
	return "";
}

/* The Secret that the session names for all its repositories of that sort; "" when it names none. */
static const char *
session_secret(const struct ambient_object *spec, const char *url)
{
	bool ssh = strncmp(url, "ssh://", 6) == 0 || strstr(url, "://") == NULL;

	return ambient_str(spec, ssh ? "/gitConfig/authentication/sshKeySecret" : "/gitConfig/authentication/tokenSecret", "");
}

/* The one directory that clonePath may name. */
static int
clone_path(const struct ambient_object *item, const char *base, const char **name, struct ambient_error *err)
{
	const char *path = ambient_str(item, "/clonePath", "");
	size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	char where[128];

	if (path[0] == '\0' || (*name)[0] != '\0')
		return 0;
	field_name(where, base, "/clonePath");
	if (path[n] != '\0' || path[0] == '.' || path[0] == '-' || n > 64)
		return refuse(err, where, "%s", "must be one plain name; repositories lie side by side in the workspace");
	*name = path;
	return 0;
}

/* fork and direct say again what forkRepo says, and must not say something else. */
static int
output_type(const struct ambient_object *item, const char *base, const char *url, const char *fork, struct ambient_error *err)
{
	const char *type = ambient_str(item, "/output/type", "");
	bool other = fork[0] != '\0' && strcmp(fork, url) != 0;
	char where[128];

	field_name(where, base, "/output/type");
	if (strcmp(type, "fork") == 0 && !other)
		return refuse(err, where, "%s", "is fork, but output.forkRepo names no other repository; name the fork there");
	if (strcmp(type, "direct") == 0 && other)
		return refuse(err, where, "%s", "is direct, but output.forkRepo names another repository; leave one of the two out");
	return 0;
}

/* item: list[i]. */
static int
one_repo(struct ambient_call *call, const struct ambient_object *session, const struct ambient_object *settings,
	 const struct ambient_object *item, const char *list, struct repo *repos, size_t i, struct ambient_error *err)
{
	const struct ambient_object *spec = ambient_at(session, "/spec");
	struct repo *r = &repos[i];
	const char *target, *fork;
	char base[64], *made;
	int rc;

	(void)snprintf(base, sizeof(base), "%.40s[%zu]", list, i);
	if ((rc = either(item, base, "/input/url", "/url", &r->url, err)) < 0 ||
	    (rc = either(item, base, "/input/branch", "/branch", &r->branch, err)) < 0 ||
	    (rc = either(item, base, "/output/forkRepo", "/output/url", &fork, err)) < 0 ||
	    (rc = either(item, base, "/output/targetBranch", "/output/branch", &target, err)) < 0)
		return rc;
	if (r->url[0] == '\0')
		return refuse(err, base, "%s", "names no repository; set input.url");
	if ((rc = check_url(err, base, "/input/url", r->url)) < 0)
		return rc;
	if (r->branch[0] == '\0')
		r->branch = "main";
	if ((rc = check_branch(err, base, "/input/branch", r->branch)) < 0)
		return rc;
	r->name = ambient_str(item, "/name", "");
	if ((rc = clone_path(item, base, &r->name, err)) < 0)
		return rc;
	if (r->name[0] == '\0')
		r->name = repo_name(call, repos, i, r->url);
	if (r->name == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	if (is_reserved(r->name))
		return refuse(err, base, "is named \"%s\", which is a directory of the workspace already; give it another name", r->name);
	if (strlen(r->name) > NAME_MAX_BYTES)
		return refuse(err, base, "has a name of more than %d bytes", NAME_MAX_BYTES);
	for (size_t k = 0; k < i; k++) /* a volume may not tell letters of either case apart */
		if (strcasecmp(repos[k].name, r->name) == 0)
			return refuse(err, base, "has the same name as another repository: \"%s\"", r->name);
	r->auth = ambient_str(item, "/input/authSecret", "");
	if (r->auth[0] == '\0')
		r->auth = session_secret(spec, r->url);
	if (r->auth[0] == '\0' && settings != NULL)
		r->auth = ambient_str(settings, "/spec/gitCredentialsSecret", "");
	if ((rc = check_object_name(err, base, "/input/authSecret", r->auth)) < 0)
		return rc;
	r->provider = provider_of(settings, r->url);
	r->push = wants_push(spec, item);
	r->push_url = fork[0] != '\0' ? fork : r->url;
	if ((rc = check_url(err, base, "/output/forkRepo", r->push_url)) < 0)
		return rc;
	if ((rc = output_type(item, base, r->url, fork, err)) < 0)
		return rc;
	r->push_branch = ambient_str(item, "/output/pushBranch", "");
	r->pr_base = r->push_branch[0] != '\0' && target[0] != '\0' ? target : r->branch;
	if (r->push_branch[0] == '\0')
		r->push_branch = target;
	if (r->push_branch[0] == '\0') {
		const char *name = ambient_str(session, "/metadata/name", "");
		char cut[AS_NAME_MAX];

		as_name(cut, "", name, "");
		name = strlen(name) > LONGEST_OWN_BRANCH ? cut : name;
		made = scratch(call, strlen(name) + sizeof("sessions/"));
		if (made == NULL)
			return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		(void)sprintf(made, "sessions/%s", name);
		r->push_branch = made;
	}
	if ((rc = check_branch(err, base, "/output/targetBranch", r->push_branch)) < 0 ||
	    (rc = check_branch(err, base, "/output/targetBranch", r->pr_base)) < 0)
		return rc;
	r->ensure = ambient_bool(item, "/output/ensureBranch", 0);
	r->proceed = ambient_bool(item, "/output/continueBranch", 0);
	if ((r->ensure || r->proceed) && target[0] == '\0' && ambient_str(item, "/output/pushBranch", "")[0] == '\0')
		return refuse(err, base, "output.%s needs output.targetBranch, the branch that is meant",
			      r->ensure ? "ensureBranch" : "continueBranch");
	r->create_pr = wants_pr(item);
	if (ambient_type(item, "/output/createPR") == AMBIENT_T_BOOL &&
	    ambient_type(item, "/output/createPullRequest") == AMBIENT_T_BOOL &&
	    ambient_bool(item, "/output/createPR", 0) != ambient_bool(item, "/output/createPullRequest", 0))
		return refuse(err, base, "%s", "output.createPR differs from its alias output.createPullRequest; "
			      "set one of the two");
	return 0;
}

/* Branches and a place to push to, of no repository. */
static int
check_rest(const struct ambient_object *spec, struct ambient_error *err)
{
	static const char *const rest[] = { "/inputBranch", "/input/branch", "/outputRepo", "/outputBranch", "/output/repo", "/output/branch" };
	char where[128];

	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
		if (ambient_str(spec, rest[i], "")[0] == '\0')
			continue;
		field_name(where, "spec", rest[i]);
		return refuse(err, where, "%s", "has no effect without inputRepo, nor beside repos; write it into repos");
	}
	return 0;
}

/* The single repository of clients older than spec.repos, as an item of repos; *ret stays NULL without one. */
static int
legacy_repo(struct ambient_call *call, const struct ambient_object *spec, const struct ambient_object **ret,
	    struct ambient_error *err)
{
	const char *url, *branch, *out, *out_branch;
	struct text t = TEXT_INIT;
	int rc;

	if ((rc = either(spec, "spec", "/input/repo", "/inputRepo", &url, err)) < 0 ||
	    (rc = either(spec, "spec", "/input/branch", "/inputBranch", &branch, err)) < 0 ||
	    (rc = either(spec, "spec", "/output/repo", "/outputRepo", &out, err)) < 0 ||
	    (rc = either(spec, "spec", "/output/branch", "/outputBranch", &out_branch, err)) < 0)
		return rc;
	if (url[0] == '\0')
		return 0;
	text_add(&t, "{\"input\":{\"url\":%s,\"branch\":%s},\"output\":{\"url\":%s,\"branch\":%s}}", url, branch, out,
		 out_branch);
	return text_object(&t, call, ret, err);
}

static int
all_repos(struct ambient_call *call, const struct ambient_object *session, const struct ambient_object *settings,
	  struct text *t, struct text *secrets, size_t *ret_count, struct ambient_error *err)
{
	const struct ambient_object *spec = ambient_at(session, "/spec"), *legacy = NULL, *items;
	const char *list = "spec.repos";
	struct repo repos[AS_REPOS_MAX];
	size_t n = ambient_len(spec, "/repos");
	int rc;

	if ((rc = legacy_repo(call, spec, &legacy, err)) < 0)
		return rc;
	if (legacy != NULL && n > 0 &&
	    strcmp(ambient_str(spec, "/repos/0/input/url", ambient_str(spec, "/repos/0/url", "")),
		   ambient_str(legacy, "/input/url", "")) != 0)
		return refuse(err, "spec.repos", "%s", "differs from the single repository in inputRepo or input.repo; "
			      "set one of the two");
	if ((legacy == NULL || n > 0) && (rc = check_rest(spec, err)) < 0)
		return rc;
	if (legacy != NULL && n == 0)
		n = 1;
	else
		legacy = NULL;
	items = ambient_at(spec, "/repos");
	if (ambient_len(spec, "/gitConfig/repositories") > 0) {
		if (n > 0)
			return refuse(err, "spec.gitConfig.repositories", "%s", "is another list of repositories beside spec.repos; set one of the two");
		items = ambient_at(spec, "/gitConfig/repositories");
		n = ambient_len(items, "");
		list = "spec.gitConfig.repositories";
	}
	if (n == 0 && settings != NULL) { /* who names none works on the project's */
		items = ambient_at(settings, "/spec/repositories");
		n = items != NULL ? ambient_len(items, "") : 0;
		list = "ProjectSettings.spec.repositories";
	}
	if (n > AS_REPOS_MAX)
		return refuse(err, list, "has more than %d items", AS_REPOS_MAX);
	for (size_t i = 0; i < n; i++) {
		const struct ambient_object *item = legacy != NULL ? legacy : ambient_item(items, "", i, NULL);

		if ((rc = one_repo(call, session, settings, item, list, repos, i, err)) < 0)
			return rc;
	}
	text_add(t, "[");
	for (size_t i = 0; i < n; i++)
		text_add(t, "%j{\"index\":%d,\"credentials\":%d,\"name\":%s,\"url\":%s,\"branch\":%s,\"authSecret\":%s,"
			 "\"push\":%b,\"pushUrl\":%s,\"pushBranch\":%s,\"ensureBranch\":%b%j,\"createPR\":%b,\"prBase\":%s,"
			 "\"provider\":%s}",
			 i > 0 ? "," : "", (int64_t)i, repos[i].auth[0] != '\0' ? (int64_t)i : INT64_C(-1), repos[i].name,
			 repos[i].url, repos[i].branch, repos[i].auth, repos[i].push, repos[i].push_url, repos[i].push_branch,
			 repos[i].ensure, repos[i].proceed ? ",\"continueBranch\":true" : "", repos[i].create_pr, repos[i].pr_base, repos[i].provider);
	text_add(t, "]");
	text_add(secrets, "[");
	for (size_t i = 0; i < n; i++)
		text_add(secrets, "%j%s", i > 0 ? "," : "", repos[i].auth);
	*ret_count = n;
	return 0;
}

static const char *
path_problem(const char *path)
{
	if (path[0] == '/')
		return "must be relative to the repository's root";
	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(p, "/");

		if ((n == 2 && strncmp(p, "..", 2) == 0) || (n == 4 && strncasecmp(p, ".git", 4) == 0))
			return "must not have \"..\" or \".git\" in it";
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
				return "must not contain control characters";
		p += n + (p[n] == '/');
	}
	return NULL;
}

/* The workflow that the agent works by: a directory of a repository, in workspace/workflows/NAME.  number: the directory of its
 * credentials, those of the project. */
static int
workflow(struct ambient_call *call, const struct ambient_object *spec, const struct ambient_object *settings, size_t number,
	 struct text *t, struct text *secrets, struct ambient_error *err)
{
	const char *url = ambient_str(spec, "/activeWorkflow/gitUrl", ""), *path = ambient_str(spec, "/activeWorkflow/path", "");
	const char *branch = ambient_str(spec, "/activeWorkflow/branch", ""), *problem = path_problem(path), *name;
	const char *auth = session_secret(spec, url);
	int rc;

	if (url[0] == '\0') {
		text_add(secrets, "]");
		return 0;
	}
	if (auth[0] == '\0' && settings != NULL)
		auth = ambient_str(settings, "/spec/gitCredentialsSecret", "");
	if (branch[0] == '\0')
		branch = "main";
	if ((rc = check_object_name(err, "spec", "/gitConfig/authentication", auth)) < 0 ||
	    (rc = check_url(err, "spec", "/activeWorkflow/gitUrl", url)) < 0 ||
	    (rc = check_branch(err, "spec", "/activeWorkflow/branch", branch)) < 0)
		return rc;
	if (problem != NULL)
		return refuse(err, "spec.activeWorkflow.path", "%s", problem);
	if ((name = repo_name(call, NULL, 0, url)) == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	text_add(t, ",\"activeWorkflow\":{\"gitUrl\":%s,\"branch\":%s,\"path\":%s,\"name\":%s,\"authSecret\":%s,"
		 "\"credentials\":%d}", url, branch, path, name, auth, auth[0] != '\0' ? (int64_t)number : INT64_C(-1));
	text_add(secrets, "%j%s]", number > 0 ? "," : "", auth);
	return 0;
}

static bool
is_new_shape(const struct ambient_object *spec)
{
	if (ambient_type(spec, "/initialPrompt") == AMBIENT_T_STRING)
		return true;
	for (size_t i = 0; i < ambient_len(spec, "/repos"); i++)
		if (ambient_type(ambient_item(spec, "/repos", i, NULL), "/url") == AMBIENT_T_STRING)
			return true;
	return false;
}

/* The first of the texts that is set. */
static const char *
first(const char *a, const char *b, const char *c, const char *d)
{
	const char *const all[] = { a, b, c, d };

	for (size_t i = 0; i < 4; i++)
		if (all[i] != NULL && all[i][0] != '\0')
			return all[i];
	return "";
}

static int
check_environment(const struct ambient_object *spec, struct ambient_error *err)
{
	const char *key;

	for (size_t i = 0; i < ambient_len(spec, "/environmentVariables"); i++) {
		(void)ambient_item(spec, "/environmentVariables", i, &key);
		bool good = key[0] != '\0' && !isdigit((unsigned char)key[0]);

		for (const char *p = key; *p != '\0'; p++)
			good = good && (isalnum((unsigned char)*p) || *p == '_');
		if (!good)
			return refuse(err, "spec.environmentVariables", "\"%.64s\" is no name of a variable", key);
		if (strncmp(key, "AMBIENT_", 8) == 0)
			return refuse(err, "spec.environmentVariables", "\"%.64s\": names that begin with AMBIENT_ are "
				      "reserved", key);
	}
	return 0;
}

/* Zero is no limit to the scheduler and one that cannot be kept to the node; so few bytes are a unit that was forgotten. */
static int
check_resources(const struct ambient_object *spec, struct ambient_error *err)
{
	const char *cpu = ambient_str(spec, "/resourceOverrides/cpu", ""), *memory = ambient_str(spec, "/resourceOverrides/memory", "");
	size_t digits = strspn(memory, "0123456789"), unit = digits;

	if (cpu[0] != '\0' && cpu[strcspn(cpu, "123456789")] == '\0')
		return refuse(err, "spec.resourceOverrides.cpu", "\"%.32s\" must be more than zero", cpu);
	if (memory[unit] == '.')
		unit += 1 + strspn(memory + unit + 1, "0123456789");
	if (memory[0] == '\0')
		return 0;
	if (memory[strcspn(memory, "123456789")] == '\0' || (memory[unit] == '\0' && digits < 7) ||
	    ((memory[unit] == 'k' || memory[unit] == 'K') && digits < 4))
		return refuse(err, "spec.resourceOverrides.memory", "\"%.32s\" is less than a megabyte; a number without a unit is bytes, 512Mi "
			      "are 512 megabytes", memory);
	return 0;
}

/* The variable in which clients of the newest shape say what runs; one of the types had another name there. */
static const char *
type_of_variable(const struct ambient_object *spec)
{
	const char *type = ambient_str(spec, "/environmentVariables/RUNNER_TYPE", "");

	return strcmp(type, "claude-agent-sdk") == 0 ? "claude-code" : type;
}

/* The model of a session that names none.  A default is meant for the runner type beside it: given to another agent it
 * would only be refused there. */
static const char *
default_model(const struct as_plugin *plugin, const struct ambient_object *settings, const char *type, const char *own_type)
{
	const char *theirs = settings != NULL ? ambient_str(settings, "/spec/runnerType", own_type) : own_type;
	const char *model = settings != NULL ? ambient_str(settings, "/spec/defaultModel", "") : "";

	if (model[0] != '\0' && strcmp(type, theirs[0] != '\0' ? theirs : own_type) == 0)
		return model;
	return strcmp(type, own_type) == 0 ? plugin->model : "";
}

/* The definitions refuse it too, unless older ones are installed. */
static int
check_model(const char *model, const char *where, struct ambient_error *err)
{
	bool bad = *model == '-' || *model == ' ';

	for (const char *p = model; *p != '\0'; p++)
		bad = bad || iscntrl((unsigned char)*p);
	return bad ? refuse(err, where, "%s", "is no name of a model; it must not begin with \"-\" or a blank, nor hold control characters") : 0;
}

static int
choose_model(const struct as_plugin *plugin, const struct ambient_object *spec, const struct ambient_object *settings,
	     const char *type, const char *own_type, const char **ret, struct ambient_error *err)
{
	int rc = either(spec, "spec", "/model", "/llmSettings/model", ret, err);

	if (rc < 0)
		return rc;
	if ((*ret)[0] != '\0')
		return check_model(*ret, ambient_str(spec, "/model", "")[0] != '\0' ? "spec.model" : "spec.llmSettings.model", err);
	*ret = default_model(plugin, settings, type, own_type);
	return check_model(*ret, *ret == plugin->model ? "the configured model" : "ProjectSettings: spec.defaultModel", err);
}

/* Of the session that is continued, which may itself continue another one: whose workspace that is stands in its plan.  One that
 * is not there, or has none yet, may come. */
static int
workspace(struct ambient_call *call, const struct ambient_object *session, struct text *t, struct ambient_error *err)
{
	const char *ns = ambient_str(session, "/metadata/namespace", ""), *parent = kw_parent(session);
	const struct ambient_object *o = NULL;
	int rc;

	if (parent[0] == '\0') {
		text_add(t, ",\"workspace\":%s", ambient_str(session, "/metadata/name", ""));
		return 0;
	}
	if (!is_object_name(parent))
		return refuse(err, kw_parent_field(session), "\"%.100s\" is no name that a session can have; name the session to be continued, "
			      "or leave it out", parent);
	rc = ambient_get(call, AS_SESSION, ns, parent, &o, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "session \"%.253s\", which is to be continued, is not there; this one goes on when it is", parent);
	if (rc == 0 && kw_planned(o)[0] == '\0' && kw_parent(o)[0] != '\0')
		return ambient_err(err, AMBIENT_E_NOTFOUND, "session \"%.200s\", which is to be continued, continues \"%.200s\" and is not "
				   "planned yet; this one goes on when it is", parent, kw_parent(o));
	if (rc == 0)
		text_add(t, ",\"continues\":%s,\"workspace\":%s", parent, ambient_str(o, "/status/effective/workspace", parent));
	return rc;
}

int
as_effective(const struct as_plugin *plugin, struct ambient_call *call, const struct ambient_object *session,
	     const struct ambient_object *settings, const struct ambient_object **ret, struct ambient_error *err)
{
	const struct ambient_object *spec = ambient_at(session, "/spec");
	const struct ambient_host *host = plugin->host;
	const char *prompt, *model, *type;
	struct text repos = TEXT_INIT, secrets = TEXT_INIT, t = TEXT_INIT;
	size_t count = 0;
	int rc;

	if (spec == NULL)
		return refuse(err, "spec", "%s", "is missing");
	if (ambient_len(spec, "/paths") > 0)
		return refuse(err, "spec.paths", "%s", "cannot be chosen here; where things are is status.stateDir, take spec.paths out");

	bool new_shape = is_new_shape(spec);
	bool interactive = ambient_bool(spec, "/interactive", new_shape);
	int64_t main_index = ambient_int(spec, "/mainRepoIndex", 0), timeout = ambient_int(spec, "/timeout", 0);
	int64_t idle = settings != NULL ? ambient_int(settings, "/spec/inactivityTimeoutSeconds", 0) : 0;
	const char *fact = AMBIENT_HAS(host, fact) ? host->fact(host, "runner-type") : NULL;

	fact = first(fact, "claude-code", NULL, NULL);
	type = first(ambient_str(spec, "/runnerType", ""), type_of_variable(spec),
		     settings != NULL ? ambient_str(settings, "/spec/runnerType", "") : "", fact);
	if ((rc = either(spec, "spec", "/prompt", "/initialPrompt", &prompt, err)) < 0 ||
	    (rc = choose_model(plugin, spec, settings, type, fact, &model, err)) < 0 ||
	    (rc = check_environment(spec, err)) < 0 || (rc = check_resources(spec, err)) < 0 ||
	    (rc = check_object_name(err, "spec", "/anthropicApiKeySecret", ambient_str(spec, "/anthropicApiKeySecret", ""))) < 0 ||
	    (rc = check_object_name(err, "spec", "/resourceOverrides/storageClass",
				    ambient_str(spec, "/resourceOverrides/storageClass", ""))) < 0 ||
	    (rc = check_object_name(err, "spec", "/resourceOverrides/priorityClass",
				    ambient_str(spec, "/resourceOverrides/priorityClass", ""))) < 0)
		return rc;
	if (prompt[0] == '\0' && !interactive)
		return refuse(err, "spec.prompt", "%s", "without interactive: true, a session needs a prompt");
	rc = all_repos(call, session, settings, &repos, &secrets, &count, err);
	if (rc < 0)
		goto out;
	if (main_index < 0 || (main_index > 0 && (size_t)main_index >= count)) {
		rc = refuse(err, "spec.mainRepoIndex", "%lld is not the index of a repository; there are %zu, and the first has 0",
			    (long long)main_index, count);
		goto out;
	}
	if (timeout == 0 || (new_shape && timeout == NEW_SHAPE_TIMEOUT))
		timeout = settings != NULL ? ambient_int(settings, "/spec/defaultTimeout", plugin->timeout_s)
					   : plugin->timeout_s;
	if (repos.failed || repos.p == NULL) {
		rc = ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
		goto out;
	}
	text_add(&t, "{\"shape\":%s,\"runnerType\":%s,\"model\":%s,\"interactive\":%b,\"timeout\":%d,"
		 "\"inactivityTimeout\":%d,\"secretName\":%s,\"mainRepoIndex\":%d,\"repos\":%j", new_shape ? "new" : "documented",
		 type, model,
		 interactive, interactive ? INT64_C(0) : timeout,
		 interactive ? ambient_int(spec, "/inactivityTimeout", idle) : INT64_C(0),
		 first(ambient_str(spec, "/anthropicApiKeySecret", ""),
		       settings != NULL ? ambient_str(settings, "/spec/runnerSecretsName", "") : "",
		       settings != NULL ? ambient_str(settings, "/spec/anthropicApiKeySecret", "") : "",
		       plugin->secret),
		 main_index, repos.p);
	if (ambient_bool(spec, "/rescue", 0))
		text_add(&t, ",\"rescue\":%b", true);
	if (ambient_type(spec, "/llmSettings/temperature") == AMBIENT_T_NUMBER)
		text_add(&t, ",\"temperature\":%o", ambient_at(spec, "/llmSettings/temperature"));
	if (ambient_type(spec, "/llmSettings/maxTokens") == AMBIENT_T_NUMBER)
		text_add(&t, ",\"maxTokens\":%o", ambient_at(spec, "/llmSettings/maxTokens"));
	if ((rc = workflow(call, spec, settings, count, &t, &secrets, err)) < 0)
		goto out;
	text_add(&t, ",\"gitSecrets\":%j,\"generation\":%d", secrets.p != NULL ? secrets.p : "[]",
		 ambient_int(session, "/metadata/generation", 0));
	t.failed |= secrets.failed;
	if ((rc = workspace(call, session, &t, err)) < 0)
		goto out;
	text_add(&t, ",\"fields\":");
	as_fields(session, &t);
	text_add(&t, "}");
	rc = text_object(&t, call, ret, err);
out:
	text_fini(&t);
	text_fini(&repos);
	text_fini(&secrets);
	return rc;
}
