/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccompProfile: which system calls a container does without.  RuntimeDefault: as the usual runtimes have it, what only
 * administers a machine, loads code into its kernel, makes namespaces, or reaches the keys and memory of others answers EPERM.
 * The filter is made once, when the node is created, and lies in its state directory; the shims read it there.
 * Everything that is not in the list is allowed: a container has no capability in any case.  Localhost: a file's own rules
 * (profile.c), made into a filter of the pod's when the container's specification is.
 */
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

int
seccomp_write(void *ctx, const char *path)
{
	char temporary[1024];
	struct stat st;
	int fd, rc;

	(void)snprintf(temporary, sizeof(temporary), "%.1000s.new", path);
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	rc = seccomp_export_bpf(ctx, fd);
	/* More instructions than the kernel takes. */
	if (rc == 0 && fstat(fd, &st) == 0 && st.st_size > (off_t)(BPF_MAXINSNS * sizeof(struct sock_filter)))
		rc = -E2BIG;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	if (rc < 0)
		(void)unlink(temporary);
	return rc;
}

static int
write_default(const char *path)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx == NULL ? -ENOMEM : fill(ctx);

	if (rc == 0)
		rc = seccomp_write(ctx, path);
	if (ctx != NULL)
		seccomp_release(ctx);
	return rc;
}
#else
static int
write_default(const char *path)
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
	rc = write_default(path);
	if (rc == 0)
		node->filter = strdup(path);
	else
		ambient_log(node->host, AMBIENT_LOG_WARN, "containers run without a filter of system calls: %s",
			    rc == -EOPNOTSUPP ? "this build is without libseccomp" : strerror(-rc));
}

/* The profile's text, from below the directory of profiles only; 0 or -errno. */
static int
read_profile(const struct node *node, const char *name, struct text *json)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	int dir = open(node->profiles, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, rc;
	struct stat st;

	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	rc = fd < 0 ? -errno : fstat(fd, &st) < 0 ? -errno : !S_ISREG(st.st_mode) ? -EINVAL : file_read_fd(fd, PROFILE_MAX, json);
	if (fd >= 0)
		(void)close(fd);
	(void)close(dir);
	return rc;
}

static const char *
why_not_read(int rc)
{
	return rc == -EXDEV ? "it leads out of the directory of profiles" : rc == -EINVAL ? "it is no file"
	       : rc == -EFBIG ? "it is larger than 256 KiB" : strerror(-rc);
}

/* The pod keeps what its containers got, whatever becomes of the file: a container that is started again has the same. */
static void
add_file(struct text *out, const struct node *node, const struct local *local, const char *container, const char *name,
	 bool by_podman, struct trouble *t)
{
	char base[700], to[768], problem[256];
	struct text json = { 0 };
	int rc;

	(void)snprintf(base, sizeof(base), "%s/seccomp", local->dir);
	rc = make_dirs(base);
	if (rc == 0)
		rc = read_profile(node, name, &json);
	if (rc < 0) {
		trouble_set(t, "CreateContainerError", true, "cannot load seccomp profile \"%.200s\": %s", name, why_not_read(rc));
		text_fini(&json);
		return;
	}
	(void)snprintf(to, sizeof(to), "%s/%s.bpf", base, container);
	if (profile_compile(node, &json, to, problem, sizeof(problem)) < 0)
		trouble_set(t, "CreateContainerError", true, "cannot load seccomp profile \"%.100s\": %s", name, problem);
	text_puts(out, ",\"seccomp\":true,\"seccompFilter\":");
	text_json(out, to);
	if (by_podman) {
		(void)snprintf(to, sizeof(to), "%s/%s.json", base, container);
		rc = file_write(to, json.p, json.len, 0600);
		if (rc < 0)
			trouble_set(t, "CreateContainerError", true, "cannot write \"%.200s\": %s", to, strerror(-rc));
		text_puts(out, ",\"seccompProfile\":");
		text_json(out, to);
	}
	text_fini(&json);
}

/* Where there is no way to a filter the container does not run without the one that it asks for. */
static void
add_localhost(struct text *out, const struct node *node, const struct local *local, const char *container, const char *name,
	      bool by_podman, struct trouble *t)
{
	const char *why = NULL;

#ifndef HAVE_SECCOMP
	why = "this node is built without libseccomp";
#endif
	if (why == NULL && node->no_sandbox && !by_podman)
		why = "it needs a sandbox, and this node is configured with sandbox = \"none\"";
	if (why == NULL && node->profiles == NULL)
		why = "this node has no directory of profiles: set seccompProfiles in the configuration of plugin \"node\"";
	if (name[0] == '\0')
		trouble_set(t, "CreateContainerConfigError", false, "localhostProfile must be set if seccompProfile type is Localhost.");
	else if (why != NULL)
		trouble_set(t, "CreateContainerConfigError", false, "seccompProfile of type Localhost: %s", why);
	else
		add_file(out, node, local, container, name, by_podman, t);
}

/* The container's profile, else the pod's, else the configuration's.  podman has a default of its own. */
void
seccomp_add(struct text *out, const struct node *node, const struct ambient_object *pod, const struct local *local,
	    const struct ambient_object *container, bool by_podman, struct trouble *t)
{
	const struct ambient_object *profile = ambient_at(container, "/securityContext/seccompProfile");
	const char *type = "";

	if (profile == NULL)
		profile = ambient_at(pod, "/spec/securityContext/seccompProfile");
	if (profile != NULL)
		type = ambient_str(profile, "/type", "");
	if (strcmp(type, "Localhost") == 0)
		add_localhost(out, node, local, ambient_str(container, "/name", ""), ambient_str(profile, "/localhostProfile", ""),
			      by_podman, t);
	else if (strcmp(type, "Unconfined") == 0 || (type[0] == '\0' && !node->seccomp_default))
		text_puts(out, ",\"unconfined\":true");
	else if (node->filter != NULL)
		text_puts(out, ",\"seccomp\":true");
}
