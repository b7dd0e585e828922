/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From words to a tree.  Macros (has, all, exists ...) become nodes of their own; chains of && and || become one node,
 * so that only brackets, members and arithmetic make depth.  Nesting, depth and the number of nodes are bounded.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

struct parser {
	struct am_arena *arena;
	struct cel_lexer lex;
	struct am_buf *problem;
	bool failed;
	int nest;
	size_t nodes;
};

static struct cel_expr *parse(struct parser *p);

void
cel_complain(struct am_buf *problem, struct am_slice text, size_t at, const char *fmt, ...)
{
	size_t line = 1, begin = 0, end, column = 1;
	va_list ap;

	at = AM_MIN(at, text.n);
	for (size_t i = 0; i < at; i++)
		if (text.p[i] == '\n') {
			line++;
			begin = i + 1;
		}
	for (end = begin; end < text.n && text.p[end] != '\n'; end++)
		;
	for (size_t i = begin; i < at; i++)
		column += ((unsigned char)text.p[i] & 0xc0) != 0x80;
	if (problem->len > 0)
		am_buf_addc(problem, '\n');
	am_buf_addf(problem, "ERROR: <input>:%zu:%zu: ", line, column);
	va_start(ap, fmt);
	am_buf_addv(problem, fmt, ap);
	va_end(ap);
	am_buf_addf(problem, "\n | %.*s\n | ", (int)(end - begin), text.p + begin);
	for (size_t i = 1; i < column; i++)
		am_buf_addc(problem, '.');
	am_buf_addc(problem, '^');
}

static void
fail(struct parser *p, size_t at, const char *text)
{
	if (!p->failed)
		cel_complain(p->problem, p->lex.text, at, "%s", text);
	p->failed = true;
}

static void
next(struct parser *p)
{
	cel_lex(&p->lex);
	if (p->lex.token == CEL_T_BAD) {
		fail(p, p->lex.token_at, p->lex.problem);
		p->lex.token = CEL_T_END;
		p->lex.at = p->lex.text.n;
	}
}

static bool
is_op(const struct parser *p, const char *op)
{
	return p->lex.token == CEL_T_OP && strcmp(p->lex.op, op) == 0;
}

static bool
is_word(const struct parser *p, const char *word)
{
	return p->lex.token == CEL_T_NAME && strcmp(p->lex.name, word) == 0;
}

static bool
take(struct parser *p, const char *op)
{
	if (!is_op(p, op))
		return false;
	next(p);
	return true;
}

static void
expect(struct parser *p, const char *op)
{
	char text[64];

	if (take(p, op))
		return;
	snprintf(text, sizeof(text), "Syntax error: expected '%s'", op);
	fail(p, p->lex.token_at, text);
}

/* ---- nodes ---- */

static struct cel_expr *
node(struct parser *p, enum cel_op op, size_t at)
{
	struct cel_expr *e = am_arena_zalloc(p->arena, sizeof(*e));

	am_assert(e != NULL);
	if (++p->nodes > CEL_MAX_NODES)
		fail(p, at, "the expression has too many parts");
	e->op = op;
	e->at = (uint32_t)at;
	e->depth = 1;
	return e;
}

/* Gives e its arguments. */
static void
adopt(struct parser *p, struct cel_expr *e, struct cel_expr *const *args, size_t n)
{
	e->args = am_arena_alloc(p->arena, AM_MAX(n, 1u) * sizeof(struct cel_expr *));
	am_assert(e->args != NULL);
	if (n > 0)
		memcpy((void *)e->args, (const void *)args, n * sizeof(*args));
	e->n = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		e->depth = AM_MAX(e->depth, args[i]->depth + 1);
	if (e->depth > CEL_MAX_DEPTH)
		fail(p, e->at, "the expression is nested too deep");
}

static struct cel_expr *
constant(struct parser *p, size_t at, struct cel_value value)
{
	struct cel_expr *e = node(p, CEL_CONST, at);

	e->value = value;
	return e;
}

static struct cel_expr *
call(struct parser *p, const char *name, size_t at, struct cel_expr *const *args, size_t n)
{
	struct cel_expr *e = node(p, CEL_CALL, at);

	e->name = name;
	adopt(p, e, args, n);
	return e;
}

/* A list of expressions that grows while it is read. */
struct many {
	struct cel_expr **items;
	bool *optionals;
	bool any_optional;
	size_t n, cap;
};

