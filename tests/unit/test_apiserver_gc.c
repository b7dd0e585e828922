/* SPDX-License-Identifier: Apache-2.0 */
/* Deletion, collection by owners, the ends of namespaces and definitions. */
#include "plugins/standalone/apiserver/engine_priv.h"
#include "tests/unit/apiserver.h"

#define CM  "v1/configmaps"
#define POD "v1/pods"
#define NS  "v1/namespaces"
#define CRD "apiextensions.k8s.io/v1/customresourcedefinitions"

static struct fixture f;

static void
open_all(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new() };
	fixture_open(&f);
}

static void
done(void)
{
	fixture_close(&f);
}

static void
make(const char *name, const char *meta)
{
	ck_assert_msg(create(&f, CM, "default", "{\"metadata\":{\"name\":\"%s\"%s%s}}", name, *meta != '\0' ? "," : "", meta) ==
		      201, "%s", f.failure.message);
}

static const char *
uid_of(const char *name)
{
	static char text[4][64];
	static int turn;
	const char *quoted = stored(&f, "", "configmaps", "default", name, "/metadata/uid");

	ck_assert(quoted != NULL);
	char *ret = text[turn++ % 4];
	am_strlcpy(ret, quoted + 1, sizeof(text[0]));
	ret[strlen(ret) - 1] = '\0';
	return ret;
}

static void
make_owned(const char *name, const char *owner, const char *uid, bool block)
{
	char meta[512];

	snprintf(meta, sizeof(meta), "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"%s\","
		 "\"uid\":\"%s\",\"blockOwnerDeletion\":%s}]", owner, uid, block ? "true" : "false");
	make(name, meta);
}

static bool
exists(const char *name)
{
	return stored(&f, "", "configmaps", "default", name, "") != NULL;
}

static int
drop(const char *name, enum am_propagation how)
{
	return delete(&f, CM, "default", name, (struct am_delete_options){ .grace = -1, .propagation = how });
}

START_TEST(row_142_143_146_149)
{
	make("a", "");
	ck_assert_int_eq(drop("zz", 0), 404);
	ck_assert_int_eq(delete(&f, CM, "default", "a", (struct am_delete_options){ .grace = -1, .uid = "x" }), 409);
	ck_assert(strstr(f.failure.message, "Precondition failed: UID in precondition: x, UID in object meta: ") != NULL);
	ck_assert_int_eq(delete(&f, CM, "default", "a", (struct am_delete_options){ .grace = -1, .resource_version = "1" }), 409);
	ck_assert_int_eq(delete(&f, CM, "default", "a", (struct am_delete_options){ .grace = -1, .dry_run = true }), 200);
	ck_assert(exists("a"));
	ck_assert_int_eq(drop("a", 0), 200);
	ck_assert(f.written.gone);
	ck_assert(!exists("a"));
}
END_TEST

START_TEST(row_144_145)
{
	make("a", "\"finalizers\":[\"example.com/f\"]");
	ck_assert_int_eq(drop("a", 0), 200);
	ck_assert(!f.written.gone);
	ck_assert_str_ne(answer(&f, "/metadata/deletionTimestamp"), "");
	ck_assert_str_eq(answer(&f, "/metadata/deletionGracePeriodSeconds"), "0");
	uint64_t rv = f.written.object->rv;
	ck_assert_int_eq(drop("a", 0), 200);
	ck_assert_uint_eq(f.written.object->rv, rv);
	ck_assert_int_eq(create(&f, CM, "default", "{\"metadata\":{\"name\":\"a\"}}"), 409);
	ck_assert(am_starts(f.failure.message, "object is being deleted: "));
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "a", NULL,
			       "{\"metadata\":{\"finalizers\":[\"example.com/f\",\"example.com/g\"]}}"), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueForbidden");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "a", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	ck_assert(!exists("a"));
}
END_TEST

