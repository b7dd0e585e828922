/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A member of a group that shares shards (doc/adr/0050).  Its invariants:
 *
 * 1. What is OWNED or DRAINING stands in the own Lease: it was in the last write that succeeded, and in every one sent
 *    since.
 * 2. A shard becomes OWNED only by a list that was sent after that write had succeeded, in which our Lease holds it and no
 *    other one does.
 * 3. A shard leaves the Lease only when none of its calls runs.
 * 4. Somebody else's Lease is removed only by its version, after that was seen unchanged for the Lease's whole duration.
 * 5. Nobody works later than renew_ns after the sending of the last renewal that succeeded.
 *
 * So of two members that both hold a shard, the one that wrote last sees the other (1, 2); and a member whose Lease was
 * removed has stopped by then (4, 5) and can renew nothing, however late its requests arrive.
 *
 * One request is under way at a time; next() picks it.  All of it runs on the I/O thread; other threads read the atomics.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "core/kube/kube.h"
#include "core/lead/lead.h"
#include "core/lead/lead_priv.h"

#define DRAIN_NS     (30 * AM_NS_PER_S)
#define TIMEOUT_MIN  (250 * AM_NS_PER_MS)
#define LIST_MAX     (4 << 20)

#define LABEL      "ambient-code.io/shards-of"

enum phase { STOPPED, RUNNING, STOPPING };
enum op { OP_NONE, OP_CREATE, OP_UPDATE, OP_LIST, OP_FENCE, OP_REMOVE };
enum state { FREE, CLAIMING, OWNED, DRAINING };

struct metrics {
	struct am_metric *owned, *members, *gained, *given, *lost, *owner[AM_SHARDS_MAX];
};

struct am_shards {
	struct am_io *io;
	struct am_shards_options opt; /* strings are copies */
	struct am_lead *group;
	char *collection, *list_path;
	struct metrics metrics;

	enum phase phase;
	struct lead_ask ask;          /* its op is an enum op */
	struct am_timer *timer;       /* next() */
	struct am_timer *limit;       /* the end of what is valid, or of the removal */

	/* the own Lease */
	char *lease, *path;           /* its name; a new one after it was lost */
	char *uid, *rv;               /* NULL: it is not there */
	struct shard_set published;   /* by the last write that succeeded */
	struct shard_set sending;     /* by the one under way */
	bool unsure;                  /* the last write has not succeeded, but may have arrived or arrive yet */
	bool leaving;
	bool left, sending_left;      /* the same, as published and as in what is under way */
	int64_t changes;              /* of what it holds; its leaseTransitions */
	char acquired[32];

	struct shard_members members;
	int64_t renew_at, not_before; /* not_before: pause after a failure */
	int conflicts;                /* in a row */
	bool list_needed;
	bool look_first;              /* a write has failed: the list comes before the next one */
	int64_t drain_since[AM_SHARDS_MAX];
	atomic_bool active;           /* started() was told; written by the I/O thread */

	void (*done)(void *arg);
	void *done_arg;

	_Atomic(uint8_t) states[AM_SHARDS_MAX]; /* enum state; written by the I/O thread */
	_Atomic(int64_t) renewed_at;            /* 0: no Lease */
	atomic_int draining, live;
	struct am_lock lock;
	struct am_cond ended;
	bool stopped;                 /* lock: the stop has ended */
};

static void next(struct am_shards *s);

static int64_t
now(const struct am_shards *s)
{
	return am_clock_boot(s->io->clock);
}

static enum state
state_of(const struct am_shards *s, int shard)
{
	return (enum state)atomic_load(&s->states[shard]);
}

static void
timer_set(struct am_shards *s, struct am_timer **timer, int64_t at, void (*fn)(void *))
{
	am_io_timer_cancel(s->io, *timer);
	*timer = am_io_timer(s->io, at, fn, s);
}

static void
timer_clear(struct am_shards *s, struct am_timer **timer)
{
	am_io_timer_cancel(s->io, *timer);
	*timer = NULL;
}

/* ---- the states of shards */

