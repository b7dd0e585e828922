/* SPDX-License-Identifier: Apache-2.0 */
/* The object table of the fake host: plain trees, one lock for all of them, no attempt at speed. */
#include "tests/lib/fake_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;

static struct fake_object *
fake(const struct ambient_object *obj)
{
	return (struct fake_object *)(void *)(uintptr_t)obj;
}

static struct fake_object *
object_new(struct am_arena *arena, const struct am_node *node)
{
	struct fake_object *obj = am_xcalloc(1, sizeof(*obj));

	obj->head.size = sizeof(obj->head);
	obj->head.api = &fake_object_api;
	obj->root = obj;
	obj->arena = arena;
	obj->node = node;
	obj->refs = 1;
	return obj;
}

struct fake_object *
fake_object_parse(const char *text, size_t len, struct ambient_error *err)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *node = am_node_parse(arena, text, len, err);

	if (node == NULL) {
		am_arena_free(arena);
		return NULL;
	}
	return object_new(arena, node);
}

struct fake_object *
fake_object_of(const struct am_node *node)
{
	struct am_arena *arena = am_arena_new();

	return object_new(arena, am_node_clone(arena, node));
}

void
fake_object_unref(struct fake_object *obj)
{
	if (obj != NULL && __atomic_sub_fetch(&obj->root->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		struct fake_object *root = obj->root;

		am_arena_free(root->arena);
		free(root);
	}
}

const struct ambient_object *
fake_call_hold(struct fake_call *call, struct fake_object *obj)
{
	struct fake_hold *hold = am_arena_zalloc(call->arena, sizeof(*hold));

	__atomic_add_fetch(&obj->root->refs, 1, __ATOMIC_ACQ_REL);
	hold->object = obj;
	hold->next = call->held;
	call->held = hold;
	return &obj->head;
}

static struct ambient_object *
object_ref(const struct ambient_object *obj)
{
	__atomic_add_fetch(&fake(obj)->root->refs, 1, __ATOMIC_ACQ_REL);
	return &fake(obj)->head;
}

static void
object_unref(struct ambient_object *obj)
{
	fake_object_unref(fake(obj));
}

static const struct am_node *
find(const struct ambient_object *obj, const char *pointer)
{
	return am_node_at(fake(obj)->node, pointer);
}

static int
object_type(const struct ambient_object *obj, const char *pointer)
{
	const struct am_node *node = find(obj, pointer);

	return node != NULL ? node->type : AMBIENT_T_NONE;
}

static const char *
object_str(const struct ambient_object *obj, const char *pointer, const char *fallback)
{
	return am_node_text(find(obj, pointer), fallback);
}

static int64_t
object_int(const struct ambient_object *obj, const char *pointer, int64_t fallback)
{
	const struct am_node *node = find(obj, pointer);
	int64_t value;

	return node != NULL && am_node_is_int(node, &value) ? value : fallback;
}

static double
object_real(const struct ambient_object *obj, const char *pointer, double fallback)
{
	const struct am_node *node = find(obj, pointer);

	return node != NULL && node->type == AMBIENT_T_NUMBER ? strtod(node->text, NULL) : fallback;
}

static int
object_bool(const struct ambient_object *obj, const char *pointer, int fallback)
{
	const struct am_node *node = find(obj, pointer);

	return node != NULL && node->type == AMBIENT_T_BOOL ? node->boolean : fallback;
}

static size_t
object_len(const struct ambient_object *obj, const char *pointer)
{
	const struct am_node *node = find(obj, pointer);

	if (node == NULL)
		return 0;
	if (node->type == AMBIENT_T_STRING)
		return node->len;
	return node->type == AMBIENT_T_ARRAY || node->type == AMBIENT_T_OBJECT ? node->count : 0;
}

static const struct ambient_object *
part(const struct ambient_object *obj, const struct am_node *node)
{
	struct fake_object *sub;

	if (node == NULL)
		return NULL;
	pthread_mutex_lock(&arena_lock);
	sub = am_arena_zalloc(fake(obj)->arena, sizeof(*sub));
	pthread_mutex_unlock(&arena_lock);
	if (sub == NULL)
		return NULL;
	sub->head = obj[0];
	sub->root = fake(obj)->root;
	sub->arena = fake(obj)->arena;
	sub->node = node;
	return &sub->head;
}

static const struct ambient_object *
object_at(const struct ambient_object *obj, const char *pointer)
{
	return part(obj, find(obj, pointer));
}

static const struct ambient_object *
object_item(const struct ambient_object *obj, const char *pointer, size_t i, const char **key)
{
	const struct am_node *node = find(obj, pointer);

	if (node == NULL || (node->type != AMBIENT_T_ARRAY && node->type != AMBIENT_T_OBJECT))
		return NULL;
	for (node = node->first; node != NULL && i > 0; i--)
		node = node->next;
	if (node != NULL && key != NULL)
		*key = node->key;
	return part(obj, node);
}

static const char *
object_json(const struct ambient_object *obj, const char *pointer, size_t *len)
{
	const struct am_node *node = find(obj, pointer);
	struct am_buf text = { 0 };
	const char *copy;

	if (node == NULL)
		return NULL;
	am_node_print(node, &text);
	if (len != NULL)
		*len = text.len;
	pthread_mutex_lock(&arena_lock);
	copy = am_arena_strndup(fake(obj)->arena, am_buf_str(&text), text.len);
	pthread_mutex_unlock(&arena_lock);
	am_buf_fini(&text);
	return copy;
}

static int
object_parse(struct ambient_call *call, const char *text, size_t len, const struct ambient_object **ret,
	     struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	struct fake_object *obj = fake_object_parse(text, len, err != NULL ? err : &own);

	if (obj == NULL)
		return -(err != NULL ? err : &own)->code;
	*ret = &obj->head;
	if (call != NULL) {
		fake_call_hold((struct fake_call *)(void *)call, obj);
		fake_object_unref(obj);
	}
	return 0;
}

/* Drafts. */

static struct fake_draft *
draft_make(struct ambient_call *call, const char *kind)
{
	struct fake_call *fc = (struct fake_call *)(void *)call;
	struct fake_draft *draft = am_arena_zalloc(fc->arena, sizeof(*draft));

	draft->head.size = sizeof(draft->head);
	draft->head.api = &fake_object_api;
	draft->call = call;
	draft->arena = am_arena_new();
	draft->kind = am_arena_strdup(draft->arena, kind);
	draft->err.size = sizeof(draft->err);
	draft->next = fc->drafts;
	fc->drafts = draft;
	return draft;
}

static struct fake_draft *
fd(struct ambient_draft *draft)
{
	return (struct fake_draft *)(void *)draft;
}

static void
put(struct ambient_draft *draft, const char *pointer, struct am_node *value)
{
	if (fd(draft)->err.code == 0)
		(void)am_node_set_at(fd(draft)->arena, fd(draft)->root, pointer, value, &fd(draft)->err);
}

static void
draft_set_str(struct ambient_draft *draft, const char *pointer, const char *value)
{
	put(draft, pointer, value != NULL ? am_node_str(fd(draft)->arena, value) : am_node_null(fd(draft)->arena));
}

static void
draft_set_int(struct ambient_draft *draft, const char *pointer, int64_t value)
{
	put(draft, pointer, am_node_int(fd(draft)->arena, value));
}

static void
draft_set_bool(struct ambient_draft *draft, const char *pointer, int value)
{
	put(draft, pointer, am_node_bool(fd(draft)->arena, value != 0));
}

static void
draft_set_json(struct ambient_draft *draft, const char *pointer, const char *text, size_t len)
{
	struct am_node *value = am_node_parse(fd(draft)->arena, text, len, &fd(draft)->err);

	if (value != NULL)
		put(draft, pointer, value);
}

static void
draft_set_object(struct ambient_draft *draft, const char *pointer, const struct ambient_object *value)
{
	put(draft, pointer, am_node_clone(fd(draft)->arena, fake(value)->node));
}

static void
draft_unset(struct ambient_draft *draft, const char *pointer)
{
	struct am_node *child = am_node_at(fd(draft)->root, pointer);
	char parent[512];
	char *slash;

	if (child == NULL || strlen(pointer) >= sizeof(parent))
		return;
	strcpy(parent, pointer);
	slash = strrchr(parent, '/');
	if (slash == NULL)
		return;
	*slash = '\0';
	am_node_remove(am_node_at(fd(draft)->root, parent), child);
}

static struct ambient_draft *
draft_new(struct ambient_call *call, const char *kind, const char *ns, const char *name)
{
	struct fake_draft *draft = draft_make(call, kind);

	draft->root = am_node_object(draft->arena);
	if (ns != NULL && ns[0] != '\0')
		draft_set_str(&draft->head, "/metadata/namespace", ns);
	if (name != NULL && name[0] != '\0')
		draft_set_str(&draft->head, "/metadata/name", name);
	return &draft->head;
}

static struct ambient_draft *
draft_from(struct ambient_call *call, const char *kind, const struct ambient_object *obj)
{
	struct fake_draft *draft = draft_make(call, kind);

	draft->root = am_node_clone(draft->arena, fake(obj)->node);
	return &draft->head;
}

static const struct ambient_object *
draft_view(struct ambient_draft *draft)
{
	struct fake_object *obj = fake_object_of(fd(draft)->root);
	const struct ambient_object *held = fake_call_hold((struct fake_call *)(void *)fd(draft)->call, obj);

	fake_object_unref(obj);
	return held;
}

const struct ambient_object_api fake_object_api = {
	.size = sizeof(struct ambient_object_api),
	.ref = object_ref,
	.unref = object_unref,
	.type = object_type,
	.str = object_str,
	.integer = object_int,
	.real = object_real,
	.boolean = object_bool,
	.len = object_len,
	.at = object_at,
	.item = object_item,
	.json = object_json,
	.parse = object_parse,
	.draft_new = draft_new,
	.draft_from = draft_from,
	.set_str = draft_set_str,
	.set_int = draft_set_int,
	.set_bool = draft_set_bool,
	.set_json = draft_set_json,
	.set_object = draft_set_object,
	.unset = draft_unset,
	.draft_view = draft_view,
};
