/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an unreadable object was called.  Its text is no JSON that we take, or only the beginning of one, so nothing is
 * trusted here: the first "metadata" member that looks like an object is walked key by key, and each value is taken only
 * when it is made of the characters that names are made of.
 */
#include <string.h>

#include "core/cache/cache_priv.h"

struct cursor {
	const char *p, *end;
};

static void
space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

/* Over a string, whose first quote is at the cursor; its bytes as they stand. */
static bool
string(struct cursor *c, struct am_slice *ret)
{
	const char *from;

	if (c->p >= c->end || *c->p != '"')
		return false;
	from = ++c->p;
	while (c->p < c->end && *c->p != '"')
		c->p += *c->p == '\\' && c->end - c->p > 1 ? 2 : 1;
	if (c->p >= c->end)
		return false;
	*ret = am_slice(from, (size_t)(c->p - from));
	c->p++;
	return true;
}

/* Over any value, by its brackets. */
static bool
value(struct cursor *c)
{
	struct am_slice ignored;
	int depth = 0;

	while (c->p < c->end) {
		switch (*c->p) {
		case '"':
			if (!string(c, &ignored))
				return false;
			break;
		case '{':
		case '[':
			depth++;
			c->p++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return true;
			depth--;
			c->p++;
			break;
		case ',':
			if (depth == 0)
				return true;
			c->p++;
			break;
		default:
			c->p++;
		}
	}
	return false;
}

static void
take(struct am_slice key, struct am_slice text, const char *name, char *buf, size_t size)
{
	if (!am_slice_eq(key, name) || text.n >= size)
		return;
	for (size_t i = 0; i < text.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:_", text.p[i]) == NULL || text.p[i] == '\0')
			return;
	memcpy(buf, text.p, text.n);
	buf[text.n] = '\0';
}

static void
walk(struct cursor *c, struct am_salvage *ret)
{
	struct am_slice key, text;

	for (c->p++;; c->p++) {
		space(c);
		if (!string(c, &key))
			return;
		space(c);
		if (c->p >= c->end || *c->p++ != ':')
			return;
		space(c);
		if (c->p < c->end && *c->p == '"') {
			if (!string(c, &text))
				return;
			take(key, text, "name", ret->name, sizeof(ret->name));
			take(key, text, "namespace", ret->ns, sizeof(ret->ns));
			take(key, text, "resourceVersion", ret->rv, sizeof(ret->rv));
		}
		if (!value(c) || *c->p != ',')
			return;
	}
}

bool
am_cache_salvage(const char *text, size_t n, struct am_salvage *ret)
{
	static const char word[] = "\"metadata\"";
	const char *end = text + n, *at = text;

	memset(ret, 0, sizeof(*ret));
	while ((at = memmem(at, (size_t)(end - at), word, sizeof(word) - 1)) != NULL) {
		struct cursor c = { at + sizeof(word) - 1, end };

		at = c.p;
		space(&c);
		if (c.p >= c.end || *c.p++ != ':')
			continue;
		space(&c);
		if (c.p < c.end && *c.p == '{') {
			walk(&c, ret);
			break;
		}
	}
	return ret->name[0] != '\0';
}