static void
set_state(struct am_shards *s, int shard, enum state to)
{
	enum state from = state_of(s, shard);

	atomic_store(&s->states[shard], (uint8_t)to);
	if (from == DRAINING)
		atomic_fetch_sub(&s->draining, 1);
	if (to == DRAINING) {
		s->drain_since[shard] = now(s);
		atomic_fetch_add(&s->draining, 1);
	}
	am_metric_add(s->metrics.owned, (to == OWNED) - (from == OWNED));
	am_metric_set(s->metrics.owner[shard], to == OWNED || to == DRAINING);
}

static void
set_of_states(const struct am_shards *s, bool claims, struct shard_set *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < s->opt.shards; i++) {
		enum state state = state_of(s, i);
		if (state == OWNED || (claims && state != FREE))
			shard_put(ret, i);
	}
}

static void
say_owned(struct am_shards *s)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	am_shards_describe(s, &text);
	am_log_info("lead", "%s", am_buf_str(&text));
}

/* ---- may we work? */

static int64_t
lapses_at(const struct am_shards *s)
{
	int64_t renewed = atomic_load(&s->renewed_at), group = am_lead_valid_until(s->group);

	return renewed == 0 || group == 0 ? 0 : AM_MIN(renewed + s->opt.renew_ns, group);
}

static void refresh(struct am_shards *s);

static void
limit_passed(void *arg)
{
	struct am_shards *s = arg;

	s->limit = NULL;
	refresh(s);
}

/* Tells when that changes. */
static void
refresh(struct am_shards *s)
{
	int64_t until = lapses_at(s);
	bool valid = now(s) < until;

	timer_clear(s, &s->limit);
	if (valid)
		timer_set(s, &s->limit, until, limit_passed);
	if (valid == s->active)
		return;
	s->active = valid;
	if (valid) {
		s->opt.started(s->opt.arg);
	} else {
		am_log_warn("lead", "lease %s/%s could not be renewed in time: nothing is worked on", s->opt.ns, s->lease);
		s->opt.stopped(s->opt.arg);
	}
}

/* ---- the own Lease */

static void
new_lease(struct am_shards *s)
{
	static const struct am_gvr leases = { "coordination.k8s.io", "v1", "leases" };
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	char suffix[11];

	am_random_suffix(suffix, 10);
	free(s->lease);
	free(s->path);
	s->lease = am_xasprintf("%s-%s", s->opt.name, suffix);
	s->members.own = s->lease;
	am_kube_path(&path, &leases, s->opt.ns, s->lease, NULL);
	s->path = am_buf_steal(&path, NULL);
}

static void
lose_lease(struct am_shards *s)
{
	int held = 0;

	for (int i = 0; i < s->opt.shards; i++) {
		held += state_of(s, i) == OWNED || state_of(s, i) == DRAINING;
		set_state(s, i, FREE);
	}
	am_metric_add(s->metrics.lost, held);
	free(s->uid);
	free(s->rv);
	s->uid = s->rv = NULL;
	memset(&s->published, 0, sizeof(s->published));
	s->unsure = s->left = false;
	atomic_store(&s->renewed_at, 0);
}

/* Somebody saw it unchanged for too long, or a person deleted it. */
static void
fenced(struct am_shards *s)
{
	am_log_warn("lead", "lease %s/%s was removed by somebody else: starting anew without shards", s->opt.ns, s->lease);
	lose_lease(s);
	new_lease(s);
	refresh(s);
}

static bool
adopt(struct am_shards *s, struct am_slice lease)
{
	char *uid = am_json_dup(lease, "/metadata/uid"), *rv = am_json_dup(lease, "/metadata/resourceVersion");

	if (am_empty(uid) || am_empty(rv)) {
		free(uid);
		free(rv);
		return false;
	}
	free(s->uid);
	free(s->rv);
	s->uid = uid;
	s->rv = rv;
	return true;
}

