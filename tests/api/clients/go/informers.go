// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// counting sees which requests an informer makes: it falls back from a streamed list to a plain one without a word.
type counting struct {
	next           http.RoundTripper
	streams, lists atomic.Int32
	protobuf       atomic.Int32
}

func (c *counting) RoundTrip(q *http.Request) (*http.Response, error) {
	a, err := c.next.RoundTrip(q)
	if err != nil {
		return a, err
	}
	switch {
	case q.Header.Get("Content-Type") == protobufType:
		c.protobuf.Add(1)
	case q.URL.Query().Get("sendInitialEvents") == "true" && a.StatusCode == http.StatusOK:
		c.streams.Add(1)
	case q.Method == http.MethodGet && q.URL.Query().Get("watch") == "":
		c.lists.Add(1)
	}
	return a, err
}

func counted(config *rest.Config) (*rest.Config, *counting) {
	c := &counting{}
	own := rest.CopyConfig(config)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper { c.next = next; return c })
	return own, c
}

func follow(r *run, c *counting, inf cache.SharedIndexInformer) error {
	last := make(chan struct{})
	tell := func(word string) func(any) {
		return func(o any) {
			if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			m, err := meta.Accessor(o)
			if err != nil {
				say(word, err)
				return
			}
			say(word, m.GetName())
			if m.GetName() == "last" {
				close(last)
			}
		}
	}
	handler, err := inf.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: tell("ADDED"), DeleteFunc: tell("DELETED"),
		UpdateFunc: func(_, o any) { tell("MODIFIED")(o) }})
	if err != nil {
		return err
	}
	go inf.Run(r.Done())
	if !cache.WaitForCacheSync(r.Done(), handler.HasSynced) {
		return fmt.Errorf("the informer is not in step")
	}
	say("ready")
	<-last
	say("streams", c.streams.Load(), "lists", c.lists.Load())
	return nil
}

func selected(o *metav1.ListOptions) { o.LabelSelector = "app=watched" }

func watch(r *run) error {
	config, c := counted(r.config)
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	f := informers.NewSharedInformerFactoryWithOptions(typed, 0, informers.WithNamespace(ns),
		informers.WithTweakListOptions(selected))
	return follow(r, c, f.Core().V1().ConfigMaps().Informer())
}

var configmaps = corev1.SchemeGroupVersion.WithResource("configmaps")

func dynamicWatch(r *run) error {
	config, c := counted(r.config)
	free, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	f := dynamicinformer.NewFilteredDynamicSharedInformerFactory(free, 0, ns, selected)
	return follow(r, c, f.ForResource(configmaps).Informer())
}

func metadataWatch(r *run) error {
	config, c := counted(r.config)
	m, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	f := metadatainformer.NewFilteredSharedInformerFactory(m, 0, ns, selected)
	return follow(r, c, f.ForResource(configmaps).Informer())
}

const protobufType = "application/vnd.kubernetes.protobuf"

// protobuf creates objects of many kinds, encoded so, and compares what is read with what was sent.
func protobuf(r *run) error {
	config, c := counted(r.config)
	config.ContentType = protobufType
	config.AcceptContentTypes = protobufType + ",application/json"
	k, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	seconds, no, one := int64(30), false, int32(1)
	holder := "me"
	now := metav1.NewMicroTime(time.Now().Truncate(time.Microsecond))
	m := metav1.ObjectMeta{Name: "proto", Annotations: map[string]string{"a": "ü ☃ \x01"}}
	pod := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
		ActiveDeadlineSeconds: &seconds, Containers: []corev1.Container{{Name: "c", Image: "i", Args: []string{"", "x"},
			Env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
				APIVersion: "v1", FieldPath: "metadata.name"}}}},
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("64Mi")}}}}}
	job := &batchv1.Job{ObjectMeta: m, Spec: batchv1.JobSpec{Completions: &one, Template: corev1.PodTemplateSpec{Spec: pod}}}
	secret := &corev1.Secret{ObjectMeta: m, Data: map[string][]byte{"k": {0, 1, 2, 255}}, Type: "example.com/own"}
	lease := &coordinationv1.Lease{ObjectMeta: m, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now}}
	role := &rbacv1.Role{ObjectMeta: m, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""},
		Resources: []string{"pods"}, ResourceNames: []string{"a"}}}}

	gotJob, err := k.BatchV1().Jobs(ns).Create(r, job, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	gotSecret, err := k.CoreV1().Secrets(ns).Create(r, secret, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	gotLease, err := k.CoordinationV1().Leases(ns).Create(r, lease, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	gotRole, err := k.RbacV1().Roles(ns).Create(r, role, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	sent := pod.Containers[0]
	got := gotJob.Spec.Template.Spec.Containers[0]
	same := got.Args[1] == "x" && len(got.Args) == 2 && reflect.DeepEqual(got.Env, sent.Env) &&
		got.Resources.Limits.Memory().Cmp(*sent.Resources.Limits.Memory()) == 0 &&
		*gotJob.Spec.Template.Spec.ActiveDeadlineSeconds == seconds && gotJob.Annotations["a"] == m.Annotations["a"]
	say("job", same)
	say("secret", reflect.DeepEqual(gotSecret.Data, secret.Data) && gotSecret.Type == secret.Type)
	say("lease", gotLease.Spec.RenewTime.Equal(&now) && *gotLease.Spec.HolderIdentity == holder)
	say("role", reflect.DeepEqual(gotRole.Rules, role.Rules))
	gotRole.Rules[0].Verbs = append(gotRole.Rules[0].Verbs, "list")
	if gotRole, err = k.RbacV1().Roles(ns).Update(r, gotRole, metav1.UpdateOptions{}); err != nil {
		return err
	}
	say("updated", len(gotRole.Rules[0].Verbs) == 2)
	say("bodies", c.protobuf.Load())
	return nil
}
