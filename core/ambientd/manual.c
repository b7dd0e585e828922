/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of the configuration file as rows of a manual page: the core's, or those of plugins given as files.  A
 * plugin's rows come from the table that checks its configuration, so a manual cannot promise what the plugin refuses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambientd/daemon.h"
#include "core/base/file.h"
#include "core/base/str.h"
#include "core/conf/conf.h"
#include "core/plugin/plugin.h"

static int
print_plugin(const char *path, const char *dir, struct am_buf *out)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	const struct am_plugin *plugin;
	char *absolute = realpath(path, NULL);

	if ((absolute == NULL ? am_err_errno(&err, errno, "\"%s\"", path) : am_plugin_load(absolute, dir, &plugin, &err)) < 0) {
		free(absolute);
		(void)fprintf(stderr, "ambientd: %s\n", err.message);
		return AM_EXIT_CONFIG;
	}
	free(absolute);
	am_buf_addf(out, ".SS %s\n", plugin->decl->name);
	if (plugin->table.options == NULL || plugin->table.options[0] == NULL)
		am_buf_adds(out, "It has no options.\n");
	else
		am_conf_print_manual(plugin->table.options, out);
	return AM_EXIT_OK;
}

static int
print_plugins(char *const *paths, struct am_buf *out)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char dir[] = "/tmp/ambientd-manual-XXXXXX";
	int exit_code = AM_EXIT_OK;

	if (mkdtemp(dir) == NULL || am_plugin_dir_prepare(dir, &err) < 0) {
		(void)fprintf(stderr, "ambientd: %s\n", err.message[0] != '\0' ? err.message : "no temporary directory can be made in /tmp");
		exit_code = AM_EXIT_FAILURE;
	}
	for (; exit_code == AM_EXIT_OK && *paths != NULL; paths++)
		exit_code = print_plugin(*paths, dir, out);
	(void)am_remove_tree(dir, NULL);
	return exit_code;
}

int
am_daemon_manual(char *const *paths)
{
	struct am_buf out = { 0 };
	int exit_code = AM_EXIT_OK;

	if (*paths == NULL)
		am_conf_print_core_manual(&out);
	else
		exit_code = print_plugins(paths, &out);
	if (exit_code == AM_EXIT_OK)
		(void)fputs(am_buf_str(&out), stdout);
	am_buf_fini(&out);
	return exit_code;
}