static void
body_make(struct am_shards *s, struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf claim = { 0 };
	char time[32];

	am_time_format(time, am_clock_wall(s->io->clock), true);
	if (s->uid == NULL)
		memcpy(s->acquired, time, sizeof(time));
	shard_claim_print(s->opt.shards, &s->sending, s->sending_left, &claim);
	am_json_addf(out, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":%s,\"namespace\":%s,",
		     s->lease, s->opt.ns);
	if (s->uid != NULL)
		am_json_addf(out, "\"uid\":%s,\"resourceVersion\":%s,", s->uid, s->rv);
	am_json_addf(out, "\"labels\":{\"" LABEL "\":%s},\"annotations\":{\"" SHARD_ANNOTATION "\":%s}},", s->opt.name,
		     am_buf_str(&claim));
	am_json_addf(out, "\"spec\":{\"holderIdentity\":%s,\"leaseDurationSeconds\":%l,\"acquireTime\":%s,\"renewTime\":%s,"
		     "\"leaseTransitions\":%l}}", s->opt.identity, (s->opt.lease_ns + AM_NS_PER_S - 1) / AM_NS_PER_S, s->acquired, time,
		     s->changes);
}

/* ---- requests */

static void
request(struct am_shards *s, enum op op, const char *path, const struct am_buf *body)
{
	static const enum lead_verb verbs[] = { [OP_CREATE] = LEAD_CREATE, [OP_UPDATE] = LEAD_UPDATE, [OP_LIST] = LEAD_LIST,
						[OP_FENCE] = LEAD_DELETE, [OP_REMOVE] = LEAD_DELETE };

	lead_ask(&s->ask, (int)op, verbs[op], path, body, AM_MAX(TIMEOUT_MIN, s->opt.renew_ns / 4));
}

static void
send_lease(struct am_shards *s)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	set_of_states(s, true, &s->sending);
	s->sending_left = s->leaving;
	if (!shard_set_eq(&s->sending, &s->published))
		s->changes++;
	s->unsure = true;
	body_make(s, &body);
	request(s, s->uid == NULL ? OP_CREATE : OP_UPDATE, s->uid == NULL ? s->collection : s->path, &body);
}

/* Only as it was seen: a renewal that arrives in between wins, one that arrives later fails. */
static void
send_fence(struct am_shards *s, const struct shard_member *m)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 }, path = { 0 };

	am_log_warn("lead", "lease %s/%s of \"%s\" was not renewed for %lld s: it is removed, its shards are shared out", s->opt.ns,
		    m->lease, m->identity, (long long)(m->duration / AM_NS_PER_S));
	am_buf_addf(&path, "%s/", s->collection);
	am_url_escape(&path, m->lease);
	am_json_addf(&body, "{\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\",\"preconditions\":{\"uid\":%s,\"resourceVersion\":%s}}",
		     m->uid, m->rv);
	request(s, OP_FENCE, am_buf_str(&path), &body);
}

/* ---- decisions, after a list */

static void
own(struct am_shards *s, int shard)
{
	set_state(s, shard, OWNED);
	am_metric_add(s->metrics.gained, 1);
	s->opt.gained(s->opt.arg, shard);
}

/* Does another one hold it? */
static bool
taken(const struct am_shards *s, int shard)
{
	return shard_members_hold(&s->members, shard);
}

static void
decide(struct am_shards *s, const struct shard_member *mine, int shard)
{
	bool want = !s->leaving && shard_members_prefer(&s->members, s->opt.identity, shard, now(s));

	switch (state_of(s, shard)) {
	case FREE:
		if (want && !taken(s, shard))
			set_state(s, shard, CLAIMING);
		break;
	case CLAIMING:
		if (!want)
			set_state(s, shard, FREE);
		else if (!s->unsure && shard_in(&s->published, shard) && shard_in(&mine->claim.held, shard) && !taken(s, shard))
			own(s, shard);
		break;
	case OWNED:
		if (!want)
			set_state(s, shard, DRAINING);
		break;
	case DRAINING: /* it stood in our Lease all the time */
		if (want)
			own(s, shard);
		break;
	}
}

/* What is given away goes when its calls have ended. */
static void
drain(struct am_shards *s)
{
	for (int i = 0; atomic_load(&s->draining) != 0 && i < s->opt.shards; i++) {
		if (state_of(s, i) != DRAINING)
			continue;
		if (s->opt.idle(s->opt.arg, i)) {
			set_state(s, i, FREE);
			am_metric_add(s->metrics.given, 1);
		} else if (now(s) - s->drain_since[i] >= s->opt.drain_ns) {
			s->opt.hurry(s->opt.arg, i);
		}
	}
}

