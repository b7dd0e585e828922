/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The standalone API server as a plugin: options, life cycle, and the server that provides the cluster to the
 * daemon.  start opens certificates and database, applies the configured definitions and roles, and listens last: whoever can
 * connect is served.
 */
#include <ambient/plugin.h>
#include <curl/curl.h>
#include <stdlib.h>

#include "plugins/standalone/apiserver/rest.h"

AMBIENT_DECLARE("name=apiserver\0"
		"version=0.1.0\0"
		"provides=cluster\0"
		"server=apiserver\0"
		"needs=network");

struct plugin {
	const struct ambient_host *host;
	char *address;
	uint16_t port;
	const char **crds, **roles;
	int64_t event_ttl, quota;
	bool relaxed;
	int64_t token_life_max, token_key_life;
	bool token_extend;
	char *key_file, *token_file;
	struct rest_audit_options audit;
	const char **encrypted;
	struct rest_server server;
	bool started;
	struct am_lock lock; /* guards started */
};

static const struct ambient_option opt_listen = {
	sizeof(struct ambient_option), "listen", AMBIENT_OPT_STRING, 0, "127.0.0.1:16443", 0, 0,
	"Address and port to listen on; port 0 takes any.", NULL,
};
static const struct ambient_option opt_crds = {
	sizeof(struct ambient_option), "crds", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"Files, or directories of files, with CustomResourceDefinitions that are applied at start.", NULL,
};
static const struct ambient_option opt_roles = {
	sizeof(struct ambient_option), "roles", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"Files, or directories of files, with ClusterRoles that are applied at start.", NULL,
};
static const struct ambient_option opt_event_ttl = {
	sizeof(struct ambient_option), "eventTTL", AMBIENT_OPT_DURATION, 0, "1h", 60 * AM_NS_PER_S,
	30 * INT64_C(86400) * AM_NS_PER_S, "How long Events are kept.", NULL,
};
static const struct ambient_option opt_durability = {
	sizeof(struct ambient_option), "durability", AMBIENT_OPT_STRING, 0, "power", 0, 0,
	"What an answered write survives: \"power\", a cut of the power too; \"process\", the end of the daemon and of the "
	"operating system only as far as it came, which is faster.",
	NULL,
};
static const struct ambient_option opt_token_max = {
	sizeof(struct ambient_option), "tokenMaxLife", AMBIENT_OPT_DURATION, 0, "8760h", 3600 * AM_NS_PER_S,
	87600 * INT64_C(3600) * AM_NS_PER_S,
	"The longest life of a ServiceAccount token; whoever asks for more gets this much and a warning.", NULL,
};
static const struct ambient_option opt_token_key = {
	sizeof(struct ambient_option), "tokenKeyLife", AMBIENT_OPT_DURATION, 0, "2160h", 3600 * AM_NS_PER_S,
	87600 * INT64_C(3600) * AM_NS_PER_S,
	"How long a key signs ServiceAccount tokens before another takes over; the old one verifies until its last token "
	"has ended.", NULL,
};
static const struct ambient_option opt_token_extend = {
	sizeof(struct ambient_option), "tokenExtend", AMBIENT_OPT_BOOL, 0, "false", 0, 0,
	"Pods' tokens of 3607 s, which kubelets ask for, are good for a year as far as this server is concerned: for "
	"programs that never read their token again.  Their use after the asked time is noted in the audit log.", NULL,
};
static const struct ambient_option opt_keys = {
	sizeof(struct ambient_option), "encryptionKeys", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	"A file of keys, a line \"ID KEY\" each (KEY: 32 bytes in base64), with which objects are encrypted in the database: "
	"the first writes, all read.  What was stored otherwise is encrypted at the next start.", NULL,
};
static const struct ambient_option opt_token_file = {
	sizeof(struct ambient_option), "tokenFile", AMBIENT_OPT_PATH, 0, NULL, 0, 0,
	"Users with tokens: lines token,user,uid,\"group,group\", read again when the file changes.  A token may be given as "
	"sha256: and its hash in hex.", NULL,
};
static const struct ambient_option opt_encrypted = {
	sizeof(struct ambient_option), "encrypted", AMBIENT_OPT_STRINGS, 0, NULL, 0, 0,
	"The resources that are encrypted, such as \"configmaps\" or \"widgets.example.com\"; otherwise \"secrets\".", NULL,
};
static const struct ambient_option opt_quota = {
	sizeof(struct ambient_option), "quota", AMBIENT_OPT_SIZE, 0, "0", 0, INT64_C(1) << 50,
	"What the database may use of the disk; beyond it only deletions, status and leases are written.  0: what the disk "
	"gives.",
	NULL,
};
static const struct ambient_option *const options[] = { &opt_listen, &opt_crds, &opt_roles, &opt_event_ttl, &opt_durability,
							&opt_quota, &opt_token_max, &opt_token_key, &opt_token_extend, &opt_keys,
							&opt_encrypted, &opt_token_file, &rest_opt_audit_file,
							&rest_opt_audit_level, &rest_opt_audit_rules,
							&rest_opt_audit_size, &rest_opt_audit_backups, NULL };

