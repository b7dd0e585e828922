/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a file to checked tables.  The file is read once, through the descriptor that was verified; those bytes
 * are inspected, hashed and written to a private copy named by their hash, and the copy is what is mapped: the
 * original may then be replaced or truncated.  Of the plugin's tables the daemon keeps copies, as long as it
 * knows them, and never looks at the plugin's own again.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/util.h"
#include "core/conf/conf.h"
#include "core/plugin/plugin_priv.h"

/* Sizes of the tables of ABI 1.0: nobody was ever told that they could be shorter. */
#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
enum {
	MIN_PLUGIN = END_OF(struct ambient_plugin, servers),
	MIN_RECONCILER = END_OF(struct ambient_reconciler, reconcile),
	MIN_RUNNER = END_OF(struct ambient_runner, exited),
	MIN_SERVER = END_OF(struct ambient_server, stop)
};

#define BAD(...) ambient_err(err, AMBIENT_E_INVALID, __VA_ARGS__)

/* What this process has loaded; entries are never removed.  lock guards both. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct am_lock lock;
static struct am_plugin **loaded;
static size_t loaded_count;

static void
init_once(void)
{
	am_lock_init(&lock, "plugins");
}

/* ---- inspect */

int
am_plugin_read_fd(int fd, const char *path, struct am_buf *out, struct ambient_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return am_err_errno(err, errno, "plugin \"%.200s\"", path);
	if (!S_ISREG(st.st_mode))
		return BAD("plugin \"%.200s\": it is no regular file", path);
	if (st.st_size > PLUGIN_FILE_MAX)
		return BAD("plugin \"%.200s\": it is larger than %d MiB", path, PLUGIN_FILE_MAX >> 20);
	if (!am_buf_reserve(out, (size_t)st.st_size + 1))
		return ambient_err(err, AMBIENT_E_NOMEM, "plugin \"%.200s\": no memory for its %lld bytes", path,
				   (long long)st.st_size);
	for (;;) {
		char chunk[16384];
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return am_err_errno(err, errno, "plugin \"%.200s\"", path);
		if (n == 0)
			return 0;
		if (out->len + (size_t)n > PLUGIN_FILE_MAX)
			return BAD("plugin \"%.200s\": it grows while it is read", path);
		am_buf_add(out, chunk, (size_t)n);
	}
}

int
am_plugin_inspect_bytes(const char *path, const char *data, size_t n, struct am_plugin_info *ret,
			struct plugin_elf *elf, struct ambient_error *err)
{
	unsigned char hash[32];

	*ret = (struct am_plugin_info){ .size = n };
	if (am_plugin_elf_parse(data, n, elf, err) < 0) {
		char what[160];

		(void)am_strlcpy(what, err->message, sizeof(what));
		return BAD("\"%.120s\" %s", path, what);
	}
	if (elf->decl == NULL)
		return BAD("\"%.120s\" is no plugin, it has no section \"ambient_plugin\", see AMBIENT_DECLARE", path);
	if (elf->abi < 0)
		return BAD("\"%.120s\" is no plugin, it does not export ambient_plugin_v%d", path, AMBIENT_ABI_MAJOR);
	if (elf->abi != AMBIENT_ABI_MAJOR)
		return BAD("\"%.120s\" is built for ABI %d, this daemon speaks %d, build it against the headers of this release",
			   path, elf->abi, AMBIENT_ABI_MAJOR);
	if (elf->has_jansson)
		return BAD("\"%.120s\" carries a copy of jansson, link it with -ljansson instead", path);
	ret->decl = am_plugin_decl_parse(elf->decl, elf->decl_len, err);
	if (ret->decl == NULL)
		return am_err_prefix(err, "plugin \"%.120s\"", path);
	ret->abi = elf->abi;
	am_sha256(data, n, hash);
	am_hex(ret->sha256, hash, sizeof(hash));
	return 0;
}

int
am_plugin_inspect(const char *path, struct am_plugin_info *ret, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	struct ambient_error mine = AMBIENT_ERROR_INIT;
	struct plugin_elf elf;
	int fd, rc;

	*ret = (struct am_plugin_info){ 0 };
	if (err == NULL)
		err = &mine;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return am_err_errno(err, errno, "plugin \"%.200s\"", path);
	rc = am_plugin_read_fd(fd, path, &bytes, err);
	(void)close(fd);
	return rc < 0 ? rc : am_plugin_inspect_bytes(path, bytes.data != NULL ? bytes.data : "", bytes.len, ret, &elf, err);
}

void
am_plugin_info_fini(struct am_plugin_info *info)
{
	am_plugin_decl_free(info->decl);
	info->decl = NULL;
}

/* ---- the directory of private copies */