static void
evaluate(struct am_shards *s)
{
	const struct shard_member *mine = shard_members_own(&s->members);
	struct shard_set before, after;

	if (s->uid != NULL && (mine == NULL || strcmp(mine->uid, s->uid) != 0)) {
		fenced(s);
		return;
	}
	if (mine == NULL)
		return;
	if (s->uid == NULL) /* created by a request whose answer was lost; `unsure` has it written again */
		s->uid = am_xstrdup(mine->uid);
	free(s->rv);
	s->rv = am_xstrdup(mine->rv);
	set_of_states(s, false, &before);
	for (int i = 0; i < s->opt.shards; i++)
		decide(s, mine, i);
	drain(s);
	set_of_states(s, false, &after);
	if (!shard_set_eq(&before, &after))
		say_owned(s);
}

/* ---- answers */

static void
failed(struct am_shards *s, const char *what, const struct ambient_error *err)
{
	am_log_debug("lead", "cannot %s: %s (status %d)", what, err != NULL ? err->message : "refused", s->ask.status);
	s->not_before = now(s) + s->opt.retry_ns;
}

static void
on_write(struct am_shards *s, const struct ambient_error *err)
{
	struct am_slice text = am_slice(am_buf_str(&s->ask.body), s->ask.body.len);

	s->list_needed = s->look_first = true; /* to see what became of it, or of the others */
	if (lead_ask_succeeded(&s->ask, err) && !s->ask.body.failed && am_json_check(text.p, text.n, NULL) == 0 && adopt(s, text)) {
		s->published = s->sending;
		s->unsure = s->look_first = false;
		s->left = s->sending_left;
		s->conflicts = 0;
		s->renew_at = s->ask.sent_at + s->opt.retry_ns;
		atomic_store(&s->renewed_at, s->ask.sent_at);
		refresh(s);
	} else if (err == NULL && (s->ask.status == 404 || s->ask.status == 409) && s->conflicts++ < 3) {
		/* gone, there already, or edited by a person: the list says which */
	} else {
		failed(s, "write the own lease", err);
	}
}

static void
on_list(struct am_shards *s, const struct ambient_error *err)
{
	s->look_first = false; /* a list that fails does not keep the own Lease from being renewed */
	if (!lead_ask_succeeded(&s->ask, err) || s->ask.body.failed ||
	    !shard_members_take(&s->members, am_slice(am_buf_str(&s->ask.body), s->ask.body.len), now(s))) {
		failed(s, "list the leases", err);
		return;
	}
	s->list_needed = false;
	atomic_store(&s->live, shard_members_live(&s->members, now(s)));
	am_metric_set(s->metrics.members, atomic_load(&s->live));
	evaluate(s);
}

static void
on_fence(struct am_shards *s, const struct ambient_error *err)
{
	s->list_needed = true;
	if (lead_ask_succeeded(&s->ask, err) || (err == NULL && (s->ask.status == 404 || s->ask.status == 409)))
		return;
	failed(s, "remove a lease", err);
}

/* ---- what to do next */

static void
wake(void *arg)
{
	struct am_shards *s = arg;

	s->timer = NULL;
	next(s);
}

static bool
must_write(const struct am_shards *s)
{
	struct shard_set claims;

	set_of_states(s, true, &claims);
	return s->uid == NULL || s->unsure || s->left != s->leaving || now(s) >= s->renew_at || !shard_set_eq(&claims, &s->published);
}

static void
next(struct am_shards *s)
{
	const struct shard_member *dead;

	if (s->phase != RUNNING || s->ask.op != OP_NONE || (s->uid == NULL && (s->leaving || !am_lead_leading(s->group)))) /* group_changed */
		return;
	timer_clear(s, &s->timer);
	if (now(s) < s->not_before) {
		timer_set(s, &s->timer, s->not_before, wake);
	} else if (must_write(s) && !s->look_first) {
		send_lease(s);
	} else if (s->list_needed) {
		request(s, OP_LIST, s->list_path, NULL);
	} else if ((dead = shard_members_expired(&s->members, now(s))) != NULL) {
		send_fence(s, dead);
	} else {
		timer_set(s, &s->timer, s->renew_at, wake);
	}
}

