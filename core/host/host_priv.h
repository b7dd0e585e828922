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

struct am_host {
	struct am_clock *clock;
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
	struct am_host_fence fence;    /* all NULL: open */
	struct am_lock lock;           /* guards what follows */
	struct am_map *kinds;          /* "v1/pods" -> struct host_kind *, never removed */
	struct am_instance **instances; /* in order of creation */
	size_t instance_count;
	char *runner_types;            /* "command, claude-code" */
};

struct host_kind {
	char *api_version, *kind;
};

/* One watch of an instance: kind and selection, and whom a change wakes. */
struct host_watch {
	char *kind, *labels, *fields, *only;
	struct am_informer *informer;
	struct am_subscription *subscription;
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
void host_watches_close(struct am_instance *instance);

/* Ends the watch that am_host_await_kinds may have. */
void host_kinds_forget(struct am_host *host);

/* apiVersion and kind of "v1/configmaps"; asks the API server for what it does not know yet.  Strings live as long as
 * the host. */
int host_kind(struct am_instance *instance, const char *kind, const char **api_version, const char **name,
	      struct ambient_error *err);

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
