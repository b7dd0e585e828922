/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host for unit tests of plugins: the tables of include/ambient/host.h over objects in memory, a clock that
 * only the test moves, and records of what the plugin wrote, said and asked for.  The plugin's objects are
 * linked into the test program, which finds its descriptor as ambient_plugin_v1.
 *
 * What it keeps of an API server: names are unique, uid, resourceVersion, generation and creationTimestamp are
 * set, a stale resourceVersion is a conflict, status and the rest are written apart, an object with finalizers
 * or (a pod on a node) with grace stays with a deletionTimestamp.  What it leaves out: schemas, defaults,
 * garbage collection, managed fields (apply merges objects and replaces lists; status() replaces /status).
 * Undeclared kinds and verbs are refused as the real host does, by the plugin's own declarations.
 * Any thread may use it.
 */
#ifndef TESTS_LIB_FAKE_HOST_H
#define TESTS_LIB_FAKE_HOST_H

#include <stdbool.h>

#include <ambient/ambient.h>

struct fake_host;

/* plugin: whose declarations hold; NULL: everything is allowed. */
struct fake_host *fake_host_new(const struct ambient_plugin *plugin);
void fake_host_free(struct fake_host *fake);

/* Before create.  state_dir is borrowed; conf is a JSON object in the shape of the plugin's options (strings in
 * the file's syntax for durations and sizes); facts are copied. */
void fake_host_set_state_dir(struct fake_host *fake, const char *dir);
void fake_host_set_conf(struct fake_host *fake, const char *json);
void fake_host_set_fact(struct fake_host *fake, const char *name, const char *value);
/* spawn runs programs for real.  To replace a sub-table, or to add one that the fake does not have (http), change
 * the members of the struct before create. */
struct ambient_host *fake_host_table(struct fake_host *fake);
const struct ambient_conf *fake_host_conf(struct fake_host *fake);

/* The plugin.  create fails the test when the plugin refuses; the others are its callbacks. */
void *fake_host_create(struct fake_host *fake);
void fake_host_destroy(struct fake_host *fake);                   /* stop and destroy */
/* One reconcile, as a worker would call it.  reconciler NULL: the only one.  result and err may be NULL. */
int fake_host_reconcile(struct fake_host *fake, const char *reconciler, const char *ns, const char *name,
			struct ambient_result *result, struct ambient_error *err);
/* A call by hand, for helpers that take one; owner may be NULL (kind "group/version/plural"). */
struct ambient_call *fake_host_call_begin(struct fake_host *fake, const char *owner_kind, const char *ns,
					  const char *name);
void fake_host_call_end(struct ambient_call *call);

/* The world outside the plugin.  put creates or replaces the whole object, status included, and fills in
 * what a server would; single quotes in json stand for double ones.  merge is an RFC 7386 patch of it. */
void fake_host_put(struct fake_host *fake, const char *kind, const char *json);
void fake_host_merge(struct fake_host *fake, const char *kind, const char *ns, const char *name, const char *patch);
void fake_host_remove(struct fake_host *fake, const char *kind, const char *ns, const char *name); /* at once */
bool fake_host_has(struct fake_host *fake, const char *kind, const char *ns, const char *name);
/* JSON text of the part at pointer, or NULL; a string is returned unquoted.  Valid until the next call of it
 * has been made 16 times. */
const char *fake_host_at(struct fake_host *fake, const char *kind, const char *ns, const char *name,
			 const char *pointer);
size_t fake_host_count(struct fake_host *fake, const char *kind, const char *ns);
/* The i-th by name, "ns/name"; NULL past the end. */
const char *fake_host_name(struct fake_host *fake, const char *kind, const char *ns, size_t i);

/* A cache that is behind: remember keeps the store as it is now, and while lag is on, reads of the cache (not live ones,
 * not writes) answer from that, own writes included, as in a daemon that has just started. */
void fake_host_remember(struct fake_host *fake);
void fake_host_lag(struct fake_host *fake, bool on);

/* The next `times` client calls of verb ("get", "create", "update", "patch", "delete", "apply", "status"; "*":
 * any) on kind ("*": any) fail with code. */
void fake_host_fail(struct fake_host *fake, const char *verb, const char *kind, int code, int times);
/* How many client calls of that verb were made and reached the store; no-ops of apply and status count under
 * "noop". */
size_t fake_host_calls(struct fake_host *fake, const char *verb, const char *kind);
/* The last event with that reason as "Warning Reason ns/name text", or NULL; how many there were. */
const char *fake_host_event(struct fake_host *fake, const char *reason);
size_t fake_host_events(struct fake_host *fake, const char *reason);
/* All log lines so far, each "level text\n". */
const char *fake_host_log(struct fake_host *fake);
/* Takes the oldest request of ambient_enqueue: "reconciler ns/name delay_ms"; NULL when there is none. */
const char *fake_host_queued(struct fake_host *fake);
/* The runner plan that runner_plan answers: a fragment, or (when not NULL) problems. */
void fake_host_set_plan(struct fake_host *fake, const char *type, const char *fragment, const char *problems);

/* boot starts at 1,000 s, wall at 2026-01-01T00:00:00Z. */
void fake_host_advance(struct fake_host *fake, int64_t ns);
int64_t fake_host_wall(struct fake_host *fake);

#endif
