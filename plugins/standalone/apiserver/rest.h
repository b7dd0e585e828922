/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front half of the standalone API server: from an HTTP request to verbs of the engine and back.  One struct
 * rest_call per request, on the stack of the worker that serves it:
 *
 *   rest_route.c (which object, which verb) -> auth_authn.c (who) -> auth_rbac.c (may he) -> rest_verbs.c, reviews,
 *   discovery, openapi, logs -> rest_answer.c (in which form)
 *
 * The front keeps no objects of its own; what it derives (discovery documents, bootstrap roles) it derives from the
 * engine.  Nothing that a client sends is trusted before its length and form were checked.
 */
#ifndef AM_APISERVER_REST_H
#define AM_APISERVER_REST_H

#include "core/base/lock.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/util.h"
#include "core/data/node.h"
#include "core/data/yaml.h"
#include "core/http/http.h"
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/jwt.h"

#define REST_BODY_MAX    ((size_t)3 << 20)
#define REST_VERSION     "v1.32.0+standalone"
#define REST_MASTERS     "system:masters"
#define REST_ANONYMOUS   "system:anonymous"
#define REST_AUDIENCE    "https://kubernetes.default.svc"

struct rest_pki;
struct rest_discovery;
struct rest_openapi;
struct rest_rbac;
struct rest_texts;

struct rest_server {
	struct am_engine *engine;
	struct am_httpd *httpd;
	struct am_httpd *noted;       /* the engine's lock: where watches were noted that are to be resumed */
	struct am_clock *clock;
	struct rest_pki *pki;
	struct rest_discovery *discovery;
	struct rest_openapi *openapi;
	struct rest_rbac *rbac;
	struct rest_texts *texts;
	struct rest_keys *keys;
	struct rest_static *users;
	struct rest_audit *audit;  /* NULL: no audit log */
	int64_t token_life_max;    /* ns; 0: no limit of its own */
	bool token_extend;
	char *address;             /* "127.0.0.1" */
	_Atomic(uint16_t) port;    /* known after it listens */
	_Atomic(int) ready;
};

/* ---- who asks */

struct rest_user {
	const char *name, *uid;
	const char **groups;       /* ended by NULL */
	size_t n_groups;
	const char **extra;        /* key, value, key, value ..., ended by NULL */
	size_t n_extra;
	const char **audiences;    /* of a token: whom it is for, ended by NULL; NULL: the API */
	size_t n_audiences;
	const char *token_hash;    /* of a user of a token file; else NULL */
	bool stale;                /* its token should have been read again by now */
};

/* ---- how the answer shall look */

enum rest_form { REST_PLAIN, REST_TABLE, REST_PARTIAL, REST_PARTIAL_LIST, REST_AGGREGATED };
enum rest_media { REST_JSON, REST_YAML };

/* ---- one request */

struct rest_call {
	struct rest_server *server;
	struct am_http_request *http;
	struct am_arena *arena;
	struct am_failure failure;
	struct rest_user user;
	struct rest_user real_user; /* who impersonates user, when impersonated */
	bool impersonated;
	char audit_id[65];
	const char *decision;      /* by what he may, for the audit log; "" or NULL when nothing had to be looked up */

	/* rest_route.c */
	const char *path;
	bool is_resource;
	const char *verb;          /* "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection" */
	const char *group, *version, *plural, *ns, *name, *sub; /* group "" for the core; the rest NULL when absent */
	const char *selected_name; /* list and watch: of fieldSelector=metadata.name=x */
	const char **parts;        /* the path's segments, unescaped, ended by NULL */
	size_t n_parts;
	struct am_slice proxied;   /* p not NULL: behind pods/NAME/proxy, as it came */
	const struct am_resource *res; /* NULL: a virtual one (reviews), or none */

	enum rest_form form;
	enum rest_media media;
	const char *include_object; /* Table: None, Metadata, Object */
	bool dry_run;
	enum am_field_validation fields;
	const char *field_manager;
};

