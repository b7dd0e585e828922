/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ambient-shim: one process per pod that outlives the daemon.  It starts the pod's containers, keeps their
 * output, ends them, and writes down what happened.
 *
 *   spec.c     the specification, one JSON document, version 4
 *   state.c    state.jsonl: what happened, one record a line
 *   log.c      a container's output as CRI log files
 *   volume.c   volumes in memory
 *   cgroup.c   limits, where the machine has control groups for us
 *   filter.c   the filter of system calls
 *   sandbox.c  how a container is started: bubblewrap, or not sandboxed at all
 *   podman.c   or a container of podman's
 *   pause.c    the process id namespace that containers share
 *   enter.c    a further process in a running container
 *   exec.c     commands from outside, by way of enter.c
 *   attach.c   who looks at a container's output and writes its input
 *   task.c     what probes and hooks do, each in a process of its own
 *   probe.c    when they do it, and what follows
 *   define.c   containers whose definition comes later, or anew
 *   life.c     a container from its start to its end
 *   backoff.c  when it is started again
 *   control.c  the socket
 *   op.c       what its lines ask for
 *   loop.c     the one loop: what may start, what must stop, deadlines
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
#include "core/base/str.h"

#define SHIM_SPEC_VERSION     4
#define SHIM_UMASK            022 /* of what runs in containers, as by kubelet; the shim's own is stricter */
#define SHIM_STATE_VERSION    1
#define SHIM_PROTOCOL_VERSION 4
#define SHIM_SPEC_MAX         (16 << 20)
#define SHIM_CONTAINERS_MAX   64
#define SHIM_CLIENTS_MAX      64
#define SHIM_EXECS_MAX        32
#define SHIM_FDS_MAX          3
#define SHIM_GIDS_MAX         64
#define SHIM_LINE_MAX         (256 << 10)
#define SHIM_TMPFS_MAX        64
#define SHIM_LOG_MAX          (10 << 20)
#define SHIM_LOG_FILES        5

enum shim_sandbox { SHIM_BWRAP, SHIM_NONE, SHIM_PODMAN };
enum shim_restart { SHIM_NEVER, SHIM_ON_FAILURE, SHIM_ALWAYS };
enum shim_groups_v1 { SHIM_V1_MEMORY, SHIM_V1_CPU, SHIM_V1_PIDS, SHIM_GROUPS_MAX };
enum shim_probes { SHIM_STARTUP, SHIM_LIVENESS, SHIM_READINESS, SHIM_PROBES };

struct shim_mount {
	const char *source, *target;
	const char *at;                /* where the sandbox finds the source; see shim_volumes_stage */
	bool read_only;
};

/* What a probe or a hook does. */
struct shim_action {
	enum { SHIM_NOTHING, SHIM_EXEC, SHIM_TCP, SHIM_HTTP, SHIM_SLEEP } kind;
	const char *const *argv;       /* SHIM_EXEC */
	const char *host, *path;       /* SHIM_TCP, SHIM_HTTP */
	const char *const *headers;    /* "Name: value" */
	int64_t port;
	int64_t sleep;                 /* ns */
};

struct shim_task;
struct shim_probe {
	struct shim_action action;
	int64_t delay, period, timeout, grace; /* ns; grace -1: the pod's */
	int64_t success, failure;      /* how many in a row decide */
	/* of this instance */
	struct shim_task *task;
	int64_t next;                  /* boot time */
	int64_t good, bad;             /* in a row */
	bool passed;
};

/* How podman runs a container: <path> <options> run … <args> <image> <argv>. */
struct shim_podman {
	const char *path, *image;      /* image: its id */
	const char *const *options, *const *args;
};

