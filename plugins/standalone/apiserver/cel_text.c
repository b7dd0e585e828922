/* SPDX-License-Identifier: Apache-2.0 */
/* Functions on text.  Positions and lengths count characters (code points), not bytes; texts are valid UTF-8. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

size_t
cel_runes(struct am_slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* The byte where a character begins; the end for the one behind the last; SIZE_MAX beyond. */
static size_t
byte_of(struct am_slice s, size_t rune)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80 && rune-- == 0)
			return i;
	return rune == 0 ? s.n : SIZE_MAX;
}

static size_t
rune_end(struct am_slice s, size_t from)
{
	size_t i = from + 1;

	while (i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80)
		i++;
	return i;
}

/* Byte position of what at from or behind it, or SIZE_MAX. */
static size_t
find(struct am_slice s, struct am_slice what, size_t from)
{
	if (what.n == 0)
		return from;
	for (size_t i = from; i + what.n <= s.n; i++) {
		const char *hit = memchr(s.p + i, what.p[0], s.n - what.n - i + 1);

		if (hit == NULL)
			break;
		i = (size_t)(hit - s.p);
		if (memcmp(hit, what.p, what.n) == 0)
			return i;
	}
	return SIZE_MAX;
}

static struct cel_value
out_of_range(struct cel_run *run, int64_t at)
{
	return cel_error(run, "index out of range: %lld", (long long)at);
}

static bool
scan(struct cel_run *run, struct am_slice s)
{
	return cel_charge(run, cel_scan_cost(s.n));
}

/* Looking for b in a, as it is counted for the worst case. */
static bool
search(struct cel_run *run, struct am_slice s, struct am_slice what)
{
	return cel_charge(run, cel_scan_cost(s.n) * AM_MAX(cel_scan_cost(what.n), UINT64_C(1)));
}

/* ---- the standard ones ---- */

FN(contains)
{
	return search(run, a[0].s, a[1].s) ? cel_bool(find(a[0].s, a[1].s, 0) != SIZE_MAX) : cel_exceeded(run);
}

FN(starts_with)
{
	return cel_charge(run, cel_scan_cost(a[1].s.n)) ?
		cel_bool(a[0].s.n >= a[1].s.n && memcmp(a[0].s.p, a[1].s.p, a[1].s.n) == 0) : cel_exceeded(run);
}

FN(ends_with)
{
	return cel_charge(run, cel_scan_cost(a[1].s.n)) ?
		cel_bool(a[0].s.n >= a[1].s.n && memcmp(a[0].s.p + a[0].s.n - a[1].s.n, a[1].s.p, a[1].s.n) == 0) :
		cel_exceeded(run);
}

/* ---- patterns ---- */

struct pattern {
	const pcre2_code *code;
	pcre2_code *own; /* compiled for this call */
};

static struct cel_value
pattern_open(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a, struct pattern *p)
{
	const char *problem;

	*p = (struct pattern){ .code = e->code };
	if (!cel_charge(run, cel_scan_cost(a[0].s.n + 1) * AM_MAX(a[1].s.n / 4, (size_t)1)))
		return cel_exceeded(run);
	if (p->code == NULL)
		p->code = p->own = am_pattern_compile(a[1].s.p, a[1].s.n, &problem);
	return p->code != NULL ? cel_bool(true) : cel_error(run, "error parsing regexp: %s", problem);
}

static int
pattern_find(struct cel_run *run, const struct pattern *p, struct am_slice text, size_t from, size_t ret[2])
{
	return am_pattern_find(&run->matcher, p->code, text.p, text.n, from, ret);
}

/* The first match of the pattern in the text; *ret: 1, 0 or, with an error as the value, less. */
static struct cel_value
first_match(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a, size_t at[2], int *ret)
{
	struct pattern p;
	struct cel_value v = pattern_open(run, e, a, &p);

	*ret = -1;
	if (cel_failed(v))
		return v;
	*ret = pattern_find(run, &p, a[0].s, 0, at);
	pcre2_code_free(p.own);
	return *ret < 0 ? cel_exceeded(run) : v;
}

