/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the client share: a scripted server, a client of it and a fake clock, each of which exists once
 * per test (Check runs each in a process of its own).
 */
#ifndef TESTS_FUNC_CLIENT_H
#define TESTS_FUNC_CLIENT_H

#include "tests/lib/unit.h"

#include <pthread.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/kube/kube_priv.h"
#include "tests/lib/apiserver_fake.h"

#define S AM_NS_PER_S

static struct am_clock *fake;
static struct fake_api *api;
static struct am_kube *kube;
static char dir[64];

static am_unused_ char *
put_file(const char *name, const char *text)
{
	if (dir[0] == '\0') {
		(void)snprintf(dir, sizeof(dir), "/tmp/test_client.XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(dir));
	}
	char *path = am_xasprintf("%s/%s", dir, name);
	ck_assert_int_eq(am_file_write(path, text, strlen(text), 0600, NULL), 0);
	return path;
}

static am_unused_ void
open_kube(struct am_kube_config *config, double qps, int burst)
{
	struct am_kube_options options = { .user_agent = "test/1", .clock = fake, .qps = qps, .burst = burst };

	ck_assert_int_eq(am_kube_new(config, &options, &kube, NULL), 0);
}

static am_unused_ struct am_kube_config *
config_of(const char *server)
{
	struct am_kube_config *config = am_xcalloc(1, sizeof(*config));
	struct ambient_error err = AMBIENT_ERROR_INIT;

	ck_assert_msg(am_kube_config_finish(config, server, &err) == 0, "%s", err.message);
	return config;
}

static am_unused_ void
begin(enum fake_api_mode mode)
{
	fake = am_clock_fake_new();
	api = fake_api_new(mode);
}

static am_unused_ void
begin_plain(void)
{
	begin(FAKE_API_PLAIN);
	open_kube(config_of(fake_api_url(api)), -1, 0);
}

static am_unused_ void
end(void)
{
	am_kube_free(kube);
	fake_api_free(api);
	am_clock_fake_free(fake);
	if (dir[0] != '\0')
		ck_assert_int_eq(am_remove_tree(dir, NULL), 0);
}

static am_unused_ void
rule(const char *method, const char *path, int times, int status, const char *headers, const char *body, unsigned flags)
{
	struct fake_api_rule r = { .method = method, .path = path, .times = times, .status = status, .headers = headers,
				   .body = body, .flags = flags };

	fake_api_add(api, &r);
}

static am_unused_ int
simple(const char *method, const char *path, const char *body, struct ambient_error *err)
{
	struct am_kube_request request = { .method = method, .path = path, .body = body,
					   .body_len = body != NULL ? strlen(body) : 0 };
	am_auto(am_buf_fini) struct am_buf answer = { 0 };

	*err = (struct ambient_error)AMBIENT_ERROR_INIT;
	return am_kube_do(kube, &request, &answer, err);
}

static am_unused_ const char *
bearer(int i)
{
	return fake_api_header(fake_api_request(api, i), "Authorization");
}

#endif