/* What comes from the specification lives in its arena. */
struct shim_container {
	const char *name;
	enum shim_sandbox sandbox;     /* the pod's, or SHIM_PODMAN */
	struct shim_podman podman;
	const char *image, *image_id;  /* for the record; NULL: the machine's programs */
	const char *of;                /* likewise: the image by the name that the pod has; may be NULL */
	bool held, asked;              /* its definition is to come; it was asked for */
	bool init, sidecar;            /* a sidecar is an init container that goes on beside the others */
	const char *const *argv;       /* ended by NULL, as env */
	const char *const *env;        /* "NAME=value" */
	const char *cwd;
	struct shim_mount *mounts;     /* parents before their children */
	size_t mount_count;
	const char *root;              /* a directory to take /usr, /bin, ... from; NULL: the machine's */
	const char *root_at, *termination_at, *links_at; /* as mounts[].at; links: $STANDALONE_ROOT */
	const char *termination_path;  /* in the container */
	int64_t uid, gid;              /* -1: the shim's */
	const gid_t *groups;           /* supplementary ones; NULL: the shim's */
	size_t group_count;
	bool read_only_root;
	const char *filter_path;       /* of system calls; NULL: none */
	struct am_slice filter;
	bool unconfined;               /* podman shall use none of its own */
	const char *profile;           /* podman shall use this file, not its own; may be NULL */
	bool tty, input, input_once;   /* once: its end is the end of whoever attached to it first */
	bool fallback;                 /* no termination message: the log's end stands for it after an error */
	int stop_signal;
	struct shim_probe probes[SHIM_PROBES];
	struct shim_action post_start, pre_stop;
	struct shim_limits { int64_t memory, cpu_milli, cpu_request_milli, pids; } limits; /* 0: none */

	enum { SHIM_WAITING, SHIM_STARTING, SHIM_RUNNING, SHIM_BACKOFF, SHIM_ENDED } phase;
	int restart;                   /* number of this instance, from 0 */
	pid_t pid;                     /* bubblewrap's, podman's keeper's, or the program's; 0: none */
	pid_t child;                   /* the program's */
	int64_t mount_ns;              /* number of its mount namespace; 0: not known */
	int mount_fd;                  /* that namespace, held so that nobody else gets its number; -1: it is not */
	int child_fd;                  /* pidfd of the program, -1: not known yet */
	int input_fd;                  /* where its input is written; -1: none, or a terminal */
	int terminal;                  /* master of its terminal; -1: none */
	int status_fd;                 /* what bubblewrap or the keeper tells; -1: none */
	int status_code;               /* exit code by it; -1: none */
	struct am_buf status;
	bool reaped;
	int wait_status;
	bool up, ready, was_up;        /* up: startup probe and postStart are through; was_up: any instance ever */
	bool stop_wanted, signalled;   /* its end was asked for; the stop signal was sent */
	int64_t kill_at;               /* once stop_wanted */
	int64_t listen_at, listen_ns;  /* when to look again whether it would hear the stop signal; 0: it was sent */
	int blocked;                   /* that many looks in a row found it blocked */
	struct shim_task *hook;        /* postStart, or once stop_wanted preStop */
	int group_fds[SHIM_GROUPS_MAX + 1]; /* cgroup.procs of its groups, ended by -1 */
	int64_t started;               /* boot time */
	int64_t started_wall, reaped_at, retry_at;
	int code;                      /* of the last end */
	int tries;                     /* restarts without a long run between them */
	struct shim_log *log;
};

struct shim {
	/* specification */
	struct am_arena *arena;
	const char *dir, *socket, *hostname, *bwrap;
	const char *filter_path;       /* of containers that name none of their own; may be NULL */
	enum shim_sandbox sandbox;
	enum shim_restart restart;
	int64_t grace, deadline;       /* ns; deadline 0: none */
	int64_t elapsed;               /* ns of the deadline that had gone before we were started */
	int64_t backoff;               /* ns before the second restart, doubling */
	struct shim_container *containers; /* init containers first */
	size_t count, init_count;
	struct shim_tmpfs { const char *path; int64_t size; } tmpfs[SHIM_TMPFS_MAX]; /* size 0: no limit */
	size_t tmpfs_count;
	bool share;                    /* one process id namespace for all */
	int64_t user;                  /* outside of the sandbox, and the group; -1: ours */
	const char *stage;             /* with user: a directory that he may pass */
	struct shim_groups { int version; const char *dirs[SHIM_GROUPS_MAX]; size_t count; } groups; /* version 0: none;
					   * dirs of version 1 by enum shim_groups_v1, "": none */
	struct shim_quota { const char *const *paths; int64_t limit; const char *message; } *quotas; /* of the disk */
	size_t quota_count;
	int64_t measure;               /* ns between looks at the quotas */

