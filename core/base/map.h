/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from byte strings to pointers, insertion-ordered iteration, keyed SipHash so that outsiders
 * cannot make it slow.  Not thread-safe.  Keys are copied, of at most 4 GiB; values are the caller's.
 */
#ifndef AM_BASE_MAP_H
#define AM_BASE_MAP_H

#include "core/base/attr.h"

struct am_map;

struct am_map *am_map_new(void) am_nodiscard_;
/* free_value (may be NULL) is called for each value that is replaced, removed or left at the end. */
struct am_map *am_map_new_owning(void (*free_value)(void *)) am_nodiscard_;
/* Keys are not copied: each must outlive its entry, unchanged. */
struct am_map *am_map_new_borrowing(void) am_nodiscard_;
void am_map_free(struct am_map *map);
size_t am_map_len(const struct am_map *map);
void *am_map_get(const struct am_map *map, const char *key);
void *am_map_getn(const struct am_map *map, const void *key, size_t n);
bool am_map_has(const struct am_map *map, const char *key);
/* Replaces.  Returns the map's own key, which lives as long as the entry. */
const char *am_map_put(struct am_map *map, const char *key, void *value);
const char *am_map_putn(struct am_map *map, const void *key, size_t n, void *value);
void *am_map_take(struct am_map *map, const char *key);             /* removes without freeing; NULL if absent */
bool am_map_del(struct am_map *map, const char *key);
bool am_map_deln(struct am_map *map, const void *key, size_t n);
/* for (size_t it = 0; am_map_next(map, &it, &key, &value);) — deleting the current entry is allowed. */
bool am_map_next(const struct am_map *map, size_t *it, const char **key, void **value);
uint64_t am_hash(const void *p, size_t n);                          /* the process's keyed SipHash-1-3 */

#endif
