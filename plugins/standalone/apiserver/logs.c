/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/log: checks the request as Kubernetes does, then passes through what the pod's node says.  The node shows a
 * certificate of its own making, which cannot be verified; it knows us by our client certificate.  A log that is
 * followed has a thread of its own, so that the workers stay free.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

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
	struct am_thread *thread;
	_Atomic(int) done;
	struct job *next;
};

/* ---- what may be asked */

static int
bad(struct rest_call *call, const char *field, const char *reason, const char *why)
{
	am_failure_cause(&call->failure, reason, field, "%s", why);
	return am_fail_invalid(&call->failure, "PodLogOptions", "", call->name);
}

static int
check_number(struct rest_call *call, const char *name, int64_t least)
{
	const char *text = rest_query(call, name);
	int64_t n;

	if (text == NULL)
		return 0;
	if (am_parse_i64(text, &n) < 0)
		return am_fail(&call->failure, 400, "BadRequest", "%s: \"%s\" is no number", name, text);
	if (n < least)
		return bad(call, name, "FieldValueInvalid",
			   am_arena_printf(call->arena, "Invalid value: %s: must be greater than or equal to %lld", text,
					   (long long)least));
	return 0;
}

static int
check_options(struct rest_call *call)
{
	const char *since = rest_query(call, "sinceTime");
	int64_t at;

	if (since != NULL && rest_query(call, "sinceSeconds") != NULL)
		return bad(call, "sinceSeconds", "FieldValueForbidden",
			   "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
	if (since != NULL && am_time_parse(since, &at) < 0)
		return am_fail(&call->failure, 400, "BadRequest", "sinceTime: \"%s\" is no time", since);
	int rc = check_number(call, "tailLines", 0);

	rc = rc < 0 ? rc : check_number(call, "limitBytes", 1);
	return rc < 0 ? rc : check_number(call, "sinceSeconds", 1);
}

/* Names of one list of containers, "a b"; counts them, looks for one. */
static size_t
container_names(const struct am_node *list, const char *wanted, struct am_buf *names, const char **first, bool *found)
{
	size_t n = 0;

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next, n++) {
		const char *name = am_node_get_str(c, "name", "");

		am_buf_addf(names, "%s%s", n > 0 ? " " : "", name);
		if (n == 0 && first != NULL)
			*first = name;
		if (wanted != NULL && strcmp(name, wanted) == 0)
			*found = true;
	}
	return n;
}

static int
choose_container(struct rest_call *call, const struct am_node *pod, const char **ret)
{
	const char *wanted = rest_query(call, "container"), *first = NULL;
	struct am_buf names = { 0 }, init = { 0 };
	bool found = false;
	size_t n = container_names(am_node_path(pod, "spec", "containers", NULL), wanted, &names, &first, &found);
	size_t n_init = container_names(am_node_path(pod, "spec", "initContainers", NULL), wanted, &init, NULL, &found);
	int rc = 0;

	if (wanted == NULL && n == 1) {
		*ret = first;
	} else if (wanted == NULL) {
		rc = am_fail(&call->failure, 400, "BadRequest",
			     "a container name must be specified for pod %s, choose one of: [%s]%s%s%s", call->name,
			     am_buf_str(&names), n_init > 0 ? " or one of the init containers: [" : "",
			     n_init > 0 ? am_buf_str(&init) : "", n_init > 0 ? "]" : "");
	} else if (!found) {
		rc = am_fail(&call->failure, 400, "BadRequest", "container %s is not valid for pod %s", wanted, call->name);
	} else {
		*ret = wanted;
	}
	am_buf_fini(&names);
	am_buf_fini(&init);
	return rc;
}

static const struct am_node *
status_of(const struct am_node *pod, const char *container)
{
	static const char *const lists[] = { "containerStatuses", "initContainerStatuses" };

	for (size_t i = 0; i < AM_COUNTOF(lists); i++) {
		const struct am_node *list = am_node_path(pod, "status", lists[i], NULL);

		for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
			if (strcmp(am_node_get_str(c, "name", ""), container) == 0)
				return c;
	}
	return NULL;
}

