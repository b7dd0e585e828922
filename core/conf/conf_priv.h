/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the configuration: values as they stand in the sources (struct am_conf_value, a plain tree that knows
 * where each part came from), and values as they were checked against a table (struct ambient_conf).  All of it
 * lives in the arena of its generation; only secrets are kept apart, to be wiped.
 */
#ifndef AM_CONF_PRIV_H
#define AM_CONF_PRIV_H

#include "core/base/mem.h"
#include "core/conf/conf.h"

enum {
	CONF_FILE_MAX = 1 << 20,  /* bytes of one file */
	CONF_FILES_MAX = 256,     /* files of conf.d */
	CONF_DEPTH_MAX = 32,      /* nesting of groups and lists */
	CONF_ERRORS_MAX = 100,    /* kept; more are counted in one last sentence */
	CONF_OPTIONS_MAX = 256,   /* rows of one table */
	CONF_SUB_MAX = 4,         /* tables in tables */
	CONF_SECRET_MAX = 64 << 10
};

enum conf_type { CONF_GROUP, CONF_LIST, CONF_ARRAY, CONF_INT, CONF_FLOAT, CONF_BOOL, CONF_STRING, CONF_RAW };

/* Where something was written: "a.conf" and 12, "--set log.level" and 0, "default" and 0. */
struct conf_origin {
	const char *file;
	const char *dir; /* what relative paths are relative to */
	int line;
};

struct am_conf_value {
	const char *name; /* NULL inside lists */
	enum conf_type type;
	struct conf_origin origin;
	int64_t i;        /* INT, BOOL */
	double d;         /* FLOAT */
	const char *s;    /* STRING; RAW: text whose meaning depends on the option, from --set or a default */
	struct am_conf_value *first, *last, *next;
};

/* One option of a checked table. */
struct conf_slot {
	const struct ambient_option *row;
	const struct am_conf_value *value; /* NULL: no value at all */
	bool given;                        /* not by default */
	int64_t i;
	double d;
	const char *s;
	size_t count;
	const char **keys, **values;       /* STRINGS, MAP */
	struct ambient_conf **groups;      /* GROUPS */
};

struct ambient_conf {
	struct am_conf_file *file;
	const char *path;                  /* for messages: "log", "plugins.widget.config", "" */
	struct conf_origin origin;         /* of the group */
	size_t count;
	struct conf_slot *slots;
};

struct conf_instance {
	struct am_conf_instance pub;
	struct conf_origin origin;
	const struct am_conf_value *config; /* the unchecked group, NULL: none */
	const struct ambient_conf *own;     /* plugin, path, workers, ... */
	const struct ambient_conf *checked; /* of the plugin's options, NULL until then */
};

struct conf_section {
	const char *name;
	const struct ambient_option *const *rows;
	const char *text; /* for the manual */
};

struct am_conf_file {
	struct am_arena *arena;
	struct conf_origin origin;          /* the main file */
	struct am_conf_value *root;
	char **errors;
	size_t error_count, error_dropped;
	struct ambient_conf **sections;     /* as conf_sections */
	struct conf_instance *instances;
	size_t instance_count;
	struct conf_secret *secrets;
};

/* options.c: the core's tables; the list ends with a NULL name. */
extern const struct conf_section conf_sections[];
extern const struct ambient_option *const conf_instance_rows[];
void conf_check_core(struct am_conf_file *file);

/* load.c */
void conf_error(struct am_conf_file *file, const struct conf_origin *origin, const char *fmt, ...) am_printf_(3, 4);
void *conf_alloc(struct am_conf_file *file, size_t n); /* zeroed, never NULL: what is allocated is bounded */
const struct am_conf_value *conf_member(const struct am_conf_value *group, const char *name);
void conf_append(struct am_conf_value *parent, struct am_conf_value *child);

/* source.c: one text in libconfig's syntax, as a group.  NULL after errors. */
struct am_conf_value *conf_parse(struct am_conf_file *file, const struct conf_origin *origin, const char *text,
				 size_t n);

/* check.c.  others: names that are not in the table but allowed in the group, NULL-ended, or NULL. */
struct ambient_conf *conf_check(struct am_conf_file *file, const struct am_conf_value *group,
				const struct conf_origin *origin, const char *path,
				const struct ambient_option *const *rows, const char *const *others);
/* Copies rows, however long their structs were when they were compiled. */
const struct ambient_option *const *conf_copy_options(struct am_conf_file *file,
						      const struct ambient_option *const *rows, int depth);
const char *conf_type_wanted(int32_t type); /* "a string", ...; NULL: no such type */

/* read.c */
const struct conf_slot *conf_slot(const struct ambient_conf *conf, const char *name);

/* secret.c: from "file:PATH" or "env:NAME".  NULL with a sentence that never holds the secret. */
const char *conf_secret(struct am_conf_file *file, const char *reference, const char *dir, struct ambient_error *err);
void conf_secrets_wipe(struct am_conf_file *file);

#endif
