/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins: read what a file declares without running it (inspect), decide whether it may be loaded (verify),
 * load it from a private copy, and check everything that it hands over.  Knows only include/ambient; what the
 * plugin's code then may do is the business of core/host.
 *
 * A loaded plugin is never unloaded: its struct am_plugin lives as long as the process.
 */
#ifndef AM_PLUGIN_PLUGIN_H
#define AM_PLUGIN_PLUGIN_H

#include <ambient/plugin.h>

#include "core/base/attr.h"
#include "core/base/buf.h"
#include "core/base/err.h"

/* ---- Declarations: the text of the ELF section "ambient_plugin", parsed.  Strings live as long as the decl. */

/* Whom a change of a watched object wakes. */
enum am_plugin_map {
	AM_PLUGIN_MAP_SELF,       /* the for-object of the same namespace and name */
	AM_PLUGIN_MAP_NAMESPACE,  /* every for-object of the namespace of the changed one */
	AM_PLUGIN_MAP_LABEL,      /* the for-object named by the label map_key, same namespace */
	AM_PLUGIN_MAP_ANNOTATION, /* the same by annotation; "namespace/name" is allowed as value */
	AM_PLUGIN_MAP_ALL,        /* every for-object */
	AM_PLUGIN_MAP_INDEX       /* every for-object whose index map_key has the changed object's name, same namespace */
};

struct am_plugin_watch {
	const char *kind;
	const char *labels; /* label selector, NULL: none */
	const char *fields; /* field selector, NULL: none */
	const char *only;   /* what is kept of each object: "metadata", or JSON Pointers with commas; NULL: all */
	const char *when;   /* updates count when one of these changed: "generation,/spec/x"; NULL: always */
	enum am_plugin_map map;
	const char *map_key; /* LABEL, ANNOTATION, INDEX */
};

struct am_plugin_index {
	const char *name;
	const char *pointer;
};

struct am_plugin_reconciler {
	const char *name; /* reconciler=, or the plugin's name */
	const char *for_kind, *for_when; /* when as in a watch; NULL: always */
	size_t owns_count, watch_count, index_count;
	const char **owns, **owns_when; /* as many */
	struct am_plugin_watch *watches;
	struct am_plugin_index *indexes;
};

enum { /* Verbs of may=, as bits. */
	AM_VERB_GET = 1 << 0, AM_VERB_LIST = 1 << 1, AM_VERB_WATCH = 1 << 2, AM_VERB_CREATE = 1 << 3,
	AM_VERB_UPDATE = 1 << 4, AM_VERB_PATCH = 1 << 5, AM_VERB_DELETE = 1 << 6, AM_VERB_DELETECOLLECTION = 1 << 7,
	AM_VERB_BIND = 1 << 8, AM_VERB_ESCALATE = 1 << 9, AM_VERB_IMPERSONATE = 1 << 10
};

struct am_plugin_may {
	const char *kind;
	const char *sub;   /* "status", or NULL */
	const char *names; /* "a,b": of these objects only; NULL: of all */
	uint32_t verbs;
};

enum { AM_NEEDS_NETWORK = 1 << 0, AM_NEEDS_JANSSON = 1 << 1 };

struct am_plugin_decl {
	const char *name, *version;
	bool provides_cluster;
	uint32_t needs; /* AM_NEEDS_* */
	size_t reconciler_count, may_count, runner_count, server_count;
	struct am_plugin_reconciler *reconcilers;
	struct am_plugin_may *mays;
	const char **runners;
	const char **servers;
	const char *text; /* as it stands in the file */
	size_t text_len;
};

