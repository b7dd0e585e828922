/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text: the gate, the scanner, the tree, patches, framing; YAML. */
#include <string.h>

#include "core/base/util.h"
#include "core/data/yaml.h"
#include "tests/lib/unit.h"

static bool
valid(const char *s)
{
	return am_json_check(s, strlen(s), NULL) == 0;
}

START_TEST(check_accepts_and_refuses)
{
	static const char *const good[] = { "{}", " [ ] ", "\"a\\u00e9\\ud83d\\ude00\"", "-0.5e+10", "[1,2,{\"a\":null}]", "true",
					    "{\"a\":{\"a\":1}}" };
	static const char *const bad[] = { "", "{", "[1,]", "{\"a\":1,}", "01", "1.", "+1", "\"\\x\"", "\"\\ud800\"", "nul", "{}x",
					   "\"\x01\"", "\"\xff\"", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "[1 2]", "NaN" };
	for (size_t i = 0; i < AM_COUNTOF(good); i++)
		ck_assert_msg(valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < AM_COUNTOF(bad); i++)
		ck_assert_msg(!valid(bad[i]), "%s", bad[i]);
	char deep[400];
	memset(deep, '[', 200);
	memset(deep + 200, ']', 200);
	ck_assert_int_lt(am_json_check(deep, 400, NULL), 0);
}
END_TEST

/* Strings are read in steps of eight bytes: what matters is seen wherever it stands in them. */
START_TEST(check_of_strings_at_every_place)
{
	static const struct {
		const char *put;
		bool good;
	} rows[] = { { "\\n", true }, { "\\u00e9", true }, { "\xc3\xa9", true }, { "\x7f", true }, { "!#[]", true },
		     { "\x01", false }, { "\x1f", false }, { "\xff", false }, { "\xc3", false }, { "\\x", false }, { "\"", false } };

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		for (int before = 0; before < 20; before++) {
			for (int after = 0; after < 20; after++) {
				char text[64];

				(void)snprintf(text, sizeof(text), "\"%.*s%s%.*s\"", before, "abcdefghijklmnopqrst", rows[i].put, after,
					       "abcdefghijklmnopqrst");
				ck_assert_msg(valid(text) == rows[i].good, "%s", text);
			}
		}
	}
}
END_TEST

START_TEST(find_by_pointer)
{
	struct am_slice t = AM_SLICE("{\"a\":[10,{\"b/c\":\"x\\\"y\",\"~\":true}],\"e\":\"\",\"n\":1.50}"), v;
	ck_assert(am_json_find(t, "/a/0", &v) && am_slice_eq(v, "10"));
	ck_assert(am_json_find(t, "/a/1/b~1c", &v) && am_json_str_eq(v, "x\"y"));
	ck_assert(am_json_find(t, "/a/1/~0", &v) && am_slice_eq(v, "true"));
	ck_assert(!am_json_find(t, "/a/2", &v));
	ck_assert(!am_json_find(t, "/a/01", &v));
	ck_assert(!am_json_find(t, "/e/x", &v));
	ck_assert(am_json_find(t, "/n", &v) && am_slice_eq(v, "1.50"));
	ck_assert_int_eq(am_json_int(t, "/a/0", -1), 10);
	ck_assert_int_eq(am_json_int(t, "/n", -1), -1);
	ck_assert_uint_eq(am_json_count(t), 3);
}
END_TEST

static char *
round_trip(const char *s)
{
	struct am_arena *arena = am_arena_new();
	struct am_buf out = { 0 };
	struct am_node *n = am_node_parse(arena, s, strlen(s), NULL);
	ck_assert_ptr_nonnull(n);
	am_node_print(n, &out);
	am_arena_free(arena);
	return am_buf_steal(&out, NULL);
}

