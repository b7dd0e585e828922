/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pods/NAME/proxy: any request, to the pod's own address and to no other.  What a client said to prove who he is never
 * reaches the pod; what concerns one connection only is not passed, in either direction.  Answers are passed as they
 * come, so that a stream of events is one; an answer that ends too early is cut here too, and does not look whole.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/pass.h"

#define PROXIES_MAX 128
#define TEXT_MAX    ((size_t)64 << 10)

struct job {
	struct am_http_request *http;
	struct rest_server *server;
	bool websocket;
	char *origin;              /* "http://127.64.0.1:80" */
	char *prefix;              /* up to proxy, as the client wrote it */
	char *url;              /* origin, path and query */
	struct am_buf fields;      /* of the request, each with its line end */
	struct rest_link *link;

	CURL *curl;
	struct am_buf text;        /* the head of the answer, so far */
	struct rest_head head;
	bool begun, bad;
};

static void
free_job(void *arg)
{
	struct job *job = arg;

	rest_link_close(job->link);
	am_buf_fini(&job->fields);
	am_buf_fini(&job->text);
	free(job->origin);
	free(job->prefix);
	free(job->url);
	free(job);
}

/* ---- whom it is for */

/* The first port that a container tells of. */
static uint16_t
first_port(const struct am_node *pod)
{
	const struct am_node *list = am_node_path(pod, "spec", "containers", NULL);
	int64_t port = 0;

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next) {
		const struct am_node *ports = am_node_get(c, "ports");

		if (ports != NULL && ports->first != NULL && am_node_get_int(ports->first, "containerPort", &port) && port > 0 &&
		    port <= UINT16_MAX)
			return (uint16_t)port;
	}
	return 0;
}

/* The address is the pod's only while it runs: afterwards another may have it. */
static int
find_origin(struct rest_call *call, const struct rest_target *target, struct am_buf *origin)
{
	const struct am_node *pod = rest_pod_get(call);
	const char *phase = am_node_text(am_node_path(pod, "status", "phase", NULL), "");
	const char *ip = am_node_text(am_node_path(pod, "status", "podIP", NULL), "");

	if (pod == NULL)
		return -AMBIENT_E_NOTFOUND;
	if (strcmp(phase, "Running") != 0 || *ip == '\0')
		return am_fail(&call->failure, 503, "ServiceUnavailable",
			       "pod \"%s\" cannot be reached: it does not run (its phase is %s)", call->name,
			       *phase != '\0' ? phase : "not known");
	if (!rest_target_address_ok(ip))
		return am_fail(&call->failure, 400, "BadRequest", "address not allowed: \"%s\" is no address of a pod's own", ip);
	uint16_t port = target->port != 0 ? target->port : first_port(pod);
	bool v6 = strchr(ip, ':') != NULL;

	am_buf_addf(origin, "%s://%s%s%s:%u", target->tls ? "https" : "http", v6 ? "[" : "", ip, v6 ? "]" : "",
		    port != 0 ? port : target->tls ? 443U : 80U);
	return 0;
}

/* ---- the request */

struct copy {
	struct job *job;
	const struct am_http_request *http;
};

static bool
copy_field(void *arg, const char *name, const char *value)
{
	static const char *const ours[] = { "Authorization", "Content-Length", "Expect", "Forwarded", "Audit-Id" };
	static const char *const families[] = { "Impersonate-", "X-Remote-", "X-Forwarded-", "Sec-WebSocket-" };
	struct copy *c = arg;

	if (rest_head_is_hop(name) || am_http_header_has(c->http, "Connection", name))
		return true;
	for (size_t i = 0; i < AM_COUNTOF(ours); i++)
		if (strcasecmp(ours[i], name) == 0)
			return true;
	for (size_t i = 0; i < AM_COUNTOF(families); i++)
		if (strncasecmp(families[i], name, strlen(families[i])) == 0)
			return true;
	rest_add_field(&c->job->fields, name, value);
	return true;
}

static void
add_fields(struct rest_call *call, struct job *job)
{
	struct copy c = { job, call->http };
	const char *host = am_http_header(call->http, "Host");
	char address[64];

	am_http_headers_of(call->http, "", copy_field, &c);
	if (job->websocket)
		rest_add_websocket(call->http, &job->fields);
	am_http_address(call->http, address);
	rest_add_field(&job->fields, "X-Forwarded-For", address);
	rest_add_field(&job->fields, "X-Forwarded-Proto", "https");
	if (host != NULL)
		rest_add_field(&job->fields, "X-Forwarded-Host", host);
	rest_add_field(&job->fields, "X-Forwarded-Prefix", job->prefix);
	rest_add_field(&job->fields, "Audit-Id", call->audit_id);
}

/* ---- the answer */

