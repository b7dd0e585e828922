/* SPDX-License-Identifier: Apache-2.0 */
/* Server-side apply: who owns what, what goes, what conflicts; and random managers against a simple model. */
#include "plugins/standalone/apiserver/ownership.h"
#include "tests/unit/apiserver.h"

static struct fixture f;

static void
open_all(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new() };
	am_clock_fake_set_wall(f.clock, 1700000000 * AM_NS_PER_S);
	fixture_open(&f);
	make_widgets(&f);
}

static void
done(void)
{
	fixture_close(&f);
}

static am_printf_(6, 7) int
apply_to(const char *kind, const char *name, const char *sub, const char *manager, bool force, const char *fmt, ...)
{
	va_list ap;
	struct am_write write = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_APPLY, .subresource = sub, .force = force };

	write.field_manager = manager;
	va_start(ap, fmt);
	int code = request(&f, write, kind, "default", name, fmt, ap);
	va_end(ap);
	return code;
}

#define WIDGET(spec) "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"},\"spec\":" spec "}"

static int
apply(const char *manager, const char *spec)
{
	return apply_to(WIDGET_KIND, "w", NULL, manager, false, WIDGET("%s"), spec);
}

static int
force(const char *manager, const char *spec)
{
	return apply_to(WIDGET_KIND, "w", NULL, manager, true, WIDGET("%s"), spec);
}

static int
update_as(const char *manager, const char *patch_text)
{
	struct am_write write = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_MERGE, .field_manager = manager };
	const struct am_resource *res = resource(&f, WIDGET_KIND);

	fixture_clear(&f);
	write.res = res;
	write.ns = "default";
	write.name = "w";
	write.body = am_slice_of(patch_text);
	int rc = am_engine_write(f.engine, &write, &f.written, &f.failure);
	am_resource_unref(res);
	return rc < 0 ? f.failure.code : f.written.code;
}

/* fieldsV1 of that manager in the last answer; "" when it has no entry. */
static const char *
owns(const char *manager)
{
	static char text[4096];
	struct am_slice list, entry, fields;

	text[0] = '\0';
	if (f.written.object == NULL || !am_json_find(am_object_text(f.written.object), "/metadata/managedFields", &list))
		return text;
	for (size_t it = 0; am_json_element(list, &it, &entry);) {
		char *name = am_json_dup(entry, "/manager");
		if (am_streq(name, manager) && am_json_find(entry, "/fieldsV1", &fields))
			snprintf(text, sizeof(text), "%.*s", (int)fields.n, fields.p);
		free(name);
	}
	return text;
}

static size_t
entries(void)
{
	struct am_slice list;

	return f.written.object != NULL && am_json_find(am_object_text(f.written.object), "/metadata/managedFields", &list)
		       ? am_json_count(list) : 0;
}

#define ck_spec(want) ck_assert_str_eq(answer(&f, "/spec"), want)

START_TEST(row_094_an_apply_creates)
{
	ck_assert_int_eq(apply("m1", "{\"size\":1}"), 201);
	ck_spec("{\"size\":1}");
	ck_assert_str_eq(owns("m1"), "{\"f:spec\":{\"f:size\":{}}}");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/operation"), "\"Apply\"");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/apiVersion"), "\"example.com/v1\"");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/time"), "\"2023-11-14T22:13:20Z\"");
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, NULL, false, WIDGET("{}")), 422);
	ck_assert_str_eq(field(&f, 0), "fieldManager");
	ck_assert_int_eq(apply_to(WIDGET_KIND, "nope", "status", "m", false, WIDGET("{}")), 404);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "new", NULL, "m", false,
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"new\",\"uid\":\"u\"}}"), 409);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "new", NULL, "m", false,
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"other\"}}"), 400);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "new", NULL, "m", false,
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"managedFields\":[{\"manager\":\"x\"}]}}"), 400);
	ck_assert_str_eq(f.failure.message, "metadata.managedFields must be nil");
}
END_TEST

