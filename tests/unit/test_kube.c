/* SPDX-License-Identifier: Apache-2.0 */
/* core/kube without a network: paths, configuration, errors, tokens, the rate, and what becomes of events. */
#include "tests/lib/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/kube/kube_priv.h"

/* ---- paths */

START_TEST(path_table)
{
	static const struct {
		const char *kind, *ns, *name, *sub, *path;
	} rows[] = {
		{ "v1/pods", NULL, NULL, NULL, "/api/v1/pods" },
		{ "v1/pods", "", "", "", "/api/v1/pods" },
		{ "v1/pods", "ns", NULL, NULL, "/api/v1/namespaces/ns/pods" },
		{ "v1/pods", "ns", "p", NULL, "/api/v1/namespaces/ns/pods/p" },
		{ "v1/pods", "ns", "p", "log", "/api/v1/namespaces/ns/pods/p/log" },
		{ "v1/namespaces", NULL, "ns", NULL, "/api/v1/namespaces/ns" },
		{ "batch/v1/jobs", "ns", "j", "status", "/apis/batch/v1/namespaces/ns/jobs/j/status" },
		{ "vteam.ambient-code/v1alpha1/agenticsessions", "a", NULL, NULL,
		  "/apis/vteam.ambient-code/v1alpha1/namespaces/a/agenticsessions" },
		{ "v1/pods", "n/s", "a?b#c d%", NULL, "/api/v1/namespaces/n%2Fs/pods/a%3Fb%23c%20d%25" },
		{ "v1/pods", "..", ".", NULL, "/api/v1/namespaces/%2E%2E/pods/%2E" },
		{ "v1/pods", "ns", "\xc3\xa4..", NULL, "/api/v1/namespaces/ns/pods/%C3%A4.." },
		{ "v1/pods", "ns", NULL, "log", "/api/v1/namespaces/ns/pods" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_buf_fini) struct am_buf path = { 0 };
		struct am_gvr gvr;

		ck_assert_int_eq(am_gvr_parse(rows[i].kind, &gvr, NULL), 0);
		am_kube_path(&path, &gvr, rows[i].ns, rows[i].name, rows[i].sub);
		ck_assert_str_eq(am_buf_str(&path), rows[i].path);
	}
}
END_TEST

START_TEST(gvr_refused)
{
	static const char *const rows[] = { "", "pods", "/pods", "v1/", "v1//pods", "a/b/c/d", "V1/pods", "v1/Pods", "v1/po ds",
					    "a..b/v1/x", "-a/v1/x", "a/v1/x-", "../v1/x", "a/v1/..", NULL };
	char longest[400];
	struct am_gvr gvr;

	for (size_t i = 0; rows[i] != NULL; i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		ck_assert_int_eq(am_gvr_parse(rows[i], &gvr, &err), -AMBIENT_E_INVALID);
		ck_assert(err.message[0] != '\0');
	}
	ck_assert_int_eq(am_gvr_parse(NULL, &gvr, NULL), -AMBIENT_E_INVALID);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	longest[300] = '/';
	ck_assert_int_eq(am_gvr_parse(longest, &gvr, NULL), -AMBIENT_E_INVALID);
}
END_TEST

/* ---- errors */

START_TEST(error_codes)
{
	static const struct {
		int status, code;
	} rows[] = {
		{ 400, AMBIENT_E_INVALID }, { 401, AMBIENT_E_UNAUTHORIZED }, { 403, AMBIENT_E_FORBIDDEN },
		{ 404, AMBIENT_E_NOTFOUND }, { 405, AMBIENT_E_UNSUPPORTED }, { 406, AMBIENT_E_UNSUPPORTED },
		{ 408, AMBIENT_E_TIMEOUT }, { 409, AMBIENT_E_CONFLICT }, { 410, AMBIENT_E_GONE }, { 413, AMBIENT_E_NOMEM },
		{ 415, AMBIENT_E_UNSUPPORTED }, { 418, AMBIENT_E_INVALID }, { 422, AMBIENT_E_INVALID },
		{ 429, AMBIENT_E_THROTTLED }, { 500, AMBIENT_E_INTERNAL }, { 502, AMBIENT_E_UNAVAILABLE },
		{ 503, AMBIENT_E_UNAVAILABLE }, { 504, AMBIENT_E_TIMEOUT }, { 511, AMBIENT_E_UNAVAILABLE },
		{ 302, AMBIENT_E_INVALID },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_int_eq(am_kube_error(&err, rows[i].status, NULL, 0), -rows[i].code);
		ck_assert_int_eq(err.code, rows[i].code);
		ck_assert_int_eq(err.http_status, rows[i].status);
		ck_assert_ptr_nonnull(strstr(err.message, "the server answered"));
		ck_assert_int_eq(am_kube_error(NULL, rows[i].status, NULL, 0), -rows[i].code);
	}
}
END_TEST

static struct ambient_error
error_of(int status, const char *body)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_int_lt(am_kube_error(&err, status, body, strlen(body)), 0);
	return err;
}

