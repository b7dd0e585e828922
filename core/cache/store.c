/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores.  Each name has an entry with two faces: `seen`, what the watch says, and `visible`, what readers get.  They
 * are the same object but for names that this process has just written or deleted: then `visible` runs ahead until
 * the watch is past that version.  Only the I/O thread changes `seen`, so that subscribers get an unbroken sequence of
 * states whatever was written meanwhile; indexes follow `visible`.  Both may be packed (pack.c): whatever leaves the
 * store is opened first.
 *
 * The lock guards everything but the objects themselves, which are immutable.  Callbacks run without it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/base/mem.h"
#include "core/cache/cache_priv.h"

#define TOMBSTONE_NS (30 * AM_NS_PER_S)

struct entry {
	const char *key;              /* "ns/name", the map's own */
	struct am_object *seen, *visible;
	struct ahead *ahead;          /* NULL: visible is what was seen */
	uint64_t mark;                /* the last list that had it */
};

/* What this process did to an entry and the watch has not shown yet: exactly one of the strings is set. */
struct ahead {
	struct ahead *next;
	struct entry *entry;
	char *written_rv;             /* the version that this process wrote */
	char *gone_uid;               /* deleted by this process: its uid, or "" */
	int64_t gone_until;
};

struct index {
	char *name, *pointer;         /* pointer NULL: by namespace */
	struct am_map *values;        /* value -> struct am_map of the entries' keys -> entry */
};

struct am_store {
	struct am_lock lock;
	struct am_clock *clock;
	/* all below: lock */
	struct am_map *entries;
	struct index *indexes;
	size_t index_count;
	struct ahead *ahead;
	int64_t expiry;               /* of the first tombstone; AM_FOREVER: none */
	size_t count, bytes;          /* of visible */
	uint64_t mark;
	char *rv;
	char *ns;
	struct am_selector *labels, *fields;
	struct am_packer *packer;     /* NULL: texts are kept as they are */
	unsigned learned;             /* dictionaries of it that all that is here was tried with */
};

/* ---- indexes */

struct index_walk {
	struct index *index;
	struct entry *entry;
	bool add;
};

static void
free_bucket(void *bucket)
{
	am_map_free(bucket);
}

static void
index_value(void *arg, const char *value)
{
	struct index_walk *walk = arg;
	struct am_map *bucket = am_map_get(walk->index->values, value);

	if (walk->add) {
		if (bucket == NULL) {
			bucket = am_map_new_borrowing();
			am_map_put(walk->index->values, value, bucket);
		}
		(void)am_map_put(bucket, walk->entry->key, walk->entry);
	} else if (bucket != NULL) {
		(void)am_map_del(bucket, walk->entry->key);
		if (am_map_len(bucket) == 0)
			(void)am_map_del(walk->index->values, value);
	}
}

static void
index_object(struct index *index, struct entry *entry, const struct am_object *object, bool add)
{
	struct index_walk walk = { index, entry, add };
	struct am_object *open;

	if (index->pointer == NULL) {
		index_value(&walk, object->ns);
		return;
	}
	open = am_object_open(object);
	am_cache_each_value(open->json, index->pointer, index_value, &walk);
	am_object_unref(open);
}

static struct index *
index_find(const struct am_store *store, const char *name)
{
	for (size_t i = 0; i < store->index_count; i++) {
		if (strcmp(store->indexes[i].name, name) == 0)
			return &store->indexes[i];
	}
	return NULL;
}

static struct index *
index_add(struct am_store *store, const char *name, const char *pointer)
{
	struct index *index;

	store->indexes = am_xrealloc(store->indexes, store->index_count + 1, sizeof(*store->indexes));
	index = &store->indexes[store->index_count++];
	index->name = am_xstrdup(name);
	index->pointer = am_xstrdup(pointer);
	index->values = am_map_new_owning(free_bucket);
	return index;
}

