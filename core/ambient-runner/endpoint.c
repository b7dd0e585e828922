/* SPDX-License-Identifier: Apache-2.0 */
/* See endpoint.h. */
#include "core/ambient-runner/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "core/ambient-runner/endpoint_priv.h"
#include "core/base/mem.h"
#include "core/data/scan.h"

#define THREADS         2
#define CONNECTIONS_MAX 256
#define ABORT_WAIT      AM_NS_PER_S

/* ---- answers */

static void
refusal(void *self am_unused_, int status am_unused_, const char *why, struct am_buf *body, const char **content_type)
{
	*content_type = "application/json";
	am_json_addf(body, "{\"reason\":%s,\"message\":%s}\n", am_http_reason(status), why);
}

void
am_endpoint_refuse(struct am_http_request *request, int status, const char *reason, const char *fmt, ...)
{
	struct am_buf body = {0};
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	am_json_addf(&body, "{\"reason\":%s,\"message\":%s}\n", reason, text);
	am_http_answer(request, status, "application/json", &body);
	am_buf_fini(&body);
}

int
am_endpoint_flag(struct am_http_request *request, const char *name, int fallback)
{
	const char *value = am_http_query(request, name);

	if (value == NULL)
		return fallback;
	if (am_streq(value, "true") || am_streq(value, "false"))
		return am_streq(value, "true");
	am_endpoint_refuse(request, 400, "BadRequest", "%s=\"%.40s\" is neither true nor false", name, value);
	return -1;
}

/* ---- who asks */

static bool
authenticate(struct am_endpoint *endpoint, struct am_http_request *request, struct am_key *ret)
{
	const char *secret = am_http_header(request, "X-Ambient-Key");
	const struct am_key *key;

	if (am_empty(secret)) {
		am_endpoint_refuse(request, 401, "NoKey",
				   "there is no header X-Ambient-Key; put the hash of a secret into the session's annotation "
				   "access.ambient-code.io/<client> and send the secret here, see doc/messages.md");
		return false;
	}
	am_lock(&endpoint->lock);
	key = am_runner_keys_find(&endpoint->keys, secret, am_clock_wall(am_clock_real()));
	if (key != NULL) {
		*ret = *key;
		endpoint->asked_at = am_endpoint_now();
	}
	am_unlock(&endpoint->lock);
	if (key == NULL) {
		am_http_set_header(request, "Retry-After", "1");
		am_endpoint_refuse(request, 401, "UnknownKey",
				   "no annotation access.ambient-code.io/<client> of the session has this key's hash, or it has "
				   "expired; one that was just set is known within seconds");
	}
	return key != NULL;
}

bool
am_endpoint_allowed(struct am_endpoint *endpoint, const struct am_key *key)
{
	am_lock(&endpoint->lock);
	bool held = am_runner_keys_hold(&endpoint->keys, key);
	am_unlock(&endpoint->lock);
	return held && key->expires > am_clock_wall(am_clock_real());
}

/* ---- what can be asked */

static void
get_status(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key)
{
	struct am_buf body = {0};

	am_lock(&endpoint->lock);
	am_json_addf(&body, "{\"run\":%s,\"state\":%s,\"interactive\":%b,\"conversation\":%s,\"lastSeq\":%l", endpoint->options.run,
		     endpoint->state, (int)endpoint->options.interactive, endpoint->conversation, endpoint->seq);
	am_json_addf(&body, ",\"turn\":%s,\"pending\":[%j]", endpoint->turn, am_buf_str(&endpoint->pending));
	am_unlock(&endpoint->lock);
	am_json_addf(&body, ",\"client\":%s,\"readOnly\":%b}\n", key->client, key->read_only || endpoint->options.content);
	am_http_answer(request, 200, "application/json", &body);
	am_buf_fini(&body);
}

