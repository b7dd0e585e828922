/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON tree.  Members and elements are a linked list in order; trees of API objects are small, and order is part of
 * what must survive.  Invariants: count is the length of the list; last->next is NULL; a node is in at most one list.
 */
#include "core/data/node.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct am_node *
new_node(struct am_arena *arena, int type)
{
	struct am_node *n = am_arena_zalloc(arena, sizeof(*n));

	/* Callers build in chains; an arena that ran dry is found at the end by am_arena_failed, until then they all
	 * write to one node that nobody reads. */
	static _Thread_local struct am_node nowhere;
	if (n == NULL) {
		nowhere = (struct am_node){ 0 };
		n = &nowhere;
	}
	n->type = (uint8_t)type;
	return n;
}

struct am_node *
am_node_null(struct am_arena *arena)
{
	return new_node(arena, AMBIENT_T_NULL);
}

struct am_node *
am_node_bool(struct am_arena *arena, bool b)
{
	struct am_node *n = new_node(arena, AMBIENT_T_BOOL);

	n->boolean = b;
	return n;
}

struct am_node *
am_node_int(struct am_arena *arena, int64_t i)
{
	struct am_node *n = new_node(arena, AMBIENT_T_NUMBER);
	char *text = am_arena_printf(arena, "%lld", (long long)i);

	n->text = text != NULL ? text : "0";
	n->len = strlen(n->text);
	return n;
}

struct am_node *
am_node_strn(struct am_arena *arena, const char *s, size_t len)
{
	struct am_node *n = new_node(arena, AMBIENT_T_STRING);
	char *text = am_arena_strndup(arena, s, len);

	n->text = text != NULL ? text : "";
	n->len = text != NULL ? len : 0;
	return n;
}

struct am_node *
am_node_str(struct am_arena *arena, const char *s)
{
	return am_node_strn(arena, s, strlen(s));
}

struct am_node *
am_node_object(struct am_arena *arena)
{
	return new_node(arena, AMBIENT_T_OBJECT);
}

struct am_node *
am_node_array(struct am_arena *arena)
{
	return new_node(arena, AMBIENT_T_ARRAY);
}

void
am_node_append(struct am_node *parent, struct am_node *value)
{
	value->next = NULL;
	if (parent->last != NULL)
		parent->last->next = value;
	else
		parent->first = value;
	parent->last = value;
	parent->count++;
}

static const char *
decode(struct am_arena *arena, struct am_slice quoted, size_t *len)
{
	if (memchr(quoted.p, '\\', quoted.n) == NULL) {
		*len = quoted.n - 2;
		return am_arena_strndup(arena, quoted.p + 1, quoted.n - 2);
	}
	struct am_buf plain = { 0 };
	const char *s = NULL;
	if (am_json_unescape(quoted, &plain)) {
		*len = plain.len;
		s = am_arena_strndup(arena, am_buf_str(&plain), plain.len);
	}
	am_buf_fini(&plain);
	return s;
}

/* text has passed am_json_check, which bounds the depth. */
static struct am_node *
build(struct am_arena *arena, struct am_slice text)
{
	struct am_node *n = new_node(arena, am_json_type(text));
	struct am_slice key, value;
	size_t it = 0;

	switch (n->type) {
	case AMBIENT_T_OBJECT:
		while (am_json_member(text, &it, &key, &value) && !am_arena_failed(arena)) {
			struct am_node *member = build(arena, value);
			member->key = decode(arena, am_slice(key.p - 1, key.n + 2), &member->key_len);
			am_node_append(n, member);
		}
		break;
	case AMBIENT_T_ARRAY:
		while (am_json_element(text, &it, &value) && !am_arena_failed(arena))
			am_node_append(n, build(arena, value));
		break;
	case AMBIENT_T_STRING:
		n->text = decode(arena, text, &n->len);
		break;
	case AMBIENT_T_NUMBER:
		n->text = am_arena_strndup(arena, text.p, text.n);
		n->len = text.n;
		break;
	case AMBIENT_T_BOOL:
		n->boolean = text.p[0] == 't';
		break;
	default:
		break;
	}
	return n;
}

