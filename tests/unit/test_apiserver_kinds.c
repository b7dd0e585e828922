/* SPDX-License-Identifier: Apache-2.0 */
/* The builtin kinds' defaults and rules, and strategic merge. */
#include "tests/unit/apiserver.h"

#define POD "v1/pods"
#define JOB "batch/v1/jobs"

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

static int
make_job(const char *name, const char *extra)
{
	return create(&f, JOB, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{%s\"template\":{\"metadata\":{\"labels\":{"
		      "\"app\":\"x\"}},\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}}}",
		      name, extra);
}

START_TEST(row_182_183_184)
{
	char uid[48];

	ck_assert_int_eq(make_job("j", ""), 201);
	snprintf(uid, sizeof(uid), "\"%s\"", f.written.object->uid);
	static const char *const want[][2] = {
		{ "/spec/parallelism", "1" }, { "/spec/completions", "1" }, { "/spec/backoffLimit", "6" },
		{ "/spec/completionMode", "\"NonIndexed\"" }, { "/spec/suspend", "false" }, { "/metadata/generation", "1" },
		{ "/spec/template/spec/terminationGracePeriodSeconds", "30" }, { "/spec/template/spec/dnsPolicy", "\"ClusterFirst\"" },
		{ "/spec/template/spec/containers/0/imagePullPolicy", "\"IfNotPresent\"" }, { "/metadata/labels/app", "\"x\"" },
		{ "/spec/template/metadata/labels/job-name", "\"j\"" }, { "/status", "{}" },
		{ "/spec/podReplacementPolicy", "\"TerminatingOrFailed\"" }, { "/metadata/labels/job-name", "" },
	};
	for (size_t i = 0; i < AM_COUNTOF(want); i++)
		ck_assert_msg(strcmp(answer(&f, want[i][0]), want[i][1]) == 0, "%s: %s", want[i][0], answer(&f, want[i][0]));
	ck_assert_str_eq(answer(&f, "/spec/selector/matchLabels/batch.kubernetes.io~1controller-uid"), uid);
	ck_assert_str_eq(answer(&f, "/spec/template/metadata/labels/batch.kubernetes.io~1controller-uid"), uid);
	ck_assert_int_eq(create(&f, JOB, "default", "{\"metadata\":{\"name\":\"k\"},\"spec\":{\"template\":{\"spec\":{"
		"\"restartPolicy\":\"Always\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}"), 422);
	ck_assert_str_eq(field(&f, 0), "spec.template.spec.restartPolicy");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", NULL,
			       "{\"spec\":{\"template\":{\"spec\":{\"dnsPolicy\":\"None\"}}}}"), 422);
	ck_assert_str_eq(field(&f, 0), "spec.template");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", NULL, "{\"spec\":{\"suspend\":true,\"parallelism\":2}}"),
			 200);
	ck_assert_str_eq(answer(&f, "/metadata/generation"), "2");
}
END_TEST

START_TEST(row_084_195)
{
	ck_assert_int_eq(make_job("j", ""), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", "status", "{\"metadata\":{\"annotations\":{\"a\":\"b\"}},"
			       "\"status\":{\"active\":1,\"startTime\":\"2026-01-01T00:00:00Z\"},\"spec\":{\"suspend\":true}}"), 200);
	ck_assert_str_eq(answer(&f, "/metadata/annotations/a"), "\"b\"");
	ck_assert_str_eq(answer(&f, "/spec/suspend"), "false");
	ck_assert_str_eq(answer(&f, "/status/active"), "1");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", "status",
			       "{\"status\":{\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\"}]}}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", "status", "{\"status\":{\"active\":0,\"succeeded\":1,"
		"\"completionTime\":\"2026-01-01T00:00:09Z\",\"conditions\":[{\"type\":\"SuccessCriteriaMet\",\"status\":\"True\"},"
		"{\"type\":\"Complete\",\"status\":\"True\"}]}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, JOB, "default", "j", "status", "{\"status\":{\"succeeded\":0}}"), 422);
}
END_TEST

static int
make_pod(const char *name, const char *spec, const char *container)
{
	return create(&f, POD, "default", "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"restartPolicy\":\"Never\"%s,\"containers\":"
		      "[{\"name\":\"c\",\"image\":\"i\"%s}]}}", name, spec, container);
}

START_TEST(pod_defaults_and_admission)
{
	ck_assert_int_eq(make_pod("p", "", ""), 201);
	static const char *const want[][2] = {
		{ "/spec/nodeName", "\"standalone\"" }, { "/spec/serviceAccountName", "\"default\"" },
		{ "/spec/terminationGracePeriodSeconds", "30" }, { "/status/phase", "\"Pending\"" },
		{ "/status/conditions/0/type", "\"PodScheduled\"" }, { "/spec/containers/0/imagePullPolicy", "\"Always\"" },
		{ "/spec/containers/0/volumeMounts/0/mountPath", "\"/var/run/secrets/kubernetes.io/serviceaccount\"" },
		{ "/spec/volumes/0/projected/sources/1/configMap/name", "\"kube-root-ca.crt\"" },
		{ "/spec/enableServiceLinks", "true" },
	};
	for (size_t i = 0; i < AM_COUNTOF(want); i++)
		ck_assert_msg(strcmp(answer(&f, want[i][0]), want[i][1]) == 0, "%s: %s", want[i][0], answer(&f, want[i][0]));
	ck_assert_int_eq(make_pod("q", ",\"automountServiceAccountToken\":false", ""), 201);
	ck_assert_str_eq(answer(&f, "/spec/volumes"), "");
	ck_assert_int_eq(make_pod("r", ",\"serviceAccountName\":\"nobody\"", ""), 403);
	ck_assert_str_eq(f.failure.message, "pods \"r\" is forbidden: error looking up service account default/nobody: "
			 "serviceaccount \"nobody\" not found");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "p", NULL, "{\"spec\":{\"activeDeadlineSeconds\":5}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "p", NULL, "{\"spec\":{\"nodeName\":\"n\"}}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, POD, "default", "p", "status", "{\"status\":{\"phase\":\"Running\","
			       "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}"), 200);
	ck_assert_str_eq(answer(&f, "/status/conditions/0/type"), "\"Ready\"");
	ck_assert_str_eq(answer(&f, "/status/conditions/1/type"), "\"PodScheduled\"");
}
END_TEST

