/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP pages: metrics for Prometheus, health for the kubelet and for people. */
#include <stdlib.h>
#include <string.h>

#include "core/base/counter.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/http/http.h"
#include "core/ops/ops_priv.h"

#define TEXT "text/plain; version=0.0.4; charset=utf-8"

struct am_ops {
	struct am_httpd *httpd;
	struct am_ops_callbacks callbacks;
};

static void
page_metrics(struct am_ops *ops, struct am_http_request *request)
{
	struct am_buf page = { 0 };

	if (ops->callbacks.refresh != NULL)
		ops->callbacks.refresh(ops->callbacks.arg);
	ops_refresh_process();
	am_metric_page(&page);
	am_http_answer(request, 200, TEXT, &page);
}

static void
page_live(struct am_ops *ops, struct am_http_request *request)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 };
	bool lives = ops->callbacks.live == NULL || ops->callbacks.live(ops->callbacks.arg, &err) >= 0;

	am_buf_addf(&text, "%s\n", lives ? "ok" : err.message);
	am_http_answer(request, lives ? 200 : 503, TEXT, &text);
}

struct readiness {
	struct am_http_request *request;
	const char *only;       /* the one check that is asked for; NULL: all */
	bool found;
	struct am_buf all, bad; /* every check; those that failed */
};

static bool
is_excluded(struct am_http_request *request, const char *check)
{
	const char *name, *value;

	for (size_t i = 0; am_http_query_at(request, i, &name, &value); i++) {
		if (strcmp(name, "exclude") == 0 && strcmp(value, check) == 0)
			return true;
	}
	return false;
}

static void
note_check(void *arg, const char *name, const char *problem)
{
	struct readiness *r = arg;

	if (r->only != NULL && strcmp(r->only, name) != 0)
		return;
	r->found = true;
	if (is_excluded(r->request, name)) {
		am_buf_addf(&r->all, "[+] %s: excluded\n", name);
	} else if (problem == NULL) {
		am_buf_addf(&r->all, "[+] %s\n", name);
	} else {
		am_buf_addf(&r->all, "[-] %s: %s\n", name, problem);
		am_buf_addf(&r->bad, "%s\n", problem);
	}
}

/* "ok", or a line for each thing that is not ready; with ?verbose a line for each. */
static void
answer_ready(struct am_ops *ops, struct am_http_request *request, const char *only)
{
	struct readiness r = { .request = request, .only = only };

	ops->callbacks.checks(ops->callbacks.arg, note_check, &r);
	bool ready = r.bad.len == 0;
	struct am_buf *page = am_http_query(request, "verbose") != NULL ? &r.all : &r.bad;
	if (only != NULL && !r.found)
		am_http_answer_text(request, 404, TEXT, "there is no such check; /readyz?verbose names them\n");
	else if (ready && page == &r.bad)
		am_http_answer_text(request, 200, TEXT, "ok\n");
	else
		am_http_answer(request, ready ? 200 : 503, TEXT, page);
	am_buf_fini(&r.all);
	am_buf_fini(&r.bad);
}

static void
page_ready(struct am_ops *ops, struct am_http_request *request)
{
	answer_ready(ops, request, NULL);
}

static const struct {
	const char *path;
	void (*page)(struct am_ops *, struct am_http_request *);
} pages[] = {
	{ "/metrics", page_metrics },
	{ "/healthz", page_live },
	{ "/livez", page_live },
	{ "/readyz", page_ready },
};

static void
handle(void *self, struct am_http_request *request)
{
	const char *path = am_http_path(request), *method = am_http_method(request);

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		am_http_set_header(request, "Allow", "GET");
		am_http_answer_text(request, 405, TEXT, "only GET is allowed\n");
		return;
	}
	for (size_t i = 0; i < AM_COUNTOF(pages); i++) {
		if (strcmp(path, pages[i].path) == 0) {
			pages[i].page(self, request);
			return;
		}
	}
	if (am_starts(path, "/readyz/")) {
		answer_ready(self, request, path + strlen("/readyz/"));
		return;
	}
	am_http_answer_text(request, 404, TEXT, "there are /metrics, /healthz, /livez and /readyz\n");
}

int
am_ops_start(const char *listen, const struct am_ops_callbacks *callbacks, struct am_ops **ret, struct ambient_error *err)
{
	const char *colon = strrchr(listen, ':');
	uint64_t port;

	if (colon == NULL || am_parse_u64(colon + 1, &port) < 0 || port > 65535)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no address:port", listen);
	bool brackets = listen[0] == '[' && colon > listen + 1 && colon[-1] == ']';
	char *address = am_xstrndup(listen + brackets, (size_t)(colon - listen) - 2 * brackets);
	struct am_ops *ops = am_xcalloc(1, sizeof(*ops));
	ops->callbacks = *callbacks;
	const struct am_httpd_options options = {
		.name = "ops",
		.address = address,
		.port = (uint16_t)port,
		.threads = 1,
		.connections_max = 64,
		.body_max = 4096,
		.handler = handle,
		.self = ops,
	};
	int rc = am_httpd_start(&options, &ops->httpd, err);
	free(address);
	if (rc < 0) {
		free(ops);
		return rc;
	}
	*ret = ops;
	return 0;
}

unsigned
am_ops_port(const struct am_ops *ops)
{
	return am_httpd_port(ops->httpd);
}

void
am_ops_stop(struct am_ops *ops)
{
	if (ops == NULL)
		return;
	am_httpd_stop(ops->httpd);
	free(ops);
}
