/* SPDX-License-Identifier: Apache-2.0 */
/* Strategic merge by the types of builtin kinds, and the bounds of JSON patches. */
#include "plugins/standalone/apiserver/ownership.h"
#include "plugins/standalone/apiserver/proto.h"
#include "tests/unit/apiserver.h"

static struct fixture f;

static void
open_all(void)
{
	f = (struct fixture){ .engine = NULL };
	fixture_open(&f);
	make_widgets(&f);
}

static void
done(void)
{
	fixture_close(&f);
}

/* message, object, patch, result (NULL: refused); the results are those of Kubernetes' own library. */
static const struct {
	const char *message, *target, *patch, *want;
} merges[] = {
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"3\"},{\"name\":\"c\",\"image\":\"4\"}]}}",
	  "{\"spec\":{\"containers\":[{\"image\":\"1\",\"name\":\"a\"},{\"image\":\"3\",\"name\":\"b\"},{\"image\":\"4\",\"name\":\"c\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"x\"}]}}",
	  "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"c\",\"image\":\"4\"}]}}",
	  "{\"spec\":{\"containers\":[{\"image\":\"4\",\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"a\"},{\"name\":\"x\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"x\"},{\"name\":\"a\"},{\"name\":\"b\"}]}}",
	  "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"x\"},{\"name\":\"b\"},{\"name\":\"a\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
	  "{\"spec\":{\"containers\":[{\"$patch\":\"delete\",\"name\":\"a\"}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
	  "{\"spec\":{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"z\",\"image\":\"i\"}]}}",
	  "{\"spec\":{\"containers\":[{\"image\":\"i\",\"name\":\"z\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"1\",\"2\"],\"env\":[{\"name\":\"X\",\"value\":\"1\"}],\"ports\":[{\"containerPort\":1},{\"containerPort\":2,\"name\":\"n\"}]}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"3\"],\"env\":[{\"name\":\"Y\",\"value\":\"2\"}],\"ports\":[{\"containerPort\":2,\"name\":\"m\"}]}]}}",
	  "{\"spec\":{\"containers\":[{\"args\":[\"3\"],\"env\":[{\"name\":\"Y\",\"value\":\"2\"},{\"name\":\"X\",\"value\":\"1\"}],\"name\":\"a\",\"ports\":[{\"containerPort\":1},{\"containerPort\":2,\"name\":\"m\"}]}]}}" },
	{ "c.Pod", "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
	  "{\"spec\":{\"volumes\":[{\"$retainKeys\":[\"name\",\"configMap\"],\"name\":\"v\",\"configMap\":{\"name\":\"c\"}}]}}",
	  "{\"spec\":{\"volumes\":[{\"configMap\":{\"name\":\"c\"},\"name\":\"v\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"tolerations\":[{\"key\":\"a\"}],\"nodeSelector\":{\"a\":\"1\",\"b\":\"2\"}}}",
	  "{\"spec\":{\"tolerations\":[{\"key\":\"b\"}],\"nodeSelector\":{\"a\":null,\"c\":\"3\"}}}",
	  "{\"spec\":{\"nodeSelector\":{\"b\":\"2\",\"c\":\"3\"},\"tolerations\":[{\"key\":\"b\"}]}}" },
	{ "c.Pod", "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"]}}",
	  "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"b\"],\"finalizers\":[\"d\",\"a\"]}}",
	  "{\"metadata\":{\"finalizers\":[\"d\",\"a\",\"c\"]}}" },
	{ "c.Pod", "{\"metadata\":{\"finalizers\":[\"a\",\"b\",\"c\"]}}",
	  "{\"metadata\":{\"$setElementOrder/finalizers\":[\"d\",\"c\",\"a\"],\"finalizers\":[\"d\"]}}",
	  "{\"metadata\":{\"finalizers\":[\"d\",\"b\",\"c\",\"a\"]}}" },
	{ "c.Pod", "{\"metadata\":{\"ownerReferences\":[{\"uid\":\"1\",\"name\":\"x\"}]}}",
	  "{\"metadata\":{\"ownerReferences\":[{\"uid\":\"1\",\"controller\":true},{\"uid\":\"2\"}]}}",
	  "{\"metadata\":{\"ownerReferences\":[{\"controller\":true,\"name\":\"x\",\"uid\":\"1\"},{\"uid\":\"2\"}]}}" },
	{ "c.Pod", "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],\"hostIPs\":[{\"ip\":\"1\"}]}}",
	  "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},{\"type\":\"X\"}],\"hostIPs\":[{\"ip\":\"2\"}]}}",
	  "{\"status\":{\"conditions\":[{\"status\":\"True\",\"type\":\"Ready\"},{\"type\":\"X\"}],\"hostIPs\":[{\"ip\":\"2\"},{\"ip\":\"1\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"securityContext\":{\"runAsUser\":1,\"fsGroup\":2}}}",
	  "{\"spec\":{\"securityContext\":{\"$patch\":\"replace\",\"fsGroup\":3}}}",
	  "{\"spec\":{\"securityContext\":{\"fsGroup\":3}}}" },
	{ "c.Pod", "{\"spec\":{\"securityContext\":{\"runAsUser\":1},\"hostname\":\"h\"}}",
	  "{\"spec\":{\"securityContext\":{\"$patch\":\"delete\"},\"hostname\":null}}",
	  "{\"spec\":{\"securityContext\":{}}}" },
	{ "c.Pod", "{\"spec\":{}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":null,\"env\":[{\"name\":\"X\",\"$patch\":\"delete\"},{\"name\":\"Y\"}]}]}}",
	  "{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"Y\"}],\"name\":\"a\"}]}}" },
	{ "c.Pod", "{\"spec\":{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"labelSelector\":{\"matchLabels\":{\"a\":\"1\"}}}]}}}}",
	  "{\"spec\":{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"t\"}]}}}}",
	  "{\"spec\":{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":[{\"topologyKey\":\"t\"}]}}}}" },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\",\"volumeMounts\":[{\"mountPath\":\"/a\",\"name\":\"v\"}]}],\"imagePullSecrets\":[{\"name\":\"s\"}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"volumeMounts\":[{\"mountPath\":\"/a\",\"readOnly\":true},{\"mountPath\":\"/b\",\"name\":\"v\"}]}],\"imagePullSecrets\":[{\"name\":\"t\"}]}}",
	  "{\"spec\":{\"containers\":[{\"name\":\"a\",\"volumeMounts\":[{\"mountPath\":\"/a\",\"name\":\"v\",\"readOnly\":true},{\"mountPath\":\"/b\",\"name\":\"v\"}]}],\"imagePullSecrets\":[{\"name\":\"t\"},{\"name\":\"s\"}]}}" },
	{ "c.Service", "{\"spec\":{\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81}]}}",
	  "{\"spec\":{\"$setElementOrder/ports\":[{\"port\":81},{\"port\":80}],\"ports\":[{\"port\":80,\"name\":\"b\"}]}}",
	  "{\"spec\":{\"ports\":[{\"port\":81},{\"name\":\"b\",\"port\":80}]}}" },
	{ "c.ServiceAccount", "{\"secrets\":[{\"name\":\"a\"}],\"imagePullSecrets\":[{\"name\":\"a\"}]}",
	  "{\"secrets\":[{\"name\":\"b\"}],\"imagePullSecrets\":[{\"name\":\"b\"}]}",
	  "{\"imagePullSecrets\":[{\"name\":\"b\"}],\"secrets\":[{\"name\":\"b\"},{\"name\":\"a\"}]}" },
	{ "c.ConfigMap", "{\"data\":{\"a\":\"1\",\"b\":\"2\"}}",
	  "{\"data\":{\"$retainKeys\":[\"b\",\"c\"],\"c\":\"3\"}}",
	  "{\"data\":{\"b\":\"2\",\"c\":\"3\"}}" },
	{ "c.ConfigMap", "{\"data\":{\"a\":\"1\"}}",
	  "{\"data\":{\"$patch\":\"bogus\"}}",
	  NULL },
	{ "c.Pod", "{\"spec\":{\"containers\":[{\"name\":\"a\"}]}}",
	  "{\"spec\":{\"containers\":[{\"image\":\"x\"}]}}",
	  NULL },
	{ "b.Job", "{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"True\"}],\"uncountedTerminatedPods\":{\"failed\":[\"x\"]}}}",
	  "{\"status\":{\"conditions\":[{\"type\":\"A\",\"status\":\"False\"}],\"uncountedTerminatedPods\":{\"failed\":[\"y\"]}}}",
	  "{\"status\":{\"conditions\":[{\"status\":\"False\",\"type\":\"A\"}],\"uncountedTerminatedPods\":{\"failed\":[\"y\"]}}}" },
	{ "c.Node", "{\"spec\":{\"taints\":[{\"key\":\"a\"}],\"podCIDRs\":[\"1\"]},\"status\":{\"addresses\":[{\"type\":\"H\",\"address\":\"1\"}]}}",
	  "{\"spec\":{\"taints\":[{\"key\":\"b\"}],\"podCIDRs\":[\"2\"]},\"status\":{\"addresses\":[{\"type\":\"H\",\"address\":\"2\"}]}}",
	  "{\"spec\":{\"podCIDRs\":[\"2\",\"1\"],\"taints\":[{\"key\":\"b\"}]},\"status\":{\"addresses\":[{\"address\":\"2\",\"type\":\"H\"}]}}" },
	{ "b.CronJob", "{\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"Y\",\"value\":\"1\"}]}]}}}}}}",
	  "{\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"2\"}]}]}}}}}}",
	  "{\"spec\":{\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"X\",\"value\":\"2\"},{\"name\":\"Y\",\"value\":\"1\"}],\"name\":\"a\"}]}}}}}}" },
};