/* "127.0.0.1:16443", "[::1]:16443" */
static int
parse_listen(const char *text, char **ret_address, uint16_t *ret_port, struct ambient_error *err)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (colon == NULL || colon == text || am_parse_u64(colon + 1, &port) < 0 || port > 65535)
		return ambient_err(err, AMBIENT_E_INVALID, "listen: \"%s\" is not ADDRESS:PORT, as in \"127.0.0.1:16443\"",
				   text);
	size_t n = (size_t)(colon - text);

	if (text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	*ret_address = am_xstrndup(text, n);
	*ret_port = (uint16_t)port;
	return 0;
}

static int
check(const struct ambient_host *host, const struct ambient_conf *conf, struct ambient_error *err)
{
	const char *durability = host->conf->str(conf, "durability", "power");
	char *address = NULL;
	uint16_t port;
	int rc = parse_listen(host->conf->str(conf, "listen", "127.0.0.1:16443"), &address, &port, err);

	free(address);
	if (rc == 0 && strcmp(durability, "power") != 0 && strcmp(durability, "process") != 0)
		rc = ambient_err(err, AMBIENT_E_INVALID, "durability: \"%s\" is neither \"power\" nor \"process\"", durability);
	if (rc == 0) {
		struct rest_audit_options audit;

		rc = rest_audit_conf(host, conf, &audit, err);
		rest_audit_conf_fini(&audit);
	}
	return rc;
}

static const char **
read_strings(const struct ambient_host *host, const struct ambient_conf *conf, const char *name)
{
	size_t n = host->conf->count(conf, name);
	const char **list = am_xcalloc(n + 1, sizeof(char *)), *key, *value;

	for (size_t i = 0; i < n; i++)
		if (host->conf->entry(conf, name, i, &key, &value) == 0)
			list[i] = am_xstrdup(value);
	return list;
}

static void
free_strings(const char **list)
{
	for (size_t i = 0; list[i] != NULL; i++)
		free((char *)(uintptr_t)list[i]);
	free(list);
}

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct plugin *p;

	if (host->state_dir == NULL)
		return ambient_err(err, AMBIENT_E_UNSUPPORTED, "apiserver needs a state directory");
	int rc = check(host, conf, err);
	if (rc < 0)
		return rc;
	p = am_xcalloc(1, sizeof(*p));
	p->host = host;
	am_lock_init(&p->lock, "apiserver");
	(void)parse_listen(host->conf->str(conf, "listen", "127.0.0.1:16443"), &p->address, &p->port, err);
	p->crds = read_strings(host, conf, "crds");
	p->roles = read_strings(host, conf, "roles");
	p->event_ttl = host->conf->integer(conf, "eventTTL", 3600 * AM_NS_PER_S);
	p->key_file = am_xstrdup(host->conf->str(conf, "encryptionKeys", NULL));
	p->token_file = am_xstrdup(host->conf->str(conf, "tokenFile", NULL));
	p->encrypted = read_strings(host, conf, "encrypted");
	(void)rest_audit_conf(host, conf, &p->audit, err);
	p->audit.hidden = (const char *const *)p->encrypted;
	p->token_life_max = host->conf->integer(conf, "tokenMaxLife", 8760 * INT64_C(3600) * AM_NS_PER_S);
	p->token_key_life = host->conf->integer(conf, "tokenKeyLife", 2160 * INT64_C(3600) * AM_NS_PER_S);
	p->token_extend = host->conf->integer(conf, "tokenExtend", 0) != 0;
	p->relaxed = strcmp(host->conf->str(conf, "durability", "power"), "process") == 0;
	p->quota = host->conf->integer(conf, "quota", 0);
	*ret_self = p;
	return 0;
}

static void
close_server(struct plugin *p)
{
	struct rest_server *s = &p->server;

	atomic_store(&s->ready, 0);
	am_httpd_stop(s->httpd);
	rest_pass_reap(s, true);
	rest_texts_free(s->texts);
	rest_rbac_free(s->rbac);
	if (s->engine != NULL)
		am_engine_close(s->engine);
	rest_discovery_free(s->discovery);
	rest_openapi_free(s->openapi);
	rest_keys_free(s->keys);
	rest_static_free(s->users);
	rest_audit_close(s->audit);
	rest_pki_free(s->pki);
	free(s->address);
	memset(s, 0, sizeof(*s));
}

static void
space_changed(void *arg, bool exceeded)
{
	struct plugin *p = arg;

	p->host->metrics->gauge(p->host, "database_space_exceeded", exceeded ? 1 : 0);
}

