/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Job's pods: making, deleting, adopting, releasing.  A pod's name follows from the Job's uid, its index and a
 * number, so that a create whose answer was lost cannot be repeated under another name.
 */
#include "workloads.h"

#include <stdio.h>
#include <string.h>

static void
pod_name(char name[64], const struct job_view *v, int64_t index, int64_t number)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint64_t hash = UINT64_C(14695981039346656037);
	char text[128], middle[32] = "", suffix[6];

	(void)snprintf(text, sizeof(text), "%s/%lld/%lld", v->uid, (long long)index, (long long)number);
	for (const char *p = text; *p != '\0'; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(1099511628211);
	hash ^= hash >> 29;
	for (size_t i = 0; i < 5; i++, hash /= 27)
		suffix[i] = letters[hash % 27];
	suffix[5] = '\0';
	if (index >= 0)
		(void)snprintf(middle, sizeof(middle), "-%lld", (long long)index);
	(void)snprintf(name, 64, "%.*s%s-%s", (int)(57 - strlen(middle)), v->name, middle, suffix);
}

static bool
taken(const struct job_view *v, const char *name)
{
	for (size_t i = 0; i < v->count; i++)
		if (strcmp(v->pods[i].name, name) == 0)
			return true;
	return false;
}

static bool
has_env(const struct ambient_object *container, const char *name)
{
	for (size_t i = 0, n = ambient_len(container, "/env"); i < n; i++)
		if (strcmp(ambient_str(ambient_item(container, "/env", i, NULL), "/name", ""), name) == 0)
			return true;
	return false;
}

static void
set_annotation(struct ambient_draft *d, const char *key, int64_t value)
{
	char at[128], text[24];
	const char *slash = strchr(key, '/');

	(void)snprintf(at, sizeof(at), "/metadata/annotations/%.*s~1%s", (int)(slash - key), key, slash + 1);
	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	ambient_draft_set_str(d, at, text);
}

/* What tells a pod which index it works on: hostname, label, annotation, and from the label its environment. */
static void
set_index(struct ambient_draft *d, struct job_view *v, int64_t index)
{
	static const char *const lists[] = { "/spec/initContainers", "/spec/containers" };
	const struct job_pod *before = v->index_limit >= 0 ? job_last_failure(v, index) : NULL;
	char at[96], text[96];

	(void)snprintf(text, sizeof(text), "%.63s-%lld", v->name, (long long)index);
	ambient_draft_set_str(d, "/spec/hostname", text);
	set_annotation(d, A_INDEX, index);
	(void)snprintf(text, sizeof(text), "%lld", (long long)index);
	ambient_draft_set_str(d, "/metadata/labels/batch.kubernetes.io~1job-completion-index", text);
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0, n = ambient_len(ambient_draft_view(d), lists[l]); i < n; i++) {
			(void)snprintf(at, sizeof(at), "%s/%zu", lists[l], i);
			if (has_env(ambient_at(ambient_draft_view(d), at), "JOB_COMPLETION_INDEX"))
				continue;
			(void)snprintf(at, sizeof(at), "%s/%zu/env", lists[l], i);
			if (ambient_type(ambient_draft_view(d), at) != AMBIENT_T_ARRAY)
				ambient_draft_set_json(d, at, "[]");
			(void)snprintf(at, sizeof(at), "%s/%zu/env/-", lists[l], i);
			ambient_draft_set_json(d, at, "{\"name\":\"JOB_COMPLETION_INDEX\",\"valueFrom\":{\"fieldRef\":{"
					       "\"fieldPath\":\"metadata.labels['" A_INDEX "']\"}}}");
		}
	if (v->index_limit < 0)
		return;
	set_annotation(d, A_FAILURES, before == NULL ? 0 : before->failures + (before->verdict != JOB_IGNORE));
	if (before != NULL && before->ignored + (before->verdict == JOB_IGNORE) > 0)
		set_annotation(d, A_IGNORED, before->ignored + (before->verdict == JOB_IGNORE));
}

