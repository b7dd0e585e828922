/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/exec, attach and portforward.  Checks the request as Kubernetes does, then hands the WebSocket over to the pod's
 * node as a kubelet's /exec and /attach: the node chooses the protocol and speaks it, here bytes pass.  SPDY is spoken
 * by nobody here; who asks for it passes the same checks, and then reads which kubectl speaks WebSocket.  kubectl asks for SPDY
 * whenever a WebSocket was refused, and shows only what it hears then: so the node is asked as well, without an upgrade, which
 * starts nothing, and its refusal is the answer.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

#define DIALS_MAX 64
#define TEXT_MAX  ((size_t)8 << 10)

struct job {
	struct am_http_request *http;
	const struct rest_pki *pki;
	char *origin, *pod;
	const char *spdy;          /* what was asked for by it; NULL: nothing */
	struct am_buf request;
	struct rest_link *link;
};

bool
rest_is_connect(const struct rest_call *call)
{
	static const char *const subs[] = { "exec", "attach", "portforward" };

	for (size_t i = 0; i < AM_COUNTOF(subs); i++)
		if (am_streq(call->sub, subs[i]))
			return call->is_resource && *call->group == '\0' && strcmp(call->plural, "pods") == 0;
	return false;
}

/* ---- what may be asked */

static bool
is_exec(const struct rest_call *call)
{
	return strcmp(call->sub, "exec") == 0;
}

/* Does it run, as far as its node has told? */
static int
check_state(struct rest_call *call, const struct am_node *pod, const char *container)
{
	const char *phase = am_node_text(am_node_path(pod, "status", "phase", NULL), "");
	const struct am_node *status = rest_pod_status_of(pod, container);
	const struct am_node *waiting = am_node_path(status, "state", "waiting", NULL);
	const struct am_node *ended = am_node_path(status, "state", "terminated", NULL);

	if (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)
		return am_fail(&call->failure, 400, "BadRequest", "cannot %s a container in a completed pod; current phase is %s",
			       is_exec(call) ? "exec into" : "attach to", phase);
	if (ended != NULL)
		return am_fail(&call->failure, 400, "BadRequest", "container \"%s\" in pod \"%s\" does not run: it has ended (%s)",
			       container, call->name, am_node_get_str(ended, "reason", "Completed"));
	if (waiting != NULL || status == NULL)
		return am_fail(&call->failure, 400, "BadRequest", "container \"%s\" in pod \"%s\" is waiting to start: %s", container,
			       call->name, am_node_get_str(waiting, "reason", "ContainerCreating"));
	return 0;
}

