/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted HTTP server, see apiserver_fake.h. */
#include "tests/lib/apiserver_fake.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "core/base/str.h"

#define MAX_CONNECTIONS 512
#define MAX_RULES       64
#define HEAD_MAX        (64u << 10)
#define BODY_MAX        (64u << 20)

struct connection {
	struct fake_api *api;
	int number, fd;
	bool mute;
	pthread_t thread;
	SSL *ssl;
	struct am_buf in;
};

struct fake_api {
	int listen_fd, port;
	char url[64];
	SSL_CTX *ctx;
	char *ca, *cert, *key;
	pthread_t acceptor;

	pthread_mutex_t mutex;
	pthread_cond_t cond;
	struct fake_api_rule rules[MAX_RULES];
	int rule_count;
	struct connection *connections[MAX_CONNECTIONS];
	int connection_count, closed;
	struct fake_api_request **requests;
	int request_count;
	int go, mute;
	bool stop;
};

static void
must(bool ok, const char *what)
{
	if (!ok) {
		(void)fprintf(stderr, "apiserver_fake: %s failed\n", what);
		ERR_print_errors_fp(stderr);
		abort();
	}
}

/* ---- certificates */

static char *
pem_of(int (*write)(BIO *bio, void *what), void *what)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;

	must(bio != NULL && write(bio, what) == 1, "PEM");
	long n = BIO_get_mem_data(bio, &data);
	char *copy = am_xstrndup(data, (size_t)n);
	BIO_free(bio);
	return copy;
}

static int
write_cert(BIO *bio, void *cert)
{
	return PEM_write_bio_X509(bio, cert);
}

static int
write_key(BIO *bio, void *key)
{
	return PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
}

static void
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(ext != NULL && X509_add_ext(cert, ext, -1) == 1, "certificate extension");
	X509_EXTENSION_free(ext);
}

/* issuer NULL: a CA that signs itself. */
static X509 *
make_cert(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *san)
{
	static long serial = 1;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	(void)X509_set_version(cert, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
	(void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	(void)X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	(void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	(void)X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : name);
	(void)X509_set_pubkey(cert, key);
	if (issuer == NULL) {
		add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
		add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	}
	if (san != NULL)
		add_extension(cert, issuer, NID_subject_alt_name, san);
	must(X509_sign(cert, issuer != NULL ? issuer_key : key, EVP_sha256()) > 0, "signing");
	return cert;
}

static void
make_tls(struct fake_api *api, bool mutual)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY *client_key = EVP_EC_gen("P-256");
	char ca_name[64];
	(void)snprintf(ca_name, sizeof(ca_name), "fake CA %p", (void *)api);
	X509 *ca = make_cert(ca_name, ca_key, NULL, NULL, NULL);
	X509 *cert = make_cert("fake server", key, ca, ca_key, "IP:127.0.0.1,DNS:localhost,DNS:renamed.test");
	X509 *client = make_cert("tester", client_key, ca, ca_key, NULL);

	api->ca = pem_of(write_cert, ca);
	api->cert = pem_of(write_cert, client);
	api->key = pem_of(write_key, client_key);
	api->ctx = SSL_CTX_new(TLS_server_method());
	must(api->ctx != NULL && SSL_CTX_use_certificate(api->ctx, cert) == 1 && SSL_CTX_use_PrivateKey(api->ctx, key) == 1 &&
	     X509_STORE_add_cert(SSL_CTX_get_cert_store(api->ctx), ca) == 1, "TLS");
	if (mutual)
		SSL_CTX_set_verify(api->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	X509_free(ca);
	X509_free(cert);
	X509_free(client);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(client_key);
}

/* ---- bytes */

static ssize_t
get_bytes(struct connection *c, char *p, size_t n)
{
	if (c->ssl != NULL)
		return SSL_read(c->ssl, p, (int)n);
	return recv(c->fd, p, n, 0);
}

static bool
put_bytes(struct connection *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t did = c->ssl != NULL ? SSL_write(c->ssl, p, (int)n) : send(c->fd, p, n, MSG_NOSIGNAL);

		if (did <= 0)
			return false;
		p += did;
		n -= (size_t)did;
	}
	return true;
}

static bool
put(struct connection *c, const char *p, size_t n, bool bytewise)
{
	if (!bytewise)
		return put_bytes(c, p, n);
	for (size_t i = 0; i < n; i++)
		if (!put_bytes(c, p + i, 1))
			return false;
	return true;
}

static bool
more(struct connection *c)
{
	char piece[16384];
	ssize_t n = get_bytes(c, piece, sizeof(piece));

	if (n <= 0)
		return false;
	am_buf_add(&c->in, piece, (size_t)n);
	return true;
}

/* Until the other side is done, whatever it sends. */
static void
swallow(struct connection *c)
{
	char piece[4096];

	while (get_bytes(c, piece, sizeof(piece)) > 0)
		continue;
}

/* ---- requests */

const char *
fake_api_header(const struct fake_api_request *request, const char *name)
{
	static __thread char value[8192];
	size_t len = strlen(name);

	for (const char *line = request->headers; line != NULL && *line != '\0';) {
		const char *end = strstr(line, "\r\n");
		size_t n = end != NULL ? (size_t)(end - line) : strlen(line);

		if (n > len && strncasecmp(line, name, len) == 0 && line[len] == ':') {
			const char *p = line + len + 1 + (line[len + 1] == ' ');
			size_t size = (size_t)(line + n - p);

			size = AM_MIN(size, sizeof(value) - 1);
			memcpy(value, p, size);
			value[size] = '\0';
			return value;
		}
		line = end != NULL ? end + 2 : NULL;
	}
	return NULL;
}

static struct fake_api_request *
parse_head(struct connection *c, size_t head_len)
{
	struct fake_api_request *request = am_xcalloc(1, sizeof(*request));
	const char *p = am_buf_str(&c->in);
	size_t method = strcspn(p, " ");
	size_t path = strcspn(p + method + 1, " \r");
	const char *line_end = strstr(p, "\r\n") + 2;

	request->method = am_xstrndup(p, method);
	request->path = am_xstrndup(p + method + 1, path);
	request->headers = am_xstrndup(line_end, line_end < p + head_len ? (size_t)(p + head_len - line_end) : 0);
	request->connection = c->number;
	if (c->ssl != NULL) {
		X509 *cert = SSL_get1_peer_certificate(c->ssl);

		if (cert != NULL)
			(void)X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, request->client,
							sizeof(request->client));
		X509_free(cert);
	}
	return request;
}

