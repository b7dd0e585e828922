/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/kube share among themselves, and what their unit tests look at. */
#ifndef AM_KUBE_PRIV_H
#define AM_KUBE_PRIV_H

#include <sys/stat.h>

#include "core/base/lock.h"
#include "core/base/map.h"
#include "core/kube/exec.h"
#include "core/kube/kube.h"

/* All strings are malloc'ed or NULL.  Of each pair data/file at most one is set; data is PEM. */
struct am_kube_config {
	char *server;          /* "https://host:port/prefix", no slash at the end */
	char *host;            /* "host:port" for messages and metrics */
	char *ns;
	char *ca_data, *ca_file;
	char *cert_data, *cert_file;
	char *key_data, *key_file;
	char *token, *token_file;
	char *tls_server_name;
	char *proxy_url;       /* what the kubeconfig says */
	char *proxy;           /* what libcurl is told, or NULL: none; may hold a password */
	char *proxy_name;      /* for messages */
	char **impersonate;    /* header lines, ended by NULL; or NULL */
	struct am_exec_spec *exec; /* asked when there is no token, or NULL */
	bool insecure;         /* the server's certificate is not verified */
	bool loopback;         /* no proxy of the environment, no compression */
};

/* Each data of a kubeconfig document is at most this. */
#define AM_KUBECONFIG_MAX (4u << 20)

/* One kubeconfig text; dir is what its relative paths are relative to. */
struct am_kubeconfig_text {
	const char *name;      /* for messages */
	const char *dir;
	const char *text;
	size_t len;
};
/* Merges as kubectl does: for each name the first document that has it wins. */
int am_kube_config_texts(const struct am_kubeconfig_text *texts, size_t n, const char *context,
			 struct am_kube_config **ret, struct ambient_error *err);
/* In-cluster, with the directory of the mounted ServiceAccount. */
int am_kube_config_mounted(const char *dir, struct am_kube_config **ret, struct ambient_error *err);
/* Checks and normalises server; sets host, loopback and the proxy.  Takes config's other members as they are. */
int am_kube_config_finish(struct am_kube_config *config, const char *server, struct ambient_error *err);

/* Sets proxy and proxy_name from proxy_url or the environment. */
int am_proxy_decide(struct am_kube_config *config, struct ambient_error *err);
/* Does NO_PROXY list the host (no brackets) with this port? */
bool am_no_proxy(const char *list, const char *host, const char *port);

/* A bearer token from a file, cached for a minute.  I/O thread only. */
struct am_token {
	const char *path;
	char *value;
	int64_t read_at;       /* boot time of the last successful read */
	bool dropped;          /* read again at the next use */
};
#define AM_TOKEN_NS (60 * AM_NS_PER_S)
/* NULL when there is none; borrowed until the next call.  A failed re-read keeps the old one. */
const char *am_token_get(struct am_token *token, int64_t now, struct ambient_error *err);
/* The server answered 401 to a request that began at `began`. */
void am_token_drop(struct am_token *token, int64_t began);
void am_token_fini(struct am_token *token);

/* A certificate authority in a file that rotates.  I/O thread only. */
struct am_ca {
	const char *path;      /* NULL: there is none */
	char *text;            /* PEM */
	struct stat seen;      /* of the file when it was read */
};
/* What it says now, borrowed until the next call; NULL: it was never readable, or is too large to be kept. */
const char *am_ca_get(struct am_ca *ca);
void am_ca_fini(struct am_ca *ca);

struct am_node;
/* "as", "as-uid", "as-groups" and "as-user-extra" of a kubeconfig's user as header lines; NULL when it has none. */
int am_impersonate_parse(const struct am_node *user, char ***ret, struct ambient_error *err);
void am_impersonate_free(char **lines);

/* The text of a Warning header's value, cleaned and cut; false when it is none of the API server's. */
bool am_warning_text(const char *value, size_t n, char *out, size_t size);
/* Logs it when it is new.  *seen may be NULL; the caller frees it. */
void am_warning_take(struct am_map **seen, const char *value, size_t n);

/* The token bucket in front of the server; a reservation says how long to wait.  Guarded by its user. */
struct am_rate {
	double qps, burst;     /* qps <= 0: no limit */
	double tokens;
	int64_t at;
};
void am_rate_init(struct am_rate *rate, double qps, int burst, int64_t now);
int64_t am_rate_reserve(struct am_rate *rate, int64_t now); /* ns to wait from now */
void am_rate_return(struct am_rate *rate);                  /* a reservation that was not used */

/* The real struct am_io. */
struct am_io *am_curl_io_new(const struct am_kube_config *config, const struct am_kube_options *options,
			     struct ambient_error *err);
/* Ends every transfer with CANCELLED, runs what was posted, forgets timers, joins. */
void am_curl_io_free(struct am_io *io);

/* Decides what becomes of an event: the arithmetic of client-go's recorder.  Guarded by its user. */
struct am_correlator;
struct am_sighting {               /* an event as it happened; strings are borrowed */
	struct am_slice involved;  /* ObjectReference, checked JSON */
	const char *name;          /* of the object */
	const char *type, *reason, *message;
	int64_t wall, boot;        /* now */
};
struct am_verdict {                /* what is to be sent; fini frees */
	char *name;                /* of the Event */
	char *message;
	int64_t first_wall;
	int64_t count;             /* 1: create it; more: patch, or create what has vanished */
};
struct am_correlator *am_correlator_new(void);
void am_correlator_free(struct am_correlator *correlator);
/* False: the object has said too much lately. */
bool am_correlator_see(struct am_correlator *correlator, const struct am_sighting *seen, struct am_verdict *ret);
void am_verdict_fini(struct am_verdict *verdict);

struct am_kube {
	struct am_kube_config *config;
	struct am_io *io;
	struct am_clock *clock;
};

#endif
