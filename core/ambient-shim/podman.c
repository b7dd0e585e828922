/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of podman's.  Each instance has a keeper, a child of the shim's that says on status_fd what bubblewrap
 * says of its own: {"child-pid":N,"parent":N} once the program has been executed, {"exit-code":N} at its end.  So the
 * rest of the shim does not know the difference.
 *
 * podman starts the container and leaves; conmon, which it leaves behind, is the keeper's child, since the keeper is
 * its subreaper.  The log driver is passthrough: the program writes into the shim's own pipes.  When conmon has ended,
 * podman says the exit code, and the container is removed; only then the keeper ends.  When the shim ends first,
 * however that happens, or wants the container dead before it has come up, the keeper gets SIGTERM and removes it. What
 * survives a keeper that was killed is removed by the node, under the same name.
 *
 * Podman makes no control groups (--cgroups=disabled): a hook of its runtime puts the program into the shim's before it
 * is executed, so limits and what the kernel killed are the same files as for any other container.
 *
 * The environment travels in a memory file of lines.  What is no line (a value with a newline, a very long one) travels
 * as a secret of podman's, which is gone as soon as the container runs.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/spawn.h"
#include "core/base/str.h"
#include "core/data/scan.h"

#define COMMAND_TIME (60 * AM_NS_PER_S) /* of podman's that only write something down */
#define REMOVE_TRIES 3
#define LINE_MAX_ENV 32768 /* podman reads lines of at most 64 KiB */
#define WORDS_MAX    1024

struct keeper {
	struct shim *shim;
	struct shim_container *c;
	char *name; /* ambient-<uid>-<container> */
	char *pid_file, *conmon_file;
	const char *argv[WORDS_MAX];
	size_t n;
	bool too_many;
	size_t secrets;
	bool remove; /* somebody wants it gone */
};

static void
word(struct keeper *k, const char *s)
{
	if (k->n + 1 < WORDS_MAX)
		k->argv[k->n++] = s;
	else
		k->too_many = true;
	k->argv[k->n] = NULL;
}

static void
words(struct keeper *k, const char *const *list)
{
	for (; *list != NULL; list++)
		word(k, *list);
}

/* podman and its own options. */
static void
begin(struct keeper *k)
{
	k->n = 0;
	word(k, k->c->podman.path);
	words(k, k->c->podman.options);
}

/* A short command; its output, or NULL when it failed. */
static char *
command(struct keeper *k, const char *const *list, const char *input)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_run_result result = {0};
	char *out = NULL;

	begin(k);
	words(k, list);
	struct am_spawn spec = {.argv = k->argv, .cwd = "/", .fds = {-1, -1, -1}, .die_with_parent = true};
	if (am_run(&spec, input, input != NULL ? strlen(input) : 0, 4096, COMMAND_TIME, NULL, &result, &err) < 0)
		fprintf(stderr, "%s\n", err.message);
	else if (result.exit_code != 0)
		fprintf(stderr, "podman %s: %s\n", list[0], am_buf_str(&result.err));
	else
		out = am_xstrdup(am_buf_str(&result.out));
	am_run_result_fini(&result);
	return out;
}

static bool
run(struct keeper *k, const char *const *list, const char *input)
{
	am_auto(am_freep) char *out = command(k, list, input);

	return out != NULL;
}

static void
remove_container(struct keeper *k)
{
	const char *const rm[] = {"rm", "--force", "--volumes", "--ignore", "--time", "0", k->name, NULL};

	for (int i = 0; i < REMOVE_TRIES && !run(k, rm, NULL); i++)
		(void)usleep(100000);
}

/* ---- the environment ---- */

static char *
secret_name(const struct keeper *k, size_t i)
{
	return am_xasprintf("%s-%zu", k->name, i);
}

static void
remove_secrets(struct keeper *k)
{
	for (; k->secrets > 0; k->secrets--) {
		am_auto(am_freep) char *name = secret_name(k, k->secrets - 1);

		(void)run(k, (const char *const[]){"secret", "rm", name, NULL}, NULL);
	}
}

static bool
is_line(const char *pair)
{
	return strpbrk(pair, "\r\n") == NULL && strlen(pair) < LINE_MAX_ENV;
}

/* Those that are no lines; they are told to podman by set_environment. */
static bool
make_secrets(struct keeper *k)
{
	for (size_t i = 0; k->c->env[i] != NULL; i++) {
		am_auto(am_freep) char *name = secret_name(k, k->secrets);

		if (is_line(k->c->env[i]))
			continue;
		const char *const create[] = {"secret", "create", name, "-", NULL};
		const char *value = strchr(k->c->env[i], '=') + 1;

		/* One of that name was left by a keeper that was killed. */
		if (!run(k, create, value) &&
		    (!run(k, (const char *const[]){"secret", "rm", name, NULL}, NULL) || !run(k, create, value)))
			return false;
		k->secrets++;
	}
	return true;
}

