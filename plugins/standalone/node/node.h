/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: the kubelet of the machine that it runs on.  A pod becomes processes, kept by one ambient-shim that
 * outlives the daemon; what became of them is read from the shim's state.jsonl, always anew.
 *
 *   plugin.c   declarations, options, life cycle
 *   pod.c      the reconciler of pods: start, follow, end, forget
 *   spec.c     from a pod to the shim's specification
 *   image.c    names of images
 *   podman.c   images that podman runs
 *   pull.c     their pulls
 *   env.c      environment variables
 *   life.c     probes, hooks, sidecars
 *   resources.c  quantities, limits, the control groups of this machine
 *   groups.c   supplementary groups
 *   users.c    a user for each namespace
 *   seccomp.c  the filters of system calls
 *   profile.c  those of files
 *   schedule.c whether a pod has room here
 *   volumes.c  volumes and mounts
 *   tokens.c   of accounts, for volumes
 *   etc.c      /etc/hosts and /etc/resolv.conf
 *   files.c    files in kubelet's way: a generation of files behind a link that is swapped
 *   state.c    state.jsonl -> what each container does
 *   status.c   that -> the pod's status
 *   define.c   containers whose definition comes while their shim runs
 *   shim.c     starting a shim, talking to it, knowing whether it lives
 *   watch.c    the thread that hears from the shims
 *   server.c   kubelet's endpoint
 *   logs.c     of it: logs
 *   loglines.c   the lines of their files, and where to begin
 *   exec.c     of it: commands in a container
 *   channel.c  the messages of such a session
 *   machine.c  the Node object
 *   claims.c   volume claims are directories
 *   text.c     a growing string, JSON writing, times
 *
 * On disk, below the instance's state directory (0700): pods/<uid>/{pod.json, state.jsonl, shim.lock, sock, volumes/,
 * containers/<name>/<n>.log, seccomp/<container>.{bpf,json}} and pvc/<namespace>/<claim>/.  Paths carry uids, names alone
 * never.
 *
 * Threads: reconcilers on workers, one watcher, the endpoint's pool, one per session.  The table of pods is guarded by its
 * lock; everything else belongs to a call or never changes after create.
 */
#ifndef NODE_H
#define NODE_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include <ambient/ambient.h>

#include "plugins/shared/text.h"

#define POD     "v1/pods"
#define NODE    "v1/nodes"
#define CLAIM   "v1/persistentvolumeclaims"
#define SECRET  "v1/secrets"
#define CONFMAP "v1/configmaps"
#define ACCOUNT "v1/serviceaccounts"

/* text.c.  Zeroed is empty; failed sticks and is looked at once. */
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *text_str(const struct text *t);
int64_t time_parse(const char *rfc3339);                       /* wall ns, fractions too; 0: not a time */
void time_stamp(char buf[40], int64_t wall_ns);                /* seconds, "…Z" */
int base64_decode(const char *s, struct text *out);            /* 0 or -AMBIENT_E_INVALID */
int file_read(const char *path, size_t max, struct text *out); /* 0 or -errno; -EFBIG when larger */
int file_read_fd(int fd, size_t max, struct text *out);        /* likewise; leaves fd open */
int file_write(const char *path, const char *data, size_t n, int mode); /* atomically; 0 or -errno */
int make_dirs(const char *path);                               /* 0700; 0 or -errno */
int remove_tree(const char *path);                             /* follows nothing; 0 or -errno */

enum share { SHARE_CPU, SHARE_MEMORY, SHARE_PODS, SHARES };  /* milli, bytes, number */
#define SCHEDULE_PODS 500
#define GROUPS_MAX    3                                      /* memory, cpu, pids in version 1; only the first in 2 */

/* Ports of the machine that a pod says are its own. */
struct host_ports {
	struct host_port { char protocol[8], ip[46]; int port; } *list;
	size_t count;
};

struct image {
	char *match, *path, *root;
	char **binds, **entrypoint, **env; /* ended by NULL */
};

/* Images that podman runs. */
struct podman {
	char *match, *path, *network;
	char *pull;              /* stands for the containers' imagePullPolicy; NULL: that holds */
	char **options;          /* ended by NULL */
};

