/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The back half of the standalone API server, as the HTTP half sees it: one generic engine over a table of
 * resources.  It owns storage (SQLite, one writer thread with group commit), everything in memory, the rules of
 * the verbs, admission of the builtin kinds, schemas of custom resources, watch history, garbage collection,
 * namespaces and custom resource definitions.  It knows nothing of HTTP but status codes.
 *
 * Invariants: a write that was answered with success is durable and visible to every later read; resource
 * versions grow strictly over the life of the database; a watcher misses nothing and sees nothing twice, or is
 * told that it fell behind.  Objects are immutable JSON texts with a reference count; numbers keep the text
 * that they came as.
 *
 * Threads: every function here may be called from any thread.  The verbs (am_engine_write and friends) block until
 * the disk has answered; get, list and watch_next never touch the disk.  No function here calls back while it
 * holds a lock, except where said.
 */
#ifndef AM_APISERVER_ENGINE_H
#define AM_APISERVER_ENGINE_H

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/data/node.h"

struct am_engine;

/* ---- life ---- */

struct am_engine_options {
	const char *dir;           /* exists, 0700; holds state.db */
	struct am_clock *clock;    /* NULL: the real one */
	const char *node_name;     /* spec.nodeName that pods get; NULL: "standalone" */
	bool survive_process_only; /* synchronous=NORMAL: the last writes may be lost when the power goes */
	size_t ring;               /* events kept per resource in memory; 0: 4096 */
	int64_t log_rows;          /* history kept on disk at least; 0: 10000 */
	int64_t event_ttl_ns;      /* 0: one hour */
	const char *key_file;      /* see seal.h; NULL: nothing is encrypted */
	const char *const *encrypted; /* "secrets", "widgets.example.com" ..., ended by NULL, kept; NULL: secrets */
	int64_t quota;             /* bytes that the database may use; 0: what the disk gives */
	/* Told, on the writer thread, when space is exceeded, and when it is there again. */
	void (*space_changed)(void *arg, bool exceeded);
	void *space_arg;
	size_t pack_from;          /* objects of a resource from which on those that nobody reads are kept packed; 0: 96 */
	int64_t wait_ns;           /* how long a resource version that is still to come is waited for; 0: 3 s */
	/* Told, with a lock held, after the wake of one watch or of many was called. */
	void (*woken)(void *arg);
	void *woken_arg;
	bool no_janitor;           /* tests: no garbage collection thread, see am_engine_janitor_run */
};

/* Makes or opens the database, loads it, creates what must exist (the four namespaces), starts the writer and
 * the janitor.  A database of a newer version or of something else is refused with a sentence. */
int am_engine_open(const struct am_engine_options *options, struct am_engine **ret, struct ambient_error *err);
/* Writes what is queued, ends the threads.  Every watch must have been closed, every object released before. */
void am_engine_close(struct am_engine *engine);
/* 0 while it can write; else the reason, e.g. a full disk. */
int am_engine_healthy(struct am_engine *engine, struct ambient_error *err);

/* ---- why a request was refused: all that a Status needs ---- */

struct am_cause {
	const char *reason; /* static: "FieldValueRequired" ... */
	char *message;
	char *field;        /* "spec.repos[0].url" */
};

/* Zero-initialised is "no failure".  Owned by the caller, freed by am_failure_fini. */
struct am_failure {
	int code;             /* HTTP status, 0 while unset */
	char reason[40];      /* may be empty (see POST with resourceVersion) */
	char *message;
	char *kind;           /* the plural, or the Kind for Invalid; NULL: no details */
	char *group, *name, *uid;
	int retry_after;      /* seconds, 0: none */
	char *cont;           /* metadata.continue of an expired list */
	struct am_cause *causes;
	size_t n_causes;
};

struct am_resource;

void am_failure_fini(struct am_failure *failure); /* usable again afterwards */
/* All return -AMBIENT_E_* that fits the code, and replace what was there. */
int am_fail(struct am_failure *failure, int code, const char *reason, const char *fmt, ...) am_printf_(4, 5);
int am_fail_on(struct am_failure *failure, int code, const char *reason, const struct am_resource *res,
	       const char *name, const char *fmt, ...) am_printf_(6, 7);
