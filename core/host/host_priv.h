/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the host share. */
#ifndef AM_HOST_PRIV_H
#define AM_HOST_PRIV_H

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/cache/cache.h"
#include "core/control/control.h"
#include "core/data/object.h"
#include "core/host/host.h"
#include "core/trigger/trigger.h"

/* A set of namespaces, ordered, of the host's own memory; count 0: all. */
struct host_namespaces {
	char **names;
	size_t count;
};

struct am_host {
	struct am_clock *clock;
	struct host_namespaces namespaces;
	char *mode, *state, *ns, *node_name, *runner_image, *runner_type;
	struct am_informers_options cache;
	/* Set by am_host_connect, constant afterwards. */
	struct am_kube *kube;
	struct am_informers *informers;
	struct am_recorder *recorder;
	char *server, *cluster_ca;
	/* Of CustomResourceDefinitions, while a kind is missing; the loader thread. */
	struct am_informer *definitions;
	struct am_subscription *definitions_told;
	struct am_cond definitions_changed; /* with lock; for who waits for a kind */
	struct am_host_fence fence;    /* all NULL: open */
	struct am_lock lock;           /* guards what follows */
	struct am_map *kinds;          /* "v1/pods" -> struct host_kind *, never removed */
	struct am_instance **instances; /* in order of creation */
	size_t instance_count;
	char *runner_types;            /* "command, claude-code" */
	uint64_t definitions_seen;     /* changes of CustomResourceDefinitions */
};

struct host_kind {
	char *api_version, *kind;
	bool scope_known, cluster_scoped; /* the host's lock */
};

/* What a watch sees of one namespace, or all that there is. */
struct host_part {
	const char *ns;                /* of the instance's set; NULL: everything */
	struct am_informer *informer;
	struct am_subscription *subscription;
};

/*
 * One watch of an instance: kind and selection, and whom a change wakes.  It has one part, or in a set of namespaces one
 * for each; none while it is not known whether the kind is in namespaces.  The loader thread makes the parts; they are
 * there for others, complete and for good, when part_count says so.
 */
struct host_watch {
	char *kind, *labels, *fields, *only;
	struct am_projection *projection; /* of only; NULL: objects are read as a whole */
	struct am_object_parts readable;  /* the same, for whoever reads them */
	struct host_part *parts;
	size_t made;                   /* of parts; the loader thread */
	atomic_size_t part_count;      /* 0, then what was made */
	struct am_stores *stores;      /* of the parts */
	/* Why there is none; the instance's lock. */
	char problem[200];
	enum am_reflector_state state; /* MISSING, FORBIDDEN, or BACKOFF for what may pass */
	int64_t look_at;               /* when to look again; the loader thread */
	uint64_t looked;               /* definitions_seen of the last look; the host's lock */
	struct host_link *links;
	size_t link_count;
};

struct host_link {
	struct am_trigger *trigger;
	struct host_reconciler *reconciler;
};

struct host_reconciler {
	struct am_instance *instance;
	const struct am_plugin_reconciler *decl;
	const struct ambient_reconciler *code;
	struct am_controller *controller;
	char *name;                    /* "<instance>" or "<instance>.<reconciler>" */
	struct host_watch *watch;      /* of the for-kind */
	char group[128];               /* of the for-kind */
};

/* The table that a plugin gets; the plugin's pointer leads back to the instance. */
struct host_table {
	struct ambient_host pub;
	struct am_instance *instance;
};

/* meter.c; the metrics belong to the registry. */
struct host_meter {
	struct am_metric *cpu, *requests, *failures, *sent, *received;
};

struct am_instance {
	struct am_host *host;
	char *name, *state_dir, *when;
	struct host_namespaces namespaces;
	const struct am_plugin *plugin;
	const struct ambient_conf *conf;
	struct host_table table;
	struct host_meter meter;
	void *self;
	bool provider, created, stopped;
	bool readonly;
	struct am_metric *refused;     /* writes of a read-only instance; NULL: it is none */
	bool abandoned;                /* a call did not end: nothing of it may be freed */
	size_t servers_started;
	struct host_reconciler *reconcilers;
	size_t reconciler_count;
	struct host_watch *watches;    /* fixed after am_instance_watch */
	size_t watch_count;
	struct am_lock lock;           /* guards what follows */
	struct am_map *applied;        /* "kind\nns\nname" -> what was applied last, see apply.c */
	enum am_plugin_state state;
	char failure[320];
};

