/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election.  Two clocks count: `observed_at`, when this process saw the Lease change (for how long somebody else
 * may still lead), and `renewed_at`, from before our last successful write was sent (for how long we may).
 *
 * An attempt is: while our own record is fresh, one PUT over what we saw last; else GET, then POST, PUT, or nothing.
 * A candidate attempts forever; a leader attempts each retry_ns and gives up when a renewal has not succeeded within
 * renew_ns, or when its lease has run out, whichever is first.
 *
 * All of it runs on the I/O thread; other threads read the atomics, and the holder under the lock.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/node.h"
#include "core/kube/kube.h"
#include "core/lead/lead.h"
#include "core/lead/lead_priv.h"

#define JITTER       1.2
#define BODY_MAX     65536 /* of a Lease; its tree stays small too */
#define DURATION_MAX 86400 /* of somebody else's lease, in seconds */

enum phase { STOPPED, CANDIDATE, LEADING, RELEASING };
enum op { OP_NONE, OP_GET, OP_CREATE, OP_UPDATE, OP_FAST, OP_RELEASE_GET, OP_RELEASE_PUT };

struct am_lead {
	struct am_io *io;
	struct am_lead_options opt;  /* strings are copies */
	char **labels;
	char *collection, *path;
	struct am_metric *status, *slow_path;

	enum phase phase;
	struct lead_ask ask;         /* its op is an enum op */
	struct am_timer *timer;      /* the next attempt */
	struct am_timer *limit;      /* the end of the renewal that is under way, or of the release */
	int64_t limit_at;
	bool ever_stopped;           /* stopped() was called since the last started() */

	/* the Lease as last seen */
	char *seen;                  /* the whole object; NULL: none */
	char *spec;                  /* its spec, as bytes */
	char *holder;
	int64_t duration, transitions;
	int64_t observed_at;
	bool news;                   /* the last answer's spec was not the one that we knew */
	int64_t known_at;            /* when the request was sent whose answer had that one first; 0: none */
	bool again;                  /* of a group: this attempt has met another member's once */

	void (*done)(void *arg);
	void *done_arg;

	atomic_bool leading;
	_Atomic(int64_t) renewed_at; /* 0: not leading */
	struct am_lock lock;
	struct am_cond ended;
	char *reported;              /* lock: the holder, as told last */
	bool stopped;                /* lock: the stop has ended */
};

static void attempt(void *arg);
static void attempt_done(struct am_lead *l, bool success);
static void release_get(void *arg);

static int64_t
now(const struct am_lead *l)
{
	return am_clock_boot(l->io->clock);
}

static bool
is_me(const struct am_lead *l)
{
	return am_streq(l->holder, l->opt.identity);
}

/* ---- the record */

static void
forget(struct am_lead *l)
{
	free(l->seen);
	free(l->spec);
	free(l->holder);
	l->seen = l->spec = l->holder = NULL;
	l->duration = l->transitions = l->known_at = 0;
}

static void
report(struct am_lead *l)
{
	bool changed;

	am_lock(&l->lock);
	changed = strcmp(l->reported, l->holder != NULL ? l->holder : "") != 0;
	if (changed) {
		free(l->reported);
		l->reported = am_xstrdup(l->holder != NULL ? l->holder : "");
	}
	am_unlock(&l->lock);
	if (changed && !am_empty(l->holder)) {
		am_log_info("lead", "lease %s/%s is held by \"%s\"", l->opt.ns, l->opt.name, l->holder);
		if (l->opt.leader != NULL)
			l->opt.leader(l->opt.arg, l->holder);
	}
}

/* Takes what the API server answered as the Lease as it is; it counts from `at`, unless its spec is the one we know. */
static bool
observe(struct am_lead *l, int64_t at, bool always)
{
	struct am_slice text = am_slice(am_buf_str(&l->ask.body), l->ask.body.len), spec = AM_SLICE("{}");
	bool news;

	if (l->ask.body.failed || am_json_check(text.p, text.n, NULL) < 0 || am_json_type(text) != AMBIENT_T_OBJECT)
		return false;
	(void)am_json_find(text, "/spec", &spec);
	news = l->spec == NULL || !am_slice_eq(spec, l->spec);
	l->news = news;
	free(l->seen);
	l->seen = am_xstrndup(text.p, text.n);
	if (news || always) {
		free(l->spec);
		free(l->holder);
		l->spec = am_xstrndup(spec.p, spec.n);
		l->holder = am_json_dup(spec, "/holderIdentity");
		l->duration = AM_MAX(0, AM_MIN(am_json_int(spec, "/leaseDurationSeconds", 0), DURATION_MAX)) * AM_NS_PER_S;
		l->transitions = AM_MAX(0, AM_MIN(am_json_int(spec, "/leaseTransitions", 0), INT32_MAX - 1));
		l->observed_at = at;
	}
	report(l);
	return true;
}

