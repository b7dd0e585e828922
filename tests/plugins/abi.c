/* SPDX-License-Identifier: Apache-2.0 */
/* Reaches every public type, so that abidw describes all of them.  Compiled by tests/lint/abi.sh, never run. */
#include <ambient/ambient.h>

#define REACH(type)                                                                                 \
	void abi_##type(struct type *p);                                                            \
	void abi_##type(struct type *p)                                                             \
	{                                                                                           \
		(void)p;                                                                            \
	}


REACH(ambient_error)
REACH(ambient_option)
REACH(ambient_conf_api)
REACH(ambient_object)
REACH(ambient_draft)
REACH(ambient_object_api)
REACH(ambient_log_api)
REACH(ambient_list_options)
REACH(ambient_cache_api)
REACH(ambient_client_api)
REACH(ambient_ask)
REACH(ambient_queue_api)
REACH(ambient_event_api)
REACH(ambient_metrics_api)
REACH(ambient_clock_api)
REACH(ambient_mem_api)
REACH(ambient_spawn_options)
REACH(ambient_spawn_result)
REACH(ambient_spawn_api)
REACH(ambient_message_api)
REACH(ambient_http_listen)
REACH(ambient_websocket_message)
REACH(ambient_http_api)
REACH(ambient_host)
REACH(ambient_call)
REACH(ambient_request)
REACH(ambient_result)
REACH(ambient_reconciler)
REACH(ambient_sink)
REACH(ambient_plan)
REACH(ambient_run)
REACH(ambient_command_api)
REACH(ambient_exit)
REACH(ambient_outcome)
REACH(ambient_runner)
REACH(ambient_server)
REACH(ambient_plugin)

const struct ambient_plugin ambient_plugin_v1 = { .magic = AMBIENT_PLUGIN_MAGIC };
