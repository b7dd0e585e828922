/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Label and field selectors: parsed once per request, matched against many objects without making trees.
 * A requirement on a label that an object does not have fails, except != and notin, which it meets.
 */
#include <ctype.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

#define MAX_REQUIREMENTS 256
#define MAX_VALUES       1024

enum op { OP_EXISTS, OP_ABSENT, OP_IN, OP_NOT_IN, OP_GREATER, OP_LESS };

struct requirement {
	enum op op;
	const char *key;       /* a label, or the JSON pointer of a field */
	const char **values;
	size_t n_values;
};

struct am_selector {
	struct am_arena *arena;
	struct requirement *labels, *fields;
	size_t n_labels, n_fields;
	uint64_t label_bits;   /* that the label_bits of what matches have */
};

/* ---- labels: a lexer over the text and one token of look-ahead ---- */

enum token { T_END, T_WORD, T_COMMA, T_OPEN, T_CLOSE, T_NOT, T_EQ, T_NE, T_GT, T_LT, T_BAD };

struct lexer {
	const char *at;
	struct am_slice word;
	enum token token;
};

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-' || c == '/';
}

static void
lex(struct lexer *l)
{
	while (*l->at == ' ' || *l->at == '\t' || *l->at == '\r' || *l->at == '\n')
		l->at++;
	const char *start = l->at;
	char c = *start;

	if (is_word(c)) {
		while (is_word(*l->at))
			l->at++;
		l->token = T_WORD;
	} else if (c == '\0') {
		l->token = T_END;
	} else if (c == '=') {
		l->at += start[1] == '=' ? 2 : 1;
		l->token = T_EQ;
	} else if (c == '!') {
		l->at += start[1] == '=' ? 2 : 1;
		l->token = start[1] == '=' ? T_NE : T_NOT;
	} else {
		static const char *const single = ",()><";
		static const enum token tokens[] = { T_COMMA, T_OPEN, T_CLOSE, T_GT, T_LT };
		const char *p = strchr(single, c);
		l->at++;
		l->token = p != NULL ? tokens[p - single] : T_BAD;
	}
	l->word = am_slice(start, (size_t)(l->at - start));
}

static bool
word_is(const struct lexer *l, const char *s)
{
	return l->token == T_WORD && am_slice_eq(l->word, s);
}

static int
expected(const struct lexer *l, const char *what, struct am_failure *failure)
{
	return am_fail(failure, 400, "BadRequest", "unable to parse requirement: found '%.*s', expected: %s",
		       (int)AM_MIN(l->word.n, (size_t)80), l->word.p, what);
}

static int
add_value(struct am_arena *arena, struct requirement *r, struct am_slice value, struct am_failure *failure)
{
	char *text = am_arena_strndup(arena, value.p, value.n);
	const char *problem = text != NULL && *text != '\0' ? am_name_problem(text, 3) : NULL;

	if (text == NULL || r->n_values >= MAX_VALUES)
		return am_fail(failure, 400, "BadRequest", "the label selector is too long");
	if (problem != NULL)
		return am_fail(failure, 400, "BadRequest",
			       "unable to parse requirement: values[%zu][%s]: Invalid value: \"%s\": %s", r->n_values,
			       r->key, text, problem);
	if ((r->n_values & (r->n_values - 1)) == 0) {
		const char **more = am_arena_alloc(arena, 2 * AM_MAX(r->n_values, (size_t)1) * sizeof(*more));
		if (more == NULL)
			return am_fail(failure, 400, "BadRequest", "the label selector is too long");
		if (r->n_values > 0)
			memcpy(more, r->values, r->n_values * sizeof(*more));
		r->values = more;
	}
	r->values[r->n_values++] = text;
	return 0;
}

