/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words of an expression.  A literal becomes its value here.  The text is UTF-8 and bounded by the caller; strings with
 * escapes are decoded into the program's arena.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/cel_priv.h"

static int
peek(const struct cel_lexer *l, size_t ahead)
{
	return l->at + ahead < l->text.n ? (unsigned char)l->text.p[l->at + ahead] : -1;
}

static void
bad(struct cel_lexer *l, const char *problem)
{
	l->token = CEL_T_BAD;
	l->problem = problem;
}

static void
skip_space(struct cel_lexer *l)
{
	for (;;) {
		int c = peek(l, 0);

		if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
			l->at++;
		} else if (c == '/' && peek(l, 1) == '/') {
			while (peek(l, 0) != '\n' && peek(l, 0) != -1)
				l->at++;
		} else {
			return;
		}
	}
}

/* ---- numbers ---- */

static void
integer(struct cel_lexer *l, const char *digits, int base)
{
	char *end;

	errno = 0;
	unsigned long long u = strtoull(digits, &end, base);
	if (errno != 0) {
		bad(l, "invalid int literal");
		return;
	}
	if (peek(l, 0) == 'u' || peek(l, 0) == 'U') {
		l->at++;
		l->value = cel_uint(u);
	} else if (u > (unsigned long long)INT64_MAX) {
		/* Only behind a minus sign; the parser knows. */
		l->value = (struct cel_value){ .kind = CEL_ERROR, .u = u };
	} else {
		l->value = cel_int((int64_t)u);
	}
}

static void
real_number(struct cel_lexer *l, double d)
{
	l->value = cel_double(d);
	if (isinf(d))
		bad(l, "invalid double literal");
}

static void
number(struct cel_lexer *l)
{
	char text[64];
	size_t n = 0;
	bool real = false;

	l->token = CEL_T_VALUE;
	if (peek(l, 0) == '0' && peek(l, 1) == 'x') {
		for (l->at += 2; isxdigit(peek(l, 0)) && n < sizeof(text) - 1; l->at++)
			text[n++] = l->text.p[l->at];
		text[n] = '\0';
		if (n == 0)
			bad(l, "Syntax error: a hexadecimal number has no digits");
		else
			integer(l, text, 16);
		return;
	}
	while (n < sizeof(text) - 2) {
		int c = peek(l, 0);

		if (c == '.' && !real && isdigit(peek(l, 1)))
			real = true;
		else if ((c == 'e' || c == 'E') &&
			 (isdigit(peek(l, 1)) || ((peek(l, 1) == '+' || peek(l, 1) == '-') && isdigit(peek(l, 2))))) {
			real = true;
			text[n++] = l->text.p[l->at++];
			text[n++] = l->text.p[l->at++];
			while (isdigit(peek(l, 0)) && n < sizeof(text) - 1)
				text[n++] = l->text.p[l->at++];
			break;
		} else if (!isdigit(c))
			break;
		text[n++] = l->text.p[l->at++];
	}
	text[n] = '\0';
	if (isdigit(peek(l, 0)))
		bad(l, "Syntax error: a number has too many digits");
	else if (real)
		real_number(l, strtod(text, NULL));
	else
		integer(l, text, 10);
}

/* ---- strings ---- */

