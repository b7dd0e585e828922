/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where every member of every public struct lies, on 64-bit machines.  A line of this file changes only together
 * with the ABI: members are appended, their lines added, the size of their struct grows, and nothing else moves.
 * The checks are the compiler's; running the program only says so.
 */
#include <stdio.h>

#include <ambient/ambient.h>

#if defined(__LP64__)
#define SIZE(type, n)       _Static_assert(sizeof(struct type) == (n), "size of struct " #type)
#define AT(type, member, n) _Static_assert(offsetof(struct type, member) == (n), #type "." #member)
#else
#define SIZE(type, n)       _Static_assert(1, "")
#define AT(type, member, n) _Static_assert(1, "")
#endif

SIZE(ambient_error, 480);
AT(ambient_error, size, 0);
AT(ambient_error, code, 8);
AT(ambient_error, http_status, 12);
AT(ambient_error, sys_errno, 16);
AT(ambient_error, flags, 20);
AT(ambient_error, retry_after_ms, 24);
AT(ambient_error, reason, 32);
AT(ambient_error, message, 96);
AT(ambient_error, where, 416);

SIZE(ambient_option, 64);
AT(ambient_option, size, 0);
AT(ambient_option, name, 8);
AT(ambient_option, type, 16);
AT(ambient_option, flags, 20);
AT(ambient_option, def, 24);
AT(ambient_option, min, 32);
AT(ambient_option, max, 40);
AT(ambient_option, text, 48);
AT(ambient_option, sub, 56);

SIZE(ambient_conf_api, 56);
AT(ambient_conf_api, size, 0);
AT(ambient_conf_api, str, 8);
AT(ambient_conf_api, integer, 16);
AT(ambient_conf_api, real, 24);
AT(ambient_conf_api, count, 32);
AT(ambient_conf_api, entry, 40);
AT(ambient_conf_api, group, 48);

SIZE(ambient_object, 16);
AT(ambient_object, size, 0);
AT(ambient_object, api, 8);

SIZE(ambient_draft, 16);
AT(ambient_draft, size, 0);
AT(ambient_draft, api, 8);

SIZE(ambient_object_api, 176);
AT(ambient_object_api, size, 0);
AT(ambient_object_api, ref, 8);
AT(ambient_object_api, unref, 16);
AT(ambient_object_api, type, 24);
AT(ambient_object_api, str, 32);
AT(ambient_object_api, integer, 40);
AT(ambient_object_api, real, 48);
AT(ambient_object_api, boolean, 56);
AT(ambient_object_api, len, 64);
AT(ambient_object_api, at, 72);
AT(ambient_object_api, item, 80);
AT(ambient_object_api, json, 88);
AT(ambient_object_api, parse, 96);
AT(ambient_object_api, draft_new, 104);
AT(ambient_object_api, draft_from, 112);
AT(ambient_object_api, set_str, 120);
AT(ambient_object_api, set_int, 128);
AT(ambient_object_api, set_bool, 136);
AT(ambient_object_api, set_json, 144);
AT(ambient_object_api, set_object, 152);
AT(ambient_object_api, unset, 160);
AT(ambient_object_api, draft_view, 168);

SIZE(ambient_log_api, 24);
AT(ambient_log_api, size, 0);
AT(ambient_log_api, enabled, 8);
AT(ambient_log_api, write, 16);

SIZE(ambient_list_options, 40);
AT(ambient_list_options, size, 0);
AT(ambient_list_options, ns, 8);
AT(ambient_list_options, selector, 16);
AT(ambient_list_options, index, 24);
AT(ambient_list_options, value, 32);

SIZE(ambient_cache_api, 40);
AT(ambient_cache_api, size, 0);
AT(ambient_cache_api, get, 8);
AT(ambient_cache_api, list, 16);
AT(ambient_cache_api, count, 24);
AT(ambient_cache_api, item, 32);

SIZE(ambient_client_api, 72);
AT(ambient_client_api, size, 0);
AT(ambient_client_api, get, 8);
AT(ambient_client_api, create, 16);
AT(ambient_client_api, update, 24);
AT(ambient_client_api, patch, 32);
AT(ambient_client_api, remove, 40);
AT(ambient_client_api, apply, 48);
AT(ambient_client_api, status, 56);
AT(ambient_client_api, ask, 64);

SIZE(ambient_ask, 112);
AT(ambient_ask, size, 0);
AT(ambient_ask, verb, 8);
AT(ambient_ask, kind, 16);
AT(ambient_ask, ns, 24);
AT(ambient_ask, name, 32);
AT(ambient_ask, sub, 40);
AT(ambient_ask, body, 48);
AT(ambient_ask, len, 56);
AT(ambient_ask, patch, 64);
AT(ambient_ask, flags, 68);
AT(ambient_ask, validation, 72);
AT(ambient_ask, selector, 80);
AT(ambient_ask, fields, 88);
AT(ambient_ask, token, 96);
AT(ambient_ask, limit, 104);

