/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit events.  When it is known who asks and whether he may, the request is judged by the rules; what the event says of
 * the request is written down then, as a request may be answered long after, on another thread.  The listener tells when
 * the answer is decided: a whole one ends the event, a stream begins one event and ends another.
 *
 * What is secret is never in the log: bodies of secrets, of token requests and reviews, and of whatever is encrypted in
 * the database are left out, whatever the rules say; so are parameters of a query that are called like one.
 */
#include "plugins/standalone/apiserver/audit.h"

#include <stdlib.h>

#include "core/data/scan.h"

#define BODY_MAX  ((size_t)64 * 1024)
#define TEXT_MAX  2048

struct rest_audit {
	struct audit_file *file;
	struct audit_rule *rules;
	size_t n_rules;
	enum audit_level fallback;
	const char *const *hidden; /* resources whose bodies are secret; ended by NULL */
	struct am_clock *clock;
};

struct event {
	struct rest_audit *audit;
	enum audit_level level;
	struct am_buf head;        /* up to the stage */
	struct am_buf tail;        /* behind the answer */
	int status;                /* of a stream that has begun */
};

/* ---- rules */

static const char *const levels[] = { "None", "Metadata", "Request", "RequestResponse" };

int
audit_level_parse(const char *text)
{
	for (size_t i = 0; i < AM_COUNTOF(levels); i++)
		if (strcmp(levels[i], text) == 0)
			return (int)i;
	return -1;
}

/* An empty list holds; a pattern may have * in it. */
static bool
any(const char *const *list, const char *text)
{
	if (list == NULL || list[0] == NULL)
		return true;
	for (size_t i = 0; text != NULL && list[i] != NULL; i++)
		if (am_glob(list[i], text))
			return true;
	return false;
}

static bool
any_group(const char *const *list, const struct rest_user *user)
{
	if (list == NULL || list[0] == NULL)
		return true;
	for (size_t i = 0; i < user->n_groups; i++)
		if (any(list, user->groups[i]))
			return true;
	return false;
}

/* "secrets", "jobs.batch", "pods/log", "jobs.batch/status" */
static const char *
resource_name(const struct rest_call *call, char buf[512], bool sub)
{
	if (!call->is_resource)
		return NULL;
	(void)snprintf(buf, 512, "%s%s%s%s%s", call->plural, *call->group != '\0' ? "." : "", call->group,
		       sub && call->sub != NULL ? "/" : "", sub && call->sub != NULL ? call->sub : "");
	return buf;
}

enum audit_level
audit_level_of(const struct audit_rule *rules, size_t n, enum audit_level fallback, const struct rest_call *call)
{
	char buf[512];
	const char *resource = resource_name(call, buf, true);

	for (size_t i = 0; i < n; i++) {
		const struct audit_rule *r = &rules[i];

		if (any(r->users, call->user.name) && any_group(r->groups, &call->user) && any(r->verbs, call->verb) &&
		    any(r->resources, resource) && any(r->namespaces, call->is_resource ? call->ns : NULL) &&
		    any(r->paths, call->is_resource ? NULL : call->path))
			return r->level;
	}
	return fallback;
}

/* May bodies of this be seen by others than who asks? */
static bool
is_hidden(const struct rest_audit *audit, const struct rest_call *call)
{
	static const char *const always[] = { "secrets", "serviceaccounts/token", "tokenreviews.authentication.k8s.io",
					      "pods/proxy", NULL };
	char with_sub[512], plain[512];
	const char *a = resource_name(call, with_sub, true), *b = resource_name(call, plain, false);

	for (size_t i = 0; a != NULL && always[i] != NULL; i++)
		if (strcmp(always[i], a) == 0 || strcmp(always[i], b) == 0)
			return true;
	for (size_t i = 0; a != NULL && audit->hidden != NULL && audit->hidden[i] != NULL; i++)
		if (strcmp(audit->hidden[i], b) == 0)
			return true;
	return false;
}

/* ---- what is said of the request */

static void
add_text(struct am_buf *out, const char *member, const char *text)
{
	if (!am_empty(text)) {
		am_json_addf(out, ",%s:", member);
		am_json_add_strn(out, text, strnlen(text, TEXT_MAX));
	}
}

/* The name of a parameter, as it would be read; a value behind it is nobody's business but the receiver's. */
static bool
names_a_secret(struct am_slice name)
{
	static const char *const words[] = { "token", "secret", "passw", "key", "credential", "signature", "auth", "bearer" };
	struct am_buf plain = { 0 };
	bool found = !am_http_unescape(name, true, &plain);

	for (size_t i = 0; !found && i < AM_COUNTOF(words); i++)
		found = strcasestr(am_buf_str(&plain), words[i]) != NULL;
	am_buf_fini(&plain);
	return found;
}

