/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cells of pods.  What a pod's status says is told by the most telling of its containers: of the init containers the
 * first that is not done, else of the others the first that waits or has ended.
 */
#include <stdlib.h>

#include "plugins/standalone/apiserver/table_priv.h"

static bool
sidecar_at(struct am_slice object, size_t index)
{
	struct am_slice specs, v, policy;
	size_t i = 0;

	if (am_json_find(object, "/spec/initContainers", &specs))
		for (size_t it = 0; am_json_element(specs, &it, &v);)
			if (i++ == index)
				return am_json_find(v, "/restartPolicy", &policy) && am_json_str_eq(policy, "Always");
	return false;
}

static size_t
count_at(struct am_slice object, const char *path)
{
	struct am_slice array;

	return am_json_find(object, path, &array) ? am_json_count(array) : 0;
}

static bool
has(struct am_slice object, const char *path)
{
	struct am_slice v;

	return am_json_find(object, path, &v) && am_json_type(v) != AMBIENT_T_NULL;
}

/* What a container ended with, when it did. */
static bool
ended_with(struct am_slice status, const char *prefix, struct am_buf *out)
{
	if (!has(status, "/state/terminated"))
		return false;
	char *reason = am_json_dup(status, "/state/terminated/reason");
	int64_t signal = am_json_int(status, "/state/terminated/signal", 0);

	am_buf_reset(out);
	if (!am_empty(reason))
		am_buf_addf(out, "%s%s", prefix, reason);
	else if (signal != 0)
		am_buf_addf(out, "%sSignal:%lld", prefix, (long long)signal);
	else
		am_buf_addf(out, "%sExitCode:%lld", prefix, (long long)am_json_int(status, "/state/terminated/exitCode", 0));
	free(reason);
	return true;
}

/* Is it one that the others need not wait for any more? */
static bool
init_is_done(struct am_slice object, size_t index, struct am_slice status)
{
	if (has(status, "/state/terminated"))
		return am_json_int(status, "/state/terminated/exitCode", 0) == 0;
	return sidecar_at(object, index) && am_json_bool(status, "/started", 0) != 0;
}

/* False: all init containers are done. */
static bool
init_reason(struct am_slice object, struct am_buf *out)
{
	struct am_slice array, v;
	size_t i = 0;

	if (!am_json_find(object, "/status/initContainerStatuses", &array))
		return false;
	for (size_t it = 0; am_json_element(array, &it, &v); i++) {
		if (init_is_done(object, i, v))
			continue;
		char *waiting = am_json_dup(v, "/state/waiting/reason");
		bool tells = !am_empty(waiting) && strcmp(waiting, "PodInitializing") != 0;

		if (!ended_with(v, "Init:", out)) {
			am_buf_reset(out);
			if (tells)
				am_buf_addf(out, "Init:%s", waiting);
			else
				am_buf_addf(out, "Init:%zu/%zu", i, count_at(object, "/spec/initContainers"));
		}
		free(waiting);
		return true;
	}
	return false;
}

/* The first container has the last word; one that runs outweighs those that are done. */
static void
container_reason(struct am_slice object, struct am_buf *out)
{
	struct am_slice array, v;
	struct am_buf one = { 0 };
	bool found = false, running = false;

	if (!am_json_find(object, "/status/containerStatuses", &array))
		return;
	for (size_t it = 0; am_json_element(array, &it, &v);) {
		char *waiting = am_json_dup(v, "/state/waiting/reason");
		bool tells = !am_empty(waiting) || ended_with(v, "", &one);

		running = running || (!tells && am_json_bool(v, "/ready", 0) != 0 && has(v, "/state/running"));
		if (tells && !found) {
			found = true;
			am_buf_reset(out);
			am_buf_adds(out, !am_empty(waiting) ? waiting : am_buf_str(&one));
		}
		free(waiting);
	}
	if (running && strcmp(am_buf_str(out), "Completed") == 0) {
		am_buf_reset(out);
		am_buf_adds(out, table_condition(object, "Ready") ? "Running" : "NotReady");
	}
	am_buf_fini(&one);
}