START_TEST(strategic_merges_as_the_types_say)
{
	for (size_t i = 0; i < AM_COUNTOF(merges); i++) {
		struct am_arena *arena = am_arena_new();
		struct am_failure failure = { 0 };
		struct am_type type = { .how = AM_HOW_OBJECT, .message = rest_proto_find(merges[i].message), .root = true };
		struct am_node *target = am_node_parse(arena, merges[i].target, strlen(merges[i].target), NULL);
		struct am_node *patch = am_node_parse(arena, merges[i].patch, strlen(merges[i].patch), NULL);
		struct am_buf text = { 0 };

		ck_assert(type.message != NULL && target != NULL && patch != NULL);
		struct am_node *result = am_patch_strategic(arena, target, patch, &type, &failure);
		if (merges[i].want == NULL) {
			ck_assert_msg(result == NULL && failure.code == 400, "%s", merges[i].patch);
		} else {
			ck_assert_msg(result != NULL, "%s: %s", merges[i].patch, failure.message);
			am_node_print(result, &text);
			const struct am_node *want = am_node_parse(arena, merges[i].want, strlen(merges[i].want), NULL);
			ck_assert_msg(am_node_equal(result, want), "%s: %s, wanted %s", merges[i].patch, am_buf_str(&text), merges[i].want);
		}
		am_buf_fini(&text);
		am_failure_fini(&failure);
		am_arena_free(arena);
	}
}
END_TEST

