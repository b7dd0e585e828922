/* SPDX-License-Identifier: Apache-2.0 */
/* Named locks and joined threads. */
#include "core/base/lock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

#define DEFAULT_STACK (512 * 1024)

static uint64_t
self(void)
{
	return (uint64_t)pthread_self();
}

/* Only "is it me?" is ever asked, and a thread sees its own stores in their order: the mutex orders everything else. */
static uint64_t
owner(const struct am_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed);
}

static void
set_owner(struct am_lock *lock, uint64_t thread)
{
	atomic_store_explicit(&lock->owner, thread, memory_order_relaxed);
}

void
am_lock_init(struct am_lock *lock, const char *name)
{
	(void)pthread_mutex_init(&lock->mutex, NULL);
	lock->name = name;
	atomic_store(&lock->owner, 0);
}

void
am_lock_fini(struct am_lock *lock)
{
	(void)pthread_mutex_destroy(&lock->mutex);
}

void
am_lock(struct am_lock *lock)
{
	am_assert(owner(lock) != self());
	int rc = pthread_mutex_lock(&lock->mutex);
	am_assert(rc == 0);
	set_owner(lock, self());
}

void
am_unlock(struct am_lock *lock)
{
	am_lock_assert(lock);
	set_owner(lock, 0);
	int rc = pthread_mutex_unlock(&lock->mutex);
	am_assert(rc == 0);
}

void
am_lock_assert(const struct am_lock *lock)
{
	am_assert(owner(lock) == self());
}

struct am_thread {
	pthread_t id;
	char name[16];
	void (*fn)(void *);
	void *arg;
};

static void *
run(void *arg)
{
	struct am_thread *thread = arg;

	(void)pthread_setname_np(pthread_self(), thread->name);
	thread->fn(thread->arg);
	return NULL;
}

struct am_thread *
am_thread_new(const char *name, size_t stack, void (*fn)(void *), void *arg)
{
	struct am_thread *thread = am_xcalloc(1, sizeof(*thread));
	pthread_attr_t attr;
	sigset_t all, before;

	(void)strncpy(thread->name, name, sizeof(thread->name) - 1);
	thread->fn = fn;
	thread->arg = arg;
	(void)pthread_attr_init(&attr);
#ifndef AM_SANITIZED
	(void)pthread_attr_setstacksize(&attr, stack != 0 ? stack : DEFAULT_STACK);
#endif
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread->id, &attr, run, thread);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	if (rc != 0) {
		free(thread);
		errno = rc;
		return NULL;
	}
	return thread;
}

void
am_thread_join(struct am_thread *thread)
{
	if (thread == NULL)
		return;
	(void)pthread_join(thread->id, NULL);
	free(thread);
}
