/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See redact.h.  One pass from left to right; at each position the first rule that matches wins.  Every rule is
 * linear in what it looks at and looks at a bounded window, so that hostile text costs no more than long text.
 */
#include "core/ambient-runner/redact.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/data/scan.h"

#define MARK      "[redacted]"
#define VALUE_MIN 6
#define WINDOW    4096
#define CUT_MAX   ((size_t)64 << 10) /* of what becomes one line */

struct value {
	struct value *next;
	size_t n;
	char p[];
};

struct am_redactor {
	struct value *values[256]; /* by first byte: most positions of a text match none */
};

/* Tokens that announce themselves: the prefix, and how many bytes of the alphabet must follow. */
static const struct {
	const char *prefix;
	size_t min;
} tokens[] = {
	{"ghp_", 16},   {"gho_", 16},  {"ghu_", 16},  {"ghs_", 16}, {"ghr_", 16},  {"github_pat_", 16}, {"glpat-", 12},
	{"sk-ant-", 6}, {"pk-lf-", 6}, {"sk-lf-", 6}, {"AIza", 30}, {"xoxb-", 10}, {"eyJhbGciOi", 20},
};

/* Names whose value is a secret when they are assigned to. */
static const char *const names[] = {
	"ANTHROPIC_API_KEY",
	"ANTHROPIC_AUTH_TOKEN",
	"LANGFUSE_PUBLIC_KEY",
	"LANGFUSE_SECRET_KEY",
	"BOT_TOKEN",
	"GIT_TOKEN",
	"GITHUB_TOKEN",
	"GITLAB_TOKEN",
	"GEMINI_API_KEY",
	"OPENAI_API_KEY",
	"AWS_SECRET_ACCESS_KEY",
};
static const char *const name_ends[] = {"_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_PASSWD", "_CREDENTIALS", NULL};

struct am_redactor *
am_runner_redactor_new(void)
{
	return am_xcalloc(1, sizeof(struct am_redactor));
}

void
am_runner_redactor_free(struct am_redactor *redactor)
{
	if (redactor == NULL)
		return;
	for (size_t i = 0; i < AM_COUNTOF(redactor->values); i++)
		while (redactor->values[i] != NULL) {
			struct value *v = redactor->values[i];

			redactor->values[i] = v->next;
			explicit_bzero(v->p, v->n);
			free(v);
		}
	free(redactor);
}

static void
add_value(struct am_redactor *redactor, const char *value, size_t n)
{
	if (n < VALUE_MIN)
		return;
	struct value **chain = &redactor->values[(unsigned char)value[0]];
	for (const struct value *v = *chain; v != NULL; v = v->next)
		if (v->n == n && memcmp(v->p, value, n) == 0)
			return;
	struct value *v = am_xcalloc(1, sizeof(*v) + n);
	v->n = n;
	memcpy(v->p, value, n);
	v->next = *chain;
	*chain = v;
}

void
am_runner_redactor_merge(struct am_redactor *redactor, const struct am_redactor *from)
{
	for (size_t i = 0; i < AM_COUNTOF(from->values); i++)
		for (const struct value *v = from->values[i]; v != NULL; v = v->next)
			add_value(redactor, v->p, v->n);
}

void
am_runner_redactor_add(struct am_redactor *redactor, const char *value, size_t n)
{
	while (n > 0 && isspace((unsigned char)value[n - 1]))
		n--;
	if (n == 0 || n > WINDOW * 4 || memchr(value, '\0', n) != NULL)
		return;
	add_value(redactor, value, n);
	if (memchr(value, '\n', n) == NULL)
		return;
	/* A line of a key is worth hiding; "-----BEGIN ..." is not. */
	for (size_t at = 0; at < n;) {
		const char *end = memchr(value + at, '\n', n - at);
		size_t len = end != NULL ? (size_t)(end - value) - at : n - at;

		if (len >= 20 && value[at] != '-')
			add_value(redactor, value + at, len);
		at += len + 1;
	}
}

