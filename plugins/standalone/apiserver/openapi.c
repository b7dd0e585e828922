/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI: a v3 document per group-version, with what clients look for (kinds, the parameters of PATCH, schemas of
 * custom resources), and v2 in two forms: nothing at all as protobuf, which satisfies kubectl up to 1.28, and
 * definitions as JSON.  Everything is made on request; the hash in a URL is that of the document.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define PROTO_V2_ASKED    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define PROTO_V2_ANSWERED "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

struct rest_openapi {
	struct am_lock lock;        /* guards the rest */
	uint64_t generation;
	bool made;
	struct am_map *documents;   /* "api/v1" -> struct document */
};

struct document {
	char *text, hash[65];
};

static void
free_document(void *p)
{
	struct document *d = p;

	free(d->text);
	free(d);
}

/* "com.example.v1.Widget": the group reversed, as schema names go. */
static void
add_schema_name(struct am_buf *out, const struct am_resource *r)
{
	const char *end = r->group + strlen(r->group);

	if (*r->group == '\0')
		am_buf_adds(out, "io.k8s.api.core");
	while (end > r->group) {
		const char *start = end;

		while (start > r->group && start[-1] != '.')
			start--;
		am_buf_add(out, start, (size_t)(end - start));
		end = start > r->group ? start - 1 : start;
		if (end > r->group)
			am_buf_addc(out, '.');
	}
	am_buf_addf(out, ".%s.%s", r->version, r->kind);
}

static void
add_gvk(struct am_buf *out, const struct am_resource *r)
{
	am_json_addf(out, "{\"group\":%s,\"kind\":%s,\"version\":%s}", r->group, r->kind, r->version);
}

/* The schema of a kind: what its definition says, with apiVersion, kind and metadata beside it. */
static void
add_schema(struct am_buf *out, const struct am_resource *r)
{
	struct am_slice schema = am_slice_of(r->schema != NULL ? r->schema : "{\"type\":\"object\"}"), key, v;
	bool any = false;

	am_buf_addc(out, '{');
	for (size_t it = 0; am_json_member(schema, &it, &key, &v);) {
		if (am_slice_eq(key, "properties"))
			continue;
		am_buf_addf(out, "%s\"%.*s\":", any ? "," : "", (int)key.n, key.p);
		am_buf_add(out, v.p, v.n);
		any = true;
	}
	am_buf_addf(out, "%s\"properties\":{\"apiVersion\":{\"type\":\"string\",\"description\":\"Version of the schema of this "
			 "object\"},\"kind\":{\"type\":\"string\",\"description\":\"Kind of this object\"},"
			 "\"metadata\":{\"type\":\"object\",\"description\":\"Standard object metadata\"}", any ? "," : "");
	struct am_slice properties;

	if (am_json_find(schema, "/properties", &properties))
		for (size_t it = 0; am_json_member(properties, &it, &key, &v);) {
			if (am_slice_eq(key, "apiVersion") || am_slice_eq(key, "kind") || am_slice_eq(key, "metadata"))
				continue;
			am_buf_addf(out, ",\"%.*s\":", (int)key.n, key.p);
			am_buf_add(out, v.p, v.n);
		}
	am_buf_adds(out, "},\"x-kubernetes-group-version-kind\":[");
	add_gvk(out, r);
	am_buf_adds(out, "]}");
}

static void
add_operation(struct am_buf *out, const struct am_resource *r, const char *method, const char *action,
	      const char *parameters, bool first)
{
	am_json_addf(out, "%j%s:{\"operationId\":\"%j%j\",\"responses\":{\"200\":{\"description\":\"OK\"}},"
			  "\"x-kubernetes-action\":%s,\"x-kubernetes-group-version-kind\":",
		     first ? "" : ",", method, action, r->kind, action);
	add_gvk(out, r);
	if (*parameters != '\0') {
		am_buf_adds(out, ",\"parameters\":[");
		for (const char *p = parameters; *p != '\0';) {
			size_t n = strcspn(p, ",");

			am_buf_addf(out, "%s{\"name\":\"%.*s\",\"in\":\"query\",\"schema\":{\"type\":\"%s\"}}",
				    p == parameters ? "" : ",", (int)n, p,
				    strncmp(p, "force", n) == 0 ? "boolean" : "string");
			p += n + (p[n] == ',');
		}
		am_buf_addc(out, ']');
	}
	am_buf_addc(out, '}');
}

