/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes quantities ("1500m", "2Gi", "1e3"), exact in billionths, which is as fine as Kubernetes keeps them.  What
 * is finer is rounded away from zero; what is beyond 2^63-1 is that.
 */
#include <ctype.h>
#include <math.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define FN(name) static struct cel_value name(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)

#define NANO     ((cel_nano)1000000000)
#define NANO_MAX ((cel_nano)INT64_MAX * NANO)

/* A suffix is a factor of num / den. */
static const struct {
	const char *name;
	uint64_t num, den;
} suffixes[] = {
	{ "", 1, 1 }, { "n", 1, 1000000000 }, { "u", 1, 1000000 }, { "m", 1, 1000 }, { "k", 1000, 1 }, { "M", 1000000, 1 },
	{ "G", 1000000000, 1 }, { "T", UINT64_C(1000000000000), 1 }, { "P", UINT64_C(1000000000000000), 1 },
	{ "E", UINT64_C(1000000000000000000), 1 }, { "Ki", UINT64_C(1) << 10, 1 }, { "Mi", UINT64_C(1) << 20, 1 },
	{ "Gi", UINT64_C(1) << 30, 1 }, { "Ti", UINT64_C(1) << 40, 1 }, { "Pi", UINT64_C(1) << 50, 1 },
	{ "Ei", UINT64_C(1) << 60, 1 },
};

/* Digits as mantissa * 10^-scale; what is behind the 18th digit only says that something is lost. */
struct decimal {
	uint64_t mantissa;
	int scale, digits;
	bool lost;
};

static size_t
read_digits(struct am_slice s, size_t at, struct decimal *d, bool fraction)
{
	for (; at < s.n && isdigit((unsigned char)s.p[at]); at++, d->digits++) {
		if (d->mantissa < UINT64_C(100000000000000000)) {
			d->mantissa = d->mantissa * 10 + (uint64_t)(s.p[at] - '0');
			d->scale += fraction;
		} else {
			d->lost |= s.p[at] != '0';
			d->scale -= !fraction;
		}
	}
	return at;
}

static bool
read_exponent(struct am_slice s, size_t at, int *ret)
{
	bool minus = at < s.n && s.p[at] == '-';
	int value = 0;

	at += at < s.n && (s.p[at] == '-' || s.p[at] == '+');
	if (at == s.n)
		return false;
	for (; at < s.n; at++) {
		if (!isdigit((unsigned char)s.p[at]))
			return false;
		value = AM_MIN(value * 10 + (s.p[at] - '0'), 1000);
	}
	*ret = minus ? -value : value;
	return true;
}

static cel_nano
scaled(const struct decimal *d, uint64_t num, uint64_t den, int exponent)
{
	cel_nano v = d->mantissa;
	int power = exponent - d->scale + 9;
	bool lost = d->lost;

	/* The mantissa has at most 18 digits and a factor 19: the product fits. */
	v *= num;
	lost |= v % den != 0;
	v /= den;
	for (; power > 0 && v != 0; power--)
		v = v > NANO_MAX / 10 ? NANO_MAX : v * 10;
	for (; power < 0 && v != 0; power++) {
		lost |= v % 10 != 0;
		v /= 10;
	}
	lost |= power < 0 && d->mantissa != 0;
	return AM_MIN(v + lost, NANO_MAX);
}

static bool
parse(struct am_slice s, cel_nano *ret)
{
	size_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
	bool minus = at > 0 && s.p[0] == '-';
	struct decimal d = { 0 };
	int exponent = 0;

	at = read_digits(s, at, &d, false);
	if (at < s.n && s.p[at] == '.')
		at = read_digits(s, at + 1, &d, true);
	if (d.digits == 0)
		return false;
	for (size_t i = 0; i < AM_COUNTOF(suffixes); i++) {
		size_t n = strlen(suffixes[i].name);

		if (s.n - at == n && memcmp(s.p + at, suffixes[i].name, n) == 0) {
			/* den first: a thousandth of a billionth is still counted as one. */
			struct decimal one = d;
			cel_nano v = suffixes[i].den > 1 ?
				scaled(&one, 1, 1, suffixes[i].den == 1000 ? -3 : suffixes[i].den == 1000000 ? -6 : -9) :
				scaled(&one, suffixes[i].num, 1, 0);
			*ret = minus ? -v : v;
			return true;
		}
	}
	if ((s.p[at] != 'e' && s.p[at] != 'E') || !read_exponent(s, at + 1, &exponent))
		return false;
	*ret = scaled(&d, 1, 1, exponent);
	*ret = minus ? -*ret : *ret;
	return true;
}

static struct cel_value
made(struct cel_run *run, cel_nano v)
{
	cel_nano *copy = am_arena_alloc(run->arena, sizeof(*copy));

	if (copy == NULL)
		return cel_exceeded(run);
	*copy = AM_MAX(AM_MIN(v, NANO_MAX), -NANO_MAX);
	return (struct cel_value){ .kind = CEL_QUANTITY, .quantity = copy };
}

FN(quantity)
{
	cel_nano v;

	if (!cel_charge(run, cel_scan_cost(a[0].s.n)))
		return cel_exceeded(run);
	return parse(a[0].s, &v) ? made(run, v) :
		cel_error(run, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

FN(is_quantity)
{
	cel_nano v;

	return cel_charge(run, cel_scan_cost(a[0].s.n)) ? cel_bool(parse(a[0].s, &v)) : cel_exceeded(run);
}

static int
order(const struct cel_value *a)
{
	return *a[0].quantity < *a[1].quantity ? -1 : *a[0].quantity > *a[1].quantity;
}

FN(compare_to)
{
	return cel_int(order(a));
}

FN(is_greater)
{
	return cel_bool(order(a) > 0);
}

FN(is_less)
{
	return cel_bool(order(a) < 0);
}

FN(sign)
{
	return cel_int(*a[0].quantity < 0 ? -1 : *a[0].quantity > 0);
}

FN(is_integer)
{
	return cel_bool(*a[0].quantity % NANO == 0);
}

FN(as_integer)
{
	return *a[0].quantity % NANO == 0 ? cel_int((int64_t)(*a[0].quantity / NANO)) :
		cel_error(run, "cannot convert value to integer");
}

FN(as_float)
{
	cel_nano whole = *a[0].quantity / NANO;

	return cel_double((double)whole + (double)(*a[0].quantity % NANO) / 1e9);
}

static cel_nano
other(const struct cel_value *v)
{
	return v->kind == CEL_INT ? (cel_nano)v->i * NANO : *v->quantity;
}

FN(add)
{
	return made(run, *a[0].quantity + other(&a[1]));
}

FN(sub)
{
	return made(run, *a[0].quantity - other(&a[1]));
}

const struct cel_fn cel_quantity_fns[] = {
	{ "quantity", "s>Q", quantity }, { "isQuantity", "s>b", is_quantity },
	{ "sign", "Q>i", sign }, { "compareTo", "Q.Q>i", compare_to }, { "isGreaterThan", "Q.Q>b", is_greater },
	{ "isLessThan", "Q.Q>b", is_less }, { "isInteger", "Q.>b", is_integer }, { "asInteger", "Q.>i", as_integer },
	{ "asApproximateFloat", "Q.>d", as_float }, { "add", "Q.Q>Q", add }, { "add", "Q.i>Q", add },
	{ "sub", "Q.Q>Q", sub }, { "sub", "Q.i>Q", sub },
	{ NULL, NULL, NULL },
};