/* "(a, b, c)": an empty value between commas is the empty string, as in Kubernetes. */
static int
parse_set(struct am_arena *arena, struct lexer *l, struct requirement *r, struct am_failure *failure)
{
	bool value = false;

	lex(l);
	if (l->token != T_OPEN)
		return expected(l, "'('", failure);
	for (;;) {
		lex(l);
		int rc = 0;
		if (l->token == T_WORD && !value) {
			rc = add_value(arena, r, l->word, failure);
			value = true;
		} else if (l->token == T_COMMA || l->token == T_CLOSE) {
			if (!value)
				rc = add_value(arena, r, AM_SLICE(""), failure);
			value = false;
		} else {
			rc = expected(l, "',', or ')'", failure);
		}
		if (rc < 0)
			return rc;
		if (l->token == T_CLOSE) {
			lex(l);
			return 0;
		}
	}
}

/* The value behind an operator; nothing there means the empty string. */
static int
parse_value(struct am_arena *arena, struct lexer *l, struct requirement *r, struct am_failure *failure)
{
	lex(l);
	if (l->token == T_END || l->token == T_COMMA)
		return add_value(arena, r, AM_SLICE(""), failure);
	if (l->token != T_WORD)
		return expected(l, "identifier", failure);
	int rc = add_value(arena, r, l->word, failure);
	lex(l);
	return rc;
}

static int
parse_comparison(struct am_arena *arena, struct lexer *l, struct requirement *r, struct am_failure *failure)
{
	int64_t number;
	int rc = parse_value(arena, l, r, failure);

	if (rc == 0 && am_parse_i64(r->values[0], &number) < 0)
		return am_fail(failure, 400, "BadRequest",
			       "unable to parse requirement: values[0][%s]: Invalid value: \"%s\": for 'Gt', 'Lt' operators, "
			       "the value must be an integer", r->key, r->values[0]);
	return rc;
}

static int
parse_label(struct am_arena *arena, struct lexer *l, struct requirement *r, struct am_failure *failure)
{
	bool absent = l->token == T_NOT;

	if (absent)
		lex(l);
	if (l->token != T_WORD)
		return expected(l, "!, identifier, or 'end of string'", failure);
	r->key = am_arena_strndup(arena, l->word.p, l->word.n);
	const char *problem = r->key != NULL ? am_name_problem(r->key, 4) : "too long";
	if (problem != NULL)
		return am_fail(failure, 400, "BadRequest", "unable to parse requirement: key: Invalid value: \"%.*s\": %s",
			       (int)AM_MIN(l->word.n, (size_t)80), l->word.p, problem);
	lex(l);
	r->op = absent ? OP_ABSENT : OP_EXISTS;
	if (l->token == T_END || l->token == T_COMMA)
		return 0;
	if (absent)
		return expected(l, "',' or 'end of string'", failure);
	if (l->token == T_EQ || l->token == T_NE) {
		r->op = l->token == T_EQ ? OP_IN : OP_NOT_IN;
		return parse_value(arena, l, r, failure);
	}
	if (l->token == T_GT || l->token == T_LT) {
		r->op = l->token == T_GT ? OP_GREATER : OP_LESS;
		return parse_comparison(arena, l, r, failure);
	}
	if (word_is(l, "in") || word_is(l, "notin")) {
		r->op = word_is(l, "in") ? OP_IN : OP_NOT_IN;
		return parse_set(arena, l, r, failure);
	}
	return expected(l, "in, notin, =, ==, !=, gt, lt", failure);
}

static size_t
count_commas(const char *text)
{
	size_t n = 1;

	for (; *text != '\0'; text++)
		n += *text == ',';
	return n;
}

