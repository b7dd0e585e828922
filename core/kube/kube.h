/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes client: where the API server is and who we are (config), one I/O thread per client, blocking
 * verbs for workers and programs, and events.  Watches are core/cache's: they use am_kube_io directly.
 */
#ifndef AM_KUBE_KUBE_H
#define AM_KUBE_KUBE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/kube/io.h"

/* Which kind: "v1/configmaps" or "apps.example.com/v1/widgets". */
struct am_gvr {
	char group[128]; /* "" for the core group */
	char version[32];
	char plural[96];
};
int am_gvr_parse(const char *kind, struct am_gvr *ret, struct ambient_error *err);
/* "/api/v1/namespaces/NS/configmaps/NAME/SUB"; ns, name, sub may be NULL or "". */
void am_kube_path(struct am_buf *out, const struct am_gvr *gvr, const char *ns, const char *name, const char *sub);
void am_url_escape(struct am_buf *out, const char *s);

struct am_kube_config; /* immutable */
/* kubeconfig file with current-context (context NULL) or a named one.  Relative paths are the file's. */
int am_kube_config_file(const char *path, const char *context, struct am_kube_config **ret, struct ambient_error *err);
/* The mounted ServiceAccount. */
int am_kube_config_incluster(struct am_kube_config **ret, struct ambient_error *err);
/* kubectl's order: explicit path, $KUBECONFIG, ~/.kube/config, in-cluster. */
int am_kube_config_default(const char *path, const char *context, struct am_kube_config **ret, struct ambient_error *err);
/* Taken apart by hand: for the runner and for tests.  token_file is re-read as it rotates. */
int am_kube_config_manual(const char *server, const char *ca_file, const char *token_file, struct am_kube_config **ret,
			  struct ambient_error *err);
void am_kube_config_free(struct am_kube_config *config);
const char *am_kube_config_server(const struct am_kube_config *config);
/* Appends the PEM text of the CA that the server is verified with; nothing when there is none. */
int am_kube_config_ca(const struct am_kube_config *config, struct am_buf *out, struct ambient_error *err);
const char *am_kube_config_namespace(const struct am_kube_config *config); /* "default" when unset */

struct am_kube;
struct am_kube_options {
	const char *user_agent;       /* "ambientd/0.1.0" */
	struct am_clock *clock;       /* NULL: real */
	double qps;                   /* 0: 50; negative: unlimited.  Watches are exempt */
	int burst;                    /* 0: 100 */
	bool http2;                   /* short requests share a connection where the API server speaks HTTP/2 */
	bool interactive;             /* credential plugins may talk to the person at the terminal */
};
/* Takes config.  Starts the I/O thread; connects to nobody yet. */
int am_kube_new(struct am_kube_config *config, const struct am_kube_options *options, struct am_kube **ret,
		struct ambient_error *err);
void am_kube_free(struct am_kube *kube);  /* cancels everything, joins the thread */
struct am_io *am_kube_io(struct am_kube *kube);

/* One request, blocking, from any thread but the I/O thread.  Retries 429 and 5xx with Retry-After and, for GET,
 * broken connections, within the deadline. */
struct am_kube_request {
	const char *method;           /* "GET" */
	const char *path;             /* from am_kube_path, with query */
	const char *content_type;     /* NULL: application/json */
	const char *accept;           /* NULL: application/json */
	const char *body;
	size_t body_len;
	int64_t deadline;             /* boot time; 0: 30 s from now */
	const int32_t *cancelled;     /* may be NULL; polled at least each 100 ms */
	size_t max;                   /* of the answer; 0: 64 MiB */
	const char *header;           /* one more, "Name: value"; may be NULL.  Never logged */
	int64_t idle_ns;              /* no byte for so long: TIMEOUT; 0: none */
};
/* 2xx: 0 and the body.  Otherwise the error is made of the Status body: code, http_status, reason, message,
 * retry_after_ms. */
int am_kube_do(struct am_kube *kube, const struct am_kube_request *request, struct am_buf *body,
	       struct ambient_error *err);
/* A body that is handed over as it arrives (logs -f): data returns negative to end.  A deadline of 0 is none here. */
int am_kube_stream(struct am_kube *kube, const struct am_kube_request *request,
		   int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err);
/* Fills err from an HTTP status and a (maybe Status) body; returns -code. */
int am_kube_error(struct ambient_error *err, int http_status, const char *body, size_t n);

/* Short forms over am_kube_do. */
int am_kube_get(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name, struct am_buf *body,
		struct ambient_error *err);
int am_kube_create(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *json, size_t n,
		   struct am_buf *body, struct ambient_error *err);
int am_kube_patch(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name, const char *sub,
		  const char *content_type, const char *json, size_t n, struct am_buf *body, struct ambient_error *err);
int am_kube_delete(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name,
		   const char *options_json, struct ambient_error *err);

/* Events (events of core/v1): asynchronous, aggregated by count within 10 minutes, spam-limited per object (burst 25,
 * one per 5 minutes), never blocking. */
struct am_recorder;
struct am_recorder *am_recorder_new(struct am_kube *kube, const char *component, const char *host);
void am_recorder_free(struct am_recorder *recorder); /* tries for at most 2 s to send what is queued */
/* involved: apiVersion, kind, namespace, name, uid, resourceVersion as an ObjectReference in JSON. */
void am_recorder_emit(struct am_recorder *recorder, const char *involved_json, const char *ns, const char *name,
		      const char *type, const char *reason, const char *message);

#endif
