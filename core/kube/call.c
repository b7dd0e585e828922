/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking calls: a worker posts its request to the I/O thread and waits on a condition until it is through, its
 * deadline passed, or it was cancelled.  A call lives on the caller's stack, so the caller never leaves before
 * the I/O thread has let go of it.
 *
 * Repeated, as client-go does, at most ten times and never beyond the deadline: 429 and 5xx that say Retry-After,
 * GETs whose connection broke, and once a 401 when the token comes from a file or a plugin, because it may just have
 * been renewed.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/base/counter.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

#define DEFAULT_NS      (30 * AM_NS_PER_S)
#define DEFAULT_MAX     ((size_t)64 << 20)
#define ERROR_BODY_MAX  ((size_t)1 << 20)
#define CANCEL_POLL_NS  (100 * AM_NS_PER_MS)
#define STREAM_WINDOW   ((size_t)256 << 10)
#define RETRIES         10
#define BROKEN_WAIT_MS  1000

struct call {
	struct am_kube *kube;
	const struct am_kube_request *request;
	const struct am_http_req *http;
	bool stream;
	struct am_transfer *transfer;   /* I/O thread */

	struct am_lock lock;            /* guards the rest */
	struct am_cond cond;
	struct am_buf body;             /* of a stream: what the caller has not taken yet */
	int status;
	int64_t retry_after_ms;
	bool paused, finished, let_go;
	struct ambient_error error;     /* code 0: the body ended */
};

/* ---- I/O thread */

static void
on_head(void *arg, int status, const char *content_type, int64_t retry_after_ms)
{
	struct call *call = arg;

	(void)content_type;
	am_lock(&call->lock);
	call->status = status;
	call->retry_after_ms = retry_after_ms;
	am_unlock(&call->lock);
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	struct call *call = arg;
	int rc = 0;

	am_lock(&call->lock);
	bool good = call->status >= 200 && call->status < 300;
	if (good && call->stream && call->body.len >= STREAM_WINDOW) {
		call->paused = true;
		rc = AM_HTTP_PAUSE;
	} else {
		size_t max = good && !call->stream ? call->body.max : 0;

		/* What comes after a megabyte of error adds nothing. */
		if (good || call->body.len + n <= ERROR_BODY_MAX)
			am_buf_add(&call->body, p, n);
		if (call->body.failed)
			rc = ambient_err(err, AMBIENT_E_NOMEM, "%s %.160s: the answer is larger than %zu bytes",
					 call->request->method, call->request->path, max);
		else if (call->stream)
			am_cond_signal(&call->cond);
	}
	am_unlock(&call->lock);
	return rc;
}

static void
on_done(void *arg, const struct ambient_error *err)
{
	struct call *call = arg;

	call->transfer = NULL;
	am_lock(&call->lock);
	if (err != NULL)
		call->error = *err;
	call->finished = true;
	am_cond_signal(&call->cond);
	am_unlock(&call->lock);
}

static void
begin(void *arg)
{
	struct call *call = arg;
	struct am_http_sink sink = { on_head, on_data, on_done, call };

	call->transfer = am_io_start(call->kube->io, call->http, &sink);
}

static void
resume(void *arg)
{
	struct call *call = arg;

	if (call->transfer != NULL)
		call->kube->io->ops->resume(call->kube->io, call->transfer);
}

/* The last thing that is posted for a call. */
static void
let_go(void *arg)
{
	struct call *call = arg;

	if (call->transfer != NULL)
		am_io_cancel(call->kube->io, call->transfer);
	am_lock(&call->lock);
	call->let_go = true;
	am_cond_signal(&call->cond);
	am_unlock(&call->lock);
}

/* ---- the caller's thread */

