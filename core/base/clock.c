/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real clock and the fake one.
 *
 * A wait on the real clock sleeps on CLOCK_MONOTONIC and compares with CLOCK_BOOTTIME when it wakes: while the
 * machine is suspended the first stands still, so the sleep is cut into slices of at most a minute.
 * A wait on the fake clock sleeps until it is signalled; moving the clock broadcasts every condition that waits.
 */
#include "core/base/clock.h"

#include <ambient/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/lock.h"
#include "core/base/mem.h"

#ifdef AM_TEST_HOOKS
#define LONGEST_SLEEP (20 * AM_NS_PER_MS) /* so that a wait notices when the clock is moved */
#else
#define LONGEST_SLEEP (60 * AM_NS_PER_S)
#endif

struct am_clock {
	bool fake;
	/* The rest is the fake's, guarded by lock. */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a waiter came or the clock moved */
	int64_t boot, wall;
	struct am_cond *waiters;
	int waiting;
};

static struct am_clock real_clock;

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * AM_NS_PER_S + ts.tv_nsec;
}

int64_t
am_clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t
am_clock_thread_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

#ifdef AM_TEST_HOOKS
static _Atomic int64_t ahead;

void
am_clock_hook_advance(int64_t ns)
{
	ahead += ns;
}
#else
static const int64_t ahead = 0;
#endif

struct am_clock *
am_clock_real(void)
{
	return &real_clock;
}

struct am_clock *
am_clock_fake_new(void)
{
	struct am_clock *clock = am_xcalloc(1, sizeof(*clock));

	clock->fake = true;
	clock->boot = 1000 * AM_NS_PER_S;
	clock->wall = INT64_C(1767225600) * AM_NS_PER_S;
	(void)pthread_mutex_init(&clock->lock, NULL);
	(void)pthread_cond_init(&clock->changed, NULL);
	return clock;
}

void
am_clock_fake_free(struct am_clock *clock)
{
	if (clock == NULL)
		return;
	(void)pthread_mutex_destroy(&clock->lock);
	(void)pthread_cond_destroy(&clock->changed);
	free(clock);
}

void
am_clock_fake_advance(struct am_clock *clock, int64_t ns)
{
	(void)pthread_mutex_lock(&clock->lock);
	clock->boot += ns;
	clock->wall += ns;
	for (struct am_cond *c = clock->waiters; c != NULL; c = c->next_waiter)
		(void)pthread_cond_broadcast(&c->cond);
	(void)pthread_cond_broadcast(&clock->changed);
	(void)pthread_mutex_unlock(&clock->lock);
}

void
am_clock_fake_set_wall(struct am_clock *clock, int64_t ns)
{
	(void)pthread_mutex_lock(&clock->lock);
	clock->wall = ns;
	(void)pthread_mutex_unlock(&clock->lock);
}

bool
am_clock_fake_wait_waiters(struct am_clock *clock, int n)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	(void)pthread_mutex_lock(&clock->lock);
	while (clock->waiting < n && rc == 0)
		rc = pthread_cond_timedwait(&clock->changed, &clock->lock, &until);
	bool there = clock->waiting >= n;
	(void)pthread_mutex_unlock(&clock->lock);
	return there;
}

int64_t
am_clock_boot(struct am_clock *clock)
{
	if (!clock->fake)
		return read_clock(CLOCK_BOOTTIME) + ahead;
	(void)pthread_mutex_lock(&clock->lock);
	int64_t now = clock->boot;
	(void)pthread_mutex_unlock(&clock->lock);
	return now;
}

int64_t
am_clock_wall(struct am_clock *clock)
{
	if (!clock->fake)
		return read_clock(CLOCK_REALTIME) + ahead;
	(void)pthread_mutex_lock(&clock->lock);
	int64_t now = clock->wall;
	(void)pthread_mutex_unlock(&clock->lock);
	return now;
}

