/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path is read step by step while it is followed, depth first, so that the first value found is the first one of all.
 * Both path and object come from outside: steps and depth are counted.
 */
#include <stdlib.h>

#include "core/base/str.h"
#include "plugins/standalone/apiserver/jsonpath.h"

#define MAX_STEPS 20000
#define MAX_DEPTH 64
#define MAX_NAME  256

enum kind { NAME, ALL, DEEP, NAMES, INDEXES, SLICE, FILTER };
enum op { EXISTS, EQ, NE, LE, GE, LT, GT };

struct step {
	enum kind kind;
	char name[MAX_NAME];
	const char *text; /* in brackets */
	size_t len;
};

struct finder {
	struct am_slice root, found;
	int steps, depth;
};

static bool follow(struct finder *f, struct am_slice in, const char *path, const char *end);

/* ---- reading ---- */

static void
skip_blanks(const char **p, const char *end)
{
	while (*p < end && **p == ' ')
		(*p)++;
}

/* A quoted string; *p is behind it. */
static bool
read_quoted(const char **p, const char *end, char out[MAX_NAME])
{
	const char *s = *p;
	size_t n = 0;

	if (s >= end || (*s != '\'' && *s != '"'))
		return false;
	char quote = *s++;
	for (; s < end && *s != quote; s++) {
		if (*s == '\\' && s + 1 < end)
			s++;
		if (n + 1 >= MAX_NAME)
			return false;
		out[n++] = *s;
	}
	out[n] = '\0';
	*p = s + 1;
	return s < end;
}

static bool
read_number(const char **p, const char *end, long *ret)
{
	const char *s = *p;
	bool minus = s < end && *s == '-';
	long n = 0;

	s += minus;
	if (s >= end || *s < '0' || *s > '9')
		return false;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		if (n < 100000000)
			n = n * 10 + (*s - '0');
	*ret = minus ? -n : n;
	*p = s;
	return true;
}

/* The bracket that closes the one before p; NULL: none does. */
static const char *
closing(const char *p, const char *end)
{
	int open = 1;

	for (; p < end; p++) {
		char skipped[MAX_NAME];
		if (*p == '\'' || *p == '"') {
			if (!read_quoted(&p, end, skipped))
				return NULL;
			p--;
		} else if (*p == '[' || *p == '(') {
			open++;
		} else if ((*p == ']' || *p == ')') && --open == 0) {
			return *p == ']' ? p : NULL;
		}
	}
	return NULL;
}

static bool
is_union(const char *p, const char *end, bool names)
{
	char name[MAX_NAME];
	long index;

	for (;;) {
		skip_blanks(&p, end);
		if (!(names ? read_quoted(&p, end, name) : read_number(&p, end, &index)))
			return false;
		skip_blanks(&p, end);
		if (p == end)
			return true;
		if (*p++ != ',')
			return false;
	}
}

/* Up to three numbers between colons; which of them are there. */
static bool
read_slice(const char *p, const char *end, long part[3], bool there[3])
{
	int k = 0;

	there[0] = there[1] = there[2] = false;
	for (;;) {
		there[k] = read_number(&p, end, &part[k]);
		if (p == end)
			return k > 0 && !(there[2] && part[2] <= 0);
		if (*p++ != ':' || ++k > 2)
			return false;
	}
}

static bool
read_bracket(const char **path, const char *end, struct step *s)
{
	const char *p = *path + 1, *close = closing(p, end);
	long part[3];
	bool there[3];

	if (close == NULL)
		return false;
	s->text = p;
	s->len = (size_t)(close - p);
	*path = close + 1;
	if (s->len == 1 && *p == '*')
		s->kind = ALL;
	else if (s->len > 3 && p[0] == '?' && p[1] == '(' && close[-1] == ')')
		s->kind = FILTER;
	else if (is_union(p, close, true))
		s->kind = NAMES;
	else if (is_union(p, close, false))
		s->kind = INDEXES;
	else if (read_slice(p, close, part, there))
		s->kind = SLICE;
	else
		return false;
	return true;
}

