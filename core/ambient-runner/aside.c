/* SPDX-License-Identifier: Apache-2.0 */
/* See aside.h. */
#include "core/ambient-runner/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/stat.h>

#include "core/base/mem.h"
#include "core/base/str.h"

#define TRIES 1000

int
am_runner_aside(const char *root, int dir, const char *name, char where[AM_ASIDE_MAX], struct ambient_error *err)
{
	am_auto(am_freep) char *workspace = am_xasprintf("%s/workspace", root);
	int top = open(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), to = -1, moved = -1;
	char fresh[AM_ASIDE_MAX - 10] = "";

	if (top >= 0) {
		(void)mkdirat(top, "removed", 0755);
		to = openat(top, "removed", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	for (int i = 1; to >= 0 && moved < 0 && i <= TRIES; i++) {
		(void)snprintf(fresh, sizeof(fresh), "%.80s-%d", name, i);
		moved = renameat2(dir, name, to, fresh, RENAME_NOREPLACE);
		if (moved < 0 && errno != EEXIST)
			break;
	}
	int saved = errno;
	if (to >= 0)
		(void)close(to);
	if (top >= 0)
		(void)close(top);
	if (moved < 0)
		return am_err_errno(err, saved, "keeping \"%.80s\" aside in \"workspace/removed\"", name);
	if (where != NULL)
		(void)snprintf(where, AM_ASIDE_MAX, "removed/%s", fresh);
	return 0;
}
