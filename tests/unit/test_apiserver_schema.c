/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas by tables: what is valid, with which message not, what is pruned and what is filled in. */
#include "plugins/standalone/apiserver/engine.h"
#include "plugins/standalone/apiserver/schema.h"
#include "tests/lib/unit.h"

static struct am_arena *arena;
static struct am_schema_set *set;
static struct am_failure failure;

static void
setup(void)
{
	arena = am_arena_new();
	set = am_schema_set_new();
	failure = (struct am_failure){ 0 };
}

static void
done(void)
{
	am_failure_fini(&failure);
	am_schema_set_free(set);
	am_arena_free(arena);
}

static struct am_node *
node(const char *text)
{
	struct am_node *n = am_node_parse(arena, text, strlen(text), NULL);

	ck_assert_msg(n != NULL, "%s", text);
	return n;
}

/* The schema of field x in an object. */
static const struct am_schema *
schema_of_x(const char *x)
{
	char *text = am_arena_printf(arena, "{\"type\":\"object\",\"properties\":{\"x\":%s}}", x);

	am_failure_fini(&failure);
	return am_schema_compile(arena, set, node(text), "s", NULL, &failure);
}

/* A rule that is too dear, or too new, stays with a schema that did not change; what all rules cost together is judged always. */
START_TEST(rules_that_were_taken_are_not_judged_alone)
{
#define DEAR "{\"type\":\"array\",\"maxItems\":%d,\"items\":{\"type\":\"integer\"},\"x-kubernetes-validations\":[{\"rule\":" \
	"\"self.all(a, self.all(b, a == b)) && self.sort() == self\"}]}"
	static const struct { int max; bool unchanged, known, ok; const char *cause; } rows[] = {
		{ 1000, false, true, true, NULL },
		{ 1000, false, false, false, "undeclared reference to 'sort'" },
		{ 2000, false, true, false, "estimated rule cost exceeds budget by factor of" },
		{ 2000, true, true, true, NULL },
		{ 9000, true, true, false, "estimated rule cost total for entire OpenAPIv3 schema exceeds budget" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const char *x = am_arena_printf(arena, DEAR, rows[i].max);
		const struct am_node *openapi = node(am_arena_printf(arena, "{\"type\":\"object\",\"properties\":{\"x\":%s}}", x));
		const struct am_schema_past past = { .unchanged = rows[i].unchanged, .versions = rows[i].known ?
			node(am_arena_printf(arena, "[{\"schema\":{\"openAPIV3Schema\":%s}}]", x)) : NULL };

		am_failure_fini(&failure);
		const struct am_schema *s = am_schema_compile(arena, set, openapi, "s", &past, &failure);
		ck_assert_msg((s != NULL) == rows[i].ok, "row %zu", i);
		if (rows[i].cause != NULL)
			ck_assert_msg(strstr(failure.causes[failure.n_causes - 1].message, rows[i].cause) != NULL, "%s",
				      failure.causes[failure.n_causes - 1].message);
		am_failure_fini(&failure);
		ck_assert_msg(am_schema_compile_stored(arena, set, openapi, &failure) != NULL, "row %zu", i);
	}
}
END_TEST

START_TEST(values_and_messages)
{
	static const struct { const char *schema, *value, *want; } rows[] = {
		{ "{\"type\":\"string\"}", "\"a\"", NULL },
		{ "{\"type\":\"string\"}", "1", "x: Invalid value: \"integer\": x in body must be of type string: \"integer\"" },
		{ "{\"type\":\"string\"}", "null", "x: Invalid value: \"null\": x in body must be of type string: \"null\"" },
		{ "{\"type\":\"string\",\"nullable\":true}", "null", NULL },
		{ "{\"type\":\"integer\"}", "1.0", NULL },
		{ "{\"type\":\"integer\"}", "1.5", "x: Invalid value: \"number\": x in body must be of type integer: \"number\"" },
		{ "{\"type\":\"integer\",\"format\":\"int32\"}", "2147483648",
		  "x: Invalid value: \"2147483648\": x in body must be of type int32: \"2147483648\"" },
		{ "{\"type\":\"integer\",\"format\":\"int64\"}", "9223372036854775807", NULL },
		{ "{\"type\":\"number\"}", "0.7", NULL },
		{ "{\"type\":\"boolean\"}", "\"true\"",
		  "x: Invalid value: \"string\": x in body must be of type boolean: \"string\"" },
		{ "{\"type\":\"integer\",\"minimum\":2}", "1",
		  "x: Invalid value: 1: x in body should be greater than or equal to 2" },
		{ "{\"type\":\"integer\",\"minimum\":2,\"exclusiveMinimum\":true}", "2",
		  "x: Invalid value: 2: x in body should be greater than 2" },
		{ "{\"type\":\"integer\",\"maximum\":2,\"exclusiveMaximum\":true}", "2",
		  "x: Invalid value: 2: x in body should be less than 2" },
		{ "{\"type\":\"integer\",\"multipleOf\":5}", "7", "x: Invalid value: 7: x in body should be a multiple of 5" },
		{ "{\"type\":\"integer\",\"multipleOf\":5}", "10", NULL },
		{ "{\"type\":\"string\",\"minLength\":2}", "\"a\"",
		  "x: Invalid value: \"a\": x in body should be at least 2 chars long" },
		{ "{\"type\":\"string\",\"maxLength\":1}", "\"\xc3\xa9\"", NULL },
		{ "{\"type\":\"string\",\"maxLength\":1}", "\"ab\"", "x: Too long: may not be more than 1 bytes" },
		{ "{\"type\":\"string\",\"pattern\":\"^a+$\"}", "\"aab\"",
		  "x: Invalid value: \"aab\": x in body should match '^a+$'" },
		{ "{\"type\":\"string\",\"pattern\":\"b\"}", "\"aba\"", NULL },
		{ "{\"type\":\"string\",\"pattern\":\"^a$\"}", "\"a\\n\"",
		  "x: Invalid value: \"a\\n\": x in body should match '^a$'" },
		{ "{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}", "\"c\"",
		  "x: Unsupported value: \"c\": supported values: \"a\", \"b\"" },
		{ "{\"type\":\"string\",\"format\":\"date-time\"}", "\"2026-01-01T00:00:00Z\"", NULL },
		{ "{\"type\":\"string\",\"format\":\"date-time\"}", "\"now\"",
		  "x: Invalid value: \"now\": x in body must be of type date-time: \"now\"" },
		{ "{\"type\":\"string\",\"format\":\"ipv4\"}", "\"1.2.3\"",
		  "x: Invalid value: \"1.2.3\": x in body must be of type ipv4: \"1.2.3\"" },
		{ "{\"type\":\"string\",\"format\":\"unheard-of\"}", "\"x\"", NULL },
		{ "{\"type\":\"string\",\"format\":\"duration\"}", "\"1h30m\"", NULL },
		{ "{\"type\":\"string\",\"format\":\"uri\"}", "\"https://example.com/a?b#c\"", NULL },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":1}", "[\"a\",\"b\"]",
		  "x: Too many: 2: must have at most 1 items" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}", "[]",
		  "x: Invalid value: 0: x in body should have at least 1 items" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "[\"a\",1]",
		  "x[1]: Invalid value: \"integer\": x[1] in body must be of type string: \"integer\"" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"url\"],\"properties\":{\"url\":{\"type\":\"string\"}}}}",
		  "[{}]", "x[0].url: Required value" },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{\"k\":\"v\"}",
		  "x.k: Invalid value: \"string\": x.k in body must be of type integer: \"string\"" },
		{ "{\"type\":\"object\",\"maxProperties\":1,\"additionalProperties\":{\"type\":\"integer\"}}", "{\"k\":1,\"l\":2}",
		  "x: Too many: 2: must have at most 1 items" },
		{ "{\"x-kubernetes-int-or-string\":true}", "5", NULL },
		{ "{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}", "\"5%\"", NULL },
		{ "{\"x-kubernetes-int-or-string\":true}", "[]",
		  "x: Invalid value: \"array\": x in body must be of type integer,string: \"array\"" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},"
		  "\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{\"a\":\"1\"}", NULL },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{\"type\":\"string\"}},"
		  "\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}", "{\"a\":\"1\",\"b\":\"2\"}",
		  "x: Invalid value: \"\": \"x\" must validate one and only one schema (oneOf). Found more than one valid" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":["
		  "\"b\"]}]}", "{}", "x: Invalid value: \"\": \"x\" must validate at least one schema (anyOf)" },
		{ "{\"type\":\"string\",\"not\":{\"enum\":[\"bad\"]}}", "\"bad\"",
		  "x: Invalid value: \"\": \"x\" must not validate the schema (not)" },
		{ "{\"type\":\"integer\",\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4",
		  "x: Invalid value: 4: x in body should be less than or equal to 3" },
		{ "{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,\"x-kubernetes-preserve-unknown-fields\":true}",
		  "{\"kind\":\"K\"}", "x.apiVersion: Required value: must not be empty" },
		{ "{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,\"x-kubernetes-preserve-unknown-fields\":true}",
		  "{\"kind\":\"K\",\"apiVersion\":\"v1\",\"metadata\":{\"generateName\":\"a/\"}}",
		  "x.metadata.generateName: Invalid value: \"a/\": may not contain '/' or '%'" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const struct am_schema *s = schema_of_x(rows[i].schema);
		ck_assert_msg(s != NULL, "%s: %s", rows[i].schema, failure.n_causes > 0 ? failure.causes[0].message : "");
		char *text = am_arena_printf(arena, "{\"x\":%s}", rows[i].value), got[1024] = "";
		am_schema_validate(s, node(text), NULL, &failure);
		if (failure.n_causes > 0)
			snprintf(got, sizeof(got), "%s: %s", failure.causes[0].field, failure.causes[0].message);
		ck_assert_str_eq(got, rows[i].want != NULL ? rows[i].want : "");
	}
}
END_TEST

