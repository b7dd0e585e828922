/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between types: int(), uint(), double(), string(), bytes(), bool(), timestamp(), duration(). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

static struct cel_value
cannot(struct cel_run *run, const char *from, const char *to)
{
	return cel_error(run, "type conversion error from '%s' to '%s'", from, to);
}

/* Digits only, with a sign if wanted. */
static bool
is_whole(struct am_slice s, bool sign)
{
	size_t i = sign && s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');

	if (i == s.n || s.n > 40)
		return false;
	for (; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return true;
}

FN(to_int)
{
	int64_t i;

	switch (a[0].kind) {
	case CEL_UINT:
		return a[0].u > INT64_MAX ? cel_error(run, "integer overflow") : cel_int((int64_t)a[0].u);
	case CEL_DOUBLE:
		if (!(a[0].d > -9223372036854775808.0 && a[0].d < 9223372036854775808.0))
			return cel_error(run, "integer overflow");
		return cel_int((int64_t)a[0].d);
	case CEL_STRING:
		errno = 0;
		i = is_whole(a[0].s, true) ? strtoll(a[0].s.p, NULL, 10) : 0;
		return !is_whole(a[0].s, true) || errno != 0 ? cannot(run, "string", "int") : cel_int(i);
	default: /* timestamps and durations in seconds and ns */
		return cel_int(a[0].i);
	}
}

FN(to_uint)
{
	unsigned long long u;

	switch (a[0].kind) {
	case CEL_INT:
		return a[0].i < 0 ? cel_error(run, "unsigned integer overflow") : cel_uint((uint64_t)a[0].i);
	case CEL_DOUBLE:
		if (!(a[0].d > -1 && a[0].d < 18446744073709551616.0) || a[0].d < 0)
			return cel_error(run, "unsigned integer overflow");
		return cel_uint((uint64_t)a[0].d);
	default:
		errno = 0;
		u = is_whole(a[0].s, false) ? strtoull(a[0].s.p, NULL, 10) : 0;
		return !is_whole(a[0].s, false) || errno != 0 ? cannot(run, "string", "uint") : cel_uint(u);
	}
}

static bool
is_real(const char *s)
{
	size_t n = strspn(s, "0123456789+-.eE");
	static const char *const words[] = { "NaN", "nan", "Inf", "+Inf", "-Inf", "inf", "-inf", "+inf", "Infinity",
					     "-Infinity", "+Infinity" };

	if (*s != '\0' && s[n] == '\0')
		return true;
	for (size_t i = 0; i < AM_COUNTOF(words); i++)
		if (strcmp(words[i], s) == 0)
			return true;
	return false;
}

FN(to_double)
{
	char *end = NULL;

	if (a[0].kind == CEL_INT)
		return cel_double((double)a[0].i);
	if (a[0].kind == CEL_UINT)
		return cel_double((double)a[0].u);
	double d = is_real(a[0].s.p) ? strtod(a[0].s.p, &end) : 0;
	if (end == NULL || *end != '\0' || strlen(a[0].s.p) != a[0].s.n || (isinf(d) && strpbrk(a[0].s.p, "iI") == NULL))
		return cannot(run, "string", "double");
	return cel_double(d);
}

FN(to_string)
{
	struct am_buf text = { 0 };

	switch (a[0].kind) {
	case CEL_BOOL:
		am_buf_adds(&text, a[0].b ? "true" : "false");
		break;
	case CEL_INT:
		am_buf_addf(&text, "%lld", (long long)a[0].i);
		break;
	case CEL_UINT:
		am_buf_addf(&text, "%llu", (unsigned long long)a[0].u);
		break;
	case CEL_DOUBLE:
		cel_double_print(a[0].d, &text);
		break;
	case CEL_TIMESTAMP:
		cel_time_print(&a[0], &text);
		break;
	case CEL_DURATION:
		cel_duration_print(a[0].i, &text);
		break;
	default:
		if (!am_utf8_valid(a[0].s.p, a[0].s.n))
			return cel_error(run, "invalid UTF-8 in bytes, cannot convert to string");
		if (!cel_charge(run, cel_scan_cost(a[0].s.n)))
			return cel_exceeded(run);
		return cel_string(run, a[0].s.p, a[0].s.n);
	}
	return cel_buf_string(run, &text);
}

FN(to_bytes)
{
	struct cel_value v = a[0];

	v.kind = CEL_BYTES;
	return cel_charge(run, cel_scan_cost(v.s.n)) ? v : cel_exceeded(run);
}

FN(to_bool)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < AM_COUNTOF(yes); i++) {
		if (am_slice_eq(a[0].s, yes[i]))
			return cel_bool(true);
		if (am_slice_eq(a[0].s, no[i]))
			return cel_bool(false);
	}
	return cannot(run, "string", "bool");
}

FN(itself)
{
	return a[0];
}

FN(to_timestamp)
{
	struct cel_value v = { .kind = CEL_TIMESTAMP };

	if (a[0].kind == CEL_INT) {
		v.i = a[0].i;
		return v.i < CEL_TIME_MIN || v.i > CEL_TIME_MAX ? cel_error(run, "timestamp overflow") : v;
	}
	return cel_time_parse(a[0].s, &v) < 0 ? cannot(run, "string", "google.protobuf.Timestamp") : v;
}

FN(to_duration)
{
	struct cel_value v = { .kind = CEL_DURATION };

	if (a[0].kind == CEL_INT) {
		v.i = a[0].i;
		return v;
	}
	return cel_duration_parse(a[0].s, &v.i) < 0 ? cannot(run, "string", "google.protobuf.Duration") : v;
}

const struct cel_fn cel_convert_fns[] = {
	{ "int", "i>i", itself }, { "int", "u>i", to_int }, { "int", "d>i", to_int }, { "int", "s>i", to_int },
	{ "int", "t>i", to_int }, { "int", "D>i", to_int },
	{ "uint", "u>u", itself }, { "uint", "i>u", to_uint }, { "uint", "d>u", to_uint }, { "uint", "s>u", to_uint },
	{ "double", "d>d", itself }, { "double", "i>d", to_double }, { "double", "u>d", to_double },
	{ "double", "s>d", to_double },
	{ "string", "s>s", itself }, { "string", "b>s", to_string }, { "string", "i>s", to_string },
	{ "string", "u>s", to_string }, { "string", "d>s", to_string }, { "string", "y>s", to_string },
	{ "string", "t>s", to_string }, { "string", "D>s", to_string },
	{ "bytes", "y>y", itself }, { "bytes", "s>y", to_bytes },
	{ "bool", "b>b", itself }, { "bool", "s>b", to_bool },
	{ "timestamp", "t>t", itself }, { "timestamp", "s>t", to_timestamp }, { "timestamp", "i>t", to_timestamp },
	{ "duration", "D>D", itself }, { "duration", "s>D", to_duration }, { "duration", "i>D", to_duration },
	{ NULL, NULL, NULL },
};