int
am_store_add_index(struct am_store *store, const char *name, const char *pointer, struct ambient_error *err)
{
	struct index *index;
	const char *key;
	void *value;
	int rc = 0;

	if (am_empty(name) || pointer == NULL || pointer[0] != '/')
		return ambient_err(err, AMBIENT_E_INVALID, "index \"%s\": \"%s\" is no JSON Pointer", name != NULL ? name : "",
				   pointer != NULL ? pointer : "");
	am_lock(&store->lock);
	index = index_find(store, name);
	if (index != NULL) {
		if (!am_streq(index->pointer, pointer))
			rc = ambient_err(err, AMBIENT_E_EXISTS, "index \"%s\" is already by \"%s\", not by \"%s\"", name,
					 index->pointer != NULL ? index->pointer : "namespace", pointer);
	} else {
		index = index_add(store, name, pointer);
		for (size_t it = 0; am_map_next(store->entries, &it, &key, &value);) {
			if (((struct entry *)value)->visible != NULL)
				index_object(index, value, ((struct entry *)value)->visible, true);
		}
	}
	am_unlock(&store->lock);
	return rc;
}

/* ---- entries */

static char *
key_new(const char *ns, const char *name)
{
	return am_xasprintf("%s/%s", ns != NULL ? ns : "", name);
}

static struct entry *
entry_get(const struct am_store *store, const char *ns, const char *name)
{
	char *key = key_new(ns, name);
	struct entry *entry = am_map_get(store->entries, key);

	free(key);
	return entry;
}

static struct entry *
entry_make(struct am_store *store, const struct am_object *object)
{
	char *key = key_new(object->ns, object->name);
	struct entry *entry = am_map_get(store->entries, key);

	if (entry == NULL) {
		entry = am_xcalloc(1, sizeof(*entry));
		entry->key = am_map_put(store->entries, key, entry);
	}
	free(key);
	return entry;
}

static void
ahead_free(struct ahead *ahead)
{
	if (ahead == NULL)
		return;
	free(ahead->written_rv);
	free(ahead->gone_uid);
	free(ahead);
}

static void
entry_free(void *value)
{
	struct entry *entry = value;

	am_object_unref(entry->seen);
	am_object_unref(entry->visible);
	ahead_free(entry->ahead);
	free(entry);
}

/* Makes object (or nothing) what readers get. */
static void
show(struct am_store *store, struct entry *entry, const struct am_object *object)
{
	struct am_object *old = entry->visible;

	if (old == object)
		return;
	entry->visible = object != NULL ? am_object_ref(object) : NULL;
	if (old != NULL) {
		for (size_t i = 0; i < store->index_count; i++)
			index_object(&store->indexes[i], entry, old, false);
		store->count--;
		store->bytes -= am_object_held(old);
		am_object_unref(old);
	}
	if (object != NULL) {
		for (size_t i = 0; i < store->index_count; i++)
			index_object(&store->indexes[i], entry, object, true);
		store->count++;
		store->bytes += am_object_held(object);
	}
}

static void
set_seen(struct entry *entry, const struct am_object *object)
{
	struct am_object *old = entry->seen;

	entry->seen = object != NULL ? am_object_ref(object) : NULL;
	am_object_unref(old);
}

static void
entry_settle(struct am_store *store, struct entry *entry)
{
	if (entry->seen == NULL && entry->visible == NULL && entry->ahead == NULL)
		(void)am_map_del(store->entries, entry->key);
}

/* ---- ahead of the watch */

/* Empty, for the caller to say what was done. */
static struct ahead *
ahead_set(struct am_store *store, struct entry *entry)
{
	struct ahead *ahead = entry->ahead;

	if (ahead == NULL) {
		ahead = entry->ahead = am_xcalloc(1, sizeof(*ahead));
		ahead->entry = entry;
		ahead->next = store->ahead;
		store->ahead = ahead;
	}
	free(ahead->written_rv);
	free(ahead->gone_uid);
	ahead->written_rv = ahead->gone_uid = NULL;
	return ahead;
}