static struct ambient_draft *
draft_pod(struct ambient_call *call, struct job_view *v, const char *name, int64_t index)
{
	static const char *const labels[] = { "batch.kubernetes.io~1controller-uid", "controller-uid",
		"batch.kubernetes.io~1job-name", "job-name" };
	static const char *const parts[] = { "/metadata/labels", "/metadata/annotations", "/metadata/finalizers", "/spec" };
	const struct ambient_object *template = ambient_at(v->job, "/spec/template"), *part;
	struct ambient_draft *d = template != NULL ? ambient_draft_new(call, POD, v->ns, name) : NULL;
	char at[96];

	if (d == NULL)
		return NULL;
	for (size_t i = 0; i < 4; i++)
		if ((part = ambient_at(template, parts[i])) != NULL)
			ambient_draft_set_object(d, parts[i], part);
	for (size_t i = 0; i < 4 && !ambient_bool(v->job, "/spec/manualSelector", 0); i++) {
		(void)snprintf(at, sizeof(at), "/metadata/labels/%s", labels[i]);
		ambient_draft_set_str(d, at, i < 2 ? v->uid : v->name);
	}
	if (index >= 0)
		set_index(d, v, index);
	if (ambient_at(template, "/metadata/finalizers") == NULL)
		ambient_draft_set_json(d, "/metadata/finalizers", "[]");
	if (!ambient_finalizer_has(ambient_draft_view(d), TRACKING))
		ambient_draft_set_str(d, "/metadata/finalizers/-", TRACKING);
	ambient_draft_set_json(d, "/metadata/ownerReferences",
			       "[{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"controller\":true,"
			       "\"blockOwnerDeletion\":true}]");
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/name", v->name);
	ambient_draft_set_str(d, "/metadata/ownerReferences/0/uid", v->uid);
	return d;
}

/* Somebody else's pod has the name.  One that the cache does not show yet is what a lost answer made. */
static bool
is_foreign(struct ambient_call *call, const struct job_view *v, const char *name)
{
	const struct ambient_object *pod, *owner;

	if (ambient_get(call, POD, v->ns, name, &pod, NULL) < 0)
		return false;
	owner = ambient_controller_of(pod);
	return owner == NULL || strcmp(ambient_str(owner, "/uid", ""), v->uid) != 0;
}

int
job_create_pod(struct ambient_call *call, struct job_view *v, int64_t index, int64_t *number,
	       struct ambient_error *err)
{
	struct ambient_draft *d;
	char name[64];
	int rc;

	do {
		do
			pod_name(name, v, index, (*number)++);
		while (taken(v, name));
		d = draft_pod(call, v, name, index);
		if (d == NULL)
			return ambient_terminal(err, "the Job has no spec.template");
		rc = ambient_create(call, d, NULL, err);
	} while (rc == -AMBIENT_E_EXISTS && is_foreign(call, v, name) && !ambient_cancelled(call));
	if (rc == -AMBIENT_E_EXISTS)
		return 0;
	if (rc == 0) {
		ambient_event(call, v->job, "Normal", "SuccessfulCreate", "Created pod: %s", name);
	} else if (rc == -AMBIENT_E_INVALID || rc == -AMBIENT_E_FORBIDDEN) {
		ambient_event(call, v->job, "Warning", "FailedCreate", "Error creating: %s", err->message);
	}
	return rc;
}

/* ---- deleting */

/* Another active pod of the same index that is older, or is ready when this one is not. */
static bool
is_double(const struct job_view *v, const struct job_pod *p)
{
	for (size_t i = 0; i < v->count; i++) {
		const struct job_pod *o = &v->pods[i];

		if (o == p || !o->active || o->index != p->index)
			continue;
		if (o->ready != p->ready ? o->ready : o->created != p->created ? o->created < p->created : o < p)
			return true;
	}
	return false;
}

int64_t
job_surplus(struct job_view *v)
{
	int64_t n = 0;

	for (size_t i = 0; v->indexed && i < v->count; i++) {
		struct job_pod *p = &v->pods[i];

		p->surplus = p->active && (p->index < 0 || is_double(v, p));
		n += p->surplus;
	}
	return n;
}

static int
delete_pod(struct ambient_call *call, const struct job_view *v, const struct job_pod *p, bool counted,
	   struct ambient_error *err)
{
	char options[160];
	int rc = 0;

	if (!counted && p->tracked)
		rc = job_untrack(call, p->obj, NULL, err);
	if (rc < 0)
		return rc;
	(void)snprintf(options, sizeof(options),
		       "{\"propagationPolicy\":\"Background\",\"preconditions\":{\"uid\":\"%.64s\"}}", p->uid);
	rc = ambient_delete(call, POD, v->ns, p->name, options, err);
	if (rc == 0)
		ambient_event(call, v->job, "Normal", "SuccessfulDelete", "Deleted pod: %s", p->name);
	return rc == -AMBIENT_E_CONFLICT ? 0 : rc;
}

/* Who goes first: surplus, then those that are not ready, then the youngest. */
static bool
goes_before(const struct job_pod *a, const struct job_pod *b)
{
	if (a->surplus != b->surplus)
		return a->surplus;
	return a->ready != b->ready ? b->ready : a->created >= b->created;
}

