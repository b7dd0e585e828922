/* SPDX-License-Identifier: Apache-2.0 */
/* core/cache: objects and selectors. */
#include <string.h>

#include "core/cache/cache_priv.h"
#include "core/data/scan.h"
#include "tests/lib/unit.h"

static struct am_object *
object(const char *json)
{
	struct ambient_error err = AMBIENT_ERROR_INIT;
	struct am_object *o = NULL;

	ck_assert_msg(am_object_new(json, strlen(json), &o, &err) == 0, "%s: %s", json, err.message);
	ck_assert_int_eq(am_json_check(o->json.p, o->json.n, NULL), 0);
	ck_assert_uint_eq(strlen(o->json.p), o->json.n);
	return o;
}

START_TEST(metadata_is_read)
{
	struct am_object *o = object(" { \"metadata\": {\"name\":\"a\\u0062\",\"namespace\":\"ns\",\"uid\":\"u-1\","
				     "\"resourceVersion\":\"12\",\"generation\":3} } ");

	ck_assert_str_eq(o->name, "ab");
	ck_assert_str_eq(o->ns, "ns");
	ck_assert_str_eq(o->uid, "u-1");
	ck_assert_str_eq(o->rv, "12");
	ck_assert_int_eq(o->generation, 3);
	ck_assert(!am_object_deleting(o));
	am_object_unref(o);
	o = object("{\"metadata\":{\"name\":\"c\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
	ck_assert_str_eq(o->ns, "");
	ck_assert(am_object_deleting(o));
	ck_assert_ptr_eq(am_object_ref(o), o);
	am_object_unref(o);
	am_object_unref(o);
}
END_TEST

static void
check_text(const char *in, const char *out)
{
	struct am_object *o = object(in);

	ck_assert_str_eq(o->json.p, out);
	am_object_unref(o);
}

START_TEST(managed_fields_are_left_out_and_nothing_else)
{
	check_text("{\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":\"}],\"}],\"uid\":\"u\"},\"a\":0.70}",
		   "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"},\"a\":0.70}");
	check_text("{\"metadata\":{\"managedFields\":[],\"name\":\"a\"}}", "{\"metadata\":{\"name\":\"a\"}}");
	check_text("{\"metadata\":{\"name\":\"a\",\"managedFields\":[]}}", "{\"metadata\":{\"name\":\"a\"}}");
	check_text("{\"metadata\":{\"name\":\"a\" ,  \"managedFields\" : [] } }", "{\"metadata\":{\"name\":\"a\"  } }");
	check_text("{\"metadata\":{ \"managedFields\" : null , \"name\":\"a\"}}", "{\"metadata\":{  \"name\":\"a\"}}");
	check_text("{\"managedFields\":1,\"metadata\":{\"name\":\"a\"},\"spec\":{\"managedFields\":2}}",
		   "{\"managedFields\":1,\"metadata\":{\"name\":\"a\"},\"spec\":{\"managedFields\":2}}");
}
END_TEST

START_TEST(kind_is_put_in_where_it_lacks)
{
	static const struct { const char *in, *out; } rows[] = {
		{ "{\"metadata\":{\"name\":\"a\"}}", "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}" },
		{ "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}", "{\"apiVersion\":\"v1\",\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}" },
		{ "{\"apiVersion\":\"v2\",\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}",
		  "{\"apiVersion\":\"v2\",\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_object *o = NULL;

		ck_assert_int_eq(am_object_new_kind(rows[i].in, strlen(rows[i].in), "v1", "Pod", &o, NULL), 0);
		ck_assert_str_eq(o->json.p, rows[i].out);
		am_object_unref(o);
	}
}
END_TEST

START_TEST(bad_objects_are_refused)
{
	static const char *const rows[] = { "", "[]", "null", "{", "{}", "{\"metadata\":null}", "{\"metadata\":{}}",
		"{\"metadata\":{\"name\":\"\"}}", "{\"metadata\":{\"name\":7}}", "{\"metadata\":{\"name\":\"a/b\"}}",
		"{\"metadata\":{\"name\":\"a\",\"namespace\":\"../x\"}}", "{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}",
		"{\"metadata\":{\"name\":\"a\"}} x" };
	char big[2000] = "{\"metadata\":{\"name\":\"";

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;
		struct am_object *o = (struct am_object *)1;

		ck_assert_int_eq(am_object_new(rows[i], strlen(rows[i]), &o, &err), -AMBIENT_E_INVALID);
		ck_assert_ptr_null(o);
		ck_assert_int_ne(err.message[0], 0);
	}
	memset(big + strlen(big), 'x', 1000);
	strcpy(big + strlen(big), "\"}}");
	struct am_object *o;
	ck_assert_int_lt(am_object_new(big, strlen(big), &o, NULL), 0);
}
END_TEST

START_TEST(labels_and_annotations_are_read_whatever_their_name)
{
	struct am_object *o = object("{\"metadata\":{\"name\":\"a\",\"labels\":{\"app.io/name\":\"x\",\"~\":\"t\"},"
				     "\"annotations\":{\"a/b\":\"c/d\"}}}");
	char *s;

	ck_assert_str_eq(s = am_object_label(o, "app.io/name"), "x");
	free(s);
	ck_assert_str_eq(s = am_object_label(o, "~"), "t");
	free(s);
	ck_assert_str_eq(s = am_object_annotation(o, "a/b"), "c/d");
	free(s);
	ck_assert_ptr_null(am_object_label(o, "no"));
	am_object_unref(o);
}
END_TEST