int am_fail_not_found(struct am_failure *failure, const struct am_resource *res, const char *name);
/* Collects field errors; am_fail_invalid turns them into one 422.  reason as in struct am_cause. */
void am_failure_cause(struct am_failure *failure, const char *reason, const char *field, const char *fmt, ...)
	am_printf_(4, 5);
/* message: "Kind.group "name" is invalid: <cause>" or "[a, b]"; kind, group are the Kind's. */
int am_fail_invalid(struct am_failure *failure, const char *kind, const char *group, const char *name);
/* The Status document. */
void am_failure_status(const struct am_failure *failure, struct am_buf *out);

/* ---- the table of resources ---- */

enum {
	AM_RES_NAMESPACED = 1 << 0,
	AM_RES_STATUS = 1 << 1,     /* has /status */
	AM_RES_SCALE = 1 << 2,      /* has /scale */
	AM_RES_CUSTOM = 1 << 3,     /* of a CustomResourceDefinition */
	AM_RES_PREFERRED = 1 << 4,  /* this version is the group's preferred one */
	AM_RES_STORAGE = 1 << 5,    /* the version that bodies are kept in */
	AM_RES_NO_DELETECOLLECTION = 1 << 6,
	AM_RES_READ_DELETE = 1 << 7 /* its definition is being deleted: get, list, watch, delete only */
};

struct am_column {
	const char *name, *type, *format, *description, *path; /* path: JSON path with a leading dot */
	int priority;
};

struct am_store; /* the objects of one group and plural */

/* One served group, version and plural.  Immutable; counted for custom ones (am_resource_unref). */
struct am_resource {
	const char *group, *version, *plural, *singular, *kind, *list_kind; /* group: "" for the core */
	const char *const *short_names; /* ended by NULL; or NULL */
	const char *const *categories;  /* ended by NULL; or NULL */
	const char *const *selectable;  /* JSON paths of field selectors beyond metadata.*, ended by NULL; or NULL */
	uint32_t flags;
	const struct am_column *columns; /* custom resources only; the HTTP half knows the builtin ones */
	size_t n_columns;
	const char *schema;             /* custom: text of openAPIV3Schema, for /openapi/v3; else NULL */
	const char *deprecation;        /* custom: what clients of this version are told; NULL: nothing */
	const char *scale_spec, *scale_status, *scale_selector; /* paths of /scale, or NULL */
	struct am_store *store;
	struct am_resource_priv *priv;
};

/* NULL when it is not served; release with am_resource_unref. */
const struct am_resource *am_engine_resource(struct am_engine *engine, const char *group, const char *version,
					     const char *plural);
/* By kind, e.g. for ownerReferences or a Scale target. */
const struct am_resource *am_engine_resource_of_kind(struct am_engine *engine, const char *group, const char *version,
						     const char *kind);
const struct am_resource *am_resource_ref(const struct am_resource *res);
void am_resource_unref(const struct am_resource *res); /* NULL is fine */
/* Everything served, ordered by group ("" first), version (most preferred first), plural.  Release with
 * am_resources_free.  *ret_generation (may be NULL) changes whenever the answer would. */
const struct am_resource **am_engine_resources(struct am_engine *engine, size_t *ret_n, uint64_t *ret_generation);
void am_resources_free(const struct am_resource **list, size_t n);
uint64_t am_engine_resources_generation(struct am_engine *engine);

/* ---- objects ---- */

struct am_object {
	_Atomic(uint32_t) refs;
	uint64_t rv;
	const char *ns, *name, *uid; /* ns "" for cluster-scoped ones */
	const char *body;            /* JSON, compact, with apiVersion, kind and metadata.resourceVersion; NUL behind.  NULL: packed */
	size_t len;
	/* The engine's own. */
	uint64_t stamp;              /* the same for an object and its packed and opened copies, and for no other */
	const char *packed;
	struct am_dictionary *dictionary;
	uint32_t packed_n;
	uint64_t label_bits;         /* of a packed one: which labels it may have */
	int64_t id, mtime;           /* row; wall time of the last write */
	uint32_t rv_at, rv_len;      /* where resourceVersion was put into body */
	uint32_t flags;
	uint32_t n_labels, n_owners;
	const char *const *labels;   /* key, value, key, value ... decoded; of a packed one none */
	const struct am_owner_ref *owners;
};

