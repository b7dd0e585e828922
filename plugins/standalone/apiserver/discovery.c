/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery in both shapes: classic documents (/api, /apis, /apis/g, /apis/g/v) and the aggregated one, which is
 * served only to a client that names it exactly.  Documents are derived from the engine's table; the aggregated
 * pair is kept until the table changes.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

#define AGGREGATED "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* A row of discovery: a stored resource or a virtual one. */
struct row {
	const char *group, *version;
	const struct am_resource *res;     /* or NULL, and then: */
	const struct rest_virtual *virt;
};

struct table {
	struct row *rows;
	size_t n;
	const struct am_resource **all;
	size_t n_all;
	uint64_t generation;
};

struct rest_discovery {
	struct am_lock lock;               /* guards the rest */
	uint64_t generation;
	bool made;
	char *documents[2], *tags[2];      /* of /api and /apis */
};

/* ---- the table: grouped, with the virtual groups at the end */

static void
table_read(struct rest_server *server, struct table *t)
{
	size_t virtuals = 0;

	memset(t, 0, sizeof(*t));
	t->all = am_engine_resources(server->engine, &t->n_all, &t->generation);
	while (rest_virtuals[virtuals].group != NULL)
		virtuals++;
	t->rows = am_xcalloc(t->n_all + virtuals, sizeof(*t->rows));
	for (size_t i = 0; i < t->n_all; i++)
		t->rows[t->n++] = (struct row){ t->all[i]->group, t->all[i]->version, t->all[i], NULL };
	for (size_t i = 0; i < virtuals; i++)
		t->rows[t->n++] = (struct row){ rest_virtuals[i].group, rest_virtuals[i].version, NULL, &rest_virtuals[i] };
}

static void
table_fini(struct table *t)
{
	am_resources_free(t->all, t->n_all);
	free(t->rows);
}

/* Is row i the first of its group, or of its group-version? */
static bool
starts_group(const struct table *t, size_t i)
{
	return i == 0 || strcmp(t->rows[i].group, t->rows[i - 1].group) != 0;
}

static bool
starts_version(const struct table *t, size_t i)
{
	return starts_group(t, i) || strcmp(t->rows[i].version, t->rows[i - 1].version) != 0;
}

static bool
group_is(const struct table *t, size_t i, const char *group)
{
	return strcmp(t->rows[i].group, group) == 0;
}

/* ---- what a resource can do */

static const char *
verbs_of(const struct row *row)
{
	if (row->virt != NULL)
		return "\"create\"";
	if ((row->res->flags & AM_RES_READ_DELETE) != 0)
		return "\"delete\",\"deletecollection\",\"get\",\"list\",\"watch\"";
	if ((row->res->flags & AM_RES_NO_DELETECOLLECTION) != 0)
		return "\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\",\"watch\"";
	return "\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"update\",\"watch\"";
}

static const struct rest_subresource builtin_subs[] = {
	{ "", "pods", "attach", "PodAttachOptions", "", "v1", "create,get" },
	{ "", "pods", "exec", "PodExecOptions", "", "v1", "create,get" },
	{ "", "pods", "log", "Pod", "", "v1", "get" },
	{ "", "pods", "eviction", "Eviction", "policy", "v1", "create" },
	{ "", "pods", "portforward", "PodPortForwardOptions", "", "v1", "create,get" },
	{ "", "pods", "proxy", "PodProxyOptions", "", "v1", "create,delete,get,patch,update" },
	{ "", "serviceaccounts", "token", "TokenRequest", "authentication.k8s.io", "v1", "create" },
	{ "", "namespaces", "finalize", "Namespace", "", "v1", "update" },
};

