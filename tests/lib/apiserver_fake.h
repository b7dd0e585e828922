/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted HTTP server on 127.0.0.1 for tests: plain or TLS, one thread per connection, every request recorded.
 * The rules say what is answered to whom, down to where the bytes stop.  Nothing here waits for time to pass: an
 * answer that must come late waits for fake_api_go, and what stalls does so until the end of the server.
 */
#ifndef TESTS_LIB_APISERVER_FAKE_H
#define TESTS_LIB_APISERVER_FAKE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	FAKE_API_BYTES = 1,   /* each byte of the answer, head too, is a packet of its own */
	FAKE_API_DROP = 2,    /* after the body: RST instead of an end */
	FAKE_API_CUT = 4,     /* after the body: the connection is closed without the body's end */
	FAKE_API_STALL = 8,   /* after the body: silence, the connection stays open */
	FAKE_API_HALF = 16,   /* after the body: our side is shut down without the body's end, theirs still read */
	FAKE_API_CLOSE = 32,  /* a whole answer, then the connection is closed */
	FAKE_API_LENGTH = 64, /* Content-Length instead of chunks */
	FAKE_API_WAIT = 128,  /* each piece but the first waits for a fake_api_go */
};

struct fake_api_rule {
	const char *method;             /* NULL: any */
	const char *path;               /* glob over path and query; NULL: any */
	int times;                      /* 0: for ever */
	int status;                     /* 0: not even a head, only the flags */
	const char *headers;            /* "Retry-After: 1\r\n" or NULL */
	const char *body;               /* one piece; or */
	const char *const *pieces;      /* several, ended by NULL: each a chunk */
	unsigned flags;
	size_t body_len;                /* of a body that has NULs in it; 0: it ends with the first */
};

struct fake_api_request {
	char *method, *path, *headers, *body;
	size_t body_len;
	int connection;                 /* number of the connection that it came over, from 0 */
	char client[64];                /* CN of the client's certificate, or "" */
};

enum fake_api_mode { FAKE_API_PLAIN, FAKE_API_TLS, FAKE_API_MTLS };

struct fake_api;

struct fake_api *fake_api_new(enum fake_api_mode mode);
void fake_api_free(struct fake_api *api);
const char *fake_api_url(const struct fake_api *api);     /* "https://127.0.0.1:PORT" */
int fake_api_port(const struct fake_api *api);
/* The rule is copied, but not its strings.  The first that matches and has times left is taken; none: 404. */
void fake_api_add(struct fake_api *api, const struct fake_api_rule *rule);
void fake_api_go(struct fake_api *api);                   /* lets one waiting piece go */

/* So many of the connections to come are accepted and never answered, not even with a TLS handshake. */
void fake_api_mute(struct fake_api *api, int connections);

/* Waits in real time, at most 10 s; false when they do not come. */
bool fake_api_wait(struct fake_api *api, int requests);
int fake_api_count(struct fake_api *api);
const struct fake_api_request *fake_api_request(struct fake_api *api, int i); /* lives as long as the server */
/* The value of a header of a request, in a static buffer; NULL: absent. */
const char *fake_api_header(const struct fake_api_request *request, const char *name);
/* Waits until the client has closed so many connections. */
bool fake_api_wait_closed(struct fake_api *api, int connections);

/* PEM, of a CA made for this server. */
const char *fake_api_ca(const struct fake_api *api);
const char *fake_api_client_cert(const struct fake_api *api); /* CN=tester */
const char *fake_api_client_key(const struct fake_api *api);

#endif
