/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine's files share.  Two locks, taken in this order and never held over disk work or callbacks
 * other than am_watch's wake:
 *   engine->lock    everything in memory: stores, rings, watches, registry, the janitor's queue
 *   writer->lock    the queue of operations
 * Only the writer thread changes stores and the registry, stores only after its transaction has committed; so
 * it may read them without the lock, and everybody else sees nothing that is not durable.
 */
#ifndef AM_APISERVER_ENGINE_PRIV_H
#define AM_APISERVER_ENGINE_PRIV_H

#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/data/pack.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema.h"

#define AM_OBJECT_MAX (1536 * 1024) /* as etcd's request limit */
#define AM_RING_AGE   (300 * AM_NS_PER_S) /* of events in memory: what kube-apiserver leaves between two compactions */
#define AM_RING_KEEP  64                  /* events of a resource that stay, however old */
#define AM_RING_BYTES (2 << 20)           /* of a resource's events, beyond those that a watch still has before it */

/* am_object.flags */
enum { AM_OBJ_DELETING = 1, AM_OBJ_FINALIZERS = 2, AM_OBJ_FOREGROUND = 4, AM_OBJ_ORPHAN = 8 };

struct am_owner_ref {
	const char *uid, *api_version, *kind, *name;
	bool block;
};

/* ---- object.c ---- */

/* raw: without resourceVersion.  rv 0: none is put in.  NULL: out of memory, or raw is no object. */
struct am_object *am_object_new(const char *raw, size_t n, uint64_t rv, int64_t id, int64_t mtime) am_nodiscard_;
void am_object_raw(const struct am_object *object, struct am_buf *out);
struct am_object *am_object_with_rv(const struct am_object *object, uint64_t rv) am_nodiscard_;
/* A packed copy of an open object; NULL: it is not worth it, or not yet. */
struct am_object *am_object_pack(struct am_packer *packer, size_t present, const struct am_object *object) am_nodiscard_;
const char *am_object_label(const struct am_object *object, const char *key);
/* Bits that label_bits has if there is such a label; value NULL: of any value. */
uint64_t am_label_bits(const char *key, const char *value);
int am_key_cmp(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b);

/* ---- selector.c ---- */

struct am_selector; /* labels and fields of one request; NULL selects everything */

/* A text that is NULL or "" selects everything.  400 on a syntax error or an unsupported field. */
int am_selector_parse(const struct am_resource *res, const char *labels, const char *fields,
		      struct am_selector **ret, struct am_failure *failure);
void am_selector_free(struct am_selector *selector);
bool am_selector_match(const struct am_selector *selector, const struct am_object *object);

/* ---- resources.c, registry.c ---- */

struct am_kind; /* admission of a builtin kind, see admission.h */

struct am_resource_priv {
	_Atomic(uint32_t) refs;
	struct am_arena *arena;            /* holds all of it */
	struct am_schema_set *set;
	const struct am_schema *schema;    /* custom: compiled */
	const char *spec, *names;          /* custom: the definition's spec and accepted names, to see whether they changed */
	const struct am_kind *kind;        /* builtin: rules; NULL: none of its own */
	const struct am_event_view *view;
	bool narrows;                      /* custom: objects are stored by another schema, and pruned to show them */
	bool generation;                   /* counts metadata.generation */
	bool unconditional;                /* PUT without resourceVersion is allowed */
	bool create_on_update;
	bool create_status;                /* a create may bring its status */
	const char *const *field_paths;    /* JSON pointers parallel to selectable; NULL: dots become slashes */
};

struct am_ring_event {
	uint64_t rv;
	uint8_t type;                      /* enum am_event_type */
	struct am_object *object, *old;    /* old: NULL when selectors see it as they see object */
};