/* As ValidatePodUpdate has it. */
START_TEST(pod_updates)
{
	static const struct { const char *patch; int code; const char *message; } steps[] = {
		{ "{\"spec\":{\"activeDeadlineSeconds\":0}}", 422, "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and "
		  "2147483647, inclusive" },
		{ "{\"spec\":{\"activeDeadlineSeconds\":50}}", 200, NULL },
		{ "{\"spec\":{\"activeDeadlineSeconds\":51}}", 422, "spec.activeDeadlineSeconds: Invalid value: 51: must be less than or equal "
		  "to previous value" },
		{ "{\"spec\":{\"activeDeadlineSeconds\":null}}", 422, "spec.activeDeadlineSeconds: Invalid value: null: must not update from a "
		  "positive integer to nil value" },
		{ "{\"spec\":{\"activeDeadlineSeconds\":5}}", 200, NULL },
		{ "{\"spec\":{\"tolerations\":[{\"key\":\"b\",\"operator\":\"Exists\"},{\"key\":\"a\",\"operator\":\"Exists\","
		  "\"effect\":\"NoExecute\",\"tolerationSeconds\":9}]}}", 200, NULL },
		{ "{\"spec\":{\"tolerations\":[{\"key\":\"b\",\"operator\":\"Exists\"}]}}", 422, "spec.tolerations: Forbidden: existing "
		  "toleration can not be modified except its tolerationSeconds" },
		{ "{\"spec\":{\"terminationGracePeriodSeconds\":5}}", 422, "spec: Forbidden: pod updates may not change fields other than "
		  "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions "
		  "to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)" },
	};

	ck_assert_int_eq(make_pod("gated", ",\"schedulingGates\":[{\"name\":\"x/a\"},{\"name\":\"x/b\"}]", ""), 201);
	ck_assert_str_eq(answer(&f, "/status/conditions/0/reason"), "\"SchedulingGated\"");
	ck_assert_str_eq(answer(&f, "/status/conditions/0/status"), "\"False\"");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "gated", NULL, "%s", "{\"spec\":{\"schedulingGates\":[{\"name\":\"x/b\"},"
			       "{\"name\":\"x/c\"}]}}"), 422);
	ck_assert_ptr_nonnull(strstr(f.failure.message, "spec.schedulingGates[1].name: Forbidden: only deletion is allowed, but found new "
				     "scheduling gate 'x/c'"));
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "gated", NULL, "%s", "{\"spec\":{\"schedulingGates\":[{\"name\":\"x/b\"}]}}"),
			 200);
	ck_assert_int_eq(make_pod("w", ",\"shareProcessNamespace\":true,\"securityContext\":{\"supplementalGroups\":[7]}", ""), 201);
	ck_assert_uint_eq(f.written.n_warnings, 0);
	ck_assert_int_eq(make_pod("u", ",\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\",\"effect\":\"NoExecute\","
				  "\"tolerationSeconds\":3}]", ""), 201);
	for (size_t i = 0; i < AM_COUNTOF(steps); i++) {
		ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, POD, "default", "u", NULL, "%s", steps[i].patch), steps[i].code);
		if (steps[i].message != NULL)
			ck_assert_msg(strstr(f.failure.message, steps[i].message) != NULL, "%s", f.failure.message);
	}
}
END_TEST

/* kube-api.md 6.9: refused at once, with the field's path. */
START_TEST(pod_refusals)
{
	static const struct { const char *spec, *container, *field; } cases[] = {
		{ "", ",\"securityContext\":{\"privileged\":true}", "spec.containers[0].securityContext.privileged" },
		{ "", ",\"securityContext\":{\"capabilities\":{\"add\":[\"X\"]}}", "spec.containers[0].securityContext.capabilities.add" },
		{ "", ",\"securityContext\":{\"procMount\":\"Unmasked\"}", "spec.containers[0].securityContext.procMount" },
		{ ",\"hostPID\":true", "", "spec.hostPID" },
		{ ",\"hostIPC\":true", "", "spec.hostIPC" },
		{ ",\"overhead\":{\"cpu\":\"1\"}", "", "spec.overhead" },
		{ ",\"ephemeralContainers\":[{\"name\":\"e\"}]", "", "spec.ephemeralContainers" },
		{ ",\"securityContext\":{\"sysctls\":[{\"name\":\"a\"}]}", "", "spec.securityContext.sysctls" },
		{ ",\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]", "", "spec.volumes[0].hostPath" },
		{ ",\"volumes\":[{\"name\":\"v\",\"nfs\":{}}]", "", "spec.volumes[0].nfs" },
		{ "", ",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/x\"}]", "spec.containers[0].volumeMounts[0].name" },
		{ ",\"volumes\":[{\"name\":\"v\"}]", ",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/x\",\"mountPropagation\":"
		  "\"Bidirectional\"}]", "spec.containers[0].volumeMounts[0].mountPropagation" },
	};

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		ck_assert_msg(make_pod("p", cases[i].spec, cases[i].container) == 422, "%s", cases[i].field);
		ck_assert_str_eq(field(&f, 0), cases[i].field);
	}
	ck_assert_int_eq(create(&f, POD, "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"restartPolicy\":\"X\","
				"\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"), 422);
	ck_assert_str_eq(field(&f, 0), "spec.restartPolicy");
	ck_assert_int_eq(create(&f, POD, "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"restartPolicy\":\"Never\"}}"), 422);
	ck_assert_str_eq(field(&f, 0), "spec.containers");
}
END_TEST

