/* SPDX-License-Identifier: Apache-2.0 */
/* The client as a whole, and the short forms of its verbs. */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/kube/kube_priv.h"

int
am_kube_new(struct am_kube_config *config, const struct am_kube_options *options, struct am_kube **ret,
	    struct ambient_error *err)
{
	struct am_kube *kube = am_xcalloc(1, sizeof(*kube));

	kube->config = config;
	kube->clock = options->clock != NULL ? options->clock : am_clock_real();
	kube->io = am_curl_io_new(config, options, err);
	if (kube->io == NULL) {
		am_kube_config_free(config);
		free(kube);
		return err != NULL && err->code != 0 ? -err->code : -AMBIENT_E_NOMEM;
	}
	*ret = kube;
	return 0;
}

void
am_kube_free(struct am_kube *kube)
{
	if (kube == NULL)
		return;
	am_curl_io_free(kube->io);
	am_kube_config_free(kube->config);
	free(kube);
}

struct am_io *
am_kube_io(struct am_kube *kube)
{
	return kube->io;
}

static int
short_form(struct am_kube *kube, struct am_kube_request *request, const struct am_gvr *gvr, const char *ns,
	   const char *name, const char *sub, struct am_buf *body, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	am_kube_path(&path, gvr, ns, name, sub);
	if (path.failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	request->path = am_buf_str(&path);
	return am_kube_do(kube, request, body, err);
}

int
am_kube_get(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name, struct am_buf *body,
	    struct ambient_error *err)
{
	struct am_kube_request request = { .method = "GET" };

	return short_form(kube, &request, gvr, ns, name, NULL, body, err);
}

int
am_kube_create(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *json, size_t n,
	       struct am_buf *body, struct ambient_error *err)
{
	struct am_kube_request request = { .method = "POST", .body = json, .body_len = n };

	return short_form(kube, &request, gvr, ns, NULL, NULL, body, err);
}

int
am_kube_patch(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name, const char *sub,
	      const char *content_type, const char *json, size_t n, struct am_buf *body, struct ambient_error *err)
{
	struct am_kube_request request = {
		.method = "PATCH", .content_type = content_type, .body = json, .body_len = n,
	};

	return short_form(kube, &request, gvr, ns, name, sub, body, err);
}

int
am_kube_delete(struct am_kube *kube, const struct am_gvr *gvr, const char *ns, const char *name,
	       const char *options_json, struct ambient_error *err)
{
	struct am_kube_request request = {
		.method = "DELETE", .body = options_json, .body_len = options_json != NULL ? strlen(options_json) : 0,
	};

	return short_form(kube, &request, gvr, ns, name, NULL, NULL, err);
}