struct am_ring {
	struct am_ring_event *events;
	size_t cap, room;                  /* events at most, and places for them now */
	uint64_t head, tail;               /* sequence numbers: events tail..head-1 are there */
	uint64_t floor;                    /* events with rv <= floor are not, or not all, there */
	size_t bytes, fit_at;              /* what their texts take; from how much on the next am_ring_fit is worth its while */
	uint64_t packed;                   /* events in front of it have been looked at by am_store_pack */
};

/* ---- sorted.c ---- */

struct am_sorted;
struct am_cursor {
	size_t leaf, at;
};

struct am_sorted *am_sorted_new(void);
struct am_sorted *am_sorted_ref(struct am_sorted *s); /* engine->lock held; what it is good for then needs no lock */
void am_sorted_unref(struct am_sorted *s);            /* NULL is fine */
size_t am_sorted_count(const struct am_sorted *s);
struct am_cursor am_sorted_seek(const struct am_sorted *s, const char *ns, const char *name, bool after);
struct am_object *am_sorted_next(const struct am_sorted *s, struct am_cursor *c); /* borrowed; NULL: that was all */
size_t am_sorted_rank(const struct am_sorted *s, struct am_cursor c);             /* how many are before it */
struct am_object *am_sorted_peek(const struct am_sorted *s, const char *ns, const char *name); /* borrowed */
/* Puts, replaces or (object NULL) removes.  Takes the reference of object; the one of what was there is returned. */
struct am_object *am_sorted_put(struct am_sorted **at, const char *ns, const char *name, struct am_object *object);

struct am_store {
	struct am_engine *engine;
	char *group, *plural;
	int64_t id;                        /* in the database; never used again */
	uint64_t rv;                       /* of the last change */
	struct am_sorted *objects;
	struct am_ring ring;
	struct am_watch *watches;
	struct am_packer *packer;          /* the writer thread's */
	size_t rest;                       /* leaf of objects from which on some may still have to be packed; SIZE_MAX: none */
	const struct am_resource **versions; /* served now; each a reference */
	size_t n_versions;
	const struct am_resource *storage; /* a reference; NULL: no definition (left over rows) */
	bool namespaced, refusing;         /* refusing: the definition is being deleted */
	struct am_store *next;
};

void am_registry_maps(struct am_engine *engine);
int am_registry_init(struct am_engine *engine, struct ambient_error *err); /* before the threads run */
void am_registry_fini(struct am_engine *engine);
struct am_store *am_store_find(struct am_engine *engine, const char *group, const char *plural);
struct am_store *am_store_add(struct am_engine *engine, const char *group, const char *plural, int64_t id);
/* Takes the references and the array.  Custom resources come and go with their definition. */
void am_registry_set(struct am_store *store, const struct am_resource **versions, size_t n,
		     const struct am_resource *storage);
/* A reference to the version that bodies are kept in, or NULL.  Takes the lock. */
const struct am_resource *am_store_storage(struct am_store *store);
int am_version_cmp(const char *a, const char *b); /* the preferred one first */

/* ---- store.c: engine->lock held ---- */

struct am_object *am_store_peek(const struct am_store *store, const char *ns, const char *name); /* borrowed */
/* Puts, replaces or (object NULL) removes; keeps indexes.  Takes the reference of object. */
void am_store_put(struct am_store *store, const char *ns, const char *name, struct am_object *object);
/* Puts a copy of an object, with the same metadata, in its place. */
void am_store_swap(struct am_store *store, const struct am_object *object, struct am_object *copy);
/* Dependents of an owner: borrowed entries, NULL when none. */
struct am_dependents {
	struct am_dependent {
		struct am_store *store;
		struct am_object *object;
	} *items;
	size_t n, cap;
};
const struct am_dependents *am_store_dependents(struct am_engine *engine, const char *owner_uid);
struct am_store_entry { /* by uid */
	struct am_store *store;
	struct am_object *object;
};
const struct am_store_entry *am_store_by_uid(struct am_engine *engine, const char *uid);

/* ---- ring.c, watch.c: engine->lock held ---- */

struct am_db_row;

