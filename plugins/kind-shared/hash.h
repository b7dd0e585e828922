/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FNV-1a, for names and fingerprints.  It does not begin with the customary number: objects are found by what comes of this
 * one, so it stays.
 */
#ifndef KIND_SHARED_HASH_H
#define KIND_SHARED_HASH_H

#include <stdint.h>
#include <string.h>

#define KH_FIRST UINT64_C(1469598103934665603)

static inline uint64_t
kh_add(uint64_t hash, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
	return hash;
}

static inline uint64_t
kh_adds(uint64_t hash, const char *text)
{
	return kh_add(hash, text, strlen(text));
}

#endif