static void
set(struct am_arena *arena, struct am_node *object, const char *key, struct am_node *value)
{
	am_node_set(arena, object, key, value);
}

static struct am_node *
member(struct am_arena *arena, struct am_node *object, const char *key)
{
	struct am_node *node = am_node_get(object, key);

	if (node == NULL || node->type != AMBIENT_T_OBJECT) {
		set(arena, object, key, am_node_object(arena));
		node = am_node_get(object, key);
	}
	return node;
}

/* The Lease to send: what was seen, with our record in it.  Fields that we do not know stay. */
static void
body_make(const struct am_lead *l, bool release, struct am_buf *out)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *root = l->seen != NULL ? am_node_parse(arena, l->seen, strlen(l->seen), NULL) : NULL, *spec, *meta;
	bool ours = is_me(l);
	char time[32];

	am_assert(l->seen == NULL || root != NULL); /* without its version the write would be unconditional */
	if (root == NULL)
		root = am_node_object(arena);
	am_time_format(time, am_clock_wall(l->io->clock), true);
	set(arena, root, "apiVersion", am_node_str(arena, "coordination.k8s.io/v1"));
	set(arena, root, "kind", am_node_str(arena, "Lease"));
	meta = member(arena, root, "metadata");
	set(arena, meta, "name", am_node_str(arena, l->opt.name));
	set(arena, meta, "namespace", am_node_str(arena, l->opt.ns));
	for (size_t i = 0; l->labels != NULL && l->labels[i] != NULL; i += 2)
		set(arena, member(arena, meta, "labels"), l->labels[i], am_node_str(arena, l->labels[i + 1]));
	spec = member(arena, root, "spec");
	set(arena, spec, "holderIdentity", am_node_str(arena, release ? "" : l->opt.identity));
	set(arena, spec, "leaseDurationSeconds", am_node_int(arena, release ? 1 : AM_MAX(1, l->opt.lease_ns / AM_NS_PER_S)));
	if (release || !ours || am_node_get(spec, "acquireTime") == NULL)
		set(arena, spec, "acquireTime", am_node_str(arena, time));
	set(arena, spec, "renewTime", am_node_str(arena, time));
	set(arena, spec, "leaseTransitions",
	    am_node_int(arena, l->seen == NULL ? 0 : release || ours ? l->transitions : l->transitions + 1));
	am_node_print(root, out);
	am_arena_free(arena);
}

/* ---- requests */

static void
request(struct am_lead *l, enum op op)
{
	static const enum lead_verb verbs[] = { [OP_GET] = LEAD_GET, [OP_CREATE] = LEAD_CREATE, [OP_UPDATE] = LEAD_UPDATE,
						[OP_FAST] = LEAD_UPDATE, [OP_RELEASE_GET] = LEAD_GET,
						[OP_RELEASE_PUT] = LEAD_UPDATE };
	bool write = verbs[op] != LEAD_GET;
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	if (write)
		body_make(l, op == OP_RELEASE_PUT, &body);
	lead_ask(&l->ask, (int)op, verbs[op], op == OP_CREATE ? l->collection : l->path, write ? &body : NULL,
		 AM_MAX(AM_NS_PER_S, l->opt.renew_ns / 2));
}

static void
timer_set(struct am_lead *l, struct am_timer **timer, int64_t at, void (*fn)(void *))
{
	am_io_timer_cancel(l->io, *timer);
	*timer = am_io_timer(l->io, at, fn, l);
}

static void
timer_clear(struct am_lead *l, struct am_timer **timer)
{
	am_io_timer_cancel(l->io, *timer);
	*timer = NULL;
}

/* ---- leading */

static void
lead_begin(struct am_lead *l)
{
	l->phase = LEADING;
	l->ever_stopped = false;
	atomic_store(&l->leading, true);
	if (!l->opt.shared)
		am_metric_set(l->status, 1);
	am_log_info("lead", l->opt.shared ? "one of those that share lease %s/%s" : "leading by lease %s/%s", l->opt.ns, l->opt.name);
	l->opt.started(l->opt.arg);
}

static void
lead_end(struct am_lead *l, const char *why)
{
	atomic_store(&l->leading, false);
	atomic_store(&l->renewed_at, 0);
	if (!l->opt.shared)
		am_metric_set(l->status, 0);
	if (l->phase == LEADING)
		am_log_warn("lead", "not leading any more: %s", why);
	l->ever_stopped = true;
	l->opt.stopped(l->opt.arg);
}

