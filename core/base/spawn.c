/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children.  posix_spawn knows neither sessions, death signals nor descriptor numbers as we need them, hence vfork and
 * a child of our own: between that and exec it makes only async-signal-safe calls and changes no variable of the
 * parent. The exec's errno comes back through a close-on-exec pipe.
 */
#include "core/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#define KILL_AFTER (2 * AM_NS_PER_S)
#define POLL_SLICE 100 /* ms between looks at the cancel flag */

static int
open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* PATH is looked up before the fork: the child must not allocate. */
static char *
find_program(const char *name, const char *const *envp)
{
	if (strchr(name, '/') != NULL)
		return am_xstrdup(name);
	const char *path = envp == NULL ? getenv("PATH") : NULL;
	for (size_t i = 0; envp != NULL && envp[i] != NULL; i++) {
		if (am_starts(envp[i], "PATH="))
			path = envp[i] + 5;
	}
	if (path == NULL)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*path != '\0') {
		size_t n = strcspn(path, ":");
		char *candidate = am_xasprintf("%.*s/%s", (int)n, path, name);
		if (n != 0 && access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
		path += n + (path[n] == ':');
	}
	return NULL;
}

void
am_close_all_but(const int *pass, int status_fd)
{
	/* The kept numbers in ascending order split the rest into ranges. */
	int from = 3;

	for (;;) {
		int keep = -1;
		for (const int *p = pass; p != NULL && *p >= 0; p++) {
			if (*p >= from && (keep < 0 || *p < keep))
				keep = *p;
		}
		if (status_fd >= from && (keep < 0 || status_fd < keep))
			keep = status_fd;
		if (keep < 0)
			break;
		if (keep > from)
			(void)syscall(SYS_close_range, from, keep - 1, 0);
		from = keep + 1;
	}
	(void)syscall(SYS_close_range, from, ~0U, 0);
}

static void
become(const struct am_spawn *spec, const char *program, int status_fd, const int fds[3])
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	if (spec->new_session)
		(void)setsid();
	else
		(void)setpgid(0, 0);
	if (spec->umask != 0)
		(void)umask(spec->umask);
	if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		goto fail;
	/* Before the program exists: whatever it starts is inside as well. */
	for (const int *p = spec->join; p != NULL && *p >= 0; p++) {
		if (write(*p, "0", 1) != 1)
			goto fail;
	}
	/* The system call alone: the C library would ask all threads for it, which are the parent's. */
	if (spec->groups != NULL && syscall(SYS_setgroups, spec->group_count, spec->groups) < 0)
		goto fail;
	if (spec->other_user && (syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0 ||
				 syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0))
		goto fail;
	/* After the change of user, which forgets it. */
	if (spec->die_with_parent)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* First out of the way of 0..2, then into place. */
	int moved[3];
	for (int i = 0; i < 3; i++) {
		moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (moved[i] < 0)
			goto fail;
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(moved[i], i) < 0)
			goto fail;
	}
	if (spec->terminal && ioctl(0, TIOCSCTTY, 0) < 0)
		goto fail;
	/* Every signal is blocked yet, so that asking from the background does not stop it. */
	if (spec->foreground)
		(void)tcsetpgrp(0, getpid());
	for (const int *p = spec->pass; p != NULL && *p >= 0; p++)
		(void)fcntl(*p, F_SETFD, 0);
	am_close_all_but(spec->pass, status_fd);
	if (spec->cwd != NULL && chdir(spec->cwd) < 0)
		goto fail;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* exec does not change what the arrays point at; its prototype predates const. */
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = spec->argv}, envp = {.in = spec->envp};
	(void)execve(program, argv.out, spec->envp != NULL ? envp.out : environ);
fail:;
	int e = errno;
	(void)!write(status_fd, &e, sizeof(e));
	_exit(127);
}

/* This thread stands still until the child has become the program, so the child may borrow its memory: copying the page
 * tables of a daemon with a large cache takes longer than all the rest.  On its own, so that nothing of the caller
 * lives in a register that the child changes. */
static am_noinline_ pid_t
start_child(const struct am_spawn *spec, const char *program, int status_fd, const int fds[3])
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = vfork();
	if (pid == 0)
		become(spec, program, status_fd, fds);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int
am_spawn(const struct am_spawn *spec, pid_t *ret_pid, int *ret_pidfd, struct ambient_error *err)
{
	int status[2] = {-1, -1}, null_fd = -1, fds[3], e = 0;
	am_auto(am_freep) char *program = find_program(spec->argv[0], spec->envp);

	if (program == NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the program \"%s\" is not in PATH; install it",
				   spec->argv[0]);
	if (pipe2(status, O_CLOEXEC) < 0)
		return am_err_errno(err, errno, "cannot start \"%s\"", program);
	/* The status pipe must survive the shuffle of 0..2 and the numbers in pass. */
	int high = fcntl(status[1], F_DUPFD_CLOEXEC, 64);
	if (high >= 0) {
		(void)close(status[1]);
		status[1] = high;
	}
	for (int i = 0; i < 3; i++) {
		fds[i] = spec->fds[i];
		if (fds[i] < 0) {
			if (null_fd < 0)
				null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
			fds[i] = null_fd;
		}
	}
	pid_t pid = start_child(spec, program, status[1], fds);
	e = pid < 0 ? errno : 0;
	(void)close(status[1]);
	if (null_fd >= 0)
		(void)close(null_fd);
	if (e == 0) {
		ssize_t n;
		do
			n = read(status[0], &e, sizeof(e));
		while (n < 0 && errno == EINTR);
		if (n != (ssize_t)sizeof(e))
			e = 0;
		else
			(void)waitpid(pid, NULL, 0);
	}
	(void)close(status[0]);
	if (e != 0)
		return am_err_errno(err, e, "cannot start \"%s\"", program);
	*ret_pid = pid;
	if (ret_pidfd != NULL)
		*ret_pidfd = open_pidfd(pid);
	return 0;
}

