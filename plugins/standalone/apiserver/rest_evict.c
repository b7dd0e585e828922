/* SPDX-License-Identifier: Apache-2.0 */
/* POST pods/NAME/eviction: there are no disruption budgets here, so an eviction is a delete of a pod that says in its status who
 * takes it away, as upstream's. */
#include "core/base/clock.h"
#include "plugins/standalone/apiserver/rest.h"

/* Of a pod that has not ended.  What options ask of the pod holds for this write, and its revision for the delete that follows. */
static int
tell_pod(struct rest_call *call, struct am_delete_options *options)
{
	struct am_buf patch = { 0 };
	struct am_written written = { 0 };
	char now[40];
	am_auto(am_freep) char *phase = NULL;
	struct am_object *pod = am_engine_peek(call->server->engine, call->group, call->plural, call->ns, call->name);
	int rc = 0;

	if (pod != NULL)
		phase = am_json_dup(am_object_text(pod), "/status/phase");
	am_object_unref(pod);
	if (pod == NULL || am_streq(phase, "Succeeded") || am_streq(phase, "Failed"))
		return 0;
	am_time_format(now, am_clock_wall(call->server->clock), false);
	am_buf_adds(&patch, "{\"metadata\":{");
	if (options->uid != NULL)
		am_json_addf(&patch, "\"uid\":%s", options->uid);
	if (options->resource_version != NULL)
		am_json_addf(&patch, "%j\"resourceVersion\":%s", options->uid != NULL ? "," : "", options->resource_version);
	am_json_addf(&patch, "},\"status\":{\"conditions\":[{\"type\":\"DisruptionTarget\",\"status\":\"True\",\"reason\":\"EvictionByEvictionAPI\","
		     "\"message\":\"Eviction API: evicting\",\"lastTransitionTime\":%s}]}}", now);
	const struct am_write write = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_STRATEGIC, .res = call->res, .ns = call->ns, .name = call->name,
		.subresource = "status", .body = am_slice(am_buf_str(&patch), patch.len), .fields = AM_FIELDS_IGNORE, .agent = "eviction",
		.user = call->user.name };

	rc = am_engine_write(call->server->engine, &write, &written, &call->failure);
	if (rc == 0 && options->resource_version != NULL)
		options->resource_version = am_arena_printf(call->arena, "%llu", (unsigned long long)written.object->rv);
	am_written_fini(&written);
	am_buf_fini(&patch);
	return rc;
}

void
rest_evict(struct rest_call *call, const struct am_node *body)
{
	const char *name = am_node_get_str(am_node_get(body, "metadata"), "name", call->name);
	const struct am_node *given = am_node_get(body, "deleteOptions");
	bool dry = rest_query(call, "dryRun") != NULL;
	struct am_delete_options options = { .grace = -1, .user = call->user.name };
	struct am_written written = { 0 };
	struct am_buf text = { .max = 65536 }, out = { 0 };
	int rc = 0;

	if (given != NULL) {
		am_node_print(given, &text);
		rc = am_delete_options_parse(call->arena, am_slice(text.data, text.len), &options, &call->failure);
	}
	options.dry_run |= dry;
	if (rc == 0 && strcmp(name, call->name) != 0)
		rc = am_fail(&call->failure, 400, "BadRequest", "name in URL does not match name in Eviction object");
	if (rc == 0 && !options.dry_run)
		rc = tell_pod(call, &options);
	if (rc == 0)
		rc = am_engine_delete(call->server->engine, call->res, call->ns, call->name, &options, &written, &call->failure);
	am_written_fini(&written);
	am_buf_fini(&text);
	if (rc < 0) {
		rest_answer_failure(call);
		return;
	}
	am_buf_adds(&out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"code\":201}");
	rest_answer_json(call, 201, &out);
}
