/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of core/host share: a real host over a real client and a scripted API server, and a plugin that is a
 * few functions of the test's own process.  The API server has the widget "w" of namespace "n", region eu, and nothing
 * else; answers to writes are the test's rules.
 */
#ifndef TESTS_FUNC_HOST_H
#define TESTS_FUNC_HOST_H

#include "tests/func/client.h"

#include "core/data/scan.h"
#include "core/host/host_priv.h"

#define WIDGETS    "example.com/v1/widgets"
#define CONFIGMAPS "v1/configmaps"
#define SECRETS    "v1/secrets"
#define IN_N       "/apis/example.com/v1/namespaces/n/widgets"
#define META(name, rv) "\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u-" name "\",\"resourceVersion\":\"" rv "\"}"
#define WIDGET(name, rv, rest) "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\"," META(name, rv) rest "}"
#define CONFIGMAP(name, rv, rest) "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"," META(name, rv) rest "}"
#define STATUS(code, reason) "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"" reason "\",\"message\":\"said\",\"code\":" #code "}"

static const char declarations[] =
	"name=widget\0version=1.0.0\0for=" WIDGETS "\0owns=" CONFIGMAPS "\0index=byRegion:/spec/region\0"
	"may=" WIDGETS ":update,patch,delete\0may=" WIDGETS "/status:patch\0may=" CONFIGMAPS ":create,update,patch,delete\0"
	"may=" SECRETS ":get,create,patch\0may=v1/serviceaccounts/token:create\0";

static struct am_host *host;
static struct am_instance *inst;
static struct ambient_error err = AMBIENT_ERROR_INIT;
static char state[64];

/* ---- the plugin */

static int calls_of_create, calls_of_stop, calls_of_destroy, create_rc, reload_rc;
static int (*script)(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
		     struct ambient_error *err);

static am_unused_ int
plugin_create(const struct ambient_host *table, const struct ambient_conf *conf, void **ret_self, struct ambient_error *e)
{
	calls_of_create++;
	if (create_rc < 0)
		return ambient_err(e, -create_rc, "no widgets today");
	/* The test recognises an instance by its configuration, or by its table when it has none. */
	*ret_self = conf != NULL ? (void *)(uintptr_t)conf : (void *)(uintptr_t)table;
	return 0;
}

static am_unused_ int
plugin_reload(void *self am_unused_, const struct ambient_conf *conf am_unused_, struct ambient_error *e)
{
	return reload_rc < 0 ? ambient_err(e, -reload_rc, "not this one") : 0;
}

static am_unused_ void
plugin_stop(void *self am_unused_)
{
	calls_of_stop++;
}

static am_unused_ void
plugin_destroy(void *self am_unused_)
{
	calls_of_destroy++;
}

static am_unused_ int
plugin_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
		 struct ambient_error *e)
{
	return script != NULL ? script(self, call, req, result, e) : 0;
}

static am_unused_ const struct am_plugin *
plugin_of(const char *text, size_t n)
{
	static struct am_plugin plugins[4];
	static struct ambient_reconciler reconcilers[4];
	static size_t used;
	struct am_plugin *p = &plugins[used];

	p->decl = am_plugin_decl_parse(text, n, &err);
	ck_assert_msg(p->decl != NULL, "%s", err.message);
	p->table = (struct ambient_plugin){ .create = plugin_create, .reload = plugin_reload, .stop = plugin_stop,
					    .destroy = plugin_destroy };
	reconcilers[used] = (struct ambient_reconciler){ sizeof(struct ambient_reconciler), p->decl->name, plugin_reconcile };
	p->reconcilers = &reconcilers[used++];
	p->reconciler_count = p->decl->reconciler_count;
	return p;
}

/* ---- the API server */

/* The rules' strings have to stay. */
static am_unused_ const char *
kept(char *text)
{
	static char *texts[64];
	static size_t count;

	ck_assert_uint_lt(count, AM_COUNTOF(texts));
	return texts[count++] = text;
}

static am_unused_ void
serve_kind(const char *path, const char *kind, const char *items)
{
	rule("GET", kept(am_xasprintf("%s?*watch=true*", path)), 0, 200, NULL, "", FAKE_API_STALL);
	rule("GET", kept(am_xasprintf("%s?*", path)), 0, 200, NULL,
	     kept(am_xasprintf("{\"kind\":\"%sList\",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[%s]}", kind,
			       am_starts(path, "/api/") ? "v1" : "example.com/v1", items)), 0);
}

static am_unused_ void
serve_widgets(void)
{
	serve_kind("/apis/example.com/v1/widgets", "Widget", "{" META("w", "5") ",\"spec\":{\"region\":\"eu\"}}");
	serve_kind("/api/v1/configmaps", "ConfigMap", "");
}

/* ---- the host */

static am_unused_ void
begin_host(void)
{
	begin(FAKE_API_PLAIN);
	open_kube(config_of(fake_api_url(api)), -1, 0);
	(void)snprintf(state, sizeof(state), "/tmp/test_host.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state));
	const struct am_host_options options = { .clock = fake, .mode = "standalone", .state = state, .ns = "ambient",
						 .runner_image = "image:1", .runner_type = "command" };
	host = am_host_new(&options);
	ck_assert_int_eq(am_host_connect(host, kube, kube->config, &err), 0);
}

static am_unused_ struct am_instance *
make_instance(const char *name, const struct am_plugin *plugin, const struct ambient_conf *conf)
{
	const struct am_instance_options options = { .name = name, .plugin = plugin, .conf = conf, .workers = 1 };
	struct am_instance *made = NULL;

	ck_assert_msg(am_instance_new(host, &options, &made, &err) == 0, "%s", err.message);
	ck_assert_msg(am_instance_create(made, &err) == 0, "%s", err.message);
	return made;
}

static am_unused_ void
watch_instance(struct am_instance *instance)
{
	ck_assert_msg(am_instance_watch(instance, &err) == 0, "%s", err.message);
	ck_assert_msg(am_instance_wait_synced(instance, AM_FOREVER, NULL, &err) == 0, "%s", err.message);
}

static am_unused_ void
end_host(void)
{
	am_instance_free(inst);
	am_host_free(host);
	ck_assert_int_eq(am_remove_tree(state, NULL), 0);
	end();
}

/* Of the JSON text of the i-th request: the string, or the text of another value, at pointer; "-" when absent. */
static am_unused_ const char *
sent(int i, const char *pointer)
{
	static char value[512];
	const struct fake_api_request *r = fake_api_request(api, i);
	struct am_slice found;

	(void)am_strlcpy(value, "-", sizeof(value));
	if (r->body != NULL && am_json_find(am_slice(r->body, r->body_len), pointer, &found))
		(void)snprintf(value, sizeof(value), "%.*s", (int)found.n, found.p);
	return value;
}

#endif
