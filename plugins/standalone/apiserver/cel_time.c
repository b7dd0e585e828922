/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps (seconds since 1970 and nanoseconds, years 1 to 9999) and durations (nanoseconds), with their texts and
 * accessors.  Days are counted by arithmetic of our own.  A time zone is "UTC", an offset like "+02:00", or a name of the system's
 * zone files, read once per use.
 */
#include <ctype.h>
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/cel_priv.h"
#include "plugins/standalone/shared/cron.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)
#define DAY      86400

struct civil {
	int64_t year;
	int month, day, hour, minute, second, weekday, yearday; /* month, day from 1; weekday 0 is Sunday; yearday from 0 */
};

static bool
is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
month_days(int64_t year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first of a year. */
static int64_t
days_before(int64_t year)
{
	int64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static void
to_civil(int64_t seconds, struct civil *c)
{
	int64_t days = seconds / DAY, rest = seconds % DAY;

	if (rest < 0) {
		rest += DAY;
		days--;
	}
	c->weekday = (int)(((days + 4) % 7 + 7) % 7);
	c->year = 1970 + days / 366;
	while (days_before(c->year + 1) <= days)
		c->year++;
	while (days_before(c->year) > days)
		c->year--;
	c->yearday = (int)(days - days_before(c->year));
	c->day = c->yearday + 1;
	for (c->month = 1; c->day > month_days(c->year, c->month); c->month++)
		c->day -= month_days(c->year, c->month);
	c->hour = (int)(rest / 3600);
	c->minute = (int)(rest / 60 % 60);
	c->second = (int)(rest % 60);
}

/* ---- texts ---- */

static bool
number_at(struct am_slice s, size_t at, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = at; i < at + n; i++) {
		if (i >= s.n || !isdigit((unsigned char)s.p[i]))
			return false;
		*ret = *ret * 10 + (s.p[i] - '0');
	}
	return true;
}

static bool
char_at(struct am_slice s, size_t at, char c)
{
	return at < s.n && s.p[at] == c;
}

/* "Z" or "+02:00" at the end of s; seconds to take off. */
static bool
offset_at(struct am_slice s, size_t at, int64_t *ret)
{
	int hours, minutes;

	*ret = 0;
	if (at + 1 == s.n && s.p[at] == 'Z')
		return true;
	if (at + 6 != s.n || (s.p[at] != '+' && s.p[at] != '-') || !number_at(s, at + 1, 2, &hours) ||
	    !char_at(s, at + 3, ':') || !number_at(s, at + 4, 2, &minutes) || hours > 24 || minutes > 60)
		return false;
	*ret = (s.p[at] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

int
cel_time_parse(struct am_slice s, struct cel_value *ret)
{
	struct civil c = { 0 };
	int year, scale = 100000000;
	int64_t offset, days;
	size_t at = 19;

	*ret = (struct cel_value){ .kind = CEL_TIMESTAMP };
	if (!number_at(s, 0, 4, &year) || !char_at(s, 4, '-') || !number_at(s, 5, 2, &c.month) || !char_at(s, 7, '-') ||
	    !number_at(s, 8, 2, &c.day) || !char_at(s, 10, 'T') || !number_at(s, 11, 2, &c.hour) || !char_at(s, 13, ':') ||
	    !number_at(s, 14, 2, &c.minute) || !char_at(s, 16, ':') || !number_at(s, 17, 2, &c.second))
		return -1;
	if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > month_days(year, c.month) || c.hour > 23 || c.minute > 59 ||
	    c.second > 59 || year < 1)
		return -1;
	if (char_at(s, at, '.')) {
		size_t from = ++at;

		for (; at < s.n && isdigit((unsigned char)s.p[at]); at++, scale /= 10)
			ret->nsec += (s.p[at] - '0') * scale;
		if (at == from)
			return -1;
	}
	if (!offset_at(s, at, &offset))
		return -1;
	days = days_before(year) + c.day - 1;
	for (int m = 1; m < c.month; m++)
		days += month_days(year, m);
	ret->i = days * DAY + c.hour * 3600 + c.minute * 60 + c.second - offset;
	return ret->i < CEL_TIME_MIN || ret->i > CEL_TIME_MAX ? -1 : 0;
}

static void
print_fraction(uint64_t value, int digits, struct am_buf *out)
{
	char text[32];

	if (value == 0)
		return;
	snprintf(text, sizeof(text), ".%0*llu", digits, (unsigned long long)value);
	for (size_t n = strlen(text); text[n - 1] == '0'; n--)
		text[n - 1] = '\0';
	am_buf_adds(out, text);
}

void
cel_time_print(const struct cel_value *v, struct am_buf *out)
{
	struct civil c;

	to_civil(v->i, &c);
	am_buf_addf(out, "%04lld-%02d-%02dT%02d:%02d:%02d", (long long)c.year, c.month, c.day, c.hour, c.minute, c.second);
	print_fraction((uint64_t)v->nsec, 9, out);
	am_buf_addc(out, 'Z');
}

/* In seconds, as CEL does, not in hours and minutes. */
void
cel_duration_print(int64_t ns, struct am_buf *out)
{
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

	am_buf_addf(out, "%s%llu", ns < 0 ? "-" : "", (unsigned long long)(u / 1000000000));
	print_fraction(u % 1000000000, 9, out);
	am_buf_addc(out, 's');
}

static bool
unit_at(struct am_slice s, size_t *at, uint64_t *ret)
{
	static const struct { const char *name; uint64_t ns; } units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "\xc2\xb5s", 1000 }, { "\xce\xbcs", 1000 }, { "ms", 1000000 },
		{ "s", 1000000000 }, { "m", UINT64_C(60000000000) }, { "h", UINT64_C(3600000000000) },
	};

	for (size_t i = 0; i < AM_COUNTOF(units); i++) {
		size_t n = strlen(units[i].name);

		if (*at + n <= s.n && memcmp(s.p + *at, units[i].name, n) == 0) {
			*at += n;
			*ret = units[i].ns;
			return true;
		}
	}
	return false;
}