START_TEST(what_is_not_structural_is_refused)
{
	static const struct { const char *schema, *field; } rows[] = {
		{ "{}", "s.properties[x].type" },
		{ "{\"type\":\"strin\"}", "s.properties[x].type" },
		{ "{\"type\":\"array\"}", "s.properties[x].items" },
		{ "{\"type\":\"array\",\"items\":[]}", "s.properties[x].items" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"additionalProperties\":{\"type\":\"string\"}}",
		  "s.properties[x].additionalProperties" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"uniqueItems\":true}", "s.properties[x].uniqueItems" },
		{ "{\"type\":\"string\",\"$ref\":\"#/a\"}", "s.properties[x].$ref" },
		{ "{\"type\":\"string\",\"patternProperties\":{}}", "s.properties[x].patternProperties" },
		{ "{\"type\":\"string\",\"anyOf\":[{\"type\":\"string\"}]}", "s.properties[x].anyOf[0].type" },
		{ "{\"type\":\"string\",\"anyOf\":[{\"default\":\"a\"}]}", "s.properties[x].anyOf[0].default" },
		{ "{\"type\":\"string\",\"pattern\":\"(\"}", "s.properties[x].pattern" },
		{ "{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", "s.properties[x].pattern" },
		{ "{\"type\":\"integer\",\"default\":\"a\"}", "s.properties[x].default" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"object\"},\"x-kubernetes-list-type\":\"map\"}",
		  "s.properties[x].x-kubernetes-list-map-keys" },
#define LIST(type, items) "{\"type\":\"array\",\"x-kubernetes-list-type\":\"" type "\",\"items\":" items "}"
#define MAP(keys, items) "{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":" keys ",\"items\":" items "}"
#define ITEM(a) "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":" a "}}"
		{ "{\"type\":\"string\",\"allOf\":[{\"anyOf\":[{\"not\":{\"type\":\"string\"}}]}]}",
		  "s.properties[x].allOf[0].anyOf[0].not.type" },
		{ "{\"type\":\"object\",\"anyOf\":[{\"properties\":{\"a\":{\"type\":\"string\"}}}]}",
		  "s.properties[x].anyOf[0].properties[a].type" },
		{ "{\"x-kubernetes-int-or-string\":true,\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}",
		  "s.properties[x].anyOf[0].type" },
		{ "{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":false}",
		  "s.properties[x].x-kubernetes-preserve-unknown-fields" },
		{ "{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true}", "s.properties[x].properties" },
		{ "{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,\"properties\":{\"kind\":{\"type\":\"integer\"}}}",
		  "s.properties[x].properties[kind].type" },
		{ "{\"type\":\"string\",\"x-kubernetes-list-type\":\"set\"}", "s.properties[x].type" },
		{ "{\"type\":\"string\",\"x-kubernetes-map-type\":\"atomic\"}", "s.properties[x].type" },
		{ LIST("set", "{\"type\":\"object\"}"), "s.properties[x].items.x-kubernetes-map-type" },
		{ LIST("set", "{\"type\":\"string\",\"nullable\":true}"), "s.properties[x].items.nullable" },
		{ LIST("atomic\",\"x-kubernetes-list-map-keys\":[\"a\"],\"title\":\"", "{\"type\":\"string\"}"),
		  "s.properties[x].x-kubernetes-list-type" },
		{ MAP("[\"a\"]", "{\"type\":\"string\"}"), "s.properties[x].items.type" },
		{ MAP("[\"a\"]", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}"),
		  "s.properties[x].items.properties[a].default" },
		{ MAP("[\"a\",\"a\"]", ITEM("{\"type\":\"string\"}")), "s.properties[x].x-kubernetes-list-map-keys" },
		{ MAP("[\"b\"]", ITEM("{\"type\":\"string\"}")), "s.properties[x].x-kubernetes-list-map-keys" },
		{ MAP("[\"a\"]", ITEM("{\"type\":\"string\",\"nullable\":true}")), "s.properties[x].items.properties[a].nullable" },
		{ MAP("[\"a\"]", ITEM("{\"type\":\"object\"}")), "s.properties[x].items.properties[a].type" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"default\":{\"b\":1}}", "s.properties[x].default" },
		{ "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\"}},\"default\":{}}",
		  "s.properties[x].default.a" },
		{ "{\"type\":\"object\",\"x-kubernetes-validations\":[{\"rule\":\"a\"}]}",
		  "s.properties[x].x-kubernetes-validations[0].rule" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_msg(schema_of_x(rows[i].schema) == NULL, "%s", rows[i].schema);
		ck_assert_str_eq(failure.causes[0].field, rows[i].field);
	}
}
END_TEST

