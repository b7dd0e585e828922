/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities, LimitRanges and ResourceQuotas, and that no two writes get what is left once. */
#include "core/base/lock.h"
#include "plugins/standalone/apiserver/quantity.h"
#include "tests/unit/apiserver.h"

#define POD "v1/pods"
#define QUOTA "v1/resourcequotas"
#define LIMITS "v1/limitranges"
#define CONFIGMAP "v1/configmaps"

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

/* ---- quantities ---- */

static const char *
canonical(const char *text)
{
	static char out[4][AM_QUANTITY_TEXT];
	static int turn;
	struct am_quantity q;

	turn = (turn + 1) % 4;
	return am_quantity_parse(text, strlen(text), &q) ? am_quantity_print(&q, out[turn]) : "refused";
}

START_TEST(quantities)
{
	static const char *const rows[][2] = {
		{ "0", "0" }, { "1", "1" }, { "1000", "1k" }, { "1500m", "1500m" }, { "1.5", "1500m" }, { "0.5", "500m" },
		{ ".5", "500m" }, { "5.", "5" }, { "100m", "100m" }, { "1000m", "1" }, { "1024", "1024" }, { "1Ki", "1Ki" },
		{ "1024Ki", "1Mi" }, { "1.5Gi", "1536Mi" }, { "0.5Ki", "512" }, { "1Gi", "1Gi" }, { "1e3", "1e3" }, { "1e4", "10e3" },
		{ "12E3", "12e3" }, { "1E", "1E" }, { "5Ei", "5Ei" }, { "1n", "1n" }, { "0.1n", "1n" }, { "1u", "1u" }, { "-1500m", "-1500m" },
		{ "+1", "1" }, { "1e-3", "1e-3" }, { "9223372036854775807", "9223372036854775807" }, { "0.000000001", "1n" },
		{ "123456789123456789", "123456789123456789" }, { "", "refused" }, { "x", "refused" }, { "1 ", "refused" },
		{ "1K", "refused" }, { "1kk", "refused" }, { "1e", "refused" }, { "1e+", "refused" }, { "--1", "refused" }, { "1.2.3", "refused" },
		{ ".", "refused" }, { "1ki", "refused" }, { "999999999999999999999999999999", "refused" },
	};

	for (size_t i = 0; i < AM_COUNTOF(rows); i++)
		ck_assert_msg(strcmp(canonical(rows[i][0]), rows[i][1]) == 0, "%s: %s", rows[i][0], canonical(rows[i][0]));
}
END_TEST

/* What is printed reads back equal, sums are exact, order is that of the numbers. */
START_TEST(quantities_are_exact)
{
	static const char *const suffixes[] = { "m", "", "k", "M", "Ki", "Mi", "Gi", "u" };
	static const __int128 nano[] = { 1000000, 1000000000, 1000000000000, 1000000000000000, 1024000000000,
					 (__int128)1048576 * 1000000000, (__int128)1073741824 * 1000000000, 1000 };
	unsigned seed = 5;
	struct am_quantity sum = { 0, AM_QUANTITY_DECIMAL };
	__int128 model = 0;

	for (int i = 0; i < 20000; i++) {
		char text[32], out[AM_QUANTITY_TEXT];
		struct am_quantity q, again;
		seed = seed * 1103515245 + 12345;
		unsigned value = seed >> 8, s = (seed >> 4) % 8;
		snprintf(text, sizeof(text), "%u%s", value, suffixes[s]);
		ck_assert(am_quantity_parse(text, strlen(text), &q));
		ck_assert(q.nano == (__int128)value * nano[s]);
		am_quantity_print(&q, out);
		ck_assert_msg(am_quantity_parse(out, strlen(out), &again) && again.nano == q.nano, "%s %s", text, out);
		ck_assert_int_eq(am_quantity_cmp(&q, &sum), q.nano < sum.nano ? -1 : q.nano > sum.nano);
		am_quantity_add(&sum, &q);
		model += q.nano;
		ck_assert(sum.nano == model);
	}
}
END_TEST

/* ---- LimitRanges ---- */

static int
make_pod(const char *name, const char *resources, const char *more)
{
	return create(&f, POD, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"restartPolicy\":\"Never\",\"containers\":[{"
		      "\"name\":\"c\",\"image\":\"i:1\",\"resources\":{%s}}]}}", name, more, resources);
}

