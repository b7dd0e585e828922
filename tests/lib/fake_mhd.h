/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd's place below core/http, for tests that have a request's bytes and no network: the functions of the
 * library that core/http calls, over one connection at a time whose head is split here as the library does it.
 * Listener, pool, framing checks, streams and tunnels above are the real ones; the caller's thread is the HTTP thread.
 * A stream is pulled until it has nothing more to say at the moment; then the peer leaves, which the next heartbeat
 * shows.
 */
#ifndef TESTS_LIB_FAKE_MHD_H
#define TESTS_LIB_FAKE_MHD_H

#include "core/base/buf.h"
#include "core/base/clock.h"

struct fake_mhd_request {
	/* The head ends at the first empty line (a line ends with LF, before which a CR may stand), the rest is the
	 * body. */
	const char *bytes;
	size_t n;
	const char *header;         /* one that is there besides, "Name: value"; or NULL */
	const struct am_buf *early; /* bytes in the socket behind the head, where the peer's side ends; or NULL */
	struct am_clock *clock;     /* the listener's, a fake one */
};

struct fake_mhd_answer {
	bool request;    /* there was one that the library would have handed on */
	unsigned status; /* 0: the connection was closed without a word, or became a tunnel */
	char content_type[128];
	struct am_buf body; /* the caller's */
};

void fake_mhd_serve(const struct fake_mhd_request *request, struct fake_mhd_answer *ret);

#endif
