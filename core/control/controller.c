/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Controllers.  The lock guards everything in struct am_controller and struct worker but the queue, which has its own.
 * A worker holds its item from begin() to end(): in between, and under the lock, the item's strings may be read by
 * the watchdog.  A worker that was given up still gives its item back when its call returns at last, and then ends.
 *
 * Reconciling never runs under the lock.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"
#include "core/control/control.h"

#define DEADLINE_NS     (300 * AM_NS_PER_S)
#define GATE_POLL_NS    (250 * AM_NS_PER_MS) /* how soon may_start is asked again */
#define RETRY_AFTER_MAX (300 * AM_NS_PER_S)
#define WORKERS_MAX     1024

struct worker {
	struct am_controller *controller;
	struct am_thread *thread;
	struct worker *next;
	const struct am_queue_item *item; /* while a call runs */
	int64_t started_at, deadline;
	int32_t cancelled;                /* atomic; read by the reconciler */
	bool late, given_up, exited;
};

struct metrics {
	struct am_metric *results[4], *errors, *terminal, *timeouts, *time, *active, *stuck, *stuck_total;
};

struct am_controller {
	struct am_controller_options opt;
	char *name, *plugin;
	struct am_queue *queue;
	struct metrics metrics;
	struct am_lock lock;
	struct am_cond changed;           /* anything that somebody waits for */
	/* all below: lock */
	struct worker *workers;
	struct am_thread *watchdog;
	int64_t watch_at;                 /* when the watchdog looks again; it is woken only for what is due before that */
	int running, stuck;               /* calls under way, of which given up */
	int idlers;                       /* who waits for running to become 0 */
	bool started, paused, stopping, watchdog_stop;
	int64_t gate_until;               /* may_start said no: do not ask before */
	uint64_t calls, errors;
	char last_error[256];
};

enum outcome { OUT_ERROR, OUT_REQUEUE_AFTER, OUT_REQUEUE, OUT_SUCCESS };

/* ---- metrics */

static const double time_buckets[] = { .005, .01, .025, .05, .1, .15, .2, .25, .3, .35, .4, .45, .5, .6, .7, .8, .9, 1, 1.25, 1.5,
	1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60, 0 };

static struct am_metric *
metric(const struct am_controller *c, enum am_metric_type type, const char *name, const char *help, const char *result)
{
	const char *labels[] = { "controller", c->name, result != NULL ? "result" : NULL, result, NULL };

	return am_metric(type, name, help, labels, type == AM_HISTOGRAM ? time_buckets : NULL);
}

static void
metrics_init(struct am_controller *c)
{
	static const char *const results[] = { "error", "requeue_after", "requeue", "success" };
	struct metrics *m = &c->metrics;

	for (size_t i = 0; i < AM_COUNTOF(results); i++)
		m->results[i] = metric(c, AM_COUNTER, "controller_runtime_reconcile_total", "Reconciles by result", results[i]);
	m->errors = metric(c, AM_COUNTER, "controller_runtime_reconcile_errors_total", "Reconciles that failed", NULL);
	m->terminal = metric(c, AM_COUNTER, "controller_runtime_terminal_reconcile_errors_total",
			     "Reconciles that failed for good", NULL);
	(void)metric(c, AM_COUNTER, "controller_runtime_reconcile_panics_total", "Reconciles that panicked: there are none in C", NULL);
	m->timeouts = metric(c, AM_COUNTER, "controller_runtime_reconcile_timeouts_total",
			     "Reconciles that were over their deadline", NULL);
	m->time = metric(c, AM_HISTOGRAM, "controller_runtime_reconcile_time_seconds", "Length of reconciles", NULL);
	m->stuck = metric(c, AM_GAUGE, "ambient_controller_stuck_reconciles", "Reconciles that did not end at twice their deadline",
			  NULL);
	m->stuck_total = metric(c, AM_COUNTER, "ambient_controller_stuck_reconciles_total",
				"Reconciles whose worker was replaced, as they did not end", NULL);
	m->active = metric(c, AM_GAUGE, "controller_runtime_active_workers", "Workers that reconcile", NULL);
	am_metric_set(metric(c, AM_GAUGE, "controller_runtime_max_concurrent_reconciles", "Workers", NULL), c->opt.workers);
}

/* ---- the outcome of a call */