static void
push(struct parser *p, struct many *m, struct cel_expr *e, bool optional)
{
	if (m->n == m->cap) {
		size_t cap = m->cap > 0 ? m->cap * 2 : 8;
		struct cel_expr **items = am_arena_alloc(p->arena, cap * sizeof(struct cel_expr *));
		bool *optionals = am_arena_alloc(p->arena, cap);

		am_assert(items != NULL && optionals != NULL);
		if (m->n > 0) {
			memcpy((void *)items, (void *)m->items, m->n * sizeof(struct cel_expr *));
			memcpy(optionals, m->optionals, m->n);
		}
		m->items = items;
		m->optionals = optionals;
		m->cap = cap;
	}
	m->items[m->n] = e;
	m->optionals[m->n++] = optional;
	m->any_optional |= optional;
}

static void
arguments(struct parser *p, struct many *m, const char *end)
{
	bool list = *end == ']';

	while (!p->failed && !is_op(p, end)) {
		bool optional = list && take(p, "?");

		push(p, m, parse(p), optional);
		if (!take(p, ",") || (!list && is_op(p, end)))
			break;
	}
	expect(p, end);
}

/* ---- macros ---- */

static const struct macro {
	const char *name;
	enum cel_loop loop;
	int variables;
	int n; /* arguments behind the variables */
} macros[] = {
	{ "all", CEL_ALL, 1, 1 },          { "all", CEL_ALL, 2, 1 },
	{ "exists", CEL_EXISTS, 1, 1 },    { "exists", CEL_EXISTS, 2, 1 },
	{ "exists_one", CEL_EXISTS_ONE, 1, 1 }, { "existsOne", CEL_EXISTS_ONE, 1, 1 },
	{ "existsOne", CEL_EXISTS_ONE2, 2, 1 },
	{ "map", CEL_MAP_EACH, 1, 1 },     { "map", CEL_MAP_EACH, 1, 2 },
	{ "filter", CEL_FILTER, 1, 1 },    { "optMap", CEL_OPT_MAP, 1, 1 },
	{ "optFlatMap", CEL_OPT_FLAT_MAP, 1, 1 },
	{ "transformList", CEL_TRANSFORM_LIST, 2, 1 }, { "transformList", CEL_TRANSFORM_LIST, 2, 2 },
	{ "transformMap", CEL_TRANSFORM_MAP, 2, 1 },   { "transformMap", CEL_TRANSFORM_MAP, 2, 2 },
	{ "sortBy", CEL_SORT_BY, 1, 1 },
};

static const struct macro *
find_macro(const char *name, const struct many *m)
{
	for (size_t i = 0; i < AM_COUNTOF(macros); i++)
		if (strcmp(macros[i].name, name) == 0 && (size_t)(macros[i].variables + macros[i].n) == m->n)
			return &macros[i];
	return NULL;
}

static struct cel_expr *
expand(struct parser *p, const struct macro *macro, struct cel_expr *range, const struct many *m, size_t at)
{
	struct cel_expr *e = node(p, CEL_LOOP, at), *args[3] = { range };

	for (int i = 0; i < macro->variables; i++)
		if (m->items[i]->op != CEL_IDENT || m->items[i]->name[0] == '.') {
			fail(p, m->items[i]->at, "argument must be a simple name");
			return e;
		}
	e->loop = macro->loop;
	e->name = m->items[0]->name;
	e->name2 = macro->variables == 2 ? m->items[1]->name : NULL;
	if (e->name2 != NULL && strcmp(e->name, e->name2) == 0)
		fail(p, m->items[1]->at, "duplicate variable name");
	for (int i = 0; i < macro->n; i++)
		args[1 + i] = m->items[macro->variables + i];
	adopt(p, e, args, (size_t)macro->n + 1);
	return e;
}

static struct cel_expr *
expand_has(struct parser *p, const struct many *m, size_t at)
{
	struct cel_expr *e = m->n == 1 ? m->items[0] : NULL;

	if (e == NULL || e->op != CEL_SELECT || e->optional) {
		fail(p, e != NULL ? e->at : at, "invalid argument to has() macro");
		return node(p, CEL_CONST, at);
	}
	e->op = CEL_HAS;
	return e;
}

/* ---- the grammar ---- */

static bool
reserved(const char *name)
{
	static const char *const words[] = { "as", "break", "const", "continue", "else", "for", "function", "if", "import",
					     "let", "loop", "package", "namespace", "return", "var", "void", "while" };

	for (size_t i = 0; i < AM_COUNTOF(words); i++)
		if (strcmp(words[i], name) == 0)
			return true;
	return false;
}