START_TEST(roots)
{
	static const struct { const char *schema, *field; } rows[] = {
		{ "{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}}}}}",
		  NULL },
		{ "{\"x-kubernetes-preserve-unknown-fields\":true}", "s.type" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", "s.type" },
		{ "{\"type\":\"object\",\"nullable\":true}", "s.nullable" },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}", "s.additionalProperties" },
		{ "{\"type\":\"object\",\"default\":{\"kind\":\"A\"}}", "s.default.apiVersion" },
		{ "{\"type\":\"object\",\"properties\":{\"kind\":{\"type\":\"integer\"}}}", "s.properties[kind].type" },
		{ "{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"string\"}}}", "s.properties[metadata].type" },
		{ "{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"object\",\"properties\":{\"labels\":{\"type\":\"object\"}}}}}",
		  "s.properties[metadata]" },
		{ "{\"type\":\"object\",\"properties\":{\"metadata\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
		  "\"default\":\"a\"}}}}}", "s.properties[metadata].properties[name].default" },
		{ "{\"type\":\"object\",\"anyOf\":[{\"properties\":{\"metadata\":{\"required\":[\"name\"]}}}]}",
		  "s.anyOf[0].properties[metadata]" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		am_failure_fini(&failure);
		const struct am_schema *s = am_schema_compile(arena, set, node(rows[i].schema), "s", NULL, &failure);
		ck_assert_msg((s != NULL) == (rows[i].field == NULL), "%s", rows[i].schema);
		if (s == NULL)
			ck_assert_str_eq(failure.causes[0].field, rows[i].field);
	}
}
END_TEST

static void
note(void *arg, const char *path)
{
	am_buf_addf(arg, "%s ", path);
}

START_TEST(pruning_and_defaulting)
{
	static const struct { const char *schema, *value, *want, *unknown; } rows[] = {
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"1\",\"b\":2}", "{\"a\":\"1\"}", "x.b " },
		{ "{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true,\"properties\":{\"a\":{\"type\":\"object\"}}}",
		  "{\"a\":{\"c\":1},\"b\":2}", "{\"a\":{},\"b\":2}", "x.a.c " },
		{ "{\"type\":\"object\",\"x-kubernetes-embedded-resource\":true,\"properties\":{\"spec\":{\"type\":\"object\"}}}",
		  "{\"kind\":\"K\",\"metadata\":{\"name\":\"n\",\"q\":1},\"spec\":{\"r\":1}}",
		  "{\"kind\":\"K\",\"metadata\":{\"name\":\"n\"},\"spec\":{}}", "x.metadata.q x.spec.r " },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}", "[{},{\"z\":1}]", "[{},{}]", "x[1].z " },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"object\"}}", "{\"k\":{\"z\":1}}", "{\"k\":{}}", "x.k.z " },
		{ "{\"type\":\"object\",\"additionalProperties\":true}", "{\"k\":{\"z\":1}}", "{\"k\":{\"z\":1}}", "" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":3}}}", "{}", "{\"a\":3}", "" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":3}}}", "{\"a\":null}", "{\"a\":3}", "" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"nullable\":true,\"default\":3}}}", "{\"a\":null}",
		  "{\"a\":null}", "" },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\",\"nullable\":true}}}",
		  "{\"a\":null,\"b\":null}", "{\"b\":null}", "" },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}", "{\"a\":null,\"b\":1,\"c\":null}", "{\"b\":1}", "" },
		{ "{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}", "{\"a\":null}", "{\"a\":null}", "" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", "[null]", "[null]", "" },
		{ "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"default\":"
		  "3}}}}}", "{}", "{}", "" },
		{ "{\"type\":\"object\",\"properties\":{\"o\":{\"type\":\"object\",\"default\":{},\"properties\":{\"a\":{\"type\":\"integer\","
		  "\"default\":3}}}}}", "{}", "{\"o\":{\"a\":3}}", "" },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\",\"default\":\"main\"}}}}",
		  "[{}]", "[{\"b\":\"main\"}]", "" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const struct am_schema *s = schema_of_x(rows[i].schema);
		ck_assert_msg(s != NULL, "%s", rows[i].schema);
		struct am_node *value = node(am_arena_printf(arena, "{\"kind\":\"K\",\"metadata\":{\"q\":1},\"x\":%s}", rows[i].value));
		struct am_buf unknown = { 0 }, text = { 0 };
		am_schema_prune(s, value, note, &unknown);
		am_schema_default(arena, s, value);
		am_node_print(am_node_get(value, "x"), &text);
		ck_assert_str_eq(am_buf_str(&text), rows[i].want);
		ck_assert_str_eq(am_buf_str(&unknown), rows[i].unknown);
		ck_assert(am_node_at(value, "/metadata/q") != NULL);
		am_buf_fini(&unknown);
		am_buf_fini(&text);
	}
}
END_TEST