static void
ahead_clear(struct am_store *store, struct entry *entry)
{
	struct ahead **at = &store->ahead;

	if (entry->ahead == NULL)
		return;
	while (*at != entry->ahead)
		at = &(*at)->next;
	*at = entry->ahead->next;
	ahead_free(entry->ahead);
	entry->ahead = NULL;
}

/* Falls back to what the watch says, wherever the watch is past what was written or a tombstone is too old. */
static void
ahead_resolve(struct am_store *store, bool all)
{
	struct ahead *ahead, *next;
	int64_t now;

	if (store->ahead == NULL)
		return;
	now = am_clock_boot(store->clock);
	store->expiry = AM_FOREVER;
	for (ahead = store->ahead; ahead != NULL; ahead = next) {
		next = ahead->next;
		if (all || (ahead->written_rv != NULL ? am_rv_compare(ahead->written_rv, store->rv) <= 0
						      : now >= ahead->gone_until)) {
			struct entry *entry = ahead->entry;

			ahead_clear(store, entry);
			show(store, entry, entry->seen);
			entry_settle(store, entry);
		} else if (ahead->written_rv == NULL) {
			store->expiry = AM_MIN(store->expiry, ahead->gone_until);
		}
	}
}

/* Before reading: time alone ends a tombstone. */
static void
expire(struct am_store *store)
{
	if (store->expiry != AM_FOREVER && am_clock_boot(store->clock) >= store->expiry)
		ahead_resolve(store, false);
}

static bool
belongs(const struct am_store *store, const struct am_object *object)
{
	return (store->ns[0] == '\0' || strcmp(store->ns, object->ns) == 0) && am_selector_match(store->labels, object) &&
	       am_selector_match(store->fields, object);
}

/* Is what we wrote newer than rv?  While the store has no version nothing is older. */
static bool
is_news(const struct am_store *store, const struct entry *entry, const char *rv)
{
	int by_store = store->rv[0] == '\0' ? 1 : am_rv_compare(rv, store->rv);

	if (by_store == 2 || by_store <= 0)
		return false;
	if (entry == NULL)
		return true;
	if (entry->ahead != NULL && entry->ahead->written_rv != NULL && am_rv_compare(rv, entry->ahead->written_rv) != 1)
		return false;
	return entry->seen == NULL || am_rv_compare(rv, entry->seen->rv) == 1;
}

void
am_store_written(struct am_store *store, const struct am_object *object)
{
	struct entry *entry;

	am_lock(&store->lock);
	entry = entry_get(store, object->ns, object->name);
	/* a late answer to an earlier write does not raise the dead */
	bool dead = entry != NULL && entry->ahead != NULL && am_streq(entry->ahead->gone_uid, object->uid);
	bool welcome = is_news(store, entry, object->rv) && !dead;
	bool ours = belongs(store, object);
	if (welcome && (ours || entry != NULL)) {
		entry = entry_make(store, object);
		ahead_set(store, entry)->written_rv = am_xstrdup(object->rv);
		show(store, entry, ours ? object : NULL);
	}
	am_unlock(&store->lock);
}

void
am_store_deleted(struct am_store *store, const char *ns, const char *name, const char *uid)
{
	struct entry *entry;

	am_lock(&store->lock);
	entry = entry_get(store, ns, name);
	if (entry != NULL && entry->visible != NULL && (am_empty(uid) || strcmp(entry->visible->uid, uid) == 0)) {
		struct ahead *ahead = ahead_set(store, entry);

		ahead->gone_uid = am_xstrdup(entry->visible->uid);
		ahead->gone_until = am_clock_boot(store->clock) + TOMBSTONE_NS;
		store->expiry = AM_MIN(store->expiry, ahead->gone_until);
		show(store, entry, NULL);
	}
	am_unlock(&store->lock);
}