	/* running */
	int state_fd, lock_fd, listen_fd, signal_fd;
	struct shim_pause { pid_t pid; int pid_ns, user_ns; } pause; /* pid 0: there is none; user_ns -1: it has our user's */
	int64_t started;
	bool stopping, timed_out, failed_init, evicted;
	bool closing;                  /* nothing is started any more: stopping, failed, or all main containers ended */
	int64_t kill_at;               /* of all, once closing */
	int64_t notes;                 /* number of the last note */
	int64_t measure_at;
	struct shim_task *measuring, *tasks;
	struct shim_client {
		int fd;
		bool subscribed;
		struct am_buf in;
		int fds[SHIM_FDS_MAX]; /* that came and wait for their line */
		size_t fd_count;
	} clients[SHIM_CLIENTS_MAX];
	size_t client_count;
	struct shim_exec *execs;
	struct shim_attach *attaches;
};

/* spec.c.  text must stay for nothing: everything is copied into shim->arena. */
int shim_spec_parse(struct shim *shim, const char *text, size_t n, struct ambient_error *err);
/* One container alone, into what is all zero. */
int shim_spec_container(struct shim *shim, struct shim_container *c, const char *text, size_t n, bool init,
			struct ambient_error *err);

/* state.c.  Opening refuses a pod that was started before. */
int shim_state_open(struct shim *shim, struct ambient_error *err);
/* Opens a record {"t":…,"rec":… and, of a container, its name and number; then closes and adds it,
 * durably when asked, and tells subscribers. */
void shim_record(struct am_buf *line, const char *rec, const struct shim_container *c);
void shim_record_end(struct shim *shim, struct am_buf *line, bool sync);
/* Something that people want to hear of; the node makes an Event of it. */
void shim_note(struct shim *shim, const struct shim_container *c, const char *reason, const char *fmt, ...)
	am_printf_(4, 5);
int64_t shim_now(void);                             /* boot time */
void shim_stamp(char buf[32], int64_t wall);

/* log.c */
struct shim_log;
/* terminal: master and slave of the container's, then both streams are it; or { -1, -1 }. */
struct shim_log *shim_log_open(const char *dir, int restart, const int terminal[2], struct ambient_error *err);
/* The write ends for the child; the caller closes them with shim_log_close_child. */
int shim_log_out(const struct shim_log *log);
int shim_log_err(const struct shim_log *log);
void shim_log_close_child(struct shim_log *log);
/* The read ends to poll, -1 when at their end or while the disk does not take more. */
int shim_log_fd(const struct shim_log *log, int stream);
void shim_log_read(struct shim_log *log, int stream, struct am_buf *copy); /* copy: gets the bytes too; or NULL */
/* Tries again what the disk refused; true while something is left. */
bool shim_log_blocked(struct shim_log *log);
bool shim_log_done(const struct shim_log *log);     /* both streams have ended and are on disk */
/* The last bytes of standard error, one line, for messages. */
const char *shim_log_tail(const struct shim_log *log);
void shim_log_close(struct shim_log *log);          /* writes what is left; NULL is fine */
/* The last lines of an instance's log, 2 KiB and 80 lines at most, for the termination message. */
void shim_log_last(const char *dir, int restart, struct am_buf *out);
void shim_log_remove(const char *dir, int restart);

/* volume.c.  Mounts them in a mount namespace of our own, so that they go with us. */
int shim_volumes_mount(struct shim *shim, struct ambient_error *err);
/* Before each start: says where the container's user finds what it mounts. */
int shim_volumes_stage(struct shim *shim, struct shim_container *c, struct ambient_error *err);

/* backoff.c.  The wait before the next start of what ran that long, in ns; counts the tries. */
int64_t shim_backoff(int *tries, int64_t first, int64_t ran);
void shim_backoff_text(char buf[32], int64_t delay); /* as kubelet says it: "1m20s" */

/* cgroup.c.  All do nothing when there are no groups. */
int shim_cgroup_make(struct shim *shim, struct shim_container *c, struct ambient_error *err);
bool shim_cgroup_oom(const struct shim *shim, const struct shim_container *c); /* the kernel killed in it */
void shim_cgroup_end(struct shim *shim, struct shim_container *c);             /* kills what is left, removes it */
void shim_cgroup_close(struct shim *shim);                                     /* removes the pod's */