static int
parse_labels(struct am_selector *selector, const char *text, struct am_failure *failure)
{
	struct lexer l = { .at = text };
	size_t max = AM_MIN(count_commas(text), (size_t)MAX_REQUIREMENTS);

	selector->labels = am_arena_zalloc(selector->arena, max * sizeof(*selector->labels));
	if (selector->labels == NULL)
		return am_fail(failure, 400, "BadRequest", "the label selector is too long");
	lex(&l);
	while (l.token != T_END) {
		if (selector->n_labels == max)
			return am_fail(failure, 400, "BadRequest", "the label selector has too many requirements");
		int rc = parse_label(selector->arena, &l, &selector->labels[selector->n_labels], failure);
		if (rc < 0)
			return rc;
		selector->n_labels++;
		if (l.token == T_END)
			break;
		if (l.token != T_COMMA)
			return expected(&l, "',' or 'end of string'", failure);
		lex(&l);
		if (l.token == T_END || l.token == T_COMMA)
			return expected(&l, "identifier after ','", failure);
	}
	return 0;
}

/* ---- fields ---- */

static const char name_field[] = "/metadata/name", namespace_field[] = "/metadata/namespace";

/* The pointer of a supported field; NULL when the resource does not offer it. */
static const char *
field_pointer(struct am_arena *arena, const struct am_resource *res, const char *name)
{
	if (strcmp(name, "metadata.name") == 0)
		return name_field;
	if (strcmp(name, "metadata.namespace") == 0)
		return namespace_field;
	for (size_t i = 0; res->selectable != NULL && res->selectable[i] != NULL; i++) {
		if (strcmp(res->selectable[i], name) != 0)
			continue;
		if (res->priv->field_paths != NULL)
			return res->priv->field_paths[i];
		char *pointer = am_arena_printf(arena, "/%s", name);
		for (char *p = pointer; p != NULL && *p != '\0'; p++)
			if (*p == '.')
				*p = '/';
		return pointer;
	}
	return NULL;
}

/* One "name=value" term up to a comma that is not escaped; values may carry \, \= \\. */
static int
parse_field(struct am_selector *selector, const struct am_resource *res, const char **at, struct am_failure *failure)
{
	struct requirement *r = &selector->fields[selector->n_fields];
	const char *p = *at, *op = p + strcspn(p, "=!,");
	char *name = am_arena_strndup(selector->arena, p, (size_t)(op - p));
	char *value = am_arena_alloc(selector->arena, strlen(op) + 1), *v = value;

	if (name == NULL || value == NULL || (*op != '=' && !(op[0] == '!' && op[1] == '=')))
		return am_fail(failure, 400, "BadRequest", "invalid selector: '%.200s'; can't understand '%.200s'", *at, p);
	r->op = *op == '!' ? OP_NOT_IN : OP_IN;
	p = op + (op[1] == '=' ? 2 : 1);
	for (; *p != '\0' && *p != ','; p++) {
		if (*p == '\\' && p[1] != '\0' && strchr(",=\\", p[1]) != NULL)
			p++;
		else if (*p == '\\' || *p == '=')
			return am_fail(failure, 400, "BadRequest", "invalid field selector: \"%.200s\"", *at);
		*v++ = *p;
	}
	*v = '\0';
	r->key = field_pointer(selector->arena, res, name);
	if (r->key == NULL)
		return am_fail(failure, 400, "BadRequest", "field label not supported: %s", name);
	r->values = am_arena_alloc(selector->arena, sizeof(*r->values));
	if (r->values == NULL)
		return am_fail(failure, 400, "BadRequest", "the field selector is too long");
	r->values[0] = value;
	r->n_values = 1;
	selector->n_fields++;
	*at = p;
	return 0;
}

