/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire format of the builtin kinds as data: for each message its fields, "number=jsonName:type".  Types: s string,
 * B bool, i int32, I int64, d double, bytes, [T] repeated, {T} map from strings, ([T]) a message around a list, * a
 * pointer (zero values are kept), ! a name that is always written.  "<inline>" merges the message into its parent.
 * Packages: c core/v1, m meta/v1, b batch/v1, co coordination/v1, e events/v1, r rbac/v1, an authentication/v1, az
 * authorization/v1, n networking/v1, as autoscaling/v1, s3 scheduling/v1alpha3, x apiextensions/v1; q, the times and
 * JSON within schemas are read by hand in proto.c.  Sorted by name.
 */
#include "plugins/standalone/apiserver/proto.h"

const struct rest_proto_message rest_proto_messages[] = {
	{ "an.BoundObjectReference",
	  "1=kind:s 2=apiVersion:s 3=name:s 4=uid:s" },
	{ "an.SelfSubjectReview",
	  "1=metadata:m.ObjectMeta 2=status:an.SelfSubjectReviewStatus" },
	{ "an.SelfSubjectReviewStatus",
	  "1=userInfo:an.UserInfo" },
	{ "an.TokenRequest",
	  "1=metadata:m.ObjectMeta 2=spec!:an.TokenRequestSpec 3=status:an.TokenRequestStatus" },
	{ "an.TokenRequestSpec",
	  "1=audiences!:[s] 3=boundObjectRef!:*an.BoundObjectReference 4=expirationSeconds!:*I "
	  "5=attestations:{([s])}" },
	{ "an.TokenRequestStatus",
	  "1=token!:s 2=expirationTimestamp!:m.Time" },
	{ "an.TokenReview",
	  "1=metadata:m.ObjectMeta 2=spec!:an.TokenReviewSpec 3=status:an.TokenReviewStatus" },
	{ "an.TokenReviewSpec",
	  "1=token:s 2=audiences:[s]" },
	{ "an.TokenReviewStatus",
	  "1=authenticated:B 2=user:an.UserInfo 3=error:s 4=audiences:[s]" },
	{ "an.UserInfo",
	  "1=username:s 2=uid:s 3=groups:[s] 4=extra:{([s])}" },
	{ "as.Scale",
	  "1=metadata:m.ObjectMeta 2=spec:as.ScaleSpec 3=status:as.ScaleStatus" },
	{ "as.ScaleSpec",
	  "1=replicas:i" },
	{ "as.ScaleStatus",
	  "1=replicas!:i 2=selector:s" },
	{ "az.FieldSelectorAttributes",
	  "1=rawSelector:s 2=requirements:[m.FieldSelectorRequirement]" },
	{ "az.LabelSelectorAttributes",
	  "1=rawSelector:s 2=requirements:[m.LabelSelectorRequirement]" },
	{ "az.LocalSubjectAccessReview",
	  "1=metadata:m.ObjectMeta 2=spec!:az.SubjectAccessReviewSpec "
	  "3=status:az.SubjectAccessReviewStatus" },
	{ "az.NonResourceAttributes",
	  "1=path:s 2=verb:s" },
	{ "az.NonResourceRule",
	  "1=verbs!:[s] 2=nonResourceURLs:[s]" },
	{ "az.ResourceAttributes",
	  "1=namespace:s 2=verb:s 3=group:s 4=version:s 5=resource:s 6=subresource:s 7=name:s "
	  "8=fieldSelector:*az.FieldSelectorAttributes 9=labelSelector:*az.LabelSelectorAttributes" },
	{ "az.ResourceRule",
	  "1=verbs!:[s] 2=apiGroups:[s] 3=resources:[s] 4=resourceNames:[s]" },
	{ "az.SelfSubjectAccessReview",
	  "1=metadata:m.ObjectMeta 2=spec!:az.SelfSubjectAccessReviewSpec "
	  "3=status:az.SubjectAccessReviewStatus" },
	{ "az.SelfSubjectAccessReviewSpec",
	  "1=resourceAttributes:*az.ResourceAttributes "
	  "2=nonResourceAttributes:*az.NonResourceAttributes" },
	{ "az.SelfSubjectRulesReview",
	  "1=metadata:m.ObjectMeta 2=spec!:az.SelfSubjectRulesReviewSpec "
	  "3=status:az.SubjectRulesReviewStatus" },
	{ "az.SelfSubjectRulesReviewSpec",
	  "1=namespace:s" },
	{ "az.SubjectAccessReview",
	  "1=metadata:m.ObjectMeta 2=spec!:az.SubjectAccessReviewSpec "
	  "3=status:az.SubjectAccessReviewStatus" },
	{ "az.SubjectAccessReviewSpec",
	  "1=resourceAttributes:*az.ResourceAttributes "
	  "2=nonResourceAttributes:*az.NonResourceAttributes 3=user:s 4=groups:[s] 5=extra:{([s])} "
	  "6=uid:s" },
	{ "az.SubjectAccessReviewStatus",
	  "1=allowed!:B 2=reason:s 3=evaluationError:s 4=denied:B" },
	{ "az.SubjectRulesReviewStatus",
	  "1=resourceRules!:[az.ResourceRule] 2=nonResourceRules!:[az.NonResourceRule] 3=incomplete!:B "
	  "4=evaluationError:s" },
	{ "b.CronJob",
	  "1=metadata:m.ObjectMeta 2=spec:b.CronJobSpec 3=status:b.CronJobStatus" },
	{ "b.CronJobSpec",
	  "1=schedule!:s 2=startingDeadlineSeconds:*I 3=concurrencyPolicy:s 4=suspend:*B "
	  "5=jobTemplate!:b.JobTemplateSpec 6=successfulJobsHistoryLimit:*i 7=failedJobsHistoryLimit:*i "
	  "8=timeZone:*s" },
	{ "b.CronJobStatus",
	  "1=active:[c.ObjectReference] 4=lastScheduleTime:*m.Time 5=lastSuccessfulTime:*m.Time" },
	{ "b.Job",
	  "1=metadata:m.ObjectMeta 2=spec:b.JobSpec 3=status:b.JobStatus" },
	{ "b.JobCondition",
	  "1=type!:s 2=status!:s 3=lastProbeTime:m.Time 4=lastTransitionTime:m.Time 5=reason:s "
	  "6=message:s" },
	{ "b.JobSchedulingConfiguration",
	  "1=schedulingPolicy:*s3.WorkloadPodGroupSchedulingPolicy "
	  "2=schedulingConstraints:*s3.WorkloadPodGroupSchedulingConstraints "
	  "3=disruptionMode:*s3.WorkloadPodGroupDisruptionMode "
	  "4=resourceClaims:[s3.WorkloadPodGroupResourceClaim]" },
	{ "b.JobSpec",
	  "1=parallelism:*i 2=completions:*i 3=activeDeadlineSeconds:*I 4=selector:*m.LabelSelector "
	  "5=manualSelector:*B 6=template!:c.PodTemplateSpec 7=backoffLimit:*i "
	  "8=ttlSecondsAfterFinished:*i 9=completionMode:*s 10=suspend:*B "
	  "11=podFailurePolicy:*b.PodFailurePolicy 12=backoffLimitPerIndex:*i 13=maxFailedIndexes:*i "
	  "14=podReplacementPolicy:*s 15=managedBy:*s 16=successPolicy:*b.SuccessPolicy "
	  "17=scheduling:*b.JobSchedulingConfiguration" },
	{ "b.JobStatus",
	  "1=conditions:[b.JobCondition] 2=startTime:*m.Time 3=completionTime:*m.Time 4=active:i "
	  "5=succeeded:i 6=failed:i 7=completedIndexes:s "
	  "8=uncountedTerminatedPods:*b.UncountedTerminatedPods 9=ready:*i 10=failedIndexes:*s "
	  "11=terminating:*i" },
	{ "b.JobTemplateSpec",
	  "1=metadata:m.ObjectMeta 2=spec:b.JobSpec" },
	{ "b.PodFailurePolicy",
	  "1=rules!:[b.PodFailurePolicyRule]" },
	{ "b.PodFailurePolicyOnExitCodesRequirement",
	  "1=containerName:*s 2=operator!:s 3=values!:[i]" },
	{ "b.PodFailurePolicyOnPodConditionsPattern",
	  "1=type!:s 2=status!:s" },
	{ "b.PodFailurePolicyRule",
	  "1=action!:s 2=onExitCodes:*b.PodFailurePolicyOnExitCodesRequirement "
	  "3=onPodConditions:[b.PodFailurePolicyOnPodConditionsPattern]" },
	{ "b.SuccessPolicy",
	  "1=rules!:[b.SuccessPolicyRule]" },
	{ "b.SuccessPolicyRule",
	  "1=succeededIndexes:*s 2=succeededCount:*i" },
	{ "b.UncountedTerminatedPods",
	  "1=succeeded:[s] 2=failed:[s]" },
	{ "c.AWSElasticBlockStoreVolumeSource",
	  "1=volumeID!:s 2=fsType:s 3=partition:i 4=readOnly:B" },
	{ "c.Affinity",
	  "1=nodeAffinity:*c.NodeAffinity 2=podAffinity:*c.PodAffinity "
	  "3=podAntiAffinity:*c.PodAntiAffinity" },
	{ "c.AppArmorProfile",
	  "1=type!:s 2=localhostProfile:*s" },
	{ "c.AttachedVolume",
	  "1=name!:s 2=devicePath!:s" },
	{ "c.AzureDiskVolumeSource",
	  "1=diskName!:s 2=diskURI!:s 3=cachingMode:*s 4=fsType:*s 5=readOnly:*B 6=kind:*s" },
	{ "c.AzureFileVolumeSource",
	  "1=secretName!:s 2=shareName!:s 3=readOnly:B" },
	{ "c.CSIVolumeSource",
	  "1=driver!:s 2=readOnly:*B 3=fsType:*s 4=volumeAttributes:{s} "
	  "5=nodePublishSecretRef:*c.LocalObjectReference" },
	{ "c.Capabilities",
	  "1=add:[s] 2=drop:[s]" },
	{ "c.CephFSVolumeSource",
	  "1=monitors!:[s] 2=path:s 3=user:s 4=secretFile:s 5=secretRef:*c.LocalObjectReference "
	  "6=readOnly:B" },
	{ "c.CinderVolumeSource",
	  "1=volumeID!:s 2=fsType:s 3=readOnly:B 4=secretRef:*c.LocalObjectReference" },
	{ "c.ClientIPConfig",
	  "1=timeoutSeconds:*i" },
	{ "c.ClusterTrustBundleProjection",
	  "1=name:*s 2=signerName:*s 3=labelSelector:*m.LabelSelector 4=path!:s 5=optional:*B 6=user:*I" },
	{ "c.ConfigMap",
	  "1=metadata:m.ObjectMeta 2=data:{s} 3=binaryData:{bytes} 4=immutable:*B" },
	{ "c.ConfigMapEnvSource",
	  "1=<inline>:c.LocalObjectReference 2=optional:*B" },
	{ "c.ConfigMapKeySelector",
	  "1=<inline>:c.LocalObjectReference 2=key!:s 3=optional:*B" },
	{ "c.ConfigMapNodeConfigSource",
	  "1=namespace!:s 2=name!:s 3=uid:s 4=resourceVersion:s 5=kubeletConfigKey!:s" },
	{ "c.ConfigMapProjection",
	  "1=<inline>:c.LocalObjectReference 2=items:[c.KeyToPath] 4=optional:*B" },
	{ "c.ConfigMapVolumeSource",
	  "1=<inline>:c.LocalObjectReference 2=items:[c.KeyToPath] 3=defaultMode:*i 4=optional:*B "
	  "5=defaultUser:*I" },
	{ "c.Container",
	  "1=name!:s 2=image:s 3=command:[s] 4=args:[s] 5=workingDir:s 6=ports:[c.ContainerPort] "
	  "7=env:[c.EnvVar] 8=resources:c.ResourceRequirements 9=volumeMounts:[c.VolumeMount] "
	  "10=livenessProbe:*c.Probe 11=readinessProbe:*c.Probe 12=lifecycle:*c.Lifecycle "
	  "13=terminationMessagePath:s 14=imagePullPolicy:s 15=securityContext:*c.SecurityContext "
	  "16=stdin:B 17=stdinOnce:B 18=tty:B 19=envFrom:[c.EnvFromSource] "
	  "20=terminationMessagePolicy:s 21=volumeDevices:[c.VolumeDevice] 22=startupProbe:*c.Probe "
	  "23=resizePolicy:[c.ContainerResizePolicy] 24=restartPolicy:*s "
	  "25=restartPolicyRules:[c.ContainerRestartRule]" },
	{ "c.ContainerExtendedResourceRequest",
	  "1=containerName!:s 2=resourceName!:s 3=requestName!:s" },
	{ "c.ContainerImage",
	  "1=names!:[s] 2=sizeBytes:I" },
	{ "c.ContainerPort",
	  "1=name:s 2=hostPort:i 3=containerPort!:i 4=protocol:s 5=hostIP:s" },
	{ "c.ContainerResizePolicy",
	  "1=resourceName!:s 2=restartPolicy!:s" },
	{ "c.ContainerRestartRule",
	  "1=action:s 2=exitCodes:*c.ContainerRestartRuleOnExitCodes" },
	{ "c.ContainerRestartRuleOnExitCodes",
	  "1=operator:s 2=values:[i]" },
	{ "c.ContainerState",
	  "1=waiting:*c.ContainerStateWaiting 2=running:*c.ContainerStateRunning "
	  "3=terminated:*c.ContainerStateTerminated" },
	{ "c.ContainerStateRunning",
	  "1=startedAt:m.Time" },
	{ "c.ContainerStateTerminated",
	  "1=exitCode!:i 2=signal:i 3=reason:s 4=message:s 5=startedAt:m.Time 6=finishedAt:m.Time "
	  "7=containerID:s" },
	{ "c.ContainerStateWaiting",
	  "1=reason:s 2=message:s" },
	{ "c.ContainerStatus",
	  "1=name!:s 2=state:c.ContainerState 3=lastState:c.ContainerState 4=ready!:B 5=restartCount!:i "
	  "6=image!:s 7=imageID!:s 8=containerID:s 9=started:*B 10=allocatedResources:{q.Quantity} "
	  "11=resources:*c.ResourceRequirements 12=volumeMounts:[c.VolumeMountStatus] "
	  "13=user:*c.ContainerUser 14=allocatedResourcesStatus:[c.ResourceStatus] 15=stopSignal:*s" },
	{ "c.ContainerUser",
	  "1=linux:*c.LinuxContainerUser" },
	{ "c.DaemonEndpoint",
	  "1=Port!:i" },
	{ "c.DownwardAPIProjection",
	  "1=items:[c.DownwardAPIVolumeFile]" },
	{ "c.DownwardAPIVolumeFile",
	  "1=path!:s 2=fieldRef:*c.ObjectFieldSelector 3=resourceFieldRef:*c.ResourceFieldSelector "
	  "4=mode:*i 5=user:*I" },
	{ "c.DownwardAPIVolumeSource",
	  "1=items:[c.DownwardAPIVolumeFile] 2=defaultMode:*i 3=defaultUser:*I" },
	{ "c.EmptyDirVolumeSource",
	  "1=medium:s 2=sizeLimit:*q.Quantity 3=mode:*i" },
	{ "c.EnvFromSource",
	  "1=prefix:s 2=configMapRef:*c.ConfigMapEnvSource 3=secretRef:*c.SecretEnvSource" },
	{ "c.EnvVar",
	  "1=name!:s 2=value:s 3=valueFrom:*c.EnvVarSource" },
	{ "c.EnvVarSource",
	  "1=fieldRef:*c.ObjectFieldSelector 2=resourceFieldRef:*c.ResourceFieldSelector "
	  "3=configMapKeyRef:*c.ConfigMapKeySelector 4=secretKeyRef:*c.SecretKeySelector "
	  "5=fileKeyRef:*c.FileKeySelector" },
	{ "c.EphemeralContainer",
	  "1=<inline>:c.EphemeralContainerCommon 2=targetContainerName:s" },
	{ "c.EphemeralContainerCommon",
	  "1=name!:s 2=image:s 3=command:[s] 4=args:[s] 5=workingDir:s 6=ports:[c.ContainerPort] "
	  "7=env:[c.EnvVar] 8=resources:c.ResourceRequirements 9=volumeMounts:[c.VolumeMount] "
	  "10=livenessProbe:*c.Probe 11=readinessProbe:*c.Probe 12=lifecycle:*c.Lifecycle "
	  "13=terminationMessagePath:s 14=imagePullPolicy:s 15=securityContext:*c.SecurityContext "
	  "16=stdin:B 17=stdinOnce:B 18=tty:B 19=envFrom:[c.EnvFromSource] "
	  "20=terminationMessagePolicy:s 21=volumeDevices:[c.VolumeDevice] 22=startupProbe:*c.Probe "
	  "23=resizePolicy:[c.ContainerResizePolicy] 24=restartPolicy:*s "
	  "25=restartPolicyRules:[c.ContainerRestartRule]" },
	{ "c.EphemeralVolumeSource",
	  "1=volumeClaimTemplate:*c.PersistentVolumeClaimTemplate" },
	{ "c.Event",
	  "1=metadata!:m.ObjectMeta 2=involvedObject!:c.ObjectReference 3=reason:s 4=message:s "
	  "5=source:c.EventSource 6=firstTimestamp:m.Time 7=lastTimestamp:m.Time 8=count:i 9=type:s "
	  "10=eventTime:m.MicroTime 11=series:*c.EventSeries 12=action:s 13=related:*c.ObjectReference "
	  "14=reportingComponent!:s 15=reportingInstance!:s" },
	{ "c.EventSeries",
	  "1=count:i 2=lastObservedTime:m.MicroTime" },
	{ "c.EventSource",
	  "1=component:s 2=host:s" },
	{ "c.EvictionResponder",
	  "1=name!:s 2=priority!:*i" },
	{ "c.ExecAction",
	  "1=command:[s]" },
	{ "c.FCVolumeSource",
	  "1=targetWWNs:[s] 2=lun:*i 3=fsType:s 4=readOnly:B 5=wwids:[s]" },
	{ "c.FileKeySelector",
	  "1=volumeName!:s 2=path!:s 3=key!:s 4=optional:*B" },
	{ "c.FlexVolumeSource",
	  "1=driver!:s 2=fsType:s 3=secretRef:*c.LocalObjectReference 4=readOnly:B 5=options:{s}" },
	{ "c.FlockerVolumeSource",
	  "1=datasetName:s 2=datasetUUID:s" },
	{ "c.GCEPersistentDiskVolumeSource",
	  "1=pdName!:s 2=fsType:s 3=partition:i 4=readOnly:B" },
	{ "c.GRPCAction",
	  "1=port!:i 2=service!:*s 3=mode:*s" },
	{ "c.GitRepoVolumeSource",
	  "1=repository!:s 2=revision:s 3=directory:s" },
	{ "c.GlusterfsVolumeSource",
	  "1=endpoints!:s 2=path!:s 3=readOnly:B" },
	{ "c.HTTPGetAction",
	  "1=path:s 2=port!:q.IntOrString 3=host:s 4=scheme:s 5=httpHeaders:[c.HTTPHeader] "
	  "6=protocol:*s" },
	{ "c.HTTPHeader",
	  "1=name!:s 2=value!:s" },
	{ "c.HostAlias",
	  "1=ip!:s 2=hostnames:[s]" },
	{ "c.HostIP",
	  "1=ip!:s" },
	{ "c.HostPathVolumeSource",
	  "1=path!:s 2=type:*s" },
	{ "c.ISCSIVolumeSource",
	  "1=targetPortal!:s 2=iqn!:s 3=lun!:i 4=iscsiInterface:s 5=fsType:s 6=readOnly:B 7=portals:[s] "
	  "8=chapAuthDiscovery:B 10=secretRef:*c.LocalObjectReference 11=chapAuthSession:B "
	  "12=initiatorName:*s" },
	{ "c.ImageVolumeSource",
	  "1=reference:s 2=pullPolicy:s" },
	{ "c.ImageVolumeStatus",
	  "1=imageRef:s" },
	{ "c.KeyToPath",
	  "1=key!:s 2=path!:s 3=mode:*i 4=user:*I" },
	{ "c.Lifecycle",
	  "1=postStart:*c.LifecycleHandler 2=preStop:*c.LifecycleHandler 3=stopSignal:*s" },
	{ "c.LifecycleHandler",
	  "1=exec:*c.ExecAction 2=httpGet:*c.HTTPGetAction 3=tcpSocket:*c.TCPSocketAction "
	  "4=sleep:*c.SleepAction" },
	{ "c.LimitRange",
	  "1=metadata:m.ObjectMeta 2=spec:c.LimitRangeSpec" },
	{ "c.LimitRangeItem",
	  "1=type!:s 2=max:{q.Quantity} 3=min:{q.Quantity} 4=default:{q.Quantity} "
	  "5=defaultRequest:{q.Quantity} 6=maxLimitRequestRatio:{q.Quantity}" },
	{ "c.LimitRangeSpec",
	  "1=limits!:[c.LimitRangeItem]" },
	{ "c.LinuxContainerUser",
	  "1=uid!:I 2=gid!:I 3=supplementalGroups:[I]" },
	{ "c.LoadBalancerIngress",
	  "1=ip:s 2=hostname:s 3=ipMode:*s 4=ports:[c.PortStatus]" },
	{ "c.LoadBalancerStatus",
	  "1=ingress:[c.LoadBalancerIngress]" },
	{ "c.LocalObjectReference",
	  "1=name:s" },
	{ "c.ModifyVolumeStatus",
	  "1=targetVolumeAttributesClassName:s 2=status!:s" },
	{ "c.NFSVolumeSource",
	  "1=server!:s 2=path!:s 3=readOnly:B" },
	{ "c.Namespace",
	  "1=metadata:m.ObjectMeta 2=spec:c.NamespaceSpec 3=status:c.NamespaceStatus" },
	{ "c.NamespaceCondition",
	  "1=type!:s 2=status!:s 4=lastTransitionTime:m.Time 5=reason:s 6=message:s" },
	{ "c.NamespaceSpec",
	  "1=finalizers:[s]" },
	{ "c.NamespaceStatus",
	  "1=phase:s 2=conditions:[c.NamespaceCondition]" },
	{ "c.Node",
	  "1=metadata:m.ObjectMeta 2=spec:c.NodeSpec 3=status:c.NodeStatus" },
	{ "c.NodeAddress",
	  "1=type!:s 2=address!:s" },
	{ "c.NodeAffinity",
	  "1=requiredDuringSchedulingIgnoredDuringExecution:*c.NodeSelector "
	  "2=preferredDuringSchedulingIgnoredDuringExecution:[c.PreferredSchedulingTerm]" },
	{ "c.NodeAllocatableMappedResources",
	  "1=name!:s 2=quantity!:*q.Quantity" },
	{ "c.NodeAllocatableOverheadResources",
	  "1=name!:s 2=perPod:*q.Quantity 3=perContainer:*q.Quantity" },
	{ "c.NodeAllocatableResourceClaimStatus",
	  "1=resourceClaimName!:s 2=containers:[s] 4=mapping:[c.NodeAllocatableMappedResources] "
	  "5=overhead:[c.NodeAllocatableOverheadResources]" },
	{ "c.NodeCondition",
	  "1=type!:s 2=status!:s 3=lastHeartbeatTime:m.Time 4=lastTransitionTime:m.Time 5=reason:s "
	  "6=message:s" },
	{ "c.NodeConfigSource",
	  "2=configMap:*c.ConfigMapNodeConfigSource" },
	{ "c.NodeConfigStatus",
	  "1=assigned:*c.NodeConfigSource 2=active:*c.NodeConfigSource "
	  "3=lastKnownGood:*c.NodeConfigSource 4=error:s" },
	{ "c.NodeDaemonEndpoints",
	  "1=kubeletEndpoint:c.DaemonEndpoint" },
	{ "c.NodeFeatures",
	  "1=supplementalGroupsPolicy:*B" },
	{ "c.NodePodPreemptionPolicy",
	  "1=disableResizePreemption:[s]" },
	{ "c.NodeRuntimeHandler",
	  "1=name!:s 2=features:*c.NodeRuntimeHandlerFeatures" },
	{ "c.NodeRuntimeHandlerFeatures",
	  "1=recursiveReadOnlyMounts:*B 2=userNamespaces:*B" },
	{ "c.NodeSelector",
	  "1=nodeSelectorTerms!:[c.NodeSelectorTerm]" },
	{ "c.NodeSelectorRequirement",
	  "1=key!:s 2=operator!:s 3=values:[s]" },
	{ "c.NodeSelectorTerm",
	  "1=matchExpressions:[c.NodeSelectorRequirement] 2=matchFields:[c.NodeSelectorRequirement]" },
	{ "c.NodeSpec",
	  "1=podCIDR:s 2=externalID:s 3=providerID:s 4=unschedulable:B 5=taints:[c.Taint] "
	  "6=configSource:*c.NodeConfigSource 7=podCIDRs:[s] "
	  "8=podPreemptionPolicy:*c.NodePodPreemptionPolicy" },
	{ "c.NodeStatus",
	  "1=capacity:{q.Quantity} 2=allocatable:{q.Quantity} 3=phase:s 4=conditions:[c.NodeCondition] "
	  "5=addresses:[c.NodeAddress] 6=daemonEndpoints:c.NodeDaemonEndpoints "
	  "7=nodeInfo:c.NodeSystemInfo 8=images:[c.ContainerImage] 9=volumesInUse:[s] "
	  "10=volumesAttached:[c.AttachedVolume] 11=config:*c.NodeConfigStatus "
	  "12=runtimeHandlers:[c.NodeRuntimeHandler] 13=features:*c.NodeFeatures "
	  "14=declaredFeatures:[s]" },
	{ "c.NodeSwapStatus",
	  "1=capacity:*I" },
	{ "c.NodeSystemInfo",
	  "1=machineID!:s 2=systemUUID!:s 3=bootID!:s 4=kernelVersion!:s 5=osImage!:s "
	  "6=containerRuntimeVersion!:s 7=kubeletVersion!:s 8=kubeProxyVersion!:s 9=operatingSystem!:s "
	  "10=architecture!:s 11=swap:*c.NodeSwapStatus" },
	{ "c.ObjectFieldSelector",
	  "1=apiVersion:s 2=fieldPath!:s" },
	{ "c.ObjectReference",
	  "1=kind:s 2=namespace:s 3=name:s 4=uid:s 5=apiVersion:s 6=resourceVersion:s 7=fieldPath:s" },
	{ "c.PersistentVolumeClaim",
	  "1=metadata:m.ObjectMeta 2=spec:c.PersistentVolumeClaimSpec "
	  "3=status:c.PersistentVolumeClaimStatus" },
	{ "c.PersistentVolumeClaimCondition",
	  "1=type!:s 2=status!:s 3=lastProbeTime:m.Time 4=lastTransitionTime:m.Time 5=reason:s "
	  "6=message:s" },
	{ "c.PersistentVolumeClaimSpec",
	  "1=accessModes:[s] 2=resources:c.VolumeResourceRequirements 3=volumeName:s "
	  "4=selector:*m.LabelSelector 5=storageClassName:*s 6=volumeMode:*s "
	  "7=dataSource:*c.TypedLocalObjectReference 8=dataSourceRef:*c.TypedObjectReference "
	  "9=volumeAttributesClassName:*s" },
	{ "c.PersistentVolumeClaimStatus",
	  "1=phase:s 2=accessModes:[s] 3=capacity:{q.Quantity} "
	  "4=conditions:[c.PersistentVolumeClaimCondition] 5=allocatedResources:{q.Quantity} "
	  "7=allocatedResourceStatuses:{s} 8=currentVolumeAttributesClassName:*s "
	  "9=modifyVolumeStatus:*c.ModifyVolumeStatus 10=healthStatus:*c.VolumeHealthStatus" },
	{ "c.PersistentVolumeClaimTemplate",
	  "1=metadata:m.ObjectMeta 2=spec!:c.PersistentVolumeClaimSpec" },
	{ "c.PersistentVolumeClaimVolumeSource",
	  "1=claimName!:s 2=readOnly:B" },
	{ "c.PhotonPersistentDiskVolumeSource",
	  "1=pdID!:s 2=fsType:s" },
	{ "c.Pod",
	  "1=metadata:m.ObjectMeta 2=spec:c.PodSpec 3=status:c.PodStatus" },
	{ "c.PodAffinity",
	  "1=requiredDuringSchedulingIgnoredDuringExecution:[c.PodAffinityTerm] "
	  "2=preferredDuringSchedulingIgnoredDuringExecution:[c.WeightedPodAffinityTerm]" },
	{ "c.PodAffinityTerm",
	  "1=labelSelector:*m.LabelSelector 2=namespaces:[s] 3=topologyKey!:s "
	  "4=namespaceSelector:*m.LabelSelector 5=matchLabelKeys:[s] 6=mismatchLabelKeys:[s]" },
	{ "c.PodAntiAffinity",
	  "1=requiredDuringSchedulingIgnoredDuringExecution:[c.PodAffinityTerm] "
	  "2=preferredDuringSchedulingIgnoredDuringExecution:[c.WeightedPodAffinityTerm]" },
	{ "c.PodCertificateProjection",
	  "1=signerName:s 2=keyType:s 3=maxExpirationSeconds:*i 4=credentialBundlePath:s 5=keyPath:s "
	  "6=certificateChainPath:s 7=userAnnotations:{s} 8=user:*I" },
	{ "c.PodCondition",
	  "1=type!:s 2=status!:s 3=lastProbeTime:m.Time 4=lastTransitionTime:m.Time 5=reason:s "
	  "6=message:s 7=observedGeneration:I" },
	{ "c.PodDNSConfig",
	  "1=nameservers:[s] 2=searches:[s] 3=options:[c.PodDNSConfigOption]" },
	{ "c.PodDNSConfigOption",
	  "1=name:s 2=value:*s" },
	{ "c.PodExtendedResourceClaimStatus",
	  "1=requestMappings!:[c.ContainerExtendedResourceRequest] 2=resourceClaimName!:s" },
	{ "c.PodIP",
	  "1=ip!:s" },
	{ "c.PodOS",
	  "1=name!:s" },
	{ "c.PodReadinessGate",
	  "1=conditionType!:s" },
	{ "c.PodResourceClaim",
	  "1=name!:s 3=resourceClaimName:*s 4=resourceClaimTemplateName:*s" },
	{ "c.PodResourceClaimStatus",
	  "1=name!:s 2=resourceClaimName:*s" },
	{ "c.PodSchedulingGate",
	  "1=name!:s" },
	{ "c.PodSchedulingGroup",
	  "1=podGroupName:*s" },
	{ "c.PodSecurityContext",
	  "1=seLinuxOptions:*c.SELinuxOptions 2=runAsUser:*I 3=runAsNonRoot:*B 4=supplementalGroups:[I] "
	  "5=fsGroup:*I 6=runAsGroup:*I 7=sysctls:[c.Sysctl] "
	  "8=windowsOptions:*c.WindowsSecurityContextOptions 9=fsGroupChangePolicy:*s "
	  "10=seccompProfile:*c.SeccompProfile 11=appArmorProfile:*c.AppArmorProfile "
	  "12=supplementalGroupsPolicy:*s 13=seLinuxChangePolicy:*s" },
	{ "c.PodSpec",
	  "1=volumes:[c.Volume] 2=containers!:[c.Container] 3=restartPolicy:s "
	  "4=terminationGracePeriodSeconds:*I 5=activeDeadlineSeconds:*I 6=dnsPolicy:s "
	  "7=nodeSelector:{s} 8=serviceAccountName:s 9=serviceAccount:s 10=nodeName:s 11=hostNetwork:B "
	  "12=hostPID:B 13=hostIPC:B 14=securityContext:*c.PodSecurityContext "
	  "15=imagePullSecrets:[c.LocalObjectReference] 16=hostname:s 17=subdomain:s "
	  "18=affinity:*c.Affinity 19=schedulerName:s 20=initContainers:[c.Container] "
	  "21=automountServiceAccountToken:*B 22=tolerations:[c.Toleration] "
	  "23=hostAliases:[c.HostAlias] 24=priorityClassName:s 25=priority:*i "
	  "26=dnsConfig:*c.PodDNSConfig 27=shareProcessNamespace:*B "
	  "28=readinessGates:[c.PodReadinessGate] 29=runtimeClassName:*s 30=enableServiceLinks:*B "
	  "31=preemptionPolicy:*s 32=overhead:{q.Quantity} "
	  "33=topologySpreadConstraints:[c.TopologySpreadConstraint] "
	  "34=ephemeralContainers:[c.EphemeralContainer] 35=setHostnameAsFQDN:*B 36=os:*c.PodOS "
	  "37=hostUsers:*B 38=schedulingGates:[c.PodSchedulingGate] "
	  "39=resourceClaims:[c.PodResourceClaim] 40=resources:*c.ResourceRequirements "
	  "41=hostnameOverride:*s 43=schedulingGroup:*c.PodSchedulingGroup "
	  "44=evictionResponders:[c.EvictionResponder]" },
	{ "c.PodStatus",
	  "1=phase:s 2=conditions:[c.PodCondition] 3=message:s 4=reason:s 5=hostIP:s 6=podIP:s "
	  "7=startTime:*m.Time 8=containerStatuses:[c.ContainerStatus] 9=qosClass:s "
	  "10=initContainerStatuses:[c.ContainerStatus] 11=nominatedNodeName:s 12=podIPs:[c.PodIP] "
	  "13=ephemeralContainerStatuses:[c.ContainerStatus] 14=resize:s "
	  "15=resourceClaimStatuses:[c.PodResourceClaimStatus] 16=hostIPs:[c.HostIP] "
	  "17=observedGeneration:I 18=extendedResourceClaimStatus:*c.PodExtendedResourceClaimStatus "
	  "19=allocatedResources:{q.Quantity} 20=resources:*c.ResourceRequirements "
	  "21=nodeAllocatableResourceClaimStatuses:[c.NodeAllocatableResourceClaimStatus] "
	  "22=volumeHealth:[c.PodVolumeHealth]" },
	{ "c.PodTemplateSpec",
	  "1=metadata:m.ObjectMeta 2=spec:c.PodSpec" },
	{ "c.PodVolumeHealth",
	  "1=name!:s 2=healthConditions:[c.VolumeHealthCondition] 3=lastTransitionTime:m.Time" },
	{ "c.PortStatus",
	  "1=port!:i 2=protocol!:s 3=error:*s" },
	{ "c.PortworxVolumeSource",
	  "1=volumeID!:s 2=fsType:s 3=readOnly:B" },
	{ "c.PreferredSchedulingTerm",
	  "1=weight!:i 2=preference!:c.NodeSelectorTerm" },
	{ "c.Probe",
	  "1=<inline>:c.ProbeHandler 2=initialDelaySeconds:i 3=timeoutSeconds:i 4=periodSeconds:i "
	  "5=successThreshold:i 6=failureThreshold:i 7=terminationGracePeriodSeconds:*I" },
	{ "c.ProbeHandler",
	  "1=exec:*c.ExecAction 2=httpGet:*c.HTTPGetAction 3=tcpSocket:*c.TCPSocketAction "
	  "4=grpc:*c.GRPCAction" },
	{ "c.ProjectedVolumeSource",
	  "1=sources!:[c.VolumeProjection] 2=defaultMode:*i 3=defaultUser:*I" },
	{ "c.QuobyteVolumeSource",
	  "1=registry!:s 2=volume!:s 3=readOnly:B 4=user:s 5=group:s 6=tenant:s" },
	{ "c.RBDVolumeSource",
	  "1=monitors!:[s] 2=image!:s 3=fsType:s 4=pool:s 5=user:s 6=keyring:s "
	  "7=secretRef:*c.LocalObjectReference 8=readOnly:B" },
	{ "c.ResourceClaim",
	  "1=name!:s 2=request:s" },
	{ "c.ResourceFieldSelector",
	  "1=containerName:s 2=resource!:s 3=divisor:q.Quantity" },
	{ "c.ResourceHealth",
	  "1=resourceID!:s 2=health:s 6=message:*s" },
	{ "c.ResourceQuota",
	  "1=metadata:m.ObjectMeta 2=spec:c.ResourceQuotaSpec 3=status:c.ResourceQuotaStatus" },
	{ "c.ResourceQuotaSpec",
	  "1=hard:{q.Quantity} 2=scopes:[s] 3=scopeSelector:*c.ScopeSelector" },
	{ "c.ResourceQuotaStatus",
	  "1=hard:{q.Quantity} 2=used:{q.Quantity}" },
	{ "c.ResourceRequirements",
	  "1=limits:{q.Quantity} 2=requests:{q.Quantity} 3=claims:[c.ResourceClaim]" },
	{ "c.ResourceStatus",
	  "1=name!:s 2=resources:[c.ResourceHealth]" },
	{ "c.SELinuxOptions",
	  "1=user:s 2=role:s 3=type:s 4=level:s" },
	{ "c.ScaleIOVolumeSource",
	  "1=gateway!:s 2=system!:s 3=secretRef!:*c.LocalObjectReference 4=sslEnabled:B "
	  "5=protectionDomain:s 6=storagePool:s 7=storageMode:s 8=volumeName:s 9=fsType:s 10=readOnly:B" },
	{ "c.ScopeSelector",
	  "1=matchExpressions:[c.ScopedResourceSelectorRequirement]" },
	{ "c.ScopedResourceSelectorRequirement",
	  "1=scopeName!:s 2=operator!:s 3=values:[s]" },
	{ "c.SeccompProfile",
	  "1=type!:s 2=localhostProfile:*s" },
	{ "c.Secret",
	  "1=metadata:m.ObjectMeta 2=data:{bytes} 3=type:s 4=stringData:{s} 5=immutable:*B" },
	{ "c.SecretEnvSource",
	  "1=<inline>:c.LocalObjectReference 2=optional:*B" },
	{ "c.SecretKeySelector",
	  "1=<inline>:c.LocalObjectReference 2=key!:s 3=optional:*B" },
	{ "c.SecretProjection",
	  "1=<inline>:c.LocalObjectReference 2=items:[c.KeyToPath] 4=optional:*B" },
	{ "c.SecretVolumeSource",
	  "1=secretName:s 2=items:[c.KeyToPath] 3=defaultMode:*i 4=optional:*B 5=defaultUser:*I" },
	{ "c.SecurityContext",
	  "1=capabilities:*c.Capabilities 2=privileged:*B 3=seLinuxOptions:*c.SELinuxOptions "
	  "4=runAsUser:*I 5=runAsNonRoot:*B 6=readOnlyRootFilesystem:*B 7=allowPrivilegeEscalation:*B "
	  "8=runAsGroup:*I 9=procMount:*s 10=windowsOptions:*c.WindowsSecurityContextOptions "
	  "11=seccompProfile:*c.SeccompProfile 12=appArmorProfile:*c.AppArmorProfile" },
	{ "c.Service",
	  "1=metadata:m.ObjectMeta 2=spec:c.ServiceSpec 3=status:c.ServiceStatus" },
	{ "c.ServiceAccount",
	  "1=metadata:m.ObjectMeta 2=secrets:[c.ObjectReference] "
	  "3=imagePullSecrets:[c.LocalObjectReference] 4=automountServiceAccountToken:*B" },
	{ "c.ServiceAccountTokenProjection",
	  "1=audience:s 2=expirationSeconds:*I 3=path!:s 4=user:*I" },
	{ "c.ServicePort",
	  "1=name:s 2=protocol:s 3=port!:i 4=targetPort:q.IntOrString 5=nodePort:i 6=appProtocol:*s" },
	{ "c.ServiceSpec",
	  "1=ports:[c.ServicePort] 2=selector:{s} 3=clusterIP:s 4=type:s 5=externalIPs:[s] "
	  "7=sessionAffinity:s 8=loadBalancerIP:s 9=loadBalancerSourceRanges:[s] 10=externalName:s "
	  "11=externalTrafficPolicy:s 12=healthCheckNodePort:i 13=publishNotReadyAddresses:B "
	  "14=sessionAffinityConfig:*c.SessionAffinityConfig 17=ipFamilyPolicy:*s 18=clusterIPs:[s] "
	  "19=ipFamilies:[s] 20=allocateLoadBalancerNodePorts:*B 21=loadBalancerClass:*s "
	  "22=internalTrafficPolicy:*s 23=trafficDistribution:*s" },
	{ "c.ServiceStatus",
	  "1=loadBalancer:c.LoadBalancerStatus 2=conditions:[m.Condition]" },
	{ "c.SessionAffinityConfig",
	  "1=clientIP:*c.ClientIPConfig" },
	{ "c.SleepAction",
	  "1=seconds!:I" },
	{ "c.StorageOSVolumeSource",
	  "1=volumeName:s 2=volumeNamespace:s 3=fsType:s 4=readOnly:B "
	  "5=secretRef:*c.LocalObjectReference" },
	{ "c.Sysctl",
	  "1=name!:s 2=value!:s" },
	{ "c.TCPSocketAction",
	  "1=port!:q.IntOrString 2=host:s" },
	{ "c.Taint",
	  "1=key!:s 2=value:s 3=effect!:s 4=timeAdded:*m.Time" },
	{ "c.Toleration",
	  "1=key:s 2=operator:s 3=value:s 4=effect:s 5=tolerationSeconds:*I" },
	{ "c.TopologySpreadConstraint",
	  "1=maxSkew!:i 2=topologyKey!:s 3=whenUnsatisfiable!:s 4=labelSelector:*m.LabelSelector "
	  "5=minDomains:*i 6=nodeAffinityPolicy:*s 7=nodeTaintsPolicy:*s 8=matchLabelKeys:[s]" },
	{ "c.TypedLocalObjectReference",
	  "1=apiGroup!:*s 2=kind!:s 3=name!:s" },
	{ "c.TypedObjectReference",
	  "1=apiGroup!:*s 2=kind!:s 3=name!:s 4=namespace:*s" },
	{ "c.Volume",
	  "1=name!:s 2=<inline>:c.VolumeSource" },
	{ "c.VolumeDevice",
	  "1=name!:s 2=devicePath!:s" },
	{ "c.VolumeHealthCondition",
	  "1=status!:s 2=reason!:s 3=message:s" },
	{ "c.VolumeHealthStatus",
	  "1=healthConditions:[c.VolumeHealthCondition] 2=lastTransitionTime:m.Time" },
	{ "c.VolumeMount",
	  "1=name!:s 2=readOnly:B 3=mountPath!:s 4=subPath:s 5=mountPropagation:*s 6=subPathExpr:s "
	  "7=recursiveReadOnly:*s 8=bindMountOptions:[s]" },
	{ "c.VolumeMountStatus",
	  "1=name!:s 2=mountPath!:s 3=readOnly:B 4=recursiveReadOnly:*s 5=volumeStatus:*c.VolumeStatus" },
	{ "c.VolumeProjection",
	  "1=secret:*c.SecretProjection 2=downwardAPI:*c.DownwardAPIProjection "
	  "3=configMap:*c.ConfigMapProjection 4=serviceAccountToken:*c.ServiceAccountTokenProjection "
	  "5=clusterTrustBundle:*c.ClusterTrustBundleProjection "
	  "6=podCertificate:*c.PodCertificateProjection" },
	{ "c.VolumeResourceRequirements",
	  "1=limits:{q.Quantity} 2=requests:{q.Quantity}" },
	{ "c.VolumeSource",
	  "1=hostPath:*c.HostPathVolumeSource 2=emptyDir:*c.EmptyDirVolumeSource "
	  "3=gcePersistentDisk:*c.GCEPersistentDiskVolumeSource "
	  "4=awsElasticBlockStore:*c.AWSElasticBlockStoreVolumeSource 5=gitRepo:*c.GitRepoVolumeSource "
	  "6=secret:*c.SecretVolumeSource 7=nfs:*c.NFSVolumeSource 8=iscsi:*c.ISCSIVolumeSource "
	  "9=glusterfs:*c.GlusterfsVolumeSource "
	  "10=persistentVolumeClaim:*c.PersistentVolumeClaimVolumeSource 11=rbd:*c.RBDVolumeSource "
	  "12=flexVolume:*c.FlexVolumeSource 13=cinder:*c.CinderVolumeSource "
	  "14=cephfs:*c.CephFSVolumeSource 15=flocker:*c.FlockerVolumeSource "
	  "16=downwardAPI:*c.DownwardAPIVolumeSource 17=fc:*c.FCVolumeSource "
	  "18=azureFile:*c.AzureFileVolumeSource 19=configMap:*c.ConfigMapVolumeSource "
	  "20=vsphereVolume:*c.VsphereVirtualDiskVolumeSource 21=quobyte:*c.QuobyteVolumeSource "
	  "22=azureDisk:*c.AzureDiskVolumeSource "
	  "23=photonPersistentDisk:*c.PhotonPersistentDiskVolumeSource "
	  "24=portworxVolume:*c.PortworxVolumeSource 25=scaleIO:*c.ScaleIOVolumeSource "
	  "26=projected:*c.ProjectedVolumeSource 27=storageos:*c.StorageOSVolumeSource "
	  "28=csi:*c.CSIVolumeSource 29=ephemeral:*c.EphemeralVolumeSource "
	  "30=image:*c.ImageVolumeSource" },
	{ "c.VolumeStatus",
	  "1=image:*c.ImageVolumeStatus" },
	{ "c.VsphereVirtualDiskVolumeSource",
	  "1=volumePath!:s 2=fsType:s 3=storagePolicyName:s 4=storagePolicyID:s" },
	{ "c.WeightedPodAffinityTerm",
	  "1=weight!:i 2=podAffinityTerm!:c.PodAffinityTerm" },
	{ "c.WindowsSecurityContextOptions",
	  "1=gmsaCredentialSpecName:*s 2=gmsaCredentialSpec:*s 3=runAsUserName:*s 4=hostProcess:*B" },
	{ "co.Lease",
	  "1=metadata:m.ObjectMeta 2=spec:co.LeaseSpec" },
	{ "co.LeaseSpec",
	  "1=holderIdentity:*s 2=leaseDurationSeconds:*i 3=acquireTime:*m.MicroTime "
	  "4=renewTime:*m.MicroTime 5=leaseTransitions:*i 6=strategy:*s 7=preferredHolder:*s" },
	{ "e.Event",
	  "1=metadata!:m.ObjectMeta 2=eventTime!:m.MicroTime 3=series:*e.EventSeries "
	  "4=reportingController:s 5=reportingInstance:s 6=action:s 7=reason:s "
	  "8=regarding:c.ObjectReference 9=related:*c.ObjectReference 10=note:s 11=type:s "
	  "12=deprecatedSource:c.EventSource 13=deprecatedFirstTimestamp:m.Time "
	  "14=deprecatedLastTimestamp:m.Time 15=deprecatedCount:i" },
	{ "e.EventSeries",
	  "1=count!:i 2=lastObservedTime!:m.MicroTime" },
	{ "m.Condition",
	  "1=type!:s 2=status!:s 3=observedGeneration:I 4=lastTransitionTime!:m.Time 5=reason!:s "
	  "6=message!:s" },
	{ "m.DeleteOptions",
	  "1=gracePeriodSeconds:*I 2=preconditions:*m.Preconditions 3=orphanDependents:*B "
	  "4=propagationPolicy:*s 5=dryRun:[s] 6=ignoreStoreReadErrorWithClusterBreakingPotential:*B" },
	{ "m.FieldSelectorRequirement",
	  "1=key!:s 2=operator!:s 3=values:[s]" },
	{ "m.LabelSelector",
	  "1=matchLabels:{s} 2=matchExpressions:[m.LabelSelectorRequirement]" },
	{ "m.LabelSelectorRequirement",
	  "1=key!:s 2=operator!:s 3=values:[s]" },
	{ "m.ListMeta",
	  "1=selfLink:s 2=resourceVersion:s 3=continue:s 4=remainingItemCount:*I" },
	{ "m.ManagedFieldsEntry",
	  "1=manager:s 2=operation:s 3=apiVersion:s 4=time:*m.Time 6=fieldsType:s "
	  "7=fieldsV1:*m.FieldsV1 8=subresource:s" },
	{ "m.ObjectMeta",
	  "1=name:s 2=generateName:s 3=namespace:s 4=selfLink:s 5=uid:s 6=resourceVersion:s "
	  "7=generation:I 8=creationTimestamp:m.Time 9=deletionTimestamp:*m.Time "
	  "10=deletionGracePeriodSeconds:*I 11=labels:{s} 12=annotations:{s} "
	  "13=ownerReferences:[m.OwnerReference] 14=finalizers:[s] "
	  "17=managedFields:[m.ManagedFieldsEntry]" },
	{ "m.OwnerReference",
	  "1=kind!:s 3=name!:s 4=uid!:s 5=apiVersion!:s 6=controller:*B 7=blockOwnerDeletion:*B" },
	{ "m.Preconditions",
	  "1=uid:*s 2=resourceVersion:*s" },
	{ "m.Status",
	  "1=metadata:m.ListMeta 2=status:s 3=message:s 4=reason:s 5=details:*m.StatusDetails 6=code:i" },
	{ "m.StatusCause",
	  "1=reason:s 2=message:s 3=field:s" },
	{ "m.StatusDetails",
	  "1=name:s 2=group:s 3=kind:s 4=causes:[m.StatusCause] 5=retryAfterSeconds:i 6=uid:s" },
	{ "n.IPBlock",
	  "1=cidr!:s 2=except:[s]" },
	{ "n.NetworkPolicy",
	  "1=metadata:m.ObjectMeta 2=spec:n.NetworkPolicySpec" },
	{ "n.NetworkPolicyEgressRule",
	  "1=ports:[n.NetworkPolicyPort] 2=to:[n.NetworkPolicyPeer]" },
	{ "n.NetworkPolicyIngressRule",
	  "1=ports:[n.NetworkPolicyPort] 2=from:[n.NetworkPolicyPeer]" },
	{ "n.NetworkPolicyPeer",
	  "1=podSelector:*m.LabelSelector 2=namespaceSelector:*m.LabelSelector 3=ipBlock:*n.IPBlock" },
	{ "n.NetworkPolicyPort",
	  "1=protocol:*s 2=port:*q.IntOrString 3=endPort:*i" },
	{ "n.NetworkPolicySpec",
	  "1=podSelector!:m.LabelSelector 2=ingress:[n.NetworkPolicyIngressRule] "
	  "3=egress:[n.NetworkPolicyEgressRule] 4=policyTypes:[s]" },
	{ "r.AggregationRule",
	  "1=clusterRoleSelectors:[m.LabelSelector]" },
	{ "r.ClusterRole",
	  "1=metadata:m.ObjectMeta 2=rules!:[r.PolicyRule] 3=aggregationRule:*r.AggregationRule" },
	{ "r.ClusterRoleBinding",
	  "1=metadata:m.ObjectMeta 2=subjects:[r.Subject] 3=roleRef!:r.RoleRef" },
	{ "r.PolicyRule",
	  "1=verbs!:[s] 2=apiGroups:[s] 3=resources:[s] 4=resourceNames:[s] 5=nonResourceURLs:[s]" },
	{ "r.Role",
	  "1=metadata:m.ObjectMeta 2=rules!:[r.PolicyRule]" },
	{ "r.RoleBinding",
	  "1=metadata:m.ObjectMeta 2=subjects:[r.Subject] 3=roleRef!:r.RoleRef" },
	{ "r.RoleRef",
	  "1=apiGroup!:s 2=kind!:s 3=name!:s" },
	{ "r.Subject",
	  "1=kind!:s 2=apiGroup:s 3=name!:s 4=namespace:s" },
	{ "s3.TopologyConstraint",
	  "1=key!:s" },
	{ "s3.WorkloadPodGroupAllDisruptionMode",
	  "" },
	{ "s3.WorkloadPodGroupBasicSchedulingPolicy",
	  "" },
	{ "s3.WorkloadPodGroupDisruptionMode",
	  "1=single:*s3.WorkloadPodGroupSingleDisruptionMode "
	  "2=all:*s3.WorkloadPodGroupAllDisruptionMode" },
	{ "s3.WorkloadPodGroupGangSchedulingPolicy",
	  "1=minCount:*i" },
	{ "s3.WorkloadPodGroupResourceClaim",
	  "1=name!:s 2=resourceClaimName:*s 3=resourceClaimTemplateName:*s" },
	{ "s3.WorkloadPodGroupSchedulingConstraints",
	  "1=topology:[s3.TopologyConstraint]" },
	{ "s3.WorkloadPodGroupSchedulingPolicy",
	  "1=basic:*s3.WorkloadPodGroupBasicSchedulingPolicy "
	  "2=gang:*s3.WorkloadPodGroupGangSchedulingPolicy" },
	{ "s3.WorkloadPodGroupSingleDisruptionMode",
	  "" },
	{ "x.CustomResourceColumnDefinition",
	  "1=name!:s 2=type!:s 3=format:s 4=description:s 5=priority:i 6=jsonPath!:s" },
	{ "x.CustomResourceConversion",
	  "1=strategy!:s 2=webhook:*x.WebhookConversion" },
	{ "x.CustomResourceDefinition",
	  "1=metadata:m.ObjectMeta 2=spec!:x.CustomResourceDefinitionSpec "
	  "3=status:x.CustomResourceDefinitionStatus" },
	{ "x.CustomResourceDefinitionCondition",
	  "1=type!:s 2=status!:s 3=lastTransitionTime:m.Time 4=reason:s 5=message:s" },
	{ "x.CustomResourceDefinitionNames",
	  "1=plural!:s 2=singular:s 3=shortNames:[s] 4=kind!:s 5=listKind:s 6=categories:[s]" },
	{ "x.CustomResourceDefinitionSpec",
	  "1=group!:s 3=names!:x.CustomResourceDefinitionNames 4=scope!:s "
	  "7=versions!:[x.CustomResourceDefinitionVersion] 9=conversion:*x.CustomResourceConversion "
	  "10=preserveUnknownFields:B" },
	{ "x.CustomResourceDefinitionStatus",
	  "1=conditions:[x.CustomResourceDefinitionCondition] "
	  "2=acceptedNames:x.CustomResourceDefinitionNames 3=storedVersions:[s]" },
	{ "x.CustomResourceDefinitionVersion",
	  "1=name!:s 2=served!:B 3=storage!:B 7=deprecated:B 8=deprecationWarning:*s "
	  "4=schema:*x.CustomResourceValidation 5=subresources:*x.CustomResourceSubresources "
	  "6=additionalPrinterColumns:[x.CustomResourceColumnDefinition] "
	  "9=selectableFields:[x.SelectableField]" },
	{ "x.CustomResourceSubresourceScale",
	  "1=specReplicasPath!:s 2=statusReplicasPath!:s 3=labelSelectorPath:*s" },
	{ "x.CustomResourceSubresourceStatus",
	  "" },
	{ "x.CustomResourceSubresources",
	  "1=status:*x.CustomResourceSubresourceStatus 2=scale:*x.CustomResourceSubresourceScale" },
	{ "x.CustomResourceValidation",
	  "1=openAPIV3Schema:*x.JSONSchemaProps" },
	{ "x.ExternalDocumentation",
	  "1=description:s 2=url:s" },
	{ "x.JSONSchemaProps",
	  "1=id:s 2=$schema:s 3=$ref:*s 4=description:s 5=type:s 6=format:s 7=title:s 8=default:*x.JSON "
	  "9=maximum:*d 10=exclusiveMaximum:B 11=minimum:*d 12=exclusiveMinimum:B 13=maxLength:*I "
	  "14=minLength:*I 15=pattern:s 16=maxItems:*I 17=minItems:*I 18=uniqueItems:B 19=multipleOf:*d "
	  "20=enum:[x.JSON] 21=maxProperties:*I 22=minProperties:*I 23=required:[s] "
	  "24=items:*x.JSONSchemaPropsOrArray 25=allOf:[x.JSONSchemaProps] 26=oneOf:[x.JSONSchemaProps] "
	  "27=anyOf:[x.JSONSchemaProps] 28=not:*x.JSONSchemaProps 29=properties:{x.JSONSchemaProps} "
	  "30=additionalProperties:*x.JSONSchemaPropsOrBool 31=patternProperties:{x.JSONSchemaProps} "
	  "32=dependencies:{x.JSONSchemaPropsOrStringArray} 33=additionalItems:*x.JSONSchemaPropsOrBool "
	  "34=definitions:{x.JSONSchemaProps} 35=externalDocs:*x.ExternalDocumentation 36=example:*x.JSON "
	  "37=nullable:B 38=x-kubernetes-preserve-unknown-fields:*B 39=x-kubernetes-embedded-resource:B "
	  "40=x-kubernetes-int-or-string:B 41=x-kubernetes-list-map-keys:[s] 42=x-kubernetes-list-type:*s "
	  "43=x-kubernetes-map-type:*s 44=x-kubernetes-validations:[x.ValidationRule]" },
	{ "x.SelectableField",
	  "1=jsonPath!:s" },
	{ "x.ServiceReference",
	  "1=namespace!:s 2=name!:s 3=path:*s 4=port:*i" },
	{ "x.ValidationRule",
	  "1=rule!:s 2=message:s 3=messageExpression:s 4=reason:*s 5=fieldPath:s 6=optionalOldSelf:*B" },
	{ "x.WebhookClientConfig",
	  "1=service:*x.ServiceReference 2=caBundle:bytes 3=url:*s" },
	{ "x.WebhookConversion",
	  "2=clientConfig:*x.WebhookClientConfig 3=conversionReviewVersions!:[s]" },
};

const size_t rest_proto_message_count = AM_COUNTOF(rest_proto_messages);
