/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that leaves evidence of who reconciled what: while a session's annotation "count" is less than its "want", a
 * reconcile adds one, by read, pause and conditional write, and says in the log when it begins and how it ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ambient/plugin.h>

#define SESSIONS "vteam.ambient-code/v1alpha1/agenticsessions"
#define WANT     "/metadata/annotations/want"
#define COUNT    "/metadata/annotations/count"

AMBIENT_DECLARE("name=witness\0"
		"version=1.0.0\0"
		"for=" SESSIONS "\0"
		"may=" SESSIONS ":update\0");

static const struct ambient_option pause_row = { .size = sizeof(pause_row), .name = "pause", .type = AMBIENT_OPT_DURATION,
						 .def = "20ms", .text = "Between reading and writing." };
static const struct ambient_option *const options[] = { &pause_row, NULL };

struct self {
	const struct ambient_host *host;
	int64_t pause;
};

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct self *self = calloc(1, sizeof(*self));

	if (self == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	self->host = host;
	self->pause = host->conf->integer(conf, "pause", 0);
	*ret_self = self;
	return 0;
}

static int
write_count(struct ambient_call *call, const struct ambient_object *session, long n, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_from(call, SESSIONS, session);
	char text[24];

	(void)snprintf(text, sizeof(text), "%ld", n);
	ambient_draft_set_str(draft, COUNT, text);
	return ambient_update(call, draft, NULL, err);
}

static int
reconcile(void *arg, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	const struct self *self = arg;
	const struct ambient_object *session;
	int rc = ambient_get(call, SESSIONS, req->ns, req->name, &session, err);

	(void)result;
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	long want = strtol(ambient_str(session, WANT, "0"), NULL, 10), n = strtol(ambient_str(session, COUNT, "0"), NULL, 10) + 1;
	if (n > want)
		return 0;
	ambient_log(call->host, AMBIENT_LOG_INFO, "witness begins %s/%s %ld", req->ns, req->name, n);
	for (int64_t left = self->pause; left > 0 && !ambient_cancelled(call); left -= AMBIENT_MILLISECOND)
		(void)usleep(1000);
	rc = write_count(call, session, n, err);
	ambient_log(call->host, AMBIENT_LOG_INFO, "witness %s %s/%s %ld", rc == 0 ? "did" : "failed", req->ns, req->name, n);
	return rc;
}

static const struct ambient_reconciler only = { .size = sizeof(only), .reconcile = reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &only, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.create = create,
	.destroy = free,
	.reconcilers = reconcilers,
};
