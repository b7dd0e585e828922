/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader against good and broken plugins.  Each fixture is copied into a directory of its own, so that who
 * owns the build tree does not matter, perhaps damaged on the way, and loaded; the message is compared whole,
 * with D for that directory.
 */
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/conf/conf.h"
#include "core/plugin/plugin.h"
#include "tests/lib/unit.h"

static char dir[64], cache[80], path[160];

static void
setup(void)
{
	(void)strcpy(dir, "/tmp/ambient-plugins-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(cache, sizeof(cache), "%s/cache", dir);
	ck_assert_int_eq(am_plugin_dir_prepare(cache, NULL), 0);
}

static void
teardown(void)
{
	(void)am_remove_tree(dir, NULL);
}

static void
take(const char *fixture, struct am_buf *bytes)
{
	am_auto(am_freep) char *from = am_xasprintf("%s/%s.so", FIXTURES, fixture);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_file_read(from, 64 << 20, bytes, &err) == 0, "%s", err.message);
}

/* Puts a fixture into the directory, and its path into `path`. */
static void
put(const char *fixture, const struct am_buf *bytes)
{
	(void)snprintf(path, sizeof(path), "%s/%s.so", dir, fixture);
	ck_assert_int_eq(am_file_write(path, bytes->data, bytes->len, 0644, NULL), 0);
}

/* The message with D for the directory. */
static const char *
local(const char *message)
{
	static char out[512];
	const char *p;
	size_t n = 0;

	while ((p = strstr(message, dir)) != NULL && n < 100) {
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*sD", (int)(p - message), message);
		message = p + strlen(dir);
	}
	(void)snprintf(out + n, sizeof(out) - n, "%s", message);
	return out;
}

static const char *
load(void)
{
	const struct am_plugin *plugin;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = am_plugin_load(path, cache, &plugin, &err);

	ck_assert_int_eq(rc, -err.code);
	ck_assert_int_eq(rc == 0, plugin != NULL);
	return rc == 0 ? "" : local(err.message);
}

/* ---- damage done to a copy before it is loaded */

static void
none(struct am_buf *bytes)
{
	(void)bytes;
}

static void
half(struct am_buf *bytes)
{
	bytes->len /= 2;
}

static void
ten_bytes(struct am_buf *bytes)
{
	bytes->len = 10;
}

static void
no_bytes(struct am_buf *bytes)
{
	bytes->len = 0;
}

static void
text(struct am_buf *bytes)
{
	am_buf_reset(bytes);
	am_buf_adds(bytes, "#!/bin/sh\necho I am no plugin, and long enough for a header of sixty-four bytes\n");
}

static void
other_machine(struct am_buf *bytes)
{
	((Elf64_Ehdr *)(void *)bytes->data)->e_machine = EM_S390;
}

static void
executable(struct am_buf *bytes)
{
	((Elf64_Ehdr *)(void *)bytes->data)->e_type = ET_EXEC;
}

static void
no_sections(struct am_buf *bytes)
{
	((Elf64_Ehdr *)(void *)bytes->data)->e_shnum = 0;
}

/* The only library of good_full is libc, whose name is one string of its dynamic table. */
static void
other_libc(struct am_buf *bytes)
{
	char *p = memmem(bytes->data, bytes->len, "\0libc.so.6", 11);

	ck_assert_ptr_nonnull(p);
	p[4] = 'q';
}

/* ---- and to the file */

static void
plain(void)
{
}

static void
world_writable(void)
{
	ck_assert_int_eq(chmod(path, 0646), 0);
}

static void
world_writable_dir(void)
{
	ck_assert_int_eq(chmod(dir, 0703), 0);
}

static void
link_to_it(void)
{
	am_auto(am_freep) char *real = am_xasprintf("%s/real.so", dir);

	ck_assert_int_eq(rename(path, real), 0);
	ck_assert_int_eq(symlink("real.so", path), 0);
}

static void
gone(void)
{
	ck_assert_int_eq(unlink(path), 0);
}