static void
log_error(struct am_controller *c, const struct am_queue_item *item, const char *id, const struct ambient_error *err,
	  bool terminal)
{
	const char *fields[] = { "controller", c->name, "namespace", item->ns, "name", item->name, "reconcileID", id, "code",
				 am_err_name(err->code), NULL };
	/* a conflict is the normal way to lose a race; it says nothing to people */
	int level = err->code == AMBIENT_E_CONFLICT || err->code == AMBIENT_E_CANCELLED ? AMBIENT_LOG_DEBUG : AMBIENT_LOG_ERROR;

	am_log_fields(level, "control", fields, "reconcile failed%s: %s", terminal ? " for good" : "", err->message);
}

static void
note_error(struct am_controller *c, const struct am_queue_item *item, const struct ambient_error *err)
{
	am_lock(&c->lock);
	c->errors++;
	(void)snprintf(c->last_error, sizeof(c->last_error), "%.60s%s%.60s: %.120s", item->ns, item->ns[0] != '\0' ? "/" : "",
		       item->name, err->message);
	am_unlock(&c->lock);
}

static void
put_back(struct am_controller *c, const struct am_queue_item *item)
{
	am_queue_add_for(c->queue, item->ns, item->name, item->priority, 0, &(struct am_cause){ .type = AM_CAUSE_PUT_BACK });
}

static enum outcome
failed(struct am_controller *c, const struct am_queue_item *item, const char *id, struct ambient_error *err, bool interrupted)
{
	static const struct am_cause told = { .type = AM_CAUSE_RETRY_AFTER };
	bool terminal = (err->flags & AMBIENT_ERROR_TERMINAL) != 0;

	log_error(c, item, id, err, terminal);
	if (interrupted && err->code == AMBIENT_E_CANCELLED) { /* paused or stopped: that is not the object's fault */
		put_back(c, item);
		return OUT_ERROR;
	}
	note_error(c, item, err);
	am_metric_add(c->metrics.errors, 1);
	if (terminal) {
		am_metric_add(c->metrics.terminal, 1);
		am_queue_forget(c->queue, item->ns, item->name);
	} else if (err->retry_after_ms > 0) {
		am_queue_add_for(c->queue, item->ns, item->name, item->priority,
				 AM_MIN(err->retry_after_ms, RETRY_AFTER_MAX / AM_NS_PER_MS) * AM_NS_PER_MS, &told);
	} else {
		(void)am_queue_add_backoff(c->queue, item->ns, item->name, item->priority);
	}
	am_queue_note_error(c->queue, item, err->message);
	return OUT_ERROR;
}

/* Was it asked to end for another reason than its deadline? */
static bool
was_interrupted(struct worker *w)
{
	bool interrupted;

	am_lock(&w->controller->lock);
	interrupted = w->cancelled != 0 && !w->late;
	am_unlock(&w->controller->lock);
	return interrupted;
}

static enum outcome
succeeded(struct am_controller *c, const struct am_queue_item *item, const struct am_reconcile *call)
{
	int priority = call->prioritized ? call->new_priority : item->priority;

	if (call->requeue && call->requeue_after <= 0) {
		(void)am_queue_add_requeue(c->queue, item->ns, item->name, priority);
		return OUT_REQUEUE;
	}
	am_queue_forget(c->queue, item->ns, item->name);
	if (call->requeue_after <= 0)
		return OUT_SUCCESS;
	am_queue_add_after(c->queue, item->ns, item->name, priority, call->requeue_after);
	return OUT_REQUEUE_AFTER;
}

static void
settle(struct worker *w, const struct am_queue_item *item, const struct am_reconcile *call, int rc,
       struct ambient_error *err)
{
	struct am_controller *c = w->controller;
	enum outcome outcome;

	if (rc < 0) {
		if (err->code == 0)
			(void)ambient_err(err, AM_MIN(-rc, AMBIENT_E__COUNT - 1), "the reconciler gave no reason");
		outcome = failed(c, item, call->id, err, was_interrupted(w));
	} else {
		outcome = succeeded(c, item, call);
	}
	am_metric_add(c->metrics.results[outcome], 1);
}

/* ---- workers */

/* Waits until this worker may take an item; false: it is to end. */
static bool
admitted(struct worker *w)
{
	struct am_controller *c = w->controller;
	bool go;

	am_lock(&c->lock);
	for (;;) {
		go = !c->stopping && !w->given_up;
		if (!go)
			break;
		if (c->paused)
			(void)am_cond_wait(&c->changed, &c->lock, AM_FOREVER);
		else if (am_clock_boot(c->opt.clock) < c->gate_until)
			(void)am_cond_wait(&c->changed, &c->lock, c->gate_until);
		else
			break;
	}
	am_unlock(&c->lock);
	return go;
}

