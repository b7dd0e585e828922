/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One text in libconfig's syntax becomes a tree of our own.  The only file that calls libconfig.
 *
 * libconfig 1.5 reads 5000000000 as 705032704 without a word, so the text passes a scanner first: it marks
 * integers that do not fit 32 bits with an L, refuses those that do not fit 64, and refuses @include, bytes
 * that are not UTF-8, and deep nesting.  The scanner knows the lexical grammar only; everything else is
 * libconfig's business.  Line numbers stay what they are.
 */
#include <errno.h>
#include <libconfig.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/conf/conf_priv.h"

struct scan {
	struct am_conf_file *file;
	struct conf_origin at;
	const char *p, *end;
	struct am_buf *out;
	int depth;
	bool ok;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Copies up to `to`, counting lines. */
static void
copy(struct scan *s, const char *to)
{
	for (const char *p = s->p; p < to; p++) {
		if (*p == '\n' && s->at.line > 0)
			s->at.line++;
	}
	am_buf_add(s->out, s->p, (size_t)(to - s->p));
	s->p = to;
}

static void
skip_line(struct scan *s)
{
	const char *nl = memchr(s->p, '\n', (size_t)(s->end - s->p));

	copy(s, nl != NULL ? nl : s->end);
}

static void
skip_comment(struct scan *s)
{
	const char *p = s->p + 2;

	while (p + 1 < s->end && !(p[0] == '*' && p[1] == '/'))
		p++;
	if (p + 1 >= s->end) {
		conf_error(s->file, &s->at, "a comment begins here and does not end");
		s->ok = false;
		return;
	}
	copy(s, p + 2);
}

static void
skip_string(struct scan *s)
{
	const char *p = s->p + 1;

	while (p < s->end && *p != '"')
		p += (*p == '\\' && p + 1 < s->end) ? 2 : 1;
	if (p >= s->end) {
		conf_error(s->file, &s->at, "a string begins here and does not end");
		s->ok = false;
		return;
	}
	copy(s, p + 1);
}

static void
skip_name(struct scan *s)
{
	const char *p = s->p;

	while (p < s->end && (is_alpha(*p) || is_digit(*p) || *p == '-' || *p == '_' || *p == '*'))
		p++;
	copy(s, p);
}

static void
number(struct scan *s)
{
	const char *p = s->p, *digits;
	bool hex = false;
	char text[80];

	if (*p == '-' || *p == '+')
		p++;
	digits = p;
	if (p + 2 < s->end && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && is_hex(p[2])) {
		hex = true;
		p += 2;
		while (p < s->end && is_hex(*p))
			p++;
	} else {
		while (p < s->end && is_digit(*p))
			p++;
		if (p < s->end && (*p == '.' || *p == 'e' || *p == 'E')) {
			while (p < s->end && (is_digit(*p) || strchr(".eE", *p) != NULL ||
					      ((*p == '-' || *p == '+') && (p[-1] == 'e' || p[-1] == 'E'))))
				p++;
			copy(s, p);
			return;
		}
	}
	size_t n = (size_t)(p - s->p);
	bool fits = p > digits && n < sizeof(text);
	long long v = 0;
	if (fits) {
		memcpy(text, s->p, n);
		text[n] = '\0';
		errno = 0;
		v = strtoll(text, NULL, hex ? 16 : 10);
		fits = errno == 0;
	}
	if (!fits && p > digits) {
		conf_error(s->file, &s->at, "%.*s does not fit an integer of 64 bits", (int)AM_MIN(n, (size_t)40), s->p);
		s->ok = false;
	}
	copy(s, p > s->p ? p : s->p + 1);
	bool marked = s->p < s->end && *s->p == 'L';
	while (s->p < s->end && *s->p == 'L')
		copy(s, s->p + 1);
	if (fits && !marked && (v > INT32_MAX || v < INT32_MIN))
		am_buf_addc(s->out, 'L');
}

static bool
scan(struct scan *s)
{
	while (s->p < s->end && s->ok) {
		char c = *s->p;

		if (c == '#' || (c == '/' && s->p + 1 < s->end && s->p[1] == '/'))
			skip_line(s);
		else if (c == '/' && s->p + 1 < s->end && s->p[1] == '*')
			skip_comment(s);
		else if (c == '"')
			skip_string(s);
		else if (is_alpha(c) || c == '*')
			skip_name(s);
		else if (is_digit(c) || c == '-' || c == '+' || c == '.')
			number(s);
		else if (c == '@') {
			conf_error(s->file, &s->at, "@include is not read here, put the file into the directory conf.d");
			return false;
		} else {
			if (c == '{' || c == '(' || c == '[')
				s->depth++;
			if (c == '}' || c == ')' || c == ']')
				s->depth--;
			if (s->depth > CONF_DEPTH_MAX) {
				conf_error(s->file, &s->at, "groups and lists are nested deeper than %d", CONF_DEPTH_MAX);
				return false;
			}
			copy(s, s->p + 1);
		}
	}
	return s->ok;
}

static bool
prepare(struct am_conf_file *file, const struct conf_origin *origin, const char *text, size_t n, struct am_buf *out)
{
	struct scan s = { .file = file, .at = *origin, .p = text, .end = text + n, .out = out, .ok = true };

	if (n > 0 && (memchr(text, '\0', n) != NULL || !am_utf8_valid(text, n))) {
		s.at.line = 0;
		conf_error(file, &s.at, "this is no text in UTF-8");
		return false;
	}
	return scan(&s) && !out->failed;
}

/* ---- from libconfig's tree to ours */

static struct am_conf_value *
convert(struct am_conf_file *file, const struct conf_origin *origin, const config_setting_t *from)
{
	struct am_conf_value *v = conf_alloc(file, sizeof(*v));
	const char *name = config_setting_name(from);

	v->name = am_arena_strdup(file->arena, name);
	v->origin = *origin;
	if (origin->line > 0 && config_setting_source_line(from) > 0)
		v->origin.line = (int)config_setting_source_line(from);
	switch (config_setting_type(from)) {
	case CONFIG_TYPE_INT:
		v->type = CONF_INT;
		v->i = config_setting_get_int(from);
		break;
	case CONFIG_TYPE_INT64:
		v->type = CONF_INT;
		v->i = config_setting_get_int64(from);
		break;
	case CONFIG_TYPE_FLOAT:
		v->type = CONF_FLOAT;
		v->d = config_setting_get_float(from);
		if (!isfinite(v->d)) {
			conf_error(file, &v->origin, "this number is too large");
			v->d = 0;
		}
		break;
	case CONFIG_TYPE_BOOL:
		v->type = CONF_BOOL;
		v->i = config_setting_get_bool(from);
		break;
	case CONFIG_TYPE_STRING:
		v->type = CONF_STRING;
		v->s = am_arena_strdup(file->arena, config_setting_get_string(from));
		am_assert(v->s != NULL);
		break;
	case CONFIG_TYPE_ARRAY:
		v->type = CONF_ARRAY;
		break;
	case CONFIG_TYPE_LIST:
		v->type = CONF_LIST;
		break;
	default:
		v->type = CONF_GROUP;
		break;
	}
	/* Bounded by CONF_DEPTH_MAX. */
	if (v->type == CONF_GROUP || v->type == CONF_LIST || v->type == CONF_ARRAY) {
		unsigned int n = (unsigned int)config_setting_length(from);

		for (unsigned int i = 0; i < n; i++)
			conf_append(v, convert(file, origin, config_setting_get_elem(from, i)));
	}
	return v;
}

struct am_conf_value *
conf_parse(struct am_conf_file *file, const struct conf_origin *origin, const char *text, size_t n)
{
	am_auto(am_buf_fini) struct am_buf clean = { 0 };
	struct am_conf_value *ret = NULL;
	config_t config;

	if (!prepare(file, origin, text, n, &clean))
		return NULL;
	config_init(&config);
	if (config_read_string(&config, am_buf_str(&clean)) != CONFIG_TRUE) {
		struct conf_origin at = *origin;
		const char *what = config_error_text(&config);

		if (at.line > 0)
			at.line = config_error_line(&config);
		if (am_streq(what, "duplicate setting name"))
			conf_error(file, &at, "a key of this group is given twice");
		else
			conf_error(file, &at, "%s, look here and on the line before for a missing \";\", quote or bracket",
				   what != NULL ? what : "syntax error");
	} else {
		ret = convert(file, origin, config_root_setting(&config));
	}
	config_destroy(&config);
	return ret;
}
