/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the commands, and the few questions that they ask of a session. */
#include "core/ambientctl/ctl.h"

#include "core/base/clock.h"

void
ctl_path(const struct ctl *ctl, struct am_buf *out, const char *kind, const char *name, const char *sub)
{
	struct am_gvr gvr;

	(void)am_gvr_parse(kind, &gvr, NULL);
	am_kube_path(out, &gvr, ctl->ns, name, sub);
}

static int
request(struct ctl *ctl, struct am_arena *arena, const struct am_kube_request *what, struct am_node **ret,
	struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	struct am_node *node;
	int rc = am_kube_do(ctl->kube, what, &body, err);

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
