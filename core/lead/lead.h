/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader election by a Lease object.  Remote timestamps are never compared: a lease counts from when this process saw
 * it change, by CLOCK_BOOTTIME, and the own lease from before the request that renewed it was sent.  Losing it demotes
 * in process and campaigns again, forever.  A state machine on the I/O thread; the callbacks run there and must not
 * block.
 */
#ifndef AM_LEAD_LEAD_H
#define AM_LEAD_LEAD_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/kube/io.h"

/* What 0 means, of shards too. */
#define AM_LEAD_LEASE_NS (15 * AM_NS_PER_S)
#define AM_LEAD_RENEW_NS (10 * AM_NS_PER_S)
#define AM_LEAD_RETRY_NS (2 * AM_NS_PER_S)

struct am_lead;
struct am_lead_options {
	const char *ns, *name;      /* of the Lease */
	const char *identity;       /* unique per process: "host_uuid" */
	int64_t lease_ns;           /* 0: 15 s */
	int64_t renew_ns;           /* 0: 10 s: give up leading when no renewal succeeded for so long */
	int64_t retry_ns;           /* 0: 2 s */
	bool keep_on_stop;          /* do not release the lease on stop */
	/* The identity is that of a group, whose members hold the lease together: what another one has renewed is renewed.
	 * Wants renew > 3 * retry. */
	bool shared;
	const char *const *labels;  /* put on the Lease: name, value, ..., NULL; or NULL */
	void (*started)(void *arg); /* became leader */
	void (*stopped)(void *arg); /* leads no more; also on stop when it never led */
	void (*leader)(void *arg, const char *identity); /* somebody (maybe this one) holds the lease now; may be NULL */
	void *arg;
};
/* Checks the options: -AMBIENT_E_INVALID unless lease > renew > 1.2 * retry > 0, with names, identity, callbacks. */
int am_lead_new(struct am_io *io, const struct am_lead_options *options, struct am_lead **ret, struct ambient_error *err);
void am_lead_start(struct am_lead *lead);            /* any thread */
/* Ends leading (stopped is called), then gives the lease back, trying for at most renew_ns; done (may be NULL) is called
 * on the I/O thread at the end.  Any thread.  Stop reconciling first: nothing may write after it. */
void am_lead_stop(struct am_lead *lead, void (*done)(void *arg), void *arg);
/* The same, waiting for the end on the calling thread, which is not the I/O thread. */
void am_lead_stop_wait(struct am_lead *lead);
/* The lease may have become free (a watch says so): a candidate tries at once.  Any thread. */
void am_lead_poke(struct am_lead *lead);
void am_lead_free(struct am_lead *lead);             /* after the stop has ended, or was never started */

/* May a reconcile or a write start now?  Leader, and last renewed less than renew_ns ago: nobody else may believe the same
 * as long as clocks do not differ in rate by more than lease_ns / renew_ns.  Any thread, cheap. */
bool am_lead_valid(const struct am_lead *lead);
/* Boot time until which am_lead_valid can be true; 0 while not leading. */
int64_t am_lead_valid_until(const struct am_lead *lead);
bool am_lead_leading(const struct am_lead *lead);
/* For a health check: false when leading and the last renewal is older than lease_ns + tolerance. */
bool am_lead_healthy(const struct am_lead *lead, int64_t tolerance_ns);
/* Which right the account lacks, so that it can neither take nor keep the lease; false: none that is known.  Any thread. */
bool am_lead_refused(const struct am_lead *lead, struct am_buf *out);
void am_lead_holder(struct am_lead *lead, char *buf, size_t size); /* any thread; "" when unknown */

#endif