FN(matches)
{
	size_t at[2];
	int found;
	struct cel_value v = first_match(run, e, a, at, &found);

	return found < 0 ? v : cel_bool(found > 0);
}

FN(find_first)
{
	size_t at[2];
	int found;
	struct cel_value v = first_match(run, e, a, at, &found);

	return found < 0 ? v : found == 0 ? cel_string(run, "", 0) : cel_string(run, a[0].s.p + at[0], at[1] - at[0]);
}

FN(find_all)
{
	int64_t limit = e->n == 3 && a[2].i >= 0 ? a[2].i : INT64_MAX;
	struct pattern p;
	struct cel_value v = pattern_open(run, e, a, &p), *items = cel_items(run, a[0].s.n + 1);
	size_t at[2], n = 0, last = SIZE_MAX;

	if (cel_failed(v))
		return v;
	if (items == NULL) {
		pcre2_code_free(p.own);
		return cel_exceeded(run);
	}
	int rc = 1;
	for (size_t from = 0; from <= a[0].s.n && (int64_t)n < limit;) {
		rc = pattern_find(run, &p, a[0].s, from, at);
		if (rc <= 0 || !cel_charge(run, 1))
			break;
		/* An empty match right behind a match is none. */
		if (at[0] != at[1] || at[0] != last)
			items[n++] = cel_string(run, a[0].s.p + at[0], at[1] - at[0]);
		last = at[1];
		from = at[1] > at[0] ? at[1] : rune_end(a[0].s, at[1]);
	}
	pcre2_code_free(p.own);
	return rc < 0 ? cel_exceeded(run) : cel_list_of(run, items, n);
}

/* ---- positions ---- */

FN(char_at)
{
	size_t at = a[1].i < 0 || (uint64_t)a[1].i > a[0].s.n ? SIZE_MAX : byte_of(a[0].s, (size_t)a[1].i);

	if (!scan(run, a[0].s))
		return cel_exceeded(run);
	if (at == SIZE_MAX)
		return out_of_range(run, a[1].i);
	return at == a[0].s.n ? cel_string(run, "", 0) : cel_string(run, a[0].s.p + at, rune_end(a[0].s, at) - at);
}

FN(index_of)
{
	int64_t from = e->n == 3 ? a[2].i : 0;
	size_t at = from < 0 || (uint64_t)from > a[0].s.n ? SIZE_MAX : byte_of(a[0].s, (size_t)from);

	if (!search(run, a[0].s, a[1].s))
		return cel_exceeded(run);
	if (from < 0)
		return out_of_range(run, from);
	if (a[1].s.n == 0)
		return cel_int(from);
	if (at == SIZE_MAX)
		return cel_int(-1);
	at = find(a[0].s, a[1].s, at);
	return cel_int(at == SIZE_MAX ? -1 : (int64_t)cel_runes(am_slice(a[0].s.p, at)));
}

FN(last_index_of)
{
	struct am_slice s = a[0].s, what = a[1].s;
	int64_t from = e->n == 3 ? a[2].i : (int64_t)cel_runes(s);
	size_t at = from < 0 || (uint64_t)from > s.n ? SIZE_MAX : byte_of(s, (size_t)from);

	if (!search(run, s, what))
		return cel_exceeded(run);
	if (from < 0)
		return out_of_range(run, from);
	if (what.n == 0)
		return cel_int(from);
	if (at == SIZE_MAX)
		return cel_int(-1);
	if (what.n > s.n)
		return cel_int(-1);
	for (size_t i = AM_MIN(at, s.n - what.n) + 1; i > 0; i--)
		if (memcmp(s.p + i - 1, what.p, what.n) == 0)
			return cel_int((int64_t)cel_runes(am_slice(s.p, i - 1)));
	return cel_int(-1);
}

