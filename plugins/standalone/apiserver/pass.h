/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are passed on: to the node of a pod (log, exec, attach) or into the pod itself (proxy).
 *
 *   pod_place.c    which container is meant, which node has it, is it running
 *   passing.c      threads for requests that last, so that the workers stay free
 *   link.c         a connection that we open: heads of HTTP/1.1, and bytes both ways afterwards
 *   proxy_target.c what a path below proxy means
 *   logs.c, connect.c, proxy.c    what is passed
 *
 * What comes back from a node or a pod is an outsider's as much as what comes from the client.
 */
#ifndef AM_APISERVER_PASS_H
#define AM_APISERVER_PASS_H

#include "plugins/standalone/apiserver/rest.h"

/* ---- pod_place.c: failures are 400, 404 and 503 */

/* The pod of the call, in its arena; NULL. */
const struct am_node *rest_pod_get(struct rest_call *call);
/* The container that the query names, or the only one. */
int rest_pod_container(struct rest_call *call, const struct am_node *pod, const char **ret);
/* Its status, or NULL. */
const struct am_node *rest_pod_status_of(const struct am_node *pod, const char *container);
/* "https://address:port" of the pod's node. */
int rest_pod_node(struct rest_call *call, const struct am_node *pod, struct am_buf *url);
/* Only unreserved bytes stay as they are. */
void rest_add_escaped(struct am_buf *out, const char *text);

/* ---- passing.c */

/* Runs on a thread of its own; the request is kept, and run answers it.  release frees arg when the thread has been joined.
 * false: there are max of this run already, or there is no thread: the caller still has the request and arg. */
bool rest_pass(struct rest_server *server, struct am_http_request *http, int max, void (*run)(void *arg),
	       void (*release)(void *arg), void *arg);
/* Answers 429. */
void rest_pass_too_many(struct rest_call *call, const char *what);
/* A Status for a request whose call is over. */
void rest_pass_answer(struct am_http_request *http, const struct am_failure *failure);

/* ---- link.c */

#define REST_HEAD_MAX    ((size_t)16 << 10)
#define REST_FIELDS_MAX  64

/* The head of an answer; name and value are ended by NUL, in the text that was parsed. */
struct rest_head {
	int status;
	size_t n;
	struct {
		const char *name, *value;
	} fields[REST_FIELDS_MAX];
};
/* text: the status line and the fields with their line ends, without the empty line; is changed.  false: no such head. */
bool rest_head_parse(char *text, struct rest_head *head);
const char *rest_head_get(const struct rest_head *head, const char *name); /* the first; NULL */
/* Is this a field of one connection only? */
bool rest_head_is_hop(const char *name);

struct rest_link;
/* origin: scheme, address, port.  pki: shows our certificate; NULL: none.  Gives up when the client does. */
int rest_link_open(const char *origin, const struct rest_pki *pki, struct am_http_request *http, struct rest_link **ret,
		   struct ambient_error *err);
void rest_link_close(struct rest_link *link); /* NULL is fine */
/* Sends a whole head and waits for the answer's. */
int rest_link_ask(struct rest_link *link, const struct am_buf *request, struct rest_head *ret, struct ambient_error *err);
/* The body behind the head, as much as is there within a moment, at most max bytes. */
void rest_link_body(struct rest_link *link, const struct rest_head *head, size_t max, struct am_buf *out);
/* Bytes both ways until an end is seen. */
void rest_link_splice(struct rest_link *link, struct am_http_tunnel *tunnel);

/* Answers 101 with what the other side chose, and splices; takes the link.  On failure the link is still the caller's. */
int rest_link_upgrade(struct am_http_request *http, struct rest_link *link, const struct rest_head *head,
		      struct am_failure *failure);
/* The fields of a WebSocket's handshake, without a token that stands among its protocols. */
void rest_add_websocket(const struct am_http_request *http, struct am_buf *out);

/* ---- proxy_target.c */

/* "name", "name:port", "scheme:name:port". */
struct rest_target {
	bool tls;
	char name[254];
	uint16_t port;             /* 0: not said */
};
bool rest_target_parse(const char *text, struct rest_target *ret);
/* May a pod have this address, and we connect to it? */
bool rest_target_address_ok(const char *address);
/* A request target, with what must not stand in one escaped. */
void rest_add_target(struct am_buf *out, struct am_slice text);

/* A field of a request that we write; no value makes a second line. */
void rest_add_field(struct am_buf *out, const char *name, const char *value);

#endif
