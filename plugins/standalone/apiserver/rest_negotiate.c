/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content negotiation: Accept in the order in which the client wrote it (clients of Kubernetes order by preference
 * and send no weights worth reading), and bodies in JSON, YAML or, for builtin kinds, protobuf.
 */
#include <ctype.h>

#include "plugins/standalone/apiserver/rest.h"

#define MEDIA_TYPES "application/json, application/yaml"

struct media {
	char type[128];
	char as[64], g[64], v[64];
	bool stream;
};

/* "application/json;as=Table;v=v1;g=meta.k8s.io" without white space. */
static bool
parse_media(const char *p, size_t n, struct media *m)
{
	char text[512];
	size_t k = 0;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < n; i++)
		if (!isspace((unsigned char)p[i])) {
			if (k + 1 >= sizeof(text))
				return false;
			text[k++] = p[i];
		}
	text[k] = '\0';
	char *save = NULL;
	char *item = strtok_r(text, ";", &save);

	if (item == NULL)
		return false;
	for (char *c = item; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	am_strlcpy(m->type, item, sizeof(m->type));
	while ((item = strtok_r(NULL, ";", &save)) != NULL) {
		if (am_starts(item, "as="))
			am_strlcpy(m->as, item + 3, sizeof(m->as));
		else if (am_starts(item, "g="))
			am_strlcpy(m->g, item + 2, sizeof(m->g));
		else if (am_starts(item, "v="))
			am_strlcpy(m->v, item + 2, sizeof(m->v));
		else if (am_starts(item, "stream="))
			m->stream = true;
	}
	return true;
}

struct each_media {
	bool (*fn)(void *arg, const struct media *m);
	void *arg;
	bool any;
};

static bool
each_value(void *arg, const char *value)
{
	struct each_media *each = arg;

	while (*value != '\0') {
		size_t n = strcspn(value, ",");
		struct media m;

		if (parse_media(value, n, &m)) {
			each->any = true;
			if (!each->fn(each->arg, &m))
				return false;
		}
		value += n + (value[n] == ',');
	}
	return true;
}

/* False when there is no Accept at all. */
static bool
each_accept(struct rest_call *call, bool (*fn)(void *, const struct media *), void *arg)
{
	struct each_media each = { fn, arg, false };

	am_http_header_each(call->http, "Accept", each_value, &each);
	return each.any;
}

struct choice {
	struct rest_call *call;
	bool tables, list, found;
};

static bool
is_json(const char *type)
{
	return strcmp(type, "application/json") == 0 || strcmp(type, "*/*") == 0 || strcmp(type, "application/*") == 0;
}

static bool
choose(void *arg, const struct media *m)
{
	struct choice *c = arg;
	bool yaml = strcmp(m->type, "application/yaml") == 0;
	bool v1 = strcmp(m->v, "v1") == 0 || strcmp(m->v, "v1beta1") == 0;
	enum rest_form form = REST_PLAIN;

	if (!is_json(m->type) && !yaml)
		return true;
	if (m->as[0] != '\0') {
		if (!c->tables || !v1 || strcmp(m->g, "meta.k8s.io") != 0)
			return true;
		if (strcmp(m->as, "Table") == 0)
			form = REST_TABLE;
		else if (strcmp(m->as, "PartialObjectMetadata") == 0 && !c->list)
			form = REST_PARTIAL;
		else if (strcmp(m->as, "PartialObjectMetadataList") == 0 && c->list)
			form = REST_PARTIAL_LIST;
		else
			return true;
	}
	c->call->form = form;
	c->call->media = yaml ? REST_YAML : REST_JSON;
	c->found = true;
	return false;
}

int
rest_negotiate_answer(struct rest_call *call, bool tables)
{
	struct choice c = { .call = call, .tables = tables };

	/* Events of a watch are single objects. */
	c.list = call->is_resource && strcmp(call->verb, "list") == 0;
	call->form = REST_PLAIN;
	call->media = REST_JSON;
	if (!each_accept(call, choose, &c) || c.found)
		return 0;
	return am_fail(&call->failure, 406, "NotAcceptable", "only the following media types are accepted: %s",
		       MEDIA_TYPES);
}

static bool
choose_json(void *arg, const struct media *m)
{
	struct choice *c = arg;

	c->found = is_json(m->type);
	return !c->found;
}

