/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of schemas and rules.  They are written for RE2; what pcre2 understands beyond that (references,
 * look-around, possessive repetition, recursion ...) is refused, so that nothing is accepted here that a cluster
 * refuses.  RE2 takes a time that grows with the text and needs no bound; pcre2 does, and its own limits count anew at
 * each place where a match may begin.  So every step of a pattern calls back and is counted, with the way between two
 * of them, over all matches of one change: a value that makes some pattern go astray costs a part of a second.
 */
#include <ctype.h>
#include <stdlib.h>

#include "core/base/str.h"
#include "plugins/standalone/apiserver/cel_priv.h"

#define MAX_PATTERNS  1000
#define MAX_REPEAT    1000
#define MATCH_STEPS   20000000
#define MATCH_STRIDE  16 /* bytes that are looked at in the time of a step */
#define MATCH_HEAP    (16 << 10) /* KiB */

struct am_schema_set {
	pcre2_code *codes[MAX_PATTERNS];
	size_t n;
};

struct am_schema_set *
am_schema_set_new(void)
{
	return am_xcalloc(1, sizeof(struct am_schema_set));
}

void
am_schema_set_free(struct am_schema_set *set)
{
	for (size_t i = 0; set != NULL && i < set->n; i++)
		pcre2_code_free(set->codes[i]);
	free(set);
}

/* ---- the subset ---- */

/* What may follow a backslash; i is at it.  Moves to its last character. */
static const char *
escape_problem(const char *p, size_t n, size_t *i)
{
	char c = *i + 1 < n ? p[*i + 1] : '\0';

	if (c == '\0')
		return "trailing backslash at end of expression";
	++*i;
	if (isalnum((unsigned char)c) && strchr("afnrtvdDsSwWbBAzxpPQE0", c) == NULL)
		return "invalid escape sequence";
	if (c == 'Q')
		while (*i + 1 < n && !(p[*i] == '\\' && p[*i + 1] == 'E'))
			++*i;
	return NULL;
}

/* Behind "(?": flags, a name, or nothing else. */
static const char *
group_problem(const char *p, size_t n, size_t i)
{
	size_t k = i;

	if (k < n && p[k] == 'P')
		k++;
	if (k < n && p[k] == '<')
		return k + 1 < n && (isalpha((unsigned char)p[k + 1]) || p[k + 1] == '_') ? NULL : "invalid or unsupported Perl syntax";
	for (k = i; k < n && strchr("imsU-", p[k]) != NULL; k++)
		;
	return k < n && (p[k] == ':' || (p[k] == ')' && k > i)) ? NULL : "invalid or unsupported Perl syntax";
}

/* A counted repetition {n}, {n,}, {n,m} at i: its length, or 0. */
static size_t
repeat_at(const char *p, size_t n, size_t i, bool *large)
{
	size_t k = i + 1;
	long value = 0;

	if (k >= n || !isdigit((unsigned char)p[k]))
		return 0;
	for (int part = 0; k < n; k++) {
		if (isdigit((unsigned char)p[k])) {
			value = AM_MIN(value * 10 + (p[k] - '0'), 100000L);
			*large |= value > MAX_REPEAT;
		} else if (p[k] == ',' && part == 0) {
			part = 1;
			value = 0;
		} else {
			return p[k] == '}' ? k - i + 1 : 0;
		}
	}
	return 0;
}

/* Skips a class [...]; i is at its bracket, and then at its end. */
static const char *
class_problem(const char *p, size_t n, size_t *i)
{
	const char *problem;
	size_t from = ++*i;

	if (*i < n && p[*i] == '^')
		from = ++*i;
	for (; *i < n; ++*i) {
		if (p[*i] == ']' && *i > from)
			return NULL;
		if (p[*i] == '\\' && (problem = escape_problem(p, n, i)) != NULL)
			return problem;
		if (p[*i] == '[' && *i + 1 < n && p[*i + 1] == ':')
			for (*i += 2; *i + 1 < n && !(p[*i] == ':' && p[*i + 1] == ']'); ++*i)
				;
		else if (p[*i] == '[' && *i + 1 < n && (p[*i + 1] == '.' || p[*i + 1] == '='))
			return "invalid character class";
	}
	return "missing closing ]";
}

