/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache.  An object is the JSON text that the API server sent, without metadata.managedFields, immutable and
 * reference counted, once per process.  A store holds the objects of one kind; a reflector keeps it equal to the API
 * server (list, then watch); an informer is both, shared by everybody who asks for the same kind and selection, with
 * subscribers that are told which object changed.
 *
 * Threads: objects and stores may be used on any thread.  Reflectors run on the I/O thread only.  Informers may be
 * asked for on any thread; subscribers are called on the I/O thread and must not block.
 */
#ifndef AM_CACHE_CACHE_H
#define AM_CACHE_CACHE_H

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/kube/io.h"

/* ---- objects */

struct am_object {
	/* All borrowed from the object itself; strings are NUL-terminated, "" when absent. */
	struct am_slice json;        /* passed am_json_check */
	const char *ns, *name, *uid, *rv;
	int64_t generation;          /* 0: none */
};

/* Copies text.  -AMBIENT_E_INVALID for what is no JSON, has no metadata.name, or names with '/' or over 512 bytes. */
int am_object_new(const char *text, size_t n, struct am_object **ret, struct ambient_error *err);
/* The same of a text that passed am_json_check, with apiVersion and kind put in where it lacks them, as the items of a
 * list do.  May be NULL. */
int am_object_new_kind(const char *text, size_t n, const char *api_version, const char *kind, struct am_object **ret,
		       struct ambient_error *err);
struct am_object *am_object_ref(const struct am_object *object);
void am_object_unref(struct am_object *object);   /* NULL is fine */
/* Value of a label or annotation, malloc'ed; NULL when absent. */
char *am_object_label(const struct am_object *object, const char *key);
char *am_object_annotation(const struct am_object *object, const char *key);
bool am_object_deleting(const struct am_object *object); /* has a deletionTimestamp */

/* Orders two resource versions of one kind: -1, 0, 1.  Versions that are no numbers are equal or unordered (2). */
int am_rv_compare(const char *a, const char *b);

/* ---- selectors */

/* A label selector in Kubernetes' syntax ("a=b,c!=d,e in (x,y),f notin (z),g,!h") or a field selector ("/spec/x=v",
 * "metadata.name=v", "!="); immutable. */
struct am_selector;
int am_selector_labels(const char *text, struct am_selector **ret, struct ambient_error *err);
int am_selector_fields(const char *text, struct am_selector **ret, struct ambient_error *err);
void am_selector_free(struct am_selector *selector);
bool am_selector_match(const struct am_selector *selector, const struct am_object *object); /* NULL matches all */

/* ---- parts of objects; immutable */

struct am_projection;
/* "metadata", or JSON Pointers with commas between. */
int am_projection_parse(const char *text, struct am_projection **ret, struct ambient_error *err);
void am_projection_free(struct am_projection *projection);
/* Is what stands at that JSON Pointer kept, or a part of it? */
bool am_projection_keeps(const struct am_projection *projection, const char *pointer);

/* ---- stores */

/* One change, as subscribers and the store's watcher see it.  before NULL: new to us; after NULL: deleted. */
struct am_change {
	const char *ns, *name;
	const struct am_object *before, *after;
	bool initial;     /* part of a subscriber's or informer's first list */
	bool missed;      /* a deletion found by a relist: before may be older than the last state was */
};
typedef void am_change_f(void *arg, const struct am_change *change);

struct am_store;
/* clock is for the expiry of tombstones. */
struct am_store *am_store_new(struct am_clock *clock) am_nodiscard_;
void am_store_free(struct am_store *store);

/* An index: objects by the value at a JSON Pointer, where a "*" step means every element or member, and an array at
 * the end counts as each of its elements.  Strings, numbers and booleans have values.  May be added at any time;
 * -AMBIENT_E_EXISTS when the name has another pointer. */
int am_store_add_index(struct am_store *store, const char *name, const char *pointer, struct ambient_error *err);

