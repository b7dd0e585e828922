/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON.  What comes in has passed through the host's parser or a person's keyboard: bytes that are no UTF-8
 * become U+FFFD. */
#include "plugins/runner-shared/text.h"

#include <stdio.h>
#include <stdlib.h>

/* How many bytes the character at p has; 0: it is none. */
static size_t
char_len(const unsigned char *p, size_t n)
{
	static const unsigned char lowest[] = {0, 0, 0, 0xa0, 0x90}, highest[] = {0, 0xff, 0xff, 0x9f, 0x8f};
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((p[0] == 0xe0 || p[0] == 0xf0) && p[1] < lowest[len])
		return 0;
	if ((p[0] == 0xed || p[0] == 0xf4) && p[1] > highest[len])
		return 0;
	return len;
}

void
rs_stringn(struct text *t, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t from = 0, i = 0;

	text_puts(t, "\"");
	while (i < n) {
		size_t len = char_len(p + i, n - i);
		char escape[8];

		if (len > 1 || (len == 1 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')) {
			i += len;
			continue;
		}
		text_put(t, s + from, i - from);
		if (len == 0) {
			text_puts(t, "\xef\xbf\xbd");
		} else {
			(void)snprintf(escape, sizeof(escape), "\\u%04x", p[i]);
			text_puts(t, p[i] == '"' ? "\\\"" : p[i] == '\\' ? "\\\\" : p[i] == '\n' ? "\\n" : escape);
		}
		from = ++i;
	}
	text_put(t, s + from, n - from);
	text_puts(t, "\"");
}

void
rs_string(struct text *t, const char *s)
{
	rs_stringn(t, s != NULL ? s : "", s != NULL ? strlen(s) : 0);
}

void
rs_number(struct text *t, int64_t n)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%lld", (long long)n);
	text_puts(t, text);
}

void
rs_json(struct text *t, const struct ambient_object *obj, const char *pointer, const char *fallback)
{
	size_t n = 0;
	const char *text = ambient_json(obj, pointer, &n);

	if (text != NULL)
		text_put(t, text, n);
	else
		text_puts(t, fallback);
}

/* ---- a plan */

void
rs_problem(struct ambient_sink *problems, const char *field, const char *message)
{
	struct text t = {0};

	text_puts(&t, "[{\"field\":");
	rs_string(&t, field);
	text_puts(&t, ",\"message\":");
	rs_string(&t, message);
	text_puts(&t, "}]");
	if (!t.failed)
		problems->put(problems, t.p, t.len);
	text_fini(&t);
}

int
rs_unknown_setting(const struct ambient_plan *in, const char *type, const char *const *known, struct ambient_sink *problems)
{
	const char *name;
	char field[128], text[300];

	for (size_t i = 0; i < ambient_len(in->session, "/spec/runnerConfig"); i++) {
		size_t k = 0;

		(void)ambient_item(in->session, "/spec/runnerConfig", i, &name);
		while (known[k] != NULL && strcmp(known[k], name) != 0)
			k++;
		if (known[k] != NULL)
			continue;
		(void)snprintf(field, sizeof(field), "spec.runnerConfig.%.60s", name);
		(void)snprintf(text, sizeof(text), "is no setting of runner type \"%.63s\", which has ", type);
		for (k = 0; known[k] != NULL; k++)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				       k == 0                   ? ""
				       : known[k + 1] == NULL ? " and "
							      : ", ",
				       known[k]);
		if (known[0] == NULL)
			(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "none");
		rs_problem(problems, field, text);
		return 1;
	}
	return 0;
}

const char *
rs_last_words(const char *stderr_tail, size_t *n)
{
	const char *tail = stderr_tail != NULL ? stderr_tail : "";
	size_t len = strlen(tail), from;

	while (len > 0 && strchr("\n\r \t", tail[len - 1]) != NULL)
		len--;
	for (from = len; from > 0 && tail[from - 1] != '\n'; from--)
		;
	*n = len - from < 300 ? len - from : 300;
	return tail + from;
}

void
rs_put_env(struct text *t, const char *name, const char *value)
{
	if (value == NULL || *value == '\0')
		return;
	text_puts(t, ",{\"name\":");
	rs_string(t, name);
	text_puts(t, ",\"value\":");
	rs_string(t, value);
	text_puts(t, "}");
}

void
rs_put_settings(struct text *env, const struct ambient_plan *in, const char *temperature, const char *max_tokens)
{
	char text[32];

	/* From 0 to 2: with so many digits there is no exponent, and no other point than this locale's, which is C's. */
	if (ambient_type(in->effective, "/temperature") == AMBIENT_T_NUMBER) {
		(void)snprintf(text, sizeof(text), "%.4f", ambient_real(in->effective, "/temperature", 0));
		rs_put_env(env, temperature, text);
	}
	if (ambient_int(in->effective, "/maxTokens", 0) > 0) {
		(void)snprintf(text, sizeof(text), "%lld", (long long)ambient_int(in->effective, "/maxTokens", 0));
		rs_put_env(env, max_tokens, text);
	}
}