START_TEST(row_147_148_151_options)
{
	struct am_arena *arena = am_arena_new();
	struct am_delete_options o = { 0 };

	ck_assert_int_eq(am_delete_options_parse(arena, AM_SLICE("{\"propagationPolicy\":\"Orphan\",\"gracePeriodSeconds\":5,"
		"\"preconditions\":{\"uid\":\"u\"},\"dryRun\":[\"All\"]}"), &o, &f.failure), 0);
	ck_assert_int_eq(o.propagation, AM_PROPAGATION_ORPHAN);
	ck_assert_int_eq(o.grace, 5);
	ck_assert_str_eq(o.uid, "u");
	ck_assert(o.dry_run);
	static const char *const bad[] = { "{\"propagationPolicy\":\"Foo\"}",
					   "{\"propagationPolicy\":\"Orphan\",\"orphanDependents\":true}", "{\"dryRun\":[\"Some\"]}" };
	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		am_failure_fini(&f.failure);
		ck_assert_int_lt(am_delete_options_parse(arena, am_slice_of(bad[i]), &o, &f.failure), 0);
		ck_assert_int_eq(f.failure.code, 422);
	}
	am_arena_free(arena);
}
END_TEST

START_TEST(row_150)
{
	struct am_list gone;
	const struct am_resource *res = resource(&f, CM);

	make("a", "\"labels\":{\"l\":\"1\"}");
	make("b", "\"labels\":{\"l\":\"1\"}");
	make("c", "");
	struct am_list_query q = { .label_selector = "l=1", .send_initial_events = -1 };
	struct am_delete_options o = { .grace = -1 };
	ck_assert_int_eq(am_engine_delete_collection(f.engine, res, "default", &q, &o, &gone, &f.failure), 0);
	ck_assert_uint_eq(gone.n, 2);
	am_list_fini(&gone);
	ck_assert(!exists("a") && !exists("b") && exists("c"));
	am_resource_unref(res);
}
END_TEST

START_TEST(row_152_156)
{
	make("owner", "");
	make_owned("child", "owner", uid_of("owner"), false);
	make_owned("stray", "owner", "00000000-0000-0000-0000-000000000000", false);
	am_engine_janitor_run(f.engine);
	ck_assert(exists("child"));
	ck_assert(!exists("stray"));
	make_owned("grandchild", "child", uid_of("child"), false);
	ck_assert_int_eq(drop("owner", AM_PROPAGATION_BACKGROUND), 200);
	ck_assert(f.written.gone);
	am_engine_janitor_run(f.engine);
	ck_assert(!exists("child") && !exists("grandchild"));
}
END_TEST

START_TEST(row_153)
{
	make("owner", "");
	make_owned("child", "owner", uid_of("owner"), true);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "child", NULL,
			       "{\"metadata\":{\"finalizers\":[\"example.com/f\"]}}"), 200);
	ck_assert_int_eq(drop("owner", AM_PROPAGATION_FOREGROUND), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "owner", "/metadata/finalizers"), "[\"foregroundDeletion\"]");
	ck_assert_str_ne(stored(&f, "", "configmaps", "default", "child", "/metadata/deletionTimestamp"), "");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", "child", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(!exists("child") && !exists("owner"));
}
END_TEST

START_TEST(row_154_155)
{
	char meta[512];

	make("owner", "");
	make_owned("child", "owner", uid_of("owner"), false);
	ck_assert_int_eq(drop("owner", AM_PROPAGATION_ORPHAN), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(!exists("owner") && exists("child"));
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "child", "/metadata/ownerReferences"), "");
	make("one", "");
	make("two", "");
	snprintf(meta, sizeof(meta), "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"one\",\"uid\":"
		 "\"%s\"},{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"two\",\"uid\":\"%s\"}]", uid_of("one"), uid_of("two"));
	make("both", meta);
	ck_assert_int_eq(drop("one", 0), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(exists("both"));
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "both", "/metadata/ownerReferences/0/name"), "\"two\"");
	ck_assert_str_eq(stored(&f, "", "configmaps", "default", "both", "/metadata/ownerReferences/1"), "");
}
END_TEST

static void
make_cycle(void)
{
	static const char *const names[] = { "c0", "c1", "c2" };

	for (int i = 0; i < 3; i++)
		make(names[i], "");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "default", names[i], NULL, "{\"metadata\":{\"ownerReferences\":[{"
			"\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"%s\",\"uid\":\"%s\",\"blockOwnerDeletion\":true}]}}",
			names[(i + 1) % 3], uid_of(names[(i + 1) % 3])), 200);
}

