/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions: who gets which names, what their status says, what of them is refused. */
#include "plugins/standalone/apiserver/jsonpath.h"
#include "tests/unit/apiserver.h"

#define CRD "apiextensions.k8s.io/v1/customresourcedefinitions"
#define SCHEMA "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{" \
	"\"x\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}},\"status\":{\"type\":\"object\",\"properties\":{\"s\":{\"type\":" \
	"\"string\"}}}}}}"

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

/* names: further members of spec.names, each with a comma before it. */
static int
define(const char *plural, const char *group, const char *annotations, const char *names)
{
	int code = create(&f, CRD, NULL, "{\"metadata\":{\"name\":\"%s.%s\",\"annotations\":{%s}},\"spec\":{\"group\":\"%s\",\"scope\":"
			  "\"Namespaced\",\"names\":{\"plural\":\"%s\"%s},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,"
			  SCHEMA "}]}}", plural, group, annotations, group, plural, names);

	am_engine_janitor_run(f.engine);
	return code;
}

/* "True NoConflicts no conflicts found"; "" when there is no such condition. */
static const char *
condition(const char *crd, const char *type)
{
	static char text[1024];
	struct am_object *object = am_engine_peek(f.engine, "apiextensions.k8s.io", "customresourcedefinitions", NULL, crd);
	struct am_slice list, e;

	text[0] = '\0';
	ck_assert_msg(object != NULL, "%s", crd);
	if (am_json_find(am_object_text(object), "/status/conditions", &list))
		for (size_t it = 0; am_json_element(list, &it, &e);) {
			char *its = am_json_dup(e, "/type"), *status = am_json_dup(e, "/status");
			char *reason = am_json_dup(e, "/reason"), *message = am_json_dup(e, "/message");
			if (strcmp(its, type) == 0)
				snprintf(text, sizeof(text), "%s %s %s", status, reason, message);
			free(its);
			free(status);
			free(reason);
			free(message);
		}
	am_object_unref(object);
	return text;
}

static const char *
status_of(const char *crd, const char *pointer)
{
	const char *ret = stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, crd, pointer);

	ck_assert_msg(ret != NULL, "%s", crd);
	return ret;
}

static bool
is_served(const char *kind)
{
	const struct am_resource *res = resource(&f, kind);

	am_resource_unref(res);
	return res != NULL;
}

static void
drop(const char *crd)
{
	ck_assert_int_eq(delete(&f, CRD, NULL, crd, (struct am_delete_options){ 0 }), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(stored(&f, "apiextensions.k8s.io", "customresourcedefinitions", NULL, crd, "") == NULL);
}

START_TEST(names_are_first_come_first_served)
{
	static const struct { const char *plural, *names, *want; } rows[] = {
		{ "kinds", ",\"kind\":\"First\",\"singular\":\"a\",\"listKind\":\"AList\"", "KindConflict \"First\"" },
		{ "listkinds", ",\"kind\":\"B\",\"singular\":\"b\",\"listKind\":\"FirstList\"", "ListKindConflict \"FirstList\"" },
		{ "kindislists", ",\"kind\":\"FirstList\",\"singular\":\"bb\",\"listKind\":\"BbList\"", "KindConflict \"FirstList\"" },
		{ "singulars", ",\"kind\":\"C\",\"singular\":\"first\"", "SingularConflict \"first\"" },
		{ "singularisplurals", ",\"kind\":\"Cc\",\"singular\":\"firsts\"", "SingularConflict \"firsts\"" },
		{ "singularisshorts", ",\"kind\":\"Ccc\",\"singular\":\"fi\"", "SingularConflict \"fi\"" },
		{ "shorts", ",\"kind\":\"D\",\"shortNames\":[\"fi\",\"own\"]", "ShortNamesConflict \"fi\"" },
		{ "shortissingulars", ",\"kind\":\"E\",\"shortNames\":[\"first\"]", "ShortNamesConflict \"first\"" },
		{ "firsts2", ",\"kind\":\"First\",\"singular\":\"first\",\"listKind\":\"FirstList\"", "ListKindConflict \"FirstList\"" },
		{ "fi", ",\"kind\":\"G\",\"singular\":\"g\"", "PluralConflict \"fi\"" },
	};

	ck_assert_int_eq(define("firsts", "example.com", "", ",\"kind\":\"First\",\"shortNames\":[\"fi\",\"fst\"]"), 201);
	ck_assert_str_eq(condition("firsts.example.com", "NamesAccepted"), "True NoConflicts no conflicts found");
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		char name[64], want[128], kind[64];
		snprintf(name, sizeof(name), "%s.example.com", rows[i].plural);
		snprintf(kind, sizeof(kind), "example.com/v1/%s", rows[i].plural);
		snprintf(want, sizeof(want), "False %s is already in use", rows[i].want);
		ck_assert_int_eq(define(rows[i].plural, "example.com", "", rows[i].names), 201);
		ck_assert_str_eq(condition(name, "NamesAccepted"), want);
		ck_assert_str_eq(condition(name, "Established"), "False NotAccepted not all names are accepted");
		ck_assert_msg(!is_served(kind), "%s", kind);
		drop(name);
	}
	/* Another group is another world. */
	ck_assert_int_eq(define("firsts", "other.com", "", ",\"kind\":\"First\""), 201);
	ck_assert(is_served("other.com/v1/firsts"));
}
END_TEST