static bool
is_cancelled(const struct am_kube_request *request)
{
	return request->cancelled != NULL && __atomic_load_n(request->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static int64_t
next_look(struct am_kube *kube, const struct am_kube_request *request, int64_t deadline)
{
	if (request->cancelled == NULL)
		return deadline;
	return AM_MIN(deadline, am_clock_boot(kube->clock) + CANCEL_POLL_NS);
}

static int
cut_short(struct am_kube *kube, const struct am_kube_request *request, int64_t deadline, struct ambient_error *err)
{
	int path_len = (int)strcspn(request->path, "?");
	const char *proxy = kube->config->proxy_name;

	if (is_cancelled(request))
		return ambient_err(err, AMBIENT_E_CANCELLED, "%s %.*s: cancelled", request->method, AM_MIN(path_len, 200),
				   request->path);
	if (am_clock_boot(kube->clock) >= deadline)
		return ambient_err(err, AMBIENT_E_TIMEOUT, "%s %.*s%s%.100s: no answer within the deadline", request->method,
				   AM_MIN(path_len, 200), request->path, proxy != NULL ? " through the proxy " : "",
				   proxy != NULL ? proxy : "");
	return 0;
}

typedef int data_f(void *arg, const char *p, size_t n);

/* Hands over what a stream has collected, without the lock.  Called with it. */
static int
hand_over(struct call *call, data_f *data, void *arg)
{
	struct am_buf piece = call->body;
	bool was_paused = call->paused;

	call->body = (struct am_buf){ 0 };
	call->paused = false;
	am_unlock(&call->lock);
	if (was_paused)
		am_io_post(call->kube->io, resume, call);
	int rc = data(arg, piece.data, piece.len);
	am_buf_fini(&piece);
	am_lock(&call->lock);
	return rc;
}

/* One exchange.  0: an answer came, whatever its status. */
static int
exchange(struct call *call, int64_t deadline, data_f *data, void *arg, bool *delivered, struct ambient_error *err)
{
	int rc = 0;

	am_io_post(call->kube->io, begin, call);
	am_lock(&call->lock);
	for (;;) {
		bool good = call->status >= 200 && call->status < 300;

		if (call->stream && good && call->body.len > 0) {
			*delivered = true;
			rc = hand_over(call, data, arg);
			if (rc < 0) {
				(void)ambient_err(err, -rc, "the reader ended the stream");
				break;
			}
			continue;
		}
		if (call->finished)
			break;
		rc = cut_short(call->kube, call->request, deadline, err);
		if (rc < 0)
			break;
		(void)am_cond_wait(&call->cond, &call->lock, next_look(call->kube, call->request, deadline));
	}
	/* Nothing that is posted may outlive the call.  A stream that has finished may have a resume on its way; of others
	 * the end is the last that the I/O thread knows. */
	if (call->stream || !call->finished) {
		am_unlock(&call->lock);
		am_io_post(call->kube->io, let_go, call);
		am_lock(&call->lock);
		while (!call->let_go)
			(void)am_cond_wait(&call->cond, &call->lock, AM_FOREVER);
	}
	am_unlock(&call->lock);
	if (rc == 0 && call->error.code == AMBIENT_E_TIMEOUT)
		rc = cut_short(call->kube, call->request, deadline, err); /* whoever has noticed it first */
	if (rc == 0 && call->error.code != 0) {
		ambient_err_copy(err, &call->error);
		rc = -call->error.code;
	}
	return rc;
}

/* How long to wait before trying again, in ms; negative: do not. */
static int64_t
retry_wait(const struct call *call, int rc, bool *tried_token)
{
	const struct am_kube_request *request = call->request;

	if (rc < 0) {
		bool broken = call->error.sys_errno == ECONNRESET || call->error.sys_errno == EPIPE;

		return strcmp(request->method, "GET") == 0 && broken ? BROKEN_WAIT_MS : -1;
	}
	if ((call->status == 429 || call->status >= 500) && call->retry_after_ms > 0)
		return call->retry_after_ms;
	bool renewable = call->kube->config->token_file != NULL || call->kube->config->exec != NULL;
	if (call->status == 401 && renewable && !*tried_token) {
		*tried_token = true;
		return 0;
	}
	return -1;
}

/* False when the deadline or the caller does not want it; then err stays what it was. */
static bool
wait_for_retry(struct call *call, int64_t ms, int64_t deadline)
{
	struct am_kube *kube = call->kube;
	int64_t until = am_clock_boot(kube->clock) + ms * AM_NS_PER_MS;

	if (until >= deadline)
		return false;
	am_lock(&call->lock);
	while (am_clock_boot(kube->clock) < until && !is_cancelled(call->request))
		(void)am_cond_wait(&call->cond, &call->lock, next_look(kube, call->request, until));
	am_unlock(&call->lock);
	return !is_cancelled(call->request);
}

static void
count_retry(const struct call *call)
{
	char code[16] = "<error>";
	const char *labels[] = { "code", code, "verb", call->request->method, "host", call->kube->config->host, NULL };

	if (call->status != 0)
		(void)snprintf(code, sizeof(code), "%d", call->status);
	am_metric_add(am_metric(AM_COUNTER, "rest_client_request_retries_total", "Number of retried requests.", labels, NULL),
		      1);
}

static void
reset(struct call *call)
{
	am_buf_reset(&call->body);
	call->status = 0;
	call->retry_after_ms = 0;
	call->paused = call->finished = call->let_go = false;
	call->error = (struct ambient_error)AMBIENT_ERROR_INIT;
}

/* When the deadline ends a repetition, what the server said before says more than the deadline does. */
static void
add_before(struct ambient_error *err, const struct ambient_error *before)
{
	size_t n = strlen(err->message);

	if (err->code != AMBIENT_E_TIMEOUT || err->http_status != 0 || before->code == 0)
		return;
	(void)snprintf(err->message + n, sizeof(err->message) - n, "; before: %s", before->message);
	err->http_status = before->http_status;
	err->retry_after_ms = before->retry_after_ms;
	(void)am_strlcpy(err->reason, before->reason, sizeof(err->reason));
}

static int
perform(struct call *call, int64_t deadline, data_f *data, void *arg, struct ambient_error *err)
{
	struct ambient_error before = AMBIENT_ERROR_INIT;
	bool delivered = false;
	bool tried_token = false;
	int rc;

	for (int attempt = 0;; attempt++) {
		reset(call);
		rc = exchange(call, deadline, data, arg, &delivered, err);
		if (rc == 0 && call->status >= 200 && call->status < 300)
			return 0;
		if (rc < 0)
			add_before(err, &before);
		int64_t wait = attempt < RETRIES && !delivered ? retry_wait(call, rc, &tried_token) : -1;
		if (rc == 0) {
			rc = am_kube_error(err, call->status, am_buf_str(&call->body), call->body.len);
			if (call->retry_after_ms > 0)
				err->retry_after_ms = call->retry_after_ms;
		}
		if (wait < 0 || !wait_for_retry(call, wait, deadline))
			return rc;
		am_log_debug("kube", "%s %s: try %d", call->request->method, call->request->path, attempt + 2);
		count_retry(call);
		before = *err;
	}
}

static int
run(struct am_kube *kube, const struct am_kube_request *request, bool stream, int64_t deadline, struct am_buf *body,
    data_f *data, void *arg, struct ambient_error *err)
{
	am_auto(am_freep) char *accept = am_xasprintf("Accept: %s", request->accept != NULL ? request->accept : "application/json");
	am_auto(am_freep) char *type = am_xasprintf("Content-Type: %s",
						    request->content_type != NULL ? request->content_type : "application/json");
	const char *headers[4] = { accept };
	struct am_http_req http = {
		.method = request->method, .path = request->path, .headers = headers,
		.body = request->body, .body_len = request->body_len,
		.deadline = deadline != AM_FOREVER ? deadline : 0, .idle_ns = request->idle_ns, .pausable = stream,
	};
	struct call call = { .kube = kube, .request = request, .http = &http, .stream = stream };

	struct ambient_error own = AMBIENT_ERROR_INIT;
	size_t n = 1;

	if (request->body != NULL)
		headers[n++] = type;
	headers[n] = request->header;
	am_assert(!kube->io->ops->on_thread(kube->io));
	err = err != NULL ? err : &own;
	am_lock_init(&call.lock, "kube-call");
	am_cond_init(&call.cond, kube->clock);
	call.body.max = stream ? 0 : request->max > 0 ? request->max : DEFAULT_MAX;
	int rc = perform(&call, deadline, data, arg, err);
	if (rc == 0 && body != NULL) {
		am_buf_fini(body);
		*body = call.body;
		call.body = (struct am_buf){ 0 };
	}
	am_buf_fini(&call.body);
	am_cond_fini(&call.cond);
	am_lock_fini(&call.lock);
	return rc;
}

int
am_kube_do(struct am_kube *kube, const struct am_kube_request *request, struct am_buf *body, struct ambient_error *err)
{
	int64_t deadline = request->deadline != 0 ? request->deadline : am_clock_boot(kube->clock) + DEFAULT_NS;

	return run(kube, request, false, deadline, body, NULL, NULL, err);
}

int
am_kube_stream(struct am_kube *kube, const struct am_kube_request *request,
	       int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err)
{
	return run(kube, request, true, request->deadline != 0 ? request->deadline : AM_FOREVER, NULL, data, arg, err);
}