/* Is there a log to read? */
static int
check_state(struct rest_call *call, const struct am_node *pod, const char *container)
{
	const struct am_node *status = status_of(pod, container);
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

static int
node_url(struct rest_call *call, const struct am_node *pod, struct am_buf *url)
{
	const char *node = am_node_text(am_node_path(pod, "spec", "nodeName", NULL), "");
	struct am_object *object = NULL;
	char *address = NULL;
	struct am_slice list, v, type;
	int64_t port = 0;

	if (*node == '\0')
		return am_fail(&call->failure, 400, "BadRequest", "pod %s does not have a host assigned", call->name);
	object = am_engine_peek(call->server->engine, "", "nodes", NULL, node);
	if (object != NULL) {
		port = am_json_int(am_object_text(object), "/status/daemonEndpoints/kubeletEndpoint/Port", 0);
		if (am_json_find(am_object_text(object), "/status/addresses", &list))
			for (size_t it = 0; address == NULL && am_json_element(list, &it, &v);)
				if (am_json_find(v, "/type", &type) && am_json_str_eq(type, "InternalIP"))
					address = am_json_dup(v, "/address");
	}
	if (address != NULL && port > 0 && port < 65536)
		am_buf_addf(url, "https://%s:%lld", address, (long long)port);
	else
		am_fail(&call->failure, 503, "ServiceUnavailable",
			"node \"%s\" of pod \"%s\" has not told where its logs can be read", node, call->name);
	free(address);
	am_object_unref(object);
	return url->len > 0 ? 0 : -AMBIENT_E_UNAVAILABLE;
}

static void
add_escaped(struct am_buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++)
		if ((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '-' ||
		    *p == '.' || *p == '_')
			am_buf_addc(out, (char)*p);
		else
			am_buf_addf(out, "%%%02X", *p);
}

static void
add_query(struct rest_call *call, struct am_buf *url)
{
	static const char *const flags[] = { "follow", "previous", "timestamps" };
	static const char *const values[] = { "tailLines", "sinceSeconds", "sinceTime", "limitBytes" };
	char sep = '?';

	for (size_t i = 0; i < AM_COUNTOF(flags); i++)
		if (rest_query_true(call, flags[i])) {
			am_buf_addf(url, "%c%s=true", sep, flags[i]);
			sep = '&';
		}
	for (size_t i = 0; i < AM_COUNTOF(values); i++)
		if (rest_query(call, values[i]) != NULL) {
			am_buf_addf(url, "%c%s=", sep, values[i]);
			add_escaped(url, rest_query(call, values[i]));
			sep = '&';
		}
}

/* ---- passing through */

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
	if (!job->begun) {
		job->begun = true;
		am_http_begin(job->http, 200, "text/plain");
	}
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
	if (status == 200 && n <= 2 && (p[0] == '\r' || p[0] == '\n') && !job->begun) {
		job->begun = true;
		am_http_begin(job->http, 200, "text/plain");
	}
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
	struct am_buf body = { 0 };

	if (rc != CURLE_OK)
		am_fail(&failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" does not answer: %s",
			job->pod, curl_easy_strerror(rc));
	else if (status == 404 || status == 400)
		am_fail(&failure, (int)status, status == 404 ? "NotFound" : "BadRequest", "%s",
			job->error.len > 0 ? am_buf_str(&job->error) : "the log is not there");
	else
		am_fail(&failure, 500, "InternalError", "Internal error occurred: the node of pod \"%s\" answered %ld: %s",
			job->pod, status, am_buf_str(&job->error));
	am_failure_status(&failure, &body);
	am_http_answer(job->http, failure.code, "application/json", &body);
	am_buf_fini(&body);
	am_failure_fini(&failure);
}

static void
run(struct job *job)
{
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
free_job(struct job *job)
{
	free(job->url);
	free(job->pod);
	free(job->container);
	am_buf_fini(&job->error);
	free(job);
}

/* ---- followers */

static struct am_lock followers_lock = { .mutex = PTHREAD_MUTEX_INITIALIZER, .name = "log-followers" };
static struct job *followers;
static int n_followers;

static void
follow(void *arg)
{
	struct job *job = arg;

	run(job);
	atomic_store(&job->done, 1);
}

/* Joins those that have ended, or (all) every one of the server. */
void
rest_logs_reap(struct rest_server *server, bool all)
{
	struct job *list = NULL;

	am_lock(&followers_lock);
	for (struct job **link = &followers; *link != NULL;) {
		struct job *job = *link;

		if (job->server == server && (all || atomic_load(&job->done) != 0)) {
			*link = job->next;
			job->next = list;
			list = job;
			n_followers--;
		} else {
			link = &job->next;
		}
	}
	am_unlock(&followers_lock);
	while (list != NULL) {
		struct job *job = list;

		list = job->next;
		am_thread_join(job->thread);
		free_job(job);
	}
}

/* The job is a follower's from here on; false: there are too many, or no thread. */
static bool
start_follower(struct rest_server *server, struct job *job)
{
	rest_logs_reap(server, false);
	am_lock(&followers_lock);
	bool room = n_followers < FOLLOWERS_MAX;

	if (room) {
		am_http_keep(job->http);
		job->thread = am_thread_new("pod-log", 0, follow, job);
		room = job->thread != NULL;
	}
	if (room) {
		job->next = followers;
		followers = job;
		n_followers++;
	}
	am_unlock(&followers_lock);
	return room;
}

void
rest_logs(struct rest_call *call)
{
	struct am_object *object = am_engine_get(call->server->engine, call->res, call->ns, call->name, NULL, &call->failure);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *pod = object != NULL ? am_node_parse(call->arena, object->body, object->len, &err) : NULL;
	const char *container = NULL;
	struct am_buf url = { 0 };

	if (pod == NULL || check_options(call) < 0 || choose_container(call, pod, &container) < 0 ||
	    check_state(call, pod, container) < 0 || node_url(call, pod, &url) < 0) {
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
		am_http_set_header(call->http, "X-Content-Type-Options", "nosniff");
		if (!rest_query_true(call, "follow")) {
			run(job);
			free_job(job);
		} else if (!start_follower(call->server, job)) {
			free_job(job);
			am_fail(&call->failure, 429, "TooManyRequests", "too many logs are followed at once");
			call->failure.retry_after = 1;
			rest_answer_failure(call);
		}
	}
	am_buf_fini(&url);
	am_object_unref(object);
}
