/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semantic versions ("1.2.3-rc.1+build"), by the rules of semver.org.  What stands behind a plus does not take part in
 * comparisons.  With "normalize" a leading v, leading zeros and missing numbers are forgiven.
 */
#include <ctype.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

struct cel_semver {
	uint64_t numbers[3];
	struct am_slice pre; /* "rc.1"; empty: a release */
};

/* The part of *s before the separator, which goes with it; *more: there was one. */
static struct am_slice
cut(struct am_slice *s, char separator, bool *more)
{
	const char *end = s->n > 0 ? memchr(s->p, separator, s->n) : NULL;
	struct am_slice part = am_slice(s->p, end != NULL ? (size_t)(end - s->p) : s->n);

	*more = end != NULL;
	*s = end != NULL ? am_slice(end + 1, s->n - part.n - 1) : am_slice("", 0);
	return part;
}

static bool
only(struct am_slice s, bool (*ok)(char c))
{
	for (size_t i = 0; i < s.n; i++)
		if (!ok(s.p[i]))
			return false;
	return true;
}

static bool
is_digit(char c)
{
	return isdigit((unsigned char)c) != 0;
}

static bool
is_identifier(char c)
{
	return isalnum((unsigned char)c) || c == '-';
}

/* Decimal digits; false when there are none or too many. */
static bool
number(struct am_slice s, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < s.n; i++)
		if (__builtin_mul_overflow(*ret, (uint64_t)10, ret) ||
		    __builtin_add_overflow(*ret, (uint64_t)(s.p[i] - '0'), ret))
			return false;
	return s.n > 0;
}

static bool
bad(struct am_buf *problem, const char *what, struct am_slice part)
{
	am_buf_addf(problem, "%s \"%.*s\"", what, (int)AM_MIN(part.n, (size_t)256), part.p);
	return false;
}

static bool
read_number(struct am_slice s, int which, uint64_t *ret, struct am_buf *problem)
{
	static const struct {
		const char *characters, *zeros;
	} texts[] = {
		{"Invalid character(s) found in major number", "Major number must not contain leading zeroes"},
		{"Invalid character(s) found in minor number", "Minor number must not contain leading zeroes"},
		{"Invalid character(s) found in patch number", "Patch number must not contain leading zeroes"},
	};

	if (!only(s, is_digit))
		return bad(problem, texts[which].characters, s);
	if (s.n > 1 && s.p[0] == '0')
		return bad(problem, texts[which].zeros, s);
	return number(s, ret) || bad(problem, "strconv.ParseUint: parsing", s);
}

/* The identifiers between dots. */
static bool
check_identifiers(struct am_slice s, bool pre, struct am_buf *problem)
{
	uint64_t ignored;
	bool more = true;

	while (more) {
		struct am_slice part = cut(&s, '.', &more);
		bool digits = only(part, is_digit);

		if (part.n == 0) {
			am_buf_adds(problem, pre ? "Prerelease is empty" : "Build meta data is empty");
			return false;
		}
		if (!only(part, is_identifier))
			return bad(problem,
				   pre ? "Invalid character(s) found in prerelease"
				       : "Invalid character(s) found in build meta data",
				   part);
		if (pre && digits && part.n > 1 && part.p[0] == '0')
			return bad(problem, "Numeric PreRelease version must not contain leading zeroes", part);
		if (pre && digits && !number(part, &ignored))
			return bad(problem, "strconv.ParseUint: parsing", part);
	}
	return true;
}

/* False with a problem. */
static bool
parse(struct am_slice s, struct cel_semver *v, struct am_buf *problem)
{
	bool more, dashed, built;

	struct am_slice major = cut(&s, '.', &more), minor = cut(&s, '.', &more);
	if (!more) {
		am_buf_adds(problem, major.n == 0 ? "Version string empty" : "No Major.Minor.Patch elements found");
		return false;
	}
	struct am_slice rest = cut(&s, '+', &built), patch = cut(&rest, '-', &dashed);
	v->pre = rest;
	return read_number(major, 0, &v->numbers[0], problem) && read_number(minor, 1, &v->numbers[1], problem) &&
	       read_number(patch, 2, &v->numbers[2], problem) &&
	       (!dashed || check_identifiers(v->pre, true, problem)) &&
	       (!built || check_identifiers(s, false, problem));
}

static void
add_without_zeros(struct am_buf *out, struct am_slice part)
{
	bool several = part.n > 1;

	while (several && part.n > 0 && part.p[0] == '0')
		part = am_slice(part.p + 1, part.n - 1);
	if (several && (part.n == 0 || !is_digit(part.p[0])))
		am_buf_addc(out, '0');
	am_buf_add(out, part.p, part.n);
}