static bool
read_step(const char **path, const char *end, struct step *s)
{
	const char *p = *path;
	size_t n = 0;

	if (*p == '[')
		return read_bracket(path, end, s);
	if (*p++ != '.')
		return false;
	if (p < end && *p == '.') {
		s->kind = DEEP;
		*path = p + 1 < end && p[1] == '[' ? p + 1 : p;
		return p + 1 < end;
	}
	for (; p < end && *p != '.' && *p != '['; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		if (n + 1 >= MAX_NAME)
			return false;
		s->name[n++] = *p;
	}
	s->name[n] = '\0';
	s->kind = n == 1 && s->name[0] == '*' ? ALL : NAME;
	*path = p;
	return n > 0 || (p < end && *p == '['); /* ".['a']" */
}

/* ---- filters ---- */

struct operand {
	const char *path, *end; /* NULL: a literal */
	const char *base;       /* "@" or "$" */
	struct am_slice literal;
	char text[MAX_NAME];
	bool is_text;
};

static bool
read_operand(const char **p, const char *end, struct operand *o)
{
	const char *s = *p, *mark;

	skip_blanks(&s, end);
	*o = (struct operand){ .base = s };
	if (s < end && (*s == '@' || *s == '$')) {
		for (o->path = ++s; s < end && strchr("=!<> ", *s) == NULL; s++) {
			if (*s == '[' && (s = closing(s + 1, end)) == NULL)
				return false;
		}
		o->end = s;
	} else if (s < end && (*s == '\'' || *s == '"')) {
		if (!read_quoted(&s, end, o->text))
			return false;
		o->is_text = true;
	} else {
		for (mark = s; s < end && strchr("=!<> ", *s) == NULL; s++)
			;
		o->literal = am_slice(mark, (size_t)(s - mark));
		if (o->literal.n == 0 || o->literal.n > 40 || am_json_check(mark, o->literal.n, NULL) < 0)
			return false;
	}
	skip_blanks(&s, end);
	*p = s;
	return true;
}

static bool
read_op(const char **p, const char *end, enum op *ret)
{
	static const struct { const char *text; enum op op; } ops[] = {
		{ "==", EQ }, { "!=", NE }, { "<=", LE }, { ">=", GE }, { "<", LT }, { ">", GT },
	};

	for (size_t i = 0; i < AM_COUNTOF(ops); i++) {
		size_t n = strlen(ops[i].text);
		if ((size_t)(end - *p) >= n && memcmp(*p, ops[i].text, n) == 0) {
			*p += n;
			*ret = ops[i].op;
			return true;
		}
	}
	return false;
}

struct filter {
	struct operand left, right;
	enum op op;
};

static bool
read_filter(const struct step *s, struct filter *filter)
{
	const char *p = s->text + 2, *end = s->text + s->len - 1;

	filter->op = EXISTS;
	if (!read_operand(&p, end, &filter->left))
		return false;
	if (p == end)
		return filter->left.path != NULL;
	return read_op(&p, end, &filter->op) && read_operand(&p, end, &filter->right) && p == end;
}

static bool
value_of(struct finder *f, const struct operand *o, struct am_slice here, struct am_buf *text, struct am_slice *ret)
{
	struct finder inner = { .root = f->root, .steps = f->steps, .depth = f->depth };

	if (o->is_text) {
		am_json_add_str(text, o->text);
		*ret = am_slice(text->data, text->len);
		return !text->failed;
	}
	if (o->path == NULL) {
		*ret = o->literal;
		return true;
	}
	bool found = follow(&inner, *o->base == '$' ? f->root : here, o->path, o->end);
	f->steps = inner.steps;
	*ret = inner.found;
	return found;
}