START_TEST(error_status_body)
{
	struct ambient_error err;

	err = error_of(409, "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"pods \\\"a\\\" already exists\"}");
	ck_assert_int_eq(err.code, AMBIENT_E_EXISTS);
	ck_assert_str_eq(err.reason, "AlreadyExists");
	ck_assert_str_eq(err.message, "pods \"a\" already exists");
	err = error_of(409, "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"m\"}");
	ck_assert_int_eq(err.code, AMBIENT_E_CONFLICT);
	err = error_of(422, "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"m\",\"details\":"
			    "{\"retryAfterSeconds\":7,\"causes\":[{\"field\":\"spec.size\"}]}}");
	ck_assert_str_eq(err.where, "spec.size");
	ck_assert_int_eq(err.retry_after_ms, 7000);
	/* A pod's, through the proxy. */
	err = error_of(409, "{\"reason\":\"Busy\",\"message\":\"a turn runs\"}");
	ck_assert_str_eq(err.reason, "Busy");
	ck_assert_str_eq(err.message, "a turn runs");
	/* Not a Status: its members mean nothing. */
	err = error_of(409, "{\"kind\":\"Pod\",\"reason\":\"AlreadyExists\",\"message\":\"m\"}");
	ck_assert_int_eq(err.code, AMBIENT_E_CONFLICT);
	ck_assert_str_eq(err.reason, "");
}
END_TEST

START_TEST(error_hostile_body)
{
	char big[4000];
	struct ambient_error err;

	err = error_of(404, "404 page not found\n");
	ck_assert_str_eq(err.message, "the server answered 404: 404 page not found");
	err = error_of(502, "<html>a proxy's page</html>");
	ck_assert_str_eq(err.message, "the server answered 502: bad gateway");
	err = error_of(500, "\xff\xfe");
	ck_assert_str_eq(err.message, "the server answered 500: internal server error");
	memset(big, 'x', 300);
	(void)strcpy(big + 300, "\xff");
	err = error_of(500, big);
	ck_assert_str_eq(err.message, "the server answered 500: internal server error");
	err = error_of(500, "{\"kind\":\"Status\",\"message\":\"a\\u001b[31mb\\n\\tc\"}");
	ck_assert_str_eq(err.message, "a [31mb  c");
	err = error_of(500, "{\"kind\":\"Status\",\"message\":");
	ck_assert_int_eq(err.code, AMBIENT_E_INTERNAL);
	err = error_of(500, "{\"kind\":\"Status\",\"message\":7,\"reason\":[]}");
	ck_assert_str_eq(err.message, "the server answered 500: internal server error");
	/* Cut where a character ends. */
	size_t n = (size_t)snprintf(big, sizeof(big), "{\"kind\":\"Status\",\"message\":\"x");
	for (; n < 3000; n += 2)
		memcpy(big + n, "\xc3\xa4", 2);
	memcpy(big + n, "\"}", 3);
	err = error_of(500, big);
	ck_assert_uint_ge(strlen(err.message), sizeof(err.message) - 3);
	ck_assert(am_utf8_valid(err.message, strlen(err.message)));
	err = error_of(429, "{\"kind\":\"Status\",\"details\":{\"retryAfterSeconds\":99999999999}}");
	ck_assert_int_eq(err.retry_after_ms, 86400000);
}
END_TEST

/* ---- kubeconfig */

#define CLUSTER "apiVersion: v1\nkind: Config\ncurrent-context: c\n" \
		"contexts: [{name: c, context: {cluster: k, user: u, namespace: team}}, {name: d, context: {cluster: k}}]\n"

static int
load(const char *text, const char *context, struct am_kube_config **ret, struct ambient_error *err)
{
	struct am_kubeconfig_text one = { "\"file\"", "/dir", text, strlen(text) };

	*err = (struct ambient_error)AMBIENT_ERROR_INIT;
	return am_kube_config_texts(&one, 1, context, ret, err);
}

