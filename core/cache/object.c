/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cached objects: the JSON text and the few metadata that everybody asks for, in one allocation.  The text is what
 * the API server sent, minus metadata.managedFields, plus apiVersion and kind where a list left them out.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/cache/cache_priv.h"
#include "core/data/scan.h"

#define NAME_MAX_LEN 512

struct object {
	struct am_object pub; /* first: the public pointer is this one */
	atomic_uint refs;
	uint32_t packed_n;    /* of the packed text, which follows the metadata; then dictionary is set */
	struct am_dictionary *dictionary;
	char data[];
};

/* The metadata strings, decoded: slices of the text, or of a buffer where they had to be. */
enum { META_NS, META_NAME, META_UID, META_RV, META_COUNT };
static const char *const meta_names[META_COUNT] = { "namespace", "name", "uid", "resourceVersion" };

struct meta {
	struct am_slice value[META_COUNT];
	struct am_buf decoded[META_COUNT];
	int64_t generation;
};

static void
meta_fini(struct meta *meta)
{
	for (int i = 0; i < META_COUNT; i++)
		am_buf_fini(&meta->decoded[i]);
}

/* Takes a string on; anything else is as good as none. */
static bool
meta_take(struct meta *meta, int i, struct am_slice value)
{
	if (am_json_type(value) != AMBIENT_T_STRING)
		return true;
	meta->value[i] = am_slice(value.p + 1, value.n - 2);
	if (memchr(value.p, '\\', value.n) != NULL) {
		if (!am_json_unescape(value, &meta->decoded[i]))
			return false;
		meta->value[i] = am_slice(am_buf_str(&meta->decoded[i]), meta->decoded[i].len);
	}
	return meta->value[i].n <= NAME_MAX_LEN && memchr(meta->value[i].p, '\0', meta->value[i].n) == NULL &&
	       memchr(meta->value[i].p, '/', meta->value[i].n) == NULL;
}