int
rest_negotiate_json(struct rest_call *call)
{
	struct choice c = { .call = call };

	if (!each_accept(call, choose_json, &c) || c.found)
		return 0;
	return am_fail(&call->failure, 406, "NotAcceptable", "only the following media types are accepted: application/json");
}

struct wanted {
	const char *type, *group, *version, *as;
	bool found;
};

static bool
is_wanted(void *arg, const struct media *m)
{
	struct wanted *w = arg;

	if (w->as == NULL)
		w->found = strcmp(m->type, w->type) == 0;
	else
		w->found = is_json(m->type) && strcmp(m->as, w->as) == 0 && strcmp(m->g, w->group) == 0 &&
			   strcmp(m->v, w->version) == 0;
	return !w->found;
}

bool
rest_accepts(struct rest_call *call, const char *type)
{
	struct wanted w = { .type = type };

	each_accept(call, is_wanted, &w);
	return w.found;
}

bool
rest_accepts_as(struct rest_call *call, const char *group, const char *version, const char *as)
{
	struct wanted w = { .group = group, .version = version, .as = as };

	each_accept(call, is_wanted, &w);
	return w.found;
}

const char *
rest_content_type(struct rest_call *call)
{
	const char *value = am_http_header(call->http, "Content-Type");
	struct media m;

	if (value == NULL || !parse_media(value, strlen(value), &m))
		return "";
	return am_arena_strdup(call->arena, m.type);
}

/* One document; a second one is refused. */
struct yaml_body {
	struct rest_call *call;
	struct am_slice json;
	int documents;
};

static int
yaml_document(void *arg, const char *json, size_t n, struct ambient_error *err)
{
	struct yaml_body *y = arg;
	char *copy = am_arena_strndup(y->call->arena, json, n);

	if (y->documents++ > 0)
		return ambient_err(err, AMBIENT_E_INVALID, "the body holds more than one YAML document");
	if (copy == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "the body is too large");
	y->json = am_slice(copy, n);
	return 0;
}

static int
body_of_yaml(struct rest_call *call, struct am_slice body, struct am_slice *ret)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct yaml_body y = { .call = call };

	if (am_yaml_to_json(body.p, body.n, yaml_document, &y, &err) < 0)
		return am_fail(&call->failure, 400, "BadRequest", "the body of the request is no valid YAML: %s",
			       err.message);
	*ret = y.json;
	return 0;
}

int
rest_apply_body(struct rest_call *call, struct am_slice *body)
{
	const char *p = body->p;
	size_t n = body->n;

	/* JSON is YAML, but numbers keep their text only when it is read as JSON. */
	while (n > 0 && strchr(" \t\r\n", *p) != NULL)
		p++, n--;
	return n > 0 && *p == '{' && am_json_check(p, n, NULL) == 0 ? 0 : body_of_yaml(call, *body, body);
}

static int
body_of_proto(struct rest_call *call, struct am_slice body, struct am_slice *ret)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf json = { .max = 4 * REST_BODY_MAX };
	int rc = rest_proto_to_json(body.p, body.n, &json, &err);
	char *copy = rc < 0 ? NULL : am_arena_strndup(call->arena, am_buf_str(&json), json.len);

	if (copy != NULL)
		*ret = am_slice(copy, json.len);
	am_buf_fini(&json);
	if (rc == -AMBIENT_E_UNSUPPORTED)
		return am_fail(&call->failure, 415, "UnsupportedMediaType",
			       "the body of the request was in an unknown format - accepted media types include: %s",
			       MEDIA_TYPES);
	if (copy == NULL)
		return am_fail(&call->failure, 400, "BadRequest", "the protobuf body cannot be decoded: %s", err.message);
	return 0;
}

int
rest_negotiate_body(struct rest_call *call, struct am_slice *ret)
{
	const char *type = rest_content_type(call);
	struct am_slice body = am_http_body(call->http);

	if (*type == '\0' || strcmp(type, "application/json") == 0) {
		*ret = body;
		return 0;
	}
	if (strcmp(type, "application/yaml") == 0)
		return body_of_yaml(call, body, ret);
	if (strcmp(type, "application/vnd.kubernetes.protobuf") == 0)
		return body_of_proto(call, body, ret);
	return am_fail(&call->failure, 415, "UnsupportedMediaType",
		       "the body of the request was in an unknown format - accepted media types include: %s, "
		       "application/vnd.kubernetes.protobuf",
		       MEDIA_TYPES);
}