FN(substring)
{
	size_t n = cel_runes(a[0].s);
	int64_t from = a[1].i, to = e->n == 3 ? a[2].i : (int64_t)n;

	if (!scan(run, a[0].s))
		return cel_exceeded(run);
	if (from < 0 || (uint64_t)from > n)
		return out_of_range(run, from);
	if (to < 0 || (uint64_t)to > n)
		return out_of_range(run, to);
	if (from > to)
		return cel_error(run, "invalid substring range. start: %lld, end: %lld", (long long)from, (long long)to);
	size_t begin = byte_of(a[0].s, (size_t)from), end = byte_of(a[0].s, (size_t)to);
	return cel_string(run, a[0].s.p + begin, end - begin);
}

/* ---- changing ---- */

static struct cel_value
mapped(struct cel_run *run, struct am_slice s, char first, char last, int by)
{
	struct cel_value v = scan(run, s) ? cel_string(run, s.p, s.n) : cel_exceeded(run);

	for (char *p = (char *)(uintptr_t)v.s.p; !cel_failed(v) && p < v.s.p + v.s.n; p++)
		if (*p >= first && *p <= last)
			*p = (char)(*p + by);
	return v;
}

FN(lower_ascii)
{
	return mapped(run, a[0].s, 'A', 'Z', 'a' - 'A');
}

FN(upper_ascii)
{
	return mapped(run, a[0].s, 'a', 'z', 'A' - 'a');
}