START_TEST(the_same_again_is_no_write)
{
	ck_assert_int_eq(apply("m1", "{\"size\":1,\"tags\":[\"a\",\"b\"],\"ports\":[{\"name\":\"x\",\"port\":1}]}"), 201);
	uint64_t rv = f.written.object->rv;
	am_clock_fake_advance(f.clock, 30 * AM_NS_PER_S);
	ck_assert_int_eq(apply("m1", "{\"size\":1,\"tags\":[\"a\",\"b\"],\"ports\":[{\"name\":\"x\",\"port\":1}]}"), 200);
	ck_assert_uint_eq(f.written.object->rv, rv);
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/time"), "\"2023-11-14T22:13:20Z\"");
	ck_assert_int_eq(update_as("u", "{\"spec\":{\"size\":1}}"), 200);
	ck_assert_uint_eq(f.written.object->rv, rv);
	ck_assert_int_eq(force("m1", "{\"size\":2,\"tags\":[\"a\",\"b\"],\"ports\":[{\"name\":\"x\",\"port\":1}]}"), 200);
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/time"), "\"2023-11-14T22:13:50Z\"");
}
END_TEST

START_TEST(row_095_a_conflict_and_its_force)
{
	ck_assert_int_eq(apply("m1", "{\"size\":1}"), 201);
	ck_assert_int_eq(apply("m2", "{\"size\":2,\"mode\":\"a\"}"), 409);
	ck_assert_str_eq(f.failure.reason, "Conflict");
	ck_assert_str_eq(f.failure.message, "Apply failed with 1 conflict: conflict with \"m1\": .spec.size");
	ck_assert_uint_eq(f.failure.n_causes, 1);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldManagerConflict");
	ck_assert_str_eq(f.failure.causes[0].field, ".spec.size");
	ck_assert_str_eq(f.failure.causes[0].message, "conflict with \"m1\"");
	ck_assert_int_eq(force("m2", "{\"size\":2,\"mode\":\"a\"}"), 200);
	ck_spec("{\"size\":2,\"mode\":\"a\"}");
	ck_assert_str_eq(owns("m1"), "");
	ck_assert_str_eq(owns("m2"), "{\"f:spec\":{\"f:mode\":{},\"f:size\":{}}}");
	/* Equal values are owned together: no conflict now, one with both later. */
	ck_assert_int_eq(apply("m3", "{\"size\":2}"), 200);
	ck_assert_str_eq(owns("m3"), "{\"f:spec\":{\"f:size\":{}}}");
	ck_assert_int_eq(apply("m4", "{\"size\":4,\"mode\":\"b\"}"), 409);
	ck_assert_str_eq(f.failure.message, "Apply failed with 3 conflicts: conflicts with \"m2\":\n- .spec.mode\n- .spec.size\n"
					    "conflicts with \"m3\":\n- .spec.size");
}
END_TEST

START_TEST(row_096_what_is_no_longer_applied_goes)
{
	ck_assert_int_eq(apply("m1", "{\"size\":7,\"mode\":\"a\"}"), 201);
	ck_assert_int_eq(apply("m1", "{\"mode\":\"a\"}"), 200);
	ck_spec("{\"mode\":\"a\",\"size\":3}");
	ck_assert_int_eq(apply("m2", "{\"mode\":\"a\",\"replicas\":1}"), 200);
	ck_assert_int_eq(apply("m1", "{}"), 200);
	ck_spec("{\"mode\":\"a\",\"size\":3,\"replicas\":1}");
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, "m2", false,
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"}}"), 200);
	ck_assert_str_eq(owns("m2"), "");
}
END_TEST

