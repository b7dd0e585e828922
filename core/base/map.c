/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash map: entries in an array in insertion order, an open-addressed table of their numbers beside it.
 * A deleted entry has key NULL and stays until the next growth compacts the array; its slot keeps its number,
 * so that probing goes on over it.
 */
#include "core/base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/util.h"

struct entry {
	const char *key;
	uint32_t n, hash;
	void *value;
};

struct am_map {
	struct entry *entries;
	uint32_t *slots; /* entry number + 1, 0: empty */
	size_t used, live, mask;
	bool borrowing;
	void (*free_value)(void *);
};

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static void
make_key(void)
{
	am_random(hash_key, sizeof(hash_key));
}

static inline uint64_t
rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1]; v[1] = rotl(v[1], 13); v[1] ^= v[0]; v[0] = rotl(v[0], 32);
	v[2] += v[3]; v[3] = rotl(v[3], 16); v[3] ^= v[2];
	v[0] += v[3]; v[3] = rotl(v[3], 21); v[3] ^= v[0];
	v[2] += v[1]; v[1] = rotl(v[1], 17); v[1] ^= v[2]; v[2] = rotl(v[2], 32);
}

/* SipHash-1-3: Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one and three rounds. */
uint64_t
am_hash(const void *p, size_t n)
{
	(void)pthread_once(&hash_once, make_key);
	uint64_t v[4] = { hash_key[0] ^ 0x736f6d6570736575u, hash_key[1] ^ 0x646f72616e646f6du,
			  hash_key[0] ^ 0x6c7967656e657261u, hash_key[1] ^ 0x7465646279746573u };
	const unsigned char *s = p;
	uint64_t m, tail = (uint64_t)n << 56;
	size_t left = n;

	for (; left >= 8; left -= 8, s += 8) {
		memcpy(&m, s, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; i < left; i++)
		tail |= (uint64_t)s[i] << (8 * i);
	v[3] ^= tail;
	sip_round(v);
	v[0] ^= tail;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct am_map *
am_map_new_owning(void (*free_value)(void *))
{
	struct am_map *map = am_xcalloc(1, sizeof(*map));

	map->free_value = free_value;
	return map;
}

struct am_map *
am_map_new(void)
{
	return am_map_new_owning(NULL);
}

struct am_map *
am_map_new_borrowing(void)
{
	struct am_map *map = am_map_new_owning(NULL);

	map->borrowing = true;
	return map;
}

static void
key_free(const struct am_map *map, const char *key)
{
	if (!map->borrowing)
		free((char *)(uintptr_t)key);
}

static const char *
key_copy(const struct am_map *map, const void *key, size_t n)
{
	char *copy;

	if (map->borrowing)
		return key;
	copy = am_xcalloc(1, n + 1);
	if (n != 0)
		memcpy(copy, key, n);
	return copy;
}

void
am_map_free(struct am_map *map)
{
	if (map == NULL)
		return;
	for (size_t i = 0; i < map->used; i++) {
		if (map->entries[i].key == NULL)
			continue;
		key_free(map, map->entries[i].key);
		if (map->free_value != NULL)
			map->free_value(map->entries[i].value);
	}
	free(map->entries);
	free(map->slots);
	free(map);
}

size_t
am_map_len(const struct am_map *map)
{
	return map->live;
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t
probe(const struct am_map *map, const void *key, size_t n, uint32_t hash)
{
	size_t slot = hash & map->mask;

	for (;; slot = (slot + 1) & map->mask) {
		if (map->slots[slot] == 0)
			return slot;
		const struct entry *e = &map->entries[map->slots[slot] - 1];
		if (e->key != NULL && e->hash == hash && e->n == n && memcmp(e->key, key, n) == 0)
			return slot;
	}
}

static void
grow(struct am_map *map)
{
	size_t slots = 8, kept = 0;

	while (slots < (map->live + 1) * 2)
		slots *= 2;
	struct entry *entries = am_xcalloc(slots / 2 + 1, sizeof(*entries));
	for (size_t i = 0; i < map->used; i++) {
		if (map->entries[i].key != NULL)
			entries[kept++] = map->entries[i];
	}
	free(map->entries);
	free(map->slots);
	map->entries = entries;
	map->used = kept;
	map->slots = am_xcalloc(slots, sizeof(*map->slots));
	map->mask = slots - 1;
	for (size_t i = 0; i < kept; i++) {
		size_t slot = entries[i].hash & map->mask;
		while (map->slots[slot] != 0)
			slot = (slot + 1) & map->mask;
		map->slots[slot] = (uint32_t)i + 1;
	}
}

static struct entry *
find(const struct am_map *map, const void *key, size_t n)
{
	if (map->live == 0)
		return NULL;
	size_t slot = probe(map, key, n, (uint32_t)am_hash(key, n));
	return map->slots[slot] != 0 ? &map->entries[map->slots[slot] - 1] : NULL;
}

void *
am_map_getn(const struct am_map *map, const void *key, size_t n)
{
	const struct entry *e = find(map, key, n);

	return e != NULL ? e->value : NULL;
}

void *
am_map_get(const struct am_map *map, const char *key)
{
	return am_map_getn(map, key, strlen(key));
}

bool
am_map_has(const struct am_map *map, const char *key)
{
	return find(map, key, strlen(key)) != NULL;
}

const char *
am_map_putn(struct am_map *map, const void *key, size_t n, void *value)
{
	struct entry *e = find(map, key, n);

	if (e != NULL) {
		if (map->free_value != NULL && e->value != value)
			map->free_value(e->value);
		e->value = value;
		return e->key;
	}
	if (n > UINT32_MAX)
		abort(); /* memory would have ended long before */
	if (map->slots == NULL || map->used >= (map->mask + 1) / 2)
		grow(map);
	uint32_t hash = (uint32_t)am_hash(key, n);
	size_t slot = probe(map, key, n, hash);
	e = &map->entries[map->used++];
	e->key = key_copy(map, key, n);
	e->n = (uint32_t)n;
	e->hash = hash;
	e->value = value;
	map->slots[slot] = (uint32_t)map->used;
	map->live++;
	return e->key;
}

const char *
am_map_put(struct am_map *map, const char *key, void *value)
{
	return am_map_putn(map, key, strlen(key), value);
}

static void *
drop(struct am_map *map, struct entry *e)
{
	void *value = e->value;

	key_free(map, e->key);
	e->key = NULL;
	e->value = NULL;
	map->live--;
	return value;
}

void *
am_map_take(struct am_map *map, const char *key)
{
	struct entry *e = find(map, key, strlen(key));

	return e != NULL ? drop(map, e) : NULL;
}

bool
am_map_deln(struct am_map *map, const void *key, size_t n)
{
	struct entry *e = find(map, key, n);

	if (e == NULL)
		return false;
	void *value = drop(map, e);
	if (map->free_value != NULL)
		map->free_value(value);
	return true;
}

bool
am_map_del(struct am_map *map, const char *key)
{
	return am_map_deln(map, key, strlen(key));
}

bool
am_map_next(const struct am_map *map, size_t *it, const char **key, void **value)
{
	while (*it < map->used) {
		const struct entry *e = &map->entries[(*it)++];
		if (e->key == NULL)
			continue;
		if (key != NULL)
			*key = e->key;
		if (value != NULL)
			*value = e->value;
		return true;
	}
	return false;
}