static void
free_request(struct fake_api_request *request)
{
	free(request->method);
	free(request->path);
	free(request->headers);
	free(request->body);
	free(request);
}

static struct fake_api_request *
read_request(struct connection *c)
{
	char *end;

	while (c->in.len == 0 || (end = strstr(am_buf_str(&c->in), "\r\n\r\n")) == NULL)
		if (c->in.len > HEAD_MAX || !more(c))
			return NULL;
	size_t head_len = (size_t)(end - c->in.data) + 2;
	struct fake_api_request *request = parse_head(c, head_len);
	const char *length = fake_api_header(request, "Content-Length");
	size_t n = length != NULL ? strtoul(length, NULL, 10) : 0;

	am_buf_consume(&c->in, head_len + 2);
	while (c->in.len < n) {
		if (n > BODY_MAX || !more(c)) {
			free_request(request);
			return NULL;
		}
	}
	request->body = am_xcalloc(1, n + 1);
	if (n > 0)
		memcpy(request->body, c->in.data, n);
	request->body_len = n;
	am_buf_consume(&c->in, n);
	return request;
}

static struct fake_api_rule
record(struct fake_api *api, struct fake_api_request *request)
{
	struct fake_api_rule rule = {
		.status = 404,
		.body = "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"NotFound\","
			"\"message\":\"the script says nothing about this\",\"code\":404}",
	};

	(void)pthread_mutex_lock(&api->mutex);
	if ((api->request_count & (api->request_count - 1)) == 0)
		api->requests = am_xrealloc(api->requests, api->request_count > 0 ? 2 * (size_t)api->request_count : 1,
					    sizeof(struct fake_api_request *));
	api->requests[api->request_count++] = request;
	for (int i = 0; i < api->rule_count; i++) {
		struct fake_api_rule *r = &api->rules[i];

		if (r->times < 0 || (r->method != NULL && strcmp(r->method, request->method) != 0) ||
		    (r->path != NULL && !am_glob(r->path, request->path)))
			continue;
		rule = *r;
		if (r->times > 0 && --r->times == 0)
			r->times = -1;
		break;
	}
	(void)pthread_cond_broadcast(&api->cond);
	(void)pthread_mutex_unlock(&api->mutex);
	return rule;
}

/* ---- answers */

static bool
wait_go(struct fake_api *api)
{
	(void)pthread_mutex_lock(&api->mutex);
	while (api->go == 0 && !api->stop)
		(void)pthread_cond_wait(&api->cond, &api->mutex);
	bool ok = !api->stop;
	if (ok)
		api->go--;
	(void)pthread_mutex_unlock(&api->mutex);
	return ok;
}