#define PROBE(p)  ",\"livenessProbe\":{" p "}"
#define ENV(e)    ",\"env\":[{" e "}]"
#define PROFILE(members) ",\"securityContext\":{\"seccompProfile\":{" members "}}"
#define VOLUME(v) ",\"volumes\":[{\"name\":\"v\"," v "}]"
#define C0        "spec.containers[0]."

/* What kube-apiserver refuses, with its words. */
START_TEST(pod_validation)
{
	static const struct { const char *spec, *container, *field, *message; } cases[] = {
		{ "", PROBE(""), C0 "livenessProbe", "Required value: must specify a handler type" },
		{ "", PROBE("\"exec\":{}"), C0 "livenessProbe.exec.command", "Required value" },
		{ "", PROBE("\"exec\":{\"command\":[\"a\"]},\"tcpSocket\":{\"port\":1}"), C0 "livenessProbe.tcpSocket",
		  "Forbidden: may not specify more than 1 handler type" },
		{ "", PROBE("\"tcpSocket\":{\"port\":0}"), C0 "livenessProbe.tcpSocket.port",
		  "Invalid value: 0: must be between 1 and 65535, inclusive" },
		{ "", PROBE("\"tcpSocket\":{\"port\":1},\"periodSeconds\":-1"), C0 "livenessProbe.periodSeconds",
		  "Invalid value: -1: must be greater than or equal to 0" },
		{ "", PROBE("\"tcpSocket\":{\"port\":1},\"successThreshold\":2"), C0 "livenessProbe.successThreshold",
		  "Invalid value: 2: must be 1" },
		{ "", PROBE("\"grpc\":{\"port\":1}"), C0 "livenessProbe.grpc",
		  "Forbidden: gRPC probes are not supported by the standalone node" },
		{ "", PROBE("\"httpGet\":{\"port\":1,\"scheme\":\"HTTPS\"}"), C0 "livenessProbe.httpGet.scheme",
		  "Forbidden: probes and hooks by HTTPS are not supported by the standalone node" },
		{ ",\"initContainers\":[{\"name\":\"i\",\"image\":\"i\"" PROBE("\"tcpSocket\":{\"port\":1}") "}]", "",
		  "spec.initContainers[0].livenessProbe",
		  "Forbidden: may not be set for init containers without restartPolicy=Always" },
		{ "", ENV("\"name\":\"a=b\""), C0 "env[0].name", "Invalid value: \"a=b\": a valid environment variable name must consist "
		  "only of printable ASCII characters other than '='" },
		{ "", ENV("\"name\":\"A\",\"valueFrom\":{}"), C0 "env[0].valueFrom", "Invalid value: \"\": must specify one of: `fieldRef`, "
		  "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`" },
		{ "", ENV("\"name\":\"A\",\"value\":\"x\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}"),
		  C0 "env[0].valueFrom", "Invalid value: \"\": may not be specified when `value` is not empty" },
		{ "", ENV("\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"spec.x\"}}"), C0 "env[0].valueFrom.fieldRef.fieldPath",
		  "Invalid value: \"spec.x\": error converting fieldPath: field label not supported: spec.x" },
		{ "", ENV("\"name\":\"A\",\"valueFrom\":{\"resourceFieldRef\":{\"resource\":\"limits.x\"}}"),
		  C0 "env[0].valueFrom.resourceFieldRef.resource", "Unsupported value: \"limits.x\": supported values: \"limits.cpu\", "
		  "\"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", \"requests.ephemeral-storage\", \"requests.memory\"" },
		{ "", ENV("\"name\":\"A\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\"}}"), C0 "env[0].valueFrom.secretKeyRef.key",
		  "Required value" },
		{ "", ",\"envFrom\":[{}]", C0 "envFrom[0]", "Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`" },
		{ "", ",\"ports\":[{\"containerPort\":70000}]", C0 "ports[0].containerPort",
		  "Invalid value: 70000: must be between 1 and 65535, inclusive" },
		{ "", ",\"ports\":[{\"name\":\"a\",\"containerPort\":1},{\"name\":\"a\",\"containerPort\":2}]", C0 "ports[1].name",
		  "Duplicate value: \"a\"" },
		{ "", ",\"ports\":[{\"containerPort\":1,\"hostPort\":1},{\"containerPort\":2,\"hostPort\":1}]", C0 "ports[1].hostPort",
		  "Duplicate value: \"TCP//1\"" },
		{ "", ",\"ports\":[{\"containerPort\":1,\"protocol\":\"X\"}]", C0 "ports[0].protocol",
		  "Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"" },
		{ VOLUME("\"emptyDir\":{}"), ",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/a\"},{\"name\":\"v\",\"mountPath\":"
		  "\"/a\"}]", C0 "volumeMounts[1].mountPath", "Invalid value: \"/a\": must be unique" },
		{ VOLUME("\"emptyDir\":{}"), ",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/a\",\"subPath\":\"x/../y\"}]",
		  C0 "volumeMounts[0].subPath", "Invalid value: \"x/../y\": must not contain '..'" },
		{ "", ",\"resources\":{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"1\"}}", C0 "resources.requests",
		  "Invalid value: \"2\": must be less than or equal to cpu limit of 1" },
		{ "", ",\"resources\":{\"limits\":{\"memory\":\"-1\"}}", C0 "resources.limits[memory]",
		  "Invalid value: \"-1\": must be greater than or equal to 0" },
		{ "", ",\"terminationMessagePolicy\":\"X\"", C0 "terminationMessagePolicy",
		  "Unsupported value: \"X\": supported values: \"FallbackToLogsOnError\", \"File\"" },
		{ "", ",\"imagePullPolicy\":\"X\"", C0 "imagePullPolicy",
		  "Unsupported value: \"X\": supported values: \"Always\", \"IfNotPresent\", \"Never\"" },
		{ "", ",\"restartPolicy\":\"Always\"", C0 "restartPolicy", "Forbidden: may not be set for non-init containers" },
		{ "", PROFILE("\"type\":\"Localhost\""), C0 "securityContext.seccompProfile.localhostProfile",
		  "Required value: must be set when seccomp type is Localhost" },
		{ "", PROFILE("\"type\":\"Localhost\",\"localhostProfile\":\"/a\""), C0 "securityContext.seccompProfile.localhostProfile",
		  "Invalid value: \"/a\": must be a relative path" },
		{ PROFILE("\"type\":\"Localhost\",\"localhostProfile\":\"a/../../b\""), "",
		  "spec.securityContext.seccompProfile.localhostProfile", "Invalid value: \"a/../../b\": must not contain '..'" },
		{ "", PROFILE("\"type\":\"Unconfined\",\"localhostProfile\":\"a\""), C0 "securityContext.seccompProfile.localhostProfile",
		  "Invalid value: {\"type\":\"Unconfined\",\"localhostProfile\":\"a\"}: can only be set when seccomp type is Localhost" },
		{ "", ",\"securityContext\":{\"runAsUser\":-1}", C0 "securityContext.runAsUser",
		  "Invalid value: -1: must be between 0 and 2147483647, inclusive" },
		{ ",\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"secret\":{\"secretName\":\"s\"}}]", "", "spec.volumes[0].secret",
		  "Forbidden: may not specify more than 1 volume type" },
		{ ",\"volumes\":[{\"name\":\"v\"},{\"name\":\"v\"}]", "", "spec.volumes[1].name", "Duplicate value: \"v\"" },
		{ VOLUME("\"secret\":{}"), "", "spec.volumes[0].secret.secretName", "Required value" },
		{ VOLUME("\"secret\":{\"secretName\":\"s\",\"items\":[{\"key\":\"k\",\"path\":\"../x\"}]}"), "",
		  "spec.volumes[0].secret.items[0].path", "Invalid value: \"../x\": must not contain '..'" },
		{ VOLUME("\"configMap\":{\"name\":\"s\",\"defaultMode\":512}"), "", "spec.volumes[0].configMap.defaultMode",
		  "Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive" },
		{ VOLUME("\"downwardAPI\":{\"items\":[{\"path\":\"a\",\"fieldRef\":{\"fieldPath\":\"spec.nodeName\"}}]}"), "",
		  "spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath", "Unsupported value: \"spec.nodeName\": supported values: "
		  "\"metadata.annotations\", \"metadata.labels\", \"metadata.name\", \"metadata.namespace\", \"metadata.uid\"" },
		{ VOLUME("\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"path\":\"t\",\"expirationSeconds\":60}}]}"), "",
		  "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds",
		  "Invalid value: 60: may not specify a duration less than 10 minutes" },
		{ VOLUME("\"hostPath\":{\"path\":\"/a/../b\"}"), "", "spec.volumes[0].hostPath.path",
		  "Invalid value: \"/a/../b\": must not contain '..'" },
		{ VOLUME("\"hostPath\":{\"path\":\"/a\"}"), "", "spec.volumes[0].hostPath", "Forbidden: the path is not below a directory of "
		  "\"hostPaths\" in the configuration of plugin \"node\"" },
		{ ",\"dnsPolicy\":\"None\"", "", "spec.dnsConfig.nameservers",
		  "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None" },
		{ ",\"activeDeadlineSeconds\":0", "", "spec.activeDeadlineSeconds",
		  "Invalid value: 0: must be between 1 and 2147483647, inclusive" },
		{ ",\"terminationGracePeriodSeconds\":-1", "", "spec.terminationGracePeriodSeconds",
		  "Invalid value: -1: must be greater than or equal to 0" },
	};

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		ck_assert_msg(make_pod("p", cases[i].spec, cases[i].container) == 422, "%s: taken", cases[i].field);
		ck_assert_str_eq(field(&f, 0), cases[i].field);
		ck_assert_str_eq(f.failure.causes[0].message, cases[i].message);
	}
}
END_TEST

