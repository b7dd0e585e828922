/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reconciler of pods.  A pod of this node is prepared and given to a shim once; from then on its state is
 * what state.jsonl says.  A pod that is to be deleted is ended with its grace, its end is written, and only then
 * the object is removed, and last its directory.
 */
#include "node.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFRESH     (60 * AMBIENT_SECOND) /* of volumes made of API objects, beside the watch */
#define WAIT_SHORT  (5 * AMBIENT_SECOND)  /* for what a watch does not tell */
#define WAIT_LONG   (300 * AMBIENT_SECOND)
#define PULL_AGAIN  (2 * AMBIENT_SECOND)
#define LOOK_AGAIN  AMBIENT_SECOND        /* while a pod ends */

struct local *
local_find(struct node *node, const char *uid)
{
	struct local *l;

	pthread_mutex_lock(&node->lock);
	for (l = node->pods; l != NULL && strcmp(l->uid, uid) != 0; l = l->next)
		;
	pthread_mutex_unlock(&node->lock);
	return l;
}

/* Another pod of that name than uid; NULL uid: any. */
static struct local *
find_name(struct node *node, const char *ns, const char *name, const char *uid)
{
	struct local *l;

	pthread_mutex_lock(&node->lock);
	for (l = node->pods; l != NULL; l = l->next)
		if (strcmp(l->ns, ns) == 0 && strcmp(l->name, name) == 0 && (uid == NULL || strcmp(l->uid, uid) != 0))
			break;
	pthread_mutex_unlock(&node->lock);
	return l;
}

static struct local *
make_local(struct node *node, const char *ns, const char *name, const char *uid, int64_t accepted, int64_t user, const char *ip)
{
	struct local *l = calloc(1, sizeof(*l));
	struct stat st;
	char path[600];

	if (l == NULL)
		return NULL;
	(void)snprintf(l->ns, sizeof(l->ns), "%s", ns);
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	(void)snprintf(l->uid, sizeof(l->uid), "%s", uid);
	(void)snprintf(l->dir, sizeof(l->dir), "%s/pods/%s", node->root, uid);
	l->accepted = accepted;
	l->user = user;
	l->watch_fd = -1;
	(void)snprintf(path, sizeof(path), "%s/state.jsonl", l->dir);
	l->started = stat(path, &st) == 0;
	l->noted = l->started ? -1 : 0;
	pthread_mutex_lock(&node->lock);
	if (ip != NULL)
		(void)snprintf(l->ip, sizeof(l->ip), "%s", ip);
	else
		address_give(node, l);
	l->next = node->pods;
	node->pods = l;
	pthread_mutex_unlock(&node->lock);
	return l;
}

/* Writes down what a restart of the daemon must not forget. */
static int
keep(const struct local *l, struct ambient_error *err)
{
	struct text out = { 0 };
	char path[600];
	int rc;

	text_puts(&out, "{\"version\":1,\"namespace\":");
	text_json(&out, l->ns);
	text_puts(&out, ",\"name\":");
	text_json(&out, l->name);
	text_printf(&out, ",\"uid\":\"%s\",\"accepted\":%lld,\"ip\":\"%s\",\"user\":%lld}\n", l->uid, (long long)l->accepted, l->ip,
		    (long long)l->user);
	(void)snprintf(path, sizeof(path), "%s/pod.json", l->dir);
	rc = out.failed ? -ENOMEM : file_write(path, text_str(&out), out.len, 0600);
	text_fini(&out);
	return rc < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write \"%s\": %s", path, strerror(-rc)) : 0;
}

static int
adopt(struct node *node, const struct ambient_object *pod, struct local **ret, struct ambient_error *err)
{
	const char *uid = ambient_str(pod, "/metadata/uid", "");
	int64_t user;
	int rc;

	if (uid[0] == '\0' || strlen(uid) > 60 || strspn(uid, "0123456789abcdefABCDEF-") != strlen(uid))
		return ambient_terminal(err, "the pod's uid \"%.64s\" is none", uid);
	/* When there is none to give, its start says so. */
	if (users_get(node, ambient_str(pod, "/metadata/namespace", ""), &user, err) < 0)
		user = USER_UNKNOWN;
	*ret = make_local(node, ambient_str(pod, "/metadata/namespace", ""), ambient_str(pod, "/metadata/name", ""), uid,
			  node->host->clock->wall(node->host), user, NULL);
	if (*ret == NULL)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	rc = make_dirs((*ret)->dir);
	if (rc < 0)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot make \"%s\": %s", (*ret)->dir, strerror(-rc));
	return keep(*ret, err);
}

