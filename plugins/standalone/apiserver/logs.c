/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/log: checks the request as Kubernetes does, then passes through what the pod's node says.  The node shows a
 * certificate of its own making, which cannot be verified; it knows us by our client certificate.  A log that is
 * followed has a thread of its own.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

#define FOLLOWERS_MAX 128
#define ERROR_MAX     ((size_t)64 * 1024)

struct job {
	struct rest_server *server;
	struct am_http_request *http;
	char *url;
	char *pod, *container;
	CURL *curl;
	bool begun, cut;
	struct am_buf error;
};

/* ---- what may be asked */

static const char *const numbers[] = { "tailLines", "limitBytes", "sinceSeconds" };
enum { TAIL, LIMIT, SINCE, NUMBERS };

/* What can be no parameter at all: 400. */
static int
read_options(struct rest_call *call, int64_t n[NUMBERS])
{
	const char *since = rest_query(call, "sinceTime");
	int64_t at;

	for (size_t i = 0; i < NUMBERS; i++) {
		const char *text = am_http_query(call->http, numbers[i]);

		if (text != NULL && am_parse_i64(text, &n[i]) < 0)
			return am_fail(&call->failure, 400, "BadRequest", "%s: \"%s\" is no number", numbers[i], text);
	}
	if (since != NULL && am_time_parse(since, &at) < 0)
		return am_fail(&call->failure, 400, "BadRequest", "sinceTime: \"%s\" is no time", since);
	return 0;
}

static void
check_least(struct rest_call *call, size_t i, int64_t n, int64_t least, const char *why)
{
	if (rest_query(call, numbers[i]) != NULL && n < least)
		am_failure_cause(&call->failure, "FieldValueInvalid", numbers[i], "Invalid value: %lld: %s", (long long)n, why);
}

/* As ValidatePodLogOptions with PodLogsQuerySplitStreams has it; before the pod is looked for. */
static int
check_options(struct rest_call *call)
{
	const char *stream = rest_query(call, "stream");
	int64_t n[NUMBERS] = { 0 };
	int rc = read_options(call, n);

	if (rc < 0)
		return rc;
	check_least(call, TAIL, n[TAIL], 0, "must be greater than or equal to 0");
	check_least(call, LIMIT, n[LIMIT], 1, "must be greater than 0");
	if (rest_query(call, "sinceTime") != NULL && rest_query(call, "sinceSeconds") != NULL)
		am_failure_cause(&call->failure, "FieldValueForbidden", "[]",
				 "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
	else
		check_least(call, SINCE, n[SINCE], 1, "must be greater than 0");
	if (stream != NULL && strcmp(stream, "All") != 0) {
		if (strcmp(stream, "Stdout") != 0 && strcmp(stream, "Stderr") != 0)
			am_failure_cause(&call->failure, "FieldValueNotSupported", "stream", "Unsupported value: \"%s\": supported values: "
					 "\"All\", \"Stderr\", \"Stdout\"", stream);
		if (rest_query(call, "tailLines") != NULL)
			am_failure_cause(&call->failure, "FieldValueForbidden", "[]",
					 "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now");
	}
	return call->failure.n_causes > 0 ? am_fail_invalid(&call->failure, "PodLogOptions", "", call->name) : 0;
}

/* Is there a log to read? */
static int
check_state(struct rest_call *call, const struct am_node *pod, const char *container)
{
	const struct am_node *status = rest_pod_status_of(pod, container);
	const struct am_node *waiting = am_node_path(status, "state", "waiting", NULL);
	bool before = am_node_path(status, "lastState", "terminated", NULL) != NULL;

	if (rest_query_true(call, "previous"))
		return before ? 0
			      : am_fail(&call->failure, 400, "BadRequest",
					"previous terminated container \"%s\" in pod \"%s\" not found", container, call->name);
	if (waiting != NULL && !before)
		return am_fail(&call->failure, 400, "BadRequest",
			       "container \"%s\" in pod \"%s\" is waiting to start: %s", container, call->name,
			       am_node_get_str(waiting, "reason", "ContainerCreating"));
	if (status == NULL)
		return am_fail(&call->failure, 400, "BadRequest",
			       "container \"%s\" in pod \"%s\" is waiting to start: ContainerCreating", container, call->name);
	return 0;
}

/* ---- where it is */

static void
add_query(struct rest_call *call, struct am_buf *url)
{
	static const char *const flags[] = { "follow", "previous", "timestamps" };
	static const char *const values[] = { "tailLines", "sinceSeconds", "sinceTime", "limitBytes", "stream" };
	char sep = '?';

	for (size_t i = 0; i < AM_COUNTOF(flags); i++)
		if (rest_query_true(call, flags[i])) {
			am_buf_addf(url, "%c%s=true", sep, flags[i]);
			sep = '&';
		}
	for (size_t i = 0; i < AM_COUNTOF(values); i++)
		if (rest_query(call, values[i]) != NULL) {
			am_buf_addf(url, "%c%s=", sep, values[i]);
			rest_add_escaped(url, rest_query(call, values[i]));
			sep = '&';
		}
}

/* ---- passing through */

static void
begin(struct job *job)
{
	job->begun = true;
	am_http_set_header(job->http, "X-Content-Type-Options", "nosniff");
	am_http_begin(job->http, 200, "text/plain");
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct job *job = arg;
	long status = 0;

	n *= size;
	curl_easy_getinfo(job->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		if (job->error.len + n <= ERROR_MAX)
			am_buf_add(&job->error, p, n);
		return n;
	}
	if (!job->begun)
		begin(job);
	if (am_http_write(job->http, p, n) < 0) {
		job->cut = true;
		return 0;
	}
	return n;
}

/* The head comes before the first line of a quiet log. */
static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct job *job = arg;
	long status = 0;

	n *= size;
	curl_easy_getinfo(job->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 && n <= 2 && (p[0] == '\r' || p[0] == '\n') && !job->begun)
		begin(job);
	return n;
}

