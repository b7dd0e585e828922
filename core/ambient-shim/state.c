/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.jsonl, the only memory of a pod: records are appended, never changed.
 *
 *   {"t":TIME,"rec":"shim","version":1,"pid":N}
 *   {"t","rec":"starting","container":C,"n":N}                              durable before anything is started
 *   {"t","rec":"running","container":C,"n":N,"pid":P,"started":TIME}
 *   {"t","rec":"exit","container":C,"n":N,"code":K,"reason":R,"message":M,"started":TIME|null,"finished":TIME}   durable
 *   {"t","rec":"waiting","container":C,"n":N,"reason":R,"message":M}
 *   {"t","rec":"stop","graceMs":N} | {"t","rec":"deadline"}
 *   {"t","rec":"end"}                                                       durable, the last
 *
 * An instance is started at most once: a file that is there already belongs to a pod that was started before,
 * and the shim refuses it, whatever became of that one.
 */
#include "core/ambient-shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/file.h"

int
shim_state_open(struct shim *shim, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/state.jsonl", shim->dir);

	shim->state_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (shim->state_fd < 0 && errno == EEXIST)
		return ambient_err(err, AMBIENT_E_EXISTS, "this pod was started before: \"%s\" exists", path);
	if (shim->state_fd < 0)
		return am_err_errno(err, errno, "cannot make \"%s\"", path);
	/* The name must survive a crash as well. */
	int dir = open(shim->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		(void)fsync(dir);
		(void)close(dir);
	}
	return 0;
}

void
shim_state_add(struct shim *shim, const struct am_buf *line, bool sync)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };

	am_buf_add(&out, line->data, line->len);
	am_buf_addc(&out, '\n');
	if (out.failed || am_write_all(shim->state_fd, out.data, out.len) < 0) {
		/* A full disk: the socket still tells; the daemon will find the pod without its end and fail it. */
		fprintf(stderr, "cannot write state.jsonl\n");
	}
	if (sync)
		(void)fdatasync(shim->state_fd);
	shim_control_tell(shim, am_buf_str(&out), out.len);
}
