/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects over JSON text.
 *
 * Invariants: an object's text passed am_json_check; it lives as long as its pool; a pool with users > 0 is shared and
 * every use of its arena holds its lock; a pool of a call has users == 0 and one thread.  An object of which only parts
 * are kept is in a pool of a call.
 */
#include "core/data/object.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/lock.h"
#include "core/base/map.h"

struct borrowed {
	struct borrowed *next;
	void (*release)(void *);
	void *owner;
};

struct am_pool {
	struct am_arena *arena;
	struct borrowed *borrowed;
	atomic_int users;        /* references to a shared pool; 0: a call's */
	struct am_lock lock;     /* guards arena and decoded of a shared pool */
	const char *left_out;    /* a call's: the first read outside of an object's parts */
	struct am_map *decoded;  /* shared only: address of a value -> its string, so that reads do not grow it */
};

struct object {
	struct ambient_object pub;
	struct am_pool *pool;
	struct am_slice text;
	/* Of an object of which only parts are kept; kept objects (ambient_ref) forget it. */
	const struct am_object_parts *parts; /* NULL: it is whole */
	const struct object *root;           /* what this is a piece of, or itself */
	const char *at;                      /* the JSON Pointer of this piece in root */
};

struct draft {
	struct ambient_draft pub;
	struct am_pool *pool;
	const char *kind, *ns, *name;
	struct am_node *root;
	struct ambient_error first; /* code 0: none */
};

static const struct object *
object_of(const struct ambient_object *obj)
{
	return (const struct object *)(const void *)obj;
}

static void
enter(struct am_pool *pool)
{
	if (atomic_load(&pool->users) > 0)
		am_lock(&pool->lock);
}

static void
leave(struct am_pool *pool)
{
	if (atomic_load(&pool->users) > 0)
		am_unlock(&pool->lock);
}

struct am_pool *
am_pool_new(void)
{
	struct am_pool *pool = am_xcalloc(1, sizeof(*pool));

	pool->arena = am_arena_new();
	return pool;
}

void
am_pool_free(struct am_pool *pool)
{
	if (pool == NULL)
		return;
	for (struct borrowed *b = pool->borrowed; b != NULL; b = b->next)
		b->release(b->owner);
	if (pool->decoded != NULL) {
		am_map_free(pool->decoded);
		am_lock_fini(&pool->lock);
	}
	am_arena_free(pool->arena);
	free(pool);
}

struct am_arena *
am_pool_arena(struct am_pool *pool)
{
	return pool->arena;
}

/* The caller holds the pool. */
static struct object *
new_object(struct am_pool *pool, struct am_slice text)
{
	struct object *o = am_arena_zalloc(pool->arena, sizeof(*o));

	if (o != NULL) {
		o->pub.size = sizeof(o->pub);
		o->pub.api = &am_object_api;
		o->pool = pool;
		o->text = text;
	}
	return o;
}

static const struct ambient_object *
view(struct am_pool *pool, struct am_slice text)
{
	enter(pool);
	struct object *o = new_object(pool, text);
	leave(pool);
	return o != NULL ? &o->pub : NULL;
}

const struct ambient_object *
am_object_borrow(struct am_pool *pool, const char *text, size_t n, void (*release)(void *), void *owner)
{
	if (release != NULL) {
		struct borrowed *b = am_arena_zalloc(pool->arena, sizeof(*b));
		if (b == NULL) {
			release(owner);
			return NULL;
		}
		*b = (struct borrowed){ pool->borrowed, release, owner };
		pool->borrowed = b;
	}
	return view(pool, am_slice(text, n));
}

const struct ambient_object *
am_object_borrow_parts(struct am_pool *pool, const char *text, size_t n, const struct am_object_parts *parts,
		       void (*release)(void *), void *owner)
{
	const struct ambient_object *obj = am_object_borrow(pool, text, n, release, owner);

	if (obj != NULL) {
		struct object *o = (struct object *)(uintptr_t)obj;
		o->parts = parts;
		o->root = o;
		o->at = "";
	}
	return obj;
}

const char *
am_pool_left_out(const struct am_pool *pool)
{
	return pool->left_out;
}

/* Is it there to be read?  The first time that it is not is noted. */
static bool
kept_at(const struct object *o, const char *pointer)
{
	struct am_pool *pool = o->pool;
	const char *full = o->at[0] == '\0' ? pointer : am_arena_printf(pool->arena, "%s%s", o->at, pointer);

	if (full == NULL || o->parts->kept(o->parts->arg, full))
		return true;
	if (pool->left_out == NULL) {
		char *ns = am_json_dup(o->root->text, "/metadata/namespace"), *name = am_json_dup(o->root->text, "/metadata/name");
		pool->left_out = am_arena_printf(pool->arena, "read \"%.120s\" of %s \"%s%s%.80s\", which only=%.60s leaves out", full,
						 o->parts->kind, ns != NULL ? ns : "", ns != NULL ? "/" : "", name != NULL ? name : "",
						 o->parts->only);
		free(ns);
		free(name);
	}
	return false;
}