/* Numbers that nobody changed are carried as text. */
START_TEST(numbers_go_through_unharmed)
{
	static const char *const numbers[] = { "0.7", "0.1", "1.0", "1e21", "9007199254740993", "18446744073709551615", "-0", "1E-7" };
	for (size_t i = 0; i < AM_COUNTOF(numbers); i++) {
		char *back = round_trip(numbers[i]);
		ck_assert_str_eq(back, numbers[i]);
		free(back);
	}
	for (int i = 0; i < 2000; i++) {
		uint64_t bits = am_random_u64();
		double d, back;
		memcpy(&d, &bits, sizeof(d));
		if (d != d || d - d != 0)
			continue;
		struct am_buf out = { 0 };
		am_json_add_double(&out, d);
		ck_assert(valid(am_buf_str(&out)));
		back = strtod(am_buf_str(&out), NULL);
		ck_assert_msg(memcmp(&back, &d, sizeof(d)) == 0 || back == d, "%s", am_buf_str(&out));
		am_buf_fini(&out);
	}
}
END_TEST

struct patch_case {
	const char *from, *patch, *to;
};

static void
run_patches(const struct patch_case *cases, size_t n, bool json)
{
	for (size_t i = 0; i < n; i++) {
		struct am_arena *arena = am_arena_new();
		struct am_node *t = am_node_parse(arena, cases[i].from, strlen(cases[i].from), NULL);
		struct am_node *p = am_node_parse(arena, cases[i].patch, strlen(cases[i].patch), NULL);
		struct am_node *r = json ? am_patch_json(arena, t, p, NULL) : am_patch_merge(arena, t, p);
		if (cases[i].to == NULL) {
			ck_assert_msg(r == NULL, "%s", cases[i].patch);
		} else {
			ck_assert_msg(r != NULL, "%s", cases[i].patch);
			struct am_buf out = { 0 };
			am_node_print(r, &out);
			ck_assert_str_eq(am_buf_str(&out), cases[i].to);
			am_buf_fini(&out);
		}
		am_arena_free(arena);
	}
}

/* The examples of RFC 7386, appendix A. */
START_TEST(merge_patch)
{
	static const struct patch_case cases[] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};
	run_patches(cases, AM_COUNTOF(cases), false);
}
END_TEST

START_TEST(json_patch)
{
	static const struct patch_case cases[] = {
		{ "{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":[1,3]}", "[{\"op\":\"add\",\"path\":\"/a/1\",\"value\":2}]", "{\"a\":[1,2,3]}" },
		{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":2}]", "{\"a\":[1,2]}" },
		{ "{\"a\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/a/2\"},{\"op\":\"add\",\"path\":\"/a/-\",\"value\":9}]", "{\"a\":[1,2,9]}" },
		{ "{\"a\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/a/1\",\"value\":{\"x\":1}},{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3}]", "{\"a\":[1,{\"x\":1},3]}" },
		{ "{\"a\":1,\"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/c\"}]", "{\"b\":2,\"c\":1}" },
		{ "{\"a\":{\"x\":1}}", "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"a\":{\"x\":1},\"b\":{\"x\":1}}" },
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":1.0}]", "{\"a\":1}" },
		{ "{\"a\":1}", "[{\"op\":\"test\",\"path\":\"/a\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/b\"}]", NULL },
		{ "{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/c\"}]", NULL },
		{ "{\"a\":[1]}", "[{\"op\":\"add\",\"path\":\"/a/5\",\"value\":2}]", NULL },
		{ "{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":[]}]", "[]" },
	};
	run_patches(cases, AM_COUNTOF(cases), true);
}
END_TEST

/* diff(a, b) applied to a gives b, for random trees without null members. */
static struct am_node *
random_tree(struct am_arena *arena, int depth)
{
	switch (am_random_u64() % (depth > 3 ? 3 : 5)) {
	case 0:
		return am_node_int(arena, (int64_t)(am_random_u64() % 4));
	case 1:
		return am_node_bool(arena, am_random_u64() & 1);
	case 2:
		return am_node_str(arena, am_random_u64() & 1 ? "x" : "y");
	default:;
		struct am_node *o = am_node_object(arena);
		for (uint64_t i = am_random_u64() % 4; i > 0; i--)
			am_node_set(arena, o, (const char *[]){ "a", "b", "c", "d" }[am_random_u64() % 4], random_tree(arena, depth + 1));
		return o;
	}
}

