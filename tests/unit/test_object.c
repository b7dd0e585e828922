/* SPDX-License-Identifier: Apache-2.0 */
/* The object sub-table: what a plugin reads, keeps and drafts. */
#include "core/data/object.h"

#include <string.h>

#include "tests/lib/unit.h"

static struct am_call_head call;

static void
open_call(void)
{
	call = (struct am_call_head){ .pub = { .size = sizeof(call.pub) }, .pool = am_pool_new() };
}

static const struct ambient_object *
parse(const char *text)
{
	const struct ambient_object *o;

	ck_assert_int_eq(am_object_parse(call.pool, text, strlen(text), &o, NULL), 0);
	return o;
}

START_TEST(reads_by_pointer)
{
	open_call();
	const struct ambient_object *o = parse("{\"a\":{\"s\":\"x\\ny\",\"i\":-3,\"r\":0.7,\"b\":true,\"n\":null,\"l\":[1,{\"k\":\"v\"}]}}");
	const char *key;
	ck_assert_str_eq(ambient_str(o, "/a/s", ""), "x\ny");
	ck_assert_str_eq(ambient_str(o, "/a/i", "no string"), "no string");
	ck_assert_int_eq(ambient_int(o, "/a/i", 0), -3);
	ck_assert_int_eq(ambient_int(o, "/a/r", 5), 5);
	ck_assert(ambient_real(o, "/a/r", 0) == 0.7);
	ck_assert_int_eq(ambient_bool(o, "/a/b", 0), 1);
	ck_assert_int_eq(ambient_type(o, "/a/n"), AMBIENT_T_NULL);
	ck_assert_int_eq(ambient_type(o, "/a/x"), AMBIENT_T_NONE);
	ck_assert_uint_eq(ambient_len(o, "/a"), 6);
	ck_assert_uint_eq(ambient_len(o, "/a/s"), 3);
	ck_assert_str_eq(ambient_str(ambient_item(o, "/a/l", 1, NULL), "/k", ""), "v");
	ck_assert_ptr_null(ambient_item(o, "/a/l", 2, NULL));
	ck_assert_ptr_nonnull(ambient_item(o, "/a", 1, &key));
	ck_assert_str_eq(key, "i");
	ck_assert_str_eq(ambient_json(ambient_at(o, "/a"), "/r", NULL), "0.7");
	am_pool_free(call.pool);
}
END_TEST

START_TEST(kept_objects_outlive_the_call)
{
	open_call();
	const struct ambient_object *o = parse("{\"a\":{\"b\":\"c\"}}");
	struct ambient_object *kept = ambient_ref(ambient_at(o, "/a"));
	am_pool_free(call.pool);
	ck_assert_str_eq(ambient_str(kept, "/b", ""), "c");
	ck_assert_ptr_eq(ambient_str(kept, "/b", ""), ambient_str(kept, "/b", ""));
	struct ambient_object *twice = ambient_ref(kept);
	ambient_unref(kept);
	ck_assert_str_eq(ambient_str(twice, "/b", ""), "c");
	ambient_unref(twice);
}
END_TEST

START_TEST(rule_09_drafts_keep_numbers_and_first_error)
{
	open_call();
	const struct ambient_object *o = parse("{\"metadata\":{\"name\":\"n\",\"namespace\":\"s\"},\"x\":18446744073709551615}");
	struct ambient_draft *d = am_object_api.draft_from(&call.pub, "v1/configmaps", o);
	struct am_draft_info info;
	struct ambient_error err = AMBIENT_ERROR_INIT;
	ambient_draft_set_str(d, "/data/k", "v");
	ambient_draft_set_json(d, "/list/-", "{\"a\":0.70}");
	ambient_draft_unset(d, "/metadata/namespace");
	ck_assert_int_eq(am_draft_open(d, &info, &err), 0);
	ck_assert_str_eq(info.ns, "s");
	ck_assert_str_eq(ambient_json(ambient_draft_view(d), "", NULL),
			 "{\"metadata\":{\"name\":\"n\"},\"x\":18446744073709551615,\"data\":{\"k\":\"v\"},\"list\":[{\"a\":0.70}]}");
	ambient_draft_set_str(d, "/data/k/deeper", "v");
	ambient_draft_set_json(d, "/data", "{not json");
	ck_assert_int_eq(am_draft_open(d, &info, &err), -AMBIENT_E_INVALID);
	ck_assert_ptr_nonnull(strstr(err.message, "/data/k/deeper"));
	am_pool_free(call.pool);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, reads_by_pointer);
	tcase_add_test(tc, kept_objects_outlive_the_call);
	tcase_add_test(tc, rule_09_drafts_keep_numbers_and_first_error);
}

UNIT_MAIN("object", cases)