enum admission { ADMIT, PUT_BACK, DROP };

/* Takes the item on, or not: paused, stopping, the gate is closed, or it is somebody else's. */
static enum admission
begin(struct worker *w, const struct am_queue_item *item)
{
	struct am_controller *c = w->controller;
	bool open = c->opt.may_start == NULL || c->opt.may_start(c->opt.arg), go, ours;
	int64_t now = am_clock_boot(c->opt.clock);

	am_lock(&c->lock);
	if (!open)
		c->gate_until = now + GATE_POLL_NS;
	/* Asked under the lock that am_controller_busy takes: a name that is given away either runs by then, or never. */
	ours = c->opt.owns == NULL || c->opt.owns(c->opt.arg, item->ns, item->name);
	go = open && ours && !c->paused && !c->stopping;
	if (go) {
		w->item = item;
		w->started_at = now;
		w->deadline = now < AM_FOREVER - c->opt.deadline_ns ? now + c->opt.deadline_ns : AM_FOREVER;
		w->late = false;
		__atomic_store_n(&w->cancelled, 0, __ATOMIC_RELEASE);
		c->running++;
		c->calls++;
		am_metric_add(c->metrics.active, 1);
		if (w->deadline < c->watch_at) {
			c->watch_at = w->deadline;
			am_cond_broadcast(&c->changed);
		}
	}
	am_unlock(&c->lock);
	return go ? ADMIT : ours ? PUT_BACK : DROP;
}

/* The call has returned.  A worker that was given up meanwhile is not admitted again. */
static void
end(struct worker *w)
{
	struct am_controller *c = w->controller;

	am_lock(&c->lock);
	w->item = NULL;
	c->running--;
	if (w->given_up) {
		c->stuck--;
		am_metric_add(c->metrics.stuck, -1);
	}
	am_metric_add(c->metrics.active, -1);
	if (c->idlers > 0)
		am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
}

static void
reconcile(struct worker *w, const struct am_queue_item *item)
{
	struct am_controller *c = w->controller;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char id[37];
	struct am_reconcile call = { .controller = c->name, .ns = item->ns, .name = item->name, .id = id,
				     .priority = item->priority, .failures = item->failures, .deadline = w->deadline,
				     .cancelled = &w->cancelled };
	int rc;

	am_uuid4(id);
	am_log_push("controller", c->name);
	am_log_push("namespace", item->ns);
	am_log_push("name", item->name);
	am_log_push("reconcileID", id);
	rc = c->opt.reconcile(c->opt.arg, &call, &err);
	for (int i = 0; i < 4; i++)
		am_log_pop();
	am_metric_observe(c->metrics.time, (double)(am_clock_boot(c->opt.clock) - w->started_at) / 1e9);
	settle(w, item, &call, rc, &err);
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	struct am_controller *c = w->controller;
	const struct am_queue_item *item;

	while (admitted(w) && (item = am_queue_get(c->queue)) != NULL) {
		enum admission admission = begin(w, item);

		if (admission == ADMIT) {
			reconcile(w, item);
			end(w);
			if (c->opt.ended != NULL)
				c->opt.ended(c->opt.arg, item->ns, item->name);
		} else if (admission == PUT_BACK) {
			put_back(c, item);
		} else {
			am_queue_forget(c->queue, item->ns, item->name);
		}
		am_queue_done(c->queue, item);
	}
	am_lock(&c->lock);
	w->exited = true;
	am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
}

static bool
worker_add(struct am_controller *c, struct ambient_error *err)
{
	struct worker *w = am_xcalloc(1, sizeof(*w));

	w->controller = c;
	w->thread = am_thread_new(c->name, 0, worker_main, w); /* waits for the lock, which we hold */
	if (w->thread == NULL) {
		free(w);
		(void)ambient_err(err, AMBIENT_E_NOMEM, "cannot start a worker of \"%s\"", c->name);
		return false;
	}
	w->next = c->workers;
	c->workers = w;
	return true;
}

/* ---- the watchdog */

/* When has this worker to be looked at next? */
static int64_t
next_look(const struct am_controller *c, const struct worker *w)
{
	if (w->item == NULL || w->given_up)
		return AM_FOREVER;
	if (!w->late)
		return w->deadline;
	return w->deadline < AM_FOREVER - c->opt.deadline_ns ? w->deadline + c->opt.deadline_ns : AM_FOREVER;
}