static void
load_one(struct node *node, const char *uid)
{
	const struct ambient_object *o = NULL;
	struct text text = { 0 };
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/pods/%s/pod.json", node->root, uid);
	if (file_read(path, 65536, &text) == 0 &&
	    node->host->object->parse(NULL, text_str(&text), text.len, &o, NULL) == 0 &&
	    strcmp(ambient_str(o, "/uid", ""), uid) == 0) {
		(void)make_local(node, ambient_str(o, "/namespace", ""), ambient_str(o, "/name", ""), uid,
				 ambient_int(o, "/accepted", 0), ambient_int(o, "/user", -1), ambient_str(o, "/ip", NULL));
	} else {
		/* Killed between the directory and its pod.json: nothing was started there. */
		(void)snprintf(path, sizeof(path), "%s/pods/%s", node->root, uid);
		ambient_log(node->host, AMBIENT_LOG_WARN, "removing \"%s\", which belongs to no pod", path);
		(void)remove_tree(path);
	}
	if (o != NULL)
		ambient_unref((struct ambient_object *)(uintptr_t)o);
	text_fini(&text);
}

void
local_load(struct node *node)
{
	char path[600];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "%s/pods", node->root);
	dir = opendir(path);
	if (dir == NULL)
		return;
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.')
			load_one(node, e->d_name);
	(void)closedir(dir);
}

static void
unlink_local(struct node *node, struct local *local)
{
	pthread_mutex_lock(&node->lock);
	for (struct local **p = &node->pods; *p != NULL; p = &(*p)->next)
		if (*p == local) {
			*p = local->next;
			break;
		}
	if (local->watch_fd >= 0)
		(void)close(local->watch_fd);
	pthread_mutex_unlock(&node->lock);
	watch_wake(node);
	token_forget(local);
	schedule_forget(local);
	free(local);
}

void
local_free_all(struct node *node)
{
	while (node->pods != NULL) {
		struct local *l = node->pods;

		node->pods = l->next;
		if (l->watch_fd >= 0)
			(void)close(l->watch_fd);
		token_forget(l);
		schedule_forget(l);
		free(l);
	}
}

static void
watch(struct node *node, struct local *local)
{
	bool wake;

	pthread_mutex_lock(&node->lock);
	wake = !local->watched;
	local->watched = true;
	pthread_mutex_unlock(&node->lock);
	if (wake)
		watch_wake(node);
}

/* The object is gone: so goes the rest.  Returns 1 while its processes still end. */
static int
forget(struct node *node, struct local *local, struct ambient_result *result, struct ambient_error *err)
{
	int rc;

	if (shim_alive(local)) {
		(void)shim_stop(local, 0);
		(void)ambient_requeue_after(result, LOOK_AGAIN / 10);
		return 1;
	}
	rc = podman_clean(node, local, err);
	if (rc < 0)
		return rc;
	pull_forget(node, local);
	schedule_release(node, local);
	resources_forget(node, local);
	rc = remove_tree(local->dir);
	if (rc < 0)
		return ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot remove \"%s\": %s", local->dir, strerror(-rc));
	unlink_local(node, local);
	return 0;
}

static void
drop_volumes(const struct local *local)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/volumes", local->dir);
	(void)remove_tree(path);
}

/* What a pod that has ended holds of the machine. */
static void
end_of(struct node *node, const struct ambient_object *pod, struct local *local)
{
	schedule_release(node, local);
	resources_forget(node, local);
	drop_volumes(local);
	claims_wake(node, pod);
}

/* Again after that time, or earlier. */
static void
look_after(struct ambient_result *result, int64_t ns)
{
	if (result->requeue_after == 0 || ns < result->requeue_after)
		result->requeue_after = ns > 0 ? ns : AMBIENT_MILLISECOND;
}

/* Milliseconds that the pod may still take. */
static int64_t
grace_left(struct node *node, const struct ambient_object *pod)
{
	int64_t grace = ambient_int(pod, "/metadata/deletionGracePeriodSeconds",
				    ambient_int(pod, "/spec/terminationGracePeriodSeconds", 30)) * 1000;
	int64_t until = time_parse(ambient_str(pod, "/metadata/deletionTimestamp", NULL));
	int64_t left = (until - node->host->clock->wall(node->host)) / AMBIENT_MILLISECOND;

	/* Timestamps are cut to seconds: never take the fraction from the program. */
	left += 1000;
	return grace == 0 || left < 0 ? 0 : left < grace ? left : grace;
}