void am_ring_init(struct am_ring *ring, size_t cap, uint64_t floor);
void am_ring_fini(struct am_ring *ring);
void am_ring_push(struct am_ring *ring, uint64_t rv, enum am_event_type type, struct am_object *object,
		  struct am_object *old);
/* From a row of the log, new: the object (NULL: it cannot be read), and what selectors saw before it, or NULL. */
struct am_object *am_log_object(const struct am_db_row *row);
struct am_object *am_log_old(const struct am_db_row *row);
/* Sequence of the first event after rv; false when some of them are gone. */
bool am_ring_seek(const struct am_ring *ring, uint64_t rv, uint64_t *ret);
void am_ring_forget(struct am_ring *ring, uint64_t upto);
/* Drops what was written before that wall time, but for the last keep; returns how many. */
size_t am_ring_expire(struct am_ring *ring, int64_t before, uint64_t keep);
/* Drops the oldest until the rest fits into AM_RING_BYTES, but none from the sequence `needed` on. */
void am_ring_fit(struct am_ring *ring, uint64_t needed);
struct am_ring_event *am_ring_at(const struct am_ring *ring, uint64_t sequence);
void am_watch_wake_all(struct am_store *store);
/* The first sequence of the ring that a watch still has before it. */
uint64_t am_watch_needed(const struct am_store *store);
/* The resource is not served any more: every watch of it ends. */
void am_watch_end_all(struct am_store *store);

/* ---- packing.c: the writer thread ---- */

/* Packs what every watch has read. */
void am_store_pack(struct am_store *store);
/* Packs what was loaded at the start, or came before there was a dictionary.  Any thread but the writer's, which does a part at a
 * time. */
void am_engine_pack_rest(struct am_engine *engine);

/* ---- list.c ---- */

int am_parse_rv(const char *text, uint64_t *ret, struct am_failure *failure); /* NULL, "" -> 0 */
/* 422 of ListOptions when the query's parameters contradict each other. */
int am_query_check(const struct am_list_query *query, bool watch, struct am_failure *failure);
/* Waits at most 3 s for that revision; 504 when it does not come, and at once when others wait. */
int am_wait_rv(struct am_engine *engine, uint64_t rv, struct am_failure *failure);

/* ---- db.c: the writer thread, or before it runs ---- */

struct am_db;

int am_db_open(const char *dir, bool full_sync, int64_t now_ns, struct am_db **ret, struct ambient_error *err);
void am_db_close(struct am_db *db);
/* Before anything is read: what is encrypted; both live as long as the database. */
struct am_seal;
void am_db_set_seal(struct am_db *db, const struct am_seal *seal, const char *const *resources);
/* After every resource is known: encrypts with the first key what is not; *ret_n rows. */
int am_db_reseal(struct am_db *db, size_t *ret_n, struct ambient_error *err);
uint64_t am_db_rv(const struct am_db *db);
uint64_t am_db_compacted(const struct am_db *db);
int am_db_begin(struct am_db *db, struct ambient_error *err);
int am_db_commit(struct am_db *db, uint64_t rv, struct ambient_error *err);
void am_db_rollback(struct am_db *db);
int am_db_res(struct am_db *db, const char *group, const char *plural, int64_t *ret_id, struct ambient_error *err);
struct am_db_row {
	int64_t id, res, mtime;
	uint64_t rv;
	const char *ns, *name;
	const void *body, *prev; /* raw; NULL: none */
	size_t len, prev_len;
	int op;                  /* enum am_event_type, log rows only */
};
/* Which shape the bodies of a resource have that were written behind a revision; UINT64_MAX: none has it for certain.
 * A shape is a number below 2^63. */