/* rest_route.c */
void rest_serve(void *self, struct am_http_request *request);
void rest_refusal(void *self, int status, const char *why, struct am_buf *body, const char **content_type);
/* A query parameter, NULL when absent or empty. */
const char *rest_query(struct rest_call *call, const char *name);
bool rest_query_true(struct rest_call *call, const char *name); /* "true", "1", or there without a value */

/* rest_negotiate.c: 406, 415 and 400 are the failures. */
int rest_negotiate_answer(struct rest_call *call, bool tables);
int rest_negotiate_json(struct rest_call *call); /* for documents that have no other form, whatever `as` says */
/* The body as JSON text; lives in the call's arena or the request. */
int rest_negotiate_body(struct rest_call *call, struct am_slice *ret);
/* The body of an apply, YAML, as JSON text; 400. */
int rest_apply_body(struct rest_call *call, struct am_slice *body);
/* Content-Type without parameters, lower case. */
const char *rest_content_type(struct rest_call *call);
bool rest_accepts(struct rest_call *call, const char *type); /* exactly this media type is named */
/* Does one entry of Accept ask for g, v, as?  For discovery. */
bool rest_accepts_as(struct rest_call *call, const char *group, const char *version, const char *as);

/* rest_answer.c: each answers the request. */
void rest_answer_failure(struct rest_call *call);
void rest_answer_json(struct rest_call *call, int code, struct am_buf *body); /* takes body; turns it into YAML when asked */
void rest_answer_object(struct rest_call *call, int code, const struct am_object *object);
void rest_answer_list(struct rest_call *call, struct am_list *list);
void rest_answer_not_found_path(struct rest_call *call);
void rest_add_warning(struct rest_call *call, const char *text);
/* The object in the form that was negotiated, without the envelope of a watch event; columns: Table only. */
void rest_render(struct rest_server *server, enum rest_form form, const char *include_object,
		 const struct am_resource *res, const struct am_object *object, bool columns, struct am_buf *out);
const char *rest_api_version(struct rest_call *call, const char *group, const char *version); /* "g/v" or "v" */

/* table.c */
void rest_table_columns(const struct am_resource *res, struct am_buf *out);      /* the columnDefinitions array */
void rest_table_row(struct am_clock *clock, const struct am_resource *res, const struct am_object *object,
		    const char *include_object, struct am_buf *out);

/* rest_evict.c: POST pods/NAME/eviction */
void rest_evict(struct rest_call *call, const struct am_node *body);

/* rest_limits.c: GET /standalone/limits */
void rest_limits(struct rest_call *call);

/* rest_verbs.c */
void rest_verb(struct rest_call *call);
/* What a list or a watch is asked for; seconds: of timeoutSeconds, 0: not given.  400. */
int rest_list_query(struct rest_call *call, struct am_list_query *query, int64_t *seconds);

/* watch_http.c */
void rest_watch(struct rest_call *call);
void rest_watch_woken(void *server); /* an am_engine_options.woken */

/* watch_text.c: what watches send */
struct rest_text {
	_Atomic(uint32_t) refs;
	size_t len;
	char data[];
};
struct rest_text_form {
	enum rest_form form;
	bool columns;              /* Table: with the columns' definitions */
	char include_object[16];
};
struct rest_texts *rest_texts_new(void);
void rest_texts_free(struct rest_texts *texts); /* before the engine is closed */
uint64_t rest_texts_made(const struct rest_texts *texts); /* how many events were rendered so far */
struct rest_text *rest_text_of(struct am_buf *buf);       /* takes it; NULL: no memory */
void rest_text_unref(struct rest_text *text);             /* NULL is fine */
/* One line, the caller's reference; not for INITIAL_END.  NULL: no memory. */
struct rest_text *rest_text_event(struct rest_server *server, const struct rest_text_form *form,
				  const struct am_resource *res, const struct am_event *event);

