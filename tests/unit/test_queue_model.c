/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/queue against a model: random operations on few names, each answer and each size compared with what a table and
 * loops over it say.  A run is a seed; AMBIENT_SEED=N repeats one, AMBIENT_SCALE=N makes N times as many.
 */
#include <string.h>

#include "core/queue/queue.h"
#include "tests/lib/unit.h"

#define MS     AM_NS_PER_MS
#define NAMES  14
#define SPACES 4
#define STEPS  1500

struct name {
	char ns[16], name[16];
	int space, priority;
	bool ready, delayed, processing, again;
	unsigned failures, runs;
	uint64_t round, seq;
	int64_t ready_at, backoff_until;
	const struct am_queue_item *item; /* while processing */
};

static const int priorities[] = {AM_QUEUE_LOW, AM_QUEUE_NORMAL, AM_QUEUE_NORMAL, AM_QUEUE_NORMAL, 7};

static struct {
	struct name names[NAMES];
	uint64_t last[SPACES][2001], under_way[2001]; /* rounds, by priority + 1000 */
	uint64_t seq;
} m;
static struct am_clock *fake;
static struct am_queue *q;
static unsigned long long state, seed;
static int step;

#define SAME(what, real, model)                                                                                        \
	ck_assert_msg((real) == (model), "seed %llu, step %d: %s is %lld, the model says %lld", seed, step, what,      \
		      (long long)(real), (long long)(model))