void
am_run_result_fini(struct am_run_result *result)
{
	am_buf_fini(&result->out);
	am_buf_fini(&result->err);
}

/* What a run waits for; fds are -1 once done. */
struct running {
	pid_t pid;
	int pidfd, in, out, err;
	const char *input;
	size_t input_left, max;
	int64_t deadline, kill_at;
	void (*tick)(void *arg);
	void *tick_arg;
};

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void
drain(int *fd, struct am_buf *into, size_t max)
{
	char piece[16384];
	ssize_t n = read(*fd, piece, sizeof(piece));

	if (n > 0)
		am_buf_add(into, piece, AM_MIN((size_t)n, max > into->len ? max - into->len : 0));
	else if (n == 0 || (errno != EINTR && errno != EAGAIN))
		close_fd(fd);
}

static void
feed(struct running *r)
{
	ssize_t n = write(r->in, r->input, r->input_left);

	if (n > 0) {
		r->input += n;
		r->input_left -= (size_t)n;
	}
	if (r->input_left == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		close_fd(&r->in);
}

/* TERM when the time is over or the caller cancelled, KILL two seconds later. */
static void
enforce(struct running *r, bool exited, const int32_t *cancelled, struct am_run_result *result)
{
	int64_t now = am_clock_boot(am_clock_real());
	bool over = now >= r->deadline || (cancelled != NULL && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE) != 0);

	if (r->kill_at == 0 && over) {
		result->timed_out = !exited;
		r->kill_at = now + KILL_AFTER;
		(void)kill(-r->pid, SIGTERM);
	} else if (r->kill_at != 0 && now >= r->kill_at) {
		(void)kill(-r->pid, SIGKILL);
		r->kill_at = AM_FOREVER;
	}
}

/* Where there is no pidfd (no descriptor left, a sandbox, valgrind) one has to look; poll's slice is how often. */
static bool
has_exited(const struct running *r, short revents)
{
	siginfo_t info = {0};

	if (r->pidfd >= 0)
		return revents != 0;
	return waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == r->pid;
}

static void
attend(struct running *r, const int32_t *cancelled, struct am_run_result *result)
{
	bool exited = false;

	while (!exited || r->out >= 0 || r->err >= 0) {
		struct pollfd p[4] = {{r->in, POLLOUT, 0},
				      {r->out, POLLIN, 0},
				      {r->err, POLLIN, 0},
				      {exited ? -1 : r->pidfd, POLLIN, 0}};
		(void)poll(p, 4, POLL_SLICE);
		if (p[0].revents != 0)
			feed(r);
		if (p[1].revents != 0)
			drain(&r->out, &result->out, r->max);
		if (p[2].revents != 0)
			drain(&r->err, &result->err, r->max);
		if (!exited && has_exited(r, p[3].revents)) {
			exited = true;
			/* A grandchild may hold the pipes; it gets as long as a timeout would give. */
			r->deadline = AM_MIN(r->deadline, am_clock_boot(am_clock_real()) + KILL_AFTER);
		}
		enforce(r, exited, cancelled, result);
		if (r->tick != NULL)
			r->tick(r->tick_arg);
		if (exited && r->kill_at == AM_FOREVER)
			break;
	}
}

int
am_run(const struct am_spawn *spec, const char *input, size_t input_len, size_t max, int64_t timeout_ns,
       const int32_t *cancelled, struct am_run_result *result, struct ambient_error *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, errs[2] = {-1, -1}, status = 0;
	struct am_spawn copy = *spec;
	struct running r = {.pidfd = -1, .in = -1, .input = input, .input_left = input_len, .max = max,
			    .tick = spec->tick, .tick_arg = spec->tick_arg};

	*result = (struct am_run_result){0};
	if ((input != NULL && pipe2(in, O_CLOEXEC) < 0) || pipe2(out, O_CLOEXEC) < 0 || pipe2(errs, O_CLOEXEC) < 0) {
		int e = errno;
		close_fd(&in[0]);
		close_fd(&in[1]);
		close_fd(&out[0]);
		close_fd(&out[1]);
		return am_err_errno(err, e, "cannot start \"%s\"", spec->argv[0]);
	}
	/* A descriptor of the caller's own serves for what is too large for memory. */
	copy.fds[0] = input == NULL && spec->fds[0] > 2 ? spec->fds[0] : in[0];
	copy.fds[1] = out[1];
	copy.fds[2] = spec->fds[2] > 2 ? spec->fds[2] : errs[1];
	int rc = am_spawn(&copy, &r.pid, &r.pidfd, err);
	close_fd(&in[0]);
	close_fd(&out[1]);
	close_fd(&errs[1]);
	r.in = in[1];
	r.out = out[0];
	r.err = errs[0];
	if (rc == 0) {
		if (r.in >= 0)
			(void)fcntl(r.in, F_SETFL, O_NONBLOCK);
		int64_t now = am_clock_boot(am_clock_real());
		r.deadline = timeout_ns > 0 && timeout_ns < AM_FOREVER - now ? now + timeout_ns : AM_FOREVER;
		attend(&r, cancelled, result);
		while (waitpid(r.pid, &status, 0) < 0 && errno == EINTR)
			;
		result->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
	close_fd(&r.in);
	close_fd(&r.out);
	close_fd(&r.err);
	close_fd(&r.pidfd);
	return rc;
}
