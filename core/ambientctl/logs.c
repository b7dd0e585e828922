/* SPDX-License-Identifier: Apache-2.0 */
/* logs and messages: the log of a session's pod, as bytes or as messages. */
#include "core/ambientctl/ctl.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"

#define STREAM_NS (INT64_C(24) * 3600 * AM_NS_PER_S)

int
ctl_stream_log(struct ctl *ctl, const char *pod, const char *container, bool follow,
	       int (*data)(void *arg, const char *p, size_t n), void *arg, struct ambient_error *err)
{
	am_auto(am_buf_fini) struct am_buf path = { 0 };

	ctl_path(ctl, &path, "v1/pods", pod, "log");
	am_buf_adds(&path, "?container=");
	am_url_escape(&path, container);
	if (follow)
		am_buf_adds(&path, "&follow=true");

	const struct am_kube_request what = {
		.method = "GET", .path = am_buf_str(&path), .accept = "*/*", .cancelled = &ctl_interrupted,
		.deadline = am_clock_boot(am_clock_real()) + STREAM_NS,
	};

	return am_kube_stream(ctl->kube, &what, data, arg, err);
}

/* What is printed of a log that is read again from its start when the connection broke. */
struct printed {
	uint64_t seen, at; /* bytes on the terminal; bytes of this reading */
	bool broken;       /* stdout is */
};

static int
to_stdout(void *arg, const char *p, size_t n)
{
	struct printed *printed = arg;
	size_t skip = printed->at < printed->seen ? AM_MIN(printed->seen - printed->at, n) : 0;

	printed->at += n;
	if (skip == n)
		return 0;
	printed->seen = printed->at;
	printed->broken = fwrite(p + skip, 1, n - skip, stdout) != n - skip || !ctl_flush();
	return printed->broken ? -AMBIENT_E_UNAVAILABLE : 0;
}

int
ctl_say_why(const char *name, const char *what, const struct am_node *session)
{
	const char *phase = ctl_text(session, "/status/phase"), *message = ctl_text(session, "/status/message");

	(void)fprintf(stderr, "ambientctl: session \"%s\" has %s; it is %s%s", name, what, phase[0] != '\0' ? phase : "Pending",
		      message[0] != '\0' ? ": " : "");
	ctl_put_clean(stderr, message, true);
	(void)fputc('\n', stderr);
	return CTL_FAILED;
}

/* The session's pod.  With wait: until it has one, or ends without one. */
static int
find_pod(struct ctl *ctl, const char *name, bool wait, char pod[256])
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_clock *clock = am_clock_real();
	int64_t start = am_clock_boot(clock);
	bool said = false;

	for (;;) {
		am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
		struct am_node *session;

		if (ctl_get(ctl, arena, name, &session, &err) < 0)
			return ctl_fail(&err, "session \"%s\"", name);
		(void)am_strlcpy(pod, ctl_text(session, "/status/runnerPodName"), 256);
		if (pod[0] != '\0')
			return CTL_OK;
		if (!wait || ctl_terminal(ctl_text(session, "/status/phase")))
			return ctl_say_why(name, "no pod", session);
		if (!said && am_clock_boot(clock) - start > 2 * AM_NS_PER_S) {
			(void)fprintf(stderr, "waiting for the pod of session \"%s\"\n", name);
			said = true;
		}
		if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE))
			return CTL_INTERRUPTED;
		(void)usleep(200 * 1000);
	}
}

/* Of a container that has not started, or whose pod is gone: what the agent said outlives it. */
static int
has_no_log(struct ctl *ctl, const char *name, bool gone)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;

	if (ctl_get(ctl, arena, name, &session, &err) < 0)
		return ctl_fail(&err, "session \"%s\"", name);
	if (__atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE))
		return CTL_INTERRUPTED;
	if (!gone)
		return ctl_say_why(name, "no log yet", session);
	(void)fprintf(stderr, "ambientctl: the pod of session \"%s\" is gone, and its log with it; what its agent said and did is in the "
		      "session's files: ambientctl messages %s -n %s\n", name, name, ctl->ns);
	return CTL_FAILED;
}

/* "is waiting to start" */
static bool
is_early(int rc, const struct ambient_error *err)
{
	return rc == -AMBIENT_E_INVALID && strstr(err->message, "waiting") != NULL;
}

static int
run_logs(struct ctl *ctl)
{
	const char *name = ctl->words[0], *container = ctl_value(ctl, "container");
	bool follow = ctl_has(ctl, "follow");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_clock *clock = am_clock_real();
	int64_t give_up = am_clock_boot(clock) + 600 * AM_NS_PER_S;
	struct printed printed = { 0 };
	char pod[256];
	int rc = find_pod(ctl, name, follow, pod);

	if (rc != 0)
		return rc;
	container = container != NULL ? container : "runner";
	bool early = false;

	for (;;) {
		uint64_t before = printed.seen;

		printed.at = 0;
		rc = ctl_stream_log(ctl, pod, container, follow, to_stdout, &printed, &err);
		if (printed.seen != before)
			give_up = am_clock_boot(clock) + 600 * AM_NS_PER_S;
		/* Not started, and a server that starts again: with -f both are worth the wait. */
		bool away = (rc == -AMBIENT_E_UNAVAILABLE || rc == -AMBIENT_E_INTERNAL) && !printed.broken;
		early = is_early(rc, &err);

		if (!follow || (!away && !early) || am_clock_boot(clock) > give_up ||
		    __atomic_load_n(&ctl_interrupted, __ATOMIC_ACQUIRE))
			break;
		(void)usleep(300 * 1000);
	}
	if (printed.broken)
		return CTL_FAILED;
	if (rc == -AMBIENT_E_NOTFOUND || early)
		return has_no_log(ctl, name, !early);
	return rc < 0 ? ctl_fail(&err, "log of container \"%s\" of session \"%s\"", container, name) : CTL_OK;
}

