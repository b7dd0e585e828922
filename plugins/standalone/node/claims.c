/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PersistentVolumeClaim is a directory, bound at once.  It carries the uid of its claim, so that a claim that
 * was deleted and made again while the daemon was down does not inherit files; it goes when its claim is gone
 * for good, which the server is asked, not the cache.
 */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PROTECTION  "kubernetes.io/pvc-protection"
#define MADE_BY     "/metadata/annotations/volume.kubernetes.io~1storage-provisioner"
#define PROVISIONER "standalone/local-dir"

static bool
plain(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

int
claim_dir(struct node *node, const char *ns, const char *name, char *path, size_t size)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int64_t user;
	int rc;

	if (!plain(ns) || !plain(name) ||
	    (size_t)snprintf(path, size, "%s/pvc/%s/%s", node->root, ns, name) >= size)
		return -EINVAL;
	rc = make_dirs(path);
	if (rc == 0 && users_get(node, ns, &user, &err) < 0)
		rc = -EAGAIN;
	return rc == 0 ? users_own(path, user, 0777) : rc;
}

/* Who deleted it will not be kept waiting by pods that have ended. */
static int
in_use(struct ambient_call *call, const char *ns, const char *name, struct ambient_error *err)
{
	struct ambient_list_options options = { .size = sizeof(options), .ns = ns };
	const struct ambient_list *list;
	int rc = ambient_list(call, POD, &options, &list, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ambient_list_count(call, list); i++) {
		const struct ambient_object *pod = ambient_list_item(call, list, i);

		if (status_terminal(pod))
			continue;
		for (size_t k = 0; k < ambient_len(pod, "/spec/volumes"); k++)
			if (strcmp(ambient_str(container_at(pod, "/spec/volumes", k), "/persistentVolumeClaim/claimName", ""),
				   name) == 0)
				return 1;
	}
	return 0;
}

static int
forget(struct node *node, struct ambient_call *call, const char *ns, const char *name, struct ambient_error *err)
{
	const struct ambient_object *obj;
	char path[1024];
	int rc = ambient_get_live(call, CLAIM, ns, name, &obj, err);

	if (rc != -AMBIENT_E_NOTFOUND)
		return rc; /* there after all: its own event brings us back */
	if (!plain(ns) || !plain(name))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/pvc/%s/.%s.uid", node->root, ns, name);
	(void)remove_tree(path);
	(void)snprintf(path, sizeof(path), "%s/pvc/%s/%s", node->root, ns, name);
	rc = remove_tree(path);
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot remove \"%s\": %s", path, strerror(-rc)) : 0;
}

/* A directory of another claim of that name is emptied first. */
static int
own_dir(struct node *node, const struct ambient_object *claim, const char *ns, const char *name,
	struct ambient_error *err)
{
	const char *uid = ambient_str(claim, "/metadata/uid", "");
	struct text have = { 0 };
	char mark[1024], path[1024];
	int rc = 0;

	(void)snprintf(mark, sizeof(mark), "%s/pvc/%s/.%s.uid", node->root, ns, name);
	(void)snprintf(path, sizeof(path), "%s/pvc/%s/%s", node->root, ns, name);
	if (file_read(mark, 4096, &have) == 0 && strcmp(text_str(&have), uid) != 0)
		rc = remove_tree(path);
	if (rc == 0)
		rc = claim_dir(node, ns, name, path, sizeof(path));
	if (rc == 0 && strcmp(text_str(&have), uid) != 0)
		rc = file_write(mark, uid, strlen(uid), 0600);
	text_fini(&have);
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make \"%s\": %s", path, strerror(-rc)) : 0;
}

static int
release(struct ambient_call *call, const struct ambient_object *claim, const char *ns, const char *name,
	struct ambient_result *result, struct ambient_error *err)
{
	int rc = ambient_finalizer_has(claim, PROTECTION) ? in_use(call, ns, name, err) : 0;