START_TEST(row_157)
{
	make_cycle();
	ck_assert_int_eq(drop("c0", AM_PROPAGATION_BACKGROUND), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(!exists("c0") && !exists("c1") && !exists("c2"));
	make_cycle();
	ck_assert_int_eq(drop("c0", AM_PROPAGATION_FOREGROUND), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(!exists("c0") && !exists("c1") && !exists("c2"));
}
END_TEST

START_TEST(row_158)
{
	ck_assert_int_eq(create(&f, "batch/v1/jobs", "default", "{\"metadata\":{\"name\":\"j\"},\"spec\":{\"template\":{\"spec\":{"
		"\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"), 201);
	ck_assert_int_eq(delete(&f, "batch/v1/jobs", "default", "j", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_uint_eq(f.written.n_warnings, 1);
	ck_assert_str_eq(answer(&f, "/metadata/finalizers"), "[\"orphan\"]");
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "batch", "jobs", "default", "j", "") == NULL);
}
END_TEST

START_TEST(row_203_graceful_pods)
{
	ck_assert_int_eq(create(&f, POD, "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"restartPolicy\":\"Never\","
		"\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"), 201);
	const char *uid = strndup(f.written.object->uid, 40);
	ck_assert_int_eq(delete(&f, POD, "default", "p", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert(!f.written.gone);
	ck_assert_str_eq(answer(&f, "/metadata/deletionGracePeriodSeconds"), "30");
	ck_assert_str_eq(answer(&f, "/metadata/deletionTimestamp"), "\"2026-01-01T00:00:30Z\"");
	ck_assert_int_eq(delete(&f, POD, "default", "p", (struct am_delete_options){ .grace = 5 }), 200);
	ck_assert_str_eq(answer(&f, "/metadata/deletionGracePeriodSeconds"), "5");
	ck_assert_int_eq(delete(&f, POD, "default", "p", (struct am_delete_options){ .grace = 0, .uid = "other" }), 409);
	ck_assert_int_eq(delete(&f, POD, "default", "p", (struct am_delete_options){ .grace = 0, .uid = uid }), 200);
	ck_assert(f.written.gone);
	ck_assert(stored(&f, "", "pods", "default", "p", "") == NULL);
	free((void *)(uintptr_t)uid);
}
END_TEST

START_TEST(row_159_161_162)
{
	ck_assert_int_eq(create(&f, NS, NULL, "{\"metadata\":{\"name\":\"team\"}}"), 201);
	ck_assert_str_eq(answer(&f, "/metadata/labels/kubernetes.io~1metadata.name"), "\"team\"");
	ck_assert_str_eq(answer(&f, "/spec/finalizers"), "[\"kubernetes\"]");
	ck_assert_str_eq(answer(&f, "/status/phase"), "\"Active\"");
	ck_assert_int_eq(create(&f, CM, "team", "{\"metadata\":{\"name\":\"a\"}}"), 201);
	ck_assert_int_eq(delete(&f, NS, NULL, "team", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_str_eq(answer(&f, "/status/phase"), "\"Terminating\"");
	ck_assert_int_eq(create(&f, CM, "team", "{\"metadata\":{\"name\":\"b\"}}"), 403);
	ck_assert_str_eq(f.failure.causes[0].reason, "NamespaceTerminating");
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "namespaces", NULL, "team", "") == NULL);
	ck_assert(stored(&f, "", "configmaps", "team", "a", "") == NULL);
	ck_assert_int_eq(delete(&f, NS, NULL, "default", (struct am_delete_options){ .grace = -1 }), 403);
}
END_TEST

START_TEST(row_163_164)
{
	ck_assert_int_eq(create(&f, NS, NULL, "{\"metadata\":{\"name\":\"team\"}}"), 201);
	ck_assert_int_eq(create(&f, CM, "team", "{\"metadata\":{\"name\":\"a\",\"finalizers\":[\"example.com/f\"]}}"), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, NS, NULL, "team", NULL, "{\"metadata\":{\"labels\":{\"x\":\"y\"}},\"spec\":{"
			       "\"finalizers\":[]}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/finalizers"), "[\"kubernetes\"]");
	ck_assert_int_eq(delete(&f, NS, NULL, "team", (struct am_delete_options){ .grace = -1 }), 200);
	am_engine_janitor_run(f.engine);
	struct am_object *ns = am_engine_peek(f.engine, "", "namespaces", NULL, "team");
	ck_assert(ns != NULL);
	ck_assert(strstr(ns->body, "\"type\":\"NamespaceFinalizersRemaining\",\"status\":\"True\"") != NULL);
	am_object_unref(ns);
	ck_assert_int_eq(delete(&f, NS, NULL, "team", (struct am_delete_options){ .grace = -1 }), 409);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CM, "team", "a", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "namespaces", NULL, "team", "") == NULL);
	ck_assert_int_eq(create(&f, NS, NULL, "{\"metadata\":{\"name\":\"two\"}}"), 201);
	ck_assert_int_eq(update(&f, NS, NULL, "two", "finalize", "{\"metadata\":{\"name\":\"two\"},\"spec\":{\"finalizers\":[]}}"),
			 200);
	ck_assert_int_eq(delete(&f, NS, NULL, "two", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert(f.written.gone);
}
END_TEST

START_TEST(row_115_116_119_120)
{
	make_widgets(&f);
	ck_assert_str_eq(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, WIDGETS, "/status/storedVersions"),
			 "[\"v1\"]");
	ck_assert_str_eq(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, WIDGETS,
				"/status/conditions/0/reason"), "\"NoConflicts\"");
	ck_assert_str_eq(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, WIDGETS,
				"/status/conditions/1/reason"), "\"InitialNamesAccepted\"");
	ck_assert_int_eq(create(&f, CRD, NULL, "{\"metadata\":{\"name\":\"gadgets.example.com\"},\"spec\":{\"group\":"
		"\"example.com\",\"scope\":\"Cluster\",\"names\":{\"plural\":\"gadgets\",\"kind\":\"Widget\"},\"versions\":[{\"name\":"
		"\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}]}}"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, "gadgets.example.com",
				"/status/conditions/0/reason"), "\"ListKindConflict\"");
	ck_assert(am_engine_resource(f.engine, "example.com", "v1", "gadgets") == NULL);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"w\",\"finalizers\":[\"example.com/f\"]}}"), 201);
	ck_assert_int_eq(delete(&f, CRD, NULL, WIDGETS, (struct am_delete_options){ .grace = -1 }), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"x\"}}"), 403);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "w", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, WIDGETS, "") == NULL);
	ck_assert(am_engine_resource(f.engine, "example.com", "v1", "widgets") == NULL);
	/* The kind is free: who waited for it has it. */
	ck_assert_str_eq(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, "gadgets.example.com",
				"/status/conditions/0/reason"), "\"NoConflicts\"");
	ck_assert_int_eq(delete(&f, CRD, NULL, "gadgets.example.com", (struct am_delete_options){ .grace = -1 }), 200);
	am_engine_janitor_run(f.engine);
	make_widgets(&f);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"w\"}}"), 201);
}
END_TEST