static int
compare_texts(struct am_slice a, struct am_slice b)
{
	struct am_buf x = { 0 }, y = { 0 };

	am_json_unescape(a, &x);
	am_json_unescape(b, &y);
	int order = strcmp(am_buf_str(&x), am_buf_str(&y));
	am_buf_fini(&x);
	am_buf_fini(&y);
	return order;
}

static bool
holds(enum op op, struct am_slice a, struct am_slice b)
{
	int type = am_json_type(a), order;

	if (type != am_json_type(b))
		return false;
	if (type == AMBIENT_T_NUMBER) {
		char x[64], y[64];
		snprintf(x, sizeof(x), "%.*s", (int)AM_MIN(a.n, (size_t)60), a.p);
		snprintf(y, sizeof(y), "%.*s", (int)AM_MIN(b.n, (size_t)60), b.p);
		double dx = strtod(x, NULL), dy = strtod(y, NULL);
		order = dx < dy ? -1 : dx > dy;
	} else if (type == AMBIENT_T_STRING) {
		order = compare_texts(a, b);
	} else if (type == AMBIENT_T_BOOL && (op == EQ || op == NE)) {
		order = a.n != b.n;
	} else {
		return false;
	}
	switch (op) {
	case EQ:
		return order == 0;
	case NE:
		return order != 0;
	case LT:
		return order < 0;
	case LE:
		return order <= 0;
	case GT:
		return order > 0;
	default:
		return order >= 0;
	}
}

static bool
passes(struct finder *f, const struct filter *filter, struct am_slice here)
{
	struct am_buf left = { 0 }, right = { 0 };
	struct am_slice a, b;
	bool ret = value_of(f, &filter->left, here, &left, &a);

	if (ret && filter->op != EXISTS)
		ret = value_of(f, &filter->right, here, &right, &b) && holds(filter->op, a, b);
	am_buf_fini(&left);
	am_buf_fini(&right);
	return ret;
}

/* ---- following ---- */

static bool
member(struct am_slice in, const char *name, struct am_slice *ret)
{
	struct am_slice key;

	for (size_t it = 0; am_json_type(in) == AMBIENT_T_OBJECT && am_json_member(in, &it, &key, ret);)
		if (am_slice_eq(key, name))
			return true;
	return false;
}

static bool
element(struct am_slice in, long index, struct am_slice *ret)
{
	long i = 0, n = am_json_type(in) == AMBIENT_T_ARRAY ? (long)am_json_count(in) : 0;

	if (index < 0)
		index += n;
	if (index < 0 || index >= n)
		return false;
	for (size_t it = 0; am_json_element(in, &it, ret); i++)
		if (i == index)
			return true;
	return false;
}

/* Each child in turn; filter NULL: all of them. */
static bool
follow_children(struct finder *f, struct am_slice in, const struct filter *filter, const char *path, const char *end)
{
	struct am_slice key, v;
	int type = am_json_type(in);

	if (type == AMBIENT_T_ARRAY)
		for (size_t it = 0; am_json_element(in, &it, &v);)
			if ((filter == NULL || passes(f, filter, v)) && follow(f, v, path, end))
				return true;
	if (type == AMBIENT_T_OBJECT && filter == NULL)
		for (size_t it = 0; am_json_member(in, &it, &key, &v);)
			if (follow(f, v, path, end))
				return true;
	return false;
}

static bool
follow_union(struct finder *f, struct am_slice in, const struct step *s, const char *path, const char *end)
{
	const char *p = s->text, *stop = s->text + s->len;
	char name[MAX_NAME];
	struct am_slice v;
	long index;

	while (p < stop) {
		skip_blanks(&p, stop);
		bool there = s->kind == NAMES ? read_quoted(&p, stop, name) && member(in, name, &v)
					      : read_number(&p, stop, &index) && element(in, index, &v);
		if (there && follow(f, v, path, end))
			return true;
		skip_blanks(&p, stop);
		if (p < stop)
			p++;
	}
	return false;
}

