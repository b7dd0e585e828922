/* SPDX-License-Identifier: Apache-2.0 */
/* Between the verbs (api_client.c) and what is built on them (apply.c). */
#ifndef AM_HOST_CLIENT_PRIV_H
#define AM_HOST_CLIENT_PRIV_H

#include "core/host/host_priv.h"

struct host_target {
	const char *kind, *ns, *name, *sub;
	const char *query; /* more of the query, starting with '&'; NULL: none */
};

/* May it?  Terminal when its plugin does not declare it. */
int host_permitted(const struct am_instance *instance, const struct host_target *target, uint32_t verb,
		   struct ambient_error *err);
/* Terminal: a read-only instance does not write.  Counts it. */
int host_refuse(struct am_instance *instance, const char *what, const char *kind, const char *ns, const char *name,
		struct ambient_error *err);
/* Permission, fence, request.  verb is one AM_VERB_*. */
int host_send(struct ambient_call *call, const struct host_target *target, uint32_t verb, const char *method,
	      const char *content_type, const struct am_buf *payload, struct am_buf *body, struct ambient_error *err);
/* Create or update of a whole object. */
int host_write(struct ambient_call *call, struct am_draft_info *draft, const char *sub, uint32_t verb,
	       const struct ambient_object **ret, struct ambient_error *err);
int host_patch(struct ambient_call *call, const struct host_target *target, int type, const char *text, size_t len,
	       const struct ambient_object **ret, struct ambient_error *err);

const char *host_patch_type(int type); /* its Content-Type; AMBIENT_PATCH_* */
/* What the API server answered to verb, for the plugin's eyes and for its cache; ret may be NULL. */
int host_answer(struct ambient_call *call, const struct host_target *target, uint32_t verb, struct am_buf *body,
		const struct ambient_object **ret, struct ambient_error *err);
int host_ask(struct ambient_call *call, const struct ambient_ask *ask, const struct ambient_object **ret,
	     struct ambient_error *err);

int host_apply(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags, const struct ambient_object **ret,
	       struct ambient_error *err);
int host_status(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object **ret,
		struct ambient_error *err);

#endif