static int
make_range(const char *item)
{
	return create(&f, LIMITS, "default", "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"limits\":[%s]}}", item);
}

static bool
said(const char *text)
{
	return f.failure.message != NULL && strstr(f.failure.message, text) != NULL;
}

START_TEST(limit_range_defaults)
{
	ck_assert_int_eq(make_range("{\"type\":\"Container\",\"default\":{\"cpu\":\"500m\"},\"defaultRequest\":{\"memory\":\"64Mi\"}}"), 201);
	ck_assert_str_eq(answer(&f, "/spec/limits/0/defaultRequest/cpu"), "\"500m\"");
	ck_assert_int_eq(make_pod("a", "", ""), 201);
	ck_assert_str_eq(answer(&f, "/spec/containers/0/resources/limits/cpu"), "\"500m\"");
	ck_assert_str_eq(answer(&f, "/spec/containers/0/resources/requests/memory"), "\"64Mi\"");
	ck_assert_str_eq(answer(&f, "/metadata/annotations/kubernetes.io~1limit-ranger"),
			 "\"LimitRanger plugin set: cpu, memory request for container c; cpu limit for container c\"");
	ck_assert_int_eq(make_pod("b", "\"limits\":{\"cpu\":\"2\"},\"requests\":{\"cpu\":\"1\",\"memory\":\"1Mi\"}", ""), 201);
	ck_assert_str_eq(answer(&f, "/spec/containers/0/resources/limits/cpu"), "\"2\"");
	ck_assert_str_eq(answer(&f, "/metadata/annotations"), "");
}
END_TEST

START_TEST(limit_range_bounds)
{
	ck_assert_int_eq(make_range("{\"type\":\"Container\",\"min\":{\"cpu\":\"100m\"},\"max\":{\"cpu\":\"1\"},"
				    "\"default\":{\"cpu\":\"1\"},\"defaultRequest\":{\"cpu\":\"500m\"},\"maxLimitRequestRatio\":{\"cpu\":\"4\"}},"
				    "{\"type\":\"Pod\",\"max\":{\"memory\":\"1Gi\"}},"
				    "{\"type\":\"PersistentVolumeClaim\",\"max\":{\"storage\":\"2Gi\"},\"min\":{\"storage\":\"1Gi\"}}"), 201);
	ck_assert_int_eq(make_pod("a", "\"limits\":{\"cpu\":\"2\",\"memory\":\"1Gi\"},\"requests\":{\"memory\":\"1Gi\"}", ""), 403);
	ck_assert(said("pods \"a\" is forbidden: maximum cpu usage per Container is 1, but limit is 2"));
	ck_assert_int_eq(make_pod("a", "\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"50m\",\"memory\":\"1Gi\"}", ""), 403);
	ck_assert(said("is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, cpu max limit to request ratio per "
		       "Container is 4, but provided ratio is 20.000000]"));
	ck_assert_int_eq(make_pod("a", "\"limits\":{\"cpu\":\"1\",\"memory\":\"2Gi\"}", ""), 403);
	ck_assert(said("maximum memory usage per Pod is 1Gi, but limit is 2Gi"));
	ck_assert_int_eq(make_pod("a", "", ""), 403);
	ck_assert(said("maximum memory usage per Pod is 1Gi.  No limit is specified"));
	ck_assert_int_eq(make_pod("a", "\"limits\":{\"memory\":\"1Gi\"}", ""), 201);
	static const char claim[] = "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{"
				    "\"requests\":{\"storage\":\"%s\"}}}}";
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "3Gi"), 403);
	ck_assert(said("maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"));
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "1Mi"), 403);
	ck_assert(said("minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"));
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "1Gi"), 201);
	/* A claim that grows is held against them too; a pod's containers are not looked at again. */
	static const char grow[] = "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}";
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "c", NULL, grow, "3Gi"), 403);
	ck_assert(said("persistentvolumeclaims \"c\" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but "
		       "request is 3Gi"));
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "c", NULL, grow, "2Gi"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/limitranges", "default", "l", NULL,
			       "{\"spec\":{\"limits\":[{\"type\":\"PersistentVolumeClaim\",\"max\":{\"storage\":\"1Gi\"}},{\"type\":"
			       "\"Container\",\"max\":{\"memory\":\"1Mi\"}}]}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "c", NULL,
			       "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"), 403);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "c", "status",
			       "{\"status\":{\"phase\":\"Lost\"}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "a", NULL, "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"), 200);
}
END_TEST

