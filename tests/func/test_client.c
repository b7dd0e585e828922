/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's blocking verbs against a scripted server on a real socket: TLS and identities, what is repeated and
 * what never is, bodies that stop where they should not, deadlines.  Time is a fake clock; the only real waits are
 * those for bytes on loopback.
 */
#include "tests/func/client.h"

#include <errno.h>
#include <zlib.h>

#include "core/base/log.h"

/* A request on a thread of its own, so that the test can move the clock meanwhile. */
struct call {
	pthread_t thread;
	struct am_kube_request request;
	struct am_buf body;
	struct ambient_error err;
	int rc;
	_Atomic bool done;
};

static void *
call_thread(void *arg)
{
	struct call *call = arg;

	call->rc = am_kube_do(kube, &call->request, &call->body, &call->err);
	call->done = true;
	return NULL;
}

static void
start(struct call *call, const char *method, const char *path, const char *body)
{
	call->request.method = method;
	call->request.path = path;
	call->request.body = body;
	call->request.body_len = body != NULL ? strlen(body) : 0;
	call->err = (struct ambient_error)AMBIENT_ERROR_INIT;
	ck_assert_int_eq(pthread_create(&call->thread, NULL, call_thread, call), 0);
}

static int
finish(struct call *call)
{
	ck_assert_int_eq(pthread_join(call->thread, NULL), 0);
	return call->rc;
}

/* Moves the clock by step whenever a request more has come and the caller waits, until the call is through. */
static int
finish_moving(struct call *call, int64_t step, int most)
{
	for (int i = 1; i <= most && !call->done; i++) {
		ck_assert(fake_api_wait(api, i));
		/* The clock may be moved only while the caller is in its wait for the retry, not before: it moves in
		 * small steps, each given twice the time of the one before, until the next request is there.  A caller
		 * that is slow to get there then costs real time and not the deadline of the call. */
		for (int k = 0; k < 1000 && !call->done && fake_api_count(api) <= i; k++) {
			am_clock_fake_advance(fake, step);
			for (int ms = 0; ms < 1 << AM_MIN(k, 5) && !call->done && fake_api_count(api) <= i; ms++)
				(void)usleep(1000);
		}
	}
	return finish(call);
}

/* ---- plain */

START_TEST(get_and_reuse)
{
	struct am_gvr pods = { .version = "v1", .plural = "pods" };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin_plain();
	rule("GET", "/api/v1/namespaces/n/pods/p", 0, 200, NULL, "{\"a\":1}", 0);
	rule("POST", "/api/v1/namespaces/n/pods", 0, 201, NULL, "{}", FAKE_API_LENGTH);
	rule("PATCH", "/api/v1/namespaces/n/pods/p/status", 0, 200, NULL, "{}", 0);
	rule("DELETE", "/api/v1/namespaces/n/pods/p", 0, 200, NULL, "{}", 0);
	for (int i = 0; i < 3; i++) {
		am_auto(am_buf_fini) struct am_buf body = { 0 };
		ck_assert_msg(am_kube_get(kube, &pods, "n", "p", &body, &err) == 0, "%s", err.message);
		ck_assert_str_eq(am_buf_str(&body), "{\"a\":1}");
	}
	ck_assert_int_eq(am_kube_create(kube, &pods, "n", "{\"b\":2}", 7, NULL, &err), 0);
	ck_assert_int_eq(am_kube_patch(kube, &pods, "n", "p", "status", "application/merge-patch+json", "{}", 2, NULL, &err), 0);
	ck_assert_int_eq(am_kube_delete(kube, &pods, "n", "p", "{\"x\":1}", &err), 0);
	ck_assert_int_eq(am_kube_delete(kube, &pods, "n", "p", NULL, &err), 0);
	const struct fake_api_request *r = fake_api_request(api, 0);
	ck_assert_str_eq(fake_api_header(r, "User-Agent"), "test/1");
	ck_assert_str_eq(fake_api_header(r, "Accept"), "application/json");
	ck_assert_ptr_null(fake_api_header(r, "Content-Type"));
	ck_assert_ptr_null(fake_api_header(r, "Authorization"));
	r = fake_api_request(api, 3);
	ck_assert_str_eq(r->body, "{\"b\":2}");
	ck_assert_str_eq(fake_api_header(r, "Content-Type"), "application/json");
	r = fake_api_request(api, 4);
	ck_assert_str_eq(fake_api_header(r, "Content-Type"), "application/merge-patch+json");
	ck_assert_str_eq(fake_api_request(api, 5)->body, "{\"x\":1}");
	r = fake_api_request(api, 6);
	ck_assert_str_eq(r->method, "DELETE");
	ck_assert_int_eq((int)r->body_len, 0);
	ck_assert_int_eq(r->connection, 0); /* one connection for all */
	end();
}
END_TEST

