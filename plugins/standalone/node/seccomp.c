/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccompProfile RuntimeDefault: which system calls a container does without.  As the usual runtimes have it, what only
 * administers a machine, loads code into its kernel, makes namespaces, or reaches the keys and memory of others answers EPERM.
 * The filter is made once, when the node is created, and lies in its state directory; the shims read it there.
 * Everything that is not in the list is allowed: a container has no capability in any case.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#include <sys/socket.h>

/* CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
static const uint32_t namespaces[] = { 0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000 };

static const char *const denied[] = {
	/* the machine */
	"acct", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "ioperm", "iopl", "kexec_file_load",
	"kexec_load", "nfsservctl", "quotactl", "quotactl_fd", "reboot", "setdomainname", "sethostname", "settimeofday", "stime",
	"swapoff", "swapon", "sysfs", "_sysctl", "syslog", "uselib", "ustat", "vhangup", "vm86", "vm86old",
	/* its kernel's code and insides */
	"bpf", "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module", "io_uring_enter",
	"io_uring_register", "io_uring_setup", "kcmp", "lookup_dcookie", "perf_event_open", "query_module", "userfaultfd",
	/* namespaces and mounts */
	"fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root", "setns",
	"umount", "umount2", "unshare",
	/* files, keys and memory of others */
	"add_key", "fanotify_init", "get_mempolicy", "keyctl", "mbind", "migrate_pages", "move_pages", "name_to_handle_at",
	"open_by_handle_at", "request_key", "set_mempolicy", "set_mempolicy_home_node",
};

/* Both ways to run programs of other word sizes; without them those would be killed. */
static const uint32_t others[] = {
#if defined(__x86_64__)
	SCMP_ARCH_X86, SCMP_ARCH_X32,
#elif defined(__aarch64__)
	SCMP_ARCH_ARM,
#endif
	0,
};

/* A name that this kernel or architecture does not have needs no rule. */
static int
deny(scmp_filter_ctx ctx, const char *name, int error, const struct scmp_arg_cmp *arg)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR)
		return 0;
	return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)error), number, arg != NULL, arg);
}

static int
fill(scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp arg = SCMP_A0(SCMP_CMP_EQ, AF_VSOCK);
	int rc = 0;

	for (size_t i = 0; others[i] != 0 && rc == 0; i++)
		rc = seccomp_arch_add(ctx, others[i]);
	/* Lists of calls are searched as a tree. */
	if (rc == 0)
		(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]) && rc == 0; i++)
		rc = deny(ctx, denied[i], EPERM, NULL);
	if (rc == 0)
		rc = deny(ctx, "socket", EPERM, &arg);
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]) && rc == 0; i++) {
		arg = SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);
		rc = deny(ctx, "clone", EPERM, &arg);
	}
	/* Its flags lie in memory, where no filter looks: C libraries take clone instead. */
	return rc == 0 ? deny(ctx, "clone3", ENOSYS, NULL) : rc;
}

static int
write_filter(const char *path)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	char temporary[1024];
	int fd = -1, rc;

	(void)snprintf(temporary, sizeof(temporary), "%.1000s.new", path);
	rc = ctx == NULL ? -ENOMEM : fill(ctx);
	if (rc == 0) {
		(void)unlink(temporary);
		fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : seccomp_export_bpf(ctx, fd);
	}
	if (fd >= 0 && close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (ctx != NULL)
		seccomp_release(ctx);
	return rc;
}
#else
static int
write_filter(const char *path)
{
	(void)path;
	return -EOPNOTSUPP;
}
#endif

void
seccomp_prepare(struct node *node)
{
	char path[1024];
	int rc;

	if (node->no_sandbox)
		return;
	(void)snprintf(path, sizeof(path), "%.1000s/seccomp.bpf", node->root);
	rc = write_filter(path);
	if (rc == 0)
		node->filter = strdup(path);
	else
		ambient_log(node->host, AMBIENT_LOG_WARN, "containers run without a filter of system calls: %s",
			    rc == -EOPNOTSUPP ? "this build is without libseccomp" : strerror(-rc));
}

/* The container's profile, else the pod's, else the configuration's.  podman has a filter of its own. */
void
seccomp_add(struct text *out, const struct node *node, const struct ambient_object *pod,
	    const struct ambient_object *container, struct trouble *t)
{
	const char *type = ambient_str(container, "/securityContext/seccompProfile/type",
				       ambient_str(pod, "/spec/securityContext/seccompProfile/type", ""));

	if (strcmp(type, "Localhost") == 0)
		trouble_set(t, "CreateContainerConfigError", false, "seccomp profiles of files are not supported on this node");
	if (strcmp(type, "Unconfined") == 0 || (type[0] == '\0' && !node->seccomp_default))
		text_puts(out, ",\"unconfined\":true");
	else if (node->filter != NULL)
		text_puts(out, ",\"seccomp\":true");
}