START_TEST(limit_range_rules)
{
	ck_assert_int_eq(make_range("{\"type\":\"Container\",\"min\":{\"cpu\":\"2\"},\"max\":{\"cpu\":\"1\"}}"), 422);
	ck_assert(said("min value 2 is greater than max value 1"));
	ck_assert_int_eq(make_range("{\"min\":{\"cpu\":\"2\"}}"), 422);
	ck_assert_int_eq(make_range("{\"type\":\"Container\",\"min\":{\"cpu\":\"x\"}}"), 400);
	ck_assert_int_eq(make_range("{\"type\":\"Pod\",\"default\":{\"cpu\":\"1\"}}"), 422);
	ck_assert(said("may not be specified when `type` is 'Pod'"));
}
END_TEST

/* ---- ResourceQuotas ---- */

static int
make_quota(const char *name, const char *spec)
{
	return create(&f, QUOTA, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}", name, spec);
}

static const char *
in_use(const char *quota, const char *key)
{
	char pointer[128];

	snprintf(pointer, sizeof(pointer), "/status/used/%s", key);
	return stored(&f, "", "resourcequotas", "default", quota, pointer);
}

static int
make_map(const char *name)
{
	return create(&f, CONFIGMAP, "default", "{\"metadata\":{\"name\":\"%s\"}}", name);
}

