/* SPDX-License-Identifier: Apache-2.0 */
/* Small string questions: numbers with units, UTF-8, Kubernetes names, globs, suggestions. */
#include "core/base/str.h"

#include <ambient/error.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "core/base/clock.h"

bool
am_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
am_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

bool
am_empty(const char *s)
{
	return s == NULL || s[0] == '\0';
}

size_t
am_strlcpy(char *dst, const char *src, size_t size)
{
	size_t n = strlen(src);

	if (size != 0) {
		size_t copy = AM_MIN(n, size - 1);
		memcpy(dst, src, copy);
		dst[copy] = '\0';
	}
	return n;
}

int
am_parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (am_empty(s))
		return -AMBIENT_E_INVALID;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return -AMBIENT_E_INVALID;
	}
	*ret = v;
	return 0;
}

int
am_parse_i64(const char *s, int64_t *ret)
{
	uint64_t v;
	bool negative = s != NULL && s[0] == '-';

	if (am_parse_u64(negative ? s + 1 : s, &v) < 0 || v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return -AMBIENT_E_INVALID;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

struct unit {
	const char *name;
	int64_t factor;
};

/* One "number unit" of *s, with up to nine decimals; moves *s behind it. */
static int
take_quantity(const char **s, const struct unit *units, size_t count, int64_t *ret)
{
	int64_t whole = 0, fraction = 0, scale = 1, value;
	const char *p = *s;

	if (!isdigit((unsigned char)*p))
		return -AMBIENT_E_INVALID;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *p - '0', &whole))
			return -AMBIENT_E_INVALID;
	}
	if (*p == '.') {
		for (p++; isdigit((unsigned char)*p); p++) {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (*p - '0');
				scale *= 10;
			}
		}
	}
	size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) != n || memcmp(units[i].name, p, n) != 0)
			continue;
		if (__builtin_mul_overflow(whole, units[i].factor, &value) ||
		    __builtin_add_overflow(value, (int64_t)((double)fraction / (double)scale * (double)units[i].factor), &value))
			return -AMBIENT_E_INVALID;
		*s = p + n;
		*ret = value;
		return 0;
	}
	return -AMBIENT_E_INVALID;
}

int
am_parse_duration(const char *s, int64_t *ret_ns)
{
	static const struct unit units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "ms", AM_NS_PER_MS }, { "s", AM_NS_PER_S },
		{ "m", 60 * AM_NS_PER_S }, { "h", 3600 * AM_NS_PER_S }, { "d", 86400 * AM_NS_PER_S },
	};
	int64_t total = 0, part;

	if (am_empty(s))
		return -AMBIENT_E_INVALID;
	if (strcmp(s, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	while (*s != '\0') {
		if (take_quantity(&s, units, AM_COUNTOF(units), &part) < 0 || __builtin_add_overflow(total, part, &total))
			return -AMBIENT_E_INVALID;
	}
	*ret_ns = total;
	return 0;
}

int
am_parse_size(const char *s, int64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "B", 1 }, { "k", 1000 }, { "kB", 1000 }, { "K", 1000 }, { "M", 1000000 }, { "MB", 1000000 },
		{ "G", 1000000000 }, { "GB", 1000000000 }, { "Ki", 1024 }, { "KiB", 1024 }, { "Mi", 1 << 20 },
		{ "MiB", 1 << 20 }, { "Gi", 1 << 30 }, { "GiB", 1 << 30 }, { "Ti", INT64_C(1) << 40 },
		{ "TiB", INT64_C(1) << 40 },
	};
	int64_t value;

	if (am_empty(s) || take_quantity(&s, units, AM_COUNTOF(units), &value) < 0 || *s != '\0')
		return -AMBIENT_E_INVALID;
	*ret_bytes = value;
	return 0;
}

