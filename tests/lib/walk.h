/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of an object to its ends, walked undisturbed and disturbed at every point: the daemon dies after any of its writes,
 * comes back with a cache that is as old as any of them, or hears of several events as one.  The end has to be that of the
 * undisturbed way, in the words that the test finds for it.
 */
#ifndef TESTS_LIB_WALK_H
#define TESTS_LIB_WALK_H

#include <string.h>

#include "tests/lib/cut.h"
#include "tests/lib/unit.h"

#define WALK_STEPS    12
#define WALK_END_SIZE (256 * 1024)
#define WALK_LOOKS    4  /* of a daemon with an old cache */

enum disturbance { UNDISTURBED, CRASH, OLD_CACHE, BLIND };

struct walk {
	const char *name;
	void (*steps[WALK_STEPS])(void); /* what the world does; NULL ends them */
	unsigned blind;                  /* after which steps a look may be left out */
};

/* The reconciler that walks. */
struct walker {
	struct fake_host *(*begin)(const struct walk *walk);  /* a host whose client is cut (tests/lib/cut.h) */
	bool (*look)(void);                                   /* once, at all that there is; false: it failed */
	void (*settle)(void);                                 /* until nothing is written any more */
	/* Checks the end and writes down what is there, but for times and names that differ from way to way; ends the host. */
	void (*end)(const struct walk *walk, enum disturbance how, int n, char out[WALK_END_SIZE]);
	int least, most;                                      /* writes that a way has between two steps */
};

static inline void
walk_restart(struct fake_host *fake)
{
	fake_host_destroy(fake);
	(void)fake_host_create(fake);
}

/* After a step.  False: nothing was cut off. */
static inline bool
walk_look(const struct walker *w, struct fake_host *fake, enum disturbance how, int n)
{
	bool cut_off;

	writes_left = how == CRASH || how == OLD_CACHE ? n : -1;
	cut_off = !w->look() && writes_left == 0;
	writes_left = -1;
	if (how == CRASH)
		walk_restart(fake);
	if (how == OLD_CACHE)
		fake_host_remember(fake);
	w->settle();
	if (how != OLD_CACHE)
		return cut_off;
	/* A daemon that has just started, whose cache has not heard of what the last one wrote; what it tries may fail. */
	walk_restart(fake);
	fake_host_lag(fake, true);
	for (int i = 0; i < WALK_LOOKS; i++)
		(void)w->look();
	fake_host_lag(fake, false);
	w->settle();
	return cut_off;
}

/* n: the write at which it is cut off, or the steps after which nobody looks. */
static inline bool
walk_once(const struct walker *w, const struct walk *walk, enum disturbance how, int n, char out[WALK_END_SIZE])
{
	struct fake_host *fake = w->begin(walk);
	bool disturbed = false;

	for (size_t i = 0; i < WALK_STEPS && walk->steps[i] != NULL; i++) {
		walk->steps[i]();
		if (how != BLIND || (n & 1 << i) == 0)
			disturbed = walk_look(w, fake, how, n) || disturbed;
	}
	w->end(walk, how, n, out);
	return disturbed;
}

static inline bool
walk_same_end(const struct walker *w, const struct walk *walk, enum disturbance how, int n)
{
	static char want[WALK_END_SIZE], got[WALK_END_SIZE];
	bool disturbed;
	size_t at;

	(void)walk_once(w, walk, UNDISTURBED, 0, want);
	disturbed = walk_once(w, walk, how, n, got);
	for (at = 0; want[at] != '\0' && want[at] == got[at];)
		at++;
	at -= at < 60 ? at : 60;
	ck_assert_msg(strcmp(want, got) == 0, "%s (%d, %d): ends as\n%.300s\ninstead of\n%.300s", walk->name, how, n, got + at, want + at);
	return disturbed;
}

static inline void
walk_at_each_write(const struct walker *w, const struct walk *walk, enum disturbance how)
{
	int n = 0;

	while (n < w->most && walk_same_end(w, walk, how, n))
		n++;
	ck_assert_int_ge(n, w->least);
	ck_assert_int_lt(n, w->most);
}

static inline void
walk_blind(const struct walker *w, const struct walk *walk)
{
	for (unsigned some = walk->blind; some != 0; some = (some - 1) & walk->blind)
		(void)walk_same_end(w, walk, BLIND, (int)some);
}

#endif