const struct ambient_object *
am_object_copy(struct am_pool *pool, const char *text, size_t n)
{
	char *copy = am_arena_strndup(pool->arena, text, n);

	return copy != NULL ? view(pool, am_slice(copy, n)) : NULL;
}

static struct object *
keep(const char *text, size_t n)
{
	struct am_pool *pool = am_pool_new();

	pool->decoded = am_map_new();
	am_lock_init(&pool->lock, "object");
	char *copy = am_arena_strndup(pool->arena, text, n);
	struct object *o = copy != NULL ? new_object(pool, am_slice(copy, n)) : NULL;
	if (o == NULL) {
		am_pool_free(pool);
		return NULL;
	}
	atomic_store(&pool->users, 1);
	return o;
}

int
am_object_parse(struct am_pool *pool, const char *text, size_t n, const struct ambient_object **ret, struct ambient_error *err)
{
	int rc = am_json_check(text, n, err);

	if (rc < 0)
		return rc;
	if (pool != NULL) {
		*ret = am_object_copy(pool, text, n);
	} else {
		struct object *o = keep(text, n);
		*ret = o != NULL ? &o->pub : NULL;
	}
	return *ret != NULL ? 0 : ambient_err(err, AMBIENT_E_NOMEM, "no memory for an object of %zu bytes", n);
}

struct am_slice
am_object_text(const struct ambient_object *obj)
{
	return object_of(obj)->text;
}

/* ---- reading ---- */

static struct ambient_object *
api_ref(const struct ambient_object *obj)
{
	const struct object *o = object_of(obj);

	if (atomic_load(&o->pool->users) == 0) {
		struct object *kept = keep(o->text.p, o->text.n);
		return kept != NULL ? &kept->pub : NULL;
	}
	atomic_fetch_add(&o->pool->users, 1);
	union { const struct ambient_object *in; struct ambient_object *out; } same = { .in = obj };
	return same.out;
}

static void
api_unref(struct ambient_object *obj)
{
	struct am_pool *pool = object_of(obj)->pool;

	if (atomic_load(&pool->users) > 0 && atomic_fetch_sub(&pool->users, 1) == 1)
		am_pool_free(pool);
}

static bool
find(const struct ambient_object *obj, const char *pointer, struct am_slice *ret)
{
	const struct object *o = object_of(obj);

	return (o->parts == NULL || kept_at(o, pointer)) && am_json_find(o->text, pointer, ret);
}

/* A piece of an object of which only parts are kept knows whose, and where it was. */
static const struct ambient_object *
piece(const struct ambient_object *obj, struct am_slice value, const char *pointer, const char *step)
{
	const struct object *from = object_of(obj);
	const struct ambient_object *to = view(from->pool, value);

	if (from->parts == NULL || to == NULL)
		return to;
	struct object *o = (struct object *)(uintptr_t)to;
	o->parts = from->parts;
	o->root = from->root;
	o->at = am_arena_printf(from->pool->arena, "%s%s%s%s", from->at, pointer, step != NULL ? "/" : "", step != NULL ? step : "");
	return o->at != NULL ? to : NULL;
}

static int
api_type(const struct ambient_object *obj, const char *pointer)
{
	struct am_slice v;

	return find(obj, pointer, &v) ? am_json_type(v) : AMBIENT_T_NONE;
}

static const char *
decode(struct am_pool *pool, struct am_slice value)
{
	struct am_buf plain = { 0 };
	const char *s = NULL;

	enter(pool);
	if (pool->decoded != NULL)
		s = am_map_getn(pool->decoded, &value.p, sizeof(value.p));
	if (s == NULL && am_json_unescape(value, &plain)) {
		char *copy = am_arena_strndup(pool->arena, am_buf_str(&plain), plain.len);
		if (pool->decoded != NULL && copy != NULL)
			am_map_putn(pool->decoded, &value.p, sizeof(value.p), copy);
		s = copy;
	}
	leave(pool);
	am_buf_fini(&plain);
	return s;
}

static const char *
api_str(const struct ambient_object *obj, const char *pointer, const char *fallback)
{
	struct am_slice v;

	if (!find(obj, pointer, &v) || am_json_type(v) != AMBIENT_T_STRING)
		return fallback;
	const char *s = decode(object_of(obj)->pool, v);
	return s != NULL ? s : fallback;
}

static int64_t
api_integer(const struct ambient_object *obj, const char *pointer, int64_t fallback)
{
	struct am_slice v;

	return find(obj, pointer, &v) ? am_json_int(v, "", fallback) : fallback;
}