START_TEST(row_111_defaults_of_a_later_schema)
{
	make_widgets(&f);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":"
				"{\"name\":\"w\"},\"spec\":{}}"), 201);
	unsigned long long rv = f.written.object->rv;
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, CRD, NULL, WIDGETS, NULL, "[{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/"
		"openAPIV3Schema/properties/spec/properties/color\",\"value\":{\"type\":\"string\",\"default\":\"red\"}}]"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "w", "/spec/color"), "\"red\"");
	char text[32];
	snprintf(text, sizeof(text), "\"%llu\"", rv);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "w", "/metadata/resourceVersion"), text);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "w", "/spec/color"), "\"red\"");
}
END_TEST

START_TEST(events_expire_after_an_hour)
{
	ck_assert_int_eq(create(&f, "v1/events", "default", "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"kind\":\"Pod\","
		"\"namespace\":\"default\",\"name\":\"p\"},\"reason\":\"R\",\"message\":\"m\"}"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "events", "default", "e", "") != NULL);
	am_clock_fake_advance(f.clock, 3601 * AM_NS_PER_S);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "events", "default", "e", "") == NULL);
}
END_TEST

/* The hour begins anew with each update (2.16); the option says how long it is; a restart does not change it. */
START_TEST(events_live_on_when_they_are_updated)
{
	static const char event[] = "{\"metadata\":{\"name\":\"%s\"},\"involvedObject\":{\"kind\":\"Pod\",\"namespace\":\"default\","
				    "\"name\":\"p\"},\"reason\":\"R\",\"message\":\"m\"}";

	fixture_clear(&f);
	am_engine_close(f.engine);
	f.event_ttl = 600 * AM_NS_PER_S;
	fixture_reopen(&f);
	ck_assert_int_eq(create(&f, "v1/events", "default", event, "stays"), 201);
	ck_assert_int_eq(create(&f, "v1/events", "default", event, "goes"), 201);
	am_clock_fake_advance(f.clock, 400 * AM_NS_PER_S);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/events", "default", "stays", NULL, "{\"count\":2}"), 200);
	am_clock_fake_advance(f.clock, 250 * AM_NS_PER_S);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "events", "default", "goes", "") == NULL);
	ck_assert(stored(&f, "", "events", "default", "stays", "") != NULL);
	am_clock_fake_advance(f.clock, 351 * AM_NS_PER_S);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "", "events", "default", "stays", "") == NULL);
}
END_TEST

