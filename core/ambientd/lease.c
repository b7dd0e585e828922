/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replicas of this daemon agree on: one leader for everything, or shards that they share.  Either opens and closes
 * the host's fence, pauses and resumes the instances, and is woken by a watch of its Leases, so that what is given back
 * is taken at once and not at the next try.  Without the right to watch it is found by the tries alone.
 *
 * Standalone there is none of it: the lock on the state directory is leadership.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/ambientd/daemon_priv.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/util.h"
#include "core/cache/cache.h"
#include "core/data/scan.h"
#include "core/lead/lead.h"
#include "core/lead/shards.h"

#define LEASES    "coordination.k8s.io/v1/leases"
#define LABEL     "ambient-code.io/shards-of"
#define CLAIM     "ambient-code.io/shards"
#define TOLERANCE (20 * AM_NS_PER_S) /* as the components of a cluster have it */

struct daemon_lease {
	struct am_daemon *daemon;
	char *ns, *identity;
	const char *name;
	struct am_lead *lead;        /* one of these two */
	struct am_shards *shards;
	struct am_informer *leases;
	struct am_subscription *told;
	struct am_thread *sweeper;   /* adds everything of a new shard to the queues: too long for the I/O thread */
	struct am_lock lock;         /* guards what follows */
	struct am_cond changed;
	bool gained[AM_SHARDS_MAX], any_gained, ending;
};

static void
pause_all(const struct daemon_lease *l)
{
	for (size_t i = 0; i < l->daemon->plugin_count; i++)
		am_instance_pause(l->daemon->plugins[i].instance);
}

static void
resume_all(const struct daemon_lease *l)
{
	for (size_t i = 0; i < l->daemon->plugin_count; i++)
		am_instance_resume(l->daemon->plugins[i].instance);
}

/* ---- a leader */

static void
tell(const struct daemon_lease *l, const char *what)
{
	am_auto(am_buf_fini) struct am_buf involved = { 0 };
	am_auto(am_freep) char *text = am_xasprintf("%s %s", l->identity, what);

	am_json_addf(&involved, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"namespace\":%s,\"name\":%s}", l->ns,
		     l->name);
	am_host_event(l->daemon->host, am_buf_str(&involved), l->ns, l->name, "LeaderElection", text);
}

static void
lead_started(void *arg)
{
	struct daemon_lease *l = arg;

	am_log_info("ambientd", "this replica leads");
	tell(l, "became leader");
	resume_all(l);
}

static void
lead_stopped(void *arg)
{
	struct daemon_lease *l = arg;

	pause_all(l);
	if (!atomic_load(&l->daemon->stopping))
		tell(l, "stopped leading");
}

static int64_t
lead_until(void *arg)
{
	return am_lead_valid_until(((struct daemon_lease *)arg)->lead);
}

/* ---- shards */

static void
shards_started(void *arg)
{
	resume_all(arg);
}

static void
shards_stopped(void *arg)
{
	pause_all(arg);
}

struct one_shard {
	const struct daemon_lease *lease;
	int shard;
};

static bool
in_shard(void *arg, const char *ns, const char *name)
{
	const struct one_shard *one = arg;

	return am_shards_of(one->lease->shards, ns, name) == one->shard;
}

static bool
shard_idle(void *arg, int shard)
{
	const struct daemon_lease *l = arg;
	struct one_shard one = { l, shard };

	for (size_t i = 0; i < l->daemon->plugin_count; i++) {
		if (am_instance_busy(l->daemon->plugins[i].instance, in_shard, &one))
			return false;
	}
	return true;
}

static void
shard_hurry(void *arg, int shard)
{
	const struct daemon_lease *l = arg;
	struct one_shard one = { l, shard };

	for (size_t i = 0; i < l->daemon->plugin_count; i++)
		am_instance_cancel(l->daemon->plugins[i].instance, in_shard, &one);
}

static void
shard_gained(void *arg, int shard)
{
	struct daemon_lease *l = arg;

	am_lock(&l->lock);
	l->gained[shard] = l->any_gained = true;
	am_cond_signal(&l->changed);
	am_unlock(&l->lock);
}

struct sweep {
	const struct daemon_lease *lease;
	bool gained[AM_SHARDS_MAX];
};

static bool
in_sweep(void *arg, const char *ns, const char *name)
{
	const struct sweep *sweep = arg;

	return sweep->gained[am_shards_of(sweep->lease->shards, ns, name)];
}

/* What changes after a shard became ours is added as it changes; what had changed before is found here. */
static void
sweeper_main(void *arg)
{
	struct daemon_lease *l = arg;
	struct sweep sweep = { .lease = l };

	am_lock(&l->lock);
	while (!l->ending) {
		if (!l->any_gained) {
			(void)am_cond_wait(&l->changed, &l->lock, AM_FOREVER);
			continue;
		}
		memcpy(sweep.gained, l->gained, sizeof(sweep.gained));
		memset(l->gained, 0, sizeof(l->gained));
		l->any_gained = false;
		am_unlock(&l->lock);
		for (size_t i = 0; i < l->daemon->plugin_count; i++)
			am_instance_requeue(l->daemon->plugins[i].instance, in_sweep, &sweep);
		am_lock(&l->lock);
	}
	am_unlock(&l->lock);
}