START_TEST(kubeconfig_whole)
{
	static const char text[] = CLUSTER
		"clusters: [{name: k, cluster: {server: 'https://10.0.0.1:6443/prefix/', certificate-authority: ca.pem}}]\n"
		"users: [{name: u, user: {client-certificate: /abs/c.pem, client-key: sub/k.pem, tokenFile: t}}]\n";
	struct am_kube_config *config;
	struct ambient_error err;

	ck_assert_msg(load(text, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_str_eq(am_kube_config_server(config), "https://10.0.0.1:6443/prefix");
	ck_assert_str_eq(am_kube_config_namespace(config), "team");
	ck_assert_str_eq(config->host, "10.0.0.1:6443");
	ck_assert_str_eq(config->ca_file, "/dir/ca.pem");
	ck_assert_str_eq(config->cert_file, "/abs/c.pem");
	ck_assert_str_eq(config->key_file, "/dir/sub/k.pem");
	ck_assert_str_eq(config->token_file, "/dir/t");
	ck_assert_ptr_null(config->token);
	ck_assert(!config->loopback && !config->insecure);
	am_kube_config_free(config);
	ck_assert_int_eq(load(text, "d", &config, &err), 0);
	ck_assert_str_eq(am_kube_config_namespace(config), "default");
	ck_assert_ptr_null(config->cert_file);
	am_kube_config_free(config);
}
END_TEST

START_TEST(kubeconfig_data_wins)
{
	static const char text[] = CLUSTER
		"clusters: [{name: k, cluster: {server: 'https://h', certificate-authority: ca, "
		"certificate-authority-data: Q0E=, tls-server-name: real.name, proxy-url: 'http://p:1'}}]\n"
		"users: [{name: u, user: {client-certificate-data: QQ==, client-key-data: Qg==, token: abc, "
		"client-key: x}}]\n";
	struct am_kube_config *config;
	struct ambient_error err;

	ck_assert_msg(load(text, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_str_eq(config->server, "https://h:443");
	ck_assert_str_eq(config->ca_data, "CA");
	ck_assert_ptr_null(config->ca_file);
	ck_assert_str_eq(config->cert_data, "A");
	ck_assert_str_eq(config->key_data, "B");
	ck_assert_ptr_null(config->key_file);
	ck_assert_str_eq(config->token, "abc");
	ck_assert_str_eq(config->tls_server_name, "real.name");
	ck_assert_str_eq(config->proxy_url, "http://p:1");
	am_kube_config_free(config);
}
END_TEST

START_TEST(kubeconfig_proxies)
{
	static const struct {
		const char *url, *proxy, *name, *says;
	} rows[] = {
		{ "http://p", "http://p:80", "http://p:80", NULL },
		{ "https://p:8/ignored", "https://p:8", "https://p:8", NULL },
		{ "socks5://u:a%40b@[::1]:9", "socks5h://u:a%40b@[::1]:9", "socks5://[::1]:9", NULL },
		{ "SOCKS5://p", "socks5h://p:1080", "socks5://p:1080", NULL },
		{ "socks5h://p", NULL, NULL, "proxy-url: a proxy is reached by http://, https:// or socks5://, not by \"socks5h\"" },
		{ "socks4://p", NULL, NULL, "not by \"socks4\"" },
		{ "ftp://p", NULL, NULL, "not by \"ftp\"" },
		{ "file:///etc/passwd", NULL, NULL, "file\": cluster \"k\": proxy-url" },
		{ "p:3128", NULL, NULL, "proxy-url is no address of a proxy; write http://host:port" },
		{ "http://", NULL, NULL, "proxy-url is no address" },
		{ "http://p:99999", NULL, NULL, "proxy-url is no address" },
		{ "http://secret:x@h h", NULL, NULL, "proxy-url is no address" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_freep) char *text = am_xasprintf(CLUSTER "clusters: [{name: k, cluster: {server: 'https://h', "
							    "proxy-url: '%s'}}]\n", rows[i].url);
		struct am_kube_config *config;
		struct ambient_error err;
		int rc = load(text, "d", &config, &err);

		if (rows[i].says != NULL) {
			ck_assert_int_eq(rc, -AMBIENT_E_INVALID);
			ck_assert_msg(strstr(err.message, rows[i].says) != NULL && strstr(err.message, "secret") == NULL, "%zu: %s", i,
				      err.message);
			continue;
		}
		ck_assert_msg(rc == 0, "%zu: %s", i, err.message);
		ck_assert_str_eq(config->proxy, rows[i].proxy);
		ck_assert_str_eq(config->proxy_name, rows[i].name);
		am_kube_config_free(config);
	}
}
END_TEST

START_TEST(no_proxy_lists)
{
	static const struct {
		const char *list, *host, *port;
		bool listed;
	} rows[] = {
		{ "", "h", "443", false },
		{ "*", "h", "443", true },
		{ "a,h", "h", "443", true },
		{ "a h", "h", "443", true },
		{ " , H ,", "h", "443", true },
		{ "h", "sub.h", "443", true },
		{ "h", "other-h", "443", false },
		{ ".h", "sub.h", "443", true },
		{ ".h", "h", "443", false },
		{ "*.h", "sub.h", "443", true },
		{ "*.h", "h", "443", false },
		{ "sub.h", "h", "443", false },
		{ "h:443", "h", "443", true },
		{ "h:6443", "h", "443", false },
		{ "10.0.0.1", "10.0.0.1", "443", true },
		{ "10.0.0.1:443", "10.0.0.1", "443", true },
		{ "10.0.0.1:444", "10.0.0.1", "443", false },
		{ "10.0.0.1", "110.0.0.1", "443", false },
		{ "0.0.1", "10.0.0.1", "443", false },
		{ "10.0.0.0/8", "10.255.0.1", "443", true },
		{ "10.0.0.0/9", "10.128.0.1", "443", false },
		{ "10.128.0.0/9", "10.255.0.1", "443", true },
		{ "0.0.0.0/0", "10.255.0.1", "443", true },
		{ "0.0.0.0/0", "h", "443", false },
		{ "0.0.0.0/0", "::1", "443", false },
		{ "10.0.0.0/33", "10.0.0.1", "443", false },
		{ "10.0.0.0/", "10.0.0.1", "443", false },
		{ "10.0.0.0/x,/8,/", "10.0.0.1", "443", false },
		{ "fd00::1", "fd00:0:0::1", "443", true },
		{ "[fd00::1]", "fd00::1", "443", true },
		{ "[fd00::1]:443", "fd00::1", "443", true },
		{ "[fd00::1]:1", "fd00::1", "443", false },
		{ "[fd00::1]x", "fd00::1", "443", false },
		{ "fd00::/8", "fd12::1", "443", true },
		{ "fd00::/16", "fd12::1", "443", false },
		{ "[", "h", "443", false },
		{ ":", "h", "443", false },
		{ ":443", "h", "443", false },
		{ "*.", "h", "443", false },
		{ ".", "h", "443", false },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++)
		ck_assert_msg(am_no_proxy(rows[i].list, rows[i].host, rows[i].port) == rows[i].listed, "%s: %s", rows[i].list, rows[i].host);
}
END_TEST

START_TEST(proxies_of_the_environment)
{
	static const struct {
		const char *server, *https, *no, *name, *says;
	} rows[] = {
		{ "https://h:6443", "http://p:1", NULL, "http://p:1", NULL },
		{ "https://h:6443", "p:1", NULL, "http://p:1", NULL },
		{ "https://h:6443", "socks5h://p:1", NULL, "socks5h://p:1", NULL },
		{ "https://h:6443", "", NULL, NULL, NULL },
		{ "https://h:6443", "http://p:1", "h:6443", NULL, NULL },
		{ "https://h:6443", "http://p:1", "h:443", "http://p:1", NULL },
		{ "https://[fd00::1]", "http://p:1", "fd00::/8", NULL, NULL },
		{ "https://127.0.0.1", "http://p:1", NULL, NULL, NULL }, /* never for what is on this machine */
		{ "https://localhost", "http://p:1", NULL, NULL, NULL },
		{ "https://h", "gopher://p:1", NULL, NULL, "HTTPS_PROXY: a proxy is reached by" },
		{ "https://h", "http://secret@", NULL, NULL, "HTTPS_PROXY is no address" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
		struct ambient_error err = AMBIENT_ERROR_INIT;

		(void)setenv("HTTPS_PROXY", rows[i].https, 1);
		(void)setenv("NO_PROXY", rows[i].no != NULL ? rows[i].no : "", 1);
		int rc = am_kube_config_finish(config, rows[i].server, &err);
		ck_assert_msg((rc == 0) == (rows[i].says == NULL), "%zu: %s", i, err.message);
		if (rows[i].says != NULL)
			ck_assert_msg(strstr(err.message, rows[i].says) != NULL && strstr(err.message, "secret") == NULL, "%s", err.message);
		else if (rows[i].name == NULL)
			ck_assert_ptr_null(config->proxy);
		else
			ck_assert_str_eq(config->proxy_name, rows[i].name);
		am_kube_config_free(config);
	}
}
END_TEST

START_TEST(kubeconfig_refused)
{
	static const struct {
		const char *text, *context;
		int code;
		const char *says;
	} rows[] = {
		{ "", NULL, AMBIENT_E_INVALID, "empty" },
		{ "a: [", NULL, AMBIENT_E_INVALID, "file" },
		{ "- a\n", NULL, AMBIENT_E_INVALID, "no mapping" },
		{ "a: 1\n---\nb: 2\n", NULL, AMBIENT_E_INVALID, "more than one" },
		{ "kind: Config\n", NULL, AMBIENT_E_INVALID, "no current-context" },
		{ CLUSTER, "cc", AMBIENT_E_INVALID, "no context \"cc\", did you mean \"c\"?" },
		{ CLUSTER, NULL, AMBIENT_E_INVALID, "no user \"u\"" },
		{ CLUSTER, "d", AMBIENT_E_INVALID, "no cluster \"k\"" },
		{ CLUSTER "clusters: [{name: k, cluster: {}}]\n", "d", AMBIENT_E_INVALID, "has no server" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'http://10.0.0.1'}}]\n", "d", AMBIENT_E_INVALID, "not https" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'ftp://localhost'}}]\n", "d", AMBIENT_E_INVALID, "not https" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'https://u:p@h'}}]\n", "d", AMBIENT_E_INVALID, "user" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'https://h h'}}]\n", "d", AMBIENT_E_INVALID, "no address" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'https://h', insecure-skip-tls-verify: true, "
		  "certificate-authority: x}}]\n", "d", AMBIENT_E_INVALID, "exclude" },
		{ CLUSTER "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: '!'}}]\n", "d",
		  AMBIENT_E_INVALID, "base64" },
		{ CLUSTER "users: [{name: u, user: {exec: {command: aws}}}]\n", NULL, AMBIENT_E_UNSUPPORTED, "v1 and v1beta1" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: aws}}}]\n", NULL,
		  AMBIENT_E_UNSUPPORTED, "v1 and v1beta1" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}]\n", NULL,
		  AMBIENT_E_INVALID, "needs interactiveMode" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, "
		  "interactiveMode: Maybe}}}]\n", NULL, AMBIENT_E_INVALID, "\"Maybe\" is not known" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1}}}]\n", NULL,
		  AMBIENT_E_INVALID, "no command" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: a, args: [1]}}}]\n",
		  NULL, AMBIENT_E_INVALID, "put it in quotes" },
		{ CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: a, "
		  "env: [{value: x}]}}}]\n", NULL, AMBIENT_E_INVALID, "no usable name" },
		{ CLUSTER "users: [{name: u, user: {as-groups: [a]}}]\n", NULL, AMBIENT_E_INVALID, "user \"u\": \"as-groups\" needs \"as\"" },
		{ CLUSTER "users: [{name: u, user: {as-uid: a}}]\n", NULL, AMBIENT_E_INVALID, "\"as-uid\" needs \"as\"" },
		{ CLUSTER "users: [{name: u, user: {as-user-extra: {a: [b]}}}]\n", NULL, AMBIENT_E_INVALID, "\"as-user-extra\" needs \"as\"" },
		{ CLUSTER "users: [{name: u, user: {as: 7}}]\n", NULL, AMBIENT_E_INVALID, "\"as\" is no string; put it in quotes" },
		{ CLUSTER "users: [{name: u, user: {as: ''}}]\n", NULL, AMBIENT_E_INVALID, "\"as\" is empty" },
		{ CLUSTER "users: [{name: u, user: {as: \"a\\nImpersonate-Group: system:masters\"}}]\n", NULL, AMBIENT_E_INVALID,
		  "\"as\" holds a control character" },
		{ CLUSTER "users: [{name: u, user: {as: \"a\\0b\"}}]\n", NULL, AMBIENT_E_INVALID, "" },
		{ CLUSTER "users: [{name: u, user: {as: ' a'}}]\n", NULL, AMBIENT_E_INVALID, "begins or ends with a space" },
		{ CLUSTER "users: [{name: u, user: {as: a, as-groups: b}}]\n", NULL, AMBIENT_E_INVALID, "\"as-groups\" is no list" },
		{ CLUSTER "users: [{name: u, user: {as: a, as-groups: [1]}}]\n", NULL, AMBIENT_E_INVALID, "\"as-groups\" is no string" },
		{ CLUSTER "users: [{name: u, user: {as: a, as-user-extra: [b]}}]\n", NULL, AMBIENT_E_INVALID, "is no mapping" },
		{ CLUSTER "users: [{name: u, user: {as: a, as-user-extra: {b: c}}}]\n", NULL, AMBIENT_E_INVALID, "is no list" },
		{ CLUSTER "users: [{name: u, user: {as: a, as-user-extra: {'': [c]}}}]\n", NULL, AMBIENT_E_INVALID, "has a key that is empty" },
		{ CLUSTER "users: [{name: u, user: {username: a}}]\n", NULL, AMBIENT_E_UNSUPPORTED, "\"username\"" },
		{ CLUSTER "users: [{name: u, user: {token: \"a b\"}}]\n", NULL, AMBIENT_E_INVALID, "white space" },
		{ CLUSTER "users: [{name: u, user: {client-certificate: c}}]\n"
		  "clusters: [{name: k, cluster: {server: 'https://h'}}]\n", NULL, AMBIENT_E_INVALID, "together" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_kube_config *config;
		struct ambient_error err;

		ck_assert_msg(load(rows[i].text, rows[i].context, &config, &err) == -rows[i].code, "row %zu: %d %s", i, err.code,
			      err.message);
		ck_assert_msg(strstr(err.message, rows[i].says) != NULL, "row %zu: %s", i, err.message);
	}
}
END_TEST