START_TEST(diff_then_merge_is_identity)
{
	for (int i = 0; i < 3000; i++) {
		struct am_arena *arena = am_arena_new();
		struct am_node *a = am_node_object(arena), *b = am_node_object(arena);
		am_node_set(arena, a, "r", random_tree(arena, 0));
		am_node_set(arena, b, "r", random_tree(arena, 0));
		struct am_node *patch = am_patch_diff(arena, a, b);
		struct am_node *r = patch != NULL ? am_patch_merge(arena, am_node_clone(arena, a), patch) : a;
		ck_assert(am_node_equal(r, b));
		am_arena_free(arena);
	}
}
END_TEST

START_TEST(equal_whatever_the_order)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{ "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3,\"a\":1,\"b\":2}", true },
		{ "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"c\":2,\"b\":3}", false },
		{ "{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}", false },
		{ "{\"a\":1,\"ab\":2,\"\":3}", "{\"\":3,\"ab\":2,\"a\":1.0}", true },
		{ "{\"a\\u0000b\":1,\"a\":2}", "{\"a\":2,\"a\\u0000b\":1}", true },
		{ "{\"a\\u0000b\":1,\"a\":2}", "{\"a\":2,\"a\\u0000c\":1}", false },
		{ "{\"a\":{\"x\":[1,{\"p\":1,\"q\":2}],\"y\":null}}", "{\"a\":{\"y\":null,\"x\":[1,{\"q\":2,\"p\":1}]}}", true },
		{ "[1,2]", "[2,1]", false },
		{ "{}", "{}", true },
		{ "{\"a\":1}", "{\"a\":1,\"b\":1}", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct am_arena *arena = am_arena_new();
		const struct am_node *a = am_node_parse(arena, rows[i].a, strlen(rows[i].a), NULL);
		const struct am_node *b = am_node_parse(arena, rows[i].b, strlen(rows[i].b), NULL);
		ck_assert_msg(am_node_equal(a, b) == rows[i].equal, "%s %s", rows[i].a, rows[i].b);
		ck_assert_msg(am_node_equal(b, a) == rows[i].equal, "%s %s", rows[i].b, rows[i].a);
		am_arena_free(arena);
	}
}
END_TEST

START_TEST(set_at_makes_parents)
{
	struct am_arena *arena = am_arena_new();
	struct am_node *o = am_node_object(arena);
	struct am_buf out = { 0 };
	ck_assert_int_eq(am_node_set_at(arena, o, "/a/b", am_node_int(arena, 1), NULL), 0);
	ck_assert_int_eq(am_node_set_at(arena, o, "/l/-", am_node_str(arena, "x"), NULL), 0);
	ck_assert_int_eq(am_node_set_at(arena, o, "/l/-/k", am_node_str(arena, "y"), NULL), 0);
	ck_assert_int_eq(am_node_set_at(arena, o, "/l/0", am_node_bool(arena, true), NULL), 0);
	ck_assert_int_lt(am_node_set_at(arena, o, "/a/b/c", am_node_int(arena, 1), NULL), 0);
	am_node_print(o, &out);
	ck_assert_str_eq(am_buf_str(&out), "{\"a\":{\"b\":1},\"l\":[true,{\"k\":\"y\"}]}");
	am_buf_fini(&out);
	am_arena_free(arena);
}
END_TEST

static int
collect(void *arg, const char *p, size_t n, struct ambient_error *err am_unused_)
{
	am_buf_addf(arg, "<%.*s>", (int)n, p);
	return 0;
}

