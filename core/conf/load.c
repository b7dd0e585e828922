/* SPDX-License-Identifier: Apache-2.0 */
/* A generation: its files found, read and merged; its errors kept; its sections and instances checked. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/str.h"
#include "core/conf/conf_priv.h"

/* ---- errors and memory */

static void am_printf_(3, 0)
conf_verror(struct am_conf_file *file, const struct conf_origin *origin, const char *fmt, va_list ap)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	const char *name = origin != NULL && origin->file != NULL ? origin->file : "configuration";

	if (file->error_count >= CONF_ERRORS_MAX) {
		file->error_dropped++;
		file->errors = am_xrealloc(file->errors, CONF_ERRORS_MAX + 1, sizeof(*file->errors));
		if (file->error_count > CONF_ERRORS_MAX)
			free(file->errors[CONF_ERRORS_MAX]);
		file->errors[CONF_ERRORS_MAX] = am_xasprintf("configuration: %zu more mistakes are not listed", file->error_dropped);
		file->error_count = CONF_ERRORS_MAX + 1;
		return;
	}
	if (origin != NULL && origin->line > 0)
		am_buf_addf(&text, "%s:%d: ", name, origin->line);
	else
		am_buf_addf(&text, "%s: ", name);
	am_buf_addv(&text, fmt, ap);
	/* One sentence is one line, whatever was quoted in it. */
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f)
			text.data[i] = '?';
	}
	file->errors = am_xrealloc(file->errors, file->error_count + 1, sizeof(*file->errors));
	file->errors[file->error_count++] = am_buf_steal(&text, NULL);
}

void
conf_error(struct am_conf_file *file, const struct conf_origin *origin, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_verror(file, origin, fmt, ap);
	va_end(ap);
}

void *
conf_alloc(struct am_conf_file *file, size_t n)
{
	void *p = am_arena_zalloc(file->arena, n);

	am_assert(p != NULL);
	return p;
}

size_t
am_conf_error_count(const struct am_conf_file *file)
{
	return file->error_count;
}

const char *
am_conf_error(const struct am_conf_file *file, size_t i)
{
	return i < file->error_count ? file->errors[i] : NULL;
}

void
am_conf_fail(struct am_conf_file *file, const struct ambient_conf *conf, const char *name, const char *fmt, ...)
{
	const struct conf_origin *origin = conf != NULL ? &conf->origin : &file->origin;
	const struct conf_slot *slot = name != NULL ? conf_slot(conf, name) : NULL;
	va_list ap;

	if (slot != NULL && slot->given)
		origin = &slot->value->origin;
	va_start(ap, fmt);
	conf_verror(file, origin, fmt, ap);
	va_end(ap);
}

/* ---- trees */