/* The Node's annotations say what the node allows and enforces. */
START_TEST(pod_and_its_node)
{
	ck_assert_int_eq(make_pod("p", ",\"runtimeClassName\":\"standalone-bwrap\"", ""), 403);
	ck_assert_int_eq(create(&f, "v1/nodes", "", "{\"metadata\":{\"name\":\"standalone\",\"annotations\":{\"standalone/host-paths\":"
				"\"/srv/:/opt/a\",\"standalone/limits\":\"unenforced\",\"standalone/sandbox\":\"bubblewrap\",\"standalone/seccomp\":"
				"\"none\"}}}"), 201);
	ck_assert_int_eq(make_pod("a", VOLUME("\"hostPath\":{\"path\":\"/srv/x\"}"), ""), 201);
	ck_assert_str_eq(answer(&f, "/spec/volumes/0/hostPath/type"), "\"\"");
	ck_assert_int_eq(make_pod("b", VOLUME("\"hostPath\":{\"path\":\"/opt/a\",\"type\":\"Directory\"}"), ""), 201);
	ck_assert_int_eq(make_pod("c", VOLUME("\"hostPath\":{\"path\":\"/opt/ab\"}"), ""), 422);
	ck_assert_int_eq(make_pod("c", VOLUME("\"hostPath\":{\"path\":\"/opt/a\",\"type\":\"X\"}"), ""), 422);
	ck_assert_str_eq(field(&f, 0), "spec.volumes[0].hostPath.type");
	ck_assert_int_eq(make_pod("d", ",\"runtimeClassName\":\"standalone-bwrap\"", ""), 201);
	ck_assert_int_eq(make_pod("e", ",\"runtimeClassName\":\"gvisor\"", ""), 403);
	ck_assert_str_eq(f.failure.message, "pods \"e\" is forbidden: pod rejected: RuntimeClass \"gvisor\" not found");
	ck_assert_int_eq(make_pod("g", ",\"imagePullSecrets\":[{\"name\":\"s\"}]", ",\"resources\":{\"limits\":{\"memory\":\"1Gi\"}}"),
			 201);
	ck_assert_uint_eq(f.written.n_warnings, 2);
	ck_assert_str_eq(f.written.warnings[0], "spec.imagePullSecrets: ignored: images stand for programs of this machine and are not "
			 "pulled");
	ck_assert_str_eq(f.written.warnings[1], "spec.containers[*].resources.limits: not enforced: the node has no control groups that "
			 "it may write");
	ck_assert_int_eq(make_pod("h", "", ",\"securityContext\":{\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}"), 201);
	ck_assert_uint_eq(f.written.n_warnings, 1);
	ck_assert_str_eq(f.written.warnings[0], "spec.securityContext.seccompProfile: RuntimeDefault adds nothing: the node has no "
			 "sandbox, or is built without libseccomp");
	ck_assert_int_eq(make_pod("i", ",\"securityContext\":{\"seccompProfile\":{\"type\":\"Unconfined\"}}", ""), 201);
	ck_assert_uint_eq(f.written.n_warnings, 0);
	ck_assert_int_eq(make_pod("l", "", PROFILE("\"type\":\"Localhost\",\"localhostProfile\":\"a/b.json\"")), 201);
	/* Where podman runs images, it pulls them with these. */
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/nodes", "", "standalone", NULL,
			       "{\"metadata\":{\"annotations\":{\"standalone/podman\":\"yes\"}}}"), 200);
	ck_assert_int_eq(make_pod("j", ",\"imagePullSecrets\":[{\"name\":\"s\"}]", ""), 201);
	ck_assert_uint_eq(f.written.n_warnings, 0);
}
END_TEST

