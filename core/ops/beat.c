/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there life in the I/O thread, through which all work comes?  A question is posted to it, and looked at when the next one
 * is due: what a watchdog is told must not be that some other thread, which only sleeps, still does so.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/ops/ops.h"

struct am_beat {
	struct am_lock lock;
	struct am_io *io;      /* guarded by lock; NULL: there is nothing to ask */
	atomic_bool asked;     /* and not answered yet */
	bool silent;           /* was said; only of the thread that calls am_beat */
};

struct am_beat *
am_beat_new(void)
{
	struct am_beat *beat = am_xcalloc(1, sizeof(*beat));

	am_lock_init(&beat->lock, "beat");
	return beat;
}

void
am_beat_free(struct am_beat *beat)
{
	if (beat == NULL)
		return;
	am_lock_fini(&beat->lock);
	free(beat);
}

void
am_beat_watch(struct am_beat *beat, struct am_io *io)
{
	am_lock(&beat->lock);
	beat->io = io;
	am_unlock(&beat->lock);
}

static void
answer(void *arg)
{
	struct am_beat *beat = arg;

	atomic_store(&beat->asked, false);
}

bool
am_beat(struct am_beat *beat)
{
	am_lock(&beat->lock);
	bool silent = beat->io != NULL && atomic_load(&beat->asked);
	if (beat->io != NULL && !silent) {
		atomic_store(&beat->asked, true);
		am_io_post(beat->io, answer, beat);
	}
	am_unlock(&beat->lock);
	if (silent && !beat->silent)
		am_log_error("ambientd", "the I/O thread does not answer; the service's watchdog is told nothing until it does");
	if (!silent && beat->silent)
		am_log_warn("ambientd", "the I/O thread answers again");
	beat->silent = silent;
	return !silent;
}
