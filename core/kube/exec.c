/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential plugins, the runs.  A program is run when there is no credential, when the one that there is has expired,
 * and when the API server refused it; never two at a time.  It runs on a thread of its own, because the I/O thread must
 * not wait; that thread touches only the run, which it hands back by posting.
 *
 * A failure is held for two seconds, so that a burst of requests does not become a burst of processes.
 */
#include "core/kube/exec.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"

#define OUTPUT_MAX     ((size_t)1 << 20)
#define RUN_NS         (60 * AM_NS_PER_S)
#define FAILURE_NS     (2 * AM_NS_PER_S)
#define LIFE_MIN_NS    AM_NS_PER_S
#define SAID_MAX       160

/* One run: the thread's until it is posted back. */
struct run {
	struct am_exec *exec;
	struct am_credential credential;
	struct ambient_error error;     /* code 0: it worked */
};

struct am_exec {
	struct am_io *io;
	const struct am_exec_spec *spec;
	bool interactive;
	void (*told)(void *arg);
	void *arg;
	int32_t cancelled;

	/* I/O thread */
	struct am_credential credential;
	uint64_t generation;            /* of the credential; 0: there is none */
	bool dropped;
	struct ambient_error failure;
	int64_t failed_until;
	struct am_thread *thread;       /* of the run under way, or NULL */
	struct run run;
};

/* ---- one run */

/* The child's environment: this process's, then the kubeconfig's, then ours.  Later ones win by replacing. */
static void
env_set(char **env, size_t *n, char *assignment)
{
	size_t name = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < *n; i++) {
		if (strncmp(env[i], assignment, name) == 0) {
			free(env[i]);
			env[i] = assignment;
			return;
		}
	}
	env[(*n)++] = assignment;
}

static char **
env_make(const struct am_exec *exec)
{
	am_auto(am_buf_fini) struct am_buf info = { 0 };
	size_t most = 2, n = 0;
	char **env;

	for (char **e = environ; e != NULL && *e != NULL; e++)
		most++;
	for (char **e = exec->spec->env; *e != NULL; e++)
		most++;
	env = am_xcalloc(most, sizeof(char *));
	for (char **e = environ; e != NULL && *e != NULL; e++)
		env[n++] = am_xstrdup(*e);
	for (char **e = exec->spec->env; *e != NULL; e++)
		env_set(env, &n, am_xstrdup(*e));
	am_exec_spec_info(exec->spec, exec->interactive, &info);
	env_set(env, &n, am_xasprintf("KUBERNETES_EXEC_INFO=%s", am_buf_str(&info)));
	return env;
}

static void
env_free(char **env)
{
	for (size_t i = 0; env[i] != NULL; i++)
		free(env[i]);
	free(env);
}