/* No parameter of ours holds a secret, but a client may send one by mistake, or to a pod. */
static void
add_uri(struct am_buf *out, const char *target)
{
	size_t n = strnlen(target, TEXT_MAX), at = strcspn(target, "?");
	struct am_buf uri = { 0 };

	am_buf_add(&uri, target, AM_MIN(at + 1, n));
	for (at++; at < n;) {
		size_t end = at + strcspn(target + at, "&;"), equals = at + strcspn(target + at, "=");

		end = AM_MIN(end, n);
		if (equals < end && names_a_secret(am_slice(target + at, equals - at))) {
			am_buf_addf(&uri, "%.*s=[redacted]", (int)(equals - at), target + at);
			end = AM_MIN(at + strcspn(target + at, "&"), n); /* to some, ; is part of a value */
		} else {
			am_buf_add(&uri, target + at, end - at);
		}
		if (end < n)
			am_buf_addc(&uri, target[end]);
		at = end + 1;
	}
	add_text(out, "requestURI", am_buf_str(&uri));
	am_buf_fini(&uri);
}

static void
add_reference(const struct rest_call *call, struct am_buf *out)
{
	struct am_buf ref = { 0 };

	if (!call->is_resource)
		return;
	add_text(&ref, "resource", call->plural);
	add_text(&ref, "namespace", call->ns);
	add_text(&ref, "name", call->name);
	add_text(&ref, "apiGroup", call->group);
	add_text(&ref, "apiVersion", call->version);
	add_text(&ref, "subresource", call->sub);
	if (ref.len > 0)
		am_json_addf(out, ",\"objectRef\":{%j}", am_buf_str(&ref) + 1);
	am_buf_fini(&ref);
}

static void
add_user(struct am_buf *out, const char *member, const struct rest_user *user)
{
	am_json_addf(out, ",%s:", member);
	if (user->name != NULL)
		rest_user_print(user, out);
	else
		am_buf_adds(out, "{}");
}

/* A body, when it is JSON of a size that a log can bear. */
static void
add_body(struct am_buf *out, const char *member, const char *text, size_t n)
{
	if (n == 0)
		return;
	if (n > BODY_MAX || am_json_check(text, n, NULL) < 0) {
		am_json_addf(out, ",\"%jOmitted\":\"%d bytes\"", member, (int)AM_MIN(n, (size_t)INT32_MAX));
		return;
	}
	am_json_addf(out, ",%s:", member);
	for (size_t i = 0; i < n; i++) /* one event, one line: outside of strings a line feed is only space */
		am_buf_addc(out, text[i] == '\n' || text[i] == '\r' ? ' ' : text[i]);
}

static void
add_request_body(struct rest_call *call, struct am_buf *out)
{
	struct am_slice body = am_http_body(call->http);

	if (body.n == 0)
		return;
	if (strcmp(call->verb, "patch") != 0 && rest_negotiate_body(call, &body) < 0) {
		/* Whoever handles it says so, too. */
		am_failure_fini(&call->failure);
		return;
	}
	add_body(out, "requestObject", body.p, body.n);
}

static void
describe(struct rest_call *call, struct event *e, bool allowed, bool hidden)
{
	char address[64], received[32];
	const char *agent = am_http_header(call->http, "User-Agent");

	am_time_format(received, am_clock_wall(e->audit->clock), true);
	am_http_address(call->http, address);
	am_json_addf(&e->head, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":%s,\"auditID\":%s", levels[e->level],
		     call->audit_id);
	add_uri(&e->head, am_http_target(call->http));
	add_text(&e->head, "verb", call->verb != NULL ? call->verb : "");
	add_user(&e->head, "user", call->impersonated ? &call->real_user : &call->user);
	if (call->impersonated)
		add_user(&e->head, "impersonatedUser", &call->user);
	am_json_addf(&e->head, ",\"sourceIPs\":[%s]", address);
	add_text(&e->head, "userAgent", agent);
	add_reference(call, &e->head);
	if (e->level >= AUDIT_REQUEST && !hidden)
		add_request_body(call, &e->head);
	am_json_addf(&e->tail, ",\"requestReceivedTimestamp\":%s,\"annotations\":{", received);
	if (call->user.name != NULL)
		am_json_addf(&e->tail, "\"authorization.k8s.io/decision\":%s,\"authorization.k8s.io/reason\":%s",
			     allowed ? "allow" : "forbid", call->decision != NULL ? call->decision : "");
	if (call->user.stale)
		am_json_addf(&e->tail, ",\"authentication.k8s.io/stale-token\":%s", call->user.name);
	am_buf_addc(&e->tail, '}');
}