static void
campaign(struct am_lead *l)
{
	l->phase = CANDIDATE;
	timer_clear(l, &l->limit);
	timer_set(l, &l->timer, now(l) + (int64_t)((double)l->opt.retry_ns * (1 + am_random_unit() * JITTER)), attempt);
}

static void
lost(struct am_lead *l, const char *why)
{
	lead_ask_drop(&l->ask);
	lead_end(l, why);
	if (l->phase == LEADING) /* stopped() may have called am_lead_stop */
		campaign(l);
}

static void
limit_passed(void *arg)
{
	struct am_lead *l = arg;

	l->limit = NULL;
	lost(l, "the lease could not be renewed in time");
}

static bool
run_out(const struct am_lead *l)
{
	return now(l) >= atomic_load(&l->renewed_at) + l->opt.lease_ns;
}

static void
attempt(void *arg)
{
	struct am_lead *l = arg;

	l->timer = NULL;
	l->again = false;
	if (l->phase == LEADING && run_out(l)) { /* slept through it */
		lost(l, "the lease ran out");
		return;
	}
	if (l->phase == LEADING && l->limit == NULL) { /* a renewal begins */
		l->limit_at = AM_MIN(now(l) + l->opt.renew_ns, atomic_load(&l->renewed_at) + l->opt.lease_ns);
		timer_set(l, &l->limit, l->limit_at, limit_passed);
	}
	if (!l->opt.shared && is_me(l) && l->observed_at + l->duration > now(l))
		request(l, OP_FAST);
	else
		request(l, OP_GET);
}

/* The lease was written at that time or later, with our identity. */
static void
renewed(struct am_lead *l, int64_t at)
{
	atomic_store(&l->renewed_at, at);
	timer_clear(l, &l->limit);
	timer_set(l, &l->timer, now(l) + l->opt.retry_ns, attempt);
	if (l->phase == CANDIDATE)
		lead_begin(l);
}

static void
attempt_done(struct am_lead *l, bool success)
{
	if (success) {
		renewed(l, l->ask.sent_at);
	} else if (l->phase == LEADING) {
		timer_set(l, &l->timer, now(l) + l->opt.retry_ns, attempt);
	} else {
		campaign(l);
	}
}

/* What GET has shown: is it ours to take? */
static void
decide(struct am_lead *l)
{
	if (!am_empty(l->holder) && !is_me(l) && l->observed_at + l->duration > now(l)) {
		if (l->phase == LEADING)
			lost(l, "another one holds the lease");
		else
			attempt_done(l, false);
		return;
	}
	request(l, OP_UPDATE);
}

/* Another member of the group has written it since we saw it last, and that is not long ago. */
static bool
renewed_by_another(const struct am_lead *l, int64_t known_at)
{
	return l->opt.shared && is_me(l) && l->news && known_at != 0 && known_at + 2 * l->opt.retry_ns > now(l);
}

static void
on_get(struct am_lead *l, const struct ambient_error *err)
{
	int64_t known_at = l->known_at;

	if (err == NULL && l->ask.status == 404) {
		forget(l);
		request(l, OP_CREATE);
	} else if (lead_ask_succeeded(&l->ask, err) && observe(l, now(l), false)) {
		l->known_at = l->ask.sent_at;
		if (renewed_by_another(l, known_at))
			renewed(l, known_at);
		else
			decide(l);
	} else {
		am_log_debug("lead", "cannot read lease %s/%s: %s", l->opt.ns, l->opt.name,
			     err != NULL ? err->message : "refused");
		attempt_done(l, false);
	}
}

static void
on_write(struct am_lead *l, enum op op, const struct ambient_error *err)
{
	if (lead_ask_succeeded(&l->ask, err) && observe(l, l->ask.sent_at, true)) {
		l->known_at = l->ask.sent_at;
		attempt_done(l, true);
	} else if (l->opt.shared && err == NULL && l->ask.status == 409 && !l->again) {
		l->again = true;
		request(l, OP_GET);
	} else if (op == OP_FAST) {
		am_metric_add(l->slow_path, 1);
		request(l, OP_GET);
	} else {
		attempt_done(l, false);
	}
}

/* ---- release */

static void
stop_done(struct am_lead *l)
{
	void (*done)(void *arg) = l->done;

	lead_ask_drop(&l->ask);
	timer_clear(l, &l->timer);
	timer_clear(l, &l->limit);
	l->phase = STOPPED;
	l->done = NULL;
	if (done != NULL)
		done(l->done_arg);
	am_lock(&l->lock);
	l->stopped = true;
	am_cond_broadcast(&l->ended);
	am_unlock(&l->lock);
}