size_t
cel_utf8_put(char out[4], uint32_t r)
{
	if (r < 0x80) {
		out[0] = (char)r;
		return 1;
	}
	if (r < 0x800) {
		out[0] = (char)(0xc0 | r >> 6);
		out[1] = (char)(0x80 | (r & 0x3f));
		return 2;
	}
	if (r < 0x10000) {
		out[0] = (char)(0xe0 | r >> 12);
		out[1] = (char)(0x80 | (r >> 6 & 0x3f));
		out[2] = (char)(0x80 | (r & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | r >> 18);
	out[1] = (char)(0x80 | (r >> 12 & 0x3f));
	out[2] = (char)(0x80 | (r >> 6 & 0x3f));
	out[3] = (char)(0x80 | (r & 0x3f));
	return 4;
}

/* n digits of a base; -1 when there are fewer. */
static int64_t
digits(struct cel_lexer *l, int n, int base)
{
	int64_t ret = 0;

	for (; n > 0; n--, l->at++) {
		int c = peek(l, 0), d;

		if (c == -1)
			return -1;
		d = isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : 99;
		if (d >= base)
			return -1;
		ret = ret * base + d;
	}
	return ret;
}

static bool
escape(struct cel_lexer *l, bool bytes, char *out, size_t *n)
{
	static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
	int c = peek(l, 1);
	const char *simple = c > 0 ? strchr(from, c) : NULL;
	int64_t value;

	l->at += 2;
	if (simple != NULL) {
		out[(*n)++] = to[simple - from];
		return true;
	}
	if (c == 'x' || c == 'X') {
		value = digits(l, 2, 16);
	} else if (c == 'u' && !bytes) {
		value = digits(l, 4, 16);
	} else if (c == 'U' && !bytes) {
		value = digits(l, 8, 16);
	} else if (c >= '0' && c <= '3') {
		l->at--;
		value = digits(l, 3, 8);
	} else {
		return false;
	}
	if (value < 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return false;
	if (bytes)
		out[(*n)++] = (char)value;
	else
		*n += cel_utf8_put(out + *n, (uint32_t)value);
	return true;
}

static void
string(struct cel_lexer *l, bool raw, bool bytes)
{
	char quote = l->text.p[l->at];
	bool triple = peek(l, 1) == quote && peek(l, 2) == quote;
	size_t marks = triple ? 3 : 1, n = 0;

	l->at += marks;
	/* No escape is shorter than what it stands for, but \u0080 to \u00ff and such: all are. */
	char *out = am_arena_alloc(l->arena, l->text.n - l->at + 5);
	am_assert(out != NULL);
	for (;;) {
		int c = peek(l, 0);

		if (c == -1 || (!triple && (c == '\n' || c == '\r'))) {
			bad(l, "Syntax error: a string does not end");
			return;
		}
		if (c == quote && (!triple || (peek(l, 1) == quote && peek(l, 2) == quote))) {
			l->at += marks;
			break;
		}
		if (c == '\\' && !raw) {
			if (!escape(l, bytes, out, &n)) {
				bad(l, "Syntax error: a string has an escape that is not known");
				return;
			}
			continue;
		}
		if (c == '\\' && raw && peek(l, 1) != -1)
			out[n++] = l->text.p[l->at++];
		out[n++] = l->text.p[l->at++];
	}
	out[n] = '\0';
	l->token = CEL_T_VALUE;
	l->value = (struct cel_value){ .kind = bytes ? CEL_BYTES : CEL_STRING, .s = am_slice(out, n) };
}

/* r"", b"", br"" in either case. */
static bool
prefixed_string(struct cel_lexer *l)
{
	bool raw = false, bytes = false;
	size_t i = 0;

	for (; i < 2; i++) {
		int c = tolower(peek(l, i));

		if (c == 'r' && !raw)
			raw = true;
		else if (c == 'b' && i == 0)
			bytes = true;
		else
			break;
	}
	if (peek(l, i) != '"' && peek(l, i) != '\'')
		return false;
	l->at += i;
	string(l, raw, bytes);
	return true;
}

/* ---- the rest ---- */

static void
name(struct cel_lexer *l)
{
	size_t from = l->at;

	while (isalnum(peek(l, 0)) || peek(l, 0) == '_')
		l->at++;
	l->token = CEL_T_NAME;
	l->name = am_arena_strndup(l->arena, l->text.p + from, l->at - from);
	am_assert(l->name != NULL);
}

static void
operator(struct cel_lexer *l)
{
	static const char *const two[] = { "&&", "||", "==", "!=", "<=", ">=" };
	int c = peek(l, 0), d = peek(l, 1);

	l->token = CEL_T_OP;
	for (size_t i = 0; i < AM_COUNTOF(two); i++)
		if (c == two[i][0] && d == two[i][1]) {
			memcpy(l->op, two[i], 3);
			l->at += 2;
			return;
		}
	if (c == 0 || strchr("+-*/%<>!?:.,()[]{}", c) == NULL) {
		bad(l, "Syntax error: a character that means nothing here");
		return;
	}
	l->op[0] = (char)c;
	l->op[1] = '\0';
	l->at++;
}

void
cel_lex(struct cel_lexer *l)
{
	skip_space(l);
	l->token_at = l->at;
	int c = peek(l, 0);

	if (c == -1)
		l->token = CEL_T_END;
	else if (isdigit(c) || (c == '.' && isdigit(peek(l, 1))))
		number(l);
	else if (prefixed_string(l))
		;
	else if (isalpha(c) || c == '_')
		name(l);
	else
		operator(l);
}
