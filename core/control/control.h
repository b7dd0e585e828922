/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller: a queue, workers that take names from it and call a reconciler, and what is done with the outcome.  It
 * knows a reconciler only as a function.  A reconcile has a deadline: then its cancel flag is set and it is named in
 * the log; at twice the deadline its worker is given up and replaced while the name stays held, so that it is never
 * reconciled twice at a time.  Any thread may call these functions, none of the controller's own workers may stop it.
 */
#ifndef AM_CONTROL_CONTROL_H
#define AM_CONTROL_CONTROL_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/queue/queue.h"

struct am_reconcile {
	const char *controller;
	const char *ns, *name;
	const char *id;             /* a UUID of this call, for logs */
	int priority;
	unsigned failures;
	int64_t deadline;           /* boot time */
	const int32_t *cancelled;   /* becomes non-zero (atomic) when the call should end; outlives the call */
	/* out, of a call that did not fail: */
	int64_t requeue_after;      /* nanoseconds; 0: do not come back by itself */
	bool requeue;               /* come back with growing delays; requeue_after wins */
	bool prioritized;           /* new_priority holds from now on; else it keeps its priority */
	int new_priority;
};
/* 0 or -code with err filled; blocks. */
typedef int am_reconcile_f(void *arg, struct am_reconcile *call, struct ambient_error *err);

struct am_controller_options {
	const char *name;           /* unique in the process */
	const char *plugin;         /* whose code it runs, for the log; NULL: the name says it */
	int workers;                /* 0: min(4, cores) */
	int64_t deadline_ns;        /* of one reconcile; 0: 5 min */
	struct am_clock *clock;
	am_reconcile_f *reconcile;
	bool (*may_start)(void *arg); /* asked before each call: false puts the name back; NULL: always */
	/* Asked once may_start has said yes, under the controller's lock: false drops the name, because somebody else
	 * reconciles it.  Whoever makes it ours again adds it again.  NULL: everything is ours. */
	bool (*owns)(void *arg, const char *ns, const char *name);
	void (*ended)(void *arg, const char *ns, const char *name); /* a call has returned; may be NULL */
	/* A call is over its deadline (stuck false) or was given up (stuck true); may be NULL.  On a thread of the
	 * controller. */
	void (*late)(void *arg, const char *ns, const char *name, bool stuck);
	void *arg;
};

struct am_controller;
int am_controller_new(const struct am_controller_options *options, struct am_controller **ret, struct ambient_error *err);
struct am_queue *am_controller_queue(struct am_controller *controller);
const char *am_controller_name(const struct am_controller *controller);
/* Starts the workers.  A second start is -AMBIENT_E_EXISTS. */
int am_controller_start(struct am_controller *controller, struct ambient_error *err);
/* Starts no more calls and sets the cancel flag of those that run; the queue goes on collecting.  For a lost lease. */
void am_controller_pause(struct am_controller *controller);
void am_controller_resume(struct am_controller *controller);
bool am_controller_wait_idle(struct am_controller *controller, int64_t deadline); /* no call runs */
/* Does a call of one of these names run, be it given up?  After owns() has begun to say no to them, no further one
 * starts, so that the first false is final. */
typedef bool am_controller_which_f(void *arg, const char *ns, const char *name);
bool am_controller_busy(struct am_controller *controller, am_controller_which_f *which, void *arg);
/* Sets the cancel flags of those; they do not come back by themselves. */
void am_controller_cancel(struct am_controller *controller, am_controller_which_f *which, void *arg);
/* Looks at may_start again at once. */
void am_controller_kick(struct am_controller *controller);
/* Drops the queue, sets the cancel flags, waits until deadline (boot time; DESIGN: 30 s) for the calls that run.  False
 * when some would not end: they are named in the log and left behind. */
bool am_controller_stop(struct am_controller *controller, int64_t deadline);
/* Stopped or never started.  What a call that was left behind still uses stays allocated. */
void am_controller_free(struct am_controller *controller);

struct am_controller_status {
	int workers, active, stuck;  /* stuck: given up and not returned yet */
	bool paused;
	uint64_t calls, errors;
	char last_error[256];
};
void am_controller_status(struct am_controller *controller, struct am_controller_status *ret);
/* What is known of one name, as a JSON object; false when nothing is.  elsewhere: a sentence that says which other replica
 * works on it; NULL: this one does. */
bool am_controller_explain(struct am_controller *controller, const char *ns, const char *name, const char *elsewhere,
			   struct am_buf *out);
void am_controller_refresh_metrics(struct am_controller *controller);

#endif
