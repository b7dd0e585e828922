/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server listens: the REST API, the standalone API server.  One that declares provides=cluster is started
 * before the daemon has an API client, and its host table therefore has no client, cache, queue or event.
 */
#ifndef AMBIENT_SERVER_H
#define AMBIENT_SERVER_H

#include <stddef.h>

#include <ambient/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ambient_server {
	size_t size;
	const char *name; /* as declared with server= */
	/* Returns when it accepts connections, or with an error; on the loader thread, at most 10 s. */
	int (*start)(void *self, struct ambient_error *err);
	/* 0 while it can serve.  Any thread, must not block. */
	int (*ready)(void *self, struct ambient_error *err);
	/* provides=cluster only: path of the kubeconfig for the daemon; valid until destroy. */
	const char *(*kubeconfig)(void *self);
	/* Ends every connection and thread of the server. */
	void (*stop)(void *self);
};

#ifdef __cplusplus
}
#endif
#endif