/* First its flag is set; when that did not help, somebody else does its work.  Drops the lock to tell. */
static void
too_long(struct am_controller *c, struct worker *w)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *ns = am_xstrdup(w->item->ns);
	am_auto(am_freep) char *name = am_xstrdup(w->item->name);
	const char *fields[] = { "controller", c->name, "plugin", c->plugin, "namespace", ns, "name", name, NULL };
	int64_t ran = am_clock_boot(c->opt.clock) - w->started_at;
	bool stuck = w->late;
	char age[16];

	w->late = true;
	__atomic_store_n(&w->cancelled, 1, __ATOMIC_RELEASE);
	if (stuck) {
		w->given_up = true;
		c->stuck++;
		am_metric_add(c->metrics.stuck, 1);
		am_metric_add(c->metrics.stuck_total, 1);
		if (!c->stopping && !worker_add(c, &err))
			am_log_error("control", "%s", err.message);
	} else {
		am_metric_add(c->metrics.timeouts, 1);
	}
	am_unlock(&c->lock);
	am_duration_format(age, ran);
	am_log_fields(stuck ? AMBIENT_LOG_ERROR : AMBIENT_LOG_WARN, "control", fields,
		      stuck ? "a reconcile does not end after %s: its worker is replaced, the object is left alone until it does"
			    : "a reconcile runs for %s, longer than it may: asked it to end", age);
	if (c->opt.late != NULL)
		c->opt.late(c->opt.arg, ns, name, stuck);
	am_lock(&c->lock);
}

static void
watchdog_main(void *arg)
{
	struct am_controller *c = arg;

	am_lock(&c->lock);
	while (!c->watchdog_stop) {
		int64_t now = am_clock_boot(c->opt.clock), until = AM_FOREVER;
		struct worker *due = NULL;

		for (struct worker *w = c->workers; w != NULL; w = w->next) {
			int64_t look = next_look(c, w);

			if (look <= now)
				due = w;
			until = AM_MIN(until, look);
		}
		c->watch_at = until;
		if (due != NULL)
			too_long(c, due);
		else
			(void)am_cond_wait(&c->changed, &c->lock, until);
	}
	am_unlock(&c->lock);
}

/* ---- life */

static int
default_workers(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return (int)AM_MAX(1, AM_MIN(4, cores));
}

int
am_controller_new(const struct am_controller_options *options, struct am_controller **ret, struct ambient_error *err)
{
	struct am_controller *c;

	*ret = NULL;
	if (am_empty(options->name) || options->reconcile == NULL || options->clock == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "a controller needs a name, a clock and a reconciler");
	if (options->workers < 0 || options->workers > WORKERS_MAX || options->deadline_ns < 0)
		return ambient_err(err, AMBIENT_E_INVALID, "controller \"%s\": workers must be 1 to %d, the deadline positive",
				   options->name, WORKERS_MAX);
	c = am_xcalloc(1, sizeof(*c));
	c->opt = *options;
	c->name = am_xstrdup(options->name);
	c->opt.name = c->name;
	c->plugin = am_xstrdup(am_empty(options->plugin) ? options->name : options->plugin);
	if (c->opt.workers == 0)
		c->opt.workers = default_workers();
	if (c->opt.deadline_ns == 0)
		c->opt.deadline_ns = DEADLINE_NS;
	c->queue = am_queue_new(c->name, c->opt.clock);
	am_lock_init(&c->lock, "controller");
	am_cond_init(&c->changed, c->opt.clock);
	metrics_init(c);
	*ret = c;
	return 0;
}

struct am_queue *
am_controller_queue(struct am_controller *c)
{
	return c->queue;
}

const char *
am_controller_name(const struct am_controller *c)
{
	return c->name;
}

int
am_controller_start(struct am_controller *c, struct ambient_error *err)
{
	int rc = 0;

	am_lock(&c->lock);
	if (c->started || c->stopping) {
		rc = ambient_err(err, AMBIENT_E_EXISTS, "controller \"%s\" was already started", c->name);
	} else {
		c->started = true;
		c->watchdog = am_thread_new("watchdog", 0, watchdog_main, c);
		if (c->watchdog == NULL)
			rc = ambient_err(err, AMBIENT_E_NOMEM, "cannot start the watchdog of \"%s\"", c->name);
		for (int i = 0; i < c->opt.workers && rc == 0; i++) {
			if (!worker_add(c, err))
				rc = -AMBIENT_E_NOMEM; /* those that there are go on until stop */
		}
	}
	am_unlock(&c->lock);
	return rc;
}

