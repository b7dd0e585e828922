/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON text in place.  am_json_check is the one gate: strict grammar, UTF-8, depth, duplicate keys.  Every
 * other function trusts text that passed it and only looks for structure.
 */
#include "core/data/scan.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/data/plain.h"

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* ---- checking ---- */

struct checker {
	const char *start, *p, *end;
	struct ambient_error *err;
};

static int
bad(struct checker *c, const char *what)
{
	return ambient_err(c->err, AMBIENT_E_INVALID, "invalid JSON at byte %zu: %s", (size_t)(c->p - c->start), what);
}

static void
skip_space(struct checker *c)
{
	while (c->p < c->end && is_space(*c->p))
		c->p++;
}

static bool
hex4(const char *p, unsigned *ret)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		char ch = p[i];
		unsigned d;
		if (ch >= '0' && ch <= '9')
			d = (unsigned)(ch - '0');
		else if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
			d = (unsigned)((ch | 32) - 'a' + 10);
		else
			return false;
		v = v << 4 | d;
	}
	*ret = v;
	return true;
}

static int
check_escape(struct checker *c)
{
	unsigned u, low;

	if (++c->p >= c->end)
		return bad(c, "unfinished escape");
	if (*c->p != 'u') {
		if (*c->p == '\0' || strchr("\"\\/bfnrt", *c->p) == NULL)
			return bad(c, "unknown escape");
		c->p++;
		return 0;
	}
	if (c->end - c->p < 5 || !hex4(c->p + 1, &u))
		return bad(c, "\\u needs four hexadecimal digits");
	c->p += 5;
	if (u >= 0xdc00 && u <= 0xdfff)
		return bad(c, "half of a surrogate pair");
	if (u >= 0xd800 && u <= 0xdbff) {
		if (c->end - c->p < 6 || c->p[0] != '\\' || c->p[1] != 'u' || !hex4(c->p + 2, &low) || low < 0xdc00 || low > 0xdfff)
			return bad(c, "half of a surrogate pair");
		c->p += 6;
	}
	return 0;
}

static int
check_string(struct checker *c)
{
	const char *start = ++c->p;
	unsigned char all = 0;

	for (;;) {
		c->p += am_json_plain(c->p, c->end);
		if (c->p >= c->end || *c->p == '"')
			break;
		all |= (unsigned char)*c->p;
		if ((unsigned char)*c->p < 0x20)
			return bad(c, "control character in a string");
		if (*c->p == '\\') {
			int rc = check_escape(c);
			if (rc < 0)
				return rc;
		} else {
			c->p++;
		}
	}
	if (c->p >= c->end)
		return bad(c, "unfinished string");
	if (all >= 0x80 && !am_utf8_valid(start, (size_t)(c->p - start)))
		return bad(c, "a string is not UTF-8");
	c->p++;
	return 0;
}

static bool
take_digits(struct checker *c)
{
	const char *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > start;
}

static int
check_number(struct checker *c)
{
	if (*c->p == '-')
		c->p++;
	if (c->p < c->end && *c->p == '0')
		c->p++;
	else if (!take_digits(c))
		return bad(c, "a value was expected");
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!take_digits(c))
			return bad(c, "digits are missing after the point");
	}
	if (c->p < c->end && (*c->p | 32) == 'e') {
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		if (!take_digits(c))
			return bad(c, "digits are missing in the exponent");
	}
	return 0;
}

static int
check_word(struct checker *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return bad(c, "a value was expected");
	c->p += n;
	return 0;
}

/* Small objects compare pairwise, large ones use a map.  Keys are compared decoded. */
struct keys {
	struct am_slice seen[16];
	size_t count;
	struct am_map *map;
};

static bool
key_is_new(struct keys *k, struct am_slice key)
{
	struct am_buf plain = { 0 };
	struct am_slice decoded = key;
	bool escaped = memchr(key.p, '\\', key.n) != NULL;

	if (escaped) {
		(void)am_json_unescape((struct am_slice){ key.p - 1, key.n + 2 }, &plain);
		decoded = am_slice(am_buf_str(&plain), plain.len);
	}
	bool fresh = true;
	if (k->map == NULL && (escaped || k->count == AM_COUNTOF(k->seen))) {
		k->map = am_map_new();
		for (size_t i = 0; i < k->count; i++)
			am_map_putn(k->map, k->seen[i].p, k->seen[i].n, k);
	}
	if (k->map != NULL) {
		fresh = am_map_getn(k->map, decoded.p, decoded.n) == NULL;
		if (fresh)
			am_map_putn(k->map, decoded.p, decoded.n, k);
	} else {
		for (size_t i = 0; fresh && i < k->count; i++)
			fresh = k->seen[i].n != key.n || memcmp(k->seen[i].p, key.p, key.n) != 0;
		k->seen[k->count++] = key;
	}
	am_buf_fini(&plain);
	return fresh;
}

