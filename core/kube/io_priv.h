/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the I/O thread: io.c is the loop (posts, timers, work), transfer.c is one exchange over curl.
 * Everything here belongs to the I/O thread, except what `lock` guards.
 *
 * curl must not be called from its own callbacks, and a sink may do what it likes from them.  So whatever changes
 * curl's multi handle (attach, resume, remove) is work, which the loop does between two calls of curl.
 */
#ifndef AM_KUBE_IO_PRIV_H
#define AM_KUBE_IO_PRIV_H

#include <curl/curl.h>
#include <poll.h>

#include "core/kube/kube_priv.h"

struct am_timer {
	int64_t at;
	uint64_t seq;            /* order of equal times */
	size_t index;            /* in the heap */
	void (*fn)(void *);
	void *arg;
};

struct am_post {
	void (*fn)(void *);
	void *arg;
};

/* The metrics of one method and one status; 0: no answer. */
struct am_tally {
	char method[16];
	int status;
	struct am_metric *total, *seconds, *sent, *received;
};

struct am_curl_io {
	struct am_io head;       /* first */
	const struct am_kube_config *config;
	char *user_agent;
	CURLM *multi;
	bool http2;
	CURLSH *alone;            /* with http2: the connections of what lasts, and of nothing else */
	struct am_thread *thread;
	struct pollfd *fds;       /* the first wakes the thread, the others are curl's */
	struct pollfd *ready;     /* those that poll has found; as many as fds */
	size_t fd_count, fd_cap;
	int64_t curl_at;          /* when curl wants to be asked, by the real clock; AM_FOREVER: not */

	struct am_timer **timers; /* a binary heap, earliest first */
	size_t timer_count, timer_cap;
	uint64_t timer_seq;

	CURL *spares[8];          /* handles that wait for a transfer */
	size_t spare_count;
	struct am_transfer *transfers; /* all that are not freed */
	struct am_transfer *work_first, *work_last;
	struct am_token token;
	struct am_ca ca;
	struct am_exec *exec;    /* NULL: the configuration names no plugin */
	struct am_rate rate;
	struct am_map *warnings;       /* texts that were said */
	struct am_tally tallies[16];
	size_t tally_count;

	struct am_lock lock;     /* guards the rest */
	struct am_post *posts;
	size_t post_count, post_cap;
	bool sleeping;           /* it has to be woken */
	bool stop;
};

struct am_transfer {
	struct am_curl_io *io;
	struct am_transfer *prev, *next, *next_work;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct am_http_sink sink;
	char *url;
	char *body;
	size_t body_len;
	struct am_timer *limit, *idle, *slot; /* of the whole, of silence, until the rate allows it */
	int64_t idle_ns, began, last_byte;
	int64_t retry_after_ms;
	int status;
	char method[16];
	char content_type[96];
	uint64_t credential;          /* generation of the plugin's that it goes with; 0: none */
	bool asked;                   /* waits for the plugin */
	bool in_work, attached, over, head_given, paused, resume, reserved;
	struct ambient_error failed;  /* why it cannot start, or what data returned */
	char curl_text[CURL_ERROR_SIZE];
};

/* io.c */
void am_io_add_work(struct am_transfer *t);

/* transfer.c */
struct am_transfer *am_transfer_start(struct am_io *io, const struct am_http_req *req, const struct am_http_sink *sink);
void am_transfer_resume(struct am_io *io, struct am_transfer *t);
void am_transfer_work(struct am_transfer *t);                             /* attach, resume, or remove and free */
void am_transfer_result(struct am_transfer *t, CURLcode result);          /* curl is through with it */
void am_transfer_end(struct am_transfer *t, const struct ambient_error *err); /* calls done, once */
void am_transfer_cancel(struct am_io *io, struct am_transfer *t);
void am_transfers_credential(void *curl_io);                              /* the plugin has ended: looks again */

/* proxy.c */
bool am_proxy_problem(CURL *easy, CURLcode result, char *out, size_t size);   /* false: it is not the proxy's doing */

#endif