static int posts;
static struct am_io_ops counting;
static const struct am_io_ops *real_ops;

static void
counting_post(struct am_io *io, void (*fn)(void *), void *arg)
{
	(void)__atomic_add_fetch(&posts, 1, __ATOMIC_RELAXED);
	real_ops->post(io, fn, arg);
}

/* Each costs two switches of threads. */
START_TEST(a_request_that_ends_is_posted_once)
{
	struct am_gvr pods = { .version = "v1", .plural = "pods" };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	begin_plain();
	rule("GET", "/api/v1/namespaces/n/pods/p", 0, 200, NULL, "{}", 0);
	struct am_io *io = am_kube_io(kube);
	real_ops = io->ops;
	counting = *real_ops;
	counting.post = counting_post;
	io->ops = &counting;
	ck_assert_int_eq(am_kube_get(kube, &pods, "n", "p", NULL, &err), 0);
	ck_assert_int_eq(am_kube_get(kube, &pods, "n", "p", NULL, &err), 0);
	ck_assert_int_eq(posts, 2);
	end();
}
END_TEST

START_TEST(errors_come_from_the_status)
{
	struct ambient_error err;

	begin_plain();
	rule("GET", "/a", 0, 409, NULL, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"is there\"}", 0);
	rule("GET", "/b", 0, 302, "Location: /c\r\n", "", 0);
	rule("GET", "/d", 0, 204, NULL, "", FAKE_API_LENGTH);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_EXISTS);
	ck_assert_str_eq(err.message, "is there");
	ck_assert_int_eq(err.http_status, 409);
	ck_assert_int_eq(simple("GET", "/b", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(fake_api_count(api), 2); /* not followed */
	ck_assert_int_eq(simple("GET", "/d", NULL, &err), 0);
	ck_assert_int_eq(simple("GET", "/none", NULL, &err), -AMBIENT_E_NOTFOUND);
	end();
}
END_TEST

START_TEST(bad_requests_go_nowhere)
{
	struct ambient_error err;
	struct am_kube_request request = { .method = "GET", .path = "/a", .accept = "x\r\nEvil: 1" };

	begin_plain();
	ck_assert_int_eq(simple("GET", "a", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(simple("G T", "/a", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(simple("", "/a", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(simple("GET", "/a b\r\nEvil: 1", NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(am_kube_do(kube, &request, NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_int_eq(fake_api_count(api), 0);
	end();
}
END_TEST

START_TEST(bytewise_and_large)
{
	size_t n = 3 << 20;
	char *big = am_xcalloc(1, n + 1);
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_request request = { .method = "GET", .path = "/bytes" };
	am_auto(am_buf_fini) struct am_buf body = { 0 };

	begin_plain();
	memset(big, 'x', n);
	rule("GET", "/bytes", 0, 200, "Retry-After: 5\r\n", "{\"some\":\"bytes\"}", FAKE_API_BYTES);
	rule("PUT", "/big", 0, 200, NULL, "{}", 0);
	rule("GET", "/big", 0, 200, NULL, big, 0);
	ck_assert_int_eq(am_kube_do(kube, &request, &body, &err), 0);
	ck_assert_str_eq(am_buf_str(&body), "{\"some\":\"bytes\"}");
	ck_assert_int_eq(simple("PUT", "/big", big, &err), 0);
	ck_assert_uint_eq(fake_api_request(api, 1)->body_len, n);
	ck_assert_ptr_null(fake_api_header(fake_api_request(api, 1), "Expect"));
	request = (struct am_kube_request){ .method = "GET", .path = "/big", .max = n };
	ck_assert_int_eq(am_kube_do(kube, &request, &body, &err), 0);
	ck_assert_uint_eq(body.len, n);
	request.max = n - 1;
	ck_assert_int_eq(am_kube_do(kube, &request, &body, &err), -AMBIENT_E_NOMEM);
	ck_assert_ptr_nonnull(strstr(err.message, "larger than"));
	free(big);
	end();
}
END_TEST

START_TEST(loopback_takes_no_proxy)
{
	struct ambient_error err;

	(void)setenv("http_proxy", "http://127.0.0.1:1", 1);
	(void)setenv("all_proxy", "http://127.0.0.1:1", 1);
	begin_plain();
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	end();
}
END_TEST

/* As curl does it for http, without CONNECT; what else there is about proxies: test_client_proxy.c. */
START_TEST(a_proxy_of_the_kubeconfig_is_asked)
{
	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	struct ambient_error err;

	begin(FAKE_API_PLAIN);
	config->proxy_url = am_xstrdup(fake_api_url(api));
	ck_assert_int_eq(am_kube_config_finish(config, "http://127.0.0.1:1", NULL), 0);
	open_kube(config, -1, 0);
	rule("GET", "http://127.0.0.1:1/a", 0, 200, NULL, "{}", 0);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	end();
}
END_TEST

START_TEST(answers_of_other_machines_may_be_packed)
{
	struct am_kube_config *config;
	struct am_kube_request request = { .method = "GET", .path = "/a" };
	am_auto(am_buf_fini) struct am_buf plain = { 0 }, answer = { 0 };
	unsigned char packed[512];
	z_stream z = { 0 };

	begin(FAKE_API_PLAIN);
	while (plain.len < 4000)
		am_buf_adds(&plain, "{\"kind\":\"Pod\"} ");
	z.next_in = (unsigned char *)plain.data;
	z.avail_in = (unsigned)plain.len;
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	const struct fake_api_rule r = { .status = 200, .headers = "Content-Encoding: gzip\r\n", .body = (const char *)packed,
					 .body_len = z.total_out };
	fake_api_add(api, &r);
	for (int loopback = 0; loopback < 2; loopback++) {
		config = config_of(fake_api_url(api));
		ck_assert(config->loopback);
		config->loopback = loopback;
		am_kube_free(kube);
		open_kube(config, -1, 0);
		am_buf_reset(&answer);
		ck_assert_int_eq(am_kube_do(kube, &request, &answer, NULL), 0);
		const char *asked = fake_api_header(fake_api_request(api, loopback), "Accept-Encoding");
		if (loopback) {
			ck_assert_ptr_null(asked); /* it would cost both more than it saves */
		} else {
			ck_assert_str_eq(asked, "gzip");
			ck_assert_str_eq(am_buf_str(&answer), am_buf_str(&plain));
		}
	}
	(void)deflateEnd(&z);
	end();
}
END_TEST

/* ---- TLS and identities */

START_TEST(tls_ca_from_data_and_file)
{
	struct ambient_error err;

	begin(FAKE_API_TLS);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	for (int from_file = 0; from_file < 2; from_file++) {
		struct am_kube_config *config = config_of(fake_api_url(api));

		if (from_file)
			config->ca_file = put_file("ca.pem", fake_api_ca(api));
		else
			config->ca_data = am_xstrdup(fake_api_ca(api));
		open_kube(config, -1, 0);
		ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
		if (!from_file)
			am_kube_free(kube);
	}
	end();
}
END_TEST

START_TEST(tls_unknown_ca_is_refused)
{
	struct ambient_error err;
	struct fake_api *other = fake_api_new(FAKE_API_TLS);

	begin(FAKE_API_TLS);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->ca_data = am_xstrdup(fake_api_ca(other));
	open_kube(config, -1, 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_msg(strstr(err.message, "certificate") != NULL, "%s", err.message);
	am_kube_free(kube);
	/* Without a CA the system's do not know it either. */
	open_kube(config_of(fake_api_url(api)), -1, 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	am_kube_free(kube);
	config = config_of(fake_api_url(api));
	config->insecure = true;
	open_kube(config, -1, 0);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	fake_api_free(other);
	end();
}
END_TEST

START_TEST(tls_server_name)
{
	struct ambient_error err;

	begin(FAKE_API_TLS);
	rule(NULL, "/p/a", 0, 200, NULL, "{}", 0);
	for (int good = 0; good < 2; good++) {
		char *server = am_xasprintf("%s/p", fake_api_url(api));
		struct am_kube_config *config = config_of(server);

		free(server);
		config->ca_data = am_xstrdup(fake_api_ca(api));
		config->tls_server_name = am_xstrdup(good ? "renamed.test" : "other.test");
		open_kube(config, -1, 0);
		ck_assert_int_eq(simple("GET", "/a", NULL, &err), good ? 0 : -AMBIENT_E_UNAVAILABLE);
		if (!good)
			am_kube_free(kube);
	}
	end();
}
END_TEST

START_TEST(tls_client_certificate)
{
	struct ambient_error err;

	begin(FAKE_API_MTLS);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	for (int way = 0; way < 3; way++) {
		struct am_kube_config *config = config_of(fake_api_url(api));

		config->ca_data = am_xstrdup(fake_api_ca(api));
		if (way == 1) {
			config->cert_data = am_xstrdup(fake_api_client_cert(api));
			config->key_data = am_xstrdup(fake_api_client_key(api));
		} else if (way == 2) {
			config->cert_file = put_file("c.pem", fake_api_client_cert(api));
			config->key_file = put_file("k.pem", fake_api_client_key(api));
		}
		open_kube(config, -1, 0);
		struct am_kube_request request = { .method = "POST", .path = "/a" };
		ck_assert_msg((am_kube_do(kube, &request, NULL, &err) == 0) == (way > 0), "%d: %s", way, err.message);
		if (way < 2)
			am_kube_free(kube);
	}
	ck_assert_int_eq(fake_api_count(api), 2);
	ck_assert_str_eq(fake_api_request(api, 0)->client, "tester");
	ck_assert_str_eq(fake_api_request(api, 1)->client, "tester");
	end();
}
END_TEST

/* The files are read for each connection: what was renewed is used by the next one. */
START_TEST(tls_client_certificate_rotates)
{
	struct ambient_error err;

	begin(FAKE_API_MTLS);
	rule(NULL, "/close", 0, 200, NULL, "{}", FAKE_API_CLOSE);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->ca_data = am_xstrdup(fake_api_ca(api));
	config->cert_file = put_file("c.pem", "not yet\n");
	config->key_file = put_file("k.pem", fake_api_client_key(api));
	open_kube(config, -1, 0);
	ck_assert_int_lt(simple("POST", "/a", "{}", &err), 0);
	free(put_file("c.pem", fake_api_client_cert(api)));
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	ck_assert_str_eq(fake_api_request(api, 0)->client, "tester");
	free(put_file("c.pem", "no more\n"));
	ck_assert_msg(simple("GET", "/close", NULL, &err) == 0, "%s", err.message); /* the connection is as good as before */
	ck_assert_int_lt(simple("POST", "/a", "{}", &err), 0);
	end();
}
END_TEST

/* From the next connection on; nothing is asked over one that the old authority vouched for, and what is no authority
 * leaves the old one where it is. */
START_TEST(tls_ca_rotates)
{
	struct ambient_error err;
	struct fake_api *other = fake_api_new(FAKE_API_TLS);

	begin(FAKE_API_TLS);
	rule(NULL, "/close", 0, 200, NULL, "{}", FAKE_API_CLOSE);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->ca_file = put_file("ca.pem", fake_api_ca(other));
	open_kube(config, -1, 0);
	ck_assert_int_eq(simple("POST", "/a", "{}", &err), -AMBIENT_E_UNAVAILABLE);
	free(put_file("ca.pem", fake_api_ca(api)));
	ck_assert_msg(simple("POST", "/close", "{}", &err) == 0, "%s", err.message);
	free(put_file("ca.pem", "-----BEGIN CERTIFICATE-----\nhalf"));
	ck_assert_msg(simple("POST", "/a", "{}", &err) == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_request(api, 1)->connection, fake_api_request(api, 0)->connection + 1);
	char *file = am_xasprintf("%s/ca.pem", dir);
	ck_assert_int_eq(unlink(file), 0);
	free(file);
	ck_assert_msg(simple("POST", "/close", "{}", &err) == 0, "%s", err.message);
	ck_assert_msg(simple("POST", "/a", "{}", &err) == 0, "%s", err.message);
	free(put_file("ca.pem", fake_api_ca(other)));
	ck_assert_int_eq(simple("POST", "/a", "{}", &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(fake_api_count(api), 4);
	fake_api_free(other);
	end();
}
END_TEST

/* As kubelet replaces it in a pod: a link to a directory is exchanged for another. */
START_TEST(tls_ca_of_the_pod_rotates)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_config *config;
	struct fake_api *other = fake_api_new(FAKE_API_TLS);
	char port[16];

	begin(FAKE_API_TLS);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	free(put_file("token", "t\n"));
	free(put_file("old.crt", fake_api_ca(other)));
	free(put_file("new.crt", fake_api_ca(api)));
	am_auto(am_freep) char *file = am_xasprintf("%s/ca.crt", dir), *next = am_xasprintf("%s/next", dir);
	ck_assert_int_eq(symlink("old.crt", file), 0);
	(void)snprintf(port, sizeof(port), "%d", fake_api_port(api));
	(void)setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	(void)setenv("KUBERNETES_SERVICE_PORT", port, 1);
	ck_assert_msg(am_kube_config_mounted(dir, &config, &err) == 0, "%s", err.message);
	open_kube(config, -1, 0);
	ck_assert_int_eq(simple("POST", "/a", "{}", &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(symlink("new.crt", next), 0);
	ck_assert_int_eq(rename(next, file), 0);
	ck_assert_msg(simple("POST", "/a", "{}", &err) == 0, "%s", err.message);
	ck_assert_str_eq(bearer(0), "Bearer t");
	fake_api_free(other);
	end();
}
END_TEST

START_TEST(impersonation_is_sent)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube_config *config;

	begin(FAKE_API_PLAIN);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	am_auto(am_freep) char *text = am_xasprintf(
		"current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
		"clusters: [{name: k, cluster: {server: '%s'}}]\n"
		"users: [{name: u, user: {token: t, as: bob, as-uid: u1, as-groups: [devs, ops], as-user-extra: {a/b: [x]}}}]\n",
		fake_api_url(api));
	struct am_kubeconfig_text one = { "\"file\"", "/dir", text, strlen(text) };
	ck_assert_msg(am_kube_config_texts(&one, 1, NULL, &config, &err) == 0, "%s", err.message);
	open_kube(config, -1, 0);
	ck_assert_int_eq(simple("POST", "/a", "{}", &err), 0);
	const struct fake_api_request *r = fake_api_request(api, 0);
	ck_assert_str_eq(fake_api_header(r, "Authorization"), "Bearer t");
	ck_assert_str_eq(fake_api_header(r, "Impersonate-User"), "bob");
	ck_assert_str_eq(fake_api_header(r, "Impersonate-Uid"), "u1");
	ck_assert_str_eq(fake_api_header(r, "Impersonate-Extra-a%2Fb"), "x");
	ck_assert_ptr_nonnull(strstr(r->headers, "Impersonate-Group: devs\r\n"));
	ck_assert_ptr_nonnull(strstr(r->headers, "Impersonate-Group: ops\r\n"));
	end();
}
END_TEST

START_TEST(token_static)
{
	struct ambient_error err;

	begin(FAKE_API_PLAIN);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->token = am_xstrdup("secret");
	open_kube(config, -1, 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(fake_api_header(fake_api_request(api, 0), "Authorization"), "Bearer secret");
	/* Refused: there is nothing to read again, so it is not repeated. */
	rule(NULL, "/b", 0, 401, NULL, "{}", 0);
	ck_assert_int_eq(simple("GET", "/b", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_int_eq(fake_api_count(api), 2);
	end();
}
END_TEST

START_TEST(token_rotates)
{
	struct ambient_error err;

	begin(FAKE_API_PLAIN);
	struct am_kube_config *config = config_of(fake_api_url(api));
	config->token_file = put_file("token", "one\n");
	open_kube(config, -1, 0);
	rule(NULL, "/refused", 1, 401, NULL, "{}", 0);
	rule(NULL, "/never", 0, 401, NULL, "{}", 0);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_str_eq(bearer(0), "Bearer one");
	free(put_file("token", "two\n"));
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_str_eq(bearer(1), "Bearer one");
	am_clock_fake_advance(fake, 60 * S);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
	ck_assert_str_eq(bearer(2), "Bearer two");
	/* A 401 drops it; a write is repeated too, for it was not looked at. */
	free(put_file("token", "three\n"));
	ck_assert_int_eq(simple("POST", "/refused", "{}", &err), 0);
	ck_assert_str_eq(bearer(3), "Bearer two");
	ck_assert_str_eq(bearer(4), "Bearer three");
	ck_assert_int_eq(simple("GET", "/never", NULL, &err), -AMBIENT_E_UNAUTHORIZED);
	ck_assert_int_eq(fake_api_count(api), 7); /* once, not for ever */
	end();
}
END_TEST

static _Atomic int warnings;

static void
count_warnings(void *arg, int level, const char *area, const char *text)
{
	(void)arg, (void)level, (void)area;
	warnings += strstr(text, "the API server warns: old") != NULL;
}

/* Each text once, whoever earns it and however often. */
START_TEST(warnings_are_said_once)
{
	struct ambient_error err;

	begin_plain();
	rule(NULL, "/a", 0, 200, "Warning: 299 - \"old kind\"\r\nWarning: 299 - \"old field\"\r\nwarning: 199 - \"old cache\"\r\n", "{}", 0);
	rule(NULL, "/b", 0, 404, "Warning: 299 - \"old kind\"\r\n", "{}", 0);
	am_log_capture(count_warnings, NULL);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
		ck_assert_int_eq(simple("POST", "/b", "{}", &err), -AMBIENT_E_NOTFOUND);
	}
	am_log_capture(NULL, NULL);
	ck_assert_int_eq(warnings, 2);
	end();
}
END_TEST

/* ---- what is repeated */

START_TEST(retry_after_is_honoured)
{
	static const struct {
		const char *method;
		int status;
	} rows[] = { { "GET", 429 }, { "GET", 503 }, { "POST", 429 }, { "POST", 500 }, { "DELETE", 504 } };

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct call call = { 0 };

		begin_plain();
		rule(NULL, NULL, 2, rows[i].status, "Retry-After: 3\r\n", "{}", 0);
		rule(NULL, NULL, 0, 200, NULL, "{\"ok\":1}", 0);
		int64_t before = am_clock_boot(fake);
		start(&call, rows[i].method, "/a", rows[i].method[0] == 'P' ? "{\"body\":1}" : NULL);
		ck_assert_int_eq(finish_moving(&call, S / 4, 3), 0);
		ck_assert_str_eq(am_buf_str(&call.body), "{\"ok\":1}");
		ck_assert_int_eq(fake_api_count(api), 3);
		ck_assert_int_ge(am_clock_boot(fake) - before, 6 * S);
		if (rows[i].method[0] == 'P')
			ck_assert_str_eq(fake_api_request(api, 2)->body, "{\"body\":1}");
		am_buf_fini(&call.body);
		end();
	}
}
END_TEST

START_TEST(retry_ends)
{
	struct call call = { 0 };

	begin_plain();
	rule(NULL, NULL, 0, 429, "Retry-After: 1\r\n", "{\"kind\":\"Status\",\"reason\":\"TooManyRequests\"}", 0);
	start(&call, "GET", "/a", NULL);
	ck_assert_int_eq(finish_moving(&call, S / 4, 12), -AMBIENT_E_THROTTLED);
	ck_assert_int_eq(call.err.retry_after_ms, 1000);
	ck_assert_str_eq(call.err.reason, "TooManyRequests");
	ck_assert_int_eq(fake_api_count(api), 11);
	end();
}
END_TEST

START_TEST(retry_not_asked_for)
{
	struct ambient_error err;

	begin_plain();
	rule(NULL, "/429", 0, 429, NULL, "{}", 0);
	rule(NULL, "/503", 0, 503, NULL, "{}", 0);
	rule(NULL, "/late", 0, 503, "Retry-After: 31\r\n", "{}", 0);
	rule(NULL, "/404", 0, 404, "Retry-After: 1\r\n", "{}", 0);
	ck_assert_int_eq(simple("GET", "/429", NULL, &err), -AMBIENT_E_THROTTLED);
	ck_assert_int_eq(simple("GET", "/503", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	/* Beyond the deadline: said at once, with the time. */
	ck_assert_int_eq(simple("GET", "/late", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(err.retry_after_ms, 31000);
	ck_assert_int_eq(simple("GET", "/404", NULL, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_int_eq(fake_api_count(api), 4);
	end();
}
END_TEST

START_TEST(retry_after_as_a_date)
{
	struct ambient_error err;

	begin_plain();
	/* The fake wall clock stands at 2026-01-01T00:00:00Z. */
	rule(NULL, "/a", 0, 503, "Retry-After: Thu, 01 Jan 2026 00:10:00 GMT\r\n", "{}", 0);
	rule(NULL, "/b", 0, 503, "Retry-After: nonsense\r\n", "{}", 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(err.retry_after_ms, 600000);
	ck_assert_int_eq(simple("GET", "/b", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(err.retry_after_ms, 0);
	end();
}
END_TEST

START_TEST(broken_get_is_repeated)
{
	static const struct {
		int status;
		unsigned flags;
	} rows[] = {
		{ 0, FAKE_API_DROP }, { 0, FAKE_API_CUT }, { 200, FAKE_API_DROP }, { 200, FAKE_API_CUT }, { 200, FAKE_API_HALF },
		{ 200, FAKE_API_CUT | FAKE_API_LENGTH }, { 200, FAKE_API_CUT | FAKE_API_BYTES },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct call call = { 0 };

		begin_plain();
		rule(NULL, NULL, 1, rows[i].status, NULL, "{\"half\":", rows[i].flags);
		rule(NULL, NULL, 0, 200, NULL, "{\"whole\":1}", 0);
		start(&call, "GET", "/a", NULL);
		ck_assert_msg(finish_moving(&call, S / 4, 2) == 0, "row %zu: %s", i, call.err.message);
		ck_assert_str_eq(am_buf_str(&call.body), "{\"whole\":1}");
		am_buf_fini(&call.body);
		end();
	}
}
END_TEST

/* rule 42 of the reference: after a broken write nobody knows, so it is told and not repeated. */
START_TEST(rule_42_broken_write_is_never_repeated)
{
	static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
	struct ambient_error err;

	for (size_t i = 0; i < AM_COUNTOF(methods); i++) {
		for (int pooled = 0; pooled < 2; pooled++) {
			begin_plain();
			rule("GET", NULL, 0, 200, NULL, "{}", 0);
			rule(NULL, NULL, 0, 0, NULL, NULL, pooled ? FAKE_API_CUT : FAKE_API_DROP);
			/* On a connection that was used before, curl is tempted to try another. */
			if (pooled)
				ck_assert_int_eq(simple("GET", "/a", NULL, &err), 0);
			ck_assert_int_eq(simple(methods[i], "/a", "{\"x\":1}", &err), -AMBIENT_E_UNAVAILABLE);
			ck_assert_msg(fake_api_count(api) == 1 + pooled, "%s: %d requests", methods[i], fake_api_count(api));
			end();
		}
	}
}
END_TEST

START_TEST(refused_connection)
{
	struct ambient_error err;
	struct fake_api *gone = fake_api_new(FAKE_API_PLAIN);
	char url[64];

	(void)am_strlcpy(url, fake_api_url(gone), sizeof(url));
	fake_api_free(gone);
	begin(FAKE_API_PLAIN);
	open_kube(config_of(url), -1, 0);
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_int_eq(err.sys_errno, ECONNREFUSED);
	end();
}
END_TEST

/* ---- time */

START_TEST(deadline_passes)
{
	struct call call = { 0 };

	begin_plain();
	rule(NULL, NULL, 0, 200, NULL, "{\"half\":", FAKE_API_STALL);
	start(&call, "GET", "/a", NULL);
	ck_assert(fake_api_wait(api, 1));
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	am_clock_fake_advance(fake, 30 * S - 1);
	ck_assert(!call.done);
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	am_clock_fake_advance(fake, 1);
	ck_assert_int_eq(finish(&call), -AMBIENT_E_TIMEOUT);
	ck_assert(fake_api_wait_closed(api, 1));
	end();
}
END_TEST

START_TEST(cancelled_while_waiting)
{
	struct call call = { 0 };
	int32_t flag = 0;

	begin_plain();
	rule(NULL, NULL, 0, 0, NULL, NULL, FAKE_API_STALL);
	call.request.cancelled = &flag;
	start(&call, "GET", "/a", NULL);
	ck_assert(fake_api_wait(api, 1));
	ck_assert(am_clock_fake_wait_waiters(fake, 1));
	__atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
	am_clock_fake_advance(fake, S / 10);
	ck_assert_int_eq(finish(&call), -AMBIENT_E_CANCELLED);
	ck_assert(fake_api_wait_closed(api, 1));
	end();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, get_and_reuse);
	tcase_add_test(tc, a_request_that_ends_is_posted_once);
	tcase_add_test(tc, errors_come_from_the_status);
	tcase_add_test(tc, bad_requests_go_nowhere);
	tcase_add_test(tc, bytewise_and_large);
	tcase_add_test(tc, loopback_takes_no_proxy);
	tcase_add_test(tc, a_proxy_of_the_kubeconfig_is_asked);
	tcase_add_test(tc, answers_of_other_machines_may_be_packed);
	tcase_add_test(tc, tls_ca_from_data_and_file);
	tcase_add_test(tc, tls_unknown_ca_is_refused);
	tcase_add_test(tc, tls_server_name);
	tcase_add_test(tc, tls_client_certificate);
	tcase_add_test(tc, tls_client_certificate_rotates);
	tcase_add_test(tc, tls_ca_rotates);
	tcase_add_test(tc, tls_ca_of_the_pod_rotates);
	tcase_add_test(tc, impersonation_is_sent);
	tcase_add_test(tc, token_static);
	tcase_add_test(tc, token_rotates);
	tcase_add_test(tc, warnings_are_said_once);
	tcase_add_test(tc, retry_after_is_honoured);
	tcase_add_test(tc, retry_ends);
	tcase_add_test(tc, retry_not_asked_for);
	tcase_add_test(tc, retry_after_as_a_date);
	tcase_add_test(tc, broken_get_is_repeated);
	tcase_add_test(tc, rule_42_broken_write_is_never_repeated);
	tcase_add_test(tc, refused_connection);
	tcase_add_test(tc, deadline_passes);
	tcase_add_test(tc, cancelled_while_waiting);
}

UNIT_MAIN("client", cases)
