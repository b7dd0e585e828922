/* SPDX-License-Identifier: Apache-2.0 */
/* The widget's core in C++: the headers are used, not only included. */
#include <ambient/ambient.h>

AMBIENT_DECLARE("name=plus\0" "version=1.0.0\0" "for=example.com/v1/widgets\0" "may=example.com/v1/widgets/status:patch\0");

namespace {

struct widget {
	const struct ambient_host *host;
};

int create(const struct ambient_host *host, const struct ambient_conf *, void **ret_self, struct ambient_error *)
{
	*ret_self = new widget{host};
	return 0;
}

void destroy(void *self)
{
	delete static_cast<widget *>(self);
}

int reconcile(void *, struct ambient_call *call, const struct ambient_request *req, struct ambient_result *result,
	      struct ambient_error *err)
{
	const struct ambient_object *o = nullptr;
	int rc = ambient_get(call, "example.com/v1/widgets", req->ns, req->name, &o, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	struct ambient_draft *d = ambient_draft_from(call, "example.com/v1/widgets", o);
	ambient_draft_set_str(d, "/status/phase", "Ready");
	rc = ambient_status(call, d, err);
	if (rc < 0)
		return rc;
	return ambient_requeue_after(result, 30 * AMBIENT_SECOND);
}

const struct ambient_reconciler only = { sizeof(only), nullptr, reconcile };
const struct ambient_reconciler *const reconcilers[] = { &only, nullptr };

} // namespace

const struct ambient_plugin ambient_plugin_v1 = {
	AMBIENT_PLUGIN_HEAD,
	.options = nullptr,
	.check = nullptr,
	.create = create,
	.reload = nullptr,
	.stop = nullptr,
	.destroy = destroy,
	.reconcilers = reconcilers,
};