/* A redirection within the pod stays below the proxy's path. */
static char *
location(const struct job *job, const char *value)
{
	size_t n = strlen(job->origin);

	if (strncmp(value, job->origin, n) == 0 && (value[n] == '/' || value[n] == '\0'))
		return am_xasprintf("%s%s", job->prefix, value[n] != '\0' ? value + n : "/");
	if (value[0] == '/' && value[1] != '/')
		return am_xasprintf("%s%s", job->prefix, value);
	return am_xstrdup(value);
}

static void
set_fields(const struct job *job)
{
	for (size_t i = 0; i < job->head.n; i++) {
		const char *name = job->head.fields[i].name, *value = job->head.fields[i].value;

		if (rest_head_is_hop(name) || strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Audit-Id") == 0 ||
		    strncasecmp(name, "Sec-WebSocket-", strlen("Sec-WebSocket-")) == 0 || rest_is_cors(name))
			continue;
		if (strcasecmp(name, "Location") == 0) {
			am_auto(am_freep) char *moved = location(job, value);

			am_http_set_header(job->http, name, moved);
		} else {
			am_http_set_header(job->http, name, value);
		}
	}
}

static void
begin(struct job *job)
{
	const char *length = rest_head_get(&job->head, "Content-Length");
	uint64_t n;

	job->begun = true;
	set_fields(job);
	/* Of a body in chunks the length is not known, whatever else is said. */
	if (length != NULL && rest_head_get(&job->head, "Transfer-Encoding") == NULL && am_parse_u64(length, &n) == 0 &&
	    n < INT64_MAX)
		am_http_set_length(job->http, n);
	am_http_begin(job->http, job->head.status, NULL);
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct job *job = arg;

	n *= size;
	if (job->begun || n == 0) /* a trailer */
		return n;
	if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
		am_buf_reset(&job->text);
	if (p[0] != '\r' && p[0] != '\n') {
		am_buf_add(&job->text, p, n);
		job->bad = memchr(p, '\0', n) != NULL || job->text.failed || job->text.len > REST_HEAD_MAX;
	} else {
		job->bad = !rest_head_parse(job->text.data, &job->head) || job->head.status == 101;
		if (!job->bad && job->head.status >= 200)
			begin(job);
	}
	return job->bad ? 0 : n;
}

static size_t
on_data(char *p, size_t size, size_t n, void *arg)
{
	struct job *job = arg;

	n *= size;
	return job->begun && am_http_write(job->http, p, n) == 0 ? n : 0;
}

static int
on_progress(void *arg, curl_off_t a am_unused_, curl_off_t b am_unused_, curl_off_t c am_unused_, curl_off_t d am_unused_)
{
	struct job *job = arg;

	return am_http_gone(job->http);
}

static void
answer_trouble(struct job *job, int code, const char *why)
{
	struct am_failure failure = { 0 };

	am_fail(&failure, code, code == 503 ? "ServiceUnavailable" : "InternalError", "error trying to reach service: %s", why);
	rest_pass_answer(job->http, &failure);
	am_failure_fini(&failure);
}

/* ---- plain requests */

static struct curl_slist *
field_list(struct job *job)
{
	/* What libcurl would add by itself is left out. */
	static const char *const own[] = { "Accept", "Content-Type", "Expect", "User-Agent" };
	struct curl_slist *list = NULL;
	char *save = NULL;

	for (size_t i = 0; i < AM_COUNTOF(own); i++)
		if (i == 2 || am_http_header(job->http, own[i]) == NULL) {
			am_auto(am_freep) char *line = am_xasprintf("%s:", own[i]);

			list = curl_slist_append(list, line);
		}
	for (char *line = strtok_r(job->fields.data, "\r\n", &save); line != NULL; line = strtok_r(NULL, "\r\n", &save)) {
		size_t n = strlen(line);

		/* "Name: " without a value is libcurl's "Name;". */
		if (n > 2 && line[n - 2] == ':' && line[n - 1] == ' ')
			(void)memcpy(line + n - 2, ";", 2);
		list = curl_slist_append(list, line);
	}
	return list;
}

static void
set_request(struct job *job, struct curl_slist *list)
{
	const char *method = am_http_method(job->http);
	struct am_slice body = am_http_body(job->http);
	CURL *curl = job->curl;

	curl_easy_setopt(curl, CURLOPT_URL, job->url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
	if (strcmp(method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else {
		if (body.n > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0) {
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.p);
			curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
		}
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	}
}

static void
set_options(struct job *job)
{
	CURL *curl = job->curl;

	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	/* A pod's certificate is of nobody that we know. */
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, job);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, job);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, job);
}

static void
run_plain(struct job *job)
{
	CURLcode rc = CURLE_FAILED_INIT;
	struct curl_slist *list = field_list(job);

	job->curl = curl_easy_init();
	if (job->curl != NULL) {
		set_options(job);
		set_request(job, list);
		rc = curl_easy_perform(job->curl);
		curl_easy_cleanup(job->curl);
	}
	curl_slist_free_all(list);
	if (job->begun && rc == CURLE_OK)
		am_http_end(job->http);
	else if (job->begun)
		am_http_abort(job->http);
	else if (job->bad)
		answer_trouble(job, 503, "the answer's head is not well formed, or too large");
	else
		answer_trouble(job, 503, rc != CURLE_OK ? curl_easy_strerror(rc) : "there is no answer");
}