/* discovery.c */
struct rest_virtual { /* create-only resources that are not stored */
	const char *group, *version, *plural, *kind, *singular;
	bool namespaced;
	void (*create)(struct rest_call *call, const struct am_node *body);
};
extern const struct rest_virtual rest_virtuals[]; /* ended by one without group; rest_reviews.c */
const struct rest_virtual *rest_virtual_find(const char *group, const char *version, const char *plural);
struct rest_subresource {
	const char *group, *plural, *name, *kind, *kind_group, *kind_version;
	const char *verbs; /* comma separated */
};
/* Subresources of res, the i-th; false past the end. */
bool rest_subresource_at(const struct am_resource *res, size_t i, struct rest_subresource *ret);
struct rest_discovery *rest_discovery_new(void);
void rest_discovery_free(struct rest_discovery *discovery);
void rest_discover(struct rest_call *call); /* /api, /apis, ... */

/* openapi.c */
struct rest_openapi *rest_openapi_new(void);
void rest_openapi_free(struct rest_openapi *openapi);
void rest_openapi(struct rest_call *call); /* /openapi/... */

/* auth_authn.c: 401 is the failure. */
int rest_authenticate(struct rest_call *call);
int rest_user_of_token(struct rest_server *server, struct am_arena *arena, const char *token,
		       const char *const *audiences, struct rest_user *ret, struct ambient_error *err);
int rest_user_add_group(struct am_arena *arena, struct rest_user *user, const char *group);
void rest_user_add_extra(struct am_arena *arena, struct rest_user *user, const char *key, const char *value);
/* As userInfo in JSON. */
void rest_user_print(const struct rest_user *user, struct am_buf *out);
int rest_user_add_audience(struct am_arena *arena, struct rest_user *user, const char *audience);
bool rest_user_in(const struct rest_user *user, const char *group);

/* auth_static.c: users with tokens, in files */
struct rest_static;
/* dir: of users.csv; token_file: another such file, or NULL. */
int rest_static_open(const char *dir, const char *token_file, struct rest_static **ret, struct ambient_error *err);
void rest_static_free(struct rest_static *users);
/* Is the token of that hash still in the files?  Looks at them at most each 20 ms. */
bool rest_static_alive(struct rest_static *users, const char *hash);
bool rest_static_find(struct rest_static *users, struct am_arena *arena, const char *token, struct rest_user *user);

/* audit.c, audit_conf.c */
struct ambient_option;
struct ambient_host;
struct ambient_conf;
struct audit_rule;
struct rest_audit;
struct rest_audit_options {
	const char *path;
	int level;                 /* of requests that no rule is for */
	struct audit_rule *rules;
	size_t n_rules;
	int64_t max_size, backups;
	const char *const *hidden; /* resources whose bodies are not to be seen, beside secrets and tokens; or NULL */
	struct am_clock *clock;
};
extern const struct ambient_option rest_opt_audit_file, rest_opt_audit_level, rest_opt_audit_rules, rest_opt_audit_size,
	rest_opt_audit_backups;
/* What it fills is freed by rest_audit_conf_fini, also after a failure. */
int rest_audit_conf(const struct ambient_host *host, const struct ambient_conf *conf, struct rest_audit_options *ret,
		    struct ambient_error *err);
void rest_audit_conf_fini(struct rest_audit_options *options);
/* The options outlive it. */
int rest_audit_open(const struct rest_audit_options *options, struct rest_audit **ret, struct ambient_error *err);
void rest_audit_close(struct rest_audit *audit); /* when every request is over */
/* Gives the request its id, and the answer the header. */
void rest_audit_id(struct rest_call *call);
/* It is known who asks and whether he may. */
void rest_audit_begin(struct rest_call *call, bool allowed);

/* auth_token.c */
struct rest_token_ref {
	const char *name, *uid;            /* NULL: none */
};
struct rest_token_claims {
	const char *ns;
	struct rest_token_ref account, pod, secret, node;
	const char *bound_kind;            /* "Pod", "Secret", "Node", or NULL */
	const char *const *audiences;      /* ended by NULL */
	int64_t issued, expires, warn_after; /* seconds; 0: without end, no warning */
};
int rest_token_mint(struct rest_server *server, const struct rest_token_claims *claims, struct am_buf *out,
		    struct ambient_error *err);
