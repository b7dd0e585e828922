/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object as it is kept: one allocation with its text and, decoded, the few things that selectors, indexes and the
 * collector ask for again and again.  Storage holds the text without resourceVersion, so that an unchanged
 * object compares equal; the number is put in behind the opening brace of metadata when the object is made.
 *
 * What nobody has asked for lately is kept packed (packing.c): a copy without labels, and with its text compressed.  Whoever wants
 * more opens a copy of that.  Objects are never changed in place, so that a reader has what it has.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

/* Strings found so far, NUL-terminated one behind the other; positions are offsets plus one, 0 is "none". */
struct found {
	struct am_buf strings;
	size_t ns, name, uid;
	struct am_buf labels; /* size_t offsets */
	struct am_buf owners; /* struct found_owner */
	uint32_t flags;
};

struct found_owner {
	size_t uid, api_version, kind, name;
	bool block;
};

static size_t
keep(struct found *found, struct am_slice string)
{
	size_t at = found->strings.len + 1;

	if (!am_json_unescape(string, &found->strings))
		return 0;
	am_buf_addc(&found->strings, '\0');
	return at;
}

/* A key comes without its quotes but still escaped. */
static size_t
keep_key(struct found *found, struct am_slice key)
{
	return keep(found, am_slice(key.p - 1, key.n + 2));
}

static void
find_labels(struct found *found, struct am_slice labels)
{
	struct am_slice key, value;

	for (size_t it = 0; am_json_member(labels, &it, &key, &value);) {
		if (am_json_type(value) != AMBIENT_T_STRING)
			continue;
		size_t pair[2] = { keep_key(found, key), keep(found, value) };
		am_buf_add(&found->labels, pair, sizeof(pair));
	}
}

static void
find_owners(struct found *found, struct am_slice owners)
{
	struct am_slice element, key, value;

	for (size_t it = 0; am_json_element(owners, &it, &element);) {
		struct found_owner owner = { 0 };
		for (size_t m = 0; am_json_member(element, &m, &key, &value);) {
			if (am_slice_eq(key, "uid"))
				owner.uid = keep(found, value);
			else if (am_slice_eq(key, "apiVersion"))
				owner.api_version = keep(found, value);
			else if (am_slice_eq(key, "kind"))
				owner.kind = keep(found, value);
			else if (am_slice_eq(key, "name"))
				owner.name = keep(found, value);
			else if (am_slice_eq(key, "blockOwnerDeletion"))
				owner.block = am_slice_eq(value, "true");
		}
		if (owner.uid != 0)
			am_buf_add(&found->owners, &owner, sizeof(owner));
	}
}

static void
find_finalizers(struct found *found, struct am_slice finalizers)
{
	struct am_slice element;

	for (size_t it = 0; am_json_element(finalizers, &it, &element);) {
		found->flags |= AM_OBJ_FINALIZERS;
		if (am_json_str_eq(element, "foregroundDeletion"))
			found->flags |= AM_OBJ_FOREGROUND;
		else if (am_json_str_eq(element, "orphan"))
			found->flags |= AM_OBJ_ORPHAN;
	}
}

static void
find_all(struct found *found, struct am_slice metadata)
{
	struct am_slice key, value;

	for (size_t it = 0; am_json_member(metadata, &it, &key, &value);) {
		int type = am_json_type(value);
		if (am_slice_eq(key, "name"))
			found->name = keep(found, value);
		else if (am_slice_eq(key, "namespace"))
			found->ns = keep(found, value);
		else if (am_slice_eq(key, "uid"))
			found->uid = keep(found, value);
		else if (am_slice_eq(key, "labels") && type == AMBIENT_T_OBJECT)
			find_labels(found, value);
		else if (am_slice_eq(key, "ownerReferences") && type == AMBIENT_T_ARRAY)
			find_owners(found, value);
		else if (am_slice_eq(key, "finalizers") && type == AMBIENT_T_ARRAY)
			find_finalizers(found, value);
		else if (am_slice_eq(key, "deletionTimestamp") && type == AMBIENT_T_STRING)
			found->flags |= AM_OBJ_DELETING;
	}
}

static void
found_fini(struct found *found)
{
	am_buf_fini(&found->strings);
	am_buf_fini(&found->labels);
	am_buf_fini(&found->owners);
}

static const char *
string_at(const char *strings, size_t at)
{
	return at == 0 ? "" : strings + at - 1;
}

static _Atomic(uint64_t) stamps = 1;

