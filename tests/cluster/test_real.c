/* SPDX-License-Identifier: Apache-2.0 */
/* The client against the control plane that $KUBECONFIG names: what a scripted server can only pretend. */
#include "tests/lib/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/cache/reflector_priv.h"
#include "core/data/scan.h"
#include "core/kube/kube_priv.h"
#include "core/lead/lead.h"

static const struct am_gvr configmaps = {.version = "v1", .plural = "configmaps"};
static const struct am_gvr events = {.version = "v1", .plural = "events"};
static struct am_kube *kube;
static struct ambient_error err = AMBIENT_ERROR_INIT;

static void
begin(void)
{
	struct am_kube_options options = {.user_agent = "ambient-test/0"};
	struct am_kube_config *config;

	ck_assert_msg(am_kube_config_default(NULL, NULL, &config, &err) == 0, "%s", err.message);
	ck_assert_msg(am_kube_new(config, &options, &kube, &err) == 0, "%s", err.message);
}

static int
create(const char *name)
{
	am_auto(am_freep) char *json =
		am_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\"},"
			     "\"data\":{\"a\":\"1\"}}",
			     name);

	return am_kube_create(kube, &configmaps, "default", json, strlen(json), NULL, &err);
}

START_TEST(verbs_and_errors)
{
	am_auto(am_buf_fini) struct am_buf body = {0};
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
				       stale, strlen(stale), NULL, &err),
			 -AMBIENT_E_CONFLICT);
	ck_assert_int_eq(
		am_kube_patch(kube, &configmaps, "default", "real", NULL, "application/nonsense", "{}", 2, NULL, &err),
		-AMBIENT_E_UNSUPPORTED);
	ck_assert_int_eq(am_kube_patch(kube, &configmaps, "default", "real", NULL, "application/merge-patch+json",
				       "{\"data\":{\"a\":\"3\"}}", 18, &body, &err),
			 0);
	am_auto(am_freep) char *a = am_json_dup(am_slice(body.data, body.len), "/data/a");
	ck_assert_str_eq(a, "3");
	struct am_gvr unknown = {.group = "no.such", .version = "v1", .plural = "things"};
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
		struct am_kube_request get = {.method = "GET", .path = path};
		struct ambient_error e = AMBIENT_ERROR_INIT;
		am_auto(am_buf_fini) struct am_buf body = {0};
		am_auto(am_freep) char *json =
			am_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"data\":{\"a\":\"%0*d\"}}", name, 100000, i);

		ck_assert_msg(am_kube_create(kube, &configmaps, "default", json, strlen(json), NULL, &e) == 0, "%s",
			      e.message);
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
	struct am_kube_options options = {.user_agent = "ambient-test/0", .qps = -1, .http2 = true};
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
		.method = "GET",
		.path = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=60",
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
		.method = "GET",
		.path = "/api/v1/configmaps?resourceVersion=999999999&resourceVersionMatch=NotOlderThan",
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
	am_auto(am_buf_fini) struct am_buf body = {0};
	struct am_kube_request request = {
		.method = "GET",
		.path = "/api/v1/namespaces/default/events?fieldSelector=reason%3DRealTest",
	};

	begin();
	struct am_recorder *recorder = am_recorder_new(kube, "ambient-test", "here");
	for (int i = 0; i < 3; i++)
		am_recorder_emit(recorder, involved, "default", "kube-root-ca.crt", "Normal", "RealTest",
				 "three times");
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
	static const struct am_informer_spec specs[] = {{.kind = "v1/configmaps"},
							{.kind = "v1/configmaps", .only = "metadata"}};
	const struct am_informers_options options = {.stream = true, .packed = true};

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

/* ---- a reflector of our own, whose places in its state machine the test chooses */

static struct am_store *store;
static struct am_reflector *reflector;
static _Atomic int told, lists_done;

static void
on_change(void *arg, const struct am_change *change)
{
	(void)arg;
	told += strncmp(change->name, "paged-", 6) == 0;
}

static void
on_synced(void *arg)
{
	(void)arg;
	lists_done++;
}

static void
reflect_here(void *arg)
{
	if (reflector == NULL)
		reflector = am_reflector_new(am_kube_io(kube), store, arg);
	am_reflector_start(reflector);
}

static void
forget_here(void *arg)
{
	am_reflector_stop(reflector);
	am_reflector_set_rv(reflector, arg);
	am_reflector_start(reflector);
}

