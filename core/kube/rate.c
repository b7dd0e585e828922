/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token bucket in front of the API server.  It hands out reservations in order: tokens may go below zero,
 * and who takes one then waits until it would have been there.
 */
#include "core/kube/kube_priv.h"

void
am_rate_init(struct am_rate *rate, double qps, int burst, int64_t now)
{
	rate->qps = qps;
	rate->burst = burst > 0 ? burst : 1;
	rate->tokens = rate->burst;
	rate->at = now;
}

int64_t
am_rate_reserve(struct am_rate *rate, int64_t now)
{
	if (rate->qps <= 0)
		return 0;
	if (now > rate->at) {
		rate->tokens += (double)(now - rate->at) / (double)AM_NS_PER_S * rate->qps;
		rate->at = now;
	}
	if (rate->tokens > rate->burst)
		rate->tokens = rate->burst;
	rate->tokens -= 1;
	return rate->tokens >= 0 ? 0 : (int64_t)(-rate->tokens / rate->qps * (double)AM_NS_PER_S);
}

void
am_rate_return(struct am_rate *rate)
{
	if (rate->qps > 0)
		rate->tokens += 1;
}
