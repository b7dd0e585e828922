/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time.  Everything that measures or waits goes through a clock, so that tests can hold the hands.  Times are
 * int64_t nanoseconds.  boot is CLOCK_BOOTTIME: deadlines and leases (a suspended machine must notice); wall
 * is for display and for the API only.  A fake clock starts at boot = 1,000 s, wall = 2026-01-01T00:00:00Z
 * and moves only when told; waits on it end when it is moved past their deadline.
 */
#ifndef AM_BASE_CLOCK_H
#define AM_BASE_CLOCK_H

#include <pthread.h>

#include "core/base/attr.h"

#define AM_NS_PER_S  INT64_C(1000000000)
#define AM_NS_PER_MS INT64_C(1000000)
#define AM_FOREVER   INT64_MAX

struct am_clock;

struct am_clock *am_clock_real(void);                           /* one per process, never freed */
struct am_clock *am_clock_fake_new(void) am_nodiscard_;
void am_clock_fake_free(struct am_clock *clock);
void am_clock_fake_advance(struct am_clock *clock, int64_t ns); /* wakes every wait that is due */
void am_clock_fake_set_wall(struct am_clock *clock, int64_t ns);
/* Waits (in real time, at most 5 s) until n threads wait on the fake clock; false when they do not come. */
bool am_clock_fake_wait_waiters(struct am_clock *clock, int n);

#ifdef AM_TEST_HOOKS
/* Moves the real clock of this process ahead; only in builds with --enable-test-hooks. */
void am_clock_hook_advance(int64_t ns);
#endif

int64_t am_clock_boot(struct am_clock *clock);
int64_t am_clock_wall(struct am_clock *clock);
int64_t am_clock_monotonic(void);                                /* CLOCK_MONOTONIC, for whom other programs compare it with */
int64_t am_clock_thread_cpu(void);                               /* processor time of the calling thread, ns */

/* A condition bound to a clock.  wait returns false when deadline (boot time, AM_FOREVER: none) has passed.
 * Spurious returns of true are possible, as always. */
struct am_cond {
	pthread_cond_t cond;
	struct am_clock *clock;
	struct am_cond *next_waiter; /* the fake clock's list */
	int waiting;
};
void am_cond_init(struct am_cond *cond, struct am_clock *clock);
void am_cond_fini(struct am_cond *cond);
struct am_lock;
bool am_cond_wait(struct am_cond *cond, struct am_lock *lock, int64_t deadline);
void am_cond_signal(struct am_cond *cond);
void am_cond_broadcast(struct am_cond *cond);

/* RFC 3339: "2026-01-01T00:00:00Z" and, with micro, "…T00:00:00.000000Z".  buf holds 32 bytes. */
void am_time_format(char buf[32], int64_t wall_ns, bool micro);
int am_time_parse(const char *s, int64_t *ret_wall_ns);         /* 0 or -AMBIENT_E_INVALID */
/* "5s", "3m20s", "2h", "4d" as kubectl prints ages.  buf holds 16 bytes. */
void am_duration_format(char buf[16], int64_t ns);

#endif