/* A call of a reconciler. */
struct host_call {
	struct am_call_head head;
	struct host_reconciler *reconciler;
	struct am_reconcile *request;
};

static inline struct am_instance *
instance_of(const struct ambient_host *host)
{
	return ((const struct host_table *)(const void *)host)->instance;
}

static inline struct host_call *
call_of(struct ambient_call *call)
{
	return (struct host_call *)(void *)call;
}

/* The watch of kind that sees the most, NULL when it is not declared. */
struct host_watch *host_watch_of(struct am_instance *instance, const char *kind);
int host_watches_open(struct am_instance *instance, struct ambient_error *err);
/* A change of what it watches; on the I/O thread. */
am_change_f host_watch_changed;

/* ---- parts.c */

/* Takes the informers of a watch, if it is known where its kind lives; look: the API server may be asked for that.  0 also
 * when it is not known yet.  Then shows them. */
int host_parts_make(struct am_instance *instance, struct host_watch *watch, bool look, struct ambient_error *err);
void host_parts_show(struct host_watch *watch);
void host_parts_close(struct host_watch *watch);
/* Has the API server answered every question so far?  Who does not answer is not asked about the next kind at once. */
bool host_parts_answered(const struct am_instance *instance);
char *host_index_name(const struct am_instance *instance, const char *name);
/* Opens what could not be opened before, if it is time to look.  True: something is still missing. */
bool host_watches_complete(struct am_instance *instance);
/* How many parts it has, for all threads. */
static inline size_t
host_parts(const struct host_watch *watch)
{
	return atomic_load(&((struct host_watch *)(uintptr_t)watch)->part_count);
}
/* What it waits for: the state and words of a watch without parts. */
void host_watch_problem(struct am_instance *instance, struct host_watch *watch, struct am_reflector_status *ret);
/* -AMBIENT_E_UNSUPPORTED with a sentence when the watch does not see that namespace; NULL or "" only where it sees all. */
int host_watch_covers(const struct am_instance *instance, const struct host_watch *watch, const char *ns,
		      struct ambient_error *err);
void host_namespaces_copy(struct host_namespaces *to, const struct am_host_namespaces *from);
void host_namespaces_fini(struct host_namespaces *set);
void host_watches_close(struct am_instance *instance);

/* Ends the watch that am_host_await_kinds may have. */
void host_kinds_forget(struct am_host *host);

/* apiVersion and kind of "v1/configmaps"; asks the API server for what it does not know yet.  Strings live as long as
 * the host. */
int host_kind(struct am_instance *instance, const char *kind, const char **api_version, const char **name,
	      struct ambient_error *err);

/* Are its objects in no namespace?  -AMBIENT_E_NOTFOUND: the API server has no such kind; others as it answered, or
 * did not answer in time.  The loader thread; may block for some seconds. */
int host_kind_scope(struct am_host *host, const char *kind, bool *cluster_scoped, struct ambient_error *err);

void host_meter_init(struct am_instance *instance);
void host_meter_request(struct am_instance *instance, size_t sent, size_t received, bool failed);

am_reconcile_f host_reconcile;

/* The tables. */
extern const struct ambient_log_api host_log_api;
extern const struct ambient_clock_api host_clock_api;
extern const struct ambient_mem_api host_mem_api;
extern const struct ambient_spawn_api host_spawn_api;
extern const struct ambient_metrics_api host_metrics_api;
extern const struct ambient_queue_api host_queue_api;
extern const struct ambient_event_api host_event_api;
extern const struct ambient_cache_api host_cache_api;
extern const struct ambient_client_api host_client_api;
int host_runner_plan(struct ambient_call *call, const char *type, const struct ambient_object *session,
		     const struct ambient_object *settings, const struct ambient_object *effective,
		     const struct ambient_object **fragment, const struct ambient_object **problems,
		     struct ambient_error *err);
const char *host_runner_types(const struct ambient_host *host);
const char *host_fact(const struct ambient_host *host, const char *name);

#endif