struct am_node *
am_node_parse(struct am_arena *arena, const char *text, size_t n, struct ambient_error *err)
{
	struct am_slice all;

	if (am_json_check(text, n, err) < 0)
		return NULL;
	if (!am_json_find(am_slice(text, n), "", &all))
		return NULL;
	struct am_node *root = build(arena, all);
	if (am_arena_failed(arena)) {
		(void)ambient_err(err, AMBIENT_E_NOMEM, "the JSON text needs more memory than it may have");
		return NULL;
	}
	return root;
}

void
am_node_print(const struct am_node *node, struct am_buf *out)
{
	switch (node->type) {
	case AMBIENT_T_OBJECT:
		am_buf_addc(out, '{');
		for (const struct am_node *m = node->first; m != NULL; m = m->next) {
			am_json_add_strn(out, m->key, m->key_len);
			am_buf_addc(out, ':');
			am_node_print(m, out);
			if (m->next != NULL)
				am_buf_addc(out, ',');
		}
		am_buf_addc(out, '}');
		break;
	case AMBIENT_T_ARRAY:
		am_buf_addc(out, '[');
		for (const struct am_node *e = node->first; e != NULL; e = e->next) {
			am_node_print(e, out);
			if (e->next != NULL)
				am_buf_addc(out, ',');
		}
		am_buf_addc(out, ']');
		break;
	case AMBIENT_T_STRING:
		am_json_add_strn(out, node->text, node->len);
		break;
	case AMBIENT_T_NUMBER:
		am_buf_add(out, node->text, node->len);
		break;
	case AMBIENT_T_BOOL:
		am_buf_adds(out, node->boolean ? "true" : "false");
		break;
	default:
		am_buf_adds(out, "null");
	}
}

static void
set_key(struct am_arena *arena, struct am_node *node, const char *key, size_t n)
{
	const char *copy = am_arena_strndup(arena, key, n);

	node->key = copy != NULL ? copy : "";
	node->key_len = copy != NULL ? n : 0;
}

struct am_node *
am_node_clone(struct am_arena *arena, const struct am_node *node)
{
	struct am_node *copy = new_node(arena, node->type);

	copy->boolean = node->boolean;
	if (node->text != NULL) {
		copy->text = am_arena_strndup(arena, node->text, node->len);
		copy->len = copy->text != NULL ? node->len : 0;
		if (copy->text == NULL)
			copy->text = "";
	}
	for (const struct am_node *c = node->first; c != NULL && !am_arena_failed(arena); c = c->next) {
		struct am_node *child = am_node_clone(arena, c);
		if (c->key != NULL)
			set_key(arena, child, c->key, c->key_len);
		am_node_append(copy, child);
	}
	return copy;
}

static struct am_node *
get_n(const struct am_node *object, const char *key, size_t n)
{
	if (object == NULL || object->type != AMBIENT_T_OBJECT)
		return NULL;
	for (struct am_node *m = object->first; m != NULL; m = m->next) {
		if (m->key_len == n && memcmp(m->key, key, n) == 0)
			return m;
	}
	return NULL;
}

struct am_node *
am_node_get(const struct am_node *object, const char *key)
{
	return get_n(object, key, strlen(key));
}

bool
am_node_is_int(const struct am_node *node, int64_t *ret)
{
	if (node == NULL || node->type != AMBIENT_T_NUMBER)
		return false;
	if (am_parse_i64(node->text, ret) == 0)
		return true;
	/* 1.0 and 1e3: exact within the 53 bits of a double, which is where such spellings come from. */
	double d = strtod(node->text, NULL);
	if (d < -9007199254740992.0 || d > 9007199254740992.0 || d != (double)(int64_t)d)
		return false;
	*ret = (int64_t)d;
	return true;
}