int
job_delete_active(struct ambient_call *call, struct job_view *v, int64_t n, bool counted, struct ambient_error *err)
{
	for (; n > 0; n--) {
		struct job_pod *next = NULL;
		int rc;

		for (size_t i = 0; i < v->count; i++)
			if (v->pods[i].active && (next == NULL || goes_before(&v->pods[i], next)))
				next = &v->pods[i];
		if (next == NULL)
			return 0;
		rc = delete_pod(call, v, next, counted, err);
		if (rc < 0)
			return rc;
		next->deleting = true;
		next->active = false;
		next->tracked = next->tracked && counted;
		v->active--;
		v->ready -= next->ready;
		v->terminating++;
	}
	return 0;
}

/* ---- finalizer and owner */

static struct ambient_draft *
patch_of(struct ambient_call *call, const struct ambient_object *pod)
{
	struct ambient_draft *patch = ambient_draft_new(call, POD, NULL, NULL);

	ambient_draft_set_str(patch, "/metadata/uid", ambient_str(pod, "/metadata/uid", ""));
	ambient_draft_set_str(patch, "/metadata/resourceVersion", ambient_str(pod, "/metadata/resourceVersion", ""));
	return patch;
}

static int
send_patch(struct ambient_call *call, const struct ambient_object *pod, struct ambient_draft *patch,
	   struct ambient_error *err)
{
	int rc = ambient_patch(call, POD, ambient_str(pod, "/metadata/namespace", ""), ambient_str(pod, "/metadata/name", ""),
			       NULL, AMBIENT_PATCH_MERGE, ambient_json(ambient_draft_view(patch), "", NULL), NULL, err);

	return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
}

int
job_untrack(struct ambient_call *call, const struct ambient_object *pod, const char *disown, struct ambient_error *err)
{
	struct ambient_draft *patch = patch_of(call, pod);

	ambient_draft_set_json(patch, "/metadata/finalizers", "[]");
	for (size_t i = 0, n = ambient_len(pod, "/metadata/finalizers"); i < n; i++) {
		const char *finalizer = ambient_str(ambient_item(pod, "/metadata/finalizers", i, NULL), "", "");

		if (strcmp(finalizer, TRACKING) != 0)
			ambient_draft_set_str(patch, "/metadata/finalizers/-", finalizer);
	}
	if (disown != NULL)
		ambient_draft_set_json(patch, "/metadata/ownerReferences", "[]");
	for (size_t i = 0, n = ambient_len(pod, "/metadata/ownerReferences"); disown != NULL && i < n; i++) {
		const struct ambient_object *ref = ambient_item(pod, "/metadata/ownerReferences", i, NULL);

		if (strcmp(ambient_str(ref, "/uid", ""), disown) != 0)
			ambient_draft_set_object(patch, "/metadata/ownerReferences/-", ref);
	}
	return send_patch(call, pod, patch, err);
}

int
job_adopt(struct ambient_call *call, const struct ambient_object *job, const struct ambient_object *pod,
	  struct ambient_error *err)
{
	struct ambient_draft *patch = patch_of(call, pod);
	char at[64];
	size_t n = ambient_len(pod, "/metadata/ownerReferences");
	const struct ambient_object *refs = ambient_at(pod, "/metadata/ownerReferences");
	const struct ambient_object *finalizers = ambient_at(pod, "/metadata/finalizers");

	if (refs != NULL)
		ambient_draft_set_object(patch, "/metadata/ownerReferences", refs);
	else
		ambient_draft_set_json(patch, "/metadata/ownerReferences", "[]");
	ambient_draft_set_json(patch, "/metadata/ownerReferences/-", "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\","
			       "\"controller\":true,\"blockOwnerDeletion\":true}");
	(void)snprintf(at, sizeof(at), "/metadata/ownerReferences/%zu/name", n);
	ambient_draft_set_str(patch, at, ambient_str(job, "/metadata/name", ""));
	(void)snprintf(at, sizeof(at), "/metadata/ownerReferences/%zu/uid", n);
	ambient_draft_set_str(patch, at, ambient_str(job, "/metadata/uid", ""));
	if (!ambient_finalizer_has(pod, TRACKING)) {
		if (finalizers != NULL)
			ambient_draft_set_object(patch, "/metadata/finalizers", finalizers);
		else
			ambient_draft_set_json(patch, "/metadata/finalizers", "[]");
		ambient_draft_set_str(patch, "/metadata/finalizers/-", TRACKING);
	}
	return send_patch(call, pod, patch, err);
}
