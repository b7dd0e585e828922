/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner's HTTP endpoint (doc/messages.md, "The endpoint"), reached through pods/proxy.  The key is 32 random bytes
 * as hex; its hash stands in the session only as long as the command runs, and for an hour at most should it be killed.
 * On the way keys whose time is over are taken away, whoever left them behind.
 */
#include "core/ambientctl/ctl.h"

#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/util.h"

#define PREFIX     "access.ambient-code.io/"
#define PORT       8001
#define VALID_NS   (3600 * AM_NS_PER_S)
#define PATIENT_NS (10 * AM_NS_PER_S) /* for the runner to hear of a key */
#define ANSWER_NS  (30 * AM_NS_PER_S)
#define CLOSE_NS   (5 * AM_NS_PER_S)
#define SILENT_NS  (45 * AM_NS_PER_S) /* of a stream that has a heartbeat each 15 s */
#define KEY_BYTES  32

/* "HASH EXPIRY [read]" */
static bool
is_over(const char *value, int64_t now)
{
	const char *expiry = strchr(value, ' ');
	char text[40];
	int64_t then;

	if (expiry == NULL)
		return false;
	(void)am_strlcpy(text, expiry + 1, sizeof(text));
	text[strcspn(text, " ")] = '\0';
	return am_time_parse(text, &then) == 0 && then < now;
}

/* The annotations that go, behind the one that comes. */
static void
add_left_behind(struct ctl_endpoint *ep, struct am_buf *body)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;
	int64_t now = am_clock_wall(am_clock_real());

	if (ctl_get(ep->ctl, arena, ep->session, &session, &err) < 0)
		return;

	const struct am_node *all = am_node_at(session, "/metadata/annotations");

	for (const struct am_node *a = all != NULL ? all->first : NULL; a != NULL; a = a->next)
		if (am_starts(a->key, PREFIX) && !am_streq(a->key + sizeof(PREFIX) - 1, ep->id) && is_over(am_node_text(a, ""), now))
			am_json_addf(body, ",%s:null", a->key);
}

/* value NULL: taken away */
static int
write_key(struct ctl_endpoint *ep, const char *value, const int32_t *cancelled, int64_t limit, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	am_auto(am_buf_fini) struct am_buf answer = { 0 };

	ctl_path(ep->ctl, &path, CTL_KIND, ep->session, NULL);
	am_json_addf(&body, "{\"metadata\":{\"annotations\":{%s:", ep->annotation);
	if (value != NULL)
		am_json_add_str(&body, value);
	else
		am_buf_adds(&body, "null");
	if (value != NULL && !ep->named)
		add_left_behind(ep, &body);
	am_buf_adds(&body, "}}}");

	const struct am_kube_request what = {
		.method = "PATCH", .path = am_buf_str(&path), .content_type = "application/merge-patch+json",
		.body = am_buf_str(&body), .body_len = body.len, .cancelled = cancelled,
		.deadline = am_clock_boot(am_clock_real()) + limit,
	};

	return ctl_do(ep->ctl, &what, &answer, err);
}

int
ctl_endpoint_renew(struct ctl_endpoint *ep, struct ambient_error *err)
{
	const char *key = strchr(ep->header, ' ') + 1;
	unsigned char digest[32];
	char hash[65], expiry[32], value[128];
	int rc;

	am_sha256(key, strlen(key), digest);
	am_hex(hash, digest, sizeof(digest));
	am_time_format(expiry, am_clock_wall(am_clock_real()) + VALID_NS, false);
	(void)snprintf(value, sizeof(value), "%s %s%s", hash, expiry, ep->read_only ? " read" : "");
	rc = write_key(ep, value, ep->cancelled, ANSWER_NS, err);
	if (rc == 0 && !ep->named)
		ep->named = true;
	return rc;
}

int
ctl_endpoint_open(struct ctl_endpoint *ep, struct ctl *ctl, const char *session, bool read_only, const int32_t *cancelled,
		  struct ambient_error *err)
{
	unsigned char key[KEY_BYTES];
	char hex[2 * KEY_BYTES + 1], suffix[10];

	*ep = (struct ctl_endpoint){ .ctl = ctl, .session = session, .cancelled = cancelled, .read_only = read_only };
	if (am_name_problem(session, 2) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "\"%s\" is no name of a session", session);
	am_random(key, sizeof(key));
	am_hex(hex, key, sizeof(key));
	am_random_suffix(suffix, 8);
	(void)snprintf(ep->id, sizeof(ep->id), "ctl-%s", suffix);
	(void)snprintf(ep->annotation, sizeof(ep->annotation), PREFIX "%s", ep->id);
	(void)snprintf(ep->header, sizeof(ep->header), "X-Ambient-Key: %s", hex);
	return ctl_endpoint_renew(ep, err);
}

void
ctl_endpoint_close(struct ctl_endpoint *ep)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (ep->named)
		(void)write_key(ep, NULL, NULL, CLOSE_NS, &err);
	ep->named = false;
}

static int
once(struct ctl_endpoint *ep, const char *method, const char *path, const struct am_buf *body, struct am_buf *answer,
     int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf whole = { 0 };
	am_auto(am_buf_fini) struct am_buf unused = { 0 };

	if (am_name_problem(ep->pod, 2) != NULL)
		return ambient_err(err, AMBIENT_E_INVALID, "the session names no pod that can be");
	am_buf_addf(&whole, "/api/v1/namespaces/%s/pods/%s:%d/proxy%s", ep->ctl->ns, ep->pod, PORT, path);

	const struct am_kube_request what = {
		.method = method, .path = am_buf_str(&whole), .accept = "*/*", .header = ep->header, .cancelled = ep->cancelled,
		.body = body != NULL ? am_buf_str(body) : NULL, .body_len = body != NULL ? body->len : 0,
		.deadline = data != NULL ? 0 : am_clock_boot(am_clock_real()) + ANSWER_NS,
		.idle_ns = data != NULL ? SILENT_NS : 0,
	};

	return data != NULL ? am_kube_stream(ep->ctl->kube, &what, data, arg, err)
			    : am_kube_do(ep->ctl->kube, &what, answer != NULL ? answer : &unused, err);
}

/* 401 is the runner's as a rule: it hears of a key a moment after it was written, or somebody took it away. */
static int
patiently(struct ctl_endpoint *ep, const char *method, const char *path, const struct am_buf *body, struct am_buf *answer,
	  int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err)
{
	struct am_clock *clock = am_clock_real();
	int64_t until = am_clock_boot(clock) + PATIENT_NS;
	bool renewed = false;

	for (;;) {
		int rc = once(ep, method, path, body, answer, data, arg, err);
		int64_t now = am_clock_boot(clock);
		struct ambient_error unused = AMBIENT_ERROR_INIT;

		if (rc != -AMBIENT_E_UNAUTHORIZED || now >= until || __atomic_load_n(ep->cancelled, __ATOMIC_ACQUIRE) != 0)
			return rc;
		if (!renewed && now > until - PATIENT_NS / 2)
			renewed = ctl_endpoint_renew(ep, &unused) == 0;
		(void)usleep(200 * 1000);
	}
}

int
ctl_endpoint_do(struct ctl_endpoint *ep, const char *method, const char *path, const struct am_buf *body, struct am_buf *answer,
		struct ambient_error *err)
{
	return patiently(ep, method, path, body, answer, NULL, NULL, err);
}

int
ctl_endpoint_stream(struct ctl_endpoint *ep, const char *path, int (*data)(void *arg, const char *p, size_t n), void *arg,
		    struct ambient_error *err)
{
	return patiently(ep, "GET", path, NULL, NULL, data, arg, err);
}
