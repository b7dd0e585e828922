/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server behind a proxy: HTTP with CONNECT, and SOCKS 5; from the kubeconfig and from the environment.  The server is
 * "renamed.test", a name that only the proxy knows, so that nothing reaches it but through the proxy.
 */
#include "tests/func/client.h"

#include <errno.h>

#include "tests/lib/proxy_fake.h"

#define NAME "renamed.test"

static struct proxy_fake *proxy;
static char server[80];

/* The server and the proxy; what the kubeconfig says of it is made of the format with its port. */
static struct am_kube_config *
set_up(struct proxy_fake_options options, const char *url_format)
{
	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	struct ambient_error err = AMBIENT_ERROR_INIT;
	char url[128];

	begin(FAKE_API_TLS);
	rule(NULL, NULL, 0, 200, NULL, "{}", 0);
	options.to_port = fake_api_port(api);
	proxy = proxy_fake_new(&options);
	(void)snprintf(server, sizeof(server), "https://" NAME ":%d", fake_api_port(api));
	config->ca_data = am_xstrdup(fake_api_ca(api));
	config->token = am_xstrdup("for-the-server-alone");
	if (url_format != NULL) {
		const char *at = strchr(url_format, '#');

		(void)snprintf(url, sizeof(url), "%.*s127.0.0.1:%d%s", (int)(at - url_format), url_format, proxy_fake_port(proxy), at + 1);
		config->proxy_url = am_xstrdup(url);
	}
	ck_assert_msg(am_kube_config_finish(config, server, &err) == 0, "%s", err.message);
	return config;
}

static void
tear_down(void)
{
	am_kube_free(kube);
	kube = NULL;
	proxy_fake_free(proxy);
	end();
}

static void
says(const struct ambient_error *err, const char *what)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "127.0.0.1:%d: ", proxy_fake_port(proxy));
	ck_assert_msg(strstr(err->message, " through the proxy ") != NULL && strstr(err->message, name) != NULL &&
		      strstr(err->message, what) != NULL, "%s", err->message);
	ck_assert_msg(strstr(err->message, "secret") == NULL, "%s", err->message);
}

static void
reaches(struct am_kube_config *config)
{
	struct ambient_error err;
	char target[100];

	open_kube(config, -1, 0);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	ck_assert_int_eq(fake_api_count(api), 2);
	ck_assert_int_eq(proxy_fake_count(proxy), 1); /* the tunnel is kept */
	(void)snprintf(target, sizeof(target), NAME ":%d", fake_api_port(api));
	ck_assert_str_eq(proxy_fake_target(proxy), target); /* the name: it is the proxy who looks it up */
	ck_assert_str_eq(bearer(1), "Bearer for-the-server-alone");
}

START_TEST(connect_reaches_the_server)
{
	static const char *const urls[] = { "http://#", "HTTP://#/", "http://user:secret%21@#" };

	for (size_t i = 0; i < AM_COUNTOF(urls); i++) {
		reaches(set_up((struct proxy_fake_options){ .headers = "Warning: 299 - \"of the proxy\"\r\nRetry-After: 7\r\n",
							    .user = i == 2 ? "user:secret!" : NULL }, urls[i]));
		/* Neither hears what is for the other. */
		ck_assert_ptr_null(strstr(proxy_fake_head(proxy), "for-the-server"));
		ck_assert_ptr_null(fake_api_header(fake_api_request(api, 0), "Proxy-Authorization"));
		tear_down();
	}
}
END_TEST

START_TEST(socks_reaches_the_server)
{
	static const char *const urls[] = { "socks5://#", "socks5://user:secret%21@#" };

	for (size_t i = 0; i < AM_COUNTOF(urls); i++) {
		reaches(set_up((struct proxy_fake_options){ .mode = PROXY_FAKE_SOCKS, .user = i == 1 ? "user:secret!" : NULL },
			       urls[i]));
		tear_down();
	}
}
END_TEST

/* Both the name in the certificate and the address to connect to are the kubeconfig's: the proxy is asked for the latter. */
START_TEST(connect_with_a_server_name)
{
	struct am_kube_config *config = set_up((struct proxy_fake_options){ 0 }, "http://#");
	struct ambient_error err;
	char target[100];

	free(config->server);
	free(config->host);
	free(config->proxy);
	free(config->proxy_name);
	config->tls_server_name = am_xstrdup(NAME);
	ck_assert_int_eq(am_kube_config_finish(config, "https://elsewhere.test:1234", NULL), 0);
	open_kube(config, -1, 0);
	ck_assert_msg(simple("GET", "/a", NULL, &err) == 0, "%s", err.message);
	(void)snprintf(target, sizeof(target), "elsewhere.test:1234");
	ck_assert_str_eq(proxy_fake_target(proxy), target);
	tear_down();
}
END_TEST