static bool
same_number(const struct am_node *a, const struct am_node *b)
{
	int64_t x, y;

	if (a->len == b->len && memcmp(a->text, b->text, a->len) == 0)
		return true;
	return am_node_is_int(a, &x) && am_node_is_int(b, &y) && x == y;
}

static int
key_cmp(const void *x, const void *y)
{
	const struct am_node *a = *(const struct am_node *const *)x, *b = *(const struct am_node *const *)y;
	int c = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);

	return c != 0 ? c : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

/* Two objects of the same size whose members are in different orders; keys are unique. */
static bool
equal_sorted(const struct am_node *a, const struct am_node *b)
{
	const struct am_node **left = malloc(2 * sizeof(*left) * a->count), **right = left + a->count;
	uint32_t n = 0, k = 0;
	bool same = left != NULL;

	for (const struct am_node *m = a->first; same && m != NULL; m = m->next)
		left[n++] = m;
	for (const struct am_node *m = b->first; same && m != NULL; m = m->next)
		right[k++] = m;
	if (same) {
		qsort(left, n, sizeof(*left), key_cmp);
		qsort(right, k, sizeof(*right), key_cmp);
	}
	for (uint32_t i = 0; same && i < n; i++)
		same = key_cmp(&left[i], &right[i]) == 0 && am_node_equal(left[i], right[i]);
	free(left);
	return same;
}

/* Mostly the members are in the same order. */
static bool
equal_members(const struct am_node *a, const struct am_node *b)
{
	const struct am_node *other = b->first;

	for (const struct am_node *m = a->first; m != NULL; m = m->next, other = other->next) {
		if (key_cmp(&m, &other) != 0)
			return equal_sorted(a, b);
		if (!am_node_equal(m, other))
			return false;
	}
	return true;
}

bool
am_node_equal(const struct am_node *a, const struct am_node *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->type != b->type || a->count != b->count)
		return false;
	switch (a->type) {
	case AMBIENT_T_OBJECT:
		return equal_members(a, b);
	case AMBIENT_T_ARRAY:
		for (const struct am_node *x = a->first, *y = b->first; x != NULL; x = x->next, y = y->next) {
			if (!am_node_equal(x, y))
				return false;
		}
		return true;
	case AMBIENT_T_STRING:
		return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
	case AMBIENT_T_NUMBER:
		return same_number(a, b);
	case AMBIENT_T_BOOL:
		return a->boolean == b->boolean;
	default:
		return true;
	}
}

const char *
am_node_text(const struct am_node *node, const char *fallback)
{
	return node != NULL && node->type == AMBIENT_T_STRING ? node->text : fallback;
}

const char *
am_node_get_str(const struct am_node *object, const char *key, const char *fallback)
{
	return am_node_text(am_node_get(object, key), fallback);
}

bool
am_node_get_int(const struct am_node *object, const char *key, int64_t *ret)
{
	return am_node_is_int(am_node_get(object, key), ret);
}

static void
replace_n(struct am_arena *arena, struct am_node *object, const char *key, size_t n, struct am_node *value)
{
	struct am_node **at = &object->first;

	for (; *at != NULL; at = &(*at)->next) {
		if ((*at)->key_len != n || memcmp((*at)->key, key, n) != 0)
			continue;
		value->key = (*at)->key;
		value->key_len = n;
		value->next = (*at)->next;
		if (object->last == *at)
			object->last = value;
		*at = value;
		return;
	}
	set_key(arena, value, key, n);
	am_node_append(object, value);
}

void
am_node_set(struct am_arena *arena, struct am_node *object, const char *key, struct am_node *value)
{
	replace_n(arena, object, key, strlen(key), value);
}

void
am_node_remove(struct am_node *parent, struct am_node *child)
{
	struct am_node **at = &parent->first, *before = NULL;

	while (*at != NULL && *at != child) {
		before = *at;
		at = &(*at)->next;
	}
	if (*at == NULL)
		return;
	*at = child->next;
	if (parent->last == child)
		parent->last = before;
	child->next = NULL;
	parent->count--;
}