#define EXEC_V1 "client.authentication.k8s.io/v1"

START_TEST(kubeconfig_impersonation)
{
	static const char text[] = CLUSTER "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
		"users: [{name: u, user: {token: t, as: 'j\xc3\xbc', as-uid: '77', as-groups: [devs, 'team a'], as-user-extra: "
		"{acme.org/key%: [v, w], Scopes: [all]}}}]\n";
	static const char *const want[] = { "Impersonate-User: j\xc3\xbc", "Impersonate-Uid: 77", "Impersonate-Group: devs",
					    "Impersonate-Group: team a", "Impersonate-Extra-acme.org%2Fkey%25: v",
					    "Impersonate-Extra-acme.org%2Fkey%25: w", "Impersonate-Extra-Scopes: all" };
	struct am_kube_config *config;
	struct ambient_error err;

	ck_assert_msg(load(text, NULL, &config, &err) == 0, "%s", err.message);
	for (size_t i = 0; i < AM_COUNTOF(want); i++)
		ck_assert_str_eq(config->impersonate[i], want[i]);
	ck_assert_ptr_null(config->impersonate[AM_COUNTOF(want)]);
	am_kube_config_free(config);
	ck_assert_int_eq(load(text, "d", &config, &err), 0);
	ck_assert_ptr_null(config->impersonate);
	am_kube_config_free(config);
}
END_TEST