/* filter.c.  Install: -1 and errno; the caller has no new privileges. */
int shim_filter_read(struct shim *shim, struct shim_container *c, struct ambient_error *err);
int shim_filter_fd(const struct shim_container *c); /* a memory file of it; -1 */
int shim_filter_install(const struct shim_container *c);

/* The user and group of a container outside: the pod's, or ours. */
uid_t shim_user(const struct shim *shim);
gid_t shim_group(const struct shim *shim);
/* Of this process, which must be root's then: becomes the pod's user, who stays one that may look at himself. */
int shim_become_user(const struct shim *shim, const struct shim_container *c);

/* sandbox.c.  Sets pid, child, child_fd, status_fd. */
int shim_sandbox_start(struct shim *shim, struct shim_container *c, struct ambient_error *err);
const char *shim_container_dir(struct shim *shim, const struct shim_container *c);
/* Runs of bubblewrap only: has the program been executed?  False also when it has ended. */
bool shim_sandbox_executed(struct shim *shim, const struct shim_container *c);
/* Ends what the container left behind, where no process namespace does it. */
void shim_sandbox_sweep(struct shim *shim, struct shim_container *c);

/* op.c */
struct shim_op {
	enum { SHIM_OP_NONE, SHIM_OP_STATUS, SHIM_OP_SUBSCRIBE, SHIM_OP_STOP, SHIM_OP_EXEC, SHIM_OP_ATTACH,
	       SHIM_OP_INPUT_ENDED, SHIM_OP_DEADLINE, SHIM_OP_HOLD, SHIM_OP_DEFINE } kind;
	int64_t grace;                 /* ms; -1: not given */
	int64_t seconds;               /* of SHIM_OP_DEADLINE */
	const char *container;         /* what follows lives in the arena */
	const char *const *argv;
	bool tty, std[3];
};
int shim_op_parse(struct am_arena *arena, const char *line, size_t n, struct shim_op *ret, struct ambient_error *err);
/* All of data or false; fd goes along, -1: none. */
bool shim_send(int socket, const void *data, size_t n, int fd);
/* As recv; fds: those that came along, -1 for the rest.  More than max, at most SHIM_FDS_MAX, are an error. */
ssize_t shim_recv(int socket, void *buf, size_t size, int *fds, size_t max);

/* attach.c.  Who sees a container's output from now on, and writes its input. */
int shim_attach_start(struct shim *shim, const struct shim_op *op, int client, const int *fds, size_t n, int *ret_input,
		      struct ambient_error *err);
void shim_attach_input_ended(struct shim *shim, int client);
bool shim_attach_has(const struct shim *shim, int client);
bool shim_attach_any(const struct shim *shim, const struct shim_container *c);
bool shim_attach_full(const struct shim *shim, const struct shim_container *c); /* somebody has not read it all yet */
void shim_attach_feed(struct shim *shim, const struct shim_container *c, int stream, const char *p, size_t n);
int shim_attach_fd(const struct shim_attach *attach, int stream);  /* to poll for room; -1: nothing is left */
struct shim_attach *shim_attach_next(const struct shim_attach *attach);
int64_t shim_attach_tick(struct shim *shim);                       /* writes on; the next time to look */
void shim_attach_abandon(struct shim *shim, int client);
void shim_attach_end(struct shim *shim, const struct shim_container *c);

/* For who comes after: shim_container_dir, and where sandbox.c reads one field of /proc/<pid>/stat after the name: 1
 * parent (field 4), 3 session (field 6), 6 flags (field 9); -1: no such process. */
long shim_stat_field(pid_t pid, int index);

/* podman.c.  Sets pid and status_fd. */
int shim_podman_start(struct shim *shim, struct shim_container *c, int input, const char *terminal, struct ambient_error *err);
/* Joins the process that a runtime's hook is told of to the control groups whose files are named; an exit code. */
int shim_podman_hook(char *const *files);
/* The environment that a process of the container got; NULL: it cannot be read.  Lives in the arena. */
const char *const *shim_podman_env(struct am_arena *arena, int proc_fd);

