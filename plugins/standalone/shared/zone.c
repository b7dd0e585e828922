/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of zoneinfo files (RFC 8536, versions 1 to 4): the transitions, and for times after the last one the rule
 * in the footer ("CET-1CEST,M3.5.0,M10.5.0/3").  The C library could do this only for one zone per process.
 * Nothing in a file is trusted: every count is checked against the file's length.
 */
#include "plugins/standalone/shared/cron.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (256 * 1024)
#define DAY      INT64_C(86400)

struct rule { /* when a half of the year begins, in local time of the other half */
	enum { RULE_JULIAN, RULE_DAY, RULE_MONTH } kind;
	int a, b, c;  /* JULIAN: a, 1..365 without February 29; DAY: a, 0..365; MONTH: month a, week b, weekday c */
	int64_t time; /* seconds after midnight */
};

struct zone {
	int64_t *at;      /* transitions, ascending */
	int32_t *offset;  /* from then on */
	size_t n;
	int32_t first;    /* before the first one */
	bool footer, dst; /* what holds after the last one */
	int32_t standard, summer;
	struct rule start, end;
};

/* ---- the calendar */

/* Days since 1970 of a date; month 1..12. */
static int64_t
days_of(int64_t year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
	int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t
year_of(int64_t days)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t day = of_era - (365 * year + year / 4 - year / 100);

	return year + era * 400 + ((5 * day + 2) / 153 >= 10);
}

static bool
is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds since 1970 at which the rule fires in that year. */
static int64_t
rule_at(const struct rule *rule, int64_t year)
{
	int64_t first = days_of(year, 1, 1), day;

	if (rule->kind == RULE_JULIAN)
		return (first + rule->a - 1 + (is_leap(year) && rule->a > 59)) * DAY + rule->time;
	if (rule->kind == RULE_DAY)
		return (first + rule->a) * DAY + rule->time;
	day = days_of(year, rule->a, 1);
	day += ((rule->c - (day + 4)) % 7 + 7) % 7 + 7 * (rule->b - 1); /* 1970-01-01 was a Thursday */
	while (rule->b == 5 && day >= (rule->a == 12 ? days_of(year + 1, 1, 1) : days_of(year, rule->a + 1, 1)))
		day -= 7;
	return day * DAY + rule->time;
}

/* ---- the footer */

static bool
skip_name(const char **p)
{
	const char *s = *p;

	if (*s == '<') {
		s += strcspn(s, ">");
		if (*s != '>')
			return false;
		s++;
	} else {
		while ((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z'))
			s++;
		if (s - *p < 3)
			return false;
	}
	*p = s;
	return true;
}

static bool
take_int(const char **p, int max, int *ret)
{
	int value = 0;

	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++) {
		value = value * 10 + (**p - '0');
		if (value > max)
			return false;
	}
	*ret = value;
	return true;
}

/* [+-]h[h][h][:mm[:ss]] */
static bool
take_time(const char **p, int64_t *ret)
{
	int sign = **p == '-' ? -1 : 1, hours, minutes = 0, seconds = 0;

	*p += **p == '-' || **p == '+';
	if (!take_int(p, 167, &hours))
		return false;
	if (**p == ':') {
		++*p;
		if (!take_int(p, 59, &minutes))
			return false;
		if (**p == ':') {
			++*p;
			if (!take_int(p, 59, &seconds))
				return false;
		}
	}
	*ret = sign * (hours * INT64_C(3600) + minutes * 60 + seconds);
	return true;
}

static bool
take_rule(const char **p, struct rule *rule)
{
	rule->time = 7200;
	if (*(*p)++ != ',')
		return false;
	if (**p == 'M') {
		rule->kind = RULE_MONTH;
		++*p;
		if (!take_int(p, 12, &rule->a) || rule->a < 1 || *(*p)++ != '.' || !take_int(p, 5, &rule->b) || rule->b < 1 ||
		    *(*p)++ != '.' || !take_int(p, 6, &rule->c))
			return false;
	} else {
		rule->kind = **p == 'J' ? RULE_JULIAN : RULE_DAY;
		*p += **p == 'J';
		if (!take_int(p, 365, &rule->a) || (rule->kind == RULE_JULIAN && rule->a < 1))
			return false;
	}
	if (**p != '/')
		return true;
	++*p;
	return take_time(p, &rule->time);
}

static bool
parse_footer(struct zone *zone, const char *p)
{
	int64_t west, east;

	if (!skip_name(&p) || !take_time(&p, &west))
		return false;
	zone->standard = (int32_t)-west;
	if (*p == '\0')
		return true;
	if (!skip_name(&p))
		return false;
	east = west - 3600;
	if (*p != ',' && !take_time(&p, &east))
		return false;
	zone->summer = (int32_t)-east;
	zone->dst = true;
	return take_rule(&p, &zone->start) && take_rule(&p, &zone->end) && *p == '\0';
}

/* ---- the file */

static int64_t
big(const unsigned char *p, size_t width)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++)
		v = v << 8 | p[i];
	return width == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

struct header {
	char version;
	size_t utc, standard, leap, times, types, chars;
};