/* text: "key=value" strings, each ended by NUL.  NULL with err (AMBIENT_E_INVALID) on failure; am_plugin_decl_free. */
struct am_plugin_decl *am_plugin_decl_parse(const char *text, size_t len, struct ambient_error *err) am_nodiscard_;
void am_plugin_decl_free(struct am_plugin_decl *decl);
/* The list behind when=. */
int am_plugin_check_when(const char *when, struct ambient_error *err);
const struct am_plugin_reconciler *am_plugin_decl_reconciler(const struct am_plugin_decl *decl, const char *name);
/* May it do `verb` (one AM_VERB_*) on kind[/sub]?  Reading what it watches is not asked here. */
bool am_plugin_decl_may(const struct am_plugin_decl *decl, const char *kind, const char *sub, uint32_t verb);
/* The kind that it reconciles, owns or watches: readable from the cache. */
bool am_plugin_decl_watches(const struct am_plugin_decl *decl, const char *kind);
const char *am_plugin_verb_name(uint32_t verb);         /* of one bit; NULL: unknown */
/* "group/version/plural" or "version/plural" taken apart; pieces point into kind.  False: not a kind. */
bool am_plugin_kind_split(const char *kind, const char **group, size_t *group_len, const char **version,
			  size_t *version_len, const char **plural);

/* ---- A file, without running it. */

struct am_plugin_info {
	struct am_plugin_decl *decl;
	int abi;                 /* N of its symbol ambient_plugin_vN */
	char sha256[65];         /* of the file, in hex */
	size_t size;
};
/* Reads at most 256 MiB; any regular file may be given.  Blocks on the file system.  err names the file. */
int am_plugin_inspect(const char *path, struct am_plugin_info *ret, struct ambient_error *err);
void am_plugin_info_fini(struct am_plugin_info *info);

/* Is the file, and every directory above it, safe to load from (DESIGN 4)?  path is absolute, without symbolic
 * links.  Returns a descriptor of the verified file, or -AMBIENT_E_FORBIDDEN and others with a sentence. */
int am_plugin_verify(const char *path, struct ambient_error *err);

/* ---- Loading. */

struct am_plugin {
	const char *path;   /* as configured */
	const char *copy;   /* what was given to dlopen */
	char sha256[65];
	const struct am_plugin_decl *decl;
	/* Copies of the plugin's tables, as long as this daemon knows them; the rest is zero. */
	struct ambient_plugin table;
	size_t reconciler_count, runner_count, server_count;
	struct ambient_reconciler *reconcilers; /* name is never NULL here; in the order of the plugin's array */
	struct ambient_runner *runners;
	struct ambient_server *servers;
};

/* Makes dir (absolute; the last component may be missing) fit for private copies: 0700, own, not mounted noexec,
 * and removes old copies.  Once per process, before the first load. */
int am_plugin_dir_prepare(const char *dir, struct ambient_error *err);
/*
 * Verifies, inspects, copies to `<dir>/<sha256>.so`, loads, checks.  Loading the same content again gives the
 * same plugin.  A file whose content changed since this process loaded a plugin of that name is refused: new
 * code needs a restart.  Runs the plugin's static constructors; call it on the loader thread.
 */
int am_plugin_load(const char *path, const char *dir, const struct am_plugin **ret, struct ambient_error *err);
/* The reconciler, runner type or server of that name; NULL: none. */
const struct ambient_reconciler *am_plugin_reconciler(const struct am_plugin *plugin, const char *name);
const struct ambient_runner *am_plugin_runner(const struct am_plugin *plugin, const char *type);
const struct ambient_server *am_plugin_server(const struct am_plugin *plugin, const char *name);

/* ---- States of an instance.  Only forward; failed from everywhere. */

enum am_plugin_state {
	AM_PLUGIN_FOUND, AM_PLUGIN_INSPECTED, AM_PLUGIN_LOADED, AM_PLUGIN_CHECKED, AM_PLUGIN_CREATED,
	AM_PLUGIN_RUNNING, AM_PLUGIN_DRAINING, AM_PLUGIN_STOPPED, AM_PLUGIN_FAILED, AM_PLUGIN_STATE__COUNT
};
const char *am_plugin_state_name(enum am_plugin_state state);
/* Changes *state and logs it, or says why that is no legal move (a bug of the caller: -AMBIENT_E_INTERNAL). */
int am_plugin_state_move(enum am_plugin_state *state, enum am_plugin_state to, const char *instance,
			 struct ambient_error *err);

#endif
