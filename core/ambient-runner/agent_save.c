/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits what the agent left and writes one bundle per repository for the runner.  This runs with no more rights than
 * the agent had, in a place that it could prepare: whatever configuration it planted can only do what the agent could
 * do anyway, and the runner checks the bundle as a stranger's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/data/scan.h"

struct save {
	struct am_agent *agent;
	char *dir; /* the working copy */
	const char *const *env;
};

static int
git(const struct save *save, const char *const *args, struct am_run_result *result, bool may_fail,
    struct ambient_error *err)
{
	static const char *const settings[] = {
		"core.hooksPath=/dev/null", "commit.gpgSign=false", "core.fsmonitor=false",        "gc.auto=0",
		"maintenance.auto=false",   "safe.directory=*",     "advice.addEmbeddedRepo=false"};
	const char *argv[40], *what = *args;
	size_t n = 0;
	struct am_run_result own = {0};

	argv[n++] = "git";
	for (size_t i = 0; i < AM_COUNTOF(settings); i++) {
		argv[n++] = "-c";
		argv[n++] = settings[i];
	}
	for (; *args != NULL && n + 1 < AM_COUNTOF(argv); args++)
		argv[n++] = *args;
	argv[n] = NULL;
	struct am_spawn spawn = {
		.argv = argv, .envp = save->env, .cwd = save->dir, .fds = {-1, -1, -1}, .new_session = true};
	struct am_run_result *r = result != NULL ? result : &own;
	int rc = am_run(&spawn, NULL, 0, 64 * 1024, 600 * AM_NS_PER_S, NULL, r, err);
	if (rc == 0 && r->timed_out)
		rc = ambient_err(err, AMBIENT_E_TIMEOUT, "git %s did not end", what);
	else if (rc == 0 && r->exit_code != 0 && !may_fail)
		rc = ambient_err(err, AMBIENT_E_INVALID, "git %s: %.200s", what, am_buf_str(&r->err));
	if (result == NULL || rc < 0)
		am_run_result_fini(r);
	return rc;
}

static int
head_of(const struct save *save, char head[65], struct ambient_error *err)
{
	const char *args[] = {"rev-parse", "--verify", "HEAD^{commit}", NULL};
	struct am_run_result result = {0};
	int rc = git(save, args, &result, false, err);

	if (rc < 0)
		return rc;
	size_t n = strspn(am_buf_str(&result.out), "0123456789abcdef");
	(void)am_strlcpy(head, am_buf_str(&result.out), AM_MIN(n + 1, (size_t)65));
	am_run_result_fini(&result);
	return 0;
}

static int
save_repo(const struct save *save, const char *name, const char *base, const char *bundle, struct ambient_error *err)
{
	am_auto(am_freep) char *tmp = am_xasprintf("%s.tmp", bundle);
	am_auto(am_freep) char *not_base = am_xasprintf("^%s", base);
	am_auto(am_freep) char *session = am_json_dup(am_slice(am_buf_str(&save->agent->start), save->agent->start.len), "/name");
	am_auto(am_freep) char *message = am_xasprintf("Session %s: update", session != NULL ? session : "");
	const char *add[] = {"add", "-A", NULL}, *staged[] = {"diff", "--cached", "--quiet", NULL};
	const char *commit[] = {"commit", "--quiet", "--no-verify", "-m", message, NULL};
	const char *make[] = {"bundle", "create", "--quiet", "--version=2", tmp, "HEAD", not_base, NULL};
	struct am_run_result result = {0};
	char head[65] = "";
	int rc;

	if ((rc = git(save, add, NULL, false, err)) < 0 || (rc = git(save, staged, &result, true, err)) < 0)
		return rc;
	bool dirty = result.exit_code != 0;
	am_run_result_fini(&result);
	if (dirty && (rc = git(save, commit, NULL, false, err)) < 0)
		return rc;
	if ((rc = head_of(save, head, err)) < 0)
		return rc;
	(void)unlink(bundle);
	(void)unlink(tmp);
	if (am_streq(head, base))
		return 0;
	if ((rc = git(save, make, NULL, false, err)) < 0)
		return rc;
	if (rename(tmp, bundle) < 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "cannot write the bundle of \"%s\"", name);
	return 0;
}

static void
say_saved(struct am_agent *agent, const char *name, const char *error)
{
	am_auto(am_buf_fini) struct am_buf frame = {0};

	am_json_addf(&frame, "{\"t\":\"saved\",\"repo\":%s", name);
	if (error != NULL)
		am_json_addf(&frame, ",\"error\":%s", error);
	am_buf_addc(&frame, '}');
	am_runner_channel_send(&agent->runner, am_buf_str(&frame), frame.len);
}

void
am_agent_save(struct am_agent *agent)
{
	const char *root = getenv("AMBIENT_SESSION_DIR");
	struct am_slice start = am_slice(am_buf_str(&agent->start), agent->start.len), repos, item;
	am_auto(am_freep) char *author = am_json_dup(start, "/author/name");
	am_auto(am_freep) char *email = am_json_dup(start, "/author/email");
	struct ambient_command env = {0};
	size_t it = 0;

	const char *path = getenv("PATH");
	am_agent_env_set(&env, "PATH", am_empty(path) ? "/usr/local/bin:/usr/bin:/bin" : path);
	am_agent_env_set(&env, "HOME", agent->tmpdir);
	am_agent_env_set(&env, "LC_ALL", "C");
	am_agent_env_set(&env, "GIT_CONFIG_NOSYSTEM", "1");
	am_agent_env_set(&env, "GIT_CONFIG_GLOBAL", "/dev/null");
	am_agent_env_set(&env, "GIT_TERMINAL_PROMPT", "0");
	for (int i = 0; i < 2; i++) {
		am_agent_env_set(&env, i == 0 ? "GIT_AUTHOR_NAME" : "GIT_COMMITTER_NAME",
				 author != NULL ? author : "agent");
		am_agent_env_set(&env, i == 0 ? "GIT_AUTHOR_EMAIL" : "GIT_COMMITTER_EMAIL",
				 email != NULL ? email : "agent@localhost");
	}
	if (!am_json_find(am_agent_frame(agent), "/repos", &repos))
		repos = AM_SLICE("[]");
	while (am_json_element(repos, &it, &item)) {
		am_auto(am_freep) char *name = am_json_dup(item, "/name");
		am_auto(am_freep) char *base = am_json_dup(item, "/base");
		struct ambient_error err = AMBIENT_ERROR_INIT;

		if (name == NULL || base == NULL || strchr(name, '/') != NULL)
			continue;
		am_auto(am_freep) char *dir = am_xasprintf("%s/workspace/%s", root, name);
		am_auto(am_freep) char *bundle = am_xasprintf("%s/out/%s.bundle", root, name);
		struct save save = {.agent = agent, .dir = dir, .env = (const char *const *)env.env};
		int rc = save_repo(&save, name, base, bundle, &err);

		say_saved(agent, name, rc < 0 ? err.message : NULL);
	}
	am_agent_command_fini(&env);
}