/* Length of the white space that s begins with at i, as Unicode has it; 0: none. */
static size_t
space_at(struct am_slice s, size_t i)
{
	static const char *const wide[] = { "\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
					    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
					    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
					    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80" };

	if (i < s.n && (s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r')))
		return 1;
	for (size_t k = 0; k < AM_COUNTOF(wide); k++) {
		size_t n = strlen(wide[k]);

		if (i + n <= s.n && memcmp(s.p + i, wide[k], n) == 0)
			return n;
	}
	return 0;
}

FN(trim)
{
	struct am_slice s = a[0].s;
	size_t begin = 0, end, n;

	if (!scan(run, s))
		return cel_exceeded(run);
	while ((n = space_at(s, begin)) > 0)
		begin += n;
	end = begin;
	for (size_t i = begin; i < s.n; i += n) {
		n = space_at(s, i);
		if (n == 0) {
			n = 1;
			end = i + 1;
		}
	}
	return cel_string(run, s.p + begin, end - begin);
}

FN(replace)
{
	struct am_slice s = a[0].s, from = a[1].s, to = a[2].s;
	int64_t limit = e->n == 4 ? a[3].i : -1;
	struct am_buf out = { .max = (size_t)16 << 20 };
	size_t at = 0, hit, n = 0;

	if (!search(run, s, from) || !cel_charge(run, cel_scan_cost(s.n) * AM_MAX(cel_scan_cost(to.n), UINT64_C(1))))
		return cel_exceeded(run);
	while (at <= s.n && (limit < 0 || (int64_t)n < limit) && (hit = find(s, from, at)) != SIZE_MAX) {
		am_buf_add(&out, s.p + at, hit - at);
		am_buf_add(&out, to.p, to.n);
		n++;
		at = hit + from.n;
		if (from.n == 0) { /* before each character and at the end */
			size_t end = at < s.n ? rune_end(s, at) : at + 1;

			am_buf_add(&out, s.p + at, AM_MIN(end, s.n) - AM_MIN(at, s.n));
			at = end;
		}
	}
	if (at < s.n)
		am_buf_add(&out, s.p + at, s.n - at);
	return cel_buf_string(run, &out);
}

FN(split)
{
	struct am_slice s = a[0].s, by = a[1].s;
	int64_t limit = e->n == 3 && a[2].i >= 0 ? a[2].i : INT64_MAX;
	struct cel_value *items = cel_items(run, s.n + 2);
	size_t n = 0, at = 0, hit;

	if (items == NULL || !search(run, s, by))
		return cel_exceeded(run);
	if (limit == 0)
		return cel_list_of(run, items, 0);
	while (at < s.n + (by.n > 0) && (int64_t)n + 1 < limit) {
		hit = by.n > 0 ? find(s, by, at) : rune_end(s, at);
		if (hit == SIZE_MAX || (by.n == 0 && hit >= s.n))
			break;
		items[n++] = cel_string(run, s.p + at, hit - at);
		at = hit + by.n;
	}
	if (at < s.n || by.n > 0)
		items[n++] = cel_string(run, s.p + at, s.n - at);
	return cel_list_of(run, items, n);
}

FN(join)
{
	struct am_slice by = e->n == 2 ? a[1].s : am_slice("", 0);
	struct am_buf out = { .max = (size_t)16 << 20 };

	for (size_t i = 0; i < a[0].list->n; i++) {
		const struct cel_value *v = &a[0].list->items[i];

		if (v->kind != CEL_STRING || !cel_charge(run, cel_scan_cost(v->s.n + by.n))) {
			am_buf_fini(&out);
			return v->kind != CEL_STRING ? cel_no_overload() : cel_exceeded(run);
		}
		if (i > 0)
			am_buf_add(&out, by.p, by.n);
		am_buf_add(&out, v->s.p, v->s.n);
	}
	return cel_buf_string(run, &out);
}

FN(quote)
{
	static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";
	struct am_buf out = { .max = (size_t)16 << 20 };

	if (!scan(run, a[0].s))
		return cel_exceeded(run);
	am_buf_addc(&out, '"');
	for (size_t i = 0; i < a[0].s.n; i++) {
		const char *hit = a[0].s.p[i] != '\0' ? strchr(from, a[0].s.p[i]) : NULL;

		if (hit != NULL) {
			am_buf_addc(&out, '\\');
			am_buf_addc(&out, to[hit - from]);
		} else {
			am_buf_addc(&out, a[0].s.p[i]);
		}
	}
	am_buf_addc(&out, '"');
	return cel_buf_string(run, &out);
}

/* ---- numbers as text ---- */

void
cel_double_print(double d, struct am_buf *out)
{
	char text[40], *exponent;
	int digits = 0, power;

	if (isnan(d) || isinf(d)) {
		am_buf_adds(out, isnan(d) ? "NaN" : d > 0 ? "+Inf" : "-Inf");
		return;
	}
	do
		snprintf(text, sizeof(text), "%.*e", digits, d);
	while (strtod(text, NULL) != d && ++digits < 17);
	exponent = strchr(text, 'e');
	power = atoi(exponent + 1);
	if (power < -4 || power >= 6)
		am_buf_adds(out, text);
	else
		am_buf_addf(out, "%.*f", AM_MAX(digits - power, 0), d);
}

const struct cel_fn cel_text_fns[] = {
	{ "contains", "s.s>b", contains }, { "startsWith", "s.s>b", starts_with }, { "endsWith", "s.s>b", ends_with },
	{ "matches", "s.s>b", matches }, { "matches", "ss>b", matches }, { "find", "s.s>s", find_first },
	{ "findAll", "s.s>[s", find_all }, { "findAll", "s.si>[s", find_all },
	{ "charAt", "s.i>s", char_at }, { "indexOf", "s.s>i", index_of }, { "indexOf", "s.si>i", index_of },
	{ "lastIndexOf", "s.s>i", last_index_of }, { "lastIndexOf", "s.si>i", last_index_of },
	{ "substring", "s.i>s", substring }, { "substring", "s.ii>s", substring },
	{ "lowerAscii", "s.>s", lower_ascii }, { "upperAscii", "s.>s", upper_ascii }, { "trim", "s.>s", trim },
	{ "replace", "s.ss>s", replace }, { "replace", "s.ssi>s", replace },
	{ "split", "s.s>[s", split }, { "split", "s.si>[s", split },
	{ "join", "[s.>s", join }, { "join", "[s.s>s", join }, { "strings.quote", "s>s", quote },
	{ NULL, NULL, NULL },
};