START_TEST(row_097_a_list_by_key_is_shared)
{
	ck_assert_int_eq(apply("m1", "{\"ports\":[{\"name\":\"a\",\"port\":1}]}"), 201);
	ck_assert_int_eq(apply("m2", "{\"ports\":[{\"name\":\"b\",\"port\":2}]}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/ports"), "[{\"name\":\"a\",\"port\":1},{\"name\":\"b\",\"port\":2}]");
	ck_assert_str_eq(owns("m2"), "{\"f:spec\":{\"f:ports\":{\"k:{\\\"name\\\":\\\"b\\\"}\":{\".\":{},\"f:name\":{},\"f:port\":{}}}}}");
	ck_assert_int_eq(apply("m2", "{\"ports\":[{\"name\":\"a\",\"port\":9}]}"), 409);
	ck_assert_str_eq(f.failure.causes[0].field, ".spec.ports[name=\"a\"].port");
	ck_assert_int_eq(apply("m1", "{}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/ports"), "[{\"name\":\"b\",\"port\":2}]");
	ck_assert_int_eq(apply("m2", "{}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/ports"), "");
}
END_TEST

START_TEST(row_098_an_atomic_list_is_one_value)
{
	ck_assert_int_eq(apply("m1", "{\"cmds\":[\"x\"]}"), 201);
	ck_assert_int_eq(apply("m2", "{\"cmds\":[\"x\",\"y\"]}"), 409);
	ck_assert_str_eq(f.failure.causes[0].field, ".spec.cmds");
	ck_assert_str_eq(owns("m2"), "");
}
END_TEST

START_TEST(row_099_an_update_takes_what_it_changes)
{
	ck_assert_int_eq(apply("m1", "{\"size\":1,\"mode\":\"a\"}"), 201);
	am_clock_fake_advance(f.clock, 5 * AM_NS_PER_S);
	ck_assert_int_eq(update_as("editor", "{\"spec\":{\"size\":4},\"metadata\":{\"labels\":{\"l\":\"1\"}}}"), 200);
	ck_assert_str_eq(owns("m1"), "{\"f:spec\":{\"f:mode\":{}}}");
	ck_assert_str_eq(owns("editor"), "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}},\"f:spec\":{\"f:size\":{}}}");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/1/time"), "\"2023-11-14T22:13:25Z\"");
	ck_assert_int_eq(apply("m1", "{\"size\":1,\"mode\":\"a\"}"), 409);
	ck_assert_str_eq(f.failure.message, "Apply failed with 1 conflict: conflict with \"editor\" using example.com/v1: .spec.size");
	ck_assert_int_eq(update_as("editor", "{\"spec\":{\"size\":null}}"), 200);
	ck_assert_str_eq(owns("editor"), "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}},\"f:spec\":{\"f:size\":{}}}");
}
END_TEST

START_TEST(tracking_starts_with_the_first_apply)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("{\"size\":1}")), 201);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_int_eq(update_as("u", "{\"spec\":{\"mode\":\"a\"}}"), 200);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_int_eq(apply("m", "{\"size\":2}"), 409);
	ck_assert_str_eq(f.failure.causes[0].message, "conflict with \"before-first-apply\" using example.com/v1");
	ck_assert_int_eq(apply("m", "{\"size\":1}"), 200);
	ck_assert_str_eq(owns("before-first-apply"), "{\"f:spec\":{\".\":{},\"f:mode\":{},\"f:size\":{}}}");
	ck_assert_int_eq(apply("m", "{}"), 200);
	ck_spec("{\"size\":1,\"mode\":\"a\"}");
}
END_TEST

