/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schedules.  A field is a set of bits; the next time is found by going forward in UTC, as far at a time as the
 * fields allow and the zone's offset does not change, so that the clock going forward or back needs no rule of its own.
 */
#include "plugins/standalone/shared/cron.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAY     INT64_C(86400)
#define HORIZON (5 * 366 * DAY)

struct field {
	const char *const *names; /* for first, first + 1, ...; NULL: none */
	int min, max;
};

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
				      NULL };
static const char *const weekdays[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const struct field fields[] = {
	{ NULL, 0, 59 }, { NULL, 0, 23 }, { NULL, 1, 31 }, { months, 1, 12 }, { weekdays, 0, 6 },
};

static const struct {
	const char *name, *text;
} descriptors[] = {
	{ "@yearly", "0 0 1 1 *" }, { "@annually", "0 0 1 1 *" }, { "@monthly", "0 0 1 * *" }, { "@weekly", "0 0 * * 0" },
	{ "@daily", "0 0 * * *" }, { "@midnight", "0 0 * * *" }, { "@hourly", "0 * * * *" },
};

struct reader {
	char *why;
	size_t why_size;
};

static bool refuse(const struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool
refuse(const struct reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (r->why_size > 0)
		(void)vsnprintf(r->why, r->why_size, fmt, ap);
	va_end(ap);
	return false;
}

/* ---- one field */

static bool
number(const struct reader *r, const struct field *field, const char *text, int *ret)
{
	size_t digits = strspn(text, "0123456789");

	for (int i = 0; field->names != NULL && field->names[i] != NULL; i++)
		if (strcasecmp(field->names[i], text) == 0) {
			*ret = field->min + i;
			return true;
		}
	if (digits == 0 || text[digits] != '\0' || digits > 6)
		return refuse(r, "failed to parse int from %.40s: it is no number%s", text,
			      field->names != NULL ? " and no name" : "");
	*ret = atoi(text);
	return true;
}

/* "*", "?", "5", "1-5", each with "/step"; text is changed. */
static bool
range(const struct reader *r, const struct field *field, char *text, uint64_t *bits, bool *any)
{
	char whole[64], *step_text = strchr(text, '/'), *last_text;
	int first, last, step = 1;
	bool star, open = false;

	(void)snprintf(whole, sizeof(whole), "%s", text);
	if (step_text != NULL)
		*step_text++ = '\0';
	last_text = strchr(text, '-');
	star = strcmp(text, "*") == 0 || strcmp(text, "?") == 0;
	if (last_text != NULL)
		*last_text++ = '\0';
	if (step_text != NULL && strchr(step_text, '/') != NULL)
		return refuse(r, "too many slashes: %s", whole);
	if (last_text != NULL && strchr(last_text, '-') != NULL)
		return refuse(r, "too many hyphens: %s", whole);
	if (star) {
		first = field->min;
		last = field->max;
	} else {
		if (!number(r, field, text, &first) || (last_text != NULL && !number(r, field, last_text, &last)))
			return false;
		if (last_text == NULL)
			last = first;
		open = last_text == NULL;
	}
	if (step_text != NULL) {
		static const struct field plain = { NULL, 0, 0 };
		if (!number(r, &plain, step_text, &step))
			return false;
		if (open)
			last = field->max;
	}
	if (first < field->min)
		return refuse(r, "beginning of range (%d) below minimum (%d): %s", first, field->min, whole);
	if (last > field->max)
		return refuse(r, "end of range (%d) above maximum (%d): %s", last, field->max, whole);
	if (first > last)
		return refuse(r, "beginning of range (%d) beyond end of range (%d): %s", first, last, whole);
	if (step == 0)
		return refuse(r, "step of range should be a positive number: %s", whole);
	for (int i = first; i <= last; i += step)
		*bits |= UINT64_C(1) << i;
	*any |= star && step == 1;
	return true;
}

static bool
parse_field(const struct reader *r, const struct field *field, char *text, uint64_t *bits, bool *any)
{
	char *save = NULL;

	*bits = 0;
	*any = false;
	for (char *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
		if (strlen(item) > 40)
			return refuse(r, "too long: %.40s", item);
		if (!range(r, field, item, bits, any))
			return false;
	}
	return *bits != 0 || refuse(r, "an empty field");
}

/* ---- all of it */

/* "1h30m", "90s", "1.5h"; below a second it is one, as parts of seconds are dropped. */
static bool
parse_every(const struct reader *r, const char *text, int64_t *ret)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "ns", 1e-9 }, { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
	const char *p = text;
	double sum = 0;

	if (*p == '\0')
		return refuse(r, "failed to parse duration @every: it is missing");
	while (*p != '\0') {
		size_t digits = strspn(p, "0123456789."), i, best = 6;
		double value = 0, place = 0;

		for (size_t k = 0; k < digits; k++) {
			if (p[k] == '.' && place > 0)
				return refuse(r, "failed to parse duration @every %.40s: it is no duration", text);
			if (p[k] == '.')
				place = 1;
			else if (place > 0)
				value += (p[k] - '0') * (place /= 10);
			else
				value = value * 10 + (p[k] - '0');
		}
		for (i = 0; i < 6; i++)
			if (strncmp(p + digits, units[i].name, strlen(units[i].name)) == 0 &&
			    (best == 6 || strlen(units[i].name) > strlen(units[best].name)))
				best = i;
		if (digits == 0 || digits > 12 || best == 6)
			return refuse(r, "failed to parse duration @every %.40s: it is no duration such as 1h30m", text);
		sum += value * units[best].seconds;
		p += digits + strlen(units[best].name);
	}
	if (sum > 1e10)
		return refuse(r, "failed to parse duration @every %.40s: it is too long", text);
	*ret = sum < 1 ? 1 : (int64_t)(sum + 1e-9);
	return true;
}

static bool
parse_fields(const struct reader *r, const char *text, struct cron *ret)
{
	uint64_t *const bits[] = { &ret->minute, &ret->hour, &ret->day, &ret->month, &ret->weekday };
	char copy[256], *words[6], *save = NULL;
	bool any[5];
	int n = 0;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (char *w = strtok_r(copy, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
		if (n < 5)
			words[n] = w;
		n++;
	}
	if (n != 5)
		return refuse(r, "expected exactly 5 fields, found %d: [%.100s]", n, text);
	for (int i = 0; i < 5; i++)
		if (!parse_field(r, &fields[i], words[i], bits[i], &any[i]))
			return false;
	ret->any_day = any[2];
	ret->any_weekday = any[4];
	return true;
}

bool
cron_parse(const char *text, struct cron *ret, char *why, size_t why_size)
{
	struct reader r = { why, why_size };

	*ret = (struct cron){ 0 };
	if (text[strspn(text, " \t")] == '\0')
		return refuse(&r, "empty spec string");
	if (strlen(text) > 255)
		return refuse(&r, "a schedule has at most 255 bytes");
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' && *p != '\t')
			return refuse(&r, "a control character");
	if (text[0] != '@')
		return parse_fields(&r, text, ret);
	if (strncmp(text, "@every ", 7) == 0)
		return parse_every(&r, text + 7, &ret->every);
	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		if (strcmp(descriptors[i].name, text) == 0)
			return parse_fields(&r, descriptors[i].text, ret);
	return refuse(&r, "unrecognized descriptor: %.40s", text);
}

/* ---- the next time */

struct local {
	int minute, hour, day, month, weekday;
	int64_t second; /* of the day */
};

static struct local
local_of(int64_t t)
{
	int64_t days = t / DAY - (t % DAY < 0), z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097, year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t day = of_era - (365 * year + year / 4 - year / 100), month = (5 * day + 2) / 153;
	struct local l = { .second = t - days * DAY };

	l.day = (int)(day - (153 * month + 2) / 5 + 1);
	l.month = (int)(month < 10 ? month + 3 : month - 9);
	l.weekday = (int)(((days + 4) % 7 + 7) % 7);
	l.hour = (int)(l.second / 3600);
	l.minute = (int)(l.second / 60 % 60);
	return l;
}

static bool
day_matches(const struct cron *c, const struct local *l)
{
	bool day = c->day >> l->day & 1, weekday = c->weekday >> l->weekday & 1;

	if (!(c->month >> l->month & 1))
		return false;
	return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

bool
cron_next(const struct cron *c, const struct zone *zone, int64_t after, int64_t *ret)
{
	int64_t t = after - ((after % 60) + 60) % 60 + 60, end = after + HORIZON;

	if (c->every > 0) {
		*ret = after + c->every;
		return true;
	}
	while (t < end) {
		int32_t offset = zone_offset(zone, t);
		struct local l = local_of(t + offset);
		/* A zone may be seconds off the minute; then the first full minute is the one that counts. */
		int64_t minute = 60 - l.second % 60, steps[3] = { DAY - l.second, 3600 - l.second % 3600, minute };
		int from;

		if (!day_matches(c, &l))
			from = 0;
		else if (!(c->hour >> l.hour & 1))
			from = 1;
		else if (!(c->minute >> l.minute & 1) || minute != 60)
			from = 2;
		else
			break;
		while (from < 2 && zone_offset(zone, t + steps[from]) != offset)
			from++;
		t += steps[from];
	}
	*ret = t;
	return t < end;
}