void
am_cond_init(struct am_cond *cond, struct am_clock *clock)
{
	pthread_condattr_t attr;

	memset(cond, 0, sizeof(*cond));
	cond->clock = clock;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&cond->cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

void
am_cond_fini(struct am_cond *cond)
{
	(void)pthread_cond_destroy(&cond->cond);
}

static void
enlist(struct am_clock *clock, struct am_cond *cond)
{
	(void)pthread_mutex_lock(&clock->lock);
	if (cond->waiting++ == 0) {
		cond->next_waiter = clock->waiters;
		clock->waiters = cond;
	}
	clock->waiting++;
	(void)pthread_cond_broadcast(&clock->changed);
	(void)pthread_mutex_unlock(&clock->lock);
}

static void
delist(struct am_clock *clock, struct am_cond *cond)
{
	(void)pthread_mutex_lock(&clock->lock);
	clock->waiting--;
	if (--cond->waiting == 0) {
		struct am_cond **at = &clock->waiters;
		while (*at != cond)
			at = &(*at)->next_waiter;
		*at = cond->next_waiter;
	}
	(void)pthread_mutex_unlock(&clock->lock);
}

/* An advance between the look at the clock and the wait would be lost if the waiter were not polled: the fake waits in
 * slices of real time, which costs nothing but is never what a test depends on. */
static bool
wait_fake(struct am_cond *cond, struct am_lock *lock, int64_t deadline)
{
	struct am_clock *clock = cond->clock;
	struct timespec slice;

	if (deadline != AM_FOREVER && am_clock_boot(clock) >= deadline)
		return false;
	enlist(clock, cond);
	(void)clock_gettime(CLOCK_MONOTONIC, &slice);
	slice.tv_nsec += 20 * AM_NS_PER_MS;
	if (slice.tv_nsec >= AM_NS_PER_S) {
		slice.tv_nsec -= AM_NS_PER_S;
		slice.tv_sec++;
	}
	(void)pthread_cond_timedwait(&cond->cond, &lock->mutex, &slice);
	delist(clock, cond);
	return deadline == AM_FOREVER || am_clock_boot(clock) < deadline;
}

static bool
wait_real(struct am_cond *cond, struct am_lock *lock, int64_t deadline)
{
	if (deadline == AM_FOREVER) {
		(void)pthread_cond_wait(&cond->cond, &lock->mutex);
		return true;
	}
	int64_t left = deadline - am_clock_boot(cond->clock);
	if (left <= 0)
		return false;
	int64_t at = read_clock(CLOCK_MONOTONIC) + AM_MIN(left, LONGEST_SLEEP);
	struct timespec ts = { .tv_sec = at / AM_NS_PER_S, .tv_nsec = at % AM_NS_PER_S };
	int rc = pthread_cond_timedwait(&cond->cond, &lock->mutex, &ts);
	return rc == 0 || am_clock_boot(cond->clock) < deadline;
}

bool
am_cond_wait(struct am_cond *cond, struct am_lock *lock, int64_t deadline)
{
	am_lock_assert(lock);
	uint64_t owner = atomic_exchange(&lock->owner, 0);
	bool in_time = cond->clock->fake ? wait_fake(cond, lock, deadline) : wait_real(cond, lock, deadline);
	atomic_store(&lock->owner, owner);
	return in_time;
}

void
am_cond_signal(struct am_cond *cond)
{
	(void)pthread_cond_signal(&cond->cond);
}

void
am_cond_broadcast(struct am_cond *cond)
{
	(void)pthread_cond_broadcast(&cond->cond);
}

void
am_time_format(char buf[32], int64_t wall_ns, bool micro)
{
	time_t s = wall_ns / AM_NS_PER_S;
	int64_t ns = wall_ns % AM_NS_PER_S;
	struct tm tm;

	if (ns < 0) {
		ns += AM_NS_PER_S;
		s--;
	}
	(void)gmtime_r(&s, &tm);
	size_t n = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	if (micro)
		(void)snprintf(buf + n, 32 - n, ".%06dZ", (int)(ns / 1000));
	else
		(void)snprintf(buf + n, 32 - n, "Z");
}

static bool
digits(const char *s, int n, int least, int most, int *ret)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*ret = v;
	return v >= least && v <= most;
}

int
am_time_parse(const char *s, int64_t *ret_wall_ns)
{
	struct tm tm = { 0 };
	int year, month, hours = 0, minutes = 0;
	int64_t ns = 0, scale = AM_NS_PER_S / 10, offset = 0;

	if (s == NULL || strnlen(s, 20) < 20 || !digits(s, 4, 0, 9999, &year) || s[4] != '-' || !digits(s + 5, 2, 1, 12, &month) ||
	    s[7] != '-' || !digits(s + 8, 2, 1, 31, &tm.tm_mday) || (s[10] != 'T' && s[10] != 't') ||
	    !digits(s + 11, 2, 0, 23, &tm.tm_hour) || s[13] != ':' || !digits(s + 14, 2, 0, 59, &tm.tm_min) || s[16] != ':' ||
	    !digits(s + 17, 2, 0, 60, &tm.tm_sec))
		return -AMBIENT_E_INVALID;
	const char *p = s + 19;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ns += (*p - '0') * scale;
	}
	if (*p == '+' || *p == '-') {
		if (strlen(p) != 6 || p[3] != ':' || !digits(p + 1, 2, 0, 23, &hours) || !digits(p + 4, 2, 0, 59, &minutes))
			return -AMBIENT_E_INVALID;
		offset = (hours * 60 + minutes) * 60 * (*p == '+' ? 1 : -1);
	} else if ((*p != 'Z' && *p != 'z') || p[1] != '\0') {
		return -AMBIENT_E_INVALID;
	}
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	int64_t seconds = (int64_t)timegm(&tm) - offset;
	if (__builtin_mul_overflow(seconds, AM_NS_PER_S, ret_wall_ns))
		return -AMBIENT_E_INVALID;
	*ret_wall_ns += ns;
	return 0;
}

void
am_duration_format(char buf[16], int64_t ns)
{
	int64_t s = ns < 0 ? 0 : ns / AM_NS_PER_S, m = s / 60, h = m / 60, d = h / 24;

	if (s < 120)
		(void)snprintf(buf, 16, "%ds", (int)s);
	else if (m < 10 && s % 60 != 0)
		(void)snprintf(buf, 16, "%dm%ds", (int)m, (int)(s % 60));
	else if (m < 180)
		(void)snprintf(buf, 16, "%dm", (int)m);
	else if (h < 8 && m % 60 != 0)
		(void)snprintf(buf, 16, "%dh%dm", (int)h, (int)(m % 60));
	else if (h < 48)
		(void)snprintf(buf, 16, "%dh", (int)h);
	else if (d < 8 && h % 24 != 0)
		(void)snprintf(buf, 16, "%dd%dh", (int)d, (int)(h % 24));
	else if (d < 2 * 365)
		(void)snprintf(buf, 16, "%dd", (int)d);
	else if (d < 8 * 365 && d % 365 != 0)
		(void)snprintf(buf, 16, "%dy%dd", (int)(d / 365), (int)(d % 365));
	else
		(void)snprintf(buf, 16, "%lldy", (long long)AM_MIN(d / 365, 99999999));
}
