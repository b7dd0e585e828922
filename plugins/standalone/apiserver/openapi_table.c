/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients want to know of builtin kinds and the wire table does not say: a sentence about the kinds and the fields
 * that people ask kubectl explain for.
 */
#include "plugins/standalone/apiserver/openapi_priv.h"

static bool
same_field(const char *a, const char *b)
{
	return (a == NULL && b == NULL) || am_streq(a, b);
}

static const struct {
	const char *message, *field, *words;
} words[] = {
	{ "b.CronJob", NULL, "Makes a Job at the times that its schedule names." },
	{ "b.CronJobSpec", "schedule", "When to run: five fields as in crontab(5), or @hourly, @daily and the like." },
	{ "b.CronJobSpec", "timeZone", "In which the schedule is read; unset: that of the server." },
	{ "b.CronJobSpec", "concurrencyPolicy", "Allow (default), Forbid or Replace: what happens while a Job still runs." },
	{ "b.CronJobSpec", "suspend", "No further Jobs are made while this is true." },
	{ "b.CronJobSpec", "startingDeadlineSeconds", "A time that was missed by more than this is skipped." },
	{ "b.CronJobSpec", "jobTemplate", "What the Jobs look like." },
	{ "b.CronJobSpec", "successfulJobsHistoryLimit", "How many finished Jobs that succeeded are kept; 3 by default." },
	{ "b.CronJobSpec", "failedJobsHistoryLimit", "How many finished Jobs that failed are kept; 1 by default." },
	{ "b.Job", NULL, "Runs pods until enough of them have succeeded." },
	{ "b.JobSpec", "parallelism", "How many pods may run at the same time; 1 by default." },
	{ "b.JobSpec", "completions", "How many pods must succeed; unset: any one ends the work queue." },
	{ "b.JobSpec", "activeDeadlineSeconds", "The Job fails when it has been active for longer." },
	{ "b.JobSpec", "backoffLimit", "How many failed pods are allowed before the Job fails; 6 by default." },
	{ "b.JobSpec", "backoffLimitPerIndex", "As backoffLimit, for each index of an Indexed Job." },
	{ "b.JobSpec", "ttlSecondsAfterFinished", "A finished Job is deleted after this time." },
	{ "b.JobSpec", "completionMode", "NonIndexed (default) or Indexed, where each pod has a number." },
	{ "b.JobSpec", "suspend", "No pods run while this is true." },
	{ "b.JobSpec", "template", "What the pods look like; immutable." },
	{ "b.JobSpec", "selector", "Labels of the pods; set by the server unless manualSelector is true." },
	{ "b.JobSpec", "podFailurePolicy", "What kinds of failure end the Job at once, or do not count." },
	{ "b.JobSpec", "successPolicy", "When an Indexed Job has succeeded before all of its indexes have." },
	{ "b.JobStatus", "active", "Pods that are pending or running." },
	{ "b.JobStatus", "succeeded", "Pods that ended well." },
	{ "b.JobStatus", "failed", "Pods that failed." },
	{ "b.JobStatus", "conditions", "What is known of the Job: Complete, Failed, Suspended and what leads to them." },
	{ "c.ConfigMap", NULL, "Configuration, as a set of named texts or bytes." },
	{ "c.ConfigMap", "data", "Texts by key." },
	{ "c.ConfigMap", "binaryData", "Bytes by key, in base64." },
	{ "c.ConfigMap", "immutable", "True: data can never be changed again." },
	{ "c.Container", NULL, "One program of a pod." },
	{ "c.Container", "name", "Name of the container, unique in the pod." },
	{ "c.Container", "image", "Image, or the name that the node maps to a command." },
	{ "c.Container", "command", "Program and its first arguments; unset: the image's." },
	{ "c.Container", "args", "Arguments." },
	{ "c.Container", "env", "Environment variables." },
	{ "c.Container", "envFrom", "ConfigMaps and Secrets, every key of which becomes a variable." },
	{ "c.Container", "volumeMounts", "Where the pod's volumes appear." },
	{ "c.Container", "resources", "What it needs, and what it may use at most." },
	{ "c.Container", "workingDir", "Directory in which it starts." },
	{ "c.Container", "livenessProbe", "It is restarted when this fails." },
	{ "c.Container", "readinessProbe", "It is ready while this succeeds." },
	{ "c.Container", "startupProbe", "The other probes wait until this has succeeded." },
	{ "c.Container", "restartPolicy", "Always, for an init container: it keeps running beside the others." },
	{ "c.Event", NULL, "Something that happened to an object." },
	{ "c.Event", "involvedObject", "About which object it is." },
	{ "c.Event", "reason", "A short word for machines." },
	{ "c.Event", "message", "A sentence for people." },
	{ "c.Event", "type", "Normal or Warning." },
	{ "c.LimitRange", NULL, "Bounds and defaults of what pods and claims of a namespace may ask for." },
	{ "c.Namespace", NULL, "A space in which names are unique." },
	{ "c.Node", NULL, "A machine that runs pods." },
	{ "c.PersistentVolumeClaim", NULL, "A request for storage that outlives pods." },
	{ "c.Pod", NULL, "Containers that run together." },
	{ "c.PodSpec", "containers", "The pod's programs; at least one." },
	{ "c.PodSpec", "initContainers", "Programs that run to their end, one after the other, before the containers start." },
	{ "c.PodSpec", "restartPolicy", "Always, OnFailure or Never." },
	{ "c.PodSpec", "volumes", "Directories and files that containers can mount." },
	{ "c.PodSpec", "serviceAccountName", "The ServiceAccount whose token the pod gets; default when unset." },
	{ "c.PodSpec", "automountServiceAccountToken", "False: the pod gets no token." },
	{ "c.PodSpec", "nodeName", "The node that runs it." },
	{ "c.PodSpec", "terminationGracePeriodSeconds", "Time between being asked to end and being killed; 30 by default." },
	{ "c.PodSpec", "activeDeadlineSeconds", "The pod fails when it has run for longer." },
	{ "c.PodSpec", "securityContext", "User, groups and rights of all its containers." },
	{ "c.PodStatus", "phase", "Pending, Running, Succeeded, Failed or Unknown." },
	{ "c.PodStatus", "containerStatuses", "How each container fares." },
	{ "c.ResourceQuota", NULL, "What all objects of a namespace may use together." },
	{ "c.Secret", NULL, "As a ConfigMap, for what must not be seen." },
	{ "c.Secret", "data", "Bytes by key, in base64." },
	{ "c.Secret", "stringData", "Texts by key, for writing only; they are merged into data." },
	{ "c.Secret", "type", "What the keys mean to programs; Opaque by default." },
	{ "c.Service", NULL, "A name for a set of pods." },
	{ "c.ServiceAccount", NULL, "An identity for programs." },
	{ "co.Lease", NULL, "Who holds something, and until when." },
	{ "e.Event", NULL, "Something that happened to an object." },
	{ "m.ObjectMeta", NULL, "What every object has." },
	{ "m.ObjectMeta", "name", "Unique within a namespace and a resource." },
	{ "m.ObjectMeta", "generateName", "Prefix of a name that the server makes unique." },
	{ "m.ObjectMeta", "namespace", "The space of the name." },
	{ "m.ObjectMeta", "labels", "Short texts to select objects by." },
	{ "m.ObjectMeta", "annotations", "Texts for tools and people; not selected by." },
	{ "m.ObjectMeta", "ownerReferences", "Objects without which this one is deleted." },
	{ "m.ObjectMeta", "finalizers", "The object stays until this list is empty." },
	{ "m.ObjectMeta", "resourceVersion", "Changes with every write; sent back, it makes a write conditional." },
	{ "m.ObjectMeta", "uid", "Never used again, even for the same name." },
	{ "m.ObjectMeta", "generation", "Counts the changes of what is wanted." },
	{ "m.ObjectMeta", "creationTimestamp", "When it was made." },
	{ "m.ObjectMeta", "deletionTimestamp", "When it was asked to be deleted; it goes when nothing holds it any more." },
	{ "n.NetworkPolicy", NULL, "Which traffic pods may have.  Standalone stores it and enforces nothing." },
	{ "r.ClusterRole", NULL, "Rights, in all namespaces and on what has none." },
	{ "r.ClusterRoleBinding", NULL, "Gives a ClusterRole's rights to users, groups and accounts." },
	{ "r.Role", NULL, "Rights in one namespace." },
	{ "r.RoleBinding", NULL, "Gives a role's rights in one namespace to users, groups and accounts." },
	{ "x.CustomResourceDefinition", NULL, "Makes the server serve a kind of its own." },
	{ "x.CustomResourceDefinitionSpec", "group", "API group of the kind." },
	{ "x.CustomResourceDefinitionSpec", "names", "How the kind is called." },
	{ "x.CustomResourceDefinitionSpec", "scope", "Namespaced or Cluster." },
	{ "x.CustomResourceDefinitionSpec", "versions", "Versions that are served; exactly one is stored." },
};

const char *
openapi_words(const char *message, const char *field)
{
	for (size_t i = 0; i < AM_COUNTOF(words); i++)
		if (strcmp(words[i].message, message) == 0 && same_field(words[i].field, field))
			return words[i].words;
	return NULL;
}