START_TEST(names_become_free)
{
	ck_assert_int_eq(define("firsts", "example.com", "", ",\"kind\":\"First\",\"shortNames\":[\"fi\"]"), 201);
	ck_assert_int_eq(define("seconds", "example.com", "", ",\"kind\":\"First\",\"singular\":\"second\",\"shortNames\":[\"fi\"]"), 201);
	ck_assert_str_eq(status_of("seconds.example.com", "/status/acceptedNames"),
			 "{\"plural\":\"seconds\",\"singular\":\"second\",\"kind\":\"\"}");
	drop("firsts.example.com");
	ck_assert_str_eq(condition("seconds.example.com", "NamesAccepted"), "True NoConflicts no conflicts found");
	ck_assert_str_eq(status_of("seconds.example.com", "/status/acceptedNames/shortNames/0"), "\"fi\"");
	ck_assert(is_served("example.com/v1/seconds"));
}
END_TEST

START_TEST(an_established_definition_keeps_what_it_has)
{
	ck_assert_int_eq(define("firsts", "example.com", "", ",\"kind\":\"First\",\"shortNames\":[\"fi\"]"), 201);
	ck_assert_int_eq(define("seconds", "example.com", "", ",\"kind\":\"Second\",\"shortNames\":[\"se\"]"), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "seconds.example.com", NULL,
			       "{\"spec\":{\"names\":{\"shortNames\":[\"fi\"],\"categories\":[\"all\"]}}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(condition("seconds.example.com", "NamesAccepted"), "False ShortNamesConflict \"fi\" is already in use");
	ck_assert_str_eq(condition("seconds.example.com", "Established"), "True InitialNamesAccepted the initial names have been accepted");
	ck_assert_str_eq(status_of("seconds.example.com", "/status/acceptedNames/shortNames"), "[\"se\"]");
	const struct am_resource *res = resource(&f, "example.com/v1/seconds");
	ck_assert(res != NULL && res->short_names != NULL && res->categories != NULL);
	ck_assert_str_eq(res->short_names[0], "se");
	am_resource_unref(res);
	/* And after a restart. */
	am_engine_close(f.engine);
	fixture_reopen(&f);
	res = resource(&f, "example.com/v1/seconds");
	ck_assert(res != NULL && res->short_names != NULL);
	ck_assert_str_eq(res->short_names[0], "se");
	am_resource_unref(res);
	/* The other one gives it away. */
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "firsts.example.com", NULL, "{\"spec\":{\"names\":{\"shortNames\":null}}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(condition("seconds.example.com", "NamesAccepted"), "True NoConflicts no conflicts found");
	res = resource(&f, "example.com/v1/seconds");
	ck_assert_str_eq(res->short_names[0], "fi");
	am_resource_unref(res);
}
END_TEST

