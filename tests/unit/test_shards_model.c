/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ADR 50 as a model: up to six members share eight shards through one API server, each with a clock of its own that runs
 * up to 20 % fast or slow.  The network delays, loses requests and answers, and delivers writes long after their sender
 * has given them up; members are cut off, suspended for up to a minute, killed, join, and leave.  At no moment may two
 * write in one shard ("never two"); when the network is well again each shard has one owner ("eventually one").
 *
 * A seed is a whole play: nothing else gives chance, and two plays of it leave the same trace.  AMBIENT_SEED=N plays
 * that one alone, with the log.
 */
#include <string.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/lead/lead_priv.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/fake_random.h"
#include "tests/lib/unit.h"

#define S       AM_NS_PER_S
#define MS      AM_NS_PER_MS
#define STEP    (50 * MS)
#define SHARDS  8
#define MEMBERS 6
#define FOREVER_FROZEN INT64_MAX

struct message {
	size_t index;            /* of the request, in the member's io */
	char *method, *path, *body, *answer;
	int64_t apply_at, answer_at; /* AM_FOREVER: lost */
	int status;              /* 0: not applied yet */
};

enum life { ABSENT, ALIVE, LEAVING, STOPPING, GONE, DEAD };

struct member {
	enum life life;
	struct am_clock *clock;
	struct am_io *io;
	struct am_shards *shards;
	double rate;
	bool cut;
	int64_t frozen_until, missed; /* true time, 0: runs; own time */
	size_t seen;                  /* requests that became messages */
	struct message messages[256];
	size_t message_count;
	struct { int64_t ends; bool cancelled; } calls[SHARDS]; /* ends: own time; 0: none */
	bool has_work[SHARDS];        /* gained() was told */
	char identity[16];
	bool stopped;
};

static struct member all[MEMBERS];
static struct lease { char *name, *uid, *rest; int version; bool member; } leases[64];
static size_t lease_count;
static int version, uids, handovers, fences;
static int64_t true_now;
static uint64_t state, playing, trace; /* trace: a hash of all that was sent, answered and believed */

static uint64_t
dice(uint64_t n)
{
	return fake_random_next(&state) % n;
}

static void
note(const char *text)
{
	for (; text != NULL && *text != '\0'; text++)
		trace = (trace ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
}

static void
note_number(int64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld ", (long long)n);
	note(text);
}

/* ---- the API server */

static struct lease *
lease_of(const char *name)
{
	for (size_t i = 0; i < lease_count; i++) {
		if (strcmp(leases[i].name, name) == 0)
			return &leases[i];
	}
	return NULL;
}

static void
lease_print(const struct lease *l, struct am_buf *out)
{
	am_buf_addf(out, "{\"metadata\":{\"name\":\"%s\",\"uid\":\"%s\",\"resourceVersion\":\"%d\"%s}", l->name, l->uid, l->version, l->rest);
}

/* What of the sent object is kept: its annotations and its spec. */
static char *
rest_of(const char *body)
{
	struct am_slice annotations = { 0 }, spec = { 0 }, text = am_slice_of(body);
	bool has = am_json_find(text, "/metadata/annotations", &annotations);

	ck_assert(am_json_find(text, "/spec", &spec));
	return am_xasprintf("%s%.*s},\"spec\":%.*s", has ? ",\"annotations\":" : "", (int)annotations.n, has ? annotations.p : "",
			    (int)spec.n, spec.p);
}

static int
write_lease(const char *name, const char *body, bool create)
{
	struct lease *l = lease_of(name);

	if (create ? l != NULL : l == NULL)
		return create ? 409 : 404;
	if (create) {
		ck_assert_uint_lt(lease_count, AM_COUNTOF(leases));
		l = &leases[lease_count++];
		*l = (struct lease){ .name = am_xstrdup(name), .uid = am_xasprintf("u%d", ++uids), .member = strcmp(name, "l") != 0 };
	} else {
		am_auto(am_freep) char *rv = am_json_dup(am_slice_of(body), "/metadata/resourceVersion");
		ck_assert_ptr_nonnull(rv); /* never unconditional */
		if (atoi(rv) != l->version)
			return 409;
	}
	free(l->rest);
	l->rest = rest_of(body);
	l->version = ++version;
	return create ? 201 : 200;
}

static void
lease_remove(struct lease *l)
{
	free(l->name);
	free(l->uid);
	free(l->rest);
	*l = leases[--lease_count];
}

static int
delete_lease(const char *name, const char *body)
{
	struct lease *l = lease_of(name);
	am_auto(am_freep) char *rv = body != NULL ? am_json_dup(am_slice_of(body), "/preconditions/resourceVersion") : NULL;

	if (l == NULL)
		return 404;
	if (rv != NULL && atoi(rv) != l->version)
		return 409;
	fences += rv != NULL;
	lease_remove(l);
	return 200;
}

static void
apply(struct message *m)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	const char *name = strrchr(m->path, '/') + 1;
	am_auto(am_freep) char *named = NULL;
	bool list = strchr(m->path, '?') != NULL;

	if (strcmp(m->method, "POST") == 0)
		name = named = am_json_dup(am_slice_of(m->body), "/metadata/name");
	if (list) {
		m->status = 200;
		am_buf_adds(&out, "{\"items\":[");
		for (size_t i = 0, n = 0; i < lease_count; i++) {
			if (!leases[i].member)
				continue;
			am_buf_adds(&out, n++ != 0 ? "," : "");
			lease_print(&leases[i], &out);
		}
		am_buf_adds(&out, "]}");
	} else if (strcmp(m->method, "GET") == 0) {
		m->status = lease_of(name) != NULL ? 200 : 404;
	} else if (strcmp(m->method, "DELETE") == 0) {
		m->status = delete_lease(name, m->body);
	} else {
		m->status = write_lease(name, m->body, strcmp(m->method, "POST") == 0);
	}
	if (!list && m->status < 300 && strcmp(m->method, "DELETE") != 0)
		lease_print(lease_of(name), &out);
	m->answer = am_xstrdup(out.len != 0 ? am_buf_str(&out) : "{}");
	note_number(true_now);
	note(m->method);
	note(m->path);
	note(m->body);
	note_number(m->status);
	note(m->answer);
}