bool
am_is_loopback(const char *host)
{
	struct in_addr v4;

	if (am_streq(host, "localhost") || am_streq(host, "::1") || am_streq(host, "[::1]"))
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool
am_utf8_valid(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p, *end = s + n;

	while (s < end) {
		if (*s < 0x80) {
			s++;
			continue;
		}
		int more;
		uint32_t c, least;
		if ((*s & 0xe0) == 0xc0) {
			more = 1; c = *s & 0x1f; least = 0x80;
		} else if ((*s & 0xf0) == 0xe0) {
			more = 2; c = *s & 0x0f; least = 0x800;
		} else if ((*s & 0xf8) == 0xf0) {
			more = 3; c = *s & 0x07; least = 0x10000;
		} else {
			return false;
		}
		if (end - s <= more)
			return false;
		for (int i = 1; i <= more; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		s += more + 1;
	}
	return true;
}

static bool
lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static const char *
label_problem(const char *s, size_t n)
{
	static const char form[] = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
				   "and must start and end with an alphanumeric character";
	if (n == 0 || !lower_alnum(s[0]) || !lower_alnum(s[n - 1]))
		return form;
	for (size_t i = 0; i < n; i++) {
		if (!lower_alnum(s[i]) && s[i] != '-')
			return form;
	}
	return n > 63 ? "must be no more than 63 characters" : NULL;
}

static const char *
subdomain_problem(const char *s, size_t n)
{
	static const char form[] = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
				   "'.', and must start and end with an alphanumeric character";
	if (n > 253)
		return "must be no more than 253 characters";
	for (size_t from = 0; from <= n;) {
		const char *dot = memchr(s + from, '.', n - from);
		size_t len = dot != NULL ? (size_t)(dot - s) - from : n - from;
		if (len == 0 || !lower_alnum(s[from]) || !lower_alnum(s[from + len - 1]))
			return form;
		for (size_t i = from; i < from + len; i++) {
			if (!lower_alnum(s[i]) && s[i] != '-')
				return form;
		}
		from += len + 1;
		if (dot == NULL)
			break;
	}
	return NULL;
}

static const char *
value_problem(const char *s, size_t n, bool may_be_empty)
{
	if (n > 63)
		return "must be no more than 63 characters";
	if (n == 0)
		return may_be_empty ? NULL : "name part must be non-empty";
	bool ok = isalnum((unsigned char)s[0]) && isalnum((unsigned char)s[n - 1]);
	for (size_t i = 0; ok && i < n; i++)
		ok = isalnum((unsigned char)s[i]) || s[i] == '-' || s[i] == '_' || s[i] == '.';
	if (ok)
		return NULL;
	return may_be_empty ? "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
			      "and must start and end with an alphanumeric character"
			    : "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
			      "an alphanumeric character";
}

const char *
am_name_problem(const char *s, int kind)
{
	size_t n = strlen(s);
	const char *slash;

	switch (kind) {
	case 1:
		return label_problem(s, n);
	case 2:
		return subdomain_problem(s, n);
	case 3:
		return value_problem(s, n, true);
	default:
		slash = strchr(s, '/');
		if (slash == NULL)
			return value_problem(s, n, false);
		if (slash == s)
			return "prefix part must be non-empty";
		const char *problem = subdomain_problem(s, (size_t)(slash - s));
		return problem != NULL ? problem : value_problem(slash + 1, strlen(slash + 1), false);
	}
}

bool
am_glob(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star != NULL) {
			pattern = star;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static size_t
distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t n = strlen(a), m = strlen(b), row[LONGEST + 1];

	if (n > LONGEST || m > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
			best = AM_MIN(best, AM_MIN(above, row[j - 1]) + 1);
			diagonal = above;
			row[j] = best;
		}
	}
	return row[m];
}

const char *
am_suggest(const char *word, const char *const *candidates)
{
	const char *best = NULL;
	size_t least = 4;

	for (; *candidates != NULL; candidates++) {
		size_t d = distance(word, *candidates);
		if (d < least && d < strlen(word)) {
			least = d;
			best = *candidates;
		}
	}
	return best;
}