/* pause.c.  The first process of the namespace that containers share; begin does nothing while there is one. */
int shim_pause_begin(struct shim *shim, struct ambient_error *err);
bool shim_pause_reaped(struct shim *shim, pid_t pid);             /* false: another process */
void shim_pause_end(struct shim *shim);
/* A descriptor of a user namespace that has one user and one group; or an error. */
int shim_pause_user(const struct shim *shim, int64_t uid, int64_t gid, struct ambient_error *err);
/* Kills what a container left behind whose program has ended. */
void shim_pause_sweep(const struct shim *shim, struct shim_container *c);
int shim_pause_run(void);                                         /* is that first process */

/* enter.c.  std: for 0, 1, 2; -1: /dev/null; of no effect with ret_master, which is given when the process shall have a
 * terminal.  The process is ours to reap; *ret_pidfd may be -1. */
int shim_enter(const struct shim *shim, const struct shim_container *c, const char *const *argv, const int std[3],
	       int *ret_master, pid_t *ret_pid, int *ret_pidfd, struct ambient_error *err);

/* exec.c.  client: the connection's socket. */
struct shim_container *shim_container_running(struct shim *shim, const char *name, struct ambient_error *err);
bool shim_client_busy(const struct shim *shim, int client);       /* it has its exec or attach already */
int shim_exec_start(struct shim *shim, const struct shim_op *op, int client, const int *fds, size_t n, int *ret_master,
		    struct ambient_error *err);
bool shim_exec_reaped(struct shim *shim, pid_t pid, int status);  /* false: none of ours */
void shim_exec_abandon(struct shim *shim, int client);
void shim_exec_end(struct shim *shim, const struct shim_container *c);

/* task.c.  A task is a child that tries something; its output is kept up to 1 KiB. */
struct shim_task *shim_task_start(struct shim *shim, const struct shim_container *c, const struct shim_action *action,
				  int64_t timeout);
struct shim_task *shim_task_measure(struct shim *shim);
int shim_task_fd(const struct shim_task *task);     /* to poll; -1: none */
void shim_task_read(struct shim_task *task);
struct shim_task *shim_task_next(const struct shim_task *task);
bool shim_task_reaped(struct shim *shim, pid_t pid, int status); /* false: none of ours */
int64_t shim_task_tick(struct shim_task *task);     /* kills it when its time is over; the next time to look */
bool shim_task_done(const struct shim_task *task);
bool shim_task_ok(const struct shim_task *task);
const char *shim_task_text(const struct shim_task *task);
void shim_task_drop(struct shim *shim, struct shim_task **task); /* also a running one; NULL is fine */

/* probe.c.  Both return the next time to look. */
void shim_probe_begin(struct shim *shim, struct shim_container *c);
int64_t shim_probe_tick(struct shim *shim, struct shim_container *c);
void shim_probe_end(struct shim *shim, struct shim_container *c);

/* define.c */
void shim_define_ask(struct shim *shim, struct shim_container *c);
/* It ends, if it runs, and is not started before it has a new definition. */
int shim_define_hold(struct shim *shim, const char *name, struct ambient_error *err);
int shim_define(struct shim *shim, const char *name, const int *fds, size_t n, struct ambient_error *err);

/* life.c */
void shim_life_announce(struct shim *shim, struct shim_container *c, bool sync);
void shim_life_start(struct shim *shim, struct shim_container *c);
void shim_life_read_status(const struct shim *shim, struct shim_container *c);
/* Asks it to end: preStop, its signal, and SIGKILL at kill_at.  Again with an earlier time: only that changes. */
void shim_life_stop(struct shim *shim, struct shim_container *c, int64_t kill_at);
int64_t shim_life_tick(struct shim *shim, struct shim_container *c);           /* the next time to look */

/* control.c */
int shim_control_open(struct shim *shim, struct ambient_error *err);
void shim_control_accept(struct shim *shim);
void shim_control_read(struct shim *shim, size_t client);
void shim_control_tell(struct shim *shim, const char *line, size_t n); /* to subscribers; the slow are dropped */
void shim_control_tell_one(struct shim *shim, int fd, const char *line, size_t n);
void shim_control_close(struct shim *shim);

/* loop.c */
/* Runs the pod to its end.  ready_fd gets one byte as soon as the first containers have started or failed. */
void shim_loop(struct shim *shim, int ready_fd);
void shim_stop(struct shim *shim, int64_t grace);
void shim_snapshot(struct shim *shim, struct am_buf *out);

#endif
