/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the node plugin share: a node on a fake host, with real shims and pods. */
#ifndef TESTS_UNIT_NODE_H
#define TESTS_UNIT_NODE_H

#include "core/base/attr.h"
#include "plugins/standalone/node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/fake_host.h"
#include "tests/lib/unit.h"

static struct fake_host *fake;
static char state_dir[64];
static char conf[PATH_MAX + 512];

static am_unused_ void
host_up(void)
{
	fake_host_set_state_dir(fake, state_dir);
	fake_host_set_conf(fake, conf);
	fake_host_set_fact(fake, "server", "https://127.0.0.1:16443");
	(void)fake_host_create(fake);
}

static am_unused_ void
begin(const char *more)
{
	char shim[PATH_MAX];

	ck_assert_ptr_nonnull(realpath("core/ambient-shim/ambient-shim", shim));

	snprintf(state_dir, sizeof(state_dir), "/tmp/ambient-node-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state_dir));
	snprintf(conf, sizeof(conf), "{\"shim\":\"%s\",\"images\":[{\"match\":\"test:*\",\"path\":\"/usr/bin:/bin\","
		 "\"env\":{\"FROM_IMAGE\":\"yes\"}}]%s}", shim, more);
	fake = fake_host_new(&ambient_plugin_v1);
	host_up();
}

static am_unused_ void
end(void)
{
	fake_host_free(fake);
	(void)remove_tree(state_dir);
}

/* spec: the members of the first container; pod: members of the spec after the containers. */
static am_unused_ void
put_pod(const char *name, const char *container, const char *more)
{
	char json[4096];

	snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"n\",\"labels\":{\"app\":\"x\"}},"
		 "\"spec\":{\"nodeName\":\"standalone\",\"restartPolicy\":\"Never\",\"terminationGracePeriodSeconds\":1,"
		 "\"containers\":[{\"name\":\"c\",\"image\":\"test:1\",%s}]%s}}", name, container, more);
	fake_host_put(fake, POD, json);
}

static am_unused_ struct ambient_result
reconcile(const char *name)
{
	struct ambient_result result = { .size = sizeof(result) };
	struct ambient_error err = AMBIENT_ERROR_INIT;
	int rc = fake_host_reconcile(fake, "pods", "n", name, &result, &err);

	ck_assert_msg(rc == 0 || rc == -AMBIENT_E_NOTFOUND, "reconcile: %s", err.message);
	return result;
}

static am_unused_ const char *
at(const char *name, const char *pointer)
{
	const char *text = fake_host_at(fake, POD, "n", name, pointer);

	return text != NULL ? text : "";
}

/* Real processes need real time: looks every 5 ms, 4 s at most where nothing is slower. */
static am_unused_ bool
until_quietly(const char *name, const char *pointer, const char *value)
{
	for (int i = 0; i < unit_looks(800); i++) {
		(void)reconcile(name);
		if (strcmp(at(name, pointer), value) == 0)
			return true;
		(void)usleep(5000);
	}
	return false;
}

static am_unused_ bool
until(const char *name, const char *pointer, const char *value)
{
	if (until_quietly(name, pointer, value))
		return true;
	fprintf(stderr, "%s is \"%s\", not \"%s\"\n%s\n%s\n", pointer, at(name, pointer), value, at(name, "/status"),
		fake_host_log(fake));
	return false;
}

static am_unused_ const char *
log_of(const char *name, const char *container)
{
	static struct text text;
	char path[512];

	text.len = 0;
	snprintf(path, sizeof(path), "%s/pods/%s/containers/%s/0.log", state_dir, at(name, "/metadata/uid"), container);
	(void)file_read(path, 1 << 20, &text);
	return text_str(&text);
}

#define RUN(script) "\"command\":[\"sh\",\"-c\",\"" script "\"]"

#endif
