/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes, UUIDs, base64 and hashes. */
#include "core/base/util.h"

#include <ambient/error.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void
am_random(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, AM_MIN(n, 256), 0);
		if (got < 0) {
			perror("ambient: getrandom");
			abort();
		}
		at += got;
		n -= (size_t)got;
	}
}

uint64_t
am_random_u64(void)
{
	uint64_t v;

	am_random(&v, sizeof(v));
	return v;
}

double
am_random_unit(void)
{
	return (double)(am_random_u64() >> 11) * 0x1p-53;
}

void
am_uuid4(char out[37])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char b[16];

	am_random(b, sizeof(b));
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[b[i] >> 4];
		*out++ = digits[b[i] & 15];
	}
	*out = '\0';
}

void
am_random_suffix(char *out, size_t n)
{
	static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

	for (size_t i = 0; i < n; i++)
		out[i] = alphabet[am_random_u64() % (sizeof(alphabet) - 1)];
	out[n] = '\0';
}

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void
am_base64_encode(struct am_buf *out, const void *p, size_t n, bool url)
{
	const char *alphabet = url ? url_safe : standard;
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
		char quad[4] = { alphabet[v >> 18], alphabet[v >> 12 & 63], left > 1 ? alphabet[v >> 6 & 63] : '=',
				 left > 2 ? alphabet[v & 63] : '=' };
		am_buf_add(out, quad, url ? AM_MIN(left, 3) + 1 : 4);
	}
}

static int
digit(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	if (c == (url ? '_' : '/'))
		return 63;
	return -1;
}

int
am_base64_decode(struct am_buf *out, const char *s, size_t n, bool url)
{
	size_t padding = 0;

	while (!url && padding < 2 && n > 0 && s[n - 1] == '=') {
		n--;
		padding++;
	}
	if (n % 4 == 1 || (!url && (n + padding) % 4 != 0))
		return -AMBIENT_E_INVALID;
	for (size_t i = 0; i < n; i += 4) {
		size_t take = AM_MIN(n - i, 4);
		uint32_t v = 0;
		for (size_t j = 0; j < 4; j++) {
			int d = j < take ? digit(s[i + j], url) : 0;
			if (d < 0)
				return -AMBIENT_E_INVALID;
			v = v << 6 | (uint32_t)d;
		}
		/* Bits beyond the last byte must be zero, so that one value has one spelling. */
		if ((take == 2 && (v & 0xffff) != 0) || (take == 3 && (v & 0xff) != 0))
			return -AMBIENT_E_INVALID;
		unsigned char bytes[3] = { (unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v };
		am_buf_add(out, bytes, take - 1);
	}
	return out->failed ? -AMBIENT_E_NOMEM : 0;
}

void
am_sha256(const void *p, size_t n, unsigned char out[32])
{
	(void)SHA256(p, n, out);
}

void
am_hex(char *out, const unsigned char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = hex[p[i] >> 4];
		out[2 * i + 1] = hex[p[i] & 15];
	}
	out[2 * n] = '\0';
}

bool
am_secret_eq(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