START_TEST(a_json_patch_has_a_bound)
{
	struct am_buf text = { 0 };

	ck_assert_int_eq(create(&f, WIDGET_KIND, "default",
		"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"}}"), 201);
	for (int n = 0; n < 10001; n++)
		am_buf_adds(&text, n == 0 ? "[{\"op\":\"test\",\"path\":\"/kind\",\"value\":\"Widget\"}"
					  : ",{\"op\":\"test\",\"path\":\"/kind\",\"value\":\"Widget\"}");
	am_buf_addc(&text, ']');
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "w", NULL, "%s", text.data), 413);
	ck_assert_str_eq(f.failure.reason, "RequestEntityTooLarge");
	am_buf_fini(&text);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, WIDGET_KIND, "default", "w", NULL, "{}"), 415);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "w", NULL,
			       "[{\"op\":\"remove\",\"path\":\"/spec/nope\"}]"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "w", NULL, "[{\"op\":\"bogus\",\"path\":\"/a\"}]"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, WIDGET_KIND, "default", "w", NULL, "{}"), 400);
}
END_TEST

START_TEST(long_lists_are_not_merged_for_ever)
{
	struct am_arena *arena = am_arena_new();
	struct am_failure failure = { 0 };
	struct am_type type = { .how = AM_HOW_OBJECT, .message = rest_proto_find("c.ConfigMap"), .root = true };
	struct am_node *target = am_node_parse(arena, "{\"metadata\":{\"finalizers\":[]}}", 30, NULL);
	struct am_node *list = am_node_path(target, "metadata", "finalizers", NULL);

	for (int i = 0; i < 5000; i++)
		am_node_append(list, am_node_int(arena, i));
	struct am_node *patch = am_node_clone(arena, target);
	ck_assert_ptr_null(am_patch_strategic(arena, target, patch, &type, &failure));
	ck_assert_int_eq(failure.code, 413);
	am_failure_fini(&failure);
	am_arena_free(arena);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, strategic_merges_as_the_types_say);
	tcase_add_test(tc, a_json_patch_has_a_bound);
	tcase_add_test(tc, long_lists_are_not_merged_for_ever);
}

UNIT_MAIN("apiserver_patch", cases)