static int
on_progress(void *arg, curl_off_t a am_unused_, curl_off_t b am_unused_, curl_off_t c am_unused_, curl_off_t d am_unused_)
{
	struct job *job = arg;

	return am_http_gone(job->http);
}

static void
set_blob(CURL *curl, CURLoption option, char *pem)
{
	struct curl_blob blob = { pem, strlen(pem), CURL_BLOB_NOCOPY };

	curl_easy_setopt(curl, option, &blob);
}

static void
answer_trouble(struct job *job, CURLcode rc, long status)
{
	struct am_failure failure = { 0 };

	if (rc != CURLE_OK)
		am_fail(&failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" does not answer: %s",
			job->pod, curl_easy_strerror(rc));
	else if (status == 404 || status == 400)
		am_fail(&failure, (int)status, status == 404 ? "NotFound" : "BadRequest", "%s",
			job->error.len > 0 ? am_buf_str(&job->error) : "the log is not there");
	else
		am_fail(&failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" answered %ld: %s",
			job->pod, status, am_buf_str(&job->error));
	rest_pass_answer(job->http, &failure);
	am_failure_fini(&failure);
}

static void
run(void *arg)
{
	struct job *job = arg;
	struct rest_pki *pki = job->server->pki;
	CURL *curl = curl_easy_init();
	CURLcode rc = CURLE_FAILED_INIT;
	long status = 0;

	job->curl = curl;
	if (curl != NULL) {
		curl_easy_setopt(curl, CURLOPT_URL, job->url);
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
		set_blob(curl, CURLOPT_SSLCERT_BLOB, pki->kubelet_cert);
		set_blob(curl, CURLOPT_SSLKEY_BLOB, pki->kubelet_key);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, job);
		curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
		curl_easy_setopt(curl, CURLOPT_HEADERDATA, job);
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, job);
		rc = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(curl);
	}
	if (job->begun)
		am_http_end(job->http);
	else
		answer_trouble(job, rc, status);
}

static void
free_job(void *arg)
{
	struct job *job = arg;

	free(job->url);
	free(job->pod);
	free(job->container);
	am_buf_fini(&job->error);
	free(job);
}

void
rest_logs(struct rest_call *call)
{
	const struct am_node *pod = NULL;
	const char *container = NULL;
	struct am_buf url = { 0 };

	if (check_options(call) < 0 || (pod = rest_pod_get(call)) == NULL || rest_pod_container(call, pod, &container) < 0 ||
	    check_state(call, pod, container) < 0 || rest_pod_node(call, pod, &url) < 0) {
		rest_answer_failure(call);
	} else {
		struct job *job = am_xcalloc(1, sizeof(*job));

		am_buf_addf(&url, "/containerLogs/%s/%s/%s", call->ns, call->name, container);
		add_query(call, &url);
		job->server = call->server;
		job->http = call->http;
		job->url = am_xstrdup(am_buf_str(&url));
		job->pod = am_xstrdup(call->name);
		job->container = am_xstrdup(container);
		if (!rest_query_true(call, "follow")) {
			run(job);
			free_job(job);
		} else if (!rest_pass(call->server, call->http, FOLLOWERS_MAX, run, free_job, job)) {
			free_job(job);
			rest_pass_too_many(call, "logs are followed");
		}
	}
	am_buf_fini(&url);
}
