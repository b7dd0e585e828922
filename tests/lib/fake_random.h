/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's chance, played from a seed: this getrandom takes the place of libc's in a test program that is linked
 * with the archives.  Included once per program, which then draws only from here.
 */
#ifndef TESTS_LIB_FAKE_RANDOM_H
#define TESTS_LIB_FAKE_RANDOM_H

#include <stdint.h>
#include <sys/random.h>

#include "core/base/map.h"

static uint64_t fake_random_state;

/* Knuth's linear congruence; its upper bits. */
static inline uint32_t
fake_random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

static inline void
fake_random_seed(uint64_t seed)
{
	(void)am_hash("", 0); /* the key of the maps is drawn once per process: here, the same for every seed */
	fake_random_state = ~seed;
}

ssize_t
getrandom(void *p, size_t n, unsigned int flags)
{
	(void)flags;
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = (unsigned char)(fake_random_next(&fake_random_state) >> 8);
	return (ssize_t)n;
}

#endif
