/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of system calls that a container runs under: instructions of the kernel's, made by the node plugin and read
 * here once.  bubblewrap installs it as its last act before the program; what enters a container later (exec, probes,
 * hooks) installs it itself.  It is never looked into.
 */
#include "core/ambient-shim/shim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/file.h"

#define FILTER_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

int
shim_filter_read(struct shim *shim, struct ambient_error *err)
{
	if (shim->filter_path == NULL)
		return 0;
	if (am_file_read(shim->filter_path, FILTER_MAX, &shim->filter, err) < 0)
		return -AMBIENT_E_UNAVAILABLE;
	if (shim->filter.len == 0 || shim->filter.len % sizeof(struct sock_filter) != 0)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no filter of system calls", shim->filter_path);
	return 0;
}

int
shim_filter_fd(const struct shim *shim)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd >= 0 && (am_write_all(fd, shim->filter.data, shim->filter.len) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

int
shim_filter_install(const struct shim *shim)
{
	struct sock_fprog program = {
		.len = (unsigned short)(shim->filter.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(void *)shim->filter.data,
	};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
