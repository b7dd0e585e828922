/* SPDX-License-Identifier: Apache-2.0 */
/* The client against the control plane that $KUBECONFIG names: what a scripted server can only pretend. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/cache/cache.h"
#include "core/data/scan.h"
#include "core/kube/kube_priv.h"

static const struct am_gvr configmaps = { .version = "v1", .plural = "configmaps" };
static const struct am_gvr events = { .version = "v1", .plural = "events" };
static struct am_kube *kube;
static struct ambient_error err = AMBIENT_ERROR_INIT;

static void
begin(void)
{
	struct am_kube_options options = { .user_agent = "ambient-test/0" };
	struct am_kube_config *config;

	ck_assert_msg(am_kube_config_default(NULL, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_msg(am_kube_new(config, &options, &kube, &err) == 0, "%s", err.message);
}

static int
create(const char *name)
{
	am_auto(am_freep) char *json = am_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\"},"
						    "\"data\":{\"a\":\"1\"}}", name);

	return am_kube_create(kube, &configmaps, "default", json, strlen(json), NULL, &err);
}

START_TEST(verbs_and_errors)
{
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	static const char stale[] = "{\"metadata\":{\"resourceVersion\":\"1\"},\"data\":{\"a\":\"2\"}}";

	begin();
	(void)am_kube_delete(kube, &configmaps, "default", "real", NULL, NULL);
	ck_assert_int_eq(am_kube_get(kube, &configmaps, "default", "real", &body, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_str_eq(err.reason, "NotFound");
	ck_assert_int_eq(err.http_status, 404);
	ck_assert_msg(create("real") == 0, "%s", err.message);
	ck_assert_int_eq(create("real"), -AMBIENT_E_EXISTS);
	ck_assert_int_eq(create("Not A Name"), -AMBIENT_E_INVALID);
	ck_assert_str_eq(err.where, "metadata.name");
	ck_assert_int_eq(am_kube_patch(kube, &configmaps, "default", "real", NULL, "application/merge-patch+json",
				       stale, strlen(stale), NULL, &err), -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(am_kube_patch(kube, &configmaps, "default", "real", NULL, "application/nonsense", "{}", 2, NULL, &err),
			 -AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(am_kube_patch(kube, &configmaps, "default", "real", NULL, "application/merge-patch+json",
				       "{\"data\":{\"a\":\"3\"}}", 18, &body, &err), 0);
	am_auto(am_freep) char *a = am_json_dup(am_slice(body.data, body.len), "/data/a");
	ck_assert_str_eq(a, "3");
	struct am_gvr unknown = { .group = "no.such", .version = "v1", .plural = "things" };
	ck_assert_int_eq(am_kube_get(kube, &unknown, NULL, NULL, &body, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(err.message, "404 page not found"));
	ck_assert_int_eq(am_kube_delete(kube, &configmaps, "default", "real",
					"{\"preconditions\":{\"uid\":\"00000000-0000-0000-0000-000000000000\"}}", &err),
			 -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(am_kube_delete(kube, &configmaps, "default", "real", NULL, &err), 0);
	am_kube_free(kube);
}
END_TEST

static int
sockets(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++) {
		struct stat st;
		n += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	}
	return n;
}

static void *
requests_thread(void *arg)
{
	const char *name = arg;
	char path[64];

	(void)snprintf(path, sizeof(path), "/api/v1/namespaces/default/configmaps/%s", name);
	for (int i = 0; i < 10; i++) {
		struct am_kube_request get = { .method = "GET", .path = path };
		struct ambient_error e = AMBIENT_ERROR_INIT;
		am_auto(am_buf_fini) struct am_buf body = { 0 };
		am_auto(am_freep) char *json = am_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"data\":{\"a\":\"%0*d\"}}", name, 100000, i);

		ck_assert_msg(am_kube_create(kube, &configmaps, "default", json, strlen(json), NULL, &e) == 0, "%s", e.message);
		ck_assert_msg(am_kube_do(kube, &get, &body, &e) == 0, "%s", e.message);
		ck_assert_uint_gt(body.len, 100000);
		ck_assert_msg(am_kube_delete(kube, &configmaps, "default", name, NULL, &e) == 0, "%s", e.message);
		ck_assert_int_eq(am_kube_do(kube, &get, &body, &e), -AMBIENT_E_NOTFOUND);
		ck_assert_str_eq(e.reason, "NotFound");
	}
	return NULL;
}

/* ADR 52: short requests of eight threads share a connection; nothing of them gets mixed up. */
START_TEST(http2_short_requests_share_a_connection)
{
	struct am_kube_options options = { .user_agent = "ambient-test/0", .qps = -1, .http2 = true };
	static char names[8][16];
	struct am_kube_config *config;
	pthread_t threads[8];

	ck_assert_msg(am_kube_config_default(NULL, NULL, &config, &err) == 0, "%s", err.message);
	int before = sockets();
	ck_assert_msg(am_kube_new(config, &options, &kube, &err) == 0, "%s", err.message);
	int idle = sockets();
	for (int i = 0; i < 8; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "two-%d", i);
		(void)am_kube_delete(kube, &configmaps, "default", names[i], NULL, NULL);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, requests_thread, names[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(sockets() - idle, 1);
	am_kube_free(kube);
	ck_assert_int_eq(sockets(), before);
}
END_TEST

static int
count_lines(void *arg, const char *p, size_t n)
{
	int *lines = arg;

	for (size_t i = 0; i < n; i++)
		*lines += p[i] == '\n';
	return *lines >= 1 ? -AMBIENT_E_CANCELLED : 0;
}

START_TEST(watch_streams)
{
	int lines = 0;
	struct am_kube_request request = {
		.method = "GET", .path = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=60",
	};

	begin();
	/* kube-root-ca.crt is there, so the first event comes at once. */
	ck_assert_int_eq(am_kube_stream(kube, &request, count_lines, &lines, &err), -AMBIENT_E_CANCELLED);
	ck_assert_int_ge(lines, 1);
	am_kube_free(kube);
}
END_TEST

/* 504 with Retry-After: asked again until the deadline, and then the server's reason is still told. */
START_TEST(future_version_times_out)
{
	struct am_kube_request request = {
		.method = "GET", .path = "/api/v1/configmaps?resourceVersion=999999999&resourceVersionMatch=NotOlderThan",
	};

	begin();
	request.deadline = am_clock_boot(am_clock_real()) + 6 * AM_NS_PER_S;
	ck_assert_int_eq(am_kube_do(kube, &request, NULL, &err), -AMBIENT_E_TIMEOUT);
	ck_assert_msg(strstr(err.message, "Too large resource version") != NULL, "%s", err.message);
	ck_assert_int_gt(err.retry_after_ms, 0);
	am_kube_free(kube);
}
END_TEST

START_TEST(events_count_up)
{
	static const char involved[] = "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"namespace\":\"default\","
				       "\"name\":\"kube-root-ca.crt\",\"uid\":\"x\"}";
	am_auto(am_buf_fini) struct am_buf body = { 0 };
	struct am_kube_request request = {
		.method = "GET", .path = "/api/v1/namespaces/default/events?fieldSelector=reason%3DRealTest",
	};

	begin();
	struct am_recorder *recorder = am_recorder_new(kube, "ambient-test", "here");
	for (int i = 0; i < 3; i++)
		am_recorder_emit(recorder, involved, "default", "kube-root-ca.crt", "Normal", "RealTest", "three times");
	am_recorder_free(recorder); /* waits until they are sent */
	ck_assert_msg(am_kube_do(kube, &request, &body, &err) == 0, "%s", err.message);
	struct am_slice list = am_slice(body.data, body.len);
	ck_assert_int_eq(am_json_int(list, "/items/0/count", 0), 3);
	am_auto(am_freep) char *name = am_json_dup(list, "/items/0/metadata/name");
	struct am_slice second;
	ck_assert(!am_json_find(list, "/items/1", &second));
	ck_assert_int_eq(am_kube_delete(kube, &events, "default", name, NULL, &err), 0);
	am_kube_free(kube);
}
END_TEST

/* One request for the whole collection and its watch; and of metadata no more than that. */
START_TEST(informers_stream_their_lists)
{
	static const struct am_informer_spec specs[] = { { .kind = "v1/configmaps" }, { .kind = "v1/configmaps", .only = "metadata" } };
	const struct am_informers_options options = { .stream = true, .packed = true };

	begin();
	for (size_t i = 0; i < AM_COUNTOF(specs); i++) {
		struct am_informers *set = am_informers_new(am_kube_io(kube));
		struct am_informer *informer;
		struct am_reflector_status status;

		am_informers_configure(set, &options);
		ck_assert_msg(am_informer_get(set, &specs[i], &informer, &err) == 0, "%s", err.message);
		for (int ms = 0; ms < 20000 && !am_informer_has_synced(informer); ms++)
			(void)usleep(1000);
		am_informer_status(informer, &status);
		ck_assert_msg(am_informer_has_synced(informer), "%s", status.error);
		ck_assert_uint_eq(status.lists, 0);
		ck_assert_uint_eq(status.watches, 1);
		ck_assert_int_eq(status.state, AM_REFLECTOR_WATCHING);
		struct am_object *object = am_store_get(am_informer_store(informer), "default", "kube-root-ca.crt");
		ck_assert_ptr_nonnull(object);
		ck_assert_int_eq(strstr(object->json.p, "BEGIN CERTIFICATE") != NULL, specs[i].only == NULL);
		am_object_unref(object);
		am_informer_put(informer);
		am_informers_free(set);
	}
	am_kube_free(kube);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, verbs_and_errors);
	tcase_add_test(tc, http2_short_requests_share_a_connection);
	tcase_add_test(tc, watch_streams);
	tcase_add_test(tc, informers_stream_their_lists);
	tcase_add_test(tc, future_version_times_out);
	tcase_add_test(tc, events_count_up);
}

UNIT_MAIN("client against a real server", cases)