static bool
follow_slice(struct finder *f, struct am_slice in, const struct step *s, const char *path, const char *end)
{
	long part[3] = { 0, 0, 1 }, n = am_json_type(in) == AMBIENT_T_ARRAY ? (long)am_json_count(in) : 0, i = 0;
	bool there[3];
	struct am_slice v;

	(void)read_slice(s->text, s->text + s->len, part, there);
	long from = there[0] ? part[0] : 0, to = there[1] ? part[1] : n, by = there[2] ? part[2] : 1;
	from += from < 0 ? n : 0;
	to += to < 0 ? n : 0;
	for (size_t it = 0; n > 0 && am_json_element(in, &it, &v); i++)
		if (i >= from && i < to && (i - from) % by == 0 && follow(f, v, path, end))
			return true;
	return false;
}

static bool
follow_deep(struct finder *f, struct am_slice in, const char *path, const char *end)
{
	struct am_slice key, v;
	int type = am_json_type(in);
	bool found = false;

	if (++f->steps > MAX_STEPS || f->depth >= MAX_DEPTH)
		return false;
	f->depth++;
	found = follow(f, in, path, end);
	if (type == AMBIENT_T_ARRAY)
		for (size_t it = 0; !found && am_json_element(in, &it, &v);)
			found = follow_deep(f, v, path, end);
	if (type == AMBIENT_T_OBJECT)
		for (size_t it = 0; !found && am_json_member(in, &it, &key, &v);)
			found = follow_deep(f, v, path, end);
	f->depth--;
	return found;
}

static bool
follow_step(struct finder *f, struct am_slice in, const struct step *s, const char *path, const char *end)
{
	struct am_slice v;
	struct filter filter;

	switch (s->kind) {
	case NAME:
		return s->name[0] == '\0' ? follow(f, in, path, end) : member(in, s->name, &v) && follow(f, v, path, end);
	case ALL:
		return follow_children(f, in, NULL, path, end);
	case DEEP:
		return follow_deep(f, in, path, end);
	case SLICE:
		return follow_slice(f, in, s, path, end);
	case FILTER:
		return read_filter(s, &filter) && follow_children(f, in, &filter, path, end);
	default:
		return follow_union(f, in, s, path, end);
	}
}

static bool
follow(struct finder *f, struct am_slice in, const char *path, const char *end)
{
	struct step s;

	if (path == end) {
		f->found = in;
		return true;
	}
	if (++f->steps > MAX_STEPS || f->depth >= MAX_DEPTH || !read_step(&path, end, &s))
		return false;
	f->depth++;
	bool found = follow_step(f, in, &s, path, end);
	f->depth--;
	return found;
}

bool
am_jsonpath_find(struct am_slice object, const char *path, struct am_slice *ret)
{
	struct finder f = { .root = object };

	if (strcmp(path, ".") == 0)
		path = "";
	bool found = follow(&f, object, path, path + strlen(path));
	*ret = f.found;
	return found && am_json_type(f.found) != AMBIENT_T_NULL;
}

static bool
is_path(const char *path, const char *end, int depth)
{
	struct step s;
	struct filter filter;

	while (path < end) {
		if (!read_step(&path, end, &s))
			return false;
		if (s.kind != FILTER)
			continue;
		if (depth >= MAX_DEPTH || !read_filter(&s, &filter))
			return false;
		if (filter.left.path != NULL && !is_path(filter.left.path, filter.left.end, depth + 1))
			return false;
		if (filter.op != EXISTS && filter.right.path != NULL && !is_path(filter.right.path, filter.right.end, depth + 1))
			return false;
	}
	return true;
}

bool
am_jsonpath_ok(const char *path)
{
	return strcmp(path, ".") == 0 || (*path == '.' && is_path(path, path + strlen(path), 0));
}
