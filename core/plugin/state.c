/* SPDX-License-Identifier: Apache-2.0 */
/* The states of an instance, and which follows which: a table, so that a forgotten step shows as an error. */
#include "core/base/log.h"
#include "core/plugin/plugin.h"

#define TO(s) (1u << AM_PLUGIN_##s)

static const struct {
	const char *name;
	uint32_t next;
} states[AM_PLUGIN_STATE__COUNT] = {
	[AM_PLUGIN_FOUND] = { "found", TO(INSPECTED) },
	[AM_PLUGIN_INSPECTED] = { "inspected", TO(LOADED) },
	[AM_PLUGIN_LOADED] = { "loaded", TO(CHECKED) },
	[AM_PLUGIN_CHECKED] = { "checked", TO(CREATED) | TO(STOPPED) },
	[AM_PLUGIN_CREATED] = { "created", TO(RUNNING) | TO(STOPPED) },
	[AM_PLUGIN_RUNNING] = { "running", TO(DRAINING) },
	[AM_PLUGIN_DRAINING] = { "draining", TO(STOPPED) },
	[AM_PLUGIN_STOPPED] = { "stopped", 0 },
	[AM_PLUGIN_FAILED] = { "failed", TO(STOPPED) },
};

const char *
am_plugin_state_name(enum am_plugin_state state)
{
	return (unsigned int)state < AM_PLUGIN_STATE__COUNT ? states[state].name : "unknown";
}

int
am_plugin_state_move(enum am_plugin_state *state, enum am_plugin_state to, const char *instance,
		     struct ambient_error *err)
{
	uint32_t next = states[*state].next;

	/* What has ended cannot fail any more. */
	if (*state != AM_PLUGIN_STOPPED && *state != AM_PLUGIN_FAILED)
		next |= TO(FAILED);
	if ((unsigned int)to >= AM_PLUGIN_STATE__COUNT || (next & (1u << to)) == 0)
		return ambient_err(err, AMBIENT_E_INTERNAL, "instance \"%s\" cannot go from %s to %s", instance,
				   states[*state].name, am_plugin_state_name(to));
	am_log_debug("plugin", "instance \"%s\": %s -> %s", instance, states[*state].name, states[to].name);
	*state = to;
	return 0;
}