static double
api_real(const struct ambient_object *obj, const char *pointer, double fallback)
{
	struct am_slice v;
	char text[64];

	if (!find(obj, pointer, &v) || am_json_type(v) != AMBIENT_T_NUMBER || v.n >= sizeof(text))
		return fallback;
	memcpy(text, v.p, v.n);
	text[v.n] = '\0';
	return strtod(text, NULL);
}

static int
api_boolean(const struct ambient_object *obj, const char *pointer, int fallback)
{
	struct am_slice v;

	return find(obj, pointer, &v) ? am_json_bool(v, "", fallback) : fallback;
}

static size_t
api_len(const struct ambient_object *obj, const char *pointer)
{
	struct am_slice v;
	struct am_buf plain = { 0 };

	if (!find(obj, pointer, &v))
		return 0;
	if (am_json_type(v) != AMBIENT_T_STRING)
		return am_json_count(v);
	(void)am_json_unescape(v, &plain);
	size_t n = plain.len;
	am_buf_fini(&plain);
	return n;
}

static const struct ambient_object *
api_at(const struct ambient_object *obj, const char *pointer)
{
	struct am_slice v;

	return find(obj, pointer, &v) ? piece(obj, v, pointer, NULL) : NULL;
}

/* A member's name as a step of a JSON Pointer. */
static const char *
step_of(struct am_pool *pool, struct am_slice name)
{
	const char *key = decode(pool, am_slice(name.p - 1, name.n + 2));
	char *step = key != NULL ? am_arena_zalloc(pool->arena, 2 * strlen(key) + 1) : NULL, *to = step;

	for (; step != NULL && *key != '\0'; key++) {
		if (*key == '~' || *key == '/') {
			*to++ = '~';
			*to++ = *key == '~' ? '0' : '1';
		} else {
			*to++ = *key;
		}
	}
	return step;
}

static const struct ambient_object *
api_item(const struct ambient_object *obj, const char *pointer, size_t i, const char **key)
{
	struct am_pool *pool = object_of(obj)->pool;
	struct am_slice v, name, value;
	size_t it = 0;

	if (!find(obj, pointer, &v))
		return NULL;
	if (am_json_type(v) == AMBIENT_T_ARRAY) {
		while (am_json_element(v, &it, &value)) {
			if (i-- == 0) {
				if (key != NULL)
					*key = NULL;
				return piece(obj, value, pointer, "0"); /* which one makes no difference */
			}
		}
		return NULL;
	}
	while (am_json_member(v, &it, &name, &value)) {
		if (i-- == 0) {
			if (key != NULL)
				*key = decode(pool, am_slice(name.p - 1, name.n + 2));
			return piece(obj, value, pointer, object_of(obj)->parts != NULL ? step_of(pool, name) : NULL);
		}
	}
	return NULL;
}

static const char *
api_json(const struct ambient_object *obj, const char *pointer, size_t *len)
{
	struct am_slice v;

	if (!find(obj, pointer, &v))
		return NULL;
	if (len != NULL) {
		*len = v.n;
		return v.p;
	}
	/* Without a length it must end in a NUL of its own. */
	struct am_pool *pool = object_of(obj)->pool;
	enter(pool);
	const char *s = am_arena_strndup(pool->arena, v.p, v.n);
	leave(pool);
	return s;
}

static int
api_parse(struct ambient_call *call, const char *text, size_t len, const struct ambient_object **ret, struct ambient_error *err)
{
	struct am_pool *pool = call != NULL ? ((struct am_call_head *)(void *)call)->pool : NULL;

	return am_object_parse(pool, text, len, ret, err);
}

/* ---- drafts ---- */

static struct draft *
draft_of(struct ambient_draft *draft)
{
	return (struct draft *)(void *)draft;
}

