/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process id namespace for all containers of a pod (shareProcessNamespace).  Its first process is ours, as kubelet's
 * is the pause container: it does nothing but reap orphans, so that the end of a container is nobody else's, and with it
 * the namespace ends.  It dies with the shim, and is made anew when somebody killed it.
 *
 * Who is not root may make such a namespace only within a user namespace, and join it only from there: then each
 * container begins in the first process's user namespace, where it is root.  In either case it ends in a user namespace of
 * its own below that, as the user that it shall be.  So containers see and signal each other, but none looks into what
 * another one has open: bubblewrap, on its way to the program, has the machine's /proc open for a moment after it has
 * given up its capabilities.
 *
 * The first process is program and memory of its own (--pause), not a fork of the shim with the variables of all
 * containers in it, and cannot be looked into: it has capabilities that no container has, and says that it is not dumpable.
 *
 * Invariant: a container's processes are known by their mount namespace, which is its own and which nobody leaves
 * without a capability; it is held open, since the number of one that is over is soon another's, maybe another pod's.
 * When the container's program has ended they are killed; no namespace does it for us.
 */
#include "core/ambient-shim/shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/spawn.h"
#include "core/base/str.h"

#define WORD_FD      3
#define SWEEP_TURNS  50
#define STAT_FLAGS   6 /* for shim_stat_field: field 9 */
#define FLAG_EXITING 4 /* PF_EXITING */

/* A process number, or what went wrong. */
struct word {
	int32_t pid, error;
};

static void
say(int fd, pid_t pid, int error, int with)
{
	struct word w = {(int32_t)pid, error};

	(void)shim_send(fd, &w, sizeof(w), with);
}

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	(void)close(fd);
	return rc;
}

/* This process's new user namespace has one user and one group. */
static int
map_one(int64_t uid, int64_t outside_uid, int64_t gid, int64_t outside_gid)
{
	char map[96];

	(void)put("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "%lld %lld 1", (long long)uid, (long long)outside_uid);
	if (put("/proc/self/uid_map", map) < 0)
		return -1;
	(void)snprintf(map, sizeof(map), "%lld %lld 1", (long long)gid, (long long)outside_gid);
	return put("/proc/self/gid_map", map);
}

/* ---- the first process ---- */

int
shim_pause_run(void)
{
	sigset_t none;

	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "pause");
	/* Who never waits has no zombies. */
	(void)signal(SIGCHLD, SIG_IGN);
	(void)sigfillset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (!shim_send(WORD_FD, &(struct word){0, 0}, sizeof(struct word), -1))
		return 1;
	(void)close(WORD_FD);
	for (;;)
		(void)pause();
}

/* Becomes it. */
static void
become(bool own_user, uid_t uid, gid_t gid, int word_fd)
{
	static char name[] = "ambient-shim", option[] = "--pause";
	char *const argv[] = {name, option, NULL}, *const env[] = {NULL};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	word_fd = fcntl(word_fd, F_DUPFD_CLOEXEC, WORD_FD + 1);
	if (null_fd < 0 || word_fd < 0 || (own_user && map_one(0, uid, 0, gid) < 0))
		goto fail;
	for (int i = 0; i <= WORD_FD; i++)
		if (dup2(i < WORD_FD ? null_fd : word_fd, i) < 0)
			goto fail;
	am_close_all_but(NULL, WORD_FD);
	(void)execve("/proc/self/exe", argv, env);
	word_fd = WORD_FD;
fail:
	say(word_fd, 0, errno, -1);
	_exit(127);
}

/* Makes the first process as its own sibling, which is the shim's child then. */
static void
maker(const struct shim *shim, bool own_user, int word_fd)
{
	unsigned long flags = CLONE_PARENT | CLONE_NEWPID | (own_user ? CLONE_NEWUSER : 0) | SIGCHLD;
	bool ready = shim_become_user(shim, NULL) == 0;
	pid_t pid = ready ? (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL) : -1;

	if (pid == 0)
		become(own_user, shim_user(shim), shim_group(shim), word_fd);
	say(word_fd, pid > 0 ? pid : 0, pid > 0 ? 0 : errno, -1);
	_exit(0);
}

/* What a child says until it has closed its end: its last descriptor and process number; an errno, or 0. */
static int
hear(int fd, pid_t *ret_pid, int *ret_fd)
{
	struct word w;
	int with, error = 0, count = 0;

	while (shim_recv(fd, &w, sizeof(w), &with, 1) == (ssize_t)sizeof(w)) {
		count++;
		*ret_pid = w.pid > 0 ? (pid_t)w.pid : *ret_pid;
		error = error == 0 ? w.error : error;
		if (with >= 0 && ret_fd != NULL)
			*ret_fd = with;
	}
	return count == 0 ? ECHILD : error;
}