START_TEST(pod_classes_and_probe_defaults)
{
	static const struct { const char *resources, *class; } cases[] = {
		{ "{}", "\"BestEffort\"" },
		{ "{\"requests\":{\"cpu\":\"1\"}}", "\"Burstable\"" },
		{ "{\"limits\":{\"memory\":\"1Gi\"}}", "\"Burstable\"" },
		{ "{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}", "\"Guaranteed\"" },
		{ "{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"500m\"}}", "\"Burstable\"" },
		{ "{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"1000m\"}}", "\"Guaranteed\"" },
	};

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		char name[8], container[256];
		snprintf(name, sizeof(name), "p%zu", i);
		snprintf(container, sizeof(container), ",\"resources\":%s", cases[i].resources);
		ck_assert_int_eq(make_pod(name, "", container), 201);
		ck_assert_msg(strcmp(answer(&f, "/status/qosClass"), cases[i].class) == 0, "%s: %s", cases[i].resources,
			      answer(&f, "/status/qosClass"));
	}
	ck_assert_int_eq(make_pod("q", "", PROBE("\"httpGet\":{\"port\":80}")), 201);
	ck_assert_str_eq(answer(&f, "/spec/containers/0/livenessProbe"), "{\"httpGet\":{\"port\":80,\"path\":\"/\",\"scheme\":\"HTTP\"},"
			 "\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3}");
}
END_TEST