static const char *
syntax_problem(const char *p, size_t n)
{
	const char *problem = NULL;
	bool repeated = false, large = false; /* the last thing was a repetition, "?" for laziness not counted */

	for (size_t i = 0; i < n && problem == NULL; i++) {
		bool repeat = p[i] == '*' || p[i] == '+' || p[i] == '?';
		size_t counted = p[i] == '{' ? repeat_at(p, n, i, &large) : 0;

		if (repeat || counted > 0) {
			if (repeated && p[i] != '?')
				return "invalid nested repetition operator";
			i += counted > 0 ? counted - 1 : 0;
			if (!repeated && i + 1 < n && p[i + 1] == '?')
				i++;
			else if (repeated)
				return "invalid nested repetition operator";
			repeated = true;
			continue;
		}
		repeated = false;
		if (p[i] == '\\')
			problem = escape_problem(p, n, &i);
		else if (p[i] == '[')
			problem = class_problem(p, n, &i);
		else if (p[i] == '(' && i + 1 < n && p[i + 1] == '*')
			problem = "missing argument to repetition operator";
		else if (p[i] == '(' && i + 1 < n && p[i + 1] == '?') {
			problem = group_problem(p, n, i + 2);
			i++; /* not a repetition */
		}
	}
	return problem != NULL ? problem : large ? "invalid repeat count" : NULL;
}

/* \v is one character to RE2 and a class to pcre2; \Q..\E never holds it there. */
static void
translate(const char *p, size_t n, struct am_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\\' && i + 1 < n && p[i + 1] == 'v') {
			am_buf_adds(out, "\\x0b");
			i++;
		} else if (p[i] == '\\' && i + 1 < n) {
			am_buf_add(out, p + i++, 2);
		} else if (p[i] == '(' && i + 2 < n && p[i + 1] == '?' && p[i + 2] == 'P' && i + 3 < n && p[i + 3] == '<') {
			am_buf_adds(out, "(?");
			i += 2;
		} else {
			am_buf_addc(out, p[i]);
		}
	}
}

pcre2_code *
am_pattern_compile(const char *p, size_t n, const char **problem)
{
	struct am_buf text = { 0 };
	int code;
	PCRE2_SIZE at;

	*problem = syntax_problem(p, n);
	if (*problem != NULL)
		return NULL;
	translate(p, n, &text);
	pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)am_buf_str(&text), text.len,
					     PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT, &code, &at, NULL);
	if (compiled == NULL)
		*problem = "it is not a regular expression";
	am_buf_fini(&text);
	return compiled;
}

pcre2_code *
am_schema_pattern(struct am_schema_set *set, const char *p, size_t n, const char **problem)
{
	*problem = "there are too many patterns";
	if (set->n >= MAX_PATTERNS)
		return NULL;
	pcre2_code *code = am_pattern_compile(p, n, problem);
	if (code != NULL)
		set->codes[set->n++] = code;
	return code;
}

static int
on_step(pcre2_callout_block *block, void *arg)
{
	struct am_matcher *m = arg;
	size_t at = block->current_position;

	m->steps += 1 + (at > m->at ? at - m->at : m->at - at) / MATCH_STRIDE;
	m->at = at;
	return m->steps > MATCH_STEPS ? PCRE2_ERROR_MATCHLIMIT : 0;
}

int
am_pattern_find(struct am_matcher *m, const pcre2_code *code, const char *text, size_t n, size_t from, size_t ret[2])
{
	if (m->context == NULL) {
		m->context = pcre2_match_context_create(NULL);
		am_assert(m->context != NULL);
		pcre2_set_heap_limit(m->context, MATCH_HEAP);
		(void)pcre2_set_callout(m->context, on_step, m);
	}
	m->at = from;
	m->steps += 1 + (n - from) / MATCH_STRIDE; /* it is looked through for its encoding */
	if (m->steps > MATCH_STEPS)
		return -1;
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	int rc = data == NULL ? PCRE2_ERROR_NOMEMORY :
		pcre2_match(code, (PCRE2_SPTR)text, n, from, 0, data, m->context);
	if (rc >= 0 && ret != NULL) {
		ret[0] = pcre2_get_ovector_pointer(data)[0];
		ret[1] = pcre2_get_ovector_pointer(data)[1];
	}
	pcre2_match_data_free(data);
	return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

void
am_matcher_fini(struct am_matcher *m)
{
	pcre2_match_context_free(m->context);
}