void
am_runner_redactor_add_env(struct am_redactor *redactor, const char *const *env)
{
	if (env == NULL)
		env = (const char *const *)environ;
	for (; env != NULL && *env != NULL; env++) {
		const char *eq = strchr(*env, '=');
		char name[128];

		if (eq == NULL || (size_t)(eq - *env) >= sizeof(name))
			continue;
		memcpy(name, *env, (size_t)(eq - *env));
		name[eq - *env] = '\0';
		for (size_t i = 0; name_ends[i] != NULL; i++)
			if (am_ends(name, name_ends[i])) {
				am_runner_redactor_add(redactor, eq + 1, strlen(eq + 1));
				break;
			}
	}
}

static bool
is_token_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* The matchers: how many bytes at p are to go, 0: none; the first *keep of them stay.  Of values that begin alike, the
 * longest. */
static size_t
match_value(const struct am_redactor *redactor, const char *p, size_t n)
{
	size_t best = 0;

	for (const struct value *v = redactor->values[(unsigned char)*p]; v != NULL; v = v->next)
		if (v->n <= n && v->n > best && memcmp(v->p, p, v->n) == 0)
			best = v->n;
	return best;
}

static size_t
match_token(const char *p, size_t n)
{
	for (size_t i = 0; i < AM_COUNTOF(tokens); i++) {
		size_t len = strlen(tokens[i].prefix), end;

		if (n < len + tokens[i].min || p[0] != tokens[i].prefix[0] || memcmp(p, tokens[i].prefix, len) != 0)
			continue;
		for (end = len; end < n && is_token_byte(p[end]); end++)
			;
		if (end >= len + tokens[i].min)
			return end;
	}
	return 0;
}

/* "://user:password@" and "user:password@" of the two names that git hosts use: the part between. */
static size_t
match_userinfo(const char *p, size_t n, size_t *keep)
{
	static const char *const users[] = {"x-access-token:", "oauth2:"};
	size_t end;

	for (size_t i = 0; i < AM_COUNTOF(users); i++) {
		size_t len = strlen(users[i]);

		if (n <= len || memcmp(p, users[i], len) != 0)
			continue;
		for (end = len; end < n && end < WINDOW && p[end] != '@' && !isspace((unsigned char)p[end]); end++)
			;
		if (end < n && p[end] == '@' && end > len) {
			*keep = len;
			return end;
		}
	}
	if (n < 6 || memcmp(p, "://", 3) != 0)
		return 0;
	bool colon = false;
	for (end = 3; end < n && end < WINDOW; end++) {
		char c = p[end];

		if (c == '@' && colon) {
			*keep = 3;
			return end;
		}
		if (c == ':')
			colon = true;
		else if (c == '/' || c == '"' || c == '\'' || c == '<' || c == '>' || isspace((unsigned char)c))
			return 0;
	}
	return 0;
}

/* NAME=value, NAME: value, "NAME": "value", and "Bearer value". */
static size_t
match_assignment(const char *p, size_t n, size_t *keep)
{
	size_t at = 0, end;

	if (n >= 20 && (*p == 'B' || *p == 'b') && strncasecmp(p, "bearer ", 7) == 0) {
		at = 7;
	} else {
		for (size_t i = 0; i < AM_COUNTOF(names) && at == 0; i++) {
			size_t len = strlen(names[i]);

			if (n > len + 1 && *p == names[i][0] && memcmp(p, names[i], len) == 0 && !is_word(p[len]))
				at = len;
		}
		if (at == 0)
			return 0;
		bool sign = false;
		while (at < n && (strchr(" \t\"'\\", p[at]) != NULL || (!sign && (p[at] == '=' || p[at] == ':')))) {
			if (p[at] == '\0')
				return 0;
			sign = sign || p[at] == '=' || p[at] == ':';
			at++;
		}
		if (!sign)
			return 0;
	}
	for (end = at; end < n && end - at < WINDOW && p[end] != '"' && p[end] != '\'' && p[end] != '\\' &&
		       p[end] != ',' && p[end] != ';' && !isspace((unsigned char)p[end]);
	     end++)
		;
	/* "$NAME" and "<your key>" are no secrets, and are what people write about. */
	if (end - at < VALUE_MIN || p[at] == '$' || p[at] == '<' || p[at] == '[')
		return 0;
	*keep = at;
	return end;
}

