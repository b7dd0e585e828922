/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the plugin of a runner type by its file's name in the image and makes an instance.  The daemon's care about who
 * may write the file (core/plugin) has no place here: the image is what the administrator chose, the agent does not run
 * yet, nothing in this container is trusted afterwards, and in a user namespace of an ordinary user the files of root
 * belong to nobody, so that asking for their owner would refuse every plugin.  The file is opened in place, its table
 * is checked.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ambient-runner/agent_priv.h"
#include "core/base/mem.h"

static int
check_table(const struct ambient_plugin *plugin, const char *path, struct ambient_error *err)
{
	if (plugin->magic != AMBIENT_PLUGIN_MAGIC)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\": the descriptor has another magic number", path);
	if (plugin->abi_major != AMBIENT_ABI_MAJOR || plugin->abi_minor > AMBIENT_ABI_MINOR)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED,
				   "\"%s\" was built for interface %u.%u, this program has %u.%u", path,
				   plugin->abi_major, plugin->abi_minor, AMBIENT_ABI_MAJOR, AMBIENT_ABI_MINOR);
	if (plugin->size < offsetof(struct ambient_plugin, runners) + sizeof(plugin->runners) ||
	    plugin->create == NULL || plugin->runners == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" provides no runner type", path);
	return 0;
}

int
am_agent_load(struct am_agent *agent, const char *type, struct ambient_error *err)
{
	const char *dir = getenv("AMBIENT_RUNNER_PLUGINS");
	am_auto(am_freep) char *path =
		am_xasprintf("%s/runner-%s.so", am_empty(dir) ? AM_PKGLIBDIR "/plugins" : dir, type);
	int rc;

	if (strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(type) || strlen(type) > 40)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%.40s\" is no name of a runner type", type);
	if (access(path, R_OK) < 0)
		return ambient_err(err, AMBIENT_E_NOTFOUND,
				   "runner type \"%s\" is not in this image: there is no \"%s\"", type, path);
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (handle == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "cannot load \"%s\": %s", path, dlerror());
	agent->plugin = dlsym(handle, "ambient_plugin_v1");
	if (agent->plugin == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" has no ambient_plugin_v1", path);
	if ((rc = check_table(agent->plugin, path, err)) < 0)
		return rc;
	for (size_t i = 0; agent->plugin->runners[i] != NULL; i++) {
		const struct ambient_runner *runner = agent->plugin->runners[i];

		if (am_streq(runner->type, type) && AMBIENT_HAS(runner, exited) && runner->command != NULL &&
		    runner->line != NULL)
			agent->type = runner;
	}
	if (agent->type == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" does not provide runner type \"%s\"", path, type);
	return agent->plugin->create(&agent->host.pub, am_agent_conf(agent->plugin->options), &agent->self, err);
}