START_TEST(unchanged_parts_are_not_judged_again)
{
	const struct am_schema *s = schema_of_x("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":5},"
						"\"b\":{\"type\":\"integer\",\"maximum\":5}}}");

	am_schema_validate(s, node("{\"x\":{\"a\":9,\"b\":1}}"), node("{\"x\":{\"a\":9,\"b\":2}}"), &failure);
	ck_assert_uint_eq(failure.n_causes, 0);
	am_schema_validate(s, node("{\"x\":{\"a\":8,\"b\":1}}"), node("{\"x\":{\"a\":9,\"b\":1}}"), &failure);
	ck_assert_uint_eq(failure.n_causes, 1);
}
END_TEST

/* What is judged again after a change of x. */
START_TEST(elements_are_correlated_by_their_keys)
{
#define LONG "{\"name\":\"p\",\"v\":\"long\"}"
#define OK_  "{\"name\":\"q\",\"v\":\"ok\"}"
	static const char keyed[] = "{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"name\"],"
		"\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},\"v\":{"
		"\"type\":\"string\",\"maxLength\":2}}}}";
	static const char plain[] = "{\"type\":\"array\",\"x-kubernetes-list-type\":\"set\",\"items\":{\"type\":\"string\",\"maxLength\":2}}";
	static const struct { const char *schema, *old, *now, *fields; } rows[] = {
		{ keyed, "[" LONG "," OK_ "]", "[" OK_ "," LONG "]", "" },
		{ keyed, "[" LONG "," OK_ "]", "[{\"name\":\"r\",\"v\":\"ok\"}," LONG "]", "" },
		{ keyed, "[" LONG "," OK_ "]", "[{\"name\":\"r\",\"v\":\"long\"}," LONG "]", "x[0].v " },
		{ keyed, "[" LONG "]", "[{\"name\":\"p\",\"v\":\"longer\"}]", "x[0].v " },
		{ plain, "[\"long\",\"ok\"]", "[\"long\",\"ok\"]", "" },
		{ plain, "[\"long\",\"ok\"]", "[\"long\",\"no\"]", "x[0] " },
		{ plain, "null", "[\"long\"]", "x[0] " },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const struct am_schema *s = schema_of_x(rows[i].schema);
		struct am_buf fields = { 0 };
		ck_assert(s != NULL);
		am_schema_validate(s, node(am_arena_printf(arena, "{\"x\":%s}", rows[i].now)),
				   node(am_arena_printf(arena, "{\"x\":%s}", rows[i].old)), &failure);
		for (size_t k = 0; k < failure.n_causes; k++)
			am_buf_addf(&fields, "%s ", failure.causes[k].field);
		ck_assert_msg(strcmp(am_buf_str(&fields), rows[i].fields) == 0, "row %zu: %s", i, am_buf_str(&fields));
		am_buf_fini(&fields);
	}
}
END_TEST

