/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: the one place that fills the tables which plugins call, and that calls plugins.  It knows every other
 * folder; the daemon only puts instances in order.
 *
 * Threads: the functions here belong to the loader thread (one at a time), unless they say otherwise.
 */
#ifndef AM_HOST_HOST_H
#define AM_HOST_HOST_H

#include "core/conf/conf.h"
#include "core/kube/kube.h"
#include "core/plugin/plugin.h"

struct am_host;
struct am_instance;
struct am_informers;

/* Namespaces whose objects are watched, each by itself.  count 0: all of them, by one watch of each kind. */
struct am_host_namespaces {
	const char *const *names;
	size_t count;
};

struct am_host_options {
	struct am_clock *clock;
	const char *mode;         /* "standalone" or "cluster" */
	const char *state;        /* directory; each instance gets one of its name in it */
	const char *ns;           /* the daemon's own namespace */
	struct am_host_namespaces namespaces; /* of instances that have none of their own; copied */
	const char *node_name;    /* NULL: "standalone" in that mode, else unknown */
	const char *runner_image; /* NULL: unknown */
	const char *runner_type;
	bool stream_lists;        /* ask for whole collections as the beginning of a watch */
	bool packed_cache;        /* keep cached objects compressed */
};
struct am_host *am_host_new(const struct am_host_options *options) am_nodiscard_;
/* The API server, which the host borrows; needed before the watches of any instance. */
int am_host_connect(struct am_host *host, struct am_kube *kube, const struct am_kube_config *config, struct ambient_error *err);
/* What they share; after am_host_connect, for as long. */
struct am_informers *am_host_informers(struct am_host *host);
/* An event of the daemon's own; any thread, does not block.  involved: as am_recorder_emit. */
void am_host_event(struct am_host *host, const char *involved_json, const char *ns, const char *name, const char *reason,
		   const char *message);
/* Ends that; every instance but the provider has been stopped. */
void am_host_disconnect(struct am_host *host);
/*
 * Who may reconcile and write, asked before each reconcile and each write, on any thread; nothing of it may block.  A
 * request that writes gets the fence's end as its deadline, so that none is sent, or repeated, after it.
 */
struct am_host_fence {
	int64_t (*until)(void *arg); /* boot time until which it is open; 0: closed */
	/* Of several replicas that share the objects: may a reconcile of this one start here?  NULL: of everything. */
	bool (*owns)(void *arg, const char *ns, const char *name);
	/* May one that runs write?  Still yes while what is given away waits for its last calls.  NULL: as until. */
	bool (*holds)(void *arg, const char *ns, const char *name);
	void (*ended)(void *arg, const char *ns, const char *name); /* a reconcile has returned; may be NULL */
	void *arg;
};
/* Copied; NULL: always open.  Before the workers start; the tests do it at rest. */
void am_host_set_fence(struct am_host *host, const struct am_host_fence *fence);
void am_host_free(struct am_host *host); /* after its instances */

/* ---- instances */

struct am_instance_options {
	const char *name;
	const struct am_plugin *plugin;
	const struct ambient_conf *conf;
	int workers;              /* 0: the default */
	int64_t deadline;         /* of one reconcile; 0: 5 min */
	bool readonly;            /* its writes are refused and counted */
	const char *when;         /* which updates of the reconciled kind count; NULL: as declared */
	struct am_host_namespaces namespaces; /* whose objects it sees; none: the host's; copied */
	bool provider;            /* is the API server: gets no client, cache, queue and event table */
};
/* Makes its tables, its state directory and its (not yet running) controllers.  Runs no code of the plugin. */
int am_instance_new(struct am_host *host, const struct am_instance_options *options, struct am_instance **ret,
		    struct ambient_error *err);
/* Calls the plugin's stop and destroy.  An instance with a call that would not end (am_instance_stop_workers) is left as it
 * is: then the host and the client have to stay too, and the process ends by _exit. */
void am_instance_free(struct am_instance *instance);
/* The plugin's own opinion of a configuration; needs no instance. */
int am_instance_check(struct am_host *host, const struct am_plugin *plugin, const char *name,
		      const struct ambient_conf *conf, struct ambient_error *err);