/* ---- the network */

static void
message_fini(struct message *m)
{
	free(m->method);
	free(m->path);
	free(m->body);
	free(m->answer);
}

static void
post(struct member *c, bool well)
{
	for (; c->seen < fake_io_count(c->io); c->seen++) {
		const struct fake_request *r = fake_io_request(c->io, c->seen);
		struct message *m = &c->messages[c->message_count++];

		ck_assert_uint_lt(c->message_count, AM_COUNTOF(c->messages));
		*m = (struct message){ .index = c->seen, .method = am_xstrdup(r->method), .path = am_xstrdup(r->path),
				       .body = r->body != NULL ? am_xstrdup(r->body) : NULL };
		m->apply_at = true_now + (int64_t)dice(3) * STEP;
		if (!well && dice(20) == 0) /* it lies around somewhere, and arrives when nobody waits for it any more */
			m->apply_at = dice(2) == 0 ? AM_FOREVER : true_now + (int64_t)dice(600) * STEP;
		m->answer_at = !well && dice(20) == 0 ? AM_FOREVER : (int64_t)(dice(10) == 0 && !well ? dice(80) : dice(3)) * STEP;
	}
}

static bool
answerable(const struct member *c, const struct message *m)
{
	if (!fake_io_request(c->io, m->index)->open)
		return false;
	for (size_t i = 0; i < m->index; i++) {
		if (fake_io_request(c->io, i)->open)
			return false;
	}
	return true;
}

/* Which of the messages of its member is due; true: it is done with. */
static bool
carry(struct member *c, struct message *m)
{
	if (m->status == 0 && m->apply_at != AM_FOREVER && true_now >= m->apply_at && (!c->cut || dice(100) == 0)) {
		apply(m);
		m->answer_at = m->answer_at != AM_FOREVER ? true_now + m->answer_at : AM_FOREVER;
	}
	if (m->apply_at == AM_FOREVER || (m->status != 0 && !fake_io_request(c->io, m->index)->open))
		return true;
	if (m->status == 0 || m->answer_at == AM_FOREVER || true_now < m->answer_at || c->cut || c->frozen_until != 0 ||
	    !answerable(c, m))
		return m->status != 0 && m->answer_at == AM_FOREVER;
	fake_io_answer(c->io, m->status, m->answer);
	return true;
}

static void
time_out(struct member *c)
{
	for (size_t i = 0; c->frozen_until == 0 && i < fake_io_count(c->io); i++) {
		const struct fake_request *r = fake_io_request(c->io, i);

		if (!r->open)
			continue;
		if (am_clock_boot(c->clock) >= r->at + r->timeout_ns)
			fake_io_fail(c->io, AMBIENT_E_TIMEOUT, 0);
		return;
	}
}

static void
network(struct member *c, bool well)
{
	post(c, well);
	for (size_t i = 0; i < c->message_count; i++) {
		struct message *m = &c->messages[i];

		if (!carry(c, m))
			continue;
		m = &c->messages[i];
		message_fini(m);
		*m = c->messages[--c->message_count];
		i--;
		post(c, well); /* what the answer led to */
	}
	time_out(c);
}

/* ---- a member and its work */

static void
on_started(void *arg)
{
}