static int
remove_object(struct ambient_call *call, const struct ambient_object *pod, struct ambient_error *err)
{
	char options[160];
	int rc;

	/* With a finalizer it has been deleted as far as it goes. */
	if (ambient_int(pod, "/metadata/deletionGracePeriodSeconds", 1) == 0 && ambient_len(pod, "/metadata/finalizers") > 0)
		return 0;
	(void)snprintf(options, sizeof(options), "{\"gracePeriodSeconds\":0,\"preconditions\":{\"uid\":\"%.64s\"}}",
		       ambient_str(pod, "/metadata/uid", ""));
	rc = ambient_delete(call, POD, ambient_str(pod, "/metadata/namespace", ""), ambient_str(pod, "/metadata/name", ""),
			    options, err);
	return rc == -AMBIENT_E_CONFLICT ? 0 : rc; /* another pod of that name already */
}

static int
terminate(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	  struct ambient_result *result, struct ambient_error *err)
{
	struct pod_state state = { 0 };
	bool alive;
	int rc = 0;

	if (local != NULL && local->started) {
		alive = shim_alive(local);
		rc = state_read(call, local, &state, err);
		if (rc == 0 && alive && !state.ended) {
			int64_t left = grace_left(node, pod);
			int64_t kill_at = node->host->clock->wall(node->host) + left * AMBIENT_MILLISECOND;

			if (state.kill_at == 0 || kill_at + AMBIENT_SECOND < state.kill_at || left == 0) {
				if (state.kill_at == 0)
					ambient_event(call, pod, "Normal", "Killing", "Stopping the containers");
				(void)shim_stop(local, left);
			}
			watch(node, local);
			(void)ambient_requeue_after(result, LOOK_AGAIN);
		}
		/* Its shim left without an end: what it kept ends before the pod is said to have ended. */
		if (rc == 0 && !alive && !state.ended)
			rc = podman_clean(node, local, err);
		if (rc == 0)
			rc = status_write(node, call, pod, local, &state, alive, NULL, err);
		if (rc == -AMBIENT_E_NOTFOUND)
			rc = 0;
		bool over = !alive || state.ended;
		state_free(&state);
		if (rc < 0 || !over)
			return rc;
		if (alive)
			return ambient_requeue_after(result, LOOK_AGAIN / 50); /* it is leaving */
	}
	if (local != NULL) {
		schedule_release(node, local);
		drop_volumes(local);
	}
	rc = remove_object(call, pod, err);
	claims_wake(node, pod);
	return rc;
}

static int
report_trouble(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	       const struct trouble *t, struct ambient_result *result, struct ambient_error *err)
{
	struct pod_state none = { 0 };
	bool pull = strcmp(t->reason, "ErrImagePull") == 0;

	if (t->quiet)
		pull = false;
	else if (schedule_lacks(t))
		ambient_event(call, pod, "Warning", "FailedScheduling", "%s", t->message);
	else if (strcmp(t->reason, "ContainerCreating") == 0)
		ambient_event(call, pod, "Warning", "FailedMount", "%s", t->message);
	else if (strcmp(t->reason, "ImagePullBackOff") != 0 || local->pulls == 1)
		ambient_event(call, pod, "Warning", "Failed", "Error: %s: %s", t->reason, t->message);
	local->pulls += pull || (!t->quiet && strcmp(t->reason, "ImagePullBackOff") == 0);
	result->requeue_after = t->again > 0 ? t->again : pull ? PULL_AGAIN : t->wait ? WAIT_SHORT : WAIT_LONG;
	return status_write(node, call, pod, local, &none, false, t, err);
}

static void
say_unsandboxed(struct node *node, struct ambient_call *call, const struct ambient_object *pod)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (!node->no_sandbox)
		return;
	ambient_event(call, pod, "Warning", "Unsandboxed", "the node is configured to run containers without a sandbox");
	(void)ambient_patch(call, POD, ambient_str(pod, "/metadata/namespace", ""), ambient_str(pod, "/metadata/name", ""),
			    NULL, AMBIENT_PATCH_MERGE, "{\"metadata\":{\"annotations\":{\"standalone/sandbox\":\"none\"}}}", NULL,
			    &err);
}

/* It has its place: from now on its time is counted. */
static int
accept_pod(struct node *node, const struct ambient_object *pod, struct local *local, struct ambient_error *err)
{
	int64_t now = node->host->clock->wall(node->host);

	/* Most had room at once. */
	if (ambient_type(pod, "/status/startTime") == AMBIENT_T_STRING || now - local->accepted < AMBIENT_SECOND)
		return 0;
	local->accepted = now;
	return keep(local, err);
}

