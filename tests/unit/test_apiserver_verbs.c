/* SPDX-License-Identifier: Apache-2.0 */
/* Create, update, patch: the rows of kube-api.md section 4 that do not need HTTP. */
#include "tests/unit/apiserver.h"

#define WIDGET(meta, spec) "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{" meta "},\"spec\":{" spec "}}"
#define NAMED(name, spec) WIDGET("\"name\":\"" name "\"", spec)

static struct fixture f;

static void
open_widgets(void)
{
	f = (struct fixture){ .clock = am_clock_fake_new() };
	fixture_open(&f);
	make_widgets(&f);
}

static void
done(void)
{
	fixture_close(&f);
}

START_TEST(row_022)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 201);
	ck_assert_str_eq(answer(&f, "/spec/size"), "3");
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "1");
	ck_assert_str_eq(answer(&f, "/metadata/creationTimestamp"), "\"2026-01-01T00:00:00Z\"");
	ck_assert_str_eq(answer(&f, "/metadata/namespace"), "\"default\"");
	ck_assert_int_eq(strlen(f.written.object->uid), 36);
	char rv[32];
	snprintf(rv, sizeof(rv), "\"%llu\"", (unsigned long long)f.written.object->rv);
	ck_assert_str_eq(answer(&f, "/metadata/resourceVersion"), rv);
}
END_TEST

START_TEST(row_023_024_027_028)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 201);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 409);
	ck_assert_str_eq(f.failure.reason, "AlreadyExists");
	ck_assert_str_eq(f.failure.message, "widgets.example.com \"a\" already exists");
	ck_assert_str_eq(f.failure.kind, "widgets");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("", "")), 422);
	ck_assert_str_eq(field(&f, 0), "metadata.name");
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueRequired");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("Bad_Name", "")), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueInvalid");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"name\":\"b\",\"namespace\":\"other\"", "")), 400);
}
END_TEST

START_TEST(row_025_026)
{
	char base[80];

	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"generateName\":\"g-\"", "")), 201);
	ck_assert_int_eq(strlen(f.written.object->name), 7);
	memset(base, 'x', 70);
	base[70] = '\0';
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"generateName\":\"%s\"", ""), base), 201);
	ck_assert_int_eq(strlen(f.written.object->name), 63);
}
END_TEST

START_TEST(row_029_030_031_032_033)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "nowhere", NAMED("a", "")), 404);
	ck_assert_str_eq(f.failure.kind, "namespaces");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default",
				WIDGET("\"name\":\"a\",\"uid\":\"x\",\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"", "")), 201);
	ck_assert_str_ne(f.written.object->uid, "x");
	ck_assert_str_eq(answer(&f, "/metadata/deletionTimestamp"), "");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"name\":\"b\",\"resourceVersion\":\"5\"", "")), 500);
	ck_assert_str_eq(f.failure.message, "resourceVersion should not be set on objects to be created");
	ck_assert_str_eq(f.failure.reason, "");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"
				"\"name\":\"c\"},\"status\":{\"replicas\":1}}"), 201);
	ck_assert_str_eq(answer(&f, "/status"), "");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"other/v1\",\"kind\":\"Widget\",\"metadata\":{"
				"\"name\":\"d\"}}"), 400);
}
END_TEST

static am_printf_(3, 4) int
create_with(struct am_write write, const char *kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int code = request(&f, write, kind, "default", NULL, fmt, ap);
	va_end(ap);
	return code;
}

START_TEST(row_034_036_037_038_040)
{
	uint64_t rv = am_engine_rv(f.engine);

	ck_assert_int_eq(create_with((struct am_write){ .dry_run = true }, WIDGET_KIND, NAMED("a", "")), 201);
	ck_assert_str_eq(answer(&f, "/metadata/resourceVersion"), "");
	ck_assert(stored(&f, "example.com", "widgets", "default", "a", "") == NULL);
	ck_assert_uint_eq(am_engine_rv(f.engine), rv);
	ck_assert_int_eq(create_with((struct am_write){ 0 }, WIDGET_KIND, NAMED("a", "\"x\":1")), 201);
	ck_assert_str_eq(answer(&f, "/spec/x"), "");
	ck_assert_uint_eq(f.written.n_warnings, 1);
	ck_assert_str_eq(f.written.warnings[0], "unknown field \"spec.x\"");
	ck_assert_int_eq(create_with((struct am_write){ .fields = AM_FIELDS_STRICT }, WIDGET_KIND, NAMED("b", "\"x\":1")), 400);
	ck_assert_str_eq(f.failure.message, "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: "
			 "unknown field \"spec.x\"");
	ck_assert_int_eq(create_with((struct am_write){ .fields = AM_FIELDS_IGNORE }, WIDGET_KIND, NAMED("c", "\"x\":1")), 201);
	ck_assert_uint_eq(f.written.n_warnings, 0);
	ck_assert_int_eq(create_with((struct am_write){ .fields = AM_FIELDS_STRICT }, WIDGET_KIND,
				     WIDGET("\"name\":\"d\",\"nope\":1", "")), 400);
}
END_TEST

