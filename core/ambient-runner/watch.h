/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the one session that this process belongs to, as long as it runs.  Its Role lets it "get" and
 * "watch" that session by name and nothing else, so there is no list: GET, then a watch from that version on, and from
 * the beginning again whenever the watch ends, for whatever cause (its time is over, 410, the API server is away).
 * Only states count, not events: a state that was followed by another one soon may never be told of.
 *
 * Two ways to hear of it: `change` is called on the I/O thread, also while the main thread is busy; the descriptor is
 * for a loop, which takes the newest state when it likes.
 */
#ifndef AM_RUNNER_WATCH_H
#define AM_RUNNER_WATCH_H

#include "core/base/buf.h"
#include "core/base/str.h"
#include "core/kube/io.h"

struct am_watch;

struct am_watch_options {
	struct am_io *io; /* am_kube_io(kube); outlives the watch */
	const char *ns, *name;
	const char *uid; /* NULL or "": whatever has the name */
	/* Each new state (checked JSON; p NULL: deleted, or made anew by that name).  On the I/O thread: must be short.
	 * May be NULL. */
	void (*change)(void *arg, struct am_slice session);
	void *arg;
};

/* first: the session as it was read; change is not called for it. */
struct am_watch *am_runner_watch_new(const struct am_watch_options *options, struct am_slice first);
/* Readable while there is a state that was not taken. */
int am_runner_watch_fd(const struct am_watch *watch);
/* False: nothing new.  Else the newest state; *gone: there is none any more, and session is empty. */
bool am_runner_watch_take(struct am_watch *watch, struct am_buf *session, bool *gone);
void am_runner_watch_free(struct am_watch *watch); /* afterwards change is not called; NULL is fine */

#endif