/* "v1.02" becomes "1.2.0". */
static bool
normalize(struct am_slice s, struct am_buf *out, struct am_buf *problem)
{
	bool more = true;
	int parts = 0;

	if (s.n > 0 && s.p[0] == 'v')
		s = am_slice(s.p + 1, s.n - 1);
	for (; more && parts < 3; parts++) {
		struct am_slice part = s;

		if (parts < 2)
			part = cut(&s, '.', &more);
		if (parts < 2 && !more && part.n > 0 &&
		    (memchr(part.p, '+', part.n) != NULL || memchr(part.p, '-', part.n) != NULL)) {
			am_buf_adds(problem, "short version cannot contain PreRelease/Build meta data");
			return false;
		}
		am_buf_adds(out, parts > 0 ? "." : "");
		add_without_zeros(out, part);
	}
	for (; parts < 3; parts++)
		am_buf_adds(out, ".0");
	return true;
}

/* The version that is a[0], by the flag that may be a[1]; no version and nothing else when there is a problem. */
static struct cel_value
made(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a, struct am_buf *problem)
{
	struct cel_semver *v = am_arena_zalloc(run->arena, sizeof(*v));
	struct cel_value text = a[0];

	if (v == NULL || !cel_charge(run, cel_scan_cost(a[0].s.n)))
		return cel_exceeded(run);
	if (e->n > 1 && a[1].b) {
		struct am_buf out = {0};
		bool ok = normalize(a[0].s, &out, problem);

		text = cel_buf_string(run, &out);
		am_buf_fini(&out);
		if (cel_failed(text) || !ok)
			return text;
	}
	parse(text.s, v, problem);
	return (struct cel_value){.kind = CEL_SEMVER, .semver = v};
}

FN(semver)
{
	struct am_buf problem = {.max = 1024};
	struct cel_value v = made(run, e, a, &problem);

	if (!cel_failed(v) && problem.len > 0)
		v = cel_error(run, "%s", am_buf_str(&problem));
	am_buf_fini(&problem);
	return v;
}

FN(is_semver)
{
	struct am_buf problem = {.max = 1024};
	struct cel_value v = made(run, e, a, &problem);

	if (!cel_failed(v))
		v = cel_bool(problem.len == 0);
	am_buf_fini(&problem);
	return v;
}

/* ---- order ---- */

static int
order_of_texts(struct am_slice a, struct am_slice b)
{
	int o = memcmp(a.p, b.p, AM_MIN(a.n, b.n));

	return o != 0 ? o : a.n < b.n ? -1 : a.n > b.n;
}

/* Numbers come before words. */
static int
order_of_identifiers(struct am_slice a, struct am_slice b)
{
	bool na = only(a, is_digit), nb = only(b, is_digit);
	uint64_t x = 0, y = 0;

	if (na != nb)
		return na ? -1 : 1;
	if (!na)
		return order_of_texts(a, b);
	number(a, &x);
	number(b, &y);
	return x < y ? -1 : x > y;
}

int
cel_semver_order(const struct cel_semver *a, const struct cel_semver *b)
{
	struct am_slice pa = a->pre, pb = b->pre;
	bool more_a = true, more_b = true;

	for (int i = 0; i < 3; i++)
		if (a->numbers[i] != b->numbers[i])
			return a->numbers[i] < b->numbers[i] ? -1 : 1;
	if (pa.n == 0 || pb.n == 0)
		return pa.n > 0 ? -1 : pb.n > 0;
	while (more_a && more_b) {
		int o = order_of_identifiers(cut(&pa, '.', &more_a), cut(&pb, '.', &more_b));

		if (o != 0)
			return o < 0 ? -1 : 1;
	}
	return more_a - more_b;
}

FN(compare_to)
{
	return cel_int(cel_semver_order(a[0].semver, a[1].semver));
}

FN(is_greater)
{
	return cel_bool(cel_semver_order(a[0].semver, a[1].semver) > 0);
}

FN(is_less)
{
	return cel_bool(cel_semver_order(a[0].semver, a[1].semver) < 0);
}

FN(major)
{
	return cel_int((int64_t)a[0].semver->numbers[0]);
}

FN(minor)
{
	return cel_int((int64_t)a[0].semver->numbers[1]);
}

FN(patch)
{
	return cel_int((int64_t)a[0].semver->numbers[2]);
}

const struct cel_fn cel_semver_fns[] = {
	{"semver", "s>V", semver},
	{"semver", "sb>V", semver},
	{"isSemver", "s>b", is_semver},
	{"isSemver", "sb>b", is_semver},
	{"compareTo", "V.V>i", compare_to},
	{"isGreaterThan", "V.V>b", is_greater},
	{"isLessThan", "V.V>b", is_less},
	{"major", "V.>i", major},
	{"minor", "V.>i", minor},
	{"patch", "V.>i", patch},
	{NULL, NULL, NULL},
};