/* Nothing is tried again by itself: what a proxy forbids is not the weather. */
START_TEST(a_refusal_names_the_proxy)
{
	static const struct {
		const char *url, *user, *says;
		int refuse;
		enum proxy_fake_mode mode;
	} rows[] = {
		{ "http://#", "a:b", "407; it wants a user and a password", 0, PROXY_FAKE_CONNECT },
		{ "http://a:secret@#", "a:b", "407", 0, PROXY_FAKE_CONNECT },
		{ "http://#", NULL, "403; it does not allow this connection", 403, PROXY_FAKE_CONNECT },
		{ "http://#", NULL, "answered CONNECT with 502", 502, PROXY_FAKE_CONNECT },
		{ "socks5://#", "a:b", "it wants a user and a password", 0, PROXY_FAKE_SOCKS },
		{ "socks5://a:secret@#", "a:b", "does not accept the user", 0, PROXY_FAKE_SOCKS },
		{ "socks5://#", NULL, "does not allow this connection", 2, PROXY_FAKE_SOCKS },
		{ "socks5://#", NULL, "does not reach the host", 4, PROXY_FAKE_SOCKS },
		{ "socks5://#", NULL, "nothing listening", 5, PROXY_FAKE_SOCKS },
	};
	struct ambient_error err;

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		open_kube(set_up((struct proxy_fake_options){ .mode = rows[i].mode, .user = rows[i].user, .refuse = rows[i].refuse,
							      .headers = "Content-Length: 0\r\n" }, rows[i].url), -1, 0);
		ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
		says(&err, rows[i].says);
		ck_assert_int_eq(fake_api_count(api), 0);
		ck_assert_int_le(proxy_fake_count(proxy), 1);
		tear_down();
	}
}
END_TEST

static struct ambient_error why;

static void *
ask(void *arg)
{
	(void)arg;
	(void)simple("GET", "/a", NULL, &why);
	return NULL;
}

START_TEST(a_proxy_that_stalls)
{
	static const char *const urls[] = { "http://#", "socks5://#" };

	for (size_t i = 0; i < AM_COUNTOF(urls); i++) {
		pthread_t thread;

		open_kube(set_up((struct proxy_fake_options){ .mute = 1 }, urls[i]), -1, 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, ask, NULL), 0);
		ck_assert(proxy_fake_wait(proxy));
		ck_assert(am_clock_fake_wait_waiters(fake, 1));
		am_clock_fake_advance(fake, 30 * S);
		(void)pthread_join(thread, NULL);
		ck_assert_int_eq(why.code, AMBIENT_E_TIMEOUT);
		says(&why, "no answer within the deadline");
		tear_down();
	}
}
END_TEST

/* Nothing listens; and what listens speaks another protocol. */
START_TEST(what_is_no_proxy)
{
	static const char *const urls[] = { "http://127.0.0.1:1", "socks5://127.0.0.1:1" };
	struct ambient_error err;

	open_kube(set_up((struct proxy_fake_options){ .mode = PROXY_FAKE_SOCKS }, "http://#"), -1, 0);
	ck_assert_int_eq(simple("PUT", "/a", "{}", &err), -AMBIENT_E_UNAVAILABLE); /* a GET would be repeated */
	says(&err, "");
	for (size_t i = 0; i < AM_COUNTOF(urls); i++) {
		struct am_kube_config *config = am_xcalloc(1, sizeof(*config));

		config->proxy_url = am_xstrdup(urls[i]);
		ck_assert_int_eq(am_kube_config_finish(config, server, NULL), 0);
		am_kube_free(kube);
		open_kube(config, -1, 0);
		ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
		ck_assert_int_eq(err.sys_errno, ECONNREFUSED);
		ck_assert_msg(strstr(err.message, " through the proxy ") != NULL && strstr(err.message, urls[i]) != NULL, "%s", err.message);
	}
	tear_down();
}
END_TEST