/* An object of n strings x of len bytes and a last one, for a schema whose strings have the pattern. */
static int64_t
match_many(const char *pattern, size_t n, size_t len, char last)
{
	const struct am_schema *s = schema_of_x(am_arena_printf(arena, "{\"type\":\"array\",\"items\":{\"type\":\"string\","
								"\"pattern\":\"%s\"}}", pattern));
	am_auto(am_buf_fini) struct am_buf text = { 0 };
	struct timespec from, to;

	am_buf_adds(&text, "{\"x\":[");
	for (size_t i = 0; i < n; i++) {
		am_buf_adds(&text, i > 0 ? ",\"" : "\"");
		for (size_t k = 0; k < len; k++)
			am_buf_addc(&text, 'a');
		am_buf_addf(&text, "%c\"", last);
	}
	am_buf_adds(&text, "]}");
	const struct am_node *object = node(am_buf_str(&text));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	am_schema_validate(s, object, NULL, &failure);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
}

/* The bound is on an object, not on a string or on a place where a match may begin.  Seconds are generous: without the
 * bound each of these takes minutes. */
START_TEST(hostile_patterns_end)
{
	ck_assert_int_lt(match_many("^(a+)+$", 2000, 100, '!'), 20000);
	ck_assert_uint_gt(failure.n_causes, 0);
	ck_assert_ptr_nonnull(strstr(failure.causes[0].message, "takes too many steps to match '^(a+)+$'"));
	ck_assert_int_lt(match_many("a*[bc]", 1, 1000000, '!'), 20000);
	ck_assert_ptr_nonnull(strstr(failure.causes[failure.n_causes - 1].message, "takes too many steps"));
}
END_TEST

