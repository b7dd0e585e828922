/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host offers a plugin, as tables of functions.  The same plugin runs in the daemon, in a child
 * behind proxies, in ambient-runner and in a unit test: only the table differs.  A sub-table that a host does
 * not have is NULL; a function that a table does not have is NULL or lies beyond its size; the inline
 * wrappers at the end then return -AMBIENT_E_UNSUPPORTED.
 *
 * Functions that take a `call` belong to the thread of that call; those that take `host` may be called on any
 * thread.  Pointers handed in are only borrowed for the duration of the function.  Objects, lists and drafts handed out
 * belong to the call and end with it.  Times and delays are nanoseconds, sizes bytes.  err may be NULL.
 */
#ifndef AMBIENT_HOST_H
#define AMBIENT_HOST_H

#include <stddef.h>
#include <stdint.h>

#include <ambient/conf.h>
#include <ambient/error.h>
#include <ambient/message.h>
#include <ambient/object.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ambient_host;
struct ambient_run;
struct ambient_command;
struct ambient_command_api;

enum { AMBIENT_LOG_ERROR = 1, AMBIENT_LOG_WARN, AMBIENT_LOG_INFO, AMBIENT_LOG_DEBUG };

struct ambient_log_api {
	size_t size;
	/* 1 when a record of that level would be written.  Neither function blocks for long or fails: records that
	 * cannot be kept are dropped and counted. */
	int (*enabled)(const struct ambient_host *host, int level);
	/* fields: name, value, name, value, ..., NULL; or NULL. */
	void (*write)(const struct ambient_host *host, int level, const char *text, const char *const *fields);
};

/* A list of objects; lives as long as its call. */
struct ambient_list;

struct ambient_list_options {
	size_t size;
	const char *ns;       /* NULL or "": all namespaces */
	const char *selector; /* label selector, NULL: all */
	const char *index;    /* name of a declared index, with value; NULL: none */
	const char *value;
};

/* Reads from the cache.  -AMBIENT_E_NOTFOUND means "absent from a synced cache" and nothing else; a kind that
 * the plugin does not declare with for, owns or watch is -AMBIENT_E_UNSUPPORTED, and so is a namespace that is
 * not among those that the configuration names; a list of all is of those that it names.  Never blocks for the
 * network, except to wait until the reconciler's own writes are visible (bounded by the call's deadline). */
struct ambient_cache_api {
	size_t size;
	int (*get)(struct ambient_call *call, const char *kind, const char *ns, const char *name,
		   const struct ambient_object **ret, struct ambient_error *err);
	int (*list)(struct ambient_call *call, const char *kind, const struct ambient_list_options *options,
		    const struct ambient_list **ret, struct ambient_error *err);
	size_t (*count)(const struct ambient_list *list);
	const struct ambient_object *(*item)(const struct ambient_list *list, size_t i);
};

enum { AMBIENT_PATCH_MERGE = 1, AMBIENT_PATCH_JSON, AMBIENT_PATCH_STRATEGIC, AMBIENT_PATCH_APPLY };
#define AMBIENT_APPLY_NO_OWNER 0x1u /* do not make the reconciled object its controller */

/* Talks to the API server: blocks.  ret may be NULL; otherwise it gets the object as the server answered it.
 * kind is a kind; sub is NULL or a subresource ("status", "token").  All need a may= declaration; without one they
 * fail with FORBIDDEN, terminally.  All end at the call's deadline (TIMEOUT) or when it is cancelled (CANCELLED); writes
 * fail with CANCELLED once this replica does not lead.  Other errors are the API server's, see error.h. */
enum {
	AMBIENT_ASK_DRY_RUN = 1, /* everything but storing it */
	AMBIENT_ASK_FORCE = 2    /* AMBIENT_PATCH_APPLY: take fields over from other managers */
};

/* A request; all but verb and kind may be NULL or 0. */
struct ambient_ask {
	size_t size;
	const char *verb; /* as in may=: get list create update patch delete deletecollection */
	const char *kind, *ns, *name, *sub;
	const char *body; /* JSON */
	size_t len;
	int patch;              /* AMBIENT_PATCH_*, of "patch" */
	uint32_t flags;         /* AMBIENT_ASK_* */
	const char *validation; /* of fields: "Strict", "Warn" or "Ignore" */
	const char *selector;   /* label selector, of list and deletecollection */
	const char *fields;     /* field selector, the same */
	const char *token;      /* "continue" of the page before */
	int limit;              /* of a page */
};