static void
free_here(void *arg)
{
	(void)arg;
	am_reflector_free(reflector);
}

static void
status_here(void *arg)
{
	am_reflector_status(reflector, arg);
}

struct posted {
	void (*fn)(void *arg);
	void *arg;
	atomic_bool done;
};

static void
posted_here(void *arg)
{
	struct posted *p = arg;

	p->fn(p->arg);
	p->done = true;
}

/* fn(arg) on the I/O thread; returns when it has run. */
static void
on_io_thread(void (*fn)(void *arg), void *arg)
{
	struct posted p = {.fn = fn, .arg = arg};

	am_io_post(am_kube_io(kube), posted_here, &p);
	while (!p.done)
		(void)usleep(100);
}

/* Real servers take real time: at most 20 s. */
#define EVENTUALLY(cond)                                                                                               \
	do {                                                                                                           \
		bool there_ = (cond);                                                                                  \
		for (int ms_ = 0; ms_ < 20000 && !there_; ms_++) {                                                     \
			(void)usleep(1000);                                                                            \
			there_ = (cond);                                                                               \
		}                                                                                                      \
		ck_assert_msg(there_, "in vain: %s", #cond);                                                           \
	} while (0)

static struct am_reflector_status
status_now(void)
{
	struct am_reflector_status status;

	on_io_thread(status_here, &status);
	return status;
}

/* A kind that is younger than the server, whose cache has nothing of the first versions; of the builtin ones a server
 * that has just started has forgotten none. */
static const struct am_gvr definitions = {.group = "apiextensions.k8s.io",
					  .version = "v1",
					  .plural = "customresourcedefinitions"};
static const struct am_gvr papers = {.group = "real.example.com", .version = "v1", .plural = "papers"};

static void
define_papers(void)
{
	static const char json[] =
		"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","
		"\"metadata\":{\"name\":\"papers.real.example.com\"},\"spec\":{\"group\":\"real.example.com\","
		"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"papers\",\"kind\":\"Paper\"},\"versions\":[{\"name\":\"v1\","
		"\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\","
		"\"x-kubernetes-preserve-unknown-fields\":true}}}]}}";
	am_auto(am_buf_fini) struct am_buf list = {0};
	int rc = am_kube_create(kube, &definitions, NULL, json, strlen(json), NULL, &err);

	ck_assert_msg(rc == 0 || rc == -AMBIENT_E_EXISTS, "%s", err.message);
	EVENTUALLY(am_kube_get(kube, &papers, "default", "none", &list, &err) == -AMBIENT_E_NOTFOUND &&
		   strstr(err.message, "papers.real.example.com \"none\"") != NULL);
}

static void
ten_papers(const char *what)
{
	for (int i = 0; i < 10; i++) {
		am_auto(am_freep) char *name = am_xasprintf("paged-%d", i);
		am_auto(am_freep) char *json = am_xasprintf("{\"apiVersion\":\"real.example.com/v1\",\"kind\":\"Paper\","
							    "\"metadata\":{\"name\":\"%s\"}}", name);

		(void)am_kube_delete(kube, &papers, "default", name, NULL, NULL);
		if (strcmp(what, "create") == 0)
			ck_assert_msg(am_kube_create(kube, &papers, "default", json, strlen(json), NULL, &err) == 0, "%s", err.message);
	}
}

/* A list, a watch from its version, everything that happens; then a version that the server has forgotten: 410, another
 * list, in pages, and no object told twice. */
START_TEST(a_watch_a_version_that_is_too_old_and_pages)
{
	struct am_reflector_options options = {.path = "/apis/real.example.com/v1/namespaces/default/papers",
					       .api_version = "real.example.com/v1",
					       .page_size = 3,
					       .change = on_change,
					       .synced = on_synced};

	begin();
	define_papers();
	ten_papers("create");
	store = am_store_new(am_clock_real());
	on_io_thread(reflect_here, &options);
	EVENTUALLY(lists_done == 1 && status_now().state == AM_REFLECTOR_WATCHING);
	ck_assert_int_eq(told, 10);
	/* A server with a watch cache answers version 0 from it, whole. */
	ck_assert_uint_ge(status_now().lists, 1);
	ck_assert_str_eq(status_now().kind, "Paper");
	ck_assert_int_eq(am_kube_patch(kube, &papers, "default", "paged-1", NULL, "application/merge-patch+json",
				       "{\"data\":{\"a\":\"2\"}}", 18, NULL, &err),
			 0);
	ck_assert_int_eq(am_kube_delete(kube, &papers, "default", "paged-2", NULL, &err), 0);
	EVENTUALLY(told == 12);
	uint64_t before = status_now().lists;
	on_io_thread(forget_here, (void *)(uintptr_t) "1");
	EVENTUALLY(lists_done == 2 && status_now().state == AM_REFLECTOR_WATCHING);
	ck_assert_uint_eq(status_now().lists - before, 3); /* nine, by three */
	ck_assert_int_eq(told, 12);
	ck_assert_int_eq(am_kube_delete(kube, &papers, "default", "paged-3", NULL, &err), 0);
	EVENTUALLY(told == 13);
	struct am_object *gone = am_store_get(store, "default", "paged-3");
	ck_assert_ptr_null(gone);
	on_io_thread(free_here, NULL);
	am_store_free(store);
	ten_papers("delete");
	am_kube_free(kube);
}
END_TEST

static int
find_bookmark(void *arg, const char *p, size_t n)
{
	am_buf_add(arg, p, n);
	return strstr(am_buf_str(arg), "\"type\":\"BOOKMARK\"") != NULL ? -AMBIENT_E_CANCELLED : 0;
}

/* Shortly before a watch ends its version is told, so that the next one begins there and not where the last event was.
 */
START_TEST(a_bookmark_comes_before_the_end)
{
	am_auto(am_buf_fini) struct am_buf text = {0};
	struct am_kube_request request = {
		.method = "GET",
		.path = "/api/v1/namespaces/kube-public/"
			"secrets?watch=true&allowWatchBookmarks=true&timeoutSeconds=6&resourceVersion=0",
	};

	begin();
	ck_assert_int_eq(am_kube_stream(kube, &request, find_bookmark, &text, &err), -AMBIENT_E_CANCELLED);
	ck_assert_ptr_nonnull(strstr(am_buf_str(&text), "\"resourceVersion\""));
	am_kube_free(kube);
}
END_TEST

static int
apply(const char *query, const char *value, struct am_buf *body)
{
	am_auto(am_freep) char *json =
		am_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"applied\"},"
			     "\"data\":{\"k\":\"%s\"}}",
			     value);
	am_auto(am_freep) char *path = am_xasprintf("/api/v1/namespaces/default/configmaps/applied?%s", query);
	struct am_kube_request request = {.method = "PATCH",
					  .path = path,
					  .content_type = "application/apply-patch+yaml",
					  .body = json,
					  .body_len = strlen(json)};

	err = (struct ambient_error)AMBIENT_ERROR_INIT;
	return am_kube_do(kube, &request, body, &err);
}

