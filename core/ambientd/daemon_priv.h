/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the daemon share. */
#ifndef AM_AMBIENTD_DAEMON_PRIV_H
#define AM_AMBIENTD_DAEMON_PRIV_H

#include <stdatomic.h>

#include "core/ambientd/daemon.h"
#include "core/base/mem.h"
#include "core/base/str.h"

/* One enabled member of the plugins group. */
struct daemon_plugin {
	const struct am_conf_instance *conf;   /* of the newest generation */
	const struct am_plugin *plugin;
	const struct ambient_conf *options;    /* what the instance runs with */
	struct am_instance *instance;
	bool running;                          /* its workers were started */
};

struct am_daemon {
	const char *config;
	const char *const *sets;
	const char *durability, **own_sets; /* own_sets: the sets and one for durability, own_set */
	char *own_set;
	struct am_conf_file *file;             /* newest generation */
	struct am_conf_file **old;             /* earlier ones: plugins may still read them */
	size_t old_count;
	struct am_clock *clock;
	char *state, *runtime, *socket;
	int lock_fd;
	bool standalone;
	struct daemon_plugin *plugins;
	size_t plugin_count;
	struct daemon_plugin *provider;        /* NULL: the API server is elsewhere */
	struct am_host *host;
	struct am_kube *kube;
	struct daemon_lease *lease;            /* NULL: nothing is shared with other replicas */
	struct am_ops *ops;
	struct am_admin *admin;
	struct am_beat *beat;
	int32_t cancelled;
	atomic_bool serving;                   /* instances are complete; status pages may look at them */
	atomic_bool stopping;
	bool abandoned;                        /* calls that would not end use what there is: nothing more is freed */
};

static inline const struct ambient_conf *
section(const struct am_daemon *d, const char *name)
{
	return am_conf_section(d->file, name);
}

/* dirs.c */
char *daemon_state_dir(const struct am_conf_file *file);
char *daemon_runtime_dir(const struct am_conf_file *file);
int daemon_make_dirs(struct am_daemon *d, struct ambient_error *err);
/* plugins.c: loads and checks every enabled instance; mistakes go to file. */
void daemon_load_plugins(struct am_daemon *d);
/* lease.c */
int daemon_lease_start(struct am_daemon *d, struct ambient_error *err);
void daemon_lease_leave(struct am_daemon *d); /* gives away what is idle, takes no more */
void daemon_lease_stop(struct am_daemon *d);  /* the workers have ended; waits until it is given back */
void daemon_lease_free(struct am_daemon *d);
int daemon_lease_healthy(struct am_daemon *d, struct ambient_error *err);
void daemon_lease_check(struct am_daemon *d, am_check_f *each, void *arg);
bool daemon_lease_works(struct am_daemon *d); /* leads, or has shards to itself; true when it is alone */
void daemon_lease_describe(struct am_daemon *d, struct am_buf *out); /* " leading=yes" */
/* Adds a sentence when another replica works on that object, or nobody does at the moment; nothing when this one does. */
void daemon_lease_elsewhere(struct am_daemon *d, const char *ns, const char *name, struct am_buf *out);
/* status.c */
void daemon_checks(void *arg, am_check_f *each, void *each_arg);
int daemon_live(void *arg, struct ambient_error *err);
void daemon_refresh(void *arg);
void daemon_status(void *arg, struct am_buf *out);
int daemon_top(void *arg, struct am_buf *out, struct ambient_error *err);
int daemon_cache(void *arg, struct am_buf *out, struct ambient_error *err);
/* Waits until the caches are full, or it is of no use to wait longer. */
void daemon_warm_up(struct am_daemon *d);
int daemon_explain(void *arg, const char *controller, const char *key, struct am_buf *out, struct ambient_error *err);

#endif
