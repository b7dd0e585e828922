/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top: what the daemon's controllers do and what its plugins cost, as rates between two looks at the daemon's counters.
 * On a terminal again and again until a key's interrupt; otherwise once, or --count times.
 *
 * cache: what the daemon's caches hold.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/ambientctl/ctl.h"
#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#define INTERVAL_MIN (100 * AM_NS_PER_MS)
#define INTERVAL_MAX (3600 * AM_NS_PER_S)
#define CELL         32

static const struct ctl_option top_options[] = {
	{ "interval", 0, "DURATION", "time between two looks (2s)" },
	{ "count", 0, "N", "end after N tables; without: 1, or no end on a terminal" },
	{ "socket", 0, "PATH", "the daemon's admin socket" },
	{ NULL, 0, NULL, NULL },
};

static int64_t
number(const struct am_node *node, const char *key)
{
	int64_t n = 0;

	if (node != NULL)
		(void)am_node_get_int(node, key, &n);
	return n;
}

/* "812", "1.5K", "30M": three digits and the unit. */
static void
size_text(char buf[CELL], double n)
{
	static const char units[] = " KMGT";
	size_t u = 0;

	for (; n >= 999.5 && units[u + 1] != '\0'; u++)
		n /= 1024;
	if (u == 0)
		(void)snprintf(buf, CELL, "%.0f", n);
	else
		(void)snprintf(buf, CELL, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[u]);
}

/* The member of an array whose member "key" is that; NULL when there is none: it is new. */
static const struct am_node *
same(const struct am_node *array, const char *key, const char *value)
{
	am_auto(am_freep) char *pointer = am_xasprintf("/%s", key);

	for (const struct am_node *o = array != NULL ? array->first : NULL; o != NULL; o = o->next) {
		if (am_streq(ctl_text(o, pointer), value))
			return o;
	}
	return NULL;
}

/* ---- the table: a growing list of cells, each of its own */

struct table {
	char (*cells)[CELL * 10];
	size_t count, columns;
};

static char *
cell(struct table *t)
{
	t->cells = am_xrealloc(t->cells, t->count + 1, sizeof(t->cells[0]));
	t->cells[t->count][0] = '\0';
	return t->cells[t->count++];
}

static void
cell_text(struct table *t, const char *text)
{
	(void)am_strlcpy(cell(t), text, sizeof(t->cells[0]));
}

static void
cell_number(struct table *t, int64_t n)
{
	(void)snprintf(cell(t), sizeof(t->cells[0]), "%lld", (long long)n);
}

static void
cell_rate(struct table *t, double per_second, bool bytes)
{
	char *at = cell(t);

	if (bytes)
		size_text(at, per_second);
	else
		(void)snprintf(at, sizeof(t->cells[0]), per_second < 9.995 ? "%.2f" : "%.0f", per_second);
}

static void
table_print(struct table *t)
{
	const char **cells = am_xcalloc(t->count, sizeof(cells[0]));

	for (size_t i = 0; i < t->count; i++)
		cells[i] = t->cells[i];
	ctl_table(cells, t->columns, t->count / t->columns);
	free(cells);
	free(t->cells);
}

static struct table
table_new(const char *const *heads, size_t columns)
{
	struct table t = { .columns = columns };

	for (size_t i = 0; i < columns; i++)
		cell_text(&t, heads[i]);
	return t;
}

/* ---- top */

static double
rate(const struct am_node *before, const struct am_node *after, const char *key, double seconds)
{
	int64_t grown = number(after, key) - number(before, key);

	return grown > 0 && seconds > 0 ? (double)grown / seconds : 0;
}

static void
print_plugins(const struct am_node *before, const struct am_node *after, double seconds)
{
	static const char *const heads[] = { "PLUGIN", "STATE", "CPU%", "REQUESTS/S", "FAILED/S", "SENT/S", "RECEIVED/S", "OBJECTS", "CACHE" };
	struct table t = table_new(heads, AM_COUNTOF(heads));

	for (const struct am_node *o = am_node_at(after, "/plugins")->first; o != NULL; o = o->next) {
		const char *name = ctl_text(o, "/plugin");
		const struct am_node *was = same(am_node_at(before, "/plugins"), "plugin", name);
		cell_text(&t, name);
		cell_text(&t, ctl_text(o, "/state"));
		(void)snprintf(cell(&t), CELL, "%.1f", rate(was, o, "cpuMicros", seconds) / 1e4);
		cell_rate(&t, rate(was, o, "requests", seconds), false);
		cell_rate(&t, rate(was, o, "requestErrors", seconds), false);
		cell_rate(&t, rate(was, o, "sentBytes", seconds), true);
		cell_rate(&t, rate(was, o, "receivedBytes", seconds), true);
		cell_number(&t, number(o, "cacheObjects"));
		size_text(cell(&t), (double)number(o, "cacheBytes"));
	}
	table_print(&t);
}

static void
print_controllers(const struct am_node *before, const struct am_node *after, double seconds)
{
	static const char *const heads[] = { "CONTROLLER", "WORKERS", "ACTIVE", "STUCK", "READY", "DELAYED", "RUNS/S", "ERRORS/S" };
	struct table t = table_new(heads, AM_COUNTOF(heads));

	for (const struct am_node *o = am_node_at(after, "/plugins")->first; o != NULL; o = o->next) {
		const struct am_node *was = same(am_node_at(before, "/plugins"), "plugin", ctl_text(o, "/plugin"));
		for (const struct am_node *c = am_node_at(o, "/controllers")->first; c != NULL; c = c->next) {
			const char *name = ctl_text(c, "/name");
			const struct am_node *old = was != NULL ? same(am_node_at(was, "/controllers"), "name", name) : NULL;
			cell_text(&t, name);
			cell_number(&t, number(c, "workers"));
			cell_number(&t, number(c, "active"));
			cell_number(&t, number(c, "stuck"));
			cell_number(&t, number(c, "ready"));
			cell_number(&t, number(c, "delayed"));
			cell_rate(&t, rate(old, c, "runs", seconds), false);
			cell_rate(&t, rate(old, c, "errors", seconds), false);
		}
	}
	if (t.count > t.columns)
		table_print(&t);
	else
		free(t.cells);
}