/* struct, label pointers, owners, strings, and room for n bytes: one block.  NULL: no memory. */
static struct am_object *
allocate(const struct found *found, size_t n, char **ret_room)
{
	size_t n_labels = found->labels.len / sizeof(size_t), n_owners = found->owners.len / sizeof(struct found_owner);
	size_t pointers = n_labels * sizeof(char *), owners = n_owners * sizeof(struct am_owner_ref);
	struct am_object *object = malloc(sizeof(*object) + pointers + owners + found->strings.len + n);

	if (object == NULL)
		return NULL;
	memset(object, 0, sizeof(*object));
	char *at = (char *)(object + 1);
	struct am_owner_ref *refs = (struct am_owner_ref *)(void *)(at + pointers);
	char *strings = at + pointers + owners;
	const char **labels = (const char **)(void *)at;
	const size_t *label_at = (const size_t *)(const void *)found->labels.data;
	const struct found_owner *owner = (const struct found_owner *)(const void *)found->owners.data;

	if (found->strings.len > 0)
		memcpy(strings, found->strings.data, found->strings.len);
	for (size_t i = 0; i < n_labels; i++)
		labels[i] = string_at(strings, label_at[i]);
	for (size_t i = 0; i < n_owners; i++)
		refs[i] = (struct am_owner_ref){ string_at(strings, owner[i].uid), string_at(strings, owner[i].api_version),
						 string_at(strings, owner[i].kind), string_at(strings, owner[i].name),
						 owner[i].block };
	object->refs = 1;
	object->ns = string_at(strings, found->ns);
	object->name = string_at(strings, found->name);
	object->uid = string_at(strings, found->uid);
	object->flags = found->flags;
	object->n_labels = (uint32_t)(n_labels / 2);
	object->n_owners = (uint32_t)n_owners;
	object->labels = labels;
	object->owners = refs;
	*ret_room = strings + found->strings.len;
	return object;
}

static struct am_object *
assemble(const struct found *found, struct am_slice raw, size_t rv_at, struct am_slice rv)
{
	size_t body = raw.n + rv.n;
	char *text;
	struct am_object *object = allocate(found, body + 1, &text);

	if (object == NULL)
		return NULL;
	memcpy(text, raw.p, rv_at);
	if (rv.n > 0)
		memcpy(text + rv_at, rv.p, rv.n);
	memcpy(text + rv_at + rv.n, raw.p + rv_at, raw.n - rv_at);
	text[body] = '\0';
	object->stamp = atomic_fetch_add_explicit(&stamps, 1, memory_order_relaxed);
	object->body = text;
	object->len = body;
	object->rv_at = (uint32_t)rv_at;
	object->rv_len = (uint32_t)rv.n;
	return object;
}

struct am_object *
am_object_new(const char *raw, size_t n, uint64_t rv, int64_t id, int64_t mtime)
{
	struct found found = { 0 };
	struct am_slice text = am_slice(raw, n), metadata;
	char number[48] = "";

	if (n > UINT32_MAX / 2 || !am_json_find(text, "/metadata", &metadata) ||
	    am_json_type(metadata) != AMBIENT_T_OBJECT)
		return NULL;
	find_all(&found, metadata);
	if (rv != 0)
		snprintf(number, sizeof(number), "\"resourceVersion\":\"%llu\"%s", (unsigned long long)rv,
			 am_json_count(metadata) > 0 ? "," : "");
	struct am_object *object = NULL;
	if (!found.strings.failed && !found.labels.failed && !found.owners.failed)
		object = assemble(&found, text, (size_t)(metadata.p - raw) + 1, am_slice_of(number));
	found_fini(&found);
	if (object != NULL) {
		object->rv = rv;
		object->id = id;
		object->mtime = mtime;
	}
	return object;
}

/* ---- packed ---- */

static size_t
keep_text(struct found *found, const char *text)
{
	size_t at = found->strings.len + 1;

	am_buf_add(&found->strings, text, strlen(text) + 1);
	return at;
}

uint64_t
am_label_bits(const char *key, const char *value)
{
	uint64_t name = am_hash(key, strlen(key));
	uint64_t bits = UINT64_C(1) << name % 64;

	return value == NULL ? bits : bits | UINT64_C(1) << (name / 64 ^ am_hash(value, strlen(value))) % 64;
}

/* What is found without the text: all but the labels, which are half of it and seldom asked for; their bits tell most selectors
 * that there is nothing to open (a Bloom filter of two bits a label). */