int am_db_mark(struct am_db *db, int64_t res, uint64_t shape, uint64_t rv, struct ambient_error *err);
uint64_t am_db_marked(struct am_db *db, int64_t res, uint64_t shape);
int am_db_insert(struct am_db *db, struct am_db_row *row, struct ambient_error *err); /* sets id */
int am_db_update(struct am_db *db, const struct am_db_row *row, struct ambient_error *err);
int am_db_delete(struct am_db *db, int64_t id, struct ambient_error *err);
int am_db_log(struct am_db *db, const struct am_db_row *row, struct ambient_error *err);
typedef int am_db_row_f(void *arg, const struct am_db_row *row, struct ambient_error *err);
int am_db_each_res(struct am_db *db, int (*fn)(void *arg, int64_t id, const char *group, const char *plural),
		   void *arg, struct ambient_error *err);
int am_db_each_object(struct am_db *db, am_db_row_f *fn, void *arg, struct ambient_error *err);
struct am_db_range {
	uint64_t after, upto;
	int64_t res;             /* 0: all */
};
int am_db_each_log(struct am_db *db, const struct am_db_range *range, am_db_row_f *fn, void *arg, struct ambient_error *err);
/* The revision behind which lie the last so many rows of the log; 0: there are not more. */
int am_db_log_start(struct am_db *db, size_t rows, uint64_t *ret, struct ambient_error *err);
/* Deletes at most `batch` of the oldest log rows as long as more than keep remain; *ret_left says if more would
 * go.  In a transaction of its own. */
int am_db_trim(struct am_db *db, int64_t keep, int64_t older_than_ns, int batch, bool *ret_left,
	       struct ambient_error *err);
/* Whether the last thing that failed since am_db_begin did so for want of space. */
bool am_db_full(const struct am_db *db);

/* ---- db_space.c: likewise ---- */

int64_t am_db_used(struct am_db *db); /* bytes, without what lies free in the file */
/* Makes sure that the file can grow by that much, before a transaction is begun. */
int am_db_room(struct am_db *db, size_t bytes, struct ambient_error *err);
void am_db_checkpoint(struct am_db *db, bool truncate);
/* Between two transactions: a checkpoint when much has been written since the last one. */
void am_db_breathe(struct am_db *db);
/* Gives back some of what lies free in the file when that is much. */
void am_db_vacuum(struct am_db *db);
/* Writes the whole file anew, so that nothing of what was deleted stays in it. */
int am_db_rewrite(struct am_db *db, struct ambient_error *err);
/* Sets aside what is written on when the disk is full.  No harm when it is there. */
int am_db_reserve_make(struct am_db *db, struct ambient_error *err);
/* From now on the reserve is written on. */
int am_db_reserve_open(struct am_db *db, struct ambient_error *err);

/* ---- space.c ---- */

struct am_op;

/* Why not everything is written any more. */
enum am_space { AM_SPACE_ENOUGH, AM_SPACE_QUOTA, AM_SPACE_DISK };

/* The writer thread, but for the last two. */
bool am_space_admits(struct am_engine *engine, const struct am_op *op);
/* Room for these operations; what is not admitted gets AM_OP_NO_SPACE. */
void am_space_prepare(struct am_engine *engine, struct am_op *const *batch, size_t n);
/* A transaction failed: true when it was for want of space, and it is worth trying again with what is admitted now. */
bool am_space_failed(struct am_engine *engine, const struct ambient_error *err);
/* Looks whether all is well (again); the janitor calls it now and then. */
void am_space_look(struct am_engine *engine);
/* The failure of what was not written. */
int am_fail_space(struct am_engine *engine, struct am_failure *failure);
int am_space_healthy(struct am_engine *engine, struct ambient_error *err); /* any thread */

/* ---- writer.c ---- */

enum am_op_kind { AM_OP_CREATE, AM_OP_UPDATE, AM_OP_DELETE, AM_OP_CALL };
enum am_op_result { AM_OP_DONE, AM_OP_RETRY, AM_OP_EXISTS, AM_OP_NO_NAMESPACE, AM_OP_NAMESPACE_ENDS, AM_OP_REFUSED,
		    AM_OP_NO_SPACE, AM_OP_FAILED };