struct ambient_client_api {
	size_t size;
	int (*get)(struct ambient_call *call, const char *kind, const char *ns, const char *name,
		   const struct ambient_object **ret, struct ambient_error *err);
	int (*create)(struct ambient_call *call, struct ambient_draft *draft, const char *sub,
		      const struct ambient_object **ret, struct ambient_error *err);
	/* Needs the resource version that draft_from carries. */
	int (*update)(struct ambient_call *call, struct ambient_draft *draft, const char *sub,
		      const struct ambient_object **ret, struct ambient_error *err);
	int (*patch)(struct ambient_call *call, const char *kind, const char *ns, const char *name,
		     const char *sub, int type, const char *body, size_t len,
		     const struct ambient_object **ret, struct ambient_error *err);
	/* options: DeleteOptions as JSON, or NULL for background propagation.  A 404 is success. */
	int (*remove)(struct ambient_call *call, const char *kind, const char *ns, const char *name,
		      const char *options, struct ambient_error *err);
	/* Server-side apply: makes the object be what the draft says, owned by the reconciled object, with the
	 * instance as field manager; nothing is sent when it already is.  A field that an earlier draft named and this
	 * one does not goes, if nobody else owns it; other fields are left alone; null: the field is to be absent,
	 * whosever it is.  CONFLICT: it was changed meanwhile; EXISTS: somebody else is its controller; INVALID: the
	 * owner is in another namespace; NOTFOUND: the owner is gone. */
	int (*apply)(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags,
		     const struct ambient_object **ret, struct ambient_error *err);
	/* The same for /status of the draft's object; only the fields under /status are looked at.  A draft_from says
	 * the whole status, and is refused with CONFLICT when the object is another version by now; a draft_new says
	 * the fields that it names. */
	int (*status)(struct ambient_call *call, struct ambient_draft *draft,
		      const struct ambient_object **ret, struct ambient_error *err);
	/* Any request, for what the others do not say.  ret, which may be NULL, gets the answer as it is: of a list the
	 * list, of a deletion its Status or the object.  Nothing is filled in but the field manager. */
	int (*ask)(struct ambient_call *call, const struct ambient_ask *ask, const struct ambient_object **ret,
		   struct ambient_error *err);
};

struct ambient_queue_api {
	size_t size;
	/* Asks for a reconcile of ns/name after delay_ns; reconciler NULL: the plugin's only one.  Does not block; may be
	 * used from create on.  -AMBIENT_E_NOTFOUND: there is no such reconciler; -AMBIENT_E_UNSUPPORTED: ns is not among the
	 * namespaces that the configuration names. */
	int (*add)(const struct ambient_host *host, const char *reconciler, const char *ns, const char *name,
		   int64_t delay_ns);
};

struct ambient_event_api {
	size_t size;
	/* type "Normal" or "Warning"; reason is CamelCase.  Never blocks, never fails: events are advice. */
	void (*emit)(struct ambient_call *call, const struct ambient_object *about, const char *type,
		     const char *reason, const char *text);
};

struct ambient_metrics_api {
	size_t size;
	/* Adds to a counter ambient_plugin_<name>_total; name is [a-z_]{1,40}.  Other names and by <= 0 are ignored.
	 * Neither function blocks or fails. */
	void (*count)(const struct ambient_host *host, const char *name, int64_t by);
	void (*gauge)(const struct ambient_host *host, const char *name, double value);
};

struct ambient_clock_api {
	size_t size;
	int64_t (*monotonic)(const struct ambient_host *host); /* ns, stands still in no sleep (CLOCK_BOOTTIME) */
	int64_t (*wall)(const struct ambient_host *host);      /* ns since 1970, may jump: for display only */
};

struct ambient_mem_api {
	size_t size;
	void *(*alloc)(const struct ambient_host *host, size_t n); /* zeroed; NULL when there is none; yours until free */
	void (*free)(const struct ambient_host *host, void *p);
	void *(*scratch)(struct ambient_call *call, size_t n);     /* ends with the call */
};