/* A pod that this machine knows: made when it is first prepared, gone when its directory is. */
struct local {
	struct local *next;
	char ns[64], name[256], uid[64];
	char dir[512];
	int64_t accepted;        /* wall ns: status.startTime */
	int64_t deadline;        /* seconds that the shim counts; 0: none, or not asked since the daemon started */
	int64_t user;            /* outside of the sandbox; -1: the daemon's, USER_UNKNOWN: there was none to give */
	int64_t refresh_at;      /* boot ns of the next look at volumes, 0: none */
	struct local_token {     /* of volumes */
		char *path;
		int64_t renew_at;    /* wall ns */
	} *tokens;
	size_t token_count;
	int watch_fd;            /* the watcher's connection, -1: none; under the lock */
	bool watched;            /* the watcher shall connect */
	bool started;            /* a shim was started */
	int pulls;               /* how often the image was not there */
	int64_t noted;           /* number of the last of the shim's notes that became an Event; -1: not read yet */
	char ip[20];
	int64_t share[SHARES];   /* what it holds of the machine; under the lock, as the next two */
	struct host_ports ports;
	bool unscheduled;        /* waits for room */
};

struct node {
	const struct ambient_host *host;
	char *name, *shim, *bwrap, *root; /* root: the state directory */
	char *filter;            /* of system calls, a file; NULL: there is none */
	char *profiles;          /* the directory of others; NULL: there is none */
	bool no_sandbox, cluster, strict_limits, seccomp_default;
	int groups_version;      /* of control groups; 0: none */
	bool limits_hold;        /* all limits are enforced */
	char groups[GROUPS_MAX][512];
	int64_t pod_pids;
	int64_t uid_first, uid_last; /* users of namespaces; 0: there are none */
	int64_t token_use;       /* ns: the longest that a token stays */
	uint32_t addresses, address_count; /* of pods: the first, and how many */
	pthread_mutex_t uid_lock;    /* guards uids/ on disk */
	char **host_paths;       /* what hostPath volumes may show; ended by NULL */
	struct image **images;
	size_t image_count;
	struct podman **podmen;
	size_t podman_count;
	struct pull *pulls;      /* under the lock, as the next */
	int pulling;             /* how many run */
	int32_t pulls_end;       /* atomic */
	pthread_cond_t pull_ended;
	pthread_mutex_t lock;    /* guards pods, the watcher's fields and `server` */
	struct local *pods;
	pthread_t watcher;
	bool has_watcher;
	int wake[2];             /* a byte: look at the table again; closed: end */
	bool stopping;
	struct ambient_http_listener *server;
	uint16_t port;
	int sessions;            /* of exec and attach; under the lock */
};

/* pod.c */
int pod_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		  struct ambient_result *result, struct ambient_error *err);
struct local *local_find(struct node *node, const char *uid);      /* takes and leaves the lock */
void local_load(struct node *node);                                /* from disk, at create */
void local_free_all(struct node *node);

#define UNSCHEDULABLE "Unschedulable"
#define GATED         "SchedulingGated"