static void
release_limit(void *arg)
{
	struct am_lead *l = arg;

	l->limit = NULL;
	am_log_warn("lead", "lease %s/%s could not be given back in time", l->opt.ns, l->opt.name);
	stop_done(l);
}

static void
release_get(void *arg)
{
	struct am_lead *l = arg;

	l->timer = NULL;
	request(l, OP_RELEASE_GET);
}

static void
on_release(struct am_lead *l, enum op op, const struct ambient_error *err)
{
	if (op == OP_RELEASE_PUT && lead_ask_succeeded(&l->ask, err)) {
		am_log_info("lead", "gave back lease %s/%s", l->opt.ns, l->opt.name);
		stop_done(l);
	} else if (op == OP_RELEASE_GET && lead_ask_succeeded(&l->ask, err) && observe(l, now(l), true)) {
		if (is_me(l))
			request(l, OP_RELEASE_PUT);
		else
			stop_done(l);
	} else if (op == OP_RELEASE_GET && err == NULL && l->ask.status == 404) {
		stop_done(l);
	} else { /* conflict or trouble: look again, until the limit */
		timer_set(l, &l->timer, now(l) + l->opt.retry_ns / 4, release_get);
	}
}

static void
on_done(void *arg, int op, const struct ambient_error *err)
{
	struct am_lead *l = arg;

	if (op == OP_GET)
		on_get(l, err);
	else if (op == OP_RELEASE_GET || op == OP_RELEASE_PUT)
		on_release(l, (enum op)op, err);
	else
		on_write(l, (enum op)op, err);
}

/* ---- life */

static void
start_here(void *arg)
{
	struct am_lead *l = arg;

	if (l->phase != STOPPED)
		return;
	am_lock(&l->lock);
	l->stopped = false;
	am_unlock(&l->lock);
	l->phase = CANDIDATE;
	attempt(l);
}

static void
stop_here(void *arg)
{
	struct am_lead *l = arg;
	enum phase before = l->phase;
	bool may_hold = before == LEADING || is_me(l) || l->ask.op == OP_CREATE || l->ask.op == OP_UPDATE || l->ask.op == OP_FAST;

	if (before == RELEASING)
		return;
	lead_ask_drop(&l->ask);
	timer_clear(l, &l->timer);
	timer_clear(l, &l->limit);
	l->phase = RELEASING;
	if (before == LEADING ? atomic_load(&l->leading) : before != STOPPED && !l->ever_stopped)
		lead_end(l, "stopped");
	if (before == STOPPED || l->opt.keep_on_stop || !may_hold) {
		stop_done(l);
		return;
	}
	l->limit_at = now(l) + l->opt.renew_ns;
	timer_set(l, &l->limit, l->limit_at, release_limit);
	request(l, OP_RELEASE_GET);
}

void
am_lead_start(struct am_lead *lead)
{
	am_io_run(lead->io, start_here, lead);
}

static void
poke_here(void *arg)
{
	struct am_lead *l = arg;

	if (l->phase != CANDIDATE || l->ask.op != OP_NONE)
		return;
	timer_clear(l, &l->timer);
	attempt(l);
}

void
am_lead_poke(struct am_lead *lead)
{
	am_io_run(lead->io, poke_here, lead);
}

void
am_lead_stop(struct am_lead *lead, void (*done)(void *arg), void *arg)
{
	lead->done = done;
	lead->done_arg = arg;
	am_io_run(lead->io, stop_here, lead);
}

void
am_lead_stop_wait(struct am_lead *lead)
{
	am_lock(&lead->lock);
	lead->stopped = false;
	am_unlock(&lead->lock);
	am_lead_stop(lead, NULL, NULL);
	am_lock(&lead->lock);
	while (!lead->stopped)
		(void)am_cond_wait(&lead->ended, &lead->lock, AM_FOREVER);
	am_unlock(&lead->lock);
}

static const char *
problem(const struct am_lead_options *opt)
{
	if (am_empty(opt->ns) || am_empty(opt->name))
		return "the lease has no name or namespace";
	if (am_empty(opt->identity))
		return "the identity is empty";
	if (opt->started == NULL || opt->stopped == NULL)
		return "a callback is missing";
	if (opt->lease_ns < AM_NS_PER_S || opt->renew_ns <= 0 || opt->retry_ns <= 0)
		return "each duration must be positive, the lease at least 1 s";
	if (opt->lease_ns <= opt->renew_ns)
		return "the lease must last longer than the renewal may take";
	if ((double)opt->renew_ns <= JITTER * (double)opt->retry_ns)
		return "the renewal must be allowed more than 1.2 retry periods";
	return NULL;
}

