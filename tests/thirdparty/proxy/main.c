/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One scenario, the same widget.so twice: mapped into this process, and behind a socket in a child of which each
 * host call is a message.  Usage: proxy WIDGET.SO
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "tests/lib/fake_host.h"
#include "tests/thirdparty/proxy/proxy.h"

#define WIDGET "example.com/v1/widgets"

static int count, failed;
static const char *where;

static void
is(const char *what, const char *got, const char *want)
{
	bool ok = got == want || am_streq(got, want);

	failed += !ok;
	printf("%s %d - %s: %s\n", ok ? "ok" : "not ok", ++count, where, what);
	if (!ok)
		printf("# got %s, wanted %s\n", got != NULL ? got : "nothing", want != NULL ? want : "nothing");
}

static void
is_int(const char *what, int64_t got, int64_t want)
{
	char a[24], b[24];

	(void)snprintf(a, sizeof(a), "%lld", (long long)got);
	(void)snprintf(b, sizeof(b), "%lld", (long long)want);
	is(what, a, b);
}

static void
scenario(const struct ambient_plugin *plugin)
{
	struct fake_host *fake = fake_host_new(plugin);
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	fake_host_set_conf(fake, "{'region':'mars'}");
	(void)fake_host_create(fake);
	is("it logs", strstr(fake_host_log(fake), "widgets live in mars") != NULL ? "yes" : "no", "yes");

	is_int("nothing there is nothing to do", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	fake_host_put(fake, WIDGET, "{'apiVersion':'example.com/v1','kind':'Widget','metadata':{'namespace':'ns','name':'a'},"
				    "'spec':{'region':'us'}}");
	is_int("reconciles", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is_int("comes back", result.requeue_after, 30 * AMBIENT_SECOND);
	is("makes a ConfigMap", fake_host_at(fake, "v1/configmaps", "ns", "a", "/data/region"), "us");
	is("which the widget owns", fake_host_at(fake, "v1/configmaps", "ns", "a", "/metadata/ownerReferences/0/name"), "a");
	is("sets the status", fake_host_at(fake, WIDGET, "ns", "a", "/status/observedRegion"), "us");
	is("says so in an event", fake_host_event(fake, "Moved"), "Normal Moved ns/a lives in us now");

	size_t writes = fake_host_calls(fake, "apply", "*") + fake_host_calls(fake, "status", "*");
	is_int("again", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is_int("sends nothing twice", (int64_t)(fake_host_calls(fake, "apply", "*") + fake_host_calls(fake, "status", "*") - writes),
	       0);

	fake_host_merge(fake, WIDGET, "ns", "a", "{'spec':{'region':null}}");
	is_int("without a region", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is("takes the configuration's", fake_host_at(fake, "v1/configmaps", "ns", "a", "/data/region"), "mars");

	result = (struct ambient_result){ .size = sizeof(result) };
	fake_host_merge(fake, WIDGET, "ns", "a", "{'spec':{'region':'undecided','urgent':true}}");
	is_int("not content", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is_int("comes back later and later", result.requeue, 1);
	is_int("and not at a time", result.requeue_after, 0);
	is_int("with a priority", result.prioritized, 1);
	is_int("of its own", result.priority, 10);
	result = (struct ambient_result){ .size = offsetof(struct ambient_result, requeue) };
	is_int("on an older host", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is_int("at a time instead", result.requeue_after, AMBIENT_SECOND);
	is_int("and without a priority", result.prioritized, 0);
	result = (struct ambient_result){ .size = sizeof(result) };

	fake_host_merge(fake, WIDGET, "ns", "a", "{'spec':{'region':'','urgent':null}}");
	is_int("an error keeps its code", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), -AMBIENT_E_INVALID);
	is("its message", err.message, "spec.region must not be empty");
	is_int("and that it is terminal", err.flags, AMBIENT_ERROR_TERMINAL);

	fake_host_merge(fake, WIDGET, "ns", "a", "{'spec':{'region':'\\u00fcber\\n\\u0022x\\u0022'}}");
	fake_host_fail(fake, "apply", "v1/configmaps", AMBIENT_E_CONFLICT, 1);
	is_int("so does the host's", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), -AMBIENT_E_CONFLICT);
	is_int("then it works", fake_host_reconcile(fake, NULL, "ns", "a", &result, &err), 0);
	is("text is carried unharmed", fake_host_at(fake, "v1/configmaps", "ns", "a", "/data/region"), "\303\274ber\n\"x\"");
	fake_host_free(fake);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "--child") == 0)
		proxy_child(atoi(argv[2]), argv[3]);
	if (argc != 2) {
		fprintf(stderr, "usage: proxy WIDGET.SO\n");
		return 2;
	}
	where = "child";
	scenario(proxy_start(argv[1]));
	is("every call was a message", proxy_messages() > 30 ? "yes" : "no", "yes");
	proxy_stop();

	void *handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	const struct ambient_plugin *plugin = handle != NULL ? dlsym(handle, "ambient_plugin_v1") : NULL;
	where = "here";
	if (plugin != NULL)
		scenario(plugin);
	else
		is("loads", dlerror(), NULL);
	printf("1..%d\n", count);
	return failed > 0;
}