static int
parse_fields(struct am_selector *selector, const struct am_resource *res, const char *text, struct am_failure *failure)
{
	size_t max = AM_MIN(count_commas(text), (size_t)MAX_REQUIREMENTS);

	selector->fields = am_arena_zalloc(selector->arena, max * sizeof(*selector->fields));
	if (selector->fields == NULL)
		return am_fail(failure, 400, "BadRequest", "the field selector is too long");
	while (*text != '\0') {
		if (*text == ',') {
			text++;
			continue;
		}
		if (selector->n_fields == max)
			return am_fail(failure, 400, "BadRequest", "the field selector has too many terms");
		int rc = parse_field(selector, res, &text, failure);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* ---- the selector ---- */

static uint64_t
bits_needed(const struct requirement *r)
{
	if (r->op == OP_ABSENT || r->op == OP_NOT_IN)
		return 0;
	return am_label_bits(r->key, r->op == OP_IN && r->n_values == 1 ? r->values[0] : NULL);
}

int
am_selector_parse(const struct am_resource *res, const char *labels, const char *fields, struct am_selector **ret,
		  struct am_failure *failure)
{
	*ret = NULL;
	if (am_empty(labels) && am_empty(fields))
		return 0;
	struct am_arena *arena = am_arena_new_limited(1024 * 1024);
	struct am_selector *selector = am_arena_zalloc(arena, sizeof(*selector));
	int rc = 0;

	selector->arena = arena;
	if (!am_empty(labels))
		rc = parse_labels(selector, labels, failure);
	for (size_t i = 0; i < selector->n_labels; i++)
		selector->label_bits |= bits_needed(&selector->labels[i]);
	if (rc == 0 && !am_empty(fields))
		rc = parse_fields(selector, res, fields, failure);
	if (rc < 0) {
		am_arena_free(arena);
		return rc;
	}
	*ret = selector;
	return 0;
}

void
am_selector_free(struct am_selector *selector)
{
	if (selector != NULL)
		am_arena_free(selector->arena);
}

static bool
has_value(const struct requirement *r, const char *value)
{
	for (size_t i = 0; i < r->n_values; i++)
		if (strcmp(r->values[i], value) == 0)
			return true;
	return false;
}

static bool
match_label(const struct requirement *r, const char *value)
{
	int64_t have, want;

	switch (r->op) {
	case OP_EXISTS:
		return value != NULL;
	case OP_ABSENT:
		return value == NULL;
	case OP_IN:
		return value != NULL && has_value(r, value);
	case OP_NOT_IN:
		return value == NULL || !has_value(r, value);
	case OP_GREATER:
	case OP_LESS:
		if (value == NULL || am_parse_i64(value, &have) < 0 || am_parse_i64(r->values[0], &want) < 0)
			return false;
		return r->op == OP_GREATER ? have > want : have < want;
	}
	return false;
}

/* A field that is not there counts as "". */
static bool
match_field(const struct requirement *r, const struct am_object *object)
{
	struct am_slice value;
	bool equal;

	/* The two that everybody may ask for are at hand. */
	if (r->key == name_field || r->key == namespace_field)
		equal = strcmp(r->key == name_field ? object->name : object->ns, r->values[0]) == 0;
	else if (!am_json_find(am_object_text(object), r->key, &value))
		equal = r->values[0][0] == '\0';
	else if (am_json_type(value) == AMBIENT_T_STRING)
		equal = am_json_str_eq(value, r->values[0]);
	else
		equal = am_slice_eq(value, r->values[0]);
	return equal == (r->op == OP_IN);
}

static bool
match_all(const struct am_selector *selector, const struct am_object *object)
{
	for (size_t i = 0; i < selector->n_labels; i++)
		if (!match_label(&selector->labels[i], am_object_label(object, selector->labels[i].key)))
			return false;
	for (size_t i = 0; i < selector->n_fields; i++)
		if (!match_field(&selector->fields[i], object))
			return false;
	return true;
}

static bool
only_names(const struct am_selector *selector)
{
	for (size_t i = 0; i < selector->n_fields; i++)
		if (selector->fields[i].key != name_field && selector->fields[i].key != namespace_field)
			return false;
	return selector->n_labels == 0;
}

bool
am_selector_match(const struct am_selector *selector, const struct am_object *object)
{
	if (selector == NULL)
		return true;
	if (object->body != NULL || only_names(selector))
		return match_all(selector, object);
	if ((selector->label_bits & ~object->label_bits) != 0)
		return false;
	struct am_object *open = am_object_open(object);
	bool match = match_all(selector, open);
	am_object_unref(open);
	return match;
}