	if (rc != 0)
		return rc < 0 ? rc : ambient_requeue_after(result, 5 * AMBIENT_SECOND);
	return ambient_finalizer_remove(call, CLAIM, &claim, PROTECTION, err);
}

/* As long as a pod works in it, a claim that is deleted only waits; and it says who made its volume.  It does not say
 * pv.kubernetes.io/bind-completed: no PersistentVolume is behind it, and a cluster that got such a claim would take its
 * volume for lost. */
static int
protect(struct ambient_call *call, const struct ambient_object *claim, const char *ns, const char *name,
	struct ambient_error *err)
{
	struct ambient_draft *patch = ambient_draft_new(call, CLAIM, NULL, NULL);
	bool has = false;

	ambient_draft_set_str(patch, "/metadata/resourceVersion", ambient_str(claim, "/metadata/resourceVersion", ""));
	ambient_draft_set_str(patch, MADE_BY, PROVISIONER);
	ambient_draft_set_json(patch, "/metadata/finalizers", "[]");
	for (size_t i = 0; i < ambient_len(claim, "/metadata/finalizers"); i++) {
		const char *f = ambient_str(ambient_item(claim, "/metadata/finalizers", i, NULL), "", "");

		has = has || strcmp(f, PROTECTION) == 0;
		ambient_draft_set_str(patch, "/metadata/finalizers/-", f);
	}
	if (has && strcmp(ambient_str(claim, MADE_BY, ""), PROVISIONER) == 0)
		return 0;
	if (!has)
		ambient_draft_set_str(patch, "/metadata/finalizers/-", PROTECTION);
	return ambient_patch(call, CLAIM, ns, name, NULL, AMBIENT_PATCH_MERGE,
			     ambient_json(ambient_draft_view(patch), "", NULL), NULL, err);
}

void
claims_wake(struct node *node, const struct ambient_object *pod)
{
	const struct ambient_queue_api *queue = node->host->queue;

	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++) {
		const char *name = ambient_str(container_at(pod, "/spec/volumes", i), "/persistentVolumeClaim/claimName", "");

		if (name[0] != '\0' && queue != NULL)
			(void)queue->add(node->host, "claims", ambient_str(pod, "/metadata/namespace", ""), name,
					 100 * AMBIENT_MILLISECOND);
	}
}

int
claim_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
		struct ambient_result *result, struct ambient_error *err)
{
	const struct ambient_object *claim, *request;
	struct node *node = self;
	struct ambient_draft *d;
	int rc = ambient_get(call, CLAIM, req->ns, req->name, &claim, err);

	if (rc == -AMBIENT_E_NOTFOUND)
		return forget(node, call, req->ns, req->name, err);
	if (rc < 0)
		return rc;
	/* In a cluster the controller manager binds claims to volumes and protects them; here is only the directory. */
	if (ambient_deleting(claim))
		return node->cluster ? 0 : release(call, claim, req->ns, req->name, result, err);
	if (strcmp(ambient_str(claim, "/spec/volumeMode", "Filesystem"), "Block") == 0)
		return ambient_terminal(err, "volumeMode \"Block\" is not supported on this node");
	rc = own_dir(node, claim, req->ns, req->name, err);
	if (rc < 0 || node->cluster)
		return rc;
	rc = protect(call, claim, req->ns, req->name, err);
	if (rc == 0 && strcmp(ambient_str(claim, "/status/phase", ""), "Bound") == 0)
		return 0;
	if (rc == 0)
		rc = ambient_get(call, CLAIM, req->ns, req->name, &claim, err);
	if (rc < 0)
		return rc == -AMBIENT_E_NOTFOUND ? 0 : rc;
	d = ambient_draft_from(call, CLAIM, claim);
	ambient_draft_set_str(d, "/status/phase", "Bound");
	if ((request = ambient_at(claim, "/spec/accessModes")) != NULL)
		ambient_draft_set_object(d, "/status/accessModes", request);
	if ((request = ambient_at(claim, "/spec/resources/requests")) != NULL)
		ambient_draft_set_object(d, "/status/capacity", request);
	return ambient_status(call, d, err);
}
