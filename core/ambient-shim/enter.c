/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process in a running container: for probes and hooks, and for who wants to look inside.  It has the
 * container's namespaces, environment, user and control groups, and as little power as the container: no
 * capability, not even in the bounding set, and no new privileges.  In a container of podman's that is less than the
 * program has, which podman leaves some capabilities.
 *
 * A process id namespace is entered only by one's children, so there are two forks: a helper joins the
 * namespaces and makes the process as its own sibling (CLONE_PARENT), which is then our child as any other: we
 * reap it, and it dies with us.  The helper's word comes through a close-on-exec socket: the process number, then an
 * errno when the program could not be executed.
 *
 * A terminal is opened by the process itself, so that it is one of the container's own and has a name there; its
 * master comes through the same socket.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/str.h"

#define GROUPS_MAX 64

struct word {
	int32_t pid, error;
};

/* Who the container's process is, in its own user namespace, where we do not say it ourselves. */
struct identity {
	bool known;
	uid_t uid;
	gid_t gid, groups[GROUPS_MAX];
	size_t group_count;
	const char *const *env;
};

/* What the helper's process is to be. */
struct command {
	const struct shim *shim;
	const struct shim_container *c;
	const char *const *argv;
	int std[3];
	bool tty;
	int word_fd;
};

/* master: goes along; -1: none. */
static int
tell(int fd, pid_t pid, int error, int master)
{
	struct word w = { (int32_t)pid, error };

	return shim_send(fd, &w, sizeof(w), master) ? 0 : -1;
}

static int
become_user(const struct identity *id)
{
	if (!id->known)
		return 0;
	if (setgroups(id->group_count, id->groups) < 0 || setresgid(id->gid, id->gid, id->gid) < 0)
		return -1;
	return setresuid(id->uid, id->uid, id->uid);
}

static int
drop_power(const struct identity *id)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		/* Who may not has no power to pass on, and gains none without new privileges. */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || become_user(id) < 0 || syscall(SYS_capset, &head, none) < 0)
		return -1;
	return 0;
}

/* execvp searches our PATH, which therefore becomes the container's. */
static void
execute(const struct command *cmd, const struct identity *id)
{
	union {
		const char *const *in;
		char *const *out;
	} a = {.in = cmd->argv};
	const char *const *env = id->env != NULL ? id->env : cmd->c->env;

	(void)clearenv();
	if (cmd->tty)
		(void)setenv("TERM", "xterm", 1);
	if (cmd->c->sandbox == SHIM_NONE)
		(void)setenv("STANDALONE_ROOT", cmd->c->links_at, 1);
	for (size_t i = 0; env[i] != NULL; i++)
		(void)putenv((char *)(uintptr_t)env[i]);
	(void)execvp(cmd->argv[0], a.out);
}

/* A new terminal of the container's becomes this session's and fds. */
static int
open_terminal(int fds[3], int word_fd)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0, slave = -1;

	if (master >= 0 && ioctl(master, TIOCSPTLCK, &unlock) == 0)
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || tell(word_fd, 0, 0, master) < 0)
		return -1;
	fds[0] = fds[1] = fds[2] = slave;
	return 0;
}

static void
become(const struct command *cmd, const struct identity *id)
{
	int fds[3] = {cmd->std[0], cmd->std[1], cmd->std[2]}, word_fd = cmd->word_fd;
	sigset_t none;

	(void)setsid();
	if (cmd->tty && open_terminal(fds, word_fd) < 0)
		goto fail;
	for (int i = 0; i < 3; i++) {
		int fd = fds[i] >= 0 ? fds[i] : open("/dev/null", O_RDWR | O_CLOEXEC);

		fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 64);
		/* Above 63 none is in the way of 0 to 2. */
		if (fd < 0 || dup2(fd, i) < 0)
			goto fail;
	}
	word_fd = fcntl(word_fd, F_DUPFD_CLOEXEC, 64);
	(void)syscall(SYS_close_range, 3, word_fd - 1, 0);
	(void)syscall(SYS_close_range, word_fd + 1, ~0U, 0);
	if (chdir(cmd->c->cwd) < 0 || drop_power(id) < 0)
		goto fail;
	/* After the change of credentials, which forgets it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int s = 1; s < NSIG; s++)
		(void)signal(s, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)umask(SHIM_UMASK);
	if (cmd->c->filter_path != NULL && shim_filter_install(cmd->c) < 0)
		goto fail;
	execute(cmd, id);
fail:
	(void)tell(word_fd, 0, errno, -1);
	_exit(127);
}

static bool
same(const char *a, int b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Those that the container does not share with us; one that is shared may not be joined without being root. */
static int
others(const struct shim_container *c)
{
	static const struct {
		const char *name;
		int flag;
	} all[] = {{"mnt", CLONE_NEWNS},  {"pid", CLONE_NEWPID}, {"ipc", CLONE_NEWIPC},
		   {"uts", CLONE_NEWUTS}, {"net", CLONE_NEWNET}, {"cgroup", CLONE_NEWCGROUP}};
	char ours[64], theirs[64];
	struct stat x, y;
	int flags = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		(void)snprintf(ours, sizeof(ours), "/proc/self/ns/%s", all[i].name);
		(void)snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", (int)c->child, all[i].name);
		if (stat(ours, &x) < 0 || stat(theirs, &y) < 0 || x.st_ino != y.st_ino)
			flags |= all[i].flag;
	}
	return flags;
}

/* Started by an ordinary user, bubblewrap makes the namespaces as the root of one user namespace and goes on in a
 * second one below it, as the user: only the first has power over them, so it is joined before them. */
