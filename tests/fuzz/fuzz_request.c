/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server, from their bytes to the answer: core/http, the router, who asks and whether he may,
 * verbs, tables, discovery, reviews, watches, over an engine whose database is in memory.  Requests of one input are
 * separated by lines "~~~" and see what the ones before did.  One without Authorization is the administrator's.
 *
 * Each gets an answer; JSON in it is JSON; a failure in JSON is a Status with the answer's code; none is an internal
 * error; and afterwards the server is well.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/kube/users.h"
#include "plugins/standalone/apiserver/rest.h"
#include "tests/lib/fake_mhd.h"

#define TOKEN    "the-administrators-token"
#define MARK     "~~~\n"
#define ANEW     200 /* inputs, then the server begins with an empty database */
#define REQUESTS 8   /* of one input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rest_server server;
static char dir[64];

/* Nothing here is to reach anybody. */
int
connect(int fd am_unused_, const struct sockaddr *address am_unused_, socklen_t len am_unused_)
{
	errno = ECONNREFUSED;
	return -1;
}

static void
end(void)
{
	struct rest_server *s = &server;

	am_httpd_stop(s->httpd);
	rest_pass_reap(s, true);
	rest_texts_free(s->texts);
	rest_rbac_free(s->rbac);
	am_engine_close(s->engine);
	rest_discovery_free(s->discovery);
	rest_openapi_free(s->openapi);
	rest_keys_free(s->keys);
	rest_static_free(s->users);
	rest_pki_free(s->pki);
	am_clock_fake_free(s->clock);
	memset(s, 0, sizeof(*s));
	(void)am_remove_tree(dir, NULL);
}

static void
begin(void)
{
	static const char users[] = TOKEN ",admin,,\"" REST_MASTERS "\"\nanother-token,jane,u1,\"team\"\n";
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct rest_server *s = &server;
	am_auto(am_freep) char *file = NULL, *pki = NULL;

	(void)snprintf(dir, sizeof(dir), "%s/ambient-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	am_assert(mkdtemp(dir) != NULL);
	file = am_xasprintf("%s/" AM_USERS_FILE, dir);
	am_assert(am_file_write(file, users, sizeof(users) - 1, 0600, &err) == 0);
	s->clock = am_clock_fake_new();
	s->address = (char *)(uintptr_t) "127.0.0.1";
	s->texts = rest_texts_new();
	s->discovery = rest_discovery_new();
	s->openapi = rest_openapi_new();
	am_assert(rest_pki_open(dir, s->address, &s->pki, &err) == 0);
	pki = am_xasprintf("%s/pki", dir);
	const struct rest_keys_options ko = { .dir = pki, .clock = s->clock };
	const struct am_engine_options eo = {
		.dir = dir, .clock = s->clock, .survive_process_only = true, .wait_ns = 1, .no_janitor = true};
	const struct am_httpd_options ho = { .name = "fuzz",
					    .clock = s->clock,
					    .threads = 1,
					    .body_max = REST_BODY_MAX,
					    .handler = rest_serve,
					    .refusal = rest_refusal,
					    .self = s };
	am_assert(rest_keys_open(&ko, &s->keys, &err) == 0);
	am_assert(rest_static_open(dir, NULL, &s->users, &err) == 0);
	am_assert(am_engine_open(&eo, &s->engine, &err) == 0);
	s->rbac = rest_rbac_new(s->engine);
	am_assert(rest_rbac_bootstrap(s, &err) == 0);
	am_assert(am_httpd_start(&ho, &s->httpd, &err) == 0);
	atomic_store(&s->ready, 1);
}

static bool
is_json(const struct fake_mhd_answer *a)
{
	return am_starts(a->content_type, "application/json");
}

/* A watch's answer is a line for each event. */
static void
check_json(const struct am_buf *body)
{
	const char *p = am_buf_str(body);

	if (am_json_check(p, body->len, NULL) == 0)
		return;
	for (size_t n; *p != '\0'; p += n + 1) {
		n = strcspn(p, "\n");
		am_assert(p[n] == '\n' && am_json_check(p, n, NULL) == 0);
	}
}

static void
check_answer(const struct fake_mhd_answer *a)
{
	struct am_slice body = am_slice(am_buf_str(&a->body), a->body.len);

	am_assert(!a->request || a->status >= 200);
	if (is_json(a) && body.n > 0)
		check_json(&a->body);
	if (a->status >= 400 && is_json(a)) {
		am_auto(am_freep) char *kind = am_json_dup(body, "/kind");
		am_auto(am_freep) char *reason = am_json_dup(body, "/reason");

		am_assert(am_streq(kind, "Status") && am_json_int(body, "/code", 0) == a->status);
		/* Of those with 500 one is the caller's: it has no reason. */
		am_assert(a->status != 500 || reason == NULL || *reason == '\0');
	}
}

static void
request(const char *bytes, size_t n)
{
	bool named = memmem(bytes, n, "Authorization:", 14) != NULL;
	const struct fake_mhd_request q = {
		.bytes = bytes, .n = n, .clock = server.clock, .header = named ? NULL : "Authorization: Bearer " TOKEN};
	struct fake_mhd_answer answer;

	fake_mhd_serve(&q, &answer);
	if (getenv("AMBIENT_SHOW") != NULL)
		(void)fprintf(stderr, "%u %s\n%s\n", answer.status, answer.content_type, am_buf_str(&answer.body));
	check_answer(&answer);
	am_buf_fini(&answer.body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fake_mhd_request well = { .bytes = "GET /readyz HTTP/1.1\nHost: x\n\n", .n = 30 };
	const char *p = (const char *)data, *to = p + size;
	static unsigned inputs;
	struct fake_mhd_answer answer;

	if (server.engine == NULL) {
		begin();
		(void)atexit(end);
	}
	for (int i = 0; i < REQUESTS && p < to; i++) {
		const char *mark = memmem(p, (size_t)(to - p), MARK, sizeof(MARK) - 1);

		request(p, (size_t)((mark != NULL ? mark : to) - p));
		p = mark != NULL ? mark + sizeof(MARK) - 1 : to;
	}
	am_engine_janitor_run(server.engine);
	fake_mhd_serve(&well, &answer);
	am_assert(answer.status == 200 && am_streq(am_buf_str(&answer.body), "ok"));
	am_buf_fini(&answer.body);
	if (++inputs % ANEW == 0) {
		end();
		begin();
	}
	return 0;
}