/* The daemon's counters, checked to be what the tables need. */
static const struct am_node *
look(struct ctl *ctl, struct am_arena *arena, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	const struct am_node *found = NULL, *plugins;

	if (ctl_admin(ctl, "top", &out, err) < 0)
		return NULL;
	found = am_node_parse(arena, am_buf_str(&out), out.len, err);
	plugins = found != NULL ? am_node_at(found, "/plugins") : NULL;
	if (found == NULL)
		return NULL;
	for (const struct am_node *o = plugins != NULL ? plugins->first : NULL; o != NULL; o = o->next) {
		if (am_node_at(o, "/controllers") == NULL)
			plugins = NULL;
		if (plugins == NULL)
			break;
	}
	if (plugins != NULL)
		return found;
	(void)ambient_err(err, AMBIENT_E_INTERNAL, "its answer has no plugins with controllers; are both of one version?");
	return NULL;
}

static bool
interrupted(void)
{
	return __atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE) != 0;
}

static int
top(struct ctl *ctl)
{
	const char *interval = ctl_value(ctl, "interval"), *count = ctl_value(ctl, "count");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_arena *before_arena = am_arena_new();
	int64_t ns = 2 * AM_NS_PER_S, tables = ctl->terminal ? INT64_MAX : 1;
	int rc = CTL_OK;

	if (interval != NULL && (am_parse_duration(interval, &ns) < 0 || ns < INTERVAL_MIN || ns > INTERVAL_MAX))
		rc = ctl_usage("\"%.40s\" is no time between 100ms and 1h", interval);
	else if (count != NULL && (am_parse_i64(count, &tables) < 0 || tables < 1))
		rc = ctl_usage("\"%.40s\" is no number of tables", count);
	const struct am_node *before = rc == CTL_OK ? look(ctl, before_arena, &err) : NULL;
	if (rc == CTL_OK && before == NULL)
		rc = ctl_fail(&err, "cannot ask the daemon");
	if (rc == CTL_OK && ctl->json) {
		ctl_print_json(before);
		tables = 0;
	}
	for (int64_t i = 0; rc == CTL_OK && i < tables; i++) {
		struct am_arena *arena = am_arena_new();
		(void)poll(NULL, 0, (int)(ns / AM_NS_PER_MS));
		const struct am_node *after = interrupted() ? NULL : look(ctl, arena, &err);
		if (after != NULL) {
			double seconds = (double)(number(after, "micros") - number(before, "micros")) / 1e6;
			(void)printf("%s", ctl->terminal ? "\033[H\033[2J" : i != 0 ? "\n" : "");
			print_plugins(before, after, seconds);
			(void)putchar('\n');
			print_controllers(before, after, seconds);
			rc = ctl_flush() ? CTL_OK : CTL_FAILED;
			before = after;
		} else {
			rc = interrupted() ? CTL_INTERRUPTED : ctl_fail(&err, "cannot ask the daemon");
		}
		am_arena_free(before_arena);
		before_arena = arena;
	}
	am_arena_free(before_arena);
	return rc;
}

/* ---- cache */

static int
cache(struct ctl *ctl)
{
	static const char *const heads[] = { "KIND", "SELECTION", "STATE", "USERS", "OBJECTS", "BYTES", "EACH", "EVENTS", "SKIPPED" };
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (ctl_admin(ctl, "cache", &out, &err) < 0)
		return ctl_fail(&err, "cannot ask the daemon");
	const struct am_node *found = am_node_parse(arena, am_buf_str(&out), out.len, &err);
	if (found == NULL || found->type != AMBIENT_T_ARRAY)
		return ctl_fail(&err, "the daemon's answer");
	if (ctl->json) {
		ctl_print_json(found);
		return CTL_OK;
	}
	struct table t = table_new(heads, AM_COUNTOF(heads));
	for (const struct am_node *o = found->first; o != NULL; o = o->next) {
		int64_t objects = number(o, "objects"), bytes = number(o, "bytes");
		const char *selection = ctl_text(o, "/selection"), *error = ctl_text(o, "/error");
		cell_text(&t, ctl_text(o, "/kind"));
		cell_text(&t, selection[0] != '\0' ? selection : "all");
		(void)snprintf(cell(&t), sizeof(t.cells[0]), "%s%s%.90s", ctl_text(o, "/state"), error[0] != '\0' ? ": " : "", error);
		cell_number(&t, number(o, "users"));
		cell_number(&t, objects);
		size_text(cell(&t), (double)bytes);
		size_text(cell(&t), objects > 0 ? (double)bytes / (double)objects : 0);
		cell_number(&t, number(o, "events"));
		cell_number(&t, number(o, "skipped"));
	}
	table_print(&t);
	return CTL_OK;
}

const struct ctl_command ctl_top = {
	.name = "top",
	.synopsis = "top [--interval DURATION] [--count N] [OPTIONS]",
	.text = "Show what the daemon's plugins do and cost.",
	.options = top_options,
	.offline = true,
	.run = top,
};

const struct ctl_command ctl_cache = {
	.name = "cache",
	.synopsis = "cache [OPTIONS]",
	.text = "Show what the daemon's caches hold.",
	.options = ctl_admin_options,
	.offline = true,
	.run = cache,
};