START_TEST(managed_fields_can_be_reset)
{
	ck_assert_int_eq(apply("m", "{\"size\":1}"), 201);
	ck_assert_int_eq(update_as("u", "{\"metadata\":{\"managedFields\":[{}]}}"), 200);
	ck_assert_uint_eq(entries(), 0);
	ck_assert_int_eq(force("m", "{\"size\":2}"), 200);
	ck_assert_uint_gt(entries(), 0);
	ck_assert_int_eq(update_as("u", "{\"metadata\":{\"managedFields\":[]}}"), 200);
	ck_assert_uint_eq(entries(), 0);
	/* What cannot be read, or is left out, changes nothing. */
	ck_assert_int_eq(force("m", "{\"size\":2}"), 200);
	ck_assert_int_eq(update_as("u", "{\"metadata\":{\"managedFields\":[{\"manager\":\"x\",\"operation\":\"Take\"}]}}"), 200);
	ck_assert_str_eq(owns("x"), "");
	ck_assert_str_ne(owns("m"), "");
	ck_assert_int_eq(update_as("u", "{\"metadata\":{\"managedFields\":null}}"), 200);
	ck_assert_str_ne(owns("m"), "");
	/* A list that can be read counts: how kubectl moves what it owned by client-side apply. */
	ck_assert_int_eq(update_as("u", "{\"metadata\":{\"managedFields\":[{\"manager\":\"x\",\"operation\":\"Apply\",\"apiVersion\":"
			"\"example.com/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:size\":{}}}}]}}"), 200);
	ck_assert_str_eq(owns("x"), "{\"f:spec\":{\"f:size\":{}}}");
	ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(status_has_owners_of_its_own)
{
	ck_assert_int_eq(apply("m", "{\"size\":1}"), 201);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", "status", "s", false, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"w\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"size\":9},\"status\":{\"replicas\":4}}"), 200);
	ck_assert_str_eq(owns("s"), "{\"f:metadata\":{\"f:labels\":{\"f:a\":{}}},\"f:status\":{\"f:replicas\":{}}}");
	ck_assert_str_eq(answer(&f, "/status"), "{\"replicas\":4}");
	ck_spec("{\"size\":1}");
	ck_assert_str_eq(answer(&f, "/metadata/labels"), "");
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", "status", "t", false, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"w\"},\"status\":{\"replicas\":5}}"), 409);
	ck_assert_str_eq(f.failure.message,
			 "Apply failed with 1 conflict: conflict with \"s\" with subresource \"status\": .status.replicas");
	/* The main resource neither changes nor owns it. */
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, "m", false, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"w\"},\"spec\":{\"size\":2},\"status\":{\"replicas\":7}}"), 200);
	ck_assert_str_eq(answer(&f, "/status"), "{\"replicas\":4}");
	ck_assert_str_eq(owns("m"), "{\"f:spec\":{\"f:size\":{}}}");
}
END_TEST

START_TEST(preconditions_dry_runs_and_faults)
{
	ck_assert_int_eq(apply("m", "{\"size\":1}"), 201);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, "m", false, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"w\",\"resourceVersion\":\"1\"},\"spec\":{\"size\":2}}"), 409);
	ck_assert_int_eq(apply("m", "{\"nope\":1,\"size\":2}"), 500);
	ck_assert_str_eq(f.failure.message, "failed to create typed patch object (/w; example.com/v1, Kind=Widget): "
					    ".spec.nope: field not declared in schema");
	ck_assert_int_eq(apply("m", "{\"ports\":[{\"port\":1}]}"), 500);
	ck_assert_msg(strstr(f.failure.message, ".spec.ports: element 0: associative list with keys has an element that omits all "
						"key fields [\"name\"]") != NULL, "%s", f.failure.message);
	ck_assert_int_eq(apply("m", "{\"ports\":[{\"name\":\"a\"},{\"name\":\"a\"}],\"tags\":[\"x\",\"x\"]}"), 500);
	ck_assert_msg(strstr(f.failure.message, ".spec.ports: duplicate entries for key [name=\"a\"]\n.spec.tags: duplicate entries for "
						"key [=\"x\"]") != NULL, "%s", f.failure.message);
	ck_assert_int_eq(apply("m", "{\"size\":\"text\"}"), 422);
	struct am_write write = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_APPLY, .dry_run = true, .field_manager = "n" };
	const struct am_resource *res = resource(&f, WIDGET_KIND);
	fixture_clear(&f);
	write.res = res;
	write.ns = "default";
	write.name = "w";
	write.body = am_slice_of(WIDGET("{\"mode\":\"b\"}"));
	ck_assert_int_eq(am_engine_write(f.engine, &write, &f.written, &f.failure), 0);
	ck_assert_str_eq(answer(&f, "/spec/mode"), "\"b\"");
	am_resource_unref(res);
	ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "w", "/spec"), "{\"size\":1}");
}
END_TEST