static int
to_messages(void *arg, const char *p, size_t n)
{
	return ctl_messages_feed(arg, p, n) ? 0 : -AMBIENT_E_CANCELLED;
}

int
ctl_from(const struct ctl *ctl, int64_t *ret)
{
	const char *given = ctl_value(ctl, "from");

	*ret = 1;
	if (given != NULL && (am_parse_i64(given, ret) < 0 || *ret < 1))
		return ctl_usage("\"%s\" is no number of a message; they are counted from 1 on", given);
	return 0;
}

/* From the session's files, when its pod is gone and the log with it. */
static int
messages_of_files(struct ctl *ctl, int64_t from, struct ctl_messages *messages)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_endpoint endpoint;
	char path[64];
	int rc = ctl_reach(&endpoint, ctl, ctl->words[0]);

	if (rc != CTL_OK)
		return rc;
	(void)snprintf(path, sizeof(path), "/v1/messages?from=%" PRId64, from);
	messages->endpoint = &endpoint;
	rc = ctl_endpoint_stream(&endpoint, path, to_messages, messages, &err);
	if (!ctl_messages_feed(messages, "\n", 1))
		rc = 0; /* that is said at the end */
	messages->endpoint = NULL;
	messages->session = NULL;
	ctl_endpoint_close(&endpoint);
	return rc < 0 ? ctl_fail(&err, "messages of session \"%s\"", ctl->words[0]) : CTL_OK;
}

/* A log holds what its pod said; of another run's messages only the files tell, and of all when the pod is gone. */
static bool
is_of_files(struct ctl *ctl)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;

	return ctl_has(ctl, "from") ||
	       (ctl_get(ctl, arena, ctl->words[0], &session, &err) == 0 && ctl_terminal(ctl_text(session, "/status/phase")) &&
		ctl_text(session, "/status/runnerPodName")[0] == '\0');
}

/* Nothing printed may mean that there is nothing, or nobody who could say it. */
static void
say_none(struct ctl *ctl)
{
	am_auto(am_arena_freep) struct am_arena *arena = am_arena_new();
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_node *session;

	if (ctl_get(ctl, arena, ctl->words[0], &session, &err) == 0)
		(void)ctl_say_why(ctl->words[0], "no messages", session);
}

static int
run_messages(struct ctl *ctl)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct ctl_messages messages = { .ctl = ctl, .session = ctl->words[0] };
	int64_t from;
	char pod[256];
	int rc = ctl_from(ctl, &from);

	if (rc != 0)
		return rc;
	if (ctl_has(ctl, "follow"))
		return ctl_follow(ctl, ctl->words[0], NULL, false, true);
	messages.last_seq = from - 1;
	if (is_of_files(ctl)) {
		rc = messages_of_files(ctl, from, &messages);
	} else if ((rc = find_pod(ctl, ctl->words[0], false, pod)) == CTL_OK) {
		rc = ctl_stream_log(ctl, pod, "runner", false, to_messages, &messages, &err);
		if (rc == -AMBIENT_E_NOTFOUND)
			rc = messages_of_files(ctl, from, &messages);
		else if (is_early(rc, &err))
			rc = has_no_log(ctl, ctl->words[0], false);
		else if (rc < 0)
			rc = ctl_fail(&err, "messages of session \"%s\"", ctl->words[0]);
	}
	if (!ctl_messages_feed(&messages, "\n", 1))
		rc = CTL_FAILED;
	if (rc == CTL_OK && messages.last_seq == 0 && messages.plain == 0 && !ctl->json)
		say_none(ctl);
	ctl_messages_fini(&messages);
	return rc;
}

static const struct ctl_option logs_options[] = {
	{ "follow", 'f', NULL, "go on until the container has ended" },
	{ "container", 'c', "NAME", "runner (what happened; the default) or agent" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_logs = {
	.name = "logs", .synopsis = "logs NAME [-f] [-c CONTAINER]", .text = "Print the log of a session's container.",
	.options = logs_options, .min = 1, .max = 1, .on_sessions = true, .run = run_logs,
};

static const struct ctl_option messages_options[] = {
	{ "follow", 'f', NULL, "go on until the session has ended" },
	{ "from", 0, "N", "begin with message N" },
	{ "output", 'o', "FORMAT", "json (as the runner wrote them) or text" },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command ctl_messages_command = {
	.name = "messages", .synopsis = "messages NAME [-f] [--from N] [-o json|text]", .text = "Print what a session's agent said and did.",
	.options = messages_options, .min = 1, .max = 1, .on_sessions = true, .run = run_messages,
};