static const struct path {
	const char *path, *method;
	void (*fn)(struct am_endpoint *endpoint, struct am_http_request *request, const struct am_key *key);
} paths[] = {
	{"/v1/status", "GET", get_status},
	{"/v1/messages", "GET", am_endpoint_messages},
	{"/v1/input", "POST", am_endpoint_input},
	{"/v1/files", "GET", am_endpoint_files},
	{"/v1/large", "GET", am_endpoint_large},
	{"/v1/git", "GET", am_endpoint_git},
};

static void
handle(void *self, struct am_http_request *request)
{
	struct am_endpoint *endpoint = self;
	const char *path = am_http_path(request), *method = am_http_method(request);
	struct am_key key;

	if (am_streq(path, "/healthz")) {
		am_http_answer_text(request, 200, "text/plain", "ok\n");
		return;
	}
	if (!authenticate(endpoint, request, &key))
		return;
	for (size_t i = 0; i < AM_COUNTOF(paths); i++) {
		if (!am_streq(path, paths[i].path))
			continue;
		if (am_streq(method, paths[i].method)) {
			paths[i].fn(endpoint, request, &key);
			return;
		}
		am_http_set_header(request, "Allow", paths[i].method);
		am_endpoint_refuse(request, 405, "MethodNotAllowed", "%s takes %s only", path, paths[i].method);
		return;
	}
	am_endpoint_refuse(request, 404, "NotFound", "there is no \"%.100s\" here; see doc/messages.md", path != NULL ? path : "");
}

/* ---- its life */

/* "address:port", with brackets around an address that has colons itself. */
static int
split_address(const char *text, char *address, size_t size, uint16_t *port, struct ambient_error *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t number;
	size_t n = colon != NULL ? (size_t)(colon - text) : 0;

	if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
		text++, n -= 2;
	if (n == 0 || n >= size || am_parse_u64(colon + 1, &number) < 0 || number > UINT16_MAX)
		return ambient_err(err, AMBIENT_E_INVALID, "AMBIENT_ENDPOINT is \"%.100s\"; it must be an address and a port",
				   text);
	memcpy(address, text, n);
	address[n] = '\0';
	*port = (uint16_t)number;
	return 0;
}

static int
listen_on(struct am_endpoint *e, struct ambient_error *err)
{
	struct am_httpd_options options = {.name = "endpoint",
					   .threads = THREADS,
					   .connections_max = CONNECTIONS_MAX,
					   .body_max = AM_HTTP_BODY_MAX,
					   .handler = handle,
					   .self = e,
					   .refusal = refusal};
	char address[128];
	int rc = split_address(e->options.address, address, sizeof(address), &options.port, err);

	options.address = address;
	return rc < 0 ? rc : am_httpd_start(&options, &e->httpd, err);
}

int
am_endpoint_start(const struct am_endpoint_options *options, struct am_endpoint **ret, struct ambient_error *err)
{
	am_auto(am_freep) char *path = am_xasprintf("%s/.ambient/messages.jsonl", options->dir);
	struct am_endpoint *e = am_xcalloc(1, sizeof(*e));
	int rc = 0;

	e->options = *options;
	e->options.address = am_xstrdup(options->address);
	e->options.dir = am_xstrdup(options->dir);
	e->options.run = am_xstrdup(options->run);
	e->state = "preparing";
	e->turn = "idle";
	e->input_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	am_lock_init(&e->lock, "endpoint");
	am_cond_init(&e->drained, am_clock_real());
	e->log_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int error = errno;
	e->asked_at = am_endpoint_now();
	if (options->content) {
		e->state = "done";
		e->finished = true;
		if (e->log_fd >= 0)
			am_endpoint_log_end(e->log_fd, &e->size, &e->seq);
	}
	/* A session that ended before its runner began has no messages. */
	if (e->log_fd < 0 && (!options->content || error != ENOENT))
		rc = am_err_errno(err, error, "opening the message log \"%s\"", path);
	if (rc < 0 || (rc = listen_on(e, err)) < 0) {
		am_endpoint_free(e);
		return rc;
	}
	*ret = e;
	return 0;
}