/* Cut at every byte, the same values come out. */
START_TEST(framing_at_every_byte)
{
	static const char list[] = "{\"kind\":\"L\",\"items\":[ {\"a\":\"x,]}\\\"\"}, {\"b\":[1,{\"items\":[2]}]} ,3],\"metadata\":{\"items\":[9],\"r\":\"7\"}}";
	for (size_t cut = 0; cut < sizeof(list); cut++) {
		struct am_buf got = { 0 };
		struct am_slice rest;
		struct am_framer *f = am_framer_new(AM_FRAME_ITEMS, 1000, collect, &got);
		ck_assert_int_eq(am_framer_feed(f, list, cut, NULL), 0);
		ck_assert_int_eq(am_framer_feed(f, list + cut, sizeof(list) - 1 - AM_MIN(cut, sizeof(list) - 1), NULL), 0);
		ck_assert_int_eq(am_framer_end(f, &rest, NULL), 0);
		ck_assert_str_eq(am_buf_str(&got), "<{\"a\":\"x,]}\\\"\"}><{\"b\":[1,{\"items\":[2]}]}><3>");
		ck_assert(am_json_find(rest, "/metadata/r", NULL) && am_json_find(rest, "/metadata/items/0", NULL));
		am_framer_free(f);
		am_buf_fini(&got);
	}
}
END_TEST

/* The same with strings that are longer than a step of the reader, which is eight bytes, and cut three times. */
START_TEST(framing_of_long_strings)
{
	static const char items[] = "{\"a\":\"0123456789,]}\\\\\",\"\\\"}\":{\"k\":[\"abcdefgh\\\"ijk\\nmnop\\u00e9\xc3\xa9]\",{}]}},[\"01234567\"],\"7654321]0\\n\"";
	static const char want[] = "<{\"a\":\"0123456789,]}\\\\\",\"\\\"}\":{\"k\":[\"abcdefgh\\\"ijk\\nmnop\\u00e9\xc3\xa9]\",{}]}}><[\"01234567\"]><\"7654321]0\\n\">";
	char list[400];
	size_t n = (size_t)snprintf(list, sizeof(list), "{\"kind\":\"L\",\"items\":[%s],\"metadata\":{\"r\":\"12345678\"}}", items);

	for (size_t first = 0; first < n; first++) {
		for (size_t second = first; second < n; second++) {
			struct am_buf got = { 0 };
			struct am_framer *f = am_framer_new(AM_FRAME_ITEMS, 1000, collect, &got);

			ck_assert_int_eq(am_framer_feed(f, list, first, NULL), 0);
			ck_assert_int_eq(am_framer_feed(f, list + first, second - first, NULL), 0);
			ck_assert_int_eq(am_framer_feed(f, list + second, n - second, NULL), 0);
			ck_assert_int_eq(am_framer_end(f, NULL, NULL), 0);
			ck_assert_str_eq(am_buf_str(&got), want);
			am_framer_free(f);
			am_buf_fini(&got);
		}
	}
}
END_TEST

START_TEST(framing_ends_where_nesting_is_too_deep)
{
	struct am_buf got = { 0 }, text = { 0 };
	struct ambient_error err = AMBIENT_ERROR_INIT;

	for (int depth = 4 * AM_JSON_DEPTH - 2; depth <= 4 * AM_JSON_DEPTH - 1; depth++) {
		struct am_framer *f = am_framer_new(AM_FRAME_ITEMS, 100000, collect, &got);

		am_buf_reset(&text);
		am_buf_adds(&text, "{\"items\":[");
		for (int i = 0; i < depth; i++)
			am_buf_addc(&text, '[');
		int rc = am_framer_feed(f, text.data, text.len, &err);
		ck_assert_msg(depth + 2 <= 4 * AM_JSON_DEPTH ? rc == 0 : rc == -AMBIENT_E_INVALID, "%d: %d", depth, rc);
		am_framer_free(f);
	}
	ck_assert_str_eq(err.message, "the list is nested too deeply");
	am_buf_fini(&got);
	am_buf_fini(&text);
}
END_TEST

START_TEST(framing_skips_what_is_too_large)
{
	struct am_buf got = { 0 };
	struct am_framer *f = am_framer_new(AM_FRAME_LINES, 4, collect, &got);
	ck_assert_int_eq(am_framer_feed(f, "ab\nabcdef\ncd\n", 13, NULL), 0);
	ck_assert_str_eq(am_buf_str(&got), "<ab><cd>");
	ck_assert_uint_eq(am_framer_skipped(f), 1);
	ck_assert_int_eq(am_framer_feed(f, "x", 1, NULL), 0);
	ck_assert_int_lt(am_framer_end(f, NULL, NULL), 0);
	am_framer_free(f);
	am_buf_fini(&got);
}
END_TEST

