/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAPI: a v3 document per group-version and one of v2, as JSON or, as older kubectl asks for it, protobuf.
 * Documents are made when they are first asked for and kept until the table of resources changes; the hash in a v3
 * URL and the ETag are of the document's bytes.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/openapi_priv.h"

/* client-go cannot read an answer that has the @ in its type. */
#define PROTO_V2_ASKED    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define PROTO_V2_ANSWERED "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

#define V2_JSON  "v2"
#define V2_PROTO "v2 protobuf"

struct rest_openapi {
	struct am_lock lock;        /* guards the rest */
	uint64_t generation;
	bool made;
	struct am_map *documents;   /* "api/v1", V2_JSON, V2_PROTO -> struct document */
};

struct document {
	char *text, hash[65];
	size_t len;
};

static void
free_document(void *p)
{
	struct document *d = p;

	free(d->text);
	free(d);
}

/* ---- what there is to describe */

static void
kinds_read(struct rest_server *server, struct openapi_kinds *kinds)
{
	struct am_arena *arena = am_arena_new();
	size_t virtuals = 0;

	kinds->all = am_engine_resources(server->engine, &kinds->n_all, &kinds->generation);
	while (rest_virtuals[virtuals].group != NULL)
		virtuals++;
	kinds->kinds = am_xcalloc(kinds->n_all + virtuals, sizeof(*kinds->kinds));
	for (size_t i = 0; i < kinds->n_all; i++) {
		const struct am_resource *r = kinds->all[i];

		kinds->kinds[kinds->n++] = (struct openapi_kind){ r->group, r->version, r->kind, r->plural,
								  (r->flags & AM_RES_NAMESPACED) != 0, r, NULL };
	}
	for (size_t i = 0; i < virtuals; i++) {
		const struct rest_virtual *v = &rest_virtuals[i];

		kinds->kinds[kinds->n++] =
			(struct openapi_kind){ v->group, v->version, v->kind, v->plural, v->namespaced, NULL, NULL };
	}
	for (size_t i = 0; i < kinds->n; i++) {
		struct openapi_kind *k = &kinds->kinds[i];

		if (k->res == NULL || (k->res->flags & AM_RES_CUSTOM) == 0)
			k->message = rest_proto_of_kind(*k->group == '\0' ? k->version
									  : am_arena_printf(arena, "%s/%s", k->group, k->version),
							k->kind);
	}
	am_arena_free(arena);
}

static void
kinds_fini(struct openapi_kinds *kinds)
{
	am_resources_free(kinds->all, kinds->n_all);
	free(kinds->kinds);
}

/* ---- documents */

/* Takes the bytes. */
static struct document *
document_new(struct am_buf *bytes)
{
	struct document *d = am_xcalloc(1, sizeof(*d));
	unsigned char digest[32];

	d->text = am_buf_steal(bytes, &d->len);
	am_sha256(d->text, d->len, digest);
	am_hex(d->hash, digest, sizeof(digest));
	return d;
}

static void
make_document(const struct openapi_out *o)
{
	am_json_addf(o->out, "{%j,\"info\":{\"title\":\"Kubernetes\",\"version\":%s},\"paths\":{",
		     o->v3 ? "\"openapi\":\"3.0.0\"" : "\"swagger\":\"2.0\"", REST_VERSION);
	openapi_add_paths(o);
	am_buf_adds(o->out, o->v3 ? "},\"components\":{\"schemas\":{" : "},\"definitions\":{");
	openapi_add_definitions(o);
	am_buf_adds(o->out, o->v3 ? "}}}" : "}}");
}

/* lock held. */
static void
make_v2(struct rest_openapi *o, const struct openapi_kinds *kinds)
{
	struct am_buf json = { 0 }, proto = { 0 };
	struct openapi_out out = { &json, false, kinds, NULL, NULL };

	make_document(&out);
	openapi_to_proto(am_slice(am_buf_str(&json), json.len), &proto);
	am_map_put(o->documents, V2_JSON, document_new(&json));
	am_map_put(o->documents, V2_PROTO, document_new(&proto));
}

/* lock held. */
static void
make_v3(struct rest_openapi *o, const struct openapi_kinds *kinds)
{
	for (size_t i = 0; i < kinds->n; i++) {
		const struct openapi_kind *k = &kinds->kinds[i];
		char *key = *k->group != '\0' ? am_xasprintf("apis/%s/%s", k->group, k->version)
					      : am_xasprintf("api/%s", k->version);

		if (!am_map_has(o->documents, key)) {
			struct am_buf text = { 0 };
			struct openapi_out out = { &text, true, kinds, k->group, k->version };

			make_document(&out);
			am_map_put(o->documents, key, document_new(&text));
		}
		free(key);
	}
}

