/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client over the fake host's that fails from a chosen write on, as if the daemon had died there.  For tests that walk
 * every such point: writes_left = n; look; writes_left = -1; look again.
 */
#ifndef TESTS_LIB_CUT_H
#define TESTS_LIB_CUT_H

#include "tests/lib/fake_host.h"

static const struct ambient_client_api *cut_real;
static struct ambient_client_api cut_client;
static int writes_left; /* before the "crash"; negative: no crash */

static inline int
cut(struct ambient_error *err)
{
	if (writes_left > 0)
		writes_left--;
	else if (writes_left == 0)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "crash");
	return 0;
}

static inline int
cut_create(struct ambient_call *call, struct ambient_draft *draft, const char *sub, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->create(call, draft, sub, ret, err);
}

static inline int
cut_update(struct ambient_call *call, struct ambient_draft *draft, const char *sub, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->update(call, draft, sub, ret, err);
}

static inline int
cut_patch(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *sub, int type,
	  const char *body, size_t len, const struct ambient_object **ret, struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->patch(call, kind, ns, name, sub, type, body, len, ret, err);
}

static inline int
cut_remove(struct ambient_call *call, const char *kind, const char *ns, const char *name, const char *options,
	   struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->remove(call, kind, ns, name, options, err);
}

static inline int
cut_apply(struct ambient_call *call, struct ambient_draft *draft, uint32_t flags, const struct ambient_object **ret,
	  struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->apply(call, draft, flags, ret, err);
}

static inline int
cut_status(struct ambient_call *call, struct ambient_draft *draft, const struct ambient_object **ret,
	   struct ambient_error *err)
{
	int rc = cut(err);

	return rc < 0 ? rc : cut_real->status(call, draft, ret, err);
}

static inline void
cut_install(struct ambient_host *table)
{
	cut_real = table->client;
	cut_client = *cut_real;
	cut_client.create = cut_create;
	cut_client.update = cut_update;
	cut_client.patch = cut_patch;
	cut_client.remove = cut_remove;
	cut_client.apply = cut_apply;
	cut_client.status = cut_status;
	table->client = &cut_client;
	writes_left = -1;
}

#endif
