/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example of the documentation, as somebody outside of this tree would write it: a Widget wants a region, and
 * gets a ConfigMap that names it.  Builds with `pkg-config --cflags ambient` and nothing else of ours.
 */
#include <ambient/ambient.h>

#define WIDGET    "example.com/v1/widgets"
#define CONFIGMAP "v1/configmaps"

AMBIENT_DECLARE("name=widget\0"
		"version=1.0.0\0"
		"for=" WIDGET "\0"
		"owns=" CONFIGMAP "\0"
		"may=" CONFIGMAP ":create,patch " WIDGET "/status:patch\0");

struct self {
	const struct ambient_host *host;
	const char *region; /* of widgets that name none */
};

static int
create(const struct ambient_host *host, const struct ambient_conf *conf, void **ret_self, struct ambient_error *err)
{
	struct self *self = host->mem->alloc(host, sizeof(*self));

	if (self == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "no memory");
	self->host = host;
	self->region = host->conf->str(conf, "region", "eu");
	ambient_log(host, AMBIENT_LOG_INFO, "widgets live in %s", self->region);
	*ret_self = self;
	return 0;
}

static void
destroy(void *p)
{
	struct self *self = p;

	self->host->mem->free(self->host, self);
}

static int
reconcile(void *p, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	  struct ambient_error *err)
{
	struct self *self = p;
	const struct ambient_object *widget;
	const char *region;
	int rc = ambient_get(call, WIDGET, req->ns, req->name, &widget, err);

	if (rc == -AMBIENT_E_NOTFOUND)
		return 0; /* gone: the garbage collector follows the owner reference */
	if (rc < 0)
		return rc; /* tried again, later and later */
	region = ambient_str(widget, "/spec/region", self->region);
	if (*region == '\0')
		return ambient_terminal(err, "spec.region must not be empty");
	if (ambient_bool(widget, "/spec/urgent", 0))
		ambient_prioritize(result, 10);
	if (strcmp(region, "undecided") == 0)
		return ambient_requeue(result); /* somebody will decide: look again, later and later */

	struct ambient_draft *cm = ambient_draft_new(call, CONFIGMAP, req->ns, req->name);
	ambient_draft_set_str(cm, "/data/region", region);
	rc = ambient_apply(call, cm, err); /* owned by the widget; sent only when it changes something */
	if (rc < 0)
		return rc;
	if (strcmp(region, ambient_str(widget, "/status/observedRegion", "")) != 0)
		ambient_event(call, widget, "Normal", "Moved", "lives in %s now", region);

	struct ambient_draft *status = ambient_draft_new(call, WIDGET, req->ns, req->name);
	ambient_draft_set_str(status, "/status/observedRegion", region);
	ambient_draft_set_int(status, "/status/observedGeneration", ambient_int(widget, "/metadata/generation", 0));
	rc = ambient_condition_set(call, status, widget, "Ready", "True", "HasRegion", region, err);
	if (rc >= 0)
		rc = ambient_status(call, status, err);
	return rc < 0 ? rc : ambient_requeue_after(result, 30 * AMBIENT_SECOND);
}

static const struct ambient_option region = {
	sizeof(region), "region", AMBIENT_OPT_STRING, 0, "eu", 0, 0, "The region of widgets that name none.", NULL
};
static const struct ambient_option *const options[] = { &region, NULL };

static const struct ambient_reconciler widgets = { sizeof(widgets), "widget", reconcile };
static const struct ambient_reconciler *const reconcilers[] = { &widgets, NULL };

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = options,
	.create = create,
	.destroy = destroy,
	.reconcilers = reconcilers,
};