static bool
put_head(struct connection *c, const struct fake_api_rule *rule, size_t body_len)
{
	am_auto(am_buf_fini) struct am_buf head = { 0 };

	am_buf_addf(&head, "HTTP/1.1 %d Scripted\r\n", rule->status);
	if (rule->headers == NULL || strcasestr(rule->headers, "Content-Type:") == NULL)
		am_buf_adds(&head, "Content-Type: application/json\r\n");
	am_buf_adds(&head, rule->headers != NULL ? rule->headers : "");
	if (rule->flags & FAKE_API_LENGTH)
		am_buf_addf(&head, "Content-Length: %zu\r\n", body_len);
	else
		am_buf_adds(&head, "Transfer-Encoding: chunked\r\n");
	if (rule->flags & FAKE_API_CLOSE)
		am_buf_adds(&head, "Connection: close\r\n");
	am_buf_adds(&head, "\r\n");
	return put(c, head.data, head.len, rule->flags & FAKE_API_BYTES);
}

static size_t
piece_len(const struct fake_api_rule *rule, const char *piece)
{
	return piece == rule->body && rule->body_len > 0 ? rule->body_len : strlen(piece);
}

static bool
put_piece(struct connection *c, const struct fake_api_rule *rule, const char *piece)
{
	am_auto(am_buf_fini) struct am_buf out = { 0 };
	size_t n = piece_len(rule, piece);
	bool chunk = (rule->flags & FAKE_API_LENGTH) == 0 && n > 0;

	if (chunk)
		am_buf_addf(&out, "%zx\r\n", n);
	am_buf_add(&out, piece, n);
	if (chunk)
		am_buf_adds(&out, "\r\n");
	return put(c, am_buf_str(&out), out.len, rule->flags & FAKE_API_BYTES);
}