struct ambient_spawn_options {
	size_t size;
	const char *const *argv; /* argv[0] is an absolute path, or looked up in PATH */
	const char *const *envp; /* NULL: PATH, HOME, LANG only */
	const char *cwd;
	const char *input;       /* for its standard input; NULL: /dev/null */
	size_t input_len;
	int64_t timeout_ns;      /* 0: 60 s; then SIGTERM, 2 s, SIGKILL to its group */
	size_t output_max;       /* 0: 64 KiB of each stream are kept */
	const int32_t *cancelled; /* becomes non-zero: it ends as by its timeout; read atomically; NULL: none */
};
struct ambient_spawn_result {
	size_t size;
	int32_t exit_code; /* or 128 + signal */
	int32_t timed_out;
	char *out, *err;   /* NUL-terminated; freed with release() */
	size_t out_len, err_len;
};
struct ambient_spawn_api {
	size_t size;
	/* Runs a program to its end; blocks, at most timeout_ns and 2 s.  A program that fails is no error: see exit_code.
	 * On success, and only then, result is the caller's until release.  NOTFOUND: there is no such program. */
	int (*run)(const struct ambient_host *host, const struct ambient_spawn_options *options,
		   struct ambient_spawn_result *result, struct ambient_error *err);
	void (*release)(const struct ambient_host *host, struct ambient_spawn_result *result);
};

/* In ambient-runner only. */
struct ambient_message_api {
	size_t size;
	/* fields is a JSON object with the fields of that type, without seq, time, run and type. */
	void (*emit)(struct ambient_run *run, const char *type, const char *fields, size_t len);
	/* To the agent's standard input; queued, never blocks.  NULL text: end of input after what is queued. */
	int (*write)(struct ambient_run *run, const char *text, size_t len, struct ambient_error *err);
	/* The conversation's id, to be continued by a later run. */
	void (*conversation)(struct ambient_run *run, const char *id);
	/* A turn has ended: a batch run ends the agent's input, an interactive one waits for a person. */
	void (*turn_done)(struct ambient_run *run);
	const struct ambient_command_api *command;
};

/* An HTTP server for plugins that answer the API server or people.  The handler runs on a pool thread of the
 * plugin and may block; what it gets is borrowed until it returns. */
struct ambient_http_listener;
struct ambient_http_request;
struct ambient_websocket;
struct pollfd;
struct ambient_http_listen {
	size_t size;
	const char *address;   /* "127.0.0.1" */
	uint16_t port;         /* 0: any, see port() */
	const char *cert_pem, *key_pem; /* both NULL: plain HTTP */
	const char *client_ca_pem;      /* NULL: client certificates are not asked for */
	int32_t threads;       /* pool size, 0: 4 */
	size_t body_max;       /* 0: 1 MiB */
	int32_t self_signed;   /* 1, with no cert_pem: the host makes a certificate for address */
};
typedef void ambient_http_handler_f(void *self, struct ambient_http_request *request);
/* Runs on a thread of its own; the connection ends when it returns.  ws is NULL when the peer had left before, and
 * then only arg is to be released. */