START_TEST(row_044_045)
{
	char *big = malloc(300 * 1024 + 1);

	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"name\":\"a\",\"ownerReferences\":["
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"a\",\"uid\":\"1\",\"controller\":true},"
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"b\",\"uid\":\"2\",\"controller\":true}]", "")), 422);
	memset(big, 'x', 300 * 1024);
	big[300 * 1024] = '\0';
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", WIDGET("\"name\":\"a\",\"annotations\":{\"k\":\"%s\"}", ""), big), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueTooLong");
	free(big);
}
END_TEST

START_TEST(row_073_074_075_077_078_079_081)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 201);
	unsigned long long rv = f.written.object->rv;
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL,
				WIDGET("\"name\":\"a\",\"resourceVersion\":\"%llu\"", "\"size\":5"), rv), 200);
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "2");
	ck_assert_uint_gt(f.written.object->rv, rv);
	ck_assert_str_eq(answer(&f, "/metadata/creationTimestamp"), "\"2026-01-01T00:00:00Z\"");
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL,
				WIDGET("\"name\":\"a\",\"resourceVersion\":\"%llu\"", "\"size\":6"), rv), 409);
	ck_assert_str_eq(f.failure.message, "Operation cannot be fulfilled on widgets.example.com \"a\": the object has been "
			 "modified; please apply your changes to the latest version and try again");
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL, NAMED("a", "\"size\":6")), 422);
	ck_assert_str_eq(field(&f, 0), "metadata.resourceVersion");
	rv = am_engine_rv(f.engine);
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL,
				WIDGET("\"name\":\"a\",\"resourceVersion\":\"%llu\"", "\"size\":5"), rv), 200);
	ck_assert_uint_eq(f.written.object->rv, rv);
	ck_assert_uint_eq(am_engine_rv(f.engine), rv);
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL, NAMED("b", "")), 400);
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL,
				WIDGET("\"name\":\"a\",\"uid\":\"zz\",\"resourceVersion\":\"%llu\"", ""), rv), 409);
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", NULL, "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"%llu\",\"labels\":{\"l\":\"1\"}},\"spec\":{\"size\":5},\"status\":"
		"{\"replicas\":9}}", rv), 200);
	ck_assert_str_eq(answer(&f, "/status"), "");
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "2");
}
END_TEST

START_TEST(row_080)
{
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "zz", NULL, WIDGET("\"name\":\"zz\",\"resourceVersion\":\"5\"", "")),
			 404);
	ck_assert_int_eq(update(&f, "coordination.k8s.io/v1/leases", "default", "l", NULL, "{\"metadata\":{\"name\":\"l\"},"
		"\"spec\":{\"holderIdentity\":\"me\",\"renewTime\":\"2026-01-01T00:00:00.123456Z\"}}"), 201);
	ck_assert_str_eq(answer(&f, "/spec/renewTime"), "\"2026-01-01T00:00:00.123456Z\"");
	ck_assert_str_eq(answer(&f, "/apiVersion"), "\"coordination.k8s.io/v1\"");
	/* As a real API server has it: the version of what is gone is ignored, its uid is not. */
	ck_assert_int_eq(update(&f, "coordination.k8s.io/v1/leases", "default", "m", NULL,
				"{\"metadata\":{\"name\":\"m\",\"resourceVersion\":\"5\"}}"), 201);
	ck_assert_int_eq(update(&f, "coordination.k8s.io/v1/leases", "default", "n", NULL,
				"{\"metadata\":{\"name\":\"n\",\"uid\":\"x\",\"resourceVersion\":\"5\"}}"), 409);
	ck_assert_str_eq(f.failure.message, "Operation cannot be fulfilled on leases.coordination.k8s.io \"n\": Precondition failed: "
			 "UID in precondition: x, UID in object meta: ");
}
END_TEST

START_TEST(row_082_083)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 201);
	unsigned long long rv = f.written.object->rv;
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", "status", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\","
		"\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"%llu\",\"labels\":{\"l\":\"1\"}},\"spec\":{\"size\":7},\"status\":"
		"{\"replicas\":9}}", rv), 200);
	ck_assert_str_eq(answer(&f, "/status/replicas"), "9");
	ck_assert_str_eq(answer(&f, "/spec/size"), "3");
	ck_assert_str_eq(answer(&f, "/metadata/labels"), "");
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "1");
	ck_assert_uint_gt(f.written.object->rv, rv);
}
END_TEST