/* The parameters as a kubelet names them. */
static int
add_query(struct rest_call *call, struct am_buf *out)
{
	static const char *const streams[][2] = { { "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" } };
	bool tty = rest_query_true(call, "tty");
	const char *name, *value;
	int n = 0, words = 0;

	am_buf_adds(out, tty ? "?tty=1" : "?");
	for (size_t i = 0; i < AM_COUNTOF(streams); i++)
		/* A terminal has one output. */
		if (rest_query_true(call, streams[i][0]) && !(tty && i == 2)) {
			am_buf_addf(out, "%s%s=1", n > 0 || tty ? "&" : "", streams[i][1]);
			n++;
		}
	if (n == 0)
		return am_fail(&call->failure, 400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr");
	for (size_t i = 0; is_exec(call) && am_http_query_at(call->http, i, &name, &value); i++)
		if (strcmp(name, "command") == 0) {
			am_buf_adds(out, "&command=");
			rest_add_escaped(out, value);
			words++;
		}
	if (is_exec(call) && words == 0)
		return am_fail(&call->failure, 400, "BadRequest", "you must specify at least one command for the container");
	return 0;
}

static int
check_portforward(struct rest_call *call, const struct am_node *pod)
{
	struct am_buf url = { 0 };
	int rc = rest_pod_node(call, pod, &url);

	am_buf_fini(&url);
	return rc < 0 ? rc : am_fail(&call->failure, 501, "NotImplemented",
				     "port-forward is not implemented by the standalone server: connect to the pod's address, "
				     "status.podIP, from this machine, or use the proxy subresource of the pod");
}

static bool
is_spdy(const struct rest_call *call)
{
	return am_http_header_has(call->http, "Connection", "upgrade") && am_http_header_has(call->http, "Upgrade", "SPDY/3.1");
}

/* Can what is asked be had by a WebSocket, and is there room? */
static int
check_upgrade(struct rest_call *call)
{
	bool upgrade = am_http_header_has(call->http, "Connection", "upgrade");
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (!is_spdy(call) && (!upgrade || !am_http_header_has(call->http, "Upgrade", "websocket") ||
			       strcmp(am_http_method(call->http), "GET") != 0))
		return am_fail(&call->failure, 400, "BadRequest", "Upgrade request required: GET with Upgrade: websocket");
	if (am_http_may_upgrade(call->http, &err) == 0)
		return 0;
	if (err.code == AMBIENT_E_THROTTLED)
		am_fail(&call->failure, 429, "TooManyRequests", "%s", err.message);
	else
		am_fail(&call->failure, 503, "ServiceUnavailable", "%s", err.message);
	call->failure.retry_after = 1;
	return -AMBIENT_E_UNAVAILABLE;
}

static void
refuse_spdy(const struct job *job, struct am_failure *failure)
{
	am_fail(failure, 501, "NotImplemented",
		"%s by SPDY is not implemented by the standalone server, which speaks WebSocket: use kubectl 1.31 or later, or kubectl "
		"1.29 or 1.30 with KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true in its environment", job->spdy);
}

/* ---- passing on */

static void
add_request(struct rest_call *call, const char *host, const char *target, struct am_buf *out)
{
	const char *agent = am_http_header(call->http, "User-Agent");

	am_buf_addf(out, "GET %s HTTP/1.1\r\n", target);
	rest_add_field(out, "Host", host);
	if (!is_spdy(call))
		rest_add_websocket(call->http, out);
	if (agent != NULL)
		rest_add_field(out, "User-Agent", agent);
	rest_add_field(out, "Audit-Id", call->audit_id);
	am_buf_adds(out, "\r\n");
}

static void
free_job(void *arg)
{
	struct job *job = arg;

	rest_link_close(job->link);
	am_buf_fini(&job->request);
	free(job->origin);
	free(job->pod);
	free(job);
}

/* A refusal of the node, in its words. */
static void
refuse(struct job *job, const struct rest_head *head, struct am_failure *failure)
{
	struct am_buf text = { 0 };
	static const struct {
		int status;
		const char *reason;
	} reasons[] = { { 400, "BadRequest" }, { 404, "NotFound" }, { 429, "TooManyRequests" }, { 501, "NotImplemented" },
			{ 503, "ServiceUnavailable" } };

	rest_link_body(job->link, head, TEXT_MAX, &text);
	while (text.len > 0 && strchr(" \r\n", text.data[text.len - 1]) != NULL)
		text.data[--text.len] = '\0';
	if (!am_utf8_valid(am_buf_str(&text), text.len))
		am_buf_reset(&text);
	for (size_t i = 0; i < AM_COUNTOF(reasons); i++)
		if (reasons[i].status == head->status)
			am_fail(failure, head->status, reasons[i].reason, "%s", text.len > 0 ? text.data : reasons[i].reason);
	if (failure->code == 0)
		am_fail(failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" answered %d%s%s", job->pod,
			head->status, text.len > 0 ? ": " : "", am_buf_str(&text));
	am_buf_fini(&text);
}

static void
run(void *arg)
{
	struct job *job = arg;
	struct am_failure failure = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct rest_head head;
	int rc = rest_link_open(job->origin, job->pki, job->http, &job->link, &err);

	if (rc == 0)
		rc = rest_link_ask(job->link, &job->request, &head, &err);
	if (rc < 0)
		am_fail(&failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" does not answer: %s",
			job->pod, err.message);
	else if (job->spdy != NULL && (head.status == 101 || head.status == 426))
		refuse_spdy(job, &failure);
	else if (head.status == 101)
		job->link = rest_link_upgrade(job->http, job->link, &head, &failure) < 0 ? job->link : NULL;
	else
		refuse(job, &head, &failure);
	if (failure.code != 0)
		rest_pass_answer(job->http, &failure);
	am_failure_fini(&failure);
}

static int
start(struct rest_call *call, const char *origin, const char *container, const char *query)
{
	struct job *job = am_xcalloc(1, sizeof(*job));
	am_auto(am_buf_fini) struct am_buf target = { 0 };

	am_buf_addf(&target, "/%s/%s/%s/%s%s", call->sub, call->ns, call->name, container, query);
	job->http = call->http;
	job->pki = call->server->pki;
	job->origin = am_xstrdup(origin);
	job->pod = am_xstrdup(call->name);
	job->spdy = !is_spdy(call) ? NULL : is_exec(call) ? "exec" : "attach";
	add_request(call, origin + strlen("https://"), am_buf_str(&target), &job->request);
	if (rest_pass(call->server, call->http, DIALS_MAX, run, free_job, job))
		return 0;
	free_job(job);
	return -AMBIENT_E_THROTTLED;
}

void
rest_connect(struct rest_call *call)
{
	const struct am_node *pod = rest_pod_get(call);
	struct am_buf origin = { 0 }, query = { 0 };
	const char *container = NULL;
	int rc = pod != NULL ? 0 : -AMBIENT_E_NOTFOUND;

	if (rc == 0 && strcmp(call->sub, "portforward") == 0)
		rc = check_portforward(call, pod);
	else if (rc == 0 && (rest_pod_container(call, pod, &container) < 0 || rest_pod_node(call, pod, &origin) < 0 ||
			     check_state(call, pod, container) < 0 || add_query(call, &query) < 0 || check_upgrade(call) < 0))
		rc = -AMBIENT_E_INVALID;
	if (rc < 0)
		rest_answer_failure(call);
	else if (start(call, am_buf_str(&origin), container, am_buf_str(&query)) < 0)
		rest_pass_too_many(call, "connections to pods are opened");
	am_buf_fini(&origin);
	am_buf_fini(&query);
}