static struct draft *
make_draft(struct ambient_call *call, const char *kind, const char *ns, const char *name)
{
	struct am_pool *pool = ((struct am_call_head *)(void *)call)->pool;
	struct draft *d = am_arena_zalloc(pool->arena, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->pub.size = sizeof(d->pub);
	d->pub.api = &am_object_api;
	d->pool = pool;
	d->kind = am_arena_strdup(pool->arena, kind);
	d->ns = am_arena_strdup(pool->arena, ns != NULL ? ns : "");
	d->name = am_arena_strdup(pool->arena, name != NULL ? name : "");
	d->first.size = sizeof(d->first);
	if (d->kind == NULL || d->ns == NULL || d->name == NULL)
		return NULL;
	return d;
}

static struct ambient_draft *
api_draft_new(struct ambient_call *call, const char *kind, const char *ns, const char *name)
{
	struct draft *d = make_draft(call, kind, ns, name);

	if (d == NULL)
		return NULL;
	struct am_arena *arena = d->pool->arena;
	struct am_node *meta = am_node_object(arena);
	d->root = am_node_object(arena);
	am_node_set(arena, d->root, "metadata", meta);
	if (d->name[0] != '\0')
		am_node_set(arena, meta, "name", am_node_str(arena, d->name));
	if (d->ns[0] != '\0')
		am_node_set(arena, meta, "namespace", am_node_str(arena, d->ns));
	return &d->pub;
}

static struct ambient_draft *
api_draft_from(struct ambient_call *call, const char *kind, const struct ambient_object *obj)
{
	struct draft *d = make_draft(call, kind, api_str(obj, "/metadata/namespace", ""), api_str(obj, "/metadata/name", ""));

	if (d == NULL)
		return NULL;
	/* Written back it would take away what was left out. */
	if (object_of(obj)->parts != NULL)
		(void)ambient_terminal(&d->first, "a draft of %s \"%.80s\" cannot begin with what only=%.60s keeps of it: patch it, or get "
				       "it live", d->kind, d->name, object_of(obj)->parts->only);
	struct am_slice text = object_of(obj)->text;
	d->root = am_node_parse(d->pool->arena, text.p, text.n, &d->first);
	if (d->root == NULL)
		d->root = am_node_object(d->pool->arena);
	return &d->pub;
}

static void
set(struct ambient_draft *draft, const char *pointer, struct am_node *value)
{
	struct draft *d = draft_of(draft);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (d->first.code != 0 || value == NULL)
		return;
	if (am_node_set_at(d->pool->arena, d->root, pointer, value, &err) < 0)
		d->first = err;
}

static void
api_set_str(struct ambient_draft *draft, const char *pointer, const char *value)
{
	struct am_arena *arena = draft_of(draft)->pool->arena;

	set(draft, pointer, value != NULL ? am_node_str(arena, value) : am_node_null(arena));
}

static void
api_set_int(struct ambient_draft *draft, const char *pointer, int64_t value)
{
	set(draft, pointer, am_node_int(draft_of(draft)->pool->arena, value));
}

static void
api_set_bool(struct ambient_draft *draft, const char *pointer, int value)
{
	set(draft, pointer, am_node_bool(draft_of(draft)->pool->arena, value != 0));
}

static void
api_set_json(struct ambient_draft *draft, const char *pointer, const char *text, size_t len)
{
	struct draft *d = draft_of(draft);

	if (d->first.code != 0)
		return;
	struct am_node *value = am_node_parse(d->pool->arena, text, len, &d->first);
	if (value != NULL && pointer[0] == '\0')
		d->root = value;
	else
		set(draft, pointer, value);
}

static void
api_set_object(struct ambient_draft *draft, const char *pointer, const struct ambient_object *value)
{
	if (value != NULL)
		api_set_json(draft, pointer, object_of(value)->text.p, object_of(value)->text.n);
}

static void
api_unset(struct ambient_draft *draft, const char *pointer)
{
	struct draft *d = draft_of(draft);
	const char *slash = strrchr(pointer, '/');
	struct am_node *node = am_node_at(d->root, pointer);

	if (slash == NULL || node == NULL)
		return;
	char *head = am_xstrndup(pointer, (size_t)(slash - pointer));
	struct am_node *parent = am_node_at(d->root, head);
	free(head);
	if (parent != NULL)
		am_node_remove(parent, node);
}

static const struct ambient_object *
api_draft_view(struct ambient_draft *draft)
{
	struct draft *d = draft_of(draft);
	struct am_buf text = { 0 };

	am_node_print(d->root, &text);
	const struct ambient_object *o = text.failed ? NULL : am_object_copy(d->pool, am_buf_str(&text), text.len);
	am_buf_fini(&text);
	return o;
}

int
am_draft_open(struct ambient_draft *draft, struct am_draft_info *ret, struct ambient_error *err)
{
	struct draft *d = draft_of(draft);

	if (draft == NULL || am_arena_failed(d->pool->arena))
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory for a draft");
	if (d->first.code != 0) {
		ambient_err_copy(err, &d->first);
		return -d->first.code;
	}
	*ret = (struct am_draft_info){ d->kind, d->ns, d->name, d->root, d->pool->arena };
	return 0;
}

const struct ambient_object_api am_object_api = {
	.size = sizeof(struct ambient_object_api),
	.ref = api_ref,
	.unref = api_unref,
	.type = api_type,
	.str = api_str,
	.integer = api_integer,
	.real = api_real,
	.boolean = api_boolean,
	.len = api_len,
	.at = api_at,
	.item = api_item,
	.json = api_json,
	.parse = api_parse,
	.draft_new = api_draft_new,
	.draft_from = api_draft_from,
	.set_str = api_set_str,
	.set_int = api_set_int,
	.set_bool = api_set_bool,
	.set_json = api_set_json,
	.set_object = api_set_object,
	.unset = api_unset,
	.draft_view = api_draft_view,
};
