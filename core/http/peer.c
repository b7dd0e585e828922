/* SPDX-License-Identifier: Apache-2.0 */
/* Who the peer is, by its TLS client certificate: asked of GnuTLS once per connection. */
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#include "core/http/http_priv.h"

#define ORGS_MAX 32

static char *
dn_entry(gnutls_x509_crt_t crt, const char *oid, unsigned index)
{
	size_t n = 0;

	if (gnutls_x509_crt_get_dn_by_oid(crt, oid, index, 0, NULL, &n) != GNUTLS_E_SHORT_MEMORY_BUFFER || n == 0 ||
	    n > 1024)
		return NULL;
	char *text = am_xcalloc(1, n + 1);

	/* A name with a NUL inside would be cut by whoever compares it: no name at all. */
	if (gnutls_x509_crt_get_dn_by_oid(crt, oid, index, 0, text, &n) < 0 || strlen(text) != n) {
		free(text);
		return NULL;
	}
	return text;
}

static void
read_names(struct am_http_peer *peer, const gnutls_datum_t *der)
{
	gnutls_x509_crt_t crt;
	char **orgs = am_xcalloc(ORGS_MAX + 1, sizeof(char *));
	unsigned n = 0;

	peer->orgs = (const char *const *)orgs;
	if (gnutls_x509_crt_init(&crt) < 0) {
		peer->state = AM_HTTP_PEER_REFUSED;
		return;
	}
	if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) < 0)
		peer->state = AM_HTTP_PEER_REFUSED;
	else
		peer->cn = dn_entry(crt, GNUTLS_OID_X520_COMMON_NAME, 0);
	while (n < ORGS_MAX && (orgs[n] = dn_entry(crt, GNUTLS_OID_X520_ORGANIZATION_NAME, n)) != NULL)
		n++;
	if (peer->cn == NULL)
		peer->cn = am_xstrdup("");
	gnutls_x509_crt_deinit(crt);
}

static void
look(struct am_http_peer *peer, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t session = info != NULL ? (gnutls_session_t)info->tls_session : NULL;
	unsigned n = 0, status = 0;

	if (session == NULL || gnutls_certificate_type_get2(session, GNUTLS_CTYPE_CLIENT) != GNUTLS_CRT_X509)
		return;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &n);

	if (chain == NULL || n == 0)
		return;
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	peer->state = AM_HTTP_PEER_REFUSED;
	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) < 0)
		peer->why = "the client certificate cannot be checked";
	else if ((status & GNUTLS_CERT_EXPIRED) != 0 || (status & GNUTLS_CERT_NOT_ACTIVATED) != 0)
		peer->why = "the client certificate is not valid now";
	else if (status != 0)
		peer->why = "the client certificate is not signed by this server's CA for client use";
	else
		peer->state = AM_HTTP_PEER_VERIFIED;
	if (peer->state == AM_HTTP_PEER_VERIFIED)
		read_names(peer, &chain[0]);
}

const struct am_http_peer *
am_http_peer_of(struct am_http_conn *conn, struct MHD_Connection *connection)
{
	static const struct am_http_peer nobody = { .state = AM_HTTP_PEER_NONE };

	if (conn == NULL)
		return &nobody;
	if (!conn->peer_known) {
		look(&conn->peer, connection);
		conn->peer_known = true;
	}
	return &conn->peer;
}

void
am_http_peer_fini(struct am_http_peer *peer)
{
	if (peer->orgs != NULL)
		for (size_t i = 0; peer->orgs[i] != NULL; i++)
			free((char *)(uintptr_t)peer->orgs[i]);
	free((void *)(uintptr_t)peer->orgs);
	free((char *)(uintptr_t)peer->cn);
}