/* Names are found by an index: looking through all properties at each of these took a minute. */
START_TEST(many_rules_on_many_properties_end)
{
	struct am_buf text = { 0 };
	struct timespec from, to;

	am_buf_adds(&text, "{\"type\":\"object\",\"required\":[\"p0\"");
	for (int i = 1; i < 4000; i++)
		am_buf_addf(&text, ",\"p%d\"", i);
	am_buf_adds(&text, "],\"properties\":{\"p\":{\"type\":\"string\"}");
	for (int i = 0; i < 4000; i++)
		am_buf_addf(&text, ",\"p%d\":{\"type\":\"string\",\"maxLength\":1}", i);
	am_buf_adds(&text, "},\"x-kubernetes-validations\":[{\"rule\":\"true\"}");
	for (int i = 0; i < 300; i++) {
		am_buf_adds(&text, ",{\"rule\":\"true");
		for (int k = 0; k < 100; k++)
			am_buf_addf(&text, " || self.p%d == 'x'", 3999 - k);
		am_buf_adds(&text, "\"}");
	}
	am_buf_adds(&text, "]}");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	ck_assert_ptr_nonnull(schema_of_x(am_buf_str(&text)));
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	ck_assert_int_lt(to.tv_sec - from.tv_sec, 20);
	am_buf_fini(&text);
}
END_TEST

START_TEST(long_texts_and_many_match)
{
	(void)match_many("^(a|b|!)*$", 1, 20000, '!');
	(void)match_many("^[a-z]([-a-z0-9]*[a-z0-9])?$", 5000, 60, 'z');
	ck_assert_msg(failure.n_causes == 0, "%s", failure.n_causes > 0 ? failure.causes[0].message : "");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, setup, done);
	tcase_add_test(tc, rules_that_were_taken_are_not_judged_alone);
	tcase_add_test(tc, values_and_messages);
	tcase_add_test(tc, what_is_not_structural_is_refused);
	tcase_add_test(tc, roots);
	tcase_add_test(tc, pruning_and_defaulting);
	tcase_add_test(tc, unchanged_parts_are_not_judged_again);
	tcase_add_test(tc, elements_are_correlated_by_their_keys);
	tcase_add_test(tc, hostile_patterns_end);
	tcase_add_test(tc, many_rules_on_many_properties_end);
	tcase_add_test(tc, long_texts_and_many_match);
}

UNIT_MAIN("apiserver_schema", cases)
