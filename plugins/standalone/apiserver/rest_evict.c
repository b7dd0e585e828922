/* SPDX-License-Identifier: Apache-2.0 */
/* POST pods/NAME/eviction: there are no disruption budgets here, so an eviction is a delete. */
#include "plugins/standalone/apiserver/rest.h"

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
