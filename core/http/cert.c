/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates on P-256, made and read with libcrypto: the standalone CA, server and client certificates. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/base/util.h"
#include "core/http/http_priv.h"

static int
crypto_err(struct ambient_error *err, const char *what)
{
	char text[160];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	ERR_clear_error();
	return ambient_err(err, AMBIENT_E_INTERNAL, "%s: %s", what, text);
}

static X509 *
read_cert(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return cert;
}

static EVP_PKEY *
read_key(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	return key;
}

static void
add_bio(struct am_buf *out, BIO *bio)
{
	char *data = NULL;
	long n = BIO_get_mem_data(bio, &data);

	if (n > 0)
		am_buf_add(out, data, (size_t)n);
}

static bool
add_name(X509_NAME *name, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1;
}

static bool
add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);

	if (ext == NULL)
		return false;
	int rc = X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return rc == 1;
}

static bool
add_alt_names(X509 *cert, X509 *issuer, const struct am_cert_spec *spec)
{
	struct am_buf names = { 0 };

	for (size_t i = 0; spec->dns != NULL && spec->dns[i] != NULL; i++)
		am_buf_addf(&names, "%sDNS:%s", names.len > 0 ? "," : "", spec->dns[i]);
	for (size_t i = 0; spec->ips != NULL && spec->ips[i] != NULL; i++)
		am_buf_addf(&names, "%sIP:%s", names.len > 0 ? "," : "", spec->ips[i]);
	bool ok = names.len == 0 || add_ext(cert, issuer, NID_subject_alt_name, am_buf_str(&names));
	am_buf_fini(&names);
	return ok;
}

static bool
fill(X509 *cert, X509 *issuer, EVP_PKEY *key, const struct am_cert_spec *spec)
{
	int64_t from = spec->not_before, to = spec->not_after;
	X509_NAME *subject = X509_get_subject_name(cert);
	unsigned char serial[16];

	if (from == 0 && to == 0) {
		from = am_clock_wall(am_clock_real()) - 300 * AM_NS_PER_S;
		to = from + 365 * INT64_C(86400) * AM_NS_PER_S;
	}
	am_random(serial, sizeof(serial));
	serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40);
	BIGNUM *bn = BN_bin2bn(serial, sizeof(serial), NULL);
	bool ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
	BN_free(bn);
	ok = ok && X509_set_version(cert, X509_VERSION_3) == 1 && add_name(subject, "CN", spec->cn) &&
	     ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(from / AM_NS_PER_S)) != NULL &&
	     ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(to / AM_NS_PER_S)) != NULL &&
	     X509_set_pubkey(cert, key) == 1;
	for (size_t i = 0; ok && spec->orgs != NULL && spec->orgs[i] != NULL; i++)
		ok = add_name(subject, "O", spec->orgs[i]);
	if (issuer == NULL)
		issuer = cert;
	ok = ok && X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
	     add_ext(cert, issuer, NID_basic_constraints, spec->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	     add_ext(cert, issuer, NID_key_usage,
		     spec->ca ? "critical,digitalSignature,keyCertSign,cRLSign" : "critical,digitalSignature") &&
	     add_ext(cert, issuer, NID_subject_key_identifier, "hash");
	if (ok && !spec->ca && (spec->server || spec->client))
		ok = add_ext(cert, issuer, NID_ext_key_usage,
			     spec->server && spec->client ? "serverAuth,clientAuth"
							  : (spec->server ? "serverAuth" : "clientAuth"));
	if (ok && issuer != cert)
		ok = add_ext(cert, issuer, NID_authority_key_identifier, "keyid");
	return ok && add_alt_names(cert, issuer, spec);
}

int
am_cert_make(const struct am_cert_spec *spec, const char *ca_cert, const char *ca_key, struct am_buf *cert_out,
	     struct am_buf *key_out, struct ambient_error *err)
{
	X509 *issuer = ca_cert != NULL ? read_cert(ca_cert) : NULL;
	EVP_PKEY *issuer_key = ca_key != NULL ? read_key(ca_key) : NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	int rc = 0;

	if ((ca_cert != NULL && (issuer == NULL || issuer_key == NULL)) || key == NULL || cert == NULL ||
	    bio == NULL || key_bio == NULL || !fill(cert, issuer, key, spec) ||
	    X509_sign(cert, issuer_key != NULL ? issuer_key : key, EVP_sha256()) == 0 ||
	    PEM_write_bio_X509(bio, cert) != 1 ||
	    PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
		rc = crypto_err(err, "cannot make a certificate");
	} else {
		add_bio(cert_out, bio);
		add_bio(key_out, key_bio);
	}
	BIO_free(bio);
	BIO_free(key_bio);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(key);
	EVP_PKEY_free(issuer_key);
	return rc;
}

int
am_cert_expiry(const char *pem, int64_t *ret, struct ambient_error *err)
{
	X509 *cert = read_cert(pem);
	struct tm tm;

	if (cert == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1) {
		X509_free(cert);
		return crypto_err(err, "this is no certificate");
	}
	*ret = (int64_t)timegm(&tm) * AM_NS_PER_S;
	X509_free(cert);
	return 0;
}

bool
am_cert_matches(const char *cert_pem, const char *key_pem, const char *ca_pem)
{
	X509 *cert = read_cert(cert_pem), *ca = ca_pem != NULL ? read_cert(ca_pem) : NULL;
	EVP_PKEY *key = read_key(key_pem);
	bool ok = cert != NULL && key != NULL && X509_check_private_key(cert, key) == 1;

	if (ok && ca_pem != NULL)
		ok = ca != NULL && X509_verify(cert, X509_get0_pubkey(ca)) == 1;
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok;
}
