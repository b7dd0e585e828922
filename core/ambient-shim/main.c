/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-shim --spec FD|PATH: reads the specification, takes the pod's lock, goes into the background and runs
 * the pod.  Returns 0 as soon as the first containers have been started (or have failed to, which the state
 * says), 1 with a sentence on standard error when nothing was started, 3 when another shim has this pod, 4 when
 * the pod was started before.  ambient-shim --join FILE…: a hook of podman's runtime, see podman.c; --pause: see pause.c.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"

static int
read_all(int fd, struct am_buf *out, struct ambient_error *err)
{
	char chunk[16384];
	ssize_t n;

	out->max = SHIM_SPEC_MAX;
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return am_err_errno(err, errno, "cannot read the specification");
		am_buf_add(out, chunk, (size_t)n);
		if (out->failed)
			return ambient_err(err, AMBIENT_E_NOMEM, "the specification is larger than %d MiB",
					   SHIM_SPEC_MAX >> 20);
	}
	return 0;
}

static int
read_spec(const char *where, struct am_buf *out, struct ambient_error *err)
{
	int64_t fd;

	if (am_parse_i64(where, &fd) == 0 && fd >= 0 && fd < 1024)
		return read_all((int)fd, out, err);
	return am_file_read(where, SHIM_SPEC_MAX, out, err);
}

/* Returns 0, or the program's exit code: 1, 3 or 4. */
static int
prepare(struct shim *shim, const char *where, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	int rc = read_spec(where, &text, err);

	if (rc == 0)
		rc = shim_spec_parse(shim, am_buf_str(&text), text.len, err);
	if (text.data != NULL)
		explicit_bzero(text.data, text.len); /* environments hold secrets */
	if (rc < 0)
		return 1;
	am_auto(am_freep) char *lock = am_xasprintf("%s/shim.lock", shim->dir);
	shim->lock_fd = am_lock_file(lock, err);
	if (shim->lock_fd < 0)
		return shim->lock_fd == -AMBIENT_E_EXISTS ? 3 : 1;
	for (size_t i = 0; i < shim->count; i++)
		if (shim_filter_read(shim, &shim->containers[i], err) < 0)
			return 1;
	if (shim_volumes_mount(shim, err) < 0)
		return 1;
	rc = shim_state_open(shim, err);
	if (rc < 0)
		return rc == -AMBIENT_E_EXISTS ? 4 : 1;
	return shim_control_open(shim, err) < 0 ? 1 : 0;
}

static void
detach(struct shim *shim)
{
	am_auto(am_freep) char *log = am_xasprintf("%s/shim.log", shim->dir);
	struct rlimit no_core = { 0, 0 };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	sigset_t set;

	(void)dup2(null_fd, 0);
	(void)dup2(null_fd, 1);
	(void)dup2(log_fd >= 0 ? log_fd : null_fd, 2);
	(void)!chdir("/");
	(void)umask(077);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)prctl(PR_SET_NAME, "ambient-shim");
	/* Nobody ends a shim by a friendly signal: the pod is ended through the socket. */
	(void)sigfillset(&set);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	shim->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The second fork: an orphan that leads no session can never get a terminal. */
static int
launch(struct shim *shim)
{
	int ready[2];
	char byte;
	ssize_t n;

	if (pipe2(ready, O_CLOEXEC) < 0 || fflush(NULL) != 0)
		return 1;
	pid_t pid = fork();
	if (pid < 0) {
		fprintf(stderr, "ambient-shim: cannot fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		(void)setsid();
		pid = fork();
		if (pid != 0)
			_exit(pid < 0);
		(void)close(ready[0]);
		detach(shim);
		shim_loop(shim, ready[1]);
		_exit(0);
	}
	(void)close(ready[1]);
	(void)waitpid(pid, NULL, 0);
	do
		n = read(ready[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	fprintf(stderr, "ambient-shim: ended before it had started anything; see shim.log in \"%s\"\n", shim->dir);
	return 1;
}

int
main(int argc, char **argv)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct shim shim = { .state_fd = -1, .lock_fd = -1, .listen_fd = -1, .signal_fd = -1, .pause = { 0, -1, -1 } };

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		printf("ambient-shim " PACKAGE_VERSION " (specification %d, protocol %d)\n", SHIM_SPEC_VERSION,
		       SHIM_PROTOCOL_VERSION);
		return 0;
	}
	if (argc > 2 && strcmp(argv[1], "--join") == 0)
		return shim_podman_hook(argv + 2);
	if (argc == 2 && strcmp(argv[1], "--pause") == 0)
		return shim_pause_run();
	if (argc != 3 || strcmp(argv[1], "--spec") != 0) {
		fprintf(stderr, "usage: ambient-shim --spec FD|PATH\n"
				"Runs the containers of one pod; started by ambientd's node plugin, not by people.\n");
		return 1;
	}
	shim.arena = am_arena_new();
	int rc = prepare(&shim, argv[2], &err);
	if (rc != 0)
		fprintf(stderr, "ambient-shim: %s\n", err.message);
	else
		rc = launch(&shim);
	am_arena_free(shim.arena);
	return rc;
}