START_TEST(row_165_166_167)
{
	ck_assert_int_eq(create(&f, "v1/secrets", "default", "{\"metadata\":{\"name\":\"s\"},\"data\":{\"b\":\"Yg==\"},"
				"\"stringData\":{\"a\":\"x\"}}"), 201);
	ck_assert_str_eq(answer(&f, "/data/a"), "\"eA==\"");
	ck_assert_str_eq(answer(&f, "/data/b"), "\"Yg==\"");
	ck_assert_str_eq(answer(&f, "/stringData"), "");
	ck_assert_str_eq(answer(&f, "/type"), "\"Opaque\"");
	ck_assert_int_eq(update(&f, "v1/secrets", "default", "s", NULL, "{\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"eA==\"},"
				"\"stringData\":{\"a\":\"y\"}}"), 200);
	ck_assert_str_eq(answer(&f, "/data/a"), "\"eQ==\"");
	ck_assert_int_eq(create(&f, "v1/secrets", "default", "{\"metadata\":{\"name\":\"t\"},\"data\":{\"\":\"\"}}"), 422);
	ck_assert_int_eq(create(&f, "v1/secrets", "default", "{\"metadata\":{\"name\":\"t\"},\"data\":{\"a\":\"%%\"}}"), 400);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", "s", NULL, "{\"type\":\"other\"}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", "s", NULL, "{\"immutable\":true}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", "s", NULL, "{\"data\":{\"z\":\"eA==\"}}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", "s", NULL, "{\"immutable\":null}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/secrets", "default", "s", NULL, "{\"metadata\":{\"labels\":{\"l\":\"1\"}}}"),
			 200);
	ck_assert_int_eq(update(&f, "v1/configmaps", "default", "none", NULL, "{\"metadata\":{\"name\":\"none\"}}"), 404);
	ck_assert_int_eq(create(&f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"c\"},\"data\":{\"k\":\"1\"}}"), 201);
	ck_assert_int_eq(update(&f, "v1/configmaps", "default", "c", NULL, "{\"metadata\":{\"name\":\"c\"}}"), 200);
	ck_assert_str_eq(answer(&f, "/data"), "");
}
END_TEST

START_TEST(row_091_092_strategic)
{
	ck_assert_int_eq(create(&f, "batch/v1/cronjobs", "default", "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"schedule\":\"* * * * "
		"*\",\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{\"restartPolicy\":\"Never\",\"containers\":[{\"name\":\"a\",\"image\":"
		"\"i\",\"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"Y\",\"value\":\"2\"}]},{\"name\":\"b\",\"image\":\"i\"}]}}}}}}"),
		201);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "batch/v1/cronjobs", "default", "c", NULL, "{\"spec\":{\"jobTemplate\":{"
		"\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\",\"value\":\"9\"}]}]}}}}}}"), 200);
	static const char *const base = "/spec/jobTemplate/spec/template/spec/containers";
	char p[128];
	snprintf(p, sizeof(p), "%s/0/env/0/value", base);
	ck_assert_str_eq(answer(&f, p), "\"9\"");
	snprintf(p, sizeof(p), "%s/0/env/1/value", base);
	ck_assert_str_eq(answer(&f, p), "\"2\"");
	snprintf(p, sizeof(p), "%s/1/name", base);
	ck_assert_str_eq(answer(&f, p), "\"b\"");
	ck_assert_int_eq(create(&f, "v1/services", "default", "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"ports\":[{\"port\":80,"
				"\"name\":\"h\"},{\"port\":443,\"name\":\"t\"}]}}"), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/services", "default", "s", NULL,
			       "{\"spec\":{\"ports\":[{\"port\":80,\"$patch\":\"delete\"}]}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/ports/0/port"), "443");
	ck_assert_str_eq(answer(&f, "/spec/ports/1"), "");
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/services", "default", "s", NULL,
			       "{\"metadata\":{\"finalizers\":[\"a.b/c\"]}}"), 200);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/services", "default", "s", NULL,
			       "{\"metadata\":{\"finalizers\":[\"a.b/d\"]}}"), 200);
	ck_assert_str_eq(answer(&f, "/metadata/finalizers"), "[\"a.b/d\",\"a.b/c\"]");
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/services", "default", "s", NULL,
			       "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a.b/c\"]}}"), 200);
	ck_assert_str_eq(answer(&f, "/metadata/finalizers"), "[\"a.b/d\"]");
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/services", "default", "s", NULL,
			       "{\"spec\":{\"ports\":[{\"$patch\":\"replace\"},{\"port\":1}]}}"), 200);
	ck_assert_str_eq(answer(&f, "/spec/ports/0/port"), "1");
}
END_TEST

START_TEST(row_169_170)
{
	struct am_buf out = { 0 };
	const struct am_resource *res = resource(&f, "events.k8s.io/v1/events");

	ck_assert_int_eq(create(&f, "events.k8s.io/v1/events", "default", "{\"metadata\":{\"name\":\"e\"},\"eventTime\":"
		"\"2026-01-01T00:00:00.000000Z\",\"reportingController\":\"c\",\"reportingInstance\":\"i\",\"action\":\"a\",\"reason\":"
		"\"r\",\"type\":\"Normal\",\"note\":\"hello\",\"regarding\":{\"kind\":\"Pod\",\"namespace\":\"default\",\"uid\":\"u1\"}}"), 201);
	ck_assert_str_eq(stored(&f, "", "events", "default", "e", "/message"), "\"hello\"");
	ck_assert_str_eq(stored(&f, "", "events", "default", "e", "/apiVersion"), "\"v1\"");
	am_object_print(f.written.object, res, &out);
	ck_assert(strstr(out.data, "\"note\":\"hello\"") != NULL);
	ck_assert(strstr(out.data, "\"regarding\":{") != NULL);
	ck_assert(strstr(out.data, "\"apiVersion\":\"events.k8s.io/v1\"") != NULL);
	am_buf_fini(&out);
	struct am_list l;
	struct am_list_query q = { .field_selector = "regarding.uid=u1", .send_initial_events = -1 };
	ck_assert_int_eq(am_engine_list(f.engine, res, NULL, &q, &l, &f.failure), 0);
	ck_assert_uint_eq(l.n, 1);
	am_list_fini(&l);
	am_resource_unref(res);
	res = resource(&f, "v1/events");
	q.field_selector = "involvedObject.uid=u1,reason=r";
	ck_assert_int_eq(am_engine_list(f.engine, res, NULL, &q, &l, &f.failure), 0);
	ck_assert_uint_eq(l.n, 1);
	am_list_fini(&l);
	am_resource_unref(res);
}
END_TEST

