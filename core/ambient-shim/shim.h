/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-shim: one process per pod that outlives the daemon.  It starts the pod's containers, keeps their
 * output, ends them, and writes down what happened.
 *
 *   spec.c     the specification, one JSON document, version 1
 *   state.c    state.jsonl: what happened, one record a line
 *   log.c      a container's output as CRI log files
 *   sandbox.c  how a container is started: bubblewrap, or not sandboxed at all
 *   enter.c    a further process in a running container
 *   control.c  the socket
 *   loop.c     the one loop: starts, exits, deadlines, retries
 *
 * One thread, one poll loop; times are CLOCK_BOOTTIME except where they are shown.
 */
#ifndef AMBIENT_SHIM_H
#define AMBIENT_SHIM_H

#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#define SHIM_SPEC_VERSION     1
#define SHIM_STATE_VERSION    1
#define SHIM_PROTOCOL_VERSION 1
#define SHIM_SPEC_MAX         (16 << 20)
#define SHIM_CONTAINERS_MAX   64
#define SHIM_CLIENTS_MAX      16
#define SHIM_LOG_MAX          (10 << 20)
#define SHIM_LOG_FILES        5

enum shim_sandbox { SHIM_BWRAP, SHIM_NONE };
enum shim_restart { SHIM_NEVER, SHIM_ON_FAILURE, SHIM_ALWAYS };

struct shim_mount {
	const char *source, *target;
	bool read_only;
};

/* What comes from the specification lives in its arena. */
struct shim_container {
	const char *name;
	bool init;
	const char *const *argv;       /* ended by NULL, as env */
	const char *const *env;        /* "NAME=value" */
	const char *cwd;
	struct shim_mount *mounts;     /* parents before their children */
	size_t mount_count;
	const char *root;              /* a directory to take /usr, /bin, ... from; NULL: the machine's */
	const char *termination_path;  /* in the container */
	int64_t uid, gid;              /* -1: the shim's */
	bool read_only_root;

	enum { SHIM_WAITING, SHIM_STARTING, SHIM_RUNNING, SHIM_BACKOFF, SHIM_ENDED } phase;
	int restart;                   /* number of this instance, from 0 */
	pid_t pid;                     /* bubblewrap's, or the program's; 0: none */
	pid_t child;                   /* the program's */
	int child_fd;                  /* pidfd of the program, -1: not known yet */
	int status_fd;                 /* what bubblewrap tells; -1: none */
	int status_code;               /* exit code by it; -1: none */
	struct am_buf status;
	bool reaped;
	int wait_status;
	bool term_wanted;
	int64_t started;               /* boot time */
	int64_t started_wall, reaped_at, retry_at;
	int code;                      /* of the last end */
	int tries;                     /* restarts without a good run between them */
	struct shim_log *log;
};

struct shim {
	/* specification */
	struct am_arena *arena;
	const char *dir, *socket, *hostname, *bwrap;
	enum shim_sandbox sandbox;
	enum shim_restart restart;
	int64_t grace, deadline;       /* ns; deadline 0: none */
	int64_t backoff;               /* ns before the first restart, doubling */
	struct shim_container *containers; /* init containers first */
	size_t count, init_count;

	/* running */
	int state_fd, lock_fd, listen_fd, signal_fd;
	int64_t started;
	bool stopping, timed_out, failed_init;
	int64_t kill_at;
	struct shim_client { int fd; bool subscribed; struct am_buf in; } clients[SHIM_CLIENTS_MAX];
	size_t client_count;
};

/* spec.c.  text must stay for nothing: everything is copied into shim->arena. */
int shim_spec_parse(struct shim *shim, const char *text, size_t n, struct ambient_error *err);

/* state.c.  Opening refuses a pod that was started before. */
int shim_state_open(struct shim *shim, struct ambient_error *err);
/* Appends the line (without its newline), makes it durable when asked, tells subscribers. */
void shim_state_add(struct shim *shim, const struct am_buf *line, bool sync);

/* log.c */
struct shim_log;
struct shim_log *shim_log_open(const char *dir, int restart, struct ambient_error *err);
/* The write ends for the child; the caller closes them with shim_log_close_child. */
int shim_log_out(const struct shim_log *log);
int shim_log_err(const struct shim_log *log);
void shim_log_close_child(struct shim_log *log);
/* The read ends to poll, -1 when at their end or while the disk does not take more. */
int shim_log_fd(const struct shim_log *log, int stream);
void shim_log_read(struct shim_log *log, int stream);
/* Tries again what the disk refused; true while something is left. */
bool shim_log_blocked(struct shim_log *log);
bool shim_log_done(const struct shim_log *log);     /* both streams have ended and are on disk */
/* The last bytes of standard error, one line, for messages. */
const char *shim_log_tail(const struct shim_log *log);
void shim_log_close(struct shim_log *log);          /* writes what is left; NULL is fine */

/* sandbox.c.  Sets pid, child, child_fd, status_fd. */
int shim_sandbox_start(struct shim *shim, struct shim_container *c, struct ambient_error *err);
const char *shim_container_dir(struct shim *shim, const struct shim_container *c);
/* Runs of bubblewrap only: has the program been executed?  False also when it has ended. */
bool shim_sandbox_executed(struct shim *shim, const struct shim_container *c);
/* Ends what the container left behind, where no process namespace does it. */
void shim_sandbox_sweep(struct shim *shim, const struct shim_container *c);

/* enter.c.  std: for 0, 1, 2; -1: /dev/null.  The process is ours to reap; *ret_pidfd may be -1. */
int shim_enter(const struct shim *shim, const struct shim_container *c, const char *const *argv, const int std[3],
	       pid_t *ret_pid, int *ret_pidfd, struct ambient_error *err);

/* control.c */
int shim_control_open(struct shim *shim, struct ambient_error *err);
void shim_control_accept(struct shim *shim);
void shim_control_read(struct shim *shim, size_t client);
void shim_control_tell(struct shim *shim, const char *line, size_t n); /* to subscribers; the slow are dropped */
void shim_control_close(struct shim *shim);

/* loop.c */
/* Runs the pod to its end.  ready_fd gets one byte as soon as the first containers have started or failed. */
void shim_loop(struct shim *shim, int ready_fd);
void shim_stop(struct shim *shim, int64_t grace);
void shim_snapshot(struct shim *shim, struct am_buf *out);

#endif
