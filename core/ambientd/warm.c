/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Warm standby: a replica stands for election once its caches are full, so that whoever wins begins at once.  What no wait
 * helps (a kind that does not exist, a watch that is forbidden) is not waited for, and nothing for more than half a
 * minute: a leader with one cold cache is better than none.
 */
#include "core/ambientd/daemon_priv.h"
#include "core/base/log.h"

#define PATIENCE (30 * AM_NS_PER_S)
#define LOOK     (AM_NS_PER_S / 4) /* how soon it is seen that a watch is not worth waiting for */

static bool
over(struct am_daemon *d, int64_t deadline)
{
	return __atomic_load_n(&d->cancelled, __ATOMIC_ACQUIRE) != 0 || am_clock_boot(d->clock) >= deadline;
}

void
daemon_warm_up(struct am_daemon *d)
{
	int64_t deadline = am_clock_boot(d->clock) + PATIENCE;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	bool all = true;

	for (size_t i = 0; i < d->plugin_count; i++) {
		struct am_instance *instance = d->plugins[i].instance;
		if (&d->plugins[i] == d->provider)
			continue;
		while (!am_instance_warm(instance) && !over(d, deadline))
			(void)am_instance_wait_synced(instance, am_clock_boot(d->clock) + LOOK, &d->cancelled, &err);
		all = all && am_instance_wait_synced(instance, 0, NULL, &err) == 0;
	}
	if (all)
		am_log_info("ambientd", "the caches are full, standing for election");
	else
		am_log_warn("ambientd", "standing for election, though %s", err.message);
}