START_TEST(row_168_176_and_small_rules)
{
	static const char *const rb = "rbac.authorization.k8s.io/v1/rolebindings";

	ck_assert_int_eq(create(&f, rb, "default", "{\"metadata\":{\"name\":\"b\"},\"roleRef\":{\"kind\":\"Role\",\"name\":\"r\"},"
				"\"subjects\":[{\"kind\":\"User\",\"name\":\"u\"}]}"), 201);
	ck_assert_str_eq(answer(&f, "/roleRef/apiGroup"), "\"rbac.authorization.k8s.io\"");
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, rb, "default", "b", NULL, "{\"roleRef\":{\"name\":\"x\"}}"), 422);
	ck_assert_int_eq(create(&f, "rbac.authorization.k8s.io/v1/roles", "default",
				"{\"metadata\":{\"name\":\"r\"},\"rules\":[{\"resources\":[\"pods\"]}]}"), 422);
	ck_assert_str_eq(field(&f, 0), "rules[0].verbs");
	ck_assert_int_eq(create(&f, "coordination.k8s.io/v1/leases", "default",
				"{\"metadata\":{\"name\":\"l\"},\"spec\":{\"leaseDurationSeconds\":0}}"), 422);
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", "{\"metadata\":{\"name\":\"p\"},\"spec\":{"
		"\"accessModes\":[\"ReadWriteOnce\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}"), 201);
	ck_assert_str_eq(answer(&f, "/status/phase"), "\"Bound\"");
	ck_assert_int_eq(create(&f, "v1/persistentvolumeclaims", "default", "{\"metadata\":{\"name\":\"q\"},\"spec\":{}}"), 422);
	ck_assert_int_eq(create(&f, "v1/nodes", NULL, "{\"metadata\":{\"name\":\"n\"},\"status\":{\"addresses\":[]}}"), 201);
	ck_assert_str_eq(answer(&f, "/status/addresses"), "[]");
	ck_assert_int_eq(create(&f, "v1/namespaces", NULL, "{\"metadata\":{\"name\":\"a.b\"}}"), 422);
}
END_TEST

START_TEST(row_112_113_114)
{
	static const char *const crd = "apiextensions.k8s.io/v1/customresourcedefinitions";
	static const struct { const char *name, *versions, *field; } cases[] = {
		{ "x.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}",
		  "metadata.name" },
		{ "things.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true}",
		  "spec.versions[0].schema.openAPIV3Schema" },
		{ "things.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":"
		  "\"object\",\"properties\":{\"a\":{}}}}}", "spec.validation.openAPIV3Schema.properties[a].type" },
		{ "things.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":"
		  "\"object\",\"$ref\":\"x\"}}}", "spec.validation.openAPIV3Schema.$ref" },
		{ "things.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":"
		  "\"object\"}}},{\"name\":\"v2\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}",
		  "spec.versions" },
		{ "things.example.com", "{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":"
		  "\"object\",\"x-kubernetes-validations\":[{\"rule\":\"self.x\"}]}}}",
		  "spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule" },
	};

	for (size_t i = 0; i < AM_COUNTOF(cases); i++) {
		ck_assert_msg(create(&f, crd, NULL, "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"group\":\"example.com\",\"scope\":"
			"\"Namespaced\",\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},\"versions\":[%s]}}", cases[i].name,
			cases[i].versions) == 422, "%s", cases[i].field);
		ck_assert_str_eq(field(&f, 0), cases[i].field);
	}
}
END_TEST

START_TEST(row_121_122_two_versions)
{
	static const char *const crd = "apiextensions.k8s.io/v1/customresourcedefinitions";
	struct am_buf out = { 0 };

	ck_assert_int_eq(create(&f, crd, NULL, "{\"metadata\":{\"name\":\"things.example.com\"},\"spec\":{\"group\":\"example.com\","
		"\"scope\":\"Cluster\",\"names\":{\"plural\":\"things\",\"kind\":\"Thing\"},\"versions\":["
		"{\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}},"
		"{\"name\":\"v2\",\"served\":true,\"storage\":false,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\"}}}]}}"), 201);
	am_engine_janitor_run(f.engine);
	ck_assert_int_eq(create(&f, "example.com/v1/things", NULL,
				"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"t\"}}"), 201);
	const struct am_resource *v2 = resource(&f, "example.com/v2/things");
	ck_assert(v2 != NULL);
	ck_assert_int_eq(v2->flags & AM_RES_PREFERRED, AM_RES_PREFERRED);
	am_object_print(f.written.object, v2, &out);
	ck_assert(strstr(out.data, "\"apiVersion\":\"example.com/v2\"") != NULL);
	am_buf_fini(&out);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "example.com/v2/things", NULL, "t", NULL,
			       "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}"), 200);
	ck_assert_str_eq(answer(&f, "/apiVersion"), "\"example.com/v1\"");
	am_resource_unref(v2);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, crd, NULL, "things.example.com", NULL,
			       "[{\"op\":\"replace\",\"path\":\"/spec/versions/1/served\",\"value\":false}]"), 200);
	am_engine_janitor_run(f.engine);
	ck_assert(am_engine_resource(f.engine, "example.com", "v2", "things") == NULL);
}
END_TEST