/* ---- what is said of the answer */

static void
add_status(struct am_buf *out, int status, const struct am_buf *body)
{
	struct am_slice text = am_slice(body != NULL ? am_buf_str(body) : "", body != NULL ? body->len : 0);
	static const char *const members[] = { "status", "message", "reason" };

	am_buf_adds(out, ",\"responseStatus\":{\"metadata\":{}");
	if (status >= 400 && text.n > 0 && text.n < BODY_MAX && text.p[0] == '{')
		for (size_t i = 0; i < AM_COUNTOF(members); i++) {
			char pointer[16];

			(void)snprintf(pointer, sizeof(pointer), "/%s", members[i]);
			am_auto(am_freep) char *value = am_json_dup(text, pointer);

			add_text(out, members[i], value);
		}
	am_json_addf(out, ",\"code\":%d}", status);
}

static void
write_event(struct event *e, const char *stage, int status, const struct am_buf *body, bool patient)
{
	struct am_buf line = { 0 };
	char now[32];

	am_time_format(now, am_clock_wall(e->audit->clock), true);
	am_buf_add(&line, e->head.data, e->head.len);
	am_json_addf(&line, ",\"stage\":%s", stage);
	add_status(&line, status, body);
	if (e->level == AUDIT_REQUEST_RESPONSE && body != NULL && body->len > 0)
		add_body(&line, "responseObject", body->data, body->len);
	am_json_addf(&line, ",\"stageTimestamp\":%s", now);
	am_buf_add(&line, e->tail.data, e->tail.len);
	am_buf_adds(&line, "}\n");
	audit_file_add(e->audit->file, &line, patient);
	am_buf_fini(&line);
}

static void
on_answer(void *arg, int status, const struct am_buf *body)
{
	struct event *e = arg;

	if (status != 0) {
		write_event(e, body != NULL ? "ResponseComplete" : "ResponseStarted", status, body, true);
		e->status = body != NULL ? 0 : status;
		return;
	}
	if (e->status != 0)
		write_event(e, "ResponseComplete", e->status, NULL, false);
	am_buf_fini(&e->head);
	am_buf_fini(&e->tail);
	free(e);
}

/* ---- the whole */

/* The client's own id when it may stand in a header and a log. */
void
rest_audit_id(struct rest_call *call)
{
	static const char *const usable = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	const char *given = am_http_header(call->http, "Audit-Id");

	if (!am_empty(given) && strlen(given) < sizeof(call->audit_id) && strspn(given, usable) == strlen(given))
		(void)am_strlcpy(call->audit_id, given, sizeof(call->audit_id));
	else
		am_uuid4(call->audit_id);
	am_http_set_header(call->http, "Audit-Id", call->audit_id);
}

void
rest_audit_begin(struct rest_call *call, bool allowed)
{
	struct rest_audit *audit = call->server->audit;
	enum audit_level level;

	if (audit == NULL)
		return;
	level = audit_level_of(audit->rules, audit->n_rules, audit->fallback, call);
	if (level == AUDIT_NONE)
		return;
	bool hidden = is_hidden(audit, call);
	struct event *e = am_xcalloc(1, sizeof(*e));

	e->audit = audit;
	/* The answer to who may not is a Status, and no secret. */
	e->level = hidden || !allowed ? AUDIT_METADATA : level;
	describe(call, e, allowed, hidden);
	am_http_observe(call->http, on_answer, e);
}

int
rest_audit_open(const struct rest_audit_options *o, struct rest_audit **ret, struct ambient_error *err)
{
	const struct audit_file_options fo = { .path = o->path, .max_size = o->max_size, .backups = o->backups };
	struct rest_audit *audit = am_xcalloc(1, sizeof(*audit));

	audit->rules = o->rules;
	audit->n_rules = o->n_rules;
	audit->fallback = o->level;
	audit->hidden = o->hidden;
	audit->clock = o->clock;
	int rc = audit_file_open(&fo, &audit->file, err);

	if (rc < 0) {
		free(audit);
		return rc;
	}
	*ret = audit;
	return 0;
}

void
rest_audit_close(struct rest_audit *audit)
{
	if (audit == NULL)
		return;
	audit_file_close(audit->file);
	free(audit);
}