/* A definition cannot take the place of what the server itself serves. */
START_TEST(builtin_names_are_taken)
{
	static const char approved[] = "\"api-approved.kubernetes.io\":\"https://example.com/1\"";

	ck_assert_int_eq(define("networkpolicies", "networking.k8s.io", approved, ",\"kind\":\"Mine\""), 201);
	ck_assert_str_eq(condition("networkpolicies.networking.k8s.io", "NamesAccepted"),
			 "False PluralConflict \"networkpolicies\" is already in use");
	drop("networkpolicies.networking.k8s.io");
	ck_assert(is_served("networking.k8s.io/v1/networkpolicies"));
	ck_assert_int_eq(define("ingresses", "networking.k8s.io", approved, ",\"kind\":\"Ingress\""), 201);
	ck_assert(is_served("networking.k8s.io/v1/ingresses"));
}
END_TEST

START_TEST(groups_of_kubernetes_want_an_approval)
{
	static const char field[] = "metadata.annotations[api-approved.kubernetes.io]";
	static const char type[] = "KubernetesAPIApprovalPolicyConformant";

	ck_assert_int_eq(define("as", "x.k8s.io", "", ",\"kind\":\"A\""), 422);
	ck_assert_str_eq(f.failure.causes[0].field, field);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueRequired");
	ck_assert_int_eq(define("as", "x.kubernetes.io", "\"api-approved.kubernetes.io\":\"yes\"", ",\"kind\":\"A\""), 422);
	ck_assert_str_eq(f.failure.causes[0].reason, "FieldValueInvalid");
	ck_assert_int_eq(define("as", "x.k8s.io", "\"api-approved.kubernetes.io\":\"https://a.b/1\"", ",\"kind\":\"A\""), 201);
	ck_assert_str_eq(condition("as.x.k8s.io", type), "True ApprovedAnnotation approved in https://a.b/1");
	ck_assert_int_eq(define("bs", "x.k8s.io", "\"api-approved.kubernetes.io\":\"unapproved, yet\"", ",\"kind\":\"B\""), 201);
	ck_assert_str_eq(condition("bs.x.k8s.io", type), "False UnapprovedAnnotation not approved: \"unapproved, yet\"");
	ck_assert_str_eq(condition("bs.x.k8s.io", "Established"), "True InitialNamesAccepted the initial names have been accepted");
	ck_assert_int_eq(define("cs", "example.com", "", ",\"kind\":\"C\""), 201);
	ck_assert_str_eq(condition("cs.example.com", type), "");
	/* It cannot be taken back. */
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "as.x.k8s.io", NULL, "{\"metadata\":{\"annotations\":null}}"), 422);
	ck_assert_str_eq(f.failure.causes[0].field, field);
}
END_TEST

START_TEST(what_is_stored_stays_a_version)
{
	char one[1024], two[1024];

	ck_assert_int_eq(define("vs", "example.com", "", ",\"kind\":\"V\""), 201);
	snprintf(one, sizeof(one), "{\"name\":\"v1\",\"served\":true,\"storage\":%s," SCHEMA "}", "false");
	snprintf(two, sizeof(two), "{\"name\":\"v2\",\"served\":true,\"storage\":%s," SCHEMA "}", "true");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "vs.example.com", NULL, "{\"spec\":{\"versions\":[%s,%s]}}", one, two), 200);
	ck_assert_str_eq(answer(&f, "/status/storedVersions"), "[\"v1\",\"v2\"]");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "vs.example.com", NULL, "{\"spec\":{\"versions\":[%s]}}", two), 422);
	ck_assert_str_eq(f.failure.causes[0].field, "status.storedVersions[0]");
	ck_assert_str_eq(f.failure.causes[0].message, "Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage "
			 "version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 "
			 "and removes v1 from status.storedVersions");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "vs.example.com", "status", "{\"status\":{\"storedVersions\":[\"v2\"]}}"),
			 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, CRD, NULL, "vs.example.com", NULL, "{\"spec\":{\"versions\":[%s]}}", two), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(!is_served("example.com/v1/vs") && is_served("example.com/v2/vs"));
}
END_TEST

