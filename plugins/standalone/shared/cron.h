/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules of CronJobs and the time zones that they are read in.  The API server refuses what the controller could
 * not run, so both are built with these files, which know the C library only.  A schedule is a value; a zone is
 * immutable once loaded.  Times are seconds since 1970, UTC.
 */
#ifndef STANDALONE_CRON_H
#define STANDALONE_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zone by its IANA name, from the system's zoneinfo.  NULL, with why filled, when there is none. */
struct zone;
struct zone *zone_load(const char *name, char *why, size_t why_size);
struct zone *zone_parse(const void *tzif, size_t n); /* the content of a zoneinfo file; NULL: it is none */
void zone_free(struct zone *zone);
/* Seconds east of UTC at that time; zone NULL is UTC. */
int32_t zone_offset(const struct zone *zone, int64_t utc);

struct cron {
	uint64_t minute, hour, day, month, weekday; /* bit n: n matches */
	bool any_day, any_weekday;                  /* written as "*": then both must match, else either */
	int64_t every;                              /* @every: seconds; 0: by the fields */
};

/* Five fields with names, lists, ranges and steps, or @hourly, @daily, @midnight, @weekly, @monthly, @yearly,
 * @annually, @every DURATION.  false, with one sentence in why. */
bool cron_parse(const char *text, struct cron *ret, char *why, size_t why_size);
/* The first time after `after`; a local time that the zone leaves out does not come, one that it has twice comes
 * twice.  false: none within five years. */
bool cron_next(const struct cron *cron, const struct zone *zone, int64_t after, int64_t *ret);

#endif