/* Wall ns that the deadline leaves it; INT64_MAX: it has none. */
static int64_t
time_left(const struct node *node, const struct ambient_object *pod, const struct local *local)
{
	int64_t seconds = ambient_int(pod, "/spec/activeDeadlineSeconds", 0);

	if (seconds <= 0 || seconds > INT32_MAX)
		return INT64_MAX;
	return local->accepted + seconds * AMBIENT_SECOND - node->host->clock->wall(node->host);
}

/* Its time is over before anything of it ran; of what runs the shim takes care. */
static int
expire(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
       struct ambient_error *err)
{
	struct pod_state over = { .ended = true, .deadline = true };
	int rc = status_write(node, call, pod, local, &over, false, NULL, err);

	if (rc < 0)
		return rc;
	end_of(node, pod, local);
	return 0;
}

/* Again, when there was none. */
static int
take_user(struct node *node, struct local *local, struct trouble *t, struct ambient_error *err)
{
	if (local->user != USER_UNKNOWN)
		return 0;
	if (users_get(node, local->ns, &local->user, err) == 0)
		return keep(local, err);
	local->user = USER_UNKNOWN;
	trouble_set(t, "CreateContainerConfigError", true, "%s", err->message);
	return 0;
}

static int
start(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
      struct ambient_result *result, struct ambient_error *err)
{
	struct trouble t = { .reason = "" };
	struct text spec = { 0 };
	int rc = schedule_check(node, call, pod, local, &t, err);

	if (rc == 0 && t.reason[0] == '\0')
		rc = accept_pod(node, pod, local, err);
	if (rc == 0 && t.reason[0] == '\0' && time_left(node, pod, local) <= 0)
		return expire(node, call, pod, local, err);
	if (rc == 0 && t.reason[0] == '\0')
		rc = take_user(node, local, &t, err);
	if (rc == 0 && t.reason[0] == '\0')
		rc = volumes_prepare(node, call, pod, local, &t, err);
	if (rc == 0 && t.reason[0] == '\0' && etc_prepare(node, pod, local) < 0)
		rc = ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write \"%s/etc\"", local->dir);
	if (rc == 0 && t.reason[0] == '\0')
		rc = spec_build(node, call, pod, local, &spec, &t, err);
	if (rc == 0 && t.reason[0] == '\0') {
		rc = podman_remember(node, pod, local) < 0 ? ambient_err(err, AMBIENT_E_UNAVAILABLE, "cannot write podman.json in \"%s\"",
									 local->dir)
							   : shim_start(node, local, &spec, err);
		if (rc < 0 && rc != -AMBIENT_E_CANCELLED) {
			trouble_set(&t, "CreateContainerError", true, "%s", err->message);
			rc = 0;
		} else if (rc == 0) {
			local->deadline = ambient_int(pod, "/spec/activeDeadlineSeconds", 0);
			ambient_event(call, pod, "Normal", "Started", "Started the pod's containers");
			say_unsandboxed(node, call, pod);
		}
	}
	text_fini(&spec);
	if (rc == 0 && t.reason[0] != '\0') {
		rc = report_trouble(node, call, pod, local, &t, result, err);
		if (time_left(node, pod, local) != INT64_MAX && !schedule_lacks(&t))
			look_after(result, time_left(node, pod, local));
	}
	return rc;
}

/* Volumes made of API objects follow them; tokens are renewed. */
static int
refresh(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	struct ambient_result *result, struct ambient_error *err)
{
	int64_t now = node->host->clock->monotonic(node->host), left, next;
	struct trouble t = { .reason = "" };
	bool made = false;
	int rc = 0;

	for (size_t i = 0; i < ambient_len(pod, "/spec/volumes"); i++) {
		const struct ambient_object *v = container_at(pod, "/spec/volumes", i);

		made = made || ambient_len(v, "/secret") + ambient_len(v, "/configMap") + ambient_len(v, "/projected") +
			       ambient_len(v, "/downwardAPI") > 0;
	}
	if (!made)
		return 0;
	if (local->refresh_at <= now || token_next(local) <= node->host->clock->wall(node->host)) {
		/* What is missing now was there at the start; the files stay as they are. */
		rc = volumes_prepare(node, call, pod, local, &t, err);
		local->refresh_at = now + REFRESH;
	}
	left = local->refresh_at - now;
	next = token_next(local) - node->host->clock->wall(node->host);
	look_after(result, next > 0 && next < left ? next : left);
	return rc;
}