START_TEST(quota_counts_objects)
{
	ck_assert_int_eq(make_map("before"), 201);
	ck_assert_int_eq(make_quota("q", "\"hard\":{\"configmaps\":\"2\",\"count/leases.coordination.k8s.io\":\"1\"}"), 201);
	ck_assert_str_eq(answer(&f, "/status/used/configmaps"), "\"1\"");
	ck_assert_str_eq(answer(&f, "/status/hard/configmaps"), "\"2\"");
	ck_assert_int_eq(make_map("b"), 201);
	ck_assert_str_eq(in_use("q", "configmaps"), "\"2\"");
	ck_assert_int_eq(make_map("c"), 403);
	ck_assert(said("configmaps \"c\" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: "
		       "configmaps=2"));
	ck_assert_str_eq(f.failure.reason, "Forbidden");
	ck_assert_int_eq(make_map("b"), 403);
	ck_assert_int_eq(update(&f, CONFIGMAP, "default", "b", NULL, "{\"metadata\":{\"name\":\"b\"},\"data\":{\"a\":\"b\"}}"), 200);
	ck_assert_int_eq(delete(&f, CONFIGMAP, "default", "b", (struct am_delete_options){ .grace = -1 }), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(in_use("q", "configmaps"), "\"1\"");
	ck_assert_int_eq(make_map("c"), 201);
	ck_assert_int_eq(create(&f, "coordination.k8s.io/v1/leases", "default", "{\"metadata\":{\"name\":\"l\"}}"), 201);
	ck_assert_int_eq(create(&f, "coordination.k8s.io/v1/leases", "default", "{\"metadata\":{\"name\":\"m\"}}"), 403);
	ck_assert(said("requested: count/leases.coordination.k8s.io=1"));
	/* Raised, it lets more in at once. */
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, QUOTA, "default", "q", NULL, "{\"spec\":{\"hard\":{\"configmaps\":\"3\"}}}"), 200);
	ck_assert_int_eq(make_map("d"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(stored(&f, "", "resourcequotas", "default", "q", "/status/hard/configmaps"), "\"3\"");
}
END_TEST

START_TEST(quota_of_pods)
{
	ck_assert_int_eq(make_quota("q", "\"hard\":{\"pods\":\"3\",\"requests.cpu\":\"1\",\"limits.memory\":\"1Gi\"}"), 201);
	ck_assert_int_eq(make_pod("a", "", ""), 403);
	ck_assert(said("pods \"a\" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c"));
	ck_assert_int_eq(make_pod("a", "\"requests\":{\"cpu\":\"600m\"},\"limits\":{\"memory\":\"512Mi\"}", ""), 201);
	ck_assert_str_eq(in_use("q", "requests.cpu"), "\"600m\"");
	ck_assert_str_eq(in_use("q", "limits.memory"), "\"512Mi\"");
	ck_assert_int_eq(make_pod("b", "\"requests\":{\"cpu\":\"600m\"},\"limits\":{\"memory\":\"600Mi\"}", ""), 403);
	ck_assert(said("exceeded quota: q, requested: limits.memory=600Mi,requests.cpu=600m, used: limits.memory=512Mi,requests.cpu=600m, "
		       "limited: limits.memory=1Gi,requests.cpu=1"));
	/* A pod that is over gives back what it had. */
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "a", "status", "{\"status\":{\"phase\":\"Succeeded\"}}"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(in_use("q", "requests.cpu"), "\"0\"");
	ck_assert_int_eq(make_pod("b", "\"requests\":{\"cpu\":\"1\"},\"limits\":{\"memory\":\"1Gi\"}", ""), 201);
	ck_assert_str_eq(in_use("q", "pods"), "\"1\"");
}
END_TEST

START_TEST(quota_scopes)
{
	ck_assert_int_eq(make_quota("best", "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"BestEffort\"]"), 201);
	ck_assert_int_eq(make_quota("term", "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"Terminating\",\"NotBestEffort\"]"), 201);
	ck_assert_int_eq(make_pod("a", "", ""), 201);
	ck_assert_int_eq(make_pod("b", "", ""), 403);
	ck_assert(said("exceeded quota: best"));
	ck_assert_int_eq(make_pod("b", "\"requests\":{\"cpu\":\"1\"}", ""), 201);
	ck_assert_int_eq(make_pod("c", "\"requests\":{\"cpu\":\"1\"}", "\"activeDeadlineSeconds\":5,"), 201);
	ck_assert_int_eq(make_pod("d", "\"requests\":{\"cpu\":\"1\"}", "\"activeDeadlineSeconds\":5,"), 403);
	ck_assert(said("exceeded quota: term"));
	ck_assert_int_eq(make_quota("odd", "\"hard\":{\"pods\":\"x\"}"), 400);
	ck_assert_int_eq(make_quota("odd", "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"Odd\"]"), 422);
	ck_assert_int_eq(make_quota("odd", "\"hard\":{\"pods\":\"-1\"}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, QUOTA, "default", "best", NULL, "{\"spec\":{\"scopes\":[]}}"), 422);
}
END_TEST

/* Each scope: what is in it, what is not; the object that is not in it passes a quota that is used up. */
START_TEST(every_quota_scope)
{
	static const char across[] = "\"affinity\":{\"podAntiAffinity\":{\"preferredDuringSchedulingIgnoredDuringExecution\":[{"
				     "\"weight\":1,\"podAffinityTerm\":{\"topologyKey\":\"a\",\"namespaceSelector\":{}}}]}},";
	static const char own[] = "\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{"
				  "\"topologyKey\":\"a\",\"labelSelector\":{}}]}},";
	static const struct { const char *scope, *operator, *values, *in, *out; } cases[] = {
		{ "Terminating", "Exists", "", "\"activeDeadlineSeconds\":5,", "" },
		{ "NotTerminating", "Exists", "", "", "\"activeDeadlineSeconds\":5," },
		{ "PriorityClass", "Exists", "", "\"priorityClassName\":\"p\",", "" },
		{ "PriorityClass", "DoesNotExist", "", "", "\"priorityClassName\":\"p\"," },
		{ "PriorityClass", "In", "\"p\",\"q\"", "\"priorityClassName\":\"q\",", "\"priorityClassName\":\"r\"," },
		{ "PriorityClass", "NotIn", "\"p\"", "", "\"priorityClassName\":\"p\"," },
		{ "CrossNamespacePodAffinity", "Exists", "", across, own },
	};
	char spec[400];

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		snprintf(spec, sizeof(spec), "\"hard\":{\"pods\":\"0\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"%s\","
			 "\"operator\":\"%s\",\"values\":[%s]}]}", cases[i].scope, cases[i].operator, cases[i].values);
		ck_assert_msg(make_quota("q", spec) == 201, "%s: %s", spec, f.failure.message);
		ck_assert_msg(make_pod("in", "", cases[i].in) == 403, "%s", spec);
		ck_assert_msg(said("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"), "%s", f.failure.message);
		ck_assert_msg(make_pod("out", "", cases[i].out) == 201, "%s: %s", spec, f.failure.message);
		ck_assert_int_eq(delete(&f, POD, "default", "out", (struct am_delete_options){ .grace = 0 }), 200);
		ck_assert_int_eq(delete(&f, QUOTA, "default", "q", (struct am_delete_options){ .grace = -1 }), 200);
	}
	/* The one scope of claims; a quota of it is about nothing else. */
	static const char claim[] = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{"
				    "\"requests\":{\"storage\":\"1Gi\"}}}}";
	ck_assert_int_eq(make_quota("q", "\"hard\":{\"requests.storage\":\"1Gi\",\"persistentvolumeclaims\":\"5\"},\"scopeSelector\":{"
				    "\"matchExpressions\":[{\"scopeName\":\"VolumeAttributesClass\",\"operator\":\"In\",\"values\":["
				    "\"gold\"]}]}"), 201);
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "a", ""), 201);
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "b", "\"volumeAttributesClassName\":\"gold\","), 201);
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "c", "\"volumeAttributesClassName\":\"gold\","), 403);
	ck_assert(said("exceeded quota: q, requested: requests.storage=1Gi, used: requests.storage=1Gi, limited: requests.storage=1Gi"));
	ck_assert_int_eq(make_pod("any", "", ""), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(in_use("q", "persistentvolumeclaims"), "\"1\"");
}
END_TEST

