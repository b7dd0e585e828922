/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limitRange and resourceQuota: what stands there is the spec of the LimitRange and the ResourceQuota of the namespace.
 * Whether it is a sensible one is for the API server to say, and for a condition to pass on.
 */
#include "plugins/projectsettings/projectsettings.h"

/* An empty limitRange asks for what keeps a pod that says nothing from taking a whole node. */
#define DEFAULT_LIMITS "[{\"type\":\"Container\",\"defaultRequest\":{\"cpu\":\"250m\",\"memory\":\"256Mi\"}," \
		       "\"default\":{\"cpu\":\"2\",\"memory\":\"4Gi\"}}]"

static const struct limit {
	enum ps_condition cond;
	const char *field, *pointer, *kind, *word, *name;
	const char *member, *fallback; /* of the spec, when it has no such member; NULL: none */
} limits[] = {
	{ PS_LIMITS, "spec.limitRange", "/spec/limitRange", PS_RANGE, "LimitRange", PS_RANGE_NAME, "/spec/limits", DEFAULT_LIMITS },
	{ PS_QUOTAS, "spec.resourceQuota", "/spec/resourceQuota", PS_QUOTA, "ResourceQuota", PS_QUOTA_NAME, NULL, NULL },
};

static int
apply(struct ambient_call *call, const struct ambient_object *settings, const struct limit *l, struct ambient_error *err)
{
	struct ambient_draft *draft = ambient_draft_new(call, l->kind, ambient_str(settings, "/metadata/namespace", ""), l->name);

	ambient_draft_set_str(draft, PS_MANAGED, "true");
	ambient_draft_set_object(draft, "/spec", ambient_at(settings, l->pointer));
	if (l->member != NULL && ambient_type(ambient_draft_view(draft), l->member) == AMBIENT_T_NONE)
		ambient_draft_set_json(draft, l->member, l->fallback);
	return ambient_apply(call, draft, err);
}

static int
drop(struct ambient_call *call, const struct ambient_object *settings, const struct limit *l, struct ambient_error *err)
{
	const struct ambient_object *o = NULL;
	int rc = ambient_get(call, l->kind, ambient_str(settings, "/metadata/namespace", ""), l->name, &o, err);

	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	return ps_owned(o, settings) ? ps_delete(call, l->kind, o, err) : 0;
}

/* What a kube-apiserver cannot read in an apply, such as a quantity that is none, it calls an error of its own (500). */
static bool
is_unreadable(int rc, const struct ambient_error *err)
{
	return rc == -AMBIENT_E_INVALID || (rc == -AMBIENT_E_INTERNAL && strstr(err->message, "unable to convert unstructured object"));
}

static int
bring(struct ambient_call *call, const struct ambient_object *settings, const struct limit *l, struct ps_status *st,
      struct ambient_error *err)
{
	enum ps_whose whose;
	int rc = ps_whose(call, settings, l->kind, l->name, &whose, err);

	if (rc == 0 && whose == PS_FOREIGN) {
		ps_bad(st, l->cond, "NameConflict", "%s: there is a %s \"%s\" that was not made for it; delete one of the two",
		       l->field, l->word, l->name);
		return 0;
	}
	if (rc == 0)
		rc = apply(call, settings, l, err);
	if (rc == 0)
		ps_good(st, l->cond, "Applied");
	else if (rc != -AMBIENT_E_CONFLICT)
		ps_bad(st, l->cond, is_unreadable(rc, err) ? "Invalid" : "NotApplied", "%s: %.300s", l->field, err->message);
	return rc < 0 && is_unreadable(rc, err) ? 0 : rc; /* it stays so until somebody writes something else */
}

int
ps_limits(struct ambient_call *call, const struct ambient_object *settings, bool managed, struct ps_status *st,
	  struct ambient_error *err)
{
	struct ambient_error own = AMBIENT_ERROR_INIT;
	int first = 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct limit *l = &limits[i];
		bool wanted = managed && ambient_type(settings, l->pointer) == AMBIENT_T_OBJECT;
		int rc = wanted ? bring(call, settings, l, st, &own) : drop(call, settings, l, &own);

		if (rc == 0 || first < 0)
			continue;
		first = rc;
		ambient_err_copy(err, &own);
	}
	return first;
}