static void
a_directory(void)
{
	gone();
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void
a_fifo(void)
{
	gone();
	ck_assert_int_eq(mkfifo(path, 0644), 0);
}

static void
relative_path(void)
{
	(void)strcpy(path, "good_min.so");
}

static void
dotted_path(void)
{
	(void)snprintf(path, sizeof(path), "%s/../%s/good_min.so", dir, dir + 5);
}

static const struct {
	const char *fixture;
	void (*damage)(struct am_buf *bytes);
	void (*arrange)(void);
	const char *message; /* "": loads */
} rows[] = {
	{ "good_min", none, plain, "" },
	{ "good_full", none, plain, "" },
	{ "no_symbol", none, plain, "\"D/no_symbol.so\" is no plugin, it does not export ambient_plugin_v1" },
	{ "no_section", none, plain, "\"D/no_section.so\" is no plugin, it has no section \"ambient_plugin\", see AMBIENT_DECLARE" },
	{ "other_abi", none, plain,
	  "\"D/other_abi.so\" is built for ABI 7, this daemon speaks 1, build it against the headers of this release" },
	{ "newer_minor", none, plain,
	  "plugin \"D/newer_minor.so\": it is built for ABI 1.1, this daemon speaks 1.0, update the daemon" },
	{ "short_table", none, plain, "plugin \"D/short_table.so\": its descriptor has 24 bytes, at least 104 are needed" },
	{ "short_reconciler", none, plain,
	  "plugin \"D/short_reconciler.so\": its reconciler 1 has a table of 8 bytes, at least 24 are needed" },
	{ "null_reconcile", none, plain, "plugin \"D/null_reconcile.so\": its reconciler \"broken\" has no function reconcile" },
	{ "undeclared", none, plain, "plugin \"D/undeclared.so\": it has a reconciler \"gadgets\", which it does not declare" },
	{ "missing", none, plain, "plugin \"D/missing.so\": it declares a runner type \"echo\", but has none" },
	{ "own_jansson", none, plain, "\"D/own_jansson.so\" carries a copy of jansson, link it with -ljansson instead" },
	{ "create_fails", none, plain, "" },
	{ "bad_magic", none, plain,
	  "plugin \"D/bad_magic.so\": its descriptor does not begin with the magic number, see AMBIENT_PLUGIN_HEAD" },
	{ "unknown_flags", none, plain, "plugin \"D/unknown_flags.so\": its descriptor has flags 0x80, which this daemon does not know" },
	{ "other_decl", none, plain,
	  "plugin \"D/other_decl.so\": its descriptor does not point at its declarations, see AMBIENT_PLUGIN_HEAD" },
	{ "no_create", none, plain, "plugin \"D/no_create.so\": it has no function create" },
	{ "bad_option", none, plain, "plugin \"D/bad_option.so\": its option \"odd\" has type 77, which this daemon does not know" },
	{ "decl_no_name", none, plain,
	  "plugin \"D/decl_no_name.so\": the first declaration must be name=, not \"version=1.0.0\"" },
	{ "provides_nothing", none, plain,
	  "plugin \"D/provides_nothing.so\": it provides nothing: no for=, runner= or server= line" },
	{ "no_kubeconfig", none, plain,
	  "plugin \"D/no_kubeconfig.so\": its server \"api\" provides the cluster and needs the function kubeconfig" },
	{ "relative_runpath", none, plain,
	  "plugin \"D/relative_runpath.so\": its RUNPATH has \"lib\", which is not absolute, link it without -rpath" },
	{ "good_full", other_libc, plain, "plugin \"D/good_full.so\": it needs the library \"libq.so.6\", which is not installed" },
	{ "good_min", half, plain, NULL },
	{ "good_min", ten_bytes, plain, "\"D/good_min.so\" is cut short" },
	{ "good_min", no_bytes, plain, "\"D/good_min.so\" is no shared object" },
	{ "good_min", text, plain, "\"D/good_min.so\" is no shared object" },
	{ "good_min", other_machine, plain, "\"D/good_min.so\" is built for another machine" },
	{ "good_min", executable, plain, "\"D/good_min.so\" is no shared object" },
	{ "good_min", no_sections, plain, "\"D/good_min.so\" has no table of sections, it was stripped too far" },
	{ "good_min", none, world_writable, "plugin \"D/good_min.so\": \"D/good_min.so\" is writable by everybody, run chmod o-w on it" },
	{ "good_min", none, world_writable_dir, "plugin \"D/good_min.so\": \"D\" is writable by everybody, run chmod o-w on it" },
	{ "good_min", none, link_to_it,
	  "plugin \"D/good_min.so\": \"D/good_min.so\" is a symbolic link, configure the real path, \"D/real.so\"" },
	{ "good_min", none, gone, "plugin \"D/good_min.so\": there is no \"D/good_min.so\"" },
	{ "good_min", none, a_directory, "plugin \"D/good_min.so\": it is no regular file" },
	{ "good_min", none, a_fifo, "plugin \"D/good_min.so\": it is no regular file" },
	{ "good_min", none, relative_path, "plugin \"good_min.so\": its path must be absolute" },
	{ "good_min", none, dotted_path, NULL },
};

/* Every row runs in a process of its own: Check forks. */
START_TEST(messages)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	const char *got;

	take(rows[_i].fixture, &bytes);
	rows[_i].damage(&bytes);
	put(rows[_i].fixture, &bytes);
	rows[_i].arrange();
	got = load();
	if (rows[_i].message != NULL)
		ck_assert_str_eq(got, rows[_i].message);
	else if (rows[_i].damage == half)
		ck_assert_ptr_nonnull(strstr(got, "\"D/good_min.so\" is cut short or damaged: "));
	else
		ck_assert_ptr_nonnull(strstr(got, ": its path has a part \"..\", configure the real path"));
}
END_TEST

