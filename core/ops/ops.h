/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations: metrics and health over HTTP, the admin socket, and what systemd is told.  They ask the daemon through
 * callbacks and know nothing else of it.
 */
#ifndef AM_OPS_OPS_H
#define AM_OPS_OPS_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/kube/io.h"

struct am_ops;
struct am_ops_callbacks {
	void *arg;
	/* Calls each for everything that must be ready: its name, and what is wrong with it, in one sentence, or NULL.  Any
	 * thread, must not block. */
	void (*checks)(void *arg, void (*each)(void *, const char *name, const char *problem), void *each_arg);
	/* Brings metrics that depend on the time up to date.  May be NULL. */
	void (*refresh)(void *arg);
	/* Text about everything that runs. */
	void (*status)(void *arg, struct am_buf *out);
	/* What runs and what it costs, and what the caches hold: JSON. */
	int (*top)(void *arg, struct am_buf *out, struct ambient_error *err);
	int (*cache)(void *arg, struct am_buf *out, struct ambient_error *err);
	/* What is known of "NAMESPACE/NAME", or "NAME": a JSON array.  controller NULL: of all.  NOTFOUND: there is no such
	 * controller. */
	int (*explain)(void *arg, const char *controller, const char *key, struct am_buf *out, struct ambient_error *err);
	/* 0, or why the process should be restarted, in one sentence.  Any thread, must not block; NULL: it lives. */
	int (*live)(void *arg, struct ambient_error *err);
};

/* /metrics, /healthz, /livez, /readyz on "address:port"; "[::1]:0" works too. */
int am_ops_start(const char *listen, const struct am_ops_callbacks *callbacks, struct am_ops **ret, struct ambient_error *err);
unsigned am_ops_port(const struct am_ops *ops);
void am_ops_stop(struct am_ops *ops); /* NULL is fine */

/*
 * The admin socket, mode 0600.  One request a connection: the line "ambient-admin/1 COMMAND [ARG...]"; the answer is
 * the line "ambient-admin/1 ok" and a text, or "ambient-admin/1 error SENTENCE".  Commands: status, log-level [LEVEL],
 * metrics, top, cache, explain KEY [CONTROLLER], and clock advance DURATION in daemons built with --enable-test-hooks.
 */
struct am_admin;
int am_admin_start(const char *path, const struct am_ops_callbacks *callbacks, struct am_admin **ret, struct ambient_error *err);
void am_admin_stop(struct am_admin *admin); /* removes the socket; NULL is fine */

/* One datagram to systemd ("READY=1\nSTATUS=..."), nothing when it did not ask. */
void am_notify(const char *text);
/* Half of the watchdog interval in ns, 0 when there is none. */
int64_t am_notify_watchdog(void);

/* Whether the watchdog may be told that all is well: was the I/O thread's last question answered? */
struct am_beat;
struct am_beat *am_beat_new(void) am_nodiscard_;
void am_beat_free(struct am_beat *beat); /* the I/O thread is gone; NULL is fine */
void am_beat_watch(struct am_beat *beat, struct am_io *io); /* from now on; NULL: nobody is asked.  Any thread */
bool am_beat(struct am_beat *beat);      /* one question, from one thread; false: the one before is still open */

#endif
