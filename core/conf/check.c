/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values against tables.  Each row finds its value, or its default, and turns it into what the option's type
 * promises; everything that does not fit becomes a sentence and checking goes on.  A struct ambient_conf that
 * had errors still exists, with defaults where it can.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/conf/conf_priv.h"

static const struct {
	int32_t type;
	const char *wanted;
} types[] = {
	{ AMBIENT_OPT_STRING, "a string" },
	{ AMBIENT_OPT_INT, "an integer" },
	{ AMBIENT_OPT_BOOL, "true or false" },
	{ AMBIENT_OPT_FLOAT, "a number" },
	{ AMBIENT_OPT_DURATION, "a duration with its unit as a string, such as \"30s\"" },
	{ AMBIENT_OPT_SIZE, "a size with its unit as a string, such as \"64MiB\"" },
	{ AMBIENT_OPT_STRINGS, "a list of strings, such as [ \"a\", \"b\" ]" },
	{ AMBIENT_OPT_MAP, "a group of strings, such as { name = \"value\"; }" },
	{ AMBIENT_OPT_GROUPS, "a list of groups, such as ( { ... }, { ... } )" },
	{ AMBIENT_OPT_PATH, "a path as a string" },
};

const char *
conf_type_wanted(int32_t type)
{
	for (size_t i = 0; i < AM_COUNTOF(types); i++) {
		if (types[i].type == type)
			return types[i].wanted;
	}
	return NULL;
}

static const char *
type_found(const struct am_conf_value *v)
{
	static const char *const names[] = {
		[CONF_GROUP] = "a group", [CONF_LIST] = "a list", [CONF_ARRAY] = "an array", [CONF_INT] = "an integer",
		[CONF_FLOAT] = "a number with a fraction", [CONF_BOOL] = "true or false", [CONF_STRING] = "a string",
		[CONF_RAW] = "that",
	};

	return names[v->type];
}

/* ---- tables */

const struct ambient_option *const *
conf_copy_options(struct am_conf_file *file, const struct ambient_option *const *rows, int depth)
{
	size_t n = 0;

	while (rows != NULL && n < CONF_OPTIONS_MAX && rows[n] != NULL)
		n++;
	const struct ambient_option **ret = conf_alloc(file, (n + 1) * sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		struct ambient_option *row = conf_alloc(file, sizeof(*row));

		memcpy(row, rows[i], AM_MIN(rows[i]->size, sizeof(*row)));
		row->size = sizeof(*row);
		row->name = am_arena_strdup(file->arena, row->name);
		row->def = am_arena_strdup(file->arena, row->def);
		row->text = am_arena_strdup(file->arena, row->text);
		if (row->sub != NULL)
			row->sub = depth < CONF_SUB_MAX ? conf_copy_options(file, row->sub, depth + 1) : NULL;
		ret[i] = row;
	}
	return ret;
}

/* ---- one value */

struct check {
	struct am_conf_file *file;
	struct ambient_conf *conf;
	struct conf_slot *slot;
	const char *name; /* the whole path of the option */
};

static void
mistyped(struct check *c, const struct am_conf_value *v)
{
	if (v->type == CONF_RAW)
		conf_error(c->file, &v->origin, "\"%s\" must be %s", c->name, conf_type_wanted(c->slot->row->type));
	else
		conf_error(c->file, &v->origin, "\"%s\" must be %s, not %s", c->name,
			   conf_type_wanted(c->slot->row->type), type_found(v));
}