START_TEST(rule_20_versions_compare_by_length_then_text)
{
	ck_assert_int_eq(am_rv_compare("9", "10"), -1);
	ck_assert_int_eq(am_rv_compare("10", "9"), 1);
	ck_assert_int_eq(am_rv_compare("10", "10"), 0);
	ck_assert_int_eq(am_rv_compare("010", "9"), 1);
	ck_assert_int_eq(am_rv_compare("99999999999999999999998", "99999999999999999999999"), -1);
	ck_assert_int_eq(am_rv_compare("abc", "10"), 2);
	ck_assert_int_eq(am_rv_compare("", "10"), 2);
	ck_assert_int_eq(am_rv_compare("abc", "abc"), 0);
}
END_TEST

START_TEST(label_selectors)
{
	static const struct { const char *text; bool match; } rows[] = {
		{ "", true }, { "a", true }, { "!a", false }, { "z", false }, { "!z", true }, { "! z", true },
		{ "a=1", true }, { "a==1", true }, { "a = 1", true }, { "a=2", false }, { "a!=2", true }, { "a!=1", false },
		{ "z!=1", true }, { "z=1", false }, { "a in (1,2)", true }, { "a in (2, 3)", false }, { "a in(1)", true },
		{ "a notin (2,3)", true }, { "a notin (1)", false }, { "z notin (1)", true }, { "e=", true }, { "a=", false },
		{ "a=1,b=x", true }, { "a=1, b=y", false }, { "a in (1),!z,b!=y", true }, { "app.io/n=v", true },
		{ "in=1", false }, { "notin notin (1)", true }, { "e in ()", true },
	};
	static const char *const bad[] = { "=1", "a=1,", "a in 1", "a in (1", "a>1", "a=b c", ",", "a=1 b=2", "a in (1=2)", "!a=1",
					   "a!1", "()", "a=(b)" };
	struct am_object *o = object("{\"metadata\":{\"name\":\"o\",\"labels\":{\"a\":\"1\",\"b\":\"x\",\"e\":\"\","
				     "\"app.io/n\":\"v\"}}}");
	struct am_selector *s;

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_msg(am_selector_labels(rows[i].text, &s, &err) == 0, "%s: %s", rows[i].text, err.message);
		ck_assert_msg(am_selector_match(s, o) == rows[i].match, "%s", rows[i].text);
		am_selector_free(s);
	}
	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		struct ambient_error err = AMBIENT_ERROR_INIT;

		ck_assert_msg(am_selector_labels(bad[i], &s, &err) == -AMBIENT_E_INVALID, "%s", bad[i]);
		ck_assert_ptr_null(s);
		ck_assert_ptr_nonnull(strstr(err.message, "selector"));
	}
	ck_assert(am_selector_match(NULL, o));
	am_object_unref(o);
}
END_TEST

START_TEST(field_selectors)
{
	static const struct { const char *text; bool match; } rows[] = {
		{ "metadata.name=o", true }, { "metadata.name!=o", false }, { "/spec/n=7", true }, { "spec.b==true", true },
		{ "/spec/none=", true }, { "/spec/none!=x", true }, { "metadata.name=o,/spec/n=8", false },
		{ "/metadata/labels/a~1b=x y", true }, { "spec.list=", true },
	};
	struct am_object *o = object("{\"metadata\":{\"name\":\"o\",\"labels\":{\"a/b\":\"x y\"}},"
				     "\"spec\":{\"n\":7,\"b\":true,\"list\":[1]}}");
	struct am_selector *s;

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_int_eq(am_selector_fields(rows[i].text, &s, NULL), 0);
		ck_assert_msg(am_selector_match(s, o) == rows[i].match, "%s", rows[i].text);
		am_selector_free(s);
	}
	ck_assert_int_lt(am_selector_fields("metadata.name", &s, NULL), 0);
	ck_assert_int_lt(am_selector_fields("=x", &s, NULL), 0);
	am_object_unref(o);
}
END_TEST

static void
collect(void *arg, const char *value)
{
	am_buf_addf(arg, "%s;", value);
}

START_TEST(values_at_a_pointer)
{
	static const struct { const char *pointer, *values; } rows[] = {
		{ "/a", "1;" }, { "/s", "x;" }, { "/b", "true;" }, { "/l", "p;q;" }, { "/o", "" }, { "/none", "" },
		{ "/v/*/cm/name", "one;two;" }, { "/v/*/tags", "t1;t2;" }, { "/o/*", "5;6;" }, { "/a/*", "" }, { "/*y", "star;" },
		{ "/n", "" },
	};
	static const char text[] = "{\"a\":1,\"s\":\"x\",\"b\":true,\"l\":[\"p\",\"q\",{}],\"o\":{\"k\":5,\"m\":6},\"n\":null,"
		"\"*y\":\"star\",\"v\":[{\"cm\":{\"name\":\"one\"},\"tags\":[\"t1\",\"t2\"]},{\"cm\":{\"name\":\"two\"}},{}]}";

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_auto(am_buf_fini) struct am_buf out = { 0 };

		am_cache_each_value(am_slice(text, strlen(text)), rows[i].pointer, collect, &out);
		ck_assert_msg(strcmp(am_buf_str(&out), rows[i].values) == 0, "%s: %s", rows[i].pointer, am_buf_str(&out));
	}
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, metadata_is_read);
	tcase_add_test(tc, managed_fields_are_left_out_and_nothing_else);
	tcase_add_test(tc, kind_is_put_in_where_it_lacks);
	tcase_add_test(tc, bad_objects_are_refused);
	tcase_add_test(tc, labels_and_annotations_are_read_whatever_their_name);
	tcase_add_test(tc, rule_20_versions_compare_by_length_then_text);
	tcase_add_test(tc, label_selectors);
	tcase_add_test(tc, field_selectors);
	tcase_add_test(tc, values_at_a_pointer);
}

UNIT_MAIN("cached", cases)
