/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of paths.  The children of a node are sorted by name, so that two sets are combined in one walk over both,
 * whatever their size.  Names are kept as FieldsV1 spells them; what comes from outside is brought to one spelling
 * (keys sorted, no white space, integers without fraction) before it is compared.
 */
#include <stdlib.h>

#include "core/base/util.h"
#include "plugins/standalone/apiserver/ownership.h"

static int
name_cmp(struct am_slice a, struct am_slice b)
{
	int c = memcmp(a.p, b.p, AM_MIN(a.n, b.n));

	return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int
kid_cmp(const void *a, const void *b)
{
	return name_cmp((*(const struct am_paths *const *)a)->name, (*(const struct am_paths *const *)b)->name);
}

/* Without sorting; kids are already. */
static const struct am_paths *
made(struct am_arena *arena, struct am_slice name, uint32_t in, const struct am_paths **kids, size_t n)
{
	if (in == 0 && n == 0)
		return NULL;
	struct am_paths *p = am_arena_alloc(arena, sizeof(*p));
	if (p != NULL)
		*p = (struct am_paths){ name, in, (uint32_t)n, kids };
	return p;
}

const struct am_paths *
am_paths_make(struct am_arena *arena, struct am_slice name, uint32_t in, const struct am_paths **kids, size_t n)
{
	if (n > 1)
		qsort(kids, n, sizeof(*kids), kid_cmp);
	return made(arena, name, in, kids, n);
}

const struct am_paths *
am_paths_kid(const struct am_paths *paths, struct am_slice name)
{
	size_t low = 0, high = paths != NULL ? paths->n : 0;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int c = name_cmp(name, paths->kids[middle]->name);
		if (c == 0)
			return paths->kids[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* ---- combining ---- */

enum combination { UNION, MINUS, COMMON };

static uint32_t
combine_bits(enum combination how, uint32_t a, uint32_t b)
{
	switch (how) {
	case UNION:
		return a | b;
	case MINUS:
		return b != 0 ? 0 : a;
	default:
		return b != 0 ? a : 0;
	}
}

static const struct am_paths *
combine(struct am_arena *arena, enum combination how, const struct am_paths *a, const struct am_paths *b)
{
	size_t i = 0, k = 0, n = 0;

	if (a == NULL)
		return how == UNION ? b : NULL;
	if (b == NULL)
		return how == COMMON ? NULL : a;
	const struct am_paths **kids = NULL;
	if (a->n + b->n > 0 && (kids = am_arena_alloc(arena, sizeof(*kids) * ((size_t)a->n + b->n))) == NULL)
		return NULL;
	while (i < a->n || k < b->n) {
		int c = i == a->n ? 1 : k == b->n ? -1 : name_cmp(a->kids[i]->name, b->kids[k]->name);
		const struct am_paths *left = c <= 0 ? a->kids[i++] : NULL, *right = c >= 0 ? b->kids[k++] : NULL;
		const struct am_paths *kid = combine(arena, how, left, right);
		if (kid != NULL)
			kids[n++] = kid;
	}
	return made(arena, a->name, combine_bits(how, a->in, b->in), kids, n);
}

const struct am_paths *
am_paths_union(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b)
{
	return combine(arena, UNION, a, b);
}

const struct am_paths *
am_paths_minus(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b)
{
	return combine(arena, MINUS, a, b);
}

const struct am_paths *
am_paths_common(struct am_arena *arena, const struct am_paths *a, const struct am_paths *b)
{
	return combine(arena, COMMON, a, b);
}

const struct am_paths *
am_paths_only(struct am_arena *arena, const struct am_paths *paths, uint32_t bits)
{
	size_t n = 0;

	if (paths == NULL)
		return NULL;
	const struct am_paths **kids = NULL;
	if (paths->n > 0 && (kids = am_arena_alloc(arena, sizeof(*kids) * paths->n)) == NULL)
		return NULL;
	for (size_t i = 0; i < paths->n; i++) {
		const struct am_paths *kid = am_paths_only(arena, paths->kids[i], bits);
		if (kid != NULL)
			kids[n++] = kid;
	}
	return made(arena, paths->name, (paths->in & bits) != 0 ? AM_PATH_IN : 0, kids, n);
}

static bool
is_one_of(struct am_slice name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (am_slice_eq(name, *names))
			return true;
	return false;
}

const struct am_paths *
am_paths_choose(struct am_arena *arena, const struct am_paths *paths, const char *const *names, bool keep)
{
	size_t n = 0;

	if (paths == NULL || paths->n == 0)
		return paths;
	const struct am_paths **kids = am_arena_alloc(arena, sizeof(*kids) * paths->n);
	for (size_t i = 0; kids != NULL && i < paths->n; i++)
		if (is_one_of(paths->kids[i]->name, names) == keep)
			kids[n++] = paths->kids[i];
	return made(arena, paths->name, paths->in, kids, n);
}

bool
am_paths_equal(const struct am_paths *a, const struct am_paths *b)
{
	if (a == NULL || b == NULL || a == b)
		return a == b;
	if (a->in != b->in || a->n != b->n || name_cmp(a->name, b->name) != 0)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!am_paths_equal(a->kids[i], b->kids[i]))
			return false;
	return true;
}

/* ---- names of steps ---- */

struct am_slice
am_path_of_field(struct am_arena *arena, const struct am_node *member)
{
	char *text = am_arena_alloc(arena, member->key_len + 3);

	if (text == NULL)
		return AM_SLICE("");
	memcpy(text, "f:", 2);
	memcpy(text + 2, member->key, member->key_len);
	text[member->key_len + 2] = '\0';
	return am_slice(text, member->key_len + 2);
}

/* One spelling for a scalar: 1.0 is 1. */
static void
add_scalar(struct am_buf *out, const struct am_node *value)
{
	int64_t number;

	if (am_node_is_int(value, &number))
		am_buf_addf(out, "%lld", (long long)number);
	else
		am_node_print(value, out);
}

static int
member_cmp(const void *a, const void *b)
{
	return strcmp((*(const struct am_node *const *)a)->key, (*(const struct am_node *const *)b)->key);
}

#define KEYS_MAX 16

/* k:{...} with its members in order. */
static bool
add_keys(struct am_buf *out, const struct am_node *object)
{
	const struct am_node *sorted[KEYS_MAX];
	size_t n = 0;

	if (object->type != AMBIENT_T_OBJECT || object->count == 0 || object->count > KEYS_MAX)
		return false;
	for (const struct am_node *m = object->first; m != NULL; m = m->next) {
		if (m->type == AMBIENT_T_OBJECT || m->type == AMBIENT_T_ARRAY)
			return false;
		sorted[n++] = m;
	}
	qsort(sorted, n, sizeof(sorted[0]), member_cmp);
	for (size_t i = 0; i < n; i++) {
		am_buf_addc(out, i == 0 ? '{' : ',');
		am_json_add_strn(out, sorted[i]->key, sorted[i]->key_len);
		am_buf_addc(out, ':');
		add_scalar(out, sorted[i]);
	}
	am_buf_addc(out, '}');
	return true;
}

static struct am_slice
named(struct am_arena *arena, struct am_buf *text, bool ok)
{
	char *copy = ok && !text->failed ? am_arena_strndup(arena, text->data, text->len) : NULL;
	struct am_slice name = copy != NULL ? am_slice(copy, text->len) : AM_SLICE("");

	am_buf_fini(text);
	return name;
}

struct am_slice
am_path_of_scalar(struct am_arena *arena, const struct am_node *value)
{
	struct am_buf text = { 0 };
	bool ok = value->type != AMBIENT_T_OBJECT && value->type != AMBIENT_T_ARRAY;

	am_buf_adds(&text, "v:");
	if (ok)
		add_scalar(&text, value);
	return named(arena, &text, ok);
}

struct am_slice
am_path_of_keys(struct am_arena *arena, const struct am_node *keys)
{
	struct am_buf text = { 0 };

	am_buf_adds(&text, "k:");
	bool ok = add_keys(&text, keys);
	return named(arena, &text, ok);
}

/* The name of a step as somebody wrote it, in our spelling; false when it is none. */
static bool
canonical(struct am_arena *arena, const struct am_node *member, struct am_slice *ret)
{
	struct am_slice name = am_slice(member->key, member->key_len);
	int64_t index;

	*ret = AM_SLICE("");
	if (name.n < 2 || name.p[1] != ':')
		return false;
	if (name.p[0] == 'f' || (name.p[0] == 'i' && am_parse_i64(member->key + 2, &index) == 0 && index >= 0)) {
		char *copy = am_arena_strndup(arena, name.p, name.n);
		if (copy != NULL)
			*ret = am_slice(copy, name.n);
	} else if (name.p[0] == 'k' || name.p[0] == 'v') {
		const struct am_node *value = am_node_parse(arena, name.p + 2, name.n - 2, NULL);
		if (value != NULL)
			*ret = name.p[0] == 'k' ? am_path_of_keys(arena, value) : am_path_of_scalar(arena, value);
	}
	return ret->n > 0;
}

/* ---- FieldsV1 ---- */

static bool
same_name_twice(const struct am_paths *paths)
{
	for (size_t i = 1; paths != NULL && i < paths->n; i++)
		if (name_cmp(paths->kids[i - 1]->name, paths->kids[i]->name) == 0)
			return true;
	return false;
}

static bool
parse(struct am_arena *arena, struct am_slice name, const struct am_node *fields, bool root, const struct am_paths **ret)
{
	uint32_t in = !root && fields->count == 0 ? AM_PATH_IN : 0;
	size_t n = 0;

	*ret = NULL;
	if (fields->type != AMBIENT_T_OBJECT)
		return false;
	const struct am_paths **kids = NULL;
	if (fields->count > 0 && (kids = am_arena_alloc(arena, sizeof(*kids) * fields->count)) == NULL)
		return false;
	for (const struct am_node *m = fields->first; m != NULL; m = m->next) {
		struct am_slice step;
		if (m->key_len == 1 && m->key[0] == '.') {
			in = root ? 0 : AM_PATH_IN;
			continue;
		}
		if (!canonical(arena, m, &step) || !parse(arena, step, m, false, &kids[n]))
			return false;
		if (kids[n] != NULL)
			n++;
	}
	*ret = am_paths_make(arena, name, in, kids, n);
	return !same_name_twice(*ret);
}

bool
am_paths_parse(struct am_arena *arena, const struct am_node *fields, const struct am_paths **ret)
{
	return parse(arena, AM_SLICE(""), fields, true, ret);
}

struct am_node *
am_paths_print(struct am_arena *arena, const struct am_paths *paths)
{
	struct am_node *object = am_node_object(arena);

	if (paths == NULL)
		return object;
	if (paths->in != 0 && paths->n > 0)
		am_node_set(arena, object, ".", am_node_object(arena));
	for (size_t i = 0; i < paths->n; i++) {
		struct am_node *kid = am_paths_print(arena, paths->kids[i]);
		kid->key = paths->kids[i]->name.p;
		kid->key_len = paths->kids[i]->name.n;
		am_node_append(object, kid);
	}
	return object;
}

/* ---- messages ---- */

/* f:spec -> .spec, k:{"name":"a"} -> [name="a"], v:"x" -> [="x"], i:0 -> [0] */
static void
add_step(struct am_buf *out, struct am_slice name)
{
	struct am_slice json = am_slice(name.p + 2, name.n - 2), key, value;
	bool first = true;

	switch (name.p[0]) {
	case 'f':
		am_buf_addc(out, '.');
		am_buf_add(out, json.p, json.n);
		return;
	case 'k':
		for (size_t it = 0; am_json_member(json, &it, &key, &value); first = false) {
			am_buf_addc(out, first ? '[' : ',');
			am_buf_add(out, key.p, key.n);
			am_buf_addc(out, '=');
			am_buf_add(out, value.p, value.n);
		}
		am_buf_addc(out, ']');
		return;
	default:
		am_buf_adds(out, name.p[0] == 'v' ? "[=" : "[");
		am_buf_add(out, json.p, json.n);
		am_buf_addc(out, ']');
	}
}

/* What is in the set at this level first, then what is below. */
static void
each(const struct am_paths *paths, struct am_buf *path, void (*fn)(void *arg, const char *path), void *arg)
{
	size_t mark = path->len;

	for (size_t i = 0; i < paths->n; i++) {
		if (paths->kids[i]->in == 0)
			continue;
		add_step(path, paths->kids[i]->name);
		fn(arg, am_buf_str(path));
		am_buf_cut(path, mark);
	}
	for (size_t i = 0; i < paths->n; i++) {
		if (paths->kids[i]->n == 0)
			continue;
		add_step(path, paths->kids[i]->name);
		each(paths->kids[i], path, fn, arg);
		am_buf_cut(path, mark);
	}
}

void
am_paths_each(const struct am_paths *paths, void (*fn)(void *arg, const char *path), void *arg)
{
	struct am_buf path = { 0 };

	if (paths != NULL && paths->in != 0)
		fn(arg, "");
	if (paths != NULL)
		each(paths, &path, fn, arg);
	am_buf_fini(&path);
}