/* Text from --set or a default: what it means depends on the option. */
static const struct am_conf_value *
cook(struct check *c, const struct am_conf_value *raw)
{
	const char *s = raw->s;
	int32_t type = c->slot->row->type;
	struct am_conf_value *v;

	if ((s[0] == '"' && type != AMBIENT_OPT_STRINGS) || type == AMBIENT_OPT_MAP || type == AMBIENT_OPT_GROUPS ||
	    (type == AMBIENT_OPT_STRINGS && (s[0] == '[' || s[0] == '('))) {
		am_auto(am_freep) char *text = am_xasprintf("v = %s;", s);
		const struct am_conf_value *group = conf_parse(c->file, &raw->origin, text, strlen(text));

		/* Two settings in one argument are a mistake, or worse. */
		if (group == NULL)
			return NULL;
		if (group->first == NULL || group->first->next != NULL) {
			mistyped(c, raw);
			return NULL;
		}
		group->first->name = raw->name;
		return group->first;
	}
	v = conf_alloc(c->file, sizeof(*v));
	*v = *raw;
	v->next = NULL;
	switch (type) {
	case AMBIENT_OPT_INT:
		v->type = CONF_INT;
		if (am_parse_i64(s, &v->i) == 0)
			return v;
		break;
	case AMBIENT_OPT_BOOL:
		v->type = CONF_BOOL;
		v->i = am_streq(s, "true");
		if (v->i || am_streq(s, "false"))
			return v;
		break;
	case AMBIENT_OPT_FLOAT: {
		char *end;

		v->type = CONF_FLOAT;
		errno = 0;
		v->d = strtod(s, &end);
		if (end != s && *end == '\0' && errno == 0 && isfinite(v->d))
			return v;
		break;
	}
	case AMBIENT_OPT_STRINGS: {
		struct am_conf_value *item = conf_alloc(c->file, sizeof(*item));

		v->type = CONF_ARRAY;
		*item = *raw;
		item->type = CONF_STRING;
		item->name = NULL;
		item->next = NULL;
		v->first = v->last = item;
		return v;
	}
	default:
		v->type = CONF_STRING;
		return v;
	}
	mistyped(c, raw);
	return NULL;
}