bool
rest_subresource_at(const struct am_resource *res, size_t i, struct rest_subresource *ret)
{
	struct rest_subresource own = { res->group, res->plural, "status", res->kind, "", "", "get,patch,update" };

	if ((res->flags & AM_RES_SCALE) != 0 && i-- == 0) {
		own.name = "scale";
		own.kind = "Scale";
		own.kind_group = "autoscaling";
		own.kind_version = "v1";
		*ret = own;
		return true;
	}
	if ((res->flags & AM_RES_STATUS) != 0 && i-- == 0) {
		if ((res->flags & AM_RES_CUSTOM) != 0) {
			own.kind_group = res->group;
			own.kind_version = res->version;
		}
		*ret = own;
		return true;
	}
	for (size_t k = 0; k < AM_COUNTOF(builtin_subs); k++)
		if (strcmp(builtin_subs[k].group, res->group) == 0 && strcmp(builtin_subs[k].plural, res->plural) == 0 &&
		    i-- == 0) {
			*ret = builtin_subs[k];
			return true;
		}
	return false;
}

static void
add_names(struct am_buf *out, const char *member, const char *const *names)
{
	if (names == NULL || names[0] == NULL)
		return;
	am_json_addf(out, ",%s:[", member);
	for (size_t i = 0; names[i] != NULL; i++)
		am_json_addf(out, "%j%s", i > 0 ? "," : "", names[i]);
	am_buf_addc(out, ']');
}

static void
add_verbs(struct am_buf *out, const char *verbs)
{
	am_buf_adds(out, "\"verbs\":[\"");
	for (const char *p = verbs; *p != '\0'; p++)
		if (*p == ',')
			am_buf_adds(out, "\",\"");
		else
			am_buf_addc(out, *p);
	am_buf_adds(out, "\"]");
}

/* ---- classic */

static void
answer_api_versions(struct rest_call *call)
{
	struct am_buf out = { 0 };

	am_json_addf(&out,
		     "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],\"serverAddressByClientCIDRs\":[{\"clientCIDR\":"
		     "\"0.0.0.0/0\",\"serverAddress\":\"%j:%d\"}]}",
		     call->server->address, (int)call->server->port);
	rest_answer_json(call, 200, &out);
}

/* {"name":...,"versions":[...],"preferredVersion":...} without its kind, for the group that starts at row i. */
static void
add_group(const struct table *t, size_t i, struct am_buf *out)
{
	const char *group = t->rows[i].group, *preferred = t->rows[i].version;
	bool first = true;

	am_json_addf(out, "\"name\":%s,\"versions\":[", group);
	for (size_t k = i; k < t->n && group_is(t, k, group); k++) {
		if (!starts_version(t, k))
			continue;
		am_json_addf(out, "%j{\"groupVersion\":\"%j/%j\",\"version\":%s}", first ? "" : ",", group,
			     t->rows[k].version, t->rows[k].version);
		first = false;
	}
	am_json_addf(out, "],\"preferredVersion\":{\"groupVersion\":\"%j/%j\",\"version\":%s}", group, preferred, preferred);
}