/* One "1.5h"; adds to *sum. */
static bool
duration_part(struct am_slice s, size_t *at, cel_nano *sum)
{
	uint64_t whole = 0, fraction = 0, scale = 1, unit;
	size_t from = *at, digits;

	for (; *at < s.n && isdigit((unsigned char)s.p[*at]); ++*at)
		if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) || whole > INT64_MAX ||
		    __builtin_add_overflow(whole, (uint64_t)(s.p[*at] - '0'), &whole))
			return false;
	digits = *at - from;
	if (char_at(s, *at, '.'))
		for (++*at; *at < s.n && isdigit((unsigned char)s.p[*at]); ++*at, digits++)
			if (scale < UINT64_C(1000000000000000)) {
				fraction = fraction * 10 + (uint64_t)(s.p[*at] - '0');
				scale *= 10;
			}
	if (digits == 0 || !unit_at(s, at, &unit))
		return false;
	*sum += (cel_nano)whole * unit + (cel_nano)fraction * unit / scale;
	return *sum <= (cel_nano)1 << 63;
}

int
cel_duration_parse(struct am_slice s, int64_t *ret)
{
	size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	bool minus = at > 0 && s.p[0] == '-';
	cel_nano sum = 0;

	if (s.n == at + 1 && s.p[at] == '0') {
		*ret = 0;
		return 0;
	}
	if (at == s.n)
		return -1;
	while (at < s.n)
		if (!duration_part(s, &at, &sum))
			return -1;
	sum = minus ? -sum : sum;
	if (sum > INT64_MAX || sum < INT64_MIN)
		return -1;
	*ret = (int64_t)sum;
	return 0;
}

/* ---- time zones ---- */

static bool
named_zone(struct am_slice name, int64_t at, int64_t *ret)
{
	char text[64], why[128];

	if (name.n >= sizeof(text) || memchr(name.p, '\0', name.n) != NULL)
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	struct zone *zone = zone_load(text, why, sizeof(why));
	if (zone == NULL)
		return false;
	*ret = zone_offset(zone, at);
	zone_free(zone);
	return true;
}

/* "02:00", "-5:30", "UTC", "Europe/Berlin". */
static bool
offset_of(struct am_slice name, int64_t at, int64_t *ret)
{
	size_t sign = name.n > 0 && (name.p[0] == '+' || name.p[0] == '-');
	const char *colon = memchr(name.p, ':', name.n);
	int hours, minutes;

	*ret = 0;
	if (name.n == 0 || am_slice_eq(name, "UTC") || am_slice_eq(name, "GMT"))
		return true;
	if (colon == NULL)
		return named_zone(name, at, ret);
	size_t n = (size_t)(colon - name.p) - sign;
	if (n < 1 || n > 2 || !number_at(name, sign, n, &hours) || sign + n + 3 != name.n ||
	    !number_at(name, sign + n + 1, 2, &minutes))
		return false;
	*ret = (name.p[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

/* ---- functions ---- */

FN(part_of_time)
{
	struct civil c;
	int64_t offset = 0;
	bool zoned = e->n == 2;

	if (zoned && !cel_charge(run, 100))
		return cel_exceeded(run);
	if (zoned && !offset_of(a[1].s, a[0].i, &offset))
		return cel_error(run, "unknown time zone %.*s", (int)AM_MIN(a[1].s.n, (size_t)60), a[1].s.p);
	to_civil(a[0].i + offset, &c);
	switch (e->name[3]) {
	case 'F':
		return cel_int(c.year);
	case 'M':
		return cel_int(strcmp(e->name, "getMonth") == 0 ? c.month - 1 : e->name[4] == 'i' && e->name[5] == 'n' ? c.minute :
			       a[0].nsec / 1000000);
	case 'H':
		return cel_int(c.hour);
	case 'S':
		return cel_int(c.second);
	default:
		return cel_int(strcmp(e->name, "getDate") == 0 ? c.day : strcmp(e->name, "getDayOfMonth") == 0 ? c.day - 1 :
			       strcmp(e->name, "getDayOfWeek") == 0 ? c.weekday : c.yearday);
	}
}

FN(part_of_duration)
{
	int64_t ns = a[0].i;

	switch (e->name[3]) {
	case 'H':
		return cel_int(ns / (3600 * AM_NS_PER_S));
	case 'S':
		return cel_int(ns / AM_NS_PER_S);
	default:
		if (strcmp(e->name, "getMinutes") == 0)
			return cel_int(ns / (60 * AM_NS_PER_S));
		return cel_int(ns / 1000000);
	}
}

#define PART(name) { name, "t.>i", part_of_time }, { name, "t.s>i", part_of_time }

const struct cel_fn cel_time_fns[] = {
	PART("getFullYear"), PART("getMonth"), PART("getDate"), PART("getDayOfMonth"), PART("getDayOfWeek"),
	PART("getDayOfYear"), PART("getHours"), PART("getMinutes"), PART("getSeconds"), PART("getMilliseconds"),
	{ "getHours", "D.>i", part_of_duration }, { "getMinutes", "D.>i", part_of_duration },
	{ "getSeconds", "D.>i", part_of_duration }, { "getMilliseconds", "D.>i", part_of_duration },
	{ NULL, NULL, NULL },
};
