/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LE23 as a model: two candidates, each with a clock of its own that runs up to 20 % fast or slow, and one API server
 * behind a network that delays, loses requests and loses answers to writes that were applied; machines are suspended.
 * At no moment do both believe that they may write.  When the network is well again one of them leads.
 */
#include <string.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/data/scan.h"
#include "core/lead/lead.h"
#include "tests/lib/fake_io.h"
#include "tests/lib/fake_random.h"
#include "tests/lib/unit.h"

#define S    AM_NS_PER_S
#define MS   AM_NS_PER_MS
#define STEP (50 * MS)

struct candidate {
	struct am_clock *clock;
	struct am_io *io;
	struct am_lead *lead;
	double rate;
	bool cut;                /* no connection */
	int64_t frozen_until;    /* suspended: true time; 0: runs */
	int64_t missed;          /* of its own time, while frozen */
	size_t taken;            /* requests that the model knows of */
	bool busy, applied;      /* the last one waits; the server has seen it */
	int64_t apply_at, answer_at;
	int status;
	char *answer;
	int terms;
};

static struct candidate all[2];
static char *stored;             /* the Lease */
static int64_t version, now;     /* now: true time */
static uint64_t state;

static uint64_t
dice(uint64_t n)
{
	return fake_random_next(&state) % n;
}

static void
started(void *arg)
{
	((struct candidate *)arg)->terms++;
}

static void
stopped(void *arg)
{
}

/* ---- the API server */

static void
store_lease(const char *body)
{
	const char *spec = strstr(body, "\"spec\":");

	ck_assert_ptr_nonnull(spec);
	free(stored);
	stored = am_xasprintf("{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"%d\"},%s", (int)++version, spec);
}

static void
apply(struct candidate *c)
{
	const struct fake_request *r = fake_io_last(c->io);
	int64_t rv;

	free(c->answer);
	c->answer = NULL;
	c->applied = true;
	if (strcmp(r->method, "GET") == 0) {
		c->status = stored != NULL ? 200 : 404;
	} else if (strcmp(r->method, "POST") == 0) {
		c->status = stored != NULL ? 409 : 201;
	} else {
		char *s = am_json_dup(am_slice_of(r->body), "/metadata/resourceVersion");

		ck_assert_ptr_nonnull(s); /* never unconditional */
		rv = atoll(s);
		free(s);
		c->status = stored == NULL ? 404 : rv == version ? 200 : 409;
	}
	if (r->body != NULL && c->status < 300)
		store_lease(r->body);
	c->answer = am_xstrdup(c->status < 300 ? stored : "{}");
}

/* ---- the network */

static void
network(struct candidate *c)
{
	const struct fake_request *r;

	if (fake_io_open(c->io) == 0) {
		c->busy = false;
		return;
	}
	r = fake_io_last(c->io);
	if (!c->busy || c->taken != fake_io_count(c->io)) { /* a new one */
		c->busy = true;
		c->applied = false;
		c->taken = fake_io_count(c->io);
		c->apply_at = now + (int64_t)dice(3) * STEP;
		c->answer_at = c->apply_at + (int64_t)(dice(10) == 0 ? dice(80) : dice(3)) * STEP;
	}
	if (!c->applied && !c->cut && now >= c->apply_at)
		apply(c);
	if (c->applied && !c->cut && now >= c->answer_at && c->frozen_until == 0)
		fake_io_answer(c->io, c->status, c->answer);
	else if (am_clock_boot(c->clock) >= r->at + r->timeout_ns && c->frozen_until == 0)
		fake_io_fail(c->io, AMBIENT_E_TIMEOUT, 0);
}

static void
run(struct candidate *c)
{
	int64_t own = (int64_t)((double)STEP * c->rate);

	if (c->frozen_until != 0) {
		c->missed += own;
		if (now < c->frozen_until)
			return;
		c->frozen_until = 0;
		am_clock_fake_advance(c->clock, c->missed); /* it wakes up: time has passed, nothing has run */
		c->missed = 0;
		return;
	}
	fake_io_advance(c->io, own);
}

static void
trouble(struct candidate *c)
{
	if (dice(c->cut ? 200 : 600) == 0)
		c->cut = !c->cut;
	if (c->frozen_until == 0 && dice(2000) == 0)
		c->frozen_until = now + (int64_t)dice(30) * S;
}

static void
step(bool well)
{
	now += STEP;
	for (int i = 0; i < 2; i++) {
		if (!well)
			trouble(&all[i]);
		run(&all[i]);
		network(&all[i]);
		/* A process that is frozen executes nothing, so it asks nothing. */
		ck_assert_msg(all[0].frozen_until != 0 || all[1].frozen_until != 0 || !am_lead_valid(all[0].lead) ||
			      !am_lead_valid(all[1].lead), "both may write at %lld ms, rates %.2f %.2f",
			      (long long)(now / MS), all[0].rate, all[1].rate);
	}
}

static void
play(uint64_t seed)
{
	state = seed;
	fake_random_seed(seed);
	version = now = 0;
	for (int i = 0; i < 2; i++) {
		struct candidate *c = &all[i];
		struct am_lead_options o = { .ns = "n", .name = "l", .identity = i == 0 ? "a" : "b", .started = started,
					     .stopped = stopped, .arg = c };

		memset(c, 0, sizeof(*c));
		c->rate = 0.8 + 0.01 * (double)dice(41);
		c->clock = am_clock_fake_new();
		c->io = fake_io_new(c->clock);
		ck_assert_int_eq(am_lead_new(c->io, &o, &c->lead, NULL), 0);
		am_lead_start(c->lead);
	}
	if (seed % 2 == 0) { /* the worst */
		all[0].rate = 0.8;
		all[1].rate = 1.2;
	}
	for (int i = 0; i < 600 * 20; i++)
		step(false);
	all[0].cut = all[1].cut = false;
	for (int i = 0; i < 60 * 20; i++)
		step(true);
	ck_assert_int_eq(am_lead_valid(all[0].lead) + am_lead_valid(all[1].lead), 1);
	ck_assert_int_gt(all[0].terms + all[1].terms, 1);
	for (int i = 0; i < 2; i++) {
		am_lead_stop(all[i].lead, NULL, NULL);
		while (fake_io_open(all[i].io) != 0)
			fake_io_answer(all[i].io, 404, "");
		am_lead_free(all[i].lead);
		fake_io_free(all[i].io);
		am_clock_fake_free(all[i].clock);
		free(all[i].answer);
	}
	free(stored);
	stored = NULL;
}

START_TEST(LE23_04_never_two_leaders_that_may_write)
{
	am_log_set_level(0);
	for (uint64_t seed = 1, last = (uint64_t)unit_rounds(20); seed <= last; seed++)
		play(seed);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, LE23_04_never_two_leaders_that_may_write);
}

UNIT_MAIN("lead_model", cases)
