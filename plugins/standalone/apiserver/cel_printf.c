/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 'text'.format(list).  A clause says which kinds it takes; a literal text with a literal list is checked when the rule
 * is written, everything else when it is evaluated.  Numbers come out as kube-apiserver prints them, with commas
 * between thousands and with powers of ten.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

#define MAX_OUT       ((size_t)4 << 20)
#define MAX_PRECISION 100

static bool print(const struct cel_value *v, struct am_buf *out, bool nested);

/* ---- values in text ---- */

static void
print_quoted(struct am_slice s, struct am_buf *out)
{
	static const char from[] = "\a\b\f\n\r\t\v\\\"", to[] = "abfnrtv\\\"";

	am_buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		const char *hit = s.p[i] != '\0' ? strchr(from, s.p[i]) : NULL;

		if (hit != NULL)
			am_buf_addf(out, "\\%c", to[hit - from]);
		else if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			am_buf_addf(out, "\\x%02x", (unsigned char)s.p[i]);
		else
			am_buf_addc(out, s.p[i]);
	}
	am_buf_addc(out, '"');
}

static bool
print_text(const struct cel_value *v, struct am_buf *out, bool nested)
{
	if (nested && v->kind == CEL_BYTES)
		am_buf_addc(out, 'b');
	if (nested)
		print_quoted(v->s, out);
	else
		am_buf_add(out, v->s.p, v->s.n);
	return v->kind != CEL_BYTES || am_utf8_valid(v->s.p, v->s.n);
}

