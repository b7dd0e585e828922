/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: objects and lists in the form that was negotiated, Status documents, Warning headers.  Objects are texts
 * that are copied; only a Table looks into them.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

const char *
rest_api_version(struct rest_call *call, const char *group, const char *version)
{
	return *group != '\0' ? am_arena_printf(call->arena, "%s/%s", group, version) : version;
}

void
rest_add_warning(struct rest_call *call, const char *text)
{
	struct am_buf line = { .max = 2048 };

	am_buf_adds(&line, "299 - \"");
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			am_buf_addc(&line, '\\');
		am_buf_addc(&line, *p);
	}
	am_buf_addc(&line, '"');
	if (!line.failed)
		am_http_set_header(call->http, "Warning", am_buf_str(&line));
	am_buf_fini(&line);
}

static void
to_yaml(struct rest_call *call, struct am_buf *body)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *node = am_node_parse(call->arena, am_buf_str(body), body->len, &err);

	if (node == NULL)
		return;
	am_buf_reset(body);
	am_yaml_from_node(node, body);
}

void
rest_answer_json(struct rest_call *call, int code, struct am_buf *body)
{
	const char *type = "application/json";

	if (call->media == REST_YAML && !body->failed) {
		to_yaml(call, body);
		type = "application/yaml";
	}
	am_http_set_header(call->http, "Cache-Control", "no-cache, private");
	am_http_answer(call->http, code, type, body);
	am_buf_fini(body);
}

/* The methods of a subresource, of its verbs as discovery has them. */
static void
add_methods_of(const struct rest_subresource *sub, struct am_buf *out)
{
	static const char *const methods[][2] = {
		{ "get", "GET, HEAD" }, { "create", "POST" }, { "update", "PUT" }, { "patch", "PATCH" }, { "delete", "DELETE" },
	};

	for (size_t i = 0; i < AM_COUNTOF(methods); i++)
		if (strstr(sub->verbs, methods[i][0]) != NULL)
			am_buf_addf(out, "%s%s", out->len > 0 ? ", " : "", methods[i][1]);
}

/* What a 405 owes: the methods that the target does have. */
static void
set_allow(struct rest_call *call)
{
	const struct am_resource *res = call->res;
	struct am_buf methods = { 0 };
	struct rest_subresource sub;

	if (call->is_resource && rest_virtual_find(call->group, call->version, call->plural) != NULL) {
		am_buf_adds(&methods, "POST");
	} else if (call->sub != NULL && res != NULL) {
		for (size_t i = 0; rest_subresource_at(res, i, &sub); i++)
			if (strcmp(sub.name, call->sub) == 0)
				add_methods_of(&sub, &methods);
	} else {
		am_buf_adds(&methods, "GET, HEAD");
		if (call->is_resource && call->name != NULL)
			am_buf_adds(&methods, ", PUT, PATCH, DELETE");
		else if (res != NULL && ((res->flags & AM_RES_NAMESPACED) == 0 || call->ns != NULL))
			am_buf_adds(&methods, (res->flags & AM_RES_NO_DELETECOLLECTION) != 0 ? ", POST" : ", POST, DELETE");
	}
	am_http_set_header(call->http, "Allow", am_buf_str(&methods));
	am_buf_fini(&methods);
}

void
rest_answer_failure(struct rest_call *call)
{
	struct am_buf body = { 0 };
	char seconds[16];

	if (call->failure.code == 0)
		am_fail(&call->failure, 500, "InternalError", "Internal error occurred: a failure without a reason");
	am_failure_status(&call->failure, &body);
	if (call->failure.retry_after > 0 && (call->failure.code == 429 || call->failure.code >= 500)) {
		(void)snprintf(seconds, sizeof(seconds), "%d", call->failure.retry_after);
		am_http_set_header(call->http, "Retry-After", seconds);
	}
	if (call->failure.code == 405)
		set_allow(call);
	if (call->failure.code == 401)
		am_http_set_header(call->http, "WWW-Authenticate", "Bearer");
	am_http_set_header(call->http, "X-Content-Type-Options", "nosniff");
	rest_answer_json(call, call->failure.code, &body);
}

void
rest_answer_not_found_path(struct rest_call *call)
{
	am_http_set_header(call->http, "X-Content-Type-Options", "nosniff");
	am_http_answer_text(call->http, 404, "text/plain; charset=utf-8", "404 page not found\n");
}

static void
add_partial(const struct am_resource *res, const struct am_object *packed, struct am_buf *out)
{
	struct am_object *object = am_object_open(packed);
	struct am_slice metadata;

	(void)res;
	am_buf_adds(out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
	if (am_json_find(am_object_text(object), "/metadata", &metadata))
		am_buf_add(out, metadata.p, metadata.n);
	else
		am_buf_adds(out, "{}");
	am_buf_addc(out, '}');
	am_object_unref(object);
}

void
rest_render(struct rest_server *server, enum rest_form form, const char *include_object,
	    const struct am_resource *res, const struct am_object *object, bool columns, struct am_buf *out)
{
	switch (form) {
	case REST_PARTIAL:
	case REST_PARTIAL_LIST:
		add_partial(res, object, out);
		break;
	case REST_TABLE:
		am_json_addf(out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"
				  "{\"resourceVersion\":\"%l\"},\"columnDefinitions\":",
			     (int64_t)object->rv);
		if (columns)
			rest_table_columns(res, out);
		else
			am_buf_adds(out, "null");
		am_buf_adds(out, ",\"rows\":[");
		rest_table_row(server->clock, res, object, include_object, out);
		am_buf_adds(out, "]}");
		break;
	case REST_PLAIN:
	case REST_AGGREGATED:
		am_object_print(object, res, out);
		break;
	}
}

void
rest_answer_object(struct rest_call *call, int code, const struct am_object *object)
{
	struct am_buf body = { 0 };

	rest_render(call->server, call->form, call->include_object, call->res, object, true, &body);
	rest_answer_json(call, code, &body);
}

static void
add_list_metadata(const struct am_list *list, struct am_buf *out)
{
	am_json_addf(out, "\"metadata\":{\"resourceVersion\":\"%l\"", (int64_t)list->rv);
	if (list->cont != NULL)
		am_json_addf(out, ",\"continue\":%s", list->cont);
	if (list->remaining >= 0)
		am_json_addf(out, ",\"remainingItemCount\":%l", list->remaining);
	am_buf_addc(out, '}');
}

void
rest_answer_list(struct rest_call *call, struct am_list *list)
{
	struct am_buf body = { 0 };
	const struct am_resource *res = call->res;

	if (call->form == REST_TABLE)
		am_buf_adds(&body, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",");
	else if (call->form == REST_PARTIAL_LIST)
		am_buf_adds(&body, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",");
	else
		am_json_addf(&body, "{\"kind\":%s,\"apiVersion\":%s,", res->list_kind,
			     rest_api_version(call, res->group, res->version));
	add_list_metadata(list, &body);
	if (call->form == REST_TABLE) {
		am_buf_adds(&body, ",\"columnDefinitions\":");
		rest_table_columns(res, &body);
		am_buf_adds(&body, ",\"rows\":[");
	} else {
		am_buf_adds(&body, ",\"items\":[");
	}
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			am_buf_addc(&body, ',');
		if (call->form == REST_TABLE)
			rest_table_row(call->server->clock, res, list->items[i], call->include_object, &body);
		else
			rest_render(call->server, call->form, NULL, res, list->items[i], false, &body);
	}
	am_buf_adds(&body, "]}");
	rest_answer_json(call, 200, &body);
}