/* A reference, or NULL. */
struct am_object *am_store_get(struct am_store *store, const char *ns, const char *name);
struct am_store_query {
	const char *ns;                      /* NULL or "": all */
	const struct am_selector *selector;  /* NULL: all */
	const char *index, *value;           /* NULL: none */
	bool names;                          /* texts are not wanted: json of what is returned may be NULL */
};
struct am_objects {
	struct am_object **items;            /* references */
	size_t count;
};
/* -AMBIENT_E_UNSUPPORTED for an unknown index. */
int am_store_list(struct am_store *store, const struct am_store_query *query, struct am_objects *ret,
		  struct ambient_error *err);
void am_objects_fini(struct am_objects *objects);
size_t am_store_count(struct am_store *store);
size_t am_store_bytes(struct am_store *store);               /* of text, as it is held */
/* The resource version up to which the store is current; "" before the first list. */
void am_store_rv(struct am_store *store, char *buf, size_t size);

/*
 * The stores of one kind, read as one: a store of everything, or one for each namespace of a set.  Empty at first,
 * filled once, never changed afterwards; the stores are borrowed.  Any thread.
 */
struct am_stores;
struct am_stores_item {
	const char *ns;            /* NULL: everything; then it is the only item */
	struct am_store *store;
};
struct am_stores *am_stores_new(void) am_nodiscard_;
void am_stores_free(struct am_stores *stores);
void am_stores_fill(struct am_stores *stores, const struct am_stores_item *items, size_t count); /* copied */
/* Where the objects of that namespace are; NULL: nowhere, it is outside of the set. */
struct am_store *am_stores_of(const struct am_stores *stores, const char *ns);
/* As am_store_get and am_store_list; outside of the set there is nothing.  A list of all is the union. */
struct am_object *am_stores_get(const struct am_stores *stores, const char *ns, const char *name);
int am_stores_list(const struct am_stores *stores, const struct am_store_query *query, struct am_objects *ret,
		   struct ambient_error *err);
size_t am_stores_count(const struct am_stores *stores);
size_t am_stores_bytes(const struct am_stores *stores);

/* Read your own writes.  The API server answered a write with this object: readers see it from now on, until the
 * watch has caught up.  Ignored when the store already is past it. */
void am_store_written(struct am_store *store, const struct am_object *object);
/* The API server confirmed that the object with that uid (NULL: any) is gone: readers see no object from now on, until
 * the watch shows its deletion or another uid, for at most 30 s. */
void am_store_deleted(struct am_store *store, const char *ns, const char *name, const char *uid);

/* ---- reflectors: the I/O thread only */

struct am_reflector;
enum am_reflector_state {
	AM_REFLECTOR_STOPPED, AM_REFLECTOR_LISTING, AM_REFLECTOR_WATCHING, AM_REFLECTOR_BACKOFF,
	AM_REFLECTOR_FORBIDDEN, /* backing off after 401 or 403 */
	AM_REFLECTOR_MISSING,   /* the API server has no such kind; looks again from time to time */
};
struct am_reflector_options {
	const char *path;                 /* "/api/v1/namespaces/NS/pods" */
	const char *api_version;          /* "apps/v1" */
	const char *selector, *field;     /* sent to the API server; NULL: none */
	int page_size;                    /* 0: 500; negative: no pages.  Given: also for lists at a resource version */
	int64_t watch_min_ns;             /* a watch lasts min to 2 * min; 0 or under 5 min: 5 min */
	const char *only;                 /* as in am_informer_spec; NULL: all of each object */
	bool stream;                      /* ask for whole lists as the beginning of a watch, where the API server can */
	int64_t internal_retry_ns;        /* how long a watch that ends in 500 InternalError is repeated; 0: not at all */
	am_change_f *change;              /* each change in order, on the I/O thread; may be NULL */
	void (*synced)(void *arg);        /* a list was delivered completely: each time; may be NULL */
	void *arg;
};
struct am_reflector_status {
	enum am_reflector_state state;
	uint64_t lists, watches, events, skipped; /* requests started; events taken; objects that could not be read */
	int64_t since;                    /* boot time of the last change of state */
	char error[256];                  /* the last trouble; "" after a success */
	char kind[128];                   /* "Pod", learnt from the list; "" before */
};
struct am_reflector *am_reflector_new(struct am_io *io, struct am_store *store, const struct am_reflector_options *options);
void am_reflector_start(struct am_reflector *reflector);
void am_reflector_stop(struct am_reflector *reflector);     /* may be started again: continues where it was */
void am_reflector_free(struct am_reflector *reflector);     /* stops it */
void am_reflector_status(const struct am_reflector *reflector, struct am_reflector_status *ret);
/* Looks again at once, when it waits because the kind is missing or forbidden. */
void am_reflector_retry(struct am_reflector *reflector);

