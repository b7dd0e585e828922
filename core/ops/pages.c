/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP pages: metrics for Prometheus, health for the kubelet and for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/counter.h"
#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/http/http.h"
#include "core/ops/ops.h"

#define TEXT "text/plain; version=0.0.4; charset=utf-8"

struct am_ops {
	struct am_httpd *httpd;
	struct am_ops_callbacks callbacks;
};

/* What every Prometheus client reports of its process. */
static void
refresh_process(void)
{
	static struct am_metric *resident, *cpu;
	struct am_buf stat = { 0 };
	long pages = 0, utime = 0, stime = 0;

	if (resident == NULL) {
		resident = am_metric(AM_GAUGE, "process_resident_memory_bytes", "Resident memory size in bytes.", NULL, NULL);
		cpu = am_metric(AM_COUNTER, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", NULL, NULL);
	}
	if (am_file_read("/proc/self/statm", 4096, &stat, NULL) == 0 && sscanf(am_buf_str(&stat), "%*d %ld", &pages) == 1)
		am_metric_set(resident, (double)pages * (double)sysconf(_SC_PAGESIZE));
	am_buf_reset(&stat);
	if (am_file_read("/proc/self/stat", 4096, &stat, NULL) == 0) {
		const char *after_name = strrchr(am_buf_str(&stat), ')');
		if (after_name != NULL &&
		    sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &utime, &stime) == 2)
			am_metric_set(cpu, (double)(utime + stime) / (double)sysconf(_SC_CLK_TCK));
	}
	am_buf_fini(&stat);
}

static void
page_metrics(struct am_ops *ops, struct am_http_request *request)
{
	struct am_buf page = { 0 };

	if (ops->callbacks.refresh != NULL)
		ops->callbacks.refresh(ops->callbacks.arg);
	refresh_process();
	am_metric_page(&page);
	am_http_answer(request, 200, TEXT, &page);
}

static void
page_live(struct am_ops *ops am_unused_, struct am_http_request *request)
{
	am_http_answer_text(request, 200, TEXT, "ok\n");
}

static void
page_ready(struct am_ops *ops, struct am_http_request *request)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 };
	bool ready = ops->callbacks.ready(ops->callbacks.arg, &err) >= 0;

	am_buf_addf(&text, "%s\n", ready ? "ok" : err.message);
	am_http_answer(request, ready ? 200 : 503, TEXT, &text);
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
