/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told: datagrams to $NOTIFY_SOCKET, as sd_notify(3) describes them. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/ops/ops.h"

void
am_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
		return;
	(void)am_strlcpy(to.sun_path, path, sizeof(to.sun_path));
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
	(void)close(fd);
}

int64_t
am_notify_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	int64_t interval, who;

	if (usec == NULL || am_parse_i64(usec, &interval) < 0 || interval <= 0)
		return 0;
	if (pid != NULL && (am_parse_i64(pid, &who) < 0 || who != getpid()))
		return 0;
	return AM_MIN(interval, INT32_MAX * INT64_C(1000)) * 1000 / 2; /* fits a poll */
}