START_TEST(quota_rules)
{
	static const struct { const char *spec, *text; } bad[] = {
		{ "\"hard\":{\"apples\":\"1\"}", "spec.hard[apples]: Invalid value: \"apples\": must be a standard resource for quota" },
		{ "\"hard\":{\"pods\":\"1500m\"}", "spec.hard[pods]: Invalid value: \"1500m\": must be an integer" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"Odd\"]", "spec.scopes: Invalid value: [\"Odd\"]: unsupported scope" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"BestEffort\",\"NotBestEffort\"]", "conflicting scopes" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"Terminating\",\"NotTerminating\"]", "conflicting scopes" },
		{ "\"hard\":{\"cpu\":\"1\"},\"scopes\":[\"BestEffort\"]", "unsupported scope applied to resource" },
		{ "\"hard\":{\"secrets\":\"1\"},\"scopes\":[\"Terminating\"]", "unsupported scope applied to resource" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopes\":[\"VolumeAttributesClass\"]", "unsupported scope applied to resource" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"Odd\",\"operator\":\"Exists\"}]}",
		  "spec.scopeSelector.matchExpressions.scopeName: Invalid value: \"Odd\": unsupported scope" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"BestEffort\",\"operator\":\"In\","
		  "\"values\":[\"a\"]}]}", "matchExpressions.operator: Invalid value: \"In\": must be 'Exists' when scope is any of" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":\"In\"}]}",
		  "matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn'" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":\"Exists\","
		  "\"values\":[\"a\"]}]}", "must be no value when `operator` is 'Exist' or 'DoesNotExist'" },
		{ "\"hard\":{\"pods\":\"1\"},\"scopeSelector\":{\"matchExpressions\":[{\"scopeName\":\"PriorityClass\",\"operator\":\"Is\"}]}",
		  "not a valid selector operator" },
	};

	for (size_t i = 0; i < AM_COUNTOF(bad); i++) {
		ck_assert_msg(make_quota("q", bad[i].spec) == 422, "%s", bad[i].spec);
		ck_assert_msg(said(bad[i].text), "%s: %s", bad[i].spec, f.failure.message);
	}
	ck_assert_int_eq(make_quota("q", "\"hard\":{\"requests.example.com/gpu\":\"1\",\"requests.hugepages-2Mi\":\"1\",\"cpu\":\"1500m\"}"), 201);
}
END_TEST

/* All quotas of a namespace are charged with the write, however many there are: more than one batch of the writer. */
START_TEST(a_hundred_quotas_are_charged_at_once)
{
	char name[16];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "q%02d", i);
		ck_assert_int_eq(make_quota(name, i == 57 ? "\"hard\":{\"configmaps\":\"1\"}" : "\"hard\":{\"configmaps\":\"5\"}"), 201);
	}
	ck_assert_int_eq(make_map("a"), 201);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "q%02d", i);
		ck_assert_str_eq(in_use(name, "configmaps"), "\"1\"");
	}
	ck_assert_int_eq(make_map("b"), 403);
	ck_assert(said("exceeded quota: q57"));
	ck_assert_str_eq(in_use("q00", "configmaps"), "\"1\"");
	ck_assert_str_eq(in_use("q99", "configmaps"), "\"1\"");
}
END_TEST