/* What the shim noted becomes Events, each once in the life of the daemon: notes from before it are old news. */
static void
tell_notes(struct ambient_call *call, const struct ambient_object *pod, struct local *local, const struct pod_state *state)
{
	int64_t last = local->noted;

	for (size_t i = 0; i < state->note_count; i++) {
		const struct state_note *n = &state->notes[i];

		if (local->noted >= 0 && n->i > local->noted)
			ambient_event(call, pod, strcmp(n->reason, "Killing") == 0 ? "Normal" : "Warning", n->reason, "%s",
				      n->message != NULL ? n->message : "");
		last = n->i > last ? n->i : last;
	}
	local->noted = last < 0 ? 0 : last;
}

/* A deadline that was set or lowered while the pod runs. */
static void
tell_deadline(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
	      struct ambient_result *result)
{
	int64_t seconds = ambient_int(pod, "/spec/activeDeadlineSeconds", 0);
	int rc;

	if (seconds == local->deadline || seconds <= 0 || seconds > INT32_MAX)
		return;
	rc = shim_deadline(local, seconds);
	if (rc == -ENOTSUP)
		ambient_event(call, pod, "Warning", "DeadlineIgnored",
			      "the pod was started by an earlier release, whose shim keeps the deadline that it was started with; start "
			      "the pod anew");
	if (rc == 0 || rc == -ENOTSUP)
		local->deadline = seconds;
	else
		look_after(result, LOOK_AGAIN);
}

/* Why containers that their shim wants are not there yet. */
static void
tell_wanted(struct ambient_call *call, const struct ambient_object *pod, struct local *local, const struct trouble *t,
	    struct ambient_result *result)
{
	for (; t != NULL; t = t->next) {
		if (t->reason[0] == '\0')
			continue;
		if (!t->quiet)
			ambient_event(call, pod, "Warning", "Failed", "Error: %s: %s", t->reason, t->message);
		local->pulls += !t->quiet && (strcmp(t->reason, "ErrImagePull") == 0 || strcmp(t->reason, "ImagePullBackOff") == 0);
		look_after(result, t->again > 0 ? t->again : t->wait ? WAIT_SHORT : strstr(t->reason, "Pull") != NULL ? PULL_AGAIN : WAIT_LONG);
	}
}

static int
follow(struct node *node, struct ambient_call *call, const struct ambient_object *pod, struct local *local,
       struct ambient_result *result, struct ambient_error *err)
{
	struct pod_state state;
	struct trouble *wanted = NULL;
	bool alive = shim_alive(local), over;
	int rc = state_read(call, local, &state, err);

	if (rc < 0)
		return rc;
	over = !alive || state.ended;
	if (!over && local->share[SHARE_PODS] == 0)
		schedule_hold(node, pod, local); /* it ran before the daemon did */
	tell_notes(call, pod, local, &state);
	if (!alive && !state.ended)
		rc = podman_clean(node, local, err);
	if (rc == 0 && !over && state.kill_at == 0) {
		define_changes(pod, local, &state);
		rc = define_wanted(node, call, pod, local, &state, &wanted, err);
		tell_wanted(call, pod, local, wanted, result);
	}
	if (rc == 0)
		rc = status_write(node, call, pod, local, &state, alive, wanted, err);
	define_free(wanted);
	state_free(&state);
	if (rc < 0)
		return rc;
	if (over) {
		end_of(node, pod, local);
		return 0;
	}
	watch(node, local);
	tell_deadline(node, call, pod, local, result);
	return refresh(node, call, pod, local, result, err);
}

int
pod_reconcile(void *self, struct ambient_call *call, const struct ambient_request *req,
	      struct ambient_result *result, struct ambient_error *err)
{
	struct node *node = self;
	const struct ambient_object *pod;
	struct local *local, *other;
	const char *uid;
	int rc = ambient_get(call, POD, req->ns, req->name, &pod, err);

	if (rc == -AMBIENT_E_NOTFOUND) {
		other = find_name(node, req->ns, req->name, NULL);
		if (other == NULL)
			return 0;
		rc = forget(node, other, result, err);
		return rc < 0 ? rc : 0;
	}
	if (rc < 0)
		return rc;
	if (strcmp(ambient_str(pod, "/spec/nodeName", ""), node->name) != 0)
		return 0;
	uid = ambient_str(pod, "/metadata/uid", "");
	other = find_name(node, req->ns, req->name, uid);
	if (other != NULL) {
		rc = forget(node, other, result, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	local = local_find(node, uid);
	if (ambient_deleting(pod))
		return terminate(node, call, pod, local, result, err);
	if (status_terminal(pod))
		return 0;
	if (local == NULL) {
		rc = adopt(node, pod, &local, err);
		if (rc < 0)
			return rc;
	}
	if (!local->started) {
		rc = start(node, call, pod, local, result, err);
		if (rc < 0 || !local->started)
			return rc;
	}
	return follow(node, call, pod, local, result, err);
}