START_TEST(apply_owns_conflicts_forces_and_is_tried)
{
	am_auto(am_buf_fini) struct am_buf body = {0};

	begin();
	(void)am_kube_delete(kube, &configmaps, "default", "applied", NULL, NULL);
	ck_assert_msg(apply("fieldManager=one&dryRun=All", "1", NULL) == 0, "%s", err.message);
	ck_assert_int_eq(am_kube_get(kube, &configmaps, "default", "applied", &body, &err), -AMBIENT_E_NOTFOUND);
	ck_assert_msg(apply("fieldManager=one", "1", NULL) == 0, "%s", err.message);
	ck_assert_int_eq(apply("fieldManager=two", "2", NULL), -AMBIENT_E_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.message, "\"one\""));
	ck_assert_msg(apply("fieldManager=two&force=true", "2", &body) == 0, "%s", err.message);
	am_auto(am_freep) char *rv = am_json_dup(am_slice(body.data, body.len), "/metadata/resourceVersion");
	am_buf_reset(&body);
	ck_assert_msg(apply("fieldManager=two&force=true", "2", &body) == 0, "%s", err.message);
	am_auto(am_freep) char *again = am_json_dup(am_slice(body.data, body.len), "/metadata/resourceVersion");
	ck_assert_str_eq(rv, again); /* nothing changed, nothing is written */
	ck_assert_int_eq(am_kube_delete(kube, &configmaps, "default", "applied", NULL, &err), 0);
	am_kube_free(kube);
}
END_TEST

static _Atomic int warnings;

static void
on_log(void *arg, int level, const char *area, const char *text)
{
	(void)arg;
	(void)level;
	(void)area;
	warnings += strstr(text, "unknown field \"spec.nonsense\"") != NULL;
}

