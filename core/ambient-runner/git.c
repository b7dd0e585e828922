/* SPDX-License-Identifier: Apache-2.0 */
/* See git.h: the environment and the runs; clone.c and publish.c say what is run. */
#include "core/ambient-runner/git.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/ambient-runner/git_priv.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/mem.h"

#define OUTPUT_MAX (256 * 1024)
#define ARGS_MAX   128

/* On every command line: what a repository's own configuration must not decide. */
static const char *const settings[] = {
	"core.hooksPath=/dev/null",    "core.fsmonitor=false",         "core.attributesFile=/dev/null",
	"core.excludesFile=/dev/null", "credential.helper=",           "gc.auto=0",
	"maintenance.auto=false",      "submodule.recurse=false",      "fetch.recurseSubmodules=false",
	"push.recurseSubmodules=no",   "push.followTags=false",        "push.gpgSign=false",
	"protocol.ext.allow=never",    "http.followRedirects=initial", "advice.detachedHead=false",
	"uploadpack.packObjectsHook=", "init.defaultBranch=main",      "diff.renames=false",
};

int
am_runner_git_init(struct am_git *git, const char *root, struct am_redactor *redactor, const int32_t *cancelled,
		   struct ambient_error *err)
{
	const char *tmp = getenv("TMPDIR");
	char self[4096];
	int rc;

	memset(git, 0, sizeof(*git));
	git->redactor = redactor;
	git->cancelled = cancelled;
	git->root = am_xstrdup(root);
	git->cred_dir = getenv("AMBIENT_GIT_CREDENTIALS");
	if (am_empty(git->cred_dir))
		git->cred_dir = "/run/secrets/git";
	git->bundle_max = INT64_C(2) << 30;
	git->dir = am_xasprintf("%s/ambient-git-XXXXXX", am_empty(tmp) ? "/tmp" : tmp);
	if (mkdtemp(git->dir) == NULL) {
		rc = am_err_errno(err, errno, "making the private directory \"%s\"", git->dir);
		am_freep(&git->dir);
		return rc;
	}
	am_auto(am_freep) char *home = am_xasprintf("%s/home", git->dir);
	if ((rc = am_mkdirs(home, 0700, err)) < 0)
		return rc;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return am_err_errno(err, errno, "finding this program's file");
	self[n] = '\0';
	am_auto(am_freep) char *askpass = am_xasprintf("%s/askpass", git->dir);
	if (symlink(self, askpass) < 0)
		return am_err_errno(err, errno, "making \"%s\"", askpass);
	return 0;
}

void
am_runner_git_fini(struct am_git *git)
{
	if (git->dir != NULL)
		(void)am_remove_tree(git->dir, NULL);
	free(git->dir);
	free(git->root);
	git->dir = git->root = NULL;
}

int
am_git_open_dir(const char *root, const char *path)
{
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (const char *p = path; dir >= 0 && *p != '\0';) {
		size_t n = strcspn(p, "/");
		am_auto(am_freep) char *part = am_xstrndup(p, n);
		int next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		(void)close(dir);
		dir = next;
		p += n + (p[n] == '/');
	}
	return dir;
}

/* ---- runs */

static void
add_env(char **env, size_t *n, char *entry)
{
	env[(*n)++] = entry;
	env[*n] = NULL;
}

/* What may pass from our own environment: how to reach the network, nothing that git takes orders from. */
static const char *const passed[] = {
	"PATH",          "http_proxy",   "https_proxy", "HTTPS_PROXY",  "no_proxy",      "NO_PROXY",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "TZ",          "ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH",
};

static void
make_env(struct am_git *git, const struct am_git_run *run, bool login, bool key, bool hosts, char **env)
{
	size_t n = 0;

	for (size_t i = 0; i < AM_COUNTOF(passed); i++) {
		const char *value = getenv(passed[i]);

		if (!am_empty(value))
			add_env(env, &n, am_xasprintf("%s=%s", passed[i], value));
	}
	add_env(env, &n, am_xasprintf("HOME=%s/home", git->dir));
	add_env(env, &n, am_xasprintf("XDG_CONFIG_HOME=%s/home", git->dir));
	add_env(env, &n, am_xasprintf("TMPDIR=%s", git->dir));
	add_env(env, &n, am_xstrdup("LC_ALL=C"));
	add_env(env, &n, am_xstrdup("GIT_CONFIG_NOSYSTEM=1"));
	add_env(env, &n, am_xstrdup("GIT_CONFIG_GLOBAL=/dev/null"));
	add_env(env, &n, am_xstrdup("GIT_ATTR_NOSYSTEM=1"));
	add_env(env, &n, am_xstrdup("GIT_TERMINAL_PROMPT=0"));
	add_env(env, &n, am_xstrdup("GIT_NO_REPLACE_OBJECTS=1"));
	if (!run->download)
		add_env(env, &n, am_xstrdup("GIT_LFS_SKIP_SMUDGE=1"));
	add_env(env, &n, am_xstrdup("GIT_OPTIONAL_LOCKS=0"));
	add_env(env, &n, am_xasprintf("GIT_ALLOW_PROTOCOL=%s", run->where != NULL ? "https:http:ssh:git" : "file"));
	if (run->where == NULL) {
		add_env(env, &n, am_xstrdup("GIT_ASKPASS=/bin/false"));
		return;
	}
	am_auto(am_freep) char *ca = am_git_ca_file(git, run->repo);
	if (ca != NULL)
		add_env(env, &n, am_xasprintf("GIT_SSL_CAINFO=%s", ca));
	add_env(env, &n, am_xasprintf("GIT_ASKPASS=%s/askpass", git->dir));
	if (login)
		add_env(env, &n, am_xasprintf("AMBIENT_ASKPASS_FILE=%s/login", git->dir));
	am_auto(am_freep) char *id = key ? am_xasprintf(" -i %s/ssh-key", git->dir) : am_xstrdup("");
	add_env(env, &n,
		am_xasprintf("GIT_SSH_COMMAND=ssh -F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o "
			     "PermitLocalCommand=no -o ProxyCommand=none -o StrictHostKeyChecking=%s -o "
			     "UserKnownHostsFile=%s/known_hosts%s",
			     hosts ? "yes" : "accept-new", git->dir, id));
	add_env(env, &n, am_xstrdup("GIT_SSH_VARIANT=ssh"));
}