static struct cel_expr *
named(struct parser *p, bool absolute)
{
	size_t at = p->lex.token_at;
	const char *name = p->lex.name;
	struct many m = { 0 };

	if (p->lex.token != CEL_T_NAME || strcmp(name, "in") == 0) {
		fail(p, at, "Syntax error: expected a name");
		return node(p, CEL_CONST, at);
	}
	next(p);
	if (!absolute && (strcmp(name, "true") == 0 || strcmp(name, "false") == 0))
		return constant(p, at, cel_bool(*name == 't'));
	if (!absolute && strcmp(name, "null") == 0)
		return constant(p, at, cel_null());
	if (reserved(name)) {
		fail(p, at, am_arena_printf(p->arena, "reserved identifier: %s", name));
		return node(p, CEL_CONST, at);
	}
	if (is_op(p, "(")) {
		size_t open = p->lex.token_at;

		next(p);
		arguments(p, &m, ")");
		if (!p->failed && strcmp(name, "has") == 0)
			return expand_has(p, &m, open);
		return call(p, name, open, m.items, m.n);
	}
	struct cel_expr *e = node(p, CEL_IDENT, at);
	e->name = name;
	return e;
}

static struct cel_expr *
list_literal(struct parser *p)
{
	struct cel_expr *e = node(p, CEL_LIST_LITERAL, p->lex.token_at);
	struct many m = { 0 };

	next(p);
	arguments(p, &m, "]");
	e->optionals = m.any_optional ? m.optionals : NULL;
	adopt(p, e, m.items, m.n);
	return e;
}

static struct cel_expr *
map_literal(struct parser *p)
{
	struct cel_expr *e = node(p, CEL_MAP_LITERAL, p->lex.token_at);
	struct many m = { 0 };

	next(p);
	while (!p->failed && !is_op(p, "}")) {
		bool optional = take(p, "?");

		push(p, &m, parse(p), optional);
		expect(p, ":");
		push(p, &m, parse(p), optional);
		if (!take(p, ","))
			break;
	}
	expect(p, "}");
	e->optionals = m.any_optional ? m.optionals : NULL;
	adopt(p, e, m.items, m.n);
	return e;
}

static struct cel_expr *
primary(struct parser *p)
{
	size_t at = p->lex.token_at;
	struct cel_expr *e;

	if (p->lex.token == CEL_T_VALUE) {
		if (p->lex.value.kind == CEL_ERROR)
			fail(p, at, "invalid int literal");
		e = constant(p, at, p->lex.value);
		next(p);
		return e;
	}
	if (take(p, "(")) {
		e = parse(p);
		expect(p, ")");
		return e;
	}
	if (is_op(p, "["))
		return list_literal(p);
	if (is_op(p, "{"))
		return map_literal(p);
	return named(p, take(p, "."));
}

static struct cel_expr *
member(struct parser *p, struct cel_expr *e)
{
	size_t at = p->lex.token_at;
	struct many m = { 0 };

	if (take(p, "[")) {
		struct cel_expr *index = node(p, CEL_INDEX, at), *args[2] = { e };

		index->optional = take(p, "?");
		args[1] = parse(p);
		expect(p, "]");
		adopt(p, index, args, 2);
		return index;
	}
	next(p); /* . */
	bool optional = take(p, "?");
	const char *name = p->lex.name;
	if (p->lex.token != CEL_T_NAME || strcmp(name, "in") == 0 || strcmp(name, "true") == 0 ||
	    strcmp(name, "false") == 0 || strcmp(name, "null") == 0) {
		fail(p, p->lex.token_at, "Syntax error: expected a name");
		return e;
	}
	next(p);
	if (!optional && is_op(p, "(")) {
		size_t open = p->lex.token_at;

		next(p);
		push(p, &m, e, false);
		arguments(p, &m, ")");
		struct many rest = { .items = m.items + 1, .n = m.n - 1 };
		const struct macro *macro = p->failed ? NULL : find_macro(name, &rest);
		if (macro != NULL)
			return expand(p, macro, e, &rest, open);
		struct cel_expr *c = call(p, name, open, m.items, m.n);
		c->method = true;
		return c;
	}
	struct cel_expr *s = node(p, CEL_SELECT, at);
	s->name = name;
	s->optional = optional;
	adopt(p, s, &e, 1);
	return s;
}