START_TEST(other_owner)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };

	take("good_min", &bytes);
	put("good_min", &bytes);
	/* Only root can give a file away; everybody else is refused what is not his. */
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(path, 12345, (gid_t)-1), 0);
	ck_assert_str_eq(load(), "plugin \"D/good_min.so\": \"D/good_min.so\" belongs to uid 12345, it must belong to root or to uid 0");
	ck_assert_int_eq(chown(path, 0, 12345), 0);
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_str_eq(load(), "plugin \"D/good_min.so\": \"D/good_min.so\" is writable by group 12345, run chmod g-w on it");
	ck_assert_int_eq(chown(path, 0, getegid()), 0);
	ck_assert_str_eq(load(), "");
}
END_TEST

START_TEST(tables_are_copied)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	const struct am_plugin *p, *again;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ambient_result result = { .size = sizeof(result) };
	void *self;

	take("good_full", &bytes);
	put("good_full", &bytes);
	ck_assert_int_eq(am_plugin_load(path, cache, &p, &err), 0);
	ck_assert_str_eq(p->decl->name, "good-full");
	ck_assert_uint_eq(p->reconciler_count, 2);
	ck_assert_ptr_nonnull(am_plugin_reconciler(p, "gadgets"));
	ck_assert_ptr_null(am_plugin_reconciler(p, "good-full"));
	ck_assert_str_eq(am_plugin_runner(p, "echo")->type, "echo");
	ck_assert_ptr_null(am_plugin_runner(p, "echo")->plan);
	ck_assert_ptr_nonnull(am_plugin_server(p, "web"));
	ck_assert_str_eq(p->table.options[0]->name, "region");
	ck_assert_ptr_null(p->table.reload);
	ck_assert_ptr_nonnull(strstr(p->copy, p->sha256));
	ck_assert_int_eq(p->table.create(NULL, NULL, &self, &err), 0);
	ck_assert_int_eq(am_plugin_reconciler(p, "widgets")->reconcile(self, NULL, NULL, &result, &err), 0);
	ck_assert_int_eq(result.requeue_after, AMBIENT_SECOND);
	p->table.destroy(self);

	/* The same content under another name is the same plugin; the original may be gone. */
	ck_assert_int_eq(unlink(path), 0);
	put("elsewhere", &bytes);
	ck_assert_int_eq(am_plugin_load(path, cache, &again, &err), 0);
	ck_assert_ptr_eq(p, again);
}
END_TEST

START_TEST(changed_code_needs_a_restart)
{
	am_auto(am_buf_fini) struct am_buf first = { 0 }, second = { 0 };

	take("good_min", &first);
	take("same_name", &second);
	put("good_min", &first);
	ck_assert_str_eq(load(), "");
	put("good_min", &second);
	ck_assert_str_eq(load(), "plugin \"D/good_min.so\" changed since it was loaded, restart to run the new code");
	put("second", &second);
	ck_assert_str_eq(load(), "plugin \"D/second.so\" has the name \"good-min\" of another that is loaded, \"D/good_min.so\"");
	put("good_min", &first);
	ck_assert_str_eq(load(), "");
}
END_TEST