static int check_value(struct checker *c, int depth);

static int
check_members(struct checker *c, int depth, struct keys *keys)
{
	for (;;) {
		skip_space(c);
		if (c->p >= c->end || *c->p != '"')
			return bad(c, "a member name was expected");
		const char *key = c->p + 1;
		int rc = check_string(c);
		if (rc < 0)
			return rc;
		if (!key_is_new(keys, am_slice(key, (size_t)(c->p - 1 - key)))) {
			int n = (int)AM_MIN(c->p - 1 - key, 64);
			return ambient_err(c->err, AMBIENT_E_INVALID, "invalid JSON at byte %zu: the member \"%.*s\" appears twice",
					   (size_t)(key - c->start), n, key);
		}
		skip_space(c);
		if (c->p >= c->end || *c->p != ':')
			return bad(c, "':' was expected");
		c->p++;
		rc = check_value(c, depth + 1);
		if (rc < 0)
			return rc;
		skip_space(c);
		if (c->p < c->end && *c->p == ',') {
			c->p++;
			continue;
		}
		if (c->p >= c->end || *c->p != '}')
			return bad(c, "',' or '}' was expected");
		c->p++;
		return 0;
	}
}

static int
check_elements(struct checker *c, int depth)
{
	for (;;) {
		int rc = check_value(c, depth + 1);
		if (rc < 0)
			return rc;
		skip_space(c);
		if (c->p < c->end && *c->p == ',') {
			c->p++;
			continue;
		}
		if (c->p >= c->end || *c->p != ']')
			return bad(c, "',' or ']' was expected");
		c->p++;
		return 0;
	}
}

static int
check_value(struct checker *c, int depth)
{
	if (depth > AM_JSON_DEPTH)
		return bad(c, "nested too deeply");
	skip_space(c);
	if (c->p >= c->end)
		return bad(c, "the text ends early");
	char open = *c->p;
	if (open == '{' || open == '[') {
		c->p++;
		skip_space(c);
		if (c->p < c->end && *c->p == (open == '{' ? '}' : ']')) {
			c->p++;
			return 0;
		}
		if (open == '[')
			return check_elements(c, depth);
		struct keys keys = { .count = 0 };
		int rc = check_members(c, depth, &keys);
		am_map_free(keys.map);
		return rc;
	}
	switch (open) {
	case '"':
		return check_string(c);
	case 't':
		return check_word(c, "true");
	case 'f':
		return check_word(c, "false");
	case 'n':
		return check_word(c, "null");
	default:
		return check_number(c);
	}
}

int
am_json_check(const char *text, size_t n, struct ambient_error *err)
{
	struct checker c = { text, text, text + n, err };
	int rc = check_value(&c, 0);

	if (rc < 0)
		return rc;
	skip_space(&c);
	return c.p == c.end ? 0 : bad(&c, "there is more after the value");
}

/* ---- scanning checked text ---- */

static const char *
skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		p = memchr(p, '"', (size_t)(end - p));
		if (p == NULL)
			return end;
		/* An odd number of backslashes in front escapes the quote. */
		const char *b = p;
		while (b[-1] == '\\')
			b--;
		if ((p - b) % 2 == 0)
			return p + 1;
	}
	return end;
}

static const char *
skip_value(const char *p, const char *end)
{
	int depth = 0;

	while (p < end) {
		switch (*p) {
		case '"':
			p = skip_string(p, end);
			break;
		case '{':
		case '[':
			depth++;
			p++;
			continue;
		case '}':
		case ']':
			depth--;
			p++;
			break;
		case ',':
		case ':':
			p++;
			continue;
		default:
			if (is_space(*p)) {
				p++;
				continue;
			}
			while (p < end && !is_space(*p) && *p != ',' && *p != '}' && *p != ']')
				p++;
		}
		if (depth <= 0)
			return p;
	}
	return end;
}

