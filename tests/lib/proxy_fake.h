/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy on 127.0.0.1 for tests: HTTP CONNECT, or SOCKS 5 with and without a password.  Whatever host is asked for, it
 * connects to the given port of 127.0.0.1, so that names nobody else knows can be asked for.  What it was asked is recorded.
 */
#ifndef TESTS_LIB_PROXY_FAKE_H
#define TESTS_LIB_PROXY_FAKE_H

#include <stdbool.h>

enum proxy_fake_mode { PROXY_FAKE_CONNECT, PROXY_FAKE_SOCKS };

struct proxy_fake_options {
	enum proxy_fake_mode mode;
	int to_port;
	int refuse;              /* answered so instead: a status, or a reply of SOCKS */
	const char *headers;     /* of the answer to CONNECT: "Name: value\r\n" */
	const char *user;        /* "user:password" that is asked for, or NULL */
	int mute;                /* takes connections and says nothing */
};

struct proxy_fake;

struct proxy_fake *proxy_fake_new(const struct proxy_fake_options *options);
void proxy_fake_free(struct proxy_fake *proxy);
int proxy_fake_port(const struct proxy_fake *proxy);
bool proxy_fake_wait(struct proxy_fake *proxy);          /* for the first; at most 10 s */
int proxy_fake_count(struct proxy_fake *proxy);          /* connections that asked for something */
/* What the last one asked for, "host:port", and with CONNECT the whole head; in static buffers. */
const char *proxy_fake_target(struct proxy_fake *proxy);
const char *proxy_fake_head(struct proxy_fake *proxy);

#endif