START_TEST(create_fails)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	const struct am_plugin *p;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	void *self;

	take("create_fails", &bytes);
	put("create_fails", &bytes);
	ck_assert_int_eq(am_plugin_load(path, cache, &p, &err), 0);
	ck_assert_int_eq(p->table.create(NULL, NULL, &self, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_str_eq(err.message, "the widget works are closed");
}
END_TEST

START_TEST(inspect_runs_nothing)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	struct am_plugin_info info;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	take("good_full", &bytes);
	put("good_full", &bytes);
	/* Not safe to load, still readable. */
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(am_plugin_inspect(path, &info, &err), 0);
	ck_assert_int_eq(info.abi, 1);
	ck_assert_uint_eq(info.size, bytes.len);
	ck_assert_uint_eq(strlen(info.sha256), 64);
	ck_assert_str_eq(info.decl->version, "2.1.0-rc1");
	const struct am_plugin_reconciler *r = am_plugin_decl_reconciler(info.decl, "widgets");
	ck_assert_uint_eq(r->watch_count, 2);
	ck_assert_str_eq(r->watches[0].labels, "app=x");
	ck_assert_str_eq(r->watches[0].fields, "status.phase=Running");
	ck_assert_int_eq(r->watches[0].map, AM_PLUGIN_MAP_LABEL);
	ck_assert_str_eq(r->watches[0].map_key, "agentic-session");
	ck_assert_int_eq(r->watches[1].map, AM_PLUGIN_MAP_INDEX);
	am_plugin_info_fini(&info);
	ck_assert_int_eq(am_plugin_inspect("/nonexistent.so", &info, &err), -AMBIENT_E_NOTFOUND);
	am_plugin_info_fini(&info);
}
END_TEST

START_TEST(private_directory)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	am_auto(am_freep) char *old = am_xasprintf("%s/old.so", cache);

	ck_assert_int_eq(am_plugin_dir_prepare("relative", &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_file_write(old, "x", 1, 0500, NULL), 0);
	ck_assert_int_eq(am_plugin_dir_prepare(cache, &err), 0);
	ck_assert_int_eq(access(old, F_OK), -1);
	ck_assert_int_eq(chmod(cache, 0755), 0);
	ck_assert_int_eq(am_plugin_dir_prepare(cache, &err), -AMBIENT_E_FORBIDDEN);
	ck_assert_str_eq(local(err.message),
			 "\"D/cache\" must be a directory of this user with mode 0700, plugins are loaded from it");
	ck_assert_int_lt(am_plugin_dir_prepare("/proc/ambient", &err), 0);
}
END_TEST

/* Needs the right to mount; in this process's own namespace. */
START_TEST(noexec_directory)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", cache, "tmpfs", MS_NOEXEC, "mode=0700") < 0)
		return;
	ck_assert_int_eq(am_plugin_dir_prepare(cache, &err), -AMBIENT_E_FORBIDDEN);
	ck_assert_str_eq(local(err.message), "\"D/cache\" is mounted noexec, plugins cannot be loaded from it, set \"runtime\" to "
					     "another directory");
	ck_assert_int_eq(umount(cache), 0);
}
END_TEST

/* Every prefix of a good file, and every file with one byte changed in its headers, gets an answer. */
START_TEST(damaged_everywhere)
{
	am_auto(am_buf_fini) struct am_buf bytes = { 0 };
	struct am_plugin_info info;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	size_t whole;

	take("good_min", &bytes);
	whole = bytes.len;
	for (size_t n = 0; n < whole; n += 1 + n / 16) {
		bytes.len = n;
		put("cut", &bytes);
		ck_assert_int_lt(am_plugin_inspect(path, &info, &err), 0);
	}
	bytes.len = whole;
	for (size_t i = 0; i < sizeof(Elf64_Ehdr); i++) {
		bytes.data[i] = (char)(bytes.data[i] ^ 0xff);
		put("flip", &bytes);
		if (am_plugin_inspect(path, &info, &err) == 0)
			ck_assert_str_eq(info.decl->name, "good-min");
		am_plugin_info_fini(&info);
		bytes.data[i] = (char)(bytes.data[i] ^ 0xff);
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, messages, 0, AM_COUNTOF(rows));
	tcase_add_test(tc, other_owner);
	tcase_add_test(tc, tables_are_copied);
	tcase_add_test(tc, changed_code_needs_a_restart);
	tcase_add_test(tc, create_fails);
	tcase_add_test(tc, inspect_runs_nothing);
	tcase_add_test(tc, private_directory);
	tcase_add_test(tc, noexec_directory);
	tcase_add_test(tc, damaged_everywhere);
}

UNIT_MAIN("loader", cases)