static struct am_slice
trimmed(struct am_slice s)
{
	while (s.n > 0 && is_space(*s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

int
am_json_type(struct am_slice value)
{
	value = trimmed(value);
	if (value.n == 0)
		return AMBIENT_T_NONE;
	switch (*value.p) {
	case '{':
		return AMBIENT_T_OBJECT;
	case '[':
		return AMBIENT_T_ARRAY;
	case '"':
		return AMBIENT_T_STRING;
	case 't':
	case 'f':
		return AMBIENT_T_BOOL;
	case 'n':
		return AMBIENT_T_NULL;
	default:
		return AMBIENT_T_NUMBER;
	}
}

/* Moves *it to the next token of a container; false at its end. */
static bool
next_token(struct am_slice container, size_t *it)
{
	if (*it == 0) {
		while (*it < container.n && is_space(container.p[*it]))
			(*it)++;
		(*it)++;
	}
	while (*it < container.n && (is_space(container.p[*it]) || container.p[*it] == ','))
		(*it)++;
	return *it < container.n && container.p[*it] != '}' && container.p[*it] != ']';
}

static struct am_slice
take_value(struct am_slice container, size_t *it)
{
	const char *end = container.p + container.n, *p = container.p + *it;

	while (p < end && is_space(*p))
		p++;
	const char *after = skip_value(p, end);
	*it = (size_t)(after - container.p);
	return am_slice(p, (size_t)(after - p));
}

bool
am_json_member(struct am_slice object, size_t *it, struct am_slice *key, struct am_slice *value)
{
	if ((*it == 0 && am_json_type(object) != AMBIENT_T_OBJECT) || !next_token(object, it))
		return false;
	const char *end = object.p + object.n, *p = object.p + *it;
	const char *after = skip_string(p, end);
	struct am_slice name = am_slice(p + 1, (size_t)(after - p) - 2);
	while (after < end && *after != ':')
		after++;
	*it = (size_t)(after + 1 - object.p);
	struct am_slice v = take_value(object, it);
	if (key != NULL)
		*key = name;
	if (value != NULL)
		*value = v;
	return true;
}

bool
am_json_element(struct am_slice array, size_t *it, struct am_slice *value)
{
	if ((*it == 0 && am_json_type(array) != AMBIENT_T_ARRAY) || !next_token(array, it))
		return false;
	struct am_slice v = take_value(array, it);
	if (value != NULL)
		*value = v;
	return true;
}

size_t
am_json_count(struct am_slice container)
{
	size_t it = 0, n = 0;
	int type = am_json_type(container);

	if (type == AMBIENT_T_OBJECT)
		while (am_json_member(container, &it, NULL, NULL))
			n++;
	else if (type == AMBIENT_T_ARRAY)
		while (am_json_element(container, &it, NULL))
			n++;
	return n;
}

static void
add_utf8(struct am_buf *out, unsigned u)
{
	char b[4];
	size_t n;

	if (u < 0x80) {
		b[0] = (char)u;
		n = 1;
	} else if (u < 0x800) {
		b[0] = (char)(0xc0 | u >> 6);
		b[1] = (char)(0x80 | (u & 63));
		n = 2;
	} else if (u < 0x10000) {
		b[0] = (char)(0xe0 | u >> 12);
		b[1] = (char)(0x80 | (u >> 6 & 63));
		b[2] = (char)(0x80 | (u & 63));
		n = 3;
	} else {
		b[0] = (char)(0xf0 | u >> 18);
		b[1] = (char)(0x80 | (u >> 12 & 63));
		b[2] = (char)(0x80 | (u >> 6 & 63));
		b[3] = (char)(0x80 | (u & 63));
		n = 4;
	}
	am_buf_add(out, b, n);
}

bool
am_json_unescape(struct am_slice string, struct am_buf *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";

	string = trimmed(string);
	if (string.n < 2 || string.p[0] != '"')
		return false;
	const char *p = string.p + 1, *end = string.p + string.n - 1;
	while (p < end) {
		const char *slash = memchr(p, '\\', (size_t)(end - p));
		if (slash == NULL)
			slash = end;
		am_buf_add(out, p, (size_t)(slash - p));
		p = slash;
		if (p + 1 >= end)
			break;
		unsigned u, low;
		const char *simple;
		if (p[1] == 'u' && end - p >= 6 && hex4(p + 2, &u)) {
			p += 6;
			if (u >= 0xd800 && u <= 0xdbff && end - p >= 6 && hex4(p + 2, &low)) {
				u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
				p += 6;
			}
			add_utf8(out, u);
			continue;
		}
		simple = strchr(from, p[1]);
		am_buf_addc(out, simple != NULL ? to[simple - from] : p[1]);
		p += 2;
	}
	return !out->failed;
}

bool
am_json_str_eq(struct am_slice string, const char *s)
{
	size_t n = strlen(s);

	if (string.n >= 2 && string.p[0] == '"' && memchr(string.p, '\\', string.n) == NULL)
		return string.n - 2 == n && memcmp(string.p + 1, s, n) == 0;
	struct am_buf plain = { 0 };
	bool eq = am_json_unescape(string, &plain) && plain.len == n && memcmp(am_buf_str(&plain), s, n) == 0;
	am_buf_fini(&plain);
	return eq;
}

static bool
key_matches(struct am_slice key, const char *name, size_t n)
{
	if (memchr(key.p, '\\', key.n) == NULL)
		return key.n == n && memcmp(key.p, name, n) == 0;
	struct am_buf plain = { 0 };
	bool eq = am_json_unescape(am_slice(key.p - 1, key.n + 2), &plain) && plain.len == n &&
		  memcmp(am_buf_str(&plain), name, n) == 0;
	am_buf_fini(&plain);
	return eq;
}

static bool
find_member(struct am_slice object, const char *name, size_t n, struct am_slice *ret)
{
	size_t it = 0;
	struct am_slice key;

	while (am_json_member(object, &it, &key, ret)) {
		if (key_matches(key, name, n))
			return true;
	}
	return false;
}

static bool
find_element(struct am_slice array, const char *digits, size_t n, struct am_slice *ret)
{
	char text[12];
	uint64_t wanted;
	size_t it = 0;

	if (n == 0 || n >= sizeof(text) || (digits[0] == '0' && n > 1))
		return false;
	memcpy(text, digits, n);
	text[n] = '\0';
	if (am_parse_u64(text, &wanted) < 0)
		return false;
	for (uint64_t i = 0; am_json_element(array, &it, ret); i++) {
		if (i == wanted)
			return true;
	}
	return false;
}

bool
am_json_find(struct am_slice text, const char *pointer, struct am_slice *ret)
{
	struct am_slice at = trimmed(text);
	char token[AM_JSON_TOKEN];

	while (*pointer == '/') {
		size_t n = 0;
		for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
			if (n == sizeof(token))
				return false;
			if (*pointer == '~' && (pointer[1] == '0' || pointer[1] == '1'))
				token[n++] = *++pointer == '0' ? '~' : '/';
			else
				token[n++] = *pointer;
		}
		int type = am_json_type(at);
		struct am_slice in = at;
		if (type == AMBIENT_T_OBJECT ? !find_member(in, token, n, &at)
					     : type != AMBIENT_T_ARRAY || !find_element(in, token, n, &at))
			return false;
	}
	if (ret != NULL)
		*ret = at;
	return *pointer == '\0';
}

char *
am_json_dup(struct am_slice text, const char *pointer)
{
	struct am_slice value;
	struct am_buf plain = { 0 };

	if (!am_json_find(text, pointer, &value) || !am_json_unescape(value, &plain)) {
		am_buf_fini(&plain);
		return NULL;
	}
	return am_buf_steal(&plain, NULL);
}

int64_t
am_json_int(struct am_slice text, const char *pointer, int64_t fallback)
{
	struct am_slice value;
	char digits[24];
	int64_t v;

	if (!am_json_find(text, pointer, &value) || value.n >= sizeof(digits))
		return fallback;
	memcpy(digits, value.p, value.n);
	digits[value.n] = '\0';
	return am_parse_i64(digits, &v) == 0 ? v : fallback;
}

int
am_json_bool(struct am_slice text, const char *pointer, int fallback)
{
	struct am_slice value;

	if (!am_json_find(text, pointer, &value) || am_json_type(value) != AMBIENT_T_BOOL)
		return fallback;
	return *value.p == 't';
}
