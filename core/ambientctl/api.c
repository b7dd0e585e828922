/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the commands, and the few questions that they ask of a session. */
#include "core/ambientctl/ctl.h"

#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define WATCH_S 300

void
ctl_path(const struct ctl *ctl, struct am_buf *out, const char *kind, const char *name, const char *sub)
{
	struct am_gvr gvr;

	(void)am_gvr_parse(kind, &gvr, NULL);
	am_kube_path(out, &gvr, ctl->ns, name, sub);
}

int
ctl_do(struct ctl *ctl, const struct am_kube_request *what, struct am_buf *answer, struct ambient_error *err)
{
	int rc = am_kube_do(ctl->kube, what, answer, err);

	/* Not of the object but of its kind: so the API server words it. */
	if (rc == -AMBIENT_E_NOTFOUND && strstr(err->message, "the server could not find the requested resource") != NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "the API server has no such kind; apply the definitions of Ambient (etc/crds) to it, or "
				   "name another cluster");
	if (rc == -AMBIENT_E_NOTFOUND && strstr(err->message, "agenticsessions.vteam.ambient-code \"") != NULL)
		return ambient_err(err, AMBIENT_E_NOTFOUND, "not found in namespace \"%s\"; --namespace says where else to look", ctl->ns);
	return rc;
}

static int
request(struct ctl *ctl, struct am_arena *arena, const struct am_kube_request *what, struct am_node **ret,
	struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	struct am_node *node;
	int rc = ctl_do(ctl, what, &body, err);

	if (rc < 0)
		return rc;
	node = am_node_parse(arena, am_buf_str(&body), body.len, err);
	if (node == NULL)
		return am_err_prefix(err, "the API server's answer");
	if (ret != NULL)
		*ret = node;
	return 0;
}

int
ctl_read(struct ctl *ctl, struct am_arena *arena, const char *path, struct am_node **ret, struct ambient_error *err)
{
	const struct am_kube_request what = { .method = "GET", .path = path, .cancelled = &ctl_interrupted };

	return request(ctl, arena, &what, ret, err);
}

int
ctl_get(struct ctl *ctl, struct am_arena *arena, const char *name, struct am_node **ret, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	if (am_name_problem(name, 2) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no name of a session", name);
	ctl_path(ctl, &path, CTL_KIND, name, NULL);
	return ctl_read(ctl, arena, am_buf_str(&path), ret, err);
}

int
ctl_write(struct ctl *ctl, struct am_arena *arena, const char *method, const char *content_type, const char *name,
	  const struct am_buf *body, struct am_node **ret, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	if (name != NULL && am_name_problem(name, 2) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no name of a session", name);
	if (body != NULL && body->failed)
		return ambient_err(err, AMBIENT_E_NOMEM, "out of memory");
	ctl_path(ctl, &path, CTL_KIND, name, NULL);

	const struct am_kube_request what = {
		.method = method, .path = am_buf_str(&path), .content_type = content_type,
		.body = body != NULL ? am_buf_str(body) : NULL, .body_len = body != NULL ? body->len : 0,
		.cancelled = &ctl_interrupted,
	};

	return request(ctl, arena, &what, ret, err);
}

static int
to_framer(void *arg, const char *p, size_t n)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	return am_framer_feed(arg, p, n, &err);
}

int
ctl_watch(struct ctl *ctl, const char *kind, const char *name, const char *version, int seconds, const int32_t *cancelled,
	  am_frame_f *event, void *arg, struct ambient_error *err)
{
	struct am_framer *framer = am_framer_new(AM_FRAME_LINES, 8 << 20, event, arg);
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	ctl_path(ctl, &path, kind, NULL, NULL);
	am_buf_addf(&path, "?watch=true&timeoutSeconds=%d&fieldSelector=metadata.name%%3D", seconds);
	am_url_escape(&path, name);
	am_buf_adds(&path, "&resourceVersion=");
	am_url_escape(&path, version);

	const struct am_kube_request what = {
		.method = "GET", .path = am_buf_str(&path), .cancelled = cancelled,
		.deadline = am_clock_boot(am_clock_real()) + (seconds + 30) * AM_NS_PER_S,
	};
	int rc = am_kube_stream(ctl->kube, &what, to_framer, framer, err);

	am_framer_free(framer);
	return rc;
}

struct await {
	bool (*look)(void *arg, const struct am_node *object);
	void *arg;
	const char *name;
	bool enough;
};

static int
on_awaited(void *arg, const char *text, size_t n, struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct am_node *event = am_node_parse(arena, text, n, err), *object;
	struct await *await = arg;
	const char *type = event != NULL ? ctl_text(event, "/type") : "ERROR";

	if (am_streq(type, "ERROR"))
		return ambient_err(err, AMBIENT_E_GONE, "the watch ended");
	object = am_node_get(event, "object");
	if (am_streq(type, "BOOKMARK") || object == NULL || !am_streq(ctl_text(object, "/metadata/name"), await->name))
		return 0;
	await->enough = await->look(await->arg, am_streq(type, "DELETED") ? NULL : object);
	return await->enough ? -AMBIENT_E_CANCELLED : 0;
}

/* One look and one watch. */
static int
await_once(struct ctl *ctl, const char *kind, const int32_t *cancelled, int64_t deadline, struct await *await,
	   struct ambient_error *err)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	struct am_node *object = NULL;
	int64_t left = (deadline - am_clock_boot(am_clock_real())) / AM_NS_PER_S;

	ctl_path(ctl, &path, kind, await->name, NULL);

	const struct am_kube_request what = { .method = "GET", .path = am_buf_str(&path), .cancelled = cancelled };
	int rc = request(ctl, arena, &what, &object, err);

	if (rc < 0 && rc != -AMBIENT_E_NOTFOUND)
		return rc;
	await->enough = await->look(await->arg, object);
	if (await->enough)
		return 0;
	/* What is not there yet is watched from now on, which begins with what has come meanwhile. */
	rc = ctl_watch(ctl, kind, await->name, object != NULL ? ctl_text(object, "/metadata/resourceVersion") : "0",
		       (int)AM_MAX(AM_MIN(left, WATCH_S), 1), cancelled, on_awaited, await, err);
	return await->enough || rc == -AMBIENT_E_GONE || rc == -AMBIENT_E_FORBIDDEN ? 0 : rc;
}

