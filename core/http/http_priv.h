/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of core/http.  Life of a request:
 *
 *   HEAD -> BODY -> QUEUED -> (a worker runs the handler) -> ANSWERED -> SENDING -> freed
 *
 * From QUEUED until the answer is decided its connection is suspended, so that libmicrohttpd does not touch it; the
 * worker resumes it.  A streaming answer suspends the connection again whenever its source has nothing.  Three
 * parties hold references: libmicrohttpd's connection (until "completed"), the response object (until it is
 * destroyed), and whoever answers (handler or keeper).
 *
 * Whoever calls am_http_note may hold locks of his own and have a thousand streams to wake: it only notes the request,
 * and after one signal the ticker does the rest.
 *
 * Locks: httpd->lock, then request->lock, then libmicrohttpd's own; never the other way round.  wake_lock comes last.
 */
#ifndef AM_HTTP_HTTP_PRIV_H
#define AM_HTTP_HTTP_PRIV_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/base/lock.h"
#include "core/base/mem.h"
#include "core/http/http.h"

#define AM_HTTP_HEADERS_MAX 100
#define AM_HTTP_PIPE_MAX    (64 * 1024)
#define AM_HTTP_TUNNELS_MAX 256
#define AM_HTTP_HEARTBEAT   (5 * AM_NS_PER_S)
/* Of a body that is too large so much is still read, so that the peer gets to see the answer. */
#define AM_HTTP_DRAIN_MAX   ((size_t)8 << 20)

struct am_httpd {
	struct MHD_Daemon *daemon;
	struct am_httpd_options o;
	struct am_clock *clock;
	uint16_t port;
	atomic_bool stopping;
	struct am_lock lock;               /* guards everything below */
	struct am_cond work;               /* workers: a request is queued, or stopping */
	struct am_cond idle;               /* stop: a count has fallen */
	struct am_cond tick;               /* ticker: an earlier time to wake, or stopping */
	struct am_http_request *queue_head, *queue_tail;
	int queued;
	int open;                          /* requests suspended for their handler or keeper */
	int streams;                       /* answers being streamed */
	struct am_http_request *stream_list; /* all of them: for the ticker and for stop */
	struct am_http_tunnel *tunnel_list; /* until their threads are joined */
	int tunnels;                       /* of them those that have not ended */
	int64_t tick_at;                   /* when the ticker wakes */
	struct am_thread **workers;
	struct am_thread *ticker;
	struct am_lock wake_lock;          /* guards the next one */
	struct am_http_request *awake;     /* to be resumed, each a reference, the last one first */
};

/* What is known of a connection; made when it opens. */
struct am_http_conn {
	bool peer_known;
	struct am_http_peer peer;
};

enum am_http_state { AM_HTTP_HEAD, AM_HTTP_BODY, AM_HTTP_QUEUED, AM_HTTP_ANSWERED, AM_HTTP_SENDING };

struct am_http_param {
	char *name, *value;
};

struct am_http_pipe {
	struct am_buf buf;
	bool ended, broken;
	struct am_cond room;
};

struct am_http_request {
	struct am_httpd *httpd;
	struct MHD_Connection *connection;
	struct am_http_conn *conn;
	atomic_int refs;
	enum am_http_state state;          /* HTTP thread; from QUEUED to ANSWERED the answering thread */
	const char *method;
	char *target;
	const char *target_end;            /* in the library's buffer, until the head is there */
	struct am_slice path;
	char *path_plain;
	struct am_http_param *params;
	size_t n_params, max_params;
	struct am_buf body;
	size_t drained;
	int refuse;                        /* answer this status when the body is through */
	int fd;
	bool kept, begun, answered;        /* the answering side's */
	void *attached;
	void (*release)(void *);
	am_http_observer_f *observer;
	void *observer_arg;
	struct MHD_Response *response;
	int status;
	uint64_t length;                   /* of a pipe's body, when told */
	size_t n_headers;
	char *(*headers)[2];
	struct am_http_request *next_queued;
	struct am_http_request *next_awake; /* wake_lock; of a list that was taken, the ticker's */
	atomic_bool is_awake;              /* set with wake_lock: it is in the list */

	/* Streaming. */
	struct am_lock lock;               /* guards the rest */
	bool streaming, suspended, pending, gone;
	int64_t wake_at, beat_at;
	struct am_http_source source;
	struct am_http_pipe *pipe;
	struct am_http_request *next_stream, **link_stream; /* httpd->lock */
};

/* When it is next asked whether a stream's peer has left.  In whole seconds: one walk does for all streams. */
static inline int64_t
am_http_next_beat(int64_t now)
{
	return (now + AM_HTTP_HEARTBEAT) / AM_NS_PER_S * AM_NS_PER_S;
}

/* request.c */
struct am_http_request *am_http_request_new(struct am_httpd *httpd, struct MHD_Connection *connection,
					    const char *target);
void am_http_request_ref(struct am_http_request *request);
void am_http_request_unref(struct am_http_request *request);
bool am_http_fd_gone(int fd);

/* answer.c */
/* Makes the listener's own refusal the answer. */
void am_http_refuse(struct am_http_request *request, int status, const char *why);
/* On the HTTP thread, with state ANSWERED. */
enum MHD_Result am_http_send(struct am_http_request *request);
void am_http_kick(struct am_http_request *request); /* resumes a suspended source */
/* Decided (response NULL: the connection is closed without a word): hands the request back to the HTTP thread; then
 * the answering side's reference goes. */
void am_http_decide(struct am_http_request *request, int status, const char *content_type,
		    struct MHD_Response *response);
void am_http_let_go(struct am_http_request *request);

/* tunnel.c */
void am_http_tunnels_stop(struct am_httpd *httpd); /* after `stopping` is set, with httpd->lock held */
void am_http_tunnels_join(struct am_httpd *httpd); /* when none is open */

/* pool.c */
int am_http_pool_start(struct am_httpd *httpd, struct ambient_error *err);
bool am_http_pool_add(struct am_httpd *httpd, struct am_http_request *request); /* false: full */
void am_http_pool_stop(struct am_httpd *httpd);
void am_http_stream_add(struct am_httpd *httpd, struct am_http_request *request);
void am_http_stream_del(struct am_httpd *httpd, struct am_http_request *request);
void am_http_tick_at(struct am_httpd *httpd, int64_t at);
void am_http_forget_awake(struct am_httpd *httpd); /* when nobody resumes any more */
void am_http_open_done(struct am_httpd *httpd);

/* peer.c */
const struct am_http_peer *am_http_peer_of(struct am_http_conn *conn, struct MHD_Connection *connection);
void am_http_peer_fini(struct am_http_peer *peer);

#endif
