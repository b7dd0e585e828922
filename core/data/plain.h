/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight bytes of a JSON string at once: for those that read every byte of what the API server sends.  Invariant: whatever
 * is passed over stands for itself, so that nobody has to look at it again.
 */
#ifndef AM_DATA_PLAIN_H
#define AM_DATA_PLAIN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AM_EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte of w that is zero; of others perhaps too, but only above one that is. */
static inline uint64_t
am_zero_bytes(uint64_t w)
{
	return (w - AM_EACH_BYTE(0x01)) & ~w & AM_EACH_BYTE(0x80);
}

/* How many bytes from p on stand for themselves in a string: no quote, no backslash, no control character, all of ASCII.
 * The last seven before the end are not looked at. */
static inline size_t
am_json_plain(const char *p, const char *end)
{
	const char *at = p;

	for (uint64_t w; end - at >= 8; at += 8) {
		memcpy(&w, at, 8);
		w = le64toh(w);
		uint64_t control = (w - AM_EACH_BYTE(0x20)) & ~w;
		uint64_t special = ((control | w) & AM_EACH_BYTE(0x80)) | am_zero_bytes(w ^ AM_EACH_BYTE('"')) |
				   am_zero_bytes(w ^ AM_EACH_BYTE('\\'));

		if (special != 0)
			return (size_t)(at - p) + (size_t)__builtin_ctzll(special) / 8;
	}
	return (size_t)(at - p);
}

#endif