START_TEST(a_warning_is_said_once_and_strict_refuses)
{
	static const char job[] =
		"{\"apiVersion\":\"batch/"
		"v1\",\"kind\":\"Job\",\"metadata\":{\"name\":\"warned\"},\"spec\":{\"nonsense\":1,\"template\":"
		"{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}";
	struct am_kube_request request = {.method = "POST",
					  .body = job,
					  .body_len = sizeof(job) - 1,
					  .path = "/apis/batch/v1/namespaces/default/jobs?dryRun=All"};

	begin();
	am_log_set_level(AMBIENT_LOG_WARN);
	am_log_capture(on_log, NULL);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(am_kube_do(kube, &request, NULL, &err) == 0, "%s", err.message);
	am_log_capture(NULL, NULL);
	ck_assert_int_eq(warnings, 1);
	request.path = "/apis/batch/v1/namespaces/default/jobs?dryRun=All&fieldValidation=Strict";
	ck_assert_int_eq(am_kube_do(kube, &request, NULL, &err), -AMBIENT_E_INVALID);
	ck_assert_msg(strstr(err.message, "spec.nonsense") != NULL, "%s", err.message);
	am_kube_free(kube);
}
END_TEST

static void
count_up(void *arg)
{
	(*(_Atomic int *)arg)++;
}

static void
ignore(void *arg)
{
	(void)arg;
}

/* Two candidates of one Lease: one leads, the other does when it is given back, without waiting for its time. */
START_TEST(a_lease_is_held_by_one_and_given_back)
{
	static const struct am_gvr leases = {.group = "coordination.k8s.io", .version = "v1", .plural = "leases"};
	static _Atomic int began[2];
	am_auto(am_buf_fini) struct am_buf body = {0};
	struct am_lead *lead[2];

	begin();
	(void)am_kube_delete(kube, &leases, "default", "real-lease", NULL, NULL);
	for (int i = 0; i < 2; i++) {
		struct am_lead_options options = {.ns = "default",
						  .name = "real-lease",
						  .identity = i == 0 ? "first" : "second",
						  .lease_ns = 15 * AM_NS_PER_S,
						  .renew_ns = 10 * AM_NS_PER_S,
						  .retry_ns = AM_NS_PER_S / 5,
						  .started = count_up,
						  .stopped = ignore,
						  .arg = &began[i]};
		ck_assert_msg(am_lead_new(am_kube_io(kube), &options, &lead[i], &err) == 0, "%s", err.message);
	}
	am_lead_start(lead[0]);
	EVENTUALLY(began[0] == 1);
	ck_assert(am_lead_valid(lead[0]));
	am_lead_start(lead[1]);
	char holder[64] = "";
	EVENTUALLY((am_lead_holder(lead[1], holder, sizeof(holder)), strcmp(holder, "first") == 0));
	ck_assert_int_eq(began[1], 0);
	int64_t stopped = am_clock_boot(am_clock_real());
	am_lead_stop_wait(lead[0]);
	EVENTUALLY(began[1] == 1);
	ck_assert_int_lt(am_clock_boot(am_clock_real()) - stopped, 10 * AM_NS_PER_S); /* less than the lease */
	ck_assert_int_eq(am_kube_get(kube, &leases, "default", "real-lease", &body, &err), 0);
	struct am_slice lease = am_slice(body.data, body.len);
	am_auto(am_freep) char *who = am_json_dup(lease, "/spec/holderIdentity");
	ck_assert_str_eq(who, "second");
	ck_assert_int_eq(am_json_int(lease, "/spec/leaseTransitions", -1), 1);
	ck_assert_int_eq(am_json_int(lease, "/spec/leaseDurationSeconds", 0), 15);
	am_lead_stop_wait(lead[1]);
	am_lead_free(lead[0]);
	am_lead_free(lead[1]);
	ck_assert_int_eq(am_kube_delete(kube, &leases, "default", "real-lease", NULL, &err), 0);
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
	tcase_add_test(tc, a_watch_a_version_that_is_too_old_and_pages);
	tcase_add_test(tc, a_bookmark_comes_before_the_end);
	tcase_add_test(tc, apply_owns_conflicts_forces_and_is_tried);
	tcase_add_test(tc, a_warning_is_said_once_and_strict_refuses);
	tcase_add_test(tc, a_lease_is_held_by_one_and_given_back);
}

UNIT_MAIN("client against a real server", cases)