static int
join(const struct shim_container *c)
{
	static const char own[] = "/proc/self/ns/user";
	int flags = others(c), user, parent, rc = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)c->child);
	user = open(path, O_RDONLY | O_CLOEXEC);
	if (user < 0)
		return -1;
	if (same(own, user))
		return setns(c->child_fd, flags);
	parent = ioctl(user, NS_GET_PARENT);
	if (parent < 0 || same(own, parent))
		rc = setns(c->child_fd, flags | CLONE_NEWUSER);
	else if (setns(parent, CLONE_NEWUSER) == 0 && setns(c->child_fd, flags) == 0)
		rc = setns(user, CLONE_NEWUSER);
	return rc;
}

/* The lines of /proc/<pid>/status that say who it is, read in the namespace whose numbers they shall be. */
static bool
read_identity(int proc, struct identity *id)
{
	char text[8192];
	size_t len = 0;
	ssize_t n;
	const char *uid, *gid, *groups;
	int fd = openat(proc, "status", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && len < sizeof(text) - 1 && (n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		(void)close(fd);
	text[len] = '\0';
	uid = strstr(text, "\nUid:\t");
	gid = strstr(text, "\nGid:\t");
	groups = strstr(text, "\nGroups:\t");
	if (uid == NULL || gid == NULL || groups == NULL)
		return false;
	id->uid = (uid_t)strtoul(uid + strlen("\nUid:\t"), NULL, 10);
	id->gid = (gid_t)strtoul(gid + strlen("\nGid:\t"), NULL, 10);
	for (const char *p = groups + strlen("\nGroups:\t"); *p >= '0' && *p <= '9' && id->group_count < GROUPS_MAX;) {
		char *end;

		id->groups[id->group_count++] = (gid_t)strtoul(p, &end, 10);
		p = *end == ' ' ? end + 1 : end;
	}
	id->known = true;
	return true;
}

/* A container of podman's is what its image and podman made of it: its process says who it is and what its environment
 * is.  That /proc/<pid> was the process's is shown by its descriptor, by which its namespaces are joined last. */
static int
join_podman(const struct shim *shim, const struct shim_container *c, struct identity *id)
{
	char path[64];
	int proc, user, rc = -1, flags = others(c);

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)c->child);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	user = proc >= 0 ? openat(proc, "ns/user", O_RDONLY | O_CLOEXEC) : -1;
	if (user < 0 || (!same("/proc/self/ns/user", user) && setns(user, CLONE_NEWUSER) < 0))
		return -1;
	id->env = shim_podman_env(shim->arena, proc);
	if (id->env == NULL || !read_identity(proc, id))
		errno = EACCES;
	else
		rc = setns(c->child_fd, flags);
	return rc;
}

static int
enter_groups(const struct shim_container *c)
{
	for (size_t i = 0; i < SHIM_GROUPS_MAX && c->group_fds[i] >= 0; i++)
		if (write(c->group_fds[i], "0", 1) != 1)
			return -1;
	return 0;
}

static void
helper(const struct command *cmd)
{
	const struct shim_container *c = cmd->c;
	struct identity id = {.known = false};
	pid_t pid;

	if (enter_groups(c) < 0 || (c->sandbox != SHIM_PODMAN && shim_become_user(cmd->shim, c) < 0) ||
	    (c->sandbox == SHIM_BWRAP && join(c) < 0) ||
	    (c->sandbox == SHIM_PODMAN && join_podman(cmd->shim, c, &id) < 0)) {
		(void)tell(cmd->word_fd, 0, errno, -1);
		_exit(127);
	}
	pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		become(cmd, &id);
	(void)tell(cmd->word_fd, pid > 0 ? pid : 0, pid > 0 ? 0 : errno, -1);
	_exit(pid > 0 ? 0 : 127);
}

int
shim_enter(const struct shim *shim, const struct shim_container *c, const char *const *argv, const int std[3],
	   int *ret_master, pid_t *ret_pid, int *ret_pidfd, struct ambient_error *err)
{
	int word_fds[2], error = ESRCH, master = -1, fd;
	struct word w = { 0, 0 };
	bool failed = false;
	pid_t pid = 0, first;

	if (c->child_fd < 0 || c->reaped)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "container \"%s\" does not run", c->name);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, word_fds) < 0)
		return am_err_errno(err, errno, "cannot make a pair of sockets");
	for (int i = 0; i < 3 && shim->user >= 0; i++)
		if (std[i] >= 0)
			(void)!fchown(std[i], shim_user(shim), shim_group(shim));
	first = fork();
	if (first == 0)
		helper(&(const struct command){.shim = shim,
					       .c = c,
					       .argv = argv,
					       .std = {std[0], std[1], std[2]},
					       .tty = ret_master != NULL,
					       .word_fd = word_fds[1]});
	if (first < 0)
		error = errno;
	(void)close(word_fds[1]);
	while (first > 0 && shim_recv(word_fds[0], &w, sizeof(w), &fd, 1) == (ssize_t)sizeof(w)) {
		/* The words come in any order. */
		master = fd >= 0 ? fd : master;
		pid = w.pid > 0 ? w.pid : pid;
		error = failed ? error : w.error;
		failed = error != 0;
	}
	(void)close(word_fds[0]);
	if (first > 0)
		(void)waitpid(first, NULL, 0);
	if (pid > 0 && error == 0) {
		*ret_pid = pid;
		*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (ret_master != NULL)
			*ret_master = master;
		return 0;
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (master >= 0)
		(void)close(master);
	return am_err_errno(err, error, "cannot start \"%s\" in container \"%s\"", argv[0], c->name);
}