static void
remove_own(void *arg)
{
	struct am_shards *s = arg;

	s->timer = NULL;
	request(s, OP_REMOVE, s->path, NULL);
}

static void stop_done(struct am_shards *s);

static void
on_done(void *arg, int op, const struct ambient_error *err)
{
	struct am_shards *s = arg;

	if (op == OP_REMOVE) {
		if (lead_ask_succeeded(&s->ask, err) || (err == NULL && s->ask.status == 404))
			stop_done(s);
		else
			timer_set(s, &s->timer, now(s) + s->opt.retry_ns / 4, remove_own);
		return;
	}
	if (op == OP_LIST)
		on_list(s, err);
	else if (op == OP_FENCE)
		on_fence(s, err);
	else
		on_write(s, err);
	next(s);
}

/* ---- life */

static void
group_changed(void *arg)
{
	struct am_shards *s = arg;

	if (s->phase != RUNNING)
		return;
	refresh(s);
	next(s);
}

static void
group_stopped(void *arg)
{
	struct am_shards *s = arg;
	void (*done)(void *arg) = s->done;

	s->phase = STOPPED;
	s->done = NULL;
	if (done != NULL)
		done(s->done_arg);
	am_lock(&s->lock);
	s->stopped = true;
	am_cond_broadcast(&s->ended);
	am_unlock(&s->lock);
}

static void
stop_done(struct am_shards *s)
{
	lead_ask_drop(&s->ask);
	timer_clear(s, &s->timer);
	timer_clear(s, &s->limit);
	am_lead_stop(s->group, group_stopped, s);
}

static void
remove_limit(void *arg)
{
	struct am_shards *s = arg;

	s->limit = NULL;
	am_log_warn("lead", "lease %s/%s could not be removed in time: the others wait for its end", s->opt.ns, s->lease);
	stop_done(s);
}

static void
start_here(void *arg)
{
	struct am_shards *s = arg;

	if (s->phase != STOPPED)
		return;
	am_lock(&s->lock);
	s->stopped = false;
	am_unlock(&s->lock);
	s->phase = RUNNING;
	s->leaving = s->list_needed = s->look_first = false;
	s->not_before = 0;
	new_lease(s);
	am_lead_start(s->group);
}

static void
stop_here(void *arg)
{
	struct am_shards *s = arg;
	bool may_be_there = s->phase == RUNNING && (s->uid != NULL || s->unsure);

	if (s->phase == STOPPING)
		return;
	if (s->phase == STOPPED) {
		group_stopped(s);
		return;
	}
	lead_ask_drop(&s->ask);
	timer_clear(s, &s->timer);
	timer_clear(s, &s->limit);
	s->phase = STOPPING;
	lose_lease(s);
	if (s->active) {
		s->active = false;
		s->opt.stopped(s->opt.arg);
	}
	if (!may_be_there) {
		stop_done(s);
		return;
	}
	timer_set(s, &s->limit, now(s) + s->opt.renew_ns, remove_limit);
	remove_own(s);
}

static void
leave_here(void *arg)
{
	struct am_shards *s = arg;

	if (s->phase != RUNNING)
		return;
	s->leaving = true;
	for (int i = 0; i < s->opt.shards; i++) {
		if (state_of(s, i) == OWNED)
			set_state(s, i, DRAINING);
		else if (state_of(s, i) == CLAIMING)
			set_state(s, i, FREE);
	}
	drain(s);
	next(s);
}

static void
poke_here(void *arg)
{
	struct am_shards *s = arg;

	s->list_needed = true;
	next(s);
}

static void
ended_here(void *arg)
{
	struct am_shards *s = arg;

	if (s->phase != RUNNING)
		return;
	drain(s);
	next(s);
}

void
am_shards_start(struct am_shards *s)
{
	am_io_run(s->io, start_here, s);
}

