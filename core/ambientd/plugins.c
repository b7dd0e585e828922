/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins of the configuration: load each, check its options and what the core demands of them together. */
#include <stdlib.h>
#include <string.h>

#include "core/ambientd/daemon_priv.h"

static void
check_one(struct am_daemon *d, struct daemon_plugin *p)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	p->options = am_conf_check_instance(d->file, p->conf, p->plugin->table.options);
	if (p->options == NULL)
		return;
	if (am_instance_check(d->host, p->plugin, p->conf->name, p->options, &err) < 0)
		am_conf_fail(d->file, p->options, NULL, "plugin \"%s\": %s", p->conf->name, err.message);
	if (p->conf->when != NULL && am_plugin_check_when(p->conf->when, &err) < 0)
		am_conf_instance_fail(d->file, p->conf, "plugin \"%s\": %s", p->conf->name, err.message);
	if (strcmp(p->conf->isolation, "none") != 0)
		am_conf_instance_fail(d->file, p->conf, "isolation = \"%s\" is not offered by this version; remove it", p->conf->isolation);
	if (p->plugin->decl->provides_cluster &&
	    !am_streq(am_conf_str(section(d, "cluster"), "server"), p->conf->name))
		am_conf_instance_fail(d->file, p->conf,
				      "plugin \"%s\" is an API server, but \"cluster.server\" does not name this instance", p->conf->plugin);
}

static void
find_provider(struct am_daemon *d)
{
	const char *server = am_conf_str(section(d, "cluster"), "server");

	for (size_t i = 0; server != NULL && i < d->plugin_count; i++) {
		struct daemon_plugin *p = &d->plugins[i];
		if (strcmp(p->conf->name, server) != 0)
			continue;
		if (p->plugin != NULL && !p->plugin->decl->provides_cluster)
			am_conf_fail(d->file, section(d, "cluster"), "server",
				     "\"cluster.server\" names \"%s\", but that plugin is no API server (it does not declare provides=cluster)",
				     server);
		d->provider = p;
	}
}

void
daemon_load_plugins(struct am_daemon *d)
{
	size_t n = am_conf_instance_count(d->file);
	char *dir = am_xasprintf("%s/plugins", d->runtime);
	struct ambient_error err = AMBIENT_ERROR_INIT;

	d->plugins = am_xcalloc(n, sizeof(*d->plugins));
	if (am_plugin_dir_prepare(dir, &err) < 0) {
		am_conf_fail(d->file, section(d, ""), "runtime", "%s", err.message);
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct am_conf_instance *conf = am_conf_instance(d->file, i);
		if (!conf->enabled)
			continue;
		struct daemon_plugin *p = &d->plugins[d->plugin_count++];
		p->conf = conf;
		if (am_plugin_load(conf->path, dir, &p->plugin, &err) < 0)
			am_conf_instance_fail(d->file, conf, "%s", err.message);
		else
			check_one(d, p);
	}
	free(dir);
	find_provider(d);
}