static void
on_stopped(void *arg)
{
	struct member *c = arg;

	for (int i = 0; i < SHARDS; i++)
		c->calls[i].cancelled = true;
}

static void
on_gained(void *arg, int shard)
{
	((struct member *)arg)->has_work[shard] = true;
	handovers++;
}

static bool
on_idle(void *arg, int shard)
{
	return ((struct member *)arg)->calls[shard].ends == 0;
}

static void
on_hurry(void *arg, int shard)
{
	struct member *c = arg;

	c->calls[shard].cancelled = true;
	c->calls[shard].ends = AM_MIN(c->calls[shard].ends, am_clock_boot(c->clock) + S);
}

static bool
valid(const struct member *c)
{
	return am_clock_boot(c->clock) < am_shards_valid_until(c->shards);
}

static void
work(struct member *c)
{
	int64_t own = am_clock_boot(c->clock);

	for (int i = 0; i < SHARDS; i++) {
		if (c->calls[i].ends != 0 && own >= c->calls[i].ends) {
			c->calls[i].ends = 0;
			am_shards_ended(c->shards);
		}
		if (c->calls[i].ends == 0 && c->life == ALIVE && valid(c) && am_shards_owns(c->shards, i) && dice(20) == 0) {
			ck_assert(c->has_work[i]);
			c->calls[i].ends = own + 1 + (int64_t)dice(dice(10) == 0 ? 45 : 3) * S;
			c->calls[i].cancelled = false;
		}
	}
}

static bool
may_write(const struct member *c, int shard)
{
	if ((c->life != ALIVE && c->life != LEAVING) || c->frozen_until != 0 || !valid(c))
		return false;
	return am_shards_owns(c->shards, shard) ||
	       (c->calls[shard].ends != 0 && !c->calls[shard].cancelled);
}

static void
on_done(void *arg)
{
	((struct member *)arg)->stopped = true;
}

static void
leave(struct member *c)
{
	bool busy = false;

	if (c->life == ALIVE) {
		am_shards_leave(c->shards);
		c->life = LEAVING;
		return;
	}
	for (int i = 0; i < SHARDS; i++)
		busy = busy || c->calls[i].ends != 0;
	if (c->life == LEAVING && !busy) {
		c->life = STOPPING;
		am_shards_stop(c->shards, on_done, c);
	}
	if (c->life == STOPPING && c->stopped)
		c->life = GONE;
}

static void
run(struct member *c)
{
	int64_t own = (int64_t)((double)STEP * c->rate);

	if (c->frozen_until != 0) {
		c->missed += own;
		if (true_now < c->frozen_until)
			return;
		c->frozen_until = 0;
		am_clock_fake_advance(c->clock, c->missed); /* it wakes up: time has passed, nothing has run */
		c->missed = 0;
		return;
	}
	fake_io_advance(c->io, own);
	work(c);
	if (c->life == LEAVING || c->life == STOPPING)
		leave(c);
}

static void
join(struct member *c, int number)
{
	struct am_shards_options o = { .ns = "n", .name = "l", .identity = c->identity, .shards = SHARDS, .started = on_started,
				       .stopped = on_stopped, .gained = on_gained, .idle = on_idle, .hurry = on_hurry, .arg = c };

	(void)snprintf(c->identity, sizeof(c->identity), "m%d", number);
	c->rate = playing % 2 == 0 ? (number % 2 == 0 ? 0.8 : 1.2) : 0.8 + 0.01 * (double)dice(41);
	c->clock = am_clock_fake_new();
	c->io = fake_io_new(c->clock);
	ck_assert_int_eq(am_shards_new(c->io, &o, &c->shards, NULL), 0);
	am_shards_start(c->shards);
	c->life = ALIVE;
}

static int
count(enum life life)
{
	int n = 0;

	for (int i = 0; i < MEMBERS; i++)
		n += all[i].life == life;
	return n;
}

static void
trouble(struct member *c, int number)
{
	if (c->life == ABSENT && dice(1500) == 0)
		join(c, number);
	if (c->life != ALIVE)
		return;
	if (dice(c->cut ? 150 : 800) == 0)
		c->cut = !c->cut;
	if (c->frozen_until == 0 && dice(1500) == 0)
		c->frozen_until = true_now + (int64_t)dice(60) * S;
	if (count(ALIVE) > 2 && dice(4000) == 0)
		leave(c);
	else if (count(ALIVE) > 2 && dice(4000) == 0) {
		c->frozen_until = FOREVER_FROZEN;
		c->life = DEAD;
	}
}

