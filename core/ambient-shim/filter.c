/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of system calls that a container runs under: instructions of the kernel's, made by the node plugin and
 * read here once for each container.  bubblewrap installs it as its last act before the program; what enters a container
 * later (exec, probes, hooks) installs it itself.  It is never looked into.
 */
#include "core/ambient-shim/shim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/file.h"

#define FILTER_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

int
shim_filter_read(struct shim *shim, struct shim_container *c, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	void *copy;

	if (c->filter_path == NULL)
		return 0;
	if (am_file_read(c->filter_path, FILTER_MAX, &bytes, err) < 0)
		return -AMBIENT_E_UNAVAILABLE;
	if (bytes.len == 0 || bytes.len % sizeof(struct sock_filter) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no filter of system calls", c->filter_path);
	copy = am_arena_zalloc(shim->arena, bytes.len);
	if (copy == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	memcpy(copy, bytes.data, bytes.len);
	c->filter = am_slice(copy, bytes.len);
	return 0;
}

int
shim_filter_fd(const struct shim_container *c)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd >= 0 && (am_write_all(fd, c->filter.p, c->filter.n) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
shim_filter_install(const struct shim_container *c)
{
	struct sock_fprog program = {
		.len = (unsigned short)(c->filter.n / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)c->filter.p,
	};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
