/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kubeconfig files, one or several merged: for each named cluster, user and context the first document that has
 * it wins, and so does the first current-context.  What we cannot honour (auth-provider plugins, passwords) is
 * refused: going on without it would mean being somebody else.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/util.h"
#include "core/data/scan.h"
#include "core/data/yaml.h"
#include "core/kube/kube_priv.h"

#define MAX_FILES 16

struct doc {
	const struct am_kubeconfig_text *from;
	struct am_node *root;
};

struct load {
	struct am_arena *arena;
	struct doc docs[MAX_FILES];
	size_t n;
	bool seen;                   /* a document of the file that is being parsed */
};

static int
take_document(void *arg, const char *json, size_t n, struct ambient_error *err)
{
	struct load *load = arg;
	struct doc *doc = &load->docs[load->n];

	if (load->seen)
		return ambient_err(err, AMBIENT_E_INVALID, "more than one YAML document");
	load->seen = true;
	doc->root = am_node_parse(load->arena, json, n, err);
	if (doc->root == NULL)
		return err != NULL && err->code != 0 ? -err->code : -AMBIENT_E_INVALID;
	if (doc->root->type != AMBIENT_T_OBJECT)
		return ambient_err(err, AMBIENT_E_INVALID, "not a kubeconfig: the document is no mapping");
	return 0;
}

/* The entry of that name in the list ("contexts"), and inside it the mapping ("context"). */
static const struct am_node *
find_named(const struct load *load, const char *list, const char *member, const char *name, const struct doc **ret)
{
	for (size_t i = 0; i < load->n; i++) {
		const struct am_node *entries = am_node_get(load->docs[i].root, list);

		if (entries == NULL || entries->type != AMBIENT_T_ARRAY)
			continue;
		for (const struct am_node *e = entries->first; e != NULL; e = e->next) {
			if (!am_streq(am_node_get_str(e, "name", NULL), name))
				continue;
			const struct am_node *inner = am_node_get(e, member);
			if (inner != NULL && inner->type == AMBIENT_T_OBJECT) {
				*ret = &load->docs[i];
				return inner;
			}
		}
	}
	return NULL;
}

