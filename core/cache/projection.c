/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Projections: which parts of objects a store keeps.  apiVersion, kind and metadata always; of the rest what JSON
 * Pointers name, where a "*" step is every element or member.  What is left out is never stored, and a projection of a
 * projection is the same once more.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"

#define PATHS_MAX 64
#define STEPS_MAX 16

struct step {
	char *key;              /* as it stands in a pointer, decoded; "*" is every one */
	bool whole;             /* nothing below is left out */
	struct step *first, *next;
};

struct am_projection {
	struct step root;
};

static void
steps_free(struct step *step)
{
	while (step != NULL) {
		struct step *next = step->next;

		steps_free(step->first);
		free(step->key);
		free(step);
		step = next;
	}
}

void
am_projection_free(struct am_projection *projection)
{
	if (projection == NULL)
		return;
	steps_free(projection->root.first);
	free(projection);
}

/* A step of a pointer, without its escapes; to has room for n and a NUL. */
static struct am_slice
decode(char *to, const char *key, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (key[i] == '~' && i + 1 < n && (key[i + 1] == '0' || key[i + 1] == '1'))
			to[len++] = key[++i] == '0' ? '~' : '/';
		else
			to[len++] = key[i];
	}
	to[len] = '\0';
	return am_slice(to, len);
}

static struct step *
step_to(struct step *from, const char *key, size_t n)
{
	struct step **at = &from->first;
	char *decoded = am_xcalloc(1, n + 1);

	(void)decode(decoded, key, n);
	for (; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->key, decoded) == 0) {
			free(decoded);
			return *at;
		}
	}
	*at = am_xcalloc(1, sizeof(struct step));
	(*at)->key = decoded;
	return *at;
}

static bool
add_path(struct am_projection *projection, const char *path, size_t n)
{
	struct step *step = &projection->root;
	int depth = 0;

	while (n > 0) {
		const char *slash = memchr(path + 1, '/', n - 1);
		size_t len = slash != NULL ? (size_t)(slash - path) : n;

		if (path[0] != '/' || len < 2 || ++depth > STEPS_MAX)
			return false;
		step = step_to(step, path + 1, len - 1);
		path += len;
		n -= len;
	}
	step->whole = true;
	return depth > 0;
}

int
am_projection_parse(const char *text, struct am_projection **ret, struct ambient_error *err)
{
	static const char *const always[] = { "/apiVersion", "/kind", "/metadata" };
	struct am_projection *projection = am_xcalloc(1, sizeof(*projection));
	bool ok = text[0] != '\0';
	int count = 0;

	for (size_t i = 0; i < AM_COUNTOF(always); i++)
		(void)add_path(projection, always[i], strlen(always[i]));
	for (const char *p = text; ok && *p != '\0' && strcmp(text, AM_ONLY_METADATA) != 0;) {
		size_t n = strcspn(p, ",");

		ok = ++count <= PATHS_MAX && add_path(projection, p, n);
		p += n;
		if (*p == ',')
			ok = *++p != '\0' && ok;
	}
	if (!ok) {
		am_projection_free(projection);
		return ambient_err(err, AMBIENT_E_INVALID, "\"%.160s\" says no parts of an object; write \"" AM_ONLY_METADATA "\", or JSON "
				   "Pointers with commas between, as in \"/spec/size,/status/items/*/name\"", text);
	}
	*ret = projection;
	return 0;
}

static const struct step *
step_of(const struct step *from, struct am_slice key)
{
	const struct step *every = NULL;

	for (const struct step *s = from->first; s != NULL; s = s->next) {
		if (am_slice_eq(key, s->key))
			return s;
		if (strcmp(s->key, "*") == 0)
			every = s;
	}
	return every;
}

bool
am_projection_keeps(const struct am_projection *projection, const char *pointer)
{
	const struct step *step = &projection->root;
	char key[256];

	for (size_t n; *pointer == '/' && !step->whole; pointer += n + 1) {
		n = strcspn(pointer + 1, "/");
		if (n >= sizeof(key))
			return false;
		step = step_of(step, decode(key, pointer + 1, n));
		if (step == NULL)
			return false;
	}
	return true;
}

/* Something of value, in the same form: empty where nothing of it is kept.  A scalar that a path wants to go below is. */
static void
copy(const struct step *step, struct am_slice value, struct am_buf *out)
{
	struct am_slice key, inner;
	const struct step *next;
	bool any = false;

	if (step->whole) {
		am_buf_add(out, value.p, value.n);
	} else if (am_json_type(value) == AMBIENT_T_OBJECT) {
		am_buf_addc(out, '{');
		for (size_t it = 0; am_json_member(value, &it, &key, &inner);) {
			next = step_of(step, key);
			if (next == NULL)
				continue;
			am_buf_adds(out, any ? ",\"" : "\"");
			am_buf_add(out, key.p, key.n);
			am_buf_adds(out, "\":");
			copy(next, inner, out);
			any = true;
		}
		am_buf_addc(out, '}');
	} else if (am_json_type(value) == AMBIENT_T_ARRAY) {
		next = step_of(step, AM_SLICE("*"));
		am_buf_addc(out, '[');
		for (size_t it = 0; next != NULL && am_json_element(value, &it, &inner); any = true) {
			if (any)
				am_buf_addc(out, ',');
			copy(next, inner, out);
		}
		am_buf_addc(out, ']');
	} else {
		am_buf_adds(out, "null");
	}
}

void
am_projection_apply(const struct am_projection *projection, struct am_slice object, struct am_buf *out)
{
	copy(&projection->root, object, out);
}