static void
cancel_all(struct am_controller *c)
{
	for (struct worker *w = c->workers; w != NULL; w = w->next) {
		if (w->item != NULL)
			__atomic_store_n(&w->cancelled, 1, __ATOMIC_RELEASE);
	}
}

void
am_controller_pause(struct am_controller *c)
{
	am_lock(&c->lock);
	c->paused = true;
	cancel_all(c);
	am_unlock(&c->lock);
}

void
am_controller_resume(struct am_controller *c)
{
	am_lock(&c->lock);
	c->paused = false;
	c->gate_until = 0;
	am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
}

bool
am_controller_busy(struct am_controller *c, am_controller_which_f *which, void *arg)
{
	bool busy = false;

	am_lock(&c->lock);
	for (struct worker *w = c->workers; w != NULL && !busy; w = w->next)
		busy = w->item != NULL && which(arg, w->item->ns, w->item->name);
	am_unlock(&c->lock);
	return busy;
}

void
am_controller_cancel(struct am_controller *c, am_controller_which_f *which, void *arg)
{
	am_lock(&c->lock);
	for (struct worker *w = c->workers; w != NULL; w = w->next) {
		if (w->item != NULL && which(arg, w->item->ns, w->item->name))
			__atomic_store_n(&w->cancelled, 1, __ATOMIC_RELEASE);
	}
	am_unlock(&c->lock);
}

void
am_controller_kick(struct am_controller *c)
{
	am_lock(&c->lock);
	c->gate_until = 0;
	am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
}

bool
am_controller_wait_idle(struct am_controller *c, int64_t deadline)
{
	bool idle;

	am_lock(&c->lock);
	c->idlers++;
	while (c->running != 0 && am_clock_boot(c->opt.clock) < deadline)
		(void)am_cond_wait(&c->changed, &c->lock, deadline);
	c->idlers--;
	idle = c->running == 0;
	am_unlock(&c->lock);
	return idle;
}

/* Takes the workers that have ended, or are sure to end at once, off the list. */
static struct worker *
take_ended(struct am_controller *c)
{
	struct worker *ended = NULL, **at = &c->workers;

	while (*at != NULL) {
		struct worker *w = *at;

		if (w->item != NULL) {
			const char *fields[] = { "controller", c->name, "plugin", c->plugin, "namespace", w->item->ns,
						 "name", w->item->name, NULL };

			am_log_fields(AMBIENT_LOG_ERROR, "control", fields, "a reconcile does not end: left behind");
			at = &w->next;
		} else {
			*at = w->next;
			w->next = ended;
			ended = w;
		}
	}
	return ended;
}

bool
am_controller_stop(struct am_controller *c, int64_t deadline)
{
	struct am_thread *watchdog;
	struct worker *ended, *next;
	bool all;

	am_lock(&c->lock);
	c->stopping = true;
	cancel_all(c);
	am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
	am_queue_shutdown(c->queue);
	(void)am_controller_wait_idle(c, deadline);

	am_lock(&c->lock);
	ended = take_ended(c);
	all = c->workers == NULL;
	watchdog = c->watchdog;
	c->watchdog = NULL;
	c->watchdog_stop = true;
	am_cond_broadcast(&c->changed);
	am_unlock(&c->lock);
	am_thread_join(watchdog);
	for (; ended != NULL; ended = next) {
		next = ended->next;
		am_thread_join(ended->thread);
		free(ended);
	}
	return all;
}

void
am_controller_free(struct am_controller *c)
{
	if (c == NULL || c->workers != NULL) /* somebody is still in there */
		return;
	am_queue_free(c->queue);
	am_cond_fini(&c->changed);
	am_lock_fini(&c->lock);
	free(c->name);
	free(c->plugin);
	free(c);
}

void
am_controller_status(struct am_controller *c, struct am_controller_status *ret)
{
	am_lock(&c->lock);
	*ret = (struct am_controller_status){ .workers = c->opt.workers, .active = c->running, .stuck = c->stuck,
					      .paused = c->paused, .calls = c->calls, .errors = c->errors };
	(void)am_strlcpy(ret->last_error, c->last_error, sizeof(ret->last_error));
	am_unlock(&c->lock);
}

void
am_controller_refresh_metrics(struct am_controller *c)
{
	am_queue_refresh_metrics(c->queue);
}