SIZE(ambient_queue_api, 16);
AT(ambient_queue_api, size, 0);
AT(ambient_queue_api, add, 8);

SIZE(ambient_event_api, 16);
AT(ambient_event_api, size, 0);
AT(ambient_event_api, emit, 8);

SIZE(ambient_metrics_api, 24);
AT(ambient_metrics_api, size, 0);
AT(ambient_metrics_api, count, 8);
AT(ambient_metrics_api, gauge, 16);

SIZE(ambient_clock_api, 24);
AT(ambient_clock_api, size, 0);
AT(ambient_clock_api, monotonic, 8);
AT(ambient_clock_api, wall, 16);

SIZE(ambient_mem_api, 32);
AT(ambient_mem_api, size, 0);
AT(ambient_mem_api, alloc, 8);
AT(ambient_mem_api, free, 16);
AT(ambient_mem_api, scratch, 24);

SIZE(ambient_spawn_options, 72);
AT(ambient_spawn_options, size, 0);
AT(ambient_spawn_options, argv, 8);
AT(ambient_spawn_options, envp, 16);
AT(ambient_spawn_options, cwd, 24);
AT(ambient_spawn_options, input, 32);
AT(ambient_spawn_options, input_len, 40);
AT(ambient_spawn_options, timeout_ns, 48);
AT(ambient_spawn_options, output_max, 56);
AT(ambient_spawn_options, cancelled, 64);

SIZE(ambient_spawn_result, 48);
AT(ambient_spawn_result, size, 0);
AT(ambient_spawn_result, exit_code, 8);
AT(ambient_spawn_result, timed_out, 12);
AT(ambient_spawn_result, out, 16);
AT(ambient_spawn_result, err, 24);
AT(ambient_spawn_result, out_len, 32);
AT(ambient_spawn_result, err_len, 40);

SIZE(ambient_spawn_api, 24);
AT(ambient_spawn_api, size, 0);
AT(ambient_spawn_api, run, 8);
AT(ambient_spawn_api, release, 16);

SIZE(ambient_message_api, 48);
AT(ambient_message_api, size, 0);
AT(ambient_message_api, emit, 8);
AT(ambient_message_api, write, 16);
AT(ambient_message_api, conversation, 24);
AT(ambient_message_api, turn_done, 32);
AT(ambient_message_api, command, 40);

SIZE(ambient_http_listen, 72);
AT(ambient_http_listen, size, 0);
AT(ambient_http_listen, address, 8);
AT(ambient_http_listen, port, 16);
AT(ambient_http_listen, cert_pem, 24);
AT(ambient_http_listen, key_pem, 32);
AT(ambient_http_listen, client_ca_pem, 40);
AT(ambient_http_listen, threads, 48);
AT(ambient_http_listen, body_max, 56);
AT(ambient_http_listen, self_signed, 64);

SIZE(ambient_websocket_message, 32);
AT(ambient_websocket_message, size, 0);
AT(ambient_websocket_message, data, 8);
AT(ambient_websocket_message, len, 16);
AT(ambient_websocket_message, text, 24);

SIZE(ambient_http_api, 160);
AT(ambient_http_api, size, 0);
AT(ambient_http_api, listen, 8);
AT(ambient_http_api, port, 16);
AT(ambient_http_api, close, 24);
AT(ambient_http_api, method, 32);
AT(ambient_http_api, path, 40);
AT(ambient_http_api, query, 48);
AT(ambient_http_api, header, 56);
AT(ambient_http_api, body, 64);
AT(ambient_http_api, peer_name, 72);
AT(ambient_http_api, begin, 80);
AT(ambient_http_api, write, 88);
AT(ambient_http_api, gone, 96);
AT(ambient_http_api, query_at, 104);
AT(ambient_http_api, ws_accept, 112);
AT(ambient_http_api, ws_protocol, 120);
AT(ambient_http_api, ws_wait, 128);
AT(ambient_http_api, ws_send, 136);
AT(ambient_http_api, ws_queued, 144);
AT(ambient_http_api, ws_close, 152);

SIZE(ambient_host, 168);
AT(ambient_host, size, 0);
AT(ambient_host, abi_major, 8);
AT(ambient_host, abi_minor, 10);
AT(ambient_host, plugin, 16);
AT(ambient_host, instance, 24);
AT(ambient_host, state_dir, 32);
AT(ambient_host, log, 40);
AT(ambient_host, conf, 48);
AT(ambient_host, object, 56);
AT(ambient_host, client, 64);
AT(ambient_host, cache, 72);
AT(ambient_host, queue, 80);
AT(ambient_host, event, 88);
AT(ambient_host, metrics, 96);
AT(ambient_host, clock, 104);
AT(ambient_host, mem, 112);
AT(ambient_host, spawn, 120);
AT(ambient_host, message, 128);
AT(ambient_host, http, 136);
AT(ambient_host, runner_plan, 144);
AT(ambient_host, runner_types, 152);
AT(ambient_host, fact, 160);

SIZE(ambient_call, 32);
AT(ambient_call, size, 0);
AT(ambient_call, host, 8);
AT(ambient_call, deadline, 16);
AT(ambient_call, cancelled, 24);