/* A new default shows in what was stored before it, also after a restart, which looks only at what may need it. */
START_TEST(a_new_shape_survives_a_restart)
{
	static const char *const crds = "apiextensions.k8s.io/v1/customresourcedefinitions";

	make_widgets(&f);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"
				"\"name\":\"old\"},\"spec\":{}}"), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, crds, NULL, WIDGETS, NULL, "[{\"op\":\"add\",\"path\":\"/spec/versions/0/schema/"
			       "openAPIV3Schema/properties/spec/properties/color\",\"value\":{\"type\":\"string\",\"default\":\"red\"}}]"), 200);
	am_engine_janitor_run(f.engine);
	for (int i = 0; i < 1100; i++)
		ck_assert_int_eq(create(&f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"m%d\"}}", i), 201);
	ck_assert_int_eq(create(&f, WIDGET_KIND, "default", "{\"apiVersion\":\"example.com/v1\",\"kind\":\"Widget\",\"metadata\":{"
				"\"name\":\"new\"},\"spec\":{\"color\":\"blue\"}}"), 201);
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "old", "/spec/color"), "\"red\"");
		ck_assert_str_eq(stored(&f, "example.com", "widgets", "default", "new", "/spec/color"), "\"blue\"");
		fixture_clear(&f);
		am_engine_close(f.engine);
		fixture_reopen(&f);
	}
}
END_TEST

/* tests/cluster/bodies.py holds every field of every kind against a kube-apiserver. */
START_TEST(values_of_another_type)
{
	static const struct {
		const char *kind, *members, *why; /* why NULL: it is good */
	} bodies[] = {
		{ "v1/configmaps", "\"data\":[]", "data should be an object, not a list" },
		{ "v1/configmaps", "\"data\":{\"k\":7}", "data[k] should be a string, not the number 7" },
		{ "v1/configmaps", "\"data\":{\"k\":null},\"immutable\":null", NULL },
		{ "v1/configmaps", "\"immutable\":\"true\"", "immutable should be true or false, not the string \"true\"" },
		{ "v1/services", "\"spec\":{\"ports\":[{\"port\":1.5}]}", "spec.ports[0].port should be a whole number of 32 bits, not the number 1.5" },
		{ "v1/services", "\"spec\":{\"ports\":[{\"port\":99999999999}]}", "spec.ports[0].port should be a whole number of 32 bits" },
		{ "v1/services", "\"spec\":{\"ports\":[{\"port\":80,\"targetPort\":true}]}", "spec.ports[0].targetPort should be a string or a whole" },
		{ "v1/limitranges", "\"spec\":{\"limits\":[{\"type\":\"Container\",\"max\":{\"cpu\":\"1q\"}}]}", "spec.limits[0].max[cpu] should be a quantity" },
		{ "coordination.k8s.io/v1/leases", "\"spec\":{\"renewTime\":\"2026-01-01T00:00:00Z\"}", "spec.renewTime should be a time as in RFC 3339, to the" },
		{ "coordination.k8s.io/v1/leases", "\"spec\":{\"renewTime\":\"2026-01-01T00:00:00.000001Z\"}", NULL },
		{ "rbac.authorization.k8s.io/v1/roles", "\"rules\":[{\"verbs\":\"get\"}]", "rules[0].verbs should be a list, not the string \"get\"" },
		{ "v1/secrets", "\"status\":{\"x\":[]},\"type\":{}", "type should be a string, not an object" },
	};

	for (size_t i = 0; i < AM_COUNTOF(bodies); i++) {
		int code = create(&f, bodies[i].kind, "default", "{\"metadata\":{\"name\":\"n-%zu\"},%s}", i, bodies[i].members);

		ck_assert_msg(code == (bodies[i].why == NULL ? 201 : 400), "%s %s: %d %s", bodies[i].kind, bodies[i].members, code, f.failure.message);
		ck_assert_msg(code == 201 || strstr(f.failure.message, bodies[i].why) != NULL, "%s: %s", bodies[i].why, f.failure.message);
	}
	ck_assert_int_eq(create(&f, "v1/configmaps", "default", "{\"metadata\":{\"name\":\"p\"}}"), 201);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/configmaps", "default", "p", NULL, "{\"data\":{\"k\":[]}}"), 422);
	ck_assert_str_eq(field(&f, 0), "patch");
	ck_assert_int_eq(patch(&f, AM_PATCH_JSON, "v1/configmaps", "default", "p", NULL, "[{\"op\":\"add\",\"path\":\"/data\",\"value\":7}]"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_STRATEGIC, "v1/configmaps", "default", "p", NULL, "{\"immutable\":\"no\"}"), 422);
	ck_assert_int_eq(patch(&f, AM_PATCH_MERGE, "v1/configmaps", "default", "p", NULL, "{\"data\":{\"k\":\"v\"}}"), 200);
}
END_TEST

static void
cases(TCase *tc)
{
	tcase_add_test(tc, values_of_another_type);
	tcase_add_checked_fixture(tc, open_all, done);
	tcase_add_test(tc, a_new_shape_survives_a_restart);
	tcase_add_test(tc, row_182_183_184);
	tcase_add_test(tc, row_084_195);
	tcase_add_test(tc, pod_defaults_and_admission);
	tcase_add_test(tc, pod_updates);
	tcase_add_test(tc, pod_refusals);
	tcase_add_test(tc, pod_validation);
	tcase_add_test(tc, pod_and_its_node);
	tcase_add_test(tc, pod_classes_and_probe_defaults);
	tcase_add_test(tc, row_165_166_167);
	tcase_add_test(tc, row_091_092_strategic);
	tcase_add_test(tc, row_169_170);
	tcase_add_test(tc, row_168_176_and_small_rules);
	tcase_add_test(tc, row_112_113_114);
	tcase_add_test(tc, row_121_122_two_versions);
}

UNIT_MAIN("apiserver_kinds", cases)