static int
open_keys(struct plugin *p, struct ambient_error *err)
{
	am_auto(am_freep) char *dir = am_xasprintf("%s/pki", p->host->state_dir);
	const struct rest_keys_options ko = { .dir = dir, .clock = p->server.clock, .life_ns = p->token_key_life,
						   .keep_ns = p->token_life_max };

	p->server.token_life_max = p->token_life_max;
	p->server.token_extend = p->token_extend;
	return rest_keys_open(&ko, &p->server.keys, err);
}

static int
open_server(struct plugin *p, struct ambient_error *err)
{
	struct rest_server *s = &p->server;
	struct am_engine_options eo = { .dir = p->host->state_dir, .event_ttl_ns = p->event_ttl,
					.survive_process_only = p->relaxed, .quota = p->quota,
					.woken = rest_watch_woken, .woken_arg = &p->server,
					.space_changed = space_changed, .space_arg = p, .key_file = p->key_file,
					.encrypted = p->encrypted[0] != NULL ? (const char *const *)p->encrypted : NULL };

	memset(s, 0, sizeof(*s));
	s->clock = am_clock_real();
	s->address = am_xstrdup(p->address);
	s->texts = rest_texts_new();
	s->discovery = rest_discovery_new();
	s->openapi = rest_openapi_new();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	int rc = rest_pki_open(p->host->state_dir, p->address, &s->pki, err);
	if (rc == 0)
		rc = open_keys(p, err);
	if (rc == 0)
		rc = rest_static_open(p->host->state_dir, p->token_file, &s->users, err);
	p->audit.clock = s->clock;
	if (rc == 0 && p->audit.path != NULL)
		rc = rest_audit_open(&p->audit, &s->audit, err);
	if (rc == 0)
		rc = am_engine_open(&eo, &s->engine, err);
	if (rc == 0) {
		s->rbac = rest_rbac_new(s->engine);
		rc = rest_rbac_bootstrap(s, err);
	}
	if (rc == 0)
		rc = rest_apply_files(s, REST_FILES_CRDS, p->crds, err);
	if (rc == 0)
		rc = rest_apply_files(s, REST_FILES_ROLES, p->roles, err);
	if (rc < 0)
		return rc;
	struct am_httpd_options ho = {
		.name = "apiserver", .address = p->address, .port = p->port, .cert_pem = s->pki->cert,
		.key_pem = s->pki->key, .client_ca_pem = s->pki->ca, .threads = 8, .body_max = REST_BODY_MAX,
		.handler = rest_serve, .refusal = rest_refusal, .self = s,
	};

	rc = am_httpd_start(&ho, &s->httpd, err);
	if (rc == 0) {
		s->port = am_httpd_port(s->httpd);
		rc = rest_pki_kubeconfigs(s->pki, p->address, s->port, err);
	}
	if (rc == 0)
		atomic_store(&s->ready, 1);
	return rc;
}

static int
server_start(void *self, struct ambient_error *err)
{
	struct plugin *p = self;
	int rc = open_server(p, err);

	if (rc < 0) {
		close_server(p);
		return rc;
	}
	am_lock(&p->lock);
	p->started = true;
	am_unlock(&p->lock);
	ambient_log(p->host, AMBIENT_LOG_INFO, "serving on https://%s:%u", p->address, p->server.port);
	return 0;
}

static int
server_ready(void *self, struct ambient_error *err)
{
	struct plugin *p = self;
	int rc;

	am_lock(&p->lock);
	rc = p->started ? am_engine_healthy(p->server.engine, err)
			: ambient_err(err, AMBIENT_E_UNAVAILABLE, "the API server is not started");
	am_unlock(&p->lock);
	return rc;
}

static const char *
server_kubeconfig(void *self)
{
	struct plugin *p = self;

	return p->server.pki != NULL ? p->server.pki->host_kubeconfig : NULL;
}

static void
server_stop(void *self)
{
	struct plugin *p = self;

	am_lock(&p->lock);
	bool started = p->started;

	p->started = false;
	am_unlock(&p->lock);
	if (started)
		close_server(p);
}

static void
destroy(void *self)
{
	struct plugin *p = self;

	server_stop(p);
	free_strings(p->crds);
	free_strings(p->roles);
	free_strings(p->encrypted);
	free(p->key_file);
	rest_audit_conf_fini(&p->audit);
	free(p->token_file);
	free(p->address);
	am_lock_fini(&p->lock);
	free(p);
}

static const struct ambient_server server = {
	.size = sizeof(struct ambient_server),
	.name = "apiserver",
	.start = server_start,
	.ready = server_ready,
	.kubeconfig = server_kubeconfig,
	.stop = server_stop,
};
static const struct ambient_server *const servers[] = { &server, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.check = check,
	.create = create,
	.destroy = destroy,
	.servers = servers,
};