START_TEST(row_086_087_088_089_090_093_100)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "")), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", NULL, "{\"spec\":{\"size\":5}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/size"), "5");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", NULL, "{\"spec\":{\"size\":null}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/size"), "3");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", NULL,
			       "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"size\":6}}"), 409);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "a", NULL,
			       "[{\"op\":\"test\",\"path\":\"/spec/size\",\"value\":3},"
			       "{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":8}]"), 200);
	ck_assert_str_eq(answer(&f, "/spec/size"), "8");
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "a", NULL,
			       "[{\"op\":\"test\",\"path\":\"/spec/size\",\"value\":3}]"), 422);
	ck_assert_str_eq(f.failure.reason, "Invalid");
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "a", NULL,
			       "[{\"op\":\"remove\",\"path\":\"/spec/nope\"}]"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "a", NULL, "{"), 400);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, WIDGET_KIND, "default", "a", NULL, "{}"), 415);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "zz", NULL, "{}"), 404);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", NULL,
			       "{\"metadata\":{\"annotations\":{\"x\":\"0.1\"}}}"), 200);
	ck_assert_str_eq(answer(&f, "/metadata/annotations/x"), "\"0.1\"");
}
END_TEST

START_TEST(row_103_104_106_107_108)
{
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"size\":101")), 422);
	ck_assert_str_eq(f.failure.message, "Widget.example.com \"a\" is invalid: spec.size: Invalid value: 101: spec.size in body "
			 "should be less than or equal to 100");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"size\":\"x\"")), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueTypeInvalid");
	ck_assert_str_eq(f.failure.causes[0].message,
			 "Invalid value: \"string\": spec.size in body must be of type integer: \"string\"");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"mode\":\"z\"")), 422);
	ck_assert_str_eq(f.failure.causes[0].message, "Unsupported value: \"z\": supported values: \"a\", \"b\"");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"tags\":[\"a\",\"a\"]")), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueDuplicate");
	ck_assert_str_eq(field(&f, 0), "spec.tags[1]");
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"ports\":[{\"name\":\"p\"},{\"name\":\"p\"}]")), 422);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"any\":5")), 201);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("b", "\"any\":\"5%%\"")), 201);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("c", "\"any\":true")), 422);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("d", "\"free\":{\"x\":[1,{\"y\":null}]}")), 201);
	ck_assert_str_eq(answer(&f, "/spec/free"), "{\"x\":[1,{\"y\":null}]}");
}
END_TEST

START_TEST(row_123_124_125)
{
	struct am_buf out = { 0 };
	const struct am_resource *res = resource(&f, WIDGET_KIND);

	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"replicas\":2")), 201);
	ck_assert_int_eq(am_engine_scale(f.engine, res, "default", "a", &out, &f.failure), 0);
	ck_assert(strstr(out.data, "\"spec\":{\"replicas\":2}") != NULL);
	am_buf_fini(&out);
	am_resource_unref(res);
	ck_assert_int_eq(update(&f, WIDGET_KIND, "default", "a", "scale", "{\"spec\":{\"replicas\":7}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/replicas"), "7");
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "2");
	ck_assert(strstr(f.written.scale, "\"kind\":\"Scale\"") != NULL);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", "scale", "{\"spec\":{\"replicas\":-1}}"), 422);
	ck_assert_int_eq(update(&f, "v1/configmaps", "default", "kube-root-ca.crt", "scale", "{}"), 404);
}
END_TEST

START_TEST(numbers_keep_their_text)
{
	static const char *const numbers[] = { "0.7", "0.1", "1.0", "1e21", "9007199254740993", "18446744073709551615", "-0.0",
					       "1E-7" };
	char pointer[64];
	struct am_buf spec = { 0 };

	for (size_t i = 0; i < AM_COUNTOF(numbers); i++)
		am_buf_addf(&spec, "%s\"n%zu\":%s", i > 0 ? "," : "", i, numbers[i]);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", NAMED("a", "\"free\":{%s}"), spec.data), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "a", NULL, "{\"spec\":{\"size\":4}}"), 200);
	am_engine_close(f.engine);
	fixture_clear(&f);
	fixture_reopen(&f);
	for (size_t i = 0; i < AM_COUNTOF(numbers); i++) {
		snprintf(pointer, sizeof(pointer), "/spec/free/n%zu", i);
		ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "a", pointer), numbers[i]);
	}
	am_buf_fini(&spec);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_widgets, done);
	tcase_add_test(tc, row_022);
	tcase_add_test(tc, row_023_024_027_028);
	tcase_add_test(tc, row_025_026);
	tcase_add_test(tc, row_029_030_031_032_033);
	tcase_add_test(tc, row_034_036_037_038_040);
	tcase_add_test(tc, row_044_045);
	tcase_add_test(tc, row_073_074_075_077_078_079_081);
	tcase_add_test(tc, row_080);
	tcase_add_test(tc, row_082_083);
	tcase_add_test(tc, row_086_087_088_089_090_093_100);
	tcase_add_test(tc, row_103_104_106_107_108);
	tcase_add_test(tc, row_123_124_125);
	tcase_add_test(tc, numbers_keep_their_text);
}

UNIT_MAIN("apiserver_verbs", cases)