/* A gate keeps it from being scheduled. */
static bool
is_gated(struct am_slice object)
{
	struct am_slice array, v, type, reason;

	if (!am_json_find(object, "/status/conditions", &array))
		return false;
	for (size_t it = 0; am_json_element(array, &it, &v);)
		if (am_json_find(v, "/type", &type) && am_json_str_eq(type, "PodScheduled"))
			return am_json_find(v, "/reason", &reason) && am_json_str_eq(reason, "SchedulingGated");
	return false;
}

void
table_pod_status(const struct table_input *in, struct am_buf *out)
{
	struct am_buf text = { 0 };
	char *phase = am_json_dup(in->object, "/status/phase"), *reason = am_json_dup(in->object, "/status/reason");
	bool over = am_streq(phase, "Succeeded") || am_streq(phase, "Failed");

	am_buf_adds(&text, is_gated(in->object) ? "SchedulingGated" : !am_empty(reason) ? reason : phase != NULL ? phase : "");
	if (!init_reason(in->object, &text) || table_condition(in->object, "Initialized"))
		container_reason(in->object, &text);
	if (has(in->object, "/metadata/deletionTimestamp") && (!over || am_streq(reason, "NodeLost"))) {
		am_buf_reset(&text);
		am_buf_adds(&text, am_streq(reason, "NodeLost") ? "Unknown" : "Terminating");
	}
	am_json_add_str(out, am_buf_str(&text));
	am_buf_fini(&text);
	free(phase);
	free(reason);
}

/* Of one list of statuses: restarts and, of those, the time of the last one; sidecars: only they count. */
static int64_t
restarts_of(struct am_slice object, const char *list, bool sidecars, int64_t *last)
{
	struct am_slice array, v;
	int64_t n = 0, at;
	size_t i = 0;

	if (!am_json_find(object, list, &array))
		return 0;
	for (size_t it = 0; am_json_element(array, &it, &v); i++) {
		if (sidecars && !sidecar_at(object, i))
			continue;
		char *ended = am_json_dup(v, "/lastState/terminated/finishedAt");

		n += am_json_int(v, "/restartCount", 0);
		if (ended != NULL && am_time_parse(ended, &at) == 0)
			*last = AM_MAX(*last, at);
		free(ended);
	}
	return n;
}

void
table_pod_restarts(const struct table_input *in, struct am_buf *out)
{
	struct am_buf reason = { 0 };
	bool initializing = init_reason(in->object, &reason) && !table_condition(in->object, "Initialized");
	int64_t last = 0, n = restarts_of(in->object, "/status/initContainerStatuses", !initializing, &last);
	char age[16];

	if (!initializing)
		n += restarts_of(in->object, "/status/containerStatuses", false, &last);
	am_buf_addf(out, "\"%lld", (long long)n);
	if (n > 0 && last > 0) {
		am_duration_format(age, AM_MAX(am_clock_wall(in->clock) - last, 0));
		am_buf_addf(out, " (%s ago)", age);
	}
	am_buf_addc(out, '"');
	am_buf_fini(&reason);
}

/* Sidecars count as containers, other init containers do not. */
void
table_pod_ready(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	size_t total = count_at(in->object, "/spec/containers"), ready = 0, i = 0;

	for (size_t k = 0; k < count_at(in->object, "/spec/initContainers"); k++)
		total += sidecar_at(in->object, k);
	if (am_json_find(in->object, "/status/initContainerStatuses", &array))
		for (size_t it = 0; am_json_element(array, &it, &v); i++)
			ready += sidecar_at(in->object, i) && am_json_bool(v, "/started", 0) != 0 && am_json_bool(v, "/ready", 0) != 0;
	if (am_json_find(in->object, "/status/containerStatuses", &array))
		for (size_t it = 0; am_json_element(array, &it, &v);)
			ready += am_json_bool(v, "/ready", 0) != 0 && has(v, "/state/running");
	am_buf_addf(out, "\"%zu/%zu\"", ready, total);
}

void
table_pod_gates(const struct table_input *in, struct am_buf *out)
{
	struct am_slice array, v;
	size_t total = 0, met = 0;

	if (am_json_find(in->object, "/spec/readinessGates", &array))
		for (size_t it = 0; am_json_element(array, &it, &v); total++) {
			char *type = am_json_dup(v, "/conditionType");

			met += type != NULL && table_condition(in->object, type);
			free(type);
		}
	if (total > 0)
		am_buf_addf(out, "\"%zu/%zu\"", met, total);
	else
		am_buf_adds(out, "\"<none>\"");
}