int
am_plugin_dir_prepare(const char *dir, struct ambient_error *err)
{
	struct ambient_error mine = AMBIENT_ERROR_INIT;
	struct statvfs vfs;
	struct stat st;
	DIR *d;
	int rc;

	if (err == NULL)
		err = &mine;
	if (dir[0] != '/')
		return BAD("the directory for private copies of plugins, \"%.200s\", must be absolute", dir);
	rc = am_mkdirs(dir, 0700, err);
	if (rc < 0)
		return rc;
	if (lstat(dir, &st) < 0 || statvfs(dir, &vfs) < 0)
		return am_err_errno(err, errno, "\"%.200s\"", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return ambient_err(err, AMBIENT_E_FORBIDDEN,
				   "\"%.200s\" must be a directory of this user with mode 0700, plugins are loaded from it", dir);
	if (vfs.f_flag & ST_NOEXEC)
		return ambient_err(err, AMBIENT_E_FORBIDDEN,
				   "\"%.160s\" is mounted noexec, plugins cannot be loaded from it, set \"runtime\" to another directory",
				   dir);
	/* Copies of earlier processes; where one still runs, its mappings stay. */
	d = opendir(dir);
	if (d == NULL)
		return am_err_errno(err, errno, "\"%.200s\"", dir);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (am_ends(e->d_name, ".so"))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	(void)closedir(d);
	return 0;
}

/* ---- tables */

static size_t
count_entries(const void *const *list)
{
	size_t n = 0;

	while (list != NULL && n <= PLUGIN_ENTRIES_MAX && list[n] != NULL)
		n++;
	return n;
}

/* Copies tables of min to own bytes each; every entry begins with its size. */
static int
copy_entries(const void *const *list, size_t own, size_t min, const char *what, void *ret_array, size_t *ret_count,
	     struct ambient_error *err)
{
	size_t n = count_entries(list);
	char *array = am_xcalloc(n + 1, own);

	*(void **)ret_array = array;
	*ret_count = n;
	if (n > PLUGIN_ENTRIES_MAX)
		return BAD("its list of %ss has no end within %d entries", what, PLUGIN_ENTRIES_MAX);
	for (size_t i = 0; i < n; i++) {
		size_t size;

		memcpy(&size, list[i], sizeof(size));
		if (size < min)
			return BAD("its %s %zu has a table of %zu bytes, at least %zu are needed", what, i + 1, size, min);
		memcpy(array + i * own, list[i], AM_MIN(size, own));
	}
	return 0;
}

/* Every provided name is declared, and the other way round. */
static int
match_names(const char *what, const char *const *declared, size_t n, const char *const *provided, size_t m,
	    struct ambient_error *err)
{
	for (size_t i = 0; i < m; i++) {
		size_t k = 0;

		while (k < n && !am_streq(declared[k], provided[i]))
			k++;
		if (k == n)
			return BAD("it has a %s \"%.60s\", which it does not declare", what, provided[i]);
		for (k = 0; k < i; k++) {
			if (am_streq(provided[k], provided[i]))
				return BAD("it has the %s \"%.60s\" twice", what, provided[i]);
		}
	}
	for (size_t k = 0; k < n; k++) {
		size_t i = 0;

		while (i < m && !am_streq(declared[k], provided[i]))
			i++;
		if (i == m)
			return BAD("it declares a %s \"%.60s\", but has none", what, declared[k]);
	}
	return 0;
}

static int
check_reconcilers(struct am_plugin *p, struct ambient_error *err)
{
	const char *declared[PLUGIN_ENTRIES_MAX], *provided[PLUGIN_ENTRIES_MAX];
	int rc = copy_entries((const void *const *)p->table.reconcilers, sizeof(*p->reconcilers), MIN_RECONCILER, "reconciler",
			      &p->reconcilers, &p->reconciler_count, err);

	if (rc < 0)
		return rc;
	if (p->decl->reconciler_count > PLUGIN_ENTRIES_MAX)
		return BAD("it declares more than %d reconcilers", PLUGIN_ENTRIES_MAX);
	for (size_t i = 0; i < p->decl->reconciler_count; i++)
		declared[i] = p->decl->reconcilers[i].name;
	for (size_t i = 0; i < p->reconciler_count; i++) {
		struct ambient_reconciler *r = &p->reconcilers[i];

		if (r->name == NULL)
			r->name = p->decl->name;
		provided[i] = r->name;
		if (r->reconcile == NULL)
			return BAD("its reconciler \"%.60s\" has no function reconcile", r->name);
	}
	return match_names("reconciler", declared, p->decl->reconciler_count, provided, p->reconciler_count, err);
}

static int
check_runners(struct am_plugin *p, struct ambient_error *err)
{
	const char *provided[PLUGIN_ENTRIES_MAX];
	int rc = copy_entries((const void *const *)p->table.runners, sizeof(*p->runners), MIN_RUNNER, "runner type",
			      &p->runners, &p->runner_count, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->runner_count; i++) {
		provided[i] = p->runners[i].type;
		if (provided[i] == NULL)
			return BAD("its runner type %zu has no name", i + 1);
		if (p->runners[i].command == NULL)
			return BAD("its runner type \"%.60s\" has no function command", provided[i]);
	}
	return match_names("runner type", p->decl->runners, p->decl->runner_count, provided, p->runner_count, err);
}

static int
check_servers(struct am_plugin *p, struct ambient_error *err)
{
	const char *provided[PLUGIN_ENTRIES_MAX];
	int rc = copy_entries((const void *const *)p->table.servers, sizeof(*p->servers), MIN_SERVER, "server", &p->servers,
			      &p->server_count, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < p->server_count; i++) {
		const struct ambient_server *s = &p->servers[i];

		provided[i] = s->name;
		if (s->name == NULL)
			return BAD("its server %zu has no name", i + 1);
		if (s->start == NULL || s->stop == NULL)
			return BAD("its server \"%.60s\" needs the functions start and stop", s->name);
		if (p->decl->provides_cluster && s->kubeconfig == NULL)
			return BAD("its server \"%.60s\" provides the cluster and needs the function kubeconfig", s->name);
	}
	return match_names("server", p->decl->servers, p->decl->server_count, provided, p->server_count, err);
}

static int
check_descriptor(struct am_plugin *p, const struct ambient_plugin *theirs, const struct plugin_elf *elf,
		 struct ambient_error *err)
{
	int rc;

	if (theirs->magic != AMBIENT_PLUGIN_MAGIC)
		return BAD("its descriptor does not begin with the magic number, see AMBIENT_PLUGIN_HEAD");
	if (theirs->abi_major != AMBIENT_ABI_MAJOR || theirs->abi_minor > AMBIENT_ABI_MINOR)
		return BAD("it is built for ABI %u.%u, this daemon speaks %d.%d, %s", theirs->abi_major, theirs->abi_minor,
			   AMBIENT_ABI_MAJOR, AMBIENT_ABI_MINOR,
			   theirs->abi_major == AMBIENT_ABI_MAJOR ? "update the daemon" : "build it against the headers of this release");
	if (theirs->size < MIN_PLUGIN)
		return BAD("its descriptor has %u bytes, at least %d are needed", theirs->size, (int)MIN_PLUGIN);
	memcpy(&p->table, theirs, AM_MIN(theirs->size, sizeof(p->table)));
	if (p->table.flags != 0)
		return BAD("its descriptor has flags 0x%x, which this daemon does not know", p->table.flags);
	if (p->table.decl == NULL || p->table.decl_len != elf->decl_len || memcmp(p->table.decl, elf->decl, elf->decl_len) != 0)
		return BAD("its descriptor does not point at its declarations, see AMBIENT_PLUGIN_HEAD");
	if (p->table.create == NULL)
		return BAD("it has no function create");
	rc = am_conf_check_options(p->table.options, err);
	if (rc == 0)
		rc = check_reconcilers(p, err);
	if (rc == 0)
		rc = check_runners(p, err);
	return rc < 0 ? rc : check_servers(p, err);
}

/* ---- load */

/* What dlopen says, without the name of our copy, as a sentence. */
static int
dlopen_error(const char *copy, const char *said, struct ambient_error *err)
{
	size_t n = strlen(copy);
	const char *p;

	if (said == NULL)
		said = "it cannot be loaded";
	if (strncmp(said, copy, n) == 0 && strncmp(said + n, ": ", 2) == 0)
		said += n + 2;
	p = strstr(said, ": cannot open shared object file: No such file");
	if (p != NULL)
		return BAD("it needs the library \"%.*s\", which is not installed", (int)AM_MIN(p - said, (ptrdiff_t)120), said);
	if (am_starts(said, "undefined symbol: "))
		return BAD("it uses the symbol \"%.120s\", which nothing defines, link it with -Wl,-z,defs",
			   said + strlen("undefined symbol: "));
	return BAD("%.200s", said);
}

static int
check_jansson(void *handle, struct ambient_error *err)
{
	void *theirs = dlsym(handle, "json_object_get"), *ours = dlsym(RTLD_DEFAULT, "json_object_get");

	if (theirs != NULL && ours != NULL && theirs != ours)
		return BAD("it brings another copy of jansson than the daemon's");
	return 0;
}

static int
open_copy(struct am_plugin *p, const struct plugin_elf *elf, struct ambient_error *err)
{
	void *handle = dlopen(p->copy, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	char symbol[40];

	if (handle == NULL)
		return dlopen_error(p->copy, dlerror(), err);
	if (check_jansson(handle, err) < 0)
		return -err->code;
	(void)snprintf(symbol, sizeof(symbol), "ambient_plugin_v%d", AMBIENT_ABI_MAJOR);
	const struct ambient_plugin *theirs = dlsym(handle, symbol);
	if (theirs == NULL)
		return BAD("it does not export %s", symbol);
	return check_descriptor(p, theirs, elf, err);
}

static void
free_plugin(struct am_plugin *p)
{
	free((char *)(uintptr_t)p->path);
	free((char *)(uintptr_t)p->copy);
	am_plugin_decl_free((struct am_plugin_decl *)(uintptr_t)p->decl);
	free(p->reconcilers);
	free(p->runners);
	free(p->servers);
	free(p);
}

/* Is it there already, or something that excludes it? */
static int
find_loaded(const char *path, const struct am_plugin_info *info, struct am_plugin **ret, struct ambient_error *err)
{
	*ret = NULL;
	for (size_t i = 0; i < loaded_count; i++) {
		struct am_plugin *other = loaded[i];

		if (strcmp(other->sha256, info->sha256) == 0) {
			*ret = other;
			return 0;
		}
		if (strcmp(other->decl->name, info->decl->name) != 0)
			continue;
		if (strcmp(other->path, path) == 0)
			return BAD("plugin \"%.200s\" changed since it was loaded, restart to run the new code", path);
		return BAD("plugin \"%.120s\" has the name \"%s\" of another that is loaded, \"%.120s\"", path, info->decl->name,
			   other->path);
	}
	return 0;
}

static int
load_bytes(const char *path, const char *dir, const struct am_buf *bytes, struct am_plugin_info *info,
	   const struct plugin_elf *elf, struct am_plugin **ret, struct ambient_error *err)
{
	struct am_plugin *p;
	int rc = find_loaded(path, info, ret, err);

	if (rc < 0 || *ret != NULL)
		return rc;
	p = am_xcalloc(1, sizeof(*p));
	p->path = am_xstrdup(path);
	p->copy = am_xasprintf("%s/%s.so", dir, info->sha256);
	(void)am_strlcpy(p->sha256, info->sha256, sizeof(p->sha256));
	p->decl = info->decl;
	info->decl = NULL;
	rc = am_file_put(p->copy, bytes->data, bytes->len, 0500, err);
	if (rc == 0 && open_copy(p, elf, err) < 0)
		rc = am_err_prefix(err, "plugin \"%.120s\"", path);
	if (rc < 0) {
		(void)unlink(p->copy);
		free_plugin(p);
		return rc;
	}
	loaded = am_xrealloc(loaded, loaded_count + 1, sizeof(struct am_plugin *));
	loaded[loaded_count++] = p;
	am_log_debug("plugin", "loaded \"%s\" %s from %s", p->decl->name, p->decl->version, path);
	*ret = p;
	return 0;
}

int
am_plugin_load(const char *path, const char *dir, const struct am_plugin **ret, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	struct ambient_error mine = AMBIENT_ERROR_INIT;
	struct am_plugin_info info = { 0 };
	struct am_plugin *plugin = NULL;
	struct plugin_elf elf;
	int fd, rc;

	*ret = NULL;
	if (err == NULL)
		err = &mine;
	fd = am_plugin_verify(path, err);
	if (fd < 0)
		return fd;
	rc = am_plugin_read_fd(fd, path, &bytes, err);
	(void)close(fd);
	if (rc == 0)
		rc = am_plugin_inspect_bytes(path, bytes.data != NULL ? bytes.data : "", bytes.len, &info, &elf, err);
	if (rc == 0)
		rc = am_plugin_verify_runpath(path, &elf, err);
	if (rc == 0) {
		(void)pthread_once(&once, init_once);
		am_lock(&lock);
		rc = load_bytes(path, dir, &bytes, &info, &elf, &plugin, err);
		am_unlock(&lock);
	}
	am_plugin_info_fini(&info);
	*ret = plugin;
	return rc;
}

/* ---- questions */

const struct ambient_reconciler *
am_plugin_reconciler(const struct am_plugin *plugin, const char *name)
{
	for (size_t i = 0; i < plugin->reconciler_count; i++) {
		if (am_streq(plugin->reconcilers[i].name, name))
			return &plugin->reconcilers[i];
	}
	return NULL;
}

const struct ambient_runner *
am_plugin_runner(const struct am_plugin *plugin, const char *type)
{
	for (size_t i = 0; i < plugin->runner_count; i++) {
		if (am_streq(plugin->runners[i].type, type))
			return &plugin->runners[i];
	}
	return NULL;
}

const struct ambient_server *
am_plugin_server(const struct am_plugin *plugin, const char *name)
{
	for (size_t i = 0; i < plugin->server_count; i++) {
		if (am_streq(plugin->servers[i].name, name))
			return &plugin->servers[i];
	}
	return NULL;
}