static int
no_such(const struct load *load, const char *list, const char *what, const char *name, struct ambient_error *err)
{
	const char *names[64] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < load->n; i++) {
		const struct am_node *entries = am_node_get(load->docs[i].root, list);

		for (const struct am_node *e = entries != NULL ? entries->first : NULL; e != NULL; e = e->next) {
			const char *candidate = am_node_get_str(e, "name", NULL);
			if (candidate != NULL && n + 1 < AM_COUNTOF(names))
				names[n++] = candidate;
		}
	}
	const char *near = am_suggest(name, names);
	return ambient_err(err, AMBIENT_E_INVALID, "%s has no %s \"%.80s\"%s%.80s%s", load->docs[0].from->name, what, name,
			   near != NULL ? ", did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static char *
resolve(const struct doc *doc, const char *path)
{
	return path[0] == '/' ? am_xstrdup(path) : am_xasprintf("%s/%s", doc->from->dir, path);
}

/* KEY-data (base64) wins over KEY (a path), as in kubectl. */
static int
take_pem(const struct doc *doc, const struct am_node *in, const char *key, char **ret_data, char **ret_file,
	 struct ambient_error *err)
{
	char data_key[64];
	am_auto(am_buf_fini) struct am_buf buf = { .max = AM_KUBECONFIG_MAX };

	(void)snprintf(data_key, sizeof(data_key), "%s-data", key);
	const char *data = am_node_get_str(in, data_key, "");
	const char *file = am_node_get_str(in, key, "");
	if (data[0] != '\0') {
		if (am_base64_decode(&buf, data, strlen(data), false) < 0 || buf.failed || buf.len == 0 ||
		    memchr(buf.data, '\0', buf.len) != NULL)
			return ambient_err(err, AMBIENT_E_INVALID, "%s: \"%s\" is not base64 of a PEM text", doc->from->name,
					   data_key);
		*ret_data = am_buf_steal(&buf, NULL);
	} else if (file[0] != '\0') {
		*ret_file = resolve(doc, file);
	}
	return 0;
}

static int
take_cluster(struct am_kube_config *config, const struct doc *doc, const struct am_node *cluster,
	     struct ambient_error *err)
{
	const struct am_node *insecure = am_node_get(cluster, "insecure-skip-tls-verify");
	const char *sni = am_node_get_str(cluster, "tls-server-name", "");
	const char *proxy = am_node_get_str(cluster, "proxy-url", "");

	config->insecure = insecure != NULL && insecure->type == AMBIENT_T_BOOL && insecure->boolean;
	config->tls_server_name = sni[0] != '\0' ? am_xstrdup(sni) : NULL;
	config->proxy_url = proxy[0] != '\0' ? am_xstrdup(proxy) : NULL;
	return take_pem(doc, cluster, "certificate-authority", &config->ca_data, &config->ca_file, err);
}

static int
take_user(struct am_kube_config *config, const struct doc *doc, const struct am_node *user, const char *name,
	  struct ambient_error *err)
{
	static const char *const refused[] = { "auth-provider", "username", "password" };

	for (size_t i = 0; i < AM_COUNTOF(refused); i++) {
		const struct am_node *value = am_node_get(user, refused[i]);

		if (value != NULL && value->type != AMBIENT_T_NULL)
			return ambient_err(err, AMBIENT_E_UNSUPPORTED,
					   "%s: user \"%.80s\" needs \"%s\", which is not supported; use a client certificate, "
					   "a token, a token file or exec", doc->from->name, name, refused[i]);
	}
	const char *token = am_node_get_str(user, "token", "");
	const char *token_file = am_node_get_str(user, "tokenFile", "");
	if (token_file[0] != '\0') {
		config->token_file = resolve(doc, token_file);
	} else if (token[0] != '\0') {
		for (const char *p = token; *p != '\0'; p++)
			if (*p <= ' ' || *p > '~')
				return ambient_err(err, AMBIENT_E_INVALID, "%s: the token of user \"%.80s\" holds white space",
						   doc->from->name, name);
		config->token = am_xstrdup(token);
	}
	int rc = am_impersonate_parse(user, &config->impersonate, err);
	if (rc < 0)
		return am_err_prefix(err, "%s: user \"%.80s\"", doc->from->name, name);
	rc = take_pem(doc, user, "client-certificate", &config->cert_data, &config->cert_file, err);
	if (rc == 0)
		rc = take_pem(doc, user, "client-key", &config->key_data, &config->key_file, err);
	/* A token that is given is used; then there is nothing to ask for. */
	const struct am_node *exec = am_node_get(user, "exec");
	if (rc == 0 && config->token == NULL && config->token_file == NULL && exec != NULL && exec->type == AMBIENT_T_OBJECT) {
		rc = am_exec_spec_parse(exec, doc->from->dir, &config->exec, err);
		if (rc < 0)
			return am_err_prefix(err, "%s: user \"%.80s\"", doc->from->name, name);
	}
	return rc;
}

/* What a plugin that asks for it is told about the cluster: spec.cluster of its ExecCredential. */
static int
describe_cluster(const struct am_kube_config *config, const struct am_node *cluster, struct ambient_error *err)
{
	const struct am_node *extensions = am_node_get(cluster, "extensions");
	am_auto(am_buf_fini) struct am_buf ca = { 0 };
	struct am_buf out = { 0 };
	int rc = am_kube_config_ca(config, &ca, err);

	if (rc < 0)
		return rc;
	am_json_addf(&out, "{\"server\":%s", config->server);
	if (config->tls_server_name != NULL)
		am_json_addf(&out, ",\"tls-server-name\":%s", config->tls_server_name);
	if (config->insecure)
		am_buf_adds(&out, ",\"insecure-skip-tls-verify\":true");
	if (ca.len > 0) {
		am_buf_adds(&out, ",\"certificate-authority-data\":\"");
		am_base64_encode(&out, ca.data, ca.len, false);
		am_buf_addc(&out, '"');
	}
	if (config->proxy_url != NULL)
		am_json_addf(&out, ",\"proxy-url\":%s", config->proxy_url);
	for (const struct am_node *e = extensions != NULL && extensions->type == AMBIENT_T_ARRAY ? extensions->first : NULL;
	     e != NULL; e = e->next) {
		if (am_streq(am_node_get_str(e, "name", NULL), "client.authentication.k8s.io/exec") &&
		    am_node_get(e, "extension") != NULL) {
			am_buf_adds(&out, ",\"config\":");
			am_node_print(am_node_get(e, "extension"), &out);
			break;
		}
	}
	am_buf_addc(&out, '}');
	config->exec->cluster = am_buf_steal(&out, NULL);
	return 0;
}

static const char *
current_context(const struct load *load)
{
	for (size_t i = 0; i < load->n; i++) {
		const char *current = am_node_get_str(load->docs[i].root, "current-context", "");
		if (current[0] != '\0')
			return current;
	}
	return NULL;
}

static int
take_context(struct am_kube_config *config, const struct load *load, const char *context, struct ambient_error *err)
{
	const struct doc *doc = NULL;

	if (am_empty(context))
		context = current_context(load);
	if (context == NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "%s has no current-context; name a context", load->docs[0].from->name);
	const struct am_node *ctx = find_named(load, "contexts", "context", context, &doc);
	if (ctx == NULL)
		return no_such(load, "contexts", "context", context, err);
	config->ns = am_xstrdup(am_node_get_str(ctx, "namespace", NULL));

	const char *user_name = am_node_get_str(ctx, "user", "");
	if (user_name[0] != '\0') {
		const struct am_node *user = find_named(load, "users", "user", user_name, &doc);
		if (user == NULL)
			return no_such(load, "users", "user", user_name, err);
		int rc = take_user(config, doc, user, user_name, err);
		if (rc < 0)
			return rc;
	}
	const char *cluster_name = am_node_get_str(ctx, "cluster", "");
	const struct am_node *cluster = find_named(load, "clusters", "cluster", cluster_name, &doc);
	if (cluster == NULL)
		return no_such(load, "clusters", "cluster", cluster_name, err);
	int rc = take_cluster(config, doc, cluster, err);
	if (rc < 0)
		return rc;
	const char *server = am_node_get_str(cluster, "server", "");
	if (server[0] == '\0')
		return ambient_err(err, AMBIENT_E_INVALID, "%s: cluster \"%.80s\" has no server", doc->from->name, cluster_name);
	rc = am_kube_config_finish(config, server, err);
	if (rc == 0 && config->exec != NULL && config->exec->provide_cluster)
		rc = describe_cluster(config, cluster, err);
	return rc < 0 ? am_err_prefix(err, "%s: cluster \"%.80s\"", doc->from->name, cluster_name) : 0;
}

int
am_kube_config_texts(const struct am_kubeconfig_text *texts, size_t n, const char *context,
		     struct am_kube_config **ret, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new_limited(16 * AM_KUBECONFIG_MAX);
	struct load load = { .arena = arena };

	if (n == 0 || n > MAX_FILES)
		return ambient_err(err, AMBIENT_E_INVALID, "%zu kubeconfig files, 1 to %d are possible", n, MAX_FILES);
	for (size_t i = 0; i < n; i++) {
		load.docs[load.n] = (struct doc){ .from = &texts[i] };
		load.seen = false;
		if (texts[i].len > AM_KUBECONFIG_MAX)
			return ambient_err(err, AMBIENT_E_NOMEM, "%s is larger than %u bytes", texts[i].name, AM_KUBECONFIG_MAX);
		int rc = am_yaml_to_json(texts[i].text, texts[i].len, take_document, &load, err);
		if (rc < 0)
			return am_err_prefix(err, "%s", texts[i].name);
		if (load.seen && load.docs[load.n].root != NULL)
			load.n++;
	}
	if (load.n == 0)
		return ambient_err(err, AMBIENT_E_INVALID, "%s is empty", texts[0].name);

	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	int rc = take_context(config, &load, context, err);
	if (rc < 0) {
		am_kube_config_free(config);
		return rc;
	}
	*ret = config;
	return 0;
}

/* The files of a list, in order; those that do not exist are left out, as kubectl does. */
static int
load_files(char *const *paths, size_t n, bool must_exist, const char *context, struct am_kube_config **ret,
	   struct ambient_error *err)
{
	struct am_kubeconfig_text texts[MAX_FILES] = { 0 };
	struct am_buf bufs[MAX_FILES] = { 0 };
	char *names[MAX_FILES] = { NULL };
	char *dirs[MAX_FILES] = { NULL };
	size_t got = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = am_file_read(paths[i], AM_KUBECONFIG_MAX, &bufs[got], err);
		if (rc == -AMBIENT_E_NOTFOUND && !must_exist) {
			am_buf_fini(&bufs[got]);
			rc = 0;
			continue;
		}
		const char *slash = strrchr(paths[i], '/');
		dirs[got] = slash == NULL ? am_xstrdup(".") : am_xstrndup(paths[i], slash == paths[i] ? 1 : (size_t)(slash - paths[i]));
		names[got] = am_xasprintf("\"%.100s\"", paths[i]);
		texts[got] = (struct am_kubeconfig_text){ .name = names[got], .dir = dirs[got],
							  .text = am_buf_str(&bufs[got]), .len = bufs[got].len };
		got++;
	}
	if (rc == 0 && got == 0)
		rc = ambient_err(err, AMBIENT_E_NOTFOUND, "no kubeconfig file exists");
	if (rc == 0)
		rc = am_kube_config_texts(texts, got, context, ret, err);
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (bufs[i].data != NULL)
			explicit_bzero(bufs[i].data, bufs[i].len);
		am_buf_fini(&bufs[i]);
		free(names[i]);
		free(dirs[i]);
	}
	return rc;
}