struct am_object *am_object_ref(struct am_object *object);
void am_object_unref(struct am_object *object); /* NULL is fine */
/* A reference to the object with its text: itself, or a copy of one that is kept packed.  NULL only for NULL. */
struct am_object *am_object_open(const struct am_object *object) am_nodiscard_;
struct am_object *am_object_opened(struct am_object *object) am_nodiscard_; /* the same; takes the reference */
void am_object_add_text(const struct am_object *object, struct am_buf *out); /* appended; packed or not */
/* Of one that is open. */
static inline struct am_slice
am_object_text(const struct am_object *object)
{
	am_assert(object->body != NULL);
	return am_slice(object->body, object->len);
}
/* Appends the object as this version of its resource shows it.  For the storage version a plain copy. */
void am_object_print(const struct am_object *object, const struct am_resource *res, struct am_buf *out);

/* ---- reading ---- */

uint64_t am_engine_rv(struct am_engine *engine);                       /* of the last committed write */
/* Revision of the last change of any object of that group and plural: lets a reader keep a derived table. */
uint64_t am_engine_store_rv(struct am_engine *engine, const char *group, const char *plural);
/* The object, open, or NULL; ns NULL or "" for cluster-scoped.  The caller's reference. */
struct am_object *am_engine_peek(struct am_engine *engine, const char *group, const char *plural, const char *ns,
				 const char *name);
struct am_object *am_engine_by_uid(struct am_engine *engine, const char *uid);
/* resource_version: the query's text or NULL.  NULL with failure (404, 400, 504 after 3 s). */
struct am_object *am_engine_get(struct am_engine *engine, const struct am_resource *res, const char *ns,
				const char *name, const char *resource_version, struct am_failure *failure);

/* The query parameters as they came; NULL for absent ones. */
struct am_list_query {
	const char *label_selector, *field_selector;
	const char *resource_version, *resource_version_match, *cont;
	int64_t limit;              /* 0: none */
	int send_initial_events;    /* -1 absent, 0, 1 */
};

struct am_list {
	uint64_t rv;
	struct am_object **items;   /* each a reference of the list; packed or not */
	size_t n;
	char *cont;                 /* NULL: complete */
	int64_t remaining;          /* -1: not said */
};

/* ns NULL: all namespaces. */
int am_engine_list(struct am_engine *engine, const struct am_resource *res, const char *ns,
		   const struct am_list_query *query, struct am_list *list, struct am_failure *failure);
void am_list_fini(struct am_list *list);
/* Without a query: everything of a group and plural (RBAC tables, janitors). */
void am_engine_all(struct am_engine *engine, const char *group, const char *plural, const char *ns,
		   struct am_list *list);

/* ---- watching: pull cursors ---- */

enum am_event_type { AM_EVENT_ADDED, AM_EVENT_MODIFIED, AM_EVENT_DELETED, AM_EVENT_INITIAL_END };

struct am_event {
	enum am_event_type type;  /* INITIAL_END: sendInitialEvents is through; send the bookmark with the annotation */
	uint64_t rv;
	struct am_object *object; /* valid until the next call of am_watch_next or close; NULL for INITIAL_END */
};

struct am_watch;

/* Registers without a gap.  query->limit, cont are ignored.  wake is called (on the writer thread, with a lock
 * held: it may only note and signal) when something came after am_watch_next returned 0; once per such 0.
 * A resource version that is too old is no failure here: the first am_watch_next returns -AMBIENT_E_GONE. */
int am_engine_watch(struct am_engine *engine, const struct am_resource *res, const char *ns,
		    const struct am_list_query *query, void (*wake)(void *arg), void *arg, struct am_watch **ret,
		    struct am_failure *failure);
/* 1: *event is filled.  0: nothing now.  -AMBIENT_E_GONE: too far behind (failure gets the Status 410 "too old
 * resource version"), or the resource is no longer served: end the stream.  One thread at a time per watch. */
int am_watch_next(struct am_watch *watch, struct am_event *event, struct am_failure *failure);
/* All events up to this revision were handed out: what a bookmark may promise. */
uint64_t am_watch_rv(struct am_watch *watch);
/* Blocks until an event is there, at most until deadline (boot time); for callers with a thread of their own.
 * false: deadline. */
bool am_watch_wait(struct am_watch *watch, int64_t deadline);
/* After it returns, wake is not called any more. */
void am_watch_close(struct am_watch *watch);

/* ---- writing ---- */

