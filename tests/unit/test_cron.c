/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules and time zones: what is taken and refused, and the next time against a model that tries every minute. */
#include "plugins/standalone/shared/cron.h"

#include <time.h>

#include "tests/lib/unit.h"

static int64_t
at(const char *text)
{
	struct tm tm = { 0 };

	ck_assert_ptr_nonnull(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
	return timegm(&tm);
}

static const char *
next(const char *schedule, const char *zone_name, const char *after)
{
	static char text[32];
	struct cron cron;
	char why[128] = "";
	struct zone *zone = zone_name != NULL ? zone_load(zone_name, why, sizeof(why)) : NULL;
	int64_t t;

	ck_assert_msg(zone_name == NULL || zone != NULL, "%s", why);
	ck_assert_msg(cron_parse(schedule, &cron, why, sizeof(why)), "%s: %s", schedule, why);
	if (cron_next(&cron, zone, at(after), &t)) {
		time_t when = (time_t)t;
		struct tm tm;
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", gmtime_r(&when, &tm));
	} else {
		strcpy(text, "never");
	}
	zone_free(zone);
	return text;
}

START_TEST(next_times)
{
	static const struct {
		const char *schedule, *after, *next;
	} rows[] = {
		{ "* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00" },
		{ "* * * * *", "2026-01-01 00:00:59", "2026-01-01 00:01:00" },
		{ "*/15 * * * *", "2026-01-01 00:46:00", "2026-01-01 01:00:00" },
		{ "5/20 * * * *", "2026-01-01 00:26:00", "2026-01-01 00:45:00" },
		{ "0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00" },
		{ "0 0 31 2 *", "2026-01-01 00:00:00", "never" },
		{ "0 12 * * mon-fri", "2026-01-02 12:00:00", "2026-01-05 12:00:00" },
		{ "0 12 * * SUN", "2026-01-02 12:00:00", "2026-01-04 12:00:00" },
		{ "0 12 13 * 5", "2026-01-02 12:00:00", "2026-01-09 12:00:00" },   /* either */
		{ "0 12 13 * 5", "2026-01-09 12:00:00", "2026-01-13 12:00:00" },
		{ "0 12 */2 * 5", "2026-01-02 12:00:00", "2026-01-03 12:00:00" },
		{ "0 12 ? * 5", "2026-01-02 12:00:00", "2026-01-09 12:00:00" },
		{ "1,2,30-32 1-3/2 * JAN,jul *", "2026-01-31 03:32:00", "2026-07-01 01:01:00" },
		{ "@hourly", "2026-01-01 00:00:00", "2026-01-01 01:00:00" },
		{ "@daily", "2026-01-01 00:00:00", "2026-01-02 00:00:00" },
		{ "@midnight", "2026-01-01 00:00:00", "2026-01-02 00:00:00" },
		{ "@weekly", "2026-01-01 00:00:00", "2026-01-04 00:00:00" },
		{ "@monthly", "2026-01-01 00:00:00", "2026-02-01 00:00:00" },
		{ "@yearly", "2026-01-01 00:00:00", "2027-01-01 00:00:00" },
		{ "@annually", "2026-01-01 00:00:00", "2027-01-01 00:00:00" },
		{ "@every 90s", "2026-01-01 00:00:30", "2026-01-01 00:02:00" },
		{ "@every 1h30m", "2026-01-01 00:00:30", "2026-01-01 01:30:30" },
		{ "@every 1ms", "2026-01-01 00:00:30", "2026-01-01 00:00:31" },
		{ "@every 1.5h", "2026-01-01 00:00:00", "2026-01-01 01:30:00" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(strcmp(next(rows[i].schedule, NULL, rows[i].after), rows[i].next) == 0, "%s after %s: %s", rows[i].schedule,
			      rows[i].after, next(rows[i].schedule, NULL, rows[i].after));
}
END_TEST

START_TEST(refused_schedules)
{
	static const struct {
		const char *schedule, *why;
	} rows[] = {
		{ "", "empty spec string" },
		{ "* * * *", "expected exactly 5 fields, found 4: [* * * *]" },
		{ "* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]" },
		{ "60 * * * *", "end of range (60) above maximum (59): 60" },
		{ "* 24 * * *", "end of range (24) above maximum (23): 24" },
		{ "* * 0 * *", "beginning of range (0) below minimum (1): 0" },
		{ "* * * 13 *", "end of range (13) above maximum (12): 13" },
		{ "* * * * 7", "end of range (7) above maximum (6): 7" },
		{ "5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3" },
		{ "*/0 * * * *", "step of range should be a positive number: */0" },
		{ "*/2/3 * * * *", "too many slashes: */2/3" },
		{ "1-2-3 * * * *", "too many hyphens: 1-2-3" },
		{ "x * * * *", "failed to parse int from x: it is no number" },
		{ "* * L * *", "failed to parse int from L: it is no number" },
		{ "* * * foo *", "failed to parse int from foo: it is no number and no name" },
		{ ", * * * *", "an empty field" },
		{ "@reboot", "unrecognized descriptor: @reboot" },
		{ "@every", "unrecognized descriptor: @every" },
		{ "@every x", "failed to parse duration @every x: it is no duration such as 1h30m" },
		{ "@every -5m", "failed to parse duration @every -5m: it is no duration such as 1h30m" },
		{ "-1 * * * *", "failed to parse int from : it is no number" },
	};
	struct cron cron;
	char why[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(!cron_parse(rows[i].schedule, &cron, why, sizeof(why)), "%s was taken", rows[i].schedule);
		ck_assert_str_eq(why, rows[i].why);
	}
}
END_TEST

START_TEST(clocks_that_go_forward_and_back)
{
	/* Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.  2:30 does not come that day. */
	ck_assert_str_eq(next("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00"), "2026-03-30 00:30:00");
	ck_assert_str_eq(next("0 0 * * *", "Europe/Berlin", "2026-03-28 23:00:00"), "2026-03-29 22:00:00");
	/* 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.  2:30 comes twice. */
	ck_assert_str_eq(next("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00"), "2026-10-25 00:30:00");
	ck_assert_str_eq(next("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30:00"), "2026-10-25 01:30:00");
	ck_assert_str_eq(next("30 2 * * *", "Europe/Berlin", "2026-10-25 01:30:00"), "2026-10-26 01:30:00");
	/* Midnight itself is left out: Beirut, 2026-03-29. */
	ck_assert_str_eq(next("0 0 * * *", "Asia/Beirut", "2026-03-28 12:00:00"), "2026-03-29 21:00:00");
	/* Half an hour, and a quarter: Lord Howe, Kathmandu. */
	ck_assert_str_eq(next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00"), "2026-10-04 15:15:00");
	ck_assert_str_eq(next("0 0 * * *", "Asia/Kathmandu", "2026-01-01 00:00:00"), "2026-01-01 18:15:00");
	/* Beyond the table of transitions, by the rule in the footer. */
	ck_assert_str_eq(next("0 12 * * *", "Europe/Berlin", "2090-07-01 00:00:00"), "2090-07-01 10:00:00");
	ck_assert_str_eq(next("0 12 * * *", "America/New_York", "2090-12-01 00:00:00"), "2090-12-01 17:00:00");
	ck_assert_str_eq(next("0 12 * * *", "Australia/Sydney", "2090-12-01 00:00:00"), "2090-12-01 01:00:00");
}
END_TEST

/* The C library knows zones too, one at a time. */
START_TEST(offsets_are_the_libraries)
{
	static const char *const names[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
					     "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia", "UTC", "Etc/GMT+3" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char why[64];
		struct zone *zone = zone_load(names[i], why, sizeof(why));
		ck_assert_msg(zone != NULL, "%s", why);
		setenv("TZ", names[i], 1);
		tzset();
		for (int64_t t = at("1971-01-01 00:00:00"); t < at("2120-01-01 00:00:00"); t += 7 * 86400 + 3571) {
			struct tm tm;
			time_t when = (time_t)t;
			localtime_r(&when, &tm);
			ck_assert_msg(zone_offset(zone, t) == tm.tm_gmtoff, "%s at %lld: %d, not %ld", names[i], (long long)t,
				      zone_offset(zone, t), tm.tm_gmtoff);
		}
		zone_free(zone);
	}
}
END_TEST

static unsigned seed = 11;

static unsigned
roll(unsigned n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* What a schedule means, said in another way. */
static bool
field_has(const char *field, int min, int max, int value)
{
	char copy[64], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", field);
	for (char *item = strtok_r(copy, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
		int a, b, step;
		if (*item == '*') {
			a = min;
			b = max;
			step = sscanf(item, "*/%d", &step) == 1 ? step : 1;
		} else if (sscanf(item, "%d-%d/%d", &a, &b, &step) != 3) {
			step = 1;
			if (sscanf(item, "%d/%d", &a, &step) == 2)
				b = max;
			else if (sscanf(item, "%d-%d", &a, &b) != 2)
				b = a = atoi(item);
		}
		for (int v = a; v <= b; v += step)
			if (v == value)
				return true;
	}
	return false;
}

static void
random_field(char out[64], int min, int max)
{
	int span = max - min + 1, a = min + (int)roll((unsigned)span), b = a + (int)roll((unsigned)(max - a + 1));

	switch (roll(6)) {
	case 0:
		snprintf(out, 64, "%d", a);
		break;
	case 1:
		snprintf(out, 64, "%d-%d", a, b);
		break;
	case 2:
		snprintf(out, 64, "%d-%d/%u,%d", a, b, 1 + roll(5), min + (int)roll((unsigned)span));
		break;
	case 3:
		snprintf(out, 64, "*/%u", 1 + roll(7));
		break;
	case 4:
		snprintf(out, 64, "%d/%u", a, 1 + roll(7));
		break;
	default:
		snprintf(out, 64, "*");
	}
}

START_TEST(next_is_what_trying_every_minute_finds)
{
	static const char *const zones[] = { NULL, "Europe/Berlin", "Australia/Lord_Howe", "America/New_York", "Asia/Beirut" };
	static const int low[] = { 0, 0, 1, 1, 0 }, high[] = { 59, 23, 31, 12, 6 };

	for (int round = 0, rounds = unit_rounds(200); round < rounds; round++) {
		char f[5][64], text[400], why[128];
		struct zone *zone = zones[round % 5] != NULL ? zone_load(zones[round % 5], why, sizeof(why)) : NULL;
		struct cron cron;
		int64_t after = at("2026-03-01 00:00:00") + (int64_t)roll(300) * 86400 + roll(86400), found, t;

		for (int i = 0; i < 5; i++)
			random_field(f[i], low[i], high[i]);
		if (round % 2 == 0)
			strcpy(f[3], "*");
		snprintf(text, sizeof(text), "%s %s %s %s %s", f[0], f[1], f[2], f[3], f[4]);
		ck_assert_msg(cron_parse(text, &cron, why, sizeof(why)), "%s: %s", text, why);
		bool some = cron_next(&cron, zone, after, &found);
		int64_t end = after + 20 * 86400;
		bool any = strcmp(f[2], "*") == 0 || strcmp(f[2], "*/1") == 0 || strcmp(f[4], "*") == 0 || strcmp(f[4], "*/1") == 0;
		for (t = after / 60 * 60 + 60; t < end; t += 60) {
			time_t local = (time_t)(t + zone_offset(zone, t));
			struct tm tm;
			if (!field_has(f[0], 0, 59, (int)(local / 60 % 60)))
				continue;
			gmtime_r(&local, &tm);
			bool day = field_has(f[2], 1, 31, tm.tm_mday), weekday = field_has(f[4], 0, 6, tm.tm_wday);
			if (field_has(f[3], 1, 12, tm.tm_mon + 1) && (any ? day && weekday : day || weekday) &&
			    field_has(f[1], 0, 23, tm.tm_hour))
				break;
		}
		if (t < end)
			ck_assert_msg(some && found == t, "%s in %s after %lld: %lld, not %lld", text, zones[round % 5] != NULL ?
				      zones[round % 5] : "UTC", (long long)after, (long long)found, (long long)t);
		else
			ck_assert_msg(!some || found >= end, "%s: %lld is too early", text, (long long)found);
		zone_free(zone);
	}
}
END_TEST

START_TEST(names_that_are_no_zones)
{
	static const char *const names[] = { "", "Nowhere/Town", "../../etc/passwd", "Europe//Berlin", "/etc/localtime", "Europe",
					     "-x", "Europe/Berlin/", ".", "tzdata.zi" };
	char why[300];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_msg(zone_load(names[i], why, sizeof(why)) == NULL, "%s is a zone", names[i]);
		ck_assert_ptr_nonnull(strstr(why, "unknown time zone"));
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, next_times);
	tcase_add_test(tc, refused_schedules);
	tcase_add_test(tc, clocks_that_go_forward_and_back);
	tcase_add_test(tc, offsets_are_the_libraries);
	tcase_add_test(tc, next_is_what_trying_every_minute_finds);
	tcase_add_test(tc, names_that_are_no_zones);
}

UNIT_MAIN("cron", cases)