static void
step(bool well)
{
	true_now += STEP;
	for (int i = 0; i < MEMBERS; i++) {
		struct member *c = &all[i];

		if (!well)
			trouble(c, i);
		if (c->life == ABSENT || c->life == GONE)
			continue;
		run(c);
		network(c, well);
	}
	for (int shard = 0; shard < SHARDS; shard++) {
		int writers = 0;

		for (int i = 0; i < MEMBERS; i++) {
			bool may = may_write(&all[i], shard);
			writers += may;
			note_number(may);
		}
		for (int i = 0; writers > 1 && i < MEMBERS; i++) {
			const struct member *c = &all[i];
			if (may_write(c, shard))
				(void)fprintf(stderr, "# m%d: %s, owns %d, holds %d, call until %lld of %lld, cancelled %d, valid until %lld, rate %.2f\n", i,
				       c->life == LEAVING ? "leaving" : "alive", am_shards_owns(c->shards, shard),
				       am_shards_holds(c->shards, shard), (long long)(c->calls[shard].ends / MS),
				       (long long)(am_clock_boot(c->clock) / MS), c->calls[shard].cancelled,
				       (long long)(am_shards_valid_until(c->shards) / MS), c->rate);
		}
		ck_assert_msg(writers <= 1, "seed %llu: two may write in shard %d at %lld ms", (unsigned long long)playing, shard,
			      (long long)(true_now / MS));
	}
}

static void
check_owners(void)
{
	for (int shard = 0; shard < SHARDS; shard++) {
		uint64_t best = 0;
		int owner = -1, owners = 0;

		for (int i = 0; i < MEMBERS; i++) {
			if (all[i].life != ALIVE)
				continue;
			if (may_write(&all[i], shard))
				owners++;
			if (owner < 0 || shard_weight(all[i].identity, shard) > best) {
				owner = i;
				best = shard_weight(all[i].identity, shard);
			}
		}
		ck_assert_msg(owners == 1 && may_write(&all[owner], shard), "seed %llu: shard %d has %d owners at the end",
			      (unsigned long long)playing, shard, owners);
	}
}

static void
bury(struct member *c)
{
	if (c->life == ABSENT)
		return;
	if (c->life != GONE) {
		c->stopped = false;
		am_shards_stop(c->shards, on_done, c);
		while (fake_io_open(c->io) != 0)
			fake_io_answer(c->io, 404, "{}");
		ck_assert(c->stopped || c->life == STOPPING);
	}
	am_shards_free(c->shards);
	fake_io_free(c->io);
	am_clock_fake_free(c->clock);
	for (size_t i = 0; i < c->message_count; i++)
		message_fini(&c->messages[i]);
}

static void
play(uint64_t seed)
{
	playing = state = seed;
	fake_random_seed(seed);
	true_now = 0;
	version = uids = 0;
	trace = UINT64_C(0xcbf29ce484222325);
	memset(all, 0, sizeof(all));
	for (int i = 0; i < 3; i++)
		join(&all[i], i);
	for (int i = 0; i < 400 * 20; i++)
		step(false);
	for (int i = 0; i < MEMBERS; i++) {
		all[i].cut = false;
		if (all[i].life != DEAD)
			all[i].frozen_until = all[i].frozen_until != 0 ? true_now : 0;
	}
	for (int i = 0; i < 120 * 20; i++)
		step(true);
	check_owners();
	for (int i = 0; i < MEMBERS; i++)
		bury(&all[i]);
	while (lease_count != 0)
		lease_remove(&leases[0]);
}

START_TEST(never_two_eventually_one)
{
	const char *one = getenv("AMBIENT_SEED");
	uint64_t from = one != NULL ? strtoull(one, NULL, 10) : 1, to = one != NULL ? from : (uint64_t)unit_rounds(40);

	am_log_set_level(getenv("AMBIENT_SEED") != NULL ? AMBIENT_LOG_DEBUG : 0);
	for (uint64_t seed = from; seed <= to; seed++)
		play(seed);
	printf("# seeds %d to %d: %d times a shard was taken, %d leases were removed by others\n", (int)from, (int)to, handovers, fences);
	ck_assert_int_ge(handovers, SHARDS);
}
END_TEST

START_TEST(a_seed_is_a_play)
{
	uint64_t traces[4];

	am_log_set_level(0);
	for (uint64_t seed = 1; seed <= AM_COUNTOF(traces); seed++) {
		play(seed);
		traces[seed - 1] = trace;
		ck_assert(seed == 1 || traces[seed - 1] != traces[seed - 2]);
	}
	for (uint64_t seed = AM_COUNTOF(traces); seed >= 1; seed--) { /* whatever was played before */
		play(seed);
		ck_assert_msg(trace == traces[seed - 1], "seed %llu was played in another way", (unsigned long long)seed);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, a_seed_is_a_play);
	tcase_add_test(tc, never_two_eventually_one);
}

UNIT_MAIN("shards_model", cases)