/* What came before there was a dictionary, or with one that did not help. */
static void
pack_rest(struct am_store *store)
{
	const char *key;
	void *value;

	for (size_t it = 0; am_map_next(store->entries, &it, &key, &value);) {
		struct entry *entry = value;
		struct am_object *kept;

		if (entry->seen == NULL || entry->seen->json.p == NULL)
			continue;
		kept = am_object_pack(store->packer, store->count, entry->seen);
		if (entry->visible == entry->seen) {
			store->bytes -= am_object_held(entry->visible);
			am_object_unref(entry->visible);
			entry->visible = am_object_ref(kept);
			store->bytes += am_object_held(kept);
		}
		set_seen(entry, kept);
		am_object_unref(kept);
	}
}

static struct am_object *
pack(struct am_store *store, const struct am_object *object)
{
	unsigned learned;

	if (store->packer == NULL)
		return am_object_ref(object);
	learned = am_packer_learned(store->packer);
	if (learned != store->learned) {
		store->learned = learned;
		pack_rest(store);
	}
	return am_object_pack(store->packer, store->count, object);
}

/* The watch shows object (NULL: none): what do readers get? */
static void
see(struct am_store *store, struct entry *entry, const struct am_object *object, const char *rv)
{
	struct am_object *kept = object != NULL ? pack(store, object) : NULL;
	const struct ahead *ahead = entry->ahead;
	bool overtaken = true;

	if (ahead != NULL && ahead->written_rv != NULL)
		overtaken = am_rv_compare(ahead->written_rv, rv) != 1;
	else if (ahead != NULL)
		overtaken = object == NULL || strcmp(object->uid, ahead->gone_uid) != 0;
	set_seen(entry, kept);
	if (overtaken) {
		ahead_clear(store, entry);
		show(store, entry, kept);
	}
	am_object_unref(kept);
}

/* ---- fed by the reflector */

void
am_store_set_filter(struct am_store *store, const char *ns, struct am_selector *labels, struct am_selector *fields)
{
	am_lock(&store->lock);
	free(store->ns);
	store->ns = am_xstrdup(ns != NULL ? ns : "");
	am_selector_free(store->labels);
	am_selector_free(store->fields);
	store->labels = labels;
	store->fields = fields;
	am_unlock(&store->lock);
}

void
am_store_set_packed(struct am_store *store, size_t from)
{
	am_lock(&store->lock);
	if (store->packer == NULL)
		store->packer = am_packer_new(from);
	am_unlock(&store->lock);
}

/* The text of what is told is opened for as long as that takes. */
static void
tell(am_change_f *fn, void *arg, const struct am_object *before, const struct am_object *after, bool initial, bool missed)
{
	const struct am_object *any = after != NULL ? after : before;
	struct am_change change = { .ns = any->ns, .name = any->name, .initial = initial, .missed = missed };

	if (fn == NULL)
		return;
	struct am_object *old = before != NULL ? am_object_open(before) : NULL;
	struct am_object *new = after != NULL ? am_object_open(after) : NULL;
	change.before = old;
	change.after = new;
	fn(arg, &change);
	am_object_unref(old);
	am_object_unref(new);
}

void
am_store_upsert(struct am_store *store, const struct am_object *object, bool initial, am_change_f *fn, void *arg)
{
	struct am_object *before;
	struct entry *entry;
	bool same;

	am_lock(&store->lock);
	entry = entry_make(store, object);
	entry->mark = store->mark;
	before = entry->seen != NULL ? am_object_ref(entry->seen) : NULL;
	same = before != NULL && object->rv[0] != '\0' && strcmp(before->rv, object->rv) == 0 &&
	       strcmp(before->uid, object->uid) == 0;
	if (!same)
		see(store, entry, object, object->rv);
	am_unlock(&store->lock);
	if (!same)
		tell(fn, arg, before, object, initial, false);
	am_object_unref(before);
}

static void
set_rv(struct am_store *store, const char *rv)
{
	if (strcmp(store->rv, rv) != 0) {
		free(store->rv);
		store->rv = am_xstrdup(rv);
	}
}

/*
 * The watch is past rv in the very moment in which it removes an object, not only when its subscribers have been told:
 * an answer to an earlier write that comes in between must not raise the dead.
 */
