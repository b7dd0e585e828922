/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named locks and threads.  A lock knows its name and its owner, so that "I hold this lock" is an assertion.
 * Threads have names, a set stack, every signal blocked, and are joined.
 */
#ifndef AM_BASE_LOCK_H
#define AM_BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/attr.h"

struct am_lock {
	pthread_mutex_t mutex;
	const char *name;
	_Atomic(uint64_t) owner; /* thread id, 0: free */
};

void am_lock_init(struct am_lock *lock, const char *name); /* name: static, "queue", "store" */
void am_lock_fini(struct am_lock *lock);
void am_lock(struct am_lock *lock);
void am_unlock(struct am_lock *lock);
void am_lock_assert(const struct am_lock *lock);           /* held by this thread */

struct am_thread;
/* stack 0: 512 KiB.  Returns NULL with errno when the system refuses. */
struct am_thread *am_thread_new(const char *name, size_t stack, void (*fn)(void *), void *arg) am_nodiscard_;
void am_thread_join(struct am_thread *thread);             /* frees it; NULL is fine */

#endif
