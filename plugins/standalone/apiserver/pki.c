/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and certificates of the standalone cluster, in <state>/pki, and the kubeconfigs that use them.  What is
 * there, fits together and lasts for another month is kept; the rest is made anew, and with a new CA everything.
 * Files are 0600 in a directory 0700.
 */
#include <stdlib.h>

#include "core/base/file.h"
#include "plugins/standalone/apiserver/rest.h"

#define DAY       (INT64_C(86400) * AM_NS_PER_S)
#define RENEW     (30 * DAY)
#define PEM_LIMIT ((size_t)64 * 1024)

static char *
path_of(const struct rest_pki *pki, const char *name)
{
	return am_xasprintf("%s/pki/%s", pki->dir, name);
}

/* NULL when it is not there. */
static char *
read_file(const struct rest_pki *pki, const char *name)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_buf text = { 0 };
	char *path = path_of(pki, name), *ret = NULL;

	if (am_file_read(path, PEM_LIMIT, &text, &err) == 0)
		ret = am_xstrdup(am_buf_str(&text));
	am_buf_fini(&text);
	free(path);
	return ret;
}

static int
write_file(const struct rest_pki *pki, const char *name, const char *text, struct ambient_error *err)
{
	char *path = path_of(pki, name);
	int rc = am_file_write(path, text, strlen(text), 0600, err);

	free(path);
	return rc;
}

static bool
lasts(const char *cert)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t end;

	return am_cert_expiry(cert, &end, &err) == 0 && end - am_clock_wall(am_clock_real()) > RENEW;
}

/* Reads name.crt and name.key, or makes them.  *fresh is set when they were made, and makes it make them. */
static int
pair(struct rest_pki *pki, const char *name, const struct am_cert_spec *spec, bool *fresh, char **ret_cert,
     char **ret_key, struct ambient_error *err)
{
	char *cert_name = am_xasprintf("%s.crt", name), *key_name = am_xasprintf("%s.key", name);
	char *cert = read_file(pki, cert_name), *key = read_file(pki, key_name);
	const char *ca = spec->ca ? NULL : pki->ca;
	int rc = 0;

	if (*fresh || cert == NULL || key == NULL || !lasts(cert) || !am_cert_matches(cert, key, ca)) {
		struct am_buf new_cert = { 0 }, new_key = { 0 };

		free(cert);
		free(key);
		*fresh = true;
		rc = am_cert_make(spec, ca, spec->ca ? NULL : pki->ca_key, &new_cert, &new_key, err);
		if (rc == 0)
			rc = write_file(pki, cert_name, am_buf_str(&new_cert), err);
		if (rc == 0)
			rc = write_file(pki, key_name, am_buf_str(&new_key), err);
		cert = am_xstrdup(am_buf_str(&new_cert));
		key = am_xstrdup(am_buf_str(&new_key));
		am_buf_fini(&new_cert);
		am_buf_fini(&new_key);
	}
	free(cert_name);
	free(key_name);
	*ret_cert = cert;
	*ret_key = key;
	return rc;
}