typedef void ambient_websocket_f(void *arg, struct ambient_websocket *ws);
struct ambient_websocket_message {
	size_t size;
	const char *data;      /* until the next call */
	size_t len;
	int32_t text;          /* 1: valid UTF-8; 0: bytes */
};
struct ambient_http_api {
	size_t size;
	int (*listen)(const struct ambient_host *host, const struct ambient_http_listen *options,
		      ambient_http_handler_f *handler, void *self, struct ambient_http_listener **ret,
		      struct ambient_error *err);
	uint16_t (*port)(const struct ambient_http_listener *listener);
	void (*close)(struct ambient_http_listener *listener); /* waits for handlers */
	const char *(*method)(const struct ambient_http_request *request);
	const char *(*path)(const struct ambient_http_request *request);                      /* decoded */
	const char *(*query)(const struct ambient_http_request *request, const char *name);   /* NULL: absent */
	const char *(*header)(const struct ambient_http_request *request, const char *name);
	const char *(*body)(const struct ambient_http_request *request, size_t *len);
	const char *(*peer_name)(const struct ambient_http_request *request); /* CN of its certificate, or NULL */
	/* The answer: begin once, write any number of times, end is implied by the handler's return.  write
	 * blocks while the peer is slow and fails with UNAVAILABLE when it has gone. */
	int (*begin)(struct ambient_http_request *request, int status, const char *content_type);
	int (*write)(struct ambient_http_request *request, const char *data, size_t len);
	int (*gone)(const struct ambient_http_request *request); /* has the peer left, or does the listener close */
	/* The i-th parameter; 0 past the end. */
	int (*query_at)(const struct ambient_http_request *request, size_t i, const char **name, const char **value);
	/* Instead of begin: agrees to a WebSocket and to the first of the peer's protocols that is in the list (ended by
	 * NULL).  INVALID: no handshake that is taken, err says why; nothing was answered then.  The request is not
	 * to be touched after success. */
	int (*ws_accept)(struct ambient_http_request *request, const char *const *protocols, ambient_websocket_f *fn,
			 void *arg, struct ambient_error *err);
	const char *(*ws_protocol)(const struct ambient_websocket *ws);
	/* Drives the connection until a message is there (1), or one of at most 8 more descriptors is ready or timeout_ms
	 * (-1: none) is over (0), or the connection is (-AMBIENT_E_UNAVAILABLE).  want 0: messages stay where they are,
	 * so that the peer has to wait. */
	int (*ws_wait)(struct ambient_websocket *ws, struct pollfd *more, size_t n, int timeout_ms, int want,
		       struct ambient_websocket_message *ret);
	/* Queues one binary message made of two parts; who sends much waits while ws_queued is much. */
	int (*ws_send)(struct ambient_websocket *ws, const void *head, size_t head_len, const void *data, size_t len);
	size_t (*ws_queued)(const struct ambient_websocket *ws);
	void (*ws_close)(struct ambient_websocket *ws, int code, const char *reason); /* without it: 1000 */
};

struct ambient_host {
	size_t size;
	uint16_t abi_major, abi_minor;
	const char *plugin;    /* names of the plugin and of this instance */
	const char *instance;
	const char *state_dir; /* a directory of this instance, mode 0700; NULL where there is none */
	const struct ambient_log_api *log;
	const struct ambient_conf_api *conf;
	const struct ambient_object_api *object;
	const struct ambient_client_api *client;
	const struct ambient_cache_api *cache;
	const struct ambient_queue_api *queue;
	const struct ambient_event_api *event;
	const struct ambient_metrics_api *metrics;
	const struct ambient_clock_api *clock;
	const struct ambient_mem_api *mem;
	const struct ambient_spawn_api *spawn;
	const struct ambient_message_api *message;
	const struct ambient_http_api *http;
	/* Finds a runner type and asks it for its plan; see runner.h.  fragment and problems are objects of the
	 * call; at most one of them is set.  Unknown type: -AMBIENT_E_NOTFOUND, the message lists those loaded. */
	int (*runner_plan)(struct ambient_call *call, const char *type, const struct ambient_object *session,
			   const struct ambient_object *settings, const struct ambient_object *effective,
			   const struct ambient_object **fragment, const struct ambient_object **problems,
			   struct ambient_error *err);
	/* Comma-separated, for messages to people. */
	const char *(*runner_types)(const struct ambient_host *host);
	/* Facts about where it runs; NULL: unknown.  "mode" (standalone or cluster), "server" (URL of the API
	 * server as pods reach it), "cluster-ca" (PEM), "namespace" (the daemon's own), "node-name",
	 * "runner-image", "runner-type" (what a session gets that names none). */
	const char *(*fact)(const struct ambient_host *host, const char *name);
};

/* One call of a plugin's code; the open head of a larger struct of the host's. */
struct ambient_call {
	size_t size;
	const struct ambient_host *host;
	int64_t deadline; /* by clock->monotonic; 0: none */
	const int32_t *cancelled; /* becomes non-zero when the call should end; read it with ambient_cancelled */
};

#define AMBIENT_HAS(table, member)                                                                  \
	((table) != NULL && (table)->size >= offsetof(__typeof__(*(table)), member) + sizeof((table)->member) && \
	 (table)->member != NULL)