START_TEST(old_updates_are_put_together)
{
	char name[16], text[128];

	ck_assert_int_eq(apply("m", "{\"size\":1}"), 201);
	for (int i = 0; i < 15; i++) {
		am_clock_fake_advance(f.clock, AM_NS_PER_S);
		snprintf(name, sizeof(name), "u%02d", i);
		snprintf(text, sizeof(text), "{\"spec\":{\"free\":{\"n%02d\":1}}}", i);
		ck_assert_int_eq(update_as(name, text), 200);
	}
	ck_assert_uint_eq(entries(), 1 + AM_MANAGED_UPDATES);
	ck_assert_str_eq(owns("u00"), "");
	ck_assert_msg(strstr(owns("ancient-changes"), "\"f:n00\":{}") != NULL, "%s", owns("ancient-changes"));
	ck_assert_msg(strstr(owns("ancient-changes"), "\"f:n05\":{}") != NULL, "%s", owns("ancient-changes"));
	ck_assert_str_ne(owns("u06"), "");
}
END_TEST

#define CM "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"w\"%s},\"data\":%s}"

START_TEST(kubectl_may_go_on_from_its_own_annotation)
{
	const char *last = ",\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"apiVersion\\\":\\\"v1\\\","
			   "\\\"kind\\\":\\\"ConfigMap\\\",\\\"metadata\\\":{\\\"name\\\":\\\"w\\\"},\\\"data\\\":{\\\"a\\\":\\\"1\\\","
			   "\\\"b\\\":\\\"1\\\"}}\"}";

	ck_assert_int_eq(create(&f, "v1/configmaps", "default", CM, last, "{\"a\":\"1\",\"b\":\"1\"}"), 201);
	ck_assert_int_eq(apply_to("v1/configmaps", "w", NULL, "other", false, CM, "", "{\"a\":\"2\"}"), 409);
	ck_assert_int_eq(apply_to("v1/configmaps", "w", NULL, "kubectl", false, CM, "", "{\"a\":\"2\"}"), 200);
	ck_assert_str_eq(answer(&f, "/data"), "{\"a\":\"2\",\"b\":\"1\"}");
	const char *now = answer(&f, "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
	ck_assert_msg(strstr(now, "\\\"a\\\":\\\"2\\\"") != NULL && strstr(now, "\\\"b\\\"") == NULL, "%s", now);
}
END_TEST

#define SERVICE "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"w\"},\"spec\":{\"ports\":[{\"name\":\"%s\"," \
		"\"port\":%d%s}]%s}}"

START_TEST(builtin_lists_and_defaults_of_keys)
{
	ck_assert_int_eq(apply_to("v1/services", "w", NULL, "a", false, SERVICE, "x", 80, "", ",\"selector\":{\"k\":\"v\"}"), 201);
	ck_assert_msg(strstr(owns("a"), "\"k:{\\\"port\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:name\":{},\"f:port\":{}}") != NULL, "%s",
		      owns("a"));
	ck_assert_msg(strstr(owns("a"), "\"f:selector\":{}") != NULL, "%s", owns("a"));
	ck_assert_int_eq(apply_to("v1/services", "w", NULL, "b", false, SERVICE, "y", 80, ",\"protocol\":\"UDP\"", ""), 200);
	ck_assert_str_ne(answer(&f, "/spec/ports/1"), "");
	ck_assert_int_eq(apply_to("v1/services", "w", NULL, "b", false, SERVICE, "z", 80, ",\"protocol\":\"TCP\"", ""), 409);
	ck_assert_str_eq(f.failure.causes[0].field, ".spec.ports[port=80,protocol=\"TCP\"].name");
	ck_assert_int_eq(apply_to("v1/services", "w", NULL, "b", false, SERVICE, "z", 81, ",\"bogus\":1", ""), 500);
}
END_TEST

#define THING "{\"apiVersion\":\"example.com/v%d\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"w\"},\"spec\":%s}"

START_TEST(two_versions_of_one_definition)
{
	ck_assert_int_eq(create(&f, "apiextensions.k8s.io/v1/customresourcedefinitions", NULL, "%s",
		"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"things.example.com\"},"
		"\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\",\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},\"versions\":["
		"{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":"
		"{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}}},"
		"{\"name\":\"v2\",\"served\":true,\"storage\":false,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":"
		"{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}}}]}}"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(apply_to("example.com/v2/things", "w", NULL, "m", false, THING, 2, "{\"a\":1,\"b\":[1]}"), 201);
	ck_assert_str_eq(owns("m"), "{\"f:spec\":{\"f:a\":{},\"f:b\":{}}}");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/apiVersion"), "\"example.com/v2\"");
	ck_assert_int_eq(apply_to("example.com/v1/things", "w", NULL, "m", false, THING, 1, "{\"a\":1}"), 200);
	ck_spec("{\"a\":1}");
	ck_assert_uint_eq(entries(), 1);
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/apiVersion"), "\"example.com/v1\"");
	ck_assert_int_eq(apply_to("example.com/v1/things", "w", NULL, "n", false, THING, 1, "{\"a\":{\"x\":1}}"), 409);
}
END_TEST

START_TEST(order_of_a_shared_list)
{
	ck_assert_int_eq(apply("m1", "{\"tags\":[\"a\",\"b\",\"c\"]}"), 201);
	ck_assert_int_eq(apply("m2", "{\"tags\":[\"x\",\"b\",\"y\"]}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/tags"), "[\"a\",\"x\",\"b\",\"c\",\"y\"]");
	ck_assert_int_eq(apply("m1", "{\"tags\":[\"c\",\"b\"]}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/tags"), "[\"x\",\"c\",\"y\",\"b\"]");
	ck_assert_int_eq(apply("m2", "{\"tags\":[]}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/tags"), "[\"c\",\"b\"]");
}
END_TEST

START_TEST(owners_survive_a_restart_and_a_deletion)
{
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, "m", false, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"
		"\"name\":\"w\",\"finalizers\":[\"x.y/z\"]},\"spec\":{\"size\":1}}"), 201);
	fixture_clear(&f);
	am_engine_close(f.engine);
	fixture_reopen(&f);
	ck_assert_int_eq(apply_to(WIDGET_KIND, "w", NULL, "n", false, WIDGET("{\"size\":2}")), 409);
	ck_assert_int_eq(delete(&f, WIDGET_KIND, "default", "w", (struct am_delete_options){ .grace = -1 }), 200);
	ck_assert_str_eq(owns("m"), "{\"f:metadata\":{\"f:finalizers\":{\"v:\\\"x.y/z\\\"\":{}}},\"f:spec\":{\"f:size\":{}}}");
	/* To apply without the finalizer is to let it go. */
	ck_assert_int_eq(apply("m", "{\"size\":1}"), 200);
	ck_assert_ptr_null(stored(&f, "example.com", "widgets", "default", "w", "/spec"));
}
END_TEST