enum am_verb { AM_VERB_CREATE, AM_VERB_UPDATE, AM_VERB_PATCH };
enum am_patch_kind { AM_PATCH_NONE, AM_PATCH_JSON, AM_PATCH_MERGE, AM_PATCH_STRATEGIC, AM_PATCH_APPLY };
enum am_field_validation { AM_FIELDS_WARN, AM_FIELDS_STRICT, AM_FIELDS_IGNORE };

/* A last word before the write is stored, on the finished object: the HTTP half's escalation guard.  old is NULL
 * for a create.  Called on the caller's thread, possibly several times. */
typedef int am_guard_f(void *arg, const struct am_node *old, const struct am_node *object, struct am_failure *failure);

struct am_write {
	enum am_verb verb;
	const struct am_resource *res;
	const char *ns, *name;      /* of the URL; name NULL for a create on the collection */
	const char *subresource;    /* NULL, "status", "scale", "finalize" (Namespace) */
	struct am_slice body;       /* JSON: the object or the patch (apply: YAML already turned into JSON) */
	enum am_patch_kind patch;
	enum am_field_validation fields;
	bool dry_run, force;
	const char *field_manager;  /* NULL: none given */
	const char *agent;          /* who writes when there is no field manager: the User-Agent's product; or NULL */
	const char *through;        /* a subresource that is mapped to the main one: "scale"; or NULL */
	const char *user;           /* for the records */
	am_guard_f *guard;
	void *guard_arg;
};

/* What came of a write or a delete.  Release with am_written_fini. */
struct am_written {
	int code;                  /* 200, 201, 202 */
	struct am_object *object;  /* as stored, or as it would be (dry run; then rv 0: no resourceVersion in it) */
	bool gone;                 /* delete: removed at once, object is its last state */
	char *scale;               /* subresource scale: the Scale to answer with */
	char **warnings;           /* texts for Warning headers */
	size_t n_warnings;
};

int am_engine_write(struct am_engine *engine, const struct am_write *write, struct am_written *written,
		    struct am_failure *failure);
/* GET of /scale. */
int am_engine_scale(struct am_engine *engine, const struct am_resource *res, const char *ns, const char *name,
		    struct am_buf *out, struct am_failure *failure);

enum am_propagation { AM_PROPAGATION_DEFAULT, AM_PROPAGATION_BACKGROUND, AM_PROPAGATION_FOREGROUND,
		      AM_PROPAGATION_ORPHAN };

struct am_delete_options {
	int64_t grace;             /* -1: not given */
	const char *uid, *resource_version; /* preconditions or NULL */
	enum am_propagation propagation;
	bool dry_run;
	const char *user;
};

/* From the text of a DeleteOptions (any group's); options' strings live in arena.  422, 400 as the API says. */
int am_delete_options_parse(struct am_arena *arena, struct am_slice body, struct am_delete_options *options,
			    struct am_failure *failure);
int am_engine_delete(struct am_engine *engine, const struct am_resource *res, const char *ns, const char *name,
		     const struct am_delete_options *options, struct am_written *written, struct am_failure *failure);
/* Deletes what the query selects, one by one; *deleted gets the objects. */
int am_engine_delete_collection(struct am_engine *engine, const struct am_resource *res, const char *ns,
				const struct am_list_query *query, const struct am_delete_options *options,
				struct am_list *deleted, struct am_failure *failure);
void am_written_fini(struct am_written *written);

/* ---- upkeep; the janitor thread does these by itself ---- */

/* Works until nothing is left to do now (tests: with no_janitor).  Returns how many steps it took. */
size_t am_engine_janitor_run(struct am_engine *engine);
/* Fills the rules of ClusterRoles with an aggregationRule; how many changed.  The janitor does it after each change. */
size_t am_engine_aggregate(struct am_engine *engine);
/* Trims history now, down to the configured rows (tests, and row 71's forced compaction: keep = 0). */
int am_engine_compact(struct am_engine *engine, int64_t keep_rows, struct ambient_error *err);

/* Makes the reserve for a full disk, or looks whether there is space again. */
void am_engine_look(struct am_engine *engine);

struct am_engine_stats {
	uint64_t objects, watches, commits, writes, events_dropped;
	uint64_t rv, compacted;
};
void am_engine_stats(struct am_engine *engine, struct am_engine_stats *stats);

#endif
