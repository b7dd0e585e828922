/* SPDX-License-Identifier: Apache-2.0 */
/* Probes, hooks, the stop signal: from a container's fields to the shim's words (core/ambient-shim/spec.c). */
#include "node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number, or the name of one of the container's ports; 0: neither. */
static int64_t
port_of(const struct ambient_object *container, const struct ambient_object *where)
{
	const char *name = ambient_str(where, "/port", NULL);
	int64_t number = ambient_int(where, "/port", 0);

	if (name == NULL)
		return number;
	for (size_t i = 0; i < ambient_len(container, "/ports"); i++) {
		const struct ambient_object *p = ambient_item(container, "/ports", i, NULL);

		if (strcmp(ambient_str(p, "/name", ""), name) == 0)
			return ambient_int(p, "/containerPort", 0);
	}
	return strtoll(name, NULL, 10);
}

static void
add_headers(struct text *out, const struct ambient_object *http)
{
	text_puts(out, ",\"headers\":[");
	for (size_t i = 0; i < ambient_len(http, "/httpHeaders"); i++) {
		const struct ambient_object *h = ambient_item(http, "/httpHeaders", i, NULL);
		struct text line = { 0 };

		text_printf(&line, "%s: %s", ambient_str(h, "/name", ""), ambient_str(h, "/value", ""));
		text_puts(out, i > 0 ? "," : "");
		text_json(out, text_str(&line));
		text_fini(&line);
	}
	text_puts(out, "]");
}

/* The members of an action, without braces. */
static void
add_action(struct text *out, const struct text *names, const struct local *local, const struct ambient_object *container,
	   const struct ambient_object *action, struct trouble *t)
{
	const struct ambient_object *http = ambient_at(action, "/httpGet"), *tcp = ambient_at(action, "/tcpSocket");
	const struct ambient_object *where = http != NULL ? http : tcp;

	if (ambient_at(action, "/exec") != NULL) {
		text_puts(out, "\"exec\":[");
		for (size_t i = 0; i < ambient_len(action, "/exec/command"); i++) {
			struct text word = { 0 };

			env_expand(names, ambient_str(ambient_item(action, "/exec/command", i, NULL), "", ""), &word);
			text_puts(out, i > 0 ? "," : "");
			text_json(out, text_str(&word));
			text_fini(&word);
		}
		text_puts(out, "]");
	} else if (where != NULL && strcmp(ambient_str(where, "/scheme", "HTTP"), "HTTP") == 0) {
		int64_t port = port_of(container, where);

		if (port < 1 || port > 65535)
			trouble_set(t, "CreateContainerConfigError", false, "a probe or hook names port \"%.64s\", which the container has not",
				    ambient_str(where, "/port", "0"));
		text_printf(out, "\"%s\":{\"host\":", http != NULL ? "http" : "tcp");
		text_json(out, ambient_str(where, "/host", local->ip));
		text_printf(out, ",\"port\":%lld", (long long)port);
		if (http != NULL) {
			text_puts(out, ",\"path\":");
			text_json(out, ambient_str(http, "/path", "/"));
			add_headers(out, http);
		}
		text_puts(out, "}");
	} else if (ambient_at(action, "/sleep") != NULL) {
		text_printf(out, "\"sleep\":%lld", (long long)ambient_int(action, "/sleep/seconds", 0));
	} else {
		trouble_set(t, "CreateContainerConfigError", false,
			    "a probe or hook is of a kind that this node does not have (there are exec, httpGet by HTTP, tcpSocket, and sleep "
			    "for hooks)");
		text_puts(out, "\"sleep\":0");
	}
}

static void
add_probe(struct text *out, const struct text *names, const struct local *local, const struct ambient_object *container,
	  const char *at, const char *word, struct trouble *t)
{
	static const struct { const char *at, *word; int64_t fallback; } numbers[] = {
		{ "/initialDelaySeconds", "delay", 0 }, { "/periodSeconds", "period", 10 }, { "/timeoutSeconds", "timeout", 1 },
		{ "/successThreshold", "success", 1 }, { "/failureThreshold", "failure", 3 },
		{ "/terminationGracePeriodSeconds", "grace", -1 },
	};
	const struct ambient_object *probe = ambient_at(container, at);

	if (probe == NULL)
		return;
	text_printf(out, ",\"%s\":{", word);
	add_action(out, names, local, container, probe, t);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int64_t n = ambient_int(probe, numbers[i].at, numbers[i].fallback);

		if (n >= 0)
			text_printf(out, ",\"%s\":%lld", numbers[i].word, (long long)n);
	}
	text_puts(out, "}");
}

static int
signal_number(const char *name)
{
	static const struct { const char *name; int number; } known[] = {
		{ "SIGHUP", SIGHUP }, { "SIGINT", SIGINT }, { "SIGQUIT", SIGQUIT }, { "SIGKILL", SIGKILL }, { "SIGUSR1", SIGUSR1 },
		{ "SIGUSR2", SIGUSR2 }, { "SIGTERM", SIGTERM }, { "SIGWINCH", SIGWINCH }, { "SIGABRT", SIGABRT }, { "SIGALRM", SIGALRM },
		{ "SIGCONT", SIGCONT }, { "SIGPIPE", SIGPIPE }, { "SIGPWR", SIGPWR }, { "SIGIO", SIGIO },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].number;
	return 0;
}

/* An image may say it by its number, or without SIG. */
static int
image_signal(const char *said)
{
	char name[32];

	if (strtol(said, NULL, 10) > 0)
		return (int)strtol(said, NULL, 10);
	(void)snprintf(name, sizeof(name), "%s%s", strncmp(said, "SIG", 3) == 0 ? "" : "SIG", said);
	return signal_number(name);
}

void
life_add(struct text *out, const struct text *names, const struct local *local, const struct ambient_object *container,
	 const struct ambient_object *image, struct trouble *t)
{
	static const char *const hooks[][2] = { { "/lifecycle/postStart", "postStart" }, { "/lifecycle/preStop", "preStop" } };
	const char *stop = ambient_str(container, "/lifecycle/stopSignal", NULL);

	add_probe(out, names, local, container, "/startupProbe", "startup", t);
	add_probe(out, names, local, container, "/livenessProbe", "liveness", t);
	add_probe(out, names, local, container, "/readinessProbe", "readiness", t);
	for (size_t i = 0; i < 2; i++) {
		const struct ambient_object *hook = ambient_at(container, hooks[i][0]);

		if (hook == NULL)
			continue;
		text_printf(out, ",\"%s\":{", hooks[i][1]);
		add_action(out, names, local, container, hook, t);
		text_puts(out, "}");
	}
	if (strcmp(ambient_str(container, "/terminationMessagePolicy", ""), "FallbackToLogsOnError") == 0)
		text_puts(out, ",\"fallback\":true");
	if (life_sidecar(container))
		text_puts(out, ",\"sidecar\":true");
	if (stop == NULL && image != NULL && image_signal(ambient_str(image, "/config/StopSignal", "")) > 0)
		text_printf(out, ",\"stopSignal\":%d", image_signal(ambient_str(image, "/config/StopSignal", "")));
	if (stop == NULL)
		return;
	if (signal_number(stop) == 0)
		trouble_set(t, "CreateContainerConfigError", false, "stopSignal \"%.40s\" is not known on this node", stop);
	text_printf(out, ",\"stopSignal\":%d", signal_number(stop) != 0 ? signal_number(stop) : SIGTERM);
}

bool
life_sidecar(const struct ambient_object *container)
{
	return strcmp(ambient_str(container, "/restartPolicy", ""), "Always") == 0;
}