static char **
labels_dup(const char *const *labels)
{
	size_t n = 0;
	char **copy;

	while (labels != NULL && labels[n] != NULL)
		n += 2;
	if (n == 0)
		return NULL;
	copy = am_xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = am_xstrdup(labels[i]);
	return copy;
}

int
am_lead_new(struct am_io *io, const struct am_lead_options *options, struct am_lead **ret, struct ambient_error *err)
{
	static const struct am_gvr leases = { "coordination.k8s.io", "v1", "leases" };
	struct am_lead_options opt = *options;
	struct am_buf path = { 0 };
	struct am_lead *l;
	const char *wrong;

	*ret = NULL;
	opt.lease_ns = opt.lease_ns != 0 ? opt.lease_ns : AM_LEAD_LEASE_NS;
	opt.renew_ns = opt.renew_ns != 0 ? opt.renew_ns : AM_LEAD_RENEW_NS;
	opt.retry_ns = opt.retry_ns != 0 ? opt.retry_ns : AM_LEAD_RETRY_NS;
	wrong = problem(&opt);
	if (wrong != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "leader election: %s", wrong);
	l = am_xcalloc(1, sizeof(*l));
	l->io = io;
	l->opt = opt;
	l->opt.ns = am_xstrdup(opt.ns);
	l->opt.name = am_xstrdup(opt.name);
	l->opt.identity = am_xstrdup(opt.identity);
	l->labels = labels_dup(opt.labels);
	am_kube_path(&path, &leases, opt.ns, NULL, NULL);
	l->collection = am_buf_steal(&path, NULL);
	am_kube_path(&path, &leases, opt.ns, opt.name, NULL);
	l->path = am_buf_steal(&path, NULL);
	l->ask = (struct lead_ask){ .io = io, .ns = l->opt.ns, .done = on_done, .arg = l, .body.max = BODY_MAX };
	l->reported = am_xstrdup("");
	am_lock_init(&l->lock, "lead");
	am_cond_init(&l->ended, io->clock);
	if (!opt.shared)
		l->status = am_metric(AM_GAUGE, "leader_election_master_status", "Whether this process leads",
				      (const char *const[]){ "name", l->opt.name, NULL }, NULL);
	l->slow_path = am_metric(AM_COUNTER, "leader_election_slowpath_total", "Renewals that had to read the lease first",
				 (const char *const[]){ "name", l->opt.name, NULL }, NULL);
	*ret = l;
	return 0;
}

void
am_lead_free(struct am_lead *l)
{
	if (l == NULL)
		return;
	am_assert(l->phase == STOPPED);
	forget(l);
	for (size_t i = 0; l->labels != NULL && l->labels[i] != NULL; i++)
		free(l->labels[i]);
	free(l->labels);
	free((void *)(uintptr_t)l->opt.ns);
	free((void *)(uintptr_t)l->opt.name);
	free((void *)(uintptr_t)l->opt.identity);
	free(l->collection);
	free(l->path);
	free(l->reported);
	am_buf_fini(&l->ask.body);
	am_cond_fini(&l->ended);
	am_lock_fini(&l->lock);
	free(l);
}

/* ---- asked by anybody */

int64_t
am_lead_valid_until(const struct am_lead *l)
{
	int64_t renewed = atomic_load(&l->renewed_at);

	/* Not the whole lease: another candidate's clock may run faster than ours, by lease_ns / renew_ns. */
	return renewed != 0 && atomic_load(&l->leading) ? renewed + l->opt.renew_ns : 0;
}

bool
am_lead_valid(const struct am_lead *l)
{
	return now(l) < am_lead_valid_until(l);
}

bool
am_lead_leading(const struct am_lead *l)
{
	return atomic_load(&l->leading);
}

bool
am_lead_healthy(const struct am_lead *l, int64_t tolerance_ns)
{
	int64_t renewed = atomic_load(&l->renewed_at);

	return renewed == 0 || !atomic_load(&l->leading) || now(l) - renewed <= l->opt.lease_ns + tolerance_ns;
}

void
am_lead_holder(struct am_lead *l, char *buf, size_t size)
{
	am_lock(&l->lock);
	(void)am_strlcpy(buf, l->reported, size);
	am_unlock(&l->lock);
}

bool
am_lead_refused(const struct am_lead *l, struct am_buf *out)
{
	return lead_ask_refused(&l->ask, out);
}
