/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reconciler brings the objects of one kind to their desired state.  It is told a name, never an event:
 * it looks at what is, does one step or several, and may be called again at any time for the same name.
 */
#ifndef AMBIENT_RECONCILER_H
#define AMBIENT_RECONCILER_H

#include <stddef.h>
#include <stdint.h>

#include <ambient/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ambient_call;

#define AMBIENT_MILLISECOND INT64_C(1000000)
#define AMBIENT_SECOND      (1000 * AMBIENT_MILLISECOND)
#define AMBIENT_MINUTE      (60 * AMBIENT_SECOND)

struct ambient_request {
	size_t size;
	const char *ns;   /* "" for cluster-scoped kinds; borrowed for the call, as name */
	const char *name;
};

struct ambient_result {
	size_t size;
	int64_t requeue_after; /* nanoseconds; 0: do not come back by yourself */
	/* Not in every host: set them with the functions below, which look at size. */
	int32_t requeue;       /* 1: come back with growing delays, as after a failure; requeue_after wins */
	int32_t prioritized;   /* 1: priority holds from now on; 0: the name keeps the one it has */
	int32_t priority;      /* 0 is the usual one; what the first list brings has -100 */
	int32_t reserved;
};

/* For `return ambient_requeue_after(result, 30 * AMBIENT_SECOND);` */
static inline int
ambient_requeue_after(struct ambient_result *result, int64_t ns)
{
	result->requeue_after = ns;
	return 0;
}

/* Done for now, but not content: look again, later and later, without an error in the log. */
static inline int
ambient_requeue(struct ambient_result *result)
{
	if (result->size >= offsetof(struct ambient_result, requeue) + sizeof(result->requeue))
		result->requeue = 1;
	else
		result->requeue_after = AMBIENT_SECOND; /* an older host knows no other way */
	return 0;
}

/* Where the name is to stand in the queue when it comes back; a hint, which an older host does not take. */
static inline void
ambient_prioritize(struct ambient_result *result, int32_t priority)
{
	if (result->size < offsetof(struct ambient_result, priority) + sizeof(result->priority))
		return;
	result->prioritized = 1;
	result->priority = priority;
}

struct ambient_reconciler {
	size_t size;
	const char *name; /* as declared with reconciler=, or NULL for the plugin's name */
	/* On a worker; may block; has a deadline (struct ambient_call).  One key is never in two workers.
	 * 0: done, or requeue if set in result; negative: tried again with growing delays, unless the error
	 * is terminal.  An error wins over a result.  err is never NULL. */
	int (*reconcile)(void *self, struct ambient_call *call, const struct ambient_request *req,
			 struct ambient_result *result, struct ambient_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