/* How many events a watch from there on gets; -1: it must list again. */
static int
replayed(uint64_t from)
{
	const struct am_resource *res = resource(&f, CM);
	struct am_list_query q = { .send_initial_events = -1 };
	struct am_watch *w = NULL;
	struct am_event event;
	char rv[32];
	int n = 0, rc;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)from);
	q.resource_version = rv;
	fixture_clear(&f);
	if (am_engine_watch(f.engine, res, NULL, &q, NULL, NULL, &w, &f.failure) < 0) {
		am_resource_unref(res);
		return -1;
	}
	while ((rc = am_watch_next(w, &event, &f.failure)) > 0)
		n++;
	am_watch_close(w);
	am_resource_unref(res);
	return rc < 0 ? -1 : n;
}

/* The last 64 of a resource stay in memory, and what is younger than five minutes; a restart keeps only the latter. */
START_TEST(old_events_are_forgotten)
{
	uint64_t begin, late;
	char name[32];

	am_engine_janitor_run(f.engine);
	begin = am_engine_rv(f.engine);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "old-%d", i);
		make(name, "");
	}
	late = am_engine_rv(f.engine);
	am_clock_fake_advance(f.clock, 299 * AM_NS_PER_S);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(replayed(begin), 100);
	make("young", "");
	am_clock_fake_advance(f.clock, 2 * AM_NS_PER_S);
	am_engine_janitor_run(f.engine);
	/* What memory has forgotten comes from the log, until that is trimmed too. */
	ck_assert_int_eq(replayed(begin), 101);
	ck_assert_int_eq(am_engine_trim(f.engine, 1, 0, NULL), 0);
	ck_assert_int_eq(replayed(begin), -1);
	ck_assert_int_eq(replayed(late - 63), 64);
	ck_assert_int_eq(replayed(late - 64), -1);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	ck_assert_int_eq(replayed(late - 63), -1);
	ck_assert_int_eq(replayed(late), 1);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_142_143_146_149);
	tcase_add_test(tc, row_144_145);
	tcase_add_test(tc, row_147_148_151_options);
	tcase_add_test(tc, row_150);
	tcase_add_test(tc, row_152_156);
	tcase_add_test(tc, row_153);
	tcase_add_test(tc, row_154_155);
	tcase_add_test(tc, row_157);
	tcase_add_test(tc, row_158);
	tcase_add_test(tc, row_203_graceful_pods);
	tcase_add_test(tc, row_159_161_162);
	tcase_add_test(tc, row_163_164);
	tcase_add_test(tc, row_115_116_119_120);
	tcase_add_test(tc, row_111_defaults_of_a_later_schema);
	tcase_add_test(tc, events_expire_after_an_hour);
	tcase_add_test(tc, events_live_on_when_they_are_updated);
	tcase_add_test(tc, old_events_are_forgotten);
}

UNIT_MAIN("apiserver_gc", cases)