/* Two versions with a field of their own each: a version shows what it has. */
START_TEST(a_version_shows_what_it_has)
{
#define ONE_VERSION(name, stored, more, field) "{\"name\":\"" name "\",\"served\":true,\"storage\":" stored more ",\"schema\":{" \
	"\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":" \
	"\"string\"},\"" field "\":{\"type\":\"integer\",\"default\":1}}}}}}}"
	ck_assert_int_eq(create(&f, CRD, NULL, "%s", "{\"metadata\":{\"name\":\"vs.example.com\"},\"spec\":{\"group\":\"example.com\","
		"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"vs\",\"kind\":\"V\"},\"versions\":["
		ONE_VERSION("v1", "true", "", "one") "," ONE_VERSION("v1beta1", "false", ",\"deprecated\":true", "two") ","
		ONE_VERSION("v2alpha1", "false", ",\"deprecated\":true,\"deprecationWarning\":\"gone soon\"", "one") ","
		ONE_VERSION("v3", "false", ",\"deprecated\":true", "one") "]}}"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(create(&f, "example.com/v1beta1/vs", "default", "{\"apiVersion\":\"example.com/v1beta1\",\"kind\":\"V\","
				"\"metadata\":{\"name\":\"o\"},\"spec\":{\"a\":\"x\",\"one\":5}}"), 201);
	static const struct { const char *kind, *spec, *warning; } rows[] = {
		{ "example.com/v1/vs", "{\"a\":\"x\",\"one\":1}", "" },
		{ "example.com/v1beta1/vs", "{\"a\":\"x\"}", "example.com/v1beta1 V is deprecated; use example.com/v1 V" },
		{ "example.com/v2alpha1/vs", "{\"a\":\"x\",\"one\":1}", "gone soon" },
		{ "example.com/v3/vs", "{\"a\":\"x\",\"one\":1}", "example.com/v3 V is deprecated" },
	};
	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		const struct am_resource *res = resource(&f, rows[i].kind);
		struct am_object *object = am_engine_get(f.engine, res, "default", "o", NULL, &f.failure);
		struct am_buf text = { 0 };
		struct am_slice spec;
		ck_assert(res != NULL && object != NULL);
		am_object_print(object, res, &text);
		ck_assert(am_json_find(am_slice(text.data, text.len), "/spec", &spec));
		ck_assert_msg(am_slice_eq(spec, rows[i].spec), "%s: %.*s", rows[i].kind, (int)spec.n, spec.p);
		ck_assert_str_eq(res->deprecation != NULL ? res->deprecation : "", rows[i].warning);
		am_buf_fini(&text);
		am_object_unref(object);
		am_resource_unref(res);
	}
}
END_TEST

/* Of a version: text that is put behind its schema, and the field that is refused; NULL: it is taken. */
START_TEST(what_a_version_may_say)
{
#define COLUMNS(text) ",\"additionalPrinterColumns\":[{" text "}]"
#define SCALE(text) ",\"subresources\":{\"scale\":{" text "}}"
#define PATHS "\"specReplicasPath\":\".spec.n\",\"statusReplicasPath\":\".status.n\""
#define FIELDS(text) ",\"selectableFields\":[" text "]"
	static const struct { const char *text, *field; } rows[] = {
		{ ",\"deprecated\":true,\"deprecationWarning\":\"use v2\"", NULL },
		{ ",\"deprecationWarning\":\"use v2\"", "deprecationWarning" },
		{ ",\"deprecated\":true,\"deprecationWarning\":\"\"", "deprecationWarning" },
		{ ",\"deprecated\":true,\"deprecationWarning\":\"a\\nb\"", "deprecationWarning" },
		{ COLUMNS("\"name\":\"A\",\"type\":\"date\",\"jsonPath\":\".spec.x\",\"format\":\"int32\",\"priority\":-1"), NULL },
		{ COLUMNS("\"type\":\"date\",\"jsonPath\":\".spec.x\""), "additionalPrinterColumns[0].name" },
		{ COLUMNS("\"name\":\"A\",\"jsonPath\":\".spec.x\""), "additionalPrinterColumns[0].type" },
		{ COLUMNS("\"name\":\"A\",\"type\":\"object\",\"jsonPath\":\".spec.x\""), "additionalPrinterColumns[0].type" },
		{ COLUMNS("\"name\":\"A\",\"type\":\"string\",\"format\":\"red\",\"jsonPath\":\".spec.x\""),
		  "additionalPrinterColumns[0].format" },
		{ COLUMNS("\"name\":\"A\",\"type\":\"string\""), "additionalPrinterColumns[0].JSONPath" },
		{ COLUMNS("\"name\":\"A\",\"type\":\"string\",\"jsonPath\":\"spec.x\""), "additionalPrinterColumns[0].JSONPath" },
		{ SCALE(PATHS), NULL },
		{ SCALE(PATHS ",\"labelSelectorPath\":\".status.s\""), NULL },
		{ SCALE(PATHS ",\"labelSelectorPath\":\".spec.x\""), NULL },
		{ SCALE(PATHS ",\"labelSelectorPath\":\".metadata.x\""), "subresources.scale.labelSelectorPath" },
		{ SCALE("\"specReplicasPath\":\".spec.n\""), "subresources.scale.statusReplicasPath" },
		{ SCALE("\"specReplicasPath\":\".status.n\",\"statusReplicasPath\":\".status.n\""), "subresources.scale.specReplicasPath" },
		{ SCALE("\"specReplicasPath\":\"spec.n\",\"statusReplicasPath\":\".status.n\""), "subresources.scale.specReplicasPath" },
		{ SCALE("\"specReplicasPath\":\".spec.a[0]\",\"statusReplicasPath\":\".status.n\""), "subresources.scale.specReplicasPath" },
		{ FIELDS("{\"jsonPath\":\".spec.x\"},{\"jsonPath\":\".spec.n\"}"), NULL },
		{ FIELDS("{\"jsonPath\":\".spec.x\"},{\"jsonPath\":\".spec.x\"}"), "selectableFields[1].jsonPath" },
		{ FIELDS("{\"jsonPath\":\".spec.y\"}"), "selectableFields[0].jsonPath" },
		{ FIELDS("{\"jsonPath\":\".spec\"}"), "selectableFields[0].jsonPath" },
		{ FIELDS("{\"jsonPath\":\".metadata.name\"}"), "selectableFields[0].jsonPath" },
		{ FIELDS("{\"jsonPath\":\"spec.x\"}"), "selectableFields[0].jsonPath" },
		{ FIELDS("{\"jsonPath\":\".spec['x']\"}"), "selectableFields[0].jsonPath" },
		{ FIELDS("{}"), "selectableFields[0].jsonPath" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		char want[128];
		snprintf(want, sizeof(want), "spec.%s%s", am_starts(rows[i].text, ",\"deprec") ? "versions[0]." : "", rows[i].field != NULL ? rows[i].field : "");
		int code = create(&f, CRD, NULL, "{\"metadata\":{\"name\":\"t%zus.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":"
				  "\"Namespaced\",\"names\":{\"plural\":\"t%zus\",\"kind\":\"T%zu\"},\"versions\":[{\"name\":\"v1\",\"served\":"
				  "true,\"storage\":true," SCHEMA "%s}]}}", i, i, i, rows[i].text);
		ck_assert_msg(code == (rows[i].field != NULL ? 422 : 201), "%s: %d %s", rows[i].text, code, f.failure.message);
		if (rows[i].field != NULL)
			ck_assert_str_eq(field(&f, 0), want);
	}
}
END_TEST

/* What versions say alike is judged once, and named as if it stood above them: as kube-apiserver keeps it. */
START_TEST(what_versions_share)
{
#define BAD(type) "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"" type "\"}}}}"
#define COLUMN(type) ",\"additionalPrinterColumns\":[{\"name\":\"A\",\"type\":\"" type "\",\"jsonPath\":\".x\"}]"
	static const struct { const char *first, *second, *fields[3]; } rows[] = {
		{ BAD("a"), BAD("a"), { "spec.validation.openAPIV3Schema.properties[x].type" } },
		{ BAD("a"), BAD("b"), { "spec.versions[0].schema.openAPIV3Schema.properties[x].type",
					"spec.versions[1].schema.openAPIV3Schema.properties[x].type" } },
		{ SCHEMA COLUMN("a"), SCHEMA COLUMN("a"), { "spec.additionalPrinterColumns[0].type" } },
		{ SCHEMA COLUMN("a"), SCHEMA COLUMN("b"), { "spec.versions[0].additionalPrinterColumns[0].type",
							    "spec.versions[1].additionalPrinterColumns[0].type" } },
		{ SCHEMA ",\"additionalPrinterColumns\":[]", SCHEMA COLUMN("a"), { "spec.versions[1].additionalPrinterColumns[0].type" } },
		{ SCHEMA SCALE(""), SCHEMA SCALE(""), { "spec.subresources.scale.specReplicasPath",
							"spec.subresources.scale.statusReplicasPath" } },
		{ SCHEMA FIELDS("{\"jsonPath\":\".a\"}"), SCHEMA FIELDS("{\"jsonPath\":\".a\"}"), { "spec.selectableFields[0].jsonPath" } },
		{ SCHEMA FIELDS("{\"jsonPath\":\".spec.x\"}"), SCHEMA, { "spec.versions[0].selectableFields" } },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		ck_assert_int_eq(create(&f, CRD, NULL, "{\"metadata\":{\"name\":\"t%zus.example.com\"},\"spec\":{\"group\":\"example.com\","
					"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"t%zus\",\"kind\":\"T%zu\"},\"versions\":[{\"name\":"
					"\"v1\",\"served\":true,\"storage\":true,%s},{\"name\":\"v2\",\"served\":true,\"storage\":false,%s}]}}",
					i, i, i, rows[i].first, rows[i].second), 422);
		size_t n = 0;
		for (; n < 3 && rows[i].fields[n] != NULL; n++)
			ck_assert_str_eq(field(&f, n), rows[i].fields[n]);
		ck_assert_uint_eq(f.failure.n_causes, n);
	}
}
END_TEST

/* want NULL: nothing is found; ok: whether it is a path at all. */
START_TEST(json_paths)
{
	static const char object[] = "{\"metadata\":{\"annotations\":{\"a.b/c\":\"s\",\"it's\":\"q\"}},\"spec\":{\"l\":[\"p\",\"q\",\"r\"],\"n\":null},"
		"\"c\":[{\"t\":\"A\",\"v\":1,\"s\":\"x\"},{\"t\":\"B\",\"v\":2,\"s\":\"y\",\"on\":true},{\"t\":\"B\",\"v\":3}]}";
	static const struct { const char *path, *want; bool ok; } rows[] = {
		{ ".spec.l", "[\"p\",\"q\",\"r\"]", true }, { ".spec.l[0]", "\"p\"", true }, { ".spec.l[-1]", "\"r\"", true },
		{ ".spec.l[3]", NULL, true }, { ".spec.l[-4]", NULL, true }, { ".spec.l[*]", "\"p\"", true },
		{ ".spec.l[1:]", "\"q\"", true }, { ".spec.l[:2]", "\"p\"", true }, { ".spec.l[-2:-1]", "\"q\"", true },
		{ ".spec.l[1:1]", NULL, true }, { ".spec.l[7,2]", "\"r\"", true }, { ".spec.n", NULL, true }, { ".spec.x", NULL, true },
		{ ".metadata.annotations.a\\.b/c", "\"s\"", true }, { ".metadata.annotations['a.b/c']", "\"s\"", true },
		{ ".metadata.annotations['x', \"it's\"]", "\"q\"", true }, { ".metadata.annotations['it\\'s']", "\"q\"", true },
		{ ".c[?(@.t==\"B\")].s", "\"y\"", true }, { ".c[?(@.t == 'B')].v", "2", true }, { ".c[?(@.t!='A')].v", "2", true },
		{ ".c[?(@.v>2)].v", "3", true }, { ".c[?(@.v>=2)].v", "2", true }, { ".c[?(@.v<1.5)].t", "\"A\"", true },
		{ ".c[?(@.on)].t", "\"B\"", true }, { ".c[?(@.on==true)].v", "2", true }, { ".c[?(@.v==\"2\")].v", NULL, true },
		{ ".c[?(@.s==$.c[1].s)].v", "2", true }, { ".c[?(@.t=='C')].v", NULL, true }, { ".c..v", "1", true },
		{ "..s", "\"x\"", true }, { ".c[*].on", "true", true }, { ".", object, true },
		{ ".spec[?(@.l)]", NULL, true },
		{ "spec", NULL, false }, { ".spec.l[", NULL, false }, { ".spec.l[x]", NULL, false }, { ".spec..", NULL, false },
		{ ".c[?(@.t==)].s", NULL, false }, { ".c[?(@.t='B')].s", NULL, false }, { ".c[?(@.t==\"B)].s", NULL, false },
		{ ".spec.l[0:1:0]", NULL, false }, { ".spec.l[1,]", NULL, false }, { ".c[?('a')]", NULL, false }, { "{.spec}", NULL, false },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++) {
		struct am_slice found;
		bool there = am_jsonpath_find(am_slice(object, sizeof(object) - 1), rows[i].path, &found);
		ck_assert_msg(there == (rows[i].want != NULL), "%s", rows[i].path);
		ck_assert_msg(!there || am_slice_eq(found, rows[i].want), "%s: %.*s", rows[i].path, (int)found.n, found.p);
		ck_assert_msg(am_jsonpath_ok(rows[i].path) == rows[i].ok, "%s", rows[i].path);
	}
}
END_TEST

#define SCALE_OF(name, n) "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"name\":\"" name "\"},\"spec\":{" n "}}"

START_TEST(a_scale_is_checked_and_applied)
{
	static const struct { const char *body; int code; } puts[] = {
		{ SCALE_OF("w", "\"replicas\":4"), 200 }, { "{\"spec\":{\"replicas\":5}}", 200 }, { SCALE_OF("w", ""), 200 },
		{ SCALE_OF("other", "\"replicas\":4"), 400 }, { "{\"kind\":\"Widget\",\"spec\":{\"replicas\":4}}", 400 },
		{ "{\"apiVersion\":\"autoscaling/v9\",\"spec\":{\"replicas\":4}}", 400 }, { SCALE_OF("w", "\"replicas\":1.5"), 422 },
		{ SCALE_OF("w", "\"replicas\":2147483648"), 422 },
		{ "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":4}}", 409 },
	};

	make_widgets(&f);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":"
				"\"w\"},\"spec\":{\"replicas\":1}}"), 201);
	for (size_t i = 0; i < AM_COUNTOF(puts); i++)
		ck_assert_msg(update(&f, WIDGET_KIND, "default", "w", "scale", "%s", puts[i].body) == puts[i].code, "%s", puts[i].body);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "w", "scale", "{\"metadata\":{\"resourceVersion\":\"1\"}}"), 409);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, WIDGET_KIND, "default", "w", "scale", "{\"spec\":{\"replicas\":6}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, WIDGET_KIND, "default", "w", "scale", "{}"), 415);
	/* Somebody has the field: a conflict, named as the Scale names it; then his who takes it. */
	struct am_write apply = { .verb = AM_VERB_PATCH, .patch = AM_PATCH_APPLY, .subresource = "scale", .name = "w", .ns = "default",
				  .field_manager = "m", .body = am_slice_of(SCALE_OF("w", "\"replicas\":7")) };
	for (int force = 0; force < 2; force++) {
		apply.res = resource(&f, WIDGET_KIND);
		apply.force = force;
		fixture_clear(&f);
		ck_assert_int_eq(am_engine_write(f.engine, &apply, &f.written, &f.failure) < 0, !force);
		am_resource_unref(apply.res);
		if (!force)
			ck_assert_str_eq(field(&f, 0), ".spec.replicas");
	}
	ck_assert_str_eq(answer(&f, "/spec/replicas"), "7");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/manager"), "\"m\"");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/subresource"), "\"scale\"");
	ck_assert_str_eq(answer(&f, "/metadata/managedFields/0/fieldsV1"), "{\"f:spec\":{\"f:replicas\":{}}}");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, names_are_first_come_first_served);
	tcase_add_test(tc, names_become_free);
	tcase_add_test(tc, an_established_definition_keeps_what_it_has);
	tcase_add_test(tc, builtin_names_are_taken);
	tcase_add_test(tc, groups_of_kubernetes_want_an_approval);
	tcase_add_test(tc, what_is_stored_stays_a_version);
	tcase_add_test(tc, a_version_shows_what_it_has);
	tcase_add_test(tc, what_a_version_may_say);
	tcase_add_test(tc, what_versions_share);
	tcase_add_test(tc, json_paths);
	tcase_add_test(tc, a_scale_is_checked_and_applied);
}

UNIT_MAIN("apiserver_crd", cases)
