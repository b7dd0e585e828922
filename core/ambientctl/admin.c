/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's admin socket, for the commands that ask the daemon itself.  One line is sent, "ambient-admin/1 COMMAND",
 * and the answer is read to its end, at most 16 MiB in ten seconds.  Where the socket is: --socket, else where
 * ambientd(8) puts it for this user, else for the system.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/ambientctl/ctl.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#define PROTOCOL   "ambient-admin/1 "
#define PATIENCE   (10 * AM_NS_PER_S)
#define ANSWER_MAX (16 << 20)

const struct ctl_option ctl_admin_options[] = {
	{"socket", 0, "PATH", "the daemon's admin socket"},
	{NULL, 0, NULL, NULL},
};

static char *
below(const char *variable, const char *path)
{
	const char *value = getenv(variable);

	return am_empty(value) || value[0] != '/' ? NULL : am_xasprintf("%s/%s", value, path);
}

/* Where the socket may be.  The first that exists is taken; when none does, the last is named. */
static char *
socket_path(const struct ctl *ctl)
{
	const char *given = ctl_value(ctl, "socket");
	char *paths[] = {
		below("RUNTIME_DIRECTORY", "ambientd.sock"),      below("XDG_RUNTIME_DIR", "ambient/ambientd.sock"),
		below("XDG_STATE_HOME", "ambient/ambientd.sock"), below("HOME", ".local/state/ambient/ambientd.sock"),
		am_xstrdup("/run/ambient/ambientd.sock"),
	};
	char *found = given != NULL ? am_xstrdup(given) : NULL;

	for (size_t i = 0; i < AM_COUNTOF(paths); i++) {
		if (found == NULL && paths[i] != NULL && (access(paths[i], F_OK) == 0 || i == AM_COUNTOF(paths) - 1))
			found = paths[i];
		else
			free(paths[i]);
	}
	return found;
}

static int
open_socket(const char *path, struct ambient_error *err)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(at.sun_path))
		return ambient_err(err, AMBIENT_E_INVALID, "the socket path \"%s\" is longer than %zu bytes", path,
				   sizeof(at.sun_path) - 1);
	(void)am_strlcpy(at.sun_path, path, sizeof(at.sun_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	(void)ambient_err(err, errno == EACCES ? AMBIENT_E_FORBIDDEN : AMBIENT_E_UNAVAILABLE,
			  "no daemon answers on \"%s\" (%s); say where with --socket", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -err->code;
}

static int
read_answer(int fd, struct am_buf *out, struct ambient_error *err)
{
	int64_t until = am_clock_boot(am_clock_real()) + PATIENCE;
	char piece[16384];

	out->max = ANSWER_MAX;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		int64_t left = until - am_clock_boot(am_clock_real());
		ssize_t n;

		if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE) != 0)
			return ambient_err(err, AMBIENT_E_CANCELLED, "interrupted");
		if (left <= 0)
			return ambient_err(err, AMBIENT_E_TIMEOUT, "the daemon does not answer");
		if (poll(&p, 1, (int)(left / AM_NS_PER_MS) + 1) <= 0)
			continue;
		n = read(fd, piece, sizeof(piece));
		if (n == 0)
			break;
		if (n > 0)
			am_buf_add(out, piece, (size_t)n);
		else if (errno != EINTR)
			return ambient_err(err, AMBIENT_E_UNAVAILABLE, "the daemon's answer broke off: %s",
					   strerror(errno));
	}
	return out->failed ? ambient_err(err, AMBIENT_E_INVALID, "the daemon's answer is longer than %d MiB",
					 ANSWER_MAX >> 20)
			   : 0;
}

/* The answer's first line says how it went: what follows it is moved to the front. */
static int
judge(struct am_buf *out, struct ambient_error *err)
{
	const char *text = am_buf_str(out), *end = strchr(text, '\n');
	struct am_buf rest = {.max = ANSWER_MAX};

	if (am_starts(text, PROTOCOL "error ") && end != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "%.*s", (int)(end - text) - (int)strlen(PROTOCOL "error "),
				   text + strlen(PROTOCOL "error "));
	if (!am_starts(text, PROTOCOL "ok\n") || end == NULL)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "what answers there does not speak \"ambient-admin/1\"");
	am_buf_add(&rest, end + 1, out->len - (size_t)(end + 1 - text));
	am_buf_fini(out);
	*out = rest;
	return 0;
}

int
ctl_admin(const struct ctl *ctl, const char *command, struct am_buf *out, struct ambient_error *err)
{
	am_auto(am_freep) char *path = socket_path(ctl);
	am_auto(am_freep) char *line = am_xasprintf(PROTOCOL "%s\n", command);
	int fd = open_socket(path, err), rc;

	if (fd < 0)
		return fd;
	rc = am_write_all(fd, line, strlen(line)) < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "the daemon went away")
						      : read_answer(fd, out, err);
	(void)close(fd);
	return rc < 0 ? rc : judge(out, err);
}
