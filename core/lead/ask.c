/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request about leases at a time, on the I/O thread, for both state machines of this folder.  What is refused for want
 * of a right is said once, with the rule that is missing, until it is answered otherwise; the machines go on trying.
 */
#include "core/base/log.h"
#include "core/kube/kube.h"
#include "core/lead/lead_priv.h"

static const struct {
	const char *method, *name;
} verbs[] = {
	[LEAD_GET] = { "GET", "get" },	     [LEAD_LIST] = { "GET", "list" },	  [LEAD_CREATE] = { "POST", "create" },
	[LEAD_UPDATE] = { "PUT", "update" }, [LEAD_DELETE] = { "DELETE", "delete" },
};

static void
on_head(void *arg, int status, const char *content_type, int64_t retry_after_ms)
{
	((struct lead_ask *)arg)->status = status;
}

static int
on_data(void *arg, const char *p, size_t n, struct ambient_error *err)
{
	am_buf_add(&((struct lead_ask *)arg)->body, p, n);
	return 0;
}

/* Keeps in mind whether the account may do it. */
static void
note_right(struct lead_ask *a)
{
	struct ambient_error said = AMBIENT_ERROR_INIT;
	unsigned bit = 1U << a->verb, refused = atomic_load(&a->refused);

	if (a->status != 403) {
		atomic_store(&a->refused, refused & ~bit);
		return;
	}
	if ((refused & bit) != 0)
		return;
	atomic_store(&a->refused, refused | bit);
	(void)am_kube_error(&said, a->status, am_buf_str(&a->body), a->body.len);
	am_log_error("lead", "%s; in namespace \"%s\" the account needs a rule with apiGroups [\"coordination.k8s.io\"], resources "
		     "[\"leases\"], verbs [\"%s\"]", said.message, a->ns, verbs[a->verb].name);
}

static void
on_done(void *arg, const struct ambient_error *err)
{
	struct lead_ask *a = arg;
	int op = a->op;

	if (op == 0) /* dropped */
		return;
	a->op = 0;
	a->transfer = NULL;
	if (err == NULL)
		note_right(a);
	a->done(a->arg, op, err);
}

void
lead_ask(struct lead_ask *a, int op, enum lead_verb verb, const char *path, const struct am_buf *body, int64_t timeout_ns)
{
	static const char *const headers[] = { "Accept: application/json", "Content-Type: application/json", NULL };
	struct am_http_req req = { .urgent = true, .method = verbs[verb].method, .path = path, .headers = headers,
				   .timeout_ns = timeout_ns };
	struct am_http_sink sink = { .head = on_head, .data = on_data, .done = on_done, .arg = a };

	if (body != NULL) {
		req.body = am_buf_str(body);
		req.body_len = body->len;
	}
	am_buf_reset(&a->body);
	a->status = 0;
	a->op = op;
	a->verb = verb;
	a->sent_at = am_clock_boot(a->io->clock); /* before it is sent: the API server may apply it at once */
	a->transfer = am_io_start(a->io, &req, &sink);
}

void
lead_ask_drop(struct lead_ask *a)
{
	struct am_transfer *transfer = a->transfer;

	a->transfer = NULL;
	a->op = 0;
	if (transfer != NULL)
		am_io_cancel(a->io, transfer);
}

bool
lead_ask_succeeded(const struct lead_ask *a, const struct ambient_error *err)
{
	return err == NULL && a->status >= 200 && a->status < 300;
}

bool
lead_ask_refused(const struct lead_ask *a, struct am_buf *out)
{
	unsigned refused = atomic_load(&a->refused);
	const char *before = "the account needs a rule with apiGroups [\"coordination.k8s.io\"], resources [\"leases\"], verbs [";

	for (size_t i = 0; i < AM_COUNTOF(verbs); i++) {
		if ((refused & 1U << i) == 0)
			continue;
		am_buf_addf(out, "%s\"%s\"", before, verbs[i].name);
		before = ", ";
	}
	if (refused != 0)
		am_buf_addf(out, "] in namespace \"%s\"", a->ns);
	return refused != 0;
}