static void
pass(struct am_store *store, const char *rv)
{
	if (store->rv[0] != '\0' && am_rv_compare(rv, store->rv) == 1)
		set_rv(store, rv);
}

void
am_store_remove(struct am_store *store, const struct am_object *last, am_change_f *fn, void *arg)
{
	struct entry *entry;
	bool known;

	am_lock(&store->lock);
	pass(store, last->rv);
	entry = entry_get(store, last->ns, last->name);
	known = entry != NULL && entry->seen != NULL;
	if (entry != NULL) {
		see(store, entry, NULL, last->rv);
		entry_settle(store, entry);
	}
	am_unlock(&store->lock);
	if (known)
		tell(fn, arg, last, NULL, false, false);
}

void
am_store_remove_name(struct am_store *store, const char *ns, const char *name, const char *rv, am_change_f *fn, void *arg)
{
	struct am_object *last = NULL;
	struct entry *entry;

	am_lock(&store->lock);
	pass(store, rv);
	entry = entry_get(store, ns, name);
	if (entry != NULL && entry->seen != NULL) {
		last = am_object_ref(entry->seen);
		see(store, entry, NULL, rv);
		entry_settle(store, entry);
	}
	am_unlock(&store->lock);
	if (last != NULL)
		tell(fn, arg, last, NULL, false, true);
	am_object_unref(last);
}

void
am_store_touch(struct am_store *store, const char *ns, const char *name)
{
	struct entry *entry;

	am_lock(&store->lock);
	entry = entry_get(store, ns, name);
	if (entry != NULL)
		entry->mark = store->mark;
	am_unlock(&store->lock);
}

void
am_store_replace_begin(struct am_store *store)
{
	am_lock(&store->lock);
	store->mark++;
	am_unlock(&store->lock);
}

static void
take(struct am_objects *objects, size_t *cap, const struct am_object *object)
{
	if (objects->count == *cap) {
		*cap = *cap != 0 ? 2 * *cap : 16;
		objects->items = am_xrealloc(objects->items, *cap, sizeof(struct am_object *));
	}
	objects->items[objects->count++] = am_object_ref(object);
}

void
am_store_replace_end(struct am_store *store, const char *rv, am_change_f *fn, void *arg)
{
	struct am_objects lost = { NULL, 0 };
	size_t cap = 0;
	const char *key;
	void *value;

	am_lock(&store->lock);
	for (size_t it = 0; am_map_next(store->entries, &it, &key, &value);) {
		struct entry *entry = value;

		if (entry->seen == NULL || entry->mark == store->mark)
			continue;
		take(&lost, &cap, entry->seen);
		see(store, entry, NULL, rv);
		entry_settle(store, entry);
	}
	/* A list older than what we have means that the history behind the API server was replaced. */
	bool reset = store->rv[0] != '\0' && am_rv_compare(rv, store->rv) != 0 && am_rv_compare(rv, store->rv) != 1;
	set_rv(store, rv);
	ahead_resolve(store, reset);
	am_unlock(&store->lock);
	for (size_t i = 0; i < lost.count; i++)
		tell(fn, arg, lost.items[i], NULL, false, true);
	am_objects_fini(&lost);
}

void
am_store_observe(struct am_store *store, const char *rv)
{
	am_lock(&store->lock);
	set_rv(store, rv);
	ahead_resolve(store, false);
	am_unlock(&store->lock);
}

void
am_store_replay(struct am_store *store, am_change_f *fn, void *arg)
{
	struct am_objects all = { NULL, 0 };
	size_t cap = 0;
	const char *key;
	void *value;

	am_lock(&store->lock);
	for (size_t it = 0; am_map_next(store->entries, &it, &key, &value);) {
		if (((struct entry *)value)->seen != NULL)
			take(&all, &cap, ((struct entry *)value)->seen);
	}
	am_unlock(&store->lock);
	for (size_t i = 0; i < all.count; i++)
		tell(fn, arg, NULL, all.items[i], true, false);
	am_objects_fini(&all);
}

/* ---- life and reading */