void
am_shards_leave(struct am_shards *s)
{
	am_io_run(s->io, leave_here, s);
}

void
am_shards_poke(struct am_shards *s)
{
	am_io_run(s->io, poke_here, s);
}

void
am_shards_ended(struct am_shards *s)
{
	if (atomic_load(&s->draining) != 0)
		am_io_run(s->io, ended_here, s);
}

void
am_shards_stop(struct am_shards *s, void (*done)(void *arg), void *arg)
{
	s->done = done;
	s->done_arg = arg;
	am_io_run(s->io, stop_here, s);
}

void
am_shards_stop_wait(struct am_shards *s)
{
	am_lock(&s->lock);
	s->stopped = false;
	am_unlock(&s->lock);
	am_shards_stop(s, NULL, NULL);
	am_lock(&s->lock);
	while (!s->stopped)
		(void)am_cond_wait(&s->ended, &s->lock, AM_FOREVER);
	am_unlock(&s->lock);
}

static void
metrics_init(struct am_shards *s)
{
	const char *name = s->opt.name;
	struct metrics *m = &s->metrics;

#define METRIC(type, text, help, ...) am_metric(type, text, help, (const char *const[]){ "name", name, ##__VA_ARGS__, NULL }, NULL)
	am_metric_set(METRIC(AM_GAUGE, "ambient_shards", "Shards that the replicas share"), s->opt.shards);
	m->owned = METRIC(AM_GAUGE, "ambient_shards_owned", "Shards that this process reconciles");
	m->members = METRIC(AM_GAUGE, "ambient_shard_members", "Replicas that this process sees alive, itself among them");
	m->gained = METRIC(AM_COUNTER, "ambient_shard_changes_total", "Shards that changed their owner", "change", "gained");
	m->given = METRIC(AM_COUNTER, "ambient_shard_changes_total", "Shards that changed their owner", "change", "given");
	m->lost = METRIC(AM_COUNTER, "ambient_shard_changes_total", "Shards that changed their owner", "change", "lost");
	for (int i = 0; i < s->opt.shards; i++) {
		char number[12];
		(void)snprintf(number, sizeof(number), "%d", i);
		m->owner[i] = METRIC(AM_GAUGE, "ambient_shard_owner", "Whether this process owns the shard", "shard", number);
	}
#undef METRIC
}

static const char *
problem(const struct am_shards_options *opt)
{
	if (opt->shards < 1 || opt->shards > AM_SHARDS_MAX)
		return "the number of shards must be 1 to 256";
	if (am_empty(opt->ns) || am_empty(opt->name) || am_empty(opt->identity))
		return "the lease has no name, namespace or identity";
	if (strlen(opt->name) > AM_SHARDS_NAME_MAX || am_name_problem(opt->name, 1) != NULL)
		return "with shards, the lease's name must be a DNS label of at most 50 characters";
	if (opt->renew_ns <= 3 * opt->retry_ns)
		return "with shards, the renewal must be allowed more than 3 retry periods";
	if (opt->started == NULL || opt->stopped == NULL || opt->gained == NULL || opt->idle == NULL || opt->hurry == NULL)
		return "a callback is missing";
	return NULL;
}

/* The whole group holds one Lease, under one name: a replica that elects a leader, or has another number of shards, waits
 * until the last of us has gone, and we for it. */
static int
make_group(struct am_shards *s, struct ambient_error *err)
{
	am_auto(am_freep) char *identity = am_xasprintf("shared by %d shards", s->opt.shards);
	const struct am_lead_options options = {
		.ns = s->opt.ns, .name = s->opt.name, .identity = identity, .lease_ns = s->opt.lease_ns, .renew_ns = s->opt.renew_ns,
		.retry_ns = s->opt.retry_ns, .keep_on_stop = true, .shared = true, .started = group_changed,
		.stopped = group_changed, .arg = s,
	};

	return am_lead_new(s->io, &options, &s->group, err);
}