static int64_t
shards_until(void *arg)
{
	return am_shards_valid_until(((struct daemon_lease *)arg)->shards);
}

static bool
shards_owns(void *arg, const char *ns, const char *name)
{
	const struct am_shards *s = ((struct daemon_lease *)arg)->shards;

	return am_shards_owns(s, am_shards_of(s, ns, name));
}

static bool
shards_holds(void *arg, const char *ns, const char *name)
{
	const struct am_shards *s = ((struct daemon_lease *)arg)->shards;

	return am_shards_holds(s, am_shards_of(s, ns, name));
}

static void
shards_ended(void *arg, const char *ns am_unused_, const char *name am_unused_)
{
	am_shards_ended(((struct daemon_lease *)arg)->shards);
}

/* ---- the watch; on the I/O thread */

static bool
is_free(const struct am_object *lease)
{
	am_auto(am_freep) char *holder = lease != NULL ? am_json_dup(lease->json, "/spec/holderIdentity") : NULL;

	return am_empty(holder);
}

static void
lead_changed(void *arg, const struct am_change *change)
{
	if (is_free(change->after))
		am_lead_poke(((struct daemon_lease *)arg)->lead);
}

/* A renewal says nothing new. */
static void
shards_changed(void *arg, const struct am_change *change)
{
	am_auto(am_freep) char *before = change->before != NULL ? am_object_annotation(change->before, CLAIM) : NULL;
	am_auto(am_freep) char *after = change->after != NULL ? am_object_annotation(change->after, CLAIM) : NULL;

	if (!am_streq(before, after))
		am_shards_poke(((struct daemon_lease *)arg)->shards);
}

static int
watch(struct daemon_lease *l, struct ambient_error *err)
{
	am_auto(am_freep) char *only = am_xasprintf(l->shards != NULL ? LABEL "=%s" : "metadata.name=%s", l->name);
	const struct am_informer_spec spec = {
		.kind = LEASES,
		.ns = l->ns,
		.selector = l->shards != NULL ? only : NULL,
		.field = l->shards != NULL ? NULL : only,
	};
	int rc = am_informer_get(am_host_informers(l->daemon->host), &spec, &l->leases, err);

	if (rc == 0)
		l->told = am_informer_subscribe(l->leases, l->shards != NULL ? shards_changed : lead_changed, l);
	return rc;
}

static void
unwatch(struct daemon_lease *l)
{
	if (l->told != NULL)
		am_informer_unsubscribe(l->told);
	if (l->leases != NULL)
		am_informer_put(l->leases);
	l->told = NULL;
	l->leases = NULL;
}

/* ---- life */

static int
start_leader(struct daemon_lease *l, const struct ambient_conf *conf, struct ambient_error *err)
{
	const struct am_lead_options options = {
		.ns = l->ns,
		.name = l->name,
		.identity = l->identity,
		.lease_ns = am_conf_int(conf, "duration"),
		.renew_ns = am_conf_int(conf, "renew"),
		.retry_ns = am_conf_int(conf, "retry"),
		.started = lead_started,
		.stopped = lead_stopped,
		.arg = l,
	};
	int rc = am_lead_new(am_kube_io(l->daemon->kube), &options, &l->lead, err);

	if (rc == 0)
		am_host_set_fence(l->daemon->host, &(const struct am_host_fence){ .until = lead_until, .arg = l });
	return rc;
}

static int
start_shards(struct daemon_lease *l, const struct ambient_conf *conf, struct ambient_error *err)
{
	const struct am_shards_options options = {
		.ns = l->ns,
		.name = l->name,
		.identity = l->identity,
		.shards = (int)am_conf_int(conf, "shards"),
		.lease_ns = am_conf_int(conf, "duration"),
		.renew_ns = am_conf_int(conf, "renew"),
		.retry_ns = am_conf_int(conf, "retry"),
		.drain_ns = am_conf_int(section(l->daemon, ""), "drain"),
		.started = shards_started,
		.stopped = shards_stopped,
		.gained = shard_gained,
		.idle = shard_idle,
		.hurry = shard_hurry,
		.arg = l,
	};
	const struct am_host_fence fence = { shards_until, shards_owns, shards_holds, shards_ended, l };
	int rc = am_shards_new(am_kube_io(l->daemon->kube), &options, &l->shards, err);

	if (rc < 0)
		return rc;
	am_host_set_fence(l->daemon->host, &fence);
	l->sweeper = am_thread_new("shards", 0, sweeper_main, l);
	return l->sweeper != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "cannot start a thread for shards");
}

static char *
make_identity(void)
{
	char host[65] = "", uuid[37];

	(void)gethostname(host, sizeof(host) - 1);
	am_uuid4(uuid);
	return am_xasprintf("%s_%s", host, uuid);
}

