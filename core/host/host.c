/* SPDX-License-Identifier: Apache-2.0 */
/* What all instances share: the API server, the facts, the registry of instances and of runner types. */
#include "core/host/host.h"

#include <stdlib.h>
#include <string.h>

#include "core/host/host_priv.h"

struct am_host *
am_host_new(const struct am_host_options *options)
{
	struct am_host *host = am_xcalloc(1, sizeof(*host));
	const char *node = options->node_name;

	if (node == NULL && am_streq(options->mode, "standalone"))
		node = "standalone";
	host->clock = options->clock;
	host_namespaces_copy(&host->namespaces, &options->namespaces);
	host->mode = am_xstrdup(options->mode);
	host->state = am_xstrdup(options->state);
	host->ns = am_xstrdup(options->ns);
	host->node_name = am_xstrdup(node);
	host->runner_image = am_xstrdup(options->runner_image);
	host->runner_type = am_xstrdup(options->runner_type);
	host->cache = (struct am_informers_options){ .stream = options->stream_lists, .packed = options->packed_cache };
	host->runner_types = am_xstrdup("");
	host->kinds = am_map_new();
	am_lock_init(&host->lock, "host");
	am_cond_init(&host->definitions_changed, host->clock);
	return host;
}

int
am_host_connect(struct am_host *host, struct am_kube *kube, const struct am_kube_config *config, struct ambient_error *err)
{
	struct am_buf ca = { 0 };

	am_assert(host->kube == NULL);
	int rc = am_kube_config_ca(config, &ca, err);
	if (rc < 0)
		return rc;
	host->kube = kube;
	host->informers = am_informers_new(am_kube_io(kube));
	am_informers_configure(host->informers, &host->cache);
	host->recorder = am_recorder_new(kube, "ambientd", host->node_name != NULL ? host->node_name : "");
	host->server = am_xstrdup(am_kube_config_server(config));
	host->cluster_ca = am_buf_steal(&ca, NULL);
	return 0;
}

struct am_informers *
am_host_informers(struct am_host *host)
{
	return host->informers;
}

void
am_host_event(struct am_host *host, const char *involved_json, const char *ns, const char *name, const char *reason,
	      const char *message)
{
	am_recorder_emit(host->recorder, involved_json, ns, name, "Normal", reason, message);
}

void
am_host_disconnect(struct am_host *host)
{
	if (host->kube == NULL)
		return;
	host_kinds_forget(host);
	am_recorder_free(host->recorder);
	am_informers_free(host->informers);
	host->recorder = NULL;
	host->informers = NULL;
	host->kube = NULL;
}

void
am_host_set_fence(struct am_host *host, const struct am_host_fence *fence)
{
	host->fence = fence != NULL ? *fence : (struct am_host_fence){ 0 };
}

static void
free_kinds(struct am_map *kinds)
{
	size_t it = 0;
	void *value;

	while (am_map_next(kinds, &it, NULL, &value)) {
		struct host_kind *k = value;
		free(k->api_version);
		free(k->kind);
		free(k);
	}
	am_map_free(kinds);
}

void
am_host_free(struct am_host *host)
{
	if (host == NULL)
		return;
	am_assert(host->instance_count == 0);
	am_host_disconnect(host);
	free_kinds(host->kinds);
	host_namespaces_fini(&host->namespaces);
	am_cond_fini(&host->definitions_changed);
	am_lock_fini(&host->lock);
	free(host->instances);
	free(host->mode);
	free(host->state);
	free(host->ns);
	free(host->node_name);
	free(host->runner_image);
	free(host->runner_type);
	free(host->runner_types);
	free(host->server);
	free(host->cluster_ca);
	free(host);
}

/* ---- facts and runner types */

const char *
host_fact(const struct ambient_host *table, const char *name)
{
	const struct am_host *host = instance_of(table)->host;
	const struct {
		const char *name, *value;
	} facts[] = {
		{ "mode", host->mode },
		{ "server", host->server },
		{ "cluster-ca", host->cluster_ca },
		{ "namespace", host->ns },
		{ "node-name", host->node_name },
		{ "runner-image", host->runner_image },
		{ "runner-type", host->runner_type },
	};

	for (size_t i = 0; i < AM_COUNTOF(facts); i++) {
		if (am_streq(name, facts[i].name))
			return facts[i].value;
	}
	return NULL;
}

const char *
host_runner_types(const struct ambient_host *table)
{
	return instance_of(table)->host->runner_types;
}

static struct am_instance *
find_runner(struct am_host *host, const char *type, const struct ambient_runner **code)
{
	struct am_instance *found = NULL;

	am_lock(&host->lock);
	for (size_t i = 0; i < host->instance_count && found == NULL; i++) {
		*code = am_plugin_runner(host->instances[i]->plugin, type);
		if (*code != NULL && host->instances[i]->created)
			found = host->instances[i];
	}
	am_unlock(&host->lock);
	return found;
}

struct buffer_sink {
	struct ambient_sink pub;
	struct am_buf text;
};

static void
sink_put(struct ambient_sink *sink, const char *text, size_t len)
{
	am_buf_add(&((struct buffer_sink *)(void *)sink)->text, text, len);
}

static int
parse_sink(struct ambient_call *call, struct buffer_sink *sink, const char *type, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	if (sink->text.len == 0)
		return 0;
	if (sink->text.failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "the plan of runner type \"%s\" is too large", type);
	int rc = am_object_parse(call_of(call)->head.pool, am_buf_str(&sink->text), sink->text.len, ret, err);
	return rc < 0 ? am_err_prefix(err, "the plan of runner type \"%s\"", type) : 0;
}

int
host_runner_plan(struct ambient_call *call, const char *type, const struct ambient_object *session,
		 const struct ambient_object *settings, const struct ambient_object *effective,
		 const struct ambient_object **fragment, const struct ambient_object **problems, struct ambient_error *err)
{
	struct am_host *host = instance_of(call->host)->host;
	const struct ambient_runner *code = NULL;
	const struct am_instance *owner = find_runner(host, type, &code);
	const struct ambient_plan in = { sizeof(in), session, settings, effective };
	struct buffer_sink made = { { sizeof(made.pub), sink_put }, { .max = 1 << 20 } }, wrong = made;

	*fragment = *problems = NULL;
	if (owner == NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "there is no runner type \"%.64s\"; loaded are: %s", type,
				   host->runner_types[0] != '\0' ? host->runner_types : "none");
	if (code->plan == NULL)
		return 0;
	int rc = code->plan(owner->self, &in, &made.pub, &wrong.pub, err);
	if (rc == 0)
		rc = parse_sink(call, &wrong, type, problems, err);
	if (rc == 0 && *problems == NULL)
		rc = parse_sink(call, &made, type, fragment, err);
	am_buf_fini(&made.text);
	am_buf_fini(&wrong.text);
	return rc;
}