static unsigned
draw(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

static int64_t
now(void)
{
	return am_clock_boot(fake);
}

/* ---- the model */

static void
push(struct name *n)
{
	uint64_t *last = &m.last[n->space][n->priority + 1000];

	n->ready = true;
	n->round = AM_MAX(*last + 1, m.under_way[n->priority + 1000]);
	*last = n->round;
	n->seq = ++m.seq;
}

static void
want(struct name *n, int priority)
{
	if (n->ready || n->again) {
		if (priority > n->priority) {
			n->priority = priority;
			if (n->ready)
				push(n);
		}
		return;
	}
	n->priority = n->delayed ? AM_MAX(priority, n->priority) : priority;
	n->delayed = false;
	if (n->processing)
		n->again = true;
	else
		push(n);
}

static void
want_at(struct name *n, int priority, int64_t at)
{
	if (n->ready || n->again) {
		want(n, priority);
		return;
	}
	n->ready_at = n->delayed ? AM_MIN(at, n->ready_at) : at;
	n->priority = n->delayed ? AM_MAX(priority, n->priority) : priority;
	n->delayed = true;
	n->seq = ++m.seq;
}

/* What is due, in the order of its time. */
static void
mature(void)
{
	for (;;) {
		struct name *first = NULL;

		for (struct name *n = m.names; n < m.names + NAMES; n++) {
			if (n->delayed && n->ready_at <= now() &&
			    (first == NULL || n->ready_at < first->ready_at ||
			     (n->ready_at == first->ready_at && n->seq < first->seq)))
				first = n;
		}
		if (first == NULL)
			return;
		want(first, first->priority);
	}
}

static struct name *
next(void)
{
	struct name *best = NULL;

	for (struct name *n = m.names; n < m.names + NAMES; n++) {
		if (!n->ready)
			continue;
		if (best == NULL || n->priority > best->priority ||
		    (n->priority == best->priority &&
		     (n->round < best->round || (n->round == best->round && n->seq < best->seq))))
			best = n;
	}
	return best;
}

/* ---- both */

static void
get(void)
{
	const struct am_queue_item *item = am_queue_get_until(q, 0);
	struct name *n;

	mature();
	n = next();
	ck_assert_msg((item == NULL) == (n == NULL), "seed %llu, step %d: got %s, the model says %s", seed, step,
		      item != NULL ? item->name : "none", n != NULL ? n->name : "none");
	if (n == NULL)
		return;
	ck_assert_msg(strcmp(item->name, n->name) == 0 && strcmp(item->ns, n->ns) == 0,
		      "seed %llu, step %d: got %s, the model says %s", seed, step, item->name, n->name);
	SAME("its priority", item->priority, n->priority);
	SAME("its failures", item->failures, n->failures);
	n->ready = false;
	n->processing = true;
	n->item = item;
	n->runs++;
	m.under_way[n->priority + 1000] = AM_MAX(m.under_way[n->priority + 1000], n->round);
}

static void
done(struct name *n)
{
	if (!n->processing)
		return;
	am_queue_done(q, n->item);
	n->processing = false;
	if (n->again) {
		n->again = false;
		push(n);
	}
}

static void
fail_it(struct name *n, int priority)
{
	int64_t delay = am_queue_add_backoff(q, n->ns, n->name, priority), wait = 5 * MS;

	if (n->failures == 0 || now() >= n->backoff_until) {
		for (unsigned i = 0; i < n->failures; i++)
			wait = AM_MIN(2 * wait, 1000 * AM_NS_PER_S);
		n->backoff_until = now() + wait;
		n->failures++;
	}
	SAME("the delay", delay, n->backoff_until - now());
	want_at(n, priority, n->backoff_until);
}

static void
seen(void *arg, const struct am_queue_view *view)
{
	const struct name *n = arg;
	const char *expected = n->processing ? n->again ? "processing, again" : "processing"
			       : n->ready    ? "ready"
			       : n->delayed  ? "delayed"
					     : "idle";

	ck_assert_msg(strcmp(view->state, expected) == 0, "seed %llu, step %d: %s is %s, the model says %s", seed, step,
		      n->name, view->state, expected);
	SAME("the number of runs", view->runs, n->runs);
}

static void
compare(void)
{
	size_t ready = 0, delayed = 0, processing = 0, known = 0;

	mature();
	for (struct name *n = m.names; n < m.names + NAMES; n++) {
		ready += n->ready;
		delayed += n->delayed;
		processing += n->processing;
		known += n->ready || n->delayed || n->processing || n->failures != 0;
		SAME("failures", am_queue_failures(q, n->ns, n->name), n->failures);
		if (!am_queue_look(q, n->ns, n->name, seen, n))
			SAME("the number of runs of a name that is not known", 0, n->runs);
	}
	SAME("ready", am_queue_len(q), ready);
	SAME("delayed", am_queue_delayed(q), delayed);
	SAME("processing", am_queue_processing(q), processing);
	SAME("known", am_queue_known(q), known);
}

static void
turn(void)
{
	struct name *n = &m.names[draw(NAMES)];
	int priority = priorities[draw(AM_COUNTOF(priorities))];
	int64_t delay = (int64_t)draw(40) * MS - 2 * MS;

	/* The queue looks at the clock when it is asked, so the model may have to be told what is due first. */
	switch (draw(8)) {
	case 0:
	case 1:
		am_queue_add(q, n->ns, n->name, priority);
		want(n, priority);
		break;
	case 2:
		am_queue_add_after(q, n->ns, n->name, priority, delay);
		if (delay <= 0)
			want(n, priority);
		else
			want_at(n, priority, now() + delay);
		break;
	case 3:
		fail_it(n, priority);
		break;
	case 4:
		am_queue_forget(q, n->ns, n->name);
		n->failures = 0;
		break;
	case 5:
		get();
		break;
	case 6:
		done(n);
		break;
	default:
		am_clock_fake_advance(fake, (int64_t)draw(30) * MS);
		break;
	}
}

static void
run(void)
{
	memset(&m, 0, sizeof(m));
	state = seed;
	fake = am_clock_fake_new();
	q = am_queue_new(NULL, fake);
	for (int i = 0; i < NAMES; i++) {
		m.names[i].space = (int)draw(SPACES);
		(void)snprintf(m.names[i].ns, sizeof(m.names[i].ns), "ns%d", m.names[i].space);
		(void)snprintf(m.names[i].name, sizeof(m.names[i].name), "n%d", i);
	}
	for (step = 0; step < STEPS; step++) {
		turn();
		compare();
	}
	for (int i = 0; i < NAMES; i++)
		done(&m.names[i]);
	am_queue_free(q);
	am_clock_fake_free(fake);
}

START_TEST(the_queue_does_what_the_model_says)
{
	const char *given = getenv("AMBIENT_SEED"), *scale = getenv("AMBIENT_SCALE");
	int runs = 25 * (scale != NULL && atoi(scale) > 1 ? atoi(scale) : 1);

	for (int i = 1; i <= (given != NULL ? 1 : runs); i++) {
		seed = given != NULL ? strtoull(given, NULL, 10) : (unsigned long long)i * 0x9e3779b97f4a7c15u;
		run();
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, the_queue_does_what_the_model_says);
}

UNIT_MAIN("queue_model", cases)