SIZE(ambient_request, 24);
AT(ambient_request, size, 0);
AT(ambient_request, ns, 8);
AT(ambient_request, name, 16);

SIZE(ambient_result, 32);
AT(ambient_result, size, 0);
AT(ambient_result, requeue_after, 8);
AT(ambient_result, requeue, 16);
AT(ambient_result, prioritized, 20);
AT(ambient_result, priority, 24);
AT(ambient_result, reserved, 28);

SIZE(ambient_reconciler, 24);
AT(ambient_reconciler, size, 0);
AT(ambient_reconciler, name, 8);
AT(ambient_reconciler, reconcile, 16);

SIZE(ambient_sink, 16);
AT(ambient_sink, size, 0);
AT(ambient_sink, put, 8);

SIZE(ambient_plan, 32);
AT(ambient_plan, size, 0);
AT(ambient_plan, session, 8);
AT(ambient_plan, settings, 16);
AT(ambient_plan, effective, 24);

SIZE(ambient_run, 120);
AT(ambient_run, size, 0);
AT(ambient_run, host, 8);
AT(ambient_run, session, 16);
AT(ambient_run, config, 24);
AT(ambient_run, run_id, 32);
AT(ambient_run, workdir, 40);
AT(ambient_run, statedir, 48);
AT(ambient_run, tmpdir, 56);
AT(ambient_run, prompt_file, 64);
AT(ambient_run, model, 72);
AT(ambient_run, resume, 80);
AT(ambient_run, interactive, 88);
AT(ambient_run, slot, 96);
AT(ambient_run, dirs, 104);
AT(ambient_run, instructions, 112);

SIZE(ambient_command_api, 40);
AT(ambient_command_api, size, 0);
AT(ambient_command_api, arg, 8);
AT(ambient_command_api, env, 16);
AT(ambient_command_api, cwd, 24);
AT(ambient_command_api, merge_stderr, 32);

SIZE(ambient_exit, 32);
AT(ambient_exit, size, 0);
AT(ambient_exit, code, 8);
AT(ambient_exit, signal, 12);
AT(ambient_exit, asked, 16);
AT(ambient_exit, stderr_tail, 24);

SIZE(ambient_outcome, 600);
AT(ambient_outcome, size, 0);
AT(ambient_outcome, success, 8);
AT(ambient_outcome, exit_code, 12);
AT(ambient_outcome, reason, 16);
AT(ambient_outcome, message, 80);
AT(ambient_outcome, again, 592);

SIZE(ambient_runner, 96);
AT(ambient_runner, size, 0);
AT(ambient_runner, type, 8);
AT(ambient_runner, plan, 16);
AT(ambient_runner, command, 24);
AT(ambient_runner, prompt, 32);
AT(ambient_runner, line, 40);
AT(ambient_runner, interrupt, 48);
AT(ambient_runner, answer, 56);
AT(ambient_runner, stop, 64);
AT(ambient_runner, exited, 72);
AT(ambient_runner, one_prompt, 80);
AT(ambient_runner, restart, 88);

SIZE(ambient_server, 48);
AT(ambient_server, size, 0);
AT(ambient_server, name, 8);
AT(ambient_server, start, 16);
AT(ambient_server, ready, 24);
AT(ambient_server, kubeconfig, 32);
AT(ambient_server, stop, 40);

SIZE(ambient_plugin, 104);
AT(ambient_plugin, magic, 0);
AT(ambient_plugin, abi_major, 4);
AT(ambient_plugin, abi_minor, 6);
AT(ambient_plugin, size, 8);
AT(ambient_plugin, flags, 12);
AT(ambient_plugin, decl, 16);
AT(ambient_plugin, decl_len, 24);
AT(ambient_plugin, options, 32);
AT(ambient_plugin, check, 40);
AT(ambient_plugin, create, 48);
AT(ambient_plugin, reload, 56);
AT(ambient_plugin, stop, 64);
AT(ambient_plugin, destroy, 72);
AT(ambient_plugin, reconcilers, 80);
AT(ambient_plugin, runners, 88);
AT(ambient_plugin, servers, 96);

_Static_assert(AMBIENT_PLUGIN_MAGIC == 0x416d6250u, "magic");
_Static_assert(AMBIENT_E_INVALID == 1 && AMBIENT_E_INTERNAL == 14, "error codes");
_Static_assert(AMBIENT_OPT_STRING == 1 && AMBIENT_OPT_PATH == 10, "types of options");
_Static_assert(AMBIENT_T_NULL == 1 && AMBIENT_T_OBJECT == 6, "types of values");
_Static_assert(AMBIENT_PATCH_MERGE == 1 && AMBIENT_PATCH_APPLY == 4, "types of patches");
_Static_assert(AMBIENT_LOG_ERROR == 1 && AMBIENT_LOG_DEBUG == 4, "levels");

int
main(void)
{
	puts("ok 1 - offsets of ABI 1.0\n1..1");
	return 0;
}