/* One pass: what is asked for stands behind the managed fields, which are as long as all the rest. */
static int
meta_read(struct am_slice text, struct meta *meta, struct ambient_error *err)
{
	struct am_slice metadata, key, value;

	if (!am_json_find(text, "/metadata", &metadata) || am_json_type(metadata) != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "the object has no \"metadata\"");
	for (size_t it = 0; am_json_member(metadata, &it, &key, &value);) {
		struct am_slice quoted = am_slice(key.p - 1, key.n + 2);

		if (am_json_str_eq(quoted, "generation"))
			meta->generation = am_json_int(value, "", 0);
		for (int i = 0; i < META_COUNT; i++) {
			if (am_json_str_eq(quoted, meta_names[i]) && !meta_take(meta, i, value))
				return ambient_err(err, AMBIENT_E_INVALID, "\"metadata/%s\" of the object is no name", meta_names[i]);
		}
	}
	if (meta->value[META_NAME].n == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the object has no \"metadata.name\"");
	return 0;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The bytes of the member metadata.managedFields together with one of its commas. */
static bool
find_managed_fields(struct am_slice text, struct am_slice *ret)
{
	struct am_slice metadata, key, value;

	if (!am_json_find(text, "/metadata", &metadata))
		return false;
	for (size_t it = 0; am_json_member(metadata, &it, &key, &value);) {
		if (am_slice_eq(key, "managedFields")) {
			const char *from = key.p - 1, *to = value.p + value.n, *p;

			for (p = to; is_space(*p); p++)
				;
			if (*p == ',') {
				to = p + 1;
			} else {
				for (p = from - 1; is_space(*p); p--)
					;
				if (*p == ',')
					from = p;
			}
			*ret = am_slice(from, (size_t)(to - from));
			return true;
		}
	}
	return false;
}

/* The members that are missing, ready to be put behind the first brace. */
static void
head_make(struct am_slice text, const char *api_version, const char *kind, struct am_buf *out)
{
	struct am_slice found;

	if (api_version != NULL && !am_json_find(text, "/apiVersion", &found))
		am_json_addf(out, "\"apiVersion\":%s,", api_version);
	if (kind != NULL && !am_json_find(text, "/kind", &found))
		am_json_addf(out, "\"kind\":%s,", kind);
}

/* With its metadata and room for n bytes, which begin at *ret_room.  NULL: no memory. */
static struct object *
allocate(const struct am_slice meta[META_COUNT], int64_t generation, size_t n, char **ret_room)
{
	struct object *object;
	size_t size = n;
	char *p;

	for (int i = 0; i < META_COUNT; i++)
		size += meta[i].n + 1;
	object = malloc(sizeof(*object) + size);
	if (object == NULL)
		return NULL;
	memset(object, 0, sizeof(*object));
	atomic_init(&object->refs, 1);
	p = object->data;
	for (int i = 0; i < META_COUNT; i++) {
		const char **field = i == META_NS ? &object->pub.ns : i == META_NAME ? &object->pub.name :
				     i == META_UID ? &object->pub.uid : &object->pub.rv;

		*field = p;
		if (meta[i].n != 0)
			p = mempcpy(p, meta[i].p, meta[i].n);
		*p++ = '\0';
	}
	object->pub.generation = generation;
	*ret_room = p;
	return object;
}

static struct object *
build(struct am_slice text, struct am_slice head, const struct meta *meta)
{
	struct am_slice cut = am_slice(text.p + text.n, 0);
	struct object *object;
	char *p;

	(void)find_managed_fields(text, &cut);
	object = allocate(meta->value, meta->generation, text.n - cut.n + head.n + 1, &p);
	if (object == NULL)
		return NULL;
	object->pub.json.p = p;
	*p++ = '{';
	p = mempcpy(p, head.p, head.n);
	p = mempcpy(p, text.p + 1, (size_t)(cut.p - text.p) - 1);
	p = mempcpy(p, cut.p + cut.n, text.n - (size_t)(cut.p - text.p) - cut.n);
	*p = '\0';
	object->pub.json.n = (size_t)(p - object->pub.json.p);
	return object;
}

int
am_object_new_form(const char *text, size_t n, const struct am_object_form *form, struct am_object **ret,
		   struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf head = { 0 };
	am_auto(am_buf_fini) struct am_buf part = { 0 };
	am_auto(meta_fini) struct meta meta = { 0 };
	struct object *object = NULL;
	struct am_slice whole;
	int rc = form->checked ? 0 : am_json_check(text, n, err);

	*ret = NULL;
	if (rc < 0)
		return rc;
	if (!am_json_find(am_slice(text, n), "", &whole) || am_json_type(whole) != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "the object is no JSON object");
	rc = meta_read(whole, &meta, err);
	if (rc == 0 && form->projection != NULL) {
		am_projection_apply(form->projection, whole, &part);
		whole = am_slice(am_buf_str(&part), part.len);
	}
	if (rc == 0) {
		head_make(whole, form->api_version, form->kind, &head);
		object = head.failed || part.failed ? NULL : build(whole, am_slice(am_buf_str(&head), head.len), &meta);
		if (object == NULL)
			rc = ambient_err(err, AMBIENT_E_NOMEM, "no memory for an object of %zu bytes", n);
		else
			*ret = &object->pub;
	}
	return rc;
}

int
am_object_new_kind(const char *text, size_t n, const char *api_version, const char *kind, struct am_object **ret,
		   struct ambient_error *err)
{
	const struct am_object_form form = { .api_version = api_version, .kind = kind, .checked = true };

	return am_object_new_form(text, n, &form, ret, err);
}

int
am_object_new(const char *text, size_t n, struct am_object **ret, struct ambient_error *err)
{
	return am_object_new_form(text, n, &(struct am_object_form){ 0 }, ret, err);
}

struct am_object *
am_object_ref(const struct am_object *pub)
{
	struct object *object = (struct object *)(uintptr_t)pub;

	(void)atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
	return &object->pub;
}

void
am_object_unref(struct am_object *pub)
{
	struct object *object = (struct object *)(void *)pub;

	if (object != NULL && atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) == 1) {
		am_pack_release(object->dictionary);
		free(object);
	}
}

/* ---- packed texts */

static struct object *
twin(const struct am_object *of, size_t n, char **ret_room)
{
	const struct am_slice meta[META_COUNT] = { [META_NS] = am_slice_of(of->ns), [META_NAME] = am_slice_of(of->name),
						   [META_UID] = am_slice_of(of->uid), [META_RV] = am_slice_of(of->rv) };

	return allocate(meta, of->generation, n, ret_room);
}

struct am_object *
am_object_pack(struct am_packer *packer, size_t present, const struct am_object *object)
{
	am_auto(am_buf_fini) struct am_buf packed = { 0 };
	struct am_dictionary *dictionary;
	struct object *small;
	char *room;

	if (!am_pack(packer, present, object->json, &packed, &dictionary))
		return am_object_ref(object);
	small = twin(object, packed.len, &room);
	if (small == NULL) {
		am_pack_release(dictionary);
		return am_object_ref(object);
	}
	memcpy(room, packed.data, packed.len);
	small->packed_n = (uint32_t)packed.len;
	small->dictionary = dictionary;
	small->pub.json = am_slice(NULL, object->json.n);
	return &small->pub;
}

