/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_queue: what the work queue costs, with its metrics, as in the daemon: add, get and done of one name on one
 * thread and on several; the same with many names waiting; and a storm of updates over few names with workers behind
 * it, with the memory that it leaves.  Prints medians; asserts nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/lock.h"
#include "core/base/util.h"
#include "core/queue/queue.h"

#define TURNS   9
#define OPS     200000
#define THREADS 8
#define NAMES   1000
#define TENANTS 10
#define WAITING 100000
#define STORM   1000000

static struct am_queue *queue;
static char names[NAMES][24], spaces[TENANTS][24];
static double taken[TURNS], used[TURNS]; /* wall clock and processor time of one round, in ns */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *values)
{
	qsort(values, TURNS, sizeof(values[0]), compare);
	return values[TURNS / 2];
}

static double
processor_ns(void)
{
	struct rusage use;

	(void)getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e9 +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e3;
}

static int64_t
now(void)
{
	return am_clock_boot(am_clock_real());
}

static long
resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f != NULL)
		(void)fclose(f);
	return pages * sysconf(_SC_PAGESIZE) / 1024;
}

/* Names of another thread may be got; one that was collapsed with its like leaves a turn without any. */
static void
rounds(void *arg)
{
	unsigned i = *(const unsigned *)arg;

	for (unsigned end = i + OPS; i < end; i++) {
		const struct am_queue_item *item;

		am_queue_add(queue, spaces[i % TENANTS], names[i % NAMES], AM_QUEUE_NORMAL);
		item = am_queue_get_until(queue, 0);
		if (item != NULL)
			am_queue_done(queue, item);
	}
}

static void
print(const char *what)
{
	(void)printf("%-48s %6.0f ns, of a processor %6.0f ns\n", what, median(taken), median(used));
	(void)fflush(stdout);
}

static void
measure(const char *what, int threads)
{
	struct am_thread *ids[THREADS];
	unsigned starts[THREADS];

	for (int turn = 0; turn < TURNS; turn++) {
		double used_before = processor_ns();
		int64_t begun = now();

		for (int i = 0; i < threads; i++) {
			starts[i] = (unsigned)i * (NAMES / THREADS);
			ids[i] = am_thread_new("bench", 0, rounds, &starts[i]);
			if (ids[i] == NULL)
				exit(1);
		}
		for (int i = 0; i < threads; i++)
			am_thread_join(ids[i]);
		taken[turn] = (double)(now() - begun) / ((double)OPS * threads);
		used[turn] = (processor_ns() - used_before) / ((double)OPS * threads);
	}
	print(what);
}

static void
fill(void)
{
	char name[32];

	for (int i = 0; i < WAITING; i++) {
		(void)snprintf(name, sizeof(name), "waiting-%d", i);
		am_queue_add(queue, spaces[i % TENANTS], name, AM_QUEUE_LOW);
	}
}

static void
worker(void *arg)
{
	const struct am_queue_item *item;
	long *done = arg;

	while ((item = am_queue_get(queue)) != NULL) {
		++*done;
		am_queue_done(queue, item);
	}
}

static void
update(unsigned i)
{
	char old[16], new[16];

	(void)snprintf(old, sizeof(old), "%u", i);
	(void)snprintf(new, sizeof(new), "%u", i + 1);
	am_queue_add_for(queue, spaces[i % TENANTS], names[i % NAMES], AM_QUEUE_NORMAL, 0,
			 &(struct am_cause){.type = AM_CAUSE_CHANGED,
					    .kind = "v1/pods",
					    .ns = spaces[i % TENANTS],
					    .name = "pod",
					    .old_rv = old,
					    .new_rv = new});
}

static void
storm(void)
{
	struct am_thread *workers[2];
	long done[2] = {0, 0}, before, after;
	int64_t begun;

	for (int i = 0; i < 2; i++)
		workers[i] = am_thread_new("worker", 0, worker, &done[i]);
	for (unsigned i = 0; i < 100 * NAMES; i++) /* every name has been there some times */
		update(i);
	while (am_queue_len(queue) + am_queue_processing(queue) != 0)
		(void)usleep(1000);
	before = resident();
	begun = now();
	for (unsigned i = 0; i < STORM; i++)
		update(i);
	double per = (double)(now() - begun) / STORM;
	while (am_queue_len(queue) + am_queue_processing(queue) != 0)
		(void)usleep(1000);
	after = resident();
	am_queue_shutdown(queue);
	for (int i = 0; i < 2; i++)
		am_thread_join(workers[i]);
	(void)printf(
		"storm: %d updates over %d names, 2 workers  %6.0f ns per update, %ld runs, memory %ld -> %ld KiB\n",
		STORM, NAMES, per, done[0] + done[1], before, after);
}

static void
fresh(void)
{
	am_queue_free(queue);
	queue = am_queue_new("bench", am_clock_real());
}

int
main(void)
{
	for (int i = 0; i < NAMES; i++)
		(void)snprintf(names[i], sizeof(names[i]), "session-%d", i);
	for (int i = 0; i < TENANTS; i++)
		(void)snprintf(spaces[i], sizeof(spaces[i]), "team-%d", i);
	(void)printf("queue, medians of %d, %ld processors\n", TURNS, sysconf(_SC_NPROCESSORS_ONLN));
	fresh();
	measure("add+get+done, one thread", 1);
	fresh();
	measure("add+get+done, 8 threads", THREADS);
	fresh();
	fill();
	measure("add+get+done, one thread, 100,000 others wait", 1);
	fresh();
	storm();
	am_queue_free(queue);
	return 0;
}
