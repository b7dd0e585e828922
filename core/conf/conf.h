/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration.  A struct am_conf_file is one generation: the main file, the files of conf.d beside it, and
 * the --set arguments, merged by path (the last wins) and checked against tables of struct ambient_option.  It
 * is built whole and swapped whole; nothing in it changes after it was checked, so any thread may read it.
 * Building and checking belong to one thread.
 *
 * Nothing here stops at the first mistake.  Each is kept as one sentence, "file:line: what is wrong", and the
 * caller asks at the end whether there was any.
 */
#ifndef AM_CONF_CONF_H
#define AM_CONF_CONF_H

#include <ambient/conf.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct am_conf_file;

/* What plugins read their configuration with: the `conf` of struct ambient_host. */
extern const struct ambient_conf_api am_conf_api;

/*
 * Reads `path` and `<its directory>/conf.d/?*.conf` in the order of their names.  sets: "path=value" as in
 * "log.level=debug" or "plugins.node.config.sandbox=none", ended by NULL, or NULL; they win over files.
 * path NULL: no file, defaults only.  Checks the core's own sections and the shape of the plugins group.
 * Never NULL; what is wrong is in its errors.  May block on the file system.
 */
struct am_conf_file *am_conf_load(const char *path, const char *const *sets) am_nodiscard_;
/* Every struct ambient_conf of it dies with it; secrets are wiped.  NULL is fine. */
void am_conf_free(struct am_conf_file *file);

/* Mistakes so far, in the order in which they were found, each "file:line: sentence". */
size_t am_conf_error_count(const struct am_conf_file *file);
const char *am_conf_error(const struct am_conf_file *file, size_t i); /* NULL past the end */
/* Adds one.  It is placed at option `name` of conf when that is given in a file, else where conf's group is;
 * conf NULL: at the main file.  For what only the caller can judge, and for a plugin's check(). */
void am_conf_fail(struct am_conf_file *file, const struct ambient_conf *conf, const char *name, const char *fmt, ...)
	am_printf_(4, 5);

/* A section of the core: "" for the options outside of any group, "log", "cluster", "lease", "ops", "runner".
 * Never NULL for those names, also when the configuration is wrong: options then have their defaults. */
const struct ambient_conf *am_conf_section(const struct am_conf_file *file, const char *section);

/* Short forms for the core: am_conf_str(am_conf_section(file, "log"), "level").  NULL or 0 when there is no value. */
const char *am_conf_str(const struct ambient_conf *conf, const char *name);
int64_t am_conf_int(const struct ambient_conf *conf, const char *name); /* also BOOL, DURATION (ns), SIZE (bytes) */
/* A list of strings: how many, and where they are when ret is not NULL; they live as long as the generation. */
size_t am_conf_strings(const struct ambient_conf *conf, const char *name, const char *const **ret);
/* Was it set, rather than defaulted? */
bool am_conf_given(const struct ambient_conf *conf, const char *name);

/* One member of the plugins group.  Lives as long as the generation. */
struct am_conf_instance {
	const char *name;      /* the key; [a-z0-9-]{1,40} */
	const char *plugin;    /* plugin=, or the name */
	const char *path;      /* path=, or <plugin_dir>/<plugin>.so */
	const char *isolation; /* "none" or "process" */
	int64_t workers;       /* 0: the default */
	int64_t deadline;      /* of one reconcile, in ns */
	bool readonly;         /* may not write */
	const char *when;      /* of updates of the reconciled kind, instead of what is declared; NULL: as declared */
	const char *const *namespaces; /* whose objects it sees */
	size_t namespace_count;        /* 0: as the cluster section says */
	bool enabled;
	const char *where;     /* "file:line" of its group */
};
size_t am_conf_instance_count(const struct am_conf_file *file);
const struct am_conf_instance *am_conf_instance(const struct am_conf_file *file, size_t i); /* NULL past the end */
/* As am_conf_fail, at the instance. */
void am_conf_instance_fail(struct am_conf_file *file, const struct am_conf_instance *instance, const char *fmt, ...)
	am_printf_(3, 4);
/*
 * Checks the instance's `config` group against the plugin's options (NULL: it takes none) and makes the tree
 * that the plugin reads.  The options are copied: they may go away.  NULL when something is wrong, which is then
 * among the errors.  Once per instance and generation.
 */
const struct ambient_conf *am_conf_check_instance(struct am_conf_file *file, const struct am_conf_instance *instance,
						  const struct ambient_option *const *options) am_nodiscard_;

/* Is the table itself sound: known types, defaults that parse, no name twice?  For the plugin loader. */
int am_conf_check_options(const struct ambient_option *const *options, struct ambient_error *err);

/* The effective configuration in the file's syntax, the origin of each value behind it as a comment.  Secrets
 * are never printed; the config of an instance that was not checked is not printed. */
void am_conf_print(const struct am_conf_file *file, struct am_buf *out);
/* Rows of a manual page (man macros) for a table. */
void am_conf_print_manual(const struct ambient_option *const *options, struct am_buf *out);
/* The same for all of the core's sections and for an instance's own keys. */
void am_conf_print_core_manual(struct am_buf *out);

/* What changed between two checked trees of the same table.  Returns how many options differ; *ret_restart (may
 * be NULL) gets the name of the first of them that cannot change without a restart, or NULL. */
size_t am_conf_diff(const struct ambient_conf *from, const struct ambient_conf *to, const char **ret_restart);

#endif