static void
answer_group_list(struct rest_call *call, const struct table *t)
{
	struct am_buf out = { 0 };
	bool first = true;

	am_buf_adds(&out, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
	for (size_t i = 0; i < t->n; i++) {
		if (!starts_group(t, i) || *t->rows[i].group == '\0')
			continue;
		am_buf_adds(&out, first ? "{" : ",{");
		add_group(t, i, &out);
		am_buf_addc(&out, '}');
		first = false;
	}
	am_buf_adds(&out, "]}");
	rest_answer_json(call, 200, &out);
}

static void
answer_group(struct rest_call *call, const struct table *t, const char *group)
{
	struct am_buf out = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		if (!starts_group(t, i) || !group_is(t, i, group) || *group == '\0')
			continue;
		am_buf_adds(&out, "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",");
		add_group(t, i, &out);
		am_buf_addc(&out, '}');
		rest_answer_json(call, 200, &out);
		return;
	}
	rest_answer_not_found_path(call);
}

static void
add_classic_row(const struct row *row, bool first, struct am_buf *out)
{
	struct rest_subresource sub;

	if (row->virt != NULL) {
		am_json_addf(out, "%j{\"name\":%s,\"singularName\":%s,\"namespaced\":%b,\"kind\":%s,\"verbs\":[%j]}",
			     first ? "" : ",", row->virt->plural, row->virt->singular, (int)row->virt->namespaced,
			     row->virt->kind, verbs_of(row));
		return;
	}
	const struct am_resource *r = row->res;
	int namespaced = (r->flags & AM_RES_NAMESPACED) != 0;

	am_json_addf(out, "%j{\"name\":%s,\"singularName\":%s,\"namespaced\":%b,\"kind\":%s,\"verbs\":[%j]",
		     first ? "" : ",", r->plural, r->singular, namespaced, r->kind, verbs_of(row));
	add_names(out, "shortNames", r->short_names);
	add_names(out, "categories", r->categories);
	am_buf_addc(out, '}');
	for (size_t i = 0; rest_subresource_at(r, i, &sub); i++) {
		am_json_addf(out, ",{\"name\":\"%j/%j\",\"singularName\":\"\",\"namespaced\":%b,", r->plural, sub.name,
			     namespaced);
		if (*sub.kind_group != '\0' && strcmp(sub.kind_group, r->group) != 0)
			am_json_addf(out, "\"group\":%s,\"version\":%s,", sub.kind_group, sub.kind_version);
		am_json_addf(out, "\"kind\":%s,", sub.kind);
		add_verbs(out, sub.verbs);
		am_buf_addc(out, '}');
	}
}

static void
answer_resources(struct rest_call *call, const struct table *t, const char *group, const char *version)
{
	struct am_buf out = { 0 };
	bool found = false, known = false;

	am_json_addf(&out, "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":%s,\"resources\":[",
		     rest_api_version(call, group, version));
	for (size_t i = 0; i < t->n; i++) {
		known = known || group_is(t, i, group);
		if (group_is(t, i, group) && strcmp(t->rows[i].version, version) == 0) {
			add_classic_row(&t->rows[i], !found, &out);
			found = true;
		}
	}
	am_buf_adds(&out, "]}");
	if (found) {
		rest_answer_json(call, 200, &out);
	} else if (known) {
		am_fail(&call->failure, 404, "NotFound", "the server could not find the requested resource");
		rest_answer_failure(call);
	} else {
		rest_answer_not_found_path(call);
	}
	am_buf_fini(&out);
}

/* ---- aggregated */

static void
add_response_kind(struct am_buf *out, const char *group, const char *version, const char *kind)
{
	am_json_addf(out, "\"responseKind\":{\"group\":%s,\"version\":%s,\"kind\":%s}", group, version, kind);
}

static void
add_aggregated_row(const struct row *row, bool first, struct am_buf *out)
{
	struct rest_subresource sub;
	const struct am_resource *r = row->res;

	if (row->virt != NULL) {
		am_json_addf(out, "%j{\"resource\":%s,", first ? "" : ",", row->virt->plural);
		add_response_kind(out, "", "", row->virt->kind);
		am_json_addf(out, ",\"scope\":%s,\"singularResource\":%s,\"verbs\":[%j]}",
			     row->virt->namespaced ? "Namespaced" : "Cluster", row->virt->singular, verbs_of(row));
		return;
	}
	bool custom = (r->flags & AM_RES_CUSTOM) != 0;

	am_json_addf(out, "%j{\"resource\":%s,", first ? "" : ",", r->plural);
	add_response_kind(out, custom ? r->group : "", custom ? r->version : "", r->kind);
	am_json_addf(out, ",\"scope\":%s,\"singularResource\":%s,\"verbs\":[%j]",
		     (r->flags & AM_RES_NAMESPACED) != 0 ? "Namespaced" : "Cluster", r->singular, verbs_of(row));
	add_names(out, "shortNames", r->short_names);
	add_names(out, "categories", r->categories);
	for (size_t i = 0; rest_subresource_at(r, i, &sub); i++) {
		am_json_addf(out, "%j{\"subresource\":%s,", i == 0 ? ",\"subresources\":[" : ",", sub.name);
		add_response_kind(out, sub.kind_group, sub.kind_version, sub.kind);
		am_buf_addc(out, ',');
		add_verbs(out, sub.verbs);
		am_buf_addc(out, '}');
	}
	am_buf_adds(out, rest_subresource_at(r, 0, &sub) ? "]}" : "}");
}

/* core: /api; else /apis. */
static char *
make_aggregated(const struct table *t, bool core)
{
	struct am_buf out = { 0 };
	bool first_group = true;

	am_buf_adds(&out, "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/v2\",\"metadata\":{},"
			  "\"items\":[");
	for (size_t i = 0; i < t->n; i++) {
		if ((*t->rows[i].group == '\0') != core)
			continue;
		bool version = starts_version(t, i), group = starts_group(t, i);

		if (group) {
			am_json_addf(&out, "%j{\"metadata\":{\"name\":%s,\"creationTimestamp\":null},\"versions\":[",
				     first_group ? "" : ",", t->rows[i].group);
			first_group = false;
		}
		if (version)
			am_json_addf(&out, "%j{\"version\":%s,\"resources\":[", group ? "" : ",", t->rows[i].version);
		add_aggregated_row(&t->rows[i], version, &out);
		bool last = i + 1 == t->n;

		if (last || starts_version(t, i + 1))
			am_buf_adds(&out, "],\"freshness\":\"Current\"}");
		if (last || starts_group(t, i + 1))
			am_buf_adds(&out, "]}");
	}
	am_buf_adds(&out, "]}");
	char *ret = am_buf_steal(&out, NULL);
	am_buf_fini(&out);
	return ret;
}

static char *
tag_of(const char *text)
{
	unsigned char digest[32];
	char hex[65];

	am_sha256(text, strlen(text), digest);
	am_hex(hex, digest, sizeof(digest));
	return am_xasprintf("\"%s\"", hex);
}

static void
answer_aggregated(struct rest_call *call, bool core)
{
	struct rest_discovery *d = call->server->discovery;
	uint64_t generation = am_engine_resources_generation(call->server->engine);
	const char *known = am_http_header(call->http, "If-None-Match");
	struct am_buf body = { 0 };
	int which = core ? 0 : 1;

	am_lock(&d->lock);
	if (!d->made || d->generation != generation) {
		struct table t;

		table_read(call->server, &t);
		for (int i = 0; i < 2; i++) {
			free(d->documents[i]);
			free(d->tags[i]);
			d->documents[i] = make_aggregated(&t, i == 0);
			d->tags[i] = tag_of(d->documents[i]);
		}
		d->generation = t.generation;
		d->made = true;
		table_fini(&t);
	}
	bool same = am_streq(known, d->tags[which]);

	am_http_set_header(call->http, "ETag", d->tags[which]);
	if (!same)
		am_buf_adds(&body, d->documents[which]);
	am_unlock(&d->lock);
	am_http_set_header(call->http, "Vary", "Accept");
	am_http_set_header(call->http, "Cache-Control", "public");
	am_http_answer(call->http, same ? 304 : 200, same ? NULL : AGGREGATED, &body);
	am_buf_fini(&body);
}

void
rest_discover(struct rest_call *call)
{
	bool core = strcmp(call->parts[0], "api") == 0;
	struct table t;

	if (call->n_parts == 1 &&
	    rest_accepts_as(call, "apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList")) {
		answer_aggregated(call, core);
		return;
	}
	if (rest_negotiate_answer(call, false) < 0) {
		rest_answer_failure(call);
		return;
	}
	table_read(call->server, &t);
	if (call->n_parts == 1 && core)
		answer_api_versions(call);
	else if (call->n_parts == 1)
		answer_group_list(call, &t);
	else if (core && call->n_parts == 2)
		answer_resources(call, &t, "", call->parts[1]);
	else if (call->n_parts == 2)
		answer_group(call, &t, call->parts[1]);
	else if (call->n_parts == 3)
		answer_resources(call, &t, call->parts[1], call->parts[2]);
	else
		rest_answer_not_found_path(call);
	table_fini(&t);
}

struct rest_discovery *
rest_discovery_new(void)
{
	struct rest_discovery *d = am_xcalloc(1, sizeof(*d));

	am_lock_init(&d->lock, "discovery");
	return d;
}

void
rest_discovery_free(struct rest_discovery *d)
{
	if (d == NULL)
		return;
	for (int i = 0; i < 2; i++) {
		free(d->documents[i]);
		free(d->tags[i]);
	}
	am_lock_fini(&d->lock);
	free(d);
}