uint16_t
am_endpoint_port(const struct am_endpoint *endpoint)
{
	return am_httpd_port(endpoint->httpd);
}

void
am_endpoint_session(struct am_endpoint *endpoint, struct am_slice session)
{
	struct am_keys keys = {0};

	if (endpoint == NULL)
		return;
	if (session.p != NULL)
		am_runner_keys_parse(session, am_clock_wall(am_clock_real()), &keys);
	am_lock(&endpoint->lock);
	endpoint->keys = keys;
	am_endpoint_wake_readers(endpoint);
	am_unlock(&endpoint->lock);
}

void
am_endpoint_written(struct am_endpoint *endpoint, off_t size, int64_t seq)
{
	if (endpoint == NULL)
		return;
	am_lock(&endpoint->lock);
	endpoint->size = size;
	endpoint->seq = seq;
	am_endpoint_wake_readers(endpoint);
	am_unlock(&endpoint->lock);
}

void
am_endpoint_state(struct am_endpoint *endpoint, const char *state)
{
	if (endpoint == NULL)
		return;
	am_lock(&endpoint->lock);
	endpoint->state = state;
	am_unlock(&endpoint->lock);
}

void
am_endpoint_conversation(struct am_endpoint *endpoint, const char *id)
{
	if (endpoint == NULL)
		return;
	am_lock(&endpoint->lock);
	(void)am_strlcpy(endpoint->conversation, id, sizeof(endpoint->conversation));
	am_unlock(&endpoint->lock);
}

void
am_endpoint_turn(struct am_endpoint *endpoint, const char *turn, const char *pending)
{
	if (endpoint == NULL)
		return;
	am_lock(&endpoint->lock);
	endpoint->turn = turn;
	am_buf_reset(&endpoint->pending);
	am_buf_adds(&endpoint->pending, pending);
	am_unlock(&endpoint->lock);
}

void
am_endpoint_finish(struct am_endpoint *endpoint, int64_t timeout_ns)
{
	int64_t deadline = am_endpoint_now() + timeout_ns;

	if (endpoint == NULL)
		return;
	am_lock(&endpoint->lock);
	endpoint->finished = true;
	am_endpoint_wake_readers(endpoint);
	while (endpoint->n_readers > 0 && am_cond_wait(&endpoint->drained, &endpoint->lock, deadline))
		;
	/* Who is still there has not got everything, and must not believe that he has. */
	endpoint->aborting = true;
	am_endpoint_wake_readers(endpoint);
	deadline = am_endpoint_now() + ABORT_WAIT;
	while (endpoint->n_readers > 0 && am_cond_wait(&endpoint->drained, &endpoint->lock, deadline))
		;
	am_unlock(&endpoint->lock);
}

int64_t
am_endpoint_idle(const struct am_endpoint *endpoint)
{
	struct am_endpoint *e = (struct am_endpoint *)(uintptr_t)endpoint;

	am_lock(&e->lock);
	if (am_httpd_streams(e->httpd) > 0)
		e->asked_at = am_endpoint_now();
	int64_t idle = am_endpoint_now() - e->asked_at;
	am_unlock(&e->lock);
	return idle;
}

void
am_endpoint_free(struct am_endpoint *endpoint)
{
	if (endpoint == NULL)
		return;
	am_endpoint_listen(endpoint, false); /* a request that is kept would hold up the stop */
	am_httpd_stop(endpoint->httpd);
	am_buf_fini(&endpoint->pending);
	if (endpoint->input_fd >= 0)
		(void)close(endpoint->input_fd);
	if (endpoint->log_fd >= 0)
		(void)close(endpoint->log_fd);
	am_cond_fini(&endpoint->drained);
	am_lock_fini(&endpoint->lock);
	free((void *)(uintptr_t)endpoint->options.address);
	free((void *)(uintptr_t)endpoint->options.dir);
	free((void *)(uintptr_t)endpoint->options.run);
	free(endpoint);
}
