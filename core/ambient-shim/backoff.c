/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a container waits before it is started again, as kubelet has it: not at all after its first end, then twice
 * as long each time, up to five minutes.  One that ran for more than twice that begins anew.
 */
#include "core/ambient-shim/shim.h"

#include <stdio.h>

#define LONGEST (300 * AM_NS_PER_S)

int64_t
shim_backoff(int *tries, int64_t first, int64_t ran)
{
	if (ran > 2 * LONGEST)
		*tries = 0;
	/* Beyond twenty doublings any first is above the longest. */
	int64_t delay = *tries == 0 ? 0 : AM_MIN(first << AM_MIN(*tries - 1, 20), LONGEST);

	++*tries;
	return delay;
}

void
shim_backoff_text(char buf[32], int64_t delay)
{
	long long ms = delay / AM_NS_PER_MS, s = ms / 1000;

	if (ms < 1000)
		(void)snprintf(buf, 32, "%lldms", ms);
	else if (s < 60)
		(void)snprintf(buf, 32, "%llds", s);
	else
		(void)snprintf(buf, 32, "%lldm%llds", s / 60, s % 60);
}