/* False: the connection is over. */
static bool
answer(struct connection *c, const struct fake_api_rule *rule)
{
	const char *const single[] = { rule->body != NULL ? rule->body : "", NULL };
	const char *const *pieces = rule->pieces != NULL ? rule->pieces : single;
	bool whole = (rule->flags & (FAKE_API_DROP | FAKE_API_CUT | FAKE_API_STALL | FAKE_API_HALF)) == 0;
	size_t total = 0;

	for (size_t i = 0; pieces[i] != NULL; i++)
		total += piece_len(rule, pieces[i]);
	if (rule->status != 0) {
		/* A length that will not be reached is what a body is cut out of. */
		if (!put_head(c, rule, whole ? total : total + 1))
			return false;
		for (size_t i = 0; pieces[i] != NULL; i++) {
			if (i > 0 && (rule->flags & FAKE_API_WAIT) && !wait_go(c->api))
				return false;
			if (!put_piece(c, rule, pieces[i]))
				return false;
		}
		if (whole && !(rule->flags & FAKE_API_LENGTH) &&
		    !put(c, "0\r\n\r\n", 5, rule->flags & FAKE_API_BYTES))
			return false;
	}
	if (rule->flags & FAKE_API_DROP) {
		struct linger linger = { 1, 0 };
		int unsent = 1;

		/* What was sent arrives before the RST: a reset throws away what the kernel still has. */
		for (int i = 0; i < 5000 && ioctl(c->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0; i++)
			(void)usleep(1000);
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		return false;
	}
	if (rule->flags & FAKE_API_HALF)
		(void)shutdown(c->fd, SHUT_WR);
	if (rule->flags & (FAKE_API_HALF | FAKE_API_STALL))
		swallow(c);
	return whole && rule->status != 0 && !(rule->flags & FAKE_API_CLOSE);
}

/* ---- connections */

static void *
serve(void *arg)
{
	struct connection *c = arg;
	struct fake_api *api = c->api;
	bool ok = !c->mute;

	if (c->mute)
		swallow(c);
	if (ok && api->ctx != NULL) {
		c->ssl = SSL_new(api->ctx);
		(void)SSL_set_fd(c->ssl, c->fd);
		ok = SSL_accept(c->ssl) == 1;
	}
	while (ok) {
		struct fake_api_request *request = read_request(c);

		if (request == NULL)
			break;
		struct fake_api_rule rule = record(api, request);
		ok = answer(c, &rule);
	}
	SSL_free(c->ssl);
	am_buf_fini(&c->in);
	(void)pthread_mutex_lock(&api->mutex);
	(void)close(c->fd);
	c->fd = -1;
	api->closed++;
	(void)pthread_cond_broadcast(&api->cond);
	(void)pthread_mutex_unlock(&api->mutex);
	return NULL;
}

static void *
accept_all(void *arg)
{
	struct fake_api *api = arg;
	sigset_t pipe_only;
	int fd;

	/* OpenSSL writes without MSG_NOSIGNAL; blocked here only, so that the client's own signals still show. */
	(void)sigemptyset(&pipe_only);
	(void)sigaddset(&pipe_only, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	while ((fd = accept(api->listen_fd, NULL, NULL)) >= 0) {
		int on = 1;
		struct connection *c = am_xcalloc(1, sizeof(*c));

		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->api = api;
		c->fd = fd;
		(void)pthread_mutex_lock(&api->mutex);
		must(api->connection_count < MAX_CONNECTIONS, "number of connections");
		c->number = api->connection_count;
		api->connections[api->connection_count++] = c;
		c->mute = api->mute > 0 && api->mute-- > 0;
		bool stop = api->stop;
		must(pthread_create(&c->thread, NULL, serve, c) == 0, "thread");
		if (stop)
			(void)shutdown(fd, SHUT_RDWR);
		(void)pthread_mutex_unlock(&api->mutex);
	}
	return NULL;
}

struct fake_api *
fake_api_new(enum fake_api_mode mode)
{
	struct fake_api *api = am_xcalloc(1, sizeof(*api));
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	if (mode != FAKE_API_PLAIN)
		make_tls(api, mode == FAKE_API_MTLS);
	(void)pthread_mutex_init(&api->mutex, NULL);
	(void)pthread_cond_init(&api->cond, NULL);
	api->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(api->listen_fd >= 0 && bind(api->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	     listen(api->listen_fd, 128) == 0 && getsockname(api->listen_fd, (struct sockaddr *)&addr, &len) == 0, "listen");
	api->port = ntohs(addr.sin_port);
	(void)snprintf(api->url, sizeof(api->url), "%s://127.0.0.1:%d", mode == FAKE_API_PLAIN ? "http" : "https", api->port);
	must(pthread_create(&api->acceptor, NULL, accept_all, api) == 0, "thread");
	return api;
}

void
fake_api_free(struct fake_api *api)
{
	(void)pthread_mutex_lock(&api->mutex);
	api->stop = true;
	(void)pthread_cond_broadcast(&api->cond);
	for (int i = 0; i < api->connection_count; i++)
		if (api->connections[i]->fd >= 0)
			(void)shutdown(api->connections[i]->fd, SHUT_RDWR);
	(void)pthread_mutex_unlock(&api->mutex);
	(void)shutdown(api->listen_fd, SHUT_RDWR);
	(void)pthread_join(api->acceptor, NULL);
	(void)close(api->listen_fd);
	for (int i = 0; i < api->connection_count; i++) {
		(void)pthread_join(api->connections[i]->thread, NULL);
		free(api->connections[i]);
	}
	for (int i = 0; i < api->request_count; i++)
		free_request(api->requests[i]);
	free(api->requests);
	SSL_CTX_free(api->ctx);
	free(api->ca);
	free(api->cert);
	free(api->key);
	(void)pthread_cond_destroy(&api->cond);
	(void)pthread_mutex_destroy(&api->mutex);
	free(api);
}

void
fake_api_add(struct fake_api *api, const struct fake_api_rule *rule)
{
	(void)pthread_mutex_lock(&api->mutex);
	must(api->rule_count < MAX_RULES, "number of rules");
	api->rules[api->rule_count++] = *rule;
	(void)pthread_mutex_unlock(&api->mutex);
}

void
fake_api_go(struct fake_api *api)
{
	(void)pthread_mutex_lock(&api->mutex);
	api->go++;
	(void)pthread_cond_broadcast(&api->cond);
	(void)pthread_mutex_unlock(&api->mutex);
}

void
fake_api_mute(struct fake_api *api, int connections)
{
	(void)pthread_mutex_lock(&api->mutex);
	api->mute = connections;
	(void)pthread_mutex_unlock(&api->mutex);
}

static bool
wait_until(struct fake_api *api, const int *what, int least)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	(void)pthread_mutex_lock(&api->mutex);
	while (*what < least && rc == 0)
		rc = pthread_cond_timedwait(&api->cond, &api->mutex, &until);
	bool ok = *what >= least;
	(void)pthread_mutex_unlock(&api->mutex);
	return ok;
}

bool
fake_api_wait(struct fake_api *api, int requests)
{
	return wait_until(api, &api->request_count, requests);
}

bool
fake_api_wait_closed(struct fake_api *api, int connections)
{
	return wait_until(api, &api->closed, connections);
}

int
fake_api_count(struct fake_api *api)
{
	(void)pthread_mutex_lock(&api->mutex);
	int n = api->request_count;
	(void)pthread_mutex_unlock(&api->mutex);
	return n;
}

const struct fake_api_request *
fake_api_request(struct fake_api *api, int i)
{
	(void)pthread_mutex_lock(&api->mutex);
	must(i >= 0 && i < api->request_count, "there being such a request");
	const struct fake_api_request *request = api->requests[i];
	(void)pthread_mutex_unlock(&api->mutex);
	return request;
}

const char *
fake_api_url(const struct fake_api *api)
{
	return api->url;
}

int
fake_api_port(const struct fake_api *api)
{
	return api->port;
}

const char *
fake_api_ca(const struct fake_api *api)
{
	return api->ca;
}

const char *
fake_api_client_cert(const struct fake_api *api)
{
	return api->cert;
}

const char *
fake_api_client_key(const struct fake_api *api)
{
	return api->key;
}
