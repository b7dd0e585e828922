/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /standalone/limits: what differs from a cluster's API server, for people and for programs that show it.  What a
 * request is answered with is said as an HTTP status, or as "absent" from discovery, or as "warning" where it is stored.
 */
#include "plugins/standalone/apiserver/rest.h"

#define FORMAT 1

static const struct {
	const char *feature, *answer, *why;
} limits[] = {
	{ "groups apps, autoscaling, policy, storage, admissionregistration, apiregistration, certificates, metrics, resource, flowcontrol",
	  "absent", "nothing here would act on their objects" },
	{ "Deployments, StatefulSets, DaemonSets, ReplicaSets", "absent", "no controller runs them; use Jobs" },
	{ "Services", "warning", "stored; nothing routes to them and they get no clusterIP" },
	{ "NetworkPolicies", "warning", "stored; nothing enforces them" },
	{ "admission webhooks, ValidatingAdmissionPolicies, aggregated API servers", "absent", "a hook that is skipped would be a lie" },
	{ "conversion webhooks of definitions", "422", "spec.conversion.strategy must be None" },
	{ "unknown keywords in the schema of a definition", "422", "nothing in a schema is ignored unseen" },
	{ "objects stored before the storage version of their definition changed", "200", "shown as the new version's schema has them" },
	{ "pods/portforward, pods/ephemeralcontainers, pods/resize, pods/binding", "501", "not implemented by the standalone server" },
	{ "services/proxy, nodes/proxy", "404", "nothing routes to Services; a pod is reached by pods/proxy" },
	{ "SPDY upgrades", "501", "exec and attach speak WebSocket; kubectl 1.31 and newer do by default" },
	{ "writes and upgrades that a browser sends for a page of another site", "403", "what its Sec-Fetch-Site or Origin says" },
	{ "protobuf and CBOR answers", "406", "bodies may be protobuf, answers are JSON or YAML" },
	{ "CBOR bodies", "415", "JSON, YAML and protobuf are read" },
	{ "pods that need the host: hostPID, hostIPC, privileged, added capabilities, sysctls, block volumes, other volume types",
	  "422", "pods run as sandboxed processes of one machine" },
	{ "priorityClassName of pods", "warning", "stored; pods of this node have no priorities" },
	{ "pods of different namespaces as different users of the machine", "200", "only with uidRange of plugin node; else they are one user outside" },
	{ "lists at an old exact resourceVersion", "410", "only recent history is kept" },
	{ "Nodes", "200", "one, which the node plugin writes" },
	{ "PersistentVolumes, StorageClasses", "absent", "a claim is a directory and counts as bound from the start" },
	{ "API priority and fairness", "absent", "limits of connections and requests answer 429 with Retry-After" },
};

void
rest_limits(struct rest_call *call)
{
	struct am_buf body = { 0 };

	am_json_addf(&body, "{\"format\":%d,\"version\":%s,\"limits\":[", FORMAT, REST_VERSION);
	for (size_t i = 0; i < AM_COUNTOF(limits); i++)
		am_json_addf(&body, "%j{\"feature\":%s,\"answer\":%s,\"why\":%s}", i > 0 ? "," : "", limits[i].feature,
			     limits[i].answer, limits[i].why);
	am_buf_adds(&body, "]}");
	rest_answer_json(call, 200, &body);
}