/* A proxy behind TLS: the fake server plays it.  The cluster's authority may have signed its certificate, another's not. */
START_TEST(a_proxy_behind_tls_is_verified)
{
	struct ambient_error err;

	for (int known = 0; known < 2; known++) {
		struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
		struct fake_api *other = fake_api_new(FAKE_API_TLS);

		begin(FAKE_API_TLS);
		rule(NULL, NULL, 0, 403, NULL, NULL, FAKE_API_LENGTH);
		config->ca_data = am_xstrdup(fake_api_ca(known ? api : other));
		config->proxy_url = am_xstrdup(fake_api_url(api));
		ck_assert_int_eq(am_kube_config_finish(config, "https://" NAME ":1234", NULL), 0);
		open_kube(config, -1, 0);
		ck_assert_int_eq(simple("PUT", "/a", "{}", &err), -AMBIENT_E_UNAVAILABLE);
		ck_assert_msg(strstr(err.message, " through the proxy https://127.0.0.1:") != NULL &&
			      strstr(err.message, known ? "403; it does not allow" : "certificate") != NULL, "%s", err.message);
		ck_assert_int_eq(fake_api_count(api), known);
		if (known) {
			ck_assert_str_eq(fake_api_request(api, 0)->method, "CONNECT");
			ck_assert_str_eq(fake_api_request(api, 0)->path, NAME ":1234");
		}
		fake_api_free(other);
		end();
		kube = NULL;
	}
}
END_TEST

/* ---- the environment */

static const char *const variables[] = { "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "all_proxy", "ALL_PROXY", "http_proxy" };

static void
environment(const char *name, const char *value)
{
	for (size_t i = 0; name == NULL && i < AM_COUNTOF(variables); i++)
		(void)unsetenv(variables[i]);
	if (name != NULL)
		(void)setenv(name, value, 1);
}

START_TEST(the_environment_names_a_proxy)
{
	static const char *const schemes[] = { "http://", "", "socks5h://" };

	for (size_t i = 0; i < 2 * AM_COUNTOF(schemes); i++) {
		size_t f = i / 2;
		char url[80];

		environment(NULL, NULL);
		struct am_kube_config *config = set_up((struct proxy_fake_options){ .mode = (enum proxy_fake_mode)(f == 2) }, NULL);
		ck_assert_ptr_null(config->proxy);
		(void)snprintf(url, sizeof(url), "%s127.0.0.1:%d", schemes[f], proxy_fake_port(proxy));
		environment(i % 2 == 0 ? "HTTPS_PROXY" : "https_proxy", url);
		/* None of these speaks of this server. */
		environment("http_proxy", "http://127.0.0.1:1");
		environment("all_proxy", "http://127.0.0.1:1");
		environment("NO_PROXY", "localhost,.elsewhere.test,10.0.0.0/8");
		free(config->server);
		free(config->host);
		ck_assert_int_eq(am_kube_config_finish(config, server, NULL), 0);
		reaches(config);
		tear_down();
	}
}
END_TEST

/* The kubeconfig's wins over the environment's, and NO_PROXY is about the latter alone. */
START_TEST(the_kubeconfig_wins)
{
	environment(NULL, NULL);
	environment("HTTPS_PROXY", "http://127.0.0.1:1");
	environment("NO_PROXY", "*");
	reaches(set_up((struct proxy_fake_options){ 0 }, "http://#"));
	tear_down();
}
END_TEST

START_TEST(no_proxy_leaves_a_server_alone)
{
	struct am_kube_config *config;
	struct ambient_error err;

	environment(NULL, NULL);
	config = set_up((struct proxy_fake_options){ 0 }, NULL);
	free(config->server);
	free(config->host);
	environment("HTTPS_PROXY", "http://127.0.0.1:1");
	environment("no_proxy", "other, " NAME);
	ck_assert_int_eq(am_kube_config_finish(config, server, NULL), 0);
	ck_assert_ptr_null(config->proxy);
	open_kube(config, -1, 0);
	/* Nobody knows the name: that it is asked for shows that no proxy was. */
	ck_assert_int_eq(simple("GET", "/a", NULL, &err), -AMBIENT_E_UNAVAILABLE);
	ck_assert_msg(strstr(err.message, "proxy") == NULL && strstr(err.message, "resolve") != NULL, "%s", err.message);
	tear_down();
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, connect_reaches_the_server);
	tcase_add_test(tc, socks_reaches_the_server);
	tcase_add_test(tc, connect_with_a_server_name);
	tcase_add_test(tc, a_refusal_names_the_proxy);
	tcase_add_test(tc, a_proxy_that_stalls);
	tcase_add_test(tc, what_is_no_proxy);
	tcase_add_test(tc, a_proxy_behind_tls_is_verified);
	tcase_add_test(tc, the_environment_names_a_proxy);
	tcase_add_test(tc, the_kubeconfig_wins);
	tcase_add_test(tc, no_proxy_leaves_a_server_alone);
}

UNIT_MAIN("client_proxy", cases)