START_TEST(kubeconfig_exec)
{
	static const char text[] = CLUSTER
		"clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: Q0E=, tls-server-name: n, "
		"extensions: [{name: other, extension: 1}, {name: client.authentication.k8s.io/exec, extension: {audience: x}}]}}]\n"
		"users: [{name: u, user: {exec: {apiVersion: " EXEC_V1 ", command: ./bin/login, args: [a, 'b c'], "
		"env: [{name: A, value: '1'}], interactiveMode: Never, provideClusterInfo: true, installHint: read the wiki}}}]\n";
	am_auto(am_buf_fini) struct am_buf info = { 0 };
	struct am_kube_config *config;
	struct ambient_error err;

	ck_assert_msg(load(text, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_ptr_nonnull(config->exec);
	ck_assert_str_eq(config->exec->argv[0], "/dir/./bin/login"); /* relative to the file */
	ck_assert_str_eq(config->exec->argv[2], "b c");
	ck_assert_ptr_null(config->exec->argv[3]);
	ck_assert_str_eq(config->exec->env[0], "A=1");
	ck_assert_int_eq(config->exec->mode, AM_EXEC_NEVER);
	ck_assert_str_eq(config->exec->install_hint, "read the wiki");
	am_exec_spec_info(config->exec, false, &info);
	ck_assert_str_eq(am_buf_str(&info), "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC_V1 "\",\"spec\":{\"interactive\":false,"
			 "\"cluster\":{\"server\":\"https://h:443\",\"tls-server-name\":\"n\",\"certificate-authority-data\":\"Q0E=\","
			 "\"config\":{\"audience\":\"x\"}}}}");
	am_kube_config_free(config);
}
END_TEST

/* A token that is given makes the plugin unnecessary. */
START_TEST(kubeconfig_token_before_exec)
{
	static const char text[] = CLUSTER "clusters: [{name: k, cluster: {server: 'https://h'}}]\n"
		"users: [{name: u, user: {token: t, exec: {apiVersion: " EXEC_V1 "beta1, command: login}}}]\n";
	struct am_kube_config *config;
	struct ambient_error err;

	ck_assert_msg(load(text, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_ptr_null(config->exec);
	ck_assert_str_eq(config->token, "t");
	am_kube_config_free(config);
}
END_TEST

#define ANSWER(status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC_V1 "\",\"status\":" status "}"

START_TEST(exec_answers)
{
	static const struct {
		const char *text, *says; /* says NULL: good */
	} rows[] = {
		{ ANSWER("{\"token\":\"t\"}"), NULL },
		{ ANSWER("{\"token\":\"t\",\"expirationTimestamp\":\"2026-01-01T00:00:10Z\"}"), NULL },
		{ ANSWER("{\"clientCertificateData\":\"c\",\"clientKeyData\":\"k\"}"), NULL },
		{ "", "no JSON" },
		{ "token", "no JSON" },
		{ "{\"kind\":\"Other\"}", "no ExecCredential" },
		{ "{\"kind\":\"ExecCredential\",\"apiVersion\":\"" EXEC_V1 "beta1\",\"status\":{\"token\":\"t\"}}", "not of apiVersion" },
		{ ANSWER("{}"), "neither" },
		{ ANSWER("{\"token\":\"\"}"), "neither" },
		{ ANSWER("{\"clientCertificateData\":\"c\"}"), "not both" },
		{ ANSWER("{\"token\":\"t\",\"clientKeyData\":\"k\"}"), "not both" },
		{ ANSWER("{\"token\":\"a\\r\\nHost: b\"}"), "white space" },
		{ ANSWER("{\"token\":\"t\",\"expirationTimestamp\":\"tomorrow\"}"), "no time" },
	};
	struct am_exec_spec spec = { .api_version = (char[]){ EXEC_V1 } };

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_credential credential;
		int rc = am_exec_answer(&spec, rows[i].text, strlen(rows[i].text), &credential, &err);

		if (rows[i].says == NULL)
			ck_assert_msg(rc == 0, "row %zu: %s", i, err.message);
		else
			ck_assert_msg(rc < 0 && strstr(err.message, rows[i].says) != NULL, "row %zu: %d %s", i, rc, err.message);
		am_credential_fini(&credential);
	}
}
END_TEST

START_TEST(kubeconfig_plain_http_on_loopback)
{
	static const char *const servers[] = { "http://127.0.0.1:1", "http://127.64.0.9:1", "http://localhost:1", "http://[::1]:1",
					       NULL };

	for (size_t i = 0; servers[i] != NULL; i++) {
		struct am_kube_config *config;

		ck_assert_int_eq(am_kube_config_manual(servers[i], NULL, NULL, &config, NULL), 0);
		ck_assert(config->loopback);
		ck_assert_str_eq(am_kube_config_server(config), servers[i]);
		am_kube_config_free(config);
	}
	ck_assert_int_eq(am_kube_config_manual("http://127.0.0.1.example.com", NULL, NULL, &(struct am_kube_config *){ 0 }, NULL),
			 -AMBIENT_E_INVALID);
}
END_TEST

START_TEST(kubeconfig_merge)
{
	static const char first[] = "current-context: one\ncontexts: [{name: one, context: {cluster: k, user: u}}]\n"
				    "users: [{name: u, user: {token: first}}]\n";
	static const char second[] = "current-context: two\ncontexts: [{name: two, context: {cluster: k, user: u}}]\n"
				     "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority: ca}}]\n"
				     "users: [{name: u, user: {token: second}}]\n";
	struct am_kubeconfig_text texts[] = { { "a", "/a", first, strlen(first) }, { "b", "/b", second, strlen(second) } };
	struct am_kube_config *config;

	ck_assert_int_eq(am_kube_config_texts(texts, 2, NULL, &config, NULL), 0);
	ck_assert_str_eq(config->token, "first");
	ck_assert_str_eq(config->ca_file, "/b/ca");
	am_kube_config_free(config);
	ck_assert_int_eq(am_kube_config_texts(texts, 2, "two", &config, NULL), 0);
	ck_assert_str_eq(config->token, "first");
	am_kube_config_free(config);
}
END_TEST

START_TEST(warnings_are_read)
{
	static const struct {
		const char *value, *text; /* NULL: none */
	} rows[] = {
		{ "299 - \"v1beta1 is deprecated\"", "v1beta1 is deprecated" },
		{ "299 kube-apiserver \"say \\\"no\\\"\"\r\n", "say \"no\"" },
		{ "299 - \"a\tb\"", "a b" },
		{ "299 - \"\"", NULL },
		{ "199 - \"stale\"", NULL },
		{ "299 - bare", NULL },
		{ "299", NULL },
		{ "299 - \"\xff\"", NULL },
		{ "299 - \"0123456789012345678901234567890123456789\"", "0123456789012345678901234567890" },
		{ "299 - \"012345678901234567890123456789\xc3\xa4\"", "012345678901234567890123456789" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		char out[32];
		bool is = am_warning_text(rows[i].value, strlen(rows[i].value), out, sizeof(out));

		ck_assert_msg(is == (rows[i].text != NULL), "row %zu", i);
		if (is)
			ck_assert_str_eq(out, rows[i].text);
	}
}
END_TEST

static char dir[64];

static void
write_file(const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(am_file_write(path, text, strlen(text), 0600, NULL), 0);
}

static void
make_dir(void)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test_kube.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
remove_dir(void)
{
	ck_assert_int_eq(am_remove_tree(dir, NULL), 0);
}

#define SIMPLE(server) "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n" \
		       "clusters: [{name: k, cluster: {server: 'https://" server "', certificate-authority: ca}}]\n"

START_TEST(config_order)
{
	char path[128], list[300], want[128];
	struct am_kube_config *config;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	make_dir();
	write_file("given", SIMPLE("given"));
	write_file("listed", SIMPLE("listed"));
	(void)snprintf(path, sizeof(path), "%s/.kube", dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	write_file(".kube/config", SIMPLE("home"));
	(void)setenv("HOME", dir, 1);
	(void)snprintf(list, sizeof(list), "%s/absent::%s/listed", dir, dir);
	(void)setenv("KUBECONFIG", list, 1);
	(void)unsetenv("KUBERNETES_SERVICE_HOST");

	(void)snprintf(path, sizeof(path), "%s/given", dir);
	ck_assert_int_eq(am_kube_config_default(path, NULL, &config, &err), 0);
	ck_assert_str_eq(config->server, "https://given:443");
	(void)snprintf(want, sizeof(want), "%s/ca", dir);
	ck_assert_str_eq(config->ca_file, want);
	am_kube_config_free(config);
	ck_assert_int_eq(am_kube_config_default(NULL, NULL, &config, &err), 0);
	ck_assert_str_eq(config->server, "https://listed:443");
	am_kube_config_free(config);
	/* Who names files that do not exist gets no other cluster. */
	(void)setenv("KUBECONFIG", "/nonexistent/x", 1);
	ck_assert_int_eq(am_kube_config_default(NULL, NULL, &config, &err), -AMBIENT_E_NOTFOUND);
	(void)unsetenv("KUBECONFIG");
	ck_assert_int_eq(am_kube_config_default("", NULL, &config, &err), 0);
	ck_assert_str_eq(config->server, "https://home:443");
	am_kube_config_free(config);
	(void)setenv("HOME", "/nonexistent", 1);
	ck_assert_int_eq(am_kube_config_default(NULL, NULL, &config, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(err.message, "no cluster is configured"));
	ck_assert_int_eq(am_kube_config_default("/nonexistent", NULL, &config, &err), -AMBIENT_E_NOTFOUND);
	remove_dir();
}
END_TEST

START_TEST(config_incluster)
{
	struct am_kube_config *config;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	make_dir();
	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	ck_assert_int_eq(am_kube_config_mounted(dir, &config, &err), -AMBIENT_E_NOTFOUND);
	(void)setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	(void)setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	ck_assert_int_eq(am_kube_config_mounted(dir, &config, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(err.message, "not mounted"));
	write_file("token", "t\n");
	write_file("ca.crt", "pem");
	write_file("namespace", "team-a\n");
	ck_assert_msg(am_kube_config_mounted(dir, &config, &err) == 0, "%s", err.message);
	ck_assert_str_eq(config->server, "https://[fd00::1]:443");
	ck_assert_str_eq(am_kube_config_namespace(config), "team-a");
	ck_assert(am_ends(config->token_file, "/token") && am_ends(config->ca_file, "/ca.crt"));
	am_kube_config_free(config);
	remove_dir();
}
END_TEST

/* ---- the token */

START_TEST(token_reread)
{
	char path[128];
	struct am_token token = { .path = path };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t now = 1000 * AM_NS_PER_S;

	make_dir();
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	ck_assert_ptr_null(am_token_get(&token, now, &err));
	ck_assert_int_eq(err.code, AMBIENT_E_NOTFOUND);
	write_file("token", " one\n");
	ck_assert_str_eq(am_token_get(&token, now, &err), "one");
	write_file("token", "two");
	ck_assert_str_eq(am_token_get(&token, now + AM_TOKEN_NS - 1, &err), "one");
	ck_assert_str_eq(am_token_get(&token, now + AM_TOKEN_NS, &err), "two");
	/* Refused: only when it was not renewed since the request began. */
	write_file("token", "three");
	am_token_drop(&token, now);
	ck_assert_str_eq(am_token_get(&token, now + AM_TOKEN_NS, &err), "two");
	am_token_drop(&token, now + AM_TOKEN_NS);
	ck_assert_str_eq(am_token_get(&token, now + AM_TOKEN_NS, &err), "three");
	/* A failed re-read keeps the old one, and a bad one is not taken. */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_str_eq(am_token_get(&token, now + 10 * AM_TOKEN_NS, &err), "three");
	write_file("token", "with space\nand line");
	ck_assert_str_eq(am_token_get(&token, now + 20 * AM_TOKEN_NS, &err), "three");
	write_file("token", "four");
	ck_assert_str_eq(am_token_get(&token, now + 20 * AM_TOKEN_NS, &err), "four");
	am_token_fini(&token);
	remove_dir();
}
END_TEST

/* ---- the rate */

START_TEST(rate_reservations)
{
	struct am_rate rate;
	int64_t now = 0;

	am_rate_init(&rate, 10, 2, now);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 0);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 0);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 100 * AM_NS_PER_MS);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 200 * AM_NS_PER_MS);
	am_rate_return(&rate);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 200 * AM_NS_PER_MS);
	now += AM_NS_PER_S;
	ck_assert_int_eq(am_rate_reserve(&rate, now), 0);
	ck_assert_int_eq(am_rate_reserve(&rate, now), 0);
	ck_assert_int_gt(am_rate_reserve(&rate, now), 0);
	am_rate_init(&rate, -1, 2, now);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(am_rate_reserve(&rate, now), 0);
}
END_TEST

/* ---- events */

static int64_t at = 1000 * AM_NS_PER_S;

static bool
see(struct am_correlator *c, const char *involved, const char *message, struct am_verdict *ret)
{
	struct am_sighting seen = {
		.involved = am_slice_of(involved), .name = "obj", .type = "Normal", .reason = "Started", .message = message,
		.boot = at, .wall = at,
	};

	return am_correlator_see(c, &seen, ret);
}

#define POD(rv) "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"obj\",\"uid\":\"u1\",\"resourceVersion\":\"" rv "\"}"

START_TEST(events_count)
{
	struct am_correlator *c = am_correlator_new();
	char name[64] = "";

	for (int i = 1; i <= 5; i++) {
		struct am_verdict v;

		/* The resource version moves; it is the same event all the same. */
		ck_assert(see(c, i % 2 ? POD("1") : POD("2"), "hello", &v));
		ck_assert_int_eq(v.count, i);
		ck_assert_str_eq(v.message, "hello");
		ck_assert_int_eq(v.first_wall, 1000 * AM_NS_PER_S);
		if (i == 1)
			(void)am_strlcpy(name, v.name, sizeof(name));
		ck_assert_str_eq(v.name, name);
		am_verdict_fini(&v);
		at += AM_NS_PER_S;
	}
	ck_assert(am_starts(name, "obj."));
	am_correlator_free(c);
}
END_TEST

START_TEST(events_combined)
{
	struct am_correlator *c = am_correlator_new();
	char message[32];

	for (int i = 1; i <= 14; i++) {
		struct am_verdict v;

		(void)snprintf(message, sizeof(message), "text %d", i);
		ck_assert(see(c, POD("1"), message, &v));
		if (i < 10) {
			ck_assert_str_eq(v.message, message);
			ck_assert_int_eq(v.count, 1);
		} else {
			ck_assert(am_starts(v.message, "(combined from similar events): text "));
			ck_assert_int_eq(v.count, i - 9);
		}
		am_verdict_fini(&v);
		at += AM_NS_PER_S;
	}
	/* After ten quiet minutes it begins anew. */
	struct am_verdict v;
	at += 601 * AM_NS_PER_S;
	ck_assert(see(c, POD("1"), "later", &v));
	ck_assert_str_eq(v.message, "later");
	am_verdict_fini(&v);
	am_correlator_free(c);
}
END_TEST

START_TEST(events_spam)
{
	struct am_correlator *c = am_correlator_new();
	struct am_verdict v;

	for (int i = 0; i < 25; i++) {
		ck_assert(see(c, POD("1"), "same", &v));
		am_verdict_fini(&v);
	}
	ck_assert(!see(c, POD("1"), "same", &v));
	ck_assert(!see(c, POD("1"), "other", &v));
	/* Another object has its own bucket. */
	ck_assert(see(c, "{\"kind\":\"Pod\",\"name\":\"obj\",\"uid\":\"u2\"}", "same", &v));
	am_verdict_fini(&v);
	at += 299 * AM_NS_PER_S;
	ck_assert(!see(c, POD("1"), "same", &v));
	at += 2 * AM_NS_PER_S;
	ck_assert(see(c, POD("1"), "same", &v));
	/* What was dropped is counted all the same. */
	ck_assert_int_eq(v.count, 28);
	am_verdict_fini(&v);
	ck_assert(!see(c, POD("1"), "same", &v));
	am_correlator_free(c);
}
END_TEST

START_TEST(events_bounded)
{
	struct am_correlator *c = am_correlator_new();
	struct am_verdict v;
	char involved[128], message[3000];

	for (int i = 0; i < 10000; i++) {
		(void)snprintf(involved, sizeof(involved), "{\"kind\":\"Pod\",\"uid\":\"%d\"}", i);
		ck_assert(see(c, involved, "m", &v));
		ck_assert_int_eq(v.count, 1);
		am_verdict_fini(&v);
	}
	/* The oldest are forgotten, the newest are not. */
	ck_assert(see(c, involved, "m", &v));
	ck_assert_int_eq(v.count, 2);
	am_verdict_fini(&v);
	ck_assert(see(c, "{\"kind\":\"Pod\",\"uid\":\"0\"}", "m", &v));
	ck_assert_int_eq(v.count, 1);
	am_verdict_fini(&v);
	memset(message, 'x', sizeof(message));
	for (size_t i = 1; i + 2 < sizeof(message); i += 2)
		memcpy(message + i, "\xc3\xa4", 2);
	message[sizeof(message) - 1] = '\0';
	ck_assert(see(c, POD("9"), message, &v));
	ck_assert_uint_le(strlen(v.message), 1024);
	ck_assert(am_utf8_valid(v.message, strlen(v.message)));
	am_verdict_fini(&v);
	am_correlator_free(c);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, path_table);
	tcase_add_test(tc, gvr_refused);
	tcase_add_test(tc, error_codes);
	tcase_add_test(tc, error_status_body);
	tcase_add_test(tc, error_hostile_body);
	tcase_add_test(tc, kubeconfig_whole);
	tcase_add_test(tc, kubeconfig_data_wins);
	tcase_add_test(tc, kubeconfig_proxies);
	tcase_add_test(tc, no_proxy_lists);
	tcase_add_test(tc, proxies_of_the_environment);
	tcase_add_test(tc, kubeconfig_refused);
	tcase_add_test(tc, kubeconfig_impersonation);
	tcase_add_test(tc, kubeconfig_exec);
	tcase_add_test(tc, kubeconfig_token_before_exec);
	tcase_add_test(tc, exec_answers);
	tcase_add_test(tc, kubeconfig_plain_http_on_loopback);
	tcase_add_test(tc, kubeconfig_merge);
	tcase_add_test(tc, config_order);
	tcase_add_test(tc, config_incluster);
	tcase_add_test(tc, warnings_are_read);
	tcase_add_test(tc, token_reread);
	tcase_add_test(tc, rate_reservations);
	tcase_add_test(tc, events_count);
	tcase_add_test(tc, events_combined);
	tcase_add_test(tc, events_spam);
	tcase_add_test(tc, events_bounded);
}

UNIT_MAIN("kube", cases)