struct am_object *
am_object_open(const struct am_object *pub)
{
	const struct object *small = (const struct object *)(const void *)pub;
	struct object *object;
	char *room;

	if (small->dictionary == NULL)
		return am_object_ref(pub);
	object = twin(pub, pub->json.n + 1, &room);
	am_assert(object != NULL);
	am_unpack(pub->rv + strlen(pub->rv) + 1, small->packed_n, small->dictionary, room, pub->json.n);
	room[pub->json.n] = '\0';
	object->pub.json = am_slice(room, pub->json.n);
	return &object->pub;
}

size_t
am_object_held(const struct am_object *pub)
{
	const struct object *object = (const struct object *)(const void *)pub;

	return object->dictionary != NULL ? object->packed_n : pub->json.n;
}

static char *
member_dup(const struct am_object *object, const char *container, const char *key)
{
	am_auto(am_buf_fini) struct am_buf pointer = { 0 };

	am_buf_addf(&pointer, "%s/", container);
	for (const char *p = key; *p != '\0'; p++) {
		if (*p == '~' || *p == '/')
			am_buf_adds(&pointer, *p == '~' ? "~0" : "~1");
		else
			am_buf_addc(&pointer, *p);
	}
	return pointer.failed ? NULL : am_json_dup(object->json, am_buf_str(&pointer));
}

char *
am_object_label(const struct am_object *object, const char *key)
{
	return member_dup(object, "/metadata/labels", key);
}

char *
am_object_annotation(const struct am_object *object, const char *key)
{
	return member_dup(object, "/metadata/annotations", key);
}

bool
am_object_deleting(const struct am_object *object)
{
	struct am_slice value;

	return am_json_find(object->json, "/metadata/deletionTimestamp", &value) && am_json_type(value) == AMBIENT_T_STRING;
}

static bool
is_number(const char *rv)
{
	return rv[0] != '\0' && strspn(rv, "0123456789") == strlen(rv);
}

int
am_rv_compare(const char *a, const char *b)
{
	int c;

	if (strcmp(a, b) == 0)
		return 0;
	if (!is_number(a) || !is_number(b))
		return 2;
	a += strspn(a, "0");
	b += strspn(b, "0");
	if (strlen(a) != strlen(b))
		return strlen(a) < strlen(b) ? -1 : 1;
	c = strcmp(a, b);
	return c < 0 ? -1 : c > 0;
}

/* ---- values */

bool
am_cache_scalar(struct am_slice value, struct am_buf *out)
{
	switch (am_json_type(value)) {
	case AMBIENT_T_STRING:
		return am_json_unescape(value, out);
	case AMBIENT_T_NUMBER:
	case AMBIENT_T_BOOL:
		am_buf_add(out, value.p, value.n);
		return true;
	default:
		return false;
	}
}

static void
emit(struct am_slice value, void (*fn)(void *arg, const char *value), void *arg)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };

	/* A NUL inside a string cannot be asked for; it would only be cut. */
	if (am_cache_scalar(value, &text) && !text.failed && strlen(am_buf_str(&text)) == text.len)
		fn(arg, am_buf_str(&text));
}

static void
emit_final(struct am_slice value, void (*fn)(void *arg, const char *value), void *arg)
{
	struct am_slice element;

	if (am_json_type(value) != AMBIENT_T_ARRAY) {
		emit(value, fn, arg);
		return;
	}
	for (size_t it = 0; am_json_element(value, &it, &element);)
		emit(element, fn, arg);
}

void
am_cache_each_value(struct am_slice json, const char *pointer, void (*fn)(void *arg, const char *value), void *arg)
{
	const char *star = strstr(pointer, "/*");
	struct am_slice value, key, container = json;
	char *front;

	while (star != NULL && star[2] != '\0' && star[2] != '/')
		star = strstr(star + 2, "/*");
	if (star == NULL) {
		if (am_json_find(json, pointer, &value))
			emit_final(value, fn, arg);
		return;
	}
	front = am_xstrndup(pointer, (size_t)(star - pointer));
	if (am_json_find(json, front, &container)) {
		if (am_json_type(container) == AMBIENT_T_ARRAY) {
			for (size_t it = 0; am_json_element(container, &it, &value);)
				am_cache_each_value(value, star + 2, fn, arg);
		} else if (am_json_type(container) == AMBIENT_T_OBJECT) {
			for (size_t it = 0; am_json_member(container, &it, &key, &value);)
				am_cache_each_value(value, star + 2, fn, arg);
		}
	}
	free(front);
}