/* ---- a model: for each of some fields its value and who owns it */

#define FIELDS   6
#define MANAGERS 4

struct model {
	int value[FIELDS];              /* 0: not there */
	bool owns[MANAGERS][FIELDS];
};

/* What the rules say of an apply, in the plainest way. */
static int
model_apply(struct model *m, int who, const int *config, bool forced)
{
	for (int i = 0; i < FIELDS; i++)
		for (int o = 0; o < MANAGERS; o++)
			if (!forced && o != who && config[i] != 0 && config[i] != m->value[i] && m->owns[o][i])
				return 409;
	for (int i = 0; i < FIELDS; i++) {
		bool others = false;
		for (int o = 0; o < MANAGERS; o++) {
			if (o != who && config[i] != 0 && config[i] != m->value[i])
				m->owns[o][i] = false;
			others |= o != who && m->owns[o][i];
		}
		if (config[i] != 0)
			m->value[i] = config[i];
		else if (m->owns[who][i] && !others)
			m->value[i] = 0;
		m->owns[who][i] = config[i] != 0;
	}
	return 200;
}

static void
model_update(struct model *m, int who, int i, int value)
{
	if (m->value[i] == value)
		return;
	for (int o = 0; o < MANAGERS; o++)
		m->owns[o][i] = false;
	m->value[i] = value;
	m->owns[who][i] = value != 0;
}