START_TEST(quota_of_claims_and_services)
{
	ck_assert_int_eq(make_quota("q", "\"hard\":{\"requests.storage\":\"2Gi\",\"services.nodeports\":\"1\",\"count/services\":\"9\"}"), 201);
	static const char claim[] = "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{"
				    "\"requests\":{\"storage\":\"%s\"}}}}";
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "a", "1Gi"), 201);
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", claim, "b", "1500Mi"), 403);
	ck_assert(said("requested: requests.storage=1500Mi, used: requests.storage=1Gi, limited: requests.storage=2Gi"));
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "a", NULL,
			       "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"3Gi\"}}}}"), 403);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "a", NULL,
			       "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"2Gi\"}}}}"), 200);
	ck_assert_str_eq(in_use("q", "requests.storage"), "\"2Gi\"");
	/* It is bound from the start, and what it may hold follows what it asks for, which only grows. */
	ck_assert_str_eq(answer(&f, "/status/phase"), "\"Bound\"");
	ck_assert_str_eq(answer(&f, "/status/capacity/storage"), "\"2Gi\"");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/persistentvolumeclaims", "default", "a", NULL,
			       "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}"), 422);
	ck_assert(said("spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"));
	ck_assert_int_eq(create(&f, "v1/services", "default", "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{"
				"\"name\":\"a\",\"port\":80},{\"name\":\"b\",\"port\":81}]}}"), 403);
	ck_assert(said("services.nodeports=2"));
	ck_assert_int_eq(create(&f, "v1/services", "default", "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80}]}}"), 201);
}
END_TEST

static void
creator(void *arg)
{
	static _Atomic(int) next;
	_Atomic(int) *made = arg;
	const struct am_resource *res = am_engine_resource(f.engine, "", "v1", "configmaps");

	for (int i = 0; i < 12; i++) {
		char body[64];
		struct am_written written = { 0 };
		struct am_failure failure = { 0 };
		snprintf(body, sizeof(body), "{\"metadata\":{\"name\":\"m%d\"}}", next++);
		struct am_write write = { .verb = AM_VERB_CREATE, .res = res, .ns = "default", .body = am_slice(body, strlen(body)) };
		int rc = am_engine_write(f.engine, &write, &written, &failure);
		*made += rc == 0;
		if (rc < 0)
			ck_assert_int_eq(failure.code, 403);
		am_written_fini(&written);
		am_failure_fini(&failure);
	}
	am_resource_unref(res);
}

START_TEST(no_race_overcommits)
{
	struct am_thread *threads[6];
	_Atomic(int) made = 0;

	ck_assert_int_eq(make_quota("q", "\"hard\":{\"configmaps\":\"40\"}"), 201);
	ck_assert_int_eq(make_quota("p", "\"hard\":{\"configmaps\":\"50\"}"), 201);
	for (size_t i = 0; i < AM_COUNTOF(threads); i++)
		threads[i] = am_thread_new("creator", 0, creator, &made);
	for (size_t i = 0; i < AM_COUNTOF(threads); i++)
		am_thread_join(threads[i]);
	ck_assert_int_eq(made, 40);
	ck_assert_str_eq(in_use("q", "configmaps"), "\"40\"");
	ck_assert_str_eq(in_use("p", "configmaps"), "\"40\"");
	am_engine_janitor_run(f.engine);
	ck_assert_str_eq(in_use("q", "configmaps"), "\"40\"");
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, quantities);
	tcase_add_test(tc, quantities_are_exact);
	tcase_add_test(tc, limit_range_defaults);
	tcase_add_test(tc, limit_range_bounds);
	tcase_add_test(tc, limit_range_rules);
	tcase_add_test(tc, quota_counts_objects);
	tcase_add_test(tc, quota_of_pods);
	tcase_add_test(tc, quota_scopes);
	tcase_add_test(tc, every_quota_scope);
	tcase_add_test(tc, quota_rules);
	tcase_add_test(tc, a_hundred_quotas_are_charged_at_once);
	tcase_add_test(tc, quota_of_claims_and_services);
	tcase_add_test(tc, no_race_overcommits);
}

UNIT_MAIN("apiserver-quota", cases)
