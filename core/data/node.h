/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a tree in an arena, for code that changes it (patches, defaulting, pruning).  Numbers keep the text
 * that they came as; member order is kept.  Everything lives as long as the arena.  One thread per arena.
 */
#ifndef AM_DATA_NODE_H
#define AM_DATA_NODE_H

#include "core/base/mem.h"
#include "core/data/scan.h"

struct am_node {
	uint8_t type;         /* AMBIENT_T_* */
	bool boolean;
	uint32_t count;       /* members or elements */
	size_t key_len;       /* when it is a member */
	const char *key;      /* decoded, NUL-terminated; NULL in arrays and at the root */
	size_t len;           /* STRING: bytes (may contain NUL); NUMBER: length of its text */
	const char *text;     /* STRING: decoded, NUL-terminated; NUMBER: as written */
	struct am_node *first, *last, *next;
};

/* Checks as am_json_check does.  NULL with err on failure. */
struct am_node *am_node_parse(struct am_arena *arena, const char *text, size_t n, struct ambient_error *err);
void am_node_print(const struct am_node *node, struct am_buf *out);                 /* compact */
struct am_node *am_node_clone(struct am_arena *arena, const struct am_node *node);  /* deep, without key */
/* Members in any order; numbers by value where both are exact integers, else by text. */
bool am_node_equal(const struct am_node *a, const struct am_node *b);

struct am_node *am_node_null(struct am_arena *arena);
struct am_node *am_node_bool(struct am_arena *arena, bool b);
struct am_node *am_node_int(struct am_arena *arena, int64_t i);
struct am_node *am_node_str(struct am_arena *arena, const char *s);
struct am_node *am_node_strn(struct am_arena *arena, const char *s, size_t n);
struct am_node *am_node_object(struct am_arena *arena);
struct am_node *am_node_array(struct am_arena *arena);

struct am_node *am_node_get(const struct am_node *object, const char *key);          /* NULL: absent or no object */
struct am_node *am_node_at(const struct am_node *root, const char *pointer);         /* RFC 6901 */
struct am_node *am_node_path(const struct am_node *root, ...) __attribute__((sentinel)); /* keys, ended by NULL */
const char *am_node_text(const struct am_node *node, const char *fallback);          /* of a string */
const char *am_node_get_str(const struct am_node *object, const char *key, const char *fallback);
bool am_node_get_int(const struct am_node *object, const char *key, int64_t *ret);
bool am_node_is_int(const struct am_node *node, int64_t *ret);                       /* 1, 1.0 and 1e0 are */
/* Takes value (which must not be in a tree), replaces in place or appends. */
void am_node_set(struct am_arena *arena, struct am_node *object, const char *key, struct am_node *value);
bool am_node_del(struct am_node *object, const char *key);
void am_node_append(struct am_node *array, struct am_node *value);
void am_node_remove(struct am_node *parent, struct am_node *child);
/* Makes missing objects on the way; "-" appends to an array.  0 or -AMBIENT_E_INVALID. */
int am_node_set_at(struct am_arena *arena, struct am_node *root, const char *pointer, struct am_node *value,
		   struct ambient_error *err);

/* Patches.  target is changed in place, or replaced when the patch replaces the whole: the result is returned. */
struct am_node *am_patch_merge(struct am_arena *arena, struct am_node *target, const struct am_node *patch);
struct am_node *am_patch_json(struct am_arena *arena, struct am_node *target, const struct am_node *patch,
			      struct ambient_error *err);
/* The RFC 7386 patch that makes `to` of `from`; NULL when they are equal. */
struct am_node *am_patch_diff(struct am_arena *arena, const struct am_node *from, const struct am_node *to);

#endif