/* audiences NULL: the API's own. */
int rest_token_check(struct rest_server *server, struct am_arena *arena, const char *token, const char *const *audiences,
		     struct rest_user *user, struct ambient_error *err);

/* auth_request.c */
void rest_token_create(struct rest_call *call, const struct am_node *body); /* POST serviceaccounts/x/token */
/* After a write: Secrets that are to hold a token get one. */
void rest_token_written(struct rest_call *call, const struct am_object *object);

/* auth_origin.c */
int rest_check_origin(struct rest_call *call); /* 403 is the failure: a browser shows a page of another site */
bool rest_is_cors(const char *field);          /* of an answer: would let a page of another site read it */

/* rbac_table.c: roles and bindings, compiled; every use of a table ends before the free */
struct rest_rbac *rest_rbac_new(struct am_engine *engine);
void rest_rbac_free(struct rest_rbac *rbac);

/* auth_rbac.c */
struct rest_access {
	const char *verb, *group, *plural, *sub, *ns, *name; /* a resource ... */
	const char *path;                                    /* ... or, not NULL, a path */
};
bool rest_allowed(struct rest_server *server, const struct rest_user *user, const struct rest_access *access);
/* The same, and why, in upstream's words; reason may stay empty. */
bool rest_decide(struct rest_server *server, const struct rest_user *user, const struct rest_access *access,
		 struct am_buf *reason);
int rest_authorize(struct rest_call *call); /* 403 is the failure */
int rest_require(struct rest_call *call, const struct rest_user *user, const struct rest_access *access);
/* Resource and non-resource rules of a user in a namespace, as two JSON arrays. */
void rest_rules_of(struct rest_server *server, const struct rest_user *user, const char *ns, struct am_buf *resource,
		   struct am_buf *non_resource);
/* The same for code; ns NULL: what he has everywhere. */
struct rbac_role;
struct rbac_table;
struct rest_rules {
	struct rest_rules_item {
		const struct rbac_role *role;
		bool cluster;
	} *items;
	size_t n;
	struct rest_rbac *rbac;
	struct rbac_table *table;
};
void rest_rules_get(struct rest_server *server, const struct rest_user *user, const char *ns, struct rest_rules *rules);
void rest_rules_fini(struct rest_rules *rules);
/* rbac_guard.c: the guard of writes to roles and bindings; arg is the call. */
am_guard_f rest_escalation_guard;
/* rbac_defaults.c: makes the default roles and bindings, and gives back to them what they lack. */
int rest_rbac_bootstrap(struct rest_server *server, struct ambient_error *err);

/* pki.c */
struct rest_pki {
	char *dir, *host_kubeconfig, *admin_kubeconfig; /* paths */
	char *ca, *ca_key, *cert, *key;                 /* PEM */
	char *kubelet_cert, *kubelet_key;               /* with which we talk to nodes */
};
/* Makes or renews what is missing or ends within 30 days.  dir is the state directory. */
int rest_pki_open(const char *dir, const char *address, struct rest_pki **ret, struct ambient_error *err);
/* Writes the kubeconfigs, when the port is known. */
int rest_pki_kubeconfigs(struct rest_pki *pki, const char *address, uint16_t port, struct ambient_error *err);
void rest_pki_free(struct rest_pki *pki);

/* logs.c */
void rest_logs(struct rest_call *call);

/* connect.c */
bool rest_is_connect(const struct rest_call *call); /* pods/NAME/exec, attach, portforward */
void rest_connect(struct rest_call *call);

/* proxy.c: pods/NAME/proxy */
void rest_proxy(struct rest_call *call);

/* passing.c: joins the threads that have ended, or all */
void rest_pass_reap(struct rest_server *server, bool all);

/* proto.c: a protobuf body of a known kind as JSON. */
int rest_proto_to_json(const char *data, size_t n, struct am_buf *out, struct ambient_error *err);

/* crds.c: applies the definitions, or the roles, in the files or directories. */
enum rest_files { REST_FILES_CRDS, REST_FILES_ROLES };
int rest_apply_files(struct rest_server *server, enum rest_files which, const char *const *paths,
		     struct ambient_error *err);

#endif
