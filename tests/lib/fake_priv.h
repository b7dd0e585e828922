/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by fake_host.c and fake_object.c. */
#ifndef TESTS_LIB_FAKE_PRIV_H
#define TESTS_LIB_FAKE_PRIV_H

#include <pthread.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "core/data/object.h"
#include "tests/lib/fake_host.h"

#define FAKE_MAX 64

/* One version of an object: its text, as clients get it, and the same as a tree, for the store's own use. */
struct fake_object {
	struct am_arena *arena;
	const struct am_node *node;
	struct am_buf text;
	int refs; /* atomic */
};

struct fake_call {
	struct am_call_head head;
	struct fake_host *fake;
	const char *owner_kind, *owner_ns, *owner_name;
};

struct ambient_conf {
	const struct am_node *node;
	const struct ambient_option *const *options;
	struct am_arena *arena;
};

struct fake_host {
	struct ambient_host host;
	const struct ambient_plugin *plugin;
	void *self;
	pthread_mutex_t lock;
	struct am_arena *arena;
	struct am_map *objects;       /* "kind ns name" -> struct fake_object */
	struct am_map *past;          /* what was remembered, or NULL */
	bool lags;                    /* the cache shows the past */
	struct am_map *facts;
	struct am_map *calls;         /* "verb kind" -> count */
	int64_t revision, boot, wall;
	int32_t cancelled;
	struct ambient_conf conf;
	struct { char verb[16]; const char *kind; int code, left; } fails[FAKE_MAX];
	size_t fail_count;
	struct am_buf log;
	const char *events[1024];
	size_t event_count;
	const char *queue[1024];
	size_t queue_head, queue_tail;
	const char *answers[16];
	size_t answer;
	const char *plan_type, *plan_fragment, *plan_problems;
};

static inline struct fake_host *
fake_of_host(const struct ambient_host *host)
{
	return AM_CONTAINER((uintptr_t)host, struct fake_host, host);
}

static inline struct fake_call *
fake_of_call(struct ambient_call *call)
{
	return (struct fake_call *)(void *)call;
}

static inline void
fake_lock(struct fake_host *fake)
{
	pthread_mutex_lock(&fake->lock);
}

static inline void
fake_unlock(struct fake_host *fake)
{
	pthread_mutex_unlock(&fake->lock);
}

/* The store; the lock is held. */
struct fake_object *fake_lookup(struct fake_host *fake, const char *kind, const char *ns, const char *name);
/* Takes node (of arena), gives it what a server would, and stores a copy. */
struct fake_object *fake_store(struct fake_host *fake, const char *kind, struct am_arena *arena, struct am_node *node);
void fake_drop(struct fake_host *fake, const char *kind, const char *ns, const char *name);
/* An object with a deletionTimestamp and without finalizers is gone, unless it is a pod with grace left. */
bool fake_finish_delete(struct fake_host *fake, const char *kind, const struct am_node *node);

extern const struct ambient_cache_api fake_cache_api;
extern const struct ambient_client_api fake_client_api;

struct fake_object *fake_object_of(const struct am_node *node); /* a copy, one reference */
void fake_object_unref(void *obj);
/* As an object of the call. */
const struct ambient_object *fake_call_hold(struct fake_call *call, struct fake_object *obj);
struct am_arena *fake_call_arena(struct fake_call *call);

#endif