static void
print_fields(const int *values, struct am_buf *out)
{
	am_buf_reset(out);
	am_buf_addc(out, '{');
	for (int i = 0; i < FIELDS; i++)
		if (values[i] != 0)
			am_buf_addf(out, "%s\"n%d\":%d", out->len > 1 ? "," : "", i, values[i]);
	am_buf_addc(out, '}');
}

static void
check_model(const struct model *m)
{
	struct am_object *object = am_engine_peek(f.engine, "example.com", "widgets", "default", "w");
	char pointer[64], text[16], name[16];

	fixture_clear(&f);
	f.written.object = object;
	for (int i = 0; i < FIELDS; i++) {
		snprintf(pointer, sizeof(pointer), "/spec/free/n%d", i);
		snprintf(text, sizeof(text), "%.0d", m->value[i]);
		ck_assert_str_eq(answer(&f, pointer), text);
		for (int o = 0; o < MANAGERS; o++) {
			snprintf(name, sizeof(name), "m%d", o);
			snprintf(pointer, sizeof(pointer), "\"f:n%d\":{}", i);
			ck_assert_msg((strstr(owns(name), pointer) != NULL) == m->owns[o][i], "%s of %s: %s", pointer, name, object->body);
		}
	}
}

START_TEST(random_managers_agree_with_a_model)
{
	uint64_t random = 42;
	struct am_buf text = { 0 };
	char name[16];

	/* m0 updates, the others apply.  m3 holds the object's other fields, so that the container never goes. */
	for (int round = 0; round < 6; round++) {
		struct model m = { 0 };
		fixture_clear(&f);
		delete(&f, WIDGET_KIND, "default", "w", (struct am_delete_options){ .grace = -1 });
		ck_assert_int_eq(apply("keeper", "{\"free\":{\"keep\":1}}"), 201);
		for (int step = 0; step < 120; step++) {
			int config[FIELDS], code, want;
			random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			unsigned r = (unsigned)(random >> 33);
			int who = (int)(r % MANAGERS);
			snprintf(name, sizeof(name), "m%d", who);
			for (int i = 0; i < FIELDS; i++)
				config[i] = (int)(random >> (20 + 3 * i)) & 3;
			if (who == 0) {
				int i = (int)(r / 8 % FIELDS), value = config[i];
				am_buf_reset(&text);
				am_buf_addf(&text, value != 0 ? "{\"spec\":{\"free\":{\"n%d\":%d}}}" : "{\"spec\":{\"free\":{\"n%d\":null}}}", i, value);
				ck_assert_int_eq(update_as(name, am_buf_str(&text)), 200);
				model_update(&m, who, i, value);
			} else {
				struct am_buf spec = { 0 };
				bool forced = r / 64 % 3 == 0;
				print_fields(config, &text);
				am_buf_addf(&spec, "{\"free\":%s}", am_buf_str(&text));
				code = forced ? force(name, am_buf_str(&spec)) : apply(name, am_buf_str(&spec));
				want = model_apply(&m, who, config, forced);
				ck_assert_msg(code == want, "%d, wanted %d: %s", code, want, f.failure.message != NULL ? f.failure.message : "");
				if (code == 200) {
					/* Twice is once. */
					uint64_t rv = f.written.object->rv;
					ck_assert_int_eq(apply(name, am_buf_str(&spec)), 200);
					ck_assert_uint_eq(f.written.object->rv, rv);
				}
				am_buf_fini(&spec);
			}
			check_model(&m);
		}
	}
	am_buf_fini(&text);
}
END_TEST

