/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Children: started with an explicit environment and explicit descriptors, everything else closed, signals
 * reset, in a process group of their own; watched by pidfd.
 */
#ifndef AM_BASE_SPAWN_H
#define AM_BASE_SPAWN_H

#include <sys/types.h>

#include "core/base/attr.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"

struct am_spawn {
	const char *const *argv;  /* argv[0]: absolute, or looked up in the child's PATH */
	const char *const *envp;  /* NULL: this process's */
	const char *cwd;          /* NULL: this process's */
	int fds[3];               /* for 0, 1, 2; -1: /dev/null */
	const int *join;          /* descriptors of cgroup.procs files that the child enters by, ended by -1; or NULL */
	const int *pass;          /* further descriptors that stay open under their own numbers, ended by -1; or NULL */
	const gid_t *groups;      /* supplementary ones in place of this process's, with group_count; NULL: those */
	size_t group_count;
	bool other_user;          /* uid and gid in place of this process's, which must be root's */
	uid_t uid;
	gid_t gid;
	mode_t umask;             /* 0: this process's */
	bool new_session;         /* setsid; else only a new process group */
	bool terminal;            /* with new_session: fds[0] is a terminal and becomes the session's */
	bool foreground;          /* its group becomes that of the terminal at fds[0]; the caller takes it back afterwards */
	bool no_new_privs;        /* PR_SET_NO_NEW_PRIVS */
	bool die_with_parent;     /* PR_SET_PDEATHSIG SIGKILL: only from a thread that lives as long as the child */
	void (*tick)(void *arg);  /* am_run: called at least every 100 ms while it waits; or NULL */
	void *tick_arg;
};

/* *ret_pidfd may be NULL.  A failed exec is reported here, with its errno. */
int am_spawn(const struct am_spawn *spec, pid_t *ret_pid, int *ret_pidfd, struct ambient_error *err);

/* Of the descriptors from 3 on; keep is ended by -1 or NULL, also one may be -1.  Async-signal-safe. */
void am_close_all_but(const int *keep, int also);

struct am_run_result {
	int exit_code;       /* or 128 + signal */
	bool timed_out;
	struct am_buf out, err;
};
/* Runs to the end: writes input, keeps at most max bytes of each output (the rest is read and dropped), on
 * timeout TERM, 2 s, KILL to the group.  fds are not looked at, but for a fds[0] over 2 when there is no input, and a fds[2]
 * over 2, which then gets what would be kept.
 * *cancelled (may be NULL) ends it early the same way. */
int am_run(const struct am_spawn *spec, const char *input, size_t input_len, size_t max, int64_t timeout_ns,
	   const int32_t *cancelled, struct am_run_result *result, struct ambient_error *err);
void am_run_result_fini(struct am_run_result *result);

#endif