static void
add_paths(struct am_buf *out, const struct am_resource *r, bool first)
{
	const char *write = "dryRun,fieldManager,fieldValidation";
	struct am_buf base = { 0 };

	am_buf_addf(&base, "/%s%s/%s", *r->group != '\0' ? "apis/" : "api", r->group, r->version);
	am_buf_addf(out, "%s\"%s/%s%s\":{", first ? "" : ",", am_buf_str(&base),
		    (r->flags & AM_RES_NAMESPACED) != 0 ? "namespaces/{namespace}/" : "", r->plural);
	add_operation(out, r, "get", "list", "", true);
	add_operation(out, r, "post", "post", write, false);
	am_buf_addf(out, "},\"%s/%s%s/{name}\":{", am_buf_str(&base),
		    (r->flags & AM_RES_NAMESPACED) != 0 ? "namespaces/{namespace}/" : "", r->plural);
	add_operation(out, r, "get", "get", "", true);
	add_operation(out, r, "put", "put", write, false);
	add_operation(out, r, "patch", "patch", "dryRun,fieldManager,fieldValidation,force", false);
	add_operation(out, r, "delete", "delete", "dryRun,propagationPolicy", false);
	am_buf_addc(out, '}');
	am_buf_fini(&base);
}

static struct document *
make_document(const struct am_resource **all, size_t n, const char *group, const char *version)
{
	struct document *d = am_xcalloc(1, sizeof(*d));
	struct am_buf out = { 0 };
	unsigned char digest[32];
	bool first = true;

	am_buf_adds(&out, "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Ambient\",\"version\":\"" REST_VERSION "\"},\"paths\":{");
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i]->group, group) == 0 && strcmp(all[i]->version, version) == 0) {
			add_paths(&out, all[i], first);
			first = false;
		}
	am_buf_adds(&out, "},\"components\":{\"schemas\":{");
	first = true;
	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i]->group, group) == 0 && strcmp(all[i]->version, version) == 0) {
			am_buf_adds(&out, first ? "\"" : ",\"");
			add_schema_name(&out, all[i]);
			am_buf_adds(&out, "\":");
			add_schema(&out, all[i]);
			first = false;
		}
	am_buf_adds(&out, "}}}");
	size_t len;

	d->text = am_buf_steal(&out, &len);
	am_sha256(d->text, len, digest);
	am_hex(d->hash, digest, sizeof(digest));
	return d;
}

/* lock held. */
static void
refresh(struct rest_server *server)
{
	struct rest_openapi *o = server->openapi;
	const struct am_resource **all;
	uint64_t generation;
	size_t n;

	if (o->made && o->generation == am_engine_resources_generation(server->engine))
		return;
	all = am_engine_resources(server->engine, &n, &generation);
	am_map_free(o->documents);
	o->documents = am_map_new_owning(free_document);
	for (size_t i = 0; i < n; i++) {
		char *key = *all[i]->group != '\0' ? am_xasprintf("apis/%s/%s", all[i]->group, all[i]->version)
						   : am_xasprintf("api/%s", all[i]->version);

		if (!am_map_has(o->documents, key))
			am_map_put(o->documents, key, make_document(all, n, all[i]->group, all[i]->version));
		free(key);
	}
	am_resources_free(all, n);
	o->generation = generation;
	o->made = true;
}

static void
answer_index(struct rest_call *call)
{
	struct rest_openapi *o = call->server->openapi;
	struct am_buf out = { 0 };
	const char *key;
	void *value;
	bool first = true;

	am_buf_adds(&out, "{\"paths\":{");
	am_lock(&o->lock);
	refresh(call->server);
	for (size_t it = 0; am_map_next(o->documents, &it, &key, &value);) {
		am_json_addf(&out, "%j%s:{\"serverRelativeURL\":\"/openapi/v3/%j?hash=%j\"}", first ? "" : ",", key, key,
			     ((struct document *)value)->hash);
		first = false;
	}
	am_unlock(&o->lock);
	am_buf_adds(&out, "}}");
	rest_answer_json(call, 200, &out);
}

