/* SPDX-License-Identifier: Apache-2.0 */
/* The string formats that Kubernetes enforces.  Unknown ones are accepted, as there. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/base/util.h"
#include "plugins/standalone/apiserver/schema.h"

/* A small pattern: 'h' hex digit, 'd' digit, anything else itself. */
static bool
shape(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; pattern++, text++) {
		bool ok = *pattern == 'h' ? isxdigit((unsigned char)*text) != 0 :
			  *pattern == 'd' ? isdigit((unsigned char)*text) != 0 : *text == *pattern;
		if (!ok)
			return false;
	}
	return *text == '\0';
}

static bool
is_date_time(const char *text, size_t n)
{
	int64_t ns;

	return am_time_parse(text, &ns) == 0;
}

static bool
is_date(const char *text, size_t n)
{
	if (!shape(text, "dddd-dd-dd"))
		return false;
	int month = atoi(text + 5), day = atoi(text + 8);
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool
is_ipv4(const char *text, size_t n)
{
	unsigned char address[16];

	return inet_pton(AF_INET, text, address) == 1;
}

static bool
is_ipv6(const char *text, size_t n)
{
	unsigned char address[16];

	return inet_pton(AF_INET6, text, address) == 1;
}

static bool
is_cidr(const char *text, size_t n)
{
	char address[64];
	const char *slash = strchr(text, '/');
	int64_t bits;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(address) || am_parse_i64(slash + 1, &bits) < 0 || bits < 0)
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	return (is_ipv4(address, 0) && bits <= 32) || (is_ipv6(address, 0) && bits <= 128);
}

static bool
is_byte(const char *text, size_t n)
{
	struct am_buf out = { 0 };
	bool ok = am_base64_decode(&out, text, n, false) == 0;

	am_buf_fini(&out);
	return ok;
}

static bool
is_uuid(const char *text, size_t n)
{
	return shape(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") || shape(text, "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh");
}

static bool
is_mac(const char *text, size_t n)
{
	return shape(text, "hh:hh:hh:hh:hh:hh") || shape(text, "hh-hh-hh-hh-hh-hh");
}

static bool
is_object_id(const char *text, size_t n)
{
	return shape(text, "hhhhhhhhhhhhhhhhhhhhhhhh");
}

static bool
is_ssn(const char *text, size_t n)
{
	return shape(text, "ddd-dd-dddd") || shape(text, "ddd dd dddd");
}

static bool
is_hexcolor(const char *text, size_t n)
{
	text += *text == '#';
	return shape(text, "hhh") || shape(text, "hhhhhh");
}

static bool
is_hostname(const char *text, size_t n)
{
	return n > 0 && n <= 253 && text[0] != '-' && text[n - 1] != '-' && strspn(text,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n;
}

static bool
is_email(const char *text, size_t n)
{
	const char *at = strrchr(text, '@');

	return at != NULL && at != text && strcspn(text, " \t\r\n") == n && is_hostname(at + 1, strlen(at + 1));
}

static bool
is_uri(const char *text, size_t n)
{
	size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	if (strcspn(text, " \t\r\n\"<>\\^`{|}") != n)
		return false;
	return (scheme > 0 && isalpha((unsigned char)text[0]) && text[scheme] == ':' && text[scheme + 1] != '\0') ||
	       text[0] == '/';
}

/* Go's durations: "1h30m", "-1.5s"; also a plain number of days and the like are refused. */
static bool
is_duration(const char *text, size_t n)
{
	static const char *const units[] = { "ns", "us", "\xc2\xb5s", "ms", "s", "m", "h" };

	text += *text == '-' || *text == '+';
	if (strcmp(text, "0") == 0)
		return true;
	if (*text == '\0')
		return false;
	while (*text != '\0') {
		size_t digits = strspn(text, "0123456789."), unit = 0;
		for (size_t i = 0; i < AM_COUNTOF(units); i++)
			if (am_starts(text + digits, units[i]))
				unit = AM_MAX(unit, strlen(units[i]));
		if (digits == 0 || unit == 0)
			return false;
		text += digits + unit;
	}
	return true;
}

static const struct {
	const char *name;
	bool (*ok)(const char *text, size_t n);
} formats[] = {
	{ "date-time", is_date_time }, { "datetime", is_date_time }, { "date", is_date },       { "ipv4", is_ipv4 },
	{ "ipv6", is_ipv6 },           { "cidr", is_cidr },          { "byte", is_byte },       { "uuid", is_uuid },
	{ "uuid3", is_uuid },          { "uuid4", is_uuid },         { "uuid5", is_uuid },      { "mac", is_mac },
	{ "bsonobjectid", is_object_id }, { "ssn", is_ssn },         { "hexcolor", is_hexcolor }, { "hostname", is_hostname },
	{ "email", is_email },         { "uri", is_uri },            { "duration", is_duration },
};

bool
am_format_ok(const char *format, const char *text, size_t n)
{
	for (size_t i = 0; i < AM_COUNTOF(formats); i++)
		if (strcmp(formats[i].name, format) == 0)
			return strlen(text) == n && formats[i].ok(text, n);
	return true;
}