/* Why a pod cannot start now.  reason "" : it can. */
struct trouble {
	char reason[64];         /* ContainerCreating, CreateContainerConfigError, CreateContainerError, ErrImagePull, … */
	char message[400];
	char container[64];      /* "" : all of them */
	bool quiet;              /* its Events have been made */
	int64_t again;           /* ns until the next look; 0: by wait */
	bool wait;               /* something else may appear; else only a change of the pod or the configuration helps */
	struct trouble *next;    /* of another container; NULL */
	char missing[400];       /* the last object that the server did not have: asked for once in a preparation */
};
void trouble_set(struct trouble *t, const char *reason, bool wait, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* spec.c.  0 with t->reason set when the pod cannot start. */
int spec_build(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	       struct text *spec, struct trouble *t, struct ambient_error *err);
/* One container alone. */
int spec_container(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
		   const struct ambient_object *container, struct text *out, struct trouble *t, struct ambient_error *err);
const struct ambient_object *container_at(const struct ambient_object *pod, const char *list, size_t i);

/* image.c */
const struct image *image_find(const struct node *node, const char *name);
const struct podman *image_podman(const struct node *node, const char *name); /* asked when image_find has none */
const char *image_problem(const char *name);                       /* NULL, or why it is no name of an image */
void image_normalize(const char *name, struct text *out);          /* "busybox" -> "docker.io/library/busybox:latest" */
size_t image_repository(const char *name);                         /* bytes before the tag or the digest */

/* podman.c */
struct podman_answer {
	bool ok;
	char *out;               /* what it printed; may be NULL */
	char problem[600];       /* when it is not ok */
};
/* args: without the program and its options, ended by NULL.  Needs podman_answer_free. */
void podman_run(const struct node *node, const struct podman *podman, const char *const *args, int64_t timeout,
		const int32_t *cancelled, struct podman_answer *answer);
void podman_answer_free(struct podman_answer *answer);
char **podman_environment(void);                                   /* for who runs podman; each and the list to be freed */
/* What podman says of the container's image: "id", "digests", "config"; NULL with t->reason: it is not here yet. */
int podman_image(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
		 const struct podman *podman, const struct ambient_object *container, const struct ambient_object **ret,
		 struct trouble *t, struct ambient_error *err);
void podman_image_id(const char *name, const struct ambient_object *image, struct text *out); /* for status.imageID */
/* Members of a container of the shim's specification. */
void podman_add(struct text *out, const struct podman *podman, const struct ambient_object *pod, const struct ambient_object *container,
		const struct ambient_object *image, int64_t user, const struct text *names, struct trouble *t);
/* Before a shim starts the pod: who will have made its containers; 0 or -errno. */
int podman_remember(const struct node *node, const struct ambient_object *pod, const struct local *local);
/* When no shim keeps it any more: removes what is left of its containers, running ones too. */
int podman_clean(const struct node *node, const struct local *local, struct ambient_error *err);

/* pull.c */
struct pull_report {
	enum { PULL_NONE, PULL_RUNS, PULL_DONE, PULL_FAILED } state;
	bool told;               /* this end was looked at before: its Events are made */
	int tries;
	int64_t failed_at, retry_at; /* monotonic ns */
	int64_t took;            /* ns */
	char message[600];
};
struct pull_report pull_look(struct node *node, const struct local *local, const char *image);
/* False: there is no place for it now. */
bool pull_start(struct node *node, const struct podman *podman, const struct local *local, const char *image, const char *auth);
void pull_forget(struct node *node, const struct local *local);
void pull_stop(struct node *node);

/* env.c.  Appends "NAME=value" strings as a JSON array. */
int env_build(struct node *node, struct ambient_call *call, const struct ambient_object *pod, const struct local *local,
	      const struct ambient_object *container, const struct image *image, struct text *out, struct text *names,
	      struct trouble *t, struct ambient_error *err);
/* $(NAME) in command and args, from what env_build returned in names ("NAME=value\0…"). */
void env_expand(const struct text *names, const char *in, struct text *out);
/* What a resourceFieldRef says of the container that it names, or of own (may be NULL). */
void env_resource(const struct ambient_object *pod, const struct ambient_object *own, const struct ambient_object *ref,
		  char *out, size_t size);
/* Value of a fieldRef; NULL: unknown path. */
const char *env_field(const struct ambient_object *pod, const struct local *local, const char *path);
/* From the cache, or live when the cache does not have it (it may lag); NULL with rc 0: there is none. */
int find_object(struct ambient_call *call, const char *kind, const char *ns, const char *name, struct trouble *t,
		const struct ambient_object **ret, struct ambient_error *err);

/* groups.c.  Of what is not podman's. */
bool groups_asked(const struct ambient_object *pod);
void groups_add(struct text *out, const struct ambient_object *pod, struct trouble *t);

/* address.c */
#define POD_CIDR "127.64.0.0/10"
int addresses_range(const char *text, uint32_t *first, uint32_t *size, struct ambient_error *err); /* of the configuration */
int addresses_prepare(const struct node *node, struct ambient_error *err);
void address_give(const struct node *node, struct local *l);         /* the lock is held */

/* users.c */
#define USERS_STAGE  "/run/ambient-pods" /* empty; each shim has a file system of its own there */
#define USER_UNKNOWN (-2)
int users_range(const char *text, int64_t *first, int64_t *last, struct ambient_error *err); /* of the configuration */
int users_prepare(struct ambient_error *err);
/* The user of a namespace's pods, given now if need be; -1: the daemon's own. */
int users_get(struct node *node, const char *ns, int64_t *ret, struct ambient_error *err);
/* Makes a directory that user's, and nobody else's; without one it has the mode others.  0 or -errno. */
int users_own(const char *dir, int64_t user, mode_t others);

/* life.c */
/* image: podman's word on it, or NULL. */
void life_add(struct text *out, const struct text *names, const struct local *local, const struct ambient_object *container,
	      const struct ambient_object *image, struct trouble *t);
bool life_sidecar(const struct ambient_object *container);         /* among the init containers */

/* resources.c */
double quantity(const char *text);                                 /* "500m" -> 0.5, "64Mi" -> bytes; 0: none */
double quantity_at(const struct ambient_object *obj, const char *pointer);
int64_t quantity_up(double value);                                 /* the next whole number */
/* list: "limits" or "requests"; in units of 1/unit, rounded up. */
int64_t resources_of(const struct ambient_object *container, const char *list, const char *resource, double unit);
void resources_detect(struct node *node, const char *root);        /* root "": no control groups */
void resources_leave(const struct node *node);                     /* takes away what detect made, when it is empty */
void resources_forget(const struct node *node, const struct local *local);
void resources_add_limits(struct text *out, const struct node *node, const struct ambient_object *container);
void resources_add_groups(struct text *out, const struct node *node);
void resources_add_quotas(struct text *out, const struct ambient_object *pod, const struct local *local);

/* seccomp.c.  by_podman: which has a default of its own. */
void seccomp_prepare(struct node *node);
void seccomp_add(struct text *out, const struct node *node, const struct ambient_object *pod, const struct local *local,
		 const struct ambient_object *container, bool by_podman, struct trouble *t);
int seccomp_write(void *ctx, const char *path);                    /* a filter of libseccomp's; 0 or -errno */

/* profile.c */
#define PROFILE_MAX (256 << 10)
/* The text of a profile as a filter in the file to; 0, or -1 and a sentence. */
int profile_compile(const struct node *node, const struct text *json, const char *to, char *problem, size_t size);

/* schedule.c */
int schedule_check(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
		   struct trouble *t, struct ambient_error *err);
void schedule_hold(struct node *node, const struct ambient_object *pod, struct local *local); /* one that runs */
void schedule_release(struct node *node, struct local *local);
void schedule_forget(struct local *local);                         /* of one that leaves the table */
bool schedule_lacks(const struct trouble *t);                      /* it is not on the node yet */
int64_t schedule_capacity(enum share share);

/* volumes.c */
bool volumes_in_memory(const struct ambient_object *volume);
void volumes_add_memory(struct text *out, const struct ambient_object *pod, const struct local *local);
int volumes_prepare(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
		    struct trouble *t, struct ambient_error *err);
/* Appends {"source","target","readOnly"} objects, comma-separated; names for subPathExpr. */
void volumes_mounts(struct node *node, const struct ambient_object *pod, const struct local *local,
		    const struct ambient_object *container, const struct text *names, struct text *out, struct trouble *t);

/* tokens.c.  The token in use, or a new one; none is in *ret when t says why. */
int token_get(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	      const char *dir, const struct ambient_object *source, struct text *ret, struct trouble *t,
	      struct ambient_error *err);
int64_t token_next(const struct local *local);                     /* wall ns of the next renewal; INT64_MAX: none */
void token_forget(struct local *local);

/* etc.c */
int etc_prepare(const struct node *node, const struct ambient_object *pod, const struct local *local); /* 0 or -errno */
void etc_mounts(const struct node *node, const struct ambient_object *pod, const struct local *local,
		const struct ambient_object *container, struct text *out);

/* files.c */
struct payload {
	struct payload_file { char *path; char *data; size_t len; int mode; } *files;
	size_t count, cap;
	int64_t owner;           /* of the files; 0 or less: who writes them */
	bool failed;
};
void payload_add(struct payload *p, const char *path, const char *data, size_t len, int mode);
void payload_free(struct payload *p);
bool payload_path_ok(const char *path);                            /* relative, no "..", no leading ".." name */
int payload_write(const char *dir, const struct payload *p);       /* 0, 1: nothing changed, or -errno */

/* state.c */
struct container_state {
	char name[64];
	enum { C_NONE, C_WAITING, C_STARTING, C_RUNNING, C_EXITED } state;
	int restart;             /* number of the instance that state speaks of */
	int code;
	char reason[64], started[40], finished[40];
	char *message;           /* may be NULL */
	char *image, *image_id;  /* of podman's; NULL: programs of this machine */
	char *note;              /* why it waits; may be NULL */
	char *of;                /* the image of the pod's that it was started with; NULL: not said */
	bool wanted;             /* its shim wants its definition */
	bool up, ready;          /* of a running one */
	bool was_up;             /* any instance */
	bool has_last;           /* an earlier instance ended */
	int last_code;
	char last_reason[64], last_started[40], last_finished[40];
	char *last_message;      /* may be NULL */
};
struct pod_state {
	struct container_state *c;
	size_t count;
	bool any, ended, deadline; /* any: there is a state file with a record */
	char *evicted;             /* why; NULL: it was not */
	struct state_note { int64_t i; char container[64], reason[64]; char *message; } *notes; /* of this reading, new ones only */
	size_t note_count;
	int64_t kill_at;           /* wall ns at which the shim will kill, by its last "stop"; 0: not asked to end */
};
int state_read(struct ambient_call *call, const struct local *local, struct pod_state *ret, struct ambient_error *err);
void state_free(struct pod_state *state);
struct container_state *state_of(const struct pod_state *state, const char *name); /* NULL: nothing known */
/* For threads without a call: does the file have an exit record of that instance (or an end)? */
bool state_has_exit(const struct node *node, const char *dir, const char *container, int restart);
bool state_waits(const struct node *node, const char *dir, const char *container); /* for its next start */

/* status.c.  alive: the shim runs.  Writes the status when it differs. */
int status_write(struct node *node, struct ambient_call *call, const struct ambient_object *pod,
		 const struct local *local, const struct pod_state *state, bool alive, const struct trouble *t,
		 struct ambient_error *err);
bool status_terminal(const struct ambient_object *pod);

/* shim.c */
bool shim_alive(const struct local *local);
int shim_start(struct node *node, struct local *local, const struct text *spec, struct ambient_error *err);
int shim_connect(const struct local *local);                       /* a descriptor, or -errno */
int shim_stop(const struct local *local, int64_t grace_ms);        /* 0, or -errno: nobody listens */
int shim_deadline(const struct local *local, int64_t seconds);     /* likewise; -ENOTSUP: one of an earlier release */
int shim_hold(const struct local *local, const char *container);   /* likewise, as the next; -ENOTSUP: it refuses */
int shim_define(const struct local *local, const char *container, const struct text *spec);

/* define.c */
void define_changes(const struct ambient_object *pod, const struct local *local, const struct pod_state *state);
/* Gives the shim what it wants; *ret: why not, or no reason, for each of these containers, to be freed in either case. */
int define_wanted(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
		  const struct pod_state *state, struct trouble **ret, struct ambient_error *err);
void define_free(struct trouble *t);

/* watch.c */
int watch_start(struct node *node, struct ambient_error *err);
void watch_stop(struct node *node);
void watch_wake(struct node *node);

/* server.c */
int server_start(struct node *node, struct ambient_error *err);
void server_stop(struct node *node);
void server_refuse(struct node *node, struct ambient_http_request *request, int status, const char *text);
bool server_truth(struct node *node, struct ambient_http_request *request, const char *name); /* "1" or "true" */
bool server_find(struct node *node, const char *ns, const char *pod, char *dir, size_t size); /* the pod's directory */

/* logs.c, exec.c: answer a request of the API server's. */
void logs_handle(struct node *node, struct ambient_http_request *request);
void exec_handle(struct node *node, struct ambient_http_request *request);

/* loglines.c */
struct log_line {
	const char *text;
	size_t len, stamp_len;   /* stamp_len 0: it has no time, and is taken as it is */
	char stream;             /* 'o', 'e'; 0: not told */
	bool whole;              /* the end of a line of the program's */
};
struct log_filter {
	char only;               /* 'o': stdout, 'e': stderr, 0: both */
	int64_t since;           /* wall ns; 0: not given */
};
struct log_span {                /* a part of a file, from where a line begins */
	int fd;
	off_t from, end;
};
struct log_line log_parse(const char *p, size_t n);                /* a line of a file, without its newline */
bool log_wanted(const struct log_filter *filter, const char *p, const struct log_line *line);
/* The spans, from the oldest to the newest, become shorter: without much of what is older; to the last lines only. */
void log_since(struct log_span *spans, size_t n, int64_t since);
void log_tail(struct log_span *spans, size_t n, const struct log_filter *filter, int64_t lines);

/* channel.c */
enum channel { CHANNEL_STDIN, CHANNEL_STDOUT, CHANNEL_STDERR, CHANNEL_ERROR, CHANNEL_RESIZE, CHANNEL_CLOSE = 255 };
struct channel_message {
	enum { CHANNEL_NOTHING, CHANNEL_INPUT, CHANNEL_END, CHANNEL_SIZE } kind; /* END: of the input */
	const char *data;        /* of INPUT, within the message */
	size_t len;
	unsigned short width, height;
};
/* false: no message that a client may send. */
bool channel_parse(const struct ambient_host *host, bool v5, const char *data, size_t len, struct channel_message *ret);
void channel_success(struct text *out);
void channel_exited(struct text *out, int code);
void channel_failure(struct text *out, const char *message);

/* machine.c, claims.c */
struct utsname;
const char *machine_arch(const struct utsname *u);                 /* "amd64" */
int machine_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		      struct ambient_result *result, struct ambient_error *err);
/* The claims of a pod that has ended may be free now. */
void claims_wake(struct node *node, const struct ambient_object *pod);
int claim_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		    struct ambient_result *result, struct ambient_error *err);
/* <root>/pvc/<ns>/<claim>, made when missing; 0 or -errno. */
int claim_dir(struct node *node, const char *ns, const char *name, char *path, size_t size);

#endif