static void
answer_document(struct rest_call *call)
{
	struct rest_openapi *o = call->server->openapi;
	const char *hash = rest_query(call, "hash"), *known = am_http_header(call->http, "If-None-Match");
	const char *key = call->n_parts == 4 && strcmp(call->parts[2], "api") == 0
				  ? am_arena_printf(call->arena, "api/%s", call->parts[3])
				  : (call->n_parts == 5 ? am_arena_printf(call->arena, "apis/%s/%s", call->parts[3], call->parts[4])
							: "");
	struct am_buf out = { 0 };
	char tag[70] = "", current[65] = "";

	am_lock(&o->lock);
	refresh(call->server);
	const struct document *d = am_map_get(o->documents, key);

	if (d != NULL) {
		am_strlcpy(current, d->hash, sizeof(current));
		am_buf_adds(&out, d->text);
	}
	am_unlock(&o->lock);
	(void)snprintf(tag, sizeof(tag), "\"%s\"", current);
	if (*current == '\0') {
		rest_answer_not_found_path(call);
	} else if (hash != NULL && strcmp(hash, current) != 0) {
		am_http_set_header(call->http, "Location",
				   am_arena_printf(call->arena, "/openapi/v3/%s?hash=%s", key, current));
		am_http_answer(call->http, 301, NULL, NULL);
	} else {
		am_http_set_header(call->http, "ETag", tag);
		am_http_set_header(call->http, "Vary", "Accept");
		if (hash != NULL) {
			am_http_set_header(call->http, "Cache-Control", "public, immutable");
			am_http_set_header(call->http, "Expires", "Thu, 31 Dec 2037 23:55:55 GMT");
		}
		if (am_streq(known, tag))
			am_http_answer(call->http, 304, NULL, NULL);
		else
			am_http_answer(call->http, 200, "application/json", &out);
	}
	am_buf_fini(&out);
}

static void
answer_v2(struct rest_call *call)
{
	struct am_buf out = { 0 };
	const struct am_resource **all;
	size_t n;

	/* Older kubectl asks in protobuf only, and is content with an empty document; JSON would break it. */
	if (rest_accepts(call, PROTO_V2_ASKED)) {
		am_http_answer(call->http, 200, PROTO_V2_ANSWERED, NULL);
		return;
	}
	if (rest_negotiate_answer(call, false) < 0) {
		rest_answer_failure(call);
		return;
	}
	all = am_engine_resources(call->server->engine, &n, NULL);
	am_buf_adds(&out, "{\"swagger\":\"2.0\",\"info\":{\"title\":\"Ambient\",\"version\":\"" REST_VERSION "\"},\"paths\":{},"
			  "\"definitions\":{");
	for (size_t i = 0; i < n; i++) {
		am_buf_adds(&out, i > 0 ? ",\"" : "\"");
		add_schema_name(&out, all[i]);
		am_buf_adds(&out, "\":");
		add_schema(&out, all[i]);
	}
	am_buf_adds(&out, "}}");
	am_resources_free(all, n);
	rest_answer_json(call, 200, &out);
}

void
rest_openapi(struct rest_call *call)
{
	if (call->n_parts == 2 && strcmp(call->parts[1], "v2") == 0) {
		answer_v2(call);
	} else if (call->n_parts >= 2 && strcmp(call->parts[1], "v3") == 0) {
		if (call->n_parts == 2)
			answer_index(call);
		else
			answer_document(call);
	} else {
		rest_answer_not_found_path(call);
	}
}

struct rest_openapi *
rest_openapi_new(void)
{
	struct rest_openapi *o = am_xcalloc(1, sizeof(*o));

	am_lock_init(&o->lock, "openapi");
	return o;
}

void
rest_openapi_free(struct rest_openapi *o)
{
	if (o == NULL)
		return;
	am_map_free(o->documents);
	am_lock_fini(&o->lock);
	free(o);
}
