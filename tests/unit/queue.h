/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of core/queue on one thread share: a queue on a fake clock, and short words for what is done with it. */
#ifndef TESTS_UNIT_QUEUE_H
#define TESTS_UNIT_QUEUE_H

#include <string.h>

#include "core/base/buf.h"
#include "core/base/counter.h"
#include "core/queue/queue.h"
#include "tests/lib/unit.h"

#define MS AM_NS_PER_MS
#define S  AM_NS_PER_S

static struct am_clock *test_clock;
static struct am_queue *q;

static am_unused_ void
setup(void)
{
	test_clock = am_clock_fake_new();
	q = am_queue_new(NULL, test_clock);
}

static am_unused_ void
teardown(void)
{
	am_queue_free(q);
	am_clock_fake_free(test_clock);
}

static am_unused_ void
add(const char *name)
{
	am_queue_add(q, "ns", name, AM_QUEUE_NORMAL);
}

static am_unused_ void
later(const char *name, int64_t delay)
{
	am_queue_add_after(q, "ns", name, AM_QUEUE_NORMAL, delay);
}

/* The next item without waiting, NULL when none is ready. */
static am_unused_ const struct am_queue_item *
take(void)
{
	return am_queue_get_until(q, 0);
}

static am_unused_ const struct am_queue_item *
take_named(const char *name)
{
	const struct am_queue_item *item = take();

	ck_assert_msg(item != NULL, "expected %s, got nothing", name);
	ck_assert_str_eq(item->name, name);
	ck_assert_str_eq(item->ns, "ns");
	return item;
}

static am_unused_ void
finish(const char *name)
{
	am_queue_done(q, take_named(name));
}

#endif