/* "5m" for a bound of a duration, "64Ki" for a size. */
static void
bound_text(char buf[40], int32_t type, int64_t v)
{
	static const struct {
		int64_t unit;
		const char *name;
	} durations[] = { { 3600 * INT64_C(1000000000), "h" }, { 60 * INT64_C(1000000000), "m" },
			  { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" }, { 1, "ns" } },
	  sizes[] = { { 1 << 30, "GiB" }, { 1 << 20, "MiB" }, { 1 << 10, "KiB" }, { 1, "B" } };
	size_t i = 0;

	if (type == AMBIENT_OPT_DURATION) {
		while (v % durations[i].unit != 0 || (v == 0 && durations[i].unit != 1000000000))
			i++;
		(void)snprintf(buf, 40, "\"%" PRId64 "%s\"", v / durations[i].unit, durations[i].name);
	} else if (type == AMBIENT_OPT_SIZE) {
		while (v % sizes[i].unit != 0 || (v == 0 && sizes[i].unit != 1))
			i++;
		(void)snprintf(buf, 40, "\"%" PRId64 "%s\"", v / sizes[i].unit, sizes[i].name);
	} else {
		(void)snprintf(buf, 40, "%" PRId64, v);
	}
}

static bool
in_range(struct check *c, const struct am_conf_value *v, double got)
{
	const struct ambient_option *row = c->slot->row;
	char min[40], max[40];

	if ((row->min == 0 && row->max == 0) || (got >= (double)row->min && got <= (double)row->max))
		return true;
	bound_text(min, row->type, row->min);
	if (row->max == INT64_MAX) {
		conf_error(c->file, &v->origin, "\"%s\" must be at least %s", c->name, min);
	} else {
		bound_text(max, row->type, row->max);
		conf_error(c->file, &v->origin, "\"%s\" must be between %s and %s", c->name, min, max);
	}
	return false;
}

static bool
take_number(struct check *c, const struct am_conf_value *v)
{
	struct conf_slot *slot = c->slot;

	switch (slot->row->type) {
	case AMBIENT_OPT_INT:
		slot->i = v->i;
		return (v->type == CONF_INT) ? in_range(c, v, (double)v->i) : (mistyped(c, v), false);
	case AMBIENT_OPT_BOOL:
		slot->i = v->i;
		return v->type == CONF_BOOL || (mistyped(c, v), false);
	default: /* FLOAT */
		slot->d = v->type == CONF_INT ? (double)v->i : v->d;
		if (v->type != CONF_INT && v->type != CONF_FLOAT) {
			mistyped(c, v);
			return false;
		}
		return in_range(c, v, slot->d);
	}
}

static bool
take_string(struct check *c, const struct am_conf_value *v)
{
	struct conf_slot *slot = c->slot;
	const struct ambient_option *row = slot->row;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (v->type != CONF_STRING) {
		mistyped(c, v);
		return false;
	}
	slot->s = v->s;
	if (row->flags & AMBIENT_OPT_SECRET) {
		slot->s = v->s[0] == '\0' ? v->s : conf_secret(c->file, v->s, v->origin.dir, &err);
		if (slot->s == NULL)
			conf_error(c->file, &v->origin, "\"%s\" is a secret: %s", c->name, err.message);
		return slot->s != NULL;
	}
	switch (row->type) {
	case AMBIENT_OPT_DURATION:
	case AMBIENT_OPT_SIZE: {
		bool duration = row->type == AMBIENT_OPT_DURATION;

		if ((duration ? am_parse_duration(v->s, &slot->i) : am_parse_size(v->s, &slot->i)) < 0) {
			conf_error(c->file, &v->origin, "\"%s\" must be %s, not \"%.40s\"", c->name,
				   conf_type_wanted(row->type), v->s);
			return false;
		}
		return in_range(c, v, (double)slot->i);
	}
	case AMBIENT_OPT_PATH:
		if (v->s[0] != '/' && v->s[0] != '\0' && v->origin.dir != NULL)
			slot->s = am_arena_printf(c->file->arena, "%s/%s", v->origin.dir, v->s);
		return true;
	default:
		return true;
	}
}

static bool
take_strings(struct check *c, const struct am_conf_value *v)
{
	struct conf_slot *slot = c->slot;
	bool map = slot->row->type == AMBIENT_OPT_MAP;
	size_t n = 0;

	if (map ? v->type != CONF_GROUP : v->type != CONF_LIST && v->type != CONF_ARRAY) {
		mistyped(c, v);
		return false;
	}
	for (const struct am_conf_value *item = v->first; item != NULL; item = item->next, n++) {
		if (item->type != CONF_STRING) {
			mistyped(c, item);
			return false;
		}
	}
	slot->keys = conf_alloc(c->file, (n + 1) * sizeof(*slot->keys));
	slot->values = conf_alloc(c->file, (n + 1) * sizeof(*slot->values));
	n = 0;
	for (const struct am_conf_value *item = v->first; item != NULL; item = item->next, n++) {
		slot->keys[n] = item->name;
		slot->values[n] = item->s;
	}
	slot->count = n;
	return true;
}

static bool
take_groups(struct check *c, const struct am_conf_value *v)
{
	struct conf_slot *slot = c->slot;
	size_t n = 0;

	if (v->type != CONF_LIST && !(v->type == CONF_ARRAY && v->first == NULL)) {
		mistyped(c, v);
		return false;
	}
	for (const struct am_conf_value *item = v->first; item != NULL; item = item->next, n++) {
		if (item->type != CONF_GROUP) {
			mistyped(c, item);
			return false;
		}
	}
	slot->groups = conf_alloc(c->file, (n + 1) * sizeof(*slot->groups));
	n = 0;
	for (const struct am_conf_value *item = v->first; item != NULL; item = item->next, n++)
		slot->groups[n] = conf_check(c->file, item, &item->origin,
					     am_arena_printf(c->file->arena, "%s[%zu]", c->name, n), slot->row->sub, NULL);
	slot->count = n;
	return true;
}

static bool
take(struct check *c, const struct am_conf_value *v)
{
	switch (c->slot->row->type) {
	case AMBIENT_OPT_INT:
	case AMBIENT_OPT_BOOL:
	case AMBIENT_OPT_FLOAT:
		return take_number(c, v);
	case AMBIENT_OPT_STRINGS:
	case AMBIENT_OPT_MAP:
		return take_strings(c, v);
	case AMBIENT_OPT_GROUPS:
		return take_groups(c, v);
	default:
		return take_string(c, v);
	}
}

static bool
take_any(struct check *c, const struct am_conf_value *v)
{
	if (v->type == CONF_RAW)
		v = cook(c, v);
	if (v == NULL || !take(c, v))
		return false;
	c->slot->value = v;
	return true;
}

static void
take_default(struct check *c)
{
	struct am_conf_value raw = { .name = c->slot->row->name, .type = CONF_RAW, .s = c->slot->row->def,
				     .origin = { .file = "default" } };

	if (raw.s != NULL)
		(void)take_any(c, &raw);
}

/* ---- one group */

static void
unknown(struct am_conf_file *file, const struct am_conf_value *v, const char *path,
	const struct ambient_option *const *rows, const char *const *others)
{
	const char *names[CONF_OPTIONS_MAX + 16];
	size_t n = 0;

	for (size_t i = 0; rows != NULL && rows[i] != NULL && n < AM_COUNTOF(names) - 1; i++)
		names[n++] = rows[i]->name;
	for (size_t i = 0; others != NULL && others[i] != NULL && n < AM_COUNTOF(names) - 1; i++)
		names[n++] = others[i];
	names[n] = NULL;
	const char *better = am_suggest(v->name, names);
	const char *in = path[0] != '\0' ? " in \"" : "", *quote = path[0] != '\0' ? "\"" : "";
	if (better != NULL)
		conf_error(file, &v->origin, "unknown key \"%.60s\"%s%s%s, did you mean \"%s\"?", v->name, in, path, quote,
			   better);
	else if (n == 0)
		conf_error(file, &v->origin, "unknown key \"%.60s\"%s%s%s, which takes none", v->name, in, path, quote);
	else
		conf_error(file, &v->origin, "unknown key \"%.60s\"%s%s%s", v->name, in, path, quote);
}

static bool
known(const char *name, const struct ambient_option *const *rows, const char *const *others)
{
	for (size_t i = 0; rows != NULL && rows[i] != NULL; i++) {
		if (am_streq(rows[i]->name, name))
			return true;
	}
	for (size_t i = 0; others != NULL && others[i] != NULL; i++) {
		if (am_streq(others[i], name))
			return true;
	}
	return false;
}

struct ambient_conf *
conf_check(struct am_conf_file *file, const struct am_conf_value *group, const struct conf_origin *origin,
	   const char *path, const struct ambient_option *const *rows, const char *const *others)
{
	struct ambient_conf *conf = conf_alloc(file, sizeof(*conf));
	size_t n = 0;

	conf->file = file;
	conf->path = am_arena_strdup(file->arena, path);
	conf->origin = *origin;
	while (rows != NULL && rows[n] != NULL)
		n++;
	conf->slots = conf_alloc(file, (n + 1) * sizeof(*conf->slots));
	conf->count = n;
	for (const struct am_conf_value *v = group != NULL ? group->first : NULL; v != NULL; v = v->next) {
		if (!known(v->name, rows, others))
			unknown(file, v, path, rows, others);
	}
	for (size_t i = 0; i < n; i++) {
		const struct am_conf_value *v = conf_member(group, rows[i]->name);
		struct check c = { .file = file, .conf = conf, .slot = &conf->slots[i] };

		c.slot->row = rows[i];
		c.name = path[0] != '\0' ? am_arena_printf(file->arena, "%s.%s", path, rows[i]->name) : rows[i]->name;
		c.slot->given = v != NULL && take_any(&c, v);
		if (c.slot->given)
			continue;
		struct conf_slot empty = { .row = rows[i] };
		*c.slot = empty;
		take_default(&c);
		if (v == NULL && (rows[i]->flags & AMBIENT_OPT_REQUIRED) && c.slot->value == NULL)
			conf_error(file, origin, "\"%s\" is missing: %s", c.name,
				   !am_empty(rows[i]->text) ? rows[i]->text : "it is required");
	}
	return conf;
}

/* ---- is a table itself sound? */

static int
check_rows(struct am_conf_file *scratch, const struct ambient_option *const *rows, int depth, struct ambient_error *err)
{
	size_t least = offsetof(struct ambient_option, def) + sizeof(rows[0]->def);

	if (depth > CONF_SUB_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "its option tables are nested deeper than %d", CONF_SUB_MAX);
	for (size_t i = 0; rows != NULL && rows[i] != NULL; i++) {
		if (i >= CONF_OPTIONS_MAX)
			return ambient_err(err, AMBIENT_E_INVALID, "it has more than %d options", CONF_OPTIONS_MAX);
		if (rows[i]->size < least || am_empty(rows[i]->name))
			return ambient_err(err, AMBIENT_E_INVALID, "its option %zu has no size or no name", i + 1);
		if (conf_type_wanted(rows[i]->type) == NULL)
			return ambient_err(err, AMBIENT_E_INVALID, "its option \"%s\" has type %d, which this daemon does not know",
					   rows[i]->name, (int)rows[i]->type);
		for (size_t k = 0; k < i; k++) {
			if (am_streq(rows[k]->name, rows[i]->name))
				return ambient_err(err, AMBIENT_E_INVALID, "its option \"%s\" is there twice", rows[i]->name);
		}
		bool has_sub = rows[i]->size >= offsetof(struct ambient_option, sub) + sizeof(void *) && rows[i]->sub != NULL;
		if ((rows[i]->flags & AMBIENT_OPT_SECRET) && (rows[i]->type != AMBIENT_OPT_STRING || rows[i]->def != NULL))
			return ambient_err(err, AMBIENT_E_INVALID, "its option \"%s\" is a secret and must be a string without default",
					   rows[i]->name);
		if (has_sub && rows[i]->type != AMBIENT_OPT_GROUPS)
			return ambient_err(err, AMBIENT_E_INVALID, "its option \"%s\" has a table but is no list of groups",
					   rows[i]->name);
		if (has_sub && check_rows(scratch, rows[i]->sub, depth + 1, err) < 0)
			return -err->code;
	}
	return 0;
}

int
am_conf_check_options(const struct ambient_option *const *options, struct ambient_error *err)
{
	struct am_conf_file *scratch;
	struct ambient_error mine = AMBIENT_ERROR_INIT;
	int rc;

	if (err == NULL)
		err = &mine;
	if (options == NULL)
		return 0;
	scratch = am_conf_load(NULL, NULL);
	rc = check_rows(scratch, options, 0, err);
	for (size_t i = 0; rc == 0 && options[i] != NULL; i++) {
		const struct ambient_option *const one[] = { options[i], NULL };
		const struct ambient_option *const *copy = conf_copy_options(scratch, one, 0);
		struct ambient_option *row = (struct ambient_option *)(uintptr_t)copy[0];
		struct conf_origin origin = { .file = "default" };
		size_t before = scratch->error_count;

		row->flags &= ~AMBIENT_OPT_REQUIRED;
		(void)conf_check(scratch, NULL, &origin, "", copy, NULL);
		if (scratch->error_count > before)
			rc = ambient_err(err, AMBIENT_E_INVALID, "the default of its option \"%s\" is wrong: %s", row->name,
					 scratch->errors[before]);
	}
	am_conf_free(scratch);
	return rc;
}