static void
make_paths(struct am_shards *s)
{
	static const struct am_gvr leases = { "coordination.k8s.io", "v1", "leases" };
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	am_kube_path(&path, &leases, s->opt.ns, NULL, NULL);
	s->collection = am_buf_steal(&path, NULL);
	am_buf_addf(&path, "%s?labelSelector=", s->collection);
	am_auto(am_freep) char *selector = am_xasprintf("%s=%s", LABEL, s->opt.name);
	am_url_escape(&path, selector);
	s->list_path = am_buf_steal(&path, NULL);
}

int
am_shards_new(struct am_io *io, const struct am_shards_options *options, struct am_shards **ret, struct ambient_error *err)
{
	struct am_shards_options opt = *options;

	*ret = NULL;
	opt.lease_ns = opt.lease_ns != 0 ? opt.lease_ns : AM_LEAD_LEASE_NS;
	opt.renew_ns = opt.renew_ns != 0 ? opt.renew_ns : AM_LEAD_RENEW_NS;
	opt.retry_ns = opt.retry_ns != 0 ? opt.retry_ns : AM_LEAD_RETRY_NS;
	opt.drain_ns = opt.drain_ns != 0 ? opt.drain_ns : DRAIN_NS;
	const char *wrong = problem(&opt);
	if (wrong != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "shards: %s", wrong);
	struct am_shards *s = am_xcalloc(1, sizeof(*s));
	s->io = io;
	s->opt = opt;
	s->opt.ns = am_xstrdup(opt.ns);
	s->opt.name = am_xstrdup(opt.name);
	s->opt.identity = am_xstrdup(opt.identity);
	s->ask = (struct lead_ask){ .io = io, .ns = s->opt.ns, .done = on_done, .arg = s, .body.max = LIST_MAX };
	s->members.shards = opt.shards;
	make_paths(s);
	am_lock_init(&s->lock, "shards");
	am_cond_init(&s->ended, io->clock);
	int rc = make_group(s, err);
	if (rc < 0) {
		am_shards_free(s);
		return rc;
	}
	metrics_init(s);
	*ret = s;
	return 0;
}

void
am_shards_free(struct am_shards *s)
{
	if (s == NULL)
		return;
	am_assert(s->phase == STOPPED);
	am_lead_free(s->group);
	shard_members_fini(&s->members);
	free((void *)(uintptr_t)s->opt.ns);
	free((void *)(uintptr_t)s->opt.name);
	free((void *)(uintptr_t)s->opt.identity);
	free(s->collection);
	free(s->list_path);
	free(s->lease);
	free(s->path);
	free(s->uid);
	free(s->rv);
	am_buf_fini(&s->ask.body);
	am_cond_fini(&s->ended);
	am_lock_fini(&s->lock);
	free(s);
}

/* ---- asked by anybody */

int64_t
am_shards_valid_until(const struct am_shards *s)
{
	/* Once stopped() was told nothing goes on by itself when a renewal succeeds, but only by started(). */
	return atomic_load(&s->active) ? lapses_at(s) : 0;
}

int
am_shards_of(const struct am_shards *s, const char *ns, const char *name)
{
	return shard_of_key(am_empty(ns) ? name : ns, s->opt.shards);
}

bool
am_shards_owns(const struct am_shards *s, int shard)
{
	return state_of(s, shard) == OWNED;
}

bool
am_shards_holds(const struct am_shards *s, int shard)
{
	enum state state = state_of(s, shard);

	return state == OWNED || state == DRAINING;
}

bool
am_shards_healthy(const struct am_shards *s, int64_t tolerance_ns)
{
	int64_t renewed = atomic_load(&s->renewed_at);

	return renewed == 0 || !atomic_load(&s->active) || now(s) - renewed <= s->opt.lease_ns + tolerance_ns;
}

void
am_shards_describe(const struct am_shards *s, struct am_buf *out)
{
	struct shard_set owned;

	set_of_states(s, false, &owned);
	am_buf_addf(out, "shards=%d owned=", s->opt.shards);
	shard_set_print(&owned, out);
	am_buf_addf(out, " members=%d", atomic_load(&s->live));
}

bool
am_shards_refused(const struct am_shards *s, struct am_buf *out)
{
	return lead_ask_refused(&s->ask, out) || am_lead_refused(s->group, out);
}
