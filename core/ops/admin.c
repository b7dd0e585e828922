/* SPDX-License-Identifier: Apache-2.0 */
/* The admin socket: one thread, one connection at a time, each bounded in time and size. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/counter.h"
#include "core/base/file.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/ops/ops.h"

#define PROTOCOL "ambient-admin/1 "
#define PATIENCE (2 * AM_NS_PER_S)

struct am_admin {
	char *path;
	int fd, wake[2];
	struct am_ops_callbacks callbacks;
	struct am_thread *thread;
};

static int
command_status(struct am_admin *admin, const char *arg am_unused_, struct am_buf *out, struct ambient_error *err am_unused_)
{
	admin->callbacks.status(admin->callbacks.arg, out);
	return 0;
}

static int
command_log_level(struct am_admin *admin am_unused_, const char *arg, struct am_buf *out, struct ambient_error *err)
{
	static const char *const names[] = { "", "error", "warn", "info", "debug" };
	int level = am_log_level_parse(arg);

	if (arg[0] != '\0' && level == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the level is error, warn, info or debug, not \"%.40s\"", arg);
	if (level != 0)
		am_log_set_level(level);
	am_buf_addf(out, "%s\n", names[am_log_level()]);
	return 0;
}

static int
command_metrics(struct am_admin *admin, const char *arg am_unused_, struct am_buf *out, struct ambient_error *err am_unused_)
{
	if (admin->callbacks.refresh != NULL)
		admin->callbacks.refresh(admin->callbacks.arg);
	am_metric_page(out);
	return 0;
}

static int
command_top(struct am_admin *admin, const char *arg am_unused_, struct am_buf *out, struct ambient_error *err)
{
	return admin->callbacks.top(admin->callbacks.arg, out, err);
}

static int
command_cache(struct am_admin *admin, const char *arg am_unused_, struct am_buf *out, struct ambient_error *err)
{
	return admin->callbacks.cache(admin->callbacks.arg, out, err);
}

static int
command_explain(struct am_admin *admin, const char *arg, struct am_buf *out, struct ambient_error *err)
{
	size_t n = strcspn(arg, " ");
	am_auto(am_freep) char *key = am_xstrndup(arg, n);

	if (n == 0 || strchr(arg[n] == ' ' ? arg + n + 1 : "", ' ') != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "say \"explain NAMESPACE/NAME [CONTROLLER]\"");
	return admin->callbacks.explain(admin->callbacks.arg, arg[n] == ' ' ? arg + n + 1 : NULL, key, out, err);
}

#ifdef AM_TEST_HOOKS
static int
command_clock(struct am_admin *admin am_unused_, const char *arg, struct am_buf *out, struct ambient_error *err)
{
	int64_t by;

	if (!am_starts(arg, "advance ") || am_parse_duration(arg + 8, &by) < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "say \"clock advance 30s\"");
	am_clock_hook_advance(by);
	am_buf_adds(out, "advanced\n");
	return 0;
}
#endif

static const struct {
	const char *name;
	int (*run)(struct am_admin *, const char *, struct am_buf *, struct ambient_error *);
} commands[] = {
	{ "status", command_status },
	{ "log-level", command_log_level },
	{ "metrics", command_metrics },
	{ "top", command_top },
	{ "cache", command_cache },
	{ "explain", command_explain },
#ifdef AM_TEST_HOOKS
	{ "clock", command_clock },
#endif
};

static int
dispatch(struct am_admin *admin, const char *line, struct am_buf *out, struct ambient_error *err)
{
	if (!am_starts(line, PROTOCOL))
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "this daemon speaks \"ambient-admin/1\"");
	line += strlen(PROTOCOL);
	size_t n = strcspn(line, " ");
	for (size_t i = 0; i < AM_COUNTOF(commands); i++) {
		if (strlen(commands[i].name) == n && strncmp(commands[i].name, line, n) == 0)
			return commands[i].run(admin, line[n] == ' ' ? line + n + 1 : "", out, err);
	}
	return ambient_err(err, AMBIENT_E_UNSUPPORTED, "there is no command \"%.*s\"", (int)AM_MIN(n, 40), line);
}

/* A line, or what there is of it after 2 s in all; a peer that sends nothing does not hold up the stop either. */
static void
read_line(struct am_admin *admin, int fd, char *line, size_t size)
{
	int64_t until = am_clock_boot(am_clock_real()) + PATIENCE;
	size_t n = 0;

	while (n < size - 1 && memchr(line, '\n', n) == NULL) {
		struct pollfd p[2] = { { fd, POLLIN, 0 }, { admin->wake[0], POLLIN, 0 } };
		int64_t left = until - am_clock_boot(am_clock_real());
		if (left <= 0 || (poll(p, 2, (int)(left / AM_NS_PER_MS) + 1) < 0 && errno != EINTR) || p[1].revents != 0)
			break;
		if (p[0].revents == 0)
			continue;
		ssize_t got = read(fd, line + n, size - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
}

static void
serve(struct am_admin *admin, int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE / AM_NS_PER_S };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf out = { 0 }, answer = { 0 };
	char line[512];

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	read_line(admin, fd, line, sizeof(line));
	if (dispatch(admin, line, &out, &err) < 0)
		am_buf_addf(&answer, PROTOCOL "error %s\n", err.message);
	else
		am_buf_addf(&answer, PROTOCOL "ok\n%s", am_buf_str(&out));
	(void)am_write_all(fd, am_buf_str(&answer), answer.len);
	am_buf_fini(&out);
	am_buf_fini(&answer);
}

static void
run(void *arg)
{
	struct am_admin *admin = arg;

	for (;;) {
		struct pollfd p[2] = { { admin->fd, POLLIN, 0 }, { admin->wake[0], POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents != 0)
			return;
		if (p[0].revents == 0)
			continue;
		int fd = accept4(admin->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			serve(admin, fd);
			(void)close(fd);
		}
	}
}

/* Does a daemon answer there?  Another state directory may share the runtime directory. */
static bool
answered(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0;

	if (fd >= 0)
		(void)close(fd);
	return yes;
}

int
am_admin_start(const char *path, const struct am_ops_callbacks *callbacks, struct am_admin **ret, struct ambient_error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(at.sun_path))
		return ambient_err(err, AMBIENT_E_INVALID, "the socket path \"%s\" is longer than %zu bytes; set ops.socket", path,
				   sizeof(at.sun_path) - 1);
	(void)am_strlcpy(at.sun_path, path, sizeof(at.sun_path));
	if (answered(&at))
		return ambient_err(err, AMBIENT_E_EXISTS, "another daemon answers on \"%s\"; set another \"runtime\" or \"ops.socket\"", path);
	struct am_admin *admin = am_xcalloc(1, sizeof(*admin));
	admin->callbacks = *callbacks;
	admin->path = am_xstrdup(path);
	admin->wake[0] = admin->wake[1] = -1;
	admin->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Nobody answers: a left-over file of a daemon that died. */
	(void)unlink(path);
	mode_t before = umask(0177);
	bool ok = admin->fd >= 0 && bind(admin->fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(admin->fd, 8) == 0;
	int e = errno;
	(void)umask(before);
	if (ok && pipe2(admin->wake, O_CLOEXEC) == 0) {
		admin->thread = am_thread_new("admin", 0, run, admin);
		e = errno;
	}
	if (admin->thread == NULL) {
		am_admin_stop(admin);
		return am_err_errno(err, e, "cannot listen on \"%s\"", path);
	}
	*ret = admin;
	return 0;
}

void
am_admin_stop(struct am_admin *admin)
{
	if (admin == NULL)
		return;
	if (admin->thread != NULL) {
		(void)!write(admin->wake[1], "x", 1);
		am_thread_join(admin->thread);
		(void)unlink(admin->path);
	}
	if (admin->fd >= 0)
		(void)close(admin->fd);
	if (admin->wake[0] >= 0) {
		(void)close(admin->wake[0]);
		(void)close(admin->wake[1]);
	}
	free(admin->path);
	free(admin);
}
