/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why an item is in the queue: the last eight causes of each.  The ring grows as it is used, and like causes in a row
 * are one with a count, so that a storm over few names costs nothing.  Invariants: causes are in the order of their
 * times; causes[cause_head] is the oldest; the ring is rotated only when it is full, and its size is a power of two.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/queue/queue_priv.h"

static const char *const words[] = {
	[AM_CAUSE_REQUEST] = "request",         [AM_CAUSE_LISTED] = "listed",     [AM_CAUSE_ADDED] = "added",
	[AM_CAUSE_CHANGED] = "changed",         [AM_CAUSE_DELETED] = "deleted",   [AM_CAUSE_RESYNC] = "resync",
	[AM_CAUSE_AFTER] = "requeue after",     [AM_CAUSE_REQUEUE] = "requeue",   [AM_CAUSE_BACKOFF] = "backoff",
	[AM_CAUSE_RETRY_AFTER] = "retry after", [AM_CAUSE_PUT_BACK] = "put back",
};

const char *
am_cause_word(enum am_cause_type type)
{
	return words[type];
}

/* The number of a kind, one more than its place; 0: none, or too many. */
static uint8_t
kind_number(struct am_queue *queue, const char *kind)
{
	size_t i = 0;

	if (am_empty(kind))
		return 0;
	while (i < queue->kind_count && strcmp(queue->kinds[i], kind) != 0)
		i++;
	if (i == QUEUE_KINDS)
		return 0;
	if (i == queue->kind_count)
		queue->kinds[queue->kind_count++] = am_xstrdup(kind);
	return (uint8_t)(i + 1);
}

void
am_queue_kinds_free(struct am_queue *queue)
{
	for (size_t i = 0; i < queue->kind_count; i++)
		free(queue->kinds[i]);
}

static uint64_t
version_number(const char *rv)
{
	uint64_t n;

	return rv != NULL && am_parse_u64(rv, &n) == 0 ? n : 0;
}

/* Is `object` the name of the cause's object?  NULL in both: the item itself. */
static bool
same_object(const char *object, const struct am_cause *cause)
{
	const char *ns = cause->ns != NULL ? cause->ns : "";
	size_t n = strlen(ns);

	if (object == NULL || cause->name == NULL)
		return object == NULL && cause->name == NULL;
	return strncmp(object, ns, n) == 0 && object[n] == '/' && strcmp(object + n + 1, cause->name) == 0;
}

static struct cause *
newest(const struct item *item)
{
	return item->cause_len == 0 ? NULL : &item->causes[(item->cause_head + item->cause_len - 1) & (item->cause_cap - 1)];
}

static void
grow(struct am_queue *queue, struct item *item)
{
	size_t size = item->cause_cap * sizeof(*item->causes), larger = size == 0 ? sizeof(*item->causes) : 2 * size;
	struct cause *causes = am_slab_alloc(queue->slab, larger);

	if (size != 0)
		memcpy(causes, item->causes, size);
	am_slab_drop(queue->slab, item->causes, size);
	item->causes = causes;
	item->cause_cap = (uint8_t)(larger / sizeof(*item->causes));
}

/* A place at the end of the ring; the oldest goes when it is full. */
static struct cause *
place(struct am_queue *queue, struct item *item)
{
	struct cause *c;

	if (item->cause_len == item->cause_cap && item->cause_cap < AM_QUEUE_CAUSES)
		grow(queue, item);
	if (item->cause_len < item->cause_cap)
		return &item->causes[item->cause_len++];
	c = &item->causes[item->cause_head];
	free(c->object);
	item->cause_head = (uint8_t)((item->cause_head + 1) & (item->cause_cap - 1));
	return c;
}

void
am_queue_cause_note(struct am_queue *queue, struct item *item, const struct am_cause *cause, int64_t now, int64_t delay)
{
	struct cause *c = newest(item);
	uint8_t kind = kind_number(queue, cause->kind);

	if (c != NULL && c->run == item->runs + 1 && c->type == cause->type && c->kind == kind &&
	    same_object(c->object, cause)) {
		c->at = now;
		c->delay = delay;
		c->new_rv = version_number(cause->new_rv);
		c->count++;
		return;
	}
	c = place(queue, item);
	*c = (struct cause){.at = now,
			    .delay = delay,
			    .old_rv = version_number(cause->old_rv),
			    .new_rv = version_number(cause->new_rv),
			    .run = item->runs + 1,
			    .count = 1,
			    .type = (uint8_t)cause->type,
			    .kind = kind};
	if (cause->name != NULL)
		c->object = am_xasprintf("%s/%s", cause->ns != NULL ? cause->ns : "", cause->name);
}

void
am_queue_causes_free(struct am_queue *queue, struct item *item)
{
	for (size_t i = 0; i < item->cause_len; i++)
		free(item->causes[i].object);
	am_slab_drop(queue->slab, item->causes, item->cause_cap * sizeof(*item->causes));
}
