/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a container is started.  With bubblewrap: own pid, ipc and uts namespaces, a root made of an empty tmpfs
 * and read-only parts of the machine, the pod's volumes, nothing else; the program is pid 1 there.  All options
 * and the environment travel through a memory file: /proc/<pid>/cmdline of bubblewrap tells nobody a secret.
 * A pod with shareProcessNamespace has one pid namespace, pause.c's.
 * Facts that the code relies on: SIGTERM to bubblewrap itself kills the container at once, so signals go to the
 * program by its pidfd; a program that was never executed leaves no "exit-code" in the status.
 * Without a sandbox ("none", only by configuration): a process with no_new_privs in a session of its own;
 * volumes are links below $STANDALONE_ROOT.  Images of podman's are podman.c's.
 */
#include "core/ambient-shim/shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/spawn.h"
#include "core/base/str.h"

#define PASSWD_MAX (1 << 20)

const char *
shim_container_dir(struct shim *shim, const struct shim_container *c)
{
	return am_arena_printf(shim->arena, "%s/containers/%s", shim->dir, c->name);
}

static void
word(struct am_buf *args, const char *s)
{
	am_buf_add(args, s, strlen(s) + 1);
}

static void
words(struct am_buf *args, const char *const *list)
{
	for (; *list != NULL; list++)
		word(args, *list);
}

/* Directories of the machine (or of an image's root) that hold programs; /bin and its kin are often links. */
static void
add_programs(struct am_buf *args, const char *root)
{
	static const char *const parts[] = { "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", NULL };

	for (size_t i = 0; parts[i] != NULL; i++) {
		char from[PATH_MAX], to[32], link[PATH_MAX];
		struct stat st;
		ssize_t n;

		/* /opt of the machine may hold anything; an image's binds name what it needs of it. */
		if (root[0] == '\0' && strcmp(parts[i], "opt") == 0)
			continue;
		(void)snprintf(from, sizeof(from), "%s/%s", root, parts[i]);
		(void)snprintf(to, sizeof(to), "/%s", parts[i]);
		if (lstat(from, &st) < 0)
			continue;
		if (S_ISLNK(st.st_mode)) {
			n = readlink(from, link, sizeof(link) - 1);
			if (n <= 0)
				continue;
			link[n] = '\0';
			words(args, (const char *const[]){ "--symlink", link, to, NULL });
		} else {
			words(args, (const char *const[]){ "--ro-bind", from, to, NULL });
		}
	}
}

/* The parts of /etc that programs need to resolve names, users, certificates and libraries; no secrets. */
static void
add_etc(struct am_buf *args, const char *root)
{
	static const char *const shared[] = { "alternatives", "passwd", "group", "nsswitch.conf", "ld.so.cache",
		"ld.so.conf", "ld.so.conf.d", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "localtime", "mime.types",
		"services", "protocols", NULL };
	static const char *const machine[] = { "resolv.conf", "hosts", NULL };
	char from[PATH_MAX], to[128];

	for (size_t i = 0; shared[i] != NULL; i++) {
		(void)snprintf(from, sizeof(from), "%s/etc/%s", root, shared[i]);
		(void)snprintf(to, sizeof(to), "/etc/%s", shared[i]);
		words(args, (const char *const[]){ "--ro-bind-try", from, to, NULL });
	}
	for (size_t i = 0; machine[i] != NULL; i++) {
		(void)snprintf(to, sizeof(to), "/etc/%s", machine[i]);
		words(args, (const char *const[]){ "--ro-bind-try", to, to, NULL });
	}
}

/* A daemon of root's gives its pods root's number without its capabilities, and below /proc that number alone opens
 * what belongs to the whole machine: with core_pattern it would be a program that the kernel starts outside.
 * bubblewrap protects these directories only from callers that may write to the directory itself, and nobody may. */