static void
find_small(struct found *found, const struct am_object *object)
{
	found->ns = keep_text(found, object->ns);
	found->name = keep_text(found, object->name);
	found->uid = keep_text(found, object->uid);
	found->flags = object->flags;
	for (uint32_t i = 0; i < object->n_owners; i++) {
		const struct am_owner_ref *o = &object->owners[i];
		struct found_owner owner = { keep_text(found, o->uid), keep_text(found, o->api_version), keep_text(found, o->kind),
					     keep_text(found, o->name), o->block };

		am_buf_add(&found->owners, &owner, sizeof(owner));
	}
}

/* The same object in another shape. */
static void
be_same(struct am_object *object, const struct am_object *as)
{
	object->stamp = as->stamp;
	object->rv = as->rv;
	object->id = as->id;
	object->mtime = as->mtime;
	object->len = as->len;
	object->rv_at = as->rv_at;
	object->rv_len = as->rv_len;
}

struct am_object *
am_object_pack(struct am_packer *packer, size_t present, const struct am_object *object)
{
	am_auto(am_buf_fini) struct am_buf packed = { 0 };
	struct am_dictionary *dictionary;
	struct am_object *small = NULL;
	struct found found = { 0 };
	char *room;

	if (object->body == NULL || !am_pack(packer, present, am_object_text(object), &packed, &dictionary))
		return NULL;
	find_small(&found, object);
	if (!found.strings.failed && !found.owners.failed)
		small = allocate(&found, packed.len, &room);
	found_fini(&found);
	if (small == NULL) {
		am_pack_release(dictionary);
		return NULL;
	}
	be_same(small, object);
	small->packed = memcpy(room, packed.data, packed.len);
	small->packed_n = (uint32_t)packed.len;
	small->dictionary = dictionary;
	for (uint32_t i = 0; i < object->n_labels; i++)
		small->label_bits |= am_label_bits(object->labels[2 * i], object->labels[2 * i + 1]);
	return small;
}

void
am_object_add_text(const struct am_object *object, struct am_buf *out)
{
	if (object->body != NULL) {
		am_buf_add(out, object->body, object->len);
	} else if (am_buf_reserve(out, object->len)) {
		am_unpack(object->packed, object->packed_n, object->dictionary, out->data + out->len, object->len);
		out->len += object->len;
	}
}

struct am_object *
am_object_open(const struct am_object *packed)
{
	struct found found = { 0 };
	struct am_buf text = { 0 };
	struct am_slice metadata;

	if (packed == NULL || packed->body != NULL)
		return am_object_ref((struct am_object *)(uintptr_t)packed);
	am_object_add_text(packed, &text);
	am_assert(!text.failed && am_json_find(am_slice(text.data, text.len), "/metadata", &metadata));
	find_all(&found, metadata);
	struct am_object *object = assemble(&found, am_slice(text.data, text.len), packed->rv_at, am_slice(NULL, 0));
	am_assert(object != NULL);
	be_same(object, packed);
	found_fini(&found);
	am_buf_fini(&text);
	return object;
}

struct am_object *
am_object_opened(struct am_object *packed)
{
	struct am_object *object = am_object_open(packed);

	am_object_unref(packed);
	return object;
}

void
am_object_raw(const struct am_object *object, struct am_buf *out)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *body = object->body;

	if (body == NULL) {
		am_object_add_text(object, &text);
		body = am_buf_str(&text);
		out->failed |= text.failed;
	}
	am_buf_add(out, body, object->rv_at);
	am_buf_add(out, body + object->rv_at + object->rv_len, object->len - object->rv_at - object->rv_len);
}

struct am_object *
am_object_with_rv(const struct am_object *object, uint64_t rv)
{
	struct am_buf raw = { 0 };

	am_object_raw(object, &raw);
	struct am_object *ret = raw.failed ? NULL : am_object_new(raw.data, raw.len, rv, object->id, object->mtime);
	am_buf_fini(&raw);
	return ret;
}

struct am_object *
am_object_ref(struct am_object *object)
{
	if (object != NULL)
		atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
	return object;
}

void
am_object_unref(struct am_object *object)
{
	if (object != NULL && atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) == 1) {
		am_pack_release(object->dictionary);
		free(object);
	}
}

const char *
am_object_label(const struct am_object *object, const char *key)
{
	am_assert(object->body != NULL);
	for (uint32_t i = 0; i < object->n_labels; i++)
		if (strcmp(object->labels[2 * i], key) == 0)
			return object->labels[2 * i + 1];
	return NULL;
}

int
am_key_cmp(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b)
{
	int c = strcmp(ns_a, ns_b);

	return c != 0 ? c : strcmp(name_a, name_b);
}