bool
am_node_del(struct am_node *object, const char *key)
{
	struct am_node *member = am_node_get(object, key);

	if (member == NULL)
		return false;
	am_node_remove(object, member);
	return true;
}

/* The next token of a pointer, decoded into token; false when it is too long or there is none. */
static bool
next_token(const char **pointer, char *token, size_t size, size_t *len)
{
	const char *p = *pointer;
	size_t n = 0;

	if (*p != '/')
		return false;
	for (p++; *p != '\0' && *p != '/'; p++) {
		if (n + 1 >= size)
			return false;
		if (*p == '~' && (p[1] == '0' || p[1] == '1'))
			token[n++] = *++p == '0' ? '~' : '/';
		else
			token[n++] = *p;
	}
	token[n] = '\0';
	*len = n;
	*pointer = p;
	return true;
}

static struct am_node *
element(const struct am_node *array, const char *token)
{
	uint64_t wanted;
	struct am_node *e = array->first;

	if ((token[0] == '0' && token[1] != '\0') || am_parse_u64(token, &wanted) < 0 || wanted >= array->count)
		return NULL;
	while (wanted-- > 0)
		e = e->next;
	return e;
}

static struct am_node *
child(const struct am_node *node, const char *token, size_t len)
{
	return node->type == AMBIENT_T_ARRAY ? element(node, token) : get_n(node, token, len);
}

struct am_node *
am_node_at(const struct am_node *root, const char *pointer)
{
	/* The tree is not changed through the result unless the caller owns it. */
	union { const struct am_node *in; struct am_node *out; } at = { .in = root };
	char token[512];
	size_t len;

	while (at.out != NULL && *pointer != '\0') {
		if (!next_token(&pointer, token, sizeof(token), &len))
			return NULL;
		at.out = child(at.in, token, len);
	}
	return at.out;
}

struct am_node *
am_node_path(const struct am_node *root, ...)
{
	union { const struct am_node *in; struct am_node *out; } at = { .in = root };
	va_list ap;

	va_start(ap, root);
	for (const char *key; at.out != NULL && (key = va_arg(ap, const char *)) != NULL;)
		at.out = am_node_get(at.in, key);
	va_end(ap);
	return at.out;
}

int
am_node_set_at(struct am_arena *arena, struct am_node *root, const char *pointer, struct am_node *value,
	       struct ambient_error *err)
{
	struct am_node *at = root;
	const char *whole = pointer;
	char token[512];
	size_t len;

	while (next_token(&pointer, token, sizeof(token), &len)) {
		bool last = *pointer == '\0';
		if (at->type == AMBIENT_T_ARRAY && strcmp(token, "-") == 0) {
			struct am_node *fresh = last ? value : am_node_object(arena);
			am_node_append(at, fresh);
			at = fresh;
		} else if (at->type == AMBIENT_T_ARRAY) {
			struct am_node *e = element(at, token);
			if (e == NULL)
				return ambient_err(err, AMBIENT_E_INVALID, "\"%s\": the list has no element %s", whole, token);
			if (last) {
				struct am_node keep = *value, *next = e->next;
				*e = keep;
				e->next = next;
			}
			at = e;
		} else if (at->type == AMBIENT_T_OBJECT) {
			struct am_node *m = last ? value : get_n(at, token, len);
			if (last || m == NULL) {
				/* A missing parent becomes a list when the next token appends. */
				if (!last)
					m = strncmp(pointer, "/-", 2) == 0 ? am_node_array(arena) : am_node_object(arena);
				replace_n(arena, at, token, len, m);
			}
			at = m;
		} else {
			return ambient_err(err, AMBIENT_E_INVALID, "\"%s\": there is a value where an object is needed", whole);
		}
		if (last)
			return 0;
	}
	return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no JSON pointer to a field", whole);
}