static void
add_proc(struct am_buf *args)
{
	static const char *const read_only[] = { "bus", "fs", "irq", "pressure", "sys", "sysrq-trigger", NULL };
	static const char *const hidden[] = { "kcore", "keys", "latency_stats", "sched_debug", "timer_list", NULL };
	static const char *const empty[] = { "acpi", "asound", "scsi", NULL };
	char path[64];

	for (size_t i = 0; read_only[i] != NULL; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%s", read_only[i]);
		words(args, (const char *const[]){ "--ro-bind-try", path, path, NULL });
	}
	for (size_t i = 0; hidden[i] != NULL; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%s", hidden[i]);
		if (access(path, F_OK) == 0)
			words(args, (const char *const[]){ "--ro-bind", "/dev/null", path, NULL });
	}
	for (size_t i = 0; empty[i] != NULL; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%s", empty[i]);
		if (access(path, F_OK) == 0)
			words(args, (const char *const[]){ "--tmpfs", path, "--remount-ro", path, NULL });
	}
}

static void
word_number(struct am_buf *args, const char *option, int64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", (long long)number);
	words(args, (const char *const[]){ option, text, NULL });
}

/* Namespaces that bubblewrap does not make itself; user: the container's. */
static void
add_shared(const struct shim *shim, int user, struct am_buf *args)
{
	word_number(args, "--pidns", shim->pause.pid_ns);
	if (shim->pause.user_ns >= 0)
		word_number(args, "--userns", shim->pause.user_ns);
	word_number(args, "--userns2", user);
}

static int64_t
user_of(const struct shim *shim, const struct shim_container *c)
{
	return c->uid >= 0 ? c->uid : (int64_t)shim_user(shim);
}

static int64_t
group_of(const struct shim *shim, const struct shim_container *c)
{
	return c->gid >= 0 ? c->gid : (int64_t)shim_group(shim);
}

static bool
other_user(const struct shim *shim, const struct shim_container *c)
{
	return user_of(shim, c) != (int64_t)shim_user(shim) || group_of(shim, c) != (int64_t)shim_group(shim);
}