/* Length of the block behind a header, 0 when the header is none. */
static size_t
take_header(const unsigned char *p, size_t n, struct header *h, size_t width)
{
	size_t *const counts[] = { &h->utc, &h->standard, &h->leap, &h->times, &h->types, &h->chars };

	if (n < 44 || memcmp(p, "TZif", 4) != 0)
		return 0;
	h->version = (char)p[4];
	for (size_t i = 0; i < 6; i++) {
		int64_t v = big(p + 20 + 4 * i, 4);
		if (v < 0 || v > FILE_MAX)
			return 0;
		*counts[i] = (size_t)v;
	}
	return 44 + h->times * (width + 1) + h->types * 6 + h->chars + h->leap * (width + 4) + h->standard + h->utc;
}

static bool
take_block(struct zone *zone, const unsigned char *p, const struct header *h, size_t width)
{
	const unsigned char *index = p + h->times * width, *types = index + h->times;

	if (h->types == 0)
		return false;
	zone->at = calloc(h->times + 1, sizeof(*zone->at));
	zone->offset = calloc(h->times + 1, sizeof(*zone->offset));
	if (zone->at == NULL || zone->offset == NULL)
		return false;
	zone->first = (int32_t)big(types, 4);
	for (size_t i = 0; i < h->times; i++) {
		if (index[i] >= h->types)
			return false;
		zone->at[i] = big(p + i * width, width);
		zone->offset[i] = (int32_t)big(types + (size_t)6 * index[i], 4);
		if (i > 0 && zone->at[i] <= zone->at[i - 1])
			return false;
		if (zone->offset[i] < -26 * 3600 || zone->offset[i] > 26 * 3600)
			return false;
	}
	zone->n = h->times;
	return zone->first >= -26 * 3600 && zone->first <= 26 * 3600;
}

static bool
take_file(struct zone *zone, const unsigned char *p, size_t n)
{
	struct header h;
	size_t length = take_header(p, n, &h, 4);
	char text[128];
	const unsigned char *end;

	if (length == 0 || length > n)
		return false;
	if (h.version == '\0')
		return take_block(zone, p + 44, &h, 4);
	p += length;
	n -= length;
	length = take_header(p, n, &h, 8);
	if (length == 0 || length > n || !take_block(zone, p + 44, &h, 8))
		return false;
	p += length;
	n -= length;
	if (n < 2 || *p != '\n' || (end = memchr(p + 1, '\n', n - 1)) == NULL || (size_t)(end - p) > sizeof(text))
		return false;
	memcpy(text, p + 1, (size_t)(end - p - 1));
	text[end - p - 1] = '\0';
	zone->footer = text[0] != '\0';
	return !zone->footer || parse_footer(zone, text);
}

struct zone *
zone_parse(const void *tzif, size_t n)
{
	struct zone *zone = n <= FILE_MAX ? calloc(1, sizeof(*zone)) : NULL;

	if (zone != NULL && !take_file(zone, tzif, n)) {
		zone_free(zone);
		return NULL;
	}
	return zone;
}

void
zone_free(struct zone *zone)
{
	if (zone == NULL)
		return;
	free(zone->at);
	free(zone->offset);
	free(zone);
}

/* Components of [A-Za-z0-9._+-]{1,14}, none "." or "..", none with a leading '-'. */
static bool
is_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";

	for (;;) {
		size_t n = strspn(name, allowed);

		if (n == 0 || n > 14 || *name == '-' || (n <= 2 && strspn(name, ".") == n))
			return false;
		if (name[n] == '\0')
			return true;
		if (name[n] != '/')
			return false;
		name += n + 1;
	}
}

struct zone *
zone_load(const char *name, char *why, size_t why_size)
{
	char path[320];
	unsigned char *data;
	struct zone *zone = NULL;
	size_t n;
	FILE *file;

	if (why_size > 0)
		(void)snprintf(why, why_size, "unknown time zone %.200s", name);
	if (strlen(name) > 255 || !is_name(name))
		return NULL;
	(void)snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	file = fopen(path, "rbe");
	data = file != NULL ? malloc(FILE_MAX + 1) : NULL;
	if (data != NULL) {
		n = fread(data, 1, FILE_MAX + 1, file);
		if (!ferror(file))
			zone = zone_parse(data, n);
	}
	free(data);
	if (file != NULL)
		(void)fclose(file);
	return zone;
}

/* ---- asking */

int32_t
zone_offset(const struct zone *zone, int64_t utc)
{
	size_t low = 0, high;
	int64_t year, start, end;

	if (zone == NULL)
		return 0;
	if (zone->footer && (zone->n == 0 || utc >= zone->at[zone->n - 1])) {
		if (!zone->dst)
			return zone->standard;
		year = year_of((utc + zone->standard) / DAY - ((utc + zone->standard) % DAY < 0));
		start = rule_at(&zone->start, year) - zone->standard;
		end = rule_at(&zone->end, year) - zone->summer;
		return (start < end ? utc >= start && utc < end : utc >= start || utc < end) ? zone->summer : zone->standard;
	}
	for (high = zone->n; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (zone->at[mid] <= utc)
			low = mid + 1;
		else
			high = mid;
	}
	return low == 0 ? zone->first : zone->offset[low - 1];
}