/* The last words of a program, on one line. */
static const char *
last_words(struct am_buf *said)
{
	char *text = said->data;
	size_t n = said->len;

	if (text == NULL)
		return "";
	while (n > 0 && (unsigned char)text[n - 1] <= ' ')
		n--;
	text[n] = '\0';
	char *from = n > SAID_MAX ? text + n - SAID_MAX : text;
	for (char *p = from; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return am_utf8_valid(from, strlen(from)) ? from : "";
}

static int
judge(const struct am_exec *exec, struct am_run_result *result, struct am_credential *ret, struct ambient_error *err)
{
	const char *said = last_words(&result->err);

	if (result->timed_out)
		return ambient_err(err, AMBIENT_E_TIMEOUT, "it did not end in time%s%s", said[0] != '\0' ? ": " : "", said);
	if (result->exit_code != 0)
		return ambient_err(err, AMBIENT_E_UNAUTHORIZED, "it ended with %d%s%s", result->exit_code, said[0] != '\0' ? ": " : "",
				   said);
	return am_exec_answer(exec->spec, am_buf_str(&result->out), result->out.len, ret, err);
}

/* We are in the background of our own terminal now, where asking for it would stop us. */
static void
take_terminal_back(void)
{
	sigset_t ttou, before;

	(void)sigemptyset(&ttou);
	(void)sigaddset(&ttou, SIGTTOU);
	(void)pthread_sigmask(SIG_BLOCK, &ttou, &before);
	(void)tcsetpgrp(0, getpgrp());
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int
perform(struct am_exec *exec, struct am_credential *ret, struct ambient_error *err)
{
	char **env = env_make(exec);
	struct am_run_result result;
	struct am_spawn spec = { .argv = (const char *const *)exec->spec->argv, .envp = (const char *const *)env,
				 .fds = { -1, -1, -1 } };
	int rc;

	if (exec->spec->mode == AM_EXEC_ALWAYS && !exec->interactive) {
		env_free(env);
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "credential plugin \"%.100s\": its interactiveMode is Always, and nobody is "
				   "at a terminal here; use IfAvailable or Never, or another plugin", exec->spec->argv[0]);
	}
	/* A person sees what it asks, and answers. */
	if (exec->interactive) {
		spec.fds[0] = fcntl(0, F_DUPFD_CLOEXEC, 3);
		spec.fds[2] = fcntl(2, F_DUPFD_CLOEXEC, 3);
		spec.foreground = true;
	}
	rc = am_run(&spec, NULL, 0, OUTPUT_MAX, exec->interactive ? 0 : RUN_NS, &exec->cancelled, &result, err);
	if (exec->interactive) {
		take_terminal_back();
		(void)close(spec.fds[0]);
		(void)close(spec.fds[2]);
	}
	env_free(env);
	if (rc == -AMBIENT_E_NOTFOUND && exec->spec->install_hint != NULL)
		(void)ambient_err(err, AMBIENT_E_NOTFOUND, "it is not installed: %.300s", exec->spec->install_hint);
	if (rc == 0)
		rc = judge(exec, &result, ret, err);
	if (result.out.data != NULL)
		explicit_bzero(result.out.data, result.out.len);
	am_run_result_fini(&result);
	if (rc < 0)
		return am_err_prefix(err, "credential plugin \"%.100s\"", exec->spec->argv[0]);
	return 0;
}

/* ---- what it gave */

static void
take(struct am_exec *exec, int64_t now)
{
	struct run *run = &exec->run;

	if (run->error.code != 0) {
		exec->failure = run->error;
		exec->failed_until = now + FAILURE_NS;
		am_log_warn("kube", "%s", run->error.message);
		return;
	}
	am_credential_fini(&exec->credential);
	exec->credential = run->credential;
	run->credential = (struct am_credential){ .expires = AM_FOREVER };
	/* What has expired already is used by those who wait: our clock may be wrong, and another run would give the same. */
	exec->credential.expires = AM_MAX(exec->credential.expires, am_clock_wall(exec->io->clock) + LIFE_MIN_NS);
	exec->generation++;
	exec->dropped = false;
	exec->failure.code = 0;
}

static void
finished(void *arg)
{
	struct run *run = arg;
	struct am_exec *exec = run->exec;

	am_thread_join(exec->thread);
	exec->thread = NULL;
	take(exec, am_clock_boot(exec->io->clock));
	exec->told(exec->arg);
}

static void
run_thread(void *arg)
{
	struct run *run = arg;

	(void)perform(run->exec, &run->credential, &run->error);
	am_io_post(run->exec->io, finished, run);
}

static bool
good(const struct am_exec *exec)
{
	return exec->generation > 0 && !exec->dropped && am_clock_wall(exec->io->clock) < exec->credential.expires;
}

static void
run_reset(struct am_exec *exec)
{
	exec->run = (struct run){ .exec = exec, .credential = { .expires = AM_FOREVER }, .error = AMBIENT_ERROR_INIT };
}

int
am_exec_get(struct am_exec *exec, const struct am_credential **ret, uint64_t *ret_generation, struct ambient_error *err)
{
	if (good(exec)) {
		*ret = &exec->credential;
		*ret_generation = exec->generation;
		return 1;
	}
	if (exec->thread != NULL)
		return 0;
	if (exec->failure.code != 0 && am_clock_boot(exec->io->clock) < exec->failed_until) {
		ambient_err_copy(err, &exec->failure);
		return -err->code;
	}
	run_reset(exec);
	exec->thread = am_thread_new("kube-exec", 0, run_thread, &exec->run);
	if (exec->thread == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "cannot start a thread for the credential plugin");
	return 0;
}

void
am_exec_drop(struct am_exec *exec, uint64_t generation)
{
	if (generation == exec->generation)
		exec->dropped = true;
}

int
am_exec_first(struct am_exec *exec, struct ambient_error *err)
{
	run_reset(exec);
	if (perform(exec, &exec->run.credential, &exec->run.error) < 0) {
		ambient_err_copy(err, &exec->run.error);
		return -exec->run.error.code;
	}
	take(exec, am_clock_boot(exec->io->clock));
	return 0;
}

/* ---- life */

struct am_exec *
am_exec_new(struct am_io *io, const struct am_exec_spec *spec, bool interactive, void (*told)(void *arg), void *arg)
{
	struct am_exec *exec = am_xcalloc(1, sizeof(*exec));

	exec->io = io;
	exec->spec = spec;
	exec->interactive = interactive && spec->mode != AM_EXEC_NEVER && isatty(0) == 1 && isatty(2) == 1;
	exec->told = told;
	exec->arg = arg;
	exec->credential.expires = AM_FOREVER;
	exec->failure = (struct ambient_error)AMBIENT_ERROR_INIT;
	run_reset(exec);
	return exec;
}

void
am_exec_free(struct am_exec *exec)
{
	if (exec == NULL)
		return;
	__atomic_store_n(&exec->cancelled, 1, __ATOMIC_RELEASE);
	am_thread_join(exec->thread);
	am_credential_fini(&exec->credential);
	am_credential_fini(&exec->run.credential);
	free(exec);
}