bool
am_runner_redact(const struct am_redactor *redactor, const char *p, size_t n, struct am_buf *out)
{
	bool changed = false;
	size_t from = 0, i = 0;

	while (i < n) {
		size_t keep = 0, len = match_value(redactor, p + i, n - i);

		if (len == 0 && (i == 0 || !is_word(p[i - 1]))) {
			len = match_token(p + i, n - i);
			if (len == 0)
				len = match_assignment(p + i, n - i, &keep);
		}
		if (len == 0 && (p[i] == ':' || p[i] == 'x' || p[i] == 'o'))
			len = match_userinfo(p + i, n - i, &keep);
		if (len == 0) {
			i++;
			continue;
		}
		am_buf_add(out, p + from, i + keep - from);
		am_buf_adds(out, MARK);
		i += len;
		from = i;
		changed = true;
	}
	am_buf_add(out, p + from, n - from);
	return changed;
}

static void
redact_string(const struct am_redactor *redactor, struct am_slice quoted, struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf plain = {0};
	am_auto(am_buf_fini) struct am_buf clean = {0};

	if (!am_json_unescape(quoted, &plain) || plain.failed) {
		am_buf_adds(out, "\"\"");
		return;
	}
	/* What nothing was replaced in is copied as it came. */
	if (plain.len > 0 && am_runner_redact(redactor, plain.data, plain.len, &clean))
		am_json_add_strn(out, am_buf_str(&clean), clean.len);
	else
		am_buf_add(out, quoted.p, quoted.n);
}

void
am_runner_redact_json(const struct am_redactor *redactor, struct am_slice value, struct am_buf *out)
{
	struct am_slice key, item;
	size_t it = 0;
	bool first = true;

	switch (am_json_type(value)) {
	case AMBIENT_T_STRING:
		redact_string(redactor, value, out);
		break;
	case AMBIENT_T_ARRAY:
		am_buf_addc(out, '[');
		for (; am_json_element(value, &it, &item); first = false) {
			if (!first)
				am_buf_addc(out, ',');
			am_runner_redact_json(redactor, item, out);
		}
		am_buf_addc(out, ']');
		break;
	case AMBIENT_T_OBJECT:
		am_buf_addc(out, '{');
		for (; am_json_member(value, &it, &key, &item); first = false) {
			am_auto(am_buf_fini) struct am_buf quoted = {0};

			if (!first)
				am_buf_addc(out, ',');
			am_buf_addc(&quoted, '"');
			am_buf_add(&quoted, key.p, key.n);
			am_buf_addc(&quoted, '"');
			redact_string(redactor, am_slice(am_buf_str(&quoted), quoted.len), out);
			am_buf_addc(out, ':');
			am_runner_redact_json(redactor, item, out);
		}
		am_buf_addc(out, '}');
		break;
	default:
		am_buf_add(out, value.p, value.n);
	}
}

void
am_runner_redact_string(const struct am_redactor *redactor, char *text, size_t size)
{
	am_auto(am_buf_fini) struct am_buf clean = {0};

	if (redactor != NULL && am_runner_redact(redactor, text, strlen(text), &clean))
		(void)am_strlcpy(text, am_buf_str(&clean), size);
}

void
am_runner_redact_cut(const struct am_redactor *redactor, const char *p, size_t n, char *ret, size_t size)
{
	am_auto(am_buf_fini) struct am_buf clean = {0};

	n = AM_MIN(n, CUT_MAX);
	if (redactor != NULL)
		(void)am_runner_redact(redactor, p, n, &clean);
	else
		am_buf_add(&clean, p, n);
	(void)am_strlcpy(ret, am_buf_str(&clean), size);
}