#define AMBIENT_CALL_(call, table, member, err, ...)                                                \
	(AMBIENT_HAS((call)->host->table, member)                                                   \
	     ? (call)->host->table->member(__VA_ARGS__)                                             \
	     : ambient_err((err), AMBIENT_E_UNSUPPORTED, "this host offers no %s.%s", #table, #member))

static inline int
ambient_cancelled(const struct ambient_call *call)
{
	return call->cancelled != NULL && __atomic_load_n(call->cancelled, __ATOMIC_ACQUIRE) != 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline void
ambient_log(const struct ambient_host *host, int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!AMBIENT_HAS(host->log, write) || (AMBIENT_HAS(host->log, enabled) && !host->log->enabled(host, level)))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	host->log->write(host, level, text, NULL);
}

static inline int
ambient_get(struct ambient_call *call, const char *kind, const char *ns, const char *name,
	    const struct ambient_object **ret, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, cache, get, err, call, kind, ns, name, ret, err);
}

static inline int
ambient_list(struct ambient_call *call, const char *kind, const struct ambient_list_options *options,
	     const struct ambient_list **ret, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, cache, list, err, call, kind, options, ret, err);
}

static inline size_t
ambient_list_count(struct ambient_call *call, const struct ambient_list *list)
{
	return AMBIENT_HAS(call->host->cache, count) ? call->host->cache->count(list) : 0;
}

static inline const struct ambient_object *
ambient_list_item(struct ambient_call *call, const struct ambient_list *list, size_t i)
{
	return call->host->cache->item(list, i);
}

static inline int
ambient_parse(struct ambient_call *call, const char *text, size_t len, const struct ambient_object **ret,
	      struct ambient_error *err)
{
	return AMBIENT_CALL_(call, object, parse, err, call, text, len, ret, err);
}

static inline struct ambient_draft *
ambient_draft_new(struct ambient_call *call, const char *kind, const char *ns, const char *name)
{
	return AMBIENT_HAS(call->host->object, draft_new) ? call->host->object->draft_new(call, kind, ns, name) : NULL;
}

static inline struct ambient_draft *
ambient_draft_from(struct ambient_call *call, const char *kind, const struct ambient_object *obj)
{
	return AMBIENT_HAS(call->host->object, draft_from) ? call->host->object->draft_from(call, kind, obj) : NULL;
}

static inline int
ambient_get_live(struct ambient_call *call, const char *kind, const char *ns, const char *name,
		 const struct ambient_object **ret, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, get, err, call, kind, ns, name, ret, err);
}

static inline int
ambient_create(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object **ret,
	       struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, create, err, call, draft, NULL, ret, err);
}

static inline int
ambient_update(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object **ret,
	       struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, update, err, call, draft, NULL, ret, err);
}

static inline int
ambient_patch(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *sub,
	      int type, const char *body, const struct ambient_object **ret, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, patch, err, call, kind, ns, name, sub, type, body, strlen(body), ret, err);
}

static inline int
ambient_ask(struct ambient_call *call, const struct ambient_ask *ask, const struct ambient_object **ret,
	    struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, ask, err, call, ask, ret, err);
}

static inline int
ambient_delete(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *options,
	       struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, remove, err, call, kind, ns, name, options, err);
}

static inline int
ambient_apply(struct ambient_call *call, struct ambient_draft *draft, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, apply, err, call, draft, 0, NULL, err);
}

static inline int
ambient_status(struct ambient_call *call, struct ambient_draft *draft, struct ambient_error *err)
{
	return AMBIENT_CALL_(call, client, status, err, call, draft, NULL, err);
}

#if defined(__GNUC__)
__attribute__((format(printf, 5, 6)))
#endif
static inline void
ambient_event(struct ambient_call *call, const struct ambient_object *about, const char *type, const char *reason,
	      const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!AMBIENT_HAS(call->host->event, emit))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	call->host->event->emit(call, about, type, reason, text);
}

/* Asks for a reconcile from any thread of the plugin. */
static inline int
ambient_enqueue(const struct ambient_host *host, const char *reconciler, const char *ns, const char *name,
		int64_t delay_ns)
{
	return AMBIENT_HAS(host->queue, add) ? host->queue->add(host, reconciler, ns, name, delay_ns)
					     : -AMBIENT_E_UNSUPPORTED;
}

#ifdef __cplusplus
}
#endif
#endif