/* lock held.  All documents of v3 are made together, since the index has their hashes; v2 only when it is wanted. */
static void
refresh(struct rest_server *server, bool v2)
{
	struct rest_openapi *o = server->openapi;
	bool stale = !o->made || o->generation != am_engine_resources_generation(server->engine);
	struct openapi_kinds kinds = { 0 };

	if (!stale && (!v2 || am_map_has(o->documents, V2_JSON)))
		return;
	kinds_read(server, &kinds);
	if (stale || kinds.generation != o->generation) {
		am_map_free(o->documents);
		o->documents = am_map_new_owning(free_document);
		make_v3(o, &kinds);
	}
	if (v2)
		make_v2(o, &kinds);
	o->generation = kinds.generation;
	o->made = true;
	kinds_fini(&kinds);
}

/* ---- answers */

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
	refresh(call->server, false);
	for (size_t it = 0; am_map_next(o->documents, &it, &key, &value);) {
		if (!am_starts(key, "api"))
			continue;
		am_json_addf(&out, "%j%s:{\"serverRelativeURL\":\"/openapi/v3/%j?hash=%j\"}", first ? "" : ",", key, key,
			     ((struct document *)value)->hash);
		first = false;
	}
	am_unlock(&o->lock);
	am_buf_adds(&out, "}}");
	rest_answer_json(call, 200, &out);
}

/* Is the tag among those of If-None-Match? */
static bool
is_known(struct rest_call *call, const char *tag)
{
	const char *known = am_http_header(call->http, "If-None-Match");

	return known != NULL && (strstr(known, tag) != NULL || strcmp(known, "*") == 0);
}

/* The document under that key; a hash that is not its own leads to the current one. */
static void
answer_document(struct rest_call *call, const char *key, const char *type, const char *hash)
{
	struct rest_openapi *o = call->server->openapi;
	struct am_buf out = { 0 };
	char tag[70] = "", current[65] = "";

	am_lock(&o->lock);
	refresh(call->server, am_starts(key, V2_JSON));
	const struct document *d = am_map_get(o->documents, key);

	if (d != NULL) {
		am_strlcpy(current, d->hash, sizeof(current));
		(void)snprintf(tag, sizeof(tag), "\"%s\"", current);
		if (!is_known(call, tag))
			am_buf_add(&out, d->text, d->len);
	}
	am_unlock(&o->lock);
	if (*current == '\0') {
		rest_answer_not_found_path(call);
	} else if (hash != NULL && strcmp(hash, current) != 0) {
		am_http_set_header(call->http, "Location",
				   am_arena_printf(call->arena, "/openapi/v3/%s?hash=%s", key, current));
		am_http_answer(call->http, 301, NULL, NULL);
	} else {
		am_http_set_header(call->http, "ETag", tag);
		am_http_set_header(call->http, "Vary", "Accept");
		am_http_set_header(call->http, "Cache-Control", hash != NULL ? "public, immutable" : "no-cache, private");
		if (hash != NULL)
			am_http_set_header(call->http, "Expires", "Thu, 31 Dec 2037 23:55:55 GMT");
		if (is_known(call, tag))
			am_http_answer(call->http, 304, NULL, NULL);
		else
			am_http_answer(call->http, 200, type, &out);
	}
	am_buf_fini(&out);
}

static void
answer_v3(struct rest_call *call)
{
	const char *key = "";

	if (call->n_parts == 4 && strcmp(call->parts[2], "api") == 0)
		key = am_arena_printf(call->arena, "api/%s", call->parts[3]);
	else if (call->n_parts == 5 && strcmp(call->parts[2], "apis") == 0)
		key = am_arena_printf(call->arena, "apis/%s/%s", call->parts[3], call->parts[4]);
	answer_document(call, key, "application/json", rest_query(call, "hash"));
}

void
rest_openapi(struct rest_call *call)
{
	bool v2 = call->n_parts == 2 && strcmp(call->parts[1], "v2") == 0;

	if (v2 && rest_accepts(call, PROTO_V2_ASKED)) {
		answer_document(call, V2_PROTO, PROTO_V2_ANSWERED, NULL);
		return;
	}
	if (!v2 && (call->n_parts < 2 || strcmp(call->parts[1], "v3") != 0)) {
		rest_answer_not_found_path(call);
		return;
	}
	if (!v2 && call->n_parts == 2)
		answer_index(call);
	else if (rest_negotiate_json(call) < 0)
		rest_answer_failure(call);
	else if (v2)
		answer_document(call, V2_JSON, "application/json", NULL);
	else
		answer_v3(call);
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