int
rest_pki_open(const char *dir, const char *address, struct rest_pki **ret, struct ambient_error *err)
{
	static const char *const masters[] = { REST_MASTERS, NULL };
	static const char *const dns[] = { "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
					   "kubernetes.default.svc.cluster.local", NULL };
	const char *ips[] = { "127.0.0.1", "::1", "127.64.0.1", address, NULL };
	int64_t now = am_clock_wall(am_clock_real());
	struct am_cert_spec ca = { .cn = "ambient-standalone", .ca = true, .not_before = now - DAY,
				   .not_after = now + 3650 * DAY };
	struct am_cert_spec server = { .cn = "ambient-apiserver", .dns = dns, .ips = ips, .server = true };
	struct am_cert_spec node = { .cn = "system:ambient:apiserver", .orgs = masters, .client = true };
	struct am_cert_spec host = { .cn = "system:ambient:host", .orgs = masters, .client = true };
	struct am_cert_spec admin = { .cn = "admin", .orgs = masters, .client = true };
	struct rest_pki *pki = am_xcalloc(1, sizeof(*pki));
	bool fresh = false;
	char *sub = am_xasprintf("%s/pki", dir), *cert = NULL, *key = NULL;

	pki->dir = am_xstrdup(dir);
	pki->host_kubeconfig = am_xasprintf("%s/host.kubeconfig", dir);
	pki->admin_kubeconfig = am_xasprintf("%s/admin.kubeconfig", dir);
	if (strcmp(address, "127.0.0.1") == 0 || strcmp(address, "::1") == 0)
		ips[3] = NULL;
	int rc = am_mkdirs(sub, 0700, err);
	free(sub);
	if (rc == 0)
		rc = pair(pki, "ca", &ca, &fresh, &pki->ca, &pki->ca_key, err);
	bool server_fresh = fresh, client_fresh = fresh, host_fresh = fresh, admin_fresh = fresh;

	/* The address may have been configured anew: a server certificate is cheap. */
	if (ips[3] != NULL)
		server_fresh = true;
	if (rc == 0)
		rc = pair(pki, "server", &server, &server_fresh, &pki->cert, &pki->key, err);
	if (rc == 0)
		rc = pair(pki, "apiserver-client", &node, &client_fresh, &pki->kubelet_cert, &pki->kubelet_key, err);
	if (rc == 0)
		rc = pair(pki, "host", &host, &host_fresh, &cert, &key, err);
	free(cert);
	free(key);
	cert = key = NULL;
	if (rc == 0)
		rc = pair(pki, "admin", &admin, &admin_fresh, &cert, &key, err);
	free(cert);
	free(key);
	if (rc < 0) {
		am_err_prefix(err, "the certificates in \"%s/pki\"", dir);
		rest_pki_free(pki);
		return rc;
	}
	*ret = pki;
	return 0;
}

static void
add_base64(struct am_buf *out, const char *text)
{
	am_base64_encode(out, text, strlen(text), false);
}

static int
kubeconfig(struct rest_pki *pki, const char *path, const char *user, const char *address, uint16_t port,
	   struct ambient_error *err)
{
	char *cert_name = am_xasprintf("%s.crt", user), *key_name = am_xasprintf("%s.key", user);
	char *cert = read_file(pki, cert_name), *key = read_file(pki, key_name);
	bool v6 = strchr(address, ':') != NULL;
	struct am_buf out = { 0 };
	int rc;

	am_buf_addf(&out, "apiVersion: v1\nkind: Config\nclusters:\n- name: ambient\n  cluster:\n"
			  "    server: https://%s%s%s:%u\n    certificate-authority-data: ",
		    v6 ? "[" : "", address, v6 ? "]" : "", port);
	add_base64(&out, pki->ca);
	am_buf_addf(&out, "\nusers:\n- name: %s\n  user:\n    client-certificate-data: ", user);
	add_base64(&out, cert != NULL ? cert : "");
	am_buf_adds(&out, "\n    client-key-data: ");
	add_base64(&out, key != NULL ? key : "");
	am_buf_addf(&out, "\ncontexts:\n- name: ambient\n  context:\n    cluster: ambient\n    user: %s\n"
			  "    namespace: default\ncurrent-context: ambient\n",
		    user);
	if (cert == NULL || key == NULL)
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "the certificate of %s is missing", user);
	else
		rc = am_file_write(path, out.data, out.len, 0600, err);
	am_buf_fini(&out);
	free(cert);
	free(key);
	free(cert_name);
	free(key_name);
	return rc;
}

int
rest_pki_kubeconfigs(struct rest_pki *pki, const char *address, uint16_t port, struct ambient_error *err)
{
	int rc = kubeconfig(pki, pki->host_kubeconfig, "host", address, port, err);

	return rc < 0 ? rc : kubeconfig(pki, pki->admin_kubeconfig, "admin", address, port, err);
}

void
rest_pki_free(struct rest_pki *pki)
{
	if (pki == NULL)
		return;
	free(pki->dir);
	free(pki->host_kubeconfig);
	free(pki->admin_kubeconfig);
	free(pki->ca);
	free(pki->ca_key);
	free(pki->cert);
	free(pki->key);
	free(pki->kubelet_cert);
	free(pki->kubelet_key);
	free(pki);
}