/* -1: it cannot be made. */
static int
set_environment(struct keeper *k)
{
	int fd = memfd_create("env", MFD_CLOEXEC);
	size_t secret = 0;

	for (size_t i = 0; k->c->env[i] != NULL && fd >= 0; i++) {
		const char *pair = k->c->env[i];
		int n = (int)(strchr(pair, '=') - pair);

		if (is_line(pair)) {
			if (am_write_all(fd, pair, strlen(pair)) < 0 || am_write_all(fd, "\n", 1) < 0)
				goto fail;
			continue;
		}
		am_auto(am_freep) char *name = secret_name(k, secret++);
		word(k, "--secret");
		word(k, am_xasprintf("%s,type=env,target=%.*s", name, n, pair));
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0) {
		word(k, "--env-file");
		word(k, am_xasprintf("/proc/self/fd/%d", fd));
		return fd;
	}
fail:
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

const char *const *
shim_podman_env(struct am_arena *arena, int proc_fd)
{
	am_auto(am_buf_fini) struct am_buf all = {.max = 4 << 20};
	char chunk[16384];
	const char **list;
	size_t count = 0, i = 0;
	int fd = openat(proc_fd, "environ", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		am_buf_add(&all, chunk, (size_t)n);
	if (fd >= 0)
		(void)close(fd);
	if (n < 0 || all.failed)
		return NULL;
	am_buf_addc(&all, '\0');
	for (size_t at = 0; at < all.len; at++)
		count += all.data[at] == '\0';
	list = am_arena_zalloc(arena, (count + 1) * sizeof(*list));
	for (char *p = all.data; list != NULL && p < all.data + all.len; p += strlen(p) + 1)
		if (strchr(p, '=') != NULL && p[0] != '=')
			list[i++] = am_arena_strdup(arena, p);
	return list;
}

/* ---- the command ---- */

/* {"version":"1.0.0",…}: this program, told the files of the groups; in a directory of its own, which podman reads. */
static bool
add_hook(struct keeper *k)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/hooks", shim_container_dir(k->shim, k->c));
	am_auto(am_freep) char *path = am_xasprintf("%s/groups.json", dir);
	am_auto(am_buf_fini) struct am_buf json = {0};
	/* Named directories stand in the place of these two. */
	static const char *const usual[] = {"/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"};
	const struct shim_groups *groups = &k->shim->groups;
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (groups->version == 0)
		return true;
	if (n <= 0 || am_mkdirs(dir, 0700, NULL) < 0)
		return false;
	self[n] = '\0';
	am_json_addf(&json, "{\"version\":\"1.0.0\",\"hook\":{\"path\":%s,\"args\":[\"ambient-shim\",\"--join\"", self);
	for (size_t i = 0; i < groups->count; i++) {
		am_auto(am_freep) char *procs = am_xasprintf("%s/pod%s/%s/cgroup.procs", groups->dirs[i],
							     strrchr(k->shim->dir, '/') + 1, k->c->name);

		if (groups->dirs[i][0] != '\0')
			am_json_addf(&json, ",%s", procs);
	}
	am_buf_adds(&json, "]},\"when\":{\"always\":true},\"stages\":[\"createRuntime\"]}\n");
	if (json.failed || am_file_write(path, json.data, json.len, 0600, NULL) < 0)
		return false;
	for (size_t i = 0; i < AM_COUNTOF(usual); i++)
		if (access(usual[i], F_OK) == 0)
			words(k, (const char *const[]){"--hooks-dir", usual[i], NULL});
	words(k, (const char *const[]){"--hooks-dir", am_xstrdup(dir), NULL});
	return true;
}

int
shim_podman_hook(char *const *files)
{
	char text[65536];
	size_t len = 0;
	ssize_t n;
	char pid[24];

	while (len < sizeof(text) && (n = read(0, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	int64_t number = am_json_check(text, len, NULL) == 0 ? am_json_int(am_slice(text, len), "/pid", 0) : 0;
	if (number <= 1) {
		fprintf(stderr, "ambient-shim: the runtime said no process number\n");
		return 1;
	}
	(void)snprintf(pid, sizeof(pid), "%lld", (long long)number);
	for (; *files != NULL; files++) {
		int fd = open(*files, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0 || am_write_all(fd, pid, strlen(pid)) < 0) {
			fprintf(stderr, "ambient-shim: cannot join %s: %s\n", *files, strerror(errno));
			return 1;
		}
		(void)close(fd);
	}
	return 0;
}

/* Without the right to raise limits podman's own defaults would be refused: the container has ours. */
static void
add_ulimits(struct keeper *k)
{
	static const struct {
		const char *name;
		int which;
	} all[] = {{"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}};
	am_auto(am_buf_fini) struct am_buf text = {0};
	int64_t pids = 0;
	struct rlimit limit;

	/* podman takes its own number of processes down to this. */
	if (am_file_read("/proc/sys/kernel/pid_max", 64, &text, NULL) == 0)
		pids = strtoll(am_buf_str(&text), NULL, 10);
	for (size_t i = 0; i < AM_COUNTOF(all); i++) {
		if (getrlimit(all[i].which, &limit) < 0)
			continue;
		if (all[i].which == RLIMIT_NPROC && pids > 0)
			limit.rlim_max = AM_MIN(limit.rlim_max, (rlim_t)pids);
		limit.rlim_cur = AM_MIN(limit.rlim_cur, limit.rlim_max);
		if (limit.rlim_max == RLIM_INFINITY)
			continue;
		word(k, "--ulimit");
		word(k, am_xasprintf("%s=%llu:%llu", all[i].name, (unsigned long long)limit.rlim_cur,
				     (unsigned long long)limit.rlim_max));
	}
}

static void
add_mounts(struct keeper *k, const char *terminal)
{
	const struct shim_container *c = k->c;

	for (size_t i = 0; i < c->mount_count; i++) {
		word(k, "--volume");
		word(k, am_xasprintf("%s:%s:%s", c->mounts[i].source, c->mounts[i].target,
				     c->mounts[i].read_only ? "ro" : "rw"));
	}
	word(k, "--volume");
	word(k, am_xasprintf("%s/termination-log:%s:rw", shim_container_dir(k->shim, k->c), c->termination_path));
	if (terminal != NULL) {
		word(k, "--volume");
		word(k, am_xasprintf("%s:/dev/console:rw,dev", terminal));
	}
}

/* Starts it; true when podman has. */
static bool
add_run(struct keeper *k, const char *terminal, int *env_fd)
{
	static const char *const fixed[] = {"--detach",           "--replace",
					    "--pull=never",       "--log-driver=passthrough",
					    "--cgroups=disabled", "--no-hosts",
					    "--http-proxy=false", "--systemd=false",
					    "--sdnotify=ignore",  "--no-healthcheck",
					    "--init=false",       "--read-only-tmpfs=false",
					    "--entrypoint=",      NULL};
	/* As with bubblewrap: the terminal is opened by who shall own it. */
	static const char *const wrap[] = {"/bin/sh", "-c", "exec \"$@\" <>/dev/console >&0 2>&0", "sh", NULL};
	const struct shim_container *c = k->c;

	begin(k);
	if (!add_hook(k))
		return false;
	word(k, "run");
	words(k, fixed);
	words(k, (const char *const[]){"--name", k->name, "--pidfile", k->pid_file, "--conmon-pidfile", k->conmon_file,
				       "--hostname", k->shim->hostname, "--workdir", c->cwd, NULL});
	word(k, c->read_only_root ? "--read-only" : "--read-only=false");
	if (c->unconfined)
		words(k, (const char *const[]){"--security-opt", "seccomp=unconfined", NULL});
	if (c->profile != NULL)
		words(k, (const char *const[]){"--security-opt", am_arena_printf(k->shim->arena, "seccomp=%s", c->profile), NULL});
	*env_fd = set_environment(k);
	if (*env_fd < 0)
		return false;
	add_ulimits(k);
	add_mounts(k, terminal);
	words(k, c->podman.args);
	word(k, c->podman.image);
	if (terminal != NULL)
		words(k, wrap);
	words(k, c->argv);
	return !k->too_many;
}

/* ---- the keeper ---- */

/* Waits for one child, reaping all; false: there is none, or, with k->remove, it shall go. */
static bool
await_child(struct keeper *k, pid_t pid, int *status)
{
	siginfo_t info;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	for (;;) {
		int s = 0;
		pid_t got;

		while ((got = waitpid(-1, &s, WNOHANG)) > 0)
			if (got == pid) {
				*status = s;
				return true;
			}
		if (got < 0 && errno == ECHILD)
			return false; /* it was somebody else's, or never there */
		if (sigwaitinfo(&set, &info) == SIGTERM) {
			k->remove = true;
			return false;
		}
	}
}

static pid_t
pid_of(const char *path)
{
	am_auto(am_buf_fini) struct am_buf text = {0};

	if (am_file_read(path, 64, &text, NULL) < 0)
		return 0;
	return (pid_t)strtol(am_buf_str(&text), NULL, 10);
}

/* podman lends nobody a terminal: the program opens its own (add_run), and what podman says is passed on. */
static void
pass_on(int said, int to)
{
	char text[4096];
	ssize_t n = pread(said, text, sizeof(text), 0);

	if (n > 0)
		(void)am_write_all(to, text, (size_t)n);
}

/* To the container's user, when he is a number. */
static void
give_terminal(const struct keeper *k, int terminal)
{
	for (size_t i = 0; k->c->podman.args[i] != NULL; i++) {
		const char *user = k->c->podman.args[i];
		char *end;

		if (!am_starts(user, "--user="))
			continue;
		user += strlen("--user=");
		unsigned long uid = strtoul(user, &end, 10);
		if (end > user && (*end == '\0' || *end == ':'))
			(void)!fchown(terminal, (uid_t)uid, (gid_t)-1);
	}
}

/* podman itself, until it has started the container. */
static bool
start(struct keeper *k, const int std[3], const char *terminal)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int status = 0, env_fd = -1, said = -1;
	pid_t pid = 0;

	(void)unlink(k->pid_file);
	(void)unlink(k->conmon_file);
	if (!make_secrets(k) || !add_run(k, terminal, &env_fd)) {
		dprintf(std[2], "Error: the container cannot be told to podman; see shim.log of the pod\n");
		return false;
	}
	struct am_spawn spec = {.argv = k->argv,
				.cwd = "/",
				.fds = {std[0], std[1], std[2]},
				.die_with_parent = true,
				.pass = (const int[]){env_fd, -1}};
	if (terminal != NULL) {
		said = memfd_create("said", MFD_CLOEXEC);
		spec.fds[0] = -1;
		spec.fds[1] = spec.fds[2] = said;
		give_terminal(k, std[1]);
	}
	if (am_spawn(&spec, &pid, NULL, &err) < 0) {
		dprintf(std[2], "Error: %s\n", err.message);
		return false;
	}
	(void)close(env_fd);
	if (!await_child(k, pid, &status)) {
		(void)kill(-pid, SIGTERM);
		(void)waitpid(pid, NULL, 0);
		return false;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (terminal != NULL)
		pass_on(said, std[1]);
	return false;
}

/* Until the container has ended; its exit code. */
static int
keep(struct keeper *k, int status_fd)
{
	pid_t child = pid_of(k->pid_file), conmon = pid_of(k->conmon_file);
	int status = 0, code = 137;

	(void)dprintf(status_fd, "{\"child-pid\":%d,\"parent\":%d}\n", (int)child, (int)conmon);
	if (!await_child(k, conmon, &status) && k->remove) {
		remove_container(k);
		k->remove = false;
		(void)await_child(k, conmon, &status);
	}
	if (WIFEXITED(status))
		code = WEXITSTATUS(status);
	am_auto(am_freep) char *said = command(
		k, (const char *const[]){"container", "inspect", "--format", "{{.State.ExitCode}}", k->name, NULL},
		NULL);
	char *end = said;
	long number = said != NULL ? strtol(said, &end, 10) : -1;

	return end != said && number >= 0 && number < 256 ? (int)number : code;
}

static void
keeper(struct shim *shim, struct shim_container *c, pid_t parent, const int std[3], const char *terminal, int status_fd)
{
	const char *dir = shim_container_dir(shim, c);
	struct keeper k = {.shim = shim, .c = c};
	int code = -1;
	sigset_t set;

	(void)prctl(PR_SET_NAME, "ambient-podman");
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)sigfillset(&set);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	k.name = am_xasprintf("ambient-%s-%s", strrchr(shim->dir, '/') + 1, c->name);
	k.pid_file = am_xasprintf("%s/pid", dir);
	k.conmon_file = am_xasprintf("%s/conmon.pid", dir);
	bool started = start(&k, std, terminal);

	remove_secrets(&k);
	/* A terminal ends when nobody has it open; the program comes to that a moment later. */
	for (int i = 0; i < 3; i++)
		if (std[i] > 2 && terminal == NULL)
			(void)close(std[i]);
	if (started)
		code = keep(&k, status_fd);
	remove_container(&k);
	if (code >= 0)
		(void)dprintf(status_fd, "{\"exit-code\":%d}\n", code);
	_exit(0);
}

int
shim_podman_start(struct shim *shim, struct shim_container *c, int input, const char *terminal,
		  struct ambient_error *err)
{
	const int given[3] = {input, shim_log_out(c->log), shim_log_err(c->log)};
	pid_t self = getpid(), pid;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return am_err_errno(err, errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		const int keep[] = {given[1], given[2], fds[1], -1};

		/* The shim's lock, socket and clients are not the keeper's: the shim's end must show. */
		am_close_all_but(keep, input);
		keeper(shim, c, self, given, terminal, fds[1]);
	}
	(void)close(fds[1]);
	if (pid < 0) {
		(void)close(fds[0]);
		return am_err_errno(err, errno, "cannot fork");
	}
	c->pid = pid;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->status_fd = fds[0];
	return 0;
}
