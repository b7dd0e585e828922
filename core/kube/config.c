/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and who we are.  A configuration never changes once it is made; what rotates is kept
 * as the name of a file and read when it is needed.  The address must be https, or http on loopback only: a
 * bearer token never travels in the clear.
 */
#include <curl/curl.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

#define SA_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

static void
free_secret(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

void
am_kube_config_free(struct am_kube_config *config)
{
	if (config == NULL)
		return;
	free(config->server);
	free(config->host);
	free(config->ns);
	free(config->ca_data);
	free(config->ca_file);
	free(config->cert_data);
	free(config->cert_file);
	free_secret(config->key_data);
	free(config->key_file);
	free_secret(config->token);
	free(config->token_file);
	free(config->tls_server_name);
	free_secret(config->proxy_url);
	free_secret(config->proxy);
	free(config->proxy_name);
	am_impersonate_free(config->impersonate);
	am_exec_spec_free(config->exec);
	free(config);
}

const char *
am_kube_config_server(const struct am_kube_config *config)
{
	return config->server;
}

int
am_kube_config_ca(const struct am_kube_config *config, struct am_buf *out, struct ambient_error *err)
{
	if (config->ca_data != NULL)
		am_buf_adds(out, config->ca_data);
	else if (config->ca_file != NULL)
		return am_file_read(config->ca_file, 1 << 20, out, err);
	return 0;
}

const char *
am_kube_config_namespace(const struct am_kube_config *config)
{
	return am_empty(config->ns) ? "default" : config->ns;
}

static char *
url_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *value = NULL;
	char *copy = NULL;

	if (curl_url_get(url, part, &value, flags) == CURLUE_OK)
		copy = am_xstrdup(value);
	curl_free(value);
	return copy;
}

static int
take_url(struct am_kube_config *config, CURLU *url, struct ambient_error *err)
{
	am_auto(am_freep) char *scheme = url_part(url, CURLUPART_SCHEME, 0);
	am_auto(am_freep) char *host = url_part(url, CURLUPART_HOST, 0);
	am_auto(am_freep) char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	am_auto(am_freep) char *path = url_part(url, CURLUPART_PATH, 0);
	am_auto(am_freep) char *user = url_part(url, CURLUPART_USER, 0);
	am_auto(am_freep) char *password = url_part(url, CURLUPART_PASSWORD, 0);
	am_auto(am_freep) char *query = url_part(url, CURLUPART_QUERY, 0);

	if (scheme == NULL || host == NULL || port == NULL || path == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "the server's address is incomplete; write https://host:port");
	if (user != NULL || password != NULL || query != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "the server's address must not hold a user or a query");
	config->loopback = am_is_loopback(host);
	if (strcmp(scheme, "https") != 0 && !(strcmp(scheme, "http") == 0 && config->loopback))
		return ambient_err(err, AMBIENT_E_INVALID,
				   "server \"%.160s\" is not https (plain http is for loopback only)", host);
	for (size_t n = strlen(path); n > 0 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	config->host = am_xasprintf("%s:%s", host, port);
	config->server = am_xasprintf("%s://%s%s", scheme, config->host, path);
	return 0;
}

int
am_kube_config_finish(struct am_kube_config *config, const char *server, struct ambient_error *err)
{
	CURLU *url = curl_url();
	int rc;

	if (url == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	/* kubectl takes "host:port" for https; anything else must say what it is. */
	if (curl_url_set(url, CURLUPART_URL, server, CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		rc = ambient_err(err, AMBIENT_E_INVALID, "server \"%.160s\" is no address; write https://host:port", server);
	else
		rc = take_url(config, url, err);
	curl_url_cleanup(url);
	if (rc == 0 && config->insecure && (config->ca_data != NULL || config->ca_file != NULL))
		rc = ambient_err(err, AMBIENT_E_INVALID,
				 "insecure-skip-tls-verify and a certificate authority exclude each other");
	if (rc == 0 && (config->cert_data != NULL || config->cert_file != NULL) !=
		       (config->key_data != NULL || config->key_file != NULL))
		rc = ambient_err(err, AMBIENT_E_INVALID, "a client certificate and its key must be given together");
	return rc == 0 ? am_proxy_decide(config, err) : rc;
}

static int
finish_or_free(struct am_kube_config *config, const char *server, struct am_kube_config **ret, struct ambient_error *err)
{
	int rc = am_kube_config_finish(config, server, err);

	if (rc < 0) {
		am_kube_config_free(config);
		return rc;
	}
	*ret = config;
	return 0;
}

static int
must_read(const char *path, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf buf = { 0 };

	return am_file_read(path, 1 << 20, &buf, err);
}

int
am_kube_config_mounted(const char *dir, struct am_kube_config **ret, struct ambient_error *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");

	if (am_empty(host) || am_empty(port))
		return ambient_err(err, AMBIENT_E_NOTFOUND,
				   "not in a pod: KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set");

	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	am_auto(am_freep) char *ns_file = am_xasprintf("%s/namespace", dir);
	am_auto(am_buf_fini) struct am_buf ns = { 0 };

	config->token_file = am_xasprintf("%s/token", dir);
	config->ca_file = am_xasprintf("%s/ca.crt", dir);
	int rc = must_read(config->token_file, err);
	if (rc == 0)
		rc = must_read(config->ca_file, err);
	if (rc < 0) {
		am_kube_config_free(config);
		return am_err_prefix(err, "the pod's ServiceAccount is not mounted");
	}
	if (am_file_read(ns_file, 4096, &ns, NULL) == 0) {
		config->ns = am_xstrndup(am_buf_str(&ns), strcspn(am_buf_str(&ns), " \t\r\n"));
	}
	bool v6 = strchr(host, ':') != NULL && host[0] != '[';
	am_auto(am_freep) char *server = am_xasprintf(v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
	return finish_or_free(config, server, ret, err);
}

int
am_kube_config_incluster(struct am_kube_config **ret, struct ambient_error *err)
{
	return am_kube_config_mounted(SA_DIR, ret, err);
}

int
am_kube_config_manual(const char *server, const char *ca_file, const char *token_file, struct am_kube_config **ret,
		      struct ambient_error *err)
{
	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));

	config->ca_file = am_empty(ca_file) ? NULL : am_xstrdup(ca_file);
	config->token_file = am_empty(token_file) ? NULL : am_xstrdup(token_file);
	return finish_or_free(config, server, ret, err);
}