static struct cel_expr *
unary(struct parser *p)
{
	size_t at = p->lex.token_at;
	size_t nots = 0, minuses = 0;
	struct cel_expr *e;

	while (!p->failed && take(p, "!"))
		nots++;
	while (!p->failed && nots == 0 && is_op(p, "-")) {
		next(p);
		minuses++;
		if (p->lex.token == CEL_T_VALUE && p->lex.value.kind == CEL_ERROR && p->lex.value.u == (uint64_t)1 << 63) {
			p->lex.value = cel_int(INT64_MIN);
			minuses--;
		} else if (p->lex.token == CEL_T_VALUE && p->lex.value.kind == CEL_INT) {
			p->lex.value.i = -p->lex.value.i;
			minuses--;
		} else if (p->lex.token == CEL_T_VALUE && p->lex.value.kind == CEL_DOUBLE) {
			p->lex.value.d = -p->lex.value.d;
			minuses--;
		}
	}
	e = primary(p);
	while (!p->failed && (is_op(p, ".") || is_op(p, "[")))
		e = member(p, e);
	if (!p->failed && is_op(p, "{"))
		fail(p, p->lex.token_at, "messages cannot be made here");
	/* Pairs undo each other. */
	if (nots % 2 != 0)
		e = call(p, "!_", at, &e, 1);
	if (minuses % 2 != 0)
		e = call(p, "-_", at, &e, 1);
	return e;
}

static const struct binary {
	const char *op, *fn;
	int level;
} binaries[] = {
	{ "<", "_<_", 1 }, { "<=", "_<=_", 1 }, { ">", "_>_", 1 }, { ">=", "_>=_", 1 }, { "==", "_==_", 1 },
	{ "!=", "_!=_", 1 }, { "+", "_+_", 2 }, { "-", "_-_", 2 }, { "*", "_*_", 3 }, { "/", "_/_", 3 }, { "%", "_%_", 3 },
};

static const struct binary *
binary_here(const struct parser *p, int level)
{
	static const struct binary in = { "in", "@in", 1 };

	if (level <= 1 && is_word(p, "in"))
		return &in;
	for (size_t i = 0; i < AM_COUNTOF(binaries); i++)
		if (binaries[i].level >= level && is_op(p, binaries[i].op))
			return &binaries[i];
	return NULL;
}

static struct cel_expr *
arithmetic(struct parser *p, int level)
{
	struct cel_expr *args[2] = { unary(p) };
	const struct binary *b;

	while (!p->failed && (b = binary_here(p, level)) != NULL) {
		size_t at = p->lex.token_at;

		next(p);
		args[1] = arithmetic(p, b->level + 1);
		args[0] = call(p, b->fn, at, args, 2);
	}
	return args[0];
}

static struct cel_expr *
junction(struct parser *p, bool or)
{
	struct cel_expr *first = or ? junction(p, false) : arithmetic(p, 1), *e;
	size_t at = p->lex.token_at;
	struct many m = { 0 };

	if (!is_op(p, or ? "||" : "&&"))
		return first;
	push(p, &m, first, false);
	while (!p->failed && take(p, or ? "||" : "&&"))
		push(p, &m, or ? junction(p, false) : arithmetic(p, 1), false);
	e = node(p, or ? CEL_OR : CEL_AND, at);
	adopt(p, e, m.items, m.n);
	return e;
}

static struct cel_expr *
parse(struct parser *p)
{
	size_t at = p->lex.token_at;

	if (p->nest >= CEL_MAX_NEST)
		fail(p, at, "the expression is nested too deep");
	if (p->failed)
		return node(p, CEL_CONST, at);
	p->nest++;
	struct cel_expr *args[3] = { junction(p, true) };
	at = p->lex.token_at;
	if (take(p, "?")) {
		args[1] = junction(p, true);
		expect(p, ":");
		args[2] = parse(p);
		struct cel_expr *e = node(p, CEL_COND, at);
		adopt(p, e, args, 3);
		args[0] = e;
	}
	p->nest--;
	return args[0];
}

struct cel_expr *
cel_parse(struct am_arena *arena, struct am_slice text, struct am_buf *problem)
{
	struct parser p = { .arena = arena, .lex = { .arena = arena, .text = text }, .problem = problem };

	if (text.n > CEL_MAX_TEXT || !am_utf8_valid(text.p, text.n)) {
		am_buf_adds(problem, text.n > CEL_MAX_TEXT ? "the expression is too long" : "the expression is not UTF-8");
		return NULL;
	}
	next(&p);
	struct cel_expr *root = parse(&p);
	if (!p.failed && p.lex.token != CEL_T_END)
		fail(&p, p.lex.token_at, "Syntax error: more follows where the expression ends");
	return p.failed ? NULL : root;
}
