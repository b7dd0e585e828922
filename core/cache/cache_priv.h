/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the cache: how the reflector feeds a store, and small readers that several files share. */
#ifndef AM_CACHE_CACHE_PRIV_H
#define AM_CACHE_CACHE_PRIV_H

#include "core/base/buf.h"
#include "core/cache/cache.h"
#include "core/data/pack.h"

/* The text of a scalar (a string's bytes, a number or boolean as written) appended to out; false for anything else. */
bool am_cache_scalar(struct am_slice value, struct am_buf *out);
/* fn for each scalar at pointer, where "*" steps fan out and a final array counts as its elements. */
void am_cache_each_value(struct am_slice json, const char *pointer, void (*fn)(void *arg, const char *value), void *arg);

/* ---- parts of objects */

#define AM_ONLY_METADATA "metadata"
/* object passed am_json_check. */
void am_projection_apply(const struct am_projection *projection, struct am_slice object, struct am_buf *out);

/* How a text becomes an object: what is put in where it lacks, and what is kept of it; each may be NULL. */
struct am_object_form {
	const char *api_version, *kind;
	const struct am_projection *projection;
	bool checked;                 /* the text, or one that it is a value of, passed am_json_check */
};
int am_object_new_form(const char *text, size_t n, const struct am_object_form *form, struct am_object **ret,
		       struct ambient_error *err);

/* ---- objects whose text is packed: only inside stores; json.p is NULL, json.n the length that it would have */

/* Another object with the same metadata and a packed text; a reference to the same one where packing is not for it. */
struct am_object *am_object_pack(struct am_packer *packer, size_t present, const struct am_object *object);
/* A reference to one with its text. */
struct am_object *am_object_open(const struct am_object *object);
size_t am_object_held(const struct am_object *object); /* bytes of text, packed or not */

/* ---- feeding a store: the I/O thread only.  Changes are told to fn after the store shows them. */

/* What objects of a store have to match; written objects that do not are hidden.  ns "" : any.  Takes the selectors. */
void am_store_set_filter(struct am_store *store, const char *ns, struct am_selector *labels, struct am_selector *fields);
/* Keeps texts packed from now on, while there are that many objects. */
void am_store_set_packed(struct am_store *store, size_t from);
/* An object that is there.  Same version as before: nothing happened. */
void am_store_upsert(struct am_store *store, const struct am_object *object, bool initial, am_change_f *fn, void *arg);
/* An object that is gone; last is its last state. */
void am_store_remove(struct am_store *store, const struct am_object *last, am_change_f *fn, void *arg);
/* A complete list: begin, upsert each, end; what was not upserted in between is gone.  begin again to start over. */
void am_store_replace_begin(struct am_store *store);
void am_store_replace_end(struct am_store *store, const char *rv, am_change_f *fn, void *arg);
/* The store is current up to rv: a bookmark, or after an event. */
void am_store_observe(struct am_store *store, const char *rv);
/* fn for each object as the watch has it; for a subscriber that comes late. */
void am_store_replay(struct am_store *store, am_change_f *fn, void *arg);

/* It is there, but what it is cannot be read: the list that is being merged has it. */
void am_store_touch(struct am_store *store, const char *ns, const char *name);
/* As remove, by name: of an object whose last state cannot be read. */
void am_store_remove_name(struct am_store *store, const char *ns, const char *name, const char *rv, am_change_f *fn, void *arg);

/* ---- objects that cannot be read */

struct am_salvage {
	char ns[256], name[256], rv[64]; /* "" : not found */
};
/* Looks in a text that need not be JSON for what the object in it is called.  False without a name. */
bool am_cache_salvage(const char *text, size_t n, struct am_salvage *ret);

/* ---- what the API server says when it refuses */

struct status {
	int code;             /* 410, ... */
	char reason[64];
	char message[256];
	bool too_large_rv;    /* the resource version asked for is not known yet */
};
void am_cache_status_parse(struct am_slice json, struct status *ret); /* json need not be JSON */

#endif