int
ctl_await(struct ctl *ctl, const char *kind, const char *name, const int32_t *cancelled, int64_t deadline,
	  bool (*look)(void *arg, const struct am_node *object), void *arg, struct ambient_error *err)
{
	struct await await = { .look = look, .arg = arg, .name = name };

	for (;;) {
		int rc = await_once(ctl, kind, cancelled, deadline, &await, err);

		if (await.enough)
			return 0;
		if (__atomic_load_n(cancelled, __ATOMIC_ACQUIRE) != 0)
			return ambient_err(err, AMBIENT_E_CANCELLED, "interrupted");
		if (rc < 0 && err->code != AMBIENT_E_UNAVAILABLE && err->code != AMBIENT_E_TIMEOUT)
			return rc;
		if (am_clock_boot(am_clock_real()) >= deadline)
			return ambient_err(err, AMBIENT_E_TIMEOUT, "waited in vain");
		/* Some pause, should every watch end at once or the server be away. */
		(void)usleep(200 * 1000);
	}
}

const char *
ctl_text(const struct am_node *node, const char *pointer)
{
	return am_node_text(am_node_at(node, pointer), "");
}

void
ctl_age(char buf[16], const char *timestamp)
{
	int64_t then;

	if (am_time_parse(timestamp, &then) < 0) {
		(void)am_strlcpy(buf, "-", 16);
		return;
	}
	int64_t age = am_clock_wall(am_clock_real()) - then;

	am_duration_format(buf, AM_MAX(age, 0));
}

bool
ctl_terminal(const char *phase)
{
	return am_streq(phase, "Completed") || am_streq(phase, "Failed") || am_streq(phase, "Timeout") ||
	       am_streq(phase, "Stopped") || am_streq(phase, "Error");
}

int
ctl_exit_of(const char *phase)
{
	return am_streq(phase, "Completed") ? CTL_OK : am_streq(phase, "Timeout") ? CTL_TIMEOUT : CTL_FAILED;
}

const struct am_node *
ctl_condition(const struct am_node *session, const char *type)
{
	const struct am_node *list = am_node_at(session, "/status/conditions");

	for (const struct am_node *c = list != NULL ? list->first : NULL; c != NULL; c = c->next)
		if (am_streq(am_node_get_str(c, "type", ""), type))
			return c;
	return NULL;
}