static bool
print_list(const struct cel_list *list, struct am_buf *out)
{
	bool ok = true;

	am_buf_addc(out, '[');
	for (size_t i = 0; i < list->n && ok; i++) {
		am_buf_adds(out, i > 0 ? ", " : "");
		ok = print(&list->items[i], out, true);
	}
	am_buf_addc(out, ']');
	return ok;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted by what is printed. */
static bool
print_map(const struct cel_map *map, struct am_buf *out)
{
	char **parts = am_xcalloc(AM_MAX(map->n, (size_t)1), sizeof(char *));
	bool ok = true;

	for (size_t i = 0; i < map->n; i++) {
		struct am_buf part = { .max = MAX_OUT };

		ok = ok && print(&map->entries[i].key, &part, true);
		am_buf_addc(&part, ':');
		ok = ok && print(&map->entries[i].value, &part, true) && !part.failed;
		parts[i] = am_xstrdup(am_buf_str(&part));
		am_buf_fini(&part);
	}
	qsort(parts, map->n, sizeof(char *), by_text);
	am_buf_addc(out, '{');
	for (size_t i = 0; i < map->n; i++) {
		am_buf_addf(out, "%s%s", i > 0 ? ", " : "", parts[i]);
		free(parts[i]);
	}
	am_buf_addc(out, '}');
	free(parts);
	return ok;
}

/* false: there is no text for it. */
static bool
print(const struct cel_value *v, struct am_buf *out, bool nested)
{
	const char *wrap = v->kind == CEL_DURATION ? "duration(\"" : "timestamp(\"";

	if (out->failed)
		return true;
	switch (v->kind) {
	case CEL_NULL:
		am_buf_adds(out, "null");
		return true;
	case CEL_BOOL:
		am_buf_adds(out, v->b ? "true" : "false");
		return true;
	case CEL_INT:
		am_buf_addf(out, "%lld", (long long)v->i);
		return true;
	case CEL_UINT:
		am_buf_addf(out, "%llu", (unsigned long long)v->u);
		return true;
	case CEL_DOUBLE:
		if (nested && isfinite(v->d))
			am_buf_addf(out, "%.6f", v->d);
		else
			cel_double_print(v->d, out);
		return true;
	case CEL_STRING:
	case CEL_BYTES:
		return print_text(v, out, nested);
	case CEL_TIMESTAMP:
	case CEL_DURATION:
		am_buf_adds(out, nested ? wrap : "");
		if (v->kind == CEL_DURATION)
			cel_duration_print(v->i, out);
		else
			cel_time_print(v, out);
		am_buf_adds(out, nested ? "\")" : "");
		return true;
	case CEL_TYPE:
		am_buf_adds(out, cel_kind_name(v->type->kind));
		return true;
	case CEL_LIST:
		return print_list(v->list, out);
	case CEL_MAP:
		return print_map(v->map, out);
	case CEL_OBJECT:
		am_node_print(v->object->node, out);
		return true;
	default:
		return false;
	}
}

/* ---- clauses ---- */

static bool
put_text(const struct cel_value *v, int precision, struct am_buf *out)
{
	return print(v, out, false);
}

static bool
put_number_in(const struct cel_value *v, unsigned base, bool upper, struct am_buf *out)
{
	uint64_t u = v->kind == CEL_BOOL ? v->b : v->u;
	char text[66], *p = text + sizeof(text) - 1;

	if (v->kind == CEL_INT && v->i < 0) {
		u = 0 - u;
		am_buf_addc(out, '-');
	}
	*p = '\0';
	do
		*--p = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
	while ((u /= base) > 0);
	am_buf_adds(out, p);
	return true;
}

static bool
put_decimal(const struct cel_value *v, int precision, struct am_buf *out)
{
	return put_number_in(v, 10, false, out);
}

static bool
put_octal(const struct cel_value *v, int precision, struct am_buf *out)
{
	return put_number_in(v, 8, false, out);
}

static bool
put_binary(const struct cel_value *v, int precision, struct am_buf *out)
{
	return put_number_in(v, 2, false, out);
}

static bool
put_hex_in(const struct cel_value *v, bool upper, struct am_buf *out)
{
	if (v->kind != CEL_STRING && v->kind != CEL_BYTES)
		return put_number_in(v, 16, upper, out);
	for (size_t i = 0; i < v->s.n; i++)
		am_buf_addf(out, upper ? "%02X" : "%02x", (unsigned char)v->s.p[i]);
	return true;
}

static bool
put_hex(const struct cel_value *v, int precision, struct am_buf *out)
{
	return put_hex_in(v, false, out);
}

static bool
put_upper_hex(const struct cel_value *v, int precision, struct am_buf *out)
{
	return put_hex_in(v, true, out);
}

/* Doubles may come as one of three words. */
static bool
real_of(const struct cel_value *v, double *ret)
{
	*ret = v->d;
	if (v->kind == CEL_DOUBLE)
		return true;
	*ret = am_slice_eq(v->s, "NaN") ? NAN : am_slice_eq(v->s, "-Infinity") ? -INFINITY : INFINITY;
	return am_slice_eq(v->s, "NaN") || am_slice_eq(v->s, "Infinity") || am_slice_eq(v->s, "-Infinity");
}

static bool
put_special(double d, struct am_buf *out)
{
	if (isfinite(d))
		return false;
	am_buf_adds(out, isnan(d) ? "NaN" : d > 0 ? "\u221e" : "-\u221e");
	return true;
}

static bool
put_fixed(const struct cel_value *v, int precision, struct am_buf *out)
{
	char text[512];
	double d;

	if (!real_of(v, &d))
		return false;
	if (put_special(d, out))
		return true;
	snprintf(text, sizeof(text), "%.*f", precision < 0 ? 6 : precision, fabs(d));
	size_t whole = strspn(text, "0123456789");
	am_buf_adds(out, signbit(d) ? "-" : "");
	for (size_t i = 0; i < whole; i++) {
		if (i > 0 && (whole - i) % 3 == 0)
			am_buf_addc(out, ',');
		am_buf_addc(out, text[i]);
	}
	am_buf_adds(out, text + whole);
	return true;
}

static bool
put_scientific(const struct cel_value *v, int precision, struct am_buf *out)
{
	static const char *const digits[] = { "\u2070", "\u00b9", "\u00b2", "\u00b3", "\u2074", "\u2075", "\u2076", "\u2077",
					      "\u2078", "\u2079" };
	char text[64];
	double d;

	if (!real_of(v, &d))
		return false;
	if (put_special(d, out))
		return true;
	/* The precision is not looked at, there neither. */
	snprintf(text, sizeof(text), "%.6e", d);
	char *exponent = strchr(text, 'e');
	am_buf_addf(out, "%.*s\u00d710%s", (int)(exponent - text), text, exponent[1] == '-' ? "\u207b" : "");
	for (const char *p = exponent + 2; *p != '\0'; p++)
		am_buf_adds(out, digits[*p - '0']);
	return true;
}

/* kinds: the letters of signatures. */
static const struct clause {
	char letter;
	const char *kinds, *rule;
	bool (*put)(const struct cel_value *v, int precision, struct am_buf *out);
} clauses[] = {
	{ 's', NULL, "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
		     "timestamps", put_text },
	{ 'd', "iu", "decimal clause can only be used on integers", put_decimal },
	{ 'f', "ds", "fixed-point clause can only be used on doubles", put_fixed },
	{ 'e', "ds", "scientific clause can only be used on doubles", put_scientific },
	{ 'x', "iusy", "only integers, byte buffers, and strings can be formatted as hex", put_hex },
	{ 'X', "iusy", "only integers, byte buffers, and strings can be formatted as hex", put_upper_hex },
	{ 'o', "iu", "octal clause can only be used on integers", put_octal },
	{ 'b', "iub", "only integers and bools can be formatted as binary", put_binary },
};

static bool
allows(const struct clause *clause, enum cel_kind kind, bool literal)
{
	if (clause->kinds == NULL)
		return kind < CEL_OPTIONAL && !(literal && kind == CEL_OBJECT);
	for (const char *p = clause->kinds; *p != '\0'; p++)
		if (cel_sig_letter(*p, kind))
			return true;
	return false;
}

/* Reads "[.digits]letter" at *at. */
static const struct clause *
parse_clause(struct am_slice s, size_t *at, int *precision, struct am_buf *problem)
{
	*precision = -1;
	if (*at < s.n && s.p[*at] == '.') {
		*precision = 0;
		for (++*at; *at < s.n && isdigit((unsigned char)s.p[*at]) && *precision <= MAX_PRECISION; ++*at)
			*precision = *precision * 10 + (s.p[*at] - '0');
		if (s.p[*at - 1] == '.' || *precision > MAX_PRECISION) {
			am_buf_adds(problem, "could not parse formatting clause: error while parsing precision");
			return NULL;
		}
	}
	for (size_t i = 0; *at < s.n && i < AM_COUNTOF(clauses); i++)
		if (clauses[i].letter == s.p[*at]) {
			++*at;
			return &clauses[i];
		}
	if (*at < s.n)
		am_buf_addf(problem, "could not parse formatting clause: unrecognized formatting clause \"%c\"", s.p[*at]);
	else
		am_buf_adds(problem, "unexpected end of string");
	return NULL;
}

/* One argument; values NULL: only its kind is known. */
static bool
put_argument(const struct clause *clause, int precision, enum cel_kind kind, const struct cel_value *v, struct am_buf *out,
	     struct am_buf *problem)
{
	bool ok = (kind == CEL_DYN && v == NULL) || allows(clause, kind, v == NULL);

	if (ok && v != NULL && !clause->put(v, precision, out)) {
		if (kind == CEL_BYTES || clause->kinds == NULL) {
			am_buf_adds(problem, "error during formatting: could not convert argument to string");
			return false;
		}
		ok = false;
	}
	if (!ok)
		am_buf_addf(problem, "error during formatting: %s, was given %s", clause->rule, cel_kind_name(kind));
	return ok;
}

static bool
format(struct am_slice s, size_t n, const struct cel_value *values, struct cel_expr *const *exprs, struct am_buf *out,
       struct am_buf *problem)
{
	size_t used = 0;

	for (size_t i = 0; i < s.n;) {
		const struct clause *clause;
		int precision;

		if (s.p[i] != '%') {
			am_buf_addc(out, s.p[i++]);
			continue;
		}
		if (++i < s.n && s.p[i] == '%') {
			am_buf_addc(out, s.p[i++]);
			continue;
		}
		if (used >= n && i < s.n) {
			am_buf_addf(problem, "index %zu out of range", used);
			return false;
		}
		clause = parse_clause(s, &i, &precision, problem);
		if (clause == NULL || !put_argument(clause, precision, values != NULL ? values[used].kind : exprs[used]->type->kind,
						    values != NULL ? &values[used] : NULL, out, problem))
			return false;
		used++;
	}
	if (values == NULL && used < n) {
		am_buf_addf(problem, "too many arguments supplied to string.format (expected %zu, got %zu)", used, n);
		return false;
	}
	return true;
}

bool
cel_printf_check(const struct cel_expr *text, const struct cel_expr *list, struct am_buf *problem)
{
	struct am_buf out = { .max = MAX_OUT };
	bool ok = format(text->value.s, list->n, NULL, list->args, &out, problem);

	am_buf_fini(&out);
	return ok;
}

static struct cel_value
format_text(struct cel_run *run, const struct cel_expr *e, const struct cel_value *a)
{
	struct am_buf out = { .max = MAX_OUT }, problem = { .max = 1024 };

	if (!cel_charge(run, cel_scan_cost(a[0].s.n)))
		return cel_exceeded(run);
	bool ok = format(a[0].s, a[1].list->n, a[1].list->items, NULL, &out, &problem);
	/* What it wrote is counted behind: it is bounded anyway. */
	struct cel_value ret = !ok ? cel_error(run, "%s", am_buf_str(&problem)) :
		cel_charge(run, cel_scan_cost(out.len)) ? cel_buf_string(run, &out) : cel_exceeded(run);
	am_buf_fini(&out);
	am_buf_fini(&problem);
	return ret;
}

const struct cel_fn cel_printf_fns[] = {
	{ "format", "s.[*>s", format_text },
	{ NULL, NULL, NULL },
};