const struct am_conf_value *
conf_member(const struct am_conf_value *group, const char *name)
{
	for (const struct am_conf_value *v = group != NULL ? group->first : NULL; v != NULL; v = v->next) {
		if (v->name != NULL && strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

void
conf_append(struct am_conf_value *parent, struct am_conf_value *child)
{
	child->next = NULL;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
}

static void
remove_child(struct am_conf_value *parent, const struct am_conf_value *child)
{
	struct am_conf_value **at = &parent->first, *last = NULL;

	while (*at != NULL && *at != child) {
		last = *at;
		at = &last->next;
	}
	am_assert(*at == child);
	*at = child->next;
	if (parent->last == child)
		parent->last = last;
}

/* Puts everything of `from` over `into`; `from` is used up. */
static void
merge(struct am_conf_file *file, struct am_conf_value *into, struct am_conf_value *from)
{
	for (struct am_conf_value *v = from->first, *next; v != NULL; v = next) {
		struct am_conf_value *old = (struct am_conf_value *)(uintptr_t)conf_member(into, v->name);

		next = v->next;
		if (old != NULL && old->type == CONF_GROUP && v->type == CONF_GROUP) {
			merge(file, old, v);
			continue;
		}
		if (old != NULL && (old->type == CONF_GROUP) != (v->type == CONF_GROUP) && v->type != CONF_RAW) {
			conf_error(file, &v->origin, "\"%s\" is %s in %s and %s here", v->name,
				   old->type == CONF_GROUP ? "a group" : "a value", old->origin.file,
				   v->type == CONF_GROUP ? "a group" : "a value");
			continue;
		}
		if (old != NULL)
			remove_child(into, old);
		conf_append(into, v);
	}
}

/* ---- sources */

/* The absolute form of path, in the arena. */
static const char *
absolute(struct am_conf_file *file, const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] == '/' || getcwd(cwd, sizeof(cwd)) == NULL)
		return am_arena_strdup(file->arena, path);
	return am_arena_printf(file->arena, "%s/%s", am_streq(cwd, "/") ? "" : cwd, path);
}

static const char *
directory(struct am_conf_file *file, const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? "/" : am_arena_strndup(file->arena, path, (size_t)(slash - path));
}

static void
read_source(struct am_conf_file *file, const char *path)
{
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct conf_origin origin = { .file = am_arena_strdup(file->arena, path) };
	struct am_conf_value *tree;

	origin.dir = directory(file, absolute(file, path));
	if (am_file_read(path, CONF_FILE_MAX, &text, &err) < 0) {
		if (err.sys_errno != 0)
			conf_error(file, &origin, "cannot be read: %s", strerror(err.sys_errno));
		else
			conf_error(file, &origin, "is larger than %d KiB", CONF_FILE_MAX / 1024);
		return;
	}
	origin.line = 1;
	tree = conf_parse(file, &origin, am_buf_str(&text), text.len);
	if (tree != NULL)
		merge(file, file->root, tree);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
read_directory(struct am_conf_file *file, const char *dir)
{
	struct conf_origin origin = { .file = dir };
	char *names[CONF_FILES_MAX];
	size_t n = 0;
	DIR *d = opendir(dir);

	if (d == NULL) {
		if (errno != ENOENT)
			conf_error(file, &origin, "cannot be read: %s", strerror(errno));
		return;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.' || !am_ends(e->d_name, ".conf"))
			continue;
		if (n == CONF_FILES_MAX) {
			conf_error(file, &origin, "has more than %d files", CONF_FILES_MAX);
			break;
		}
		names[n++] = am_xstrdup(e->d_name);
	}
	(void)closedir(d);
	qsort(names, n, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < n; i++) {
		am_auto(am_freep) char *path = am_xasprintf("%s/%s", dir, names[i]);

		read_source(file, path);
		free(names[i]);
	}
}

/* "log.level=debug" */
static void
read_set(struct am_conf_file *file, const char *set)
{
	const char *eq = strchr(set, '=');
	size_t n = eq != NULL ? (size_t)(eq - set) : 0;
	struct conf_origin origin = { .file = "--set" };
	struct am_conf_value *into = file->root, *v;
	char cwd[PATH_MAX];

	if (n == 0 || n > 256 || set[0] == '.' || set[n - 1] == '.' || memmem(set, n, "..", 2) != NULL) {
		conf_error(file, &origin, "write path=value, such as log.level=debug");
		return;
	}
	if (!am_utf8_valid(set, strlen(set))) {
		conf_error(file, &origin, "this is no text in UTF-8");
		return;
	}
	origin.file = am_arena_printf(file->arena, "--set %.*s", (int)n, set);
	origin.dir = getcwd(cwd, sizeof(cwd)) != NULL ? am_arena_strdup(file->arena, cwd) : NULL;
	for (const char *p = set;;) {
		const char *end = memchr(p, '.', (size_t)(eq - p));
		const char *name = am_arena_strndup(file->arena, p, (size_t)((end != NULL ? end : eq) - p));

		v = (struct am_conf_value *)(uintptr_t)conf_member(into, name);
		if (end != NULL && v != NULL && v->type != CONF_GROUP) {
			conf_error(file, &origin, "\"%s\" is no group", name);
			return;
		}
		if (end == NULL && v != NULL)
			remove_child(into, v);
		if (end == NULL || v == NULL) {
			v = conf_alloc(file, sizeof(*v));
			v->name = name;
			v->origin = origin;
			v->type = end != NULL ? CONF_GROUP : CONF_RAW;
			conf_append(into, v);
		}
		if (end == NULL)
			break;
		into = v;
		p = end + 1;
	}
	v->s = am_arena_strdup(file->arena, eq + 1);
}

/* ---- sections and instances */

static void
check_sections(struct am_conf_file *file)
{
	const char *names[16] = { "plugins" };
	size_t n = 0, k = 1;

	while (conf_sections[n].name != NULL) {
		if (conf_sections[n].name[0] != '\0')
			names[k++] = conf_sections[n].name;
		n++;
	}
	file->sections = conf_alloc(file, n * sizeof(struct ambient_conf *));
	for (size_t i = 0; i < n; i++) {
		const struct conf_section *s = &conf_sections[i];
		const struct am_conf_value *group = s->name[0] == '\0' ? file->root : conf_member(file->root, s->name);

		if (group != NULL && group->type != CONF_GROUP) {
			conf_error(file, &group->origin, "\"%s\" must be a group, such as %s: { ... };", s->name, s->name);
			group = NULL;
		}
		file->sections[i] = conf_check(file, group, group != NULL && group != file->root ? &group->origin : &file->origin,
					       s->name, s->rows, s->name[0] == '\0' ? names : NULL);
	}
}

const struct ambient_conf *
am_conf_section(const struct am_conf_file *file, const char *section)
{
	for (size_t i = 0; conf_sections[i].name != NULL; i++) {
		if (strcmp(conf_sections[i].name, section) == 0)
			return file->sections[i];
	}
	am_assert(!"a section of the core");
}

static bool
instance_name_ok(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= 40 && s[n] == '\0';
}

static void
check_instance(struct am_conf_file *file, const struct am_conf_value *v)
{
	static const char *const others[] = { "config", NULL };
	struct conf_instance *in = &file->instances[file->instance_count];
	struct am_conf_instance *pub = &in->pub;

	if (v->type != CONF_GROUP) {
		conf_error(file, &v->origin, "\"plugins.%.60s\" must be a group, such as %.60s: { };", v->name, v->name);
		return;
	}
	if (!instance_name_ok(v->name)) {
		conf_error(file, &v->origin,
			   "\"%.60s\" cannot name a plugin's instance, use 1 to 40 lower-case letters, digits and \"-\"", v->name);
		return;
	}
	in->origin = v->origin;
	in->own = conf_check(file, v, &v->origin, am_arena_printf(file->arena, "plugins.%s", v->name), conf_instance_rows,
			     others);
	in->config = conf_member(v, "config");
	if (in->config != NULL && in->config->type != CONF_GROUP) {
		conf_error(file, &in->config->origin, "\"plugins.%s.config\" must be a group, such as config: { ... };", v->name);
		in->config = NULL;
	}
	pub->name = v->name;
	pub->plugin = am_conf_str(in->own, "plugin");
	if (pub->plugin == NULL)
		pub->plugin = pub->name;
	else if (!instance_name_ok(pub->plugin))
		am_conf_fail(file, in->own, "plugin",
			     "\"%.60s\" cannot name a plugin, use 1 to 40 lower-case letters, digits and \"-\"", pub->plugin);
	pub->path = am_conf_str(in->own, "path");
	if (pub->path == NULL)
		pub->path = am_arena_printf(file->arena, "%s/%s.so",
					    am_conf_str(am_conf_section(file, ""), "plugin_dir"), pub->plugin);
	pub->isolation = am_conf_str(in->own, "isolation");
	if (!am_streq(pub->isolation, "none") && !am_streq(pub->isolation, "process"))
		am_conf_fail(file, in->own, "isolation", "\"plugins.%s.isolation\" must be \"none\" or \"process\", not \"%.40s\"",
			     v->name, pub->isolation);
	pub->workers = am_conf_int(in->own, "workers");
	pub->deadline = am_conf_int(in->own, "deadline");
	pub->when = am_conf_str(in->own, "when");
	pub->namespace_count = am_conf_strings(in->own, "namespaces", &pub->namespaces);
	pub->readonly = am_conf_int(in->own, "readonly") != 0;
	pub->enabled = am_conf_int(in->own, "enabled") != 0;
	pub->where = v->origin.line > 0 ? am_arena_printf(file->arena, "%s:%d", v->origin.file, v->origin.line)
					: v->origin.file;
	file->instance_count++;
}

static void
check_instances(struct am_conf_file *file)
{
	const struct am_conf_value *plugins = conf_member(file->root, "plugins");
	size_t n = 0;

	if (plugins == NULL)
		return;
	if (plugins->type != CONF_GROUP) {
		conf_error(file, &plugins->origin, "\"plugins\" must be a group, such as plugins: { widget: { }; };");
		return;
	}
	for (const struct am_conf_value *v = plugins->first; v != NULL; v = v->next)
		n++;
	file->instances = conf_alloc(file, (n + 1) * sizeof(*file->instances));
	for (const struct am_conf_value *v = plugins->first; v != NULL; v = v->next)
		check_instance(file, v);
}

size_t
am_conf_instance_count(const struct am_conf_file *file)
{
	return file->instance_count;
}

const struct am_conf_instance *
am_conf_instance(const struct am_conf_file *file, size_t i)
{
	return i < file->instance_count ? &file->instances[i].pub : NULL;
}

static struct conf_instance *
own_instance(struct am_conf_file *file, const struct am_conf_instance *instance)
{
	for (size_t i = 0; i < file->instance_count; i++) {
		if (&file->instances[i].pub == instance)
			return &file->instances[i];
	}
	am_assert(!"an instance of this generation");
}

void
am_conf_instance_fail(struct am_conf_file *file, const struct am_conf_instance *instance, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	conf_verror(file, &own_instance(file, instance)->origin, fmt, ap);
	va_end(ap);
}

const struct ambient_conf *
am_conf_check_instance(struct am_conf_file *file, const struct am_conf_instance *instance,
		       const struct ambient_option *const *options)
{
	struct conf_instance *in = own_instance(file, instance);
	size_t before = file->error_count + file->error_dropped;

	am_assert(in->checked == NULL);
	in->checked = conf_check(file, in->config, in->config != NULL ? &in->config->origin : &in->origin,
				 am_arena_printf(file->arena, "plugins.%s.config", in->pub.name),
				 conf_copy_options(file, options, 0), NULL);
	return file->error_count + file->error_dropped == before ? in->checked : NULL;
}

/* ---- life */

struct am_conf_file *
am_conf_load(const char *path, const char *const *sets)
{
	struct am_conf_file *file = am_xcalloc(1, sizeof(*file));

	file->arena = am_arena_new();
	file->root = conf_alloc(file, sizeof(*file->root));
	file->origin.file = path != NULL ? am_arena_strdup(file->arena, path) : "default";
	if (path != NULL) {
		const char *dir = directory(file, absolute(file, path));

		read_source(file, path);
		read_directory(file, am_arena_printf(file->arena, "%s/conf.d", am_streq(dir, "/") ? "" : dir));
	}
	for (size_t i = 0; sets != NULL && sets[i] != NULL; i++)
		read_set(file, sets[i]);
	check_sections(file);
	check_instances(file);
	conf_check_core(file);
	return file;
}

void
am_conf_free(struct am_conf_file *file)
{
	if (file == NULL)
		return;
	conf_secrets_wipe(file);
	for (size_t i = 0; i < file->error_count; i++)
		free(file->errors[i]);
	free(file->errors);
	am_arena_free(file->arena);
	free(file);
}