int
daemon_lease_start(struct am_daemon *d, struct ambient_error *err)
{
	const struct ambient_conf *conf = section(d, "lease");
	const char *ns = am_conf_str(conf, "namespace"), *own = am_conf_str(section(d, "cluster"), "namespace");
	const char *identity = am_conf_str(conf, "identity");

	if (d->standalone || am_conf_int(conf, "enabled") == 0)
		return 0;
	struct daemon_lease *l = am_xcalloc(1, sizeof(*l));
	l->daemon = d;
	l->ns = am_xstrdup(ns != NULL ? ns : own != NULL ? own : "default");
	l->name = am_conf_str(conf, "name");
	l->identity = identity != NULL ? am_xstrdup(identity) : make_identity();
	am_lock_init(&l->lock, "lease");
	am_cond_init(&l->changed, d->clock);
	d->lease = l;
	int rc = am_conf_int(conf, "shards") != 0 ? start_shards(l, conf, err) : start_leader(l, conf, err);
	if (rc < 0)
		return rc;
	pause_all(l);
	daemon_warm_up(d);
	if (l->lead != NULL)
		am_lead_start(l->lead);
	else
		am_shards_start(l->shards);
	return watch(l, err);
}

void
daemon_lease_leave(struct am_daemon *d)
{
	if (d->lease != NULL && d->lease->shards != NULL)
		am_shards_leave(d->lease->shards);
}

void
daemon_lease_stop(struct am_daemon *d)
{
	struct daemon_lease *l = d->lease;

	if (l == NULL)
		return;
	unwatch(l);
	if (l->lead != NULL)
		am_lead_stop_wait(l->lead);
	if (l->shards != NULL)
		am_shards_stop_wait(l->shards);
	am_lock(&l->lock);
	l->ending = true;
	am_cond_signal(&l->changed);
	am_unlock(&l->lock);
	am_thread_join(l->sweeper);
	l->sweeper = NULL;
}

void
daemon_lease_free(struct am_daemon *d)
{
	struct daemon_lease *l = d->lease;

	if (l == NULL)
		return;
	am_lead_free(l->lead);
	am_shards_free(l->shards);
	am_cond_fini(&l->changed);
	am_lock_fini(&l->lock);
	free(l->ns);
	free(l->identity);
	free(l);
	d->lease = NULL;
}

/* ---- for status pages */

int
daemon_lease_healthy(struct am_daemon *d, struct ambient_error *err)
{
	const struct daemon_lease *l = d->lease;

	if (l == NULL || (l->lead != NULL ? am_lead_healthy(l->lead, TOLERANCE) : am_shards_healthy(l->shards, TOLERANCE)))
		return 0;
	return ambient_err(err, AMBIENT_E_UNAVAILABLE, "lease %s/%s has long run out, and this process has not noticed", l->ns, l->name);
}

/* A replica that only waits is ready.  One that can never work is not: nobody would look for it among the healthy. */
void
daemon_lease_check(struct am_daemon *d, am_check_f *each, void *arg)
{
	const struct daemon_lease *l = d->lease;
	am_auto(am_buf_fini) struct am_buf problem = { 0 };
	bool refused;

	if (l == NULL)
		return;
	refused = l->lead != NULL ? am_lead_refused(l->lead, &problem) : am_shards_refused(l->shards, &problem);
	each(arg, "lease", refused ? am_buf_str(&problem) : NULL);
}

bool
daemon_lease_works(struct am_daemon *d)
{
	const struct daemon_lease *l = d->lease;

	return l == NULL || (l->lead != NULL ? am_lead_leading(l->lead) : am_shards_valid_until(l->shards) != 0);
}

void
daemon_lease_describe(struct am_daemon *d, struct am_buf *out)
{
	const struct daemon_lease *l = d->lease;

	if (l != NULL && l->lead != NULL)
		am_buf_addf(out, " leading=%s", am_lead_leading(l->lead) ? "yes" : "no");
	if (l != NULL && l->shards != NULL) {
		am_buf_adds(out, " ");
		am_shards_describe(l->shards, out);
	}
}

void
daemon_lease_elsewhere(struct am_daemon *d, const char *ns, const char *name, struct am_buf *out)
{
	const struct daemon_lease *l = d->lease;
	char holder[256];

	if (l == NULL)
		return;
	if (l->shards != NULL) {
		int shard = am_shards_of(l->shards, ns, name);
		if (am_shards_valid_until(l->shards) == 0)
			am_buf_addf(out, "this replica's Lease has run out");
		else if (!am_shards_owns(l->shards, shard))
			am_buf_addf(out, "shard %d is not this replica's: the Leases with the label " LABEL "=%s say whose it is",
				    shard, l->name);
	} else if (!am_lead_leading(l->lead)) {
		am_lead_holder(l->lead, holder, sizeof holder);
		am_buf_addf(out, holder[0] != '\0' ? "%s leads" : "nobody leads", holder);
	}
}
