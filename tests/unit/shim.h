/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ambient-shim share: pods in a directory of their own, what they wrote, and their sockets. */
#ifndef TESTS_UNIT_SHIM_H
#define TESTS_UNIT_SHIM_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/spawn.h"
#include "core/base/str.h"
#include "tests/lib/unit.h"

static char top[64], shim[PATH_MAX];
static struct am_buf text;

static am_unused_ void
begin(void)
{
	am_strlcpy(top, "/tmp/ambient-shim-XXXXXX", sizeof(top));
	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert_ptr_nonnull(realpath("core/ambient-shim/ambient-shim", shim));
}

static am_unused_ void
end(void)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(am_remove_tree(top, &err), 0);
	am_buf_fini(&text);
	text = (struct am_buf){ 0 };
}

static am_unused_ const char *
file(const char *pod, const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s/%s", top, pod, name);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	am_buf_reset(&text);
	(void)am_file_read(path, 64 << 20, &text, &err);
	return am_buf_str(&text);
}

static am_unused_ bool
exists(const char *pod, const char *name)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/%s/%s", top, pod, name);

	return access(path, F_OK) == 0;
}

/* Runs the shim on a specification; returns its exit code.  more: further members, each with a comma before. */
static am_unused_ int
run(const char *pod, const char *sandbox, const char *containers, const char *more)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/%s", top, pod);
	am_auto(am_freep) char *spec = am_xasprintf("{\"version\":1,\"dir\":\"%s\",\"socket\":\"%s/sock\",\"hostname\":\"%s\","
		"\"sandbox\":\"%s\"%s,\"containers\":[%s]%s}", dir, dir, pod, sandbox,
		strstr(more, "\"grace\":") == NULL ? ",\"grace\":1" : "", containers, more);
	const char *const argv[] = { shim, "--spec", "0", NULL };
	struct am_spawn spawn = { .argv = argv, .fds = { -1, -1, -1 } };
	struct am_run_result result = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_eq(am_mkdirs(dir, 0700, &err), 0);
	ck_assert_int_eq(am_run(&spawn, spec, strlen(spec), 4096, 20 * AM_NS_PER_S, NULL, &result, &err), 0);
	int code = result.exit_code;
	am_run_result_fini(&result);
	return code;
}

/* One container "c" that runs a shell script. */
static am_unused_ int
sh(const char *pod, const char *sandbox, const char *script, const char *more)
{
	am_auto(am_freep) char *c = am_xasprintf("{\"name\":\"c\",\"argv\":[\"sh\",\"-c\",\"%s\"],\"env\":[\"PATH=/usr/bin:/bin\"]}",
						 script);

	return run(pod, sandbox, c, more);
}

/* Real processes take real time: looks every 5 ms, 15 s at most where nothing is slower. */
static am_unused_ bool
wait_for(const char *pod, const char *name, const char *what)
{
	for (int i = 0; i < unit_looks(3000); i++) {
		if (strstr(file(pod, name), what) != NULL)
			return true;
		(void)usleep(5000);
	}
	fprintf(stderr, "no %s in %s of %s:\n%.2000s\n", what, name, pod, file(pod, name));
	if (strcmp(name, "state.jsonl") != 0)
		fprintf(stderr, "its state:\n%.4000s\n", file(pod, "state.jsonl"));
	return false;
}

static am_unused_ bool
over(const char *pod)
{
	return wait_for(pod, "state.jsonl", "\"rec\":\"end\"");
}

static am_unused_ pid_t
pid_in(const char *pod, const char *record)
{
	const char *p = strstr(file(pod, "state.jsonl"), record);

	p = p != NULL ? strstr(p, "\"pid\":") : NULL;
	return p != NULL ? (pid_t)atoi(p + 6) : 0;
}

static am_unused_ bool
gone(pid_t pid)
{
	for (int i = 0; i < unit_looks(1000); i++) {
		am_auto(am_freep) char *path = am_xasprintf("/proc/%d/stat", (int)pid);
		am_auto(am_buf_fini) struct am_buf stat = { 0 };

		if (am_file_read(path, 4096, &stat, NULL) < 0 || strstr(am_buf_str(&stat), ") Z ") != NULL)
			return true;
		(void)usleep(5000);
	}
	return false;
}

static am_unused_ int
dial(const char *pod)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s/sock", top, pod);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Sends a line, returns what comes until n lines are there. */
static am_unused_ const char *
talk(int fd, const char *line, int n)
{
	static char answer[65536];
	size_t len = 0;

	ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (int)strlen(line));
	while (n > 0 && len < sizeof(answer) - 1) {
		ssize_t r = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);

		if (r <= 0)
			break;
		for (ssize_t i = 0; i < r; i++)
			n -= answer[len + (size_t)i] == '\n';
		len += (size_t)r;
	}
	answer[len] = '\0';
	return answer;
}

static am_unused_ bool
bwrap_works(void)
{
	const char *const argv[] = { "/usr/bin/bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true", NULL };
	struct am_spawn spawn = { .argv = argv, .fds = { -1, -1, -1 } };
	struct am_run_result result = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool works = am_run(&spawn, NULL, 0, 4096, 10 * AM_NS_PER_S, NULL, &result, &err) == 0 && result.exit_code == 0;

	am_run_result_fini(&result);
	return works || unit_required("bwrap");
}

static const char *const sandboxes[] am_unused_ = { "none", "bwrap" };

static am_unused_ size_t
sandbox_count(void)
{
	return bwrap_works() ? 2 : 1;
}

#endif
