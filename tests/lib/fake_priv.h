/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by fake_host.c and fake_object.c. */
#ifndef TESTS_LIB_FAKE_PRIV_H
#define TESTS_LIB_FAKE_PRIV_H

#include <pthread.h>

#include "core/base/clock.h"
#include "core/base/map.h"
#include "core/data/node.h"
#include "tests/lib/fake_host.h"

#define FAKE_MAX 64

/* A tree in an arena of its own; parts (at, item) live in the arena of their root and count there. */
struct fake_object {
	struct ambient_object head;
	struct fake_object *root; /* itself, for a root */
	struct am_arena *arena;
	const struct am_node *node;
	int refs;                 /* roots only; atomic */
};

/* One reference of a call; an object may be held by several calls, and twice by one. */
struct fake_hold {
	struct fake_object *object;
	struct fake_hold *next;
};

struct fake_draft {
	struct ambient_draft head;
	struct ambient_call *call;
	struct am_arena *arena;
	const char *kind;
	struct am_node *root;
	struct ambient_error err; /* code 0: fine so far */
	struct fake_draft *next;
};

struct fake_call {
	struct ambient_call head;
	struct fake_host *fake;
	struct am_arena *arena;
	struct fake_hold *held;
	struct fake_draft *drafts;
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
	return AM_CONTAINER(call, struct fake_call, head);
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
extern const struct ambient_object_api fake_object_api;

struct fake_object *fake_object_parse(const char *text, size_t len, struct ambient_error *err); /* one reference */
struct fake_object *fake_object_of(const struct am_node *node);                                 /* a copy */
void fake_object_unref(struct fake_object *obj);
/* The call takes a reference of its own. */
const struct ambient_object *fake_call_hold(struct fake_call *call, struct fake_object *obj);

#endif