int am_instance_create(struct am_instance *instance, struct ambient_error *err);
int am_instance_reload(struct am_instance *instance, const struct ambient_conf *conf, struct ambient_error *err);
int am_instance_start_servers(struct am_instance *instance, struct ambient_error *err);
/* Of a started provider; NULL when it has none. */
const char *am_instance_kubeconfig(const struct am_instance *instance);
/* Opens its watches, then waits until every one has told its first list.  With namespaces, opening asks the API server
 * which kinds are in namespaces: blocks for at most some seconds; a kind that nobody knows yet is looked for again by
 * am_host_await_kinds. */
int am_instance_watch(struct am_instance *instance, struct ambient_error *err);
int am_instance_wait_synced(struct am_instance *instance, int64_t deadline, const int32_t *cancelled, struct ambient_error *err);
/* Is there nothing more to wait for: does each of its watches have its first list, or cannot have one (no such kind,
 * forbidden)? */
bool am_instance_warm(struct am_instance *instance);
/* While an instance waits for a kind that does not exist, the host watches CustomResourceDefinitions, so that the kind is
 * found when it appears.  Called now and then until everything is synced; looks and adjusts, opens what can be opened now. */
void am_host_await_kinds(struct am_host *host);
int am_instance_start_workers(struct am_instance *instance, struct ambient_error *err);
void am_instance_pause(struct am_instance *instance);   /* a lost lease; any thread */
void am_instance_resume(struct am_instance *instance);  /* any thread */
/* Of the objects that which() picks: do calls run; set their cancel flags; reconcile all of them again.  Any thread. */
typedef bool am_instance_which_f(void *arg, const char *ns, const char *name);
bool am_instance_busy(struct am_instance *instance, am_instance_which_f *which, void *arg);
void am_instance_cancel(struct am_instance *instance, am_instance_which_f *which, void *arg);
void am_instance_requeue(struct am_instance *instance, am_instance_which_f *which, void *arg);
/* False when calls would not end by then: they were named in the log and go on. */
bool am_instance_stop_workers(struct am_instance *instance, int64_t deadline);
void am_instance_unwatch(struct am_instance *instance);
void am_instance_stop(struct am_instance *instance);    /* servers, then the plugin's stop; once */

/* ---- for status pages; any thread */

const char *am_instance_name(const struct am_instance *instance);
enum am_plugin_state am_instance_state(const struct am_instance *instance);
void am_instance_set_failed(struct am_instance *instance, const char *why);
/* What makes an instance ready, each with its name ("widget/watch/v1/pods") and what is wrong with it, NULL when nothing
 * is: the plugin, its servers, its watches, its controllers. */
typedef void am_check_f(void *arg, const char *name, const char *problem);
void am_instance_checks(struct am_instance *instance, am_check_f *each, void *arg);
/* 0, or the first problem of those. */
int am_instance_ready(struct am_instance *instance, struct ambient_error *err);
void am_instance_refresh_metrics(struct am_instance *instance);
/* JSON objects for the admin socket: what an instance costs and does; an array of the caches. */
void am_instance_report(struct am_instance *instance, struct am_buf *out);
void am_host_report_cache(struct am_host *host, struct am_buf *out);
void am_host_refresh_metrics(struct am_host *host); /* of the caches that instances share */
/* Does a reconciler of it have that name: "INSTANCE", or "INSTANCE.RECONCILER" where there are several? */
bool am_instance_has_controller(const struct am_instance *instance, const char *controller);
/* Adds what its reconcilers know of the object of that name, as JSON objects, each after a comma but the first of out.
 * controller NULL: all of them.  elsewhere: see am_controller_explain. */
void am_instance_explain(struct am_instance *instance, const char *controller, const char *ns, const char *name,
			 const char *elsewhere, struct am_buf *out);
/* One line of text per reconciler and watch. */
void am_instance_describe(struct am_instance *instance, struct am_buf *out);

#endif