/* One commit, on the stack of its caller until am_writer_run returns. */
struct am_op {
	enum am_op_kind kind;
	struct am_store *store;
	const char *ns, *name;
	struct am_object *old;    /* the caller's reference: what the decision was based on; NULL: absent */
	const char *raw;          /* the new text; for a delete the last state */
	size_t len;
	int (*call)(void *arg, struct ambient_error *err); /* CALL: runs on the writer thread, between batches */
	void *arg;
	/* answers */
	enum am_op_result result;
	struct am_object *object; /* the caller's reference afterwards */
	struct ambient_error err;
	/* the writer's */
	int64_t mtime;
	bool done;
	struct am_cond cond;
	struct am_op *with;       /* stored together with it, or not at all; NULL: none.  Not queued by itself */
	struct am_op *next;
};

struct am_writer;

struct am_writer *am_writer_new(struct am_engine *engine);
void am_writer_free(struct am_writer *writer); /* works off the queue, joins */
void am_writer_run(struct am_writer *writer, struct am_op *op);
/* Runs call between two batches; returns what it returned. */
int am_writer_call(struct am_writer *writer, int (*call)(void *arg, struct ambient_error *err), void *arg,
		   struct ambient_error *err);
int am_writer_healthy(struct am_writer *writer, struct ambient_error *err);

/* ---- the engine ---- */

struct am_engine {
	struct am_engine_options options;
	char *dir, *node_name;
	struct am_clock *clock;
	struct am_lock lock;
	struct am_cond changed;       /* rv grew */
	uint64_t rv;                  /* committed and published */
	uint64_t floor;               /* history begins after it */
	struct am_store *stores;
	struct am_map *store_map;     /* "group//plural" */
	struct am_map *resources;     /* "group/version/plural": what is served, each a reference */
	struct am_map *uids;          /* uid -> struct am_store_entry */
	struct am_map *owners;        /* owner uid -> struct am_dependents */
	uint64_t generation;          /* of the registry */
	struct am_store *namespaces, *crds, *events, *cluster_roles, *quotas;
	struct am_db *db;
	struct am_seal *seal;         /* NULL: nothing is encrypted */
	struct am_writer *writer;
	struct am_janitor *janitor;
	unsigned waiters;             /* for a revision that is still to come */
	uint64_t objects, watches, commits, writes, dropped;
	_Atomic(int) space;           /* enum am_space; changed by the writer thread */
	_Atomic(bool) unpacked;       /* some store has a rest to pack */
	unsigned emergency_events;    /* written since space is not enough; the writer thread's */
};

/* A revision was published: the janitor looks whether it means work.  engine->lock held, writer thread. */
void am_janitor_note(struct am_engine *engine, struct am_store *store, const struct am_object *old,
		     const struct am_object *object);
struct am_janitor *am_janitor_new(struct am_engine *engine);
void am_janitor_wake(struct am_janitor *janitor); /* the space has changed; takes the lock */
int am_janitor_start(struct am_janitor *janitor, struct ambient_error *err);
void am_janitor_stop(struct am_janitor *janitor);
void am_janitor_free(struct am_janitor *janitor);

int am_engine_trim(struct am_engine *engine, int64_t keep, int64_t age_ns, struct ambient_error *err);
/* Drops from memory the events that are older than AM_RING_AGE; who asks for them lists again. */
void am_engine_forget(struct am_engine *engine);
void am_engine_checkpoint(struct am_engine *engine, bool truncate);

/* ---- crd.c ---- */

/* Brings the registry to what this definition says, under those names (NULL: the accepted ones).  threads: the writer
 * runs; else while loading. */
int am_crd_register(struct am_engine *engine, const struct am_object *crd, const struct am_node *names, bool threads,
		    struct ambient_error *err);
int am_crd_unregister(struct am_engine *engine, const char *group, const char *plural, struct ambient_error *err);
bool am_crd_established(const struct am_object *crd);
/* Whether that condition has that status. */
bool am_crd_condition(const struct am_object *crd, const char *name, const char *wanted);

#endif