struct am_store *
am_store_new(struct am_clock *clock)
{
	struct am_store *store = am_xcalloc(1, sizeof(*store));

	am_lock_init(&store->lock, "store");
	store->clock = clock;
	store->entries = am_map_new_owning(entry_free);
	store->rv = am_xstrdup("");
	store->ns = am_xstrdup("");
	store->expiry = AM_FOREVER;
	(void)index_add(store, "", NULL);
	return store;
}

void
am_store_free(struct am_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < store->index_count; i++) {
		am_map_free(store->indexes[i].values);
		free(store->indexes[i].name);
		free(store->indexes[i].pointer);
	}
	free(store->indexes);
	am_map_free(store->entries);
	am_selector_free(store->labels);
	am_selector_free(store->fields);
	am_packer_free(store->packer);
	am_lock_fini(&store->lock);
	free(store->rv);
	free(store->ns);
	free(store);
}

struct am_object *
am_store_get(struct am_store *store, const char *ns, const char *name)
{
	struct am_object *object = NULL;
	struct entry *entry;

	am_lock(&store->lock);
	expire(store);
	entry = entry_get(store, ns, name);
	if (entry != NULL && entry->visible != NULL)
		object = am_object_ref(entry->visible);
	am_unlock(&store->lock);
	if (object == NULL)
		return NULL;
	struct am_object *open = am_object_open(object);
	am_object_unref(object);
	return open;
}

/* Keeps those that match, opened where their text is wanted. */
static void
sieve(const struct am_store_query *query, struct am_objects *objects)
{
	size_t kept = 0;

	for (size_t i = 0; i < objects->count; i++) {
		bool here = am_empty(query->ns) || strcmp(objects->items[i]->ns, query->ns) == 0;
		bool open = query->selector != NULL || !query->names;
		struct am_object *object = !here ? NULL : open ? am_object_open(objects->items[i]) : am_object_ref(objects->items[i]);

		am_object_unref(objects->items[i]);
		if (here && am_selector_match(query->selector, object))
			objects->items[kept++] = object;
		else
			am_object_unref(object);
	}
	objects->count = kept;
}

int
am_store_list(struct am_store *store, const struct am_store_query *query, struct am_objects *ret,
	      struct ambient_error *err)
{
	struct index *index = NULL;
	const struct am_map *from;
	size_t cap = 0;
	const char *key;
	void *value;

	*ret = (struct am_objects){ NULL, 0 };
	am_lock(&store->lock);
	if (query->index != NULL || !am_empty(query->ns))
		index = index_find(store, query->index != NULL ? query->index : "");
	if (query->index != NULL && (index == NULL || index->pointer == NULL)) {
		am_unlock(&store->lock);
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "there is no index \"%s\"", query->index);
	}
	expire(store);
	from = store->entries;
	if (index != NULL)
		from = am_map_get(index->values, query->index != NULL ? (query->value != NULL ? query->value : "") : query->ns);
	for (size_t it = 0; from != NULL && am_map_next(from, &it, &key, &value);) {
		if (((struct entry *)value)->visible != NULL)
			take(ret, &cap, ((struct entry *)value)->visible);
	}
	am_unlock(&store->lock);
	sieve(query, ret);
	return 0;
}

void
am_objects_fini(struct am_objects *objects)
{
	for (size_t i = 0; i < objects->count; i++)
		am_object_unref(objects->items[i]);
	free(objects->items);
	*objects = (struct am_objects){ NULL, 0 };
}

size_t
am_store_count(struct am_store *store)
{
	size_t n;

	am_lock(&store->lock);
	n = store->count;
	am_unlock(&store->lock);
	return n;
}

size_t
am_store_bytes(struct am_store *store)
{
	size_t n;

	am_lock(&store->lock);
	n = store->bytes;
	am_unlock(&store->lock);
	return n;
}

void
am_store_rv(struct am_store *store, char *buf, size_t size)
{
	am_lock(&store->lock);
	(void)am_strlcpy(buf, store->rv, size);
	am_unlock(&store->lock);
}