/* The line of stderr that says what went wrong: the remote's or git's own error before a mere "fatal:".  Where ssh
 * could not connect, git's line only says so, and ssh's own is the one before it. */
void
am_git_explain(const struct am_git *git, const struct am_buf *text, char *ret, size_t size)
{
	const char *p = am_buf_str(text), *best = NULL, *last = NULL;
	size_t best_n = 0, last_n = 0;
	int best_rank = 0;

	while (*p != '\0') {
		size_t n = strcspn(p, "\n");
		bool of_ssh = am_starts(p, "fatal: Could not read from remote repository") && last != NULL;
		int rank = am_starts(p, "error:") || of_ssh ? 3 : am_starts(p, "fatal:") ? 2 : 1;

		if (n > 0 && rank > best_rank) {
			best = of_ssh ? last : p;
			best_n = of_ssh ? last_n : n;
			best_rank = rank;
		}
		if (n > 0) {
			last = p;
			last_n = n;
		}
		p += n + (p[n] == '\n');
	}
	while (best_n > 0 && best[best_n - 1] == '\r')
		best_n--;
	if (best != NULL)
		am_runner_redact_cut(git->redactor, best, best_n, ret, size);
	else
		(void)am_strlcpy(ret, "git said nothing", size);
}

static void
make_line(const struct am_git_run *run, const char *argv[ARGS_MAX])
{
	size_t n = 0;

	argv[n++] = "git";
	for (size_t i = 0; i < AM_COUNTOF(settings); i++) {
		argv[n++] = "-c";
		argv[n++] = settings[i];
	}
	for (const char *const *set = run->settings; set != NULL && *set != NULL; set++) {
		argv[n++] = "-c";
		argv[n++] = *set;
	}
	if (run->git_dir != NULL) {
		argv[n++] = "--git-dir";
		argv[n++] = run->git_dir;
	}
	for (const char *const *arg = run->args; *arg != NULL; arg++) {
		am_assert(n + 1 < ARGS_MAX);
		argv[n++] = *arg;
	}
	argv[n] = NULL;
}

static void
remove_credentials(const struct am_git *git)
{
	static const char *const files[] = {"login", "ssh-key"};

	for (size_t i = 0; i < AM_COUNTOF(files); i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", git->dir, files[i]);

		(void)unlink(path);
	}
}

/* What became of a git that was run. */
static int
judge(const struct am_git *git, const struct am_git_run *run, const struct am_run_result *result, int seconds, struct ambient_error *err)
{
	char text[200];

	if (result->timed_out && git->cancelled != NULL && __atomic_load_n(git->cancelled, __ATOMIC_ACQUIRE) != 0)
		return ambient_err(err, AMBIENT_E_CANCELLED, "git %s was still going on when the run had to end", run->args[0]);
	if (result->timed_out)
		return ambient_err(err, AMBIENT_E_TIMEOUT, "git %s took longer than %d s", run->args[0], seconds);
	if (result->exit_code == 0 || run->may_fail)
		return 0;
	am_git_explain(git, &result->err, text, sizeof(text));
	return ambient_err(err, AMBIENT_E_INVALID, "git %s: %s", run->args[0], text);
}

int
am_git_run(struct am_git *git, const struct am_git_run *run, struct am_run_result *result, struct ambient_error *err)
{
	const char *argv[ARGS_MAX];
	char *env[40];
	struct am_run_result own = {0};
	bool login = false, key = false, hosts = false;
	int seconds = run->seconds > 0 ? run->seconds : 600, rc;

	if (git->tick != NULL)
		git->tick(git->tick_arg);
	if (run->where != NULL &&
	    (rc = am_git_write_credentials(git, run->repo, run->where, &login, &key, &hosts, err)) < 0)
		return rc;
	make_line(run, argv);
	make_env(git, run, login, key, hosts, env);
	struct am_spawn spawn = {.argv = argv,
				 .envp = (const char *const *)env,
				 .cwd = git->dir,
				 .fds = {-1, -1, -1},
				 .new_session = true,
				 .tick = git->tick,
				 .tick_arg = git->tick_arg};
	if (run->has_input_fd)
		spawn.fds[0] = run->input_fd;
	if (result == NULL)
		result = &own;
	rc = am_run(&spawn, run->input, run->input_len, run->out_max > 0 ? run->out_max : OUTPUT_MAX,
		    seconds * AM_NS_PER_S, git->cancelled, result, err);
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	if (run->where != NULL)
		remove_credentials(git);
	if (rc == 0)
		rc = judge(git, run, result, seconds, err);
	if (result == &own || rc < 0)
		am_run_result_fini(result);
	return rc;
}