/* ---- WebSockets */

static void
run_websocket(struct job *job)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_failure failure = { 0 };
	struct am_buf request = { 0 };
	int rc = rest_link_open(job->origin, NULL, job->http, &job->link, &err);

	am_buf_addf(&request, "GET %s HTTP/1.1\r\n%s\r\n", job->url + strlen(job->origin), am_buf_str(&job->fields));
	if (rc == 0)
		rc = rest_link_ask(job->link, &request, &job->head, &err);
	am_buf_fini(&request);
	if (rc < 0) {
		answer_trouble(job, 503, err.message);
	} else if (job->head.status == 101) {
		if (rest_link_upgrade(job->http, job->link, &job->head, &failure) == 0)
			job->link = NULL;
		else
			rest_pass_answer(job->http, &failure);
	} else {
		struct am_buf text = { 0 };

		/* A refusal; one in chunks goes without its text. */
		if (rest_head_get(&job->head, "Transfer-Encoding") == NULL)
			rest_link_body(job->link, &job->head, TEXT_MAX, &text);
		set_fields(job);
		am_http_answer(job->http, job->head.status, NULL, &text);
		am_buf_fini(&text);
	}
	am_failure_fini(&failure);
}

static void
run(void *arg)
{
	struct job *job = arg;

	if (job->websocket)
		run_websocket(job);
	else
		run_plain(job);
}

/* ---- the whole */

static bool
is_proxied_method(const char *method)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };

	for (size_t i = 0; i < AM_COUNTOF(methods); i++)
		if (strcmp(methods[i], method) == 0)
			return true;
	return false;
}

/* "…/proxy" is asked for as "…/proxy/", so that relative links are below it. */
static bool
redirect(struct rest_call *call)
{
	const char *method = am_http_method(call->http), *target = am_http_target(call->http);
	struct am_slice path = am_http_raw_path(call->http);
	struct am_buf to = { 0 };

	if (call->proxied.n > 0 || (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0))
		return false;
	rest_add_target(&to, path);
	am_buf_addc(&to, '/');
	rest_add_target(&to, am_slice(target + path.n, strlen(target) - path.n));
	am_http_set_header(call->http, "Location", am_buf_str(&to));
	am_http_answer(call->http, 301, NULL, NULL);
	am_buf_fini(&to);
	return true;
}

static void
start(struct rest_call *call, const char *origin, bool websocket)
{
	const char *target = am_http_target(call->http);
	struct am_slice path = am_http_raw_path(call->http);
	struct job *job = am_xcalloc(1, sizeof(*job));
	struct am_buf url = { 0 }, prefix = { 0 };

	am_buf_adds(&url, origin);
	if (call->proxied.n == 0)
		am_buf_addc(&url, '/');
	rest_add_target(&url, call->proxied);
	rest_add_target(&url, am_slice(target + path.n, strlen(target) - path.n));
	rest_add_target(&prefix, am_slice(path.p, path.n - call->proxied.n));
	job->server = call->server;
	job->http = call->http;
	job->websocket = websocket;
	job->origin = am_xstrdup(origin);
	job->url = am_xstrdup(am_buf_str(&url));
	job->prefix = am_xstrdup(am_buf_str(&prefix));
	add_fields(call, job);
	am_buf_fini(&url);
	am_buf_fini(&prefix);
	if (!rest_pass(call->server, call->http, PROXIES_MAX, run, free_job, job)) {
		free_job(job);
		rest_pass_too_many(call, "requests are passed on to pods");
	}
}

void
rest_proxy(struct rest_call *call)
{
	struct rest_target target;
	struct am_buf origin = { 0 };
	bool websocket = am_http_header_has(call->http, "Connection", "upgrade") &&
			 am_http_header_has(call->http, "Upgrade", "websocket") && strcmp(am_http_method(call->http), "GET") == 0;
	int rc = 0;

	if (!is_proxied_method(am_http_method(call->http)))
		rc = am_fail(&call->failure, 405, "MethodNotAllowed",
			     "the server does not allow this method on the requested resource");
	else if (!rest_target_parse(call->name, &target))
		rc = am_fail(&call->failure, 400, "BadRequest",
			     "invalid pod request \"%s\": NAME, NAME:PORT or SCHEME:NAME:PORT, with http or https and a number", call->name);
	if (rc == 0) {
		call->name = am_arena_strdup(call->arena, target.name);
		rc = find_origin(call, &target, &origin);
	}
	if (rc < 0)
		rest_answer_failure(call);
	else if (websocket || !redirect(call))
		start(call, am_buf_str(&origin), websocket);
	am_buf_fini(&origin);
}