static int
open_namespace(pid_t pid, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void
close_namespaces(struct shim_pause *p)
{
	if (p->pid_ns >= 0)
		(void)close(p->pid_ns);
	if (p->user_ns >= 0)
		(void)close(p->user_ns);
	p->pid_ns = p->user_ns = -1;
}

/* It is on its way out, so nobody can be born there any more; it waits for the others, who have ended before it then. */
static bool
ends(pid_t pid)
{
	long flags = shim_stat_field(pid, STAT_FLAGS);

	return flags < 0 || (flags & FLAG_EXITING) != 0;
}

int
shim_pause_begin(struct shim *shim, struct ambient_error *err)
{
	struct shim_pause *p = &shim->pause;
	bool own_user = shim_user(shim) != 0;
	int fds[2], error;
	pid_t first;

	if (p->pid > 0 && !ends(p->pid))
		return 0;
	shim_pause_end(shim);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return am_err_errno(err, errno, "cannot make a pair of sockets");
	first = fork();
	if (first == 0) {
		(void)close(fds[0]);
		maker(shim, own_user, fds[1]);
	}
	error = errno;
	(void)close(fds[1]);
	if (first > 0) {
		error = hear(fds[0], &p->pid, NULL);
		(void)waitpid(first, NULL, 0);
	}
	(void)close(fds[0]);
	if (error == 0 && p->pid > 0) {
		p->pid_ns = open_namespace(p->pid, "pid");
		p->user_ns = own_user ? open_namespace(p->pid, "user") : -1;
		if (p->pid_ns >= 0 && (p->user_ns >= 0 || !own_user))
			return 0;
		error = errno;
	}
	shim_pause_end(shim);
	return am_err_errno(err, error, "cannot make the process id namespace that the pod's containers share");
}

bool
shim_pause_reaped(struct shim *shim, pid_t pid)
{
	if (shim->pause.pid != pid)
		return false;
	shim->pause.pid = 0;
	close_namespaces(&shim->pause);
	return true;
}

void
shim_pause_end(struct shim *shim)
{
	/* Its end waits for all that we have to reap, so we do not wait for it here. */
	if (shim->pause.pid > 0)
		(void)kill(shim->pause.pid, SIGKILL);
	shim->pause.pid = 0;
	close_namespaces(&shim->pause);
}

/* ---- a container's user ---- */

int
shim_pause_user(const struct shim *shim, int64_t uid, int64_t gid, struct ambient_error *err)
{
	int fds[2], error, fd = -1, parent = shim->pause.user_ns;
	pid_t ignored = 0, child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return am_err_errno(err, errno, "cannot make a pair of sockets");
	child = fork();
	if (child == 0) {
		int own = -1;

		/* In the first process's namespace we are root, as without one. */
		if (shim_become_user(shim, NULL) == 0 && (parent < 0 || setns(parent, CLONE_NEWUSER) == 0) && unshare(CLONE_NEWUSER) == 0 && map_one(uid, 0, gid, 0) == 0)
			own = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
		say(fds[1], 0, own >= 0 ? 0 : errno, own);
		_exit(0);
	}
	error = errno;
	(void)close(fds[1]);
	if (child > 0) {
		error = hear(fds[0], &ignored, &fd);
		(void)waitpid(child, NULL, 0);
	}
	(void)close(fds[0]);
	return fd >= 0 ? fd : am_err_errno(err, error, "cannot make a user namespace for user %lld", (long long)uid);
}

/* ---- what a container leaves ---- */

/* Of one that ended before its namespace could be held the number alone is known: then it counts only within the pod. */
static bool
is_left(const struct shim *shim, const struct shim_container *c, pid_t pid)
{
	char path[64];
	struct stat st, pod;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &st) < 0 || (int64_t)st.st_ino != c->mount_ns)
		return false;
	if (c->mount_fd >= 0)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return shim->pause.pid_ns >= 0 && fstat(shim->pause.pid_ns, &pod) == 0 && stat(path, &st) == 0 && st.st_ino == pod.st_ino;
}

void
shim_pause_sweep(const struct shim *shim, struct shim_container *c)
{
	struct stat own = {.st_ino = 0};
	bool found = c->mount_ns != 0 && stat("/proc/self/ns/mnt", &own) == 0 && (int64_t)own.st_ino != c->mount_ns;

	/* They may make others while we look; what was killed makes no more. */
	for (int turn = 0; turn < SWEEP_TURNS && found; turn++) {
		DIR *proc = opendir("/proc");

		found = false;
		for (struct dirent *e; proc != NULL && (e = readdir(proc)) != NULL;) {
			int64_t pid;

			if (am_parse_i64(e->d_name, &pid) < 0 || pid <= 1 || pid == shim->pause.pid || pid == getpid() ||
			    !is_left(shim, c, (pid_t)pid))
				continue;
			(void)kill((pid_t)pid, SIGKILL);
			found = true;
		}
		if (proc != NULL)
			(void)closedir(proc);
		if (found)
			(void)usleep(1000);
	}
	if (c->mount_fd >= 0)
		(void)close(c->mount_fd);
	c->mount_fd = -1;
}
