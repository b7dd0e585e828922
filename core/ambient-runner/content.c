/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ambient-runner content`: the endpoint of a session that has ended, for reading, in a pod of its own that mounts the
 * workspace read-only.  It holds nothing but the right to read its session, which says whose keys are good; it writes
 * nothing, and ends by itself when nobody has asked for anything for a while.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/ambient-runner/run.h"
#include "core/ambient-runner/runner_priv.h"
#include "core/base/clock.h"

#define IDLE (300 * AM_NS_PER_S)

static void
on_session(void *arg, struct am_slice session)
{
	am_endpoint_session(arg, session);
}

/* Until a signal, or until it was idle for so long. */
static void
serve(const struct am_endpoint *endpoint, int64_t idle)
{
	int64_t left;

	while (am_runner_is_asked() == 0 && (left = idle - am_endpoint_idle(endpoint)) > 0) {
		struct pollfd p = {.fd = am_runner_wake_fd, .events = POLLIN};

		(void)poll(&p, 1, (int)AM_MIN(left / AM_NS_PER_MS + 1, INT64_C(60000)));
	}
}

static int
run(struct am_kube *kube, const char *ns, const char *name, int64_t idle)
{
	struct am_endpoint_options options = {.address = getenv("AMBIENT_ENDPOINT"),
					      .dir = getenv("AMBIENT_SESSION_DIR"),
					      .run = "",
					      .content = true};
	struct am_endpoint *endpoint = NULL;
	struct ambient_error err = AMBIENT_ERROR_INIT;

	if (am_endpoint_start(&options, &endpoint, &err) < 0) {
		(void)fprintf(stderr, "ambient-runner: %s\n", err.message);
		return AM_EXIT_FAILED;
	}
	const struct am_watch_options watched = {.io = am_kube_io(kube),
						 .ns = ns,
						 .name = name,
						 .uid = getenv("AMBIENT_SESSION_UID"),
						 .change = on_session,
						 .arg = endpoint};
	struct am_watch *watch = am_runner_watch_new(&watched, am_slice(NULL, 0));
	serve(endpoint, idle);
	am_runner_watch_free(watch);
	am_endpoint_free(endpoint);
	return AM_EXIT_OK;
}

int
am_runner_content_main(void)
{
	static const char *const needed[] = {"AMBIENT_SESSION_NAME", "AMBIENT_SESSION_NAMESPACE", "AMBIENT_SESSION_DIR",
					     "AMBIENT_ENDPOINT"};
	const char *text = getenv("AMBIENT_CONTENT_IDLE");
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_kube *kube = NULL;
	int64_t idle = IDLE;

	for (size_t i = 0; i < AM_COUNTOF(needed); i++) {
		if (!am_empty(getenv(needed[i])))
			continue;
		(void)fprintf(stderr, "ambient-runner: the environment has no %s; \"content\" is started by the operator\n",
			      needed[i]);
		return AM_EXIT_PREREQUISITE;
	}
	if (!am_empty(text) && (am_parse_duration(text, &idle) < 0 || idle < AM_NS_PER_S)) {
		(void)fprintf(stderr, "ambient-runner: AMBIENT_CONTENT_IDLE is \"%s\"; it must be a duration of at least 1s\n", text);
		return AM_EXIT_PREREQUISITE;
	}
	if (am_runner_catch_signals() < 0 || am_runner_connect(&kube, &err) < 0) {
		(void)fprintf(stderr, "ambient-runner: %s\n", err.message);
		return AM_EXIT_FAILED;
	}
	int code = run(kube, getenv("AMBIENT_SESSION_NAMESPACE"), getenv("AMBIENT_SESSION_NAME"), idle);
	am_kube_free(kube);
	return code;
}
