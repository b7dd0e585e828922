/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration as a plugin sees it: a table of options that it declares, and typed reads of the values
 * that the daemon has already checked against that table.  A plugin never sees the file.
 */
#ifndef AMBIENT_CONF_H
#define AMBIENT_CONF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	AMBIENT_OPT_STRING = 1, /* "text" */
	AMBIENT_OPT_INT,        /* 12, within [min, max] */
	AMBIENT_OPT_BOOL,       /* true */
	AMBIENT_OPT_FLOAT,      /* 0.5 */
	AMBIENT_OPT_DURATION,   /* "30s", "5m", "1h30m"; read as nanoseconds; min and max too */
	AMBIENT_OPT_SIZE,       /* "64MiB", "512k"; read as bytes */
	AMBIENT_OPT_STRINGS,    /* [ "a", "b" ] */
	AMBIENT_OPT_MAP,        /* { key = "value"; }: names are free, values are strings; see entry() */
	AMBIENT_OPT_GROUPS,     /* ( { ... }, { ... } ): a list of groups, each checked against `sub` */
	AMBIENT_OPT_PATH        /* a string; relative paths are relative to the file's directory */
};

#define AMBIENT_OPT_REQUIRED 0x1u
#define AMBIENT_OPT_RELOAD   0x2u /* may change on SIGHUP; others need a restart */
#define AMBIENT_OPT_SECRET   0x4u /* never printed */

struct ambient_option {
	size_t size;
	const char *name;
	int32_t type;
	uint32_t flags;
	const char *def;  /* default in the file's syntax without quotes, NULL: none */
	int64_t min, max; /* both 0: unbounded */
	const char *text; /* one sentence for the manual */
	const struct ambient_option *const *sub; /* GROUPS only: ends with NULL */
};

struct ambient_conf; /* borrowed: valid until the callback that got it returns, for create() until destroy() */

/* Reads.  Each takes a declared name; an undeclared one, or one of another type, is a bug of the plugin and
 * reads as the fallback.  Strings live as long as the conf.  Safe on any thread. */
struct ambient_conf_api {
	size_t size;
	const char *(*str)(const struct ambient_conf *conf, const char *name, const char *fallback);
	int64_t (*integer)(const struct ambient_conf *conf, const char *name, int64_t fallback);
	double (*real)(const struct ambient_conf *conf, const char *name, double fallback);
	/* For STRINGS, MAP and GROUPS. */
	size_t (*count)(const struct ambient_conf *conf, const char *name);
	/* STRINGS: *value is the i-th; MAP: *key too.  Returns 0, or -AMBIENT_E_NOTFOUND past the end. */
	int (*entry)(const struct ambient_conf *conf, const char *name, size_t i, const char **key,
		     const char **value);
	/* GROUPS: the i-th group, NULL past the end. */
	const struct ambient_conf *(*group)(const struct ambient_conf *conf, const char *name, size_t i);
};

#ifdef __cplusplus
}
#endif
#endif