static int
memory_file(const struct am_buf *bytes)
{
	int fd = memfd_create("args", MFD_CLOEXEC);

	if (fd >= 0 && (am_write_all(fd, bytes->data, bytes->len) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static bool
has_user(const struct am_buf *passwd, int64_t uid)
{
	const char *line = am_buf_str(passwd);

	while (line != NULL && *line != '\0') {
		const char *password = strchr(line, ':'), *number = password != NULL ? strchr(password + 1, ':') : NULL;

		if (number != NULL && strtoll(number + 1, NULL, 10) == uid)
			return true;
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return false;
}

/* Some programs, ssh among them, end when nobody has their number: it gets a line behind those of /etc/passwd, as by
 * CRI-O.  A memory file, or -1 where the file serves as it is. */
static int
passwd_file(const struct shim *shim, const struct shim_container *c)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/etc/passwd", c->root_at != NULL ? c->root_at : "");
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	long long uid = user_of(shim, c), gid = group_of(shim, c);

	if (am_file_read(path, PASSWD_MAX, &text, NULL) < 0 || has_user(&text, uid))
		return -1;
	if (text.len > 0 && text.data[text.len - 1] != '\n')
		am_buf_addc(&text, '\n');
	am_buf_addf(&text, "%lld:x:%lld:%lld:container user:/:/bin/sh\n", uid, uid, gid);
	return text.failed ? -1 : memory_file(&text);
}

/* user, passwd: descriptors, or -1 */
static void
add_options(struct shim *shim, const struct shim_container *c, int user, int passwd, struct am_buf *args)
{
	static const char *const base[] = { "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--die-with-parent",
		"--new-session", "--clearenv", "--cap-drop", "ALL", "--hostname", NULL };
	static const char *const proc[] = { "--proc", "/proc", NULL };
	static const char *const own[] = { "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp",
		"--perms", "1777", "--tmpfs", "/var/tmp", "--tmpfs", "/run", NULL };

	words(args, base);
	word(args, shim->hostname);
	if (shim->share) {
		add_shared(shim, user, args);
	} else {
		words(args, (const char *const[]){ "--unshare-pid", "--as-pid-1", NULL });
		if (other_user(shim, c)) {
			word(args, "--unshare-user");
			word_number(args, "--uid", user_of(shim, c));
			word_number(args, "--gid", group_of(shim, c));
		}
	}
	add_programs(args, c->root_at != NULL ? c->root_at : "");
	add_etc(args, c->root_at != NULL ? c->root_at : "");
	if (passwd >= 0) {
		words(args, (const char *const[]){ "--perms", "0644", NULL });
		word_number(args, "--ro-bind-data", passwd);
		word(args, "/etc/passwd");
	}
	words(args, proc);
	add_proc(args);
	words(args, own);
	for (size_t i = 0; i < c->mount_count; i++)
		words(args, (const char *const[]){ c->mounts[i].read_only ? "--ro-bind" : "--bind", c->mounts[i].at,
						   c->mounts[i].target, NULL });
	words(args, (const char *const[]){ "--bind", c->termination_at, c->termination_path, NULL });
	if (c->read_only_root)
		words(args, (const char *const[]){ "--remount-ro", "/", NULL });
	for (size_t i = 0; c->env[i] != NULL; i++) {
		const char *eq = strchr(c->env[i], '=');

		word(args, "--setenv");
		am_buf_add(args, c->env[i], (size_t)(eq - c->env[i]));
		am_buf_addc(args, '\0');
		word(args, eq + 1);
	}
	words(args, (const char *const[]){ "--chdir", c->cwd, NULL });
}

static void
close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

/* Another user has none of our groups. */
static void
set_user(const struct shim *shim, const struct shim_container *c, struct am_spawn *spec)
{
	static const gid_t none[1];

	spec->groups = c->groups == NULL && shim->user >= 0 ? none : c->groups;
	spec->group_count = c->group_count;
	spec->other_user = shim->user >= 0;
	spec->uid = shim_user(shim);
	spec->gid = shim_group(shim);
}

static int
start_bwrap(struct shim *shim, struct shim_container *c, int input, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf args = { 0 };
	static const char *const no_env[] = { NULL };
	/* The container's session has no terminal until its leader opens one; bubblewrap shows ours as /dev/console.  A session
	 * outside would have bubblewrap in its foreground, which an interrupt from the terminal then ends. */
	static const char *const terminal[] = { "/bin/sh", "-c", "exec \"$@\" <>/dev/console >&0 2>&0", "sh" };
	char args_fd[16], status_fd[16], filter_fd[16];
	const char **argv;
	size_t n = 0, k = 0;
	int fds[2] = { -1, -1 }, fd, filter = -1, user = -1, passwd, rc = 0;

	if (shim->share) {
		user = shim_pause_user(shim, user_of(shim, c), group_of(shim, c), err);
		if (user < 0)
			return user;
	}
	passwd = passwd_file(shim, c);
	add_options(shim, c, user, passwd, &args);
	fd = args.failed ? -1 : memory_file(&args);
	if (fd >= 0 && c->filter_path != NULL)
		filter = shim_filter_fd(c);
	if (fd < 0 || (c->filter_path != NULL && filter < 0))
		rc = am_err_errno(err, errno, "cannot make a memory file");
	else if (pipe2(fds, O_CLOEXEC) < 0)
		rc = am_err_errno(err, errno, "cannot make a pipe");
	(void)snprintf(args_fd, sizeof(args_fd), "%d", fd);
	(void)snprintf(status_fd, sizeof(status_fd), "%d", fds[1]);
	(void)snprintf(filter_fd, sizeof(filter_fd), "%d", filter);
	while (c->argv[n] != NULL)
		n++;
	const char *const head[] = { shim->bwrap, "--args", args_fd, "--json-status-fd", status_fd };

	argv = am_xcalloc(AM_COUNTOF(head) + 3 + AM_COUNTOF(terminal) + n + 1, sizeof(*argv));
	memcpy(argv, head, sizeof(head));
	k = AM_COUNTOF(head);
	if (c->filter_path != NULL) {
		argv[k++] = "--seccomp";
		argv[k++] = filter_fd;
	}
	argv[k++] = "--";
	if (c->tty) {
		memcpy(argv + k, terminal, sizeof(terminal));
		k += AM_COUNTOF(terminal);
	}
	memcpy(argv + k, c->argv, n * sizeof(*argv));
	const int wanted[] = { fd, fds[1], filter, user, passwd, shim->share ? shim->pause.pid_ns : -1, shim->share ? shim->pause.user_ns : -1 };
	int pass[AM_COUNTOF(wanted) + 1];

	k = 0;
	for (size_t i = 0; i < AM_COUNTOF(wanted); i++)
		if (wanted[i] >= 0)
			pass[k++] = wanted[i];
	pass[k] = -1;
	struct am_spawn spec = {
		.argv = argv, .envp = no_env, .cwd = "/", .fds = { input, shim_log_out(c->log), shim_log_err(c->log) }, .join = c->group_fds,
		.pass = pass, .new_session = true, .die_with_parent = true, .umask = SHIM_UMASK,
	};
	set_user(shim, c, &spec);
	if (rc == 0)
		rc = am_spawn(&spec, &c->pid, NULL, err);
	free(argv);
	close_fd(fd);
	close_fd(filter);
	close_fd(user);
	close_fd(passwd);
	close_fd(fds[1]);
	if (rc < 0) {
		close_fd(fds[0]);
		return rc;
	}
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->status_fd = fds[0];
	return 0;
}

/* $STANDALONE_ROOT/<mountPath> -> the volume. */
static int
link_volumes(const struct shim *shim, const struct shim_container *c, struct ambient_error *err)
{
	const char *root = c->links_at;
	mode_t mode = shim->user >= 0 ? 0755 : 0700, before = umask(022);
	int rc = shim->user >= 0 ? 0 : am_remove_tree(root, err);

	if (rc == 0)
		rc = am_mkdirs(root, mode, err);
	for (size_t i = 0; rc == 0 && i < c->mount_count; i++) {
		am_auto(am_freep) char *at = am_xasprintf("%s%s", root, c->mounts[i].target);
		char *slash = strrchr(at, '/');

		*slash = '\0';
		rc = am_mkdirs(at, mode, err);
		*slash = '/';
		/* A mount below another one is reached through it, or not at all. */
		if (rc == 0 && symlink(c->mounts[i].at, at) < 0 && errno != EEXIST)
			rc = am_err_errno(err, errno, "cannot link \"%s\"", at);
	}
	(void)umask(before);
	return rc;
}

static int
start_none(struct shim *shim, struct shim_container *c, int input, struct ambient_error *err)
{
	const char **envp;
	size_t n = 0;
	int rc = link_volumes(shim, c, err);

	if (rc < 0)
		return rc;
	while (c->env[n] != NULL)
		n++;
	envp = am_xcalloc(n + 2, sizeof(*envp));
	memcpy(envp, c->env, n * sizeof(*envp));
	envp[n] = am_arena_printf(shim->arena, "STANDALONE_ROOT=%s", c->links_at);
	struct am_spawn spec = {
		.argv = c->argv, .envp = envp, .cwd = c->cwd, .fds = { input, shim_log_out(c->log), shim_log_err(c->log) }, .join = c->group_fds,
		.new_session = true, .terminal = c->tty, .die_with_parent = true, .no_new_privs = true,
		.umask = SHIM_UMASK,
	};
	set_user(shim, c, &spec);
	rc = am_spawn(&spec, &c->pid, &c->child_fd, err);
	free(envp);
	if (rc == 0)
		c->child = c->pid;
	return rc;
}

/* What the program reads: a terminal, a pipe that stays open for who attaches, or nothing. */
static int
open_input(struct shim_container *c, int *theirs, struct ambient_error *err)
{
	int fds[2] = { -1, -1 }, unlock = 0;

	if (c->tty) {
		fds[1] = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		if (fds[1] >= 0 && ioctl(fds[1], TIOCSPTLCK, &unlock) == 0)
			fds[0] = ioctl(fds[1], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		c->terminal = fds[1];
		if (fds[0] < 0)
			return am_err_errno(err, errno, "cannot open a terminal");
	} else if (c->input) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			return am_err_errno(err, errno, "cannot make a pipe");
		(void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
		c->input_fd = fds[1];
	}
	*theirs = fds[0];
	return 0;
}

static int
start_podman(struct shim *shim, struct shim_container *c, int input, struct ambient_error *err)
{
	char name[64] = "";

	if (c->tty && ptsname_r(c->terminal, name, sizeof(name)) != 0)
		return am_err_errno(err, errno, "cannot open a terminal");
	return shim_podman_start(shim, c, input, c->tty ? name : NULL, err);
}

/* A program may open again what it was given, by its name below /proc. */
static void
give(const struct shim *shim, const int fds[3])
{
	for (int i = 0; i < 3 && shim->user >= 0; i++)
		if (fds[i] >= 0)
			(void)!fchown(fds[i], shim_user(shim), shim_group(shim));
}

static int (*const starters[])(struct shim *, struct shim_container *, int, struct ambient_error *) = {
	[SHIM_BWRAP] = start_bwrap,
	[SHIM_NONE] = start_none,
	[SHIM_PODMAN] = start_podman,
};

int
shim_sandbox_start(struct shim *shim, struct shim_container *c, struct ambient_error *err)
{
	const char *dir = shim_container_dir(shim, c);
	const char *termination = am_arena_printf(shim->arena, "%s/termination-log", dir);
	int rc, fd, theirs = -1;

	if (dir == NULL || termination == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	rc = am_mkdirs(dir, 0700, err);
	if (rc < 0)
		return rc;
	(void)unlink(termination);
	fd = open(termination, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0)
		return am_err_errno(err, errno, "cannot make \"%s\"", termination);
	/* Whoever the program is; nobody else comes as far as the pod's directory. */
	(void)fchmod(fd, 0666);
	(void)close(fd);
	c->child = 0;
	c->child_fd = c->status_fd = c->status_code = -1;
	rc = open_input(c, &theirs, err);
	if (rc < 0)
		return rc;
	c->log = shim_log_open(dir, c->restart, (const int[]){ c->terminal, theirs }, err);
	if (c->log == NULL)
		rc = -err->code;
	else
		rc = shim_volumes_stage(shim, c, err);
	if (rc == 0)
		give(shim, (const int[]){ theirs, shim_log_out(c->log), shim_log_err(c->log) });
	if (rc == 0)
		rc = starters[c->sandbox](shim, c, theirs, err);
	if (theirs >= 0)
		(void)close(theirs);
	if (c->log != NULL)
		shim_log_close_child(c->log);
	return rc;
}

bool
shim_sandbox_executed(struct shim *shim, const struct shim_container *c)
{
	char link[64], exe[PATH_MAX], bwrap[PATH_MAX];
	ssize_t n;

	if (c->child <= 0)
		return false;
	if (c->sandbox == SHIM_PODMAN)
		return true; /* told only when it has been */
	(void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)c->child);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	return realpath(shim->bwrap, bwrap) == NULL || strcmp(exe, bwrap) != 0;
}

long
shim_stat_field(pid_t pid, int index)
{
	am_auto(am_freep) char *path = am_xasprintf("/proc/%d/stat", (int)pid);
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	char *p;

	if (am_file_read(path, 4096, &text, NULL) < 0 || (p = strrchr(text.data, ')')) == NULL)
		return -1;
	for (p += 2; index > 0 && (p = strchr(p, ' ')) != NULL; index--)
		p++;
	return p != NULL ? strtol(p, NULL, 10) : -1;
}

void
shim_sandbox_sweep(struct shim *shim, struct shim_container *c)
{
	pid_t self = getpid();
	DIR *proc;

	if (shim->share && c->sandbox != SHIM_NONE)
		shim_pause_sweep(shim, c);
	if (c->sandbox != SHIM_NONE)
		return;
	/* As the subreaper we inherit orphans; those of its session were the container's.  Killing one orphan
	 * may make its children ours, hence the rounds. */
	for (int round = 0; round < 20; round++) {
		bool found = false;

		proc = opendir("/proc");
		if (proc == NULL)
			return;
		for (struct dirent *e; (e = readdir(proc)) != NULL;) {
			int64_t pid;

			if (am_parse_i64(e->d_name, &pid) < 0 || pid <= 1 || shim_stat_field((pid_t)pid, 1) != self ||
			    shim_stat_field((pid_t)pid, 3) != c->child)
				continue;
			(void)kill((pid_t)pid, SIGKILL);
			found = true;
		}
		(void)closedir(proc);
		if (!found)
			return;
		(void)usleep(1000);
	}
}
