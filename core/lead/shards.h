/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several replicas that share the objects.  Namespaces are hashed to `shards` shards, and each shard belongs to the
 * live member that rendezvous hashing gives it; a cluster-scoped object counts as the namespace of its name.  Each
 * member has a Lease, in which stands what it holds: who wants a shard writes that down, then reads everybody's, and
 * starts when nobody else holds it.  doc/adr/0050 has the protocol and why it is safe.
 *
 * A state machine on the I/O thread, like leader election; the callbacks run there and must not block.
 */
#ifndef AM_LEAD_SHARDS_H
#define AM_LEAD_SHARDS_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/kube/io.h"

#define AM_SHARDS_MAX      256
#define AM_SHARDS_NAME_MAX 50 /* of the group's Lease; the members' names are longer, and it is a label's value */

struct am_shards;
struct am_shards_options {
	const char *ns, *name;      /* of the group's Lease, which keeps leaders and other numbers of shards away */
	const char *identity;       /* unique per process; the same again after a restart gets the same shards */
	int shards;                 /* 1 to AM_SHARDS_MAX, the same in every replica */
	int64_t lease_ns;           /* 0: 15 s: how long the others wait for a silent member */
	int64_t renew_ns;           /* 0: 10 s: work without a renewal; more than 3 * retry_ns */
	int64_t retry_ns;           /* 0: 2 s: between renewals */
	int64_t drain_ns;           /* a shard that is given away waits so long for its calls, then they are told to hurry */
	void (*started)(void *arg);           /* am_shards_valid_until is in the future */
	void (*stopped)(void *arg);           /* not any more: cancel every call */
	void (*gained)(void *arg, int shard); /* it is ours: everything in it wants a reconcile */
	bool (*idle)(void *arg, int shard);   /* does no call of that shard run?  Asked of one that is given away */
	void (*hurry)(void *arg, int shard);  /* cancel its calls; may be called again */
	void *arg;
};
/* -AMBIENT_E_INVALID, with a sentence, for options that cannot be. */
int am_shards_new(struct am_io *io, const struct am_shards_options *options, struct am_shards **ret, struct ambient_error *err);
void am_shards_start(struct am_shards *shards);   /* any thread, like the next three */
/* Takes no more shards and gives away each that is idle; the others take them at once. */
void am_shards_leave(struct am_shards *shards);
/* A Lease of the group has changed: look at once. */
void am_shards_poke(struct am_shards *shards);
/* A call has ended; cheap unless a shard waits for that. */
void am_shards_ended(struct am_shards *shards);
/* Removes the own Lease, trying for at most renew_ns; done (may be NULL) is called at the end, on the I/O thread.  Stop
 * reconciling first: what is held is free for the others from here on. */
void am_shards_stop(struct am_shards *shards, void (*done)(void *arg), void *arg);
/* The same, waiting on the calling thread, which is not the I/O thread. */
void am_shards_stop_wait(struct am_shards *shards);
void am_shards_free(struct am_shards *shards);    /* after the stop, or never started; NULL is fine */

/* The rest: any thread, cheap. */

/* Boot time until which what is owned may be worked on; 0: not now. */
int64_t am_shards_valid_until(const struct am_shards *shards);
/* The shard of an object; ns "" or NULL: cluster-scoped. */
int am_shards_of(const struct am_shards *shards, const char *ns, const char *name);
/* May a reconcile start; may one that runs write?  Both only until am_shards_valid_until. */
bool am_shards_owns(const struct am_shards *shards, int shard);
bool am_shards_holds(const struct am_shards *shards, int shard);
/* For a health check: false when it believes that it works and the last renewal is older than lease_ns + tolerance. */
bool am_shards_healthy(const struct am_shards *shards, int64_t tolerance_ns);
/* Which right the account lacks; false: none that is known. */
bool am_shards_refused(const struct am_shards *shards, struct am_buf *out);
/* "shards=16 owned=0-3,7 members=3". */
void am_shards_describe(const struct am_shards *shards, struct am_buf *out);

#endif