int
am_kube_config_file(const char *path, const char *context, struct am_kube_config **ret, struct ambient_error *err)
{
	char *copy = am_xstrdup(path);
	int rc = load_files(&copy, 1, true, context, ret, err);

	free(copy);
	return rc;
}

static int
from_list(const char *list, const char *context, struct am_kube_config **ret, struct ambient_error *err)
{
	char *paths[MAX_FILES] = { NULL };
	size_t n = 0;
	int rc = 0;

	for (const char *p = list; *p != '\0' && rc == 0;) {
		size_t len = strcspn(p, ":");

		if (len > 0 && n == MAX_FILES)
			rc = ambient_err(err, AMBIENT_E_INVALID, "more than %d files", MAX_FILES);
		else if (len > 0)
			paths[n++] = am_xstrndup(p, len);
		p += len + (p[len] == ':');
	}
	if (rc == 0)
		rc = load_files(paths, n, false, context, ret, err);
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	return rc < 0 ? am_err_prefix(err, "KUBECONFIG") : 0;
}

int
am_kube_config_default(const char *path, const char *context, struct am_kube_config **ret, struct ambient_error *err)
{
	const char *list = getenv("KUBECONFIG");
	const char *home = getenv("HOME");

	if (!am_empty(path))
		return am_kube_config_file(path, context, ret, err);
	/* Who names files means them: there is no falling through to some other cluster. */
	if (!am_empty(list))
		return from_list(list, context, ret, err);
	if (!am_empty(home)) {
		am_auto(am_freep) char *file = am_xasprintf("%s/.kube/config", home);

		if (access(file, F_OK) == 0)
			return am_kube_config_file(file, context, ret, err);
	}
	int rc = am_kube_config_incluster(ret, err);
	if (rc == -AMBIENT_E_NOTFOUND)
		return ambient_err(err, AMBIENT_E_NOTFOUND,
				   "no cluster is configured: no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and not in a pod");
	return rc;
}
