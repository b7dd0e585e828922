/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request was refused, and the Status document that says so.  Messages follow Kubernetes' wording, because
 * clients and people match on it.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/engine_priv.h"

static const struct {
	int code, error;
} codes[] = {
	{ 400, AMBIENT_E_INVALID },     { 401, AMBIENT_E_UNAUTHORIZED }, { 403, AMBIENT_E_FORBIDDEN },
	{ 404, AMBIENT_E_NOTFOUND },    { 409, AMBIENT_E_CONFLICT },     { 410, AMBIENT_E_GONE },
	{ 413, AMBIENT_E_NOMEM },       { 415, AMBIENT_E_UNSUPPORTED },  { 422, AMBIENT_E_INVALID },
	{ 429, AMBIENT_E_THROTTLED },   { 503, AMBIENT_E_UNAVAILABLE },  { 504, AMBIENT_E_TIMEOUT },
	{ 405, AMBIENT_E_UNSUPPORTED },
};

static int
error_of(int code, const char *reason)
{
	if (am_streq(reason, "AlreadyExists"))
		return AMBIENT_E_EXISTS;
	for (size_t i = 0; i < AM_COUNTOF(codes); i++)
		if (codes[i].code == code)
			return codes[i].error;
	return AMBIENT_E_INTERNAL;
}

void
am_failure_fini(struct am_failure *failure)
{
	free(failure->message);
	free(failure->kind);
	free(failure->group);
	free(failure->name);
	free(failure->uid);
	free(failure->cont);
	for (size_t i = 0; i < failure->n_causes; i++) {
		free(failure->causes[i].message);
		free(failure->causes[i].field);
	}
	free(failure->causes);
	memset(failure, 0, sizeof(*failure));
}

/* The text of a printf, bounded like everything that an outsider can lengthen. */
static am_printf_(1, 0) char *
format(const char *fmt, va_list ap)
{
	struct am_buf text = { .max = 64 * 1024 };

	am_buf_addv(&text, fmt, ap);
	char *ret = am_xstrdup(am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

static void
set(struct am_failure *failure, int code, const char *reason, char *message)
{
	struct am_cause *causes = failure->causes;
	size_t n = failure->n_causes;

	failure->causes = NULL;
	failure->n_causes = 0;
	am_failure_fini(failure);
	failure->causes = causes;
	failure->n_causes = n;
	failure->code = code;
	am_strlcpy(failure->reason, reason, sizeof(failure->reason));
	failure->message = message;
}

int
am_fail(struct am_failure *failure, int code, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = format(fmt, ap);
	va_end(ap);
	set(failure, code, reason, message);
	return -error_of(code, reason);
}

int
am_fail_on(struct am_failure *failure, int code, const char *reason, const struct am_resource *res, const char *name,
	   const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = format(fmt, ap);
	va_end(ap);
	bool core = res->group[0] == '\0';
	char *message = am_xasprintf("%s%s%s \"%s\" %s", res->plural, core ? "" : ".", res->group,
				     name != NULL ? name : "", text);
	free(text);
	set(failure, code, reason, message);
	failure->kind = am_xstrdup(res->plural);
	failure->group = core ? NULL : am_xstrdup(res->group);
	failure->name = am_xstrdup(name);
	return -error_of(code, reason);
}

int
am_fail_not_found(struct am_failure *failure, const struct am_resource *res, const char *name)
{
	return am_fail_on(failure, 404, "NotFound", res, name, "not found");
}

void
am_failure_cause(struct am_failure *failure, const char *reason, const char *field, const char *fmt, ...)
{
	va_list ap;

	if (failure->n_causes >= 100)
		return;
	struct am_cause *causes = am_xrealloc(failure->causes, failure->n_causes + 1, sizeof(*causes));
	va_start(ap, fmt);
	causes[failure->n_causes].message = format(fmt, ap);
	va_end(ap);
	causes[failure->n_causes].reason = reason;
	causes[failure->n_causes].field = am_xstrdup(field);
	failure->causes = causes;
	failure->n_causes++;
}

int
am_fail_invalid(struct am_failure *failure, const char *kind, const char *group, const char *name)
{
	struct am_buf text = { .max = 256 * 1024 };
	bool several = failure->n_causes > 1;

	am_buf_addf(&text, "%s%s%s \"%s\" is invalid: %s", kind, am_empty(group) ? "" : ".", group != NULL ? group : "",
		    name != NULL ? name : "", several ? "[" : "");
	for (size_t i = 0; i < failure->n_causes; i++)
		am_buf_addf(&text, "%s%s: %s", i > 0 ? ", " : "", failure->causes[i].field, failure->causes[i].message);
	if (several)
		am_buf_addc(&text, ']');
	set(failure, 422, "Invalid", am_xstrdup(am_buf_str(&text)));
	am_buf_fini(&text);
	failure->kind = am_xstrdup(kind);
	failure->group = am_empty(group) ? NULL : am_xstrdup(group);
	failure->name = am_xstrdup(name);
	return -AMBIENT_E_INVALID;
}

static void
add_member(struct am_buf *out, const char *key, const char *value)
{
	if (am_empty(value))
		return;
	if (out->len > 0 && out->data[out->len - 1] != '{')
		am_buf_addc(out, ',');
	am_json_add_str(out, key);
	am_buf_addc(out, ':');
	am_json_add_str(out, value);
}

static void
add_causes(const struct am_failure *failure, struct am_buf *out)
{
	if (out->data[out->len - 1] != '{')
		am_buf_addc(out, ',');
	am_buf_adds(out, "\"causes\":[");
	for (size_t i = 0; i < failure->n_causes; i++) {
		am_buf_adds(out, i > 0 ? ",{" : "{");
		add_member(out, "reason", failure->causes[i].reason);
		add_member(out, "message", failure->causes[i].message);
		add_member(out, "field", failure->causes[i].field);
		am_buf_addc(out, '}');
	}
	am_buf_addc(out, ']');
}

void
am_failure_status(const struct am_failure *failure, struct am_buf *out)
{
	am_buf_adds(out, "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{");
	add_member(out, "continue", failure->cont);
	am_buf_adds(out, "},\"status\":\"Failure\"");
	add_member(out, "message", failure->message);
	add_member(out, "reason", failure->reason);
	if (failure->kind != NULL || failure->n_causes > 0 || failure->retry_after > 0 || failure->code == 404) {
		am_buf_adds(out, ",\"details\":{");
		add_member(out, "name", failure->name);
		add_member(out, "group", failure->group);
		add_member(out, "kind", failure->kind);
		add_member(out, "uid", failure->uid);
		if (failure->n_causes > 0)
			add_causes(failure, out);
		if (failure->retry_after > 0)
			am_buf_addf(out, "%s\"retryAfterSeconds\":%d", out->data[out->len - 1] == '{' ? "" : ",",
				    failure->retry_after);
		am_buf_addc(out, '}');
	}
	am_buf_addf(out, ",\"code\":%d}", failure->code);
}