START_TEST(yaml_to_json)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "a: 1\nb: [x, yes, 0.7, '1', ~]\n", "<{\"a\":1,\"b\":[\"x\",\"yes\",0.7,\"1\",null]}>" },
		{ "---\na: b\n---\nc: d\n", "<{\"a\":\"b\"}><{\"c\":\"d\"}>" },
		{ "a: &x {k: v}\nb: *x\n", "<{\"a\":{\"k\":\"v\"},\"b\":{\"k\":\"v\"}}>" },
		{ "t: |\n  one\n  two\n", "<{\"t\":\"one\\ntwo\\n\"}>" },
		{ "n: 0777\nm: 1_000\no: 0x1f\n", "<{\"n\":\"0777\",\"m\":\"1_000\",\"o\":\"0x1f\"}>" },
	};
	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		struct am_buf got = { 0 };
		ck_assert_int_eq(am_yaml_to_json(cases[i].yaml, strlen(cases[i].yaml), collect, &got, NULL), 0);
		ck_assert_str_eq(am_buf_str(&got), cases[i].json);
		am_buf_fini(&got);
	}
	static const char *const bad[] = { "a: 1\na: 2\n", "a: *b\n", "a: &x [*x]\n", "{[}", "a: [1\n", "? [a]\n: b\n" };
	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		struct am_buf got = { 0 };
		ck_assert_msg(am_yaml_to_json(bad[i], strlen(bad[i]), collect, &got, NULL) < 0, "%s", bad[i]);
		am_buf_fini(&got);
	}
	char bomb[2000] = "a: &a0 xxxxxxxx\n";
	for (int i = 1; i < 30; i++)
		(void)snprintf(bomb + strlen(bomb), sizeof(bomb) - strlen(bomb), "b%d: &a%d [*a%d,*a%d]\n", i, i, i - 1, i - 1);
	struct am_buf got = { 0 };
	ck_assert_int_lt(am_yaml_to_json(bomb, strlen(bomb), collect, &got, NULL), 0);
	am_buf_fini(&got);
}
END_TEST

START_TEST(yaml_there_and_back)
{
	static const char json[] = "{\"a\":{\"b\":[1,{\"c\":\"yes\",\"d\":[]},[\"x: y\"]],\"e\":{}},\"f\":\"multi\\nline\",\"g\":0.7}";
	struct am_arena *arena = am_arena_new();
	struct am_buf yaml = { 0 }, got = { 0 };
	am_yaml_from_node(am_node_parse(arena, json, strlen(json), NULL), &yaml);
	ck_assert_int_eq(am_yaml_to_json(am_buf_str(&yaml), yaml.len, collect, &got, NULL), 0);
	char expected[sizeof(json) + 2];
	(void)snprintf(expected, sizeof(expected), "<%s>", json);
	ck_assert_str_eq(am_buf_str(&got), expected);
	am_buf_fini(&yaml);
	am_buf_fini(&got);
	am_arena_free(arena);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, check_accepts_and_refuses);
	tcase_add_test(tc, check_of_strings_at_every_place);
	tcase_add_test(tc, find_by_pointer);
	tcase_add_test(tc, numbers_go_through_unharmed);
	tcase_add_test(tc, merge_patch);
	tcase_add_test(tc, json_patch);
	tcase_add_test(tc, diff_then_merge_is_identity);
	tcase_add_test(tc, equal_whatever_the_order);
	tcase_add_test(tc, set_at_makes_parents);
	tcase_add_test(tc, framing_at_every_byte);
	tcase_add_test(tc, framing_of_long_strings);
	tcase_add_test(tc, framing_ends_where_nesting_is_too_deep);
	tcase_add_test(tc, framing_skips_what_is_too_large);
	tcase_add_test(tc, yaml_to_json);
	tcase_add_test(tc, yaml_there_and_back);
}

UNIT_MAIN("data", cases)