/* In words, for status pages: "watching", "backing off". */
const char *am_reflector_state_name(enum am_reflector_state state);

/* ---- informers */

struct am_informers;  /* the set of one API server */
struct am_informer;
struct am_subscription;
struct am_informer_spec {
	const char *kind;     /* "v1/pods" */
	const char *ns;       /* NULL or "": all namespaces */
	const char *selector; /* label selector, NULL: all */
	const char *field;    /* field selector, NULL: all */
	/* What is kept of each object besides apiVersion, kind and metadata.  NULL: all; "metadata": nothing, and the API
	 * server is asked for no more; or JSON Pointers with commas between, "/spec/size,/status/phase", where a "*" step is
	 * every element or member. */
	const char *only;
};
struct am_informers_options {
	bool stream;          /* ask for lists as the beginning of a watch */
	bool packed;          /* keep texts compressed where there are many: a third of the memory, a microsecond for each read */
};

struct am_informers *am_informers_new(struct am_io *io) am_nodiscard_;
/* Of informers that are made from now on; at first all is off. */
void am_informers_configure(struct am_informers *informers, const struct am_informers_options *options);
void am_informers_free(struct am_informers *informers);     /* every informer must have been put back */
/* The informer of that kind and selection, made and started when it is the first.  Each get needs one put. */
int am_informer_get(struct am_informers *informers, const struct am_informer_spec *spec, struct am_informer **ret,
		    struct ambient_error *err);
void am_informer_put(struct am_informer *informer);         /* the last one stops it; waits for the I/O thread */
struct am_store *am_informer_store(struct am_informer *informer); /* as long as the informer is held */
const char *am_informer_kind(const struct am_informer *informer); /* "v1/pods" */
/* What it selects of the kind: "" for all, else namespace, labels, fields and "only=PARTS", with blanks between. */
const char *am_informer_selection(const struct am_informer *informer);
/* The first list has been stored and told to every subscriber of that time. */
bool am_informer_has_synced(const struct am_informer *informer);
void am_informer_status(struct am_informer *informer, struct am_reflector_status *ret);
/* "Pod" as soon as a list said so, else "". */
void am_informer_object_kind(struct am_informer *informer, char buf[128]);
/* am_reflector_retry for all of them.  The I/O thread only. */
void am_informers_retry(struct am_informers *informers);
/* Tells fn of every object that is there (initial), then of each change.  fn is called on the I/O thread. */
struct am_subscription *am_informer_subscribe(struct am_informer *informer, am_change_f *fn, void *arg);
/* fn is not running and will not be called again when this returns.  Before am_informer_put. */
void am_informer_unsubscribe(struct am_subscription *subscription);
/* Everything of the informer's first list has been told to this subscriber. */
bool am_subscription_has_synced(const struct am_subscription *subscription);
/* Blocks until that is so: 0, -AMBIENT_E_TIMEOUT (the message says what the informer waits for), CANCELLED. */
int am_subscription_wait(struct am_subscription *subscription, int64_t deadline, const int32_t *cancelled,
			 struct ambient_error *err);
/* For the status page: each informer with its user count.  Not on the I/O thread. */
void am_informers_each(struct am_informers *informers,
		       void (*fn)(void *arg, struct am_informer *informer, int users), void *arg);

#endif