/* ---- sets of paths */

static const struct am_paths *
paths(struct am_arena *arena, const char *text)
{
	const struct am_paths *ret = NULL;
	struct am_node *node = am_node_parse(arena, text, strlen(text), NULL);

	ck_assert_ptr_nonnull(node);
	ck_assert(am_paths_parse(arena, node, &ret));
	return ret;
}

static const char *
text_of(struct am_arena *arena, const struct am_paths *set)
{
	struct am_buf text = { 0 };

	am_node_print(am_paths_print(arena, set), &text);
	const char *ret = am_arena_strdup(arena, am_buf_str(&text));
	am_buf_fini(&text);
	return ret;
}

START_TEST(sets_of_paths)
{
	struct am_arena *arena = am_arena_new();
	static const char *const bad[] = { "[]", "{\"x\":{}}", "{\"f:a\":1}", "{\"k:{}\":{}}", "{\"k:[1]\":{}}", "{\"v:{}\":{}}", "{\"i:x\":{}}",
					   "{\"k:{\\\"a\\\":[]}\":{}}", "{\"v:1\":{},\"v:1.0\":{}}", "{\":\":{}}" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct am_paths *ret;
		ck_assert_msg(!am_paths_parse(arena, am_node_parse(arena, bad[i], strlen(bad[i]), NULL), &ret), "%s", bad[i]);
	}
	const struct am_paths *a = paths(arena, "{\"f:b\":{\".\":{},\"f:c\":{}},\"f:a\":{},\"k:{\\\"y\\\":1.0, \\\"x\\\":\\\"s\\\"}\":{}}");
	ck_assert_str_eq(text_of(arena, a), "{\"f:a\":{},\"f:b\":{\".\":{},\"f:c\":{}},\"k:{\\\"x\\\":\\\"s\\\",\\\"y\\\":1}\":{}}");
	const struct am_paths *b = paths(arena, "{\"f:b\":{\"f:c\":{},\"f:d\":{}},\"v:true\":{}}");
	ck_assert_str_eq(text_of(arena, am_paths_common(arena, a, b)), "{\"f:b\":{\"f:c\":{}}}");
	ck_assert_str_eq(text_of(arena, am_paths_minus(arena, b, a)), "{\"f:b\":{\"f:d\":{}},\"v:true\":{}}");
	ck_assert(am_paths_equal(am_paths_union(arena, a, b), am_paths_union(arena, b, a)));
	ck_assert_ptr_null(am_paths_minus(arena, a, a));
	ck_assert_str_eq(text_of(arena, NULL), "{}");
	am_arena_free(arena);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, row_094_an_apply_creates);
	tcase_add_test(tc, the_same_again_is_no_write);
	tcase_add_test(tc, row_095_a_conflict_and_its_force);
	tcase_add_test(tc, row_096_what_is_no_longer_applied_goes);
	tcase_add_test(tc, row_097_a_list_by_key_is_shared);
	tcase_add_test(tc, row_098_an_atomic_list_is_one_value);
	tcase_add_test(tc, row_099_an_update_takes_what_it_changes);
	tcase_add_test(tc, tracking_starts_with_the_first_apply);
	tcase_add_test(tc, managed_fields_can_be_reset);
	tcase_add_test(tc, status_has_owners_of_its_own);
	tcase_add_test(tc, preconditions_dry_runs_and_faults);
	tcase_add_test(tc, old_updates_are_put_together);
	tcase_add_test(tc, kubectl_may_go_on_from_its_own_annotation);
	tcase_add_test(tc, builtin_lists_and_defaults_of_keys);
	tcase_add_test(tc, two_versions_of_one_definition);
	tcase_add_test(tc, order_of_a_shared_list);
	tcase_add_test(tc, owners_survive_a_restart_and_a_deletion);
	tcase_add_test(tc, random_managers_agree_with_a_model);
	tcase_add_test(tc, sets_of_paths);
}

UNIT_MAIN("apiserver_apply", cases)
